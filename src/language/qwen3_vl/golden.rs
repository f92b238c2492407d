//! Parity with the published implementation on a small random model: every tensor, and the answers.

use super::config::Config;
use super::folder::ModelFolder;
use super::layout::Weights;
use super::matrix::Placement;
use super::network::{Network, Segment};
use super::picture::{Grid, Picture, prepare};
use super::precision::Precision;
use super::prompt::{self, Item};
use super::rotary::{Stretch, positions};
use super::vocabulary::Vocabulary;
use crate::geometry::ImageSize;
use crate::image_file::RgbImage;
use crate::language::{ChatRequest, ChatRole, Message, Part};
use candle_core::{DType, Device, Tensor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden_qwen3vl_tiny")
}

const QUESTIONS: [&str; 2] = [
    "Please segment the red car in this image.",
    "Describe the region <|mt_start|><|mt_0023|><|mt_0311|><|mt_end|> in detail.",
];

/// One case of the reference.
pub(super) struct Case {
    pub(super) image: Arc<RgbImage>,
    picture: Picture,
    tokens: Vec<u32>,
    positions: Vec<Vec<u32>>,
    pub(super) generated: Vec<u32>,
    tensors: HashMap<String, Tensor>,
    pub(super) question: &'static str,
}

impl Case {
    pub(super) fn all() -> Vec<Self> {
        let tensors =
            candle_core::safetensors::load(folder().join("cases.safetensors"), &Device::Cpu).unwrap();
        (0..2).map(|index| Self::new(&tensors, index)).collect()
    }

    fn new(all: &HashMap<String, Tensor>, index: usize) -> Self {
        let prefix = format!("case{index}.");
        let tensors: HashMap<String, Tensor> = all
            .iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?.to_owned(), tensor.clone())))
            .collect();
        let integers = |name: &str| -> Vec<u32> {
            let values = tensors[name].flatten_all().unwrap().to_vec1::<i64>().unwrap();
            values.into_iter().map(|value| value as u32).collect()
        };
        let (height, width, _) = tensors["rgb"].dims3().unwrap();
        let image = RgbImage {
            size: ImageSize::new(width as u32, height as u32),
            pixels: tensors["rgb"].flatten_all().unwrap().to_vec1().unwrap(),
        };
        let grid = integers("grid_thw");
        assert_eq!(grid[0], 1);
        // Stored as levels of 0 to 255, one of the two equal frames.
        let levels = tensors["pixel_levels"]
            .flatten_all()
            .unwrap()
            .to_vec1::<u8>()
            .unwrap();
        let values = levels
            .chunks_exact(256)
            .flat_map(|plane| plane.iter().chain(plane))
            .map(|level| (f32::from(*level) - 127.5) / 127.5)
            .collect();
        let positions = integers("position_ids");
        Self {
            image: Arc::new(image),
            picture: Picture {
                grid: Grid {
                    rows: grid[1] as usize,
                    columns: grid[2] as usize,
                },
                values,
            },
            tokens: integers("input_ids"),
            positions: positions
                .chunks(positions.len() / 3)
                .map(<[u32]>::to_vec)
                .collect(),
            generated: integers("generated"),
            tensors,
            question: QUESTIONS[index],
        }
    }

    pub(super) fn request(&self) -> ChatRequest {
        let parts = vec![
            Part::Image(Arc::clone(&self.image)),
            Part::Text(self.question.to_owned()),
        ];
        ChatRequest {
            messages: vec![Message {
                role: ChatRole::User,
                parts,
            }],
            ..ChatRequest::default()
        }
    }
}

struct Model {
    config: Config,
    files: ModelFolder,
    network: Network,
}

fn load(placement: &Placement, precision: Precision) -> Model {
    let files = ModelFolder::open(&folder()).unwrap();
    let weights = Weights::open(&files.shards, &files.path, &files.config).unwrap();
    Model {
        config: files.config.clone(),
        network: Network::load(&files.config, &weights, placement, precision, &mut |_, _| {}).unwrap(),
        files,
    }
}

/// Largest difference, as a share of the largest expected value.
fn difference(found: &Tensor, expected: &Tensor) -> f32 {
    let values = |tensor: &Tensor| {
        tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.flatten_all())
            .and_then(|tensor| tensor.to_vec1::<f32>())
            .unwrap()
    };
    let (found, expected) = (values(found), values(expected));
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let difference = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    let most = difference.fold(
        0.0_f32,
        |most, value| if value.is_nan() { f32::NAN } else { most.max(value) },
    );
    most / largest
}

/// What is compared, and how far each may be off.
struct Tolerance {
    vision: f32,
    scores: f32,
    tokens: bool,
}

