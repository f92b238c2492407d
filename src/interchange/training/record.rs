//! A training record before it takes the shape of a container: what is said, which masks are shown, where it came from.

use std::collections::HashMap;

use super::super::InterchangeError;
use crate::dataset::mention::{self, Candidate};
use crate::dataset::{Document, Region, Role, Status, Task};
use crate::geometry::PixelRect;
use crate::mask::Rle;
use crate::words::{MaskCodes, WordFormat};

/// What a record trains; records of one kind share their files, so that a training mix can weigh them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A region's description.
    RegionCaption,
    /// A small region's description, with an enlarged crop as the second image.
    ZoomIn,
    /// A caption of the image.
    Caption,
    /// A description asked for in a conversation.
    DetailedCaption,
    /// Questions about regions.
    RegionQa,
    /// Questions about regions, with an enlarged crop for every small one.
    RegionQaZoomIn,
    /// A caption whose phrases have masks.
    GroundedCaption,
    /// From a phrase to masks.
    ReferringSegmentation,
    /// A phrase that fits nothing.
    NoTarget,
    /// From an implied description to masks.
    ReasoningSegmentation,
    /// Segmentation over several rounds.
    Interactive,
    /// Regions and their relations.
    SceneGraph,
    /// Anything else.
    Free,
}

impl Kind {
    /// All kinds, in the order in which they are listed to people.
    pub const ALL: [Self; 13] = [
        Self::RegionCaption,
        Self::ZoomIn,
        Self::Caption,
        Self::DetailedCaption,
        Self::RegionQa,
        Self::RegionQaZoomIn,
        Self::GroundedCaption,
        Self::ReferringSegmentation,
        Self::NoTarget,
        Self::ReasoningSegmentation,
        Self::Interactive,
        Self::SceneGraph,
        Self::Free,
    ];

    /// The name in file names, in the template file and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegionCaption => "region_caption",
            Self::ZoomIn => "zoom_in",
            Self::RegionQaZoomIn => "region_qa_zoom_in",
            Self::Caption => Task::Caption.as_str(),
            Self::DetailedCaption => Task::DetailedCaption.as_str(),
            Self::RegionQa => Task::RegionQa.as_str(),
            Self::GroundedCaption => Task::GroundedCaption.as_str(),
            Self::ReferringSegmentation => Task::ReferringSegmentation.as_str(),
            Self::NoTarget => Task::NoTarget.as_str(),
            Self::ReasoningSegmentation => Task::ReasoningSegmentation.as_str(),
            Self::Interactive => Task::Interactive.as_str(),
            Self::SceneGraph => Task::SceneGraph.as_str(),
            Self::Free => Task::Free.as_str(),
        }
    }

    /// What the `source` column of the reinforcement learning rows says; rewards are chosen by it.
    pub(super) const fn source(self, answer_masks: usize) -> &'static str {
        match self {
            Self::RegionCaption | Self::ZoomIn | Self::DetailedCaption => "dam_captioning",
            Self::GroundedCaption => "gcg",
            Self::ReferringSegmentation if answer_masks > 1 => "gres",
            Self::ReferringSegmentation => "res",
            Self::NoTarget => "gres_no_target",
            Self::ReasoningSegmentation => "reasonseg",
            Self::SceneGraph => "psg",
            Self::RegionQa | Self::RegionQaZoomIn => "region_qa",
            Self::Caption => "caption",
            Self::Interactive => "interactive",
            Self::Free => "free",
        }
    }
}

/// A stretch of what is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Plain text.
    Text(String),
    /// The words of a region, by its place in the document.
    Mask(usize),
    /// The words of a region on an enlarged crop, by the crop's place in the record.
    Crop(usize),
}

/// What is said in one turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Speech {
    pieces: Vec<Piece>,
}

impl Speech {
    /// Appends plain text.
    pub(super) fn text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    /// Appends a region's words.
    pub(super) fn mask(&mut self, region: usize) {
        self.pieces.push(Piece::Mask(region));
    }

    /// Appends a crop's words.
    pub(super) fn crop(&mut self, crop: usize) {
        self.pieces.push(Piece::Crop(crop));
    }

    /// Appends what another speech says.
    pub(super) fn say(&mut self, other: &Self) {
        for piece in &other.pieces {
            match piece {
                Piece::Text(text) => self.text(text),
                other => self.pieces.push(other.clone()),
            }
        }
    }

    /// The masks of `regions` with `separator` between them and `last` before the last of several.
    pub(super) fn masks(regions: &[usize], separator: &str, last: &str) -> Self {
        let mut speech = Self::default();
        for (index, &region) in regions.iter().enumerate() {
            match index {
                0 => {}
                _ if index + 1 == regions.len() => speech.text(last),
                _ => speech.text(separator),
            }
            speech.mask(region);
        }
        speech
    }

