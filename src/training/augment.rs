//! Random views of a labelled image: a crop, mirrored or not, in other colours.

use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::RgbImage;
use crate::mask::Mask;
use crate::scenes::random::Rng;

/// Share of the images that are seen whole.
const WHOLE: f32 = 0.3;
/// Smallest crop as a share of the image's area.
const SMALLEST: f32 = 0.25;
/// A mask of which a crop leaves less than this share is left out.
const LEAST_KEPT: f64 = 0.25;

/// What part of an image is seen, and whether mirrored.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    rect: PixelRect,
    mirrored: bool,
}

impl View {
    /// A view of an image of `size` that keeps at least one of `masks`.
    pub(super) fn random(size: ImageSize, masks: &[Mask], rng: &mut Rng) -> Self {
        let mirrored = rng.chance(0.5);
        let whole = Self {
            rect: PixelRect::covering(size),
            mirrored,
        };
        if rng.chance(WHOLE) {
            return whole;
        }
        let scale = rng.log_range(SMALLEST, 1.0).sqrt();
        let stretch = rng.log_range(0.85, 1.18);
        let mut span = |extent: u32, share: f32| {
            let length = ((extent as f32 * share) as u32).clamp(1, extent);
            (rng.int(0, (extent - length) as usize) as u32, length)
        };
        let (x, width) = span(size.width, scale * stretch);
        let (y, height) = span(size.height, scale / stretch);
        let view = Self {
            rect: PixelRect::new(x, y, width, height),
            mirrored,
        };
        if view.masks(masks).is_empty() { whole } else { view }
    }

    /// The view of the image.
    pub(super) fn image(self, image: &RgbImage) -> RgbImage {
        let PixelRect { x, y, width, height } = self.rect;
        let stride = 3 * image.size.width as usize;
        let mut pixels = Vec::with_capacity(3 * width as usize * height as usize);
        for row in image
            .pixels
            .chunks_exact(stride)
            .skip(y as usize)
            .take(height as usize)
        {
            let row = &row[3 * x as usize..][..3 * width as usize];
            if self.mirrored {
                pixels.extend(row.chunks_exact(3).rev().flatten());
            } else {
                pixels.extend_from_slice(row);
            }
        }
        RgbImage {
            size: self.rect.size(),
            pixels,
        }
    }

    /// What is seen of the masks, without those that are mostly cut away.
    pub(super) fn masks(self, masks: &[Mask]) -> Vec<Mask> {
        let seen = masks.iter().filter_map(|mask| {
            let cropped = mask.crop(self.rect).ok()?;
            let least = (mask.area() as f64 * LEAST_KEPT).max(1.0);
            (cropped.area() as f64 >= least).then_some(cropped)
        });
        if self.mirrored {
            seen.filter_map(|mask| mirrored(&mask)).collect()
        } else {
            seen.collect()
        }
    }
}

/// The mask with left and right exchanged.
fn mirrored(mask: &Mask) -> Option<Mask> {
    let ImageSize { width, height } = mask.size();
    let mut out = Mask::empty(mask.size()).ok()?;
    for y in 0..height {
        for run in mask.runs(y) {
            out.fill_run(y, width - run.end..width - run.start, true);
        }
    }
    Some(out)
}

/// Another light, another camera: brightness, contrast, the balance of the channels and saturation.
pub(super) fn recolour(image: &mut RgbImage, rng: &mut Rng) {
    let brightness = rng.log_range(0.7, 1.4);
    let contrast = rng.range(0.8, 1.2);
    let saturation = rng.range(0.6, 1.4);
    let balance: [f32; 3] = std::array::from_fn(|_| rng.log_range(0.92, 1.09));
    for pixel in image.pixels.chunks_exact_mut(3) {
        let lit: [f32; 3] = std::array::from_fn(|c| {
            let value = f32::from(pixel[c]) * brightness * balance[c];
            (value - 128.0) * contrast + 128.0
        });
        let grey = 0.299 * lit[0] + 0.587 * lit[1] + 0.114 * lit[2];
        for (value, lit) in pixel.iter_mut().zip(lit) {
            *value = (grey + (lit - grey) * saturation).round().clamp(0.0, 255.0) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_and_masks_stay_together() {
        // The red channel marks the mask, so every view must show the same in both.
        let size = ImageSize::new(37, 23);
        let mask = Mask::from_fn(size, |x, y| (x + 2 * y) % 7 < 3 && x > 4).unwrap();
        let pixels = mask.to_bytes().iter().flat_map(|set| [set * 200, 7, 9]).collect();
        let image = RgbImage { size, pixels };
        let mut rng = Rng::new(4);
        let (mut cropped, mut flipped) = (0, 0);
        for _ in 0..100 {
            let view = View::random(size, std::slice::from_ref(&mask), &mut rng);
            let (seen, masks) = (view.image(&image), view.masks(std::slice::from_ref(&mask)));
            assert_eq!((seen.size, masks.len()), (masks[0].size(), 1));
            let red: Vec<u8> = seen.pixels.chunks(3).map(|p| p[0] / 200).collect();
            assert_eq!(red, masks[0].to_bytes(), "{view:?}");
            cropped += usize::from(view.rect.size() != size);
            flipped += usize::from(view.mirrored);
        }
        assert!(cropped > 30 && (30..70).contains(&flipped), "{cropped} {flipped}");
    }
}
