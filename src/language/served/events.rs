//! Server-sent events out of bytes that are cut anywhere, in time linear in the bytes and with bounded memory.

/// A line is longer than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineTooLong;

/// Puts together the `data` of events as its bytes arrive.
#[derive(Clone, Debug)]
pub(super) struct EventReader {
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// Whether the last byte was a carriage return, so that a line feed behind it ends no other line.
    after_return: bool,
    is_at_start: bool,
    max_bytes: usize,
}

impl EventReader {
    /// A reader at the beginning of a stream, for events of at most `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_return: false,
            is_at_start: true,
            max_bytes,
        }
    }

    /// Takes the next bytes and hands out the data of every event that they complete.
    pub(super) fn push(&mut self, bytes: &[u8], events: &mut Vec<String>) -> Result<(), LineTooLong> {
        for &byte in bytes {
            let is_second_half = byte == b'\n' && self.after_return;
            self.after_return = byte == b'\r';
            match byte {
                b'\n' if is_second_half => {}
                b'\n' | b'\r' => self.end_line(events)?,
                _ if self.line.len() >= self.max_bytes => return Err(LineTooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    /// Ends the stream; an event without the empty line behind it counts, as servers that are cut short leave it.
    pub(super) fn finish(mut self, events: &mut Vec<String>) -> Result<(), LineTooLong> {
        if !self.line.is_empty() {
            self.end_line(events)?;
        }
        self.dispatch(events);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<String>) -> Result<(), LineTooLong> {
        if self.is_at_start {
            self.is_at_start = false;
            if self.line.starts_with(b"\xef\xbb\xbf") {
                self.line.drain(..3);
            }
        }
        if self.line.is_empty() {
            self.dispatch(events);
        } else if let Some(value) = self.line.strip_prefix(b"data") {
            // `data`, `data:x` and `data: x`; any other name that begins so is not ours.
            let value = match value.strip_prefix(b":") {
                Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
                None => value.is_empty().then_some(value),
            };
            if let Some(value) = value {
                if self.data.len() + value.len() >= self.max_bytes {
                    return Err(LineTooLong);
                }
                if self.has_data {
                    // Servers that leave out the empty line between events send whole JSON documents in a row.
                    if serde_json::from_slice::<serde::de::IgnoredAny>(&self.data).is_ok() {
                        let data = std::mem::take(&mut self.data);
                        events.push(String::from_utf8_lossy(&data).into_owned());
                    } else {
                        self.data.push(b'\n');
                    }
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
        }
        self.line.clear();
        Ok(())
    }

    fn dispatch(&mut self, events: &mut Vec<String>) {
        if std::mem::take(&mut self.has_data) {
            let data = std::mem::take(&mut self.data);
            events.push(String::from_utf8_lossy(&data).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<String> {
        let mut reader = EventReader::new(1000);
        let mut events = Vec::new();
        for chunk in chunks {
            reader.push(chunk, &mut events).unwrap();
        }
        reader.finish(&mut events).unwrap();
        events
    }

    #[test]
    fn events_in_every_dress_are_read() {
        let cases: [(&str, &[&str]); 16] = [
            ("", &[]),
            ("\n\n\n", &[]),
            ("data: a\n\n", &["a"]),
            ("data:a\n\n", &["a"]),
            ("data:  a\n\n", &[" a"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("data: a\r\rdata: b\r\r", &["a", "b"]),
            (": comment\n\n: ping\ndata: a\n\n:x", &["a"]),
            ("event: x\nid: 7\nretry: 10\ndata: a\n\n", &["a"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            ("data\n\n", &[""]),
            ("data: a", &["a"]),
            ("data: a\n", &["a"]),
            ("database: a\n\n", &[]),
            (
                "data: {\"a\":1}\ndata: {\"a\":\ndata: 2}\n\n",
                &["{\"a\":1}", "{\"a\":\n2}"],
            ),
            ("\u{feff}data: é\n\ndata: [DONE]\n\n", &["é", "[DONE]"]),
        ];
        for (text, expected) in cases {
            assert_eq!(read(&[text.as_bytes()]), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_and_events_have_limits() {
        let mut events = Vec::new();
        let mut reader = EventReader::new(10);
        assert_eq!(reader.push(b"data: 1234567890", &mut events), Err(LineTooLong));
        let mut reader = EventReader::new(10);
        assert!(
            reader
                .push(b"data: 123\ndata: 123\ndata: 123\n", &mut events)
                .is_ok()
        );
        assert_eq!(
            reader.push(b"data: xyz\ndata: xyz\ndata: xyz\ndata: xyz\n", &mut events),
            Err(LineTooLong)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn cuts_change_nothing(text in "(data: ?[aé{}]{0,4}|: x|event: y|)(\r\n|\n|\r){1,2}(data: b\n\n)?(data: c\r\n\r\n)?", cut in 0usize..40) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let singles: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(read(&[&bytes[..cut], &bytes[cut..]]), read(&[bytes]));
            prop_assert_eq!(read(&singles), read(&[bytes]));
        }
    }
}
