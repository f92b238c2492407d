//! SAM 2's mask decoder: prompt tokens and image features to mask logits, predicted IoU and an object score.
//!
//! Upsampling keeps tokens in blocks: the four children of a token follow it directly, so that transposed
//! convolutions are plain products and the high-resolution features are row biases; only the finished masks are
//! put back into raster order.

use super::two_way::{ImageKeys, TwoWayTransformer};
use crate::tokenizer::Result;
use crate::tokenizer::config::{Config, NUM_MASK_TOKENS};
use crate::tokenizer::ops::{Activation, Around, Linear, Norm, WeightLayout};
use crate::tokenizer::parameters::Scope;
use candle_core::Tensor;
use candle_nn::ops::sigmoid;

const NORM_EPS: f64 = 1e-6;

/// `sam_mask_decoder` of the checkpoint.
#[derive(Debug)]
pub(crate) struct MaskDecoder {
    transformer: TwoWayTransformer,
    /// Object score token, IoU token and the mask tokens, `(6, d_model)`.
    output_tokens: Vec<Tensor>,
    upsampling: [Linear; 2],
    upsampling_norm: Norm,
    conv_s0: Linear,
    conv_s1: Linear,
    hypernetworks: Vec<Mlp>,
    iou_head: Mlp,
    object_score_head: Mlp,
    grid: usize,
    d_model: usize,
}

/// High-resolution image features as one decoder uses them, in block order.
#[derive(Clone, Debug)]
pub(crate) struct HighResolution {
    /// Stride 4: `(images, grid * grid * 4, 4 * d_model / 8)`.
    pub(crate) stride4: Tensor,
    /// Stride 8: `(images, grid * grid, 4 * d_model / 4)`.
    pub(crate) stride8: Tensor,
}

/// Which of the decoder's masks are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Candidates {
    /// The one for a prompt that is not ambiguous.
    Single,
    /// The three for one that may mean several things.
    Three,
    /// Of those three the one with the highest predicted IoU; the other two are not even computed.
    BestOfThree,
}

/// What the decoder gives for a batch of prompts.
#[derive(Debug)]
pub(crate) struct MaskPredictions {
    /// Mask logits, `(batch, masks, 4 * grid, 4 * grid)`.
    pub(crate) logits: Tensor,
    /// Predicted IoU of every mask, `(batch, masks)`.
    pub(crate) ious: Tensor,
    /// Logit of "there is an object", `(batch, 1)`.
    pub(crate) object_score: Tensor,
    /// The image features after the transformer, `(batch, cells, d_model)`.
    pub(crate) features: Tensor,
}

impl MaskDecoder {
    pub(crate) fn new(scope: &Scope<'_>, config: &Config) -> Result<Self> {
        let dim = config.neck.d_model;
        let token = |name: &str, rows: usize| scope.child(name).tensor("weight", &[rows, dim]);
        let upscaling = scope.child("output_upscaling");
        let up = |index: usize, inputs: usize, outputs: usize| {
            Linear::with_layout(
                &upscaling.child(index),
                WeightLayout::Upsampling,
                inputs,
                4 * outputs,
            )
        };
        let conv = |name: &str, outputs: usize| {
            Linear::with_layout(
                &scope.child(name),
                WeightLayout::Convolution { kernel: 1 },
                dim,
                outputs,
            )
        };
        Ok(Self {
            transformer: TwoWayTransformer::new(&scope.child("transformer"), dim, &config.heads)?,
            output_tokens: vec![
                token("obj_score_token", 1)?,
                token("iou_token", 1)?,
                token("mask_tokens", NUM_MASK_TOKENS)?,
            ],
            upsampling: [up(0, dim, dim / 4)?, up(3, dim / 4, dim / 8)?],
            upsampling_norm: Norm::new(&upscaling.child(1), dim / 4, NORM_EPS)?,
            conv_s0: conv("conv_s0", dim / 8)?,
            conv_s1: conv("conv_s1", dim / 4)?,
            hypernetworks: (0..NUM_MASK_TOKENS)
                .map(|i| {
                    Mlp::new(
                        &scope.child(format!("output_hypernetworks_mlps.{i}")),
                        [dim, dim, dim, dim / 8],
                    )
                })
                .collect::<Result<Vec<_>>>()?,
            iou_head: {
                let hidden = config.heads.iou_head_hidden_dim;
                Mlp::new(
                    &scope.child("iou_prediction_head"),
                    [dim, hidden, hidden, NUM_MASK_TOKENS],
                )?
            },
            object_score_head: Mlp::new(&scope.child("pred_obj_score_head"), [dim, dim, dim, 1])?,
            grid: config.grid(),
            d_model: dim,
        })
    }

    /// This decoder's view of the neck's maps of strides 4 and 8, `(images, height, width, d_model)`.
    pub(crate) fn high_resolution(&self, stride4: &Tensor, stride8: &Tensor) -> Result<HighResolution> {
        let (grid, images) = (self.grid, stride4.dim(0)?);
        let (c0, c1) = (self.d_model / 8, self.d_model / 4);
        let stride4 = self
            .conv_s0
            .forward(stride4)?
            .reshape(vec![images, grid, 2, 2, grid, 2, 2 * c0])?
            .permute(vec![0, 1, 4, 2, 5, 3, 6])?
            .contiguous()?
            .reshape((images, grid * grid * 4, 4 * c0))?;
        let stride8 = self
            .conv_s1
            .forward(stride8)?
            .reshape((images * grid, 2, grid, 2 * c1))?
            .transpose(1, 2)?
            .contiguous()?
            .reshape((images, grid * grid, 4 * c1))?;
        Ok(HighResolution { stride4, stride8 })
    }

