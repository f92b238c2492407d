//! The stages of a command: how long each took, and on a terminal which one is under way.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

/// A part of the work that is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Load,
    ReadImage,
    ImageEncode,
    MaskEncode,
    MaskDecode,
}

impl Stage {
    const ALL: [Self; 5] = [
        Self::Load,
        Self::ReadImage,
        Self::ImageEncode,
        Self::MaskEncode,
        Self::MaskDecode,
    ];

    const fn key(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::ReadImage => "read_image",
            Self::ImageEncode => "image_encode",
            Self::MaskEncode => "mask_encode",
            Self::MaskDecode => "mask_decode",
        }
    }

    const fn activity(self) -> &'static str {
        match self {
            Self::Load => "loading the model",
            Self::ReadImage => "reading the image",
            Self::ImageEncode => "encoding the image",
            Self::MaskEncode => "encoding masks",
            Self::MaskDecode => "decoding masks",
        }
    }
}

/// Times stages; one that comes several times is added up.
pub(super) struct Stages {
    start: Instant,
    elapsed: [Option<Duration>; Stage::ALL.len()],
    spinner: ProgressBar,
}

impl Stages {
    /// Starts the clock; what is under way shows on a terminal unless `quiet`.
    pub(super) fn new(quiet: bool) -> Self {
        let spinner = if quiet {
            ProgressBar::hidden()
        } else {
            // Draws to standard error, and only if that is a terminal.
            ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner())
        };
        Self {
            start: Instant::now(),
            elapsed: [None; Stage::ALL.len()],
            spinner,
        }
    }

    /// Does `work` as a part of `stage`.
    pub(super) fn time<T>(&mut self, stage: Stage, work: impl FnOnce() -> T) -> T {
        self.spinner.set_message(stage.activity());
        self.spinner.enable_steady_tick(Duration::from_millis(100));
        let start = Instant::now();
        let result = work();
        let elapsed = start.elapsed();
        *self.elapsed[stage as usize].get_or_insert_default() += elapsed;
        self.spinner.disable_steady_tick();
        self.spinner.finish_and_clear();
        self.spinner.reset();
        tracing::info!("{} took {:.1} ms", stage.activity(), milliseconds(elapsed));
        result
    }

    /// Milliseconds of every stage that was timed, and `total` since the start.
    pub(super) fn to_json(&self) -> Value {
        let mut keys: Map<String, Value> = Stage::ALL
            .iter()
            .zip(&self.elapsed)
            .filter_map(|(stage, elapsed)| Some((stage.key().to_owned(), json!(milliseconds((*elapsed)?)))))
            .collect();
        keys.insert("total".to_owned(), json!(milliseconds(self.start.elapsed())));
        Value::Object(keys)
    }
}

/// Milliseconds to the microsecond.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_listed_in_order_and_added_up() {
        let mut stages = Stages::new(true);
        let nap = || std::thread::sleep(Duration::from_millis(2));
        stages.time(Stage::MaskDecode, nap);
        stages.time(Stage::Load, nap);
        stages.time(Stage::MaskDecode, nap);
        let json = stages.to_json();
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["load", "mask_decode", "total"]);
        let ms = |key: &str| json[key].as_f64().unwrap();
        assert!(
            ms("load") >= 2.0 && ms("mask_decode") >= 4.0 && ms("total") >= 6.0,
            "{json}"
        );
    }
}
