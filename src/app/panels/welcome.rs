//! What the window shows before an image is open, and the hint of the first start.

use eframe::egui::{self, Align, Layout, RichText, Ui, vec2};

use crate::app::{StudioApp, keys, theme};
use crate::command::Command;

impl StudioApp {
    pub(in crate::app) fn welcome_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let height = ui.available_height();
        ui.add_space((height * 0.16).max(8.0));
        ui.vertical_centered(|ui| {
            ui.label(RichText::new("SAMTok Studio").size(30.0).strong());
            ui.label(locale.text("Mark regions, see each one as two words, and say what is there."));
            ui.add_space(18.0);
            if let Some(path) = self.session.opening() {
                ui.spinner();
                ui.weak(path.display().to_string());
                return;
            }
            if self
                .session
                .list
                .as_ref()
                .is_some_and(|list| list.state.indexing.is_none() && list.state.found == 0)
            {
                ui.label(locale.text("There are no images in this folder, or none that the search finds."));
                ui.add_space(12.0);
            }
            for command in [Command::OpenFolder, Command::OpenImage, Command::OpenSamples] {
                let button = egui::Button::new(RichText::new(locale.text(command.text())).size(16.0))
                    .shortcut_text(keys::shown_key(&self.settings, command))
                    .min_size(vec2(300.0, 36.0));
                let response = ui.add(button);
                if self.with_tip(response, command).clicked() {
                    self.queue.push(command);
                }
            }
            ui.add_space(8.0);
            ui.weak(locale.text("or drop images or a folder here"));
            let recent: Vec<_> = self
                .settings
                .recent
                .iter()
                .take(6)
                .map(|view| view.folder.clone())
                .collect();
            if !recent.is_empty() {
                ui.add_space(18.0);
                ui.strong(locale.text("Recent folders"));
                for folder in recent {
                    let name = folder
                        .file_name()
                        .unwrap_or(folder.as_os_str())
                        .to_string_lossy()
                        .into_owned();
                    if ui
                        .link(name)
                        .on_hover_text(folder.display().to_string())
                        .clicked()
                    {
                        self.open_path(&folder);
                    }
                }
            }
        });
    }

    /// The three steps of the first start, until they are closed.
    pub(in crate::app) fn hint_ui(&mut self, ui: &mut Ui, width: f32) {
        let locale = self.locale;
        let key = |command| keys::shown_key(&self.settings, command);
        let steps = [
            (key(Command::ToolSmart), locale.text("Mark: click on an object and press Enter. Or paint with the brush, or draw a polygon.")),
            (key(Command::ShowRebuilt), locale.text("Check: the words appear by themselves. This key shows the mask that they give back.")),
            (key(Command::AddCaption), locale.text("Say: write a caption, or ask and answer; @ mentions a region. Everything is saved at once.")),
        ];
        let mut is_closed = false;
        egui::Frame::group(ui.style())
            .fill(ui.visuals().window_fill)
            .show(ui, |ui| {
                ui.set_max_width(width.min(520.0));
                for (number, (key, text)) in steps.iter().enumerate() {
                    ui.horizontal(|ui| {
                        ui.label(
                            RichText::new(format!("{}", number + 1))
                                .strong()
                                .color(theme::ACCENT),
                        );
                        ui.label(
                            RichText::new(format!(" {key} "))
                                .monospace()
                                .background_color(ui.visuals().extreme_bg_color),
                        );
                        ui.add(egui::Label::new(*text).wrap());
                    });
                }
                ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                    is_closed = ui.button(locale.text("Understood")).clicked();
                });
            });
        if is_closed {
            self.settings.is_hint_seen = true;
            self.save_settings();
        }
    }
}
