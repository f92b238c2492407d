//! `samtok export`: the annotations of a folder in another program's format, and what that format lost of them.

use std::io::Write;
use std::path::PathBuf;

use super::conversion::{self, Bar, Kind};
use super::training_data::{self, TrainingArgs};
use super::{ExitCode, GlobalArgs};
use crate::interchange::training::ZoomTokenizer;
use crate::interchange::{self, ExportOptions};

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
    to: Kind,
    /// A new or empty folder for the files
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write nothing if anything would be lost
    #[arg(long)]
    strict: bool,
    /// Copy the images to where the format expects them
    #[arg(long)]
    copy_images: bool,
    #[command(flatten)]
    training: TrainingArgs,
}

pub(super) fn run(args: &ExportArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let options = ExportOptions {
        strict: args.strict,
        copy_images: args.copy_images,
    };
    let (report, manifest) = match args.to {
        Kind::Interchange(format) => {
            args.training.refuse(format.name())?;
            let mut bar = Bar::new(global);
            let mut watch = |progress| bar.show(progress);
            let exported = interchange::export(&args.folder, format, &args.out, &options, &mut watch);
            bar.finish();
            (exported?, None)
        }
        Kind::Training(container) => {
            let training = args.training.options(container)?;
            let mut zoom = args.training.zoom_tokenizer(global)?;
            let zoom = zoom.as_mut().map(|zoom| zoom as &mut dyn ZoomTokenizer);
            let mut bar = Bar::new(global);
            let mut watch = |progress| bar.show(progress);
            let exported =
                interchange::export_training(&args.folder, &training, zoom, &args.out, &options, &mut watch);
            bar.finish();
            exported?
        }
    };
    let manifest = manifest.filter(|_| report.is_written);
    if global.json {
        let mut json = report.to_json();
        if let (Some(manifest), Some(keys)) = (&manifest, json.as_object_mut()) {
            keys.insert("training".to_owned(), training_data::summary(manifest));
        }
        super::write_json(out, &json)?;
    } else {
        write!(out, "{report}")?;
        if let Some(manifest) = &manifest {
            training_data::print(manifest, out)?;
        }
        if report.is_written {
            writeln!(out, "{} is in {}", args.to.description(), args.out.display())?;
        }
    }
    Ok(conversion::ending(
        &report.failures,
        report.images.before,
        report.is_written,
    ))
}
