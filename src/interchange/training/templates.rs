//! The wording of questions and answers: the published templates, or a file of the user's in their place.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::TrainingError;
use super::record::Speech;
use crate::image_file::{Limits, read_bytes};

/// The published templates.
const PUBLISHED: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/assets/prompt_templates.json"
));

const FORMAT: &str = "samtok-prompt-templates";
const VERSION: u32 = 1;

/// Names that have templates; every other name in a file is a slip.
const TASKS: [&str; 11] = [
    "region_caption",
    "regions_caption",
    "zoom_in",
    "caption",
    "region_qa",
    "region_qa_zoom_in",
    "grounded_caption",
    "referring_segmentation",
    "no_target",
    "reasoning_segmentation",
    "scene_graph",
];

/// What stands for the user's own words in a question.
pub(super) const SUBJECTS: [&str; 3] = ["class_name", "sent", "caption"];

/// The file of an export with the templates that were used, to be edited for another one.
pub(super) const FILE: &str = "prompt_templates.json";

/// The templates by task.
#[derive(Clone, Debug)]
pub struct Templates {
    tasks: BTreeMap<String, Vec<Form>>,
    scene_graph: SceneGraphVocabulary,
    file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    tasks: BTreeMap<String, Vec<Form>>,
    #[serde(default)]
    scene_graph: SceneGraphVocabulary,
}

/// The candidates that scene graph questions list; where empty, those of the image itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SceneGraphVocabulary {
    pub(super) categories: Vec<String>,
    pub(super) predicates: Vec<String>,
}

/// One way of asking and answering.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    /// What people call it; of no effect.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "names the form in the file and in debug output")
    )]
    name: String,
    /// How often it is chosen among the forms that fit; 0 is never.
    #[serde(default = "one")]
    weight: f64,
    /// Only for user texts that are phrases, or only for sentences.
    subject: Option<Subject>,
    /// Only for one region, or only for several.
    regions: Option<Count>,
    /// Only for short answers, or only for long ones.
    length: Option<Length>,
    /// How masks stand in the text.
    #[serde(default)]
    pub(super) mentions: Mentions,
    /// How several masks in one place are listed.
    #[serde(default)]
    pub(super) list: List,
    /// Put before every question.
    #[serde(default)]
    prefix: String,
    /// Put behind every question.
    #[serde(default)]
    pub(super) suffix: String,
    /// A question of its own before the question.
    pub(super) first: Option<String>,
    /// The questions; none means the user's text as it is.
    #[serde(default)]
    questions: Vec<String>,
    /// The answers for user answers that only name regions; none means the answer as it is.
    #[serde(default)]
    answers: Vec<String>,
    /// Takes the place of the question's full stop in rows for reinforcement learning.
    pub(super) rl_ending: Option<String>,
}

const fn one() -> f64 {
    1.0
}

/// Whether a user's text is only the name of something or a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Subject {
    Phrase,
    Sentence,
}

impl Subject {
    /// Sentences end like sentences.
    pub(super) fn of(text: &str) -> Self {
        let ends = ['.', '?', '!', '。', '？', '！', ':'];
        if text.trim_end().ends_with(ends) || text.contains('\n') {
            Self::Sentence
        } else {
            Self::Phrase
        }
    }
}

/// How many regions are in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Count {
    One,
    Several,
}

/// How long an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Length {
    /// One sentence.
    Brief,
    /// Several sentences.
    Detail,
}

/// How masks stand in a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mentions {
    /// In place of their mention.
    #[default]
    Plain,
    /// Behind a tag `<Prompt0>`, `<Prompt1>`, … at their first mention; later only the tag.
    Prompts,
    /// Behind their phrase between `<|object_ref_start|>` and `<|object_ref_end|>`.
    Tags,
    /// Behind their phrase, without tags.
    Dense,
    /// Behind their phrase, in parentheses.
    Parentheses,
}

/// How several masks in one place are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum List {
    /// `a, b, c`
    #[default]
    Comma,
    /// `a, b and c`
    And,
    /// `a, b, and c`, but `a and b`
    Oxford,
}

impl List {
    /// The masks of `regions`, listed.
    pub(super) fn masks(self, regions: &[usize]) -> Speech {
        let last = match self {
            Self::Comma => ", ",
            Self::Oxford if regions.len() > 2 => ", and ",
            Self::And | Self::Oxford => " and ",
        };
        Speech::masks(regions, ", ", last)
    }
}

/// What a form has to fit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    pub(super) subject: Option<Subject>,
    pub(super) regions: Option<Count>,
    pub(super) length: Option<Length>,
    /// Whether phrases cannot be tagged, so that only dense forms fit.
    pub(super) dense: bool,
    /// Whether nothing is known that a question could list.
    pub(super) unlisted: bool,
}

/// A seeded choice that depends on nothing but what it is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw([u64; 3]);

