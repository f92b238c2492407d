//! What can go wrong with a weights file, each said in one line: what failed, why, what to do, path last.

use std::io;
use std::path::{Path, PathBuf};

/// Why weights could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The operating system refused (not found, no permission, disk full, …).
    #[error("cannot {action} the weights file: {source}: {}", path.display())]
    Io {
        /// The verb: open, read, write.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// The path is a folder.
    #[error("expected a weights file but this is a folder; name the .safetensors or .pth file in it: {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("the weights file is empty (0 bytes); download or copy it again: {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is something else, or weights in a form that is not read here.
    #[error("{found}; {advice}: {}", path.display())]
    Unsupported {
        /// What the file is.
        found: String,
        /// What to do instead.
        advice: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The file contradicts itself or ends too early.
    #[error("the weights file is damaged ({reason}); download or copy it again: {}", path.display())]
    Damaged {
        /// The contradiction.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// No tensor has this name.
    #[error("the weights file has no tensor {name}; check that it belongs to this network: {}", path.display())]
    MissingTensor {
        /// Canonical name.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// A buffer or a tensor to write does not have as many values as its shape says.
    #[error("tensor {name} has {expected} values, but {given} were given")]
    ValueCount {
        /// Canonical name.
        name: String,
        /// Product of the shape.
        expected: usize,
        /// Length of the slice.
        given: usize,
    },
    /// A weight is NaN or infinite.
    #[error(
        "tensor {name} holds {value} (element {index}), so nothing it computes can be trusted; get another copy or an earlier training checkpoint"
    )]
    NotFinite {
        /// Canonical name.
        name: String,
        /// NaN, inf or -inf.
        value: f32,
        /// Row-major position of the first such value.
        index: usize,
    },
    /// A value is too large for the chosen precision.
    #[error("tensor {name} holds {value}, beyond the ±65504 that f16 can hold; write f32 instead")]
    F16Overflow {
        /// Canonical name.
        name: String,
        /// The first such value.
        value: f32,
    },
    /// Two tensors to write have one name.
    #[error("two tensors are named {name}; every tensor needs its own name")]
    DuplicateName {
        /// The name.
        name: String,
    },
}

impl WeightsError {
    /// An I/O failure while doing `action` (a verb) to `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            source,
            path: path.to_path_buf(),
        }
    }
}

/// `text` from a file, fit for a one-line message: no control characters, at most 200 characters.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
