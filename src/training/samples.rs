//! Training images and masks as the network takes them, made ahead on threads of their own.

use crate::geometry::ImageSize;
use crate::mask::Mask;
use crate::scenes::random::Rng;
use crate::scenes::{SceneConfig, SceneRegion, generate};
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
            coarse: preprocess::mask_prompt(mask, config.grid()),
            rect,
            inside,
        })
    }
}

/// Masks under this share of the image are small: two thirds of a scene's regions, and a few cells of the grid each.
const SMALL_SHARE: f64 = 0.01;

/// The sample of generated scene `index`, with `masks` of its regions (repeated if it has fewer); of the small ones
/// the share `small_masks` is used.
pub(super) fn generated(
    config: &Config,
    seed: u64,
    index: u64,
    masks: usize,
    small_masks: f32,
) -> Result<Sample> {
    let side = config.image_size as u32;
    let scene_config =
        SceneConfig::new(ImageSize::new(side, side)).map_err(|error| TokenizerError::Config {
            reason: error.to_string(),
        })?;
    let mut rng = Rng::new(seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    for attempt in 0.. {
        let scene = generate(&scene_config, rng.bits());
        if scene.regions.is_empty() && attempt < 100 {
            continue;
        }
        // Regions come in random order, so the first ones are a random choice.
        let large = SMALL_SHARE * f64::from(side) * f64::from(side);
        let kept: Vec<&SceneRegion> = scene
            .regions
            .iter()
            .filter(|region| region.mask.area() as f64 >= large || rng.chance(small_masks))
            .collect();
        let all: Vec<&SceneRegion> = scene.regions.iter().collect();
        let regions = if kept.is_empty() { all } else { kept };
        let masks = (0..masks)
            .filter_map(|i| regions.get(i % regions.len().max(1)))
            .map(|region| MaskSample::new(&region.mask, config, &mut rng))
            .collect::<Result<Vec<_>>>()?;
        return Ok(Sample {
            pixels: preprocess::normalised(&scene.image),
            masks,
        });
    }
    unreachable!("the loop returns")
}

/// Scenes in order, generated ahead of their use.
#[derive(Debug)]
pub(super) struct Scenes {
    samples: Receiver<Result<Sample>>,
}

impl Scenes {
    /// Starts generating at scene `first`.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(
        config: Config,
        seed: u64,
        first: u64,
        masks: usize,
        small_masks: f32,
    ) -> std::io::Result<Self> {
        let (sender, samples) = bounded(16);
        std::thread::Builder::new()
            .name("samtok-scenes".to_owned())
            .spawn(move || {
                for index in first.. {
                    // A closed channel means that training is over.
                    if sender
                        .send(generated(&config, seed, index, masks, small_masks))
                        .is_err()
                    {
                        return;
                    }
                }
            })?;
        Ok(Self { samples })
    }

    /// The next scene, or `None` if the generator died.
    pub(super) fn next(&self) -> Option<Result<Sample>> {
        self.samples.recv().ok()
    }
}
