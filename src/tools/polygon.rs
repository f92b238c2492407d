//! Drawing a new polygon, vertex by vertex, each still movable until the polygon is closed.

use super::plane::{distance, nearest_on_segment};
use super::raster::fill_ring;
use super::{
    DRAG_SCREEN_PX, GRAB_SCREEN_PX, Modifiers, PointerButton, PointerEvent, PointerKind, Preview,
    PreviewShape, Response, Tool, ToolContext, ToolKey,
};
use crate::geometry::ImagePoint;
use std::borrow::Cow;

/// The polygon tool.
///
/// Click adds a vertex, drag moves one or pulls a new one out of a line, Shift+click or Alt+click removes one,
/// Backspace the last; Enter, a double-click or a click on the first vertex closes the polygon.
#[derive(Clone, Debug, Default)]
pub struct Polygon {
    vertices: Vec<ImagePoint>,
    pointer: Option<ImagePoint>,
    grab: Option<Grab>,
    /// The vertex under the pointer.
    hovered: Option<usize>,
}

/// What the pressed pointer holds.
#[derive(Clone, Copy, Debug)]
struct Grab {
    pressed_at: ImagePoint,
    what: Grabbed,
    is_drag: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Grabbed {
    /// A vertex.
    Vertex { index: usize },
    /// The line that follows this vertex: a drag pulls a vertex out of it, a click adds one at the end.
    Line { after: usize },
}

impl Polygon {
    /// The vertices placed so far.
    #[must_use]
    pub fn vertices(&self) -> &[ImagePoint] {
        &self.vertices
    }

    fn vertex_at(&self, at: ImagePoint, context: &ToolContext<'_>) -> Option<usize> {
        let reach = context.image_px(GRAB_SCREEN_PX);
        let near = |&(_, distance): &(usize, f32)| distance <= reach;
        let distances = self
            .vertices
            .iter()
            .map(|&vertex| distance(vertex, at))
            .enumerate();
        let nearest = distances
            .filter(near)
            .min_by(|(_, left), (_, right)| left.total_cmp(right));
        nearest.map(|(index, _)| index)
    }

    fn line_at(&self, at: ImagePoint, context: &ToolContext<'_>) -> Option<usize> {
        let reach = context.image_px(GRAB_SCREEN_PX);
        let lines = self.vertices.iter().zip(self.vertices.iter().skip(1));
        let distances = lines.map(|(&a, &b)| distance(nearest_on_segment(at, a, b), at));
        let near = |&(_, distance): &(usize, f32)| distance <= reach;
        let nearest = distances
            .enumerate()
            .filter(near)
            .min_by(|(_, left), (_, right)| left.total_cmp(right));
        nearest.map(|(index, _)| index)
    }

    fn press(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        if event.button != PointerButton::Primary {
            return Response::Ignored;
        }
        let vertex = self.vertex_at(event.at, context);
        let removes = event.modifiers.shift || event.modifiers.alt;
        if let Some(index) = vertex
            && removes
        {
            self.vertices.remove(index);
            self.hovered = None;
            return if self.vertices.is_empty() {
                Response::Cancelled
            } else {
                Response::Redraw
            };
        }
        let what = if let Some(index) = vertex {
            Grabbed::Vertex { index }
        } else if let Some(after) = self.line_at(event.at, context) {
            Grabbed::Line { after }
        } else {
            self.vertices.push(event.at);
            Grabbed::Vertex {
                index: self.vertices.len() - 1,
            }
        };
        self.grab = Some(Grab {
            pressed_at: event.at,
            what,
            // A new vertex sticks to the pointer until it is let go.
            is_drag: vertex.is_none() && matches!(what, Grabbed::Vertex { .. }),
        });
        Response::Redraw
    }

    fn drag(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        let Some(grab) = self.grab.as_mut() else {
            return Response::Ignored;
        };
        grab.is_drag |= distance(grab.pressed_at, event.at) > context.image_px(DRAG_SCREEN_PX);
        if !grab.is_drag {
            return Response::Idle;
        }
        match grab.what {
            Grabbed::Vertex { index } => {
                if let Some(vertex) = self.vertices.get_mut(index) {
                    *vertex = event.at;
                }
            }
            Grabbed::Line { after } => {
                let index = (after + 1).min(self.vertices.len());
                self.vertices.insert(index, event.at);
                grab.what = Grabbed::Vertex { index };
            }
        }
        Response::Redraw
    }

