//! Binary masks: which pixels of an image belong to a region, packed 64 to a word.
//!
//! [`Mask`] is the truth that everything else is derived from: [`Rle`] stores it, [`MaskPolygon`] draws and
//! exports it, [`Components`] splits it, [`metrics`] compares it.
//! Nothing here needs weights, files or threads; every operation works on whole words or on runs of pixels,
//! never pixel by pixel, except where a closure asks for pixels.
//!
//! Operations on two masks want both of one size and answer [`MaskError::SizeMismatch`] otherwise.

mod bits;
mod boolean;
mod components;
mod distance;
mod error;
mod fill;
pub mod metrics;
mod morphology;
mod placement;
mod polygon;
mod rle;
mod runs;
#[cfg(test)]
mod sample;
mod trace;

pub use components::{Component, Components, Connectivity};
pub use distance::InnermostPixel;
pub use error::MaskError;
pub use fill::FillRule;
pub use morphology::Border;
pub use polygon::{MaskPolygon, polygons_from_coco};
pub use rle::Rle;
pub use runs::RowRuns;

use crate::geometry::{ImageSize, PixelRect};
use bits::{WORD_BITS, tail_ones, words_for};
use std::fmt;
use std::ops::Range;

/// Most pixels along one side of a mask.
pub const MAX_SIDE: u32 = 1 << 20;

/// Most pixels of a mask; with [`MAX_SIDE`] it bounds a raster to 136 MiB, whatever a file claims.
pub const MAX_AREA: u64 = 1 << 30;

/// A set of pixels of an image of known, non-zero size.
///
/// Rows are stored top to bottom, each padded to whole 64-bit words; column `x` is bit `x % 64` (lowest first)
/// of word `x / 64` of its row, and the padding is always zero.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mask {
    size: ImageSize,
    words_per_row: usize,
    words: Vec<u64>,
}

impl Mask {
    /// A mask without any pixel set.
    ///
    /// # Errors
    /// [`MaskError::EmptySize`] and [`MaskError::TooLarge`], as for every constructor.
    pub fn empty(size: ImageSize) -> Result<Self, MaskError> {
        check_size(size)?;
        Ok(Self::blank(size))
    }

    /// [`Mask::empty`] for a size that has been checked.
    fn blank(size: ImageSize) -> Self {
        let words_per_row = words_for(size.width);
        Self {
            size,
            words_per_row,
            words: vec![0; words_per_row * size.height as usize],
        }
    }

    /// A mask with every pixel set.
    ///
    /// # Errors
    /// As for [`Mask::empty`].
    pub fn full(size: ImageSize) -> Result<Self, MaskError> {
        Ok(Self::empty(size)?.complement())
    }

    /// The mask of the pixels (`x`, `y`) for which `is_set` answers true.
    ///
    /// # Errors
    /// As for [`Mask::empty`].
    pub fn from_fn(size: ImageSize, mut is_set: impl FnMut(u32, u32) -> bool) -> Result<Self, MaskError> {
        let mut mask = Self::empty(size)?;
        for (y, row) in (0..size.height).zip(mask.words.chunks_exact_mut(mask.words_per_row)) {
            for (start, word) in (0..size.width).step_by(WORD_BITS as usize).zip(row) {
                for bit in 0..WORD_BITS.min(size.width - start) {
                    *word |= u64::from(is_set(start + bit, y)) << bit;
                }
            }
        }
        Ok(mask)
    }

    /// The mask of the samples for which `is_set` answers true, such as logits above zero; row-major, one
    /// sample per pixel.
    ///
    /// # Errors
    /// As for [`Mask::empty`], and [`MaskError::WrongLength`].
    pub fn from_samples<T>(
        size: ImageSize,
        samples: &[T],
        is_set: impl Fn(&T) -> bool,
    ) -> Result<Self, MaskError> {
        let pack = |samples: &[T]| {
            samples
                .iter()
                .enumerate()
                .fold(0, |word, (bit, sample)| word | u64::from(is_set(sample)) << bit)
        };
        Self::from_packed_rows(size, samples, pack)
    }

