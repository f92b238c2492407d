//! Reproducible weights without a download: every value follows from the tensor's name, shape and position.
//!
//! They make a network that runs and can be compared between implementations, not one that has learned anything.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::error::WeightsError;
use super::write::{self, NamedTensor, Precision};

/// Values below which threads cost more than they bring.
const SERIAL: usize = 1 << 14;

/// The values of tensor `name` in row-major order.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "weights are rounded to f32 by definition"
)]
pub fn tensor(name: &str, shape: &[usize]) -> Vec<f32> {
    let numel: usize = shape.iter().product();
    let seed = fnv1a64(name.as_bytes());
    let rule = Rule::of(name, shape);
    let value = |index: usize| rule.apply(uniform(seed, index as u64 + 1)) as f32;
    if numel < SERIAL {
        (0..numel).map(value).collect()
    } else {
        (0..numel).into_par_iter().map(value).collect()
    }
}

/// Writes generated weights for all `shapes` (name to shape) as a safetensors file.
///
/// # Errors
/// As [`write::safetensors`].
pub fn write(
    path: &Path,
    shapes: &BTreeMap<String, Vec<usize>>,
    precision: Precision,
) -> Result<(), WeightsError> {
    let tensors = shapes
        .iter()
        .map(|(name, shape)| NamedTensor::new(name.clone(), shape.clone(), move || Ok(tensor(name, shape))));
    let metadata = BTreeMap::from([("samtok.weights".to_owned(), "generated".to_owned())]);
    write::safetensors(path, tensors, precision, &metadata)
}

fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A number in [-1, 1): splitmix64 started at `seed`, step `index`.
#[expect(clippy::cast_precision_loss, reason = "24 bits fit f64")]
fn uniform(seed: u64, index: u64) -> f64 {
    let mut z = seed.wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    2.0 * ((z >> 40) as f64 / f64::from(1 << 24)) - 1.0
}

/// How a uniform number becomes a weight, so that activations keep a sensible size through the network.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Scale(f64),
    AroundOne,
}

impl Rule {
    #[expect(clippy::cast_precision_loss, reason = "fan-in is far below 2^53")]
    fn of(name: &str, shape: &[usize]) -> Self {
        let is_weight = name.ends_with("weight");
        let is_matrix = shape.len() >= 2;
        let has_few_rows = shape.first().is_some_and(|&rows| rows <= 8);
        let is_table_of_few = is_matrix
            && has_few_rows
            && (name.contains("embed") || (name.contains("token") && shape.len() == 2));
        if name.ends_with("positional_encoding_gaussian_matrix") {
            Self::Scale(1.732_050_8)
        } else if is_weight && (name.contains("codebooks") || is_table_of_few) {
            Self::Scale(1.0)
        } else if is_matrix && is_weight {
            let fan_in: usize = shape.iter().skip(1).product();
            Self::Scale((3.0 / fan_in as f64).sqrt())
        } else if is_matrix {
            Self::Scale(0.2)
        } else if is_weight || name.ends_with("gamma") {
            Self::AroundOne
        } else {
            Self::Scale(0.05)
        }
    }

    fn apply(self, u: f64) -> f64 {
        match self {
            Self::Scale(scale) => u * scale,
            Self::AroundOne => 1.0 + 0.1 * u,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples() {
        for (name, shape, expected) in [
            (
                "model.sam2_model.no_mem_embed",
                &[1, 1, 256][..],
                [-0.0231870, -0.1518106, 0.1000284],
            ),
            (
                "model.sam2_model.image_encoder.trunk.patch_embed.proj.weight",
                &[144, 3, 7, 7],
                [-0.0572561, 0.1196391, 0.1074417],
            ),
            (
                "model.sam2_model.sam_mask_encoder.mask_tokens.weight",
                &[1, 256],
                [-0.490_567, 0.676_903, 0.914_434_4],
            ),
            (
                "model.sam2_model.image_encoder.trunk.blocks.0.norm1.weight",
                &[144],
                [0.9353182, 0.9988648, 1.005_221],
            ),
        ] {
            let values = tensor(name, shape);
            assert_eq!(values.len(), shape.iter().product::<usize>());
            for (value, expected) in values.iter().zip(expected) {
                assert!(
                    (value - expected).abs() < 6e-8,
                    "{name}: {value} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn threads_change_nothing() {
        let many = tensor("x.weight", &[SERIAL, 2]);
        let seed = fnv1a64(b"x.weight");
        let scale = (3.0_f64 / 2.0).sqrt();
        let last = (uniform(seed, many.len() as u64) * scale) as f32;
        assert_eq!(many.last(), Some(&last));
    }
}
