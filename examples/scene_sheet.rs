//! Writes a contact sheet of generated scenes, each beside its regions, because a generator must be looked at.
//!
//! `cargo run --release --example scene_sheet -- OUT.png [FIRST_SEED] [COUNT] [SIDE]`

use samtok::geometry::ImageSize;
use samtok::scenes::{Scene, SceneConfig, generate};
use std::error::Error;
use std::time::Instant;

const COLUMNS: usize = 3;

#[expect(clippy::print_stdout, reason = "this is a command-line program")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments
        .next()
        .ok_or("usage: scene_sheet OUT.png [FIRST_SEED] [COUNT] [SIDE]")?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (first, count, side) = (number(0)?, number(16)? as usize, number(256)? as u32);
    let config = SceneConfig::new(ImageSize::new(side, side))?;
    let _warm_up = generate(&config, first);
    let start = Instant::now();
    let scenes: Vec<Scene> = (0..count as u64).map(|i| generate(&config, first + i)).collect();
    let milliseconds = start.elapsed().as_secs_f64() * 1e3 / count as f64;
    let regions: usize = scenes.iter().map(|scene| scene.regions.len()).sum();
    println!(
        "{milliseconds:.2} ms and {:.1} regions per scene",
        regions as f64 / count as f64
    );

    let side = side as usize;
    let (width, height) = (COLUMNS * 2 * side, count.div_ceil(COLUMNS) * side);
    let mut sheet = vec![0u8; width * height * 3];
    for (index, scene) in scenes.iter().enumerate() {
        let (left, top) = (index % COLUMNS * 2 * side, index / COLUMNS * side);
        let painted = paint_regions(scene, side);
        for y in 0..side {
            let row = y * side * 3..(y + 1) * side * 3;
            let at = ((top + y) * width + left) * 3;
            sheet[at..at + side * 3].copy_from_slice(&scene.image.pixels[row.clone()]);
            sheet[at + side * 3..at + side * 6].copy_from_slice(&painted[row]);
        }
    }
    image::save_buffer(&path, &sheet, width as u32, height as u32, image::ColorType::Rgb8)?;
    Ok(())
}

/// The regions in one colour each, small ones on top.
fn paint_regions(scene: &Scene, side: usize) -> Vec<u8> {
    let mut painted = vec![20u8; side * side * 3];
    let mut order: Vec<_> = scene.regions.iter().collect();
    order.sort_by_key(|region| std::cmp::Reverse(region.mask.area()));
    for (index, region) in order.into_iter().enumerate() {
        let hash = (index as u32 + 1).wrapping_mul(0x9E37_79B9);
        let colour = [
            (hash >> 24) as u8 | 32,
            (hash >> 16) as u8 | 32,
            (hash >> 8) as u8 | 32,
        ];
        for (pixel, set) in painted.chunks_exact_mut(3).zip(region.mask.to_bytes()) {
            if set != 0 {
                pixel.copy_from_slice(&colour);
            }
        }
    }
    painted
}
