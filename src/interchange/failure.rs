//! An input that could not be used while the rest was done.

use serde_json::{Value, json};
use std::error::Error;
use std::path::{Path, PathBuf};

/// A file that could not be read or written, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, as one sentence; the path may be at its end.
    pub error: String,
}

impl Failure {
    pub(super) fn new(path: &Path, error: &dyn Error) -> Self {
        Self {
            path: path.to_path_buf(),
            error: error.to_string(),
        }
    }

    /// Adds `failed` to a report, if anything failed.
    pub(super) fn add_to(failures: &[Self], report: &mut Value) {
        let failure =
            |failure: &Self| json!({"file": failure.path.display().to_string(), "error": failure.error});
        if let Some(keys) = report.as_object_mut().filter(|_| !failures.is_empty()) {
            keys.insert("failed".to_owned(), failures.iter().map(failure).collect());
        }
    }
}
