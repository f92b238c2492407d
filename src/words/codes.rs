//! A mask's codes, so that a missing code is a case of the type and not a magic number.

/// The codes of one mask, one per codebook depth; `None` where the text gave no usable word.
///
/// Made by [`WordFormat::codes`](super::WordFormat::codes) or read by [`parse`](super::parse), which guarantee
/// that the first code is there and every code lies in its codebook. A missing code means that decoding skips
/// its depth; it is not code 0. Masks order by their codes, a missing code before code 0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaskCodes(Vec<Option<u32>>);

impl MaskCodes {
    /// The codes as given; the caller has checked them.
    pub(super) fn from_checked(codes: Vec<Option<u32>>) -> Self {
        Self(codes)
    }

    /// The codes by depth.
    #[must_use]
    pub fn as_slice(&self) -> &[Option<u32>] {
        &self.0
    }

    /// Number of depths, missing codes included.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// The code of the depth `depth`, counted from 0.
    #[must_use]
    pub fn get(&self, depth: usize) -> Option<u32> {
        self.0.get(depth).copied().flatten()
    }

    /// The codes by depth.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<u32>> + '_ {
        self.0.iter().copied()
    }

    /// Whether every depth has its code.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }

    /// All codes, if none is missing.
    #[must_use]
    pub fn complete(&self) -> Option<Vec<u32>> {
        self.0.iter().copied().collect()
    }
}
