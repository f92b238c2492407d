//! Ids that both sides gave to different things: theirs get new ones before anything is compared.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::CONFLICT_WITH_KEY;
use crate::dataset::document::{Document, Tokenizer, UnknownKeys};
use crate::dataset::mention;

/// Ids that none of the three versions uses.
pub(super) struct NewIds {
    used: HashSet<String>,
    next_region: u64,
    next_conversation: u64,
}

impl NewIds {
    pub(super) fn new(versions: [&Document; 3]) -> Self {
        let number = |id: String| {
            let digits = id.trim_start_matches(|letter: char| !letter.is_ascii_digit());
            digits.parse().unwrap_or(1_u64)
        };
        let highest = |next: fn(&Document) -> String| {
            let numbers = versions.iter().map(|document| number(next(document)));
            numbers.max().unwrap_or(1)
        };
        let ids = |document: &&Document| -> Vec<String> {
            let regions = document.regions.iter().map(|region| &region.id);
            let conversations = document.conversations.iter().map(|conversation| &conversation.id);
            let tokenizers = document.tokenizers.iter().map(|tokenizer| &tokenizer.id);
            regions.chain(conversations).chain(tokenizers).cloned().collect()
        };
        Self {
            used: versions.iter().flat_map(ids).collect(),
            next_region: highest(Document::next_region_id),
            next_conversation: highest(Document::next_conversation_id),
        }
    }

    pub(super) fn region(&mut self) -> String {
        let (id, next) = self.unused('r', self.next_region);
        self.next_region = next;
        id
    }

    pub(super) fn conversation(&mut self) -> String {
        let (id, next) = self.unused('c', self.next_conversation);
        self.next_conversation = next;
        id
    }

    fn tokenizer(&mut self) -> String {
        self.unused('T', 1).0
    }

    fn unused(&mut self, prefix: char, from: u64) -> (String, u64) {
        let mut number = from;
        loop {
            let id = format!("{prefix}{number}");
            number = number.wrapping_add(1);
            if self.used.insert(id.clone()) {
                return (id, number);
            }
        }
    }
}

/// Their version with other ids for what is another thing in ours, and those in their texts and words too.
pub(super) fn apart(base: &Document, ours: &Document, theirs: &Document, new_ids: &mut NewIds) -> Document {
    let mut apart = theirs.clone();
    let mut region_ids: HashMap<String, String> = HashMap::new();
    for region in &theirs.regions {
        let is_other = || ours.region(&region.id).is_some_and(|other| other != region);
        if base.region(&region.id).is_none() && is_other() {
            region_ids.insert(region.id.clone(), new_ids.region());
        }
    }
    let mut conversation_ids: HashMap<String, String> = HashMap::new();
    for conversation in &theirs.conversations {
        let find = |document: &Document| {
            let mut conversations = document.conversations.iter();
            conversations.find(|other| other.id == conversation.id).cloned()
        };
        if find(base).is_none() && find(ours).is_some_and(|other| other != *conversation) {
            conversation_ids.insert(conversation.id.clone(), new_ids.conversation());
        }
    }
    let mut tokenizer_ids: HashMap<String, String> = HashMap::new();
    for tokenizer in &theirs.tokenizers {
        let mut others = ours.tokenizers.iter();
        if others.any(|other| other.id == tokenizer.id && !is_same_model(other, tokenizer)) {
            tokenizer_ids.insert(tokenizer.id.clone(), new_ids.tokenizer());
        }
    }
    rename(&mut apart, &region_ids, &conversation_ids, &tokenizer_ids);
    apart
}

fn is_same_model(left: &Tokenizer, right: &Tokenizer) -> bool {
    let model = |tokenizer: &Tokenizer| (tokenizer.codebook_size, tokenizer.codebook_depth);
    left.fingerprint == right.fingerprint && model(left) == model(right)
}

fn rename(
    document: &mut Document,
    regions: &HashMap<String, String>,
    conversations: &HashMap<String, String>,
    tokenizers: &HashMap<String, String>,
) {
    let put = |id: &mut String, ids: &HashMap<String, String>| {
        if let Some(other) = ids.get(id) {
            id.clone_from(other);
        }
    };
    let put_mark = |unknown: &mut UnknownKeys, ids: &HashMap<String, String>| {
        if let Some(Value::String(id)) = unknown.get_mut(CONFLICT_WITH_KEY) {
            put(id, ids);
        }
    };
    let put_mentions = |text: &mut String| {
        *text = mention::renamed(text, |id| regions.get(id).map(String::as_str));
    };
    for tokenizer in &mut document.tokenizers {
        put(&mut tokenizer.id, tokenizers);
    }
    for region in &mut document.regions {
        put(&mut region.id, regions);
        put_mark(&mut region.unknown, regions);
        if let Some(words) = &mut region.words {
            put(&mut words.tokenizer, tokenizers);
        }
        for caption in &mut region.captions {
            put_mentions(&mut caption.text);
        }
    }
    for conversation in &mut document.conversations {
        put(&mut conversation.id, conversations);
        put_mark(&mut conversation.unknown, conversations);
        for turn in &mut conversation.turns {
            put_mentions(&mut turn.text);
        }
    }
}
