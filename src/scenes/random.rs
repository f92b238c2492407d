//! A small seeded random source, so that one seed gives the same scene on every machine and release.

use std::f32::consts::TAU;

/// xoshiro256++ seeded through splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator whose whole sequence follows from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut mixed = seed;
        let state = std::array::from_fn(|_| {
            mixed = mixed.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = mixed;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        });
        Self { state }
    }

    /// The next 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in `0 .. 1`.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 * (1.0 / (1u64 << 24) as f32)
    }

    /// Uniform in `low .. high`.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Log-uniform in `low .. high` (both positive): every octave is equally likely.
    pub(crate) fn log_range(&mut self, low: f32, high: f32) -> f32 {
        low * (high / low).powf(self.unit())
    }

    /// A size in `low .. high` with density falling as `size^-exponent`, as sizes in photographs do.
    pub(crate) fn power_law(&mut self, low: f32, high: f32, exponent: f32) -> f32 {
        let k = 1.0 - exponent;
        if k.abs() < 1e-3 {
            return self.log_range(low, high);
        }
        let (a, b) = (low.powf(k), high.powf(k));
        (a + (b - a) * self.unit()).powf(1.0 / k)
    }

    /// Uniform integer in `low ..= high`.
    pub(crate) fn int(&mut self, low: usize, high: usize) -> usize {
        low + (self.bits() % (high.saturating_sub(low) as u64 + 1)) as usize
    }

    /// `true` with the given probability.
    pub(crate) fn chance(&mut self, probability: f32) -> bool {
        self.unit() < probability
    }

    /// -1 or 1.
    pub(crate) fn sign(&mut self) -> f32 {
        if self.chance(0.5) { 1.0 } else { -1.0 }
    }

    /// An angle in radians.
    pub(crate) fn angle(&mut self) -> f32 {
        self.unit() * TAU
    }

    /// Approximately normal, mean 0, standard deviation 1, bounded by about 3.5.
    pub(crate) fn normal(&mut self) -> f32 {
        let sum = self.unit() + self.unit() + self.unit() + self.unit();
        (sum - 2.0) * 1.732_050_8
    }

    /// One element of a list that is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.int(0, items.len().saturating_sub(1))]
    }

    /// The index of one weight, drawn in proportion to the weights.
    pub(crate) fn weighted(&mut self, weights: &[f32]) -> usize {
        let total: f32 = weights.iter().sum();
        let mut rest = self.unit() * total;
        for (index, weight) in weights.iter().enumerate() {
            rest -= weight;
            if rest < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }

    /// Puts the items in random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.int(0, last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_ranges_and_spread() {
        let mut rng = Rng::new(7);
        let (mut low_half, mut sum) = (0, 0.0);
        for _ in 0..4000 {
            let unit = rng.unit();
            assert!((0.0..1.0).contains(&unit));
            low_half += usize::from(unit < 0.5);
            sum += rng.normal();
            assert!((3..=5).contains(&rng.int(3, 5)));
            let size = rng.power_law(2.0, 50.0, 2.0);
            assert!((1.99..=50.01).contains(&size));
        }
        assert!((1850..2150).contains(&low_half), "{low_half}");
        assert!((sum / 4000.0f32).abs() < 0.08, "{sum}");
    }

    #[test]
    fn seeds_give_different_but_repeatable_sequences() {
        let bits = |seed| Rng::new(seed).bits();
        assert_eq!(bits(1), bits(1));
        assert_ne!(bits(1), bits(2));
    }
}
