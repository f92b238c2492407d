//! Training files back into documents: our own whole, those of others as far as they say something.

mod foreign;
mod rows;
mod seen;

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::de::{DeserializeSeed as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use self::foreign::Gathering;
use self::seen::Seen;
use super::super::json_tree::{self, Excerpt, Tree};
use super::super::{Arrived, Images, Incoming, InterchangeError, Notes, Result, source_files};
use super::rendering::{OWN_KEY, content_blake3};
use super::{added_tokens, manifest, templates};
use crate::dataset::{Document, format};

const EXPECTED: &str = "a training data file";

/// Files of an export that hold no records.
const NO_RECORDS: [&str; 4] = [
    manifest::FILE,
    added_tokens::FILE,
    "dataset_info.json",
    templates::FILE,
];

/// Longest line of a JSONL file.
const MAX_LINE_BYTES: u64 = 256 << 20;

/// Lines that are parsed side by side have about this length together.
const BYTES_AT_ONCE: usize = 256 << 10;

/// Reads the JSON, JSONL and parquet files at or below `source` and hands out what they say about `images`.
///
/// Records that this program wrote give their documents back, each once. A record that somebody changed since, or
/// whose document is in a file that is not there, is read like those of others: a conversation, with a region for
/// every mask that the record has run lengths for. Mask words without a mask stay in the text, mended: only the
/// model that made them can say which pixels they mean.
///
/// # Errors
/// If a file cannot be read or is none of these, or from `take`.
pub fn import(source: &Path, images: &Images, take: &mut Incoming<'_>, notes: &mut Notes) -> Result<()> {
    let files = files(source)?;
    // Which images come with a document, before the first of their records is judged without one.
    let mut with_document = HashSet::new();
    for file in &files {
        read_documented(file, &mut with_document)?;
    }
    let mut delivered = HashSet::new();
    let mut gathering = Gathering::new(images);
    let mut own_notes = Notes::default();
    for file in &files {
        let mut take_record = |mut seen: Seen| {
            let Some(own) = seen.own.take() else {
                return gathering.add(seen, take, notes);
            };
            if let Some(document) = own.document
                && delivered.insert(own.image.clone())
                && let Some(arrived) = arrived(&own.image, document, images, notes)?
            {
                take(arrived)?;
            }
            if own.origin.is_empty() {
                return Ok(());
            }
            let is_changed = own.blake3 != seen.blake3();
            if with_document.contains(&own.image) && !is_changed {
                return Ok(());
            }
            let what = if is_changed {
                "records that were changed since they were exported came as conversations of their own"
            } else {
                "records whose document is in another file came as conversations of their own"
            };
            notes.remark(what, &own.image, &own.origin);
            gathering.add(seen, take, notes)
        };
        read(file, &mut take_record, &mut own_notes)?;
    }
    gathering.finish(take)?;
    notes.append(own_notes);
    Ok(())
}

/// The document in a record, for the image that is there; `None` with a note where it cannot be used.
fn arrived(name: &str, document: Value, images: &Images, notes: &mut Notes) -> Result<Option<Arrived>> {
    let Some(image) = images.find(name)? else {
        notes.lost("annotations of images that are not there were left out", name, "");
        return Ok(None);
    };
    match format::from_json(document) {
        Ok(document) if document.image.size == image.size => Ok(Some(Arrived { image, document })),
        Ok(_) => {
            notes.lost(
                "annotations of images that have another size now were left out",
                name,
                "",
            );
            Ok(None)
        }
        Err(error) => {
            notes.lost("annotations that cannot be read were left out", name, error);
            Ok(None)
        }
    }
}

/// The files at or below `source`, by path.
fn files(source: &Path) -> Result<Vec<PathBuf>> {
    if !source.is_dir() {
        return Ok(vec![source.to_path_buf()]);
    }
    let mut files = Vec::new();
    for suffix in ["json", "jsonl", "parquet"] {
        let found = source_files::below(source, suffix)?.into_iter();
        let is_wanted = |name: &str| !NO_RECORDS.contains(&name.rsplit('/').next().unwrap_or(name));
        files.extend(found.filter(|(_, name)| is_wanted(name)).map(|(path, _)| path));
    }
    if files.is_empty() {
        let reason = "no .json, .jsonl or .parquet file is in the folder";
        return Err(InterchangeError::foreign(
            "a folder of training data",
            reason,
            source,
        ));
    }
    files.sort_unstable();
    Ok(files)
}

/// Adds to `images` those that a file has the documents of.
fn read_documented(path: &Path, images: &mut HashSet<String>) -> Result<()> {
    match suffix(path).as_str() {
        "parquet" => {
            let mut take = |seen: Seen| {
                let own = seen.own.filter(|own| own.document.is_some());
                images.extend(own.map(|own| own.image));
                Ok(())
            };
            rows::read(path, &mut take, &mut Notes::default())
        }
        "jsonl" => read_lines(path, &mut |Documented(image)| {
            images.extend(image);
            Ok(())
        }),
        _ => json_tree::read_items(path, EXPECTED, &mut |Documented(image)| {
            images.extend(image);
            Ok(())
        }),
    }
}

fn suffix(path: &Path) -> String {
    path.extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase()
}

/// Hands out the records of one file.
fn read(path: &Path, take: &mut dyn FnMut(Seen) -> Result<()>, notes: &mut Notes) -> Result<()> {
    let suffix = suffix(path);
    if suffix == "parquet" {
        return rows::read(path, take, notes);
    }
    let mut number = 0_u64;
    let mut take_record = |Record(record): Record| {
        number += 1;
        match record {
            Some(seen) => take(seen),
            None => {
                let place = format!(
                    "{} {number}",
                    path.file_name().unwrap_or_default().to_string_lossy()
                );
                notes.lost("items that are no training records were left out", "", place);
                Ok(())
            }
        }
    };
    if suffix == "jsonl" {
        read_lines(path, &mut take_record)
    } else {
        json_tree::read_items(path, EXPECTED, &mut take_record)
    }
}

/// Hands out what is in every line; some are parsed side by side.
fn read_lines<T: for<'de> Deserialize<'de> + Send>(
    path: &Path,
    take: &mut dyn FnMut(T) -> Result<()>,
) -> Result<()> {
    let mut file: BufReader<File> = BufReader::with_capacity(1 << 16, json_tree::open(path)?);
    let mut number = 0_u64;
    loop {
        let mut lines = Vec::new();
        let mut bytes = 0;
        while bytes < BYTES_AT_ONCE {
            let mut line = Vec::new();
            let length = file
                .by_ref()
                .take(MAX_LINE_BYTES)
                .read_until(b'\n', &mut line)
                .map_err(InterchangeError::io("read the training data", path))?;
            if length == 0 {
                break;
            }
            bytes += length;
            number += 1;
            lines.push((number, line));
        }
        if lines.is_empty() {
            return Ok(());
        }
        let parsed = lines.par_iter().map(|(number, line)| parsed(line, *number, path));
        for item in parsed.collect::<Vec<_>>() {
            item?.map_or(Ok(()), &mut *take)?;
        }
    }
}

/// What is in a line, if anything.
fn parsed<T: for<'de> Deserialize<'de>>(line: &[u8], number: u64, path: &Path) -> Result<Option<T>> {
    let bad = |reason: String| InterchangeError::foreign(EXPECTED, format!("line {number}: {reason}"), path);
    if line.len() as u64 == MAX_LINE_BYTES {
        return Err(bad(format!("it has more than {} MiB", MAX_LINE_BYTES >> 20)));
    }
    let text = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii();
    if text.is_empty() {
        return Ok(None);
    }
    let item = serde_json::from_slice(text).map_err(|error| bad(error.to_string()))?;
    Ok(Some(item))
}

/// An item of a file, if it is a record.
struct Record(Option<Seen>);

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Tree(value) = Tree::deserialize(deserializer)?;
        Ok(Self(Seen::of_record(value)))
    }
}

