//! Trains a SAMTok network, from scratch or from a model, on generated scenes and on a user's own masks.
//!
//! One step encodes a few images, and for each of them several masks: mask to embedding, embedding to codes
//! (straight through), codes to mask; and the same masks again from clicks and boxes, so that one small model both
//! tokenizes and answers prompts. Embeddings stay continuous at first; then k-means places the codebooks and
//! averages move them.

mod augment;
mod auxiliary;
mod codebook;
mod folder;
mod loss;
mod objective;
mod optimizer;
mod prompts;
mod samples;
mod state;
mod step;
mod variables;

use crate::image_file::Limits;
use crate::tokenizer::network::{Network, SAM2_PREFIX};
use crate::tokenizer::parameters::Scope;
use crate::tokenizer::sam2::image_encoder::ImageEncoder;
use crate::tokenizer::{ChosenDevice, Config, ModelFiles, Result, TokenizerError};
use auxiliary::Readouts;
use candle_core::Device;
use codebook::Codebooks;
use folder::Folder;
use objective::Selection;
use optimizer::AdamW;
use samples::{SampleShape, SampleSource, Samples};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use variables::{Frozen, Variables};

pub use objective::Objective;
pub use samples::generated_scene;
pub use state::{CHECKPOINT_FILE, TrainingError};

/// What to train and how long.
#[derive(Clone, Debug)]
pub struct TrainingOptions {
    /// Shape of the network.
    pub config: Config,
    /// What is minimised.
    pub objective: Objective,
    /// Leave the image encoder as it is, which saves most of a step's time.
    pub freeze_trunk: bool,
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
    /// Images and masks of the user beside the generated ones.
    pub data: Option<TrainingData>,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Step at which k-means places the codebooks; `None` goes on from those of `init`, or starts them after a
    /// quarter of the steps.
    pub codebook_start: Option<u64>,
    /// Where model and checkpoint are written.
    pub out: PathBuf,
    /// Time between checkpoints.
    pub checkpoint_every: Duration,
    /// Steps between checkpoints, besides the time.
    pub checkpoint_steps: Option<u64>,
    /// Continue from the checkpoint in `out`.
    pub resume: bool,
    /// Model to start from instead of random weights; it may be made for another image size.
    pub init: Option<PathBuf>,
}

/// A folder of images with sidecars or mask PNGs.
#[derive(Clone, Debug)]
pub struct TrainingData {
    /// The folder.
    pub folder: PathBuf,
    /// Share of the images that come from it, 0 to 1; the others are generated.
    pub share: f32,
    /// How large a file may be before it is left out.
    pub limits: Limits,
}

impl TrainingOptions {
    fn codebook_start(&self) -> u64 {
        self.codebook_start.unwrap_or(self.steps / 4)
    }

    fn sample_shape(&self) -> SampleShape {
        SampleShape {
            config: self.config.clone(),
            masks: self.masks,
            small_masks: self.small_masks,
        }
    }

    fn selection(&self) -> Selection {
        Selection {
            objective: self.objective,
            freeze_trunk: self.freeze_trunk,
        }
    }
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
    /// Mean IoU of masks from prompts, on the logits' grid; not a number where none were asked for.
    pub prompt_iou: f32,
    /// Learning rate used.
    pub learning_rate: f64,
    /// Norm of the gradient before clipping; `None` where the step was skipped because it was not finite.
    pub gradient_norm: Option<f64>,
    /// Images of the step.
    pub images: usize,
    /// Masks of the step.
    pub masks: usize,
    /// Time since training started or resumed.
    pub elapsed: Duration,
    /// Whether model and checkpoint were written after this step.
    pub saved: bool,
}

/// Everything that changes in training.
#[derive(Debug)]
struct Trainer {
    options: TrainingOptions,
    variables: Variables,
    network: Network,
    /// Only for the objective that uses them.
    readouts: Option<Readouts>,
    optimizer: AdamW,
    codebooks: Codebooks,
    /// Steps so far, with those that were skipped because their gradient was not finite.
    steps: u64,
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
    let folder = match &options.data {
        Some(data) => Some((Folder::open(&data.folder, data.limits)?, data.share)),
        None => None,
    };
    let source = SampleSource {
        shape: options.sample_shape(),
        seed: options.seed,
        folder,
    };
    let source = Samples::start(source, trainer.steps * options.images as u64)?;
    let started = Instant::now();
    let (mut saved, mut skipped) = (Instant::now(), 0);
    while trainer.steps < options.steps {
        let samples = (0..options.images)
            .map(|_| source.next())
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let mut report = trainer.step(&samples)?;
        report.elapsed = started.elapsed();
        if report.gradient_norm.is_none() {
            skipped += 1;
            if skipped == MAX_SKIPPED {
                return Err(TrainingError::Diverged { step: report.step });
            }
        } else {
            skipped = 0;
        }
        let is_turn = |every: u64| report.step.is_multiple_of(every);
        let is_due =
            saved.elapsed() >= options.checkpoint_every || options.checkpoint_steps.is_some_and(is_turn);
        if is_due && skipped == 0 {
            trainer.save()?;
            saved = Instant::now();
            report.saved = true;
        }
        if !observe(&report) {
            break;
        }
    }
    trainer.save()
}

