//! Trains a SAMTok network from scratch on generated scenes.
//!
//! One step encodes a few images, and for each of them several masks: mask to embedding, embedding to codes
//! (straight through), codes to mask; and the same masks again from clicks and boxes, so that one small model both
//! tokenizes and answers prompts. Embeddings stay continuous at first; then k-means places the codebooks and
//! averages move them.

mod codebook;
mod loss;
mod optimizer;
mod samples;
mod state;
mod variables;

use crate::scenes::random::Rng;
use crate::tokenizer::network::{ImageView, Network};
use crate::tokenizer::parameters::Scope;
use crate::tokenizer::sam2::mask_decoder::HighResolution;
use crate::tokenizer::sam2::prompt_encoder::{PointLabel, PromptPoint};
use crate::tokenizer::{ChosenDevice, Config, ModelFiles, Result, preprocess};
use candle_core::{Device, Tensor};
use codebook::Codebooks;
use loss::mask_loss;
use optimizer::AdamW;
use samples::{MaskSample, Sample, Scenes};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use variables::Variables;

pub use state::TrainingError;

const COMMITMENT_WEIGHT: f64 = 0.25;
const PROMPT_WEIGHT: f64 = 1.0;
const WARMUP_SHARE: f64 = 0.03;
/// Final learning rate as a share of the peak.
const FINAL_SHARE: f64 = 0.02;

/// What to train and how long.
#[derive(Clone, Debug)]
pub struct TrainingOptions {
    /// Shape of the network.
    pub config: Config,
    /// Decides the first weights, the scenes and the prompts.
    pub seed: u64,
    /// Optimizer steps of the whole run.
    pub steps: u64,
    /// Images per step.
    pub images: usize,
    /// Masks per image.
    pub masks: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Step at which the codebooks start.
    pub codebook_start: u64,
    /// Where model and checkpoint are written.
    pub out: PathBuf,
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// Continue from the checkpoint in `out`.
    pub resume: bool,
    /// Model to start from instead of random weights; it may be made for another image size.
    pub init: Option<PathBuf>,
}

/// What one step measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Number of the step, from 1.
    pub step: u64,
    /// Sum of all losses.
    pub loss: f32,
    /// Mean IoU of masks rebuilt from codes, on the logits' grid.
    pub iou: f32,
    /// Mean IoU of masks from prompts, on the logits' grid.
    pub prompt_iou: f32,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Norm of the gradient before clipping; `None` where the step was skipped because it was not finite.
    pub gradient_norm: Option<f64>,
    /// Time since training started or resumed.
    pub elapsed: Duration,
}

/// Everything that changes in training.
#[derive(Debug)]
struct Trainer {
    options: TrainingOptions,
    variables: Variables,
    network: Network,
    optimizer: AdamW,
    codebooks: Codebooks,
    device: Device,
}

/// Steps in a row with a gradient that is not finite before training gives up.
const MAX_SKIPPED: u32 = 20;

/// Trains until the last step or until `observe` answers false, then writes model and checkpoint.
///
/// # Errors
/// If the device or the disk fails, a checkpoint does not fit, or the loss stops being finite; the last good
/// checkpoint stays.
pub fn train(
    options: TrainingOptions,
    device: &ChosenDevice,
    mut observe: impl FnMut(&StepReport) -> bool,
) -> std::result::Result<(), TrainingError> {
    let mut trainer = Trainer::new(options, device.device.clone())?;
    if trainer.options.resume {
        trainer.restore()?;
    }
    let options = trainer.options.clone();
    let first_step = trainer.optimizer.steps();
    let scenes = Scenes::start(
        options.config.clone(),
        options.seed,
        first_step * options.images as u64,
        options.masks,
    )?;
    let started = Instant::now();
    let (mut saved, mut skipped) = (Instant::now(), 0);
    while trainer.optimizer.steps() < options.steps {
        let samples = (0..options.images)
            .map(|_| {
                scenes
                    .next()
                    .ok_or(TrainingError::Generator)?
                    .map_err(TrainingError::from)
            })
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let report = StepReport {
            elapsed: started.elapsed(),
            ..trainer.step(&samples)?
        };
        if report.gradient_norm.is_none() {
            skipped += 1;
            if skipped == MAX_SKIPPED {
                return Err(TrainingError::Diverged { step: report.step });
            }
        } else {
            skipped = 0;
        }
        let go_on = observe(&report);
        if saved.elapsed() >= options.checkpoint_every {
            trainer.save()?;
            saved = Instant::now();
        }
        if !go_on {
            break;
        }
    }
    trainer.save()
}

