//! Tests of sidecars on disk: what is refused, and that nothing is lost or left behind.

use super::*;
use crate::dataset::document::{Caption, ImageRef, Region};
use crate::dataset::lock::STATE_FOLDER;
use crate::mask::Mask;

const SIZE: ImageSize = ImageSize::new(4, 3);

fn document(image: &Path) -> Document {
    let mut document = Document::new(ImageRef::new(image, SIZE, None));
    document
        .regions
        .push(Region::new("r1".into(), Mask::full(SIZE).unwrap().to_rle()));
    document
}

/// The names in a folder, sorted, but for the one that holds the lock and the backups.
fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name != STATE_FOLDER)
        .collect();
    names.sort();
    names
}

#[test]
fn the_whole_name_of_the_image_counts() {
    for (image, sidecar) in [
        ("photo.jpg", "photo.jpg.samtok.json"),
        ("a/b.c/photo.tar.png", "a/b.c/photo.tar.png.samtok.json"),
        ("/no extension", "/no extension.samtok.json"),
    ] {
        assert_eq!(sidecar_path(Path::new(image)), Path::new(sidecar));
    }
}

#[test]
fn a_document_is_saved_read_and_saved_again() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let (mut sidecar, none) = Sidecar::load(&image, SIZE).unwrap();
    assert!(none.is_none(), "there is no sidecar yet");
    let mut document = document(&image);
    sidecar.save(&document).unwrap();
    assert_eq!(names(folder.path()), ["photo.jpg.samtok.json"]);
    let first = fs::read(sidecar.path()).unwrap();

    document.notes = "more".into();
    sidecar.save(&document).unwrap();
    let (mut again, read) = Sidecar::load(&image, SIZE).unwrap();
    assert_eq!(read.as_ref(), Some(&document));
    document.notes = String::new();
    again.save(&document).unwrap();
    assert_eq!(fs::read(sidecar.path()).unwrap(), first);
    assert_eq!(names(folder.path()), ["photo.jpg.samtok.json"]);
}

#[test]
fn a_file_that_cannot_be_read_gives_no_way_to_overwrite_it() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let whole = format::write(&document(&image)).unwrap();
    let newer = String::from_utf8(whole.clone())
        .unwrap()
        .replace("\"version\": 1", "\"version\": 2");
    let cases: [(&str, &[u8], &str); 4] = [
        ("truncated", &whole[..whole.len() / 2], "not valid JSON"),
        ("empty", b"", "not valid JSON"),
        ("newer", newer.as_bytes(), "made by a newer version"),
        ("labelme", b"{\"shapes\": []}", "not a SAMTok annotation"),
    ];
    for (what, bytes, part) in cases {
        let path = sidecar_path(&image);
        fs::write(&path, bytes).unwrap();
        let error = Sidecar::load(&image, SIZE).unwrap_err().to_string();
        assert!(
            error.contains(part) && error.ends_with(&path.display().to_string()),
            "{what}: {error}"
        );
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what}");
    }
}

#[test]
fn a_file_that_somebody_else_changed_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    fs::write(&image, "").unwrap();
    let mut mine = document(&image);
    let mut theirs = mine.clone();
    theirs.notes = "theirs".into();

    // Both saw that there was no sidecar; theirs came first.
    let (mut sidecar, _) = Sidecar::load(&image, SIZE).unwrap();
    let (mut other, _) = Sidecar::load(&image, SIZE).unwrap();
    other.save(&theirs).unwrap();
    assert!(matches!(
        sidecar.save(&mine).unwrap_err(),
        DatasetError::ChangedOnDisk { .. }
    ));

    // Both read the same sidecar; theirs came first.
    let (mut sidecar, _) = Sidecar::load(&image, SIZE).unwrap();
    theirs.notes = "theirs again".into();
    other.save(&theirs).unwrap();
    mine.notes = "mine".into();
    assert!(matches!(
        sidecar.save(&mine).unwrap_err(),
        DatasetError::ChangedOnDisk { .. }
    ));
    assert_eq!(Sidecar::load(&image, SIZE).unwrap().1.as_ref(), Some(&theirs));

    // Theirs was damaged after it was read.
    fs::write(other.path(), "{").unwrap();
    assert!(matches!(
        other.save(&mine).unwrap_err(),
        DatasetError::ChangedOnDisk { .. }
    ));

    // Deleting is a change too.
    other.save(&mine).unwrap_err();
    fs::remove_file(other.path()).unwrap();
    assert!(matches!(
        other.save(&mine).unwrap_err(),
        DatasetError::ChangedOnDisk { .. }
    ));
    assert_eq!(names(folder.path()), ["photo.jpg"]);
}

