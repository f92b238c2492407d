//! Resizing that gives Pillow's bytes exactly, because the published encoder was trained on them: bicubic for the
//! encoder, Lanczos for the crops of training data.
//!
//! Two passes, columns then rows, with an 8-bit image in between and 22-bit fixed-point weights.
//! When shrinking, the filter is stretched over all covered pixels (antialiasing).
//! This is Pillow up to version 12; version 13 does some tall images rows first, a few levels away in places.

use rayon::prelude::*;

use super::RgbImage;
use crate::geometry::ImageSize;

/// Fractional bits of a weight: 32 minus 8 for a sample and 2 for the filter's overshoot.
const WEIGHT_BITS: u32 = 22;
/// Half of the last kept digit, so that the final shift rounds.
const ROUNDING: i32 = 1 << (WEIGHT_BITS - 1);
/// Bytes of one RGB pixel.
const RGB: usize = 3;

/// `image` resized to `size` as Pillow's `Image.resize(size)` does: bicubic, aspect ignored.
///
/// A `size` or an image without pixels gives an image without pixels (all zero where `size` has some).
#[must_use]
pub fn bicubic_rgb(image: &RgbImage, size: ImageSize) -> RgbImage {
    resized_rgb(image, size, BICUBIC)
}

/// `image` resized to `size` as Pillow's `Image.resize(size, Resampling.LANCZOS)` does.
///
/// Without pixels as [`bicubic_rgb`].
#[must_use]
pub fn lanczos_rgb(image: &RgbImage, size: ImageSize) -> RgbImage {
    resized_rgb(image, size, LANCZOS)
}

/// An interpolation kernel and how far it reaches on either side, in pixels.
#[derive(Clone, Copy)]
struct Filter {
    kernel: fn(f64) -> f64,
    reach: f64,
}

const BICUBIC: Filter = Filter {
    kernel: bicubic,
    reach: 2.0,
};

const LANCZOS: Filter = Filter {
    kernel: lanczos,
    reach: 3.0,
};

fn resized_rgb(image: &RgbImage, size: ImageSize, filter: Filter) -> RgbImage {
    if size == image.size {
        return image.clone();
    }
    if size.area() == 0 || image.size.area() == 0 {
        return RgbImage {
            size,
            pixels: vec![0; size.width as usize * size.height as usize * RGB],
        };
    }
    let narrowed;
    let columns_done = if size.width == image.size.width {
        image
    } else {
        narrowed = resize_columns(image, size.width, filter);
        &narrowed
    };
    if size.height == image.size.height {
        columns_done.clone()
    } else {
        resize_rows(columns_done, size.height, filter)
    }
}

