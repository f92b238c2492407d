//! Osprey-724K: conversations about numbered regions, and descriptions of them, in JSON lists of images.
//!
//! `<region1>` in a text means the first entry of the image's `annotation`; in our texts it is a mention. Conversations
//! become region questions and descriptions captions. Each remembers the entry it came from, so that an export puts
//! together again what stood together.

use super::json_list::JsonList;
use super::json_tree::{Tree, read_items};
use super::{
    Annotated, Arrived, FoundImage, Images, Incoming, Notes, Outgoing, OutputFolder, Result, carried,
    segmentation,
};
use crate::dataset::mention::candidates;
use crate::dataset::{Caption, Conversation, Document, ImageRef, Region, Role, Task, Turn, UnknownKeys};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;

const EXPECTED: &str = "an Osprey-724K file";

/// Where what these files say beyond our fields is kept in sidecars.
const TOOL: &str = "osprey";

/// The published files of conversations.
const CONVERSATIONS: [&str; 4] = [
    "osprey_conversation.json",
    "osprey_short_form.json",
    "osprey_part_level.json",
    "osprey_lvis_positive_negative.json",
];

/// The published file of descriptions.
const DESCRIPTIONS: &str = "osprey_detail_description.json";

/// Keys of an entry that have a place of their own.
const OWN_KEYS: [&str; 4] = ["annotation", "conversations", "description", "descriptions"];

/// Which entry of which file something came from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    file: String,
    entry: u64,
}

impl Origin {
    fn of(unknown: &UnknownKeys) -> Option<Self> {
        let kept = unknown.get(TOOL)?;
        Some(Self {
            file: kept.get("file")?.as_str()?.to_owned(),
            entry: kept.get("entry")?.as_u64()?,
        })
    }
}

/// Writes `osprey_conversation.json`, `osprey_detail_description.json`, and the other files of conversations where
/// there are some that came from them.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    let mut files: BTreeMap<&str, JsonList> = BTreeMap::new();
    for name in [CONVERSATIONS[0], DESCRIPTIONS] {
        files.insert(name, JsonList::create(out, name)?);
    }
    for item in items {
        let item = item?;
        for conversation in &item.document.conversations {
            let is_answered_in_words = matches!(
                conversation.task,
                Task::Caption | Task::DetailedCaption | Task::RegionQa | Task::Free
            );
            if !is_answered_in_words {
                notes.lost(
                    "conversations that are answered with regions were left out",
                    &item.name,
                    &conversation.id,
                );
                continue;
            }
            let origin = Origin::of(&conversation.unknown);
            let known = |name: &&&str| origin.as_ref().is_some_and(|origin| origin.file == **name);
            let name = CONVERSATIONS
                .iter()
                .find(known)
                .copied()
                .unwrap_or(CONVERSATIONS[0]);
            let list = match files.entry(name) {
                std::collections::btree_map::Entry::Occupied(list) => list.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert(JsonList::create(out, name)?)
                }
            };
            list.push(&conversation_entry(&item, conversation, origin.as_ref(), notes))?;
        }
        if let Some(list) = files.get_mut(DESCRIPTIONS) {
            for entry in description_entries(&item, notes) {
                list.push(&entry)?;
            }
        }
    }
    files.into_values().try_for_each(JsonList::finish)
}

/// Reads one file of conversations or descriptions, or all of a folder.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    for (path, _) in super::source_files::below(source, "json")? {
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let mut count = 0;
        let mut take_entry = |Tree(entry): Tree| {
            count += 1;
            let Value::Object(entry) = entry else {
                notes.lost(
                    "entries that are no objects were left out",
                    "",
                    format!("entry {count} of {file}"),
                );
                return Ok(());
            };
            let name = entry.get("file_name").and_then(Value::as_str).unwrap_or_default();
            // COCO's images of 2014 and 2017 are the same but for the start of their names.
            let short = name.rsplit('_').next().unwrap_or(name);
            let image = match images.find(name)? {
                Some(image) => Some(image),
                None => images.find(short)?,
            };
            let Some(image) = image else {
                notes.lost("the image is not in the folder", name, "");
                return Ok(());
            };
            if !carried::fits(&image, |key| entry.get(key), notes) {
                return Ok(());
            }
            let document = document(&image, entry, file, count, notes);
            take(Arrived { image, document })
        };
        read_items(&path, EXPECTED, &mut take_entry)?;
    }
    Ok(())
}

