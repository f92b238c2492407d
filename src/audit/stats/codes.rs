//! How a folder uses the codebooks of the models that made its words.

use std::collections::BTreeMap;

use crate::dataset::Document;
use crate::words::WordFormat;

/// Models that are told apart; only a folder made to do harm has more.
const MAX_MODELS: usize = 100;

/// A model, by what makes its words comparable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Model {
    /// Fingerprint of configuration and weights.
    pub fingerprint: String,
    /// Codes per depth.
    pub codebook_size: u32,
    /// Words per mask.
    pub codebook_depth: u32,
}

/// The codes that one model gave to regions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelUse {
    /// Name of the model.
    pub name: String,
    /// Regions with its words.
    pub regions: u64,
    /// Of those, the ones whose codes do not fit its codebooks; they are counted nowhere else.
    pub unfit: u64,
    /// The codes at each depth.
    pub depths: Vec<CodeUse>,
}

/// How often each code of one codebook was used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeUse {
    counts: BTreeMap<u32, u64>,
}

impl CodeUse {
    /// Codes that were used, with how often, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.counts.iter().map(|(&code, &count)| (code, count))
    }

    /// Number of codes that were used.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.counts.len() as u64
    }

    /// Codes that were used, though fewer than `times` times.
    pub fn rare(&self, times: u64) -> impl Iterator<Item = u32> + '_ {
        self.iter()
            .filter(move |&(_, count)| count < times)
            .map(|(code, _)| code)
    }

    /// Codes below `codebook_size` that were never used.
    pub fn unused(&self, codebook_size: u32) -> impl Iterator<Item = u32> + '_ {
        (0..codebook_size).filter(|code| !self.counts.contains_key(code))
    }

    /// Two to the entropy of the codes: how many codes would be used as evenly; 0 where none is.
    #[must_use]
    pub fn perplexity(&self) -> f64 {
        let total: u64 = self.counts.values().sum();
        if total == 0 {
            return 0.0;
        }
        let share = |count: u64| count as f64 / total as f64;
        let entropy: f64 = self
            .counts
            .values()
            .map(|&count| -share(count) * share(count).log2())
            .sum();
        entropy.exp2()
    }
}

/// The words of a folder by model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordUse {
    /// Regions without words.
    pub missing: u64,
    /// Regions whose words were made from their present mask.
    pub fresh: u64,
    /// Regions whose mask changed after the words were made.
    pub stale: u64,
    /// What each model made.
    pub models: BTreeMap<Model, ModelUse>,
}

impl WordUse {
    /// The words of one image.
    pub(super) fn of(document: &Document) -> Self {
        let mut uses = Self::default();
        for region in &document.regions {
            let Some(words) = &region.words else {
                uses.missing += 1;
                continue;
            };
            if region.has_fresh_words() {
                uses.fresh += 1;
            } else {
                uses.stale += 1;
            }
            let Some(tokenizer) = document
                .tokenizers
                .iter()
                .find(|known| known.id == words.tokenizer)
            else {
                continue;
            };
            let model = Model {
                fingerprint: tokenizer.fingerprint.clone(),
                codebook_size: tokenizer.codebook_size,
                codebook_depth: tokenizer.codebook_depth,
            };
            let used = uses.models.entry(model).or_insert_with(|| ModelUse {
                name: tokenizer.name.clone(),
                ..ModelUse::default()
            });
            used.regions += 1;
            let format = WordFormat::new(tokenizer.codebook_size, tokenizer.codebook_depth);
            if !format.is_ok_and(|format| format.codes(&words.codes).is_ok()) {
                used.unfit += 1;
                continue;
            }
            used.depths.resize_with(words.codes.len(), CodeUse::default);
            for (depth, &code) in used.depths.iter_mut().zip(&words.codes) {
                *depth.counts.entry(code).or_default() += 1;
            }
        }
        uses
    }

    /// Adds those of another image.
    pub(super) fn add(&mut self, other: Self) {
        self.missing += other.missing;
        self.fresh += other.fresh;
        self.stale += other.stale;
        for (model, used) in other.models {
            if self.models.len() < MAX_MODELS || self.models.contains_key(&model) {
                self.models.entry(model).or_default().add(used);
            }
        }
    }
}

impl ModelUse {
    fn add(&mut self, other: Self) {
        if self.regions == 0 {
            self.name = other.name;
        }
        self.regions += other.regions;
        self.unfit += other.unfit;
        let depths = self.depths.len().max(other.depths.len());
        self.depths.resize_with(depths, CodeUse::default);
        for (depth, other) in self.depths.iter_mut().zip(other.depths) {
            for (code, count) in other.counts {
                *depth.counts.entry(code).or_default() += count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(counts: &[(u32, u64)]) -> CodeUse {
        CodeUse {
            counts: counts.iter().copied().collect(),
        }
    }

    #[test]
    fn perplexity_is_the_number_of_evenly_used_codes() {
        let cases: [(&[(u32, u64)], f64); 5] = [
            (&[], 0.0),
            (&[(7, 3)], 1.0),
            (&[(1, 5), (2, 5)], 2.0),
            (&[(0, 1), (9, 1), (3, 1), (4, 1)], 4.0),
            (&[(0, 1), (1, 3)], 1.754_765),
        ];
        for (counts, expected) in cases {
            let found = codes(counts).perplexity();
            assert!((found - expected).abs() < 1e-5, "{counts:?}: {found}");
        }
    }

    #[test]
    fn rare_and_unused_codes_are_told_apart() {
        let codes = codes(&[(0, 1), (2, 4), (3, 5)]);
        assert_eq!(codes.rare(5).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(codes.unused(6).collect::<Vec<_>>(), [1, 4, 5]);
        assert_eq!(codes.used(), 3);
    }
}
