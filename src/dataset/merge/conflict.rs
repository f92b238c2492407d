//! What a person should look at after a merge, and how it is said.

use std::fmt;

use serde_json::{Value, json};

/// Longest value, in characters, that a message quotes.
const LONGEST_QUOTE: usize = 60;

/// Something that both versions changed, each in its way.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// Where.
    pub place: Place,
    /// What, and what became of it.
    pub kind: ConflictKind,
}

/// A part of a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The document itself.
    Document,
    /// The region with this id.
    Region(String),
    /// The conversation with this id.
    Conversation(String),
    /// The tokenizer with this id.
    Tokenizer(String),
}

/// One of the two versions of a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The version that is being saved.
    Ours,
    /// The version that was found on disk.
    Theirs,
}

/// What both versions did, and how it was kept.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ConflictKind {
    /// Both set a field; ours stays and theirs is written down in the document.
    Field {
        /// Name of the field in the file.
        field: String,
        /// What stays.
        ours: Value,
        /// What gave way.
        theirs: Value,
    },
    /// Both changed the mask; theirs is an additional region.
    Mask {
        /// Id of that region.
        other: String,
    },
    /// Both changed the turns; theirs are an additional conversation.
    Turns {
        /// Id of that conversation.
        other: String,
    },
    /// Both changed a caption; theirs follows it.
    Caption,
    /// Both changed a line of the notes; theirs follows it.
    Notes,
    /// One side removed what the other changed or mentioned; it stays.
    Removed {
        /// What was removed, if it is a part of the place.
        field: Option<String>,
        /// Who removed it.
        by: Side,
    },
    /// Both changed the order; ours stays.
    Order {
        /// What is in order: `regions` or `conversations`.
        of: &'static str,
    },
    /// The whole file was deleted by another program; ours was written again.
    FileDeleted,
}

impl Conflict {
    pub(in crate::dataset) fn new(place: Place, kind: ConflictKind) -> Self {
        Self { place, kind }
    }

    /// What is written into the document, for a value that is nowhere else.
    pub(super) fn record(&self) -> Option<Value> {
        match &self.kind {
            ConflictKind::Field { field, theirs, .. } => Some(json!({
                "at": self.place.to_string(),
                "field": field,
                "other": theirs,
            })),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => f.write_str("image"),
            Self::Region(id) => write!(f, "region {id}"),
            Self::Conversation(id) => write!(f, "conversation {id}"),
            Self::Tokenizer(id) => write!(f, "tokenizer {id}"),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        match &self.kind {
            ConflictKind::Field { field, ours, theirs } => write!(
                f,
                "{field} is {} here and {} in the other version; kept the first and noted the second under \
                 \"{}\"",
                quote(ours),
                quote(theirs),
                super::CONFLICTS_KEY
            ),
            ConflictKind::Mask { other } => {
                write!(f, "both versions changed the mask; the other one is region {other}")
            }
            ConflictKind::Turns { other } => write!(
                f,
                "both versions changed what is said; the other one is conversation {other}"
            ),
            ConflictKind::Caption => f.write_str("both versions changed a caption; the other one follows it"),
            ConflictKind::Notes => f.write_str("both versions changed a line of the notes; both lines are there"),
            ConflictKind::Removed { field, by } => {
                if let Some(field) = field {
                    write!(f, "{field} ")?;
                }
                f.write_str(match by {
                    Side::Ours => "was removed here and changed in the other version; kept",
                    Side::Theirs => "was removed in the other version and changed here; kept",
                })
            }
            ConflictKind::Order { of } => {
                write!(f, "both versions changed the order of the {of}; kept the one here")
            }
            ConflictKind::FileDeleted => f.write_str(
                "the annotations were deleted by another program while they were changed here; they were written \
                 again",
            ),
        }
    }
}

/// `value` in few characters and one line.
fn quote(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= LONGEST_QUOTE {
        return text;
    }
    let start: String = text.chars().take(LONGEST_QUOTE).collect();
    format!("{start}…")
}
