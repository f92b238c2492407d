//! Commands about the language model: the chat, what it is to propose, and what a person decides on that.

use super::StudioApp;
use super::state::{Dialog, MentionTarget, Tab, TextTarget};
use crate::command::Command;
use crate::language::proposals::OpenProposal;
use crate::language::proposals::outcome::GroupBy;
use crate::language::tasks::VisionTask;
use crate::session::language::proposing::Verdict;

impl StudioApp {
    /// Takes over the language model of the settings; what is wrong with them is told.
    pub(super) fn use_language_model(&mut self) {
        let settings = &self.settings.language_model;
        let trained_with =
            Some(settings.trained_with.trim().to_owned()).filter(|trained| !trained.is_empty());
        match settings.choice(&self.settings.device) {
            Ok(choice) => self.session.choose_language_model(choice, trained_with),
            Err(reason) => {
                self.session.choose_language_model(None, None);
                let told = format!("the language model cannot be used: {reason}");
                self.session.notices.warn(told);
            }
        }
    }

    /// Runs a command about the language model; `false` for any other.
    pub(super) fn run_language(&mut self, command: Command) -> bool {
        match command {
            Command::Chat => self.focus_chat(),
            Command::AddChat => self.session.add_chat(),
            Command::ClearChat => self.session.clear_chat(),
            Command::StopAnswer => self.session.stop_asking(),
            Command::LanguageModel => self.state.open_dialog(Dialog::LanguageModel {
                form: self.settings.language_model.clone(),
            }),
            Command::ProposeCaption => self.propose(VisionTask::Caption, ""),
            Command::ProposeDescription => self.propose(VisionTask::Describe, ""),
            Command::ProposeAnswer => self.ask_what(VisionTask::Ask, String::new()),
            Command::ProposeNamed => self.ask_what(VisionTask::Segment, String::new()),
            Command::ProposeCategories => self.ask_what(VisionTask::Detect, self.digit_labels().join(", ")),
            Command::NextProposal => self.step_proposal(1),
            Command::PreviousProposal => self.step_proposal(-1),
            Command::AcceptProposal => self.decide(Verdict::Accept),
            Command::KeepProposal => self.decide(Verdict::KeepBoth),
            Command::RejectProposal => self.decide(Verdict::Reject),
            Command::EditProposal => self.edit_proposal(),
            Command::ProposalStatistics => {
                self.session.start_outcomes();
                self.state.open_dialog(Dialog::ProposalStatistics {
                    by: GroupBy::default(),
                });
            }
            _ => return false,
        }
        true
    }

    /// Shows the chat with the cursor in its question.
    fn focus_chat(&mut self) {
        self.state.tab = Tab::Chat;
        let draft = self.session.chat().map_or("", |chat| chat.draft.as_str());
        self.state.focus = Some(MentionTarget {
            text: TextTarget::Chat,
            cursor: draft.chars().count(),
        });
    }

    /// Asks a person what the model is to answer, mark or look for.
    fn ask_what(&mut self, task: VisionTask, typed: String) {
        if self.session.language.choice().is_none() {
            self.state.tab = Tab::Chat;
        }
        self.state.open_dialog(Dialog::Propose { task, typed });
    }

    /// Asks for proposals; how far they are is seen in the chat.
    pub(super) fn propose(&mut self, task: VisionTask, text: &str) {
        self.state.tab = Tab::Chat;
        self.session.propose(task, text);
    }

    fn step_proposal(&mut self, by: isize) {
        if self.session.step_proposal(by) {
            self.show_proposal();
        }
    }

    pub(super) fn look_at(&mut self, proposal: OpenProposal) {
        self.session.look_at_proposal(proposal);
        self.show_proposal();
    }

    fn decide(&mut self, verdict: Verdict) {
        self.session.decide(verdict);
        self.show_proposal();
    }

    fn show_proposal(&mut self) {
        self.state.tab = Tab::Review;
        self.tools.target_changed();
        self.show_selection();
    }

    /// Puts the hand on what is proposed: the brush on a mask, the cursor into a text.
    fn edit_proposal(&mut self) {
        let Some(open) = self.session.open() else { return };
        let Some(current) = self.session.current_proposal().cloned() else {
            return self.step_proposal(1);
        };
        let document = open.document();
        let text = match &current {
            OpenProposal::Region(_) => None,
            OpenProposal::Caption { region, index } => {
                let text = TextTarget::Caption {
                    region: region.clone(),
                    index: *index,
                };
                Some((
                    text,
                    current
                        .caption(document)
                        .map_or("", |caption| caption.text.as_str()),
                ))
            }
            OpenProposal::Conversation(id) => {
                let text = TextTarget::Turn {
                    conversation: id.clone(),
                    index: 1,
                };
                let turn = current
                    .conversation(document)
                    .and_then(|known| known.turns.get(1));
                Some((text, turn.map_or("", |turn| turn.text.as_str())))
            }
        };
        let focus = text.map(|(text, said)| MentionTarget {
            text,
            cursor: said.chars().count(),
        });
        self.look_at(current);
        match focus {
            Some(focus) => {
                self.state.tab = Tab::Language;
                self.state.focus = Some(focus);
            }
            None => self.queue.push(Command::ToolBrush),
        }
    }
}
