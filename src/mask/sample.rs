//! Random masks for the property tests of this layer: every kind in every awkward size.

use super::Mask;
use crate::geometry::ImageSize;
use proptest::prelude::*;

/// `default` cases per test, or as many as `PROPTEST_CASES` asks for.
pub(super) fn cases(default: u32) -> ProptestConfig {
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        config
    } else {
        ProptestConfig {
            cases: default,
            ..config
        }
    }
}

/// Sizes up to `max_side`, with many single rows and columns and word boundaries among them.
pub(super) fn sizes(max_side: u32) -> impl Strategy<Value = ImageSize> {
    let side = move || {
        prop_oneof![
            6 => 1..=max_side,
            1 => Just(1),
            2 => prop_oneof![Just(63), Just(64), Just(65), Just(128)].prop_map(move |side: u32| side.min(max_side)),
        ]
    };
    (side(), side()).prop_map(|(width, height)| ImageSize::new(width, height))
}

/// Masks of sizes up to `max_side`.
pub(super) fn masks(max_side: u32) -> impl Strategy<Value = Mask> {
    sizes(max_side).prop_flat_map(masks_of)
}

/// Pairs of masks of one size.
pub(super) fn mask_pairs(max_side: u32) -> impl Strategy<Value = (Mask, Mask)> {
    sizes(max_side).prop_flat_map(|size| (masks_of(size), masks_of(size)))
}

/// Empty and full masks, noise of any density, and overlapping discs and boxes that are set or cleared.
pub(super) fn masks_of(size: ImageSize) -> impl Strategy<Value = Mask> {
    let noise = (0.0..1.0_f64, any::<u64>()).prop_map(move |(density, seed)| {
        let mut random = Random(seed);
        Mask::from_fn(size, |_, _| random.unit() < density).unwrap()
    });
    let shapes = (1..12_usize, any::<u64>()).prop_map(move |(count, seed)| {
        let mut random = Random(seed);
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let shapes: Vec<_> = (0..count)
            .map(|_| {
                let centre = (random.unit() * width, random.unit() * height);
                let reach = (
                    random.unit() * width / 2.0 + 0.5,
                    random.unit() * height / 2.0 + 0.5,
                );
                (centre, reach, random.unit() < 0.5, random.unit() < 0.7)
            })
            .collect();
        let covers = |x: u32, y: u32| {
            let mut is_set = false;
            for &((centre_x, centre_y), (reach_x, reach_y), is_disc, value) in &shapes {
                let (dx, dy) = (
                    (f64::from(x) - centre_x) / reach_x,
                    (f64::from(y) - centre_y) / reach_y,
                );
                if if is_disc {
                    dx * dx + dy * dy <= 1.0
                } else {
                    dx.abs().max(dy.abs()) <= 1.0
                } {
                    is_set = value;
                }
            }
            is_set
        };
        Mask::from_fn(size, covers).unwrap()
    });
    prop_oneof![
        1 => Just(Mask::empty(size).unwrap()),
        1 => Just(Mask::full(size).unwrap()),
        5 => noise,
        8 => shapes,
    ]
}

/// A mask drawn in text, `#` for a set pixel, rows separated by spaces.
pub(super) fn drawn(rows: &str) -> Mask {
    let rows: Vec<&[u8]> = rows.split_whitespace().map(str::as_bytes).collect();
    let size = ImageSize::new(rows[0].len() as u32, rows.len() as u32);
    Mask::from_fn(size, |x, y| rows[y as usize][x as usize] == b'#').unwrap()
}

/// The pixels of `mask` by its closure constructor's rule, for comparison with plain loops.
pub(super) fn naive(size: ImageSize, is_set: impl FnMut(i64, i64) -> bool) -> Mask {
    let mut is_set = is_set;
    Mask::from_fn(size, |x, y| is_set(i64::from(x), i64::from(y))).unwrap()
}

/// [`Mask::get`] for positions that may lie outside.
pub(super) fn pixel(mask: &Mask, x: i64, y: i64) -> bool {
    u32::try_from(x).is_ok_and(|x| u32::try_from(y).is_ok_and(|y| mask.get(x, y)))
}

/// Whether the padding of every row is zero, which word-wise operations rely on.
pub(super) fn is_sound(mask: &Mask) -> bool {
    let counted = (0..mask.size().height)
        .flat_map(|y| mask.runs(y))
        .map(|run| u64::from(run.end - run.start));
    mask.area() == counted.sum::<u64>() && Mask::from_rle(&mask.to_rle()) == *mask
}

/// A xorshift generator; `proptest` only supplies its seed.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        let mut state = self.0 | 1 << 40;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0 = state;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}
