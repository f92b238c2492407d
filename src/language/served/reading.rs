//! The bytes of an answer, in whichever of the usual forms, to text.

use super::chunk::{self, Document};
use super::connection::Failure;
use super::events::EventReader;
use super::{Endpoint, TimeLimits};
use crate::language::{Answer, Finish, LanguageError, Usage, shown_end};

/// What the last event of a stream holds.
const DONE: &str = "[DONE]";
/// JSON around the text, and characters that take six bytes in it.
const JSON_OVERHEAD: usize = 8;
/// What is read of something that is no answer, to say what it is.
const MOST_FOREIGN: usize = 64 * 1024;

/// How far the reading is.
#[derive(Debug)]
pub(super) enum Read {
    /// More is to come.
    More,
    /// This is all.
    Done(Answer),
}

/// In which form the answer comes.
#[derive(Debug)]
enum Form {
    /// Not known before the first byte that is no space.
    Unknown,
    /// Events.
    Stream(EventReader),
    /// One JSON document.
    Whole(Vec<u8>),
    /// Something else, kept to say what.
    Foreign(Vec<u8>),
}

/// Reads one answer.
#[derive(Debug)]
pub(super) struct AnswerReader {
    address: String,
    time_limits: TimeLimits,
    max_bytes: usize,
    stop: Vec<String>,
    form: Form,
    text: String,
    /// What of the text was handed out.
    shown: usize,
    /// What of it can be: no stop text begins before here.
    showable: usize,
    /// Whether a stop text begins there.
    is_stopped: bool,
    finish: Option<Finish>,
    usage: Usage,
    bytes: usize,
}

impl AnswerReader {
    pub(super) fn new(endpoint: &Endpoint) -> Self {
        Self {
            address: endpoint.address.to_string(),
            time_limits: endpoint.time_limits,
            max_bytes: endpoint.max_answer_bytes,
            stop: Vec::new(),
            form: Form::Unknown,
            text: String::new(),
            shown: 0,
            showable: 0,
            is_stopped: false,
            finish: None,
            usage: Usage::default(),
            bytes: 0,
        }
    }

    /// Ends the answer before any of these texts, for servers that do not.
    pub(super) fn with_stop(mut self, stop: &[String]) -> Self {
        self.stop = stop.to_vec();
        self
    }

    /// Takes note of what the server says it sends.
    pub(super) fn begin(&mut self, content_type: &str) {
        if content_type.starts_with("text/event-stream") {
            self.form = Form::Stream(EventReader::new(self.most_bytes()));
        } else if content_type.starts_with("text/html") {
            self.form = Form::Foreign(Vec::new());
        }
    }

    /// The most bytes of one document, which holds no more than the longest answer.
    fn most_bytes(&self) -> usize {
        self.max_bytes
            .saturating_mul(JSON_OVERHEAD)
            .saturating_add(1 << 16)
    }

    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Read, LanguageError> {
        let most = self.most_bytes();
        self.bytes = self.bytes.saturating_add(bytes.len());
        let mut bytes = bytes;
        if matches!(self.form, Form::Unknown) {
            // White space before the answer is a sign of life, and no part of it however the bytes are cut.
            bytes = bytes.trim_ascii_start();
            let Some(first) = bytes.first() else {
                return Ok(Read::More);
            };
            self.form = match first {
                b'{' | b'[' => Form::Whole(Vec::new()),
                b'<' => Form::Foreign(Vec::new()),
                _ => Form::Stream(EventReader::new(most)),
            };
        }
        match &mut self.form {
            Form::Unknown => Ok(Read::More),
            Form::Whole(document) => {
                document.extend_from_slice(bytes);
                if document.len() > most {
                    return Err(self.too_long());
                }
                Ok(Read::More)
            }
            Form::Foreign(page) => {
                page.extend_from_slice(bytes);
                if page.len() > MOST_FOREIGN {
                    let found = chunk::explanation(page);
                    return Err(self.not_an_answer(&found));
                }
                Ok(Read::More)
            }
            Form::Stream(reader) => {
                let mut events = Vec::new();
                let too_long = reader.push(bytes, &mut events).is_err();
                for event in events {
                    if let Read::Done(answer) = self.event(&event)? {
                        return Ok(Read::Done(answer));
                    }
                }
                if too_long {
                    return Err(self.too_long());
                }
                // A server that sends nothing but comments is no answer either.
                if self.bytes > most.saturating_mul(64) {
                    return Err(self.too_long());
                }
                Ok(Read::More)
            }
        }
    }

