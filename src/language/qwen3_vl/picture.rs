//! Images as the vision tower takes them: resized to whole tokens, normalised, cut into patches.

use super::config::VisionConfig;
use super::error::{QwenError, Result};
use crate::geometry::ImageSize;
use crate::image_file::RgbImage;
use crate::image_file::resize::bicubic_rgb;
use rayon::prelude::*;
use serde::Deserialize;
use std::path::Path;

/// Longer side over shorter side above which the reference refuses an image.
const MAX_ASPECT: u64 = 200;
/// Pixels of the published models, used where a configuration names none.
const DEFAULT_PIXELS: (u64, u64) = (65_536, 16_777_216);

/// How images are resized and normalised, from `preprocessor_config.json` in any of its layouts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Preprocessor {
    pub(super) min_pixels: u64,
    pub(super) max_pixels: u64,
    /// Subtracted from a level of 0 to 255, per channel.
    mean: [f32; 3],
    /// Divides what is left.
    deviation: [f32; 3],
}

/// The fields that matter; older files name the pixel limits directly, newer ones call them edges of a size.
#[derive(Default, Deserialize)]
#[serde(default)]
struct PreprocessorFile {
    size: Option<SizeFile>,
    min_pixels: Option<u64>,
    max_pixels: Option<u64>,
    rescale_factor: Option<f64>,
    image_mean: Option<[f64; 3]>,
    image_std: Option<[f64; 3]>,
}

#[derive(Deserialize)]
struct SizeFile {
    #[serde(alias = "min_pixels")]
    shortest_edge: Option<u64>,
    #[serde(alias = "max_pixels")]
    longest_edge: Option<u64>,
}

impl Default for Preprocessor {
    fn default() -> Self {
        Self {
            min_pixels: DEFAULT_PIXELS.0,
            max_pixels: DEFAULT_PIXELS.1,
            mean: [127.5; 3],
            deviation: [127.5; 3],
        }
    }
}

impl Preprocessor {
    /// Reads `preprocessor_config.json`, or a `processor_config.json` that has it inside; `path` is only named in errors.
    pub(super) fn from_json(json: &[u8], path: &Path) -> Result<Self> {
        let broken = |reason: String| QwenError::Config {
            reason,
            path: path.to_path_buf(),
        };
        let value: serde_json::Value =
            serde_json::from_slice(json).map_err(|error| broken(format!("it is no JSON ({error})")))?;
        let value = value.get("image_processor").cloned().unwrap_or(value);
        let file: PreprocessorFile =
            serde_json::from_value(value).map_err(|error| broken(error.to_string()))?;
        let size = file.size.as_ref();
        let min_pixels = file.min_pixels.or(size.and_then(|size| size.shortest_edge));
        let max_pixels = file.max_pixels.or(size.and_then(|size| size.longest_edge));
        let (min_pixels, max_pixels) = (
            min_pixels.unwrap_or(DEFAULT_PIXELS.0),
            max_pixels.unwrap_or(DEFAULT_PIXELS.1),
        );
        if min_pixels > max_pixels || max_pixels == 0 || max_pixels > 1 << 32 {
            return Err(broken(format!(
                "images of {min_pixels} to {max_pixels} pixels make no sense"
            )));
        }
        let rescale = file.rescale_factor.unwrap_or(1.0 / 255.0);
        let in_levels = |values: Option<[f64; 3]>| values.unwrap_or([0.5; 3]).map(|v| (v / rescale) as f32);
        let (mean, deviation) = (in_levels(file.image_mean), in_levels(file.image_std));
        if !mean.iter().chain(&deviation).all(|v| v.is_finite()) || deviation.contains(&0.0) {
            return Err(broken(
                "image_mean, image_std or rescale_factor make no sense".to_owned(),
            ));
        }
        Ok(Self {
            min_pixels,
            max_pixels,
            mean,
            deviation,
        })
    }
}

/// Patches of an image, in rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Grid {
    pub(super) fn patches(self) -> usize {
        self.rows * self.columns
    }

    /// Tokens of the text model, of `merge x merge` patches each.
    pub(super) fn tokens(self, merge: usize) -> usize {
        self.patches() / (merge * merge)
    }

    /// Row and column of every patch in the order of the tower: token after token, patches of a token in rows.
    pub(super) fn places(self, merge: usize) -> impl Iterator<Item = (usize, usize)> {
        let (rows, columns) = (self.rows, self.columns);
        (0..rows / merge).flat_map(move |block_row| {
            (0..columns / merge).flat_map(move |block_column| {
                (0..merge * merge).map(move |inside| {
                    (
                        block_row * merge + inside / merge,
                        block_column * merge + inside % merge,
                    )
                })
            })
        })
    }
}

/// An image cut into patches.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) grid: Grid,
    /// `patches x (channels * temporal_patch * patch * patch)`, normalised.
    pub(super) values: Vec<f32>,
}

/// The size an image is resized to: sides that are multiples of `factor`, between the pixel limits where possible.
pub(super) fn resized_size(
    size: ImageSize,
    factor: u32,
    min_pixels: u64,
    max_pixels: u64,
) -> Result<ImageSize> {
    let refused = |reason| QwenError::Image {
        width: size.width,
        height: size.height,
        reason,
    };
    let (long, short) = (
        u64::from(size.width.max(size.height)),
        u64::from(size.width.min(size.height)),
    );
    if short == 0 {
        return Err(refused("it has no pixels"));
    }
    if long > short * MAX_ASPECT {
        return Err(refused("crop it: one side is more than 200 times the other"));
    }
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let step = f64::from(factor);
    let nearest = |side: f64| (side / step).round_ties_even() * step;
    let (mut w, mut h) = (nearest(width), nearest(height));
    if w * h > max_pixels as f64 {
        let shrink = (width * height / max_pixels as f64).sqrt();
        let floor = |side: f64| ((side / shrink / step).floor() * step).max(step);
        (w, h) = (floor(width), floor(height));
    } else if w * h < min_pixels as f64 {
        let grow = (min_pixels as f64 / (width * height)).sqrt();
        let ceil = |side: f64| (side * grow / step).ceil() * step;
        (w, h) = (ceil(width), ceil(height));
    }
    // Zero remains possible only where the lower limit is tiny.
    Ok(ImageSize::new((w as u32).max(factor), (h as u32).max(factor)))
}

