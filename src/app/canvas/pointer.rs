//! Events of the window, as the tools understand them.

use eframe::egui::{self, Event, MouseWheelUnit, PointerButton as EguiButton, Pos2, TouchPhase, Ui};

use super::{Canvas, Hands, makes_regions};
use crate::geometry::ImagePoint;
use crate::tools::{
    Combine, Direction, Modifiers, PointerButton, PointerEvent, PointerKind, Response, ToolContext, ToolKey,
    ToolKind, Toolbox,
};

/// Seconds between the presses of a double click.
const DOUBLE_CLICK_SECS: f64 = 0.35;

/// Points between the presses of a double click.
const DOUBLE_CLICK_POINTS: f32 = 6.0;

/// Zoom of one notch of the wheel.
const ZOOM_PER_NOTCH: f32 = 1.2;

/// Points of a smooth scroll that count as one notch.
const POINTS_PER_NOTCH: f32 = 50.0;

impl Canvas {
    /// Passes what happened since the last frame on to the tools.
    pub(super) fn take_events(&mut self, ui: &Ui, response: &egui::Response, hands: &mut Hands<'_>) {
        let is_inside = response.contains_pointer();
        let (events, now, has_space) = ui.input(|input| {
            let has_space = input.key_down(egui::Key::Space);
            (input.events.clone(), input.time, has_space)
        });
        let has_space = has_space && !ui.ctx().egui_wants_keyboard_input();
        let modifiers = ui.input(|input| input.modifiers);
        for event in events {
            match event {
                Event::PointerMoved(at) => self.moved(at, is_inside, modifiers, hands),
                Event::PointerButton {
                    pos,
                    button,
                    pressed: true,
                    modifiers,
                } if is_inside => {
                    let pans = button == EguiButton::Middle || has_space;
                    self.captured = Some((button, pans));
                    if !pans {
                        let is_double = self.last_press.is_some_and(|(time, at)| {
                            now - time < DOUBLE_CLICK_SECS && at.distance(pos) < DOUBLE_CLICK_POINTS
                        });
                        self.last_press = if is_double { None } else { Some((now, pos)) };
                        self.pointer(PointerKind::Press, pos, button, modifiers, hands);
                        if is_double {
                            self.pointer(PointerKind::DoubleClick, pos, button, modifiers, hands);
                        }
                    }
                }
                Event::PointerButton {
                    pos,
                    button,
                    pressed: false,
                    modifiers,
                } => {
                    if let Some((captured, pans)) = self.captured.filter(|(captured, _)| *captured == button)
                    {
                        self.captured = None;
                        if !pans {
                            self.pointer(PointerKind::Release, pos, captured, modifiers, hands);
                        }
                    }
                }
                Event::MouseWheel {
                    unit,
                    delta,
                    modifiers,
                    ..
                } if is_inside => {
                    let notches = match unit {
                        MouseWheelUnit::Point => delta / POINTS_PER_NOTCH,
                        MouseWheelUnit::Line | MouseWheelUnit::Page => delta,
                    };
                    self.scrolled(notches, modifiers, response.hover_pos(), hands);
                }
                Event::Zoom(factor) if is_inside => {
                    if let (Some(view), Some(at)) = (&mut self.view, response.hover_pos()) {
                        view.zoom_by(factor, at);
                    }
                }
                Event::Touch { phase, force, .. } => {
                    self.pressure = match phase {
                        TouchPhase::Start | TouchPhase::Move => force.unwrap_or(1.0),
                        TouchPhase::End | TouchPhase::Cancel => 1.0,
                    };
                }
                Event::PointerGone => self.left(modifiers, hands),
                _ => {}
            }
        }
        if self.was_inside && !is_inside && self.captured.is_none() {
            self.left(modifiers, hands);
        }
        self.was_inside = is_inside;
        let pans = self.captured.is_some_and(|(_, pans)| pans);
        if pans || (has_space && is_inside) {
            let icon = if pans {
                egui::CursorIcon::Grabbing
            } else {
                egui::CursorIcon::Grab
            };
            ui.ctx().set_cursor_icon(icon);
        } else if is_inside && hands.session.open().is_some() {
            let icon = match hands.tools.active() {
                ToolKind::Select => egui::CursorIcon::Default,
                ToolKind::Brush | ToolKind::Eraser => egui::CursorIcon::None,
                _ => egui::CursorIcon::Crosshair,
            };
            ui.ctx().set_cursor_icon(icon);
        }
    }

    fn left(&mut self, modifiers: egui::Modifiers, hands: &mut Hands<'_>) {
        hands.state.pixel = None;
        self.pointer(
            PointerKind::Leave,
            Pos2::ZERO,
            EguiButton::Primary,
            modifiers,
            hands,
        );
    }

    fn moved(&mut self, at: Pos2, is_inside: bool, modifiers: egui::Modifiers, hands: &mut Hands<'_>) {
        if let (Some(view), Some(open)) = (&self.view, hands.session.open()) {
            hands.state.pixel = None;
            if let Some((x, y)) = view.pixel_from_ui(at).filter(|_| is_inside) {
                hands.state.pixel = open.image.samples_at(x, y).map(|samples| (x, y, samples));
                if hands.tools.active() == ToolKind::Select && self.captured.is_none() {
                    let under = view.image_from_ui(at);
                    hands.state.hovered = self.scene.regions_at(under).map(|(_, id)| id.to_owned()).next();
                }
            }
        }
        match self.captured {
            Some((_, true)) => {}
            Some((button, false)) => self.pointer(PointerKind::Drag, at, button, modifiers, hands),
            None if is_inside => {
                self.pointer(PointerKind::Move, at, EguiButton::Primary, modifiers, hands);
            }
            None => {}
        }
    }

