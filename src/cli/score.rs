//! `samtok score`: figures for predictions beside references, once for a file or line by line for a training loop.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::ExitCode;
use crate::scores::records::{Metric, Scorer, Streamed, line_writer, stream};
use crate::words::WordFormat;

/// A result file that is one JSON document is read whole.
const MAX_DOCUMENT_BYTES: u64 = 4 << 30;
/// Lines that failed are named one by one up to this number.
const NAMED_FAILURES: usize = 20;

/// Score answers with masks beside references
///
/// Every line of input is a JSON object; a file that is one JSON document holds one, or a list of them. With --each,
/// every line is answered at once by a line with its figures, so that a training loop can use the program as its reward
/// function; otherwise the figures over all lines are printed.
#[derive(Debug, clap::Args)]
pub(super) struct ScoreArgs {
    /// Files with predictions and references, or - for standard input
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// What to compute: words (rewards of mask words), mask_iou (reward of masks), gres, refcoco or gcg
    #[arg(long, value_name = "METRIC")]
    metric: Metric,
    /// Answer every line at once
    #[arg(long)]
    each: bool,
    /// Codes per codebook of the tokenizer that made the words
    #[arg(long, value_name = "N", default_value_t = WordFormat::PUBLISHED.codebook_size())]
    codebook_size: u32,
    /// Codebooks of that tokenizer, which is the number of words per mask
    #[arg(long, value_name = "D", default_value_t = WordFormat::PUBLISHED.codebook_depth())]
    codebook_depth: u32,
}

pub(super) fn run(args: &ScoreArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let format = WordFormat::new(args.codebook_size, args.codebook_depth)?;
    let mut scorer = Scorer::new(args.metric, format);
    let (mut scored, mut failures) = (0, Vec::new());
    for path in &args.files {
        let streamed = score_file(path, &mut scorer, args.each.then_some(&mut *out))?;
        scored += streamed.scored;
        failures.extend(
            streamed
                .failed
                .into_iter()
                .map(|(line, error)| (path, line, error)),
        );
    }
    if !args.each {
        for (path, line, error) in failures.iter().take(NAMED_FAILURES) {
            tracing::error!("line {line}: {error}: {}", path.display());
        }
        if failures.len() > NAMED_FAILURES {
            tracing::error!("and {} more lines", failures.len() - NAMED_FAILURES);
        }
        let mut summary = scorer.summary();
        summary["failed"] = json!(failures.len());
        if json {
            super::write_json(out, &summary)?;
        } else {
            write_summary(out, &summary)?;
        }
    }
    let scored = usize::try_from(scored).unwrap_or(usize::MAX);
    Ok(ExitCode::of(scored, failures.len()))
}

fn score_file(path: &Path, scorer: &mut Scorer, each: Option<&mut dyn Write>) -> anyhow::Result<Streamed> {
    if path.as_os_str() == "-" {
        let mut input = io::stdin().lock();
        return score_lines(&mut input, scorer, each).context("standard input");
    }
    let within = || path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot read the file: {}", path.display()))?;
    let is_document = path
        .extension()
        .is_some_and(|suffix| suffix.eq_ignore_ascii_case("json"));
    if !is_document {
        return score_lines(&mut BufReader::new(file), scorer, each).with_context(within);
    }
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT_BYTES + 1)
        .read_to_end(&mut bytes)
        .with_context(within)?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        bail!(
            "the file is too large to be read whole; write one record per line: {}",
            path.display()
        );
    }
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Array(records)) => {
            // As lines, so that there is one way to score.
            let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
            score_lines(&mut lines.as_bytes(), scorer, each)
        }
        Ok(record) => score_lines(&mut record.to_string().as_bytes(), scorer, each),
        // Many files of this suffix hold lines.
        Err(_) => score_lines(&mut bytes.as_slice(), scorer, each),
    }
    .with_context(within)
}

fn score_lines(
    input: &mut dyn BufRead,
    scorer: &mut Scorer,
    each: Option<&mut dyn Write>,
) -> anyhow::Result<Streamed> {
    Ok(match each {
        Some(out) => stream(scorer, input, line_writer(out))?,
        None => stream(scorer, input, |_| Ok(()))?,
    })
}

fn write_summary(out: &mut dyn Write, summary: &Value) -> io::Result<()> {
    for (key, value) in summary.as_object().into_iter().flatten() {
        match value {
            Value::Number(number) if number.is_f64() => {
                writeln!(out, "{key:<16} {:.4}", number.as_f64().unwrap_or_default())?;
            }
            Value::Null => writeln!(out, "{key:<16} -")?,
            Value::String(text) => writeln!(out, "{key:<16} {text}")?,
            value => writeln!(out, "{key:<16} {value}")?,
        }
    }
    Ok(())
}
