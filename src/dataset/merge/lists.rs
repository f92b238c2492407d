//! Merging lists: ids whose order matters, and items without ids that are told apart by their place and content.

use std::collections::{HashMap, HashSet};

/// Most comparisons made to align two lists; beyond, what differs counts as changed in place.
const MOST_COMPARISONS: usize = 1 << 20;

/// All ids that `ours` or `theirs` have, in the order of the side that changed it, and whether both changed it
/// differently; ours stays then. What one side alone has comes behind what it follows there, ours first.
pub(super) fn order<'a>(base: &[&'a str], ours: &[&'a str], theirs: &[&'a str]) -> (Vec<&'a str>, bool) {
    let set = |ids: &[&'a str]| -> HashSet<&'a str> { ids.iter().copied().collect() };
    let (in_base, in_ours, in_theirs) = (set(base), set(ours), set(theirs));
    let common = |ids: &[&'a str]| -> Vec<&'a str> {
        ids.iter()
            .copied()
            .filter(|id| in_base.contains(id) && in_ours.contains(id) && in_theirs.contains(id))
            .collect()
    };
    let (common_base, common_ours, common_theirs) = (common(base), common(ours), common(theirs));
    let takes_theirs = common_ours == common_base && common_theirs != common_base;
    let is_conflict =
        common_ours != common_base && common_theirs != common_base && common_ours != common_theirs;
    let (first, second, in_first, in_second) = if takes_theirs {
        (theirs, ours, &in_theirs, &in_ours)
    } else {
        (ours, theirs, &in_ours, &in_theirs)
    };
    // What the second side alone has, by the id of both sides that it follows; `None` at the start.
    let mut following: HashMap<Option<&str>, Vec<&'a str>> = HashMap::new();
    let mut last = None;
    for &id in second {
        if in_first.contains(id) {
            last = Some(id);
        } else {
            following.entry(last).or_default().push(id);
        }
    }
    let mut order = Vec::with_capacity(first.len() + second.len());
    // The ids that wait until those that the first side alone has are through.
    let mut waiting = following.remove(&None).unwrap_or_default();
    for &id in first {
        if takes_theirs || in_second.contains(id) {
            order.append(&mut waiting);
        }
        order.push(id);
        if let Some(ids) = following.remove(&Some(id)) {
            waiting = ids;
        }
    }
    order.append(&mut waiting);
    (order, is_conflict)
}

/// An item that both sides changed differently, or one changed and the other removed.
pub(super) enum Clash<'a, T> {
    Changed { base: &'a T, ours: &'a T, theirs: &'a T },
    RemovedByUs { theirs: &'a T },
    RemovedByThem { ours: &'a T },
}

impl<T: Clone> Clash<'_, T> {
    /// Everything that there is.
    pub(super) fn kept(&self) -> Vec<T> {
        match *self {
            Self::Changed { ours, theirs, .. } => vec![ours.clone(), theirs.clone()],
            Self::RemovedByUs { theirs } => vec![theirs.clone()],
            Self::RemovedByThem { ours } => vec![ours.clone()],
        }
    }
}

/// The list with the changes of both sides; `resolve` says what to put where they clash.
pub(super) fn merge<T: Clone + PartialEq>(
    base: &[T],
    ours: &[T],
    theirs: &[T],
    mut resolve: impl FnMut(Clash<'_, T>) -> Vec<T>,
) -> Vec<T> {
    let (our_side, their_side) = (Aligned::new(base, ours), Aligned::new(base, theirs));
    let mut merged = Vec::with_capacity(ours.len().max(theirs.len()));
    for index in 0..=base.len() {
        // What both began to add alike is added once.
        let (our_added, their_added) = (our_side.added(index), their_side.added(index));
        let alike = our_added
            .iter()
            .zip(their_added)
            .take_while(|(a, b)| a == b)
            .count();
        merged.extend_from_slice(our_added);
        merged.extend(their_added.iter().skip(alike).cloned());
        let Some(base) = base.get(index) else { break };
        match (our_side.counterpart(index), their_side.counterpart(index)) {
            (None, None) => {}
            (Some(ours), None) if ours != base => merged.extend(resolve(Clash::RemovedByThem { ours })),
            (None, Some(theirs)) if theirs != base => merged.extend(resolve(Clash::RemovedByUs { theirs })),
            (Some(_), None) | (None, Some(_)) => {}
            (Some(ours), Some(theirs)) if ours == theirs || theirs == base => merged.push(ours.clone()),
            (Some(ours), Some(theirs)) if ours == base => merged.push(theirs.clone()),
            (Some(ours), Some(theirs)) => merged.extend(resolve(Clash::Changed { base, ours, theirs })),
        }
    }
    merged
}

/// A list set against the one it came from.
struct Aligned<'a, T> {
    items: &'a [T],
    /// For every item of the base, where it is now; changed ones keep their place between unchanged ones.
    counterparts: Vec<Option<usize>>,
    /// For every item of the base and the end, the first item that was added before it; the added ones end at its
    /// counterpart, or where the next ones begin.
    added: Vec<(usize, usize)>,
}

impl<'a, T: PartialEq> Aligned<'a, T> {
    fn new(base: &[T], items: &'a [T]) -> Self {
        let mut aligned = Self {
            items,
            counterparts: vec![None; base.len()],
            added: vec![(0, 0); base.len() + 1],
        };
        let (mut base_at, mut item_at) = (0, 0);
        for (base_next, item_next) in unchanged(base, items)
            .into_iter()
            .chain([(base.len(), items.len())])
        {
            // Between unchanged items, the first ones are changes and the rest is removed or added.
            let changed = (base_next - base_at).min(item_next - item_at);
            for offset in 0..changed {
                aligned.counterparts[base_at + offset] = Some(item_at + offset);
            }
            aligned.added[base_next] = (item_at + changed, item_next);
            if base_next < base.len() {
                aligned.counterparts[base_next] = Some(item_next);
            }
            (base_at, item_at) = (base_next + 1, item_next + 1);
        }
        aligned
    }

    fn counterpart(&self, index: usize) -> Option<&'a T> {
        self.items.get((*self.counterparts.get(index)?)?)
    }

    fn added(&self, index: usize) -> &'a [T] {
        let (start, end) = self.added.get(index).copied().unwrap_or_default();
        self.items.get(start..end).unwrap_or_default()
    }
}

/// The positions, in both lists, of a longest common sequence.
fn unchanged<T: PartialEq>(left: &[T], right: &[T]) -> Vec<(usize, usize)> {
    let prefix = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let rest = left.len().min(right.len()) - prefix;
    let suffix = (left.iter().rev().zip(right.iter().rev()))
        .take(rest)
        .take_while(|(a, b)| a == b)
        .count();
    let (inner_left, inner_right) = (
        &left[prefix..left.len() - suffix],
        &right[prefix..right.len() - suffix],
    );
    let mut pairs: Vec<(usize, usize)> = (0..prefix).map(|index| (index, index)).collect();
    pairs.extend(
        common_sequence(inner_left, inner_right)
            .into_iter()
            .map(|(a, b)| (a + prefix, b + prefix)),
    );
    pairs.extend((0..suffix).map(|index| (left.len() - suffix + index, right.len() - suffix + index)));
    pairs
}

fn common_sequence<T: PartialEq>(left: &[T], right: &[T]) -> Vec<(usize, usize)> {
    let width = right.len() + 1;
    if left.len().saturating_mul(right.len()) > MOST_COMPARISONS {
        return Vec::new();
    }
    // The length of the longest common sequence of what starts at each pair of positions.
    let mut lengths = vec![0_u32; (left.len() + 1) * width];
    for a in (0..left.len()).rev() {
        for b in (0..right.len()).rev() {
            lengths[a * width + b] = if left[a] == right[b] {
                lengths[(a + 1) * width + b + 1] + 1
            } else {
                lengths[(a + 1) * width + b].max(lengths[a * width + b + 1])
            };
        }
    }
    let (mut a, mut b) = (0, 0);
    let mut pairs = Vec::new();
    while a < left.len() && b < right.len() {
        if left[a] == right[b] {
            pairs.push((a, b));
            (a, b) = (a + 1, b + 1);
        } else if lengths[(a + 1) * width + b] >= lengths[a * width + b + 1] {
            a += 1;
        } else {
            b += 1;
        }
    }
    pairs
}
