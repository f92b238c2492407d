//! Vectorised elementary functions, written once over `pulp` and compiled for AVX-512, AVX2, NEON and scalar code.
//!
//! Everything here is a plain `inline(always)` function: a closure would be compiled without the caller's target
//! features and turn every vector instruction into a call.

use super::Activation;
use pulp::{Simd, WithSimd};

/// Applies an activation.
#[inline(always)]
pub(super) fn activate<S: Simd>(simd: S, x: S::f32s, activation: Activation) -> S::f32s {
    match activation {
        Activation::Identity => x,
        Activation::Gelu => gelu(simd, x),
        Activation::GeluTanh => gelu_tanh(simd, x),
        Activation::Relu => simd.max_f32s(x, simd.splat_f32s(0.0)),
    }
}

/// [`activate`] over a slice.
pub(super) struct Activate<'a>(pub(super) &'a mut [f32], pub(super) Activation);

impl WithSimd for Activate<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (vectors, tail) = S::as_mut_simd_f32s(self.0);
        for vector in vectors {
            *vector = activate(simd, *vector, self.1);
        }
        let last = activate(simd, simd.partial_load_f32s(tail), self.1);
        simd.partial_store_f32s(tail, last);
    }
}

/// `2^x` for `x <= 0`, with results under the smallest normal number flushed to zero.
///
/// Cody-Waite split into integer and fraction, degree 6 polynomial on [-0.5, 0.5]; relative error under 2e-7.
#[inline(always)]
pub(super) fn exp2_nonpositive<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // 1.5 * 2^23: adding it leaves the rounded integer part of x in the low mantissa bits.
    let magic = simd.splat_f32s(12_582_912.0);
    let x = simd.max_f32s(x, simd.splat_f32s(-126.0));
    let shifted = simd.add_f32s(x, magic);
    let fraction = simd.sub_f32s(x, simd.sub_f32s(shifted, magic));
    let coefficients = [
        1.540_353e-4,
        1.333_355_8e-3,
        9.618_129e-3,
        5.550_411e-2,
        2.402_265e-1,
        6.931_472e-1,
        1.0_f32,
    ];
    let mut power = simd.splat_f32s(coefficients[0]);
    for coefficient in &coefficients[1..] {
        power = simd.mul_add_f32s(power, fraction, simd.splat_f32s(*coefficient));
    }
    let exponent = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(shifted), simd.splat_u32s(23));
    let scaled = simd.add_u32s(simd.transmute_u32s_f32s(power), exponent);
    simd.transmute_f32s_u32s(scaled)
}

/// `erf(x / sqrt 2)`, the odd part of the normal distribution's cumulative function; absolute error under 3e-7.
#[inline(always)]
fn erf_scaled<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // Rational minimax approximation of erf on [-4, 4], odd numerator over even denominator.
    const NUMERATOR: [f32; 7] = [
        -2.726_142e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const DENOMINATOR: [f32; 5] = [
        -1.456_607_2e-5,
        -2.133_740_6e-4,
        -1.682_827e-3,
        -7.373_329e-3,
        -1.426_473_9e-2,
    ];
    let scaled = simd.mul_f32s(x, simd.splat_f32s(std::f32::consts::FRAC_1_SQRT_2));
    let z = simd.max_f32s(simd.min_f32s(scaled, simd.splat_f32s(4.0)), simd.splat_f32s(-4.0));
    let z2 = simd.mul_f32s(z, z);
    let mut numerator = simd.splat_f32s(NUMERATOR[0]);
    for c in &NUMERATOR[1..] {
        numerator = simd.mul_add_f32s(numerator, z2, simd.splat_f32s(*c));
    }
    let mut denominator = simd.splat_f32s(DENOMINATOR[0]);
    for c in &DENOMINATOR[1..] {
        denominator = simd.mul_add_f32s(denominator, z2, simd.splat_f32s(*c));
    }
    simd.div_f32s(simd.mul_f32s(z, numerator), denominator)
}

/// Exact GELU, `x * (1 + erf(x / sqrt 2)) / 2`, absolute error under 1.5e-6.
#[inline(always)]
pub(super) fn gelu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let half = simd.mul_f32s(x, simd.splat_f32s(0.5));
    simd.mul_add_f32s(half, erf_scaled(simd, x), half)
}

/// `x / (1 + exp(-exponent))`; never overflows.
#[inline(always)]
fn sigmoid_product<S: Simd>(simd: S, x: S::f32s, exponent: S::f32s) -> S::f32s {
    // With e = exp(-|z|), the logistic function is 1 / (1 + e) for z >= 0 and e / (1 + e) for z < 0.
    let one = simd.splat_f32s(1.0);
    let zero = simd.splat_f32s(0.0);
    let log2_e = simd.splat_f32s(std::f32::consts::LOG2_E);
    let power = simd.mul_f32s(simd.abs_f32s(exponent), log2_e);
    let e = exp2_nonpositive(simd, simd.sub_f32s(zero, power));
    let numerator = simd.select_f32s(simd.less_than_f32s(exponent, zero), e, one);
    simd.div_f32s(simd.mul_f32s(x, numerator), simd.add_f32s(one, e))
}

