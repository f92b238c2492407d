//! Adding annotations that arrive to those of a sidecar: what is there stays as it is, and nothing is added twice.

use super::Notes;
use crate::dataset::mention;
use crate::dataset::{Caption, Conversation, Document, Region};
use crate::mask::Rle;
use std::collections::{HashMap, HashSet};
use std::ops::AddAssign;

/// The regions and conversations of one image that came with the present import already, by id: what comes again must
/// be another one that looks the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    regions: HashSet<String>,
    conversations: HashSet<String>,
}

/// What was added to a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) regions: u64,
    /// Regions that were there before.
    pub(super) known_regions: u64,
    pub(super) captions: u64,
    pub(super) attributes: u64,
    pub(super) conversations: u64,
    /// Notes, words of known regions, or unknown keys.
    pub(super) others: u64,
}

impl Added {
    /// What is in a document that is new as a whole.
    pub(super) fn all_of(document: &Document) -> Self {
        let sum = |count: fn(&Region) -> usize| document.regions.iter().map(count).sum::<usize>() as u64;
        Self {
            regions: document.regions.len() as u64,
            known_regions: 0,
            captions: sum(|region| region.captions.len()),
            attributes: sum(|region| region.attributes.len()),
            conversations: document.conversations.len() as u64,
            others: 0,
        }
    }

    /// Whether the document is as it was.
    pub(super) const fn is_nothing(self) -> bool {
        self.regions + self.captions + self.attributes + self.conversations + self.others == 0
    }
}

impl AddAssign for Added {
    fn add_assign(&mut self, other: Self) {
        self.regions += other.regions;
        self.known_regions += other.known_regions;
        self.captions += other.captions;
        self.attributes += other.attributes;
        self.conversations += other.conversations;
        self.others += other.others;
    }
}

impl Taken {
    /// Forgets the regions, so that one which comes again is the one that came before.
    pub(super) fn forget_regions(&mut self) {
        self.regions.clear();
    }

    /// All of a document that is new as a whole.
    pub(super) fn all_of(document: &Document) -> Self {
        Self {
            regions: document.regions.iter().map(|region| region.id.clone()).collect(),
            conversations: document.conversations.iter().map(|one| one.id.clone()).collect(),
        }
    }
}

/// Adds what `incoming` says to `document`, which is about the same image; `name` is the image's.
///
/// A region with the mask and label of one that is there is that region: its captions and attributes are added to it
/// where it lacks them. All others get new ids, and texts are changed to mention those.
pub(super) fn merge(
    document: &mut Document,
    mut incoming: Document,
    taken: &mut Taken,
    name: &str,
    notes: &mut Notes,
) -> Added {
    let mut added = Added::default();
    let mut numbers = unused_numbers(document, &incoming);
    let regions = std::mem::take(&mut incoming.regions);
    let targets = targets(document, &regions, taken);
    let ids: HashMap<String, String> = regions
        .iter()
        .zip(&targets)
        .map(|(region, target)| {
            let known = target.and_then(|index| document.regions.get(index));
            let id = known.map_or_else(
                || format!("r{}", numbers.next().unwrap_or(0)),
                |known| known.id.clone(),
            );
            (region.id.clone(), id)
        })
        .collect();
    // A mention of nothing must not come to mean a region that happens to be there.
    let mut strays = HashMap::new();
    for text in texts(&incoming, &regions) {
        for candidate in mention::candidates(text) {
            if !ids.contains_key(candidate.id) && document.region(candidate.id).is_some() {
                strays
                    .entry(candidate.id.to_owned())
                    .or_insert_with(|| format!("r{}", numbers.next().unwrap_or(0)));
            }
        }
    }
    let own = document.regions.iter().map(|region| &region.id);
    let region_ids: HashSet<String> = own.chain(ids.values()).cloned().collect();
    let renamed = |text: &str| {
        mention::renamed(text, |id| {
            ids.get(id).or_else(|| strays.get(id)).map(String::as_str)
        })
    };

    for (mut region, target) in regions.into_iter().zip(targets) {
        for caption in &mut region.captions {
            caption.text = renamed(&caption.text);
        }
        let known = target.and_then(|index| document.regions.get(index));
        if known.is_some_and(|known| known.words.is_some()) {
            region.words = None;
        }
        translate_words(document, &incoming, &mut region);
        if let Some(id) = ids.get(&region.id) {
            id.clone_into(&mut region.id);
        }
        taken.regions.insert(region.id.clone());
        match target.and_then(|index| document.regions.get_mut(index)) {
            Some(known) => {
                added.known_regions += 1;
                let is_new = |caption: &Caption| {
                    let text = canonical(&caption.text, &region_ids);
                    !known
                        .captions
                        .iter()
                        .any(|other| canonical(&other.text, &region_ids) == text)
                };
                region.captions.retain(is_new);
                enrich(known, region, name, notes, &mut added);
            }
            None => {
                added.regions += 1;
                added.captions += region.captions.len() as u64;
                added.attributes += region.attributes.len() as u64;
                document.regions.push(region);
            }
        }
    }
    for mut conversation in std::mem::take(&mut incoming.conversations) {
        for turn in &mut conversation.turns {
            turn.text = renamed(&turn.text);
        }
        add_conversation(document, conversation, &region_ids, taken, &mut added);
    }
    add_rest(document, incoming, &mut added);
    added
}

