//! Magic wand: pixels of the clicked colour, the tolerance set by dragging while the result shows.

use super::flood::{ColourRange, connected, everywhere};
use super::{
    Combine, Patch, PointerButton, PointerEvent, PointerKind, Preview, PreviewShape, Response, Tool,
    ToolContext,
};
use crate::geometry::ImagePoint;
use crate::image_file::RgbImage;

/// Where the wand looks for pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Reach {
    /// Where a path of similar pixels, side by side, leads.
    #[default]
    Contiguous,
    /// In the whole image.
    Everywhere,
}

/// The magic wand: press on a colour, drag right or up to accept more different ones, left or down for fewer; the
/// secondary button takes away.
///
/// Colours are similar if none of their channels differs by more than the tolerance.
#[derive(Clone, Debug)]
pub struct Wand {
    /// Where it looks.
    pub reach: Reach,
    /// The tolerance that a click starts with, 0 to 255; a drag leaves its last one here.
    pub tolerance: u8,
    gesture: Option<Gesture>,
    /// Counts the results shown, over all gestures.
    revision: u64,
}

#[derive(Clone, Debug)]
struct Gesture {
    pressed_at: ImagePoint,
    start_tolerance: u8,
    button: PointerButton,
    combine: Combine,
    result: Option<Patch>,
}

impl Default for Wand {
    fn default() -> Self {
        Self {
            reach: Reach::default(),
            tolerance: 24,
            gesture: None,
            revision: 0,
        }
    }
}

impl Wand {
    fn select(&self, image: &RgbImage, at: ImagePoint) -> Option<Patch> {
        if !(at.x >= 0.0 && at.y >= 0.0) {
            return None;
        }
        let (x, y) = (at.x as u32, at.y as u32);
        let range = ColourRange::around(image, x, y, self.tolerance)?;
        match self.reach {
            Reach::Contiguous => connected(image, range, x, y),
            Reach::Everywhere => everywhere(image, range),
        }
    }
}

impl Tool for Wand {
    fn pointer(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        /// How far the pointer moves for one level of tolerance.
        const LEVEL_SCREEN_PX: f32 = 3.0;

        // An image of another size than the mask (a reduced one, say) says nothing about its pixels.
        let Some(image) = context.image.filter(|image| image.size == context.size) else {
            let was_busy = self.is_busy();
            self.cancel();
            return if was_busy {
                Response::Cancelled
            } else {
                Response::Ignored
            };
        };
        if event.kind == PointerKind::Press && self.gesture.is_none() && event.button != PointerButton::Middle
        {
            let Some(result) = self.select(image, event.at) else {
                return Response::Idle;
            };
            self.revision += 1;
            self.gesture = Some(Gesture {
                pressed_at: event.at,
                start_tolerance: self.tolerance,
                button: event.button,
                combine: context.combine_with(event.button),
                result: Some(result),
            });
            return Response::Redraw;
        }
        let Some(gesture) = self
            .gesture
            .as_mut()
            .filter(|gesture| gesture.button == event.button)
        else {
            return Response::Ignored;
        };
        match event.kind {
            PointerKind::Drag => {
                let start = gesture.pressed_at;
                let travel = (event.at.x - start.x) - (event.at.y - start.y);
                let levels = (travel / context.image_px(LEVEL_SCREEN_PX)).round();
                let tolerance = (f32::from(gesture.start_tolerance) + levels).clamp(0.0, 255.0) as u8;
                if tolerance == self.tolerance {
                    return Response::Idle;
                }
                self.tolerance = tolerance;
                let result = self.select(image, start);
                self.revision += 1;
                if let Some(gesture) = self.gesture.as_mut() {
                    gesture.result = result;
                }
                Response::Redraw
            }
            PointerKind::Release => {
                let (result, combine) = (gesture.result.take(), gesture.combine);
                self.gesture = None;
                result.map_or(Response::Cancelled, |patch| Response::Commit(patch, combine))
            }
            _ => Response::Idle,
        }
    }

    fn preview(&self) -> Preview<'_> {
        let Some(gesture) = &self.gesture else {
            return Preview::default();
        };
        let pixels = gesture.result.as_ref().map(|patch| PreviewShape::Pixels {
            patch,
            combine: gesture.combine,
            revision: self.revision,
        });
        let tolerance = PreviewShape::Value {
            at: gesture.pressed_at,
            value: u32::from(self.tolerance),
        };
        pixels.into_iter().chain([tolerance]).collect::<Vec<_>>().into()
    }

    /// Also gives back the tolerance that the gesture began with.
    fn cancel(&mut self) {
        if let Some(gesture) = self.gesture.take() {
            self.tolerance = gesture.start_tolerance;
        }
    }

    fn is_busy(&self) -> bool {
        self.gesture.is_some()
    }
}