#[test]
fn an_unchanged_document_leaves_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let (mut sidecar, _) = Sidecar::load(&image, SIZE).unwrap();
    sidecar.save(&document(&image)).unwrap();
    let before = fs::metadata(sidecar.path()).unwrap().modified().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    sidecar.save(&document(&image)).unwrap();
    assert_eq!(fs::metadata(sidecar.path()).unwrap().modified().unwrap(), before);
}

#[test]
fn annotations_of_an_image_of_another_size_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let (mut sidecar, _) = Sidecar::load(&image, SIZE).unwrap();
    sidecar.save(&document(&image)).unwrap();
    let error = Sidecar::load(&image, ImageSize::new(3, 4)).unwrap_err();
    assert!(
        matches!(&error, DatasetError::ImageSize { annotated: SIZE, .. }),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("for 4 x 3 pixels and the image has 3 x 4"),
        "{error}"
    );
}

#[test]
fn what_is_in_the_way_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    fs::create_dir(sidecar_path(&image)).unwrap();
    assert!(matches!(
        Sidecar::load(&image, SIZE).unwrap_err(),
        DatasetError::NotAFile { .. }
    ));

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(STATE_FOLDER), "").unwrap();
    let (mut sidecar, _) = Sidecar::load(&folder.path().join("photo.jpg"), SIZE).unwrap();
    let error = sidecar.save(&document(&image)).unwrap_err();
    assert!(matches!(&error, DatasetError::NotAFolder { .. }), "{error}");
    assert_eq!(names(folder.path()).len(), 0);
}

/// The sidecar of `image` as two programs have it open, with the document in it.
fn opened_twice(image: &Path) -> (Sidecar, Sidecar, Document) {
    fs::write(image, "").unwrap();
    let (mut first, _) = Sidecar::load(image, SIZE).unwrap();
    let document = document(image);
    first.save(&document).unwrap();
    let (second, read) = Sidecar::load(image, SIZE).unwrap();
    assert_eq!(read.as_ref(), Some(&document));
    (first, second, document)
}

#[test]
fn what_two_programs_save_comes_together() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let (mut first, mut second, document) = opened_twice(&image);
    let (mut mine, mut theirs) = (document.clone(), document);
    theirs.regions[0].label = "dog".into();
    theirs.notes = "theirs".into();
    theirs.revision = 7;
    assert_eq!(second.save_merging(&theirs).unwrap(), Saved::default());
    mine.regions[0].label = "cat".into();
    mine.regions[0].captions.push(Caption::new("mine".into(), None));
    let saved = first.save_merging(&mine).unwrap();
    let merged = saved.merged.unwrap();
    assert_eq!(
        (merged.notes.as_str(), merged.regions[0].label.as_str()),
        ("theirs", "cat")
    );
    assert_eq!((merged.revision, merged.regions[0].captions.len()), (8, 1));
    assert_eq!(saved.conflicts.len(), 1);
    assert_eq!(Sidecar::load(&image, SIZE).unwrap().1.as_ref(), Some(&merged));
    assert_eq!(first.save_merging(&merged).unwrap(), Saved::default());

    // The other one looks, and goes on from there.
    let refreshed = second.refresh(&theirs).unwrap().unwrap();
    assert_eq!((&refreshed.document, refreshed.conflicts.len()), (&merged, 0));
    assert_eq!(second.refresh(&merged).unwrap(), None);
    second.save(&merged).unwrap();
    let mut theirs = merged;
    theirs.notes = "theirs again".into();
    second.save(&theirs).unwrap();

    // Neither knew of a file, and both made one.
    let image = folder.path().join("new.jpg");
    fs::write(&image, "").unwrap();
    let [(mut first, _), (mut second, _)] = [(); 2].map(|()| Sidecar::load(&image, SIZE).unwrap());
    let (mut mine, theirs) = (self::document(&image), self::document(&image));
    mine.regions[0].label = "other".into();
    second.save_merging(&theirs).unwrap();
    let saved = first.save_merging(&mine).unwrap();
    assert_eq!(
        (saved.merged.unwrap().regions.len(), saved.conflicts.len()),
        (2, 0)
    );
}

