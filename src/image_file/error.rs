//! What can go wrong with an image or mask file, each said in one line with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::geometry::ImageSize;
use crate::mask::MaskError;

/// Why an image or mask file was not read or written; messages end with the path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFileError {
    /// Nothing is at the path.
    #[error("there is no such file; check the name: {}", path.display())]
    NotFound {
        /// The file asked for.
        path: PathBuf,
    },
    /// The path is a folder.
    #[error("this is a folder, not an image; name an image file inside it: {}", path.display())]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The path is a device, a pipe or a socket.
    #[error("this is not an ordinary file; save the image to a file first: {}", path.display())]
    NotAFile {
        /// The file asked for.
        path: PathBuf,
    },
    /// The user may not read or write here.
    #[error("permission denied; change the permissions of the file or its folder: {}", path.display())]
    PermissionDenied {
        /// The file asked for.
        path: PathBuf,
    },
    /// Any other failure of the operating system.
    #[error("cannot read or write the file: {source}: {}", path.display())]
    Io {
        /// What the operating system said.
        source: io::Error,
        /// The file asked for.
        path: PathBuf,
    },
    /// No room is left for the file; nothing was left behind.
    #[error("the disk is full; free some space and write again: {}", path.display())]
    DiskFull {
        /// The file that was to be written.
        path: PathBuf,
    },
    /// The file has no bytes.
    #[error("the file has 0 bytes; copy or export it again: {}", path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
    /// The content is in no format that is read here.
    #[error("{found}, but JPEG, PNG, WebP, BMP or TIFF is needed; convert it: {}", path.display())]
    UnknownFormat {
        /// What the content looks like, as the start of a sentence.
        found: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The format is right, but it uses a feature that is not read here.
    #[error("this {format} file cannot be read: {reason}; save it as 8-bit PNG: {}", path.display())]
    Unsupported {
        /// Name of the file format.
        format: &'static str,
        /// The feature.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The content breaks off or contradicts itself.
    #[error("this {format} file is damaged or incomplete: {reason}; copy or export it again: {}", path.display())]
    Damaged {
        /// Name of the file format.
        format: &'static str,
        /// What the decoder found.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// The header promises more pixels than [`Limits::max_pixels`](super::Limits::max_pixels).
    #[error("{size} pixels are more than the limit of {max_pixels}; raise it with --max-megapixels if this is meant: {}", path.display())]
    TooManyPixels {
        /// Size in the header.
        size: ImageSize,
        /// The limit, in pixels.
        max_pixels: u64,
        /// The file.
        path: PathBuf,
    },
    /// The file or its decoded samples take more than [`Limits::max_bytes`](super::Limits::max_bytes).
    #[error("decoding would take more than the limit of {max_bytes} bytes; raise it with --max-megapixels if this is meant: {}", path.display())]
    TooManyBytes {
        /// The limit, in bytes.
        max_bytes: u64,
        /// The file.
        path: PathBuf,
    },
    /// A mask does not have the size of its image.
    #[error("the mask has {found} pixels and its image {expected}{}; save it at the image's size: {}", rotation_hint(*found, *expected), path.display())]
    MaskSize {
        /// Size of the mask file, upright.
        found: ImageSize,
        /// Size of the image, upright.
        expected: ImageSize,
        /// The mask file.
        path: PathBuf,
    },
    /// A mask without a single pixel set.
    #[error("the mask is empty: every pixel is 0; paint the region in white: {}", path.display())]
    EmptyMask {
        /// The mask file.
        path: PathBuf,
    },
    /// A mask of several grey levels, none of which counts as set.
    #[error("no pixel reaches 128 of 255 ({levels} grey levels, the brightest {brightest}); save one region as white on black: {}", path.display())]
    NothingAboveThreshold {
        /// Number of grey levels in the file.
        levels: usize,
        /// The brightest, on the scale 0 to 255.
        brightest: u8,
        /// The mask file.
        path: PathBuf,
    },
    /// The mask layer refuses the mask.
    #[error("{source}: {}", path.display())]
    Mask {
        /// Why.
        source: MaskError,
        /// The mask file.
        path: PathBuf,
    },
    /// The mask file shows a photograph.
    #[error("this looks like a photograph, not a mask; give a black and white mask file: {}", path.display())]
    MaskIsPhotograph {
        /// The mask file.
        path: PathBuf,
    },
}

impl ImageFileError {
    /// The error for what the operating system said about `path`.
    pub(super) fn from_io(source: io::Error, path: &Path) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::IsADirectory => Self::IsFolder { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::PermissionDenied { path }
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { source, path },
        }
    }
}

/// Swapped sides have one usual cause, which is worth naming.
fn rotation_hint(found: ImageSize, expected: ImageSize) -> &'static str {
    if found.width == expected.height && found.height == expected.width {
        " (the sides are swapped: the mask was drawn on the photograph before its EXIF rotation)"
    } else {
        ""
    }
}
