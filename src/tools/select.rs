//! Select and move: clicks choose regions, drags and arrow keys move the target's pixels.

use super::plane::distance;
use super::{
    Combine, DRAG_SCREEN_PX, Direction, Modifiers, Patch, PointerButton, PointerEvent, PointerKind, Preview,
    PreviewShape, Response, Tool, ToolContext, ToolKey,
};
use crate::geometry::ImagePoint;

/// The select tool.
///
/// Click selects the topmost region, a second click at the same place with Alt the next one below, Shift adds to the
/// selection; drag moves the target, and so do the arrow keys, by one pixel or with Shift by ten. What is pushed over
/// the edge of the image is cut off.
#[derive(Clone, Debug, Default)]
pub struct Select {
    gesture: Option<Gesture>,
    last_pick: Option<Pick>,
}

#[derive(Clone, Copy, Debug)]
struct Gesture {
    pressed_at: ImagePoint,
    pointer: ImagePoint,
    moves_target: bool,
    /// What a click selects, where the press could also have begun a move.
    click_selects: Option<usize>,
    is_drag: bool,
    axis_only: bool,
}

/// Which of the regions at a point was taken.
#[derive(Clone, Copy, Debug)]
struct Pick {
    at: ImagePoint,
    depth: usize,
}

impl Gesture {
    /// The way in whole pixels.
    fn offset(&self) -> (i32, i32) {
        let (dx, dy) = (
            self.pointer.x - self.pressed_at.x,
            self.pointer.y - self.pressed_at.y,
        );
        let (dx, dy) = match (self.axis_only, dx.abs() >= dy.abs()) {
            (true, true) => (dx, 0.0),
            (true, false) => (0.0, dy),
            (false, _) => (dx, dy),
        };
        (dx.round() as i32, dy.round() as i32)
    }
}

impl Select {
    fn press(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        if event.button != PointerButton::Primary {
            return Response::Ignored;
        }
        let is_on_target = context.target.is_some_and(|target| {
            let is_inside = event.at.x >= 0.0 && event.at.y >= 0.0;
            is_inside && target.get(event.at.x as u32, event.at.y as u32)
        });
        let hits = context
            .hit_test
            .map_or_else(Vec::new, |hit_test| hit_test(event.at));
        let near = context.image_px(DRAG_SCREEN_PX);
        let same_place = self.last_pick.filter(|pick| distance(pick.at, event.at) <= near);
        let depth = match same_place {
            Some(pick) if event.modifiers.alt && !hits.is_empty() => (pick.depth + 1) % hits.len(),
            _ => 0,
        };
        let region = hits.get(depth).copied();
        self.last_pick = region.map(|_| Pick { at: event.at, depth });
        // A press on the target itself keeps it, even under other regions, so that it can be moved.
        let keeps_target = is_on_target && !event.modifiers.alt && !event.modifiers.shift;
        self.gesture = Some(Gesture {
            pressed_at: event.at,
            pointer: event.at,
            moves_target: keeps_target || (region.is_some() && !event.modifiers.shift),
            click_selects: region.filter(|_| keeps_target),
            is_drag: false,
            axis_only: false,
        });
        if keeps_target {
            return Response::Idle;
        }
        Response::Select {
            region,
            extends: event.modifiers.shift,
        }
    }

    fn drag(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        let Some(gesture) = self.gesture.as_mut() else {
            return Response::Ignored;
        };
        gesture.pointer = event.at;
        gesture.axis_only = event.modifiers.shift;
        gesture.is_drag |= distance(gesture.pressed_at, event.at) > context.image_px(DRAG_SCREEN_PX);
        if gesture.is_drag && gesture.moves_target {
            Response::Redraw
        } else {
            Response::Idle
        }
    }

    fn release(&mut self, context: &ToolContext<'_>) -> Response {
        let Some(gesture) = self.gesture.take() else {
            return Response::Ignored;
        };
        if gesture.is_drag && gesture.moves_target {
            let (dx, dy) = gesture.offset();
            return translated(dx, dy, context).unwrap_or(Response::Redraw);
        }
        // A click on the target itself selects what lies on top of it.
        gesture
            .click_selects
            .map_or(Response::Idle, |region| Response::Select {
                region: Some(region),
                extends: false,
            })
    }
}

impl Tool for Select {
    fn pointer(&mut self, event: &PointerEvent, context: &ToolContext<'_>) -> Response {
        match event.kind {
            PointerKind::Press => self.press(event, context),
            PointerKind::Drag => self.drag(event, context),
            PointerKind::Release => self.release(context),
            PointerKind::Move | PointerKind::DoubleClick | PointerKind::Leave => Response::Ignored,
        }
    }

    fn key(&mut self, key: ToolKey, modifiers: Modifiers, context: &ToolContext<'_>) -> Response {
        match key {
            ToolKey::Cancel if self.is_busy() => {
                self.cancel();
                Response::Cancelled
            }
            ToolKey::Arrow(direction) if !self.is_busy() => {
                let step = if modifiers.shift { 10 } else { 1 };
                let (dx, dy) = match direction {
                    Direction::Left => (-step, 0),
                    Direction::Right => (step, 0),
                    Direction::Up => (0, -step),
                    Direction::Down => (0, step),
                };
                translated(dx, dy, context).unwrap_or(Response::Ignored)
            }
            _ => Response::Ignored,
        }
    }

    fn preview(&self) -> Preview<'_> {
        let moving = self
            .gesture
            .filter(|gesture| gesture.is_drag && gesture.moves_target);
        let shape = moving.map(|gesture| {
            let (dx, dy) = gesture.offset();
            PreviewShape::MovedTarget { dx, dy }
        });
        shape.into_iter().collect::<Vec<_>>().into()
    }

    fn cancel(&mut self) {
        self.gesture = None;
    }

    fn is_busy(&self) -> bool {
        self.gesture.is_some_and(|gesture| gesture.is_drag)
    }
}

/// The target moved; `None` if nothing would change or nothing of it would be left.
fn translated(dx: i32, dy: i32, context: &ToolContext<'_>) -> Option<Response> {
    if (dx, dy) == (0, 0) {
        return None;
    }
    let moved = Patch::around(context.target?)?.moved(dx.into(), dy.into(), context.size)?;
    (!moved.mask().is_empty()).then_some(Response::Commit(moved, Combine::Replace))
}
