//! Cuts a stream of bytes into mask words and everything else, one byte at a time and without keeping any text.
//!
//! Once `<|mt_` has been seen, what follows is a word, readable or not, and never plain text again; that is
//! what lets a stream be cut anywhere with a handful of bytes held back.

use std::ops::Range;

use super::format::{MAX_DIGITS, WORD_PREFIX};

/// What a word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lexeme {
    /// `<|mt_start|>`
    Start,
    /// `<|mt_end|>`
    End,
    /// `<|mt_0023|>`: the number, `i64::MAX` or `i64::MIN` if it has more than 8 digits, and its digit count.
    Number { number: i64, digits: usize },
    /// `<|mt_` and something else.
    Unreadable,
}

/// A word and where it stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) range: Range<usize>,
    pub(super) lexeme: Lexeme,
}

/// What one more byte led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The byte was taken and belongs to a word, or may.
    Pending,
    /// The byte was taken: a separator outside any word.
    Separator,
    /// The byte was taken: plain text.
    Text,
    /// The byte was not taken: the bytes held as a possible word are plain text.
    HeldWasText,
    /// The byte was taken and completes a word.
    Word(Token),
    /// The byte was not taken: it cannot belong to the word before it.
    BrokenWord(Token),
}

/// Where the lexer stands.
#[derive(Clone, Debug)]
pub(super) enum Lexer {
    /// Within `<|mt_`, this many bytes matched; 0 is plain text.
    Prefix(usize),
    /// After `<|mt_`.
    Body(Body),
}

/// The part of a word after `<|mt_`, read so far.
#[derive(Clone, Debug)]
pub(super) struct Body {
    start: usize,
    /// The first bytes, enough to tell `start` and `end`.
    head: [u8; 5],
    length: usize,
    negative: bool,
    digits: usize,
    /// Value of the digits while there are at most 8 of them.
    value: i64,
    barred: bool,
}

impl Lexer {
    pub(super) fn new() -> Self {
        Self::Prefix(0)
    }

    /// Takes the byte at `position`, or says why the bytes before it come first.
    pub(super) fn step(&mut self, byte: u8, position: usize) -> Step {
        match self {
            Self::Prefix(matched) if WORD_PREFIX.as_bytes().get(*matched) == Some(&byte) => {
                *matched += 1;
                if *matched == WORD_PREFIX.len() {
                    *self = Self::Body(Body::new(position + 1 - WORD_PREFIX.len()));
                }
                Step::Pending
            }
            Self::Prefix(0) if matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',') => Step::Separator,
            Self::Prefix(0) => Step::Text,
            Self::Prefix(matched) => {
                *matched = 0;
                Step::HeldWasText
            }
            Self::Body(body) => {
                let token = match byte {
                    b'>' if body.barred => Step::Word(Token {
                        range: body.start..position + 1,
                        lexeme: body.lexeme(),
                    }),
                    b'|' if !body.barred => {
                        body.barred = true;
                        return Step::Pending;
                    }
                    b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' if !body.barred => {
                        body.push(byte);
                        return Step::Pending;
                    }
                    _ => Step::BrokenWord(Token {
                        range: body.start..position,
                        lexeme: Lexeme::Unreadable,
                    }),
                };
                *self = Self::new();
                token
            }
        }
    }

    /// How many bytes before `position` belong to a word, or may.
    pub(super) fn held(&self, position: usize) -> usize {
        match self {
            Self::Prefix(matched) => *matched,
            Self::Body(body) => position - body.start,
        }
    }

    /// Whether the held bytes can still turn out to be plain text.
    pub(super) fn may_be_text(&self) -> bool {
        matches!(self, Self::Prefix(_))
    }
}

