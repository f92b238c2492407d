//! Which language model is asked: a server or a folder, what is sent there, and whether it answers.

use eframe::egui::{Button, ComboBox, Grid, RichText, Role, TextEdit, Ui, WidgetInfo};

use super::title_ui;
use crate::app::accessible::text_field;
use crate::app::state::PathWish;
use crate::app::{StudioApp, theme};
use crate::language::qwen3_vl::Precision;
use crate::session::Severity;
use crate::session::language::EngineState;
use crate::settings::{LanguageSettings, LanguageSource};

impl StudioApp {
    pub(super) fn language_model_ui(
        &mut self,
        ui: &mut Ui,
        form: &mut LanguageSettings,
        is_new: bool,
    ) -> bool {
        let locale = self.locale;
        ui.set_width(580.0);
        let is_closed = title_ui(ui, locale.text("Language model"), locale.text("Close"));
        ui.horizontal(|ui| {
            for (source, name) in [
                (LanguageSource::Off, locale.text("None")),
                (LanguageSource::Server, locale.text("A server")),
                (LanguageSource::Folder, locale.text("A folder on this computer")),
            ] {
                let choice = ui.radio_value(&mut form.source, source, name);
                if is_new && form.source == source {
                    choice.request_focus();
                }
            }
        });
        ui.add_space(4.0);
        match form.source {
            LanguageSource::Off => {
                ui.weak(locale.text("Nothing is asked and nothing is sent anywhere."));
            }
            LanguageSource::Server => server_ui(ui, form, locale),
            LanguageSource::Folder => self.folder_ui(ui, form),
        }
        ui.add_space(6.0);
        ui.separator();
        let choice = form.choice(&self.settings.device);
        match &choice {
            Ok(Some(choice)) => {
                ui.label(RichText::new(locale.text("What a question does")).strong());
                ui.label(format!("{}.", choice.describe()));
            }
            Ok(None) => {}
            Err(reason) => {
                ui.colored_label(theme::severity_color(Severity::Warning), reason);
            }
        }
        let is_used = *form == self.settings.language_model;
        if is_used {
            self.engine_state_ui(ui);
        }
        ui.horizontal(|ui| {
            if ui
                .add_enabled(!is_used && choice.is_ok(), Button::new(locale.text("Use this")))
                .clicked()
            {
                self.use_form(form);
            }
            let can_try = choice.as_ref().is_ok_and(Option::is_some);
            let button = ui.add_enabled(can_try, Button::new(locale.text("Use and try it")));
            let tip = match form.source {
                LanguageSource::Folder => locale.text("loads the model, which can take minutes"),
                _ => locale.text("asks the server which models it has; no image is sent"),
            };
            if button.on_hover_text(tip).clicked() {
                self.use_form(form);
                self.session.open_language_model();
            }
        });
        is_closed
    }

    fn use_form(&mut self, form: &LanguageSettings) {
        self.settings.language_model = form.clone();
        self.save_settings();
        self.use_language_model();
    }

    fn folder_ui(&mut self, ui: &mut Ui, form: &mut LanguageSettings) {
        let locale = self.locale;
        let ctx = ui.ctx().clone();
        Grid::new("folder")
            .num_columns(2)
            .spacing([12.0, 6.0])
            .show(ui, |ui| {
                let mut folder = form.folder.to_string_lossy().into_owned();
                let before = folder.clone();
                field_ui(
                    ui,
                    locale.text("Folder"),
                    locale.text("of a Qwen3-VL that was trained with mask words"),
                    &mut folder,
                );
                if folder != before {
                    form.folder = folder.into();
                }
                ui.label("");
                if ui.button(locale.text("Choose a folder…")).clicked() {
                    self.ask_path(&ctx, PathWish::LanguageFolder);
                }
                ui.end_row();
                ui.label(locale.text("Weights"));
                let shown = if form.precision.is_empty() {
                    Precision::default().name()
                } else {
                    &form.precision
                };
                let chosen = ComboBox::from_id_salt("precision")
                    .selected_text(shown.to_owned())
                    .show_ui(ui, |ui| {
                        for (_, name) in Precision::NAMES {
                            ui.selectable_value(&mut form.precision, name.to_owned(), name);
                        }
                    });
                chosen
                    .response
                    .widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, locale.text("Weights")));
                ui.end_row();
                trained_with_ui(ui, form, locale);
            });
        ui.label(
            RichText::new(
                locale
                    .text("q8_0 takes half the memory of bf16 and q4_k a quarter; both are nearly as good."),
            )
            .small()
            .weak(),
        );
    }

    /// How the model stands.
    pub(in crate::app) fn engine_state_ui(&self, ui: &mut Ui) {
        let locale = self.locale;
        match &self.session.language.state {
            EngineState::Off => {}
            EngineState::Resting => {
                ui.weak(locale.text("It is opened with the first question."));
            }
            EngineState::Opening(done, all) => {
                ui.horizontal(|ui| {
                    ui.spinner();
                    if *all == 0 {
                        ui.label(locale.text("opening the language model…"));
                    } else {
                        ui.label(locale.format(
                            "loading the language model: layer {done} of {all}",
                            &[("done", done), ("all", all)],
                        ));
                    }
                });
            }
            EngineState::Ready => {
                let name = self
                    .session
                    .language
                    .info
                    .as_ref()
                    .map_or("", |info| info.name.as_str());
                ui.horizontal(|ui| {
                    theme::dot(ui, theme::color(theme::BOTH), true);
                    ui.label(locale.format("{model} answers", &[("model", &name)]));
                });
            }
            EngineState::Failed(reason) => {
                ui.colored_label(theme::severity_color(Severity::Error), reason);
            }
        }
    }
}

fn server_ui(ui: &mut Ui, form: &mut LanguageSettings, locale: crate::locale::Locale) {
    Grid::new("server")
        .num_columns(2)
        .spacing([12.0, 6.0])
        .show(ui, |ui| {
            field_ui(
                ui,
                locale.text("Address"),
                "http://localhost:8000",
                &mut form.address,
            );
            let hint = locale.text("as the server calls it; empty for its only one");
            field_ui(ui, locale.text("Model on the server"), hint, &mut form.model);
            let hint = locale.text("such as OPENAI_API_KEY; empty for no key");
            field_ui(
                ui,
                locale.text("Variable with the key"),
                hint,
                &mut form.key_variable,
            );
            trained_with_ui(ui, form, locale);
        });
    ui.label(
        RichText::new(locale.text(
            "Any server with OpenAI's chat completions. The key is read from the environment and never kept.",
        ))
        .small()
        .weak(),
    );
}

/// The line with the fingerprint of the mask tokenizer.
fn trained_with_ui(ui: &mut Ui, form: &mut LanguageSettings, locale: crate::locale::Locale) {
    let hint = locale.text("fingerprint, if you know it; another tokenizer is refused then");
    field_ui(
        ui,
        locale.text("Its mask tokenizer"),
        hint,
        &mut form.trained_with,
    );
}

/// A line of a form.
fn field_ui(ui: &mut Ui, name: &'static str, hint: &str, text: &mut String) {
    ui.label(name);
    let before = text.clone();
    let field = ui.add(TextEdit::singleline(text).hint_text(hint).desired_width(400.0));
    field.widget_info(|| text_field(&before, text.as_str(), name));
    ui.end_row();
}