impl Seen {
    /// The hash of what the record says now.
    fn blake3(&self) -> String {
        let turns = self.turns.iter().map(|turn| (turn.role, turn.text.as_str()));
        content_blake3(turns, self.masks.iter().filter_map(|mask| mask.compressed()))
    }
}

/// What our own key says.
#[derive(Debug)]
struct Own {
    image: String,
    origin: String,
    blake3: String,
    document: Option<Value>,
}

impl Own {
    /// `None` where the value is not ours.
    fn read(text: &str) -> Option<Self> {
        let Tree(value) = serde_json::from_str(text).ok()?;
        let Value::Object(mut keys) = value else {
            return None;
        };
        let mut text = |key: &str| match keys.remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let (image, origin, blake3) = (text("image")?, text("origin")?, text("blake3")?);
        let document = keys.remove("document").filter(Value::is_object);
        Some(Self {
            image,
            origin,
            blake3,
            document,
        })
    }
}

/// The image whose document is in a record, if one is; nothing else is kept of the record.
struct Documented(Option<String>);

impl<'de> Deserialize<'de> for Documented {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// [`Own`], of which the document is passed over.
        #[derive(Deserialize)]
        struct Head {
            image: String,
            #[serde(rename = "origin")]
            _origin: String,
            #[serde(rename = "blake3")]
            _blake3: String,
            document: Option<AnyObject>,
        }

        let record = Excerpt(&[OWN_KEY]).deserialize(deserializer)?;
        let head = record.get(OWN_KEY).and_then(Value::as_str);
        let head: Option<Head> = head.and_then(|own| serde_json::from_str(own).ok());
        Ok(Self(
            head.and_then(|head| head.document.map(|AnyObject| head.image)),
        ))
    }
}

struct AnyObject;

impl<'de> Deserialize<'de> for AnyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for AnyObject {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

/// An empty document for the image.
fn blank(name: &str, size: crate::geometry::ImageSize) -> Document {
    Document::new(crate::dataset::ImageRef::new(Path::new(name), size, None))
}
