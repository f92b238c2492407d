//! Chooses the next token from the network's scores.

use super::error::{QwenError, Result};
use crate::language::Sampling;
use std::collections::HashSet;

/// Chooses tokens; one for each answer.
#[derive(Debug)]
pub(super) struct Sampler {
    temperature: f32,
    top_p: f32,
    top_k: usize,
    repetition_penalty: f32,
    /// Tokens of the prompt and the answer so far.
    used: HashSet<u32>,
    random: u64,
}

impl Sampler {
    pub(super) fn new(sampling: &Sampling, prompt: impl IntoIterator<Item = u32>) -> Result<Self> {
        let refused = |reason| Err(QwenError::Request { reason });
        if !(sampling.temperature.is_finite() && sampling.temperature >= 0.0) {
            return refused("the temperature must be 0 or more");
        }
        if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
            return refused("top-p must be above 0 and at most 1");
        }
        if !(sampling.repetition_penalty.is_finite() && sampling.repetition_penalty > 0.0) {
            return refused("the repetition penalty must be above 0");
        }
        let counts = sampling.repetition_penalty != 1.0;
        Ok(Self {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            repetition_penalty: sampling.repetition_penalty,
            used: prompt.into_iter().filter(|_| counts).collect(),
            random: sampling.seed,
        })
    }

    /// The next token; `scores` has one value per token and is changed.
    pub(super) fn choose(&mut self, scores: &mut [f32]) -> Result<u32> {
        if self.repetition_penalty != 1.0 {
            for token in &self.used {
                if let Some(score) = scores.get_mut(*token as usize) {
                    // A penalty always makes a token less likely, whatever the sign of its score.
                    *score = if *score > 0.0 {
                        *score / self.repetition_penalty
                    } else {
                        *score * self.repetition_penalty
                    };
                }
            }
        }
        let (mut best, mut highest) = (0, f32::NEG_INFINITY);
        for (token, score) in scores.iter().enumerate() {
            if score.is_nan() {
                return Err(QwenError::NotFinite);
            }
            if *score > highest {
                (best, highest) = (token, *score);
            }
        }
        if !highest.is_finite() {
            return Err(QwenError::NotFinite);
        }
        let token = if self.temperature == 0.0 {
            best as u32
        } else {
            self.draw(scores, highest).unwrap_or(best as u32)
        };
        if self.repetition_penalty != 1.0 {
            self.used.insert(token);
        }
        Ok(token)
    }

    fn draw(&mut self, scores: &[f32], highest: f32) -> Option<u32> {
        let inverse = 1.0 / f64::from(self.temperature);
        let mut shares: Vec<(u32, f64)> = (0..)
            .zip(scores)
            .map(|(token, score)| (token, (f64::from(score - highest) * inverse).exp()))
            .filter(|(_, share)| *share > 0.0)
            .collect();
        if self.top_k > 0 && self.top_k < shares.len() {
            shares.select_nth_unstable_by(self.top_k - 1, by_share);
            shares.truncate(self.top_k);
        }
        let mut total: f64 = shares.iter().map(|(_, share)| share).sum();
        if self.top_p < 1.0 {
            shares.sort_unstable_by(by_share);
            let wanted = total * f64::from(self.top_p);
            let mut sum = 0.0;
            let kept = shares.iter().take_while(|(_, share)| {
                let goes_on = sum < wanted;
                sum += share;
                goes_on
            });
            let kept = kept.count().max(1);
            shares.truncate(kept);
            total = shares.iter().map(|(_, share)| share).sum();
        }
        let mut left = self.uniform() * total;
        shares
            .iter()
            .find(|(_, share)| {
                left -= share;
                left < 0.0
            })
            .or(shares.last())
            .map(|(token, _)| *token)
    }

    /// A number in [0, 1): splitmix64, so that a seed gives the same answer on every machine.
    fn uniform(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Likeliest first; of equals the smaller token, so that the order is always the same.
fn by_share(a: &(u32, f64), b: &(u32, f64)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(sampling: &Sampling, scores: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling, []).unwrap();
        (0..count)
            .map(|_| sampler.choose(&mut scores.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest() {
        let greedy = Sampling::default();
        assert_eq!(drawn(&greedy, &[0.0, 3.0, 3.0, -1.0], 3), [1, 1, 1]);
        assert_eq!(drawn(&greedy, &[f32::NEG_INFINITY, -5.0], 1), [1]);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let sampling = Sampling {
            temperature: 1.0,
            ..Sampling::default()
        };
        let scores: Vec<f32> = [0.5_f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln() + 7.0).collect();
        let draws = drawn(&sampling, &scores, 20_000);
        for (token, expected) in [(0, 0.5), (1, 0.3), (2, 0.15), (3, 0.05)] {
            let share = draws.iter().filter(|drawn| **drawn == token).count() as f64 / 20_000.0;
            assert!((share - expected).abs() < 0.02, "token {token}: {share}");
        }
        // Half the temperature squares the probabilities.
        let colder = Sampling {
            temperature: 0.5,
            ..sampling.clone()
        };
        let draws = drawn(&colder, &scores, 20_000);
        let share = draws.iter().filter(|drawn| **drawn == 0).count() as f64 / 20_000.0;
        assert!((share - 0.25 / 0.365).abs() < 0.02, "{share}");
    }

    #[test]
    fn only_the_likeliest_are_drawn_from() {
        let scores: Vec<f32> = [0.05_f32, 0.5, 0.15, 0.3].iter().map(|p| p.ln()).collect();
        let kinds = |top_k, top_p| {
            let sampling = Sampling {
                temperature: 1.0,
                top_k,
                top_p,
                ..Sampling::default()
            };
            let mut kinds = drawn(&sampling, &scores, 500);
            kinds.sort_unstable();
            kinds.dedup();
            kinds
        };
        assert_eq!(kinds(0, 1.0), [0, 1, 2, 3]);
        assert_eq!(kinds(1, 1.0), [1]);
        assert_eq!(kinds(2, 1.0), [1, 3]);
        assert_eq!(kinds(0, 0.4), [1]);
        assert_eq!(kinds(0, 0.6), [1, 3]);
        assert_eq!(kinds(0, 0.9), [1, 2, 3]);
        assert_eq!(kinds(2, 0.999), [1, 3]);
    }

    #[test]
    fn a_seed_repeats_itself_and_another_does_not() {
        let scores = vec![0.0; 1000];
        let with_seed = |seed| {
            let sampling = Sampling {
                temperature: 1.0,
                seed,
                ..Sampling::default()
            };
            drawn(&sampling, &scores, 20)
        };
        assert_eq!(with_seed(5), with_seed(5));
        assert_ne!(with_seed(5), with_seed(6));
    }

    #[test]
    fn repeated_tokens_lose_whatever_the_sign_of_their_score() {
        let sampling = Sampling {
            repetition_penalty: 1.5,
            ..Sampling::default()
        };
        let mut sampler = Sampler::new(&sampling, [1]).unwrap();
        assert_eq!(sampler.choose(&mut [1.0, 1.4]).unwrap(), 0);
        let mut sampler = Sampler::new(&sampling, [1]).unwrap();
        assert_eq!(sampler.choose(&mut [-1.4, -1.0]).unwrap(), 0);
        // The answer's own tokens count too.
        assert_eq!(sampler.choose(&mut [1.4, 1.0, 1.3]).unwrap(), 2);
    }

    #[test]
    fn nonsense_is_refused() {
        for sampling in [
            Sampling {
                temperature: -1.0,
                ..Sampling::default()
            },
            Sampling {
                temperature: f32::NAN,
                ..Sampling::default()
            },
            Sampling {
                top_p: 0.0,
                ..Sampling::default()
            },
            Sampling {
                top_p: f32::NAN,
                ..Sampling::default()
            },
            Sampling {
                repetition_penalty: 0.0,
                ..Sampling::default()
            },
        ] {
            assert!(Sampler::new(&sampling, []).is_err(), "{sampling:?}");
        }
        let mut sampler = Sampler::new(&Sampling::default(), []).unwrap();
        assert!(sampler.choose(&mut [0.0, f32::NAN]).is_err());
        assert!(sampler.choose(&mut [f32::NEG_INFINITY]).is_err());
        assert!(sampler.choose(&mut []).is_err());
    }
}
