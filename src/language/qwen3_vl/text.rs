//! The text model: embeddings in, scores of the next token out, keys and values of earlier tokens kept.

use super::cache::{KeysValues, LayerCache};
use super::config::{Config, TextConfig};
use super::error::{QwenError, Result};
use super::layout::{EMBEDDING, HEAD, TEXT, Use, Weights};
use super::matrix::{Matrix, Placement};
use super::precision::Precision;
use super::rotary::Angles;
use crate::tokenizer::ops::{Activation, silu_product, with_values};
use candle_core::{D, DType, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::rope;

/// The text model.
#[derive(Debug)]
pub(super) struct TextModel {
    /// `None` if the head is the embedding table too.
    embedding: Option<Matrix>,
    head: Matrix,
    layers: Vec<Layer>,
    norm: Tensor,
    config: TextConfig,
    placement: Placement,
}

/// What is added to the first layers' outputs where a prompt has images.
#[derive(Clone, Debug, Default)]
pub(super) struct Deepstack {
    /// `tokens x hidden` each, zero at tokens of text.
    pub(super) levels: Vec<Tensor>,
}

impl TextModel {
    /// Loads the model; `progress` is told which layer of how many is done.
    pub(super) fn load(
        config: &Config,
        weights: &Weights,
        placement: &Placement,
        precision: Precision,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        let text = &config.text;
        let read = Reader {
            weights,
            placement,
            precision,
            config: text,
        };
        let table = |name: &str, used: Use| -> Result<Matrix> {
            let shape = [text.vocabulary, text.hidden];
            let values = weights.read(name, &shape)?;
            let precision = precision.of(used, text.hidden);
            Matrix::new(placement, precision, values, None, text.vocabulary, text.hidden)
        };
        let (embedding, head) = if config.tied_head {
            (None, table(EMBEDDING, Use::Head)?)
        } else {
            (Some(table(EMBEDDING, Use::Embedding)?), table(HEAD, Use::Head)?)
        };
        let mut layers = Vec::with_capacity(text.layers);
        for layer in 0..text.layers {
            layers.push(Layer::load(&format!("{TEXT}.layers.{layer}"), &read)?);
            progress(layer + 1, text.layers);
        }
        Ok(Self {
            embedding,
            head,
            layers,
            norm: read.norm(&format!("{TEXT}.norm"), text.hidden)?,
            config: text.clone(),
            placement: placement.clone(),
        })
    }

    /// Embeddings of tokens, `tokens x hidden`.
    pub(super) fn embed(&self, tokens: &[u32]) -> Result<Tensor> {
        self.embedding
            .as_ref()
            .unwrap_or(&self.head)
            .rows(tokens, &self.placement)
    }

    /// Runs tokens that follow those in `cache`, `tokens x hidden` in and out; `None` when `cancelled` says so between
    /// layers.
    pub(super) fn forward(
        &self,
        embeddings: Tensor,
        angles: &Angles,
        deepstack: &Deepstack,
        cache: &mut KeysValues,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Tensor>> {
        let tokens = embeddings.dim(0)?;
        let earlier = cache.len();
        cache.reserve(tokens)?;
        let pass = Pass {
            angles,
            mask: self.causal_mask(tokens, earlier)?,
            earlier,
            model: self,
        };
        let mut x = embeddings;
        for (index, (layer, cache)) in self.layers.iter().zip(cache.layers()).enumerate() {
            if cancelled() {
                return Ok(None);
            }
            x = layer.forward(&x, cache, &pass)?;
            if let Some(level) = deepstack.levels.get(index) {
                x = (x + level)?;
            }
        }
        cache.advance(tokens);
        Ok(Some(x))
    }

    /// Scores of the token after each of `hidden`, `tokens x vocabulary` in f32.
    pub(super) fn scores(&self, hidden: &Tensor) -> Result<Tensor> {
        let normed = rms_norm(&hidden.contiguous()?, &self.norm, self.config.norm_eps as f32)?;
        Ok(self.head.forward(&normed)?.to_dtype(DType::F32)?)
    }

    /// Minus infinity where a token would see a later one, `tokens x all`; a single token sees everything.
    fn causal_mask(&self, tokens: usize, earlier: usize) -> Result<Option<Tensor>> {
        if tokens == 1 {
            return Ok(None);
        }
        let all = earlier + tokens;
        let mut mask = vec![0.0_f32; tokens * all];
        for (token, row) in mask.chunks_exact_mut(all).enumerate() {
            if let Some(later) = row.get_mut(earlier + token + 1..) {
                later.fill(f32::NEG_INFINITY);
            }
        }
        Ok(Some(Tensor::from_vec(
            mask,
            (tokens, all),
            &self.placement.device,
        )?))
    }

    /// An empty cache for this model.
    pub(super) fn cache(&self) -> KeysValues {
        KeysValues::new(&self.config, &self.placement)
    }
}

/// Reads the parts of the model by their names.
struct Reader<'a> {
    weights: &'a Weights,
    placement: &'a Placement,
    precision: Precision,
    config: &'a TextConfig,
}

impl Reader<'_> {
    fn norm(&self, prefix: &str, width: usize) -> Result<Tensor> {
        let values = self.weights.read(&format!("{prefix}.weight"), &[width])?;
        self.placement.tensor(values, &[width])
    }

    /// Several matrices over the same inputs as one, their outputs one after another.
    fn joined(&self, parts: &[(String, usize)], inputs: usize, has_bias: bool) -> Result<Matrix> {
        let outputs = parts.iter().map(|(_, outputs)| outputs).sum();
        let mut weight = Vec::with_capacity(outputs * inputs);
        let mut bias = Vec::new();
        for (prefix, outputs) in parts {
            weight.extend(
                self.weights
                    .read(&format!("{prefix}.weight"), &[*outputs, inputs])?,
            );
            if has_bias {
                bias.extend(self.weights.read(&format!("{prefix}.bias"), &[*outputs])?);
            }
        }
        let precision = self.precision.of(Use::TextMatrix, inputs);
        let bias = has_bias.then_some(bias);
        Matrix::new(self.placement, precision, weight, bias, outputs, inputs)
    }
}