    fn scrolled(
        &mut self,
        notches: egui::Vec2,
        modifiers: egui::Modifiers,
        hover: Option<Pos2>,
        hands: &mut Hands<'_>,
    ) {
        if modifiers.command {
            let answer = hands.tools.resize(notches.y);
            self.respond(answer, hands);
            return;
        }
        let Some(view) = &mut self.view else { return };
        if modifiers.shift {
            let notches = if notches.x == 0.0 { notches.y } else { notches.x };
            view.pan_by(egui::vec2(notches * POINTS_PER_NOTCH, 0.0));
        } else if let Some(at) = hover {
            view.zoom_by(ZOOM_PER_NOTCH.powf(notches.y), at);
        }
    }

    /// Pans by how far the pointer moved in this frame.
    pub(super) fn pan(&mut self, ctx: &egui::Context) {
        if self.captured.is_some_and(|(_, pans)| pans) {
            let delta = ctx.input(|input| input.pointer.delta());
            if let Some(view) = &mut self.view {
                view.pan_by(delta);
            }
        }
    }

    fn pointer(
        &mut self,
        kind: PointerKind,
        at: Pos2,
        button: EguiButton,
        modifiers: egui::Modifiers,
        hands: &mut Hands<'_>,
    ) {
        let Some(view) = &self.view else { return };
        let button = match button {
            EguiButton::Secondary => PointerButton::Secondary,
            EguiButton::Middle => PointerButton::Middle,
            _ => PointerButton::Primary,
        };
        let event = PointerEvent {
            kind,
            button,
            at: view.image_from_ui(at),
            modifiers: of_egui(modifiers),
            pressure: self.pressure,
        };
        if kind == PointerKind::Press && self.mentions(&event, hands) {
            return;
        }
        let answer = self.with_context(hands, |tools, context| tools.pointer(&event, context));
        self.respond(answer, hands);
    }

    /// Puts the region under the pointer into the text that is being written, instead of selecting it.
    fn mentions(&self, event: &PointerEvent, hands: &mut Hands<'_>) -> bool {
        let is_meant = hands.tools.active() == ToolKind::Select && event.button == PointerButton::Primary;
        let Some(target) = hands.state.mention.clone().filter(|_| is_meant) else {
            return false;
        };
        match self.scene.mentionable_at(event.at, hands.session) {
            Some(name) => hands.state.inserts.push((target, name)),
            None => hands.state.mention = None,
        }
        // A click beside all regions ends the writing and deselects like any other.
        hands.state.mention.is_some()
    }

    /// Passes a key to the tool; whether it had a use for it.
    pub(in crate::app) fn key(
        &mut self,
        key: ToolKey,
        modifiers: egui::Modifiers,
        hands: &mut Hands<'_>,
    ) -> bool {
        let answer = self.with_context(hands, |tools, context| {
            tools.key(key, of_egui(modifiers), context)
        });
        let is_taken = answer != Response::Ignored;
        self.respond(answer, hands);
        is_taken
    }

    fn with_context(
        &self,
        hands: &mut Hands<'_>,
        work: impl FnOnce(&mut Toolbox, &ToolContext<'_>) -> Response,
    ) -> Response {
        let (Some(view), Some(open)) = (&self.view, hands.session.open_mut()) else {
            return Response::Ignored;
        };
        let makes_new = makes_regions(hands.tools.active()) && hands.state.combine == Combine::Replace;
        let target = if makes_new { None } else { open.active_mask() };
        let hit_test =
            |at: ImagePoint| -> Vec<usize> { self.scene.regions_at(at).map(|(place, _)| place).collect() };
        let context = ToolContext {
            size: open.size(),
            image: Some(&open.image.rgb),
            target: target.as_deref(),
            combine: hands.state.combine,
            image_px_per_screen_px: 1.0 / view.zoom().max(f32::MIN_POSITIVE),
            hit_test: Some(&hit_test),
        };
        work(hands.tools, &context)
    }
}

const fn of_egui(modifiers: egui::Modifiers) -> Modifiers {
    Modifiers {
        shift: modifiers.shift,
        ctrl: modifiers.command,
        alt: modifiers.alt,
    }
}

/// The meaning of a key for tools.
pub(in crate::app) fn tool_key(key: egui::Key) -> Option<ToolKey> {
    Some(match key {
        egui::Key::Enter | egui::Key::N => ToolKey::Accept,
        egui::Key::Escape => ToolKey::Cancel,
        egui::Key::Backspace => ToolKey::RemoveLast,
        egui::Key::CloseBracket => ToolKey::Larger,
        egui::Key::OpenBracket => ToolKey::Smaller,
        egui::Key::ArrowLeft => ToolKey::Arrow(Direction::Left),
        egui::Key::ArrowRight => ToolKey::Arrow(Direction::Right),
        egui::Key::ArrowUp => ToolKey::Arrow(Direction::Up),
        egui::Key::ArrowDown => ToolKey::Arrow(Direction::Down),
        _ => return None,
    })
}
