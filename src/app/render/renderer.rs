//! Decides for every frame what the card must know: which tiles are in view, which are stale, how they are drawn.
//!
//! Work of a frame is bounded by [`FrameBudget`]; what does not fit follows in the next frames, and coarser tiles
//! stand in until then. An edit of the size of a brush is always done in the same frame.

use std::sync::{Arc, PoisonError};

use super::display::{DisplaySettings, RegionStyle};
use super::frame::outline_px;
use super::frame_budget::{FrameBudget, Work};
use super::gpu::{Frame, GpuWrite, LIST_WIDTH, SharedQueue};
use super::layers::{LayerKey, Layers};
use super::nearness::{FAR_TEXELS, Nearness};
use super::region_layer::{Difference, RegionLayer, RegionPixels};
use super::region_shape::RegionShape;
use super::set_table::{EMPTY_SET, SetId, SetTable};
use super::tile_cache::{Content, TileCache};
use super::tile_composer::{Composed, TileComposer};
use super::tile_range::{TileRange, max_tiles};
use super::view_transform::ViewTransform;
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::Mask;
use crate::picture::PicturePyramid;
use crate::picture::tile::{TILE, TileKey, level_count, level_rect, level_size};

/// Stale texels that are made anew in the same frame whatever the time: a brush of 500 pixels.
const URGENT_TEXELS: u64 = 1 << 18;

/// Numbers in the list of sets, or slots of removed regions, from which on both are made anew.
const MAX_SET_NUMBERS: usize = 1 << 22;
const MAX_RETIRED_SLOTS: usize = 1 << 14;

/// Levels that a tile in view may be coarser than wanted before a less coarse one is made first.
const COARSE_STEPS: u8 = 3;

/// The image and regions of one canvas and what of them the graphics card holds.
///
/// Works without a card too; then nothing is drawn and only [`CanvasRenderer::regions_at`] is of use.
#[derive(Debug)]
pub struct CanvasRenderer {
    image_key: u64,
    pub(super) image_size: ImageSize,
    pub(super) picture: Option<Arc<PicturePyramid>>,
    pub(super) layers: Layers,
    sets: SetTable,
    set_rows: u32,
    composer: TileComposer,
    nearness: Nearness,
    pub(super) picture_tiles: TileCache,
    pub(super) mask_tiles: TileCache,
    /// The tiles of the last frame.
    in_view: TileRange,
    frame_number: u64,
    budget: FrameBudget,
    is_complete: bool,
    queue: SharedQueue,
}

impl Default for CanvasRenderer {
    fn default() -> Self {
        Self::new()
    }
}

impl CanvasRenderer {
    /// A canvas without an image.
    #[must_use]
    pub fn new() -> Self {
        Self {
            image_key: 0,
            image_size: ImageSize::new(0, 0),
            picture: None,
            layers: Layers::default(),
            sets: SetTable::new(),
            set_rows: 0,
            composer: TileComposer::default(),
            nearness: Nearness::default(),
            picture_tiles: TileCache::default(),
            mask_tiles: TileCache::default(),
            in_view: TileRange::default(),
            frame_number: 0,
            budget: FrameBudget::default(),
            is_complete: true,
            queue: SharedQueue::default(),
        }
    }

    /// Shows the image that the caller calls `image_key`, of `size`; `picture` may follow later by another call with
    /// the same key. Another key or size drops all regions.
    pub fn set_image(&mut self, image_key: u64, size: ImageSize, picture: Option<Arc<PicturePyramid>>) {
        if self.image_key != image_key || self.image_size != size {
            self.image_key = image_key;
            self.image_size = size;
            self.layers = Layers::default();
            self.mask_tiles.clear();
            self.picture_tiles.clear();
            self.sets = SetTable::new();
            self.set_rows = 0;
            self.picture = None;
        }
        // Samples of another size would be drawn in the wrong place.
        let picture = picture.filter(|picture| picture.size() == size);
        let is_same = match (&self.picture, &picture) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        if is_same {
            return;
        }
        let format = |picture: &Option<Arc<PicturePyramid>>| picture.as_ref().map(|picture| picture.format());
        if format(&self.picture) == format(&picture) {
            self.picture_tiles.clear();
        } else {
            self.picture_tiles = TileCache::default();
        }
        self.picture = picture;
    }

