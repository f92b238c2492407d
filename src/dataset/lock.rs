//! One save at a time in a folder: an advisory lock that the system takes back when its holder dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::store::DatasetError;

/// The folder beside the images that holds what this program needs there: the lock, backups, the index.
pub(super) const STATE_FOLDER: &str = ".samtok";

/// A save takes milliseconds, seconds on a slow share; who holds the lock longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(30);

/// The right to save in a folder, until dropped or the process ends in whatever way.
///
/// It is the system's lock on `.samtok/lock` (`flock` or its like), which NFS and SMB pass on to their server.
/// The file itself means nothing and is never removed, so no crash leaves a lock behind. Where a file system knows
/// no locks, saving goes on without: the comparison right before the rename still finds what others saved before.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: Option<File>,
}

impl FolderLock {
    /// Waits for the lock of `folder`.
    ///
    /// # Errors
    /// [`DatasetError::Busy`] after 20 seconds, and whatever keeps the lock file from being made.
    pub(super) fn acquire(folder: &Path) -> Result<Self, DatasetError> {
        Self::acquire_within(folder, PATIENCE)
    }

    fn acquire_within(folder: &Path, patience: Duration) -> Result<Self, DatasetError> {
        let path = state_folder(folder)?.join("lock");
        let failed = |source| DatasetError::from_io("lock", source, &path);
        let started = Instant::now();
        let mut wait = SHORTEST_WAIT;
        loop {
            let file = open(&path, folder)?;
            match file.try_lock() {
                // Somebody may have deleted the file, and others may have locked a new one, since it was opened.
                Ok(()) if is_still_at(&file, &path).map_err(failed)? => {
                    return Ok(Self { _file: Some(file) });
                }
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) if started.elapsed() < patience => {}
                Err(TryLockError::WouldBlock) => return Err(DatasetError::Busy { path }),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(
                        "the file system cannot lock ({error}), so two programs should not save at the same moment: \
                         {}",
                        folder.display()
                    );
                    return Ok(Self { _file: None });
                }
            }
            thread::sleep(wait);
            wait = (wait * 3 / 2).min(LONGEST_WAIT);
        }
    }
}

/// `.samtok` in `folder`, made if it is not there.
fn state_folder(folder: &Path) -> Result<PathBuf, DatasetError> {
    let path = folder.join(STATE_FOLDER);
    make_folder(&path)?;
    Ok(path)
}

/// Makes the folder at `path` with the permissions of the one it is in, so that all who may work there may use it.
pub(super) fn make_folder(path: &Path) -> Result<(), DatasetError> {
    match fs::create_dir(path) {
        Ok(()) => {
            #[cfg(unix)]
            if let Some(permissions) = path.parent().and_then(|parent| fs::metadata(parent).ok()) {
                // A file system that knows no permissions needs none.
                let _shared = fs::set_permissions(path, permissions.permissions());
            }
            Ok(())
        }
        // A link could lead what is written there anywhere.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(DatasetError::NotAFolder {
                path: path.to_path_buf(),
            }),
            Err(error) => Err(DatasetError::from_io("lock", error, path)),
        },
        // Without rights in the folder a system may not even look whether it is there.
        Err(_) if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()) => Ok(()),
        Err(error) => Err(DatasetError::from_io("save", error, path)),
    }
}

/// Opens the lock file, for everybody who may write to `folder`.
fn open(path: &Path, folder: &Path) -> Result<File, DatasetError> {
    let failed = |error| DatasetError::from_io("lock", error, path);
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(DatasetError::NotAFile {
                path: path.to_path_buf(),
            });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match OpenOptions::new().write(true).create_new(true).open(path) {
                Ok(file) => {
                    share(&file, folder);
                    return Ok(file);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(error) => return Err(failed(error)),
    }
    let writable = OpenOptions::new().write(true).open(path);
    match writable {
        // Most systems lock files that may only be read as well.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            File::open(path).or(Err(error)).map_err(failed)
        }
        // Somebody deleted it since: begin again.
        Err(error) if error.kind() == io::ErrorKind::NotFound => open(path, folder),
        result => result.map_err(failed),
    }
}

/// Lets everybody who may write to `folder` write to `file`, since some systems only lock such files.
#[cfg(unix)]
fn share(file: &File, folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;

    if let Ok(folder) = fs::metadata(folder) {
        let permissions = fs::Permissions::from_mode(folder.permissions().mode() & 0o666);
        // A file system that knows no permissions needs none.
        let _shared = file.set_permissions(permissions);
    }
}

#[cfg(not(unix))]
fn share(_file: &File, _folder: &Path) {}

/// Whether the open `file` is the one at `path`.
#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;

    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(identity(found) == identity(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere a file that is open is not deleted.
#[cfg(not(unix))]
fn is_still_at(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_and_again_after_the_holder_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let held = FolderLock::acquire(folder.path()).unwrap();
        let busy = FolderLock::acquire_within(folder.path(), Duration::from_millis(20)).unwrap_err();
        assert!(matches!(&busy, DatasetError::Busy { .. }), "{busy}");
        drop(held);
        FolderLock::acquire_within(folder.path(), Duration::ZERO).unwrap();
    }

    #[test]
    fn nobody_gets_in_between() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for thread in 0..4 {
                let (folder, inside, done) = (folder.path(), &inside, &done);
                scope.spawn(move || {
                    for round in 0..50 {
                        let _lock = FolderLock::acquire(folder).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        if thread == 0 && round % 10 == 0 {
                            // Whoever waits for the deleted file must notice.
                            fs::remove_file(folder.join(".samtok/lock")).unwrap();
                        }
                        inside.fetch_sub(1, Ordering::SeqCst);
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(done.into_inner(), 200);
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_nowhere() {
        use std::os::unix::fs::symlink;

        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(elsewhere.path(), folder.path().join(".samtok")).unwrap();
        let error = FolderLock::acquire(folder.path()).unwrap_err();
        assert!(matches!(&error, DatasetError::NotAFolder { .. }), "{error}");
        fs::remove_file(folder.path().join(".samtok")).unwrap();
        fs::create_dir(folder.path().join(".samtok")).unwrap();
        symlink(elsewhere.path().join("new"), folder.path().join(".samtok/lock")).unwrap();
        let error = FolderLock::acquire(folder.path()).unwrap_err();
        assert!(matches!(&error, DatasetError::NotAFile { .. }), "{error}");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn who_may_save_in_the_folder_may_lock_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o2775)).unwrap();
        drop(FolderLock::acquire(folder.path()).unwrap());
        let mode = |name: &str| {
            fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o7777
        };
        assert_eq!((mode(".samtok"), mode(".samtok/lock")), (0o2775, 0o664));
    }
}
