//! A weight matrix in the form that its device multiplies fastest, and the products with it.

use super::error::Result;
use super::panels::{Level, PANEL, Panel, Panels, TILE};
use super::precision::{BLOCK, Precision};
use crate::tokenizer::ops::{Activation, Fused, PackedMatrix, with_values};
use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{DType, Device, Module as _, Tensor};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Panels that are turned into f32 at once for products with many rows: few enough to stay in cache.
const EXPANDED_PANELS: usize = 16;

/// `outputs x inputs` weights with their bias.
#[derive(Debug)]
pub(super) struct Matrix {
    body: Body,
    outputs: usize,
    inputs: usize,
}

#[derive(Debug)]
enum Body {
    /// f32 on a CPU.
    Packed {
        weight: PackedMatrix,
        bias: Option<Vec<f32>>,
    },
    /// Anything smaller on a CPU.
    Panels { weight: Panels, bias: Option<Vec<f32>> },
    /// As it is, for GPUs.
    Plain { weight: Tensor, bias: Option<Tensor> },
    /// Quantized, for GPUs.
    Quantized { weight: QMatMul, bias: Option<Tensor> },
}

/// Where matrices live and in what form.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    pub(super) device: Device,
    /// Type of activations.
    pub(super) dtype: DType,
    /// Whether the CPU kernels are used; otherwise candle's, as on GPUs.
    pub(super) fused: bool,
}

impl Placement {
    /// The best form for a device and a precision of weights.
    pub(super) fn new(device: &Device, precision: Precision) -> Self {
        let fused = device.is_cpu();
        let dtype = match precision {
            _ if fused => DType::F32,
            Precision::F32 => DType::F32,
            Precision::F16 => DType::F16,
            Precision::Bf16 | Precision::Q8_0 | Precision::Q4K => DType::BF16,
        };
        Self {
            device: device.clone(),
            dtype,
            fused,
        }
    }

    /// Values as a tensor in the type of activations.
    pub(super) fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        // Converted before it is copied to the device, so that it is there only once.
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?
            .to_dtype(self.dtype)?
            .to_device(&self.device)?)
    }
}

impl Matrix {
    /// Takes `weight`, row-major `outputs x inputs`.
    pub(super) fn new(
        placement: &Placement,
        precision: Precision,
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
        outputs: usize,
        inputs: usize,
    ) -> Result<Self> {
        let device_bias =
            |bias: Option<Vec<f32>>| bias.map(|bias| placement.tensor(bias, &[outputs])).transpose();
        let body = if placement.fused {
            match precision {
                Precision::F32 => Body::Packed {
                    weight: PackedMatrix::new(&weight, outputs, inputs),
                    bias,
                },
                _ => Body::Panels {
                    weight: Panels::new(&weight, outputs, inputs, precision)?,
                    bias,
                },
            }
        } else if precision.is_quantized() {
            let dtype = match precision {
                Precision::Q4K => GgmlDType::Q4K,
                _ => GgmlDType::Q8_0,
            };
            let weight = Tensor::from_vec(weight, (outputs, inputs), &Device::Cpu)?;
            let weight = QTensor::quantize_onto(&weight, dtype, &placement.device)?;
            Body::Quantized {
                weight: QMatMul::from_qtensor(weight)?,
                bias: device_bias(bias)?,
            }
        } else {
            Body::Plain {
                weight: placement.tensor(weight, &[outputs, inputs])?,
                bias: device_bias(bias)?,
            }
        };
        Ok(Self {
            body,
            outputs,
            inputs,
        })
    }

