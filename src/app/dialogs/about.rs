//! Version, licences, and where things come from.

use eframe::egui::Ui;

use super::title_ui;
use crate::app::StudioApp;

impl StudioApp {
    pub(super) fn about_ui(&self, ui: &mut Ui) -> bool {
        let locale = self.locale;
        ui.set_width(460.0);
        let is_closed = title_ui(ui, "SAMTok Studio", locale.text("Close"));
        ui.label(format!(
            "{} {}",
            locale.text("Version"),
            env!("CARGO_PKG_VERSION")
        ));
        ui.label(locale.text("Licensed under MIT or Apache-2.0, as you like."));
        ui.label(locale.text(
            "Fonts: Ubuntu (Ubuntu Font Licence), Hack (MIT), Noto Emoji (OFL), emoji-icon-font (MIT).",
        ));
        ui.label(locale.text("Everything runs on this machine; nothing is sent anywhere."));
        is_closed
    }
}
