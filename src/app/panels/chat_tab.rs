//! The chat about the image: questions, answers while they are written, and their masks as chips.

use eframe::egui::{self, Button, Frame, Margin, Panel, RichText, ScrollArea, Ui, WidgetInfo};

use crate::app::mention_text::{MentionText, Mentioned, Written};
use crate::app::state::{MentionTarget, TextTarget, UiState};
use crate::app::{StudioApp, keys, theme};
use crate::command::Command;
use crate::dataset::{Document, mention};
use crate::language::tasks::VisionTask;
use crate::locale::Locale;
use crate::session::language::chat::{Chat, ChatMask, ChatTurn, Piece, TurnState, without_tags};
use crate::session::language::{Drawing, EngineState};
use crate::session::{Session, Severity};

/// What a click in the chat asks for.
#[derive(Default)]
struct Clicked {
    /// Something is mentioned in the next question.
    mention: Option<String>,
    /// The last question is asked again.
    again: bool,
    /// A failed wish is tried again.
    wish_again: Option<usize>,
    /// A failed wish is forgotten.
    dismissed: Option<usize>,
}

impl StudioApp {
    pub(in crate::app) fn chat_tab_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        if self.session.open().is_none() {
            ui.weak(locale.text("no image is open"));
            return;
        }
        self.engine_line_ui(ui);
        if self.session.language.choice().is_none() {
            self.no_engine_ui(ui);
            return;
        }
        Panel::bottom("chat question")
            .frame(Frame::NONE.inner_margin(Margin {
                top: 6,
                bottom: 2,
                ..Margin::ZERO
            }))
            .show(ui, |ui| {
                self.question_ui(ui);
                self.propose_row_ui(ui);
            });
        let mut clicked = Clicked::default();
        let (session, settings, state) = (&self.session, &self.settings, &mut self.state);
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .stick_to_bottom(true)
            .id_salt("chat")
            .show(ui, |ui| {
                let turns = session.chat().map(|chat| chat.turns.as_slice()).unwrap_or_default();
                if turns.is_empty() {
                    ui.weak(locale.text(
                        "Ask about the image; @ or a click mentions a region. Masks light up as they are written.",
                    ));
                    if let Some(choice) = session.language.choice() {
                        ui.add_space(4.0);
                        ui.label(RichText::new(format!("{}.", choice.describe())).small().weak());
                    }
                }
                for (place, turn) in turns.iter().enumerate() {
                    ui.push_id(place, |ui| {
                        turn_ui(ui, turn, place + 1 == turns.len(), session, locale, state, &mut clicked);
                    });
                }
                proposing_ui(ui, session, locale, &mut clicked);
                let waiting = session.open_proposals().len();
                if waiting > 0 {
                    ui.weak(locale.format(
                        "{count} proposals wait: {next} goes through them, {accept} accepts, {edit} edits, {reject} rejects.",
                        &[
                            ("count", &waiting),
                            ("next", &keys::shown_key(settings, Command::NextProposal)),
                            ("accept", &keys::shown_key(settings, Command::AcceptProposal)),
                            ("edit", &keys::shown_key(settings, Command::EditProposal)),
                            ("reject", &keys::shown_key(settings, Command::RejectProposal)),
                        ],
                    ));
                }
            });
        self.take_clicked(clicked);
    }

    fn take_clicked(&mut self, clicked: Clicked) {
        if let Some(id) = clicked.mention {
            let written = self
                .state
                .mention
                .clone()
                .filter(|target| target.text == TextTarget::Chat);
            let draft = self.session.chat().map_or("", |chat| chat.draft.as_str());
            let target = written.unwrap_or_else(|| MentionTarget {
                text: TextTarget::Chat,
                cursor: draft.chars().count(),
            });
            self.state.inserts.push((target, id));
        }
        if clicked.again {
            self.session.ask_in_chat_again();
        }
        if let Some(place) = clicked.wish_again {
            self.session.propose_again(place);
        }
        if let Some(place) = clicked.dismissed {
            self.session.dismiss_failed_wish(place);
        }
    }

    /// Which model is asked and how it stands.
    fn engine_line_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        ui.horizontal_wrapped(|ui| {
            let button = ui.button(locale.text(Command::LanguageModel.text()));
            if self.with_tip(button, Command::LanguageModel).clicked() {
                self.queue.push(Command::LanguageModel);
            }
            self.engine_state_ui(ui);
        });
        if let Some(problem) = self.session.vocabulary_problem() {
            ui.colored_label(theme::severity_color(Severity::Error), problem);
        }
        let beside = self
            .session
            .language
            .info
            .as_ref()
            .and_then(|info| info.mask_tokenizer.clone());
        match beside.filter(|path| self.session.model_choice().path.as_ref() != Some(path)) {
            Some(path) => {
                ui.horizontal_wrapped(|ui| {
                    ui.colored_label(
                        theme::severity_color(Severity::Warning),
                        locale.text("The language model has a mask tokenizer of its own beside it."),
                    );
                    if ui.button(locale.text("Draw masks with that one")).clicked() {
                        self.choose_model(Some(path));
                    }
                });
            }
            None if self.session.language.choice().is_some() && self.session.is_vocabulary_unknown() => {
                let name = self.session.model_info().map_or("…", |info| info.name.as_str());
                let is_own = self.session.model_choice().path.is_some();
                if !is_own {
                    ui.label(
                        RichText::new(locale.format(
                            "Masks are drawn by {tokenizer}; if this model was trained with another one, choose that under Help › Model.",
                            &[("tokenizer", &name)],
                        ))
                        .small()
                        .weak(),
                    );
                }
            }
            None => {}
        }
        ui.separator();
    }

    fn no_engine_ui(&self, ui: &mut Ui) {
        let locale = self.locale;
        ui.label(locale.text(
            "A language model that speaks mask words answers questions, describes regions and proposes masks.",
        ));
        ui.label(locale.text("None is chosen, so nothing is asked and nothing is sent anywhere."));
    }

    /// The question that is being written, with what can be done with the chat.
    fn question_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let Some(open) = self.session.open() else { return };
        let chat = self.session.chat();
        let masks = chat.map(|chat| chat.masks.as_slice()).unwrap_or_default();
        let more: Vec<Mentioned> = masks
            .iter()
            .filter(|mask| mask.became.is_none())
            .map(mentioned)
            .collect();
        let draft = chat.map_or("", |chat| chat.draft.as_str()).to_owned();
        let is_busy = chat.is_some_and(Chat::is_busy);
        let field = MentionText {
            document: open.document(),
            target: TextTarget::Chat,
            text: &draft,
            hint: locale.text("Ask about the image or about @regions"),
            name: locale.text("Question to the language model").to_owned(),
            rows: 2,
            more: &more,
            is_sent_by_enter: true,
            locale,
        };
        let Written { text, is_sent, .. } = field.show(ui, &mut self.state);
        if let Some(text) = text {
            self.session.set_chat_draft(text);
        }
        let mut is_asked = is_sent && !is_busy;
        ui.horizontal_wrapped(|ui| {
            if is_busy || self.session.language.is_busy() {
                let button = ui.button(locale.text("Stop"));
                button.widget_info(|| {
                    WidgetInfo::labeled(egui::Role::Button, true, locale.text("Stop the language model"))
                });
                if self.with_tip(button, Command::StopAnswer).clicked() {
                    self.queue.push(Command::StopAnswer);
                }
            }
            if !is_busy {
                let button = ui.add_enabled(!draft.trim().is_empty(), Button::new(locale.text("Ask")));
                is_asked |= button
                    .on_hover_text(locale.text("Enter asks, Shift+Enter breaks the line"))
                    .clicked();
            }
            for (command, name) in [
                (Command::AddChat, locale.text("Add to conversations")),
                (Command::ClearChat, locale.text("Clear")),
            ] {
                let button = ui.add_enabled(self.is_enabled(command), Button::new(name));
                if self.with_tip(button, command).clicked() {
                    self.queue.push(command);
                }
            }
        });
        if is_asked {
            let draft = self
                .session
                .chat()
                .map_or("", |chat| chat.draft.as_str())
                .to_owned();
            self.session.ask_in_chat(&draft);
        }
    }

    /// What can be proposed.
    fn propose_row_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(locale.text("Propose")).small().strong());
            for (command, name) in [
                (Command::ProposeCaption, locale.text("caption")),
                (Command::ProposeAnswer, locale.text("answer…")),
                (Command::ProposeDescription, locale.text("description")),
                (Command::ProposeNamed, locale.text("named…")),
                (Command::ProposeCategories, locale.text("categories…")),
            ] {
                let button =
                    ui.add_enabled(self.is_enabled(command), Button::new(RichText::new(name).small()));
                button.widget_info(|| {
                    WidgetInfo::labeled(egui::Role::Button, true, locale.text(command.text()))
                });
                if self.with_tip(button, command).clicked() {
                    self.queue.push(command);
                }
            }
        });
    }
}

