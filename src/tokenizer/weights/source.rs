//! The bytes of a weights file, wherever they are, read by position.
//!
//! Files are read with positioned reads instead of a memory map. Every tensor is converted into the caller's own
//! buffer anyway, so a map would save nothing, while its pages would count as this process's memory until they are
//! dropped, and a file that shrinks while mapped (a download that restarts, a network share) kills the process with
//! SIGBUS where a read returns an error. Pages read this way stay in the system's cache only.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::error::{WeightsError, printable};

#[derive(Debug)]
enum Bytes {
    Static(&'static [u8]),
    Owned(Vec<u8>),
    File(File),
}

/// A readable run of bytes of known length.
#[derive(Debug)]
pub(super) struct Source {
    bytes: Bytes,
    len: u64,
    path: PathBuf,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, WeightsError> {
        let open_error = || WeightsError::io("open", path);
        // Asked before opening, because opening a named pipe would wait for a writer.
        let metadata = std::fs::metadata(path).map_err(open_error())?;
        if metadata.is_dir() {
            return Err(WeightsError::Folder {
                path: path.to_path_buf(),
            });
        }
        if !metadata.is_file() {
            return Err(WeightsError::Unsupported {
                found: "this is a device or a pipe, not a file".into(),
                advice: "give a .safetensors or .pth file",
                path: path.to_path_buf(),
            });
        }
        let file = File::open(path).map_err(open_error())?;
        Ok(Self {
            bytes: Bytes::File(file),
            len: metadata.len(),
            path: path.to_path_buf(),
        })
    }

    pub(super) fn from_static(bytes: &'static [u8]) -> Self {
        Self {
            bytes: Bytes::Static(bytes),
            len: bytes.len() as u64,
            path: "(built-in model)".into(),
        }
    }

    pub(super) fn from_vec(bytes: Vec<u8>) -> Self {
        Self {
            len: bytes.len() as u64,
            bytes: Bytes::Owned(bytes),
            path: "(memory)".into(),
        }
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fills `buffer` with the bytes at `offset`, or fails if the source ends before.
    pub(super) fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.bytes {
            Bytes::Static(bytes) => copy_at(bytes, offset, buffer),
            Bytes::Owned(bytes) => copy_at(bytes, offset, buffer),
            Bytes::File(file) => file_read_exact_at(file, offset, buffer),
        }
    }

    /// The `len` bytes at `offset`; nothing is allocated unless the source is long enough.
    pub(super) fn read_vec(&self, offset: u64, len: u64) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(len).ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut buffer = vec![0; usize::try_from(len).map_err(|_error| io::ErrorKind::OutOfMemory)?];
        self.read_exact_at(offset, &mut buffer)?;
        Ok(buffer)
    }

    /// The bytes `start .. start + len` as a stream.
    pub(super) const fn reader(&self, start: u64, len: u64) -> SourceReader<'_> {
        SourceReader {
            source: self,
            position: start,
            left: len,
        }
    }

    pub(super) fn damaged(&self, reason: impl AsRef<str>) -> WeightsError {
        WeightsError::Damaged {
            reason: printable(reason.as_ref()),
            path: self.path.clone(),
        }
    }

    pub(super) fn unsupported(&self, found: impl AsRef<str>, advice: &'static str) -> WeightsError {
        WeightsError::Unsupported {
            found: printable(found.as_ref()),
            advice,
            path: self.path.clone(),
        }
    }

    /// Turns a failed read into an error: an early end means a damaged file.
    pub(super) fn read_error(&self, error: io::Error) -> WeightsError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.damaged("it ends too early"),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => self.damaged(error.to_string()),
            _ => WeightsError::io("read", &self.path)(error),
        }
    }
}

fn copy_at(bytes: &[u8], offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    let tail = usize::try_from(offset)
        .ok()
        .and_then(|offset| bytes.get(offset..));
    let found = tail
        .and_then(|tail| tail.get(..buffer.len()))
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    buffer.copy_from_slice(found);
    Ok(())
}

#[cfg(unix)]
fn file_read_exact_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    file.read_exact_at(buffer, offset)
}

#[cfg(windows)]
fn file_read_exact_at(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                offset += read as u64;
                buffer = buffer.get_mut(read..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A stream over part of a [`Source`].
#[derive(Debug)]
pub(super) struct SourceReader<'a> {
    source: &'a Source,
    position: u64,
    left: u64,
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..count) else {
            return Ok(0);
        };
        self.source.read_exact_at(self.position, buffer)?;
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}
