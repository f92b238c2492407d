//! Parity with the published reference implementation, stage by stage.
//!
//! The numbers were computed with the reference in PyTorch, float32, CPU. The tiny model runs both bodies of the
//! layers, the fused CPU kernels and the differentiable tensor operations; the large one runs with a switch.

mod large;
mod tiny;

use crate::geometry::ImageSize;
use crate::image_file::RgbImage;
use crate::mask::Mask;
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::path::PathBuf;

/// The golden data allow `max |a - b| <= 1e-3 * max |b|`; ours are far below it.
const TOLERANCE: f32 = 2e-5;

/// The golden tensors of one file.
struct Golden(HashMap<String, Tensor>);

impl Golden {
    fn open(path: PathBuf) -> Self {
        Self(candle_core::safetensors::load(path, &Device::Cpu).unwrap())
    }

    fn tensor(&self, name: &str) -> &Tensor {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("no golden tensor {name}"))
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        self.tensor(name)
            .to_dtype(DType::F32)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()
    }

    fn u8(&self, name: &str) -> Vec<u8> {
        self.tensor(name).flatten_all().unwrap().to_vec1().unwrap()
    }

    fn i64(&self, name: &str) -> Vec<i64> {
        self.tensor(name).flatten_all().unwrap().to_vec1().unwrap()
    }

    fn image(&self, index: usize) -> RgbImage {
        let (height, width, _) = self.tensor(&format!("image{index}.rgb")).dims3().unwrap();
        RgbImage {
            size: ImageSize::new(width as u32, height as u32),
            pixels: self.u8(&format!("image{index}.rgb")),
        }
    }

    /// A mask stored as bytes, or as packed bits, high bit first.
    fn mask(&self, name: &str, size: ImageSize) -> Mask {
        let bytes = self.u8(name);
        if bytes.len() as u64 == size.area() {
            return Mask::from_bytes(size, &bytes).unwrap();
        }
        Mask::from_fn(size, |x, y| {
            let bit = (y * size.width + x) as usize;
            bytes[bit / 8] >> (7 - bit % 8) & 1 == 1
        })
        .unwrap()
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// `max |ours - golden| / max |golden|`.
fn relative_error(ours: &[f32], golden: &[f32]) -> f32 {
    assert_eq!(ours.len(), golden.len(), "lengths differ");
    let largest = golden.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let difference = ours
        .iter()
        .zip(golden)
        .fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
    difference / largest.max(1e-6)
}

fn check(name: &str, ours: &[f32], golden: &[f32]) {
    let error = relative_error(ours, golden);
    assert!(error <= TOLERANCE, "{name}: relative error {error:e}");
}

/// Channels-last tokens to the reference's channels-first map.
fn channels_first(x: &Tensor) -> Vec<f32> {
    x.permute((0, 3, 1, 2))
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}
