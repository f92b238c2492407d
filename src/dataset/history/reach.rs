//! Which steps reach into what somebody else changed.

use std::collections::{HashMap, HashSet};

use crate::dataset::document::Document;
use crate::dataset::edit::Edit;

/// A part of a document that is changed on its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Region(String),
    RegionOrder,
    Conversation(String),
    ConversationOrder,
    Tokenizers,
    Image,
    Status,
    Notes,
    Unknown,
}

/// The parts of a document that changed.
#[derive(Clone, Debug)]
pub(super) struct Changes {
    parts: HashSet<Part>,
}

impl Changes {
    /// What differs between two documents.
    pub(super) fn between(before: &Document, after: &Document) -> Self {
        let mut parts = HashSet::new();
        let is_reordered = differences(
            &before.regions,
            &after.regions,
            |region| &region.id,
            |id| parts.insert(Part::Region(id.to_owned())),
        );
        if is_reordered {
            parts.insert(Part::RegionOrder);
        }
        let is_reordered = differences(
            &before.conversations,
            &after.conversations,
            |conversation| &conversation.id,
            |id| parts.insert(Part::Conversation(id.to_owned())),
        );
        let fields = [
            (is_reordered, Part::ConversationOrder),
            (before.tokenizers != after.tokenizers, Part::Tokenizers),
            (before.image != after.image, Part::Image),
            (before.status != after.status, Part::Status),
            (before.notes != after.notes, Part::Notes),
            (before.unknown != after.unknown, Part::Unknown),
        ];
        parts.extend(
            fields
                .into_iter()
                .filter_map(|(is_changed, part)| is_changed.then_some(part)),
        );
        Self { parts }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether `edit` concerns anything that changed; if so, all that it concerns counts as changed from then on,
    /// since edits on top of one that is forgotten no longer fit.
    pub(super) fn reach(&mut self, edit: &Edit) -> bool {
        let parts = parts(edit);
        let reaches = parts.iter().any(|part| self.parts.contains(part));
        if reaches {
            self.parts.extend(parts);
        }
        reaches
    }
}

/// What an edit concerns.
fn parts(edit: &Edit) -> Vec<Part> {
    match edit {
        Edit::AddRegion { region, .. } => vec![Part::Region(region.id.clone())],
        Edit::RemoveRegion { id } | Edit::Region { id, .. } => vec![Part::Region(id.clone())],
        Edit::MoveRegion { id, .. } => vec![Part::Region(id.clone()), Part::RegionOrder],
        Edit::RenameRegion { from, to } => vec![Part::Region(from.clone()), Part::Region(to.clone())],
        Edit::AddConversation { conversation, .. } => vec![Part::Conversation(conversation.id.clone())],
        Edit::RemoveConversation { id } | Edit::Conversation { id, .. } => {
            vec![Part::Conversation(id.clone())]
        }
        Edit::MoveConversation { id, .. } => vec![Part::Conversation(id.clone()), Part::ConversationOrder],
        Edit::AddTokenizer { .. } | Edit::RemoveTokenizer { .. } => vec![Part::Tokenizers],
        Edit::Image(_) => vec![Part::Image],
        Edit::Status(_) => vec![Part::Status],
        Edit::Notes(_) => vec![Part::Notes],
        Edit::Unknown(_) => vec![Part::Unknown],
        Edit::Several(edits) => edits.iter().flat_map(parts).collect(),
    }
}

/// Names the items that were added, removed or changed, and answers whether the others have another order.
fn differences<'a, T: PartialEq>(
    before: &'a [T],
    after: &'a [T],
    id: impl Fn(&'a T) -> &'a str,
    mut name: impl FnMut(&'a str) -> bool,
) -> bool {
    let by_id =
        |items: &'a [T]| -> HashMap<&'a str, &'a T> { items.iter().map(|item| (id(item), item)).collect() };
    let (old, new) = (by_id(before), by_id(after));
    for id in old.keys().chain(new.keys()) {
        if old.get(id) != new.get(id) {
            name(id);
        }
    }
    let common = |items: &'a [T], others: &HashMap<&'a str, &'a T>| -> Vec<&'a str> {
        items
            .iter()
            .map(&id)
            .filter(|id| others.contains_key(id))
            .collect()
    };
    common(before, &new) != common(after, &old)
}