/// The source samples that make one output sample: `weights` applied from index `first` on.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// One window per output sample, for `from` samples resized to `to`; none is empty.
fn windows(from: u32, to: u32, filter: Filter) -> Vec<Window> {
    let scale = f64::from(from) / f64::from(to);
    let stretch = scale.max(1.0);
    let shrink = 1.0 / stretch;
    let support = filter.reach * stretch;
    (0..to)
        .map(|output| {
            let center = (f64::from(output) + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as u32;
            let end = ((center + support + 0.5) as u32).min(from);
            let exact: Vec<f64> = (first..end)
                .map(|source| (filter.kernel)((f64::from(source) - center + 0.5) * shrink))
                .collect();
            let sum: f64 = exact.iter().sum();
            let weights = exact
                .iter()
                .map(|weight| (weight / sum * f64::from(1 << WEIGHT_BITS)).round() as i32)
                .collect();
            Window {
                first: first as usize,
                weights,
            }
        })
        .collect()
}

/// Keys' cubic convolution kernel with a = -0.5.
fn bicubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// The windowed sinc of three lobes.
fn lanczos(distance: f64) -> f64 {
    const LOBES: f64 = 3.0;
    let sinc = |x: f64| {
        let x = x * std::f64::consts::PI;
        if x == 0.0 { 1.0 } else { x.sin() / x }
    };
    if (-LOBES..LOBES).contains(&distance) {
        sinc(distance) * sinc(distance / LOBES)
    } else {
        0.0
    }
}

/// The 8-bit sample of a rounded fixed-point sum.
fn sample(sum: i32) -> u8 {
    (sum >> WEIGHT_BITS).clamp(0, 255) as u8
}

fn resize_columns(image: &RgbImage, width: u32, filter: Filter) -> RgbImage {
    let windows = windows(image.size.width, width, filter);
    let source_stride = image.size.width as usize * RGB;
    let stride = width as usize * RGB;
    let size = ImageSize::new(width, image.size.height);
    let mut pixels = vec![0; stride * size.height as usize];
    pixels
        .par_chunks_mut(2 * stride)
        .zip(image.pixels.par_chunks(2 * source_stride))
        .for_each_init(
            || vec![0; source_stride],
            |pairs, (rows, sources)| {
                let (upper, lower) = rows.split_at_mut(stride);
                let (upper_source, lower_source) = sources.split_at(source_stride);
                // Two rows ride in one 64-bit integer, so that one multiplication serves both; a last odd row rides alone.
                if lower_source.is_empty() {
                    for (pair, &high) in pairs.iter_mut().zip(upper_source) {
                        *pair = i64::from(high) << 32;
                    }
                } else {
                    for ((pair, &high), &low) in pairs.iter_mut().zip(upper_source).zip(lower_source) {
                        *pair = (i64::from(high) << 32) | i64::from(low);
                    }
                }
                let mut upper = upper.as_chunks_mut::<RGB>().0.iter_mut();
                let mut lower = lower.as_chunks_mut::<RGB>().0.iter_mut();
                for window in &windows {
                    let sums = pair_sums(&pairs[window.first * RGB..], &window.weights);
                    if let Some(pixel) = upper.next() {
                        *pixel = sums.map(|sum| sample(high_sum(sum)));
                    }
                    if let Some(pixel) = lower.next() {
                        *pixel = sums.map(|sum| sample(low_sum(sum)));
                    }
                }
            },
        );
    RgbImage { size, pixels }
}

/// The weighted sums of one output pixel in two rows, each pair packed as `high << 32 + low`.
fn pair_sums(pairs: &[i64], weights: &[i32]) -> [i64; RGB] {
    const ROUNDINGS: i64 = ((ROUNDING as i64) << 32) | ROUNDING as i64;
    let mut sums = [ROUNDINGS; RGB];
    for (pixel, &weight) in pairs.as_chunks::<RGB>().0.iter().zip(weights) {
        for (sum, &pair) in sums.iter_mut().zip(pixel) {
            *sum = sum.wrapping_add(pair.wrapping_mul(i64::from(weight)));
        }
    }
    sums
}

fn low_sum(sum: i64) -> i32 {
    sum as i32
}

/// The high half, less the borrow that a negative low half took from it.
fn high_sum(sum: i64) -> i32 {
    (sum.wrapping_sub(i64::from(low_sum(sum))) >> 32) as i32
}

fn resize_rows(image: &RgbImage, height: u32, filter: Filter) -> RgbImage {
    let windows = windows(image.size.height, height, filter);
    let stride = image.size.width as usize * RGB;
    let size = ImageSize::new(image.size.width, height);
    let mut pixels = vec![0; stride * height as usize];
    pixels.par_chunks_mut(stride).zip(&windows).for_each_init(
        || vec![0; stride],
        |sums, (row, window)| {
            sums.fill(ROUNDING);
            let sources = image.pixels[window.first * stride..].chunks_exact(stride);
            for (source, &weight) in sources.zip(&window.weights) {
                for (sum, &channel) in sums.iter_mut().zip(source) {
                    *sum += i32::from(channel) * weight;
                }
            }
            for (channel, &sum) in row.iter_mut().zip(sums.iter()) {
                *channel = sample(sum);
            }
        },
    );
    RgbImage { size, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The u8 tensor `name` of a safetensors file, with its height and width.
    fn tensor(file: &[u8], name: &str) -> Option<RgbImage> {
        let (length, rest) = file.split_first_chunk()?;
        let (header, data) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).ok()?);
        let header: serde_json::Value = serde_json::from_slice(header).ok()?;
        let number =
            |value: &serde_json::Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        let entry = header.get(name)?;
        let (begin, end) = (
            number(&entry["data_offsets"][0])?,
            number(&entry["data_offsets"][1])?,
        );
        let (height, width) = (number(&entry["shape"][0])?, number(&entry["shape"][1])?);
        Some(RgbImage {
            size: ImageSize::new(width as u32, height as u32),
            pixels: data[begin..end].to_vec(),
        })
    }

    #[test]
    fn gives_the_bytes_of_the_reference() {
        let cases = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/golden_tiny/cases.safetensors"
        );
        let cases = std::fs::read(cases).unwrap();
        for index in 0..3 {
            let image = tensor(&cases, &format!("image{index}.rgb")).unwrap();
            let expected = tensor(&cases, &format!("image{index}.resized")).unwrap();
            let resized = bicubic_rgb(&image, expected.size);
            assert!(resized == expected, "image {index} of {} differs", image.size);
        }
    }

    #[test]
    fn overshoot_is_clipped_between_the_passes() {
        // A black and white edge, enlarged: the filter over- and undershoots on both sides, in both directions.
        let edge = RgbImage {
            size: ImageSize::new(4, 2),
            pixels: [
                [0; 3], [0; 3], [255; 3], [255; 3], [255; 3], [255; 3], [0; 3], [0; 3],
            ]
            .concat(),
        };
        let enlarged = bicubic_rgb(&edge, ImageSize::new(8, 3));
        let red: Vec<u8> = enlarged.pixels.chunks(3).map(|pixel| pixel[0]).collect();
        // The values of Pillow 12.
        let expected = [
            [0, 0, 0, 42, 213, 255, 255, 255],
            [128, 128, 128, 128, 128, 128, 128, 128],
            [255, 255, 255, 213, 42, 0, 0, 0],
        ];
        assert_eq!(red, expected.concat());
    }

    #[test]
    fn lanczos_gives_the_values_of_pillow() {
        let grey = |width, values: &[u8]| RgbImage {
            size: ImageSize::new(width, values.len() as u32 / width),
            pixels: values.iter().flat_map(|value| [*value; 3]).collect(),
        };
        let red = |image: &RgbImage| image.pixels.iter().step_by(3).copied().collect::<Vec<u8>>();
        let edge = grey(4, &[0, 0, 255, 255, 255, 255, 0, 0]);
        let expected = [
            [0, 0, 0, 36, 219, 255, 255, 255],
            [128; 8],
            [255, 255, 255, 219, 36, 0, 0, 0],
        ];
        assert_eq!(red(&lanczos_rgb(&edge, ImageSize::new(8, 3))), expected.concat());
        let ramp: Vec<u8> = (0..4)
            .flat_map(|y| (0..5).map(move |x| (x * 37 + y * 91) as u8))
            .collect();
        // One side at a time: versions of Pillow differ in which they begin with.
        let wider = [
            [0, 8, 32, 56, 74, 92, 116, 140, 151],
            [88, 99, 123, 147, 165, 183, 207, 231, 242],
            [170, 208, 228, 124, 0, 0, 47, 69, 77],
            [14, 25, 49, 73, 91, 109, 133, 157, 168],
        ];
        let lower = [
            10, 47, 114, 151, 188, 153, 190, 83, 120, 157, 65, 102, 51, 88, 125,
        ];
        let resized = |width, height| red(&lanczos_rgb(&grey(5, &ramp), ImageSize::new(width, height)));
        assert_eq!(resized(9, 4), wider.concat());
        assert_eq!(resized(5, 3), lower);
    }

    #[test]
    fn flat_images_stay_flat_and_sides_may_shrink_to_nothing() {
        let flat = |width, height| RgbImage {
            size: ImageSize::new(width, height),
            pixels: [7, 99, 255].repeat((width * height) as usize),
        };
        for (width, height) in [(1, 1), (2, 9), (301, 4), (7, 5), (40, 40)] {
            assert_eq!(
                bicubic_rgb(&flat(7, 5), ImageSize::new(width, height)),
                flat(width, height)
            );
            assert_eq!(
                bicubic_rgb(&flat(width, height), ImageSize::new(7, 5)),
                flat(7, 5)
            );
        }
        assert_eq!(bicubic_rgb(&flat(7, 5), ImageSize::new(0, 3)).pixels.len(), 0);
        assert_eq!(
            bicubic_rgb(&flat(0, 5), ImageSize::new(1, 1)).pixels,
            vec![0_u8; 3]
        );
    }
}
