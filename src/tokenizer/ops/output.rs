//! Results that are written by parallel tasks without being zeroed first.

use rayon::prelude::*;

/// A vector of `len` values whose chunks of `chunk` values (the last may be shorter) are written by `fill` in parallel.
///
/// `fill` gets the number of the chunk and its values, which hold anything and must all be written: zeroing large
/// results beforehand would be one thread's work while the others wait.
pub(super) fn filled(len: usize, chunk: usize, fill: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
    let mut out: Vec<f32> = Vec::with_capacity(len);
    let target = Target(out.as_mut_ptr());
    (0..len.div_ceil(chunk)).into_par_iter().for_each(|index| {
        let start = index * chunk;
        // SAFETY: chunks do not overlap and end at or before `len`, which is allocated; any bits are a valid f32
        // and nothing reads the values before `fill` has written them.
        let values =
            unsafe { std::slice::from_raw_parts_mut(target.start().add(start), chunk.min(len - start)) };
        fill(index, values);
    });
    // SAFETY: the chunks cover all `len` values.
    unsafe { out.set_len(len) };
    out
}

#[derive(Clone, Copy)]
struct Target(*mut f32);

impl Target {
    /// The first value; a method, so that closures take the whole of it and not the bare pointer.
    fn start(self) -> *mut f32 {
        self.0
    }
}

// SAFETY: tasks write disjoint chunks of an allocation that outlives them.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_written_once_in_its_place() {
        for len in [0, 1, 7, 8, 9, 1000] {
            let values = filled(len, 8, |index, chunk| {
                for (i, value) in chunk.iter_mut().enumerate() {
                    *value = (index * 8 + i) as f32;
                }
            });
            assert_eq!(values, (0..len).map(|i| i as f32).collect::<Vec<_>>());
        }
    }
}
