//! Polygons with holes, the form in which masks are drawn, edited and exchanged with annotation tools.

use super::MaskError;
use crate::geometry::ImagePoint;

/// One part of a mask: the inside of `outer` without the insides of `holes`.
///
/// A ring is a closed line of points in continuous image pixels, so pixel (`x`, `y`) spans `x .. x + 1` and
/// `y .. y + 1`; the last point joins the first again and is not repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskPolygon {
    /// The outline.
    pub outer: Vec<ImagePoint>,
    /// What is cut out of it.
    pub holes: Vec<Vec<ImagePoint>>,
}

impl MaskPolygon {
    /// The outline and then the holes.
    pub fn rings(&self) -> impl Iterator<Item = &[ImagePoint]> {
        std::iter::once(&self.outer).chain(&self.holes).map(Vec::as_slice)
    }

    /// The area of the outline less that of the holes, in pixels; right where no ring crosses itself or
    /// another.
    #[must_use]
    pub fn area(&self) -> f64 {
        let holes: f64 = self.holes.iter().map(|hole| signed_area(hole).abs()).sum();
        signed_area(&self.outer).abs() - holes
    }

    /// The polygon with fewer points, none of its lines moved by more than `tolerance_px` (Douglas-Peucker).
    ///
    /// Holes that shrink to a line are dropped; an outline that would is kept as it is, so no part vanishes.
    /// A tolerance that is negative or not a number keeps every point.
    #[must_use]
    pub fn simplified(&self, tolerance_px: f32) -> Self {
        let outer = simplified_ring(&self.outer, tolerance_px);
        let holes = self.holes.iter().map(|hole| simplified_ring(hole, tolerance_px));
        Self {
            outer: if outer.len() < 3 {
                self.outer.clone()
            } else {
                outer
            },
            holes: holes.filter(|hole| hole.len() >= 3).collect(),
        }
    }

    /// The outline as COCO writes it, `x1, y1, x2, y2, …`; the format has no place for holes.
    #[must_use]
    pub fn outer_to_coco(&self) -> Vec<f32> {
        self.outer.iter().flat_map(|point| [point.x, point.y]).collect()
    }
}

/// Reads the `segmentation` of a COCO annotation in its polygon form; the mask is the union of the polygons.
///
/// Polygons of fewer than three points are kept; they cover no pixel.
///
/// # Errors
/// [`MaskError::PolygonOddLength`] and [`MaskError::PolygonNotFinite`].
pub fn polygons_from_coco(lists: &[Vec<f64>]) -> Result<Vec<MaskPolygon>, MaskError> {
    let read = |(index, list): (usize, &Vec<f64>)| {
        let (pairs, rest) = list.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(MaskError::PolygonOddLength {
                index,
                length: list.len(),
            });
        }
        let outer: Vec<_> = pairs
            .iter()
            .map(|&[x, y]| ImagePoint::new(x as f32, y as f32))
            .collect();
        if outer
            .iter()
            .all(|point| point.x.is_finite() && point.y.is_finite())
        {
            Ok(MaskPolygon {
                outer,
                holes: Vec::new(),
            })
        } else {
            Err(MaskError::PolygonNotFinite { ring: index })
        }
    };
    lists.iter().enumerate().map(read).collect()
}

/// The area inside `ring`, positive if it runs clockwise on the screen.
fn signed_area(ring: &[ImagePoint]) -> f64 {
    let next = ring.iter().cycle().skip(1);
    let cross = |(a, b): (&ImagePoint, &ImagePoint)| {
        f64::from(a.x) * f64::from(b.y) - f64::from(b.x) * f64::from(a.y)
    };
    ring.iter().zip(next).map(cross).sum::<f64>() / 2.0
}

/// Douglas-Peucker on a closed ring, split at its first point and the point farthest from it.
fn simplified_ring(ring: &[ImagePoint], tolerance_px: f32) -> Vec<ImagePoint> {
    let tolerance_squared = f64::from(tolerance_px.max(0.0)).powi(2);
    let Some(&first) = ring.first() else {
        return Vec::new();
    };
    let Some((opposite, _)) = farthest(ring, first, first) else {
        return ring.to_vec();
    };
    let mut is_kept = vec![false; ring.len() + 1];
    is_kept[0] = true;
    is_kept[opposite] = true;
    // The first point again at the end, so that both halves are open lines between kept points.
    let line: Vec<ImagePoint> = ring.iter().copied().chain([first]).collect();
    let mut pending = vec![(0, opposite), (opposite, ring.len())];
    while let Some((start, end)) = pending.pop() {
        let between = &line[start + 1..end];
        if let Some((offset, distance_squared)) = farthest(between, line[start], line[end])
            && distance_squared > tolerance_squared
        {
            let middle = start + 1 + offset;
            is_kept[middle] = true;
            pending.extend([(start, middle), (middle, end)]);
        }
    }
    ring.iter()
        .zip(is_kept)
        .filter_map(|(&point, is_kept)| is_kept.then_some(point))
        .collect()
}

