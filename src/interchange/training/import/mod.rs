//! Training files back into documents: our own whole, those of others as far as they say something.

mod foreign;
mod rows;
mod seen;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::foreign::Gathering;
use self::seen::Seen;
use super::super::json_tree::{self, Tree};
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
        read(
            file,
            &mut |seen| {
                with_document.extend(
                    seen.own
                        .and_then(|own| own.document.is_some().then_some(own.image)),
                );
                Ok(())
            },
            &mut Notes::default(),
        )?;
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
                && let Some(arrived) = arrived(&own.image, &document, images, notes)?
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
fn arrived(name: &str, document: &Value, images: &Images, notes: &mut Notes) -> Result<Option<Arrived>> {
    let Some(image) = images.find(name)? else {
        notes.lost("annotations of images that are not there were left out", name, "");
        return Ok(None);
    };
    match format::read(document.to_string().as_bytes()) {
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

/// Hands out the records of one file.
fn read(path: &Path, take: &mut dyn FnMut(Seen) -> Result<()>, notes: &mut Notes) -> Result<()> {
    let suffix = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    if suffix == "parquet" {
        return rows::read(path, take, notes);
    }
    let mut number = 0_u64;
    let mut take_value = |value: Value| {
        number += 1;
        match Seen::of_record(value) {
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
        read_lines(path, &mut take_value)
    } else {
        json_tree::read_items(path, EXPECTED, &mut |Tree(value)| take_value(value))
    }
}

/// Hands out the JSON value in every line.
fn read_lines(path: &Path, take: &mut dyn FnMut(Value) -> Result<()>) -> Result<()> {
    let failed = || InterchangeError::io("read the training data", path);
    let mut file: BufReader<File> = BufReader::with_capacity(1 << 16, json_tree::open(path)?);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let length = file
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(failed())?;
        if length == 0 {
            break;
        }
        let bad =
            |reason: String| InterchangeError::foreign(EXPECTED, format!("line {number}: {reason}"), path);
        if length as u64 == MAX_LINE_BYTES {
            return Err(bad(format!("it has more than {} MiB", MAX_LINE_BYTES >> 20)));
        }
        let text = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line).trim_ascii();
        if !text.is_empty() {
            let Tree(value) = serde_json::from_slice(text).map_err(|error| bad(error.to_string()))?;
            take(value)?;
        }
    }
    Ok(())
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

/// An empty document for the image.
fn blank(name: &str, size: crate::geometry::ImageSize) -> Document {
    Document::new(crate::dataset::ImageRef::new(Path::new(name), size, None))
}
