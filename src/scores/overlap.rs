//! Areas that masks share, from their run lengths alone, so that memory never exceeds what the input justifies.

use std::iter;

use super::ScoreError;
use crate::mask::Rle;

/// Stretches of pixels, down the columns, in which neither mask changes: length, and whether each has them.
fn stretches(a: &Rle, b: &Rle) -> impl Iterator<Item = (u32, bool, bool)> {
    let (mut left, mut right) = (a.counts().iter().copied(), b.counts().iter().copied());
    let (mut in_left, mut in_right) = (false, false);
    let (mut of_left, mut of_right) = (left.next(), right.next());
    iter::from_fn(move || {
        loop {
            let (Some(length_left), Some(length_right)) = (of_left, of_right) else {
                return None;
            };
            let length = length_left.min(length_right);
            let stretch = (length, in_left, in_right);
            of_left = Some(length_left - length);
            of_right = Some(length_right - length);
            if of_left == Some(0) {
                of_left = left.next();
                in_left = !in_left;
            }
            if of_right == Some(0) {
                of_right = right.next();
                in_right = !in_right;
            }
            if length > 0 {
                return Some(stretch);
            }
        }
    })
}

fn check(a: &Rle, b: &Rle) -> Result<(), ScoreError> {
    if a.size() != b.size() {
        return Err(ScoreError::Size {
            expected: a.size(),
            found: b.size(),
        });
    }
    Ok(())
}

/// Pixels that both masks have.
///
/// # Errors
/// [`ScoreError::Size`].
pub fn area_of_intersection(a: &Rle, b: &Rle) -> Result<u64, ScoreError> {
    check(a, b)?;
    let shared = stretches(a, b).filter(|(_, in_a, in_b)| *in_a && *in_b);
    Ok(shared.map(|(length, ..)| u64::from(length)).sum())
}

/// Pixels that any of the masks has; `None` without masks.
///
/// # Errors
/// [`ScoreError::Size`].
pub fn union_of(masks: &[Rle]) -> Result<Option<Rle>, ScoreError> {
    // In pairs of pairs, so that a thousand masks do not take a thousand passes over the largest.
    match masks {
        [] => Ok(None),
        [mask] => Ok(Some(mask.clone())),
        masks => {
            let (left, right) = masks.split_at(masks.len() / 2);
            let (Some(left), Some(right)) = (union_of(left)?, union_of(right)?) else {
                return Ok(None);
            };
            check(&left, &right)?;
            let mut counts = Vec::new();
            let (mut length, mut inside) = (0, false);
            for (more, in_left, in_right) in stretches(&left, &right) {
                if (in_left || in_right) != inside {
                    counts.push(length);
                    (length, inside) = (0, !inside);
                }
                length += more;
            }
            counts.push(length);
            // The stretches cover the image, so the counts do.
            Ok(Rle::from_counts(left.size(), counts).ok())
        }
    }
}

/// Intersection over union as pycocotools has it: 0 for masks that share nothing, two empty ones among them.
///
/// # Errors
/// [`ScoreError::Size`].
pub fn iou(a: &Rle, b: &Rle) -> Result<f64, ScoreError> {
    let shared = area_of_intersection(a, b)?;
    Ok(ratio(shared, a.area() + b.area() - shared))
}

/// `part` of `whole`; 0 where there is no part.
pub(super) fn ratio(part: u64, whole: u64) -> f64 {
    if part == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{SIZE, random_mask, rect};
    use super::*;
    use crate::geometry::ImageSize;
    use crate::mask::Mask;

    #[test]
    fn areas_are_those_of_the_rasters() {
        for seed in 0..40 {
            let masks: Vec<Mask> = (0..5).map(|n| random_mask(seed * 5 + n)).collect();
            let rles: Vec<Rle> = masks.iter().map(Mask::to_rle).collect();
            let (a, b) = (&masks[0], &masks[1]);
            assert_eq!(
                area_of_intersection(&rles[0], &rles[1]),
                Ok(a.count_and(b).unwrap())
            );
            let mut union = a.clone();
            masks.iter().for_each(|mask| union.union_with(mask).unwrap());
            assert_eq!(union_of(&rles).unwrap(), Some(union.to_rle()));
        }
        let (full, empty) = (rect(0, 0, SIZE.width, SIZE.height), rect(0, 0, 0, 0));
        assert_eq!(iou(&full, &full), Ok(1.0));
        assert_eq!((iou(&full, &empty), iou(&empty, &empty)), (Ok(0.0), Ok(0.0)));
        assert_eq!(union_of(&[full.clone(), empty]), Ok(Some(full.clone())));
        assert_eq!(union_of(&[]), Ok(None));
        let other = Mask::empty(ImageSize::new(3, 3)).unwrap().to_rle();
        assert!(matches!(iou(&full, &other), Err(ScoreError::Size { .. })));
    }
}
