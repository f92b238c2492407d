//! A training record of any writer, as far as the containers have it in common.

use serde_json::{Map, Value};

use super::{OWN_KEY, Own};
use crate::dataset::Role;
use crate::geometry::ImageSize;

/// A record as it was found.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The paths of the images; the first is the one that is annotated.
    pub(super) images: Vec<String>,
    pub(super) turns: Vec<SeenTurn>,
    pub(super) masks: Vec<SeenMask>,
    /// Whether the masks are those of the answers alone.
    pub(super) only_answers_masked: bool,
    /// The texts of the turns with the names of masks in place of words.
    pub(super) raw: Vec<String>,
    pub(super) own: Option<Own>,
    /// All other keys.
    pub(super) rest: Map<String, Value>,
}

/// One turn.
#[derive(Debug)]
pub(super) struct SeenTurn {
    pub(super) role: Role,
    pub(super) text: String,
    /// All other keys.
    pub(super) rest: Map<String, Value>,
}

/// One mask.
#[derive(Debug)]
pub(super) struct SeenMask {
    /// What the raw turns call it.
    pub(super) name: Option<String>,
    /// Which image it belongs to.
    pub(super) image: u64,
    pub(super) value: Value,
}

impl SeenMask {
    /// Size and compressed run lengths, where it is that.
    pub(super) fn compressed(&self) -> Option<(ImageSize, &str)> {
        let side = |index: usize| u32::try_from(self.value.get("size")?.get(index)?.as_u64()?).ok();
        Some((
            ImageSize::new(side(1)?, side(0)?),
            self.value.get("counts")?.as_str()?,
        ))
    }
}

impl Seen {
    /// The record in a JSON value; `None` where it is none.
    pub(super) fn of_record(value: Value) -> Option<Self> {
        let Value::Object(mut keys) = value else {
            return None;
        };
        let own = keys.get(OWN_KEY).and_then(Value::as_str).and_then(Own::read);
        if own.is_some() {
            keys.shift_remove(OWN_KEY);
        }
        let turns = keys
            .shift_remove("conversations")
            .or_else(|| keys.shift_remove("messages"));
        if turns.is_none() && own.is_none() {
            return None;
        }
        let mut seen = Self {
            turns: list(turns).into_iter().filter_map(turn).collect(),
            own,
            ..Self::default()
        };
        seen.raw = list(keys.shift_remove("raw_conversations"))
            .into_iter()
            .filter_map(|value| Some(turn(value)?.text))
            .collect();
        let images = keys.shift_remove("image").filter(|value| !value.is_null());
        seen.images = paths(images.or_else(|| keys.shift_remove("images")));
        let images = keys.shift_remove("segmentation_image_indices");
        seen.masks = masks(keys.shift_remove("segmentation"), images.as_ref());
        seen.rest = keys;
        Some(seen)
    }

    /// The records in a row for reinforcement learning: one for each question in it.
    pub(super) fn of_row(mut keys: Map<String, Value>) -> Vec<Self> {
        let own = keys
            .shift_remove(OWN_KEY)
            .and_then(|value| Own::read(value.as_str()?));
        let images = paths(keys.shift_remove("images"));
        let masks_value = keys.shift_remove("masks");
        let mut text = |key: &str| match keys.shift_remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let pairs = [
            ("problem", "answer"),
            ("cap_problem", "cap_answer"),
            ("seg_problem", "seg_answer"),
        ];
        let pairs = pairs.map(|(problem, answer)| (text(problem), text(answer)));
        let mut rows: Vec<Self> = pairs
            .into_iter()
            .filter(|(problem, answer)| problem.is_some() || answer.is_some())
            .map(|(problem, answer)| {
                let turn = |role, text: Option<String>| {
                    text.map(|text| SeenTurn {
                        role,
                        text,
                        rest: Map::new(),
                    })
                };
                let turns = [turn(Role::User, problem), turn(Role::Assistant, answer)];
                Self {
                    images: images.clone(),
                    turns: turns.into_iter().flatten().collect(),
                    masks: masks(masks_value.clone(), None),
                    only_answers_masked: true,
                    rest: keys.clone(),
                    ..Self::default()
                }
            })
            .collect();
        if let Some(first) = rows.first_mut() {
            first.own = own;
        }
        rows
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// A turn in LLaVA's words or in those of chat programs.
fn turn(value: Value) -> Option<SeenTurn> {
    let Value::Object(mut keys) = value else {
        return None;
    };
    let role = keys.shift_remove("from").or_else(|| keys.shift_remove("role"))?;
    let role = match role.as_str()? {
        "human" | "user" => Role::User,
        "gpt" | "assistant" | "model" => Role::Assistant,
        _ => return None,
    };
    let text = match keys
        .shift_remove("value")
        .or_else(|| keys.shift_remove("content"))?
    {
        Value::String(text) => text,
        Value::Array(parts) => parts.iter().filter_map(part).collect(),
        _ => return None,
    };
    // Loaders that want one type for all records fill gaps with null.
    keys.retain(|_, value| !value.is_null());
    Some(SeenTurn {
        role,
        text,
        rest: keys,
    })
}

/// A part of a message that is given in parts.
fn part(part: &Value) -> Option<&str> {
    match part.get("type")?.as_str()? {
        "text" => part.get("text")?.as_str(),
        "image" | "image_url" => Some("<image>"),
        _ => None,
    }
}

/// Paths, alone or in a list, bare or in objects.
fn paths(value: Option<Value>) -> Vec<String> {
    let path = |value: Value| match value {
        Value::String(path) => Some(path),
        Value::Object(mut keys) => match keys.remove("path") {
            Some(Value::String(path)) => Some(path),
            _ => None,
        },
        _ => None,
    };
    match value {
        Some(Value::Array(items)) => items.into_iter().filter_map(path).collect(),
        Some(value) => path(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Masks in a list or by name; those that are null are not there.
fn masks(value: Option<Value>, images: Option<&Value>) -> Vec<SeenMask> {
    let image = |index: usize| images.and_then(|images| images.get(index)?.as_u64()).unwrap_or(0);
    let named: Vec<(Option<String>, Value)> = match value {
        Some(Value::Array(items)) => items.into_iter().map(|value| (None, value)).collect(),
        // One mask alone.
        Some(Value::Object(keys)) if keys.contains_key("counts") => vec![(None, keys.into())],
        Some(Value::Object(keys)) => keys
            .into_iter()
            .map(|(name, value)| (Some(name), value))
            .collect(),
        _ => Vec::new(),
    };
    let masks = named
        .into_iter()
        .enumerate()
        .filter(|(_, (_, value))| !value.is_null());
    masks
        .map(|(index, (name, value))| SeenMask {
            name,
            image: image(index),
            value,
        })
        .collect()
}
