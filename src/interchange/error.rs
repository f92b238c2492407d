//! Why annotations could not be exchanged at all; what only a part of them suffered is a note.

use super::Failure;
use super::training::TrainingError;
use crate::dataset::DatasetError;
use crate::dataset::folder::FolderError;
use crate::image_file::ImageFileError;
use crate::mask::MaskError;
use std::io;
use std::path::{Path, PathBuf};

/// An export or import that had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterchangeError {
    /// A file or folder could not be read or written.
    #[error("cannot {action}: {source}; check that the disk has room and the folder may be used: {}", path.display())]
    Io {
        /// What was tried, such as "read the annotations".
        action: &'static str,
        /// What went wrong.
        source: io::Error,
        /// Where.
        path: PathBuf,
    },
    /// A foreign file is not what it should be.
    #[error("this is not {expected}: {reason}: {}", path.display())]
    Foreign {
        /// The format that was expected, with its article: "a COCO instances file".
        expected: &'static str,
        /// What is wrong, with the place inside the file where it is known.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// A name that leads out of the folder.
    #[error("the name {name:?} leads out of the folder; rename the image or correct the file that names it")]
    Outside {
        /// The name.
        name: String,
    },
    /// There is nothing to export.
    #[error("no image of this folder has annotations; annotate some, or name another folder: {}", path.display())]
    NoAnnotations {
        /// The folder.
        path: PathBuf,
    },
    /// The output folder has something in it.
    #[error("the folder is not empty; choose another one for the results: {}", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The person or program that asked for it does not want it any more.
    #[error("stopped before the end; what was imported until then stays, an export leaves nothing behind")]
    Cancelled,
    /// An annotated image that cannot be read, where all are wanted.
    #[error("{}", .0.error)]
    Unusable(Failure),
    /// A training export that makes no sense as asked.
    #[error(transparent)]
    Training(#[from] TrainingError),
    /// The folder of images.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A sidecar.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// An image or mask file.
    #[error(transparent)]
    Image(#[from] ImageFileError),
    /// A mask.
    #[error(transparent)]
    Mask(#[from] MaskError),
}

impl InterchangeError {
    /// An I/O error at `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, source, path }
    }

    /// A foreign file that is not what it should be.
    pub(super) fn foreign(expected: &'static str, reason: impl ToString, path: &Path) -> Self {
        Self::Foreign {
            expected,
            reason: reason.to_string(),
            path: path.to_path_buf(),
        }
    }
}
