//! Horizontal runs of set pixels, the unit in which components, resizing and drawing walk a mask.

use super::bits::{WORD_BITS, low_ones};
use std::iter::FusedIterator;
use std::ops::Range;

/// The maximal runs of set pixels of one row, left to right; made by [`Mask::runs`](super::Mask::runs).
#[derive(Clone, Debug)]
pub struct RowRuns<'a> {
    row: &'a [u64],
    width: u32,
    /// Index of the word that `pending` belongs to.
    index: usize,
    /// The set pixels of the current word that no run has covered yet.
    pending: u64,
}

impl<'a> RowRuns<'a> {
    pub(super) fn new(row: &'a [u64], width: u32) -> Self {
        Self {
            row,
            width,
            index: 0,
            pending: row.first().copied().unwrap_or(0),
        }
    }
}

impl Iterator for RowRuns<'_> {
    type Item = Range<u32>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.pending == 0 {
            self.index += 1;
            self.pending = *self.row.get(self.index)?;
        }
        let start = self.pending.trailing_zeros();
        let first = self.index as u32 * WORD_BITS + start;
        let mut gaps = !(self.pending | low_ones(start));
        while gaps == 0 {
            self.index += 1;
            let Some(&word) = self.row.get(self.index) else {
                self.pending = 0;
                return Some(first..self.width);
            };
            self.pending = word;
            gaps = !word;
        }
        let end = gaps.trailing_zeros();
        self.pending &= !low_ones(end);
        Some(first..self.index as u32 * WORD_BITS + end)
    }
}

impl FusedIterator for RowRuns<'_> {}
