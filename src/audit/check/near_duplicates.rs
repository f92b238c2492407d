//! Pairs of masks of one image that cover nearly the same pixels, found without rasters.
//!
//! Most pairs are ruled out by their areas (masks sorted by area, so that only a window of them is looked at) and
//! most of the rest by their boxes; what is left walks the runs of both and stops once too many pixels have missed.

use std::collections::HashMap;
use std::ops::Range;

use crate::geometry::PixelRect;
use crate::mask::Rle;

/// A mask that repeats an earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Repeat {
    /// The mask.
    pub(super) index: usize,
    /// The earlier mask that it is most like.
    pub(super) of: usize,
    /// Their IoU; exactly 1 if and only if they are the same.
    pub(super) iou: f64,
}

/// A mask that is like no earlier one pixel by pixel.
struct Candidate {
    index: usize,
    area: u64,
    bounds: PixelRect,
    /// The runs of set pixels in COCO's order.
    runs: Vec<Range<u32>>,
}

/// The masks that are the same as an earlier one, or have an IoU of at least `min_iou` (above 0) with one, each with
/// the earlier one it is most like; in order. Empty masks are left out.
pub(super) fn find(masks: &[&Rle], min_iou: f64) -> Vec<Repeat> {
    let mut first_index: HashMap<&Rle, usize> = HashMap::new();
    let mut best: Vec<Option<Repeat>> = vec![None; masks.len()];
    let mut candidates = Vec::new();
    for (index, &mask) in masks.iter().enumerate() {
        let Some(bounds) = mask.bounding_box() else {
            continue;
        };
        let of = *first_index.entry(mask).or_insert(index);
        if of != index {
            best[index] = Some(Repeat { index, of, iou: 1.0 });
            continue;
        }
        candidates.push(Candidate {
            index,
            area: mask.area(),
            bounds,
            runs: runs(mask),
        });
    }
    candidates.sort_by_key(|candidate| (candidate.area, candidate.index));
    for (position, small) in candidates.iter().enumerate() {
        let larger = candidates.iter().skip(position + 1);
        // The IoU is at most the smaller area over the larger one.
        for large in larger.take_while(|large| small.area as f64 >= min_iou * large.area as f64) {
            let Some(iou) = iou_of_at_least(small, large, min_iou) else {
                continue;
            };
            let (of, index) = (small.index.min(large.index), small.index.max(large.index));
            let is_better = |known: Repeat| iou > known.iou || (iou == known.iou && of < known.of);
            if let Some(slot) = best.get_mut(index)
                && slot.is_none_or(is_better)
            {
                *slot = Some(Repeat { index, of, iou });
            }
        }
    }
    best.into_iter().flatten().collect()
}

fn runs(mask: &Rle) -> Vec<Range<u32>> {
    let mut start = 0;
    let run = |pair: &[u32]| {
        let (background, set) = (pair.first().copied()?, pair.get(1).copied()?);
        let run = start + background..start + background + set;
        start = run.end;
        Some(run)
    };
    mask.counts().chunks_exact(2).filter_map(run).collect()
}

/// The IoU of two masks, the first of them not the larger one; `None` if it is below `min_iou`.
fn iou_of_at_least(small: &Candidate, large: &Candidate, min_iou: f64) -> Option<f64> {
    let areas = (small.area + large.area) as f64;
    // shared / (areas - shared) >= min_iou, solved for shared.
    let needed = min_iou * areas / (1.0 + min_iou) * (1.0 - 1e-12);
    let room = small.bounds.intersection(large.bounds)?.area();
    if (room as f64) < needed {
        return None;
    }
    let mut may_miss = small.area as f64 - needed;
    let mut shared = 0_u64;
    let first = small.runs.first()?.start;
    let skipped = large.runs.partition_point(|run| run.end <= first);
    let mut others = large.runs.iter().skip(skipped).peekable();
    for run in &small.runs {
        let before = shared;
        while let Some(other) = others.peek() {
            shared += u64::from(run.end.min(other.end).saturating_sub(run.start.max(other.start)));
            if other.end > run.end {
                break;
            }
            others.next();
        }
        may_miss -= (u64::from(run.end - run.start) - (shared - before)) as f64;
        if may_miss < 0.0 {
            return None;
        }
    }
    let iou = shared as f64 / (areas - shared as f64);
    (iou >= min_iou).then_some(iou)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ImageSize;
    use crate::mask::{Mask, metrics};
    use proptest::prelude::*;

    const SIZE: ImageSize = ImageSize::new(24, 20);

    /// The definition: every pair, on rasters.
    fn naive(masks: &[Mask], min_iou: f64) -> Vec<Repeat> {
        let mut repeats = Vec::new();
        for (index, mask) in masks.iter().enumerate().filter(|(_, mask)| mask.area() > 0) {
            let mut best: Option<Repeat> = None;
            for (of, earlier) in masks[..index].iter().enumerate() {
                let iou = metrics::iou(mask, earlier).unwrap();
                // Of masks that are the same, only the first is compared with the others.
                let is_repeated =
                    masks[..of].contains(earlier) || (iou < 1.0 && masks[..index].contains(mask));
                if earlier.area() > 0
                    && !is_repeated
                    && iou >= min_iou
                    && best.is_none_or(|best| iou > best.iou)
                {
                    best = Some(Repeat { index, of, iou });
                }
            }
            repeats.extend(best);
        }
        repeats
    }

    fn rects() -> impl Strategy<Value = Vec<(u32, u32, u32, u32)>> {
        prop::collection::vec((0..20_u32, 0..16_u32, 0..9_u32, 0..9_u32), 0..3)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_found_is_what_the_definition_says(
            rects in prop::collection::vec(rects(), 0..14),
            min_iou in prop::sample::select(vec![0.05, 0.3, 0.5, 0.75, 0.9, 1.0]),
        ) {
            let mask = |rects: &Vec<(u32, u32, u32, u32)>| {
                let rects: Vec<PixelRect> = rects.iter().map(|&(x, y, w, h)| PixelRect::new(x, y, w, h)).collect();
                Mask::from_rects(SIZE, &rects).unwrap()
            };
            let masks: Vec<Mask> = rects.iter().map(mask).collect();
            let rles: Vec<Rle> = masks.iter().map(Mask::to_rle).collect();
            prop_assert_eq!(find(&rles.iter().collect::<Vec<_>>(), min_iou), naive(&masks, min_iou));
        }
    }
}
