//! The shape of a SAMTok network: `config.json`, the published presets, and recognising a preset from tensor shapes.

use super::weights::Checkpoint;
use super::{Result, TokenizerError};
use serde::{Deserialize, Serialize};

/// A whole mask tokenizer; the keys of a model folder's `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Name shown to people and written into sidecars; not part of the fingerprint.
    pub name: String,
    /// Side of the square input image, in pixels.
    pub image_size: usize,
    /// Hiera trunk.
    pub trunk: TrunkConfig,
    /// Feature pyramid neck.
    pub neck: NeckConfig,
    /// Residual quantizer.
    pub quantizer: QuantizerConfig,
    /// Two-way transformers of the mask encoder and the mask decoder.
    #[serde(default)]
    pub heads: HeadsConfig,
    /// Video memory; kept for round trips, not used by the tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<serde_json::Value>,
}

/// Hiera trunk of SAM 2.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrunkConfig {
    /// Channels of the first stage; doubled at each further stage.
    pub embed_dim: usize,
    /// Attention heads of the first stage; doubled at each further stage.
    pub num_heads: usize,
    /// Blocks per stage, four stages.
    pub stages: [usize; 4],
    /// Blocks (counted over all stages) that attend globally.
    pub global_att_blocks: Vec<usize>,
    /// Height and width of the learned background position grid.
    pub window_pos_embed_bkg_spatial_size: [usize; 2],
    /// Window side per stage, in tokens.
    pub window_spec: [usize; 4],
}

/// Feature pyramid neck of SAM 2.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeckConfig {
    /// Channels of every level.
    pub d_model: usize,
    /// Trunk channels, coarsest first.
    pub backbone_channel_list: [usize; 4],
    /// Levels (0 = finest) that receive the coarser level.
    pub fpn_top_down_levels: Vec<usize>,
}

/// Residual vector quantizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuantizerConfig {
    /// Entries of each codebook.
    pub codebook_size: usize,
    /// Number of residual steps.
    pub codebook_depth: usize,
    /// Whether all steps share one codebook.
    pub shared_codebook: bool,
    /// Width of the mask embedding.
    pub latent_dim: usize,
}

/// Sizes of the two-way transformers; the defaults are those of SAM 2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadsConfig {
    /// Layers.
    pub depth: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Hidden width of the MLP.
    pub mlp_dim: usize,
    /// Hidden width of the IoU head.
    pub iou_head_hidden_dim: usize,
}

impl Default for HeadsConfig {
    fn default() -> Self {
        Self {
            depth: 2,
            num_heads: 8,
            mlp_dim: 2048,
            iou_head_hidden_dim: 256,
        }
    }
}

/// Features of the image are 16 times coarser than the image.
pub(crate) const FEATURE_STRIDE: usize = 16;
/// Cross-attention of the two-way transformer halves the width.
pub(crate) const ATTENTION_DOWNSAMPLE: usize = 2;
/// Channels of the mask prompt before the last convolution (SAM's `mask_in_chans`).
pub(crate) const MASK_IN_CHANNELS: usize = 16;
/// Mask tokens: one for unambiguous prompts and three candidates.
pub(crate) const NUM_MASK_TOKENS: usize = 4;

impl Config {
    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// If the JSON is malformed, a key is missing or the sizes contradict each other.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let config: Self = serde_json::from_slice(json).map_err(|e| TokenizerError::Config {
            reason: e.to_string(),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Whether this is meant to be a tokenizer's configuration: it describes a trunk, or is not JSON at all and
    /// deserves an error of its own.
    pub(crate) fn describes_tokenizer(json: &[u8]) -> bool {
        serde_json::from_slice::<serde_json::Value>(json).map_or(true, |json| json.get("trunk").is_some())
    }

    /// The canonical JSON that the fingerprint covers: everything that changes what words mean, without the name.
    pub(crate) fn fingerprint_json(&self) -> Vec<u8> {
        let canonical = serde_json::json!({
            "image_size": self.image_size,
            "trunk": self.trunk,
            "neck": self.neck,
            "quantizer": self.quantizer,
            "heads": self.heads,
        });
        canonical.to_string().into_bytes()
    }

    /// Side of the token grid that the heads see.
    #[must_use]
    pub fn grid(&self) -> usize {
        self.image_size / FEATURE_STRIDE
    }

    /// Side of the mask logits and of the mask prompt.
    #[must_use]
    pub fn logits_size(&self) -> usize {
        4 * self.grid()
    }

    /// Channels of trunk stage `stage` (0..4).
    #[must_use]
    pub fn stage_dim(&self, stage: usize) -> usize {
        self.trunk.embed_dim << stage
    }

