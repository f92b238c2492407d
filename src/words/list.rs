//! The published answer form, a fenced JSON list of masks with labels, read as leniently as models write it.

use std::ops::Range;

use super::{FoundMask, MaskCodes, WordFormat, parse};

/// The published answer where nothing in the image fits the question.
pub const NO_TARGET: &str = "No target.";

const MASK_KEY: &str = "mask_2d";
const LABEL_KEY: &str = "label";

/// One item of a mask list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMask {
    /// The mask's codes.
    pub codes: MaskCodes,
    /// The item's label, unescaped; `None` if there is none or the text ends within it.
    pub label: Option<String>,
    /// Bytes of the text that spell the mask, as in [`FoundMask`].
    pub range: Range<usize>,
}

/// Whether an answer says that there is no target: `No target.` and nothing else.
///
/// Space around it, a code fence, quotes, letter case, a missing full stop, a `<think>` part before it and
/// `<answer>` tags make no difference.
#[must_use]
pub fn is_no_target(text: &str) -> bool {
    let answer = text
        .rsplit_once("</think>")
        .map_or(text, |(_, answer)| answer)
        .trim();
    let answer = answer.strip_prefix("<answer>").unwrap_or(answer);
    let answer = answer.strip_suffix("</answer>").unwrap_or(answer);
    let answer = without_fence(answer).trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    let answer = answer.strip_suffix('.').unwrap_or(answer);
    answer.eq_ignore_ascii_case(NO_TARGET.trim_end_matches('.'))
}

/// Writes masks with their labels in the published form: a fenced JSON list, one item per line, masks quoted.
///
/// An item without a label has no `label` key.
#[must_use]
pub fn write_mask_list<'a>(
    format: WordFormat,
    items: impl IntoIterator<Item = (&'a MaskCodes, Option<&'a str>)>,
) -> String {
    let mut text = String::from("```json\n[");
    for (index, (codes, label)) in items.into_iter().enumerate() {
        text.push_str(if index == 0 { "{\"" } else { ",\n{\"" });
        text.push_str(MASK_KEY);
        text.push_str("\": \"");
        format.write_to(codes, &mut text);
        text.push('"');
        if let Some(label) = label {
            text.push_str(", \"");
            text.push_str(LABEL_KEY);
            text.push_str("\": \"");
            escape_into(label, &mut text);
            text.push('"');
        }
        text.push('}');
    }
    text.push_str("]\n```");
    text
}

/// Reads a list of masks; `None` if the text is no such list. An empty list gives no items.
///
/// An item is any object with a `mask_2d` key, wherever it stands: in a fence or not, in a list or in another
/// object (scene graphs). The mask may be quoted, unquoted or in a list of its own; several masks under one key
/// make several items with the same label. The label may come first, lack quotes at either end or hold
/// unescaped ones, and the text may end anywhere. Masks are found and mended by [`parse`]; refused ones are no
/// items. Takes time linear in the text.
#[must_use]
pub fn parse_mask_list(format: WordFormat, text: &str) -> Option<Vec<ListedMask>> {
    let parsed = parse(format, text);
    let mut reader = ListReader {
        text,
        position: 0,
        masks: &parsed.found,
        items: Vec::new(),
        no_closing_quote: [0..0, 0..0],
    };
    while reader.skip_to(|byte| byte == b'{') {
        reader.object();
    }
    let items = reader.items;
    let is_empty_list = || {
        let list = without_fence(text)
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        list.is_some_and(|inner| inner.trim().is_empty())
    };
    (!items.is_empty() || is_empty_list()).then_some(items)
}

/// The inside of a Markdown code fence, if the text is one, without space around it.
fn without_fence(text: &str) -> &str {
    let text = text.trim();
    let Some(fenced) = text.strip_prefix("```") else {
        return text;
    };
    let fenced = fenced.strip_prefix("json").unwrap_or(fenced);
    fenced.strip_suffix("```").unwrap_or(fenced).trim()
}

/// Walks through the objects of a text that is nearly JSON.
///
/// The position only grows, except back to the `}` or quote that ends a label whose closing quote is missing.
struct ListReader<'a> {
    text: &'a str,
    position: usize,
    /// Masks that begin at the position or later.
    masks: &'a [FoundMask],
    items: Vec<ListedMask>,
    /// For `"` and `'`: a stretch known to hold no closing quote, so that going back stays linear in time.
    no_closing_quote: [Range<usize>; 2],
}

