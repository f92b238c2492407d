//! The mask tokenizer: an image and masks become codes, codes become masks, clicks become masks.
//!
//! [`MaskTokenizer::embed_image`] does the expensive part once per image; everything else works in batches against
//! that [`EmbeddedImage`]. This module and what trains it are the only code that sees candle.

pub mod benchmark;
pub mod config;
pub mod device;
pub mod embedded_image;
mod error;
pub mod model;
pub(crate) mod network;
pub(crate) mod ops;
pub(crate) mod parameters;
pub(crate) mod preprocess;
pub(crate) mod quantizer;
pub(crate) mod sam2;
pub mod weights;

#[cfg(test)]
mod golden;

pub use config::Config;
pub use device::{ChosenDevice, DeviceChoice};
pub use embedded_image::EmbeddedImage;
pub use error::TokenizerError;
pub use model::ModelFiles;

use crate::geometry::{ImagePoint, ImageRect, ImageSize};
use crate::image_file::RgbImage;
use crate::mask::{Mask, metrics};
use crate::words::{MaskCodes, WordFormat};
use candle_core::{Device, Tensor};
use network::{ImageView, Network, PromptHeads, SAM2_PREFIX};
use quantizer::ResidualQuantizer;
use rayon::prelude::*;
use sam2::mask_decoder::{Candidates, MaskPredictions};
use sam2::prompt_encoder::{PointLabel, PromptPoint};
use weights::{Checkpoint, Fingerprint};

/// Results of this module.
pub type Result<T> = std::result::Result<T, TokenizerError>;

/// Masks that go through the heads at once: enough to fill the machine, little enough to stay in memory.
const BATCH: usize = 16;

/// A loaded SAMTok model.
#[derive(Debug)]
pub struct MaskTokenizer {
    config: Config,
    format: WordFormat,
    fingerprint: Fingerprint,
    device: Device,
    network: Network,
    quantizer: ResidualQuantizer,
    /// Heads of a base SAM 2.1 checkpoint, which answer prompts better than SAMTok's.
    prompt_heads: Option<PromptHeads>,
}

/// A mask's codes and the embedding they stand for.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedMask {
    /// One code per depth.
    pub codes: MaskCodes,
    /// The mask embedding before quantization, `d_model` values.
    pub embedding: Vec<f32>,
}

/// A mask rebuilt from codes or from a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedMask {
    /// The mask at the image's size.
    pub mask: Mask,
    /// IoU that the network predicts for it.
    pub predicted_iou: f32,
    /// Logit of "there is an object"; below zero the network sees none, which does not change the mask.
    pub object_score: f32,
    /// Mask logits on the network's grid, row-major; the next prompt's starting point.
    pub logits: Vec<f32>,
}

/// Clicks and a box that single out one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// Clicks in image pixels; true means "belongs to the object".
    pub points: Vec<(ImagePoint, bool)>,
    /// A box around the object, in image pixels.
    pub rect: Option<ImageRect>,
    /// Logits of an earlier answer to refine, [`DecodedMask::logits`].
    pub logits: Option<Vec<f32>>,
    /// Whether to return the three candidates of an ambiguous prompt instead of one mask.
    pub multimask: bool,
}

impl Prompt {
    /// One click is ambiguous: SAM 2 answers it with three candidates, anything else with one mask.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.points.len() == 1 && self.rect.is_none() && self.logits.is_none()
    }
}

impl MaskTokenizer {
    /// Loads a model onto a device.
    ///
    /// # Errors
    /// If tensors are missing, of another shape, damaged or not finite.
    pub fn load(files: &ModelFiles, device: &ChosenDevice) -> Result<Self> {
        let loaded = model::load(files, &device.device)?;
        let quantizer = &files.config.quantizer;
        Ok(Self {
            format: WordFormat::new(quantizer.codebook_size as u32, quantizer.codebook_depth as u32)?,
            config: files.config.clone(),
            fingerprint: loaded.fingerprint,
            device: device.device.clone(),
            network: loaded.network,
            quantizer: loaded.quantizer,
            prompt_heads: None,
        })
    }

    /// Uses the prompt encoder and mask decoder of a base SAM 2.1 checkpoint of the same size for prompts.
    ///
    /// Images embedded before this call have to be embedded again before they can be prompted.
    ///
    /// # Errors
    /// If tensors are missing, of another shape, damaged or not finite.
    pub fn load_prompt_heads(&mut self, base: &Checkpoint) -> Result<()> {
        let source = model::CheckpointParameters::new(base, &self.config, &self.device);
        let scope = parameters::Scope::root(&source).child(SAM2_PREFIX);
        self.prompt_heads = Some(PromptHeads::new(&scope, &self.config)?);
        Ok(())
    }

    /// Shape of the network.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// How this model's codes are written as words.
    #[must_use]
    pub fn format(&self) -> WordFormat {
        self.format
    }

