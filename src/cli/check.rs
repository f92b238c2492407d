//! `samtok check`: finds what is wrong with the annotations of a folder, as a table or as one JSON document.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::ExitCode;
use super::diagnostics::Printable;
use super::table::Table;
use crate::audit::{self, CheckOptions, CheckSummary, Code, Finding, Progress, Selection, Severity, Subject};

/// Find what is wrong with the annotations of a folder
///
/// Exit code 0: no errors were found; 1: errors, or with --strict warnings, were found; 2: nothing could be checked.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The folder with the images; sub-folders are checked too
    folder: PathBuf,
    /// Look for these only
    #[arg(long, value_name = "CODE", num_args = 1.., value_delimiter = ',', value_parser = codes())]
    only: Vec<Code>,
    /// Do not look for these; without image-changed, images are not read beyond their headers
    #[arg(long, value_name = "CODE", num_args = 1.., value_delimiter = ',', value_parser = codes(),
        hide_possible_values = true)]
    ignore: Vec<Code>,
    /// Regions with fewer pixels are tiny
    #[arg(long, value_name = "PIXELS", default_value_t = CheckOptions::default().min_area_px)]
    min_area: u64,
    /// Two regions of one image with at least this IoU are near duplicates
    #[arg(long, value_name = "IOU", default_value_t = CheckOptions::default().near_duplicate_iou,
        value_parser = positive_share)]
    near_duplicate_iou: f64,
    /// Words that give back a mask with a lower IoU are reported
    #[arg(long, value_name = "IOU", default_value_t = CheckOptions::default().min_words_iou, value_parser = share)]
    min_iou: f64,
    /// Show at most this many findings of one kind (not with --json, which has all)
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u64,
    /// Let warnings count as errors for the exit code
    #[arg(long)]
    strict: bool,
}

fn codes() -> impl TypedValueParser<Value = Code> {
    PossibleValuesParser::new(Code::ALL.iter().map(|code| code.as_str())).try_map(|name| name.parse::<Code>())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "give a number from 0 to 1, such as 0.5".to_owned())
}

fn positive_share(text: &str) -> Result<f64, String> {
    let share = share(text).ok().filter(|&share| share > 0.0);
    share.ok_or_else(|| "give a number above 0 and up to 1, such as 0.9".to_owned())
}

/// Checks the folder of `args` and writes what it found to `out`.
pub(super) fn run(
    args: &CheckArgs,
    json: bool,
    quiet: bool,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    let options = CheckOptions {
        min_area_px: args.min_area,
        near_duplicate_iou: args.near_duplicate_iou,
        min_words_iou: args.min_iou,
        selection: Selection {
            only: args.only.clone(),
            ignore: args.ignore.clone(),
        },
    };
    // A document that goes to a terminal as it is found would be torn by the bar.
    let bar = folder_progress(quiet || (json && io::stdout().is_terminal()));
    let mut counts: BTreeMap<Code, u64> = BTreeMap::new();
    let summary = if json {
        write_document(args, &options, &mut counts, &bar, out)?
    } else {
        let mut shown = Vec::new();
        let mut keep = |finding: Finding| {
            let count = counts.entry(finding.code).or_default();
            *count += 1;
            if *count <= args.limit {
                shown.push(finding);
            }
        };
        let summary = audit::check(&args.folder, &options, &mut keep, &mut |progress| {
            advance(&bar, progress)
        })?;
        bar.finish_and_clear();
        write_table(&shown, &counts, &summary, out).context("cannot write to standard output")?;
        summary
    };
    if summary.images == 0 && counts.is_empty() {
        bail!(
            "there are no images in this folder; give the one that has them: {}",
            args.folder.display()
        );
    }
    let failed =
        count_of(Severity::Error, &counts) > 0 || (args.strict && count_of(Severity::Warning, &counts) > 0);
    Ok(if failed {
        ExitCode::SomeFailed
    } else {
        ExitCode::AllWell
    })
}

/// A bar on the terminal for a walk through a folder; none elsewhere, and none if `hidden`.
pub(super) fn folder_progress(hidden: bool) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30} {human_pos} / {human_len} images, {per_sec}, {eta} left");
    match style {
        // Draws to standard error, and only if that is a terminal.
        Ok(style) if !hidden => ProgressBar::new(0).with_style(style),
        _ => ProgressBar::hidden(),
    }
}

/// Shows how far a walk is; it goes on.
pub(super) fn advance(bar: &ProgressBar, progress: Progress) -> ControlFlow<()> {
    bar.set_length(progress.total as u64);
    bar.set_position(progress.done as u64);
    ControlFlow::Continue(())
}

