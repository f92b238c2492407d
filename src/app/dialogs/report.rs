//! The report of the folder: figures, and what was found, with jumps to the regions.

use eframe::egui::{Grid, RichText, ScrollArea, Ui};

use super::title_ui;
use crate::app::panels::image_list::grouped;
use crate::app::{StudioApp, theme};
use crate::audit::check::{self, Subject};
use crate::session::Severity;

impl StudioApp {
    pub(super) fn report_ui(&mut self, ui: &mut Ui) -> bool {
        let locale = self.locale;
        ui.set_width(760.0);
        let mut is_closed = title_ui(ui, locale.text("Report on the folder"), locale.text("Close"));
        let Some(report) = &self.session.batch.report else {
            ui.horizontal(|ui| {
                ui.spinner();
                let (done, total) = self.session.batch.progress;
                let total = total.map_or_else(|| "…".to_owned(), |total| grouped(total as usize));
                ui.label(format!("{} / {total}", grouped(done as usize)));
            });
            return is_closed;
        };
        let stats = &report.stats;
        ui.horizontal_wrapped(|ui| {
            for (name, count) in [
                (locale.text("regions"), stats.regions()),
                (locale.text("captions"), stats.captions()),
                (locale.text("conversations"), stats.conversations()),
                (locale.text("findings"), report.count as u64),
            ] {
                ui.label(RichText::new(grouped(count as usize)).size(22.0).strong());
                ui.weak(name);
                ui.add_space(14.0);
            }
        });
        ui.separator();
        let mut jump = None;
        ScrollArea::vertical()
            .max_height(460.0)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                if report.findings.is_empty() {
                    ui.label(locale.text("Nothing to complain about."));
                }
                Grid::new("findings")
                    .num_columns(3)
                    .striped(true)
                    .spacing([12.0, 3.0])
                    .show(ui, |ui| {
                        for finding in report.findings.iter().take(1000) {
                            let color = match finding.severity() {
                                check::Severity::Error => theme::severity_color(Severity::Error),
                                check::Severity::Warning => theme::severity_color(Severity::Warning),
                                _ => theme::severity_color(Severity::Info),
                            };
                            ui.label(RichText::new(finding.code.as_str()).small().color(color));
                            let (subject, region) = match &finding.subject {
                                Subject::Image => (finding.image.clone(), None),
                                Subject::Region(id) => (format!("{}  {id}", finding.image), Some(id.clone())),
                                Subject::Conversation(id) => (format!("{}  {id}", finding.image), None),
                            };
                            if ui.link(RichText::new(subject).small()).clicked() {
                                jump = Some((report.folder.join(&finding.image), region));
                            }
                            ui.label(RichText::new(&finding.message).small());
                            ui.end_row();
                        }
                    });
            });
        ui.horizontal(|ui| {
            if ui.button(locale.text("Again")).clicked() {
                self.session.batch.report = None;
                self.session.start_report();
            }
        });
        if let Some((path, region)) = jump {
            self.state.select_after = region.map(|region| (path.clone(), region));
            self.session.open_image(&path);
            is_closed = true;
        }
        is_closed
    }
}
