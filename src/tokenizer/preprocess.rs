//! Images, masks and boxes into the network's inputs, and its logits back into masks, as the reference does it.

use super::config::Config;
use super::sam2::hiera::{PATCH_KERNEL, PATCH_STRIDE};
use super::{Result, TokenizerError};
use crate::geometry::ImageSize;
use crate::image_file::{RgbImage, resize};
use crate::mask::Mask;
use candle_core::{Device, Tensor};
use rayon::prelude::*;

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];
/// Zero padding around the image before patches are cut.
const PATCH_PADDING: usize = 3;
/// The reference compares raw logits, not probabilities, with this.
pub(crate) const LOGIT_THRESHOLD: f32 = 0.5;

/// An image of any size as `(1, tokens, 7 * 7 * 3)` patches of the resized, normalised image.
pub(crate) fn image_patches(image: &RgbImage, config: &Config, device: &Device) -> Result<Tensor> {
    let side = config.image_size as u32;
    let resized = resize::bicubic_rgb(image, ImageSize::new(side, side));
    patches(&[&normalised(&resized)], config.image_size, device)
}

/// Channels-last normalised pixels, `height x width x 3`.
pub(crate) fn normalised(image: &RgbImage) -> Vec<f32> {
    // All 256 levels of a channel, computed as the reference does: divide, subtract, divide.
    let levels: [[f32; 256]; 3] =
        std::array::from_fn(|c| std::array::from_fn(|v| (v as f32 / 255.0 - MEAN[c]) / STD[c]));
    image
        .pixels
        .chunks_exact(3)
        .flat_map(|p| {
            [
                levels[0][p[0] as usize],
                levels[1][p[1] as usize],
                levels[2][p[2] as usize],
            ]
        })
        .collect()
}

/// Square images of normalised pixels as `(images, tokens, 7 * 7 * 3)` patches.
pub(crate) fn patches(images: &[&[f32]], side: usize, device: &Device) -> Result<Tensor> {
    const WIDTH: usize = 3 * PATCH_KERNEL * PATCH_KERNEL;
    let tokens = side / PATCH_STRIDE;
    let mut out = vec![0.0_f32; images.len() * tokens * tokens * WIDTH];
    out.par_chunks_exact_mut(tokens * WIDTH)
        .enumerate()
        .for_each(|(row, out)| {
            let (image, row) = (images[row / tokens], row % tokens);
            for (column, patch) in out.chunks_exact_mut(WIDTH).enumerate() {
                for (dy, line) in patch.chunks_exact_mut(3 * PATCH_KERNEL).enumerate() {
                    let Some(y) = (row * PATCH_STRIDE + dy)
                        .checked_sub(PATCH_PADDING)
                        .filter(|y| *y < side)
                    else {
                        continue;
                    };
                    let first = column * PATCH_STRIDE;
                    let skipped = PATCH_PADDING.saturating_sub(first);
                    let start = first + skipped - PATCH_PADDING;
                    let count = (PATCH_KERNEL - skipped).min(side - start);
                    line[3 * skipped..3 * (skipped + count)]
                        .copy_from_slice(&image[3 * (y * side + start)..][..3 * count]);
                }
            }
        });
    Ok(Tensor::from_vec(
        out,
        (images.len(), tokens * tokens, WIDTH),
        device,
    )?)
}

/// A mask as the network sees it: coverage in 0..1 on a `side x side` grid, bilinear with antialiasing.
///
/// The same filter as PyTorch's `interpolate(antialias=True)`; rows are summed run by run, so the cost follows the
/// mask's outline and not its area.
pub(crate) fn mask_prompt(mask: &Mask, side: usize) -> Vec<f32> {
    let ImageSize { width, height } = mask.size();
    let columns = Taps::new(width as usize, side);
    let rows = Taps::new(height as usize, side);
    let mut out = vec![0.0_f32; side * side];
    let mut line = vec![0.0_f32; side];
    for y in 0..height {
        let mut runs = mask.runs(y).peekable();
        if runs.peek().is_none() {
            continue;
        }
        line.fill(0.0);
        for run in runs {
            columns.add_run(run.start as usize, run.end as usize, &mut line);
        }
        for (row, weight) in rows.using(y as usize) {
            let out = &mut out[row * side..(row + 1) * side];
            out.iter_mut().zip(&line).for_each(|(o, l)| *o += weight * l);
        }
    }
    out
}

