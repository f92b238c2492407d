//! Finds masks in an answer while it is being written, so that they can be drawn before it is finished.

use std::ops::Range;

use super::scanner::{Piece, Scanner};
use super::{FoundMask, Refused, WordFormat};

/// A piece of a streamed text. The events of a stream cover it from first to last byte, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// Text without any mask word or part of one.
    Text(String),
    /// A mask; its ranges are bytes of the whole stream.
    Mask(FoundMask),
    /// Mask words that make no mask; the range is bytes of the whole stream.
    Refused(Refused),
}

/// Reads a text that arrives in chunks of any size and finds exactly what [`parse`](super::parse) finds in the
/// whole.
///
/// Holds back at most about 70 bytes, whatever the stream: a word is handed out whole or not at all, and a mask
/// as soon as what follows cannot change it.
#[derive(Clone, Debug)]
pub struct StreamParser {
    scanner: Scanner,
    /// Bytes from `held_start` on that may yet be text.
    held: String,
    held_start: usize,
}

impl StreamParser {
    /// A parser at the beginning of a stream.
    #[must_use]
    pub fn new(format: WordFormat) -> Self {
        Self {
            scanner: Scanner::new(format),
            held: String::new(),
            held_start: 0,
        }
    }

    /// Takes the next part of the stream and returns what it settles.
    #[must_use = "the events are handed out once"]
    pub fn push(&mut self, chunk: &str) -> Vec<StreamEvent> {
        let Self {
            scanner,
            held,
            held_start,
        } = self;
        let chunk_start = scanner.position();
        let text_of = |held: &str, range: &Range<usize>| {
            let mut text = overlap(held, *held_start, range).to_owned();
            text.push_str(overlap(chunk, chunk_start, range));
            text
        };
        let mut events = Vec::new();
        scanner.push(chunk, &mut |piece| {
            events.push(event(piece, |range| text_of(held, range)))
        });
        let pending = scanner.pending_text();
        let still_held = text_of(held, &pending);
        *held = still_held;
        *held_start = pending.start;
        events
    }

    /// Ends the stream and returns what was held back.
    #[must_use = "the events are handed out once"]
    pub fn finish(self) -> Vec<StreamEvent> {
        let Self {
            scanner,
            held,
            held_start,
        } = self;
        let mut events = Vec::new();
        let text_of = |range: &Range<usize>| overlap(&held, held_start, range).to_owned();
        scanner.finish(&mut |piece| events.push(event(piece, text_of)));
        events
    }
}

fn event(piece: Piece, text_of: impl FnOnce(&Range<usize>) -> String) -> StreamEvent {
    match piece {
        Piece::Text(range) => StreamEvent::Text(text_of(&range)),
        Piece::Mask(mask) => StreamEvent::Mask(mask),
        Piece::Refused(refused) => StreamEvent::Refused(refused),
    }
}

/// The part of `text`, which begins at byte `text_start` of the stream, that lies in `range`.
fn overlap<'a>(text: &'a str, text_start: usize, range: &Range<usize>) -> &'a str {
    let within = |position: usize| position.saturating_sub(text_start).min(text.len());
    text.get(within(range.start)..within(range.end))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Problem, Repair};

    fn stream(chunks: &[&str]) -> Vec<Vec<StreamEvent>> {
        let mut parser = StreamParser::new(WordFormat::PUBLISHED);
        let mut events: Vec<_> = chunks.iter().map(|chunk| parser.push(chunk)).collect();
        events.push(parser.finish());
        events
    }

    fn text(text: &str) -> StreamEvent {
        StreamEvent::Text(text.to_owned())
    }

    #[test]
    fn a_mask_comes_out_with_its_end_word_and_text_at_once() {
        let chunks = [
            "It is ",
            "<|mt_st",
            "art|><|mt_0023|>",
            "<|mt_0311|><|mt_en",
            "d|>",
            ", see",
            " < 5 <|im",
            "_end|>",
        ];
        let events = stream(&chunks);
        assert_eq!(events[0], [text("It is ")]);
        assert!(events[1].is_empty() && events[2].is_empty() && events[3].is_empty());
        let [StreamEvent::Mask(mask)] = events[4].as_slice() else {
            panic!("{:?}", events[4])
        };
        assert_eq!(mask.range, 6..50);
        assert_eq!(mask.codes.as_slice(), [Some(23), Some(55)]);
        assert!(mask.problems.is_empty());
        assert_eq!(events[5], [text(", see")]);
        assert_eq!(events[6], [text(" < 5 <|im")], "`<|i` cannot become a mask word");
        assert_eq!(events[7], [text("_end|>")]);
    }

    #[test]
    fn separators_after_an_open_mask_become_text_when_the_mask_ends() {
        let events = stream(&[
            "<|mt_start|><|mt_0001|><|mt_0300|>",
            " , ",
            "<|mt_",
            "start|>",
            "<|mt_00",
        ]);
        assert!(events[0].is_empty() && events[1].is_empty() && events[2].is_empty());
        let [StreamEvent::Mask(mask), separators] = events[3].as_slice() else {
            panic!("{:?}", events[3])
        };
        assert_eq!(
            mask.problems,
            [Repair {
                range: 34..34,
                problem: Problem::MissingEnd
            }]
        );
        assert_eq!(*separators, text(" , "));
        assert_eq!(
            events[5],
            [StreamEvent::Refused(Refused {
                range: 37..56,
                problem: Problem::StrayCutOff
            })]
        );
    }

    #[test]
    fn what_is_held_back_is_bounded() {
        let mut parser = StreamParser::new(WordFormat::PUBLISHED);
        for chunk in [
            "<|mt_start|>",
            "<|mt_0001|>",
            " ",
            "<|mt_",
            "9",
            "x",
            "|",
            "<|mt_",
            "-",
        ] {
            for _ in 0..1000 {
                let _events = parser.push(chunk);
                assert!(
                    parser.held.len() <= 70,
                    "{} bytes held after {chunk}",
                    parser.held.len()
                );
            }
        }
    }
}
