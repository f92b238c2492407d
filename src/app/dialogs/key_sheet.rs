//! All keys, to read and to change; a key that is taken says by what.

use eframe::egui::{self, Event, Grid, Key, RichText, ScrollArea, TextEdit, Ui};

use super::title_ui;
use crate::app::{StudioApp, keys, theme};
use crate::command::{Command, Group, KeyChord};
use crate::session::Severity;

impl StudioApp {
    pub(super) fn key_sheet_ui(
        &mut self,
        ui: &mut Ui,
        typed: &mut String,
        listening: &mut Option<Command>,
    ) -> bool {
        let locale = self.locale;
        ui.set_width(720.0);
        let is_closed = title_ui(ui, locale.text("Keys"), locale.text("Close"));
        if let Some(command) = *listening
            && let Some(pressed) = pressed_chord(ui)
        {
            *listening = None;
            if pressed.key != Key::Escape.name() {
                self.set_key(command, &pressed);
            }
        }
        ui.horizontal(|ui| {
            let before = typed.clone();
            let field = ui.add(
                TextEdit::singleline(typed)
                    .hint_text(locale.text("Search"))
                    .desired_width(240.0),
            );
            field.widget_info(|| {
                crate::app::accessible::text_field(&before, typed.as_str(), locale.text("Search keys"))
            });
            ui.weak(locale.text("Click a key to change it, then press another one; Esc leaves it."));
        });
        let wanted = typed.to_lowercase();
        ScrollArea::vertical()
            .max_height(520.0)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                for group in Group::ALL {
                    let commands: Vec<Command> = Command::ALL
                        .iter()
                        .copied()
                        .filter(|command| command.group() == group)
                        .filter(|command| {
                            let keys: Vec<String> =
                                self.settings.keys_of(*command).iter().map(keys::shown).collect();
                            locale.text(command.text()).to_lowercase().contains(&wanted)
                                || keys.join(" ").to_lowercase().contains(&wanted)
                        })
                        .collect();
                    if commands.is_empty() {
                        continue;
                    }
                    ui.add_space(6.0);
                    ui.strong(locale.text(group.title()));
                    Grid::new(("keys", group.title()))
                        .num_columns(3)
                        .spacing([16.0, 3.0])
                        .min_col_width(170.0)
                        .striped(true)
                        .show(ui, |ui| {
                            for command in commands {
                                self.key_row_ui(ui, command, listening);
                            }
                        });
                }
            });
        is_closed
    }

    fn key_row_ui(&mut self, ui: &mut Ui, command: Command, listening: &mut Option<Command>) {
        let locale = self.locale;
        ui.label(locale.text(command.text()))
            .on_hover_text(locale.text(command.tip()));
        let chords = self.settings.keys_of(command);
        let shown: Vec<String> = chords.iter().map(keys::shown).collect();
        let text = if *listening == Some(command) {
            locale.text("press a key…").to_owned()
        } else if shown.is_empty() {
            "–".to_owned()
        } else {
            shown.join("   ")
        };
        let button = ui.button(RichText::new(text).monospace());
        button.widget_info(|| {
            egui::WidgetInfo::labeled(
                egui::Role::Button,
                true,
                format!("{}: {}", locale.text(command.text()), shown.join(", ")),
            )
        });
        if button.clicked() {
            *listening = Some(command);
        }
        let taken = chords
            .iter()
            .find_map(|chord| self.settings.conflict(command, chord));
        if let Some(other) = taken {
            let text = locale.format("also: {command}", &[("command", &locale.text(other.text()))]);
            ui.colored_label(theme::severity_color(Severity::Warning), text);
        } else if self.settings.keys.contains_key(command.id()) {
            if ui.small_button(locale.text("as usual")).clicked() {
                self.settings.keys.remove(command.id());
                self.save_settings();
            }
        } else {
            ui.label("");
        }
        ui.end_row();
    }

    fn set_key(&mut self, command: Command, chord: &KeyChord) {
        self.settings.set_keys(command, std::slice::from_ref(chord));
        if let Some(other) = self.settings.conflict(command, chord) {
            let text = self.locale.format(
                "{key} is the key of “{command}” too; give that one another key",
                &[
                    ("key", &keys::shown(chord)),
                    ("command", &self.locale.text(other.text())),
                ],
            );
            self.session.notices.warn(text);
        }
        self.save_settings();
    }
}

/// The key that was pressed, with its modifiers.
fn pressed_chord(ui: &Ui) -> Option<KeyChord> {
    ui.input_mut(|input| {
        let place = input
            .events
            .iter()
            .position(|event| matches!(event, Event::Key { pressed: true, .. }))?;
        let Event::Key { key, modifiers, .. } = input.events.remove(place) else {
            return None;
        };
        Some(keys::chord(key, modifiers))
    })
}