impl Trainer {
    fn new(options: TrainingOptions, device: Device) -> Result<Self> {
        let config = &options.config;
        if config.quantizer.shared_codebook {
            return Err(TokenizerError::Config {
                reason: "training makes one codebook per depth; set shared_codebook to false".to_owned(),
            });
        }
        let variables = Variables::new(device.clone(), options.seed, options.selection());
        let batch = options.images * options.masks;
        let mut codebooks = Codebooks::new(&config.quantizer, batch, options.objective.restart());
        if let Some(path) = &options.init {
            let model = ModelFiles::open(path)?.checkpoint;
            variables.preset_all(&model, config)?;
            if options.codebook_start.is_none() && !codebooks.continue_from(&model)? {
                tracing::info!(
                    "the model to start from has no codebooks of this shape; new ones will be made"
                );
            }
        }
        let root = Scope::root(&variables);
        let network = Network::new(&root, config)?;
        let readouts = match options.objective {
            Objective::Generated => {
                let cells = config.grid() * config.grid();
                Some(Readouts::new(&root, config.neck.d_model, cells)?)
            }
            Objective::Published => None,
        };
        let optimizer = AdamW::new(&variables, options.objective.optimizer())?;
        let mut trainer = Self {
            options,
            variables,
            network,
            readouts,
            optimizer,
            codebooks,
            steps: 0,
            device,
        };
        trainer.fix_image_encoder()?;
        Ok(trainer)
    }

    /// Builds a frozen image encoder from its weights as they are now, in the faster form that inference uses.
    fn fix_image_encoder(&mut self) -> Result<()> {
        if self.options.selection().freezes_image_encoder() {
            let frozen = Frozen(&self.variables);
            let scope = Scope::root(&frozen).child(SAM2_PREFIX).child("image_encoder");
            self.network.image_encoder = ImageEncoder::new(&scope, &self.options.config)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod golden;

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
            objective: Objective::Generated,
            freeze_trunk: false,
            seed: 5,
            steps,
            images: 2,
            masks: 3,
            small_masks: 0.5,
            data: None,
            learning_rate: 1e-3,
            codebook_start: Some(2),
            out,
            checkpoint_every: Duration::from_secs(3600),
            checkpoint_steps: None,
            resume: false,
            init: None,
        }
    }

    /// The gradient of every part of the network against finite differences of the whole loss.
    #[test]
    fn gradients_match_finite_differences() {
        let folder = tempfile::tempdir().unwrap();
        let trainer = Trainer::new(options(folder.path().to_owned(), 1), Device::Cpu).unwrap();
        let source = SampleSource {
            shape: trainer.options.sample_shape(),
            seed: 9,
            folder: None,
        };
        let sample = source.sample(0).unwrap();
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
            let readouts = trainer.readouts.as_ref().unwrap();
            let read = readouts
                .embedding_loss(&embeddings, &targets.coarse)
                .and_then(|loss| Ok((loss + readouts.feature_loss(&rebuilt.features, &targets.coarse)?)?))
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
    #[test]
    fn a_run_that_diverges_keeps_its_last_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_owned();
        train(options(out.clone(), 4), &ChosenDevice::cpu(), |_| true).unwrap();
        let file = |name: &str| std::fs::read(out.join(name)).unwrap();
        let before = (file(CHECKPOINT_FILE), file("model.safetensors"));
        let wild = TrainingOptions {
            resume: true,
            learning_rate: 1e30,
            ..options(out.clone(), 60)
        };
        let mut skipped = 0;
        let error = train(wild, &ChosenDevice::cpu(), |report| {
            skipped += u32::from(report.gradient_norm.is_none());
            true
        });
        assert!(matches!(error, Err(TrainingError::Diverged { .. })), "{error:?}");
        assert_eq!(skipped, MAX_SKIPPED - 1, "the last one ends the run");
        assert!(before == (file(CHECKPOINT_FILE), file("model.safetensors")));
    }

    #[test]
    fn a_frozen_image_encoder_stays_and_codebooks_go_on() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        train(options(first.path().to_owned(), 4), &ChosenDevice::cpu(), |_| {
            true
        })
        .unwrap();
        for objective in [Objective::Generated, Objective::Published] {
            let tuned = TrainingOptions {
                objective,
                freeze_trunk: true,
                codebook_start: None,
                init: Some(first.path().to_owned()),
                ..options(second.path().to_owned(), 2)
            };
            let trainer = Trainer::new(tuned.clone(), Device::Cpu).unwrap();
            assert!(trainer.codebooks.started);
            train(tuned, &ChosenDevice::cpu(), |_| true).unwrap();
            let [before, after] =
                [&first, &second].map(|folder| ModelFiles::open(folder.path()).unwrap().checkpoint);
            for name in before.names() {
                let is_same = before.read_f32(name).unwrap() == after.read_f32(name).unwrap();
                if name.contains(".image_encoder.") {
                    assert!(is_same, "{objective:?}: {name}");
                } else if name.ends_with("sam_mask_encoder.mask_tokens.weight") {
                    assert!(!is_same, "{objective:?}: {name}");
                }
            }
        }
    }
}
