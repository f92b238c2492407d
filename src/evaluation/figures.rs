//! Averages of IoUs, over all masks and over kinds of masks.

use crate::mask::Mask;

/// Areas, in pixels of the image, at which COCO divides small, medium and large objects.
const SMALL_BELOW: u64 = 32 * 32;
const LARGE_FROM: u64 = 96 * 96;
/// A mask is thin if no pixel of it lies deeper than this share of the diagonal of its bounding box.
const THIN_DEPTH: f32 = 0.06;

/// A running mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    /// Takes one value in.
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// The mean, or `None` of nothing.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    /// Number of values.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// What kind of mask it is, which decides the averages it goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    size: SizeClass,
    is_thin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SizeClass {
    Small,
    Medium,
    Large,
}

impl Kind {
    pub(super) fn of(mask: &Mask) -> Self {
        let size = match mask.area() {
            ..SMALL_BELOW => SizeClass::Small,
            SMALL_BELOW..LARGE_FROM => SizeClass::Medium,
            LARGE_FROM.. => SizeClass::Large,
        };
        let diagonal = mask
            .bounding_box()
            .map_or(0.0, |bounds| (bounds.width as f32).hypot(bounds.height as f32));
        let depth = mask.innermost_pixel().map_or(0.0, |pixel| pixel.distance_px);
        Self {
            size,
            is_thin: depth < THIN_DEPTH * diagonal,
        }
    }
}

/// How well masks came back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RoundTrip {
    /// Mean IoU of all masks.
    pub iou: Mean,
    /// Share of masks with an IoU of at least 0.5.
    pub iou_50: Mean,
    /// Share of masks with an IoU of at least 0.75.
    pub iou_75: Mean,
    /// Mean IoU of masks under 32 x 32 pixels of area.
    pub small: Mean,
    /// Mean IoU of masks from there to under 96 x 96.
    pub medium: Mean,
    /// Mean IoU of larger masks.
    pub large: Mean,
    /// Mean IoU of masks of any size that are thin everywhere.
    pub thin: Mean,
    /// Mean boundary IoU, with a band of 2 % of the image's diagonal.
    pub boundary_iou: Mean,
}

impl RoundTrip {
    pub(super) fn add(&mut self, kind: Kind, iou: f64, boundary_iou: f64) {
        self.iou.add(iou);
        self.iou_50.add(f64::from(u8::from(iou >= 0.5)));
        self.iou_75.add(f64::from(u8::from(iou >= 0.75)));
        match kind.size {
            SizeClass::Small => self.small.add(iou),
            SizeClass::Medium => self.medium.add(iou),
            SizeClass::Large => self.large.add(iou),
        }
        if kind.is_thin {
            self.thin.add(iou);
        }
        self.boundary_iou.add(boundary_iou);
    }
}

/// Mean IoUs of answered prompts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prompted {
    /// After one click in the middle.
    pub click1: Mean,
    /// After three clicks, each of the later ones in the middle of the largest mistake.
    pub click3: Mean,
    /// After five.
    pub click5: Mean,
    /// For the bounding box alone.
    pub bounding_box: Mean,
}

/// How often each code was used, depth by depth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeUse {
    /// `counts[depth][code]`.
    pub counts: Vec<Vec<u64>>,
}

impl CodeUse {
    pub(super) fn new(depth: usize, size: usize) -> Self {
        Self {
            counts: vec![vec![0; size]; depth],
        }
    }

    pub(super) fn add(&mut self, codes: impl IntoIterator<Item = Option<u32>>) {
        for (counts, code) in self.counts.iter_mut().zip(codes) {
            if let Some(count) = code.and_then(|code| counts.get_mut(code as usize)) {
                *count += 1;
            }
        }
    }

    /// Codes that were used at least once, by depth.
    #[must_use]
    pub fn used(&self) -> Vec<usize> {
        self.counts
            .iter()
            .map(|counts| counts.iter().filter(|count| **count > 0).count())
            .collect()
    }

    /// Exponential of the entropy of the use, by depth: as many equally used codes would be as varied.
    #[must_use]
    pub fn perplexity(&self) -> Vec<f64> {
        let entropy = |counts: &Vec<u64>| -> f64 {
            let total = counts.iter().sum::<u64>().max(1) as f64;
            let used = counts.iter().filter(|count| **count > 0);
            used.map(|count| *count as f64 / total).map(|p| -p * p.ln()).sum()
        };
        self.counts.iter().map(|counts| entropy(counts).exp()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ImageSize;

    #[test]
    fn masks_go_into_the_averages_of_their_kind() {
        let size = ImageSize::new(200, 200);
        let square = |side: u32| Mask::from_fn(size, |x, y| x < side && y < side).unwrap();
        let line = Mask::from_fn(size, |x, y| x < 180 && (10..14).contains(&y)).unwrap();
        let mut figures = RoundTrip::default();
        for (mask, iou) in [
            (square(31), 0.2),
            (square(32), 0.4),
            (square(96), 0.6),
            (line, 0.8),
        ] {
            figures.add(Kind::of(&mask), iou, iou / 2.0);
        }
        let rounded = |mean: Mean| mean.value().map(|value| (value * 100.0).round());
        assert_eq!(rounded(figures.iou), Some(50.0));
        assert_eq!(
            (
                rounded(figures.small),
                rounded(figures.medium),
                rounded(figures.large),
                rounded(figures.thin)
            ),
            (Some(50.0), Some(40.0), Some(60.0), Some(80.0)),
            "the line of 720 pixels is small and thin"
        );
        assert_eq!(
            (rounded(figures.iou_50), rounded(figures.iou_75)),
            (Some(50.0), Some(25.0))
        );
        assert_eq!(rounded(figures.boundary_iou), Some(25.0));
        assert_eq!(Mean::default().value(), None);
    }

    #[test]
    fn perplexity_counts_equally_used_codes() {
        let mut codes = CodeUse::new(2, 8);
        for i in 0..12 {
            codes.add([Some(i % 4), None]);
        }
        assert_eq!(codes.used(), [4, 0]);
        assert!(
            (codes.perplexity()[0] - 4.0).abs() < 1e-9,
            "{:?}",
            codes.perplexity()
        );
    }
}
