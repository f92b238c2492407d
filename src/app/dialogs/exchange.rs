//! Forms to export to and to import from.

use eframe::egui::{RichText, ScrollArea, Ui};

use super::title_ui;
use crate::app::StudioApp;
use crate::app::state::PathWish;
use crate::worker::batch::Exchange;

impl StudioApp {
    pub(super) fn export_ui(&mut self, ui: &mut Ui, to: &mut Exchange, copies_images: &mut bool) -> bool {
        let locale = self.locale;
        ui.set_width(520.0);
        let mut is_closed = title_ui(ui, locale.text("Export"), locale.text("Close"));
        choice_ui(ui, to);
        ui.checkbox(copies_images, locale.text("copy the images too"));
        ui.horizontal(|ui| {
            if ui
                .button(RichText::new(locale.text("Choose a folder and export…")).strong())
                .clicked()
            {
                let ctx = ui.ctx().clone();
                self.ask_path(
                    &ctx,
                    PathWish::ExportTo {
                        to: *to,
                        copies_images: *copies_images,
                    },
                );
                is_closed = true;
            }
        });
        ui.weak(locale.text("What was written is read again, and what did not come back is reported."));
        is_closed
    }

    pub(super) fn import_ui(&mut self, ui: &mut Ui, from: &mut Exchange) -> bool {
        let locale = self.locale;
        ui.set_width(520.0);
        let mut is_closed = title_ui(ui, locale.text("Import"), locale.text("Close"));
        choice_ui(ui, from);
        ui.horizontal(|ui| {
            let ctx = ui.ctx().clone();
            if ui.button(locale.text("From a file…")).clicked() {
                self.ask_path(&ctx, PathWish::ImportFile { from: *from });
                is_closed = true;
            }
            if ui.button(locale.text("From a folder…")).clicked() {
                self.ask_path(&ctx, PathWish::ImportFolder { from: *from });
                is_closed = true;
            }
        });
        ui.weak(locale.text("What is annotated stays; what is there already is not added again."));
        is_closed
    }
}

fn choice_ui(ui: &mut Ui, choice: &mut Exchange) {
    ScrollArea::vertical()
        .max_height(360.0)
        .auto_shrink([false, true])
        .show(ui, |ui| {
            for form in Exchange::all() {
                ui.horizontal(|ui| {
                    ui.radio_value(choice, form, RichText::new(form.name()).monospace());
                    ui.weak(form.description());
                });
            }
        });
}