/// A question with its answer.
#[expect(
    clippy::too_many_arguments,
    reason = "a turn draws from everything and changes nothing"
)]
fn turn_ui(
    ui: &mut Ui,
    turn: &ChatTurn,
    is_last: bool,
    session: &Session,
    locale: Locale,
    state: &mut UiState,
    clicked: &mut Clicked,
) {
    let Some((open, chat)) = session.open().zip(session.chat()) else {
        return;
    };
    Frame::NONE
        .fill(ui.visuals().faint_bg_color)
        .corner_radius(6)
        .inner_margin(Margin::symmetric(8, 5))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            mentions_ui(ui, &turn.question, open.document(), &chat.masks, state);
        });
    ui.add_space(2.0);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        for piece in &turn.pieces {
            match piece {
                Piece::Text(text) => {
                    let text = without_tags(text);
                    if !text.is_empty() {
                        ui.label(text);
                    }
                }
                Piece::Mask(place) => {
                    if let Some(mask) = chat.masks.get(*place)
                        && mask_chip_ui(ui, mask, session, locale, state)
                    {
                        clicked.mention = Some(mask.became.clone().unwrap_or_else(|| mask.name.clone()));
                    }
                }
                Piece::Refused(problem) => {
                    theme::warning(ui, theme::severity_color(Severity::Warning)).on_hover_text(problem);
                }
            }
        }
    });
    match &turn.state {
        TurnState::Waiting | TurnState::Answering => {
            ui.horizontal(|ui| {
                ui.spinner();
                let opening = matches!(session.language.state, EngineState::Opening(..));
                ui.weak(match turn.state {
                    _ if opening => locale.text("opening the language model…"),
                    TurnState::Waiting => locale.text("waiting…"),
                    _ if turn.raw.is_empty() => locale.text("reading the question…"),
                    _ => locale.text("answering…"),
                });
            });
        }
        TurnState::Done => {}
        TurnState::Cut => {
            ui.weak(locale.text("The answer reached its longest length and may be cut off."));
        }
        TurnState::Stopped => {
            ui.weak(locale.text("stopped"));
        }
        TurnState::Failed(reason) => {
            ui.horizontal_wrapped(|ui| {
                ui.colored_label(theme::severity_color(Severity::Error), reason);
                if is_last && ui.button(locale.text("Ask again")).clicked() {
                    clicked.again = true;
                }
            });
        }
    }
    for problem in &turn.problems {
        ui.colored_label(theme::severity_color(Severity::Warning), problem);
    }
    ui.add_space(6.0);
}

