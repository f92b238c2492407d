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
    /// x0 y0 x1 y1 in input pixels, last pixel inclusive.
    pub(super) rect: [f32; 4],
    /// Points inside the mask, in input pixels.
    pub(super) inside: Vec<[f32; 2]>,
    /// Points outside but near it.
    pub(super) outside: Vec<[f32; 2]>,
}

/// Clicks kept per mask and side.
const CLICKS: usize = 5;

impl MaskSample {
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
        // Twice the box: negative clicks that matter lie close by.
        let around = |start: u32, extent: u32, limit: u32| {
            let low = start.saturating_sub(extent / 2 + 2);
            (low, (start + extent + extent / 2 + 2).min(limit))
        };
        let (x0, x1) = around(bounds.x, bounds.width, width);
        let (y0, y1) = around(bounds.y, bounds.height, height);
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for _ in 0..400 {
            let x = x0 + rng.int(0, (x1 - x0 - 1) as usize) as u32;
            let y = y0 + rng.int(0, (y1 - y0 - 1) as usize) as u32;
            let list = if mask.get(x, y) { &mut inside } else { &mut outside };
            if list.len() < CLICKS {
                list.push(to_input(x, y));
            }
            if inside.len() == CLICKS && outside.len() == CLICKS {
                break;
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
            rect,
            inside,
            outside,
        })
    }
}

/// Masks under this share of the image are small: two thirds of a scene's regions, and a few cells of the grid each.
const SMALL_SHARE: f64 = 0.01;
/// Share of the small masks that is used, so that they do not crowd out what teaches shape.
const SMALL_KEPT: f32 = 0.1;

/// The sample of generated scene `index`, with `masks` of its regions (repeated if it has fewer).
pub(super) fn generated(config: &Config, seed: u64, index: u64, masks: usize) -> Result<Sample> {
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
            .filter(|region| region.mask.area() as f64 >= large || rng.chance(SMALL_KEPT))
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
    pub(super) fn start(config: Config, seed: u64, first: u64, masks: usize) -> std::io::Result<Self> {
        let (sender, samples) = bounded(16);
        std::thread::Builder::new()
            .name("samtok-scenes".to_owned())
            .spawn(move || {
                for index in first.. {
                    // A closed channel means that training is over.
                    if sender.send(generated(&config, seed, index, masks)).is_err() {
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
