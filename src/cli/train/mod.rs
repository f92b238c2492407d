//! `samtok train`: makes a model from generated scenes and a user's own masks, showing how it goes.

mod curve;
mod interrupt;
mod preview;
mod progress;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use self::interrupt::Interrupt;
use self::progress::Progress;
use super::output_files::OutputFolder;
use super::{ExitCode, GlobalArgs};
use crate::image_file::{Limits, write_rgb_png};
use crate::tokenizer::model::CONFIG_FILE;
use crate::tokenizer::{ChosenDevice, Config, ModelFiles};
use crate::training::{CHECKPOINT_FILE, Objective, TrainingData, TrainingOptions, generated_scene, train};

/// Name of the contact sheet in the output folder.
const PREVIEW_FILE: &str = "preview.png";

/// Train a model on generated scenes and on your own masks
#[derive(Debug, clap::Args)]
pub(super) struct TrainArgs {
    /// Shape of the network: a config.json [default: that of --init or --resume, else of the built-in model]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for model, checkpoint, metrics and their curve
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
    /// What is learned: generated for small networks from scratch, published for SAMTok's own recipe
    #[arg(long, value_enum, value_name = "NAME", default_value_t)]
    objective: ObjectiveArg,
    /// Leave the image encoder as it is; needs --init
    #[arg(long)]
    freeze_trunk: bool,
    /// Folder of images with sidecars (IMAGE.samtok.json) or mask files (NAME.mask1.png)
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Share of the images that come from --data, 0 to 1; the others are generated
    #[arg(long, value_name = "X", default_value_t = 0.5, requires = "data")]
    data_share: f32,
    /// Peak learning rate [default: 1e-3, or 4e-5 with --objective published]
    #[arg(long, value_name = "X")]
    lr: Option<f64>,
    /// Step at which codebooks are made [default: those of --init go on, else a quarter of the steps]
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
    /// Steps between checkpoints, besides the minutes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_steps: Option<u64>,
    /// Train nothing: draw this many generated scenes with their masks into DIR/preview.png
    #[arg(long, value_name = "N", conflicts_with_all = ["resume", "data"],
        value_parser = clap::value_parser!(u16).range(1..=400))]
    preview: Option<u16>,
}

/// [`Objective`] on the command line.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum ObjectiveArg {
    #[default]
    Generated,
    Published,
}

impl From<ObjectiveArg> for Objective {
    fn from(argument: ObjectiveArg) -> Self {
        match argument {
            ObjectiveArg::Generated => Self::Generated,
            ObjectiveArg::Published => Self::Published,
        }
    }
}

pub(super) fn run(args: &TrainArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let config = args.config()?;
    if let Some(count) = args.preview {
        return preview(args, &config, count, global, out);
    }
    let options = args.options(
        config,
        &Limits::with_max_pixels(global.max_megapixels * 1_000_000),
    )?;
    let _folder = OutputFolder::open(&args.out)?;
    let device = ChosenDevice::open(global.device)?;
    let interrupt = Interrupt::listen()?;
    let mut progress = Progress::new(&args.out, args.steps);
    let mut failed = None;
    // Inside the pool, so that the thousands of small tasks of a step need no hand-over between threads.
    let trained = rayon::scope(|_| {
        train(options, &device, |report| {
            failed = progress.report(report).err();
            failed.is_none() && !interrupt.is_requested()
        })
    });
    progress.finish();
    trained.with_context(|| format!("training stopped: {}", args.out.display()))?;
    if let Some(error) = failed {
        return Err(error);
    }
    progress.draw()?;
    let (step, steps) = (progress.step(), args.steps);
    let is_complete = !interrupt.is_requested() || step >= steps;
    if global.json {
        writeln!(
            out,
            "{}",
            json!({"model": args.out, "steps": steps, "complete": is_complete})
        )?;
    } else if is_complete {
        writeln!(out, "the model is in {}", args.out.display())?;
    } else {
        writeln!(
            out,
            "stopped and saved after step {step} of {steps}; the same command with --resume goes on: {}",
            args.out.display()
        )?;
    }
    Ok(ExitCode::AllWell)
}

