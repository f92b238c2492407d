//! Small pictures for the list.

use std::path::Path;

use super::THUMBNAIL_PX;
use crate::geometry::ImageSize;
use crate::image_file::{self, Limits, RgbImage};

/// The image at `path`, at most [`THUMBNAIL_PX`] on its longer side; `None` if it cannot be read.
pub(super) fn read(path: &Path, limits: &Limits) -> Option<RgbImage> {
    Some(of(&image_file::read_rgb(path, limits).ok()?))
}

/// A small version of `image`.
pub(super) fn of(image: &RgbImage) -> RgbImage {
    let longest = image.size.width.max(image.size.height).max(1);
    if longest <= THUMBNAIL_PX {
        return image.clone();
    }
    let side = |px: u32| (u64::from(px) * u64::from(THUMBNAIL_PX) / u64::from(longest)).max(1) as u32;
    image_file::resize::lanczos_rgb(
        image,
        ImageSize::new(side(image.size.width), side(image.size.height)),
    )
}
