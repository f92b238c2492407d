//! Marks the texels of a tile near which the set of regions changes, so that the shader looks for outlines only there.
//!
//! Most texels of a picture are far from any outline; on a graphics card without hardware this is most of the cost.

use super::set_table::{EMPTY_SET, SetId};
use crate::geometry::{ImageSize, PixelRect};

/// Marks a texel within [`CLOSE_TEXELS`] of another set.
pub(super) const CLOSE: u32 = 1 << 31;

/// Marks a texel within [`FAR_TEXELS`] of another set; every close texel has it too.
pub(super) const FAR: u32 = 1 << 30;

/// Reach of [`CLOSE`] in columns and rows: enough for outlines of zoomed-in views.
pub(super) const CLOSE_TEXELS: u32 = 3;

/// Reach of [`FAR`] in columns and rows: enough for outlines of most zoomed-out views.
pub(super) const FAR_TEXELS: u32 = 10;

const WORD_BITS: usize = u64::BITS as usize;

/// Working memory, kept from one tile to the next.
#[derive(Debug, Default)]
pub(super) struct Nearness {
    /// One bit per texel, rows of whole words.
    marks: Vec<u64>,
    scratch: Vec<u64>,
    words_per_row: usize,
}

impl Nearness {
    /// The sets of `inner` with the marks, row by row; `None` if no texel of `inner` has a mark, and so all are equal.
    ///
    /// `sets` are those of `outer`, which has [`FAR_TEXELS`] around `inner` as far as a level of `level_size` goes.
    /// Outside the level there are no regions.
    pub(super) fn marked(
        &mut self,
        sets: &[SetId],
        outer: PixelRect,
        inner: PixelRect,
        level_size: ImageSize,
    ) -> Option<Vec<u32>> {
        let width = outer.width as usize;
        let (left, top) = ((inner.x - outer.x) as usize, (inner.y - outer.y) as usize);
        let inner_width = inner.width as usize;
        self.find_changes(sets, outer, level_size);
        self.spread(CLOSE_TEXELS as usize, 0);
        let close = self.marks.clone();
        self.spread(FAR_TEXELS as usize, CLOSE_TEXELS as usize);
        let mut is_marked = false;
        let mut texels = Vec::with_capacity(inner.area() as usize);
        for y in top..top + inner.height as usize {
            let row = sets.get(y * width + left..y * width + left + inner_width)?;
            let start = texels.len();
            texels.extend_from_slice(row);
            let target = texels.get_mut(start..)?;
            let words = y * self.words_per_row..(y + 1) * self.words_per_row;
            is_marked |= flag(target, self.marks.get(words.clone())?, left, FAR);
            flag(target, close.get(words)?, left, CLOSE);
        }
        is_marked.then_some(texels)
    }

    /// Marks the texels beside which the set is another one.
    fn find_changes(&mut self, sets: &[SetId], outer: PixelRect, level_size: ImageSize) {
        let width = outer.width as usize;
        self.words_per_row = width.div_ceil(WORD_BITS);
        self.marks.clear();
        self.marks.resize(self.words_per_row * outer.height as usize, 0);
        let words_per_row = self.words_per_row;
        let mut above: Option<&[SetId]> = None;
        for (y, row) in sets.chunks_exact(width).enumerate() {
            let start = y * words_per_row;
            if row.get(1..) != row.get(..width - 1) {
                for (x, pair) in row.windows(2).enumerate() {
                    if pair.first() != pair.last() {
                        set(&mut self.marks, start, x);
                        set(&mut self.marks, start, x + 1);
                    }
                }
            }
            if let Some(above) = above
                && above != row
            {
                for (x, _) in row
                    .iter()
                    .zip(above)
                    .enumerate()
                    .filter(|(_, (here, above))| here != above)
                {
                    set(&mut self.marks, start, x);
                    set(&mut self.marks, start - words_per_row, x);
                }
            }
            let is_outermost = (y == 0 && outer.y == 0) || outer.y + y as u32 + 1 == level_size.height;
            let columns = [
                (outer.x == 0).then_some(0),
                (outer.right() == level_size.width).then_some(width - 1),
            ];
            let ends = columns.into_iter().flatten();
            let all = if is_outermost { 0..width } else { 0..0 };
            for x in all.chain(ends) {
                if row.get(x).is_some_and(|&set| set != EMPTY_SET) {
                    set(&mut self.marks, start, x);
                }
            }
            above = Some(row);
        }
    }

    /// Spreads marks that have been spread by `reached` columns and rows until it is `reach`.
    fn spread(&mut self, reach: usize, reached: usize) {
        let mut reached = reached;
        while reached < reach {
            // One more than is reached leaves no gap, even where the other side is cut off at the edge.
            let step = (reach - reached).min(reached + 1);
            self.spread_columns(step);
            self.spread_rows(step);
            reached += step;
        }
    }

