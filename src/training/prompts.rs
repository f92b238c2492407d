//! Prompts as people give them: a click or a box first, then clicks where the answer is wrong.

use super::samples::MaskSample;
use crate::scenes::random::Rng;
use crate::tokenizer::preprocess::LOGIT_THRESHOLD;
use crate::tokenizer::sam2::prompt_encoder::{PointLabel, PromptPoint};

/// How a step prompts all its masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PromptPlan {
    /// Begin with a box.
    pub(super) boxed: bool,
    /// Begin with a click inside.
    pub(super) clicked: bool,
    /// Clicks on mistakes that follow, each together with the answer so far.
    pub(super) corrections: usize,
}

impl PromptPlan {
    pub(super) fn random(rng: &mut Rng) -> Self {
        let (boxed, clicked) =
            [(false, true), (true, false), (true, true)][rng.weighted(&[60.0, 30.0, 10.0])];
        let corrections = [0, 1, 2, 4][rng.weighted(&[60.0, 15.0, 15.0, 10.0])];
        Self {
            boxed,
            clicked,
            corrections,
        }
    }

    /// Whether an answer after `corrections` is one of three candidates: one click may mean several things.
    pub(super) fn is_ambiguous(self, corrections: usize) -> bool {
        !self.boxed && corrections == 0
    }
}

/// The first prompt: a box that is a little off, a click inside, or both.
pub(super) fn first_points(
    mask: &MaskSample,
    plan: PromptPlan,
    image_size: usize,
    rng: &mut Rng,
) -> Vec<PromptPoint> {
    let mut points = Vec::new();
    if plan.boxed {
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
    if plan.clicked {
        points.push(inside(mask, rng));
    }
    points
}

/// A click on a random mistake of `logits` (`side x side`), or inside the mask where there is none.
pub(super) fn correction(mask: &MaskSample, logits: &[f32], image_size: usize, rng: &mut Rng) -> PromptPoint {
    let side = (mask.coverage.len() as f64).sqrt() as usize;
    let wrong: Vec<(usize, bool)> = mask
        .coverage
        .iter()
        .zip(logits)
        .map(|(coverage, logit)| (*coverage > 0.5, *logit > LOGIT_THRESHOLD))
        .enumerate()
        .filter(|(_, (wanted, predicted))| wanted != predicted)
        .map(|(cell, (wanted, _))| (cell, wanted))
        .collect();
    let Some((cell, wanted)) = (!wrong.is_empty()).then(|| wrong[rng.int(0, wrong.len() - 1)]) else {
        return inside(mask, rng);
    };
    let stride = image_size as f32 / side as f32;
    let centre = |i: usize| (i as f32 + 0.5) * stride - 0.5;
    PromptPoint {
        x: centre(cell % side),
        y: centre(cell / side),
        label: if wanted {
            PointLabel::Positive
        } else {
            PointLabel::Negative
        },
    }
}

fn inside(mask: &MaskSample, rng: &mut Rng) -> PromptPoint {
    let [x, y] = mask.inside[rng.int(0, mask.inside.len() - 1)];
    PromptPoint {
        x,
        y,
        label: PointLabel::Positive,
    }
}
