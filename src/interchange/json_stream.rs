//! The lists of a large JSON object, such as a COCO file, item by item, so that memory does not grow with the file.

use super::json_tree::{Excerpt, Tree, open};
use super::{InterchangeError, Result};
use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value;
use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// Largest item of a list.
const MAX_ITEM_BYTES: u64 = 256 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A list that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    name: &'a str,
    /// The keys of its items that are wanted, if not all.
    keys: Option<&'a [&'a str]>,
}

impl<'a> List<'a> {
    /// The list called `name`.
    pub(super) const fn whole(name: &'a str) -> Self {
        Self { name, keys: None }
    }

    /// Of the items of the list called `name` only these keys.
    pub(super) const fn only(name: &'a str, keys: &'a [&'a str]) -> Self {
        Self {
            name,
            keys: Some(keys),
        }
    }
}

/// Reads the JSON object at `path`, which should be `expected`, and calls `take` with every item of the `lists`, in the
/// order of the file, and with the index of the list. Everything else is passed over unseen.
///
/// # Errors
/// If the file is not such an object, or from `take`.
pub(super) fn read_lists(
    path: &Path,
    expected: &'static str,
    lists: &[List<'_>],
    take: &mut dyn FnMut(usize, Value) -> Result<()>,
) -> Result<()> {
    let allowance = Rc::new(Cell::new(MAX_ITEM_BYTES));
    let rationed = Rationed {
        file: open(path)?,
        allowance: Rc::clone(&allowance),
    };
    let mut reader = BufReader::with_capacity(1 << 16, rationed);
    let start = reader
        .fill_buf()
        .map_err(InterchangeError::io("read the annotations", path))?;
    if start.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    let mut stopped = None;
    let object = Object {
        lists,
        allowance,
        take: &mut |list, item| take(list, item).map_err(|error| stopped = Some(error)),
    };
    let mut json = serde_json::Deserializer::from_reader(reader);
    let read = json.deserialize_map(object).and_then(|()| json.end());
    match (stopped, read) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(InterchangeError::foreign(expected, error, path)),
        (None, Ok(())) => Ok(()),
    }
}

/// A file of which only so many bytes are given out until the allowance is renewed.
struct Rationed {
    file: File,
    allowance: Rc<Cell<u64>>,
}

impl Read for Rationed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.get();
        if left == 0 {
            let message = format!("one item has more than {} MiB", MAX_ITEM_BYTES >> 20);
            return Err(io::Error::other(message));
        }
        let length = self.file.read(buffer)?;
        self.allowance.set(left.saturating_sub(length as u64));
        Ok(length)
    }
}

type Take<'a> = dyn FnMut(usize, Value) -> Result<(), ()> + 'a;

struct Object<'a> {
    lists: &'a [List<'a>],
    allowance: Rc<Cell<u64>>,
    take: &'a mut Take<'a>,
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut keys: A) -> Result<(), A::Error> {
        while let Some(key) = keys.next_key::<String>()? {
            self.allowance.set(MAX_ITEM_BYTES);
            let mut lists = self.lists.iter().zip(0..);
            match lists.find(|(list, _)| list.name == key) {
                Some((list, number)) => keys.next_value_seed(Items {
                    list: number,
                    keys: list.keys,
                    allowance: &self.allowance,
                    take: &mut *self.take,
                })?,
                // A list that nobody asked for may be as long as it likes.
                None => {
                    self.allowance.set(u64::MAX);
                    keys.next_value::<IgnoredAny>().map(|_| ())?;
                }
            }
        }
        Ok(())
    }
}

struct Items<'a, 't> {
    list: usize,
    keys: Option<&'a [&'a str]>,
    allowance: &'a Cell<u64>,
    take: &'a mut Take<'t>,
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    /// `null` counts as no list.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element_seed(Item { keys: self.keys })? {
            (self.take)(self.list, item).map_err(|()| A::Error::custom("stopped"))?;
            self.allowance.set(MAX_ITEM_BYTES);
        }
        Ok(())
    }
}

/// An item, or what is wanted of it.
struct Item<'a> {
    keys: Option<&'a [&'a str]>,
}

impl<'de> DeserializeSeed<'de> for Item<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self.keys {
            None => Tree::deserialize(deserializer).map(|Tree(value)| value),
            Some(keys) => Excerpt(keys).deserialize(deserializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;

    fn read(text: &str, lists: &[&str]) -> Result<Vec<(usize, Value)>> {
        let sample = Sample::new();
        let path = sample.write("a.json", text);
        let mut items = Vec::new();
        let mut take = |list, item| {
            items.push((list, item));
            Ok(())
        };
        let lists: Vec<List<'_>> = lists.iter().map(|name| List::whole(name)).collect();
        read_lists(&path, "a test file", &lists, &mut take)?;
        Ok(items)
    }

    #[test]
    fn only_the_items_of_the_lists_come() {
        let text = "\u{feff}{\"info\": {\"a\": [[]]}, \"b\": [1, {\"a\": 2}], \"a\": [\"x\"], \"c\": null, \"b\": []}";
        let items = read(text, &["a", "b", "c", "d"]).unwrap();
        let expected = [(1, 1.into()), (1, serde_json::json!({"a": 2})), (0, "x".into())];
        assert_eq!(items, expected);
    }

    #[test]
    fn only_what_is_wanted_of_an_item_comes() {
        let sample = Sample::new();
        let text = r#"{"a": [{"x": {"y": 1}, "z": [1, {}], "y": "2"}, {"z": 1}, 5, [[1], 2], null, "x"]}"#;
        let path = sample.write("a.json", text);
        let mut items = Vec::new();
        let mut take = |_, item: Value| {
            items.push(item.to_string());
            Ok(())
        };
        let lists = [List::only("a", &["y", "x"])];
        read_lists(&path, "a test file", &lists, &mut take).unwrap();
        assert_eq!(
            items,
            [r#"{"x":{"y":1},"y":"2"}"#, "{}", "null", "null", "null", "null"]
        );
    }

    #[test]
    fn what_is_no_such_object_is_an_error_with_its_place() {
        for (text, reason) in [
            ("", "EOF"),
            ("[]", "expected an object"),
            ("{\"a\": 1}", "expected a list"),
            ("{\"a\": [1", "EOF"),
            ("{\"a\": [NaN]}", "line 1 column 8"),
            ("{\"a\": []} x", "trailing"),
        ] {
            let error = read(text, &["a"]).unwrap_err().to_string();
            assert!(
                error.contains("a test file") && error.contains(reason),
                "{text}: {error}"
            );
        }
        let deep = format!("{{\"a\": [{}", "[".repeat(100_000));
        assert!(read(&deep, &["a"]).is_err() && read(&deep, &["b"]).is_err());
    }

    #[test]
    fn the_taker_can_stop() {
        let sample = Sample::new();
        let path = sample.write("a.json", "{\"a\": [1, 2, 3]}");
        let mut count = 0;
        let mut take = |_, _| {
            count += 1;
            Err(InterchangeError::Cancelled)
        };
        let read = read_lists(&path, "a test file", &[List::whole("a")], &mut take);
        assert!(matches!(read, Err(InterchangeError::Cancelled)));
        assert_eq!(count, 1);
    }
}
