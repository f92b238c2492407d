//! Masks that the network offers: for clicks of smart select, and for words found in a text.

use std::sync::Arc;

use super::{Session, Severity};
use crate::dataset::{Edit, Region};
use crate::mask::{Mask, Rle};
use crate::session::Rebuilt;
use crate::tokenizer::Prompt;
use crate::tools::PromptRequest;
use crate::words::{self, MaskCodes, Parsed};
use crate::worker::network::{DrawnMask, NetworkRequest};

/// The mask that smart select shows until it is accepted.
#[derive(Debug)]
pub struct SmartProposal {
    /// The masks that the clicks could mean, the best first; empty until the first answer.
    pub masks: Vec<DrawnMask>,
    /// Which of them is shown.
    pub choice: usize,
    /// The clicks.
    pub request: PromptRequest,
    /// The request that is on its way.
    pending: Option<u64>,
    /// Another number whenever the shown mask is another one.
    pub revision: u64,
}

impl SmartProposal {
    /// The mask that is shown.
    #[must_use]
    pub fn mask(&self) -> Option<&Mask> {
        self.masks.get(self.choice).map(|drawn| &drawn.mask)
    }

    /// Whether an answer is on its way.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }
}

/// One mask of a text.
#[derive(Debug)]
pub struct FoundMask {
    /// Its words, mended.
    pub words: String,
    /// What the network draws for them; `None` until it answers.
    pub mask: Option<Arc<Mask>>,
    /// What was mended.
    pub repairs: Vec<String>,
    /// Whether it was made a region already.
    pub is_accepted: bool,
}

impl FoundMask {
    /// What is shown of it until it is a region.
    #[must_use]
    pub fn shown(&self) -> Option<&Mask> {
        self.mask.as_deref().filter(|_| !self.is_accepted)
    }
}

/// Masks of a text that was pasted or dropped.
#[derive(Debug)]
pub struct FoundWords {
    /// The text.
    pub text: String,
    /// Its masks.
    pub masks: Vec<FoundMask>,
    /// What could not be read.
    pub refused: Vec<String>,
    request: u64,
    /// Another number whenever the masks are others.
    pub revision: u64,
}

/// What a decoded mask is for.
#[derive(Debug)]
pub(super) struct StoredWords {
    request: u64,
    region: String,
    of: Rle,
}

impl Session {
    /// Asks for a mask for clicks; the answer replaces the mask shown so far.
    pub fn prompt(&mut self, request: PromptRequest) {
        if request.is_empty() {
            self.proposal = None;
            return;
        }
        let Some(open) = &self.open else { return };
        let image = open.image.for_network();
        let before = self.proposal.take();
        let logits = before
            .as_ref()
            .filter(|_| request.keep_logits)
            .and_then(|before| Some(before.masks.get(before.choice)?.logits.clone()));
        let mut prompt = Prompt {
            points: request
                .points
                .iter()
                .map(|point| (point.at, point.is_positive))
                .collect(),
            rect: request.box_,
            logits,
            multimask: false,
        };
        prompt.multimask = prompt.is_ambiguous();
        let id = self.request_id();
        let (masks, choice, revision) = before.map_or((Vec::new(), 0, 0), |before| {
            (before.masks, before.choice, before.revision)
        });
        self.proposal = Some(SmartProposal {
            masks,
            choice,
            request,
            pending: Some(id),
            revision,
        });
        self.ask_network(NetworkRequest::Prompt { image, id, prompt });
    }

    pub(super) fn on_prompted(&mut self, id: u64, masks: Vec<DrawnMask>) {
        let Some(proposal) = self
            .proposal
            .as_mut()
            .filter(|proposal| proposal.pending == Some(id))
        else {
            return;
        };
        proposal.pending = None;
        proposal.masks = masks;
        proposal.choice = 0;
        proposal.revision += 1;
    }

    /// Shows another mask that one click could mean.
    pub fn next_choice(&mut self) {
        if let Some(proposal) = self
            .proposal
            .as_mut()
            .filter(|proposal| !proposal.masks.is_empty())
        {
            proposal.choice = (proposal.choice + 1) % proposal.masks.len();
            proposal.revision += 1;
        }
    }

