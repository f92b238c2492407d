//! The command line: what can be asked for, where the model comes from, and how answers are printed.
//!
//! Every subcommand has a file of its own and answers with an [`ExitCode`]; results go to the writer it is given, as
//! text or as one JSON document, and everything else goes to standard error through [`diagnostics`].

mod annotate;
mod bench;
mod chat;
mod check;
mod conversion;
mod decode;
pub mod diagnostics;
mod encode;
mod engine;
mod eval;
mod exit_code;
mod export;
mod folder_run;
mod import;
mod inputs;
mod model;
mod output_files;
mod progress;
mod propose;
mod score;
mod segment;
mod stages;
mod stats;
mod table;
pub mod threads;
mod tokenize;
mod train;
mod training_data;
mod words;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser as _;
use serde_json::{Value, json};
use tracing::Level;

pub use exit_code::ExitCode;

use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::Limits;
use crate::tokenizer::{ChosenDevice, DeviceChoice, MaskTokenizer, ModelFiles};
use crate::words::MaskCodes;
use stages::{Stage, Stages};

/// The environment variable that names the model.
const MODEL_VARIABLE: &str = "SAMTOK_MODEL";

/// Turns regions of images into two mask words that a language model can read and write, and back into masks
#[derive(Debug, clap::Parser)]
#[command(
    name = "samtok",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = 100,
    after_help = "Exit code: 0 all well, 1 some inputs failed (the rest was done), 2 wrong usage or nothing could be done."
)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    /// An image or a folder to open in the window
    path: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the window is asked for where no command is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowRequest {
    /// An image or a folder to open.
    pub path: Option<PathBuf>,
    /// The model that was named, if any.
    pub model: Option<PathBuf>,
    /// Where to run it.
    pub device: DeviceChoice,
}

/// Flags of every subcommand.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
struct GlobalArgs {
    /// A model folder or a weights file [default: SAMTOK_MODEL, then the built-in model]
    #[arg(long, global = true, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Where to run the network: auto, cpu, cuda[:N] or metal
    #[arg(long, global = true, value_name = "DEVICE", default_value = "auto")]
    device: DeviceChoice,
    /// Threads to use [default: one per physical core]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print one JSON document and nothing else on standard output
    #[arg(long, global = true)]
    json: bool,
    /// Show errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show what is done; twice for details (RUST_LOG overrides)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    // 2^30 pixels are the most that a mask may have.
    /// Largest image that is read, in millions of pixels
    #[arg(long, global = true, value_name = "N", default_value_t = 256,
        value_parser = clap::value_parser!(u64).range(1..=1073))]
    max_megapixels: u64,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Encode(encode::EncodeArgs),
    Decode(decode::DecodeArgs),
    Segment(segment::SegmentArgs),
    Annotate(annotate::AnnotateArgs),
    Tokenize(tokenize::TokenizeArgs),
    Words(words::WordsArgs),
    Check(check::CheckArgs),
    Stats(stats::StatsArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Model(model::ModelArgs),
    Bench(bench::BenchArgs),
    Chat(chat::ChatArgs),
    Propose(propose::ProposeArgs),
    Score(score::ScoreArgs),
    Train(train::TrainArgs),
    Eval(eval::EvalArgs),
}

impl Cli {
    /// Reads the program's arguments; prints help, version or what is wrong with them.
    ///
    /// # Errors
    /// The exit code, where there is nothing more to do.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        Self::try_parse_from(arguments).map_err(|error| {
            // A closed pipe is no reason to fail, and for anything else there is nowhere to say so.
            let _printed = error.print();
            if error.use_stderr() {
                ExitCode::NothingDone
            } else {
                ExitCode::AllWell
            }
        })
    }

    /// What the window is asked for; `None` where a command is given.
    ///
    /// # Errors
    /// If the path that was given leads nowhere, as a misspelt command does.
    pub fn window(&self) -> anyhow::Result<Option<WindowRequest>> {
        if self.command.is_some() {
            return Ok(None);
        }
        if let Some(path) = self.path.as_ref().filter(|path| !path.exists()) {
            anyhow::bail!(
                "there is no such command, image or folder; `samtok --help` lists the commands: {}",
                path.display()
            );
        }
        let named = env::var_os(MODEL_VARIABLE)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from);
        Ok(Some(WindowRequest {
            path: self.path.clone(),
            model: self.global.model.clone().or(named),
            device: self.global.device,
        }))
    }

    /// Number of threads asked for.
    #[must_use]
    pub fn threads(&self) -> Option<usize> {
        self.global.threads.map(usize::from)
    }

    /// Least important log events to show.
    #[must_use]
    pub fn log_level(&self) -> Level {
        match (self.global.quiet, self.global.verbose) {
            (true, _) => Level::ERROR,
            (false, 0) => Level::WARN,
            (false, 1) => Level::INFO,
            (false, _) => Level::DEBUG,
        }
    }

    /// Does what was asked for and writes the answer to `out`.
    ///
    /// # Errors
    /// Whatever kept the command from doing anything; inputs that failed among others only show in the exit code.
    pub fn run(&self, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let global = &self.global;
        let Some(command) = &self.command else {
            anyhow::bail!("name a command; `samtok --help` lists them");
        };
        match command {
            Command::Encode(args) => encode::run(args, global, out),
            Command::Decode(args) => decode::run(args, global, out),
            Command::Segment(args) => segment::run(args, global, out),
            Command::Annotate(args) => annotate::run(args, global, out),
            Command::Tokenize(args) => tokenize::run(args, global, out),
            Command::Words(args) => words::run(args, global.json, out),
            Command::Check(args) => check::run(args, global.json, global.quiet, out),
            Command::Stats(args) => stats::run(args, global.json, global.quiet, out),
            Command::Export(args) => export::run(args, global, out),
            Command::Import(args) => import::run(args, global, out),
            Command::Model(args) => model::run(args, global, out),
            Command::Bench(args) => bench::run(args, global, out),
            Command::Chat(args) => chat::run(args, global, out),
            Command::Propose(args) => propose::run(args, global, out),
            Command::Score(args) => score::run(args, global.json, out),
            Command::Train(args) => train::run(args, global, out),
            Command::Eval(args) => eval::run(args, global, out),
        }
    }
}