impl Body {
    fn new(start: usize) -> Self {
        Self {
            start,
            head: [0; 5],
            length: 0,
            negative: false,
            digits: 0,
            value: 0,
            barred: false,
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.head.get_mut(self.length) {
            *slot = byte;
        }
        if byte.is_ascii_digit() {
            self.digits += 1;
            if self.digits <= MAX_DIGITS as usize {
                self.value = self.value * 10 + i64::from(byte - b'0');
            }
        } else if byte == b'-' && self.length == 0 {
            self.negative = true;
        }
        self.length += 1;
    }

    fn lexeme(&self) -> Lexeme {
        match (&self.head, self.length) {
            (b"start", 5) => return Lexeme::Start,
            (b"end\0\0", 3) => return Lexeme::End,
            _ => {}
        }
        let readable = self.digits > 0 && self.digits + usize::from(self.negative) == self.length;
        let number = match (self.digits <= MAX_DIGITS as usize, self.negative) {
            (true, false) => self.value,
            (true, true) => -self.value,
            (false, false) => i64::MAX,
            (false, true) => i64::MIN,
        };
        // `-0` is no spelling of code 0 that anybody writes on purpose.
        if readable && !(self.negative && number == 0) {
            Lexeme::Number {
                number,
                digits: self.digits,
            }
        } else {
            Lexeme::Unreadable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexemes(text: &str) -> Vec<(Lexeme, &str)> {
        let mut lexer = Lexer::new();
        let mut words = Vec::new();
        for (position, byte) in text.bytes().enumerate() {
            let mut step = lexer.step(byte, position);
            while let Step::HeldWasText | Step::BrokenWord(_) = step {
                if let Step::BrokenWord(token) = step {
                    words.push((token.lexeme, &text[token.range]));
                }
                step = lexer.step(byte, position);
            }
            if let Step::Word(token) = step {
                words.push((token.lexeme, &text[token.range]));
            }
        }
        words
    }

    #[test]
    fn words_are_told_from_text() {
        let number = |number, digits| Lexeme::Number { number, digits };
        for (text, expected) in [
            ("a <|mt_start|> b", vec![(Lexeme::Start, "<|mt_start|>")]),
            ("<|mt_end|>", vec![(Lexeme::End, "<|mt_end|>")]),
            ("<|mt_0023|>", vec![(number(23, 4), "<|mt_0023|>")]),
            ("<|mt_7|>", vec![(number(7, 1), "<|mt_7|>")]),
            ("<|mt_00000311|>", vec![(number(311, 8), "<|mt_00000311|>")]),
            (
                "<|mt_000000311|>",
                vec![(number(i64::MAX, 9), "<|mt_000000311|>")],
            ),
            ("<|mt_-1|>", vec![(number(-1, 1), "<|mt_-1|>")]),
            (
                "<|mt_-123456789|>",
                vec![(number(i64::MIN, 9), "<|mt_-123456789|>")],
            ),
            ("<<|<|mt<|mt_3|>|>", vec![(number(3, 1), "<|mt_3|>")]),
            ("<|mt_-0|>", vec![(Lexeme::Unreadable, "<|mt_-0|>")]),
            ("<|mt_-|>", vec![(Lexeme::Unreadable, "<|mt_-|>")]),
            ("<|mt_|>", vec![(Lexeme::Unreadable, "<|mt_|>")]),
            ("<|mt_1-1|>", vec![(Lexeme::Unreadable, "<|mt_1-1|>")]),
            ("<|mt_starts|>", vec![(Lexeme::Unreadable, "<|mt_starts|>")]),
            ("<|mt_00é|>", vec![(Lexeme::Unreadable, "<|mt_00")]),
            (
                "<|mt_0023<|mt_end|>",
                vec![(Lexeme::Unreadable, "<|mt_0023"), (Lexeme::End, "<|mt_end|>")],
            ),
            (
                "<|mt_0023|<|mt_5|>",
                vec![(Lexeme::Unreadable, "<|mt_0023|"), (number(5, 1), "<|mt_5|>")],
            ),
            ("<|im_end|> <|MT_start|> < |mt_0|>", vec![]),
        ] {
            assert_eq!(lexemes(text), expected, "{text}");
        }
    }
}
