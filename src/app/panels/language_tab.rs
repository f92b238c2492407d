//! Captions and conversations: what is said about the image and its regions.

use eframe::egui::{self, CollapsingHeader, ComboBox, RichText, ScrollArea, Ui};

use crate::app::mention_text::{MentionText, Written};
use crate::app::state::{Dialog, MentionTarget, TextTarget};
use crate::app::{StudioApp, theme};
use crate::command::Command;
use crate::dataset::{
    Caption, Conversation, ConversationChange, Edit, Region, RegionChange, Role, Status, Task, Turn,
};
use crate::locale::Locale;
use crate::session::regions::color_of;

impl StudioApp {
    pub(in crate::app) fn language_tab_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        if self.session.open().is_none() {
            ui.weak(locale.text("no image is open"));
            return;
        }
        ui.weak(locale.text("Type @ or click a region while writing to mention it."));
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .id_salt("language")
            .show(ui, |ui| {
                self.captions_ui(ui);
                ui.separator();
                self.conversations_ui(ui);
            });
    }

    fn captions_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let region = self.session.open().and_then(|open| open.active()).cloned();
        ui.horizontal(|ui| {
            ui.strong(locale.text("Captions"));
            if let Some(region) = &region {
                region_chip(ui, region);
            }
        });
        let Some(region) = region else {
            ui.weak(locale.text("Select a region to write captions for it."));
            return;
        };
        for (index, caption) in region.captions.iter().enumerate() {
            let target = TextTarget::Caption {
                region: region.id.clone(),
                index,
            };
            let name = locale.format(
                "Caption {number} of {region}",
                &[("number", &(index + 1)), ("region", &region.id)],
            );
            let written = self.text_field_ui(
                ui,
                target,
                &caption.text,
                locale.text("Describe this region"),
                name,
                2,
            );
            if let Some(text) = written {
                let caption = Caption {
                    text,
                    ..caption.clone()
                };
                self.change_region(&region.id, RegionChange::Caption { index, caption });
            }
            ui.horizontal(|ui| {
                if let Some(author) = &caption.author {
                    ui.label(RichText::new(author).small().weak());
                }
                if ui.small_button(locale.text("Delete this caption")).clicked() {
                    self.change_region(&region.id, RegionChange::RemoveCaption { index });
                }
            });
        }
        let button = ui.button(locale.text("Add a caption"));
        if self.with_tip(button, Command::AddCaption).clicked() {
            self.queue.push(Command::AddCaption);
        }
    }

    fn change_region(&mut self, id: &str, change: RegionChange) {
        self.session.apply(vec![Edit::Region {
            id: id.to_owned(),
            change,
        }]);
    }

    fn change_conversation(&mut self, id: &str, change: ConversationChange) {
        self.session.apply(vec![Edit::Conversation {
            id: id.to_owned(),
            change,
        }]);
    }

    /// Adds an empty caption to the active region and puts the cursor there.
    pub(in crate::app) fn add_caption(&mut self) {
        let author = if self.settings.author.is_empty() {
            "human".to_owned()
        } else {
            self.settings.author.clone()
        };
        let Some((id, index)) = self
            .session
            .open()
            .and_then(|open| open.active())
            .map(|region| (region.id.clone(), region.captions.len()))
        else {
            self.session.notices.info(
                self.locale
                    .text("select the region that the caption is about first"),
            );
            return;
        };
        let caption = Caption::new(String::new(), Some(author));
        self.change_region(&id, RegionChange::AddCaption { index, caption });
        self.state.tab = crate::app::state::Tab::Language;
        self.state.focus = Some(MentionTarget {
            text: TextTarget::Caption { region: id, index },
            cursor: 0,
        });
    }

    /// Adds a conversation with a question that mentions the selected regions, and puts the cursor there.
    pub(in crate::app) fn add_conversation(&mut self) {
        let Some(open) = self.session.open() else { return };
        let id = open.document().next_conversation_id();
        let mut conversation = Conversation::new(id.clone(), Task::RegionQa);
        let mentions: Vec<String> = open.selected().iter().map(|id| format!("[[{id}]]")).collect();
        let question = mentions.join(" ");
        let cursor = question.chars().count();
        conversation.turns.push(Turn::new(Role::User, question));
        conversation.turns.push(Turn::new(Role::Assistant, String::new()));
        self.session.apply(vec![Edit::AddConversation {
            index: usize::MAX,
            conversation: Box::new(conversation),
        }]);
        self.state.tab = crate::app::state::Tab::Language;
        self.state.focus = Some(MentionTarget {
            text: TextTarget::Turn {
                conversation: id,
                index: 0,
            },
            cursor,
        });
    }

    fn conversations_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let conversations = self
            .session
            .open()
            .map(|open| open.document().conversations.clone())
            .unwrap_or_default();
        ui.horizontal(|ui| {
            ui.strong(locale.text("Conversations"));
            ui.weak(conversations.len().to_string());
        });
        for conversation in &conversations {
            let title = format!("{}  {}", conversation.id, task_text(conversation.task, locale));
            CollapsingHeader::new(title)
                .id_salt(("conversation", &conversation.id))
                .default_open(true)
                .show(ui, |ui| {
                    self.conversation_ui(ui, conversation);
                });
        }
        ui.horizontal(|ui| {
            let button = ui.button(locale.text("New conversation"));
            if self.with_tip(button, Command::AddConversation).clicked() {
                self.queue.push(Command::AddConversation);
            }
            if ui.button(locale.text("Preview the training records")).clicked() {
                self.state.open_dialog(Dialog::Preview(Box::default()));
            }
        });
    }

    fn conversation_ui(&mut self, ui: &mut Ui, conversation: &Conversation) {
        let locale = self.locale;
        let id = &conversation.id;
        ui.horizontal(|ui| {
            let mut task = conversation.task;
            ComboBox::from_id_salt(("task", id))
                .selected_text(task_text(task, locale))
                .width(170.0)
                .show_ui(ui, |ui| {
                    for choice in Task::ALL {
                        ui.selectable_value(&mut task, *choice, task_text(*choice, locale));
                    }
                });
            if task != conversation.task {
                self.change_conversation(id, ConversationChange::Task(task));
            }
            let mut is_done = conversation.status != Status::Draft;
            if ui.checkbox(&mut is_done, locale.text("done")).changed() {
                let status = if is_done { Status::Done } else { Status::Draft };
                self.change_conversation(id, ConversationChange::Status(status));
            }
            if ui
                .small_button(locale.text("Delete"))
                .on_hover_text(locale.text("delete this conversation"))
                .clicked()
            {
                self.session
                    .apply(vec![Edit::RemoveConversation { id: id.clone() }]);
            }
        });
        for (index, turn) in conversation.turns.iter().enumerate() {
            let is_user = turn.role == Role::User;
            ui.horizontal(|ui| {
                let role = if is_user {
                    locale.text("Question")
                } else {
                    locale.text("Answer")
                };
                ui.label(RichText::new(role).small().strong().color(if is_user {
                    theme::ACCENT
                } else {
                    theme::color(theme::BOTH)
                }));
                if ui
                    .small_button("×")
                    .on_hover_text(locale.text("delete this turn"))
                    .clicked()
                {
                    self.change_conversation(id, ConversationChange::RemoveTurn { index });
                }
            });
            let target = TextTarget::Turn {
                conversation: id.clone(),
                index,
            };
            let hint = if is_user {
                locale.text("Ask about the image or about @regions")
            } else {
                locale.text("Answer; mention @regions")
            };
            let role = if is_user {
                locale.text("Question")
            } else {
                locale.text("Answer")
            };
            let name = format!("{role} {} {id}", index / 2 + 1);
            if let Some(text) =
                self.text_field_ui(ui, target, &turn.text, hint, name, if is_user { 1 } else { 2 })
            {
                self.change_conversation(
                    id,
                    ConversationChange::Turn {
                        index,
                        turn: Turn { text, ..turn.clone() },
                    },
                );
            }
        }
        if ui
            .small_button(locale.text("Add a question and an answer"))
            .clicked()
        {
            let index = conversation.turns.len();
            self.session.apply(vec![
                Edit::Conversation {
                    id: id.clone(),
                    change: ConversationChange::AddTurn {
                        index,
                        turn: Turn::new(Role::User, String::new()),
                    },
                },
                Edit::Conversation {
                    id: id.clone(),
                    change: ConversationChange::AddTurn {
                        index: index + 1,
                        turn: Turn::new(Role::Assistant, String::new()),
                    },
                },
            ]);
            self.state.focus = Some(MentionTarget {
                text: TextTarget::Turn {
                    conversation: id.clone(),
                    index,
                },
                cursor: 0,
            });
        }
    }

    /// A text with mentions; the text where it was changed.
    #[expect(clippy::too_many_arguments, reason = "a field with all that is said about it")]
    fn text_field_ui(
        &mut self,
        ui: &mut Ui,
        target: TextTarget,
        text: &str,
        hint: &str,
        name: String,
        rows: usize,
    ) -> Option<String> {
        let locale = self.locale;
        let open = self.session.open()?;
        let field = MentionText {
            document: open.document(),
            target,
            text,
            hint,
            name,
            rows,
            more: &[],
            is_sent_by_enter: false,
            locale,
        };
        let Written { text, is_left, .. } = field.show(ui, &mut self.state);
        if is_left && let Some(open) = self.session.open_mut() {
            open.end_typing();
        }
        text
    }
}

/// A region as a coloured chip.
pub(in crate::app) fn region_chip(ui: &mut Ui, region: &Region) {
    let rgb = color_of(region).rgb;
    let text = if region.label.is_empty() {
        region.id.clone()
    } else {
        format!("{} {}", region.id, region.label)
    };
    ui.add(
        egui::Label::new(
            RichText::new(format!(" {text} "))
                .background_color(theme::color(rgb))
                .color(theme::text_on(rgb)),
        )
        .selectable(false),
    );
}

/// A task in words.
pub(in crate::app) fn task_text(task: Task, locale: Locale) -> &'static str {
    match task {
        Task::Caption => locale.text("image caption"),
        Task::DetailedCaption => locale.text("detailed caption"),
        Task::RegionQa => locale.text("questions about regions"),
        Task::GroundedCaption => locale.text("grounded caption"),
        Task::ReferringSegmentation => locale.text("segment what is named"),
        Task::NoTarget => locale.text("named but not there"),
        Task::ReasoningSegmentation => locale.text("segment by reasoning"),
        Task::Interactive => locale.text("several rounds"),
        Task::SceneGraph => locale.text("scene graph"),
        Task::Free => locale.text("free"),
    }
}
