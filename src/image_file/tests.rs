//! Tests of reading: formats, orientation, limits, and bytes that are no image.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use image::{DynamicImage, ImageFormat};
use proptest::prelude::*;

use super::sample::{
    PNG_SIGNATURE, Tiff, decoded, encoded, exif, gradient, jpeg_with_orientation, one_of_each, palette_png,
    png_chunk,
};
use super::*;

fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn every_depth_becomes_the_documented_rgb() {
    let png16 =
        image::ImageBuffer::from_vec(2, 1, vec![0x12FF_u16, 0x80, 0xFFFF, 0, 0x7FFF, 0x0100]).unwrap();
    let grey_alpha = image::ImageBuffer::from_vec(2, 1, vec![9_u8, 0, 200, 255]).unwrap();
    let rgba = image::ImageBuffer::from_vec(1, 1, vec![1_u8, 2, 3, 0]).unwrap();
    let rgb_tiff = |bits, sample_format, photometric, samples| Tiff {
        samples,
        photometric,
        ..Tiff::grey(2, 1, bits, sample_format)
    };
    let grey_pixels = |values: &[u8]| values.iter().flat_map(|&value| [value; 3]).collect::<Vec<_>>();
    let cases: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        (
            "16-bit PNG keeps the high byte",
            encoded(&DynamicImage::ImageRgb16(png16), ImageFormat::Png),
            vec![0x12, 0, 0xFF, 0, 0x7F, 1],
        ),
        (
            "alpha is dropped from grey",
            encoded(&DynamicImage::ImageLumaA8(grey_alpha), ImageFormat::Png),
            grey_pixels(&[9, 200]),
        ),
        (
            "alpha is dropped from RGB",
            encoded(&DynamicImage::ImageRgba8(rgba.clone()), ImageFormat::Png),
            vec![1, 2, 3],
        ),
        (
            "alpha is dropped from WebP",
            encoded(
                &DynamicImage::ImageRgba8(image::ImageBuffer::from_vec(1, 1, vec![7, 8, 9, 50]).unwrap()),
                ImageFormat::WebP,
            ),
            vec![7, 8, 9],
        ),
        (
            "palette PNG",
            palette_png(),
            vec![10, 20, 30, 200, 100, 50, 0, 255, 0, 10, 20, 30],
        ),
        (
            "bilevel TIFF",
            Tiff::grey(10, 2, 1, 1).file(&[0b1010_0000, 0b0100_0000, 0, 0b1000_0000]),
            grey_pixels(&[255, 0, 255, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 0, 255, 0]),
        ),
        (
            "4-bit TIFF",
            Tiff::grey(3, 1, 4, 1).file(&[0x0F, 0x80]),
            grey_pixels(&[0, 255, 136]),
        ),
        (
            "16-bit TIFF is stretched",
            Tiff::grey(3, 1, 16, 1).file(&[100, 0, 200, 0, 0x2C, 1]),
            grey_pixels(&[0, 128, 255]),
        ),
        (
            "signed 16-bit TIFF is stretched",
            Tiff::grey(2, 1, 16, 2).file(&[0xFF, 0xFF, 1, 0]),
            grey_pixels(&[0, 255]),
        ),
        (
            "float TIFF: what is not finite does not count",
            Tiff::grey(5, 1, 32, 3).file(&le_bytes(&[
                f32::NAN,
                -1.0,
                f32::INFINITY,
                3.0,
                f32::NEG_INFINITY,
            ])),
            grey_pixels(&[0, 0, 255, 255, 0]),
        ),
        (
            "float TIFF of the largest span",
            Tiff::grey(3, 1, 32, 3).file(&le_bytes(&[f32::MIN, 0.0, f32::MAX])),
            grey_pixels(&[0, 128, 255]),
        ),
        (
            "float TIFF of one value",
            Tiff::grey(2, 1, 32, 3).file(&le_bytes(&[0.5, 0.5])),
            grey_pixels(&[255, 255]),
        ),
        (
            "float RGB TIFF is stretched per channel",
            rgb_tiff(32, 3, 2, 3).file(&le_bytes(&[0.0, 10.0, -5.0, 1.0, 20.0, -5.0])),
            vec![0, 0, 0, 255, 255, 0],
        ),
        (
            "8-bit TIFF is kept as it is",
            rgb_tiff(8, 1, 2, 3).file(&[1, 2, 3, 4, 5, 6]),
            vec![1, 2, 3, 4, 5, 6],
        ),
        (
            "three grey bands are red, green, blue",
            rgb_tiff(8, 1, 1, 3).file(&[1, 2, 3, 4, 5, 6]),
            vec![1, 2, 3, 4, 5, 6],
        ),
        (
            "CMYK TIFF",
            rgb_tiff(8, 1, 5, 4).file(&[0, 0, 0, 0, 255, 0, 128, 51]),
            vec![255, 255, 255, 0, 204, 102],
        ),
    ];
    for (what, file, expected) in cases {
        let image = decoded(&file).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(image.pixels, expected, "{what}");
        assert_eq!(image.pixels.len() as u64, image.size.area() * 3, "{what}");
    }
}

