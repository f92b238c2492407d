//! What a tool wants drawn over the image, in image coordinates; colours and line widths are the canvas's.

use super::{Combine, Patch, PromptPoint};
use crate::geometry::{ImagePoint, ImageRect};
use std::borrow::Cow;

/// Shapes to draw, the first at the bottom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview<'a> {
    /// The shapes.
    pub shapes: Vec<PreviewShape<'a>>,
}

/// One shape of a [`Preview`].
#[derive(Clone, Debug, PartialEq)]
pub enum PreviewShape<'a> {
    /// An open line.
    Polyline(Cow<'a, [ImagePoint]>),
    /// A closed line with its inside tinted.
    Polygon(Cow<'a, [ImagePoint]>),
    /// Small squares of constant size on the screen that can be grabbed.
    Handles(Cow<'a, [ImagePoint]>),
    /// The handle under the pointer or in the hand.
    ActiveHandle(ImagePoint),
    /// A box.
    Rect(ImageRect),
    /// An ellipse in a box.
    Ellipse(ImageRect),
    /// The outline of a round tip at the pointer.
    RoundCursor {
        /// Centre.
        at: ImagePoint,
        /// Radius in image pixels.
        radius_px: f32,
    },
    /// The outline of a square tip at the pointer.
    SquareCursor {
        /// Centre.
        at: ImagePoint,
        /// Half the side in image pixels.
        radius_px: f32,
    },
    /// Points that prompt the network, marked + and -.
    PromptPoints(Cow<'a, [PromptPoint]>),
    /// Pixels that will change.
    Pixels {
        /// The pixels.
        patch: &'a Patch,
        /// How they will join the target.
        combine: Combine,
        /// Another number whenever `patch` differs, so that a texture of it can be kept.
        revision: u64,
    },
    /// The target's pixels drawn this far from where they are.
    MovedTarget {
        /// Columns to the right.
        dx: i32,
        /// Rows down.
        dy: i32,
    },
    /// A short text beside a point, such as the present tolerance.
    Value {
        /// The point.
        at: ImagePoint,
        /// The number to show.
        value: u32,
    },
}

impl<'a> From<Vec<PreviewShape<'a>>> for Preview<'a> {
    fn from(shapes: Vec<PreviewShape<'a>>) -> Self {
        Self { shapes }
    }
}