#[test]
fn what_cannot_be_merged_stays_and_can_be_saved_later() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let (mut first, mut second, mut document) = opened_twice(&image);
    document.notes = "mine".into();
    let good = fs::read(first.path()).unwrap();
    fs::write(first.path(), "{").unwrap();
    let error = first.save_merging(&document).unwrap_err();
    assert!(matches!(&error, DatasetError::Format { .. }), "{error}");
    assert!(matches!(
        first.refresh(&document).unwrap_err(),
        DatasetError::Format { .. }
    ));
    assert_eq!(fs::read(first.path()).unwrap(), b"{");
    fs::write(first.path(), good).unwrap();
    assert_eq!(first.save_merging(&document).unwrap(), Saved::default());

    let mut other_size = self::document(&image);
    other_size.regions.clear();
    other_size.image.size = ImageSize::new(3, 4);
    let error = second.save_merging(&other_size).unwrap_err();
    assert!(matches!(&error, DatasetError::ImageSize { .. }), "{error}");

    // Deleted by somebody: what is known here is written again.
    fs::remove_file(first.path()).unwrap();
    assert_eq!(first.refresh(&document).unwrap(), None);
    document.notes = "more".into();
    let saved = first.save_merging(&document).unwrap();
    assert_eq!(saved.conflicts.len(), 1);
    assert!(
        saved.conflicts[0]
            .to_string()
            .contains("deleted by another program")
    );
    assert_eq!(Sidecar::load(&image, SIZE).unwrap().1, Some(document));
}

#[test]
fn what_vanished_is_not_made_anew_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let share = folder.path().join("share");
    fs::create_dir(&share).unwrap();
    let image = share.join("photo.jpg");
    let (mut sidecar, _, mut document) = opened_twice(&image);
    document.notes = "mine".into();
    // A share that is gone leaves its empty mount point, or nothing.
    let away = folder.path().join("away");
    fs::rename(&share, &away).unwrap();
    fs::create_dir(&share).unwrap();
    for is_there in [true, false] {
        if !is_there {
            fs::remove_dir(&share).unwrap();
        }
        for result in [
            sidecar.save(&document),
            sidecar.save_merging(&document).map(|_| ()),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(&error, DatasetError::Vanished { .. }), "{error}");
        }
    }
    let (mut new, _) = Sidecar::load(&image, SIZE).unwrap();
    assert!(matches!(
        new.save(&document).unwrap_err(),
        DatasetError::Vanished { .. }
    ));
    assert!(!share.exists());
    fs::rename(&away, &share).unwrap();
    sidecar.save(&document).unwrap();
}

#[test]
fn long_and_unusual_names_work_up_to_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let longest = 255 - SUFFIX.len();
    for name in [
        "x".repeat(longest),
        "ü".repeat(longest / 2),
        "写真🦀 — a b\t'\"[[r1]].jpg".to_owned(),
        "e\u{301}\u{200d}.png".to_owned(),
        "..jpg".to_owned(),
        " ".to_owned(),
    ] {
        let image = folder.path().join(&name);
        fs::write(&image, "").unwrap();
        let (mut sidecar, _) = Sidecar::load(&image, SIZE).unwrap();
        let mut document = document(&image);
        sidecar.save(&document).unwrap();
        document.notes = "second".into();
        sidecar.save(&document).unwrap();
        assert_eq!(Sidecar::load(&image, SIZE).unwrap().1, Some(document), "{name}");
        assert_eq!(Sidecar::backups(sidecar.path()).unwrap().len(), 1, "{name}");
    }
    let image = folder.path().join("x".repeat(longest + 1));
    fs::write(&image, "").unwrap();
    let error = Sidecar::load(&image, SIZE).unwrap_err();
    assert!(matches!(&error, DatasetError::NameTooLong { .. }), "{error}");
}

