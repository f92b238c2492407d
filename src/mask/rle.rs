//! COCO run-length encoding, the form in which masks are stored and exchanged.
//!
//! Pixels are counted down the columns, left to right; counts alternate between background and mask and start
//! with background.
//! The raster is row-major, so both directions turn blocks of 64 x 64 pixels over and then work on runs of
//! whole words.

use super::{Mask, MaskError, bits, check_size};
use crate::geometry::{ImageSize, PixelRect};

/// Pixels along the side of a block that is transposed at once.
const BLOCK: usize = bits::WORD_BITS as usize;

/// Five-bit groups that the longest difference of two 32-bit counts takes.
const MAX_GROUPS: u32 = 7;

/// The run lengths of a mask in COCO order.
///
/// The counts always cover the mask exactly and are canonical: no zero except a leading one, so two equal
/// masks have equal RLEs and strings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rle {
    size: ImageSize,
    counts: Vec<u32>,
}

impl Rle {
    /// The RLE of `counts`, COCO's uncompressed form; zero counts are merged away.
    ///
    /// # Errors
    /// [`MaskError::RleSum`] if the counts do not cover `size` exactly, and the errors of [`Mask::empty`].
    pub fn from_counts(size: ImageSize, counts: Vec<u32>) -> Result<Self, MaskError> {
        check_size(size)?;
        let mut covered = 0;
        for &count in &counts {
            covered += u64::from(count);
            if covered > size.area() {
                break;
            }
        }
        if covered != size.area() {
            return Err(MaskError::RleSum { size, found: covered });
        }
        let is_canonical = counts.iter().skip(1).all(|&count| count > 0);
        Ok(Self {
            size,
            counts: if is_canonical {
                counts
            } else {
                merge_zero_counts(&counts)
            },
        })
    }

    /// Reads COCO's compressed string, in which each count is written as its difference to the count two
    /// before (from the fourth on), in groups of five bits, lowest group first.
    ///
    /// # Errors
    /// [`MaskError::RleByte`], [`MaskError::RleTruncated`] and [`MaskError::RleCount`] for a damaged string,
    /// otherwise as for [`Rle::from_counts`].
    pub fn from_compressed(size: ImageSize, text: &str) -> Result<Self, MaskError> {
        check_size(size)?;
        let mut counts: Vec<u32> = Vec::with_capacity(text.len() / 2);
        let (mut value, mut groups) = (0_i64, 0);
        for (offset, byte) in text.bytes().enumerate() {
            let group = byte.wrapping_sub(b'0');
            if group >= 64 {
                return Err(MaskError::RleByte { byte, offset });
            }
            let index = counts.len();
            if groups == MAX_GROUPS {
                return Err(MaskError::RleCount { index });
            }
            value |= i64::from(group & 0x1f) << (5 * groups);
            groups += 1;
            if group & 0x20 != 0 {
                continue;
            }
            if group & 0x10 != 0 {
                value -= 1 << (5 * groups);
            }
            let base = if index > 2 { counts[index - 2] } else { 0 };
            let count = u32::try_from(i64::from(base) + value);
            counts.push(count.ok().ok_or(MaskError::RleCount { index })?);
            (value, groups) = (0, 0);
        }
        if groups > 0 {
            return Err(MaskError::RleTruncated { index: counts.len() });
        }
        Self::from_counts(size, counts)
    }

    /// COCO's compressed string, ASCII from `'0'` to `'o'`.
    #[must_use]
    pub fn to_compressed(&self) -> String {
        let mut text = String::with_capacity(self.counts.len() * 2);
        for (index, &count) in self.counts.iter().enumerate() {
            let base = if index > 2 { self.counts[index - 2] } else { 0 };
            let mut rest = i64::from(count) - i64::from(base);
            loop {
                let group = (rest & 0x1f) as u8;
                rest >>= 5;
                let is_last = rest == if group & 0x10 != 0 { -1 } else { 0 };
                text.push(char::from(b'0' + if is_last { group } else { group | 0x20 }));
                if is_last {
                    break;
                }
            }
        }
        text
    }

    /// Width and height of the mask in pixels; COCO writes them as `[height, width]`.
    #[must_use]
    pub const fn size(&self) -> ImageSize {
        self.size
    }

    /// The run lengths in pixels, background first; COCO's uncompressed form.
    #[must_use]
    pub fn counts(&self) -> &[u32] {
        &self.counts
    }

