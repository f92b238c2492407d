//! How large and how thin masks are, measured on run lengths without rasters.

use crate::mask::Rle;

/// Sizes of masks, with the limits of COCO's evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeClass {
    /// No pixels.
    Empty,
    /// Fewer than 32² pixels.
    Small,
    /// 32² to 96² pixels.
    Medium,
    /// More than 96² pixels.
    Large,
}

impl SizeClass {
    /// All, the smallest first.
    pub const ALL: [Self; 4] = [Self::Empty, Self::Small, Self::Medium, Self::Large];

    /// The class of a mask with this many pixels.
    #[must_use]
    pub const fn of(area_px: u64) -> Self {
        match area_px {
            0 => Self::Empty,
            1..1024 => Self::Small,
            1024..=9216 => Self::Medium,
            _ => Self::Large,
        }
    }

    /// The name in JSON and CSV.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

/// How thin the mask is: `r` where the rectangle `1 : r` has the same area and outline length; `None` without pixels.
///
/// A square gives 1, a disc 2.7, a line its length over its width, also where it is bent, and a ragged outline more
/// than its smooth one. The outline is that of the pixels, so a slanted line counts as somewhat thinner.
#[must_use]
pub fn thinness(mask: &Rle) -> Option<f64> {
    let area = mask.area();
    if area == 0 {
        return None;
    }
    let outline = outline_length(mask) as f64;
    // (1 + r)² / (4 r), which is 1 for a square and grows with r.
    let compactness = (outline * outline / (16.0 * area as f64)).max(1.0);
    let half = 2.0 * compactness - 1.0;
    Some(half + (half * half - 1.0).max(0.0).sqrt())
}

/// Sides of pixels between the mask and what is outside of it, the edge of the image included.
fn outline_length(mask: &Rle) -> u64 {
    let height = u64::from(mask.size().height);
    let mut start = 0;
    let runs: Vec<(u64, u64)> = mask
        .counts()
        .chunks_exact(2)
        .map(|pair| {
            let (background, set) = (u64::from(pair[0]), u64::from(pair[1]));
            let run = (start + background, start + background + set);
            start = run.1;
            run
        })
        .collect();
    // A run has a neighbour below for every pixel but its last and those at the bottom of a column.
    let vertical: u64 = runs
        .iter()
        .map(|&(start, end)| end - start - 1 - ((end - 1) / height - start / height))
        .sum();
    // The pixel to the right comes one column of pixels later, so neighbours are what the mask shares with itself
    // moved by one height.
    let mut horizontal = 0;
    let mut moved = runs
        .iter()
        .map(|&(start, end)| (start + height, end + height))
        .peekable();
    for &(start, end) in &runs {
        while let Some(&(other_start, other_end)) = moved.peek() {
            horizontal += end.min(other_end).saturating_sub(start.max(other_start));
            if other_end > end {
                break;
            }
            moved.next();
        }
    }
    4 * mask.area() - 2 * (vertical + horizontal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{ImageSize, PixelRect};
    use crate::mask::Mask;
    use proptest::prelude::*;

    fn rects(size: ImageSize, rects: &[[u32; 4]]) -> Rle {
        let rects: Vec<PixelRect> = rects
            .iter()
            .map(|&[x, y, w, h]| PixelRect::new(x, y, w, h))
            .collect();
        Mask::from_rects(size, &rects).unwrap().to_rle()
    }

    #[test]
    fn thinness_is_length_over_width() {
        let size = ImageSize::new(100, 60);
        let cases: [(&[[u32; 4]], f64); 6] = [
            (&[[3, 4, 10, 10]], 1.0),
            (&[[0, 0, 100, 60]], 100.0 / 60.0),
            (&[[0, 7, 100, 2]], 50.0),
            (&[[9, 0, 1, 60]], 60.0),
            (&[[5, 5, 1, 1]], 1.0),
            // An L of one pixel's width, as if it were straight.
            (&[[10, 10, 1, 20], [10, 29, 20, 1]], 39.0),
        ];
        for (shape, expected) in cases {
            let found = thinness(&rects(size, shape)).unwrap();
            assert!(
                (found - expected).abs() < 1e-9,
                "{shape:?}: {found}, not {expected}"
            );
        }
        assert_eq!(thinness(&rects(size, &[])), None);
        let disc = Mask::from_fn(ImageSize::new(101, 101), |x, y| {
            (f64::from(x) - 50.0).hypot(f64::from(y) - 50.0) < 45.0
        });
        let found = thinness(&disc.unwrap().to_rle()).unwrap();
        assert!((found - 2.7).abs() < 0.1, "{found}");
    }

    #[test]
    fn size_classes_have_the_limits_of_coco() {
        let classes = [0, 1, 1023, 1024, 9216, 9217].map(SizeClass::of);
        use SizeClass::{Empty, Large, Medium, Small};
        assert_eq!(classes, [Empty, Small, Small, Medium, Medium, Large]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_outline_is_counted_side_by_side(
            width in 1..12_u32, height in 1..12_u32, bits in prop::collection::vec(any::<bool>(), 144),
        ) {
            let mask = Mask::from_fn(ImageSize::new(width, height), |x, y| bits[(y * 12 + x) as usize]).unwrap();
            let is_set = |x: i64, y: i64| {
                (0..i64::from(width)).contains(&x) && (0..i64::from(height)).contains(&y) && mask.get(x as u32, y as u32)
            };
            let mut sides = 0;
            for (x, y) in (-1..=i64::from(width)).flat_map(|x| (-1..=i64::from(height)).map(move |y| (x, y))) {
                sides += u64::from(is_set(x, y) != is_set(x + 1, y)) + u64::from(is_set(x, y) != is_set(x, y + 1));
            }
            prop_assert_eq!(outline_length(&mask.to_rle()), sides);
        }
    }
}
