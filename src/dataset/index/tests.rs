//! A folder for tests, and everything that an index says in a form that can be compared.

mod changes;
mod damage;
mod queries;

use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

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