    /// The mask of the bytes that are not zero; row-major, one byte per pixel.
    ///
    /// # Errors
    /// As for [`Mask::empty`], and [`MaskError::WrongLength`].
    pub fn from_bytes(size: ImageSize, bytes: &[u8]) -> Result<Self, MaskError> {
        Self::from_packed_rows(size, bytes, |bytes| {
            let (eights, rest) = bytes.as_chunks::<8>();
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            let packed = eights.iter().chain((!rest.is_empty()).then_some(&last));
            packed.enumerate().fold(0, |word, (index, &eight)| {
                word | u64::from(bits::pack_bytes(eight)) << (8 * index)
            })
        })
    }

    fn from_packed_rows<T>(
        size: ImageSize,
        samples: &[T],
        pack: impl Fn(&[T]) -> u64,
    ) -> Result<Self, MaskError> {
        check_size(size)?;
        if samples.len() as u64 != size.area() {
            return Err(MaskError::WrongLength {
                size,
                found: samples.len(),
            });
        }
        let mut mask = Self::blank(size);
        let sample_rows = samples.chunks_exact(size.width as usize);
        for (row, sample_row) in mask.words.chunks_exact_mut(mask.words_per_row).zip(sample_rows) {
            for (word, samples) in row.iter_mut().zip(sample_row.chunks(WORD_BITS as usize)) {
                *word = pack(samples);
            }
        }
        Ok(mask)
    }

    /// The union of `rects`, each clipped to the mask.
    ///
    /// # Errors
    /// As for [`Mask::empty`].
    pub fn from_rects(size: ImageSize, rects: &[PixelRect]) -> Result<Self, MaskError> {
        let mut mask = Self::empty(size)?;
        for &rect in rects {
            mask.fill_rect(rect, true);
        }
        Ok(mask)
    }

