//! Files that appear whole or not at all: written beside their place, put on disk, and renamed into place.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file being written; what was there before stays until [`AtomicFile::commit`], and stays for good if that never
/// comes.
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<tempfile::NamedTempFile>,
    path: PathBuf,
}

/// What may be at the path already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Nothing; a file that appears meanwhile is an error of kind `AlreadyExists`.
    Refuse,
    /// A file, which is replaced; behind a link the file itself, and never one that is write-protected.
    Replace,
}

impl AtomicFile {
    /// Starts a file that will have the name `path`, in a folder that exists.
    ///
    /// # Errors
    /// If the folder cannot be written to, or the file there is write-protected.
    pub fn create(path: &Path) -> io::Result<Self> {
        let (path, permissions) = match fs::canonicalize(path) {
            Ok(existing) => {
                let permissions = fs::metadata(&existing)?.permissions();
                // Renaming would get around the protection of a file that somebody made read-only.
                if permissions.readonly() {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
                (existing, Some(permissions))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (path.to_path_buf(), None),
            Err(error) => return Err(error),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".samtok-").suffix(".tmp");
        // What any program's new file gets; the process's mask still applies.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(folder_of(&path))?;
        if let Some(permissions) = permissions {
            fs::set_permissions(file.path(), permissions)?;
        }
        Ok(Self {
            writer: BufWriter::with_capacity(1 << 16, file),
            path,
        })
    }

    /// Puts the file on disk and gives it its name.
    ///
    /// # Errors
    /// If the disk is full or the file cannot be renamed; what was there before is unchanged.
    pub fn commit(self, existing: Existing) -> io::Result<()> {
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        let persisted = match existing {
            Existing::Refuse => file.persist_noclobber(&self.path),
            Existing::Replace => file.persist(&self.path),
        };
        persisted.map_err(|error| error.error)?;
        // The new name reaches the disk with its folder; where folders cannot be synced, the file is in place all
        // the same.
        let _synced = File::open(folder_of(&self.path)).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// Writes a whole file.
    ///
    /// # Errors
    /// As [`AtomicFile::create`] and [`AtomicFile::commit`].
    pub fn write(path: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
        let mut file = Self::create(path)?;
        file.write_all(bytes)?;
        file.commit(existing)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_on_commit_only_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!path.exists(), "not before commit");
        drop(file);
        assert_eq!(names(), 0, "an abandoned file is gone");
        AtomicFile::write(&path, b"one", Existing::Refuse).unwrap();
        let error = AtomicFile::write(&path, b"two", Existing::Refuse).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        AtomicFile::write(&path, b"two", Existing::Replace).unwrap();
        assert_eq!((fs::read(&path).unwrap(), names()), (b"two".to_vec(), 1));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_protection_is_respected() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&path, "one").unwrap();
        symlink(&path, &link).unwrap();
        AtomicFile::write(&link, b"two", Existing::Replace).unwrap();
        assert!(link.is_symlink() && fs::read(&path).unwrap() == b"two");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        let error = AtomicFile::write(&path, b"three", Existing::Replace).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