fn count_of(severity: Severity, counts: &BTreeMap<Code, u64>) -> u64 {
    let of_severity = counts.iter().filter(|(code, _)| code.severity() == severity);
    of_severity.map(|(_, count)| count).sum()
}

/// Writes the JSON document finding by finding, so that a million of them need no memory.
fn write_document(
    args: &CheckArgs,
    options: &CheckOptions,
    counts: &mut BTreeMap<Code, u64>,
    bar: &ProgressBar,
    out: &mut dyn Write,
) -> anyhow::Result<CheckSummary> {
    // Both callbacks need it: the one to note a failure, the other to stop the walk for it.
    let written: RefCell<io::Result<()>> = RefCell::new(Ok(()));
    let mut write = |finding: Finding| {
        let mut written = written.borrow_mut();
        if written.is_ok() {
            let start = if counts.is_empty() {
                format!(
                    "{{\n\"folder\": {},\n\"findings\": [\n",
                    json!(args.folder.display().to_string())
                )
            } else {
                ",\n".to_owned()
            };
            *written = write!(out, "{start}{}", finding.to_json());
        }
        *counts.entry(finding.code).or_default() += 1;
    };
    let mut progress = |progress| match *written.borrow() {
        Ok(()) => advance(bar, progress),
        Err(_) => ControlFlow::Break(()),
    };
    let summary = audit::check(&args.folder, options, &mut write, &mut progress)?;
    bar.finish_and_clear();
    let finish = || -> io::Result<()> {
        written.into_inner()?;
        if summary.images == 0 && counts.is_empty() {
            return Ok(());
        }
        if counts.is_empty() {
            write!(
                out,
                "{{\n\"folder\": {},\n\"findings\": [",
                json!(args.folder.display().to_string())
            )?;
        }
        let by_code: serde_json::Map<String, Value> = counts
            .iter()
            .map(|(code, count)| (code.as_str().to_owned(), json!(count)))
            .collect();
        let [errors, warnings, infos] = Severity::ALL.map(|severity| count_of(severity, counts));
        writeln!(
            out,
            "\n],\n\"counts\": {},\n\"errors\": {errors},\n\"warnings\": {warnings},\n\"infos\": {infos},\n\
             \"images\": {},\n\"sidecars\": {},\n\"regions\": {},\n\"conversations\": {}\n}}",
            Value::Object(by_code),
            summary.images,
            summary.sidecars,
            summary.regions,
            summary.conversations,
        )
    };
    finish().context("cannot write to standard output")?;
    Ok(summary)
}

