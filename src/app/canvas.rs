//! The canvas: the image with its regions, where the pointer works.
//!
//! It keeps the renderer in step with the document, turns events of the window into events of the tools, and does what
//! the tools answer.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{self, Event, MouseWheelUnit, PointerButton as EguiButton, Pos2, Rect, Sense, Ui};

use super::canvas_overlay;
use super::render::{
    CanvasRenderer, Difference, Emphasis, RegionLayer, RegionPixels, RegionStyle, ViewTransform,
};
use super::state::{Tab, UiState};
use super::theme;
use crate::geometry::{ImagePoint, ImageSize, PixelRect};
use crate::mask::{Mask, Rle};
use crate::session::regions::color_of;
use crate::session::{OpenDocument, Session};
use crate::settings::Settings;
use crate::tools::{
    Combine, Direction, Modifiers, Patch, PointerButton, PointerEvent, PointerKind, PreviewShape, Response,
    ToolContext, ToolKey, ToolKind, Toolbox,
};

/// Keys of masks that were found in a text, behind those of all regions.
const FOUND_KEYS: u64 = 1 << 62;

/// Keys of masks of the chat.
const CHAT_KEYS: u64 = 1 << 61;

/// Seconds between the presses of a double click.
const DOUBLE_CLICK_SECS: f64 = 0.35;

/// Points between the presses of a double click.
const DOUBLE_CLICK_POINTS: f32 = 6.0;

/// Zoom of one notch of the wheel.
const ZOOM_PER_NOTCH: f32 = 1.2;

/// Points of a smooth scroll that count as one notch.
const POINTS_PER_NOTCH: f32 = 50.0;

/// What the renderer holds of a region.
#[derive(Debug)]
struct Held {
    key: u64,
    revision: u64,
    of: Rle,
}

/// What the preview layer shows, to change it only when that changes.
#[derive(Clone, Debug, PartialEq)]
enum ShownPreview {
    Nothing,
    /// The stroke of a region that is being made.
    Stroke,
    Proposal {
        shown: u64,
        revision: u64,
    },
    Pixels {
        revision: u64,
        combine: Combine,
    },
    Moved {
        dx: i32,
        dy: i32,
    },
}

/// The canvas and what it remembers between frames.
#[derive(Debug)]
pub(super) struct Canvas {
    renderer: CanvasRenderer,
    view: Option<ViewTransform>,
    /// [`Session::shown`] of the image that the renderer holds.
    shown: u64,
    held: HashMap<String, Held>,
    /// [`OpenDocument::revision`] for which the regions were compared.
    synced: Option<u64>,
    next_key: u64,
    preview: ShownPreview,
    difference: Option<(String, Rle)>,
    /// The button that was pressed on the canvas, and whether it pans.
    captured: Option<(EguiButton, bool)>,
    last_press: Option<(f64, Pos2)>,
    was_inside: bool,
    /// Where images were left.
    views: HashMap<PathBuf, ([f64; 2], f64)>,
}

impl Canvas {
    pub(super) fn new() -> Self {
        Self {
            renderer: CanvasRenderer::new(),
            view: None,
            shown: 0,
            held: HashMap::new(),
            synced: None,
            next_key: 0,
            preview: ShownPreview::Nothing,
            difference: None,
            captured: None,
            last_press: None,
            was_inside: false,
            views: HashMap::new(),
        }
    }

    /// How the image lies in the window.
    pub(super) const fn view(&self) -> Option<&ViewTransform> {
        self.view.as_ref()
    }

    /// The same, to be changed.
    pub(super) const fn view_mut(&mut self) -> Option<&mut ViewTransform> {
        self.view.as_mut()
    }

    /// Remembers where an image was looked at before.
    pub(super) fn remember_view(&mut self, path: PathBuf, center: [f64; 2], scale: f64) {
        self.views.insert(path, (center, scale));
    }

