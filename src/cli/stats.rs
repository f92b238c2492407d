//! `samtok stats`: counts what is in a folder of annotations, as a table, as JSON, as CSV files and as a page.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::ExitCode;
use super::check::{advance, folder_progress};
use super::diagnostics::Printable;
use super::output_files::{OutputFolder, Overwriting, write_whole};
use super::table::Table;
use crate::audit::stats::{CsvFile, SizeClass, Tally};
use crate::audit::{self, Stats, StatsOptions};

/// Labels and names in the table; the files and the JSON document have all.
const MAX_ROWS: usize = 10;

/// Count what is in the annotations of a folder
#[derive(Debug, clap::Args)]
pub(super) struct StatsArgs {
    /// The folder with the images; sub-folders are counted too
    folder: PathBuf,
    /// Write the numbers as CSV files into this folder too
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,
    /// Write a page with plots too, which opens offline in any browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Codes that are used fewer times are rare
    #[arg(long, value_name = "N", default_value_t = StatsOptions::default().rare_below)]
    rare_below: u64,
    #[command(flatten)]
    overwriting: Overwriting,
}

/// Counts the folder of `args`, writes the files it asks for, and a summary or the JSON document to `out`.
pub(super) fn run(
    args: &StatsArgs,
    json: bool,
    quiet: bool,
    out: &mut dyn Write,
) -> anyhow::Result<ExitCode> {
    // Before an hour of counting, not after it.
    for path in args
        .csv
        .iter()
        .flat_map(|folder| csv_paths(folder))
        .chain(args.html.clone())
    {
        args.overwriting.check(&path)?;
    }
    let bar = folder_progress(quiet);
    let options = StatsOptions {
        rare_below: args.rare_below,
    };
    let stats = audit::stats(&args.folder, options, &mut |progress| advance(&bar, progress))?;
    bar.finish_and_clear();
    let images = stats.images;
    if images.annotated + images.not_annotated + images.unreadable == 0 {
        bail!(
            "there are no images in this folder; give the one that has them: {}",
            args.folder.display()
        );
    }
    if let Some(path) = &args.csv {
        let folder = OutputFolder::open(path)?;
        for file in stats.to_csv() {
            write_whole(&path.join(file.name), file.text.as_bytes())?;
        }
        drop(folder);
    }
    if let Some(path) = &args.html {
        write_whole(path, stats.to_html(&title(&args.folder)).as_bytes())?;
    }
    if json {
        writeln!(out, "{:#}", stats.to_json()).context("cannot write to standard output")?;
    } else {
        write_summary(&stats, out).context("cannot write to standard output")?;
    }
    if images.unreadable > 0 {
        tracing::warn!(
            "{} sidecars could not be read and were left out; samtok check says why",
            images.unreadable
        );
    }
    if !stats.is_complete {
        tracing::warn!("some sub-folders could not be listed and were left out; samtok check says which");
    }
    let failed = usize::from(images.unreadable > 0 || !stats.is_complete);
    Ok(ExitCode::of(
        usize::from(images.annotated > 0 || images.not_annotated > 0),
        failed,
    ))
}

fn csv_paths(folder: &Path) -> Vec<PathBuf> {
    CsvFile::NAMES.iter().map(|name| folder.join(name)).collect()
}

/// The name of the folder, also where it was given as `.`.
fn title(folder: &Path) -> String {
    let whole = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    whole
        .file_name()
        .unwrap_or(whole.as_os_str())
        .to_string_lossy()
        .into_owned()
}

