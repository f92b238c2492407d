//! Mask files: what counts as the region in the many ways that people save masks, and masks written as PNG.

use std::io;
use std::path::Path;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};

use super::raster::{Grey, Raster, high_byte};
use super::{ImageFileError, Limits, decode, read_bytes};
use crate::atomic_file::{AtomicFile, Existing};
use crate::geometry::ImageSize;
use crate::mask::Mask;

/// A mask read from a file, with what the user should know about how it was read.
#[derive(Clone, Debug)]
pub struct MaskFile {
    /// The region.
    pub mask: Mask,
    /// One line each; the file is not named.
    pub warnings: Vec<String>,
}

/// Reads the mask at `path`, which belongs to an image of `expected` size (upright, as the mask will be).
///
/// What is set:
/// - The grey value decides: grey as it is, colours by ITU-R 601 luma, a palette by its colours.
/// - A file with a transparency that varies is read by its transparency alone: opaque is set.
/// - Two grey levels, whatever they are (0 and 1, 0 and 255, 3 and 7): the brighter one is set.
/// - More levels: 128 of 255 and above is set, and a warning says how many levels there are.
/// - One level: black is an error, anything else sets the whole image, with a warning.
///
/// # Errors
/// [`ImageFileError`]: as for an image, and for a mask of another size, an empty mask, and a photograph.
pub fn read_mask(path: &Path, expected: ImageSize, limits: &Limits) -> Result<MaskFile, ImageFileError> {
    decode_mask(&read_bytes(path, limits)?, path, expected, limits)
}

/// [`read_mask`] for a file already in memory; `path` is only named in errors.
///
/// # Errors
/// As [`read_mask`].
pub fn decode_mask(
    bytes: &[u8],
    path: &Path,
    expected: ImageSize,
    limits: &Limits,
) -> Result<MaskFile, ImageFileError> {
    let raster = decode::raster(bytes, path, limits)?;
    if raster.size != expected {
        return Err(ImageFileError::MaskSize {
            found: raster.size,
            expected,
            path: path.to_path_buf(),
        });
    }
    let mut warnings = Vec::new();
    let grey = match raster.varying_alpha() {
        Some(alpha) => {
            if Levels::of(&raster.grey()).values.len() > 1 {
                warnings
                    .push("the transparency was taken as the mask and the colours were ignored".to_owned());
            }
            alpha
        }
        None => {
            let grey = raster.grey();
            if is_photograph(&raster, &grey) {
                return Err(ImageFileError::MaskIsPhotograph {
                    path: path.to_path_buf(),
                });
            }
            grey
        }
    };
    let levels = Levels::of(&grey);
    let lowest_set = match *levels.values {
        [] | [0] => {
            return Err(ImageFileError::EmptyMask {
                path: path.to_path_buf(),
            });
        }
        [level] => {
            warnings.push("every pixel has the same value, so the mask covers the whole image".to_owned());
            level
        }
        [_, brighter] => brighter,
        [.., brightest] => {
            let count = levels.values.len();
            let half = grey.white / 2 + 1;
            if brightest < half {
                return Err(ImageFileError::NothingAboveThreshold {
                    levels: count,
                    brightest: levels.in_8_bits(brightest),
                    path: path.to_path_buf(),
                });
            }
            warnings.push(format!(
                "{count} grey levels; 128 of 255 and above was taken as the mask"
            ));
            half
        }
    };
    let set: Vec<u8> = grey
        .values
        .iter()
        .map(|&value| u8::from(value >= lowest_set))
        .collect();
    let mask = Mask::from_bytes(expected, &set).map_err(|source| ImageFileError::Mask {
        source,
        path: path.to_path_buf(),
    })?;
    Ok(MaskFile { mask, warnings })
}

