//! Captions and conversations: something is said, answered, and about regions that exist.

use std::collections::HashSet;

use serde_json::Value;

use super::findings::{Code, Subject};
use super::recorder::Recorder;
use super::sidecar::ReadSidecar;
use super::words::what_is_wrong;
use crate::dataset::Role;
use crate::dataset::mention::{self, RegionWords};
use crate::words::{WordFormat, parse};

/// Checks the captions of all regions and all conversations.
pub(super) fn check(sidecar: &ReadSidecar, recorder: &mut Recorder<'_>) {
    let mut texts = Texts {
        ids: sidecar
            .document
            .regions
            .iter()
            .map(|region| region.id.as_str())
            .collect(),
        unread_ids: &sidecar.unread_ids,
        words: RegionWords::new(&sidecar.document.regions),
        format: word_format(sidecar),
        said: HashSet::new(),
    };
    for (region, at, raw) in sidecar.regions() {
        let subject = Subject::Region(region.id.clone());
        texts.said.clear();
        for (index, caption) in region.captions.iter().enumerate() {
            let at = format!("{at}.captions[{index}]");
            if caption.text.trim().is_empty() {
                recorder.add_at(
                    Code::EmptyCaption,
                    &subject,
                    at.clone(),
                    "the caption has no text",
                );
            }
            texts.check(
                &caption.text,
                part(raw, "captions", index),
                &at,
                &subject,
                recorder,
            );
        }
    }
    for (conversation, at, raw) in sidecar.conversations() {
        let subject = Subject::Conversation(conversation.id.clone());
        texts.said.clear();
        for (index, turn) in conversation.turns.iter().enumerate() {
            let at = format!("{at}.turns[{index}]");
            if turn.text.trim().is_empty() {
                let message = format!("the turn of the {} has no text", turn.role.as_str());
                recorder.add_at(Code::EmptyTurn, &subject, at.clone(), message);
            }
            texts.check(&turn.text, part(raw, "turns", index), &at, &subject, recorder);
        }
        match conversation.turns.last().map(|turn| turn.role) {
            Some(Role::Assistant) => {}
            Some(Role::User) => {
                recorder.add(
                    Code::NoAnswer,
                    &subject,
                    "the last turn is a question without an answer",
                );
            }
            None => recorder.add(Code::NoAnswer, &subject, "the conversation has no turns"),
        }
    }
}

/// What texts of one image are checked against.
struct Texts<'a> {
    ids: HashSet<&'a str>,
    unread_ids: &'a HashSet<String>,
    words: RegionWords<'a>,
    format: WordFormat,
    /// Ids that a finding about the present subject names already.
    said: HashSet<String>,
}

impl Texts<'_> {
    /// Checks the mentions and words in `text`, and `value` in its object `raw`.
    fn check(&mut self, text: &str, raw: &Value, at: &str, subject: &Subject, recorder: &mut Recorder<'_>) {
        let mut mentions_unread = false;
        for mention::Candidate { id, .. } in mention::candidates(text) {
            if self.unread_ids.contains(id) {
                mentions_unread = true;
            } else if !self.ids.contains(id) && self.said.insert(id.to_owned()) {
                let (code, message) = if is_like_an_id(id) {
                    let message = format!("the text mentions {id:?}, and no region has this id");
                    (Code::MissingRegionMention, message)
                } else {
                    (
                        Code::PlainBrackets,
                        format!("{id:?} in double square brackets is no region's id"),
                    )
                };
                recorder.add_at(code, subject, format!("{at}.text"), message);
            }
        }
        if let Some(refused) = parse(self.format, text).refused.first() {
            let message = format!("mask words in the text: {}", what_is_wrong(&refused.problem));
            recorder.add_at(Code::WordsMalformed, subject, format!("{at}.text"), message);
        }
        let Some(value) = raw.get("value").filter(|value| !value.is_null()) else {
            return;
        };
        // Nobody knows the words of a region that could not be read.
        if !mentions_unread && recorder.wants(Code::ValueDiffers) {
            let message = match self.words.value(text) {
                Some(expected) if value.as_str() == Some(&expected) => return,
                Some(_) => "the value is not the text with the words of the regions it mentions",
                None => "the text mentions a region without words, so there can be no value",
            };
            recorder.add_at(Code::ValueDiffers, subject, format!("{at}.value"), message);
        }
    }
}

/// The format of mask words in texts: that of the only tokenizer, or the published one.
fn word_format(sidecar: &ReadSidecar) -> WordFormat {
    match sidecar.document.tokenizers.as_slice() {
        [only] => WordFormat::new(only.codebook_size, only.codebook_depth).unwrap_or_default(),
        _ => WordFormat::default(),
    }
}

/// Whether regions are given such ids: `r` and a number.
fn is_like_an_id(id: &str) -> bool {
    let digits = id.strip_prefix('r').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn part<'a>(raw: &'a Value, key: &str, index: usize) -> &'a Value {
    let item = raw.get(key).and_then(|list| list.get(index));
    item.unwrap_or(&Value::Null)
}
