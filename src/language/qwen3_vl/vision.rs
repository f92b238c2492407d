//! The vision tower: patches of an image become tokens of the text model, with features for its first layers.

use super::config::{Config, VisionConfig};
use super::error::Result;
use super::layout::{Use, VISION, Weights};
use super::matrix::{Matrix, Placement};
use super::picture::{Grid, Picture};
use super::precision::Precision;
use super::rotary::{Angles, patch_angles};
use crate::tokenizer::ops::{Activation, Attention, Groups, Operand, with_values};
use candle_core::{DType, Tensor};
use candle_nn::ops::{layer_norm_slow, softmax_last_dim};
use candle_nn::rotary_emb::rope_thd;

const NORM_EPS: f32 = 1e-6;
/// Rows of scores that exist at once where attention is not fused.
const QUERY_ROWS: usize = 512;

/// An image as the text model sees it.
#[derive(Clone, Debug)]
pub(super) struct SeenImage {
    /// `tokens x hidden`, in place of the placeholders' embeddings.
    pub(super) embeddings: Tensor,
    /// `tokens x hidden` each, added after the first text layers.
    pub(super) deepstack: Vec<Tensor>,
}

/// The tower.
#[derive(Debug)]
pub(super) struct VisionTower {
    patch_embedding: Matrix,
    /// `side x side x hidden`.
    positions: Tensor,
    blocks: Vec<Block>,
    merger: Merger,
    deepstack: Vec<Merger>,
    config: VisionConfig,
    placement: Placement,
}

/// Reads the parts of the tower by their names.
struct Reader<'a> {
    weights: &'a Weights,
    placement: &'a Placement,
    precision: Precision,
}

impl Reader<'_> {
    fn small(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.placement.tensor(self.weights.read(name, shape)?, shape)
    }

    fn linear(&self, prefix: &str, outputs: usize, inputs: usize) -> Result<Matrix> {
        self.matrix(prefix, &[outputs, inputs])
    }

    /// A matrix that may be stored as a convolution.
    fn matrix(&self, prefix: &str, shape: &[usize]) -> Result<Matrix> {
        let (outputs, inputs) = (shape[0], shape[1..].iter().product());
        let weight = self.weights.read(&format!("{prefix}.weight"), shape)?;
        let bias = self.weights.read(&format!("{prefix}.bias"), &[outputs])?;
        let precision = self.precision.of(Use::VisionMatrix, inputs);
        Matrix::new(self.placement, precision, weight, Some(bias), outputs, inputs)
    }

    fn norm(&self, prefix: &str, width: usize) -> Result<Norm> {
        Ok(Norm {
            weight: self.small(&format!("{prefix}.weight"), &[width])?,
            bias: self.small(&format!("{prefix}.bias"), &[width])?,
        })
    }
}

impl VisionTower {
    pub(super) fn load(
        config: &Config,
        weights: &Weights,
        placement: &Placement,
        precision: Precision,
    ) -> Result<Self> {
        let config = &config.vision;
        let read = Reader {
            weights,
            placement,
            precision,
        };
        let patch_shape = [
            config.hidden,
            config.channels,
            config.temporal_patch,
            config.patch,
            config.patch,
        ];
        let side = config.position_side;
        let positions = read.small(
            &format!("{VISION}.pos_embed.weight"),
            &[side * side, config.hidden],
        )?;
        Ok(Self {
            patch_embedding: read.matrix(&format!("{VISION}.patch_embed.proj"), &patch_shape)?,
            positions: positions.to_dtype(DType::F32)?,
            blocks: (0..config.depth)
                .map(|block| Block::load(&format!("{VISION}.blocks.{block}"), config, &read))
                .collect::<Result<_>>()?,
            merger: Merger::load(&format!("{VISION}.merger"), config, false, &read)?,
            deepstack: (0..config.deepstack.len())
                .map(|level| {
                    let prefix = format!("{VISION}.deepstack_merger_list.{level}");
                    Merger::load(&prefix, config, true, &read)
                })
                .collect::<Result<_>>()?,
            config: config.clone(),
            placement: placement.clone(),
        })
    }

