//! Label Studio's run-length encoding of a brush stroke: bits of an RGBA picture, of which the alpha is the mask.
//!
//! A header of 32 bits for the number of values, 5 for their width and four times 4 for the widths of run lengths, all
//! but the first less one; then blocks of one bit (a run of one value, or values one by one), two bits for the width
//! of the length, the length less one, and the value or values.

use crate::geometry::ImageSize;
use crate::mask::Mask;

/// Bits of a value.
const VALUE_BITS: u32 = 8;

/// Bits that the length of a run may take.
const LENGTH_BITS: [u32; 4] = [3, 4, 8, 16];

/// Values of one pixel, the last of them alpha.
const CHANNELS: u64 = 4;

/// `mask` as the reference encoder writes it, byte for byte.
///
/// `None` for masks of more than a quarter of 2^32 pixels, which do not fit the header; there are none.
pub(super) fn encode(mask: &Mask) -> Option<Vec<u8>> {
    let values = u32::try_from(mask.size().area() * CHANNELS).ok()?;
    let mut bits = BitWriter::default();
    bits.push(values, 32);
    bits.push(VALUE_BITS - 1, 5);
    for width in LENGTH_BITS {
        bits.push(width - 1, 4);
    }
    let row = u64::from(mask.size().width);
    let (mut start, mut end) = (0, 0);
    for y in 0..mask.size().height {
        for run in mask.runs(y) {
            let [run_start, run_end] = [run.start, run.end].map(|x| u64::from(y) * row + u64::from(x));
            if run_start > end || end == 0 {
                bits.push_run(end - start, u8::MAX);
                bits.push_run(run_start - end, 0);
                start = run_start;
            }
            end = run_end;
        }
    }
    bits.push_run(end - start, u8::MAX);
    bits.push_run(mask.size().area() - end, 0);
    Some(bits.finish())
}

/// The mask in `bytes`, for an image of `size`: alpha above zero is set. `None` where the bytes are damaged or are
/// those of a picture of another size.
pub(super) fn decode(bytes: &[u8], size: ImageSize) -> Option<Mask> {
    let mut bits = BitReader { bytes, position: 0 };
    let values = u64::from(bits.take(32)?);
    if values != size.area() * CHANNELS {
        return None;
    }
    let value_bits = bits.take(5)? + 1;
    let mut length_bits = [0; 4];
    for width in &mut length_bits {
        *width = bits.take(4)? + 1;
    }
    let mut mask = Mask::empty(size).ok()?;
    let mut position = 0;
    while position < values {
        let is_run = bits.take(1)? == 1;
        let width = length_bits.get(bits.take(2)? as usize)?;
        let end = position + u64::from(bits.take(*width)?) + 1;
        if end > values {
            return None;
        }
        if is_run {
            if bits.take(value_bits)? > 0 {
                // The pixels whose alpha is among the values of the run.
                fill(&mut mask, (position / CHANNELS)..(end / CHANNELS));
            }
        } else {
            for index in position..end {
                if bits.take(value_bits)? > 0 && index % CHANNELS == CHANNELS - 1 {
                    let pixel = index / CHANNELS;
                    fill(&mut mask, pixel..pixel + 1);
                }
            }
        }
        position = end;
    }
    Some(mask)
}

/// Sets `pixels`, counted along the rows.
fn fill(mask: &mut Mask, pixels: std::ops::Range<u64>) {
    let width = u64::from(mask.size().width);
    let mut position = pixels.start;
    while position < pixels.end {
        // Both are inside the mask.
        let (y, x) = ((position / width) as u32, (position % width) as u32);
        let count = (width - u64::from(x)).min(pixels.end - position);
        mask.fill_run(y, x..x + count as u32, true);
        position += count;
    }
}

#[derive(Debug, Default)]
struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that do not fill a byte yet, and how many they are.
    open: u64,
    open_bits: u32,
}

impl BitWriter {
    /// Adds the lowest `count` bits of `value`, the highest of them first.
    fn push(&mut self, value: u32, count: u32) {
        self.open = self.open << count | u64::from(value);
        self.open_bits += count;
        while self.open_bits >= 8 {
            self.open_bits -= 8;
            self.bytes.push((self.open >> self.open_bits) as u8);
        }
        self.open &= (1 << self.open_bits) - 1;
    }