/// Writes `mask` to `path` as 8-bit grey PNG, 0 and 255; the file appears whole or not at all.
///
/// # Errors
/// [`ImageFileError`] where the folder is missing or may not be written, or the disk is full.
pub fn write_mask_png(path: &Path, mask: &Mask) -> Result<(), ImageFileError> {
    let png = encode_mask_png(mask).map_err(|error| ImageFileError::from_io(error, path))?;
    // A folder cannot be replaced, which not every system says in those words.
    let written = if path.is_dir() {
        Err(io::ErrorKind::IsADirectory.into())
    } else {
        AtomicFile::write(path, &png, Existing::Replace)
    };
    written.map_err(|error| ImageFileError::from_io(error, path))
}

/// `mask` as the bytes of an 8-bit grey PNG, 0 and 255, for a file that has it inside.
///
/// # Errors
/// If the encoder fails, which it does for no mask.
pub fn encode_mask_png(mask: &Mask) -> io::Result<Vec<u8>> {
    let grey: Vec<u8> = mask.to_bytes().iter().map(|&set| set * 255).collect();
    let size = mask.size();
    let mut png = Vec::new();
    // Without a filter, long runs of 0 and 255 compress best.
    PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::NoFilter)
        .write_image(&grey, size.width, size.height, ExtendedColorType::L8)
        .map_err(io::Error::other)?;
    Ok(png)
}

/// The grey levels that occur, ascending.
struct Levels {
    values: Vec<u16>,
    /// Pixels per level.
    counts: Vec<u64>,
    white: u16,
}

impl Levels {
    fn of(grey: &Grey) -> Self {
        let mut histogram = vec![0_u64; usize::from(grey.white) + 1];
        for &value in &grey.values {
            if let Some(count) = histogram.get_mut(usize::from(value)) {
                *count += 1;
            }
        }
        let occurring = (0..=grey.white).zip(histogram).filter(|&(_, count)| count > 0);
        let (values, counts) = occurring.unzip();
        Self {
            values,
            counts,
            white: grey.white,
        }
    }

    fn in_8_bits(&self, value: u16) -> u8 {
        if self.white > 255 {
            high_byte(value)
        } else {
            value as u8
        }
    }
}

