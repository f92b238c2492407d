//! What became of proposals: how many were accepted as they were, mended or rejected, and how far they were mended.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::deciding;
use super::{DECIDED_KEY, PROPOSAL_KEY};
use crate::dataset::{Conversation, Document, Region, Role, Status, UnknownKeys};
use crate::geometry::ImageSize;
use crate::mask::Rle;
use crate::scores;

/// Texts of more characters than this are compared word by word.
const MOST_CHARS: usize = 2_000;
/// The most words that are compared.
const MOST_WORDS: usize = 4_000;

/// What a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decision {
    /// Nothing yet.
    Open,
    /// It is good as it is.
    Accepted,
    /// It is good with changes.
    Mended,
    /// It is of no use.
    Rejected,
}

/// What became of one proposal.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The model that made it.
    pub model: String,
    /// What it was asked to do.
    pub task: String,
    /// The label of the region; empty for texts about the whole image.
    pub label: String,
    /// What was decided.
    pub decision: Decision,
    /// IoU of the proposed mask with what it became, for regions that were not rejected.
    pub iou: Option<f64>,
    /// [`text_distance`] of the proposed text to what it became, for texts that were not rejected.
    pub text_distance: Option<f64>,
}

/// The outcomes of all proposals of a document; what a person deleted without deciding on it left no trace and is not
/// among them.
#[must_use]
pub fn outcomes(document: &Document) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for region in &document.regions {
        outcomes.extend(of_region(region));
        for caption in &region.captions {
            let status = deciding::status_of_caption(region, caption);
            outcomes.extend(of_text(&caption.unknown, &region.label, status, &caption.text));
        }
    }
    for conversation in &document.conversations {
        let answer = answers(conversation);
        outcomes.extend(of_text(&conversation.unknown, "", conversation.status, &answer));
    }
    let decided = document.unknown.get(DECIDED_KEY).and_then(Value::as_array);
    outcomes.extend(decided.into_iter().flatten().filter_map(of_decided));
    outcomes
}

/// All that the model said in a conversation.
pub(super) fn answers(conversation: &Conversation) -> String {
    let answers = conversation
        .turns
        .iter()
        .filter(|turn| turn.role == Role::Assistant);
    answers
        .map(|turn| turn.text.as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

/// What became of a proposal that is no longer there.
fn of_decided(kept: &Value) -> Option<Outcome> {
    let is_linked = kept["decision"].as_str()? == deciding::LINKED;
    let is_region = kept["mask"].is_object();
    Some(Outcome {
        model: kept["model"].as_str()?.to_owned(),
        task: kept["task"].as_str()?.to_owned(),
        label: kept["label"].as_str().unwrap_or_default().to_owned(),
        decision: if is_linked {
            Decision::Accepted
        } else {
            Decision::Rejected
        },
        iou: kept["iou"].as_f64().filter(|_| is_linked && is_region),
        text_distance: None,
    })
}

fn of_region(region: &Region) -> Option<Outcome> {
    let kept = region.unknown.get(PROPOSAL_KEY)?;
    let side = |index: usize| u32::try_from(kept["mask"]["size"].get(index)?.as_u64()?).ok();
    let size = ImageSize::new(side(1)?, side(0)?);
    let proposed = Rle::from_compressed(size, kept["mask"]["counts"].as_str()?).ok()?;
    let is_same = proposed == region.mask.rle && kept["label"].as_str() == Some(&region.label);
    let decision = decision(region.status, is_same);
    Some(Outcome {
        model: kept["model"].as_str()?.to_owned(),
        task: kept["task"].as_str()?.to_owned(),
        label: region.label.clone(),
        decision,
        iou: scores::iou(&proposed, &region.mask.rle)
            .ok()
            .filter(|_| matches!(decision, Decision::Accepted | Decision::Mended)),
        text_distance: None,
    })
}

fn of_text(unknown: &UnknownKeys, label: &str, status: Status, text: &str) -> Option<Outcome> {
    let kept = unknown.get(PROPOSAL_KEY)?;
    let proposed = kept["text"].as_str()?;
    let decision = decision(status, proposed == text);
    Some(Outcome {
        model: kept["model"].as_str()?.to_owned(),
        task: kept["task"].as_str()?.to_owned(),
        label: label.to_owned(),
        decision,
        iou: None,
        text_distance: matches!(decision, Decision::Accepted | Decision::Mended)
            .then(|| text_distance(proposed, text)),
    })
}

const fn decision(status: Status, is_same: bool) -> Decision {
    match (status, is_same) {
        (Status::Draft, _) => Decision::Open,
        (Status::Rejected, _) => Decision::Rejected,
        (Status::Done | Status::Approved, true) => Decision::Accepted,
        (Status::Done | Status::Approved, false) => Decision::Mended,
    }
}

/// How much of a text was changed: the least number of characters to add, remove or replace, over the length of the
/// longer text; 0 for equal texts and 1 for entirely different ones. Long texts are compared word by word.
#[must_use]
pub fn text_distance(before: &str, after: &str) -> f64 {
    if before.chars().count().max(after.chars().count()) <= MOST_CHARS {
        let (before, after): (Vec<char>, Vec<char>) = (before.chars().collect(), after.chars().collect());
        return distance(&before, &after);
    }
    let words = |text: &'_ str| -> Vec<String> {
        text.split_whitespace()
            .take(MOST_WORDS)
            .map(str::to_owned)
            .collect()
    };
    distance(&words(before), &words(after))
}

fn distance<T: PartialEq>(before: &[T], after: &[T]) -> f64 {
    let longer = before.len().max(after.len());
    if longer == 0 {
        return 0.0;
    }
    let mut row: Vec<usize> = (0..=after.len()).collect();
    for (index, item) in before.iter().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, other) in row.iter_mut().skip(1).zip(after) {
            let replaced = diagonal + usize::from(item != other);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0) as f64 / longer as f64
}

