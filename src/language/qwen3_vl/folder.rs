//! What lies in a model folder: configuration, text tokenizer, weights in one file or in shards, and the mask tokenizer
//! that published folders have beside them.

use super::config::Config;
use super::error::{QwenError, Result};
use super::picture::Preprocessor;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const GENERATION: &str = "generation_config.json";
const PREPROCESSORS: [&str; 2] = ["preprocessor_config.json", "processor_config.json"];
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// No configuration is larger; an index of a thousand tensors has 0.1 MB, a text tokenizer 12 MB.
const MAX_CONFIG_BYTES: u64 = 64 << 20;

/// A recognised Qwen3-VL folder; its weights are not opened yet.
#[derive(Clone, Debug)]
pub(super) struct ModelFolder {
    pub(super) path: PathBuf,
    pub(super) config: Config,
    pub(super) preprocessor: Preprocessor,
    /// Tokens that end an answer, by `generation_config.json`.
    pub(super) stop_tokens: Vec<u32>,
    /// Weights files, the shards in order of name.
    pub(super) shards: Vec<PathBuf>,
}

impl ModelFolder {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let folder = path.to_path_buf();
        let config = folder.join(CONFIG);
        if !config.exists() {
            return Err(QwenError::MissingFile { name: CONFIG, folder });
        }
        let config = Config::from_json(&read(&config)?, &config)?;
        if !folder.join(TOKENIZER).exists() {
            return Err(QwenError::MissingFile {
                name: TOKENIZER,
                folder,
            });
        }
        let preprocessor = PREPROCESSORS
            .iter()
            .map(|name| folder.join(name))
            .find(|path| path.exists());
        let preprocessor = match preprocessor {
            Some(path) => Preprocessor::from_json(&read(&path)?, &path)?,
            None => Preprocessor::default(),
        };
        Ok(Self {
            stop_tokens: stop_tokens(&folder.join(GENERATION))?,
            shards: shards(&folder)?,
            path: folder,
            config,
            preprocessor,
        })
    }

    pub(super) fn tokenizer(&self) -> PathBuf {
        self.path.join(TOKENIZER)
    }
}

/// The whole of a configuration file.
fn read(path: &Path) -> Result<Vec<u8>> {
    let io = |source| QwenError::Io {
        source,
        path: path.to_path_buf(),
    };
    let length = std::fs::metadata(path).map_err(io)?.len();
    if length > MAX_CONFIG_BYTES {
        return Err(QwenError::Config {
            reason: format!("{length} bytes are more than any configuration has"),
            path: path.to_path_buf(),
        });
    }
    std::fs::read(path).map_err(io)
}

/// `eos_token_id`, which is a number or a list; a folder without the file has none of its own.
fn stop_tokens(path: &Path) -> Result<Vec<u32>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let value: serde_json::Value =
        serde_json::from_slice(&read(path)?).map_err(|error| QwenError::Config {
            reason: format!("it is no JSON ({error})"),
            path: path.to_path_buf(),
        })?;
    let number = |value: &serde_json::Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    Ok(match value.get("eos_token_id") {
        Some(serde_json::Value::Array(ids)) => ids.iter().filter_map(number).collect(),
        Some(id) => number(id).into_iter().collect(),
        None => Vec::new(),
    })
}

/// The weights files: those of the index, or the single one.
fn shards(folder: &Path) -> Result<Vec<PathBuf>> {
    let index = folder.join(INDEX);
    if !index.exists() {
        let single = folder.join(WEIGHTS);
        return if single.exists() {
            Ok(vec![single])
        } else {
            Err(QwenError::MissingFile {
                name: WEIGHTS,
                folder: folder.to_path_buf(),
            })
        };
    }
    let broken = |reason: String| QwenError::Config {
        reason,
        path: index.clone(),
    };
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let parsed: Index = serde_json::from_slice(&read(&index)?)
        .map_err(|error| broken(format!("it is no index ({error})")))?;
    let names: BTreeSet<String> = parsed.weight_map.into_values().collect();
    if names.is_empty() {
        return Err(broken("it names no weights files".to_owned()));
    }
    // A name is only ever looked up in this folder: an index may come from anywhere.
    if names
        .iter()
        .any(|name| Path::new(name).file_name() != Some(std::ffi::OsStr::new(name)))
    {
        return Err(broken("it names a file outside the folder".to_owned()));
    }
    let missing: Vec<&String> = names.iter().filter(|name| !folder.join(name).is_file()).collect();
    if let Some(first) = missing.first() {
        return Err(QwenError::MissingShard {
            name: (*first).clone(),
            missing: missing.len(),
            all: names.len(),
            folder: folder.to_path_buf(),
        });
    }
    Ok(names.iter().map(|name| folder.join(name)).collect())
}

