//! Moving pixels about: cropping, pasting, shifting and resizing a mask.

use super::{Mask, MaskError, bits};
use crate::geometry::{ImageSize, PixelRect};
use std::ops::Range;

impl Mask {
    /// The part inside `rect` as a mask of its own.
    ///
    /// # Errors
    /// [`MaskError::RectOutside`] if `rect` is empty or reaches outside the mask.
    pub fn crop(&self, rect: PixelRect) -> Result<Self, MaskError> {
        if PixelRect::covering(self.size).intersection(rect) != Some(rect) {
            return Err(MaskError::RectOutside {
                rect,
                size: self.size,
            });
        }
        let mut cropped = Self::blank(rect.size());
        for y in 0..rect.height {
            let row = self.row(rect.y + y);
            bits::copy(row, i64::from(rect.x), cropped.row_mut(y), 0..rect.width);
        }
        Ok(cropped)
    }

    /// Replaces the pixels under `other` by those of `other`, whose top-left pixel goes to (`x`, `y`); what
    /// falls outside this mask is ignored.
    pub fn paste(&mut self, other: &Self, x: i32, y: i32) {
        let columns = placed(other.size.width, x, self.size.width);
        for row in placed(other.size.height, y, self.size.height) {
            let source = other.row((i64::from(row) - i64::from(y)) as u32);
            let source_start = i64::from(columns.start) - i64::from(x);
            bits::copy(source, source_start, self.row_mut(row), columns.clone());
        }
    }

    /// The mask moved by `dx` pixels to the right and `dy` down; pixels pushed over the edge are lost.
    #[must_use]
    pub fn translate(&self, dx: i32, dy: i32) -> Self {
        let mut moved = Self::blank(self.size);
        moved.paste(self, dx, dy);
        moved
    }

    /// The mask scaled to `size`, each pixel taking the value of the pixel under its centre (as Pillow's
    /// `NEAREST` does): column `x` comes from column `floor((x + 0.5) * old_width / new_width)`.
    ///
    /// # Errors
    /// As for [`Mask::empty`].
    pub fn resize_nearest(&self, size: ImageSize) -> Result<Self, MaskError> {
        let mut resized = Self::empty(size)?;
        let mut previous: Option<u32> = None;
        for y in 0..size.height {
            let source_y = source_of(y, self.size.height, size.height);
            if previous == Some(source_y) {
                let end = y as usize * resized.words_per_row;
                resized.words.copy_within(end - resized.words_per_row..end, end);
                continue;
            }
            previous = Some(source_y);
            for run in self.runs(source_y) {
                let first = |column| first_from(column, self.size.width, size.width);
                resized.fill_run(y, first(run.start)..first(run.end), true);
            }
        }
        Ok(resized)
    }
}

/// Where `length` pixels starting at `start` fall among `0..limit`.
fn placed(length: u32, start: i32, limit: u32) -> Range<u32> {
    let clip = |position: i64| position.clamp(0, i64::from(limit)) as u32;
    clip(i64::from(start))..clip(i64::from(start) + i64::from(length))
}

/// The source index under the centre of target index `target`.
fn source_of(target: u32, source_length: u32, target_length: u32) -> u32 {
    ((2 * u64::from(target) + 1) * u64::from(source_length) / (2 * u64::from(target_length))) as u32
}

/// The first target index whose source index is at least `source`.
fn first_from(source: u32, source_length: u32, target_length: u32) -> u32 {
    let doubled_centre =
        (2 * u64::from(source) * u64::from(target_length)).div_ceil(u64::from(source_length));
    (doubled_centre / 2) as u32
}

#[cfg(test)]
mod tests {
    use super::super::sample::{cases, is_sound, masks, naive, pixel, sizes};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn crop_refuses_what_is_outside() {
        let size = ImageSize::new(10, 4);
        let mask = Mask::full(size).unwrap();
        let outside = [
            (0, 0, 11, 4),
            (0, 0, 0, 1),
            (0, 0, 1, 0),
            (9, 3, 2, 1),
            (1, 1, u32::MAX, 1),
            (10, 4, 1, 1),
        ];
        for (x, y, width, height) in outside {
            let rect = PixelRect::new(x, y, width, height);
            assert_eq!(mask.crop(rect), Err(MaskError::RectOutside { rect, size }));
        }
        assert_eq!(mask.crop(PixelRect::covering(size)), Ok(mask));
    }

    #[test]
    fn resizing_is_bounded_and_exact() {
        let mask = Mask::full(ImageSize::new(3, 3)).unwrap();
        let size = ImageSize::new(60_000, 60_000);
        assert_eq!(mask.resize_nearest(size), Err(MaskError::TooLarge { size }));
    }

    proptest! {
        #![proptest_config(cases(150))]

        #[test]
        fn crop_takes_a_window(mask in masks(140), corner in any::<[prop::sample::Index; 4]>()) {
            let ImageSize { width, height } = mask.size();
            let [x, y, right, bottom] = corner;
            let (x, y) = (x.index(width as usize) as u32, y.index(height as usize) as u32);
            let cropped_width = right.index((width - x) as usize) as u32 + 1;
            let cropped_height = bottom.index((height - y) as usize) as u32 + 1;
            let cropped = mask.crop(PixelRect::new(x, y, cropped_width, cropped_height)).unwrap();
            let expected = Mask::from_fn(cropped.size(), |column, row| mask.get(x + column, y + row)).unwrap();
            prop_assert_eq!(cropped, expected);
        }

        #[test]
        fn paste_replaces_a_window(
            target in masks(140), source in masks(90), x in -150..150_i32, y in -150..150_i32,
        ) {
            let ImageSize { width, height } = source.size();
            let expected = naive(target.size(), |column, row| {
                let (column_inside, row_inside) = (column - i64::from(x), row - i64::from(y));
                if (0..i64::from(width)).contains(&column_inside) && (0..i64::from(height)).contains(&row_inside) {
                    pixel(&source, column_inside, row_inside)
                } else {
                    pixel(&target, column, row)
                }
            });
            let mut pasted = target;
            pasted.paste(&source, x, y);
            prop_assert_eq!(pasted, expected);
        }

        #[test]
        fn translate_moves_pixels(mask in masks(140), dx in -150..150_i32, dy in -150..150_i32) {
            let moved = mask.translate(dx, dy);
            prop_assert!(is_sound(&moved));
            let expected = naive(mask.size(), |x, y| pixel(&mask, x - i64::from(dx), y - i64::from(dy)));
            prop_assert_eq!(moved, expected);
            prop_assert!(mask.translate(i32::MIN, 0).is_empty());
            prop_assert!(mask.translate(0, i32::MAX).is_empty());
        }

        #[test]
        fn resize_takes_the_pixel_under_the_centre(mask in masks(140), size in sizes(200)) {
            let source = |target: u32, from: u32, to: u32| (2 * target + 1) * from / (2 * to);
            let expected = Mask::from_fn(size, |x, y| {
                let (from, to) = (mask.size(), size);
                mask.get(source(x, from.width, to.width), source(y, from.height, to.height))
            });
            prop_assert_eq!(mask.resize_nearest(size), expected);
        }
    }
}
