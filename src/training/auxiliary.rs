//! Coarse readouts that exist only in training: they tell the mask embedding and the decoder's image features early
//! and directly what a mask is.
//!
//! Without them every gradient passes two transformers and a product of hypernetwork and features, all untrained,
//! and learning stays for thousands of steps on the plateau where the same mask is predicted for everything.

use super::loss::overlap_loss;
use crate::tokenizer::Result;
use crate::tokenizer::ops::Linear;
use crate::tokenizer::parameters::Scope;
use candle_core::Tensor;

/// Names of these weights start so; they never enter a model file.
pub(super) const PREFIX: &str = "auxiliary";

/// Linear readouts of the coarse mask, one value per cell of the feature grid.
#[derive(Debug)]
pub(super) struct Readouts {
    /// From a mask embedding to all cells.
    embedding: Linear,
    /// From the decoder's features of a cell to that cell.
    cell: Linear,
}

impl Readouts {
    pub(super) fn new(root: &Scope<'_>, dim: usize, cells: usize) -> Result<Self> {
        let scope = root.child(PREFIX);
        Ok(Self {
            embedding: Linear::new(&scope.child("embedding"), dim, cells)?,
            cell: Linear::new(&scope.child("cell"), dim, 1)?,
        })
    }

    /// Loss of the masks read from embeddings `(batch, d_model)` against coarse targets `(batch, cells)`.
    pub(super) fn embedding_loss(&self, embeddings: &Tensor, coarse: &Tensor) -> Result<Tensor> {
        overlap_loss(&self.embedding.forward(embeddings)?, coarse)
    }

    /// Loss of the masks read from decoder features `(batch, cells, d_model)` against coarse targets.
    pub(super) fn feature_loss(&self, features: &Tensor, coarse: &Tensor) -> Result<Tensor> {
        overlap_loss(&self.cell.forward(features)?.squeeze(2)?, coarse)
    }
}
