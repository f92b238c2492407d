//! Average precision of masks as COCOeval computes it for one category, number for number.

use super::ScoreError;
use super::matching::iou_matrix;
use crate::mask::Rle;

/// Predictions of one image beyond this number do not count; the most confident do.
const MOST_PREDICTIONS: usize = 100;
/// IoU thresholds 0.5, 0.55, …, 0.95.
const THRESHOLDS: usize = 10;
/// Recall is looked at in hundredths.
const RECALL_STEPS: usize = 100;

/// Average precision over images that are added one by one.
#[derive(Clone, Debug, Default)]
pub struct AveragePrecision {
    /// Confidence of every prediction and, by threshold, whether it found a mask of the reference.
    predictions: Vec<(f64, [bool; THRESHOLDS])>,
    reference_masks: u64,
}

/// An IoU threshold by its place, to the last bit that of NumPy's `linspace`.
fn threshold(place: usize) -> f64 {
    if place + 1 == THRESHOLDS {
        return 0.95;
    }
    place as f64 * ((0.95 - 0.5) / (THRESHOLDS - 1) as f64) + 0.5
}

impl AveragePrecision {
    /// Counts an image: its predicted masks with their confidence, and the masks of the reference.
    ///
    /// # Errors
    /// [`ScoreError::Size`] and [`ScoreError::TooMany`].
    pub fn add(&mut self, predicted: &[(Rle, f64)], reference: &[Rle]) -> Result<(), ScoreError> {
        let mut order: Vec<&(Rle, f64)> = predicted.iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        order.truncate(MOST_PREDICTIONS);
        let masks: Vec<Rle> = order.iter().map(|(mask, _)| mask.clone()).collect();
        let ious = iou_matrix(&masks, reference)?;
        let mut found: Vec<(f64, [bool; THRESHOLDS])> = order
            .iter()
            .map(|(_, score)| (*score, [false; THRESHOLDS]))
            .collect();
        for place in 0..THRESHOLDS {
            let mut taken = vec![false; reference.len()];
            for ((_, found), row) in found.iter_mut().zip(&ious) {
                let mut least = threshold(place).min(1.0 - 1e-10);
                let mut best = None;
                // Of equal ones the last, as there.
                for (column, iou) in row.iter().enumerate() {
                    if !taken.get(column).copied().unwrap_or(true) && *iou >= least {
                        (least, best) = (*iou, Some(column));
                    }
                }
                if let Some(taken) = best.and_then(|column| taken.get_mut(column)) {
                    *taken = true;
                    if let Some(found) = found.get_mut(place) {
                        *found = true;
                    }
                }
            }
        }
        self.predictions.append(&mut found);
        self.reference_masks += reference.len() as u64;
        Ok(())
    }

    /// AP at an IoU of 0.5; `None` without a mask of reference.
    #[must_use]
    pub fn ap50(&self) -> Option<f64> {
        self.at(&self.order(), 0)
    }

    /// AP, the mean over IoUs from 0.5 to 0.95; `None` without a mask of reference.
    #[must_use]
    pub fn ap(&self) -> Option<f64> {
        let order = self.order();
        let all: Option<Vec<f64>> = (0..THRESHOLDS).map(|place| self.at(&order, place)).collect();
        all.map(|all| all.iter().sum::<f64>() / THRESHOLDS as f64)
    }

    /// Predictions from the most confident down; of equal ones in the order in which they came.
    fn order(&self) -> Vec<&[bool; THRESHOLDS]> {
        let mut order: Vec<&(f64, [bool; THRESHOLDS])> = self.predictions.iter().collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        order.into_iter().map(|(_, found)| found).collect()
    }

    fn at(&self, order: &[&[bool; THRESHOLDS]], place: usize) -> Option<f64> {
        if self.reference_masks == 0 {
            return None;
        }
        let mut found = 0_u64;
        let mut curve: Vec<(f64, f64)> = Vec::with_capacity(order.len());
        for (index, hits) in order.iter().enumerate() {
            found += u64::from(hits.get(place).copied().unwrap_or_default());
            let recall = found as f64 / self.reference_masks as f64;
            curve.push((recall, found as f64 / ((index + 1) as f64 + f64::EPSILON)));
        }
        // Precision at a recall is the best at that recall or a higher one.
        let mut best = 0.0_f64;
        for (_, precision) in curve.iter_mut().rev() {
            best = best.max(*precision);
            *precision = best;
        }
        let step = 1.0 / RECALL_STEPS as f64;
        let precision_at = |hundredth: usize| {
            let recall = if hundredth == RECALL_STEPS {
                1.0
            } else {
                hundredth as f64 * step
            };
            let first = curve.partition_point(|(reached, _)| *reached < recall);
            curve.get(first).map_or(0.0, |(_, precision)| *precision)
        };
        let sum: f64 = (0..=RECALL_STEPS).map(precision_at).sum();
        Some(sum / (RECALL_STEPS + 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::super::sample::rect;
    use super::*;

    type Image<'a> = (&'a [(Rle, f64)], &'a [Rle]);

    fn ap(images: &[Image<'_>]) -> (Option<f64>, Option<f64>) {
        let mut figures = AveragePrecision::default();
        for (predicted, reference) in images {
            figures.add(predicted, reference).unwrap();
        }
        (figures.ap50(), figures.ap())
    }

    #[test]
    fn precision_is_as_computed_by_hand() {
        let (left, right, most) = (rect(0, 0, 5, 10), rect(5, 0, 5, 10), rect(0, 0, 5, 8));
        assert_eq!(ap(&[]), (None, None));
        assert_eq!(ap(&[(&[(left.clone(), 1.0)], &[])]), (None, None));
        assert_eq!(ap(&[(&[], from_ref(&left))]), (Some(0.0), Some(0.0)));
        let (ap50, all) = ap(&[(&[(left.clone(), 1.0)], from_ref(&left))]);
        assert!((ap50.unwrap() - 1.0).abs() < 1e-9 && (all.unwrap() - 1.0).abs() < 1e-9);
        // An IoU of 0.8 reaches seven of the ten thresholds.
        let (ap50, all) = ap(&[(&[(most, 1.0)], from_ref(&left))]);
        assert!((ap50.unwrap() - 1.0).abs() < 1e-9 && (all.unwrap() - 0.7).abs() < 1e-9);
        // One of two found: recall reaches 0.5, which is 51 of 101 places.
        let (ap50, _) = ap(&[(&[(left.clone(), 1.0)], &[left.clone(), right.clone()])]);
        assert!((ap50.unwrap() - 51.0 / 101.0).abs() < 1e-9);
        // A wrong one that is more confident halves the precision; repeats come last and cost nothing.
        let (ap50, _) = ap(&[(&[(right, 0.9), (left.clone(), 0.8), (left.clone(), 0.1)], &[left])]);
        assert!((ap50.unwrap() - 0.5).abs() < 1e-9);
    }

    #[test]
    fn thresholds_are_those_of_numpy() {
        let bits: Vec<u64> = (0..THRESHOLDS).map(|place| threshold(place).to_bits()).collect();
        let expected = [0.5_f64, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95].map(f64::to_bits);
        let near = bits.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1);
        assert!(near, "{bits:?}");
    }
}
