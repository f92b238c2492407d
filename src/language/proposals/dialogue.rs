//! A chat of several rounds as one conversation of the document, with regions for its masks.

use serde_json::json;

use super::{Choice, Proposal};
use crate::dataset::{Conversation, Document, Edit, mention};

/// The rounds of a chat, each read on its own.
#[derive(Clone, Debug, Default)]
pub struct Dialogue {
    rounds: Vec<Round>,
}

#[derive(Clone, Debug)]
struct Round {
    proposal: Proposal,
    /// What the chat called the masks of this answer.
    names: Vec<String>,
}

impl Dialogue {
    /// Adds a round; its question may mention the masks of earlier answers by the `names` that those were given.
    pub fn add(&mut self, proposal: Proposal, names: Vec<String>) {
        self.rounds.push(Round { proposal, names });
    }

    /// The edit that adds the conversation and the regions of its masks as drafts, and which region each name became;
    /// `None` for a dialogue without rounds.
    #[must_use]
    pub fn edit(&self, document: &Document) -> Option<(Edit, Vec<(String, String)>)> {
        let mut changed = document.clone();
        let mut edits = Vec::new();
        let mut became: Vec<(String, String)> = Vec::new();
        let mut whole: Option<Conversation> = None;
        let mut said = Vec::new();
        for round in &self.rounds {
            let mut proposal = round.proposal.clone();
            let known = |name: &str| {
                became
                    .iter()
                    .find(|(from, _)| from == name)
                    .map(|(_, to)| to.as_str())
            };
            proposal.question = mention::renamed(&proposal.question, known);
            // A mask of an earlier round is a region by now, though it may be no person's.
            let choices: Vec<Choice> = proposal
                .regions
                .iter()
                .zip(&round.names)
                .map(|(region, name)| match &region.twin {
                    Some(_) if known(name).is_none() => Choice::AddAnyway,
                    _ => Choice::Accept,
                })
                .collect();
            for (region, name) in proposal.regions.iter_mut().zip(&round.names) {
                if let Some(id) = known(name) {
                    region.twin = Some(super::Twin {
                        id: id.to_owned(),
                        iou: 1.0,
                    });
                }
            }
            let ids = proposal.places(&changed, &choices);
            if let Some(Edit::Several(parts)) = proposal.edit(&changed, &choices) {
                for part in parts {
                    if part.clone().apply(&mut changed).is_err() {
                        return None;
                    }
                    match part {
                        Edit::AddConversation { conversation, .. } => {
                            said.extend(conversation.turns.get(1).map(|turn| turn.text.clone()));
                            match &mut whole {
                                Some(whole) => whole.turns.extend(conversation.turns),
                                None => whole = Some(*conversation),
                            }
                        }
                        part => edits.push(part),
                    }
                }
            }
            let named = round.names.iter().cloned().zip(ids);
            became.extend(named.filter_map(|(name, id)| Some((name, id?))));
        }
        let (mut whole, first) = (whole?, self.rounds.first()?);
        whole.unknown = first.proposal.kept(&[("text", json!(said.join("\n")))]);
        edits.push(Edit::AddConversation {
            index: document.conversations.len(),
            conversation: Box::new(whole),
        });
        Some((Edit::Several(edits), became))
    }
}
