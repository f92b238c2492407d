//! Predictions and references as lines of JSON in, figures as JSON out, so that any program can ask.
//!
//! A line is an object. Masks are COCO RLEs, `{"size": [height, width], "counts": …}` with a string or a list of
//! numbers; `null`, nothing, one RLE or a list of them. Keys of the published result files are understood as they are.
//!
//! | metric | keys |
//! |---|---|
//! | `words` | `response`, `answer` |
//! | `mask_iou`, `gres`, `refcoco` | `pred_masks`, `gt_masks` |
//! | `gcg` | `pred_masks`, `gt_masks`, and if you like `scores` and `similarity` |
//!
//! `scores` has a confidence for each prediction; `similarity` compares the phrases, with a row for each prediction and
//! a column for each mask of the reference.

use std::io::{self, BufRead, Read as _, Write};
use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::grounded::{Grounded, GroundedSample};
use super::matching::{mask_iou_reward, single_mask_reward};
use super::referring::{Areas, Generalized, Plain};
use super::{ScoreError, rewards};
use crate::geometry::ImageSize;
use crate::mask::Rle;
use crate::words::{WordFormat, is_no_target};

/// The longest line; a thousand large masks take a few million bytes.
const MOST_LINE_BYTES: u64 = 256 << 20;

/// Keys under which result files have the predicted masks.
const PREDICTED: [&str; 3] = ["pred_masks", "prediction_masks", "predicted_masks"];
/// Keys under which they have those of the reference.
const REFERENCE: [&str; 4] = ["gt_masks", "target_masks", "reference_masks", "masks"];
/// Keys of the answer, and of the reference answer.
const RESPONSE: [&str; 2] = ["response", "prediction"];
const ANSWER: [&str; 3] = ["answer", "ground_truth", "reference"];
/// What tells lines apart; copied to the result.
const NAMES: [&str; 4] = ["id", "case_id", "image_id", "idx"];

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Rewards of words.
    Words,
    /// The reward of masks.
    MaskIou,
    /// Generalized referring segmentation.
    Gres,
    /// RefCOCO and its like.
    RefCoco,
    /// Grounded conversations.
    Gcg,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 5] = [Self::Words, Self::MaskIou, Self::Gres, Self::RefCoco, Self::Gcg];

    /// The name in commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::MaskIou => "mask_iou",
            Self::Gres => "gres",
            Self::RefCoco => "refcoco",
            Self::Gcg => "gcg",
        }
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|metric| metric.name() == text);
        found.ok_or_else(|| format!("choose one of {names}"))
    }
}

/// Sums over the lines so far.
#[derive(Clone, Debug)]
enum Totals {
    /// Sums of the figures of single lines by name.
    Means(Vec<(&'static str, f64)>),
    Gres(Generalized),
    RefCoco(Plain),
    Gcg(Grounded),
}

/// Scores lines one by one.
#[derive(Clone, Debug)]
pub struct Scorer {
    metric: Metric,
    format: WordFormat,
    totals: Totals,
    samples: u64,
}

impl Scorer {
    /// A scorer that has seen nothing; `format` says how words are spelled.
    #[must_use]
    pub fn new(metric: Metric, format: WordFormat) -> Self {
        Self {
            metric,
            format,
            totals: match metric {
                Metric::Words | Metric::MaskIou => Totals::Means(Vec::new()),
                Metric::Gres => Totals::Gres(Generalized::default()),
                Metric::RefCoco => Totals::RefCoco(Plain::default()),
                Metric::Gcg => Totals::Gcg(Grounded::default()),
            },
            samples: 0,
        }
    }

    /// Scores one line.
    ///
    /// # Errors
    /// [`ScoreError`]; the line does not count then.
    pub fn score(&mut self, record: &Value) -> Result<Map<String, Value>, ScoreError> {
        if !record.is_object() {
            return Err(wrong("a line must be a JSON object", ""));
        }
        let figures: Vec<(&'static str, f64)> = match &mut self.totals {
            Totals::Means(sums) => {
                let figures = match self.metric {
                    Metric::Words => word_figures(self.format, record)?,
                    _ => mask_figures(record)?,
                };
                if sums.is_empty() {
                    sums.clone_from(&figures);
                } else {
                    for ((_, sum), (_, figure)) in sums.iter_mut().zip(&figures) {
                        *sum += figure;
                    }
                }
                figures
            }
            Totals::Gres(totals) => vec![("iou", totals.add(areas(record)?))],
            Totals::RefCoco(totals) => vec![("iou", totals.add(areas(record)?))],
            Totals::Gcg(totals) => {
                let (predicted, reference) = (masks(record, &PREDICTED)?, masks(record, &REFERENCE)?);
                let (similarity, confidence) = (similarity(record)?, confidence(record)?);
                let image = totals.add(GroundedSample {
                    predicted: &predicted,
                    reference: &reference,
                    similarity: similarity.as_deref(),
                    confidence: confidence.as_deref(),
                })?;
                vec![
                    ("miou", image.miou),
                    ("recalled", image.recalled as f64),
                    ("phrases", image.phrases as f64),
                ]
            }
        };
        self.samples += 1;
        let named = NAMES
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), record.get(key)?.clone())));
        let figures = figures
            .into_iter()
            .map(|(key, figure)| (key.to_owned(), json!(figure)));
        Ok(named.chain(figures).collect())
    }

    /// The figures over all lines; `null` where there is nothing to compute one from.
    #[must_use]
    pub fn summary(&self) -> Value {
        let mut summary = json!({"metric": self.metric.name(), "samples": self.samples});
        let mut set = |key: &str, figure: Option<f64>| summary[key] = json!(figure);
        match &self.totals {
            Totals::Means(sums) => {
                for (key, sum) in sums {
                    set(key, Some(sum / self.samples as f64));
                }
            }
            Totals::Gres(totals) => {
                set("giou", totals.giou());
                set("ciou", totals.ciou());
                set("n_acc", totals.n_acc());
                set("t_acc", totals.t_acc());
            }
            Totals::RefCoco(totals) => {
                set("miou", totals.miou());
                set("ciou", totals.ciou());
            }
            Totals::Gcg(totals) => {
                set("ap50", totals.ap50());
                set("ap", totals.ap());
                set("miou", totals.miou());
                set("recall", totals.recall());
            }
        }
        summary
    }

    /// Lines that were scored.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }
}

