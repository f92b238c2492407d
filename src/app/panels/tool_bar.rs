//! The tools at the left of the canvas, and the options of the one in use above it.

use eframe::egui::{self, Slider, Ui};

use super::tool_icon;
use crate::app::{StudioApp, keys};
use crate::command::Command;
use crate::tools::{BrushSize, BrushTip, Combine, Reach, ToolKind};

/// The tools with their commands, in the order of the bar.
pub(in crate::app) const TOOLS: [(ToolKind, Command); 10] = [
    (ToolKind::Select, Command::ToolSelect),
    (ToolKind::SmartSelect, Command::ToolSmart),
    (ToolKind::Brush, Command::ToolBrush),
    (ToolKind::Eraser, Command::ToolEraser),
    (ToolKind::Polygon, Command::ToolPolygon),
    (ToolKind::Vertices, Command::ToolVertices),
    (ToolKind::Lasso, Command::ToolLasso),
    (ToolKind::Rectangle, Command::ToolRectangle),
    (ToolKind::Ellipse, Command::ToolEllipse),
    (ToolKind::Wand, Command::ToolWand),
];

/// How shapes join a region, with their commands.
pub(in crate::app) const COMBINES: [(Combine, Command); 4] = [
    (Combine::Replace, Command::CombineNew),
    (Combine::Add, Command::CombineAdd),
    (Combine::Subtract, Command::CombineSubtract),
    (Combine::Intersect, Command::CombineIntersect),
];

impl StudioApp {
    pub(in crate::app) fn tool_bar_ui(&mut self, ui: &mut Ui) {
        ui.add_space(4.0);
        ui.vertical_centered(|ui| {
            ui.spacing_mut().item_spacing.y = 3.0;
            for (kind, command) in TOOLS {
                let is_on = self.tools.active() == kind;
                let response = tool_icon::icon_button(
                    ui,
                    self.locale.text(command.text()),
                    is_on,
                    |painter, rect, color| {
                        tool_icon::tool(painter, rect, color, kind);
                    },
                );
                if self.with_tip(response, command).clicked() {
                    self.queue.push(command);
                }
            }
            ui.separator();
            for (combine, command) in COMBINES {
                let is_on = self.state.combine == combine;
                let response = tool_icon::icon_button(
                    ui,
                    self.locale.text(command.text()),
                    is_on,
                    |painter, rect, color| {
                        tool_icon::combine(painter, rect, color, combine);
                    },
                );
                if self.with_tip(response, command).clicked() {
                    self.queue.push(command);
                }
            }
        });
    }

    /// What a command does and its key, on hover.
    pub(in crate::app) fn with_tip(&self, response: egui::Response, command: Command) -> egui::Response {
        let key = keys::shown_key(&self.settings, command);
        response.on_hover_ui(|ui| {
            ui.horizontal(|ui| {
                ui.strong(self.locale.text(command.text()));
                ui.weak(key);
            });
            ui.label(self.locale.text(command.tip()));
        })
    }

    /// What can be set of the tool in use.
    pub(in crate::app) fn tool_options_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        ui.horizontal(|ui| {
            let active = TOOLS.iter().find(|(kind, _)| *kind == self.tools.active());
            if let Some((_, command)) = active {
                ui.strong(locale.text(command.text()));
                ui.separator();
            }
            match self.tools.active() {
                ToolKind::Brush | ToolKind::Eraser => {
                    let is_brush = self.tools.active() == ToolKind::Brush;
                    let brush = if is_brush { &mut self.tools.brush } else { &mut self.tools.eraser };
                    let mut diameter = brush.size.diameter_px();
                    let label = ui.label(locale.text("Size"));
                    let slider = Slider::new(&mut diameter, 1..=1024).logarithmic(true).suffix(" px");
                    if ui.add(slider).labelled_by(label.id).changed() {
                        brush.size = BrushSize::from_diameter_px(diameter as f32);
                    }
                    ui.selectable_value(&mut brush.tip, BrushTip::Round, locale.text("Round"));
                    ui.selectable_value(&mut brush.tip, BrushTip::Square, locale.text("Square"));
                    ui.weak(locale.text("[ and ] or Ctrl+wheel: size · right button: the opposite · Shift+click: straight line"));
                }
                ToolKind::Wand => {
                    let wand = &mut self.tools.wand;
                    let label = ui.label(locale.text("Tolerance"));
                    ui.add(Slider::new(&mut wand.tolerance, 0..=255)).labelled_by(label.id);
                    ui.selectable_value(&mut wand.reach, Reach::Contiguous, locale.text("Connected"));
                    ui.selectable_value(&mut wand.reach, Reach::Everywhere, locale.text("Everywhere"));
                    ui.weak(locale.text("press and drag to widen"));
                }
                ToolKind::SmartSelect => self.smart_options_ui(ui),
                ToolKind::Polygon => {
                    ui.weak(locale.text("click corners · Enter closes · Backspace takes the last back · Esc gives up"));
                }
                ToolKind::Vertices => {
                    ui.weak(locale.text("drag a corner · click an edge for a new one · Alt+click removes"));
                }
                ToolKind::Select => {
                    ui.weak(locale.text("click selects · Shift adds · drag moves · arrow keys nudge"));
                }
                ToolKind::Lasso => {
                    ui.weak(locale.text("drag around what is meant · right button takes away"));
                }
                ToolKind::Rectangle | ToolKind::Ellipse => {
                    ui.weak(locale.text("drag · Shift: equal sides · Alt: from the centre · right button takes away"));
                }
            }
        });
    }

    fn smart_options_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        match &self.session.proposal {
            None => {
                ui.weak(
                    locale
                        .text("click on the object · right-click on what is not part of it · or drag a box"),
                );
            }
            Some(proposal) => {
                let is_waiting = proposal.is_waiting();
                let choices = proposal.masks.len();
                let iou = proposal.masks.get(proposal.choice).map(|mask| mask.predicted_iou);
                let number = proposal.choice + 1;
                if is_waiting {
                    ui.spinner();
                }
                if let Some(iou) = iou {
                    ui.label(locale.format(
                        "the network is {percent} % sure",
                        &[("percent", &format!("{:.0}", 100.0 * iou.clamp(0.0, 1.0)))],
                    ));
                }
                if choices > 1 {
                    let text = locale.format(
                        "another meaning ({number} of {choices})",
                        &[("number", &number), ("choices", &choices)],
                    );
                    if ui.button(text).clicked() {
                        self.session.next_choice();
                    }
                }
                if ui.button(locale.text("Accept (Enter)")).clicked() {
                    self.accept_proposal();
                }
                ui.weak(locale.text("Backspace takes the last click back · Esc gives up"));
            }
        }
    }
}
