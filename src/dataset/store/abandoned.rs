//! Clearing away what programs that were killed left half-written.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::dataset::folder::Folder;
use crate::dataset::lock::STATE_FOLDER;

/// A file that is being written is never this old, even where the clocks of computers differ.
const ABANDONED_AFTER: Duration = Duration::from_hours(24);

/// Removes the temporary files of killed programs, a day old or more, from the folders that the images `names` of
/// `folder` are in, and from their `.samtok`; answers how many.
///
/// Such files do no harm, so what cannot be read or removed is left; call it where a folder is opened for writing.
pub fn remove_abandoned<'n>(folder: &Folder, names: impl IntoIterator<Item = &'n str>) -> usize {
    let parents = names
        .into_iter()
        .map(|name| name.rsplit_once('/').map_or("", |(parent, _)| parent));
    let mut parents: Vec<&str> = parents.collect();
    parents.sort_unstable();
    parents.dedup();
    let paths = parents.into_iter().map(|parent| match parent {
        "" => Some(folder.path().to_path_buf()),
        parent => folder.path_of(parent),
    });
    paths.flatten().map(|path| remove_from(&path)).sum()
}

fn remove_from(folder: &Path) -> usize {
    remove_older_than(folder, ABANDONED_AFTER)
        + remove_older_than(&folder.join(STATE_FOLDER), ABANDONED_AFTER)
}

fn remove_older_than(folder: &Path, age: Duration) -> usize {
    let now = SystemTime::now();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_abandoned = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let is_temporary = name
            .to_str()
            .is_some_and(|name| name.starts_with(".samtok-") && name.ends_with(".tmp"));
        is_temporary
            && entry.metadata().is_ok_and(|metadata| {
                let modified = metadata.modified();
                let is_old = modified
                    .is_ok_and(|modified| now.duration_since(modified).is_ok_and(|elapsed| elapsed >= age));
                metadata.is_file() && is_old
            })
    };
    entries
        .filter(is_abandoned)
        .filter(|entry| fs::remove_file(entry.path()).is_ok())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_temporary_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - Duration::from_hours(48);
        fs::create_dir(folder.path().join(STATE_FOLDER)).unwrap();
        for (name, is_old) in [
            (".samtok-aaaaaa.tmp", true),
            (".samtok/.samtok-aaaaaa.tmp", true),
            (".samtok-bbbbbb.tmp", false),
            ("photo.jpg", true),
            ("x.samtok-c.tmp", true),
            (".samtok-notes", true),
        ] {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            if is_old {
                file.set_modified(old).unwrap();
            }
        }
        let opened = Folder::open(folder.path()).unwrap();
        assert_eq!(
            remove_abandoned(&opened, ["photo.jpg", "a/b.jpg", "photo.png"]),
            2
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 5);
        assert_eq!(remove_abandoned(&opened, ["missing/a.jpg"]), 0);
    }
}