impl Draw {
    /// The draw for one record of one image.
    pub(super) fn new(seed: u64, image: &str, origin: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.update(image.as_bytes());
        hasher.update(&[0]);
        hasher.update(origin.as_bytes());
        let hash = hasher.finalize();
        let mut numbers = hash
            .as_bytes()
            .as_chunks::<8>()
            .0
            .iter()
            .map(|bytes| u64::from_le_bytes(*bytes));
        Self(std::array::from_fn(|_| numbers.next().unwrap_or_default()))
    }

    /// The first number as a fraction from 0 to below 1.
    pub(super) fn fraction(self) -> f64 {
        let [first, ..] = self.0;
        (first >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One of `items`.
fn pick(items: &[String], number: u64) -> Option<&str> {
    let index = number.checked_rem(items.len() as u64)?;
    items.get(usize::try_from(index).ok()?).map(String::as_str)
}

/// The form for one record, with its question and answer chosen.
#[derive(Clone, Debug)]
pub(super) struct Chosen<'t> {
    pub(super) form: &'t Form,
    /// The question's template; `None` for the user's text as it is.
    pub(super) question: Option<String>,
    /// The answer's template; `None` for the user's text as it is.
    pub(super) answer: Option<&'t str>,
}

impl Default for Templates {
    /// The published templates.
    #[expect(clippy::expect_used, reason = "the built-in file is read by a test")]
    fn default() -> Self {
        Self::parse(PUBLISHED.as_bytes()).expect("the built-in templates are well-formed")
    }
}

impl Templates {
    /// The published file, for people who want to change it.
    #[must_use]
    pub const fn published() -> &'static str {
        PUBLISHED
    }

    /// Reads the templates at `path`.
    ///
    /// # Errors
    /// [`TrainingError::Templates`] or an I/O error.
    pub fn read(path: &Path) -> Result<Self, TrainingError> {
        const MAX_BYTES: u64 = 1 << 24;
        let limits = Limits {
            max_pixels: 0,
            max_bytes: MAX_BYTES,
        };
        let failed = |reason: String| TrainingError::Templates {
            reason,
            path: path.to_path_buf(),
        };
        let bytes = read_bytes(path, &limits).map_err(|error| failed(error.to_string()))?;
        Self::parse(&bytes).map_err(failed)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if file.format != FORMAT || file.version != VERSION {
            return Err(format!("\"format\" must be {FORMAT:?} and \"version\" {VERSION}"));
        }
        for (task, forms) in &file.tasks {
            if !TASKS.contains(&task.as_str()) {
                return Err(format!("{task:?} is no task; use one of {}", TASKS.join(", ")));
            }
            if let Some(form) = forms
                .iter()
                .find(|form| !form.weight.is_finite() || form.weight < 0.0)
            {
                return Err(format!(
                    "the weight {} under {task:?} is not 0 or more",
                    form.weight
                ));
            }
        }
        Ok(Self {
            tasks: file.tasks,
            scene_graph: file.scene_graph,
            file: text.to_owned(),
        })
    }

    /// The published templates with this form of `task` and no other.
    #[cfg(test)]
    pub(super) fn only(task: &str, form: &str) -> Self {
        let mut templates = Self::default();
        let forms = templates.tasks.get_mut(task).unwrap();
        forms.retain(|known| known.name == form);
        assert_eq!(forms.len(), 1, "{task} {form}");
        templates
    }

    /// BLAKE3 of the file, in hexadecimal.
    #[must_use]
    pub fn blake3(&self) -> String {
        blake3::hash(self.file.as_bytes()).to_hex().to_string()
    }

    /// The file that they were read from.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn scene_graph(&self) -> &SceneGraphVocabulary {
        &self.scene_graph
    }

    fn forms(&self, task: &str) -> &[Form] {
        self.tasks.get(task).map_or(&[], Vec::as_slice)
    }

