//! Conversations in X-AnyLabeling's fields: its chat, one per image, and the question and answer of its VQA panel.

use super::TOOL;
use crate::dataset::mention::RegionWords;
use crate::dataset::{Conversation, Document, Region, Role, Task, Turn};
use crate::interchange::Notes;
use crate::interchange::carried::value_text;
use crate::interchange::shape_file::{keep_others, kept_others};
use serde_json::{Map, Value, json};

/// The key of the VQA panel's fields; the user chooses their names.
pub(super) const VQA: &str = "vqaData";

/// The names of the fields in the program's documentation.
const QUESTION: &str = "question";
const ANSWER: &str = "answer";

/// Stands for the image in the text of a message.
const IMAGE: &str = "<image>";

/// All conversations of `document` one after the other, as its chat.
///
/// Mentions are mask words where the regions have them, since this chat is what the program exports for training.
pub(super) fn history(document: &Document, image_path: &str) -> Vec<Value> {
    let words = RegionWords::new(&document.regions);
    let mut shows_image = true;
    let turns = document
        .conversations
        .iter()
        .flat_map(|conversation| &conversation.turns);
    turns
        .map(|turn| {
            let text = shown(turn, &words);
            let shows = turn.role == Role::User && std::mem::take(&mut shows_image);
            json!({
                "role": turn.role.as_str(),
                "content": if shows { format!("{IMAGE}{text}") } else { text },
                "image": if shows { Value::from(image_path) } else { Value::Null },
            })
        })
        .collect()
}

/// What is written for a turn.
fn shown(turn: &Turn, words: &RegionWords<'_>) -> String {
    words.value(&turn.text).unwrap_or_else(|| turn.text.clone())
}

/// `text` with mentions in place of the words of `regions`.
fn with_mentions(text: &str, regions: &[Region]) -> String {
    let mut text = text.to_owned();
    for region in regions {
        if let Some(words) = region.words.as_ref().filter(|words| !words.text.is_empty()) {
            text = text.replace(&words.text, &format!("[[{}]]", region.id));
        }
    }
    text
}

/// Takes a chat: a conversation that the document has already gets the changes made to its turns, and messages that
/// belong to none become a new one. No conversation is removed, because the chat of an image is easily overwritten.
pub(super) fn take_history(document: &mut Document, history: &[Value], image: &str, notes: &mut Notes) {
    let mut messages = Vec::new();
    for message in history {
        let text = |key: &str| message.get(key).and_then(Value::as_str);
        let role = Role::ALL.iter().find(|role| text("role") == Some(role.as_str()));
        match (role, text("content")) {
            (Some(&role), Some(content)) => messages.push(Message { role, content }),
            _ => notes.lost(
                "messages that neither the user nor the assistant wrote were left out",
                image,
                "",
            ),
        }
    }
    let words = RegionWords::new(&document.regions);
    let mut rest = messages.as_slice();
    for conversation in document
        .conversations
        .iter_mut()
        .filter(|conversation| !conversation.turns.is_empty())
    {
        let Some((block, after)) = rest.split_at_checked(conversation.turns.len()) else {
            continue;
        };
        let pairs = || conversation.turns.iter().zip(block);
        let has_roles = pairs().all(|(turn, message)| turn.role == message.role);
        let is_known = pairs().any(|(turn, message)| message.says(&shown(turn, &words)));
        if !has_roles || !is_known {
            continue;
        }
        for (turn, message) in conversation.turns.iter_mut().zip(block) {
            if !message.says(&shown(turn, &words)) {
                turn.text = with_mentions(message.text().trim_start(), &document.regions);
            }
        }
        rest = after;
    }
    let turn = |message: &Message<'_>| {
        Turn::new(
            message.role,
            with_mentions(message.text().trim_start(), &document.regions),
        )
    };
    let turns: Vec<Turn> = rest.iter().map(turn).collect();
    add(document, Task::Free, turns);
}

struct Message<'a> {
    role: Role,
    content: &'a str,
}

impl<'a> Message<'a> {
    /// Without the image in front.
    fn text(&self) -> &'a str {
        self.content.strip_prefix(IMAGE).unwrap_or(self.content)
    }

    /// Whether it is what was written for a turn that is shown as `text`.
    fn says(&self, text: &str) -> bool {
        self.content == text || self.text() == text
    }
}

