//! Changes of a document as values with an inverse, so that everything a person does can be undone.

mod error;
mod regions;
mod size;
#[cfg(test)]
mod tests;

use std::mem;

pub use self::error::EditError;
pub use self::regions::{MaskChange, RegionChange};
use super::document::{Conversation, Document, ImageRef, Region, Tokenizer, Turn, UnknownKeys};
use super::mention;
use super::vocabulary::{Status, Task};

/// One change of a [`Document`].
///
/// Regions and conversations are named by id, and positions behind the end mean the end, so an edit still fits
/// after others were made elsewhere in the document.
#[derive(Clone, Debug, PartialEq)]
pub enum Edit {
    /// Adds a region so that it has this position in the drawing order.
    AddRegion {
        /// Position from the back.
        index: usize,
        /// The region; its id must be new, its mask of the image's size and its tokenizer listed.
        region: Box<Region>,
    },
    /// Removes a region; mentions of it become plain text, see [`Edit::remove_region`].
    RemoveRegion {
        /// The region.
        id: String,
    },
    /// Moves a region in the drawing order.
    MoveRegion {
        /// The region.
        id: String,
        /// Its new position from the back.
        index: usize,
    },
    /// Gives a region another id, but not to its mentions, see [`Edit::rename_region`].
    RenameRegion {
        /// The present id.
        from: String,
        /// The new id.
        to: String,
    },
    /// Changes something inside a region.
    Region {
        /// The region.
        id: String,
        /// What changes.
        change: RegionChange,
    },
    /// Adds a conversation.
    AddConversation {
        /// Its position.
        index: usize,
        /// The conversation; its id must be new.
        conversation: Box<Conversation>,
    },
    /// Removes a conversation.
    RemoveConversation {
        /// The conversation.
        id: String,
    },
    /// Moves a conversation.
    MoveConversation {
        /// The conversation.
        id: String,
        /// Its new position.
        index: usize,
    },
    /// Changes something inside a conversation.
    Conversation {
        /// The conversation.
        id: String,
        /// What changes.
        change: ConversationChange,
    },
    /// Lists a tokenizer.
    AddTokenizer {
        /// Its position.
        index: usize,
        /// The tokenizer; its id must be new.
        tokenizer: Box<Tokenizer>,
    },
    /// Takes a tokenizer off the list; no region may have words of it.
    RemoveTokenizer {
        /// The tokenizer.
        id: String,
    },
    /// Says anew which file the document is about, after it was renamed or replaced by one of equal size.
    Image(Box<ImageRef>),
    /// Sets the status of the whole document.
    Status(Status),
    /// Sets the remarks of the annotator.
    Notes(String),
    /// Sets the keys of the document that this version does not know.
    Unknown(UnknownKeys),
    /// Several edits that are made one after the other, all or none.
    Several(Vec<Self>),
}

/// One change inside a [`Conversation`].
#[derive(Clone, Debug, PartialEq)]
pub enum ConversationChange {
    /// Sets what it trains.
    Task(Task),
    /// Sets how far the work on it is.
    Status(Status),
    /// Adds a turn at this position.
    AddTurn {
        /// Its position.
        index: usize,
        /// The turn.
        turn: Turn,
    },
    /// Removes a turn.
    RemoveTurn {
        /// Its position.
        index: usize,
    },
    /// Moves a turn.
    MoveTurn {
        /// Its position.
        from: usize,
        /// Its new position.
        to: usize,
    },
    /// Replaces a turn, as typing in it does.
    Turn {
        /// Its position.
        index: usize,
        /// What it becomes.
        turn: Turn,
    },
    /// Sets the keys that this version does not know.
    Unknown(UnknownKeys),
}

/// What becomes of the mentions of a region that goes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mentions {
    /// They stay as they are; `[[r1]]` is plain text then, and a mention again if the removal is undone.
    Keep,
    /// Each becomes this text, such as the region's label.
    Replace(String),
}

impl Edit {
    /// The edit that removes a region and deals with its mentions in all texts.
    #[must_use]
    pub fn remove_region(document: &Document, id: &str, mentions: &Mentions) -> Self {
        let removal = Self::RemoveRegion { id: id.to_owned() };
        match mentions {
            Mentions::Keep => removal,
            Mentions::Replace(text) => {
                let mut edits = text_edits(document, |mentioned| (mentioned == id).then(|| text.clone()));
                // The texts of the region itself go with it.
                edits.retain(|edit| !matches!(edit, Self::Region { id: changed, .. } if changed == id));
                edits.push(removal);
                Self::Several(edits)
            }
        }
    }