    /// `rows x inputs` to `rows x outputs`.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, Activation::Identity, None)
    }

    /// `rows x inputs` to `rows x outputs`, then the activation, then `residual` added.
    pub(super) fn apply(
        &self,
        x: &Tensor,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        let rows = x.dim(0)?;
        match &self.body {
            Body::Packed { weight, bias } => {
                let product = |x: &[f32], residual: Option<&[f32]>| {
                    if rows == 1 {
                        let mut out = packed_by_vector(weight, self.outputs, x);
                        finish(&mut out, bias.as_deref(), activation, residual);
                        return out;
                    }
                    let fused = Fused {
                        bias: bias.as_deref(),
                        activation,
                        residual,
                        ..Fused::NONE
                    };
                    weight.multiply(x, rows, &fused)
                };
                self.on_values(x, residual, product)
            }
            Body::Panels { weight, bias } => {
                let product = |x: &[f32], residual: Option<&[f32]>| {
                    if rows == 1 {
                        let mut out = panels_by_vector(weight, x);
                        finish(&mut out, bias.as_deref(), activation, residual);
                        return out;
                    }
                    panels_by_rows(weight, x, rows, bias.as_deref(), activation, residual)
                };
                self.on_values(x, residual, product)
            }
            Body::Plain { weight, bias } => around(x.matmul(&weight.t()?)?, bias, activation, residual),
            Body::Quantized { weight, bias } => {
                let product = weight.forward(&x.to_dtype(DType::F32)?.contiguous()?)?;
                around(product.to_dtype(x.dtype())?, bias, activation, residual)
            }
        }
    }

    fn on_values(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        product: impl FnOnce(&[f32], Option<&[f32]>) -> Vec<f32>,
    ) -> Result<Tensor> {
        let (rows, inputs) = x.dims2()?;
        if inputs != self.inputs {
            return Err(candle_core::Error::Msg(format!(
                "a matrix of {} inputs was given {inputs}",
                self.inputs
            ))
            .into());
        }
        let out = match residual {
            Some(residual) => with_values(x, |x| {
                with_values(residual, |residual| product(x, Some(residual)))
            })??,
            None => with_values(x, |x| product(x, None))?,
        };
        Ok(Tensor::from_vec(out, (rows, self.outputs), x.device())?)
    }

    /// The weights of some outputs, `rows.len() x inputs`: what a table of embeddings is asked for.
    pub(super) fn rows(&self, rows: &[u32], placement: &Placement) -> Result<Tensor> {
        let gather = |row: &(dyn Fn(usize, &mut [f32]) + Sync)| {
            let mut out = vec![0.0; rows.len() * self.inputs];
            out.par_chunks_exact_mut(self.inputs)
                .zip(rows)
                .for_each(|(out, index)| row(*index as usize, out));
            placement.tensor(out, &[rows.len(), self.inputs])
        };
        match &self.body {
            Body::Packed { weight, .. } => {
                let width = PackedMatrix::panel_width();
                gather(&|index, out| {
                    let panel = &weight.panels()[index / width * width * self.inputs..];
                    for (value, weight) in out
                        .iter_mut()
                        .zip(panel.iter().skip(index % width).step_by(width))
                    {
                        *value = *weight;
                    }
                })
            }
            Body::Panels { weight, .. } => gather(&|index, out| weight.row(index, out)),
            Body::Plain { weight, .. } => {
                let rows = Tensor::new(rows, weight.device())?;
                Ok(weight.index_select(&rows, 0)?)
            }
            Body::Quantized { weight, .. } => {
                let table = match weight {
                    QMatMul::QTensor(quantized) => quantized.dequantize(&placement.device)?,
                    QMatMul::Tensor(tensor) | QMatMul::TensorF16(tensor) => tensor.clone(),
                };
                let rows = Tensor::new(rows, table.device())?;
                Ok(table.index_select(&rows, 0)?.to_dtype(placement.dtype)?)
            }
        }
    }
}

/// Bias, activation and residual as tensor operations.
fn around(
    product: Tensor,
    bias: &Option<Tensor>,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    let product = match bias {
        Some(bias) => product.broadcast_add(bias)?,
        None => product,
    };
    let product = match activation {
        Activation::Gelu => product.gelu_erf()?,
        other => other.forward(&product)?,
    };
    Ok(match residual {
        Some(residual) => (product + residual)?,
        None => product,
    })
}

/// Bias, activation and residual of a single row.
fn finish(out: &mut [f32], bias: Option<&[f32]>, activation: Activation, residual: Option<&[f32]>) {
    if let Some(bias) = bias {
        add(out, bias);
    }
    activation.apply(out);
    if let Some(residual) = residual {
        add(out, residual);
    }
}

fn add(out: &mut [f32], other: &[f32]) {
    for (out, other) in out.iter_mut().zip(other) {
        *out += other;
    }
}

/// How many panels a task takes: enough tasks to balance threads, few enough that starting them costs nothing.
fn panels_per_task(panels: usize) -> usize {
    panels.div_ceil(4 * rayon::current_num_threads()).max(1)
}

/// An f32 matrix times one vector.
fn packed_by_vector(weight: &PackedMatrix, outputs: usize, x: &[f32]) -> Vec<f32> {
    let width = PackedMatrix::panel_width();
    let mut out = vec![0.0; outputs];
    let arch = Arch::new();
    out.par_chunks_mut(width)
        .zip(weight.panels().par_chunks_exact(width * x.len()))
        .with_min_len(panels_per_task(outputs.div_ceil(width)))
        .for_each(|(out, panel)| arch.dispatch(PackedDot { x, panel, out }));
    out
}

