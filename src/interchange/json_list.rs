//! A JSON list written to a file item by item, one per line, so that memory does not grow with it.

use super::{InterchangeError, OutputFolder, Result};
use crate::atomic_file::{AtomicFile, Existing};
use serde_json::Value;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// A list being written.
#[derive(Debug)]
pub(super) struct JsonList {
    file: AtomicFile,
    path: PathBuf,
    is_empty: bool,
}

impl JsonList {
    /// Starts the file of this name.
    pub(super) fn create(out: &OutputFolder, name: &str) -> Result<Self> {
        let mut list = Self {
            file: out.file(name)?,
            path: out.place(name)?,
            is_empty: true,
        };
        list.write(b"[")?;
        Ok(list)
    }

    /// Adds an item.
    pub(super) fn push(&mut self, item: &Value) -> Result<()> {
        let separator: &[u8] = if self.is_empty { b"\n" } else { b",\n" };
        self.is_empty = false;
        self.write(separator)?;
        let written = serde_json::to_writer(&mut self.file, item).map_err(io::Error::from);
        written.map_err(InterchangeError::io("write", &self.path))
    }

    /// Ends the list and puts the file in place.
    pub(super) fn finish(mut self) -> Result<()> {
        self.write(b"\n]\n")?;
        self.file
            .commit(Existing::Refuse)
            .map_err(InterchangeError::io("write", &self.path))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(InterchangeError::io("write", &self.path))
    }
}
