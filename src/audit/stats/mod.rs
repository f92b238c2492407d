//! Counts what is in a folder of annotations: classes, sizes, words, texts, and who did what and when.

mod chart;
mod codes;
mod counts;
mod csv;
mod json;
mod page;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

pub use self::codes::{CodeUse, Model, ModelUse, WordUse};
pub use self::counts::{Count, Distribution, Tally};
pub use self::csv::CsvFile;
pub use self::shape::{SizeClass, thinness};

use super::listing::{Entry, Listing};
use super::{OnProgress, in_order};
use crate::dataset::folder::{FolderError, FolderProblem};
use crate::dataset::{Document, Role, Sidecar, Status, Task, UnknownKeys, sidecar_path};

/// Names of one kind that are counted apart.
const MAX_NAMES: usize = 10_000;
/// Values of one attribute that are counted apart.
const MAX_VALUES: usize = 200;
/// Keys under which programs say who reviewed something.
const REVIEWER_KEYS: [&str; 2] = ["reviewer", "reviewed_by"];
/// Where the bins of [`Stats::thinness`] begin; the last one has no end.
pub const THINNESS_BINS: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];
/// The unit of [`Stats::ious`].
pub const IOU_UNITS: u64 = 10_000;

/// What to call rare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsOptions {
    /// Codes that are used, though fewer times than this, are rare.
    pub rare_below: u64,
}

impl Default for StatsOptions {
    fn default() -> Self {
        Self { rare_below: 5 }
    }
}

/// How many images there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageCounts {
    /// Images with a sidecar that could be read, those that are missing themselves included.
    pub annotated: u64,
    /// Images without sidecar.
    pub not_annotated: u64,
    /// Sidecars that could not be read; nothing of them is counted.
    pub unreadable: u64,
    /// Sidecars beside no image.
    pub missing: u64,
}

/// What is known of the regions of one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassUse {
    /// Regions with this label.
    pub regions: u64,
    /// Images that have such a region.
    pub images: u64,
    /// Pixels of all of them.
    pub area_px: u64,
    /// Regions by [`SizeClass`].
    pub sizes: [u64; SizeClass::ALL.len()],
}

impl Count for ClassUse {
    fn add(&mut self, other: Self) {
        self.regions += other.regions;
        self.images += other.images;
        self.area_px = self.area_px.saturating_add(other.area_px);
        add_each(&mut self.sizes, other.sizes);
    }

    fn weight(&self) -> u64 {
        self.regions
    }
}

/// Lengths of texts of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextLengths {
    /// In words, which are what stands between spaces.
    pub words: Distribution,
    /// In characters.
    pub characters: Distribution,
}

/// Kinds of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// Captions of regions.
    Caption,
    /// Turns of the user.
    UserTurn,
    /// Turns of the assistant.
    AssistantTurn,
}

impl TextKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Caption, Self::UserTurn, Self::AssistantTurn];

    /// The name in JSON and CSV.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caption => "caption",
            Self::UserTurn => "user_turn",
            Self::AssistantTurn => "assistant_turn",
        }
    }
}

/// How many are in each state, in the order of [`Status::ALL`].
pub type StatusCounts = [u64; Status::ALL.len()];

/// What is in a folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// What it was asked to call rare.
    pub options: StatsOptions,
    /// Whether the whole folder was counted.
    pub is_complete: bool,
    /// Images.
    pub images: ImageCounts,
    /// Regions of each annotated image.
    pub regions_per_image: Distribution,
    /// Captions of each region.
    pub captions_per_region: Distribution,
    /// Turns of each conversation.
    pub turns_per_conversation: Distribution,
    /// Regions by label; regions without one under the empty name.
    pub classes: Tally<ClassUse>,
    /// Regions by [`SizeClass`].
    pub sizes: [u64; SizeClass::ALL.len()],
    /// Regions by the base-2 logarithm of their number of pixels, rounded down; empty ones are left out.
    pub areas_log2: Distribution,
    /// Regions by [`thinness`], in bins that begin at [`THINNESS_BINS`]; empty ones are left out.
    pub thinness: [u64; THINNESS_BINS.len()],
    /// Words and codes.
    pub words: WordUse,
    /// Recorded round-trip IoUs in units of 1 / [`IOU_UNITS`].
    pub ious: Distribution,
    /// Lengths of texts, in the order of [`TextKind::ALL`].
    pub texts: [TextLengths; TextKind::ALL.len()],
    /// Conversations by task, in the order of [`Task::ALL`].
    pub tasks: [u64; Task::ALL.len()],
    /// States of the annotated images.
    pub image_statuses: StatusCounts,
    /// States of the regions.
    pub region_statuses: StatusCounts,
    /// States of the conversations.
    pub conversation_statuses: StatusCounts,
    /// Captions by author; those without one under the empty name.
    pub authors: Tally,
    /// Images, regions and conversations by who reviewed them, where a program wrote that down.
    pub reviewers: Tally,
    /// Regions by the tool or file they came from.
    pub sources: Tally,
    /// Regions by the values of their attributes.
    pub attributes: BTreeMap<String, Tally>,
    /// Annotated images by the day of their last change, as `2026-01-31`; those that do not say it are left out.
    pub days: BTreeMap<String, u64>,
}

