//! `samtok import`: annotations of another program into the sidecars of a folder, where nothing is overwritten.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;

use super::conversion::{self, Bar, Kind};
use super::{ExitCode, GlobalArgs};
use crate::interchange::{self, ImportOptions};

/// Add annotations of another program to those of a folder of images
///
/// What is there stays, and what is there already is not added again, so importing twice changes nothing. Exit code 0:
/// all well; 1: some annotations could not be saved, the rest was; 2: nothing was done.
#[derive(Debug, clap::Args)]
#[command(after_help = conversion::format_list())]
pub(super) struct ImportArgs {
    /// The format
    #[arg(long, value_name = "NAME")]
    from: Kind,
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

pub(super) fn run(args: &ImportArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let options = ImportOptions { strict: args.strict };
    let mut bar = Bar::new(global);
    let mut watch = |progress| bar.show(progress);
    let (source, into) = (&args.source, &args.into);
    let imported = match args.from {
        Kind::Interchange(format) => interchange::import(format, source, into, &options, &mut watch),
        Kind::Training(container) => {
            interchange::import_training(container, source, into, &options, &mut watch)
        }
    };
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
