//! Records of others: conversations with mask words in their text, and masks beside it.

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

/// The words of others do not say which model made them.
const UNKNOWN: &str = "unknown";

/// Records of the same image, one after the other, become one document.
pub(super) struct Gathering<'i> {
    images: &'i Images,
    current: Option<(FoundImage, Document)>,
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
            Some((image, document)) => take(Arrived { image, document }),
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
        let is_same = self.current.as_ref().is_some_and(|(current, document)| {
            current.name == image.name && document.conversations.len() < MAX_CONVERSATIONS
        });
        if !is_same {
            self.finish(take)?;
        }
        let (image, document) = self.current.get_or_insert_with(|| {
            let document = blank(&image.name, image.size);
            (image, document)
        });
        add_conversation(seen, image, document, notes);
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
}

fn add_conversation(mut seen: Seen, image: &FoundImage, document: &mut Document, notes: &mut Notes) {
    let format = WordFormat::PUBLISHED;
    if let Some(first) = seen.turns.iter_mut().find(|turn| turn.role == Role::User) {
        first.text = without_placeholder(&first.text).to_owned();
    }
    let mut spelled = spelled(format, &seen);
    assign(&seen, &mut spelled);
    let masks: Vec<Option<Rle>> = seen
        .masks
        .iter()
        .map(|mask| read_mask(mask, image, notes))
        .collect();
    let mut regions = vec![None; masks.len()];
    let mut mentions: Vec<Vec<(Range<usize>, String)>> = vec![Vec::new(); seen.turns.len()];
    let mut has_bare_words = false;
    for spelled in &spelled {
        let (Some(place), Some(codes)) = (spelled.mask, spelled.codes.complete()) else {
            has_bare_words = true;
            continue;
        };
        let Some(Some(mask)) = masks.get(place) else {
            has_bare_words = true;
            continue;
        };
        let words = Some((format.write(&spelled.codes), codes));
        let index = add_region(document, format, mask, words);
        if let Some(known) = regions.get_mut(place) {
            *known = Some(index);
        }
        if let Some(region) = document.regions.get_mut(index) {
            if region.label.is_empty() {
                let label = spelled.label.as_deref().unwrap_or_default();
                label
                    .strip_prefix("one of the ")
                    .unwrap_or(label)
                    .clone_into(&mut region.label);
            }
            if let Some(mentions) = mentions.get_mut(spelled.turn) {
                mentions.push((spelled.range.clone(), format!("[[{}]]", region.id)));
            }
        }
    }
    if has_bare_words {
        notes.remark(
            "mask words for which the record has no mask stayed in the text",
            &image.name,
            "",
        );
    }
    for (mask, region) in masks.iter().zip(&regions) {
        if let (Some(mask), None) = (mask, region) {
            add_region(document, format, mask, None);
            notes.remark(
                "masks that no mask words belong to became regions without words",
                &image.name,
                "",
            );
        }
    }
    if seen.images.len() > 1 {
        notes.remark(
            "only the first image of a record with several is annotated",
            &image.name,
            "",
        );
        seen.rest.insert("images".to_owned(), json!(seen.images));
    }
    let mut conversation = Conversation::new(
        format!("c{}", document.conversations.len() + 1),
        task(format, &seen, &spelled),
    );
    for (index, turn) in seen.turns.into_iter().enumerate() {
        let of_turn = spelled.iter().filter(|spelled| spelled.turn == index);
        let text = rewritten(
            format,
            &turn.text,
            of_turn,
            mentions.get(index).map_or(&[], Vec::as_slice),
        );
        let mut said = Turn::new(turn.role, text);
        said.unknown = turn.rest;
        conversation.turns.push(said);
    }
    seen.rest.retain(|_, value| !value.is_null());
    if !seen.rest.is_empty() {
        conversation
            .unknown
            .insert("record".to_owned(), Value::Object(seen.rest));
    }
    document.conversations.push(conversation);
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
        let listed = parse_mask_list(format, &said.text).unwrap_or_default();
        for found in parse(format, &said.text).found {
            let label = listed.iter().find(|listed| listed.range == found.range);
            spelled.push(Spelled {
                turn,
                range: found.range,
                codes: found.codes,
                mask: None,
                label: label.and_then(|listed| listed.label.clone()),
            });
        }
    }
    spelled
}

/// Says which words belong to which mask, where the counts leave no doubt.
fn assign(seen: &Seen, spelled: &mut [Spelled]) {
    let is_named = !seen.raw.is_empty() && seen.masks.iter().all(|mask| mask.name.is_some());
    if is_named {
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
        let mut distinct: Vec<MaskCodes> = Vec::new();
        for spelled in &meant {
            if !distinct.contains(&spelled.codes) {
                distinct.push(spelled.codes.clone());
            }
        }
        let own_masks = seen.masks.iter().filter(|mask| mask.image == 0).count();
        let by_codes = [seen.masks.len(), own_masks].contains(&distinct.len());
        if by_codes {
            // Words that repeat mean the same mask; those of further images are the last.
            for spelled in spelled.iter_mut() {
                spelled.mask = distinct.iter().position(|codes| *codes == spelled.codes);
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
    match segmentation::read(&mask.value, image.size) {
        Ok(mask) => Some(mask.to_rle()),
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

/// The place of the region with this mask and these words, which is added where it is new.
fn add_region(
    document: &mut Document,
    format: WordFormat,
    mask: &Rle,
    words: Option<(String, Vec<u32>)>,
) -> usize {
    let text = words.as_ref().map(|(text, _)| text.as_str());
    let known = document.regions.iter().position(|region| {
        region.mask.rle == *mask && region.words.as_ref().map(|words| words.text.as_str()) == text
    });
    if let Some(known) = known {
        return known;
    }
    let mut region = Region::new(format!("r{}", document.regions.len() + 1), mask.clone());
    if let Some((text, codes)) = words {
        let tokenizer =
            document.tokenizer_id(UNKNOWN, UNKNOWN, format.codebook_size(), format.codebook_depth());
        region.words = Some(MaskWords::new(text, codes, tokenizer, None, mask));
    }
    "training data".clone_into(&mut region.source);
    document.regions.push(region);
    document.regions.len() - 1
}

/// `text` with mentions where the words of regions were, and the other words as they should be written.
fn rewritten<'s>(
    format: WordFormat,
    text: &str,
    spelled: impl Iterator<Item = &'s Spelled>,
    mentions: &[(Range<usize>, String)],
) -> String {
    let mut rewritten = String::with_capacity(text.len());
    let mut from = 0;
    for spelled in spelled {
        rewritten.push_str(text.get(from..spelled.range.start).unwrap_or_default());
        match mentions.iter().find(|(range, _)| *range == spelled.range) {
            Some((_, mention)) => rewritten.push_str(mention),
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