impl Stats {
    fn new(options: StatsOptions) -> Self {
        Self {
            options,
            is_complete: false,
            images: ImageCounts::default(),
            regions_per_image: Distribution::default(),
            captions_per_region: Distribution::default(),
            turns_per_conversation: Distribution::default(),
            classes: Tally::new(MAX_NAMES),
            sizes: [0; SizeClass::ALL.len()],
            areas_log2: Distribution::default(),
            thinness: [0; THINNESS_BINS.len()],
            words: WordUse::default(),
            ious: Distribution::default(),
            texts: Default::default(),
            tasks: [0; Task::ALL.len()],
            image_statuses: [0; Status::ALL.len()],
            region_statuses: [0; Status::ALL.len()],
            conversation_statuses: [0; Status::ALL.len()],
            authors: Tally::new(MAX_NAMES),
            reviewers: Tally::new(MAX_NAMES),
            sources: Tally::new(MAX_NAMES),
            attributes: BTreeMap::new(),
            days: BTreeMap::new(),
        }
    }

    /// Regions that were counted.
    #[must_use]
    pub fn regions(&self) -> u64 {
        self.sizes.iter().sum()
    }

    /// Captions that were counted.
    #[must_use]
    pub fn captions(&self) -> u64 {
        self.texts_of(TextKind::Caption).characters.count()
    }

    /// Conversations that were counted.
    #[must_use]
    pub fn conversations(&self) -> u64 {
        self.tasks.iter().sum()
    }

    /// Lengths of the texts of one kind.
    #[must_use]
    pub const fn texts_of(&self, kind: TextKind) -> &TextLengths {
        let [captions, user, assistant] = &self.texts;
        match kind {
            TextKind::Caption => captions,
            TextKind::UserTurn => user,
            TextKind::AssistantTurn => assistant,
        }
    }

