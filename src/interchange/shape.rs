//! The shape of a region from its run lengths alone: parts, holes and overlap, without making a raster.

use crate::geometry::ImageSize;
use crate::mask::Rle;

/// What a region is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Connected components; pixels that share a corner are connected.
    pub(super) parts: u64,
    /// Background that is enclosed by the region; pixels that share a corner are apart.
    pub(super) holes: u64,
}

/// A run of set pixels within one column.
#[derive(Clone, Copy, Debug)]
struct ColumnRun {
    column: u32,
    /// Rows `top .. bottom`.
    top: u32,
    bottom: u32,
}

impl Shape {
    /// Counts the parts and holes of `rle`.
    ///
    /// Runs that touch are the edges of a graph whose Euler number is that of the region, so the holes are the
    /// parts less the Euler number.
    pub(super) fn of(rle: &Rle) -> Self {
        let runs: Vec<ColumnRun> = column_runs(rle).collect();
        let mut joined: Vec<u32> = (0..).take(runs.len()).collect();
        let (mut touching, mut parts) = (0, runs.len() as u64);
        let mut left = 0;
        for (index, run) in runs.iter().enumerate() {
            // The first run of the column before that does not end above this one.
            while runs
                .get(left)
                .is_some_and(|other| (other.column + 1, other.bottom) < (run.column, run.top))
            {
                left += 1;
            }
            let neighbours = runs.get(left..index).unwrap_or_default();
            let is_touching = |other: &ColumnRun| other.column + 1 == run.column && other.top <= run.bottom;
            for (offset, _) in neighbours
                .iter()
                .take_while(|other| is_touching(other))
                .enumerate()
            {
                touching += 1;
                parts -= u64::from(join(&mut joined, left + offset, index));
            }
        }
        Self {
            parts,
            holes: parts + touching - runs.len() as u64,
        }
    }
}

/// Joins the sets of `a` and `b`; whether they were two.
fn join(joined: &mut [u32], a: usize, b: usize) -> bool {
    let (a, b) = (root(joined, a), root(joined, b));
    if let Some(slot) = joined.get_mut(a.max(b)) {
        *slot = a.min(b) as u32;
    }
    a != b
}

fn root(joined: &mut [u32], mut at: usize) -> usize {
    while let Some(&parent) = joined.get(at).filter(|&&parent| parent as usize != at) {
        let next = joined.get(parent as usize).copied().unwrap_or(parent);
        if let Some(slot) = joined.get_mut(at) {
            *slot = next;
        }
        at = next as usize;
    }
    at
}

/// The set runs of `rle`, those of several columns cut at the ends of columns.
fn column_runs(rle: &Rle) -> impl Iterator<Item = ColumnRun> {
    let ImageSize { height, .. } = rle.size();
    let mut runs = set_runs(rle);
    let mut rest = 0..0_u32;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            rest = runs.next()?;
        }
        let (column, top) = (rest.start / height, rest.start % height);
        let end = rest.end.min((column + 1) * height);
        let bottom = top + (end - rest.start);
        rest.start = end;
        Some(ColumnRun { column, top, bottom })
    })
}

/// The set runs of `rle`, as positions counted down the columns.
pub(super) fn set_runs(rle: &Rle) -> impl Iterator<Item = std::ops::Range<u32>> {
    let mut end = 0;
    rle.counts().chunks(2).filter_map(move |pair| {
        let &[background, set] = pair else {
            return None;
        };
        let start = end + background;
        end = start + set;
        Some(start..end)
    })
}

/// Intersection over union of two regions; those of different sizes do not overlap, and two empty ones are equal.
pub(super) fn iou(a: &Rle, b: &Rle) -> f64 {
    if a == b {
        return 1.0;
    }
    if a.size() != b.size() {
        return 0.0;
    }
    let (mut a_runs, mut b_runs) = (set_runs(a), set_runs(b));
    let (mut a_run, mut b_run) = (a_runs.next(), b_runs.next());
    let mut shared = 0_u64;
    while let (Some(in_a), Some(in_b)) = (&a_run, &b_run) {
        let both = in_a.start.max(in_b.start)..in_a.end.min(in_b.end);
        shared += both.len() as u64;
        if in_a.end < in_b.end {
            a_run = a_runs.next();
        } else {
            b_run = b_runs.next();
        }
    }
    let either = a.area() + b.area() - shared;
    shared as f64 / either as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::{Connectivity, Mask, metrics};
    use proptest::prelude::*;

    fn drawn(rows: &str) -> Rle {
        let rows: Vec<&[u8]> = rows.split(' ').map(str::as_bytes).collect();
        let size = ImageSize::new(rows[0].len() as u32, rows.len() as u32);
        Mask::from_fn(size, |x, y| rows[y as usize][x as usize] == b'#')
            .unwrap()
            .to_rle()
    }

    #[test]
    fn parts_and_holes_of_small_regions() {
        for (rows, parts, holes) in [
            ("... ...", 0, 0),
            ("### ###", 1, 0),
            ("#. .#", 1, 0),
            ("#.# ... #.#", 4, 0),
            (".#. #.# .#.", 1, 1),
            ("### #.# ###", 1, 1),
            ("##### #...# #.#.# #...# #####", 2, 1),
            ("##### #.#.# #####", 1, 2),
        ] {
            assert_eq!(Shape::of(&drawn(rows)), Shape { parts, holes }, "{rows}");
        }
    }

    fn noise() -> impl Strategy<Value = Rle> {
        (1..24_u32, 1..24_u32, 0..=100_u32, any::<u64>()).prop_map(|(width, height, density, mut seed)| {
            let mut random = || {
                seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) as u32
            };
            let size = ImageSize::new(width, height);
            Mask::from_fn(size, |_, _| random() % 100 < density)
                .unwrap()
                .to_rle()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn they_are_those_of_the_raster(rle in noise()) {
            let mask = Mask::from_rle(&rle);
            let filled = mask.fill_holes().difference(&mask).unwrap();
            let expected = Shape {
                parts: mask.components(Connectivity::Eight).len() as u64,
                holes: filled.components(Connectivity::Four).len() as u64,
            };
            prop_assert_eq!(Shape::of(&rle), expected);
        }

        #[test]
        fn overlap_is_that_of_the_raster(a in noise(), density in 0..4_u32) {
            let mask = Mask::from_rle(&a);
            let other = Mask::from_fn(a.size(), |x, y| mask.get(x, y) && (x + y) % 4 <= density).unwrap();
            prop_assert_eq!(iou(&a, &other.to_rle()), metrics::iou(&mask, &other).unwrap());
        }
    }
}
