//! Rectangle and ellipse, drawn from corner to corner and kept on whole pixels, so that the preview is the result.

use super::plane::Bounds;
use super::raster::{fill_ellipse, fill_rows};
use super::{
    Combine, Modifiers, Patch, PointerButton, PointerEvent, PointerKind, Preview, PreviewShape, Response,
    Tool, ToolContext,
};
use crate::geometry::{ImagePoint, ImageRect, ImageSize};

/// Which shape is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShapeKind {
    /// A rectangle along the axes of the image.
    Rectangle,
    /// An ellipse along the axes of the image.
    Ellipse,
}

/// The rectangle or ellipse tool: drag from corner to corner; Shift makes a square or circle, Alt draws from the
/// centre, the secondary button takes away.
#[derive(Clone, Debug)]
pub struct Shape {
    kind: ShapeKind,
    gesture: Option<Gesture>,
}

#[derive(Clone, Copy, Debug)]
struct Gesture {
    start: ImagePoint,
    end: ImagePoint,
    modifiers: Modifiers,
    button: PointerButton,
    combine: Combine,
}

impl Gesture {
    /// The box drawn so far, on whole pixels.
    fn rect(&self) -> ImageRect {
        let (mut dx, mut dy) = (self.end.x - self.start.x, self.end.y - self.start.y);
        if self.modifiers.shift {
            let side = dx.abs().max(dy.abs());
            (dx, dy) = (side.copysign(dx), side.copysign(dy));
        }
        let from = if self.modifiers.alt {
            ImagePoint::new(self.start.x - dx, self.start.y - dy)
        } else {
            self.start
        };
        let to = ImagePoint::new(self.start.x + dx, self.start.y + dy);
        // Rounding both corners apart could make a square one pixel wider than high.
        let side = |from: f32, to: f32| {
            let first = from.min(to).round();
            (first, first + (from - to).abs().round())
        };
        let ((x0, x1), (y0, y1)) = (side(from.x, to.x), side(from.y, to.y));
        ImageRect { x0, y0, x1, y1 }
    }
}

impl Shape {
    /// The tool for one kind of shape.
    #[must_use]
    pub const fn new(kind: ShapeKind) -> Self {
        Self { kind, gesture: None }
    }

    fn patch(&self, size: ImageSize, rect: ImageRect) -> Option<Patch> {
        let bounds = Bounds {
            x0: f64::from(rect.x0),
            y0: f64::from(rect.y0),
            x1: f64::from(rect.x1),
            y1: f64::from(rect.y1),
        };
        match self.kind {
            ShapeKind::Rectangle => fill_rows(size, bounds, |_| Some((bounds.x0, bounds.x1))),
            ShapeKind::Ellipse => fill_ellipse(size, bounds),
        }
    }
}

impl Tool for Shape {
    fn pointer(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        if event.kind == PointerKind::Press && self.gesture.is_none() && event.button != PointerButton::Middle
        {
            self.gesture = Some(Gesture {
                start: event.at,
                end: event.at,
                modifiers: event.modifiers,
                button: event.button,
                combine: context.combine_with(event.button),
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
                gesture.end = event.at;
                gesture.modifiers = event.modifiers;
                Response::Redraw
            }
            PointerKind::Release => {
                gesture.end = event.at;
                gesture.modifiers = event.modifiers;
                let (rect, combine) = (gesture.rect(), gesture.combine);
                self.gesture = None;
                self.patch(context.size, rect)
                    .map_or(Response::Cancelled, |patch| Response::Commit(patch, combine))
            }
            _ => Response::Idle,
        }
    }

    fn preview(&self) -> Preview<'_> {
        let shape = self.gesture.map(|gesture| match self.kind {
            ShapeKind::Rectangle => PreviewShape::Rect(gesture.rect()),
            ShapeKind::Ellipse => PreviewShape::Ellipse(gesture.rect()),
        });
        shape.into_iter().collect::<Vec<_>>().into()
    }

    fn cancel(&mut self) {
        self.gesture = None;
    }

    fn is_busy(&self) -> bool {
        self.gesture.is_some()
    }
}
