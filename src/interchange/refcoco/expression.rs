//! Referring expressions as conversations, and back: the question in a published wording, the answer a mention of every
//! region that is meant.

use super::{Dialect, Ids, Objects, TOOL, instances, kept, ref_name};
use crate::dataset::mention::candidates;
use crate::dataset::{Conversation, Document, Role, Task, Turn};
use crate::interchange::{Annotated, Notes};
use crate::words::NO_TARGET;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The published wordings of the question, before and after the expression; new questions have the first.
const QUESTIONS: [(&str, &str); 8] = [
    ("Please segment ", " in this image."),
    ("Can you segment the ", " in this image?"),
    (
        "What is ",
        " in this image? Please respond with segmentation mask.",
    ),
    ("What is ", " in this image? Please output segmentation mask."),
    (
        "Could you provide a segmentation mask for the ",
        " in this image?",
    ),
    ("Please identify and segment the ", " in this image."),
    (
        "Where is the ",
        " in this picture? Please respond with a segmentation mask.",
    ),
    (
        "Can you highlight the ",
        " in this image with a segmentation mask?",
    ),
];

/// The split of expressions that have none.
const NO_SPLIT: &str = "train";

fn question(expression: &str) -> String {
    let (before, after) = QUESTIONS[0];
    format!("{before}{expression}{after}")
}

/// What a question asks for: what its wording surrounds, or all of it.
fn expression(question: &str) -> &str {
    let question = question.trim();
    let inside = |&(before, after): &(&str, &str)| {
        let rest = question.strip_prefix(before)?;
        // The published data also have every wording without its last punctuation mark.
        let bare = after.strip_suffix(['.', '?']).unwrap_or(after);
        let inside = rest.strip_suffix(after).or_else(|| rest.strip_suffix(bare))?;
        Some(inside.trim()).filter(|inside| !inside.is_empty())
    };
    QUESTIONS.iter().find_map(inside).unwrap_or(question)
}

/// The answer that means `regions`; the exports for training make the published list of it.
fn answer(regions: &[&str]) -> String {
    if regions.is_empty() {
        return NO_TARGET.to_owned();
    }
    let mentions: Vec<String> = regions.iter().map(|region| format!("[[{region}]]")).collect();
    mentions.join(", ")
}

/// Adds a conversation for every sentence of `one`; `objects` has the regions by the ids of their annotations.
pub(super) fn add(
    document: &mut Document,
    one: Value,
    objects: &HashMap<String, String>,
    name: &str,
    notes: &mut Notes,
) {
    let called = ref_name(&one);
    let Value::Object(mut one) = one else {
        notes.lost("expressions that are no objects were left out", name, called);
        return;
    };
    let Some(Value::Array(sentences)) = one.shift_remove("sentences") else {
        notes.lost("expressions without sentences were left out", name, called);
        return;
    };
    let ids = match one.get("ann_id") {
        Some(Value::Array(ids)) => ids.as_slice(),
        Some(id) => std::slice::from_ref(id),
        None => &[],
    };
    let is_none = |id: &Value| id.as_i64() == Some(-1);
    let mut regions: Vec<&str> = Vec::new();
    for id in ids.iter().filter(|id| !is_none(id)) {
        let region = instances::key(id).and_then(|key| objects.get(&key));
        match region {
            Some(region) if regions.contains(&region.as_str()) => {}
            Some(region) => regions.push(region),
            None => {
                notes.lost(
                    "expressions that mean an object which is not there were left out",
                    name,
                    called,
                );
                return;
            }
        }
    }
    for sentence in sentences {
        let text = |key: &str| {
            sentence
                .get(key)
                .and_then(Value::as_str)
                .map(str::trim)
                .filter(|text| !text.is_empty())
        };
        let Some(expression) = text("sent").or_else(|| text("raw")) else {
            notes.lost("sentences without words were left out", name, &called);
            continue;
        };
        let id = format!("c{}", document.conversations.len() + 1);
        let task = if regions.is_empty() {
            Task::NoTarget
        } else {
            Task::ReferringSegmentation
        };
        let mut conversation = Conversation::new(id, task);
        conversation.turns = vec![
            Turn::new(Role::User, question(expression)),
            Turn::new(Role::Assistant, answer(&regions)),
        ];
        let kept = json!({"ref": &one, "sentence": &sentence});
        conversation.unknown.insert(TOOL.to_owned(), kept);
        document.conversations.push(conversation);
    }
}

