//! Dialogs over the window; Escape closes each of them.

mod about;
mod adjust;
mod exchange;
mod found_words;
mod key_sheet;
mod label;
mod language_model;
mod messages;
mod models;
mod palette;
mod preview;
mod proposal_statistics;
mod propose;
mod reject;
mod report;

use eframe::egui::{self, Id, Modal, Ui};

use super::StudioApp;
use super::state::Dialog;

impl StudioApp {
    /// Draws the dialog that is open.
    pub(super) fn dialog_ui(&mut self, ctx: &egui::Context) {
        let Some(mut dialog) = self.state.dialog.take() else {
            return;
        };
        let is_new = std::mem::take(&mut self.state.is_dialog_new);
        let response = Modal::new(Id::unique("dialog")).show(ctx, |ui| match &mut dialog {
            Dialog::Palette { typed, chosen } => self.palette_ui(ui, typed, chosen, is_new),
            Dialog::KeySheet { typed, listening } => self.key_sheet_ui(ui, typed, listening),
            Dialog::Label { typed } => self.label_ui(ui, typed, is_new),
            Dialog::Reject { typed } => self.reject_ui(ui, typed, is_new),
            Dialog::Models => self.models_ui(ui),
            Dialog::Export {
                to,
                copies_images,
                folder,
            } => self.export_ui(ui, to, copies_images, folder),
            Dialog::Import { from, path } => self.import_ui(ui, from, path),
            Dialog::LanguageModel { form } => self.language_model_ui(ui, form, is_new),
            Dialog::Propose { task, typed } => self.propose_ui(ui, *task, typed, is_new),
            Dialog::ProposalStatistics { by } => self.proposal_statistics_ui(ui, by),
            Dialog::Report => self.report_ui(ui),
            Dialog::Messages => self.messages_ui(ui),
            Dialog::About => self.about_ui(ui),
            Dialog::Preview(shown) => self.preview_ui(ui, shown),
        });
        let is_closed = response.inner || response.should_close();
        // A command of the dialog may have opened another one.
        if !is_closed && self.state.dialog.is_none() {
            self.state.dialog = Some(dialog);
        }
    }
}

/// The title of a dialog and its close button; whether it was closed.
fn title_ui(ui: &mut Ui, title: &str, close: &str) -> bool {
    let mut is_closed = false;
    ui.horizontal(|ui| {
        ui.heading(title);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let button = ui.button("×");
            button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, close));
            is_closed = button.on_hover_text(close).clicked();
        });
    });
    ui.separator();
    is_closed
}
