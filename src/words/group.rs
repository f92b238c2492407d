//! The words of one mask being read, and the judgement of what mask they make.

use std::ops::Range;

use super::lexer::Lexeme;
use super::{FoundMask, MaskCodes, Problem, Refused, Repair, WordFormat};

/// The published stand-ins for a missing code.
const FILLERS: [i64; 2] = [9999, -1];

/// A code word of a mask; `number` is `None` if it cannot be read.
#[derive(Clone, Debug)]
struct Word {
    range: Range<usize>,
    number: Option<i64>,
    digits: usize,
}

/// The words between a start word and whatever ends the mask, or a run of words without a start word.
///
/// Keeps at most one word per depth, so that a runaway answer cannot make it grow.
#[derive(Clone, Debug)]
pub(super) struct Group {
    range: Range<usize>,
    has_start: bool,
    has_end: bool,
    words: Vec<Word>,
    extra_words: Option<(Range<usize>, usize)>,
    first_gap: Option<Range<usize>>,
    cut_off: Option<Range<usize>>,
}

impl Group {
    /// A mask that a start word at `range` opens.
    pub(super) fn opened(range: Range<usize>) -> Self {
        Self {
            range,
            has_start: true,
            has_end: false,
            words: Vec::new(),
            extra_words: None,
            first_gap: None,
            cut_off: None,
        }
    }

    /// A mask that begins at `start` with a code word.
    pub(super) fn bare(start: usize) -> Self {
        Self {
            has_start: false,
            ..Self::opened(start..start)
        }
    }

    /// Bytes from the first to the last word so far.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Whether there is a word for each depth.
    pub(super) fn is_full(&self, format: WordFormat) -> bool {
        self.words.len() == format.codebook_depth() as usize
    }

    /// Number of words kept.
    pub(super) fn word_count(&self) -> usize {
        self.words.len()
    }

    /// Adds a code word.
    pub(super) fn add(&mut self, range: Range<usize>, lexeme: Lexeme, format: WordFormat) {
        self.extend_to(&range);
        if self.is_full(format) {
            let (extra, count) = self.extra_words.get_or_insert((range.clone(), 0));
            extra.end = range.end;
            *count += 1;
            return;
        }
        let (number, digits) = match lexeme {
            Lexeme::Number { number, digits } => (Some(number), digits),
            Lexeme::Start | Lexeme::End | Lexeme::Unreadable => (None, 0),
        };
        self.words.push(Word {
            range,
            number,
            digits,
        });
    }

    /// Adds the end word.
    pub(super) fn end(&mut self, range: &Range<usize>) {
        self.extend_to(range);
        self.has_end = true;
    }

    /// Adds the fragment of a word that the text ends with.
    pub(super) fn cut_off(&mut self, range: Range<usize>) {
        self.extend_to(&range);
        self.cut_off = Some(range);
    }

    fn extend_to(&mut self, next: &Range<usize>) {
        if next.start > self.range.end && self.first_gap.is_none() {
            self.first_gap = Some(self.range.end..next.start);
        }
        self.range.end = next.end;
    }

    /// The mask these words make, or why they make none.
    pub(super) fn judge(self, format: WordFormat) -> Result<FoundMask, Refused> {
        let refuse = |problem| {
            Err(Refused {
                range: self.range.clone(),
                problem,
            })
        };
        let mut problems = Vec::new();
        let mut note = |range: &Range<usize>, problem| {
            problems.push(Repair {
                range: range.clone(),
                problem,
            })
        };

        match self.words.first() {
            None if self.cut_off.is_some() => return refuse(Problem::StrayCutOff),
            None => return refuse(Problem::NoWords),
            Some(Word { number: None, .. }) => return refuse(Problem::FirstUnreadable),
            Some(Word {
                number: Some(number), ..
            }) if format.split(*number).is_none() => {
                return refuse(Problem::FirstOutOfRange { number: *number });
            }
            Some(_) => {}
        }

        let mut codes = vec![None; format.codebook_depth() as usize];
        let mut deepest = 0;
        let (mut sorted, mut repeated) = (true, false);
        for Word {
            range,
            number,
            digits,
        } in &self.words
        {
            let Some(number) = *number else {
                note(range, Problem::UnreadableWord);
                continue;
            };
            let Some((depth, code)) = format.split(number) else {
                let is_filler = FILLERS.contains(&number);
                let problem = if is_filler {
                    Problem::Filler { number }
                } else {
                    Problem::OutOfRange { number }
                };
                note(range, problem);
                continue;
            };
            match codes.get_mut(depth) {
                Some(slot @ None) => *slot = Some(code),
                _ => {
                    repeated = true;
                    note(range, Problem::RepeatedDepth { depth });
                    continue;
                }
            }
            sorted &= depth >= deepest;
            deepest = deepest.max(depth);
            if *digits != format.digits() {
                note(
                    range,
                    Problem::DigitCount {
                        written: *digits,
                        expected: format.digits(),
                    },
                );
            }
        }
        if codes.first().is_none_or(Option::is_none) {
            return refuse(Problem::NoFirstCode);
        }
        if !sorted {
            if repeated || self.extra_words.is_some() {
                return refuse(Problem::AmbiguousOrder);
            }
            note(&self.range, Problem::WrongOrder);
        }

        let Range { start, end } = self.range.clone();
        if !self.has_start {
            note(&(start..start), Problem::MissingStart);
        }
        if let Some(gap) = &self.first_gap {
            note(gap, Problem::Separated);
        }
        for (depth, _) in codes.iter().enumerate().filter(|(_, code)| code.is_none()) {
            note(&self.range, Problem::MissingWord { depth });
        }
        if let Some((range, count)) = self.extra_words {
            note(&range, Problem::ExtraWords { count });
        }
        if let Some(range) = &self.cut_off {
            note(range, Problem::CutOff);
        }
        if !self.has_end {
            note(&(end..end), Problem::MissingEnd);
        }
        problems.sort_by_key(|repair| repair.range.start);
        Ok(FoundMask {
            range: start..end,
            codes: MaskCodes::from_checked(codes),
            problems,
        })
    }
}
