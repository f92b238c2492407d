//! Messages at the lower right: shown for a while, longer if something went wrong.

use std::time::{Duration, Instant};

use eframe::egui::{self, Align2, Area, Color32, Frame, Id, Order, RichText, Stroke, vec2};

use super::theme;
use crate::locale::Locale;
use crate::session::{Notices, Severity};

/// Most messages at once.
const SHOWN: usize = 4;

/// Which messages were closed by hand.
#[derive(Debug, Default)]
pub(super) struct Notifications {
    /// Messages from before are not shown any more.
    closed_at: Option<Instant>,
}

impl Notifications {
    /// Draws the messages that are still of interest.
    pub(super) fn ui(&mut self, ctx: &egui::Context, notices: &Notices, locale: Locale) {
        let now = Instant::now();
        let closed_at = self.closed_at;
        let is_shown = |notice: &crate::session::Notice| {
            now.duration_since(notice.at) < lifetime(notice.severity)
                && closed_at.is_none_or(|closed| notice.at > closed)
        };
        let shown: Vec<_> = notices
            .all()
            .iter()
            .filter(|notice| is_shown(notice))
            .rev()
            .take(SHOWN)
            .cloned()
            .collect();
        let Some(soonest) = shown
            .iter()
            .map(|notice| lifetime(notice.severity).saturating_sub(now.duration_since(notice.at)))
            .min()
        else {
            return;
        };
        ctx.request_repaint_after(soonest + Duration::from_millis(10));
        Area::new(Id::unique("notifications"))
            .order(Order::Foreground)
            .anchor(Align2::RIGHT_BOTTOM, vec2(-12.0, -38.0))
            .show(ctx, |ui| {
                ui.set_max_width(420.0);
                for notice in shown.iter().rev() {
                    let color = theme::severity_color(notice.severity);
                    Frame::popup(ui.style())
                        .stroke(Stroke::new(1.0, color))
                        .show(ui, |ui| {
                            ui.horizontal_top(|ui| {
                                let (mark, _) = ui.allocate_exact_size(vec2(4.0, 18.0), egui::Sense::hover());
                                ui.painter().rect_filled(mark, 2.0, color);
                                ui.vertical(|ui| {
                                    ui.set_width(330.0);
                                    ui.add(egui::Label::new(&notice.text).wrap());
                                    for line in notice.details.iter().take(4) {
                                        ui.label(RichText::new(line).small().weak());
                                    }
                                    if notice.details.len() > 4 {
                                        let more = notice.details.len() - 4;
                                        ui.label(
                                            RichText::new(locale.format(
                                                "and {more} more: Help, Messages",
                                                &[("more", &more)],
                                            ))
                                            .small()
                                            .weak(),
                                        );
                                    }
                                });
                                let close = ui.add(
                                    egui::Button::new(RichText::new("×").color(Color32::GRAY)).frame(false),
                                );
                                close.widget_info(|| {
                                    egui::WidgetInfo::labeled(
                                        egui::Role::Button,
                                        true,
                                        locale.text("Close the message"),
                                    )
                                });
                                if close.clicked() {
                                    self.closed_at = Some(now);
                                }
                            });
                        });
                }
            });
    }
}

const fn lifetime(severity: Severity) -> Duration {
    match severity {
        Severity::Info => Duration::from_secs(5),
        Severity::Warning => Duration::from_secs(12),
        Severity::Error => Duration::from_secs(30),
    }
}
