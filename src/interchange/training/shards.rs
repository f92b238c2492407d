//! The files of an export: written record by record, a new one after so many, each with its hash.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::super::{InterchangeError, OutputFolder, Result};
use super::Container;
use super::record::Kind;
use super::rl_parquet::{Row, RowFile};
use super::splitting::Part;
use crate::atomic_file::{AtomicFile, Existing};

/// Which series of files a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Series {
    /// The records of a part, of one kind or of all.
    Records(Part, Option<Kind>),
    /// Documents of images that no record shows.
    Documents,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its path below the output folder.
    pub path: String,
    /// The part it belongs to; none for files that trainers do not read.
    pub part: Option<Part>,
    /// The kind of its records; none where kinds are mixed.
    pub kind: Option<Kind>,
    /// How many records or rows it has.
    pub records: u64,
    /// Its length.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub blake3: String,
}

impl WrittenFile {
    pub(super) fn value(&self) -> Value {
        json!({
            "path": self.path,
            "split": self.part.map(Part::name),
            "task": self.kind.map(Kind::name),
            "records": self.records,
            "bytes": self.bytes,
            "blake3": self.blake3,
        })
    }
}

/// A file that is hashed as it is written.
#[derive(Debug)]
struct HashedFile {
    file: AtomicFile,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..length).unwrap_or_default());
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[derive(Debug)]
enum Shard {
    List(HashedFile),
    Lines(HashedFile),
    Rows(Box<RowFile<HashedFile>>),
}

#[derive(Debug)]
struct Open {
    shard: Shard,
    path: String,
    records: u64,
}

/// What is written: a JSON record, or a row.
pub(super) enum Item {
    Record(Value),
    Row(Row),
}

/// All files of an export.
#[derive(Debug)]
pub(super) struct Shards<'o> {
    out: &'o OutputFolder,
    name: &'o str,
    container: Container,
    size: u64,
    has_own: bool,
    open: BTreeMap<Series, Open>,
    started: BTreeMap<Series, u32>,
    written: Vec<WrittenFile>,
}

impl<'o> Shards<'o> {
    pub(super) fn new(
        out: &'o OutputFolder,
        name: &'o str,
        container: Container,
        size: u64,
        has_own: bool,
    ) -> Self {
        Self {
            out,
            name,
            container,
            size: size.max(1),
            has_own,
            open: BTreeMap::new(),
            started: BTreeMap::new(),
            written: Vec::new(),
        }
    }

    /// Adds `item` to the series.
    pub(super) fn push(&mut self, series: Series, item: Item) -> Result<()> {
        let mut open = match self.open.remove(&series) {
            Some(open) => open,
            None => self.start(series)?,
        };
        let place = self.out.path().join(&open.path);
        let failed = || InterchangeError::io("write the training data", &place);
        match (&mut open.shard, item) {
            (Shard::List(file), Item::Record(record)) => {
                let separator: &[u8] = if open.records == 0 { b"\n" } else { b",\n" };
                file.write_all(separator)
                    .and_then(|()| write_json(file, &record))
                    .map_err(failed())?;
            }
            (Shard::Lines(file), Item::Record(record)) => {
                write_json(file, &record)
                    .and_then(|()| file.write_all(b"\n"))
                    .map_err(failed())?;
            }
            (Shard::Rows(rows), Item::Row(row)) => rows.push(row).map_err(failed())?,
            (_, Item::Record(_) | Item::Row(_)) => {
                return Err(failed()(io::Error::other(
                    "the record is not of the kind of its file",
                )));
            }
        }
        open.records += 1;
        if open.records >= self.size {
            self.close(series, open)
        } else {
            self.open.insert(series, open);
            Ok(())
        }
    }

    /// Ends all files and says which there are, by path.
    pub(super) fn finish(mut self) -> Result<Vec<WrittenFile>> {
        while let Some((series, open)) = self.open.pop_first() {
            self.close(series, open)?;
        }
        self.written.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(self.written)
    }

    /// Starts the next file of the series, under the published names: `NAME-segment-00001`.
    fn start(&mut self, series: Series) -> Result<Open> {
        let number = self.started.entry(series).or_default();
        *number += 1;
        let (folder, kind, suffix) = match series {
            Series::Records(part, kind) => {
                (part.name(), kind.map_or("", Kind::name), self.container.suffix())
            }
            Series::Documents => ("without_records", "", "jsonl"),
        };
        let joint = if kind.is_empty() { "" } else { "_" };
        let path = format!("{folder}/{}{joint}{kind}-segment-{number:05}.{suffix}", self.name);
        let file = HashedFile {
            file: self.out.file(&path)?,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        };
        let place = self.out.path().join(&path);
        let failed = || InterchangeError::io("write the training data", &place);
        let shard = match (series, self.container) {
            (Series::Documents, _) | (_, Container::Jsonl | Container::Messages) => Shard::Lines(file),
            (_, Container::RlParquet) => {
                Shard::Rows(Box::new(RowFile::new(file, self.has_own).map_err(failed())?))
            }
            (_, Container::Llava | Container::ShareGpt) => {
                let mut file = file;
                file.write_all(b"[").map_err(failed())?;
                Shard::List(file)
            }
        };
        Ok(Open {
            shard,
            path,
            records: 0,
        })
    }

    fn close(&mut self, series: Series, open: Open) -> Result<()> {
        let place = self.out.path().join(&open.path);
        let failed = || InterchangeError::io("write the training data", &place);
        let file = match open.shard {
            Shard::List(mut file) => {
                file.write_all(b"\n]\n").map_err(failed())?;
                file
            }
            Shard::Lines(file) => file,
            Shard::Rows(rows) => rows.finish().map_err(failed())?,
        };
        file.file.commit(Existing::Refuse).map_err(failed())?;
        let (part, kind) = match series {
            Series::Records(part, kind) => (Some(part), kind),
            Series::Documents => (None, None),
        };
        self.written.push(WrittenFile {
            path: open.path,
            part,
            kind,
            records: open.records,
            bytes: file.bytes,
            blake3: file.hasher.finalize().to_hex().to_string(),
        });
        Ok(())
    }
}

fn write_json(file: &mut HashedFile, value: &Value) -> io::Result<()> {
    // In one piece, since hashing and buffering every token by itself takes longer than making the text.
    let text = serde_json::to_vec(value).map_err(io::Error::from)?;
    file.write_all(&text)
}