fn document(
    image: &FoundImage,
    entry: Map<String, Value>,
    file: &str,
    number: u64,
    notes: &mut Notes,
) -> Document {
    let mut document = Document::new(ImageRef::new(&image.path, image.size, None));
    let mut entry = entry;
    let mut own = OWN_KEYS.map(|key| entry.shift_remove(key));
    let [annotations, conversations, description, descriptions] = &mut own;
    let list = |value: &mut Option<Value>| match value.take() {
        Some(Value::Array(items)) => items,
        Some(text @ Value::String(_)) => vec![text],
        _ => Vec::new(),
    };
    let kept = |extra: &str, value: Value| json!({"file": file, "entry": number, extra: value});
    // By position in the file; `None` where a region was left out.
    let mut regions: Vec<Option<String>> = Vec::new();
    for (index, annotation) in list(annotations).into_iter().enumerate() {
        let region = region(annotation, image, format!("r{}", index + 1), &kept);
        match region {
            Ok(region) => {
                regions.push(Some(region.id.clone()));
                document.regions.push(region);
            }
            Err(reason) => {
                notes.lost(
                    "regions with a segmentation that cannot be read were left out",
                    &image.name,
                    format!("region{}: {reason}", index + 1),
                );
                regions.push(None);
            }
        }
    }
    let mut texts = list(description);
    texts.extend(list(descriptions));
    for (index, text) in texts.iter().enumerate() {
        let region = regions.get(index).and_then(Option::as_ref);
        let region = region.and_then(|id| document.region_mut(id));
        let (Some(text), Some(region)) = (text.as_str(), region) else {
            notes.lost(
                "descriptions without a region were left out",
                &image.name,
                format!("description {}", index + 1),
            );
            continue;
        };
        // `<region1>: A description`, by the position in the list whatever the number says.
        let text = match text
            .trim_start()
            .strip_prefix('<')
            .and_then(|rest| rest.split_once(">:"))
        {
            Some((_, text)) => text.trim(),
            None => text.trim(),
        };
        let mut caption = Caption::new(with_mentions(text, &regions), None);
        caption
            .unknown
            .insert(TOOL.to_owned(), kept("keys", Value::Object(entry.clone())));
        region.captions.push(caption);
    }
    let turns: Vec<Turn> = list(conversations)
        .iter()
        .filter_map(|turn| turn_of(turn, &regions))
        .collect();
    if !turns.is_empty() {
        let mut conversation = Conversation::new("c1".to_owned(), Task::RegionQa);
        conversation.turns = turns;
        conversation
            .unknown
            .insert(TOOL.to_owned(), kept("keys", Value::Object(entry)));
        document.conversations.push(conversation);
    }
    document
}

fn region(
    annotation: Value,
    image: &FoundImage,
    id: String,
    kept: &impl Fn(&str, Value) -> Value,
) -> Result<Region, String> {
    let segmentation = annotation.get("segmentation").ok_or("it has none")?;
    let mask = segmentation::read(segmentation, image.size)?;
    if mask.is_empty() {
        return Err("it covers no pixel".to_owned());
    }
    let mut region = Region::new(id, mask.to_rle());
    let class = ["category_name", "category", "label", "name"]
        .into_iter()
        .find_map(|key| annotation.get(key)?.as_str());
    class.unwrap_or_default().clone_into(&mut region.label);
    TOOL.clone_into(&mut region.source);
    region
        .unknown
        .insert(TOOL.to_owned(), kept("annotation", annotation));
    Ok(region)
}

/// A turn of the form `{"from": …, "value": …}`.
fn turn_of(turn: &Value, regions: &[Option<String>]) -> Option<Turn> {
    let role = match turn.get("from")?.as_str()? {
        "human" | "user" => Role::User,
        _ => Role::Assistant,
    };
    Some(Turn::new(
        role,
        with_mentions(turn.get("value")?.as_str()?, regions),
    ))
}

/// `text` with mentions in place of `<region1>`, where there is such a region.
fn with_mentions(text: &str, regions: &[Option<String>]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<region") {
        result.push_str(before);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let named = after.split_at_checked(digits).and_then(|(number, behind)| {
            let index = number.parse::<usize>().ok()?.checked_sub(1)?;
            Some((regions.get(index)?.as_ref()?, behind.strip_prefix('>')?))
        });
        match named {
            Some((id, behind)) => {
                result.push_str(&format!("[[{id}]]"));
                rest = behind;
            }
            None => {
                result.push_str("<region");
                rest = after;
            }
        }
    }
    result.push_str(rest);
    result
}

/// `text` with `<region1>` in place of the mention of the first of `regions`, and so on.
fn with_numbers(text: &str, regions: &[&Region]) -> String {
    let mut result = String::with_capacity(text.len());
    let mut from = 0;
    for mention in candidates(text) {
        let Some(index) = regions.iter().position(|region| region.id == mention.id) else {
            continue;
        };
        result.push_str(text.get(from..mention.range.start).unwrap_or_default());
        result.push_str(&format!("<region{}>", index + 1));
        from = mention.range.end;
    }
    result.push_str(text.get(from..).unwrap_or_default());
    result
}

/// The regions that an entry must have: those that came with it and those that `texts` mention, in the order of the
/// document.
fn regions_of<'a>(document: &'a Document, origin: Option<&Origin>, texts: &[&str]) -> Vec<&'a Region> {
    let mentioned: HashSet<&str> = texts
        .iter()
        .flat_map(|text| candidates(text))
        .map(|mention| mention.id)
        .collect();
    let is_part = |region: &&Region| {
        let came_with = origin.is_some() && Origin::of(&region.unknown).as_ref() == origin;
        region.mask.rle.area() > 0 && (came_with || mentioned.contains(region.id.as_str()))
    };
    document.regions.iter().filter(is_part).collect()
}

