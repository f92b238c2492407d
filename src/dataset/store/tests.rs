//! Tests of sidecars on disk: what is refused, and that nothing is lost or left behind.

use super::*;
use crate::dataset::document::{ImageRef, Region};
use crate::mask::Mask;

const SIZE: ImageSize = ImageSize::new(4, 3);

fn document(image: &Path) -> Document {
    let mut document = Document::new(ImageRef::new(image, SIZE, None));
    document
        .regions
        .push(Region::new("r1".into(), Mask::full(SIZE).unwrap().to_rle()));
    document
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<OsString> {
    let mut names: Vec<OsString> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
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
    assert_eq!(names(folder.path()).len(), 0);
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

    let (mut sidecar, _) = Sidecar::load(&folder.path().join("missing/photo.jpg"), SIZE).unwrap();
    let error = sidecar.save(&document(&image)).unwrap_err();
    assert!(
        matches!(&error, DatasetError::Io { action: "save", .. }),
        "{error}"
    );
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

    document.notes = "short".into();
    sidecar.save(&document).unwrap();
    disk.remount_read_only();
    document.notes = "shorter".into();
    let error = sidecar.save(&document).unwrap_err();
    assert!(matches!(&error, DatasetError::PermissionDenied { .. }), "{error}");
    assert!(
        fs::read_to_string(sidecar.path())
            .unwrap()
            .contains("\"notes\": \"short\"")
    );
}
