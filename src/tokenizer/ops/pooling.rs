//! Max pooling.

use super::output::filled;
use super::with_values;
use crate::tokenizer::Result;
use candle_core::{D, Tensor};

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
    let out = with_values(x, |x| {
        filled(batch * h * w * channels, w * channels, |row, out| {
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
        })
    })?;
    Ok(Tensor::from_vec(out, (batch, h, w, channels), x.device())?)
}