    /// Number of set pixels, without making a raster.
    #[must_use]
    pub fn area(&self) -> u64 {
        self.counts
            .iter()
            .skip(1)
            .step_by(2)
            .map(|&count| u64::from(count))
            .sum()
    }

    /// The smallest box around all set pixels, without making a raster; `None` for an empty mask.
    #[must_use]
    pub fn bounding_box(&self) -> Option<PixelRect> {
        let height = self.size.height;
        let mut bounds: Option<PixelRect> = None;
        let mut position = 0;
        for pair in self.counts.chunks_exact(2) {
            let (start, last) = (position + pair[0], position + pair[0] + pair[1] - 1);
            position = last + 1;
            let (left, right) = (start / height, last / height);
            // A run that goes on in the next column touches the bottom of one and the top of the other.
            let (top, bottom) = if left == right {
                (start % height, last % height)
            } else {
                (0, height - 1)
            };
            let run = PixelRect::new(left, top, right - left + 1, bottom - top + 1);
            bounds = Some(bounds.map_or(run, |bounds| bounds.union(run)));
        }
        bounds
    }
}

impl Mask {
    /// The column-major run lengths of the mask.
    #[must_use]
    pub fn to_rle(&self) -> Rle {
        let height = self.size.height as usize;
        let words_per_column = height.div_ceil(BLOCK);
        let mut counts = Vec::new();
        let (mut run_start, mut inside) = (0, 0_u64);
        let mut columns = vec![0; words_per_column * BLOCK];
        for strip in 0..self.words_per_row {
            let first_column = strip * BLOCK;
            // Most of a mask is empty, and reading columns is what takes time.
            let mut words = self.words.iter().skip(strip).step_by(self.words_per_row);
            if inside == 0 && words.all(|word| *word == 0) {
                continue;
            }
            self.read_columns(strip, &mut columns);
            let width = BLOCK.min(self.size.width as usize - first_column);
            for (x, column) in columns.chunks_exact(words_per_column).take(width).enumerate() {
                let column_start = (first_column + x) * height;
                for (block, &word) in column.iter().enumerate() {
                    let pixels = BLOCK.min(height - block * BLOCK);
                    let mut changes = (word ^ (word << 1 | inside)) & bits::low_ones(pixels as u32);
                    inside = word >> (pixels - 1) & 1;
                    while changes != 0 {
                        let position = (column_start + block * BLOCK) as u32 + changes.trailing_zeros();
                        counts.push(position - run_start);
                        run_start = position;
                        changes &= changes - 1;
                    }
                }
            }
        }
        counts.push(self.size.area() as u32 - run_start);
        Rle {
            size: self.size,
            counts,
        }
    }

    /// The mask that `rle` describes; cannot fail, because an [`Rle`] is checked when it is made.
    #[must_use]
    pub fn from_rle(rle: &Rle) -> Self {
        let mut mask = Self::blank(rle.size);
        let height = rle.size.height;
        let words_per_column = bits::words_for(height);
        let mut columns = vec![0; words_per_column * BLOCK];
        let (mut x, mut y) = (0, 0);
        let mut is_strip_used = false;
        for (index, &count) in rle.counts.iter().enumerate() {
            let is_set = index % 2 == 1;
            let mut rest = count;
            while rest > 0 {
                let pixels = rest.min(height - y);
                if is_set {
                    let column = &mut columns[x % BLOCK * words_per_column..][..words_per_column];
                    bits::fill(column, y..y + pixels, true);
                    is_strip_used = true;
                }
                rest -= pixels;
                y += pixels;
                if y == height {
                    (x, y) = (x + 1, 0);
                    if x % BLOCK == 0 && is_strip_used {
                        mask.write_columns(x / BLOCK - 1, &mut columns);
                        is_strip_used = false;
                    }
                }
            }
        }
        if is_strip_used {
            mask.write_columns(mask.words_per_row - 1, &mut columns);
        }
        mask
    }

