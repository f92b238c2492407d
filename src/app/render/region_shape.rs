//! The pixels of one region, cut to its surroundings and halved again and again for zoomed-out views.
//!
//! A texel of a coarser level is set where any of its pixels is, so thin regions never vanish.
//! Thousands of regions of a large image stay small this way, and an edit touches only what it changed.

use std::ops::Range;

use crate::geometry::{ImageSize, PixelRect};
use crate::mask::{Mask, Rle};
use crate::picture::tile::level_count;

/// Texels per word.
const WORD_BITS: u32 = u64::BITS;

/// Rows by which a region that grows under a brush grows at once, so that it is not copied at every step.
const GROWTH_ROWS: u32 = 64;

/// The pixels of a region as the canvas draws them.
///
/// Making one reads the whole mask; it can be done on any thread.
#[derive(Clone, Debug)]
pub struct RegionShape {
    size: ImageSize,
    levels: Vec<BitLevel>,
}

impl RegionShape {
    /// The shape of `mask`.
    #[must_use]
    pub fn from_mask(mask: &Mask) -> Self {
        let Some(bounds) = mask.bounding_box() else {
            return Self::empty(mask.size());
        };
        let mut finest = BitLevel::blank(WordBox::around(bounds));
        finest.copy_from(mask, bounds);
        Self::with_finest(mask.size(), finest)
    }

    /// The shape of `rle`; never makes a raster of the whole image.
    #[must_use]
    pub fn from_rle(rle: &Rle) -> Self {
        let cut = rle
            .bounding_box()
            .and_then(|bounds| Some((WordBox::around(bounds), cut_rle(rle, bounds)?)));
        match cut {
            None => Self::empty(rle.size()),
            Some((extent, cut)) => {
                let words = Mask::from_rle(&cut).words().to_vec();
                Self::with_finest(rle.size(), BitLevel { extent, words })
            }
        }
    }

    /// A region without pixels.
    pub(super) fn empty(size: ImageSize) -> Self {
        Self::with_finest(size, BitLevel::blank(WordBox::default()))
    }

    fn with_finest(size: ImageSize, finest: BitLevel) -> Self {
        let mut levels = vec![finest];
        for _ in 1..level_count(size) {
            let Some(finer) = levels.last() else { break };
            let mut coarser = BitLevel::blank(finer.extent.halved());
            coarser.halve(finer, finer.extent.rect());
            levels.push(coarser);
        }
        Self { size, levels }
    }

    /// Size of the image that the region is part of.
    #[must_use]
    pub const fn size(&self) -> ImageSize {
        self.size
    }

    /// Whether pixel (`x`, `y`) belongs to the region.
    #[must_use]
    pub fn contains(&self, x: u32, y: u32) -> bool {
        self.levels.first().is_some_and(|level| level.contains(x, y))
    }

