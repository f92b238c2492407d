//! GranDf, GLaMM's captions of which the phrases name their masks: one JSON list of images.
//!
//! A caption becomes a `grounded_caption` conversation in the published form: every phrase stands between two tags,
//! and its regions after it. The positions of the phrases in a file count characters, not bytes.

use super::json_list::JsonList;
use super::json_tree::{Tree, read_items};
use super::{
    Annotated, Arrived, FoundImage, Images, Incoming, Notes, Outgoing, OutputFolder, Result, carried,
    segmentation,
};
use crate::dataset::mention::candidates;
use crate::dataset::{Conversation, Document, ImageRef, Region, Role, Task, Turn};
use crate::mask::Rle;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

const EXPECTED: &str = "a GranDf file";

/// Where what these files say beyond our fields is kept in sidecars.
const TOOL: &str = "grandf";

/// The name under which GLaMM looks for its training set.
const FILE_NAME: &str = "GranDf_HA_GCG_train.json";

/// The published question.
const QUESTION: &str = "Could you please give me a detail description of the image? Please respond with interleaved \
                        segmentation masks for the corresponding parts of the answer.";

/// Longest caption and most phrases of one that are read: every phrase is looked for in the caption.
const MAX_CAPTION_BYTES: usize = 1 << 20;
const MAX_PHRASES: usize = 4096;

const PHRASE_START: &str = "<|object_ref_start|>";
const PHRASE_END: &str = "<|object_ref_end|>";

/// Writes one JSON list of all grounded captions.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    let mut list = JsonList::create(out, FILE_NAME)?;
    for item in items {
        let item = item?;
        for conversation in &item.document.conversations {
            match record(&item, conversation, notes) {
                Some(record) => list.push(&record)?,
                None => notes.lost(
                    "conversations that are no grounded captions were left out",
                    &item.name,
                    &conversation.id,
                ),
            }
        }
    }
    list.finish()
}

/// Reads a list of captioned images, or all lists in a folder.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    for (path, _) in super::source_files::below(source, "json")? {
        let mut take_record = |Tree(record): Tree| {
            let text = |key: &str| record.get(key).and_then(Value::as_str);
            let name = text("file_name")
                .or_else(|| text("img_file_name"))
                .unwrap_or_default();
            let (Some(caption), Some(groundings)) = (
                text("caption"),
                record.get("groundings").and_then(Value::as_object),
            ) else {
                notes.lost("entries without a caption and groundings were left out", name, "");
                return Ok(());
            };
            if caption.len() > MAX_CAPTION_BYTES || groundings.len() > MAX_PHRASES {
                notes.lost(
                    "captions longer than 1 MiB, or of more than 4096 phrases, were left out",
                    name,
                    "",
                );
                return Ok(());
            }
            let Some(image) = images.find(name)? else {
                notes.lost("the image is not in the folder", name, "");
                return Ok(());
            };
            if !carried::fits(&image, |key| record.get(key), notes) {
                return Ok(());
            }
            let document = document(&image, caption, groundings, &record, notes);
            take(Arrived { image, document })
        };
        read_items(&path, EXPECTED, &mut take_record)?;
    }
    Ok(())
}

/// A caption without the quotes and the space around it that GLaMM takes off.
fn stripped(caption: &str) -> &str {
    caption.trim_matches('"').trim()
}

/// A phrase of a caption with its regions.
struct Phrase {
    /// Its bytes in the caption.
    range: Range<usize>,
    regions: Vec<String>,
}

