//! Training images and masks as the network takes them, made ahead on threads of their own.

use super::TrainingError;
use super::folder::Folder;
use crate::geometry::ImageSize;
use crate::mask::Mask;
use crate::scenes::random::Rng;
use crate::scenes::{Scene, SceneConfig, generate};
use crate::tokenizer::preprocess;
use crate::tokenizer::{Config, Result, TokenizerError};
use crossbeam_channel::{Receiver, bounded};

/// One image with some of its regions.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Normalised pixels, channels last, `side * side * 3`.
    pub(super) pixels: Vec<f32>,
    /// Its masks.
    pub(super) masks: Vec<MaskSample>,
}

/// One mask as prompt, box, target and clicks.
#[derive(Clone, Debug)]
pub(super) struct MaskSample {
    /// Coverage 0..1 on the logits' grid: mask prompt and target alike.
    pub(super) coverage: Vec<f32>,
    /// 0 or 1 on the logits' grid: the pixel nearest to each cell, as the published loss samples its targets.
    pub(super) nearest: Vec<f32>,
    /// Coverage 0..1 on the feature grid.
    pub(super) coarse: Vec<f32>,
    /// x0 y0 x1 y1 in input pixels, last pixel inclusive.
    pub(super) rect: [f32; 4],
    /// Points inside the mask, in input pixels.
    pub(super) inside: Vec<[f32; 2]>,
}

/// Clicks kept per mask.
const CLICKS: usize = 3;

impl MaskSample {
    /// Area as a share of the image.
    pub(super) fn share(&self) -> f32 {
        self.coverage.iter().sum::<f32>() / self.coverage.len() as f32
    }

    /// # Errors
    /// [`TokenizerError::EmptyMask`].
    pub(super) fn new(mask: &Mask, config: &Config, rng: &mut Rng) -> Result<Self> {
        let rect = preprocess::mask_box(mask, config.image_size)?;
        let bounds = mask.bounding_box().ok_or(TokenizerError::EmptyMask)?;
        let ImageSize { width, height } = mask.size();
        let to_input = |x: u32, y: u32| {
            [
                (x as f32 + 0.5) / width as f32 * config.image_size as f32 - 0.5,
                (y as f32 + 0.5) / height as f32 * config.image_size as f32 - 0.5,
            ]
        };
        let mut inside = Vec::new();
        for _ in 0..400 {
            let x = bounds.x + rng.int(0, (bounds.width - 1) as usize) as u32;
            let y = bounds.y + rng.int(0, (bounds.height - 1) as usize) as u32;
            if mask.get(x, y) {
                inside.push(to_input(x, y));
                if inside.len() == CLICKS {
                    break;
                }
            }
        }
        if inside.is_empty() {
            // A mask too thin to be hit by chance: any of its pixels.
            let y = bounds.y + bounds.height / 2;
            let hit = (y..height)
                .chain(0..y)
                .find_map(|y| mask.runs(y).next().map(|run| (run.start, y)));
            inside.extend(hit.map(|(x, y)| to_input(x, y)));
        }
        Ok(Self {
            coverage: preprocess::mask_prompt(mask, config.logits_size()),
            nearest: preprocess::nearest_samples(mask, config.logits_size()),
            coarse: preprocess::mask_prompt(mask, config.grid()),
            rect,
            inside,
        })
    }
}

/// Masks under this share of the image are small: two thirds of a scene's regions, and a few cells of the grid each.
const SMALL_SHARE: f64 = 0.01;

/// What every sample of a run has in common.
#[derive(Clone, Debug)]
pub(super) struct SampleShape {
    pub(super) config: Config,
    /// Masks per image.
    pub(super) masks: usize,
    /// Share of the small masks that is used.
    pub(super) small_masks: f32,
}

impl SampleShape {
    /// As many of the masks, which come in random order, as a sample has; repeated if there are fewer.
    pub(super) fn choose(&self, masks: Vec<&Mask>, rng: &mut Rng) -> Result<Vec<MaskSample>> {
        let kept: Vec<&Mask> = masks
            .iter()
            .filter(|mask| {
                let large = SMALL_SHARE * mask.size().area() as f64;
                mask.area() as f64 >= large || rng.chance(self.small_masks)
            })
            .copied()
            .collect();
        let masks = if kept.is_empty() { masks } else { kept };
        masks
            .iter()
            .cycle()
            .take(self.masks)
            .map(|mask| MaskSample::new(mask, &self.config, rng))
            .collect()
    }
}

/// Where a run's samples come from: generated scenes, and images of a folder for a share of them.
#[derive(Debug)]
pub(super) struct SampleSource {
    pub(super) shape: SampleShape,
    pub(super) seed: u64,
    /// The folder and its share.
    pub(super) folder: Option<(Folder, f32)>,
}

impl SampleSource {
    /// The sample of this number, the same in every run of this seed.
    pub(super) fn sample(&self, index: u64) -> std::result::Result<Sample, TrainingError> {
        let mut rng = rng_of(self.seed, index);
        if let Some((folder, share)) = &self.folder
            && rng.chance(*share)
        {
            return folder.sample(&self.shape, &mut rng);
        }
        let scene = scene(self.shape.config.image_size, &mut rng)?;
        let masks = scene.regions.iter().map(|region| &region.mask).collect();
        Ok(Sample {
            pixels: preprocess::normalised(&scene.image),
            masks: self.shape.choose(masks, &mut rng)?,
        })
    }
}

/// The generated scene that training without data of its own sees as sample `index`.
///
/// # Errors
/// If scenes of the network's size cannot be generated.
pub fn generated_scene(config: &Config, seed: u64, index: u64) -> Result<Scene> {
    scene(config.image_size, &mut rng_of(seed, index))
}

fn rng_of(seed: u64, index: u64) -> Rng {
    Rng::new(seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// Scenes without any region that are drawn again at most.
const EMPTY_SCENES: usize = 100;

/// A scene with at least one region.
fn scene(side: usize, rng: &mut Rng) -> Result<Scene> {
    let wrong = |reason: String| TokenizerError::Config { reason };
    let side = side as u32;
    let config = SceneConfig::new(ImageSize::new(side, side)).map_err(|error| wrong(error.to_string()))?;
    (0..=EMPTY_SCENES)
        .map(|_| generate(&config, rng.bits()))
        .find(|scene| !scene.regions.is_empty())
        .ok_or_else(|| wrong("scenes of this size show nothing".to_owned()))
}

/// Samples in order, made ahead of their use.
#[derive(Debug)]
pub(super) struct Samples {
    samples: Receiver<std::result::Result<Sample, TrainingError>>,
}

impl Samples {
    /// Starts with sample `first`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(source: SampleSource, first: u64) -> std::io::Result<Self> {
        let (sender, samples) = bounded(16);
        std::thread::Builder::new()
            .name("samtok-samples".to_owned())
            .spawn(move || {
                // Of its own, because with one thread the common pool is busy with a step that waits for a sample.
                let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
                let sample = |index| match &pool {
                    Ok(pool) => pool.install(|| source.sample(index)),
                    Err(_) => source.sample(index),
                };
                for index in first.. {
                    // A closed channel means that training is over.
                    if sender.send(sample(index)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self { samples })
    }

    /// The next sample.
    pub(super) fn next(&self) -> std::result::Result<Sample, TrainingError> {
        self.samples.recv().unwrap_or(Err(TrainingError::Generator))
    }
}
