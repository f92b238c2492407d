//! Decoded samples in the depth of their file: turned upright, made RGB for the network or grey for masks.

use std::borrow::Cow;

use image::metadata::Orientation;
use rayon::prelude::*;

use super::decode::oriented_size;
use super::{DeepSamples, RgbImage};
use crate::geometry::ImageSize;

/// Samples of one image, interleaved, row by row; never without pixels.
pub(super) struct Raster {
    pub(super) size: ImageSize,
    /// 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
    pub(super) channels: usize,
    pub(super) samples: Samples,
}

pub(super) enum Samples {
    /// 255 is white.
    U8(Vec<u8>),
    /// 65535 is white.
    U16(Vec<u16>),
    /// Measured values: no value is known to be white.
    Measured(Vec<f32>),
}

/// One grey value per pixel, with the value that is white.
pub(super) struct Grey {
    pub(super) values: Vec<u16>,
    pub(super) white: u16,
}

impl Raster {
    /// The raster turned upright.
    pub(super) fn oriented(self, orientation: Orientation) -> Self {
        if orientation == Orientation::NoTransforms {
            return self;
        }
        let Self {
            size,
            channels,
            samples,
        } = self;
        let samples = match samples {
            Samples::U8(samples) => Samples::U8(oriented(&samples, channels, size, orientation)),
            Samples::U16(samples) => Samples::U16(oriented(&samples, channels, size, orientation)),
            Samples::Measured(samples) => Samples::Measured(oriented(&samples, channels, size, orientation)),
        };
        Self {
            size: oriented_size(size, orientation),
            channels,
            samples,
        }
    }

    /// The samples in 16 bits where the file has more than 8, alpha dropped.
    pub(super) fn deep(&self) -> Option<DeepSamples> {
        const ALL: [[f64; 2]; 4] = [[0.0, u16::MAX as f64]; 4];
        let (values, ranges, is_whole) = match &self.samples {
            Samples::U8(_) => return None,
            Samples::U16(samples) => (Cow::Borrowed(samples), ALL, true),
            Samples::Measured(samples) => (
                Cow::Owned(stretched(samples, self.channels, to_word)),
                finite_ranges(samples, self.channels),
                samples.par_iter().all(|sample| sample.fract() == 0.0),
            ),
        };
        let kept = if self.channels < 3 { 1 } else { 3 };
        let pixels = values.chunks_exact(self.channels);
        Some(DeepSamples {
            channels: kept,
            values: pixels.flat_map(|pixel| &pixel[..kept]).copied().collect(),
            ranges: ranges[..kept].to_vec(),
            is_whole,
        })
    }

    /// The image in 8-bit RGB, alpha dropped.
    pub(super) fn into_rgb(self) -> RgbImage {
        let channels = self.channels;
        let bytes = match self.samples {
            Samples::U8(samples) => samples,
            Samples::U16(samples) => samples.into_par_iter().map(high_byte).collect(),
            Samples::Measured(samples) => stretched(&samples, channels, to_byte),
        };
        let pixels = match channels {
            3 => bytes,
            4 => bytes
                .as_chunks()
                .0
                .iter()
                .flat_map(|&[red, green, blue, _]: &[u8; 4]| [red, green, blue])
                .collect(),
            _ => bytes
                .chunks_exact(channels)
                .flat_map(|pixel| [pixel[0]; 3])
                .collect(),
        };
        RgbImage {
            size: self.size,
            pixels,
        }
    }

    /// The grey image: colours weighted as in ITU-R 601, alpha dropped.
    pub(super) fn grey(&self) -> Grey {
        match &self.samples {
            Samples::U8(samples) => Grey {
                values: luma(samples, self.channels),
                white: 255,
            },
            Samples::U16(samples) => Grey {
                values: luma(samples, self.channels),
                white: u16::MAX,
            },
            Samples::Measured(samples) => Grey {
                values: luma(&stretched(samples, self.channels, to_byte), self.channels),
                white: 255,
            },
        }
    }

    /// The alpha channel as a grey image, where there is one that varies.
    pub(super) fn varying_alpha(&self) -> Option<Grey> {
        if !self.channels.is_multiple_of(2) {
            return None;
        }
        let grey = match &self.samples {
            Samples::U8(samples) => Grey {
                values: alpha(samples, self.channels),
                white: 255,
            },
            Samples::U16(samples) => Grey {
                values: alpha(samples, self.channels),
                white: u16::MAX,
            },
            Samples::Measured(samples) => Grey {
                values: alpha(&stretched(samples, self.channels, to_byte), self.channels),
                white: 255,
            },
        };
        let (first, rest) = grey.values.split_first()?;
        rest.iter().any(|value| value != first).then_some(grey)
    }

