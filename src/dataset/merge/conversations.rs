//! Merging conversations: by id, and turn by turn where what comes out is still a dialogue.

use std::collections::HashMap;

use serde_json::json;

use super::{CONFLICT_WITH_KEY, Conflict, ConflictKind, Merger, Place, Side, Versions, fields, lists};
use crate::dataset::document::{Conversation, Document, Turn};
use crate::dataset::vocabulary::Status;

impl Merger {
    pub(super) fn conversations(&mut self, all: Versions<'_, Document>) -> Vec<Conversation> {
        let ids = |document: &'_ Document| -> Vec<String> {
            let ids = document.conversations.iter();
            ids.map(|conversation| conversation.id.clone()).collect()
        };
        let (base, ours, theirs) = (ids(all.base), ids(all.ours), ids(all.theirs));
        let (order, is_conflict) =
            lists::order(&super::refs(&base), &super::refs(&ours), &super::refs(&theirs));
        if is_conflict {
            let kind = ConflictKind::Order { of: "conversations" };
            self.conflicts.push(Conflict::new(Place::Document, kind));
        }
        let [base, ours, theirs] = [all.base, all.ours, all.theirs].map(by_id);
        let mut merged = Vec::with_capacity(order.len());
        for id in order {
            match (base.get(id), ours.get(id), theirs.get(id)) {
                (Some(base), Some(ours), Some(theirs)) => {
                    self.conversation(Versions { base, ours, theirs }, &mut merged);
                }
                (Some(base), Some(kept), None) if base != kept => {
                    self.keep_removed(kept, Side::Theirs, &mut merged);
                }
                (Some(base), None, Some(kept)) if base != kept => {
                    self.keep_removed(kept, Side::Ours, &mut merged);
                }
                (Some(_), _, _) => {}
                // Added; on both sides only if both added the same.
                (None, ours, theirs) => merged.extend(ours.or(theirs).map(|added| (*added).clone())),
            }
        }
        merged
    }

    fn keep_removed(&mut self, kept: &Conversation, by: Side, merged: &mut Vec<Conversation>) {
        merged.push(kept.clone());
        let kind = ConflictKind::Removed { field: None, by };
        self.conflicts
            .push(Conflict::new(Place::Conversation(kept.id.clone()), kind));
    }

    /// A conversation that all three have; their turns are one of their own if both changed them.
    fn conversation(&mut self, conversation: Versions<'_, Conversation>, merged: &mut Vec<Conversation>) {
        let id = conversation.ours.id.clone();
        let place = &Place::Conversation(id.clone());
        let joined = join_turns(conversation.map(|conversation| &conversation.turns));
        let other = joined.is_none().then(|| {
            let other = self.new_ids.conversation();
            let kind = ConflictKind::Turns { other: other.clone() };
            self.conflicts.push(Conflict::new(place.clone(), kind));
            other_version(conversation.theirs, other)
        });
        merged.push(Conversation {
            task: self.field(
                place,
                "task",
                conversation.map(|conversation| &conversation.task),
                |task| json!(task.as_str()),
            ),
            turns: joined.unwrap_or_else(|| conversation.ours.turns.clone()),
            status: self.field(
                place,
                "status",
                conversation.map(|conversation| &conversation.status),
                |status| json!(status.as_str()),
            ),
            unknown: self.unknown(place, "", conversation.map(|conversation| &conversation.unknown)),
            id,
        });
        merged.extend(other);
    }
}

/// The turns of both, if they do not clash and nobody speaks twice in a row who did not before.
fn join_turns(turns: Versions<'_, Vec<Turn>>) -> Option<Vec<Turn>> {
    if let Some(turns) = fields::three_way(turns) {
        return Some(turns.clone());
    }
    let mut has_clash = false;
    let joined = lists::merge(turns.base, turns.ours, turns.theirs, |clash| {
        has_clash = true;
        clash.kept()
    });
    let alternates = |turns: &[Turn]| {
        let mut pairs = turns.iter().zip(turns.iter().skip(1));
        pairs.all(|(turn, next)| turn.role != next.role)
    };
    let stays_dialogue = alternates(&joined) || !alternates(turns.ours) && !alternates(turns.theirs);
    (!has_clash && stays_dialogue).then_some(joined)
}

fn by_id(document: &Document) -> HashMap<&str, &Conversation> {
    let conversations = document.conversations.iter();
    conversations
        .map(|conversation| (conversation.id.as_str(), conversation))
        .collect()
}

/// Their version as a conversation that says what it is.
fn other_version(theirs: &Conversation, id: String) -> Conversation {
    let mut other = theirs.clone();
    let original = std::mem::replace(&mut other.id, id);
    // It must not be used before somebody looked at it.
    other.status = Status::Draft;
    other
        .unknown
        .insert(CONFLICT_WITH_KEY.to_owned(), original.into());
    other
}
