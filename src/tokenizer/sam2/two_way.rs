//! The two-way transformer of SAM's heads: a few tokens and the image features attend to each other.
//!
//! Everything that one layer needs from the image features is computed in one product, and the position encoding's
//! share of it, which never changes, is added as a row bias: `(keys + pe) W = keys W + pe W`.

use crate::tokenizer::Result;
use crate::tokenizer::config::{ATTENTION_DOWNSAMPLE, HeadsConfig};
use crate::tokenizer::ops::{
    Activation, Around, Attention, Groups, Linear, Norm, Operand, softmax_attention, with_values,
};
use crate::tokenizer::parameters::Scope;
use candle_core::{D, Tensor};

/// nn.LayerNorm's default.
const NORM_EPS: f64 = 1e-5;

/// The transformer; layer 0 adds no position to the tokens before its self-attention.
#[derive(Debug)]
pub(crate) struct TwoWayTransformer {
    layers: Vec<Layer>,
    final_attention: TokensToImage,
    norm_final: Norm,
}

/// Image features as the transformer's keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageKeys<'a> {
    /// `(images, cells, d_model)`, where `images` is 1 (shared by all prompts) or the batch.
    pub(crate) features: &'a Tensor,
    /// `(cells, d_model)`.
    pub(crate) position: &'a Tensor,
}

impl TwoWayTransformer {
    pub(crate) fn new(scope: &Scope<'_>, dim: usize, config: &HeadsConfig) -> Result<Self> {
        let layers = (0..config.depth)
            .map(|i| Layer::new(&scope.child(format!("layers.{i}")), dim, config))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            layers,
            final_attention: TokensToImage::new(
                &scope.child("final_attn_token_to_image"),
                dim,
                config.num_heads,
            )?,
            norm_final: Norm::new(&scope.child("norm_final_attn"), dim, NORM_EPS)?,
        })
    }

    /// Tokens `(batch, tokens, d_model)` to the attended tokens and image features `(batch, cells, d_model)`.
    pub(crate) fn forward(&self, tokens: &Tensor, image: ImageKeys<'_>) -> Result<(Tensor, Tensor)> {
        let mut queries = tokens.clone();
        let mut keys = image.features.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            (queries, keys) = layer.forward(&queries, &keys, tokens, image.position, i == 0)?;
        }
        let q = (&queries + tokens)?;
        let projected = self.final_attention.project_image(&keys, image.position)?;
        let queries = self.final_attention.forward(&q, &projected, Some(&queries))?;
        Ok((self.norm_final.forward(&queries)?, keys))
    }
}

#[derive(Debug)]
struct Layer {
    self_attention: SelfAttention,
    norm1: Norm,
    tokens_to_image: TokensToImage,
    norm2: Norm,
    mlp: [Linear; 2],
    norm3: Norm,
    image_to_tokens: ImageToTokens,
    norm4: Norm,
}

impl Layer {
    fn new(scope: &Scope<'_>, dim: usize, config: &HeadsConfig) -> Result<Self> {
        let norm = |name: &str| Norm::new(&scope.child(name), dim, NORM_EPS);
        let image_to_tokens = scope.child("cross_attn_image_to_token");
        Ok(Self {
            self_attention: SelfAttention::new(&scope.child("self_attn"), dim, config.num_heads)?,
            norm1: norm("norm1")?,
            tokens_to_image: TokensToImage::joined(
                &scope.child("cross_attn_token_to_image"),
                Some(&image_to_tokens.child("q_proj")),
                dim,
                config.num_heads,
            )?,
            norm2: norm("norm2")?,
            mlp: [
                Linear::new(&scope.child("mlp.layers.0"), dim, config.mlp_dim)?,
                Linear::new(&scope.child("mlp.layers.1"), config.mlp_dim, dim)?,
            ],
            norm3: norm("norm3")?,
            image_to_tokens: ImageToTokens::new(&image_to_tokens, dim, config.num_heads)?,
            norm4: norm("norm4")?,
        })
    }

    fn forward(
        &self,
        queries: &Tensor,
        keys: &Tensor,
        query_position: &Tensor,
        key_position: &Tensor,
        first: bool,
    ) -> Result<(Tensor, Tensor)> {
        let queries = if first {
            self.self_attention.forward(queries, queries, None)?
        } else {
            self.self_attention
                .forward(&(queries + query_position)?, queries, Some(queries))?
        };
        let queries = self.norm1.forward(&queries)?;

        let image = self.tokens_to_image.project_image(keys, key_position)?;
        let q = (&queries + query_position)?;
        let queries = self
            .norm2
            .forward(&self.tokens_to_image.forward(&q, &image, Some(&queries))?)?;

        let hidden = self.mlp[0].apply(&queries, Around::activation(Activation::Relu))?;
        let queries = self.mlp[1].apply(
            &hidden,
            Around {
                residual: Some(&queries),
                ..Around::NONE
            },
        )?;
        let queries = self.norm3.forward(&queries)?;

        let k = (&queries + query_position)?;
        let keys = self.image_to_tokens.forward(&image, &k, &queries, keys)?;
        Ok((queries, self.norm4.forward(&keys)?))
    }
}