/// Whether a file given as a mask is evidently the photograph itself: coloured, of many levels, none of them dominant.
fn is_photograph(raster: &Raster, grey: &Grey) -> bool {
    const FEWEST_LEVELS: usize = 64;
    const COLOURED_SHARE: f64 = 0.05;
    const DOMINANT_LEVELS: usize = 8;
    const DOMINANT_SHARE: f64 = 0.5;

    let levels = Levels::of(grey);
    if levels.values.len() < FEWEST_LEVELS || raster.coloured_share() < COLOURED_SHARE {
        return false;
    }
    let mut counts = [0_u64; 256];
    for (&value, &count) in levels.values.iter().zip(&levels.counts) {
        counts[usize::from(levels.in_8_bits(value))] += count;
    }
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let dominant: u64 = counts.iter().take(DOMINANT_LEVELS).sum();
    (dominant as f64) < raster.size.area() as f64 * DOMINANT_SHARE
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{DynamicImage, ImageBuffer, ImageFormat, Rgb};

    use super::super::sample::{Tiff, decoded, encoded, gradient, jpeg_with_orientation, palette_png};
    use super::*;

    fn read(file: &[u8], width: u32, height: u32) -> Result<MaskFile, ImageFileError> {
        decode_mask(
            file,
            Path::new("mask"),
            ImageSize::new(width, height),
            &Limits::default(),
        )
    }

    fn grey_row(values: &[u8]) -> Vec<u8> {
        let row = ImageBuffer::from_vec(values.len() as u32, 1, values.to_vec()).unwrap();
        encoded(&DynamicImage::ImageLuma8(row), ImageFormat::Png)
    }

    fn rgb_row(pixels: &[[u8; 3]]) -> Vec<u8> {
        let row = ImageBuffer::from_vec(pixels.len() as u32, 1, pixels.concat()).unwrap();
        encoded(&DynamicImage::ImageRgb8(row), ImageFormat::Png)
    }

    fn rgba_row(pixels: &[[u8; 4]]) -> Vec<u8> {
        let row = ImageBuffer::from_vec(pixels.len() as u32, 1, pixels.concat()).unwrap();
        encoded(&DynamicImage::ImageRgba8(row), ImageFormat::Png)
    }

    #[test]
    fn what_is_set_follows_the_documented_rules() {
        let grey16 = ImageBuffer::from_vec(4, 1, vec![0_u16, 1, 0, 1]).unwrap();
        let grey16_levels = ImageBuffer::from_vec(4, 1, vec![0_u16, 0x7FFF, 0x8000, 0xFFFF]).unwrap();
        let float = [0.0_f32, 0.2, 0.2, 0.0]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect::<Vec<_>>();
        let [black, red, white] = [[0; 3], [128, 0, 0], [255; 3]];
        let cases: Vec<(&str, Vec<u8>, [u8; 4], &str)> = vec![
            ("0 and 255", grey_row(&[0, 255, 255, 0]), [0, 1, 1, 0], ""),
            ("0 and 1", grey_row(&[0, 1, 0, 1]), [0, 1, 0, 1], ""),
            (
                "two levels above black",
                grey_row(&[3, 7, 3, 3]),
                [0, 1, 0, 0],
                "",
            ),
            (
                "two bright levels",
                grey_row(&[254, 255, 254, 255]),
                [0, 1, 0, 1],
                "",
            ),
            (
                "levels in between",
                grey_row(&[0, 127, 128, 255]),
                [0, 0, 1, 1],
                "4 grey levels",
            ),
            ("one level", grey_row(&[1, 1, 1, 1]), [1, 1, 1, 1], "whole image"),
            (
                "colour on black",
                rgb_row(&[black, red, red, black]),
                [0, 1, 1, 0],
                "",
            ),
            (
                "colour and white",
                rgb_row(&[black, red, white, white]),
                [0, 0, 1, 1],
                "3 grey levels",
            ),
            (
                "white drawn on nothing",
                rgba_row(&[[255, 255, 255, 0], [255; 4], [255; 4], [255, 255, 255, 0]]),
                [0, 1, 1, 0],
                "",
            ),
            (
                "a cut-out",
                rgba_row(&[[9, 200, 3, 255], [90, 20, 30, 255], [0; 4], [7, 7, 7, 0]]),
                [1, 1, 0, 0],
                "transparency",
            ),
            (
                "soft transparency",
                rgba_row(&[[0, 0, 0, 0], [0, 0, 0, 127], [0, 0, 0, 128], [0, 0, 0, 255]]),
                [0, 0, 1, 1],
                "4 grey levels",
            ),
            (
                "opaque everywhere",
                rgba_row(&[[0, 0, 0, 255], [255; 4], [255; 4], [0, 0, 0, 255]]),
                [0, 1, 1, 0],
                "",
            ),
            (
                "16-bit 0 and 1",
                encoded(&DynamicImage::ImageLuma16(grey16), ImageFormat::Png),
                [0, 1, 0, 1],
                "",
            ),
            (
                "16-bit levels",
                encoded(&DynamicImage::ImageLuma16(grey16_levels), ImageFormat::Png),
                [0, 0, 1, 1],
                "4 grey levels",
            ),
            (
                "bilevel TIFF",
                Tiff::grey(4, 1, 1, 1).file(&[0b0110_0000]),
                [0, 1, 1, 0],
                "",
            ),
            (
                "float TIFF",
                Tiff::grey(4, 1, 32, 3).file(&float),
                [0, 1, 1, 0],
                "",
            ),
        ];
        for (what, file, expected, warning) in cases {
            let read = read(&file, 4, 1).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(read.mask.to_bytes(), expected, "{what}");
            assert_eq!(
                read.warnings.len(),
                usize::from(!warning.is_empty()),
                "{what}: {:?}",
                read.warnings
            );
            assert!(
                read.warnings.iter().all(|line| line.contains(warning)),
                "{what}: {:?}",
                read.warnings
            );
        }
        // The transparent second colour of this palette is what varies.
        assert_eq!(read(&palette_png(), 2, 2).unwrap().mask.to_bytes(), [1, 0, 1, 1]);
    }

    #[test]
    fn what_is_no_mask_is_an_error_that_says_so() {
        let photograph = encoded(&gradient(64, 48), ImageFormat::Jpeg);
        assert!(decoded(&photograph).is_ok());
        let cases: [(&str, Vec<u8>, ImageSize, &str); 5] = [
            (
                "empty",
                grey_row(&[0, 0]),
                ImageSize::new(2, 1),
                "every pixel is 0",
            ),
            (
                "label map",
                grey_row(&[0, 1, 2, 3]),
                ImageSize::new(4, 1),
                "4 grey levels, the brightest 3",
            ),
            ("photograph", photograph, ImageSize::new(64, 48), "photograph"),
            (
                "other size",
                grey_row(&[0, 1]),
                ImageSize::new(3, 1),
                "2 x 1 pixels and its image 3 x 1;",
            ),
            ("turned", grey_row(&[0, 1]), ImageSize::new(1, 2), "EXIF rotation"),
        ];
        for (what, file, size, part) in cases {
            let error = read(&file, size.width, size.height).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.ends_with(": mask") && !error.contains('\n'),
                "{what}: {error}"
            );
        }
    }

    #[test]
    fn a_coloured_mask_saved_as_jpeg_is_no_photograph() {
        let disk = ImageBuffer::from_fn(64, 64, |x, y| {
            let inside = (f64::from(x) - 31.5).hypot(f64::from(y) - 31.5) < 20.0;
            Rgb(if inside { [255, 220, 40] } else { [0, 0, 60] })
        });
        let read = read(
            &encoded(&DynamicImage::ImageRgb8(disk), ImageFormat::Jpeg),
            64,
            64,
        )
        .unwrap();
        assert!((1150..1350).contains(&read.mask.area()), "{}", read.mask.area());
        assert!(read.warnings[0].contains("grey levels"), "{:?}", read.warnings);
    }

    #[test]
    fn the_orientation_of_a_mask_counts() {
        let half = ImageBuffer::from_fn(32, 16, |x, _| image::Luma([if x < 16 { 255 } else { 0 }]));
        let file = jpeg_with_orientation(&encoded(&DynamicImage::ImageLuma8(half), ImageFormat::Jpeg), 6);
        let mask = read(&file, 16, 32).unwrap().mask;
        assert!(
            mask.get(8, 0) && !mask.get(8, 31),
            "the left half must have become the top half"
        );
    }

    #[test]
    fn a_written_mask_reads_back_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.png");
        let size = ImageSize::new(131, 67);
        for seed in 0..3 {
            let mask = Mask::from_fn(size, |x, y| (x * (seed + 3) + y * y) % 7 < 3).unwrap();
            write_mask_png(&path, &mask).unwrap();
            let read = read_mask(&path, size, &Limits::default()).unwrap();
            assert!(
                read.mask == mask && read.warnings.is_empty(),
                "mask {seed}: {:?}",
                read.warnings
            );
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let mask = Mask::full(size).unwrap();
        let missing = write_mask_png(&folder.path().join("no/mask.png"), &mask).unwrap_err();
        assert!(matches!(missing, ImageFileError::NotFound { .. }), "{missing}");
        let onto_folder = write_mask_png(folder.path(), &mask).unwrap_err();
        assert!(
            matches!(onto_folder, ImageFileError::IsFolder { .. }),
            "{onto_folder}"
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            let plain = folder.path().join("plain");
            fs::write(&plain, "").unwrap();
            assert_eq!(mode, fs::metadata(&plain).unwrap().permissions().mode());
        }
    }
}
