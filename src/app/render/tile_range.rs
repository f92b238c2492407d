//! The tiles that a view shows.

use std::ops::Range;

use super::gpu::PAGE_SIDE;
use super::tile_cache::{MAX_SLOT_ROWS, SLOTS_PER_ROW};
use super::view_transform::ViewTransform;
use crate::geometry::ImageSize;
use crate::picture::tile::{TILE, TileKey, level_count, level_rect, level_size};

/// A rectangle of tiles of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TileRange {
    pub(super) level: u8,
    pub(super) x: Range<u32>,
    pub(super) y: Range<u32>,
}

impl TileRange {
    /// The tiles that `view` or `margin_px` physical pixels around it show any part of, at the level with one or up
    /// to two texels per physical pixel.
    pub(super) fn in_view(image_size: ImageSize, view: &ViewTransform, margin_px: f32) -> Self {
        let coarsest = level_count(image_size) - 1;
        let mut level = 0;
        while level < coarsest && f64::from(2_u32 << level) * view.scale() <= 1.0 {
            level += 1;
        }
        loop {
            let tiles = Self::at_level(image_size, view, level, margin_px);
            let is_small = tiles.x.len() as u32 <= PAGE_SIDE
                && tiles.y.len() as u32 <= PAGE_SIDE
                && tiles.x.len() * tiles.y.len() <= max_tiles() as usize * 3 / 4;
            if is_small || level == coarsest {
                return tiles;
            }
            level += 1;
        }
    }

    fn at_level(image_size: ImageSize, view: &ViewTransform, level: u8, margin_px: f32) -> Self {
        let Some(visible) = view.visible_pixels().filter(|_| view.image_size() == image_size) else {
            return Self {
                level,
                x: 0..0,
                y: 0..0,
            };
        };
        let size = level_size(image_size, level);
        let rect = level_rect(visible, level);
        // A ring of texels around, for outlines and smooth scaling at the edges of the view.
        let per_texel = view.scale() * f64::from(1_u32 << level);
        let ring = (f64::from(margin_px) / per_texel).ceil() as u32 + 2;
        let range = |from: u32, to: u32, length: u32| {
            let (from, to) = (from.saturating_sub(ring), to.saturating_add(ring).min(length));
            from / TILE..to.div_ceil(TILE)
        };
        Self {
            level,
            x: range(rect.x, rect.right(), size.width),
            y: range(rect.y, rect.bottom(), size.height),
        }
    }

    /// Row by row.
    pub(super) fn keys(&self) -> impl Iterator<Item = TileKey> + use<> {
        let (level, columns) = (self.level, self.x.clone());
        self.y
            .clone()
            .flat_map(move |y| columns.clone().map(move |x| TileKey { level, x, y }))
    }

    pub(super) const fn contains(&self, key: TileKey) -> bool {
        key.level == self.level
            && key.x >= self.x.start
            && key.x < self.x.end
            && key.y >= self.y.start
            && key.y < self.y.end
    }

    /// Twice the position of the middle.
    pub(super) const fn middle(&self) -> (u32, u32) {
        (self.x.start + self.x.end, self.y.start + self.y.end)
    }
}

/// Most tiles that a texture holds.
pub(super) const fn max_tiles() -> u32 {
    SLOTS_PER_ROW * MAX_SLOT_ROWS
}