/// An entry with what it had before, and `regions`.
fn entry(item: &Annotated, unknown: Option<&UnknownKeys>, regions: &[&Region]) -> Map<String, Value> {
    let before = unknown.and_then(|unknown| unknown.get(TOOL)?.get("keys")?.as_object());
    let mut entry = before.cloned().unwrap_or_default();
    let last = |name: &str| name.rsplit(['/', '_']).next().map(str::to_owned);
    let name = entry
        .get("file_name")
        .and_then(Value::as_str)
        .filter(|name| last(name) == last(&item.name));
    let name = name.unwrap_or(&item.name).to_owned();
    entry.insert("file_name".to_owned(), name.into());
    entry.insert("height".to_owned(), item.document.image.size.height.into());
    entry.insert("width".to_owned(), item.document.image.size.width.into());
    entry.insert(
        "annotation".to_owned(),
        regions.iter().map(|region| annotation(region)).collect(),
    );
    entry
}

fn annotation(region: &Region) -> Value {
    let before = region
        .unknown
        .get(TOOL)
        .and_then(|kept| kept.get("annotation")?.as_object());
    let mut annotation = before.cloned().unwrap_or_default();
    segmentation::renew(&mut annotation, &region.mask.rle, |run_lengths| run_lengths);
    if !region.label.is_empty() && before.is_none() {
        annotation.insert("category".to_owned(), region.label.as_str().into());
    }
    Value::Object(annotation)
}

fn conversation_entry(
    item: &Annotated,
    conversation: &Conversation,
    origin: Option<&Origin>,
    notes: &mut Notes,
) -> Value {
    let texts: Vec<&str> = conversation.turns.iter().map(|turn| turn.text.as_str()).collect();
    let regions = regions_of(&item.document, origin, &texts);
    if regions.is_empty() {
        notes.remark(
            "conversations that mention no region are not read by Osprey",
            &item.name,
            &conversation.id,
        );
    }
    let mut entry = entry(item, Some(&conversation.unknown), &regions);
    let turn = |turn: &Turn| {
        let from = match turn.role {
            Role::User => "human",
            Role::Assistant => "gpt",
        };
        json!({"from": from, "value": with_numbers(&turn.text, &regions)})
    };
    entry.insert(
        "conversations".to_owned(),
        conversation.turns.iter().map(turn).collect(),
    );
    Value::Object(entry)
}

/// The descriptions of an image's regions: one entry for what came in one, one for the first captions of all other
/// regions, one for their second captions, and so on, as an entry has one description for each region.
fn description_entries(item: &Annotated, notes: &mut Notes) -> Vec<Value> {
    let document = &item.document;
    let mut entries: Vec<Described<'_>> = Vec::new();
    for region in &document.regions {
        if region.mask.rle.area() == 0 && !region.captions.is_empty() {
            notes.lost(
                "captions of regions without a pixel were left out",
                &item.name,
                &region.id,
            );
            continue;
        }
        let mut new = 0;
        for caption in &region.captions {
            let origin = Origin::of(&caption.unknown);
            let round = if origin.is_some() { 0 } else { new };
            new += usize::from(origin.is_none());
            let place = entries.iter_mut().find(|entry| {
                entry.origin == origin
                    && entry.round == round
                    && entry.captions.iter().all(|(other, _)| other.id != region.id)
            });
            match place {
                Some(entry) => entry.captions.push((region, caption)),
                None => entries.push(Described {
                    origin,
                    round,
                    captions: vec![(region, caption)],
                }),
            }
        }
    }
    entries
        .iter()
        .map(|entry| description_entry(item, &entry.captions))
        .collect()
}

/// Captions that stand in one entry.
struct Described<'a> {
    origin: Option<Origin>,
    /// How many captions without an origin their regions have before them.
    round: usize,
    captions: Vec<(&'a Region, &'a Caption)>,
}

fn description_entry(item: &Annotated, captions: &[(&Region, &Caption)]) -> Value {
    // Mentioned regions come behind those that are described, since the position decides which is which.
    let mut regions: Vec<&Region> = captions.iter().map(|(region, _)| *region).collect();
    let texts: Vec<&str> = captions
        .iter()
        .map(|(_, caption)| caption.text.as_str())
        .collect();
    for region in regions_of(&item.document, None, &texts) {
        if regions.iter().all(|other| other.id != region.id) {
            regions.push(region);
        }
    }
    let mut entry = entry(
        item,
        captions.first().map(|(_, caption)| &caption.unknown),
        &regions,
    );
    let described = texts.iter().enumerate();
    let described =
        described.map(|(index, text)| format!("<region{}>: {}", index + 1, with_numbers(text, &regions)));
    entry.insert("description".to_owned(), described.collect());
    Value::Object(entry)
}

#[cfg(test)]
mod tests;