/// The index and squared distance of the point farthest from the segment `a`-`b`.
fn farthest(points: &[ImagePoint], a: ImagePoint, b: ImagePoint) -> Option<(usize, f64)> {
    let distances = points.iter().map(|&point| squared_distance(point, a, b));
    distances
        .enumerate()
        .max_by(|(_, left), (_, right)| left.total_cmp(right))
}

/// The squared distance of `point` from the segment `a`-`b`.
fn squared_distance(point: ImagePoint, a: ImagePoint, b: ImagePoint) -> f64 {
    let vector = |from: ImagePoint, to: ImagePoint| {
        (
            f64::from(to.x) - f64::from(from.x),
            f64::from(to.y) - f64::from(from.y),
        )
    };
    let ((along_x, along_y), (x, y)) = (vector(a, b), vector(a, point));
    let length_squared = along_x * along_x + along_y * along_y;
    let share = if length_squared > 0.0 {
        (x * along_x + y * along_y) / length_squared
    } else {
        0.0
    };
    let share = share.clamp(0.0, 1.0);
    (x - share * along_x).powi(2) + (y - share * along_y).powi(2)
}

#[cfg(test)]
mod tests {
    use super::super::metrics::iou;
    use super::super::sample::{cases, drawn, masks};
    use super::super::{FillRule, Mask};
    use super::*;
    use crate::geometry::ImageSize;
    use proptest::prelude::*;

    #[test]
    fn coco_lists_are_read_and_written() {
        let lists = vec![vec![0.0, 0.0, 2.0, 0.0, 2.0, 1.5], vec![], vec![1.0, 2.0]];
        let polygons = polygons_from_coco(&lists).unwrap();
        let written: Vec<Vec<f32>> = polygons.iter().map(MaskPolygon::outer_to_coco).collect();
        assert_eq!(
            written,
            [vec![0.0, 0.0, 2.0, 0.0, 2.0, 1.5], vec![], vec![1.0, 2.0]]
        );
        let mask = Mask::from_polygons(ImageSize::new(3, 2), &polygons, FillRule::EvenOdd);
        assert_eq!(mask, Ok(drawn(".#. ...")));

        let odd = polygons_from_coco(&[vec![], vec![1.0, 2.0, 3.0]]);
        assert_eq!(odd, Err(MaskError::PolygonOddLength { index: 1, length: 3 }));
        for bad in [f64::NAN, f64::INFINITY, 1e300] {
            let refused = polygons_from_coco(&[vec![0.0, bad]]);
            assert_eq!(refused, Err(MaskError::PolygonNotFinite { ring: 0 }));
        }
    }

    #[test]
    fn simplification_keeps_what_matters() {
        let staircase = (0..20)
            .flat_map(|step| [(step, step), (step + 1, step)])
            .chain([(20, 20), (0, 20)]);
        let outer: Vec<_> = staircase
            .map(|(x, y)| ImagePoint::new(x as f32, y as f32))
            .collect();
        let polygon = MaskPolygon {
            outer,
            holes: Vec::new(),
        };
        assert_eq!(polygon.simplified(0.25).outer.len(), polygon.outer.len());
        assert!(
            polygon.simplified(1.0).outer.len() <= 5,
            "the stairs become a line"
        );

        let dot = &drawn("### #.# ###").trace()[0];
        let simplified = dot.simplified(50.0);
        assert_eq!(
            (simplified.outer.len(), simplified.holes.len()),
            (4, 0),
            "outlines stay, tiny holes go"
        );
        for tolerance in [0.0, -1.0, f32::NAN] {
            assert_eq!(&dot.simplified(tolerance), dot, "tolerance {tolerance}");
        }
        let empty = MaskPolygon {
            outer: Vec::new(),
            holes: vec![Vec::new()],
        };
        assert_eq!(
            empty.simplified(1.0),
            MaskPolygon {
                outer: Vec::new(),
                holes: Vec::new()
            }
        );
    }

    proptest! {
        #![proptest_config(cases(150))]

        #[test]
        fn points_stay_near_the_simplified_outline(mask in masks(120), tolerance in 0.0..4.0_f32) {
            for polygon in mask.trace() {
                let simplified = polygon.simplified(tolerance);
                for point in &polygon.outer {
                    let next = simplified.outer.iter().cycle().skip(1);
                    let lines = simplified.outer.iter().zip(next);
                    let nearest = lines.map(|(&a, &b)| squared_distance(*point, a, b)).fold(f64::MAX, f64::min);
                    prop_assert!(nearest <= f64::from(tolerance).powi(2) + 1e-9);
                }
            }
        }

        #[test]
        fn corners_survive_without_tolerance(mask in masks(120)) {
            let polygons: Vec<_> = mask.trace().iter().map(|polygon| polygon.simplified(0.0)).collect();
            let filled = Mask::from_polygons(mask.size(), &polygons, FillRule::EvenOdd).unwrap();
            prop_assert_eq!(iou(&filled, &mask), Ok(1.0));
        }
    }
}