    /// One byte per pixel, row-major: 1 if set, 0 if not.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let width = self.size.width as usize;
        let mut bytes = vec![0; width * self.size.height as usize];
        for (row, byte_row) in self.rows().zip(bytes.chunks_exact_mut(width)) {
            for (word, bytes) in row.iter().zip(byte_row.chunks_mut(WORD_BITS as usize)) {
                let packed = word.to_le_bytes();
                let (eights, rest) = bytes.as_chunks_mut::<8>();
                for (eight, &packed) in eights.iter_mut().zip(&packed) {
                    *eight = bits::unpack_bytes(packed);
                }
                if let Some(&packed) = packed.get(eights.len()) {
                    rest.copy_from_slice(&bits::unpack_bytes(packed)[..rest.len()]);
                }
            }
        }
        bytes
    }

    /// Width and height in pixels.
    #[must_use]
    pub const fn size(&self) -> ImageSize {
        self.size
    }

    /// Whether pixel (`x`, `y`) is set; pixels outside the mask are not.
    #[must_use]
    pub fn get(&self, x: u32, y: u32) -> bool {
        x < self.size.width
            && y < self.size.height
            && self.row(y)[(x / WORD_BITS) as usize] >> (x % WORD_BITS) & 1 == 1
    }

    /// Sets or clears pixel (`x`, `y`); pixels outside the mask are left alone.
    pub fn set(&mut self, x: u32, y: u32, value: bool) {
        if x < self.size.width {
            self.fill_run(y, x..x + 1, value);
        }
    }

    /// Sets or clears the columns `columns` of row `y`, clipped to the mask.
    pub fn fill_run(&mut self, y: u32, columns: Range<u32>, value: bool) {
        if y < self.size.height {
            let end = columns.end.min(self.size.width);
            bits::fill(self.row_mut(y), columns.start..end, value);
        }
    }

    /// Sets or clears every pixel of `rect`, clipped to the mask.
    pub fn fill_rect(&mut self, rect: PixelRect, value: bool) {
        for y in rect.y..rect.bottom().min(self.size.height) {
            self.fill_run(y, rect.x..rect.right(), value);
        }
    }

    /// Number of set pixels.
    #[must_use]
    pub fn area(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Whether no pixel is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The smallest box around all set pixels, `None` for an empty mask.
    #[must_use]
    pub fn bounding_box(&self) -> Option<PixelRect> {
        let is_occupied = |row: &[u64]| row.iter().any(|&word| word != 0);
        let top = self.rows().position(is_occupied)?;
        let bottom = self.rows().rposition(is_occupied)? + 1;
        let mut columns = vec![0; self.words_per_row];
        for row in
            self.words[top * self.words_per_row..bottom * self.words_per_row].chunks_exact(self.words_per_row)
        {
            for (any, word) in columns.iter_mut().zip(row) {
                *any |= word;
            }
        }
        let first = columns.iter().position(|&word| word != 0)?;
        let last = columns.iter().rposition(|&word| word != 0)?;
        let left = first as u32 * WORD_BITS + columns[first].trailing_zeros();
        let right = (last as u32 + 1) * WORD_BITS - columns[last].leading_zeros();
        Some(PixelRect::new(
            left,
            top as u32,
            right - left,
            (bottom - top) as u32,
        ))
    }

    /// The maximal runs of set pixels of row `y` as ranges of columns, left to right; none outside the mask.
    #[must_use]
    pub fn runs(&self, y: u32) -> RowRuns<'_> {
        let row = if y < self.size.height { self.row(y) } else { &[] };
        RowRuns::new(row, self.size.width)
    }

    /// The packed pixels, in the layout that [`Mask`] describes.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Number of words that one row takes in [`Mask::words`].
    #[must_use]
    pub const fn words_per_row(&self) -> usize {
        self.words_per_row
    }

    fn rows(&self) -> std::slice::ChunksExact<'_, u64> {
        self.words.chunks_exact(self.words_per_row)
    }

    fn row(&self, y: u32) -> &[u64] {
        let start = y as usize * self.words_per_row;
        &self.words[start..start + self.words_per_row]
    }

    fn row_mut(&mut self, y: u32) -> &mut [u64] {
        let start = y as usize * self.words_per_row;
        &mut self.words[start..start + self.words_per_row]
    }

    /// Clears the padding of every row, for operations that work on whole words.
    fn clear_padding(&mut self) {
        let ones = tail_ones(self.size.width);
        for row in self.words.chunks_exact_mut(self.words_per_row) {
            if let Some(last) = row.last_mut() {
                *last &= ones;
            }
        }
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mask")
            .field("size", &self.size)
            .field("area", &self.area())
            .field("bounding_box", &self.bounding_box())
            .finish()
    }
}

