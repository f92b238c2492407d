//! Sidecars on disk: read once, replaced whole or not at all, and never where that would lose somebody's work.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::document::Document;
use super::format::{self, FormatError};
use crate::geometry::ImageSize;

/// Largest sidecar that is read; a thousand regions take about one megabyte.
const MAX_BYTES: u64 = 1 << 30;

/// Where the annotations of the image at `image_path` are: its whole name and `.samtok.json`, in the same folder.
#[must_use]
pub fn sidecar_path(image_path: &Path) -> PathBuf {
    let mut path = OsString::from(image_path);
    path.push(".samtok.json");
    path.into()
}

/// Why a sidecar was not read or written; messages end with the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The sidecar says nothing that this program understands, or the document cannot be written.
    #[error("{source}: {}", path.display())]
    Format {
        /// What is wrong with it.
        source: FormatError,
        /// The sidecar.
        path: PathBuf,
    },
    /// The sidecar is about an image of another size.
    #[error("the annotations are for {annotated} pixels and the image has {image}; the image was replaced or turned, so restore it or move the annotations away: {}", path.display())]
    ImageSize {
        /// Size in the sidecar.
        annotated: ImageSize,
        /// Size of the image.
        image: ImageSize,
        /// The sidecar.
        path: PathBuf,
    },
    /// Another program wrote or deleted the sidecar after it was read; it was left as it is.
    #[error("the annotations changed on disk since they were read; open the image again to see them: {}", path.display())]
    ChangedOnDisk {
        /// The sidecar.
        path: PathBuf,
    },
    /// A folder, or something else that is no ordinary file, has the sidecar's name.
    #[error("this is not an ordinary file; move it away: {}", path.display())]
    NotAFile {
        /// What is in the way.
        path: PathBuf,
    },
    /// The sidecar is larger than any annotation.
    #[error("this file has more than {MAX_BYTES} bytes, too many for annotations; move it away: {}", path.display())]
    TooLarge {
        /// The sidecar.
        path: PathBuf,
    },
    /// The folder or the file may not be read or written.
    #[error("permission denied; change the permissions of the folder, or copy the images to one of your own: {}", path.display())]
    PermissionDenied {
        /// The sidecar.
        path: PathBuf,
    },
    /// No room is left; the sidecar is as it was.
    #[error("the disk is full, nothing was changed; free some space and save again: {}", path.display())]
    DiskFull {
        /// The sidecar.
        path: PathBuf,
    },
    /// Any other failure of the operating system; the sidecar is as it was.
    #[error("cannot {action} the annotations: {source}: {}", path.display())]
    Io {
        /// `read` or `save`.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
        /// The sidecar.
        path: PathBuf,
    },
}

/// The sidecar of one image, as it was when last read or saved here.
///
/// Only a sidecar that could be read has a value of this type, and only through one can it be saved:
/// so what cannot be read is never overwritten.
#[derive(Debug)]
pub struct Sidecar {
    path: PathBuf,
    /// Hash of the file's bytes; `None` where there was no file.
    content: Option<blake3::Hash>,
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
        let bytes = read(path)?;
        let document = bytes.as_deref().map(format::read).transpose();
        let document = document.map_err(|source| DatasetError::Format {
            source,
            path: path.to_path_buf(),
        })?;
        let content = bytes.as_deref().map(blake3::hash);
        Ok((
            Self {
                path: path.to_path_buf(),
                content,
            },
            document,
        ))
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
        let bytes = format::write(document).map_err(|source| DatasetError::Format {
            source,
            path: self.path.clone(),
        })?;
        let content = blake3::hash(&bytes);
        if read(&self.path)?.as_deref().map(blake3::hash) != self.content {
            return Err(DatasetError::ChangedOnDisk {
                path: self.path.clone(),
            });
        }
        if self.content != Some(content) {
            match replace(&self.path, &bytes, self.content.is_some()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(DatasetError::ChangedOnDisk {
                        path: self.path.clone(),
                    });
                }
                result => result.map_err(|source| DatasetError::from_io("save", source, &self.path))?,
            }
            self.content = Some(content);
        }
        Ok(())
    }
}

/// The bytes of the file at `path`, `None` where there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, DatasetError> {
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

/// Writes a file beside `path` and, once it is safely on disk, gives it the name `path`.
fn replace(path: &Path, bytes: &[u8], exists: bool) -> io::Result<()> {
    // Behind a link the file itself is replaced, not the link.
    let path = if exists {
        fs::canonicalize(path)?
    } else {
        path.to_path_buf()
    };
    // Renaming would get around the protection of a file that somebody made read-only.
    let permissions = if exists {
        Some(fs::metadata(&path)?.permissions())
    } else {
        None
    };
    if permissions.as_ref().is_some_and(fs::Permissions::readonly) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".samtok-").suffix(".tmp");
    // Without this, other users could not read the file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    if let Some(permissions) = permissions {
        fs::set_permissions(file.path(), permissions)?;
    }
    file.as_file().sync_all()?;
    let persisted = if exists {
        file.persist(&path)
    } else {
        file.persist_noclobber(&path)
    };
    persisted.map_err(|error| error.error)?;
    // The new name reaches the disk with its folder; where folders cannot be synced, the file is in place all the same.
    let _synced = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

impl DatasetError {
    fn from_io(action: &'static str, source: io::Error, path: &Path) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::PermissionDenied { path }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { action, source, path },
        }
    }
}

#[cfg(test)]
mod tests;
