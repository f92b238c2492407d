//! What commands that go through a folder share: a bar that follows them, and the images that they could not do.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use super::progress;

/// Runs `work`, which says again and again how many images there are and how many are done.
pub(super) fn followed<R>(work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> R) -> R {
    let bar = progress::bar(0);
    let result = work(&mut |total, done| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    result
}

/// Images that failed, each with why.
#[derive(Debug)]
pub(super) struct Failures<'a, E>(pub(super) &'a [(PathBuf, E)]);

impl<E: Display> Failures<'_, E> {
    /// Says them on standard error, and how many they are.
    pub(super) fn report(&self) -> usize {
        for (path, error) in self.0 {
            tracing::error!("{error}: {}", path.display());
        }
        self.0.len()
    }

    /// The failures as a JSON list.
    pub(super) fn to_json(&self) -> Value {
        let failures = self.0.iter();
        failures
            .map(|(path, error)| json!({"image": path.display().to_string(), "error": error.to_string()}))
            .collect()
    }
}

/// The seconds since `start`, to the millisecond.
pub(super) fn seconds_since(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1e3).round() / 1e3
}
