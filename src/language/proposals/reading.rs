//! An answer's text to proposals: masks found and decoded, labels and mentions put in their places.

use std::collections::HashMap;
use std::ops::Range;

use super::{AnswerProblem, Proposal, ProposedRegion, Twin, Vocabulary};
use crate::dataset::{Document, mention};
use crate::language::tasks::VisionTask;
use crate::mask::{Mask, Rle};
use crate::scores;
use crate::words::{self, MaskCodes, Parsed, Problem};

const MOST_REGIONS: usize = Reader::MOST_REGIONS;
/// Masks that are decoded at once.
const BATCH: usize = 32;
/// The longest label that is made of an answer.
const MOST_LABEL_CHARS: usize = 120;

const REF_START: &str = "<|object_ref_start|>";
const REF_END: &str = "<|object_ref_end|>";
const TAGS: [&str; 5] = [REF_START, REF_END, "<|im_end|>", "<answer>", "</answer>"];

/// Makes masks of an image of codes, one for each; says why where it cannot.
pub type Decode<'d> = dyn FnMut(&[MaskCodes]) -> Result<Vec<Mask>, String> + 'd;

/// What an answer is read with.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The name of the model.
    pub model: &'a str,
    /// What it was asked to do.
    pub task: VisionTask,
    /// The tokenizer whose words it speaks.
    pub vocabulary: &'a Vocabulary,
    /// What was asked; `[[r1]]` mentions a region of the document.
    pub question: &'a str,
    /// The region that is described.
    pub target: Option<&'a str>,
    /// What a mask without a name of its own is called.
    pub label: &'a str,
    /// From this IoU on a mask counts as a region that is there already.
    pub twin_iou: f64,
}

impl Reader<'_> {
    /// The usual threshold for twins.
    pub const TWIN_IOU: f64 = 0.8;
    /// The most masks of an answer that become proposals; no person would look through more.
    pub const MOST_REGIONS: usize = 300;
}

/// Why nothing of an answer can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// All of its mask words are outside the codebooks.
    #[error(
        "the answer has mask words up to number {highest} and the tokenizer {tokenizer:?} knows those below {word_count}: \
         the model was trained with another tokenizer; use that one"
    )]
    OtherCodebook {
        /// The highest number.
        highest: i64,
        /// The tokenizer.
        tokenizer: String,
        /// Its number of words.
        word_count: u32,
    },
    /// There is nothing in it.
    #[error("the answer is empty; ask again or in other words")]
    Empty,
    /// The masks could not be made.
    #[error("the masks of the answer cannot be made: {0}")]
    Decode(String),
}