#[test]
fn earlier_versions_are_kept_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let (sidecar, _, mut document) = opened_twice(&image);
    let mut sidecar = sidecar.with_backups(BackupPolicy {
        versions: 3,
        ..BackupPolicy::default()
    });
    for step in 1..=6 {
        document.notes = step.to_string();
        sidecar.save(&document).unwrap();
    }
    let backups = Sidecar::backups(sidecar.path()).unwrap();
    let notes = |backup: &Backup| backup.read().unwrap().notes;
    assert_eq!((backups.len(), backups[0].number), (3, 6));
    assert_eq!(
        (notes(&backups[0]).as_str(), notes(&backups[2]).as_str()),
        ("5", "")
    );

    let (mut restored, read) = Sidecar::restore(sidecar.path(), &backups[2]).unwrap();
    assert_eq!((read.notes.as_str(), names(folder.path()).len()), ("", 2));
    assert_eq!(
        notes(&Sidecar::backups(sidecar.path()).unwrap()[0]),
        "6",
        "what was there is kept"
    );
    assert!(matches!(
        sidecar.save(&document).unwrap_err(),
        DatasetError::ChangedOnDisk { .. }
    ));
    document.notes = "after".into();
    restored.save(&document).unwrap();

    // A damaged file is replaced, and kept for good.
    fs::write(sidecar.path(), "{").unwrap();
    let newest = Sidecar::backups(sidecar.path()).unwrap().remove(0);
    let (mut restored, read) = Sidecar::restore(sidecar.path(), &newest).unwrap();
    assert_eq!(read.notes, "");
    for step in 0..9 {
        document.notes = step.to_string();
        restored.save(&document).unwrap();
    }
    let backups = Sidecar::backups(sidecar.path()).unwrap();
    let damaged: Vec<_> = backups.iter().filter(|backup| backup.is_damaged).collect();
    assert_eq!((damaged.len(), backups.len()), (1, 6));
    assert_eq!(fs::read(damaged[0].path()).unwrap(), b"{");
    let error = Sidecar::restore(sidecar.path(), damaged[0]).unwrap_err();
    assert!(matches!(&error, DatasetError::Format { .. }), "{error}");
}

#[test]
fn backups_have_bounds_and_may_fail() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let (sidecar, _, mut document) = opened_twice(&image);
    let policy = |versions, max_bytes| BackupPolicy { versions, max_bytes };
    let mut sidecar = sidecar.with_backups(policy(0, u64::MAX));
    document.notes = "x".repeat(1000);
    sidecar.save(&document).unwrap();
    assert_eq!(Sidecar::backups(sidecar.path()).unwrap(), []);
    let bytes = fs::metadata(sidecar.path()).unwrap().len();
    for (versions, max_bytes, expected) in [
        (9, 3 * bytes + 9, 3),
        (9, bytes + 9, 1),
        (9, bytes / 2, 0),
        (1, u64::MAX, 1),
    ] {
        sidecar = sidecar.with_backups(policy(versions, max_bytes));
        for step in 0..5 {
            document.notes = format!("{step}{}", "x".repeat(999));
            sidecar.save(&document).unwrap();
        }
        let backups = Sidecar::backups(sidecar.path()).unwrap();
        assert_eq!(backups.len(), expected, "{versions} versions, {max_bytes} bytes");
        assert!(backups.iter().map(|backup| backup.bytes).sum::<u64>() <= max_bytes);
    }
    // What was edited is saved all the same.
    let state = folder.path().join(STATE_FOLDER);
    fs::remove_dir_all(state.join("backup")).unwrap();
    fs::write(state.join("backup"), "in the way").unwrap();
    document.notes = "last".into();
    sidecar.save(&document).unwrap();
    assert_eq!(Sidecar::load(&image, SIZE).unwrap().1, Some(document));
}

#[test]
fn a_save_waits_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let (mut sidecar, _, mut document) = opened_twice(&image);
    document.notes = "mine".into();
    let lock = FolderLock::acquire(folder.path()).unwrap();
    std::thread::scope(|scope| {
        let save = scope.spawn(|| sidecar.save(&document).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!save.is_finished());
        drop(lock);
    });
}

