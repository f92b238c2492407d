//! Small masks for the tests of this layer.

use crate::geometry::{ImageSize, PixelRect};
use crate::mask::{Mask, Rle};

/// The size of every mask here.
pub(super) const SIZE: ImageSize = ImageSize::new(10, 10);

/// A rectangle.
pub(super) fn rect(x: u32, y: u32, width: u32, height: u32) -> Rle {
    Mask::from_rects(SIZE, &[PixelRect::new(x, y, width, height)])
        .unwrap()
        .to_rle()
}

/// A mask in which about every second pixel is set.
pub(super) fn random_mask(seed: u64) -> Mask {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678;
    Mask::from_fn(SIZE, |_, _| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 60 < 7
    })
    .unwrap()
}
