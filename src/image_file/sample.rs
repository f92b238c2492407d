//! Small image files made in memory, so that the tests of this module need no files from elsewhere.

use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageFormat};

use super::{ImageFileError, Limits, RgbImage, decode_rgb};

/// `image` encoded as `format`.
pub(super) fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A coloured `width` x `height` image without symmetry: red grows to the right, green downwards.
pub(super) fn gradient(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([
            (x * 255 / width) as u8,
            (y * 255 / height) as u8,
            ((x ^ y) * 16) as u8,
        ])
    }))
}

/// One small file of every kind of decoder path, with the name of its format.
pub(super) fn one_of_each() -> Vec<(&'static str, Vec<u8>)> {
    let image = gradient(21, 13);
    let rgba = DynamicImage::ImageRgba8(image.to_rgba8());
    vec![
        ("JPEG", encoded(&image, ImageFormat::Jpeg)),
        ("PNG", encoded(&image, ImageFormat::Png)),
        (
            "PNG",
            encoded(&DynamicImage::ImageRgba16(image.to_rgba16()), ImageFormat::Png),
        ),
        ("PNG", palette_png()),
        ("WebP", encoded(&rgba, ImageFormat::WebP)),
        ("WebP", LOSSY_WEBP.to_vec()),
        ("BMP", encoded(&image, ImageFormat::Bmp)),
        ("TIFF", encoded(&image, ImageFormat::Tiff)),
        (
            "TIFF",
            encoded(&DynamicImage::ImageRgb32F(image.to_rgb32f()), ImageFormat::Tiff),
        ),
        (
            "TIFF",
            Tiff::grey(4, 3, 1, 1).file(&[0b0110_0000, 0b1001_0000, 0b1111_0000]),
        ),
    ]
}

/// A lossy WebP of 8 x 8 pixels: the encoder at hand writes only lossless ones.
const LOSSY_WEBP: &[u8] = &[
    0x52, 0x49, 0x46, 0x46, 0x3E, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50, 0x38, 0x20, 0x32,
    0x00, 0x00, 0x00, 0xD0, 0x01, 0x00, 0x9D, 0x01, 0x2A, 0x08, 0x00, 0x08, 0x00, 0x04, 0x00, 0x68, 0x25,
    0xB0, 0x02, 0x74, 0x00, 0xF4, 0xAE, 0xC6, 0xC9, 0x00, 0x00, 0xFE, 0xE9, 0xFD, 0x36, 0xB0, 0xC4, 0xA0,
    0x14, 0xFE, 0xD3, 0x80, 0xE1, 0xA8, 0x7B, 0xA7, 0xFC, 0xCF, 0xFE, 0xE4, 0xD3, 0x4F, 0x8F, 0xB9, 0x18,
    0x00, 0x00,
];

pub(super) fn decoded(bytes: &[u8]) -> Result<RgbImage, ImageFileError> {
    decode_rgb(bytes, Path::new("sample"), &Limits::default())
}

/// A PNG of 2 x 2 pixels with a palette of 3 colours, 2 bits a pixel, the second colour transparent.
pub(super) fn palette_png() -> Vec<u8> {
    let mut png = PNG_SIGNATURE.to_vec();
    png.extend(png_chunk(*b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 2, 2, 3, 0, 0, 0]));
    png.extend(png_chunk(*b"PLTE", &[10, 20, 30, 200, 100, 50, 0, 255, 0]));
    png.extend(png_chunk(*b"tRNS", &[255, 0, 255]));
    // Stored, not compressed: two rows of a filter byte and one byte of pixels (0 1 / 2 0).
    let rows = [0, 0b0001_0000, 0, 0b1000_0000];
    let mut stream = vec![0x78, 0x01, 1, 4, 0, 0xFB, 0xFF];
    stream.extend(rows);
    stream.extend(adler32(&rows).to_be_bytes());
    png.extend(png_chunk(*b"IDAT", &stream));
    png.extend(png_chunk(*b"IEND", &[]));
    png
}

pub(super) const PNG_SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// A PNG chunk: length, kind, data, CRC.
pub(super) fn png_chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut chunk = (data.len() as u32).to_be_bytes().to_vec();
    chunk.extend(kind);
    chunk.extend(data);
    let crc = chunk[4..].iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    });
    chunk.extend((!crc).to_be_bytes());
    chunk
}

fn adler32(bytes: &[u8]) -> u32 {
    let (low, high) = bytes.iter().fold((1_u32, 0_u32), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % 65521;
        (low, (high + low) % 65521)
    });
    (high << 16) | low
}

/// The EXIF block that holds an orientation and nothing else.
pub(super) fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01".to_vec();
    exif.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0]);
    exif.extend([0; 4]);
    exif
}

/// `jpeg` with an EXIF orientation, as a camera writes it: in an APP1 segment after the start of image.
pub(super) fn jpeg_with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let block = [b"Exif\0\0".as_slice(), &exif(orientation)].concat();
    let length = (block.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xFF, 0xE1], &length, &block, &jpeg[2..]].concat()
}

/// A little-endian, uncompressed TIFF of one strip, described by its tags.
pub(super) struct Tiff {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) bits: u16,
    pub(super) samples: u16,
    /// 1 unsigned, 2 signed, 3 float.
    pub(super) sample_format: u16,
    /// 1 black is zero, 2 RGB, 5 CMYK.
    pub(super) photometric: u16,
    pub(super) orientation: u16,
}

impl Tiff {
    pub(super) fn grey(width: u16, height: u16, bits: u16, sample_format: u16) -> Self {
        Self {
            width,
            height,
            bits,
            samples: 1,
            sample_format,
            photometric: 1,
            orientation: 1,
        }
    }

    /// The file with `data` as its only strip.
    pub(super) fn file(&self, data: &[u8]) -> Vec<u8> {
        let repeated = |value: u16| vec![u32::from(value); usize::from(self.samples)];
        let tags: Vec<(u16, Vec<u32>)> = vec![
            (256, vec![self.width.into()]),
            (257, vec![self.height.into()]),
            (258, repeated(self.bits)),
            (259, vec![1]),
            (262, vec![self.photometric.into()]),
            (273, vec![8]),
            (274, vec![self.orientation.into()]),
            (277, vec![self.samples.into()]),
            (278, vec![self.height.into()]),
            (279, vec![data.len() as u32]),
            (339, repeated(self.sample_format)),
        ];
        let directory = 8 + data.len().next_multiple_of(2);
        let mut overflow_at = directory + 2 + tags.len() * 12 + 4;
        let mut file = b"II\x2a\0".to_vec();
        file.extend((directory as u32).to_le_bytes());
        file.extend(data);
        file.resize(directory, 0);
        file.extend((tags.len() as u16).to_le_bytes());
        let mut overflow = Vec::new();
        for (tag, values) in tags {
            file.extend(tag.to_le_bytes());
            file.extend(4_u16.to_le_bytes());
            file.extend((values.len() as u32).to_le_bytes());
            let value_bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            if values.len() == 1 {
                file.extend(value_bytes);
            } else {
                file.extend((overflow_at as u32).to_le_bytes());
                overflow_at += value_bytes.len();
                overflow.extend(value_bytes);
            }
        }
        file.extend([0; 4]);
        file.extend(overflow);
        file
    }
}