/// Refuses sizes that no image has before anything is allocated for them.
fn check_size(size: ImageSize) -> Result<(), MaskError> {
    if size.width == 0 || size.height == 0 {
        Err(MaskError::EmptySize { size })
    } else if size.width > MAX_SIDE || size.height > MAX_SIDE || size.area() > MAX_AREA {
        Err(MaskError::TooLarge { size })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sample::{cases, drawn, masks};

    #[test]
    fn sizes_are_checked_before_anything_is_allocated() {
        for (width, height) in [(0, 5), (5, 0), (0, 0)] {
            let size = ImageSize::new(width, height);
            assert_eq!(Mask::empty(size), Err(MaskError::EmptySize { size }));
        }
        for (width, height) in [
            (60_000, 60_000),
            (MAX_SIDE + 1, 1),
            (1, u32::MAX),
            (u32::MAX, u32::MAX),
        ] {
            let size = ImageSize::new(width, height);
            assert_eq!(Mask::empty(size), Err(MaskError::TooLarge { size }));
            assert_eq!(Rle::from_compressed(size, ""), Err(MaskError::TooLarge { size }));
            assert_eq!(Mask::from_bytes(size, &[]), Err(MaskError::TooLarge { size }));
        }
        assert!(
            Mask::empty(ImageSize::new(1, MAX_SIDE)).is_ok(),
            "the tallest mask"
        );
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let size = ImageSize::new(3, 2);
        for length in [0, 5, 7] {
            let refused = Err(MaskError::WrongLength { size, found: length });
            assert_eq!(Mask::from_bytes(size, &vec![1; length]), refused);
            assert_eq!(
                Mask::from_samples(size, &vec![1.0; length], |&logit| logit > 0.0),
                refused
            );
        }
    }

    #[test]
    fn pixels_outside_are_neither_set_nor_written() {
        let mut mask = Mask::empty(ImageSize::new(65, 2)).unwrap();
        for (x, y) in [(65, 0), (0, 2), (64 * 2, 1), (u32::MAX, u32::MAX)] {
            mask.set(x, y, true);
            assert!(!mask.get(x, y), "pixel ({x}, {y})");
        }
        mask.fill_rect(PixelRect::new(64, 1, u32::MAX, u32::MAX), true);
        mask.fill_rect(PixelRect::new(u32::MAX, u32::MAX, u32::MAX, u32::MAX), true);
        mask.fill_run(7, 0..9, true);
        assert_eq!(mask.area(), 1);
        assert_eq!(mask.bounding_box(), Some(PixelRect::new(64, 1, 1, 1)));
        assert_eq!(mask.runs(2).next(), None);
    }

    #[test]
    fn rects_are_joined() {
        let rects = [
            PixelRect::new(0, 0, 2, 2),
            PixelRect::new(1, 1, 9, 1),
            PixelRect::new(0, 0, 0, 3),
        ];
        assert_eq!(
            Mask::from_rects(ImageSize::new(4, 3), &rects),
            Ok(drawn("##.. #### ...."))
        );
    }

    proptest! {
        #![proptest_config(cases(200))]

        #[test]
        fn every_constructor_agrees(mask in masks(150)) {
            let bytes = mask.to_bytes();
            prop_assert_eq!(bytes.len() as u64, mask.size().area());
            let scaled: Vec<u8> = bytes.iter().map(|&byte| byte * 200).collect();
            prop_assert_eq!(&Mask::from_bytes(mask.size(), &scaled).unwrap(), &mask);
            let logits: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) - 0.5).collect();
            prop_assert_eq!(&Mask::from_samples(mask.size(), &logits, |&logit| logit > 0.0).unwrap(), &mask);
            let mut painted = Mask::full(mask.size()).unwrap();
            for y in 0..mask.size().height {
                for x in 0..mask.size().width {
                    painted.set(x, y, mask.get(x, y));
                }
            }
            prop_assert_eq!(&painted, &mask);
        }

        #[test]
        fn area_box_and_runs_match_the_pixels(mask in masks(150)) {
            let ImageSize { width, height } = mask.size();
            let set: Vec<(u32, u32)> = (0..height)
                .flat_map(|y| (0..width).map(move |x| (x, y)))
                .filter(|&(x, y)| mask.get(x, y))
                .collect();
            prop_assert_eq!(mask.area(), set.len() as u64);
            prop_assert_eq!(mask.is_empty(), set.is_empty());
            let bounds = set.iter().map(|&(x, y)| PixelRect::new(x, y, 1, 1)).reduce(PixelRect::union);
            prop_assert_eq!(mask.bounding_box(), bounds);
            for y in 0..height {
                let runs: Vec<_> = mask.runs(y).collect();
                let columns: Vec<u32> = runs.iter().cloned().flatten().collect();
                let expected: Vec<u32> = (0..width).filter(|&x| mask.get(x, y)).collect();
                prop_assert_eq!(columns, expected);
                prop_assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start), "runs are maximal");
            }
        }
    }
}
