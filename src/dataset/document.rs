//! The annotations of one image in memory: regions with words and captions, conversations, and their review status.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::mention;
use super::timestamp::Timestamp;
use super::vocabulary::{Color, Role, Status, Task};
use crate::geometry::ImageSize;
use crate::mask::Rle;

/// Keys of the file that this version does not know, in the order of the file; written back as they were read.
pub type UnknownKeys = serde_json::Map<String, Value>;

/// Free attributes of a region, in the order in which they were given.
pub type Attributes = serde_json::Map<String, Value>;

/// Everything that is said about one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The image it belongs to.
    pub image: ImageRef,
    /// The tokenizers that made the words of the regions.
    pub tokenizers: Vec<Tokenizer>,
    /// The regions, in drawing order from the back; their ids differ.
    pub regions: Vec<Region>,
    /// Questions and answers; their ids differ.
    pub conversations: Vec<Conversation>,
    /// How far the work on the whole image is.
    pub status: Status,
    /// Remarks of the annotator.
    pub notes: String,
    /// When the document last changed; `None` if no program said so.
    pub modified: Option<Timestamp>,
    /// Counts the changes.
    pub revision: u64,
    /// Other keys of the document.
    pub unknown: UnknownKeys,
}

/// Which image a document belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageRef {
    /// Name of the file, without its folder.
    pub file_name: String,
    /// Size of the upright image.
    pub size: ImageSize,
    /// BLAKE3 of the file's bytes in hexadecimal.
    pub blake3: Option<String>,
    /// Other keys of the image.
    pub unknown: UnknownKeys,
}

/// A model that made words, so that they are never read with another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokenizer {
    /// How words refer to it: `T1`, `T2`, …
    pub id: String,
    /// Name of the model.
    pub name: String,
    /// Fingerprint of its configuration and weights.
    pub fingerprint: String,
    /// Codes per depth.
    pub codebook_size: u32,
    /// Words per mask.
    pub codebook_depth: u32,
    /// Other keys of the tokenizer.
    pub unknown: UnknownKeys,
}

/// A part of the image that is named, described and mentioned.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// How texts mention it, `r1` in `[[r1]]`; not empty, without square brackets.
    pub id: String,
    /// Its class or short name; may be empty.
    pub label: String,
    /// The colour it is drawn in.
    pub color: Option<Color>,
    /// Which pixels it has.
    pub mask: RegionMask,
    /// The mask in words, once a tokenizer was asked.
    pub words: Option<MaskWords>,
    /// Descriptions.
    pub captions: Vec<Caption>,
    /// Free attributes.
    pub attributes: Attributes,
    /// The tool or file it came from, such as `brush`; may be empty.
    pub source: String,
    /// How far the work on the region is.
    pub status: Status,
    /// Other keys of the region.
    pub unknown: UnknownKeys,
}

/// The pixels of a region, of the size of its image.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionMask {
    /// The run lengths; `Mask::from_rle` makes them a raster.
    pub rle: Rle,
    /// Other keys of the mask.
    pub unknown: UnknownKeys,
}

/// A mask in words.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskWords {
    /// The words as a language model reads them.
    pub text: String,
    /// One code per depth.
    pub codes: Vec<u32>,
    /// Id of the [`Tokenizer`] that made them.
    pub tokenizer: String,
    /// IoU, 0 to 1, of the mask that the words give back with the mask they were made from.
    pub iou: Option<f64>,
    /// [`mask_blake3`] of the mask they were made from.
    pub mask_blake3: String,
    /// Other keys of the words.
    pub unknown: UnknownKeys,
}

/// A description of a region.
#[derive(Clone, Debug, PartialEq)]
pub struct Caption {
    /// The description; `[[r2]]` mentions a region.
    pub text: String,
    /// Who wrote it: `human`, or the name of a model.
    pub author: Option<String>,
    /// Other keys of the caption.
    pub unknown: UnknownKeys,
}

/// A dialogue about the image.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversation {
    /// `c1`, `c2`, …
    pub id: String,
    /// What it trains.
    pub task: Task,
    /// What is said, in order.
    pub turns: Vec<Turn>,
    /// How far the work on it is.
    pub status: Status,
    /// Other keys of the conversation.
    pub unknown: UnknownKeys,
}

/// One utterance of a conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said; `[[r1]]` mentions a region.
    pub text: String,
    /// Other keys of the turn.
    pub unknown: UnknownKeys,
}

