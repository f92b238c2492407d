//! The measured loss of an export: what came back when the written files were read again, against what went in.

use super::{Failure, Notes};
use serde_json::{Map, Value, json};
use std::fmt;

/// Changed and lost regions that are named one by one; beyond that they are only counted.
const NAMED: usize = 100;

/// How many of something there were, and how many of them came back as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// In the sidecars.
    pub before: u64,
    /// Of those, unchanged in what the written files give back.
    pub kept: u64,
}

impl Kept {
    pub(super) fn add(&mut self, is_kept: bool) {
        self.before += 1;
        self.kept += u64::from(is_kept);
    }

    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_all(self) -> bool {
        self.before == self.kept
    }
}

/// IoU of the regions with what came back for them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IouSummary {
    /// How many regions came back in some form.
    pub regions: u64,
    /// How many of them have exactly the pixels they had.
    pub exact: u64,
    /// The lowest; 1 if there are none.
    pub min: f64,
    sum: f64,
}

impl IouSummary {
    pub(super) fn add(&mut self, iou: f64, is_exact: bool) {
        self.regions += 1;
        self.exact += u64::from(is_exact);
        self.min = self.min.min(iou);
        self.sum += iou;
    }

    /// The mean; 1 if there are none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.regions == 0 {
            1.0
        } else {
            self.sum / self.regions as f64
        }
    }
}

impl Default for IouSummary {
    fn default() -> Self {
        Self {
            regions: 0,
            exact: 0,
            min: 1.0,
            sum: 0.0,
        }
    }
}

/// A region that did not come back as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionLoss {
    /// The image.
    pub image: String,
    /// The region.
    pub id: String,
    /// IoU with what came back; `None` where nothing did.
    pub iou: Option<f64>,
}

/// What an export into a foreign format lost, measured by reading the written files again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossReport {
    /// Where the annotations went, by its name on the command line.
    pub format: &'static str,
    /// Whether the files are in place; not so where something was lost and that was not wanted.
    pub is_written: bool,
    /// Images with annotations, and those for which any came back.
    pub images: Kept,
    /// Regions, and those for which one came back, whatever its pixels.
    pub regions: Kept,
    /// Regions that came back.
    pub regions_after: u64,
    /// Regions that came back and were none before, such as the parts of one that was split.
    pub invented: u64,
    /// Connected parts of all regions before.
    pub parts_before: u64,
    /// The same of what came back.
    pub parts_after: u64,
    /// Holes of all regions before.
    pub holes_before: u64,
    /// The same of what came back.
    pub holes_after: u64,
    /// Regions that came back with other numbers of parts or holes.
    pub reshaped: u64,
    /// How well the pixels agree.
    pub iou: IouSummary,
    /// The first regions that are lost or have other pixels, and how many there are.
    pub changed: (u64, Vec<RegionLoss>),
    /// Labels, empty ones too.
    pub labels: Kept,
    /// Texts of captions.
    pub captions: Kept,
    /// Authors of captions.
    pub authors: Kept,
    /// Attributes of regions.
    pub attributes: Kept,
    /// Mask words with their codes and tokenizer.
    pub words: Kept,
    /// Statuses of regions other than draft.
    pub statuses: Kept,
    /// Colours of regions.
    pub colors: Kept,
    /// Where regions came from.
    pub sources: Kept,
    /// Conversations, whole with all turns.
    pub conversations: Kept,
    /// Statuses of images other than draft.
    pub image_statuses: Kept,
    /// Remarks on images.
    pub image_notes: Kept,
    /// Keys that other versions wrote.
    pub other_keys: Kept,
    /// What the format could not take and how it was understood.
    pub notes: Notes,
    /// Inputs that could not be used.
    pub failures: Vec<Failure>,
}

impl LossReport {
    pub(super) fn lost_region(&mut self, image: &str, id: &str) {
        self.name_region(image, id, None);
    }

    pub(super) fn changed_region(&mut self, image: &str, id: &str, iou: f64, is_reshaped: bool) {
        self.reshaped += u64::from(is_reshaped);
        self.name_region(image, id, Some(iou));
    }

