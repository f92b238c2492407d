//! TIFF in every depth: `image` reads no single-channel float and no signed samples, so the decoder is used directly.

use std::io::{Cursor, Read, Seek};

use image::metadata::Orientation;
use rayon::prelude::*;
use tiff::decoder::{BufferLayoutPreference, Decoder, DecodingResult};
use tiff::tags::{ExtraSamples, Tag};
use tiff::{ColorType, TiffError};

use super::decode::{Source, oriented_size};
use super::raster::{Raster, Samples};
use super::{ImageFileError, Limits};
use crate::geometry::ImageSize;

/// The first page of a TIFF file, upright.
pub(super) fn raster(bytes: &[u8], source: Source<'_>, limits: &Limits) -> Result<Raster, ImageFileError> {
    let undecodable = |error| undecodable(error, source, limits);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(undecodable)?;
    let size = source.checked_size(decoder.dimensions().map_err(undecodable)?)?;
    let orientation = orientation(&mut decoder);
    let layout = Layout::of(&mut decoder, source, limits)?;
    let buffers = decoder.image_buffer_layout().map_err(undecodable)?;
    source.check_limits(size, buffers.complete_len as u64, limits)?;
    let mut decoder = decoder.with_limits(decoder_limits(limits));
    let mut decoded = DecodingResult::U8(Vec::new());
    decoder.read_image_to_buffer(&mut decoded).map_err(undecodable)?;
    let samples = layout
        .samples(decoded, size, &buffers)
        .ok_or_else(|| source.damaged("samples are missing"))?;
    Ok(Raster {
        size,
        channels: layout.kept,
        samples,
    }
    .oriented(orientation))
}

/// The size of the upright first page.
pub(super) fn upright_size<R: Read + Seek>(
    reader: R,
    source: Source<'_>,
) -> Result<ImageSize, ImageFileError> {
    let undecodable = |error| undecodable(error, source, &Limits::default());
    let mut decoder = Decoder::new(reader).map_err(undecodable)?;
    let size = source.checked_size(decoder.dimensions().map_err(undecodable)?)?;
    Ok(oriented_size(size, orientation(&mut decoder)))
}

fn orientation<R: Read + Seek>(decoder: &mut Decoder<R>) -> Orientation {
    let tag = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    tag.and_then(Orientation::from_exif)
        .unwrap_or(Orientation::NoTransforms)
}

fn decoder_limits(limits: &Limits) -> tiff::decoder::Limits {
    let max_bytes = usize::try_from(limits.max_bytes).unwrap_or(usize::MAX);
    let mut decoder_limits = tiff::decoder::Limits::default();
    decoder_limits.decoding_buffer_size = max_bytes;
    decoder_limits.intermediate_buffer_size = max_bytes;
    decoder_limits
}

fn undecodable(error: TiffError, source: Source<'_>, limits: &Limits) -> ImageFileError {
    match error {
        TiffError::LimitsExceeded => source.too_many_bytes(limits),
        TiffError::UnsupportedError(error) => source.unsupported(error),
        TiffError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            source.damaged("the data ends too early")
        }
        other => source.damaged(other),
    }
}

/// How the samples of a file become the channels of a raster.
struct Layout {
    /// Samples per pixel in the file.
    stored: usize,
    /// Leading channels that are kept: grey or RGB, with alpha where the file says so.
    kept: usize,
    /// Bits per sample.
    bits: u8,
    is_cmyk: bool,
}

impl Layout {
    fn of<R: Read + Seek>(
        decoder: &mut Decoder<R>,
        source: Source<'_>,
        limits: &Limits,
    ) -> Result<Self, ImageFileError> {
        let color = decoder
            .colortype()
            .map_err(|error| undecodable(error, source, limits))?;
        let (stored, kept, is_cmyk) = match color {
            ColorType::Gray(_) => (1, 1, false),
            ColorType::GrayA(_) => (2, 2, false),
            ColorType::RGB(_) => (3, 3, false),
            ColorType::RGBA(_) => (4, 4, false),
            ColorType::CMYK(8) => (4, 3, true),
            // Extra samples of a grey image: alpha where the tag says so, else the first three bands as RGB.
            ColorType::Multiband { num_samples: 2, .. } => (2, if has_alpha(decoder) { 2 } else { 1 }, false),
            ColorType::Multiband { num_samples: 3, .. } => (3, 3, false),
            ColorType::Multiband { num_samples: 4, .. } => (4, if has_alpha(decoder) { 4 } else { 3 }, false),
            other => return Err(source.unsupported(format!("{other:?} samples are not read"))),
        };
        let bits = color.bit_depth();
        if bits < 8 && stored != 1 {
            return Err(source.unsupported(format!("{stored} channels of {bits} bits are not read")));
        }
        Ok(Self {
            stored,
            kept,
            bits,
            is_cmyk,
        })
    }

