//! How good a model is: masks through words and back, and masks from clicks and boxes.
//!
//! Scenes are compared at their own size, as a person would see them, and never on the network's grid.

mod clicks;
mod figures;
mod page;

use crate::geometry::{ImageRect, ImageSize};
use crate::image_file::RgbImage;
use crate::mask::{Mask, MaskError, metrics};
use crate::scenes::{SceneConfig, SceneError, generate};
use crate::tokenizer::{DecodedMask, MaskTokenizer, Prompt, TokenizerError};
use figures::Kind;
use rayon::prelude::*;

pub use figures::{CodeUse, Mean, Prompted, RoundTrip};
pub use page::worst_page;

/// Boundary IoU looks at a band of this share of the image's diagonal, as its authors do.
const BOUNDARY_SHARE: f64 = 0.02;
/// Images that are worked on at the same time.
const AT_ONCE: usize = 8;

/// An image and the masks on it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What the image is called in reports.
    pub name: String,
    /// The image.
    pub image: RgbImage,
    /// The true masks, of its size, none empty.
    pub masks: Vec<Mask>,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measures {
    /// Rows tried at every depth by searched encoding; 0 measures plain encoding only.
    pub search_width: usize,
    /// Whether clicks and boxes are answered too.
    pub prompts: bool,
    /// How many of the masks that came back worst are kept.
    pub worst: usize,
}

