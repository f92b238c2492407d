//! Finds the set of regions at every texel of a tile from the rows of the regions that touch it.
//!
//! Regions are laid on each other in drawing order. Every texel holds the number of a node; a node is a region on
//! top of another node, so a region turns old numbers into new ones with one look-up, and a set is read by walking
//! down from its node, topmost region first.

use super::region_shape::RegionShape;
use super::set_table::{EMPTY_SET, SetId, SetTable};
use crate::geometry::PixelRect;

/// Texels per word of a region's rows.
const WORD_BITS: u32 = u64::BITS;

/// A node that has no number yet.
const UNKNOWN: SetId = SetId::MAX;

/// One region on top of the set of `below`.
#[derive(Clone, Copy, Debug)]
struct Node {
    below: u32,
    slot: u32,
}

/// Working memory for composing tiles, kept from one to the next.
#[derive(Debug, Default)]
pub(super) struct TileComposer {
    texels: Vec<u32>,
    /// Node 0 is the empty set.
    nodes: Vec<Node>,
    /// For each node, which layer looked it up last and what it became.
    above: Vec<(u32, u32)>,
    ids: Vec<SetId>,
    slots: Vec<u32>,
}

/// The sets of a rectangle of texels.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Composed<'a> {
    /// The same everywhere.
    Uniform(SetId),
    /// Row by row.
    Texels(&'a [SetId]),
}

impl TileComposer {
    /// The sets at `rect`, texels of `level`, of `layers`: shapes with their slots in drawing order.
    pub(super) fn compose<'a>(
        &mut self,
        level: u8,
        rect: PixelRect,
        layers: impl Iterator<Item = (&'a RegionShape, u32)>,
        sets: &mut SetTable,
    ) -> Composed<'_> {
        self.nodes.clear();
        self.nodes.push(Node { below: 0, slot: 0 });
        self.above.clear();
        self.above.push((0, 0));
        let mut is_blank = true;
        for (layer, (shape, slot)) in (1..).zip(layers) {
            if shape.level_rect(level).intersection(rect).is_none() {
                continue;
            }
            if is_blank {
                self.texels.clear();
                self.texels.resize((rect.width * rect.height) as usize, 0);
                is_blank = false;
            }
            self.lay(level, rect, shape, layer, slot);
        }
        if is_blank {
            return Composed::Uniform(EMPTY_SET);
        }
        self.number(sets)
    }

    /// Lays one region on what is there.
    fn lay(&mut self, level: u8, rect: PixelRect, shape: &RegionShape, layer: u32, slot: u32) {
        let words = rect.x / WORD_BITS..rect.right().div_ceil(WORD_BITS);
        let Self {
            texels, nodes, above, ..
        } = self;
        let mut raised = |node: u32| {
            let (seen_by, raised) = above[node as usize];
            if seen_by == layer {
                return raised;
            }
            let raised = nodes.len() as u32;
            nodes.push(Node { below: node, slot });
            above.push((0, 0));
            above[node as usize] = (layer, raised);
            raised
        };
        for y in shape.rows(level, rect.y..rect.bottom()) {
            let start = ((y - rect.y) * rect.width) as usize;
            let row = &mut texels[start..start + rect.width as usize];
            let (mut column, row_words) = shape.row_words(level, y, words.clone());
            for &word in row_words {
                let mut rest = word & columns_in(column, rect);
                while rest != 0 {
                    let first = rest.trailing_zeros();
                    let length = (!(rest >> first)).trailing_zeros().min(WORD_BITS - first);
                    let from = (column + first - rect.x) as usize;
                    raise_run(&mut row[from..from + length as usize], &mut raised);
                    rest = if first + length == WORD_BITS {
                        0
                    } else {
                        rest >> (first + length) << (first + length)
                    };
                }
                column += WORD_BITS;
            }
        }
    }

    /// Turns nodes into numbers of sets.
    fn number(&mut self, sets: &mut SetTable) -> Composed<'_> {
        self.ids.clear();
        self.ids.resize(self.nodes.len(), UNKNOWN);
        self.ids[0] = EMPTY_SET;
        let first = self.texels.first().copied().unwrap_or(0);
        let is_uniform = self.texels.iter().all(|&texel| texel == first);
        let mut id_of = |node: u32| {
            let known = self.ids[node as usize];
            if known != UNKNOWN {
                return known;
            }
            self.slots.clear();
            let mut walked = node;
            while walked != 0 {
                let Node { below, slot } = self.nodes[walked as usize];
                self.slots.push(slot);
                walked = below;
            }
            let id = sets.id(&self.slots);
            self.ids[node as usize] = id;
            id
        };
        if is_uniform {
            return Composed::Uniform(id_of(first));
        }
        let (mut node, mut id) = (0, EMPTY_SET);
        for texel in &mut self.texels {
            if *texel != node {
                node = *texel;
                id = id_of(node);
            }
            *texel = id;
        }
        Composed::Texels(&self.texels)
    }
}

/// The bits of the word from `column` on that lie inside `rect`.
const fn columns_in(column: u32, rect: PixelRect) -> u64 {
    let mut bits = u64::MAX;
    if column < rect.x {
        bits &= u64::MAX << (rect.x - column);
    }
    if column + WORD_BITS > rect.right() {
        bits &= u64::MAX >> (column + WORD_BITS - rect.right());
    }
    bits
}

/// Raises every texel of `run`; neighbours mostly hold the same node.
fn raise_run(run: &mut [u32], raised: &mut impl FnMut(u32) -> u32) {
    let Some(&first) = run.first() else { return };
    let above = raised(first);
    if run.iter().all(|&texel| texel == first) {
        run.fill(above);
        return;
    }
    let (mut from, mut to) = (first, above);
    for texel in run {
        if *texel != from {
            from = *texel;
            to = raised(from);
        }
        *texel = to;
    }
}
