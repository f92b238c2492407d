//! The sidecar's JSON, version 1: [`read()`] is strict and says where a file is wrong, [`write()`] is byte-stable.
//!
//! Both directions keep keys that this version does not know, at every level, behind the known ones.
//! `bbox`, `area` and `value` are for readers without this program: written from masks and words, never read.
//! Known keys come in the order of the published example, with two spaces per level and one newline at the end.

mod node;
mod object;
mod reading;
#[cfg(test)]
mod tests;
mod writing;

use std::collections::HashSet;

use super::document::Document;
use crate::geometry::ImageSize;

pub use self::reading::{from_json, read};
pub use self::writing::{to_json, write, write_line};

/// What a sidecar says under `format`.
const FORMAT: &str = "samtok-annotation";
/// The version that is read and written here.
const VERSION: u64 = 1;

/// Why bytes are no document, or a document cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The bytes are no JSON, perhaps because they break off.
    #[error("this is not valid JSON ({reason}); restore the file from a copy or repair it in a text editor")]
    NotJson {
        /// What is wrong, with line and column.
        reason: String,
    },
    /// JSON, but no annotation document.
    #[error(
        "this is not a SAMTok annotation: \"format\" must be \"samtok-annotation\"; move the file elsewhere"
    )]
    OtherFormat,
    /// The file is newer than this program.
    #[error("this file has version {version}, made by a newer version of SAMTok Studio; update to open it")]
    NewerVersion {
        /// The version in the file.
        version: u64,
    },
    /// A known key has a wrong value.
    #[error("at {at}: {reason}")]
    Invalid {
        /// Path of the value from the top of the document, such as `regions[2].mask.counts`.
        at: String,
        /// What was expected, and what to do.
        reason: String,
    },
    /// A mask does not have the size of the document's image.
    #[error("at {at}: the mask has {found} pixels and the image {expected}; both must be equal")]
    MaskSize {
        /// Path of the mask.
        at: String,
        /// Size of the mask.
        found: ImageSize,
        /// Size of the image.
        expected: ImageSize,
    },
}

impl FormatError {
    fn invalid(at: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid {
            at: at.into(),
            reason: reason.into(),
        }
    }
}

/// What holds for every document, read or written: ids that can be told apart and resolved, and masks of one size.
fn check(document: &Document) -> Result<(), FormatError> {
    let mut tokenizer_ids = HashSet::new();
    for tokenizer in &document.tokenizers {
        if !tokenizer_ids.insert(tokenizer.id.as_str()) {
            return Err(FormatError::invalid(
                "tokenizers",
                format!("{:?} is used twice", tokenizer.id),
            ));
        }
    }
    let mut region_ids = HashSet::new();
    for (index, region) in document.regions.iter().enumerate() {
        let at = |key: &str| format!("regions[{index}].{key}");
        if region.id.is_empty() || region.id.contains(['[', ']']) {
            return Err(FormatError::invalid(
                at("id"),
                "an id has at least one character and no square brackets",
            ));
        }
        if !region_ids.insert(region.id.as_str()) {
            return Err(FormatError::invalid(
                at("id"),
                format!("{:?} is the id of another region too", region.id),
            ));
        }
        let (found, expected) = (region.mask.rle.size(), document.image.size);
        if found != expected {
            return Err(FormatError::MaskSize {
                at: at("mask.size"),
                found,
                expected,
            });
        }
        if let Some(words) = &region.words
            && !tokenizer_ids.contains(words.tokenizer.as_str())
        {
            let reason = format!("{:?} is not listed under tokenizers", words.tokenizer);
            return Err(FormatError::invalid(at("words.tokenizer"), reason));
        }
    }
    let mut conversation_ids = HashSet::new();
    for (index, conversation) in document.conversations.iter().enumerate() {
        if !conversation_ids.insert(conversation.id.as_str()) {
            let reason = format!("{:?} is the id of another conversation too", conversation.id);
            return Err(FormatError::invalid(format!("conversations[{index}].id"), reason));
        }
    }
    Ok(())
}
