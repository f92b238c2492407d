use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::dataset::document::{Caption, Conversation, Document, ImageRef, MaskWords, Region, Turn};
use crate::dataset::vocabulary::{Role, Status, Task};
use crate::dataset::{format, sidecar_path};
use crate::geometry::ImageSize;
use crate::mask::Mask;

const STEP: Duration = Duration::from_millis(50);

/// A folder whose files have time stamps of long ago, each another one, unless a test says otherwise.
struct Sample {
    temporary: tempfile::TempDir,
    clock: Cell<u64>,
}

impl Sample {
    /// Images with these names.
    fn new(names: &[&str]) -> Self {
        let sample = Self {
            temporary: tempfile::tempdir().unwrap(),
            clock: Cell::new(0),
        };
        for name in names {
            sample.write(name, b"image");
        }
        sample
    }

    fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    fn folder(&self) -> Folder {
        Folder::open(self.temporary.path()).unwrap()
    }

    fn index_file(&self) -> PathBuf {
        self.path(".samtok/index.sqlite")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        self.settle(&path);
    }

    /// Gives a file and the folders around it time stamps of long ago that they never had before.
    fn settle(&self, path: &Path) {
        for path in path
            .ancestors()
            .take_while(|path| path.starts_with(self.temporary.path()))
        {
            self.clock.set(self.clock.get() + 1);
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + self.clock.get());
            if path.is_file() {
                File::options()
                    .append(true)
                    .open(path)
                    .unwrap()
                    .set_modified(time)
                    .unwrap();
            } else if cfg!(unix) && path.exists() {
                File::open(path).unwrap().set_modified(time).unwrap();
            }
        }
    }

    fn annotate(&self, name: &str, document: &Document) {
        let sidecar = sidecar_path(Path::new(name));
        self.write(sidecar.to_str().unwrap(), &format::write(document).unwrap());
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
        self.settle(self.path(name).parent().unwrap());
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
        self.settle(self.path(from).parent().unwrap());
        self.settle(self.path(to).parent().unwrap());
    }

    /// The index after an indexer went through everything.
    fn index(&self) -> Index {
        self.open().0
    }

    fn open(&self) -> (Index, Indexer) {
        let mut index = Index::open(&self.folder(), None).unwrap();
        let mut indexer = Indexer::new(&self.folder());
        run(&mut index, &mut indexer);
        (index, indexer)
    }
}

/// Steps until there is nothing to do, and says whether anything changed.
fn run(index: &mut Index, indexer: &mut Indexer) -> bool {
    let mut has_changed = false;
    for _ in 0..10_000 {
        let progress = indexer.step(index, STEP).unwrap();
        has_changed |= progress.has_changed;
        if progress.stage == Stage::Idle {
            return has_changed;
        }
    }
    panic!("the indexer does not come to an end");
}

/// A document with one region for each label and IoU, a caption each, and a conversation about it.
fn document(status: Status, regions: &[(&str, f32)], text: &str) -> Document {
    let size = ImageSize::new(4, 3);
    let mut document = Document::new(ImageRef::new(Path::new("x.png"), size, None));
    document.status = status;
    document.notes = "a note".to_owned();
    let tokenizer = document.tokenizer_id("nano", "abc", 256, 2);
    for (number, &(label, iou)) in (0..).zip(regions) {
        let rle = Mask::full(size).unwrap().to_rle();
        let mut region = Region::new(document.next_region_id(), rle.clone());
        region.label = label.to_owned();
        region.words = Some(MaskWords::new(
            String::new(),
            vec![7, number],
            tokenizer.clone(),
            Some(iou),
            &rle,
        ));
        region.captions.push(Caption::new(text.to_owned(), None));
        document.regions.push(region);
    }
    if !text.is_empty() {
        let mut conversation = Conversation::new("c1".to_owned(), Task::Free);
        conversation
            .turns
            .push(Turn::new(Role::User, format!("Ask about\n{text}")));
        document.conversations.push(conversation);
    }
    document
}

fn names(index: &mut Index, filter: &Filter) -> Vec<String> {
    let selection = index.select(filter).unwrap();
    let rows = index.page(&selection, 0..selection.len()).unwrap();
    rows.into_iter().map(|row| row.name).collect()
}

