//! Which tiles lie in which place of a texture, the longest unseen giving way to new ones.

use std::collections::HashMap;

use crate::geometry::PixelRect;
use crate::picture::tile::TileKey;

/// Tiles side by side in a texture.
pub(super) const SLOTS_PER_ROW: u32 = 32;

/// Most rows of tiles in a texture: 8192 texels, which every adapter offers.
pub(super) const MAX_SLOT_ROWS: u32 = 32;

/// What is known of a tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resident {
    pub(super) content: Content,
    /// Texels of the tile's level that are no longer right.
    pub(super) stale: Option<PixelRect>,
    last_seen: u64,
}

/// What a tile consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Texels at a place of the texture.
    Slot(u32),
    /// One value everywhere.
    Uniform(u32),
}

/// The tiles of one texture.
#[derive(Debug, Default)]
pub(super) struct TileCache {
    tiles: HashMap<TileKey, Resident>,
    /// The tile in each place.
    slots: Vec<Option<TileKey>>,
    rows: u32,
}

impl TileCache {
    /// Makes room for `tiles`; forgets everything if the texture has to be replaced. Whether it has to.
    pub(super) fn reserve(&mut self, tiles: u32) -> bool {
        let rows = tiles
            .div_ceil(SLOTS_PER_ROW)
            .next_power_of_two()
            .min(MAX_SLOT_ROWS);
        if rows <= self.rows {
            return false;
        }
        self.rows = rows;
        self.tiles.clear();
        self.slots = vec![None; (rows * SLOTS_PER_ROW) as usize];
        true
    }

    /// Rows of tiles of the texture.
    pub(super) const fn rows(&self) -> u32 {
        self.rows
    }

    /// Forgets every tile.
    pub(super) fn clear(&mut self) {
        self.tiles.clear();
        self.slots.fill(None);
    }

    pub(super) fn get(&self, key: TileKey) -> Option<&Resident> {
        self.tiles.get(&key)
    }

    /// The tile, which is seen at `now`.
    pub(super) fn see(&mut self, key: TileKey, now: u64) -> Option<&Resident> {
        let tile = self.tiles.get_mut(&key)?;
        tile.last_seen = now;
        Some(tile)
    }

    /// Keeps a tile of one value.
    pub(super) fn insert_uniform(&mut self, key: TileKey, value: u32, now: u64) {
        self.free_slot(key);
        let content = Content::Uniform(value);
        self.tiles.insert(
            key,
            Resident {
                content,
                stale: None,
                last_seen: now,
            },
        );
    }

    /// A place for the texels of a tile, the one it has if it has one; `None` if all are taken by tiles that are
    /// seen at `now`.
    pub(super) fn insert(&mut self, key: TileKey, now: u64) -> Option<u32> {
        let slot = match self.tiles.get(&key).map(|tile| tile.content) {
            Some(Content::Slot(slot)) => slot,
            _ => self.take_slot(now)?,
        };
        *self.slots.get_mut(slot as usize)? = Some(key);
        let content = Content::Slot(slot);
        self.tiles.insert(
            key,
            Resident {
                content,
                stale: None,
                last_seen: now,
            },
        );
        Some(slot)
    }

    /// Marks the tiles that `changed` touches: those that `is_kept` as stale, the others are forgotten.
    pub(super) fn invalidate(
        &mut self,
        changed: impl Fn(u8) -> PixelRect,
        is_kept: impl Fn(TileKey) -> bool,
    ) {
        let slots = &mut self.slots;
        self.tiles.retain(|&key, tile| {
            let Some(rect) = key.rect().intersection(changed(key.level)) else {
                return true;
            };
            if !is_kept(key) {
                release(slots, tile.content);
                return false;
            }
            tile.stale = Some(tile.stale.map_or(rect, |stale| stale.union(rect)));
            true
        });
    }

    fn free_slot(&mut self, key: TileKey) {
        if let Some(tile) = self.tiles.remove(&key) {
            release(&mut self.slots, tile.content);
        }
    }

    fn take_slot(&mut self, now: u64) -> Option<u32> {
        if let Some(free) = self.slots.iter().position(Option::is_none) {
            return Some(free as u32);
        }
        let last_seen = |key: &TileKey| self.tiles.get(key).map_or(0, |tile| tile.last_seen);
        let (slot, oldest) = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(slot, key)| Some((slot, (*key)?)))
            .min_by_key(|(_, key)| last_seen(key))?;
        if last_seen(&oldest) >= now {
            return None;
        }
        self.tiles.remove(&oldest);
        Some(slot as u32)
    }
}

fn release(slots: &mut [Option<TileKey>], content: Content) {
    if let Content::Slot(slot) = content
        && let Some(slot) = slots.get_mut(slot as usize)
    {
        *slot = None;
    }
}
