//! Hiera, the hierarchical trunk of SAM 2.1's image encoder.
//!
//! Ported from the description of `facebookresearch/sam2`'s `modeling/backbones/hieradet.py`.

use super::position::bicubic_matrix;
use crate::tokenizer::Result;
use crate::tokenizer::config::TrunkConfig;
use crate::tokenizer::ops::{
    Activation, Around, Attention, Groups, Linear, Norm, Operand, WeightLayout, max_pool_2x2,
    softmax_attention, with_values,
};
use crate::tokenizer::parameters::Scope;
use candle_core::{D, Tensor};

/// Side and stride of the patch embedding's kernel.
pub(crate) const PATCH_KERNEL: usize = 7;
/// Pixels between patches.
pub(crate) const PATCH_STRIDE: usize = 4;
const NORM_EPS: f64 = 1e-6;
const MLP_RATIO: usize = 4;

/// The trunk: patches in, four feature maps out, at strides 4, 8, 16 and 32.
#[derive(Debug)]
pub(crate) struct Hiera {
    patch_embed: Linear,
    position: Position,
    blocks: Vec<Block>,
    /// Last block of each stage.
    stage_ends: Vec<usize>,
    side: usize,
    embed_dim: usize,
}

/// Position embedding of the token grid: an interpolated background plus a tiled window.
#[derive(Debug)]
enum Position {
    /// Ready to add, `(side * side, embed_dim)`.
    Computed(Tensor),
    /// Weights that may still change.
    Learned {
        background: Tensor,
        window: Tensor,
        rows: Tensor,
        columns: Tensor,
    },
}

impl Position {
    /// `(side * side, embed_dim)`.
    fn tokens(&self, side: usize) -> Result<Tensor> {
        match self {
            Self::Computed(tokens) => Ok(tokens.clone()),
            Self::Learned {
                background,
                window,
                rows,
                columns,
            } => {
                let (_, dim, height, width) = background.dims4()?;
                let tiles = side / window.dim(2)?;
                let wide = background.reshape((dim * height, width))?.matmul(&columns.t()?)?;
                let wide = wide
                    .reshape((dim, height, side))?
                    .permute((1, 0, 2))?
                    .contiguous()?;
                let full = rows
                    .matmul(&wide.reshape((height, dim * side))?)?
                    .reshape((side, dim, side))?;
                let full = full.permute((0, 2, 1))?.contiguous()?;
                let window = window
                    .repeat((1, 1, tiles, tiles))?
                    .squeeze(0)?
                    .permute((1, 2, 0))?
                    .contiguous()?;
                Ok((full + window)?.reshape((side * side, dim))?)
            }
        }
    }
}

impl Hiera {
    pub(crate) fn new(scope: &Scope<'_>, config: &TrunkConfig, image_size: usize) -> Result<Self> {
        let side = image_size / PATCH_STRIDE;
        let dim = config.embed_dim;
        let [grid_height, grid_width] = config.window_pos_embed_bkg_spatial_size;
        let window = config.window_spec[0];
        let learned = Position::Learned {
            background: scope.tensor("pos_embed", &[1, dim, grid_height, grid_width])?,
            window: scope.tensor("pos_embed_window", &[1, dim, window, window])?,
            rows: bicubic_matrix(grid_height, side, scope.device())?,
            columns: bicubic_matrix(grid_width, side, scope.device())?,
        };
        let position = if scope.fuses() {
            Position::Computed(learned.tokens(side)?)
        } else {
            learned
        };
        let mut blocks = Vec::new();
        let mut stage_ends = Vec::new();
        let (mut grid, mut window) = (side, config.window_spec[0]);
        for (stage, count) in config.stages.iter().enumerate() {
            for i in 0..*count {
                let index = blocks.len();
                let enters_stage = stage > 0 && i == 0;
                // The block that enters a stage still attends in the previous stage's windows.
                let geometry = BlockGeometry {
                    channels_in: if enters_stage {
                        dim << (stage - 1)
                    } else {
                        dim << stage
                    },
                    channels: dim << stage,
                    heads: config.num_heads << stage,
                    window: if config.global_att_blocks.contains(&index) {
                        None
                    } else {
                        Some(window)
                    },
                    pools: enters_stage,
                    side: grid,
                };
                blocks.push(Block::new(&scope.child(format!("blocks.{index}")), geometry)?);
                if enters_stage {
                    grid /= 2;
                    window = config.window_spec[stage];
                }
            }
            stage_ends.push(blocks.len() - 1);
        }
        Ok(Self {
            patch_embed: Linear::with_layout(
                &scope.child("patch_embed.proj"),
                WeightLayout::Convolution { kernel: PATCH_KERNEL },
                3 * PATCH_KERNEL * PATCH_KERNEL,
                dim,
            )?,
            position,
            blocks,
            stage_ends,
            side,
            embed_dim: dim,
        })
    }

