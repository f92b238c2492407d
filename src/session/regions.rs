//! Commands on the selected regions: clipboard, shape, order, visibility.

use std::collections::HashMap;

use super::Session;
use crate::command::Command;
use crate::dataset::{Color, Document, Edit, MaskChange, Mentions, Region, RegionChange, Status};
use crate::geometry::ImageSize;
use crate::mask::{Mask, Rle};
use crate::tools::{Combine, Patch, operations};

/// Parts smaller than this are specks, in pixels.
const SPECK_PX: u64 = 16;

/// How far a pasted copy lies from its original, in pixels.
const PASTE_OFFSET_PX: i64 = 12;

/// Colours of regions, easy to tell apart for the colour-blind too (after Okabe and Ito, and Tol).
pub(super) const PALETTE: [[u8; 3]; 10] = [
    [0xe6, 0x9f, 0x00],
    [0x56, 0xb4, 0xe9],
    [0x00, 0x9e, 0x73],
    [0xf0, 0xe4, 0x42],
    [0x00, 0x72, 0xb2],
    [0xd5, 0x5e, 0x00],
    [0xcc, 0x79, 0xa7],
    [0x88, 0xcc, 0xee],
    [0xaa, 0x44, 0x99],
    [0x99, 0x99, 0x33],
];

/// The colour that the fewest regions have.
#[must_use]
pub fn next_color(document: &Document) -> Color {
    let mut uses = [0_usize; PALETTE.len()];
    for color in document.regions.iter().filter_map(|region| region.color) {
        if let Some(place) = PALETTE.iter().position(|rgb| *rgb == color.rgb) {
            uses[place] += 1;
        }
    }
    let place = (0..PALETTE.len()).min_by_key(|place| uses[*place]).unwrap_or(0);
    Color { rgb: PALETTE[place] }
}

/// The colour of a region, also of one that has none of its own: regions of one label look alike.
#[must_use]
pub fn color_of(region: &Region) -> Color {
    region.color.unwrap_or_else(|| {
        let text = if region.label.is_empty() {
            &region.id
        } else {
            &region.label
        };
        let hash = text.bytes().fold(5_usize, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(usize::from(byte))
        });
        Color {
            rgb: PALETTE[hash % PALETTE.len()],
        }
    })
}

impl Session {
    /// The label that the next region gets: that of the last one.
    #[must_use]
    pub fn next_label(&self) -> String {
        let last = self.open().and_then(|open| open.document().regions.last());
        last.map(|region| region.label.clone()).unwrap_or_default()
    }

    /// Runs a command on the selected regions; `false` for one that is about the window.
    pub(super) fn execute_on_regions(&mut self, command: Command) -> bool {
        match command {
            Command::Copy => self.copy_regions(),
            Command::Cut => {
                self.copy_regions();
                self.delete_regions();
            }
            Command::Duplicate => {
                let kept = self.clipboard.clone();
                self.copy_regions();
                self.paste_regions();
                self.clipboard = kept;
            }
            Command::Delete => self.delete_regions(),
            Command::SelectAll => {
                if let Some(open) = self.open_mut() {
                    let ids: Vec<String> = open
                        .document()
                        .regions
                        .iter()
                        .map(|region| region.id.clone())
                        .collect();
                    open.select(ids);
                }
            }
            Command::NextRegion => self.select_neighbour(1),
            Command::PreviousRegion => self.select_neighbour(-1),
            Command::FillHoles => self.reshape(|mask| operations::fill_holes(mask, None)),
            Command::DropSpecks => self.reshape(|mask| operations::drop_specks(mask, SPECK_PX)),
            Command::Grow => self.reshape(|mask| operations::grow(mask, 1.0)),
            Command::Shrink => self.reshape(|mask| operations::shrink(mask, 1.0)),
            Command::Smooth => self.reshape(|mask| operations::smooth(mask, 2.0)),
            Command::Split => self.split_regions(),
            Command::Merge => self.merge_regions(),
            Command::RemoveUnderlying => self.remove_underlying(),
            Command::ToFront => self.reorder(true),
            Command::ToBack => self.reorder(false),
            Command::ToggleHidden => {
                if let Some(open) = self.open_mut() {
                    let ids: Vec<String> = open.selected().to_vec();
                    let hides = ids.iter().any(|id| !open.is_hidden(id));
                    open.set_hidden(ids, hides);
                }
            }
            Command::Solo => {
                if let Some(open) = self.open_mut() {
                    open.set_solo(!open.is_solo());
                }
            }
            _ => return false,
        }
        true
    }

    /// Whether there are regions to paste.
    #[must_use]
    pub fn has_copied(&self) -> bool {
        !self.clipboard.is_empty()
    }

    fn copy_regions(&mut self) {
        let Some(open) = self.open() else { return };
        let copied: Vec<Region> = open
            .document()
            .regions
            .iter()
            .filter(|region| open.is_selected(&region.id))
            .cloned()
            .collect();
        if !copied.is_empty() {
            self.clipboard = copied;
        }
    }

