//! Where models are written: weights with their configuration, both or neither.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::info::{self, InfoArgs};
use crate::cli::output_files::{self, OutputFolder, Overwriting};
use crate::cli::{ExitCode, GlobalArgs};
use crate::tokenizer::Config;
use crate::tokenizer::model::CONFIG_FILE;

/// Name of the weights in a folder that this program writes.
const WEIGHTS_FILE: &str = "model.safetensors";

/// Where a model is written: a weights file with `config.json` beside it.
pub(super) struct Target {
    weights: PathBuf,
    config: PathBuf,
    _folder: OutputFolder,
}

impl Target {
    pub(super) fn open(path: &Path, overwriting: Overwriting) -> anyhow::Result<Self> {
        let is_file = path
            .extension()
            .is_some_and(|suffix| suffix.eq_ignore_ascii_case("safetensors"));
        let (folder, name) = match (is_file, path.parent(), path.file_name()) {
            (true, Some(folder), Some(name)) if folder.as_os_str().is_empty() => {
                (Path::new("."), Path::new(name))
            }
            (true, Some(folder), Some(name)) => (folder, Path::new(name)),
            _ => (path, Path::new(WEIGHTS_FILE)),
        };
        let (weights, config) = (folder.join(name), folder.join(CONFIG_FILE));
        if let Some(other) = other_weights(folder, name) {
            bail!(
                "the folder holds other weights already, and a model folder has one weights file; choose another --out: {}",
                other.display()
            );
        }
        overwriting.check(&weights)?;
        overwriting.check(&config)?;
        Ok(Self {
            weights,
            config,
            _folder: OutputFolder::open(folder)?,
        })
    }

    /// Writes the weights, then the configuration; neither stays without the other.
    pub(super) fn write(
        &self,
        config: Option<&Config>,
        weights: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        weights(&self.weights)?;
        let Some(config) = config else { return Ok(()) };
        let mut json = serde_json::to_string_pretty(config)?;
        json.push('\n');
        output_files::write_whole(&self.config, json.as_bytes()).inspect_err(|_| {
            let _removed = fs::remove_file(&self.weights);
        })
    }

    /// Tells what was written, which is read again to be sure of it.
    pub(super) fn show(&self, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let args = InfoArgs {
            path: Some(self.weights.clone()),
        };
        info::run(&args, global, out)
    }
}

/// A weights file in `folder` beside the one called `name`.
fn other_weights(folder: &Path, name: &Path) -> Option<PathBuf> {
    let is_weights = |path: &Path| {
        path.extension().is_some_and(|suffix| {
            ["safetensors", "pth", "pt"]
                .iter()
                .any(|known| suffix.eq_ignore_ascii_case(known))
        })
    };
    fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| is_weights(path) && path.file_name() != Some(name.as_os_str()))
}