fn find(index: &mut Index, typed: &str) -> Vec<String> {
    names(index, &Filter::parse(typed).unwrap())
}

/// Everything that an index says, without the numbers it gave to images.
fn contents(index: &mut Index) -> Vec<String> {
    let selection = index.select(&Filter::default()).unwrap();
    let rows = index.page(&selection, 0..selection.len()).unwrap();
    let mut lines: Vec<String> = rows
        .into_iter()
        .map(|row| {
            let counts = (row.regions, row.captions, row.conversations, row.lowest_iou);
            let (problem, sidecar) = (row.problem, (row.has_sidecar, row.is_read));
            format!(
                "{} {sidecar:?} {:?} {counts:?} {problem:?} {:?}",
                row.name, row.status, row.image_bytes
            )
        })
        .collect();
    lines.push(format!("{:?}", index.labels().unwrap()));
    lines.push(format!("{:?}", index.codes().unwrap()));
    for text in ["deep", "note", "划痕", "a"] {
        lines.push(format!("{text} {:?}", find(index, text)));
    }
    lines
}

/// Compares line by line, because all of it is too much to read.
fn assert_same(found: &[String], expected: &[String], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

/// What an index says that was made anew, elsewhere.
fn fresh_contents(folder: &Folder) -> Vec<String> {
    let mut index = Index::open(folder, None).unwrap();
    index.connection = schema::open_in_memory().unwrap();
    run(&mut index, &mut Indexer::new(folder));
    contents(&mut index)
}

#[test]
fn an_index_knows_what_sidecars_say() {
    let sample = Sample::new(&[
        "img10.png",
        "img2.png",
        "sub/a.jpg",
        "img1.PNG",
        "none.txt",
        ".hidden.png",
    ]);
    sample.annotate(
        "img2.png",
        &document(
            Status::Done,
            &[("dent", 0.9), ("dent", 0.7), ("rust", 0.8)],
            "Deep",
        ),
    );
    sample.annotate("sub/a.jpg", &document(Status::Approved, &[("rust", 1.0)], ""));
    sample.write("img1.PNG.samtok.json", b"{}");
    sample.write("missing.png.samtok.json", b"{}");
    let mut index = sample.index();
    assert_eq!(
        index.file(),
        Some(&*fs::canonicalize(sample.index_file()).unwrap())
    );
    let all = index.select(&Filter::default()).unwrap();
    let rows = index.page(&all, 0..100).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["img1.PNG", "img2.png", "img10.png", "sub/a.jpg"]);
    let (broken, two) = (&rows[0], &rows[1]);
    assert!(
        broken.problem.as_ref().unwrap().contains("samtok-annotation"),
        "{broken:?}"
    );
    assert_eq!(
        (two.status, two.regions, two.captions),
        (Some(Status::Done), 3, 3)
    );
    assert_eq!((two.conversations, two.image_bytes), (1, Some(5)));
    assert!((two.lowest_iou.unwrap() - 0.7).abs() < 1e-6);
    assert_eq!(
        (rows[2].has_sidecar, rows[2].is_read, rows[2].status),
        (false, true, None)
    );
    assert_eq!((all.position(rows[2].id), all.len()), (Some(2), 4));
    assert_eq!(index.page(&all, 3..50).unwrap().len(), 1);
    assert_eq!(index.image("sub/a.jpg").unwrap().as_ref(), Some(&rows[3]));
    assert_eq!(index.image("sub/b.jpg").unwrap(), None);

    let counts = index.status_counts().unwrap();
    assert_eq!(counts.by_status, [(Status::Done, 1), (Status::Approved, 1)]);
    assert_eq!(
        (counts.without, counts.unread, counts.unreadable, counts.total()),
        (1, 0, 1, 4)
    );
    let label = |label: &str, images, regions| LabelCount {
        label: label.to_owned(),
        images,
        regions,
    };
    assert_eq!(
        index.labels().unwrap(),
        [label("dent", 1, 2), label("rust", 2, 2)]
    );
    let code = |depth, code, regions| CodeCount {
        fingerprint: "abc".to_owned(),
        depth,
        code,
        regions,
    };
    assert_eq!(
        index.codes().unwrap(),
        [code(0, 7, 4), code(1, 0, 2), code(1, 1, 1), code(1, 2, 1)]
    );
}

