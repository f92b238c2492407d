//! Annotated folders made for the tests of this module.

use crate::dataset::{
    Caption, Conversation, Document, ImageRef, MaskWords, Region, Role, Sidecar, Status, Task, Turn,
};
use crate::geometry::ImageSize;
use crate::image_file::write_mask_png;
use crate::mask::Mask;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder that is removed at the end.
#[derive(Debug)]
pub(super) struct Sample {
    folder: tempfile::TempDir,
}

impl Sample {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Three images in two folders, the last without regions, with everything that a document can say.
    pub(super) fn rich() -> Self {
        let sample = Self::new();
        for (name, width, height) in [("a.png", 40, 30), ("b/ä 2.png", 65, 7), ("b/10.png", 5, 9)] {
            sample.image(name, width, height);
        }
        sample.annotate("a.png", |document| {
            document.regions = (0..4)
                .map(|kind| {
                    region(
                        &format!("r{}", kind + 1),
                        ["cat", "dog", "", "cat"][kind],
                        40,
                        30,
                        kind,
                    )
                })
                .collect();
            fill(document);
        });
        sample.annotate("b/ä 2.png", |document| {
            document.regions = vec![region("r5", "sky \"1\"", 65, 7, 2), region("r3", "dog", 65, 7, 3)];
        });
        sample.annotate("b/10.png", |document| document.notes = "nothing here".to_owned());
        sample
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Makes a picture of this size.
    pub(super) fn image(&self, name: &str, width: u32, height: u32) {
        let mask = Mask::from_fn(ImageSize::new(width, height), |x, y| (x * y) % 3 == 0).unwrap();
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_mask_png(&path, &mask).unwrap();
    }

    /// Makes or changes the sidecar of an image.
    pub(super) fn annotate(&self, name: &str, change: impl FnOnce(&mut Document)) {
        let path = self.path(name);
        let size = crate::image_file::read_size(&path).unwrap();
        let (mut sidecar, document) = Sidecar::load(&path, size).unwrap();
        let mut document = document.unwrap_or_else(|| Document::new(ImageRef::new(&path, size, None)));
        change(&mut document);
        sidecar.save(&document).unwrap();
    }

    pub(super) fn document(&self, name: &str) -> Document {
        let (_, document) = Sidecar::open(&crate::dataset::sidecar_path(&self.path(name))).unwrap();
        document.unwrap()
    }
}

/// A document of an image of this size, without regions.
pub(super) fn document(width: u32, height: u32) -> Document {
    Document::new(ImageRef::new(
        Path::new("a.png"),
        ImageSize::new(width, height),
        None,
    ))
}

/// One of four shapes: a box, a ring, two parts, a row.
pub(super) fn region(id: &str, label: &str, width: u32, height: u32, kind: usize) -> Region {
    let is_set = |x: u32, y: u32| match kind {
        0 => x < width / 2 && y < height / 2,
        1 => (x < 2 || y < 2 || x + 2 >= width || y + 2 >= height) && x > 0,
        2 => x == 0 || x + 1 == width,
        _ => y == height / 2,
    };
    let mask = Mask::from_fn(ImageSize::new(width, height), is_set).unwrap();
    let mut region = Region::new(id.to_owned(), mask.to_rle());
    label.clone_into(&mut region.label);
    region
}

/// Fills every field of a document of four regions.
fn fill(document: &mut Document) {
    let tokenizer = document.tokenizer_id("nano", "f00d", 256, 2);
    let rle = document.regions[0].mask.rle.clone();
    let first = &mut document.regions[0];
    first.words = Some(MaskWords::new(
        "<|mt_start|>".to_owned(),
        vec![1, 2],
        tokenizer,
        Some(0.5),
        &rle,
    ));
    first.color = Some("#e4572e".parse().unwrap());
    first.captions = vec![
        Caption::new("A cat beside [[r2]]".to_owned(), Some("human".to_owned())),
        Caption::new("Ein Kätzchen <&>\n\t\"'".to_owned(), None),
    ];
    first.attributes.insert("severity".to_owned(), "minor".into());
    first.attributes.insert("count".to_owned(), 3.into());
    first.source = "brush".to_owned();
    first.status = Status::Approved;
    first
        .unknown
        .insert("later".to_owned(), serde_json::json!({"a": [1, null]}));
    let mut conversation = Conversation::new("c1".to_owned(), Task::RegionQa);
    conversation.turns = vec![
        Turn::new(Role::User, "What is [[r1]]?".to_owned()),
        Turn::new(Role::Assistant, "A cat, not [[r4]]".to_owned()),
    ];
    document.conversations.push(conversation);
    document.status = Status::Done;
    document.notes = "first\nsecond".to_owned();
    document.unknown.insert("x-key".to_owned(), true.into());
}
