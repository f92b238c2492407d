//! A contact sheet of generated scenes with their masks drawn over, because training data must be looked at.

use crate::geometry::ImageSize;
use crate::image_file::RgbImage;
use crate::mask::Mask;
use crate::scenes::Scene;

const COLUMNS: usize = 4;
/// How much of a mask's colour covers the picture inside.
const TINT: f32 = 0.35;

/// The scenes, which are of one size, left to right and top to bottom.
pub(super) fn contact_sheet(scenes: &[Scene]) -> Option<RgbImage> {
    let tile = scenes.first()?.image.size;
    let columns = scenes.len().min(COLUMNS);
    let size = ImageSize::new(
        tile.width * columns as u32,
        tile.height * scenes.len().div_ceil(columns) as u32,
    );
    let (stride, tile_stride) = (3 * size.width as usize, 3 * tile.width as usize);
    let mut pixels = vec![255; stride * size.height as usize];
    for (index, scene) in scenes.iter().enumerate() {
        let drawn = with_masks(scene);
        let (left, top) = (
            index % columns * tile_stride,
            index / columns * tile.height as usize,
        );
        for (y, row) in drawn.chunks_exact(tile_stride).enumerate() {
            pixels[(top + y) * stride + left..][..tile_stride].copy_from_slice(row);
        }
    }
    Some(RgbImage { size, pixels })
}

/// The picture with every mask tinted and outlined in a colour of its own, small ones on top.
fn with_masks(scene: &Scene) -> Vec<u8> {
    let mut pixels = scene.image.pixels.clone();
    let mut masks: Vec<&Mask> = scene.regions.iter().map(|region| &region.mask).collect();
    masks.sort_by_key(|mask| std::cmp::Reverse(mask.area()));
    for (index, mask) in masks.into_iter().enumerate() {
        let color = color(index);
        let ImageSize { width, height } = mask.size();
        for y in 0..height {
            for x in mask.runs(y).flatten() {
                let is_inside = |dx: i64, dy: i64| {
                    let (x, y) = (i64::from(x) + dx, i64::from(y) + dy);
                    let inside = (0..i64::from(width)).contains(&x) && (0..i64::from(height)).contains(&y);
                    inside && mask.get(x as u32, y as u32)
                };
                let is_edge = ![(-1, 0), (1, 0), (0, -1), (0, 1)]
                    .iter()
                    .all(|(dx, dy)| is_inside(*dx, *dy));
                let share = if is_edge { 1.0 } else { TINT };
                let at = 3 * (y as usize * width as usize + x as usize);
                for (pixel, color) in pixels[at..at + 3].iter_mut().zip(color) {
                    *pixel = (f32::from(*pixel) * (1.0 - share) + color * share).round() as u8;
                }
            }
        }
    }
    pixels
}

/// Colours that differ from their neighbours: steps of the golden angle round the colour circle.
fn color(index: usize) -> [f32; 3] {
    let hue = (index as f32 * 0.618_034).fract() * 6.0;
    [0.0, 4.0, 2.0].map(|offset| {
        let distance = ((hue + offset) % 6.0 - 3.0).abs() - 1.0;
        255.0 * distance.clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenes::{SceneConfig, generate};

    #[test]
    fn a_sheet_holds_every_scene() {
        let config = SceneConfig::new(ImageSize::new(48, 40)).unwrap();
        let scenes: Vec<Scene> = (0..6).map(|seed| generate(&config, seed)).collect();
        let sheet = contact_sheet(&scenes).unwrap();
        assert_eq!(sheet.size, ImageSize::new(4 * 48, 2 * 40));
        assert_eq!(sheet.pixels.len() as u64, 3 * sheet.size.area());
        let corner = &sheet.pixels[3 * (2 * 40 * 4 * 48 - 1)..];
        assert_eq!(corner, [255; 3], "the last tiles are empty");
        assert!(contact_sheet(&[]).is_none());
    }
}
