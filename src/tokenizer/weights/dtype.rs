//! Element types of stored tensors and their conversion to f32.

use std::fmt;

use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};

/// Element type of a stored tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Dtype {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl Dtype {
    /// All types with their name in safetensors, in PyTorch, and of PyTorch's storage class.
    const NAMES: [(Self, &'static str, &'static str, &'static str); 13] = [
        (Self::F64, "F64", "float64", "DoubleStorage"),
        (Self::F32, "F32", "float32", "FloatStorage"),
        (Self::F16, "F16", "float16", "HalfStorage"),
        (Self::BF16, "BF16", "bfloat16", "BFloat16Storage"),
        (Self::I64, "I64", "int64", "LongStorage"),
        (Self::I32, "I32", "int32", "IntStorage"),
        (Self::I16, "I16", "int16", "ShortStorage"),
        (Self::I8, "I8", "int8", "CharStorage"),
        (Self::U64, "U64", "uint64", ""),
        (Self::U32, "U32", "uint32", ""),
        (Self::U16, "U16", "uint16", ""),
        (Self::U8, "U8", "uint8", "ByteStorage"),
        (Self::Bool, "BOOL", "bool", "BoolStorage"),
    ];

    /// Bytes of one element.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    pub(super) fn from_safetensors(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    pub(super) fn from_torch(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|row| row.2 == name).map(|row| row.0)
    }

    pub(super) fn from_torch_storage(class: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|row| row.3 == class && !class.is_empty())
            .map(|row| row.0)
    }

    /// Converts little-endian elements to f32, as many as both slices hold; f64 and integers are rounded.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "rounding is the documented result"
    )]
    pub(super) fn decode(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F64 => decode_each(bytes, out, |b| f64::from_le_bytes(b) as f32),
            Self::F32 => decode_each(bytes, out, f32::from_le_bytes),
            Self::F16 => decode_half(bytes, out, f16::from_le_bytes, |from, to| {
                from.convert_to_f32_slice(to);
            }),
            Self::BF16 => decode_half(bytes, out, bf16::from_le_bytes, |from, to| {
                from.convert_to_f32_slice(to);
            }),
            Self::I64 => decode_each(bytes, out, |b| i64::from_le_bytes(b) as f32),
            Self::I32 => decode_each(bytes, out, |b| i32::from_le_bytes(b) as f32),
            Self::I16 => decode_each(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
            Self::I8 => decode_each(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
            Self::U64 => decode_each(bytes, out, |b| u64::from_le_bytes(b) as f32),
            Self::U32 => decode_each(bytes, out, |b| u32::from_le_bytes(b) as f32),
            Self::U16 => decode_each(bytes, out, |b| f32::from(u16::from_le_bytes(b))),
            Self::U8 => decode_each(bytes, out, |b: [u8; 1]| f32::from(b[0])),
            Self::Bool => decode_each(bytes, out, |b: [u8; 1]| f32::from(u8::from(b[0] != 0))),
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES
            .iter()
            .find(|row| row.0 == *self)
            .map_or("", |row| row.1);
        f.pad(name)
    }
}

fn decode_each<const N: usize>(bytes: &[u8], out: &mut [f32], value: impl Fn([u8; N]) -> f32) {
    let (elements, _) = bytes.as_chunks::<N>();
    for (out, element) in out.iter_mut().zip(elements) {
        *out = value(*element);
    }
}

/// Converts in blocks, because the processor's half-precision conversion works on slices.
fn decode_half<T: Copy + Default>(
    bytes: &[u8],
    out: &mut [f32],
    value: impl Fn([u8; 2]) -> T,
    convert: impl Fn(&[T], &mut [f32]),
) {
    const BLOCK: usize = 512;
    let mut block = [T::default(); BLOCK];
    let (elements, _) = bytes.as_chunks::<2>();
    for (out, elements) in out.chunks_mut(BLOCK).zip(elements.chunks(BLOCK)) {
        let count = out.len().min(elements.len());
        for (half, element) in block.iter_mut().zip(elements) {
            *half = value(*element);
        }
        if let (Some(from), Some(to)) = (block.get(..count), out.get_mut(..count)) {
            convert(from, to);
        }
    }
}
