//! `samtok train`: makes a model from generated scenes, showing how it goes.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::{ExitCode, GlobalArgs};
use crate::tokenizer::{ChosenDevice, Config};
use crate::training::{StepReport, TrainingOptions, train};

/// Steps over which the shown figures are averaged.
const WINDOW: u64 = 20;

/// Train a model on generated scenes
#[derive(Debug, clap::Args)]
pub(super) struct TrainArgs {
    /// Shape of the network: a config.json
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Folder for model, checkpoint and metrics
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Optimizer steps of the whole run
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Images per step
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=1024))]
    images: u16,
    /// Masks per image
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    masks: u16,
    /// Share of the masks under a hundredth of the image that is used, 0 to 1
    #[arg(long, value_name = "X", default_value_t = 0.5)]
    small_masks: f32,
    /// Peak learning rate
    #[arg(long, value_name = "X", default_value_t = 1e-3)]
    lr: f64,
    /// Step at which the codebooks start [default: a quarter of the steps]
    #[arg(long, value_name = "STEP")]
    codebook_start: Option<u64>,
    /// Decides first weights, scenes and prompts
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Model to start from; it may be made for another image size
    #[arg(long, value_name = "MODEL", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// Continue from the checkpoint in --out
    #[arg(long)]
    resume: bool,
    /// Minutes between checkpoints
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_minutes: u64,
}

pub(super) fn run(args: &TrainArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let json = std::fs::read(&args.config)
        .with_context(|| format!("cannot read the configuration: {}", args.config.display()))?;
    let config = Config::from_json(&json).with_context(|| format!("cannot use {}", args.config.display()))?;
    anyhow::ensure!(args.lr > 0.0 && args.lr < 1.0, "--lr must be above 0 and below 1");
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot create the output folder: {}", args.out.display()))?;
    let metrics_path = args.out.join("metrics.jsonl");
    let mut metrics = File::options()
        .create(true)
        .append(true)
        .open(&metrics_path)
        .with_context(|| format!("cannot write the metrics: {}", metrics_path.display()))?;
    let options = TrainingOptions {
        config,
        seed: args.seed,
        steps: args.steps,
        images: args.images.into(),
        masks: args.masks.into(),
        small_masks: args.small_masks,
        learning_rate: args.lr,
        codebook_start: args.codebook_start.unwrap_or(args.steps / 4),
        out: args.out.clone(),
        checkpoint_every: Duration::from_secs(60 * args.checkpoint_minutes),
        resume: args.resume,
        init: args.init.clone(),
    };
    let device = ChosenDevice::open(global.device)?;
    let bar = super::progress::bar(args.steps);
    let mut window = Window::default();
    let mut failed = None;
    // Inside the pool, so that the thousands of small tasks of a step need no hand-over between threads.
    let trained = rayon::scope(|_| {
        train(options, &device, |report| {
            bar.set_position(report.step);
            window.add(report);
            if report.step.is_multiple_of(WINDOW) {
                bar.set_message(window.message());
                failed = window.write(report, &mut metrics).err();
                window = Window::default();
            }
            failed.is_none()
        })
    });
    bar.finish_and_clear();
    trained.with_context(|| format!("training stopped: {}", args.out.display()))?;
    if let Some(error) = failed {
        return Err(error).with_context(|| format!("cannot write the metrics: {}", metrics_path.display()));
    }
    if global.json {
        writeln!(out, "{}", json!({"model": args.out, "steps": args.steps}))?;
    } else {
        writeln!(out, "the model is in {}", args.out.display())?;
    }
    Ok(ExitCode::AllWell)
}

/// Averages of some steps.
#[derive(Default)]
struct Window {
    steps: u32,
    loss: f32,
    iou: f32,
    prompt_iou: f32,
}

impl Window {
    fn add(&mut self, report: &StepReport) {
        self.steps += 1;
        self.loss += report.loss;
        self.iou += report.iou;
        self.prompt_iou += report.prompt_iou;
    }

    fn means(&self) -> (f32, f32, f32) {
        let n = self.steps.max(1) as f32;
        (self.loss / n, self.iou / n, self.prompt_iou / n)
    }

    fn message(&self) -> String {
        let (loss, iou, prompt_iou) = self.means();
        format!("loss {loss:.3}  IoU {iou:.3}  prompts {prompt_iou:.3}")
    }

    fn write(&self, report: &StepReport, metrics: &mut File) -> std::io::Result<()> {
        let (loss, iou, prompt_iou) = self.means();
        let line = json!({
            "step": report.step,
            "loss": loss,
            "iou": iou,
            "prompt_iou": prompt_iou,
            "learning_rate": report.learning_rate,
            "gradient_norm": report.gradient_norm,
            "elapsed_secs": report.elapsed.as_secs_f64(),
        });
        writeln!(metrics, "{line}")
    }
}