    /// Draws the canvas into the rest of `ui` and lets the tools work.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        session: &mut Session,
        tools: &mut Toolbox,
        state: &mut UiState,
        settings: &Settings,
    ) -> egui::Response {
        let rect = ui.available_rect_before_wrap();
        let response = ui.allocate_rect(rect, Sense::click_and_drag());
        let name = session
            .open()
            .map_or_else(String::new, |open| open.document().image.file_name.clone());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, format!("Canvas {name}")));
        self.take_image(session, rect, ui.ctx().pixels_per_point());
        if session.open().is_none() {
            return response;
        }
        self.take_events(ui, &response, session, tools, state);
        self.sync(session, tools, state, settings);
        let (Some(view), Some(open)) = (&self.view, session.open()) else {
            return response;
        };
        let display = super::state::display(state, settings, open.is_solo && !open.selected().is_empty());
        let painter = ui.painter_at(rect);
        self.renderer.paint(&painter, view, &display);
        canvas_overlay::draw(&painter, view, &tools.preview(), state);
        response
    }

    /// Takes over another image, and the size of the window.
    fn take_image(&mut self, session: &Session, viewport: Rect, pixels_per_point: f32) {
        let Some(open) = session.open() else {
            self.view = None;
            self.shown = 0;
            return;
        };
        if self.shown != session.shown {
            self.shown = session.shown;
            self.renderer
                .set_image(session.shown, open.size(), open.image.picture.clone());
            self.held.clear();
            self.synced = None;
            self.preview = ShownPreview::Nothing;
            self.difference = None;
            self.captured = None;
            let mut view = ViewTransform::fitted(open.size(), viewport, pixels_per_point);
            if let Some((center, scale)) = self.views.get(&open.path) {
                view.restore(*center, *scale);
            }
            self.view = Some(view);
        }
        if let Some(view) = &mut self.view {
            view.set_viewport(viewport, pixels_per_point);
            if view.is_fitted() {
                self.views.remove(&open.path);
            } else {
                self.views
                    .insert(open.path.clone(), (view.center(), view.scale()));
            }
        }
    }

    // ---- events

    fn take_events(
        &mut self,
        ui: &Ui,
        response: &egui::Response,
        session: &mut Session,
        tools: &mut Toolbox,
        state: &mut UiState,
    ) {
        let is_inside = response.contains_pointer();
        let (events, now, has_space) = ui.input(|input| {
            let has_space = input.key_down(egui::Key::Space);
            (input.events.clone(), input.time, has_space)
        });
        let has_space = has_space && !ui.ctx().egui_wants_keyboard_input();
        let modifiers = ui.input(|input| input.modifiers);
        for event in events {
            match event {
                Event::PointerMoved(at) => self.moved(at, is_inside, modifiers, session, tools, state),
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
                        self.pointer(PointerKind::Press, pos, button, modifiers, session, tools, state);
                        if is_double {
                            self.pointer(
                                PointerKind::DoubleClick,
                                pos,
                                button,
                                modifiers,
                                session,
                                tools,
                                state,
                            );
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
                            self.pointer(
                                PointerKind::Release,
                                pos,
                                captured,
                                modifiers,
                                session,
                                tools,
                                state,
                            );
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
                    self.scrolled(notches, modifiers, response, session, tools, state);
                }
                Event::Zoom(factor) if is_inside => {
                    if let (Some(view), Some(at)) = (&mut self.view, response.hover_pos()) {
                        view.zoom_by(factor, at);
                    }
                }
                Event::PointerGone => self.left(modifiers, session, tools, state),
                _ => {}
            }
        }
        if self.was_inside && !is_inside && self.captured.is_none() {
            self.left(modifiers, session, tools, state);
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
        } else if is_inside && session.open().is_some() {
            let icon = match tools.active() {
                ToolKind::Select => egui::CursorIcon::Default,
                ToolKind::Brush | ToolKind::Eraser => egui::CursorIcon::None,
                _ => egui::CursorIcon::Crosshair,
            };
            ui.ctx().set_cursor_icon(icon);
        }
    }

    fn left(
        &mut self,
        modifiers: egui::Modifiers,
        session: &mut Session,
        tools: &mut Toolbox,
        state: &mut UiState,
    ) {
        state.pixel = None;
        self.pointer(
            PointerKind::Leave,
            Pos2::ZERO,
            EguiButton::Primary,
            modifiers,
            session,
            tools,
            state,
        );
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "an event with its circumstances, from one place"
    )]
    fn moved(
        &mut self,
        at: Pos2,
        is_inside: bool,
        modifiers: egui::Modifiers,
        session: &mut Session,
        tools: &mut Toolbox,
        state: &mut UiState,
    ) {
        if let (Some(view), Some(open)) = (&self.view, session.open()) {
            state.pixel = None;
            if let Some((x, y)) = view.pixel_from_ui(at).filter(|_| is_inside) {
                let rgb = &open.image.rgb;
                let place = (y as usize * rgb.size.width as usize + x as usize) * 3;
                if let Some(&[red, green, blue]) = rgb.pixels.get(place..place + 3) {
                    state.pixel = Some((x, y, [red, green, blue]));
                }
                if tools.active() == ToolKind::Select && self.captured.is_none() {
                    state.hovered = self.renderer.regions_at(x, y).find_map(|key| self.id_of(key));
                }
            }
        }
        match self.captured {
            Some((_, true)) => {}
            Some((button, false)) => {
                self.pointer(PointerKind::Drag, at, button, modifiers, session, tools, state)
            }
            None if is_inside => {
                self.pointer(
                    PointerKind::Move,
                    at,
                    EguiButton::Primary,
                    modifiers,
                    session,
                    tools,
                    state,
                );
            }
            None => {}
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "an event with its circumstances, from one place"
    )]
    fn scrolled(
        &mut self,
        notches: egui::Vec2,
        modifiers: egui::Modifiers,
        response: &egui::Response,
        session: &mut Session,
        tools: &mut Toolbox,
        state: &mut UiState,
    ) {
        if modifiers.command {
            let answer = tools.resize(notches.y);
            self.respond(answer, session, tools, state);
            return;
        }
        let Some(view) = &mut self.view else { return };
        if modifiers.shift {
            let notches = if notches.x == 0.0 { notches.y } else { notches.x };
            view.pan_by(egui::vec2(notches * POINTS_PER_NOTCH, 0.0));
        } else if let Some(at) = response.hover_pos() {
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

    #[expect(
        clippy::too_many_arguments,
        reason = "an event with its circumstances, from one place"
    )]
    fn pointer(
        &mut self,
        kind: PointerKind,
        at: Pos2,
        button: EguiButton,
        modifiers: egui::Modifiers,
        session: &mut Session,
        tools: &mut Toolbox,
        state: &mut UiState,
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
            pressure: 1.0,
        };
        if kind == PointerKind::Press && self.mentions(&event, session, tools, state) {
            return;
        }
        let answer = self.with_context(session, tools, state, |tools, context| {
            tools.pointer(&event, context)
        });
        self.respond(answer, session, tools, state);
    }

    /// Puts the region under the pointer into the text that is being written, instead of selecting it.
    fn mentions(
        &self,
        event: &PointerEvent,
        session: &Session,
        tools: &Toolbox,
        state: &mut UiState,
    ) -> bool {
        let is_meant = tools.active() == ToolKind::Select && event.button == PointerButton::Primary;
        let Some(target) = state.mention.clone().filter(|_| is_meant) else {
            return false;
        };
        let (x, y) = (event.at.x, event.at.y);
        if session.open().is_none() || x < 0.0 || y < 0.0 {
            return false;
        }
        let hit = self
            .renderer
            .regions_at(x as u32, y as u32)
            .find_map(|key| self.id_of(key).or_else(|| chat_mask_of(session, key)));
        if let Some(id) = hit {
            state.inserts.push((target, id));
            return true;
        }
        state.mention = None;
        false
    }

    /// Passes a key to the tool; whether it had a use for it.
    pub(super) fn key(
        &mut self,
        key: ToolKey,
        modifiers: egui::Modifiers,
        session: &mut Session,
        tools: &mut Toolbox,
        state: &mut UiState,
    ) -> bool {
        let modifiers = of_egui(modifiers);
        let answer = self.with_context(session, tools, state, |tools, context| {
            tools.key(key, modifiers, context)
        });
        let is_taken = answer != Response::Ignored;
        self.respond(answer, session, tools, state);
        is_taken
    }

    fn with_context(
        &self,
        session: &mut Session,
        tools: &mut Toolbox,
        state: &UiState,
        work: impl FnOnce(&mut Toolbox, &ToolContext<'_>) -> Response,
    ) -> Response {
        let Some(view) = &self.view else {
            return Response::Ignored;
        };
        let Some(open) = session.open_mut() else {
            return Response::Ignored;
        };
        let makes_new = makes_regions(tools.active()) && state.combine == Combine::Replace;
        let target = if makes_new { None } else { open.active_mask() };
        let image = Arc::clone(&open.image.rgb);
        let places: HashMap<&str, usize> = open
            .document()
            .regions
            .iter()
            .enumerate()
            .map(|(place, region)| (region.id.as_str(), place))
            .collect();
        let hit_test = |at: ImagePoint| -> Vec<usize> {
            if at.x < 0.0 || at.y < 0.0 {
                return Vec::new();
            }
            let keys = self.renderer.regions_at(at.x as u32, at.y as u32);
            keys.filter_map(|key| places.get(self.id_of(key)?.as_str()).copied())
                .collect()
        };
        let context = ToolContext {
            size: open.size(),
            image: Some(&image),
            target: target.as_deref(),
            combine: state.combine,
            image_px_per_screen_px: 1.0 / view.zoom().max(f32::MIN_POSITIVE),
            hit_test: Some(&hit_test),
        };
        work(tools, &context)
    }

    /// Does what a tool answers.
    pub(super) fn respond(
        &mut self,
        answer: Response,
        session: &mut Session,
        tools: &mut Toolbox,
        state: &mut UiState,
    ) {
        let kind = tools.active();
        match answer {
            Response::Ignored | Response::Idle | Response::Redraw => {}
            Response::Stroke {
                part,
                combine,
                is_last,
            } => {
                self.stroke(part.as_ref(), combine, is_last, session);
            }
            Response::Commit(patch, combine) => {
                if makes_regions(kind) {
                    session.commit(&patch, combine, source(kind));
                } else {
                    session.replace_active(&patch, combine);
                }
                tools.target_changed();
            }
            Response::Prompt(request) => session.prompt(request),
            Response::Accept(combine) => {
                if let Some(mask) = session.take_proposal()
                    && let Some(patch) = Patch::around(&mask)
                {
                    session.commit(&patch, combine, source(kind));
                    tools.target_changed();
                }
            }
            Response::Select { region, extends } => {
                let Some(open) = session.open_mut() else { return };
                let id = region
                    .and_then(|place| open.document().regions.get(place))
                    .map(|region| region.id.clone());
                match (id, extends) {
                    (Some(id), true) => open.toggle_selected(&id),
                    (Some(id), false) => open.select([id]),
                    (None, true) => {}
                    (None, false) => open.select([]),
                }
                tools.target_changed();
            }
            Response::Cancelled => {
                session.proposal = None;
                if let Some(open) = session.open_mut() {
                    open.cancel_stroke();
                    self.synced = None;
                    // What the stroke showed is not what the document has.
                    self.held.values_mut().for_each(|held| held.revision = u64::MAX);
                }
                state.hovered = None;
            }
        }
    }

    fn stroke(&mut self, part: Option<&Patch>, combine: Combine, is_last: bool, session: &mut Session) {
        if session.is_read_only_told() {
            return;
        }
        let label = session.next_label();
        let Some(open) = session.open_mut() else { return };
        let erases_nothing =
            combine == Combine::Subtract && open.active().is_none() && open.live_mask().is_none();
        if erases_nothing {
            return;
        }
        let dirty = match open.stroke(part, combine, false) {
            Ok(dirty) => dirty,
            Err(error) => {
                session.notices.error(error.to_string());
                return;
            }
        };
        if let (Some(dirty), Some((region, mask))) = (dirty, open.live_mask()) {
            let color = crate::session::regions::next_color(open.document()).rgb;
            self.show_stroke(region, mask, dirty, color);
        }
        if is_last {
            self.end_stroke(label, session);
        }
    }

    fn end_stroke(&mut self, label: String, session: &mut Session) {
        let Some(open) = session.open_mut() else { return };
        let changed = open.live_mask().and_then(|(region, _)| region.map(str::to_owned));
        let ended = open.end_stroke(|document, mask| {
            let mut region = crate::dataset::Region::new(document.next_region_id(), mask);
            region.label = label;
            region.color = Some(crate::session::regions::next_color(document));
            "brush".clone_into(&mut region.source);
            region
        });
        // The renderer has these very pixels; they need not be made again from the run lengths.
        if let Some(id) = changed
            && let Some((held, region)) = self.held.get_mut(&id).zip(open.document().region(&id))
        {
            held.of = region.mask.rle.clone();
        }
        if let Err(error) = ended {
            session.notices.warn(format!("the stroke was lost: {error}"));
        }
        session.changed();
    }

    fn show_stroke(&mut self, region: Option<&str>, mask: &Mask, dirty: PixelRect, new_color: [u8; 3]) {
        if let Some(held) = region.and_then(|id| self.held.get_mut(id)) {
            held.revision += 1;
            self.renderer.update_region(held.key, held.revision, mask, dirty);
        } else if self.preview == ShownPreview::Stroke {
            self.renderer.update_preview(mask, dirty);
        } else {
            self.renderer
                .set_preview(Some((RegionPixels::Mask(mask), RegionStyle::new(new_color))));
            self.preview = ShownPreview::Stroke;
        }
    }

    // ---- renderer

    fn id_of(&self, key: u64) -> Option<String> {
        self.held
            .iter()
            .find(|(_, held)| held.key == key)
            .map(|(id, _)| id.clone())
    }

    /// Brings the renderer in step with the document.
    fn sync(&mut self, session: &mut Session, tools: &Toolbox, state: &UiState, settings: &Settings) {
        let Some(open) = session.open() else { return };
        if self.synced != Some(open.revision()) {
            self.compare(open);
            self.synced = Some(open.revision());
        }
        let live = open.live_mask().and_then(|(region, _)| region.map(str::to_owned));
        let fill_opacity = settings.fill_opacity;
        let mut layers: Vec<RegionLayer<'_>> = Vec::with_capacity(open.document().regions.len());
        for region in &open.document().regions {
            let Some(held) = self.held.get(&region.id) else {
                continue;
            };
            let mut style = RegionStyle {
                fill_opacity,
                ..RegionStyle::new(color_of(region).rgb)
            };
            style.is_hidden = open.hidden.contains(&region.id);
            style.is_solo = open.is_selected(&region.id);
            style.emphasis = if open.is_selected(&region.id) {
                Emphasis::Selected
            } else if state.was_hovered.as_deref() == Some(&region.id) {
                Emphasis::Hovered
            } else {
                Emphasis::None
            };
            // While its mask is painted the fill must not hide what is underneath.
            style.is_dimmed =
                state.shows_rebuilt && self.difference.as_ref().is_some_and(|(id, _)| *id == region.id);
            if live.as_deref() == Some(&region.id) {
                style.fill_opacity = fill_opacity.max(0.3);
            }
            let pixels = RegionPixels::Rle(&region.mask.rle);
            layers.push(RegionLayer {
                key: held.key,
                revision: held.revision,
                pixels,
                style,
            });
        }
        let found = session.found.as_ref();
        let found_masks = found.into_iter().flat_map(|found| found.masks.iter().enumerate());
        for (place, found_mask) in found_masks {
            if let Some(mask) = found_mask.mask.as_ref().filter(|_| !found_mask.is_accepted) {
                layers.push(RegionLayer {
                    key: FOUND_KEYS + place as u64,
                    revision: found.map_or(0, |found| found.revision),
                    pixels: RegionPixels::Mask(mask),
                    style: RegionStyle {
                        emphasis: Emphasis::Hovered,
                        ..RegionStyle::new(theme::PROPOSAL)
                    },
                });
            }
        }
        // Those of the chat light up while one reads it.
        let chat_masks = session.chat_masks().filter(|_| state.tab == Tab::Chat);
        for (chat_mask, drawn) in chat_masks {
            let is_hovered = state.was_hovered_mask == Some(chat_mask.key);
            layers.push(RegionLayer {
                key: CHAT_KEYS + chat_mask.key,
                revision: 0,
                pixels: RegionPixels::Rle(drawn),
                style: RegionStyle {
                    emphasis: if is_hovered {
                        Emphasis::Selected
                    } else {
                        Emphasis::Hovered
                    },
                    fill_opacity: fill_opacity.max(0.25),
                    ..RegionStyle::new(chat_mask.color.rgb)
                },
            });
        }
        self.renderer.set_regions(&layers);
        drop(layers);
        self.sync_preview(session, tools);
        self.sync_difference(session, state);
    }

    /// Notes which regions have other pixels than the renderer holds.
    fn compare(&mut self, open: &OpenDocument) {
        let live = open.live_mask().and_then(|(region, _)| region.map(str::to_owned));
        for region in &open.document().regions {
            match self.held.get_mut(&region.id) {
                Some(held) => {
                    if held.of != region.mask.rle || held.revision == u64::MAX {
                        held.of = region.mask.rle.clone();
                        if live.as_deref() != Some(&region.id) {
                            // A number that no stroke reaches, and another one each time.
                            self.next_key += 1;
                            held.revision = self.next_key << 32;
                        }
                    }
                }
                None => {
                    self.next_key += 1;
                    let held = Held {
                        key: self.next_key,
                        revision: self.next_key << 32,
                        of: region.mask.rle.clone(),
                    };
                    self.held.insert(region.id.clone(), held);
                }
            }
        }
        self.held.retain(|id, _| open.document().region(id).is_some());
    }

    fn sync_preview(&mut self, session: &mut Session, tools: &Toolbox) {
        let Some(open) = session.open() else { return };
        let size = open.size();
        if open.live_mask().is_some_and(|(region, _)| region.is_none()) {
            return;
        }
        let shapes = tools.preview().shapes;
        let pixels = shapes.iter().find_map(|shape| match shape {
            PreviewShape::Pixels {
                patch,
                combine,
                revision,
            } => Some((*patch, *combine, *revision)),
            _ => None,
        });
        let moved = shapes.iter().find_map(|shape| match shape {
            PreviewShape::MovedTarget { dx, dy } => Some((*dx, *dy)),
            _ => None,
        });
        let wanted = if let Some((_, combine, revision)) = pixels {
            ShownPreview::Pixels { revision, combine }
        } else if let Some((dx, dy)) = moved {
            ShownPreview::Moved { dx, dy }
        } else if let Some(proposal) = session
            .proposal
            .as_ref()
            .filter(|proposal| proposal.mask().is_some())
        {
            ShownPreview::Proposal {
                shown: self.shown,
                revision: proposal.revision,
            }
        } else {
            ShownPreview::Nothing
        };
        if wanted == self.preview {
            return;
        }
        let style = RegionStyle {
            fill_opacity: 0.45,
            ..RegionStyle::new(theme::PROPOSAL)
        };
        match &wanted {
            ShownPreview::Pixels { combine, .. } => {
                let style = if *combine == Combine::Subtract {
                    RegionStyle {
                        color: theme::ONLY_DRAWN,
                        ..style
                    }
                } else {
                    style
                };
                let mask = pixels.and_then(|(patch, ..)| patch.to_mask(size).ok());
                self.renderer
                    .set_preview(mask.as_ref().map(|mask| (RegionPixels::Mask(mask), style)));
            }
            ShownPreview::Moved { dx, dy } => {
                let target = session.open_mut().and_then(OpenDocument::active_mask);
                let mask = target.and_then(|target| moved_mask(&target, *dx, *dy, size));
                self.renderer
                    .set_preview(mask.as_ref().map(|mask| (RegionPixels::Mask(mask), style)));
            }
            ShownPreview::Proposal { .. } => {
                let mask = session.proposal.as_ref().and_then(|proposal| proposal.mask());
                self.renderer
                    .set_preview(mask.map(|mask| (RegionPixels::Mask(mask), style)));
            }
            ShownPreview::Nothing | ShownPreview::Stroke => self.renderer.set_preview(None),
        }
        self.preview = wanted;
    }

    fn sync_difference(&mut self, session: &Session, state: &UiState) {
        let wanted = session.open().filter(|_| state.shows_rebuilt).and_then(|open| {
            let region = open.active()?;
            let rebuilt = open
                .rebuilt
                .get(&region.id)
                .filter(|rebuilt| rebuilt.of == region.mask.rle)?;
            Some((region, rebuilt))
        });
        let key = wanted.map(|(region, rebuilt)| (region.id.clone(), rebuilt.mask.clone()));
        if key == self.difference {
            return;
        }
        let style = |color| RegionStyle {
            fill_opacity: 0.5,
            ..RegionStyle::new(color)
        };
        self.renderer
            .set_difference(wanted.map(|(region, rebuilt)| Difference {
                original: RegionPixels::Rle(&region.mask.rle),
                rebuilt: RegionPixels::Rle(&rebuilt.mask),
                only_original: style(theme::ONLY_DRAWN),
                only_rebuilt: style(theme::ONLY_REBUILT),
                both: style(theme::BOTH),
            }));
        self.difference = key;
    }
}

