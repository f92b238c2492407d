//! Weights on a CPU in fewer bits than f32, laid out so that one pass over them in memory order does the work.
//!
//! Generating text reads every weight once per token, so its speed is that of the memory; the fewer bytes, the faster.
//! Rows of a matrix are grouped into panels of 48 and stored input by input, so that a panel's outputs lie side by side
//! in vector registers and no sums run across lanes. 48 is a whole number of vectors on every machine.

use super::precision::{BLOCK, Precision, SUPER_BLOCK};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use half::slice::HalfFloatSliceExt as _;
use half::{bf16, f16};
use rayon::prelude::*;

/// Outputs of a panel.
pub(super) const PANEL: usize = 48;
/// Values of a panel over one block of inputs.
pub(super) const TILE: usize = BLOCK * PANEL;
/// Bytes of a Q8_0 block: a scale in f16 and 32 signed bytes.
const Q8_BLOCK_BYTES: usize = 2 + BLOCK;
/// Bytes of a Q4_K block: two scales in f16, 12 bytes of 6-bit scales, 256 nibbles.
const Q4_BLOCK_BYTES: usize = 4 + 12 + SUPER_BLOCK / 2;
const SUB_BLOCKS: usize = SUPER_BLOCK / BLOCK;

/// The weights of some outputs over some inputs, padded with zeros to whole panels and blocks.
#[derive(Debug)]
pub(super) struct Panels {
    pub(super) outputs: usize,
    pub(super) inputs: usize,
    /// One after another, each of [`PANEL`] outputs.
    panels: Vec<Panel>,
}

/// The values of a panel, `[input][output]`.
#[derive(Debug)]
pub(super) enum Panel {
    Bf16(Vec<bf16>),
    F16(Vec<f16>),
    /// Bytes times a scale per block and output.
    Q8 {
        values: Vec<i8>,
        scales: Vec<f16>,
    },
    /// Nibbles times a scale, less a minimum; both are 6-bit numbers times a scale per super-block and output.
    Q4 {
        /// `[block][16][output]`: inputs 0 to 15 of the block in the low nibbles, 16 to 31 in the high ones.
        nibbles: Vec<u8>,
        /// `[block][scale or minimum][output]`.
        steps: Vec<u8>,
        /// `[super-block][scale or minimum][output]`.
        scales: Vec<f16>,
    },
}

/// A stored value that becomes f32 by itself, before any scale.
pub(super) trait Level: Copy {
    fn level(self) -> f32;
}

impl Level for i8 {
    #[inline(always)]
    fn level(self) -> f32 {
        f32::from(self)
    }
}

impl Level for bf16 {
    #[inline(always)]
    fn level(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

impl Panels {
    /// Rounds or quantizes `weight`, row-major `outputs x inputs`; `inputs` must fill the blocks of `precision`.
    pub(super) fn new(
        weight: &[f32],
        outputs: usize,
        inputs: usize,
        precision: Precision,
    ) -> candle_core::Result<Self> {
        debug_assert_eq!(weight.len(), outputs * inputs, "weight must be outputs x inputs");
        let panels = weight
            .par_chunks(PANEL * inputs)
            .map(|rows| Panel::new(rows, inputs, precision))
            .collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Self {
            outputs,
            inputs,
            panels,
        })
    }

    pub(super) fn panel(&self, index: usize) -> Option<&Panel> {
        self.panels.get(index)
    }

    pub(super) fn count(&self) -> usize {
        self.panels.len()
    }

    /// The weights of one output.
    pub(super) fn row(&self, output: usize, out: &mut [f32]) {
        let mut tile = [0.0; TILE];
        if let Some(panel) = self.panels.get(output / PANEL) {
            for (block, out) in out.chunks_mut(BLOCK).enumerate() {
                panel.values(block, &mut tile);
                for (value, weights) in out.iter_mut().zip(tile.chunks_exact(PANEL)) {
                    *value = weights[output % PANEL];
                }
            }
        }
    }
}

impl Panel {
    /// Up to [`PANEL`] rows of weights.
    fn new(rows: &[f32], inputs: usize, precision: Precision) -> candle_core::Result<Self> {
        let padded = inputs.next_multiple_of(BLOCK);
        Ok(match precision {
            Precision::F16 => Self::F16(transposed(rows, inputs, padded, f16::from_f32)),
            Precision::F32 | Precision::Bf16 => Self::Bf16(transposed(rows, inputs, padded, bf16::from_f32)),
            Precision::Q8_0 => Self::q8(&quantized(rows, inputs, GgmlDType::Q8_0)?, inputs),
            Precision::Q4K => Self::q4(&quantized(rows, inputs, GgmlDType::Q4K)?, inputs),
        })
    }