    /// Writes the 64 columns of word `strip` of every row to `columns`, one column after the other.
    fn read_columns(&self, strip: usize, columns: &mut [u64]) {
        let words_per_column = columns.len() / BLOCK;
        for (index, rows) in self.words.chunks(BLOCK * self.words_per_row).enumerate() {
            let mut block = [0; BLOCK];
            for (word, row) in block.iter_mut().zip(rows.chunks_exact(self.words_per_row)) {
                *word = row[strip];
            }
            // Most blocks of a mask are all background or all region and need no turning.
            let is_uniform = matches!(block[0], 0 | u64::MAX) && block.iter().all(|&word| word == block[0]);
            if !is_uniform {
                bits::transpose(&mut block);
            }
            for (column, word) in columns.chunks_exact_mut(words_per_column).zip(block) {
                column[index] = word;
            }
        }
    }

    /// The inverse of [`Mask::read_columns`] for a strip that is still empty; empties `columns`.
    fn write_columns(&mut self, strip: usize, columns: &mut [u64]) {
        let words_per_column = columns.len() / BLOCK;
        for (index, rows) in self.words.chunks_mut(BLOCK * self.words_per_row).enumerate() {
            let mut block = [0; BLOCK];
            for (word, column) in block.iter_mut().zip(columns.chunks_exact_mut(words_per_column)) {
                *word = std::mem::take(&mut column[index]);
            }
            if block.iter().all(|&word| word == 0) {
                continue;
            }
            bits::transpose(&mut block);
            for (row, word) in rows.chunks_exact_mut(self.words_per_row).zip(block) {
                row[strip] = word;
            }
        }
    }
}

