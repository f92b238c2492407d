//! Python pickles of plain data, both ways, so that nobody needs Python for RefCOCO; nothing in one is ever run.
//!
//! A pickle is a program for a small stack machine, whose instructions may call any Python function. Here only those
//! are carried out that put plain data together; whatever would look up or call something is refused. All memory is
//! bounded by the length of the stream: an instruction of one byte makes at most one value, and shared values, which
//! could unfold without end, are unfolded within a budget.

mod writer;

pub(super) use self::writer::ListWriter;

use serde_json::{Map, Number, Value};
use std::collections::HashMap;

/// Depth to which lists and dictionaries may lie in each other; one that holds itself is deeper than any.
const MAX_DEPTH: u32 = 64;

/// Bytes of unfolded values for each byte of the stream, besides [`UNFOLDED_ANYWAY`].
const UNFOLDED_PER_BYTE: usize = 64;

/// Bytes of unfolded values that any stream may have.
const UNFOLDED_ANYWAY: usize = 1 << 20;

/// What an unfolded value costs besides its text.
const VALUE_BYTES: usize = 16;

/// Why a pickle was not read; the end of a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PickleError {
    #[error("the pickle ends too early")]
    UnexpectedEnd,
    #[error(
        "byte {position} would look up or call something in Python, and only plain data is read; in Python, turn it into lists, dictionaries, texts and numbers and save it again"
    )]
    Call { position: usize },
    #[error("byte {position} is the instruction 0x{opcode:02x}, which is not known or not for plain data")]
    UnknownOpcode { opcode: u8, position: usize },
    #[error("the pickle protocol {0} is not known; save it with protocol 5 or lower")]
    UnknownProtocol(u8),
    #[error("the instruction at byte {position} needs a value that is not there or of another kind")]
    Stack { position: usize },
    #[error("what is written at byte {position} is not {expected}")]
    Malformed { expected: &'static str, position: usize },
    #[error("its values lie in each other more than {MAX_DEPTH} deep, or without end")]
    TooDeep,
    #[error("its values unfold to far more than its bytes can mean")]
    TooLarge,
    #[error("a dictionary has a key that is no text")]
    Key,
}

/// Reads a pickle of protocol 0 to 5.
///
/// Tuples become lists, and bytes the text that they are in UTF-8, since Python 2 did not tell them apart.
pub(super) fn read(bytes: &[u8]) -> Result<Value, PickleError> {
    let mut machine = Machine {
        bytes,
        position: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let root = machine.run()?;
    let mut budget = bytes
        .len()
        .saturating_mul(UNFOLDED_PER_BYTE)
        .saturating_add(UNFOLDED_ANYWAY);
    machine.unfold(root, 0, &mut budget)
}

/// Index of a value of the machine.
type Id = usize;

/// A value that may be shared.
#[derive(Debug)]
enum Node {
    /// Anything that holds no other value.
    Leaf(Value),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<[Id; 2]>),
}

struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    values: Vec<Node>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, PickleError> {
        loop {
            match self.byte()? {
                b'.' => return self.pop(),
                opcode => self.execute(opcode)?,
            }
        }
    }

    fn execute(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            // Framing.
            0x80 => match self.byte()? {
                0..=5 => {}
                protocol => return Err(PickleError::UnknownProtocol(protocol)),
            },
            0x95 => {
                self.take(8)?;
            }
            // The stack and the memo.
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => {
                self.pop_to_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'p' | b'q' | b'r' | 0x94 => {
                let (index, top) = (self.memo_index(opcode)?, self.top()?);
                self.memo.insert(index, top);
            }
            b'g' | b'h' | b'j' => {
                let index = self.memo_index(opcode)?;
                let value = self.memo.get(&index).copied().ok_or(self.bad_stack())?;
                self.stack.push(value);
            }
            // Values without others in them.
            b'N' => self.push_leaf(Value::Null),
            0x88 => self.push_leaf(true.into()),
            0x89 => self.push_leaf(false.into()),
            b'K' => {
                let number = self.byte()?;
                self.push_leaf(number.into());
            }
            b'M' => {
                let number = u16::from_le_bytes(self.array()?);
                self.push_leaf(number.into());
            }
            b'J' => {
                let number = i32::from_le_bytes(self.array()?);
                self.push_leaf(number.into());
            }
            b'I' | b'L' => {
                let number = self.decimal()?;
                self.push_leaf(number);
            }
            0x8a | 0x8b => {
                let number = self.long(opcode)?;
                self.push_leaf(number);
            }
            b'F' => {
                let line = self.line()?;
                let number = std::str::from_utf8(line)
                    .ok()
                    .and_then(|line| line.trim().parse().ok());
                let number = number.ok_or(self.malformed("a number"))?;
                self.push_leaf(float(number));
            }
            b'G' => {
                let number = f64::from_be_bytes(self.array()?);
                self.push_leaf(float(number));
            }
            b'S' => {
                let line = self.line()?;
                let text = quoted(line).ok_or(self.malformed("a quoted text"))?;
                self.push_text(text)?;
            }
            b'V' => {
                let text = raw_unicode(self.line()?).ok_or(self.malformed("a text"))?;
                self.push_leaf(text.into());
            }
            b'T' | b'U' | b'X' | b'B' | b'C' | 0x8c..=0x8e | 0x96 => {
                let length = self.length(opcode)?;
                let text = self.take(length)?.to_vec();
                self.push_text(text)?;
            }
            // Values with others in them.
            b')' => self.push(Node::Tuple(Vec::new())),
            0x85..=0x87 => {
                let length = usize::from(opcode - 0x84);
                let floor = self.marks.last().copied().unwrap_or(0);
                let start = self
                    .stack
                    .len()
                    .checked_sub(length)
                    .filter(|&start| start >= floor);
                let items = self.stack.split_off(start.ok_or(self.bad_stack())?);
                self.push(Node::Tuple(items));
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Node::Tuple(items));
            }
            b']' => self.push(Node::List(Vec::new())),
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Node::List(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend_list(items)?;
            }
            b'}' => self.push(Node::Dict(Vec::new())),
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Node::Dict(Vec::new()));
                self.extend_dict(&items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.extend_dict(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.extend_dict(&items)?;
            }
            // GLOBAL, INST, OBJ, REDUCE, BUILD, persistent ids, NEWOBJ, extensions, NEWOBJ_EX, STACK_GLOBAL.
            b'c' | b'i' | b'o' | b'R' | b'b' | b'P' | b'Q' | 0x81..=0x84 | 0x92 | 0x93 => {
                return Err(PickleError::Call {
                    position: self.position.saturating_sub(1),
                });
            }
            _ => {
                return Err(PickleError::UnknownOpcode {
                    opcode,
                    position: self.position.saturating_sub(1),
                });
            }
        }
        Ok(())
    }

    // Reading.

    fn take(&mut self, length: usize) -> Result<&[u8], PickleError> {
        let end = self
            .position
            .checked_add(length)
            .ok_or(PickleError::UnexpectedEnd)?;
        let taken = self
            .bytes
            .get(self.position..end)
            .ok_or(PickleError::UnexpectedEnd)?;
        self.position = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let taken = self.take(N)?.first_chunk().copied();
        taken.ok_or(PickleError::UnexpectedEnd)
    }

    fn byte(&mut self) -> Result<u8, PickleError> {
        self.array().map(|[byte]| byte)
    }

    /// Up to the next line feed, which is left out.
    fn line(&mut self) -> Result<&[u8], PickleError> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(PickleError::UnexpectedEnd)?;
        let line = self.take(length + 1)?;
        Ok(line.get(..length).unwrap_or_default())
    }

    /// The length in front of a text, as wide as the instruction has it.
    fn length(&mut self, opcode: u8) -> Result<usize, PickleError> {
        let length = match opcode {
            b'U' | b'C' | 0x8a | 0x8c => u64::from(self.byte()?),
            b'T' | b'X' | b'B' | 0x8b => u64::from(u32::from_le_bytes(self.array()?)),
            _ => u64::from_le_bytes(self.array()?),
        };
        usize::try_from(length).ok().ok_or(PickleError::UnexpectedEnd)
    }

    /// The memo's index; MEMOIZE means the next one.
    fn memo_index(&mut self, opcode: u8) -> Result<u64, PickleError> {
        match opcode {
            b'p' | b'g' => {
                let number = self.decimal()?.as_u64();
                number.ok_or(self.malformed("an index"))
            }
            b'q' | b'h' => self.byte().map(u64::from),
            b'r' | b'j' => self.array().map(|bytes| u64::from(u32::from_le_bytes(bytes))),
            _ => Ok(self.memo.len() as u64),
        }
    }

    /// A line with a whole number; Python 2 ended long ones with `L` and wrote booleans as `00` and `01`.
    fn decimal(&mut self) -> Result<Value, PickleError> {
        let line = std::str::from_utf8(self.line()?).unwrap_or_default().trim();
        let value = match line {
            "00" => Some(Value::Bool(false)),
            "01" => Some(Value::Bool(true)),
            _ => {
                let digits = line.strip_suffix('L').unwrap_or(line);
                digits
                    .parse::<i64>()
                    .map(Value::from)
                    .or_else(|_| digits.parse::<u64>().map(Value::from))
                    .ok()
            }
        };
        value.ok_or(self.malformed("a whole number of 64 bits"))
    }

    /// A little-endian whole number in two's complement.
    fn long(&mut self, opcode: u8) -> Result<Value, PickleError> {
        let length = self.length(opcode)?;
        let digits = self.take(length)?;
        let is_negative = digits.last().is_some_and(|&top| top >= 0x80);
        let fill = if is_negative { 0xff } else { 0 };
        let mut wide = [fill; 16];
        let (low, high) = digits.split_at(digits.len().min(wide.len()));
        for (wide, &digit) in wide.iter_mut().zip(low) {
            *wide = digit;
        }
        let number = i128::from_le_bytes(wide);
        let value = i64::try_from(number)
            .map(Value::from)
            .or_else(|_| u64::try_from(number).map(Value::from));
        let fits = high.iter().all(|&digit| digit == fill);
        value
            .ok()
            .filter(|_| fits)
            .ok_or(self.malformed("a whole number of 64 bits"))
    }

    // The stack.

    const fn bad_stack(&self) -> PickleError {
        PickleError::Stack {
            position: self.position,
        }
    }

    const fn malformed(&self, expected: &'static str) -> PickleError {
        PickleError::Malformed {
            expected,
            position: self.position,
        }
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.values.len());
        self.values.push(node);
    }

    fn push_leaf(&mut self, value: Value) {
        self.push(Node::Leaf(value));
    }

    fn push_text(&mut self, bytes: Vec<u8>) -> Result<(), PickleError> {
        let text = String::from_utf8(bytes)
            .ok()
            .ok_or(self.malformed("a text in UTF-8"))?;
        self.push_leaf(text.into());
        Ok(())
    }

    fn top(&self) -> Result<Id, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.last().filter(|_| self.stack.len() > floor);
        top.copied().ok_or(self.bad_stack())
    }

    fn pop(&mut self) -> Result<Id, PickleError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, PickleError> {
        let height = self.marks.pop().filter(|&height| height <= self.stack.len());
        Ok(self.stack.split_off(height.ok_or(self.bad_stack())?))
    }

    fn extend_list(&mut self, items: Vec<Id>) -> Result<(), PickleError> {
        let (top, error) = (self.top()?, self.bad_stack());
        match self.values.get_mut(top) {
            Some(Node::List(list)) => list.extend(items),
            _ => return Err(error),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Result<(), PickleError> {
        let (top, error) = (self.top()?, self.bad_stack());
        match (self.values.get_mut(top), items.as_chunks::<2>()) {
            (Some(Node::Dict(entries)), (pairs, [])) => entries.extend(pairs),
            _ => return Err(error),
        }
        Ok(())
    }

    /// The value with all that it holds.
    fn unfold(&self, id: Id, depth: u32, budget: &mut usize) -> Result<Value, PickleError> {
        let mut pay = |bytes: usize| match budget.checked_sub(bytes) {
            Some(left) => {
                *budget = left;
                Ok(())
            }
            None => Err(PickleError::TooLarge),
        };
        if depth > MAX_DEPTH {
            return Err(PickleError::TooDeep);
        }
        pay(VALUE_BYTES)?;
        match self.values.get(id) {
            Some(Node::Leaf(value)) => {
                pay(value.as_str().map_or(0, str::len))?;
                Ok(value.clone())
            }
            Some(Node::Tuple(items) | Node::List(items)) => items
                .iter()
                .map(|&item| self.unfold(item, depth + 1, budget))
                .collect(),
            Some(Node::Dict(entries)) => {
                let mut map = Map::new();
                for &[key, value] in entries {
                    let Value::String(key) = self.unfold(key, depth + 1, budget)? else {
                        return Err(PickleError::Key);
                    };
                    map.insert(key, self.unfold(value, depth + 1, budget)?);
                }
                Ok(Value::Object(map))
            }
            None => Err(PickleError::UnexpectedEnd),
        }
    }
}

/// A number as JSON has it, which knows no infinity.
fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// The bytes of a text as Python 2 displays it, in quotes and with escapes.
fn quoted(line: &[u8]) -> Option<Vec<u8>> {
    let (&quote, rest) = line.trim_ascii().split_first()?;
    let (&last, inside) = rest.split_last()?;
    if quote != last || !matches!(quote, b'\'' | b'"') {
        return None;
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (&escape, after) = rest.split_first()?;
        rest = after;
        bytes.push(match escape {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'\\' | b'\'' | b'"' => escape,
            b'x' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                u8::try_from(hexadecimal(digits)?).ok()?
            }
            _ => return None,
        });
    }
    Some(bytes)
}

/// A text of Latin-1 characters and `\u` escapes.
fn raw_unicode(line: &[u8]) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = match (byte, rest.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                units.push(u16::from(byte));
                continue;
            }
        };
        let number = hexadecimal(rest.get(1..=digits)?)?;
        rest = rest.get(digits + 1..)?;
        match u16::try_from(number) {
            Ok(unit) => units.push(unit),
            Err(_) => units.extend(char::from_u32(number)?.encode_utf16(&mut [0; 2]).iter()),
        }
    }
    String::from_utf16(&units).ok()
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok()?;
    u32::from_str_radix(text, 16)
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