    /// Plain text as a speech.
    pub(super) fn of(text: &str) -> Self {
        let mut speech = Self::default();
        speech.text(text);
        speech
    }

    /// `template` with every `{name}` of `slots` filled in; other braces stay.
    pub(super) fn filled(template: &str, slots: &[(&str, &Self)]) -> Self {
        let mut speech = Self::default();
        let mut rest = template;
        while let Some((before, opened)) = rest.split_once('{') {
            speech.text(before);
            let slot = slots
                .iter()
                .find_map(|(name, filling)| Some((filling, opened.strip_prefix(name)?.strip_prefix('}')?)));
            match slot {
                Some((filling, after)) => {
                    speech.say(filling);
                    rest = after;
                }
                None => {
                    speech.text("{");
                    rest = opened;
                }
            }
        }
        speech.text(rest);
        speech
    }

    /// The pieces in order.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The regions whose words are said, in order, each as often as it is said.
    pub(super) fn regions(&self) -> impl Iterator<Item = usize> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Mask(region) => Some(*region),
            Piece::Text(_) | Piece::Crop(_) => None,
        })
    }
}

/// An enlarged crop that a record shows as a further image.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Crop {
    /// The file below the output folder.
    pub(super) file: String,
    /// The region's words on the crop.
    pub(super) words: String,
    /// The region's mask on the crop.
    pub(super) mask: Rle,
}

/// A question or an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Utterance {
    pub(super) role: Role,
    pub(super) speech: Speech,
}

/// One record: turns that alternate and begin with the user's.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) kind: Kind,
    /// Where in the document it comes from, such as `regions/r1/captions/0`; names the record within its image.
    pub(super) origin: String,
    pub(super) turns: Vec<Utterance>,
    pub(super) crops: Vec<Crop>,
}

impl Record {
    /// A record of questions and answers.
    pub(super) fn new(
        kind: Kind,
        origin: String,
        rounds: impl IntoIterator<Item = (Speech, Speech)>,
    ) -> Self {
        let turns = rounds.into_iter().flat_map(|(question, answer)| {
            [(Role::User, question), (Role::Assistant, answer)]
                .map(|(role, speech)| Utterance { role, speech })
        });
        Self {
            kind,
            origin,
            turns: turns.collect(),
            crops: Vec::new(),
        }
    }

    /// The regions whose words are said, each once, in the order of their first mention.
    pub(super) fn regions(&self) -> Vec<usize> {
        distinct(self.turns.iter().flat_map(|turn| turn.speech.regions()))
    }
}

/// Each of `items` once, in the order of their first coming.
pub(super) fn distinct(items: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut seen = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

/// Why a region cannot be shown in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    NoWords,
    StaleWords,
    BrokenWords,
    EmptyMask,
    Rejected,
}

impl Unusable {
    /// The note for a record that is left out because of it.
    pub(super) const fn note(self) -> &'static str {
        match self {
            Self::NoWords => "left out because a region has no mask words; run `samtok tokenize` first",
            Self::StaleWords => {
                "left out because a region changed after its mask words were made; run `samtok tokenize` first"
            }
            Self::BrokenWords => {
                "left out because a region's mask words are not what its codes spell; run `samtok tokenize` first"
            }
            Self::EmptyMask => "left out because a region is empty",
            Self::Rejected => "left out because it mentions a rejected region",
        }
    }
}

/// A region with words that may be trained on.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    /// The words.
    pub(super) text: String,
    pub(super) codes: MaskCodes,
    pub(super) format: WordFormat,
    /// COCO's compressed run lengths.
    pub(super) counts: String,
    pub(super) bounds: PixelRect,
}

/// A document on its way into records: its regions looked up by id and made ready once.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    /// The image's name below the annotated folder.
    pub(super) name: &'a str,
    pub(super) document: &'a Document,
    shown: Vec<Result<Shown, Unusable>>,
    index: HashMap<&'a str, usize>,
}

impl<'a> Scene<'a> {
    /// The scene of the image `name`.
    pub(super) fn new(name: &'a str, document: &'a Document) -> Self {
        let regions = &document.regions;
        Self {
            name,
            document,
            shown: regions.iter().map(|region| shown(document, region)).collect(),
            index: regions
                .iter()
                .enumerate()
                .map(|(index, region)| (region.id.as_str(), index))
                .collect(),
        }
    }

    /// The regions with their words, or why they cannot be used.
    pub(super) fn regions(&self) -> impl Iterator<Item = (usize, &'a Region, Result<&Shown, Unusable>)> {
        let shown = self
            .shown
            .iter()
            .map(|shown| shown.as_ref().map_err(|unusable| *unusable));
        self.document
            .regions
            .iter()
            .zip(shown)
            .enumerate()
            .map(|(index, (region, shown))| (index, region, shown))
    }

