//! A JSON object being read: takes the known keys out, knows its own path for errors, and leaves the unknown keys.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use super::FormatError;
use crate::dataset::document::UnknownKeys;

/// Why a required key is refused.
pub(super) const MISSING: &str = "this key is missing";

pub(super) struct Object {
    /// Path from the top of the document; empty for the document itself.
    at: String,
    keys: UnknownKeys,
}

impl Object {
    pub(super) fn new(value: Value, at: String) -> Result<Self, FormatError> {
        match value {
            Value::Object(keys) => Ok(Self { at, keys }),
            other => Err(expected("an object", &other, at)),
        }
    }

    /// The path of `key` in this object.
    pub(super) fn at(&self, key: &str) -> String {
        if self.at.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.at)
        }
    }

    /// What has not been taken.
    pub(super) fn unknown(self) -> UnknownKeys {
        self.keys
    }

    /// The keys that have not been taken, in the order of the file.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    pub(super) fn invalid(&self, key: &str, reason: impl fmt::Display) -> FormatError {
        FormatError::invalid(self.at(key), reason.to_string())
    }

    /// Takes `key` out; `null` counts as absent. The other keys keep their order.
    pub(super) fn optional(&mut self, key: &str) -> Option<Value> {
        self.keys.shift_remove(key).filter(|value| !value.is_null())
    }

    pub(super) fn required(&mut self, key: &str) -> Result<Value, FormatError> {
        self.optional(key).ok_or_else(|| self.invalid(key, MISSING))
    }

    /// Drops a key that is derived from others.
    pub(super) fn discard(&mut self, key: &str) {
        self.keys.shift_remove(key);
    }

    pub(super) fn string(&mut self, key: &str) -> Result<String, FormatError> {
        string(self.required(key)?, self.at(key))
    }

    pub(super) fn optional_string(&mut self, key: &str) -> Result<Option<String>, FormatError> {
        self.optional(key)
            .map(|value| string(value, self.at(key)))
            .transpose()
    }

    /// A string that stands for something else, such as a colour.
    pub(super) fn optional_parsed<T: FromStr<Err: fmt::Display>>(
        &mut self,
        key: &str,
    ) -> Result<Option<T>, FormatError> {
        let Some(text) = self.optional_string(key)? else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|error| self.invalid(key, format_args!("{error}, found {text:?}")))
    }

    /// One of `all`, each with its name.
    pub(super) fn named<T: Copy>(
        &mut self,
        key: &str,
        all: &[T],
        name: fn(T) -> &'static str,
    ) -> Result<Option<T>, FormatError> {
        let Some(text) = self.optional_string(key)? else {
            return Ok(None);
        };
        if let Some(&value) = all.iter().find(|&&value| name(value) == text) {
            return Ok(Some(value));
        }
        let names: Vec<&str> = all.iter().map(|&value| name(value)).collect();
        Err(self.invalid(
            key,
            format_args!("expected one of {}, found {text:?}", names.join(", ")),
        ))
    }

    pub(super) fn integer(&mut self, key: &str) -> Result<u32, FormatError> {
        integer(self.required(key)?, self.at(key))
    }

    /// Objects under `key`; none where it is absent.
    pub(super) fn objects(&mut self, key: &str) -> Result<Vec<Self>, FormatError> {
        let items = self.array(key)?.into_iter().enumerate();
        items
            .map(|(index, item)| Self::new(item, format!("{}[{index}]", self.at(key))))
            .collect()
    }

    pub(super) fn integers(&mut self, key: &str) -> Result<Vec<u32>, FormatError> {
        if self.keys.get(key).is_none_or(Value::is_null) {
            return Err(self.invalid(key, MISSING));
        }
        let items = self.array(key)?.into_iter().enumerate();
        items
            .map(|(index, item)| integer(item, format!("{}[{index}]", self.at(key))))
            .collect()
    }

    pub(super) fn object(&mut self, key: &str) -> Result<Self, FormatError> {
        Self::new(self.required(key)?, self.at(key))
    }

    pub(super) fn optional_object(&mut self, key: &str) -> Result<Option<Self>, FormatError> {
        self.optional(key)
            .map(|value| Self::new(value, self.at(key)))
            .transpose()
    }

    fn array(&mut self, key: &str) -> Result<Vec<Value>, FormatError> {
        match self.optional(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(expected("a list", &other, self.at(key))),
        }
    }
}

fn string(value: Value, at: String) -> Result<String, FormatError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(expected("a text", &other, at)),
    }
}

fn integer(value: Value, at: String) -> Result<u32, FormatError> {
    let integer = whole(&value).and_then(|integer| u32::try_from(integer).ok());
    integer.ok_or_else(|| expected("a whole number from 0 to 4294967295", &value, at))
}

/// The whole number that `value` is, also where it is written as `4.0`.
pub(super) fn whole(value: &Value) -> Option<u64> {
    /// Above it, not every whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = || {
        value
            .as_f64()
            .filter(|float| float.fract() == 0.0 && (0.0..=EXACT).contains(float))
    };
    value.as_u64().or_else(|| float().map(|float| float as u64))
}

/// The error for `found` where something else was expected, in few words whatever was found.
pub(super) fn expected(what: &str, found: &Value, at: String) -> FormatError {
    let found = match found {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "an object".to_owned(),
    };
    let at = if at.is_empty() {
        "the top of the document".to_owned()
    } else {
        at
    };
    FormatError::invalid(at, format!("expected {what}, found {found}"))
}
