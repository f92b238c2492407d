//! The marks that JPEG leaves: 8 x 8 cosine blocks rounded to quantisation steps, with halved chroma.

use super::palette::Colour;
use std::sync::LazyLock;

/// Relative step of each luma coefficient: fine for low frequencies, coarse for high ones.
const LUMA_STEPS: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17,
    22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78,
    87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];
/// Relative step of each chroma coefficient outside the low 4 x 4 corner, and inside it by row.
const CHROMA_STEPS: [[u8; 4]; 4] = [
    [17, 18, 24, 47],
    [18, 21, 26, 66],
    [24, 26, 56, 99],
    [47, 66, 99, 99],
];

type Block = [[f32; 8]; 8];

static COSINES: LazyLock<Block> = LazyLock::new(|| {
    std::array::from_fn(|frequency| {
        std::array::from_fn(|x| {
            let norm = if frequency == 0 {
                (1.0f32 / 8.0).sqrt()
            } else {
                0.5
            };
            norm * (std::f32::consts::PI * (x as f32 + 0.5) * frequency as f32 / 8.0).cos()
        })
    })
});

/// `a` times `b`.
#[inline(always)]
fn product(a: &Block, b: &Block) -> Block {
    let mut result = [[0.0; 8]; 8];
    for (row, out) in a.iter().zip(&mut result) {
        for (factor, line) in row.iter().zip(b) {
            for (target, value) in out.iter_mut().zip(line) {
                *target += factor * value;
            }
        }
    }
    result
}

fn transposed(a: &Block) -> Block {
    std::array::from_fn(|y| std::array::from_fn(|x| a[x][y]))
}

/// Rounds one plane of display values (0 to 255, centred at 0) block by block.
fn quantise_plane(plane: &mut [f32], width: usize, height: usize, steps: &Block) {
    let cosines = &*COSINES;
    let back = transposed(cosines);
    for block_y in (0..height).step_by(8) {
        for block_x in (0..width).step_by(8) {
            let mut block = [[0.0; 8]; 8];
            for (y, row) in block.iter_mut().enumerate() {
                let line = (block_y + y).min(height - 1) * width;
                if block_x + 8 <= width {
                    row.copy_from_slice(&plane[line + block_x..line + block_x + 8]);
                } else {
                    for (x, value) in row.iter_mut().enumerate() {
                        *value = plane[line + (block_x + x).min(width - 1)];
                    }
                }
            }
            let mut spectrum = product(&product(cosines, &block), &back);
            for (row, row_steps) in spectrum.iter_mut().zip(steps) {
                for (value, step) in row.iter_mut().zip(row_steps) {
                    let scaled = *value / step;
                    // Adding and taking away 1.5 * 2^23 rounds to the nearest integer without a library call.
                    *value = ((scaled + 12_582_912.0) - 12_582_912.0) * step;
                }
            }
            let restored = product(&product(&back, &spectrum), cosines);
            for (y, row) in restored.iter().enumerate().take(height - block_y) {
                let line = (block_y + y) * width + block_x;
                let count = (width - block_x).min(8);
                plane[line..line + count].copy_from_slice(&row[..count]);
            }
        }
    }
}

/// Passes display values (0 to 255) through JPEG's losses at `quality` (1 to 100).
pub(super) fn compress(pixels: &mut [Colour], width: usize, height: usize, quality: f32) {
    let factor = if quality < 50.0 {
        50.0 / quality
    } else {
        2.0 - quality / 50.0
    };
    let luma_steps: Block = std::array::from_fn(|y| {
        std::array::from_fn(|x| (f32::from(LUMA_STEPS[y * 8 + x]) * factor).max(1.0))
    });
    let chroma_steps: Block = std::array::from_fn(|y| {
        std::array::from_fn(|x| {
            let step = CHROMA_STEPS
                .get(y)
                .and_then(|row| row.get(x))
                .copied()
                .unwrap_or(99);
            (f32::from(step) * factor).max(1.0)
        })
    });
    let (half_w, half_h) = (width.div_ceil(2), height.div_ceil(2));
    let mut luma = vec![0.0; width * height];
    let mut blue = vec![0.0; half_w * half_h];
    let mut red = vec![0.0; half_w * half_h];
    for (i, [r, g, b]) in pixels.iter().copied().enumerate() {
        luma[i] = 0.299 * r + 0.587 * g + 0.114 * b - 128.0;
        let at = (i / width / 2) * half_w + (i % width) / 2;
        blue[at] += 0.25 * (-0.1687 * r - 0.3313 * g + 0.5 * b);
        red[at] += 0.25 * (0.5 * r - 0.4187 * g - 0.0813 * b);
    }
    quantise_plane(&mut luma, width, height, &luma_steps);
    quantise_plane(&mut blue, half_w, half_h, &chroma_steps);
    quantise_plane(&mut red, half_w, half_h, &chroma_steps);
    for (i, pixel) in pixels.iter_mut().enumerate() {
        let at = (i / width / 2) * half_w + (i % width) / 2;
        let (y, cb, cr) = (luma[i] + 128.0, blue[at], red[at]);
        *pixel = [y + 1.402 * cr, y - 0.3441 * cb - 0.7141 * cr, y + 1.772 * cb];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn high_quality_changes_little_and_low_quality_more() {
        let (width, height) = (21, 19);
        let source: Vec<Colour> = (0..width * height)
            .map(|i| [(i * 7 % 256) as f32, 128.0 + (i % width) as f32, 90.0])
            .collect();
        let error = |quality| {
            let mut copy = source.clone();
            compress(&mut copy, width, height, quality);
            let luma = |c: &Colour| 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2];
            copy.iter()
                .zip(&source)
                .map(|(a, b)| (luma(a) - luma(b)).abs())
                .sum::<f32>()
                / source.len() as f32
        };
        assert!(error(99.0) < 1.0, "{}", error(99.0));
        assert!(error(10.0) > 2.0 * error(90.0), "{} {}", error(10.0), error(90.0));
    }
}
