//! What the language model is to answer, mark or look for.

use eframe::egui::{Key, RichText, TextEdit, Ui};

use crate::app::StudioApp;
use crate::app::panels::language_tab::region_chip;
use crate::language::tasks::VisionTask;

impl StudioApp {
    pub(super) fn propose_ui(
        &mut self,
        ui: &mut Ui,
        task: VisionTask,
        typed: &mut String,
        is_new: bool,
    ) -> bool {
        let locale = self.locale;
        ui.set_width(420.0);
        let (title, hint) = match task {
            VisionTask::Segment => (
                locale.text("What is to be marked?"),
                locale.text("a phrase such as \"the red cup\", or a sentence"),
            ),
            VisionTask::Detect => (
                locale.text("Which categories are to be marked?"),
                locale.text("cup, spoon, plate"),
            ),
            _ => (
                locale.text("What is to be answered?"),
                locale.text("What is wrong with this?"),
            ),
        };
        ui.strong(title);
        if task == VisionTask::Ask {
            ui.horizontal_wrapped(|ui| {
                ui.weak(locale.text("about"));
                let open = self.session.open();
                let selected = open.map(|open| open.selected()).unwrap_or_default();
                for region in selected.iter().filter_map(|id| open?.document().region(id)) {
                    region_chip(ui, region);
                }
                if selected.is_empty() {
                    ui.weak(locale.text("the whole image; select regions first to ask about them"));
                }
            });
        }
        let before = typed.clone();
        let field = ui.add(
            TextEdit::singleline(typed)
                .hint_text(hint)
                .desired_width(f32::INFINITY),
        );
        field.widget_info(|| crate::app::accessible::text_field(&before, typed.as_str(), title));
        if is_new {
            field.request_focus();
        }
        ui.label(
            RichText::new(locale.text("What comes back are drafts for you to accept, edit or reject."))
                .small()
                .weak(),
        );
        let is_entered = ui.input(|input| input.key_pressed(Key::Enter));
        let is_clicked = ui.button(locale.text("Propose (Enter)")).clicked();
        if (is_clicked || is_entered) && !typed.trim().is_empty() {
            self.propose(task, typed);
            return true;
        }
        false
    }
}
