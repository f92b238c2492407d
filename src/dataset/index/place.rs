//! Where the index is kept: in the folder if possible, else among the user's caches, else in memory.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf, Prefix};

use rusqlite::{Connection, ErrorCode};

use super::super::folder::Folder;
use super::schema::{self, Journal};

/// The folder's own folder for what this program derives.
const OWN_FOLDER: &str = ".samtok";
const FILE_NAME: &str = "index.sqlite";

/// File systems that are served by another machine, as Linux calls them.
const NETWORK_FILE_SYSTEMS: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "lustre",
    "glusterfs",
    "beegfs",
    "gpfs",
];

/// A place for an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A file; the folder it is in may have to be made.
    File { path: PathBuf, journal: Journal },
    /// Nothing that stays.
    Memory,
}

impl Place {
    /// The places for the index of `folder`, best first; `cache` is a folder of the user.
    pub(super) fn all(folder: &Folder, cache: Option<&Path>) -> Vec<Self> {
        // Without links on the way, so that any link there is, is in place of one of our own files.
        let root = folder.canonical();
        let in_folder = Self::File {
            path: root.join(OWN_FOLDER).join(FILE_NAME),
            journal: if is_on_network(root) {
                Journal::Rollback
            } else {
                Journal::WriteAhead
            },
        };
        let in_cache = cache.and_then(|cache| {
            fs::create_dir_all(cache).ok()?;
            let cache = fs::canonicalize(cache).ok()?;
            let name = blake3::hash(root.as_os_str().as_encoded_bytes()).to_hex();
            Some(Self::File {
                path: cache.join(format!("{name}.sqlite")),
                journal: Journal::WriteAhead,
            })
        });
        [Some(in_folder), in_cache, Some(Self::Memory)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Opens the index here; a damaged one, or one of another version, is replaced by an empty one.
    pub(super) fn open(&self) -> rusqlite::Result<Connection> {
        let Self::File { path, journal } = self else {
            return schema::open_in_memory();
        };
        make_own_folder(path).map_err(cannot_open)?;
        match schema::open(path, *journal) {
            Err(error) if is_damage(&error) => {
                tracing::info!("the index is made anew: {error}: {}", path.display());
                self.remove();
                schema::open(path, *journal)
            }
            opened => opened,
        }
    }

    /// Removes the files of the index, as far as possible.
    pub(super) fn remove(&self) {
        let Self::File { path, .. } = self else {
            return;
        };
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut file = OsString::from(path);
            file.push(suffix);
            if let Err(error) = fs::remove_file(&file)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::debug!(
                    "cannot remove a damaged index: {error}: {}",
                    Path::new(&file).display()
                );
            }
        }
    }
}

/// Whether an error says that the file has something else in it than an index of this version.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(
            failure.code,
            ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::TypeMismatch
                | ErrorCode::ConstraintViolation
                // A table is missing.
                | ErrorCode::Unknown
        ),
        _ => true,
    }
}

fn make_own_folder(index: &Path) -> io::Result<()> {
    let Some(own) = index.parent() else {
        return Ok(());
    };
    match fs::create_dir(own) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        // A link would have us write elsewhere.
        _ if fs::symlink_metadata(own)?.is_dir() => Ok(()),
        _ => Err(io::ErrorKind::NotADirectory.into()),
    }
}

fn cannot_open(error: io::Error) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
    rusqlite::Error::SqliteFailure(code, Some(error.to_string()))
}

/// Whether `path` is on another machine, as far as that can be told without asking the system in a special way.
fn is_on_network(path: &Path) -> bool {
    if let Some(Component::Prefix(prefix)) = path.components().next() {
        return matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    file_system(&mounts, path)
        .is_some_and(|kind| NETWORK_FILE_SYSTEMS.contains(&kind) || kind.starts_with("fuse."))
}

/// The kind of file system that `path` is on, by the table of mounts of Linux.
fn file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mounts = mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mount_point = place.split(' ').nth(4)?.replace("\\040", " ");
        let depth = Path::new(&mount_point).components().count();
        path.starts_with(&mount_point)
            .then_some((depth, kind.split(' ').next()?))
    });
    // Of mounts on one place the last one counts, which is what `max_by_key` returns.
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_drives_are_told_from_the_table_of_mounts() {
        let mounts = "\
            22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            40 22 0:50 / /mnt/a\\040b rw shared:2 master:1 - nfs4 server:/x rw\n\
            41 40 0:51 / /mnt/a\\040b/local rw - xfs /dev/sdb rw\n\
            42 22 0:52 / /mnt/z rw - fuse.sshfs host: rw\n\
            broken line\n";
        let cases = [
            ("/home/me", Some("ext4")),
            ("/mnt/a b/photos", Some("nfs4")),
            ("/mnt/a bc", Some("ext4")),
            ("/mnt/a b/local/photos", Some("xfs")),
            ("/mnt/z", Some("fuse.sshfs")),
        ];
        for (path, expected) in cases {
            assert_eq!(file_system(mounts, Path::new(path)), expected, "{path}");
        }
        assert_eq!(file_system("", Path::new("/x")), None);
    }
}
