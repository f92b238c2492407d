//! Forms to export to and to import from.

use std::path::{Path, PathBuf};

use eframe::egui::{Button, RichText, ScrollArea, TextEdit, Ui};

use super::title_ui;
use crate::app::StudioApp;
use crate::app::state::{Dialog, PathWish};
use crate::interchange::Format;
use crate::worker::batch::Exchange;

impl StudioApp {
    /// Opens the dialog with a folder beside that of the images.
    pub(in crate::app) fn open_export(&mut self) {
        let Some(list) = &self.session.list else { return };
        let to = Exchange::all()
            .first()
            .copied()
            .unwrap_or(Exchange::Program(Format::Coco));
        let folder = free_folder(&list.folder).display().to_string();
        self.state.open_dialog(Dialog::Export {
            to,
            copies_images: false,
            folder,
        });
    }

    pub(super) fn export_ui(
        &mut self,
        ui: &mut Ui,
        to: &mut Exchange,
        copies_images: &mut bool,
        folder: &mut String,
    ) -> bool {
        let locale = self.locale;
        ui.set_width(560.0);
        let is_closed = title_ui(ui, locale.text("Export"), locale.text("Close"));
        choice_ui(ui, to);
        ui.checkbox(copies_images, locale.text("copy the images too"));
        self.path_ui(
            ui,
            locale.text("Into this new or empty folder:"),
            folder,
            &[(locale.text("Choose…"), PathWish::ExportFolder)],
        );
        ui.weak(locale.text("What was written is read again, and what did not come back is reported."));
        let button = Button::new(RichText::new(locale.text("Export")).strong());
        let is_ready = !folder.trim().is_empty();
        let is_confirmed = ui.add_enabled(is_ready, button).clicked();
        if is_confirmed {
            self.session
                .start_export(*to, PathBuf::from(folder.trim()), *copies_images);
        }
        is_closed || is_confirmed
    }

    pub(super) fn import_ui(&mut self, ui: &mut Ui, from: &mut Exchange, path: &mut String) -> bool {
        let locale = self.locale;
        ui.set_width(560.0);
        let is_closed = title_ui(ui, locale.text("Import"), locale.text("Close"));
        choice_ui(ui, from);
        self.path_ui(
            ui,
            locale.text("From this file or folder:"),
            path,
            &[
                (locale.text("Choose a file…"), PathWish::ImportFile),
                (locale.text("Choose a folder…"), PathWish::ImportFolder),
            ],
        );
        ui.weak(locale.text("What is annotated stays; what is there already is not added again."));
        let button = Button::new(RichText::new(locale.text("Import")).strong());
        let is_ready = !path.trim().is_empty();
        let is_confirmed = ui.add_enabled(is_ready, button).clicked();
        if is_confirmed {
            self.session.start_import(*from, PathBuf::from(path.trim()));
        }
        is_closed || is_confirmed
    }

    /// A path that can be typed, and dialogs of the system to choose it with.
    fn path_ui(&mut self, ui: &mut Ui, name: &str, path: &mut String, wishes: &[(&str, PathWish)]) {
        let label = ui.label(name);
        ui.horizontal(|ui| {
            for (text, wish) in wishes {
                if ui.button(*text).clicked() {
                    let ctx = ui.ctx().clone();
                    self.ask_path(&ctx, *wish);
                }
            }
            ui.add(TextEdit::singleline(path).desired_width(f32::INFINITY))
                .labelled_by(label.id);
        });
    }
}

fn choice_ui(ui: &mut Ui, choice: &mut Exchange) {
    ScrollArea::vertical()
        .max_height(320.0)
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

/// A folder beside `images` that is not there yet.
fn free_folder(images: &Path) -> PathBuf {
    let name = images.file_name().unwrap_or_default().to_string_lossy();
    let name = if name.is_empty() { "images".into() } else { name };
    let parent = images.parent().unwrap_or(images);
    let numbered = (2..1000).map(|number| parent.join(format!("{name}-export-{number}")));
    std::iter::once(parent.join(format!("{name}-export")))
        .chain(numbered)
        .find(|folder| !folder.exists())
        .unwrap_or_else(|| parent.join(format!("{name}-export")))
}
