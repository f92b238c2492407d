//! How good proposals are: how many were accepted, and how far they were mended.

use eframe::egui::{Grid, RichText, ScrollArea, Ui};

use super::title_ui;
use crate::app::panels::chat_tab::task_name;
use crate::app::panels::image_list::grouped;
use crate::app::{StudioApp, theme};
use crate::language::proposals::outcome::{GroupBy, OutcomeFigures};
use crate::language::tasks::VisionTask;
use crate::session::Severity;

impl StudioApp {
    pub(super) fn proposal_statistics_ui(&mut self, ui: &mut Ui, by: &mut GroupBy) -> bool {
        let locale = self.locale;
        ui.set_width(760.0);
        let is_closed = title_ui(
            ui,
            locale.text("How good the proposals are"),
            locale.text("Close"),
        );
        let Some((table, unreadable)) = &self.session.batch.outcomes else {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label(locale.text("counting the proposals of the folder…"));
            });
            return is_closed;
        };
        let all = table.all();
        ui.horizontal_wrapped(|ui| {
            for (name, count) in [
                (locale.text("proposals"), all.total()),
                (locale.text("open"), all.open),
                (locale.text("accepted"), all.accepted),
                (locale.text("mended"), all.mended),
                (locale.text("rejected"), all.rejected),
            ] {
                ui.label(RichText::new(grouped(count as usize)).size(22.0).strong());
                ui.weak(name);
                ui.add_space(14.0);
            }
        });
        ui.separator();
        if all.total() == 0 {
            ui.label(locale.text("There are no proposals in this folder yet."));
        } else {
            ui.horizontal(|ui| {
                for (choice, name) in [
                    (GroupBy::Model, locale.text("By model")),
                    (GroupBy::Task, locale.text("By task")),
                    (GroupBy::Label, locale.text("By label")),
                ] {
                    ui.selectable_value(by, choice, name);
                }
            });
            let rows = table.by(*by);
            ScrollArea::vertical().max_height(420.0).show(ui, |ui| {
                Grid::new("outcomes")
                    .num_columns(8)
                    .striped(true)
                    .spacing([18.0, 5.0])
                    .show(ui, |ui| {
                        for (title, tip) in [
                            (locale.text("Name"), ""),
                            (locale.text("open"), locale.text("nobody decided yet")),
                            (locale.text("accepted"), locale.text("kept as they were")),
                            (locale.text("mended"), locale.text("kept with changes")),
                            (locale.text("rejected"), locale.text("thrown out")),
                            (
                                locale.text("accept rate"),
                                locale.text("accepted and mended, of all that were decided"),
                            ),
                            (
                                locale.text("mask IoU"),
                                locale.text(
                                    "mean overlap of the proposed mask with what it became; 1 means no edit",
                                ),
                            ),
                            (
                                locale.text("text change"),
                                locale.text("mean share of the text that was changed; 0 means no edit"),
                            ),
                        ] {
                            let label = ui.label(RichText::new(title).small().strong());
                            if !tip.is_empty() {
                                label.on_hover_text(tip);
                            }
                        }
                        ui.end_row();
                        for (name, figures) in rows {
                            let name = match (*by, name) {
                                (GroupBy::Task, name) => name
                                    .parse::<VisionTask>()
                                    .map_or(name, |task| task_name(task, locale)),
                                (GroupBy::Label, "") => locale.text("texts and regions without a label"),
                                (_, name) => name,
                            };
                            ui.label(name);
                            figures_ui(ui, &figures);
                            ui.end_row();
                        }
                    });
            });
        }
        if *unreadable > 0 {
            ui.colored_label(
                theme::severity_color(Severity::Warning),
                locale.format(
                    "{count} annotation files could not be read",
                    &[("count", unreadable)],
                ),
            );
        }
        ui.label(
            RichText::new(locale.text(
                "Counted from the annotation files, which keep what was proposed beside what it became.",
            ))
            .small()
            .weak(),
        );
        if ui.button(locale.text("Count again")).clicked() {
            self.session.start_outcomes();
        }
        is_closed
    }
}

fn figures_ui(ui: &mut Ui, figures: &OutcomeFigures) {
    let share =
        |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", 100.0 * share));
    let mean = |mean: Option<f64>| mean.map_or_else(|| "–".to_owned(), |mean| format!("{mean:.3}"));
    for text in [
        figures.open.to_string(),
        figures.accepted.to_string(),
        figures.mended.to_string(),
        figures.rejected.to_string(),
        share(figures.accept_rate()),
        mean(figures.mean_iou()),
        mean(figures.mean_text_distance()),
    ] {
        ui.monospace(format!("{text:>6}"));
    }
}
