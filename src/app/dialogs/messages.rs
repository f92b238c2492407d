//! Everything that was reported, the latest first.

use eframe::egui::{RichText, ScrollArea, Ui};

use super::title_ui;
use crate::app::{StudioApp, theme};

impl StudioApp {
    pub(super) fn messages_ui(&self, ui: &mut Ui) -> bool {
        let locale = self.locale;
        ui.set_width(640.0);
        let is_closed = title_ui(ui, locale.text("Messages"), locale.text("Close"));
        ScrollArea::vertical()
            .max_height(480.0)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                if self.session.notices.all().is_empty() {
                    ui.weak(locale.text("nothing was reported"));
                }
                for notice in self.session.notices.all().iter().rev() {
                    ui.label(RichText::new(&notice.text).color(theme::severity_color(notice.severity)));
                    for line in &notice.details {
                        ui.label(RichText::new(line).monospace().small());
                    }
                    ui.separator();
                }
            });
        is_closed
    }
}