impl TrainArgs {
    fn config(&self) -> anyhow::Result<Config> {
        let resumed = self.out.join(CONFIG_FILE);
        let file = match (&self.config, &self.init) {
            (Some(file), _) => file.as_path(),
            (None, _) if self.resume => resumed.as_path(),
            (None, Some(model)) => return Ok(ModelFiles::open(model)?.config),
            (None, None) => return Ok(ModelFiles::embedded()?.config),
        };
        read_config(file)
    }

    fn options(&self, config: Config, limits: &Limits) -> anyhow::Result<TrainingOptions> {
        let objective = Objective::from(self.objective);
        let learning_rate = self.lr.unwrap_or(objective.learning_rate());
        anyhow::ensure!(
            learning_rate > 0.0 && learning_rate < 1.0,
            "--lr must be above 0 and below 1"
        );
        for (flag, share) in [
            ("--small-masks", self.small_masks),
            ("--data-share", self.data_share),
        ] {
            anyhow::ensure!((0.0..=1.0).contains(&share), "{flag} must be from 0 to 1");
        }
        let starts_from_model = self.init.is_some() || self.resume;
        anyhow::ensure!(
            !self.freeze_trunk || starts_from_model,
            "--freeze-trunk keeps an image encoder that was never trained; give a model with --init"
        );
        anyhow::ensure!(
            objective == Objective::Generated || starts_from_model,
            "--objective published trains only mask encoder and decoder; give a model with --init"
        );
        let masks = usize::from(self.images) * usize::from(self.masks);
        if objective == Objective::Published && masks < config.quantizer.codebook_size {
            tracing::warn!(
                "the published recipe restarts codes that are chosen less than once a step, and {masks} masks cannot \
                 choose all {}; take more --images and --masks",
                config.quantizer.codebook_size
            );
        }
        anyhow::ensure!(
            self.resume || !self.out.join(CHECKPOINT_FILE).exists(),
            "the folder holds a run already; go on with --resume or choose another --out: {}",
            self.out.display()
        );
        Ok(TrainingOptions {
            config,
            objective,
            freeze_trunk: self.freeze_trunk,
            seed: self.seed,
            steps: self.steps,
            images: self.images.into(),
            masks: self.masks.into(),
            small_masks: self.small_masks,
            data: self.data.as_ref().map(|folder| TrainingData {
                folder: folder.clone(),
                share: self.data_share,
                limits: *limits,
            }),
            learning_rate,
            codebook_start: self.codebook_start,
            out: self.out.clone(),
            checkpoint_every: Duration::from_secs(60 * self.checkpoint_minutes),
            checkpoint_steps: self.checkpoint_steps,
            resume: self.resume,
            init: self.init.clone(),
        })
    }
}

fn read_config(path: &Path) -> anyhow::Result<Config> {
    let json =
        std::fs::read(path).with_context(|| format!("cannot read the configuration: {}", path.display()))?;
    Config::from_json(&json).with_context(|| format!("cannot use {}", path.display()))
}

/// Draws what training with this seed would see first.
fn preview(
    args: &TrainArgs,
    config: &Config,
    count: u16,
    global: &GlobalArgs,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let scenes = (0..u64::from(count))
        .map(|index| generated_scene(config, args.seed, index))
        .collect::<Result<Vec<_>, _>>()?;
    let sheet = preview::contact_sheet(&scenes).context("there is nothing to draw")?;
    let _folder = OutputFolder::open(&args.out)?;
    let path = args.out.join(PREVIEW_FILE);
    write_rgb_png(&path, &sheet)?;
    let masks: usize = scenes.iter().map(|scene| scene.regions.len()).sum();
    if global.json {
        writeln!(
            out,
            "{}",
            json!({"preview": path, "scenes": count, "masks": masks})
        )?;
    } else {
        writeln!(out, "{count} scenes with {masks} masks: {}", path.display())?;
    }
    Ok(ExitCode::AllWell)
}
