//! The wording of questions: the published one, or a file of the user's in its place.
//!
//! `assets/task_prompts.json` says which of the wordings in `assets/prompt_templates.json`, with which models are
//! trained, is asked, since a model answers best what it was trained on; a file of the same form may say it otherwise.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::image_file::{Limits, read_bytes};
use crate::language::LanguageError;

/// What is asked.
const ASKED: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/task_prompts.json"));
/// The wordings of the training data.
const TEMPLATES: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/assets/prompt_templates.json"
));

const FORMAT: &str = "samtok-task-prompts";
const VERSION: u64 = 1;
const MAX_BYTES: u64 = 1 << 22;

/// Names of prompts, and what each has to have in it.
const NAMES: [(&str, &[&str]); 11] = [
    ("caption_region", &["{SEG}"]),
    ("caption_region_zoomed", &["{SEG}", "<image>", "{ZOOM_IN_SEG}"]),
    ("caption_regions", &["{SEG}"]),
    ("ask_region", &["{QUESTION}"]),
    ("ask_regions", &["{QUESTION}"]),
    ("describe", &[]),
    ("describe_briefly", &[]),
    ("segment", &["{class_name}"]),
    ("segment_described", &["{sent}"]),
    ("detect", &["{CATEGORIES}"]),
    ("refine", &["{QUESTION}"]),
];

/// How regions stand in a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mentions {
    /// Their words in place of each mention.
    #[default]
    Plain,
    /// Behind a tag `<Prompt0>`, `<Prompt1>`, … at their first mention; later only the tag.
    Prompts,
}

/// The wording of one kind of question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prompt {
    pub(super) question: String,
    pub(super) mentions: Mentions,
    pub(super) max_new_tokens: usize,
}

/// The wording of all kinds of questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompts {
    by_name: BTreeMap<String, Prompt>,
}

impl Default for Prompts {
    /// The published wording.
    #[expect(clippy::expect_used, reason = "the built-in file is read by a test")]
    fn default() -> Self {
        Self::parse(ASKED.as_bytes()).expect("the built-in prompts are well-formed")
    }
}

impl Prompts {
    /// The built-in file, for people who want to change it.
    #[must_use]
    pub const fn published() -> &'static str {
        ASKED
    }

    /// Reads the prompts at `path`; what it leaves out is asked as published.
    ///
    /// # Errors
    /// [`LanguageError::Question`].
    pub fn read(path: &Path) -> Result<Self, LanguageError> {
        let limits = Limits {
            max_pixels: 0,
            max_bytes: MAX_BYTES,
        };
        let failed = |reason: String| {
            LanguageError::Question(format!("cannot use these prompts: {reason}: {}", path.display()))
        };
        let bytes = read_bytes(path, &limits).map_err(|error| failed(error.to_string()))?;
        let mut prompts = Self::default();
        prompts
            .by_name
            .extend(Self::parse(&bytes).map_err(failed)?.by_name);
        Ok(prompts)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let templates: Value = serde_json::from_str(TEMPLATES).map_err(|error| error.to_string())?;
        if file["format"] != FORMAT || file["version"] != VERSION {
            return Err(format!("\"format\" must be {FORMAT:?} and \"version\" {VERSION}"));
        }
        let entries = file["prompts"]
            .as_object()
            .ok_or("\"prompts\" must be an object")?;
        let read = |(name, entry): (&String, &Value)| {
            let prompt = prompt(name, entry, &templates).map_err(|error| format!("{error}: {name:?}"))?;
            Ok((name.clone(), prompt))
        };
        Ok(Self {
            by_name: entries.iter().map(read).collect::<Result<_, String>>()?,
        })
    }

    /// The wording of `name`, one of the names of the built-in file.
    pub(super) fn get(&self, name: &str) -> Result<&Prompt, LanguageError> {
        let missing = || LanguageError::Question(format!("there is no prompt {name:?}"));
        self.by_name.get(name).ok_or_else(missing)
    }
}

