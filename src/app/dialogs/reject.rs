//! The comment that goes with a rejection.

use eframe::egui::{Key, TextEdit, Ui};

use crate::app::StudioApp;
use crate::dataset::index::Direction;

impl StudioApp {
    pub(super) fn reject_ui(&mut self, ui: &mut Ui, typed: &mut String, is_new: bool) -> bool {
        let locale = self.locale;
        ui.set_width(380.0);
        ui.strong(locale.text("What has to be done better?"));
        let before = typed.clone();
        let field = ui.add(
            TextEdit::multiline(typed)
                .desired_rows(3)
                .desired_width(f32::INFINITY),
        );
        field.widget_info(|| {
            crate::app::accessible::text_field(&before, typed.as_str(), locale.text("Comment"))
        });
        if is_new {
            field.request_focus();
        }
        let is_entered = ui.input(|input| input.modifiers.command && input.key_pressed(Key::Enter));
        if ui.button(locale.text("Reject, next (Ctrl+Enter)")).clicked() || is_entered {
            self.session.reject(typed);
            self.session.find(Direction::Next, "status:done".to_owned());
            return true;
        }
        false
    }
}
