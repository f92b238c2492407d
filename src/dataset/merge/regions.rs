//! Merging regions: by id, and by field inside.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::lists::{self, Clash};
use super::{
    CONFLICT_WITH_KEY, Conflict, ConflictKind, Merger, Place, Side, Versions, fields, mention_counts,
};
use crate::dataset::document::{Caption, Document, MaskWords, Region, RegionMask, mask_blake3};
use crate::dataset::vocabulary::Status;
use crate::mask::Rle;

impl Merger {
    pub(super) fn regions(&mut self, all: Versions<'_, Document>) -> Vec<Region> {
        let ids = |document: &'_ Document| -> Vec<String> {
            let ids = document.regions.iter().map(|region| region.id.clone());
            ids.collect()
        };
        let (base, ours, theirs) = (ids(all.base), ids(all.ours), ids(all.theirs));
        let (order, is_conflict) =
            lists::order(&super::refs(&base), &super::refs(&ours), &super::refs(&theirs));
        if is_conflict {
            let kind = ConflictKind::Order { of: "regions" };
            self.conflicts.push(Conflict::new(Place::Document, kind));
        }
        let [base, ours, theirs] = [all.base, all.ours, all.theirs].map(by_id);
        let mentions = [all.base, all.ours, all.theirs].map(mention_counts);
        let is_newly_mentioned = |by: usize, id: &str| {
            let count = |side: usize| mentions[side].get(id).copied().unwrap_or_default();
            count(by) > count(0)
        };
        let mut merged = Vec::with_capacity(order.len());
        for id in order {
            match (base.get(id), ours.get(id), theirs.get(id)) {
                (Some(base), Some(ours), Some(theirs)) => {
                    self.region(Versions { base, ours, theirs }, &mut merged);
                }
                (Some(base), Some(kept), None) => {
                    if is_edited(base, kept) || is_newly_mentioned(1, id) {
                        merged.push((*kept).clone());
                        self.was_removed(id, Side::Theirs);
                    }
                }
                (Some(base), None, Some(kept)) => {
                    if is_edited(base, kept) || is_newly_mentioned(2, id) {
                        merged.push((*kept).clone());
                        self.was_removed(id, Side::Ours);
                    }
                }
                // Added; on both sides only if both added the same.
                (_, ours, theirs) => merged.extend(ours.or(theirs).map(|added| (*added).clone())),
            }
        }
        merged
    }

    fn was_removed(&mut self, id: &str, by: Side) {
        let kind = ConflictKind::Removed { field: None, by };
        self.conflicts
            .push(Conflict::new(Place::Region(id.to_owned()), kind));
    }

    /// A region that all three have; their mask is a region of its own if both changed it.
    fn region(&mut self, region: Versions<'_, Region>, merged: &mut Vec<Region>) {
        let id = region.ours.id.clone();
        let place = &Place::Region(id.clone());
        let mask = region.map(|region| &region.mask.rle);
        let other_mask = fields::three_way(mask).is_none().then(|| {
            let other = self.new_ids.region();
            let kind = ConflictKind::Mask { other: other.clone() };
            self.conflicts.push(Conflict::new(place.clone(), kind));
            other_version(region.theirs, other)
        });
        let rle = fields::three_way(mask).unwrap_or(mask.ours).clone();
        merged.push(Region {
            label: self.field(place, "label", region.map(|region| &region.label), |label| {
                json!(label)
            }),
            color: self.field(place, "color", region.map(|region| &region.color), |color| {
                json!(color.map(|color| color.to_string()))
            }),
            words: words(region.map(|region| &region.words), &rle),
            mask: RegionMask {
                rle,
                unknown: self.unknown(place, "mask.", region.map(|region| &region.mask.unknown)),
            },
            captions: self.captions(place, region.map(|region| &region.captions)),
            attributes: self.unknown(place, "attributes.", region.map(|region| &region.attributes)),
            source: self.field(place, "source", region.map(|region| &region.source), |source| {
                json!(source)
            }),
            status: self.field(place, "status", region.map(|region| &region.status), |status| {
                json!(status.as_str())
            }),
            unknown: self.unknown(place, "", region.map(|region| &region.unknown)),
            id,
        });
        merged.extend(other_mask);
    }

    fn captions(&mut self, place: &Place, captions: Versions<'_, Vec<Caption>>) -> Vec<Caption> {
        lists::merge(captions.base, captions.ours, captions.theirs, |clash| {
            let Clash::Changed { base, ours, theirs } = clash else {
                let by = match clash {
                    Clash::RemovedByUs { .. } => Side::Ours,
                    _ => Side::Theirs,
                };
                let field = Some("caption".to_owned());
                let kind = ConflictKind::Removed { field, by };
                self.conflicts.push(Conflict::new(place.clone(), kind));
                return clash.kept();
            };
            let caption = Versions { base, ours, theirs };
            let Some(text) = fields::three_way(caption.map(|caption| &caption.text)) else {
                self.conflicts
                    .push(Conflict::new(place.clone(), ConflictKind::Caption));
                let mut other = theirs.clone();
                other
                    .unknown
                    .insert(CONFLICT_WITH_KEY.to_owned(), Value::from(&*ours.text));
                return vec![ours.clone(), other];
            };
            vec![Caption {
                text: text.clone(),
                author: self.field(
                    place,
                    "caption.author",
                    caption.map(|caption| &caption.author),
                    |author| json!(author),
                ),
                unknown: self.unknown(place, "caption.", caption.map(|caption| &caption.unknown)),
            }]
        })
    }
}

fn by_id(document: &Document) -> HashMap<&str, &Region> {
    let regions = document.regions.iter();
    regions.map(|region| (region.id.as_str(), region)).collect()
}

/// Whether more than the words, which are derived, differs.
fn is_edited(base: &Region, region: &Region) -> bool {
    let is_equal = |base: &Region| base == region;
    !is_equal(base)
        && !is_equal(&Region {
            words: region.words.clone(),
            ..base.clone()
        })
}

/// Their mask as a region that says what it is; captions stay with the original.
fn other_version(theirs: &Region, id: String) -> Region {
    let mut other = theirs.clone();
    let original = std::mem::replace(&mut other.id, id);
    other.captions.clear();
    // It must not be used before somebody looked at it.
    other.status = Status::Draft;
    other
        .unknown
        .insert(CONFLICT_WITH_KEY.to_owned(), original.into());
    other
}

/// The words, which can be made again from the `mask` at any time: those that fit it, and of two the better ones.
fn words(words: Versions<'_, Option<MaskWords>>, mask: &Rle) -> Option<MaskWords> {
    if let Some(words) = fields::three_way(words) {
        return words.clone();
    }
    let hash = mask_blake3(mask);
    let rank = |words: &MaskWords| (words.mask_blake3 == hash, words.iou.unwrap_or(-1.0));
    match (words.ours, words.theirs) {
        (Some(ours), Some(theirs)) if rank(theirs) > rank(ours) => Some(theirs.clone()),
        (ours, theirs) => ours.as_ref().or(theirs.as_ref()).cloned(),
    }
}
