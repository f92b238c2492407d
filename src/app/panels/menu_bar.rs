//! The menus, made of the table of commands.

use eframe::egui::{self, Button, Ui};

use crate::app::{StudioApp, keys};
use crate::command::{Command, Group};

impl StudioApp {
    pub(in crate::app) fn menu_bar_ui(&mut self, ui: &mut Ui) {
        egui::MenuBar::new().ui(ui, |ui| {
            for group in Group::ALL {
                ui.menu_button(self.locale.text(group.title()), |ui| {
                    ui.set_min_width(230.0);
                    for command in Command::ALL
                        .iter()
                        .copied()
                        .filter(|command| command.group() == group)
                    {
                        self.command_button(ui, command);
                    }
                    if group == Group::File {
                        self.recent_ui(ui);
                    }
                });
            }
        });
    }

    /// A command with its key, as a line of a menu.
    fn command_button(&mut self, ui: &mut Ui, command: Command) {
        let button = Button::new(self.locale.text(command.text()))
            .shortcut_text(keys::shown_key(&self.settings, command));
        let button = button.selected(self.is_on(command) == Some(true));
        let response = ui
            .add_enabled(self.is_enabled(command), button)
            .on_hover_text(self.locale.text(command.tip()));
        if response.clicked() {
            self.queue.push(command);
            ui.close();
        }
    }

    fn recent_ui(&mut self, ui: &mut Ui) {
        ui.separator();
        let recent: Vec<_> = self
            .settings
            .recent
            .iter()
            .map(|view| view.folder.clone())
            .collect();
        ui.menu_button(self.locale.text("Recent folders"), |ui| {
            if recent.is_empty() {
                ui.weak(self.locale.text("none yet"));
            }
            for folder in recent {
                if ui.button(folder.display().to_string()).clicked() {
                    self.open_path(&folder);
                    ui.close();
                }
            }
        });
    }
}
