//! A change of a mask that knows its rectangle, so that a gesture costs what it touches and not what the image holds.

use crate::geometry::{ImageSize, PixelRect};
use crate::mask::Mask;

/// How the pixels of a patch join a mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Combine {
    /// The mask becomes the patch, and nothing else.
    #[default]
    Replace,
    /// Pixels of either.
    Add,
    /// Pixels of the mask that are not in the patch.
    Subtract,
    /// Pixels of both.
    Intersect,
    /// Inside its rectangle the patch replaces the mask; outside nothing changes.
    ///
    /// Editing and undoing use it; it is no choice for a toolbar.
    Overwrite,
}

impl Combine {
    /// What a person can choose from.
    pub const CHOICES: [Self; 4] = [Self::Replace, Self::Add, Self::Subtract, Self::Intersect];
}

/// Pixels in a rectangle of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    rect: PixelRect,
    mask: Mask,
}

impl Patch {
    /// The patch whose top-left pixel is (`x`, `y`) of the image.
    #[must_use]
    pub const fn new(x: u32, y: u32, mask: Mask) -> Self {
        let ImageSize { width, height } = mask.size();
        Self {
            rect: PixelRect::new(x, y, width, height),
            mask,
        }
    }

    /// The pixels of `mask` inside `rect`, clipped to the mask; `None` if nothing of `rect` is inside.
    ///
    /// Applied with [`Combine::Overwrite`] it takes back whatever happened inside `rect` since.
    #[must_use]
    pub fn window(mask: &Mask, rect: PixelRect) -> Option<Self> {
        let rect = PixelRect::covering(mask.size()).intersection(rect)?;
        let mask = mask.crop(rect).ok()?;
        Some(Self { rect, mask })
    }

    /// The set pixels of `mask` and the smallest rectangle around them; `None` if there are none.
    #[must_use]
    pub fn around(mask: &Mask) -> Option<Self> {
        Self::window(mask, mask.bounding_box()?)
    }

    /// Where in the image the patch lies; as large as [`Patch::mask`].
    #[must_use]
    pub const fn rect(&self) -> PixelRect {
        self.rect
    }

    /// The pixels of the patch.
    #[must_use]
    pub const fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Whether pixel (`x`, `y`) of the image is set in the patch.
    #[must_use]
    pub fn get(&self, x: u32, y: u32) -> bool {
        self.rect.contains(x, y) && self.mask.get(x - self.rect.x, y - self.rect.y)
    }

    /// The patch moved by `dx` columns and `dy` rows and clipped to an image of `size`, `None` if nothing is left.
    #[must_use]
    pub fn moved(&self, dx: i64, dy: i64, size: ImageSize) -> Option<Self> {
        let span = |start: u32, length: u32, by: i64, limit: u32| {
            let clip = |position: i64| position.clamp(0, i64::from(limit)) as u32;
            let start = i64::from(start).saturating_add(by);
            let (first, end) = (clip(start), clip(start.saturating_add(i64::from(length))));
            // How much of the start is cut off is at most `length`, since something is left.
            (first < end).then(|| (first, end - first, (i64::from(first) - start) as u32))
        };
        let (x, width, cut_x) = span(self.rect.x, self.rect.width, dx, size.width)?;
        let (y, height, cut_y) = span(self.rect.y, self.rect.height, dy, size.height)?;
        let mask = self.mask.crop(PixelRect::new(cut_x, cut_y, width, height)).ok()?;
        Some(Self::new(x, y, mask))
    }

    /// The patch as a mask of an image of `size`, what lies outside clipped.
    ///
    /// # Errors
    /// As for [`Mask::empty`].
    pub fn to_mask(&self, size: ImageSize) -> Result<Mask, crate::mask::MaskError> {
        let mut mask = Mask::empty(size)?;
        self.apply(&mut mask, Combine::Add);
        Ok(mask)
    }

    /// The rectangle that [`Patch::apply`] may change, for a snapshot ([`Patch::window`]) before it does.
    #[must_use]
    pub fn reach(&self, target: &Mask, combine: Combine) -> Option<PixelRect> {
        let inside = PixelRect::covering(target.size()).intersection(self.rect);
        match combine {
            Combine::Add | Combine::Subtract | Combine::Overwrite => inside,
            Combine::Intersect => target.bounding_box(),
            Combine::Replace => match (inside, target.bounding_box()) {
                (Some(inside), Some(bounds)) => Some(inside.union(bounds)),
                (inside, bounds) => inside.or(bounds),
            },
        }
    }

    /// Changes `target` and answers the rectangle that may have changed ([`Patch::reach`]); what lies outside the
    /// target is ignored.
    pub fn apply(&self, target: &mut Mask, combine: Combine) -> Option<PixelRect> {
        let reach = self.reach(target, combine)?;
        let PixelRect { x, y, .. } = self.rect;
        match combine {
            Combine::Add => self.fill_runs(target, true),
            Combine::Subtract => self.fill_runs(target, false),
            Combine::Overwrite => paste(target, &self.mask, x, y),
            Combine::Replace => {
                target.fill_rect(reach, false);
                paste(target, &self.mask, x, y);
            }
            Combine::Intersect => {
                let kept = Self::window(target, self.rect);
                target.fill_rect(reach, false);
                if let Some(mut kept) = kept {
                    // A patch that reaches over the edge is larger than what is kept of the target.
                    if let Some(ours) = Self::window(
                        &self.mask,
                        PixelRect::new(0, 0, kept.rect.width, kept.rect.height),
                    ) && kept.mask.intersect_with(&ours.mask).is_ok()
                    {
                        paste(target, &kept.mask, kept.rect.x, kept.rect.y);
                    }
                }
            }
        }
        Some(reach)
    }

    fn fill_runs(&self, target: &mut Mask, value: bool) {
        for row in 0..self.rect.height {
            for run in self.mask.runs(row) {
                let columns = self.rect.x.saturating_add(run.start)..self.rect.x.saturating_add(run.end);
                target.fill_run(self.rect.y.saturating_add(row), columns, value);
            }
        }
    }
}

/// [`Mask::paste`] at a place that is not negative; one beyond `i32` is beyond every mask.
fn paste(target: &mut Mask, mask: &Mask, x: u32, y: u32) {
    if let (Ok(x), Ok(y)) = (i32::try_from(x), i32::try_from(y)) {
        target.paste(mask, x, y);
    }
}