    /// `(batch, side * side, 7 * 7 * 3)` patches to four maps `(batch, height, width, channels)`, finest first.
    pub(crate) fn forward(&self, patches: &Tensor) -> Result<Vec<Tensor>> {
        let batch = patches.dim(0)?;
        let position = self.position.tokens(self.side)?;
        let around = Around {
            row_bias: Some(&position),
            ..Around::NONE
        };
        let mut x = self.patch_embed.apply(patches, around)?.reshape((
            batch,
            self.side,
            self.side,
            self.embed_dim,
        ))?;
        let mut stages = Vec::with_capacity(self.stage_ends.len());
        for (index, block) in self.blocks.iter().enumerate() {
            x = block.forward(x)?;
            if self.stage_ends.contains(&index) {
                stages.push(x.clone());
            }
        }
        Ok(stages)
    }
}

#[derive(Clone, Copy, Debug)]
struct BlockGeometry {
    channels_in: usize,
    channels: usize,
    heads: usize,
    /// Window side in tokens, `None` for global attention.
    window: Option<usize>,
    /// Whether queries and shortcut are max-pooled 2x2.
    pools: bool,
    /// Side of the input grid in tokens.
    side: usize,
}

/// A transformer block; the first of stages 2 to 4 doubles the width and halves the grid.
#[derive(Debug)]
struct Block {
    geometry: BlockGeometry,
    qkv: Projection,
    attention_out: Linear,
    /// Projects the shortcut where the width changes.
    shortcut: Option<Projection>,
    mlp_in: Linear,
    mlp_out: Linear,
}

/// A linear layer after norm1.
#[derive(Debug)]
enum Projection {
    /// Norm folded into the layer; `padding` is what the layer gives for a zero token, `(outputs)`.
    Folded { layer: Linear, padding: Tensor },
    /// Norm kept apart, because padding comes between the two.
    Apart { norm: Norm, layer: Linear },
}

impl Projection {
    fn new(norm: Norm, scope: &Scope<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        if scope.fuses() {
            let padding = scope.tensor("bias", &[outputs])?;
            Ok(Self::Folded {
                layer: Linear::after_norm(norm, scope, inputs, outputs)?,
                padding,
            })
        } else {
            Ok(Self::Apart {
                norm,
                layer: Linear::new(scope, inputs, outputs)?,
            })
        }
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Folded { layer, .. } => layer.forward(x),
            Self::Apart { norm, layer } => layer.forward(&norm.forward(x)?),
        }
    }
}

impl Block {
    fn new(scope: &Scope<'_>, geometry: BlockGeometry) -> Result<Self> {
        let BlockGeometry {
            channels_in,
            channels,
            ..
        } = geometry;
        let norm1 = Norm::new(&scope.child("norm1"), channels_in, NORM_EPS)?;
        let norm2 = Norm::new(&scope.child("norm2"), channels, NORM_EPS)?;
        let shortcut = if channels_in == channels {
            None
        } else {
            Some(Projection::new(
                norm1.clone(),
                &scope.child("proj"),
                channels_in,
                channels,
            )?)
        };
        Ok(Self {
            geometry,
            qkv: Projection::new(norm1, &scope.child("attn.qkv"), channels_in, 3 * channels)?,
            attention_out: Linear::new(&scope.child("attn.proj"), channels, channels)?,
            shortcut,
            mlp_in: Linear::after_norm(
                norm2,
                &scope.child("mlp.layers.0"),
                channels,
                MLP_RATIO * channels,
            )?,
            mlp_out: Linear::new(&scope.child("mlp.layers.1"), MLP_RATIO * channels, channels)?,
        })
    }

