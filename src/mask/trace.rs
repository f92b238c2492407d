//! Tracing a mask into polygons along the cracks between pixels, so that filling them gives the mask again.
//!
//! A *crack* is the side that a set pixel shares with one that is not (pixels outside the mask are not).
//! Rings walk the cracks with the region on their right: outlines run clockwise on the screen, holes the other
//! way, and every vertex is a corner at whole coordinates.
//! Vertical cracks are kept as a bitmap and crossed off as they are walked; horizontal stretches are crossed
//! in one jump to the next vertical crack.

use super::bits::{WORD_BITS, low_ones, words_for};
use super::{Connectivity, Mask, MaskPolygon};
use crate::geometry::ImagePoint;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A closed line of points.
type Ring = Vec<ImagePoint>;

impl Mask {
    /// The mask as polygons with holes, in reading order of their first pixels; filling them by either rule
    /// gives exactly this mask again.
    ///
    /// Parts are 4-connected: pixels that only share a corner belong to different polygons.
    /// No ring visits a point twice (where a part meets itself at a corner, the ring is split there) and rings
    /// of one polygon meet in single points at most, so the polygons are valid for strict geometry libraries.
    /// No three neighbouring vertices lie on one line.
    #[must_use]
    pub fn trace(&self) -> Vec<MaskPolygon> {
        let mut cracks = CrackMap::new(self);
        let mut polygons: Vec<MaskPolygon> = Vec::new();
        let mut components = None;
        for y in 0..self.size.height {
            let mut next = cracks.next_unvisited(0, y);
            while let Some(x) = next {
                let (ring, pockets) = cracks.follow(x, y);
                // The first crack of a ring in reading order has the outside of the ring to its left.
                if self.get(x, y) {
                    polygons.push(MaskPolygon {
                        outer: ring,
                        holes: pockets,
                    });
                } else {
                    let components = components.get_or_insert_with(|| self.components(Connectivity::Four));
                    // Components and outlines are both in reading order of their first pixels.
                    let part = components
                        .label_at(x - 1, y)
                        .and_then(|index| polygons.get_mut(index));
                    if let Some(part) = part {
                        part.holes.push(ring);
                        part.holes.extend(pockets);
                    }
                }
                next = cracks.next_unvisited(x + 1, y);
            }
        }
        polygons
    }
}

/// The vertical cracks of a mask: bit `x` of a row is set where pixel `x` differs from pixel `x - 1`.
///
/// There is one more column than pixels, and an empty row above and below, so that no walk leaves the map.
struct CrackMap<'a> {
    mask: &'a Mask,
    words_per_row: usize,
    /// Row `y` of the mask is row `y + 1` here.
    cracks: Vec<u64>,
    /// The cracks that no ring has walked yet, without the empty rows.
    unvisited: Vec<u64>,
}

impl<'a> CrackMap<'a> {
    fn new(mask: &'a Mask) -> Self {
        let words_per_row = words_for(mask.size.width + 1);
        let mut unvisited = vec![0; words_per_row * mask.size.height as usize];
        for (cracks, row) in unvisited.chunks_exact_mut(words_per_row).zip(mask.rows()) {
            let mut previous = 0;
            for (crack, word) in cracks.iter_mut().zip(row.iter().copied().chain([0])) {
                *crack = word ^ (word << 1 | previous);
                previous = word >> (WORD_BITS - 1);
            }
        }
        let empty_row = vec![0; words_per_row];
        let cracks = [empty_row.as_slice(), &unvisited, &empty_row].concat();
        Self {
            mask,
            words_per_row,
            cracks,
            unvisited,
        }
    }

    /// The cracks of mask row `y - 1`, that is those that end in vertices of row `y` from above.
    fn above(&self, y: u32) -> &[u64] {
        &self.cracks[y as usize * self.words_per_row..][..self.words_per_row]
    }

    /// The cracks of mask row `y`, that is those that leave vertices of row `y` downwards.
    fn below(&self, y: u32) -> &[u64] {
        self.above(y + 1)
    }

    /// The first crack of mask row `y` at column `from` or after that no ring has walked.
    fn next_unvisited(&self, from: u32, y: u32) -> Option<u32> {
        let row = &self.unvisited[y as usize * self.words_per_row..][..self.words_per_row];
        next_one(from, self.words_per_row, |index| row[index])
    }

