//! Filling polygons of any shape into a mask, one row of pixel centres after the other.

use super::{Mask, MaskError, MaskPolygon};
use crate::geometry::{ImagePoint, ImageSize};

/// Which points of the plane are inside a ring that crosses or overlaps itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FillRule {
    /// Those that the ring goes round an odd number of times, so overlaps are holes.
    #[default]
    EvenOdd,
    /// Those that the ring goes round at all, clockwise and anticlockwise turns cancelling.
    NonZero,
}

impl FillRule {
    const fn is_inside(self, winding: i32) -> bool {
        match self {
            Self::EvenOdd => winding % 2 != 0,
            Self::NonZero => winding != 0,
        }
    }
}

impl Mask {
    /// The union of `polygons`.
    ///
    /// # Errors
    /// As for [`Mask::empty`] and [`Mask::fill_polygon`].
    pub fn from_polygons(
        size: ImageSize,
        polygons: &[MaskPolygon],
        rule: FillRule,
    ) -> Result<Self, MaskError> {
        let mut mask = Self::empty(size)?;
        for polygon in polygons {
            mask.fill_polygon(polygon, rule, true)?;
        }
        Ok(mask)
    }

    /// Sets or clears the pixels inside the outline of `polygon` and in none of its holes.
    ///
    /// A pixel is inside a ring if its centre is; of the centres that lie exactly on a line those on left and
    /// upper edges are inside and those on right and lower edges are not, so polygons that share an edge share
    /// no pixel and leave none out. What falls outside the mask is ignored.
    ///
    /// # Errors
    /// [`MaskError::PolygonNotFinite`]; the mask is unchanged then.
    pub fn fill_polygon(
        &mut self,
        polygon: &MaskPolygon,
        rule: FillRule,
        value: bool,
    ) -> Result<(), MaskError> {
        let mut edges = Vec::new();
        for (ring, points) in polygon.rings().enumerate() {
            push_edges(&mut edges, points, ring, self.size)?;
        }
        self.fill_between(edges, 1 + polygon.holes.len(), rule, value);
        Ok(())
    }

    /// Sets or clears the pixels inside `rings` taken as one path: by the even-odd rule a ring inside another
    /// is a hole. Centres on lines count as in [`Mask::fill_polygon`].
    ///
    /// # Errors
    /// [`MaskError::PolygonNotFinite`]; the mask is unchanged then.
    pub fn fill_rings<R: AsRef<[ImagePoint]>>(
        &mut self,
        rings: &[R],
        rule: FillRule,
        value: bool,
    ) -> Result<(), MaskError> {
        let mut edges = Vec::new();
        for (index, points) in rings.iter().enumerate() {
            push_edges(&mut edges, points.as_ref(), index, self.size)?;
        }
        for edge in &mut edges {
            edge.ring = 0;
        }
        self.fill_between(edges, 1, rule, value);
        Ok(())
    }

    /// Fills between `edges` of `ring_count` rings, the first an outline and the others holes in it.
    ///
    /// Only the edges that cross the current row are looked at, so memory is bounded by their number.
    fn fill_between(&mut self, mut edges: Vec<Edge>, ring_count: usize, rule: FillRule, value: bool) {
        edges.sort_unstable_by_key(|edge| edge.first_row);
        let mut windings = vec![0; ring_count];
        let mut waiting = edges.into_iter().peekable();
        let mut active: Vec<Edge> = Vec::new();
        let mut y = 0;
        while !active.is_empty() || waiting.peek().is_some() {
            if active.is_empty() {
                y = waiting.peek().map_or(y, |edge| edge.first_row);
            }
            while let Some(edge) = waiting.next_if(|edge| edge.first_row == y) {
                active.push(edge);
            }
            for edge in &mut active {
                edge.move_to(y, self.size.width);
            }
            // Order changes little from row to row, which this sort makes use of.
            active.sort_by_key(|edge| edge.column);
            let (mut outline, mut holes) = (false, 0_usize);
            let mut run_start = None;
            for edge in &active {
                let winding = &mut windings[edge.ring];
                let was_inside = rule.is_inside(*winding);
                *winding += edge.winding;
                let is_inside = rule.is_inside(*winding);
                match (edge.ring, was_inside, is_inside) {
                    (0, ..) => outline = is_inside,
                    (_, false, true) => holes += 1,
                    (_, true, false) => holes -= 1,
                    _ => {}
                }
                let is_filled = outline && holes == 0;
                match run_start {
                    None if is_filled => run_start = Some(edge.column),
                    Some(start) if !is_filled => {
                        self.fill_run(y, start..edge.column, value);
                        run_start = None;
                    }
                    _ => {}
                }
            }
            y += 1;
            active.retain(|edge| edge.end_row > y);
        }
    }
}