    /// The edit that gives a region another id, in all mentions too.
    #[must_use]
    pub fn rename_region(document: &Document, from: &str, to: &str) -> Self {
        let mut edits = text_edits(document, |mentioned| {
            (mentioned == from).then(|| format!("[[{to}]]"))
        });
        edits.push(Self::RenameRegion {
            from: from.to_owned(),
            to: to.to_owned(),
        });
        Self::Several(edits)
    }

    /// Makes the change and answers with the edit that takes it back.
    ///
    /// Neither [`Document::revision`] nor [`Document::modified`] changes; see [`Document::touch`].
    ///
    /// # Errors
    /// [`EditError`] where the edit does not fit; the document is as it was then.
    pub fn apply(self, document: &mut Document) -> Result<Self, EditError> {
        match self {
            Self::AddRegion { index, region } => {
                regions::check(document, &region)?;
                let id = region.id.clone();
                insert(&mut document.regions, index, *region);
                Ok(Self::RemoveRegion { id })
            }
            Self::RemoveRegion { id } => {
                let index = regions::index(document, &id)?;
                let region = Box::new(document.regions.remove(index));
                Ok(Self::AddRegion { index, region })
            }
            Self::MoveRegion { id, index } => {
                let from = regions::index(document, &id)?;
                shift(&mut document.regions, from, index);
                Ok(Self::MoveRegion { id, index: from })
            }
            Self::RenameRegion { from, to } => {
                let index = regions::index(document, &from)?;
                if from != to {
                    regions::check_new_id(document, &to)?;
                }
                document.regions[index].id.clone_from(&to);
                Ok(Self::RenameRegion { from: to, to: from })
            }
            Self::Region { id, change } => {
                let change = change.apply(document, &id)?;
                Ok(Self::Region { id, change })
            }
            Self::AddConversation { index, conversation } => {
                let id = conversation.id.clone();
                if document.conversations.iter().any(|other| other.id == id) {
                    return Err(EditError::UsedId { id });
                }
                insert(&mut document.conversations, index, *conversation);
                Ok(Self::RemoveConversation { id })
            }
            Self::RemoveConversation { id } => {
                let index = conversation_index(document, &id)?;
                let conversation = Box::new(document.conversations.remove(index));
                Ok(Self::AddConversation { index, conversation })
            }
            Self::MoveConversation { id, index } => {
                let from = conversation_index(document, &id)?;
                shift(&mut document.conversations, from, index);
                Ok(Self::MoveConversation { id, index: from })
            }
            Self::Conversation { id, change } => {
                let index = conversation_index(document, &id)?;
                let change = change.apply(&mut document.conversations[index])?;
                Ok(Self::Conversation { id, change })
            }
            Self::AddTokenizer { index, tokenizer } => {
                let id = tokenizer.id.clone();
                if document.tokenizers.iter().any(|other| other.id == id) {
                    return Err(EditError::UsedId { id });
                }
                insert(&mut document.tokenizers, index, *tokenizer);
                Ok(Self::RemoveTokenizer { id })
            }
            Self::RemoveTokenizer { id } => {
                let Some(index) = document
                    .tokenizers
                    .iter()
                    .position(|tokenizer| tokenizer.id == id)
                else {
                    return Err(EditError::NoTokenizer { id });
                };
                let words = document.regions.iter().filter_map(|region| region.words.as_ref());
                if words.into_iter().any(|words| words.tokenizer == id) {
                    return Err(EditError::TokenizerInUse { id });
                }
                let tokenizer = Box::new(document.tokenizers.remove(index));
                Ok(Self::AddTokenizer { index, tokenizer })
            }
            Self::Image(mut image) => {
                let (annotated, size) = (document.image.size, image.size);
                if annotated != size {
                    return Err(EditError::ImageSize {
                        annotated,
                        image: size,
                    });
                }
                mem::swap(&mut document.image, &mut image);
                Ok(Self::Image(image))
            }
            Self::Status(status) => Ok(Self::Status(mem::replace(&mut document.status, status))),
            Self::Notes(notes) => Ok(Self::Notes(mem::replace(&mut document.notes, notes))),
            Self::Unknown(keys) => Ok(Self::Unknown(mem::replace(&mut document.unknown, keys))),
            Self::Several(edits) => apply_all(edits, document).map(Self::Several),
        }
    }
}