/// A mask that came back badly.
#[derive(Clone, Debug)]
pub struct Worst {
    /// Name of its image.
    pub name: String,
    /// The image around the mask.
    pub image: RgbImage,
    /// The mask as it was, in this cut.
    pub wanted: Mask,
    /// The mask as it came back.
    pub rebuilt: Mask,
    /// Their IoU in the whole image.
    pub iou: f64,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Evaluation {
    /// Number of images.
    pub images: u64,
    /// Number of masks.
    pub masks: u64,
    /// Words of the nearest codebook rows.
    pub plain: RoundTrip,
    /// Words that were searched for.
    pub searched: Option<RoundTrip>,
    /// Clicks and boxes.
    pub prompted: Option<Prompted>,
    /// Codes of the plain words.
    pub codes: CodeUse,
    /// The worst plain round trips, worst first.
    pub worst: Vec<Worst>,
}

/// Why a model could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The network.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A mask.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The scenes.
    #[error(transparent)]
    Scene(#[from] SceneError),
}

/// `count` generated scenes of `side x side` pixels that training never sees: its scenes come from other seeds.
///
/// # Errors
/// If scenes cannot have this size.
pub fn generated_cases(
    count: u64,
    seed: u64,
    side: u32,
) -> Result<impl Iterator<Item = Case>, EvaluationError> {
    let config = SceneConfig::new(ImageSize::new(side, side))?;
    // Training derives its seeds by another rule and does not know this constant.
    let first = u64::from_le_bytes(*b"evaluate") ^ seed.wrapping_mul(0xD134_2543_DE82_EF95);
    Ok((0..count).map(move |index| {
        let scene = generate(&config, first.wrapping_add(index));
        Case {
            name: format!("scene {seed}-{index}"),
            image: scene.image,
            masks: scene.regions.into_iter().map(|region| region.mask).collect(),
        }
    }))
}

/// Measures `tokenizer` on `cases`; stops early and answers what it has if `progress`, told how many images are done,
/// answers false.
///
/// # Errors
/// If the device fails or a mask does not fit its image.
pub fn evaluate(
    tokenizer: &MaskTokenizer,
    cases: impl Iterator<Item = Case>,
    measures: Measures,
    mut progress: impl FnMut(u64) -> bool,
) -> Result<Evaluation, EvaluationError> {
    let quantizer = &tokenizer.config().quantizer;
    let mut evaluation = Evaluation {
        searched: (measures.search_width > 0).then(RoundTrip::default),
        prompted: measures.prompts.then(Prompted::default),
        codes: CodeUse::new(quantizer.codebook_depth, quantizer.codebook_size),
        ..Evaluation::default()
    };
    let mut cases = cases.peekable();
    while cases.peek().is_some() {
        let group: Vec<Case> = cases.by_ref().take(AT_ONCE).collect();
        let results = group
            .par_iter()
            .map(|case| measure(tokenizer, case, measures))
            .collect::<Result<Vec<_>, _>>()?;
        for (case, result) in group.iter().zip(results) {
            evaluation.take(case, result, measures.worst);
        }
        if !progress(evaluation.images) {
            break;
        }
    }
    Ok(evaluation)
}

/// One mask's figures.
struct Measured {
    kind: Kind,
    plain: (f64, f64),
    searched: Option<(f64, f64)>,
    codes: Vec<Option<u32>>,
    rebuilt: Mask,
    /// After one to five clicks, and for the box.
    prompted: Option<([f64; 5], f64)>,
}

fn measure(
    tokenizer: &MaskTokenizer,
    case: &Case,
    measures: Measures,
) -> Result<Vec<Measured>, EvaluationError> {
    if case.masks.is_empty() {
        return Ok(Vec::new());
    }
    let image = tokenizer.embed_image(&case.image)?;
    let masks: Vec<&Mask> = case.masks.iter().collect();
    let encoded = tokenizer.encode(&image, &masks)?;
    let codes: Vec<_> = encoded.iter().map(|encoded| encoded.codes.clone()).collect();
    let rebuilt = tokenizer.decode(&image, &codes)?;
    let searched = match measures.search_width {
        0 => None,
        width => Some(tokenizer.encode_searched(&image, &masks, width)?),
    };
    let agreement = |wanted: &Mask, rebuilt: &DecodedMask| -> Result<(f64, f64), MaskError> {
        Ok((
            metrics::iou(wanted, &rebuilt.mask)?,
            metrics::boundary_iou(wanted, &rebuilt.mask, BOUNDARY_SHARE)?,
        ))
    };
    let mut measured = Vec::with_capacity(masks.len());
    for (index, (mask, rebuilt)) in case.masks.iter().zip(rebuilt).enumerate() {
        let prompted = if measures.prompts {
            let rect = mask.bounding_box().map(|bounds| ImageRect {
                x0: bounds.x as f32,
                y0: bounds.y as f32,
                x1: bounds.right() as f32 - 1.0,
                y1: bounds.bottom() as f32 - 1.0,
            });
            let answer = tokenizer.segment(
                &image,
                &Prompt {
                    rect,
                    ..Prompt::default()
                },
            )?;
            let boxed = match answer.first() {
                Some(answer) => metrics::iou(mask, &answer.mask)?,
                None => 0.0,
            };
            Some((clicks::ious(tokenizer, &image, mask)?, boxed))
        } else {
            None
        };
        measured.push(Measured {
            kind: Kind::of(mask),
            plain: agreement(mask, &rebuilt)?,
            searched: searched
                .as_ref()
                .map(|searched| agreement(mask, &searched[index].1))
                .transpose()?,
            codes: codes[index].iter().collect(),
            rebuilt: rebuilt.mask,
            prompted,
        });
    }
    Ok(measured)
}

impl Evaluation {
    fn take(&mut self, case: &Case, measured: Vec<Measured>, kept: usize) {
        self.images += 1;
        for (mask, measured) in case.masks.iter().zip(measured) {
            self.masks += 1;
            let (iou, boundary_iou) = measured.plain;
            self.plain.add(measured.kind, iou, boundary_iou);
            if let (Some(figures), Some((iou, boundary_iou))) = (&mut self.searched, measured.searched) {
                figures.add(measured.kind, iou, boundary_iou);
            }
            if let (Some(figures), Some((clicks, boxed))) = (&mut self.prompted, measured.prompted) {
                figures.click1.add(clicks[0]);
                figures.click3.add(clicks[2]);
                figures.click5.add(clicks[4]);
                figures.bounding_box.add(boxed);
            }
            self.codes.add(measured.codes);
            let place = self.worst.partition_point(|worst| worst.iou <= iou);
            if place < kept {
                let worst = page::cut(case, mask, &measured.rebuilt, iou);
                self.worst.insert(place, worst);
                self.worst.truncate(kept);
            }
        }
    }
}
