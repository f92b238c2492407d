//! `samtok tokenize`: words for every region of a folder that lacks them.

use super::encode::SearchArgs;
use super::folder_run::{Failures, followed, seconds_since};
use super::{ExitCode, GlobalArgs};
use crate::dataset::folder::Folder;
use crate::tokenizer::{ChosenDevice, MaskTokenizer};
use crate::worker::tokenize::{Shard, TokenizeOptions, tokenize};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// Give words to all regions of a folder that have none, or stale ones
///
/// Words are stale when the mask was changed since, or another model made them. What is up to date stays as it is, so
/// a run that was interrupted is simply started again.
#[derive(Debug, clap::Args)]
pub(super) struct TokenizeArgs {
    /// The folder; images in sub-folders are included
    folder: PathBuf,
    #[command(flatten)]
    search: SearchArgs,
    /// Do only the K-th of N parts of the folder, so that N machines can share the work
    #[arg(long, value_name = "K/N", default_value = "1/1")]
    shard: Shard,
}

pub(super) fn run(args: &TokenizeArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let folder = Folder::open(&args.folder)?;
    let files = global.model_files()?;
    args.search.check(files.config.quantizer.codebook_depth)?;
    let tokenizer = MaskTokenizer::load(&files, &ChosenDevice::open(global.device)?)?;
    let options = TokenizeOptions {
        search_width: args.search.width(),
        shard: args.shard,
        limits: global.limits(),
    };
    let start = Instant::now();
    let summary = followed(|follow| {
        tokenize(&folder, &tokenizer, &options, |progress| {
            follow(progress.total, progress.done);
            true
        })
    })?;
    let failures = Failures(&summary.failures);
    let failed = failures.report();
    let progress = summary.progress;
    if global.json {
        let answer = json!({
            "folder": args.folder.display().to_string(),
            "model": super::model_json(&tokenizer),
            "images": progress.total,
            "saved": progress.saved,
            "up_to_date": progress.up_to_date,
            "regions": progress.regions,
            "failures": failures.to_json(),
            "seconds": seconds_since(start),
        });
        super::write_json(out, &answer)?;
    } else {
        writeln!(
            out,
            "{} got words on {}; {} up to date, {failed} failed",
            super::counted(progress.regions as usize, "region"),
            super::counted(progress.saved as usize, "image"),
            super::counted(progress.up_to_date as usize, "image"),
        )?;
    }
    Ok(ExitCode::of(
        (progress.total as usize).saturating_sub(failed),
        failed,
    ))
}
