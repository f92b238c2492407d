//! Compares what an image's annotations were with what came back of them, region by region and field by field.

use super::report::LossReport;
use super::shape::{self, Shape};
use crate::dataset::mention;
use crate::dataset::{Caption, Conversation, Document, MaskWords, Region, Status};
use crate::mask::Rle;
use std::collections::{HashMap, HashSet, VecDeque};

/// Whether what came back of a document can be compared with it.
#[derive(Debug)]
pub(super) struct Returned<'a> {
    /// Every document that came back for the image.
    documents: &'a [Document],
    /// All their regions, each with the index of its document.
    regions: Vec<(usize, &'a Region)>,
}

impl<'a> Returned<'a> {
    pub(super) fn new(documents: &'a [Document]) -> Self {
        let of = |(index, document): (usize, &'a Document)| {
            document.regions.iter().map(move |region| (index, region))
        };
        Self {
            documents,
            regions: documents.iter().enumerate().flat_map(of).collect(),
        }
    }

    /// Counts in `report` what became of `source`, which belongs to the image called `name`.
    pub(super) fn compare(&self, name: &str, source: &Document, report: &mut LossReport) {
        report.images.before += 1;
        report.images.kept += u64::from(!self.documents.is_empty());
        report.regions.before += source.regions.len() as u64;
        report.regions_after += self.regions.len() as u64;
        let pairs = self.pairs(&source.regions);
        let found = pairs.iter().flatten().count();
        report.regions.kept += found as u64;
        report.invented += (self.regions.len() - found) as u64;

        let ids = SourceIds::of(source, &self.regions, &pairs);
        for (region, pair) in source.regions.iter().zip(&pairs) {
            let returned = pair.and_then(|pair| self.regions.get(pair)).copied();
            compare_shapes(name, region, returned.map(|(_, region)| region), report);
            self.compare_fields(source, region, returned, &ids, report);
        }
        let paired: HashSet<usize> = pairs.into_iter().flatten().collect();
        for (index, (_, region)) in self.regions.iter().enumerate() {
            if !paired.contains(&index) {
                let shape = Shape::of(&region.mask.rle);
                report.parts_after += shape.parts;
                report.holes_after += shape.holes;
            }
        }
        self.compare_image(source, &ids, report);
    }

    /// Counts regions that came back for an image that had none.
    pub(super) fn count_invented(&self, report: &mut LossReport) {
        report.regions_after += self.regions.len() as u64;
        report.invented += self.regions.len() as u64;
    }