/// The figures of some outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OutcomeFigures {
    /// Proposals that nobody decided on.
    pub open: u64,
    /// Those that were accepted as they were.
    pub accepted: u64,
    /// Those that were accepted with changes.
    pub mended: u64,
    /// Those that were rejected.
    pub rejected: u64,
    iou: (f64, u64),
    text_distance: (f64, u64),
}

impl OutcomeFigures {
    /// Counts an outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        match outcome.decision {
            Decision::Open => self.open += 1,
            Decision::Accepted => self.accepted += 1,
            Decision::Mended => self.mended += 1,
            Decision::Rejected => self.rejected += 1,
        }
        for (sum, figure) in [
            (&mut self.iou, outcome.iou),
            (&mut self.text_distance, outcome.text_distance),
        ] {
            if let Some(figure) = figure {
                sum.0 += figure;
                sum.1 += 1;
            }
        }
    }

    /// Counts what others counted.
    fn merge(&mut self, other: &Self) {
        self.open += other.open;
        self.accepted += other.accepted;
        self.mended += other.mended;
        self.rejected += other.rejected;
        for (sum, more) in [
            (&mut self.iou, other.iou),
            (&mut self.text_distance, other.text_distance),
        ] {
            sum.0 += more.0;
            sum.1 += more.1;
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.open + self.accepted + self.mended + self.rejected
    }

    /// The share of decided proposals that were accepted, with changes or without.
    #[must_use]
    pub fn accept_rate(&self) -> Option<f64> {
        let kept = self.accepted + self.mended;
        mean((kept as f64, kept + self.rejected))
    }

    /// The mean IoU of proposed masks with what they became.
    #[must_use]
    pub fn mean_iou(&self) -> Option<f64> {
        mean(self.iou)
    }

    /// The mean distance of proposed texts to what they became.
    #[must_use]
    pub fn mean_text_distance(&self) -> Option<f64> {
        mean(self.text_distance)
    }

    /// All figures; those that cannot be computed are `null`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "open": self.open,
            "accepted": self.accepted,
            "mended": self.mended,
            "rejected": self.rejected,
            "accept_rate": self.accept_rate(),
            "mean_iou": self.mean_iou(),
            "mean_text_distance": self.mean_text_distance(),
        })
    }
}

fn mean((sum, count): (f64, u64)) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

/// By what figures are summed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupBy {
    /// The model.
    #[default]
    Model,
    /// What it was asked to do.
    Task,
    /// The label of the region.
    Label,
}

/// Figures by model, task and label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutcomeTable {
    rows: BTreeMap<(String, String, String), OutcomeFigures>,
}

impl OutcomeTable {
    /// Counts the proposals of a document.
    pub fn add(&mut self, document: &Document) {
        for outcome in outcomes(document) {
            let key = (outcome.model.clone(), outcome.task.clone(), outcome.label.clone());
            self.rows.entry(key).or_default().add(&outcome);
        }
    }

    /// Model, task and label with their figures, in order.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &str, &str, &OutcomeFigures)> {
        self.rows
            .iter()
            .map(|((model, task, label), figures)| (model.as_str(), task.as_str(), label.as_str(), figures))
    }

    /// Figures by one of the three alone, those with the most proposals first.
    #[must_use]
    pub fn by(&self, group: GroupBy) -> Vec<(&str, OutcomeFigures)> {
        let mut sums: BTreeMap<&str, OutcomeFigures> = BTreeMap::new();
        for (model, task, label, figures) in self.rows() {
            let name = match group {
                GroupBy::Model => model,
                GroupBy::Task => task,
                GroupBy::Label => label,
            };
            sums.entry(name).or_default().merge(figures);
        }
        let mut rows: Vec<_> = sums.into_iter().collect();
        rows.sort_by_key(|(_, figures)| std::cmp::Reverse(figures.total()));
        rows
    }

    /// All together.
    #[must_use]
    pub fn all(&self) -> OutcomeFigures {
        let mut all = OutcomeFigures::default();
        self.rows.values().for_each(|figures| all.merge(figures));
        all
    }
}
