//! How codes are spelled as words: the sizes that give every word its number, and the writer.

use std::iter;

use super::MaskCodes;

/// The word that opens a mask.
pub const START_WORD: &str = "<|mt_start|>";
/// The word that closes a mask.
pub const END_WORD: &str = "<|mt_end|>";

/// What every word begins with.
pub(super) const WORD_PREFIX: &str = "<|mt_";
/// The most digits a word number may have.
pub(super) const MAX_DIGITS: u32 = 8;
/// Words are written with at least this many digits.
const MIN_DIGITS: u32 = 4;
/// One past the largest number that [`MAX_DIGITS`] digits can spell.
const NUMBER_LIMIT: u64 = 10_u64.pow(MAX_DIGITS);
/// Deep enough for any residual quantizer in use, small enough to reserve per mask without a thought.
const MAX_DEPTH: u32 = 32;

/// Why a word format or a mask's codes were turned down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WordsError {
    /// The codebook has no entries.
    #[error("a codebook needs at least 1 code, not 0; give the number of codes per depth, such as 256")]
    EmptyCodebook,
    /// The number of codebooks is 0 or too large.
    #[error(
        "a codebook depth of {codebook_depth} is not between 1 and {MAX_DEPTH}; give the number of words per mask, such as 2"
    )]
    Depth {
        /// The depth that was asked for.
        codebook_depth: u32,
    },
    /// The words would need numbers of more digits than the parser reads.
    #[error(
        "{codebook_depth} codebooks of {codebook_size} codes need word numbers of more than {MAX_DIGITS} digits; use fewer or smaller codebooks"
    )]
    TooManyWords {
        /// Codes per depth.
        codebook_size: u32,
        /// Number of depths.
        codebook_depth: u32,
    },
    /// The number of codes is not the number of depths.
    #[error(
        "a mask has {expected} codes here, not {given}; use the codes of a model with the same codebook depth"
    )]
    CodeCount {
        /// Number of depths.
        expected: u32,
        /// Number of codes given.
        given: usize,
    },
    /// A code is not in its codebook.
    #[error("code {code} at depth {depth} is not below {codebook_size}; use the codes of a model with the same codebook size", depth = depth + 1)]
    CodeOutOfRange {
        /// The code.
        code: u32,
        /// Its depth, counted from 0.
        depth: usize,
        /// Codes per depth.
        codebook_size: u32,
    },
    /// The first code is missing.
    #[error("the first code of a mask is missing; without it there is nothing to decode")]
    FirstCodeMissing,
}

/// The sizes of a tokenizer's codebooks, which fix how its codes are spelled.
///
/// The word of `code` at `depth` (from 0) has the number `depth * codebook_size + code`, written with
/// [`digits`](Self::digits) digits: 4, or more if the largest number needs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WordFormat {
    codebook_size: u32,
    codebook_depth: u32,
}

impl WordFormat {
    /// The published tokenizer: 256 codes per depth, 2 depths, words `<|mt_0000|>` to `<|mt_0511|>`.
    pub const PUBLISHED: Self = Self {
        codebook_size: 256,
        codebook_depth: 2,
    };

    /// The format of a tokenizer with `codebook_depth` codebooks of `codebook_size` codes each.
    ///
    /// # Errors
    /// No codes, a depth that is not 1 to 32, or word numbers of more than 8 digits.
    pub fn new(codebook_size: u32, codebook_depth: u32) -> Result<Self, WordsError> {
        if codebook_size == 0 {
            return Err(WordsError::EmptyCodebook);
        }
        if codebook_depth == 0 || codebook_depth > MAX_DEPTH {
            return Err(WordsError::Depth { codebook_depth });
        }
        if u64::from(codebook_size) * u64::from(codebook_depth) > NUMBER_LIMIT {
            return Err(WordsError::TooManyWords {
                codebook_size,
                codebook_depth,
            });
        }
        Ok(Self {
            codebook_size,
            codebook_depth,
        })
    }

    /// Codes per depth.
    #[must_use]
    pub const fn codebook_size(self) -> u32 {
        self.codebook_size
    }

    /// Number of codebooks, which is the number of words between start and end.
    #[must_use]
    pub const fn codebook_depth(self) -> u32 {
        self.codebook_depth
    }

    /// Number of code words: one past the largest word number.
    #[must_use]
    pub const fn word_count(self) -> u32 {
        self.codebook_size * self.codebook_depth
    }

    /// Digits of a written word number: 4, or more if the largest number needs more.
    #[must_use]
    pub const fn digits(self) -> usize {
        let mut digits = MIN_DIGITS;
        while 10_u64.pow(digits) < self.word_count() as u64 {
            digits += 1;
        }
        digits as usize
    }

    /// The codes of a mask that has all of them.
    ///
    /// # Errors
    /// Not one code per depth, or a code outside its codebook.
    pub fn codes(self, codes: &[u32]) -> Result<MaskCodes, WordsError> {
        self.partial_codes(codes.iter().copied().map(Some).collect::<Vec<_>>())
    }

    /// The codes of a mask that may lack some, though not the first.
    ///
    /// # Errors
    /// Not one entry per depth, no first code, or a code outside its codebook.
    pub fn partial_codes(self, codes: impl Into<Vec<Option<u32>>>) -> Result<MaskCodes, WordsError> {
        let codes = codes.into();
        if codes.len() != self.codebook_depth as usize {
            return Err(WordsError::CodeCount {
                expected: self.codebook_depth,
                given: codes.len(),
            });
        }
        for (depth, code) in codes.iter().enumerate() {
            match *code {
                None if depth == 0 => return Err(WordsError::FirstCodeMissing),
                Some(code) if code >= self.codebook_size => {
                    return Err(WordsError::CodeOutOfRange {
                        code,
                        depth,
                        codebook_size: self.codebook_size,
                    });
                }
                _ => {}
            }
        }
        Ok(MaskCodes::from_checked(codes))
    }