/// A smaller matrix times one vector.
fn panels_by_vector(weight: &Panels, x: &[f32]) -> Vec<f32> {
    let mut out = vec![0.0; weight.outputs];
    let arch = Arch::new();
    // Padded, so that the last block is as long as the others; its weights there are zero.
    let mut padded = x.to_vec();
    padded.resize(weight.inputs.next_multiple_of(BLOCK), 0.0);
    let x = padded.as_slice();
    out.par_chunks_mut(PANEL)
        .enumerate()
        .with_min_len(panels_per_task(weight.count()))
        .for_each(|(index, out)| {
            if let Some(panel) = weight.panel(index) {
                arch.dispatch(PanelDot { x, panel, out });
            }
        });
    out
}

/// A smaller matrix times many rows: some panels at a time are turned into f32 and multiplied.
fn panels_by_rows(
    weight: &Panels,
    x: &[f32],
    rows: usize,
    bias: Option<&[f32]>,
    activation: Activation,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let (outputs, inputs) = (weight.outputs, weight.inputs);
    let width = PackedMatrix::panel_width();
    let arch = Arch::new();
    let mut out = vec![0.0; rows * outputs];
    for first in (0..weight.count()).step_by(EXPANDED_PANELS) {
        let column = first * PANEL;
        let columns = (EXPANDED_PANELS * PANEL).min(outputs - column);
        let mut expanded = vec![0.0; columns.div_ceil(width) * width * inputs];
        expanded
            .par_chunks_mut(PANEL * inputs)
            .enumerate()
            .for_each(|(index, out)| {
                if let Some(panel) = weight.panel(first + index) {
                    arch.dispatch(Expand {
                        panel,
                        inputs,
                        width,
                        out,
                    });
                }
            });
        let fused = Fused {
            bias: bias.map(|bias| &bias[column..column + columns]),
            activation,
            ..Fused::NONE
        };
        let product = PackedMatrix::from_panels(expanded, columns, inputs).multiply(x, rows, &fused);
        out.par_chunks_exact_mut(outputs)
            .zip(product.par_chunks_exact(columns))
            .for_each(|(out, product)| out[column..column + columns].copy_from_slice(product));
    }
    if let Some(residual) = residual {
        out.par_chunks_mut(1 << 14)
            .zip(residual.par_chunks(1 << 14))
            .for_each(|(out, residual)| add(out, residual));
    }
    out
}

/// One panel in f32 in the layout of [`PackedMatrix`], whose panels are a whole fraction as wide.
struct Expand<'a> {
    panel: &'a Panel,
    inputs: usize,
    width: usize,
    out: &'a mut [f32],
}

impl WithSimd for Expand<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let mut tile = [0.0; TILE];
        for (block, first) in (0..self.inputs).step_by(BLOCK).enumerate() {
            self.panel.values(block, &mut tile);
            let count = BLOCK.min(self.inputs - first);
            for (part, out) in self.out.chunks_exact_mut(self.width * self.inputs).enumerate() {
                let out = &mut out[first * self.width..][..count * self.width];
                for (out, row) in out.chunks_exact_mut(self.width).zip(tile.chunks_exact(PANEL)) {
                    out.copy_from_slice(&row[part * self.width..][..self.width]);
                }
            }
        }
    }
}

/// The outputs of one f32 panel.
struct PackedDot<'a> {
    x: &'a [f32],
    panel: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for PackedDot<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A panel is three vectors wide on every machine.
        let mut sums = [simd.splat_f32s(0.0); 3];
        accumulate::<S, 3>(simd, self.x, S::as_simd_f32s(self.panel).0, &mut sums);
        store::<S>(simd, &sums, self.out);
    }
}

/// The outputs of one smaller panel.
struct PanelDot<'a> {
    x: &'a [f32],
    panel: &'a Panel,
    out: &'a mut [f32],
}

impl WithSimd for PanelDot<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 3>(simd),
            8 => self.run::<S, 6>(simd),
            4 => self.run::<S, 12>(simd),
            2 => self.run::<S, 24>(simd),
            _ => self.run::<S, 48>(simd),
        }
    }
}

