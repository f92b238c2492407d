//! Keys of the keyboard to commands, and back to text for menus.

use eframe::egui::{self, Event, Key, Modifiers};

use crate::command::{Command, KeyChord};
use crate::settings::Settings;

/// Whether no button of the pointer was used in this frame before the first key.
///
/// A slow frame can hold a key and a click; each has to find the window as it was then.
pub(super) fn come_first(ctx: &egui::Context) -> bool {
    ctx.input(|input| {
        let decisive = input.events.iter().find(|event| {
            matches!(
                event,
                Event::Key { pressed: true, .. } | Event::PointerButton { .. }
            )
        });
        matches!(decisive, Some(Event::Key { .. }))
    })
}

/// The commands whose keys were pressed in this frame, in order; the keys are consumed.
///
/// While a text is being written, only keys with Ctrl or Alt, and function keys, are commands.
pub(super) fn pressed_commands(ctx: &egui::Context, settings: &Settings, is_typing: bool) -> Vec<Command> {
    let mut commands = Vec::new();
    ctx.input_mut(|input| {
        input.events.retain(|event| {
            let command = command_for(event, settings, is_typing);
            commands.extend(command);
            command.is_none()
        });
        if !is_typing && !commands.is_empty() {
            // The letter of a key that opens a field must not be the first one in it.
            input.events.retain(|event| !matches!(event, Event::Text(_)));
        }
    });
    commands
}

fn command_for(event: &Event, settings: &Settings, is_typing: bool) -> Option<Command> {
    match event {
        Event::Key {
            key,
            modifiers,
            pressed: true,
            repeat,
            ..
        } => {
            let command = command_of(settings, &chord(*key, *modifiers))?;
            let is_free = !is_typing || modifiers.command || modifiers.alt || is_function_key(*key);
            let is_meant = is_free && (!repeat || repeats(command)) && !(is_typing && edits_text(command));
            is_meant.then_some(command)
        }
        // The clipboard keys arrive as events of their own.
        Event::Copy if !is_typing => Some(Command::Copy),
        Event::Cut if !is_typing => Some(Command::Cut),
        _ => None,
    }
}

fn is_function_key(key: Key) -> bool {
    let name = key.name();
    name.len() > 1 && name.starts_with('F') && name[1..].chars().all(|c| c.is_ascii_digit())
}

/// Whether a command goes on while its key is held down.
fn repeats(command: Command) -> bool {
    matches!(
        command,
        Command::Undo
            | Command::Redo
            | Command::NextImage
            | Command::PreviousImage
            | Command::NextRegion
            | Command::PreviousRegion
            | Command::Grow
            | Command::Shrink
            | Command::ZoomIn
            | Command::ZoomOut
            | Command::LessOpacity
            | Command::MoreOpacity
    )
}

/// Whether a text field has its own meaning for the key of a command.
fn edits_text(command: Command) -> bool {
    matches!(
        command,
        Command::Copy
            | Command::Cut
            | Command::Paste
            | Command::SelectAll
            | Command::Delete
            | Command::NextRegion
            | Command::PreviousRegion
    )
}

/// The command that has this key.
fn command_of(settings: &Settings, chord: &KeyChord) -> Option<Command> {
    Command::ALL
        .iter()
        .copied()
        .find(|command| settings.keys_of(*command).contains(chord))
}

/// A key of egui as settings write it.
pub(super) fn chord(key: Key, modifiers: Modifiers) -> KeyChord {
    // A question mark needs Shift on many keyboards; the key itself says what is meant.
    let is_symbol = matches!(key, Key::Questionmark | Key::Plus);
    KeyChord {
        ctrl: modifiers.command,
        shift: modifiers.shift && !is_symbol,
        alt: modifiers.alt,
        key: key.name().to_owned(),
    }
}

/// The first key of a command as menus show it; empty if it has none.
pub(super) fn shown_key(settings: &Settings, command: Command) -> String {
    settings.keys_of(command).first().map(shown).unwrap_or_default()
}

/// A key as people write it.
pub(super) fn shown(chord: &KeyChord) -> String {
    let symbol = Key::from_name(&chord.key).map(Key::symbol_or_name);
    // The bundled fonts have no arrows.
    let symbol = symbol.filter(|symbol| symbol.is_ascii()).unwrap_or(&chord.key);
    let plain = KeyChord {
        key: symbol.to_owned(),
        ..chord.clone()
    };
    plain.to_string()
}

/// The digit that was pressed without modifiers, for labels.
pub(super) fn pressed_digit(ctx: &egui::Context) -> Option<usize> {
    const DIGITS: [Key; 10] = [
        Key::Num1,
        Key::Num2,
        Key::Num3,
        Key::Num4,
        Key::Num5,
        Key::Num6,
        Key::Num7,
        Key::Num8,
        Key::Num9,
        Key::Num0,
    ];
    ctx.input_mut(|input| {
        DIGITS
            .iter()
            .position(|key| input.modifiers.is_none() && input.consume_key(Modifiers::NONE, *key))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_key_is_a_key_of_the_window() {
        for command in Command::ALL {
            for key in command.default_keys() {
                let chord: KeyChord = key.parse().unwrap();
                let known = Key::from_name(&chord.key);
                assert_eq!(
                    known.map(Key::name),
                    Some(chord.key.as_str()),
                    "{command:?}: {key}"
                );
            }
        }
    }
}
