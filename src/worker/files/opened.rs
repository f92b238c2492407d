//! An image in memory, with the identity of its content.

use std::path::Path;
use std::sync::Arc;

use crate::geometry::ImageSize;
use crate::image_file::{self, DecodedImage, ImageFileError, Limits, RgbImage};
use crate::picture::{PicturePyramid, Samples};
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
    scale: SampleScale,
}

/// What the 16-bit samples of the picture stand for; of no use for 8 bits.
#[derive(Clone, Debug, Default)]
struct SampleScale {
    ranges: Vec<[f64; 2]>,
    is_whole: bool,
}

impl OpenedImage {
    /// Reads the image at `path`.
    pub(super) fn read(path: &Path, limits: &Limits) -> Result<Self, ImageFileError> {
        let bytes = image_file::read_bytes(path, limits)?;
        let DecodedImage { rgb, deep } = image_file::decode(&bytes, path, limits)?;
        let rgb = Arc::new(rgb);
        let (samples, scale) = match deep {
            None => (Samples::Rgb8(Arc::clone(&rgb)), SampleScale::default()),
            Some(deep) => {
                let values = Arc::new(deep.values);
                let samples = match deep.channels {
                    1 => Samples::Gray16(values),
                    _ => Samples::Rgb16(values),
                };
                let (ranges, is_whole) = (deep.ranges, deep.is_whole);
                (samples, SampleScale { ranges, is_whole })
            }
        };
        Ok(Self {
            key: ImageKey(*blake3::hash(&bytes).as_bytes()),
            picture: PicturePyramid::new(rgb.size, samples).map(Arc::new),
            rgb,
            scale,
        })
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> ImageSize {
        self.rgb.size
    }

    /// The samples of pixel (`x`, `y`) as the file has them, one or three; `None` outside.
    #[must_use]
    pub fn samples_at(&self, x: u32, y: u32) -> Option<Vec<f64>> {
        let samples = self.picture.as_ref()?.pixel(x, y)?;
        let mut ranges = self.scale.ranges.iter();
        let value = |sample: u16| match ranges.next() {
            None => f64::from(sample),
            Some([low, high]) => {
                let value = low + f64::from(sample) / f64::from(u16::MAX) * (high - low);
                if self.scale.is_whole { value.round() } else { value }
            }
        };
        Some(samples.into_iter().map(value).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_shown_and_told_as_the_file_has_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep.png");
        let values = vec![0_u16, 300, 65535, 256];
        image::ImageBuffer::<image::Luma<u16>, _>::from_raw(2, 2, values)
            .unwrap()
            .save(&path)
            .unwrap();
        let opened = OpenedImage::read(&path, &Limits::default()).unwrap();
        let picture = opened.picture.as_ref().unwrap();
        assert!(matches!(picture.samples(), Some(Samples::Gray16(_))));
        assert_eq!(opened.samples_at(1, 0), Some(vec![300.0]));
        assert_eq!(opened.samples_at(2, 0), None);
        assert_eq!(&opened.rgb.pixels[3..6], &[1, 1, 1]);
    }
}
