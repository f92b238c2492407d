//! Which tensors a network needs, and the memory that they will take: both known before anything is loaded.

use super::config::Config;
use super::error::{QwenError, Result};
use super::precision::Precision;
use crate::tokenizer::weights::Checkpoint;
use std::path::{Path, PathBuf};

pub(super) const TEXT: &str = "model.language_model";
pub(super) const VISION: &str = "model.visual";
pub(super) const EMBEDDING: &str = "model.language_model.embed_tokens.weight";
pub(super) const HEAD: &str = "lm_head.weight";

/// What a tensor is for, which decides how it is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A matrix of the text model, quantized where asked.
    TextMatrix,
    /// The output layer.
    Head,
    /// An embedding table that is not the output layer too.
    Embedding,
    /// A matrix of the vision tower, never quantized.
    VisionMatrix,
    /// A norm, a bias, learned positions: always f32.
    Small,
}

/// A tensor that the network needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) held_as: Use,
}

/// All tensors of a network.
pub(super) fn needed(config: &Config) -> Vec<Needed> {
    let mut list = List(Vec::new());
    let (text, vision) = (&config.text, &config.vision);
    let embedding = if config.tied_head {
        Use::Head
    } else {
        Use::Embedding
    };
    list.add(EMBEDDING.to_owned(), &[text.vocabulary, text.hidden], embedding);
    if !config.tied_head {
        list.add(HEAD.to_owned(), &[text.vocabulary, text.hidden], Use::Head);
    }
    let (queries, keys) = (text.heads * text.head_dim, text.key_value_heads * text.head_dim);
    for layer in 0..text.layers {
        let prefix = format!("{TEXT}.layers.{layer}");
        for (name, outputs, inputs) in [
            ("self_attn.q_proj", queries, text.hidden),
            ("self_attn.k_proj", keys, text.hidden),
            ("self_attn.v_proj", keys, text.hidden),
            ("self_attn.o_proj", text.hidden, queries),
            ("mlp.gate_proj", text.intermediate, text.hidden),
            ("mlp.up_proj", text.intermediate, text.hidden),
            ("mlp.down_proj", text.hidden, text.intermediate),
        ] {
            list.add(
                format!("{prefix}.{name}.weight"),
                &[outputs, inputs],
                Use::TextMatrix,
            );
            if text.attention_bias && name.starts_with("self_attn") {
                list.add(format!("{prefix}.{name}.bias"), &[outputs], Use::Small);
            }
        }
        for (name, width) in [
            ("input_layernorm", text.hidden),
            ("post_attention_layernorm", text.hidden),
            ("self_attn.q_norm", text.head_dim),
            ("self_attn.k_norm", text.head_dim),
        ] {
            list.add(format!("{prefix}.{name}.weight"), &[width], Use::Small);
        }
    }
    list.add(format!("{TEXT}.norm.weight"), &[text.hidden], Use::Small);

    let (hidden, merged) = (vision.hidden, vision.merged());
    list.add(
        format!("{VISION}.patch_embed.proj.weight"),
        &[
            hidden,
            vision.channels,
            vision.temporal_patch,
            vision.patch,
            vision.patch,
        ],
        Use::VisionMatrix,
    );
    list.add(format!("{VISION}.patch_embed.proj.bias"), &[hidden], Use::Small);
    let positions = vision.position_side * vision.position_side;
    list.add(
        format!("{VISION}.pos_embed.weight"),
        &[positions, hidden],
        Use::Small,
    );
    for block in 0..vision.depth {
        let prefix = format!("{VISION}.blocks.{block}");
        list.linear(&format!("{prefix}.attn.qkv"), 3 * hidden, hidden);
        list.linear(&format!("{prefix}.attn.proj"), hidden, hidden);
        list.linear(&format!("{prefix}.mlp.linear_fc1"), vision.intermediate, hidden);
        list.linear(&format!("{prefix}.mlp.linear_fc2"), hidden, vision.intermediate);
        list.norm(&format!("{prefix}.norm1"), hidden);
        list.norm(&format!("{prefix}.norm2"), hidden);
    }
    let mergers = (0..vision.deepstack.len())
        .map(|level| (format!("{VISION}.deepstack_merger_list.{level}"), merged))
        .chain([(format!("{VISION}.merger"), hidden)]);
    for (prefix, normed) in mergers {
        list.norm(&format!("{prefix}.norm"), normed);
        list.linear(&format!("{prefix}.linear_fc1"), merged, merged);
        list.linear(&format!("{prefix}.linear_fc2"), vision.out_hidden, merged);
    }
    list.0
}

struct List(Vec<Needed>);

impl List {
    fn add(&mut self, name: String, shape: &[usize], held_as: Use) {
        self.0.push(Needed {
            name,
            shape: shape.to_vec(),
            held_as,
        });
    }

    fn linear(&mut self, prefix: &str, outputs: usize, inputs: usize) {
        self.add(format!("{prefix}.weight"), &[outputs, inputs], Use::VisionMatrix);
        self.add(format!("{prefix}.bias"), &[outputs], Use::Small);
    }

    fn norm(&mut self, prefix: &str, width: usize) {
        self.add(format!("{prefix}.weight"), &[width], Use::Small);
        self.add(format!("{prefix}.bias"), &[width], Use::Small);
    }
}

/// Bytes that a loaded network takes, and those of its largest tensor while it is being converted.
pub(super) fn memory(config: &Config, precision: Precision, context_tokens: usize) -> u64 {
    let mut resident = 0;
    let mut largest = 0;
    for tensor in needed(config) {
        let values: u64 = tensor.shape.iter().map(|extent| *extent as u64).product();
        let columns = tensor.shape.iter().skip(1).product();
        resident += match tensor.held_as {
            Use::Small => 4 * values,
            used => precision.of(used, columns).bytes(values),
        };
        largest = largest.max(4 * values);
    }
    let text = &config.text;
    let per_token = 2 * text.layers * text.key_value_heads * text.head_dim * size_of::<f32>();
    // Besides weights and keys and values: activations of one chunk of the prompt.
    let working = (per_token * context_tokens) as u64 + (256 << 20);
    // A tensor is converted out of a copy in f32, which is gone before the keys and values come.
    resident + largest.max(working)
}

/// The weights of a folder, whose names and shapes have been checked.
#[derive(Debug)]
pub(super) struct Weights {
    shards: Vec<Checkpoint>,
    folder: PathBuf,
}

impl Weights {
    /// Opens all files and compares them with what the network needs.
    pub(super) fn open(shards: &[PathBuf], folder: &Path, config: &Config) -> Result<Self> {
        let shards = shards
            .iter()
            .map(|path| Checkpoint::open(path))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let weights = Self {
            shards,
            folder: folder.to_path_buf(),
        };
        for tensor in needed(config) {
            weights.find(&tensor.name, &tensor.shape)?;
        }
        Ok(weights)
    }

    fn find(&self, name: &str, shape: &[usize]) -> Result<&Checkpoint> {
        let found = self
            .shards
            .iter()
            .find_map(|shard| Some((shard, shard.get(name)?)));
        let Some((shard, info)) = found else {
            return Err(QwenError::MissingTensor {
                name: name.to_owned(),
                folder: self.folder.clone(),
            });
        };
        if info.shape != shape {
            return Err(QwenError::TensorShape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: info.shape.clone(),
                folder: self.folder.clone(),
            });
        }
        Ok(shard)
    }

    /// The values of a tensor in row-major order.
    pub(super) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.find(name, shape)?.read_f32(name)?;
        crate::tokenizer::weights::check_finite(name, &values)?;
        Ok(values)
    }
}
