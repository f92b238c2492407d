//! SAMTok's mask encoder: image features with a mask drawn in, read out by one learned token.

use super::two_way::{ImageKeys, TwoWayTransformer};
use crate::tokenizer::Result;
use crate::tokenizer::config::Config;
use crate::tokenizer::parameters::Scope;
use candle_core::Tensor;

/// `sam_mask_encoder` of the checkpoint.
#[derive(Debug)]
pub(crate) struct MaskEncoder {
    transformer: TwoWayTransformer,
    mask_token: Tensor,
}

impl MaskEncoder {
    pub(crate) fn new(scope: &Scope<'_>, config: &Config) -> Result<Self> {
        let dim = config.neck.d_model;
        Ok(Self {
            transformer: TwoWayTransformer::new(&scope.child("transformer"), dim, &config.heads)?,
            mask_token: scope.child("mask_tokens").tensor("weight", &[1, dim])?,
        })
    }

    /// Box tokens `(batch, 3, d_model)` and features with the mask's dense embedding added
    /// (`(batch, cells, d_model)`) to mask embeddings `(batch, d_model)`.
    pub(crate) fn forward(&self, sparse: &Tensor, image: ImageKeys<'_>) -> Result<Tensor> {
        let (batch, _, dim) = sparse.dims3()?;
        let token = self
            .mask_token
            .reshape((1, 1, dim))?
            .broadcast_as((batch, 1, dim))?;
        let tokens = Tensor::cat(&[&token.contiguous()?, sparse], 1)?;
        let (tokens, _) = self.transformer.forward(&tokens, image)?;
        Ok(tokens.narrow(1, 0, 1)?.contiguous()?.reshape((batch, dim))?)
    }
}
