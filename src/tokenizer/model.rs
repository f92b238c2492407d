//! Opens models: a folder, a bare weights file, or the default compiled into the program.

use super::config::Config;
use super::network::Network;
use super::parameters::{Parameters, Recorder, Scope};
use super::quantizer::ResidualQuantizer;
use super::weights::{Checkpoint, Fingerprint, FingerprintBuilder, check_finite};
use super::{Result, TokenizerError};
use candle_core::{Device, Tensor};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// Weights file suffixes that are looked for in a model folder.
const SUFFIXES: [&str; 3] = ["safetensors", "pth", "pt"];
/// Name of the configuration in a model folder.
pub const CONFIG_FILE: &str = "config.json";

/// A model that has been found and whose configuration is known; its weights are not loaded yet.
#[derive(Debug)]
pub struct ModelFiles {
    /// Shape of the network.
    pub config: Config,
    /// The weights.
    pub checkpoint: Checkpoint,
    /// Where they come from, for messages.
    pub location: String,
    /// Whether the configuration was recognised from tensor shapes rather than read.
    pub recognised: bool,
}

impl ModelFiles {
    /// Opens a model folder (`config.json` and one weights file) or a bare weights file of a published preset.
    ///
    /// # Errors
    /// If there is no such file, it cannot be read, or the network's shape is unknown.
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            Self::open_folder(path)
        } else {
            Self::open_file(path)
        }
    }

    fn open_folder(folder: &Path) -> Result<Self> {
        let config = folder.join(CONFIG_FILE);
        let weights = find_weights(folder)?;
        if !is_tokenizer_config(&config) {
            return Self::open_file(&weights);
        }
        let json = std::fs::read(&config).map_err(|source| TokenizerError::Io {
            source,
            path: config.clone(),
        })?;
        Ok(Self {
            config: Config::from_json(&json).map_err(|error| TokenizerError::ConfigFile {
                source: Box::new(error),
                path: config,
            })?,
            checkpoint: Checkpoint::open(&weights)?,
            location: weights.display().to_string(),
            recognised: false,
        })
    }

    fn open_file(path: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(path)?;
        let beside = path.with_file_name(CONFIG_FILE);
        let (config, recognised) = match Config::recognise(&checkpoint) {
            Some(config) => (config, true),
            None if beside.exists() => {
                let json = std::fs::read(&beside).map_err(|source| TokenizerError::Io {
                    source,
                    path: beside.clone(),
                })?;
                let config = Config::from_json(&json).map_err(|error| TokenizerError::ConfigFile {
                    source: Box::new(error),
                    path: beside,
                })?;
                (config, false)
            }
            None => {
                return Err(TokenizerError::UnknownNetwork {
                    path: path.to_path_buf(),
                });
            }
        };
        Ok(Self {
            config,
            checkpoint,
            location: path.display().to_string(),
            recognised,
        })
    }

    /// The model compiled into the program.
    ///
    /// # Errors
    /// Only if the build embedded a broken model.
    pub fn embedded() -> Result<Self> {
        Ok(Self {
            config: Config::from_json(include_bytes!("../../models/config.json"))?,
            checkpoint: Checkpoint::from_static(include_bytes!("../../models/model.safetensors"))?,
            location: "built into the program".to_owned(),
            recognised: false,
        })
    }

    /// Compares the checkpoint with what the network needs.
    ///
    /// # Errors
    /// If the network's layout cannot be derived from the configuration.
    pub fn compare(&self) -> Result<LayoutReport> {
        LayoutReport::new(&layout(&self.config)?, &self.checkpoint)
    }

    /// Refuses a checkpoint that lacks what the network needs.
    ///
    /// # Errors
    /// [`TokenizerError::Layout`] if tensors are missing or of another shape.
    pub fn check(&self) -> Result<()> {
        self.compare()?.check(&self.location)
    }

    /// The fingerprint that the model has once it is loaded, from its tensors alone.
    ///
    /// # Errors
    /// If tensors are missing, of another shape, damaged or not finite.
    pub fn fingerprint(&self) -> Result<Fingerprint> {
        self.check()?;
        let mut fingerprint = FingerprintBuilder::new(&self.config.fingerprint_json());
        for (name, shape) in layout(&self.config)? {
            let values = self.checkpoint.read_f32(&name)?;
            check_finite(&name, &values)?;
            fingerprint.add(&name, &shape, &values);
        }
        Ok(fingerprint.finish())
    }
}

/// Whether a file is a tokenizer's configuration; published folders hold that of a language model instead.
fn is_tokenizer_config(path: &Path) -> bool {
    // A file that cannot be read is taken for ours, so that its error is reported.
    path.exists() && std::fs::read(path).map_or(true, |json| Config::describes_tokenizer(&json))
}

