//! What is accepted of a proposal, as an edit that only adds to a document.

use serde_json::{Map, Value, json};

use super::{PROPOSAL_KEY, Proposal, ProposedRegion, deciding};
use crate::dataset::{
    Caption, Conversation, Document, Edit, MaskWords, Region, RegionChange, Role, Status, Task, Tokenizer,
    Turn, UnknownKeys, mention,
};
use crate::language::tasks::VisionTask;
use crate::mask::Rle;

/// What becomes of one proposed region.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// It becomes a region, or its twin stands for it.
    Accept,
    /// It becomes a region though it has a twin.
    AddAnyway,
    /// It becomes a region with this mask, and this label where one is given.
    Mend {
        /// The mask.
        mask: Rle,
        /// The label.
        label: Option<String>,
    },
    /// It is left out; texts name it by its label.
    Reject,
}

impl Proposal {
    /// The choice that a batch makes: everything is accepted, and twins are linked.
    #[must_use]
    pub fn accept_all(&self) -> Vec<Choice> {
        vec![Choice::Accept; self.regions.len()]
    }

    /// The edit that adds what is accepted, with the author, and the proposal itself, kept; `None` if that is nothing.
    ///
    /// `choices` are those for the regions in order; a region without one is rejected. Whatever is added is a draft,
    /// for a person to look at. Mentions of regions that are gone meanwhile become plain text.
    #[must_use]
    pub fn edit(&self, document: &Document, choices: &[Choice]) -> Option<Edit> {
        let mut edits = Vec::new();
        let listed = self
            .vocabulary
            .listed(document)
            .map(|tokenizer| tokenizer.id.clone());
        let tokenizer = listed.clone().unwrap_or_else(|| free_tokenizer_id(document));
        let ids = self.places(document, choices);
        let mut added = Vec::new();
        for (index, proposed) in self.regions.iter().enumerate() {
            let choice = choices.get(index).unwrap_or(&Choice::Reject);
            if let Some(id) = ids.get(index).and_then(Option::as_ref)
                && document.region(id).is_none()
            {
                added.push(self.region(id.clone(), proposed, choice, &tokenizer));
            }
        }
        if listed.is_none() && added.iter().any(|region| region.words.is_some()) {
            edits.push(Edit::AddTokenizer {
                index: document.tokenizers.len(),
                tokenizer: Box::new(Tokenizer {
                    id: tokenizer,
                    name: self.vocabulary.name.clone(),
                    fingerprint: self.vocabulary.fingerprint.clone(),
                    codebook_size: self.vocabulary.format.codebook_size(),
                    codebook_depth: self.vocabulary.format.codebook_depth(),
                    unknown: UnknownKeys::new(),
                }),
            });
        }
        let end = document.regions.len();
        edits.extend(
            added
                .into_iter()
                .enumerate()
                .map(|(offset, region)| Edit::AddRegion {
                    index: end + offset,
                    region: Box::new(region),
                }),
        );
        let answer = self.resolved(&ids);
        if self.task == VisionTask::Caption
            && let Some(target) = &self.target
        {
            let region = document.region(target)?;
            let mut caption = Caption::new(answer, Some(self.model.clone()));
            caption.unknown = self.kept(&[("text", json!(caption.text))]);
            deciding::note_status(&mut caption.unknown, region.status);
            edits.push(Edit::Region {
                id: target.clone(),
                change: RegionChange::AddCaption {
                    index: region.captions.len(),
                    caption,
                },
            });
        } else if self.is_no_target || !answer.is_empty() {
            let nothing_left = ids.iter().all(Option::is_none) && !self.regions.is_empty();
            if !nothing_left {
                let index = document.conversations.len();
                let conversation = Box::new(self.conversation(document, answer));
                edits.push(Edit::AddConversation { index, conversation });
            }
        }
        (!edits.is_empty()).then_some(Edit::Several(edits))
    }

    /// The regions that its masks become: new ids, those of twins, or none for what is rejected.
    #[must_use]
    pub fn places(&self, document: &Document, choices: &[Choice]) -> Vec<Option<String>> {
        let first_id: Option<u64> = document.next_region_id().trim_start_matches('r').parse().ok();
        let mut next_id = first_id.unwrap_or(1);
        let place = |(index, proposed): (usize, &ProposedRegion)| {
            let choice = choices.get(index).unwrap_or(&Choice::Reject);
            let twin = proposed
                .twin
                .as_ref()
                .filter(|twin| document.region(&twin.id).is_some());
            match (choice, twin) {
                (Choice::Reject, _) => None,
                (Choice::Accept, Some(twin)) => Some(twin.id.clone()),
                _ => {
                    next_id += 1;
                    Some(format!("r{}", next_id - 1))
                }
            }
        };
        self.regions.iter().enumerate().map(place).collect()
    }

