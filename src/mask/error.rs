//! The one error type of the mask layer, so that callers match on causes instead of on text.

use super::{MAX_AREA, MAX_SIDE};
use crate::geometry::{ImageSize, PixelRect};

/// Why a mask, an RLE or a polygon was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// Width or height is zero.
    #[error("a mask needs at least one pixel, but the size given is {size}; check the image it belongs to")]
    EmptySize {
        /// The size asked for.
        size: ImageSize,
    },
    /// The size is over [`MAX_SIDE`] or [`MAX_AREA`].
    #[error(
        "a mask of {size} pixels is refused (at most {MAX_AREA} pixels and {MAX_SIDE} per side); \
         scale the image down or check the size in the file"
    )]
    TooLarge {
        /// The size asked for.
        size: ImageSize,
    },
    /// Two masks that must have one size have two.
    #[error("the masks differ in size ({left} and {right}); resize one of them to the other first")]
    SizeMismatch {
        /// Size of the mask the operation was called on.
        left: ImageSize,
        /// Size of the other mask.
        right: ImageSize,
    },
    /// A slice of pixels does not have one value per pixel.
    #[error("a mask of {size} needs {} values, but {found} were given; pass one per pixel, row by row", size.area())]
    WrongLength {
        /// Size of the mask.
        size: ImageSize,
        /// Number of values given.
        found: usize,
    },
    /// A rectangle is empty or does not lie inside the mask.
    #[error("the rectangle {rect} is empty or not inside the mask of {size}; clip it to the mask first")]
    RectOutside {
        /// The rectangle asked for.
        rect: PixelRect,
        /// Size of the mask.
        size: ImageSize,
    },
    /// The counts of an RLE do not add up to width x height.
    #[error(
        "the RLE counts cover {} pixels, but {size} has {}; \
         check that size is [height, width] and that the counts are complete",
        if *.found > size.area() { format!("at least {found}") } else { found.to_string() },
        size.area()
    )]
    RleSum {
        /// Size of the mask.
        size: ImageSize,
        /// Pixels covered by the counts read until the error was certain.
        found: u64,
    },
    /// A byte that a compressed RLE string cannot hold.
    #[error(
        "byte 0x{byte:02x} at offset {offset} is not part of a compressed RLE, which only uses '0' to 'o'"
    )]
    RleByte {
        /// The byte found.
        byte: u8,
        /// Its offset in the string.
        offset: usize,
    },
    /// A compressed RLE string stops in the middle of a number.
    #[error("the compressed RLE ends in the middle of count {index}; the string was cut off")]
    RleTruncated {
        /// Zero-based index of the count.
        index: usize,
    },
    /// A count is negative or does not fit in 32 bits.
    #[error("count {index} of the RLE is negative or larger than 32 bits; the counts are damaged")]
    RleCount {
        /// Zero-based index of the count.
        index: usize,
    },
    /// A flat COCO polygon has an odd number of coordinates.
    #[error("polygon {index} has {length} numbers, an odd count; it must be a list x1, y1, x2, y2, …")]
    PolygonOddLength {
        /// Zero-based index of the polygon in its list.
        index: usize,
        /// How many numbers it has.
        length: usize,
    },
    /// A vertex is infinite or not a number.
    #[error("ring {ring} has a vertex that is infinite or not a number; remove or repair it")]
    PolygonNotFinite {
        /// Zero-based index of the ring or polygon in its list.
        ring: usize,
    },
}
