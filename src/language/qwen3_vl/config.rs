//! The shape of a network, read from `config.json` in either of its layouts.
//!
//! Files written before transformers 5 have `rope_theta` and `rope_scaling` in the text part; newer ones have
//! `rope_parameters` in both parts.

use super::error::{QwenError, Result};
use serde::Deserialize;
use std::path::Path;

/// Limits that no Qwen3-VL comes near; they keep damaged files from asking for absurd amounts of memory.
const MAX_WIDTH: usize = 1 << 20;
const MAX_LAYERS: usize = 1 << 10;

/// Shape of a whole model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    pub(super) text: TextConfig,
    pub(super) vision: VisionConfig,
    /// Whether the output layer is the embedding table.
    pub(super) tied_head: bool,
    pub(super) image_token: u32,
}

/// Shape of the text model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TextConfig {
    pub(super) vocabulary: usize,
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    pub(super) key_value_heads: usize,
    pub(super) head_dim: usize,
    pub(super) norm_eps: f64,
    pub(super) rope_theta: f64,
    /// Rotary frequencies that turn with time, height and width.
    pub(super) rope_sections: [usize; 3],
    pub(super) max_positions: usize,
    pub(super) attention_bias: bool,
}

/// Shape of the vision tower.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct VisionConfig {
    pub(super) depth: usize,
    pub(super) hidden: usize,
    pub(super) intermediate: usize,
    pub(super) heads: usize,
    pub(super) channels: usize,
    pub(super) patch: usize,
    pub(super) temporal_patch: usize,
    /// Patches per side that become one token.
    pub(super) merge: usize,
    pub(super) out_hidden: usize,
    /// Side of the square grid of learned positions.
    pub(super) position_side: usize,
    /// Blocks whose output is also added to the first text layers.
    pub(super) deepstack: Vec<usize>,
    pub(super) rope_theta: f64,
}

impl VisionConfig {
    pub(super) fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }

    /// Values of one patch.
    pub(super) fn patch_values(&self) -> usize {
        self.channels * self.temporal_patch * self.patch * self.patch
    }

    /// Width of the patches that become one token.
    pub(super) fn merged(&self) -> usize {
        self.hidden * self.merge * self.merge
    }
}

#[derive(Deserialize)]
struct ModelFile {
    #[serde(default)]
    model_type: String,
    text_config: Option<TextFile>,
    vision_config: Option<VisionFile>,
    tie_word_embeddings: Option<bool>,
    image_token_id: Option<u32>,
}

#[derive(Deserialize)]
struct TextFile {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: Option<usize>,
    #[serde(default = "default_norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "default_hidden_act")]
    hidden_act: String,
    rope_theta: Option<f64>,
    rope_scaling: Option<RopeFile>,
    rope_parameters: Option<RopeFile>,
    #[serde(default = "default_max_positions")]
    max_position_embeddings: usize,
    #[serde(default)]
    attention_bias: bool,
    tie_word_embeddings: Option<bool>,
}

#[derive(Deserialize)]
struct RopeFile {
    rope_type: Option<String>,
    #[serde(rename = "type")]
    old_type: Option<String>,
    rope_theta: Option<f64>,
    mrope_section: Option<[usize; 3]>,
    mrope_interleaved: Option<bool>,
}

#[derive(Deserialize)]
struct VisionFile {
    depth: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_heads: usize,
    #[serde(default = "default_channels")]
    in_channels: usize,
    #[serde(default = "default_patch")]
    patch_size: usize,
    #[serde(default = "default_pair")]
    temporal_patch_size: usize,
    #[serde(default = "default_pair")]
    spatial_merge_size: usize,
    out_hidden_size: usize,
    num_position_embeddings: usize,
    deepstack_visual_indexes: Vec<usize>,
    #[serde(default = "default_vision_act")]
    hidden_act: String,
    rope_parameters: Option<RopeFile>,
}

fn default_norm_eps() -> f64 {
    1e-6
}
fn default_hidden_act() -> String {
    "silu".to_owned()
}
fn default_vision_act() -> String {
    "gelu_pytorch_tanh".to_owned()
}
fn default_max_positions() -> usize {
    32_768
}
fn default_channels() -> usize {
    3
}
fn default_patch() -> usize {
    16
}
fn default_pair() -> usize {
    2
}

impl Config {
    /// Reads the text of a `config.json`; `path` is only named in errors.
    ///
    /// # Errors
    /// Another architecture, or values that make no network.
    pub(super) fn from_json(json: &[u8], path: &Path) -> Result<Self> {
        let broken = |reason: String| QwenError::Config {
            reason,
            path: path.to_path_buf(),
        };
        let value: serde_json::Value =
            serde_json::from_slice(json).map_err(|error| broken(format!("it is no JSON ({error})")))?;
        let kind = value
            .get("model_type")
            .and_then(serde_json::Value::as_str)
            .unwrap_or("");
        if kind != "qwen3_vl" {
            return Err(QwenError::Architecture {
                found: described(kind, &value),
                path: path.to_path_buf(),
            });
        }
        let file: ModelFile = serde_json::from_value(value).map_err(|error| broken(error.to_string()))?;
        debug_assert_eq!(file.model_type, "qwen3_vl", "checked above");
        let (Some(text), Some(vision)) = (file.text_config, file.vision_config) else {
            return Err(broken("text_config or vision_config is missing".to_owned()));
        };
        let tied_head = file
            .tie_word_embeddings
            .or(text.tie_word_embeddings)
            .unwrap_or(false);
        let config = Self {
            text: text.check().map_err(broken)?,
            vision: vision.check().map_err(broken)?,
            tied_head,
            image_token: file
                .image_token_id
                .ok_or_else(|| broken("image_token_id is missing".to_owned()))?,
        };
        if config.vision.out_hidden != config.text.hidden {
            return Err(broken(format!(
                "the vision tower gives {} values per token, but the text model takes {}",
                config.vision.out_hidden, config.text.hidden
            )));
        }
        if config.vision.deepstack.len() > config.text.layers {
            return Err(broken(
                "there are more deepstack levels than text layers".to_owned(),
            ));
        }
        Ok(config)
    }
}