#[test]
fn filters_find_what_they_say() {
    let sample = Sample::new(&["a1.png", "a2.png", "a10.png", "b/宽划痕.png", "b/c.png"]);
    sample.annotate(
        "a1.png",
        &document(Status::Done, &[("dent", 0.9)], "A DEEP  scratch"),
    );
    sample.annotate(
        "a2.png",
        &document(Status::Draft, &[("Dent", 0.5)], "左边的划痕有多深"),
    );
    sample.annotate("b/c.png", &document(Status::Done, &[], ""));
    sample.write("a10.png.samtok.json", b"broken");
    let mut index = sample.index();
    let (chinese, empty) = ("b/宽划痕.png", Vec::new());
    let cases: [(&str, Vec<&str>); 31] = [
        ("", vec!["a1.png", "a2.png", "a10.png", "b/c.png", chinese]),
        ("status:done", vec!["a1.png", "b/c.png"]),
        ("status:done status:draft", vec!["a1.png", "a2.png", "b/c.png"]),
        ("status:rejected", empty.clone()),
        ("label:dent", vec!["a1.png"]),
        ("label:nothing", empty.clone()),
        ("is:empty", vec!["b/c.png", chinese]),
        ("is:annotated", vec!["a1.png", "a2.png"]),
        ("is:unreadable", vec!["a10.png"]),
        ("iou:0.6", vec!["a2.png"]),
        ("iou:0.5", empty.clone()),
        ("deep", vec!["a1.png"]),
        ("\"deep scratch\"", vec!["a1.png"]),
        ("scratch deep", vec!["a1.png"]),
        ("\"scratch deep\"", empty.clone()),
        // The end of one text and the beginning of the next.
        ("\"scratch dent\"", empty.clone()),
        ("DENT", vec!["a1.png", "a2.png"]),
        ("ep", vec!["a1.png"]),
        ("划痕", vec!["a2.png", chinese]),
        ("痕有", vec!["a2.png"]),
        ("痕", vec!["a2.png", chinese]),
        ("痕划", empty.clone()),
        ("note status:done", vec!["a1.png", "b/c.png"]),
        ("b/", vec!["b/c.png", chinese]),
        ("a1", vec!["a1.png", "a10.png"]),
        ("<A1.*png$>", vec!["a1.png", "a10.png"]),
        ("<a1.*png$> is:annotated", vec!["a1.png"]),
        ("#3", vec!["a10.png"]),
        ("#0", empty.clone()),
        ("#6", empty.clone()),
        ("% \" * ' [", empty),
    ];
    for (typed, expected) in cases {
        assert_eq!(find(&mut index, typed), expected, "{typed}");
    }
}

#[test]
fn neighbours_are_found_from_anywhere() {
    let sample = Sample::new(&["1.png", "2.png", "3.png", "10.png"]);
    sample.annotate("2.png", &document(Status::Done, &[], ""));
    sample.annotate("10.png", &document(Status::Done, &[], ""));
    let mut index = sample.index();
    let done = Filter::parse("status:done").unwrap();
    let mut neighbour = |filter: &Filter, name: &str, direction| {
        index
            .neighbour(filter, name, direction)
            .unwrap()
            .map(|row| row.name)
    };
    use Direction::{Next, Previous};
    assert_eq!(neighbour(&done, "1.png", Next).unwrap(), "2.png");
    assert_eq!(neighbour(&done, "2.png", Next).unwrap(), "10.png");
    assert_eq!(neighbour(&done, "3.png", Previous).unwrap(), "2.png");
    assert_eq!(neighbour(&done, "10.png", Next), None);
    assert_eq!(
        neighbour(&Filter::default(), "2a, not there.png", Next).unwrap(),
        "3.png"
    );
    assert_eq!(
        neighbour(&Filter::parse("<3>").unwrap(), "10.png", Previous).unwrap(),
        "3.png"
    );
}