    /// Identity of configuration and weights.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Runs the image encoder: the expensive step, once per image.
    ///
    /// # Errors
    /// If the device fails.
    pub fn embed_image(&self, image: &RgbImage) -> Result<EmbeddedImage> {
        let patches = preprocess::image_patches(image, &self.config, &self.device)?;
        let levels = self.network.image_encoder.forward(&patches)?;
        let high_resolution =
            |heads: &PromptHeads| heads.mask_decoder.high_resolution(&levels[0], &levels[1]);
        Ok(EmbeddedImage {
            size: image.size,
            model: self.fingerprint,
            features: self.network.head_features(&levels[2])?,
            high_resolution: high_resolution(&self.network.heads)?,
            prompt_high_resolution: self.prompt_heads.as_ref().map(high_resolution).transpose()?,
        })
    }

    /// Encodes masks of one image: the nearest codebook rows, exactly as the published encoder.
    ///
    /// # Errors
    /// An empty mask, a mask of another size than the image, or an embedding of another model.
    pub fn encode(&self, image: &EmbeddedImage, masks: &[&Mask]) -> Result<Vec<EncodedMask>> {
        self.mask_embeddings(image, masks)?
            .into_iter()
            .map(|embedding| {
                Ok(EncodedMask {
                    codes: self.format.codes(&self.quantizer.encode(&embedding))?,
                    embedding,
                })
            })
            .collect()
    }

    /// Encodes masks by trying the `width` nearest rows at every step and keeping the codes whose decoded mask
    /// agrees best with the input; the plain encoding is always among the candidates.
    ///
    /// # Errors
    /// As [`MaskTokenizer::encode`].
    pub fn encode_searched(
        &self,
        image: &EmbeddedImage,
        masks: &[&Mask],
        width: usize,
    ) -> Result<Vec<(EncodedMask, DecodedMask)>> {
        let mut out = Vec::with_capacity(masks.len());
        for (mask, embedding) in masks.iter().zip(self.mask_embeddings(image, masks)?) {
            let candidates = self
                .quantizer
                .candidates(&embedding, width)
                .iter()
                .map(|codes| Ok(self.format.codes(codes)?))
                .collect::<Result<Vec<_>>>()?;
            let decoded = self.decode(image, &candidates)?;
            let mut best: Option<(f64, EncodedMask, DecodedMask)> = None;
            for (codes, decoded) in candidates.into_iter().zip(decoded) {
                let iou = metrics::iou(mask, &decoded.mask)?;
                if best.as_ref().is_none_or(|(best, ..)| iou > *best) {
                    best = Some((
                        iou,
                        EncodedMask {
                            codes,
                            embedding: embedding.clone(),
                        },
                        decoded,
                    ));
                }
            }
            out.extend(best.map(|(_, encoded, decoded)| (encoded, decoded)));
        }
        Ok(out)
    }

    /// Mask embeddings before quantization, `d_model` values each.
    fn mask_embeddings(&self, image: &EmbeddedImage, masks: &[&Mask]) -> Result<Vec<Vec<f32>>> {
        self.check_image(image)?;
        let side = self.config.logits_size();
        let mut embeddings = Vec::with_capacity(masks.len());
        for batch in masks.chunks(BATCH) {
            if let Some(mask) = batch.iter().find(|mask| mask.size() != image.size) {
                return Err(TokenizerError::MaskSize {
                    mask: mask.size(),
                    image: image.size,
                });
            }
            let boxes = batch
                .iter()
                .map(|mask| preprocess::mask_box(mask, self.config.image_size))
                .collect::<Result<Vec<_>>>()?;
            let prompts: Vec<f32> = batch
                .par_iter()
                .flat_map_iter(|mask| preprocess::mask_prompt(mask, side))
                .collect();
            let prompts = Tensor::from_vec(prompts, (batch.len(), side, side), &self.device)?;
            let view = ImageView {
                features: &image.features,
                high_resolution: &image.high_resolution,
            };
            embeddings.extend(
                self.network
                    .encode_masks(view, &prompts, &boxes)?
                    .to_vec2::<f32>()?,
            );
        }
        Ok(embeddings)
    }

    /// Rebuilds masks from codes, at the image's size.
    ///
    /// A missing code contributes nothing. Of the network's three candidates the one with the highest predicted IoU
    /// is taken.
    ///
    /// # Errors
    /// Codes of another codebook, or an embedding of another model.
    pub fn decode(&self, image: &EmbeddedImage, codes: &[MaskCodes]) -> Result<Vec<DecodedMask>> {
        let mut decoded = Vec::with_capacity(codes.len());
        for batch in codes.chunks(BATCH) {
            let embeddings = batch
                .iter()
                .map(|codes| self.embed_codes(codes))
                .collect::<Result<Vec<_>>>()?;
            let predictions = self.decode_batch(image, embeddings, Candidates::BestOfThree)?;
            let ious = predictions.ious.flatten_all()?.to_vec1::<f32>()?;
            let logits = predictions.logits.flatten_from(1)?.to_vec2::<f32>()?;
            let scores = predictions.object_score.flatten_all()?.to_vec1::<f32>()?;
            let figures: Vec<(f32, f32)> = ious.into_iter().zip(scores).collect();
            let finished = logits
                .into_par_iter()
                .zip(figures)
                .map(|(logits, (iou, score))| self.finish_mask(logits, iou, score, image.size))
                .collect::<Result<Vec<_>>>()?;
            decoded.extend(finished);
        }
        Ok(decoded)
    }

