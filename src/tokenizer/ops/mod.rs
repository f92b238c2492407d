//! The layers a SAM network is made of, each with two bodies: fused CPU kernels for inference, and candle's
//! differentiable tensor operations for training and for GPUs.
//!
//! Activations are token-major everywhere (`…, channels`), so 1x1 convolutions are linear layers and strided
//! convolutions are linear layers over patches.

#[expect(unsafe_code, reason = "parallel tasks write disjoint heads of one output")]
mod attention;
#[expect(unsafe_code, reason = "calls the gemm crate with checked strides")]
mod differentiable;
mod gated;
#[expect(
    unsafe_code,
    reason = "the register kernel and parallel tasks that write disjoint tiles"
)]
mod gemm;
mod linear;
mod norm;
#[expect(unsafe_code, reason = "parallel tasks write disjoint chunks of one result")]
mod output;
mod pooling;
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a hint to the processor takes a pointer")
)]
mod prefetch;
mod simd;

pub(crate) use attention::{Attention, Groups, Operand};
pub(crate) use gated::silu_product;
pub(crate) use gemm::{Activation, Fused, PackedMatrix};
pub(crate) use linear::{Around, Linear, WeightLayout};
pub(crate) use norm::Norm;
pub(crate) use pooling::max_pool_2x2;

use super::Result;
use candle_core::{Storage, Tensor};

/// Softmax attention over `(batch, rows, heads * dim)` operands, with gradients.
pub(crate) fn softmax_attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    differentiable::attention(q, k, v, heads)
}

/// Runs `body` on the values of a contiguous f32 tensor in main memory.
pub(crate) fn with_values<T>(tensor: &Tensor, body: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(cpu) => {
            let values = cpu.as_slice::<f32>()?;
            let start = layout.start_offset();
            Ok(body(&values[start..start + layout.shape().elem_count()]))
        }
        _ => Err(
            candle_core::Error::Msg("a CPU kernel was given a tensor of another device".to_owned()).into(),
        ),
    }
}

impl Activation {
    /// Applies the activation to values in main memory.
    pub(crate) fn apply(self, values: &mut [f32]) {
        if self != Self::Identity {
            pulp::Arch::new().dispatch(simd::Activate(values, self));
        }
    }

    /// The activation as a differentiable tensor operation.
    pub(crate) fn forward(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Identity => x.clone(),
            Self::Gelu => differentiable::gelu(x)?,
            Self::GeluTanh => x.gelu()?,
            Self::Relu => x.relu()?,
        })
    }
}