    fn check(&self) -> Result<()> {
        let fail = |reason: String| Err(TokenizerError::Config { reason });
        let Self {
            image_size,
            trunk,
            neck,
            quantizer,
            heads,
            ..
        } = self;
        if !(32..=4096).contains(image_size) || image_size % 32 != 0 {
            return fail(format!(
                "image_size is {image_size}, it must be a multiple of 32 from 32 to 4096"
            ));
        }
        let bounded = [
            ("trunk.embed_dim", trunk.embed_dim, 4096),
            ("trunk.num_heads", trunk.num_heads, 64),
            ("neck.d_model", neck.d_model, 4096),
            ("quantizer.codebook_size", quantizer.codebook_size, 1 << 20),
            ("quantizer.codebook_depth", quantizer.codebook_depth, 64),
            ("heads.depth", heads.depth, 64),
            ("heads.num_heads", heads.num_heads, 256),
            ("heads.mlp_dim", heads.mlp_dim, 1 << 16),
            ("heads.iou_head_hidden_dim", heads.iou_head_hidden_dim, 1 << 16),
            (
                "window_pos_embed_bkg_spatial_size",
                trunk.window_pos_embed_bkg_spatial_size[0],
                256,
            ),
            (
                "window_pos_embed_bkg_spatial_size",
                trunk.window_pos_embed_bkg_spatial_size[1],
                256,
            ),
        ];
        for (name, value, limit) in bounded {
            if value == 0 || value > limit {
                return fail(format!("{name} is {value}, it must be from 1 to {limit}"));
            }
        }
        for (stage, (blocks, window)) in trunk.stages.iter().zip(&trunk.window_spec).enumerate() {
            if *blocks == 0 || *blocks > 256 {
                return fail(format!(
                    "trunk.stages[{stage}] is {blocks}, it must be from 1 to 256"
                ));
            }
            if *window == 0 || *window > 256 || (stage < 3 && window % 2 != 0) {
                return fail(format!(
                    "trunk.window_spec[{stage}] is {window}, it must be even and at most 256"
                ));
            }
        }
        if trunk.embed_dim % trunk.num_heads != 0 {
            return fail("trunk.embed_dim must be a multiple of trunk.num_heads".to_owned());
        }
        if (image_size / 4) % trunk.window_spec[0] != 0 {
            return fail("trunk.window_spec[0] must divide image_size / 4".to_owned());
        }
        let expected: [usize; 4] = std::array::from_fn(|i| self.stage_dim(3 - i));
        if neck.backbone_channel_list != expected {
            return fail(format!(
                "neck.backbone_channel_list must be {expected:?}, the trunk's channels coarsest first"
            ));
        }
        if neck.d_model % 8 != 0 || neck.d_model % (ATTENTION_DOWNSAMPLE * heads.num_heads) != 0 {
            return fail("neck.d_model must be a multiple of 8 and of twice heads.num_heads".to_owned());
        }
        if quantizer.latent_dim != neck.d_model {
            return fail("quantizer.latent_dim must equal neck.d_model".to_owned());
        }
        Ok(())
    }

    /// One of the published SAM 2.1 sizes (`t`, `s`, `b+`, `l`) with SAMTok's quantizer.
    #[must_use]
    pub fn preset(preset: Preset) -> Self {
        let (name, embed_dim, num_heads, stages, global, windows, grid) = match preset {
            Preset::Tiny => ("sam2.1_hiera_t", 96, 1, [1, 2, 7, 2], [5, 7, 9], [8, 4, 14, 7], 7),
            Preset::Small => (
                "sam2.1_hiera_s",
                96,
                1,
                [1, 2, 11, 2],
                [7, 10, 13],
                [8, 4, 14, 7],
                7,
            ),
            Preset::BasePlus => (
                "sam2.1_hiera_b+",
                112,
                2,
                [2, 3, 16, 3],
                [12, 16, 20],
                [8, 4, 14, 7],
                14,
            ),
            Preset::Large => (
                "sam2.1_hiera_l",
                144,
                2,
                [2, 6, 36, 4],
                [23, 33, 43],
                [8, 4, 16, 8],
                7,
            ),
        };
        Self {
            name: name.to_owned(),
            image_size: 1024,
            trunk: TrunkConfig {
                embed_dim,
                num_heads,
                stages,
                global_att_blocks: global.to_vec(),
                window_pos_embed_bkg_spatial_size: [grid, grid],
                window_spec: windows,
            },
            neck: NeckConfig {
                d_model: 256,
                backbone_channel_list: [embed_dim * 8, embed_dim * 4, embed_dim * 2, embed_dim],
                fpn_top_down_levels: vec![2, 3],
            },
            quantizer: QuantizerConfig {
                codebook_size: 256,
                codebook_depth: 2,
                shared_codebook: false,
                latent_dim: 256,
            },
            heads: HeadsConfig::default(),
            memory: None,
        }
    }