    /// Takes the mask that is shown; the clicks are done with.
    pub fn take_proposal(&mut self) -> Option<Mask> {
        let proposal = self.proposal.take()?;
        let choice = proposal.choice;
        proposal.masks.into_iter().nth(choice).map(|drawn| drawn.mask)
    }

    /// Finds mask words in a text and asks for their masks; `false` if there are none.
    pub fn find_words(&mut self, text: &str) -> bool {
        let Some(format) = self.model_info().map(|model| model.format) else {
            self.notices
                .warn("there is no model yet that could draw words; wait until it is loaded");
            return false;
        };
        let parsed: Parsed = words::parse(format, text);
        if parsed.is_empty() {
            return false;
        }
        let Some(open) = &self.open else {
            self.notices.warn("open the image that the words are about first");
            return true;
        };
        let image = open.image.for_network();
        let codes: Vec<MaskCodes> = parsed.found.iter().map(|found| found.codes.clone()).collect();
        let masks = parsed
            .found
            .iter()
            .map(|found| FoundMask {
                words: format.write(&found.codes),
                mask: None,
                repairs: found
                    .problems
                    .iter()
                    .map(|repair| repair.problem.to_string())
                    .collect(),
                is_accepted: false,
            })
            .collect();
        let refused: Vec<String> = parsed
            .refused
            .iter()
            .map(|refused| refused.problem.to_string())
            .collect();
        if codes.is_empty() {
            self.notices.add(
                Severity::Warning,
                "the text has mask words, but none that this model can draw",
                refused,
            );
            return true;
        }
        let id = self.request_id();
        self.found = Some(FoundWords {
            text: text.to_owned(),
            masks,
            refused,
            request: id,
            revision: 0,
        });
        self.ask_network(NetworkRequest::Decode { image, id, codes });
        true
    }

    pub(super) fn on_decoded(&mut self, id: u64, masks: Vec<DrawnMask>) {
        if let Some(place) = self.stored.iter().position(|stored| stored.request == id) {
            let stored = self.stored.swap_remove(place);
            if let Some((open, drawn)) = self.open.as_mut().zip(masks.into_iter().next()) {
                open.rebuilt.insert(
                    stored.region,
                    Rebuilt {
                        mask: drawn.mask.to_rle(),
                        of: stored.of,
                    },
                );
            }
            return;
        }
        if let Some(found) = self.found.as_mut().filter(|found| found.request == id) {
            for (found, drawn) in found.masks.iter_mut().zip(masks) {
                found.mask = Some(Arc::new(drawn.mask));
            }
            found.revision += 1;
        }
    }

    /// Asks for the mask of words that a region has.
    pub(super) fn want_stored(&mut self, region: String, of: Rle, codes: MaskCodes) {
        let Some(open) = &self.open else { return };
        let image = open.image.for_network();
        let request = self.request_id();
        self.stored.push(StoredWords { request, region, of });
        self.ask_network(NetworkRequest::Decode {
            image,
            id: request,
            codes: vec![codes],
        });
    }

    /// Makes a region of a mask of the text.
    pub fn accept_found(&mut self, place: usize) {
        let Some(found) = self.found.as_mut().and_then(|found| found.masks.get_mut(place)) else {
            return;
        };
        let Some(mask) = found
            .mask
            .clone()
            .filter(|mask| !found.is_accepted && !mask.is_empty())
        else {
            return;
        };
        found.is_accepted = true;
        if let Some(found) = &mut self.found {
            found.revision += 1;
        }
        self.add_region(&mask, "words");
    }

    /// Adds a region with this mask and selects it.
    pub fn add_region(&mut self, mask: &Mask, source: &str) {
        let label = self.next_label();
        let Some(open) = &self.open else { return };
        let mut region = Region::new(open.document().next_region_id(), mask.to_rle());
        source.clone_into(&mut region.source);
        region.label = label;
        region.color = Some(super::regions::next_color(open.document()));
        let id = region.id.clone();
        self.apply(vec![Edit::AddRegion {
            index: usize::MAX,
            region: Box::new(region),
        }]);
        if let Some(open) = &mut self.open {
            open.select([id]);
        }
    }
}
