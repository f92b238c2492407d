//! Softmax attention that never materialises the score matrix, reading heads and windows where they lie.
//!
//! Scores are computed transposed, `[key][query]`, a panel of queries at a time: the softmax then runs down
//! columns without horizontal reductions, and the probabilities are already laid out as the right-hand operand of
//! the second product. Keys are visited in blocks with a running maximum, so the working set stays in cache.

use super::gemm::{TILE_ROWS_NARROW, TILE_ROWS_WIDE, TILE_VECTORS, register_tile};
use super::prefetch::prefetch;
use super::simd;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Keys whose scores are held at once.
const KEY_BLOCK: usize = 512;
/// Query panels of one group from which its panels are shared between threads.
const PANELS_TO_SPLIT: usize = 8;
/// How many rows before its turn a row of keys is fetched: rows lie too far apart for hardware to foresee.
const ROWS_AHEAD: usize = 16;
/// Marks a padding token in [`Groups`].
pub(crate) const PADDING: u32 = u32::MAX;

/// Head vectors inside a row-major matrix: head `h` of row `r` starts at `r * row_stride + column + h * head_dim`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    /// The matrix.
    pub(crate) data: &'a [f32],
    /// Distance between rows.
    pub(crate) row_stride: usize,
    /// Column of head 0.
    pub(crate) column: usize,
    /// Stands for [`PADDING`] rows: one row of `row_stride` values.
    pub(crate) padding_row: Option<&'a [f32]>,
}

impl<'a> Operand<'a> {
    /// The `dim` values of a head.
    fn head(&self, row: u32, head: usize, dim: usize) -> &'a [f32] {
        let column = self.column + head * dim;
        match (row, self.padding_row) {
            (PADDING, Some(padding)) => &padding[column..column + dim],
            _ => &self.data[row as usize * self.row_stride + column..][..dim],
        }
    }

    /// Starts fetching what [`Operand::head`] will give.
    #[inline(always)]
    fn prefetch_head(&self, row: u32, head: usize, dim: usize) {
        if row != PADDING {
            let at = row as usize * self.row_stride + self.column + head * dim;
            prefetch(self.data.as_ptr().wrapping_add(at), dim);
        }
    }
}

/// Rows that attend to each other: windows of a grid, or the elements of a batch.
#[derive(Clone, Debug)]
pub(crate) struct Groups {
    /// Source rows, group after group; [`PADDING`] where a window sticks out of the grid.
    rows: Vec<u32>,
    /// Rows per group.
    size: usize,
}

impl Groups {
    /// `batch` groups of `size` consecutive rows.
    pub(crate) fn consecutive(batch: usize, size: usize) -> Self {
        Self {
            rows: (0..(batch * size) as u32).collect(),
            size,
        }
    }

    /// `window x window` groups of a `height x width` grid per batch element, padded at the bottom and right.
    pub(crate) fn windows(batch: usize, height: usize, width: usize, window: usize) -> Self {
        let mut rows =
            Vec::with_capacity(batch * height.next_multiple_of(window) * width.next_multiple_of(window));
        for b in 0..batch {
            for y0 in (0..height).step_by(window) {
                for x0 in (0..width).step_by(window) {
                    for y in y0..y0 + window {
                        for x in x0..x0 + window {
                            let inside = y < height && x < width;
                            rows.push(if inside {
                                ((b * height + y) * width + x) as u32
                            } else {
                                PADDING
                            });
                        }
                    }
                }
            }
        }
        Self {
            rows,
            size: window * window,
        }
    }

    fn len(&self) -> usize {
        self.rows.len() / self.size
    }

    /// Panics unless every row below `count` is in exactly one group, and no other row is.
    fn assert_permutation(&self, count: usize) {
        let mut seen = vec![false; count];
        for row in self.rows.iter().filter(|row| **row != PADDING) {
            let is_new = seen
                .get_mut(*row as usize)
                .is_some_and(|seen| !std::mem::replace(seen, true));
            assert!(is_new, "query row {row} is outside the output or in two groups");
        }
        assert!(seen.iter().all(|seen| *seen), "a query row is in no group");
    }

    fn group(&self, index: usize) -> &[u32] {
        &self.rows[index * self.size..(index + 1) * self.size]
    }
}