#[test]
fn the_list_is_there_before_sidecars_are_read() {
    let names: Vec<String> = (0..300).map(|number| format!("{number}.png")).collect();
    let sample = Sample::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        sample.annotate(name, &document(Status::Done, &[("dent", 1.0)], "deep"));
    }
    let mut index = Index::open(&sample.folder(), None).unwrap();
    let mut indexer = Indexer::new(&sample.folder());
    let mut has_unread_list = false;
    loop {
        let progress = indexer.step(&mut index, Duration::ZERO).unwrap();
        let counts = index.status_counts().unwrap();
        has_unread_list |= counts.total() == 300 && counts.unread > 200;
        assert!(
            progress.total.is_none_or(|total| progress.done <= total),
            "{progress:?}"
        );
        if progress.stage == Stage::Idle {
            break;
        }
    }
    assert!(has_unread_list);
    assert_eq!(index.status_counts().unwrap().by_status, [(Status::Done, 300)]);
    assert_eq!(find(&mut index, "is:empty"), [""; 0]);
}

/// The three ways to learn of a change.
fn catch_up(index: &mut Index, indexer: &mut Indexer, way: usize, noted: &[PathBuf]) -> bool {
    match way {
        0 => indexer.rescan(Rescan::Everything),
        1 => indexer.rescan(Rescan::ChangedFolders),
        _ => noted.iter().for_each(|path| indexer.note_changed(path)),
    }
    run(index, indexer)
}

#[test]
fn changes_are_found_in_every_way() {
    for way in 0..3 {
        let sample = Sample::new(&["a.png", "b.png", "c.png", "sub/deep/d.png", "sub/e.png"]);
        sample.annotate("a.png", &document(Status::Done, &[("dent", 0.9)], "deep"));
        sample.annotate("b.png", &document(Status::Done, &[("rust", 0.9)], "deep"));
        let (mut index, mut indexer) = sample.open();
        assert!(
            !catch_up(&mut index, &mut indexer, way, &[]),
            "nothing changed, way {way}"
        );

        sample.annotate("c.png", &document(Status::Approved, &[], ""));
        sample.annotate("a.png", &document(Status::Rejected, &[("hole", 0.9)], "划痕"));
        sample.remove("b.png.samtok.json");
        sample.rename("sub/e.png", "sub/f.png");
        sample.write("new/folder/g.png", b"image");
        fs::remove_dir_all(sample.path("sub/deep")).unwrap();
        sample.settle(&sample.path("sub"));
        let changed = [
            "c.png.samtok.json",
            "a.png.samtok.json",
            "b.png.samtok.json",
            "sub/e.png",
            "sub/f.png",
        ];
        let mut noted: Vec<PathBuf> = changed.iter().map(|name| sample.path(name)).collect();
        noted.extend([sample.path("new"), sample.path("sub/deep")]);
        assert!(catch_up(&mut index, &mut indexer, way, &noted), "way {way}");
        let expected = ["a.png", "b.png", "c.png", "new/folder/g.png", "sub/f.png"];
        assert_eq!(names(&mut index, &Filter::default()), expected, "way {way}");
        assert_eq!(
            contents(&mut index),
            fresh_contents(&sample.folder()),
            "way {way}"
        );
        assert_eq!(find(&mut index, "deep"), [""; 0], "way {way}");
        // New folders are watched too.
        sample.write("new/folder/h.png", b"image");
        assert!(
            catch_up(&mut index, &mut indexer, way, &[sample.path("new/folder/h.png")]),
            "way {way}"
        );
        assert_eq!(find(&mut index, "h.png"), ["new/folder/h.png"], "way {way}");
    }
}

#[test]
fn a_change_within_the_same_tick_is_found() {
    let sample = Sample::new(&["a.png"]);
    let sidecar = sample.path("a.png.samtok.json");
    let now = SystemTime::now();
    for status in [Status::Draft, Status::Done, Status::Draft] {
        let mut document = document(status, &[], "");
        document.notes = "x".repeat(10 - status.as_str().len());
        fs::write(&sidecar, format::write(&document).unwrap()).unwrap();
        File::options()
            .append(true)
            .open(&sidecar)
            .unwrap()
            .set_modified(now)
            .unwrap();
        let mut index = sample.index();
        assert_eq!(index.image("a.png").unwrap().unwrap().status, Some(status));
    }
    let (mut index, mut indexer) = sample.open();
    let bytes = format::write(&document(Status::Approved, &[], "")).unwrap();
    fs::write(&sidecar, bytes).unwrap();
    indexer.rescan(Rescan::ChangedFolders);
    run(&mut index, &mut indexer);
    assert_eq!(
        index.image("a.png").unwrap().unwrap().status,
        Some(Status::Approved),
        "written in place"
    );
}