/// What came of a stream of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streamed {
    /// Lines that were scored.
    pub scored: u64,
    /// Lines that were not: their number, from 1, and why.
    pub failed: Vec<(u64, String)>,
}

/// Scores line after line of `input`; answers each at once with a line for `each`, so that another program can wait for
/// it. Empty lines are passed over, and a line that cannot be scored is answered with `error`.
///
/// # Errors
/// What reading and writing say.
pub fn stream(
    scorer: &mut Scorer,
    input: &mut dyn BufRead,
    mut each: impl FnMut(&Value) -> io::Result<()>,
) -> io::Result<Streamed> {
    let mut streamed = Streamed::default();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if (&mut *input).take(MOST_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.len() as u64 >= MOST_LINE_BYTES && !line.ends_with(b"\n") {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {number} is longer than {MOST_LINE_BYTES} bytes; write one record per line"),
            ));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let scored = serde_json::from_slice::<Value>(&line)
            .map_err(|error| format!("no JSON: {error}"))
            .and_then(|record| scorer.score(&record).map_err(|error| error.to_string()));
        match scored {
            Ok(figures) => {
                streamed.scored += 1;
                each(&Value::Object(figures))?;
            }
            Err(error) => {
                each(&json!({"line": number, "error": error}))?;
                streamed.failed.push((number, error));
            }
        }
    }
    Ok(streamed)
}

/// A writer of one line of JSON each, handed on at once.
pub fn line_writer(out: &mut dyn Write) -> impl FnMut(&Value) -> io::Result<()> + '_ {
    |value| {
        writeln!(out, "{value}")?;
        out.flush()
    }
}

fn word_figures(format: WordFormat, record: &Value) -> Result<Vec<(&'static str, f64)>, ScoreError> {
    let (response, reference) = (text(record, &RESPONSE)?, text(record, &ANSWER)?);
    let reference = rewards::answer_part(reference).unwrap_or(reference);
    // An answer is extracted where the response has the form of a thinking model.
    let answer = if response.contains("<think>") || response.contains("<answer>") {
        rewards::answer_part(response)
    } else {
        Some(response)
    };
    let or_zero = |figure: &dyn Fn(&str) -> f64| answer.map_or(0.0, figure);
    let matching = or_zero(&|answer| rewards::answer_matching(format, answer, reference));
    let graded = or_zero(&|answer| {
        if is_no_target(reference) {
            rewards::no_target(answer, reference)
        } else {
            rewards::graded_matching(format, answer, reference)
        }
    });
    Ok(vec![
        ("answer_matching", matching),
        ("graded", graded),
        ("thinking_format", rewards::thinking_format(response)),
        (
            "word_format",
            or_zero(&|answer| rewards::word_format(format, answer)),
        ),
        (
            "mask_repeats",
            or_zero(&|answer| rewards::mask_repeats(format, answer)),
        ),
        ("word_repeats", or_zero(&rewards::word_repeats)),
    ])
}

