//! Matrix products against weights that were packed once at load time.
//!
//! A general product packs its right-hand side on every call; here the weights never change, so they are laid out
//! for the register kernel once, and what surrounds a linear layer in a transformer is fused into the product:
//! LayerNorm while the left-hand side is packed, bias, activation and residual while a finished tile is in cache.

use super::prefetch::prefetch;
use super::simd;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Vectors of columns one register tile covers.
pub(super) const TILE_VECTORS: usize = 3;
/// Rows of a register tile where 32 vector registers exist (AVX-512, NEON).
pub(super) const TILE_ROWS_WIDE: usize = 8;
/// Rows of a register tile where 16 vector registers exist (AVX2).
pub(super) const TILE_ROWS_NARROW: usize = 4;
/// Largest `rows x columns` of a register tile on any machine.
pub(super) const MAX_TILE: usize = TILE_ROWS_WIDE * TILE_VECTORS * 16;
/// Depth of one pass: a pass of the left block and one panel of the right side stay in the second-level cache.
const MAX_PASS_DEPTH: usize = 768;
/// Rows one task works on.
const TASK_ROWS: usize = 128;

/// What happens to an element after the sum of products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// Nothing.
    Identity,
    /// Exact (erf) GELU.
    Gelu,
    /// GELU in its tanh form.
    GeluTanh,
    /// `max(x, 0)`.
    Relu,
}

/// A weight matrix (`outputs x inputs`) laid out in panels for the register kernel.
#[derive(Clone)]
pub(crate) struct PackedMatrix {
    outputs: usize,
    inputs: usize,
    panel_width: usize,
    /// `[panel][input][panel_width]`, the last panel padded with zeros.
    panels: Vec<f32>,
}

impl std::fmt::Debug for PackedMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedMatrix({} x {})", self.outputs, self.inputs)
    }
}

/// Everything fused around one product; all slices are row-major.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fused<'a> {
    /// Normalise each input row to zero mean and unit variance first, with this epsilon (LayerNorm without its affine part).
    pub(crate) normalize: Option<f32>,
    /// One value per output column.
    pub(crate) bias: Option<&'a [f32]>,
    /// A matrix of `period x outputs` added to rows modulo `period`.
    pub(crate) row_bias: Option<&'a [f32]>,
    /// Applied after bias and row bias.
    pub(crate) activation: Activation,
    /// `rows x outputs`, added last.
    pub(crate) residual: Option<&'a [f32]>,
}

impl Fused<'_> {
    /// The plain product.
    pub(crate) const NONE: Self = Fused {
        normalize: None,
        bias: None,
        row_bias: None,
        activation: Activation::Identity,
        residual: None,
    };
}

struct PanelWidth;

impl WithSimd for PanelWidth {
    type Output = usize;
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES * TILE_VECTORS
    }
}

impl PackedMatrix {
    /// Packs `weight`, row-major `outputs x inputs`.
    pub(crate) fn new(weight: &[f32], outputs: usize, inputs: usize) -> Self {
        debug_assert_eq!(weight.len(), outputs * inputs, "weight must be outputs x inputs");
        let panel_width = Arch::new().dispatch(PanelWidth);
        let mut panels = vec![0.0_f32; outputs.div_ceil(panel_width) * panel_width * inputs];
        panels
            .par_chunks_mut((panel_width * inputs).max(1))
            .enumerate()
            .for_each(|(panel, data)| {
                let first = panel * panel_width;
                for (column, row) in (first..outputs.min(first + panel_width)).enumerate() {
                    for (depth, value) in weight[row * inputs..(row + 1) * inputs].iter().enumerate() {
                        data[depth * panel_width + column] = *value;
                    }
                }
            });
        Self {
            outputs,
            inputs,
            panel_width,
            panels,
        }
    }

    /// Takes panels that are already laid out as [`PackedMatrix::panel_width`] asks.
    pub(crate) fn from_panels(panels: Vec<f32>, outputs: usize, inputs: usize) -> Self {
        let panel_width = Self::panel_width();
        assert_eq!(
            panels.len(),
            outputs.div_ceil(panel_width) * panel_width * inputs,
            "panels must hold outputs x inputs"
        );
        Self {
            outputs,
            inputs,
            panel_width,
            panels,
        }
    }

    /// Outputs per panel on this machine; panels are `[panel][input][panel_width]`, the last padded with zeros.
    pub(crate) fn panel_width() -> usize {
        Arch::new().dispatch(PanelWidth)
    }

    /// The panels as stored.
    pub(crate) fn panels(&self) -> &[f32] {
        &self.panels
    }