    fn release(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        let Some(grab) = self.grab.take() else {
            return Response::Ignored;
        };
        match grab.what {
            Grabbed::Vertex { index: 0 } if !grab.is_drag && self.vertices.len() >= 3 => self.close(context),
            Grabbed::Line { .. } if !grab.is_drag => {
                self.vertices.push(event.at);
                Response::Redraw
            }
            _ => Response::Redraw,
        }
    }

    /// Makes the patch, unless there is nothing to fill yet.
    fn close(&mut self, context: &ToolContext<'_>) -> Response {
        // A double-click leaves its point twice.
        let same = context.image_px(DRAG_SCREEN_PX / 2.0);
        let mut ring = self.vertices.clone();
        ring.dedup_by(|a, b| distance(*a, *b) <= same.min(1.0));
        if ring.len() < 3 {
            return Response::Idle;
        }
        self.cancel();
        fill_ring(context.size, &ring).map_or(Response::Cancelled, |patch| {
            Response::Commit(patch, context.combine)
        })
    }
}

impl Tool for Polygon {
    fn pointer(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        self.pointer = (event.kind != PointerKind::Leave).then_some(event.at);
        if self.grab.is_none() {
            self.hovered = self.vertex_at(event.at, context);
        }
        match event.kind {
            PointerKind::Press => self.press(event, context),
            PointerKind::Drag => self.drag(event, context),
            PointerKind::Release => self.release(event, context),
            PointerKind::DoubleClick if event.button == PointerButton::Primary => {
                self.grab = None;
                self.close(context)
            }
            PointerKind::DoubleClick => Response::Ignored,
            PointerKind::Move | PointerKind::Leave if self.vertices.is_empty() => Response::Idle,
            PointerKind::Move | PointerKind::Leave => Response::Redraw,
        }
    }

    fn key(&mut self, key: ToolKey, _: Modifiers, context: &ToolContext<'_>) -> Response {
        match key {
            _ if self.vertices.is_empty() => Response::Ignored,
            ToolKey::Accept => {
                self.grab = None;
                self.close(context)
            }
            ToolKey::Cancel => {
                self.cancel();
                Response::Cancelled
            }
            ToolKey::RemoveLast => {
                self.grab = None;
                self.hovered = None;
                self.vertices.pop();
                if self.vertices.is_empty() {
                    Response::Cancelled
                } else {
                    Response::Redraw
                }
            }
            _ => Response::Ignored,
        }
    }

    fn preview(&self) -> Preview<'_> {
        if self.vertices.is_empty() {
            return Preview::default();
        }
        let is_holding = self.grab.is_some() || self.hovered.is_some();
        let next = self.pointer.filter(|_| !is_holding);
        let line: Cow<'_, [ImagePoint]> = match next {
            Some(next) => Cow::Owned(self.vertices.iter().copied().chain([next]).collect()),
            None => Cow::Borrowed(&self.vertices),
        };
        let outline = if line.len() >= 3 {
            PreviewShape::Polygon(line)
        } else {
            PreviewShape::Polyline(line)
        };
        let held = match self.grab.map(|grab| grab.what) {
            Some(Grabbed::Vertex { index }) => Some(index),
            _ => self.hovered,
        };
        let active = held.and_then(|index| self.vertices.get(index));
        let shapes = [outline, PreviewShape::Handles(Cow::Borrowed(&self.vertices))];
        shapes
            .into_iter()
            .chain(active.map(|&vertex| PreviewShape::ActiveHandle(vertex)))
            .collect::<Vec<_>>()
            .into()
    }

    fn cancel(&mut self) {
        *self = Self {
            pointer: self.pointer,
            ..Self::default()
        };
    }

    fn is_busy(&self) -> bool {
        !self.vertices.is_empty()
    }
}
