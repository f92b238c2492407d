//! Editing the outlines of an existing mask by their vertices, without touching a pixel that no edit is about.

mod outline;

use self::outline::{Outlines, VertexId};
use super::plane::distance;
use super::{
    Combine, DRAG_SCREEN_PX, GRAB_SCREEN_PX, Modifiers, Patch, PointerButton, PointerEvent, PointerKind,
    Preview, PreviewShape, Response, Tool, ToolContext, ToolKey,
};
use crate::geometry::ImagePoint;
use std::borrow::Cow;

/// The vertex editor.
///
/// Drag moves a vertex, a click on the outline adds one there, Shift+click or Alt+click removes one (Backspace the
/// one last touched), each being one undo step. A ring of fewer than three vertices vanishes: a part of the region, or
/// a hole of it.
///
/// The vertices are those of a simplified outline, but between two of them that were not touched the outline remains
/// that of the pixels. So an edit changes pixels only between the old and the new course of the lines it moves.
#[derive(Clone, Debug, Default)]
pub struct VertexEditor {
    /// Made from the target when an event first needs it.
    outlines: Option<Outlines>,
    hover: Option<Hover>,
    grab: Option<Grab>,
    /// The vertex last touched.
    active: Option<VertexId>,
}

/// What is under the pointer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hover {
    Vertex(VertexId),
    /// A place on the outline where a click would add a vertex.
    Outline(ImagePoint),
}

#[derive(Clone, Copy, Debug)]
struct Grab {
    vertex: VertexId,
    pressed_at: ImagePoint,
    /// Where the vertex moves to; the outlines change on release.
    moved_to: Option<ImagePoint>,
}

impl VertexEditor {
    fn outlines(&mut self, context: &ToolContext<'_>) -> Option<&mut Outlines> {
        if self.outlines.is_none() {
            /// How much the line between vertices may differ from the outline of the pixels.
            const TOLERANCE_SCREEN_PX: f32 = 2.0;
            let tolerance = context.image_px(TOLERANCE_SCREEN_PX).max(1.0);
            self.outlines = Some(Outlines::of(context.target?, tolerance));
        }
        self.outlines.as_mut()
    }

    fn look(&mut self, at: ImagePoint, context: &ToolContext<'_>) -> Option<Hover> {
        let reach = context.image_px(GRAB_SCREEN_PX);
        let outlines = self.outlines(context)?;
        let vertex = outlines.vertex_near(at, reach).map(Hover::Vertex);
        vertex.or_else(|| {
            outlines
                .place_near(at, reach)
                .map(|place| Hover::Outline(place.at))
        })
    }

    fn press(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        if event.button != PointerButton::Primary {
            return Response::Ignored;
        }
        let reach = context.image_px(GRAB_SCREEN_PX);
        let Some(outlines) = self.outlines(context) else {
            return select_at(event.at, context);
        };
        let vertex = outlines.vertex_near(event.at, reach);
        if let Some(vertex) = vertex
            && (event.modifiers.shift || event.modifiers.alt)
        {
            return self.remove(vertex, context);
        }
        let place = outlines.place_near(event.at, reach);
        let Some(vertex) = vertex.or_else(|| Some(outlines.insert(place?))) else {
            return select_at(event.at, context);
        };
        self.active = Some(vertex);
        self.hover = Some(Hover::Vertex(vertex));
        self.grab = Some(Grab {
            vertex,
            pressed_at: event.at,
            moved_to: None,
        });
        Response::Redraw
    }

    fn drag(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        let Some(grab) = self.grab.as_mut() else {
            return Response::Ignored;
        };
        let far = context.image_px(DRAG_SCREEN_PX);
        if grab.moved_to.is_none() && distance(grab.pressed_at, event.at) <= far {
            return Response::Idle;
        }
        grab.moved_to = Some(event.at);
        Response::Redraw
    }

    fn release(&mut self, context: &ToolContext<'_>) -> Response {
        let Some(grab) = self.grab.take() else {
            return Response::Ignored;
        };
        let (Some(to), Some(target), Some(outlines)) =
            (grab.moved_to, context.target, self.outlines.as_mut())
        else {
            return Response::Redraw;
        };
        commit(outlines.move_vertex(grab.vertex, to, target))
    }

    fn remove(&mut self, vertex: VertexId, context: &ToolContext<'_>) -> Response {
        self.hover = None;
        self.active = None;
        self.grab = None;
        match (context.target, self.outlines.as_mut()) {
            (Some(target), Some(outlines)) => commit(outlines.remove_vertex(vertex, target)),
            _ => Response::Ignored,
        }
    }
}

/// An edit that changes no pixel still changes the outline.
fn commit(change: Option<Patch>) -> Response {
    change.map_or(Response::Redraw, |patch| {
        Response::Commit(patch, Combine::Overwrite)
    })
}

/// Away from the outline a click chooses another region to edit.
fn select_at(at: ImagePoint, context: &ToolContext<'_>) -> Response {
    let Some(hit_test) = context.hit_test else {
        return Response::Ignored;
    };
    Response::Select {
        region: hit_test(at).first().copied(),
        extends: false,
    }
}

impl Tool for VertexEditor {
    fn pointer(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        match event.kind {
            PointerKind::Press => self.press(event, context),
            PointerKind::Drag => self.drag(event, context),
            PointerKind::Release => self.release(context),
            PointerKind::Move => {
                let before = self.hover;
                self.hover = self.look(event.at, context);
                if self.hover == before {
                    Response::Idle
                } else {
                    Response::Redraw
                }
            }
            PointerKind::Leave => {
                self.hover = None;
                Response::Redraw
            }
            PointerKind::DoubleClick => Response::Ignored,
        }
    }

    fn key(&mut self, key: ToolKey, _: Modifiers, context: &ToolContext<'_>) -> Response {
        match (key, self.active) {
            (ToolKey::Cancel, _) if self.is_busy() => {
                self.cancel();
                Response::Cancelled
            }
            (ToolKey::RemoveLast, Some(vertex)) if !self.is_busy() => self.remove(vertex, context),
            _ => Response::Ignored,
        }
    }

    fn preview(&self) -> Preview<'_> {
        let Some(outlines) = &self.outlines else {
            return Preview::default();
        };
        let mut shapes: Vec<PreviewShape<'_>> = outlines
            .changed_lines()
            .map(|line| PreviewShape::Polyline(Cow::Owned(line)))
            .collect();
        shapes.extend(
            outlines
                .rings()
                .map(|ring| PreviewShape::Handles(Cow::Borrowed(ring))),
        );
        let moving = self.grab.and_then(|grab| Some((grab.vertex, grab.moved_to?)));
        if let Some((vertex, to)) = moving {
            if let Some((before, after)) = outlines.neighbours(vertex) {
                shapes.push(PreviewShape::Polyline(Cow::Owned(vec![before, to, after])));
            }
            shapes.push(PreviewShape::ActiveHandle(to));
        } else {
            shapes.extend(match self.hover {
                Some(Hover::Vertex(vertex)) => outlines.vertex(vertex).map(PreviewShape::ActiveHandle),
                Some(Hover::Outline(at)) => Some(PreviewShape::ActiveHandle(at)),
                None => None,
            });
        }
        shapes.into()
    }

    fn cancel(&mut self) {
        self.grab = None;
    }

    fn is_busy(&self) -> bool {
        self.grab.is_some()
    }

    fn target_changed(&mut self) {
        *self = Self::default();
    }
}
