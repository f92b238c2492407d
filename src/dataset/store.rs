//! Sidecars on disk: read once, replaced whole or not at all, and never where that would lose somebody's work.

mod abandoned;
mod error;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

pub use self::abandoned::remove_abandoned;
pub use self::error::DatasetError;
use super::backup::{self, Backup, BackupPolicy};
use super::document::Document;
use super::format;
use super::lock::FolderLock;
use super::merge::{self, Conflict, ConflictKind, Merged, Place};
use crate::atomic_file::{AtomicFile, Existing};
use crate::geometry::ImageSize;

/// Largest sidecar that is read; a thousand regions take about one megabyte.
const MAX_BYTES: u64 = 1 << 30;

/// What the name of a sidecar has behind that of its image.
pub(super) const SUFFIX: &str = ".samtok.json";

/// Where the annotations of the image at `image_path` are: its whole name and `.samtok.json`, in the same folder.
#[must_use]
pub fn sidecar_path(image_path: &Path) -> PathBuf {
    let mut path = OsString::from(image_path);
    path.push(SUFFIX);
    path.into()
}

/// The sidecar of one image, as it was when last read or saved here.
///
/// Only a sidecar that could be read has a value of this type, and only through one can it be saved:
/// so what cannot be read is never overwritten.
///
/// Programs that save at the same time wait for each other at a lock in `.samtok` beside the sidecar; what another
/// program saved since this value was made is noticed, and refused ([`Sidecar::save`]) or merged
/// ([`Sidecar::save_merging`]). The version that is replaced is kept, see [`backup`].
#[derive(Debug)]
pub struct Sidecar {
    path: PathBuf,
    /// The file's bytes, from which the last common version is read if others changed it; `None` where there was no
    /// file.
    content: Option<Vec<u8>>,
    backups: BackupPolicy,
}

/// What a merging save did besides saving.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// The document as it was saved, where it has changes of others in it.
    pub merged: Option<Document>,
    /// What a person should look at.
    pub conflicts: Vec<Conflict>,
}

impl Sidecar {
    /// Reads the sidecar of the image at `image_path`, whose upright size is `image_size`.
    ///
    /// The document is `None` where there is no sidecar yet; saving makes one.
    ///
    /// # Errors
    /// [`DatasetError`] where there is a sidecar but it cannot be read whole, or is for an image of another size.
    pub fn load(image_path: &Path, image_size: ImageSize) -> Result<(Self, Option<Document>), DatasetError> {
        let (sidecar, document) = Self::open(&sidecar_path(image_path))?;
        if let Some(document) = &document
            && document.image.size != image_size
        {
            let (annotated, path) = (document.image.size, sidecar.path);
            return Err(DatasetError::ImageSize {
                annotated,
                image: image_size,
                path,
            });
        }
        Ok((sidecar, document))
    }

    /// Reads the sidecar at `path` itself, for a caller that does not look at the image.
    ///
    /// # Errors
    /// [`DatasetError`] where there is a file but it cannot be read whole.
    pub fn open(path: &Path) -> Result<(Self, Option<Document>), DatasetError> {
        let content = read(path)?;
        let document = content.as_deref().map(|bytes| parse(bytes, path)).transpose()?;
        let sidecar = Self {
            path: path.to_path_buf(),
            content,
            backups: BackupPolicy::default(),
        };
        Ok((sidecar, document))
    }