    /// Whether the document has what the same model proposed to the same question.
    #[must_use]
    pub fn is_known(
        model: &str,
        task: VisionTask,
        target: Option<&str>,
        question: &str,
        document: &Document,
    ) -> bool {
        let made_by = |unknown: &UnknownKeys| {
            let kept = unknown.get(PROPOSAL_KEY);
            kept.is_some_and(|kept| kept["model"] == model && kept["task"] == task.name())
        };
        let asked = match task {
            VisionTask::Caption => ("target", target),
            _ => ("question", Some(question)),
        };
        if deciding::is_decided(document, model, task, asked) {
            return true;
        }
        if task == VisionTask::Caption {
            let region = target.and_then(|target| document.region(target));
            return region
                .is_some_and(|region| region.captions.iter().any(|caption| made_by(&caption.unknown)));
        }
        document.conversations.iter().any(|conversation| {
            let asked = conversation
                .turns
                .first()
                .is_some_and(|turn| turn.text == question);
            asked && made_by(&conversation.unknown)
        })
    }

    fn region(&self, id: String, proposed: &ProposedRegion, choice: &Choice, tokenizer: &str) -> Region {
        let (mask, label) = match choice {
            Choice::Mend { mask, label } => (mask, label.as_ref()),
            _ => (&proposed.mask, None),
        };
        let mut region = Region::new(id, mask.clone());
        region.label = label.unwrap_or(&proposed.label).clone();
        region.source.clone_from(&self.model);
        region.status = Status::Draft;
        // Words that were mended by hand are no longer those of the mask.
        if *mask == proposed.mask
            && let Some(codes) = proposed.codes.complete()
        {
            let text = self.vocabulary.format.write(&proposed.codes);
            region.words = Some(MaskWords::new(text, codes, tokenizer.to_owned(), Some(1.0), mask));
        }
        let size = proposed.mask.size();
        let kept_mask = json!({"size": [size.height, size.width], "counts": proposed.mask.to_compressed()});
        let mut kept = vec![("label", json!(proposed.label)), ("mask", kept_mask)];
        if let (Choice::AddAnyway, Some(twin)) = (choice, &proposed.twin) {
            kept.push(("twin", json!({"id": twin.id, "iou": twin.iou})));
        }
        region.unknown = self.kept(&kept);
        region
    }

    pub(super) fn conversation(&self, document: &Document, answer: String) -> Conversation {
        let task = match self.task {
            VisionTask::Segment if self.is_no_target => Task::NoTarget,
            task => task.trains(),
        };
        let mut conversation = Conversation::new(document.next_conversation_id(), task);
        conversation.unknown = self.kept(&[("text", json!(answer))]);
        let question = known_mentions(document, &self.question);
        conversation.turns = vec![
            Turn::new(Role::User, question),
            Turn::new(Role::Assistant, answer),
        ];
        conversation
    }

    /// What is kept of the proposal beside what came of it.
    pub(super) fn kept(&self, more: &[(&str, Value)]) -> UnknownKeys {
        let mut kept = Map::new();
        kept.insert("model".to_owned(), json!(self.model));
        kept.insert("task".to_owned(), json!(self.task.name()));
        if let Some(made) = self.made {
            kept.insert("made".to_owned(), json!(made.to_string()));
        }
        kept.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        UnknownKeys::from_iter([(PROPOSAL_KEY.to_owned(), Value::Object(kept))])
    }

    /// The answer with the ids of its regions; those without one by their label.
    fn resolved(&self, ids: &[Option<String>]) -> String {
        let mut text = String::with_capacity(self.answer.len());
        let mut from = 0;
        for candidate in mention::candidates(&self.answer) {
            let place = candidate
                .id
                .strip_prefix('+')
                .and_then(|number| number.parse::<usize>().ok());
            let Some(place) = place.and_then(|number| number.checked_sub(1)) else {
                continue;
            };
            text.push_str(self.answer.get(from..candidate.range.start).unwrap_or_default());
            from = candidate.range.end;
            match ids.get(place).and_then(Option::as_ref) {
                Some(id) => text.push_str(&format!("[[{id}]]")),
                None => {
                    let label = self.regions.get(place).map_or("", |region| region.label.as_str());
                    let is_said = text.trim_end().ends_with(label);
                    text.push_str(if is_said { "" } else { label });
                }
            }
        }
        text.push_str(self.answer.get(from..).unwrap_or_default());
        text.trim().to_owned()
    }
}

/// `text` with the mentions of regions that are not there as plain text.
fn known_mentions(document: &Document, text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut from = 0;
    for candidate in mention::candidates(text) {
        if document.region(candidate.id).is_none() {
            plain.push_str(text.get(from..candidate.range.start).unwrap_or_default());
            plain.push_str(candidate.id);
            from = candidate.range.end;
        }
    }
    plain.push_str(text.get(from..).unwrap_or_default());
    plain
}

fn free_tokenizer_id(document: &Document) -> String {
    let is_free = |id: &String| document.tokenizers.iter().all(|tokenizer| tokenizer.id != *id);
    let mut ids = (1..=document.tokenizers.len() + 1).map(|number| format!("T{number}"));
    ids.find(is_free).unwrap_or_else(|| "T".to_owned())
}
