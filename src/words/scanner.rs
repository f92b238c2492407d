//! Groups words into masks as they come, so that no word of one mask can ever complete another.

use std::ops::Range;

use super::group::Group;
use super::lexer::{Lexeme, Lexer, Step, Token};
use super::{FoundMask, Problem, Refused, WordFormat};

/// The most separators between two words of one mask: enough for a line break with indentation, and a bound on
/// what a stream must hold back.
pub(super) const MAX_GAP_BYTES: usize = 64;

/// The shortest cut-off word outside a mask that is not plain text: `<|mt`.
const SHORTEST_FRAGMENT: usize = 4;

/// A stretch of the text; the pieces of a text cover it without gaps or overlaps.
#[derive(Debug)]
pub(super) enum Piece {
    Text(Range<usize>),
    Mask(FoundMask),
    Refused(Refused),
}

/// The words that have been seen and not yet judged.
#[derive(Clone, Debug)]
enum Run {
    /// None.
    Idle,
    /// A start word and what follows it.
    Opened(Group),
    /// Words without a start word that are a mask's first words, or all of them.
    Bare(Group),
    /// Words without a start word that can make no mask.
    Stray(Range<usize>),
}

impl Run {
    /// Bytes from the first to the last word of the run.
    fn range(&self) -> Option<Range<usize>> {
        match self {
            Self::Idle => None,
            Self::Opened(group) | Self::Bare(group) => Some(group.range()),
            Self::Stray(range) => Some(range.clone()),
        }
    }
}

/// Cuts a text that comes in chunks into pieces.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    format: WordFormat,
    lexer: Lexer,
    run: Run,
    /// Bytes taken so far.
    position: usize,
    /// Everything before this has been handed out.
    settled: usize,
}

impl Scanner {
    pub(super) fn new(format: WordFormat) -> Self {
        Self {
            format,
            lexer: Lexer::new(),
            run: Run::Idle,
            position: 0,
            settled: 0,
        }
    }

    /// Bytes taken so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Bytes that may be handed out as text later; at most [`MAX_GAP_BYTES`] and a word's beginning.
    pub(super) fn pending_text(&self) -> Range<usize> {
        let start = self.run.range().map_or(self.settled, |run| run.end);
        let end = if self.lexer.may_be_text() {
            self.position
        } else {
            self.word_start()
        };
        start..end
    }

    /// Takes the next part of the text and hands out what it settles.
    pub(super) fn push(&mut self, chunk: &str, emit: &mut impl FnMut(Piece)) {
        let chunk_start = self.position;
        let mut bytes = chunk.bytes();
        while let Some(byte) = bytes.clone().next() {
            if matches!((&self.run, &self.lexer), (Run::Idle, Lexer::Prefix(0))) && byte != b'<' {
                // Most of an answer is prose, which needs no state machine.
                let Some(skipped) = bytes.position(|byte| byte == b'<') else {
                    self.position = chunk_start + chunk.len();
                    break;
                };
                self.position += skipped;
                // The `<` itself was taken from the iterator too.
                self.take(b'<', emit);
                continue;
            }
            self.take(byte, emit);
            bytes.next();
        }
        let text_end = self.run.range().map_or(self.word_start(), |run| run.start);
        self.settle_text(text_end, emit);
    }

    /// Takes the end of the text and hands out the rest.
    pub(super) fn finish(mut self, emit: &mut impl FnMut(Piece)) {
        let fragment = self.word_start()..self.position;
        let is_word = match &self.run {
            Run::Idle => fragment.len() >= SHORTEST_FRAGMENT,
            Run::Opened(_) | Run::Bare(_) | Run::Stray(_) => !fragment.is_empty(),
        };
        if is_word {
            self.cut_off(fragment, emit);
        }
        self.close_run(emit);
        self.settle_text(self.position, emit);
    }

    /// Where the bytes begin that belong to an unfinished word, or may.
    fn word_start(&self) -> usize {
        self.position - self.lexer.held(self.position)
    }