    /// `(batch, side, side, channels_in)` to `(batch, side or side / 2, …, channels)`.
    fn forward(&self, x: Tensor) -> Result<Tensor> {
        let fused = matches!(self.qkv, Projection::Folded { .. });
        let shortcut = match &self.shortcut {
            Some(projection) => max_pool_2x2(&projection.forward(&x)?, self.geometry.channels, fused)?,
            None => x.clone(),
        };
        let attended = match &self.qkv {
            Projection::Folded { layer, padding } => self.fused_attention(&layer.forward(&x)?, padding)?,
            Projection::Apart { norm, layer } => self.composed_attention(&norm.forward(&x)?, layer)?,
        };
        drop(x);
        let x = self.attention_out.apply(
            &attended,
            Around {
                residual: Some(&shortcut),
                ..Around::NONE
            },
        )?;
        drop((attended, shortcut));
        let hidden = self.mlp_in.apply(&x, Around::activation(Activation::Gelu))?;
        self.mlp_out.apply(
            &hidden,
            Around {
                residual: Some(&x),
                ..Around::NONE
            },
        )
    }

    /// Attention straight from the `(batch, side, side, 3 * channels)` projections, windows and padding included.
    fn fused_attention(&self, qkv: &Tensor, padding: &Tensor) -> Result<Tensor> {
        let BlockGeometry {
            channels,
            heads,
            window,
            pools,
            side,
            ..
        } = self.geometry;
        let batch = qkv.dim(0)?;
        let window = window.unwrap_or(side);
        let stride = 3 * channels;
        let k_groups = Groups::windows(batch, side, side, window);
        let (pooled, q_side, q_groups) = if pools {
            let pooled = max_pool_2x2(qkv, channels, true)?;
            (
                Some(pooled),
                side / 2,
                Groups::windows(batch, side / 2, side / 2, window / 2),
            )
        } else {
            (None, side, k_groups.clone())
        };
        let values = with_values(qkv, |qkv| {
            with_values(padding, |padding| {
                let operand = |column| Operand {
                    data: qkv,
                    row_stride: stride,
                    column,
                    padding_row: Some(padding),
                };
                let run = |q: Operand<'_>| {
                    Attention {
                        q,
                        k: operand(channels),
                        v: operand(2 * channels),
                        q_groups: &q_groups,
                        k_groups: &k_groups,
                        heads,
                        head_dim: channels / heads,
                        scale: 1.0 / ((channels / heads) as f32).sqrt(),
                        out_rows: batch * q_side * q_side,
                    }
                    .run()
                };
                match &pooled {
                    Some(pooled) => with_values(pooled, |data| {
                        run(Operand {
                            data,
                            row_stride: channels,
                            column: 0,
                            padding_row: None,
                        })
                    }),
                    None => Ok(run(operand(0))),
                }
            })
        })???;
        Ok(Tensor::from_vec(
            values,
            (batch, q_side, q_side, channels),
            qkv.device(),
        )?)
    }

    /// The same as tensor operations on the normalised map, in the reference's order: pad, partition, project, pool.
    fn composed_attention(&self, x: &Tensor, qkv: &Linear) -> Result<Tensor> {
        let BlockGeometry {
            channels,
            channels_in,
            heads,
            window,
            pools,
            side,
        } = self.geometry;
        let batch = x.dim(0)?;
        let window = window.unwrap_or(side);
        let padded = side.next_multiple_of(window);
        let count = padded / window;
        let x = x
            .pad_with_zeros(1, 0, padded - side)?
            .pad_with_zeros(2, 0, padded - side)?;
        let x = x
            .reshape((batch * count, window, count, window * channels_in))?
            .transpose(1, 2)?
            .contiguous()?
            .reshape((batch * count * count, window, window, channels_in))?;
        let qkv = qkv.forward(&x)?;
        let (q, q_window) = if pools {
            (max_pool_2x2(&qkv, channels, false)?, window / 2)
        } else {
            (qkv.narrow(D::Minus1, 0, channels)?, window)
        };
        let flat = |t: Tensor, side: usize| -> Result<Tensor> {
            Ok(t.contiguous()?
                .reshape((batch * count * count, side * side, channels))?)
        };
        let k = flat(qkv.narrow(D::Minus1, channels, channels)?, window)?;
        let v = flat(qkv.narrow(D::Minus1, 2 * channels, channels)?, window)?;
        let mixed = softmax_attention(&flat(q, q_window)?, &k, &v, heads)?;
        let (q_side, q_padded) = if pools {
            (side / 2, padded / 2)
        } else {
            (side, padded)
        };
        let mixed = mixed
            .reshape((batch * count, count, q_window, q_window * channels))?
            .transpose(1, 2)?
            .contiguous()?
            .reshape((batch, q_padded, q_padded, channels))?;
        Ok(mixed.narrow(1, 0, q_side)?.narrow(2, 0, q_side)?.contiguous()?)
    }
}
