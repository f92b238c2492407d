//! SAM 2's prompt encoder: clicks and boxes become tokens, a mask becomes a dense embedding.

use super::position::{fourier_features, grid_points};
use crate::tokenizer::Result;
use crate::tokenizer::config::{Config, MASK_IN_CHANNELS};
use crate::tokenizer::ops::{Activation, Linear, Norm, WeightLayout};
use crate::tokenizer::parameters::Scope;
use candle_core::{Device, Tensor};

const NORM_EPS: f64 = 1e-6;

/// What a point of a prompt means; the numbers are SAM 2's labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PointLabel {
    /// Belongs to no prompt (-1).
    Padding,
    /// Background click (0).
    Negative,
    /// Foreground click (1).
    Positive,
    /// First corner of a box (2).
    TopLeft,
    /// Last corner of a box (3).
    BottomRight,
}

/// A labelled point in pixels of the network's input image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PromptPoint {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) label: PointLabel,
}

impl PromptPoint {
    /// The point SAM 2 appends where there is no box.
    pub(crate) const PADDING: Self = Self {
        x: 0.0,
        y: 0.0,
        label: PointLabel::Padding,
    };
}

/// Prompts to embeddings.
#[derive(Debug)]
pub(crate) struct PromptEncoder {
    gaussian: Tensor,
    point_embeddings: Vec<Tensor>,
    not_a_point_embed: Tensor,
    no_mask_embed: Tensor,
    downscaling: [Linear; 3],
    norms: [Norm; 2],
    image_size: usize,
    grid: usize,
    d_model: usize,
    device: Device,
}

impl PromptEncoder {
    pub(crate) fn new(scope: &Scope<'_>, config: &Config) -> Result<Self> {
        let dim = config.neck.d_model;
        let row = |name: &str| scope.child(name).tensor("weight", &[1, dim]);
        let downscaling = scope.child("mask_downscaling");
        let conv = |index: usize, kernel: usize, inputs: usize, outputs: usize| {
            let layout = WeightLayout::Convolution { kernel };
            Linear::with_layout(
                &downscaling.child(index),
                layout,
                kernel * kernel * inputs,
                outputs,
            )
        };
        let (narrow, wide) = (MASK_IN_CHANNELS / 4, MASK_IN_CHANNELS);
        Ok(Self {
            gaussian: scope
                .child("pe_layer")
                .tensor("positional_encoding_gaussian_matrix", &[2, dim / 2])?,
            point_embeddings: (0..4)
                .map(|i| row(&format!("point_embeddings.{i}")))
                .collect::<Result<Vec<_>>>()?,
            not_a_point_embed: row("not_a_point_embed")?,
            no_mask_embed: row("no_mask_embed")?,
            downscaling: [
                conv(0, 2, 1, narrow)?,
                conv(3, 2, narrow, wide)?,
                conv(6, 1, wide, dim)?,
            ],
            norms: [
                Norm::new(&downscaling.child(1), narrow, NORM_EPS)?,
                Norm::new(&downscaling.child(4), wide, NORM_EPS)?,
            ],
            image_size: config.image_size,
            grid: config.grid(),
            d_model: dim,
            device: scope.device().clone(),
        })
    }

    /// Position encoding of the feature grid, `(grid * grid, d_model)`.
    pub(crate) fn dense_position(&self) -> Result<Tensor> {
        fourier_features(&grid_points(self.grid, &self.device)?, &self.gaussian)
    }

    /// `batch` prompts of equally many points to tokens `(batch, points, d_model)`.
    pub(crate) fn points(&self, prompts: &[Vec<PromptPoint>]) -> Result<Tensor> {
        let count = prompts.first().map_or(0, Vec::len);
        let size = self.image_size as f32;
        let coordinates: Vec<f32> = prompts
            .iter()
            .flatten()
            .flat_map(|p| [(p.x + 0.5) / size, (p.y + 0.5) / size])
            .collect();
        let coordinates = Tensor::from_vec(coordinates, (prompts.len() * count, 2), &self.device)?;
        let features = fourier_features(&coordinates, &self.gaussian)?;
        // Padding points carry no position, only their embedding.
        let keep: Vec<f32> = prompts
            .iter()
            .flatten()
            .map(|p| f32::from(u8::from(p.label != PointLabel::Padding)))
            .collect();
        let keep = Tensor::from_vec(keep, (prompts.len() * count, 1), &self.device)?;
        let rows = [
            vec![&self.not_a_point_embed],
            self.point_embeddings.iter().collect(),
        ]
        .concat();
        let labels: Vec<u32> = prompts
            .iter()
            .flatten()
            .map(|p| match p.label {
                PointLabel::Padding => 0,
                PointLabel::Negative => 1,
                PointLabel::Positive => 2,
                PointLabel::TopLeft => 3,
                PointLabel::BottomRight => 4,
            })
            .collect();
        let labels = Tensor::from_vec(labels, prompts.len() * count, &self.device)?;
        let labels = Tensor::cat(&rows, 0)?.index_select(&labels, 0)?;
        Ok((features.broadcast_mul(&keep)? + labels)?.reshape((prompts.len(), count, self.d_model))?)
    }

    /// The token of a padding point, `(1, d_model)`.
    pub(crate) fn padding_token(&self) -> &Tensor {
        &self.not_a_point_embed
    }

    /// The dense embedding where there is no mask, `(1, d_model)`.
    pub(crate) fn no_mask(&self) -> &Tensor {
        &self.no_mask_embed
    }

    /// Masks or logits `(batch, 4 * grid, 4 * grid)` to dense embeddings `(batch, grid * grid, d_model)`.
    pub(crate) fn masks(&self, masks: &Tensor) -> Result<Tensor> {
        let batch = masks.dim(0)?;
        let x = masks.reshape((batch, 4 * self.grid, 4 * self.grid, 1))?;
        let x = self.downscaling[0].forward(&patches_2x2(&x)?)?;
        let x = self.norms[0].apply(&x, Activation::Gelu)?;
        let x = self.downscaling[1].forward(&patches_2x2(&x)?)?;
        let x = self.norms[1].apply(&x, Activation::Gelu)?;
        let x = self.downscaling[2].forward(&x)?;
        Ok(x.reshape((batch, self.grid * self.grid, self.d_model))?)
    }
}

/// `(batch, height, width, channels)` to `(batch, height / 2, width / 2, 4 * channels)`, each token a 2x2 patch.
fn patches_2x2(x: &Tensor) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    Ok(x.reshape((batch * height / 2, 2, width / 2, 2 * channels))?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((batch, height / 2, width / 2, 4 * channels))?)
}