    /// Bytes that the pixels take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.levels
            .iter()
            .map(|level| level.words.len() * size_of::<u64>())
            .sum()
    }

    /// A box around all pixels, not always the smallest; `None` for a region that has none.
    pub(super) fn bounds(&self) -> Option<PixelRect> {
        let rect = self.levels.first()?.extent.rect();
        rect.intersection(PixelRect::covering(self.size))
    }

    /// Takes the pixels in `dirty` from `mask`, which has the size of the image; elsewhere it equals the region.
    pub(super) fn update(&mut self, mask: &Mask, dirty: PixelRect) {
        let Some(dirty) = dirty.intersection(PixelRect::covering(self.size)) else {
            return;
        };
        let mut rect = dirty;
        let Some(mut extent) = self
            .levels
            .first()
            .map(|finest| finest.extent.grown_over(dirty, self.size))
        else {
            return;
        };
        for index in 0..self.levels.len() {
            let (finer, rest) = self.levels.split_at_mut(index);
            let Some(level) = rest.first_mut() else { break };
            level.grow(extent);
            match finer.last() {
                None => level.copy_from(mask, rect),
                Some(finer) => {
                    level.halve(finer, rect);
                    rect = halved_rect(rect);
                }
            }
            extent = extent.halved();
        }
    }

    /// The pixels of both shapes combined word by word, `combine(0, 0)` being 0.
    pub(super) fn combined(&self, other: &Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        let (Some(left), Some(right)) = (self.levels.first(), other.levels.first()) else {
            return Self::empty(self.size);
        };
        let mut finest = BitLevel::blank(left.extent.union(right.extent));
        let extent = finest.extent;
        for row in 0..extent.rows {
            for column in 0..extent.words_per_row {
                let (y, word) = (extent.first_row + row, extent.first_word + column);
                let index = (row * extent.words_per_row + column) as usize;
                if let Some(target) = finest.words.get_mut(index) {
                    *target = combine(left.word(y, word), right.word(y, word));
                }
            }
        }
        Self::with_finest(self.size, finest)
    }

    /// The rows of `level` that the region has any texel in, clipped to `rows`.
    pub(super) fn rows(&self, level: u8, rows: Range<u32>) -> Range<u32> {
        let extent = self.extent(level);
        rows.start.max(extent.first_row)..rows.end.min(extent.first_row + extent.rows)
    }

    /// A box around the texels of `level`.
    pub(super) fn level_rect(&self, level: u8) -> PixelRect {
        self.extent(level).rect()
    }

    /// The words of row `y` of `level` with the column of their first texel, left to right, within the words
    /// `words` of the row.
    pub(super) fn row_words(&self, level: u8, y: u32, words: Range<u32>) -> (u32, &[u64]) {
        let Some(level) = self.levels.get(usize::from(level)) else {
            return (0, &[]);
        };
        let extent = level.extent;
        let first = words.start.max(extent.first_word);
        let end = words.end.min(extent.first_word + extent.words_per_row);
        let Some(row) = y.checked_sub(extent.first_row) else {
            return (0, &[]);
        };
        if row >= extent.rows || first >= end {
            return (0, &[]);
        }
        let start = (row * extent.words_per_row + first - extent.first_word) as usize;
        let words = level.words.get(start..start + (end - first) as usize);
        (first * WORD_BITS, words.unwrap_or(&[]))
    }

    fn extent(&self, level: u8) -> WordBox {
        self.levels
            .get(usize::from(level))
            .map(|level| level.extent)
            .unwrap_or_default()
    }
}

/// A box of texels whose columns are whole words, counted from the left edge of the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct WordBox {
    first_word: u32,
    words_per_row: u32,
    first_row: u32,
    rows: u32,
}

impl WordBox {
    const fn around(rect: PixelRect) -> Self {
        let first_word = rect.x / WORD_BITS;
        Self {
            first_word,
            words_per_row: rect.right().div_ceil(WORD_BITS) - first_word,
            first_row: rect.y,
            rows: rect.height,
        }
    }

    const fn is_empty(self) -> bool {
        self.words_per_row == 0 || self.rows == 0
    }

    const fn rect(self) -> PixelRect {
        PixelRect::new(
            self.first_word * WORD_BITS,
            self.first_row,
            self.words_per_row * WORD_BITS,
            self.rows,
        )
    }

    fn union(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self::around(self.rect().union(other.rect())),
        }
    }

    /// The box itself if it covers `rect`, otherwise one that covers both with room to grow.
    fn grown_over(self, rect: PixelRect, size: ImageSize) -> Self {
        let grown = self.union(Self::around(rect));
        if grown == self {
            return self;
        }
        let first_row = rect.y / GROWTH_ROWS * GROWTH_ROWS;
        let end = rect.bottom().next_multiple_of(GROWTH_ROWS).min(size.height);
        self.union(Self::around(PixelRect::new(
            rect.x,
            first_row,
            rect.width,
            end - first_row,
        )))
    }

    const fn halved(self) -> Self {
        if self.is_empty() {
            return Self {
                first_word: 0,
                words_per_row: 0,
                first_row: 0,
                rows: 0,
            };
        }
        let (first_word, first_row) = (self.first_word / 2, self.first_row / 2);
        Self {
            first_word,
            words_per_row: (self.first_word + self.words_per_row).div_ceil(2) - first_word,
            first_row,
            rows: (self.first_row + self.rows).div_ceil(2) - first_row,
        }
    }

    fn index(self, y: u32, word: u32) -> Option<usize> {
        let (row, column) = (y.checked_sub(self.first_row)?, word.checked_sub(self.first_word)?);
        (row < self.rows && column < self.words_per_row)
            .then_some(row as usize * self.words_per_row as usize + column as usize)
    }
}

/// The texels of one level inside a box; bit `i` of a word is the texel `i` columns to the right.
#[derive(Clone, Debug)]
struct BitLevel {
    extent: WordBox,
    words: Vec<u64>,
}

impl BitLevel {
    fn blank(extent: WordBox) -> Self {
        Self {
            extent,
            words: vec![0; extent.words_per_row as usize * extent.rows as usize],
        }
    }

