//! The regions in drawing order, each with a fixed slot by which sets of regions name it.
//!
//! Changing how a region looks changes one row of the style table; only changed pixels or a changed order make
//! tiles stale.

use std::collections::HashMap;
use std::sync::Arc;

use super::display::{Emphasis, RegionStyle, style_flag};
use super::region_shape::RegionShape;
use crate::geometry::PixelRect;
use crate::mask::Mask;

/// What a layer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum LayerKey {
    /// A region of the document.
    Region(u64),
    /// Pixels of the original mask alone, of a difference.
    OnlyOriginal,
    /// Pixels of the rebuilt mask alone, of a difference.
    OnlyRebuilt,
    /// Pixels of both masks of a difference.
    Both,
    /// What a tool would make.
    Preview,
}

/// A shape with its place in the style table.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) key: LayerKey,
    pub(super) revision: u64,
    pub(super) slot: u32,
    pub(super) style: RegionStyle,
    pub(super) shape: Arc<RegionShape>,
}

/// All layers from the back to the front, and the style table.
#[derive(Debug, Default)]
pub(super) struct Layers {
    order: Vec<Layer>,
    places: HashMap<LayerKey, usize>,
    /// A box around each layer's pixels, side by side, because every tile asks all of them.
    bounds: Vec<PixelRect>,
    /// One row per slot that was ever used since the last renumbering.
    styles: Vec<[u32; 2]>,
    are_styles_changed: bool,
}

impl Layers {
    /// The layers that may have pixels in `rect`, from the back to the front.
    pub(super) fn touching(&self, rect: PixelRect) -> impl DoubleEndedIterator<Item = &Layer> {
        self.bounds
            .iter()
            .zip(&self.order)
            .filter(move |(bounds, _)| bounds.intersection(rect).is_some())
            .map(|(_, layer)| layer)
    }

    pub(super) fn get(&self, key: LayerKey) -> Option<&Layer> {
        self.order.get(*self.places.get(&key)?)
    }

    /// Takes the pixels in `dirty` from `mask`; whether there is such a layer.
    pub(super) fn update(&mut self, key: LayerKey, revision: u64, mask: &Mask, dirty: PixelRect) -> bool {
        let Some(&place) = self.places.get(&key) else {
            return false;
        };
        let Some(layer) = self.order.get_mut(place) else {
            return false;
        };
        Arc::make_mut(&mut layer.shape).update(mask, dirty);
        layer.revision = revision;
        self.measure(place);
        true
    }

    /// Puts a layer in front of those of smaller kinds, or replaces its shape; answers the pixels that changed.
    pub(super) fn put(
        &mut self,
        key: LayerKey,
        shape: Arc<RegionShape>,
        style: RegionStyle,
    ) -> Option<PixelRect> {
        if let Some(&place) = self.places.get(&key)
            && let Some(layer) = self.order.get_mut(place)
        {
            let changed = union(layer.shape.bounds(), shape.bounds());
            layer.shape = shape;
            self.measure(place);
            self.set_style(key, style);
            return changed;
        }
        let changed = shape.bounds();
        let place = self
            .order
            .partition_point(|layer| layer.key < key || matches!(layer.key, LayerKey::Region(_)));
        let slot = self.new_slot(style);
        self.order.insert(
            place,
            Layer {
                key,
                revision: 0,
                slot,
                style,
                shape,
            },
        );
        self.number_places();
        changed
    }

    /// Removes a layer; answers the pixels that it had.
    pub(super) fn remove(&mut self, key: LayerKey) -> Option<PixelRect> {
        let place = self.places.remove(&key)?;
        let layer = self.order.remove(place);
        self.retire(layer.slot);
        self.number_places();
        layer.shape.bounds()
    }

    /// Changes how a layer looks; whether there is such a layer.
    pub(super) fn set_style(&mut self, key: LayerKey, style: RegionStyle) -> bool {
        let Some(layer) = self.places.get(&key).and_then(|&place| self.order.get_mut(place)) else {
            return false;
        };
        if layer.style != style {
            layer.style = style;
            if let Some(row) = self.styles.get_mut(layer.slot as usize) {
                *row = style.packed();
                self.are_styles_changed = true;
            }
        }
        true
    }

