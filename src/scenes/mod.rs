//! An endless, seeded source of labelled pictures: the trainer needs images and masks where nobody has any.
//!
//! A scene is put on a [`stage`] from back to front as textured, shaded outlines, each owned by a node of a part-of
//! tree. Drawing gives linear light and the owner of every pixel; the [`camera`] makes a photograph of the light,
//! and [`regions`] makes exact visible masks of the owners: instances, parts, wholes, groups, stuff and defects.
//! The same configuration and seed always give the same bytes; nothing depends on the number of threads.

mod assembly;
mod beings;
mod camera;
mod contour;
mod defects;
mod furniture;
mod goods;
mod indoors;
mod inspection;
mod jpeg;
mod layout;
mod lighting;
mod material;
mod noise;
mod outdoors;
mod palette;
pub(crate) mod random;
mod raster;
mod regions;
mod stage;
mod structures;
mod texture;
mod topview;
mod vehicles;

use crate::geometry::ImageSize;
use crate::image_file::RgbImage;
use crate::mask::Mask;
use random::Rng;
use stage::Stage;
use thiserror::Error;

/// The smallest and largest side of a scene, in pixels.
const SIDE_LIMITS_PX: (u32, u32) = (32, 4096);

/// What scenes to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SceneConfig {
    size: ImageSize,
    /// Visible pixels below which a thing gives no region; 24 unless changed.
    pub min_area: u32,
    /// Most regions per scene; 40 unless changed.
    pub max_regions: usize,
}

/// Why scenes cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SceneError {
    /// The size is too small to show anything or too large to be meant.
    #[error("scenes of {size} pixels cannot be generated: choose sides from {} to {} pixels", SIDE_LIMITS_PX.0, SIDE_LIMITS_PX.1)]
    Size {
        /// The size that was asked for.
        size: ImageSize,
    },
}

impl SceneConfig {
    /// Scenes of `size` with the usual regions.
    ///
    /// # Errors
    /// [`SceneError::Size`] if a side is under 32 or over 4096 pixels.
    pub fn new(size: ImageSize) -> Result<Self, SceneError> {
        let fits = |side: u32| (SIDE_LIMITS_PX.0..=SIDE_LIMITS_PX.1).contains(&side);
        if fits(size.width) && fits(size.height) {
            Ok(Self {
                size,
                min_area: 24,
                max_regions: 40,
            })
        } else {
            Err(SceneError::Size { size })
        }
    }

    /// Width and height of every scene.
    #[must_use]
    pub const fn size(&self) -> ImageSize {
        self.size
    }
}

/// What a region is in its scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegionKind {
    /// One whole thing, as far as it is seen.
    Object,
    /// A part of a thing.
    Part,
    /// Several things of one kind.
    Group,
    /// Background without a form of its own: sky, ground, wall.
    Stuff,
    /// A fault on a surface.
    Defect,
    /// One of several pieces into which something in front splits a region.
    Fragment,
    /// Different things side by side.
    Neighbourhood,
}

/// One labelled region.
#[derive(Clone, Debug)]
pub struct SceneRegion {
    /// The visible pixels: those the region covers by more than half.
    pub mask: Mask,
    /// What it is.
    pub kind: RegionKind,
}

/// One labelled picture.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The picture.
    pub image: RgbImage,
    /// Its regions in random order; they nest and overlap, none is empty.
    pub regions: Vec<SceneRegion>,
}

/// The scene of one seed.
#[must_use]
pub fn generate(config: &SceneConfig, seed: u64) -> Scene {
    let mut stage = Stage::new(config, Rng::new(seed));
    match stage
        .rng
        .weighted(&[22.0, 22.0, 12.0, 10.0, 12.0, 4.0, 4.0, 20.0])
    {
        0 => layout::dead_leaves(&mut stage),
        1 => outdoors::outdoors(&mut stage),
        2 => indoors::room(&mut stage),
        3 => indoors::table(&mut stage),
        4 => layout::close_view(&mut stage),
        5 => topview::aerial(&mut stage),
        6 => topview::microscope(&mut stage),
        _ => inspection::inspection(&mut stage),
    }
    let drawing = stage.draw();
    let regions = regions::regions(config, &drawing, &stage.nodes, &mut stage.rng);
    let pixels = camera::expose(drawing.canvas, stage.width, stage.height, &mut stage.rng);
    Scene {
        image: RgbImage {
            size: config.size,
            pixels,
        },
        regions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(width: u32, height: u32) -> SceneConfig {
        SceneConfig::new(ImageSize::new(width, height)).unwrap()
    }

    #[test]
    fn one_seed_gives_one_scene() {
        let config = config(96, 80);
        for seed in 0..12 {
            let (a, b) = (generate(&config, seed), generate(&config, seed));
            assert_eq!(a.image.pixels, b.image.pixels, "seed {seed}");
            let masks = |scene: &Scene| {
                scene
                    .regions
                    .iter()
                    .map(|r| r.mask.to_bytes())
                    .collect::<Vec<_>>()
            };
            assert_eq!(masks(&a), masks(&b), "seed {seed}");
        }
        assert_ne!(
            generate(&config, 1).image.pixels,
            generate(&config, 2).image.pixels
        );
    }

    #[test]
    fn regions_lie_in_the_image_and_have_every_size() {
        let config = config(256, 256);
        let (mut sizes, mut kinds) = ([0usize; 3], std::collections::HashSet::new());
        for seed in 0..50 {
            let scene = generate(&config, seed);
            assert_eq!(scene.image.pixels.len(), 256 * 256 * 3);
            assert!(
                (1..=40).contains(&scene.regions.len()),
                "seed {seed}: {}",
                scene.regions.len()
            );
            for region in &scene.regions {
                assert_eq!(region.mask.size(), config.size());
                let area = region.mask.area();
                assert!(area >= 24, "seed {seed}: {area}");
                kinds.insert(region.kind);
                sizes[if area < 32 * 32 {
                    0
                } else if area < 96 * 96 {
                    1
                } else {
                    2
                }] += 1;
            }
        }
        assert!(sizes.iter().all(|&count| count > 60), "{sizes:?}");
        for kind in [
            RegionKind::Object,
            RegionKind::Part,
            RegionKind::Group,
            RegionKind::Stuff,
            RegionKind::Defect,
        ] {
            assert!(kinds.contains(&kind), "{kind:?}");
        }
    }

    #[test]
    fn odd_sizes_work_and_senseless_ones_are_refused() {
        for (width, height) in [(32, 32), (33, 401), (250, 47)] {
            for seed in 0..25 {
                let scene = generate(&config(width, height), seed);
                assert_eq!(scene.image.pixels.len(), (width * height * 3) as usize);
            }
        }
        for (width, height) in [(0, 0), (31, 64), (64, 5000)] {
            assert!(SceneConfig::new(ImageSize::new(width, height)).is_err());
        }
    }

    #[test]
    fn pictures_are_neither_black_nor_white_nor_flat() {
        let config = config(128, 128);
        for seed in 100..160 {
            let pixels = generate(&config, seed).image.pixels;
            let mean = pixels.iter().map(|&p| f32::from(p)).sum::<f32>() / pixels.len() as f32;
            let variance =
                pixels.iter().map(|&p| (f32::from(p) - mean).powi(2)).sum::<f32>() / pixels.len() as f32;
            assert!(
                (15.0..240.0).contains(&mean) && variance > 40.0,
                "seed {seed}: mean {mean}, variance {variance}"
            );
        }
    }
}
