//! A user's own images and masks as a source of samples: sidecars and mask PNGs beside the images.

use super::TrainingError;
use super::augment::{View, recolour};
use super::samples::{Sample, SampleShape};
use crate::dataset::{Sidecar, Status};
use crate::geometry::ImageSize;
use crate::image_file::{self, Limits, resize};
use crate::mask::{Mask, Rle};
use crate::scenes::random::Rng;
use crate::tokenizer::preprocess;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Suffixes of image files.
const IMAGES: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"];
/// Between the name of an image and the rest of its mask files' names: `photo.mask1.png` belongs to `photo.jpg`.
const MASK_MARK: &str = ".mask";
/// Masks unpacked for each one that is used: views cut some away.
const SPARE: usize = 3;

/// The images of one folder that have masks.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    images: Vec<LabelledImage>,
    limits: Limits,
}

#[derive(Debug)]
struct LabelledImage {
    path: PathBuf,
    masks: Vec<Rle>,
    /// Whether it was said that the image cannot be read.
    is_reported: AtomicBool,
}

impl Folder {
    /// Lists the images with masks in `path`; what cannot be read is told and left out.
    ///
    /// # Errors
    /// [`TrainingError::Data`] where the folder cannot be read or nothing in it can be used.
    pub(super) fn open(path: &Path, limits: Limits) -> Result<Self, TrainingError> {
        let failed = |reason: String| TrainingError::Data {
            reason,
            path: path.to_path_buf(),
        };
        let mut files = std::fs::read_dir(path)
            .and_then(|entries| {
                entries
                    .map(|entry| Ok(entry?.path()))
                    .collect::<io::Result<Vec<_>>>()
            })
            .map_err(|error| failed(format!("the folder cannot be read: {error}")))?;
        // The order decides which image a random number means.
        files.sort();
        let is_image = |path: &PathBuf| {
            let suffix = path.extension().and_then(OsStr::to_str).unwrap_or_default();
            IMAGES.iter().any(|image| suffix.eq_ignore_ascii_case(image))
        };
        let (masks, images): (Vec<_>, Vec<_>) = files
            .into_iter()
            .filter(is_image)
            .partition(|path| mask_owner(path).is_some());
        let (mut labelled, mut broken, count) = (Vec::new(), 0, images.len());
        for image in images {
            let stem = image.file_stem().and_then(OsStr::to_str);
            let own = masks
                .iter()
                .filter(|mask| stem.is_some() && mask_owner(mask) == stem);
            match LabelledImage::open(&image, own, &limits) {
                Ok(image) if image.masks.is_empty() => {}
                Ok(image) => labelled.push(image),
                Err(error) => {
                    broken += 1;
                    tracing::warn!("left out: {error}");
                }
            }
        }
        if labelled.is_empty() {
            return Err(failed(format!(
                "no image with masks: of {count} images {broken} cannot be read and the others have neither a \
                 sidecar IMAGE.samtok.json with regions nor mask files NAME{MASK_MARK}1.png beside them"
            )));
        }
        tracing::info!(
            "{} of {count} images have masks: {}",
            labelled.len(),
            path.display()
        );
        Ok(Self {
            path: path.to_path_buf(),
            images: labelled,
            limits,
        })
    }

    /// A random view of a random image with some of its masks.
    pub(super) fn sample(&self, shape: &SampleShape, rng: &mut Rng) -> Result<Sample, TrainingError> {
        let first = rng.int(0, self.images.len() - 1);
        for image in self.images[first..].iter().chain(&self.images[..first]) {
            match image_file::read_rgb(&image.path, &self.limits) {
                Ok(pixels) => {
                    let mut chosen: Vec<&Rle> = image.masks.iter().collect();
                    rng.shuffle(&mut chosen);
                    chosen.truncate(SPARE * shape.masks);
                    // The image may have been replaced by one of another size since the start.
                    let masks: Vec<Mask> = chosen
                        .into_iter()
                        .filter(|rle| rle.size() == pixels.size)
                        .map(Mask::from_rle)
                        .collect();
                    if masks.is_empty() {
                        continue;
                    }
                    let view = View::random(pixels.size, &masks, rng);
                    let side = shape.config.image_size as u32;
                    let mut seen = resize::bicubic_rgb(&view.image(&pixels), ImageSize::new(side, side));
                    recolour(&mut seen, rng);
                    let masks = view.masks(&masks);
                    let masks = shape.choose(masks.iter().collect(), rng)?;
                    return Ok(Sample {
                        pixels: preprocess::normalised(&seen),
                        masks,
                    });
                }
                Err(error) => {
                    if !image.is_reported.swap(true, Ordering::Relaxed) {
                        tracing::warn!("left out: {error}");
                    }
                }
            }
        }
        Err(TrainingError::Data {
            reason: "none of its images can be read any more".to_owned(),
            path: self.path.clone(),
        })
    }
}