    /// Makes `regions`, in drawing order from the back, the regions of the image. Cheap where key and revision are
    /// as before, so it may be called every frame.
    pub fn set_regions(&mut self, regions: &[RegionLayer<'_>]) {
        let Self {
            layers,
            mask_tiles,
            in_view,
            image_size,
            ..
        } = self;
        layers.set_regions(regions, |changed| {
            invalidate(mask_tiles, *image_size, in_view, changed)
        });
    }

    /// Takes the pixels in `dirty` from `mask`, which otherwise equals what is held. Whether there is such a region.
    pub fn update_region(&mut self, key: u64, revision: u64, mask: &Mask, dirty: PixelRect) -> bool {
        self.update(LayerKey::Region(key), revision, mask, dirty)
    }

    /// Changes how a region looks; whether there is such a region. A later [`CanvasRenderer::set_regions`] wins.
    pub fn set_style(&mut self, key: u64, style: RegionStyle) -> bool {
        self.layers.set_style(LayerKey::Region(key), style)
    }

    /// Shows what a tool would make, in front of everything; `None` takes it away.
    pub fn set_preview(&mut self, preview: Option<(RegionPixels<'_>, RegionStyle)>) {
        self.put(
            LayerKey::Preview,
            preview.map(|(pixels, style)| (pixels.shape(), style)),
        );
    }

    /// Takes the pixels in `dirty` of the preview from `mask`; whether there is a preview.
    pub fn update_preview(&mut self, mask: &Mask, dirty: PixelRect) -> bool {
        self.update(LayerKey::Preview, 0, mask, dirty)
    }

    /// Shows a region against its rebuilt mask, in front of the regions; `None` takes it away.
    pub fn set_difference(&mut self, difference: Option<Difference<'_>>) {
        let shapes = difference.map(|difference| {
            let (original, rebuilt) = (difference.original.shape(), difference.rebuilt.shape());
            let combined = |combine: fn(u64, u64) -> u64| Arc::new(original.combined(&rebuilt, combine));
            [
                (
                    combined(|original, rebuilt| original & !rebuilt),
                    difference.only_original,
                ),
                (
                    combined(|original, rebuilt| rebuilt & !original),
                    difference.only_rebuilt,
                ),
                (combined(|original, rebuilt| original & rebuilt), difference.both),
            ]
        });
        let keys = [LayerKey::OnlyOriginal, LayerKey::OnlyRebuilt, LayerKey::Both];
        for (index, key) in keys.into_iter().enumerate() {
            let layer = shapes.as_ref().and_then(|shapes| shapes.get(index));
            self.put(key, layer.cloned());
        }
    }

    /// The visible regions at pixel (`x`, `y`), frontmost first.
    pub fn regions_at(&self, x: u32, y: u32) -> impl Iterator<Item = u64> {
        self.layers
            .touching(PixelRect::new(x, y, 1, 1))
            .rev()
            .filter(move |layer| !layer.style.is_hidden && layer.shape.contains(x, y))
            .filter_map(|layer| match layer.key {
                LayerKey::Region(key) => Some(key),
                _ => None,
            })
    }

    /// The shape of a region as it is drawn.
    #[must_use]
    pub fn shape(&self, key: u64) -> Option<&Arc<RegionShape>> {
        self.layers.get(LayerKey::Region(key)).map(|layer| &layer.shape)
    }

    /// Sets how much work one frame may do.
    pub const fn set_budget(&mut self, budget: FrameBudget) {
        self.budget = budget;
    }

    /// Whether the last frame showed everything; if not, another frame must follow.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    pub(super) const fn queue(&self) -> &SharedQueue {
        &self.queue
    }

    fn put(&mut self, key: LayerKey, layer: Option<(Arc<RegionShape>, RegionStyle)>) {
        let changed = match layer {
            Some((shape, style)) => self.layers.put(key, shape, style),
            None => self.layers.remove(key),
        };
        if let Some(changed) = changed {
            invalidate(&mut self.mask_tiles, self.image_size, &self.in_view, changed);
        }
    }

    fn update(&mut self, key: LayerKey, revision: u64, mask: &Mask, dirty: PixelRect) -> bool {
        let is_known = mask.size() == self.image_size && self.layers.update(key, revision, mask, dirty);
        if is_known {
            invalidate(&mut self.mask_tiles, self.image_size, &self.in_view, dirty);
        }
        is_known
    }

    /// Works out the next frame and queues what the card does not have yet.
    pub(super) fn next_frame(&mut self, view: &ViewTransform, display: &DisplaySettings) -> Frame {
        self.frame_number += 1;
        self.recover();
        let tiles = TileRange::in_view(self.image_size, view, 2.0 * outline_px(view, display));
        self.reserve(view);
        let mut work = Work::begin(self.budget);
        self.renumber_if_full();
        let was_reached = self.refresh_stale(&tiles, &mut work);
        let is_made = self.make_missing(&tiles, &mut work);
        self.is_complete = was_reached && is_made;
        self.queue_tables();
        let pages = self.pages(&tiles);
        self.in_view = tiles.clone();
        Frame {
            uniforms: self.uniforms(&tiles, view, display),
            pages,
        }
    }

    /// Starts again from nothing where the card has lost its textures.
    fn recover(&mut self) {
        let is_lost = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_lost();
        if is_lost {
            self.picture_tiles = TileCache::default();
            self.mask_tiles = TileCache::default();
            self.start_sets_anew();
        }
    }

    fn start_sets_anew(&mut self) {
        self.layers.renumber();
        self.sets = SetTable::new();
        self.set_rows = 0;
        self.mask_tiles.clear();
    }

    /// Drops sets and slots that nothing may need any more, once in many thousands of edits.
    fn renumber_if_full(&mut self) {
        if self.sets.len() > MAX_SET_NUMBERS || self.layers.retired() > MAX_RETIRED_SLOTS {
            self.start_sets_anew();
        }
    }

    /// Makes the textures large enough for the viewport.
    fn reserve(&mut self, view: &ViewTransform) {
        let levels = level_count(self.image_size);
        let all: u64 = (0..levels)
            .map(|level| {
                let size = level_size(self.image_size, level);
                u64::from(size.width.div_ceil(TILE)) * u64::from(size.height.div_ceil(TILE))
            })
            .sum();
        let size = view.viewport().size() * view.pixels_per_point();
        let across = |length: f32| u64::from((length.max(1.0) * 2.0) as u32 / TILE + 2);
        // A quarter more, so that tiles just out of view and coarser ones stay.
        let wanted = (across(size.x) * across(size.y)).min(u64::from(max_tiles()));
        let tiles = (wanted + wanted / 4 + 16).min(all) as u32;
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(picture) = &self.picture
            && self.picture_tiles.reserve(tiles)
        {
            let rows = self.picture_tiles.rows();
            queue.push(GpuWrite::PictureTexture {
                format: picture.format(),
                rows,
            });
        }
        if self.mask_tiles.reserve(tiles) {
            queue.push(GpuWrite::MaskTexture {
                rows: self.mask_tiles.rows(),
            });
        }
    }

    /// Makes stale tiles in view right again; whether all are.
    fn refresh_stale(&mut self, tiles: &TileRange, work: &mut Work) -> bool {
        let mut urgent = URGENT_TEXELS;
        let coarsest = level_count(self.image_size) - 1;
        let root = TileKey {
            level: coarsest,
            x: 0,
            y: 0,
        };
        for key in tiles.keys().chain((tiles.level != coarsest).then_some(root)) {
            let Some(tile) = self.mask_tiles.get(key) else {
                continue;
            };
            let Some(stale) = tile.stale else { continue };
            // A tile of one value has no texels that could be mended.
            let rect = match tile.content {
                Content::Slot(_) => stale,
                Content::Uniform(_) => key.rect(),
            };
            let is_urgent = urgent >= rect.area();
            if is_urgent {
                urgent -= rect.area();
            } else if !work.take(&self.queue) {
                return false;
            }
            self.compose(key, rect);
        }
        true
    }

    /// Makes tiles that are missing, most needed first; whether none is missing any more.
    fn make_missing(&mut self, tiles: &TileRange, work: &mut Work) -> bool {
        let wanted = self.wanted_tiles(tiles);
        for key in wanted.first {
            if self.is_missing_mask(key) {
                if !work.take(&self.queue) {
                    return false;
                }
                self.compose(key, key.rect());
            }
            if self.is_missing_picture(key) {
                if !work.take(&self.queue) {
                    return false;
                }
                self.cut_picture(key);
            }
        }
        // What may come into view next is made only while frames are drawn anyway.
        for key in wanted.later {
            if self.is_missing_mask(key) && work.take(&self.queue) {
                self.compose(key, key.rect());
            }
            if self.is_missing_picture(key) && work.take(&self.queue) {
                self.cut_picture(key);
            }
        }
        true
    }

    fn is_missing_mask(&self, key: TileKey) -> bool {
        self.mask_tiles.get(key).is_none()
    }

    fn is_missing_picture(&self, key: TileKey) -> bool {
        self.picture.is_some() && self.picture_tiles.get(key).is_none()
    }

    /// The tiles to make: first the coarsest of all, coarse ones where there is nothing to stand in, and those in
    /// view from the middle outwards; later the next coarser ones.
    fn wanted_tiles(&mut self, tiles: &TileRange) -> WantedTiles {
        let now = self.frame_number;
        let coarsest = level_count(self.image_size) - 1;
        let root = TileKey {
            level: coarsest,
            x: 0,
            y: 0,
        };
        let (mut coarse, mut fine, mut later) = (vec![root], Vec::new(), Vec::new());
        self.mask_tiles.see(root, now);
        self.picture_tiles.see(root, now);
        for key in tiles.keys() {
            let has_mask = self.mask_tiles.see(key, now).is_some();
            let has_picture = self.picture.is_none() || self.picture_tiles.see(key, now).is_some();
            if has_mask && has_picture {
                if key.level < coarsest {
                    later.push(key.ancestor(1));
                }
                continue;
            }
            fine.push(key);
            let steps = COARSE_STEPS.min(coarsest - key.level);
            let is_covered = (1..=steps).any(|steps| {
                let key = key.ancestor(steps);
                (has_mask || self.mask_tiles.get(key).is_some())
                    && (has_picture || self.picture_tiles.get(key).is_some())
            });
            if !is_covered {
                coarse.push(key.ancestor(steps));
            }
        }
        let middle = tiles.middle();
        fine.sort_unstable_by_key(|key| {
            (key.x * 2).abs_diff(middle.0).pow(2) + (key.y * 2).abs_diff(middle.1).pow(2)
        });
        for keys in [&mut coarse, &mut later] {
            keys.sort_unstable_by(|left, right| right.cmp(left));
            keys.dedup();
        }
        coarse.append(&mut fine);
        if coarse.len() > 1 {
            later.clear();
        }
        WantedTiles { first: coarse, later }
    }

    /// Makes the sets of `rect`, texels of the tile's level in the tile.
    fn compose(&mut self, key: TileKey, rect: PixelRect) {
        let size = level_size(self.image_size, key.level);
        let Some(rect) = rect.intersection(PixelRect::covering(size)) else {
            return;
        };
        let whole = key.rect().intersection(PixelRect::covering(size));
        let level = key.level;
        let outer = grown(rect, FAR_TEXELS, size);
        let shift = |value: u32| value.checked_shl(level.into()).unwrap_or(u32::MAX);
        let in_image = PixelRect::new(
            shift(outer.x),
            shift(outer.y),
            shift(outer.width),
            shift(outer.height),
        );
        let layers = self
            .layers
            .touching(in_image)
            .map(|layer| (&*layer.shape, layer.slot));
        let sets = match self.composer.compose(level, outer, layers, &mut self.sets) {
            Composed::Uniform(EMPTY_SET) => Err(EMPTY_SET),
            // A region over everything still ends at the edge of the image.
            Composed::Uniform(set) => {
                let sets = vec![set; outer.area() as usize];
                self.nearness.marked(&sets, outer, rect, size).ok_or(set)
            }
            Composed::Texels(sets) => {
                let marked = self.nearness.marked(sets, outer, rect, size);
                marked.ok_or_else(|| set_in(sets, outer, rect))
            }
        };
        let texels = match sets {
            Err(set) if whole == Some(rect) => {
                self.mask_tiles.insert_uniform(key, set, self.frame_number);
                return;
            }
            Err(set) => vec![set; rect.area() as usize],
            Ok(texels) => texels,
        };
        if let Some(slot) = self.mask_tiles.insert(key, self.frame_number) {
            let tile = key.rect();
            let rect = PixelRect::new(rect.x - tile.x, rect.y - tile.y, rect.width, rect.height);
            self.push(GpuWrite::MaskTile { slot, rect, texels });
        }
    }

    fn cut_picture(&mut self, key: TileKey) {
        let Some(picture) = self.picture.clone() else {
            return;
        };
        if let Some(slot) = self.picture_tiles.insert(key, self.frame_number) {
            let (size, bytes) = picture.tile(key);
            self.push(GpuWrite::PictureTile { slot, size, bytes });
        }
    }

    /// Queues sets and styles that are new.
    fn queue_tables(&mut self) {
        let rows = (self.sets.len() as u32).div_ceil(LIST_WIDTH);
        let mut new = self.sets.take_new();
        if rows > self.set_rows {
            self.set_rows = rows.next_power_of_two().max(16);
            self.push(GpuWrite::SetTexture { rows: self.set_rows });
            new.start = 0;
        }
        if !new.is_empty() {
            let width = LIST_WIDTH as usize;
            let first_row = new.start / width;
            let mut values = self.sets.list().get(first_row * width..).unwrap_or(&[]).to_vec();
            values.resize(values.len().next_multiple_of(width), 0);
            self.push(GpuWrite::Sets {
                first_row: first_row as u32,
                values,
            });
        }
        if let Some(styles) = self.layers.take_changed_styles() {
            let write = GpuWrite::Styles(styles.to_vec());
            self.push(write);
        }
    }

    fn push(&self, write: GpuWrite) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(write);
    }
}

