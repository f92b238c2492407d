//! The identity of a model: a BLAKE3 hash over its configuration and weights, the same in every file format.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Separates these hashes from BLAKE3 hashes of anything else.
const DOMAIN: &str = "samtok model fingerprint v1";
/// Values converted to bytes at a time.
const BLOCK: usize = 1 << 18;

/// Identity of a model; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(blake3::Hash);

impl Fingerprint {
    /// The first 12 hexadecimal digits, to show to people.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.to_hex().chars().take(12).collect()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_hex())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", self.short())
    }
}

/// The text is not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 hexadecimal digits")]
pub struct InvalidFingerprint;

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text)
            .map(Self)
            .map_err(|_error| InvalidFingerprint)
    }
}

/// Collects a model's tensors, in any order, into a [`Fingerprint`].
#[derive(Clone, Debug)]
pub struct FingerprintBuilder {
    configuration: blake3::Hash,
    tensors: BTreeMap<String, (Vec<usize>, blake3::Hash)>,
}

impl FingerprintBuilder {
    /// Starts with the bytes of the configuration; the caller writes equal configurations with equal bytes.
    #[must_use]
    pub fn new(configuration: &[u8]) -> Self {
        Self {
            configuration: blake3::hash(configuration),
            tensors: BTreeMap::new(),
        }
    }

    /// Adds a tensor by its canonical name, with its values in row-major order.
    #[must_use]
    pub fn tensor(mut self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        self.add(name, shape, values);
        self
    }

    /// Adds a tensor as [`Self::tensor`] does, for use in a loop.
    pub fn add(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        self.tensors
            .insert(name.to_owned(), (shape.to_vec(), hash_values(values)));
    }

    /// The identity of configuration and tensors together.
    #[must_use]
    pub fn finish(self) -> Fingerprint {
        let mut hasher = blake3::Hasher::new_derive_key(DOMAIN);
        hasher.update(self.configuration.as_bytes());
        for (name, (shape, values)) in &self.tensors {
            // Lengths go in front, so that no two lists of tensors give the same bytes.
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
            hasher.update(&(shape.len() as u64).to_le_bytes());
            for &size in shape {
                hasher.update(&(size as u64).to_le_bytes());
            }
            hasher.update(values.as_bytes());
        }
        Fingerprint(hasher.finalize())
    }
}

fn hash_values(values: &[f32]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::with_capacity(values.len().min(BLOCK) * 4);
    for block in values.chunks(BLOCK) {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|value| value.to_le_bytes()));
        hasher.update_rayon(&bytes);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> FingerprintBuilder {
        FingerprintBuilder::new(b"{}")
    }

    #[test]
    fn depends_on_everything_but_order() {
        let base = builder()
            .tensor("a", &[2], &[1.0, 2.0])
            .tensor("b", &[1], &[3.0])
            .finish();
        assert_eq!(
            builder()
                .tensor("b", &[1], &[3.0])
                .tensor("a", &[2], &[1.0, 2.0])
                .finish(),
            base
        );
        for other in [
            FingerprintBuilder::new(b"{ }")
                .tensor("a", &[2], &[1.0, 2.0])
                .tensor("b", &[1], &[3.0]),
            builder().tensor("a", &[2], &[1.0, 2.0]),
            builder()
                .tensor("a", &[2, 1], &[1.0, 2.0])
                .tensor("b", &[1], &[3.0]),
            builder().tensor("a", &[2], &[1.0, 2.5]).tensor("b", &[1], &[3.0]),
            builder().tensor("a", &[2], &[1.0, 2.0]).tensor("c", &[1], &[3.0]),
        ] {
            assert_ne!(other.finish(), base);
        }
    }

    #[test]
    fn text_form_round_trips() {
        let fingerprint = builder().finish();
        let text = fingerprint.to_string();
        assert_eq!(text.len(), 64);
        assert_eq!(fingerprint.short(), text[..12]);
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!("12".parse::<Fingerprint>(), Err(InvalidFingerprint));
    }

    /// Fails when the recipe changes, which would orphan every stored word.
    #[test]
    fn recipe_is_fixed() {
        let fingerprint = builder().tensor("a", &[2], &[1.0, -2.0]).finish();
        assert_eq!(fingerprint.short(), "77ed677b0ef6");
    }
}