/// A mask as 0 and 1 on a `side x side` grid, by PyTorch's `nearest` rule: cell `i` takes pixel
/// `floor(i * extent / side)`, computed in single precision.
pub(crate) fn nearest_samples(mask: &Mask, side: usize) -> Vec<f32> {
    let pixels = |extent: u32| -> Vec<u32> {
        let scale = extent as f32 / side as f32;
        (0..side)
            .map(|cell| ((cell as f32 * scale) as u32).min(extent.saturating_sub(1)))
            .collect()
    };
    let ImageSize { width, height } = mask.size();
    let columns = pixels(width);
    pixels(height)
        .iter()
        .flat_map(|y| columns.iter().map(|x| f32::from(u8::from(mask.get(*x, *y)))))
        .collect()
}

/// Weights of one axis of an antialiased bilinear resize.
struct Taps {
    /// First input of every output.
    first: Vec<usize>,
    /// Running sums of every output's normalised weights, starting with 0.
    cumulative: Vec<Vec<f32>>,
    inputs: usize,
}

impl Taps {
    fn new(inputs: usize, outputs: usize) -> Self {
        let scale = inputs as f64 / outputs as f64;
        let support = scale.max(1.0);
        let (mut first, mut cumulative) = (Vec::with_capacity(outputs), Vec::with_capacity(outputs));
        for output in 0..outputs {
            let centre = scale * (output as f64 + 0.5);
            let start = ((centre - support + 0.5).max(0.0)) as usize;
            let end = (((centre + support + 0.5) as usize).min(inputs)).max(start + 1);
            let weights: Vec<f64> = (start..end)
                .map(|i| (1.0 - ((i as f64 - centre + 0.5) / support).abs()).max(0.0))
                .collect();
            let total: f64 = weights.iter().sum();
            let mut sum = 0.0;
            let sums = std::iter::once(0.0).chain(weights.iter().map(|w| {
                sum += w / total;
                sum as f32
            }));
            first.push(start);
            cumulative.push(sums.collect());
        }
        Self {
            first,
            cumulative,
            inputs,
        }
    }

    /// Outputs that may use inputs `start..end`.
    fn outputs(&self, start: usize, end: usize) -> std::ops::Range<usize> {
        let count = self.first.len();
        let from = self.first.partition_point(|first| *first <= start);
        // Taps start in order and are of nearly equal length: step back while the taps still reach `start`.
        let mut low = from;
        while low > 0 && self.first[low - 1] + self.cumulative[low - 1].len() - 1 > start {
            low -= 1;
        }
        let high = self.first.partition_point(|first| *first < end).min(count);
        low..high
    }

    /// Adds the weight of the inputs `start..end` to every output.
    fn add_run(&self, start: usize, end: usize, line: &mut [f32]) {
        debug_assert!(end <= self.inputs, "a run lies inside the mask");
        for output in self.outputs(start, end) {
            let (first, sums) = (self.first[output], &self.cumulative[output]);
            let last = sums.len() - 1;
            let at = |input: usize| sums[input.saturating_sub(first).min(last)];
            line[output] += at(end) - at(start);
        }
    }

    /// The outputs that use one input, with their weights.
    fn using(&self, input: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.outputs(input, input + 1).filter_map(move |output| {
            let offset = input.checked_sub(self.first[output])?;
            let sums = &self.cumulative[output];
            (offset + 1 < sums.len()).then(|| (output, sums[offset + 1] - sums[offset]))
        })
    }
}

/// The mask's box in pixels of the network's input, x0 y0 x1 y1, last pixel inclusive as in the reference.
///
/// # Errors
/// [`TokenizerError::EmptyMask`]: without a box a mask cannot be encoded.
pub(crate) fn mask_box(mask: &Mask, image_size: usize) -> Result<[f32; 4]> {
    let rect = mask.bounding_box().ok_or(TokenizerError::EmptyMask)?;
    let ImageSize { width, height } = mask.size();
    let to_input = |value: u32, extent: u32| value as f32 / extent as f32 * image_size as f32;
    Ok([
        to_input(rect.x, width),
        to_input(rect.y, height),
        to_input(rect.x + rect.width - 1, width),
        to_input(rect.y + rect.height - 1, height),
    ])
}

