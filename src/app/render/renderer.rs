//! Decides for every frame what the card must know: which tiles are in view, which are stale, how they are drawn.
//!
//! Work of a frame is bounded by [`FrameBudget`]; what does not fit follows in the next frames, and coarser tiles
//! stand in until then. An edit of the size of a brush is always done in the same frame.

use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::display::{DisplaySettings, RegionStyle};
use super::gpu::{Frame, FrameUniforms, GpuWrite, LIST_WIDTH, PAGE_SIDE, PageEntry, SharedQueue, frame_flag};
use super::layers::{LayerKey, Layers, Wanted};
use super::region_shape::RegionShape;
use super::set_table::SetTable;
use super::tile_cache::{Content, MAX_SLOT_ROWS, SLOTS_PER_ROW, TileCache};
use super::tile_composer::{Composed, TileComposer};
use super::view_transform::ViewTransform;
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::{Mask, Rle};
use crate::picture::tile::{TILE, TileKey, level_count, level_rect, level_size};
use crate::picture::{PicturePyramid, TexelFormat};

/// Stale texels that are made anew in the same frame whatever the time: a brush of 500 pixels.
const URGENT_TEXELS: u64 = 1 << 18;

/// Bytes that may wait for the card before no more are made: frames are not being drawn then.
const MAX_WAITING_BYTES: usize = 128 << 20;

/// Numbers in the list of sets, or slots of removed regions, from which on both are made anew.
const MAX_SET_NUMBERS: usize = 1 << 22;
const MAX_RETIRED_SLOTS: usize = 1 << 14;

/// Physical pixels per image pixel from which pixels show as squares.
const NEAREST_FROM: f64 = 2.0;

/// Physical pixels per image pixel at which the pixel grid begins, and at which it is as strong as it gets.
const GRID_FROM: f64 = 8.0;
const GRID_FULL: f64 = 24.0;
const GRID_OPACITY: f64 = 0.3;

/// Ui points along a square of the checkerboard.
const CHECKER_POINTS: f32 = 8.0;

/// Widest outline, in physical pixels.
const MAX_OUTLINE_PX: f32 = 64.0;

/// Levels that a tile in view may be coarser than wanted before a less coarse one is made first.
const COARSE_STEPS: u8 = 3;

/// How much work one frame may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameBudget {
    /// Time after which no further tile is begun.
    pub time: Duration,
    /// Most tiles of image and masks together.
    pub tiles: usize,
}

impl FrameBudget {
    /// Everything in view in one frame, for tests and exports.
    pub const UNLIMITED: Self = Self {
        time: Duration::MAX,
        tiles: usize::MAX,
    };
}

