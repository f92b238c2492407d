//! `samtok eval`: how good the model is.

use super::{ExitCode, GlobalArgs};
use crate::evaluation::{
    Case, Evaluation, Mean, Measures, Prompted, RoundTrip, evaluate, generated_cases, worst_page,
};
use crate::image_file;
use crate::tokenizer::{ChosenDevice, MaskTokenizer};
use anyhow::Context as _;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::PathBuf;

/// Measure how well masks come back from their words, and how well prompts are answered
#[derive(Debug, clap::Args)]
pub(super) struct EvalArgs {
    /// Number of generated scenes to measure on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    generated: u64,
    /// Decides the generated scenes; none of them is among those of training
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Side of the generated scenes in pixels
    #[arg(long, value_name = "PX", default_value_t = 512)]
    size: u32,
    /// Codebook rows that searched encoding tries at every step; 0 leaves it out
    #[arg(long, value_name = "K", default_value_t = 4, value_parser = clap::value_parser!(u8).range(0..=16))]
    search: u8,
    /// Leave out clicks and boxes
    #[arg(long)]
    no_prompts: bool,
    /// Write a picture page of the masks that came back worst
    #[arg(long, value_name = "PNG")]
    worst: Option<PathBuf>,
}

/// Masks on the page of the worst.
const WORST: usize = 36;

pub(super) fn run(args: &EvalArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let device = ChosenDevice::open(global.device)?;
    let tokenizer = MaskTokenizer::load(&global.model_files()?, &device)?;
    let measures = Measures {
        search_width: args.search.into(),
        prompts: !args.no_prompts,
        worst: if args.worst.is_some() { WORST } else { 0 },
    };
    let cases: Box<dyn Iterator<Item = Case>> =
        Box::new(generated_cases(args.generated, args.seed, args.size)?);
    let bar = super::progress::bar(args.generated);
    let evaluation = evaluate(&tokenizer, cases, measures, |images| {
        bar.set_position(images);
        true
    })?;
    bar.finish_and_clear();
    if let Some(path) = &args.worst {
        image_file::write_rgb_png(path, &worst_page(&evaluation.worst))
            .context("cannot write the page of the worst masks")?;
    }
    if global.json {
        let mut answer = to_json(&evaluation);
        answer["model"] = json!({
            "name": tokenizer.config().name,
            "fingerprint": tokenizer.fingerprint().to_string(),
        });
        writeln!(out, "{answer:#}")?;
    } else {
        write!(out, "{}", to_text(&evaluation))?;
    }
    Ok(ExitCode::AllWell)
}

type Row = (&'static str, fn(&RoundTrip) -> Mean);

const ROWS: [Row; 8] = [
    ("mean_iou", |figures| figures.iou),
    ("iou_50", |figures| figures.iou_50),
    ("iou_75", |figures| figures.iou_75),
    ("boundary_iou", |figures| figures.boundary_iou),
    ("small", |figures| figures.small),
    ("medium", |figures| figures.medium),
    ("large", |figures| figures.large),
    ("thin", |figures| figures.thin),
];

fn prompt_rows(prompted: &Prompted) -> [(&'static str, Mean); 4] {
    [
        ("click1", prompted.click1),
        ("click3", prompted.click3),
        ("click5", prompted.click5),
        ("box", prompted.bounding_box),
    ]
}

fn to_json(evaluation: &Evaluation) -> Value {
    let figures = |figures: &RoundTrip| -> Value {
        let rows = ROWS
            .iter()
            .map(|(name, mean)| ((*name).to_owned(), json!(mean(figures).value())));
        Value::Object(rows.collect::<Map<_, _>>())
    };
    let mut round_trip = json!({"plain": figures(&evaluation.plain)});
    if let Some(searched) = &evaluation.searched {
        round_trip["searched"] = figures(searched);
    }
    let mut answer = json!({"round_trip": round_trip});
    if let Some(prompted) = &evaluation.prompted {
        let rows = prompt_rows(prompted);
        let rows = rows
            .iter()
            .map(|(name, mean)| ((*name).to_owned(), json!(mean.value())));
        answer["prompts"] = Value::Object(rows.collect::<Map<_, _>>());
    }
    answer["codes_used"] = json!(evaluation.codes.used());
    answer["code_perplexity"] = json!(evaluation.codes.perplexity());
    answer["masks"] = json!(evaluation.masks);
    answer["images"] = json!(evaluation.images);
    answer
}

fn to_text(evaluation: &Evaluation) -> String {
    let shown = |mean: Mean| mean.value().map_or("-".to_owned(), |value| format!("{value:.3}"));
    let mut text = format!("{} masks on {} images\n\n", evaluation.masks, evaluation.images);
    text += &format!(
        "{:<14}{:>8}{:>10}{:>8}\n",
        "round trip", "plain", "searched", "masks"
    );
    for (name, mean) in ROWS {
        let searched = evaluation
            .searched
            .as_ref()
            .map_or("-".to_owned(), |figures| shown(mean(figures)));
        let plain = mean(&evaluation.plain);
        text += &format!(
            "{name:<14}{:>8}{searched:>10}{:>8}\n",
            shown(plain),
            plain.count()
        );
    }
    if let Some(prompted) = &evaluation.prompted {
        text += &format!("\n{:<14}{:>8}\n", "prompts", "IoU");
        for (name, mean) in prompt_rows(prompted) {
            text += &format!("{name:<14}{:>8}\n", shown(mean));
        }
    }
    let perplexity = evaluation.codes.perplexity();
    for (depth, used) in evaluation.codes.used().into_iter().enumerate() {
        text += &format!(
            "{}codes of step {}: {used} used, as varied as {:.0} used equally\n",
            if depth == 0 { "\n" } else { "" },
            depth + 1,
            perplexity[depth]
        );
    }
    text
}
