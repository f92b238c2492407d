//! The picture of the canvas: the image and the masks of all regions, drawn by a shader of our own inside egui.
//!
//! ```text
//! Mask, Rle ──► RegionShape ──► TileComposer ──► sets of regions per texel ┐
//!               halved copies   tiles in view     SetTable numbers them     ├─► CanvasGpu, canvas.wgsl
//! samples   ──► PicturePyramid ──────────────────► tiles in view            ┘
//! ```
//! [`CanvasRenderer`] decides on the CPU which tiles of 256 texels a frame needs and makes a few of those that are
//! missing; [`ViewTransform`] says where the image lies. How a region looks stands in a small table, so hovering,
//! selecting and hiding change no tile; the cost of a frame hardly depends on the number of regions.
//!
//! **Invariant:** nothing here blocks, reads a file, or changes the data it shows.

mod callback;
mod display;
mod frame;
mod frame_budget;
#[cfg(test)]
mod frame_cost;
mod gpu;
mod layers;
mod nearness;
#[cfg(test)]
mod reference;
mod region_layer;
mod region_shape;
mod renderer;
mod set_table;
#[cfg(test)]
mod tests;
mod tile_cache;
mod tile_composer;
mod tile_range;
mod view_transform;

pub use callback::install;
pub use display::{Channel, DisplaySettings, Emphasis, RegionDisplay, RegionStyle, Rgb, Tone};
pub use frame_budget::FrameBudget;
pub use gpu::RenderError;
pub use region_layer::{Difference, RegionLayer, RegionPixels};
pub use region_shape::RegionShape;
pub use renderer::CanvasRenderer;
pub use view_transform::ViewTransform;
