//! What can go wrong with a local language model, each said in one line: what failed, why, what to do, path last.

use crate::tokenizer::TokenizerError;
use crate::tokenizer::weights::WeightsError;
use std::io;
use std::path::PathBuf;

/// Why a local Qwen3-VL could not be loaded or did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QwenError {
    /// The operating system refused to read a file of the model folder.
    #[error("cannot read a file of the language model: {source}: {}", path.display())]
    Io {
        /// What the operating system said.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// The folder lacks a file that every model has.
    #[error("the language model has no {name}; download the whole folder again: {}", folder.display())]
    MissingFile {
        /// The file's name.
        name: &'static str,
        /// The model folder.
        folder: PathBuf,
    },
    /// A weights file that the index names is not there.
    #[error(
        "the language model lacks the weights file {name} ({missing} of {all} missing); download the rest of the folder: {}",
        folder.display()
    )]
    MissingShard {
        /// Name of the first missing file.
        name: String,
        /// How many are missing.
        missing: usize,
        /// How many the index names.
        all: usize,
        /// The model folder.
        folder: PathBuf,
    },
    /// A configuration file is no JSON, or holds values that make no sense.
    #[error("cannot use the language model's configuration: {reason}: {}", path.display())]
    Config {
        /// What is wrong.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The folder holds another kind of model.
    #[error(
        "this is a {found} model, but only Qwen3-VL (dense) runs locally; serve it elsewhere and give its endpoint: {}",
        path.display()
    )]
    Architecture {
        /// What the configuration calls itself.
        found: String,
        /// The configuration.
        path: PathBuf,
    },
    /// The text tokenizer cannot be read.
    #[error("cannot use the language model's text tokenizer: {reason}: {}", path.display())]
    TextTokenizer {
        /// What is wrong.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The text tokenizer lacks words that the chat needs.
    #[error(
        "the language model's text tokenizer has no {word}; take a model whose tokenizer belongs to Qwen3-VL: {}",
        path.display()
    )]
    MissingSpecial {
        /// The word.
        word: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The model was never taught mask words.
    #[error(
        "this language model knows no mask words (its tokenizer has no {word}); take one trained with SAMTok: {}",
        path.display()
    )]
    NoMaskWords {
        /// The first word that is missing.
        word: String,
        /// The tokenizer's file.
        path: PathBuf,
    },
    /// The text tokenizer has more words than the network.
    #[error(
        "the text tokenizer has {words} words, but the network only {rows}; they belong to different models: {}",
        folder.display()
    )]
    Vocabulary {
        /// Words of the tokenizer.
        words: usize,
        /// Rows of the embedding table.
        rows: usize,
        /// The model folder.
        folder: PathBuf,
    },
    /// A tensor is not in any weights file.
    #[error(
        "the language model's weights have no tensor {name}; they do not belong to its config.json: {}",
        folder.display()
    )]
    MissingTensor {
        /// The tensor.
        name: String,
        /// The model folder.
        folder: PathBuf,
    },
    /// A tensor has another shape than the configuration says.
    #[error(
        "tensor {name} has the shape {found:?} instead of {expected:?}; the weights do not belong to config.json: {}",
        folder.display()
    )]
    TensorShape {
        /// The tensor.
        name: String,
        /// Shape by the configuration.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
        /// The model folder.
        folder: PathBuf,
    },
    /// Loading would use more memory than there is.
    #[error(
        "this model needs {:.1} GB of memory as {precision} and {:.1} GB are free; close other programs, \
         or load it with smaller weights (q8_0, q4_k): {}",
        gigabytes(*needed), gigabytes(*available), folder.display()
    )]
    Memory {
        /// How the weights would be held.
        precision: &'static str,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        available: u64,
        /// The model folder.
        folder: PathBuf,
    },
    /// A conversation does not fit into the model's context.
    #[error(
        "the conversation has {tokens} tokens, but there is room for {limit}; ask with fewer or smaller images or fewer turns"
    )]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that fit, one left for an answer.
        limit: usize,
    },
    /// An image cannot be shown to the model.
    #[error("an image of {width} x {height} pixels cannot be shown to the model; {reason}")]
    Image {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Why not.
        reason: &'static str,
    },
    /// A request makes no sense.
    #[error("cannot ask the model: {reason}")]
    Request {
        /// What is wrong.
        reason: &'static str,
    },
    /// The network produced a value that is no number.
    #[error(
        "the model's answer broke down (its scores are no numbers); try f32 weights, or download the model again"
    )]
    NotFinite,
    /// A weights file cannot be read.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A kernel shared with the mask tokenizer failed.
    #[error(transparent)]
    Kernel(#[from] TokenizerError),
    /// The device failed.
    #[error("the language model's computation failed: {0}")]
    Compute(#[from] candle_core::Error),
}

/// Results of this module.
pub(super) type Result<T> = std::result::Result<T, QwenError>;

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}
