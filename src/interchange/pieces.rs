//! Shapes that are one thing together: which they are, and the mask they make.

use super::{FoundImage, Notes};
use crate::geometry::{ImagePoint, ImageSize};
use crate::mask::{FillRule, Mask};
use std::collections::HashMap;
use std::hash::Hash;

/// `shapes` by thing, in the order of their first ones; `key` answers what the shapes of one thing have in common,
/// and `None` for a shape that is a thing alone.
pub(super) fn grouped<'a, T, K: Eq + Hash>(
    shapes: impl IntoIterator<Item = &'a T>,
    key: impl Fn(&'a T) -> Option<K>,
) -> Vec<Vec<&'a T>> {
    let mut groups: Vec<Vec<&T>> = Vec::new();
    let mut by_key = HashMap::new();
    for shape in shapes {
        let index = key(shape).map_or(groups.len(), |key| *by_key.entry(key).or_insert(groups.len()));
        match groups.get_mut(index) {
            Some(group) => group.push(shape),
            None => groups.push(vec![shape]),
        }
    }
    groups
}

/// The pixels inside the closed `line` in an image of `size`, or why there are none, as a sentence for [`Notes`].
pub(super) fn filled(size: ImageSize, line: Vec<ImagePoint>) -> Result<Mask, &'static str> {
    let filled = Mask::empty(size).and_then(|mut mask| {
        mask.fill_rings(&[line], FillRule::EvenOdd, true)?;
        Ok(mask)
    });
    filled
        .ok()
        .ok_or("shapes with coordinates beyond all measure were left out")
}

/// The pixels of all `shapes` of one thing together, each with what identifies it; notes those that have none.
pub(super) fn joined<'a>(
    image: &FoundImage,
    shapes: impl Iterator<Item = (&'a str, Result<Mask, &'static str>)>,
    notes: &mut Notes,
) -> Option<Mask> {
    let mut joined: Option<Mask> = None;
    let mut first = "";
    for (name, mask) in shapes {
        match (mask, &mut joined) {
            (Ok(mask), None) => (first, joined) = (name, Some(mask)),
            // Both have the size of the image.
            (Ok(mask), Some(joined)) => joined.union_with(&mask).ok()?,
            (Err(reason), _) => notes.lost(reason, &image.name, name),
        }
    }
    let joined = joined?;
    if joined.is_empty() {
        notes.lost(
            "shapes that cover no pixel of the image were left out",
            &image.name,
            first,
        );
        return None;
    }
    Some(joined)
}
