//! How far the work on the image is, its notes, and what can be taken back.

use eframe::egui::{RichText, TextEdit, Ui};

use super::image_list::status_text;
use crate::app::{StudioApp, theme};
use crate::command::Command;
use crate::dataset::{Edit, RegionChange, Status};

impl StudioApp {
    pub(in crate::app) fn review_tab_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let Some(open) = self.session.open() else {
            ui.weak(locale.text("no image is open"));
            return;
        };
        let document = open.document();
        let (current, notes) = (document.status, document.notes.clone());
        let (steps, bytes) = (open.history().len(), open.history().bytes());
        let (modified, revision) = (document.modified, document.revision);
        let region = open.active().map(|region| (region.id.clone(), region.status));
        self.proposals_ui(ui);
        ui.strong(locale.text("This image"));
        ui.horizontal_wrapped(|ui| {
            for status in Status::ALL {
                let text = RichText::new(status_text(*status, locale)).color(theme::status_color(*status));
                if ui.selectable_label(current == *status, text).clicked() {
                    self.session.set_status(*status);
                }
            }
        });
        ui.horizontal_wrapped(|ui| {
            for command in [
                Command::MarkDone,
                Command::Approve,
                Command::Reject,
                Command::NextToReview,
            ] {
                let button = ui.button(locale.text(command.text()));
                if self.with_tip(button, command).clicked() {
                    self.queue.push(command);
                }
            }
        });
        if let Some((id, status)) = region {
            ui.separator();
            ui.strong(locale.format("Region {id}", &[("id", &id)]));
            ui.horizontal_wrapped(|ui| {
                for choice in Status::ALL {
                    let text =
                        RichText::new(status_text(*choice, locale)).color(theme::status_color(*choice));
                    if ui.selectable_label(status == *choice, text).clicked() {
                        self.session.change_selected(|region| {
                            (region.status != *choice).then_some(RegionChange::Status(*choice))
                        });
                    }
                }
            });
        }
        ui.separator();
        ui.strong(locale.text("Notes"));
        let mut text = notes.clone();
        let field = ui.add(
            TextEdit::multiline(&mut text)
                .desired_rows(4)
                .desired_width(f32::INFINITY)
                .hint_text(locale.text("Remarks for whoever looks at this image next")),
        );
        field.widget_info(|| crate::app::accessible::text_field(&notes, &text, locale.text("Notes")));
        if field.changed() {
            self.session.apply(vec![Edit::Notes(text)]);
        }
        if field.lost_focus()
            && let Some(open) = self.session.open_mut()
        {
            open.end_typing();
        }
        ui.separator();
        ui.weak(locale.format(
            "steps that can be taken back: {steps} ({kb} kB)",
            &[("steps", &steps), ("kb", &(bytes / 1000))],
        ));
        if let Some(modified) = modified {
            ui.weak(locale.format(
                "revision {revision}, last changed {time}",
                &[("revision", &revision), ("time", &modified)],
            ));
        }
    }
}