    /// `rows x inputs` times the transposed weight gives `rows x outputs`, with what `fused` asks for around it.
    pub(crate) fn multiply(&self, x: &[f32], rows: usize, fused: &Fused<'_>) -> Vec<f32> {
        assert_eq!(x.len(), rows * self.inputs, "input must be rows x inputs");
        for (name, slice, expected) in [
            ("bias", fused.bias, self.outputs),
            ("residual", fused.residual, rows * self.outputs),
        ] {
            assert!(
                slice.is_none_or(|s| s.len() == expected),
                "{name} has a wrong length"
            );
        }
        assert!(
            fused
                .row_bias
                .is_none_or(|s| !s.is_empty() && s.len() % self.outputs == 0),
            "row bias has a wrong length"
        );
        let mut out: Vec<f32> = Vec::with_capacity(rows * self.outputs);
        let target = Output(out.as_mut_ptr());
        let panels = self.panels.len() / (self.panel_width * self.inputs).max(1);
        let row_tasks = rows.div_ceil(TASK_ROWS);
        // Few rows (the decoder's tokens): split the columns instead, so that every thread has work.
        let threads = rayon::current_num_threads();
        let column_tasks = if row_tasks >= 2 * threads {
            1
        } else {
            panels.min((2 * threads).div_ceil(row_tasks.max(1))).max(1)
        };
        let run = |task: usize| {
            let (row_task, column_task) = (task / column_tasks, task % column_tasks);
            let block = Block {
                matrix: self,
                x,
                fused,
                out: target,
                rows: row_task * TASK_ROWS..rows.min((row_task + 1) * TASK_ROWS),
                panels: panels * column_task / column_tasks..panels * (column_task + 1) / column_tasks,
            };
            Arch::new().dispatch(block);
        };
        let tasks = row_tasks * column_tasks;
        if tasks * TASK_ROWS.min(rows) * self.inputs * self.outputs / column_tasks < 1 << 18 {
            (0..tasks).for_each(run);
        } else {
            (0..tasks).into_par_iter().for_each(run);
        }
        // SAFETY: the tasks cover every row and every panel, and each block writes all of its elements.
        unsafe { out.set_len(rows * self.outputs) };
        out
    }
}

/// Where blocks write; they write disjoint elements.
#[derive(Clone, Copy)]
struct Output(*mut f32);
// SAFETY: blocks of one product write disjoint rows or columns of the allocation, which outlives them.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

/// A block of rows times a range of panels: what one task computes.
struct Block<'a> {
    matrix: &'a PackedMatrix,
    x: &'a [f32],
    fused: &'a Fused<'a>,
    out: Output,
    rows: Range<usize>,
    panels: Range<usize>,
}

impl WithSimd for Block<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.run::<S, TILE_ROWS_WIDE>(simd);
        } else {
            self.run::<S, TILE_ROWS_NARROW>(simd);
        }
    }
}