fn write_summary(stats: &Stats, out: &mut dyn Write) -> io::Result<()> {
    let images = stats.images;
    let mut table = Table::new(["quantity", "count"]);
    let mut add = |name: &str, value: String| table.add([name.to_owned(), value]);
    add("annotated images", images.annotated.to_string());
    add("images not annotated", images.not_annotated.to_string());
    add("unreadable sidecars", images.unreadable.to_string());
    add("regions", stats.regions().to_string());
    for (class, count) in SizeClass::ALL.iter().zip(stats.sizes) {
        add(&format!("  {}", class.as_str()), count.to_string());
    }
    add("captions", stats.captions().to_string());
    add("conversations", stats.conversations().to_string());
    add("regions with fresh words", stats.words.fresh.to_string());
    add("regions with stale words", stats.words.stale.to_string());
    add("regions without words", stats.words.missing.to_string());
    if let Some(mean) = stats.ious.mean() {
        add(
            "mean round-trip IoU",
            format!("{:.4}", mean / audit::stats::IOU_UNITS as f64),
        );
    }
    table.write(out)?;

    let mut models = Table::new(["model", "depth", "used", "rare", "unused", "perplexity"]);
    for (model, used) in &stats.words.models {
        for (depth, codes) in used.depths.iter().enumerate() {
            models.add([
                Printable(&used.name).to_string(),
                (depth + 1).to_string(),
                codes.used().to_string(),
                codes.rare(stats.options.rare_below).count().to_string(),
                (u64::from(model.codebook_size) - codes.used()).to_string(),
                format!("{:.1}", codes.perplexity()),
            ]);
        }
    }
    write_behind_gap(&models, !stats.words.models.is_empty(), out)?;

    let mut classes = Table::new(["label", "regions", "images"]);
    for (label, class) in stats.classes.sorted().into_iter().take(MAX_ROWS) {
        classes.add([named(label), class.regions.to_string(), class.images.to_string()]);
    }
    write_behind_gap(&classes, !stats.classes.is_empty(), out)?;
    write_names("source", &stats.sources, out)?;
    write_names("author", &stats.authors, out)?;
    write_names("reviewer", &stats.reviewers, out)
}

fn write_names(heading: &str, tally: &Tally, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new([heading, "count"]);
    for (name, count) in tally.sorted().into_iter().take(MAX_ROWS) {
        table.add([named(name), count.to_string()]);
    }
    write_behind_gap(&table, !tally.is_empty(), out)
}

fn write_behind_gap<const N: usize>(table: &Table<N>, has_rows: bool, out: &mut dyn Write) -> io::Result<()> {
    if has_rows {
        writeln!(out)?;
    }
    table.write(out)
}

/// A name fit for a terminal; `-` for none.
fn named(name: &str) -> String {
    if name.is_empty() {
        "-".to_owned()
    } else {
        Printable(name).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        args: StatsArgs,
    }

    fn answer(folder: &Path, options: &[&str], json: bool) -> anyhow::Result<(ExitCode, String)> {
        let arguments = ["stats", folder.to_str().unwrap()]
            .into_iter()
            .chain(options.iter().copied());
        let program = Program::try_parse_from(arguments)?;
        let mut out = Vec::new();
        let code = run(&program.args, json, true, &mut out)?;
        Ok((code, String::from_utf8(out).unwrap()))
    }

    #[test]
    fn files_are_written_and_never_over_others() {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("images");
        fs::create_dir(&images).unwrap();
        let none = answer(&images, &[], false).unwrap_err().to_string();
        assert!(none.starts_with("there are no images"), "{none}");
        fs::write(images.join("a.png"), "x").unwrap();
        let (csv, html) = (folder.path().join("csv"), folder.path().join("page.html"));
        let options = ["--csv", csv.to_str().unwrap(), "--html", html.to_str().unwrap()];
        let (code, text) = answer(&images, &options, true).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (code, &json["images"]["not_annotated"]),
            (ExitCode::AllWell, &serde_json::json!(1))
        );
        assert_eq!(fs::read_dir(&csv).unwrap().count(), CsvFile::NAMES.len());
        assert!(fs::read_to_string(&html).unwrap().contains("<h1>images</h1>"));
        let again = answer(&images, &options, false).unwrap_err().to_string();
        assert!(again.contains("--force"), "{again}");
        let forced = [&options[..], &["--force"]].concat();
        assert_eq!(answer(&images, &forced, false).unwrap().0, ExitCode::AllWell);
    }

    #[test]
    fn unreadable_sidecars_show_in_the_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.png.samtok.json"), "{").unwrap();
        assert_eq!(
            answer(folder.path(), &[], false).unwrap().0,
            ExitCode::NothingDone
        );
        fs::write(folder.path().join("b.png"), "x").unwrap();
        let (code, text) = answer(folder.path(), &[], false).unwrap();
        assert_eq!(code, ExitCode::SomeFailed);
        let row = |line: &str| line.split_whitespace().collect::<Vec<_>>() == ["unreadable", "sidecars", "1"];
        assert!(text.lines().any(row), "{text}");
    }
}
