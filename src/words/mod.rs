//! Mask words: the text form of a mask's codes, found, repaired and written in any text a model or a person wrote.
//!
//! One mask of the published tokenizer reads `<|mt_start|><|mt_0023|><|mt_0311|><|mt_end|>`: a start word, one
//! word per codebook depth (`number = depth * codebook_size + code`), an end word, nothing between them.
//! Language models do not always write it that way, and reading their answers wrongly is silent: two
//! half-written masks make one plausible wrong mask. So the parser here works mask by mask, never on a flat
//! list of numbers, and says what it mended.
//!
//! # Rules
//! - A start word opens exactly one mask. The mask runs to its end word, the next start word, or the first
//!   character that is neither a mask word nor a separator (space, tab, newline, comma). A gap of more than
//!   64 separators also ends it.
//! - Of more words than the codebook has depths, the first ones count. Each word goes to the depth its number
//!   names, so swapped words are put in order; when a depth is named twice the first word counts, and when
//!   words are both swapped and repeated or too many the mask is refused as ambiguous.
//! - A depth without a usable word has no code ([`MaskCodes`] holds `None`; decoding skips the depth). Numbers
//!   outside the codebook, the published fillers 9999 and -1, and unreadable words count as no code.
//! - Without a usable word of the first depth, or when the first word's number is outside the codebook, there
//!   is no mask: refused.
//! - Words without a start word are a mask only if they are complete and in order of depth.
//! - Where the text ends within a word, the mask keeps what came before; the fragment is left out.
//!
//! Everything is one forward pass with a state of a few words, so time is linear in the text and
//! [`StreamParser`] finds in any sequence of chunks exactly what [`parse`] finds in the whole.

mod codes;
mod format;
mod group;
mod lexer;
mod list;
mod problem;
mod scanner;
mod stream;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use codes::MaskCodes;
pub use format::{END_WORD, START_WORD, WordFormat, WordsError};
pub use list::{ListedMask, NO_TARGET, is_no_target, parse_mask_list, write_mask_list};
pub use problem::{Problem, Refused, Repair};
pub use stream::{StreamEvent, StreamParser};

use scanner::{Piece, Scanner};

/// One mask found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMask {
    /// Bytes of the text that spell the mask, start and end words included.
    pub range: Range<usize>,
    /// The mask's codes.
    pub codes: MaskCodes,
    /// What was mended, in order of position; empty for a mask written as it should be.
    pub problems: Vec<Repair>,
}

/// All mask words of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The masks, in order of position; ranges do not overlap.
    pub found: Vec<FoundMask>,
    /// Mask words that make no mask, in order of position; ranges overlap neither each other nor a mask.
    pub refused: Vec<Refused>,
}

impl Parsed {
    /// Whether the text holds no mask word at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.refused.is_empty()
    }
}

/// Finds every mask in `text`, mending what can be mended without guessing; see the rules of [this module](self).
///
/// Takes any text, in time linear in its length, and cannot fail.
#[must_use]
pub fn parse(format: WordFormat, text: &str) -> Parsed {
    let mut parsed = Parsed::default();
    let mut keep = |piece| match piece {
        Piece::Mask(mask) => parsed.found.push(mask),
        Piece::Refused(refused) => parsed.refused.push(refused),
        Piece::Text(_) => {}
    };
    let mut scanner = Scanner::new(format);
    scanner.push(text, &mut keep);
    scanner.finish(&mut keep);
    parsed
}

/// The text with every found mask rewritten as [`WordFormat::write`] writes it, and what [`parse`] found in `text`.
///
/// Everything else, refused words included, stays byte for byte. Repairing again changes nothing, and the
/// masks of the repaired text have the same codes and no problem left but [`Problem::MissingWord`], which no
/// rewriting can mend.
#[must_use]
pub fn repaired(format: WordFormat, text: &str) -> (String, Parsed) {
    let parsed = parse(format, text);
    let mut mended = String::with_capacity(text.len());
    let mut copied = 0;
    for mask in &parsed.found {
        mended.push_str(text.get(copied..mask.range.start).unwrap_or_default());
        format.write_to(&mask.codes, &mut mended);
        copied = mask.range.end;
    }
    mended.push_str(text.get(copied..).unwrap_or_default());
    (mended, parsed)
}
