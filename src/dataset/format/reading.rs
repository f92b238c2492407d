//! From the bytes of a sidecar to a document.

use serde_json::Value;

use super::node::Node;
use super::object::{MISSING, Object, expected, whole};
use super::{FORMAT, FormatError, VERSION, check};
use crate::dataset::document::{
    Attributes, Caption, Conversation, Document, ImageRef, MaskWords, Region, RegionMask, Tokenizer, Turn,
};
use crate::dataset::vocabulary::{Role, Status, Task};
use crate::geometry::ImageSize;
use crate::mask::Rle;

/// The document in the bytes of a sidecar.
///
/// `format`, `version` and `image` must be there, and of every object the keys without which it means nothing;
/// all others have a default. `null` counts as absent.
///
/// # Errors
/// [`FormatError`], whatever the bytes are.
pub fn read(bytes: &[u8]) -> Result<Document, FormatError> {
    // Some editors put a byte order mark in front.
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let node = serde_json::from_slice(bytes).map_err(|error| FormatError::NotJson {
        reason: error.to_string(),
    })?;
    document(node)
}

/// The document in a sidecar that was read as JSON already.
///
/// # Errors
/// As [`read`], whatever the value is.
pub fn from_json(value: Value) -> Result<Document, FormatError> {
    document(value.into())
}

fn document(node: Node<'_>) -> Result<Document, FormatError> {
    let mut object = Object::new(node, String::new())?;
    if object.optional("format") != Some(Node::from(FORMAT)) {
        return Err(FormatError::OtherFormat);
    }
    let version = object.required("version")?;
    match whole(&version) {
        Some(VERSION) => {}
        Some(version) if version > VERSION => return Err(FormatError::NewerVersion { version }),
        _ => return Err(expected("1", &version, "version".to_owned())),
    }
    let document = Document {
        image: image(object.object("image")?)?,
        tokenizers: tokenizers(&mut object)?,
        regions: object
            .objects("regions")?
            .into_iter()
            .map(region)
            .collect::<Result<_, _>>()?,
        conversations: object
            .objects("conversations")?
            .into_iter()
            .map(conversation)
            .collect::<Result<_, _>>()?,
        status: status(&mut object)?,
        notes: object.optional_string("notes")?.unwrap_or_default(),
        modified: object.optional_parsed("modified")?,
        revision: match object.optional("revision") {
            None => 0,
            Some(value) => whole(&value)
                .ok_or_else(|| expected("a whole number of at least 0", &value, "revision".to_owned()))?,
        },
        unknown: object.unknown(),
    };
    check(&document)?;
    Ok(document)
}

fn status(object: &mut Object<'_>) -> Result<Status, FormatError> {
    Ok(object
        .named("status", Status::ALL, Status::as_str)?
        .unwrap_or(Status::Draft))
}

fn image(mut object: Object<'_>) -> Result<ImageRef, FormatError> {
    Ok(ImageRef {
        file_name: object.string("file_name")?,
        size: ImageSize::new(object.integer("width")?, object.integer("height")?),
        blake3: object.optional_string("blake3")?,
        unknown: object.unknown(),
    })
}

/// The tokenizers are an object, id to description.
fn tokenizers(document: &mut Object<'_>) -> Result<Vec<Tokenizer>, FormatError> {
    let Some(tokenizers) = document.optional_object("tokenizers")? else {
        return Ok(Vec::new());
    };
    let tokenizer = |(id, mut object): (String, Object<'_>)| {
        Ok(Tokenizer {
            id,
            name: object.optional_string("name")?.unwrap_or_default(),
            fingerprint: object.string("fingerprint")?,
            codebook_size: object.integer("codebook_size")?,
            codebook_depth: object.integer("codebook_depth")?,
            unknown: object.unknown(),
        })
    };
    tokenizers.entries()?.into_iter().map(tokenizer).collect()
}

fn region(mut object: Object<'_>) -> Result<Region, FormatError> {
    object.discard("bbox");
    object.discard("area");
    Ok(Region {
        id: object.string("id")?,
        label: object.optional_string("label")?.unwrap_or_default(),
        color: object.optional_parsed("color")?,
        mask: mask(object.object("mask")?)?,
        words: object.optional_object("words")?.map(words).transpose()?,
        captions: object
            .objects("captions")?
            .into_iter()
            .map(caption)
            .collect::<Result<_, _>>()?,
        attributes: object
            .optional_object("attributes")?
            .map_or_else(Attributes::new, Object::unknown),
        source: object.optional_string("source")?.unwrap_or_default(),
        status: status(&mut object)?,
        unknown: object.unknown(),
    })
}

fn mask(mut object: Object<'_>) -> Result<RegionMask, FormatError> {
    let [height, width] = object.integers("size")?[..] else {
        return Err(object.invalid("size", "expected [height, width]"));
    };
    let counts = object.string("counts")?;
    let rle = Rle::from_compressed(ImageSize::new(width, height), &counts)
        .map_err(|error| object.invalid("counts", error))?;
    Ok(RegionMask {
        rle,
        unknown: object.unknown(),
    })
}

fn words(mut object: Object<'_>) -> Result<MaskWords, FormatError> {
    let iou = match object.optional("iou") {
        None => None,
        Some(value) => {
            let iou = value.as_f64().filter(|iou| (0.0..=1.0).contains(iou));
            Some(iou.ok_or_else(|| expected("a number from 0 to 1", &value, object.at("iou")))?)
        }
    };
    Ok(MaskWords {
        text: object.string("text")?,
        codes: object.integers("codes")?,
        tokenizer: object.string("tokenizer")?,
        iou,
        // Words of an unknown mask are stale, which no hash says better than an empty one.
        mask_blake3: object.optional_string("mask_blake3")?.unwrap_or_default(),
        unknown: object.unknown(),
    })
}

fn caption(mut object: Object<'_>) -> Result<Caption, FormatError> {
    object.discard("value");
    Ok(Caption {
        text: object.string("text")?,
        author: object.optional_string("author")?,
        unknown: object.unknown(),
    })
}

fn conversation(mut object: Object<'_>) -> Result<Conversation, FormatError> {
    Ok(Conversation {
        id: object.string("id")?,
        task: object
            .named("task", Task::ALL, Task::as_str)?
            .unwrap_or(Task::Free),
        turns: object
            .objects("turns")?
            .into_iter()
            .map(turn)
            .collect::<Result<_, _>>()?,
        status: status(&mut object)?,
        unknown: object.unknown(),
    })
}

fn turn(mut object: Object<'_>) -> Result<Turn, FormatError> {
    object.discard("value");
    let role = object.named("role", Role::ALL, Role::as_str)?;
    Ok(Turn {
        role: role.ok_or_else(|| object.invalid("role", MISSING))?,
        text: object.string("text")?,
        unknown: object.unknown(),
    })
}