/// Joins the runs on both sides of every zero count but a leading one.
fn merge_zero_counts(counts: &[u32]) -> Vec<u32> {
    let mut merged = vec![0];
    for (index, &count) in counts.iter().enumerate().filter(|&(_, &count)| count > 0) {
        let last = merged.len() - 1;
        // Even indices are background, odd ones mask, in the counts given as in the merged ones.
        if index % 2 == last % 2 {
            merged[last] += count;
        } else {
            merged.push(count);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::super::sample::{cases, drawn, masks};
    use super::*;
    use proptest::prelude::*;

    /// Counts by the definition, one pixel after the other.
    fn naive_counts(mask: &Mask) -> Vec<u32> {
        let (mut counts, mut is_set) = (vec![0], false);
        for x in 0..mask.size().width {
            for y in 0..mask.size().height {
                if mask.get(x, y) != is_set {
                    is_set = !is_set;
                    counts.push(0);
                }
                *counts.last_mut().unwrap() += 1;
            }
        }
        counts
    }

    #[test]
    fn strings_are_those_of_coco() {
        let vectors: [(u32, u32, &[u32], &str); 5] = [
            (3, 4, &[5, 2, 2, 2, 1], "5220O"),
            (3, 4, &[0, 12], "0<"),
            (3, 4, &[12], "<"),
            (5, 5, &[0, 1, 11, 1, 11, 1], "01;000"),
            (961, 1397, &[1_338_192, 2, 4318, 5], "`jjX12nV43"),
        ];
        for (width, height, counts, text) in vectors {
            let size = ImageSize::new(width, height);
            let rle = Rle::from_counts(size, counts.to_vec()).unwrap();
            assert_eq!(rle.to_compressed(), text);
            assert_eq!(Rle::from_compressed(size, text), Ok(rle.clone()));
            assert_eq!(Mask::from_rle(&rle).to_rle(), rle);
        }
    }

    #[test]
    fn runs_go_down_the_columns() {
        let rle = drawn("... .## .## ...").to_rle();
        assert_eq!(rle.counts(), [5, 2, 2, 2, 1]);
        assert_eq!(rle.area(), 4);
        assert_eq!(rle.bounding_box(), Some(PixelRect::new(1, 1, 2, 2)));
        assert_eq!(
            drawn(".# ##").to_rle().bounding_box(),
            Some(PixelRect::new(0, 0, 2, 2))
        );
    }

    #[test]
    fn zero_counts_are_merged() {
        let size = ImageSize::new(3, 4);
        let cases: [(&[u32], &[u32]); 6] = [
            (&[5, 0, 3, 2, 2], &[8, 2, 2]),
            (&[0, 4, 0, 8], &[0, 12]),
            (&[12, 0], &[12]),
            (&[0, 0, 12], &[12]),
            (&[0, 0, 0, 12, 0, 0], &[0, 12]),
            (&[1, 2, 0, 0, 3, 6], &[1, 2, 3, 6]),
        ];
        for (counts, merged) in cases {
            assert_eq!(Rle::from_counts(size, counts.to_vec()).unwrap().counts(), merged);
        }
    }

    #[test]
    fn damaged_counts_are_refused() {
        let size = ImageSize::new(3, 4);
        let cases: [(&[u32], u64); 5] = [
            (&[], 0),
            (&[11], 11),
            (&[13], 13),
            (&[u32::MAX, u32::MAX, 1], 4_294_967_295),
            (&[5, 5, 5, 9], 15),
        ];
        for (counts, found) in cases {
            assert_eq!(
                Rle::from_counts(size, counts.to_vec()),
                Err(MaskError::RleSum { size, found })
            );
        }
        let cases = [
            ("", MaskError::RleSum { size, found: 0 }),
            ("=", MaskError::RleSum { size, found: 13 }),
            ("5220", MaskError::RleSum { size, found: 11 }),
            (
                "5 20O",
                MaskError::RleByte {
                    byte: b' ',
                    offset: 1,
                },
            ),
            (
                "52p",
                MaskError::RleByte {
                    byte: b'p',
                    offset: 2,
                },
            ),
            (
                "5\u{e9}",
                MaskError::RleByte {
                    byte: 0xc3,
                    offset: 1,
                },
            ),
            ("52P", MaskError::RleTruncated { index: 2 }),
            ("O", MaskError::RleCount { index: 0 }),
            ("5220O0@", MaskError::RleCount { index: 6 }),
            ("PPPPPPPPPPPPPPPPPPPPPPP", MaskError::RleCount { index: 0 }),
            ("PPPPPP4", MaskError::RleCount { index: 0 }),
        ];
        for (text, error) in cases {
            assert_eq!(Rle::from_compressed(size, text), Err(error), "{text:?}");
        }
        let tall = ImageSize::new(1 << 12, 1 << 18);
        assert_eq!(
            Mask::from_rle(&Rle::from_counts(tall, vec![1 << 30]).unwrap()).area(),
            0
        );
    }

    proptest! {
        #![proptest_config(cases(400))]

        #[test]
        fn masks_survive_a_round_trip(mask in masks(200)) {
            let rle = mask.to_rle();
            prop_assert_eq!(rle.counts(), naive_counts(&mask));
            prop_assert_eq!(rle.area(), mask.area());
            prop_assert_eq!(rle.bounding_box(), mask.bounding_box());
            prop_assert_eq!(&Mask::from_rle(&rle), &mask);
            prop_assert_eq!(&Rle::from_compressed(mask.size(), &rle.to_compressed()).unwrap(), &rle);
            prop_assert_eq!(&Rle::from_counts(mask.size(), rle.counts().to_vec()).unwrap(), &rle);
        }
    }

    proptest! {
        #![proptest_config(cases(20_000))]

        #[test]
        fn hostile_strings_are_read_or_refused(
            text in prop_oneof!["[0-o]{0,40}", "[0-9;:<=>?@A-O]{0,12}", "\\PC{0,20}", "[0-o]{0,6}."],
            (width, height) in prop_oneof![
                (1..20_u32, 1..20_u32),
                (any::<u32>(), any::<u32>()),
                (1..300_u32, Just(7)),
            ],
        ) {
            let size = ImageSize::new(width, height);
            if let Ok(rle) = Rle::from_compressed(size, &text) {
                prop_assert_eq!(rle.area() <= size.area(), true);
                prop_assert_eq!(Rle::from_compressed(size, &rle.to_compressed()).unwrap(), rle.clone());
                if size.area() < 1 << 16 {
                    prop_assert_eq!(Mask::from_rle(&rle).to_rle(), rle);
                }
            }
        }

        #[test]
        fn hostile_counts_are_read_or_refused(
            counts in prop::collection::vec(prop_oneof![4 => 0..9_u32, 1 => any::<u32>()], 0..9),
            width in 1..6_u32,
            height in 1..6_u32,
        ) {
            let size = ImageSize::new(width, height);
            let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
            let area: u64 = counts.iter().skip(1).step_by(2).map(|&count| u64::from(count)).sum();
            match Rle::from_counts(size, counts) {
                Ok(rle) => prop_assert_eq!((Mask::from_rle(&rle).area(), total), (area, size.area())),
                Err(_) => prop_assert_ne!(total, size.area()),
            }
        }
    }
}