fn find_weights(folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(|source| TokenizerError::Io {
        source,
        path: folder.to_path_buf(),
    })?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|e| SUFFIXES.iter().any(|suffix| e.eq_ignore_ascii_case(suffix)))
        })
        .collect();
    // A published folder holds the tokenizer beside the base SAM 2.1 checkpoint and a language model, a training
    // folder the model beside its checkpoint.
    for preferred in ["mask_tokenizer", "model.safetensors"] {
        if found.len() == 1 {
            break;
        }
        let chosen: Vec<PathBuf> = found
            .iter()
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().contains(preferred))
            })
            .cloned()
            .collect();
        if chosen.len() == 1 {
            found = chosen;
        }
    }
    found.sort();
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => Err(TokenizerError::NoWeights {
            folder: folder.to_path_buf(),
        }),
        count => Err(TokenizerError::SeveralWeights {
            count,
            folder: folder.to_path_buf(),
        }),
    }
}

/// Names and shapes of all tensors a network of this configuration reads.
///
/// # Errors
/// If the configuration cannot be built.
pub fn layout(config: &Config) -> Result<BTreeMap<String, Vec<usize>>> {
    let recorder = Recorder::default();
    let root = Scope::root(&recorder);
    Network::new(&root, config)?;
    let mut shapes = recorder.into_shapes();
    let quantizer = &config.quantizer;
    let tables = if quantizer.shared_codebook {
        1
    } else {
        quantizer.codebook_depth
    };
    for depth in 0..tables {
        shapes.insert(
            format!("quantizer.codebooks.{depth}.weight"),
            vec![quantizer.codebook_size + 1, quantizer.latent_dim],
        );
    }
    Ok(shapes)
}

/// How a checkpoint differs from what a network needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LayoutReport {
    /// Needed and not there.
    pub missing: Vec<String>,
    /// There with another shape: name, needed, found.
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// There and not used, such as video memory and training state.
    pub unused: Vec<String>,
}

impl LayoutReport {
    fn new(layout: &BTreeMap<String, Vec<usize>>, checkpoint: &Checkpoint) -> Result<Self> {
        let mut report = Self::default();
        for (name, shape) in layout {
            match checkpoint.get(name) {
                None => report.missing.push(name.clone()),
                Some(info) if info.shape != *shape => {
                    report
                        .misshapen
                        .push((name.clone(), shape.clone(), info.shape.clone()));
                }
                Some(_) => {}
            }
        }
        report.unused = checkpoint
            .names()
            .filter(|name| !layout.contains_key(*name))
            .map(str::to_owned)
            .collect();
        Ok(report)
    }

    fn check(&self, location: &str) -> Result<()> {
        let example = match (self.missing.first(), self.misshapen.first()) {
            (None, None) => return Ok(()),
            (Some(name), _) => format!("{name} is missing"),
            (None, Some((name, needed, found))) => {
                format!("{name} has shape {found:?}, needed is {needed:?}")
            }
        };
        Err(TokenizerError::Layout {
            missing: self.missing.len(),
            misshapen: self.misshapen.len(),
            example,
            location: location.to_owned(),
        })
    }
}

/// A network, its quantizer, and the fingerprint of what was loaded.
pub(super) struct Loaded {
    pub(super) network: Network,
    pub(super) quantizer: ResidualQuantizer,
    pub(super) fingerprint: Fingerprint,
}

/// Reads the weights of a SAMTok model onto a device.
pub(super) fn load(files: &ModelFiles, device: &Device) -> Result<Loaded> {
    files.check()?;
    let source = CheckpointParameters::new(&files.checkpoint, &files.config, device);
    let root = Scope::root(&source);
    let quantizer = ResidualQuantizer::new(&root.child("quantizer"), &files.config.quantizer)?;
    let network = Network::new(&root, &files.config)?;
    let fingerprint = source.fingerprint.into_inner().finish();
    Ok(Loaded {
        network,
        quantizer,
        fingerprint,
    })
}

/// Frozen weights straight from a checkpoint, one tensor in memory at a time; hashes what it reads.
pub(super) struct CheckpointParameters<'a> {
    checkpoint: &'a Checkpoint,
    device: &'a Device,
    hashed: RefCell<HashSet<String>>,
    fingerprint: RefCell<FingerprintBuilder>,
}

impl<'a> CheckpointParameters<'a> {
    pub(super) fn new(checkpoint: &'a Checkpoint, config: &Config, device: &'a Device) -> Self {
        let fingerprint = RefCell::new(FingerprintBuilder::new(&config.fingerprint_json()));
        Self {
            checkpoint,
            device,
            hashed: RefCell::default(),
            fingerprint,
        }
    }
}

impl Parameters for CheckpointParameters<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let values = self.checkpoint.read_f32(name)?;
        check_finite(name, &values)?;
        // Some weights serve two fused layers; they count once.
        if self.hashed.borrow_mut().insert(name.to_owned()) {
            self.fingerprint.borrow_mut().add(name, shape, &values);
        }
        Ok(Tensor::from_vec(values, shape, self.device)?)
    }

    fn device(&self) -> &Device {
        self.device
    }

    fn frozen(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{ChosenDevice, MaskTokenizer};

    #[test]
    fn the_fingerprint_needs_no_network() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden_tiny");
        let files = ModelFiles::open(&folder).unwrap();
        let loaded = MaskTokenizer::load(&files, &ChosenDevice::cpu()).unwrap();
        assert_eq!(files.fingerprint().unwrap(), loaded.fingerprint());
    }
}