/// Whether a tool makes shapes, which can become regions of their own.
const fn makes_regions(kind: ToolKind) -> bool {
    !matches!(
        kind,
        ToolKind::Select | ToolKind::Vertices | ToolKind::Brush | ToolKind::Eraser
    )
}

/// What regions of a tool say they come from.
const fn source(kind: ToolKind) -> &'static str {
    match kind {
        ToolKind::Select => "select",
        ToolKind::Brush => "brush",
        ToolKind::Eraser => "eraser",
        ToolKind::Polygon | ToolKind::Vertices => "polygon",
        ToolKind::Lasso => "lasso",
        ToolKind::Rectangle => "rectangle",
        ToolKind::Ellipse => "ellipse",
        ToolKind::Wand => "wand",
        ToolKind::SmartSelect => "smart_select",
    }
}

fn moved_mask(mask: &Mask, dx: i32, dy: i32, size: ImageSize) -> Option<Mask> {
    Patch::around(mask)?
        .moved(i64::from(dx), i64::from(dy), size)?
        .to_mask(size)
        .ok()
}

const fn of_egui(modifiers: egui::Modifiers) -> Modifiers {
    Modifiers {
        shift: modifiers.shift,
        ctrl: modifiers.command,
        alt: modifiers.alt,
    }
}

/// The meaning of a key for tools.
pub(super) fn tool_key(key: egui::Key) -> Option<ToolKey> {
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
/// The name of the chat's mask with this key.
fn chat_mask_of(session: &Session, key: u64) -> Option<String> {
    let mut masks = session.chat_masks();
    masks
        .find(|(mask, _)| CHAT_KEYS + mask.key == key)
        .map(|(mask, _)| mask.name.clone())
}
