//! The image encoder: trunk and neck, without the coarsest level, which SAM 2.1 drops.

use super::hiera::Hiera;
use super::neck::Neck;
use crate::tokenizer::Result;
use crate::tokenizer::config::Config;
use crate::tokenizer::parameters::Scope;
use candle_core::Tensor;

/// Levels the heads use: strides 4, 8 and 16.
const LEVELS: usize = 3;

/// Image patches to three feature maps.
#[derive(Debug)]
pub(crate) struct ImageEncoder {
    pub(crate) trunk: Hiera,
    pub(crate) neck: Neck,
}

impl ImageEncoder {
    pub(crate) fn new(scope: &Scope<'_>, config: &Config) -> Result<Self> {
        Ok(Self {
            trunk: Hiera::new(&scope.child("trunk"), &config.trunk, config.image_size)?,
            neck: Neck::new(&scope.child("neck"), &config.neck)?,
        })
    }

    /// `(batch, tokens, 147)` patches to maps `(batch, height, width, d_model)` of strides 4, 8 and 16.
    pub(crate) fn forward(&self, patches: &Tensor) -> Result<Vec<Tensor>> {
        let stages = self.trunk.forward(patches)?;
        let mut levels = self.neck.forward(&stages)?;
        levels.truncate(LEVELS);
        Ok(levels)
    }
}
