//! What the values of captions and turns become: every mention replaced by words, as a model is trained on.

use eframe::egui::{RichText, ScrollArea, Ui};

use super::title_ui;
use crate::app::StudioApp;

impl StudioApp {
    pub(super) fn preview_ui(&self, ui: &mut Ui) -> bool {
        let locale = self.locale;
        ui.set_width(680.0);
        let is_closed = title_ui(
            ui,
            locale.text("Training records of this image"),
            locale.text("Close"),
        );
        match self.session.training_preview() {
            Ok(records) if records.is_empty() => {
                ui.weak(locale.text(
                    "Nothing to train on yet: write a caption or a conversation, and wait for the words.",
                ));
            }
            Ok(records) => {
                ScrollArea::both()
                    .max_height(520.0)
                    .auto_shrink([false, true])
                    .show(ui, |ui| {
                        for record in records {
                            ui.label(RichText::new(record).monospace().small());
                            ui.separator();
                        }
                    });
            }
            Err(reason) => {
                ui.label(reason);
            }
        }
        is_closed
    }
}
