//! Sizes, points and boxes in image pixels, shared by every layer so that no coordinate is a bare tuple.
//!
//! All coordinates are pixels of the *upright* image (EXIF orientation applied).
//! Continuous coordinates put the origin at the top-left corner of the top-left pixel.

use std::fmt;

/// Width and height of an image or mask, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageSize {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl ImageSize {
    /// A size of `width` x `height` pixels.
    #[must_use]
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    #[must_use]
    pub const fn area(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.width, self.height)
    }
}

/// A point in image pixels, sub-pixel positions allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImagePoint {
    /// Distance from the left edge.
    pub x: f32,
    /// Distance from the top edge.
    pub y: f32,
}

impl ImagePoint {
    /// The point (`x`, `y`).
    #[must_use]
    pub const fn new(x: f32, y: f32) -> Self {
        Self { x, y }
    }
}

/// A box in continuous image pixels; `x0 <= x1` and `y0 <= y1` for a box that is not empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageRect {
    /// Left edge.
    pub x0: f32,
    /// Top edge.
    pub y0: f32,
    /// Right edge.
    pub x1: f32,
    /// Bottom edge.
    pub y1: f32,
}

/// A box of whole pixels: columns `x .. x + width`, rows `y .. y + height`; the COCO order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelRect {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Number of columns.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
}

impl PixelRect {
    /// The box of `width` x `height` pixels whose top-left pixel is (`x`, `y`).
    #[must_use]
    pub const fn new(x: u32, y: u32, width: u32, height: u32) -> Self {
        Self { x, y, width, height }
    }

    /// The box that covers a whole image of `size`.
    #[must_use]
    pub const fn covering(size: ImageSize) -> Self {
        Self::new(0, 0, size.width, size.height)
    }

    /// First column to the right of the box, at most `u32::MAX`.
    #[must_use]
    pub const fn right(self) -> u32 {
        self.x.saturating_add(self.width)
    }

    /// First row below the box, at most `u32::MAX`.
    #[must_use]
    pub const fn bottom(self) -> u32 {
        self.y.saturating_add(self.height)
    }

    /// Width and height of the box.
    #[must_use]
    pub const fn size(self) -> ImageSize {
        ImageSize::new(self.width, self.height)
    }

    /// Number of pixels.
    #[must_use]
    pub const fn area(self) -> u64 {
        self.size().area()
    }

    /// Whether pixel (`x`, `y`) lies in the box.
    #[must_use]
    pub const fn contains(self, x: u32, y: u32) -> bool {
        x >= self.x && y >= self.y && x < self.right() && y < self.bottom()
    }

    /// The part that both boxes cover, `None` if there is none.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        let (x, y) = (self.x.max(other.x), self.y.max(other.y));
        let width = self.right().min(other.right()).checked_sub(x)?;
        let height = self.bottom().min(other.bottom()).checked_sub(y)?;
        (width > 0 && height > 0).then_some(Self { x, y, width, height })
    }

    /// The smallest box that covers both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let width = self.right().max(other.right()) - x;
        let height = self.bottom().max(other.bottom()) - y;
        Self { x, y, width, height }
    }
}

impl fmt::Display for PixelRect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {} at ({}, {})", self.width, self.height, self.x, self.y)
    }
}