    fn spread_columns(&mut self, step: usize) {
        for row in self.marks.chunks_exact_mut(self.words_per_row) {
            let mut before = 0;
            for index in 0..row.len() {
                let after = row.get(index + 1).copied().unwrap_or(0);
                if let Some(word) = row.get_mut(index) {
                    let here = *word;
                    *word |= here << step
                        | before >> (WORD_BITS - step)
                        | here >> step
                        | after << (WORD_BITS - step);
                    before = here;
                }
            }
        }
    }

    fn spread_rows(&mut self, step: usize) {
        let distance = step * self.words_per_row;
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.marks);
        let (marks, before) = (&mut self.marks, &self.scratch);
        for (mark, above) in marks.iter_mut().skip(distance).zip(before) {
            *mark |= above;
        }
        for (mark, below) in marks.iter_mut().zip(before.iter().skip(distance)) {
            *mark |= below;
        }
    }
}

fn set(marks: &mut [u64], row_start: usize, x: usize) {
    if let Some(word) = marks.get_mut(row_start + x / WORD_BITS) {
        *word |= 1 << (x % WORD_BITS);
    }
}

/// Puts `flag` on the texels whose mark is set, the first of them being column `left` of the marks; whether any is.
fn flag(texels: &mut [u32], marks: &[u64], left: usize, flag: u32) -> bool {
    let mut is_any = false;
    let mut column = 0;
    while column < texels.len() {
        let bit = (left + column) % WORD_BITS;
        let length = (WORD_BITS - bit).min(texels.len() - column);
        let word = marks.get((left + column) / WORD_BITS).copied().unwrap_or(0) >> bit;
        let word = if length < WORD_BITS {
            word & ((1 << length) - 1)
        } else {
            word
        };
        if word != 0
            && let Some(run) = texels.get_mut(column..column + length)
        {
            is_any = true;
            for (index, texel) in run.iter_mut().enumerate() {
                *texel |= flag * ((word >> index & 1) as u32);
            }
        }
        column += length;
    }
    is_any
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn marks_reach_every_texel_near_a_change(
            (width, height) in (1..150_u32, 1..90_u32),
            (x, y) in (0..150_u32, 0..90_u32),
            spots in prop::collection::vec((0..150_u32, 0..90_u32, 1..40_u32, 1..40_u32, 0..4_u32), 0..6),
        ) {
            let level = ImageSize::new(width, height);
            let whole = PixelRect::covering(level);
            let set_at = |x: i64, y: i64| {
                let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return EMPTY_SET };
                let spot = spots.iter().rev().find(|spot| PixelRect::new(spot.0, spot.1, spot.2, spot.3).contains(x, y));
                if whole.contains(x, y) { spot.map_or(EMPTY_SET, |spot| spot.4) } else { EMPTY_SET }
            };
            let (x, y) = (x % width, y % height);
            let inner = PixelRect::new(x, y, (width - x).min(70), (height - y).min(50));
            let (left, top) = (x.saturating_sub(FAR_TEXELS), y.saturating_sub(FAR_TEXELS));
            let wide = PixelRect::new(left, top, inner.right() + FAR_TEXELS - left, inner.bottom() + FAR_TEXELS - top);
            let outer = wide.intersection(whole).unwrap();
            let sets: Vec<u32> = (outer.y..outer.bottom())
                .flat_map(|y| (outer.x..outer.right()).map(move |x| (x, y)))
                .map(|(x, y)| set_at(x.into(), y.into()))
                .collect();
            let marked = Nearness::default().marked(&sets, outer, inner, level);
            let mut is_any = false;
            for y in inner.y..inner.bottom() {
                for x in inner.x..inner.right() {
                    let here = set_at(x.into(), y.into());
                    let changes_within = |reach: u32| {
                        let around = |at: u32| i64::from(at) - i64::from(reach)..=i64::from(at) + i64::from(reach);
                        around(y).any(|y| around(x).any(|x| set_at(x, y) != here))
                    };
                    let (close, far) = (changes_within(CLOSE_TEXELS), changes_within(FAR_TEXELS));
                    is_any |= far;
                    if let Some(marked) = &marked {
                        let texel = marked[((y - inner.y) * inner.width + x - inner.x) as usize];
                        prop_assert_eq!(texel & !(CLOSE | FAR), here);
                        prop_assert!(texel & CLOSE != 0 || !close);
                        prop_assert!(texel & FAR != 0 || !far);
                        prop_assert!(texel & FAR != 0 || texel & CLOSE == 0);
                    }
                }
            }
            prop_assert!(marked.is_some() || !is_any);
        }
    }
}
