//! The figures of referring segmentation: one question, one region or none, over a whole set.

use super::ScoreError;
use super::overlap::{area_of_intersection, union_of};
use crate::mask::Rle;

/// Areas of one sample, in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Areas {
    /// Shared by prediction and reference.
    pub intersection: u64,
    /// Of either.
    pub union: u64,
    /// Of the prediction.
    pub predicted: u64,
    /// Of the reference.
    pub reference: u64,
}

impl Areas {
    /// The areas of the union of the predicted masks and of that of the reference; no masks are an empty one.
    ///
    /// # Errors
    /// [`ScoreError::Size`].
    pub fn of(predicted: &[Rle], reference: &[Rle]) -> Result<Self, ScoreError> {
        let (predicted, reference) = (union_of(predicted)?, union_of(reference)?);
        let area = |mask: &Option<Rle>| mask.as_ref().map_or(0, Rle::area);
        let intersection = match (&predicted, &reference) {
            (Some(predicted), Some(reference)) => area_of_intersection(predicted, reference)?,
            _ => 0,
        };
        let (predicted, reference) = (area(&predicted), area(&reference));
        Ok(Self {
            intersection,
            union: predicted + reference - intersection,
            predicted,
            reference,
        })
    }

    /// Whether nothing in the image fits.
    #[must_use]
    pub const fn has_no_target(&self) -> bool {
        self.reference == 0
    }
}

/// The figures of generalized referring segmentation (gRefCOCO), where a phrase may fit one region, several or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generalized {
    samples: u64,
    iou_sum: f64,
    intersection: u64,
    union: u64,
    /// Samples without a target, and those of them that were left empty.
    without_target: u64,
    left_empty: u64,
    /// Samples with a target, and those of them that were not left empty.
    with_target: u64,
    answered: u64,
}

impl Generalized {
    /// Counts a sample and answers with its share of the gIoU: its IoU, or whether it was rightly left empty.
    pub fn add(&mut self, areas: Areas) -> f64 {
        self.samples += 1;
        self.intersection += areas.intersection;
        self.union += areas.union;
        let iou = if areas.has_no_target() {
            self.without_target += 1;
            self.left_empty += u64::from(areas.predicted == 0);
            f64::from(u8::from(areas.predicted == 0))
        } else {
            self.with_target += 1;
            self.answered += u64::from(areas.predicted > 0);
            areas.intersection as f64 / (areas.union as f64 + 1e-8)
        };
        self.iou_sum += iou;
        iou
    }

    /// The mean over samples of the IoU, 1 and 0 for samples without a target; `None` without samples.
    #[must_use]
    pub fn giou(&self) -> Option<f64> {
        mean(self.iou_sum, self.samples)
    }

    /// All intersections over all unions; a wrong answer where there is no target adds to the union.
    #[must_use]
    pub fn ciou(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.intersection as f64 / (self.union as f64 + 1e-10))
    }

    /// The share of samples without a target that were left empty.
    #[must_use]
    pub fn n_acc(&self) -> Option<f64> {
        mean(self.left_empty as f64, self.without_target)
    }

    /// The share of samples with a target that were not left empty.
    #[must_use]
    pub fn t_acc(&self) -> Option<f64> {
        mean(self.answered as f64, self.with_target)
    }

    /// Samples so far.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }
}

/// The figures of RefCOCO, RefCOCO+, RefCOCOg and ReasonSeg, where every phrase fits a region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plain {
    samples: u64,
    iou_sum: f64,
    intersection: u64,
    union: u64,
}

impl Plain {
    /// Counts a sample and answers with its IoU; where both are empty, that is 1.
    pub fn add(&mut self, areas: Areas) -> f64 {
        let iou = if areas.union == 0 {
            1.0
        } else {
            areas.intersection as f64 / (areas.union as f64 + 1e-5)
        };
        self.samples += 1;
        self.iou_sum += iou;
        self.intersection += areas.intersection;
        self.union += areas.union;
        iou
    }

