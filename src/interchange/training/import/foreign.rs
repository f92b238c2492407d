//! Records of others: conversations with mask words in their text, and masks beside it.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Value, json};

use super::super::super::{Arrived, FoundImage, Images, Incoming, Notes, Result, segmentation};
use super::blank;
use super::seen::{Seen, SeenMask};
use crate::dataset::{Conversation, Document, MaskWords, Region, Role, Task, Turn};
use crate::mask::Rle;
use crate::words::{MaskCodes, WordFormat, is_no_target, parse, parse_mask_list};

/// Records of one image that are handed out together, at most.
const MAX_CONVERSATIONS: usize = 500;

/// Most masks, turns and words of a record whose masks are found by name.
const MAX_NAMES: usize = 1000;

/// The words of others do not say which model made them.
const UNKNOWN: &str = "unknown";

/// Records of the same image, one after the other, become one document.
pub(super) struct Gathering<'i> {
    images: &'i Images,
    current: Option<Current>,
}

/// The document being gathered.
struct Current {
    image: FoundImage,
    document: Document,
    /// The places of its regions by mask and words.
    known: HashMap<(Rle, Option<String>), usize>,
}

impl<'i> Gathering<'i> {
    pub(super) const fn new(images: &'i Images) -> Self {
        Self {
            images,
            current: None,
        }
    }

    /// Hands out the document that has been gathered.
    pub(super) fn finish(&mut self, take: &mut Incoming<'_>) -> Result<()> {
        match self.current.take() {
            Some(Current { image, document, .. }) => take(Arrived { image, document }),
            None => Ok(()),
        }
    }

    /// Adds a record, and hands out the document before it if it is of another image.
    pub(super) fn add(&mut self, seen: Seen, take: &mut Incoming<'_>, notes: &mut Notes) -> Result<()> {
        let Some(name) = seen.images.first() else {
            notes.lost("records without the name of an image were left out", "", "");
            return Ok(());
        };
        let Some(image) = self.images.find(name)? else {
            notes.lost("records of images that are not there were left out", name, "");
            return Ok(());
        };
        let is_same = self.current.as_ref().is_some_and(|current| {
            current.image.name == image.name && current.document.conversations.len() < MAX_CONVERSATIONS
        });
        if !is_same {
            self.finish(take)?;
        }
        let current = self.current.get_or_insert_with(|| Current {
            document: blank(&image.name, image.size),
            image,
            known: HashMap::new(),
        });
        current.add(seen, notes);
        Ok(())
    }
}

/// Mask words in one of the turns.
struct Spelled {
    turn: usize,
    range: Range<usize>,
    codes: MaskCodes,
    /// The place of its mask among those of the record.
    mask: Option<usize>,
    /// The label beside it in a list.
    label: Option<String>,
    /// The mention that takes its place.
    mention: Option<String>,
}