impl Document {
    /// A draft without regions for `image`.
    #[must_use]
    pub fn new(image: ImageRef) -> Self {
        Self {
            image,
            tokenizers: Vec::new(),
            regions: Vec::new(),
            conversations: Vec::new(),
            status: Status::Draft,
            notes: String::new(),
            modified: None,
            revision: 0,
            unknown: UnknownKeys::new(),
        }
    }

    /// Counts a change made at `now`.
    pub fn touch(&mut self, now: Timestamp) {
        self.modified = Some(now);
        self.revision = self.revision.saturating_add(1);
    }

    /// The region with this id.
    #[must_use]
    pub fn region(&self, id: &str) -> Option<&Region> {
        self.regions.iter().find(|region| region.id == id)
    }

    /// The region with this id, to be changed.
    pub fn region_mut(&mut self, id: &str) -> Option<&mut Region> {
        self.regions.iter_mut().find(|region| region.id == id)
    }

    /// The id for a new region: `r` and the number after the highest that a region has or a text mentions,
    /// so that a mention of a deleted region never comes to mean another one.
    #[must_use]
    pub fn next_region_id(&self) -> String {
        let mentioned = self
            .texts()
            .flat_map(mention::candidates)
            .map(|candidate| candidate.id);
        next_id(
            'r',
            self.regions
                .iter()
                .map(|region| region.id.as_str())
                .chain(mentioned),
        )
    }

    /// The id for a new conversation: `c` and the next number.
    #[must_use]
    pub fn next_conversation_id(&self) -> String {
        next_id(
            'c',
            self.conversations
                .iter()
                .map(|conversation| conversation.id.as_str()),
        )
    }

    /// The id of the tokenizer with this fingerprint and codebook; added as `T1`, `T2`, … where it is new.
    pub fn tokenizer_id(
        &mut self,
        name: &str,
        fingerprint: &str,
        codebook_size: u32,
        codebook_depth: u32,
    ) -> String {
        let known = self.tokenizers.iter().find(|tokenizer| {
            tokenizer.fingerprint == fingerprint
                && tokenizer.codebook_size == codebook_size
                && tokenizer.codebook_depth == codebook_depth
        });
        if let Some(known) = known {
            return known.id.clone();
        }
        let id = next_id('T', self.tokenizers.iter().map(|tokenizer| tokenizer.id.as_str()));
        self.tokenizers.push(Tokenizer {
            id: id.clone(),
            name: name.to_owned(),
            fingerprint: fingerprint.to_owned(),
            codebook_size,
            codebook_depth,
            unknown: UnknownKeys::new(),
        });
        id
    }

    /// All texts that may mention regions.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let captions = self
            .regions
            .iter()
            .flat_map(|region| &region.captions)
            .map(|caption| &caption.text);
        let turns = self
            .conversations
            .iter()
            .flat_map(|conversation| &conversation.turns)
            .map(|turn| &turn.text);
        captions.chain(turns).map(String::as_str)
    }
}

impl ImageRef {
    /// The image at `path`; `blake3` is the hash of its bytes in hexadecimal.
    #[must_use]
    pub fn new(path: &Path, size: ImageSize, blake3: Option<String>) -> Self {
        let file_name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Self {
            file_name,
            size,
            blake3,
            unknown: UnknownKeys::new(),
        }
    }
}

impl Region {
    /// A draft with this mask and nothing else.
    #[must_use]
    pub fn new(id: String, mask: Rle) -> Self {
        Self {
            id,
            label: String::new(),
            color: None,
            mask: RegionMask {
                rle: mask,
                unknown: UnknownKeys::new(),
            },
            words: None,
            captions: Vec::new(),
            attributes: Attributes::new(),
            source: String::new(),
            status: Status::Draft,
            unknown: UnknownKeys::new(),
        }
    }

    /// Whether the region has words and they were made from its present mask.
    #[must_use]
    pub fn has_fresh_words(&self) -> bool {
        self.words
            .as_ref()
            .is_some_and(|words| words.mask_blake3 == mask_blake3(&self.mask.rle))
    }
}

impl MaskWords {
    /// The words `text` with `codes`, made from `mask` by the tokenizer with this id.
    ///
    /// `iou` is kept to four decimals, which is more than it means.
    #[must_use]
    pub fn new(text: String, codes: Vec<u32>, tokenizer: String, iou: Option<f32>, mask: &Rle) -> Self {
        let iou = iou
            .filter(|iou| iou.is_finite())
            .map(|iou| (f64::from(iou) * 1e4).round() / 1e4);
        Self {
            text,
            codes,
            tokenizer,
            iou,
            mask_blake3: mask_blake3(mask),
            unknown: UnknownKeys::new(),
        }
    }
}