fn mask_figures(record: &Value) -> Result<Vec<(&'static str, f64)>, ScoreError> {
    let (predicted, reference) = (masks(record, &PREDICTED)?, masks(record, &REFERENCE)?);
    let single = match (predicted.as_slice(), reference.as_slice()) {
        ([predicted], [reference]) => single_mask_reward(predicted, reference)?,
        _ => mask_iou_reward(&predicted, &reference)?,
    };
    Ok(vec![
        ("mask_iou", mask_iou_reward(&predicted, &reference)?),
        ("single_mask", single),
    ])
}

fn areas(record: &Value) -> Result<Areas, ScoreError> {
    Areas::of(&masks(record, &PREDICTED)?, &masks(record, &REFERENCE)?)
}

fn wrong(reason: impl Into<String>, key: &str) -> ScoreError {
    ScoreError::Record {
        reason: reason.into(),
        key: key.to_owned(),
    }
}

fn text<'r>(record: &'r Value, keys: &[&str]) -> Result<&'r str, ScoreError> {
    let found = keys.iter().find_map(|key| record.get(key)?.as_str());
    found.ok_or_else(|| {
        wrong(
            "there is no text under this key",
            keys.first().copied().unwrap_or_default(),
        )
    })
}

/// The masks under the first of the keys that the record has.
fn masks(record: &Value, keys: &[&str]) -> Result<Vec<Rle>, ScoreError> {
    let Some((key, value)) = keys.iter().find_map(|key| Some((*key, record.get(*key)?))) else {
        return Err(wrong(
            "there are no masks under this key",
            keys.first().copied().unwrap_or_default(),
        ));
    };
    let read = |value: &Value| rle(value).map_err(|reason| wrong(reason, key));
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items.iter().filter(|item| !item.is_null()).map(read).collect(),
        value => Ok(vec![read(value)?]),
    }
}

fn rle(value: &Value) -> Result<Rle, String> {
    let side = |index: usize| {
        value["size"]
            .get(index)?
            .as_u64()
            .and_then(|side| u32::try_from(side).ok())
    };
    let (Some(height), Some(width)) = (side(0), side(1)) else {
        return Err("a mask needs \"size\": [height, width]".to_owned());
    };
    let size = ImageSize::new(width, height);
    let read = match &value["counts"] {
        Value::String(text) => Rle::from_compressed(size, text),
        Value::Array(counts) => {
            let count = |count: &Value| count.as_u64().and_then(|count| u32::try_from(count).ok());
            let counts: Option<Vec<u32>> = counts.iter().map(count).collect();
            Rle::from_counts(
                size,
                counts.ok_or("\"counts\" holds something that is no number of pixels")?,
            )
        }
        _ => return Err("a mask needs \"counts\", a text or a list of numbers".to_owned()),
    };
    read.map_err(|error| error.to_string())
}

fn similarity(record: &Value) -> Result<Option<Vec<Vec<f64>>>, ScoreError> {
    const KEY: &str = "similarity";
    let Some(value) = record.get(KEY).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let row = |row: &Value| {
        row.as_array()?
            .iter()
            .map(Value::as_f64)
            .collect::<Option<Vec<f64>>>()
    };
    let rows = value.as_array().and_then(|rows| rows.iter().map(row).collect());
    rows.map(Some)
        .ok_or_else(|| wrong("there must be a list of lists of numbers under this key", KEY))
}

fn confidence(record: &Value) -> Result<Option<Vec<f64>>, ScoreError> {
    const KEY: &str = "scores";
    let Some(value) = record.get(KEY).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let numbers = value
        .as_array()
        .and_then(|numbers| numbers.iter().map(Value::as_f64).collect());
    numbers
        .map(Some)
        .ok_or_else(|| wrong("there must be a list of numbers under this key", KEY))
}

#[cfg(test)]
mod tests {
    use super::super::sample::rect;
    use super::*;

    fn mask(rle: &Rle) -> Value {
        json!({"size": [rle.size().height, rle.size().width], "counts": rle.to_compressed()})
    }

    fn run(metric: Metric, lines: &[String]) -> (Vec<Value>, Streamed, Value) {
        let mut scorer = Scorer::new(metric, WordFormat::PUBLISHED);
        let mut answers = Vec::new();
        let text = lines.join("\n");
        let streamed = stream(&mut scorer, &mut text.as_bytes(), |value| {
            answers.push(value.clone());
            Ok(())
        });
        (answers, streamed.unwrap(), scorer.summary())
    }

