//! The folder an export writes into, and nowhere else.

use super::{InterchangeError, Result};
use crate::atomic_file::{AtomicFile, Existing};
use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

/// An output folder that was empty or new when it was opened.
#[derive(Debug)]
pub struct OutputFolder {
    path: PathBuf,
}

impl OutputFolder {
    /// Makes the folder, or takes an empty one.
    ///
    /// # Errors
    /// [`InterchangeError::NotEmpty`], or I/O.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = || InterchangeError::io("open the folder for the results", path);
        fs::create_dir_all(path).map_err(failed())?;
        if fs::read_dir(path).map_err(failed())?.next().is_some() {
            return Err(InterchangeError::NotEmpty {
                path: path.to_path_buf(),
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
        })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file of this relative `name` (parts separated by `/`) goes; its folders are made.
    ///
    /// # Errors
    /// [`InterchangeError::Outside`] for a name that is absolute or climbs out; I/O.
    pub fn place(&self, name: &str) -> Result<PathBuf> {
        let outside = || InterchangeError::Outside {
            name: name.to_owned(),
        };
        let mut path = self.path.clone();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(outside()),
            }
        }
        let folder = path.parent().filter(|_| path != self.path).ok_or_else(outside)?;
        fs::create_dir_all(folder).map_err(InterchangeError::io("make the folder", folder))?;
        Ok(path)
    }

    /// Writes the whole file of this relative name.
    ///
    /// # Errors
    /// As [`OutputFolder::place`], and if there is such a file already.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.place(name)?;
        AtomicFile::write(&path, bytes, Existing::Refuse).map_err(InterchangeError::io("write", &path))
    }

    /// A file without a name, for what has to wait on disk until the rest is written; it vanishes when it is closed.
    ///
    /// # Errors
    /// I/O.
    pub(super) fn spool(&self) -> Result<File> {
        tempfile::tempfile_in(&self.path).map_err(InterchangeError::io("write", &self.path))
    }

    /// Starts the file of this relative name; commit it when it is whole.
    ///
    /// # Errors
    /// As [`OutputFolder::place`].
    pub fn file(&self, name: &str) -> Result<AtomicFile> {
        let path = self.place(name)?;
        AtomicFile::create(&path).map_err(InterchangeError::io("write", &path))
    }
}
