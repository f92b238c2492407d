//! What training writes: the finished model, and the checkpoint from which it continues exactly.

use super::Trainer;
use crate::atomic_file::{AtomicFile, Existing};
use crate::tokenizer::model::CONFIG_FILE;
use crate::tokenizer::weights::write::{NamedTensor, Precision, safetensors};
use crate::tokenizer::weights::{Checkpoint, WeightsError};
use crate::tokenizer::{Result, TokenizerError};
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The model made of averaged weights, f16.
const MODEL_FILE: &str = "model.safetensors";
/// Name of the file in the output folder that holds everything needed to continue, f32.
pub const CHECKPOINT_FILE: &str = "checkpoint.safetensors";

/// Why training stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The network or its weights.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A file or thread.
    #[error("training could not go on: {0}")]
    Io(#[from] std::io::Error),
    /// The scene generator's thread ended.
    #[error("the scene generator stopped; please report the seed that was used")]
    Generator,
    /// Gradients stopped being finite.
    #[error(
        "the gradients are not finite any more at step {step}; the last checkpoint is kept: resume it with a lower learning rate"
    )]
    Diverged {
        /// The step.
        step: u64,
    },
    /// A folder of images without what training needs.
    #[error("cannot train on this data: {reason}: {}", path.display())]
    Data {
        /// Why not.
        reason: String,
        /// The folder.
        path: PathBuf,
    },
    /// A checkpoint of another run.
    #[error("the checkpoint cannot be resumed: {reason}")]
    Checkpoint {
        /// Why not.
        reason: String,
    },
}

impl From<WeightsError> for TrainingError {
    fn from(error: WeightsError) -> Self {
        Self::Tokenizer(error.into())
    }
}

fn values(tensor: &Tensor) -> std::result::Result<Vec<f32>, WeightsError> {
    let read = || tensor.flatten_all()?.to_vec1::<f32>();
    read().map_err(|error| WeightsError::Io {
        action: "write",
        source: std::io::Error::other(error.to_string()),
        path: CHECKPOINT_FILE.into(),
    })
}

fn named<'a>(name: String, tensor: &'a Tensor) -> NamedTensor<'a> {
    NamedTensor::new(name, tensor.dims().to_vec(), move || values(tensor))
}

impl Trainer {
    /// Writes the model (averaged weights, f16) and the checkpoint.
    pub(super) fn save(&self) -> std::result::Result<(), TrainingError> {
        let out = &self.options.out;
        std::fs::create_dir_all(out)?;
        let config = serde_json::to_vec_pretty(&self.options.config).map_err(std::io::Error::other)?;
        AtomicFile::write(&out.join(CONFIG_FILE), &config, Existing::Replace)?;

        let averages: BTreeMap<&str, &[f32]> = self.optimizer.averages().collect();
        let all = self.variables.all();
        let weights = all
            .iter()
            .filter(|(name, _)| !name.starts_with(super::auxiliary::PREFIX))
            .map(|(name, variable)| match averages.get(name.as_str()) {
                Some(values) => NamedTensor::from_values(name.clone(), variable.dims(), values.to_vec()),
                None => named(name.clone(), variable.as_tensor()),
            });
        let quantizer = &self.options.config.quantizer;
        let shape = vec![quantizer.codebook_size + 1, quantizer.latent_dim];
        let codebooks = self.codebooks.books.iter().enumerate().map(|(depth, book)| {
            // The published form has one more row, for padding.
            let rows = [book.table.rows(), &vec![0.0; quantizer.latent_dim]].concat();
            NamedTensor::from_values(format!("quantizer.codebooks.{depth}.weight"), shape.clone(), rows)
        });
        safetensors(
            &out.join(MODEL_FILE),
            weights.chain(codebooks),
            Precision::F16,
            &BTreeMap::new(),
        )?;

        let variables = all
            .iter()
            .map(|(name, variable)| named(name.clone(), variable.as_tensor()));
        let state = self
            .optimizer
            .state()
            .map(|(name, shape, values)| NamedTensor::new(name, shape, || Ok(values.to_vec())));
        let (size, dim) = (quantizer.codebook_size, quantizer.latent_dim);
        let books = self.codebooks.books.iter().enumerate().flat_map(|(depth, book)| {
            [
                ("weight", vec![size, dim], book.table.rows().to_vec()),
                ("cluster_size_ema", vec![size], book.cluster_size_ema.clone()),
                ("embed_ema", vec![size, dim], book.embed_ema.clone()),
            ]
            .map(|(kind, shape, values)| {
                NamedTensor::from_values(format!("training.codebooks.{depth}.{kind}"), shape, values)
            })
        });
        let memory: Vec<f32> = self.codebooks.memory.iter().flatten().copied().collect();
        let memory = NamedTensor::from_values(
            "training.memory".to_owned(),
            vec![self.codebooks.memory.len(), dim],
            memory,
        );
        let mut metadata = BTreeMap::from([
            ("steps".to_owned(), self.steps.to_string()),
            ("updates".to_owned(), self.optimizer.steps().to_string()),
            ("codebooks".to_owned(), self.codebooks.started.to_string()),
        ]);
        metadata.extend(self.identity().map(|(key, value)| (key.to_owned(), value)));
        safetensors(
            &out.join(CHECKPOINT_FILE),
            variables.chain(state).chain(books).chain([memory]),
            Precision::F32,
            &metadata,
        )?;
        Ok(())
    }

