//! Boolean algebra on masks of one size, a word at a time.

use super::{Mask, MaskError};

impl Mask {
    /// Pixels set in either mask.
    ///
    /// # Errors
    /// [`MaskError::SizeMismatch`], as for every operation on two masks.
    pub fn union(&self, other: &Self) -> Result<Self, MaskError> {
        self.combined(other, |a, b| a | b)
    }

    /// Pixels set in both masks.
    ///
    /// # Errors
    /// [`MaskError::SizeMismatch`].
    pub fn intersection(&self, other: &Self) -> Result<Self, MaskError> {
        self.combined(other, |a, b| a & b)
    }

    /// Pixels set here but not in `other`.
    ///
    /// # Errors
    /// [`MaskError::SizeMismatch`].
    pub fn difference(&self, other: &Self) -> Result<Self, MaskError> {
        self.combined(other, |a, b| a & !b)
    }

    /// Pixels set in exactly one of the masks.
    ///
    /// # Errors
    /// [`MaskError::SizeMismatch`].
    pub fn symmetric_difference(&self, other: &Self) -> Result<Self, MaskError> {
        self.combined(other, |a, b| a ^ b)
    }

    /// Pixels that are not set here.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut mask = self.clone();
        mask.invert();
        mask
    }

    /// [`Mask::union`] in place.
    ///
    /// # Errors
    /// [`MaskError::SizeMismatch`]; the mask is unchanged then.
    pub fn union_with(&mut self, other: &Self) -> Result<(), MaskError> {
        self.combine(other, |a, b| a | b)
    }

    /// [`Mask::intersection`] in place.
    ///
    /// # Errors
    /// [`MaskError::SizeMismatch`]; the mask is unchanged then.
    pub fn intersect_with(&mut self, other: &Self) -> Result<(), MaskError> {
        self.combine(other, |a, b| a & b)
    }

    /// [`Mask::difference`] in place.
    ///
    /// # Errors
    /// [`MaskError::SizeMismatch`]; the mask is unchanged then.
    pub fn subtract(&mut self, other: &Self) -> Result<(), MaskError> {
        self.combine(other, |a, b| a & !b)
    }

    /// [`Mask::symmetric_difference`] in place.
    ///
    /// # Errors
    /// [`MaskError::SizeMismatch`]; the mask is unchanged then.
    pub fn toggle_with(&mut self, other: &Self) -> Result<(), MaskError> {
        self.combine(other, |a, b| a ^ b)
    }

    /// [`Mask::complement`] in place.
    pub fn invert(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        self.clear_padding();
    }

    /// Number of pixels set in both masks.
    ///
    /// # Errors
    /// [`MaskError::SizeMismatch`].
    pub fn count_and(&self, other: &Self) -> Result<u64, MaskError> {
        self.check_same_size(other)?;
        Ok(self
            .words
            .iter()
            .zip(&other.words)
            .map(|(a, b)| u64::from((a & b).count_ones()))
            .sum())
    }

    pub(super) fn check_same_size(&self, other: &Self) -> Result<(), MaskError> {
        if self.size == other.size {
            Ok(())
        } else {
            Err(MaskError::SizeMismatch {
                left: self.size,
                right: other.size,
            })
        }
    }

    fn combined(&self, other: &Self, operation: impl Fn(u64, u64) -> u64) -> Result<Self, MaskError> {
        self.check_same_size(other)?;
        let words = self
            .words
            .iter()
            .zip(&other.words)
            .map(|(&a, &b)| operation(a, b))
            .collect();
        Ok(Self { words, ..*self })
    }

    fn combine(&mut self, other: &Self, operation: impl Fn(u64, u64) -> u64) -> Result<(), MaskError> {
        self.check_same_size(other)?;
        for (word, &other) in self.words.iter_mut().zip(&other.words) {
            *word = operation(*word, other);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{cases, is_sound, mask_pairs};
    use super::*;
    use crate::geometry::ImageSize;
    use proptest::prelude::*;

    type Operation = fn(&Mask, &Mask) -> Result<Mask, MaskError>;
    type InPlace = fn(&mut Mask, &Mask) -> Result<(), MaskError>;
    type Rule = fn(bool, bool) -> bool;

    const OPERATIONS: [(Operation, InPlace, Rule); 4] = [
        (Mask::union, Mask::union_with, |a, b| a | b),
        (Mask::intersection, Mask::intersect_with, |a, b| a & b),
        (Mask::difference, Mask::subtract, |a, b| a & !b),
        (Mask::symmetric_difference, Mask::toggle_with, |a, b| a ^ b),
    ];

    #[test]
    fn sizes_must_match() {
        let left = ImageSize::new(64, 2);
        let right = ImageSize::new(63, 2);
        let (a, b) = (Mask::full(left).unwrap(), Mask::full(right).unwrap());
        let mismatch = MaskError::SizeMismatch { left, right };
        for (operation, in_place, _) in OPERATIONS {
            assert_eq!(operation(&a, &b), Err(mismatch.clone()));
            let mut changed = a.clone();
            assert_eq!(in_place(&mut changed, &b), Err(mismatch.clone()));
            assert_eq!(changed, a, "a refused operation changes nothing");
        }
        assert_eq!(a.count_and(&b), Err(mismatch));
    }

    proptest! {
        #![proptest_config(cases(200))]

        #[test]
        fn operations_match_the_pixels((a, b) in mask_pairs(150)) {
            let size = a.size();
            for (operation, in_place, rule) in OPERATIONS {
                let expected = Mask::from_fn(size, |x, y| rule(a.get(x, y), b.get(x, y))).unwrap();
                prop_assert_eq!(&operation(&a, &b).unwrap(), &expected);
                let mut changed = a.clone();
                in_place(&mut changed, &b).unwrap();
                prop_assert_eq!(&changed, &expected);
            }
            prop_assert_eq!(a.complement(), Mask::from_fn(size, |x, y| !a.get(x, y)).unwrap());
            prop_assert!(is_sound(&a.complement()));
            prop_assert_eq!(a.count_and(&b).unwrap(), a.intersection(&b).unwrap().area());
        }
    }
}
