//! Distances between points and lines, for grabbing handles and for telling clicks from drags.

use crate::geometry::ImagePoint;

/// The distance between two points.
pub(super) fn distance(a: ImagePoint, b: ImagePoint) -> f32 {
    (a.x - b.x).hypot(a.y - b.y)
}

/// The point of the segment `a`-`b` nearest to `point`.
///
/// On a horizontal or vertical segment the shared coordinate is kept exactly.
pub(super) fn nearest_on_segment(point: ImagePoint, a: ImagePoint, b: ImagePoint) -> ImagePoint {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let length_squared = dx * dx + dy * dy;
    if length_squared <= 0.0 {
        return a;
    }
    let along = (((point.x - a.x) * dx + (point.y - a.y) * dy) / length_squared).clamp(0.0, 1.0);
    ImagePoint::new(a.x + along * dx, a.y + along * dy)
}

/// An axis-aligned box that grows around points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) x0: f64,
    pub(super) y0: f64,
    pub(super) x1: f64,
    pub(super) y1: f64,
}

impl Bounds {
    /// The box around `points`, `None` if there are none.
    pub(super) fn around(points: impl IntoIterator<Item = ImagePoint>) -> Option<Self> {
        points
            .into_iter()
            .map(|point| {
                let (x, y) = (f64::from(point.x), f64::from(point.y));
                Self {
                    x0: x,
                    y0: y,
                    x1: x,
                    y1: y,
                }
            })
            .reduce(Self::union)
    }

    pub(super) const fn union(self, other: Self) -> Self {
        Self {
            x0: self.x0.min(other.x0),
            y0: self.y0.min(other.y0),
            x1: self.x1.max(other.x1),
            y1: self.y1.max(other.y1),
        }
    }

    /// The box with `by` more on every side.
    pub(super) fn grown(self, by: f64) -> Self {
        Self {
            x0: self.x0 - by,
            y0: self.y0 - by,
            x1: self.x1 + by,
            y1: self.y1 + by,
        }
    }

    /// Whether the boxes share a point.
    pub(super) fn touches(self, other: Self) -> bool {
        self.x0 <= other.x1 && other.x0 <= self.x1 && self.y0 <= other.y1 && other.y0 <= self.y1
    }

    /// Whether `point` lies in the box.
    pub(super) fn contains(self, point: ImagePoint) -> bool {
        let (x, y) = (f64::from(point.x), f64::from(point.y));
        (self.x0..=self.x1).contains(&x) && (self.y0..=self.y1).contains(&y)
    }
}