    /// Replaces the regions by `wanted`, in drawing order; other layers stay in front. A shape is only asked for
    /// where the revision differs. Calls `changed` with every box whose pixels may have changed.
    pub(super) fn set_regions<W: Wanted>(&mut self, wanted: &[W], mut changed: impl FnMut(PixelRect)) {
        let count = self
            .order
            .partition_point(|layer| matches!(layer.key, LayerKey::Region(_)));
        let is_same_order = count == wanted.len()
            && self
                .order
                .iter()
                .zip(wanted)
                .all(|(layer, wanted)| layer.key == LayerKey::Region(wanted.key()));
        if !is_same_order {
            self.reorder(wanted, count, &mut changed);
        }
        for (place, wanted) in wanted.iter().enumerate() {
            let Some(layer) = self.order.get_mut(place) else {
                break;
            };
            if layer.revision != wanted.revision() {
                let before = layer.shape.bounds();
                layer.shape = wanted.shape();
                layer.revision = wanted.revision();
                [before, layer.shape.bounds()]
                    .into_iter()
                    .flatten()
                    .for_each(&mut changed);
                self.measure(place);
            }
            let key = LayerKey::Region(wanted.key());
            self.set_style(key, wanted.style());
        }
    }

    /// Brings regions into the order of `wanted`, adds new ones and drops the rest.
    fn reorder<W: Wanted>(&mut self, wanted: &[W], count: usize, changed: &mut impl FnMut(PixelRect)) {
        let overlays = self.order.split_off(count);
        let mut old: Vec<Option<Layer>> = std::mem::take(&mut self.order).into_iter().map(Some).collect();
        let mut furthest = 0;
        for wanted in wanted {
            let key = LayerKey::Region(wanted.key());
            let kept = self
                .places
                .get(&key)
                .and_then(|&place| Some((place, old.get_mut(place)?.take()?)));
            let layer = match kept {
                Some((place, layer)) => {
                    // A region that came behind one it was in front of changes the sets it is in.
                    if place < furthest {
                        layer.shape.bounds().into_iter().for_each(&mut *changed);
                    }
                    furthest = furthest.max(place);
                    layer
                }
                None => {
                    let (shape, style) = (wanted.shape(), wanted.style());
                    shape.bounds().into_iter().for_each(&mut *changed);
                    let slot = self.new_slot(style);
                    Layer {
                        key,
                        revision: wanted.revision(),
                        slot,
                        style,
                        shape,
                    }
                }
            };
            self.order.push(layer);
        }
        for layer in old.into_iter().flatten() {
            layer.shape.bounds().into_iter().for_each(&mut *changed);
            self.retire(layer.slot);
        }
        self.order.extend(overlays);
        self.number_places();
    }

    /// Gives every layer a new slot, from 0 on; tiles and sets made before are worthless then.
    pub(super) fn renumber(&mut self) {
        self.styles.clear();
        for (slot, layer) in (0..).zip(&mut self.order) {
            layer.slot = slot;
            self.styles.push(layer.style.packed());
        }
        self.are_styles_changed = true;
    }

    /// Whether any layer stands out.
    pub(super) fn has_emphasis(&self) -> bool {
        self.order
            .iter()
            .any(|layer| layer.style.emphasis != Emphasis::None)
    }

    /// Slots that no layer uses any more.
    pub(super) fn retired(&self) -> usize {
        self.styles.len().saturating_sub(self.order.len())
    }

    /// The style table, if it changed since the last call.
    pub(super) fn take_changed_styles(&mut self) -> Option<&[[u32; 2]]> {
        std::mem::take(&mut self.are_styles_changed).then_some(self.styles.as_slice())
    }

    fn new_slot(&mut self, style: RegionStyle) -> u32 {
        self.styles.push(style.packed());
        self.are_styles_changed = true;
        self.styles.len() as u32 - 1
    }

    /// Hides what stale tiles still say of a slot; the slot is not used again until all are renumbered.
    fn retire(&mut self, slot: u32) {
        if let Some(row) = self.styles.get_mut(slot as usize) {
            row[1] |= style_flag::HIDDEN;
            self.are_styles_changed = true;
        }
    }

    fn number_places(&mut self) {
        self.places = (0..)
            .zip(&self.order)
            .map(|(place, layer)| (layer.key, place))
            .collect();
        self.bounds = self.order.iter().map(|layer| bounds_of(&layer.shape)).collect();
    }

    /// Notes the box of a layer whose shape changed.
    fn measure(&mut self, place: usize) {
        if let (Some(bounds), Some(layer)) = (self.bounds.get_mut(place), self.order.get(place)) {
            *bounds = bounds_of(&layer.shape);
        }
    }
}

/// A region as the caller wants it.
pub(super) trait Wanted {
    fn key(&self) -> u64;
    fn revision(&self) -> u64;
    fn style(&self) -> RegionStyle;
    fn shape(&self) -> Arc<RegionShape>;
}

fn bounds_of(shape: &RegionShape) -> PixelRect {
    shape.bounds().unwrap_or(PixelRect::new(0, 0, 0, 0))
}

fn union(left: Option<PixelRect>, right: Option<PixelRect>) -> Option<PixelRect> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.union(right)),
        (one, other) => one.or(other),
    }
}
