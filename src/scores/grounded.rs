//! The figures of grounded conversations: captions whose phrases have masks.

use super::ScoreError;
use super::average_precision::AveragePrecision;
use super::matching::{greedy_pairs, iou_matrix};
use crate::mask::Rle;

/// The least IoU, and the least similarity of phrases, of a phrase that counts as recalled.
const LEAST: f64 = 0.5;

/// The figures over images that are added one by one.
#[derive(Clone, Debug, Default)]
pub struct Grounded {
    precision: AveragePrecision,
    images: u64,
    miou_sum: f64,
    recalled: u64,
    phrases: u64,
}

/// What was predicted for an image, and what is right.
#[derive(Clone, Copy, Debug, Default)]
pub struct GroundedSample<'a> {
    /// The predicted masks.
    pub predicted: &'a [Rle],
    /// The masks of the reference.
    pub reference: &'a [Rle],
    /// A row for each predicted mask with the similarity, 0 to 1, of its phrase to that of every mask of the
    /// reference; without it, recall is that of masks alone.
    pub similarity: Option<&'a [Vec<f64>]>,
    /// The confidence in each predicted mask; without it, as published, all are equal.
    pub confidence: Option<&'a [f64]>,
}

/// The figures of one image.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GroundedImage {
    /// The mean IoU of masks that were paired one to one, best first; 0 where none overlap.
    pub miou: f64,
    /// Masks of the reference that were recalled.
    pub recalled: u64,
    /// Masks of the reference.
    pub phrases: u64,
}

impl Grounded {
    /// Counts an image.
    ///
    /// # Errors
    /// [`ScoreError`].
    pub fn add(&mut self, sample: GroundedSample<'_>) -> Result<GroundedImage, ScoreError> {
        let GroundedSample {
            predicted,
            reference,
            similarity,
            confidence,
        } = sample;
        let fits = |rows: &[Vec<f64>]| {
            rows.len() == predicted.len() && rows.iter().all(|row| row.len() == reference.len())
        };
        if similarity.is_some_and(|rows| !fits(rows)) {
            return Err(ScoreError::Similarity {
                predicted: predicted.len(),
                reference: reference.len(),
            });
        }
        if let Some(confidence) = confidence.filter(|confidence| confidence.len() != predicted.len()) {
            return Err(ScoreError::Confidence {
                predicted: predicted.len(),
                found: confidence.len(),
            });
        }
        let ious = iou_matrix(predicted, reference)?;
        let pairs = greedy_pairs(&ious, |_, _, _| true);
        let miou = pairs.iter().map(|(.., iou)| iou).sum::<f64>() / pairs.len().max(1) as f64;
        let similar = |row: usize, column: usize| {
            let cell = similarity.and_then(|rows| rows.get(row)?.get(column));
            similarity.is_none() || cell.is_some_and(|similar| *similar >= LEAST)
        };
        // As published, pairs of equal IoU come in the order of the reference, and the first of the best pairs that
        // does not count ends the search.
        let by_reference = transposed(&ious, reference.len());
        let counts = |column: usize, row: usize, iou: f64| iou >= LEAST && similar(row, column);
        let recalled = greedy_pairs(&by_reference, counts).len() as u64;
        let confidence_of = |index: usize| confidence.and_then(|all| all.get(index)).copied().unwrap_or(1.0);
        let scored = predicted.iter().enumerate();
        let scored: Vec<(Rle, f64)> = scored
            .map(|(index, mask)| (mask.clone(), confidence_of(index)))
            .collect();
        self.precision.add(&scored, reference)?;
        let image = GroundedImage {
            miou,
            recalled,
            phrases: reference.len() as u64,
        };
        self.images += 1;
        self.miou_sum += image.miou;
        self.recalled += image.recalled;
        self.phrases += image.phrases;
        Ok(image)
    }

    /// AP at an IoU of 0.5; `None` without a mask of reference.
    #[must_use]
    pub fn ap50(&self) -> Option<f64> {
        self.precision.ap50()
    }

