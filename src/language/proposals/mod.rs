//! What a model proposes, for a person to accept, mend or reject: regions, captions and turns out of an answer's text.
//!
//! [`Reader`] turns an answer into a [`Proposal`]; [`Proposal::edit`] turns what is accepted of it into an
//! [`Edit`](crate::dataset::Edit) that only adds. What was proposed is kept with what came of it, under
//! [`PROPOSAL_KEY`], so that [`outcome`] can tell how good the proposals of a model were, from the annotations alone.

mod accepting;
mod deciding;
mod dialogue;
pub mod outcome;
mod reading;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::ops::Range;

pub use self::accepting::Choice;
pub use self::deciding::{OpenProposal, open_proposals};
pub use self::dialogue::Dialogue;
pub use self::reading::{Decode, Reader, Unreadable};
pub use self::vocabulary::{TrainedWith, Vocabulary, VocabularyError};
use super::tasks::VisionTask;
use crate::dataset::Timestamp;
use crate::mask::Rle;
use crate::words::MaskCodes;

/// The key of a region, caption or conversation under which its proposal is kept.
pub const PROPOSAL_KEY: &str = "proposal";

/// The key of a document under which proposals are kept that are no longer there, because they were rejected or linked.
pub const DECIDED_KEY: &str = "decided_proposals";

/// What an answer proposes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The name of the model.
    pub model: String,
    /// What it was asked to do.
    pub task: VisionTask,
    /// The tokenizer whose words it speaks.
    pub vocabulary: Vocabulary,
    /// The region that the answer describes.
    pub target: Option<String>,
    /// What was asked; `[[r1]]` mentions a region of the document.
    pub question: String,
    /// What was answered; `[[+1]]` mentions the first of `regions`, and `[[r1]]` a region of the document.
    pub answer: String,
    /// The masks of the answer, each once, in the order in which they first occur.
    pub regions: Vec<ProposedRegion>,
    /// What was wrong with the answer, for people to see.
    pub problems: Vec<AnswerProblem>,
    /// Whether it says that nothing in the image fits.
    pub is_no_target: bool,
    /// When it was made, where that is to be kept.
    pub made: Option<Timestamp>,
}

/// A mask of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposedRegion {
    /// Its codes.
    pub codes: MaskCodes,
    /// Its mask.
    pub mask: Rle,
    /// What the answer calls it; may be empty.
    pub label: String,
    /// A region of the document that has nearly the same mask.
    pub twin: Option<Twin>,
}

/// A region that is there already.
#[derive(Clone, Debug, PartialEq)]
pub struct Twin {
    /// Its id.
    pub id: String,
    /// IoU of the two masks, 0 to 1.
    pub iou: f64,
}

/// Something that was wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerProblem {
    /// The bytes of the answer concerned.
    pub range: Range<usize>,
    /// What it was and what was done about it, without a full stop.
    pub message: String,
}