    /// The mean over samples of the IoU; `None` without samples.
    #[must_use]
    pub fn miou(&self) -> Option<f64> {
        mean(self.iou_sum, self.samples)
    }

    /// All intersections over all unions; `None` without a pixel.
    #[must_use]
    pub fn ciou(&self) -> Option<f64> {
        mean(self.intersection as f64, self.union)
    }

    /// Samples so far.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }
}

fn mean(sum: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::super::sample::rect;
    use super::*;

    fn near(found: Option<f64>, expected: Option<f64>) {
        let is_near = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-9,
            (found, expected) => found == expected,
        };
        assert!(is_near, "{found:?} instead of {expected:?}");
    }

    #[test]
    fn areas_are_those_of_unions() {
        let (left, right, all) = (rect(0, 0, 5, 10), rect(5, 0, 5, 10), rect(0, 0, 10, 10));
        let of = |predicted: &[Rle], reference: &[Rle]| {
            let areas = Areas::of(predicted, reference).unwrap();
            (areas.intersection, areas.union)
        };
        assert_eq!(of(&[left.clone(), right.clone()], from_ref(&all)), (100, 100));
        assert_eq!(of(&[left.clone(), left.clone()], from_ref(&right)), (0, 100));
        assert_eq!(of(&[], from_ref(&right)), (0, 50));
        assert_eq!(of(&[all], &[]), (0, 100));
        assert_eq!(of(&[], &[]), (0, 0));
        assert!(Areas::of(&[], &[rect(0, 0, 0, 0)]).unwrap().has_no_target());
    }

    /// Samples one after the other, with gIoU, cIoU, N-acc and T-acc by hand after each.
    #[test]
    fn generalized_figures_are_as_computed_by_hand() {
        let areas = |intersection, union, predicted, reference| Areas {
            intersection,
            union,
            predicted,
            reference,
        };
        let mut figures = Generalized::default();
        near(figures.giou(), None);
        near(figures.ciou(), None);
        let steps = [
            // A target half found.
            (
                areas(50, 100, 100, 50),
                0.5,
                [Some(0.5), Some(0.5), None, Some(1.0)],
            ),
            // No target, rightly left empty.
            (
                areas(0, 0, 0, 0),
                1.0,
                [Some(0.75), Some(0.5), Some(1.0), Some(1.0)],
            ),
            // No target, answered: its area goes into the union.
            (
                areas(0, 100, 100, 0),
                0.0,
                [Some(0.5), Some(0.25), Some(0.5), Some(1.0)],
            ),
            // A target that was not seen.
            (
                areas(0, 50, 0, 50),
                0.0,
                [Some(0.375), Some(0.2), Some(0.5), Some(0.5)],
            ),
            // A target fully found.
            (
                areas(50, 50, 50, 50),
                1.0,
                [Some(0.5), Some(1.0 / 3.0), Some(0.5), Some(2.0 / 3.0)],
            ),
        ];
        for (areas, share, [giou, ciou, n_acc, t_acc]) in steps {
            near(Some(figures.add(areas)), Some(share));
            near(figures.giou(), giou);
            near(figures.ciou(), ciou);
            near(figures.n_acc(), n_acc);
            near(figures.t_acc(), t_acc);
        }
        assert_eq!(figures.samples(), 5);
    }

    #[test]
    fn plain_figures_are_as_computed_by_hand() {
        let mut figures = Plain::default();
        near(figures.miou(), None);
        near(figures.ciou(), None);
        assert_eq!(figures.add(Areas::default()), 1.0);
        near(figures.ciou(), None);
        let found = figures.add(Areas {
            intersection: 30,
            union: 40,
            predicted: 35,
            reference: 35,
        });
        near(Some(found), Some(30.0 / (40.0 + 1e-5)));
        figures.add(Areas {
            intersection: 0,
            union: 60,
            predicted: 30,
            reference: 30,
        });
        near(figures.miou(), Some((1.0 + 30.0 / (40.0 + 1e-5)) / 3.0));
        near(figures.ciou(), Some(0.3));
        assert_eq!(figures.samples(), 3);
    }
}