/// What is being proposed, and what failed.
fn proposing_ui(ui: &mut Ui, session: &Session, locale: Locale, clicked: &mut Clicked) {
    let (task, count) = session.language.proposing();
    if count > 0 {
        ui.horizontal(|ui| {
            ui.spinner();
            let task = task.map_or(locale.text("waiting…"), |task| task_name(task, locale));
            ui.label(locale.format("Proposing: {task}", &[("task", &task)]));
            if count > 1 {
                ui.weak(locale.format("{count} on their way", &[("count", &count)]));
            }
        });
    }
    for (place, failed) in session.failed_wishes() {
        ui.horizontal_wrapped(|ui| {
            let task = task_name(failed.wish.task, locale);
            ui.strong(format!("{task} {}", failed.wish.text).trim_end());
            ui.colored_label(theme::severity_color(Severity::Error), &failed.reason);
            if ui.button(locale.text("Ask again")).clicked() {
                clicked.wish_again = Some(place);
            }
            let button = ui.small_button("×");
            button.widget_info(|| WidgetInfo::labeled(egui::Role::Button, true, locale.text("Dismiss")));
            if button.clicked() {
                clicked.dismissed = Some(place);
            }
        });
    }
}

/// A mask of the chat as a chip; whether it was clicked.
fn mask_chip_ui(
    ui: &mut Ui,
    mask: &ChatMask,
    session: &Session,
    locale: Locale,
    state: &mut UiState,
) -> bool {
    let drawing = session.chat_drawing(mask);
    let name = mask.became.as_ref().unwrap_or(&mask.name);
    let text = format!("{name} {}", mask.label);
    let text = RichText::new(text.trim_end()).color(theme::text_on(mask.color.rgb));
    let chip = Button::new(text.small())
        .fill(theme::color(mask.color.rgb))
        .small();
    let response = ui.add(chip);
    response.widget_info(|| {
        let name = format!("Mask {name} {}", mask.label);
        WidgetInfo::labeled(egui::Role::Button, true, name.trim_end())
    });
    if response.hovered() || response.has_focus() {
        match &mask.became {
            Some(region) => state.hovered = Some(region.clone()),
            None => state.hovered_mask = Some(mask.key),
        }
    }
    match drawing {
        Some(Drawing::Asked) => {
            ui.add(egui::Spinner::new().size(11.0));
        }
        Some(Drawing::Failed(_)) => {
            theme::warning(ui, theme::severity_color(Severity::Warning));
        }
        Some(Drawing::Done(_)) | None => {}
    }
    let response = response.on_hover_ui(|ui| {
        ui.label(RichText::new(&mask.words).monospace().small());
        for repair in &mask.repairs {
            ui.label(locale.format("mended: {what}", &[("what", repair)]));
        }
        if let Some(Drawing::Failed(reason)) = drawing {
            ui.label(locale.format("it cannot be drawn: {reason}", &[("reason", reason)]));
        }
        ui.weak(locale.text("Click to mention it in the next question."));
    });
    response.clicked()
}