    /// Looks at one image; `None` when `cancelled` says so between blocks.
    pub(super) fn forward(
        &self,
        picture: Picture,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<SeenImage>> {
        let grid = picture.grid;
        let pixels = self
            .placement
            .tensor(picture.values, &[grid.patches(), self.config.patch_values()])?;
        let positions = self.grid_positions(grid)?;
        let mut x = self
            .patch_embedding
            .apply(&pixels, Activation::Identity, Some(&positions))?;
        let angles = patch_angles(grid, &self.config, &self.placement)?;
        let mut deepstack = Vec::with_capacity(self.deepstack.len());
        for (index, block) in self.blocks.iter().enumerate() {
            if cancelled() {
                return Ok(None);
            }
            x = block.forward(&x, &angles, &self.config, &self.placement)?;
            if let Some(level) = self.config.deepstack.iter().position(|at| *at == index)
                && let Some(merger) = self.deepstack.get(level)
            {
                deepstack.push(merger.forward(&x)?);
            }
        }
        Ok(Some(SeenImage {
            embeddings: self.merger.forward(&x)?,
            deepstack,
        }))
    }

    /// The learned positions, stretched bilinearly over a grid whose corners meet theirs: `patches x hidden`.
    fn grid_positions(&self, grid: Grid) -> Result<Tensor> {
        let side = self.config.position_side;
        let axis = |at: usize, extent: usize| {
            let place = at as f32 * (side - 1) as f32 / extent.saturating_sub(1).max(1) as f32;
            let low = place as usize;
            (low, (low + 1).min(side - 1), place - low as f32)
        };
        let mut corners = [const { Vec::new() }; 4];
        let mut shares = [const { Vec::new() }; 4];
        for (row, column) in grid.places(self.config.merge) {
            let (top, bottom, down) = axis(row, grid.rows);
            let (left, right, across) = axis(column, grid.columns);
            for (corner, (at, share)) in [
                (top * side + left, (1.0 - down) * (1.0 - across)),
                (top * side + right, (1.0 - down) * across),
                (bottom * side + left, down * (1.0 - across)),
                (bottom * side + right, down * across),
            ]
            .into_iter()
            .enumerate()
            {
                corners[corner].push(at as u32);
                shares[corner].push(share);
            }
        }
        let mut sum: Option<Tensor> = None;
        for (corner, share) in corners.into_iter().zip(shares) {
            let device = &self.placement.device;
            let rows = self
                .positions
                .index_select(&Tensor::new(corner, device)?, 0)?
                .broadcast_mul(&Tensor::new(share, device)?.unsqueeze(1)?)?;
            sum = Some(match sum {
                Some(sum) => (sum + rows)?,
                None => rows,
            });
        }
        let sum = sum.ok_or_else(|| candle_core::Error::Msg("a grid has four corners".to_owned()))?;
        Ok(sum.to_dtype(self.placement.dtype)?)
    }
}

#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        // The fast kernel of candle loses digits on a CPU where the mean is large.
        Ok(layer_norm_slow(x, &self.weight, &self.bias, NORM_EPS)?)
    }
}

#[derive(Debug)]
struct Block {
    norm1: Norm,
    qkv: Matrix,
    proj: Matrix,
    norm2: Norm,
    fc1: Matrix,
    fc2: Matrix,
}

impl Block {
    fn load(prefix: &str, config: &VisionConfig, read: &Reader<'_>) -> Result<Self> {
        let (hidden, intermediate) = (config.hidden, config.intermediate);
        Ok(Self {
            norm1: read.norm(&format!("{prefix}.norm1"), hidden)?,
            qkv: read.linear(&format!("{prefix}.attn.qkv"), 3 * hidden, hidden)?,
            proj: read.linear(&format!("{prefix}.attn.proj"), hidden, hidden)?,
            norm2: read.norm(&format!("{prefix}.norm2"), hidden)?,
            fc1: read.linear(&format!("{prefix}.mlp.linear_fc1"), intermediate, hidden)?,
            fc2: read.linear(&format!("{prefix}.mlp.linear_fc2"), hidden, intermediate)?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        angles: &Angles,
        config: &VisionConfig,
        placement: &Placement,
    ) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm1.forward(x)?)?;
        let attended = attend(&qkv, angles, config, placement)?;
        let x = self.proj.apply(&attended, Activation::Identity, Some(x))?;
        let wide = self
            .fc1
            .apply(&self.norm2.forward(&x)?, Activation::GeluTanh, None)?;
        self.fc2.apply(&wide, Activation::Identity, Some(&x))
    }
}

