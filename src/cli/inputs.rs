//! What most commands start from: the image, its mask files, and the list of those that could not be used.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::diagnostics;
use crate::geometry::ImageSize;
use crate::image_file::{self, Limits};
use crate::mask::Mask;

/// A mask file that was read.
pub(super) struct InputMask {
    pub(super) path: PathBuf,
    pub(super) mask: Mask,
}

/// An input that could not be used, or an output that could not be written.
#[derive(Debug)]
pub(super) struct Failure {
    file: PathBuf,
    error: String,
}

impl Failure {
    /// Tells the user at once and keeps the message for the JSON document.
    pub(super) fn report(file: &Path, error: &anyhow::Error) -> Self {
        let error = diagnostics::sentence(error);
        diagnostics::report_text(&error);
        Self {
            file: file.to_path_buf(),
            error,
        }
    }

    fn to_json(&self) -> Value {
        json!({"file": self.file.display().to_string(), "error": self.error})
    }
}

/// Adds `failed` to a document, if anything failed.
pub(super) fn add_failures(document: &mut Value, failures: &[Failure]) {
    if !failures.is_empty() {
        document["failed"] = failures.iter().map(Failure::to_json).collect();
    }
}

/// Reads the mask files of an image of `size`; those that cannot be used are reported and listed.
pub(super) fn read_masks(
    paths: &[PathBuf],
    size: ImageSize,
    limits: &Limits,
) -> (Vec<InputMask>, Vec<Failure>) {
    let (mut masks, mut failures) = (Vec::new(), Vec::new());
    for path in paths {
        match image_file::read_mask(path, size, limits) {
            Ok(file) => {
                for warning in file.warnings {
                    tracing::warn!("{warning}: {}", path.display());
                }
                masks.push(InputMask {
                    path: path.clone(),
                    mask: file.mask,
                });
            }
            Err(error) => failures.push(Failure::report(path, &error.into())),
        }
    }
    (masks, failures)
}
