//! RGB images as PNG, for pictures that are looked at.

use std::io;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use super::RgbImage;

/// `image` as the bytes of an 8-bit PNG file.
///
/// # Errors
/// If the pixels do not fit the size.
pub fn encode_rgb_png(image: &RgbImage) -> io::Result<Vec<u8>> {
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&image.pixels, image.size.width, image.size.height, ExtendedColorType::Rgb8)
        .map_err(io::Error::other)?;
    Ok(png)
}
