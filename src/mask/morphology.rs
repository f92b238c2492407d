//! Growing and shrinking a mask, and the boundary band that boundary IoU compares.

use super::{Mask, bits};
use crate::geometry::{ImageSize, PixelRect};

/// What the pixels beyond the edge of the image count as when a mask shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Border {
    /// Background: a region also shrinks away from the edge of the image.
    Background,
    /// The same as the region: the edge of the image does not eat into it.
    Region,
}

impl Mask {
    /// The mask grown by a disc: every pixel at most `radius_px` from a set pixel, centre to centre.
    ///
    /// A radius that is negative or not a number changes nothing.
    #[must_use]
    pub fn dilate(&self, radius_px: f32) -> Self {
        let mut grown = self.clone();
        let Some(disc) = Disc::new(radius_px, self) else {
            return grown;
        };
        let mut row = vec![0; self.words_per_row];
        for y in 0..self.size.height {
            let Some(first) = self.row(y).iter().position(|&word| word != 0) else {
                continue;
            };
            let Some(last) = self.row(y).iter().rposition(|&word| word != 0) else {
                continue;
            };
            let reach = bits::words_for(disc.half_width(0));
            let words = first.saturating_sub(reach)..(last + 1 + reach).min(self.words_per_row);
            let row = &mut row[words.clone()];
            row.copy_from_slice(&self.row(y)[words.clone()]);
            let mut half_width = 0;
            // From the disc's far rows inwards its chords only get longer, so one buffer grows along.
            for dy in (0..=disc.last_row).rev() {
                let wanted = disc.half_width(dy);
                widen(row, wanted - half_width);
                half_width = wanted;
                for target_y in [y.checked_sub(dy), Some(y + dy)].into_iter().flatten() {
                    if target_y < self.size.height {
                        for (target, word) in grown.row_mut(target_y)[words.clone()].iter_mut().zip(&*row) {
                            *target |= word;
                        }
                    }
                }
            }
        }
        grown.clear_padding();
        grown
    }

    /// The mask shrunk by a disc: every set pixel that is more than `radius_px` from the background.
    ///
    /// A radius that is negative or not a number changes nothing.
    #[must_use]
    pub fn erode(&self, radius_px: f32, border: Border) -> Self {
        let mut shrunk = self.complement().dilate(radius_px).complement();
        if border == Border::Background {
            // The nearest pixel beyond an edge lies straight across it, one more than the distance to the edge.
            let frame = radius_px as u32;
            let ImageSize { width, height } = self.size;
            shrunk.fill_rect(PixelRect::new(0, 0, width, frame), false);
            shrunk.fill_rect(
                PixelRect::new(0, height.saturating_sub(frame), width, frame),
                false,
            );
            shrunk.fill_rect(PixelRect::new(0, 0, frame, height), false);
            shrunk.fill_rect(
                PixelRect::new(width.saturating_sub(frame), 0, frame, height),
                false,
            );
        }
        shrunk
    }

    /// The band of set pixels within `distance_px` (in the maximum norm) of the background or of the edge of
    /// the image: the mask without its erosion by a 3 x 3 square, repeated `distance_px` times.
    #[must_use]
    pub fn boundary(&self, distance_px: u32) -> Self {
        let mut band = self.erode_square(distance_px);
        for (band, mask) in band.words.iter_mut().zip(&self.words) {
            *band = mask & !*band;
        }
        band
    }

    /// Pixels whose whole square of `2 * distance_px + 1` pixels is set and inside the image.
    fn erode_square(&self, distance_px: u32) -> Self {
        let side = 2 * u64::from(distance_px) + 1;
        if side > u64::from(self.size.width.min(self.size.height)) {
            return Self::blank(self.size);
        }
        let side = side as u32;
        let mut eroded = self.clone();
        let stride = eroded.words_per_row;
        for_each_doubling(side, |step| {
            and_shifted_up(&mut eroded.words, step as usize * stride)
        });
        let offset = distance_px as usize * stride;
        eroded.words.copy_within(..self.words.len() - offset, offset);
        eroded.words[..offset].fill(0);
        for row in eroded
            .words
            .chunks_exact_mut(stride)
            .filter(|row| row.iter().any(|&word| word != 0))
        {
            for_each_doubling(side, |step| bits::and_shifted_left(row, step));
            bits::shift_right(row, distance_px);
        }
        eroded
    }
}

/// The chords of a disc around a pixel centre.
struct Disc {
    radius_squared: f64,
    /// The farthest row from the centre that the disc reaches.
    last_row: u32,
}

impl Disc {
    /// A disc of `radius_px`, `None` if it covers no pixel but its centre; not larger than `mask` can show.
    fn new(radius_px: f32, mask: &Mask) -> Option<Self> {
        let longest = f64::from(mask.size.width) + f64::from(mask.size.height);
        let radius = f64::from(radius_px).min(longest);
        let last_row = (radius as u32).min(mask.size.height - 1);
        (radius_px >= 1.0).then_some(Self {
            radius_squared: radius * radius,
            last_row,
        })
    }

    /// How many pixels the disc reaches to each side, `dy` <= `last_row` rows from its centre.
    fn half_width(&self, dy: u32) -> u32 {
        (self.radius_squared - f64::from(dy) * f64::from(dy)).sqrt() as u32
    }
}

