//! Position encodings: bicubic interpolation of learned grids, sines, and random Fourier features.

use crate::tokenizer::Result;
use candle_core::{D, Device, Tensor};
use std::f64::consts::TAU;

/// Weights (`outputs x inputs`) of PyTorch's bicubic interpolation (a = -0.75, align_corners false, no antialias).
///
/// Interpolation is linear in the grid, so the resize is two matrix products and has a gradient for free.
pub(crate) fn bicubic_matrix(inputs: usize, outputs: usize, device: &Device) -> Result<Tensor> {
    const A: f64 = -0.75;
    let near = |t: f64| ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0;
    let far = |t: f64| ((A * t - 5.0 * A) * t + 8.0 * A) * t - 4.0 * A;
    let mut matrix = vec![0.0_f32; inputs * outputs];
    for (output, row) in matrix.chunks_exact_mut(inputs).enumerate() {
        let centre = (output as f64 + 0.5) * inputs as f64 / outputs as f64 - 0.5;
        let (first, t) = (centre.floor(), centre - centre.floor());
        let weights = [far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)];
        for (offset, weight) in (-1_i64..).zip(weights) {
            let source = (first as i64 + offset).clamp(0, inputs as i64 - 1);
            row[source as usize] += weight as f32;
        }
    }
    Ok(Tensor::from_vec(matrix, (outputs, inputs), device)?)
}

/// Sine position encoding of a `height x width` grid, `(height * width, channels)`: temperature 10000, normalised
/// to `2 pi`, y before x. SAM 2 uses it for its video memory.
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "read by video memory only; kept because the reference has it"
    )
)]
pub(crate) fn sine_encoding(height: usize, width: usize, channels: usize) -> Vec<f32> {
    let half = channels / 2;
    let mut out = vec![0.0_f32; height * width * channels];
    for (cell, row) in out.chunks_exact_mut(channels).enumerate() {
        let y = (cell / width + 1) as f64 / (height as f64 + 1e-6) * TAU;
        let x = (cell % width + 1) as f64 / (width as f64 + 1e-6) * TAU;
        for (position, part) in [y, x].into_iter().zip(row.chunks_exact_mut(half)) {
            for (i, value) in part.iter_mut().enumerate() {
                let angle = position / 10_000_f64.powf((2 * (i / 2)) as f64 / half as f64);
                *value = if i % 2 == 0 { angle.sin() } else { angle.cos() } as f32;
            }
        }
    }
    out
}

/// Random Fourier features of points in `[0, 1]` (`(…, 2)` as x, y), `(…, 2 * features)`; `gaussian` is `2 x features`.
pub(crate) fn fourier_features(points: &Tensor, gaussian: &Tensor) -> Result<Tensor> {
    let (count, _) = points.flatten_to(D::Minus2)?.dims2()?;
    let features = gaussian.dim(1)?;
    let projected = (points.reshape((count, 2))? * 2.0)?
        .affine(1.0, -1.0)?
        .matmul(gaussian)?;
    let angles = (projected * TAU)?;
    let mut shape = points.dims().to_vec();
    shape.pop();
    shape.push(2 * features);
    Ok(Tensor::cat(&[angles.sin()?, angles.cos()?], 1)?.reshape(shape)?)
}

/// Centres of the cells of a `side x side` grid in `[0, 1]`, `(side * side, 2)` as x, y.
pub(crate) fn grid_points(side: usize, device: &Device) -> Result<Tensor> {
    let centre = |i: usize| (i as f32 + 0.5) / side as f32;
    let points: Vec<f32> = (0..side * side)
        .flat_map(|cell| [centre(cell % side), centre(cell / side)])
        .collect();
    Ok(Tensor::from_vec(points, (side * side, 2), device)?)
}
