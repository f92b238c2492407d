//! Outlines between the shapes that annotation tools draw and our masks: ellipses and turned boxes as polygons, and
//! polygons with holes as one closed line.

use crate::geometry::ImagePoint;
use crate::mask::MaskPolygon;
use std::collections::HashMap;
use std::f64::consts::TAU;

/// The corners of the box from (`left`, `top`) of `width` x `height`, turned about `pivot` by `degrees` clockwise on
/// the screen.
pub(super) fn turned_box(
    [left, top, width, height]: [f64; 4],
    degrees: f64,
    pivot: [f64; 2],
) -> Vec<ImagePoint> {
    let (right, bottom) = (left + width, top + height);
    [[left, top], [right, top], [right, bottom], [left, bottom]]
        .map(|corner| turned(corner, degrees, pivot))
        .into()
}

/// An ellipse as a polygon that is nowhere further than a hundredth of a pixel from it for radii up to some 6,000
/// pixels, turned about its centre by `degrees` clockwise on the screen.
pub(super) fn ellipse([x, y]: [f64; 2], [radius_x, radius_y]: [f64; 2], degrees: f64) -> Vec<ImagePoint> {
    const CORNERS: u32 = 1800;
    let corner = |index: u32| {
        let (sine, cosine) = (f64::from(index) / f64::from(CORNERS) * TAU).sin_cos();
        turned([x + radius_x * cosine, y + radius_y * sine], degrees, [x, y])
    };
    (0..CORNERS).map(corner).collect()
}

fn turned([x, y]: [f64; 2], degrees: f64, [pivot_x, pivot_y]: [f64; 2]) -> ImagePoint {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let (dx, dy) = (x - pivot_x, y - pivot_y);
    let (x, y) = (dx * cosine - dy * sine, dx * sine + dy * cosine);
    ImagePoint::new((pivot_x + x) as f32, (pivot_y + y) as f32)
}

/// A traced `polygon` as one closed line for formats without holes: every hole is reached over a bridge that is walked
/// both ways, so either fill rule gives the polygon again.
///
/// A bridge goes left from the first corner of its hole along a row of pixels of the polygon to the next line, which
/// belongs to the outline or to a hole that starts earlier; so bridges cross nothing, and there are no circles.
pub(super) fn one_line(polygon: &MaskPolygon) -> Vec<ImagePoint> {
    let rings: Vec<&[ImagePoint]> = polygon.rings().collect();
    if rings.len() == 1 {
        return polygon.outer.clone();
    }
    let starts: Vec<usize> = rings.iter().map(|ring| first_corner(ring)).collect();
    let bridges = Bridges::of(&rings, &starts);
    let mut line = Vec::new();
    // Rings that are being walked, the innermost last: its number, steps made, and bridges taken on the present side.
    let mut walks = vec![(0_usize, 0_usize, 0_usize)];
    while let Some((ring, step, taken)) = walks.pop() {
        let (Some(corners), Some(&start)) = (rings.get(ring), starts.get(ring)) else {
            continue;
        };
        let side = (start + step) % corners.len();
        let ends = if taken == 0 { corners.get(side) } else { None };
        line.extend(ends);
        if step == corners.len() {
            continue;
        }
        let crossings = bridges.at.get(&(ring, side)).map_or(&[][..], Vec::as_slice);
        if let Some(previous) = taken.checked_sub(1).and_then(|index| crossings.get(index)) {
            line.push(previous.landing);
        }
        match crossings.get(taken) {
            Some(bridge) => {
                line.push(bridge.landing);
                walks.push((ring, step, taken + 1));
                walks.push((bridge.hole, 0, 0));
            }
            None => walks.push((ring, step + 1, 0)),
        }
    }
    // Back at the first corner, which a closed line does not repeat.
    line.pop();
    line.dedup();
    line
}

/// The index of the first corner of `ring` in reading order.
fn first_corner(ring: &[ImagePoint]) -> usize {
    let order = |&(_, a): &(usize, &ImagePoint), &(_, b): &(usize, &ImagePoint)| {
        a.y.total_cmp(&b.y).then(a.x.total_cmp(&b.x))
    };
    ring.iter()
        .enumerate()
        .min_by(order)
        .map_or(0, |(index, _)| index)
}

struct Bridge {
    /// Where it meets the side.
    landing: ImagePoint,
    /// The ring on its other end.
    hole: usize,
}

/// The bridges that land on each side, in the direction of the side; a side is a ring and the corner it starts at.
struct Bridges {
    at: HashMap<(usize, usize), Vec<Bridge>>,
}

