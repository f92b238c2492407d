//! Changes inside a region, with masks as the run lengths of what changed.

use std::{iter, mem};

use super::{EditError, insert, shift};
use crate::dataset::document::{Attributes, Caption, Document, MaskWords, Region, UnknownKeys};
use crate::dataset::vocabulary::{Color, Status};
use crate::mask::{MaskError, Rle};

/// One change inside a [`Region`].
#[derive(Clone, Debug, PartialEq)]
pub enum RegionChange {
    /// Sets the class or short name.
    Label(String),
    /// Sets the colour.
    Color(Option<Color>),
    /// Turns pixels over.
    Mask(MaskChange),
    /// Sets the words; their tokenizer must be listed.
    Words(Option<Box<MaskWords>>),
    /// Adds a caption at this position.
    AddCaption {
        /// Its position.
        index: usize,
        /// The caption.
        caption: Caption,
    },
    /// Removes a caption.
    RemoveCaption {
        /// Its position.
        index: usize,
    },
    /// Moves a caption.
    MoveCaption {
        /// Its position.
        from: usize,
        /// Its new position.
        to: usize,
    },
    /// Replaces a caption, as typing in it does.
    Caption {
        /// Its position.
        index: usize,
        /// What it becomes.
        caption: Caption,
    },
    /// Sets all free attributes.
    Attributes(Attributes),
    /// Sets the tool or file it came from.
    Source(String),
    /// Sets how far the work on it is.
    Status(Status),
    /// Sets the keys that this version does not know.
    Unknown(UnknownKeys),
}

/// The pixels in which two masks differ; their change turns one into the other, in both directions.
///
/// It takes memory for the runs that changed, not for the mask: a brush stroke is some hundred bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskChange {
    difference: Rle,
}

impl MaskChange {
    /// What makes `after` of `before`.
    ///
    /// # Errors
    /// [`MaskError::SizeMismatch`].
    pub fn between(before: &Rle, after: &Rle) -> Result<Self, MaskError> {
        let difference = symmetric_difference(before, after)?;
        Ok(Self { difference })
    }

    /// The pixels that change.
    #[must_use]
    pub fn difference(&self) -> &Rle {
        &self.difference
    }

    /// This change and the `next` in one.
    pub(in crate::dataset) fn then(&self, next: &Self) -> Result<Self, MaskError> {
        Self::between(&self.difference, &next.difference)
    }
}

/// The pixels set in exactly one of the masks, without making a raster.
///
/// A pixel where a run ends is a boundary; those of the result are the boundaries of exactly one of the two.
fn symmetric_difference(left: &Rle, right: &Rle) -> Result<Rle, MaskError> {
    let size = left.size();
    if size != right.size() {
        return Err(MaskError::SizeMismatch {
            left: size,
            right: right.size(),
        });
    }
    let (mut left, mut right) = (boundaries(left).peekable(), boundaries(right).peekable());
    let merged = iter::from_fn(|| {
        loop {
            match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if a == b => {
                    left.next();
                    right.next();
                }
                (Some(a), Some(b)) if b < a => return right.next(),
                (Some(_), _) => return left.next(),
                (None, _) => return right.next(),
            }
        }
    });
    let mut counts = Vec::new();
    let mut last = 0;
    for boundary in merged {
        counts.push(boundary - last);
        last = boundary;
    }
    counts.push(u32::try_from(size.area()).unwrap_or(u32::MAX) - last);
    Rle::from_counts(size, counts)
}

/// Where the runs of `mask` end, in pixels down the columns, but for the end of the last.
fn boundaries(mask: &Rle) -> impl Iterator<Item = u32> {
    let counts = mask.counts();
    let inner = counts.get(..counts.len().saturating_sub(1)).unwrap_or_default();
    inner.iter().scan(0, |position, count| {
        *position += count;
        Some(*position)
    })
}

impl RegionChange {
    pub(super) fn apply(self, document: &mut Document, id: &str) -> Result<Self, EditError> {
        if let Self::Words(Some(words)) = &self {
            check_tokenizer(document, words)?;
        }
        let index = index(document, id)?;
        self.apply_to(&mut document.regions[index])
    }

    fn apply_to(self, region: &mut Region) -> Result<Self, EditError> {
        let captions = &mut region.captions;
        let check = |index: usize| {
            let missing = || EditError::NoCaption {
                region: region.id.clone(),
                index,
            };
            (index < captions.len()).then_some(()).ok_or_else(missing)
        };
        match self {
            Self::Label(label) => Ok(Self::Label(mem::replace(&mut region.label, label))),
            Self::Color(color) => Ok(Self::Color(mem::replace(&mut region.color, color))),
            Self::Mask(change) => {
                let mask = &mut region.mask.rle;
                let sizes = (change.difference.size(), mask.size());
                *mask = symmetric_difference(mask, &change.difference)
                    .ok()
                    .ok_or(EditError::MaskSize {
                        mask: sizes.0,
                        image: sizes.1,
                    })?;
                Ok(Self::Mask(change))
            }
            Self::Words(words) => {
                let words = mem::replace(&mut region.words, words.map(|words| *words));
                Ok(Self::Words(words.map(Box::new)))
            }
            Self::AddCaption { index, caption } => {
                let index = insert(captions, index, caption);
                Ok(Self::RemoveCaption { index })
            }
            Self::RemoveCaption { index } => {
                check(index)?;
                let caption = captions.remove(index);
                Ok(Self::AddCaption { index, caption })
            }
            Self::MoveCaption { from, to } => {
                check(from)?;
                let to = shift(captions, from, to);
                Ok(Self::MoveCaption { from: to, to: from })
            }
            Self::Caption { index, caption } => {
                check(index)?;
                let caption = mem::replace(&mut captions[index], caption);
                Ok(Self::Caption { index, caption })
            }
            Self::Attributes(keys) => Ok(Self::Attributes(mem::replace(&mut region.attributes, keys))),
            Self::Source(source) => Ok(Self::Source(mem::replace(&mut region.source, source))),
            Self::Status(status) => Ok(Self::Status(mem::replace(&mut region.status, status))),
            Self::Unknown(keys) => Ok(Self::Unknown(mem::replace(&mut region.unknown, keys))),
        }
    }
}

/// Whether `region` may be added.
pub(super) fn check(document: &Document, region: &Region) -> Result<(), EditError> {
    check_new_id(document, &region.id)?;
    let (mask, image) = (region.mask.rle.size(), document.image.size);
    if mask != image {
        return Err(EditError::MaskSize { mask, image });
    }
    region
        .words
        .as_ref()
        .map_or(Ok(()), |words| check_tokenizer(document, words))
}

pub(super) fn check_new_id(document: &Document, id: &str) -> Result<(), EditError> {
    if id.is_empty() || id.contains(['[', ']']) {
        return Err(EditError::InvalidId { id: id.to_owned() });
    }
    if document.region(id).is_some() {
        return Err(EditError::UsedId { id: id.to_owned() });
    }
    Ok(())
}

fn check_tokenizer(document: &Document, words: &MaskWords) -> Result<(), EditError> {
    let mut tokenizers = document.tokenizers.iter();
    if tokenizers.any(|tokenizer| tokenizer.id == words.tokenizer) {
        return Ok(());
    }
    Err(EditError::NoTokenizer {
        id: words.tokenizer.clone(),
    })
}

pub(super) fn index(document: &Document, id: &str) -> Result<usize, EditError> {
    let index = document.regions.iter().position(|region| region.id == id);
    index.ok_or_else(|| EditError::NoRegion { id: id.to_owned() })
}
