//! Which images a list shows, and how that is typed into one line.

use regex::{Regex, RegexBuilder};

use super::super::vocabulary::Status;
use super::text::Term;

/// Memory that a compiled pattern may take, in bytes.
const PATTERN_BYTES: usize = 1 << 20;

/// Which images a list shows: those that meet all that is asked; by default all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The image has annotations with one of these statuses; if empty, any status or none.
    pub statuses: Vec<Status>,
    /// A region has this label.
    pub label: Option<String>,
    /// The name, a label, a caption, a turn or the notes contain each of these, regardless of case.
    pub texts: Vec<String>,
    /// The name matches.
    pub name_pattern: Option<Regex>,
    /// The words of a region give back a mask whose IoU, 0 to 1, with the region is below this.
    pub iou_below: Option<f64>,
    /// Whether there are annotations at all.
    pub annotations: Annotations,
    /// Only the image that comes at this place, from 1, in the list of all images.
    pub number: Option<usize>,
}

/// Whether an image has annotations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Annotations {
    /// All the same.
    #[default]
    Any,
    /// Neither regions nor conversations.
    None,
    /// Regions or conversations.
    Some,
    /// A sidecar that cannot be read.
    Unreadable,
}

/// What was typed is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The pattern between `<` and `>` is no regular expression.
    #[error(
        "this is not a regular expression ({reason}); mend it, or leave out < and > to look for the text: {pattern}"
    )]
    Pattern {
        /// What is wrong.
        reason: String,
        /// The pattern.
        pattern: String,
    },
    /// What follows a key is not one of its values.
    #[error("{key} takes {expected}, not {found:?}")]
    Value {
        /// The key, with its colon.
        key: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was typed.
        found: String,
    },
}

impl Filter {
    /// Reads what people type into a search field, words apart by spaces:
    ///
    /// - `scratch`, `"deep scratch"`: texts that names or annotations contain;
    /// - `<^cam[12]/>`: a regular expression that the name matches, regardless of case;
    /// - `#37`: the 37th image of all;
    /// - `status:done`, again for another status, `label:scratch`, `label:"deep scratch"`, `iou:0.8` (below), and
    ///   `is:empty`, `is:annotated` or `is:unreadable`.
    ///
    /// # Errors
    /// [`FilterError`] if something that follows such a key, or stands between `<` and `>`, makes no sense.
    pub fn parse(typed: &str) -> Result<Self, FilterError> {
        let mut filter = Self::default();
        let mut rest = typed.trim_start();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('<') {
                // The pattern may contain spaces and `>`: it goes on to the last one.
                let (pattern, after) = after.rsplit_once('>').unwrap_or((after, ""));
                filter.name_pattern = Some(name_pattern(pattern)?);
                rest = after.trim_start();
                continue;
            }
            let (word, after) = next_word(rest);
            rest = after.trim_start();
            let number = word.strip_prefix('#').and_then(|number| number.parse().ok());
            if number.is_some() {
                filter.number = number;
            } else if let Some(name) = word.strip_prefix("status:") {
                let status = Status::ALL.iter().find(|status| status.as_str() == name);
                let expected = "draft, done, approved or rejected";
                filter
                    .statuses
                    .push(*status.ok_or_else(|| wrong_value("status:", expected, name))?);
            } else if let Some(label) = word.strip_prefix("label:") {
                filter.label = Some(unquoted(label).to_owned());
            } else if let Some(limit) = word.strip_prefix("iou:") {
                let limit = limit.trim_start_matches('<');
                let iou = limit.parse().ok().filter(|iou| (0.0..=1.0).contains(iou));
                filter.iou_below =
                    Some(iou.ok_or_else(|| wrong_value("iou:", "a number from 0 to 1", limit))?);
            } else if let Some(kind) = word.strip_prefix("is:") {
                filter.annotations = match kind {
                    "empty" => Annotations::None,
                    "annotated" => Annotations::Some,
                    "unreadable" => Annotations::Unreadable,
                    _ => return Err(wrong_value("is:", "empty, annotated or unreadable", kind)),
                };
            } else {
                filter.texts.push(unquoted(word).to_owned());
            }
        }
        Ok(filter)
    }

    /// The texts to look for, in the form in which they are compared.
    pub(super) fn terms(&self) -> Vec<Term> {
        self.texts.iter().filter_map(|text| Term::new(text)).collect()
    }
}

fn wrong_value(key: &'static str, expected: &'static str, found: &str) -> FilterError {
    FilterError::Value {
        key,
        expected,
        found: found.to_owned(),
    }
}

fn name_pattern(pattern: &str) -> Result<Regex, FilterError> {
    let compiled = RegexBuilder::new(pattern)
        .case_insensitive(true)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .build();
    compiled.map_err(|error| FilterError::Pattern {
        // The library draws the pattern over several lines; the last one says what is wrong.
        reason: error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .trim_start_matches("error: ")
            .to_owned(),
        pattern: pattern.to_owned(),
    })
}

/// The text up to a space that is not between quotes, and what follows.
fn next_word(text: &str) -> (&str, &str) {
    let mut is_quoted = false;
    let end = text.find(|c: char| {
        is_quoted ^= c == '"';
        c.is_whitespace() && !is_quoted
    });
    text.split_at(end.unwrap_or(text.len()))
}

fn unquoted(word: &str) -> &str {
    word.strip_prefix('"')
        .map_or(word, |word| word.strip_suffix('"').unwrap_or(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_a_filter() {
        let filter = Filter::parse(
            r#" deep  "rust spot" #37 status:done status:approved label:"big 划痕" iou:<0.8 is:annotated <a b>c>"#,
        )
        .unwrap();
        assert_eq!(filter.texts, ["deep", "rust spot"]);
        assert_eq!(filter.number, Some(37));
        assert_eq!(filter.statuses, [Status::Done, Status::Approved]);
        assert_eq!(filter.label.as_deref(), Some("big 划痕"));
        assert_eq!(
            (filter.iou_below, filter.annotations),
            (Some(0.8), Annotations::Some)
        );
        assert!(filter.name_pattern.unwrap().is_match("x/A B>C.png"));
        for text in ["#", "#x", "#-1", "\"", "a:b", "划 痕"] {
            assert!(Filter::parse(text).unwrap().number.is_none(), "{text}");
        }
        assert_eq!(Filter::parse("#x \"open end").unwrap().texts, ["#x", "open end"]);
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let cases = [
            (
                "status:finished",
                "status: takes draft, done, approved or rejected, not \"finished\"",
            ),
            ("iou:80", "iou: takes a number from 0 to 1, not \"80\""),
            ("iou:NaN", "iou: takes a number from 0 to 1, not \"NaN\""),
            ("is:", "is: takes empty, annotated or unreadable, not \"\""),
            (
                "<(>",
                "this is not a regular expression (unclosed group); mend it, or leave out < and > to look for the text: (",
            ),
        ];
        for (typed, message) in cases {
            assert_eq!(Filter::parse(typed).unwrap_err().to_string(), message, "{typed}");
        }
        assert!(
            Filter::parse("<(((a{999}){999}){999})>").is_err(),
            "too much memory"
        );
    }
}
