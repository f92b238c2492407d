//! Decisions on proposals as edits: accepted ones stay, rejected and linked ones leave only a record.
//!
//! A proposal that a person threw out must not come back in training data, but it has to be counted, and the same
//! question should not be asked again; so what is kept of it moves into a list of the document.

use serde_json::{Map, Value, json};

use super::{DECIDED_KEY, PROPOSAL_KEY};
use crate::dataset::{
    Caption, Conversation, ConversationChange, Document, Edit, Mentions, Region, RegionChange, Status,
    UnknownKeys, mention,
};
use crate::language::tasks::VisionTask;

/// The decision on a region that another one stands for.
pub(super) const LINKED: &str = "linked";
const REJECTED: &str = "rejected";
const ACCEPTED: &str = "accepted";
/// The key of a record that has what was decided.
const DECISION: &str = "decision";
/// The key of a caption's record that has the status which its region had by then.
const STATUS: &str = "region_status";

/// A proposal that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OpenProposal {
    /// A region.
    Region(String),
    /// A caption of a region.
    Caption {
        /// The region.
        region: String,
        /// Which caption.
        index: usize,
    },
    /// A conversation.
    Conversation(String),
}

/// What waits for a person, regions with their captions first.
#[must_use]
pub fn open_proposals(document: &Document) -> Vec<OpenProposal> {
    let mut open = Vec::new();
    for region in &document.regions {
        if region.status == Status::Draft && region.unknown.contains_key(PROPOSAL_KEY) {
            open.push(OpenProposal::Region(region.id.clone()));
        }
        for (index, caption) in region.captions.iter().enumerate() {
            let is_proposed = caption.unknown.contains_key(PROPOSAL_KEY);
            if is_proposed && status_of_caption(region, caption) == Status::Draft {
                let region = region.id.clone();
                open.push(OpenProposal::Caption { region, index });
            }
        }
    }
    let conversations = document.conversations.iter().filter(|conversation| {
        conversation.status == Status::Draft && conversation.unknown.contains_key(PROPOSAL_KEY)
    });
    open.extend(conversations.map(|conversation| OpenProposal::Conversation(conversation.id.clone())));
    open
}

/// How far the work on a caption is: what was decided on it, else what was decided on its region since.
pub(super) fn status_of_caption(region: &Region, caption: &Caption) -> Status {
    let kept = caption.unknown.get(PROPOSAL_KEY);
    if kept.is_some_and(|kept| kept[DECISION] == ACCEPTED) {
        return Status::Done;
    }
    let before = kept.and_then(|kept| kept[STATUS].as_str());
    if before == Some(region.status.as_str()) {
        Status::Draft
    } else {
        region.status
    }
}

/// Notes the status that a region has when a caption is proposed for it.
pub(super) fn note_status(unknown: &mut UnknownKeys, status: Status) {
    if let Some(kept) = unknown.get_mut(PROPOSAL_KEY).and_then(Value::as_object_mut)
        && status != Status::Draft
    {
        kept.insert(STATUS.to_owned(), json!(status.as_str()));
    }
}

/// Whether a proposal to this question was there and is not any more.
pub(super) fn is_decided(
    document: &Document,
    model: &str,
    task: VisionTask,
    (key, value): (&str, Option<&str>),
) -> bool {
    let decided = document.unknown.get(DECIDED_KEY).and_then(Value::as_array);
    decided.into_iter().flatten().any(|kept| {
        value.is_some()
            && kept["model"] == model
            && kept["task"] == task.name()
            && kept[key].as_str() == value
    })
}

impl OpenProposal {
    /// Whether it still waits.
    #[must_use]
    pub fn is_open(&self, document: &Document) -> bool {
        open_proposals(document).contains(self)
    }