#[derive(Debug)]
struct SelfAttention {
    query_key: Linear,
    value: Linear,
    out: Linear,
    heads: usize,
    dim: usize,
}

impl SelfAttention {
    fn new(scope: &Scope<'_>, dim: usize, heads: usize) -> Result<Self> {
        Ok(Self {
            query_key: Linear::joined(&[scope.child("q_proj"), scope.child("k_proj")], dim, dim)?,
            value: Linear::new(&scope.child("v_proj"), dim, dim)?,
            out: Linear::new(&scope.child("out_proj"), dim, dim)?,
            heads,
            dim,
        })
    }

    fn forward(&self, qk: &Tensor, v: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let qk = self.query_key.forward(qk)?;
        let v = self.value.forward(v)?;
        let columns = |column| Columns { tensor: &qk, column };
        let mixed = attend(
            columns(0),
            columns(self.dim),
            Columns {
                tensor: &v,
                column: 0,
            },
            self.heads,
            self.dim,
        )?;
        self.out.apply(
            &mixed,
            Around {
                residual,
                ..Around::NONE
            },
        )
    }
}

/// Cross-attention from tokens to the image; also owns the joined projection of the image features.
#[derive(Debug)]
struct TokensToImage {
    q: Linear,
    /// Keys, values and, inside a layer, the queries of the way back.
    image: Linear,
    /// The position's share of `image`, `(cells, columns)`, where it can be computed once.
    position: std::sync::OnceLock<Tensor>,
    /// Projections that see the position: key, and the way back's query.
    key: Linear,
    back: Option<Linear>,
    frozen: bool,
    out: Linear,
    heads: usize,
    dim: usize,
}

impl TokensToImage {
    fn new(scope: &Scope<'_>, dim: usize, heads: usize) -> Result<Self> {
        Self::joined(scope, None, dim, heads)
    }

    fn joined(scope: &Scope<'_>, back: Option<&Scope<'_>>, dim: usize, heads: usize) -> Result<Self> {
        let inner = dim / ATTENTION_DOWNSAMPLE;
        let mut scopes = vec![scope.child("k_proj"), scope.child("v_proj")];
        scopes.extend(back.cloned());
        Ok(Self {
            q: Linear::new(&scope.child("q_proj"), dim, inner)?,
            image: Linear::joined(&scopes, dim, inner)?,
            position: std::sync::OnceLock::new(),
            key: Linear::new(&scope.child("k_proj"), dim, inner)?,
            back: back.map(|scope| Linear::new(scope, dim, inner)).transpose()?,
            frozen: scope.fuses(),
            out: Linear::new(&scope.child("out_proj"), inner, dim)?,
            heads,
            dim: inner,
        })
    }

    /// The position's share: `pe W` for keys and the way back's queries, zero for values; biases taken out again.
    fn position_share(&self, position: &Tensor) -> Result<Tensor> {
        if let Some(share) = self.position.get() {
            return Ok(share.clone());
        }
        let zero = position.zeros_like()?.narrow(0, 0, 1)?;
        let share = |layer: &Linear| -> Result<Tensor> {
            Ok(layer.forward(position)?.broadcast_sub(&layer.forward(&zero)?)?)
        };
        let key = share(&self.key)?;
        let mut parts = vec![key.clone(), key.zeros_like()?];
        if let Some(back) = &self.back {
            parts.push(share(back)?);
        }
        let share = Tensor::cat(&parts, 1)?;
        Ok(if self.frozen {
            self.position.get_or_init(|| share).clone()
        } else {
            share
        })
    }

    /// `(images, cells, d_model)` to `(images, cells, columns)`: keys, values, and the way back's queries.
    fn project_image(&self, keys: &Tensor, position: &Tensor) -> Result<Tensor> {
        let share = self.position_share(position)?;
        self.image.apply(
            keys,
            Around {
                row_bias: Some(&share),
                ..Around::NONE
            },
        )
    }