    fn q8(bytes: &[u8], inputs: usize) -> Self {
        let blocks = inputs / BLOCK;
        let mut values = vec![0_i8; inputs * PANEL];
        let mut scales = vec![f16::ZERO; blocks * PANEL];
        for (index, block) in bytes.chunks_exact(Q8_BLOCK_BYTES).enumerate() {
            let (column, block_index) = (index / blocks, index % blocks);
            let (scale, levels) = block.split_at(2);
            scales[block_index * PANEL + column] = half_at(scale, 0);
            for (k, level) in levels.iter().enumerate() {
                values[(block_index * BLOCK + k) * PANEL + column] = level.cast_signed();
            }
        }
        Self::Q8 { values, scales }
    }

    fn q4(bytes: &[u8], inputs: usize) -> Self {
        let supers = inputs / SUPER_BLOCK;
        let blocks = inputs / BLOCK;
        let mut nibbles = vec![0_u8; inputs / 2 * PANEL];
        let mut steps = vec![0_u8; blocks * 2 * PANEL];
        let mut scales = vec![f16::ZERO; supers * 2 * PANEL];
        for (index, block) in bytes.chunks_exact(Q4_BLOCK_BYTES).enumerate() {
            let (column, super_index) = (index / supers, index % supers);
            for part in 0..2 {
                scales[(super_index * 2 + part) * PANEL + column] = half_at(block, part * 2);
            }
            let (packed, levels) = block[4..].split_at(12);
            for sub in 0..SUB_BLOCKS {
                let block_index = super_index * SUB_BLOCKS + sub;
                for (part, step) in six_bits(packed, sub).into_iter().enumerate() {
                    steps[(block_index * 2 + part) * PANEL + column] = step;
                }
                // Two sub-blocks share their bytes, one in the low nibbles and one in the high.
                let shared = &levels[sub / 2 * BLOCK..][..BLOCK];
                let level = |k: usize| (shared[k] >> (sub % 2 * 4)) & 15;
                for pair in 0..BLOCK / 2 {
                    nibbles[(block_index * BLOCK / 2 + pair) * PANEL + column] =
                        level(pair) | (level(pair + BLOCK / 2) << 4);
                }
            }
        }
        Self::Q4 {
            nibbles,
            steps,
            scales,
        }
    }

    /// The levels of one block of inputs, `[input][output]`, before [`Self::scales`].
    #[inline(always)]
    pub(super) fn levels(&self, block: usize, out: &mut [f32; TILE]) {
        match self {
            Self::Bf16(values) => {
                for (out, value) in out.iter_mut().zip(&values[block * TILE..][..TILE]) {
                    *out = f32::from_bits(u32::from(value.to_bits()) << 16);
                }
            }
            Self::F16(values) => values[block * TILE..][..TILE].convert_to_f32_slice(out),
            Self::Q8 { values, .. } => {
                for (out, value) in out.iter_mut().zip(&values[block * TILE..][..TILE]) {
                    *out = f32::from(*value);
                }
            }
            Self::Q4 { nibbles, .. } => {
                let (low, high) = out.split_at_mut(TILE / 2);
                let nibbles = &nibbles[block * TILE / 2..][..TILE / 2];
                for ((low, high), byte) in low.iter_mut().zip(high).zip(nibbles) {
                    *low = f32::from(byte & 15);
                    *high = f32::from(byte >> 4);
                }
            }
        }
    }

    /// What multiplies the levels of a block and what is then taken off, per output; `None` for values as they are.
    #[inline(always)]
    pub(super) fn scales(&self, block: usize) -> Option<([f32; PANEL], Option<[f32; PANEL]>)> {
        match self {
            Self::Bf16(_) | Self::F16(_) => None,
            Self::Q8 { scales, .. } => {
                let mut scale = [0.0; PANEL];
                scales[block * PANEL..][..PANEL].convert_to_f32_slice(&mut scale);
                Some((scale, None))
            }
            Self::Q4 { steps, scales, .. } => {
                let mut parts = [[0.0; PANEL]; 2];
                for (part, out) in parts.iter_mut().enumerate() {
                    let scales = &scales[(block / SUB_BLOCKS * 2 + part) * PANEL..][..PANEL];
                    scales.convert_to_f32_slice(out);
                    let steps = &steps[(block * 2 + part) * PANEL..][..PANEL];
                    for (value, step) in out.iter_mut().zip(steps) {
                        *value *= f32::from(*step);
                    }
                }
                let [scale, minimum] = parts;
                Some((scale, Some(minimum)))
            }
        }
    }

