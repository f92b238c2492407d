//! Commands on whole regions that need no gesture, on the part of the image that they are about only.
//!
//! Operations that change one mask answer the [`Patch`] to apply with [`Combine::Overwrite`](super::Combine), or
//! `None` if nothing would change.

use super::Patch;
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::{Border, Connectivity, Mask, MaskError};

/// Fills the holes, or only those of at most `max_area` pixels.
#[must_use]
pub fn fill_holes(mask: &Mask, max_area: Option<u64>) -> Option<Patch> {
    changed(mask, 0, |window| {
        window.fill_small_holes(max_area.unwrap_or(u64::MAX))
    })
}

/// Removes the parts of fewer than `min_area` pixels, parts that touch at a corner being one.
#[must_use]
pub fn drop_specks(mask: &Mask, min_area: u64) -> Option<Patch> {
    changed(mask, 0, |window| window.remove_specks(min_area))
}

/// Grows the mask by a disc of `radius_px`.
#[must_use]
pub fn grow(mask: &Mask, radius_px: f32) -> Option<Patch> {
    changed(mask, margin(radius_px), |window| window.dilate(radius_px))
}

/// Shrinks the mask by a disc of `radius_px`; the edge of the image does not eat into it.
#[must_use]
pub fn shrink(mask: &Mask, radius_px: f32) -> Option<Patch> {
    changed(mask, 1, |window| window.erode(radius_px, Border::Region))
}

/// Rounds the outline off with a disc of `radius_px` around a whole pixel: spikes thinner than it go, notches fill.
///
/// Dents and bumps are treated alike: only where opening and then closing agrees with closing and then opening do
/// pixels change. A part that would vanish (a scratch, say) is kept as it is.
#[must_use]
pub fn smooth(mask: &Mask, radius_px: f32) -> Option<Patch> {
    // Measured from the centre of the pixel, so half of it more; a disc of a whole radius has four tips of one pixel
    // each, in which a spike would survive.
    let radius_px = radius_px + 0.5;
    let open = |mask: &Mask| mask.erode(radius_px, Border::Region).dilate(radius_px);
    let close = |mask: &Mask| mask.dilate(radius_px).erode(radius_px, Border::Region);
    changed(mask, margin(radius_px).saturating_mul(2), |window| {
        let (low, high) = (close(&open(window)), open(&close(window)));
        smoothed(window, &low, &high).unwrap_or_else(|_| window.clone())
    })
}

fn smoothed(window: &Mask, low: &Mask, high: &Mask) -> Result<Mask, MaskError> {
    let mut smooth = window.union(&low.intersection(high)?)?;
    smooth.intersect_with(&low.union(high)?)?;
    let parts = window.components(Connectivity::Eight);
    let survives: Vec<bool> = {
        let mut survives = vec![false; parts.len()];
        let kept = smooth.intersection(window)?;
        for y in 0..kept.size().height {
            for run in kept.runs(y) {
                if let Some(part) = parts
                    .label_at(run.start, y)
                    .and_then(|part| survives.get_mut(part))
                {
                    *part = true;
                }
            }
        }
        survives
    };
    smooth.union_with(&parts.select(|part, _| survives.get(part) == Some(&false)))?;
    Ok(smooth)
}

/// The parts of a mask, those that touch at a corner being one, in reading order of their first pixels.
#[must_use]
pub fn split(mask: &Mask) -> Vec<Patch> {
    let Some(whole) = Patch::around(mask) else {
        return Vec::new();
    };
    let components = whole.mask().components(Connectivity::Eight);
    let patches = components
        .as_slice()
        .iter()
        .enumerate()
        .filter_map(|(index, component)| {
            // A window of the part's own size, so that many small parts of a large mask stay cheap.
            let bounds = component.bounding_box;
            let mut part = whole.mask().crop(bounds).ok()?;
            if part.area() != component.area {
                part = Mask::from_fn(bounds.size(), |x, y| {
                    components.label_at(bounds.x + x, bounds.y + y) == Some(index)
                })
                .ok()?;
            }
            Some(Patch::new(
                whole.rect().x + bounds.x,
                whole.rect().y + bounds.y,
                part,
            ))
        });
    patches.collect()
}