/// What all layers share while some tokens are run.
struct Pass<'a> {
    angles: &'a Angles,
    /// `None` for a single token, which sees all.
    mask: Option<Tensor>,
    /// Tokens in the cache.
    earlier: usize,
    model: &'a TextModel,
}

#[derive(Debug)]
struct Layer {
    input_norm: Tensor,
    /// Queries, keys and values.
    qkv: Matrix,
    query_norm: Tensor,
    key_norm: Tensor,
    output: Matrix,
    after_norm: Tensor,
    /// Gate and up.
    gate_up: Matrix,
    down: Matrix,
}

impl Layer {
    fn load(prefix: &str, read: &Reader<'_>) -> Result<Self> {
        let config = read.config;
        let (queries, keys) = (
            config.heads * config.head_dim,
            config.key_value_heads * config.head_dim,
        );
        let attention = |name: &str, outputs| (format!("{prefix}.self_attn.{name}_proj"), outputs);
        let feed_forward = |name: &str, outputs| (format!("{prefix}.mlp.{name}_proj"), outputs);
        let qkv = [
            attention("q", queries),
            attention("k", keys),
            attention("v", keys),
        ];
        let gate_up = [
            feed_forward("gate", config.intermediate),
            feed_forward("up", config.intermediate),
        ];
        let has_bias = config.attention_bias;
        Ok(Self {
            input_norm: read.norm(&format!("{prefix}.input_layernorm"), config.hidden)?,
            qkv: read.joined(&qkv, config.hidden, has_bias)?,
            query_norm: read.norm(&format!("{prefix}.self_attn.q_norm"), config.head_dim)?,
            key_norm: read.norm(&format!("{prefix}.self_attn.k_norm"), config.head_dim)?,
            output: read.joined(&[attention("o", config.hidden)], queries, has_bias)?,
            after_norm: read.norm(&format!("{prefix}.post_attention_layernorm"), config.hidden)?,
            gate_up: read.joined(&gate_up, config.hidden, false)?,
            down: read.joined(&[feed_forward("down", config.hidden)], config.intermediate, false)?,
        })
    }

    fn forward(&self, x: &Tensor, cache: &LayerCache, pass: &Pass<'_>) -> Result<Tensor> {
        let model = pass.model;
        let eps = model.config.norm_eps as f32;
        let normed = rms_norm(x, &self.input_norm, eps)?;
        let attended = self.attend(&normed, cache, pass)?;
        let x = self.output.apply(&attended, Activation::Identity, Some(x))?;
        let gate_up = self.gate_up.forward(&rms_norm(&x, &self.after_norm, eps)?)?;
        let product = if model.placement.fused {
            let width = model.config.intermediate;
            let product = with_values(&gate_up, |values| silu_product(values, width))?;
            Tensor::from_vec(product, (x.dim(0)?, width), x.device())?
        } else {
            let halves = gate_up.chunk(2, D::Minus1)?;
            match halves.as_slice() {
                [gate, up] => (silu(&gate.contiguous()?)? * up)?,
                _ => return Err(QwenError::NotFinite),
            }
        };
        self.down.apply(&product, Activation::Identity, Some(&x))
    }

    fn attend(&self, normed: &Tensor, cache: &LayerCache, pass: &Pass<'_>) -> Result<Tensor> {
        let Pass { angles, earlier, .. } = *pass;
        let config = &pass.model.config;
        let tokens = normed.dim(0)?;
        let (heads, key_heads, dim) = (config.heads, config.key_value_heads, config.head_dim);
        let qkv = self
            .qkv
            .forward(normed)?
            .reshape((tokens, heads + 2 * key_heads, dim))?;
        let eps = config.norm_eps as f32;
        // `heads x tokens x dim`, normed and turned.
        let turned = |first: usize, count: usize, norm: &Tensor| -> Result<Tensor> {
            let part = rms_norm(&qkv.narrow(1, first, count)?.contiguous()?, norm, eps)?;
            let part = part.transpose(0, 1)?.contiguous()?.unsqueeze(0)?;
            Ok(rope(&part, &angles.cos, &angles.sin)?.squeeze(0)?)
        };
        let q = turned(0, heads, &self.query_norm)?;
        let k = turned(heads, key_heads, &self.key_norm)?;
        let v = qkv
            .narrow(1, heads + key_heads, key_heads)?
            .transpose(0, 1)?
            .contiguous()?;
        let (keys, values) = cache.append(&k, &v, earlier)?;

        // Query heads that share a key head lie one after another, so they are rows of one product.
        let group = heads / key_heads;
        let q = (q * (1.0 / (dim as f64).sqrt()))?.reshape((key_heads, group * tokens, dim))?;
        let all = earlier + tokens;
        let scores = q.matmul(&keys.transpose(1, 2)?)?.to_dtype(DType::F32)?;
        let scores = match &pass.mask {
            Some(mask) => scores
                .reshape((heads, tokens, all))?
                .broadcast_add(mask)?
                .reshape((key_heads, group * tokens, all))?,
            None => scores,
        };
        let shares = softmax_last_dim(&scores)?.to_dtype(values.dtype())?;
        let attended = shares.matmul(&values)?.reshape((heads, tokens, dim))?;
        Ok(attended
            .transpose(0, 1)?
            .contiguous()?
            .reshape((tokens, heads * dim))?)
    }
}