#[test]
fn fine_samples_are_kept_for_looking_at() {
    let deep = |bytes: &[u8]| {
        decode(bytes, Path::new("sample"), &Limits::default())
            .unwrap()
            .deep
    };
    let pixel = image::Rgba([1_u16, 256, 65535, 7]);
    let png = DynamicImage::ImageRgba16(image::ImageBuffer::from_pixel(1, 1, pixel));
    let png = deep(&encoded(&png, ImageFormat::Png)).unwrap();
    assert_eq!((png.channels, &png.values[..]), (3, &[1, 256, 65535][..]));
    assert_eq!(png.ranges, [[0.0, 65535.0]; 3]);
    // Twelve bits of a camera: the whole range is used, and the file's numbers can be told.
    let tiff = Tiff::grey(3, 1, 16, 1).file(&[100, 0, 200, 0, 0, 16]);
    let tiff = deep(&tiff).unwrap();
    assert_eq!((tiff.channels, tiff.values[0], tiff.values[2]), (1, 0, 65535));
    assert_eq!((&tiff.ranges[..], tiff.is_whole), (&[[100.0, 4096.0]][..], true));
    let float = deep(&Tiff::grey(2, 1, 32, 3).file(&le_bytes(&[-0.5, 2.0]))).unwrap();
    assert_eq!((&float.values[..], float.is_whole), (&[0, 65535][..], false));
    assert_eq!(deep(&encoded(&gradient(3, 3), ImageFormat::Png)), None);
}

