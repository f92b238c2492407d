//! A pickle reader that runs nothing: the stream becomes a graph of plain values, calls included.
//!
//! Pickle is a small stack language whose `REDUCE`, `NEWOBJ` and `BUILD` ask the reader to call Python functions.
//! Here a call is only recorded ([`Value::Call`]); what the few calls of a torch checkpoint mean is decided
//! in [`super::torch`]. Values live in one arena and refer to each other by index, so that shared values stay shared,
//! cycles are harmless, nothing is ever visited recursively, and memory is bounded by the length of the stream.

use std::collections::HashMap;
use std::ops::Range;

/// Most values a stream may push; a checkpoint needs about 40 per tensor.
const MAX_PUSHES: usize = 2 << 20;
/// Longer names and keys read as no text at all, so that one long text recalled a million times costs nothing.
const MAX_TEXT_BYTES: u32 = 1024;

/// Index of a value in its [`Pickle`].
pub(super) type Id = u32;

/// A Python value as far as it matters for weights.
#[derive(Debug)]
pub(super) enum Value {
    /// Anything whose content is never needed: None, booleans, floats, bytes, sets, huge integers.
    Opaque,
    Int(i64),
    /// UTF-8 text, as a range of the stream.
    Text(Range<u32>),
    Tuple(Box<[Id]>),
    List(Vec<Id>),
    /// Dictionaries of all kinds, in order of insertion; a later entry replaces an earlier one of the same key.
    Dict(Vec<(Id, Id)>),
    /// A function or class named in the stream.
    Global {
        module: Range<u32>,
        name: Range<u32>,
    },
    /// A reference to something outside of the stream, such as a tensor's storage.
    Persistent(Id),
    /// What calling `function` with `arguments` would give.
    Call {
        function: Id,
        arguments: Id,
    },
}

/// Why a stream cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PickleError {
    #[error("the pickle ends too early")]
    UnexpectedEnd,
    #[error("the pickle holds the unknown instruction 0x{opcode:02x} at byte {position}")]
    UnknownOpcode { opcode: u8, position: usize },
    #[error("the pickle takes a value that is not there, at byte {position}")]
    StackUnderflow { position: usize },
    #[error("the pickle protocol {0} is not known")]
    UnknownProtocol(u8),
    #[error("the pickle holds too many values")]
    TooLarge,
}

/// A parsed stream: an arena of values, of which one is the root.
#[derive(Debug)]
pub(super) struct Pickle {
    bytes: Vec<u8>,
    values: Vec<Value>,
    root: Id,
}

impl Pickle {
    /// Reads protocols 2 to 5 (and what older ones share with them).
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, PickleError> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(PickleError::TooLarge);
        }
        let mut machine = Machine::new(&bytes);
        let root = machine.run()?;
        let values = machine.values;
        Ok(Self { bytes, values, root })
    }

    pub(super) const fn root(&self) -> Id {
        self.root
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    pub(super) fn value(&self, id: Id) -> &Value {
        self.values.get(id as usize).unwrap_or(&Value::Opaque)
    }

    /// The text of a [`Value::Text`] that is short and valid UTF-8.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(range) => text_at(&self.bytes, range),
            _ => None,
        }
    }

    pub(super) fn int(&self, id: Id) -> Option<i64> {
        match self.value(id) {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The items of a list or tuple.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Tuple(items) => Some(items),
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.value(id) {
            Value::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// Module and name of a [`Value::Global`].
    pub(super) fn global(&self, id: Id) -> Option<(&str, &str)> {
        global(&self.bytes, self.value(id))
    }
}

fn text_at<'a>(bytes: &'a [u8], range: &Range<u32>) -> Option<&'a str> {
    if range.end - range.start > MAX_TEXT_BYTES {
        return None;
    }
    std::str::from_utf8(bytes.get(range.start as usize..range.end as usize)?).ok()
}

fn global<'a>(bytes: &'a [u8], value: &Value) -> Option<(&'a str, &'a str)> {
    match value {
        Value::Global { module, name } => Some((text_at(bytes, module)?, text_at(bytes, name)?)),
        _ => None,
    }
}

/// Id of the one value that stands for everything opaque.
const OPAQUE: Id = 0;

struct Machine<'a> {
    bytes: &'a [u8],
    position: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Stack heights where an open `MARK` stands.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    pushes: usize,
}

