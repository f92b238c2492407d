//! Enlarged crops of small regions, cut as the published converters and evaluations cut them.

use super::RgbImage;
use super::resize::lanczos_rgb;
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::{Mask, MaskError};

/// A box that covers more of the image than this is large enough to be seen without a crop.
const LARGEST_SHARE: f64 = 0.2;
/// Crops are at least this wide and high, in pixels of the image, where the image is.
const SMALLEST_SIDE: i64 = 140;
/// The shorter side of a crop that was enlarged, and the longer side up to which one is.
const ENLARGED_SIDE: u32 = 280;

/// Where a crop is cut and the size it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZoomCut {
    /// The part of the image.
    pub rect: PixelRect,
    /// The size of the crop.
    pub size: ImageSize,
}

impl ZoomCut {
    /// The cut around a region with the box `bounds`; `None` where the region is not small.
    ///
    /// As published: the far corner is the last pixel of the region and is then taken as the first pixel outside the
    /// crop, so a crop that did not have to grow lacks the region's last row and column.
    #[must_use]
    pub fn around(bounds: PixelRect, image: ImageSize) -> Option<Self> {
        let grown = |start: u32, length: u32, limit: u32| {
            let (first, last) = (i64::from(start), i64::from(start) + i64::from(length) - 1);
            let growth = (SMALLEST_SIDE - (last - first)).max(0) / 2;
            let (first, end) = ((first - growth).max(0), (last + growth).min(i64::from(limit)));
            Some((u32::try_from(first).ok()?, u32::try_from(end - first).ok()?))
        };
        let share = f64::from(bounds.width.checked_sub(1)?) * f64::from(bounds.height.checked_sub(1)?)
            / image.area() as f64;
        if share > LARGEST_SHARE {
            return None;
        }
        let (x, width) = grown(bounds.x, bounds.width, image.width)?;
        let (y, height) = grown(bounds.y, bounds.height, image.height)?;
        if width == 0 || height == 0 {
            return None;
        }
        let (shorter, longer) = (width.min(height), width.max(height));
        let size = if longer >= ENLARGED_SIDE {
            ImageSize::new(width, height)
        } else {
            // By a ratio in floating point and cut off, as published, so that sides are equal to the pixel.
            let ratio = f64::from(ENLARGED_SIDE) / f64::from(shorter);
            let scaled = |side: u32| {
                if side == shorter {
                    ENLARGED_SIDE
                } else {
                    (f64::from(side) * ratio) as u32
                }
            };
            ImageSize::new(scaled(width), scaled(height))
        };
        let rect = PixelRect::new(x, y, width, height);
        Some(Self { rect, size })
    }

    /// The crop of the image.
    #[must_use]
    pub fn image(self, image: &RgbImage) -> RgbImage {
        let stride = (image.size.width as usize * 3).max(1);
        let (left, length) = (self.rect.x as usize * 3, self.rect.width as usize * 3);
        let rows = image
            .pixels
            .chunks_exact(stride)
            .skip(self.rect.y as usize)
            .take(self.rect.height as usize);
        let cropped = RgbImage {
            size: self.rect.size(),
            pixels: rows
                .flat_map(|row| row.iter().skip(left).take(length))
                .copied()
                .collect(),
        };
        lanczos_rgb(&cropped, self.size)
    }

    /// The crop of a mask of the image: enlarged bilinearly, set where more than half.
    ///
    /// # Errors
    /// As for [`Mask::crop`].
    pub fn mask(self, mask: &Mask) -> Result<Mask, MaskError> {
        let cropped = mask.crop(self.rect)?;
        if cropped.size() == self.size {
            return Ok(cropped);
        }
        let (columns, rows) = (
            sources(self.rect.width, self.size.width),
            sources(self.rect.height, self.size.height),
        );
        Mask::from_fn(self.size, |x, y| {
            let (Some(column), Some(row)) = (columns.get(x as usize), rows.get(y as usize)) else {
                return false;
            };
            let at = |x, y| f64::from(u8::from(cropped.get(x, y)));
            let upper = at(column.first, row.first) * (1.0 - column.share)
                + at(column.second, row.first) * column.share;
            let lower = at(column.first, row.second) * (1.0 - column.share)
                + at(column.second, row.second) * column.share;
            upper * (1.0 - row.share) + lower * row.share > 0.5
        })
    }
}

