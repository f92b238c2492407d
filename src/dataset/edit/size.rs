//! How much memory an edit holds, so that a history can be kept within bounds.

use std::mem::size_of;

use serde_json::{Map, Value};

use super::{ConversationChange, Edit, RegionChange};
use crate::dataset::document::{Caption, Conversation, MaskWords, Region, Turn};
use crate::mask::Rle;

/// What the allocator and the map take for an entry, about.
const PER_ENTRY: usize = 64;

impl Edit {
    /// The bytes that the edit holds, closely estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::AddRegion { region, .. } => region_bytes(region),
                Self::RemoveRegion { id }
                | Self::MoveRegion { id, .. }
                | Self::RemoveConversation { id }
                | Self::MoveConversation { id, .. }
                | Self::RemoveTokenizer { id } => id.len(),
                Self::RenameRegion { from, to } => from.len() + to.len(),
                Self::Region { id, change } => id.len() + region_change_bytes(change),
                Self::AddConversation { conversation, .. } => conversation_bytes(conversation),
                Self::Conversation { id, change } => id.len() + conversation_change_bytes(change),
                Self::AddTokenizer { tokenizer, .. } => {
                    let texts = [&tokenizer.id, &tokenizer.name, &tokenizer.fingerprint];
                    texts.map(String::len).iter().sum::<usize>()
                        + map_bytes(&tokenizer.unknown)
                        + 4 * PER_ENTRY
                }
                Self::Image(image) => {
                    let hash = image.blake3.as_ref().map_or(0, String::len);
                    image.file_name.len() + hash + map_bytes(&image.unknown) + 4 * PER_ENTRY
                }
                Self::Status(_) => 0,
                Self::Notes(notes) => notes.len(),
                Self::Unknown(keys) => map_bytes(keys),
                Self::Several(edits) => edits.iter().map(Self::bytes).sum(),
            }
    }
}

fn region_change_bytes(change: &RegionChange) -> usize {
    match change {
        RegionChange::Label(text) | RegionChange::Source(text) => text.len(),
        RegionChange::Mask(change) => rle_bytes(change.difference()),
        RegionChange::Words(words) => words.as_deref().map_or(0, words_bytes),
        RegionChange::AddCaption { caption, .. } | RegionChange::Caption { caption, .. } => {
            caption_bytes(caption)
        }
        RegionChange::Attributes(keys) | RegionChange::Unknown(keys) => map_bytes(keys),
        RegionChange::Color(_)
        | RegionChange::Status(_)
        | RegionChange::RemoveCaption { .. }
        | RegionChange::MoveCaption { .. } => 0,
    }
}

fn conversation_change_bytes(change: &ConversationChange) -> usize {
    match change {
        ConversationChange::AddTurn { turn, .. } | ConversationChange::Turn { turn, .. } => turn_bytes(turn),
        ConversationChange::Unknown(keys) => map_bytes(keys),
        ConversationChange::Task(_)
        | ConversationChange::Status(_)
        | ConversationChange::RemoveTurn { .. }
        | ConversationChange::MoveTurn { .. } => 0,
    }
}

fn region_bytes(region: &Region) -> usize {
    let texts = region.id.len() + region.label.len() + region.source.len();
    size_of::<Region>()
        + texts
        + rle_bytes(&region.mask.rle)
        + map_bytes(&region.mask.unknown)
        + region.words.as_ref().map_or(0, words_bytes)
        + region.captions.iter().map(caption_bytes).sum::<usize>()
        + map_bytes(&region.attributes)
        + map_bytes(&region.unknown)
}

fn conversation_bytes(conversation: &Conversation) -> usize {
    size_of::<Conversation>()
        + conversation.id.len()
        + conversation.turns.iter().map(turn_bytes).sum::<usize>()
        + map_bytes(&conversation.unknown)
}

fn rle_bytes(rle: &Rle) -> usize {
    size_of_val(rle.counts())
}

fn words_bytes(words: &MaskWords) -> usize {
    let texts = words.text.len() + words.tokenizer.len() + words.mask_blake3.len();
    size_of::<MaskWords>() + texts + size_of_val(&words.codes[..]) + map_bytes(&words.unknown)
}

fn caption_bytes(caption: &Caption) -> usize {
    let author = caption.author.as_ref().map_or(0, String::len);
    size_of::<Caption>() + caption.text.len() + author + map_bytes(&caption.unknown)
}

fn turn_bytes(turn: &Turn) -> usize {
    size_of::<Turn>() + turn.text.len() + map_bytes(&turn.unknown)
}

fn map_bytes(map: &Map<String, Value>) -> usize {
    let entry = |(key, value): (&String, &Value)| PER_ENTRY + key.len() + value_bytes(value);
    map.iter().map(entry).sum()
}

fn value_bytes(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_bytes).sum(),
            Value::Object(keys) => map_bytes(keys),
        }
}