/// Conversations on their way out.
#[derive(Debug)]
pub(super) struct Expressions {
    dialect: Dialect,
    ref_ids: Ids,
    sentence_ids: Ids,
}

/// An expression being put together from conversations that mean the same.
struct Pending {
    /// The id that it had before.
    before: Option<i64>,
    regions: Vec<String>,
    keys: Map<String, Value>,
    sentences: Vec<Value>,
}

impl Expressions {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            ref_ids: Ids::default(),
            sentence_ids: Ids::default(),
        }
    }

    /// The expressions of an image.
    pub(super) fn of(&mut self, item: &Annotated, objects: &Objects, notes: &mut Notes) -> Vec<Value> {
        let mut pending: Vec<Pending> = Vec::new();
        for conversation in &item.document.conversations {
            if !matches!(conversation.task, Task::ReferringSegmentation | Task::NoTarget) {
                notes.lost(
                    "conversations that refer to nothing were left out",
                    &item.name,
                    &conversation.id,
                );
                continue;
            }
            let mut kept = kept(&conversation.unknown);
            for pair in conversation.turns.chunks(2) {
                let [asked, answered] = pair else { continue };
                let regions = mentioned(&answered.text, &item.document);
                if let Some(reason) = self.refused(conversation.task, &regions, objects) {
                    notes.lost(reason, &item.name, &conversation.id);
                    continue;
                }
                // Only the first question can be the one that was read.
                self.add(&mut pending, &asked.text, regions, kept.take());
            }
        }
        pending
            .into_iter()
            .map(|one| self.finished(one, objects))
            .collect()
    }

    /// Why an expression that means `regions` cannot be written.
    fn refused(&self, task: Task, regions: &[String], objects: &Objects) -> Option<&'static str> {
        if regions
            .iter()
            .any(|region| !objects.by_region.contains_key(region))
        {
            return Some("expressions that mean a region without a pixel were left out");
        }
        match (self.dialect, regions.len()) {
            (_, 0) if task != Task::NoTarget => {
                Some("expressions whose answer mentions no region were left out")
            }
            (Dialect::RefCoco, 0) => {
                Some("expressions that mean nothing in the image were left out; gRefCOCO has them")
            }
            (Dialect::RefCoco, 2..) => {
                Some("expressions that mean several regions were left out; gRefCOCO has them")
            }
            _ => None,
        }
    }

    /// Adds a sentence to the expression that it belongs to.
    fn add(
        &mut self,
        pending: &mut Vec<Pending>,
        asked: &str,
        regions: Vec<String>,
        kept: Option<&Map<String, Value>>,
    ) {
        let kept =
            kept.and_then(|kept| Some((kept.get("ref")?.as_object()?, kept.get("sentence")?.as_object()?)));
        let before = kept.and_then(|(keys, _)| keys.get("ref_id")?.as_i64());
        let text = expression(asked);
        let is_same = |sentence: &Map<String, Value>| {
            let mut texts = ["sent", "raw"]
                .into_iter()
                .filter_map(|key| sentence.get(key)?.as_str());
            texts.any(|before| before.trim() == text)
        };
        let mut sentence = match kept
            .map(|(_, sentence)| sentence)
            .filter(|sentence| is_same(sentence))
        {
            Some(sentence) => sentence.clone(),
            None => new_sentence(text),
        };
        let id = self
            .sentence_ids
            .take(sentence.get("sent_id").and_then(Value::as_i64));
        sentence.insert("sent_id".to_owned(), id.into());
        let sentence = Value::Object(sentence);
        // In RefCOCO sentences about one object are one expression; in gRefCOCO each stands alone.
        let belongs = |one: &&mut Pending| {
            one.regions == regions
                && one.before == before
                && (before.is_some() || self.dialect == Dialect::RefCoco)
        };
        match pending.iter_mut().find(belongs) {
            Some(one) => one.sentences.push(sentence),
            None => pending.push(Pending {
                before,
                regions,
                keys: kept.map(|(keys, _)| keys.clone()).unwrap_or_default(),
                sentences: vec![sentence],
            }),
        }
    }

    fn finished(&mut self, pending: Pending, objects: &Objects) -> Value {
        let mut keys = pending.keys;
        let ids: Vec<(i64, i64)> = pending
            .regions
            .iter()
            .filter_map(|region| objects.by_region.get(region).copied())
            .collect();
        let of_dialect = |ids: Vec<i64>| match (self.dialect, ids.first()) {
            (Dialect::RefCoco, Some(&id)) => id.into(),
            (_, Some(_)) => json!(ids),
            (_, None) => json!([-1]),
        };
        let sentence_ids: Vec<&Value> = pending
            .sentences
            .iter()
            .filter_map(|one| one.get("sent_id"))
            .collect();
        keys.insert("sent_ids".to_owned(), json!(sentence_ids));
        keys.entry("file_name")
            .or_insert_with(|| objects.file_name.as_str().into());
        keys.insert(
            "ann_id".to_owned(),
            of_dialect(ids.iter().map(|ids| ids.0).collect()),
        );
        keys.insert("ref_id".to_owned(), self.ref_ids.take(pending.before).into());
        keys.insert("image_id".to_owned(), objects.image_id.into());
        keys.entry("split").or_insert_with(|| NO_SPLIT.into());
        keys.insert(
            "category_id".to_owned(),
            of_dialect(ids.iter().map(|ids| ids.1).collect()),
        );
        keys.insert("sentences".to_owned(), pending.sentences.into());
        Value::Object(keys)
    }
}

