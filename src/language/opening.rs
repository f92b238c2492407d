//! Which language model is asked, and how it is opened: what the window and the command line share.

use std::path::{Path, PathBuf};

use super::proposals::TrainedWith;
use super::qwen3_vl::{LoadOptions, Precision, Qwen3Vl, QwenError, mask_tokenizer_files};
use super::served::{Endpoint, ServedEngine};
use super::{Engine, LanguageError};
use crate::tokenizer::{ChosenDevice, DeviceChoice, TokenizerError};

/// A language model that can be asked.
#[derive(Clone, Debug)]
pub enum EngineChoice {
    /// One in a folder, run by this program.
    Local {
        /// The folder, as published.
        folder: PathBuf,
        /// How its weights are held.
        precision: Precision,
        /// Where it runs.
        device: DeviceChoice,
    },
    /// One on a server; without a name, the only one that it has.
    Served(Box<Endpoint>),
}

/// What is known of a language model that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// Its name, as the annotations keep it.
    pub name: String,
    /// What is known of its mask words.
    pub trained: TrainedWith,
    /// The mask tokenizer beside its folder.
    pub mask_tokenizer: Option<PathBuf>,
}

/// A language model that answers, with what is known of it.
pub struct OpenedEngine {
    /// The model.
    pub engine: Box<dyn Engine>,
    /// What is known of it.
    pub info: EngineInfo,
}

/// Why a language model cannot be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server.
    #[error(transparent)]
    Server(#[from] LanguageError),
    /// The folder.
    #[error(transparent)]
    Folder(#[from] QwenError),
    /// The device.
    #[error(transparent)]
    Device(#[from] TokenizerError),
    /// The server has no model.
    #[error("the server has no model; start it with one, or name one that it can load: {address}")]
    NoModel {
        /// The server's address.
        address: String,
    },
    /// The server has several models.
    #[error("the server has {count} models, among them {example:?}; name the one to ask: {address}")]
    SeveralModels {
        /// How many.
        count: usize,
        /// One of them.
        example: String,
        /// The server's address.
        address: String,
    },
}

impl EngineChoice {
    /// Opens the model; `progress` is called with the layers loaded and all layers.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &self,
        progress: &mut dyn FnMut(usize, usize),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<OpenedEngine, OpenError> {
        match self {
            Self::Local {
                folder,
                precision,
                device,
            } => {
                let engine = open_local(folder, *device, *precision, progress)?;
                let word_count = Some(engine.mask_words());
                let mut opened = OpenedEngine::new(Box::new(engine), word_count);
                opened.info.mask_tokenizer = mask_tokenizer_files(folder).map(|files| files.weights);
                Ok(opened)
            }
            Self::Served(endpoint) => {
                let engine = open_served((**endpoint).clone(), cancelled)?;
                Ok(OpenedEngine::new(Box::new(engine), None))
            }
        }
    }

    /// What asking it sends and where to, in one sentence without a full stop.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Local { folder, .. } => {
                format!(
                    "Runs on this computer and sends nothing anywhere: {}",
                    folder.display()
                )
            }
            Self::Served(endpoint) => endpoint.describe(),
        }
    }
}

impl OpenedEngine {
    /// A model of which only the number of its mask words may be known.
    #[must_use]
    pub fn new(engine: Box<dyn Engine>, word_count: Option<u32>) -> Self {
        let info = EngineInfo {
            name: engine.name().to_owned(),
            trained: TrainedWith {
                fingerprint: None,
                word_count,
            },
            mask_tokenizer: None,
        };
        Self { engine, info }
    }
}

impl std::fmt::Debug for OpenedEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedEngine")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// Loads a model folder.
///
/// # Errors
/// [`OpenError`].
pub fn open_local(
    folder: &Path,
    device: DeviceChoice,
    precision: Precision,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Qwen3Vl, OpenError> {
    let device = ChosenDevice::open(device)?;
    Ok(Qwen3Vl::load(
        folder,
        &LoadOptions::new(device, precision),
        progress,
    )?)
}

/// An engine for a server, whose only model it takes where none is named.
///
/// # Errors
/// [`OpenError`].
pub fn open_served(mut endpoint: Endpoint, cancelled: &dyn Fn() -> bool) -> Result<ServedEngine, OpenError> {
    if endpoint.model.is_empty() {
        let mut models = ServedEngine::new(endpoint.clone()).models(cancelled)?;
        let count = models.len();
        let address = endpoint.address.to_string();
        endpoint.model = match models.pop() {
            None => return Err(OpenError::NoModel { address }),
            Some(only) if count == 1 => only,
            Some(example) => {
                return Err(OpenError::SeveralModels {
                    count,
                    example,
                    address,
                });
            }
        };
    }
    Ok(ServedEngine::new(endpoint))
}
