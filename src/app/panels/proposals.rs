//! The proposals that wait for a person: the one that is looked at, with what can be decided, and the others.

use eframe::egui::{Frame, RichText, Ui};

use super::chat_tab::mentions_ui;
use super::language_tab::region_chip;
use crate::app::state::UiState;
use crate::app::{StudioApp, theme};
use crate::command::Command;
use crate::dataset::Document;
use crate::language::proposals::OpenProposal;
use crate::locale::Locale;

/// Proposals that are listed at once.
const LISTED: usize = 200;

impl StudioApp {
    pub(in crate::app) fn proposals_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let open = self.session.open_proposals();
        let Some(document) = self.session.open().map(|open| open.document()) else {
            return;
        };
        ui.horizontal(|ui| {
            ui.strong(locale.text("Proposals"));
            ui.weak(open.len().to_string());
        });
        if open.is_empty() {
            ui.weak(locale.text("Nothing waits for you. What a language model proposes is listed here."));
            let button = ui.button(locale.text(Command::ProposalStatistics.text()));
            if self.with_tip(button, Command::ProposalStatistics).clicked() {
                self.queue.push(Command::ProposalStatistics);
            }
            ui.separator();
            return;
        }
        let current = self.session.current_proposal().cloned();
        let has_twin = current
            .as_ref()
            .is_some_and(|current| current.twin(document).is_some());
        if let Some(current) = &current {
            let place = open.iter().position(|other| other == current).unwrap_or(0);
            Frame::group(ui.style())
                .fill(ui.visuals().faint_bg_color)
                .show(ui, |ui| {
                    ui.set_width(ui.available_width());
                    ui.weak(
                        RichText::new(format!(
                            "{} / {}  ·  {}",
                            place + 1,
                            open.len(),
                            current.model(document)
                        ))
                        .small(),
                    );
                    card_ui(ui, current, document, locale, &mut self.state);
                });
        }
        let others = open.iter().filter(|proposal| current.as_ref() != Some(*proposal));
        let lines: Vec<(OpenProposal, String)> = others
            .take(LISTED)
            .map(|proposal| (proposal.clone(), line(proposal, document, locale)))
            .collect();
        let commands: &[Command] = match (&current, has_twin) {
            (None, _) => &[Command::NextProposal],
            (Some(_), true) => &[
                Command::AcceptProposal,
                Command::KeepProposal,
                Command::EditProposal,
                Command::RejectProposal,
                Command::NextProposal,
            ],
            (Some(_), false) => &[
                Command::AcceptProposal,
                Command::EditProposal,
                Command::RejectProposal,
                Command::NextProposal,
            ],
        };
        ui.horizontal_wrapped(|ui| {
            for command in commands.iter().copied() {
                let name = match command {
                    Command::AcceptProposal if has_twin => locale.text("Link"),
                    Command::AcceptProposal => locale.text("Accept"),
                    Command::EditProposal => locale.text("Edit"),
                    Command::RejectProposal => locale.text("Reject"),
                    Command::KeepProposal => locale.text("Keep both"),
                    _ => locale.text("Next"),
                };
                let key = crate::app::keys::shown_key(&self.settings, command);
                let button = ui.button(format!("{name}  {key}"));
                if self.with_tip(button, command).clicked() {
                    self.queue.push(command);
                }
            }
        });
        let mut looked_at = None;
        for (proposal, text) in lines {
            if ui.selectable_label(false, RichText::new(text).small()).clicked() {
                looked_at = Some(proposal);
            }
        }
        if let Some(proposal) = looked_at {
            self.look_at(proposal);
        }
        ui.separator();
    }
}

/// A proposal in full.
fn card_ui(ui: &mut Ui, proposal: &OpenProposal, document: &Document, locale: Locale, state: &mut UiState) {
    if let Some(caption) = proposal.caption(document) {
        if let Some(region) = proposal.region(document) {
            ui.horizontal_wrapped(|ui| {
                ui.label(locale.text("A caption for"));
                region_chip(ui, region);
            });
        }
        mentions_ui(ui, &caption.text, document, &[], state);
    } else if let Some(conversation) = proposal.conversation(document) {
        for turn in &conversation.turns {
            let role = match turn.role {
                crate::dataset::Role::User => RichText::new(locale.text("Question")).color(theme::ACCENT),
                _ => RichText::new(locale.text("Answer")).color(theme::color(theme::BOTH)),
            };
            ui.label(role.small().strong());
            mentions_ui(ui, &turn.text, document, &[], state);
        }
    } else if let Some(region) = proposal.region(document) {
        ui.horizontal_wrapped(|ui| {
            ui.label(locale.text("A region"));
            region_chip(ui, region);
            if region.label.is_empty() {
                ui.weak(locale.text("without a label"));
            }
        });
        if let Some((twin, iou)) = proposal.twin(document) {
            ui.horizontal_wrapped(|ui| {
                ui.label(locale.text("Nearly the same as"));
                region_chip(ui, twin);
                ui.label(format!("({:.0} %).", 100.0 * iou));
                ui.label(locale.text("Link lets that one stand for it in all texts."));
            });
        }
    }
}

/// A proposal in a line.
fn line(proposal: &OpenProposal, document: &Document, locale: Locale) -> String {
    let shortened = |text: &str| {
        let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let short: String = line.chars().take(48).collect();
        if short.len() < line.len() {
            format!("{short}…")
        } else {
            short
        }
    };
    match proposal {
        OpenProposal::Region(id) => {
            let label = proposal
                .region(document)
                .map_or("", |region| region.label.as_str());
            format!("{} {id} {label}", locale.text("A region"))
                .trim_end()
                .to_owned()
        }
        OpenProposal::Caption { region, .. } => {
            let text = proposal
                .caption(document)
                .map_or("", |caption| caption.text.as_str());
            format!("{} {region}: {}", locale.text("A caption for"), shortened(text))
        }
        OpenProposal::Conversation(id) => {
            let turns = proposal
                .conversation(document)
                .map(|known| known.turns.as_slice())
                .unwrap_or_default();
            let text = turns.get(1).map_or("", |turn| turn.text.as_str());
            format!("{} {id}: {}", locale.text("A conversation"), shortened(text))
        }
    }
}
