//! What can go wrong with a model, an image embedding or a mask, each said in one line with what to do.

use super::weights::WeightsError;
use crate::geometry::ImageSize;
use crate::mask::MaskError;
use crate::words::WordsError;
use std::path::PathBuf;

/// Why the tokenizer could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A configuration is malformed or contradicts itself.
    #[error("the model configuration cannot be used: {reason}")]
    Config {
        /// What is wrong with it.
        reason: String,
    },
    /// As [`TokenizerError::Config`], with the file.
    #[error("{source}: {}", path.display())]
    ConfigFile {
        /// What is wrong with it.
        source: Box<Self>,
        /// The file.
        path: PathBuf,
    },
    /// A bare weights file is none of the published sizes.
    #[error(
        "the network's shape is not one of the published ones; put a config.json beside the weights or give the model folder: {}",
        path.display()
    )]
    UnknownNetwork {
        /// The weights.
        path: PathBuf,
    },
    /// A model folder without weights.
    #[error("the model folder holds no weights; it needs one .safetensors, .pth or .pt file: {}", folder.display())]
    NoWeights {
        /// The folder.
        folder: PathBuf,
    },
    /// A model folder with more than one candidate.
    #[error("the model folder holds {count} weights files; name the one to use: {}", folder.display())]
    SeveralWeights {
        /// How many.
        count: usize,
        /// The folder.
        folder: PathBuf,
    },
    /// The checkpoint belongs to another network.
    #[error(
        "the weights do not fit this network: {missing} tensors missing, {misshapen} of another shape ({example}); `samtok model info` lists them: {location}"
    )]
    Layout {
        /// Tensors missing.
        missing: usize,
        /// Tensors of another shape.
        misshapen: usize,
        /// The first of them.
        example: String,
        /// Where the weights come from.
        location: String,
    },
    /// The weights could not be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A model file could not be read.
    #[error("cannot read the model: {source}: {}", path.display())]
    Io {
        /// What the operating system said.
        source: std::io::Error,
        /// The file or folder.
        path: PathBuf,
    },
    /// A device that was asked for cannot be used.
    #[error(
        "{name} cannot be used: {reason}; choose --device cpu, or use a build with {name} support on a machine that has it"
    )]
    Device {
        /// The device.
        name: &'static str,
        /// Why not.
        reason: String,
    },
    /// A mask without pixels has no box and cannot be encoded.
    #[error("the mask is empty; only masks with at least one pixel can be encoded")]
    EmptyMask,
    /// A prompt without clicks, box or logits.
    #[error("the prompt is empty; give at least one point or a box")]
    EmptyPrompt,
    /// A mask belongs to an image of another size.
    #[error("the mask is {mask} pixels but the image is {image}; masks must have the upright image's size")]
    MaskSize {
        /// Size of the mask.
        mask: ImageSize,
        /// Size of the image.
        image: ImageSize,
    },
    /// An embedding was made by another model.
    #[error("the image was embedded by model {image} but this is model {model}; embed the image again")]
    OtherModel {
        /// Short fingerprint in the embedding.
        image: String,
        /// Short fingerprint of the loaded model.
        model: String,
    },
    /// A stored embedding cannot be used.
    #[error("{reason}")]
    Embedding {
        /// Why not.
        reason: &'static str,
    },
    /// Codes that this model does not have.
    #[error("these words are not of this model: {0}")]
    Words(#[from] WordsError),
    /// Masks that cannot be combined.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The device failed, or the network was put together wrongly.
    #[error("the network could not be run: {0}")]
    Candle(#[from] candle_core::Error),
}