/// Patches that an image will have, without looking at its pixels.
pub(super) fn grid_of(size: ImageSize, config: &VisionConfig, preprocessor: &Preprocessor) -> Result<Grid> {
    let factor = (config.patch * config.merge) as u32;
    let resized = resized_size(size, factor, preprocessor.min_pixels, preprocessor.max_pixels)?;
    Ok(Grid {
        rows: resized.height as usize / config.patch,
        columns: resized.width as usize / config.patch,
    })
}

/// Resizes, normalises and cuts an image.
pub(super) fn prepare(
    image: &RgbImage,
    config: &VisionConfig,
    preprocessor: &Preprocessor,
) -> Result<Picture> {
    let grid = grid_of(image.size, config, preprocessor)?;
    let size = ImageSize::new(
        (grid.columns * config.patch) as u32,
        (grid.rows * config.patch) as u32,
    );
    Ok(cut(&bicubic_rgb(image, size), grid, config, preprocessor))
}

/// Cuts an image whose sides fit the grid.
fn cut(image: &RgbImage, grid: Grid, config: &VisionConfig, preprocessor: &Preprocessor) -> Picture {
    let (patch, channels) = (config.patch, config.channels);
    let stride = image.size.width as usize * channels;
    let mut values = vec![0.0_f32; grid.patches() * config.patch_values()];
    let places: Vec<(usize, usize)> = grid.places(config.merge).collect();
    values
        .par_chunks_exact_mut(config.patch_values())
        .zip(places)
        .for_each(|(out, (row, column))| {
            let plane = patch * patch;
            for (channel, frames) in out.chunks_exact_mut(config.temporal_patch * plane).enumerate() {
                let (mean, deviation) = (preprocessor.mean[channel], preprocessor.deviation[channel]);
                // A still image is a video of equal frames.
                for frame in frames.chunks_exact_mut(plane) {
                    for (y, line) in frame.chunks_exact_mut(patch).enumerate() {
                        let start = (row * patch + y) * stride + column * patch * channels + channel;
                        for (value, level) in line
                            .iter_mut()
                            .zip(image.pixels[start..].iter().step_by(channels))
                        {
                            *value = (f32::from(*level) - mean) / deviation;
                        }
                    }
                }
            }
        });
    Picture { grid, values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_reference() {
        // Width, height, smallest and largest number of pixels, and what the published function gives for factor 32.
        for (width, height, min, max, expected) in [
            (200, 120, 4096, 65_536, (192, 128)),
            (210, 330, 4096, 65_536, (192, 320)),
            (1800, 1200, 65_536, 16_777_216, (1792, 1216)),
            (10, 10, 65_536, 16_777_216, (256, 256)),
            (8000, 6000, 65_536, 16_777_216, (4704, 3520)),
            (48, 80, 0, 16_777_216, (64, 64)),
            // The reference gives a width of 0 here.
            (16, 40, 0, 16_777_216, (32, 32)),
            (3000, 20, 65_536, 131_072, (3008, 32)),
            (3000, 20, 4096, 65_536, (3104, 32)),
        ] {
            let size = resized_size(ImageSize::new(width, height), 32, min, max).unwrap();
            assert_eq!((size.width, size.height), expected, "{width} x {height}");
        }
        for (width, height) in [(0, 5), (7, 0), (2001, 10)] {
            assert!(resized_size(ImageSize::new(width, height), 32, 0, 1 << 24).is_err());
        }
    }

    #[test]
    fn every_layout_of_the_configuration_is_read() {
        let path = Path::new("preprocessor_config.json");
        let expected = Preprocessor {
            min_pixels: 1000,
            max_pixels: 2000,
            ..Preprocessor::default()
        };
        for json in [
            r#"{"size": {"shortest_edge": 1000, "longest_edge": 2000}, "image_mean": [0.5, 0.5, 0.5]}"#,
            r#"{"min_pixels": 1000, "max_pixels": 2000, "rescale_factor": 0.00392156862745098}"#,
            r#"{"size": {"min_pixels": 1000, "max_pixels": 2000}, "size_divisor": null}"#,
            r#"{"image_processor": {"size": {"shortest_edge": 1000, "longest_edge": 2000}}}"#,
        ] {
            assert_eq!(
                Preprocessor::from_json(json.as_bytes(), path).unwrap(),
                expected,
                "{json}"
            );
        }
        for json in [
            "{",
            r#"{"min_pixels": 3, "max_pixels": 2}"#,
            r#"{"image_std": [0.5, 0, 0.5]}"#,
            r#"{"rescale_factor": 0}"#,
            r#"{"image_mean": [1]}"#,
        ] {
            assert!(Preprocessor::from_json(json.as_bytes(), path).is_err(), "{json}");
        }
    }

    #[test]
    fn patches_of_one_token_follow_each_other() {
        let grid = Grid { rows: 4, columns: 4 };
        let places: Vec<_> = grid.places(2).collect();
        assert_eq!(places.len(), grid.patches());
        assert_eq!(places[..6], [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3)]);
        assert_eq!(grid.tokens(2), 4);
    }
}
