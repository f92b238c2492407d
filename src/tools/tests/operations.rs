//! Commands on whole regions against plain loops over every pixel.

use super::super::operations;
use super::*;
use crate::geometry::PixelRect;
use crate::mask::MaskError;

/// The mask after the change that an operation answers.
fn after(mask: &Mask, change: Option<Patch>) -> Mask {
    let mut changed = mask.clone();
    if let Some(change) = change {
        change.apply(&mut changed, Combine::Overwrite);
        assert_ne!(&changed, mask, "a change that changes nothing is no change");
        let differing = changed.symmetric_difference(mask).unwrap().bounding_box();
        assert_eq!(differing, Some(change.rect()), "the patch is as small as can be");
    }
    changed
}

fn at(mask: &Mask, x: i64, y: i64) -> Option<bool> {
    let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
    (x < mask.size().width && y < mask.size().height).then(|| mask.get(x, y))
}

/// The pixels equal to (`x`, `y`) that a path of such pixels joins to it.
fn group(mask: &Mask, x: u32, y: u32, joins_corners: bool) -> Vec<(i64, i64)> {
    let value = mask.get(x, y);
    let mut found = vec![(i64::from(x), i64::from(y))];
    let mut index = 0;
    while let Some(&(x, y)) = found.get(index) {
        index += 1;
        for (dx, dy) in (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx, dy))) {
            let is_neighbour = joins_corners || dx == 0 || dy == 0;
            let next = (x + dx, y + dy);
            if is_neighbour && at(mask, next.0, next.1) == Some(value) && !found.contains(&next) {
                found.push(next);
            }
        }
    }
    found
}

fn without_holes(mask: &Mask, max_area: u64) -> Mask {
    let ImageSize { width, height } = mask.size();
    Mask::from_fn(mask.size(), |x, y| {
        mask.get(x, y) || {
            let gap = group(mask, x, y, false);
            let is_edge = |&(x, y): &(i64, i64)| {
                x == 0 || y == 0 || x + 1 == i64::from(width) || y + 1 == i64::from(height)
            };
            gap.len() as u64 <= max_area && !gap.iter().any(is_edge)
        }
    })
    .unwrap()
}

/// Whether a disc around each pixel holds a set pixel, or only set pixels; beyond the edge all is `beyond`.
fn by_disc(mask: &Mask, radius: f32, grows: bool) -> Mask {
    let reach = radius.floor() as i64;
    Mask::from_fn(mask.size(), |x, y| {
        let offsets = (-reach..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dx, dy)));
        let mut near = offsets
            .filter(|&(dx, dy)| (dx * dx + dy * dy) as f64 <= f64::from(radius).powi(2))
            .filter_map(|(dx, dy)| at(mask, i64::from(x) + dx, i64::from(y) + dy));
        if grows {
            near.any(|is_set| is_set)
        } else {
            near.all(|is_set| is_set)
        }
    })
    .unwrap()
}

fn smoothed(mask: &Mask, radius: f32) -> Mask {
    let open = |mask: &Mask| by_disc(&by_disc(mask, radius, false), radius, true);
    let close = |mask: &Mask| by_disc(&by_disc(mask, radius, true), radius, false);
    let (low, high) = (close(&open(mask)), open(&close(mask)));
    let mut smooth = Mask::from_fn(mask.size(), |x, y| {
        let [low, high, was] = [&low, &high, mask].map(|mask| mask.get(x, y));
        if low == high { low } else { was }
    })
    .unwrap();
    // What would vanish altogether stays.
    let kept = smooth.clone();
    for y in 0..mask.size().height {
        for x in (0..mask.size().width).filter(|&x| mask.get(x, y)) {
            let part = group(mask, x, y, true);
            if !part.iter().any(|&(x, y)| at(&kept, x, y) == Some(true)) {
                smooth.set(x, y, true);
            }
        }
    }
    smooth
}

