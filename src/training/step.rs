//! One step: images through the encoder, masks through words and back, the same masks from prompts, and the update.

use super::auxiliary::Readouts;
use super::codebook::Quantized;
use super::loss::{MaskLoss, PublishedLoss, mask_loss, published_loss};
use super::prompts::{PromptPlan, correction, first_points};
use super::samples::{MaskSample, Sample};
use super::{StepReport, Trainer};
use crate::scenes::random::Rng;
use crate::tokenizer::network::ImageView;
use crate::tokenizer::sam2::mask_decoder::{Candidates, HighResolution, MaskPredictions};
use crate::tokenizer::sam2::prompt_encoder::PromptPoint;
use crate::tokenizer::{Result, preprocess};
use candle_core::Tensor;
use std::time::Duration;

const COMMITMENT_WEIGHT: f64 = 0.25;
const PROMPT_WEIGHT: f64 = 0.5;
const READOUT_WEIGHT: f64 = 0.5;
/// Final learning rate as a share of the peak.
const FINAL_SHARE: f64 = 0.02;

/// What masks should come out, as coverage 0..1.
#[derive(Debug)]
pub(super) struct Targets {
    /// On the logits' grid, `(masks, pixels)`.
    pub(super) fine: Tensor,
    /// On the feature grid, `(masks, cells)`.
    pub(super) coarse: Tensor,
}

/// What a step's loss came to.
struct StepLosses {
    total: Tensor,
    ious: Vec<f32>,
    prompt_ious: Vec<f32>,
    codes: Discretised,
}

/// Mask embeddings after the codebooks.
#[derive(Debug)]
pub(super) struct Discretised {
    /// What the decoder sees; the gradient passes straight through to the embeddings.
    decoder_input: Tensor,
    /// Weighted mean distance of the embeddings to their codes; 0 before the codebooks start.
    pub(super) commitment: Tensor,
    /// The codes, once the codebooks have started.
    pub(super) quantized: Option<Quantized>,
    /// The embeddings themselves, `batch x d_model`.
    values: Vec<f32>,
}

/// Masks through words and back by the published loss.
#[derive(Debug)]
pub(super) struct Reproduction {
    pub(super) loss: PublishedLoss,
    /// `(masks, 1, rows, columns)`.
    #[cfg_attr(not(test), expect(dead_code, reason = "compared with the reference in tests"))]
    pub(super) logits: Tensor,
    pub(super) codes: Discretised,
}

impl Reproduction {
    pub(super) fn total(&self) -> Result<Tensor> {
        Ok(((&self.loss.bce + &self.loss.dice)? + &self.codes.commitment)?)
    }
}

impl Trainer {
    fn learning_rate(&self) -> f64 {
        let total = self.options.steps as f64;
        let warmup_share = self.options.objective.warmup_share();
        let (step, warmup) = (self.steps as f64, (total * warmup_share).max(1.0));
        let share = if step < warmup {
            (step + 1.0) / warmup
        } else {
            let progress = (step - warmup) / (total - warmup).max(1.0);
            FINAL_SHARE + (1.0 - FINAL_SHARE) * 0.5 * (1.0 + (progress * std::f64::consts::PI).cos())
        };
        self.options.learning_rate * share
    }

    pub(super) fn step(&mut self, samples: &[Sample]) -> Result<StepReport> {
        let mut rng = Rng::new(self.options.seed.rotate_left(17) ^ self.steps);
        if !self.codebooks.started && self.steps >= self.options.codebook_start() {
            self.codebooks.start(&mut rng);
        }
        let masks: Vec<&MaskSample> = samples.iter().flat_map(|s| &s.masks).collect();
        let losses = match &self.readouts {
            Some(readouts) => self.generated(readouts, samples, &masks, &mut rng)?,
            None => {
                let reproduction = self.reproduce(samples, &masks)?;
                StepLosses {
                    total: reproduction.total()?,
                    ious: reproduction.loss.ious,
                    prompt_ious: Vec::new(),
                    codes: reproduction.codes,
                }
            }
        };
        let learning_rate = self.learning_rate();
        let gradient_norm = self.optimizer.step(&losses.total.backward()?, learning_rate)?;
        self.steps += 1;
        // A step that is skipped leaves no trace: what came of values that are not finite never reaches a checkpoint.
        if gradient_norm.is_some() {
            match &losses.codes.quantized {
                Some(quantized) => self.codebooks.update(quantized, &mut rng),
                None => self.codebooks.remember(&losses.codes.values),
            }
        }
        let by_size = |low: f32, high: f32| {
            let of_size = masks.iter().zip(&losses.ious).filter(|(mask, _)| {
                let share = mask.share();
                (low..high).contains(&share)
            });
            mean(&of_size.map(|(_, iou)| *iou).collect::<Vec<_>>())
        };
        Ok(StepReport {
            step: self.steps,
            loss: losses.total.to_scalar::<f32>()?,
            iou: mean(&losses.ious),
            iou_by_size: [by_size(0.0, 0.01), by_size(0.01, 0.08), by_size(0.08, 2.0)],
            prompt_iou: mean(&losses.prompt_ious),
            learning_rate,
            gradient_norm,
            images: samples.len(),
            masks: masks.len(),
            elapsed: Duration::ZERO,
            saved: false,
        })
    }