    /// The share of pixels, 0 to 1, that are clearly coloured rather than grey.
    pub(super) fn coloured_share(&self) -> f64 {
        let coloured = match (&self.samples, self.channels) {
            (_, ..3) | (Samples::Measured(_), _) => return 0.0,
            (Samples::U8(samples), channels) => samples
                .chunks_exact(channels)
                .filter(|pixel| is_coloured(&pixel[..3]))
                .count(),
            (Samples::U16(samples), channels) => {
                let is_coloured =
                    |pixel: &&[u16]| is_coloured(&[pixel[0], pixel[1], pixel[2]].map(high_byte));
                samples.chunks_exact(channels).filter(is_coloured).count()
            }
        };
        coloured as f64 / self.size.area() as f64
    }
}

pub(super) fn high_byte(sample: u16) -> u8 {
    (sample >> 8) as u8
}

fn is_coloured(rgb: &[u8]) -> bool {
    const CHROMA: u8 = 24;
    let darkest = rgb.iter().min().copied().unwrap_or(0);
    let brightest = rgb.iter().max().copied().unwrap_or(0);
    brightest - darkest >= CHROMA
}

/// Rounded ITU-R 601 luma in 16-bit fixed point; the weights add up to 1, so grey stays as it is.
fn luma<T: Copy + Into<u64> + Sync>(samples: &[T], channels: usize) -> Vec<u16> {
    let luma = |pixel: &[T]| match *pixel {
        [red, green, blue, ..] => {
            ((red.into() * 19_595 + green.into() * 38_470 + blue.into() * 7_471 + (1 << 15)) >> 16) as u16
        }
        [grey, ..] => grey.into() as u16,
        [] => 0,
    };
    samples.par_chunks_exact(channels).map(luma).collect()
}

fn alpha<T: Copy + Into<u64>>(samples: &[T], channels: usize) -> Vec<u16> {
    samples
        .chunks_exact(channels)
        .map(|pixel| pixel[channels - 1].into() as u16)
        .collect()
}

/// A share of white in 8 bits.
fn to_byte(share: f64) -> u8 {
    (share * f64::from(u8::MAX)).round() as u8
}

/// A share of white in 16 bits.
fn to_word(share: f64) -> u16 {
    (share * f64::from(u16::MAX)).round() as u16
}

/// Every channel stretched from its smallest to its largest finite value, 0 to 1; what is not a number becomes black.
fn stretched<T: Send>(samples: &[f32], channels: usize, sample_of: fn(f64) -> T) -> Vec<T> {
    let ranges = finite_ranges(samples, channels);
    let stretch = |(index, &sample): (usize, &f32)| {
        // In f64 the span of the largest floats does not overflow.
        let [low, high] = ranges[index % channels];
        if low < high {
            sample_of((f64::from(sample) - low) / (high - low))
        } else {
            sample_of(if sample > 0.0 { 1.0 } else { 0.0 })
        }
    };
    samples.par_iter().enumerate().map(stretch).collect()
}

/// The smallest and largest finite value of each channel; the first above the second where there is none.
fn finite_ranges(samples: &[f32], channels: usize) -> [[f64; 2]; 4] {
    let mut ranges = [[f64::INFINITY, f64::NEG_INFINITY]; 4];
    for pixel in samples.chunks_exact(channels) {
        for ([low, high], &sample) in ranges.iter_mut().zip(pixel) {
            if sample.is_finite() {
                *low = low.min(sample.into());
                *high = high.max(sample.into());
            }
        }
    }
    ranges
}

/// `samples` of an image of `size`, turned upright.
fn oriented<T: Copy + Default + Send + Sync>(
    samples: &[T],
    channels: usize,
    size: ImageSize,
    orientation: Orientation,
) -> Vec<T> {
    /// Upright rows made by one task: their sources lie side by side when the image turns by 90 degrees.
    const ROWS_PER_TASK: usize = 16;

    let (width, height) = (size.width as usize, size.height as usize);
    let upright_width = oriented_size(size, orientation).width as usize;
    // Where the sample at upright column `x`, row `y` lies in the file.
    let source = |x: usize, y: usize| match orientation {
        Orientation::NoTransforms => (x, y),
        Orientation::FlipHorizontal => (width - 1 - x, y),
        Orientation::Rotate180 => (width - 1 - x, height - 1 - y),
        Orientation::FlipVertical => (x, height - 1 - y),
        Orientation::Rotate90FlipH => (y, x),
        Orientation::Rotate90 => (y, height - 1 - x),
        Orientation::Rotate270FlipH => (width - 1 - y, height - 1 - x),
        Orientation::Rotate270 => (width - 1 - y, x),
    };
    let stride = upright_width * channels;
    let mut upright = vec![T::default(); samples.len()];
    upright
        .par_chunks_mut(stride * ROWS_PER_TASK)
        .enumerate()
        .for_each(|(task, rows)| {
            for x in 0..upright_width {
                for (row_index, row) in rows.chunks_exact_mut(stride).enumerate() {
                    let (column, line) = source(x, task * ROWS_PER_TASK + row_index);
                    let from = (line * width + column) * channels;
                    row[x * channels..][..channels].copy_from_slice(&samples[from..][..channels]);
                }
            }
        });
    upright
}