/// Every patch attends to every patch; `qkv` is `patches x (3 * hidden)`.
fn attend(qkv: &Tensor, angles: &Angles, config: &VisionConfig, placement: &Placement) -> Result<Tensor> {
    let patches = qkv.dim(0)?;
    let (heads, dim) = (config.heads, config.head_dim());
    let part = |index: usize| -> Result<Tensor> {
        Ok(qkv
            .narrow(1, index * config.hidden, config.hidden)?
            .contiguous()?
            .reshape((1, patches, heads, dim))?)
    };
    let turned = |index: usize| -> Result<Tensor> { Ok(rope_thd(&part(index)?, &angles.cos, &angles.sin)?) };
    let (q, k, v) = (turned(0)?, turned(1)?, part(2)?);
    let scale = 1.0 / (dim as f64).sqrt();
    if placement.fused {
        let groups = Groups::consecutive(1, patches);
        let out = with_values(&q, |q| {
            with_values(&k, |k| {
                with_values(&v, |v| {
                    let operand = |data| Operand {
                        data,
                        row_stride: config.hidden,
                        column: 0,
                        padding_row: None,
                    };
                    let attention = Attention {
                        q: operand(q),
                        k: operand(k),
                        v: operand(v),
                        q_groups: &groups,
                        k_groups: &groups,
                        heads,
                        head_dim: dim,
                        scale: scale as f32,
                        out_rows: patches,
                    };
                    attention.run()
                })
            })
        })???;
        return Ok(Tensor::from_vec(
            out,
            (patches, config.hidden),
            &placement.device,
        )?);
    }
    let by_head = |x: Tensor| x.squeeze(0)?.transpose(0, 1)?.contiguous();
    let (q, k, v) = (by_head((q * scale)?)?, by_head(k)?, by_head(v)?);
    let keys = k.transpose(1, 2)?;
    let mut rows = Vec::new();
    for first in (0..patches).step_by(QUERY_ROWS) {
        let q = q.narrow(1, first, QUERY_ROWS.min(patches - first))?;
        let scores = q.contiguous()?.matmul(&keys)?.to_dtype(DType::F32)?;
        let shares = softmax_last_dim(&scores)?.to_dtype(placement.dtype)?;
        rows.push(shares.matmul(&v)?);
    }
    let out = Tensor::cat(&rows, 1)?.transpose(0, 1)?.contiguous()?;
    Ok(out.reshape((patches, config.hidden))?)
}

/// Joins the patches of a token and brings them to the width of the text model.
#[derive(Debug)]
struct Merger {
    norm: Norm,
    fc1: Matrix,
    fc2: Matrix,
    merged: usize,
    /// Whether patches are joined before the norm.
    joins_first: bool,
}

impl Merger {
    fn load(prefix: &str, config: &VisionConfig, joins_first: bool, read: &Reader<'_>) -> Result<Self> {
        let merged = config.merged();
        let normed = if joins_first { merged } else { config.hidden };
        Ok(Self {
            norm: read.norm(&format!("{prefix}.norm"), normed)?,
            fc1: read.linear(&format!("{prefix}.linear_fc1"), merged, merged)?,
            fc2: read.linear(&format!("{prefix}.linear_fc2"), config.out_hidden, merged)?,
            merged,
            joins_first,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let joined = if self.joins_first {
            self.norm.forward(&x.reshape(((), self.merged))?)?
        } else {
            self.norm.forward(x)?.reshape(((), self.merged))?
        };
        self.fc2
            .forward(&self.fc1.apply(&joined, Activation::Gelu, None)?)
    }
}