    /// AP, the mean over IoUs from 0.5 to 0.95; `None` without a mask of reference.
    #[must_use]
    pub fn ap(&self) -> Option<f64> {
        self.precision.ap()
    }

    /// The mean over images of the mean IoU of paired masks; `None` without images.
    #[must_use]
    pub fn miou(&self) -> Option<f64> {
        (self.images > 0).then(|| self.miou_sum / self.images as f64)
    }

    /// The share of the reference's masks that were recalled; `None` without any.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        (self.phrases > 0).then(|| self.recalled as f64 / self.phrases as f64)
    }

    /// Images so far.
    #[must_use]
    pub const fn images(&self) -> u64 {
        self.images
    }
}

/// A column for every row.
fn transposed(rows: &[Vec<f64>], columns: usize) -> Vec<Vec<f64>> {
    let column = |column: usize| rows.iter().filter_map(|row| row.get(column).copied()).collect();
    (0..columns).map(column).collect()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::super::sample::rect;
    use super::*;

    fn add(
        figures: &mut Grounded,
        predicted: &[Rle],
        reference: &[Rle],
        similarity: Option<&[Vec<f64>]>,
    ) -> Result<GroundedImage, ScoreError> {
        figures.add(GroundedSample {
            predicted,
            reference,
            similarity,
            confidence: None,
        })
    }

    #[test]
    fn figures_are_as_computed_by_hand() {
        let (left, right, most) = (rect(0, 0, 5, 10), rect(5, 0, 5, 10), rect(0, 0, 5, 8));
        type Case<'a> = (&'a [&'a Rle], &'a [&'a Rle], Option<Vec<Vec<f64>>>, f64, u64);
        let cases: [Case<'_>; 9] = [
            (&[], &[], None, 0.0, 0),
            (&[&left], &[], None, 0.0, 0),
            (&[], &[&left], None, 0.0, 0),
            (&[&left], &[&left], None, 1.0, 1),
            (&[&left], &[&right], None, 0.0, 0),
            // What is not paired costs nothing in the mIoU.
            (&[&left], &[&left, &right], None, 1.0, 1),
            (&[&most, &right], &[&left, &right], None, 0.9, 2),
            (&[&left, &left], &[&left], None, 1.0, 1),
            (
                &[&left, &right],
                &[&left, &right],
                Some(vec![vec![0.9, 0.0], vec![0.0, 0.4]]),
                1.0,
                1,
            ),
        ];
        for (predicted, reference, similarity, miou, recalled) in cases {
            let owned = |masks: &[&Rle]| masks.iter().map(|mask| (*mask).clone()).collect::<Vec<_>>();
            let mut figures = Grounded::default();
            let image = add(
                &mut figures,
                &owned(predicted),
                &owned(reference),
                similarity.as_deref(),
            )
            .unwrap();
            assert!(
                (image.miou - miou).abs() < 1e-12,
                "{} instead of {miou}",
                image.miou
            );
            assert_eq!(image.recalled, recalled);
        }
    }

    #[test]
    fn figures_are_means_over_images_and_phrases() {
        let (left, right) = (rect(0, 0, 5, 10), rect(5, 0, 5, 10));
        let mut figures = Grounded::default();
        assert_eq!(
            (figures.miou(), figures.recall(), figures.ap50()),
            (None, None, None)
        );
        add(
            &mut figures,
            from_ref(&left),
            &[left.clone(), right.clone()],
            None,
        )
        .unwrap();
        add(&mut figures, from_ref(&left), from_ref(&right), None).unwrap();
        assert_eq!(figures.miou(), Some(0.5));
        assert_eq!(figures.recall(), Some(1.0 / 3.0));
        assert_eq!(figures.images(), 2);
        let error = add(&mut figures, &[left], &[right], Some(&[])).unwrap_err();
        assert!(matches!(error, ScoreError::Similarity { .. }));
    }
}