impl Trainer {
    fn new(options: TrainingOptions, device: Device) -> Result<Self> {
        let variables = Variables::new(device.clone(), options.seed);
        if let Some(path) = &options.init {
            variables.preset_all(&ModelFiles::open(path)?.checkpoint, &options.config)?;
        }
        let network = Network::new(&Scope::root(&variables), &options.config)?;
        let optimizer = AdamW::new(&variables, 0.05, 1.0)?;
        let quantizer = &options.config.quantizer;
        let codebooks = Codebooks::new(
            quantizer.codebook_size,
            quantizer.codebook_depth,
            quantizer.latent_dim,
        );
        Ok(Self {
            options,
            variables,
            network,
            optimizer,
            codebooks,
            device,
        })
    }

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

    fn step(&mut self, samples: &[Sample]) -> Result<StepReport> {
        let config = &self.options.config;
        let step = self.optimizer.steps();
        let mut rng = Rng::new(self.options.seed.rotate_left(17) ^ step);
        if !self.codebooks.started && step >= self.options.codebook_start {
            self.codebooks.start(&mut rng);
        }
        let pixels: Vec<&[f32]> = samples.iter().map(|s| s.pixels.as_slice()).collect();
        let patches = preprocess::patches(&pixels, config.image_size, &self.device)?;
        let levels = self.network.image_encoder.forward(&patches)?;
        let features = self.network.head_features(&levels[2])?;
        let maps = self
            .network
            .heads
            .mask_decoder
            .high_resolution(&levels[0], &levels[1])?;
        let mut total = Tensor::zeros((), candle_core::DType::F32, &self.device)?;
        let (mut iou, mut prompt_iou) = (0.0, 0.0);
        for (i, sample) in samples.iter().enumerate() {
            let features = features.narrow(0, i, 1)?;
            let high_resolution = HighResolution {
                stride4: maps.stride4.narrow(0, i, 1)?,
                stride8: maps.stride8.narrow(0, i, 1)?,
            };
            let view = ImageView {
                features: &features,
                high_resolution: &high_resolution,
            };
            let targets = self.targets(&sample.masks)?;
            let (rebuilt, commitment) = self.rebuild(view, &sample.masks, &targets, &mut rng)?;
            iou += rebuilt.iou / samples.len() as f32;
            total = (total + rebuilt.total)?;
            // Words are the harder task: every second image answers prompts too.
            if i % 2 == 0 {
                let prompted = self.prompt(view, &sample.masks, &targets, &mut rng)?;
                prompt_iou += prompted.iou / samples.len().div_ceil(2) as f32;
                total = (total + (prompted.total * PROMPT_WEIGHT)?)?;
            }
            if let Some(commitment) = commitment {
                total = (total + (commitment * COMMITMENT_WEIGHT)?)?;
            }
        }
        let total = (total / samples.len() as f64)?;
        let learning_rate = self.learning_rate();
        let grads = total.backward()?;
        let gradient_norm = self.optimizer.step(&grads, learning_rate)?;
        Ok(StepReport {
            step: step + 1,
            loss: total.to_scalar::<f32>()?,
            iou,
            prompt_iou,
            learning_rate,
            gradient_norm,
            elapsed: Duration::ZERO,
        })
    }

    /// Coverage of the masks on the logits' grid, `(masks, pixels)`.
    fn targets(&self, masks: &[MaskSample]) -> Result<Tensor> {
        let side = self.options.config.logits_size();
        let values: Vec<f32> = masks.iter().flat_map(|m| m.coverage.iter().copied()).collect();
        Ok(Tensor::from_vec(
            values,
            (masks.len(), side * side),
            &self.device,
        )?)
    }

    /// Masks through embedding and codes and back; the commitment loss once there are codes.
    fn rebuild(
        &mut self,
        view: ImageView<'_>,
        masks: &[MaskSample],
        targets: &Tensor,
        rng: &mut Rng,
    ) -> Result<(loss::MaskLoss, Option<Tensor>)> {
        let side = self.options.config.logits_size();
        let boxes: Vec<[f32; 4]> = masks.iter().map(|m| m.rect).collect();
        let prompts = targets.reshape((masks.len(), side, side))?;
        let embeddings = self.network.encode_masks(view, &prompts, &boxes)?;
        let values = embeddings.detach().flatten_all()?.to_vec1::<f32>()?;
        if !self.codebooks.started {
            self.codebooks.remember(&values);
        }
        let (decoder_input, commitment) = if self.codebooks.started {
            let quantized = self.codebooks.quantize(&values, rng);
            let depths = quantized.partial_sums.len() as f64;
            let mut commitment = Tensor::zeros((), candle_core::DType::F32, &self.device)?;
            let mut sum = embeddings.detach();
            for partial in quantized.partial_sums {
                sum = Tensor::from_vec(partial, embeddings.shape(), &self.device)?;
                commitment = (commitment + (&embeddings - &sum)?.sqr()?.mean_all()?)?;
            }
            // Straight through: the decoder sees the codes, the gradient passes to the embedding.
            let straight = (&embeddings + (sum - embeddings.detach())?)?;
            (straight, Some((commitment / depths)?))
        } else {
            (embeddings, None)
        };
        let predictions = self.network.decode_embeddings(view, &decoder_input)?;
        let logits = predictions.logits.flatten_from(2)?;
        Ok((mask_loss(&logits, &predictions.ious, targets)?, commitment))
    }