    /// The weights of one block of inputs, `[input][output]`.
    #[inline(always)]
    pub(super) fn values(&self, block: usize, out: &mut [f32; TILE]) {
        self.levels(block, out);
        let Some((scale, minimum)) = self.scales(block) else {
            return;
        };
        let minimum = minimum.unwrap_or([0.0; PANEL]);
        for row in out.chunks_exact_mut(PANEL) {
            for ((value, scale), minimum) in row.iter_mut().zip(&scale).zip(&minimum) {
                *value = *value * scale - minimum;
            }
        }
    }
}

/// Rows as `[input][output]`, padded with zeros.
fn transposed<T: Copy + Default>(
    rows: &[f32],
    inputs: usize,
    padded: usize,
    convert: impl Fn(f32) -> T,
) -> Vec<T> {
    let mut out = vec![T::default(); padded * PANEL];
    for (column, row) in rows.chunks_exact(inputs).enumerate() {
        for (value, out) in row.iter().zip(out.iter_mut().skip(column).step_by(PANEL)) {
            *out = convert(*value);
        }
    }
    out
}

/// The bytes of rows quantized by candle, block after block.
fn quantized(rows: &[f32], inputs: usize, dtype: GgmlDType) -> candle_core::Result<Vec<u8>> {
    let rows = Tensor::from_slice(rows, (rows.len() / inputs, inputs), &Device::Cpu)?;
    Ok(QTensor::quantize(&rows, dtype)?.data()?.into_owned())
}

fn half_at(bytes: &[u8], at: usize) -> f16 {
    f16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// Scale and minimum of a sub-block, 6 bits each, from the 12 bytes that hold those of all eight.
fn six_bits(packed: &[u8], sub: usize) -> [u8; 2] {
    if sub < 4 {
        [packed[sub] & 63, packed[sub + 4] & 63]
    } else {
        [
            (packed[sub + 4] & 15) | ((packed[sub - 4] >> 6) << 4),
            (packed[sub + 4] >> 4) | ((packed[sub] >> 6) << 4),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Module as _;
    use candle_core::quantized::QMatMul;

    fn weight(outputs: usize, inputs: usize) -> Vec<f32> {
        (0..outputs * inputs)
            .map(|i| ((i * 7919 % 10_007) as f32 / 5000.0 - 1.0) * (1.0 + (i % 13) as f32 / 7.0))
            .collect()
    }

    #[test]
    fn rows_are_those_that_candle_dequantizes() {
        let (outputs, inputs) = (101, 512);
        let weight = weight(outputs, inputs);
        for (precision, dtype) in [
            (Precision::Q8_0, GgmlDType::Q8_0),
            (Precision::Q4K, GgmlDType::Q4K),
        ] {
            let tensor = Tensor::from_slice(&weight, (outputs, inputs), &Device::Cpu).unwrap();
            let expected = QTensor::quantize(&tensor, dtype).unwrap();
            let expected = QMatMul::from_qtensor(expected).unwrap();
            // Dequantized by asking for the matrix itself.
            let expected = match &expected {
                QMatMul::QTensor(quantized) => quantized.dequantize(&Device::Cpu).unwrap(),
                other => other
                    .forward(&Tensor::eye(inputs, candle_core::DType::F32, &Device::Cpu).unwrap())
                    .unwrap(),
            };
            let expected = expected.to_vec2::<f32>().unwrap();
            let panels = Panels::new(&weight, outputs, inputs, precision).unwrap();
            assert_eq!(panels.count(), 3);
            let mut row = vec![0.0; inputs];
            for (output, expected) in expected.iter().enumerate() {
                panels.row(output, &mut row);
                for (value, expected) in row.iter().zip(expected) {
                    assert!((value - expected).abs() < 1e-5, "{precision} row {output}");
                }
            }
        }
    }

    #[test]
    fn halves_are_rounded_and_padded() {
        let (outputs, inputs) = (50, 40);
        let weight = weight(outputs, inputs);
        for (precision, tolerance) in [(Precision::Bf16, 1.0 / 256.0), (Precision::F16, 1.0 / 2048.0)] {
            let panels = Panels::new(&weight, outputs, inputs, precision).unwrap();
            let mut row = vec![0.0; inputs];
            for output in 0..outputs {
                panels.row(output, &mut row);
                for (value, expected) in row.iter().zip(&weight[output * inputs..]) {
                    assert!(
                        (value - expected).abs() <= expected.abs() * tolerance,
                        "{precision}"
                    );
                }
            }
        }
    }
}