#[test]
fn an_unreadable_sidecar_is_reported_until_it_is_mended() {
    let sample = Sample::new(&["a.png", "b.png"]);
    sample.annotate("a.png", &document(Status::Done, &[("dent", 0.9)], "deep"));
    fs::create_dir(sample.path("b.png.samtok.json")).unwrap();
    let (mut index, mut indexer) = sample.open();
    assert_eq!(find(&mut index, "is:unreadable"), ["b.png"]);
    sample.write("a.png.samtok.json", b"{\"format\":");
    indexer.rescan(Rescan::Everything);
    run(&mut index, &mut indexer);
    assert_eq!(find(&mut index, "is:unreadable"), ["a.png", "b.png"]);
    assert_eq!(find(&mut index, "deep"), [""; 0]);
    assert!(index.labels().unwrap().is_empty());
    sample.annotate("a.png", &document(Status::Done, &[("dent", 0.9)], "deep"));
    indexer.note_changed(&sample.path("a.png.samtok.json"));
    run(&mut index, &mut indexer);
    assert_eq!(find(&mut index, "deep"), ["a.png"]);
}

#[test]
fn a_drive_that_went_away_has_not_lost_its_images() {
    let sample = Sample::new(&["photos/a.png", "photos/b/c.png"]);
    let folder = Folder::open(&sample.path("photos")).unwrap();
    let mut index = Index::open(&folder, None).unwrap();
    let mut indexer = Indexer::new(&folder);
    run(&mut index, &mut indexer);
    sample.rename("photos", "elsewhere");
    indexer.rescan(Rescan::Everything);
    indexer.note_changed(&sample.path("photos/a.png"));
    run(&mut index, &mut indexer);
    assert!(indexer.problems().count() > 0);
    sample.rename("elsewhere", "photos");
    indexer.rescan(Rescan::Everything);
    run(&mut index, &mut indexer);
    assert_eq!(names(&mut index, &Filter::default()), ["a.png", "b/c.png"]);
    assert_eq!(indexer.problems().count(), 0);
}

/// Bytes that look like nothing.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A folder with enough in it that its index has many pages, and what its index says.
fn large_sample() -> (Sample, Vec<String>) {
    let names: Vec<String> = (0..120)
        .map(|number| format!("sub{}/{number}.png", number % 7))
        .collect();
    let sample = Sample::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in names.iter().step_by(2) {
        sample.annotate(
            name,
            &document(
                Status::Done,
                &[("dent", 0.9), (name, 0.5)],
                &format!("deep {name}"),
            ),
        );
    }
    let contents = contents(&mut sample.index());
    (sample, contents)
}

#[test]
fn a_damaged_index_is_made_anew() {
    let (sample, expected) = large_sample();
    let path = sample.index_file();
    let intact = fs::read(&path).unwrap();
    assert!(intact.len() > 40_000, "{}", intact.len());
    let mut damaged: Vec<(String, Vec<u8>)> = vec![
        ("empty".to_owned(), Vec::new()),
        ("text".to_owned(), b"not a database at all".to_vec()),
        ("noise".to_owned(), noise(1, 50_000)),
    ];
    for length in [
        1,
        99,
        100,
        512,
        4096,
        5000,
        8192,
        intact.len() / 2,
        intact.len() - 4096,
        intact.len() - 1,
    ] {
        damaged.push((format!("truncated to {length}"), intact[..length].to_vec()));
    }
    for seed in 0..40 {
        let mut bytes = intact.clone();
        let start = (seed as usize * 7919) % (bytes.len() - 600);
        bytes[start..start + 600].copy_from_slice(&noise(seed, 600));
        damaged.push((format!("600 random bytes at {start}"), bytes));
    }
    for (what, bytes) in damaged {
        fs::write(&path, &bytes).unwrap();
        let mut index = Index::open(&sample.folder(), None).unwrap();
        // Whatever the first page says before the indexer has been through, it says it without an error.
        let selection = index.select(&Filter::parse("deep").unwrap()).unwrap();
        index.page(&selection, 0..50).unwrap();
        let mut indexer = Indexer::new(&sample.folder());
        run(&mut index, &mut indexer);
        // Bytes within a text are not noticed as damage, but no image is missing or invented.
        assert_eq!(names(&mut index, &Filter::default()).len(), 120, "{what}");
        assert!(index.file().is_some(), "{what}");
        if !what.starts_with("600") {
            assert_same(&contents(&mut index), &expected, &format!("{what}"));
        }
    }
}

