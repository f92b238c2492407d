//! Masks in pixels for the small pictures of the inspector, so that they are not made in every frame.

use std::sync::Arc;

use crate::mask::{Mask, Rle};

/// Masks that are kept.
const KEPT: usize = 4;

/// The masks that were drawn last.
#[derive(Debug, Default)]
pub(super) struct MaskPictures {
    kept: Vec<(Rle, Arc<Mask>)>,
}

impl MaskPictures {
    /// The pixels of a mask.
    pub(super) fn mask(&mut self, rle: &Rle) -> Arc<Mask> {
        if let Some((_, mask)) = self.kept.iter().find(|(of, _)| of == rle) {
            return Arc::clone(mask);
        }
        if self.kept.len() >= KEPT {
            self.kept.remove(0);
        }
        let mask = Arc::new(Mask::from_rle(rle));
        self.kept.push((rle.clone(), Arc::clone(&mask)));
        mask
    }
}
