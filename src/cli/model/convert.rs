//! `samtok model convert`: any readable weights as safetensors.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{bail, ensure};

use super::target::Target;
use super::{Opened, kind_text};
use crate::cli::output_files::Overwriting;
use crate::cli::{ExitCode, GlobalArgs};
use crate::tokenizer::Config;
use crate::tokenizer::model::layout;
use crate::tokenizer::weights::write::{self, NamedTensor, Precision};
use crate::tokenizer::weights::{CheckpointKind, check_finite};

/// Write a model as safetensors with its config.json
#[derive(Debug, clap::Args)]
pub(super) struct ConvertArgs {
    /// A model folder or a weights file
    path: PathBuf,
    /// A folder, or a file that ends with .safetensors
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// Half the size, about three decimal digits; the fingerprint changes
    #[arg(long)]
    f16: bool,
    /// Keep tensors that the mask tokenizer does not use, such as video memory
    #[arg(long)]
    everything: bool,
    #[command(flatten)]
    overwriting: Overwriting,
}

pub(super) fn run(args: &ConvertArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let opened = Opened::new(Some(&args.path), global)?;
    let checkpoint = opened.checkpoint();
    let (config, names): (Option<&Config>, Vec<String>) = match (&opened, args.everything) {
        (Opened::Network(files), false) => {
            ensure!(
                checkpoint.kind_hint() == CheckpointKind::Samtok,
                "this is no mask tokenizer ({}); convert all its tensors with --everything: {}",
                kind_text(checkpoint.kind_hint()),
                files.location
            );
            files.check()?;
            (Some(&files.config), layout(&files.config)?.into_keys().collect())
        }
        (Opened::Network(files), true) => {
            // The shapes of a base network are known, but a config.json would promise codebooks.
            let is_tokenizer = checkpoint.kind_hint() == CheckpointKind::Samtok;
            let all = checkpoint.names().map(str::to_owned).collect();
            (Some(&files.config).filter(|_| is_tokenizer), all)
        }
        (Opened::Other { .. }, true) => (None, checkpoint.names().map(str::to_owned).collect()),
        (Opened::Other { location, .. }, false) => bail!(
            "the network's shape is not one of the published ones; put its config.json beside the weights, or convert all tensors with --everything: {location}"
        ),
    };
    let precision = if args.f16 { Precision::F16 } else { Precision::F32 };
    let tensors = names.iter().filter_map(|name| {
        let shape = checkpoint.get(name)?.shape.clone();
        Some(NamedTensor::new(name.clone(), shape, move || {
            let values = checkpoint.read_f32(name)?;
            check_finite(name, &values)?;
            Ok(values)
        }))
    });
    let target = Target::open(&args.out, args.overwriting)?;
    target.write(config, |path| {
        Ok(write::safetensors(
            path,
            tensors,
            precision,
            checkpoint.metadata(),
        )?)
    })?;
    target.show(global, out)
}