#[test]
fn an_index_of_another_kind_is_made_anew() {
    let (sample, expected) = large_sample();
    let changes: [&str; 6] = [
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 999",
        "PRAGMA application_id = 1",
        "DROP TABLE image_labels",
        "DROP TABLE counters; CREATE TABLE counters (x)",
        "CREATE VIEW v AS SELECT 1; CREATE TRIGGER t AFTER INSERT ON images BEGIN DELETE FROM images; END",
    ];
    for change in changes {
        let path = sample.index_file();
        let connection = Connection::open(&path).unwrap();
        connection
            .create_collation("natural_order", super::super::natural_order::compare)
            .unwrap();
        connection.execute_batch(change).unwrap();
        drop(connection);
        let mut index = sample.index();
        assert_same(&contents(&mut index), &expected, &format!("{change}"));
        assert!(index.file().is_some(), "{change}");
    }
}

#[test]
fn an_index_that_goes_wrong_while_it_is_open_is_made_anew() {
    let (sample, expected) = large_sample();
    let damages: [fn(&Sample); 3] = [
        |sample| fs::remove_dir_all(sample.path(".samtok")).unwrap(),
        |sample| fs::remove_file(sample.index_file()).unwrap(),
        |sample| fs::write(sample.index_file(), noise(3, 60_000)).unwrap(),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let (mut index, mut indexer) = sample.open();
        // Nothing is left in memory to answer from.
        index.connection.pragma_update(None, "cache_size", 0).unwrap();
        index.connection.execute_batch("PRAGMA shrink_memory").unwrap();
        damage(&sample);
        names(&mut index, &Filter::parse("deep").unwrap());
        indexer.rescan(Rescan::Everything);
        run(&mut index, &mut indexer);
        assert_same(&contents(&mut index), &expected, &format!("damage {number}"));
        drop(index);
        assert_eq!(
            contents(&mut sample.index()),
            expected,
            "opened after damage {number}"
        );
    }
}

#[test]
fn a_locked_index_is_done_without() {
    let (sample, expected) = large_sample();
    let other = Connection::open(sample.index_file()).unwrap();
    other.pragma_update(None, "locking_mode", "exclusive").unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut index = Index::open(&sample.folder(), None).unwrap();
    assert_eq!(index.file(), None);
    run(&mut index, &mut Indexer::new(&sample.folder()));
    assert_same(&contents(&mut index), &expected, "made anew");
    other.execute_batch("COMMIT").unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_indexed_elsewhere() {
    let (sample, expected) = large_sample();
    fs::remove_dir_all(sample.path(".samtok")).unwrap();
    // Not even the system's administrator can make a folder in place of a file.
    sample.write(".samtok", b"in the way");
    assert_same(&contents(&mut sample.index()), &expected, "in memory");
    let cache = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut index = Index::open(&sample.folder(), Some(&cache.path().join("samtok/folders"))).unwrap();
        assert!(
            index
                .file()
                .unwrap()
                .starts_with(fs::canonicalize(cache.path()).unwrap())
        );
        run(&mut index, &mut Indexer::new(&sample.folder()));
        assert_same(&contents(&mut index), &expected, "made anew");
    }
    assert_eq!(fs::read(sample.path(".samtok")).unwrap(), b"in the way");
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    let (sample, expected) = large_sample();
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim.sqlite");
    Connection::open(&victim)
        .unwrap()
        .execute_batch("CREATE TABLE precious (x)")
        .unwrap();
    let before = fs::read(&victim).unwrap();

    fs::remove_file(sample.index_file()).unwrap();
    std::os::unix::fs::symlink(&victim, sample.index_file()).unwrap();
    assert_same(&contents(&mut sample.index()), &expected, "made anew");
    assert_eq!(fs::read(&victim).unwrap(), before, "the file behind a link");

    fs::remove_dir_all(sample.path(".samtok")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), sample.path(".samtok")).unwrap();
    assert_same(&contents(&mut sample.index()), &expected, "made anew");
    assert_eq!(
        fs::read_dir(elsewhere.path()).unwrap().count(),
        1,
        "a folder behind a link"
    );
}

