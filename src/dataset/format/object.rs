//! A JSON object being read: takes the known keys out, knows its own path for errors, and leaves the unknown keys.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::FormatError;
use super::node::Node;
use crate::dataset::document::UnknownKeys;

/// Why a required key is refused.
pub(super) const MISSING: &str = "this key is missing";

pub(super) struct Object<'a> {
    /// Path from the top of the document; empty for the document itself.
    at: String,
    /// In the order of the file; `None` for those that have been taken.
    keys: Vec<(Cow<'a, str>, Option<Node<'a>>)>,
}

impl<'a> Object<'a> {
    pub(super) fn new(node: Node<'a>, at: String) -> Result<Self, FormatError> {
        match node {
            Node::Object(keys) => Ok(Self {
                at,
                keys: keys.into_iter().map(|(key, node)| (key, Some(node))).collect(),
            }),
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
        let keys = self.keys.into_iter();
        keys.filter_map(|(key, node)| Some((key.into_owned(), node?.into())))
            .collect()
    }

    /// The keys that have not been taken, in the order of the file, each with the object under it.
    pub(super) fn entries(self) -> Result<Vec<(String, Self)>, FormatError> {
        let at = self.at.clone();
        let entry = |(key, value): (String, serde_json::Value)| {
            let at = format!("{at}.{key}");
            if value.is_null() {
                return Err(FormatError::invalid(at, MISSING));
            }
            Ok((key, Self::new(value.into(), at)?))
        };
        self.unknown().into_iter().map(entry).collect()
    }

    pub(super) fn invalid(&self, key: &str, reason: impl fmt::Display) -> FormatError {
        FormatError::invalid(self.at(key), reason.to_string())
    }

    /// Takes `key` out; `null` counts as absent.
    pub(super) fn optional(&mut self, key: &str) -> Option<Node<'a>> {
        let mut taken = None;
        for (known, node) in &mut self.keys {
            if node.is_some() && known == key {
                taken = node.take();
            }
        }
        taken.filter(|node| *node != Node::Null)
    }

    pub(super) fn required(&mut self, key: &str) -> Result<Node<'a>, FormatError> {
        self.optional(key).ok_or_else(|| self.invalid(key, MISSING))
    }

    /// Drops a key that is derived from others.
    pub(super) fn discard(&mut self, key: &str) {
        let _derived = self.optional(key);
    }

    pub(super) fn string(&mut self, key: &str) -> Result<String, FormatError> {
        let node = self.required(key)?;
        self.text(key, node)
    }

    pub(super) fn optional_string(&mut self, key: &str) -> Result<Option<String>, FormatError> {
        self.optional(key).map(|node| self.text(key, node)).transpose()
    }

    fn text(&self, key: &str, node: Node<'_>) -> Result<String, FormatError> {
        match node {
            Node::Text(text) => Ok(text.into_owned()),
            other => Err(expected("a text", &other, self.at(key))),
        }
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
        let node = self.required(key)?;
        integer(&node, || self.at(key))
    }

    /// Objects under `key`; none where it is absent.
    pub(super) fn objects(&mut self, key: &str) -> Result<Vec<Self>, FormatError> {
        let items = self.array(key)?.into_iter().enumerate();
        items
            .map(|(index, item)| Self::new(item, self.at_item(key, index)))
            .collect()
    }

    pub(super) fn integers(&mut self, key: &str) -> Result<Vec<u32>, FormatError> {
        let items = match self.required(key)? {
            Node::List(items) => items,
            other => return Err(expected("a list", &other, self.at(key))),
        };
        let items = items.iter().enumerate();
        items
            .map(|(index, item)| integer(item, || self.at_item(key, index)))
            .collect()
    }

    pub(super) fn object(&mut self, key: &str) -> Result<Self, FormatError> {
        Self::new(self.required(key)?, self.at(key))
    }

    pub(super) fn optional_object(&mut self, key: &str) -> Result<Option<Self>, FormatError> {
        self.optional(key)
            .map(|node| Self::new(node, self.at(key)))
            .transpose()
    }

    fn array(&mut self, key: &str) -> Result<Vec<Node<'a>>, FormatError> {
        match self.optional(key) {
            None => Ok(Vec::new()),
            Some(Node::List(items)) => Ok(items),
            Some(other) => Err(expected("a list", &other, self.at(key))),
        }
    }

    fn at_item(&self, key: &str, index: usize) -> String {
        format!("{}[{index}]", self.at(key))
    }
}

fn integer(node: &Node<'_>, at: impl FnOnce() -> String) -> Result<u32, FormatError> {
    let integer = whole(node).and_then(|integer| u32::try_from(integer).ok());
    integer.ok_or_else(|| expected("a whole number from 0 to 4294967295", node, at()))
}

/// The whole number that `node` is, also where it is written as `4.0`.
pub(super) fn whole(node: &Node<'_>) -> Option<u64> {
    /// Above it, not every whole number is a float.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = || {
        node.as_f64()
            .filter(|float| float.fract() == 0.0 && (0.0..=EXACT).contains(float))
    };
    node.as_u64().or_else(|| float().map(|float| float as u64))
}

/// The error for `found` where something else was expected, in few words whatever was found.
pub(super) fn expected(what: &str, found: &Node<'_>, at: String) -> FormatError {
    let found = match found {
        Node::Null => "null".to_owned(),
        Node::Bool(value) => value.to_string(),
        Node::Number(value) => value.to_string(),
        Node::Text(_) => "a text".to_owned(),
        Node::List(items) => format!("a list of {}", items.len()),
        Node::Object(_) => "an object".to_owned(),
    };
    let at = if at.is_empty() {
        "the top of the document".to_owned()
    } else {
        at
    };
    FormatError::invalid(at, format!("expected {what}, found {found}"))
}
