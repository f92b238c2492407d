//! Which edits are one step: the parts of a stroke, and letters typed one after the other.

use std::mem::discriminant;

use crate::dataset::edit::{ConversationChange, Edit, RegionChange};

/// Longest text, in bytes, that one key or input method enters at once; more was pasted.
const LONGEST_KEY_BYTES: usize = 32;

/// One key's worth of change of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Typing {
    /// Something was written.
    Insertion {
        /// Whether a new line was begun, with which a new step begins.
        starts_line: bool,
    },
    /// Something was deleted.
    Deletion,
}

impl Typing {
    /// The key that made `new` of `old`; `None` if it was more than a key.
    pub(super) fn between(old: &str, new: &str) -> Option<Self> {
        let (old, new) = (old.as_bytes(), new.as_bytes());
        let (shorter, longer) = if old.len() < new.len() {
            (old, new)
        } else {
            (new, old)
        };
        let changed_bytes = longer.len() - shorter.len();
        let prefix = equal_bytes(shorter.iter(), longer.iter());
        let suffix = equal_bytes(shorter.iter().rev(), longer.iter().rev());
        if prefix + suffix < shorter.len() || !(1..=LONGEST_KEY_BYTES).contains(&changed_bytes) {
            return None;
        }
        if new.len() < old.len() {
            return Some(Self::Deletion);
        }
        let inserted = new.iter().skip(prefix).take(changed_bytes);
        let starts_line = inserted.copied().any(|byte| byte == b'\n');
        Some(Self::Insertion { starts_line })
    }

    /// Whether this is more of what `last` was.
    pub(super) fn goes_on(self, last: Self) -> bool {
        match (last, self) {
            (Self::Insertion { .. }, Self::Insertion { starts_line }) => !starts_line,
            (Self::Deletion, Self::Deletion) => true,
            _ => false,
        }
    }
}

fn equal_bytes<'a>(left: impl Iterator<Item = &'a u8>, right: impl Iterator<Item = &'a u8>) -> usize {
    left.zip(right).take_while(|(left, right)| left == right).count()
}

/// The text that `edit` sets.
pub(super) fn text(edit: &Edit) -> Option<&str> {
    match edit {
        Edit::Notes(text) => Some(text),
        Edit::Region { change, .. } => match change {
            RegionChange::Label(text) | RegionChange::Source(text) => Some(text),
            RegionChange::Caption { caption, .. } => Some(&caption.text),
            _ => None,
        },
        Edit::Conversation {
            change: ConversationChange::Turn { turn, .. },
            ..
        } => Some(&turn.text),
        _ => None,
    }
}

/// Makes one of two inverses that would be applied one after the other, the `later` one first; `false` if they
/// have nothing to do with each other.
pub(super) fn absorb(earlier: &mut Edit, later: &Edit) -> bool {
    if let (
        Edit::Region {
            id,
            change: RegionChange::Mask(change),
        },
        Edit::Region {
            id: other,
            change: RegionChange::Mask(next),
        },
    ) = (&mut *earlier, later)
    {
        return id == other
            && change.then(next).is_ok_and(|joined| {
                *change = joined;
                true
            });
    }
    is_same_field(earlier, later)
}

/// Whether both edits set the same thing, so that only the one made last counts.
pub(super) fn is_same_field(left: &Edit, right: &Edit) -> bool {
    match (left, right) {
        (Edit::Image(_), Edit::Image(_))
        | (Edit::Status(_), Edit::Status(_))
        | (Edit::Notes(_), Edit::Notes(_))
        | (Edit::Unknown(_), Edit::Unknown(_)) => true,
        (Edit::MoveRegion { id: left, .. }, Edit::MoveRegion { id: right, .. })
        | (Edit::MoveConversation { id: left, .. }, Edit::MoveConversation { id: right, .. }) => {
            left == right
        }
        (Edit::Region { id: left, change: a }, Edit::Region { id: right, change: b }) => {
            left == right && is_same_region_field(a, b)
        }
        (Edit::Conversation { id: left, change: a }, Edit::Conversation { id: right, change: b }) => {
            left == right && is_same_conversation_field(a, b)
        }
        _ => false,
    }
}

fn is_same_region_field(left: &RegionChange, right: &RegionChange) -> bool {
    match (left, right) {
        (RegionChange::Caption { index: left, .. }, RegionChange::Caption { index: right, .. }) => {
            left == right
        }
        (
            RegionChange::Mask(_)
            | RegionChange::AddCaption { .. }
            | RegionChange::RemoveCaption { .. }
            | RegionChange::MoveCaption { .. },
            _,
        ) => false,
        _ => discriminant(left) == discriminant(right),
    }
}

fn is_same_conversation_field(left: &ConversationChange, right: &ConversationChange) -> bool {
    match (left, right) {
        (ConversationChange::Turn { index: left, .. }, ConversationChange::Turn { index: right, .. }) => {
            left == right
        }
        (
            ConversationChange::AddTurn { .. }
            | ConversationChange::RemoveTurn { .. }
            | ConversationChange::MoveTurn { .. },
            _,
        ) => false,
        _ => discriminant(left) == discriminant(right),
    }
}