/// Two neighbouring source samples and the share of the second.
struct Source {
    first: u32,
    second: u32,
    share: f64,
}

/// For every target sample the source samples under its centre.
fn sources(from: u32, to: u32) -> Vec<Source> {
    let scale = f64::from(from) / f64::from(to);
    let source = |target: u32| {
        let position = ((f64::from(target) + 0.5) * scale - 0.5).max(0.0);
        let first = position as u32;
        Source {
            first,
            second: (first + 1).min(from.saturating_sub(1)),
            share: position - f64::from(first),
        }
    };
    (0..to).map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_have_the_published_geometry() {
        let image = ImageSize::new(1000, 800);
        let cut = |x, y, width, height| {
            ZoomCut::around(PixelRect::new(x, y, width, height), image).map(|cut| {
                let rect = cut.rect;
                (
                    (rect.x, rect.y, rect.width, rect.height),
                    (cut.size.width, cut.size.height),
                )
            })
        };
        // Worked out by hand from the published steps: grow to 140, clip, enlarge.
        let cases = [
            ((500, 400, 10, 10), Some(((435, 335, 139, 139), (280, 280)))),
            ((500, 400, 11, 10), Some(((435, 335, 140, 139), (282, 280)))),
            ((0, 0, 10, 10), Some(((0, 0, 74, 74), (280, 280)))),
            ((995, 795, 5, 5), Some(((927, 727, 73, 73), (280, 280)))),
            ((100, 100, 101, 201), Some(((80, 100, 140, 200), (280, 400)))),
            ((100, 100, 301, 101), Some(((100, 80, 300, 140), (300, 140)))),
            ((100, 100, 281, 281), Some(((100, 100, 280, 280), (280, 280)))),
            ((0, 0, 401, 401), Some(((0, 0, 400, 400), (400, 400)))),
            ((0, 0, 402, 401), None),
            ((0, 0, 1000, 800), None),
        ];
        for ((x, y, width, height), expected) in cases {
            assert_eq!(
                cut(x, y, width, height),
                expected,
                "{width} x {height} at ({x}, {y})"
            );
        }
        let tiny = ImageSize::new(20, 3);
        let cut = ZoomCut::around(PixelRect::new(4, 1, 2, 1), tiny).unwrap();
        assert_eq!(
            (cut.rect, cut.size),
            (PixelRect::covering(tiny), ImageSize::new(1866, 280))
        );
    }

    #[test]
    fn images_and_masks_are_cut_alike() {
        let image = ImageSize::new(640, 480);
        let cut = ZoomCut::around(PixelRect::new(100, 100, 41, 21), image).unwrap();
        assert_eq!(cut.rect, PixelRect::new(50, 40, 140, 140));
        assert_eq!(cut.size, ImageSize::new(280, 280));
        let mask = Mask::from_rects(image, &[PixelRect::new(100, 100, 41, 21)]).unwrap();
        assert_eq!(cut.mask(&mask).unwrap().area(), 4 * 41 * 21);
        let pixels = vec![9; 640 * 480 * 3];
        let crop = cut.image(&RgbImage { size: image, pixels });
        assert!(crop.size == cut.size && crop.pixels.iter().all(|sample| *sample == 9));
        let mask = Mask::from_fn(ImageSize::new(3, 1), |x, _| x == 1).unwrap();
        let cut = ZoomCut {
            rect: PixelRect::new(0, 0, 3, 1),
            size: ImageSize::new(12, 2),
        };
        let enlarged = cut.mask(&mask).unwrap();
        // Four targets per source; the value passes one half between the two that straddle an edge.
        let set: Vec<u32> = (0..12).filter(|&x| enlarged.get(x, 1)).collect();
        assert_eq!(set, [4, 5, 6, 7]);
    }
}
