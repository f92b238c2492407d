//! `samtok export`: the annotations of a folder in another program's format, and what that format lost of them.

use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use super::conversion::{self, Bar};
use super::{ExitCode, GlobalArgs};
use crate::interchange::{self, ExportOptions, Format, NoSuchFormat};

/// Write the annotations of a folder in another format, and measure what is lost
///
/// What was written is read again and compared with the annotations: regions, their parts and holes, every pixel, and
/// every text. Exit code 0: written; 1: some annotations could not be read, the rest was written; 2: nothing written.
#[derive(Debug, clap::Args)]
#[command(after_help = conversion::format_list())]
pub(super) struct ExportArgs {
    /// The folder of images; sub-folders are included
    folder: PathBuf,
    /// The format
    #[arg(long, value_name = "NAME")]
    to: Target,
    /// A new or empty folder for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write nothing if anything would be lost
    #[arg(long)]
    strict: bool,
    /// Copy the images to where the format expects them
    #[arg(long)]
    copy_images: bool,
}

/// Everything that can be exported to.
#[derive(Clone, Copy, Debug)]
enum Target {
    Interchange(Format),
    // The formats for training (llava, jsonl, sharegpt, messages, rl-parquet) come here, by their own entry point.
}

impl FromStr for Target {
    type Err = NoSuchFormat;

    fn from_str(name: &str) -> Result<Self, NoSuchFormat> {
        name.parse().map(Self::Interchange)
    }
}

pub(super) fn run(args: &ExportArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let Target::Interchange(format) = args.to;
    let options = ExportOptions {
        strict: args.strict,
        copy_images: args.copy_images,
    };
    let mut bar = Bar::new(global);
    let exported = interchange::export(&args.folder, format, &args.out, &options, &mut |progress| {
        bar.show(progress)
    });
    bar.finish();
    let report = exported?;
    if global.json {
        super::write_json(out, &report.to_json())?;
    } else {
        write!(out, "{report}")?;
        if report.is_written {
            writeln!(out, "{} is in {}", format.description(), args.out.display())?;
        }
    }
    Ok(conversion::ending(
        &report.failures,
        report.images.before,
        report.is_written,
    ))
}