    /// The words of the region at `index`.
    pub(super) fn shown(&self, index: usize) -> Result<&Shown, Unusable> {
        match self.shown.get(index) {
            Some(Ok(shown)) => Ok(shown),
            Some(Err(unusable)) => Err(*unusable),
            None => Err(Unusable::NoWords),
        }
    }

    /// The region's label, empty where it has none.
    pub(super) fn label(&self, index: usize) -> &'a str {
        self.document
            .regions
            .get(index)
            .map_or("", |region| region.label.trim())
    }

    /// The mentions of regions in `text`, with the places of the regions.
    pub(super) fn mentions<'t>(&self, text: &'t str) -> impl Iterator<Item = (Candidate<'t>, usize)> {
        mention::candidates(text).filter_map(|candidate| {
            let index = *self.index.get(candidate.id)?;
            Some((candidate, index))
        })
    }

    /// `text` with the words of regions in place of their mentions.
    pub(super) fn speech(&self, text: &str) -> Result<Speech, Unusable> {
        let mut speech = Speech::default();
        let mut from = 0;
        for (mention, region) in self.mentions(text) {
            self.shown(region)?;
            speech.text(text.get(from..mention.range.start).unwrap_or_default());
            speech.mask(region);
            from = mention.range.end;
        }
        speech.text(text.get(from..).unwrap_or_default());
        Ok(speech)
    }

    /// The places of `regions` sorted as the published lists are: by the centre of the box, x then y.
    pub(super) fn left_to_right(&self, mut regions: Vec<usize>) -> Vec<usize> {
        let twice_centre = |region: &usize| {
            let bounds = self
                .shown(*region)
                .map_or(PixelRect::new(0, 0, 0, 0), |shown| shown.bounds);
            let twice = |start: u32, length: u32| 2 * u64::from(start) + u64::from(length);
            (twice(bounds.x, bounds.width), twice(bounds.y, bounds.height))
        };
        regions.sort_by_key(twice_centre);
        regions
    }

    /// The tokenizers that made the words that may be used, as places in the document's list.
    pub(super) fn tokenizers(&self) -> Vec<usize> {
        let id_of = |(_, region, shown): (usize, &'a Region, Result<&Shown, Unusable>)| {
            shown.ok()?;
            let id = &region.words.as_ref()?.tokenizer;
            self.document
                .tokenizers
                .iter()
                .position(|tokenizer| tokenizer.id == *id)
        };
        distinct(self.regions().filter_map(id_of))
    }

    /// What one side says, as a language model reads it; masks are spelled by `spell` where it answers.
    pub(super) fn spoken(
        &self,
        speech: &Speech,
        crops: &[Crop],
        spell: impl Fn(usize) -> Option<String>,
    ) -> String {
        let mut text = String::new();
        for piece in speech.pieces() {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Crop(crop) => text.push_str(crops.get(*crop).map_or("", |crop| &crop.words)),
                Piece::Mask(region) => match spell(*region) {
                    Some(spelled) => text.push_str(&spelled),
                    None => text.push_str(self.shown(*region).map_or("", |shown| &shown.text)),
                },
            }
        }
        text
    }
}

/// A region made ready, or why it cannot be.
fn shown(document: &Document, region: &Region) -> Result<Shown, Unusable> {
    if region.status == Status::Rejected {
        return Err(Unusable::Rejected);
    }
    let words = region.words.as_ref().ok_or(Unusable::NoWords)?;
    let bounds = region.mask.rle.bounding_box().ok_or(Unusable::EmptyMask)?;
    if !region.has_fresh_words() {
        return Err(Unusable::StaleWords);
    }
    let tokenizer = document
        .tokenizers
        .iter()
        .find(|tokenizer| tokenizer.id == words.tokenizer);
    let checked = tokenizer.and_then(|tokenizer| {
        let format = WordFormat::new(tokenizer.codebook_size, tokenizer.codebook_depth).ok()?;
        Some((format, format.codes(&words.codes).ok()?))
    });
    let (format, codes) = checked.ok_or(Unusable::BrokenWords)?;
    if format.write(&codes) != words.text {
        return Err(Unusable::BrokenWords);
    }
    Ok(Shown {
        text: words.text.clone(),
        codes,
        format,
        counts: region.mask.rle.to_compressed(),
        bounds,
    })
}

/// Why a record could not be made.
#[derive(Debug)]
pub(super) enum Skipped {
    /// Something about its regions; noted and left out.
    Unusable(Unusable),
    /// Something about its text; noted and left out.
    Because(&'static str),
    /// The export has to stop.
    Failed(Box<InterchangeError>),
}

impl From<Unusable> for Skipped {
    fn from(unusable: Unusable) -> Self {
        Self::Unusable(unusable)
    }
}
