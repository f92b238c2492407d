//! How training goes: the progress line, `metrics.jsonl`, and the curve drawn from it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::curve;
use crate::cli::output_files::write_whole;
use crate::cli::progress;
use crate::training::StepReport;

/// Steps over which the shown figures are averaged.
const WINDOW: u64 = 20;
const METRICS_FILE: &str = "metrics.jsonl";
const CURVE_FILE: &str = "curve.svg";

/// Shows and records reports.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    window: Window,
    folder: PathBuf,
    /// Open from the first report on.
    metrics: Option<File>,
    /// Last step reported.
    step: u64,
}

impl Progress {
    pub(super) fn new(folder: &Path, steps: u64) -> Self {
        Self {
            bar: progress::bar(steps),
            window: Window::default(),
            folder: folder.to_path_buf(),
            metrics: None,
            step: 0,
        }
    }

    /// Last step reported.
    pub(super) const fn step(&self) -> u64 {
        self.step
    }

    /// Takes note of a step.
    pub(super) fn report(&mut self, report: &StepReport) -> anyhow::Result<()> {
        self.step = report.step;
        self.bar.set_position(report.step);
        self.window.add(report);
        if report.step.is_multiple_of(WINDOW) {
            self.bar.set_message(self.window.message());
            let line = self.window.to_json(report);
            self.write(report.step, &line)?;
            self.window = Window {
                since: report.elapsed,
                ..Window::default()
            };
        }
        if report.saved {
            self.draw()?;
        }
        Ok(())
    }

    /// Draws the curve so far.
    pub(super) fn draw(&self) -> anyhow::Result<()> {
        let Ok(text) = fs::read_to_string(self.path(METRICS_FILE)) else {
            return Ok(());
        };
        let lines: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        write_whole(&self.path(CURVE_FILE), curve::svg(&lines).as_bytes())
    }

    /// Takes the progress line away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&mut self, step: u64, line: &Value) -> anyhow::Result<()> {
        let path = self.path(METRICS_FILE);
        let mut append = || -> io::Result<()> {
            let file = match &mut self.metrics {
                Some(file) => file,
                metrics => {
                    drop_later_lines(&path, step)?;
                    metrics.insert(File::options().create(true).append(true).open(&path)?)
                }
            };
            writeln!(file, "{line}")
        };
        append().with_context(|| format!("cannot write the metrics: {}", path.display()))
    }
}

/// Removes lines of steps that a run which was cut off took after its last checkpoint: they are taken again.
fn drop_later_lines(path: &Path, step: u64) -> io::Result<()> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let is_earlier = |line: &&str| {
        let line: Option<Value> = serde_json::from_str(line).ok();
        line.and_then(|line| line["step"].as_u64())
            .is_some_and(|s| s < step)
    };
    let kept: String = text
        .lines()
        .filter(is_earlier)
        .flat_map(|line| [line, "\n"])
        .collect();
    if kept == text {
        return Ok(());
    }
    write_whole(path, kept.as_bytes()).map_err(io::Error::other)
}

/// Sums over some steps.
#[derive(Debug, Default)]
struct Window {
    steps: u32,
    loss: f32,
    iou: f32,
    prompt_iou: f32,
    images: usize,
    masks: usize,
    since: Duration,
    until: Duration,
}

impl Window {
    fn add(&mut self, report: &StepReport) {
        self.steps += 1;
        self.loss += report.loss;
        self.iou += report.iou;
        self.prompt_iou += report.prompt_iou;
        self.images += report.images;
        self.masks += report.masks;
        self.until = report.elapsed;
    }

    fn mean(&self, sum: f32) -> f32 {
        sum / self.steps.max(1) as f32
    }

    fn per_second(&self, count: usize) -> f64 {
        count as f64 / self.until.saturating_sub(self.since).as_secs_f64().max(1e-9)
    }

    fn message(&self) -> String {
        let prompts = self.mean(self.prompt_iou);
        format!(
            "loss {:.3}  IoU {:.3}{}  {:.1} images/s  {:.1} masks/s",
            self.mean(self.loss),
            self.mean(self.iou),
            if prompts.is_nan() {
                String::new()
            } else {
                format!("  prompts {prompts:.3}")
            },
            self.per_second(self.images),
            self.per_second(self.masks),
        )
    }

    fn to_json(&self, report: &StepReport) -> Value {
        json!({
            "step": report.step,
            "loss": self.mean(self.loss),
            "iou": self.mean(self.iou),
            "prompt_iou": self.mean(self.prompt_iou),
            "learning_rate": report.learning_rate,
            "gradient_norm": report.gradient_norm,
            "images_per_s": self.per_second(self.images),
            "masks_per_s": self.per_second(self.masks),
            "elapsed_secs": report.elapsed.as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_taken_again_are_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(METRICS_FILE);
        drop_later_lines(&path, 20).unwrap();
        assert!(!path.exists());
        fs::write(&path, "{\"step\": 20}\n{\"step\": 40}\n{\"step\": 60}\n{\"st").unwrap();
        drop_later_lines(&path, 60).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "{\"step\": 20}\n{\"step\": 40}\n"
        );
        drop_later_lines(&path, 20).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }
}
