//! Finds what is wrong with a folder of annotations, from unreadable files to words that fit no codebook.

mod findings;
mod image_entry;
mod models;
mod near_duplicates;
mod recorder;
mod regions;
mod sidecar;
#[cfg(test)]
mod tests;
mod texts;
mod words;

use std::fmt::Display;
use std::path::Path;

use serde_json::Value;

pub use self::findings::{Code, Finding, Severity, Subject, UnknownCode};
pub use self::recorder::Selection;

use self::models::Models;
use self::recorder::Recorder;
use self::sidecar::ReadSidecar;
use super::listing::{Entry, Listing};
use super::{OnProgress, in_order};
use crate::dataset::folder::{FolderError, FolderProblem};
use crate::dataset::sidecar_path;
use crate::image_file::{self, Limits};

/// Largest sidecar that is read, as for opening an image.
const MAX_SIDECAR_BYTES: u64 = 1 << 30;

/// What to look for, and from where on it counts.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckOptions {
    /// Regions with fewer pixels are tiny.
    pub min_area_px: u64,
    /// Two regions whose IoU is at least this, above 0 and at most 1, are nearly the same.
    pub near_duplicate_iou: f64,
    /// Words that give back a mask with a lower IoU are reported; 0 to 1.
    pub min_words_iou: f64,
    /// Which findings are wanted; what nobody wants is not computed, so that without [`Code::ImageChanged`] no image
    /// is read beyond its header.
    pub selection: Selection,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            min_area_px: 16,
            near_duplicate_iou: 0.9,
            min_words_iou: 0.5,
            selection: Selection::default(),
        }
    }
}

/// What was looked at, once a check is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckSummary {
    /// Images in the folder, those that only a sidecar speaks of included.
    pub images: u64,
    /// Sidecars.
    pub sidecars: u64,
    /// Regions that could be read.
    pub regions: u64,
    /// Conversations that could be read.
    pub conversations: u64,
    /// Whether the check came to its end; where it was stopped, findings about the folder as a whole are missing.
    pub is_complete: bool,
}

/// Checks every image and sidecar below `folder` and hands the findings on as they come, image by image in order.
///
/// # Errors
/// [`FolderError`] where the folder cannot be opened; whatever is wrong with a file is a finding.
pub fn check(
    folder: &Path,
    options: &CheckOptions,
    on_finding: &mut dyn FnMut(Finding),
    progress: &mut OnProgress<'_>,
) -> Result<CheckSummary, FolderError> {
    let listing = Listing::read(folder)?;
    for problem in &listing.problems {
        folder_finding(&listing, problem, &options.selection)
            .into_iter()
            .for_each(&mut *on_finding);
    }
    let mut summary = CheckSummary::default();
    let mut models = Models::default();
    let take = |checked: Checked| {
        summary.images += 1;
        summary.sidecars += u64::from(checked.has_sidecar);
        summary.regions += checked.regions;
        summary.conversations += checked.conversations;
        models.add(checked.models);
        checked.findings.into_iter().for_each(&mut *on_finding);
    };
    let work = |entry: &Entry| check_image(entry, options);
    summary.is_complete = in_order(&listing.entries, work, take, progress);
    if summary.is_complete {
        models
            .findings(&options.selection)
            .into_iter()
            .for_each(on_finding);
    }
    Ok(summary)
}

/// What kept a part of the folder from being listed.
fn folder_finding(listing: &Listing, problem: &FolderProblem, selection: &Selection) -> Vec<Finding> {
    let (code, path) = match problem {
        FolderProblem::Unreadable { path, .. } => (Code::FolderUnreadable, path),
        FolderProblem::LinkedFolder { path } => (Code::FolderLinked, path),
        FolderProblem::NotUnicode { path } => (Code::NameNotUnicode, path),
    };
    let name = listing.shown(path);
    let mut recorder = Recorder::new(&name, selection);
    recorder.add(code, &Subject::Image, without_path(problem, path));
    recorder.finish()
}

/// What is kept of an image.
#[derive(Debug, Default)]
struct Checked {
    has_sidecar: bool,
    regions: u64,
    conversations: u64,
    models: Models,
    findings: Vec<Finding>,
}

fn check_image(entry: &Entry, options: &CheckOptions) -> Checked {
    let mut recorder = Recorder::new(&entry.name, &options.selection);
    let mut checked = Checked {
        has_sidecar: entry.has_sidecar,
        ..Checked::default()
    };
    if !entry.has_sidecar {
        let message = "the image has no annotations";
        recorder.add(Code::ImageNotAnnotated, &Subject::Image, message);
    } else if !entry.has_image {
        let message = "there are annotations and no image";
        recorder.add(Code::ImageMissing, &Subject::Image, message);
    }
    if let Some(sidecar) = read_sidecar(entry, &mut recorder) {
        if entry.has_image {
            image_entry::check(&entry.path, &sidecar.document.image, &mut recorder);
        }
        regions::check(&sidecar, options, &mut recorder);
        words::check(&sidecar, options, &mut recorder);
        texts::check(&sidecar, &mut recorder);
        checked.regions = sidecar.document.regions.len() as u64;
        checked.conversations = sidecar.document.conversations.len() as u64;
        checked.models = Models::of(&entry.name, &sidecar.document);
    }
    checked.findings = recorder.finish();
    checked
}

fn read_sidecar(entry: &Entry, recorder: &mut Recorder<'_>) -> Option<ReadSidecar> {
    if !entry.has_sidecar {
        return None;
    }
    let path = sidecar_path(&entry.path);
    let limits = Limits {
        max_pixels: 0,
        max_bytes: MAX_SIDECAR_BYTES,
    };
    match image_file::read_bytes(&path, &limits) {
        Ok(bytes) => ReadSidecar::read(&bytes, recorder),
        Err(error) => {
            let message = without_path(&error, &path);
            recorder.add(Code::SidecarUnreadable, &Subject::Image, message);
            None
        }
    }
}

/// The message of an error without the path at its end, which the finding names already.
fn without_path(error: &dyn Display, path: &Path) -> String {
    let message = error.to_string();
    let end = format!(": {}", path.display());
    message.strip_suffix(&end).map(str::to_owned).unwrap_or(message)
}

/// Whether a JSON number, written as `4` or `4.0`, is this one.
fn same_number(value: &Value, number: u64) -> bool {
    value.as_u64() == Some(number) || value.as_f64() == Some(number as f64)
}
