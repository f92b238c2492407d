//! The JSON of an answer, whole or in pieces, read as leniently as servers write it.

use serde_json::Value;

use crate::language::{Finish, Usage};

/// What one JSON document of an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    /// Text that is new.
    pub(super) text: String,
    /// Why the answer ended, where it did.
    pub(super) finish: Option<Finish>,
    /// What it took, where it says so.
    pub(super) usage: Option<Usage>,
}

/// What a JSON document of a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Document {
    /// A piece of an answer, or all of it.
    Piece(Piece),
    /// The server says what went wrong.
    Error(String),
    /// Neither.
    Foreign,
}

/// Reads one JSON document.
pub(super) fn read(text: &str) -> Document {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return Document::Foreign;
    };
    let has_choices = value["choices"].is_array();
    if !has_choices && let Some(message) = error_message(&value) {
        return Document::Error(message);
    }
    if !has_choices && value["usage"].is_null() {
        return Document::Foreign;
    }
    let choice = &value["choices"][0];
    let said = [
        &choice["delta"]["content"],
        &choice["message"]["content"],
        &choice["text"],
    ];
    let finish = choice["finish_reason"].as_str().map(|reason| match reason {
        "length" | "max_tokens" => Finish::Length,
        "abort" | "cancelled" => Finish::Cancelled,
        _ => Finish::Stop,
    });
    Document::Piece(Piece {
        text: said
            .into_iter()
            .map(content)
            .find(|text| !text.is_empty())
            .unwrap_or_default(),
        finish,
        usage: usage(&value["usage"]),
    })
}

/// The text of a message: a string, or a list of parts of which some are text.
fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

fn usage(value: &Value) -> Option<Usage> {
    let count = |key: &str| value[key].as_u64().and_then(|count| usize::try_from(count).ok());
    let (prompt, completion) = (count("prompt_tokens"), count("completion_tokens"));
    (prompt.is_some() || completion.is_some()).then(|| Usage {
        prompt_tokens: prompt.unwrap_or(0),
        completion_tokens: completion.unwrap_or(0),
    })
}

/// What a server's error document says, in whichever of the usual forms.
pub(super) fn error_message(value: &Value) -> Option<String> {
    let is_error = value["object"] == "error" || value["type"] == "error";
    let detail = match &value["detail"] {
        Value::Array(items) => {
            // FastAPI lists which parts of the request it dislikes.
            let said = items.iter().filter_map(|item| item["msg"].as_str());
            Some(said.collect::<Vec<_>>().join("; "))
        }
        other => other.as_str().map(str::to_owned),
    };
    let message = value["message"].as_str();
    let nested = value["error"]["message"]
        .as_str()
        .or_else(|| value["error"].as_str());
    nested
        .or(message.filter(|_| is_error || value.get("choices").is_none()))
        .map(str::to_owned)
        .or(detail)
        .or_else(|| {
            let error = value.get("error").filter(|error| !error.is_null());
            error.map(Value::to_string)
        })
        .filter(|message| !message.is_empty())
}

/// What a person should read of a body that is no answer: its error, the title of its page, or its beginning.
pub(super) fn explanation(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let said = serde_json::from_str::<Value>(&text)
        .ok()
        .as_ref()
        .and_then(error_message);
    let said = said
        .or_else(|| page_title(&text))
        .unwrap_or_else(|| text.into_owned());
    shortened(&said)
}

/// At most 300 characters on one line.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 300;
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.retain(|c| !c.is_control());
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.is_empty() => "no explanation".to_owned(),
        None => line,
    }
}

/// The title of a web page, or that it has none; `None` for anything else.
pub(super) fn page_title(text: &str) -> Option<String> {
    let start = text.trim_start_matches(['\u{feff}', ' ', '\n', '\r', '\t']);
    let lower: String = start.chars().take(4096).collect::<String>().to_ascii_lowercase();
    let is_page = ["<!doctype", "<html", "<head", "<body", "<?xml", "<title", "<h1"];
    if !is_page.iter().any(|tag| lower.starts_with(tag)) {
        return None;
    }
    let title = lower.find("<title").and_then(|open| {
        let from = open + lower[open..].find('>')? + 1;
        let to = from + lower[from..].find("</title")?;
        // Lower case in ASCII keeps every byte in its place.
        start.get(from..to)
    });
    Some(match title.map(str::trim).filter(|title| !title.is_empty()) {
        Some(title) => format!("a web page ({})", shortened(title)),
        None => "a web page".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, finish: Option<Finish>, usage: Option<(usize, usize)>) -> Document {
        Document::Piece(Piece {
            text: text.to_owned(),
            finish,
            usage: usage.map(|(prompt_tokens, completion_tokens)| Usage {
                prompt_tokens,
                completion_tokens,
            }),
        })
    }

    #[test]
    fn documents_of_all_servers_are_understood() {
        let cases = [
            (
                r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
                piece("", None, None),
            ),
            (
                r#"{"choices":[{"delta":{"content":"a"},"finish_reason":null}]}"#,
                piece("a", None, None),
            ),
            (
                r#"{"choices":[{"delta":{"content":null},"finish_reason":"stop"}]}"#,
                piece("", Some(Finish::Stop), None),
            ),
            (
                r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#,
                piece("", Some(Finish::Length), None),
            ),
            (
                r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#,
                piece("", None, None),
            ),
            (
                r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
                piece("", None, Some((5, 2))),
            ),
            (r#"{"usage":{"prompt_tokens":5}}"#, piece("", None, Some((5, 0)))),
            (
                r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"finish_reason":"stop"}],"usage":null}"#,
                piece("ab", Some(Finish::Stop), None),
            ),
            (r#"{"choices":[{"text":"old"}]}"#, piece("old", None, None)),
            (
                r#"{"error":{"message":"no room","code":500}}"#,
                Document::Error("no room".into()),
            ),
            (r#"{"error":"no room"}"#, Document::Error("no room".into())),
            (
                r#"{"object":"error","message":"no room"}"#,
                Document::Error("no room".into()),
            ),
            (
                r#"{"detail":[{"msg":"a"},{"msg":"b"}]}"#,
                Document::Error("a; b".into()),
            ),
            (r#"{"hello":1}"#, Document::Foreign),
            ("[1]", Document::Foreign),
            ("{", Document::Foreign),
            ("", Document::Foreign),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn explanations_are_short_and_on_one_line() {
        for (body, expected) in [
            ("", "no explanation"),
            ("{\"error\":{\"message\":\"a\\nb\"}}", "a b"),
            (
                "<!DOCTYPE html><html><head><TITLE> Welcome\nto nginx </TITLE>",
                "a web page (Welcome to nginx)",
            ),
            ("  <html>", "a web page"),
            ("<html><title>İ</title>", "a web page (İ)"),
            ("Bad Gateway", "Bad Gateway"),
        ] {
            assert_eq!(explanation(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(explanation("é".repeat(1000).as_bytes()).chars().count(), 301);
    }
}