impl Reader<'_> {
    /// Reads an answer; `decode` makes masks of the image of codes.
    ///
    /// # Errors
    /// [`Unreadable`]; what is wrong with parts of the answer is in the proposal.
    pub fn read(
        &self,
        document: &Document,
        answer: &str,
        decode: &mut Decode<'_>,
    ) -> Result<Proposal, Unreadable> {
        if answer.trim().is_empty() {
            return Err(Unreadable::Empty);
        }
        let format = self.vocabulary.format;
        let parsed = words::parse(format, answer);
        self.check_codebook(&parsed)?;
        let mut problems = problems_of(&parsed);
        let labels = labels(format, answer, &parsed);

        // Each mask once, however often it is said.
        let mut places: HashMap<&MaskCodes, usize> = HashMap::new();
        let mut distinct: Vec<(&MaskCodes, String)> = Vec::new();
        for (mask, label) in parsed.found.iter().zip(labels) {
            if let Some(place) = places.get(&mask.codes) {
                if let Some((_, known)) = distinct.get_mut(*place)
                    && known.is_empty()
                {
                    *known = label;
                }
            } else if distinct.len() < MOST_REGIONS {
                places.insert(&mask.codes, distinct.len());
                distinct.push((&mask.codes, label));
            } else {
                problems.push(AnswerProblem {
                    range: mask.range.start..answer.len(),
                    message: format!("there are more than {MOST_REGIONS} masks; the others were left out"),
                });
                break;
            }
        }

        let codes: Vec<MaskCodes> = distinct.iter().map(|(codes, _)| (*codes).clone()).collect();
        let mut masks = Vec::with_capacity(codes.len());
        for batch in codes.chunks(BATCH) {
            let made = decode(batch).map_err(Unreadable::Decode)?;
            if made.len() != batch.len() || made.iter().any(|mask| mask.size() != document.image.size) {
                return Err(Unreadable::Decode("they do not fit the image".to_owned()));
            }
            masks.extend(made.iter().map(Mask::to_rle));
        }

        let known: Vec<(&str, Outline<'_>)> = document
            .regions
            .iter()
            .map(|region| (region.id.as_str(), Outline::of(&region.mask.rle)))
            .collect();
        let mut regions: Vec<ProposedRegion> = Vec::new();
        let mut mentions: HashMap<&MaskCodes, Option<String>> = HashMap::new();
        for ((codes, label), mask) in distinct.into_iter().zip(masks) {
            let outline = Outline::of(&mask);
            let alike =
                |region: &ProposedRegion| outline.alike(Outline::of(&region.mask), self.twin_iou).is_some();
            let mention = if mask.area() == 0 {
                let range = parsed.found.iter().find(|found| found.codes == *codes);
                problems.push(AnswerProblem {
                    range: range.map_or(0..0, |found| found.range.clone()),
                    message: "the mask of these words has no pixels; it was left out".to_owned(),
                });
                None
            } else if let Some(place) = regions.iter().position(alike) {
                Some(format!("[[+{}]]", place + 1))
            } else {
                let twin = outline.twin(&known, self.twin_iou);
                regions.push(ProposedRegion {
                    codes: codes.clone(),
                    mask,
                    label: if label.is_empty() {
                        self.label.to_owned()
                    } else {
                        label
                    },
                    twin,
                });
                Some(format!("[[+{}]]", regions.len()))
            };
            mentions.insert(codes, mention);
        }
        problems.sort_by_key(|problem| problem.range.start);
        Ok(Proposal {
            model: self.model.to_owned(),
            task: self.task,
            vocabulary: self.vocabulary.clone(),
            target: self.target.map(str::to_owned),
            question: self.question.to_owned(),
            answer: match self.task {
                VisionTask::Segment if is_list(format, answer, &parsed) => only_mentions(&parsed, &mentions),
                _ => with_mentions(answer, &parsed, &mentions),
            },
            regions,
            problems,
            is_no_target: words::is_no_target(answer),
            made: None,
        })
    }

    /// Whether the masks of an answer can be of this tokenizer.
    ///
    /// # Errors
    /// [`Unreadable::OtherCodebook`].
    pub fn check(&self, answer: &str) -> Result<(), Unreadable> {
        self.check_codebook(&words::parse(self.vocabulary.format, answer))
    }

    /// Refuses an answer of which no mask fits the codebooks, because then none of them means what it seems to.
    fn check_codebook(&self, parsed: &Parsed) -> Result<(), Unreadable> {
        let outside = parsed.refused.iter().filter_map(|refused| match refused.problem {
            Problem::FirstOutOfRange { number } => Some(number),
            _ => None,
        });
        let inside = parsed.found.iter().flat_map(|found| &found.problems);
        let later = inside.filter_map(|repair| match repair.problem {
            Problem::OutOfRange { number } => Some(number),
            _ => None,
        });
        let numbers: Vec<i64> = outside.chain(later).filter(|number| *number >= 0).collect();
        let whole = parsed
            .found
            .iter()
            .filter(|found| found.codes.is_complete())
            .count();
        match numbers.iter().max() {
            // One slip among many masks is a slip.
            Some(highest) if numbers.len() > whole => Err(Unreadable::OtherCodebook {
                highest: *highest,
                tokenizer: self.vocabulary.name.clone(),
                word_count: self.vocabulary.format.word_count(),
            }),
            _ => Ok(()),
        }
    }
}

/// What was mended and refused, at most a hundred of it.
fn problems_of(parsed: &Parsed) -> Vec<AnswerProblem> {
    const MOST: usize = 100;
    let mended = parsed.found.iter().flat_map(|found| &found.problems);
    let mended = mended.map(|repair| (&repair.range, &repair.problem));
    let refused = parsed
        .refused
        .iter()
        .map(|refused| (&refused.range, &refused.problem));
    let problem = |(range, problem): (&Range<usize>, &Problem)| AnswerProblem {
        range: range.clone(),
        message: problem.to_string(),
    };
    mended.chain(refused).take(MOST).map(problem).collect()
}

