//! From a document to training records: which template, which form of answer, and what is left out and why.
//!
//! What an annotator wrote in full is kept as it is, with mask words in place of mentions.
//! What only names something gets the published form: a question that is a bare phrase or is missing is asked in a
//! template, and an answer that only mentions regions becomes the task's list, sentence or `No target.`.

mod captions;
mod dialogues;
mod grounded;
mod scene_graphs;
mod segmentation;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::super::{InterchangeError, Notes, OutputFolder};
use super::record::{Kind, Record, Scene, Shown, Skipped, Speech};
use super::templates::{Draw, Templates};
use super::zoom::{self, ZoomTokenizer, Zoomer};
use super::{Container, TrainingOptions};
use crate::dataset::{Conversation, Region, Role, Status, Task};

/// Makes the records of one image after the other.
pub(super) struct Maker<'a, 'z> {
    pub(super) templates: &'a Templates,
    pub(super) seed: u64,
    pub(super) kinds: &'a [Kind],
    pub(super) min_status: Status,
    /// Whether questions are worded for reinforcement learning.
    pub(super) for_rl: bool,
    /// Put before every answer.
    pub(super) answer_prefix: &'static str,
    pub(super) zoom: Option<Zooming<'z>>,
}

/// What enlarged crops need.
pub(super) struct Zooming<'z> {
    /// Makes their words.
    pub(super) tokenizer: &'z mut dyn ZoomTokenizer,
    /// Where they are written.
    pub(super) out: &'z OutputFolder,
}

/// The records of one image being made.
struct Making<'a, 'z> {
    scene: &'a Scene<'a>,
    templates: &'a Templates,
    seed: u64,
    for_rl: bool,
    zoomer: Option<Zoomer<'z>>,
}

impl<'a, 'z> Maker<'a, 'z> {
    /// Makes what `options` say.
    pub(super) fn new(options: &'a TrainingOptions, zoom: Option<Zooming<'z>>) -> Self {
        Self {
            templates: &options.templates,
            seed: options.seed,
            kinds: &options.kinds,
            min_status: options.min_status,
            for_rl: options.container == Container::RlParquet,
            answer_prefix: if options.empty_thought {
                "<think>\n\n</think>\n\n"
            } else {
                ""
            },
            zoom,
        }
    }

    /// All records of the image of `scene`; what is left out is noted.
    ///
    /// # Errors
    /// If a crop cannot be written or tokenised.
    pub(super) fn records(
        &mut self,
        scene: &Scene<'_>,
        image: &std::path::Path,
        notes: &mut Notes,
    ) -> Result<Vec<Record>, InterchangeError> {
        let document = scene.document;
        if document.status == Status::Rejected {
            return Ok(Vec::new());
        }
        let (captions, zooms_in) = (self.wants(Kind::RegionCaption), self.wants(Kind::ZoomIn));
        let zooms = zooms_in || self.wants(Kind::RegionQaZoomIn);
        let zoomer = self.zoom.as_mut().filter(|_| zooms);
        let mut making = Making {
            scene,
            templates: self.templates,
            seed: self.seed,
            for_rl: self.for_rl,
            zoomer: zoomer.map(|zoom| Zoomer::new(&mut *zoom.tokenizer, image, scene, zoom.out)),
        };
        let is_far_enough = |status: Status| {
            status != Status::Rejected
                && (rank(status) >= rank(self.min_status) || rank(document.status) >= rank(self.min_status))
        };
        let mut records = Vec::new();
        let mut keep = |made: Result<Vec<Record>, Skipped>, annotation: &dyn Fn() -> String| {
            match made {
                Ok(made) => records.extend(made),
                Err(Skipped::Unusable(why)) => notes.lost(why.note(), scene.name, annotation()),
                Err(Skipped::Because(why)) => notes.lost(why, scene.name, annotation()),
                Err(Skipped::Failed(error)) => return Err(*error),
            }
            Ok(())
        };
        for (index, region, shown) in scene
            .regions()
            .filter(|(_, region, _)| is_far_enough(region.status))
        {
            for (number, caption) in region.captions.iter().enumerate() {
                let text = caption.text.trim();
                if text.is_empty() {
                    continue;
                }
                let origin = format!("regions/{}/captions/{number}", region.id);
                if let (true, Err(why)) = (captions || zooms_in, shown) {
                    keep(Err(why.into()), &|| origin.clone())?;
                    continue;
                }
                if captions {
                    keep(making.region_caption(index, text, &origin), &|| origin.clone())?;
                }
                if zooms_in {
                    keep(making.zoom_in(index, text, &origin), &|| {
                        format!("{origin} (zoom-in)")
                    })?;
                }
            }
        }
        for conversation in &document.conversations {
            if is_far_enough(conversation.status) {
                keep(making.conversation(conversation, self.kinds), &|| {
                    conversation.id.clone()
                })?;
            }
        }
        match making.zoomer.take() {
            Some(zoomer) => zoomer.note_failures(notes),
            None if zooms_in => {
                let is_small = |shown: &Shown| zoom::is_small(shown.bounds, document.image.size);
                let has_caption = |region: &Region| {
                    region
                        .captions
                        .iter()
                        .any(|caption| !caption.text.trim().is_empty())
                };
                let mut regions = scene.regions();
                if regions.any(|(_, region, shown)| has_caption(region) && shown.is_ok_and(is_small)) {
                    let what =
                        "small regions have no zoom-in records, since no model was given to make their words";
                    notes.remark(what, scene.name, "");
                }
            }
            None => {}
        }
        if !self.answer_prefix.is_empty() {
            for turn in records.iter_mut().flat_map(|record| &mut record.turns) {
                if turn.role == Role::Assistant {
                    let mut speech = Speech::of(self.answer_prefix);
                    speech.say(&turn.speech);
                    turn.speech = speech;
                }
            }
        }
        Ok(records)
    }

