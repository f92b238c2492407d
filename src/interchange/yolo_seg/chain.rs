//! Several closed lines as one, for formats that know no parts: as Ultralytics' own converter does it, each is joined
//! to the next where they are closest, over a bridge that is walked both ways.

use crate::geometry::ImagePoint;

/// All of `lines` in one closed line: out along one side of each up to the last, and back along the other sides.
pub(super) fn chained(lines: &[Vec<ImagePoint>]) -> Vec<ImagePoint> {
    let lines: Vec<&[ImagePoint]> = lines
        .iter()
        .map(Vec::as_slice)
        .filter(|line| !line.is_empty())
        .collect();
    let links: Vec<(usize, usize)> = lines
        .windows(2)
        .filter_map(|pair| {
            let [from, to] = pair else { return None };
            Some(closest(from, to))
        })
        .collect();
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else {
        return Vec::new();
    };
    let (Some(&(start, _)), Some(&(_, end))) = (links.first(), links.last()) else {
        return first.to_vec();
    };
    let mut chain = Vec::with_capacity(lines.iter().map(|line| line.len() + 2).sum());
    round(first, start, start, true, &mut chain);
    let middles = || lines.iter().skip(1).zip(links.iter().zip(links.iter().skip(1)));
    for (line, (&(_, entry), &(exit, _))) in middles() {
        round(line, entry, exit, false, &mut chain);
    }
    round(last, end, end, true, &mut chain);
    for (line, (&(_, entry), &(exit, _))) in middles().collect::<Vec<_>>().into_iter().rev() {
        round(line, exit, entry, true, &mut chain);
    }
    chain
}

/// Walks along `line` from one corner to another, ends included; from a corner to itself all the way round, or not a
/// step.
fn round(line: &[ImagePoint], from: usize, to: usize, is_round_at_once: bool, chain: &mut Vec<ImagePoint>) {
    let steps = match (to + line.len() - from) % line.len() {
        0 if is_round_at_once => line.len(),
        steps => steps,
    };
    chain.extend(line.iter().cycle().skip(from).take(steps + 1));
}

/// Indices of the two corners, one of each line, that are closest to each other.
///
/// Corners are looked at from left to right, and only as far as one could still be closer.
fn closest(a: &[ImagePoint], b: &[ImagePoint]) -> (usize, usize) {
    let mut by_x: Vec<(f32, f32, usize)> = b
        .iter()
        .enumerate()
        .map(|(index, point)| (point.x, point.y, index))
        .collect();
    by_x.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut best = (f32::INFINITY, 0, 0);
    for (index, point) in a.iter().enumerate() {
        let middle = by_x.partition_point(|&(x, ..)| x < point.x);
        let (left, right) = by_x.split_at(middle);
        let mut look = |&(x, y, other): &(f32, f32, usize)| {
            let (dx, dy) = (x - point.x, y - point.y);
            let distance = dx * dx + dy * dy;
            if distance < best.0 {
                best = (distance, index, other);
            }
            dx * dx < best.0
        };
        // `all` stops at the first corner that is too far to the side.
        let _is_near = right.iter().all(&mut look);
        let _is_near = left.iter().rev().all(&mut look);
    }
    (best.1, best.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ImageSize;
    use crate::mask::{FillRule, Mask};
    use proptest::prelude::*;

    fn square(x: f32, y: f32) -> Vec<ImagePoint> {
        [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
            .map(|(dx, dy)| ImagePoint::new(x + dx, y + dy))
            .into()
    }

    fn corners(line: &[ImagePoint]) -> Vec<(f32, f32)> {
        line.iter().map(|point| (point.x, point.y)).collect()
    }

    #[test]
    fn lines_are_joined_where_they_are_closest() {
        assert_eq!(chained(&[]), []);
        assert_eq!(
            corners(&chained(&[square(0.0, 0.0)])),
            [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
        );
        let three = [square(0.0, 0.0), square(3.0, 0.0), square(6.0, 0.0)];
        let expected = [
            (1.0, 0.0),
            (1.0, 1.0),
            (0.0, 1.0),
            (0.0, 0.0),
            (1.0, 0.0),
            (3.0, 0.0),
            (4.0, 0.0),
            (6.0, 0.0),
            (7.0, 0.0),
            (7.0, 1.0),
            (6.0, 1.0),
            (6.0, 0.0),
            (4.0, 0.0),
            (4.0, 1.0),
            (3.0, 1.0),
            (3.0, 0.0),
        ];
        assert_eq!(corners(&chained(&three)), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_closest_corners_are_found(
            a in prop::collection::vec((0_u8..20, 0_u8..20), 1..20),
            b in prop::collection::vec((0_u8..20, 0_u8..20), 1..20),
        ) {
            let points = |pairs: &[(u8, u8)]| -> Vec<ImagePoint> {
                pairs.iter().map(|&(x, y)| ImagePoint::new(x.into(), y.into())).collect()
            };
            let (a, b) = (points(&a), points(&b));
            let distance = |a: &ImagePoint, b: &ImagePoint| (a.x - b.x).powi(2) + (a.y - b.y).powi(2);
            let (from, to) = closest(&a, &b);
            let least = a.iter().flat_map(|a| b.iter().map(move |b| distance(a, b))).fold(f32::INFINITY, f32::min);
            prop_assert_eq!(distance(&a[from], &b[to]), least);
        }

        #[test]
        fn a_chain_fills_what_its_lines_fill(bits in prop::collection::vec(prop::bool::weighted(0.4), 99)) {
            let mask = Mask::from_fn(ImageSize::new(11, 9), |x, y| bits[(y * 11 + x) as usize]).unwrap();
            let lines: Vec<Vec<ImagePoint>> =
                mask.trace().iter().flat_map(|polygon| polygon.rings().map(<[ImagePoint]>::to_vec).collect::<Vec<_>>()).collect();
            let mut filled = Mask::empty(mask.size()).unwrap();
            filled.fill_rings(&[chained(&lines)], FillRule::EvenOdd, true).unwrap();
            prop_assert_eq!(filled, mask);
        }
    }
}