    /// The sum of what was recorded as tasks, statuses and so on, as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json::document(self)
    }

    /// The same as tables, one file for each, in RFC 4180's CSV.
    #[must_use]
    pub fn to_csv(&self) -> Vec<CsvFile> {
        csv::files(self)
    }

    /// The same as one HTML page with plots that needs nothing else; `title` says which folder it is about.
    #[must_use]
    pub fn to_html(&self, title: &str) -> String {
        page::page(self, title)
    }

    /// What is in one image.
    fn of_entry(entry: &Entry, options: StatsOptions) -> Self {
        let mut stats = Self::new(options);
        if !entry.has_sidecar {
            stats.images.not_annotated = 1;
            return stats;
        }
        stats.images.missing = u64::from(!entry.has_image);
        match Sidecar::open(&sidecar_path(&entry.path)) {
            Ok((_, Some(document))) => stats.count_document(&document),
            Ok((_, None)) => stats.images.not_annotated = 1,
            Err(error) => {
                tracing::debug!("{error}");
                stats.images.unreadable = 1;
            }
        }
        stats
    }

    fn count_document(&mut self, document: &Document) {
        self.images.annotated = 1;
        self.regions_per_image.record(document.regions.len() as u64);
        self.count_status(document.status, |stats| &mut stats.image_statuses);
        self.count_reviewer(&document.unknown);
        if let Some(modified) = document.modified {
            let modified = modified.to_string();
            let day = modified.split('T').next().unwrap_or_default();
            *self.days.entry(day.to_owned()).or_default() += 1;
        }
        self.count_regions(document);
        self.words = WordUse::of(document);
        for conversation in &document.conversations {
            self.count_status(conversation.status, |stats| &mut stats.conversation_statuses);
            self.count_reviewer(&conversation.unknown);
            let task = Task::ALL.iter().position(|&task| task == conversation.task);
            if let Some(count) = task.and_then(|task| self.tasks.get_mut(task)) {
                *count += 1;
            }
            self.turns_per_conversation
                .record(conversation.turns.len() as u64);
            for turn in &conversation.turns {
                let kind = match turn.role {
                    Role::User => TextKind::UserTurn,
                    Role::Assistant => TextKind::AssistantTurn,
                };
                self.count_text(kind, &turn.text);
            }
        }
    }

    fn count_regions(&mut self, document: &Document) {
        let mut labels = BTreeSet::new();
        for region in &document.regions {
            let mask = &region.mask.rle;
            let area = mask.area();
            let size = SizeClass::of(area) as usize;
            self.sizes[size] += 1;
            if let Some(log2) = area.checked_ilog2() {
                self.areas_log2.record(u64::from(log2));
            }
            if let Some(thinness) = thinness(mask) {
                // A hair of rounding must not put a square below 1.
                let bin = THINNESS_BINS
                    .iter()
                    .rposition(|&start| thinness + 1e-9 >= f64::from(start));
                self.thinness[bin.unwrap_or(0)] += 1;
            }
            let class = self.classes.entry(&region.label);
            class.regions += 1;
            class.area_px += area;
            class.sizes[size] += 1;
            class.images += u64::from(labels.insert(&region.label));
            if let Some(iou) = region.words.as_ref().and_then(|words| words.iou) {
                self.ious.record((iou * IOU_UNITS as f64).round() as u64);
            }
            self.captions_per_region.record(region.captions.len() as u64);
            for caption in &region.captions {
                self.count_text(TextKind::Caption, &caption.text);
                *self.authors.entry(caption.author.as_deref().unwrap_or_default()) += 1;
            }
            self.count_status(region.status, |stats| &mut stats.region_statuses);
            self.count_reviewer(&region.unknown);
            *self.sources.entry(&region.source) += 1;
            for (key, value) in &region.attributes {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                *self.attribute(key).entry(&text) += 1;
            }
        }
    }

    fn count_status(&mut self, status: Status, counts: impl FnOnce(&mut Self) -> &mut StatusCounts) {
        let index = Status::ALL.iter().position(|&known| known == status);
        if let Some(count) = index.and_then(|index| counts(self).get_mut(index)) {
            *count += 1;
        }
    }

    fn count_reviewer(&mut self, unknown: &UnknownKeys) {
        let reviewer = REVIEWER_KEYS.iter().find_map(|key| unknown.get(*key)?.as_str());
        if let Some(reviewer) = reviewer {
            *self.reviewers.entry(reviewer) += 1;
        }
    }

    fn count_text(&mut self, kind: TextKind, text: &str) {
        let lengths = &mut self.texts[kind as usize];
        lengths.words.record(text.split_whitespace().count() as u64);
        lengths.characters.record(text.chars().count() as u64);
    }

    /// The values of an attribute; those of attributes beyond the limit come together.
    fn attribute(&mut self, key: &str) -> &mut Tally {
        let is_room = self.attributes.len() < MAX_VALUES || self.attributes.contains_key(key);
        let key = if is_room { key } else { "…" };
        self.attributes
            .entry(key.to_owned())
            .or_insert_with(|| Tally::new(MAX_VALUES))
    }

    /// Adds what is in another image.
    fn add(&mut self, other: Self) {
        self.images.annotated += other.images.annotated;
        self.images.not_annotated += other.images.not_annotated;
        self.images.unreadable += other.images.unreadable;
        self.images.missing += other.images.missing;
        self.regions_per_image.add(other.regions_per_image);
        self.captions_per_region.add(other.captions_per_region);
        self.turns_per_conversation.add(other.turns_per_conversation);
        self.classes.add(other.classes);
        add_each(&mut self.sizes, other.sizes);
        self.areas_log2.add(other.areas_log2);
        add_each(&mut self.thinness, other.thinness);
        self.words.add(other.words);
        self.ious.add(other.ious);
        for (lengths, other) in self.texts.iter_mut().zip(other.texts) {
            lengths.words.add(other.words);
            lengths.characters.add(other.characters);
        }
        add_each(&mut self.tasks, other.tasks);
        add_each(&mut self.image_statuses, other.image_statuses);
        add_each(&mut self.region_statuses, other.region_statuses);
        add_each(&mut self.conversation_statuses, other.conversation_statuses);
        self.authors.add(other.authors);
        self.reviewers.add(other.reviewers);
        self.sources.add(other.sources);
        for (key, values) in other.attributes {
            self.attribute(&key).add(values);
        }
        for (day, count) in other.days {
            *self.days.entry(day).or_default() += count;
        }
    }
}

/// Counts everything below `folder`; sidecars that cannot be read are counted as such and left out.
///
/// # Errors
/// [`FolderError`] where the folder cannot be opened.
pub fn stats(
    folder: &Path,
    options: StatsOptions,
    progress: &mut OnProgress<'_>,
) -> Result<Stats, FolderError> {
    let listing = Listing::read(folder)?;
    let mut stats = Stats::new(options);
    let work = |entry: &Entry| Stats::of_entry(entry, options);
    let is_complete = in_order(&listing.entries, work, |image| stats.add(image), progress);
    let is_lost = |problem: &FolderProblem| !matches!(problem, FolderProblem::LinkedFolder { .. });
    stats.is_complete = is_complete && !listing.problems.iter().any(is_lost);
    Ok(stats)
}

fn add_each<const N: usize>(counts: &mut [u64; N], others: [u64; N]) {
    for (count, other) in counts.iter_mut().zip(others) {
        *count += other;
    }
}
