//! What training minimises, and which weights that moves.

use super::codebook::Restart;
use super::optimizer::AdamWSettings;

/// The loss of a step and everything that belongs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Objective {
    /// For small networks from scratch: soft targets, all three candidates, prompts beside words, coarse readouts.
    #[default]
    Generated,
    /// As the published models were trained: mask encoder and decoder learn to rebuild masks from words, the image
    /// encoder and everything about prompts stays as it is.
    Published,
}

impl Objective {
    /// The name by which checkpoints and the command line know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Published => "published",
        }
    }

    /// The peak learning rate that fits it.
    #[must_use]
    pub const fn learning_rate(self) -> f64 {
        match self {
            Self::Generated => 1e-3,
            Self::Published => 4e-5,
        }
    }

    /// Share of the steps in which the learning rate rises.
    pub(super) const fn warmup_share(self) -> f64 {
        match self {
            Self::Generated => 0.03,
            Self::Published => 0.05,
        }
    }

    /// When unused codes are placed anew: the published count takes thousands of masks a step for granted.
    pub(super) const fn restart(self) -> Restart {
        match self {
            Self::Generated => Restart::Share(0.1),
            Self::Published => Restart::Count(1.0),
        }
    }

    pub(super) const fn optimizer(self) -> AdamWSettings {
        match self {
            Self::Generated => AdamWSettings {
                beta2: 0.98,
                weight_decay: 0.05,
                decays_all: false,
                clip_norm: 1.0,
                average_decay: 0.998,
            },
            // What PyTorch does unless told otherwise, and no averaged weights.
            Self::Published => AdamWSettings {
                beta2: 0.999,
                weight_decay: 0.05,
                decays_all: true,
                clip_norm: 1.0,
                average_decay: 0.0,
            },
        }
    }
}

/// Which weights change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selection {
    pub(super) objective: Objective,
    pub(super) freeze_trunk: bool,
}

/// Name of the fixed random projection, which is part of the weights but never trained.
pub(super) const FIXED: &str = "positional_encoding_gaussian_matrix";

impl Selection {
    /// Whether the weight of this name changes.
    pub(super) fn contains(self, name: &str) -> bool {
        match self.objective {
            Objective::Generated => {
                !(name.ends_with(FIXED) || self.freeze_trunk && name.contains(".image_encoder."))
            }
            Objective::Published => {
                name.contains(".sam_mask_encoder.")
                    || name.contains(".sam_mask_decoder.")
                        && !name.contains(".iou_prediction_head.")
                        && !name.contains(".pred_obj_score_head.")
            }
        }
    }

    /// Whether the image encoder stays as it is, so that it may run as in inference.
    pub(super) fn freezes_image_encoder(self) -> bool {
        self.freeze_trunk || self.objective == Objective::Published
    }
}
