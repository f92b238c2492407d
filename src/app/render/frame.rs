//! What the shader is told of a frame: where tiles lie, and the numbers that everything is drawn with.

use super::display::DisplaySettings;
use super::gpu::{FrameUniforms, PageEntry, frame_flag};
use super::nearness::{CLOSE, CLOSE_TEXELS, FAR, FAR_TEXELS};
use super::renderer::CanvasRenderer;
use super::tile_cache::{Content, TileCache};
use super::tile_range::TileRange;
use super::view_transform::ViewTransform;
use crate::picture::TexelFormat;
use crate::picture::tile::{TileKey, level_count, level_size};

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

impl CanvasRenderer {
    /// Where every tile in view, or what stands in for it, lies.
    pub(super) fn pages(&self, tiles: &TileRange) -> Vec<PageEntry> {
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

    pub(super) fn uniforms(
        &self,
        tiles: &TileRange,
        view: &ViewTransform,
        display: &DisplaySettings,
    ) -> FrameUniforms {
        let scale = view.scale();
        let (tone, regions) = (&display.tone, &display.regions);
        let format = self
            .picture
            .as_ref()
            .map_or(TexelFormat::Rgba8, |picture| picture.format());
        let flags = [
            // At 100 % texels lie on pixels, so the nearest is the smooth one.
            (scale >= NEAREST_FROM || scale == 1.0, frame_flag::NEAREST),
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
        let outline_px = outline_px(view, display);
        let ring_count = match (outline_px > 0.0, self.layers.has_emphasis()) {
            (false, _) => 0,
            (true, false) => 8,
            (true, true) => 16,
        };
        let texels_per_px = 1.0 / scale / f64::from(1_u32 << tiles.level);
        let reach = f64::from(outline_px) * f64::from(ring_count / 8) * texels_per_px;
        let near_marks = match reach.ceil() {
            reach if reach <= f64::from(CLOSE_TEXELS) => CLOSE,
            reach if reach <= f64::from(FAR_TEXELS) => FAR,
            _ => 0,
        };
        FrameUniforms {
            origin_px: view.origin_px().map(|value| value as f32),
            texels_per_px: texels_per_px as f32,
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
            outline_px,
            near_marks,
            ring_count,
            padding: [0; 2],
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
pub(super) fn outline_px(view: &ViewTransform, display: &DisplaySettings) -> f32 {
    let width = display.regions.outline_width * view.pixels_per_point();
    if width > 0.0 {
        width.round().clamp(1.0, MAX_OUTLINE_PX)
    } else {
        0.0
    }
}