    /// Adds `pixels` pixels of `value` in all channels.
    fn push_run(&mut self, pixels: u64, value: u8) {
        const LONGEST: u64 = 1 << 16;
        let mut values = pixels * CHANNELS;
        while values > 0 {
            let length = values.min(LONGEST);
            let index = LENGTH_BITS
                .iter()
                .position(|&bits| length <= 1 << bits)
                .unwrap_or(LENGTH_BITS.len() - 1);
            self.push(1, 1);
            self.push(index as u32, 2);
            self.push(length as u32 - 1, LENGTH_BITS.get(index).copied().unwrap_or(16));
            self.push(value.into(), VALUE_BITS);
            values -= length;
        }
    }

    /// The bytes; the last is filled up with zeros, and is a whole one of them where nothing is left over.
    fn finish(mut self) -> Vec<u8> {
        self.push(0, 8 - self.open_bits);
        self.bytes
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    position: u64,
}

impl BitReader<'_> {
    /// The next `count` bits, at most 32; `None` behind the end.
    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u64;
        let mut left = count;
        while left > 0 {
            let byte = *self.bytes.get(usize::try_from(self.position / 8).ok()?)?;
            let available = 8 - (self.position % 8) as u32;
            let taken = available.min(left);
            let bits = u32::from(byte) >> (available - taken) & ((1 << taken) - 1);
            value = value << taken | u64::from(bits);
            self.position += u64::from(taken);
            left -= taken;
        }
        u32::try_from(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Rows 1 and 2, columns 1 and 2 of 4 rows and 3 columns.
    fn block() -> Mask {
        Mask::from_fn(ImageSize::new(3, 4), |x, y| x >= 1 && (1..3).contains(&y)).unwrap()
    }

    #[test]
    fn bytes_are_those_of_the_reference_encoder() {
        let expected = [0, 0, 0, 48, 57, 27, 253, 240, 9, 255, 227, 0, 159, 254, 216, 0];
        assert_eq!(encode(&block()).unwrap(), expected);
        assert_eq!(decode(&expected, ImageSize::new(3, 4)), Some(block()));
    }

    #[test]
    fn values_one_by_one_and_other_widths_are_read() {
        // One pixel of a picture of two: values 0 0 0 0 and 1 1 1 1, of one bit, as literals of up to 8.
        let mut bits = BitWriter::default();
        bits.push(8, 32);
        bits.push(0, 5);
        for _ in 0..4 {
            bits.push(2, 4);
        }
        bits.push(0, 1);
        bits.push(3, 2);
        bits.push(7, 3);
        bits.push(0b0000_1111, 8);
        let mask = Mask::from_fn(ImageSize::new(2, 1), |x, _| x == 1).unwrap();
        assert_eq!(decode(&bits.finish(), ImageSize::new(2, 1)), Some(mask));
    }

    #[test]
    fn damage_is_refused() {
        let bytes = encode(&block()).unwrap();
        for length in 0..bytes.len() - 1 {
            assert_eq!(
                decode(&bytes[..length], ImageSize::new(3, 4)),
                None,
                "{length} bytes"
            );
        }
        assert_eq!(decode(&bytes, ImageSize::new(4, 4)), None, "another size");
        assert_eq!(decode(&[255; 40], ImageSize::new(3, 4)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

        #[test]
        fn masks_survive(width in 1..300_u32, height in 1..90_u32, seed in any::<u32>(), share in 0..101_u32) {
            let mut state = seed | 1;
            let mask = Mask::from_fn(ImageSize::new(width, height), |_, _| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state % 100 < share
            });
            let mask = mask.unwrap();
            prop_assert_eq!(decode(&encode(&mask).unwrap(), mask.size()), Some(mask));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), sane in any::<bool>()) {
            let mut bytes = bytes;
            if sane && bytes.len() > 6 {
                bytes[..6].copy_from_slice(&[0, 0, 3, 0, 57, 27]);
            }
            decode(&bytes, ImageSize::new(16, 12));
        }
    }
}
