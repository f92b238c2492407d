//! The canvas: the image with its regions, where the pointer works.
//!
//! [`Scene`] keeps the renderer in step with the document; events of the window become events of the tools in
//! `pointer`, and `answer` does what the tools answer.

mod answer;
mod overlay;
mod pointer;
mod scene;

use std::collections::HashMap;
use std::path::PathBuf;

use eframe::egui::{self, PointerButton as EguiButton, Pos2, Rect, Sense, Ui};

pub(super) use self::pointer::tool_key;
use self::scene::Scene;
use super::render::ViewTransform;
use super::state::{self, UiState};
use crate::session::Session;
use crate::settings::Settings;
use crate::tools::{ToolKind, Toolbox};

/// What the canvas works with, lent by the window.
pub(super) struct Hands<'a> {
    pub(super) session: &'a mut Session,
    pub(super) tools: &'a mut Toolbox,
    pub(super) state: &'a mut UiState,
    pub(super) settings: &'a Settings,
}

/// The canvas and what it remembers between frames.
#[derive(Debug)]
pub(super) struct Canvas {
    scene: Scene,
    view: Option<ViewTransform>,
    /// The button that was pressed on the canvas, and whether it pans.
    captured: Option<(EguiButton, bool)>,
    last_press: Option<(f64, Pos2)>,
    was_inside: bool,
    /// How hard a pen presses, from 0 to 1; 1 for other pointers.
    pressure: f32,
    /// Where images were left.
    views: HashMap<PathBuf, ([f64; 2], f64)>,
}

impl Default for Canvas {
    fn default() -> Self {
        Self {
            scene: Scene::default(),
            view: None,
            captured: None,
            last_press: None,
            was_inside: false,
            pressure: 1.0,
            views: HashMap::new(),
        }
    }
}

impl Canvas {
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
    pub(super) fn ui(&mut self, ui: &mut Ui, hands: &mut Hands<'_>) {
        self.pan(ui.ctx());
        let rect = ui.available_rect_before_wrap();
        let response = ui.allocate_rect(rect, Sense::click_and_drag());
        let name = hands
            .session
            .open()
            .map_or_else(String::new, |open| open.document().image.file_name.clone());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, format!("Canvas {name}")));
        self.take_image(hands.session, rect, ui.ctx().pixels_per_point());
        if hands.session.open().is_none() {
            return;
        }
        self.take_events(ui, &response, hands);
        self.scene
            .sync(hands.session, &hands.tools.preview(), hands.state, hands.settings);
        let (Some(view), Some(open)) = (&self.view, hands.session.open()) else {
            return;
        };
        let is_solo = open.is_solo() && !open.selected().is_empty();
        let display = state::display(hands.state, hands.settings, is_solo);
        let painter = ui.painter_at(rect);
        self.scene.paint(&painter, view, &display);
        overlay::draw(&painter, view, &hands.tools.preview(), hands.state);
    }

    /// Takes over another image, and the size of the window.
    fn take_image(&mut self, session: &Session, viewport: Rect, pixels_per_point: f32) {
        let Some(open) = session.open() else {
            self.view = None;
            return;
        };
        let is_other = self.scene.set_image(session.shown, open);
        let view = match &mut self.view {
            Some(view) if !is_other => view,
            view => {
                self.captured = None;
                let view = view.insert(ViewTransform::fitted(open.size(), viewport, pixels_per_point));
                if let Some((center, scale)) = self.views.get(&open.path) {
                    view.restore(*center, *scale);
                }
                view
            }
        };
        view.set_viewport(viewport, pixels_per_point);
        if view.is_fitted() {
            self.views.remove(&open.path);
        } else {
            self.views
                .insert(open.path.clone(), (view.center(), view.scale()));
        }
    }
}

/// Whether a tool makes shapes, which can become regions of their own.
const fn makes_regions(kind: ToolKind) -> bool {
    !matches!(
        kind,
        ToolKind::Select | ToolKind::Vertices | ToolKind::Brush | ToolKind::Eraser
    )
}