    /// Words and prompts together, with readouts.
    fn generated(
        &self,
        readouts: &Readouts,
        samples: &[Sample],
        masks: &[&MaskSample],
        rng: &mut Rng,
    ) -> Result<StepLosses> {
        let per_image = masks.len() / samples.len();
        let (features, maps) = self.embed(samples, per_image)?;
        let targets = self.targets(masks)?;
        let (rebuilt, codes) = self.rebuild(readouts, view(&features, &maps), masks, &targets)?;
        // Words are the harder task: only every second image answers prompts too.
        let asked = samples.len().div_ceil(2) * per_image;
        let (features, maps) = (
            features.narrow(0, 0, asked)?,
            HighResolution {
                stride4: maps.stride4.narrow(0, 0, asked)?,
                stride8: maps.stride8.narrow(0, 0, asked)?,
            },
        );
        let view = view(&features, &maps);
        let prompted = self.prompt(view, &masks[..asked], rng)?;
        let prompted = compare(readouts, &prompted, &targets.first(asked)?)?;
        Ok(StepLosses {
            total: (rebuilt.total + (prompted.total * PROMPT_WEIGHT)?)?,
            ious: rebuilt.ious,
            prompt_ious: prompted.ious,
            codes,
        })
    }

    /// Masks through words and back as the published models learned it.
    pub(super) fn reproduce(&self, samples: &[Sample], masks: &[&MaskSample]) -> Result<Reproduction> {
        let (features, maps) = self.embed(samples, masks.len() / samples.len())?;
        let view = view(&features, &maps);
        let side = self.options.config.logits_size();
        let prompts = self.grid(masks, side, |mask| &mask.coverage)?;
        let codes = self.discretise(self.embed_masks(view, masks, &prompts)?)?;
        let predictions =
            self.network
                .decode_embeddings(view, &codes.decoder_input, Candidates::BestOfThree)?;
        let targets = self.grid(masks, side, |mask| &mask.nearest)?;
        Ok(Reproduction {
            loss: published_loss(&predictions.logits.flatten_from(1)?, &targets)?,
            logits: predictions.logits,
            codes,
        })
    }

    /// Encodes every image once and repeats its features for each of its masks.
    fn embed(&self, samples: &[Sample], per_image: usize) -> Result<(Tensor, HighResolution)> {
        let pixels: Vec<&[f32]> = samples.iter().map(|s| s.pixels.as_slice()).collect();
        let patches = preprocess::patches(&pixels, self.options.config.image_size, &self.device)?;
        let levels = self.network.image_encoder.forward(&patches)?;
        let features = self.network.head_features(&levels[2])?;
        let decoder = &self.network.heads.mask_decoder;
        let maps = decoder.high_resolution(&levels[0], &levels[1])?;
        Ok((
            each_repeated(&features, per_image)?,
            HighResolution {
                stride4: each_repeated(&maps.stride4, per_image)?,
                stride8: each_repeated(&maps.stride8, per_image)?,
            },
        ))
    }

    pub(super) fn targets(&self, masks: &[&MaskSample]) -> Result<Targets> {
        let config = &self.options.config;
        Ok(Targets {
            fine: self.grid(masks, config.logits_size(), |mask| &mask.coverage)?,
            coarse: self.grid(masks, config.grid(), |mask| &mask.coarse)?,
        })
    }

    /// One kind of values of all masks, `(masks, side * side)`.
    fn grid(
        &self,
        masks: &[&MaskSample],
        side: usize,
        values: impl Fn(&MaskSample) -> &[f32],
    ) -> Result<Tensor> {
        let all = masks
            .iter()
            .flat_map(|mask| values(mask).iter().copied())
            .collect();
        Ok(Tensor::from_vec(all, (masks.len(), side * side), &self.device)?)
    }

    /// Mask prompts `(masks, pixels)` to embeddings.
    fn embed_masks(&self, view: ImageView<'_>, masks: &[&MaskSample], prompts: &Tensor) -> Result<Tensor> {
        let side = self.options.config.logits_size();
        let boxes: Vec<[f32; 4]> = masks.iter().map(|m| m.rect).collect();
        let prompts = prompts.reshape((masks.len(), side, side))?;
        self.network.encode_masks(view, &prompts, &boxes)
    }