    /// The kept channels, interleaved; `None` where the decoder gave fewer samples than the image has.
    fn samples(
        &self,
        decoded: DecodingResult,
        size: ImageSize,
        buffers: &BufferLayoutPreference,
    ) -> Option<Samples> {
        let pixels = usize::try_from(size.area()).ok()?;
        let measured = |samples: Vec<f32>| self.interleaved(samples, pixels, buffers).map(Samples::Measured);
        match decoded {
            DecodingResult::U8(samples) if self.bits < 8 => {
                unpacked(&samples, self.bits, size).map(Samples::U8)
            }
            DecodingResult::U8(samples) if self.is_cmyk => {
                let samples = self.interleaved(samples, pixels, buffers)?;
                Some(Samples::U8(rgb_from_cmyk(&samples)))
            }
            DecodingResult::U8(samples) => self.interleaved(samples, pixels, buffers).map(Samples::U8),
            DecodingResult::U16(samples) => measured(floats(samples, f32::from)),
            DecodingResult::U32(samples) => measured(floats(samples, |sample| sample as f32)),
            DecodingResult::U64(samples) => measured(floats(samples, |sample| sample as f32)),
            DecodingResult::I8(samples) => measured(floats(samples, f32::from)),
            DecodingResult::I16(samples) => measured(floats(samples, f32::from)),
            DecodingResult::I32(samples) => measured(floats(samples, |sample| sample as f32)),
            DecodingResult::I64(samples) => measured(floats(samples, |sample| sample as f32)),
            DecodingResult::F16(samples) => measured(floats(samples, f32::from)),
            DecodingResult::F32(samples) => measured(samples),
            DecodingResult::F64(samples) => measured(floats(samples, |sample| sample as f32)),
        }
    }

    fn interleaved<T: Copy>(
        &self,
        samples: Vec<T>,
        pixels: usize,
        buffers: &BufferLayoutPreference,
    ) -> Option<Vec<T>> {
        let kept = if self.is_cmyk { self.stored } else { self.kept };
        if buffers.planes > 1 {
            let planes: Vec<&[T]> = samples.chunks_exact(pixels).take(kept).collect();
            if planes.len() < kept {
                return None;
            }
            return Some(
                (0..pixels)
                    .flat_map(|pixel| planes.iter().map(move |plane| plane[pixel]))
                    .collect(),
            );
        }
        if samples.len() != pixels * self.stored {
            return None;
        }
        if kept == self.stored {
            return Some(samples);
        }
        Some(
            samples
                .chunks_exact(self.stored)
                .flat_map(|pixel| &pixel[..kept])
                .copied()
                .collect(),
        )
    }
}

fn has_alpha<R: Read + Seek>(decoder: &mut Decoder<R>) -> bool {
    let kinds = decoder
        .find_tag_unsigned_vec::<u16>(Tag::ExtraSamples)
        .ok()
        .flatten()
        .unwrap_or_default();
    let alpha = [ExtraSamples::AssociatedAlpha, ExtraSamples::UnassociatedAlpha];
    kinds
        .last()
        .is_some_and(|&kind| alpha.iter().any(|alpha| alpha.to_u16() == kind))
}

fn floats<T: Send>(samples: Vec<T>, convert: fn(T) -> f32) -> Vec<f32> {
    samples.into_par_iter().map(convert).collect()
}

/// Samples of 1 to 7 bits, whose rows are packed into whole bytes, spread over 0 to 255.
fn unpacked(packed: &[u8], bits: u8, size: ImageSize) -> Option<Vec<u8>> {
    let bits = usize::from(bits);
    let width = size.width as usize;
    let row_bytes = (width * bits).div_ceil(8);
    let white = (1 << bits) - 1;
    if bits == 0 || packed.len() != row_bytes * size.height as usize {
        return None;
    }
    let sample = |row: &[u8], x: usize| {
        // A sample may straddle two bytes.
        let first = x * bits / 8;
        let pair = u16::from_be_bytes([row[first], row.get(first + 1).copied().unwrap_or(0)]);
        let value = (pair >> (16 - bits - x * bits % 8)) & white;
        (value * 255 / white) as u8
    };
    Some(
        packed
            .chunks_exact(row_bytes)
            .flat_map(|row| (0..width).map(move |x| sample(row, x)))
            .collect(),
    )
}

/// The plain conversion that Pillow makes: no colour profile, black ink scales the light that the colours leave.
fn rgb_from_cmyk(samples: &[u8]) -> Vec<u8> {
    let light = |ink: u8, black: u8| {
        let product = u32::from(255 - ink) * u32::from(255 - black) + 128;
        (((product >> 8) + product) >> 8) as u8
    };
    let pixels = samples.as_chunks().0;
    pixels
        .iter()
        .flat_map(|&[c, m, y, k]: &[u8; 4]| [light(c, k), light(m, k), light(y, k)])
        .collect()
}