    /// The same masks from clicks or boxes; all masks of an image get the same kind of prompt.
    fn prompt(
        &self,
        view: ImageView<'_>,
        masks: &[MaskSample],
        targets: &Tensor,
        rng: &mut Rng,
    ) -> Result<loss::MaskLoss> {
        // (clicks, box, three candidates); one click is ambiguous and gets three.
        let (clicks, boxed, multimask) = match rng.weighted(&[35.0, 10.0, 10.0, 10.0, 20.0, 15.0]) {
            0 => (1, false, true),
            1 => (2, false, false),
            2 => (3, false, false),
            3 => (5, false, false),
            4 => (0, true, false),
            _ => (1 + rng.int(0, 1), true, false),
        };
        let points: Vec<Vec<PromptPoint>> = masks
            .iter()
            .map(|mask| prompt_points(mask, clicks, boxed, self.options.config.image_size, rng))
            .collect();
        let predictions = self.network.heads.answer(view, &points, None, multimask)?;
        mask_loss(&predictions.logits.flatten_from(2)?, &predictions.ious, targets)
    }
}

/// A box that is a little off, and clicks: the first inside, later ones as likely outside.
fn prompt_points(
    mask: &MaskSample,
    clicks: usize,
    boxed: bool,
    image_size: usize,
    rng: &mut Rng,
) -> Vec<PromptPoint> {
    let mut points = Vec::new();
    if boxed {
        let [x0, y0, x1, y1] = mask.rect;
        let (dx, dy) = (0.05 * (x1 - x0) + 1.0, 0.05 * (y1 - y0) + 1.0);
        let mut corner = |x: f32, y: f32, label| {
            let limit = image_size as f32 - 1.0;
            let (x, y) = (x + dx * rng.range(-1.0, 1.0), y + dy * rng.range(-1.0, 1.0));
            PromptPoint {
                x: x.clamp(0.0, limit),
                y: y.clamp(0.0, limit),
                label,
            }
        };
        points.push(corner(x0, y0, PointLabel::TopLeft));
        points.push(corner(x1, y1, PointLabel::BottomRight));
    }
    for click in 0..clicks {
        let outside = click > 0 && !mask.outside.is_empty() && rng.chance(0.5);
        let (list, label) = if outside {
            (&mask.outside, PointLabel::Negative)
        } else {
            (&mask.inside, PointLabel::Positive)
        };
        let [x, y] = list[click % list.len()];
        points.push(PromptPoint { x, y, label });
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::model::layout;

    /// A network small enough to differentiate numerically.
    fn small_config() -> Config {
        let json = serde_json::json!({
            "name": "small", "image_size": 64,
            "trunk": {
                "embed_dim": 8, "num_heads": 1, "stages": [1, 1, 2, 1], "global_att_blocks": [2],
                "window_pos_embed_bkg_spatial_size": [7, 7], "window_spec": [8, 4, 4, 2]
            },
            "neck": {"d_model": 16, "backbone_channel_list": [64, 32, 16, 8], "fpn_top_down_levels": [2, 3]},
            "quantizer": {"codebook_size": 8, "codebook_depth": 2, "shared_codebook": false, "latent_dim": 16},
            "heads": {"depth": 2, "num_heads": 2, "mlp_dim": 32, "iou_head_hidden_dim": 16}
        });
        Config::from_json(json.to_string().as_bytes()).unwrap()
    }

    fn options(out: PathBuf, steps: u64) -> TrainingOptions {
        TrainingOptions {
            config: small_config(),
            seed: 5,
            steps,
            images: 2,
            masks: 3,
            learning_rate: 1e-3,
            codebook_start: 2,
            out,
            checkpoint_every: Duration::from_secs(3600),
            resume: false,
            init: None,
        }
    }

    /// The gradient of every part of the network against finite differences of the whole loss.
    #[test]
    fn gradients_match_finite_differences() {
        let folder = tempfile::tempdir().unwrap();
        let trainer = Trainer::new(options(folder.path().to_owned(), 1), Device::Cpu).unwrap();
        let sample = samples::generated(&trainer.options.config, 9, 0, 3).unwrap();
        let loss = || -> Tensor {
            let patches =
                preprocess::patches(&[&sample.pixels], trainer.options.config.image_size, &Device::Cpu)
                    .unwrap();
            let levels = trainer.network.image_encoder.forward(&patches).unwrap();
            let features = trainer.network.head_features(&levels[2]).unwrap();
            let maps = trainer
                .network
                .heads
                .mask_decoder
                .high_resolution(&levels[0], &levels[1])
                .unwrap();
            let view = ImageView {
                features: &features,
                high_resolution: &maps,
            };
            let targets = trainer.targets(&sample.masks).unwrap();
            // Fixed weights instead of the loss, whose choice of the best candidate is not smooth.
            let side = trainer.options.config.logits_size();
            let boxes: Vec<[f32; 4]> = sample.masks.iter().map(|m| m.rect).collect();
            let prompts = targets.reshape((sample.masks.len(), side, side)).unwrap();
            let embeddings = trainer.network.encode_masks(view, &prompts, &boxes).unwrap();
            let rebuilt = trainer.network.decode_embeddings(view, &embeddings).unwrap();
            let wave: Vec<f32> = (0..rebuilt.logits.elem_count())
                .map(|i| (i as f32 * 0.37).sin())
                .collect();
            let wave = Tensor::from_vec(wave, rebuilt.logits.shape(), &Device::Cpu).unwrap();
            let smooth = (rebuilt.logits.tanh().unwrap() * wave)
                .unwrap()
                .mean_all()
                .unwrap();
            (smooth + rebuilt.ious.mean_all().unwrap()).unwrap()
        };
        let grads = loss().backward().unwrap();
        let variables = trainer.variables.trained();
        let mut checked = 0;
        for (name, variable) in &variables {
            let Some(grad) = grads.get(variable) else { continue };
            let grad = grad.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let values = variable.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let steepest = (0..grad.len())
                .max_by(|a, b| grad[*a].abs().total_cmp(&grad[*b].abs()))
                .unwrap();
            // Below this the difference of two f32 losses is noise.
            if grad[steepest].abs() < 2e-4 {
                continue;
            }
            let at = |offset: f32| {
                let mut moved = values.clone();
                moved[steepest] += offset;
                variable
                    .set(&Tensor::from_vec(moved, variable.shape(), &Device::Cpu).unwrap())
                    .unwrap();
                loss().to_scalar::<f32>().unwrap()
            };
            let step = 2e-3;
            let slope = (at(step) - at(-step)) / (2.0 * step);
            at(0.0);
            let error = (slope - grad[steepest]).abs() / grad[steepest].abs().max(2e-3);
            assert!(
                error < 0.1,
                "{name}: gradient {}, difference quotient {slope}",
                grad[steepest]
            );
            checked += 1;
        }
        assert!(
            checked > 60,
            "only {checked} of {} variables have a gradient to check",
            variables.len()
        );
    }

    #[test]
    fn training_fills_the_layout_and_a_resumed_run_ends_as_an_unbroken_one() {
        let weights = |folder: &std::path::Path| std::fs::read(folder.join("model.safetensors")).unwrap();
        let whole = tempfile::tempdir().unwrap();
        train(options(whole.path().to_owned(), 4), &ChosenDevice::cpu(), |_| {
            true
        })
        .unwrap();
        let broken = tempfile::tempdir().unwrap();
        train(
            options(broken.path().to_owned(), 4),
            &ChosenDevice::cpu(),
            |report| report.step < 3,
        )
        .unwrap();
        assert_ne!(
            weights(whole.path()),
            weights(broken.path()),
            "the broken run stopped early"
        );
        let resumed = TrainingOptions {
            resume: true,
            ..options(broken.path().to_owned(), 4)
        };
        train(resumed, &ChosenDevice::cpu(), |_| true).unwrap();
        assert_eq!(
            weights(whole.path()),
            weights(broken.path()),
            "resuming continues exactly"
        );

        let files = ModelFiles::open(whole.path()).unwrap();
        let report = files.compare().unwrap();
        assert_eq!(
            (report.missing.len(), report.misshapen.len()),
            (0, 0),
            "{report:?}"
        );
        assert_eq!(
            files.checkpoint.names().count(),
            layout(&files.config).unwrap().len()
        );
    }
}
