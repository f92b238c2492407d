//! The cache of tiles: never more tiles than places, and no two in one place.

use std::collections::HashSet;

use proptest::prelude::*;

use super::cases;
use crate::app::render::tile_cache::{Content, MAX_SLOT_ROWS, SLOTS_PER_ROW, TileCache};
use crate::geometry::PixelRect;
use crate::picture::tile::TileKey;

const fn tile(x: u32) -> TileKey {
    TileKey { level: 0, x, y: 0 }
}

fn slot(cache: &TileCache, key: TileKey) -> Option<u32> {
    match cache.get(key)?.content {
        Content::Slot(slot) => Some(slot),
        Content::Uniform(_) => None,
    }
}

#[test]
fn the_longest_unseen_tile_gives_way() {
    let mut cache = TileCache::default();
    assert!(cache.reserve(1));
    for x in 0..SLOTS_PER_ROW {
        assert!(cache.insert(tile(x), u64::from(x) + 1).is_some());
    }
    // Tile 0 is the oldest but is looked at again, so tile 1 goes.
    cache.see(tile(0), 100);
    let freed = slot(&cache, tile(1));
    assert_eq!(cache.insert(tile(500), 101), freed);
    assert!(cache.get(tile(1)).is_none() && cache.get(tile(0)).is_some());
    // Nothing in view is thrown away for something else in view.
    for x in 0..SLOTS_PER_ROW {
        cache.see(tile(x), 102);
    }
    cache.see(tile(500), 102);
    assert_eq!(cache.insert(tile(501), 102), None);
    assert!(cache.insert(tile(501), 103).is_some());
}

#[test]
fn tiles_of_one_value_take_no_place() {
    let mut cache = TileCache::default();
    cache.reserve(1);
    for x in 0..10 * SLOTS_PER_ROW {
        cache.insert_uniform(tile(x), 7, 1);
    }
    for x in 0..SLOTS_PER_ROW {
        assert!(cache.insert(tile(x), 1).is_some());
    }
    // One that becomes uniform gives its place back.
    cache.insert_uniform(tile(3), 8, 1);
    assert!(cache.insert(tile(400), 1).is_some());
}

#[test]
fn a_texture_only_grows_and_never_beyond_what_adapters_offer() {
    let mut cache = TileCache::default();
    let mut grown = Vec::new();
    for tiles in [0, 20, 33, 40, 10, 5_000_000, u32::MAX] {
        grown.push((cache.reserve(tiles), cache.rows()));
    }
    let expected = [
        (true, 1),
        (false, 1),
        (true, 2),
        (false, 2),
        (false, 2),
        (true, MAX_SLOT_ROWS),
        (false, MAX_SLOT_ROWS),
    ];
    assert_eq!(grown, expected);
}

#[test]
fn changed_pixels_make_tiles_stale_or_drop_them() {
    let mut cache = TileCache::default();
    cache.reserve(100);
    let keys = [0, 1, 2].map(tile);
    for key in keys {
        cache.insert(key, 1);
    }
    let change = |cache: &mut TileCache, rect: PixelRect| cache.invalidate(|_| rect, |key| key.x != 1);
    change(&mut cache, PixelRect::new(200, 10, 100, 10));
    assert_eq!(
        cache.get(keys[0]).unwrap().stale,
        Some(PixelRect::new(200, 10, 56, 10))
    );
    assert!(cache.get(keys[1]).is_none() && cache.get(keys[2]).unwrap().stale.is_none());
    change(&mut cache, PixelRect::new(0, 0, 1, 1));
    assert_eq!(
        cache.get(keys[0]).unwrap().stale,
        Some(PixelRect::new(0, 0, 256, 20))
    );
    cache.insert(keys[0], 2);
    assert!(cache.get(keys[0]).unwrap().stale.is_none());
}

proptest! {
    #![proptest_config(cases(50))]

    #[test]
    fn every_tile_has_a_place_of_its_own(steps in prop::collection::vec((0..80_u32, 0..6_u8), 1..400)) {
        let mut cache = TileCache::default();
        cache.reserve(1);
        for (now, (x, kind)) in (1..).zip(steps) {
            match kind {
                0 => cache.insert_uniform(tile(x), x, now),
                1 => {
                    let rect = PixelRect::new(x * 256, 0, 300, 5);
                    cache.invalidate(|_| rect, |key| key.x % 2 == 0);
                }
                _ => {
                    let place = cache.insert(tile(x), now);
                    prop_assert!(place.is_some());
                    prop_assert_eq!(slot(&cache, tile(x)), place);
                }
            }
            let places: Vec<u32> = (0..80).filter_map(|x| slot(&cache, tile(x))).collect();
            prop_assert!(places.iter().all(|&place| place < SLOTS_PER_ROW * cache.rows()));
            prop_assert_eq!(places.iter().collect::<HashSet<_>>().len(), places.len());
        }
    }
}
