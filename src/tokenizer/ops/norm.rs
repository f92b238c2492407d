//! Layer normalisation over channels.

use super::differentiable::layer_norm;
use super::gemm::row_statistics;
use super::output::filled;
use super::{Activation, simd, with_values};
use crate::tokenizer::Result;
use crate::tokenizer::parameters::Scope;
use candle_core::Tensor;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// LayerNorm over the last dimension, computed in two passes.
///
/// candle's own CPU kernel uses `E[x^2] - mean^2` in one f32 pass, which loses all digits where a row's mean is
/// much larger than its spread.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    gamma: Tensor,
    beta: Tensor,
    eps: f64,
    fuses: bool,
}

impl Norm {
    /// The norm whose `weight` and `bias` lie directly in `scope`.
    pub(crate) fn new(scope: &Scope<'_>, channels: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            gamma: scope.tensor("weight", &[channels])?,
            beta: scope.tensor("bias", &[channels])?,
            eps,
            fuses: scope.fuses(),
        })
    }

    /// Normalises `(…, channels)`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, Activation::Identity)
    }

    /// Normalises `(…, channels)` and applies `activation`.
    pub(crate) fn apply(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        if self.fuses {
            let out = with_values(x, |x| {
                with_values(&self.gamma, |gamma| {
                    with_values(&self.beta, |beta| {
                        normalize(
                            x,
                            &Affine {
                                gamma,
                                beta,
                                eps: self.eps as f32,
                                activation,
                            },
                        )
                    })
                })
            })???;
            return Ok(Tensor::from_vec(out, x.shape(), x.device())?);
        }
        activation.forward(&layer_norm(x, &self.gamma, &self.beta, self.eps)?)
    }

    /// Moves the affine part into a following linear layer (`outputs x channels`); returns the epsilon that remains.
    pub(super) fn fold_into(self, weight: &mut [f32], bias: &mut [f32]) -> Result<f32> {
        with_values(&self.gamma, |gamma| {
            with_values(&self.beta, |beta| {
                weight
                    .par_chunks_exact_mut(gamma.len())
                    .zip(bias.par_iter_mut())
                    .for_each(|(row, bias)| {
                        let shift: f64 = row
                            .iter()
                            .zip(beta)
                            .map(|(w, b)| f64::from(*w) * f64::from(*b))
                            .sum();
                        *bias = (f64::from(*bias) + shift) as f32;
                        row.iter_mut().zip(gamma).for_each(|(w, g)| *w *= g);
                    });
            })
        })??;
        Ok(self.eps as f32)
    }
}

#[derive(Clone, Copy)]
struct Affine<'a> {
    gamma: &'a [f32],
    beta: &'a [f32],
    eps: f32,
    activation: Activation,
}

fn normalize(x: &[f32], affine: &Affine<'_>) -> Vec<f32> {
    const ROWS: usize = 64;
    let channels = affine.gamma.len();
    let arch = Arch::new();
    filled(x.len(), ROWS * channels, |task, out| {
        let x = &x[task * ROWS * channels..][..out.len()];
        arch.dispatch(Rows { x, out, affine });
    })
}

struct Rows<'a> {
    x: &'a [f32],
    out: &'a mut [f32],
    affine: &'a Affine<'a>,
}

impl WithSimd for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Affine {
            gamma,
            beta,
            eps,
            activation,
        } = *self.affine;
        let channels = gamma.len();
        for (x, out) in self
            .x
            .chunks_exact(channels)
            .zip(self.out.chunks_exact_mut(channels))
        {
            let (mean, scale) = row_statistics(simd, x, eps);
            let (mean, scale) = (simd.splat_f32s(mean), simd.splat_f32s(scale));
            let (vectors, tail) = S::as_mut_simd_f32s(out);
            let (x, gamma, beta) = (S::as_simd_f32s(x), S::as_simd_f32s(gamma), S::as_simd_f32s(beta));
            for (j, vector) in vectors.iter_mut().enumerate() {
                let centred = simd.sub_f32s(x.0[j], mean);
                let value = simd.mul_add_f32s(simd.mul_f32s(centred, scale), gamma.0[j], beta.0[j]);
                *vector = simd::activate(simd, value, activation);
            }
            if !tail.is_empty() {
                let centred = simd.sub_f32s(simd.partial_load_f32s(x.1), mean);
                let (gamma, beta) = (simd.partial_load_f32s(gamma.1), simd.partial_load_f32s(beta.1));
                let value = simd.mul_add_f32s(simd.mul_f32s(centred, scale), gamma, beta);
                simd.partial_store_f32s(tail, simd::activate(simd, value, activation));
            }
        }
    }
}