/// The union of several masks of one image, `None` if they are all empty.
///
/// # Errors
/// [`MaskError::SizeMismatch`].
pub fn merge(masks: &[&Mask]) -> Result<Option<Patch>, MaskError> {
    let patches: Vec<Patch> = masks.iter().filter_map(|mask| Patch::around(mask)).collect();
    if let Some((first, other)) = masks
        .iter()
        .zip(masks.iter().skip(1))
        .find(|(a, b)| a.size() != b.size())
    {
        return Err(MaskError::SizeMismatch {
            left: first.size(),
            right: other.size(),
        });
    }
    let Some(rect) = patches.iter().map(Patch::rect).reduce(PixelRect::union) else {
        return Ok(None);
    };
    let mut merged = Mask::empty(rect.size())?;
    for patch in &patches {
        let placed = patch.moved(-i64::from(rect.x), -i64::from(rect.y), rect.size());
        if let Some(placed) = placed {
            placed.apply(&mut merged, super::Combine::Add);
        }
    }
    Ok(Some(Patch::new(rect.x, rect.y, merged)))
}

/// What "remove underlying" changes in each of `below`: the pixels that `top` covers are taken away.
#[must_use]
pub fn remove_underlying(top: &Mask, below: &[&Mask]) -> Vec<Option<Patch>> {
    let Some(cover) = Patch::around(top) else {
        return vec![None; below.len()];
    };
    let without = |mask: &&Mask| {
        let window = Patch::window(mask, cover.rect())?;
        // Masks of another size belong to another image.
        let mut left = (mask.size() == top.size()).then(|| window.mask().clone())?;
        left.subtract(cover.mask()).ok()?;
        trimmed(window.mask(), &left, window.rect())
    };
    below.iter().map(without).collect()
}

/// The region moved by (`dx`, `dy`) into an image of `size`, as when it is pasted into another image; what falls
/// outside is cut off, and `None` means that no pixel is left.
#[must_use]
pub fn place(region: &Patch, dx: i64, dy: i64, size: ImageSize) -> Option<Patch> {
    region
        .moved(dx, dy, size)
        .filter(|placed| !placed.mask().is_empty())
}

/// How far a disc reaches, in whole pixels, more than any image for a radius without bounds.
fn margin(radius_px: f32) -> u32 {
    radius_px.max(0.0).ceil() as u32
}

/// The change that `operation` makes in the bounding box of `mask` and `margin_px` around it.
///
/// Beyond the window there are no pixels of the mask, but at the edge of the image there may be region, so operations
/// that look beyond the edge need a margin of at least one.
fn changed(mask: &Mask, margin_px: u32, operation: impl FnOnce(&Mask) -> Mask) -> Option<Patch> {
    let bounds = mask.bounding_box()?;
    let (x, y) = (
        bounds.x.saturating_sub(margin_px),
        bounds.y.saturating_sub(margin_px),
    );
    let right = bounds.right().saturating_add(margin_px).min(mask.size().width);
    let bottom = bounds.bottom().saturating_add(margin_px).min(mask.size().height);
    let rect = PixelRect::new(x, y, right - x, bottom - y);
    let before = mask.crop(rect).ok()?;
    let after = operation(&before);
    trimmed(&before, &after, rect)
}

/// The smallest patch that turns `before`, the pixels of `rect`, into `after`.
fn trimmed(before: &Mask, after: &Mask, rect: PixelRect) -> Option<Patch> {
    let bounds = before.symmetric_difference(after).ok()?.bounding_box()?;
    let mask = after.crop(bounds).ok()?;
    Some(Patch::new(rect.x + bounds.x, rect.y + bounds.y, mask))
}