fn document(
    image: &FoundImage,
    caption: &str,
    groundings: &Map<String, Value>,
    record: &Value,
    notes: &mut Notes,
) -> Document {
    let mut document = Document::new(ImageRef::new(&image.path, image.size, None));
    let caption = stripped(caption);
    let mut known: HashMap<Rle, String> = HashMap::new();
    let mut phrases: BTreeMap<usize, Phrase> = BTreeMap::new();
    for (phrase, grounding) in groundings {
        let range = place(caption, phrase, grounding).filter(|range| {
            // Tags cannot stand in each other.
            let before = phrases.range(..range.end).next_back();
            before.is_none_or(|(_, before)| before.range.end <= range.start)
        });
        if range.is_none() {
            notes.remark(
                "phrases that are not in their caption, or overlap another, only label their regions",
                &image.name,
                phrase,
            );
        }
        let masks = grounding
            .get("rle_masks")
            .and_then(Value::as_array)
            .map_or(&[][..], Vec::as_slice);
        let mut regions = Vec::new();
        for mask in masks {
            let rle = match segmentation::read(mask, image.size) {
                Ok(mask) if mask.is_empty() => {
                    notes.lost("masks without a pixel were left out", &image.name, phrase);
                    continue;
                }
                Ok(mask) => mask.to_rle(),
                Err(reason) => {
                    notes.lost(
                        "masks that cannot be read were left out",
                        &image.name,
                        format!("{phrase}: {reason}"),
                    );
                    continue;
                }
            };
            // The same object under two phrases is one region, unless one of them is not in the caption.
            if let (Some(id), Some(_)) = (known.get(&rle), &range) {
                regions.push(id.clone());
                continue;
            }
            let mut region = Region::new(format!("r{}", document.regions.len() + 1), rle.clone());
            phrase.clone_into(&mut region.label);
            TOOL.clone_into(&mut region.source);
            if range.is_none() {
                region.unknown.insert(TOOL.to_owned(), json!({"phrase": phrase}));
            } else {
                known.insert(rle, region.id.clone());
                regions.push(region.id.clone());
            }
            document.regions.push(region);
        }
        if let Some(range) = range.filter(|_| !regions.is_empty()) {
            phrases.insert(range.start, Phrase { range, regions });
        }
    }
    let mut conversation = Conversation::new("c1".to_owned(), Task::GroundedCaption);
    conversation.turns = vec![
        Turn::new(Role::User, QUESTION.to_owned()),
        Turn::new(Role::Assistant, tagged(caption, phrases.values())),
    ];
    conversation
        .unknown
        .insert(TOOL.to_owned(), without_masks(record));
    document.conversations.push(conversation);
    document
}

/// Where `phrase` stands in `caption`, in bytes: where its grounding says, if that is right, else at its first
/// occurrence.
fn place(caption: &str, phrase: &str, grounding: &Value) -> Option<Range<usize>> {
    let position = |index: usize| {
        let characters = usize::try_from(grounding.get("token_positives")?.get(index)?.as_u64()?).ok()?;
        let bytes = caption.char_indices().map(|(at, _)| at).chain([caption.len()]);
        bytes.into_iter().nth(characters)
    };
    let said = position(0).zip(position(1)).map(|(start, end)| start..end);
    let is_phrase = |range: &Range<usize>| {
        let found = caption.get(range.clone());
        found.is_some_and(|found| !found.trim().is_empty() && found.to_lowercase() == phrase.to_lowercase())
    };
    let found = || {
        let start = caption.find(phrase)?;
        Some(start..start + phrase.len())
    };
    let range = said.filter(is_phrase).or_else(|| found().filter(is_phrase))?;
    // Spaces stay outside of the tags.
    let inside = caption.get(range.clone())?;
    let start = range.start + (inside.len() - inside.trim_start().len());
    Some(start..start + inside.trim().len())
}

/// `caption` with every phrase between tags and its regions behind it; `phrases` in order and apart.
fn tagged<'a>(caption: &str, phrases: impl Iterator<Item = &'a Phrase>) -> String {
    let mut text = String::with_capacity(caption.len());
    let mut from = 0;
    for phrase in phrases {
        text.push_str(caption.get(from..phrase.range.start).unwrap_or_default());
        let inside = caption.get(phrase.range.clone()).unwrap_or_default();
        text.push_str(&format!("{PHRASE_START} {inside} {PHRASE_END}"));
        for region in &phrase.regions {
            text.push_str(&format!(" [[{region}]]"));
        }
        from = phrase.range.end;
    }
    text.push_str(caption.get(from..).unwrap_or_default());
    text
}

/// A caption out of [`tagged`] text: without tags and mentions, with the phrases that have regions.
fn untagged(text: &str, document: &Document) -> (String, Vec<Phrase>) {
    let mut caption = String::with_capacity(text.len());
    let mut phrases = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(PHRASE_START) {
        let Some((inside, behind)) = after.split_once(PHRASE_END) else {
            break;
        };
        caption.push_str(before);
        let start = caption.len();
        caption.push_str(inside.trim());
        let mut phrase = Phrase {
            range: start..caption.len(),
            regions: Vec::new(),
        };
        rest = behind;
        // Only what follows at once, but for space and commas, belongs to the phrase.
        while rest.trim_start_matches([' ', ',']).starts_with("[[")
            && let Some(mention) = candidates(rest).next()
        {
            if document.region(mention.id).is_none() {
                break;
            }
            phrase.regions.push(mention.id.to_owned());
            rest = rest.get(mention.range.end..).unwrap_or_default();
        }
        phrases.push(phrase);
    }
    caption.push_str(rest);
    (caption, phrases)
}