#[test]
fn names_in_an_index_never_lead_out_of_the_folder() {
    let sample = Sample::new(&["a.png"]);
    drop(sample.index());
    for name in [
        "../b.png",
        "/etc/b.png",
        "x/../../b.png",
        ".samtok/b.png",
        "",
        "./b.png",
        "x//b.png",
    ] {
        let connection = Connection::open(sample.index_file()).unwrap();
        connection
            .create_collation("natural_order", super::super::natural_order::compare)
            .unwrap();
        let insert = "INSERT OR REPLACE INTO images (name, id, has_sidecar) VALUES (?1, 0, 0)";
        connection.execute(insert, [name]).unwrap();
        drop(connection);
        let mut index = Index::open(&sample.folder(), None).unwrap();
        let found = names(&mut index, &Filter::default());
        assert!(!found.iter().any(|found| found == name), "{found:?}");
        run(&mut index, &mut Indexer::new(&sample.folder()));
        assert_eq!(names(&mut index, &Filter::default()), ["a.png"], "{name}");
    }
}

#[test]
fn any_name_is_indexed() {
    let long = format!("{}.png", "长".repeat(83));
    let path = [
        "a".repeat(200),
        "b".repeat(200),
        "c".repeat(200),
        "d.png".to_owned(),
    ]
    .join("/");
    let odd = [
        "naïve é.png",
        "e\u{301}.png",
        "🦀.jpg",
        "%_'\"[*].png",
        "a\u{202e}b.png",
        " .png",
        "x.tar.PNG",
    ];
    let mut all: Vec<&str> = odd.to_vec();
    all.extend([long.as_str(), path.as_str()]);
    let sample = Sample::new(&all);
    for name in odd {
        sample.annotate(name, &document(Status::Done, &[(name, 0.9)], name));
    }
    let mut index = sample.index();
    assert_eq!(
        index.status_counts().unwrap().by_status,
        [(Status::Done, odd.len())]
    );
    for name in all {
        let filter = Filter {
            texts: vec![name.to_owned()],
            ..Filter::default()
        };
        assert!(
            names(&mut index, &filter).iter().any(|found| found == name),
            "{name}"
        );
    }
}

/// What the other process of `two_processes_share_an_index` works on.
const SHARED_FOLDER: &str = "SAMTOK_TEST_SHARED_FOLDER";

#[test]
fn two_processes_share_an_index() {
    let work = |folder: &Folder| {
        for _ in 0..6 {
            let mut index = Index::open(folder, None).unwrap();
            let mut indexer = Indexer::new(folder);
            for number in 0..5 {
                indexer.note_changed(&folder.path().join(format!("sub1/{}.png", number * 7 + 1)));
                run(&mut index, &mut indexer);
                index.select(&Filter::parse("deep").unwrap()).unwrap();
            }
            assert!(index.file().is_some(), "it was given up");
            assert_eq!(index.generation, 0, "it was made anew");
        }
    };
    if let Some(path) = std::env::var_os(SHARED_FOLDER) {
        work(&Folder::open(Path::new(&path)).unwrap());
        return;
    }
    let (sample, expected) = large_sample();
    fs::remove_dir_all(sample.path(".samtok")).unwrap();
    let module = module_path!().split_once("::").unwrap().1;
    let mut others: Vec<std::process::Child> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &format!("{module}::two_processes_share_an_index")])
                .env(SHARED_FOLDER, sample.temporary.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    work(&sample.folder());
    for other in &mut others {
        assert!(other.wait().unwrap().success());
    }
    assert_same(&contents(&mut sample.index()), &expected, "made anew");
}

