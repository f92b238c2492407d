//! A picture page of the masks that came back worst: a curator must see what goes wrong.

use super::{Case, Worst};
use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::{RgbImage, resize};
use crate::mask::Mask;

/// Side of a picture on the page, and the space around it.
const TILE_PX: u32 = 224;
const GAP_PX: u32 = 8;
const COLUMNS: u32 = 6;
const PAPER: u8 = 24;
/// Colours of what only one of the masks has: told apart by every kind of colour vision.
const MISSING: [u8; 3] = [230, 159, 0];
const SURPLUS: [u8; 3] = [86, 180, 233];
/// Both.
const SHARED: [u8; 3] = [240, 240, 240];

/// The surroundings of a mask and of what came back for it.
pub(super) fn cut(case: &Case, wanted: &Mask, rebuilt: &Mask, iou: f64) -> Worst {
    let size = case.image.size;
    let whole = PixelRect::covering(size);
    let bounds = match (wanted.bounding_box(), rebuilt.bounding_box()) {
        (Some(a), Some(b)) => a.union(b),
        (Some(a), None) | (None, Some(a)) => a,
        (None, None) => whole,
    };
    let side = (bounds.width.max(bounds.height) * 3 / 2 + 16).min(size.width.min(size.height));
    let start = |first: u32, extent: u32, limit: u32| {
        (first + extent / 2)
            .saturating_sub(side / 2)
            .min(limit - side.min(limit))
    };
    let rect = PixelRect::new(
        start(bounds.x, bounds.width, size.width),
        start(bounds.y, bounds.height, size.height),
        side,
        side,
    );
    let pixels = (rect.y..rect.bottom())
        .flat_map(|y| {
            let row = (y as usize * size.width as usize + rect.x as usize) * 3;
            case.image.pixels[row..row + rect.width as usize * 3]
                .iter()
                .copied()
        })
        .collect();
    let crop = |mask: &Mask| {
        Mask::from_fn(rect.size(), |x, y| mask.get(rect.x + x, rect.y + y)).unwrap_or_else(|_| mask.clone())
    };
    Worst {
        name: case.name.clone(),
        image: RgbImage {
            size: rect.size(),
            pixels,
        },
        wanted: crop(wanted),
        rebuilt: crop(rebuilt),
        iou,
    }
}

/// Every mask as a pair: the cut-out alone, and with what is missing, what is too much, and what is right.
#[must_use]
pub fn worst_page(worst: &[Worst]) -> RgbImage {
    let columns = COLUMNS.min((worst.len() as u32).max(1));
    let rows = (worst.len() as u32).div_ceil(columns).max(1);
    let cell = (2 * TILE_PX + GAP_PX, TILE_PX + GAP_PX);
    let size = ImageSize::new(columns * cell.0 + GAP_PX, rows * cell.1 + GAP_PX);
    let mut page = RgbImage {
        pixels: vec![PAPER; size.area() as usize * 3],
        size,
    };
    for (index, worst) in worst.iter().enumerate() {
        let index = index as u32;
        let (x, y) = (
            GAP_PX + index % columns * cell.0,
            GAP_PX + index / columns * cell.1,
        );
        let tile = ImageSize::new(TILE_PX, TILE_PX);
        paste(&mut page, &resize::bicubic_rgb(&worst.image, tile), x, y);
        paste(
            &mut page,
            &resize::bicubic_rgb(&painted(worst), tile),
            x + TILE_PX,
            y,
        );
    }
    page
}

/// The cut-out in grey under the two masks.
fn painted(worst: &Worst) -> RgbImage {
    let width = worst.image.size.width as usize;
    let mut image = worst.image.clone();
    for (index, pixel) in image.pixels.chunks_exact_mut(3).enumerate() {
        let (x, y) = ((index % width) as u32, (index / width) as u32);
        let grey = pixel.iter().map(|v| u16::from(*v)).sum::<u16>() / 3;
        let over = match (worst.wanted.get(x, y), worst.rebuilt.get(x, y)) {
            (true, true) => Some(SHARED),
            (true, false) => Some(MISSING),
            (false, true) => Some(SURPLUS),
            (false, false) => None,
        };
        for (channel, value) in pixel.iter_mut().enumerate() {
            *value = match over {
                Some(colour) => ((grey + 2 * u16::from(colour[channel])) / 3) as u8,
                None => (grey / 2) as u8,
            };
        }
    }
    image
}

fn paste(page: &mut RgbImage, tile: &RgbImage, x: u32, y: u32) {
    let (page_row, tile_row) = (page.size.width as usize * 3, tile.size.width as usize * 3);
    for (row, line) in tile.pixels.chunks_exact(tile_row).enumerate() {
        let at = (y as usize + row) * page_row + x as usize * 3;
        page.pixels[at..at + tile_row].copy_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_the_cut_and_the_difference() {
        let size = ImageSize::new(100, 60);
        let case = Case {
            name: "grey".to_owned(),
            image: RgbImage {
                size,
                pixels: vec![90; size.area() as usize * 3],
            },
            masks: Vec::new(),
        };
        let strip =
            |first: u32, last: u32| Mask::from_fn(size, |x, y| (first..last).contains(&x) && y < 8).unwrap();
        let worst = cut(&case, &strip(0, 8), &strip(4, 12), 0.2);
        assert_eq!(
            (worst.image.size, worst.wanted.area()),
            (ImageSize::new(34, 34), 64)
        );
        let page = worst_page(&[worst]);
        let at = |x: u32, y: u32| {
            let at = ((y * page.size.width + x) * 3) as usize;
            [page.pixels[at], page.pixels[at + 1], page.pixels[at + 2]]
        };
        let mixed = |colour: [u8; 3]| colour.map(|v| ((90 + 2 * u16::from(v)) / 3) as u8);
        assert_eq!(at(0, 0), [PAPER; 3]);
        assert_eq!(at(GAP_PX + 10, GAP_PX + 10), [90; 3], "the cut-out itself");
        let painted_at = |x: u32| at(GAP_PX + TILE_PX + x * TILE_PX / 34, GAP_PX + 20);
        assert_eq!(
            [painted_at(2), painted_at(6), painted_at(10)],
            [mixed(MISSING), mixed(SHARED), mixed(SURPLUS)]
        );
    }
}