    fn wants(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }
}

/// The order in which work gets on; rejected work never counts.
const fn rank(status: Status) -> u8 {
    match status {
        Status::Rejected => 0,
        Status::Draft => 1,
        Status::Done => 2,
        Status::Approved => 3,
    }
}

/// A question and its answer as the annotator wrote them.
struct Round {
    question: String,
    answer: String,
}

impl Making<'_, '_> {
    fn draw(&self, origin: &str) -> Draw {
        Draw::new(self.seed, self.scene.name, origin)
    }

    fn conversation(&mut self, conversation: &Conversation, kinds: &[Kind]) -> Result<Vec<Record>, Skipped> {
        let rounds = rounds(conversation);
        if rounds.is_empty() {
            return Ok(Vec::new());
        }
        let origin = format!("conversations/{}", conversation.id);
        let wanted = |kind: Kind| kinds.contains(&kind);
        let record = match conversation.task {
            Task::ReferringSegmentation | Task::NoTarget => {
                let records = self.referring(conversation.task, &rounds, &origin)?;
                return Ok(records.into_iter().filter(|record| wanted(record.kind)).collect());
            }
            Task::RegionQa => {
                let mut records = Vec::new();
                if wanted(Kind::RegionQa) {
                    records.push(self.region_qa(&rounds, &origin)?);
                }
                if wanted(Kind::RegionQaZoomIn) {
                    records.extend(self.region_qa_zoom_in(&rounds, &origin)?);
                }
                return Ok(records);
            }
            task if !wanted(kind_of(task)) => return Ok(Vec::new()),
            Task::Caption => self.caption(&rounds, &origin)?,
            Task::DetailedCaption => self.detailed_caption(&rounds, &origin)?,
            Task::GroundedCaption => self.grounded_caption(&rounds, &origin)?,
            Task::ReasoningSegmentation => self.reasoning(&rounds, &origin)?,
            Task::SceneGraph => self.scene_graph(&rounds, &origin)?,
            Task::Interactive => self.dialogue(Kind::Interactive, &rounds, &origin)?,
            Task::Free => self.dialogue(Kind::Free, &rounds, &origin)?,
        };
        Ok(vec![record])
    }

    /// What the annotator wrote, with words in place of mentions.
    fn said(&self, text: &str) -> Result<Speech, Skipped> {
        Ok(self.scene.speech(&without_placeholders(text))?)
    }

    /// A question that the annotator wrote in full.
    fn asked(&self, text: &str) -> Result<Speech, Skipped> {
        if text.is_empty() {
            return Err(Skipped::Because(
                "left out because a conversation does not begin with a question",
            ));
        }
        self.said(text)
    }
}

/// The first turn shows the image; in no other may the placeholder stand.
fn with_image(question: &Speech) -> Speech {
    let mut shown = Speech::of("<image>\n");
    shown.say(question);
    shown
}

/// Loaders count `<image>` in the text, so an annotator's own is spelled so that it does not count.
fn without_placeholders(text: &str) -> Cow<'_, str> {
    const PLACEHOLDERS: [&str; 3] = ["<image>", "<video>", "<audio>"];
    let mut text = Cow::Borrowed(text);
    for placeholder in PLACEHOLDERS {
        if text.contains(placeholder) {
            text = text.replace(placeholder, &placeholder.replace('<', "< ")).into();
        }
    }
    text
}

const fn kind_of(task: Task) -> Kind {
    match task {
        Task::Caption => Kind::Caption,
        Task::DetailedCaption => Kind::DetailedCaption,
        Task::RegionQa => Kind::RegionQa,
        Task::GroundedCaption => Kind::GroundedCaption,
        Task::ReferringSegmentation => Kind::ReferringSegmentation,
        Task::NoTarget => Kind::NoTarget,
        Task::ReasoningSegmentation => Kind::ReasoningSegmentation,
        Task::Interactive => Kind::Interactive,
        Task::SceneGraph => Kind::SceneGraph,
        Task::Free => Kind::Free,
    }
}

/// Questions with their answers; turns of one side in a row are one, a question without an answer is none.
fn rounds(conversation: &Conversation) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    let mut last_role = None;
    for turn in &conversation.turns {
        let text = turn.text.trim();
        if last_role != Some(turn.role) && (turn.role == Role::User || rounds.is_empty()) {
            rounds.push(Round {
                question: String::new(),
                answer: String::new(),
            });
        }
        if let Some(round) = rounds.last_mut() {
            let side = match turn.role {
                Role::User => &mut round.question,
                Role::Assistant => &mut round.answer,
            };
            if !side.is_empty() && !text.is_empty() {
                side.push('\n');
            }
            side.push_str(text);
        }
        last_role = Some(turn.role);
    }
    // A no-target answer may be missing: it says nothing but that there is none.
    let keeps_unanswered = conversation.task == Task::NoTarget;
    rounds.retain(|round| !round.answer.is_empty() || (keeps_unanswered && !round.question.is_empty()));
    rounds
}