    fn take(&mut self, byte: u8, emit: &mut impl FnMut(Piece)) {
        loop {
            match self.lexer.step(byte, self.position) {
                Step::HeldWasText => {
                    self.close_run(emit);
                    continue;
                }
                Step::BrokenWord(token) => {
                    self.word(token, emit);
                    continue;
                }
                Step::Pending => {}
                Step::Text => self.close_run(emit),
                Step::Separator => {
                    let gap = self.run.range().map_or(0, |run| self.position + 1 - run.end);
                    if gap > MAX_GAP_BYTES {
                        self.close_run(emit);
                    }
                }
                Step::Word(token) => self.word(token, emit),
            }
            self.position += 1;
            return;
        }
    }

    fn word(&mut self, Token { range, lexeme }: Token, emit: &mut impl FnMut(Piece)) {
        match lexeme {
            Lexeme::Start => {
                self.close_run(emit);
                self.run = Run::Opened(Group::opened(range));
            }
            Lexeme::End => self.end(range, emit),
            Lexeme::Number { .. } | Lexeme::Unreadable => match &mut self.run {
                Run::Opened(group) => group.add(range, lexeme, self.format),
                Run::Idle | Run::Bare(_) | Run::Stray(_) => self.bare_word(range, lexeme, emit),
            },
        }
    }

    fn end(&mut self, range: Range<usize>, emit: &mut impl FnMut(Piece)) {
        match &mut self.run {
            Run::Idle => self.refuse(range, Problem::StrayEnd, emit),
            Run::Opened(group) | Run::Bare(group) => group.end(&range),
            Run::Stray(stray) => stray.end = range.end,
        }
        self.close_run(emit);
    }

    /// A code word that no start word precedes: it continues a mask only if it is the word that comes next.
    fn bare_word(&mut self, range: Range<usize>, lexeme: Lexeme, emit: &mut impl FnMut(Piece)) {
        let Lexeme::Number { number, .. } = lexeme else {
            self.close_run(emit);
            self.refuse(range, Problem::StrayUnreadable, emit);
            return;
        };
        let depth = self.format.split(number).map(|(depth, _)| depth);
        match &mut self.run {
            Run::Bare(group) if depth == Some(group.word_count()) => group.add(range, lexeme, self.format),
            _ if depth == Some(0) => {
                self.close_run(emit);
                let mut group = Group::bare(range.start);
                group.add(range, lexeme, self.format);
                self.run = Run::Bare(group);
            }
            Run::Bare(group) if !group.is_full(self.format) => {
                self.run = Run::Stray(group.range().start..range.end);
            }
            Run::Stray(stray) => stray.end = range.end,
            Run::Idle | Run::Bare(_) | Run::Opened(_) => {
                self.close_run(emit);
                self.run = Run::Stray(range);
            }
        }
    }

    /// The text ends within a word.
    fn cut_off(&mut self, range: Range<usize>, emit: &mut impl FnMut(Piece)) {
        match &mut self.run {
            Run::Idle => self.refuse(range, Problem::StrayCutOff, emit),
            Run::Opened(group) | Run::Bare(group) => group.cut_off(range),
            Run::Stray(stray) => stray.end = range.end,
        }
    }

    /// Judges the words seen so far: nothing that follows belongs to them.
    fn close_run(&mut self, emit: &mut impl FnMut(Piece)) {
        let judged = match std::mem::replace(&mut self.run, Run::Idle) {
            Run::Idle => return,
            Run::Stray(range) => Err(Refused {
                range,
                problem: Problem::StrayWords,
            }),
            Run::Bare(group) if !group.is_full(self.format) => Err(Refused {
                range: group.range(),
                problem: Problem::StrayWords,
            }),
            Run::Opened(group) | Run::Bare(group) => group.judge(self.format),
        };
        match judged {
            Err(Refused { range, problem }) => self.refuse(range, problem, emit),
            Ok(mask) => {
                self.settle_text(mask.range.start, emit);
                self.settled = mask.range.end;
                emit(Piece::Mask(mask));
            }
        }
    }

    fn refuse(&mut self, range: Range<usize>, problem: Problem, emit: &mut impl FnMut(Piece)) {
        self.settle_text(range.start, emit);
        self.settled = range.end;
        emit(Piece::Refused(Refused { range, problem }));
    }

    fn settle_text(&mut self, end: usize, emit: &mut impl FnMut(Piece)) {
        if self.settled < end {
            emit(Piece::Text(self.settled..end));
            self.settled = end;
        }
    }
}
