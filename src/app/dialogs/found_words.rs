//! The masks of a text that was pasted: each can become a region.

use eframe::egui::{self, Align2, Area, Frame, Id, Rect, RichText, ScrollArea, vec2};

use crate::app::{StudioApp, theme};
use crate::session::Severity;

impl StudioApp {
    pub(in crate::app) fn found_words_ui(&mut self, ctx: &egui::Context, canvas: Rect) {
        let locale = self.locale;
        let mut accepted = Vec::new();
        let mut is_closed = false;
        if let Some(found) = &self.session.found {
            Area::new(Id::unique("found"))
                .fixed_pos(canvas.left_top() + vec2(12.0, 12.0))
                .pivot(Align2::LEFT_TOP)
                .show(ctx, |ui| {
                    Frame::popup(ui.style()).show(ui, |ui| {
                        ui.set_max_width(400.0);
                        ui.strong(
                            locale.format("{count} masks in the text", &[("count", &found.masks.len())]),
                        );
                        ScrollArea::vertical().max_height(260.0).show(ui, |ui| {
                            for (place, mask) in found.masks.iter().enumerate() {
                                ui.horizontal(|ui| {
                                    ui.label(RichText::new(&mask.words).monospace().small());
                                    if mask.is_accepted {
                                        ui.weak(locale.text("taken"));
                                    } else if mask.mask.is_none() {
                                        ui.spinner();
                                    } else if ui.small_button(locale.text("Take as a region")).clicked() {
                                        accepted.push(place);
                                    }
                                });
                                for repair in &mask.repairs {
                                    ui.label(
                                        RichText::new(locale.format("mended: {what}", &[("what", repair)]))
                                            .small()
                                            .color(theme::severity_color(Severity::Warning)),
                                    );
                                }
                            }
                            for refused in &found.refused {
                                ui.label(
                                    RichText::new(locale.format("left out: {what}", &[("what", refused)]))
                                        .small()
                                        .color(theme::severity_color(Severity::Error)),
                                );
                            }
                        });
                        ui.horizontal(|ui| {
                            if ui.button(locale.text("Take all")).clicked() {
                                accepted.extend(0..found.masks.len());
                            }
                            is_closed = ui.button(locale.text("Close")).clicked();
                        });
                    });
                });
        }
        for place in accepted {
            self.session.accept_found(place);
        }
        if is_closed {
            self.session.found = None;
        }
    }
}