/// For each of the `incoming` regions the index of the one that it is, if it is one of `document`.
fn targets(document: &Document, incoming: &[Region], taken: &Taken) -> Vec<Option<usize>> {
    let mut known: HashMap<(&Rle, &str), Vec<usize>> = HashMap::new();
    for (index, region) in document.regions.iter().enumerate().rev() {
        if !taken.regions.contains(&region.id) {
            known
                .entry((&region.mask.rle, &region.label))
                .or_default()
                .push(index);
        }
    }
    incoming
        .iter()
        .map(|region| known.get_mut(&(&region.mask.rle, region.label.as_str()))?.pop())
        .collect()
}

/// Numbers behind `r` that neither document uses or mentions.
fn unused_numbers(document: &Document, incoming: &Document) -> impl Iterator<Item = u64> + use<> {
    let first = |document: &Document| {
        let id = document.next_region_id();
        id.strip_prefix('r')
            .and_then(|number| number.parse().ok())
            .unwrap_or(1)
    };
    let first: u64 = first(document).max(first(incoming));
    first..
}

fn texts<'a>(document: &'a Document, regions: &'a [Region]) -> impl Iterator<Item = &'a str> {
    let captions = regions.iter().flat_map(|region| &region.captions);
    let turns = document.conversations.iter().flat_map(|one| &one.turns);
    captions
        .map(|caption| caption.text.as_str())
        .chain(turns.map(|turn| turn.text.as_str()))
}

/// Makes the words of `region`, which came with `incoming`, refer to the tokenizers of `document`.
fn translate_words(document: &mut Document, incoming: &Document, region: &mut Region) {
    let Some(words) = &mut region.words else {
        return;
    };
    let tokenizer = incoming
        .tokenizers
        .iter()
        .find(|tokenizer| tokenizer.id == words.tokenizer);
    let Some(tokenizer) = tokenizer else {
        region.words = None;
        return;
    };
    let count = document.tokenizers.len();
    words.tokenizer = document.tokenizer_id(
        &tokenizer.name,
        &tokenizer.fingerprint,
        tokenizer.codebook_size,
        tokenizer.codebook_depth,
    );
    if let Some(new) = document.tokenizers.get_mut(count) {
        tokenizer.unknown.clone_into(&mut new.unknown);
    }
}

/// Adds to `known` what the same region says in addition; all its captions are new.
fn enrich(known: &mut Region, region: Region, name: &str, notes: &mut Notes, added: &mut Added) {
    added.captions += region.captions.len() as u64;
    known.captions.extend(region.captions);
    for (key, value) in region.attributes {
        match known.attributes.get(&key) {
            None => {
                known.attributes.insert(key, value);
                added.attributes += 1;
            }
            Some(other) if *other == value => {}
            Some(_) => notes.lost(
                "an attribute that has another value already was kept as it was",
                name,
                format!("{key} of {}", known.id),
            ),
        }
    }
    if known.words.is_none() && region.words.is_some() {
        known.words = region.words;
        added.others += 1;
    }
}

fn add_conversation(
    document: &mut Document,
    mut conversation: Conversation,
    region_ids: &HashSet<String>,
    taken: &mut Taken,
    added: &mut Added,
) {
    let turns = |conversation: &Conversation| -> Vec<_> {
        let turns = conversation.turns.iter();
        turns
            .map(|turn| (turn.role, canonical(&turn.text, region_ids)))
            .collect()
    };
    let (task, said) = (conversation.task, turns(&conversation));
    let known = document.conversations.iter().find(|other| {
        other.task == task
            && other.turns.len() == said.len()
            && !taken.conversations.contains(&other.id)
            && turns(other) == said
    });
    if let Some(known) = known {
        taken.conversations.insert(known.id.clone());
        return;
    }
    conversation.id = document.next_conversation_id();
    taken.conversations.insert(conversation.id.clone());
    document.conversations.push(conversation);
    added.conversations += 1;
}

/// `text` with all mentions of nothing alike, because those get other ids every time they meet a region.
fn canonical(text: &str, region_ids: &HashSet<String>) -> String {
    mention::renamed(text, |id| (!region_ids.contains(id)).then_some("-"))
}

