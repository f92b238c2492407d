//! Which model is in use, where it runs, and how to choose another.

use eframe::egui::{Grid, RichText, Ui};

use super::title_ui;
use crate::app::state::PathWish;
use crate::app::{StudioApp, theme};
use crate::session::{ModelState, Severity};

impl StudioApp {
    pub(super) fn models_ui(&mut self, ui: &mut Ui) -> bool {
        let locale = self.locale;
        ui.set_width(560.0);
        let is_closed = title_ui(ui, locale.text("Model"), locale.text("Close"));
        match &self.session.model {
            ModelState::Loading => {
                ui.horizontal(|ui| {
                    ui.spinner();
                    ui.label(locale.text("loading the model…"));
                });
            }
            ModelState::Failed(reason) => {
                ui.colored_label(theme::severity_color(Severity::Error), reason);
            }
            ModelState::Ready(info) => {
                Grid::new("model")
                    .num_columns(2)
                    .spacing([16.0, 4.0])
                    .show(ui, |ui| {
                        let words = format!(
                            "{} × {}",
                            info.format.codebook_size(),
                            info.format.codebook_depth()
                        );
                        let rows = [
                            (locale.text("Name"), info.name.clone()),
                            (locale.text("Words"), words),
                            (locale.text("Input"), format!("{0} × {0} px", info.input_px)),
                            (
                                locale.text("Runs on"),
                                format!("{} ({})", info.device, info.device_reason),
                            ),
                            (locale.text("From"), info.location.clone()),
                            (
                                locale.text("Fingerprint"),
                                info.fingerprint.chars().take(16).collect(),
                            ),
                        ];
                        for (name, value) in rows {
                            ui.weak(name);
                            ui.label(value);
                            ui.end_row();
                        }
                    });
            }
        }
        ui.add_space(8.0);
        ui.label(
            locale.text("Words belong to the model that made them: another model reads them as other masks."),
        );
        ui.add_space(8.0);
        ui.horizontal(|ui| {
            if ui.button(locale.text("Built-in model")).clicked() {
                self.choose_model(None);
            }
            let ctx = ui.ctx().clone();
            if ui.button(locale.text("Model folder…")).clicked() {
                self.ask_path(&ctx, PathWish::ModelFolder);
            }
            if ui.button(locale.text("Weights file…")).clicked() {
                self.ask_path(&ctx, PathWish::ModelFile);
            }
            if ui.button(locale.text("Try again")).clicked() {
                let choice = self.session.model_choice().clone();
                self.session.load_model(choice);
            }
        });
        ui.horizontal(|ui| {
            ui.label(locale.text("Device"));
            let mut device = self.settings.device.clone();
            for choice in ["auto", "cpu", "cuda", "metal"] {
                ui.selectable_value(&mut device, choice.to_owned(), choice);
            }
            if device != self.settings.device {
                self.settings.device = device;
                let path = self.settings.model.clone();
                self.choose_model(path);
            }
        });
        ui.label(
            RichText::new(
                locale.text("The published weights are read as they are: a folder or a .pth file."),
            )
            .small()
            .weak(),
        );
        is_closed
    }
}
