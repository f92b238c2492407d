use std::fs;

use super::*;

fn make(root: &Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.images.iter().map(|image| image.name.as_str()).collect()
}

#[test]
fn images_are_listed_in_natural_order_and_the_rest_is_not() {
    let root = tempfile::tempdir().unwrap();
    make(
        root.path(),
        &[
            "10.png",
            "9.JPG",
            "9.JPG.samtok.json",
            "gone.png.samtok.json",
            "notes.txt",
            "notes.txt.samtok.json",
            "png",
            ".hidden.png",
            ".samtok/thumbnail.png",
            "@eaDir/thumbnail.png",
            "b/2.tiff",
            "b/c/1.webp",
            "b/c/1.webp.samtok.json",
            "folder.png/1.bmp",
        ],
    );
    let listing = Folder::open(root.path()).unwrap().list();
    assert_eq!(
        names(&listing),
        ["9.JPG", "10.png", "b/2.tiff", "b/c/1.webp", "folder.png/1.bmp"]
    );
    let annotated = listing.images.iter().filter(|image| image.has_sidecar);
    assert_eq!(
        annotated.map(|image| image.name.as_str()).collect::<Vec<_>>(),
        ["9.JPG", "b/c/1.webp"]
    );
    assert_eq!(listing.missing, ["gone.png"]);
    assert!(listing.problems.is_empty(), "{:?}", listing.problems);
}

#[test]
fn what_is_no_folder_is_not_opened() {
    let root = tempfile::tempdir().unwrap();
    make(root.path(), &["a.png"]);
    let error = Folder::open(&root.path().join("a.png")).unwrap_err();
    assert!(error.to_string().starts_with("this is not a folder"), "{error}");
    let error = Folder::open(&root.path().join("b")).unwrap_err();
    assert!(error.to_string().ends_with("b"), "{error}");
}

#[test]
fn names_and_paths_belong_together() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::open(root.path()).unwrap();
    for name in ["a.png", "b/c d/é.png", "宽.png"] {
        let path = folder.path_of(name).unwrap();
        assert!(path.starts_with(root.path()));
        assert_eq!(folder.name_of(&path).as_deref(), Some(name));
    }
    assert_eq!(folder.name_of(folder.path()).as_deref(), Some(""));
    assert_eq!(
        folder
            .name_of(&fs::canonicalize(root.path()).unwrap().join("a"))
            .as_deref(),
        Some("a")
    );
    for name in [
        "",
        ".",
        "..",
        "a/../b.png",
        "/a.png",
        "a//b.png",
        "a/",
        "./a.png",
        ".samtok/a.png",
    ] {
        assert_eq!(folder.path_of(name), None, "{name}");
    }
    for path in ["..", "../x.png", ".samtok/index.sqlite", "a/.b/c.png"] {
        assert_eq!(folder.name_of(&root.path().join(path)), None, "{path}");
    }
    assert_eq!(folder.name_of(Path::new("elsewhere/a.png")), None);
}

#[test]
fn a_walk_goes_on_where_it_stopped() {
    let root = tempfile::tempdir().unwrap();
    let all: Vec<String> = (0..700).map(|number| format!("{number}.png")).collect();
    make(root.path(), &all.iter().map(String::as_str).collect::<Vec<_>>());
    make(root.path(), &["sub/x.png", "known/y.png"]);
    let folder = Folder::open(root.path()).unwrap();
    let known = HashSet::from(["known".to_owned()]);
    let mut walk = folder.walk_from(vec!["vanished".to_owned(), String::new()], known);
    let mut found = Vec::new();
    let mut pauses = 0;
    while !walk.is_done() {
        match walk.step(Some(std::time::Instant::now())) {
            Some(contents) => found.push((contents.name, contents.is_complete, contents.images.len())),
            None => pauses += 1,
        }
    }
    found.sort();
    let expected = [("", true, 700), ("sub", true, 1), ("vanished", false, 0)];
    assert_eq!(
        found,
        expected.map(|(name, complete, images)| (name.to_owned(), complete, images))
    );
    assert!(pauses >= 2, "{pauses}");
}

#[cfg(unix)]
#[test]
fn links_to_images_are_images_and_links_to_folders_are_reported() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    make(root.path(), &["a/1.png"]);
    make(elsewhere.path(), &["2.png"]);
    symlink(elsewhere.path().join("2.png"), root.path().join("2.png")).unwrap();
    symlink(root.path(), root.path().join("a/loop")).unwrap();
    symlink(elsewhere.path(), root.path().join("outside")).unwrap();
    symlink(root.path().join("nowhere"), root.path().join("broken.png")).unwrap();
    let listing = Folder::open(root.path()).unwrap().list();
    assert_eq!(names(&listing), ["2.png", "a/1.png"]);
    let mut problems: Vec<String> = listing.problems.iter().map(ToString::to_string).collect();
    problems.sort();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].contains("not followed") && problems[0].ends_with("/a/loop"),
        "{problems:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_unicode_are_reported() {
    use std::os::unix::ffi::OsStrExt as _;
    let root = tempfile::tempdir().unwrap();
    make(root.path(), &["a.png"]);
    for name in [&b"\xff.png"[..], b"\xff.txt", b".\xff.png"] {
        fs::write(root.path().join(std::ffi::OsStr::from_bytes(name)), b"").unwrap();
    }
    fs::create_dir(root.path().join(std::ffi::OsStr::from_bytes(b"\xfe"))).unwrap();
    let listing = Folder::open(root.path()).unwrap().list();
    assert_eq!(names(&listing), ["a.png"]);
    assert_eq!(listing.problems.len(), 2, "{:?}", listing.problems);
    assert!(matches!(&listing.problems[0], FolderProblem::NotUnicode { .. }));
}
