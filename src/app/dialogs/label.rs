//! The label of the selected regions, with those that the folder uses.

use eframe::egui::{Key, RichText, TextEdit, Ui};

use crate::app::StudioApp;

impl StudioApp {
    pub(super) fn label_ui(&mut self, ui: &mut Ui, typed: &mut String, is_new: bool) -> bool {
        let locale = self.locale;
        ui.set_width(320.0);
        ui.strong(locale.text("Label of the region"));
        let before = typed.clone();
        let field = ui.add(
            TextEdit::singleline(typed)
                .hint_text(locale.text("label"))
                .desired_width(f32::INFINITY),
        );
        field.widget_info(|| {
            crate::app::accessible::text_field(&before, typed.as_str(), locale.text("Label of the region"))
        });
        if is_new {
            field.request_focus();
        }
        let is_entered = ui.input(|input| input.key_pressed(Key::Enter));
        let mut chosen = is_entered.then(|| typed.trim().to_owned());
        let wanted = typed.to_lowercase();
        ui.horizontal_wrapped(|ui| {
            let labels = self
                .session
                .list
                .as_ref()
                .map(|list| list.state.labels.clone())
                .unwrap_or_default();
            let fitting = labels
                .into_iter()
                .filter(|label| !label.label.is_empty() && label.label.to_lowercase().contains(&wanted));
            for label in fitting.take(24) {
                if ui.button(RichText::new(&label.label).small()).clicked() {
                    chosen = Some(label.label);
                }
            }
        });
        let Some(label) = chosen else { return false };
        self.session.set_label(&label);
        true
    }
}
