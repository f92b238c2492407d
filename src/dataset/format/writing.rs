//! From a document to the bytes of its sidecar.

use serde_json::{Map, Value, json};

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
    check(document)?;
    let words = RegionWords::new(&document.regions);
    let size = document.image.size;
    let image = Keys::new()
        .with("file_name", &*document.image.file_name)
        .with("width", size.width)
        .with("height", size.height)
        .with_some("blake3", document.image.blake3.as_deref())
        .and(&document.image.unknown);
    let tokenizers: Map<String, Value> = document
        .tokenizers
        .iter()
        .map(|tokenizer| (tokenizer.id.clone(), tokenizer_keys(tokenizer)))
        .collect();
    let document = Keys::new()
        .with("format", FORMAT)
        .with("version", VERSION)
        .with("image", image)
        .with("tokenizers", tokenizers)
        .with(
            "regions",
            list(&document.regions, |region| region_keys(region, &words)),
        )
        .with(
            "conversations",
            list(&document.conversations, |conversation| {
                conversation_keys(conversation, &words)
            }),
        )
        .with("status", document.status.as_str())
        .with("notes", &*document.notes)
        .with_some("modified", document.modified.map(|modified| modified.to_string()))
        .with("revision", document.revision)
        .and(&document.unknown);
    Ok(format!("{document:#}\n").into_bytes())
}

/// An object being written, in the order of the calls.
struct Keys(Map<String, Value>);

impl Keys {
    fn new() -> Self {
        Self(Map::new())
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    fn with_some(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// The object, with the keys that this version does not know at its end; none of them replaces a known one.
    fn and(mut self, unknown: &UnknownKeys) -> Value {
        for (key, value) in unknown {
            self.0.entry(key).or_insert_with(|| value.clone());
        }
        Value::Object(self.0)
    }
}

fn list<T>(items: &[T], item: impl Fn(&T) -> Value) -> Value {
    items.iter().map(item).collect()
}

fn tokenizer_keys(tokenizer: &Tokenizer) -> Value {
    Keys::new()
        .with("name", &*tokenizer.name)
        .with("fingerprint", &*tokenizer.fingerprint)
        .with("codebook_size", tokenizer.codebook_size)
        .with("codebook_depth", tokenizer.codebook_depth)
        .and(&tokenizer.unknown)
}

fn region_keys(region: &Region, words: &RegionWords<'_>) -> Value {
    let rle = &region.mask.rle;
    let bounds = rle.bounding_box().unwrap_or(PixelRect {
        x: 0,
        y: 0,
        width: 0,
        height: 0,
    });
    Keys::new()
        .with("id", &*region.id)
        .with("label", &*region.label)
        .with_some("color", region.color.map(|color| color.to_string()))
        .with("mask", mask_keys(&region.mask))
        .with("bbox", json!([bounds.x, bounds.y, bounds.width, bounds.height]))
        .with("area", rle.area())
        .with_some("words", region.words.as_ref().map(words_keys))
        .with(
            "captions",
            list(&region.captions, |caption| caption_keys(caption, words)),
        )
        .with("attributes", region.attributes.clone())
        .with("source", &*region.source)
        .with("status", region.status.as_str())
        .and(&region.unknown)
}

fn mask_keys(mask: &RegionMask) -> Value {
    let size = mask.rle.size();
    Keys::new()
        .with("size", json!([size.height, size.width]))
        .with("counts", mask.rle.to_compressed())
        .and(&mask.unknown)
}

fn words_keys(words: &MaskWords) -> Value {
    Keys::new()
        .with("text", &*words.text)
        .with("codes", words.codes.clone())
        .with("tokenizer", &*words.tokenizer)
        .with_some("iou", words.iou)
        .with("mask_blake3", &*words.mask_blake3)
        .and(&words.unknown)
}

fn caption_keys(caption: &Caption, words: &RegionWords<'_>) -> Value {
    Keys::new()
        .with("text", &*caption.text)
        .with_some("value", words.value(&caption.text))
        .with_some("author", caption.author.as_deref())
        .and(&caption.unknown)
}

fn conversation_keys(conversation: &Conversation, words: &RegionWords<'_>) -> Value {
    Keys::new()
        .with("id", &*conversation.id)
        .with("task", conversation.task.as_str())
        .with("turns", list(&conversation.turns, |turn| turn_keys(turn, words)))
        .with("status", conversation.status.as_str())
        .and(&conversation.unknown)
}

fn turn_keys(turn: &Turn, words: &RegionWords<'_>) -> Value {
    Keys::new()
        .with("role", turn.role.as_str())
        .with("text", &*turn.text)
        .with_some("value", words.value(&turn.text))
        .and(&turn.unknown)
}