impl Block<'_> {
    #[inline(always)]
    fn run<S: Simd, const MR: usize>(self, simd: S) {
        let depth = self.matrix.inputs;
        let outputs = self.matrix.outputs;
        let width = S::F32_LANES * TILE_VECTORS;
        let tiles = self.rows.len().div_ceil(MR);
        let passes = depth.div_ceil(MAX_PASS_DEPTH).max(1);
        let pass_depth = depth.div_ceil(passes);
        let mut packed = vec![0.0_f32; tiles * MR * pass_depth];
        // Plain loops: what a closure holds is compiled without the vector instructions of its surroundings.
        let mut statistics = Vec::new();
        if let Some(eps) = self.fused.normalize {
            statistics.reserve(self.rows.len());
            for row in self.rows.clone() {
                statistics.push(row_statistics(simd, &self.x[row * depth..][..depth], eps));
            }
        }
        let statistics = self.fused.normalize.is_some().then_some(statistics.as_slice());
        // Sums of earlier passes; only products deeper than one pass need it.
        let mut partial = vec![
            0.0_f32;
            if passes > 1 {
                tiles * MR * self.panels.len() * width
            } else {
                0
            }
        ];
        let mut tile = [0.0_f32; MAX_TILE];
        for pass in 0..passes {
            let first = pass * pass_depth;
            let pass_depth = pass_depth.min(depth - first);
            self.pack::<S, MR>(simd, first, pass_depth, statistics, &mut packed);
            for (p, panel) in self.panels.clone().enumerate() {
                let b = &self.matrix.panels[(panel * depth + first) * width..][..pass_depth * width];
                for t in 0..tiles {
                    let a = &packed[t * MR * pass_depth..][..MR * pass_depth];
                    let sums = if passes > 1 {
                        &mut partial[(p * tiles + t) * MR * width..][..MR * width]
                    } else {
                        &mut tile[..MR * width]
                    };
                    let row = self.rows.start + t * MR;
                    let rows = MR.min(self.rows.end - row);
                    let columns = width.min(outputs - panel * width);
                    let is_last = pass + 1 == passes;
                    if is_last {
                        self.prefetch(row..row + rows, panel * width, columns);
                    }
                    register_tile::<S, MR, TILE_VECTORS>(simd, a, b, sums, pass > 0);
                    if is_last {
                        self.finish(simd, &sums[..rows * width], row, panel * width, columns);
                    }
                }
            }
        }
    }

    /// Starts fetching what [`Block::finish`] will read and write of a tile.
    #[inline(always)]
    fn prefetch(&self, rows: Range<usize>, column: usize, columns: usize) {
        for row in rows {
            let at = row * self.matrix.outputs + column;
            prefetch(self.out.0.wrapping_add(at), columns);
            if let Some(residual) = self.fused.residual {
                prefetch(residual[at..].as_ptr(), columns);
            }
        }
    }

    /// Packs rows `self.rows`, columns `first .. first + pass_depth`, as `[tile][depth][MR]`, normalising on the way.
    #[inline(always)]
    fn pack<S: Simd, const MR: usize>(
        &self,
        _simd: S,
        first: usize,
        pass_depth: usize,
        statistics: Option<&[(f32, f32)]>,
        packed: &mut [f32],
    ) {
        let depth = self.matrix.inputs;
        for (t, tile) in packed
            .chunks_exact_mut(MR * pass_depth)
            .take(self.rows.len().div_ceil(MR))
            .enumerate()
        {
            let row = self.rows.start + t * MR;
            if row + MR <= self.rows.end {
                let rows: [&[f32]; MR] =
                    std::array::from_fn(|r| &self.x[(row + r) * depth + first..][..pass_depth]);
                let (shift, scale): ([f32; MR], [f32; MR]) = match statistics {
                    Some(s) => (
                        std::array::from_fn(|r| s[t * MR + r].0),
                        std::array::from_fn(|r| s[t * MR + r].1),
                    ),
                    None => ([0.0; MR], [1.0; MR]),
                };
                for row in &rows {
                    prefetch(row.as_ptr().wrapping_add(MR * depth), pass_depth);
                }
                transpose_into::<MR>(&rows, &shift, &scale, statistics.is_some(), tile);
            } else {
                for r in 0..MR {
                    if row + r < self.rows.end {
                        let (mean, scale) = statistics.map_or((0.0, 1.0), |s| s[t * MR + r]);
                        let source = &self.x[(row + r) * depth + first..][..pass_depth];
                        for (k, value) in source.iter().enumerate() {
                            tile[k * MR + r] = (value - mean) * scale;
                        }
                    } else {
                        tile.iter_mut().skip(r).step_by(MR).for_each(|v| *v = 0.0);
                    }
                }
            }
        }
    }

    /// Bias, activation and residual for a finished tile whose rows are `width` apart, then the store.
    #[inline(always)]
    fn finish<S: Simd>(&self, simd: S, sums: &[f32], row: usize, column: usize, columns: usize) {
        let outputs = self.matrix.outputs;
        let width = S::F32_LANES * TILE_VECTORS;
        let fused = self.fused;
        for (r, sums) in sums.chunks_exact(width).enumerate() {
            let at = (row + r) * outputs + column;
            // SAFETY: row < rows and column + columns <= outputs, so the slice lies in the allocation of
            // rows x outputs; no other block writes these elements.
            let out = unsafe { std::slice::from_raw_parts_mut(self.out.0.add(at), columns) };
            let bias = fused.bias.map(|b| &b[column..column + columns]);
            let row_bias = fused.row_bias.map(|b| {
                let period = b.len() / outputs;
                &b[((row + r) % period) * outputs + column..][..columns]
            });
            let residual = fused.residual.map(|b| &b[at..at + columns]);
            let (vectors, tail) = S::as_mut_simd_f32s(out);
            let sums = S::as_simd_f32s(sums).0;
            let (bias_v, row_bias_v, residual_v) = (
                bias.map(S::as_simd_f32s),
                row_bias.map(S::as_simd_f32s),
                residual.map(S::as_simd_f32s),
            );
            for (j, vector) in vectors.iter_mut().enumerate() {
                let mut v = sums[j];
                if let Some(b) = bias_v {
                    v = simd.add_f32s(v, b.0[j]);
                }
                if let Some(b) = row_bias_v {
                    v = simd.add_f32s(v, b.0[j]);
                }
                v = simd::activate(simd, v, fused.activation);
                if let Some(b) = residual_v {
                    v = simd.add_f32s(v, b.0[j]);
                }
                *vector = v;
            }
            if !tail.is_empty() {
                let mut value = sums[vectors.len()];
                if let Some(b) = bias_v {
                    value = simd.add_f32s(value, simd.partial_load_f32s(b.1));
                }
                if let Some(b) = row_bias_v {
                    value = simd.add_f32s(value, simd.partial_load_f32s(b.1));
                }
                value = simd::activate(simd, value, fused.activation);
                if let Some(b) = residual_v {
                    value = simd.add_f32s(value, simd.partial_load_f32s(b.1));
                }
                simd.partial_store_f32s(tail, value);
            }
        }
    }
}