    fn embed_codes(&self, codes: &MaskCodes) -> Result<Vec<f32>> {
        // Codes may come from any text: check them against this model's codebooks, not the text's.
        let codes = self.format.partial_codes(codes.as_slice())?;
        Ok(self.quantizer.embed(codes.iter()))
    }

    fn decode_batch(
        &self,
        image: &EmbeddedImage,
        embeddings: Vec<Vec<f32>>,
        candidates: Candidates,
    ) -> Result<MaskPredictions> {
        self.check_image(image)?;
        let (count, dim) = (embeddings.len(), self.config.neck.d_model);
        let embeddings = Tensor::from_vec(embeddings.concat(), (count, dim), &self.device)?;
        let view = ImageView {
            features: &image.features,
            high_resolution: &image.high_resolution,
        };
        self.network.decode_embeddings(view, &embeddings, candidates)
    }

    /// Answers a prompt: three candidates if asked for (in the network's order), otherwise one mask.
    ///
    /// # Errors
    /// An empty prompt, logits of another size, or an embedding of another model.
    pub fn segment(&self, image: &EmbeddedImage, prompt: &Prompt) -> Result<Vec<DecodedMask>> {
        self.check_image(image)?;
        let (heads, high_resolution) = match (&self.prompt_heads, &image.prompt_high_resolution) {
            (Some(heads), Some(high_resolution)) => (heads, high_resolution),
            (Some(_), None) => {
                return Err(TokenizerError::Embedding {
                    reason: "the image was embedded before the prompt heads were loaded; embed it again",
                });
            }
            (None, _) => (&self.network.heads, &image.high_resolution),
        };
        let points = self.prompt_points(prompt, image.size)?;
        let side = self.config.logits_size();
        let logits = match &prompt.logits {
            Some(logits) if logits.len() == side * side => {
                Some(Tensor::from_slice(logits, (1, side, side), &self.device)?)
            }
            Some(_) => {
                return Err(TokenizerError::Embedding {
                    reason: "the earlier logits are of another model",
                });
            }
            None => None,
        };
        let view = ImageView {
            features: &image.features,
            high_resolution,
        };
        let candidates = if prompt.multimask {
            Candidates::Three
        } else {
            Candidates::Single
        };
        let predictions = heads.answer(view, &[points], logits.as_ref(), candidates)?;
        let ious = predictions.ious.get(0)?.to_vec1::<f32>()?;
        let score = predictions
            .object_score
            .flatten_all()?
            .get(0)?
            .to_scalar::<f32>()?;
        let logits = predictions.logits.get(0)?;
        ious.into_iter()
            .enumerate()
            .map(|(i, iou)| {
                self.finish_mask(logits.get(i)?.flatten_all()?.to_vec1()?, iou, score, image.size)
            })
            .collect()
    }

    /// A prompt's box corners and clicks in pixels of the network's input.
    fn prompt_points(&self, prompt: &Prompt, size: ImageSize) -> Result<Vec<PromptPoint>> {
        let side = self.config.image_size as f32;
        let point = |x: f32, y: f32, label| PromptPoint {
            x: x / size.width as f32 * side,
            y: y / size.height as f32 * side,
            label,
        };
        let corners = prompt.rect.iter().flat_map(|rect| {
            [
                point(rect.x0, rect.y0, PointLabel::TopLeft),
                point(rect.x1, rect.y1, PointLabel::BottomRight),
            ]
        });
        let clicks = prompt.points.iter().map(|(at, positive)| {
            point(
                at.x,
                at.y,
                if *positive {
                    PointLabel::Positive
                } else {
                    PointLabel::Negative
                },
            )
        });
        let points: Vec<PromptPoint> = corners.chain(clicks).collect();
        if points.is_empty() && prompt.logits.is_none() {
            return Err(TokenizerError::EmptyPrompt);
        }
        Ok(points)
    }

    fn finish_mask(
        &self,
        logits: Vec<f32>,
        predicted_iou: f32,
        object_score: f32,
        size: ImageSize,
    ) -> Result<DecodedMask> {
        let mask = preprocess::mask_from_logits(&logits, self.config.logits_size(), size)?;
        // The SAM 2 predictor clamps logits so that they stay a usable prompt.
        let logits = logits.into_iter().map(|v| v.clamp(-32.0, 32.0)).collect();
        Ok(DecodedMask {
            mask,
            predicted_iou,
            object_score,
            logits,
        })
    }

    fn check_image(&self, image: &EmbeddedImage) -> Result<()> {
        if image.model == self.fingerprint {
            Ok(())
        } else {
            Err(TokenizerError::OtherModel {
                image: image.model.short(),
                model: self.fingerprint.short(),
            })
        }
    }
}
