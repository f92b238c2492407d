//! Files that commands write: named after the image, never in place of another file unless asked, never half.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::atomic_file::{AtomicFile, Existing};

/// Whether existing files may be replaced.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct Overwriting {
    /// Replace files that exist already
    #[arg(long)]
    force: bool,
}

impl Overwriting {
    /// Refuses a path where something is already.
    pub(super) fn check(self, path: &Path) -> anyhow::Result<()> {
        if path.is_dir() {
            bail!("a folder has this name; choose another one: {}", path.display());
        }
        if !self.force && path.symlink_metadata().is_ok() {
            bail!(
                "the file exists already; choose another --out or replace it with --force: {}",
                path.display()
            );
        }
        Ok(())
    }
}

/// The name of `image` without folder and suffix, followed by `ending`.
pub(super) fn named_after(image: &Path, ending: &str) -> OsString {
    let mut name = image.file_stem().unwrap_or_default().to_owned();
    name.push(ending);
    name
}

/// `path` with `number` before its suffix.
pub(super) fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = named_after(path, &number.to_string());
    if let Some(suffix) = path.extension() {
        name.push(".");
        name.push(suffix);
    }
    path.with_file_name(name)
}

/// A folder for results, which is taken back if nothing comes to lie in it.
#[derive(Debug)]
pub(super) struct OutputFolder {
    path: PathBuf,
    is_new: bool,
}

impl OutputFolder {
    /// Makes the folder where there is none.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let is_new = !path.exists();
        if is_new {
            fs::create_dir_all(path)
                .with_context(|| format!("cannot make the folder: {}", path.display()))?;
        } else if !path.is_dir() {
            bail!(
                "this is a file, not a folder; give a folder for the results: {}",
                path.display()
            );
        }
        Ok(Self {
            path: path.to_path_buf(),
            is_new,
        })
    }
}

impl Drop for OutputFolder {
    fn drop(&mut self) {
        if self.is_new {
            // Succeeds only while the folder is empty, which is when it is of no use.
            let _removed = fs::remove_dir(&self.path);
        }
    }
}

/// Writes a whole file beside `path` and gives it that name once it is safely on disk.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    AtomicFile::write(path, bytes, Existing::Replace)
        .map_err(|error| anyhow::anyhow!("cannot write the file: {error}: {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_image() {
        assert_eq!(
            named_after(Path::new("a/photo.tar.jpg"), ".mask1.png"),
            "photo.tar.mask1.png"
        );
        assert_eq!(numbered(Path::new("a/cat.png"), 2), Path::new("a/cat2.png"));
        assert_eq!(numbered(Path::new("cat"), 1), Path::new("cat1"));
    }

    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let (careful, forced) = (Overwriting { force: false }, Overwriting { force: true });
        assert!(careful.check(&path).is_ok());
        write_whole(&path, b"1").unwrap();
        assert!(careful.check(&path).unwrap_err().to_string().contains("--force"));
        assert!(forced.check(&path).is_ok());
        assert!(forced.check(folder.path()).is_err(), "a folder is never replaced");
        write_whole(&path, b"22").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"22");
    }

    #[test]
    fn an_empty_new_folder_goes_again() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, used) = (folder.path().join("empty"), folder.path().join("used"));
        drop(OutputFolder::open(&empty).unwrap());
        assert!(!empty.exists());
        let used_folder = OutputFolder::open(&used).unwrap();
        write_whole(&used.join("a"), b"1").unwrap();
        drop(used_folder);
        assert!(used.join("a").exists());
        assert!(OutputFolder::open(&used.join("a")).is_err());
    }
}