impl Bridges {
    fn of(rings: &[&[ImagePoint]], starts: &[usize]) -> Self {
        // The vertical sides that cross each row of pixels on which a bridge will be, by their column.
        let mut rows: HashMap<i64, Vec<(f32, usize, usize)>> = HashMap::new();
        let first = |ring: usize| {
            let start = starts.get(ring).copied().unwrap_or(0);
            rings.get(ring).and_then(|corners| corners.get(start)).copied()
        };
        for hole in 1..rings.len() {
            rows.entry(first(hole).map_or(0, |corner| corner.y as i64))
                .or_default();
        }
        for (ring, corners) in rings.iter().enumerate() {
            let next = corners.iter().cycle().skip(1);
            for (side, (from, to)) in corners.iter().zip(next).enumerate() {
                if from.x != to.x {
                    continue;
                }
                for row in from.y.min(to.y) as i64..from.y.max(to.y) as i64 {
                    if let Some(row) = rows.get_mut(&row) {
                        row.push((from.x, ring, side));
                    }
                }
            }
        }
        for row in rows.values_mut() {
            row.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        let mut at: HashMap<(usize, usize), Vec<Bridge>> = HashMap::new();
        for hole in 1..rings.len() {
            let Some(corner) = first(hole) else { continue };
            let row = rows.get(&(corner.y as i64)).map_or(&[][..], Vec::as_slice);
            let left_of = row.partition_point(|&(x, ..)| x < corner.x);
            let Some(&(x, ring, side)) = left_of.checked_sub(1).and_then(|index| row.get(index)) else {
                continue;
            };
            let landing = ImagePoint::new(x, corner.y);
            at.entry((ring, side)).or_default().push(Bridge { landing, hole });
        }
        for (&(ring, side), bridges) in &mut at {
            let corners = rings.get(ring).copied().unwrap_or_default();
            let from = corners.get(side).map_or(0.0, |corner| corner.y);
            bridges.sort_by(|a, b| (a.landing.y - from).abs().total_cmp(&(b.landing.y - from).abs()));
        }
        Self { at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ImageSize;
    use crate::mask::{FillRule, Mask};

    fn filled(size: ImageSize, lines: &[Vec<ImagePoint>], rule: FillRule) -> Mask {
        let mut mask = Mask::empty(size).unwrap();
        for line in lines {
            mask.fill_rings(std::slice::from_ref(line), rule, true).unwrap();
        }
        mask
    }

    #[test]
    fn polygons_with_holes_survive_as_one_line() {
        let size = ImageSize::new(90, 70);
        let mut seed = 1_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as u32
        };
        for density in [1, 5, 20, 50, 80, 95, 99] {
            for _ in 0..10 {
                let mask = Mask::from_fn(size, |_, _| random() % 100 < density).unwrap();
                let lines: Vec<_> = mask.trace().iter().map(one_line).collect();
                for rule in [FillRule::EvenOdd, FillRule::NonZero] {
                    assert_eq!(filled(size, &lines, rule), mask, "density {density} %");
                }
            }
        }
    }

    #[test]
    fn a_bridge_goes_left_to_the_next_line() {
        let size = ImageSize::new(7, 3);
        let mask = Mask::from_fn(size, |x, y| y != 1 || (x != 2 && x != 4)).unwrap();
        let line = one_line(&mask.trace()[0]);
        let bridges = [(0.0, 1.0, 2.0), (3.0, 1.0, 4.0)];
        for (from, y, to) in bridges {
            let (from, to) = (ImagePoint::new(from, y), ImagePoint::new(to, y));
            let walked =
                |a: ImagePoint, b: ImagePoint| line.windows(2).filter(|pair| *pair == [a, b]).count();
            assert_eq!(
                (walked(from, to), walked(to, from)),
                (1, 1),
                "{from:?} to {to:?} in {line:?}"
            );
        }
    }

    #[test]
    fn ellipses_and_turned_boxes_have_their_area() {
        let size = ImageSize::new(200, 200);
        let area = |points: Vec<ImagePoint>| filled(size, &[points], FillRule::EvenOdd).area() as f64;
        let disc = area(ellipse([100.0, 100.0], [60.0, 30.0], 25.0));
        assert!((disc - std::f64::consts::PI * 1800.0).abs() < 30.0, "{disc}");
        let turned = turned_box([50.0, 50.0, 80.0, 40.0], 90.0, [50.0, 50.0]);
        let mask = filled(size, &[turned], FillRule::EvenOdd);
        let bounds = mask.bounding_box().unwrap();
        assert_eq!(
            (bounds.x, bounds.y, bounds.width, bounds.height),
            (10, 50, 40, 80)
        );
    }
}
