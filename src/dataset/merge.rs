//! Two versions of a document made one, so that two people can work on one image and neither loses anything.
//!
//! Both versions are compared with the last one that they have in common, region by region and conversation by
//! conversation, and field by field inside. What only one side changed is taken from there. What both added under
//! one id gets another id on their side, in their texts too. What both changed differently is kept both ways where
//! that is possible: a mask as another region, turns as another conversation, captions and lines of the notes one
//! behind the other. Where it is not, ours stays and theirs is written down under `merge_conflicts` in the
//! document. What one side removed and the other changed stays.

mod apart;
mod conflict;
mod conversations;
mod fields;
mod lists;
mod regions;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use self::apart::NewIds;
pub use self::conflict::{Conflict, ConflictKind, Place, Side};
use super::document::{Document, ImageRef, Tokenizer};
use super::mention;
use crate::geometry::ImageSize;

/// Key of the document under which merging writes down the values that had to give way.
pub const CONFLICTS_KEY: &str = "merge_conflicts";

/// Key of an additional region, conversation or caption that holds another version of something; its value says of
/// what.
pub const CONFLICT_WITH_KEY: &str = "conflict_with";

/// Two versions in one.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The document with the work of both.
    pub document: Document,
    /// What a person should look at.
    pub conflicts: Vec<Conflict>,
}

/// The two versions are for images of different sizes, so their masks do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("one version is for {ours} pixels and the other for {theirs}; restore the image that was annotated")]
pub struct OtherSize {
    /// Size in our version.
    pub ours: ImageSize,
    /// Size in the other version.
    pub theirs: ImageSize,
}

/// The document with what both sides did to `base`; equal documents give an equal result.
///
/// The revision is one more than both had, unless one side did nothing.
///
/// # Errors
/// [`OtherSize`].
pub fn merge(base: &Document, ours: &Document, theirs: &Document) -> Result<Merged, OtherSize> {
    if ours.image.size != theirs.image.size {
        return Err(OtherSize {
            ours: ours.image.size,
            theirs: theirs.image.size,
        });
    }
    let unchanged = |document: &Document| Merged {
        document: document.clone(),
        conflicts: Vec::new(),
    };
    if ours == base {
        return Ok(unchanged(theirs));
    }
    if theirs == base || ours == theirs {
        return Ok(unchanged(ours));
    }
    let mut new_ids = NewIds::new([base, ours, theirs]);
    let theirs = apart::apart(base, ours, theirs, &mut new_ids);
    let mut merger = Merger {
        new_ids,
        conflicts: Vec::new(),
    };
    Ok(merger.merge(base, ours, &theirs))
}

/// A merge that goes on.
struct Merger {
    new_ids: NewIds,
    conflicts: Vec<Conflict>,
}

/// One thing in the three versions.
struct Versions<'a, T> {
    base: &'a T,
    ours: &'a T,
    theirs: &'a T,
}

impl<T> Clone for Versions<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Versions<'_, T> {}

impl<'a, T> Versions<'a, T> {
    /// A part of the thing.
    fn map<U>(self, part: impl Fn(&'a T) -> &'a U) -> Versions<'a, U> {
        Versions {
            base: part(self.base),
            ours: part(self.ours),
            theirs: part(self.theirs),
        }
    }
}

impl Merger {
    fn merge(&mut self, base: &Document, ours: &Document, theirs: &Document) -> Merged {
        let all = Versions { base, ours, theirs };
        let regions = self.regions(all);
        let conversations = self.conversations(all);
        let mut document = Document {
            image: self.image(all.map(|document| &document.image)),
            tokenizers: Vec::new(),
            regions,
            conversations,
            status: self.field(
                &Place::Document,
                "status",
                all.map(|document| &document.status),
                |status| json!(status.as_str()),
            ),
            notes: self.notes(all.map(|document| &document.notes)),
            modified: ours.modified.max(theirs.modified),
            revision: ours.revision.max(theirs.revision).saturating_add(1),
            unknown: self.unknown(&Place::Document, "", all.map(|document| &document.unknown)),
        };
        document.tokenizers = self.tokenizers(all, &document);
        let conflicts = std::mem::take(&mut self.conflicts);
        record(&mut document, all, &conflicts);
        Merged { document, conflicts }
    }

    fn image(&mut self, image: Versions<'_, ImageRef>) -> ImageRef {
        let place = &Place::Document;
        ImageRef {
            file_name: self.field(
                place,
                "image.file_name",
                image.map(|image| &image.file_name),
                |name| json!(name),
            ),
            size: image.ours.size,
            blake3: self.field(place, "image.blake3", image.map(|image| &image.blake3), |hash| {
                json!(hash)
            }),
            unknown: self.unknown(place, "image.", image.map(|image| &image.unknown)),
        }
    }

