//! The image in full size and halved again and again, so that any zoom reads about as many samples as it shows.
//!
//! A [`PicturePyramid`] is plain data: a worker thread builds it, the canvas cuts tiles from it when they come
//! into view. Samples stay in the depth of the file; the shader turns them into what is seen.

#[cfg(test)]
mod tests;
pub(crate) mod tile;

use std::sync::Arc;

use rayon::prelude::*;

use self::tile::{TILE, TileKey, level_count, level_size};
use crate::geometry::ImageSize;
use crate::image_file::RgbImage;

/// Samples of an upright image, row by row from the top, interleaved.
#[derive(Clone, Debug)]
pub enum Samples {
    /// Red, green, blue; 255 is white.
    Rgb8(Arc<RgbImage>),
    /// One grey sample per pixel; 65535 is white.
    Gray16(Arc<Vec<u16>>),
    /// Red, green, blue; 65535 is white.
    Rgb16(Arc<Vec<u16>>),
}

impl Samples {
    const fn channels(&self) -> usize {
        match self {
            Self::Rgb8(_) | Self::Rgb16(_) => 3,
            Self::Gray16(_) => 1,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Rgb8(image) => image.pixels.len(),
            Self::Gray16(samples) | Self::Rgb16(samples) => samples.len(),
        }
    }
}

/// How samples lie in a texture of the graphics card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TexelFormat {
    /// Four channels of 8 bits.
    Rgba8,
    /// One channel of 16 bits.
    R16,
    /// Four channels of 16 bits.
    Rgba16,
}

impl TexelFormat {
    pub(crate) const fn bytes(self) -> usize {
        match self {
            Self::R16 => 2,
            Self::Rgba8 => 4,
            Self::Rgba16 => 8,
        }
    }

    /// The sample that is white.
    pub(crate) const fn white(self) -> f32 {
        match self {
            Self::Rgba8 => 255.0,
            Self::R16 | Self::Rgba16 => 65535.0,
        }
    }
}

/// An image and its halved copies down to one tile.
#[derive(Debug)]
pub struct PicturePyramid {
    size: ImageSize,
    /// Level 0 is the image; each sample of the next level is the rounded mean of up to 2 x 2 samples.
    levels: Vec<Samples>,
}

impl PicturePyramid {
    /// Halves the image until it fits one tile; takes a while for a large image, so call it off the GUI thread.
    ///
    /// `None` if `samples` are not exactly those of an image of `size`, or the image has no pixels.
    #[must_use]
    pub fn new(size: ImageSize, samples: Samples) -> Option<Self> {
        let expected = size.area().checked_mul(samples.channels() as u64)?;
        if expected == 0 || samples.len() as u64 != expected {
            return None;
        }
        let mut levels = vec![samples];
        for level in 1..level_count(size) {
            let from = level_size(size, level - 1);
            let halved = match levels.last()? {
                Samples::Rgb8(image) => Samples::Rgb8(Arc::new(RgbImage {
                    size: level_size(size, level),
                    pixels: halved::<u8, 3>(&image.pixels, from),
                })),
                Samples::Gray16(samples) => Samples::Gray16(Arc::new(halved::<u16, 1>(samples, from))),
                Samples::Rgb16(samples) => Samples::Rgb16(Arc::new(halved::<u16, 3>(samples, from))),
            };
            levels.push(halved);
        }
        Some(Self { size, levels })
    }

    /// The pyramid of an 8-bit image; `None` if the image's pixels do not have its size.
    #[must_use]
    pub fn from_rgb(image: Arc<RgbImage>) -> Option<Self> {
        Self::new(image.size, Samples::Rgb8(image))
    }

    /// Width and height of the image.
    #[must_use]
    pub const fn size(&self) -> ImageSize {
        self.size
    }

    /// Bytes that this takes besides an 8-bit image that it shares.
    #[must_use]
    pub fn extra_bytes(&self) -> usize {
        let bytes = |(level, samples): (usize, &Samples)| match samples {
            Samples::Rgb8(_) if level == 0 => 0,
            Samples::Rgb8(image) => image.pixels.len(),
            Samples::Gray16(samples) | Samples::Rgb16(samples) => 2 * samples.len(),
        };
        self.levels.iter().enumerate().map(bytes).sum()
    }

    /// The samples of the image itself, for tools that read values.
    #[must_use]
    pub fn samples(&self) -> Option<&Samples> {
        self.levels.first()
    }