/// Grows every run of `row` by `by` pixels at both ends.
fn widen(row: &mut [u64], by: u32) {
    let mut done = 0;
    while done < by {
        // A longer step would leave gaps next to the ends of the row, where half of a grown run is cut off.
        let step = (by - done).min(done + 1);
        bits::or_shifted_right(row, step);
        bits::or_shifted_left(row, step);
        done += step;
    }
}

/// `words &= words moved by `by` words towards the start`; zeros enter at the end.
fn and_shifted_up(words: &mut [u64], by: usize) {
    let mut rest = words;
    // Pieces of the step's length do not overlap their sources, so each is a loop of whole vectors.
    while rest.len() > by {
        let (piece, next) = rest.split_at_mut(by);
        let (kept, lost) = piece.split_at_mut(by.min(next.len()));
        for (word, moved) in kept.iter_mut().zip(&*next) {
            *word &= moved;
        }
        lost.fill(0);
        rest = next;
    }
    rest.fill(0);
}

/// Calls `combine` with steps so that combining each position with the one a step ahead, again and again,
/// covers a window of `window` positions.
fn for_each_doubling(window: u32, mut combine: impl FnMut(u32)) {
    let mut covered = 1;
    while covered < window {
        let step = covered.min(window - covered);
        combine(step);
        covered += step;
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{cases, drawn, is_sound, masks, naive, pixel};
    use super::*;
    use proptest::prelude::*;

    /// The offsets of every pixel in a disc.
    fn disc(radius: f32) -> Vec<(i64, i64)> {
        let reach = radius.max(0.0) as i64;
        let offsets = (-reach..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dx, dy)));
        offsets
            .filter(|(dx, dy)| (dx * dx + dy * dy) as f64 <= f64::from(radius).powi(2).max(0.0))
            .collect()
    }

    #[test]
    fn discs_are_round() {
        let mut dot = Mask::empty(ImageSize::new(5, 5)).unwrap();
        dot.set(2, 2, true);
        assert_eq!(dot.dilate(1.0), drawn("..... ..#.. .###. ..#.. ....."));
        assert_eq!(dot.dilate(1.5), drawn("..... .###. .###. .###. ....."));
        assert_eq!(dot.dilate(2.0), drawn("..#.. .###. ##### .###. ..#.."));
        assert_eq!(dot.dilate(2.0).erode(2.0, Border::Region), dot);
    }

    #[test]
    fn runs_at_the_edge_grow_without_gaps() {
        for width in [1, 6, 64, 130] {
            for x in [0, width - 1] {
                let mut mask = Mask::empty(ImageSize::new(width, 1)).unwrap();
                mask.set(x, 0, true);
                for radius in 1..2 * width {
                    let reached = mask.dilate(radius as f32).area();
                    assert_eq!(
                        reached,
                        u64::from(width.min(radius + 1)),
                        "{radius} px from {x} of {width}"
                    );
                }
            }
        }
    }

    #[test]
    fn odd_radii_are_harmless() {
        let mask = drawn("##.. ##.. ....");
        for radius in [0.0, -3.0, 0.99, f32::NAN, f32::NEG_INFINITY] {
            assert_eq!(mask.dilate(radius), mask, "radius {radius}");
            assert_eq!(mask.erode(radius, Border::Background), mask, "radius {radius}");
        }
        for radius in [1e9, f32::MAX, f32::INFINITY] {
            assert_eq!(
                mask.dilate(radius),
                Mask::full(mask.size()).unwrap(),
                "radius {radius}"
            );
            assert!(
                mask.erode(radius, Border::Background).is_empty(),
                "radius {radius}"
            );
        }
        let full = Mask::full(mask.size()).unwrap();
        assert_eq!(full.erode(f32::INFINITY, Border::Region), full);
        assert!(full.boundary(0).is_empty(), "a band of no width");
        assert_eq!(full.boundary(u32::MAX), full);
    }

    proptest! {
        #![proptest_config(cases(100))]

        #[test]
        fn discs_match_every_offset(
            // Plain loops over many offsets are slow, so large discs only meet small masks.
            (mask, radius) in prop_oneof![(masks(100), 0.0..9.0_f32), (masks(20), 0.0..70.0_f32)],
        ) {
            let offsets = disc(radius);
            let size = mask.size();
            let (width, height) = (i64::from(size.width), i64::from(size.height));
            let grown = naive(size, |x, y| offsets.iter().any(|(dx, dy)| pixel(&mask, x + dx, y + dy)));
            let dilated = mask.dilate(radius);
            prop_assert!(is_sound(&dilated));
            prop_assert_eq!(dilated, grown);
            for border in [Border::Background, Border::Region] {
                let shrunk = naive(size, |x, y| {
                    offsets.iter().all(|(dx, dy)| {
                        let (x, y) = (x + dx, y + dy);
                        let is_inside = (0..width).contains(&x) && (0..height).contains(&y);
                        if is_inside { pixel(&mask, x, y) } else { border == Border::Region }
                    })
                });
                prop_assert_eq!(mask.erode(radius, border), shrunk);
            }
        }

        #[test]
        fn boundary_is_what_repeated_erosion_takes(mask in masks(100), distance in 0..12_u32) {
            let mut eroded = mask.clone();
            for _ in 0..distance {
                eroded = naive(mask.size(), |x, y| {
                    (-1..=1).all(|dy| (-1..=1).all(|dx| pixel(&eroded, x + dx, y + dy)))
                });
            }
            prop_assert_eq!(mask.boundary(distance), mask.difference(&eroded).unwrap());
        }
    }
}