impl<'a> ListReader<'a> {
    /// Reads the object that opens at the position, up to its end, a nested object or where it stops making sense.
    fn object(&mut self) {
        self.position += 1;
        let first_item = self.items.len();
        let mut label = None;
        loop {
            self.skip_while(|byte| is_space(byte) || byte == b',');
            let Some(key) = self.key() else { break };
            match key.as_str() {
                MASK_KEY => self.masks(),
                LABEL_KEY => label = self.string(),
                _ => self.other_value(),
            }
        }
        for item in self.items.iter_mut().skip(first_item) {
            item.label.clone_from(&label);
        }
    }

    /// Reads a key, quoted or not, and the colon after it.
    fn key(&mut self) -> Option<String> {
        let quoted = self.take_if(is_quote);
        let start = self.position;
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let key = self.text.get(start..self.position)?.to_owned();
        if quoted {
            self.take_if(is_quote);
        }
        self.skip_while(is_space);
        (!key.is_empty() && self.take_if(|byte| byte == b':')).then(|| {
            self.skip_while(is_space);
            key
        })
    }

    /// Reads the masks at the position, with whatever quotes, brackets and commas stand around them.
    fn masks(&mut self) {
        let value_start = self.position;
        let mut value_end = None;
        loop {
            self.skip_while(|byte| is_space(byte) || is_quote(byte) || matches!(byte, b'[' | b','));
            let position = self.position;
            let Some(mask) = self.next_mask().filter(|mask| mask.range.start == position) else {
                break;
            };
            self.items.push(ListedMask {
                codes: mask.codes.clone(),
                label: None,
                range: mask.range.clone(),
            });
            self.position = mask.range.end;
            value_end = Some(self.position);
        }
        match value_end {
            Some(value_end) => {
                self.position = value_end;
                self.skip_while(|byte| is_space(byte) || is_quote(byte) || byte == b']');
            }
            None => {
                self.position = value_start;
                self.other_value();
            }
        }
    }

    /// Passes a value of no interest; a nested object is left to be read as one.
    fn other_value(&mut self) {
        match self.peek() {
            Some(b'{') => {}
            Some(b'[') => {
                self.skip_while(|byte| !matches!(byte, b']' | b'{' | b'}'));
                self.take_if(|byte| byte == b']');
            }
            Some(byte) if is_quote(byte) => {
                self.string();
            }
            _ => self.skip_while(|byte| !matches!(byte, b',' | b']' | b'{' | b'}' | b'\n')),
        }
    }

    /// Reads a string, whatever has become of its quotes; `None` if the text ends within it.
    fn string(&mut self) -> Option<String> {
        let Some(quote) = self.peek().filter(|byte| is_quote(*byte)) else {
            let start = self.position;
            self.skip_while(|byte| !matches!(byte, b'}' | b']' | b'\n'));
            let bare = self
                .text
                .get(start..self.position)?
                .trim()
                .trim_end_matches([',', '"', '\''])
                .trim_end();
            return (!bare.is_empty() && self.position < self.text.len()).then(|| bare.to_owned());
        };
        self.position += 1;
        let start = self.position;
        let mask_start = self.next_mask().map_or(self.text.len(), |mask| mask.range.start);
        match self.closing_quote(quote, mask_start) {
            Ok(end) => {
                self.position = end + 1;
                Some(unescaped(self.text.get(start..end)?))
            }
            Err(limit) => {
                // A label never reaches beyond its line, nor into the next mask, so its closing quote is missing.
                let rest = self.text.get(start..limit)?;
                let length = rest.find(['}', char::from(quote)]);
                let at_end = length.is_none() && limit == self.text.len();
                let label = rest.get(..length.unwrap_or(rest.len()))?;
                self.position = start + label.len();
                let label = label.trim_end_matches(|c: char| c.is_whitespace() || c == ',');
                (!at_end).then(|| unescaped(label))
            }
        }
    }

    /// Where the string ends that the quote before the position opens: at the first quote of its kind that a
    /// comma, a closing bracket, a fence or the end follows. If none does, where the search ended.
    ///
    /// A string stays on its line. It reaches beyond the start of the next mask only if no other quote comes
    /// before its closing one, as in proper JSON.
    fn closing_quote(&mut self, quote: u8, mask_start: usize) -> Result<usize, usize> {
        let start = self.position;
        let [double, single] = &mut self.no_closing_quote;
        let known = if quote == b'"' { double } else { single };
        if known.contains(&start) {
            return Err(known.end);
        }
        let bytes = self.text.as_bytes();
        let mut index = start;
        let mut is_first_quote = true;
        while index < mask_start || is_first_quote {
            match bytes.get(index) {
                None | Some(b'\n') => break,
                Some(b'\\') => index += 1,
                Some(byte) if *byte == quote => {
                    let next = bytes.iter().skip(index + 1).find(|byte| !is_space(**byte));
                    if next.is_none_or(|next| matches!(next, b',' | b'}' | b']' | b'`')) {
                        return Ok(index);
                    }
                    is_first_quote = false;
                }
                Some(_) => {}
            }
            index += 1;
        }
        let limit = index.min(mask_start).min(bytes.len());
        *known = start..limit;
        Err(limit)
    }