#[test]
fn what_another_process_changed_is_told() {
    let sample = Sample::new(&["a.png"]);
    let (mut index, mut indexer) = sample.open();
    sample.annotate("a.png", &document(Status::Done, &[], ""));
    drop(sample.index());
    assert!(run(&mut index, &mut indexer));
    assert_eq!(find(&mut index, "status:done"), ["a.png"]);
    assert!(!run(&mut index, &mut indexer));
}

/// A change of a folder.
#[derive(Clone, Debug)]
enum Change {
    Image(usize),
    Annotate(usize, usize),
    Break(usize),
    Remove(usize),
    RemoveSidecar(usize),
    Rename(usize, usize),
}

const NAMES: [&str; 6] = ["a.png", "a1.png", "a10.png", "s/a.png", "s/t/b.png", "z/划痕.png"];

fn change() -> impl Strategy<Value = Change> {
    let name = 0..NAMES.len();
    prop_oneof![
        name.clone().prop_map(Change::Image),
        (name.clone(), 0..4_usize).prop_map(|(name, kind)| Change::Annotate(name, kind)),
        name.clone().prop_map(Change::Break),
        name.clone().prop_map(Change::Remove),
        name.clone().prop_map(Change::RemoveSidecar),
        (name.clone(), name).prop_map(|(from, to)| Change::Rename(from, to)),
    ]
}

impl Change {
    /// Makes the change, where it is possible, and says which files changed.
    fn make(&self, sample: &Sample) -> Vec<PathBuf> {
        let sidecar = |name: usize| format!("{}.samtok.json", NAMES[name]);
        let changed = match *self {
            Self::Image(name) => {
                sample.write(NAMES[name], b"another image");
                vec![NAMES[name].to_owned()]
            }
            Self::Annotate(name, kind) => {
                let labels = [("dent", 0.9), ("rust", 0.2), ("划痕", 1.0), ("", 0.5)];
                let text = ["deep", "", "左边的划痕", "a"][kind];
                sample.annotate(NAMES[name], &document(Status::ALL[kind], &labels[..kind], text));
                vec![sidecar(name)]
            }
            Self::Break(name) => {
                sample.write(&sidecar(name), b"{");
                vec![sidecar(name)]
            }
            Self::Remove(name) if sample.path(NAMES[name]).exists() => {
                sample.remove(NAMES[name]);
                vec![NAMES[name].to_owned()]
            }
            Self::RemoveSidecar(name) if sample.path(&sidecar(name)).exists() => {
                sample.remove(&sidecar(name));
                vec![sidecar(name)]
            }
            Self::Rename(from, to) if sample.path(NAMES[from]).exists() && from != to => {
                fs::create_dir_all(sample.path(NAMES[to]).parent().unwrap()).unwrap();
                sample.settle(sample.path(NAMES[to]).parent().unwrap());
                sample.rename(NAMES[from], NAMES[to]);
                vec![NAMES[from].to_owned(), NAMES[to].to_owned()]
            }
            _ => Vec::new(),
        };
        changed.iter().map(|name| sample.path(name)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: proptest_cases(), ..ProptestConfig::default() })]

    #[test]
    fn an_index_that_followed_is_as_one_made_anew(
        rounds in proptest::collection::vec((proptest::collection::vec(change(), 0..5), 0..3_usize), 1..4),
    ) {
        let sample = Sample::new(&["a.png", "s/a.png"]);
        let (mut index, mut indexer) = sample.open();
        for (changes, way) in rounds {
            let noted: Vec<PathBuf> = changes.iter().flat_map(|change| change.make(&sample)).collect();
            catch_up(&mut index, &mut indexer, way, &noted);
            prop_assert_eq!(contents(&mut index), fresh_contents(&sample.folder()), "way {}", way);
        }
        drop(index);
        prop_assert_eq!(contents(&mut sample.index()), fresh_contents(&sample.folder()));
    }
}

/// Few cases, because each makes files; `PROPTEST_CASES` asks for more.
fn proptest_cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(24)
}