/// Makes all edits or none, and answers with what takes them back.
fn apply_all(edits: Vec<Edit>, document: &mut Document) -> Result<Vec<Edit>, EditError> {
    let mut inverses = Vec::with_capacity(edits.len());
    for edit in edits {
        match edit.apply(document) {
            Ok(inverse) => inverses.push(inverse),
            Err(error) => {
                for inverse in inverses.into_iter().rev() {
                    let undone = inverse.apply(document);
                    debug_assert!(undone.is_ok(), "the inverse of an edit just made fits");
                }
                return Err(error);
            }
        }
    }
    inverses.reverse();
    Ok(inverses)
}

impl ConversationChange {
    fn apply(self, conversation: &mut Conversation) -> Result<Self, EditError> {
        let turns = &mut conversation.turns;
        let check = |index: usize| {
            let id = &conversation.id;
            let missing = || EditError::NoTurn {
                conversation: id.clone(),
                index,
            };
            (index < turns.len()).then_some(()).ok_or_else(missing)
        };
        match self {
            Self::Task(task) => Ok(Self::Task(mem::replace(&mut conversation.task, task))),
            Self::Status(status) => Ok(Self::Status(mem::replace(&mut conversation.status, status))),
            Self::AddTurn { index, turn } => {
                let index = insert(turns, index, turn);
                Ok(Self::RemoveTurn { index })
            }
            Self::RemoveTurn { index } => {
                check(index)?;
                let turn = turns.remove(index);
                Ok(Self::AddTurn { index, turn })
            }
            Self::MoveTurn { from, to } => {
                check(from)?;
                let to = shift(turns, from, to);
                Ok(Self::MoveTurn { from: to, to: from })
            }
            Self::Turn { index, turn } => {
                check(index)?;
                let turn = mem::replace(&mut turns[index], turn);
                Ok(Self::Turn { index, turn })
            }
            Self::Unknown(keys) => Ok(Self::Unknown(mem::replace(&mut conversation.unknown, keys))),
        }
    }
}

fn conversation_index(document: &Document, id: &str) -> Result<usize, EditError> {
    let mut conversations = document.conversations.iter();
    let index = conversations.position(|conversation| conversation.id == id);
    index.ok_or_else(|| EditError::NoConversation { id: id.to_owned() })
}

/// Inserts at `index` or at the end; answers where.
fn insert<T>(items: &mut Vec<T>, index: usize, item: T) -> usize {
    let index = index.min(items.len());
    items.insert(index, item);
    index
}

/// Moves the item at `from`, which must exist, to `to` or to the end; answers where.
fn shift<T>(items: &mut [T], from: usize, to: usize) -> usize {
    let to = to.min(items.len() - 1);
    if from < to {
        items[from..=to].rotate_left(1);
    } else {
        items[to..=from].rotate_right(1);
    }
    to
}

/// The edits that put `replacement` in place of the mentions for which there is one, in all texts.
fn text_edits(document: &Document, replacement: impl Fn(&str) -> Option<String>) -> Vec<Edit> {
    let mut edits = Vec::new();
    for region in &document.regions {
        for (index, caption) in region.captions.iter().enumerate() {
            if let Some(text) = replace_mentions(&caption.text, &replacement) {
                let mut caption = caption.clone();
                caption.text = text;
                edits.push(Edit::Region {
                    id: region.id.clone(),
                    change: RegionChange::Caption { index, caption },
                });
            }
        }
    }
    for conversation in &document.conversations {
        for (index, turn) in conversation.turns.iter().enumerate() {
            if let Some(text) = replace_mentions(&turn.text, &replacement) {
                let mut turn = turn.clone();
                turn.text = text;
                edits.push(Edit::Conversation {
                    id: conversation.id.clone(),
                    change: ConversationChange::Turn { index, turn },
                });
            }
        }
    }
    edits
}

/// `text` with other text in place of the mentions for which there is a `replacement`; `None` if there is no such
/// mention.
fn replace_mentions(text: &str, replacement: impl Fn(&str) -> Option<String>) -> Option<String> {
    let mut replaced = String::new();
    let mut from = 0;
    for mention in mention::candidates(text) {
        if let Some(other) = replacement(mention.id) {
            replaced.push_str(&text[from..mention.range.start]);
            replaced.push_str(&other);
            from = mention.range.end;
        }
    }
    (from > 0).then(|| replaced + &text[from..])
}
