//! Shapes of regions and what is asked of them, against masks looked up pixel by pixel; no card is needed.

use std::sync::Arc;

use proptest::prelude::*;

use super::cases;
use crate::app::render::display::{RegionDisplay, RegionStyle};
use crate::app::render::region_shape::RegionShape;
use crate::app::render::set_table::{EMPTY_SET, MAX_NUMBERS, SetTable};
use crate::app::render::tile_composer::{Composed, TileComposer};
use crate::app::render::{CanvasRenderer, RegionLayer, RegionPixels};
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::Mask;
use crate::picture::tile::{level_count, level_size};

/// Whether a texel of `level` is set, as the composer reads it.
fn texel(shape: &RegionShape, level: u8, x: u32, y: u32) -> bool {
    let (column, words) = shape.row_words(level, y, x / 64..x / 64 + 1);
    words.first().is_some_and(|word| word >> (x - column) & 1 == 1)
}

/// Whether any pixel under a texel of `level` is set, by looking at each.
fn covers(mask: &Mask, level: u8, x: u32, y: u32) -> bool {
    let size = mask.size();
    let pixels = |from: u32, length: u32| from << level..((from + 1) << level).min(length);
    pixels(y, size.height).any(|y| pixels(x, size.width).any(|x| mask.get(x, y)))
}

#[track_caller]
fn assert_levels(shape: &RegionShape, mask: &Mask) {
    let size = mask.size();
    for level in 0..level_count(size) {
        let ImageSize { width, height } = level_size(size, level);
        for y in 0..height {
            for x in 0..width {
                assert_eq!(
                    texel(shape, level, x, y),
                    covers(mask, level, x, y),
                    "({x}, {y}) of level {level}"
                );
            }
        }
    }
}

/// Boxes of an image of `size`, among them single pixels, thin lines and some that reach beyond it.
fn boxes(size: ImageSize) -> impl Strategy<Value = PixelRect> {
    let side = |length: u32| prop_oneof![Just(1), 1..=length.min(20), 1..=length];
    (0..size.width, 0..size.height, side(size.width), side(size.height))
        .prop_map(|(x, y, width, height)| PixelRect::new(x, y, width, height))
}

/// Sizes of one to three levels, around words and tiles.
fn sizes() -> impl Strategy<Value = ImageSize> {
    let side = || prop_oneof![Just(1), Just(64), Just(65), Just(257), 1..300_u32];
    prop_oneof![
        4 => (side(), side()),
        1 => Just((530, 70)),
    ]
    .prop_map(|(width, height)| ImageSize::new(width, height))
}

/// What happens to a mask one after the other: boxes that are set or cleared.
fn strokes(count: std::ops::Range<usize>) -> impl Strategy<Value = (ImageSize, Vec<(PixelRect, bool)>)> {
    sizes().prop_flat_map(move |size| {
        let stroke = (boxes(size), prop_oneof![2 => Just(true), 1 => Just(false)]);
        (Just(size), prop::collection::vec(stroke, count.clone()))
    })
}

fn painted(size: ImageSize, strokes: &[(PixelRect, bool)]) -> Mask {
    let mut mask = Mask::empty(size).unwrap();
    for &(rect, value) in strokes {
        paint(&mut mask, rect, value);
    }
    mask
}

fn paint(mask: &mut Mask, rect: PixelRect, value: bool) {
    if let Some(rect) = rect.intersection(PixelRect::covering(mask.size())) {
        mask.fill_rect(rect, value);
    }
}