    /// Crosses off crack `x` of mask row `y`; false if it was before.
    fn visit(&mut self, x: u32, y: u32) -> bool {
        let word = &mut self.unvisited[y as usize * self.words_per_row + (x / WORD_BITS) as usize];
        let bit = 1 << (x % WORD_BITS);
        let is_new = *word & bit != 0;
        *word &= !bit;
        is_new
    }

    /// Walks the ring that crack `x` of mask row `y` belongs to, which must be its first in reading order.
    ///
    /// Returns the ring and what was split off it.
    fn follow(&mut self, mut x: u32, y: u32) -> (Ring, Vec<Ring>) {
        let mut path = Path::default();
        let mut crack_y = y;
        let mut is_upward = self.mask.get(x, y);
        while self.visit(x, crack_y) {
            let y = if is_upward { crack_y } else { crack_y + 1 };
            let (has_crack, has_pixel) = if is_upward {
                (has_bit(self.above(y), x), y > 0 && self.mask.get(x, y - 1))
            } else {
                (has_bit(self.below(y), x), self.mask.get(x - 1, y))
            };
            if has_crack && has_pixel {
                crack_y = if is_upward { y - 1 } else { y };
                continue;
            }
            // Without a pixel ahead on the right the walk turns right around its own pixel; if a crack goes on
            // nevertheless, a second pixel meets that one at this corner.
            path.push(x, y, has_crack);
            let is_eastward = is_upward != has_pixel;
            let Some(end) = self.end_of_stretch(x, y, is_eastward) else {
                break;
            };
            x = end;
            let (goes_up, goes_down) = (has_bit(self.above(y), x), has_bit(self.below(y), x));
            path.push(x, y, goes_up && goes_down);
            is_upward = if is_eastward { !goes_down } else { goes_up };
            crack_y = if is_upward { y - 1 } else { y };
        }
        (path.ring, path.pockets)
    }

    /// Where the horizontal stretch that leaves vertex (`x`, `y`) ends: at the next vertical crack.
    fn end_of_stretch(&self, x: u32, y: u32, is_eastward: bool) -> Option<u32> {
        let (above, below) = (self.above(y), self.below(y));
        let cracks = |index: usize| above[index] | below[index];
        if is_eastward {
            next_one(x + 1, self.words_per_row, cracks)
        } else {
            last_one(x, cracks)
        }
    }
}

/// A ring while it is walked.
#[derive(Default)]
struct Path {
    ring: Ring,
    /// Closed loops cut off where the walk came back to a corner it had passed.
    pockets: Vec<Ring>,
    /// Corners at which two pixels of the region meet diagonally, the only points that are passed twice, with
    /// their index in `ring`.
    pinches: HashMap<(u32, u32), usize>,
}

impl Path {
    fn push(&mut self, x: u32, y: u32, is_pinch: bool) {
        if is_pinch {
            match self.pinches.entry((x, y)) {
                Entry::Vacant(entry) => {
                    entry.insert(self.ring.len());
                }
                Entry::Occupied(entry) => self.pockets.push(self.ring.split_off(*entry.get())),
            }
        }
        self.ring.push(ImagePoint::new(x as f32, y as f32));
    }
}

fn has_bit(row: &[u64], x: u32) -> bool {
    row[(x / WORD_BITS) as usize] >> (x % WORD_BITS) & 1 == 1
}

/// The first set bit at `from` or after in a row of `words` words.
fn next_one(from: u32, words: usize, word: impl Fn(usize) -> u64) -> Option<u32> {
    let first = (from / WORD_BITS) as usize;
    let ignored = low_ones(from % WORD_BITS);
    (first..words).find_map(|index| {
        let bits = if index == first {
            word(index) & !ignored
        } else {
            word(index)
        };
        (bits != 0).then(|| index as u32 * WORD_BITS + bits.trailing_zeros())
    })
}

/// The last set bit before `end`.
fn last_one(end: u32, word: impl Fn(usize) -> u64) -> Option<u32> {
    let last = (end / WORD_BITS) as usize;
    let wanted = low_ones(end % WORD_BITS);
    (0..=last).rev().find_map(|index| {
        let bits = if index == last {
            word(index) & wanted
        } else {
            word(index)
        };
        (bits != 0).then(|| (index as u32 + 1) * WORD_BITS - 1 - bits.leading_zeros())
    })
}

