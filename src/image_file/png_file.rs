//! Writing colour images as PNG, for pages that people look at.

use super::{ImageFileError, RgbImage};
use crate::atomic_file::{AtomicFile, Existing};
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use std::io;
use std::path::Path;

/// Writes `image` to `path` as 8-bit RGB PNG; the file appears whole or not at all, in place of another.
///
/// # Errors
/// [`ImageFileError`] where the folder is missing or may not be written, or the disk is full.
pub fn write_rgb_png(path: &Path, image: &RgbImage) -> Result<(), ImageFileError> {
    encode_rgb_png(image)
        .and_then(|png| AtomicFile::write(path, &png, Existing::Replace))
        .map_err(|error| ImageFileError::from_io(error, path))
}

/// The image as the bytes of an 8-bit RGB PNG file.
///
/// # Errors
/// An image without pixels.
pub fn encode_rgb_png(image: &RgbImage) -> io::Result<Vec<u8>> {
    let mut png = Vec::new();
    let encoded = PngEncoder::new(&mut png).write_image(
        &image.pixels,
        image.size.width,
        image.size.height,
        ExtendedColorType::Rgb8,
    );
    encoded.map_err(io::Error::other)?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ImageSize;
    use crate::image_file::{Limits, read_rgb};

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.png");
        let image = RgbImage {
            size: ImageSize::new(3, 2),
            pixels: (0..18).collect(),
        };
        write_rgb_png(&path, &image).unwrap();
        let read = read_rgb(&path, &Limits::default()).unwrap();
        assert_eq!((read.size, read.pixels), (image.size, image.pixels));
    }
}
