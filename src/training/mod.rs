//! Trains a SAMTok network from scratch on generated scenes.
//!
//! One step encodes a few images, and for each of them several masks: mask to embedding, embedding to codes
//! (straight through), codes to mask; and the same masks again from clicks and boxes, so that one small model both
//! tokenizes and answers prompts. Embeddings stay continuous at first; then k-means places the codebooks and
//! averages move them.

mod auxiliary;
mod codebook;
mod loss;
mod optimizer;
mod prompts;
mod samples;
mod state;
mod step;
mod variables;

use crate::tokenizer::network::Network;
use crate::tokenizer::parameters::Scope;
use crate::tokenizer::{ChosenDevice, Config, ModelFiles, Result};
use auxiliary::Readouts;
use candle_core::Device;
use codebook::Codebooks;
use optimizer::AdamW;
use samples::Scenes;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use variables::Variables;

pub use state::TrainingError;

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
    /// Share of the masks under a hundredth of the image that is used, 0 to 1; two thirds of a scene's masks are so
    /// small, and at first they crowd out those that teach shape.
    pub small_masks: f32,
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
    /// The same for masks under 1 %, under 8 % and above 8 % of the image; not a number where there were none.
    pub iou_by_size: [f32; 3],
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
    readouts: Readouts,
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
        options.small_masks,
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
        let cells = options.config.grid() * options.config.grid();
        let readouts = Readouts::new(&Scope::root(&variables), options.config.neck.d_model, cells)?;
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
            readouts,
            optimizer,
            codebooks,
            device,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::model::layout;
    use crate::tokenizer::network::ImageView;
    use crate::tokenizer::preprocess;
    use crate::tokenizer::sam2::mask_decoder::Candidates;
    use candle_core::Tensor;

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
            small_masks: 0.5,
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
        let sample = samples::generated(&trainer.options.config, 9, 0, 3, 0.5).unwrap();
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
            let masks: Vec<&samples::MaskSample> = sample.masks.iter().collect();
            let targets = trainer.targets(&masks).unwrap();
            // Fixed weights instead of the loss, whose choice of the best candidate is not smooth.
            let side = trainer.options.config.logits_size();
            let boxes: Vec<[f32; 4]> = sample.masks.iter().map(|m| m.rect).collect();
            let prompts = targets.fine.reshape((sample.masks.len(), side, side)).unwrap();
            let embeddings = trainer.network.encode_masks(view, &prompts, &boxes).unwrap();
            let rebuilt = trainer
                .network
                .decode_embeddings(view, &embeddings, Candidates::Three)
                .unwrap();
            let wave: Vec<f32> = (0..rebuilt.logits.elem_count())
                .map(|i| (i as f32 * 0.37).sin())
                .collect();
            let wave = Tensor::from_vec(wave, rebuilt.logits.shape(), &Device::Cpu).unwrap();
            let smooth = (rebuilt.logits.tanh().unwrap() * wave)
                .unwrap()
                .mean_all()
                .unwrap();
            let read = trainer
                .readouts
                .embedding_loss(&embeddings, &targets.coarse)
                .and_then(|loss| {
                    Ok((loss
                        + trainer
                            .readouts
                            .feature_loss(&rebuilt.features, &targets.coarse)?)?)
                })
                .unwrap();
            ((smooth + rebuilt.ious.mean_all().unwrap()).unwrap() + read).unwrap()
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
