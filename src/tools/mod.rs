//! The annotation tools as plain logic: pointer and key events in image pixels in, one change of a mask out.
//!
//! A [`Tool`] never sees a window, a document or a worker. The application translates its events into
//! [`PointerEvent`]s and [`ToolKey`]s, draws the [`Preview`], and does what the [`Response`] says; whoever owns the
//! masks applies the [`Patch`]es, keeps the undo steps and decides what a change without a target means (a new
//! region). [`Toolbox`] holds one tool of every kind and passes events to the one in use.
//!
//! Changes are [`Patch`]es, masks of the changed rectangle only, so a small gesture costs the same on an image of
//! 400 megapixels as on a thumbnail. [`operations`] are the commands on whole regions that need no gesture.

mod brush;
mod event;
mod flood;
mod lasso;
pub mod operations;
mod patch;
mod plane;
mod polygon;
mod preview;
mod raster;
mod select;
mod shape;
mod smart_select;
#[cfg(test)]
mod tests;
mod toolbox;
mod vertices;
mod wand;

pub use self::brush::{Brush, BrushMode, BrushSize, BrushTip};
pub use self::event::{Direction, Modifiers, PointerButton, PointerEvent, PointerKind, ToolKey};
pub use self::lasso::Lasso;
pub use self::patch::{Combine, Patch};
pub use self::polygon::Polygon;
pub use self::preview::{Preview, PreviewShape};
pub use self::select::Select;
pub use self::shape::{Shape, ShapeKind};
pub use self::smart_select::{PromptPoint, PromptRequest, SmartSelect};
pub use self::toolbox::{ToolKind, Toolbox};
pub use self::vertices::VertexEditor;
pub use self::wand::{Reach, Wand};

use crate::geometry::{ImagePoint, ImageSize};
use crate::image_file::RgbImage;
use crate::mask::Mask;
use std::fmt;

/// How far the pointer moves, in screen pixels, before a click becomes a drag.
const DRAG_SCREEN_PX: f32 = 4.0;

/// How near the pointer must come, in screen pixels, to grab a handle or a line.
const GRAB_SCREEN_PX: f32 = 8.0;

/// One way of marking pixels, a small state machine over events.
pub trait Tool: fmt::Debug {
    /// Takes a pointer event.
    fn pointer(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response;

    /// Takes a key; [`Response::Ignored`] means that the key is free for other uses.
    fn key(&mut self, key: ToolKey, modifiers: Modifiers, context: &ToolContext<'_>) -> Response {
        // Most tools know no key but this one.
        let (_, _) = (modifiers, context);
        if key == ToolKey::Cancel && self.is_busy() {
            self.cancel();
            return Response::Cancelled;
        }
        Response::Ignored
    }

    /// Changes the size of the tool's tip by `steps`, fractions allowed: Ctrl+wheel notches, `[` and `]`.
    fn resize(&mut self, steps: f32) -> Response {
        let _: f32 = steps;
        Response::Ignored
    }

    /// What to draw over the image now, in image coordinates.
    fn preview(&self) -> Preview<'_>;

    /// Forgets the gesture in progress; the owner of the masks takes back what [`Response::Stroke`] applied.
    fn cancel(&mut self);

    /// Whether a gesture is in progress that [`Tool::cancel`] would lose.
    fn is_busy(&self) -> bool;

    /// Told when the target is another region or its pixels changed by other means than this tool's responses
    /// (undo, merge, another selection), so that what was derived from them is derived anew.
    fn target_changed(&mut self) {}
}

/// What a tool may look at while it takes an event.
#[derive(Clone, Copy)]
pub struct ToolContext<'a> {
    /// Size of the upright image.
    pub size: ImageSize,
    /// The pixels of the image, once they are loaded.
    pub image: Option<&'a RgbImage>,
    /// The mask of the region that is worked on, of the image's size; `None` if a new one is to be made.
    pub target: Option<&'a Mask>,
    /// How a finished shape joins the target, as chosen in the toolbar.
    pub combine: Combine,
    /// How many image pixels one pixel of the screen spans; below 1 when zoomed in.
    pub image_px_per_screen_px: f32,
    /// Answers the positions, in the drawing order, of the visible regions at a point, the topmost first.
    pub hit_test: Option<&'a dyn Fn(ImagePoint) -> Vec<usize>>,
}

impl ToolContext<'_> {
    /// `screen_px` pixels of the screen in image pixels, for distances that are about the hand, not the image.
    fn image_px(&self, screen_px: f32) -> f32 {
        let scale = self.image_px_per_screen_px;
        screen_px
            * if scale.is_finite() && scale > 0.0 {
                scale
            } else {
                1.0
            }
    }

    /// How a shape drawn with `button` joins the target: the secondary button takes away.
    const fn combine_with(&self, button: PointerButton) -> Combine {
        match button {
            PointerButton::Secondary => Combine::Subtract,
            PointerButton::Primary | PointerButton::Middle => self.combine,
        }
    }
}

impl fmt::Debug for ToolContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToolContext")
            .field("size", &self.size)
            .field("has_image", &self.image.is_some())
            .field("target", &self.target)
            .field("combine", &self.combine)
            .field("image_px_per_screen_px", &self.image_px_per_screen_px)
            .finish_non_exhaustive()
    }
}

/// What the application has to do after an event.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Response {
    /// The tool has no use for the event; it is free for others.
    Ignored,
    /// The event was taken and nothing visible changed.
    Idle,
    /// The preview changed.
    Redraw,
    /// A live part of a stroke: applied to the target at once, all parts being one undo step.
    Stroke {
        /// The pixels new since the part before, `None` if there are none.
        part: Option<Patch>,
        /// [`Combine::Add`] or [`Combine::Subtract`], the same for all parts.
        combine: Combine,
        /// Whether this was the last part, so that the undo step is complete.
        is_last: bool,
    },
    /// A change of the target, one undo step.
    Commit(Patch, Combine),
    /// Other pixels are to be proposed: asks the network, and replaces the proposal shown so far.
    Prompt(PromptRequest),
    /// The proposal shown for the last [`Response::Prompt`] becomes part of the target, in this way.
    Accept(Combine),
    /// Selects a region by its position in the drawing order, `None` for no region.
    Select {
        /// The region.
        region: Option<usize>,
        /// Whether it is added to the selection (or taken out of it) instead of replacing it.
        extends: bool,
    },
    /// The gesture was given up: take back the open stroke, drop the proposal, draw again.
    Cancelled,
}
