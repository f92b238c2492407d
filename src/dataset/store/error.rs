//! Why a sidecar was not read or written.

use std::io;
use std::path::{Path, PathBuf};

use super::MAX_BYTES;
use crate::dataset::format::FormatError;
use crate::geometry::ImageSize;

/// Why a sidecar was not read or written; messages end with the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The sidecar says nothing that this program understands, or the document cannot be written.
    #[error("{source}: {}", path.display())]
    Format {
        /// What is wrong with it.
        source: FormatError,
        /// The sidecar.
        path: PathBuf,
    },
    /// The sidecar is about an image of another size.
    #[error("the annotations are for {annotated} pixels and the image has {image}; the image was replaced or turned, so restore it or move the annotations away: {}", path.display())]
    ImageSize {
        /// Size in the sidecar.
        annotated: ImageSize,
        /// Size of the image.
        image: ImageSize,
        /// The sidecar.
        path: PathBuf,
    },
    /// Another program wrote or deleted the sidecar after it was read; it was left as it is.
    #[error("the annotations changed on disk since they were read; open the image again to see them: {}", path.display())]
    ChangedOnDisk {
        /// The sidecar.
        path: PathBuf,
    },
    /// The sidecar is gone together with its image or folder, as when a share is disconnected.
    #[error("the folder or the image is gone, so nothing was saved; reconnect the disk or share and save again: {}", path.display())]
    Vanished {
        /// The sidecar.
        path: PathBuf,
    },
    /// A folder, or something else that is no ordinary file, has the sidecar's name.
    #[error("this is not an ordinary file; move it away: {}", path.display())]
    NotAFile {
        /// What is in the way.
        path: PathBuf,
    },
    /// A file or a link is where this program needs a folder.
    #[error("this is not a folder; move it away: {}", path.display())]
    NotAFolder {
        /// What is in the way.
        path: PathBuf,
    },
    /// The sidecar is larger than any annotation.
    #[error("this file has more than {MAX_BYTES} bytes, too many for annotations; move it away: {}", path.display())]
    TooLarge {
        /// The sidecar.
        path: PathBuf,
    },
    /// The image's name leaves no room for `.samtok.json`.
    #[error("the name is too long for a file; shorten the name of the image by a dozen letters: {}", path.display())]
    NameTooLong {
        /// The sidecar.
        path: PathBuf,
    },
    /// Another program has been saving in the folder for too long.
    #[error("another program is saving in this folder and does not finish; close it, or restart the computer that runs it, and save again: {}", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
    },
    /// The folder or the file may not be read or written.
    #[error("permission denied; change the permissions of the folder, or copy the images to one of your own: {}", path.display())]
    PermissionDenied {
        /// The sidecar.
        path: PathBuf,
    },
    /// The disk is read-only.
    #[error("the disk is read-only; copy the images to one that can be written: {}", path.display())]
    ReadOnly {
        /// The sidecar.
        path: PathBuf,
    },
    /// No room is left; the sidecar is as it was.
    #[error("the disk is full, nothing was changed; free some space and save again: {}", path.display())]
    DiskFull {
        /// The sidecar.
        path: PathBuf,
    },
    /// The disk or share does not answer; the sidecar is as it was.
    #[error("the disk or share does not answer ({source}); reconnect it and try again: {}", path.display())]
    Unreachable {
        /// What the operating system said.
        source: io::Error,
        /// The sidecar.
        path: PathBuf,
    },
    /// Any other failure of the operating system; the sidecar is as it was.
    #[error("cannot {action} the annotations: {source}: {}", path.display())]
    Io {
        /// `read` or `save`, among others.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
        /// The sidecar.
        path: PathBuf,
    },
}

impl DatasetError {
    pub(in crate::dataset) fn from_io(action: &'static str, source: io::Error, path: &Path) -> Self {
        use io::ErrorKind as Kind;

        let path = path.to_path_buf();
        match source.kind() {
            Kind::PermissionDenied => Self::PermissionDenied { path },
            Kind::ReadOnlyFilesystem => Self::ReadOnly { path },
            Kind::StorageFull | Kind::QuotaExceeded => Self::DiskFull { path },
            Kind::InvalidFilename => Self::NameTooLong { path },
            Kind::StaleNetworkFileHandle
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            | Kind::NotConnected
            | Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::TimedOut => Self::Unreachable { source, path },
            _ => Self::Io { action, source, path },
        }
    }
}