/// Mean and reciprocal standard deviation of a row, in two passes as PyTorch's accuracy needs.
#[inline(always)]
pub(super) fn row_statistics<S: Simd>(simd: S, row: &[f32], eps: f32) -> (f32, f32) {
    let (vectors, tail) = S::as_simd_f32s(row);
    let mut sum = simd.splat_f32s(0.0);
    for v in vectors {
        sum = simd.add_f32s(sum, *v);
    }
    let n = row.len() as f32;
    let mean = (simd.reduce_sum_f32s(sum) + tail.iter().sum::<f32>()) / n;
    let means = simd.splat_f32s(mean);
    let mut squares = simd.splat_f32s(0.0);
    for v in vectors {
        let d = simd.sub_f32s(*v, means);
        squares = simd.mul_add_f32s(d, d, squares);
    }
    let mut squares = simd.reduce_sum_f32s(squares);
    for v in tail {
        squares += (v - mean) * (v - mean);
    }
    let variance = squares / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

/// Writes `rows` transposed: element `(k, r)` of the tile is `rows[r][k]`, normalised if asked.
#[inline(always)]
fn transpose_into<const MR: usize>(
    rows: &[&[f32]; MR],
    shift: &[f32; MR],
    scale: &[f32; MR],
    normalize: bool,
    tile: &mut [f32],
) {
    const BLOCK: usize = 16;
    let depth = rows[0].len();
    let blocks = depth / BLOCK;
    for block in 0..blocks {
        let mut values = [[0.0_f32; BLOCK]; MR];
        for r in 0..MR {
            values[r].copy_from_slice(&rows[r][block * BLOCK..][..BLOCK]);
            if normalize {
                for value in &mut values[r] {
                    *value = (*value - shift[r]) * scale[r];
                }
            }
        }
        let out = &mut tile[block * BLOCK * MR..][..BLOCK * MR];
        for k in 0..BLOCK {
            for r in 0..MR {
                out[k * MR + r] = values[r][k];
            }
        }
    }
    for k in blocks * BLOCK..depth {
        for r in 0..MR {
            tile[k * MR + r] = if normalize {
                (rows[r][k] - shift[r]) * scale[r]
            } else {
                rows[r][k]
            };
        }
    }
}

/// The register kernel: `sums[MR][NV * lanes] (+)= a[depth][MR] x b[depth][NV * lanes]`.
#[inline(always)]
pub(super) fn register_tile<S: Simd, const MR: usize, const NV: usize>(
    simd: S,
    a: &[f32],
    b: &[f32],
    sums: &mut [f32],
    accumulate: bool,
) {
    let lanes = S::F32_LANES;
    let depth = a.len() / MR;
    assert!(
        b.len() >= depth * NV * lanes && sums.len() >= MR * NV * lanes,
        "tile operands are too short"
    );
    let mut acc = [[simd.splat_f32s(0.0); NV]; MR];
    // SAFETY: the assertion above bounds every access; `f32s` is a plain array of f32 that needs no more than an
    // unaligned load.
    unsafe {
        if accumulate {
            for (i, row) in acc.iter_mut().enumerate() {
                for (j, value) in row.iter_mut().enumerate() {
                    *value = sums
                        .as_ptr()
                        .add((i * NV + j) * lanes)
                        .cast::<S::f32s>()
                        .read_unaligned();
                }
            }
        }
        let (mut pa, mut pb) = (a.as_ptr(), b.as_ptr());
        for _ in 0..depth {
            let mut columns = [simd.splat_f32s(0.0); NV];
            for (j, column) in columns.iter_mut().enumerate() {
                *column = pb.add(j * lanes).cast::<S::f32s>().read_unaligned();
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                let value = simd.splat_f32s(*pa.add(i));
                for j in 0..NV {
                    acc[j] = simd.mul_add_f32s(value, columns[j], acc[j]);
                }
            }
            pa = pa.add(MR);
            pb = pb.add(NV * lanes);
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                sums.as_mut_ptr()
                    .add((i * NV + j) * lanes)
                    .cast::<S::f32s>()
                    .write_unaligned(*value);
            }
        }
    }
}
