//! `samtok model generate`: reproducible weights for a configuration.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::target::Target;
use crate::cli::output_files::Overwriting;
use crate::cli::{ExitCode, GlobalArgs};
use crate::tokenizer::model::layout;
use crate::tokenizer::weights::generate;
use crate::tokenizer::weights::write::Precision;
use crate::tokenizer::{Config, TokenizerError};

/// Most values of generated weights, 16 GiB: beyond any network, and a bound for what a file can ask for.
const MAX_VALUES: usize = 1 << 32;
/// Most values of one generated tensor, which is held in memory.
const MAX_TENSOR_VALUES: usize = 1 << 29;

/// Write reproducible weights for tests and benchmarks; they have learned nothing
#[derive(Debug, clap::Args)]
pub(super) struct GenerateArgs {
    /// The config.json of the network
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The model folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A keys.json with names and shapes of more tensors to write
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    #[command(flatten)]
    overwriting: Overwriting,
}

pub(super) fn run(args: &GenerateArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let json = read_json(&args.config)?;
    let config = Config::from_json(&json).map_err(|error| TokenizerError::ConfigFile {
        source: Box::new(error),
        path: args.config.clone(),
    })?;
    let mut shapes = layout(&config)?;
    if let Some(path) = &args.keys {
        for (name, shape) in keys(path)? {
            match shapes.insert(name.clone(), shape.clone()) {
                Some(needed) if needed != shape => bail!(
                    "{name} is {shape:?} in this list and {needed:?} in the network; give the list of this network: {}",
                    path.display()
                ),
                _ => {}
            }
        }
    }
    check_values(&shapes)?;
    let target = Target::open(&args.out, args.overwriting)?;
    target.write(Some(&config), |path| {
        Ok(generate::write(path, &shapes, Precision::F32)?)
    })?;
    target.show(global, out)
}

fn read_json(path: &Path) -> anyhow::Result<Vec<u8>> {
    ensure!(
        !path.is_dir(),
        "this is a folder, not a JSON file; name the file in it: {}",
        path.display()
    );
    fs::read(path).map_err(|error| anyhow::anyhow!("cannot read the file: {error}: {}", path.display()))
}

/// Names and shapes of a `keys.json`, either at its top or under `keys`.
fn keys(path: &Path) -> anyhow::Result<BTreeMap<String, Vec<usize>>> {
    let explain = || format!("expected a JSON object of names and shapes: {}", path.display());
    let mut document: Value = serde_json::from_slice(&read_json(path)?).with_context(explain)?;
    let keys = match document.get_mut("keys") {
        Some(keys) => keys.take(),
        None => document,
    };
    serde_json::from_value(keys).with_context(explain)
}

fn check_values(shapes: &BTreeMap<String, Vec<usize>>) -> anyhow::Result<()> {
    let mut total = 0_usize;
    for (name, shape) in shapes {
        let values = shape
            .iter()
            .try_fold(1_usize, |values, size| values.checked_mul(*size))
            .filter(|values| *values <= MAX_TENSOR_VALUES);
        let Some(values) = values else {
            bail!("tensor {name} would have more than {MAX_TENSOR_VALUES} values; check its shape {shape:?}");
        };
        total = total.saturating_add(values);
    }
    ensure!(
        total <= MAX_VALUES,
        "the network would have {total} weights, more than {MAX_VALUES}; check its configuration"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_without_bound_are_refused() {
        let shapes = |shape: &[usize]| BTreeMap::from([("a".to_owned(), shape.to_vec())]);
        assert!(check_values(&shapes(&[3, 4])).is_ok());
        assert!(check_values(&shapes(&[])).is_ok());
        for shape in [[usize::MAX, 2], [1 << 20, 1 << 20], [usize::MAX, usize::MAX]] {
            assert!(check_values(&shapes(&shape)).is_err(), "{shape:?}");
        }
        let many: BTreeMap<String, Vec<usize>> = (0..9)
            .map(|index| (index.to_string(), vec![MAX_TENSOR_VALUES]))
            .collect();
        assert!(check_values(&many).is_err());
    }

    #[test]
    fn keys_are_read_at_the_top_and_below() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        for (json, is_fine) in [
            (r#"{"keys": {"a": [1, 2]}}"#, true),
            (r#"{"a": [1, 2]}"#, true),
            (r#"{"a": [-1]}"#, false),
            (r#"[1]"#, false),
            ("", false),
        ] {
            fs::write(&path, json).unwrap();
            assert_eq!(keys(&path).is_ok(), is_fine, "{json}");
        }
    }
}
