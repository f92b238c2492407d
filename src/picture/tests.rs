//! The pyramid against means and tiles worked out sample by sample.

use std::sync::Arc;

use proptest::prelude::*;

use super::tile::{TILE, TileKey, level_count, level_rect, level_size};
use super::{PicturePyramid, Samples, TexelFormat};
use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::RgbImage;

/// The samples of every level, red, green and blue or one grey, by the definition.
fn levels(size: ImageSize, samples: Vec<u32>, channels: usize) -> Vec<Vec<u32>> {
    let mut levels = vec![samples];
    for level in 1..level_count(size) {
        let (from, to) = (level_size(size, level - 1), level_size(size, level));
        let finer = &levels[levels.len() - 1];
        let mut coarser = Vec::new();
        for y in 0..to.height {
            for x in 0..to.width {
                for channel in 0..channels {
                    let inside: Vec<u32> = [(0, 0), (1, 0), (0, 1), (1, 1)]
                        .iter()
                        .map(|(dx, dy)| (2 * x + dx, 2 * y + dy))
                        .filter(|&(x, y)| x < from.width && y < from.height)
                        .map(|(x, y)| finer[(y * from.width + x) as usize * channels + channel])
                        .collect();
                    let count = inside.len() as u32;
                    coarser.push((inside.iter().sum::<u32>() + count / 2) / count);
                }
            }
        }
        levels.push(coarser);
    }
    levels
}

/// The texels of a whole level, put together from its tiles; one number per channel of the image.
fn texels(pyramid: &PicturePyramid, level: u8) -> Vec<u32> {
    let size = level_size(pyramid.size(), level);
    let (channels, stored, bytes) = match pyramid.format() {
        TexelFormat::Rgba8 => (3, 4, 1),
        TexelFormat::R16 => (1, 1, 2),
        TexelFormat::Rgba16 => (3, 4, 2),
    };
    let mut texels = vec![u32::MAX; size.area() as usize * channels];
    for y in 0..size.height.div_ceil(TILE) {
        for x in 0..size.width.div_ceil(TILE) {
            let key = TileKey { level, x, y };
            let (tile, data) = pyramid.tile(key);
            assert_eq!(
                Some(tile),
                key.rect()
                    .intersection(PixelRect::covering(size))
                    .map(PixelRect::size)
            );
            assert_eq!(data.len() as u64, tile.area() * pyramid.format().bytes() as u64);
            for (index, texel) in (0..).zip(data.chunks_exact(stored * bytes)) {
                let (column, row) = (x * TILE + index % tile.width, y * TILE + index / tile.width);
                let values: Vec<u32> = texel
                    .chunks_exact(bytes)
                    .map(|value| match value {
                        &[value] => value.into(),
                        value => u16::from_ne_bytes([value[0], value[1]]).into(),
                    })
                    .collect();
                let start = (row * size.width + column) as usize * channels;
                texels[start..start + channels].copy_from_slice(&values[..channels]);
            }
        }
    }
    texels
}

/// Numbers that look random and reach both ends of their range.
fn noise(count: usize, seed: u32, white: u32) -> Vec<u32> {
    (0..count as u32)
        .map(|index| {
            let value = (index ^ seed).wrapping_mul(0x9E37_79B9);
            match value >> 29 {
                0 => 0,
                1 => white,
                _ => (value >> 8) % (white + 1),
            }
        })
        .collect()
}

fn of_kind(kind: usize, size: ImageSize, values: &[u32]) -> Samples {
    let wide = || Arc::new(values.iter().map(|&value| value as u16).collect());
    match kind {
        0 => Samples::Rgb8(Arc::new(RgbImage {
            size,
            pixels: values.iter().map(|&value| value as u8).collect(),
        })),
        1 => Samples::Gray16(wide()),
        _ => Samples::Rgb16(wide()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn levels_are_rounded_means(
        (width, height) in prop_oneof![
            (1..600_u32, 1..40_u32),
            (1..40_u32, 1..600_u32),
            (Just(257), Just(258)),
            (Just(1), Just(1100)),
        ],
        kind in 0..3_usize,
        seed in any::<u32>(),
    ) {
        let size = ImageSize::new(width, height);
        let (channels, white) = [(3, 255), (1, 65535), (3, 65535)][kind];
        let values = noise(size.area() as usize * channels, seed, white);
        let pyramid = PicturePyramid::new(size, of_kind(kind, size, &values)).unwrap();
        let expected = levels(size, values.clone(), channels);
        for (level, expected) in (0..).zip(&expected) {
            prop_assert!(&texels(&pyramid, level) == expected, "level {level} of {size}");
        }
        let (x, y) = (seed % width, seed / 7 % height);
        let start = (y * width + x) as usize * channels;
        let pixel: Vec<u32> = pyramid.pixel(x, y).unwrap().into_iter().map(u32::from).collect();
        prop_assert_eq!(pixel.as_slice(), &values[start..start + channels]);
        prop_assert!(pyramid.pixel(width, 0).is_none() && pyramid.pixel(0, height).is_none());
    }
}

#[test]
fn samples_that_do_not_fit_the_size_are_refused() {
    let cases = [
        (3, 2, 17),
        (3, 2, 19),
        (0, 2, 0),
        (3, 0, 0),
        (u32::MAX, u32::MAX, 18),
    ];
    for (width, height, length) in cases {
        let size = ImageSize::new(width, height);
        let samples = of_kind(0, size, &vec![0; length]);
        assert!(PicturePyramid::new(size, samples).is_none(), "{size} of {length}");
    }
    assert!(PicturePyramid::new(ImageSize::new(3, 2), of_kind(0, ImageSize::new(3, 2), &[0; 18])).is_some());
}

#[test]
fn a_tile_that_does_not_exist_is_empty() {
    let size = ImageSize::new(300, 10);
    let pyramid = PicturePyramid::new(size, of_kind(1, size, &vec![5; 3000])).unwrap();
    for (level, x, y) in [
        (0, 2, 0),
        (0, 0, 1),
        (2, 0, 0),
        (0, u32::MAX, u32::MAX),
        (200, 0, 0),
    ] {
        let (tile, bytes) = pyramid.tile(TileKey { level, x, y });
        assert!(tile.area() == 0 && bytes.is_empty(), "{level} {x} {y}");
    }
    // An 8-bit image is shared; samples of 16 bits are its own.
    assert_eq!(pyramid.extra_bytes(), 2 * (3000 + 150 * 5));
    let pyramid = PicturePyramid::new(size, of_kind(0, size, &vec![5; 9000])).unwrap();
    assert_eq!(pyramid.extra_bytes(), 3 * 150 * 5);
}

#[test]
fn levels_end_with_one_tile() {
    let cases = [
        (1, 1, 1),
        (256, 256, 1),
        (257, 1, 2),
        (1, 20_000, 8),
        (20_000, 20_000, 8),
        (u32::MAX, 1, 25),
    ];
    for (width, height, count) in cases {
        let size = ImageSize::new(width, height);
        assert_eq!(level_count(size), count, "{size}");
        let last = level_size(size, count - 1);
        assert!(last.width <= TILE && last.height <= TILE && last.area() > 0);
    }
    assert_eq!(
        level_rect(PixelRect::new(3, 8, 2, 1), 1),
        PixelRect::new(1, 4, 2, 1)
    );
    assert_eq!(
        level_rect(PixelRect::new(0, 0, 1, 1), 7),
        PixelRect::new(0, 0, 1, 1)
    );
}
