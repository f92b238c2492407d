//! The network put together: a prompt of text and images in, scores of the next token out, in steps that can be
//! cancelled.

use super::cache::KeysValues;
use super::config::Config;
use super::error::Result;
use super::layout::Weights;
use super::matrix::Placement;
use super::picture::Picture;
use super::precision::Precision;
use super::rotary::{Position, Stretch, positions, text_angles};
use super::text::{Deepstack, TextModel};
use super::vision::{SeenImage, VisionTower};
use candle_core::Tensor;

/// Tokens of a prompt that are run at once: enough to fill the machine, few enough that their scores fit in memory.
const CHUNK: usize = 512;

/// Vision tower and text model.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) vision: VisionTower,
    pub(super) text: TextModel,
    pub(super) config: Config,
    placement: Placement,
}

/// A part of a prompt.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    /// Tokens of text.
    Text(Vec<u32>),
    /// An image in place of its placeholders.
    Image {
        /// Its patches.
        stretch: Stretch,
        /// What the tower saw.
        seen: SeenImage,
    },
}

impl Network {
    pub(super) fn load(
        config: &Config,
        weights: &Weights,
        placement: &Placement,
        precision: Precision,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        Ok(Self {
            vision: VisionTower::load(config, weights, placement, precision)?,
            text: TextModel::load(config, weights, placement, precision, progress)?,
            config: config.clone(),
            placement: placement.clone(),
        })
    }

    /// Looks at one image; `None` when cancelled.
    pub(super) fn see(&self, picture: Picture, cancelled: &dyn Fn() -> bool) -> Result<Option<Segment>> {
        let stretch = Stretch::Image(picture.grid);
        let seen = self.vision.forward(picture, cancelled)?;
        Ok(seen.map(|seen| Segment::Image { stretch, seen }))
    }

    /// Runs a prompt behind what `cache` holds of it already and returns the hidden values of its last `tail` tokens
    /// (as many as were run), and the position of the token after it; `None` when cancelled.
    pub(super) fn run_prompt(
        &self,
        segments: &[Segment],
        tail: usize,
        cache: &mut KeysValues,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<(Tensor, u32)>> {
        let prompt = self.assemble(segments)?;
        let tokens = prompt.positions.len();
        let mut kept: Vec<Tensor> = Vec::new();
        let mut start = cache.len();
        while start < tokens {
            let count = CHUNK.min(tokens - start);
            let angles = text_angles(
                &prompt.positions[start..start + count],
                &self.config.text,
                &self.placement,
            )?;
            let mut deepstack = Deepstack::default();
            for level in &prompt.deepstack {
                deepstack.levels.push(level.narrow(0, start, count)?);
            }
            let embeddings = prompt.embeddings.narrow(0, start, count)?.contiguous()?;
            let Some(hidden) = self
                .text
                .forward(embeddings, &angles, &deepstack, cache, cancelled)?
            else {
                return Ok(None);
            };
            // Of this chunk, those among the last `tail` tokens of the prompt.
            let first = (tokens - tail.min(tokens)).max(start);
            if first < start + count {
                kept.push(hidden.narrow(0, first - start, start + count - first)?);
            }
            start += count;
        }
        Ok(Some((Tensor::cat(&kept, 0)?, prompt.next)))
    }

    /// Runs one token and returns its hidden values; `None` when cancelled.
    pub(super) fn run_token(
        &self,
        token: u32,
        position: u32,
        cache: &mut KeysValues,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Tensor>> {
        let angles = text_angles(&[[position; 3]], &self.config.text, &self.placement)?;
        let embedding = self.text.embed(&[token])?;
        self.text
            .forward(embedding, &angles, &Deepstack::default(), cache, cancelled)
    }

    fn assemble(&self, segments: &[Segment]) -> Result<Prompt> {
        let mut stretches = Vec::with_capacity(segments.len());
        let mut embeddings = Vec::with_capacity(segments.len());
        let levels = if segments.iter().any(|s| matches!(s, Segment::Image { .. })) {
            self.config.vision.deepstack.len()
        } else {
            0
        };
        let mut deepstack: Vec<Vec<Tensor>> = vec![Vec::new(); levels];
        for segment in segments {
            match segment {
                Segment::Text(tokens) if tokens.is_empty() => {}
                Segment::Text(tokens) => {
                    stretches.push(Stretch::Text(tokens.len()));
                    let embedded = self.text.embed(tokens)?;
                    for level in &mut deepstack {
                        level.push(embedded.zeros_like()?);
                    }
                    embeddings.push(embedded);
                }
                Segment::Image { stretch, seen } => {
                    stretches.push(*stretch);
                    embeddings.push(seen.embeddings.clone());
                    for (level, features) in deepstack.iter_mut().zip(&seen.deepstack) {
                        level.push(features.clone());
                    }
                }
            }
        }
        let (positions, next) = positions(&stretches, self.config.vision.merge);
        Ok(Prompt {
            embeddings: Tensor::cat(&embeddings, 0)?,
            deepstack: deepstack
                .iter()
                .map(|level| Ok(Tensor::cat(level, 0)?))
                .collect::<Result<_>>()?,
            positions,
            next,
        })
    }
}

/// A prompt as tensors.
struct Prompt {
    embeddings: Tensor,
    deepstack: Vec<Tensor>,
    positions: Vec<Position>,
    next: u32,
}
