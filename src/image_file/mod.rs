//! Image and mask files in and out, so that everything above sees upright 8-bit pixels or a typed error.
//!
//! The content of a file decides its format, never its name: JPEG, PNG, WebP, BMP and TIFF are read.
//! The EXIF (or TIFF) orientation is applied, so width, height and coordinates are those that a viewer shows.
//! A header that promises more than [`Limits`] allows is refused before anything is allocated for it.

mod decode;
mod error;
mod jpeg_file;
mod mask_file;
mod png_file;
mod raster;
pub mod resize;
mod tiff_file;
pub mod zoom;

use std::fs::{self, File};
use std::io::{BufReader, Read as _, Seek as _};
use std::path::Path;

pub use self::error::ImageFileError;
pub use self::jpeg_file::encode_jpeg;
pub use self::mask_file::{MaskFile, decode_mask, encode_mask_png, read_mask, write_mask_png};
pub use self::png_file::{encode_rgb_png, write_rgb_png};
use crate::geometry::ImageSize;

/// How large a file may be before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest number of pixels, width times height.
    pub max_pixels: u64,
    /// Largest number of bytes, both of the file and of its decoded samples.
    pub max_bytes: u64,
}

impl Limits {
    /// Limits for images of at most `max_pixels`, at up to 8 bytes per pixel.
    #[must_use]
    pub const fn with_max_pixels(max_pixels: u64) -> Self {
        Self {
            max_pixels,
            max_bytes: max_pixels.saturating_mul(8),
        }
    }
}

impl Default for Limits {
    /// 256 megapixels.
    fn default() -> Self {
        Self::with_max_pixels(256_000_000)
    }
}

/// An upright image in 8-bit RGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    /// Width and height, orientation applied.
    pub size: ImageSize,
    /// Rows from the top, pixels from the left, each red, green, blue: `3 * width * height` bytes.
    pub pixels: Vec<u8>,
}

/// An upright image in 16 bits; 65535 is white.
#[derive(Clone, Debug, PartialEq)]
pub struct DeepSamples {
    /// 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Rows from the top, interleaved: `channels * width * height` samples. Samples that have no agreed white, such as
    /// floats, are stretched as [`read_rgb`] does it.
    pub values: Vec<u16>,
    /// What 0 and 65535 stand for in the file, for each channel.
    pub ranges: Vec<[f64; 2]>,
    /// Whether the file has whole numbers only.
    pub is_whole: bool,
}

/// An upright image in the forms that the window needs.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedImage {
    /// What the network sees.
    pub rgb: RgbImage,
    /// The samples of a file with more than 8 bits.
    pub deep: Option<DeepSamples>,
}

/// Reads the image at `path`, upright and in 8-bit RGB.
///
/// Samples become 8-bit the way Pillow's `convert("RGB")` does it: transparency is dropped (the colours stored under
/// it show), grey is repeated, 16-bit samples keep their high byte (grey ones too, which Pillow clips).
/// TIFF samples of any other depth than 8 bits have no agreed white, so every channel is stretched from its smallest
/// to its largest finite value; a channel of one value is white, or black where that value is 0.
///
/// # Errors
/// [`ImageFileError`], whatever the bytes are.
pub fn read_rgb(path: &Path, limits: &Limits) -> Result<RgbImage, ImageFileError> {
    decode_rgb(&read_bytes(path, limits)?, path, limits)
}

/// [`read_rgb`] for a file already in memory; `path` is only named in errors.
///
/// # Errors
/// [`ImageFileError`], whatever the bytes are.
pub fn decode_rgb(bytes: &[u8], path: &Path, limits: &Limits) -> Result<RgbImage, ImageFileError> {
    Ok(decode::raster(bytes, path, limits)?.into_rgb())
}

/// [`decode_rgb`] with the finer samples of the file, where it has them, for looking at them.
///
/// # Errors
/// [`ImageFileError`], whatever the bytes are.
pub fn decode(bytes: &[u8], path: &Path, limits: &Limits) -> Result<DecodedImage, ImageFileError> {
    let raster = decode::raster(bytes, path, limits)?;
    Ok(DecodedImage {
        deep: raster.deep(),
        rgb: raster.into_rgb(),
    })
}

/// The bytes of an image file, for a caller that needs them besides the pixels (to hash them, say).
///
/// # Errors
/// [`ImageFileError`] for what is no readable file, has no bytes or more than `limits` allow.
pub fn read_bytes(path: &Path, limits: &Limits) -> Result<Vec<u8>, ImageFileError> {
    let in_file = |source| ImageFileError::from_io(source, path);
    let file = open(path)?;
    let too_many = || ImageFileError::TooManyBytes {
        max_bytes: limits.max_bytes,
        path: path.to_path_buf(),
    };
    let length = file.metadata().map_err(in_file)?.len();
    if length > limits.max_bytes {
        return Err(too_many());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    // The file may still be growing, so the limit holds while reading too.
    file.take(limits.max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(in_file)?;
    if bytes.len() as u64 > limits.max_bytes {
        return Err(too_many());
    }
    Ok(bytes)
}

/// Width and height of the upright image at `path`, from its header alone.
///
/// # Errors
/// [`ImageFileError`] for what is no readable file or has no readable header.
pub fn read_size(path: &Path) -> Result<ImageSize, ImageFileError> {
    /// Holds the header of nearly every JPEG, whose decoder would otherwise read the whole file.
    const HEADER_BYTES: u64 = 256 * 1024;

    let in_file = |source| ImageFileError::from_io(source, path);
    let mut file = open(path)?;
    let mut start = Vec::new();
    file.by_ref()
        .take(HEADER_BYTES)
        .read_to_end(&mut start)
        .map_err(in_file)?;
    match decode::upright_size(std::io::Cursor::new(start.as_slice()), &start, path) {
        Ok(size) => Ok(size),
        Err(error) if (start.len() as u64) < HEADER_BYTES => Err(error),
        Err(_) => {
            file.rewind().map_err(in_file)?;
            decode::upright_size(BufReader::new(file), &start, path)
        }
    }
}

/// Opens an ordinary file; a pipe is refused before it could block.
fn open(path: &Path) -> Result<File, ImageFileError> {
    let in_file = |source| ImageFileError::from_io(source, path);
    let kind = fs::metadata(path).map_err(in_file)?;
    if kind.is_dir() {
        return Err(ImageFileError::IsFolder {
            path: path.to_path_buf(),
        });
    }
    if !kind.is_file() {
        return Err(ImageFileError::NotAFile {
            path: path.to_path_buf(),
        });
    }
    if kind.len() == 0 {
        return Err(ImageFileError::EmptyFile {
            path: path.to_path_buf(),
        });
    }
    File::open(path).map_err(in_file)
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
