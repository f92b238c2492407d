//! How weights are held in memory.

use super::layout::Use;
use std::fmt;
use std::str::FromStr;

/// Values that share a scale in both quantized forms.
pub(super) const BLOCK: usize = 32;
/// Values that share the scale of the scales in Q4_K.
pub(super) const SUPER_BLOCK: usize = 256;

/// How the weights of a language model are held: exact, rounded, or quantized when loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits: exact, and the most memory.
    F32,
    /// 16 bits with the range of f32, as published models are stored.
    #[default]
    Bf16,
    /// 16 bits with more digits and less range.
    F16,
    /// 8.5 bits: nearly as good, half the memory of 16 bits.
    Q8_0,
    /// About 4.75 bits: for models that do not fit otherwise.
    Q4K,
}

impl Precision {
    /// All of them, with the names that users write.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::F32, "f32"),
        (Self::Bf16, "bf16"),
        (Self::F16, "f16"),
        (Self::Q8_0, "q8_0"),
        (Self::Q4K, "q4_k"),
    ];

    /// The name that users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(precision, _)| *precision == self)
            .map_or("", |(_, name)| name)
    }

    pub(super) const fn is_quantized(self) -> bool {
        matches!(self, Self::Q8_0 | Self::Q4K)
    }

    /// How a matrix of `columns` inputs is held when this was asked for.
    ///
    /// The vision tower reads fine detail and is small, so it stays in 16 bits, as does a table that is only looked up;
    /// the output layer decides every word and never has less than 8 bits. Rows that do not fill whole blocks cannot be
    /// quantized so far.
    pub(super) const fn of(self, used: Use, columns: usize) -> Self {
        match (self, used) {
            (Self::F32 | Self::Bf16 | Self::F16, _) => self,
            (_, Use::VisionMatrix | Use::Embedding | Use::Small) => Self::Bf16,
            (Self::Q4K, Use::TextMatrix) if columns.is_multiple_of(SUPER_BLOCK) => Self::Q4K,
            _ if columns.is_multiple_of(BLOCK) => Self::Q8_0,
            _ => Self::Bf16,
        }
    }

    /// Bytes of `values` values.
    pub(super) const fn bytes(self, values: u64) -> u64 {
        match self {
            Self::F32 => 4 * values,
            Self::Bf16 | Self::F16 => 2 * values,
            Self::Q8_0 => values / 32 * 34,
            Self::Q4K => values / 32 * 19,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        Self::NAMES
            .iter()
            .find(|(_, name)| *name == lower)
            .map(|(precision, _)| *precision)
            .ok_or_else(|| format!("unknown precision {text:?}; give f32, bf16, f16, q8_0 or q4_k"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (precision, name) in Precision::NAMES {
            assert_eq!(name.parse(), Ok(precision));
            assert_eq!(precision.to_string(), name);
        }
        assert!("q5".parse::<Precision>().is_err());
    }
}
