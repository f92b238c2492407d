//! One step: images through the encoder, masks through words and back, the same masks from prompts, and the update.

use super::auxiliary::Readouts;
use super::loss::{MaskLoss, mask_loss};
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
const WARMUP_SHARE: f64 = 0.03;
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

impl Trainer {
    fn learning_rate(&self) -> f64 {
        let total = self.options.steps as f64;
        let (step, warmup) = (self.optimizer.steps() as f64, (total * WARMUP_SHARE).max(1.0));
        let share = if step < warmup {
            (step + 1.0) / warmup
        } else {
            let progress = (step - warmup) / (total - warmup).max(1.0);
            FINAL_SHARE + (1.0 - FINAL_SHARE) * 0.5 * (1.0 + (progress * std::f64::consts::PI).cos())
        };
        self.options.learning_rate * share
    }

    pub(super) fn step(&mut self, samples: &[Sample]) -> Result<StepReport> {
        let step = self.optimizer.steps();
        let mut rng = Rng::new(self.options.seed.rotate_left(17) ^ step);
        if !self.codebooks.started && step >= self.options.codebook_start {
            self.codebooks.start(&mut rng);
        }
        let masks: Vec<&MaskSample> = samples.iter().flat_map(|s| &s.masks).collect();
        let per_image = masks.len() / samples.len();
        let (features, maps) = self.embed(samples, per_image)?;
        let targets = self.targets(&masks)?;
        let rebuilt = self.rebuild(view(&features, &maps), &masks, &targets, &mut rng)?;
        // Words are the harder task: only every second image answers prompts too.
        let asked = samples.len().div_ceil(2) * per_image;
        let (features, maps) = (
            features.narrow(0, 0, asked)?,
            HighResolution {
                stride4: maps.stride4.narrow(0, 0, asked)?,
                stride8: maps.stride8.narrow(0, 0, asked)?,
            },
        );
        let prompted = self.prompt(
            view(&features, &maps),
            &masks[..asked],
            &targets.first(asked)?,
            &mut rng,
        )?;
        let total = (rebuilt.total + (prompted.total * PROMPT_WEIGHT)?)?;
        let learning_rate = self.learning_rate();
        let grads = total.backward()?;
        let gradient_norm = self.optimizer.step(&grads, learning_rate)?;
        let by_size = |low: f32, high: f32| {
            let of_size = masks.iter().zip(&rebuilt.ious).filter(|(mask, _)| {
                let share = mask.share();
                (low..high).contains(&share)
            });
            mean(&of_size.map(|(_, iou)| *iou).collect::<Vec<_>>())
        };
        Ok(StepReport {
            step: step + 1,
            loss: total.to_scalar::<f32>()?,
            iou: mean(&rebuilt.ious),
            iou_by_size: [by_size(0.0, 0.01), by_size(0.01, 0.08), by_size(0.08, 2.0)],
            prompt_iou: mean(&prompted.ious),
            learning_rate,
            gradient_norm,
            elapsed: Duration::ZERO,
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
        let grid = |values: Vec<f32>, side: usize| {
            Tensor::from_vec(values, (masks.len(), side * side), &self.device)
        };
        let config = &self.options.config;
        Ok(Targets {
            fine: grid(
                masks.iter().flat_map(|m| m.coverage.iter().copied()).collect(),
                config.logits_size(),
            )?,
            coarse: grid(
                masks.iter().flat_map(|m| m.coarse.iter().copied()).collect(),
                config.grid(),
            )?,
        })
    }

    /// Masks through embedding and codes and back.
    fn rebuild(
        &mut self,
        view: ImageView<'_>,
        masks: &[&MaskSample],
        targets: &Targets,
        rng: &mut Rng,
    ) -> Result<MaskLoss> {
        let side = self.options.config.logits_size();
        let boxes: Vec<[f32; 4]> = masks.iter().map(|m| m.rect).collect();
        let prompts = targets.fine.reshape((masks.len(), side, side))?;
        let embeddings = self.network.encode_masks(view, &prompts, &boxes)?;
        let values = embeddings.detach().flatten_all()?.to_vec1::<f32>()?;
        if !self.codebooks.started {
            self.codebooks.remember(&values);
        }
        let mut extra = (self.readouts.embedding_loss(&embeddings, &targets.coarse)? * READOUT_WEIGHT)?;
        let decoder_input = if self.codebooks.started {
            let quantized = self.codebooks.quantize(&values, rng);
            let depths = quantized.partial_sums.len() as f64;
            let mut sum = embeddings.detach();
            for partial in quantized.partial_sums {
                sum = Tensor::from_vec(partial, embeddings.shape(), &self.device)?;
                let commitment = (&embeddings - &sum)?.sqr()?.mean_all()?;
                extra = (extra + (commitment * (COMMITMENT_WEIGHT / depths))?)?;
            }
            // Straight through: the decoder sees the codes, the gradient passes to the embedding.
            (&embeddings + (sum - embeddings.detach())?)?
        } else {
            embeddings
        };
        let predictions = self
            .network
            .decode_embeddings(view, &decoder_input, Candidates::Three)?;
        let loss = compare(&self.readouts, &predictions, targets)?;
        Ok(MaskLoss {
            total: (loss.total + extra)?,
            ..loss
        })
    }

    /// The same masks from prompts; all masks of a step get the same kind.
    fn prompt(
        &self,
        view: ImageView<'_>,
        masks: &[&MaskSample],
        targets: &Targets,
        rng: &mut Rng,
    ) -> Result<MaskLoss> {
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
        let predictions = heads.answer(view, &points, earlier.as_ref(), candidates)?;
        compare(&self.readouts, &predictions, targets)
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