#[test]
fn every_exif_orientation_is_applied() {
    // Four flat quarters survive JPEG: dark grey, light grey / mid grey, white, on 32 x 16 pixels.
    let quarters = image::GrayImage::from_fn(32, 16, |x, y| {
        image::Luma([[[20, 180], [100, 250]][usize::from(y >= 8)][usize::from(x >= 16)]])
    });
    let corners = |image: &RgbImage| {
        let (width, height) = (image.size.width as usize, image.size.height as usize);
        let at = |x: usize, y: usize| image.pixels[(y * width + x) * 3];
        let nearest = |value: u8| {
            [20, 180, 100, 250]
                .into_iter()
                .min_by_key(|level| value.abs_diff(*level))
                .unwrap()
        };
        [
            at(1, 1),
            at(width - 2, 1),
            at(1, height - 2),
            at(width - 2, height - 2),
        ]
        .map(nearest)
    };
    let jpeg = encoded(&DynamicImage::ImageLuma8(quarters.clone()), ImageFormat::Jpeg);
    let png = encoded(&DynamicImage::ImageLuma8(quarters.clone()), ImageFormat::Png);
    let folder = tempfile::tempdir().unwrap();
    // What EXIF says of the stored row 0 and column 0, as corners from the top left to the bottom right.
    let upright = [
        (1, [20, 180, 100, 250]),
        (2, [180, 20, 250, 100]),
        (3, [250, 100, 180, 20]),
        (4, [100, 250, 20, 180]),
        (5, [20, 100, 180, 250]),
        (6, [100, 20, 250, 180]),
        (7, [250, 180, 100, 20]),
        (8, [180, 250, 20, 100]),
        (9, [20, 180, 100, 250]),
        (0, [20, 180, 100, 250]),
    ];
    for (orientation, expected) in upright {
        let with_chunk = [&png[..33], &png_chunk(*b"eXIf", &exif(orientation)), &png[33..]].concat();
        let tiff = Tiff {
            orientation: orientation.into(),
            ..Tiff::grey(32, 16, 8, 1)
        };
        let size = if (5..=8).contains(&orientation) {
            ImageSize::new(16, 32)
        } else {
            ImageSize::new(32, 16)
        };
        for file in [
            jpeg_with_orientation(&jpeg, orientation),
            with_chunk,
            tiff.file(quarters.as_raw()),
        ] {
            let image = decoded(&file).unwrap();
            assert_eq!(image.size, size, "orientation {orientation}");
            assert_eq!(corners(&image), expected, "orientation {orientation}");
            let path = folder.path().join("image");
            fs::write(&path, &file).unwrap();
            assert_eq!(read_size(&path).unwrap(), size, "orientation {orientation}");
        }
    }
}

#[test]
fn turning_in_place_moves_every_pixel() {
    let image = gradient(37, 23).to_rgb8();
    for orientation in 1..=8 {
        let tiff = Tiff {
            samples: 3,
            photometric: 2,
            orientation: orientation.into(),
            ..Tiff::grey(37, 23, 8, 1)
        };
        let mut expected = DynamicImage::ImageRgb8(image.clone());
        expected.apply_orientation(image::metadata::Orientation::from_exif(orientation).unwrap());
        assert_eq!(
            decoded(&tiff.file(&image)).unwrap().pixels,
            expected.into_rgb8().into_raw()
        );
    }
}

#[test]
fn content_decides_the_format_not_the_name() {
    let folder = tempfile::tempdir().unwrap();
    for (format, file) in one_of_each() {
        let path = folder.path().join("photo.jpg");
        fs::write(&path, &file).unwrap();
        let image = read_rgb(&path, &Limits::default()).unwrap_or_else(|error| panic!("{format}: {error}"));
        assert_eq!(read_size(&path).unwrap(), image.size, "{format}");
    }
}

