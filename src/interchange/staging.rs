//! A hidden folder in which results are made, so that they appear all at once or not at all.

use super::{InterchangeError, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder inside of the one for the results; removed with all that is in it unless it is published.
#[derive(Debug)]
pub(super) struct Staging {
    hidden: TempDir,
    out: NewFolder,
}

/// A folder that is removed again if nothing came to lie in it.
#[derive(Debug)]
struct NewFolder {
    path: PathBuf,
    is_new: bool,
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if self.is_new {
            // Succeeds only while the folder is empty, which is when it is of no use.
            let _removed = fs::remove_dir(&self.path);
        }
    }
}

impl Staging {
    /// Starts results that will be in `out`, which is made, or empty.
    pub(super) fn open(out: &Path) -> Result<Self> {
        let failed = || InterchangeError::io("open the folder for the results", out);
        let new = NewFolder {
            path: out.to_path_buf(),
            is_new: !out.exists(),
        };
        fs::create_dir_all(out).map_err(failed())?;
        if fs::read_dir(out).map_err(failed())?.next().is_some() {
            return Err(InterchangeError::NotEmpty {
                path: out.to_path_buf(),
            });
        }
        let hidden = tempfile::Builder::new()
            .prefix(".samtok-")
            .suffix(".tmp")
            .tempdir_in(out);
        Ok(Self {
            hidden: hidden.map_err(failed())?,
            out: new,
        })
    }

    /// Where to make the results.
    pub(super) fn path(&self) -> &Path {
        self.hidden.path()
    }

    /// Puts the results in place.
    pub(super) fn publish(self) -> Result<()> {
        let failed = || InterchangeError::io("put the results in place", &self.out.path);
        for entry in fs::read_dir(self.hidden.path()).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let place = self.out.path.join(entry.file_name());
            if place.symlink_metadata().is_ok() {
                return Err(failed()(io::ErrorKind::AlreadyExists.into()));
            }
            fs::rename(entry.path(), place).map_err(failed())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_appear_at_the_end_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        let staging = Staging::open(&out).unwrap();
        fs::write(staging.path().join("x"), "1").unwrap();
        drop(staging);
        assert!(!out.exists(), "a folder that was made is taken back");

        let staging = Staging::open(&out).unwrap();
        fs::create_dir(staging.path().join("sub")).unwrap();
        fs::write(staging.path().join("sub/x"), "1").unwrap();
        assert!(!out.join("sub").exists());
        staging.publish().unwrap();
        let names: Vec<_> = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["sub"]);
        assert!(matches!(
            Staging::open(&out),
            Err(InterchangeError::NotEmpty { .. })
        ));
    }

    #[test]
    fn what_appeared_meanwhile_is_not_replaced() {
        let out = tempfile::tempdir().unwrap();
        let staging = Staging::open(out.path()).unwrap();
        fs::write(staging.path().join("x"), "ours").unwrap();
        fs::write(out.path().join("x"), "theirs").unwrap();
        assert!(staging.publish().is_err());
        assert_eq!(fs::read(out.path().join("x")).unwrap(), b"theirs");
    }
}