/// Logits on a `side x side` grid, bilinearly enlarged to `size` and thresholded.
///
/// Between two neighbouring columns of the grid the values lie between their ends, so only stretches that cross the
/// threshold are interpolated pixel by pixel.
pub(crate) fn mask_from_logits(logits: &[f32], side: usize, size: ImageSize) -> Result<Mask> {
    let mut mask = Mask::empty(size)?;
    let columns = Interpolation::new(size.width as usize, side);
    let rows = Interpolation::new(size.height as usize, side);
    // Pixels whose left neighbour in the grid is column c: starts[c] .. starts[c + 1].
    let starts: Vec<usize> = (0..=side)
        .map(|column| columns.low.partition_point(|low| *low < column))
        .collect();
    let above = |value: f32| value > LOGIT_THRESHOLD;
    let mut line = vec![0.0_f32; side];
    for y in 0..size.height {
        let (low, t) = (rows.low[y as usize], rows.t[y as usize]);
        let upper = &logits[low * side..(low + 1) * side];
        let lower = &logits[(low + 1).min(side - 1) * side..][..side];
        for ((value, a), b) in line.iter_mut().zip(upper).zip(lower) {
            *value = (1.0 - t) * a + t * b;
        }
        for column in 0..side {
            let (start, end) = (starts[column], starts[column + 1]);
            let (a, b) = (line[column], line[(column + 1).min(side - 1)]);
            match (above(a), above(b)) {
                (false, false) => {}
                (true, true) => mask.fill_run(y, start as u32..end as u32, true),
                _ => {
                    for x in start..end {
                        let t = columns.t[x];
                        if above((1.0 - t) * a + t * b) {
                            mask.set(x as u32, y, true);
                        }
                    }
                }
            }
        }
    }
    Ok(mask)
}

/// One axis of a bilinear resize with align_corners false.
struct Interpolation {
    /// Left neighbour of every output.
    low: Vec<usize>,
    /// Weight of the right neighbour.
    t: Vec<f32>,
}

impl Interpolation {
    fn new(outputs: usize, inputs: usize) -> Self {
        let scale = inputs as f32 / outputs as f32;
        let (low, t) = (0..outputs)
            .map(|output| {
                let source = (scale * (output as f32 + 0.5) - 0.5).max(0.0);
                let low = (source as usize).min(inputs - 1);
                (low, source - low as f32)
            })
            .unzip();
        Self { low, t }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_mask_is_one_everywhere() {
        for (width, height) in [(300, 200), (64, 64), (10, 31), (1, 1), (1000, 3)] {
            let mask = Mask::full(ImageSize::new(width, height)).unwrap();
            for value in mask_prompt(&mask, 64) {
                assert!((value - 1.0).abs() < 1e-5, "{width} x {height}: {value}");
            }
        }
    }

    #[test]
    fn logits_are_thresholded_at_every_pixel() {
        let side = 8;
        let logits: Vec<f32> = (0..side * side)
            .map(|i| ((i * 37 % 64) as f32 - 32.0) / 8.0)
            .collect();
        for size in [
            ImageSize::new(50, 31),
            ImageSize::new(8, 8),
            ImageSize::new(5, 3),
            ImageSize::new(200, 7),
        ] {
            let mask = mask_from_logits(&logits, side, size).unwrap();
            let (columns, rows) = (
                Interpolation::new(size.width as usize, side),
                Interpolation::new(size.height as usize, side),
            );
            for y in 0..size.height as usize {
                for x in 0..size.width as usize {
                    let at = |dx: usize, dy: usize| {
                        let (x, y) = (
                            (columns.low[x] + dx).min(side - 1),
                            (rows.low[y] + dy).min(side - 1),
                        );
                        logits[y * side + x]
                    };
                    let (tx, ty) = (columns.t[x], rows.t[y]);
                    let value = (1.0 - tx) * ((1.0 - ty) * at(0, 0) + ty * at(0, 1))
                        + tx * ((1.0 - ty) * at(1, 0) + ty * at(1, 1));
                    if (value - LOGIT_THRESHOLD).abs() > 1e-5 {
                        assert_eq!(
                            mask.get(x as u32, y as u32),
                            value > LOGIT_THRESHOLD,
                            "{size} at {x}, {y}"
                        );
                    }
                }
            }
        }
    }
}
