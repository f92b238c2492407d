//! The network's parts put together, in tensors: what inference and training share.

use super::Result;
use super::config::Config;
use super::parameters::Scope;
use super::sam2::image_encoder::ImageEncoder;
use super::sam2::mask_decoder::{Candidates, HighResolution, MaskDecoder, MaskPredictions};
use super::sam2::mask_encoder::MaskEncoder;
use super::sam2::prompt_encoder::{PointLabel, PromptEncoder, PromptPoint};
use super::sam2::two_way::ImageKeys;
use candle_core::Tensor;

/// Where SAM 2's weights lie in SAMTok's checkpoints.
pub(crate) const SAM2_PREFIX: &str = "model.sam2_model";

/// Image encoder, prompt encoder, mask encoder and mask decoder of a SAMTok checkpoint.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) image_encoder: ImageEncoder,
    pub(crate) heads: PromptHeads,
    pub(crate) mask_encoder: MaskEncoder,
    no_mem_embed: Tensor,
}

/// What answers prompts on an image embedding: SAMTok's own, or a base SAM 2.1 checkpoint's.
#[derive(Debug)]
pub(crate) struct PromptHeads {
    pub(crate) prompt_encoder: PromptEncoder,
    pub(crate) mask_decoder: MaskDecoder,
    dense_position: std::sync::OnceLock<Tensor>,
    frozen: bool,
}

/// One image's features as one set of heads sees them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ImageView<'a> {
    /// `(1, grid * grid, d_model)`, `no_mem_embed` added.
    pub(crate) features: &'a Tensor,
    /// Strides 4 and 8.
    pub(crate) high_resolution: &'a HighResolution,
}

impl Network {
    pub(crate) fn new(root: &Scope<'_>, config: &Config) -> Result<Self> {
        let scope = root.child(SAM2_PREFIX);
        Ok(Self {
            image_encoder: ImageEncoder::new(&scope.child("image_encoder"), config)?,
            heads: PromptHeads::new(&scope, config)?,
            mask_encoder: MaskEncoder::new(&scope.child("sam_mask_encoder"), config)?,
            no_mem_embed: scope.tensor("no_mem_embed", &[1, 1, config.neck.d_model])?,
        })
    }

    /// The stride-16 neck map `(images, grid, grid, d_model)` as the heads take it: `(images, grid * grid, d_model)`.
    pub(crate) fn head_features(&self, level: &Tensor) -> Result<Tensor> {
        let (images, height, width, dim) = level.dims4()?;
        Ok(level
            .reshape((images, height * width, dim))?
            .broadcast_add(&self.no_mem_embed)?)
    }

    /// Mask prompts `(batch, side, side)` and their boxes (x0 y0 x1 y1 in input pixels) to mask embeddings
    /// `(batch, d_model)`.
    pub(crate) fn encode_masks(
        &self,
        image: ImageView<'_>,
        masks: &Tensor,
        boxes: &[[f32; 4]],
    ) -> Result<Tensor> {
        let prompts: Vec<Vec<PromptPoint>> = boxes
            .iter()
            .map(|[x0, y0, x1, y1]| {
                vec![
                    PromptPoint {
                        x: *x0,
                        y: *y0,
                        label: PointLabel::TopLeft,
                    },
                    PromptPoint {
                        x: *x1,
                        y: *y1,
                        label: PointLabel::BottomRight,
                    },
                    PromptPoint::PADDING,
                ]
            })
            .collect();
        let sparse = self.heads.prompt_encoder.points(&prompts)?;
        let dense = self.heads.prompt_encoder.masks(masks)?;
        let features = dense.broadcast_add(image.features)?;
        let position = self.heads.dense_position()?;
        self.mask_encoder.forward(
            &sparse,
            ImageKeys {
                features: &features,
                position: &position,
            },
        )
    }

    /// Summed codebook rows `(batch, d_model)` to masks.
    pub(crate) fn decode_embeddings(
        &self,
        image: ImageView<'_>,
        embeddings: &Tensor,
        candidates: Candidates,
    ) -> Result<MaskPredictions> {
        let (batch, dim) = embeddings.dims2()?;
        let padding = self.heads.prompt_encoder.padding_token().reshape((1, 1, dim))?;
        let padding = padding.broadcast_as((batch, 2, dim))?.contiguous()?;
        let sparse = Tensor::cat(&[&padding, &embeddings.unsqueeze(1)?], 1)?;
        self.heads.decode(image, &sparse, None, candidates)
    }
}

impl PromptHeads {
    /// `scope` is the one that holds `sam_prompt_encoder` and `sam_mask_decoder`.
    pub(crate) fn new(scope: &Scope<'_>, config: &Config) -> Result<Self> {
        Ok(Self {
            prompt_encoder: PromptEncoder::new(&scope.child("sam_prompt_encoder"), config)?,
            mask_decoder: MaskDecoder::new(&scope.child("sam_mask_decoder"), config)?,
            dense_position: std::sync::OnceLock::new(),
            frozen: scope.fuses(),
        })
    }

    /// Position encoding of the feature grid, `(grid * grid, d_model)`.
    pub(crate) fn dense_position(&self) -> Result<Tensor> {
        if let Some(position) = self.dense_position.get() {
            return Ok(position.clone());
        }
        let position = self.prompt_encoder.dense_position()?;
        Ok(if self.frozen {
            self.dense_position.get_or_init(|| position).clone()
        } else {
            position
        })
    }

    /// Clicks and boxes (equally many points each), with earlier logits `(batch, side, side)` or none.
    pub(crate) fn answer(
        &self,
        image: ImageView<'_>,
        prompts: &[Vec<PromptPoint>],
        logits: Option<&Tensor>,
        candidates: Candidates,
    ) -> Result<MaskPredictions> {
        // As the SAM 2 predictor does: boxes are points too, and a padding point always follows.
        let padded: Vec<Vec<PromptPoint>> = prompts
            .iter()
            .map(|points| points.iter().copied().chain([PromptPoint::PADDING]).collect())
            .collect();
        self.decode(image, &self.prompt_encoder.points(&padded)?, logits, candidates)
    }

    fn decode(
        &self,
        image: ImageView<'_>,
        sparse: &Tensor,
        logits: Option<&Tensor>,
        candidates: Candidates,
    ) -> Result<MaskPredictions> {
        let features = match logits {
            Some(logits) => self.prompt_encoder.masks(logits)?.broadcast_add(image.features)?,
            // The same dense embedding for every prompt: the image side stays shared by the whole batch.
            None => image.features.broadcast_add(self.prompt_encoder.no_mask())?,
        };
        let position = self.dense_position()?;
        let keys = ImageKeys {
            features: &features,
            position: &position,
        };
        self.mask_decoder
            .forward(sparse, keys, image.high_resolution, candidates)
    }
}