impl Current {
    /// Adds what a record says.
    fn add(&mut self, mut seen: Seen, notes: &mut Notes) {
        let format = WordFormat::PUBLISHED;
        let name = self.image.name.clone();
        if let Some(first) = seen.turns.iter_mut().find(|turn| turn.role == Role::User) {
            first.text = without_placeholder(&first.text).to_owned();
        }
        let mut spelled = spelled(format, &seen);
        assign(&seen, &mut spelled);
        let image = &self.image;
        let masks: Vec<Option<Rle>> = seen
            .masks
            .iter()
            .map(|mask| read_mask(mask, image, notes))
            .collect();
        let mut is_worded = vec![false; masks.len()];
        let mut has_bare_words = false;
        for spelled in &mut spelled {
            let place = spelled.mask.unwrap_or(usize::MAX);
            let (Some(Some(mask)), Some(codes)) = (masks.get(place), spelled.codes.complete()) else {
                has_bare_words = true;
                continue;
            };
            let region = self.region(format, mask, Some((format.write(&spelled.codes), codes)));
            if region.label.is_empty() {
                let label = spelled.label.as_deref().unwrap_or_default();
                label
                    .strip_prefix("one of the ")
                    .unwrap_or(label)
                    .clone_into(&mut region.label);
            }
            spelled.mention = Some(format!("[[{}]]", region.id));
            if let Some(is_worded) = is_worded.get_mut(place) {
                *is_worded = true;
            }
        }
        if has_bare_words {
            notes.remark(
                "mask words for which the record has no mask stayed in the text",
                &name,
                "",
            );
        }
        for (mask, is_worded) in masks.iter().zip(is_worded) {
            if let (Some(mask), false) = (mask, is_worded) {
                self.region(format, mask, None);
                notes.remark(
                    "masks that no mask words belong to became regions without words",
                    &name,
                    "",
                );
            }
        }
        if seen.images.len() > 1 {
            notes.remark(
                "only the first image of a record with several is annotated",
                &name,
                "",
            );
            seen.rest.insert("images".to_owned(), json!(seen.images));
        }
        let id = format!("c{}", self.document.conversations.len() + 1);
        let mut conversation = Conversation::new(id, task(format, &seen, &spelled));
        let mut rest = spelled.as_slice();
        for (index, turn) in seen.turns.into_iter().enumerate() {
            let count = rest.iter().take_while(|spelled| spelled.turn == index).count();
            let (of_turn, others) = rest.split_at(count);
            rest = others;
            let mut said = Turn::new(turn.role, rewritten(format, &turn.text, of_turn.iter()));
            said.unknown = turn.rest;
            conversation.turns.push(said);
        }
        seen.rest.retain(|_, value| !value.is_null());
        if !seen.rest.is_empty() {
            conversation
                .unknown
                .insert("record".to_owned(), Value::Object(seen.rest));
        }
        self.document.conversations.push(conversation);
    }

    /// The region with this mask and these words, which is added where it is new.
    fn region(&mut self, format: WordFormat, mask: &Rle, words: Option<(String, Vec<u32>)>) -> &mut Region {
        let document = &mut self.document;
        let key = (mask.clone(), words.as_ref().map(|(text, _)| text.clone()));
        let index = *self.known.entry(key).or_insert_with(|| {
            let mut region = Region::new(format!("r{}", document.regions.len() + 1), mask.clone());
            if let Some((text, codes)) = words {
                let (size, depth) = (format.codebook_size(), format.codebook_depth());
                let tokenizer = document.tokenizer_id(UNKNOWN, UNKNOWN, size, depth);
                region.words = Some(MaskWords::new(text, codes, tokenizer, None, mask));
            }
            "training data".clone_into(&mut region.source);
            document.regions.push(region);
            document.regions.len() - 1
        });
        &mut self.document.regions[index]
    }
}

/// The image stands before or behind the first question.
fn without_placeholder(text: &str) -> &str {
    const PLACEHOLDER: &str = "<image>";
    let text = text.trim();
    let text = text
        .strip_prefix(PLACEHOLDER)
        .or_else(|| text.strip_suffix(PLACEHOLDER))
        .unwrap_or(text);
    text.trim()
}

fn spelled(format: WordFormat, seen: &Seen) -> Vec<Spelled> {
    let mut spelled = Vec::new();
    for (turn, said) in seen.turns.iter().enumerate() {
        let listed = parse_mask_list(format, &said.text)
            .unwrap_or_default()
            .into_iter();
        let mut labels: HashMap<usize, String> = listed
            .filter_map(|listed| Some((listed.range.start, listed.label?)))
            .collect();
        for found in parse(format, &said.text).found {
            spelled.push(Spelled {
                turn,
                label: labels.remove(&found.range.start),
                range: found.range,
                codes: found.codes,
                mask: None,
                mention: None,
            });
        }
    }
    spelled
}