    fn name_region(&mut self, image: &str, id: &str, iou: Option<f64>) {
        let (count, named) = &mut self.changed;
        *count += 1;
        if named.len() < NAMED {
            named.push(RegionLoss {
                image: image.to_owned(),
                id: id.to_owned(),
                iou,
            });
        }
    }

    /// What is counted, in the order of the table.
    #[must_use]
    pub const fn fields(&self) -> [(&'static str, Kept); 13] {
        [
            ("images", self.images),
            ("regions", self.regions),
            ("labels", self.labels),
            ("captions", self.captions),
            ("caption authors", self.authors),
            ("attributes", self.attributes),
            ("words", self.words),
            ("statuses", self.statuses),
            ("colors", self.colors),
            ("sources", self.sources),
            ("conversations", self.conversations),
            ("image statuses", self.image_statuses),
            ("image notes", self.image_notes),
        ]
    }

    /// Whether everything came back as it was: every pixel, every field, and no note says otherwise.
    ///
    /// An image of which nothing was said may be missing, for nothing is lost with it.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        let fields = self.fields();
        let are_kept = fields
            .iter()
            .filter(|(name, _)| *name != "images")
            .all(|(_, kept)| kept.is_all());
        are_kept
            && self.other_keys.is_all()
            && self.changed.0 == 0
            && self.invented == 0
            && self.notes.losses().next().is_none()
            && self.failures.is_empty()
    }

    /// The report as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut fields: Map<String, Value> = self
            .fields()
            .into_iter()
            .map(|(name, kept)| (name.replace(' ', "_"), kept_json(kept)))
            .collect();
        fields.insert("other_keys".to_owned(), kept_json(self.other_keys));
        let region =
            |lost: &RegionLoss| json!({"image": lost.image, "id": lost.id, "iou": lost.iou.map(rounded)});
        let mut report = json!({
            "format": self.format,
            "written": self.is_written,
            "lossless": self.is_lossless(),
            "fields": fields,
            "regions": {
                "before": self.regions.before,
                "after": self.regions_after,
                "exact": self.iou.exact,
                "changed": self.iou.regions - self.iou.exact,
                "lost": self.regions.before - self.regions.kept,
                "invented": self.invented,
                "reshaped": self.reshaped,
            },
            "parts": {"before": self.parts_before, "after": self.parts_after},
            "holes": {"before": self.holes_before, "after": self.holes_after},
            "iou": {"min": rounded(self.iou.min), "mean": rounded(self.iou.mean())},
            "changed_regions": self.changed.1.iter().map(region).collect::<Vec<_>>(),
        });
        self.notes.add_to(&mut report);
        Failure::add_to(&self.failures, &mut report);
        report
    }
}

fn kept_json(kept: Kept) -> Value {
    json!({"before": kept.before, "kept": kept.kept})
}

/// Six decimals, so that one pixel of a large region still shows.
fn rounded(iou: f64) -> f64 {
    // Rounding must not make a loss look like none.
    let rounded = (iou * 1e6).round() / 1e6;
    if iou < 1.0 {
        rounded.min(0.999_999)
    } else {
        rounded
    }
}

impl fmt::Display for LossReport {
    /// A table, then what is worth knowing line by line; every line ends with a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<16} {:>10} {:>10} {:>10}", "", "before", "kept", "lost")?;
        let other_keys = ("other keys", self.other_keys);
        for (name, kept) in self.fields().into_iter().chain([other_keys]) {
            if kept.before > 0 {
                let lost = kept.before - kept.kept;
                writeln!(f, "{name:<16} {:>10} {:>10} {lost:>10}", kept.before, kept.kept)?;
            }
        }
        let iou = self.iou;
        writeln!(
            f,
            "pixels           {} of {} regions exact, IoU at least {:.6}, {:.6} on average",
            iou.exact,
            self.regions.before,
            rounded(iou.min),
            rounded(iou.mean())
        )?;
        writeln!(
            f,
            "shape            {} parts became {}, {} holes became {}, {} regions reshaped, {} new",
            self.parts_before,
            self.parts_after,
            self.holes_before,
            self.holes_after,
            self.reshaped,
            self.invented
        )?;
        write!(f, "{}", self.notes)?;
        let verdict = if self.is_lossless() {
            "nothing was lost"
        } else {
            "not everything came back"
        };
        writeln!(f, "{verdict}")
    }
}