    fn forward(&self, q: &Tensor, image: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let q = self.q.forward(q)?;
        let columns = |column| Columns {
            tensor: image,
            column,
        };
        let mixed = attend(
            Columns {
                tensor: &q,
                column: 0,
            },
            columns(0),
            columns(self.dim),
            self.heads,
            self.dim,
        )?;
        self.out.apply(
            &mixed,
            Around {
                residual,
                ..Around::NONE
            },
        )
    }
}

/// Cross-attention from the image to the tokens.
#[derive(Debug)]
struct ImageToTokens {
    k: Linear,
    v: Linear,
    out: Linear,
    heads: usize,
    dim: usize,
}

impl ImageToTokens {
    fn new(scope: &Scope<'_>, dim: usize, heads: usize) -> Result<Self> {
        let inner = dim / ATTENTION_DOWNSAMPLE;
        Ok(Self {
            k: Linear::new(&scope.child("k_proj"), dim, inner)?,
            v: Linear::new(&scope.child("v_proj"), dim, inner)?,
            out: Linear::new(&scope.child("out_proj"), inner, dim)?,
            heads,
            dim: inner,
        })
    }

    /// `image` holds the queries in its third block of columns; adds the result to `keys`.
    fn forward(&self, image: &Tensor, k: &Tensor, v: &Tensor, keys: &Tensor) -> Result<Tensor> {
        let (k, v) = (self.k.forward(k)?, self.v.forward(v)?);
        let mixed = attend(
            Columns {
                tensor: image,
                column: 2 * self.dim,
            },
            Columns {
                tensor: &k,
                column: 0,
            },
            Columns {
                tensor: &v,
                column: 0,
            },
            self.heads,
            self.dim,
        )?;
        let keys = match (keys.dim(0)?, mixed.dim(0)?) {
            (1, batch) if batch > 1 => keys.repeat((batch, 1, 1))?,
            _ => keys.clone(),
        };
        self.out.apply(
            &mixed,
            Around {
                residual: Some(&keys),
                ..Around::NONE
            },
        )
    }
}

/// The block of columns of a `(batch, rows, columns)` tensor that starts at `column`.
#[derive(Clone, Copy)]
struct Columns<'a> {
    tensor: &'a Tensor,
    column: usize,
}

/// Attention between blocks of columns; a batch of 1 on the key side or the query side serves all elements.
fn attend(q: Columns<'_>, k: Columns<'_>, v: Columns<'_>, heads: usize, dim: usize) -> Result<Tensor> {
    let (q_batch, q_rows, q_columns) = q.tensor.dims3()?;
    let (k_batch, k_rows, k_columns) = k.tensor.dims3()?;
    let (v_batch, _, v_columns) = v.tensor.dims3()?;
    let batch = q_batch.max(k_batch);
    let fused = !(q.tensor.track_op() || k.tensor.track_op() || v.tensor.track_op())
        && q.tensor.device().is_cpu()
        && v_batch == k_batch;
    if !fused {
        let block = |c: Columns<'_>| -> Result<Tensor> {
            let t = c.tensor.narrow(D::Minus1, c.column, dim)?;
            let (own, rows, _) = t.dims3()?;
            Ok(if own == batch {
                t.contiguous()?
            } else {
                t.broadcast_as((batch, rows, dim))?.contiguous()?
            })
        };
        return softmax_attention(&block(q)?, &block(k)?, &block(v)?, heads);
    }
    // One key group for a whole batch is one attention with more queries; one query group repeats its rows.
    let (q_groups, k_groups) = match (q_batch, k_batch) {
        (_, 1) => (
            Groups::consecutive(1, q_batch * q_rows),
            Groups::consecutive(1, k_rows),
        ),
        _ => (
            Groups::consecutive(batch, q_rows),
            Groups::consecutive(batch, k_rows),
        ),
    };
    let repeated;
    let q_tensor = if q_batch < batch {
        repeated = q.tensor.repeat((batch, 1, 1))?;
        &repeated
    } else {
        q.tensor
    };
    let out = with_values(q_tensor, |q_data| {
        with_values(k.tensor, |k_data| {
            with_values(v.tensor, |v_data| {
                let operand = |data, row_stride, column| Operand {
                    data,
                    row_stride,
                    column,
                    padding_row: None,
                };
                Attention {
                    q: operand(q_data, q_columns, q.column),
                    k: operand(k_data, k_columns, k.column),
                    v: operand(v_data, v_columns, v.column),
                    q_groups: &q_groups,
                    k_groups: &k_groups,
                    heads,
                    head_dim: dim / heads,
                    scale: 1.0 / ((dim / heads) as f32).sqrt(),
                    out_rows: batch * q_rows,
                }
                .run()
            })
        })
    })???;
    Ok(Tensor::from_vec(out, (batch, q_rows, dim), q.tensor.device())?)
}