impl Caption {
    /// A caption by `author`.
    #[must_use]
    pub fn new(text: String, author: Option<String>) -> Self {
        Self {
            text,
            author,
            unknown: UnknownKeys::new(),
        }
    }
}

impl Conversation {
    /// A draft without turns.
    #[must_use]
    pub fn new(id: String, task: Task) -> Self {
        Self {
            id,
            task,
            turns: Vec::new(),
            status: Status::Draft,
            unknown: UnknownKeys::new(),
        }
    }
}

impl Turn {
    /// `text`, said by `role`.
    #[must_use]
    pub fn new(role: Role, text: String) -> Self {
        Self {
            role,
            text,
            unknown: UnknownKeys::new(),
        }
    }
}

/// BLAKE3, in hexadecimal, of `HEIGHT WIDTH COUNTS`: the size in decimal and the COCO compressed RLE, one space between.
#[must_use]
pub fn mask_blake3(mask: &Rle) -> String {
    let size = mask.size();
    let text = format!("{} {} {}", size.height, size.width, mask.to_compressed());
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// `prefix` and the number after the highest that the `used` ids have behind it.
fn next_id<'a>(prefix: char, used: impl Iterator<Item = &'a str>) -> String {
    let used: HashSet<&str> = used.collect();
    let numbers = used
        .iter()
        .filter_map(|id| id.strip_prefix(prefix)?.parse::<u32>().ok());
    let first = numbers.max().map_or(1, |highest| u64::from(highest) + 1);
    // An id beyond the numbers that were parsed may be taken too.
    let mut ids = (first..).map(|number| format!("{prefix}{number}"));
    ids.find(|id| !used.contains(id.as_str())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Mask;

    fn document() -> Document {
        Document::new(ImageRef::new(
            Path::new("folder/photo.jpg"),
            ImageSize::new(4, 3),
            None,
        ))
    }

    fn region(id: &str) -> Region {
        Region::new(id.to_owned(), Mask::full(ImageSize::new(4, 3)).unwrap().to_rle())
    }

    #[test]
    fn new_ids_are_higher_than_all_that_is_used_or_mentioned() {
        let mut document = document();
        assert_eq!(document.image.file_name, "photo.jpg");
        assert_eq!(
            (document.next_region_id(), document.next_conversation_id()),
            ("r1".into(), "c1".into())
        );
        document.regions = ["r2", "r10", "rx", "x99", "r007"].map(region).into();
        assert_eq!(document.next_region_id(), "r11");
        document.regions[0]
            .captions
            .push(Caption::new("beside [[r12]] and [[r1000".into(), None));
        assert_eq!(document.next_region_id(), "r13");
        document.regions = ["r4294967295", "r4294967296"].map(region).into();
        assert_eq!(document.next_region_id(), "r4294967297");
    }

    #[test]
    fn a_tokenizer_is_listed_once() {
        let mut document = document();
        assert_eq!(document.tokenizer_id("nano", "abc", 256, 2), "T1");
        assert_eq!(document.tokenizer_id("large", "def", 256, 2), "T2");
        assert_eq!(document.tokenizer_id("renamed", "abc", 256, 2), "T1");
        assert_eq!(document.tokenizers.len(), 2);
    }

    #[test]
    fn words_are_stale_once_the_mask_changes() {
        let mut region = region("r1");
        assert!(!region.has_fresh_words());
        let words = MaskWords::new(
            "<|mt_start|>".into(),
            vec![1, 2],
            "T1".into(),
            Some(0.87),
            &region.mask.rle,
        );
        assert_eq!(words.iou, Some(0.87));
        region.words = Some(words);
        assert!(region.has_fresh_words());
        let mut mask = Mask::from_rle(&region.mask.rle);
        mask.set(2, 1, false);
        region.mask.rle = mask.to_rle();
        assert!(!region.has_fresh_words());
    }

    #[test]
    fn the_hash_of_a_mask_is_pinned() {
        // 12 set pixels are the counts 0 and 12; the hash is what `printf '3 4 0<' | b3sum` prints.
        let mask = Mask::full(ImageSize::new(4, 3)).unwrap().to_rle();
        assert_eq!(mask.to_compressed(), "0<");
        assert_eq!(
            mask_blake3(&mask),
            "515d268b78c62d147255dff62481afba6eed299567137490d69f22b50ffb94d4"
        );
        // Equal counts of another shape are another mask.
        let other = Mask::full(ImageSize::new(3, 4)).unwrap().to_rle();
        assert_ne!(mask_blake3(&mask), mask_blake3(&other));
    }
}
