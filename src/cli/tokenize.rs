//! `samtok tokenize`: words for every region of a folder that lacks them.

use super::encode::SearchArgs;
use super::{ExitCode, GlobalArgs};
use crate::dataset::folder::Folder;
use crate::tokenizer::{ChosenDevice, MaskTokenizer};
use crate::worker::tokenize::{Shard, TokenizeOptions, TokenizeSummary, tokenize};
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
    let bar = super::progress::bar(0);
    let start = Instant::now();
    let summary = tokenize(&folder, &tokenizer, &options, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        true
    })?;
    bar.finish_and_clear();
    for (path, error) in &summary.failures {
        tracing::error!("{error}: {}", path.display());
    }
    let progress = summary.progress;
    let failed = summary.failures.len();
    if global.json {
        super::write_json(out, &to_json(&summary, &args.folder, &tokenizer, start.elapsed()))?;
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

fn to_json(
    summary: &TokenizeSummary,
    folder: &std::path::Path,
    tokenizer: &MaskTokenizer,
    elapsed: Duration,
) -> serde_json::Value {
    let failures = summary
        .failures
        .iter()
        .map(|(path, error)| json!({"image": path.display().to_string(), "error": error.to_string()}));
    json!({
        "folder": folder.display().to_string(),
        "model": super::model_json(tokenizer),
        "images": summary.progress.total,
        "saved": summary.progress.saved,
        "up_to_date": summary.progress.up_to_date,
        "regions": summary.progress.regions,
        "failures": failures.collect::<Vec<_>>(),
        "seconds": (elapsed.as_secs_f64() * 1e3).round() / 1e3,
    })
}