/// `record` less its masks, which regions have.
fn without_masks(record: &Value) -> Value {
    let mut record = record.clone();
    if let Some(Value::Object(groundings)) = record.get_mut("groundings") {
        for grounding in groundings.values_mut() {
            if let Value::Object(keys) = grounding {
                keys.shift_remove("rle_masks");
            }
        }
    }
    record
}

/// A conversation as an entry of the file; `None` if it is no grounded caption.
fn record(item: &Annotated, conversation: &Conversation, notes: &mut Notes) -> Option<Value> {
    if conversation.task != Task::GroundedCaption {
        return None;
    }
    let answer = conversation
        .turns
        .iter()
        .find(|turn| turn.role == Role::Assistant)?;
    let document = &item.document;
    let (caption, phrases) = untagged(&answer.text, document);
    let mut record = conversation
        .unknown
        .get(TOOL)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let before = record.shift_remove("groundings");
    let before = before.as_ref().and_then(Value::as_object);
    let is_same = record
        .get("caption")
        .and_then(Value::as_str)
        .is_some_and(|before| stripped(before) == caption);
    let mut groundings = Map::new();
    for phrase in phrases {
        let text = caption.get(phrase.range.clone()).unwrap_or_default();
        let (name, known) = before
            .and_then(|before| {
                before
                    .iter()
                    .find(|(name, _)| name.trim().to_lowercase() == text.to_lowercase())
            })
            .map_or((text, None), |(name, known)| (name.as_str(), known.as_object()));
        let masks = masks(phrase.regions.iter().filter_map(|id| document.region(id)));
        match groundings.get_mut(name) {
            Some(Value::Object(other)) => {
                notes.lost(
                    "a phrase that occurs again has its regions at the first place",
                    &item.name,
                    &conversation.id,
                );
                if let Some(Value::Array(others)) = other.get_mut("rle_masks") {
                    others.extend(masks);
                }
            }
            _ => {
                let mut grounding = known.cloned().unwrap_or_default();
                let position = |bytes: usize| caption.get(..bytes).unwrap_or_default().chars().count();
                if !is_same || !grounding.contains_key("token_positives") {
                    let positions = json!([position(phrase.range.start), position(phrase.range.end)]);
                    grounding.insert("token_positives".to_owned(), positions);
                }
                grounding.insert("rle_masks".to_owned(), masks.into());
                groundings.insert(name.to_owned(), Value::Object(grounding));
            }
        }
    }
    // Regions of phrases that are not in the caption.
    for (name, known) in before.into_iter().flatten() {
        let phrase_of = |region: &&Region| {
            region.unknown.get(TOOL).and_then(|kept| kept.get("phrase")) == Some(&name.as_str().into())
        };
        let masks = masks(document.regions.iter().filter(phrase_of));
        if !groundings.contains_key(name)
            && let Some(known) = known.as_object()
        {
            let mut grounding = known.clone();
            grounding.insert("rle_masks".to_owned(), masks.into());
            groundings.insert(name.clone(), Value::Object(grounding));
        }
    }
    let last = |name: &str| name.rsplit('/').next().map(str::to_owned);
    let name_key = if record.contains_key("img_file_name") {
        "img_file_name"
    } else {
        "file_name"
    };
    let name = record
        .get(name_key)
        .and_then(Value::as_str)
        .filter(|name| last(name) == last(&item.name));
    let name = name.unwrap_or(&item.name).to_owned();
    record.insert(name_key.to_owned(), name.into());
    record.insert("height".to_owned(), document.image.size.height.into());
    record.insert("width".to_owned(), document.image.size.width.into());
    if !is_same {
        record.insert("caption".to_owned(), caption.into());
    }
    record.insert("groundings".to_owned(), Value::Object(groundings));
    Some(Value::Object(record))
}

/// The masks of `regions` that have any pixel.
fn masks<'a>(regions: impl Iterator<Item = &'a Region>) -> Vec<Value> {
    let masks = regions.map(|region| &region.mask.rle);
    masks
        .filter(|rle| rle.area() > 0)
        .map(segmentation::run_lengths)
        .collect()
}

#[cfg(test)]
mod tests;