/// A text in which regions and masks of the chat are chips.
pub(super) fn mentions_ui(
    ui: &mut Ui,
    text: &str,
    document: &Document,
    masks: &[ChatMask],
    state: &mut UiState,
) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 2.0;
        let mut from = 0;
        for candidate in mention::candidates(text) {
            let region = document.region(candidate.id);
            let mask = masks.iter().find(|mask| mask.name == candidate.id);
            let Some(thing) = region.map(Mentioned::region).or_else(|| mask.map(mentioned)) else {
                continue;
            };
            if from < candidate.range.start {
                ui.label(&text[from..candidate.range.start]);
            }
            from = candidate.range.end;
            let shown = format!(" {} {}", thing.id, thing.label);
            let shown = RichText::new(format!("{} ", shown.trim_end()))
                .background_color(theme::color(thing.rgb))
                .color(theme::text_on(thing.rgb));
            let chip = ui.add(egui::Label::new(shown).sense(egui::Sense::hover()));
            if chip.hovered() {
                match mask.filter(|_| region.is_none()) {
                    Some(mask) => state.hovered_mask = Some(mask.key),
                    None => state.hovered = Some(thing.id),
                }
            }
        }
        if from < text.len() {
            ui.label(&text[from..]);
        }
    });
}

fn mentioned(mask: &ChatMask) -> Mentioned {
    Mentioned {
        id: mask.name.clone(),
        label: mask.label.clone(),
        rgb: mask.color.rgb,
    }
}

/// A task in words.
pub(in crate::app) fn task_name(task: VisionTask, locale: Locale) -> &'static str {
    match task {
        VisionTask::Caption => locale.text("caption of a region"),
        VisionTask::Ask => locale.text("answer about regions"),
        VisionTask::Describe => locale.text("description with masks"),
        VisionTask::Segment => locale.text("what a text names"),
        VisionTask::Detect => locale.text("all of some categories"),
        VisionTask::Refine => locale.text("chat"),
    }
}