/// One multi-head attention: group `g` of the queries attends to group `g` of the keys and values.
#[derive(Debug)]
pub(crate) struct Attention<'a> {
    /// Queries.
    pub(crate) q: Operand<'a>,
    /// Keys.
    pub(crate) k: Operand<'a>,
    /// Values; the same groups as the keys.
    pub(crate) v: Operand<'a>,
    /// Rows of `q`, and of the output.
    pub(crate) q_groups: &'a Groups,
    /// Rows of `k` and `v`.
    pub(crate) k_groups: &'a Groups,
    /// Number of heads.
    pub(crate) heads: usize,
    /// Width of a head.
    pub(crate) head_dim: usize,
    /// Factor on the scores, usually `1 / sqrt(head_dim)`.
    pub(crate) scale: f32,
    /// Rows of the output, which is `rows x (heads * head_dim)`; padding queries are not written.
    pub(crate) out_rows: usize,
}

/// Keys and values of one group and head, packed for the register kernel.
struct PackedKeys {
    /// `[key tile][head_dim][MR]`.
    k: Vec<f32>,
    /// `[dim tile][key][MR]`.
    v: Vec<f32>,
}

#[derive(Clone, Copy)]
struct Output(*mut f32);
// SAFETY: tasks write disjoint (row, head) pieces of an allocation that outlives them.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Attention<'_> {
    /// The attended values, `out_rows x (heads * head_dim)`.
    pub(crate) fn run(&self) -> Vec<f32> {
        let width = self.heads * self.head_dim;
        assert_eq!(
            self.q_groups.len(),
            self.k_groups.len(),
            "queries and keys must have the same groups"
        );
        let mut out: Vec<f32> = Vec::with_capacity(self.out_rows * width);
        let target = Output(out.as_mut_ptr());
        self.q_groups.assert_permutation(self.out_rows);
        let units = self.q_groups.len() * self.heads;
        let arch = Arch::new();
        let panels = arch.dispatch(Panels(self.q_groups.size));
        if panels < PANELS_TO_SPLIT {
            (0..units).into_par_iter().for_each(|unit| {
                let keys = arch.dispatch(Pack {
                    attention: self,
                    unit,
                });
                arch.dispatch(Attend {
                    attention: self,
                    unit,
                    keys: &keys,
                    panels: 0..panels,
                    out: target,
                });
            });
        } else {
            let keys: Vec<PackedKeys> = (0..units)
                .into_par_iter()
                .map(|unit| {
                    arch.dispatch(Pack {
                        attention: self,
                        unit,
                    })
                })
                .collect();
            let chunk = 4;
            let chunks = panels.div_ceil(chunk);
            (0..units * chunks).into_par_iter().for_each(|task| {
                let unit = task / chunks;
                let first = task % chunks * chunk;
                let panels = first..panels.min(first + chunk);
                arch.dispatch(Attend {
                    attention: self,
                    unit,
                    keys: &keys[unit],
                    panels,
                    out: target,
                });
            });
        }
        // SAFETY: every row below out_rows is in a group (asserted above), and its group's tasks wrote all heads.
        unsafe { out.set_len(self.out_rows * width) };
        out
    }

    fn rows_of_tile<S: Simd>() -> usize {
        if S::REGISTER_COUNT >= 32 {
            TILE_ROWS_WIDE
        } else {
            TILE_ROWS_NARROW
        }
    }
}

/// Query panels needed for a group of this size.
struct Panels(usize);

impl WithSimd for Panels {
    type Output = usize;
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        self.0.div_ceil(TILE_VECTORS * S::F32_LANES)
    }
}

struct Pack<'a> {
    attention: &'a Attention<'a>,
    unit: usize,
}

impl WithSimd for Pack<'_> {
    type Output = PackedKeys;
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> PackedKeys {
        let Attention {
            k,
            v,
            k_groups,
            heads,
            head_dim: dim,
            ..
        } = *self.attention;
        let mr = Attention::rows_of_tile::<S>();
        let (group, head) = (k_groups.group(self.unit / heads), self.unit % heads);
        let mut packed_k = vec![0.0_f32; group.len().next_multiple_of(mr) * dim];
        let mut packed_v = vec![0.0_f32; dim.next_multiple_of(mr) * group.len()];
        for (key, row) in group.iter().enumerate() {
            if let Some(row) = group.get(key + ROWS_AHEAD) {
                k.prefetch_head(*row, head, dim);
                v.prefetch_head(*row, head, dim);
            }
            let tile = &mut packed_k[key / mr * mr * dim..][..mr * dim];
            for (d, value) in k.head(*row, head, dim).iter().enumerate() {
                tile[d * mr + key % mr] = *value;
            }
            for (t, values) in v.head(*row, head, dim).chunks(mr).enumerate() {
                packed_v[(t * group.len() + key) * mr..][..values.len()].copy_from_slice(values);
            }
        }
        PackedKeys {
            k: packed_k,
            v: packed_v,
        }
    }
}

/// Some query panels of one group and head.
struct Attend<'a> {
    attention: &'a Attention<'a>,
    unit: usize,
    keys: &'a PackedKeys,
    panels: std::ops::Range<usize>,
    out: Output,
}