/// A line from its upper to its lower end, with the rows of pixel centres it crosses.
struct Edge {
    first_row: u32,
    end_row: u32,
    top_x: f64,
    top_y: f64,
    /// Change of x from one row to the next.
    slope: f64,
    /// +1 if the ring runs down here, -1 if up.
    winding: i32,
    ring: usize,
    /// The first column whose centre is right of the line, in the current row.
    column: u32,
}

impl Edge {
    fn move_to(&mut self, y: u32, width: u32) {
        let x = self.top_x + (f64::from(y) + 0.5 - self.top_y) * self.slope;
        self.column = first_centre(x, width);
    }
}

/// Adds the edges of a ring that cross a row of pixel centres of a mask of `size`.
fn push_edges(
    edges: &mut Vec<Edge>,
    points: &[ImagePoint],
    ring: usize,
    size: ImageSize,
) -> Result<(), MaskError> {
    if points
        .iter()
        .any(|point| !(point.x.is_finite() && point.y.is_finite()))
    {
        return Err(MaskError::PolygonNotFinite { ring });
    }
    for (&from, &to) in points.iter().zip(points.iter().cycle().skip(1)) {
        let (top, bottom, winding) = if from.y <= to.y {
            (from, to, 1)
        } else {
            (to, from, -1)
        };
        let (top_x, top_y) = (f64::from(top.x), f64::from(top.y));
        let first_row = first_centre(top_y, size.height);
        let end_row = first_centre(f64::from(bottom.y), size.height);
        if first_row < end_row {
            let slope = (f64::from(bottom.x) - top_x) / (f64::from(bottom.y) - top_y);
            edges.push(Edge {
                first_row,
                end_row,
                top_x,
                top_y,
                slope,
                winding,
                ring,
                column: 0,
            });
        }
    }
    Ok(())
}

