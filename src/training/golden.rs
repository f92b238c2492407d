//! One training step against the published implementation's numbers: losses, predictions, codes, every gradient's
//! norm, whole gradients, and the codebooks afterwards.

use super::codebook::Restart;
use super::samples::{MaskSample, Sample};
use super::{Objective, Trainer, TrainingOptions};
use crate::geometry::ImageSize;
use crate::image_file::{RgbImage, resize};
use crate::mask::Mask;
use crate::scenes::random::Rng;
use crate::tokenizer::{ModelFiles, preprocess};
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest difference as a share of the tensor's largest value.
const TOLERANCE: f32 = 1e-4;
const MASKS: usize = 3;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/golden_tiny")
        .join(name)
}

struct Golden(HashMap<String, Tensor>);

impl Golden {
    fn open(name: &str) -> Self {
        Self(candle_core::safetensors::load(data(name), &Device::Cpu).unwrap())
    }

    fn f32(&self, name: &str) -> Vec<f32> {
        let tensor = self.0[name].to_dtype(DType::F32).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn u8(&self, name: &str) -> Vec<u8> {
        self.0[name].flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Image 0 with its first masks as a step takes them.
    fn sample(&self, trainer: &Trainer) -> Sample {
        let config = &trainer.options.config;
        let (height, width, _) = self.0["image0.rgb"].dims3().unwrap();
        let image = RgbImage {
            size: ImageSize::new(width as u32, height as u32),
            pixels: self.u8("image0.rgb"),
        };
        let side = config.image_size as u32;
        let resized = resize::bicubic_rgb(&image, ImageSize::new(side, side));
        let masks = (0..MASKS).map(|k| {
            let mask = Mask::from_bytes(image.size, &self.u8(&format!("image0.mask{k}"))).unwrap();
            MaskSample::new(&mask, config, &mut Rng::new(0)).unwrap()
        });
        Sample {
            pixels: preprocess::normalised(&resized),
            masks: masks.collect(),
        }
    }
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn check(name: &str, ours: &[f32], golden: &[f32]) {
    assert_eq!(ours.len(), golden.len(), "{name}");
    let largest = golden.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
    let worst = ours
        .iter()
        .zip(golden)
        .fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
    let error = worst / largest.max(1e-6);
    assert!(error <= TOLERANCE, "{name}: relative error {error:e}");
}

#[test]
fn a_step_of_the_published_objective_matches_the_reference() {
    let files = ModelFiles::open(&data("")).unwrap();
    let options = TrainingOptions {
        config: files.config.clone(),
        objective: Objective::Published,
        freeze_trunk: false,
        seed: 1,
        steps: 1,
        images: 1,
        masks: MASKS,
        small_masks: 1.0,
        data: None,
        learning_rate: 4e-5,
        codebook_start: None,
        out: PathBuf::new(),
        checkpoint_every: Duration::MAX,
        checkpoint_steps: None,
        resume: false,
        init: Some(data("")),
    };
    let mut trainer = Trainer::new(options, Device::Cpu).unwrap();
    assert!(trainer.codebooks.started, "the model's codebooks are taken over");
    // As the golden step was computed: restarts off, every code as if chosen four times a step.
    trainer.codebooks.restart = Restart::Count(0.0);
    for book in &mut trainer.codebooks.books {
        book.settle(4.0);
    }
    let golden = Golden::open("train_step.safetensors");
    let sample = Golden::open("cases.safetensors").sample(&trainer);
    let masks: Vec<&MaskSample> = sample.masks.iter().collect();
    let step = trainer.reproduce(std::slice::from_ref(&sample), &masks).unwrap();

    let quantized = step.codes.quantized.as_ref().unwrap();
    let codes: Vec<i64> = (0..MASKS)
        .flat_map(|mask| quantized.codes.iter().map(move |codes| i64::from(codes[mask])))
        .collect();
    assert_eq!(
        codes,
        golden.0["codes"].flatten_all().unwrap().to_vec1::<i64>().unwrap()
    );
    check("pred", &values(&step.logits), &golden.f32("pred"));
    let total = step.total().unwrap();
    for (name, ours) in [
        ("loss_mask", &step.loss.bce),
        ("loss_dice", &step.loss.dice),
        ("loss_commit", &step.codes.commitment),
        ("loss", &total),
    ] {
        check(name, &values(ours), &golden.f32(name));
    }

    let grads = total.backward().unwrap();
    let trained = trainer.variables.trained();
    let norms: Vec<&str> = golden
        .0
        .keys()
        .filter_map(|name| name.strip_prefix("grad_norm."))
        .collect();
    let mut expected: Vec<&str> = norms.clone();
    expected.sort_unstable();
    let ours: Vec<&str> = trained.keys().map(String::as_str).collect();
    assert_eq!(ours, expected, "the same weights are trained");
    let largest = norms
        .iter()
        .map(|name| golden.f32(&format!("grad_norm.{name}"))[0])
        .fold(0.0, f32::max);
    for name in norms {
        let norm = grads.get(&trained[name]).map_or(0.0, |grad| {
            values(grad)
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>()
                .sqrt() as f32
        });
        let wanted = golden.f32(&format!("grad_norm.{name}"))[0];
        // Gradients that cancel out, as those of key biases do, are rounding.
        let error = (norm - wanted).abs() / wanted.max(1e-5 * largest);
        assert!(error < 1e-3, "{name}: gradient norm {norm}, reference {wanted}");
        if golden.0.contains_key(&format!("grad.{name}")) {
            let grad = values(grads.get(&trained[name]).unwrap());
            check(name, &grad, &golden.f32(&format!("grad.{name}")));
        }
    }

    let quantized = step.codes.quantized.unwrap();
    trainer.codebooks.update(&quantized, &mut Rng::new(0));
    for (depth, book) in trainer.codebooks.books.iter().enumerate() {
        let after = |kind: &str| golden.f32(&format!("after.codebooks.{depth}.{kind}"));
        let rows = book.table.rows();
        check("weight", rows, &after("weight")[..rows.len()]);
        check(
            "cluster_size_ema",
            &book.cluster_size_ema,
            &after("cluster_size_ema"),
        );
        check("embed_ema", &book.embed_ema, &after("embed_ema"));
    }
}