fn prompt(name: &str, entry: &Value, templates: &Value) -> Result<Prompt, String> {
    let Some((_, required)) = NAMES.iter().find(|(known, _)| *known == name) else {
        let known = NAMES.map(|(known, _)| known).join(", ");
        return Err(format!("this is no prompt; use {known}"));
    };
    let questions: Vec<String> = match (&entry["published"], &entry["questions"]) {
        (Value::String(form), Value::Null) => published(form, templates)?,
        (Value::Null, Value::Array(questions)) => questions
            .iter()
            .filter_map(|question| question.as_str().map(str::to_owned))
            .collect(),
        _ => return Err("give \"published\" or a list of \"questions\"".to_owned()),
    };
    let choice = entry.get("choice").map_or(Some(0), Value::as_u64);
    let question = choice
        .and_then(|choice| questions.get(usize::try_from(choice).ok()?))
        .ok_or_else(|| format!("\"choice\" must be a number below {}", questions.len()))?;
    if let Some(missing) = required.iter().find(|part| !question.contains(**part)) {
        return Err(format!("the question must have {missing} in it"));
    }
    let max_new_tokens = entry.get("max_new_tokens").map_or(Some(1024), Value::as_u64);
    let max_new_tokens = max_new_tokens.and_then(|tokens| usize::try_from(tokens).ok());
    Ok(Prompt {
        question: question.clone(),
        mentions: match entry["mentions"].as_str() {
            None | Some("plain") => Mentions::Plain,
            Some("prompts") => Mentions::Prompts,
            Some(_) => return Err("\"mentions\" must be \"plain\" or \"prompts\"".to_owned()),
        },
        max_new_tokens: max_new_tokens
            .filter(|tokens| *tokens > 0)
            .ok_or("\"max_new_tokens\" must be a number of at least 1")?,
    })
}

/// The questions of a form of the training data, named `task/form`.
fn published(form: &str, templates: &Value) -> Result<Vec<String>, String> {
    let found = form.split_once('/').and_then(|(task, name)| {
        let forms = templates["tasks"][task].as_array()?;
        let found = forms.iter().find(|form| form["name"] == name)?;
        let around = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let (prefix, suffix) = (around("prefix"), around("suffix"));
        let questions = found["questions"].as_array()?;
        let questions = questions.iter().filter_map(Value::as_str);
        Some(
            questions
                .map(|question| format!("{prefix}{question}{suffix}"))
                .collect(),
        )
    });
    found.ok_or_else(|| format!("the published templates have no {form:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prompt_has_its_published_wording() {
        let prompts = Prompts::default();
        for (name, _) in NAMES {
            assert!(prompts.get(name).is_ok(), "{name}");
        }
        let question = |name| prompts.get(name).unwrap().question.as_str();
        assert_eq!(question("segment"), "Please segment {class_name} in this image.");
        assert_eq!(question("caption_region"), "Describe the region {SEG} in detail.");
        assert!(question("caption_region_zoomed").ends_with("the perspective as <image>, {ZOOM_IN_SEG}."));
        assert!(prompts.get("x").is_err());
    }

    #[test]
    fn slips_in_a_file_are_named_and_the_rest_is_as_published() {
        let file = |prompts: &str| format!(r#"{{"format": "{FORMAT}", "version": 1, "prompts": {prompts}}}"#);
        for (text, expected) in [
            ("{", "EOF"),
            ("{}", "\"format\" must be"),
            (&file("[]"), "must be an object"),
            (
                &file(r#"{"segmnt": {}}"#),
                "this is no prompt; use caption_region",
            ),
            (&file(r#"{"segment": {}}"#), "give \"published\" or"),
            (&file(r#"{"segment": {"published": "a/b"}}"#), "have no \"a/b\""),
            (
                &file(r#"{"segment": {"questions": ["x"]}}"#),
                "must have {class_name} in it: \"segment\"",
            ),
            (
                &file(r#"{"describe": {"questions": ["x"], "choice": 1}}"#),
                "a number below 1",
            ),
            (
                &file(r#"{"describe": {"questions": ["x"], "choice": -1}}"#),
                "a number below 1",
            ),
            (
                &file(r#"{"describe": {"questions": ["x"], "mentions": "y"}}"#),
                "\"mentions\" must be",
            ),
            (
                &file(r#"{"describe": {"questions": ["x"], "max_new_tokens": 0}}"#),
                "at least 1",
            ),
        ] {
            let error = Prompts::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.json");
        std::fs::write(&path, file(r#"{"describe": {"questions": ["Was siehst du?"]}}"#)).unwrap();
        let mine = Prompts::read(&path).unwrap();
        assert_eq!(mine.get("describe").unwrap().question, "Was siehst du?");
        assert_eq!(
            mine.get("segment").unwrap(),
            Prompts::default().get("segment").unwrap()
        );
        let error = Prompts::read(&folder.path().join("none.json"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("cannot use these prompts"), "{error}");
    }
}