    /// The region that it is or belongs to.
    #[must_use]
    pub fn region<'d>(&self, document: &'d Document) -> Option<&'d Region> {
        match self {
            Self::Region(id) | Self::Caption { region: id, .. } => document.region(id),
            Self::Conversation(_) => None,
        }
    }

    /// The caption that it is.
    #[must_use]
    pub fn caption<'d>(&self, document: &'d Document) -> Option<&'d Caption> {
        match self {
            Self::Caption { region, index } => document.region(region)?.captions.get(*index),
            _ => None,
        }
    }

    /// The conversation that it is.
    #[must_use]
    pub fn conversation<'d>(&self, document: &'d Document) -> Option<&'d Conversation> {
        match self {
            Self::Conversation(id) => document.conversations.iter().find(|known| known.id == *id),
            _ => None,
        }
    }

    /// What is kept of it.
    fn kept<'d>(&self, document: &'d Document) -> Option<&'d Map<String, Value>> {
        let unknown = match self {
            Self::Region(id) => &document.region(id)?.unknown,
            Self::Caption { .. } => &self.caption(document)?.unknown,
            Self::Conversation(_) => &self.conversation(document)?.unknown,
        };
        unknown.get(PROPOSAL_KEY)?.as_object()
    }

    /// The model that made it.
    #[must_use]
    pub fn model<'d>(&self, document: &'d Document) -> &'d str {
        let kept = self.kept(document).and_then(|kept| kept.get("model")?.as_str());
        kept.unwrap_or_default()
    }

    /// A region that was there before and has nearly the same mask, with the IoU.
    #[must_use]
    pub fn twin<'d>(&self, document: &'d Document) -> Option<(&'d Region, f64)> {
        let Self::Region(_) = self else { return None };
        let twin = self.kept(document)?.get("twin")?;
        let region = document.region(twin["id"].as_str()?)?;
        Some((region, twin["iou"].as_f64()?))
    }

    /// The edits that keep it as it is now.
    #[must_use]
    pub fn accept(&self, document: &Document) -> Vec<Edit> {
        let edit = match self {
            Self::Region(id) => Edit::Region {
                id: id.clone(),
                change: RegionChange::Status(Status::Done),
            },
            Self::Caption { region, index } => {
                let Some(mut caption) = self.caption(document).cloned() else {
                    return Vec::new();
                };
                let kept = caption
                    .unknown
                    .get_mut(PROPOSAL_KEY)
                    .and_then(Value::as_object_mut);
                if let Some(kept) = kept {
                    kept.insert(DECISION.to_owned(), json!(ACCEPTED));
                }
                Edit::Region {
                    id: region.clone(),
                    change: RegionChange::Caption {
                        index: *index,
                        caption,
                    },
                }
            }
            Self::Conversation(id) => Edit::Conversation {
                id: id.clone(),
                change: ConversationChange::Status(Status::Done),
            },
        };
        vec![edit]
    }

    /// The edits that take it away and keep a record of it.
    #[must_use]
    pub fn reject(&self, document: &Document) -> Vec<Edit> {
        let edit = match self {
            Self::Region(id) => {
                let label = document.region(id).map_or("", |region| region.label.as_str());
                let text = if label.is_empty() { id } else { label };
                Edit::remove_region(document, id, &Mentions::Replace(text.to_owned()))
            }
            Self::Caption { region, index } => Edit::Region {
                id: region.clone(),
                change: RegionChange::RemoveCaption { index: *index },
            },
            Self::Conversation(id) => Edit::RemoveConversation { id: id.clone() },
        };
        let record = self.decided(document, REJECTED, &[]);
        record.map_or_else(Vec::new, |record| vec![edit, record])
    }

    /// The edits that let its twin stand for it wherever it is mentioned; none without a twin.
    #[must_use]
    pub fn link(&self, document: &Document) -> Vec<Edit> {
        let (Self::Region(id), Some((twin, iou))) = (self, self.twin(document)) else {
            return Vec::new();
        };
        let renamed = |mentioned: &str| (mentioned == id).then_some(twin.id.as_str());
        let mut edits = Vec::new();
        // The link is no change of the text that the model wrote.
        for conversation in &document.conversations {
            let mut unknown = conversation.unknown.clone();
            let text = unknown
                .get_mut(PROPOSAL_KEY)
                .and_then(|kept| kept.get_mut("text"));
            let Some(text) = text else { continue };
            let new = text.as_str().map(|text| mention::renamed(text, renamed));
            if let Some(new) = new.filter(|new| text.as_str() != Some(new.as_str())) {
                *text = json!(new);
                edits.push(Edit::Conversation {
                    id: conversation.id.clone(),
                    change: ConversationChange::Unknown(unknown),
                });
            }
        }
        let mention = Mentions::Replace(format!("[[{}]]", twin.id));
        edits.push(Edit::remove_region(document, id, &mention));
        edits.extend(self.decided(
            document,
            LINKED,
            &[("iou", json!(iou)), ("region", json!(twin.id))],
        ));
        edits
    }

    /// The edit that puts what is kept of it, and what was decided, into the document's list.
    fn decided(&self, document: &Document, decision: &str, more: &[(&str, Value)]) -> Option<Edit> {
        let mut kept = self.kept(document)?.clone();
        kept.insert(DECISION.to_owned(), json!(decision));
        let asked = match self {
            Self::Region(_) => None,
            Self::Caption { region, .. } => Some(("target", region.as_str())),
            Self::Conversation(_) => {
                let turn = self.conversation(document).and_then(|known| known.turns.first());
                Some(("question", turn.map_or("", |turn| turn.text.as_str())))
            }
        };
        if let Self::Caption { .. } = self {
            let label = self.region(document).map_or("", |region| region.label.as_str());
            kept.insert("label".to_owned(), json!(label));
        }
        kept.extend(asked.map(|(key, value)| (key.to_owned(), json!(value))));
        kept.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let mut unknown = document.unknown.clone();
        let list = unknown.entry(DECIDED_KEY).or_insert_with(|| json!([]));
        match list.as_array_mut() {
            Some(list) => list.push(Value::Object(kept)),
            // Somebody else's key stays as it is.
            None => return None,
        }
        Some(Edit::Unknown(unknown))
    }
}