/// Notes and unknown keys; the status of a document that is there is its own.
fn add_rest(document: &mut Document, incoming: Document, added: &mut Added) {
    if !document.notes.contains(&incoming.notes) {
        if !document.notes.is_empty() {
            document.notes.push('\n');
        }
        document.notes.push_str(&incoming.notes);
        added.others += 1;
    }
    for (key, value) in incoming.unknown {
        if !document.unknown.contains_key(&key) {
            document.unknown.insert(key, value);
            added.others += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{document, region};
    use super::*;
    use crate::dataset::{MaskWords, Role, Task, Turn};

    fn said(text: &str) -> Conversation {
        let mut conversation = Conversation::new("c1".to_owned(), Task::Free);
        conversation.turns = vec![Turn::new(Role::User, text.to_owned())];
        conversation
    }

    fn merged(document: &mut Document, incoming: &Document) -> Added {
        merge(
            document,
            incoming.clone(),
            &mut Taken::default(),
            "a.png",
            &mut Notes::default(),
        )
    }

    #[test]
    fn ids_are_new_and_texts_follow_them() {
        let mut there = document(8, 6);
        there.regions = vec![region("r1", "cat", 8, 6, 0), region("r7", "dog", 8, 6, 1)];
        let mut incoming = document(8, 6);
        incoming.regions = vec![
            region("r1", "cup", 8, 6, 2),
            region("r2", "dog", 8, 6, 1),
            region("x", "", 8, 6, 3),
        ];
        incoming.regions[0].captions.push(Caption::new(
            "[[r1]] beside [[r2]] and [[x]], not [[r9]] or [[r7]]".to_owned(),
            None,
        ));
        incoming.conversations.push(said("Is [[r2]] [[r1]]? [[r7]]"));
        let before = there.clone();
        let added = merged(&mut there, &incoming);
        let ids: Vec<&str> = there.regions.iter().map(|region| region.id.as_str()).collect();
        assert_eq!(ids, ["r1", "r7", "r10", "r11"]);
        assert_eq!(
            there.regions[2].captions[0].text, "[[r10]] beside [[r7]] and [[r11]], not [[r9]] or [[r12]]",
            "the region of the same mask and label is the one there, and no mention of nothing becomes one"
        );
        assert_eq!(there.conversations[0].turns[0].text, "Is [[r7]] [[r10]]? [[r12]]");
        assert_eq!(
            there.regions[..2],
            before.regions[..],
            "what was there is untouched"
        );
        assert_eq!(
            (added.regions, added.known_regions, added.conversations),
            (2, 1, 1)
        );

        let once = there.clone();
        assert!(
            merged(&mut there, &incoming).is_nothing(),
            "the second time nothing is new"
        );
        assert_eq!(there, once);
    }

    #[test]
    fn twins_in_one_file_are_two_and_stay_two() {
        let mut there = document(8, 6);
        let mut incoming = document(8, 6);
        incoming.regions = vec![region("r1", "cat", 8, 6, 0), region("r2", "cat", 8, 6, 0)];
        assert_eq!(merged(&mut there, &incoming).regions, 2);
        assert_eq!(merged(&mut there, &incoming).known_regions, 2);
        assert_eq!(there.regions.len(), 2);
        // The same image may come in pieces.
        let mut taken = Taken::default();
        for _ in 0..2 {
            let piece = Document {
                regions: vec![incoming.regions[0].clone()],
                ..incoming.clone()
            };
            let added = merge(&mut there, piece, &mut taken, "a.png", &mut Notes::default());
            assert_eq!(added.known_regions, 1);
        }
        assert_eq!(there.regions.len(), 2);
    }

    #[test]
    fn a_known_region_learns_what_it_lacks() {
        let mut there = document(8, 6);
        there.notes = "mine".to_owned();
        there.regions = vec![region("r1", "cat", 8, 6, 0)];
        there.regions[0].attributes.insert("age".to_owned(), 3.into());
        there.regions[0]
            .captions
            .push(Caption::new("A cat".to_owned(), Some("human".to_owned())));
        let mut incoming = there.clone();
        incoming.notes = "theirs".to_owned();
        incoming.regions[0].attributes.insert("age".to_owned(), 4.into());
        incoming.regions[0]
            .attributes
            .insert("sex".to_owned(), "f".into());
        incoming.regions[0]
            .captions
            .push(Caption::new("Its [[r1]]".to_owned(), None));
        let id = incoming.tokenizer_id("nano", "abc", 256, 2);
        let rle = incoming.regions[0].mask.rle.clone();
        incoming.regions[0].words = Some(MaskWords::new("w".to_owned(), vec![1, 2], id, None, &rle));
        there.tokenizer_id("large", "def", 256, 2);
        let mut notes = Notes::default();
        let added = merge(
            &mut there,
            incoming.clone(),
            &mut Taken::default(),
            "a.png",
            &mut notes,
        );
        assert_eq!((added.captions, added.attributes, added.others), (1, 1, 2));
        let known = &there.regions[0];
        assert_eq!(known.attributes["age"], 3);
        assert_eq!(known.captions[1].text, "Its [[r1]]");
        assert_eq!(known.words.as_ref().unwrap().tokenizer, "T2");
        assert_eq!(there.notes, "mine\ntheirs");
        assert_eq!(notes.losses().map(|(_, count, _)| count).collect::<Vec<_>>(), [1]);
        assert!(merged(&mut there, &incoming).is_nothing());
    }
}
