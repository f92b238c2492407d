//! Writing JPEG, for crops that go into training data beside photographs.

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use super::RgbImage;

/// Fine enough that a crop, often enlarged, shows no blocks of its own.
const QUALITY: u8 = 95;

/// The image as the bytes of a JPEG file; `None` for one without pixels or with a side of more than 65,535.
#[must_use]
pub fn encode_jpeg(image: &RgbImage) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let size = image.size;
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    encoder
        .write_image(&image.pixels, size.width, size.height, ExtendedColorType::Rgb8)
        .ok()?;
    (size.area() > 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ImageSize;
    use crate::image_file::{Limits, decode_rgb};
    use std::path::Path;

    #[test]
    fn a_written_jpeg_reads_back_nearly_the_same() {
        let size = ImageSize::new(40, 30);
        let pixels: Vec<u8> = (0..30u32)
            .flat_map(|y| (0..40u32).flat_map(move |x| [x * 6, y * 8, 128].map(|v| v as u8)))
            .collect();
        let image = RgbImage { size, pixels };
        let bytes = encode_jpeg(&image).unwrap();
        let read = decode_rgb(&bytes, Path::new("a.jpg"), &Limits::default()).unwrap();
        assert_eq!(read.size, size);
        assert!(
            read.pixels
                .iter()
                .zip(&image.pixels)
                .all(|(a, b)| a.abs_diff(*b) < 12)
        );
        let none = RgbImage {
            size: ImageSize::new(0, 3),
            pixels: Vec::new(),
        };
        assert_eq!(encode_jpeg(&none), None);
    }
}
