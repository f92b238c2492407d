//! All commands by typing a part of their names.

use eframe::egui::{self, Button, Key, Modifiers, ScrollArea, TextEdit, Ui};

use crate::app::{StudioApp, keys};
use crate::command::Command;

impl StudioApp {
    pub(super) fn palette_ui(
        &mut self,
        ui: &mut Ui,
        typed: &mut String,
        chosen: &mut usize,
        is_new: bool,
    ) -> bool {
        let locale = self.locale;
        ui.set_width(480.0);
        let found: Vec<Command> = Command::ALL
            .iter()
            .copied()
            .filter(|command| *command != Command::Palette)
            .filter(|command| matches(typed, command.text()) || matches(typed, locale.text(command.text())))
            .collect();
        // The arrow keys must not move the cursor of the field.
        let (up, down, enter) = ui.input_mut(|input| {
            (
                input.consume_key(Modifiers::NONE, Key::ArrowUp),
                input.consume_key(Modifiers::NONE, Key::ArrowDown),
                input.consume_key(Modifiers::NONE, Key::Enter),
            )
        });
        let before = typed.clone();
        let field = ui.add(
            TextEdit::singleline(typed)
                .hint_text(locale.text("What do you want to do?"))
                .desired_width(f32::INFINITY),
        );
        field.widget_info(|| {
            crate::app::accessible::text_field(&before, typed.as_str(), locale.text("Command"))
        });
        if is_new {
            field.request_focus();
        }
        if field.changed() {
            *chosen = 0;
        }
        *chosen = chosen
            .saturating_add(usize::from(down))
            .saturating_sub(usize::from(up))
            .min(found.len().saturating_sub(1));
        let mut run = found.get(*chosen).copied().filter(|_| enter);
        ScrollArea::vertical().max_height(380.0).show(ui, |ui| {
            for (place, command) in found.iter().copied().enumerate() {
                let is_enabled = self.is_enabled(command);
                let text = format!(
                    "{}  ›  {}",
                    locale.text(command.group().title()),
                    locale.text(command.text())
                );
                let button = Button::new(text)
                    .shortcut_text(keys::shown_key(&self.settings, command))
                    .selected(place == *chosen)
                    .frame(place == *chosen);
                let response = ui.add_enabled(
                    is_enabled,
                    button.min_size(egui::vec2(ui.available_width(), 24.0)),
                );
                if place == *chosen && (up || down) {
                    response.scroll_to_me(None);
                }
                if response.on_hover_text(locale.text(command.tip())).clicked() {
                    run = Some(command);
                }
            }
            if found.is_empty() {
                ui.weak(locale.text("no command of this name"));
            }
        });
        if let Some(command) = run {
            self.queue.push(command);
            return true;
        }
        false
    }
}

/// Whether the letters of `typed` occur in `text` in this order, regardless of case.
fn matches(typed: &str, text: &str) -> bool {
    let mut letters = text.chars().flat_map(char::to_lowercase);
    typed
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .all(|wanted| letters.any(|letter| letter == wanted))
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn letters_in_order_are_enough() {
        assert!(matches("flhl", "Fill holes") && matches("", "anything") && matches("填充", "填充孔洞"));
        assert!(!matches("holes fill", "Fill holes"));
    }
}