    /// Adds the copied regions: in place on another image of the same size, a little aside where they came from.
    pub fn paste_regions(&mut self) {
        let Some(open) = self.open() else { return };
        let (document, size) = (open.document(), open.size());
        let is_here = |region: &Region| {
            document
                .regions
                .iter()
                .any(|other| other.mask.rle == region.mask.rle)
        };
        let mut shown = document.clone();
        let mut edits = Vec::new();
        let mut clipped = 0;
        for copied in &self.clipboard {
            let offset = if is_here(copied) { PASTE_OFFSET_PX } else { 0 };
            let Some(mask) = moved(&copied.mask.rle, offset, size) else {
                clipped += 1;
                continue;
            };
            let mut region = Region::new(shown.next_region_id(), mask);
            region.label.clone_from(&copied.label);
            region.color = copied.color;
            region.captions.clone_from(&copied.captions);
            region.attributes.clone_from(&copied.attributes);
            region.source.clone_from(&copied.source);
            region.status = Status::Draft;
            shown.regions.push(region.clone());
            edits.push(Edit::AddRegion {
                index: usize::MAX,
                region: Box::new(region),
            });
        }
        let ids: Vec<String> = shown
            .regions
            .iter()
            .skip(document.regions.len())
            .map(|region| region.id.clone())
            .collect();
        if clipped > 0 {
            self.notices.warn(format!(
                "{clipped} regions lie outside this smaller image and were not pasted"
            ));
        }
        self.apply(edits);
        if let Some(open) = self.open_mut() {
            open.select(ids);
        }
    }

    fn delete_regions(&mut self) {
        let Some(open) = self.open() else { return };
        let mut document = open.document().clone();
        let mut edits = Vec::new();
        for id in open.selected() {
            let Some(region) = document.region(id) else {
                continue;
            };
            // A text that spoke of the region still reads well: its label stands for it.
            let name = if region.label.is_empty() {
                region.id.clone()
            } else {
                region.label.clone()
            };
            let edit = Edit::remove_region(&document, id, &Mentions::Replace(name));
            // Later edits of the same texts must see what the earlier ones made of them.
            if edit.clone().apply(&mut document).is_ok() {
                edits.push(edit);
            }
        }
        self.apply(edits);
        if let Some(open) = self.open_mut() {
            open.select([]);
        }
    }

    fn select_neighbour(&mut self, by: isize) {
        let Some(open) = self.open_mut() else { return };
        let regions = &open.document().regions;
        if regions.is_empty() {
            return;
        }
        let current = open
            .selected()
            .last()
            .and_then(|id| regions.iter().position(|region| region.id == *id));
        let next = match current {
            Some(place) => (place as isize + by).rem_euclid(regions.len() as isize) as usize,
            None if by < 0 => regions.len() - 1,
            None => 0,
        };
        let id = regions[next].id.clone();
        open.select([id]);
    }

    /// Changes the masks of the selected regions, as one step.
    fn reshape(&mut self, change: impl Fn(&Mask) -> Option<Patch>) {
        let Some(open) = self.open() else { return };
        let edits: Vec<Edit> = open
            .selected()
            .iter()
            .filter_map(|id| open.document().region(id))
            .filter_map(|region| {
                let mut mask = Mask::from_rle(&region.mask.rle);
                change(&mask)?.apply(&mut mask, Combine::Overwrite)?;
                mask_edit(region, &mask.to_rle())
            })
            .collect();
        if edits.is_empty() {
            self.notices
                .info("nothing changed: select the regions that are meant first");
        }
        self.apply(edits);
    }

    fn split_regions(&mut self) {
        let Some(open) = self.open() else { return };
        let size = open.size();
        let mut shown = open.document().clone();
        let mut edits = Vec::new();
        let mut selected = Vec::new();
        for id in open.selected() {
            let Some(region) = open.document().region(id) else {
                continue;
            };
            let parts = operations::split(&Mask::from_rle(&region.mask.rle));
            let mut parts = parts
                .iter()
                .filter_map(|part| Some(part.to_mask(size).ok()?.to_rle()));
            let Some(first) = parts.next() else { continue };
            edits.extend(mask_edit(region, &first));
            selected.push(id.clone());
            for part in parts {
                let mut piece = Region::new(shown.next_region_id(), part);
                piece.label.clone_from(&region.label);
                piece.attributes.clone_from(&region.attributes);
                piece.source.clone_from(&region.source);
                piece.color = Some(next_color(&shown));
                selected.push(piece.id.clone());
                shown.regions.push(piece.clone());
                edits.push(Edit::AddRegion {
                    index: usize::MAX,
                    region: Box::new(piece),
                });
            }
        }
        self.apply(edits);
        if let Some(open) = self.open_mut() {
            open.select(selected);
        }
    }

