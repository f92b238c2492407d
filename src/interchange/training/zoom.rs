//! Enlarged crops of small regions, cut as the published converters cut them.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io::Write as _;
use std::path::Path;

use super::super::{InterchangeError, Notes, OutputFolder, Result};
use super::TrainingError;
use super::record::{Crop, Scene, Skipped};
use crate::atomic_file::Existing;
use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::resize::lanczos_rgb;
use crate::image_file::{Limits, RgbImage, encode_jpeg, read_rgb};
use crate::mask::{Mask, MaskError};

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

/// A box that covers more of the image than this is large enough to be seen without a crop.
const LARGEST_SHARE: f64 = 0.2;
/// Crops are at least this wide and high, in pixels of the image, where the image is.
const SMALLEST_SIDE: i64 = 140;
/// The shorter side of a crop that was enlarged, and the longer side up to which one is.
const ENLARGED_SIDE: u32 = 280;

/// Where a crop is cut and the size it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    rect: PixelRect,
    size: ImageSize,
}

impl Cut {
    /// The cut around `bounds`; `None` where the region is not small.
    ///
    /// As published: the far corner is the last pixel of the region and is then taken as the first pixel outside the
    /// crop, so a crop that did not have to grow lacks the region's last row and column.
    fn around(bounds: PixelRect, image: ImageSize) -> Option<Self> {
        let grown = |start: u32, length: u32, limit: u32| {
            let (first, last) = (i64::from(start), i64::from(start) + i64::from(length) - 1);
            let growth = (SMALLEST_SIDE - (last - first)).max(0) / 2;
            let (first, end) = ((first - growth).max(0), (last + growth).min(i64::from(limit)));
            Some((u32::try_from(first).ok()?, u32::try_from(end - first).ok()?))
        };
        let share = f64::from(bounds.width.checked_sub(1)?) * f64::from(bounds.height.checked_sub(1)?)
            / image.area() as f64;
        if share > LARGEST_SHARE {
            return None;
        }
        let (x, width) = grown(bounds.x, bounds.width, image.width)?;
        let (y, height) = grown(bounds.y, bounds.height, image.height)?;
        if width == 0 || height == 0 {
            return None;
        }
        let (shorter, longer) = (width.min(height), width.max(height));
        let size = if longer >= ENLARGED_SIDE {
            ImageSize::new(width, height)
        } else {
            // By a ratio in floating point and cut off, as published, so that sides are equal to the pixel.
            let ratio = f64::from(ENLARGED_SIDE) / f64::from(shorter);
            let scaled = |side: u32| {
                if side == shorter {
                    ENLARGED_SIDE
                } else {
                    (f64::from(side) * ratio) as u32
                }
            };
            ImageSize::new(scaled(width), scaled(height))
        };
        let rect = PixelRect::new(x, y, width, height);
        Some(Self { rect, size })
    }

    fn image(self, image: &RgbImage) -> RgbImage {
        let stride = image.size.width as usize * 3;
        let (left, length) = (self.rect.x as usize * 3, self.rect.width as usize * 3);
        let rows = image
            .pixels
            .chunks_exact(stride)
            .skip(self.rect.y as usize)
            .take(self.rect.height as usize);
        let cropped = RgbImage {
            size: self.rect.size(),
            pixels: rows
                .flat_map(|row| row.iter().skip(left).take(length))
                .copied()
                .collect(),
        };
        lanczos_rgb(&cropped, self.size)
    }

    /// The mask of the crop: enlarged bilinearly, set where more than half.
    fn mask(self, mask: &Mask) -> Result<Mask, MaskError> {
        let cropped = mask.crop(self.rect)?;
        if cropped.size() == self.size {
            return Ok(cropped);
        }
        let (columns, rows) = (
            sources(self.rect.width, self.size.width),
            sources(self.rect.height, self.size.height),
        );
        Mask::from_fn(self.size, |x, y| {
            let (Some(column), Some(row)) = (columns.get(x as usize), rows.get(y as usize)) else {
                return false;
            };
            let at = |x, y| f64::from(u8::from(cropped.get(x, y)));
            let upper = at(column.first, row.first) * (1.0 - column.share)
                + at(column.second, row.first) * column.share;
            let lower = at(column.first, row.second) * (1.0 - column.share)
                + at(column.second, row.second) * column.share;
            upper * (1.0 - row.share) + lower * row.share > 0.5
        })
    }
}