/// Marks what `changed`, in image pixels, touches as stale; tiles that are not in view are dropped.
fn invalidate(tiles: &mut TileCache, image_size: ImageSize, in_view: &TileRange, changed: PixelRect) {
    let coarsest = level_count(image_size) - 1;
    tiles.invalidate(
        |level| {
            grown(
                level_rect(changed, level),
                FAR_TEXELS,
                level_size(image_size, level),
            )
        },
        |key| key.level == coarsest || in_view.contains(key),
    );
}

/// `rect` with `margin` texels around it, as far as a level of `size` goes.
fn grown(rect: PixelRect, margin: u32, size: ImageSize) -> PixelRect {
    let (x, y) = (rect.x.saturating_sub(margin), rect.y.saturating_sub(margin));
    let right = rect.right().saturating_add(margin).min(size.width);
    let bottom = rect.bottom().saturating_add(margin).min(size.height);
    PixelRect::new(x, y, right.saturating_sub(x), bottom.saturating_sub(y))
}

/// The set at the first texel of `rect`, of sets row by row in `outer`.
fn set_in(sets: &[SetId], outer: PixelRect, rect: PixelRect) -> SetId {
    let index = (rect.y - outer.y) as usize * outer.width as usize + (rect.x - outer.x) as usize;
    sets.get(index).copied().unwrap_or(EMPTY_SET)
}

/// Tiles in the order in which they are made.
struct WantedTiles {
    first: Vec<TileKey>,
    later: Vec<TileKey>,
}
