//! Runs commands that widgets and keys sent, once per frame, and says which can be run.

use eframe::egui::{self, ViewportCommand};

use super::canvas;
use super::panels::tool_bar::{COMBINES, TOOLS};
use super::state::{Dialog, PathWish, Tab, TextTarget};
use super::{StudioApp, keys, theme};
use crate::command::Command;
use crate::interchange::Format;
use crate::session::OpenDocument;
use crate::session::language::chat::Chat;
use crate::settings::{Language, Theme};
use crate::tools::ToolKey;
use crate::worker::batch::Exchange;

/// Least and greatest size of the interface.
const SCALES: std::ops::RangeInclusive<f32> = 0.6..=3.0;

impl StudioApp {
    /// Turns the keys of this frame into commands and events of the tool.
    pub(super) fn take_keys(&mut self, ctx: &egui::Context) {
        if let Some(Dialog::KeySheet {
            listening: Some(_), ..
        }) = &self.state.dialog
        {
            return;
        }
        let is_typing = ctx.egui_wants_keyboard_input();
        let has_dialog = self.state.dialog.is_some();
        if has_dialog {
            if ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Escape)) {
                self.state.dialog = None;
            }
            return;
        }
        if is_typing && ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Escape)) {
            ctx.memory_mut(|memory| {
                if let Some(focused) = memory.focused() {
                    memory.surrender_focus(focused);
                }
            });
            self.state.mention = None;
            return;
        }
        if !is_typing {
            self.take_tool_keys(ctx);
            if let Some(place) = keys::pressed_digit(ctx) {
                let label = self.digit_labels().get(place).cloned();
                if let Some(label) = label {
                    self.session.set_label(&label);
                }
            }
        }
        self.queue
            .extend(keys::pressed_commands(ctx, &self.settings, is_typing));
        let pasted = ctx.input(|input| {
            input.events.iter().find_map(|event| match event {
                egui::Event::Paste(text) if !is_typing => Some(text.clone()),
                _ => None,
            })
        });
        if let Some(text) = pasted {
            self.paste(&text);
        }
    }

    fn take_tool_keys(&mut self, ctx: &egui::Context) {
        let pressed: Vec<(egui::Key, egui::Modifiers)> = ctx.input(|input| {
            let keys = input.events.iter().filter_map(|event| match event {
                egui::Event::Key {
                    key,
                    modifiers,
                    pressed: true,
                    ..
                } => Some((*key, *modifiers)),
                _ => None,
            });
            keys.filter(|(_, modifiers)| !modifiers.command && !modifiers.alt)
                .collect()
        });
        for (key, modifiers) in pressed {
            let Some(tool_key) = canvas::tool_key(key) else {
                continue;
            };
            if self.tool_key(tool_key, modifiers) {
                ctx.input_mut(|input| input.consume_key(modifiers, key));
            } else if tool_key == ToolKey::Cancel {
                self.escape();
            } else if tool_key == ToolKey::RemoveLast {
                self.queue.push(Command::Delete);
            }
        }
    }

    /// Passes a key to the tool in use; whether it had a use for it.
    fn tool_key(&mut self, key: ToolKey, modifiers: egui::Modifiers) -> bool {
        self.with_canvas(|canvas, hands| canvas.key(key, modifiers, hands))
    }

    /// Escape with nothing to give up: found words go, then the selection.
    fn escape(&mut self) {
        if self.state.mention.take().is_some() {
            return;
        }
        if self.session.found.take().is_some() {
            return;
        }
        if let Some(open) = self.session.open_mut() {
            open.select([]);
        }
        self.tools.target_changed();
    }

    /// Takes the mask that smart select proposes.
    pub(super) fn accept_proposal(&mut self) {
        self.tool_key(ToolKey::Accept, egui::Modifiers::NONE);
    }

    /// Pastes regions, or shows the masks of words in the text.
    fn paste(&mut self, text: &str) {
        if text.contains("mt_") && self.session.find_words(text) {
            return;
        }
        if self.session.has_copied() {
            self.session.paste_regions();
        } else {
            self.session.notices.info(
                self.locale
                    .text("there is nothing to paste: copy regions, or a text with mask words"),
            );
        }
    }

    /// Runs what was sent in this frame.
    pub(super) fn run_queue(&mut self, ctx: &egui::Context) {
        for command in std::mem::take(&mut self.queue) {
            if self.is_enabled(command) {
                self.run(ctx, command);
            }
        }
    }

    fn run(&mut self, ctx: &egui::Context, command: Command) {
        if let Some((kind, _)) = TOOLS.iter().find(|(_, of)| *of == command) {
            let answer = self.tools.choose(*kind);
            self.with_canvas(|canvas, hands| canvas.respond(answer, hands));
            return;
        }
        if let Some((combine, _)) = COMBINES.iter().find(|(_, of)| *of == command) {
            self.state.combine = *combine;
            return;
        }
        match command {
            Command::OpenFolder => self.ask_path(ctx, PathWish::Folder),
            Command::OpenImage => self.ask_path(ctx, PathWish::Image),
            Command::OpenSamples => self.open_samples(),
            Command::Import => self.state.open_dialog(Dialog::Import {
                from: Exchange::Program(Format::Coco),
                path: String::new(),
            }),
            Command::Export => self.open_export(),
            Command::Report => {
                self.session.start_report();
                self.state.open_dialog(Dialog::Report);
            }
            Command::Quit => ctx.send_viewport_cmd(ViewportCommand::Close),
            Command::Copy => {
                self.session.execute(Command::Copy);
                if let Some(words) = self.session.words_text() {
                    ctx.copy_text(words);
                }
            }
            Command::Paste => self.session.paste_regions(),
            Command::CopyWords => match self.session.words_text() {
                Some(words) => {
                    ctx.copy_text(words.clone());
                    self.session
                        .notices
                        .info(format!("{} {words}", self.locale.text("copied:")));
                }
                None => self
                    .session
                    .notices
                    .info(self.locale.text("there are no words to copy yet")),
            },
            Command::Find => self.state.focuses_search = true,
            Command::EditLabel => self.open_label_dialog(),
            Command::ShowRebuilt => self.state.shows_rebuilt = !self.state.shows_rebuilt,
            Command::AddCaption => self.add_caption(),
            Command::AddConversation => self.add_conversation(),
            Command::MentionRegion => self.mention_selected(),
            Command::Reject => self.state.open_dialog(Dialog::Reject { typed: String::new() }),
            Command::ZoomIn | Command::ZoomOut => {
                let factor = if command == Command::ZoomIn { 1.25 } else { 0.8 };
                if let Some(view) = self.canvas.view_mut() {
                    let anchor = view.viewport().center();
                    view.zoom_by(factor, anchor);
                }
            }
            Command::Fit => {
                if let Some(view) = self.canvas.view_mut() {
                    view.fit();
                }
            }
            Command::ActualSize => {
                if let Some(view) = self.canvas.view_mut() {
                    let anchor = view.viewport().center();
                    view.zoom_to(1.0, anchor);
                }
            }
            Command::ZoomSelection => self.zoom_selection(),
            Command::ToggleMasks => self.state.hides_masks = !self.state.hides_masks,
            Command::LessOpacity | Command::MoreOpacity => {
                let by = if command == Command::MoreOpacity {
                    0.1
                } else {
                    -0.1
                };
                self.settings.fill_opacity = (self.settings.fill_opacity + by).clamp(0.0, 1.0);
                self.save_settings();
            }
            Command::ToggleGrid => {
                self.settings.has_grid = !self.settings.has_grid;
                self.save_settings();
            }
            Command::Adjust => self.state.adjusts = !self.state.adjusts,
            Command::ToggleTheme => {
                self.settings.theme = match self.settings.theme {
                    Theme::Dark => Theme::Light,
                    Theme::Light => Theme::Dark,
                };
                self.look_changed(ctx);
            }
            Command::ToggleLanguage => {
                self.settings.language = match self.settings.language {
                    Language::English => Language::Chinese,
                    Language::Chinese => Language::English,
                };
                self.locale.language = self.settings.language;
                self.save_settings();
            }
            Command::LargerInterface | Command::SmallerInterface => {
                let factor = if command == Command::LargerInterface {
                    1.1
                } else {
                    1.0 / 1.1
                };
                self.settings.interface_scale =
                    (self.settings.interface_scale * factor).clamp(*SCALES.start(), *SCALES.end());
                self.look_changed(ctx);
            }
            Command::Palette => self.state.open_dialog(Dialog::Palette {
                typed: String::new(),
                chosen: 0,
            }),
            Command::KeySheet => self.state.open_dialog(Dialog::KeySheet {
                typed: String::new(),
                listening: None,
            }),
            Command::Models => self.state.open_dialog(Dialog::Models),
            _ if self.run_language(command) => {}
            Command::Messages => self.state.open_dialog(Dialog::Messages),
            Command::About => self.state.open_dialog(Dialog::About),
            _ => {
                self.session.execute(command);
                self.tools.target_changed();
                if matches!(command, Command::NextRegion | Command::PreviousRegion) {
                    self.show_selection();
                }
            }
        }
    }

    fn look_changed(&mut self, ctx: &egui::Context) {
        theme::apply(ctx, self.settings.theme, self.settings.interface_scale);
        self.save_settings();
    }

    fn mention_selected(&mut self) {
        let Some(target) = self.state.mention.clone() else {
            self.session
                .notices
                .info(self.locale.text("click into a caption or a question first"));
            return;
        };
        let region = self
            .session
            .open()
            .and_then(|open| open.active())
            .map(|region| region.id.clone());
        if let Some(region) = region {
            self.state.tab = if target.text == TextTarget::Chat {
                Tab::Chat
            } else {
                Tab::Language
            };
            self.state.inserts.push((target, region));
        }
    }

    fn zoom_selection(&mut self) {
        let Some(open) = self.session.open() else { return };
        let regions = open.selected().iter().filter_map(|id| open.document().region(id));
        let bounds = regions
            .filter_map(|region| region.mask.rle.bounding_box())
            .reduce(crate::geometry::PixelRect::union);
        if let (Some(bounds), Some(view)) = (bounds, self.canvas.view_mut()) {
            view.fit_rect(bounds, 0.25);
        }
    }

    /// Moves the view so that the selected region is in it.
    pub(super) fn show_selection(&mut self) {
        let bounds = self
            .session
            .open()
            .and_then(|open| open.active())
            .and_then(|region| region.mask.rle.bounding_box());
        if let (Some(bounds), Some(view)) = (bounds, self.canvas.view_mut())
            && view
                .visible_pixels()
                .is_none_or(|visible| visible.intersection(bounds).is_none())
        {
            let center = crate::geometry::ImagePoint::new(
                bounds.x as f32 + bounds.width as f32 / 2.0,
                bounds.y as f32 + bounds.height as f32 / 2.0,
            );
            view.center_on(center);
        }
    }

    /// Whether a switch is on; `None` for commands that are no switches.
    pub(super) fn is_on(&self, command: Command) -> Option<bool> {
        if let Some((kind, _)) = TOOLS.iter().find(|(_, of)| *of == command) {
            return Some(self.tools.active() == *kind);
        }
        if let Some((combine, _)) = COMBINES.iter().find(|(_, of)| *of == command) {
            return Some(self.state.combine == *combine);
        }
        let open = self.session.open();
        match command {
            Command::ShowRebuilt => Some(self.state.shows_rebuilt),
            Command::ToggleMasks => Some(!self.state.hides_masks),
            Command::ToggleHidden => {
                open.map(|open| open.active().is_some_and(|region| open.is_hidden(&region.id)))
            }
            Command::Solo => open.map(OpenDocument::is_solo),
            Command::ToggleGrid => Some(self.settings.has_grid),
            Command::Adjust => Some(self.state.adjusts),
            _ => None,
        }
    }

    /// Whether a command makes sense now.
    pub(super) fn is_enabled(&self, command: Command) -> bool {
        let open = self.session.open();
        let selected = open.map_or(0, |open| open.selected().len());
        match command {
            Command::Undo => open.is_some_and(|open| !open.history().is_empty()),
            Command::Redo => open.is_some_and(|open| open.history().next_redo().is_some()),
            Command::Paste => self.session.has_copied() && open.is_some(),
            Command::Merge => selected > 1,
            Command::Copy
            | Command::Cut
            | Command::Duplicate
            | Command::Delete
            | Command::EditLabel
            | Command::FillHoles
            | Command::DropSpecks
            | Command::Grow
            | Command::Shrink
            | Command::Smooth
            | Command::Split
            | Command::RemoveUnderlying
            | Command::ToFront
            | Command::ToBack
            | Command::ToggleHidden
            | Command::ZoomSelection => selected > 0,
            Command::ProposeCaption => selected > 0,
            Command::AddChat => self.session.chat().is_some_and(Chat::can_be_added),
            Command::ClearChat => self.session.chat().is_some_and(|chat| !chat.turns.is_empty()),
            Command::StopAnswer => self.session.language.is_busy(),
            Command::ProposeAnswer
            | Command::ProposeDescription
            | Command::ProposeNamed
            | Command::ProposeCategories
            | Command::Chat
            | Command::NextProposal
            | Command::PreviousProposal
            | Command::AcceptProposal
            | Command::KeepProposal
            | Command::EditProposal
            | Command::RejectProposal
            | Command::SelectAll
            | Command::NextRegion
            | Command::PreviousRegion
            | Command::AddConversation
            | Command::MarkDone
            | Command::Approve
            | Command::Reject
            | Command::MarkDraft
            | Command::Fit
            | Command::ActualSize
            | Command::ZoomIn
            | Command::ZoomOut
            | Command::Save
            | Command::RefreshWords
            | Command::SearchWords
            | Command::CopyWords
            | Command::AddCaption
            | Command::MentionRegion => open.is_some(),
            Command::ProposalStatistics
            | Command::Import
            | Command::Export
            | Command::Report
            | Command::FolderWords
            | Command::Rescan
            | Command::NextToReview
            | Command::NextEmpty
            | Command::NextUnanswered => self.session.list.is_some(),
            Command::NextImage | Command::PreviousImage => open.is_some() || self.session.opening().is_some(),
            _ => true,
        }
    }

    /// Labels of the digit keys: those that were chosen, then those that the folder uses most.
    pub(super) fn digit_labels(&self) -> Vec<String> {
        let mut labels = self.settings.labels.clone();
        let mut used = self
            .session
            .list
            .as_ref()
            .map(|list| list.state.labels.clone())
            .unwrap_or_default();
        used.sort_by_key(|label| std::cmp::Reverse(label.regions));
        for label in used {
            if !label.label.is_empty() && !labels.contains(&label.label) {
                labels.push(label.label);
            }
        }
        let open = self.session.open().map(|open| open.document());
        for region in open.into_iter().flat_map(|document| &document.regions) {
            if !region.label.is_empty() && !labels.contains(&region.label) {
                labels.push(region.label.clone());
            }
        }
        labels.truncate(10);
        labels
    }
}
