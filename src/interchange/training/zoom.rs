//! Enlarged crops of small regions, cut as the published converters cut them.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::path::Path;

use super::super::{InterchangeError, Notes, OutputFolder, Result};
use super::TrainingError;
use super::record::{Crop, Scene, Skipped};
use crate::atomic_file::{AtomicFile, Existing};
use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::zoom::ZoomCut;
use crate::image_file::{Limits, RgbImage, encode_jpeg, read_rgb};
use crate::mask::Mask;

/// The network, as far as crops need it.
pub trait ZoomTokenizer {
    /// The fingerprint of the model; it has to be the one that made the words of the documents.
    fn fingerprint(&self) -> &str;

    /// The words of `mask`, which has a pixel set, on `crop`, which has its size.
    ///
    /// # Errors
    /// Whatever keeps the network from answering; the region's zoom-in records are left out then.
    fn words(&mut self, crop: &RgbImage, mask: &Mask) -> Result<String, Box<dyn Error + Send + Sync>>;
}

/// Whether a region with this box is small enough for a crop.
pub(super) fn is_small(bounds: PixelRect, image: ImageSize) -> bool {
    ZoomCut::around(bounds, image).is_some()
}

/// The crops of one image, each made once.
pub(super) struct Zoomer<'z> {
    tokenizer: &'z mut dyn ZoomTokenizer,
    image: &'z Path,
    scene: &'z Scene<'z>,
    out: &'z OutputFolder,
    /// Read when the first small region comes; `None` once that failed.
    pixels: Option<Option<RgbImage>>,
    made: HashMap<usize, Option<Crop>>,
    failures: Vec<(String, String)>,
}

impl fmt::Debug for Zoomer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zoomer")
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

impl<'z> Zoomer<'z> {
    pub(super) fn new(
        tokenizer: &'z mut dyn ZoomTokenizer,
        image: &'z Path,
        scene: &'z Scene<'z>,
        out: &'z OutputFolder,
    ) -> Self {
        Self {
            tokenizer,
            image,
            scene,
            out,
            pixels: None,
            made: HashMap::new(),
            failures: Vec::new(),
        }
    }

    /// The crop of the region at `index`; `None` where it is not small, or cannot be made, which is noted.
    pub(super) fn crop(&mut self, index: usize) -> Result<Option<Crop>, Skipped> {
        if let Some(made) = self.made.get(&index) {
            return Ok(made.clone());
        }
        let crop = self.make(index)?;
        self.made.insert(index, crop.clone());
        Ok(crop)
    }

    pub(super) fn note_failures(self, notes: &mut Notes) {
        for (why, region) in &self.failures {
            notes.lost(&format!("no zoom-in: {why}"), self.scene.name, region);
        }
    }

    fn make(&mut self, index: usize) -> Result<Option<Crop>, Skipped> {
        let shown = self.scene.shown(index)?;
        let Some(cut) = ZoomCut::around(shown.bounds, self.scene.document.image.size) else {
            return Ok(None);
        };
        let Some(region) = self.scene.document.regions.get(index) else {
            return Ok(None);
        };
        self.check_tokenizer(region)?;
        let whole = Mask::from_rle(&region.mask.rle);
        let mask = match cut.mask(&whole) {
            Ok(mask) if !mask.is_empty() => mask,
            Ok(_) => return Ok(self.failed("nothing of the region is left on the crop", index)),
            Err(error) => return Ok(self.failed(&error.to_string(), index)),
        };
        let Some(pixels) = self.pixels() else {
            return Ok(self.failed(
                "the image cannot be read, or has another size than its annotations",
                index,
            ));
        };
        let crop = cut.image(pixels);
        let words = match self.tokenizer.words(&crop, &mask) {
            Ok(words) => words,
            Err(error) => return Ok(self.failed(&error.to_string(), index)),
        };
        let file = crop_file(self.scene.name, &region.id);
        self.write(&file, &crop)
            .map_err(|error| Skipped::Failed(Box::new(error)))?;
        Ok(Some(Crop {
            file,
            words,
            mask: mask.to_rle(),
        }))
    }

    fn failed(&mut self, why: &str, index: usize) -> Option<Crop> {
        let region = self
            .scene
            .document
            .regions
            .get(index)
            .map_or("", |region| &region.id);
        self.failures.push((why.to_owned(), region.to_owned()));
        None
    }

    fn check_tokenizer(&self, region: &crate::dataset::Region) -> Result<(), Skipped> {
        let id = region.words.as_ref().map(|words| &words.tokenizer);
        let known = self
            .scene
            .document
            .tokenizers
            .iter()
            .find(|tokenizer| Some(&tokenizer.id) == id);
        match known {
            Some(tokenizer) if tokenizer.fingerprint != self.tokenizer.fingerprint() => {
                let error = TrainingError::MixedTokenizers {
                    first: tokenizer.fingerprint.clone(),
                    first_image: self.scene.name.to_owned(),
                    other: self.tokenizer.fingerprint().to_owned(),
                    other_images: vec!["the crops of small regions".to_owned()],
                    more_images: 0,
                };
                Err(Skipped::Failed(Box::new(error.into())))
            }
            _ => Ok(()),
        }
    }

    fn pixels(&mut self) -> Option<&RgbImage> {
        let size = self.scene.document.image.size;
        let path = self.image;
        let read = || {
            read_rgb(path, &Limits::default())
                .ok()
                .filter(|image| image.size == size)
        };
        self.pixels.get_or_insert_with(read).as_ref()
    }

    fn write(&self, file: &str, crop: &RgbImage) -> Result<()> {
        let path = self.out.place(file)?;
        let failed = || InterchangeError::io("write a crop", &path);
        let no_jpeg = || std::io::Error::other("the crop is too large for a JPEG file");
        let bytes = encode_jpeg(crop).ok_or_else(no_jpeg).map_err(failed())?;
        AtomicFile::write(&path, &bytes, Existing::Replace).map_err(failed())
    }
}

/// A name for the crop of a region that no other has and that leads nowhere, whatever image and region are called.
fn crop_file(image: &str, region: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(image.as_bytes());
    hasher.update(&[0]);
    hasher.update(region.as_bytes());
    let hash = hasher.finalize().to_hex();
    let hash = hash.get(..16).unwrap_or_default();
    let file_name = image.rsplit('/').next().unwrap_or(image);
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let stem: String = stem.chars().filter(is_plain).take(40).collect();
    // Sub-folders, because some file systems are slow with a hundred thousand files in one.
    format!("crops/{}/{stem}_{hash}.jpg", hash.get(..2).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crop_names_differ_and_stay_in_their_folder() {
        let name = crop_file("../../a b/ü.x.jpg", "../r1");
        assert!(
            name.starts_with("crops/") && name.ends_with(".jpg") && !name.contains(".."),
            "{name}"
        );
        assert!(crop_file("a.jpg", "r1") != crop_file("a.jpg", "r2"));
        assert!(crop_file("a/b.jpg", "r1") != crop_file("c/b.jpg", "r1"));
    }
}
