//! From the bytes of a file to a [`Raster`]: recognises the format, checks the limits, calls the decoder.

use std::io::{self, BufRead, Cursor, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use super::raster::{Raster, Samples};
use super::{ImageFileError, Limits, tiff_file};
use crate::geometry::ImageSize;

/// Where the bytes came from: the context of every error here.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) format: &'static str,
    pub(super) path: &'a Path,
}

/// The upright samples of an image file, in the depth of the file.
pub(super) fn raster(bytes: &[u8], path: &Path, limits: &Limits) -> Result<Raster, ImageFileError> {
    let (format, source) = recognise(bytes, path)?;
    match format {
        ImageFormat::Tiff => tiff_file::raster(bytes, source, limits),
        ImageFormat::Jpeg if !jpeg_is_complete(bytes) => Err(source.damaged("the data ends too early")),
        _ => decode(bytes, format, source, limits),
    }
}

/// The size of the upright image that `reader` starts; `start` is enough of it to tell the format.
pub(super) fn upright_size<R: BufRead + Seek>(
    reader: R,
    start: &[u8],
    path: &Path,
) -> Result<ImageSize, ImageFileError> {
    let (format, source) = recognise(start, path)?;
    if format == ImageFormat::Tiff {
        return tiff_file::upright_size(reader, source);
    }
    let limits = Limits::default();
    let mut decoder = open(reader, format, &limits).map_err(|error| source.undecodable(error, &limits))?;
    let size = source.checked_size(decoder.dimensions())?;
    Ok(oriented_size(size, orientation(&mut decoder)))
}

/// `size` after the image was turned upright.
pub(super) fn oriented_size(size: ImageSize, orientation: Orientation) -> ImageSize {
    match orientation {
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => size,
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => ImageSize::new(size.height, size.width),
    }
}

fn recognise<'a>(bytes: &[u8], path: &'a Path) -> Result<(ImageFormat, Source<'a>), ImageFileError> {
    let unknown = |found| ImageFileError::UnknownFormat {
        found,
        path: path.to_path_buf(),
    };
    if bytes.is_empty() {
        return Err(ImageFileError::EmptyFile {
            path: path.to_path_buf(),
        });
    }
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) => Ok((ImageFormat::Jpeg, Source { format: "JPEG", path })),
        Ok(ImageFormat::Png) => {
            let source = Source { format: "PNG", path };
            if png_palette_is_whole(bytes) {
                Ok((ImageFormat::Png, source))
            } else {
                Err(source.damaged("its palette has a wrong length"))
            }
        }
        Ok(ImageFormat::Bmp) => Ok((ImageFormat::Bmp, Source { format: "BMP", path })),
        Ok(ImageFormat::WebP) => Ok((ImageFormat::WebP, Source { format: "WebP", path })),
        Ok(ImageFormat::Tiff) => Ok((ImageFormat::Tiff, Source { format: "TIFF", path })),
        // A BigTIFF header is not among the known signatures.
        _ if bytes.starts_with(b"II\x2b\0") || bytes.starts_with(b"MM\0\x2b") => {
            Ok((ImageFormat::Tiff, Source { format: "TIFF", path }))
        }
        Ok(ImageFormat::Gif) => Err(unknown("this is a GIF image")),
        _ if bytes.get(4..8) == Some(b"ftyp") => Err(unknown("this is a HEIC, AVIF or video file")),
        _ if bytes.starts_with(b"%PDF") => Err(unknown("this is a PDF document")),
        _ => Err(unknown("this is no image that can be read")),
    }
}

fn open<'a, R: BufRead + Seek + 'a>(
    reader: R,
    format: ImageFormat,
    limits: &Limits,
) -> Result<impl ImageDecoder + 'a, ImageError> {
    let mut reader = ImageReader::with_format(reader, format);
    let mut decoder_limits = image::Limits::no_limits();
    decoder_limits.max_alloc = Some(limits.max_bytes);
    reader.limits(decoder_limits);
    reader.into_decoder()
}

/// Metadata that cannot be read counts as no orientation, as in every viewer.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

