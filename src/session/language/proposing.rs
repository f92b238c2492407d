//! Proposals: what a model is asked to propose, and how its answers become drafts in the document.

use std::path::{Path, PathBuf};

use super::LanguageDesk;
use super::asking::{Ask, Purpose, mentioned_regions};
use super::drawn::Drawing;
use crate::dataset::{Timestamp, mention};
use crate::language::proposals::{Choice, OpenProposal, Reader, open_proposals};
use crate::language::tasks::VisionTask;
use crate::mask::Mask;
use crate::session::{Session, Severity};
use crate::words::{self, MaskCodes};

/// Failures that are kept to be seen and asked again.
const KEPT_FAILURES: usize = 20;

/// What a model is asked to propose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What it is to do.
    pub task: VisionTask,
    /// What is asked, named or listed; empty where the task says it all.
    pub text: String,
    /// The regions that are meant.
    pub regions: Vec<String>,
}

/// A wish that was not met.
#[derive(Clone, Debug)]
pub struct FailedWish {
    /// The image.
    pub path: PathBuf,
    /// The wish.
    pub wish: Wish,
    /// Why.
    pub reason: String,
}

/// What a person decides on a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays as it is now; its twin stands for it where it has one.
    Accept,
    /// It stays beside its twin.
    KeepBoth,
    /// It goes.
    Reject,
}

impl Wish {
    /// The text with mentions of the regions that are meant and not mentioned in it.
    pub(super) fn with_mentions(&self) -> String {
        let mut whole = String::new();
        for id in &self.regions {
            if !mention::candidates(&self.text).any(|found| found.id == id) {
                whole.push_str(&format!("[[{id}]]\n"));
            }
        }
        whole.push_str(&self.text);
        whole
    }
}

impl LanguageDesk {
    pub(super) fn failed(&mut self, path: &Path, wish: Wish, reason: String) {
        self.failures
            .retain(|failed| failed.path != path || failed.wish != wish);
        if self.failures.len() >= KEPT_FAILURES {
            self.failures.remove(0);
        }
        self.failures.push(FailedWish {
            path: path.to_path_buf(),
            wish,
            reason,
        });
    }
}

impl Session {
    /// Asks for proposals for the image on screen: of a caption for each selected region, of all else once.
    pub fn propose(&mut self, task: VisionTask, text: &str) {
        let selected = self
            .open()
            .map(|open| open.selected().to_vec())
            .unwrap_or_default();
        let wish = |regions: Vec<String>| Wish {
            task,
            text: text.trim().to_owned(),
            regions,
        };
        match task {
            VisionTask::Caption if selected.is_empty() => {
                self.notices
                    .info("select the regions that are to be described first");
            }
            VisionTask::Caption => {
                for id in selected {
                    self.ask_for(wish(vec![id]));
                }
            }
            VisionTask::Ask => self.ask_for(wish(selected)),
            _ => self.ask_for(wish(Vec::new())),
        }
    }

    /// Asks once more for what failed before.
    pub fn propose_again(&mut self, place: usize) {
        let is_shown = |failed: &FailedWish| self.open.as_ref().is_some_and(|open| open.path == failed.path);
        if self.language.failures.get(place).is_some_and(is_shown) {
            let failed = self.language.failures.remove(place);
            self.ask_for(failed.wish);
        }
    }

    /// Failures on the image on screen, with their places.
    pub fn failed_wishes(&self) -> impl Iterator<Item = (usize, &FailedWish)> {
        let path = self.open.as_ref().map(|open| open.path.as_path());
        let failures = self.language.failures.iter().enumerate();
        failures.filter(move |(_, failed)| Some(failed.path.as_path()) == path)
    }

    /// Takes a failure off the list.
    pub fn dismiss_failed_wish(&mut self, place: usize) {
        if place < self.language.failures.len() {
            self.language.failures.remove(place);
        }
    }

    fn ask_for(&mut self, mut wish: Wish) {
        if self.is_read_only_told() || !self.can_ask_told() {
            return;
        }
        if self.model_info().is_none() {
            self.notices.warn(
                "there is no model yet that could draw the masks; wait until it is loaded, or choose one",
            );
            return;
        }
        let Some(open) = self.open() else { return };
        if wish.task == VisionTask::Ask {
            for id in mentioned_regions(open.document(), &wish.text) {
                if !wish.regions.contains(&id) {
                    wish.regions.push(id);
                }
            }
        }
        let is_empty = |id: &String| {
            open.document()
                .region(id)
                .is_some_and(|region| region.mask.rle.area() == 0)
        };
        if wish.regions.iter().any(is_empty) {
            self.notices
                .warn("a region without pixels cannot be asked about; draw it, or select another one");
            return;
        }
        let id = self.request_id();
        let regions = wish.regions.clone();
        self.begin_ask(id, Purpose::Propose(wish), &regions);
    }

