//! What can be wrong with mask words, in terms a person understands: what it was and what was done about it.

use std::fmt;
use std::ops::Range;

use super::format::MAX_DIGITS;

/// Something wrong with the mask words of a text.
///
/// `Display` is one plain sentence without a final period: what it was, then what was done.
/// Depths count from 0 here and from 1 in the sentence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// Words of a complete mask without a start word.
    MissingStart,
    /// A mask without an end word.
    MissingEnd,
    /// No usable word for this depth.
    MissingWord {
        /// The depth, from 0.
        depth: usize,
    },
    /// More words than depths.
    ExtraWords {
        /// How many were left out.
        count: usize,
    },
    /// The words were not in the order of their depths.
    WrongOrder,
    /// A word after the first whose number is outside the codebooks.
    OutOfRange {
        /// The number; `i64::MAX` or `i64::MIN` for one of more than 8 digits.
        number: i64,
    },
    /// One of the published stand-ins for a missing code.
    Filler {
        /// 9999 or -1.
        number: i64,
    },
    /// A second word of a depth.
    RepeatedDepth {
        /// The depth, from 0.
        depth: usize,
    },
    /// A word after the first that begins like a mask word and goes on otherwise.
    UnreadableWord,
    /// A number written with more or fewer digits than the format has.
    DigitCount {
        /// Digits that were written.
        written: usize,
        /// Digits of the format.
        expected: usize,
    },
    /// Spaces, newlines or commas between the words of a mask.
    Separated,
    /// The text ends within a word of the mask.
    CutOff,

    /// Refused: a start word with no code words after it.
    NoWords,
    /// Refused: the first word's number is outside the codebooks.
    FirstOutOfRange {
        /// The number; `i64::MAX` or `i64::MIN` for one of more than 8 digits.
        number: i64,
    },
    /// Refused: the first word cannot be read.
    FirstUnreadable,
    /// Refused: no word of the first depth.
    NoFirstCode,
    /// Refused: the words are out of order, and repeated or too many, so there is more than one way to sort them.
    AmbiguousOrder,
    /// Refused: code words without a start word that are not one complete mask in order.
    StrayWords,
    /// Refused: an end word that closes nothing.
    StrayEnd,
    /// Refused: something outside any mask that begins like a mask word and goes on otherwise.
    StrayUnreadable,
    /// Refused: the text ends within a word before there is a usable mask.
    StrayCutOff,
}

impl Problem {
    /// A stable name for programs, such as `missing_end`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::MissingStart => "missing_start",
            Self::MissingEnd => "missing_end",
            Self::MissingWord { .. } => "missing_word",
            Self::ExtraWords { .. } => "extra_words",
            Self::WrongOrder => "wrong_order",
            Self::OutOfRange { .. } => "out_of_range",
            Self::Filler { .. } => "filler",
            Self::RepeatedDepth { .. } => "repeated_depth",
            Self::UnreadableWord => "unreadable_word",
            Self::DigitCount { .. } => "digit_count",
            Self::Separated => "separated",
            Self::CutOff => "cut_off",
            Self::NoWords => "no_words",
            Self::FirstOutOfRange { .. } => "first_out_of_range",
            Self::FirstUnreadable => "first_unreadable",
            Self::NoFirstCode => "no_first_code",
            Self::AmbiguousOrder => "ambiguous_order",
            Self::StrayWords => "stray_words",
            Self::StrayEnd => "stray_end",
            Self::StrayUnreadable => "stray_unreadable",
            Self::StrayCutOff => "stray_cut_off",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingStart => f.write_str("the start word was missing; it was added"),
            Self::MissingEnd => f.write_str("the end word was missing; it was added"),
            Self::MissingWord { depth } => {
                write!(f, "there is no word for depth {}; decoding skips that depth", depth + 1)
            }
            Self::ExtraWords { count: 1 } => f.write_str("there was 1 word too many; it was left out"),
            Self::ExtraWords { count } => write!(f, "there were {count} words too many; they were left out"),
            Self::WrongOrder => f.write_str("the words were in the wrong order; they were sorted by depth"),
            Self::OutOfRange { number } => {
                write!(f, "{} is outside the codebooks; the word was left out", Number(*number))
            }
            Self::Filler { number } => {
                write!(f, "the filler {number} stands for a missing code; it was left out")
            }
            Self::RepeatedDepth { depth } => {
                write!(f, "a second word for depth {} was left out; the first one counts", depth + 1)
            }
            Self::UnreadableWord => f.write_str("a word could not be read; it was left out"),
            Self::DigitCount { written, expected } => {
                let s = if *written == 1 { "" } else { "s" };
                write!(f, "a number had {written} digit{s} instead of {expected}; it was rewritten")
            }
            Self::Separated => {
                f.write_str("there were spaces, newlines or commas between the words; they were removed")
            }
            Self::CutOff => f.write_str("the text ends within a word; the cut-off word was left out"),
            Self::NoWords => f.write_str("a start word without code words is no mask; refused"),
            Self::FirstOutOfRange { number } => {
                write!(f, "the first word is unusable: {} is outside the codebooks; refused", Number(*number))
            }
            Self::FirstUnreadable => f.write_str("the first word could not be read; refused"),
            Self::NoFirstCode => {
                f.write_str("there is no word for depth 1, so there is nothing to decode; refused")
            }
            Self::AmbiguousOrder => f.write_str(
                "the words are in the wrong order and repeated or too many, so they cannot be sorted; refused",
            ),
            Self::StrayWords => {
                f.write_str("words without a start word that are not one complete mask in order; refused")
            }
            Self::StrayEnd => f.write_str("an end word without a mask before it; refused"),
            Self::StrayUnreadable => f.write_str("this begins like a mask word but cannot be read; refused"),
            Self::StrayCutOff => {
                f.write_str("the text ends within a word before there is a usable mask; refused")
            }
        }
    }
}

/// A word number in a sentence, which may have been too long to keep.
struct Number(i64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            i64::MIN | i64::MAX => write!(f, "a number of more than {MAX_DIGITS} digits"),
            number => write!(f, "the number {number}"),
        }
    }
}

/// One thing that was mended in a mask that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Bytes of the text concerned, within the mask's range; empty where something was missing.
    pub range: Range<usize>,
    /// What it was.
    pub problem: Problem,
}

/// Mask words that make no mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Bytes of the text concerned.
    pub range: Range<usize>,
    /// Why they make no mask.
    pub problem: Problem,
}