    /// Recognises a published preset from the shapes in a checkpoint, and the codebooks from their tables.
    ///
    /// Returns `None` where the trunk is none of the published ones; such a model needs its `config.json`.
    #[must_use]
    pub fn recognise(checkpoint: &Checkpoint) -> Option<Self> {
        let shape = |name: &str| checkpoint.get(name).map(|info| info.shape.as_slice());
        let trunk = "model.sam2_model.image_encoder.trunk";
        let embed_dim = *shape(&format!("{trunk}.patch_embed.proj.weight"))?.first()?;
        let blocks = (0..1024)
            .take_while(|i| shape(&format!("{trunk}.blocks.{i}.norm1.weight")).is_some())
            .count();
        let mut config = Preset::ALL
            .into_iter()
            .map(Self::preset)
            .find(|c| c.trunk.embed_dim == embed_dim && c.trunk.stages.iter().sum::<usize>() == blocks)?;
        if let Some(&[rows, dim]) = shape("quantizer.codebooks.0.weight") {
            config.quantizer.codebook_size = rows.checked_sub(1)?;
            config.quantizer.latent_dim = dim;
            config.quantizer.codebook_depth = (0..64)
                .take_while(|d| shape(&format!("quantizer.codebooks.{d}.weight")).is_some())
                .count();
        }
        config.check().ok()?;
        Some(config)
    }
}

/// The published SAM 2.1 sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Hiera-T.
    Tiny,
    /// Hiera-S.
    Small,
    /// Hiera-B+.
    BasePlus,
    /// Hiera-L, the one SAMTok is published with.
    Large,
}

impl Preset {
    const ALL: [Self; 4] = [Self::Tiny, Self::Small, Self::BasePlus, Self::Large];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_consistent_and_survive_json() {
        for preset in Preset::ALL {
            let config = Config::preset(preset);
            let json = serde_json::to_vec(&config).unwrap();
            assert_eq!(
                Config::from_json(&json).unwrap(),
                config,
                "{preset:?} must round-trip"
            );
        }
    }

    #[test]
    fn bad_configurations_are_refused_with_the_key_named() {
        let good = serde_json::to_value(Config::preset(Preset::Tiny)).unwrap();
        let cases = [
            ("/image_size", serde_json::json!(1000), "image_size"),
            ("/image_size", serde_json::json!(u64::MAX), "image_size"),
            ("/trunk/embed_dim", serde_json::json!(0), "embed_dim"),
            ("/trunk/stages", serde_json::json!([1, 2, 7]), "length 4"),
            (
                "/trunk/window_spec",
                serde_json::json!([8, 0, 14, 7]),
                "window_spec[1]",
            ),
            (
                "/neck/backbone_channel_list",
                serde_json::json!([1, 2, 3, 4]),
                "backbone_channel_list",
            ),
            ("/quantizer/latent_dim", serde_json::json!(64), "latent_dim"),
            ("/quantizer/codebook_size", serde_json::json!(-1), "invalid value"),
        ];
        for (pointer, value, expected) in cases {
            let mut json = good.clone();
            *json.pointer_mut(pointer).unwrap() = value;
            let error = Config::from_json(json.to_string().as_bytes())
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{pointer}: {error}");
        }
    }

    #[test]
    fn the_name_is_not_part_of_the_fingerprint() {
        let a = Config::preset(Preset::Large);
        let b = Config {
            name: "other".to_owned(),
            ..a.clone()
        };
        assert_eq!(a.fingerprint_json(), b.fingerprint_json());
        let c = Config {
            image_size: 512,
            ..a.clone()
        };
        assert_ne!(a.fingerprint_json(), c.fingerprint_json());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            failure_persistence: None,
            ..proptest::prelude::ProptestConfig::default()
        })]

        /// Whatever a configuration says, it is either refused or within bounds that keep a network's size sane.
        #[test]
        fn hostile_configurations_are_refused_or_bounded(
            edits in proptest::collection::vec((0_usize..600, proptest::num::u8::ANY), 0..6),
            numbers in proptest::collection::vec((0_usize..12, proptest::num::i64::ANY), 0..4),
        ) {
            let mut json = serde_json::to_value(Config::preset(Preset::Tiny)).unwrap();
            let pointers = [
                "/image_size", "/trunk/embed_dim", "/trunk/num_heads", "/trunk/stages/0", "/trunk/window_spec/2",
                "/trunk/global_att_blocks/0", "/neck/d_model", "/quantizer/codebook_size",
                "/quantizer/codebook_depth", "/quantizer/latent_dim", "/heads/num_heads", "/heads/mlp_dim",
            ];
            for (pointer, value) in numbers {
                *json.pointer_mut(pointers[pointer]).unwrap() = value.into();
            }
            let mut bytes = json.to_string().into_bytes();
            for (position, byte) in edits {
                let position = position % bytes.len();
                bytes[position] = byte;
            }
            if let Ok(config) = Config::from_json(&bytes) {
                assert!(config.image_size <= 4096 && config.trunk.embed_dim <= 4096, "{config:?}");
                assert!(config.trunk.stages.iter().all(|blocks| (1..=256).contains(blocks)), "{config:?}");
                assert!(config.quantizer.codebook_size <= 1 << 20, "{config:?}");
            }
        }
    }
}
