//! Freehand lasso: the line that the pointer draws, closed on release.

use super::plane::distance;
use super::raster::fill_ring;
use super::{
    Combine, PointerButton, PointerEvent, PointerKind, Preview, PreviewShape, Response, Tool, ToolContext,
};
use crate::geometry::ImagePoint;
use std::borrow::Cow;

/// The lasso: drag around what is meant; the secondary button takes away.
///
/// A line that crosses itself encloses all that it goes round.
#[derive(Clone, Debug, Default)]
pub struct Lasso {
    line: Vec<ImagePoint>,
    button: Option<PointerButton>,
    combine: Combine,
}

impl Tool for Lasso {
    fn pointer(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        if event.kind == PointerKind::Press && self.button.is_none() && event.button != PointerButton::Middle
        {
            self.button = Some(event.button);
            self.combine = context.combine_with(event.button);
            self.line = vec![event.at];
            return Response::Redraw;
        }
        if self.button != Some(event.button) {
            return Response::Ignored;
        }
        match event.kind {
            PointerKind::Drag => {
                /// Nearer points than this look the same and only make the line longer.
                const SPACING_SCREEN_PX: f32 = 0.5;
                let spacing = context.image_px(SPACING_SCREEN_PX);
                if self
                    .line
                    .last()
                    .is_some_and(|&last| distance(last, event.at) < spacing)
                {
                    return Response::Idle;
                }
                self.line.push(event.at);
                Response::Redraw
            }
            PointerKind::Release => {
                self.line.push(event.at);
                let patch = fill_ring(context.size, &self.line);
                self.cancel();
                patch.map_or(Response::Cancelled, |patch| Response::Commit(patch, self.combine))
            }
            _ => Response::Idle,
        }
    }

    fn preview(&self) -> Preview<'_> {
        if self.line.is_empty() {
            return Preview::default();
        }
        vec![PreviewShape::Polygon(Cow::Borrowed(&self.line))].into()
    }

    fn cancel(&mut self) {
        self.line.clear();
        self.button = None;
    }

    fn is_busy(&self) -> bool {
        self.button.is_some()
    }
}