    /// Takes up the checkpoint in the output folder.
    pub(super) fn restore(&mut self) -> std::result::Result<(), TrainingError> {
        let checkpoint = Checkpoint::open(&self.options.out.join(CHECKPOINT_FILE))?;
        let note = |key: &str| {
            checkpoint
                .metadata()
                .get(key)
                .cloned()
                .ok_or_else(|| TrainingError::Checkpoint {
                    reason: format!("it does not say its {key}"),
                })
        };
        for (key, value) in self.identity() {
            if note(key)? != value {
                return Err(TrainingError::Checkpoint {
                    reason: format!("it was made with --{key} {}, this run has {value}", note(key)?),
                });
            }
        }
        let number = |key: &str| -> std::result::Result<u64, TrainingError> {
            note(key)?.parse().map_err(|error| TrainingError::Checkpoint {
                reason: format!("its number of {key}: {error}"),
            })
        };
        self.steps = number("steps")?;
        let read = |name: &str| -> Result<Vec<f32>> { Ok(checkpoint.read_f32(name)?) };
        for (name, variable) in self.variables.all() {
            let tensor = Tensor::from_vec(read(&name)?, variable.shape().clone(), &self.device)
                .map_err(TokenizerError::from)?;
            variable.set(&tensor).map_err(TokenizerError::from)?;
        }
        self.optimizer.restore(number("updates")?, read)?;
        for (depth, book) in self.codebooks.books.iter_mut().enumerate() {
            for (kind, values) in [
                ("weight", book.table.rows_mut()),
                ("cluster_size_ema", &mut book.cluster_size_ema),
                ("embed_ema", &mut book.embed_ema),
            ] {
                checkpoint.read_into(&format!("training.codebooks.{depth}.{kind}"), values)?;
            }
        }
        let dim = self.options.config.quantizer.latent_dim;
        self.codebooks.memory = read("training.memory")?
            .chunks_exact(dim)
            .map(<[f32]>::to_vec)
            .collect();
        self.codebooks.started = note("codebooks")? == "true";
        Ok(self.fix_image_encoder()?)
    }

    /// What must be the same when a run is resumed, or it would go on as another one.
    fn identity(&self) -> [(&'static str, String); 3] {
        [
            ("seed", self.options.seed.to_string()),
            ("objective", self.options.objective.name().to_owned()),
            ("freeze-trunk", self.options.freeze_trunk.to_string()),
        ]
    }
}
