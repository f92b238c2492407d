//! Names of text fields for screen readers and tests; egui itself only knows hints.

use eframe::egui::WidgetInfo;

/// A text field called `name`, whose text was `before` and now is `text`.
pub(super) fn text_field(before: &str, text: &str, name: &str) -> WidgetInfo {
    let mut info = WidgetInfo::text_edit(true, before, text, "");
    info.label = Some(name.to_owned());
    info
}