/// The first of `0..limit` whose pixel centre is at `position` or after, `limit` if none is.
fn first_centre(position: f64, limit: u32) -> u32 {
    // Ceil by truncation, which is a single instruction on every CPU.
    let wanted = (position - 0.5).clamp(0.0, f64::from(limit));
    let truncated = wanted as u32;
    truncated + u32::from(f64::from(truncated) < wanted)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{cases, drawn};
    use super::*;
    use proptest::prelude::*;

    fn ring(points: &[(f32, f32)]) -> Vec<ImagePoint> {
        points.iter().map(|&(x, y)| ImagePoint::new(x, y)).collect()
    }

    fn filled(size: ImageSize, rings: &[Vec<ImagePoint>], rule: FillRule) -> Mask {
        let mut mask = Mask::empty(size).unwrap();
        mask.fill_rings(rings, rule, true).unwrap();
        mask
    }

    /// Whether the centre of pixel (`x`, `y`) is inside, by exact arithmetic on quarter pixels; `None` if it
    /// lies on a slanted line.
    fn naive_is_inside(rings: &[Vec<(i64, i64)>], x: i64, y: i64, rule: FillRule) -> Option<bool> {
        let (x, y) = (4 * x + 2, 4 * y + 2);
        let mut winding = 0;
        for ring in rings {
            for (&from, &to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                let (top, bottom, direction) = if from.1 <= to.1 {
                    (from, to, 1)
                } else {
                    (to, from, -1)
                };
                if top.1 > y || y >= bottom.1 {
                    continue;
                }
                let side = (bottom.0 - top.0) * (y - top.1) - (x - top.0) * (bottom.1 - top.1);
                if side == 0 && top.0 != bottom.0 {
                    return None;
                }
                if side <= 0 {
                    winding += direction;
                }
            }
        }
        Some(rule.is_inside(winding))
    }

    #[test]
    fn centres_decide() {
        let size = ImageSize::new(4, 3);
        let cases = [
            (
                ring(&[(0.5, 0.5), (2.5, 0.5), (2.5, 1.5), (0.5, 1.5)]),
                "##.. .... ....",
            ),
            (
                ring(&[(0.6, 0.0), (2.6, 0.0), (2.6, 3.0), (0.6, 3.0)]),
                ".##. .##. .##.",
            ),
            (
                ring(&[(-9.0, -9.0), (99.0, -9.0), (99.0, 1.0), (-9.0, 1.0)]),
                "#### .... ....",
            ),
            (
                ring(&[
                    (f32::MIN, f32::MIN),
                    (f32::MAX, f32::MIN),
                    (f32::MAX, f32::MAX),
                    (f32::MIN, f32::MAX),
                ]),
                "#### #### ####",
            ),
            (ring(&[(0.0, 0.0), (3.0, 3.0), (0.0, 3.0)]), ".... #... ##.."),
            (ring(&[(1.0, 1.0), (3.0, 2.0)]), ".... .... ...."),
            (ring(&[(1.0, 1.0)]), ".... .... ...."),
            (ring(&[]), ".... .... ...."),
        ];
        for (ring, rows) in cases {
            assert_eq!(
                filled(size, std::slice::from_ref(&ring), FillRule::EvenOdd),
                drawn(rows),
                "{ring:?}"
            );
        }
    }

    #[test]
    fn rules_differ_where_a_ring_overlaps_itself() {
        let twice = ring(&[
            (0.0, 0.0),
            (3.0, 0.0),
            (3.0, 1.0),
            (1.0, 1.0),
            (1.0, 0.0),
            (4.0, 0.0),
            (4.0, 1.0),
            (0.0, 1.0),
        ]);
        let size = ImageSize::new(4, 1);
        assert_eq!(
            filled(size, std::slice::from_ref(&twice), FillRule::NonZero),
            drawn("####")
        );
        assert_eq!(filled(size, &[twice], FillRule::EvenOdd), drawn("#..#"));
    }

    #[test]
    fn holes_are_cut_whichever_way_they_run() {
        let outer = ring(&[(0.0, 0.0), (5.0, 0.0), (5.0, 1.0), (0.0, 1.0)]);
        let hole = ring(&[(1.0, 0.0), (3.0, 0.0), (3.0, 1.0), (1.0, 1.0)]);
        let overlapping = ring(&[(2.0, 0.0), (2.0, 1.0), (4.0, 1.0), (4.0, 0.0)]);
        let outside = ring(&[(5.0, 0.0), (9.0, 0.0), (9.0, 1.0), (5.0, 1.0)]);
        let polygon = MaskPolygon {
            outer,
            holes: vec![hole, overlapping, outside],
        };
        for rule in [FillRule::EvenOdd, FillRule::NonZero] {
            let mask = Mask::from_polygons(ImageSize::new(9, 1), std::slice::from_ref(&polygon), rule);
            assert_eq!(mask, Ok(drawn("#...#....")));
        }
        let mut erased = drawn("#########");
        erased.fill_polygon(&polygon, FillRule::EvenOdd, false).unwrap();
        assert_eq!(erased, drawn(".###.####"));
    }

    #[test]
    fn points_that_are_not_finite_are_refused() {
        let good = ring(&[(0.0, 0.0), (3.0, 0.0), (3.0, 3.0)]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut mask = drawn(".... ....");
            let rings = [good.clone(), ring(&[(0.0, 0.0), (bad, 1.0), (1.0, 1.0)])];
            let refused = Err(MaskError::PolygonNotFinite { ring: 1 });
            assert_eq!(mask.fill_rings(&rings, FillRule::NonZero, true), refused);
            let [outer, hole] = rings;
            let polygon = MaskPolygon {
                outer,
                holes: vec![hole],
            };
            assert_eq!(mask.fill_polygon(&polygon, FillRule::NonZero, true), refused);
            assert!(mask.is_empty(), "a refused fill changes nothing");
        }
    }

    proptest! {
        #![proptest_config(cases(400))]

        #[test]
        fn any_rings_match_exact_winding(
            quarters in prop::collection::vec(prop::collection::vec((-40..300_i64, -40..120_i64), 0..9), 1..4),
        ) {
            let size = ImageSize::new(70, 25);
            let point = |&(x, y): &(i64, i64)| ImagePoint::new(x as f32 / 4.0, y as f32 / 4.0);
            let rings: Vec<Vec<ImagePoint>> = quarters.iter().map(|ring| ring.iter().map(point).collect()).collect();
            for rule in [FillRule::EvenOdd, FillRule::NonZero] {
                let mask = filled(size, &rings, rule);
                for (x, y) in (0..25).flat_map(|y| (0..70).map(move |x| (x, y))) {
                    if let Some(is_inside) = naive_is_inside(&quarters, x, y, rule) {
                        prop_assert_eq!(mask.get(x as u32, y as u32), is_inside, "pixel ({}, {})", x, y);
                    }
                }
            }
        }

        #[test]
        fn halves_share_no_pixel_and_leave_none_out(
            corners in prop::collection::vec((-20.0..90.0_f32, -20.0..45.0_f32), 4),
        ) {
            let points = ring(&corners);
            let halves = [[0, 1, 2], [0, 2, 3]].map(|indices| indices.map(|index| points[index]).to_vec());
            let size = ImageSize::new(70, 25);
            let [left, right] = halves.map(|half| filled(size, &[half], FillRule::EvenOdd));
            let whole = filled(size, &[points], FillRule::EvenOdd);
            prop_assert_eq!(left.symmetric_difference(&right).unwrap(), whole);
        }

        #[test]
        fn wild_coordinates_are_harmless(corners in prop::collection::vec((any::<f32>(), any::<f32>()), 0..9)) {
            let mut mask = Mask::empty(ImageSize::new(70, 25)).unwrap();
            let is_finite = corners.iter().all(|(x, y)| x.is_finite() && y.is_finite());
            let result = mask.fill_rings(&[ring(&corners)], FillRule::NonZero, true);
            prop_assert_eq!(result.is_ok(), is_finite);
        }
    }
}
