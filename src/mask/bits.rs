//! Bit-row primitives: the word-parallel loops that every mask operation is built from.
//!
//! A row is a slice of words, column `x` is bit `x % 64` of word `x / 64`, lowest bit first.

use std::ops::Range;

/// Pixels per word.
pub(super) const WORD_BITS: u32 = u64::BITS;

/// Words needed for `bits` pixels.
pub(super) const fn words_for(bits: u32) -> usize {
    bits.div_ceil(WORD_BITS) as usize
}

/// A word with its lowest `count` bits set; all of them from 64 on.
pub(super) const fn low_ones(count: u32) -> u64 {
    if count >= WORD_BITS {
        u64::MAX
    } else {
        (1 << count) - 1
    }
}

/// The valid bits of the last word of a row of `width` > 0 pixels.
pub(super) const fn tail_ones(width: u32) -> u64 {
    low_ones((width - 1) % WORD_BITS + 1)
}

/// Sets or clears the columns `range`, which must lie inside `row`.
pub(super) fn fill(row: &mut [u64], range: Range<u32>, value: bool) {
    if range.is_empty() {
        return;
    }
    let (first, last) = (
        (range.start / WORD_BITS) as usize,
        ((range.end - 1) / WORD_BITS) as usize,
    );
    let head = !low_ones(range.start % WORD_BITS);
    let tail = tail_ones(range.end);
    let put = |word: &mut u64, ones: u64| if value { *word |= ones } else { *word &= !ones };
    if first == last {
        put(&mut row[first], head & tail);
    } else {
        put(&mut row[first], head);
        row[first + 1..last].fill(if value { u64::MAX } else { 0 });
        put(&mut row[last], tail);
    }
}

/// The 64 columns from `start` on; columns outside `row` read as zero.
pub(super) fn word_at(row: &[u64], start: i64) -> u64 {
    let word = start.div_euclid(i64::from(WORD_BITS));
    let shift = start.rem_euclid(i64::from(WORD_BITS)) as u32;
    let at = |index: i64| {
        usize::try_from(index)
            .ok()
            .and_then(|index| row.get(index))
            .copied()
            .unwrap_or(0)
    };
    let low = at(word) >> shift;
    if shift == 0 {
        low
    } else {
        low | at(word + 1) << (WORD_BITS - shift)
    }
}

/// Replaces the columns `range` of `target` by those of `source` that start at `source_start`.
pub(super) fn copy(source: &[u64], source_start: i64, target: &mut [u64], range: Range<u32>) {
    if range.is_empty() {
        return;
    }
    let words = range.start / WORD_BITS..=(range.end - 1) / WORD_BITS;
    for word in words {
        let start = word * WORD_BITS;
        let keep_low = low_ones(range.start.saturating_sub(start));
        let ones = low_ones(range.end - start) & !keep_low;
        let bits = word_at(source, source_start + i64::from(start) - i64::from(range.start));
        let target = &mut target[word as usize];
        *target = *target & !ones | bits & ones;
    }
}

/// `row |= row moved by `by` columns to the right`; bits that leave the row are lost.
pub(super) fn or_shifted_right(row: &mut [u64], by: u32) {
    let (words, bits) = ((by / WORD_BITS) as usize, by % WORD_BITS);
    for index in (words..row.len()).rev() {
        let source = index - words;
        let mut moved = row[source] << bits;
        if bits > 0 && source > 0 {
            moved |= row[source - 1] >> (WORD_BITS - bits);
        }
        row[index] |= moved;
    }
}

/// `row |= row moved by `by` columns to the left`; bits that leave the row are lost.
pub(super) fn or_shifted_left(row: &mut [u64], by: u32) {
    for index in 0..row.len().saturating_sub((by / WORD_BITS) as usize) {
        row[index] |= shifted_left_word(row, index, by);
    }
}

/// `row &= row moved by `by` columns to the left`; zeros enter at the right.
pub(super) fn and_shifted_left(row: &mut [u64], by: u32) {
    let (words, bits) = ((by / WORD_BITS) as usize, by % WORD_BITS);
    let kept = row.len().saturating_sub(words);
    if bits == 0 {
        for index in 0..kept {
            row[index] &= row[index + words];
        }
    } else {
        for index in 0..kept {
            let next = row.get(index + words + 1).copied().unwrap_or(0);
            row[index] &= row[index + words] >> bits | next << (WORD_BITS - bits);
        }
    }
    row[kept..].fill(0);
}

/// Moves the row by `by` columns to the right; zeros enter at the left.
pub(super) fn shift_right(row: &mut [u64], by: u32) {
    let (words, bits) = ((by / WORD_BITS) as usize, by % WORD_BITS);
    for index in (0..row.len()).rev() {
        let at = |index: Option<usize>| index.map_or(0, |index| row[index]);
        let source = index.checked_sub(words);
        let low = if bits > 0 {
            at(index.checked_sub(words + 1)) >> (WORD_BITS - bits)
        } else {
            0
        };
        row[index] = at(source) << bits | low;
    }
}

fn shifted_left_word(row: &[u64], index: usize, by: u32) -> u64 {
    let (source, bits) = (index + (by / WORD_BITS) as usize, by % WORD_BITS);
    let at = |index: usize| row.get(index).copied().unwrap_or(0);
    let low = at(source) >> bits;
    if bits == 0 {
        low
    } else {
        low | at(source + 1) << (WORD_BITS - bits)
    }
}