    #[test]
    fn every_line_is_answered_and_bad_ones_do_not_count() {
        let (left, all) = (rect(0, 0, 5, 10), rect(0, 0, 10, 10));
        let good = json!({"case_id": 7, "gt_masks": mask(&left), "pred_masks": [mask(&all)]}).to_string();
        let uncompressed =
            json!({"gt_masks": {"size": [10, 10], "counts": [0, 50, 50]}, "prediction_masks": null});
        let lines = [
            good,
            String::new(),
            "{".to_owned(),
            "[]".to_owned(),
            uncompressed.to_string(),
            json!({"gt_masks": null}).to_string(),
            json!({"gt_masks": [{"size": [10, 10]}], "pred_masks": []}).to_string(),
            json!({"gt_masks": [{"size": [1, 1], "counts": "1"}], "pred_masks": [mask(&left)]}).to_string(),
            json!({"gt_masks": [{"size": [99999999, 99999999], "counts": "1"}], "pred_masks": []})
                .to_string(),
            json!({"gt_masks": [], "pred_masks": []}).to_string(),
        ];
        let (answers, streamed, summary) = run(Metric::Gres, &lines);
        assert_eq!(answers.len(), 9);
        assert_eq!(answers[0]["case_id"], 7);
        assert!((answers[0]["iou"].as_f64().unwrap() - 0.5).abs() < 1e-9);
        let numbers: Vec<u64> = streamed.failed.iter().map(|(line, _)| *line).collect();
        assert_eq!((streamed.scored, numbers), (3, vec![3, 4, 6, 7, 8, 9]));
        assert_eq!(
            (&summary["samples"], &summary["n_acc"], &summary["t_acc"]),
            (&json!(3), &json!(1.0), &json!(0.5))
        );
    }

    #[test]
    fn every_metric_has_its_figures() {
        let left = rect(0, 0, 5, 10);
        let words = "<|mt_start|><|mt_0001|><|mt_0256|><|mt_end|>";
        let cases = [
            (
                Metric::Words,
                json!({"response": words, "answer": words}),
                "answer_matching",
                1.0,
            ),
            (
                Metric::Words,
                json!({"response": format!("<think>x</think><answer>{words}</answer>"), "answer": format!("<answer>{words}</answer>")}),
                "graded",
                1.0,
            ),
            (
                Metric::Words,
                json!({"response": format!("<think>x {words}"), "answer": words}),
                "answer_matching",
                0.0,
            ),
            (
                Metric::Words,
                json!({"response": "Nothing.", "answer": "No target."}),
                "graded",
                0.2,
            ),
            (
                Metric::Words,
                json!({"response": "No target.", "answer": "No target."}),
                "graded",
                1.0,
            ),
            (
                Metric::MaskIou,
                json!({"masks": [mask(&left)], "pred_masks": mask(&left)}),
                "mask_iou",
                1.0,
            ),
            (
                Metric::MaskIou,
                json!({"masks": null, "pred_masks": []}),
                "single_mask",
                1.0,
            ),
            (
                Metric::Gres,
                json!({"gt_masks": [], "pred_masks": []}),
                "giou",
                1.0,
            ),
            (
                Metric::RefCoco,
                json!({"gt_masks": [], "pred_masks": []}),
                "miou",
                1.0,
            ),
            (
                Metric::Gcg,
                json!({"gt_masks": [mask(&left)], "pred_masks": [mask(&left)], "similarity": [[0.4]]}),
                "recall",
                0.0,
            ),
            (
                Metric::Gcg,
                json!({"gt_masks": [mask(&left)], "pred_masks": [mask(&left)]}),
                "recall",
                1.0,
            ),
        ];
        for (metric, record, key, expected) in cases {
            let mut scorer = Scorer::new(metric, WordFormat::PUBLISHED);
            scorer.score(&record).unwrap();
            let summary = scorer.summary();
            assert_eq!(summary[key].as_f64(), Some(expected), "{record}: {summary}");
            assert_eq!(metric.name().parse(), Ok(metric));
        }
        assert!("giou".parse::<Metric>().unwrap_err().contains("gres"));
        let nothing = Scorer::new(Metric::Gcg, WordFormat::PUBLISHED).summary();
        assert_eq!((&nothing["samples"], &nothing["ap50"]), (&json!(0), &Value::Null));
    }
}