    /// Keeps other earlier versions than the usual ones.
    #[must_use]
    pub fn with_backups(mut self, policy: BackupPolicy) -> Self {
        self.backups = policy;
        self
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file by `document`, at once and as a whole; a file that would not change is left alone.
    ///
    /// # Errors
    /// [`DatasetError`]; whatever it is, the file is as it was, and the sidecar can be saved again later.
    pub fn save(&mut self, document: &Document) -> Result<(), DatasetError> {
        let bytes = self.bytes_of(document)?;
        let changed = || {
            Err(DatasetError::ChangedOnDisk {
                path: self.path.clone(),
            })
        };
        if self.content.as_ref() == Some(&bytes) {
            return if self.is_unchanged()? { Ok(()) } else { changed() };
        }
        let _lock = self.lock()?;
        if !self.is_unchanged()? {
            return changed();
        }
        self.replace(bytes)
    }

    /// Saves `document` together with what others saved since the sidecar was read.
    ///
    /// # Errors
    /// [`DatasetError`]; whatever it is, the file is as it was, and the sidecar can be saved again later.
    /// Among them is that what is on disk now cannot be read, so that it cannot be merged.
    pub fn save_merging(&mut self, document: &Document) -> Result<Saved, DatasetError> {
        let bytes = self.bytes_of(document)?;
        if self.content.as_ref() == Some(&bytes) && self.is_unchanged()? {
            return Ok(Saved::default());
        }
        let _lock = self.lock()?;
        let found = self.read_unless_gone()?;
        if found == self.content {
            self.replace(bytes)?;
            return Ok(Saved::default());
        }
        let saved = match &found {
            None => Saved {
                merged: None,
                conflicts: vec![Conflict::new(Place::Document, ConflictKind::FileDeleted)],
            },
            Some(found) => {
                let Merged { document, conflicts } = self.merged(document, found)?;
                Saved {
                    merged: Some(document),
                    conflicts,
                }
            }
        };
        let bytes = saved
            .merged
            .as_ref()
            .map_or(Ok(bytes), |merged| self.bytes_of(merged))?;
        let before = std::mem::replace(&mut self.content, found);
        if let Err(error) = self.replace(bytes) {
            // The next attempt merges the same versions again.
            self.content = before;
            return Err(error);
        }
        Ok(saved)
    }

    /// `document` together with what others saved since the sidecar was read, not saved yet; `None` if nobody did.
    ///
    /// A sidecar that was deleted meanwhile counts as unchanged; saving tells.
    ///
    /// # Errors
    /// [`DatasetError`] where what is on disk now cannot be read.
    pub fn refresh(&mut self, document: &Document) -> Result<Option<Merged>, DatasetError> {
        let found = read(&self.path)?;
        let Some(found) = found.filter(|found| Some(found) != self.content.as_ref()) else {
            return Ok(None);
        };
        let merged = self.merged(document, &found)?;
        self.content = Some(found);
        Ok(Some(merged))
    }

    /// The earlier versions of the sidecar at `path`, newest first.
    ///
    /// # Errors
    /// [`DatasetError`] if they cannot be listed.
    pub fn backups(path: &Path) -> Result<Vec<Backup>, DatasetError> {
        backup::list(&real_path(path)?)
    }

    /// Puts an earlier version in the place of the sidecar at `path`, even if that can no longer be read; what was
    /// there becomes an earlier version itself.
    ///
    /// # Errors
    /// [`DatasetError`]; the file is as it was.
    pub fn restore(path: &Path, backup: &Backup) -> Result<(Self, Document), DatasetError> {
        let document = backup.read()?;
        let path = real_path(path)?;
        let _lock = FolderLock::acquire(folder_of(&path))?;
        let content = read(&path)?;
        let bytes = format::write(&document).map_err(|source| DatasetError::Format {
            source,
            path: path.clone(),
        })?;
        if let Some(content) = &content {
            let is_damaged = format::read(content).is_err();
            // Here the present version is not left behind by an edit, so it must not get lost.
            backup::keep(&path, is_damaged)?;
        }
        let mut sidecar = Self {
            path,
            content,
            backups: BackupPolicy {
                versions: 0,
                ..BackupPolicy::default()
            },
        };
        sidecar.replace(bytes)?;
        Ok((sidecar.with_backups(BackupPolicy::default()), document))
    }

    fn bytes_of(&self, document: &Document) -> Result<Vec<u8>, DatasetError> {
        format::write(document).map_err(|source| DatasetError::Format {
            source,
            path: self.path.clone(),
        })
    }

    /// Waits until no other program saves in the folder of the sidecar; behind a link, in that of the file itself.
    fn lock(&self) -> Result<FolderLock, DatasetError> {
        let path = real_path(&self.path)?;
        let folder = folder_of(&path);
        if self.is_gone() || !folder.exists() {
            return Err(DatasetError::Vanished { path });
        }
        FolderLock::acquire(folder)
    }

    fn is_unchanged(&self) -> Result<bool, DatasetError> {
        Ok(self.read_unless_gone()? == self.content)
    }

    /// The file's present bytes; an error where not only the file is gone, but its image or folder with it.
    fn read_unless_gone(&self) -> Result<Option<Vec<u8>>, DatasetError> {
        let found = read(&self.path)?;
        if found.is_none() && self.is_gone() {
            return Err(DatasetError::Vanished {
                path: self.path.clone(),
            });
        }
        Ok(found)
    }

    /// Whether there was a file and it is gone together with its image, as when a share is disconnected.
    fn is_gone(&self) -> bool {
        let has_image = || {
            let name = self.path.file_name().and_then(|name| name.to_str());
            let image = name.and_then(|name| name.strip_suffix(SUFFIX));
            image.is_none_or(|image| self.path.with_file_name(image).exists())
        };
        self.content.is_some() && !self.path.exists() && !(folder_of(&self.path).exists() && has_image())
    }

    /// `document` and what is in `found`, merged on the last version that both knew.
    fn merged(&self, document: &Document, found: &[u8]) -> Result<Merged, DatasetError> {
        let theirs = parse(found, &self.path)?;
        let base = match &self.content {
            Some(bytes) => parse(bytes, &self.path)?,
            None => Document::new(document.image.clone()),
        };
        merge::merge(&base, document, &theirs).map_err(|sizes| DatasetError::ImageSize {
            annotated: sizes.theirs,
            image: sizes.ours,
            path: self.path.clone(),
        })
    }

    /// Writes `bytes` in place of what was found, which is kept as an earlier version. Needs the lock.
    fn replace(&mut self, bytes: Vec<u8>) -> Result<(), DatasetError> {
        if self.content.as_ref() == Some(&bytes) {
            return Ok(());
        }
        let real = real_path(&self.path)?;
        let keeps_backup = self.content.is_some() && self.backups.versions > 0;
        let failed = |source| DatasetError::from_io("save", source, &self.path);
        // All bytes are on their way before anything else is touched, so a full disk changes nothing.
        let mut file = AtomicFile::create(&real).map_err(failed)?;
        file.write_all(&bytes)
            .and_then(|()| file.flush())
            .map_err(failed)?;
        // What was just edited matters more than its earlier versions.
        let warn = |error: DatasetError| tracing::warn!("the earlier version could not be kept: {error}");
        if keeps_backup {
            backup::keep(&real, false).unwrap_or_else(warn);
        }
        let existing = if self.content.is_some() {
            Existing::Replace
        } else {
            Existing::Refuse
        };
        file.commit(existing).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => DatasetError::ChangedOnDisk {
                path: self.path.clone(),
            },
            _ => failed(error),
        })?;
        if keeps_backup {
            backup::prune(&real, self.backups).unwrap_or_else(warn);
        }
        self.content = Some(bytes);
        Ok(())
    }
}

/// The document in the bytes of the sidecar at `path`.
pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Document, DatasetError> {
    format::read(bytes).map_err(|source| DatasetError::Format {
        source,
        path: path.to_path_buf(),
    })
}

/// Where the file at `path` is, behind a link or not; there may be none.
fn real_path(path: &Path) -> Result<PathBuf, DatasetError> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(path.to_path_buf()),
        Err(error) => Err(DatasetError::from_io("read", error, path)),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// The bytes of the file at `path`, `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, DatasetError> {
    let failed = |source| DatasetError::from_io("read", source, path);
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A dangling link is in the way of a new file, though nothing is behind it.
            return if path.is_symlink() {
                Err(failed(error))
            } else {
                Ok(None)
            };
        }
        Err(error) => return Err(failed(error)),
        Ok(kind) if !kind.is_file() => {
            return Err(DatasetError::NotAFile {
                path: path.to_path_buf(),
            });
        }
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(DatasetError::TooLarge {
            path: path.to_path_buf(),
        });
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests;