#[cfg(test)]
mod tests {
    use super::super::FillRule;
    use super::super::sample::{cases, drawn, masks};
    use super::*;
    use crate::geometry::ImageSize;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn ring(corners: &[(u32, u32)]) -> Ring {
        corners
            .iter()
            .map(|&(x, y)| ImagePoint::new(x as f32, y as f32))
            .collect()
    }

    fn signed_area(ring: &[ImagePoint]) -> f64 {
        let next = ring.iter().cycle().skip(1);
        ring.iter()
            .zip(next)
            .map(|(a, b)| f64::from(a.x * b.y - b.x * a.y))
            .sum::<f64>()
            / 2.0
    }

    #[test]
    fn outlines_run_clockwise_and_holes_back() {
        let polygons = drawn("..... .###. .#.#. .###.").trace();
        assert_eq!(polygons.len(), 1);
        assert_eq!(polygons[0].outer, ring(&[(1, 1), (4, 1), (4, 4), (1, 4)]));
        assert_eq!(polygons[0].holes, [ring(&[(2, 3), (3, 3), (3, 2), (2, 2)])]);
        assert_eq!(polygons[0].area(), 8.0);
    }

    #[test]
    fn parts_that_share_a_corner_are_two_polygons() {
        let polygons = drawn("#. .#").trace();
        let outlines: Vec<_> = polygons.iter().map(|polygon| polygon.outer.clone()).collect();
        let squares = [[(0, 0), (1, 0), (1, 1), (0, 1)], [(1, 1), (2, 1), (2, 2), (1, 2)]];
        assert_eq!(outlines, squares.map(|corners| ring(&corners)));
    }

    #[test]
    fn a_part_that_meets_itself_at_a_corner_is_split_there() {
        // Each hole is closed by a corner only, towards the outside or towards another hole.
        for (rows, holes) in [
            ("### #.# ##.", 1),
            ("#### #.## ##.# ####", 2),
            ("#####. #.#.## ##.#.. ######", 3),
        ] {
            let polygons = drawn(rows).trace();
            assert_eq!(polygons.len(), 1, "{rows}");
            assert_eq!(polygons[0].holes.len(), holes, "{rows}");
        }
    }

    #[test]
    fn islands_in_holes_are_parts() {
        let polygons = drawn("##### #...# #.#.# #...# #####").trace();
        let areas: Vec<f64> = polygons.iter().map(MaskPolygon::area).collect();
        assert_eq!(areas, [16.0, 1.0]);
        assert_eq!(Mask::empty(ImageSize::new(9, 9)).unwrap().trace(), []);
    }

    proptest! {
        #![proptest_config(cases(400))]

        #[test]
        fn filling_a_trace_gives_the_mask(mask in masks(160)) {
            let polygons = mask.trace();
            for rule in [FillRule::EvenOdd, FillRule::NonZero] {
                prop_assert_eq!(&Mask::from_polygons(mask.size(), &polygons, rule).unwrap(), &mask);
                let rings: Vec<_> = polygons.iter().flat_map(MaskPolygon::rings).collect();
                let mut filled = Mask::empty(mask.size()).unwrap();
                filled.fill_rings(&rings, rule, true).unwrap();
                prop_assert_eq!(&filled, &mask);
            }
        }

        #[test]
        fn traces_are_valid_polygons(mask in masks(120)) {
            let polygons = mask.trace();
            let components = mask.components(Connectivity::Four);
            prop_assert_eq!(polygons.len(), components.len());
            for (index, polygon) in polygons.iter().enumerate() {
                prop_assert_eq!(polygon.area(), components.as_slice()[index].area as f64);
                let part = Mask::from_polygons(mask.size(), std::slice::from_ref(polygon), FillRule::EvenOdd);
                prop_assert_eq!(part.unwrap(), components.mask(index));
                prop_assert!(signed_area(&polygon.outer) > 0.0);
                prop_assert!(polygon.holes.iter().all(|hole| signed_area(hole) < 0.0));
                for ring in polygon.rings() {
                    let points: HashSet<_> = ring.iter().map(|point| (point.x as u32, point.y as u32)).collect();
                    prop_assert_eq!(points.len(), ring.len(), "no point is visited twice");
                    for index in 0..ring.len() {
                        let [a, b, c] = [0, 1, 2].map(|offset| ring[(index + offset) % ring.len()]);
                        let turns = (a.x == b.x) != (b.x == c.x) && (a.y == b.y) != (b.y == c.y);
                        prop_assert!(turns, "every vertex is a corner");
                    }
                }
            }
        }
    }
}