/// Compares everything a network computes; returns the largest differences of the vision tower and of the scores.
fn compare(model: &Model, tolerance: &Tolerance) -> (f32, f32) {
    let (mut worst_vision, mut worst_scores) = (0.0_f32, 0.0_f32);
    for case in Case::all() {
        let segment = model
            .network
            .see(case.picture.clone(), &|| false)
            .unwrap()
            .unwrap();
        let Segment::Image { seen, .. } = &segment else {
            panic!("an image was looked at")
        };
        for (name, found) in [
            ("image_embeds", &seen.embeddings),
            ("deepstack0", &seen.deepstack[0]),
            ("deepstack1", &seen.deepstack[1]),
        ] {
            let off = difference(found, &case.tensors[name]);
            assert!(off <= tolerance.vision, "{name}: {off}");
            worst_vision = worst_vision.max(off);
        }

        let start = case
            .tokens
            .iter()
            .position(|t| *t == model.config.image_token)
            .unwrap();
        let end = case
            .tokens
            .iter()
            .rposition(|t| *t == model.config.image_token)
            .unwrap()
            + 1;
        let prompt = |answer: &[u32]| {
            [
                Segment::Text(case.tokens[..start].to_vec()),
                segment.clone(),
                Segment::Text([&case.tokens[end..], answer].concat()),
            ]
        };
        let scores_of = |hidden: &Tensor| model.network.text.scores(hidden).unwrap();
        let best = |hidden: &Tensor| {
            let scores = scores_of(&hidden.narrow(0, hidden.dim(0).unwrap() - 1, 1).unwrap());
            scores
                .flatten_all()
                .unwrap()
                .argmax(0)
                .unwrap()
                .to_scalar::<u32>()
                .unwrap()
        };

        // With the cache.
        let mut cache = model.network.text.cache();
        let ran = model.network.run_prompt(&prompt(&[]), 24, &mut cache, &|| false);
        let (hidden, mut position) = ran.unwrap().unwrap();
        let off = difference(&scores_of(&hidden), &case.tensors["logits_tail"]);
        assert!(off <= tolerance.scores, "logits_tail: {off}");
        worst_scores = worst_scores.max(off);
        if !tolerance.tokens {
            continue;
        }
        let mut found = vec![best(&hidden)];
        while found.len() < case.generated.len() {
            let token = *found.last().unwrap();
            let ran = model.network.run_token(token, position, &mut cache, &|| false);
            found.push(best(&ran.unwrap().unwrap()));
            position += 1;
        }
        assert_eq!(found, case.generated, "with the cache");

        // Without it: every token from the beginning.
        let mut found = Vec::new();
        while found.len() < case.generated.len() {
            let mut cache = model.network.text.cache();
            let ran = model
                .network
                .run_prompt(&prompt(&found), 1, &mut cache, &|| false);
            found.push(best(&ran.unwrap().unwrap().0));
        }
        assert_eq!(found, case.generated, "without the cache");
    }
    (worst_vision, worst_scores)
}

#[test]
fn pixels_tokens_and_positions_are_those_of_the_reference() {
    let files = ModelFolder::open(&folder()).unwrap();
    let vocabulary = Vocabulary::open(&files.tokenizer()).unwrap();
    let merge = files.config.vision.merge;
    assert_eq!(vocabulary.mask_words, 512);
    for case in Case::all() {
        let picture = prepare(&case.image, &files.config.vision, &files.preprocessor).unwrap();
        assert_eq!(picture.grid, case.picture.grid);
        // The reference resizes with torchvision, whose weights have fewer digits than Pillow's: some levels are one off.
        let off = |a: &f32, b: &f32| ((a - b).abs() * 127.5).round() as u32;
        let levels = picture
            .values
            .iter()
            .zip(&case.picture.values)
            .map(|(a, b)| off(a, b));
        assert!(levels.clone().all(|level| level <= 1));
        let share = levels.filter(|level| *level > 0).count() as f64 / picture.values.len() as f64;
        assert!(share < 0.005, "{share} of the values differ");

        let mut tokens = Vec::new();
        let mut stretches = Vec::new();
        for item in prompt::write(&case.request(), &vocabulary).unwrap() {
            match item {
                Item::Tokens(text) => {
                    stretches.push(Stretch::Text(text.len()));
                    tokens.extend(text);
                }
                Item::Image(_) => {
                    stretches.push(Stretch::Image(picture.grid));
                    let count = tokens.len() + picture.grid.tokens(merge);
                    tokens.resize(count, files.config.image_token);
                }
            }
        }
        assert_eq!(tokens, case.tokens);
        let (found, _) = positions(&stretches, merge);
        for (axis, expected) in case.positions.iter().enumerate() {
            let found: Vec<u32> = found.iter().map(|position| position[axis]).collect();
            assert_eq!(&found, expected, "axis {axis}");
        }
    }
}

#[test]
fn f32_is_the_reference() {
    let placement = Placement::new(&Device::Cpu, Precision::F32);
    let tolerance = Tolerance {
        vision: 2e-5,
        scores: 2e-5,
        tokens: true,
    };
    let off = compare(&load(&placement, Precision::F32), &tolerance);
    eprintln!("f32, our kernels: {off:?}");
}

#[test]
fn candles_own_operations_are_the_reference_too() {
    let mut placement = Placement::new(&Device::Cpu, Precision::F32);
    placement.fused = false;
    let tolerance = Tolerance {
        vision: 2e-5,
        scores: 2e-5,
        tokens: true,
    };
    let off = compare(&load(&placement, Precision::F32), &tolerance);
    eprintln!("f32, candle: {off:?}");
}

#[test]
fn smaller_weights_stay_close() {
    for (precision, limit) in [
        (Precision::F16, 2e-3),
        (Precision::Bf16, 2e-2),
        (Precision::Q8_0, 3e-2),
    ] {
        let placement = Placement::new(&Device::Cpu, precision);
        let tolerance = Tolerance {
            vision: 2e-2,
            scores: limit,
            tokens: false,
        };
        let off = compare(&load(&placement, precision), &tolerance);
        eprintln!("{precision}, our kernels: {off:?}");
    }
}

#[test]
fn the_reference_pixels_make_the_same_answer_as_ours() {
    let model = load(&Placement::new(&Device::Cpu, Precision::F32), Precision::F32);
    for case in Case::all() {
        let ours = prepare(&case.image, &model.config.vision, &model.files.preprocessor).unwrap();
        let see = |picture| match model.network.see(picture, &|| false).unwrap().unwrap() {
            Segment::Image { seen, .. } => seen.embeddings,
            Segment::Text(_) => panic!("an image was looked at"),
        };
        let off = difference(&see(ours), &see(case.picture));
        assert!(off < 5e-3, "{off}");
    }
}
