//! From a document to the bytes of its sidecar.

use std::borrow::Cow;

use serde_json::Value;

use super::node::Node;
use super::{FORMAT, FormatError, VERSION, check};
use crate::dataset::document::{
    Caption, Conversation, Document, MaskWords, Region, RegionMask, Tokenizer, Turn, UnknownKeys,
};
use crate::dataset::mention::RegionWords;
use crate::geometry::PixelRect;

/// The bytes of the sidecar of `document`; equal documents give equal bytes.
///
/// A `value` is left out while a region that its text mentions has no words.
///
/// # Errors
/// [`FormatError`] for a document that could not be read back: ids used twice, words of an unlisted tokenizer,
/// a mask of another size than the image.
pub fn write(document: &Document) -> Result<Vec<u8>, FormatError> {
    let mut bytes = serde_json::to_vec_pretty(&keys(document)?).map_err(not_json)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The sidecar of `document` in one line, without the line break.
///
/// # Errors
/// As [`write`].
pub fn write_line(document: &Document) -> Result<String, FormatError> {
    serde_json::to_string(&keys(document)?).map_err(not_json)
}

/// The sidecar of `document` as JSON that others will write.
///
/// # Errors
/// As [`write`].
pub fn to_json(document: &Document) -> Result<Value, FormatError> {
    Ok(keys(document)?.into())
}

/// What memory alone can keep from being written.
fn not_json(error: serde_json::Error) -> FormatError {
    FormatError::NotJson {
        reason: error.to_string(),
    }
}

fn keys(document: &Document) -> Result<Node<'_>, FormatError> {
    check(document)?;
    let words = RegionWords::new(&document.regions);
    let size = document.image.size;
    let image = Keys::new()
        .with("file_name", &*document.image.file_name)
        .with("width", size.width)
        .with("height", size.height)
        .with_some("blake3", document.image.blake3.as_deref())
        .and(&document.image.unknown);
    let tokenizers = document.tokenizers.iter();
    let tokenizers = tokenizers.map(|tokenizer| ((&*tokenizer.id).into(), tokenizer_keys(tokenizer)));
    let regions = document.regions.iter().map(|region| region_keys(region, &words));
    let conversations = document.conversations.iter();
    let conversations = conversations.map(|conversation| conversation_keys(conversation, &words));
    let keys = Keys::new()
        .with("format", FORMAT)
        .with("version", VERSION)
        .with("image", image)
        .with("tokenizers", Node::Object(tokenizers.collect()))
        .with("regions", Node::from_iter(regions))
        .with("conversations", Node::from_iter(conversations))
        .with("status", document.status.as_str())
        .with("notes", &*document.notes)
        .with_some("modified", document.modified.map(|modified| modified.to_string()))
        .with("revision", document.revision)
        .and(&document.unknown);
    Ok(keys)
}

/// An object being written, in the order of the calls.
struct Keys<'a>(Vec<(Cow<'a, str>, Node<'a>)>);

impl<'a> Keys<'a> {
    const fn new() -> Self {
        Self(Vec::new())
    }

    fn with(mut self, key: &'a str, value: impl Into<Node<'a>>) -> Self {
        self.0.push((key.into(), value.into()));
        self
    }

    fn with_some(self, key: &'a str, value: Option<impl Into<Node<'a>>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The object, with the keys that this version does not know at its end; none of them replaces a known one.
    fn and(mut self, unknown: &'a UnknownKeys) -> Node<'a> {
        let known = self.0.len();
        for (key, value) in unknown {
            if !self.0.iter().take(known).any(|(known, _)| known == key) {
                self.0.push((key.into(), value.into()));
            }
        }
        Node::Object(self.0)
    }
}

fn tokenizer_keys(tokenizer: &Tokenizer) -> Node<'_> {
    Keys::new()
        .with("name", &*tokenizer.name)
        .with("fingerprint", &*tokenizer.fingerprint)
        .with("codebook_size", tokenizer.codebook_size)
        .with("codebook_depth", tokenizer.codebook_depth)
        .and(&tokenizer.unknown)
}

fn region_keys<'a>(region: &'a Region, words: &RegionWords<'_>) -> Node<'a> {
    let rle = &region.mask.rle;
    let bounds = rle.bounding_box().unwrap_or(PixelRect {
        x: 0,
        y: 0,
        width: 0,
        height: 0,
    });
    let captions = region.captions.iter().map(|caption| caption_keys(caption, words));
    let attributes = region.attributes.iter();
    let attributes = attributes.map(|(key, value)| (key.into(), value.into()));
    Keys::new()
        .with("id", &*region.id)
        .with("label", &*region.label)
        .with_some("color", region.color.map(|color| color.to_string()))
        .with("mask", mask_keys(&region.mask))
        .with(
            "bbox",
            Node::from_iter([bounds.x, bounds.y, bounds.width, bounds.height]),
        )
        .with("area", rle.area())
        .with_some("words", region.words.as_ref().map(words_keys))
        .with("captions", Node::from_iter(captions))
        .with("attributes", Node::Object(attributes.collect()))
        .with("source", &*region.source)
        .with("status", region.status.as_str())
        .and(&region.unknown)
}

fn mask_keys(mask: &RegionMask) -> Node<'_> {
    let size = mask.rle.size();
    Keys::new()
        .with("size", Node::from_iter([size.height, size.width]))
        .with("counts", mask.rle.to_compressed())
        .and(&mask.unknown)
}

fn words_keys(words: &MaskWords) -> Node<'_> {
    Keys::new()
        .with("text", &*words.text)
        .with("codes", Node::from_iter(words.codes.iter().copied()))
        .with("tokenizer", &*words.tokenizer)
        .with_some("iou", words.iou)
        .with("mask_blake3", &*words.mask_blake3)
        .and(&words.unknown)
}

fn caption_keys<'a>(caption: &'a Caption, words: &RegionWords<'_>) -> Node<'a> {
    Keys::new()
        .with("text", &*caption.text)
        .with_some("value", words.value(&caption.text))
        .with_some("author", caption.author.as_deref())
        .and(&caption.unknown)
}

fn conversation_keys<'a>(conversation: &'a Conversation, words: &RegionWords<'_>) -> Node<'a> {
    let turns = conversation.turns.iter().map(|turn| turn_keys(turn, words));
    Keys::new()
        .with("id", &*conversation.id)
        .with("task", conversation.task.as_str())
        .with("turns", Node::from_iter(turns))
        .with("status", conversation.status.as_str())
        .and(&conversation.unknown)
}

fn turn_keys<'a>(turn: &'a Turn, words: &RegionWords<'_>) -> Node<'a> {
    Keys::new()
        .with("role", turn.role.as_str())
        .with("text", &*turn.text)
        .with_some("value", words.value(&turn.text))
        .and(&turn.unknown)
}