    /// The text of one mask, such as `<|mt_start|><|mt_0023|><|mt_0311|><|mt_end|>`.
    ///
    /// A missing code's word is left out, with nothing in its place: [`parse`](super::parse) reads each word's
    /// depth from its number, so the codes come back as they were. (The published repair writes the filler
    /// `<|mt_9999|>`, which decoders then take for code 0.) Codes of another format that do not fit this one
    /// are left out too.
    #[must_use]
    pub fn write(self, codes: &MaskCodes) -> String {
        let word_length = WORD_PREFIX.len() + self.digits() + "|>".len();
        let mut text = String::with_capacity(START_WORD.len() + codes.depth() * word_length + END_WORD.len());
        self.write_to(codes, &mut text);
        text
    }

    /// Appends the text of one mask to `text`, as [`write`](Self::write) spells it.
    pub fn write_to(self, codes: &MaskCodes, text: &mut String) {
        text.push_str(START_WORD);
        for (depth, code) in (0..self.codebook_depth).zip(codes.iter()) {
            if let Some(code) = code.filter(|code| *code < self.codebook_size) {
                text.push_str(&self.word(depth * self.codebook_size + code));
            }
        }
        text.push_str(END_WORD);
    }

    /// Every word to add to a language model's vocabulary, in the published order: start, all numbers, end.
    ///
    /// 514 words for [`PUBLISHED`](Self::PUBLISHED). They are ordinary added tokens, not special ones, or
    /// decoding would drop them.
    pub fn new_tokens(self) -> impl Iterator<Item = String> {
        iter::once(START_WORD.to_owned())
            .chain((0..self.word_count()).map(move |number| self.word(number)))
            .chain(iter::once(END_WORD.to_owned()))
    }

    /// The word of a number.
    fn word(self, number: u32) -> String {
        format!("{WORD_PREFIX}{number:0digits$}|>", digits = self.digits())
    }

    /// Depth (from 0) and code of a word number; `None` if the number is outside the codebooks.
    pub(super) fn split(self, number: i64) -> Option<(usize, u32)> {
        let number = u32::try_from(number)
            .ok()
            .filter(|number| *number < self.word_count())?;
        Some((
            (number / self.codebook_size) as usize,
            number % self.codebook_size,
        ))
    }
}

impl Default for WordFormat {
    fn default() -> Self {
        Self::PUBLISHED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_words_are_spelled_as_published() -> Result<(), WordsError> {
        let format = WordFormat::PUBLISHED;
        assert_eq!(
            format.write(&format.codes(&[230, 89])?),
            "<|mt_start|><|mt_0230|><|mt_0345|><|mt_end|>"
        );
        let short = format.partial_codes([Some(7), None])?;
        assert_eq!(format.write(&short), "<|mt_start|><|mt_0007|><|mt_end|>");
        let tokens: Vec<String> = format.new_tokens().collect();
        assert_eq!(tokens.len(), 514);
        assert_eq!(tokens.first().map(String::as_str), Some("<|mt_start|>"));
        assert_eq!(tokens.get(1).map(String::as_str), Some("<|mt_0000|>"));
        assert_eq!(tokens.get(512).map(String::as_str), Some("<|mt_0511|>"));
        assert_eq!(tokens.last().map(String::as_str), Some("<|mt_end|>"));
        Ok(())
    }

    #[test]
    fn digits_grow_with_the_largest_number() -> Result<(), WordsError> {
        for (size, depth, digits) in [
            (1, 1, 4),
            (1024, 4, 4),
            (2500, 4, 4),
            (5001, 2, 5),
            (65_536, 1, 5),
            (65_536, 16, 7),
            (100_000_000, 1, 8),
        ] {
            assert_eq!(WordFormat::new(size, depth)?.digits(), digits, "{size} x {depth}");
        }
        Ok(())
    }

    #[test]
    fn impossible_sizes_and_codes_are_turned_down() {
        assert_eq!(WordFormat::new(0, 2), Err(WordsError::EmptyCodebook));
        assert_eq!(
            WordFormat::new(256, 0),
            Err(WordsError::Depth { codebook_depth: 0 })
        );
        assert_eq!(
            WordFormat::new(256, 33),
            Err(WordsError::Depth { codebook_depth: 33 })
        );
        assert!(matches!(
            WordFormat::new(u32::MAX, 32),
            Err(WordsError::TooManyWords { .. })
        ));
        let format = WordFormat::PUBLISHED;
        assert_eq!(
            format.codes(&[1]),
            Err(WordsError::CodeCount {
                expected: 2,
                given: 1
            })
        );
        assert_eq!(
            format.partial_codes([None, Some(1)]),
            Err(WordsError::FirstCodeMissing)
        );
        let error = format.codes(&[1, 256]).err();
        assert_eq!(
            error,
            Some(WordsError::CodeOutOfRange {
                code: 256,
                depth: 1,
                codebook_size: 256
            })
        );
        assert!(error.is_some_and(|error| {
            error
                .to_string()
                .starts_with("code 256 at depth 2 is not below 256")
        }));
    }

    #[test]
    fn codes_of_another_format_never_panic() -> Result<(), WordsError> {
        let large = WordFormat::new(100_000, 3)?;
        let codes = large.codes(&[7, 99_999, 5])?;
        assert_eq!(
            WordFormat::PUBLISHED.write(&codes),
            "<|mt_start|><|mt_0007|><|mt_end|>"
        );
        Ok(())
    }
}