    /// A form of `task` that fits, by weight; where all that fit have weight 0, any of them.
    pub(super) fn choose(&self, task: &str, wanted: Wanted, draw: Draw) -> Option<Chosen<'_>> {
        let fits = |form: &&Form| {
            (form.subject.is_none() || wanted.subject.is_none() || form.subject == wanted.subject)
                && (form.regions.is_none() || wanted.regions.is_none() || form.regions == wanted.regions)
                && (form.length.is_none() || wanted.length.is_none() || form.length == wanted.length)
                && (form.mentions == Mentions::Dense) == wanted.dense
                && !(wanted.unlisted && (form.first.is_some() || form.prefix.contains('{')))
        };
        let fitting: Vec<&Form> = self.forms(task).iter().filter(fits).collect();
        let total: f64 = fitting.iter().map(|form| form.weight).sum();
        let mut point = draw.fraction() * if total > 0.0 { total } else { fitting.len() as f64 };
        let mut chosen = *fitting.first()?;
        for form in fitting {
            let weight = if total > 0.0 { form.weight } else { 1.0 };
            if weight > 0.0 {
                chosen = form;
                if point < weight {
                    break;
                }
            }
            point -= weight;
        }
        let Draw([_, question, answer]) = draw;
        Some(Chosen {
            form: chosen,
            question: pick(&chosen.questions, question)
                .map(|question| format!("{}{question}{}", chosen.prefix, chosen.suffix)),
            answer: pick(&chosen.answers, answer),
        })
    }

    /// The user's own words in `text`, where it is a question of `task` with them filled in.
    pub(super) fn subject_in<'x>(&self, task: &str, text: &'x str) -> Option<&'x str> {
        let questions = self.forms(task).iter().flat_map(|form| &form.questions);
        questions
            .filter_map(|question| {
                let (before, after) = SUBJECTS
                    .iter()
                    .find_map(|name| question.split_once(&format!("{{{name}}}")))?;
                let inside = text.strip_prefix(before)?.strip_suffix(after)?;
                let is_all = before.is_empty() && after.is_empty();
                (!is_all && !inside.trim().is_empty()).then_some(inside)
            })
            // The question that says most itself: "Can you segment the X" rather than "Can you segment X".
            .min_by_key(|inside| inside.len())
    }

    /// Whether `text` is one of the questions of `task`.
    pub(super) fn is_question(&self, task: &str, text: &str) -> bool {
        let mut questions = self.forms(task).iter().flat_map(|form| &form.questions);
        questions.any(|question| question == text)
    }

    /// Whether `text`, with its masks as `{SEG}`, is one of the answers of `task`.
    pub(super) fn is_answer(&self, task: &str, text: &str) -> bool {
        let mut answers = self.forms(task).iter().flat_map(|form| &form.answers);
        answers.any(|answer| answer == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_has_published_templates_and_slips_are_named() {
        let templates = Templates::parse(PUBLISHED.as_bytes()).unwrap();
        for task in TASKS {
            assert!(!templates.forms(task).is_empty(), "{task}");
        }
        let cases = [
            ("{}", "missing field"),
            (
                r#"{"format": "x", "version": 1, "tasks": {}}"#,
                "\"format\" must be",
            ),
            (
                r#"{"format": "samtok-prompt-templates", "version": 2, "tasks": {}}"#,
                "\"version\" 1",
            ),
            (
                r#"{"format": "samtok-prompt-templates", "version": 1, "tasks": {"captions": []}}"#,
                "is no task",
            ),
            (
                r#"{"format": "samtok-prompt-templates", "version": 1, "tasks": {"caption": [{"name": "a", "wight": 1}]}}"#,
                "wight",
            ),
            (
                r#"{"format": "samtok-prompt-templates", "version": 1, "tasks": {"caption": [{"name": "a", "weight": -1}]}}"#,
                "is not 0 or more",
            ),
        ];
        for (text, expected) in cases {
            let error = Templates::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn choices_follow_the_weights_and_the_seed_alone() {
        let file = |weights: [f64; 2]| {
            let forms = serde_json::json!([
                {"name": "a", "weight": weights[0], "questions": ["a0", "a1"]},
                {"name": "b", "weight": weights[1], "questions": ["b"]},
            ]);
            let file = serde_json::json!({"format": FORMAT, "version": 1, "tasks": {"caption": forms}});
            Templates::parse(file.to_string().as_bytes()).unwrap()
        };
        let shares = |templates: &Templates| {
            let mut counts = [0; 3];
            for record in 0..3000 {
                let draw = Draw::new(7, "a.jpg", &record.to_string());
                let question = templates
                    .choose("caption", Wanted::default(), draw)
                    .unwrap()
                    .question
                    .unwrap();
                counts[["a0", "a1", "b"]
                    .iter()
                    .position(|name| *name == question)
                    .unwrap()] += 1;
            }
            counts
        };
        let [a0, a1, b] = shares(&file([1.0, 1.0]));
        assert!(b > 1350 && b < 1650 && a0 > 650 && a1 > 650, "{a0} {a1} {b}");
        let [.., b] = shares(&file([1.0, 0.0]));
        assert_eq!(b, 0);
        let [a0, _, b] = shares(&file([0.0, 0.0]));
        assert!(b > 1350 && a0 > 650);
        let draw = |seed, image, origin| Draw::new(seed, image, origin).0;
        assert_eq!(draw(1, "a", "b"), draw(1, "a", "b"));
        assert!(draw(1, "a", "b") != draw(2, "a", "b") && draw(1, "a", "b") != draw(1, "ab", ""));
    }

    #[test]
    fn a_users_question_is_known_as_one_of_the_templates() {
        let templates = Templates::default();
        let cases = [
            ("Can you segment the red cup in this image?", Some("red cup")),
            ("Please segment the red cup in this image", Some("the red cup")),
            (
                "Find \"the cup\" in the image and output the pixel mask.",
                Some("the cup"),
            ),
            ("Please segment  in this image.", None),
            ("the red cup", None),
        ];
        for (text, expected) in cases {
            assert_eq!(
                templates.subject_in("referring_segmentation", text),
                expected,
                "{text}"
            );
        }
        assert_eq!(
            templates.subject_in(
                "reasoning_segmentation",
                "Which one is hot? Please output segmentation mask."
            ),
            Some("Which one is hot?")
        );
        assert!(templates.is_answer("referring_segmentation", "Sure, it is {SEG}."));
    }
}
