//! Shapes turned into patches: the pixels whose centres lie inside, in the smallest rectangle, row by row.

use super::Patch;
use super::plane::Bounds;
use crate::geometry::{ImagePoint, ImageSize, PixelRect};
use crate::mask::{FillRule, Mask};
use std::ops::Range;

/// The pixels whose centres lie in a shape inside `bounds` that is one interval on every row: `row` answers the
/// leftmost and rightmost x of the shape at a y, edges included.
pub(super) fn fill_rows(
    size: ImageSize,
    bounds: Bounds,
    row: impl Fn(f64) -> Option<(f64, f64)>,
) -> Option<Patch> {
    let rect = pixels_in(bounds, size)?;
    let mut mask = Mask::empty(rect.size()).ok()?;
    for y in 0..rect.height {
        if let Some((left, right)) = row(f64::from(rect.y + y) + 0.5) {
            let columns = centres_in(left, right, size.width);
            mask.fill_run(
                y,
                columns.start.saturating_sub(rect.x)..columns.end.saturating_sub(rect.x),
                true,
            );
        }
    }
    (!mask.is_empty()).then(|| Patch::new(rect.x, rect.y, mask))
}

/// The pixels inside a closed line that may cross itself; all that it goes round counts as inside.
pub(super) fn fill_ring(size: ImageSize, ring: &[ImagePoint]) -> Option<Patch> {
    let rect = pixels_in(Bounds::around(ring.iter().copied())?, size)?;
    let mut mask = Mask::empty(rect.size()).ok()?;
    mask.fill_rings(&[relative_to(ring, rect)], FillRule::NonZero, true)
        .ok()?;
    (!mask.is_empty()).then(|| Patch::new(rect.x, rect.y, mask))
}

/// `points` as seen from the top-left corner of `rect`.
pub(super) fn relative_to(points: &[ImagePoint], rect: PixelRect) -> Vec<ImagePoint> {
    let relative = |position: f32, origin: u32| (f64::from(position) - f64::from(origin)) as f32;
    points
        .iter()
        .map(|point| ImagePoint::new(relative(point.x, rect.x), relative(point.y, rect.y)))
        .collect()
}

/// The pixels of an image of `size` whose centres lie in `bounds`, edges included; `None` if there are none.
pub(super) fn pixels_in(bounds: Bounds, size: ImageSize) -> Option<PixelRect> {
    let columns = centres_in(bounds.x0, bounds.x1, size.width);
    let rows = centres_in(bounds.y0, bounds.y1, size.height);
    let rect = PixelRect::new(
        columns.start,
        rows.start,
        columns.end.saturating_sub(columns.start),
        rows.end.saturating_sub(rows.start),
    );
    (rect.width > 0 && rect.height > 0).then_some(rect)
}

/// Those of `0..limit` whose pixel centres lie in `first..=last`; empty if one of them is not a number.
fn centres_in(first: f64, last: f64, limit: u32) -> Range<u32> {
    if first.is_nan() || last.is_nan() || first > last {
        return 0..0;
    }
    let limit = f64::from(limit);
    let start = (first - 0.5).ceil().clamp(0.0, limit) as u32;
    let end = ((last - 0.5).floor() + 1.0).clamp(0.0, limit) as u32;
    start..end.max(start)
}

/// A round or square tip somewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dab {
    /// Its centre.
    pub(super) at: ImagePoint,
    /// Its radius, or half its side.
    pub(super) radius_px: f32,
}

impl Dab {
    fn bounds(self) -> Bounds {
        let (x, y) = self.centre();
        let centre = Bounds {
            x0: x,
            y0: y,
            x1: x,
            y1: y,
        };
        centre.grown(f64::from(self.radius_px))
    }

    fn centre(self) -> (f64, f64) {
        (f64::from(self.at.x), f64::from(self.at.y))
    }

    /// Where the disc cuts the row at `y`.
    fn chord(self, y: f64) -> Option<(f64, f64)> {
        let ((centre_x, centre_y), radius) = (self.centre(), f64::from(self.radius_px));
        let half_squared = radius * radius - (y - centre_y).powi(2);
        (half_squared >= 0.0).then(|| {
            let half = half_squared.sqrt();
            (centre_x - half, centre_x + half)
        })
    }
}