    /// The notes line by line; lines that both wrote differently follow each other.
    fn notes(&mut self, notes: Versions<'_, String>) -> String {
        let lines = |text: &'_ String| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
        let (base, ours, theirs) = (lines(notes.base), lines(notes.ours), lines(notes.theirs));
        if let Some(text) = fields::three_way(notes) {
            return text.clone();
        }
        let mut has_conflict = false;
        let merged = lists::merge(&base, &ours, &theirs, |line| {
            has_conflict = true;
            line.kept()
        });
        if has_conflict {
            self.conflicts
                .push(Conflict::new(Place::Document, ConflictKind::Notes));
        }
        merged.join("\n")
    }

    /// The tokenizers of both, with all that the words of `merged` need.
    fn tokenizers(&mut self, all: Versions<'_, Document>, merged: &Document) -> Vec<Tokenizer> {
        let needed: HashSet<&str> = merged
            .regions
            .iter()
            .filter_map(|region| Some(region.words.as_ref()?.tokenizer.as_str()))
            .collect();
        let ids = |document: &'_ Document| -> Vec<String> {
            document
                .tokenizers
                .iter()
                .map(|tokenizer| tokenizer.id.clone())
                .collect()
        };
        let (base, ours, theirs) = (ids(all.base), ids(all.ours), ids(all.theirs));
        let (order, _) = lists::order(&refs(&base), &refs(&ours), &refs(&theirs));
        let find = |document: &'_ Document, id: &str| {
            let mut tokenizers = document.tokenizers.iter();
            tokenizers.find(|tokenizer| tokenizer.id == id).cloned()
        };
        let mut tokenizers = Vec::new();
        for id in order {
            let versions = (find(all.base, id), find(all.ours, id), find(all.theirs, id));
            let tokenizer = match versions {
                (Some(base), Some(ours), Some(theirs)) => Some(self.tokenizer(Versions {
                    base: &base,
                    ours: &ours,
                    theirs: &theirs,
                })),
                (None, Some(ours), Some(theirs)) => Some(self.tokenizer(Versions {
                    base: &ours,
                    ours: &ours,
                    theirs: &theirs,
                })),
                (None, ours, theirs) => ours.or(theirs),
                (Some(base), Some(one), None) | (Some(base), None, Some(one)) => {
                    (one != base || needed.contains(id)).then_some(one)
                }
                (Some(_), None, None) => None,
            };
            tokenizers.extend(tokenizer);
        }
        tokenizers
    }

    /// One tokenizer; [`apart::apart`] saw to it that it is the same model on both sides.
    fn tokenizer(&mut self, tokenizer: Versions<'_, Tokenizer>) -> Tokenizer {
        let place = &Place::Tokenizer(tokenizer.ours.id.clone());
        Tokenizer {
            name: self.field(
                place,
                "name",
                tokenizer.map(|tokenizer| &tokenizer.name),
                |name| json!(name),
            ),
            unknown: self.unknown(place, "", tokenizer.map(|tokenizer| &tokenizer.unknown)),
            ..tokenizer.ours.clone()
        }
    }
}

/// Writes the values that gave way into the document; what was written there before stays, unless one side dealt
/// with it and took it out.
fn record(document: &mut Document, all: Versions<'_, Document>, conflicts: &[Conflict]) {
    let list = |document: &Document| match document.unknown.get(CONFLICTS_KEY) {
        None => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(other) => vec![other.clone()],
    };
    let (base, ours, theirs) = (list(all.base), list(all.ours), list(all.theirs));
    let mut records: Vec<Value> = ours
        .iter()
        .filter(|item| !base.contains(item) || theirs.contains(item))
        .cloned()
        .collect();
    records.extend(
        theirs
            .into_iter()
            .filter(|item| !base.contains(item) && !ours.contains(item)),
    );
    records.extend(conflicts.iter().filter_map(Conflict::record));
    if records.is_empty() {
        document.unknown.shift_remove(CONFLICTS_KEY);
    } else {
        document.unknown.insert(CONFLICTS_KEY.to_owned(), records.into());
    }
}

/// How often the texts of `document` mention each id.
fn mention_counts(document: &Document) -> HashMap<&str, usize> {
    let captions = document
        .regions
        .iter()
        .flat_map(|region| &region.captions)
        .map(|caption| &caption.text);
    let turns = document
        .conversations
        .iter()
        .flat_map(|conversation| &conversation.turns)
        .map(|turn| &turn.text);
    let mut counts = HashMap::new();
    for mention in captions.chain(turns).flat_map(|text| mention::candidates(text)) {
        *counts.entry(mention.id).or_insert(0) += 1;
    }
    counts
}

fn refs(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}
