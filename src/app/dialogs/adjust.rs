//! Brightness, contrast and channels of the picture; the data stays as it is.

use eframe::egui::{self, Align2, Area, Frame, Grid, Id, Rect, Slider, vec2};

use crate::app::StudioApp;
use crate::app::render::{Channel, Tone};

impl StudioApp {
    pub(in crate::app) fn adjust_ui(&mut self, ctx: &egui::Context, canvas: Rect) {
        let locale = self.locale;
        let tone = &mut self.state.tone;
        let mut is_closed = false;
        Area::new(Id::unique("adjust"))
            .fixed_pos(canvas.right_top() + vec2(-12.0, 12.0))
            .pivot(Align2::RIGHT_TOP)
            .show(ctx, |ui| {
                Frame::popup(ui.style()).show(ui, |ui| {
                    Grid::new("tone")
                        .num_columns(2)
                        .spacing([10.0, 4.0])
                        .show(ui, |ui| {
                            let mut slider =
                                |name: &'static str,
                                 value: &mut f32,
                                 range: std::ops::RangeInclusive<f32>| {
                                    let label = ui.label(name);
                                    ui.add(Slider::new(value, range)).labelled_by(label.id);
                                    ui.end_row();
                                };
                            slider(locale.text("Brightness"), &mut tone.brightness, -1.0..=1.0);
                            slider(locale.text("Contrast"), &mut tone.contrast, 0.1..=5.0);
                            slider(locale.text("Gamma"), &mut tone.gamma, 0.2..=5.0);
                            slider(locale.text("Black"), &mut tone.window[0], 0.0..=1.0);
                            slider(locale.text("White"), &mut tone.window[1], 0.0..=1.0);
                        });
                    ui.horizontal(|ui| {
                        for (channel, name) in [
                            (Channel::All, "RGB"),
                            (Channel::Red, "R"),
                            (Channel::Green, "G"),
                            (Channel::Blue, "B"),
                            (Channel::Luma, "Y"),
                        ] {
                            ui.selectable_value(&mut tone.channel, channel, name);
                        }
                        ui.checkbox(&mut tone.is_inverted, locale.text("invert"));
                    });
                    ui.horizontal(|ui| {
                        if ui.button(locale.text("As it is")).clicked() {
                            *tone = Tone::default();
                        }
                        is_closed = ui.button(locale.text("Close")).clicked();
                    });
                });
            });
        if is_closed {
            self.state.adjusts = false;
        }
    }
}