    /// Ends the body.
    pub(super) fn end(&mut self) -> Result<Read, LanguageError> {
        match std::mem::replace(&mut self.form, Form::Unknown) {
            Form::Unknown => Err(self.broken("nothing came")),
            Form::Foreign(body) => Err(self.not_an_answer(&chunk::explanation(&body))),
            Form::Whole(body) => {
                let text = String::from_utf8_lossy(&body);
                if !self.document(&text)? {
                    let document: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&body);
                    return Err(match document {
                        Err(error) if error.is_eof() => self.broken("the document is cut off"),
                        _ => self.not_an_answer(&chunk::explanation(&body)),
                    });
                }
                let finish = self.finish.unwrap_or(Finish::Stop);
                Ok(Read::Done(self.done(finish)))
            }
            Form::Stream(reader) => {
                let mut events = Vec::new();
                if reader.finish(&mut events).is_err() {
                    return Err(self.too_long());
                }
                for event in events {
                    if let Read::Done(answer) = self.event(&event)? {
                        return Ok(Read::Done(answer));
                    }
                }
                match self.finish {
                    Some(finish) => Ok(Read::Done(self.done(finish))),
                    None => Err(self.broken("the stream ended in the middle")),
                }
            }
        }
    }

    /// Takes one event of a stream.
    fn event(&mut self, event: &str) -> Result<Read, LanguageError> {
        let event = event.trim();
        if event == DONE {
            let finish = self.finish.unwrap_or(Finish::Stop);
            return Ok(Read::Done(self.done(finish)));
        }
        if !event.is_empty() && !self.document(event)? {
            return Err(self.not_an_answer(&format!("{:?}", chunk::shortened(event))));
        }
        if self.is_stopped {
            return Ok(Read::Done(self.done(Finish::Stop)));
        }
        Ok(Read::More)
    }

    /// Takes a JSON document; false where it is not part of an answer.
    fn document(&mut self, text: &str) -> Result<bool, LanguageError> {
        match chunk::read(text) {
            Document::Foreign => return Ok(false),
            Document::Error(message) => {
                return Err(LanguageError::ServerFailed {
                    status: 200,
                    message: chunk::shortened(&message),
                    partial: self.partial(),
                    address: self.address.clone(),
                });
            }
            Document::Piece(piece) => {
                self.text.push_str(&piece.text);
                self.finish = piece.finish.or(self.finish);
                self.usage = piece.usage.unwrap_or(self.usage);
            }
        }
        if self.text.len() > self.max_bytes {
            let mut end = self.max_bytes;
            while !self.text.is_char_boundary(end) {
                end -= 1;
            }
            self.text.truncate(end);
            return Err(self.too_long());
        }
        if !self.is_stopped {
            let open = self.text.get(self.showable..).unwrap_or_default();
            let (length, is_stopped) = shown_end(open, &self.stop);
            self.showable += length;
            self.is_stopped = is_stopped;
        }
        Ok(true)
    }

    /// The text that was not handed out yet and can be.
    pub(super) fn new_text(&mut self) -> &str {
        let from = std::mem::replace(&mut self.shown, self.showable);
        self.text.get(from..self.showable).unwrap_or_default()
    }

    fn done(&mut self, finish: Finish) -> Answer {
        if self.is_stopped {
            self.text.truncate(self.showable);
        }
        self.showable = self.text.len();
        let finish = if self.is_stopped { Finish::Stop } else { finish };
        Answer {
            text: self.text.clone(),
            finish,
            usage: self.usage,
        }
    }

    /// What there is when whoever asked gives up.
    pub(super) fn cancelled(mut self) -> Answer {
        self.done(Finish::Cancelled)
    }

    fn partial(&self) -> String {
        self.text.clone()
    }

    pub(super) fn too_slow(&self) -> LanguageError {
        LanguageError::TooSlow {
            limit: self.time_limits.answer,
            partial: self.partial(),
            address: self.address.clone(),
        }
    }

    fn too_long(&self) -> LanguageError {
        LanguageError::TooLong {
            limit_bytes: self.max_bytes,
            partial: self.partial(),
            address: self.address.clone(),
        }
    }

    fn broken(&self, reason: &str) -> LanguageError {
        LanguageError::BrokenOff {
            reason: reason.to_owned(),
            partial: self.partial(),
            address: self.address.clone(),
        }
    }

    pub(super) fn not_an_answer(&self, found: &str) -> LanguageError {
        LanguageError::NotAnAnswer {
            found: found.to_owned(),
            partial: self.partial(),
            address: self.address.clone(),
        }
    }

    pub(super) fn failed(&self, failure: Failure) -> LanguageError {
        match failure {
            Failure::Unreachable(reason) => LanguageError::Unreachable {
                reason,
                address: self.address.clone(),
            },
            Failure::Silent(waited) => LanguageError::Silent {
                waited,
                partial: self.partial(),
                address: self.address.clone(),
            },
            Failure::Broken(reason) => self.broken(&reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whatever bytes come, in whatever pieces: the same end, and never more text than is allowed.
    fn read(pieces: &[&[u8]]) -> (String, String) {
        let mut endpoint = Endpoint::new("http://localhost:1", "m").unwrap();
        endpoint.max_answer_bytes = 20;
        let mut reader = AnswerReader::new(&endpoint).with_stop(&["stop".to_owned()]);
        let mut shown = String::new();
        let mut end = |reader: &mut AnswerReader, read: Result<Read, LanguageError>| {
            shown.push_str(reader.new_text());
            match read {
                Ok(Read::More) => None,
                Ok(Read::Done(answer)) => Some(format!("{:?} {}", answer.finish, answer.text)),
                Err(error) => Some(error.to_string() + error.partial()),
            }
        };
        for piece in pieces {
            let read = reader.take(piece);
            if let Some(ended) = end(&mut reader, read) {
                return (ended, shown);
            }
        }
        let read = reader.end();
        let ended = end(&mut reader, read).unwrap_or_default();
        assert!(reader.text.len() <= 20);
        (ended, shown)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_bytes_in_any_pieces_end_in_one_way(
            parts in prop::collection::vec(prop::sample::select(vec![
                "data: ", "{\"choices\":[{\"delta\":{\"content\":\"ab\"}}]}", "\n\n", "\r\n\r\n", "[DONE]", "é", "{", "}",
                "{\"choices\":[{\"delta\":{\"content\":\"sto\"}}]}\n\n", "{\"choices\":[{\"delta\":{\"content\":\"p\"}}]}\n\n",
                "{\"choices\":[{\"finish_reason\":\"length\"}]}", "{\"error\":\"x\"}", ": ping\n", "<html>", " ",
            ]), 0..12),
            cut in 0_usize..400,
        ) {
            let text = parts.concat();
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let whole = read(&[bytes]);
            prop_assert_eq!(&read(&[&bytes[..cut], &bytes[cut..]]), &whole);
            let singles: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&read(&singles), &whole);
        }
    }
}
