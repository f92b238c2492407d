//! The grid of tiles that the image and the masks are cut into, the same at every level of halving.

use crate::geometry::{ImageSize, PixelRect};

/// Texels along the side of a tile.
pub(crate) const TILE: u32 = 256;

/// Address of a tile: the tile at column `x`, row `y` of the image halved `level` times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TileKey {
    pub(crate) level: u8,
    pub(crate) x: u32,
    pub(crate) y: u32,
}

impl TileKey {
    /// The tile `steps` levels above that covers this one.
    pub(crate) const fn ancestor(self, steps: u8) -> Self {
        Self {
            level: self.level + steps,
            x: self.x >> steps,
            y: self.y >> steps,
        }
    }

    /// The texels of the tile in its level, not cut off at the edges of the image.
    pub(crate) const fn rect(self) -> PixelRect {
        PixelRect::new(
            self.x.saturating_mul(TILE),
            self.y.saturating_mul(TILE),
            TILE,
            TILE,
        )
    }
}

/// Number of levels until an image of `size` fits one tile.
pub(crate) fn level_count(size: ImageSize) -> u8 {
    let mut level = 0;
    while level_size(size, level).width > TILE || level_size(size, level).height > TILE {
        level += 1;
    }
    level + 1
}

/// Size of the image halved `level` times, rounded up.
pub(crate) const fn level_size(size: ImageSize, level: u8) -> ImageSize {
    ImageSize::new(halved(size.width, level), halved(size.height, level))
}

const fn halved(length: u32, level: u8) -> u32 {
    ((length as u64 + (1 << level) - 1) >> level) as u32
}

/// The texels of `level` that `rect`, in image pixels, touches.
pub(crate) const fn level_rect(rect: PixelRect, level: u8) -> PixelRect {
    let (x, y) = (rect.x >> level, rect.y >> level);
    PixelRect::new(
        x,
        y,
        halved(rect.right(), level) - x,
        halved(rect.bottom(), level) - y,
    )
}