#[test]
fn thin_regions_are_seen_at_every_level() {
    let size = ImageSize::new(1030, 700);
    type Pixels = fn(u32, u32) -> bool;
    let thin: [(&str, Pixels); 6] = [
        ("pixel in the corner", |x, y| x == 1029 && y == 699),
        ("pixel", |x, y| x == 511 && y == 257),
        ("column", |x, _| x == 640),
        ("row", |_, y| y == 699),
        ("diagonal", |x, y| x == y),
        ("scattered", |x, y| x % 211 == 3 && y % 97 == 5),
    ];
    for (name, is_set) in thin {
        let mask = Mask::from_fn(size, is_set).unwrap();
        let shape = RegionShape::from_mask(&mask);
        for level in 0..level_count(size) {
            for y in 0..size.height {
                for x in mask.runs(y).flatten() {
                    assert!(
                        texel(&shape, level, x >> level, y >> level),
                        "{name}: ({x}, {y}) at {level}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_small_region_of_a_large_image_is_small() {
    let mask = Mask::from_rects(
        ImageSize::new(20_000, 20_000),
        &[PixelRect::new(15_000, 9_000, 60, 60)],
    )
    .unwrap();
    let shape = RegionShape::from_rle(&mask.to_rle());
    assert!(shape.bytes() < 4096, "{}", shape.bytes());
    assert!(shape.contains(15_059, 9_059) && !shape.contains(15_060, 9_059));
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn levels_are_halved_by_or((size, strokes) in strokes(0..8)) {
        let mask = painted(size, &strokes);
        assert_levels(&RegionShape::from_mask(&mask), &mask);
        assert_levels(&RegionShape::from_rle(&mask.to_rle()), &mask);
    }

    #[test]
    fn an_updated_shape_is_the_same_as_a_fresh_one((size, strokes) in strokes(1..8), start in 0..4_usize) {
        let mut mask = painted(size, &strokes[..start.min(strokes.len())]);
        let mut renderer = CanvasRenderer::new();
        renderer.set_image(1, size, None);
        renderer.set_regions(&[RegionLayer {
            key: 9,
            revision: 0,
            pixels: RegionPixels::Mask(&mask),
            style: RegionStyle::new([1, 2, 3]),
        }]);
        let first = Arc::clone(renderer.shape(9).unwrap());
        let before = mask.clone();
        for (revision, &(rect, value)) in (1..).zip(&strokes) {
            paint(&mut mask, rect, value);
            prop_assert!(renderer.update_region(9, revision, &mask, rect));
        }
        assert_levels(renderer.shape(9).unwrap(), &mask);
        // A shape that somebody else holds is not changed under their hands.
        assert_levels(&first, &before);
    }

    #[test]
    fn combined_shapes_are_combined_masks((size, strokes) in strokes(2..8), split in 1..7_usize) {
        let (left, right) = strokes.split_at(split.min(strokes.len()));
        let (left, right) = (painted(size, left), painted(size, right));
        let shapes = [&left, &right].map(RegionShape::from_mask);
        let only_left = shapes[0].combined(&shapes[1], |left, right| left & !right);
        assert_levels(&only_left, &left.difference(&right).unwrap());
        let both = shapes[0].combined(&shapes[1], |left, right| left & right);
        assert_levels(&both, &left.intersection(&right).unwrap());
    }

    #[test]
    fn regions_at_a_pixel_are_those_whose_masks_have_it(
        (size, strokes) in strokes(1..14),
        hidden in any::<u16>(),
        order in any::<u64>(),
    ) {
        let masks: Vec<Mask> = strokes.iter().map(|stroke| painted(size, &[*stroke])).collect();
        let mut layers: Vec<RegionLayer<'_>> = (0..)
            .zip(&masks)
            .map(|(key, mask)| {
                let mut style = RegionStyle::new([9; 3]);
                style.is_hidden = hidden >> key & 1 == 1;
                RegionLayer { key, revision: 0, pixels: RegionPixels::Mask(mask), style }
            })
            .collect();
        let mut renderer = CanvasRenderer::new();
        renderer.set_image(1, size, None);
        renderer.set_regions(&layers);
        // The order that counts is the last one.
        let turn = order as usize % layers.len();
        layers.rotate_left(turn);
        renderer.set_regions(&layers);
        for (x, y) in [(0, 0), (size.width - 1, size.height - 1), (size.width / 2, size.height / 2), (size.width, 0)]
            .into_iter()
            .chain(strokes.iter().map(|(rect, _)| (rect.x, rect.y)))
        {
            let found: Vec<u64> = renderer.regions_at(x, y).collect();
            let is_there = |layer: &&RegionLayer<'_>| {
                !layer.style.is_hidden && x < size.width && masks[layer.key as usize].get(x, y)
            };
            let expected: Vec<u64> = layers.iter().rev().filter(is_there).map(|layer| layer.key).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_composed_tile_names_the_regions_of_every_texel(
        (size, strokes) in strokes(1..10),
        (level, from, side) in (0..3_u8, (0..256_u32, 0..256_u32), (1..256_u32, 1..256_u32)),
    ) {
        let level = level.min(level_count(size) - 1);
        let of_level = PixelRect::covering(level_size(size, level));
        let tile = PixelRect::new(0, 0, 256, 256);
        let wanted = PixelRect::new(from.0, from.1, side.0, side.1).intersection(tile);
        let Some(rect) = wanted.and_then(|wanted| wanted.intersection(of_level)) else { return Ok(()) };
        let masks: Vec<Mask> = strokes.iter().map(|stroke| painted(size, &[*stroke])).collect();
        let shapes: Vec<RegionShape> = masks.iter().map(RegionShape::from_mask).collect();
        let (mut composer, mut sets) = (TileComposer::default(), SetTable::new());
        let layers = shapes.iter().zip(100..);
        let composed = match composer.compose(level, rect, layers, &mut sets) {
            Composed::Uniform(set) => vec![set; rect.area() as usize],
            Composed::Texels(texels) => texels.to_vec(),
        };
        for (index, set) in (0..).zip(composed) {
            let (x, y) = (rect.x + index % rect.width, rect.y + index / rect.width);
            let start = set as usize + 1;
            let members = &sets.list()[start..start + sets.list()[set as usize] as usize];
            let is_there = |slot: &u32| covers(&masks[*slot as usize - 100], level, x, y);
            let expected: Vec<u32> = (100..100 + masks.len() as u32).rev().filter(is_there).collect();
            prop_assert_eq!(members, expected);
        }
    }
}

#[test]
fn the_list_of_sets_is_never_longer_than_its_texture() {
    let mut sets = SetTable::new();
    let members: Vec<u32> = (0..100_000).collect();
    let deep = sets.id(&members);
    // Of a set too deep to tell its regions apart the topmost stay.
    let count = sets.list()[deep as usize];
    assert!(count < 256 && sets.list()[deep as usize + 1..].iter().copied().eq(0..count));
    let (mut first, mut last) = (EMPTY_SET, deep);
    while last != EMPTY_SET && first < 1_000_000 {
        first += 1;
        last = sets.id(&members[first as usize % 50_000..][..50 + first as usize / 50_000]);
    }
    assert_eq!(last, EMPTY_SET, "a list that is full makes no more sets");
    assert!(sets.len() <= MAX_NUMBERS);
    assert_eq!(sets.id(&members), deep, "sets that it has are still found");
}

#[test]
fn the_usual_look_shows_regions() {
    let (display, style) = (RegionDisplay::default(), RegionStyle::new([1, 2, 3]));
    assert!(display.are_shown && !display.only_solo && !style.is_hidden);
    assert_eq!(style.packed(), [u32::from_le_bytes([1, 2, 3, 89]), 0]);
}
