//! Texts as XML can say them.

use std::borrow::Cow;

/// `text` with a replacement character for each one that XML cannot say at all.
pub(super) fn sayable(text: &str) -> Cow<'_, str> {
    if text.contains(is_unsayable) {
        text.replace(is_unsayable, "\u{fffd}").into()
    } else {
        text.into()
    }
}

fn is_unsayable(character: char) -> bool {
    matches!(character, '\0'..'\t' | '\u{b}' | '\u{c}' | '\u{e}'..' ' | '\u{fffe}' | '\u{ffff}')
}

/// [`sayable`] `text` for an attribute or an element.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in sayable(text).chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            // Readers make others of these where they stand as they are.
            '\t' | '\n' | '\r' => escaped += &format!("&#{};", u32::from(character)),
            other => escaped.push(other),
        }
    }
    escaped
}
