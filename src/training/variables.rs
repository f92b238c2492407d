//! The weights of a network in training: created on first use by the layer's own rule, then shared by name.

use crate::scenes::random::Rng;
use crate::tokenizer::Result;
use crate::tokenizer::parameters::Parameters;
use candle_core::{Device, Tensor, Var};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Name of the fixed random projection, which is part of the weights but never trained.
const FIXED: &str = "positional_encoding_gaussian_matrix";

/// Trainable variables by name.
#[derive(Debug)]
pub(super) struct Variables {
    variables: RefCell<BTreeMap<String, Var>>,
    device: Device,
    seed: u64,
}

impl Variables {
    /// Fresh weights, the same for the same seed.
    pub(super) fn new(device: Device, seed: u64) -> Self {
        Self {
            variables: RefCell::default(),
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

    /// All variables, sorted by name.
    pub(super) fn all(&self) -> BTreeMap<String, Var> {
        self.variables.borrow().clone()
    }

    /// The variables that training changes.
    pub(super) fn trained(&self) -> BTreeMap<String, Var> {
        self.all()
            .into_iter()
            .filter(|(name, _)| !name.ends_with(FIXED))
            .collect()
    }
}

impl Parameters for Variables {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        if let Some(variable) = self.variables.borrow().get(name) {
            return Ok(variable.as_tensor().clone());
        }
        self.preset(name, shape, initial_values(name, shape, self.seed))?;
        let variables = self.variables.borrow();
        Ok(variables[name].as_tensor().clone())
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn frozen(&self) -> bool {
        false
    }
}

/// The usual initialisation of each kind of layer: PyTorch's defaults, small tokens, identity norms.
fn initial_values(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let count = shape.iter().product();
    let hash = blake3::hash(name.as_bytes());
    let mut rng = Rng::new(seed ^ u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default()));
    let is_weight = name.ends_with("weight");
    let is_embedding =
        ["embed", "token"].iter().any(|part| name.contains(part)) && !name.contains("patch_embed");
    let is_layer = name.contains("layers.") || name.contains("_proj.") || name.contains("attn.");
    if name.ends_with(FIXED) {
        (0..count).map(|_| rng.normal()).collect()
    } else if name.ends_with("pos_embed") || name.ends_with("pos_embed_window") {
        (0..count).map(|_| 0.02 * rng.normal()).collect()
    } else if is_embedding && !is_layer {
        (0..count).map(|_| 0.5 * rng.normal()).collect()
    } else if is_weight && shape.len() == 1 {
        vec![1.0; count]
    } else if is_weight {
        let fan_in: usize = shape[1..].iter().product();
        let bound = 1.0 / (fan_in as f32).sqrt();
        (0..count).map(|_| rng.range(-bound, bound) * 1.5).collect()
    } else {
        vec![0.0; count]
    }
}