/// A line between two points in the plane.
type Segment = ((f64, f64), (f64, f64));

/// The pixels that a round tip covers while it moves straight from one dab to another, its radius changing evenly.
///
/// That is the convex hull of the two discs: their chords and two common tangents bound every row.
pub(super) fn sweep_round(size: ImageSize, from: Dab, to: Dab) -> Option<Patch> {
    let (a, b) = (from.centre(), to.centre());
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx.hypot(dy);
    let (radius_a, radius_b) = (f64::from(from.radius_px), f64::from(to.radius_px));
    let shrinkage = radius_a - radius_b;
    // Where one disc holds the other there is no tangent.
    let tangents: Option<[Segment; 2]> = (length > shrinkage.abs()).then(|| {
        let (along, across) = (shrinkage / length, (1.0 - (shrinkage / length).powi(2)).sqrt());
        let (ux, uy) = (dx / length, dy / length);
        [across, -across].map(|across| {
            let (nx, ny) = (ux * along - uy * across, uy * along + ux * across);
            (
                (a.0 + radius_a * nx, a.1 + radius_a * ny),
                (b.0 + radius_b * nx, b.1 + radius_b * ny),
            )
        })
    });
    fill_rows(size, from.bounds().union(to.bounds()), |y| {
        let crossings = tangents
            .iter()
            .flatten()
            .filter_map(|&tangent| crossing(tangent, y));
        hull(from.chord(y).into_iter().chain(to.chord(y)).chain(crossings))
    })
}

/// The pixels that a square tip covers while it moves straight from one dab to another, its side changing evenly:
/// the convex hull of the two squares.
pub(super) fn sweep_square(size: ImageSize, from: Dab, to: Dab) -> Option<Patch> {
    let corners = |dab: Dab| {
        let Bounds { x0, y0, x1, y1 } = dab.bounds();
        [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    };
    let (from_corners, to_corners) = (corners(from), corners(to));
    fill_rows(size, from.bounds().union(to.bounds()), |y| {
        let sides = |corners: [(f64, f64); 4]| {
            let [a, b, c, d] = corners;
            [(a, b), (b, c), (c, d), (d, a)]
        };
        let paths = from_corners.into_iter().zip(to_corners);
        let lines = sides(from_corners)
            .into_iter()
            .chain(sides(to_corners))
            .chain(paths);
        hull(lines.filter_map(|line| crossing(line, y)))
    })
}

/// The pixels of the ellipse in a box.
pub(super) fn fill_ellipse(size: ImageSize, bounds: Bounds) -> Option<Patch> {
    let (centre_x, centre_y) = ((bounds.x0 + bounds.x1) / 2.0, (bounds.y0 + bounds.y1) / 2.0);
    let (radius_x, radius_y) = ((bounds.x1 - bounds.x0) / 2.0, (bounds.y1 - bounds.y0) / 2.0);
    fill_rows(size, bounds, |y| {
        let share_squared = 1.0 - ((y - centre_y) / radius_y).powi(2);
        (share_squared >= 0.0).then(|| {
            let half = radius_x * share_squared.sqrt();
            (centre_x - half, centre_x + half)
        })
    })
}

/// Where a segment meets the row at `y`, as an interval because it may lie in it.
fn crossing((a, b): Segment, y: f64) -> Option<(f64, f64)> {
    let (top, bottom) = if a.1 <= b.1 { (a, b) } else { (b, a) };
    if y < top.1 || y > bottom.1 {
        return None;
    }
    if top.1 == bottom.1 {
        return Some((top.0.min(bottom.0), top.0.max(bottom.0)));
    }
    let x = top.0 + (bottom.0 - top.0) * ((y - top.1) / (bottom.1 - top.1));
    Some((x, x))
}

/// The smallest interval that holds all of `intervals`.
fn hull(intervals: impl Iterator<Item = (f64, f64)>) -> Option<(f64, f64)> {
    intervals.reduce(|(left, right), (start, end)| (left.min(start), right.max(end)))
}
