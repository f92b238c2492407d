//! A small document for the tests: a cup on a plate, and a man.

use super::super::{Notes, OutputFolder};
use super::record::{Kind, Record, Scene};
use super::records::{Maker, Zooming};
use super::rendering::Rendered;
use super::templates::Templates;
use super::zoom::ZoomTokenizer;
use crate::dataset::{
    Caption, Conversation, Document, ImageRef, MaskWords, Region, Role, Status, Task, Turn,
};
use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::{RgbImage, write_mask_png};
use crate::mask::Mask;
use crate::words::WordFormat;
use std::error::Error;

/// The words of r1, r2, r3.
pub(super) const CUP: &str = "<|mt_start|><|mt_0001|><|mt_0257|><|mt_end|>";
pub(super) const PLATE: &str = "<|mt_start|><|mt_0002|><|mt_0258|><|mt_end|>";
pub(super) const MAN: &str = "<|mt_start|><|mt_0003|><|mt_0259|><|mt_end|>";
/// The words of every crop.
pub(super) const ZOOMED: &str = "<|mt_start|><|mt_0009|><|mt_0265|><|mt_end|>";

pub(super) const SIZE: ImageSize = ImageSize::new(20, 10);

/// `text` with the words in place of `CUP`, `PLATE`, `MAN` and `ZOOM`.
pub(super) fn spelled(text: &str) -> String {
    text.replace("CUP", CUP)
        .replace("PLATE", PLATE)
        .replace("MAN", MAN)
        .replace("ZOOM", ZOOMED)
}

/// The cup (r1, small) stands right of the plate (r2); the man (r3) is right of both.
pub(super) fn document() -> Document {
    let mut document = Document::new(ImageRef::new("a.jpg".as_ref(), SIZE, None));
    let tokenizer = document.tokenizer_id("nano", "f00d", 256, 2);
    let regions = [
        ("r1", "cup", PixelRect::new(8, 2, 3, 3), 1),
        ("r2", "plate", PixelRect::new(0, 4, 13, 6), 2),
        ("r3", "man", PixelRect::new(12, 0, 8, 10), 3),
    ];
    for (id, label, rect, code) in regions {
        let mask = Mask::from_rects(SIZE, &[rect]).unwrap().to_rle();
        let format = WordFormat::PUBLISHED;
        let text = format.write(&format.codes(&[code, code]).unwrap());
        let mut region = Region::new(id.to_owned(), mask);
        region.words = Some(MaskWords::new(
            text,
            vec![code, code],
            tokenizer.clone(),
            Some(0.9),
            &region.mask.rle,
        ));
        region.label = label.to_owned();
        region.status = Status::Done;
        document.regions.push(region);
    }
    document
}

/// Adds a description of a region.
pub(super) fn captioned(mut document: Document, region: &str, text: &str) -> Document {
    let region = document.region_mut(region).unwrap();
    region
        .captions
        .push(Caption::new(text.to_owned(), Some("human".to_owned())));
    document
}

/// Adds a conversation of questions and answers in turn.
pub(super) fn with(mut document: Document, task: Task, turns: &[&str]) -> Document {
    let mut conversation = Conversation::new(document.next_conversation_id(), task);
    for (text, role) in turns
        .iter()
        .zip([Role::User, Role::Assistant].into_iter().cycle())
    {
        conversation.turns.push(Turn::new(role, (*text).to_owned()));
    }
    document.conversations.push(conversation);
    document
}

/// A network that gives every crop the same words.
#[derive(Debug)]
pub(super) struct SameWords {
    pub(super) fingerprint: &'static str,
    pub(super) asked: Vec<(ImageSize, u64)>,
}

impl SameWords {
    pub(super) const fn new() -> Self {
        Self {
            fingerprint: "f00d",
            asked: Vec::new(),
        }
    }
}

impl ZoomTokenizer for SameWords {
    fn fingerprint(&self) -> &str {
        self.fingerprint
    }

    fn words(&mut self, crop: &RgbImage, mask: &Mask) -> Result<String, Box<dyn Error + Send + Sync>> {
        assert_eq!(crop.size, mask.size());
        self.asked.push((crop.size, mask.area()));
        Ok(ZOOMED.to_owned())
    }
}

/// A folder with the image, where records are made.
pub(super) struct Studio {
    folder: tempfile::TempDir,
    out: OutputFolder,
}

impl Studio {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = OutputFolder::open(&folder.path().join("out")).unwrap();
        write_mask_png(&folder.path().join("a.png"), &Mask::full(SIZE).unwrap()).unwrap();
        Self { folder, out }
    }

    /// The records of `document`, less the masks: kind and turns.
    pub(super) fn spoken(
        &self,
        document: &Document,
        templates: &Templates,
        seed: u64,
        for_rl: bool,
        zoom: Option<&mut dyn ZoomTokenizer>,
    ) -> (Vec<(Kind, Vec<String>)>, Notes) {
        let mut maker = Maker {
            templates,
            seed,
            kinds: &Kind::ALL,
            min_status: Status::Draft,
            for_rl,
            answer_prefix: "",
            zoom: zoom.map(|tokenizer| Zooming {
                tokenizer,
                out: &self.out,
            }),
        };
        let scene = Scene::new("a.png", document);
        let mut notes = Notes::default();
        let image = self.folder.path().join("a.png");
        let records = maker.records(&scene, &image, &mut notes).unwrap();
        let texts = |record: &Record| {
            let rendered = Rendered::new(&scene, record, vec!["a.png".to_owned()]);
            (
                record.kind,
                rendered.turns.into_iter().map(|(_, text)| text).collect(),
            )
        };
        (records.iter().map(texts).collect(), notes)
    }
}

/// The records of `document` with the published templates and one seed.
pub(super) fn spoken(
    document: &Document,
    templates: &Templates,
    seed: u64,
    for_rl: bool,
    zoom: Option<&mut dyn ZoomTokenizer>,
) -> (Vec<(Kind, Vec<String>)>, Notes) {
    Studio::new().spoken(document, templates, seed, for_rl, zoom)
}
