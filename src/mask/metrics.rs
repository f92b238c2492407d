//! How well two masks agree: IoU, Dice and boundary IoU.
//!
//! Two empty masks agree perfectly (1.0); an empty and a non-empty one not at all (0.0).

use super::{Mask, MaskError};
use crate::geometry::{ImageSize, PixelRect};

/// The share of the image diagonal that [`boundary_iou`] is usually computed with.
pub const DEFAULT_DILATION_RATIO: f64 = 0.02;

/// Intersection over union, 0 to 1.
///
/// # Errors
/// [`MaskError::SizeMismatch`].
pub fn iou(a: &Mask, b: &Mask) -> Result<f64, MaskError> {
    let shared = a.count_and(b)?;
    Ok(share(shared, a.area() + b.area() - shared))
}

/// Dice coefficient (F1 of the pixels): twice the intersection over the sum of the areas, 0 to 1.
///
/// # Errors
/// [`MaskError::SizeMismatch`].
pub fn dice(a: &Mask, b: &Mask) -> Result<f64, MaskError> {
    Ok(share(2 * a.count_and(b)?, a.area() + b.area()))
}

/// Boundary IoU (Cheng et al., 2021): the IoU of the two boundary bands, whose width is `dilation_ratio` of
/// the image diagonal; [`DEFAULT_DILATION_RATIO`] is the usual one.
///
/// As in the authors' code the edge of the image counts as background.
///
/// # Errors
/// [`MaskError::SizeMismatch`].
pub fn boundary_iou(a: &Mask, b: &Mask, dilation_ratio: f64) -> Result<f64, MaskError> {
    a.check_same_size(b)?;
    let distance_px = boundary_distance_px(a.size(), dilation_ratio);
    let boxes = [a.bounding_box(), b.bounding_box()];
    let Some(bounds) = boxes.into_iter().flatten().reduce(PixelRect::union) else {
        return Ok(1.0);
    };
    // Beyond the box everything is background, just as beyond the edge of the image.
    let band = |mask: &Mask| Ok(mask.crop(bounds)?.boundary(distance_px));
    iou(&band(a)?, &band(b)?)
}

/// Width of the boundary band in pixels: `dilation_ratio` of the diagonal, rounded (half to even), at least 1.
#[must_use]
pub fn boundary_distance_px(size: ImageSize, dilation_ratio: f64) -> u32 {
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let diagonal = (width * width + height * height).sqrt();
    ((dilation_ratio * diagonal).round_ties_even() as u32).max(1)
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{cases, drawn, mask_pairs};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        let (a, b) = (drawn("##.. ##.. ...."), drawn(".##. .##. ...."));
        assert_eq!(iou(&a, &b), Ok(2.0 / 6.0));
        assert_eq!(dice(&a, &b), Ok(0.5));
        assert_eq!(boundary_iou(&a, &b, DEFAULT_DILATION_RATIO), Ok(2.0 / 6.0));
    }

    #[test]
    fn empty_masks_agree_with_each_other_only() {
        let size = ImageSize::new(70, 3);
        let (empty, full) = (Mask::empty(size).unwrap(), Mask::full(size).unwrap());
        let boundary = |a: &Mask, b: &Mask| boundary_iou(a, b, 0.02);
        for metric in [iou, dice, boundary] {
            assert_eq!(metric(&empty, &empty), Ok(1.0));
            assert_eq!(metric(&empty, &full), Ok(0.0));
            assert_eq!(metric(&full, &full), Ok(1.0));
            let other = ImageSize::new(3, 70);
            let mismatch = MaskError::SizeMismatch {
                left: size,
                right: other,
            };
            assert_eq!(metric(&full, &Mask::empty(other).unwrap()), Err(mismatch));
        }
    }

    #[test]
    fn band_width_follows_the_diagonal() {
        let cases = [
            (640, 480, 0.02, 16),
            (4000, 3000, 0.02, 100),
            (1, 1, 0.02, 1),
            (30, 40, 0.05, 2),
            (30, 40, 0.07, 4),
        ];
        for (width, height, ratio, distance) in cases {
            assert_eq!(
                boundary_distance_px(ImageSize::new(width, height), ratio),
                distance,
                "{width} x {height}"
            );
        }
        for ratio in [f64::NAN, -1.0] {
            assert_eq!(
                boundary_distance_px(ImageSize::new(999, 999), ratio),
                1,
                "ratio {ratio}"
            );
        }
    }

    proptest! {
        #![proptest_config(cases(150))]

        #[test]
        fn metrics_match_their_definitions((a, b) in mask_pairs(120), ratio in 0.0..0.2_f64) {
            let (shared, joined) = (a.intersection(&b).unwrap().area(), a.union(&b).unwrap().area());
            if joined > 0 {
                prop_assert_eq!(iou(&a, &b).unwrap(), shared as f64 / joined as f64);
                prop_assert_eq!(dice(&a, &b).unwrap(), 2.0 * shared as f64 / (shared + joined) as f64);
            }
            let distance = boundary_distance_px(a.size(), ratio);
            let whole = iou(&a.boundary(distance), &b.boundary(distance));
            prop_assert_eq!(boundary_iou(&a, &b, ratio), whole);
        }
    }
}