    fn word(&self, y: u32, word: u32) -> u64 {
        let index = self.extent.index(y, word);
        index
            .and_then(|index| self.words.get(index))
            .copied()
            .unwrap_or(0)
    }

    fn contains(&self, x: u32, y: u32) -> bool {
        self.word(y, x / WORD_BITS) >> (x % WORD_BITS) & 1 == 1
    }

    /// Makes room for `extent`, which covers the present one.
    fn grow(&mut self, extent: WordBox) {
        if extent == self.extent {
            return;
        }
        let mut grown = Self::blank(extent);
        for (row, y) in (self.extent.first_row..)
            .take(self.extent.rows as usize)
            .enumerate()
        {
            let width = self.extent.words_per_row as usize;
            let source = self.words.get(row * width..(row + 1) * width);
            let start = extent.index(y, self.extent.first_word);
            if let (Some(source), Some(start)) = (source, start)
                && let Some(target) = grown.words.get_mut(start..start + width)
            {
                target.copy_from_slice(source);
            }
        }
        *self = grown;
    }

    /// Takes the words that `rect` touches from a mask of the whole image.
    fn copy_from(&mut self, mask: &Mask, rect: PixelRect) {
        let words = rect.x / WORD_BITS..rect.right().div_ceil(WORD_BITS);
        let length = words.len();
        for y in rect.y..rect.bottom() {
            let from = y as usize * mask.words_per_row() + words.start as usize;
            let source = mask.words().get(from..from + length);
            let start = self.extent.index(y, words.start);
            if let (Some(source), Some(start)) = (source, start)
                && let Some(target) = self.words.get_mut(start..start + length)
            {
                target.copy_from_slice(source);
            }
        }
    }

    /// Recomputes the texels over `rect`, a box of the finer level.
    fn halve(&mut self, finer: &Self, rect: PixelRect) {
        let words = rect.x / (2 * WORD_BITS)..rect.right().div_ceil(2 * WORD_BITS);
        for y in rect.y / 2..rect.bottom().div_ceil(2) {
            for word in words.clone() {
                let quad = |word: u32| finer.word(2 * y, word) | finer.word(2 * y + 1, word);
                let halved = halved_word(quad(2 * word)) | halved_word(quad(2 * word + 1)) << 32;
                if let Some(target) = self
                    .extent
                    .index(y, word)
                    .and_then(|index| self.words.get_mut(index))
                {
                    *target = halved;
                }
            }
        }
    }
}

/// The box of texels that cover `rect` at the next coarser level.
const fn halved_rect(rect: PixelRect) -> PixelRect {
    let (x, y) = (rect.x / 2, rect.y / 2);
    PixelRect::new(x, y, rect.right().div_ceil(2) - x, rect.bottom().div_ceil(2) - y)
}

/// Each pair of neighbouring bits joined into one: the lower 32 bits of the answer.
const fn halved_word(word: u64) -> u64 {
    let mut bits = (word | word >> 1) & 0x5555_5555_5555_5555;
    bits = (bits | bits >> 1) & 0x3333_3333_3333_3333;
    bits = (bits | bits >> 2) & 0x0F0F_0F0F_0F0F_0F0F;
    bits = (bits | bits >> 4) & 0x00FF_00FF_00FF_00FF;
    bits = (bits | bits >> 8) & 0x0000_FFFF_0000_FFFF;
    (bits | bits >> 16) & 0xFFFF_FFFF
}

/// The part of `rle` in `bounds`, its bounding box, widened to whole words.
fn cut_rle(rle: &Rle, bounds: PixelRect) -> Option<Rle> {
    let height = rle.size().height;
    let extent = WordBox::around(bounds);
    let left = extent.first_word * WORD_BITS;
    let cut_size = ImageSize::new(bounds.right() - left, bounds.height);
    let mut counts = Vec::with_capacity(rle.counts().len());
    let (mut position, mut covered) = (0, 0);
    for (index, &count) in rle.counts().iter().enumerate() {
        if index % 2 == 1 {
            // A run that goes on in the next column makes the box as high as the image, so it stays one run.
            let start = (position / height - left) * bounds.height + (position % height - bounds.y);
            match counts.last_mut() {
                Some(last) if start == covered && covered > 0 => *last += count,
                _ => counts.extend([start - covered, count]),
            }
            covered = start + count;
        }
        position += count;
    }
    counts.push(cut_size.area() as u32 - covered);
    Rle::from_counts(cut_size, counts).ok()
}
