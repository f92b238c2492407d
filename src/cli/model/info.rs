//! `samtok model info`: what a model file is, its fingerprint, and what is missing or unexpected.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Opened, kind_text};
use crate::cli::{ExitCode, GlobalArgs, write_json};
use crate::tokenizer::model::{LayoutReport, layout};
use crate::tokenizer::weights::{Checkpoint, CheckpointKind, Fingerprint};
use crate::tokenizer::{ModelFiles, TokenizerError};

/// Names shown of every list unless -v is given.
const SHOWN_NAMES: usize = 5;

/// Show what a model file is, its fingerprint, and what is missing or unexpected
///
/// Exit code 1: it is a mask tokenizer, but cannot be used.
#[derive(Debug, clap::Args)]
pub(super) struct InfoArgs {
    /// A model folder or a weights file [default: the model that --model or SAMTOK_MODEL names]
    pub(super) path: Option<PathBuf>,
}

/// What can be said about a network and its weights.
struct Findings<'a> {
    files: &'a ModelFiles,
    report: LayoutReport,
    parameters: usize,
    /// The fingerprint, or why there is none.
    fingerprint: Result<Fingerprint, TokenizerError>,
}

impl<'a> Findings<'a> {
    fn new(files: &'a ModelFiles) -> anyhow::Result<Self> {
        let shapes = layout(&files.config)?;
        Ok(Self {
            files,
            report: files.compare()?,
            parameters: shapes.values().map(|shape| shape.iter().product::<usize>()).sum(),
            fingerprint: files.fingerprint(),
        })
    }
}

pub(super) fn run(args: &InfoArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let opened = Opened::new(args.path.as_deref(), global)?;
    let findings = match &opened {
        Opened::Network(files) => Some(Findings::new(files)?),
        Opened::Other { .. } => None,
    };
    if global.json {
        write_json(out, &info_json(&opened, findings.as_ref()))?;
    } else {
        write_info(&opened, findings.as_ref(), global.verbose > 0, out)?;
    }
    let is_broken = |findings: &Findings<'_>| {
        opened.checkpoint().kind_hint() == CheckpointKind::Samtok && findings.fingerprint.is_err()
    };
    Ok(if findings.as_ref().is_some_and(is_broken) {
        ExitCode::SomeFailed
    } else {
        ExitCode::AllWell
    })
}

const fn kind_name(kind: CheckpointKind) -> &'static str {
    match kind {
        CheckpointKind::Samtok => "samtok",
        CheckpointKind::Sam2 => "sam2",
        CheckpointKind::Other => "other",
    }
}

/// Number of tensors per element type.
fn precision(checkpoint: &Checkpoint) -> BTreeMap<String, usize> {
    let mut tensors = BTreeMap::new();
    for info in checkpoint.names().filter_map(|name| checkpoint.get(name)) {
        *tensors.entry(info.dtype.to_string()).or_default() += 1;
    }
    tensors
}

fn info_json(opened: &Opened, findings: Option<&Findings<'_>>) -> Value {
    let checkpoint = opened.checkpoint();
    let mut document = json!({
        "path": opened.location(),
        "kind": kind_name(checkpoint.kind_hint()),
        "format": checkpoint.format().to_string(),
        "tensors": checkpoint.names().len(),
        "precision": precision(checkpoint),
        "metadata": checkpoint.metadata(),
        "notices": checkpoint.notices(),
    });
    if let Some(Findings {
        files,
        report,
        parameters,
        fingerprint,
    }) = findings
    {
        let config = &files.config;
        let misshapen = report
            .misshapen
            .iter()
            .map(|(name, needed, found)| json!({"name": name, "needed": needed, "found": found}));
        document["network"] = json!({
            "name": config.name,
            "recognised": files.recognised,
            "image_size": config.image_size,
            "codebook_size": config.quantizer.codebook_size,
            "codebook_depth": config.quantizer.codebook_depth,
            "parameters": parameters,
            "fingerprint": fingerprint.as_ref().ok().map(ToString::to_string),
            "problem": fingerprint.as_ref().err().map(ToString::to_string),
            "missing": report.missing,
            "misshapen": misshapen.collect::<Vec<_>>(),
            "unused": report.unused,
        });
    }
    document
}

fn write_info(
    opened: &Opened,
    findings: Option<&Findings<'_>>,
    is_verbose: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let checkpoint = opened.checkpoint();
    let mut line = |key: &str, value: &str| writeln!(out, "{key:<12} {value}");
    line("file", opened.location())?;
    line("kind", kind_text(checkpoint.kind_hint()))?;
    line("format", &checkpoint.format().to_string())?;
    if let Some(Findings {
        files, parameters, ..
    }) = findings
    {
        let config = &files.config;
        let quantizer = &config.quantizer;
        let from = if files.recognised {
            "recognised from the shapes"
        } else {
            "from config.json"
        };
        line("network", &format!("{} ({from})", config.name))?;
        line("image", &format!("{0} x {0} pixels", config.image_size))?;
        let shared = if quantizer.shared_codebook {
            ", one shared table"
        } else {
            ""
        };
        line(
            "codebooks",
            &format!(
                "{} of {} codes{shared}",
                quantizer.codebook_depth, quantizer.codebook_size
            ),
        )?;
        line("parameters", &format!("{:.1} million", *parameters as f64 / 1e6))?;
    }
    let precision: Vec<String> = precision(checkpoint)
        .iter()
        .map(|(dtype, tensors)| format!("{dtype} ({tensors} tensors)"))
        .collect();
    line("precision", &precision.join(", "))?;
    if let Some(Findings {
        report, fingerprint, ..
    }) = findings
    {
        match fingerprint {
            Ok(fingerprint) => line("fingerprint", &fingerprint.to_string())?,
            Err(error) => line("unusable", &error.to_string())?,
        }
        let misshapen: Vec<String> = report
            .misshapen
            .iter()
            .map(|(name, needed, found)| format!("{name} {found:?} instead of {needed:?}"))
            .collect();
        let shown = if is_verbose { usize::MAX } else { SHOWN_NAMES };
        for (key, names) in [
            ("missing", &report.missing),
            ("misshapen", &misshapen),
            ("unused", &report.unused),
        ] {
            if names.is_empty() {
                continue;
            }
            line(key, &format!("{} tensors", names.len()))?;
            for name in names.iter().take(shown) {
                line("", name)?;
            }
            if names.len() > shown {
                line("", &format!("… and {} more (-v shows them)", names.len() - shown))?;
            }
        }
    }
    for notice in checkpoint.notices() {
        line("notice", notice)?;
    }
    Ok(())
}