/// The mask tokenizer's files in a language model's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskTokenizerFiles {
    /// The SAMTok weights, such as `mask_tokenizer_256x2.pth`.
    pub weights: PathBuf,
    /// Codes per depth and number of depths, where the name says them.
    pub codebook: Option<(u32, u32)>,
    /// A base SAM 2.1 checkpoint, which answers clicks and boxes.
    pub sam2: Option<PathBuf>,
}

/// Finds the mask tokenizer that published language model folders have beside their own files.
///
/// Of several, the one whose name sorts first. A folder that cannot be listed has none.
#[must_use]
pub fn mask_tokenizer_files(folder: &Path) -> Option<MaskTokenizerFiles> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    let is_weights = |name: &str| {
        [".pth", ".pt", ".safetensors"]
            .iter()
            .any(|suffix| name.ends_with(suffix))
    };
    let starts = |start: &'static str| {
        move |name: &&String| name.to_ascii_lowercase().starts_with(start) && is_weights(name)
    };
    let weights = names.iter().find(starts("mask_tokenizer"))?;
    Some(MaskTokenizerFiles {
        codebook: codebook(weights),
        weights: folder.join(weights),
        sam2: names.iter().find(starts("sam2")).map(|name| folder.join(name)),
    })
}

/// The sizes in a name such as `mask_tokenizer_256x2.pth`.
fn codebook(name: &str) -> Option<(u32, u32)> {
    name.split(['_', '.', '-'])
        .find_map(|part| part.split_once('x'))
        .and_then(|(size, depth)| Some((size.parse().ok()?, depth.parse().ok()?)))
}

/// Whether a folder holds a Qwen3-VL, judged by its configuration alone.
#[must_use]
pub fn is_qwen3_vl(folder: &Path) -> bool {
    let path = folder.join(CONFIG);
    path.is_file() && read(&path).is_ok_and(|json| Config::from_json(&json, &path).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_tokenizer_beside_a_model_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(mask_tokenizer_files(folder.path()), None);
        assert_eq!(mask_tokenizer_files(&folder.path().join("absent")), None);
        for name in [
            "config.json",
            "mask_tokenizer_256x2.pth",
            "sam2.1_hiera_large.pt",
            "sam2.txt",
        ] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        assert_eq!(
            mask_tokenizer_files(folder.path()),
            Some(MaskTokenizerFiles {
                weights: folder.path().join("mask_tokenizer_256x2.pth"),
                codebook: Some((256, 2)),
                sam2: Some(folder.path().join("sam2.1_hiera_large.pt")),
            })
        );
        assert_eq!(codebook("mask_tokenizer_big.pth"), None);
    }

    #[test]
    fn stop_tokens_are_a_number_or_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(GENERATION);
        assert!(stop_tokens(&path).unwrap().is_empty());
        for (json, expected) in [
            (r#"{"eos_token_id": 7}"#, vec![7]),
            (r#"{"eos_token_id": [7, 8]}"#, vec![7, 8]),
            (r#"{"eos_token_id": null}"#, vec![]),
            ("{}", vec![]),
        ] {
            std::fs::write(&path, json).unwrap();
            assert_eq!(stop_tokens(&path).unwrap(), expected, "{json}");
        }
        std::fs::write(&path, "{").unwrap();
        assert!(stop_tokens(&path).is_err());
    }
}
