//! Pickles of protocol 2, which Python reads since version 2.3.

use serde_json::{Number, Value};
use std::io::{self, Write};

/// A list being written as a pickle of protocol 2, item by item.
#[derive(Debug)]
pub(in crate::interchange) struct ListWriter<W: Write> {
    out: W,
}

impl<W: Write> ListWriter<W> {
    /// Starts the list.
    pub(in crate::interchange) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(b"\x80\x02]")?;
        Ok(Self { out })
    }

    /// Adds an item.
    pub(in crate::interchange) fn push(&mut self, item: &Value) -> io::Result<()> {
        write(item, &mut self.out)?;
        self.out.write_all(b"a")
    }

    /// Ends the list.
    pub(in crate::interchange) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(b".")?;
        Ok(self.out)
    }
}

/// Writes the instructions that put `value` on the stack; recursion is as deep as the value, which JSON limits.
fn write(value: &Value, out: &mut impl Write) -> io::Result<()> {
    match value {
        Value::Null => out.write_all(b"N"),
        Value::Bool(value) => out.write_all(if *value { b"\x88" } else { b"\x89" }),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.write_all(b"](")?;
            items.iter().try_for_each(|item| write(item, out))?;
            out.write_all(b"e")
        }
        Value::Object(map) => {
            out.write_all(b"}(")?;
            for (key, value) in map {
                write_text(key, out)?;
                write(value, out)?;
            }
            out.write_all(b"u")
        }
    }
}

fn write_number(number: &Number, out: &mut impl Write) -> io::Result<()> {
    if let Some(number) = number.as_i64() {
        if let Ok(number) = i32::try_from(number) {
            out.write_all(b"J")?;
            return out.write_all(&number.to_le_bytes());
        }
        out.write_all(b"\x8a\x08")?;
        return out.write_all(&number.to_le_bytes());
    }
    if let Some(number) = number.as_u64() {
        // One more byte, so that the highest bit is no sign.
        out.write_all(b"\x8a\x09")?;
        out.write_all(&number.to_le_bytes())?;
        return out.write_all(&[0]);
    }
    out.write_all(b"G")?;
    out.write_all(&number.as_f64().unwrap_or(f64::NAN).to_be_bytes())
}

fn write_text(text: &str, out: &mut impl Write) -> io::Result<()> {
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    out.write_all(b"X")?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(text.as_bytes())
}
