//! From linear light to the bytes of a photograph: lens, exposure, white balance, noise, sharpening, compression.

use super::jpeg;
use super::palette::{Colour, luminance};
use super::random::Rng;
use super::stage::blur_canvas;

/// Turns linear light into row-major RGB8.
pub(super) fn expose(mut canvas: Vec<Colour>, width: usize, height: usize, rng: &mut Rng) -> Vec<u8> {
    if rng.chance(0.05) {
        blur_canvas(&mut canvas, width, height, 1.0);
    } else if rng.chance(0.06) {
        motion_blur(&mut canvas, width, height, rng.int(2, 1 + width.min(height) / 64));
    }
    let exposure = exposure(&canvas, rng);
    let warmth = rng.normal() * 0.07;
    let tint = rng.normal() * 0.03;
    let balance = [
        exposure * (1.0 + warmth),
        exposure * (1.0 - tint),
        exposure * (1.0 - warmth),
    ];
    let curve = ToneCurve::new(rng);
    let saturation = if rng.chance(0.04) {
        0.0
    } else {
        rng.range(0.65, 1.3)
    };
    let (haze, haze_level) = if rng.chance(0.15) {
        (rng.range(0.05, 0.45), rng.range(0.4, 0.9))
    } else {
        (0.0, 0.0)
    };
    let vignette = if rng.chance(0.5) {
        rng.range(0.05, 0.5)
    } else {
        0.0
    };
    let (shot, read) = (rng.power_law(0.3, 7.0, 1.4), rng.power_law(0.3, 4.0, 1.6));
    let chroma_noise = rng.range(0.1, 1.0);
    let (cx, cy) = (0.5 * width as f32, 0.5 * height as f32);
    let reach = 1.0 / (cx * cx + cy * cy);
    let mut noise_state = rng.bits();
    for (y, row) in canvas.chunks_exact_mut(width).enumerate() {
        let dy = y as f32 + 0.5 - cy;
        for (x, pixel) in row.iter_mut().enumerate() {
            let dx = x as f32 + 0.5 - cx;
            let shade = 1.0 - vignette * (dx * dx + dy * dy) * reach;
            let mut colour = [0.0; 3];
            for channel in 0..3 {
                let light = pixel[channel] * balance[channel];
                colour[channel] = (light + (haze_level - light) * haze) * shade;
            }
            let grey = luminance(colour);
            let noise = gaussians(&mut noise_state);
            let grain = shot * (0.4 + 0.4 * grey.min(1.0)) + read * 0.5;
            for channel in 0..3 {
                let value = curve.level(grey + (colour[channel] - grey) * saturation);
                pixel[channel] = value + grain * (noise[0] + chroma_noise * noise[channel + 1]) * 0.6;
            }
        }
    }
    if rng.chance(0.5) {
        sharpen(&mut canvas, width, height, rng.range(0.1, 0.6));
    }
    if rng.chance(0.7) {
        for pixel in &mut canvas {
            *pixel = pixel.map(|value| value.clamp(0.0, 255.0));
        }
        let quality = 100.0 - rng.power_law(4.0, 75.0, 1.0);
        jpeg::compress(&mut canvas, width, height, quality);
    }
    let mut bytes = Vec::with_capacity(canvas.len() * 3);
    bytes.extend(canvas.iter().flatten().map(|&value| (value + 0.5) as u8));
    bytes
}

/// Scales the scene so that its mean lands where a light meter would put it, more or less.
fn exposure(canvas: &[Colour], rng: &mut Rng) -> f32 {
    let stride = (canvas.len() / 997).max(1);
    let (mut sum, mut count) = (0.0, 0);
    for pixel in canvas.iter().step_by(stride) {
        sum += luminance(*pixel).max(1e-3).ln();
        count += 1;
    }
    let mean = (sum / count.max(1) as f32).exp();
    let wanted = 0.17 * (rng.normal() * 0.35).exp();
    // Half the way only, so that night stays dark and snow bright.
    (wanted / mean.max(0.01)).powf(0.6).clamp(0.3, 6.0)
}

/// Display levels (0 to 255) of linear light, looked up by the light's exponent and upper mantissa bits.
struct ToneCurve {
    levels: Vec<f32>,
}

impl ToneCurve {
    /// The darkest light that is told from black.
    const DARKEST: f32 = 1.0 / 4096.0;
    /// Mantissa bits dropped: 128 levels per stop remain.
    const DROPPED_BITS: u32 = 23 - 7;

    /// A random gamma, S-shaped contrast and black level.
    fn new(rng: &mut Rng) -> Self {
        let gamma = 1.0 / rng.range(1.9, 2.5);
        let contrast = rng.range(-0.15, 0.6);
        let black = if rng.chance(0.3) {
            rng.range(0.0, 0.12)
        } else {
            0.0
        };
        let steps = (1.0f32.to_bits() - Self::DARKEST.to_bits()) >> Self::DROPPED_BITS;
        let levels = (0..=steps)
            .map(|step| {
                let light = f32::from_bits(Self::DARKEST.to_bits() + (step << Self::DROPPED_BITS));
                let display = (light - Self::DARKEST).powf(gamma);
                let curved = display * display * (3.0 - 2.0 * display);
                255.0 * (black + (1.0 - black) * (display + (curved - display) * contrast))
            })
            .collect();
        Self { levels }
    }

    #[inline(always)]
    fn level(&self, light: f32) -> f32 {
        let step =
            (light.clamp(Self::DARKEST, 1.0).to_bits() - Self::DARKEST.to_bits()) >> Self::DROPPED_BITS;
        self.levels.get(step as usize).copied().unwrap_or(0.0)
    }
}

/// Four bell-shaped numbers of unit deviation from one step of a multiplicative generator.
#[inline(always)]
fn gaussians(state: &mut u64) -> [f32; 4] {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bytes = (mixed ^ (mixed >> 32)).to_le_bytes();
    std::array::from_fn(|i| (f32::from(bytes[2 * i]) + f32::from(bytes[2 * i + 1]) - 255.0) * (1.0 / 104.5))
}

/// Horizontal camera shake.
fn motion_blur(canvas: &mut [Colour], width: usize, height: usize, length: usize) {
    let weight = 1.0 / length as f32;
    let mut line = vec![[0.0; 3]; width];
    for row in canvas.chunks_exact_mut(width).take(height) {
        line.copy_from_slice(row);
        for (x, pixel) in row.iter_mut().enumerate() {
            let mut sum = [0.0; 3];
            for offset in 0..length {
                let source = line[(x + offset).min(width - 1)];
                sum = [sum[0] + source[0], sum[1] + source[1], sum[2] + source[2]];
            }
            *pixel = sum.map(|channel| channel * weight);
        }
    }
}

/// Unsharp masking with a 3 x 3 cross, as cameras apply it: slight halos along edges.
fn sharpen(canvas: &mut [Colour], width: usize, height: usize, amount: f32) {
    if width < 3 || height < 3 {
        return;
    }
    let mut above = canvas[..width].to_vec();
    let mut current = above.clone();
    for y in 1..height - 1 {
        current.copy_from_slice(&canvas[y * width..(y + 1) * width]);
        let (upper, lower) = canvas.split_at_mut((y + 1) * width);
        let row = &mut upper[y * width..];
        for x in 1..width - 1 {
            for channel in 0..3 {
                let cross =
                    above[x][channel] + lower[x][channel] + current[x - 1][channel] + current[x + 1][channel];
                row[x][channel] += amount * (current[x][channel] - 0.25 * cross);
            }
        }
        std::mem::swap(&mut above, &mut current);
    }
}