/// Transposes a block of 64 x 64 pixels: bit `x` of word `y` becomes bit `y` of word `x`.
pub(super) fn transpose(block: &mut [u64; 64]) {
    /// Swaps the off-diagonal quarters of every square of `2 * SIDE` pixels.
    fn swap_quarters<const SIDE: usize>(block: &mut [u64; 64], low_columns: u64) {
        for square in block.chunks_exact_mut(2 * SIDE) {
            let (upper, lower) = square.split_at_mut(SIDE);
            for (upper, lower) in upper.iter_mut().zip(lower) {
                let swapped = (*upper >> SIDE ^ *lower) & low_columns;
                *upper ^= swapped << SIDE;
                *lower ^= swapped;
            }
        }
    }
    swap_quarters::<32>(block, 0x0000_0000_ffff_ffff);
    swap_quarters::<16>(block, 0x0000_ffff_0000_ffff);
    swap_quarters::<8>(block, 0x00ff_00ff_00ff_00ff);
    swap_quarters::<4>(block, 0x0f0f_0f0f_0f0f_0f0f);
    swap_quarters::<2>(block, 0x3333_3333_3333_3333);
    swap_quarters::<1>(block, 0x5555_5555_5555_5555);
}

/// Packs eight bytes into eight bits, lowest first; any byte but zero is one.
pub(super) fn pack_bytes(bytes: [u8; 8]) -> u8 {
    const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let bytes = u64::from_le_bytes(bytes);
    let top_bits = ((bytes & LOW_SEVEN) + LOW_SEVEN) | bytes;
    let ones = top_bits >> 7 & 0x0101_0101_0101_0101;
    // The multiplier moves bit 0 of byte i to bit i of the top byte, and no two products meet.
    (ones.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
}

/// The inverse of [`pack_bytes`] with 1 for a set bit.
pub(super) fn unpack_bytes(bits: u8) -> [u8; 8] {
    let copies = u64::from(bits) * 0x0101_0101_0101_0101;
    let spread = copies & 0x8040_2010_0804_0201;
    ((spread + 0x7f7f_7f7f_7f7f_7f7f) >> 7 & 0x0101_0101_0101_0101).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u64) -> impl Iterator<Item = u64> {
        std::iter::successors(Some(seed | 1), |state| {
            let mut next = *state;
            next ^= next << 13;
            next ^= next >> 7;
            next ^= next << 17;
            Some(next)
        })
    }

    fn bit(row: &[u64], x: i64) -> bool {
        (0..row.len() as i64 * 64).contains(&x) && row[x as usize / 64] >> (x % 64) & 1 == 1
    }

    #[test]
    fn transpose_swaps_rows_and_columns() {
        let before: [u64; 64] = std::array::from_fn(|y| noise(y as u64 + 7).nth(5).unwrap());
        let mut after = before;
        transpose(&mut after);
        for (y, row) in before.iter().enumerate() {
            for (x, column) in after.iter().enumerate() {
                assert_eq!(row >> x & 1, column >> y & 1, "pixel ({x}, {y})");
            }
        }
    }

    #[test]
    fn bytes_pack_and_unpack() {
        for bits in 0..=u8::MAX {
            assert_eq!(pack_bytes(unpack_bytes(bits)), bits, "bits {bits:08b}");
        }
        assert_eq!(
            pack_bytes([0, 1, 2, 127, 128, 255, 0, 64]),
            0b1011_1110,
            "any byte but zero counts"
        );
    }

    #[test]
    fn shifts_move_whole_rows() {
        let row: Vec<u64> = noise(3).take(3).collect();
        for by in [0_u32, 1, 63, 64, 65, 100, 128, 191, 192, 500] {
            let mut right_or = row.clone();
            or_shifted_right(&mut right_or, by);
            let mut left_or = row.clone();
            or_shifted_left(&mut left_or, by);
            let mut left_and = row.clone();
            and_shifted_left(&mut left_and, by);
            let mut right = row.clone();
            shift_right(&mut right, by);
            for x in 0..192 {
                let (here, from_left, from_right) = (
                    bit(&row, x),
                    bit(&row, x - i64::from(by)),
                    bit(&row, x + i64::from(by)),
                );
                assert_eq!(bit(&right_or, x), here | from_left, "or right by {by} at {x}");
                assert_eq!(bit(&left_or, x), here | from_right, "or left by {by} at {x}");
                assert_eq!(bit(&left_and, x), here & from_right, "and left by {by} at {x}");
                assert_eq!(bit(&right, x), from_left, "right by {by} at {x}");
            }
        }
    }

    #[test]
    fn copy_and_fill_touch_only_their_range() {
        let source: Vec<u64> = noise(11).take(2).collect();
        let target: Vec<u64> = noise(12).take(3).collect();
        for range in [0..0, 0..1, 5..64, 63..65, 64..128, 60..190, 0..192] {
            for source_start in [-70_i64, -1, 0, 3, 64, 130] {
                let mut copied = target.clone();
                copy(&source, source_start, &mut copied, range.clone());
                for x in 0..192_u32 {
                    let expected = if range.contains(&x) {
                        bit(&source, source_start + i64::from(x) - i64::from(range.start))
                    } else {
                        bit(&target, i64::from(x))
                    };
                    assert_eq!(
                        bit(&copied, i64::from(x)),
                        expected,
                        "{range:?} from {source_start} at {x}"
                    );
                }
            }
            for value in [false, true] {
                let mut filled = target.clone();
                fill(&mut filled, range.clone(), value);
                for x in 0..192_u32 {
                    let expected = if range.contains(&x) {
                        value
                    } else {
                        bit(&target, i64::from(x))
                    };
                    assert_eq!(
                        bit(&filled, i64::from(x)),
                        expected,
                        "{range:?} filled with {value} at {x}"
                    );
                }
            }
        }
    }
}