type Step<T = ()> = Result<T, PickleError>;

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            values: vec![Value::Opaque],
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            pushes: 0,
        }
    }

    fn run(&mut self) -> Step<Id> {
        loop {
            match self.byte()? {
                b'.' => return self.pop(),
                opcode => self.execute(opcode)?,
            }
        }
    }

    fn execute(&mut self, opcode: u8) -> Step {
        match opcode {
            // The stack.
            b'(' => {
                self.charge(1)?;
                self.marks.push(self.stack.len());
            }
            b'0' if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
            }
            b'0' => {
                self.pop()?;
            }
            b'1' => {
                self.pop_to_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.push_id(top)?;
            }
            // The memo.
            b'q' | b'r' | 0x94 => {
                let index = self.memo_index(opcode)?;
                self.memoize(index)?;
            }
            b'h' | b'j' => {
                let index = self.memo_index(opcode)?;
                self.recall(index)?;
            }
            // Scalars.
            b'K' => {
                let value = i64::from(self.byte()?);
                self.push(Value::Int(value))?;
            }
            b'M' => {
                let value = i64::from(u16::from_le_bytes(self.array()?));
                self.push(Value::Int(value))?;
            }
            b'J' => {
                let value = i64::from(i32::from_le_bytes(self.array()?));
                self.push(Value::Int(value))?;
            }
            0x8a | 0x8b => {
                let len = self.len(opcode)?;
                self.push_long(len)?;
            }
            b'U' | b'T' | b'X' | 0x8c | 0x8d => {
                let len = self.len(opcode)?;
                let range = self.take(len)?;
                self.push(Value::Text(range))?;
            }
            b'C' | b'B' | 0x8e | 0x96 => {
                let len = self.len(opcode)?;
                self.push_opaque(len)?;
            }
            b'N' | 0x88 | 0x89 => self.push_opaque(0)?,
            b'G' => self.push_opaque(8)?,
            // Collections.
            b')' => self.push_tuple(0)?,
            0x85 => self.push_tuple(1)?,
            0x86 => self.push_tuple(2)?,
            0x87 => self.push_tuple(3)?,
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items.into()))?;
            }
            b']' => self.push(Value::List(Vec::new()))?,
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend_list(&[item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend_list(&items)?;
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'd' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Dict(Vec::new()))?;
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
            0x8f => self.push_opaque(0)?,
            0x90 => {
                self.pop_to_mark()?;
            }
            0x91 => {
                self.pop_to_mark()?;
                self.push_opaque(0)?;
            }
            // Objects: recorded, never made.
            b'c' => {
                let module = self.line()?;
                let name = self.line()?;
                self.push(Value::Global { module, name })?;
            }
            0x93 => {
                let name = self.pop()?;
                let module = self.pop()?;
                let global = match (self.get(module), self.get(name)) {
                    (Value::Text(module), Value::Text(name)) => Value::Global {
                        module: module.clone(),
                        name: name.clone(),
                    },
                    _ => Value::Opaque,
                };
                self.push(global)?;
            }
            b'R' | 0x81 | 0x92 => {
                if opcode == 0x92 {
                    self.pop()?;
                }
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.push_call(function, arguments)?;
            }
            b'b' => {
                // Attributes, such as the `_metadata` of a state dict, carry no weights.
                self.pop()?;
                self.top()?;
            }
            b'Q' => {
                let reference = self.pop()?;
                self.push(Value::Persistent(reference))?;
            }
            0x82 => self.push_opaque(1)?,
            0x83 => self.push_opaque(2)?,
            0x84 => self.push_opaque(4)?,
            // Framing.
            0x80 => {
                let protocol = self.byte()?;
                if protocol > 5 {
                    return Err(PickleError::UnknownProtocol(protocol));
                }
            }
            0x95 => {
                self.take(8)?;
            }
            _ => {
                return Err(PickleError::UnknownOpcode {
                    opcode,
                    position: self.position - 1,
                });
            }
        }
        Ok(())
    }

    // Reading.

    fn take(&mut self, len: usize) -> Step<Range<u32>> {
        let end = self
            .position
            .checked_add(len)
            .filter(|&end| end <= self.bytes.len());
        let end = end.ok_or(PickleError::UnexpectedEnd)?;
        let range = self.position..end;
        self.position = end;
        // Cannot fail: `Pickle::parse` refuses streams whose positions do not fit.
        let narrow = |position| u32::try_from(position).map_err(|_error| PickleError::TooLarge);
        Ok(narrow(range.start)?..narrow(range.end)?)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let array = self
            .bytes
            .get(self.position..)
            .and_then(|rest| rest.first_chunk::<N>());
        let array = array.ok_or(PickleError::UnexpectedEnd)?;
        self.position += N;
        Ok(*array)
    }

    fn byte(&mut self) -> Step<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Step<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The length in front of text, bytes or a long integer; how wide it is depends on the instruction.
    fn len(&mut self, opcode: u8) -> Step<usize> {
        let len = match opcode {
            b'U' | b'C' | 0x8a | 0x8c => u64::from(self.byte()?),
            b'T' | b'X' | b'B' | 0x8b => u64::from(self.u32()?),
            _ => u64::from_le_bytes(self.array()?),
        };
        usize::try_from(len).map_err(|_error| PickleError::UnexpectedEnd)
    }

    /// The memo index of an instruction; `MEMOIZE` (0x94) means the next one.
    fn memo_index(&mut self, opcode: u8) -> Step<u32> {
        match opcode {
            b'q' | b'h' => self.byte().map(u32::from),
            b'r' | b'j' => self.u32(),
            _ => u32::try_from(self.memo.len()).map_err(|_error| PickleError::TooLarge),
        }
    }

    fn line(&mut self) -> Step<Range<u32>> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let len = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(PickleError::UnexpectedEnd)?;
        let line = self.take(len)?;
        self.take(1)?;
        Ok(line)
    }

    // The stack.

    const fn underflow(&self) -> PickleError {
        PickleError::StackUnderflow {
            position: self.position,
        }
    }

    /// Counts work that costs memory, so that no stream costs more than a fixed amount.
    fn charge(&mut self, count: usize) -> Step {
        self.pushes = self.pushes.saturating_add(count);
        if self.pushes > MAX_PUSHES {
            Err(PickleError::TooLarge)
        } else {
            Ok(())
        }
    }

    fn push_id(&mut self, id: Id) -> Step {
        self.charge(1)?;
        self.stack.push(id);
        Ok(())
    }

    fn push(&mut self, value: Value) -> Step {
        let id = Id::try_from(self.values.len()).map_err(|_error| PickleError::TooLarge)?;
        self.values.push(value);
        self.push_id(id)
    }

    fn push_opaque(&mut self, len: usize) -> Step {
        self.take(len)?;
        self.push_id(OPAQUE)
    }

    /// A little-endian two's complement integer; those wider than 64 bits become opaque.
    fn push_long(&mut self, len: usize) -> Step {
        let range = self.take(len)?;
        let digits = self
            .bytes
            .get(range.start as usize..range.end as usize)
            .unwrap_or_default();
        if digits.len() > 8 {
            return self.push_opaque(0);
        }
        let negative = digits.last().is_some_and(|&top| top >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        for (wide, digit) in wide.iter_mut().zip(digits) {
            *wide = *digit;
        }
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }

    fn push_tuple(&mut self, len: usize) -> Step {
        let start = self
            .stack
            .len()
            .checked_sub(len)
            .filter(|&start| start >= self.floor());
        let items = self.stack.split_off(start.ok_or_else(|| self.underflow())?);
        self.push(Value::Tuple(items.into()))
    }

    /// An ordered dictionary is made by a call, yet filled like any other, so it becomes a dictionary at once.
    fn push_call(&mut self, function: Id, arguments: Id) -> Step {
        match global(self.bytes, self.get(function)) {
            Some(("collections", "OrderedDict")) => {
                let entries = self.entries_in(arguments);
                self.charge(entries.len())?;
                self.push(Value::Dict(entries))
            }
            Some(("collections", "defaultdict")) => self.push(Value::Dict(Vec::new())),
            _ => self.push(Value::Call { function, arguments }),
        }
    }

    /// The entries of `OrderedDict([[key, value], …])`; usually there are none.
    fn entries_in(&self, arguments: Id) -> Vec<(Id, Id)> {
        let items = |id: Id| match self.get(id) {
            Value::Tuple(items) => &**items,
            Value::List(items) => items.as_slice(),
            _ => &[],
        };
        let pairs = items(arguments).first().map_or(&[][..], |&list| items(list));
        pairs
            .iter()
            .filter_map(|&pair| <&[Id; 2]>::try_from(items(pair)).ok())
            .map(|&[k, v]| (k, v))
            .collect()
    }

    fn get(&self, id: Id) -> &Value {
        self.values.get(id as usize).unwrap_or(&Value::Opaque)
    }

    /// Height below which the open mark protects the stack.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Step<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Step<Id> {
        let above_mark = self.stack.get(self.floor()..).unwrap_or_default();
        above_mark.last().copied().ok_or_else(|| self.underflow())
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| self.underflow())?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn extend_list(&mut self, items: &[Id]) -> Step {
        let list = self.top()?;
        if let Some(Value::List(list)) = self.values.get_mut(list as usize) {
            list.extend_from_slice(items);
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: &[Id]) -> Step {
        let dict = self.top()?;
        if let Some(Value::Dict(entries)) = self.values.get_mut(dict as usize) {
            let (pairs, _) = items.as_chunks::<2>();
            entries.extend(pairs.iter().map(|&[key, value]| (key, value)));
        }
        Ok(())
    }

    // The memo.

    fn memoize(&mut self, index: u32) -> Step {
        self.charge(1)?;
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Step {
        let id = self.memo.get(&index).copied().ok_or_else(|| self.underflow())?;
        self.push_id(id)
    }
}