#[test]
fn spikes_and_notches_are_smoothed_but_scratches_kept() {
    let mut mask = Mask::empty(ImageSize::new(60, 40)).unwrap();
    mask.fill_rect(PixelRect::new(5, 5, 25, 25), true);
    let clean = mask.clone();
    mask.set(30, 15, true);
    mask.set(10, 5, false);
    mask.fill_rect(PixelRect::new(40, 3, 1, 30), true);
    for radius in [1.0, 2.0, 3.0] {
        let smooth = after(&mask, operations::smooth(&mask, radius));
        assert!(!smooth.get(30, 15), "the spike is gone with {radius} px");
        assert!(smooth.get(10, 5), "the notch is filled with {radius} px");
        assert!(
            (3..33).all(|y| smooth.get(40, y)),
            "the scratch is kept with {radius} px"
        );
        let rounded = clean.difference(&smooth).unwrap().area();
        assert!(rounded <= 4 * 9, "only corners are lost, not {rounded} pixels");
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn holes_and_specks_go_by_their_area(mask in masks(14), area in 0..30_u64) {
        assert_same(&after(&mask, operations::fill_holes(&mask, None)), &without_holes(&mask, u64::MAX), "holes");
        let small = after(&mask, operations::fill_holes(&mask, Some(area)));
        assert_same(&small, &without_holes(&mask, area), "small holes");
        let parts = Mask::from_fn(mask.size(), |x, y| {
            mask.get(x, y) && group(&mask, x, y, true).len() as u64 >= area
        });
        assert_same(&after(&mask, operations::drop_specks(&mask, area)), &parts.unwrap(), "specks");
    }

    #[test]
    fn growing_and_shrinking_follow_a_disc(mask in masks(30), radius in 0.0..6.0_f32) {
        let grown = after(&mask, operations::grow(&mask, radius));
        assert_same(&grown, &by_disc(&mask, radius, true), "grown");
        let shrunk = after(&mask, operations::shrink(&mask, radius));
        assert_same(&shrunk, &by_disc(&mask, radius, false), "shrunk");
    }

    #[test]
    fn smoothing_agrees_with_opening_and_closing(mask in masks(20), radius in 0.0..4.0_f32) {
        let smooth = after(&mask, operations::smooth(&mask, radius));
        assert_same(&smooth, &smoothed(&mask, radius + 0.5), "smooth");
    }

    #[test]
    fn splitting_and_merging_are_inverse(mask in masks(24)) {
        let parts = operations::split(&mask);
        let mut firsts = Vec::new();
        for part in &parts {
            let part_mask = part.to_mask(mask.size()).unwrap();
            let found = (0..mask.size().height).find_map(|y| Some((y, part_mask.runs(y).next()?.start)));
            let (y, x) = found.unwrap();
            firsts.push((y, x));
            let expected = group(&mask, x, y, true);
            prop_assert_eq!(part_mask.area(), expected.len() as u64);
            prop_assert!(expected.iter().all(|&(x, y)| at(&part_mask, x, y) == Some(true)));
            prop_assert_eq!(part_mask.bounding_box(), Some(part.rect()));
        }
        prop_assert!(firsts.is_sorted(), "reading order");
        let masks: Vec<Mask> = parts.iter().map(|part| part.to_mask(mask.size()).unwrap()).collect();
        let merged = operations::merge(&masks.iter().collect::<Vec<_>>()).unwrap();
        let merged = merged.map_or_else(|| Mask::empty(mask.size()), |patch| patch.to_mask(mask.size()));
        prop_assert_eq!(merged, Ok(mask));
    }

    #[test]
    fn what_lies_below_is_cut(
        (top, below, other) in sizes(40).prop_flat_map(|size| (masks_of(size), masks_of(size), masks_of(size))),
    ) {
        let changes = operations::remove_underlying(&top, &[&below, &other]);
        prop_assert_eq!(changes.len(), 2);
        for (mask, change) in [below, other].iter().zip(changes) {
            assert_same(&after(mask, change), &mask.difference(&top).unwrap(), "below");
        }
    }
}

#[test]
fn odd_radii_and_areas_are_harmless() {
    let size = ImageSize::new(70, 50);
    let mask = boxed(size, 10, 10, 30, 30);
    for radius in [0.0, -4.0, f32::NAN, f32::NEG_INFINITY] {
        for operation in [operations::grow, operations::shrink, operations::smooth] {
            assert_eq!(operation(&mask, radius), None, "radius {radius}");
        }
    }
    for radius in [1e6, f32::MAX, f32::INFINITY] {
        assert_eq!(
            after(&mask, operations::grow(&mask, radius)),
            Mask::full(size).unwrap()
        );
        assert!(after(&mask, operations::shrink(&mask, radius)).is_empty());
        assert!(!after(&mask, operations::smooth(&mask, radius)).is_empty());
    }
    let empty = Mask::empty(size).unwrap();
    assert_eq!(operations::grow(&empty, 5.0), None);
    assert_eq!(operations::split(&empty), []);
    assert_eq!(operations::merge(&[]), Ok(None));
    assert_eq!(operations::merge(&[&empty, &empty]), Ok(None));
    assert_eq!(operations::remove_underlying(&empty, &[&mask]), [None]);
}

#[test]
fn masks_of_other_images_are_left_alone() {
    let mask = Mask::full(ImageSize::new(20, 20)).unwrap();
    let other = Mask::full(ImageSize::new(20, 21)).unwrap();
    assert_eq!(operations::remove_underlying(&mask, &[&other]), [None]);
    let mismatch = MaskError::SizeMismatch {
        left: mask.size(),
        right: other.size(),
    };
    assert_eq!(operations::merge(&[&mask, &other]), Err(mismatch));
}

#[test]
fn pasting_cuts_off_what_is_outside() {
    let region = Patch::new(5, 5, Mask::full(ImageSize::new(10, 10)).unwrap());
    let size = ImageSize::new(12, 40);
    let placed = operations::place(&region, 3, -8, size).unwrap();
    assert_eq!(placed.to_mask(size).unwrap(), boxed(size, 8, 0, 12, 7));
    assert_eq!(operations::place(&region, 7, 0, size), None);
}
