//! `samtok import`: annotations of another program into the sidecars of a folder, where nothing is overwritten.

use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::bail;

use super::conversion::{self, Bar};
use super::{ExitCode, GlobalArgs};
use crate::interchange::{self, Format, ImportOptions, NoSuchFormat};

/// Add annotations of another program to those of a folder of images
///
/// What is there stays, and what is there already is not added again, so importing twice changes nothing. Exit code 0:
/// all well; 1: some annotations could not be saved, the rest was; 2: nothing was done.
#[derive(Debug, clap::Args)]
#[command(after_help = conversion::format_list())]
pub(super) struct ImportArgs {
    /// The format
    #[arg(long, value_name = "NAME")]
    from: Source,
    /// The file or folder in that format
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// The folder of images; sub-folders are included
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
    /// Change nothing if anything would be lost
    #[arg(long)]
    strict: bool,
}

/// Everything that can be imported from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Interchange(Format),
    // The formats for training (llava, jsonl, sharegpt, messages, rl-parquet) come here, by their own entry point.
}

impl FromStr for Source {
    type Err = NoSuchFormat;

    fn from_str(name: &str) -> Result<Self, NoSuchFormat> {
        name.parse().map(Self::Interchange)
    }
}

pub(super) fn run(args: &ImportArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let Source::Interchange(format) = args.from;
    let options = ImportOptions { strict: args.strict };
    let mut bar = Bar::new(global);
    let imported = interchange::import(format, &args.source, &args.into, &options, &mut |progress| {
        bar.show(progress)
    });
    bar.finish();
    let report = imported?;
    if global.json {
        super::write_json(out, &report.to_json())?;
    } else {
        write!(out, "{report}")?;
    }
    if report.is_written && report.images == 0 && report.failures.is_empty() {
        bail!(
            "nothing in it is about an image of the folder: {}",
            args.source.display()
        );
    }
    Ok(conversion::ending(
        &report.failures,
        report.images,
        report.is_written,
    ))
}