#[cfg(unix)]
#[test]
fn links_and_permissions_stay_as_they_are() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let target = folder.path().join("elsewhere.json");
    fs::write(&target, format::write(&document(&image)).unwrap()).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&target, sidecar_path(&image)).unwrap();
    let (mut sidecar, document) = Sidecar::load(&image, SIZE).unwrap();
    let mut document = document.unwrap();
    document.notes = "new".into();
    sidecar.save(&document).unwrap();
    assert!(sidecar.path().is_symlink(), "the link must still be one");
    assert!(
        fs::read_to_string(&target)
            .unwrap()
            .contains("\"notes\": \"new\"")
    );
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);

    fs::set_permissions(&target, fs::Permissions::from_mode(0o440)).unwrap();
    document.notes = "newer".into();
    assert!(matches!(
        sidecar.save(&document).unwrap_err(),
        DatasetError::PermissionDenied { .. }
    ));

    let other = folder.path().join("other.jpg");
    symlink(folder.path().join("nowhere.json"), sidecar_path(&other)).unwrap();
    assert!(matches!(
        Sidecar::load(&other, SIZE).unwrap_err(),
        DatasetError::Io { action: "read", .. }
    ));
}

#[cfg(unix)]
#[test]
fn a_new_file_can_be_read_by_others_as_any_file_can() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("photo.jpg");
    let (mut sidecar, _) = Sidecar::load(&image, SIZE).unwrap();
    sidecar.save(&document(&image)).unwrap();
    fs::write(&image, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(sidecar.path()), mode(&image));
}

/// A file system of 64 KiB, mounted for one test.
#[cfg(target_os = "linux")]
struct SmallDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    /// `None`, said aloud, where this user may not mount.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(folder.path())
            .stderr(std::process::Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        writeln!(io::stderr(), "SKIPPED: mounting a small disk needs root").unwrap();
        None
    }

    fn remount_read_only(&self) {
        let mut remount = std::process::Command::new("mount");
        assert!(
            remount
                .args(["-o", "remount,ro"])
                .arg(self.0.path())
                .status()
                .unwrap()
                .success()
        );
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _left_mounted_if_this_fails = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_or_read_only_disk_keeps_the_old_file_whole() {
    let Some(disk) = SmallDisk::mount() else { return };
    let image = disk.0.path().join("photo.jpg");
    let (mut sidecar, _) = Sidecar::load(&image, SIZE).unwrap();
    let mut document = document(&image);
    sidecar.save(&document).unwrap();
    let saved = fs::read(sidecar.path()).unwrap();

    document.notes = "x".repeat(100_000);
    let error = sidecar.save(&document).unwrap_err();
    assert!(matches!(&error, DatasetError::DiskFull { .. }), "{error}");
    assert_eq!(fs::read(sidecar.path()).unwrap(), saved);
    assert_eq!(names(disk.0.path()), ["photo.jpg.samtok.json"]);
    assert_eq!(
        Sidecar::backups(sidecar.path()).unwrap(),
        [],
        "nothing was changed, nothing is kept"
    );

    // A merge that finds no room is made again later.
    let (mut other, read) = Sidecar::load(&image, SIZE).unwrap();
    let mut theirs = read.unwrap();
    theirs.regions[0].label = "theirs".into();
    other.save(&theirs).unwrap();
    let error = sidecar.save_merging(&document).unwrap_err();
    assert!(matches!(&error, DatasetError::DiskFull { .. }), "{error}");
    document.notes = "short".into();
    let merged = sidecar.save_merging(&document).unwrap().merged.unwrap();
    assert_eq!(
        (merged.notes.as_str(), merged.regions[0].label.as_str()),
        ("short", "theirs")
    );
    document = merged;
    disk.remount_read_only();
    let (mut sidecar, read) = Sidecar::load(&image, SIZE).unwrap();
    assert_eq!(read.as_ref(), Some(&document));
    sidecar.save(&document).unwrap();
    document.notes = "shorter".into();
    let error = sidecar.save(&document).unwrap_err();
    assert!(matches!(&error, DatasetError::ReadOnly { .. }), "{error}");
    let (mut new, _) = Sidecar::load(&disk.0.path().join("new.jpg"), SIZE).unwrap();
    let error = new.save(&document).unwrap_err();
    assert!(matches!(&error, DatasetError::ReadOnly { .. }), "{error}");
    assert!(
        fs::read_to_string(sidecar.path())
            .unwrap()
            .contains("\"notes\": \"short\"")
    );
}