impl PanelDot<'_> {
    #[inline(always)]
    fn run<S: Simd, const N: usize>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        let mut sums = [zero; N];
        match self.panel {
            Panel::Bf16(values) => {
                let rows = values.as_chunks::<PANEL>().0;
                let part = sum_rows::<S, N, _>(simd, self.x, rows);
                return store::<S>(simd, &part, self.out);
            }
            Panel::Q8 { values, .. } => {
                let blocks = values.as_chunks::<PANEL>().0.chunks_exact(BLOCK);
                for (block, (x, rows)) in self.x.chunks_exact(BLOCK).zip(blocks).enumerate() {
                    let part = sum_rows::<S, N, _>(simd, x, rows);
                    if let Some((scale, _)) = self.panel.scales(block) {
                        let scale = S::as_simd_f32s(&scale).0;
                        for j in 0..N {
                            sums[j] = simd.mul_add_f32s(part[j], scale[j], sums[j]);
                        }
                    }
                }
                return store::<S>(simd, &sums, self.out);
            }
            Panel::F16(_) | Panel::Q4 { .. } => {}
        }
        let mut tile = [0.0; TILE];
        for (block, x) in self.x.chunks_exact(BLOCK).enumerate() {
            self.panel.levels(block, &mut tile);
            let levels = S::as_simd_f32s(&tile).0;
            match self.panel.scales(block) {
                None => accumulate::<S, N>(simd, x, levels, &mut sums),
                Some((scale, minimum)) => {
                    let mut part = [zero; N];
                    accumulate::<S, N>(simd, x, levels, &mut part);
                    let scale = S::as_simd_f32s(&scale).0;
                    for j in 0..N {
                        sums[j] = simd.mul_add_f32s(part[j], scale[j], sums[j]);
                    }
                    if let Some(minimum) = minimum {
                        let x_sum = simd.splat_f32s(-x.iter().sum::<f32>());
                        let minimum = S::as_simd_f32s(&minimum).0;
                        for j in 0..N {
                            sums[j] = simd.mul_add_f32s(minimum[j], x_sum, sums[j]);
                        }
                    }
                }
            }
        }
        store::<S>(simd, &sums, self.out);
    }
}

/// The sum of `x[k] * rows[k]` over all k, in two chains that do not wait for each other; `x` has an even length.
#[inline(always)]
fn sum_rows<S: Simd, const N: usize, T: Level>(simd: S, x: &[f32], rows: &[[T; PANEL]]) -> [S::f32s; N] {
    let zero = simd.splat_f32s(0.0);
    let (mut sums, mut others) = ([zero; N], [zero; N]);
    for (x, rows) in x.as_chunks::<2>().0.iter().zip(rows.as_chunks::<2>().0) {
        let (first, second) = (simd.splat_f32s(x[0]), simd.splat_f32s(x[1]));
        let (row, next) = (widened::<S, N, T>(&rows[0]), widened::<S, N, T>(&rows[1]));
        for j in 0..N {
            sums[j] = simd.mul_add_f32s(first, row[j], sums[j]);
            others[j] = simd.mul_add_f32s(second, next[j], others[j]);
        }
    }
    for j in 0..N {
        sums[j] = simd.add_f32s(sums[j], others[j]);
    }
    sums
}

/// One row in vectors; small enough that it never leaves the registers.
#[inline(always)]
fn widened<S: Simd, const N: usize, T: Level>(row: &[T; PANEL]) -> [S::f32s; N] {
    let mut wide = [0.0_f32; PANEL];
    for (wide, value) in wide.iter_mut().zip(row) {
        *wide = value.level();
    }
    let vectors = S::as_simd_f32s(&wide).0;
    std::array::from_fn(|j| vectors[j])
}

/// `sums += x[k] * weights[k]` over all k, in two chains that do not wait for each other.
#[inline(always)]
fn accumulate<S: Simd, const N: usize>(simd: S, x: &[f32], weights: &[S::f32s], sums: &mut [S::f32s; N]) {
    let mut others = [simd.splat_f32s(0.0); N];
    let (pairs, rest) = x.as_chunks::<2>();
    let (double_rows, last) = weights.split_at(pairs.len() * 2 * N);
    for (pair, rows) in pairs.iter().zip(double_rows.chunks_exact(2 * N)) {
        let (first, second) = (simd.splat_f32s(pair[0]), simd.splat_f32s(pair[1]));
        for j in 0..N {
            sums[j] = simd.mul_add_f32s(first, rows[j], sums[j]);
            others[j] = simd.mul_add_f32s(second, rows[N + j], others[j]);
        }
    }
    for (value, row) in rest.iter().zip(last.chunks_exact(N)) {
        let value = simd.splat_f32s(*value);
        for j in 0..N {
            sums[j] = simd.mul_add_f32s(value, row[j], sums[j]);
        }
    }
    for j in 0..N {
        sums[j] = simd.add_f32s(sums[j], others[j]);
    }
}

/// Writes the first of the sums; the last panel of a matrix may have fewer outputs.
#[inline(always)]
fn store<S: Simd>(simd: S, sums: &[S::f32s], out: &mut [f32]) {
    let (vectors, tail) = S::as_mut_simd_f32s(out);
    for (vector, sum) in vectors.iter_mut().zip(sums) {
        *vector = *sum;
    }
    if let (false, Some(sum)) = (tail.is_empty(), sums.get(vectors.len())) {
        simd.partial_store_f32s(tail, *sum);
    }
}