    /// The first mask that begins at the position or later.
    fn next_mask(&mut self) -> Option<&'a FoundMask> {
        while let Some((first, rest)) = self.masks.split_first() {
            if first.range.start >= self.position {
                return Some(first);
            }
            self.masks = rest;
        }
        None
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn take_if(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let taken = self.peek().is_some_and(wanted);
        self.position += usize::from(taken);
        taken
    }

    fn skip_while(&mut self, skipped: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&skipped) {
            self.position += 1;
        }
    }

    /// Moves to the next wanted byte; `false` at the end of the text.
    fn skip_to(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        self.skip_while(|byte| !wanted(byte));
        self.peek().is_some()
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'')
}

/// Appends `label` as the inside of a JSON string.
fn escape_into(label: &str, text: &mut String) {
    for c in label.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if u32::from(c) < 0x20 => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => text.push(c),
        }
    }
}

/// The inside of a JSON string as plain text; an escape that means nothing stays as it is.
fn unescaped(inside: &str) -> String {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let (c, length) = unescaped_char(escape).unwrap_or(('\\', 0));
        text.push(c);
        rest = escape.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

/// The character that the escape after a backslash means, and the escape's length in bytes.
fn unescaped_char(escape: &str) -> Option<(char, usize)> {
    let simple = match escape.bytes().next()? {
        byte @ (b'"' | b'\'' | b'\\' | b'/') => char::from(byte),
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => {
            let high = utf16_unit(escape)?;
            if let Some(c) = char::from_u32(u32::from(high)) {
                return Some((c, 5));
            }
            let low = escape.get(5..)?.strip_prefix('\\').and_then(utf16_unit)?;
            return char::decode_utf16([high, low]).next()?.ok().map(|c| (c, 11));
        }
        _ => return None,
    };
    Some((simple, 1))
}

/// The UTF-16 unit of an escape `uXXXX`.
fn utf16_unit(escape: &str) -> Option<u16> {
    let digits = escape
        .strip_prefix('u')?
        .get(..4)
        .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "<|mt_start|><|mt_0001|><|mt_0257|><|mt_end|>";
    const B: &str = "<|mt_start|><|mt_0002|><|mt_0258|><|mt_end|>";

    /// First code and label of each item; `None` if the text is no list.
    fn read(text: &str) -> Option<Vec<(u32, Option<String>)>> {
        let text = text.replace("AA", A).replace("BB", B);
        let items = parse_mask_list(WordFormat::PUBLISHED, &text)?;
        Some(
            items
                .into_iter()
                .map(|item| (item.codes.get(0).unwrap_or(99), item.label))
                .collect(),
        )
    }

    #[test]
    fn lists_are_read_as_models_write_them() {
        let both = [(1, Some("a dog")), (2, Some("cat"))];
        type Items<'a> = &'a [(u32, Option<&'a str>)];
        let cases: &[(&str, Items<'_>)] = &[
            (
                "```json\n[{\"mask_2d\": \"AA\", \"label\": \"a dog\"},\n{\"mask_2d\": \"BB\", \"label\": \"cat\"}]\n```",
                &both,
            ),
            (
                "```json\n[{\"mask_2d\": AA, \"label\": \"a dog\"},\n{\"mask_2d\": BB, \"label\": \"cat\"}]\n```",
                &both,
            ),
            (
                "Sure: [{'mask_2d': 'AA', 'label': 'a dog'}, {'mask_2d': 'BB', 'label': 'cat'}]. Done",
                &both,
            ),
            ("[{mask_2d: AA, label: a dog}, {mask_2d: BB, label: cat}]", &both),
            (
                "[{\"label\": \"a dog\", \"mask_2d\": \"AA\"}, {\"label\": \"cat\", \"mask_2d\": \"BB\"}]",
                &both,
            ),
            (
                "[{\"mask_2d\": \"AA, \"label\": \"a dog},\n{\"mask_2d\": BB\", \"label\": cat\"}]",
                &both,
            ),
            (
                "[{\"mask_2d\": \"AA\", \"label\": \"a dog}, {\"mask_2d\": \"BB\", \"label\": \"cat\"}]",
                &both,
            ),
            (
                "[\n  {\n    \"mask_2d\": \"AA\",\n    \"label\": \"a dog\n  },\n  {\"label\": \"cat, \"mask_2d\": \"BB\"}",
                &both,
            ),
            (
                "[{\"mask_2d\":\"AA\",\"bbox_2d\":[1, 2],\"score\":0.5,\"label\":\"a dog\"} {\"mask_2d\":\"BB\",\"label\":\"cat\"",
                &both,
            ),
            (
                "{\"subject\": {\"mask_2d\": \"AA\", \"label\": \"a dog\"}, \"predicate\": \"on\", \"object\": {\"mask_2d\": \"BB\", \"label\": \"cat\"}}",
                &both,
            ),
            (
                "[{\"mask_2d\": \"AA\", \"label\": \"a dog\"}, {\"mask_2d\": \"BB\", \"label\": \"ca",
                &[(1, Some("a dog")), (2, None)],
            ),
            (
                "[{\"mask_2d\": \"AA\"}, {\"mask_2d\": \"BB",
                &[(1, None), (2, None)],
            ),
            (
                "[{\"mask_2d\": [\"AA\", \"BB\"], \"label\": \"two\"}]",
                &[(1, Some("two")), (2, Some("two"))],
            ),
            (
                "[{\"mask_2d\": \"AA and then BB\", \"label\": \"two\"}]",
                &[(1, None)],
            ),
            (
                "[{\"mask_2d\": \"AA\", \"label\": \"on BB\"}]",
                &[(1, Some("on <|mt_start|><|mt_0002|><|mt_0258|><|mt_end|>"))],
            ),
            (
                "[{\"mask_2d\": \"AA\", \"label\": \"the \"red\" one\"}]",
                &[(1, Some("the \"red\" one"))],
            ),
            (
                "[{\"mask_2d\": \"AA\", \"label\": \"a \\\"b\\\" \\u00e9 \\ud83d\\ude00 \\q \\ud800\"}]",
                &[(1, Some("a \"b\" é 😀 \\q \\ud800"))],
            ),
            (
                "[{\"mask_2d\": \"<|mt_end|>\", \"label\": \"bad\"}, {\"mask_2d\": \"BB\", \"label\": \"cat\"}]",
                &[(2, Some("cat"))],
            ),
            (
                "[{\"mask_2d\": [<|mt_0001|>, <|mt_0300|>], \"label\": \"0\"}]",
                &[(1, Some("0"))],
            ),
            ("```json\n[ ]\n```", &[]),
            ("[]", &[]),
        ];
        for (text, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(code, label)| (*code, label.map(str::to_owned)))
                .collect();
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "It is AA.",
            "{\"mask\": \"AA\"}",
            "[",
            "No target.",
            "[1, 2]",
            "{\"label\": \"AA\"}",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_written_list_is_the_published_text_and_reads_back() -> Result<(), crate::words::WordsError> {
        let format = WordFormat::PUBLISHED;
        let (a, b) = (format.codes(&[1, 1])?, format.partial_codes([Some(2), None])?);
        let text = write_mask_list(format, [(&a, Some("a \"dog\"\\\n\u{1}é")), (&b, None)]);
        let expected = "```json\n[{\"mask_2d\": \"<|mt_start|><|mt_0001|><|mt_0257|><|mt_end|>\", \"label\": \
                        \"a \\\"dog\\\"\\\\\\n\\u0001é\"},\n{\"mask_2d\": \"<|mt_start|><|mt_0002|><|mt_end|>\"}]\n```";
        assert_eq!(text, expected);
        let items = parse_mask_list(format, &text).unwrap_or_default();
        let read: Vec<_> = items
            .iter()
            .map(|item| (&item.codes, item.label.as_deref()))
            .collect();
        assert_eq!(read, [(&a, Some("a \"dog\"\\\n\u{1}é")), (&b, None)]);
        assert_eq!(write_mask_list(format, []), "```json\n[]\n```");
        Ok(())
    }

    #[test]
    fn no_target_is_told_from_other_answers() {
        for text in [
            "No target.",
            " no target\n",
            "\"No target.\"",
            "```\nNo target.\n```",
            "<think>\n\n</think>\n\nNo target.",
            "<think>x</think><answer>No target.</answer>",
        ] {
            assert!(is_no_target(text), "{text}");
        }
        for text in ["", "No target is visible.", "There is no target.", A] {
            assert!(!is_no_target(text), "{text}");
        }
    }
}
