//! An image in memory, with the identity of its content.

use std::path::Path;
use std::sync::Arc;

use crate::geometry::ImageSize;
use crate::image_file::{self, ImageFileError, Limits, RgbImage};
use crate::picture::PicturePyramid;
use crate::worker::network::{ImageKey, NetworkImage};

/// An image that was read.
#[derive(Clone, Debug)]
pub struct OpenedImage {
    /// Identity of the file's content.
    pub key: ImageKey,
    /// The upright pixels.
    pub rgb: Arc<RgbImage>,
    /// The pixels and their halved copies, for the canvas.
    pub picture: Option<Arc<PicturePyramid>>,
}

impl OpenedImage {
    /// Reads the image at `path`.
    pub(super) fn read(path: &Path, limits: &Limits) -> Result<Self, ImageFileError> {
        let bytes = image_file::read_bytes(path, limits)?;
        let rgb = Arc::new(image_file::decode_rgb(&bytes, path, limits)?);
        Ok(Self {
            key: ImageKey(*blake3::hash(&bytes).as_bytes()),
            picture: PicturePyramid::from_rgb(Arc::clone(&rgb)).map(Arc::new),
            rgb,
        })
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> ImageSize {
        self.rgb.size
    }

    /// BLAKE3 of the file in hexadecimal, as sidecars have it.
    #[must_use]
    pub fn blake3(&self) -> String {
        blake3::Hash::from_bytes(self.key.0).to_hex().to_string()
    }

    /// Bytes that the pixels and their copies take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rgb.pixels.len() + self.picture.as_ref().map_or(0, |picture| picture.extra_bytes())
    }

    /// The image as the network wants it; the pixels are shared.
    #[must_use]
    pub fn for_network(&self) -> NetworkImage {
        NetworkImage {
            key: self.key,
            rgb: Arc::clone(&self.rgb),
        }
    }
}
