//! Reads and writes the weights of a network: safetensors and PyTorch checkpoints, without trusting either.
//!
//! [`Checkpoint`] opens a file, checks every tensor against the bytes it claims, and hands out values as f32 one tensor
//! at a time. Nothing in a file is ever run, and nothing is allocated that the file's size does not justify.
//! [`write`] makes safetensors files, [`generate`] makes reproducible weights, [`FingerprintBuilder`] names a model.

mod archive;
mod blob;
mod dtype;
mod error;
mod fingerprint;
pub mod generate;
mod names;
mod pickle;
mod safetensors;
mod source;
mod tensor;
mod torch;
pub mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use source::Source;
use tensor::Tensor;

pub use dtype::Dtype;
pub use error::WeightsError;
pub use fingerprint::{Fingerprint, FingerprintBuilder, InvalidFingerprint};
pub use names::CheckpointKind;
pub use tensor::TensorInfo;

/// Notices beyond these are only counted.
const MAX_NOTICES: usize = 16;

/// How a checkpoint is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A safetensors file.
    Safetensors,
    /// What `torch.save` writes since PyTorch 1.6: a zip archive with a pickle.
    Torch,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Safetensors => "safetensors",
            Self::Torch => "PyTorch checkpoint",
        })
    }
}

/// An open weights file. Tensors go by their canonical names (`model.sam2_model.…`, `quantizer.…`), whatever the file
/// put around them; they are read when asked for, from any thread.
#[derive(Debug)]
pub struct Checkpoint {
    source: Source,
    format: Format,
    tensors: BTreeMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
    notices: Vec<String>,
}

impl Checkpoint {
    /// Opens the file at `path`; its content decides the format, not its name.
    ///
    /// # Errors
    /// A file that is missing, a folder, empty, in another format, incomplete, or whose tensors do not fit its size.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        Self::read(Source::open(path)?)
    }

    /// Opens weights compiled into the program.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, WeightsError> {
        Self::read(Source::from_static(bytes))
    }

    /// Opens weights held in memory.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, WeightsError> {
        Self::read(Source::from_vec(bytes))
    }

    fn read(source: Source) -> Result<Self, WeightsError> {
        let (format, contents) = match detect(&source)? {
            Detected::Safetensors { header_len } => {
                (Format::Safetensors, safetensors::read(&source, header_len)?)
            }
            Detected::Torch => {
                let (tensors, notices) = torch::read(&source)?;
                (
                    Format::Torch,
                    safetensors::Contents {
                        tensors,
                        notices,
                        ..Default::default()
                    },
                )
            }
        };
        let safetensors::Contents {
            tensors,
            metadata,
            mut notices,
        } = contents;
        let tensors = names::canonical(tensors).map_err(|reason| source.damaged(reason))?;
        if let Some(more) = notices.len().checked_sub(MAX_NOTICES).filter(|&more| more > 0) {
            notices.truncate(MAX_NOTICES);
            notices.push(format!("{more} more things in this file were ignored"));
        }
        Ok(Self {
            source,
            format,
            tensors,
            metadata,
            notices,
        })
    }

    /// How the file stores its tensors.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Canonical names in sorted order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.tensors.keys().map(String::as_str)
    }

    /// Type and shape of a tensor.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name).map(|tensor| &tensor.info)
    }

    /// What the network can be used for, judged by the names.
    #[must_use]
    pub fn kind_hint(&self) -> CheckpointKind {
        names::kind(&self.tensors)
    }

    /// Texts stored beside the tensors (safetensors only).
    #[must_use]
    pub const fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// What the file holds that was ignored, one line each, such as functions that it asks to call.
    #[must_use]
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The values of a tensor in row-major order, converted to f32. They may be NaN or infinite: see [`check_finite`].
    ///
    /// # Errors
    /// [`WeightsError::MissingTensor`], an I/O error, or a wrong checksum.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let tensor = self.tensor(name)?;
        let mut values = vec![0.0; tensor.info.numel()];
        tensor
            .read_into(&self.source, &mut values)
            .map_err(|error| self.source.read_error(error))?;
        Ok(values)
    }

    /// Reads a tensor as [`Self::read_f32`] does, into `values`, which must have exactly as many elements.
    ///
    /// # Errors
    /// [`WeightsError::ValueCount`] besides those of [`Self::read_f32`]; `values` is then partly filled.
    pub fn read_into(&self, name: &str, values: &mut [f32]) -> Result<(), WeightsError> {
        let tensor = self.tensor(name)?;
        let expected = tensor.info.numel();
        if values.len() != expected {
            return Err(WeightsError::ValueCount {
                name: name.to_owned(),
                expected,
                given: values.len(),
            });
        }
        tensor
            .read_into(&self.source, values)
            .map_err(|error| self.source.read_error(error))
    }

    fn tensor(&self, name: &str) -> Result<&Tensor, WeightsError> {
        self.tensors.get(name).ok_or_else(|| WeightsError::MissingTensor {
            name: name.to_owned(),
            path: self.source.path().to_path_buf(),
        })
    }
}

/// Refuses weights that are NaN or infinite.
///
/// # Errors
/// [`WeightsError::NotFinite`] with the first such value.
pub fn check_finite(name: &str, values: &[f32]) -> Result<(), WeightsError> {
    match values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, &value)) => Err(WeightsError::NotFinite {
            name: name.to_owned(),
            value,
            index,
        }),
        None => Ok(()),
    }
}

/// A format that can be read.
enum Detected {
    Safetensors { header_len: u64 },
    Torch,
}

/// Recognises a file by its first bytes, and says what to do about the usual mistakes.
fn detect(source: &Source) -> Result<Detected, WeightsError> {
    const GIVE_WEIGHTS: &str = "give a .safetensors or .pth file";
    const SAVE_AGAIN: &str = "load it in PyTorch 1.6 or newer and torch.save it again";
    if source.len() == 0 {
        return Err(WeightsError::Empty {
            path: source.path().to_path_buf(),
        });
    }
    let start = source
        .read_vec(0, source.len().min(512))
        .map_err(|error| source.read_error(error))?;
    if start.starts_with(b"PK\x03\x04") {
        return Ok(Detected::Torch);
    }
    if let Some(header_len) = safetensors::header_len(&start) {
        return Ok(Detected::Safetensors { header_len });
    }
    let (found, advice) = if start.starts_with(b"version https://git-lfs") {
        (
            "this is a Git LFS pointer, not the weights it stands for",
            "run git lfs pull in its repository",
        )
    } else if is_web_page(&start) {
        (
            "this is a web page, not weights",
            "download the file itself (its raw or resolve link)",
        )
    } else if start.starts_with(b"GGUF") {
        (
            "GGUF files are not supported",
            "give the .safetensors or .pth file it was made from",
        )
    } else if matches!(*start, [0x80, 2..=5, ..]) || start.get(257..262) == Some(b"ustar") {
        (
            "this is a pickle or a PyTorch checkpoint from before version 1.6",
            SAVE_AGAIN,
        )
    } else if start.starts_with(&[0x1f, 0x8b]) {
        ("the file is compressed with gzip", "unpack it first")
    } else {
        ("this is not a weights file of a known kind", GIVE_WEIGHTS)
    };
    Err(source.unsupported(found, advice))
}

fn is_web_page(start: &[u8]) -> bool {
    let text = start.trim_ascii_start();
    [&b"<!doctype"[..], b"<html", b"<head", b"<?xml"]
        .iter()
        .any(|tag| {
            text.get(..tag.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(tag))
        })
}
