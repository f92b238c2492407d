//! Keys and values of the tokens seen so far, so that each new token only computes its own.

use super::config::TextConfig;
use super::error::Result;
use super::matrix::Placement;
use candle_core::Tensor;

/// Tokens that room is made for at once.
const STEP: usize = 512;

/// Keys and values of all layers.
#[derive(Debug)]
pub(super) struct KeysValues {
    layers: Vec<LayerCache>,
    tokens: usize,
    capacity: usize,
    heads: usize,
    head_dim: usize,
    placement: Placement,
}

/// Keys and values of one layer, `heads x capacity x dim` each; `None` while there is no room at all.
#[derive(Debug, Default)]
pub(super) struct LayerCache {
    stored: Option<(Tensor, Tensor)>,
}

impl KeysValues {
    pub(super) fn new(config: &TextConfig, placement: &Placement) -> Self {
        Self {
            layers: (0..config.layers).map(|_| LayerCache::default()).collect(),
            tokens: 0,
            capacity: 0,
            heads: config.key_value_heads,
            head_dim: config.head_dim,
            placement: placement.clone(),
        }
    }

    /// Tokens seen.
    pub(super) fn len(&self) -> usize {
        self.tokens
    }

    pub(super) fn layers(&self) -> std::slice::Iter<'_, LayerCache> {
        self.layers.iter()
    }

    /// Notes that every layer has appended `tokens`.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.tokens += tokens;
    }

    /// Forgets all but the first `tokens`.
    pub(super) fn truncate(&mut self, tokens: usize) {
        self.tokens = self.tokens.min(tokens);
    }

    /// Makes room for `more` tokens.
    pub(super) fn reserve(&mut self, more: usize) -> Result<()> {
        let wanted = self.tokens + more;
        if wanted <= self.capacity {
            return Ok(());
        }
        // Half as much again, so that a long answer is not copied over and over.
        let capacity = wanted.max(self.capacity * 3 / 2).next_multiple_of(STEP);
        let shape = (self.heads, capacity, self.head_dim);
        let grown = |old: Option<&Tensor>| -> Result<Tensor> {
            let new = Tensor::zeros(shape, self.placement.dtype, &self.placement.device)?;
            if let (Some(old), true) = (old, self.tokens > 0) {
                new.slice_set(&old.narrow(1, 0, self.tokens)?.contiguous()?, 1, 0)?;
            }
            Ok(new)
        };
        for layer in &mut self.layers {
            let old = layer.stored.as_ref();
            layer.stored = Some((
                grown(old.map(|(keys, _)| keys))?,
                grown(old.map(|(_, values)| values))?,
            ));
        }
        self.capacity = capacity;
        Ok(())
    }
}

impl LayerCache {
    /// Puts keys and values (`heads x tokens x dim`) behind the `earlier` ones and returns all of them.
    pub(super) fn append(&self, keys: &Tensor, values: &Tensor, earlier: usize) -> Result<(Tensor, Tensor)> {
        let all = earlier + keys.dim(1)?;
        let Some((stored_keys, stored_values)) = &self.stored else {
            return Err(candle_core::Error::Msg("no room was made for keys and values".to_owned()).into());
        };
        stored_keys.slice_set(&keys.contiguous()?, 1, earlier)?;
        stored_values.slice_set(&values.contiguous()?, 1, earlier)?;
        Ok((stored_keys.narrow(1, 0, all)?, stored_values.narrow(1, 0, all)?))
    }
}
