//! The losses: binary cross-entropy and Dice on mask logits, and regression of the predicted IoU.

use crate::tokenizer::Result;
use crate::tokenizer::preprocess::LOGIT_THRESHOLD;
use candle_core::{D, DType, Tensor};
use candle_nn::ops::sigmoid;

const BCE_WEIGHT: f64 = 2.0;
const DICE_WEIGHT: f64 = 1.0;
const IOU_WEIGHT: f64 = 0.5;
const PUBLISHED_DICE_WEIGHT: f64 = 0.5;

/// A batch of candidate masks against its targets.
#[derive(Debug)]
pub(super) struct MaskLoss {
    /// The best candidate's mask loss plus the IoU regression of all, averaged over the batch.
    pub(super) total: Tensor,
    /// IoU of each mask's candidate with the highest predicted IoU, on the logits' grid.
    pub(super) ious: Vec<f32>,
}

/// `logits` and `targets` are `(batch, masks, pixels)` and `(batch, pixels)`; `ious` are the predicted `(batch, masks)`.
///
/// As in SAM only the best candidate of each mask is improved, so that candidates can specialise.
pub(super) fn mask_loss(logits: &Tensor, ious: &Tensor, targets: &Tensor) -> Result<MaskLoss> {
    let (batch, masks, _) = logits.dims3()?;
    let targets = targets.unsqueeze(1)?.broadcast_as(logits.shape())?;
    // Decoded masks are cut at a raw logit of 0.5, so that is where training puts the boundary.
    let shifted = (logits - f64::from(LOGIT_THRESHOLD))?;
    let per_mask = region_loss(&shifted, &targets)?;

    let actual = grid_ious(&shifted.detach(), &targets)?;
    let best: Vec<u32> = argbest(&per_mask.detach(), |a, b| a < b)?;
    let chosen: Vec<f32> = best
        .iter()
        .flat_map(|b| (0..masks as u32).map(move |m| f32::from(u8::from(m == *b))))
        .collect();
    let chosen = Tensor::from_vec(chosen, (batch, masks), logits.device())?;
    let mask_term = ((per_mask * chosen)?.sum_all()? / batch as f64)?;
    let iou_term = ((ious - &actual)?.sqr()?.mean_all()? * IOU_WEIGHT)?;

    let picked = argbest(&ious.detach(), |a, b| a > b)?;
    let actual = actual.to_vec2::<f32>()?;
    let ious = picked
        .iter()
        .zip(&actual)
        .map(|(p, row)| row[*p as usize])
        .collect();
    Ok(MaskLoss {
        total: (mask_term + iou_term)?,
        ious,
    })
}

/// The published loss of one mask per target.
#[derive(Debug)]
pub(super) struct PublishedLoss {
    /// Weighted binary cross-entropy.
    pub(super) bce: Tensor,
    /// Weighted Dice loss.
    pub(super) dice: Tensor,
    /// IoU of each mask on the logits' grid.
    pub(super) ious: Vec<f32>,
}

/// Raw logits against targets, both `(batch, pixels)`: the published loss puts the boundary at a logit of 0.
pub(super) fn published_loss(logits: &Tensor, targets: &Tensor) -> Result<PublishedLoss> {
    let shifted = (logits.detach() - f64::from(LOGIT_THRESHOLD))?;
    Ok(PublishedLoss {
        bce: (bce(logits, targets)?.mean_all()? * BCE_WEIGHT)?,
        dice: (dice(logits, targets)?.mean_all()? * PUBLISHED_DICE_WEIGHT)?,
        ious: grid_ious(&shifted, targets)?.to_vec1::<f32>()?,
    })
}

/// BCE and Dice of every mask over the last dimension; `shifted` is positive inside a predicted mask.
fn region_loss(shifted: &Tensor, targets: &Tensor) -> Result<Tensor> {
    Ok(((bce(shifted, targets)? * BCE_WEIGHT)? + (dice(shifted, targets)? * DICE_WEIGHT)?)?)
}

/// Mean binary cross-entropy over the last dimension.
fn bce(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    // max(x, 0) - x t + ln(1 + exp(-|x|)), which cannot overflow.
    let soft = ((logits.abs()?.neg()?.exp()? + 1.0)?.log()? + logits.relu()?)?;
    Ok((soft - (logits * targets)?)?.mean(D::Minus1)?)
}

/// Dice loss over the last dimension, with first powers below and 1 added to both sides against empty masks.
fn dice(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let probabilities = sigmoid(logits)?;
    let overlap = (&probabilities * targets)?.sum(D::Minus1)?;
    let sizes = (probabilities.sum(D::Minus1)? + targets.sum(D::Minus1)?)?;
    let dice = ((overlap * 2.0)? + 1.0)?.div(&(sizes + 1.0)?)?;
    Ok(dice.affine(-1.0, 1.0)?)
}

/// Mean loss of one mask per target, both `(batch, pixels)`.
pub(super) fn overlap_loss(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    Ok(region_loss(logits, targets)?.mean_all()?)
}

/// IoU of thresholded logits and targets over the last dimension, without gradient.
fn grid_ious(shifted: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let predicted = shifted.gt(0.0)?.to_dtype(DType::F32)?;
    let wanted = targets.contiguous()?.gt(0.5)?.to_dtype(DType::F32)?;
    let overlap = (&predicted * &wanted)?.sum(D::Minus1)?;
    let union = ((predicted + wanted)?.sum(D::Minus1)? - &overlap)?;
    // A mask thinner than the grid can be empty there; predicting nothing is then right.
    Ok((overlap + 1e-3)?.div(&(union + 1e-3)?)?)
}

/// Column of the best value of each row.
fn argbest(values: &Tensor, better: impl Fn(f32, f32) -> bool) -> Result<Vec<u32>> {
    let rows = values.to_vec2::<f32>()?;
    Ok(rows
        .iter()
        .map(|row| {
            let mut best = 0;
            for (i, value) in row.iter().enumerate() {
                if better(*value, row[best]) {
                    best = i;
                }
            }
            best as u32
        })
        .collect())
}
