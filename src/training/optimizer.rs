//! AdamW with gradient clipping and a moving average of the weights.

use super::variables::Variables;
use crate::tokenizer::Result;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use std::collections::BTreeMap;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.98;
const EPS: f64 = 1e-8;

/// One trained variable and what the optimizer remembers of it.
#[derive(Debug)]
struct Slot {
    variable: Var,
    mean: Tensor,
    square: Tensor,
    average: Tensor,
    decays: bool,
}

/// The optimizer's state.
#[derive(Debug)]
pub(super) struct AdamW {
    slots: BTreeMap<String, Slot>,
    steps: u64,
    weight_decay: f64,
    clip_norm: f64,
}

impl AdamW {
    pub(super) fn new(variables: &Variables, weight_decay: f64, clip_norm: f64) -> Result<Self> {
        let slots = variables
            .trained()
            .into_iter()
            .map(|(name, variable)| {
                let zeros = variable.zeros_like()?;
                let slot = Slot {
                    mean: zeros.clone(),
                    square: zeros,
                    average: variable.as_tensor().copy()?.detach(),
                    // Norms, biases and embeddings are not decayed, as usual.
                    decays: variable.rank() >= 2 && name.ends_with("weight") && !name.contains("embed"),
                    variable,
                };
                Ok((name, slot))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            slots,
            steps: 0,
            weight_decay,
            clip_norm,
        })
    }

    /// One step; returns the gradient's norm before clipping, or `None` if it is not finite and the step was skipped.
    pub(super) fn step(&mut self, grads: &GradStore, learning_rate: f64) -> Result<Option<f64>> {
        let mut squares = 0.0;
        for slot in self.slots.values() {
            if let Some(grad) = grads.get(&slot.variable) {
                squares += f64::from(grad.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        let norm = squares.sqrt();
        if !norm.is_finite() {
            return Ok(None);
        }
        self.steps += 1;
        let clip = (self.clip_norm / norm.max(1e-12)).min(1.0);
        let correction1 = 1.0 - BETA1.powi(self.steps as i32);
        let correction2 = 1.0 - BETA2.powi(self.steps as i32);
        // A short memory at first, so that the average does not remember the random start.
        let decay = (1.0 - 1.0 / (1.0 + self.steps as f64 / 10.0)).min(0.999);
        for slot in self.slots.values_mut() {
            if let Some(grad) = grads.get(&slot.variable) {
                // Detached, or every step's graph would stay alive in the optimizer's state.
                let grad = (grad.detach() * clip)?;
                slot.mean = ((&slot.mean * BETA1)? + (&grad * (1.0 - BETA1))?)?;
                slot.square = ((&slot.square * BETA2)? + (grad.sqr()? * (1.0 - BETA2))?)?;
                let step =
                    (&slot.mean / correction1)?.div(&((&slot.square / correction2)?.sqrt()? + EPS)?)?;
                let kept = 1.0
                    - if slot.decays {
                        learning_rate * self.weight_decay
                    } else {
                        0.0
                    };
                let value = slot.variable.as_tensor().detach();
                slot.variable.set(&((value * kept)? - (step * learning_rate)?)?)?;
            }
            let value = slot.variable.as_tensor().detach();
            slot.average = ((&slot.average * decay)? + (value * (1.0 - decay))?)?;
        }
        Ok(Some(norm))
    }

    /// Steps taken so far.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// The averaged weights by name.
    pub(super) fn averages(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.slots
            .iter()
            .map(|(name, slot)| (name.as_str(), &slot.average))
    }

    /// Everything needed to continue: `(suffix, tensors by name)`.
    pub(super) fn state(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.slots.iter().flat_map(|(name, slot)| {
            [
                ("mean", &slot.mean),
                ("square", &slot.square),
                ("average", &slot.average),
            ]
            .map(|(kind, tensor)| (format!("optimizer.{kind}.{name}"), tensor))
        })
    }

    /// Takes back what [`AdamW::state`] gave; `read` finds the values of a name.
    pub(super) fn restore(&mut self, steps: u64, read: impl Fn(&str) -> Result<Vec<f32>>) -> Result<()> {
        self.steps = steps;
        for (name, slot) in &mut self.slots {
            for (kind, tensor) in [
                ("mean", &mut slot.mean),
                ("square", &mut slot.square),
                ("average", &mut slot.average),
            ] {
                let values = read(&format!("optimizer.{kind}.{name}"))?;
                *tensor = Tensor::from_vec(values, tensor.shape().clone(), tensor.device())?;
            }
        }
        Ok(())
    }
}
