//! The bottom line: model, device, zoom, pixel, what runs, and whether everything is saved.

use eframe::egui::{self, Align, Color32, Layout, RichText, Ui};

use super::image_list::grouped;
use crate::app::state::Dialog;
use crate::app::{StudioApp, theme};
use crate::session::{EmbeddingState, ModelState, SaveState, Severity};

impl StudioApp {
    pub(in crate::app) fn status_bar_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        ui.horizontal_centered(|ui| {
            self.model_ui(ui);
            ui.separator();
            self.embedding_ui(ui);
            self.batch_ui(ui);
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                self.save_state_ui(ui);
                ui.separator();
                if let Some(view) = self.canvas.view() {
                    ui.label(format!("{:.0} %", 100.0 * view.scale()))
                        .on_hover_text(locale.text("screen pixels per image pixel"));
                }
                if let Some(open) = self.session.open() {
                    ui.separator();
                    ui.weak(format!("{} × {}", open.size().width, open.size().height));
                }
                if let Some((x, y, samples)) = &self.state.pixel {
                    let samples: String = samples.iter().map(|sample| sample_text(*sample)).collect();
                    ui.separator();
                    ui.label(RichText::new(format!("{x}, {y}  {samples}")).monospace().small());
                }
            });
        });
    }

    fn model_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let (text, tip, color) = match &self.session.model {
            ModelState::Loading => (
                locale.text("loading the model…").to_owned(),
                String::new(),
                ui.visuals().weak_text_color(),
            ),
            ModelState::Ready(info) => (
                format!("{} · {}", info.name, info.device),
                format!("{}\n{}\n{}", info.device_reason, info.location, info.fingerprint),
                ui.visuals().text_color(),
            ),
            ModelState::Failed(reason) => (
                locale.text("no model").to_owned(),
                reason.clone(),
                theme::severity_color(Severity::Error),
            ),
        };
        let button = ui.add(egui::Button::new(RichText::new(text).color(color)).frame(false));
        if button.on_hover_text(tip).clicked() {
            self.state.open_dialog(Dialog::Models);
        }
        if matches!(self.session.model, ModelState::Failed(_))
            && ui.small_button(locale.text("Try again")).clicked()
        {
            let choice = self.session.model_choice().clone();
            self.session.load_model(choice);
        }
    }

    fn embedding_ui(&self, ui: &mut Ui) {
        let locale = self.locale;
        if self.session.open().is_none() || self.session.model_info().is_none() {
            return;
        }
        match self.session.embedding {
            EmbeddingState::Queued => {
                ui.weak(locale.text("image waits"));
            }
            EmbeddingState::Running(since) => {
                ui.spinner();
                ui.label(locale.format(
                    "reading the image {seconds} s",
                    &[("seconds", &format!("{:.0}", since.elapsed().as_secs_f32()))],
                ));
            }
            EmbeddingState::Ready(ms) => {
                theme::dot(ui, theme::color(theme::BOTH), true);
                ui.label(locale.text("ready for clicks"))
                    .on_hover_text(locale.format(
                        "the network read the image in {ms} ms",
                        &[("ms", &format!("{ms:.0}"))],
                    ));
            }
            EmbeddingState::Failed => {
                ui.colored_label(
                    theme::severity_color(Severity::Error),
                    locale.text("the network cannot read this image"),
                );
            }
        }
    }

    fn batch_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let Some(title) = self.session.batch.title else {
            return;
        };
        ui.separator();
        ui.spinner();
        let (done, total) = self.session.batch.progress;
        let title = match title {
            "Exporting" => locale.text("Exporting"),
            "Importing" => locale.text("Importing"),
            "Checking" => locale.text("Checking"),
            "Counting proposals" => locale.text("Counting proposals"),
            _ => locale.text("Making words"),
        };
        match total.filter(|total| *total > 0) {
            Some(total) => {
                let text = format!("{title} {} / {}", grouped(done as usize), grouped(total as usize));
                ui.add(
                    egui::ProgressBar::new(done as f32 / total as f32)
                        .desired_width(180.0)
                        .text(text),
                );
            }
            None => {
                ui.label(format!("{title} {}", grouped(done as usize)));
            }
        }
        if self.session.batch.makes_words {
            let is_paused = self.session.batch.is_paused;
            let text = if is_paused {
                locale.text("Go on")
            } else {
                locale.text("Pause")
            };
            if ui.small_button(text).clicked() {
                self.session.pause_batch(!is_paused);
            }
        }
        if ui.small_button(locale.text("Stop")).clicked() {
            self.session.cancel_batch();
        }
    }

    fn save_state_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let Some(open) = self.session.open() else { return };
        match open.save_state().clone() {
            SaveState::Saved => {
                ui.label(RichText::new(locale.text("saved")).color(theme::color(theme::BOTH)));
            }
            SaveState::Unsaved | SaveState::Saving => {
                ui.label(RichText::new(locale.text("saving…")).color(Color32::from_rgb(0xe6, 0x9f, 0x00)));
            }
            SaveState::Failed(reason) => {
                let text = RichText::new(locale.text("NOT SAVED"))
                    .strong()
                    .color(theme::severity_color(Severity::Error));
                if ui
                    .button(text)
                    .on_hover_text(format!("{reason}\n{}", locale.text("click to try again")))
                    .clicked()
                {
                    self.session.save();
                }
            }
            SaveState::ReadOnly(reason) => {
                let text = RichText::new(locale.text("read only"))
                    .strong()
                    .color(theme::severity_color(Severity::Error));
                ui.label(text).on_hover_text(reason);
            }
        }
    }
}

/// A sample of the pixel under the pointer; whole numbers take the same room while they have three digits.
fn sample_text(sample: f64) -> String {
    if sample.fract() == 0.0 {
        format!(" {sample:3}")
    } else {
        format!(" {sample:.4}")
    }
}
