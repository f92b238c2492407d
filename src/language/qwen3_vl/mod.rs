//! Qwen3-VL run here: our own port, which reads and writes mask words without a server.
//!
//! [`Qwen3Vl`] loads a folder as published on Hugging Face and answers as an [`Engine`]. On a CPU the weights are held in
//! the precision asked for and multiplied by kernels of our own, because writing text is limited by how fast weights
//! come out of memory; on GPUs candle does the work.
//!
//! The way of a question: [`prompt`](self) turns it into tokens and images, `picture` cuts images into patches, `vision`
//! looks at them, `text` reads everything and scores the next token, `sampling` chooses it, `vocabulary` spells it.

mod benchmark;
mod cache;
mod config;
mod error;
mod folder;
mod generation;
#[cfg(test)]
mod golden;
mod layout;
mod matrix;
mod memory;
mod network;
mod panels;
mod picture;
mod precision;
mod prompt;
mod rotary;
mod sampling;
#[cfg(test)]
mod tests;
mod text;
mod vision;
mod vocabulary;

pub use benchmark::Speed;
pub use error::QwenError;
pub use folder::{MaskTokenizerFiles, is_qwen3_vl, mask_tokenizer_files};
pub use precision::Precision;

use super::{Answer, ChatRequest, Engine, LanguageError};
use crate::tokenizer::ChosenDevice;
use folder::ModelFolder;
use generation::{Generator, Memory};
use layout::Weights;
use matrix::Placement;
use network::Network;
use picture::Preprocessor;
use std::path::Path;
use vocabulary::Vocabulary;

/// How to load a model.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where it runs.
    pub device: ChosenDevice,
    /// How its weights are held.
    pub precision: Precision,
    /// Larger images are made smaller; `None` leaves it to the model's own limit.
    pub max_image_pixels: Option<u64>,
    /// Most tokens of a conversation and its answer; memory for them is part of what is checked before loading.
    pub context_tokens: usize,
}

impl LoadOptions {
    /// Largest image in the training of the published models.
    pub const TRAINED_IMAGE_PIXELS: u64 = 2048 * 28 * 28;
    /// Longest conversation in the training of the published models.
    pub const TRAINED_CONTEXT_TOKENS: usize = 8192;

    /// On a device, with the limits of the published models' training.
    #[must_use]
    pub fn new(device: ChosenDevice, precision: Precision) -> Self {
        Self {
            device,
            precision,
            max_image_pixels: Some(Self::TRAINED_IMAGE_PIXELS),
            context_tokens: Self::TRAINED_CONTEXT_TOKENS,
        }
    }
}

/// A loaded Qwen3-VL.
#[derive(Debug)]
pub struct Qwen3Vl {
    name: String,
    network: Network,
    vocabulary: Vocabulary,
    preprocessor: Preprocessor,
    stop_tokens: Vec<u32>,
    context_tokens: usize,
    memory: Memory,
}

impl Qwen3Vl {
    /// Loads a model folder: `config.json`, `tokenizer.json`, `model.safetensors` or its shards.
    ///
    /// `progress` is called with the layers done and all layers.
    ///
    /// # Errors
    /// [`QwenError`] for a folder that is incomplete, of another architecture, damaged, without mask words, or larger
    /// than the free memory; nothing is loaded then.
    pub fn load(
        folder: &Path,
        options: &LoadOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, QwenError> {
        let files = ModelFolder::open(folder)?;
        let vocabulary = Vocabulary::open(&files.tokenizer())?;
        if vocabulary.tokens > files.config.text.vocabulary {
            return Err(QwenError::Vocabulary {
                words: vocabulary.tokens,
                rows: files.config.text.vocabulary,
                folder: files.path,
            });
        }
        if vocabulary.specials.image != files.config.image_token {
            return Err(QwenError::Config {
                reason: format!(
                    "image_token_id is {}, but the tokenizer's <|image_pad|> is {}",
                    files.config.image_token, vocabulary.specials.image
                ),
                path: files.path.join("config.json"),
            });
        }
        let weights = Weights::open(&files.shards, &files.path, &files.config)?;
        let context_tokens = options.context_tokens.min(files.config.text.max_positions);
        let device = &options.device.device;
        if device.is_cpu() {
            let needed = layout::memory(&files.config, options.precision, context_tokens);
            memory::check(needed, memory::available(), options.precision, &files.path)?;
        }
        let placement = Placement::new(device, options.precision);
        let network = Network::load(&files.config, &weights, &placement, options.precision, progress)?;
        Ok(Self::assemble(
            files,
            options,
            vocabulary,
            network,
            context_tokens,
        ))
    }

    fn assemble(
        files: ModelFolder,
        options: &LoadOptions,
        vocabulary: Vocabulary,
        network: Network,
        context_tokens: usize,
    ) -> Self {
        let mut preprocessor = files.preprocessor;
        if let Some(most) = options.max_image_pixels {
            preprocessor.max_pixels = preprocessor.max_pixels.min(most);
            preprocessor.min_pixels = preprocessor.min_pixels.min(preprocessor.max_pixels);
        }
        let mut stop_tokens = files.stop_tokens;
        stop_tokens.push(vocabulary.specials.turn_end);
        stop_tokens.extend(vocabulary.specials.text_end);
        let name = files.path.file_name().map_or_else(
            || "Qwen3-VL".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        Self {
            name,
            memory: Memory::new(&network),
            network,
            vocabulary,
            preprocessor,
            stop_tokens,
            context_tokens,
        }
    }

    /// Bytes that loading a folder takes, judged by its configuration.
    ///
    /// # Errors
    /// [`QwenError`] for a folder that is incomplete or of another architecture.
    pub fn memory_needed(folder: &Path, options: &LoadOptions) -> Result<u64, QwenError> {
        let config = ModelFolder::open(folder)?.config;
        let context_tokens = options.context_tokens.min(config.text.max_positions);
        Ok(layout::memory(&config, options.precision, context_tokens))
    }

    /// How many mask words the model knows: the codes of its tokenizer, all depths together.
    #[must_use]
    pub fn mask_words(&self) -> u32 {
        self.vocabulary.mask_words
    }
}

impl Engine for Qwen3Vl {
    fn name(&self) -> &str {
        &self.name
    }

    fn chat(
        &mut self,
        request: &ChatRequest,
        on_text: &mut dyn FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Answer, LanguageError> {
        let generator = Generator {
            network: &self.network,
            vocabulary: &self.vocabulary,
            preprocessor: &self.preprocessor,
            stop_tokens: &self.stop_tokens,
            context_tokens: self.context_tokens,
        };
        generator
            .answer(request, &mut self.memory, on_text, cancelled)
            .map_err(|error| LanguageError::Local(error.to_string()))
    }
}
