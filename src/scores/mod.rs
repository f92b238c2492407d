//! How good answers with masks are: the published rewards and benchmark figures, for predictions beside references.
//!
//! Everything is computed from texts and run lengths, without a network, so it can be the reward function of a training
//! loop. [`records`] reads and writes the JSON; the other modules are the definitions, as far as possible to the last
//! constant those of the published code.
//!
//! | figures | published for | module |
//! |---|---|---|
//! | answer matching, graded matching, no target, format, repeats | reinforcement learning | [`rewards`] |
//! | mask IoU | reinforcement learning | [`matching`] |
//! | gIoU, cIoU, N-acc, T-acc | gRefCOCO | [`referring`] |
//! | mIoU, cIoU | RefCOCO, +, g and ReasonSeg | [`referring`] |
//! | AP, AP50, mIoU, recall | grounded conversations | [`grounded`] |

pub mod average_precision;
pub mod grounded;
pub mod matching;
mod overlap;
pub mod records;
pub mod referring;
pub mod rewards;
#[cfg(test)]
mod sample;

use crate::geometry::ImageSize;

pub use self::overlap::{area_of_intersection, iou, union_of};

/// Why a prediction cannot be scored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// Masks of one sample are of different sizes.
    #[error(
        "a mask has {found} pixels and another one of the same sample {expected}; all must be of the image's size"
    )]
    Size {
        /// Size of the first mask.
        expected: ImageSize,
        /// Size of another one.
        found: ImageSize,
    },
    /// A similarity of texts is missing.
    #[error(
        "there must be one similarity for each predicted mask and each mask of the reference: {predicted} rows of {reference}"
    )]
    Similarity {
        /// Predicted masks.
        predicted: usize,
        /// Masks of the reference.
        reference: usize,
    },
    /// A confidence is missing.
    #[error("there must be one confidence for each predicted mask: {predicted} and not {found}")]
    Confidence {
        /// Predicted masks.
        predicted: usize,
        /// Confidences.
        found: usize,
    },
    /// There are more masks than can be compared with each other.
    #[error(
        "{predicted} predicted masks and {reference} of the reference are too many to compare; the most are {most} pairs"
    )]
    TooMany {
        /// Predicted masks.
        predicted: usize,
        /// Masks of the reference.
        reference: usize,
        /// The most pairs.
        most: usize,
    },
    /// A record is not as it should be.
    #[error("{reason}: {key:?}")]
    Record {
        /// What is wrong.
        reason: String,
        /// The key.
        key: String,
    },
}
