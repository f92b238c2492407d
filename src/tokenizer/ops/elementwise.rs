//! Pooling and the differentiable form of attention.

use super::with_values;
use crate::tokenizer::Result;
use candle_core::{D, Tensor};
use candle_nn::ops::softmax;
use rayon::prelude::*;

/// 2x2 max pooling of the first `channels` columns of a `(batch, height, width, columns)` map.
///
/// `fused` selects the CPU kernel, which has no gradient.
pub(crate) fn max_pool_2x2(x: &Tensor, channels: usize, fused: bool) -> Result<Tensor> {
    let (batch, height, width, columns) = x.dims4()?;
    let (h, w) = (height / 2, width / 2);
    if !fused {
        let x = x.narrow(D::Minus1, 0, channels)?.contiguous()?;
        return Ok(x.reshape((batch, h, 2, w, 2, channels))?.max(4)?.max(2)?);
    }
    let mut out = vec![0.0_f32; batch * h * w * channels];
    with_values(x, |x| {
        out.par_chunks_exact_mut(w * channels)
            .enumerate()
            .for_each(|(row, out)| {
                let top = (row / h * height + row % h * 2) * width * columns;
                let bottom = top + width * columns;
                for (column, out) in out.chunks_exact_mut(channels).enumerate() {
                    let left = column * 2 * columns;
                    let [a, b, c, d] = [
                        top + left,
                        top + left + columns,
                        bottom + left,
                        bottom + left + columns,
                    ]
                    .map(|start| &x[start..start + channels]);
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = a[i].max(b[i]).max(c[i].max(d[i]));
                    }
                }
            });
    })?;
    Ok(Tensor::from_vec(out, (batch, h, w, channels), x.device())?)
}

/// Softmax attention over `(batch, rows, heads * dim)` operands as tensor operations, with gradients.
pub(crate) fn softmax_attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize) -> Result<Tensor> {
    let (batch, rows, width) = q.dims3()?;
    let dim = width / heads;
    let split = |t: &Tensor| -> Result<Tensor> {
        let (batch, rows, _) = t.dims3()?;
        Ok(t.reshape((batch, rows, heads, dim))?
            .transpose(1, 2)?
            .contiguous()?)
    };
    let (q, k, v) = (split(q)?, split(k)?, split(v)?);
    let scores = (q * (1.0 / (dim as f64).sqrt()))?.matmul(&k.transpose(2, 3)?.contiguous()?)?;
    let mixed = softmax(&scores, D::Minus1)?.matmul(&v)?;
    Ok(mixed
        .transpose(1, 2)?
        .contiguous()?
        .reshape((batch, rows, width))?)
}
