//! What the caller wants drawn over the image.

use std::sync::Arc;

use super::display::RegionStyle;
use super::layers::Wanted;
use super::region_shape::RegionShape;
use crate::mask::{Mask, Rle};

/// A region as it should be drawn.
#[derive(Clone, Copy, Debug)]
pub struct RegionLayer<'a> {
    /// Identifies the region within its image.
    pub key: u64,
    /// Changes whenever the pixels do; pixels of a revision that is held already are not read.
    pub revision: u64,
    /// The pixels, of the size of the image.
    pub pixels: RegionPixels<'a>,
    /// The look.
    pub style: RegionStyle,
}

/// Where the pixels of a region come from.
#[derive(Clone, Copy, Debug)]
pub enum RegionPixels<'a> {
    /// A raster.
    Mask(&'a Mask),
    /// Run lengths.
    Rle(&'a Rle),
    /// A shape made before, on another thread perhaps.
    Shape(&'a Arc<RegionShape>),
}

impl RegionPixels<'_> {
    pub(super) fn shape(self) -> Arc<RegionShape> {
        match self {
            Self::Mask(mask) => Arc::new(RegionShape::from_mask(mask)),
            Self::Rle(rle) => Arc::new(RegionShape::from_rle(rle)),
            Self::Shape(shape) => Arc::clone(shape),
        }
    }
}

impl Wanted for RegionLayer<'_> {
    fn key(&self) -> u64 {
        self.key
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn style(&self) -> RegionStyle {
        self.style
    }

    fn shape(&self) -> Arc<RegionShape> {
        self.pixels.shape()
    }
}

/// A mask and the one that its words give back, shown by which pixels only one of them has.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// The mask.
    pub original: RegionPixels<'a>,
    /// What its words give back.
    pub rebuilt: RegionPixels<'a>,
    /// How pixels of the original alone look.
    pub only_original: RegionStyle,
    /// How pixels of the rebuilt mask alone look.
    pub only_rebuilt: RegionStyle,
    /// How pixels of both look.
    pub both: RegionStyle,
}