    /// Makes drafts of an answer whose masks are drawn.
    pub(super) fn take_proposals(&mut self, ask: &Ask) {
        let Purpose::Propose(wish) = &ask.purpose else {
            return;
        };
        let super::asking::Stage::Answered { answer, .. } = &ask.stage else {
            return;
        };
        let Some((vocabulary, open)) = self.vocabulary().zip(self.open()) else {
            return;
        };
        let document = open.document();
        let model = self
            .language
            .info
            .as_ref()
            .map_or_else(String::new, |info| info.name.clone());
        let reader = Reader {
            model: &model,
            task: wish.task,
            vocabulary: &vocabulary,
            question: &ask.kept,
            target: wish
                .regions
                .first()
                .map(String::as_str)
                .filter(|_| wish.task == VisionTask::Caption),
            label: if wish.task == VisionTask::Segment {
                &wish.text
            } else {
                ""
            },
            twin_iou: Reader::TWIN_IOU,
        };
        let drawn = &self.language.drawn;
        let read = reader.read(document, answer, &mut |codes| {
            codes
                .iter()
                .map(|codes| mask_of(drawn.get(ask.image.key, codes)))
                .collect()
        });
        let mut proposal = match read {
            Ok(proposal) => proposal,
            Err(error) => {
                let reason = error.to_string();
                self.notices.error(format!("no proposals: {reason}"));
                self.language.failed(&ask.path, wish.clone(), reason);
                return;
            }
        };
        proposal.made = Some(Timestamp::now());
        let choices: Vec<Choice> = proposal
            .regions
            .iter()
            .map(|region| {
                if region.twin.is_some() {
                    Choice::AddAnyway
                } else {
                    Choice::Accept
                }
            })
            .collect();
        let before = open_proposals(document);
        let Some(edit) = proposal.edit(document, &choices) else {
            let reason = "the answer proposes nothing that can be used; ask in other words".to_owned();
            self.language.failed(&ask.path, wish.clone(), reason);
            return;
        };
        self.apply(vec![edit]);
        let new: Vec<OpenProposal> = self
            .open_proposals()
            .into_iter()
            .filter(|proposal| !before.contains(proposal))
            .collect();
        let details: Vec<String> = proposal
            .problems
            .into_iter()
            .map(|problem| problem.message)
            .collect();
        let severity = if details.is_empty() {
            Severity::Info
        } else {
            Severity::Warning
        };
        let count = new.len();
        let noun = if count == 1 { "proposal" } else { "proposals" };
        self.notices
            .add(severity, format!("{count} {noun} of {model}"), details);
        if self.current_proposal().is_none() {
            self.language.current = new.into_iter().next();
        }
    }

    // ---- deciding

    /// The proposals of the image on screen that wait for a person.
    #[must_use]
    pub fn open_proposals(&self) -> Vec<OpenProposal> {
        self.open()
            .map(|open| open_proposals(open.document()))
            .unwrap_or_default()
    }

    /// The proposal that is being looked at.
    #[must_use]
    pub fn current_proposal(&self) -> Option<&OpenProposal> {
        let document = self.open()?.document();
        self.language
            .current
            .as_ref()
            .filter(|current| current.is_open(document))
    }

    /// Looks at a proposal: its region is selected.
    pub fn look_at_proposal(&mut self, proposal: OpenProposal) {
        let Some(open) = &mut self.open else { return };
        let region = proposal.region(open.document()).map(|region| region.id.clone());
        open.select(region);
        self.language.current = Some(proposal);
    }

    /// Looks at the proposal `by` places further, from the last to the first again; `false` if there is none.
    pub fn step_proposal(&mut self, by: isize) -> bool {
        let open = self.open_proposals();
        let place = self
            .current_proposal()
            .and_then(|current| open.iter().position(|other| other == current));
        let count = open.len() as isize;
        if count == 0 {
            self.notices.info("there are no open proposals on this image");
            return false;
        }
        let next = match place {
            Some(place) => (place as isize + by).rem_euclid(count),
            None if by < 0 => count - 1,
            None => 0,
        };
        if let Some(next) = open.into_iter().nth(next as usize) {
            self.look_at_proposal(next);
        }
        true
    }

    /// Decides on the proposal that is looked at and goes on to the next; without one, it only goes to the first.
    pub fn decide(&mut self, verdict: Verdict) {
        let open_before = self.open_proposals();
        let Some(current) = self.current_proposal().cloned() else {
            self.step_proposal(1);
            return;
        };
        let place = open_before
            .iter()
            .position(|other| *other == current)
            .unwrap_or(0);
        let Some(open) = &mut self.open else { return };
        open.end_typing();
        let document = open.document();
        let has_twin = current.twin(document).is_some();
        let edits = match verdict {
            Verdict::Accept if has_twin => current.link(document),
            Verdict::Accept | Verdict::KeepBoth => current.accept(document),
            Verdict::Reject => current.reject(document),
        };
        self.apply(edits);
        let open_now = self.open_proposals();
        // The next one moved to its place; behind the last one the list begins again.
        let next = open_now.get(place).or_else(|| open_now.first()).cloned();
        match next {
            Some(next) => self.look_at_proposal(next),
            None => self.language.current = None,
        }
    }
}

/// The mask that was drawn, as a raster.
pub(super) fn mask_of(drawing: Option<&Drawing>) -> Result<Mask, String> {
    match drawing {
        Some(Drawing::Done(mask)) => Ok(Mask::from_rle(mask)),
        Some(Drawing::Failed(reason)) => Err(reason.clone()),
        Some(Drawing::Asked) | None => Err("they are not drawn yet".to_owned()),
    }
}

/// The codes in an answer, each once.
pub(super) fn codes_in(format: words::WordFormat, answer: &str) -> Vec<MaskCodes> {
    let mut codes: Vec<MaskCodes> = Vec::new();
    for found in words::parse(format, answer).found {
        if !codes.contains(&found.codes) {
            codes.push(found.codes);
        }
    }
    // As many as a reader takes.
    codes.truncate(Reader::MOST_REGIONS);
    codes
}
