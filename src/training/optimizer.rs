//! AdamW with gradient clipping and a moving average of the weights.
//!
//! The state lives in main memory and is updated in one pass over each variable: composed of tensor operations the
//! same step reads and writes every weight some fifteen times.

use super::variables::Variables;
use crate::tokenizer::Result;
use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use rayon::prelude::*;
use std::collections::BTreeMap;

const BETA1: f32 = 0.9;
const EPS: f32 = 1e-8;

/// What distinguishes one AdamW from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdamWSettings {
    /// Memory of the squared gradient.
    pub(super) beta2: f32,
    pub(super) weight_decay: f32,
    /// Decay norms, biases and embeddings too.
    pub(super) decays_all: bool,
    /// Longest gradient.
    pub(super) clip_norm: f32,
    /// Longest memory of the averaged weights.
    pub(super) average_decay: f32,
}

/// One trained variable and what the optimizer remembers of it.
#[derive(Debug)]
struct Slot {
    variable: Var,
    value: Vec<f32>,
    mean: Vec<f32>,
    square: Vec<f32>,
    average: Vec<f32>,
    decays: bool,
}

/// The optimizer's state.
#[derive(Debug)]
pub(super) struct AdamW {
    slots: BTreeMap<String, Slot>,
    steps: u64,
    settings: AdamWSettings,
}

/// Factors of one step, the same for every weight.
#[derive(Clone, Copy)]
struct StepFactors {
    clip: f32,
    learning_rate: f32,
    beta2: f32,
    correction1: f32,
    correction2: f32,
    weight_decay: f32,
    average_decay: f32,
}

impl AdamW {
    pub(super) fn new(variables: &Variables, settings: AdamWSettings) -> Result<Self> {
        let slots = variables
            .trained()
            .into_iter()
            .map(|(name, variable)| {
                let value = variable.flatten_all()?.to_vec1::<f32>()?;
                let slot = Slot {
                    mean: vec![0.0; value.len()],
                    square: vec![0.0; value.len()],
                    average: value.clone(),
                    value,
                    // Norms, biases and embeddings are usually not decayed.
                    decays: settings.decays_all
                        || variable.rank() >= 2 && name.ends_with("weight") && !name.contains("embed"),
                    variable,
                };
                Ok((name, slot))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            slots,
            steps: 0,
            settings,
        })
    }

    /// One step; returns the gradient's norm before clipping, or `None` if it is not finite and the step was skipped.
    pub(super) fn step(&mut self, grads: &GradStore, learning_rate: f64) -> Result<Option<f64>> {
        let gradients = self
            .slots
            .values()
            .map(|slot| {
                let values = |grad: &Tensor| grad.flatten_all()?.to_device(&Device::Cpu)?.to_vec1::<f32>();
                Ok(grads.get(&slot.variable).map(values).transpose()?)
            })
            .collect::<Result<Vec<_>>>()?;
        let squares: f64 = gradients
            .par_iter()
            .flatten()
            .map(|grad| grad.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>())
            .sum();
        let norm = squares.sqrt();
        if !norm.is_finite() {
            return Ok(None);
        }
        self.steps += 1;
        let steps = self.steps as f32;
        let factors = StepFactors {
            clip: (f64::from(self.settings.clip_norm) / norm.max(1e-12)).min(1.0) as f32,
            learning_rate: learning_rate as f32,
            beta2: self.settings.beta2,
            correction1: 1.0 - BETA1.powf(steps),
            correction2: 1.0 - self.settings.beta2.powf(steps),
            weight_decay: self.settings.weight_decay,
            // A short memory at first, so that the average does not remember the random start.
            average_decay: (1.0 - 1.0 / (1.0 + steps / 10.0)).min(self.settings.average_decay),
        };
        let mut pairs: Vec<(&mut Slot, Option<Vec<f32>>)> = self.slots.values_mut().zip(gradients).collect();
        pairs.par_iter_mut().for_each(|(slot, gradient)| {
            if let Some(gradient) = gradient {
                slot.update(gradient, &factors);
            }
            let decay = factors.average_decay;
            slot.average
                .iter_mut()
                .zip(&slot.value)
                .for_each(|(a, v)| *a = decay * *a + (1.0 - decay) * v);
        });
        for slot in self.slots.values() {
            slot.variable.set(&Tensor::from_slice(
                &slot.value,
                slot.variable.shape(),
                slot.variable.device(),
            )?)?;
        }
        Ok(Some(norm))
    }

    /// Steps taken so far.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// The averaged weights by name, row-major.
    pub(super) fn averages(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.slots
            .iter()
            .map(|(name, slot)| (name.as_str(), slot.average.as_slice()))
    }

    /// Everything needed to continue: name, shape, values.
    pub(super) fn state(&self) -> impl Iterator<Item = (String, &[usize], &[f32])> {
        self.slots.iter().flat_map(|(name, slot)| {
            [
                ("mean", &slot.mean),
                ("square", &slot.square),
                ("average", &slot.average),
            ]
            .map(|(kind, values)| {
                (
                    format!("optimizer.{kind}.{name}"),
                    slot.variable.dims(),
                    values.as_slice(),
                )
            })
        })
    }

    /// Takes back what [`AdamW::state`] gave, after the variables themselves; `read` finds the values of a name.
    pub(super) fn restore(&mut self, steps: u64, read: impl Fn(&str) -> Result<Vec<f32>>) -> Result<()> {
        self.steps = steps;
        for (name, slot) in &mut self.slots {
            slot.value = slot.variable.flatten_all()?.to_vec1::<f32>()?;
            slot.mean = read(&format!("optimizer.mean.{name}"))?;
            slot.square = read(&format!("optimizer.square.{name}"))?;
            slot.average = read(&format!("optimizer.average.{name}"))?;
        }
        Ok(())
    }
}

impl Slot {
    fn update(&mut self, gradient: &[f32], factors: &StepFactors) {
        let StepFactors {
            clip,
            learning_rate,
            beta2,
            correction1,
            correction2,
            weight_decay,
            ..
        } = *factors;
        let kept = 1.0
            - if self.decays {
                learning_rate * weight_decay
            } else {
                0.0
            };
        let state = self.value.iter_mut().zip(&mut self.mean).zip(&mut self.square);
        for (((value, mean), square), gradient) in state.zip(gradient) {
            let g = gradient * clip;
            *mean = BETA1 * *mean + (1.0 - BETA1) * g;
            *square = beta2 * *square + (1.0 - beta2) * g * g;
            let step = (*mean / correction1) / ((*square / correction2).sqrt() + EPS);
            *value = *value * kept - learning_rate * step;
        }
    }
}