/// Says which words belong to which mask, where the counts leave no doubt.
fn assign(seen: &Seen, spelled: &mut [Spelled]) {
    let is_named = !seen.raw.is_empty() && seen.masks.iter().all(|mask| mask.name.is_some());
    // Every name is searched for in every turn, so no more than anyone would write.
    let most = seen.masks.len().max(seen.raw.len()).max(spelled.len());
    if is_named && most <= MAX_NAMES {
        for (turn, raw) in seen.raw.iter().enumerate() {
            let mut places: Vec<(usize, usize)> = Vec::new();
            for (place, mask) in seen.masks.iter().enumerate() {
                let name = mask
                    .name
                    .as_deref()
                    .filter(|name| !name.is_empty())
                    .unwrap_or("\0");
                places.extend(raw.match_indices(name).map(|(at, _)| (at, place)));
            }
            places.sort_unstable();
            let mut of_turn: Vec<&mut Spelled> = spelled
                .iter_mut()
                .filter(|spelled| spelled.turn == turn)
                .collect();
            if of_turn.len() == places.len() {
                for (spelled, (_, place)) in of_turn.iter_mut().zip(places) {
                    spelled.mask = Some(place);
                }
            }
        }
        return;
    }
    let is_answer = |turn: usize| {
        seen.turns
            .get(turn)
            .is_some_and(|turn| turn.role == Role::Assistant)
    };
    let scopes: &[bool] = if seen.only_answers_masked {
        &[true, false]
    } else {
        &[false]
    };
    for &only_answers in scopes {
        let is_meant = |spelled: &Spelled| !only_answers || is_answer(spelled.turn);
        let meant: Vec<&Spelled> = spelled.iter().filter(|spelled| is_meant(spelled)).collect();
        let mut distinct: HashMap<MaskCodes, usize> = HashMap::new();
        for spelled in &meant {
            let next = distinct.len();
            distinct.entry(spelled.codes.clone()).or_insert(next);
        }
        let own_masks = seen.masks.iter().filter(|mask| mask.image == 0).count();
        let by_codes = [seen.masks.len(), own_masks].contains(&distinct.len());
        if by_codes {
            // Words that repeat mean the same mask; those of further images are the last.
            for spelled in spelled.iter_mut() {
                spelled.mask = distinct.get(&spelled.codes).copied();
            }
            return;
        }
        if meant.len() == seen.masks.len() {
            for (place, spelled) in spelled.iter_mut().filter(|spelled| is_meant(spelled)).enumerate() {
                spelled.mask = Some(place);
            }
            return;
        }
    }
}

fn read_mask(mask: &SeenMask, image: &FoundImage, notes: &mut Notes) -> Option<Rle> {
    if mask.image != 0 {
        return None;
    }
    match segmentation::read_runs(&mask.value, image.size) {
        Ok(mask) => Some(mask),
        Err(why) => {
            notes.lost(
                "masks that do not fit their image were left out",
                &image.name,
                why,
            );
            None
        }
    }
}

/// `text` with mentions where the words of regions were, and the other words as they should be written.
fn rewritten<'s>(format: WordFormat, text: &str, spelled: impl Iterator<Item = &'s Spelled>) -> String {
    let mut rewritten = String::with_capacity(text.len());
    let mut from = 0;
    for spelled in spelled {
        rewritten.push_str(text.get(from..spelled.range.start).unwrap_or_default());
        match &spelled.mention {
            Some(mention) => rewritten.push_str(mention),
            None => format.write_to(&spelled.codes, &mut rewritten),
        }
        from = spelled.range.end;
    }
    rewritten.push_str(text.get(from..).unwrap_or_default());
    rewritten
}

/// What the record trains, as its answers look.
fn task(format: WordFormat, seen: &Seen, spelled: &[Spelled]) -> Task {
    let is_user = |turn: usize| seen.turns.get(turn).is_some_and(|turn| turn.role == Role::User);
    let answers = || {
        seen.turns
            .iter()
            .filter(|turn| turn.role == Role::Assistant)
            .map(|turn| turn.text.as_str())
    };
    let answered = spelled.iter().any(|spelled| !is_user(spelled.turn));
    let asked = spelled.iter().any(|spelled| is_user(spelled.turn));
    let is_list = |text: &str| parse_mask_list(format, text).is_some_and(|items| !items.is_empty());
    if answers().any(|text| text.contains("\"predicate\"")) {
        Task::SceneGraph
    } else if answers().count() == 1 && answers().all(is_no_target) {
        Task::NoTarget
    } else if answers().any(|text| text.contains("<|object_ref_start|>")) {
        Task::GroundedCaption
    } else if answers().count() > 1 && answered {
        Task::Interactive
    } else if answers().any(is_list) {
        Task::ReferringSegmentation
    } else if answered && !asked {
        Task::ReasoningSegmentation
    } else if asked {
        Task::RegionQa
    } else {
        Task::Free
    }
}
