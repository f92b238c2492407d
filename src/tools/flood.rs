//! Pixels of similar colour, next to each other or anywhere: the search behind the magic wand.
//!
//! Colours are compared 64 pixels at a time into one word, a row only when the search first reaches it; the search
//! itself walks runs of bits, each run once. It stays on the calling thread: the pool that a network keeps busy would
//! make the hand wait.

use super::Patch;
use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::RgbImage;
use crate::mask::Mask;
use std::ops::Range;

const WORD_BITS: u32 = u64::BITS;

/// The colours that count as similar, as a range of each channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColourRange {
    low: [u8; 3],
    high: [u8; 3],
}

impl ColourRange {
    /// The colours no channel of which differs from that of pixel (`x`, `y`) by more than `tolerance`; `None` outside
    /// the image.
    pub(super) fn around(image: &RgbImage, x: u32, y: u32, tolerance: u8) -> Option<Self> {
        if x >= image.size.width || y >= image.size.height {
            return None;
        }
        let at = y as usize * image.size.width as usize + x as usize;
        let &seed = image.pixels.as_chunks::<3>().0.get(at)?;
        Some(Self {
            low: seed.map(|channel| channel.saturating_sub(tolerance)),
            high: seed.map(|channel| channel.saturating_add(tolerance)),
        })
    }

    fn contains(&self, pixel: [u8; 3]) -> bool {
        // Without short cuts, so that the compiler makes vector code of a loop over pixels.
        let inside =
            |channel: usize| (pixel[channel] >= self.low[channel]) & (pixel[channel] <= self.high[channel]);
        inside(0) & inside(1) & inside(2)
    }

    /// One bit per pixel of a row, in the layout of a mask's row.
    fn compare(&self, pixels: &[[u8; 3]], words: &mut [u64]) {
        for (word, pixels) in words.iter_mut().zip(pixels.chunks(WORD_BITS as usize)) {
            *word = pixels.iter().enumerate().fold(0, |word, (bit, &pixel)| {
                word | u64::from(self.contains(pixel)) << bit
            });
        }
    }
}

/// All similar pixels of the image.
pub(super) fn everywhere(image: &RgbImage, range: ColourRange) -> Option<Patch> {
    let pixels = image.pixels.as_chunks::<3>().0;
    let mask = Mask::from_samples(image.size, pixels, |&pixel| range.contains(pixel)).ok()?;
    Patch::around(&mask)
}

/// The similar pixels that a path of similar pixels, side by side, joins to pixel (`x`, `y`).
pub(super) fn connected(image: &RgbImage, range: ColourRange, x: u32, y: u32) -> Option<Patch> {
    let mut search = Search::new(image, range)?;
    search.run(x, y);
    let bounds = search.bounds?;
    Patch::window(&search.reached, bounds)
}

/// A flood fill in progress.
struct Search<'a> {
    pixels: &'a [[u8; 3]],
    size: ImageSize,
    range: ColourRange,
    /// The similar pixels of the rows that `is_compared`.
    similar: Vec<u64>,
    is_compared: Vec<bool>,
    /// Whole runs of similar pixels.
    reached: Mask,
    bounds: Option<PixelRect>,
    pending: Vec<(u32, Range<u32>)>,
}

impl<'a> Search<'a> {
    /// `None` for an image without pixels, or without all of them.
    fn new(image: &'a RgbImage, range: ColourRange) -> Option<Self> {
        let reached = Mask::empty(image.size).ok()?;
        let pixels = image.pixels.as_chunks::<3>().0;
        (pixels.len() as u64 == image.size.area()).then(|| Self {
            pixels,
            size: image.size,
            range,
            similar: vec![0; reached.words().len()],
            is_compared: vec![false; image.size.height as usize],
            reached,
            bounds: None,
            pending: Vec::new(),
        })
    }

    fn run(&mut self, x: u32, y: u32) {
        self.reach(y, x..x.saturating_add(1));
        while let Some((y, run)) = self.pending.pop() {
            for y in [y.checked_sub(1), y.checked_add(1)].into_iter().flatten() {
                self.reach(y, run.clone());
            }
        }
    }

    /// Reaches the runs of row `y` that have a pixel in `columns`.
    fn reach(&mut self, y: u32, columns: Range<u32>) {
        if y >= self.size.height || columns.end > self.size.width {
            return;
        }
        self.compare_row(y);
        let mut from = columns.start;
        while let Some(x) = self.next_unreached(y, from..columns.end) {
            let run = self.run_at(x, y);
            let rect = PixelRect::new(run.start, y, run.end - run.start, 1);
            self.reached.fill_run(y, run.clone(), true);
            self.bounds = Some(self.bounds.map_or(rect, |bounds| bounds.union(rect)));
            from = run.end;
            self.pending.push((y, run));
        }
    }

    fn words_of(&self, y: u32) -> Range<usize> {
        let words_per_row = self.reached.words_per_row();
        let start = y as usize * words_per_row;
        start..start + words_per_row
    }

    fn compare_row(&mut self, y: u32) {
        let is_compared = &mut self.is_compared[y as usize];
        if !*is_compared {
            *is_compared = true;
            let words = self.words_of(y);
            let width = self.size.width as usize;
            let pixels = &self.pixels[y as usize * width..][..width];
            self.range.compare(pixels, &mut self.similar[words]);
        }
    }

    /// The first similar pixel among `columns` of row `y` that was not reached.
    fn next_unreached(&self, y: u32, columns: Range<u32>) -> Option<u32> {
        if columns.is_empty() {
            return None;
        }
        let words = self.words_of(y);
        let (similar, reached) = (&self.similar[words.clone()], &self.reached.words()[words]);
        let first = columns.start / WORD_BITS;
        let mut from_start = u64::MAX << (columns.start % WORD_BITS);
        for index in first..=(columns.end - 1) / WORD_BITS {
            let word = similar[index as usize] & !reached[index as usize] & from_start;
            if word != 0 {
                let x = index * WORD_BITS + word.trailing_zeros();
                return (x < columns.end).then_some(x);
            }
            from_start = u64::MAX;
        }
        None
    }

    /// The run of similar pixels of row `y` around the similar pixel `x`.
    fn run_at(&self, x: u32, y: u32) -> Range<u32> {
        let row = &self.similar[self.words_of(y)];
        let index = (x / WORD_BITS) as usize;
        let (below, above) = (
            u64::MAX >> (WORD_BITS - 1 - x % WORD_BITS),
            u64::MAX << (x % WORD_BITS),
        );
        let gap_before = |index: usize, gaps: u64| {
            (gaps != 0).then(|| (index as u32 + 1) * WORD_BITS - gaps.leading_zeros())
        };
        let gap_after =
            |index: usize, gaps: u64| (gaps != 0).then(|| index as u32 * WORD_BITS + gaps.trailing_zeros());
        let start = gap_before(index, !row[index] & below)
            .or_else(|| (0..index).rev().find_map(|index| gap_before(index, !row[index])));
        let end = gap_after(index, !row[index] & above)
            .or_else(|| (index + 1..row.len()).find_map(|index| gap_after(index, !row[index])));
        start.unwrap_or(0)..end.unwrap_or(self.size.width)
    }
}
