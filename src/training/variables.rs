//! The weights of a network in training: created on first use by the layer's own rule, then shared by name.

use super::objective::{FIXED, Selection};
use crate::scenes::random::Rng;
use crate::tokenizer::model::layout;
use crate::tokenizer::parameters::Parameters;
use crate::tokenizer::weights::Checkpoint;
use crate::tokenizer::{Config, Result, TokenizerError};
use candle_core::{Device, Tensor, Var};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Bound of a layer's first weights in units of `1 / sqrt(inputs)`; 1.73 keeps the variance of its input.
const GAIN: f32 = 1.5;
/// The same where queries look for keys at their own position: enough for a clear maximum there.
const MATCHING_GAIN: f32 = 3.0;

/// All weights by name, of which some are trained.
#[derive(Debug)]
pub(super) struct Variables {
    variables: RefCell<BTreeMap<String, Var>>,
    selection: Selection,
    device: Device,
    seed: u64,
}

impl Variables {
    /// Fresh weights, the same for the same seed.
    pub(super) fn new(device: Device, seed: u64, selection: Selection) -> Self {
        Self {
            variables: RefCell::default(),
            selection,
            device,
            seed,
        }
    }

    /// Sets a variable's values before the network is built, as when resuming or fine-tuning.
    pub(super) fn preset(&self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<()> {
        let variable = Var::from_tensor(&Tensor::from_vec(values, shape, &self.device)?)?;
        self.variables.borrow_mut().insert(name.to_owned(), variable);
        Ok(())
    }

    /// Takes the network's weights from a model, wherever the shapes agree.
    ///
    /// # Errors
    /// [`TokenizerError::Config`] if a tensor is missing or of another shape: the model is of another network.
    pub(super) fn preset_all(&self, model: &Checkpoint, config: &Config) -> Result<()> {
        for (name, shape) in layout(config)?
            .into_iter()
            .filter(|(name, _)| !name.starts_with("quantizer."))
        {
            match model.get(&name) {
                Some(info) if info.shape == shape => self.preset(&name, &shape, model.read_f32(&name)?)?,
                _ => {
                    return Err(TokenizerError::Config {
                        reason: format!("the model to start from has no tensor {name} of shape {shape:?}"),
                    });
                }
            }
        }
        Ok(())
    }

    /// All variables, sorted by name.
    pub(super) fn all(&self) -> BTreeMap<String, Var> {
        self.variables.borrow().clone()
    }

    /// The variables that training changes.
    pub(super) fn trained(&self) -> BTreeMap<String, Var> {
        self.all()
            .into_iter()
            .filter(|(name, _)| self.selection.contains(name))
            .collect()
    }
}

impl Parameters for Variables {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        if !self.variables.borrow().contains_key(name) {
            self.preset(name, shape, initial_values(name, shape, self.seed))?;
        }
        let tensor = self.variables.borrow()[name].as_tensor().clone();
        // No gradient is computed for what is not trained.
        Ok(if self.selection.contains(name) {
            tensor
        } else {
            tensor.detach()
        })
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn frozen(&self) -> bool {
        false
    }
}

/// Variables that stay as they are, so that layers may repack them as in inference.
#[derive(Debug)]
pub(super) struct Frozen<'a>(pub(super) &'a Variables);

impl Parameters for Frozen<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.0.tensor(name, shape)
    }

    fn device(&self) -> &Device {
        &self.0.device
    }

    fn frozen(&self) -> bool {
        true
    }
}

/// The usual initialisation of each kind of layer: PyTorch's defaults, small tokens, identity norms.
fn initial_values(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    // Queries and keys between tokens and image start out equal: both sides carry the same position features, so
    // attention is local from the first step instead of having to find the positions by chance.
    let crosses = name.contains("cross_attn") || name.contains("final_attn");
    let matching = crosses && (name.contains(".q_proj.") || name.contains(".k_proj."));
    let source = if matching {
        name.replace(".q_proj.", ".k_proj.")
    } else {
        name.to_owned()
    };
    let hash = blake3::hash(source.as_bytes());
    let mut rng = Rng::new(seed ^ u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default()));
    let is_weight = name.ends_with("weight");
    let is_embedding =
        ["embed", "token"].iter().any(|part| name.contains(part)) && !name.contains("patch_embed");
    let is_layer = name.contains("layers.") || name.contains("_proj.") || name.contains("attn.");
    if name.ends_with(FIXED) {
        // SAM draws all frequencies at scale 1, where positions a twelfth of the image apart already look unrelated;
        // slower ones beside them let a small network see that the inside of a box lies between its corners.
        let columns = shape.last().copied().unwrap_or(1);
        let scales: Vec<f32> = (0..columns).map(|_| rng.log_range(0.08, 1.0)).collect();
        (0..count).map(|i| rng.normal() * scales[i % columns]).collect()
    } else if name.ends_with("pos_embed_window") {
        (0..count).map(|_| 0.02 * rng.normal()).collect()
    } else if name.ends_with("pos_embed") {
        // Strong from the start, so that image features tell where they are before anything is learned.
        (0..count).map(|_| 0.5 * rng.normal()).collect()
    } else if is_embedding && !is_layer {
        (0..count).map(|_| 0.5 * rng.normal()).collect()
    } else if is_weight && shape.len() == 1 {
        vec![1.0; count]
    } else if is_weight {
        let fan_in: usize = shape[1..].iter().product();
        let gain = if matching { MATCHING_GAIN } else { GAIN };
        let bound = gain / (fan_in as f32).sqrt();
        (0..count).map(|_| rng.range(-bound, bound)).collect()
    } else if name.ends_with("mask_downscaling.0.bias") || name.ends_with("mask_downscaling.3.bias") {
        // Where a mask is empty only the bias reaches the norm behind it, which needs something to normalise.
        (0..count).map(|_| rng.range(-0.5, 0.5)).collect()
    } else {
        vec![0.0; count]
    }
}
