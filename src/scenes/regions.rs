//! Reads the labelled regions of a drawn scene: instances, parts, wholes, groups, stuff, fragments, neighbourhoods.

use super::random::Rng;
use super::stage::{Drawing, NOBODY, Node, NodeId};
use super::{RegionKind, SceneConfig, SceneRegion};
use crate::mask::{Connectivity, Mask};

/// The regions of a drawing, at most `config.max_regions`, in random order.
pub(super) fn regions(
    config: &SceneConfig,
    drawing: &Drawing,
    nodes: &[Node],
    rng: &mut Rng,
) -> Vec<SceneRegion> {
    let mut own: Vec<Option<Mask>> = nodes.iter().map(|_| None).collect();
    let width = config.size.width as usize;
    for (y, row) in drawing.labels.chunks_exact(width).enumerate() {
        let mut start = 0;
        while start < width {
            let label = row[start];
            let length = row[start..].iter().take_while(|&&other| other == label).count();
            if label != NOBODY
                && let Some(slot) = own.get_mut(usize::from(label))
            {
                if slot.is_none() {
                    *slot = Mask::empty(config.size).ok();
                }
                if let Some(mask) = slot {
                    mask.fill_run(y as u32, start as u32..(start + length) as u32, true);
                }
            }
            start += length;
        }
    }
    // Children have larger numbers than their parents, so one backward pass sums up the tree.
    let mut whole = own.clone();
    let mut visible_children = vec![0usize; nodes.len()];
    for index in (0..nodes.len()).rev() {
        let Some(parent) = nodes[index].parent.map(usize::from) else {
            continue;
        };
        let Some(child) = whole[index].take() else {
            continue;
        };
        visible_children[parent] += 1;
        match &mut whole[parent] {
            Some(mask) => drop(mask.union_with(&child)),
            slot => *slot = Some(child.clone()),
        }
        whole[index] = Some(child);
    }
    let mut found: Vec<SceneRegion> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let Some(mask) = &whole[index] else { continue };
        let own_pixels = own[index].is_some();
        // A whole of which one part only is seen is that part's region again.
        if !own_pixels && visible_children[index] < 2 {
            continue;
        }
        found.push(SceneRegion {
            mask: mask.clone(),
            kind: node.kind,
        });
        if own_pixels && visible_children[index] > 0 && rng.chance(0.3) {
            found.extend(own[index].clone().map(|mask| SceneRegion {
                mask,
                kind: RegionKind::Part,
            }));
        }
    }
    let wide_enough = |mask: &Mask| mask.area() >= u64::from(config.min_area);
    found.retain(|region| wide_enough(&region.mask));
    let extra = extra_regions(config, drawing, nodes, &whole, &found, rng);
    let room = config.max_regions.saturating_sub(extra.len());
    if found.len() > room {
        // Rich scenes have mostly tiny parts; which regions stay is drawn with more weight on those a person would pick.
        let mut drawn: Vec<(f32, SceneRegion)> = found
            .into_iter()
            .map(|region| {
                let weight = (region.mask.area() as f32 / 1024.0).clamp(0.15, 1.0);
                (rng.unit().powf(1.0 / weight), region)
            })
            .collect();
        drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
        drawn.truncate(room);
        found = drawn.into_iter().map(|(_, region)| region).collect();
    }
    found.extend(extra);
    rng.shuffle(&mut found);
    found
}

/// A few regions that are no node of the scene: one side of a split thing, and several things side by side.
fn extra_regions(
    config: &SceneConfig,
    drawing: &Drawing,
    nodes: &[Node],
    whole: &[Option<Mask>],
    found: &[SceneRegion],
    rng: &mut Rng,
) -> Vec<SceneRegion> {
    let mut extra = Vec::new();
    if config.max_regions < 4 {
        return extra;
    }
    if rng.chance(0.3) && !found.is_empty() {
        let pieces = found[rng.int(0, found.len() - 1)]
            .mask
            .components(Connectivity::Eight);
        if pieces.len() > 1 {
            let mask = pieces.mask(rng.int(0, pieces.len() - 1));
            if mask.area() >= u64::from(config.min_area) {
                extra.push(SceneRegion {
                    mask,
                    kind: RegionKind::Fragment,
                });
            }
        }
    }
    if rng.chance(0.35) {
        extra.extend(neighbourhood(config, drawing, nodes, whole, rng));
    }
    extra
}

/// The union of the wholes seen within a random disc.
fn neighbourhood(
    config: &SceneConfig,
    drawing: &Drawing,
    nodes: &[Node],
    whole: &[Option<Mask>],
    rng: &mut Rng,
) -> Option<SceneRegion> {
    let (width, height) = (config.size.width as usize, config.size.height as usize);
    let reach = rng.range(0.05, 0.2) * width.min(height) as f32;
    let (cx, cy) = (rng.unit() * width as f32, rng.unit() * height as f32);
    let mut chosen: Vec<NodeId> = Vec::new();
    for _ in 0..12 {
        let (x, y) = (cx + rng.normal() * reach, cy + rng.normal() * reach);
        if x < 0.0 || y < 0.0 || x as usize >= width || y as usize >= height {
            continue;
        }
        let mut node = drawing.labels[y as usize * width + x as usize];
        while let Some(parent) = nodes.get(usize::from(node)).and_then(|n| n.parent) {
            if nodes[usize::from(parent)].kind != RegionKind::Object {
                break;
            }
            node = parent;
        }
        let stuff = nodes
            .get(usize::from(node))
            .is_none_or(|n| n.kind == RegionKind::Stuff);
        if !stuff && !chosen.contains(&node) {
            chosen.push(node);
        }
    }
    if chosen.len() < 2 {
        return None;
    }
    let mut masks = chosen
        .iter()
        .filter_map(|&node| whole[usize::from(node)].as_ref());
    let mut union = masks.next()?.clone();
    for mask in masks {
        union.union_with(mask).ok()?;
    }
    Some(SceneRegion {
        mask: union,
        kind: RegionKind::Neighbourhood,
    })
}
