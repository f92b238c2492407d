//! `samtok propose`: a language model's drafts for a whole folder.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::engine::EngineArgs;
use super::folder_run::{Failures, followed, seconds_since};
use super::{ExitCode, GlobalArgs};
use crate::dataset::folder::Folder;
use crate::language::proposals::Reader;
use crate::language::tasks::{Prompts, VisionTask};
use crate::worker::propose::{ProposeOptions, propose, usual_concurrency};
use crate::worker::tokenize::Shard;

/// Let a language model propose regions, captions and answers for all images of a folder
///
/// What it proposes becomes drafts that carry the model's name, beside what is there; nothing that a person wrote is
/// changed. A run that was interrupted is simply started again.
#[derive(Debug, clap::Args)]
pub(super) struct ProposeArgs {
    /// The folder; images in sub-folders are included
    folder: PathBuf,
    /// What to do: caption (regions without a caption), ask, describe, segment or detect
    #[arg(long, value_name = "TASK")]
    task: VisionTask,
    /// The question, a phrase to segment, or categories to detect; may be given several times
    #[arg(long = "text", value_name = "TEXT")]
    texts: Vec<String>,
    /// File of prompts to use in place of the published ones
    #[arg(long, value_name = "JSON")]
    prompts: Option<PathBuf>,
    /// Describe small regions without a closer look
    #[arg(long)]
    no_zoom: bool,
    /// From this IoU on a mask counts as a region that is there already, and is linked instead of added
    #[arg(long, value_name = "IOU", default_value_t = Reader::TWIN_IOU, value_parser = share)]
    twin_iou: f64,
    /// Do only the K-th of N parts of the folder, so that N machines can share the work
    #[arg(long, value_name = "K/N", default_value = "1/1")]
    shard: Shard,
    /// Questions that a server is asked at once
    #[arg(long, value_name = "N", default_value_t = usual_concurrency(), conflicts_with = "vlm")]
    concurrency: NonZeroUsize,
    /// Look again at images that earlier runs finished
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

/// A number above 0 and up to 1.
fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share
        .filter(|share| *share > 0.0 && *share <= 1.0)
        .ok_or_else(|| "give a number above 0 and up to 1".to_owned())
}

pub(super) fn run(args: &ProposeArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let folder = Folder::open(&args.folder)?;
    let options = ProposeOptions {
        task: args.task,
        texts: args.texts.clone(),
        prompts: args
            .prompts
            .as_deref()
            .map_or_else(|| Ok(Prompts::default()), Prompts::read)?,
        zooms_in: !args.no_zoom,
        twin_iou: args.twin_iou,
        shard: args.shard,
        limits: global.limits(),
        again: args.again,
    };
    let (engines, trained) = args.engine.open(global, args.concurrency, true)?;
    let model = engines.first().map_or("", |engine| engine.name()).to_owned();
    let tokenizer = args.engine.tokenizer(global, &model, &trained)?;
    let start = Instant::now();
    let summary = followed(|follow| {
        propose(&folder, &tokenizer, engines, &options, |progress| {
            follow(progress.total, progress.done);
            true
        })
    })?;
    let failures = Failures(&summary.failures);
    let failed = failures.report();
    let progress = summary.progress;
    let left = progress.total.saturating_sub(progress.done);
    if summary.is_given_up {
        tracing::error!(
            "gave up with {} left, because every further question would fail too; mend that and start again",
            super::counted(left as usize, "image")
        );
    }
    if global.json {
        let answer = json!({
            "folder": args.folder.display().to_string(),
            "task": args.task.name(),
            "language_model": model,
            "model": super::model_json(&tokenizer),
            "images": progress.total,
            "left": left,
            "saved": progress.saved,
            "up_to_date": progress.up_to_date,
            "answers": progress.answers,
            "regions": progress.regions,
            "linked": progress.linked,
            "problems": progress.problems,
            "failures": failures.to_json(),
            "seconds": seconds_since(start),
        });
        super::write_json(out, &answer)?;
    } else {
        writeln!(
            out,
            "{} for {}, {} and {} linked; {} up to date, {failed} failed, {left} left",
            super::counted(progress.answers as usize, "answer"),
            super::counted(progress.saved as usize, "image"),
            super::counted(progress.regions as usize, "new region"),
            progress.linked,
            super::counted(progress.up_to_date as usize, "image"),
        )?;
    }
    let done = (progress.done as usize).saturating_sub(failed);
    Ok(ExitCode::of(done, failed + usize::from(summary.is_given_up)))
}