/// The regions of `document` that `text` mentions, each once.
fn mentioned(text: &str, document: &Document) -> Vec<String> {
    let mut regions: Vec<String> = Vec::new();
    for candidate in candidates(text) {
        if document.region(candidate.id).is_some() && !regions.iter().any(|region| region == candidate.id) {
            regions.push(candidate.id.to_owned());
        }
    }
    regions
}

/// A sentence as the REFER tools have it: lower case and without punctuation, whole and in words.
fn new_sentence(text: &str) -> Map<String, Value> {
    let plain: String = text
        .to_lowercase()
        .chars()
        .map(|letter| {
            if letter.is_alphanumeric() || letter == '\'' {
                letter
            } else {
                ' '
            }
        })
        .collect();
    let tokens: Vec<&str> = plain.split_whitespace().collect();
    let mut sentence = Map::new();
    sentence.insert("tokens".to_owned(), json!(tokens));
    sentence.insert("raw".to_owned(), text.into());
    sentence.insert("sent_id".to_owned(), Value::Null);
    sentence.insert("sent".to_owned(), tokens.join(" ").into());
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_taken_out_of_every_published_wording() {
        for (before, after) in QUESTIONS {
            let asked = format!("{before}man in red{after}");
            assert_eq!(expression(&asked), "man in red");
            assert_eq!(expression(&asked[..asked.len() - 1]), "man in red");
        }
        for (asked, expected) in [
            ("man in red", "man in red"),
            (" What is in this image? ", "What is in this image?"),
            ("Please segment  in this image.", "Please segment  in this image."),
            ("", ""),
        ] {
            assert_eq!(expression(asked), expected);
        }
        assert_eq!(expression(&question("the ä \"b\"")), "the ä \"b\"");
    }

    #[test]
    fn answers_mention_what_is_meant() {
        for (regions, expected) in [
            (&[][..], "No target."),
            (&["r1"], "[[r1]]"),
            (&["r1", "r2"], "[[r1]], [[r2]]"),
        ] {
            assert_eq!(answer(regions), expected);
        }
    }

    #[test]
    fn new_sentences_are_plain() {
        let sentence = new_sentence("The man's hat, LEFT!");
        assert_eq!(sentence["sent"], "the man's hat left");
        assert_eq!(sentence["raw"], "The man's hat, LEFT!");
        assert_eq!(sentence["tokens"], json!(["the", "man's", "hat", "left"]));
    }
}