    /// Prompt tokens `(batch, tokens, d_model)` on features `(1 or batch, cells, d_model)`; the high-resolution
    /// features belong to one image.
    ///
    pub(crate) fn forward(
        &self,
        sparse: &Tensor,
        image: ImageKeys<'_>,
        high_resolution: &HighResolution,
        candidates: Candidates,
    ) -> Result<MaskPredictions> {
        let (batch, _, dim) = sparse.dims3()?;
        let output_tokens = Tensor::cat(&self.output_tokens, 0)?.unsqueeze(0)?;
        let count = output_tokens.dim(1)?;
        let output_tokens = output_tokens.broadcast_as((batch, count, dim))?.contiguous()?;
        let tokens = Tensor::cat(&[&output_tokens, sparse], 1)?;
        let (tokens, features) = self.transformer.forward(&tokens, image)?;
        let token = |index: usize| -> Result<Tensor> {
            Ok(tokens.narrow(1, index, 1)?.contiguous()?.reshape((batch, dim))?)
        };
        let masks = match candidates {
            Candidates::Single => 0..1,
            Candidates::Three | Candidates::BestOfThree => 1..NUM_MASK_TOKENS,
        };
        let ious = sigmoid(&self.iou_head.forward(&token(1)?)?)?;
        let mut ious = ious.narrow(1, masks.start, masks.len())?.contiguous()?;
        let kernels = masks
            .map(|mask| self.hypernetworks[mask].forward(&token(2 + mask)?))
            .collect::<Result<Vec<_>>>()?;
        let mut kernels = Tensor::stack(&kernels, 1)?;
        if candidates == Candidates::BestOfThree {
            let best = best_masks(&ious)?;
            kernels = select(&kernels, &best)?.unsqueeze(1)?;
            ious = select(&ious, &best)?.unsqueeze(1)?;
        }
        Ok(MaskPredictions {
            logits: self.masks(&features, high_resolution, &kernels)?,
            ious,
            object_score: self.object_score_head.forward(&token(0)?)?,
            features,
        })
    }

    /// Upscales the features and takes their product with each hypernetwork's output, `(batch, masks, d_model / 8)`.
    fn masks(&self, features: &Tensor, high_resolution: &HighResolution, kernels: &Tensor) -> Result<Tensor> {
        let (batch, cells, _) = features.dims3()?;
        let masks = kernels.dim(1)?;
        let (grid, c0, c1) = (self.grid, self.d_model / 8, self.d_model / 4);
        let with_row_bias = |row_bias, activation| Around {
            row_bias: Some(row_bias),
            activation,
            residual: None,
        };
        let x = self.upsampling[0]
            .apply(
                features,
                with_row_bias(&high_resolution.stride8, Activation::Identity),
            )?
            .reshape((batch, cells * 4, c1))?;
        let x = self.upsampling_norm.apply(&x, Activation::Gelu)?;
        let x = self.upsampling[1]
            .apply(&x, with_row_bias(&high_resolution.stride4, Activation::Gelu))?
            .reshape((batch, cells * 16, c0))?;
        let logits = kernels.matmul(&x.transpose(1, 2)?)?;
        // (grid row, grid column, child row, child column, grandchild row, grandchild column) to raster order.
        let side = 4 * grid;
        Ok(logits
            .reshape(vec![batch * masks, grid, grid, 2, 2, 2, 2])?
            .permute(vec![0, 1, 3, 5, 2, 4, 6])?
            .contiguous()?
            .reshape((batch, masks, side, side))?)
    }
}

/// Three linear layers with ReLU between them.
#[derive(Debug)]
struct Mlp {
    layers: [Linear; 3],
}

impl Mlp {
    fn new(scope: &Scope<'_>, widths: [usize; 4]) -> Result<Self> {
        let layer = |i: usize| Linear::new(&scope.child(format!("layers.{i}")), widths[i], widths[i + 1]);
        Ok(Self {
            layers: [layer(0)?, layer(1)?, layer(2)?],
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.layers[0].apply(x, Around::activation(Activation::Relu))?;
        let x = self.layers[1].apply(&x, Around::activation(Activation::Relu))?;
        self.layers[2].forward(&x)
    }
}

/// The index of the mask with the highest predicted IoU for each prompt; `ious` is `(batch, masks)`.
pub(crate) fn best_masks(ious: &Tensor) -> Result<Vec<usize>> {
    let rows = ious.to_vec2::<f32>()?;
    let best = rows.iter().map(|row| {
        row.iter()
            .enumerate()
            .fold((0, f32::NEG_INFINITY), |best, (i, iou)| {
                if *iou > best.1 { (i, *iou) } else { best }
            })
            .0
    });
    Ok(best.collect())
}

/// Entry `indices[b]` of each element `b` of `(batch, candidates, …)`: `(batch, …)`.
pub(crate) fn select(candidates: &Tensor, indices: &[usize]) -> Result<Tensor> {
    let picked = indices
        .iter()
        .enumerate()
        .map(|(b, i)| Ok(candidates.get(b)?.get(*i)?))
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::stack(&picked, 0)?)
}