impl GlobalArgs {
    fn limits(&self) -> Limits {
        Limits::with_max_pixels(self.max_megapixels * 1_000_000)
    }

    /// Whether the user named a model, by the flag or in the environment.
    fn names_model(&self) -> bool {
        self.model.is_some() || env::var_os(MODEL_VARIABLE).is_some_and(|value| !value.is_empty())
    }

    fn stages(&self) -> Stages {
        Stages::new(self.quiet)
    }

    /// Finds the model: `--model`, then `SAMTOK_MODEL`, then the one compiled into the program.
    fn model_files(&self) -> anyhow::Result<ModelFiles> {
        if let Some(path) = &self.model {
            return Ok(ModelFiles::open(path)?);
        }
        match env::var_os(MODEL_VARIABLE).filter(|value| !value.is_empty()) {
            Some(path) => {
                ModelFiles::open(Path::new(&path)).with_context(|| format!("the model of {MODEL_VARIABLE}"))
            }
            None => ModelFiles::embedded()
                .context("the built-in model cannot be used, so name another one with --model"),
        }
    }

    /// Loads a model onto the device asked for.
    fn load(&self, files: &ModelFiles, stages: &mut Stages) -> anyhow::Result<MaskTokenizer> {
        let device = ChosenDevice::open(self.device)?;
        tracing::info!("running on {device}: {}", device.reason);
        Ok(stages.time(Stage::Load, || MaskTokenizer::load(files, &device))?)
    }
}

/// What every JSON answer about an image begins with: the image, the model, and one entry per mask.
fn image_json(image: &Path, size: ImageSize, tokenizer: &MaskTokenizer, masks: Vec<Value>) -> Value {
    json!({
        "image": image.display().to_string(),
        "width": size.width,
        "height": size.height,
        "model": model_json(tokenizer),
        "masks": masks,
    })
}

/// The `model` of every JSON document.
fn model_json(tokenizer: &MaskTokenizer) -> Value {
    json!({"name": tokenizer.config().name, "fingerprint": tokenizer.fingerprint().to_string()})
}

/// The first line of every table: the image and the model.
fn write_heading(
    out: &mut dyn Write,
    image: &Path,
    size: ImageSize,
    tokenizer: &MaskTokenizer,
) -> io::Result<()> {
    let (name, fingerprint) = (&tokenizer.config().name, tokenizer.fingerprint().short());
    writeln!(
        out,
        "{}  {size} pixels  model {name} {fingerprint}",
        image.display()
    )
}

fn write_json(out: &mut dyn Write, document: &Value) -> anyhow::Result<()> {
    writeln!(out, "{document:#}").context("cannot write to standard output")
}

/// `[x, y, width, height]`, or `null` for a mask without pixels.
fn bbox_json(bbox: Option<PixelRect>) -> Value {
    bbox.map_or(Value::Null, |bbox| {
        json!([bbox.x, bbox.y, bbox.width, bbox.height])
    })
}

fn bbox_text(bbox: Option<PixelRect>) -> String {
    bbox.map_or_else(
        || "-".to_owned(),
        |b| format!("{},{},{},{}", b.x, b.y, b.width, b.height),
    )
}

/// Codes with `-` where one is missing.
fn codes_text(codes: &MaskCodes) -> String {
    let shown: Vec<String> = codes
        .iter()
        .map(|code| code.map_or_else(|| "-".to_owned(), |code| code.to_string()))
        .collect();
    shown.join(" ")
}

/// `1 region`, `2 regions`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Four decimals, which is more than an IoU means.
fn rounded(iou: f64) -> f64 {
    (iou * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_argument_has_a_help_text() {
        fn check(command: &clap::Command) {
            assert!(
                command.get_about().is_some(),
                "{} has no help",
                command.get_name()
            );
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some(),
                    "{} of {}",
                    argument.get_id(),
                    command.get_name()
                );
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn log_levels_follow_the_flags() {
        for (flags, level) in [
            (&[][..], Level::WARN),
            (&["-q"], Level::ERROR),
            (&["-v"], Level::INFO),
            (&["-vv"], Level::DEBUG),
        ] {
            let arguments = ["samtok", "words", "x"].iter().chain(flags).map(OsString::from);
            assert_eq!(Cli::parse(arguments).unwrap().log_level(), level, "{flags:?}");
        }
    }
}
