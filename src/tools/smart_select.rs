//! Smart select: clicks, boxes and scribbles that prompt the network, whose proposals the worker sends to the canvas.

use super::plane::distance;
use super::{
    Combine, DRAG_SCREEN_PX, GRAB_SCREEN_PX, Modifiers, PointerButton, PointerEvent, PointerKind, Preview,
    PreviewShape, Response, Tool, ToolContext, ToolKey,
};
use crate::geometry::{ImagePoint, ImageRect, ImageSize};
use std::borrow::Cow;

/// A point that says what belongs to the region or does not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromptPoint {
    /// Where, inside the image.
    pub at: ImagePoint,
    /// Whether it belongs to the region.
    pub is_positive: bool,
}

/// All that the network is to know about the region wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptRequest {
    /// The points, oldest first.
    pub points: Vec<PromptPoint>,
    /// A box around the region.
    pub box_: Option<ImageRect>,
    /// Whether this only adds to the request before, so that the network may refine its last logits.
    pub keep_logits: bool,
}

impl PromptRequest {
    /// Whether nothing is asked: the proposal is to vanish.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.box_.is_none()
    }
}

/// One gesture's part of the prompt, the unit that Backspace takes back.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Point(PromptPoint),
    Box(ImageRect),
    Scribble(Vec<PromptPoint>),
}

impl Part {
    fn points(&self) -> &[PromptPoint] {
        match self {
            Self::Point(point) => std::slice::from_ref(point),
            Self::Scribble(points) => points,
            Self::Box(_) => &[],
        }
    }
}

/// The smart select tool.
///
/// Left click: this belongs to the region. Right click or Shift+click: this does not. Drag: a box around it.
/// Ctrl+drag: a scribble over it (with the right button or Shift: over what does not). Alt+click on a point takes it
/// away, Backspace the last part, Escape all; Enter accepts the proposal. The prompt stays until then.
#[derive(Clone, Debug, Default)]
pub struct SmartSelect {
    parts: Vec<Part>,
    /// All points of `parts`, for drawing.
    points: Vec<PromptPoint>,
    combine: Combine,
    gesture: Option<Gesture>,
}

#[derive(Clone, Debug)]
struct Gesture {
    line: Vec<ImagePoint>,
    button: PointerButton,
    modifiers: Modifiers,
    is_drag: bool,
}

impl Gesture {
    const fn is_positive(&self) -> bool {
        matches!(self.button, PointerButton::Primary) && !self.modifiers.shift
    }

    const fn is_scribble(&self) -> bool {
        self.modifiers.ctrl
    }

    fn rect(&self) -> Option<ImageRect> {
        let (a, b) = (self.line.first()?, self.line.last()?);
        Some(ImageRect {
            x0: a.x.min(b.x),
            y0: a.y.min(b.y),
            x1: a.x.max(b.x),
            y1: a.y.max(b.y),
        })
    }
}

impl SmartSelect {
    /// What the network is to know now.
    #[must_use]
    pub fn request(&self) -> PromptRequest {
        let last_box = self.parts.iter().rev().find_map(|part| match part {
            Part::Box(rect) => Some(*rect),
            _ => None,
        });
        PromptRequest {
            points: self.points.clone(),
            box_: last_box,
            keep_logits: false,
        }
    }

    fn add(&mut self, part: Part) -> Response {
        // Another box means another region.
        let keep_logits = !self.parts.is_empty() && !matches!(part, Part::Box(_));
        self.parts.push(part);
        self.collect_points();
        Response::Prompt(PromptRequest {
            keep_logits,
            ..self.request()
        })
    }

    /// After parts were taken away.
    fn reduced(&mut self) -> Response {
        self.collect_points();
        if self.parts.is_empty() {
            Response::Cancelled
        } else {
            Response::Prompt(self.request())
        }
    }

    fn collect_points(&mut self) {
        self.points = self.parts.iter().flat_map(Part::points).copied().collect();
    }

    fn remove_near(&mut self, at: ImagePoint, context: &ToolContext<'_>) -> Response {
        let reach = context.image_px(GRAB_SCREEN_PX);
        let is_near = |part: &Part| part.points().iter().any(|point| distance(point.at, at) <= reach);
        let Some(index) = self.parts.iter().rposition(is_near) else {
            return Response::Idle;
        };
        self.parts.remove(index);
        self.reduced()
    }

    fn finish(&mut self, gesture: &Gesture, context: &ToolContext<'_>) -> Response {
        let is_positive = gesture.is_positive();
        let Some(&pressed_at) = gesture.line.first() else {
            return Response::Idle;
        };
        if !gesture.is_drag {
            if gesture.modifiers.alt {
                return self.remove_near(pressed_at, context);
            }
            if !is_inside(pressed_at, context.size) {
                return Response::Idle;
            }
            return self.add(Part::Point(PromptPoint {
                at: pressed_at,
                is_positive,
            }));
        }
        if gesture.is_scribble() {
            let points: Vec<PromptPoint> = sampled(&gesture.line)
                .into_iter()
                .filter(|&at| is_inside(at, context.size))
                .map(|at| PromptPoint { at, is_positive })
                .collect();
            return if points.is_empty() {
                Response::Redraw
            } else {
                self.add(Part::Scribble(points))
            };
        }
        gesture
            .rect()
            .and_then(|rect| clipped(rect, context.size))
            .map_or(Response::Redraw, |rect| self.add(Part::Box(rect)))
    }
}

