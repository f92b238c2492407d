//! The feature pyramid neck: trunk stages to maps of equal width, coarse information added to fine levels.

use crate::tokenizer::Result;
use crate::tokenizer::config::NeckConfig;
use crate::tokenizer::ops::{Linear, WeightLayout};
use crate::tokenizer::parameters::Scope;
use candle_core::Tensor;

/// SAM 2.1's `FpnNeck` with nearest upsampling and addition.
#[derive(Debug)]
pub(crate) struct Neck {
    /// Coarsest level first, as in the checkpoint.
    convs: Vec<Linear>,
    top_down_levels: Vec<usize>,
    d_model: usize,
}

impl Neck {
    pub(crate) fn new(scope: &Scope<'_>, config: &NeckConfig) -> Result<Self> {
        let convs = config
            .backbone_channel_list
            .iter()
            .enumerate()
            .map(|(i, channels)| {
                let scope = scope.child(format!("convs.{i}.conv"));
                Linear::with_layout(
                    &scope,
                    WeightLayout::Convolution { kernel: 1 },
                    *channels,
                    config.d_model,
                )
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            convs,
            top_down_levels: config.fpn_top_down_levels.clone(),
            d_model: config.d_model,
        })
    }

    /// Four trunk maps, finest first, to four maps `(batch, height, width, d_model)`, finest first.
    pub(crate) fn forward(&self, stages: &[Tensor]) -> Result<Vec<Tensor>> {
        let mut levels: Vec<Tensor> = Vec::with_capacity(stages.len());
        for ((level, stage), conv) in stages.iter().enumerate().rev().zip(&self.convs) {
            let lateral = conv.forward(stage)?;
            let merged = match levels.last() {
                Some(coarser) if self.top_down_levels.contains(&level) => {
                    (lateral + upsample_nearest_2x(coarser, self.d_model)?)?
                }
                _ => lateral,
            };
            levels.push(merged);
        }
        levels.reverse();
        Ok(levels)
    }
}

/// `(batch, height, width, channels)` to twice the height and width, each token repeated 2x2.
fn upsample_nearest_2x(x: &Tensor, channels: usize) -> Result<Tensor> {
    let (batch, height, width, _) = x.dims4()?;
    Ok(x.reshape((batch * height, 1, width, 1, channels))?
        .broadcast_as((batch * height, 2, width, 2, channels))?
        .contiguous()?
        .reshape((batch, 2 * height, 2 * width, channels))?)
}
