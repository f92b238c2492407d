//! The gate of a gated feed-forward layer: one half of a row passes through SiLU and multiplies the other.

use super::output::filled;
use super::simd::silu;
use pulp::{Arch, Simd, WithSimd};

/// Rows `[gate, up]` of `2 * width` values each become rows `silu(gate) * up` of `width`.
pub(crate) fn silu_product(gate_up: &[f32], width: usize) -> Vec<f32> {
    const ROWS: usize = 16;
    assert!(
        width > 0 && gate_up.len().is_multiple_of(2 * width),
        "rows must be gate and up, side by side"
    );
    let arch = Arch::new();
    filled(gate_up.len() / 2, ROWS * width, |task, out| {
        let gate_up = &gate_up[task * ROWS * 2 * width..][..2 * out.len()];
        arch.dispatch(Rows { gate_up, out, width });
    })
}

struct Rows<'a> {
    gate_up: &'a [f32],
    out: &'a mut [f32],
    width: usize,
}

impl WithSimd for Rows<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.gate_up.chunks_exact(2 * self.width);
        for (row, out) in rows.zip(self.out.chunks_exact_mut(self.width)) {
            let (gate, up) = row.split_at(self.width);
            let (gate, up) = (S::as_simd_f32s(gate), S::as_simd_f32s(up));
            let (vectors, tail) = S::as_mut_simd_f32s(out);
            for ((out, gate), up) in vectors.iter_mut().zip(gate.0).zip(up.0) {
                *out = simd.mul_f32s(silu(simd, *gate), *up);
            }
            if !tail.is_empty() {
                let (gate, up) = (simd.partial_load_f32s(gate.1), simd.partial_load_f32s(up.1));
                simd.partial_store_f32s(tail, simd.mul_f32s(silu(simd, gate), up));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gated_whatever_their_width() {
        for (rows, width) in [(1, 1), (3, 7), (40, 33)] {
            let input: Vec<f32> = (0..rows * 2 * width)
                .map(|i| ((i * 37 % 101) as f32 - 50.0) / 10.0)
                .collect();
            let out = silu_product(&input, width);
            assert_eq!(out.len(), rows * width);
            for (i, value) in out.iter().enumerate() {
                let at = i / width * 2 * width + i % width;
                let (gate, up) = (f64::from(input[at]), f64::from(input[at + width]));
                let expected = gate / (1.0 + (-gate).exp()) * up;
                assert!(
                    (f64::from(*value) - expected).abs() < 1e-5,
                    "{rows} x {width} at {i}"
                );
            }
        }
    }
}
