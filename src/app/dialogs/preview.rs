//! The records that a model would be trained on, as an export writes them.

use eframe::egui::{ComboBox, RichText, ScrollArea, Ui};

use super::title_ui;
use crate::app::StudioApp;
use crate::app::state::ShownPreview;
use crate::interchange::training::Container;

impl StudioApp {
    pub(super) fn preview_ui(&self, ui: &mut Ui, shown: &mut ShownPreview) -> bool {
        let locale = self.locale;
        ui.set_width(720.0);
        let is_closed = title_ui(
            ui,
            locale.text("Training records of this image"),
            locale.text("Close"),
        );
        let label = ui.label(locale.text("as"));
        ComboBox::from_id_salt("container")
            .selected_text(shown.container.description())
            .show_ui(ui, |ui| {
                for container in Container::ALL {
                    ui.selectable_value(&mut shown.container, container, container.description());
                }
            })
            .response
            .labelled_by(label.id);
        let open = self.session.open();
        let of = open.map(|open| (self.session.shown, open.revision(), shown.container));
        if shown.of != of {
            shown.of = of;
            shown.made = self.session.training_preview(shown.container);
        }
        match &shown.made {
            Ok(made) => {
                if made.records.is_empty() {
                    ui.weak(locale.text(
                        "Nothing to train on yet: write a caption or a conversation, and wait for the words.",
                    ));
                }
                ScrollArea::both()
                    .max_height(520.0)
                    .auto_shrink([false, true])
                    .show(ui, |ui| {
                        for record in &made.records {
                            ui.label(RichText::new(record).monospace().small());
                            ui.separator();
                        }
                    });
                for (reason, count) in &made.left_out {
                    ui.weak(locale.format(
                        "left out, {count}: {reason}",
                        &[("count", count), ("reason", reason)],
                    ));
                }
            }
            Err(reason) => {
                ui.label(reason);
            }
        }
        is_closed
    }
}