impl Tool for SmartSelect {
    fn pointer(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        if event.kind == PointerKind::Press && self.gesture.is_none() && event.button != PointerButton::Middle
        {
            if self.parts.is_empty() {
                self.combine = context.combine;
            }
            self.gesture = Some(Gesture {
                line: vec![event.at],
                button: event.button,
                modifiers: event.modifiers,
                is_drag: false,
            });
            return Response::Idle;
        }
        let Some(gesture) = self
            .gesture
            .as_mut()
            .filter(|gesture| gesture.button == event.button)
        else {
            return Response::Ignored;
        };
        match event.kind {
            PointerKind::Drag | PointerKind::Release => {
                let far = context.image_px(DRAG_SCREEN_PX);
                gesture.is_drag |= gesture
                    .line
                    .first()
                    .is_some_and(|&start| distance(start, event.at) > far);
                if gesture.line.last() != Some(&event.at) {
                    gesture.line.push(event.at);
                }
                if event.kind == PointerKind::Drag {
                    return if gesture.is_drag {
                        Response::Redraw
                    } else {
                        Response::Idle
                    };
                }
                self.gesture
                    .take()
                    .map_or(Response::Idle, |gesture| self.finish(&gesture, context))
            }
            _ => Response::Idle,
        }
    }

    fn key(&mut self, key: ToolKey, _: Modifiers, _: &ToolContext<'_>) -> Response {
        match key {
            _ if !self.is_busy() => Response::Ignored,
            ToolKey::Accept if !self.parts.is_empty() => {
                let combine = self.combine;
                self.cancel();
                Response::Accept(combine)
            }
            ToolKey::Cancel => {
                self.cancel();
                Response::Cancelled
            }
            ToolKey::RemoveLast if !self.parts.is_empty() => {
                self.gesture = None;
                self.parts.pop();
                self.reduced()
            }
            _ => Response::Ignored,
        }
    }

    fn preview(&self) -> Preview<'_> {
        let mut shapes = Vec::new();
        if let Some(rect) = self.request_box() {
            shapes.push(PreviewShape::Rect(rect));
        }
        if let Some(gesture) = self.gesture.as_ref().filter(|gesture| gesture.is_drag) {
            if gesture.is_scribble() {
                shapes.push(PreviewShape::Polyline(Cow::Borrowed(&gesture.line)));
            } else {
                shapes.extend(gesture.rect().map(PreviewShape::Rect));
            }
        }
        if !self.points.is_empty() {
            shapes.push(PreviewShape::PromptPoints(Cow::Borrowed(&self.points)));
        }
        shapes.into()
    }

    fn cancel(&mut self) {
        *self = Self::default();
    }

    fn is_busy(&self) -> bool {
        self.gesture.is_some() || !self.parts.is_empty()
    }
}

impl SmartSelect {
    /// The box of the prompt; the last one drawn counts.
    fn request_box(&self) -> Option<ImageRect> {
        self.parts.iter().rev().find_map(|part| match part {
            Part::Box(rect) => Some(*rect),
            _ => None,
        })
    }
}

fn is_inside(at: ImagePoint, size: ImageSize) -> bool {
    at.x >= 0.0 && at.y >= 0.0 && at.x < size.width as f32 && at.y < size.height as f32
}

/// The part of `rect` inside the image, `None` if it covers nothing.
fn clipped(rect: ImageRect, size: ImageSize) -> Option<ImageRect> {
    let clip = |position: f32, limit: u32| position.clamp(0.0, limit as f32);
    let rect = ImageRect {
        x0: clip(rect.x0, size.width),
        y0: clip(rect.y0, size.height),
        x1: clip(rect.x1, size.width),
        y1: clip(rect.y1, size.height),
    };
    (rect.x0 < rect.x1 && rect.y0 < rect.y1).then_some(rect)
}

/// A few points at equal distances along a line, both ends among them.
fn sampled(line: &[ImagePoint]) -> Vec<ImagePoint> {
    /// What the network takes in well; more points hardly change its answer.
    const POINTS: usize = 6;
    let lengths = line
        .iter()
        .zip(line.iter().skip(1))
        .map(|(&a, &b)| distance(a, b));
    let total: f32 = lengths.clone().sum();
    let (Some(&first), Some(&last)) = (line.first(), line.last()) else {
        return Vec::new();
    };
    let mut points = vec![first];
    let mut walked = 0.0;
    for ((&a, &b), length) in line.iter().zip(line.iter().skip(1)).zip(lengths) {
        while points.len() < POINTS - 1 {
            let wanted = total * points.len() as f32 / (POINTS - 1) as f32;
            if walked + length < wanted || length <= 0.0 {
                break;
            }
            let along = (wanted - walked) / length;
            points.push(ImagePoint::new(
                a.x + (b.x - a.x) * along,
                a.y + (b.y - a.y) * along,
            ));
        }
        walked += length;
    }
    points.push(last);
    points
}
