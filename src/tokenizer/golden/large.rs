//! Parity on the full Hiera-L network with generated weights: a gigabyte and a minute, so it runs on request.
//!
//! `SAMTOK_GOLDEN_LARGE=FOLDER cargo test --release large -- --nocapture`, where FOLDER holds the golden
//! `cases.safetensors`, `cases.json` and `config.json` of the large model.

use super::*;
use crate::tokenizer::parameters::{Parameters, Scope};
use crate::tokenizer::quantizer::ResidualQuantizer;
use crate::tokenizer::sam2::mask_decoder::{Candidates, best_masks};
use crate::tokenizer::weights::{FingerprintBuilder, generate};
use crate::tokenizer::{Config, EmbeddedImage, MaskTokenizer, Network, Result, preprocess};
use crate::words::WordFormat;

const SWITCH: &str = "SAMTOK_GOLDEN_LARGE";
/// Codes are compared where the runner-up is at least this much farther away.
const MARGIN: f32 = 0.05;

/// Weights by the generator's rule, with the golden codebooks.
struct Generated<'a>(&'a Golden);

impl Parameters for Generated<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let values = if self.0.has(name) {
            self.0.f32(name)
        } else {
            generate::tensor(name, shape)
        };
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    fn device(&self) -> &Device {
        &Device::Cpu
    }

    fn frozen(&self) -> bool {
        true
    }
}

/// Every (numel / 4096)-th element, as the golden samples take them.
fn sample(values: &[f32]) -> Vec<f32> {
    values
        .iter()
        .step_by(values.len() / 4096)
        .take(4096)
        .copied()
        .collect()
}

fn norm(values: &[f32]) -> f32 {
    values
        .iter()
        .map(|v| f64::from(*v) * f64::from(*v))
        .sum::<f64>()
        .sqrt() as f32
}

/// The largest error of each kind of tensor seen so far.
#[derive(Default)]
struct Worst(std::collections::BTreeMap<String, f32>);

impl Worst {
    fn check(&mut self, kind: &str, ours: &[f32], golden: &[f32]) {
        let error = relative_error(ours, golden);
        let worst = self.0.entry(kind.to_owned()).or_default();
        *worst = worst.max(error);
        assert!(error <= 1e-3, "{kind}: relative error {error:e}");
    }
}

#[test]
fn hiera_l_matches_the_reference() {
    let Some(folder) = std::env::var_os(SWITCH).map(PathBuf::from) else {
        eprintln!("SKIPPED: parity of the large network; set {SWITCH} to its golden folder to run it");
        return;
    };
    let golden = Golden::open(folder.join("cases.safetensors"));
    let config = Config::from_json(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let source = Generated(&golden);
    let root = Scope::root(&source);
    let tokenizer = MaskTokenizer {
        format: WordFormat::PUBLISHED,
        fingerprint: FingerprintBuilder::new(b"golden").finish(),
        device: Device::Cpu,
        network: Network::new(&root, &config).unwrap(),
        quantizer: ResidualQuantizer::new(&root.child("quantizer"), &config.quantizer).unwrap(),
        prompt_heads: None,
        config,
    };
    let mut worst = Worst::default();
    for i in 0..2 {
        let image = golden.image(i);
        let patches = preprocess::image_patches(&image, &tokenizer.config, &Device::Cpu).unwrap();
        let stages = tokenizer.network.image_encoder.trunk.forward(&patches).unwrap();
        for (s, stage) in stages.iter().enumerate() {
            let values = channels_first(stage);
            let name = format!("image{i}.trunk.stage{s}");
            worst.check(
                &format!("trunk.stage{s}"),
                &sample(&values),
                &golden.f32(&format!("{name}.sample")),
            );
            worst.check(
                &format!("trunk.stage{s}.norm"),
                &[norm(&values)],
                &golden.f32(&format!("{name}.norm")),
            );
        }
        let levels = tokenizer.network.image_encoder.neck.forward(&stages).unwrap();
        let embedded: EmbeddedImage = tokenizer.embed_image(&image).unwrap();
        let (grid, dim) = (tokenizer.config.grid(), tokenizer.config.neck.d_model);
        let maps = &embedded.high_resolution;
        let feat0 = maps
            .stride4
            .reshape(vec![1, grid, grid, 2, 2, 2, 2, dim / 8])
            .unwrap();
        let feat0 = feat0.permute(vec![0, 7, 1, 3, 5, 2, 4, 6]).unwrap();
        let feat1 = maps.stride8.reshape(vec![1, grid, grid, 2, 2, dim / 4]).unwrap();
        let feat1 = feat1.permute(vec![0, 5, 1, 3, 2, 4]).unwrap();
        let feat2 = levels[2].permute((0, 3, 1, 2)).unwrap();
        for (f, feat) in [feat0, feat1, feat2].iter().enumerate() {
            let values = feat.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            worst.check(
                &format!("feat{f}"),
                &sample(&values),
                &golden.f32(&format!("image{i}.feat{f}.sample")),
            );
            worst.check(
                &format!("feat{f}.norm"),
                &[norm(&values)],
                &golden.f32(&format!("image{i}.feat{f}.norm")),
            );
        }
        let masks: Vec<Mask> = (0..8)
            .map(|k| golden.mask(&format!("image{i}.mask{k}"), image.size))
            .collect();
        let encoded = tokenizer
            .encode(&embedded, &masks.iter().collect::<Vec<_>>())
            .unwrap();
        let (codes, margins) = (
            golden.i64(&format!("image{i}.codes")),
            golden.f32(&format!("image{i}.code_margin")),
        );
        let mut compared = 0;
        for (k, mask) in encoded.iter().enumerate() {
            worst.check(
                "embed",
                &mask.embedding,
                &golden.f32(&format!("image{i}.mask{k}.embed")),
            );
            for d in (0..2).take_while(|d| margins[2 * k + d] > MARGIN) {
                assert_eq!(
                    mask.codes.get(d).map(i64::from),
                    Some(codes[2 * k + d]),
                    "image {i} mask {k} depth {d}"
                );
                compared += 1;
            }
        }
        assert!(compared > 0, "at least one code has a clear margin");
        eprintln!("image {i}: {compared} of 16 codes have a clear margin and are equal");
        let rows = |k: usize| {
            tokenizer
                .quantizer
                .embed([Some(codes[2 * k] as u32), Some(codes[2 * k + 1] as u32)])
        };
        let predictions = tokenizer
            .decode_batch(&embedded, (0..8).map(rows).collect(), Candidates::Three)
            .unwrap();
        let best = best_masks(&predictions.ious).unwrap();
        for (k, best) in best.into_iter().enumerate() {
            let ours = predictions.logits.get(k).unwrap().get(best).unwrap();
            let ours = ours.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            worst.check(
                "decode.best",
                &ours,
                &golden.f32(&format!("image{i}.decode{k}.best")),
            );
        }
    }
    for (kind, error) in &worst.0 {
        eprintln!("{kind}: largest relative error {error:.1e}");
    }
}
