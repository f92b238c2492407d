//! Counts that many images add up to: how often each number occurs, and each name.

use std::collections::BTreeMap;

/// Something that the numbers of another image are added to.
pub trait Count: Clone + Default {
    /// Adds what `other` counted.
    fn add(&mut self, other: Self);

    /// By how much it counts when names are put in order.
    fn weight(&self) -> u64;
}

impl Count for u64 {
    fn add(&mut self, other: Self) {
        *self += other;
    }

    fn weight(&self) -> u64 {
        *self
    }
}

/// How often each whole number occurred; exact, however many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    counts: BTreeMap<u64, u64>,
}

impl Distribution {
    /// Counts one number.
    pub fn record(&mut self, value: u64) {
        *self.counts.entry(value).or_default() += 1;
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: Self) {
        for (value, count) in other.counts {
            *self.counts.entry(value).or_default() += count;
        }
    }

    /// Each number that occurred with how often, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.counts.iter().map(|(&value, &count)| (value, count))
    }

    /// How many numbers were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The sum of all numbers.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.iter()
            .map(|(value, count)| u128::from(value) * u128::from(count))
            .sum()
    }

    /// The smallest number.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        self.counts.keys().next().copied()
    }

    /// The largest number.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        self.counts.keys().next_back().copied()
    }

    /// The mean; `None` of no numbers.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum() as f64 / count as f64)
    }

    /// The smallest number that a share `share`, 0 to 1, of all numbers do not exceed; 0.5 gives the median.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (value, count) in self.iter() {
            seen += count;
            if seen >= rank {
                return Some(value);
            }
        }
        self.max()
    }
}

/// How often each name occurred, for a bounded number of names; the rest is counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally<T = u64> {
    by_name: BTreeMap<String, T>,
    others: T,
    limit: usize,
}

impl<T: Count> Tally<T> {
    /// Longest name that is kept whole, in characters.
    const MAX_CHARS: usize = 200;

    /// A tally of at most `limit` names, those that come first.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            by_name: BTreeMap::new(),
            others: T::default(),
            limit,
        }
    }

    /// The count of this name, which is cut where it is very long.
    pub fn entry(&mut self, name: &str) -> &mut T {
        let end = name.char_indices().nth(Self::MAX_CHARS).map(|(end, _)| end);
        let name = match end.and_then(|end| name.get(..end)) {
            Some(start) => format!("{start}…"),
            None => name.to_owned(),
        };
        if self.by_name.len() >= self.limit && !self.by_name.contains_key(&name) {
            return &mut self.others;
        }
        self.by_name.entry(name).or_default()
    }

    /// Adds what `other` counted.
    pub fn add(&mut self, other: Self) {
        for (name, count) in other.by_name {
            self.entry(&name).add(count);
        }
        self.others.add(other.others);
    }

    /// The names with their counts, the most frequent first, then by name.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&str, &T)> {
        let mut sorted: Vec<(&str, &T)> = self
            .by_name
            .iter()
            .map(|(name, count)| (&**name, count))
            .collect();
        sorted.sort_by(|a, b| b.1.weight().cmp(&a.1.weight()).then(a.0.cmp(b.0)));
        sorted
    }

    /// What was counted under names beyond the limit.
    #[must_use]
    pub const fn others(&self) -> &T {
        &self.others
    }

    /// Number of names that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.others.weight() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_know_their_middle_and_ends() {
        let mut distribution = Distribution::default();
        assert_eq!(
            (
                distribution.mean(),
                distribution.quantile(0.5),
                distribution.max()
            ),
            (None, None, None)
        );
        for value in [3, 1, 4, 1, 5] {
            distribution.record(value);
        }
        let mut other = Distribution::default();
        other.record(100);
        distribution.add(other);
        assert_eq!(
            distribution.iter().collect::<Vec<_>>(),
            [(1, 2), (3, 1), (4, 1), (5, 1), (100, 1)]
        );
        assert_eq!(
            (distribution.count(), distribution.sum(), distribution.mean()),
            (6, 114, Some(19.0))
        );
        assert_eq!((distribution.min(), distribution.max()), (Some(1), Some(100)));
        for (share, expected) in [(0.0, 1), (0.33, 1), (0.5, 3), (0.51, 4), (0.9, 100), (1.0, 100)] {
            assert_eq!(distribution.quantile(share), Some(expected), "{share}");
        }
    }

    #[test]
    fn tallies_are_bounded_and_sorted() {
        let mut tally = Tally::new(2);
        for name in ["b", "a", "c", "c", "b"] {
            *tally.entry(name) += 1_u64;
        }
        assert_eq!((tally.sorted(), *tally.others()), (vec![("b", &2), ("a", &1)], 2));
        let mut sum = Tally::new(10);
        *sum.entry("a") += 4;
        sum.add(tally);
        assert_eq!((sum.sorted(), *sum.others()), (vec![("a", &5), ("b", &2)], 2));
        *sum.entry(&"é".repeat(300)) += 1;
        assert_eq!(sum.sorted()[2].0.chars().count(), 201);
    }
}