/// SiLU, `x / (1 + exp(-x))`; relative error under 1e-6.
#[inline(always)]
pub(super) fn silu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    sigmoid_product(simd, x, x)
}

/// GELU in its tanh form, `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`, as a logistic function.
#[inline(always)]
pub(super) fn gelu_tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // tanh(y) = 2 / (1 + exp(-2 y)) - 1, and 2 sqrt(2 / pi) = 1.595769…
    let linear = simd.splat_f32s(1.595_769_2);
    let cubic = simd.splat_f32s(1.595_769_2 * 0.044_715);
    let squared = simd.mul_f32s(x, x);
    let exponent = simd.mul_f32s(x, simd.mul_add_f32s(squared, cubic, linear));
    sigmoid_product(simd, x, exponent)
}

/// The derivative of exact GELU: `(1 + erf(x / sqrt 2)) / 2 + x exp(-x^2 / 2) / sqrt(2 pi)`.
#[inline(always)]
pub(super) fn gelu_derivative<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let half = simd.splat_f32s(0.5);
    let cumulative = simd.mul_add_f32s(erf_scaled(simd, x), half, half);
    let exponent = simd.mul_f32s(
        simd.mul_f32s(x, x),
        simd.splat_f32s(-0.5 * std::f32::consts::LOG2_E),
    );
    let density = simd.mul_f32s(exp2_nonpositive(simd, exponent), simd.splat_f32s(0.398_942_3));
    simd.mul_add_f32s(x, density, cumulative)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::Arch;

    struct Map<'a, F>(&'a [f32], &'a mut [f32], F);

    enum Function {
        Exp2,
        Gelu,
        GeluTanh,
        Silu,
    }

    impl WithSimd for Map<'_, Function> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let (head, _) = S::as_simd_f32s(self.0);
            let (out, _) = S::as_mut_simd_f32s(self.1);
            for (x, y) in head.iter().zip(out) {
                *y = match self.2 {
                    Function::Exp2 => exp2_nonpositive(simd, *x),
                    Function::Gelu => gelu(simd, *x),
                    Function::GeluTanh => gelu_tanh(simd, *x),
                    Function::Silu => silu(simd, *x),
                };
            }
        }
    }

    #[test]
    fn exp2_matches_double_precision() {
        let x: Vec<f32> = (0..1 << 16).map(|i| -(i as f32) * 30.0 / 65536.0).collect();
        let mut y = vec![0.0; x.len()];
        Arch::new().dispatch(Map(&x, &mut y, Function::Exp2));
        for (x, y) in x.iter().zip(&y) {
            let expected = f64::from(*x).exp2();
            assert!(
                (f64::from(*y) - expected).abs() <= 3e-7 * expected,
                "2^{x} = {expected}, got {y}"
            );
        }
    }

    #[test]
    fn gelu_matches_erf() {
        // Values of 0.5 x (1 + erf(x / sqrt 2)) in double precision.
        let cases: [(f32, f64); 7] = [
            (-6.0, -5.919e-9),
            (-3.0, -0.004_049_694_095),
            (-1.0, -0.158_655_253_931),
            (-0.1, -0.046_017_216_272),
            (0.0, 0.0),
            (0.5, 0.345_731_230_637),
            (2.5, 2.484_475_835_8),
        ];
        for (x, expected) in cases {
            let input = [x; 64];
            let mut y = [0.0; 64];
            Arch::new().dispatch(Map(&input, &mut y, Function::Gelu));
            assert!(
                (f64::from(y[0]) - expected).abs() < 1.5e-6,
                "gelu({x}) = {expected}, got {}",
                y[0]
            );
        }
    }

    #[test]
    fn logistic_activations_match_double_precision() {
        let x: Vec<f32> = (-4096..4096).map(|i| i as f32 / 100.0).collect();
        let mut y = vec![0.0; x.len()];
        type Reference = fn(f64) -> f64;
        let cases: [(Function, Reference); 2] = [
            (Function::Silu, |x| x / (1.0 + (-x).exp())),
            (Function::GeluTanh, |x| {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }),
        ];
        for (function, reference) in cases {
            Arch::new().dispatch(Map(&x, &mut y, function));
            for (x, y) in x.iter().zip(&y) {
                let expected = reference(f64::from(*x));
                assert!(
                    (f64::from(*y) - expected).abs() <= 1e-6 * expected.abs() + 1e-6,
                    "f({x}) = {expected}, got {y}"
                );
            }
        }
    }
}