impl WithSimd for Attend<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let group = self.attention.q_groups.group(self.unit / self.attention.heads);
        // Panels of nearly equal width: one of a single vector could not hide the latency of its products.
        let vectors = group.len().div_ceil(S::F32_LANES);
        let panels = vectors.div_ceil(TILE_VECTORS);
        let start = |panel: usize| (vectors * panel / panels * S::F32_LANES).min(group.len());
        let mut scratch = Scratch::default();
        for panel in self.panels.clone() {
            let rows = &group[start(panel)..start(panel + 1)];
            let head = self.unit % self.attention.heads;
            for row in &group[start(panel + 1)..start((panel + 2).min(panels))] {
                self.prefetch(*row, head);
            }
            match (S::REGISTER_COUNT >= 32, rows.len().div_ceil(S::F32_LANES)) {
                (true, 1) => self.panel::<S, TILE_ROWS_WIDE, 1>(simd, rows, &mut scratch),
                (true, 2) => self.panel::<S, TILE_ROWS_WIDE, 2>(simd, rows, &mut scratch),
                (true, _) => self.panel::<S, TILE_ROWS_WIDE, TILE_VECTORS>(simd, rows, &mut scratch),
                (false, 1) => self.panel::<S, TILE_ROWS_NARROW, 1>(simd, rows, &mut scratch),
                (false, 2) => self.panel::<S, TILE_ROWS_NARROW, 2>(simd, rows, &mut scratch),
                (false, _) => self.panel::<S, TILE_ROWS_NARROW, TILE_VECTORS>(simd, rows, &mut scratch),
            }
        }
    }
}

#[derive(Default)]
struct Scratch {
    q: Vec<f32>,
    scores: Vec<f32>,
    sums: Vec<f32>,
}