fn write_table(
    findings: &[Finding],
    counts: &BTreeMap<Code, u64>,
    summary: &CheckSummary,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut image = None;
    for finding in findings {
        if image.replace(&finding.image) != Some(&finding.image) {
            writeln!(out, "{}", Printable(&finding.image))?;
        }
        let subject = match &finding.subject {
            Subject::Image => String::new(),
            Subject::Region(id) | Subject::Conversation(id) => format!("{}: ", Printable(id)),
        };
        let at = finding
            .at
            .as_deref()
            .map_or_else(String::new, |at| format!(" ({})", Printable(at)));
        let (severity, code) = (finding.severity(), finding.code);
        writeln!(
            out,
            "  {severity:<7}  {code:<22}  {subject}{}{at}",
            Printable(&finding.message)
        )?;
    }
    if !findings.is_empty() {
        writeln!(out)?;
    }
    let mut table = Table::new(["severity", "code", "count", "shown", "what to do"]);
    let mut codes: Vec<(&Code, &u64)> = counts.iter().collect();
    codes.sort_by_key(|(code, _)| code.severity());
    for (code, count) in codes {
        let shown = findings.iter().filter(|finding| finding.code == *code).count() as u64;
        let shown = if shown == *count {
            "all".to_owned()
        } else {
            shown.to_string()
        };
        table.add([
            code.severity().to_string(),
            code.to_string(),
            count.to_string(),
            shown,
            code.advice().to_owned(),
        ]);
    }
    table.write(out)?;
    let [errors, warnings, infos] = Severity::ALL.map(|severity| count_of(severity, counts));
    writeln!(
        out,
        "{} images, {} sidecars, {} regions: {errors} errors, {warnings} warnings, {infos} remarks",
        summary.images, summary.sidecars, summary.regions
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Document, ImageRef, Region, format};
    use crate::geometry::{ImageSize, PixelRect};
    use crate::image_file::write_mask_png;
    use crate::mask::Mask;
    use clap::Parser as _;
    use std::fs;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        args: CheckArgs,
    }

    /// Exit code and standard output; the folder goes before the options.
    fn answer(folder: &std::path::Path, options: &[&str], json: bool) -> anyhow::Result<(ExitCode, String)> {
        let arguments = ["check", folder.to_str().unwrap()]
            .into_iter()
            .chain(options.iter().copied());
        let program = Program::try_parse_from(arguments)?;
        let mut out = Vec::new();
        let code = run(&program.args, json, true, &mut out)?;
        Ok((code, String::from_utf8(out).unwrap()))
    }

    /// A folder with one annotated image that has a tiny and an unreadable region, and images without annotations.
    fn sample() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let size = ImageSize::new(20, 10);
        let mask = Mask::from_rects(size, &[PixelRect::new(1, 1, 2, 2)]).unwrap();
        for name in ["a.png", "b1.png", "b2.png", "b10.png"] {
            write_mask_png(&folder.path().join(name), &mask).unwrap();
        }
        let mut document = Document::new(ImageRef::new(std::path::Path::new("a.png"), size, None));
        document.regions = vec![
            Region::new("r\u{1b}1".to_owned(), mask.to_rle()),
            Region::new("r2".to_owned(), mask.to_rle()),
        ];
        let mut sidecar: Value = serde_json::from_slice(&format::write(&document).unwrap()).unwrap();
        sidecar["regions"][1]["mask"]["counts"] = json!("~");
        fs::write(folder.path().join("a.png.samtok.json"), sidecar.to_string()).unwrap();
        folder
    }

    #[test]
    fn findings_are_one_document() {
        let folder = sample();
        let (code, text) = answer(folder.path(), &[], true).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(code, ExitCode::SomeFailed);
        let codes: Vec<&str> = json["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap())
            .collect();
        let bare = "image-not-annotated";
        assert_eq!(
            codes,
            ["mask-invalid", "tiny-region", "words-missing", bare, bare, bare]
        );
        assert_eq!(json["findings"][0]["region"], "r2");
        assert_eq!(json["findings"][0]["at"], "regions[1].mask.counts");
        assert_eq!(
            (&json["errors"], &json["warnings"], &json["infos"]),
            (&json!(1), &json!(1), &json!(4))
        );
        assert_eq!((&json["images"], &json["regions"]), (&json!(4), &json!(1)));
        let (code, text) = answer(
            folder.path(),
            &["--only", "low-iou,mixed-models", "words-stale"],
            true,
        )
        .unwrap();
        let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(
            (code, &json["findings"], &json["counts"]),
            (ExitCode::AllWell, &json!([]), &json!({}))
        );
    }

    #[test]
    fn the_table_says_what_to_do_and_is_bounded() {
        let folder = sample();
        let (code, text) = answer(
            folder.path(),
            &["--limit", "2", "--ignore", "mask-invalid"],
            false,
        )
        .unwrap();
        assert_eq!(code, ExitCode::AllWell, "{text}");
        assert!(
            text.contains("a.png\n  warning  tiny-region             r\\u{1b}1: the region has 4 pixels"),
            "{text}"
        );
        assert!(text.contains("b2.png") && !text.contains("b10.png"), "{text}");
        assert!(
            text.lines()
                .any(|line| line.starts_with("info      image-not-annotated  3      2 ")),
            "{text}"
        );
        assert!(
            text.ends_with("4 images, 1 sidecars, 1 regions: 0 errors, 1 warnings, 4 remarks\n"),
            "{text}"
        );
        let (code, _) = answer(folder.path(), &["--ignore", "mask-invalid", "--strict"], false).unwrap();
        assert_eq!(code, ExitCode::SomeFailed, "warnings count");
        let (code, text) = answer(folder.path(), &["--only", "low-iou"], false).unwrap();
        assert_eq!((code, text.lines().count()), (ExitCode::AllWell, 1), "{text}");
    }

    #[test]
    fn what_cannot_be_checked_is_said() {
        let folder = sample();
        let error = |options: &[&str]| answer(folder.path(), options, false).unwrap_err().to_string();
        assert!(error(&["--only", "nonsense"]).contains("nonsense"));
        assert!(error(&["--near-duplicate-iou", "0"]).contains("above 0"));
        assert!(error(&["--min-iou", "2"]).contains("from 0 to 1"));
        let empty = tempfile::tempdir().unwrap();
        for json in [false, true] {
            let error = answer(empty.path(), &[], json).unwrap_err().to_string();
            assert!(error.starts_with("there are no images"), "{error}");
        }
        assert!(answer(&folder.path().join("nothing"), &[], true).is_err());
    }
}