    /// Embeddings through the codebooks, if those have started.
    fn discretise(&self, embeddings: Tensor) -> Result<Discretised> {
        let values = embeddings.detach().flatten_all()?.to_vec1::<f32>()?;
        let mut commitment = Tensor::zeros((), embeddings.dtype(), &self.device)?;
        if !self.codebooks.started {
            return Ok(Discretised {
                decoder_input: embeddings,
                commitment,
                quantized: None,
                values,
            });
        }
        let quantized = self.codebooks.quantize(&values);
        let weight = COMMITMENT_WEIGHT / quantized.partial_sums.len() as f64;
        let mut sum = embeddings.detach();
        for partial in &quantized.partial_sums {
            sum = Tensor::from_slice(partial, embeddings.shape(), &self.device)?;
            commitment = (commitment + ((&embeddings - &sum)?.sqr()?.mean_all()? * weight)?)?;
        }
        Ok(Discretised {
            // Straight through: the decoder sees the codes, the gradient passes to the embedding.
            decoder_input: (&embeddings + (sum - embeddings.detach())?)?,
            commitment,
            quantized: Some(quantized),
            values,
        })
    }

    /// Masks through embedding and codes and back.
    fn rebuild(
        &self,
        readouts: &Readouts,
        view: ImageView<'_>,
        masks: &[&MaskSample],
        targets: &Targets,
    ) -> Result<(MaskLoss, Discretised)> {
        let embeddings = self.embed_masks(view, masks, &targets.fine)?;
        let readout = (readouts.embedding_loss(&embeddings, &targets.coarse)? * READOUT_WEIGHT)?;
        let codes = self.discretise(embeddings)?;
        let predictions = self
            .network
            .decode_embeddings(view, &codes.decoder_input, Candidates::Three)?;
        let loss = compare(readouts, &predictions, targets)?;
        let total = ((loss.total + readout)? + &codes.commitment)?;
        Ok((MaskLoss { total, ..loss }, codes))
    }

    /// The same masks from prompts; all masks of a step get the same kind.
    fn prompt(&self, view: ImageView<'_>, masks: &[&MaskSample], rng: &mut Rng) -> Result<MaskPredictions> {
        let plan = PromptPlan::random(rng);
        let image_size = self.options.config.image_size;
        let mut points: Vec<Vec<PromptPoint>> = masks
            .iter()
            .map(|mask| first_points(mask, plan, image_size, rng))
            .collect();
        let heads = &self.network.heads;
        let mut earlier: Option<Tensor> = None;
        for round in 0..plan.corrections {
            // Only the last answer is improved; those on the way show where the mistakes are.
            let candidates = if plan.is_ambiguous(round) {
                Candidates::BestOfThree
            } else {
                Candidates::Single
            };
            let answer = heads.answer(view, &points, earlier.as_ref(), candidates)?;
            let logits = answer.logits.detach().squeeze(1)?;
            let values = logits.flatten_all()?.to_vec1::<f32>()?;
            let pixels = values.len() / masks.len();
            for ((points, mask), logits) in points.iter_mut().zip(masks).zip(values.chunks_exact(pixels)) {
                points.push(correction(mask, logits, image_size, rng));
            }
            earlier = Some(logits);
        }
        let candidates = if plan.is_ambiguous(plan.corrections) {
            Candidates::Three
        } else {
            Candidates::Single
        };
        heads.answer(view, &points, earlier.as_ref(), candidates)
    }
}

/// The loss of what the decoder predicted.
fn compare(readouts: &Readouts, predictions: &MaskPredictions, targets: &Targets) -> Result<MaskLoss> {
    let readout = readouts.feature_loss(&predictions.features, &targets.coarse)?;
    let logits = predictions.logits.flatten_from(2)?;
    let masks = mask_loss(&logits, &predictions.ious, &targets.fine)?;
    Ok(MaskLoss {
        total: (masks.total + (readout * READOUT_WEIGHT)?)?,
        ..masks
    })
}

impl Targets {
    fn first(&self, count: usize) -> Result<Self> {
        Ok(Self {
            fine: self.fine.narrow(0, 0, count)?,
            coarse: self.coarse.narrow(0, 0, count)?,
        })
    }
}

fn view<'a>(features: &'a Tensor, high_resolution: &'a HighResolution) -> ImageView<'a> {
    ImageView {
        features,
        high_resolution,
    }
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

/// `(images, rows, columns)` to `(images * count, rows, columns)`, every image `count` times in a row.
fn each_repeated(x: &Tensor, count: usize) -> Result<Tensor> {
    let (images, rows, columns) = x.dims3()?;
    Ok(x.unsqueeze(1)?
        .broadcast_as((images, count, rows, columns))?
        .contiguous()?
        .reshape((images * count, rows, columns))?)
}
