//! Which regions cover a pixel, as one number: the same set of regions has the same number everywhere.
//!
//! The shader reads sets from one list: at the position that is the set's number stands how many regions follow.
//! Comparing two pixels is comparing two numbers, so an outline costs the same however many regions there are.

use std::collections::HashMap;
use std::ops::Range;

use super::gpu::LIST_WIDTH;

/// Number of a set: its position in the list.
pub(super) type SetId = u32;

/// The set without regions.
pub(super) const EMPTY_SET: SetId = 0;

/// Most regions of a set, the topmost; nobody can tell more apart on one texel.
const MAX_MEMBERS: usize = 64;

/// Most numbers in the list: 8192 rows of its texture, which every adapter offers.
pub(super) const MAX_NUMBERS: usize = 8192 * LIST_WIDTH as usize;

/// All sets of regions that any tile has needed.
#[derive(Debug)]
pub(super) struct SetTable {
    list: Vec<u32>,
    ids: HashMap<Box<[u32]>, SetId>,
    /// How much of the list has been handed out by [`SetTable::take_new`].
    taken: usize,
}

impl SetTable {
    pub(super) fn new() -> Self {
        Self {
            list: vec![0],
            ids: HashMap::new(),
            taken: 0,
        }
    }

    /// The number of the set of `slots`, topmost first; the empty set where the list is full.
    pub(super) fn id(&mut self, slots: &[u32]) -> SetId {
        let slots = slots.get(..MAX_MEMBERS).unwrap_or(slots);
        if slots.is_empty() {
            return EMPTY_SET;
        }
        if let Some(&id) = self.ids.get(slots) {
            return id;
        }
        if self.list.len() + slots.len() >= MAX_NUMBERS {
            return EMPTY_SET;
        }
        let id = self.list.len() as SetId;
        self.list.push(slots.len() as u32);
        self.list.extend_from_slice(slots);
        self.ids.insert(slots.into(), id);
        id
    }

    /// Numbers in the list.
    pub(super) const fn len(&self) -> usize {
        self.list.len()
    }

    /// The whole list.
    pub(super) fn list(&self) -> &[u32] {
        &self.list
    }

    /// The part of the list that is new since the last call.
    pub(super) fn take_new(&mut self) -> Range<usize> {
        let new = self.taken..self.list.len();
        self.taken = self.list.len();
        new
    }
}