    /// The samples of pixel (`x`, `y`), one or three, as the file has them; `None` outside.
    #[must_use]
    pub fn pixel(&self, x: u32, y: u32) -> Option<Vec<u16>> {
        if x >= self.size.width || y >= self.size.height {
            return None;
        }
        let samples = self.levels.first()?;
        let start = (y as usize * self.size.width as usize + x as usize) * samples.channels();
        let range = start..start + samples.channels();
        Some(match samples {
            Samples::Rgb8(image) => image
                .pixels
                .get(range)?
                .iter()
                .map(|&sample| sample.into())
                .collect(),
            Samples::Gray16(samples) | Samples::Rgb16(samples) => samples.get(range)?.to_vec(),
        })
    }

    pub(crate) fn format(&self) -> TexelFormat {
        match self.levels.first() {
            Some(Samples::Gray16(_)) => TexelFormat::R16,
            Some(Samples::Rgb16(_)) => TexelFormat::Rgba16,
            _ => TexelFormat::Rgba8,
        }
    }

    /// The samples of a tile as a texture wants them, with the tile's size: tiles at the right and bottom edge
    /// are cut off. Empty for a tile that does not exist.
    pub(crate) fn tile(&self, key: TileKey) -> (ImageSize, Vec<u8>) {
        let Some(samples) = self.levels.get(usize::from(key.level)) else {
            return (ImageSize::new(0, 0), Vec::new());
        };
        let level = level_size(self.size, key.level);
        let (x, y) = (key.x.saturating_mul(TILE), key.y.saturating_mul(TILE));
        let size = ImageSize::new(
            level.width.saturating_sub(x).min(TILE),
            level.height.saturating_sub(y).min(TILE),
        );
        let mut bytes = Vec::with_capacity(size.area() as usize * self.format().bytes());
        let channels = samples.channels();
        for row in y..y + size.height {
            let start = (row as usize * level.width as usize + x as usize) * channels;
            let range = start..start + size.width as usize * channels;
            match samples {
                Samples::Rgb8(image) => {
                    let row = image.pixels.get(range).unwrap_or(&[]).as_chunks::<3>().0;
                    bytes.extend(row.iter().flat_map(|&[red, green, blue]| [red, green, blue, 255]));
                }
                Samples::Gray16(samples) => {
                    let row = samples.get(range).unwrap_or(&[]);
                    bytes.extend(row.iter().flat_map(|sample| sample.to_ne_bytes()));
                }
                Samples::Rgb16(samples) => {
                    let row = samples.get(range).unwrap_or(&[]).as_chunks::<3>().0;
                    let texel = |&[red, green, blue]: &[u16; 3]| [red, green, blue, u16::MAX];
                    bytes.extend(row.iter().flat_map(texel).flat_map(u16::to_ne_bytes));
                }
            }
        }
        (size, bytes)
    }
}

/// A sample that can be averaged.
trait Sample: Copy + Default + Send + Sync + Into<u32> {
    fn rounded(sum: u32, count: u32) -> Self;
}

impl Sample for u8 {
    fn rounded(sum: u32, count: u32) -> Self {
        ((sum + count / 2) / count) as Self
    }
}

impl Sample for u16 {
    fn rounded(sum: u32, count: u32) -> Self {
        ((sum + count / 2) / count) as Self
    }
}

/// The samples of an image of `from`, at half the size, rounded up; at an odd edge fewer samples are averaged.
fn halved<T: Sample, const CHANNELS: usize>(samples: &[T], from: ImageSize) -> Vec<T> {
    let (width, height) = (from.width as usize, from.height as usize);
    let half_width = width.div_ceil(2);
    let stride = width * CHANNELS;
    let mut half = vec![T::default(); half_width * height.div_ceil(2) * CHANNELS];
    half.par_chunks_mut(half_width * CHANNELS)
        .zip(samples.par_chunks(2 * stride))
        .for_each(|(row, pair)| {
            let (upper, lower) = pair.split_at(stride);
            // The last row of an odd height is its own neighbour: the mean stays the same.
            let lower = if lower.is_empty() { upper } else { lower };
            let (texels, _) = row.as_chunks_mut::<CHANNELS>();
            let quads = upper.chunks(2 * CHANNELS).zip(lower.chunks(2 * CHANNELS));
            for (texel, (upper, lower)) in texels.iter_mut().zip(quads) {
                for (channel, value) in texel.iter_mut().enumerate() {
                    let left = upper[channel].into() + lower[channel].into();
                    *value = match (upper.get(CHANNELS + channel), lower.get(CHANNELS + channel)) {
                        (Some(&above), Some(&below)) => T::rounded(left + above.into() + below.into(), 4),
                        _ => T::rounded(left, 2),
                    };
                }
            }
        });
    half
}