fn add(document: &mut Document, task: Task, turns: Vec<Turn>) {
    if !turns.is_empty() {
        let mut conversation = Conversation::new(document.next_conversation_id(), task);
        conversation.turns = turns;
        document.conversations.push(conversation);
    }
}

/// The first conversation that is one question and one answer, as written.
fn pair(document: &Document) -> Option<(String, String)> {
    let words = RegionWords::new(&document.regions);
    document
        .conversations
        .iter()
        .find_map(|conversation| match &conversation.turns[..] {
            [question, answer] if question.role == Role::User && answer.role == Role::Assistant => {
                let pair = (shown(question, &words), shown(answer, &words));
                (!pair.0.is_empty() && !pair.1.is_empty()).then_some(pair)
            }
            _ => None,
        })
}

/// The question and answer in the fields of the panel; `None` unless both say something.
fn answered(vqa: Option<&Value>) -> Option<(String, String)> {
    let text = |key: &str| {
        let value = vqa?.get(key)?;
        (value.is_string() || value.is_number())
            .then(|| value_text(value))
            .filter(|text| !text.is_empty())
    };
    Some((text(QUESTION)?, text(ANSWER)?))
}

/// Puts the first question with its answer into the fields of the panel among those that were kept in `keys`, unless
/// these are about another conversation.
pub(super) fn write_vqa(document: &Document, keys: &mut Map<String, Value>) {
    let mut fields = match keys.shift_remove(VQA) {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let kept = answered(Some(&Value::Object(fields.clone())));
    // Equal texts stay as they were, numbers numbers.
    if !kept
        .as_ref()
        .is_some_and(|(question, answer)| has_both(document, question, answer))
    {
        match pair(document) {
            Some((question, answer)) => {
                fields.insert(QUESTION.to_owned(), question.into());
                fields.insert(ANSWER.to_owned(), answer.into());
            }
            None if kept.is_some() => {
                fields.shift_remove(QUESTION);
                fields.shift_remove(ANSWER);
            }
            None => {}
        }
    }
    if !fields.is_empty() {
        keys.insert(VQA.to_owned(), Value::Object(fields));
    }
}

/// Whether a conversation has `answer` right behind `question`.
fn has_both(document: &Document, question: &str, answer: &str) -> bool {
    let words = RegionWords::new(&document.regions);
    document.conversations.iter().any(|conversation| {
        let said = |pair: &[Turn]| pair.iter().map(|turn| shown(turn, &words)).collect::<Vec<_>>();
        conversation
            .turns
            .windows(2)
            .any(|pair| said(pair) == [question, answer])
    })
}

/// Whether fields of the panel that came from elsewhere have a question.
pub(super) fn keeps_question(document: &Document) -> bool {
    kept_others(&document.unknown, TOOL).is_some_and(|keys| answered(keys.get(VQA)).is_some())
}

/// Takes question and answer of the panel as a conversation, unless the document has them already; `is_written` says
/// that they were not in the panel before we wrote them there, so they are not kept.
pub(super) fn take_vqa(document: &mut Document, vqa: Option<&Value>, is_written: bool) {
    let Some((question, answer)) = answered(vqa) else {
        return;
    };
    if !has_both(document, &question, &answer) {
        let task = vqa.and_then(|fields| fields.get("task")?.as_str());
        let known = Task::ALL.iter().find(|known| task == Some(known.as_str()));
        let turn = |role, text: &str| Turn::new(role, with_mentions(text, &document.regions));
        let turns = vec![turn(Role::User, &question), turn(Role::Assistant, &answer)];
        add(document, known.copied().unwrap_or(Task::Free), turns);
    } else if is_written {
        forget_question(document);
    }
}

fn forget_question(document: &mut Document) {
    let Some(mut others) = kept_others(&document.unknown, TOOL).cloned() else {
        return;
    };
    if let Some(Value::Object(fields)) = others.get_mut(VQA) {
        fields.shift_remove(QUESTION);
        fields.shift_remove(ANSWER);
        if fields.is_empty() {
            others.shift_remove(VQA);
        }
    }
    keep_others(&mut document.unknown, TOOL, others);
}