#[test]
fn a_bomb_is_refused_from_its_header() {
    let mut png = PNG_SIGNATURE.to_vec();
    png.extend(png_chunk(
        *b"IHDR",
        &[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60, 8, 2, 0, 0, 0],
    ));
    png.extend(png_chunk(*b"IDAT", &[0x78, 0x01]));
    let error = decoded(&png).unwrap_err();
    assert!(
        matches!(
            error,
            ImageFileError::TooManyPixels {
                max_pixels: 256_000_000,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("60000 x 60000") && error.to_string().contains("--max-megapixels"),
        "{error}"
    );

    let tiff = Tiff::grey(60_000, 60_000, 32, 3).file(&[0; 4]);
    assert!(matches!(
        decoded(&tiff).unwrap_err(),
        ImageFileError::TooManyPixels { .. }
    ));

    let image = encoded(&gradient(20, 10), ImageFormat::Png);
    let decode = |limits: Limits| decode_rgb(&image, Path::new("x"), &limits);
    assert!(decode(Limits::with_max_pixels(200)).is_ok());
    assert!(matches!(
        decode(Limits::with_max_pixels(199)),
        Err(ImageFileError::TooManyPixels { .. })
    ));
    let few_bytes = Limits {
        max_pixels: 200,
        max_bytes: 599,
    };
    assert!(matches!(
        decode(few_bytes),
        Err(ImageFileError::TooManyBytes { max_bytes: 599, .. })
    ));
}

#[test]
fn a_file_that_breaks_off_is_an_error() {
    for (format, file) in one_of_each() {
        // Only the last bytes of a file may be dispensable: end markers and, in the TIFF, the directory comes last.
        for kept in (0..file.len()).step_by(1 + file.len() / 200) {
            let is_ok = decoded(&file[..kept]).is_ok();
            assert!(
                !is_ok || kept + 16 > file.len(),
                "{format} of {} bytes read from {kept}",
                file.len()
            );
        }
    }
    let (_, jpeg) = &one_of_each()[0];
    let error = decoded(&jpeg[..jpeg.len() - 40]).unwrap_err();
    assert!(
        matches!(&error, ImageFileError::Damaged { format: "JPEG", .. }),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "this JPEG file is damaged or incomplete: the data ends too early; copy or export it again: sample"
    );
}

#[test]
fn a_palette_of_part_of_a_colour_is_an_error() {
    let png = palette_png();
    for length in [0, 1, 4, 8, 769, 771] {
        let other_palette = [
            &png[..33],
            &png_chunk(*b"PLTE", &vec![0; length]),
            &png[33 + 12 + 9..],
        ]
        .concat();
        let error = decoded(&other_palette).unwrap_err().to_string();
        assert!(
            error.contains("palette has a wrong length"),
            "{length} bytes: {error}"
        );
    }
}

#[test]
fn what_is_no_image_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        File::create(&path).unwrap().write_all(bytes).unwrap();
        path
    };
    let cases = [
        (folder.path().join("missing.png"), "there is no such file"),
        (folder.path().to_path_buf(), "folder, not an image"),
        (file("empty.jpg", b""), "0 bytes"),
        (
            file("text.png", b"just some text, renamed"),
            "no image that can be read",
        ),
        (file("one.png", b"\x89"), "no image that can be read"),
        (file("a.gif", b"GIF89a\x01\0\x01\0\0\0\0;"), "GIF image"),
        (
            file("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
            "HEIC, AVIF or video",
        ),
    ];
    for (path, part) in &cases {
        for error in [
            read_rgb(path, &Limits::default()).unwrap_err(),
            read_size(path).unwrap_err(),
        ] {
            let message = error.to_string();
            assert!(message.contains(part) && !message.contains('\n'), "{message}");
            assert!(message.ends_with(&path.display().to_string()), "{message}");
        }
    }
    #[cfg(unix)]
    assert!(matches!(
        read_rgb(Path::new("/dev/zero"), &Limits::default()).unwrap_err(),
        ImageFileError::NotAFile { .. }
    ));
}

#[test]
fn a_jpeg_with_a_thumbnail_still_needs_its_own_end() {
    let jpeg = encoded(&gradient(16, 16), ImageFormat::Jpeg);
    let length = (jpeg.len() as u16 + 2).to_be_bytes();
    let with_thumbnail = [&jpeg[..2], &[0xFF, 0xE2], &length, &jpeg, &jpeg[2..]].concat();
    assert!(decoded(&with_thumbnail).is_ok());
    assert!(decoded(&with_thumbnail[..with_thumbnail.len() - 2]).is_err());
}

/// A file of [`one_of_each`] with some bytes replaced and perhaps its end cut off.
fn mutated_file() -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<Vec<u8>> = one_of_each().into_iter().map(|(_, file)| file).collect();
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12);
    (
        prop::sample::select(files),
        changes,
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(mut file, changes, end, cut)| {
            for (at, value) in changes {
                let at = at.index(file.len());
                file[at] = value;
            }
            if cut {
                file.truncate(end.index(file.len()));
            }
            file
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(file in mutated_file()) {
        let limits = Limits::with_max_pixels(1 << 20);
        if let Ok(image) = decode_rgb(&file, Path::new("x"), &limits) {
            prop_assert_eq!(image.pixels.len() as u64, image.size.area() * 3);
        }
        let _may_fail = decode_mask(&file, Path::new("x"), ImageSize::new(21, 13), &limits);
    }
}