/// What the answer calls each of its masks: the label in a list, or the phrase between tags before it.
fn labels(format: words::WordFormat, answer: &str, parsed: &Parsed) -> Vec<String> {
    let listed: HashMap<usize, String> = words::parse_mask_list(format, answer)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|item| Some((item.range.start, item.label?)))
        .collect();
    let mut end_of_last = 0;
    let mut phrase = String::new();
    let label = |mask: &words::FoundMask| {
        let between = answer.get(end_of_last..mask.range.start).unwrap_or_default();
        end_of_last = mask.range.end;
        if let Some((_, tagged)) = between.rsplit_once(REF_START) {
            phrase = tagged
                .split_once(REF_END)
                .map_or("", |(phrase, _)| phrase)
                .to_owned();
        } else if !between.trim_matches([' ', ',', '\n']).is_empty() {
            // Several masks in a row belong to one phrase.
            phrase.clear();
        }
        shortened(listed.get(&mask.range.start).unwrap_or(&phrase))
    };
    parsed.found.iter().map(label).collect()
}

fn shortened(label: &str) -> String {
    let line = label.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(MOST_LABEL_CHARS).collect()
}

/// A mask with its area, which rules most twins out at once.
#[derive(Clone, Copy)]
struct Outline<'m> {
    mask: &'m Rle,
    area: u64,
}

impl<'m> Outline<'m> {
    fn of(mask: &'m Rle) -> Self {
        let area = mask.area();
        Self { mask, area }
    }

    /// The IoU of two masks if it is at least this.
    fn alike(self, other: Outline<'_>, least: f64) -> Option<f64> {
        let (smaller, larger) = (self.area.min(other.area), self.area.max(other.area));
        if (smaller as f64) < least * larger as f64 {
            return None;
        }
        scores::iou(self.mask, other.mask)
            .ok()
            .filter(|iou| *iou >= least)
    }

    /// The region that is most alike, if any is alike enough.
    fn twin(self, known: &[(&str, Outline<'_>)], least: f64) -> Option<Twin> {
        let alike = known
            .iter()
            .filter_map(|(id, other)| Some((*id, self.alike(*other, least)?)));
        let (id, iou) = alike.max_by(|a, b| a.1.total_cmp(&b.1))?;
        let id = id.to_owned();
        Some(Twin { id, iou })
    }
}

/// Whether the answer is a list of masks and nothing else.
fn is_list(format: words::WordFormat, answer: &str, parsed: &Parsed) -> bool {
    let listed = words::parse_mask_list(format, answer).unwrap_or_default();
    !listed.is_empty() && listed.len() == parsed.found.len()
}

/// The regions alone, each once: training data makes the published list of that again.
fn only_mentions(parsed: &Parsed, mentions: &HashMap<&MaskCodes, Option<String>>) -> String {
    let mut said: Vec<&str> = Vec::new();
    for mask in &parsed.found {
        let mention = mentions.get(&mask.codes).and_then(Option::as_deref);
        said.extend(mention.filter(|mention| !said.contains(mention)));
    }
    said.join(", ")
}

/// The answer with mentions in place of masks, without refused words and tags.
fn with_mentions(answer: &str, parsed: &Parsed, mentions: &HashMap<&MaskCodes, Option<String>>) -> String {
    let mut pieces: Vec<(&Range<usize>, &str)> = parsed
        .found
        .iter()
        .map(|mask| {
            let mention = mentions.get(&mask.codes).and_then(Option::as_deref);
            (&mask.range, mention.unwrap_or_default())
        })
        .chain(parsed.refused.iter().map(|refused| (&refused.range, "")))
        .collect();
    pieces.sort_by_key(|(range, _)| range.start);
    let mut text = String::with_capacity(answer.len());
    let mut from = 0;
    for (range, mention) in pieces {
        push_plain(&mut text, answer.get(from..range.start).unwrap_or_default());
        text.push_str(mention);
        from = range.end;
    }
    push_plain(&mut text, answer.get(from..).unwrap_or_default());
    text.trim().to_owned()
}

/// Appends text that must mention nothing, without tags and the spaces inside of them.
fn push_plain(text: &mut String, plain: &str) {
    let mut plain = plain.to_owned();
    for (tag, without) in [(format!("{REF_START} "), ""), (format!(" {REF_END}"), "")] {
        plain = plain.replace(&tag, without);
    }
    for tag in TAGS {
        plain = plain.replace(tag, "");
    }
    // What only looks like a mention would come to be one.
    let mut from = 0;
    for candidate in mention::candidates(&plain) {
        text.push_str(plain.get(from..candidate.range.start).unwrap_or_default());
        text.push_str(&format!("[{}]", candidate.id));
        from = candidate.range.end;
    }
    text.push_str(plain.get(from..).unwrap_or_default());
}