    /// For every region of `source` the index of the one that came back for it: the same mask if there is one, with
    /// the same label if there are several, else the one that overlaps most.
    fn pairs(&self, source: &[Region]) -> Vec<Option<usize>> {
        let mut pairs = vec![None; source.len()];
        let mut same: HashMap<&Rle, VecDeque<usize>> = HashMap::new();
        for (index, (_, region)) in self.regions.iter().enumerate() {
            same.entry(&region.mask.rle).or_default().push_back(index);
        }
        // Twins are told apart by their labels before the rest is taken in order.
        for with_label in [true, false] {
            for (region, pair) in source.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
                let Some(twins) = same.get_mut(&region.mask.rle) else {
                    continue;
                };
                let has_label = |index: &usize| {
                    let returned = self.regions.get(*index);
                    !with_label || returned.is_some_and(|(_, returned)| returned.label == region.label)
                };
                *pair = twins.iter().position(has_label).and_then(|at| twins.remove(at));
            }
        }
        let left: Vec<usize> = same.into_values().flatten().collect();
        let mut candidates = Vec::new();
        for (index, region) in source.iter().enumerate() {
            if pairs.get(index).is_some_and(Option::is_some) {
                continue;
            }
            let bounds = region.mask.rle.bounding_box();
            for &other in &left {
                let Some((_, returned)) = self.regions.get(other) else {
                    continue;
                };
                let overlap = bounds.zip(returned.mask.rle.bounding_box());
                if overlap.is_none_or(|(a, b)| a.intersection(b).is_none()) {
                    continue;
                }
                let iou = shape::iou(&region.mask.rle, &returned.mask.rle);
                if iou > 0.0 {
                    let is_relabelled = region.label != returned.label;
                    candidates.push((iou, is_relabelled, index.abs_diff(other), index, other));
                }
            }
        }
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2, a.3).cmp(&(b.1, b.2, b.3))));
        let mut is_taken = vec![false; self.regions.len()];
        for (.., index, other) in candidates {
            let (Some(pair), Some(is_taken)) = (pairs.get_mut(index), is_taken.get_mut(other)) else {
                continue;
            };
            if pair.is_none() && !*is_taken {
                *pair = Some(other);
                *is_taken = true;
            }
        }
        pairs
    }

    fn compare_fields(
        &self,
        source: &Document,
        region: &Region,
        returned: Option<(usize, &Region)>,
        ids: &SourceIds<'_>,
        report: &mut LossReport,
    ) {
        let kept = |holds: &dyn Fn(&Region) -> bool| returned.is_some_and(|(_, other)| holds(other));
        report.labels.add(kept(&|other| other.label == region.label));
        let mut captions: Vec<(String, Option<&str>)> =
            returned.map_or_else(Vec::new, |(document, other)| {
                let caption = |caption: &Caption| ids.in_source(document, &caption.text);
                let captions = other.captions.iter();
                captions
                    .map(|one| (caption(one), one.author.as_deref()))
                    .collect()
            });
        for caption in &region.captions {
            let at = captions.iter().position(|(text, _)| *text == caption.text);
            let same = at.map(|at| captions.remove(at));
            report.captions.add(same.is_some());
            if let Some(author) = caption.author.as_deref() {
                report
                    .authors
                    .add(same.is_some_and(|(_, other)| other == Some(author)));
            }
        }
        for (key, value) in &region.attributes {
            report
                .attributes
                .add(kept(&|other| other.attributes.get(key) == Some(value)));
        }
        if let Some(words) = &region.words {
            let same = returned
                .and_then(|(document, other)| Some((self.documents.get(document)?, other.words.as_ref()?)));
            report.words.add(
                same.is_some_and(|(document, other)| are_same_words((source, words), (document, other))),
            );
        }
        if region.status != Status::Draft {
            report.statuses.add(kept(&|other| other.status == region.status));
        }
        if let Some(color) = region.color {
            report.colors.add(kept(&|other| other.color == Some(color)));
        }
        if !region.source.is_empty() {
            report.sources.add(kept(&|other| other.source == region.source));
        }
        for (key, value) in region.unknown.iter().chain(&region.mask.unknown) {
            let is_there = |other: &Region| {
                other.unknown.get(key) == Some(value) || other.mask.unknown.get(key) == Some(value)
            };
            report.other_keys.add(kept(&is_there));
        }
    }

    fn compare_image(&self, source: &Document, ids: &SourceIds<'_>, report: &mut LossReport) {
        let of = |(index, document): (usize, &'a Document)| {
            document
                .conversations
                .iter()
                .map(move |conversation| (index, conversation))
        };
        let mut conversations: Vec<(usize, &Conversation)> =
            self.documents.iter().enumerate().flat_map(of).collect();
        for conversation in &source.conversations {
            report.conversations.before += 1;
            let is_same = |&(document, other): &(usize, &Conversation)| {
                other.task == conversation.task
                    && other.turns.len() == conversation.turns.len()
                    && conversation.turns.iter().zip(&other.turns).all(|(turn, other)| {
                        turn.role == other.role && turn.text == ids.in_source(document, &other.text)
                    })
            };
            if let Some(at) = conversations.iter().position(is_same) {
                conversations.remove(at);
                report.conversations.kept += 1;
            }
        }
        let any = |holds: &dyn Fn(&Document) -> bool| self.documents.iter().any(holds);
        if source.status != Status::Draft {
            report
                .image_statuses
                .add(any(&|other| other.status == source.status));
        }
        if !source.notes.is_empty() {
            report.image_notes.add(any(&|other| other.notes == source.notes));
        }
        for (key, value) in &source.unknown {
            report
                .other_keys
                .add(any(&|other| other.unknown.get(key) == Some(value)));
        }
    }
}

fn compare_shapes(name: &str, region: &Region, returned: Option<&Region>, report: &mut LossReport) {
    let before = &region.mask.rle;
    let shape = Shape::of(before);
    report.parts_before += shape.parts;
    report.holes_before += shape.holes;
    let Some(after) = returned.map(|returned| &returned.mask.rle) else {
        report.lost_region(name, &region.id);
        return;
    };
    let (after_shape, iou) = if before == after {
        (shape, 1.0)
    } else {
        (Shape::of(after), shape::iou(before, after))
    };
    report.parts_after += after_shape.parts;
    report.holes_after += after_shape.holes;
    report.iou.add(iou, before == after);
    if before != after {
        report.changed_region(name, &region.id, iou, after_shape != shape);
    }
}

/// Whether two regions have the same words of the same tokenizer, whatever its id.
fn are_same_words(a: (&Document, &MaskWords), b: (&Document, &MaskWords)) -> bool {
    let fingerprint = |(document, words): (&Document, &MaskWords)| {
        let mut tokenizers = document.tokenizers.iter();
        let tokenizer = tokenizers.find(|tokenizer| tokenizer.id == words.tokenizer);
        tokenizer.map(|tokenizer| tokenizer.fingerprint.clone())
    };
    a.1.text == b.1.text
        && a.1.codes == b.1.codes
        && a.1.mask_blake3 == b.1.mask_blake3
        && fingerprint(a) == fingerprint(b)
}

/// What regions that came back were called before.
struct SourceIds<'a> {
    /// By the index of the document and the id in it.
    ids: HashMap<(usize, &'a str), &'a str>,
}

impl<'a> SourceIds<'a> {
    fn of(source: &'a Document, returned: &[(usize, &'a Region)], pairs: &[Option<usize>]) -> Self {
        let pairs = source.regions.iter().zip(pairs);
        let ids = pairs.filter_map(|(region, pair)| {
            let &(document, other) = returned.get((*pair)?)?;
            Some(((document, other.id.as_str()), region.id.as_str()))
        });
        Self { ids: ids.collect() }
    }

    /// A text of the document with this index, with the ids that the regions had before.
    fn in_source(&self, document: usize, text: &str) -> String {
        mention::renamed(text, |id| self.ids.get(&(document, id)).copied())
    }
}