/// Whether a region with this box is small enough for a crop.
pub(super) fn is_small(bounds: PixelRect, image: ImageSize) -> bool {
    Cut::around(bounds, image).is_some()
}

/// Two neighbouring source samples and the share of the second.
struct Source {
    first: u32,
    second: u32,
    share: f64,
}

/// For every target sample the source samples under its centre.
fn sources(from: u32, to: u32) -> Vec<Source> {
    let scale = f64::from(from) / f64::from(to);
    let source = |target: u32| {
        let position = ((f64::from(target) + 0.5) * scale - 0.5).max(0.0);
        let first = position as u32;
        Source {
            first,
            second: (first + 1).min(from.saturating_sub(1)),
            share: position - f64::from(first),
        }
    };
    (0..to).map(source).collect()
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
        let Some(cut) = Cut::around(shown.bounds, self.scene.document.image.size) else {
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
        let mut output = self.out.file(file)?;
        output.write_all(&bytes).map_err(failed())?;
        output.commit(Existing::Replace).map_err(failed())
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
    fn crops_have_the_published_geometry() {
        let image = ImageSize::new(1000, 800);
        let cut = |x, y, width, height| {
            Cut::around(PixelRect::new(x, y, width, height), image).map(|cut| {
                let rect = cut.rect;
                (
                    (rect.x, rect.y, rect.width, rect.height),
                    (cut.size.width, cut.size.height),
                )
            })
        };
        // Worked out by hand from the published steps: grow to 140, clip, enlarge.
        let cases = [
            ((500, 400, 10, 10), Some(((435, 335, 139, 139), (280, 280)))),
            ((500, 400, 11, 10), Some(((435, 335, 140, 139), (282, 280)))),
            ((0, 0, 10, 10), Some(((0, 0, 74, 74), (280, 280)))),
            ((995, 795, 5, 5), Some(((927, 727, 73, 73), (280, 280)))),
            ((100, 100, 201, 101), Some(((100, 80, 200, 140), (400, 280)))),
            ((100, 100, 101, 201), Some(((80, 100, 140, 200), (280, 400)))),
            ((100, 100, 301, 101), Some(((100, 80, 300, 140), (300, 140)))),
            ((100, 100, 281, 281), Some(((100, 100, 280, 280), (280, 280)))),
            ((0, 0, 401, 401), Some(((0, 0, 400, 400), (400, 400)))),
            ((0, 0, 402, 401), None),
            ((0, 0, 1000, 800), None),
        ];
        for ((x, y, width, height), expected) in cases {
            assert_eq!(
                cut(x, y, width, height),
                expected,
                "{width} x {height} at ({x}, {y})"
            );
        }
        let tiny = ImageSize::new(20, 3);
        let cut = Cut::around(PixelRect::new(4, 1, 2, 1), tiny).unwrap();
        assert_eq!(
            (cut.rect, cut.size),
            (PixelRect::covering(tiny), ImageSize::new(1866, 280))
        );
    }

    #[test]
    fn masks_are_enlarged_bilinearly() {
        let mask = Mask::from_fn(ImageSize::new(3, 1), |x, _| x == 1).unwrap();
        let cut = Cut {
            rect: PixelRect::new(0, 0, 3, 1),
            size: ImageSize::new(12, 2),
        };
        let enlarged = cut.mask(&mask).unwrap();
        // Four targets per source; the value passes one half between the two that straddle an edge.
        let set: Vec<u32> = (0..12).filter(|&x| enlarged.get(x, 1)).collect();
        assert_eq!(set, [4, 5, 6, 7]);
    }

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
