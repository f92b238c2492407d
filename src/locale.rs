//! The words of the window in the language of its reader; English texts in the code are the keys.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::settings::Language;

/// English text to Chinese text; parsed once.
static CHINESE: LazyLock<HashMap<String, String>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../assets/locale/zh.json")).unwrap_or_default());

/// The language that texts are wanted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locale {
    /// The language.
    pub language: Language,
}

impl Locale {
    /// `english` in the language of the reader, itself where there is no translation.
    #[must_use]
    pub fn text(self, english: &'static str) -> &'static str {
        match self.language {
            Language::English => english,
            Language::Chinese => CHINESE.get(english).map_or(english, String::as_str),
        }
    }

    /// [`Locale::text`] with every `{name}` replaced by its value.
    #[must_use]
    pub fn format(self, english: &'static str, values: &[(&str, &dyn std::fmt::Display)]) -> String {
        let mut text = self.text(english).to_owned();
        for (name, value) in values {
            text = text.replace(&format!("{{{name}}}"), &value.to_string());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Group};
    use std::fs;
    use std::path::Path;

    /// English texts in the sources of the window: the literals behind `text(` and `format(`.
    fn texts_in(folder: &Path, found: &mut Vec<String>) {
        let pattern = regex::Regex::new(r#"(?s)(?:\.text|\.format|\btr)\(\s*"((?:[^"\\]|\\.)*)""#).unwrap();
        texts_of(folder, &pattern, found);
    }

    fn texts_of(folder: &Path, pattern: &regex::Regex, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                texts_of(&path, pattern, found);
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                found.extend(
                    pattern
                        .captures_iter(&source)
                        .map(|text| text[1].replace("\\\"", "\"")),
                );
            }
        }
    }

    #[test]
    fn every_text_of_the_window_has_a_translation() {
        let mut texts = Vec::new();
        texts_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/app"), &mut texts);
        assert!(
            texts.len() > 100,
            "only {} texts were found; is the pattern right?",
            texts.len()
        );
        texts.extend(
            Command::ALL
                .iter()
                .flat_map(|command| [command.text(), command.tip()])
                .map(str::to_owned),
        );
        texts.extend(Group::ALL.iter().map(|group| group.title().to_owned()));
        texts.sort();
        texts.dedup();
        let missing: Vec<&String> = texts.iter().filter(|text| !CHINESE.contains_key(*text)).collect();
        assert!(missing.is_empty(), "without translation: {missing:#?}");
    }

    #[test]
    fn values_take_their_places() {
        let chinese = Locale {
            language: Language::Chinese,
        };
        assert_eq!(
            Locale::default().format("{n} of {total}", &[("n", &3), ("total", &10)]),
            "3 of 10"
        );
        assert_ne!(chinese.text("File"), "File");
        assert_eq!(chinese.text("no such text"), "no such text");
    }
}
