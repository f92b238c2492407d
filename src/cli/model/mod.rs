//! `samtok model`: looks into model files, converts them, and makes reproducible ones for tests and benchmarks.

mod convert;
mod generate;
mod info;
mod target;

use std::io::Write;
use std::path::Path;

use super::{ExitCode, GlobalArgs};
use crate::tokenizer::weights::{Checkpoint, CheckpointKind};
use crate::tokenizer::{ModelFiles, TokenizerError};

/// Look into model files, convert them, or generate weights
#[derive(Debug, clap::Args)]
pub(super) struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ModelCommand {
    Info(info::InfoArgs),
    Convert(convert::ConvertArgs),
    Generate(generate::GenerateArgs),
}

pub(super) fn run(args: &ModelArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    match &args.command {
        ModelCommand::Info(args) => info::run(args, global, out),
        ModelCommand::Convert(args) => convert::run(args, global, out),
        ModelCommand::Generate(args) => generate::run(args, global, out),
    }
}

/// A weights file, with its network where that is known.
enum Opened {
    Network(Box<ModelFiles>),
    Other {
        checkpoint: Checkpoint,
        location: String,
    },
}

impl Opened {
    fn new(path: Option<&Path>, global: &GlobalArgs) -> anyhow::Result<Self> {
        let opened = match path {
            Some(path) => ModelFiles::open(path).map_err(Into::into),
            None => global.model_files(),
        };
        match opened {
            Ok(files) => Ok(Self::Network(Box::new(files))),
            Err(error) => match error.downcast_ref::<TokenizerError>() {
                Some(TokenizerError::UnknownNetwork { path }) => Self::other(path),
                // The config.json of a language model describes no tokenizer.
                Some(TokenizerError::ConfigFile { .. }) => match path.map(Self::other) {
                    Some(Ok(other)) if other.checkpoint().kind_hint() == CheckpointKind::Other => Ok(other),
                    _ => Err(error),
                },
                _ => Err(error),
            },
        }
    }

    fn other(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::Other {
            checkpoint: Checkpoint::open(path)?,
            location: path.display().to_string(),
        })
    }

    fn checkpoint(&self) -> &Checkpoint {
        match self {
            Self::Network(files) => &files.checkpoint,
            Self::Other { checkpoint, .. } => checkpoint,
        }
    }

    fn location(&self) -> &str {
        match self {
            Self::Network(files) => &files.location,
            Self::Other { location, .. } => location,
        }
    }
}

const fn kind_text(kind: CheckpointKind) -> &'static str {
    match kind {
        CheckpointKind::Samtok => "mask tokenizer",
        CheckpointKind::Sam2 => "base SAM 2 network, for segment --prompt-model",
        CheckpointKind::Other => "something else, such as a language model",
    }
}