impl LabelledImage {
    fn open<'a>(
        path: &Path,
        mask_files: impl Iterator<Item = &'a PathBuf>,
        limits: &Limits,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let size = image_file::read_size(path)?;
        let (_, document) = Sidecar::load(path, size)?;
        let regions = document.into_iter().flat_map(|document| document.regions);
        let mut masks: Vec<Rle> = regions
            .filter(|region| region.status != Status::Rejected)
            .map(|region| region.mask.rle)
            .collect();
        for file in mask_files {
            match image_file::read_mask(file, size, limits) {
                Ok(mask) => masks.push(mask.mask.to_rle()),
                Err(error) => tracing::warn!("left out: {error}"),
            }
        }
        masks.retain(|mask| mask.area() > 0);
        Ok(Self {
            path: path.to_path_buf(),
            masks,
            is_reported: AtomicBool::new(false),
        })
    }
}

/// The name, without suffix, of the image that a mask file belongs to.
fn mask_owner(path: &Path) -> Option<&str> {
    let (owner, _) = path.file_stem()?.to_str()?.rsplit_once(MASK_MARK)?;
    Some(owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Document, document::ImageRef, document::Region, sidecar_path};
    use crate::geometry::PixelRect;
    use crate::image_file::{RgbImage, write_mask_png, write_rgb_png};
    use crate::tokenizer::ModelFiles;

    const SIZE: ImageSize = ImageSize::new(90, 60);

    fn write_image(folder: &Path, name: &str) -> PathBuf {
        let image = RgbImage {
            size: SIZE,
            pixels: (0..3 * SIZE.area()).map(|i| (i % 251) as u8).collect(),
        };
        let path = folder.join(name);
        write_rgb_png(&path, &image).unwrap();
        path
    }

    fn mask(x: u32) -> Mask {
        Mask::from_rects(SIZE, &[PixelRect::new(x, 10, 30, 40)]).unwrap()
    }

    #[test]
    fn sidecars_and_mask_files_are_found_and_broken_files_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let annotated = write_image(folder.path(), "a.b.png");
        let (mut sidecar, _) = Sidecar::load(&annotated, SIZE).unwrap();
        let mut document = Document::new(ImageRef::new(&annotated, SIZE, None));
        document
            .regions
            .push(Region::new("r1".to_owned(), mask(5).to_rle()));
        let mut rejected = Region::new("r2".to_owned(), mask(40).to_rle());
        rejected.status = Status::Rejected;
        document.regions.push(rejected);
        sidecar.save(&document).unwrap();
        write_image(folder.path(), "c.png");
        write_mask_png(&at("c.mask1.png"), &mask(1)).unwrap();
        write_mask_png(&at("c.mask2.png"), &mask(2)).unwrap();
        write_image(folder.path(), "unlabelled.png");
        std::fs::write(at("broken.jpg"), b"no image").unwrap();
        let damaged = write_image(folder.path(), "damaged.png");
        std::fs::write(sidecar_path(&damaged), b"{").unwrap();
        std::fs::write(at("notes.txt"), b"ignored").unwrap();

        let opened = Folder::open(folder.path(), Limits::default()).unwrap();
        let found: Vec<(String, usize)> = opened
            .images
            .iter()
            .map(|image| {
                (
                    image.path.file_name().unwrap().to_string_lossy().into_owned(),
                    image.masks.len(),
                )
            })
            .collect();
        assert_eq!(found, [("a.b.png".to_owned(), 1), ("c.png".to_owned(), 2)]);

        let shape = SampleShape {
            config: ModelFiles::embedded().unwrap().config,
            masks: 5,
            small_masks: 0.5,
        };
        let side = shape.config.image_size;
        let sample = |seed: u64| opened.sample(&shape, &mut Rng::new(seed)).unwrap();
        for seed in 0..6 {
            let sample = sample(seed);
            assert_eq!((sample.pixels.len(), sample.masks.len()), (3 * side * side, 5));
        }
        assert_eq!(sample(1).pixels, sample(1).pixels, "a seed means one sample");
        // An image that disappears is left out while another is there.
        std::fs::remove_file(&annotated).unwrap();
        for seed in 0..6 {
            assert_eq!(sample(seed).masks.len(), 5);
        }
        std::fs::remove_file(at("c.png")).unwrap();
        assert!(opened.sample(&shape, &mut Rng::new(1)).is_err());
    }

    #[test]
    fn a_folder_without_masks_is_refused_with_what_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        write_image(folder.path(), "a.png");
        let error = Folder::open(folder.path(), Limits::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("samtok.json") && error.contains(".mask1.png"),
            "{error}"
        );
        let error = Folder::open(&folder.path().join("none"), Limits::default());
        assert!(error.unwrap_err().to_string().contains("cannot be read"));
    }
}