fn decode(
    bytes: &[u8],
    format: ImageFormat,
    source: Source<'_>,
    limits: &Limits,
) -> Result<Raster, ImageFileError> {
    let undecodable = |error| source.undecodable(error, limits);
    let mut decoder = open(Cursor::new(bytes), format, limits).map_err(undecodable)?;
    let size = source.checked_size(decoder.dimensions())?;
    source.check_limits(size, decoder.total_bytes(), limits)?;
    let orientation = orientation(&mut decoder);
    let image = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    let channels = usize::from(image.color().channel_count());
    let samples = match image {
        DynamicImage::ImageLuma8(image) => Samples::U8(image.into_raw()),
        DynamicImage::ImageLumaA8(image) => Samples::U8(image.into_raw()),
        DynamicImage::ImageRgb8(image) => Samples::U8(image.into_raw()),
        DynamicImage::ImageRgba8(image) => Samples::U8(image.into_raw()),
        DynamicImage::ImageLuma16(image) => Samples::U16(image.into_raw()),
        DynamicImage::ImageLumaA16(image) => Samples::U16(image.into_raw()),
        DynamicImage::ImageRgb16(image) => Samples::U16(image.into_raw()),
        DynamicImage::ImageRgba16(image) => Samples::U16(image.into_raw()),
        other => return Err(source.unsupported(format!("it has {:?} samples", other.color()))),
    };
    Ok(Raster {
        size,
        channels,
        samples,
    }
    .oriented(orientation))
}

/// Whether the palette of a PNG, if it has one, is made of 1 to 256 whole colours; the decoder panics on others.
fn png_palette_is_whole(bytes: &[u8]) -> bool {
    const SIGNATURE_BYTES: usize = 8;
    const CRC_BYTES: usize = 4;
    let mut rest = bytes.get(SIGNATURE_BYTES..).unwrap_or_default();
    while let Some((&[a, b, c, d, kind @ ..], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        match &kind {
            b"PLTE" => return length.is_multiple_of(3) && (3..=768).contains(&length),
            b"IDAT" => return true,
            _ => rest = after.get(length.saturating_add(CRC_BYTES)..).unwrap_or_default(),
        }
    }
    true
}

/// Whether the entropy-coded data of a JPEG runs up to an end-of-image marker.
///
/// The decoder fills what is missing with grey, which would pass for a photograph.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xD9;
    let mut rest = bytes;
    loop {
        let Some(at) = rest
            .windows(2)
            .position(|pair| pair[0] == 0xFF && pair[1] != 0 && pair[1] != 0xFF)
        else {
            return false;
        };
        let (_, segment) = rest.split_at(at + 2);
        let marker = rest[at + 1];
        rest = match marker {
            END_OF_IMAGE => return true,
            // Start of image, restarts and the reserved marker 1 stand alone; all others carry their length.
            0x01 | 0xD0..=0xD8 => segment,
            _ => {
                let Some((&[high, low], _)) = segment.split_first_chunk() else {
                    return false;
                };
                let Some(after) = segment.get(usize::from(u16::from_be_bytes([high, low]))..) else {
                    return false;
                };
                after
            }
        };
    }
}

impl Source<'_> {
    pub(super) fn damaged(self, reason: impl ToString) -> ImageFileError {
        let reason = one_line(&reason.to_string());
        ImageFileError::Damaged {
            format: self.format,
            reason,
            path: self.path.to_path_buf(),
        }
    }

    pub(super) fn unsupported(self, reason: impl ToString) -> ImageFileError {
        let reason = one_line(&reason.to_string());
        ImageFileError::Unsupported {
            format: self.format,
            reason,
            path: self.path.to_path_buf(),
        }
    }

    pub(super) fn too_many_bytes(self, limits: &Limits) -> ImageFileError {
        ImageFileError::TooManyBytes {
            max_bytes: limits.max_bytes,
            path: self.path.to_path_buf(),
        }
    }

    pub(super) fn checked_size(self, (width, height): (u32, u32)) -> Result<ImageSize, ImageFileError> {
        if width == 0 || height == 0 {
            return Err(self.damaged("it has no pixels"));
        }
        Ok(ImageSize::new(width, height))
    }

    pub(super) fn check_limits(
        self,
        size: ImageSize,
        decoded_bytes: u64,
        limits: &Limits,
    ) -> Result<(), ImageFileError> {
        if size.area() > limits.max_pixels {
            let max_pixels = limits.max_pixels;
            return Err(ImageFileError::TooManyPixels {
                size,
                max_pixels,
                path: self.path.to_path_buf(),
            });
        }
        if decoded_bytes > limits.max_bytes {
            Err(self.too_many_bytes(limits))
        } else {
            Ok(())
        }
    }

    fn undecodable(self, error: ImageError, limits: &Limits) -> ImageFileError {
        match error {
            ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.damaged("the data ends too early")
            }
            ImageError::Limits(_) => self.too_many_bytes(limits),
            ImageError::Unsupported(error) => self.unsupported(error),
            other => self.damaged(other),
        }
    }
}

/// Decoders word their messages over several lines at times; ours take one.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}