    fn merge_regions(&mut self) {
        let Some(open) = self.open() else { return };
        let mut document = open.document().clone();
        let chosen: Vec<&Region> = open
            .document()
            .regions
            .iter()
            .filter(|region| open.is_selected(&region.id))
            .collect();
        let Some((kept, others)) = chosen.split_first().filter(|(_, others)| !others.is_empty()) else {
            self.notices.info("select two regions or more to merge them");
            return;
        };
        let masks: Vec<Mask> = chosen
            .iter()
            .map(|region| Mask::from_rle(&region.mask.rle))
            .collect();
        let Ok(Some(patch)) = operations::merge(&masks.iter().collect::<Vec<_>>()) else {
            return;
        };
        let Ok(merged) = patch.to_mask(open.size()) else {
            return;
        };
        let mut edits: Vec<Edit> = mask_edit(kept, &merged.to_rle()).into_iter().collect();
        let kept_id = kept.id.clone();
        for other in others {
            // Whoever spoke of a part now speaks of the whole.
            let edit =
                Edit::remove_region(&document, &other.id, &Mentions::Replace(format!("[[{kept_id}]]")));
            if edit.clone().apply(&mut document).is_ok() {
                edits.push(edit);
            }
        }
        self.apply(edits);
        if let Some(open) = self.open_mut() {
            open.select([kept_id]);
        }
    }

    fn remove_underlying(&mut self) {
        let Some(open) = self.open() else { return };
        let regions = &open.document().regions;
        // The masks as they become, so that several selected regions take from one below.
        let mut changed: HashMap<usize, Mask> = HashMap::new();
        for (place, top) in regions
            .iter()
            .enumerate()
            .filter(|(_, region)| open.is_selected(&region.id))
        {
            let top = changed
                .get(&place)
                .cloned()
                .unwrap_or_else(|| Mask::from_rle(&top.mask.rle));
            for (below, region) in regions.iter().enumerate().take(place) {
                let mask = changed
                    .get(&below)
                    .cloned()
                    .unwrap_or_else(|| Mask::from_rle(&region.mask.rle));
                if let Some(patch) = operations::remove_underlying(&top, &[&mask])
                    .into_iter()
                    .flatten()
                    .next()
                {
                    let mut mask = mask;
                    patch.apply(&mut mask, Combine::Overwrite);
                    changed.insert(below, mask);
                }
            }
        }
        let edits = changed
            .iter()
            .filter_map(|(place, mask)| mask_edit(regions.get(*place)?, &mask.to_rle()))
            .collect();
        self.apply(edits);
    }

    fn reorder(&mut self, is_front: bool) {
        let Some(open) = self.open() else { return };
        let chosen = open
            .document()
            .regions
            .iter()
            .filter(|region| open.is_selected(&region.id));
        let ids: Vec<String> = chosen.map(|region| region.id.clone()).collect();
        let edits = if is_front {
            ids.into_iter()
                .map(|id| Edit::MoveRegion {
                    id,
                    index: usize::MAX,
                })
                .collect()
        } else {
            ids.into_iter()
                .rev()
                .map(|id| Edit::MoveRegion { id, index: 0 })
                .collect()
        };
        self.apply(edits);
    }

    /// Joins a shape to the active region, or makes a region of it where none is meant.
    pub fn commit(&mut self, patch: &Patch, combine: Combine, source: &str) {
        let Some(open) = self.open() else { return };
        if combine != Combine::Replace && open.active().is_some() {
            self.replace_active(patch, combine);
        } else if matches!(combine, Combine::Replace | Combine::Add)
            && let Ok(mask) = patch.to_mask(open.size())
            && !mask.is_empty()
        {
            self.add_region(&mask, source);
        }
    }

    /// Changes the mask of the active region.
    pub fn replace_active(&mut self, patch: &Patch, combine: Combine) {
        let Some(open) = self.open_mut() else { return };
        let Some(mask) = open.active_mask() else { return };
        let mut changed = (*mask).clone();
        patch.apply(&mut changed, combine);
        let edit = open
            .active()
            .and_then(|region| mask_edit(region, &changed.to_rle()));
        self.apply(edit.into_iter().collect());
    }

    /// Gives the selected regions a label.
    pub fn set_label(&mut self, label: &str) {
        self.change_selected(|region| (region.label != label).then(|| RegionChange::Label(label.to_owned())));
    }
}

/// The edit that gives a region this mask; `None` if it has it.
fn mask_edit(region: &Region, after: &Rle) -> Option<Edit> {
    if region.mask.rle == *after {
        return None;
    }
    let change = MaskChange::between(&region.mask.rle, after).ok()?;
    Some(Edit::Region {
        id: region.id.clone(),
        change: RegionChange::Mask(change),
    })
}

/// A mask on an image of another size, moved to the lower right; `None` if nothing of it lies inside.
fn moved(mask: &Rle, offset: i64, size: ImageSize) -> Option<Rle> {
    if mask.size() == size && offset == 0 {
        return Some(mask.clone());
    }
    let patch = Patch::around(&Mask::from_rle(mask))?;
    let placed =
        operations::place(&patch, offset, offset, size).or_else(|| operations::place(&patch, 0, 0, size))?;
    Some(placed.to_mask(size).ok()?.to_rle())
}
