//! What the worker needs of a network, so that tests can drive everything around it with a scripted one.

use std::path::{Path, PathBuf};

use crate::dataset::folder::Folder;
use crate::image_file::RgbImage;
use crate::mask::Mask;
use crate::tokenizer::{
    ChosenDevice, DecodedMask, DeviceChoice, EmbeddedImage, MaskTokenizer, ModelFiles, Prompt, TokenizerError,
};
use crate::words::{MaskCodes, WordFormat};
use crate::worker::tokenize::{self, TokenizeOptions, TokenizeProgress, TokenizeSummary};

/// Which model to use, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelChoice {
    /// A model folder or weights file; `None` for the one built into the program.
    pub path: Option<PathBuf>,
    /// Where to run it.
    pub device: DeviceChoice,
}

/// What is shown of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    /// Its name.
    pub name: String,
    /// Identity of its configuration and weights.
    pub fingerprint: String,
    /// How its codes are written as words.
    pub format: WordFormat,
    /// Where it runs.
    pub device: String,
    /// Why it runs there.
    pub device_reason: String,
    /// Where it comes from.
    pub location: String,
    /// Side of its input in pixels.
    pub input_px: usize,
}

/// A network that the worker can run.
///
/// Results are those of [`MaskTokenizer`]; errors are sentences for a person.
pub trait MaskModel {
    /// What the network keeps of an image.
    type Embedding;

    /// What it is.
    fn info(&self) -> &ModelInfo;
    /// Runs the image encoder.
    ///
    /// # Errors
    /// If the device fails.
    fn embed(&self, image: &RgbImage) -> Result<Self::Embedding, String>;
    /// Bytes that an embedding takes.
    fn embedding_bytes(&self, embedding: &Self::Embedding) -> usize;
    /// The embedding for the disk; `None` if it is not worth keeping.
    fn store(&self, embedding: &Self::Embedding) -> Option<Vec<u8>>;
    /// An embedding from the disk; `None` if it is damaged or of another model.
    fn restore(&self, bytes: &[u8]) -> Option<Self::Embedding>;
    /// Codes of masks and the masks that they give back.
    ///
    /// # Errors
    /// If a mask is empty or of another size, or the device fails.
    fn encode(
        &self,
        image: &Self::Embedding,
        masks: &[&Mask],
        search_width: Option<usize>,
    ) -> Result<Vec<(MaskCodes, DecodedMask)>, String>;
    /// Masks of codes.
    ///
    /// # Errors
    /// If codes are not of this model, or the device fails.
    fn decode(&self, image: &Self::Embedding, codes: &[MaskCodes]) -> Result<Vec<DecodedMask>, String>;
    /// Masks of clicks and boxes.
    ///
    /// # Errors
    /// If the prompt is empty, or the device fails.
    fn segment(&self, image: &Self::Embedding, prompt: &Prompt) -> Result<Vec<DecodedMask>, String>;
    /// Words for all regions of a folder; `report` answers whether to go on.
    ///
    /// # Errors
    /// If nothing can be done at all.
    fn tokenize_folder(
        &self,
        folder: &Path,
        options: &TokenizeOptions,
        report: &mut dyn FnMut(&TokenizeProgress) -> bool,
    ) -> Result<TokenizeSummary, String>;
}

/// SAMTok in candle.
#[derive(Debug)]
pub struct TokenizerModel {
    tokenizer: MaskTokenizer,
    device: ChosenDevice,
    info: ModelInfo,
}

/// Opens a model of a file, a folder or the program itself.
///
/// # Errors
/// A sentence that says why, and names the file.
pub fn load_tokenizer(choice: &ModelChoice) -> Result<TokenizerModel, String> {
    let files = match &choice.path {
        Some(path) => ModelFiles::open(path),
        None => ModelFiles::embedded(),
    };
    let load = |files: ModelFiles| -> Result<TokenizerModel, TokenizerError> {
        let device = ChosenDevice::open(choice.device)?;
        let tokenizer = MaskTokenizer::load(&files, &device)?;
        let info = ModelInfo {
            name: tokenizer.config().name.clone(),
            fingerprint: tokenizer.fingerprint().to_string(),
            format: tokenizer.format(),
            device: device.to_string(),
            device_reason: device.reason.clone(),
            location: files.location.clone(),
            input_px: tokenizer.config().image_size,
        };
        Ok(TokenizerModel {
            tokenizer,
            device,
            info,
        })
    };
    files.and_then(load).map_err(|error| error.to_string())
}

fn sentence(error: TokenizerError) -> String {
    error.to_string()
}

impl MaskModel for TokenizerModel {
    type Embedding = EmbeddedImage;

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn embed(&self, image: &RgbImage) -> Result<EmbeddedImage, String> {
        self.tokenizer.embed_image(image).map_err(sentence)
    }

    fn embedding_bytes(&self, embedding: &EmbeddedImage) -> usize {
        embedding.memory_bytes()
    }

    fn store(&self, embedding: &EmbeddedImage) -> Option<Vec<u8>> {
        embedding.to_f16_bytes().ok()
    }

    fn restore(&self, bytes: &[u8]) -> Option<EmbeddedImage> {
        let embedding = EmbeddedImage::from_f16_bytes(bytes, &self.device.device).ok()?;
        (embedding.model() == self.tokenizer.fingerprint()).then_some(embedding)
    }

    fn encode(
        &self,
        image: &EmbeddedImage,
        masks: &[&Mask],
        search_width: Option<usize>,
    ) -> Result<Vec<(MaskCodes, DecodedMask)>, String> {
        let tokenizer = &self.tokenizer;
        let encode = || -> Result<Vec<(MaskCodes, DecodedMask)>, TokenizerError> {
            if let Some(width) = search_width {
                let searched = tokenizer.encode_searched(image, masks, width)?;
                return Ok(searched
                    .into_iter()
                    .map(|(encoded, decoded)| (encoded.codes, decoded))
                    .collect());
            }
            let codes: Vec<MaskCodes> = tokenizer
                .encode(image, masks)?
                .into_iter()
                .map(|encoded| encoded.codes)
                .collect();
            let decoded = tokenizer.decode(image, &codes)?;
            Ok(codes.into_iter().zip(decoded).collect())
        };
        encode().map_err(sentence)
    }

    fn decode(&self, image: &EmbeddedImage, codes: &[MaskCodes]) -> Result<Vec<DecodedMask>, String> {
        self.tokenizer.decode(image, codes).map_err(sentence)
    }

    fn segment(&self, image: &EmbeddedImage, prompt: &Prompt) -> Result<Vec<DecodedMask>, String> {
        self.tokenizer.segment(image, prompt).map_err(sentence)
    }

    fn tokenize_folder(
        &self,
        folder: &Path,
        options: &TokenizeOptions,
        report: &mut dyn FnMut(&TokenizeProgress) -> bool,
    ) -> Result<TokenizeSummary, String> {
        let folder = Folder::open(folder).map_err(|error| error.to_string())?;
        tokenize::tokenize(&folder, &self.tokenizer, options, report).map_err(|error| error.to_string())
    }
}
