//! JSON from strangers, with limits on depth, length and number of values, so that no file takes all memory.

use super::{InterchangeError, Result};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};
use std::cell::Cell;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// Largest JSON file that is read whole; most of a large one is the image in it.
const MAX_BYTES: u64 = 512 << 20;

/// Largest item of a list that is read item by item.
const MAX_ITEM_BYTES: u64 = 256 << 20;

/// Most values in a [`Tree`], some 80 bytes each.
const MAX_VALUES: u32 = 8_000_000;

/// Any JSON value with at most [`MAX_VALUES`] values inside; `serde_json` itself limits the depth to 128.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree(pub(super) Value);

/// A [`Tree`] that is a part of an item of a list: the parts of one item have at most [`MAX_VALUES`] together.
#[derive(Clone, Debug, Default)]
pub(super) struct Part(pub(super) Value);

thread_local! {
    /// How many values are left to the parts of the present item; derived code has no place to hand it down.
    static LEFT: Cell<u32> = const { Cell::new(MAX_VALUES) };
}

/// Counts `values` more for the present item, for a type that many of fit into few bytes.
pub(super) fn count<E: serde::de::Error>(values: u32) -> Result<(), E> {
    let left = LEFT.get().checked_sub(values);
    LEFT.set(left.ok_or_else(|| E::custom(format_args!("it has more than {MAX_VALUES} values")))?);
    Ok(())
}

/// Reads the JSON file at `path`, which should be `expected`.
pub(super) fn read_file(path: &Path, expected: &'static str) -> Result<Value> {
    let file = open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(InterchangeError::io("read the annotations", path))?;
    if bytes.len() as u64 > MAX_BYTES {
        let reason = format!("it has more than {} MiB", MAX_BYTES >> 20);
        return Err(InterchangeError::foreign(expected, reason, path));
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    let tree: Tree =
        serde_json::from_slice(bytes).map_err(|error| InterchangeError::foreign(expected, error, path))?;
    Ok(tree.0)
}

/// Reads the JSON file at `path`, a list of items or one item alone, and calls `take` with each as it comes.
pub(super) fn read_items<T: for<'de> Deserialize<'de>>(
    path: &Path,
    expected: &'static str,
    take: &mut dyn FnMut(T) -> Result<()>,
) -> Result<()> {
    let allowance = Rc::new(Cell::new(MAX_ITEM_BYTES));
    let mut reader = BufReader::new(Rationed {
        file: open(path)?,
        allowance: Rc::clone(&allowance),
    });
    let start = reader
        .fill_buf()
        .map_err(InterchangeError::io("read the annotations", path))?;
    if start.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    let mut stopped = None;
    let items = Items {
        allowance,
        take: &mut |item| {
            take(item).map_err(|error| {
                stopped = Some(error);
            })
        },
        item: std::marker::PhantomData,
    };
    let mut json = serde_json::Deserializer::from_reader(reader);
    let read = json.deserialize_any(items).and_then(|()| json.end());
    match (stopped, read) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(InterchangeError::foreign(expected, error, path)),
        (None, Ok(())) => Ok(()),
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Opens an ordinary file; a pipe or device would block.
pub(super) fn open(path: &Path) -> Result<File> {
    let failed = || InterchangeError::io("read the annotations", path);
    if !fs::metadata(path).map_err(failed())?.is_file() {
        return Err(failed()(io::Error::other("this is not an ordinary file")));
    }
    File::open(path).map_err(failed())
}

/// A file of which only so many bytes are given out until the allowance is renewed.
struct Rationed {
    file: File,
    allowance: Rc<Cell<u64>>,
}

impl Read for Rationed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = usize::try_from(self.allowance.get())
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if allowed == 0 && !buffer.is_empty() {
            let message = format!("one item has more than {} MiB", MAX_ITEM_BYTES >> 20);
            return Err(io::Error::other(message));
        }
        let length = self.file.read(buffer.get_mut(..allowed).unwrap_or_default())?;
        self.allowance
            .set(self.allowance.get().saturating_sub(length as u64));
        Ok(length)
    }
}

struct Items<'a, T> {
    allowance: Rc<Cell<u64>>,
    take: &'a mut dyn FnMut(T) -> Result<(), ()>,
    item: std::marker::PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects, or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        loop {
            self.allowance.set(MAX_ITEM_BYTES);
            LEFT.set(MAX_VALUES);
            let Some(item) = items.next_element()? else {
                return Ok(());
            };
            (self.take)(item).map_err(|()| A::Error::custom("stopped"))?;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        LEFT.set(MAX_VALUES);
        let item = T::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        (self.take)(item).map_err(|()| A::Error::custom("stopped"))
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let left = Cell::new(MAX_VALUES);
        Branch { left: &left }.deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = LEFT.with(|left| Branch { left }.deserialize(deserializer));
        value.map(Self)
    }
}

/// One value inside of a [`Tree`], counted against what is left.
#[derive(Clone, Copy)]
struct Branch<'a> {
    left: &'a Cell<u32>,
}

impl<'de> DeserializeSeed<'de> for Branch<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(D::Error::custom(format_args!(
                "it has more than {MAX_VALUES} values"
            )));
        };
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Branch<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Some of the keys of an object, and nothing of any other value.
pub(super) struct Excerpt<'a>(pub(super) &'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Excerpt<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Excerpt<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(wanted) = entries.next_key_seed(Wanted(self.0))? {
            match wanted {
                Some(key) => {
                    let Tree(value) = entries.next_value()?;
                    map.insert(key, value);
                }
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Value::Object(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_str<E>(self, _: &str) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

/// A key, if it is one of these.
struct Wanted<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Option<String>, E> {
        Ok(self.0.contains(&key).then(|| key.to_owned()))
    }
}