/// What a foreign configuration calls itself, fit for one line.
fn described(kind: &str, value: &serde_json::Value) -> String {
    let architecture = value
        .pointer("/architectures/0")
        .and_then(serde_json::Value::as_str);
    let name = if kind.is_empty() {
        architecture.unwrap_or("nameless")
    } else {
        kind
    };
    name.chars().filter(|c| !c.is_control()).take(80).collect()
}

type Checked<T> = std::result::Result<T, String>;

fn check_sizes(sizes: &[(&str, usize, usize)]) -> Checked<()> {
    match sizes.iter().find(|(_, size, limit)| *size == 0 || size > limit) {
        Some((name, size, limit)) => Err(format!("{name} is {size}, which is not between 1 and {limit}")),
        None => Ok(()),
    }
}

impl TextFile {
    fn check(self) -> Checked<TextConfig> {
        let head_dim = self
            .head_dim
            .unwrap_or_else(|| self.hidden_size / self.num_attention_heads.max(1));
        check_sizes(&[
            ("vocab_size", self.vocab_size, 1 << 24),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, MAX_WIDTH),
            ("num_hidden_layers", self.num_hidden_layers, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, MAX_WIDTH),
            (
                "num_key_value_heads",
                self.num_key_value_heads,
                self.num_attention_heads,
            ),
            ("head_dim", head_dim, 4096),
            ("max_position_embeddings", self.max_position_embeddings, 1 << 30),
        ])?;
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err("num_attention_heads is no multiple of num_key_value_heads".to_owned());
        }
        if !head_dim.is_multiple_of(2) {
            return Err(format!("head_dim is {head_dim}, which is odd"));
        }
        if self.hidden_act != "silu" {
            return Err(format!(
                "the activation {} of the text model is not known",
                self.hidden_act
            ));
        }
        let rope = self.rope_parameters.or(self.rope_scaling);
        if let Some(kind) = rope
            .as_ref()
            .and_then(|rope| rope.rope_type.as_deref().or(rope.old_type.as_deref()))
            && !matches!(kind, "default" | "mrope")
        {
            return Err(format!("the rotary scaling {kind} is not known"));
        }
        if rope.as_ref().and_then(|rope| rope.mrope_interleaved) == Some(false) {
            return Err("rotary sections that are not interleaved are not known".to_owned());
        }
        let rope_theta = rope
            .as_ref()
            .and_then(|rope| rope.rope_theta)
            .or(self.rope_theta)
            .ok_or("rope_theta is missing")?;
        if !(rope_theta.is_finite() && rope_theta > 0.0) {
            return Err(format!("rope_theta is {rope_theta}"));
        }
        Ok(TextConfig {
            vocabulary: self.vocab_size,
            hidden: self.hidden_size,
            intermediate: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            key_value_heads: self.num_key_value_heads,
            head_dim,
            norm_eps: self.rms_norm_eps,
            rope_theta,
            rope_sections: rope.and_then(|rope| rope.mrope_section).unwrap_or([24, 20, 20]),
            max_positions: self.max_position_embeddings,
            attention_bias: self.attention_bias,
        })
    }
}

impl VisionFile {
    fn check(self) -> Checked<VisionConfig> {
        check_sizes(&[
            ("depth", self.depth, MAX_LAYERS),
            ("hidden_size", self.hidden_size, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, MAX_WIDTH),
            ("num_heads", self.num_heads, self.hidden_size),
            ("patch_size", self.patch_size, 256),
            ("temporal_patch_size", self.temporal_patch_size, 16),
            ("spatial_merge_size", self.spatial_merge_size, 16),
            ("out_hidden_size", self.out_hidden_size, MAX_WIDTH),
            ("num_position_embeddings", self.num_position_embeddings, 1 << 24),
        ])?;
        if self.in_channels != 3 {
            return Err(format!("images of {} channels are not known", self.in_channels));
        }
        if !self.hidden_size.is_multiple_of(4 * self.num_heads) {
            return Err("the heads of the vision tower have no width divisible by 4".to_owned());
        }
        let position_side = self.num_position_embeddings.isqrt();
        if position_side * position_side != self.num_position_embeddings {
            return Err("num_position_embeddings is no square".to_owned());
        }
        if let Some(index) = self
            .deepstack_visual_indexes
            .iter()
            .find(|index| **index >= self.depth)
        {
            return Err(format!(
                "deepstack_visual_indexes names block {index}, which is not there"
            ));
        }
        if self.hidden_act != "gelu_pytorch_tanh" {
            return Err(format!(
                "the activation {} of the vision tower is not known",
                self.hidden_act
            ));
        }
        Ok(VisionConfig {
            depth: self.depth,
            hidden: self.hidden_size,
            intermediate: self.intermediate_size,
            heads: self.num_heads,
            channels: self.in_channels,
            patch: self.patch_size,
            temporal_patch: self.temporal_patch_size,
            merge: self.spatial_merge_size,
            out_hidden: self.out_hidden_size,
            position_side,
            deepstack: self.deepstack_visual_indexes,
            rope_theta: self
                .rope_parameters
                .and_then(|rope| rope.rope_theta)
                .unwrap_or(10_000.0),
        })
    }
}