impl Attend<'_> {
    /// Starts fetching a query and the place of its result.
    #[inline(always)]
    fn prefetch(&self, row: u32, head: usize) {
        let Attention {
            q, heads, head_dim, ..
        } = *self.attention;
        q.prefetch_head(row, head, head_dim);
        if row != PADDING {
            prefetch(
                self.out.0.wrapping_add((row as usize * heads + head) * head_dim),
                head_dim,
            );
        }
    }

    #[inline(always)]
    fn panel<S: Simd, const MR: usize, const NV: usize>(&self, simd: S, rows: &[u32], scratch: &mut Scratch) {
        let Attention {
            q,
            k_groups,
            heads,
            head_dim: dim,
            scale,
            ..
        } = *self.attention;
        let head = self.unit % heads;
        let keys = k_groups.size;
        let width = NV * S::F32_LANES;
        let dim_tiles = dim.div_ceil(MR);
        // Scores come out in units of log2, so that the softmax needs exp2 only.
        let scale = scale * std::f32::consts::LOG2_E;
        scratch.q.clear();
        scratch.q.resize(dim * width, 0.0);
        for (column, row) in rows.iter().enumerate() {
            if *row != PADDING {
                for (d, value) in q.head(*row, head, dim).iter().enumerate() {
                    scratch.q[d * width + column] = value * scale;
                }
            }
        }
        scratch
            .scores
            .resize(KEY_BLOCK.min(keys).next_multiple_of(MR) * width, 0.0);
        scratch.sums.clear();
        scratch.sums.resize(dim_tiles * MR * width, 0.0);
        let mut maxima = [simd.splat_f32s(f32::NEG_INFINITY); NV];
        let mut totals = [simd.splat_f32s(0.0); NV];
        for first in (0..keys).step_by(KEY_BLOCK) {
            let count = KEY_BLOCK.min(keys - first);
            for tile in 0..count.div_ceil(MR) {
                let a = &self.keys.k[(first / MR + tile) * MR * dim..][..MR * dim];
                let sums = &mut scratch.scores[tile * MR * width..][..MR * width];
                register_tile::<S, MR, NV>(simd, a, &scratch.q, sums, false);
            }
            let scores = S::as_mut_simd_f32s(&mut scratch.scores[..count * width]).0;
            let mut new_maxima = maxima;
            for row in scores.chunks_exact(NV) {
                for j in 0..NV {
                    new_maxima[j] = simd.max_f32s(new_maxima[j], row[j]);
                }
            }
            let mut block_totals = [simd.splat_f32s(0.0); NV];
            for row in scores.chunks_exact_mut(NV) {
                for j in 0..NV {
                    row[j] = simd::exp2_nonpositive(simd, simd.sub_f32s(row[j], new_maxima[j]));
                    block_totals[j] = simd.add_f32s(block_totals[j], row[j]);
                }
            }
            if first == 0 {
                totals = block_totals;
            } else {
                let mut factors = [simd.splat_f32s(0.0); NV];
                for j in 0..NV {
                    factors[j] = simd::exp2_nonpositive(simd, simd.sub_f32s(maxima[j], new_maxima[j]));
                    totals[j] = simd.mul_add_f32s(totals[j], factors[j], block_totals[j]);
                }
                for row in S::as_mut_simd_f32s(&mut scratch.sums).0.chunks_exact_mut(NV) {
                    for j in 0..NV {
                        row[j] = simd.mul_f32s(row[j], factors[j]);
                    }
                }
            }
            maxima = new_maxima;
            for tile in 0..dim_tiles {
                let a = &self.keys.v[(tile * keys + first) * MR..][..count * MR];
                let sums = &mut scratch.sums[tile * MR * width..][..MR * width];
                register_tile::<S, MR, NV>(simd, a, &scratch.scores[..count * width], sums, true);
            }
        }
        for row in S::as_mut_simd_f32s(&mut scratch.sums).0.chunks_exact_mut(NV) {
            for j in 0..NV {
                row[j] = simd.div_f32s(row[j], totals[j]);
            }
        }
        for (column, row) in rows.iter().enumerate().filter(|(_, row)| **row != PADDING) {
            // SAFETY: every query row is below out_rows (asserted in `run`), head < heads, and no other task
            // writes this row's head.
            let out = unsafe {
                std::slice::from_raw_parts_mut(self.out.0.add((*row as usize * heads + head) * dim), dim)
            };
            for (d, value) in out.iter_mut().enumerate() {
                *value = scratch.sums[d * width + column];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        (0..n)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// Attention in double precision, one output at a time.
    fn naive(a: &Attention<'_>) -> Vec<f32> {
        let mut out = vec![0.0; a.out_rows * a.heads * a.head_dim];
        for g in 0..a.q_groups.len() {
            for head in 0..a.heads {
                for &row in a.q_groups.group(g).iter().filter(|r| **r != PADDING) {
                    let q = a.q.head(row, head, a.head_dim);
                    let weights: Vec<f64> = a
                        .k_groups
                        .group(g)
                        .iter()
                        .map(|k| {
                            let k = a.k.head(*k, head, a.head_dim);
                            let dot: f64 = q.iter().zip(k).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                            (dot * f64::from(a.scale)).exp()
                        })
                        .collect();
                    let total: f64 = weights.iter().sum();
                    for d in 0..a.head_dim {
                        let sum: f64 = a
                            .k_groups
                            .group(g)
                            .iter()
                            .zip(&weights)
                            .map(|(v, w)| w * f64::from(a.v.head(*v, head, a.head_dim)[d]))
                            .sum();
                        out[(row as usize * a.heads + head) * a.head_dim + d] = (sum / total) as f32;
                    }
                }
            }
        }
        out
    }

    #[test]
    fn matches_naive_attention_for_windows_batches_and_long_keys() {
        // (q groups, k groups, q rows, k rows, heads, head_dim)
        let cases = [
            (
                Groups::windows(2, 10, 7, 4),
                Groups::windows(2, 10, 7, 4),
                140,
                140,
                2,
                8,
            ),
            (
                Groups::consecutive(3, 9),
                Groups::consecutive(3, 37),
                27,
                111,
                4,
                6,
            ),
            (
                Groups::consecutive(1, 420),
                Groups::consecutive(1, 1100),
                420,
                1100,
                1,
                16,
            ),
            (
                Groups::consecutive(2, 130),
                Groups::consecutive(2, 8),
                260,
                16,
                2,
                12,
            ),
        ];
        for (i, (q_groups, k_groups, q_rows, k_rows, heads, head_dim)) in cases.into_iter().enumerate() {
            let stride = 3 * heads * head_dim;
            let q = noise(q_rows * stride, 1);
            let kv = noise(k_rows * stride, 2);
            let padding = noise(stride, 3);
            let operand = |data, column| Operand {
                data,
                row_stride: stride,
                column,
                padding_row: Some(&padding[..]),
            };
            let attention = Attention {
                q: operand(&q, 0),
                k: operand(&kv, heads * head_dim),
                v: operand(&kv, 2 * heads * head_dim),
                q_groups: &q_groups,
                k_groups: &k_groups,
                heads,
                head_dim,
                scale: 1.3,
                out_rows: q_rows,
            };
            let (fast, slow) = (attention.run(), naive(&attention));
            for (j, (x, y)) in fast.iter().zip(&slow).enumerate() {
                assert!((x - y).abs() < 2e-6, "case {i}, element {j}: {x} against {y}");
            }
        }
    }
}
