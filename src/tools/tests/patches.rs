//! Patches against plain loops over every pixel.

use super::*;
use crate::geometry::PixelRect;

/// A patch anywhere in or beside an image of `size`.
fn patches(size: ImageSize) -> impl Strategy<Value = Patch> {
    (masks(40), 0..size.width + 5, 0..size.height + 5).prop_map(|(mask, x, y)| Patch::new(x, y, mask))
}

fn targets_and_patches() -> impl Strategy<Value = (Mask, Patch)> {
    masks(70).prop_flat_map(|target| {
        let size = target.size();
        (Just(target), patches(size))
    })
}

fn combines() -> impl Strategy<Value = Combine> {
    prop::sample::select(vec![
        Combine::Replace,
        Combine::Add,
        Combine::Subtract,
        Combine::Intersect,
        Combine::Overwrite,
    ])
}

fn combined(target: &Mask, patch: &Patch, combine: Combine) -> Mask {
    Mask::from_fn(target.size(), |x, y| {
        let (ours, theirs) = (target.get(x, y), patch.get(x, y));
        match combine {
            Combine::Replace => theirs,
            Combine::Add => ours || theirs,
            Combine::Subtract => ours && !theirs,
            Combine::Intersect => ours && theirs,
            Combine::Overwrite => {
                if patch.rect().contains(x, y) {
                    theirs
                } else {
                    ours
                }
            }
        }
    })
    .unwrap()
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn applying_is_boolean_algebra((target, patch) in targets_and_patches(), combine in combines()) {
        let mut changed = target.clone();
        let reach = patch.apply(&mut changed, combine);
        prop_assert_eq!(&changed, &combined(&target, &patch, combine));
        prop_assert_eq!(reach, patch.reach(&target, combine));
        let snapshot = reach.and_then(|reach| Patch::window(&target, reach));
        prop_assert_eq!(snapshot.is_some(), reach.is_some(), "what is reached lies inside");
        if let Some(snapshot) = snapshot {
            snapshot.apply(&mut changed, Combine::Overwrite);
        }
        prop_assert_eq!(&changed, &target, "a snapshot of the reach takes everything back");
    }

    #[test]
    fn moving_is_an_offset(
        patch in sizes(60).prop_flat_map(patches), dx in -80..80_i64, dy in -80..80_i64, size in sizes(90),
    ) {
        let expected = Mask::from_fn(size, |x, y| {
            let back = |to: u32, by: i64| u32::try_from(i64::from(to) - by);
            matches!((back(x, dx), back(y, dy)), (Ok(x), Ok(y)) if patch.get(x, y))
        });
        let moved = patch.moved(dx, dy, size);
        if let Some(moved) = &moved {
            prop_assert_eq!(PixelRect::covering(size).intersection(moved.rect()), Some(moved.rect()));
        }
        let found = moved.map_or_else(|| Mask::empty(size), |moved| moved.to_mask(size));
        prop_assert_eq!(found, expected);
        for far in [i64::MIN, -1 << 40, 1 << 40, i64::MAX] {
            prop_assert_eq!(patch.moved(far, 0, size), None);
            prop_assert_eq!(patch.moved(0, far, size), None);
        }
    }

    #[test]
    fn around_is_tight(mask in masks(90)) {
        let patch = Patch::around(&mask);
        prop_assert_eq!(patch.as_ref().map(Patch::rect), mask.bounding_box());
        if let Some(patch) = patch {
            prop_assert_eq!(patch.to_mask(mask.size()).unwrap(), mask);
        }
    }
}

#[test]
fn windows_are_clipped() {
    let mask = Mask::full(ImageSize::new(10, 8)).unwrap();
    let inside = Patch::window(&mask, PixelRect::new(7, 6, u32::MAX, u32::MAX)).map(|patch| patch.rect());
    assert_eq!(inside, Some(PixelRect::new(7, 6, 3, 2)));
    assert_eq!(Patch::window(&mask, PixelRect::new(10, 0, 1, 1)), None);
    assert_eq!(Patch::window(&mask, PixelRect::new(0, 0, 0, 5)), None);
}

#[test]
fn patches_far_outside_are_harmless() {
    let mask = Mask::full(ImageSize::new(10, 8)).unwrap();
    let patch = Patch::new(u32::MAX - 2, u32::MAX, mask.clone());
    for combine in [Combine::Add, Combine::Subtract, Combine::Overwrite] {
        let mut target = mask.clone();
        assert_eq!(patch.apply(&mut target, combine), None);
        assert_eq!(target, mask);
    }
    for combine in [Combine::Replace, Combine::Intersect] {
        let mut target = mask.clone();
        assert!(patch.apply(&mut target, combine).is_some());
        assert!(target.is_empty());
    }
}