impl Default for FrameBudget {
    fn default() -> Self {
        Self {
            time: Duration::from_micros(1500),
            tiles: 16,
        }
    }
}

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
    fn shape(self) -> Arc<RegionShape> {
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

/// The image and regions of one canvas and what of them the graphics card holds.
///
/// Works without a card too; then nothing is drawn and only [`CanvasRenderer::regions_at`] is of use.
#[derive(Debug)]
pub struct CanvasRenderer {
    image_key: u64,
    image_size: ImageSize,
    picture: Option<Arc<PicturePyramid>>,
    layers: Layers,
    sets: SetTable,
    set_rows: u32,
    composer: TileComposer,
    picture_tiles: TileCache,
    mask_tiles: TileCache,
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
        let shift = |value: u32| value.checked_shl(level.into()).unwrap_or(u32::MAX);
        let in_image = PixelRect::new(
            shift(rect.x),
            shift(rect.y),
            shift(rect.width),
            shift(rect.height),
        );
        let layers = self
            .layers
            .touching(in_image)
            .map(|layer| (&*layer.shape, layer.slot));
        let composed = self.composer.compose(level, rect, layers, &mut self.sets);
        let texels = match composed {
            Composed::Uniform(set) if whole == Some(rect) => {
                self.mask_tiles.insert_uniform(key, set, self.frame_number);
                return;
            }
            Composed::Uniform(set) => vec![set; rect.area() as usize],
            Composed::Texels(texels) => texels.to_vec(),
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

    /// Where every tile in view, or what stands in for it, lies.
    fn pages(&self, tiles: &TileRange) -> Vec<PageEntry> {
        let coarsest = level_count(self.image_size) - 1;
        let find = |cache: &TileCache, key: TileKey| {
            (0..=coarsest.saturating_sub(key.level))
                .find_map(|steps| Some((cache.get(key.ancestor(steps))?.content, u32::from(steps))))
        };
        let entry = |slot: u32, steps: u32| (slot + 1) | (steps << 16);
        let page = |key: TileKey| {
            let picture = match self.picture.as_ref().and_then(|_| find(&self.picture_tiles, key)) {
                Some((Content::Slot(slot), steps)) => entry(slot, steps),
                _ => 0,
            };
            match find(&self.mask_tiles, key) {
                Some((Content::Slot(slot), steps)) => [picture, entry(slot, steps), 0, 0],
                Some((Content::Uniform(set), _)) => [picture, 0, set, 0],
                None => [picture, 0, 0, 0],
            }
        };
        tiles.keys().map(page).collect()
    }

    fn uniforms(&self, tiles: &TileRange, view: &ViewTransform, display: &DisplaySettings) -> FrameUniforms {
        let scale = view.scale();
        let (tone, regions) = (&display.tone, &display.regions);
        let format = self
            .picture
            .as_ref()
            .map_or(TexelFormat::Rgba8, |picture| picture.format());
        let flags = [
            (scale >= NEAREST_FROM, frame_flag::NEAREST),
            (scale < 1.0, frame_flag::FOUR_TAPS),
            (tone.is_inverted, frame_flag::INVERTED),
            (regions.are_shown, frame_flag::REGIONS_SHOWN),
            (regions.only_solo, frame_flag::ONLY_SOLO),
            (format == TexelFormat::R16, frame_flag::GRAY),
        ];
        let grid = ((scale - GRID_FROM) / (GRID_FULL - GRID_FROM)).clamp(0.0, 1.0) * 0.75 + 0.25;
        let has_grid = display.has_pixel_grid && scale >= GRID_FROM;
        let points = |length: f32| length * view.pixels_per_point();
        let size = level_size(self.image_size, tiles.level);
        let color =
            |[red, green, blue]: [u8; 3]| [red, green, blue, 255].map(|channel| f32::from(channel) / 255.0);
        FrameUniforms {
            origin_px: view.origin_px().map(|value| value as f32),
            texels_per_px: (1.0 / scale / f64::from(1_u32 << tiles.level)) as f32,
            scale: scale as f32,
            level_size: [size.width as i32, size.height as i32],
            page_first: [tiles.x.start as i32, tiles.y.start as i32],
            page_size: [tiles.x.len() as i32, tiles.y.len() as i32],
            flags: flags
                .iter()
                .filter(|(is_set, _)| *is_set)
                .map(|(_, flag)| flag)
                .sum(),
            channel: tone.channel.code(),
            image_px: [self.image_size.width, self.image_size.height]
                .map(|side| (f64::from(side) * scale) as f32),
            window: [tone.window[0], 1.0 / (tone.window[1] - tone.window[0]).max(1e-6)],
            sample_unit: 1.0 / format.white(),
            contrast: tone.contrast,
            brightness: tone.brightness,
            gamma_exponent: 1.0 / tone.gamma.max(1e-3),
            fill_opacity: regions.fill_opacity,
            outline_px: outline_px(view, display),
            grid_opacity: if has_grid {
                (grid * GRID_OPACITY) as f32
            } else {
                0.0
            },
            checker_px: points(CHECKER_POINTS).max(1.0),
            backdrop: display.backdrop.map(color),
        }
    }
}

/// Width of outlines, in whole physical pixels; 0 for none.
fn outline_px(view: &ViewTransform, display: &DisplaySettings) -> f32 {
    let width = display.regions.outline_width * view.pixels_per_point();
    if width > 0.0 {
        width.round().clamp(1.0, MAX_OUTLINE_PX)
    } else {
        0.0
    }
}

/// Marks what `changed`, in image pixels, touches as stale; tiles that are not in view are dropped.
fn invalidate(tiles: &mut TileCache, image_size: ImageSize, in_view: &TileRange, changed: PixelRect) {
    let coarsest = level_count(image_size) - 1;
    tiles.invalidate(
        |level| level_rect(changed, level),
        |key| key.level == coarsest || in_view.contains(key),
    );
}

const fn max_tiles() -> u32 {
    SLOTS_PER_ROW * MAX_SLOT_ROWS
}

/// Tiles in the order in which they are made.
struct WantedTiles {
    first: Vec<TileKey>,
    later: Vec<TileKey>,
}

/// A rectangle of tiles of one level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TileRange {
    level: u8,
    x: Range<u32>,
    y: Range<u32>,
}

impl TileRange {
    /// The tiles that `view` or `margin_px` physical pixels around it show any part of, at the level with one or up
    /// to two texels per physical pixel.
    fn in_view(image_size: ImageSize, view: &ViewTransform, margin_px: f32) -> Self {
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
    fn keys(&self) -> impl Iterator<Item = TileKey> + use<> {
        let (level, columns) = (self.level, self.x.clone());
        self.y
            .clone()
            .flat_map(move |y| columns.clone().map(move |x| TileKey { level, x, y }))
    }

    const fn contains(&self, key: TileKey) -> bool {
        key.level == self.level
            && key.x >= self.x.start
            && key.x < self.x.end
            && key.y >= self.y.start
            && key.y < self.y.end
    }

    /// Twice the position of the middle.
    const fn middle(&self) -> (u32, u32) {
        (self.x.start + self.x.end, self.y.start + self.y.end)
    }
}

/// What is left of a frame's budget.
struct Work {
    begun: Instant,
    budget: FrameBudget,
    taken: usize,
}

impl Work {
    fn begin(budget: FrameBudget) -> Self {
        Self {
            begun: Instant::now(),
            budget,
            taken: 0,
        }
    }

    /// Whether another tile may be begun; counts it.
    fn take(&mut self, queue: &SharedQueue) -> bool {
        let waiting = queue.lock().unwrap_or_else(PoisonError::into_inner).bytes();
        let is_allowed = self.taken < self.budget.tiles
            && waiting < MAX_WAITING_BYTES
            && self.begun.elapsed() < self.budget.time;
        self.taken += usize::from(is_allowed);
        is_allowed
    }
}
