//! `samtok segment`: clicks or a box become a mask file and its mask words.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{bail, ensure};
use serde_json::{Value, json};

use super::encode::{self, SearchArgs, TokenizedMask};
use super::inputs::{self, Failure};
use super::output_files::{self, Overwriting};
use super::stages::Stage;
use super::table::Table;
use super::{ExitCode, GlobalArgs};
use crate::geometry::{ImagePoint, ImageRect, ImageSize};
use crate::image_file;
use crate::mask::Mask;
use crate::tokenizer::weights::Checkpoint;
use crate::tokenizer::{DecodedMask, ModelFiles, Prompt};

/// Turn clicks or a box into a mask file and its mask words
///
/// One click can mean several things: of the three candidates the one with the highest predicted IoU is written, or
/// all of them with --all.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("prompt").required(true).multiple(true))]
pub(super) struct SegmentArgs {
    /// The image: JPEG, PNG, WebP, BMP or TIFF
    image: PathBuf,
    /// A click on the object in pixels of the upright image, or beside it with ",-" at the end
    #[arg(
        long = "point",
        value_name = "X,Y[,-]",
        group = "prompt",
        allow_hyphen_values = true
    )]
    points: Vec<Click>,
    /// A box around the object, in pixels of the upright image
    #[arg(
        long = "box",
        value_name = "X0,Y0,X1,Y1",
        group = "prompt",
        allow_hyphen_values = true
    )]
    rect: Option<Corners>,
    /// Write all candidates, best first, as FILE1.png and so on
    #[arg(long)]
    all: bool,
    /// The mask file [default: IMAGE.segment.png in the current folder]
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// A base SAM 2.1 checkpoint of the same size, whose heads answer clicks better than a mask tokenizer's
    #[arg(long, value_name = "PATH")]
    prompt_model: Option<PathBuf>,
    #[command(flatten)]
    search: SearchArgs,
    #[command(flatten)]
    overwriting: Overwriting,
}

/// `X,Y`, with `,-` for a click beside the object.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Click {
    at: ImagePoint,
    is_inside: bool,
}

impl FromStr for Click {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected X,Y or X,Y,- such as 320,200";
        let (numbers, is_inside) = match text.strip_suffix(",-") {
            Some(numbers) => (numbers, false),
            None => (text.strip_suffix(",+").unwrap_or(text), true),
        };
        let [x, y] = numbers_of(numbers).ok_or(expected)?;
        Ok(Self {
            at: ImagePoint::new(x, y),
            is_inside,
        })
    }
}

/// `X0,Y0,X1,Y1`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Corners(ImageRect);

impl FromStr for Corners {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let [x0, y0, x1, y1] = numbers_of(text).ok_or("expected X0,Y0,X1,Y1 such as 100,80,420,300")?;
        Ok(Self(ImageRect { x0, y0, x1, y1 }))
    }
}

/// Exactly `COUNT` finite numbers separated by commas.
fn numbers_of<const COUNT: usize>(text: &str) -> Option<[f32; COUNT]> {
    let numbers = text.split(',').map(|number| number.trim().parse().ok());
    let numbers: Vec<f32> = numbers.collect::<Option<_>>()?;
    numbers
        .try_into()
        .ok()
        .filter(|n: &[f32; COUNT]| n.iter().all(|n| n.is_finite()))
}

/// A candidate that was written.
struct Segment {
    file: PathBuf,
    mask: Mask,
    predicted_iou: f32,
    tokenized: TokenizedMask,
}

pub(super) fn run(args: &SegmentArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut stages = global.stages();
    let files = global.model_files()?;
    args.search.check(files.config.quantizer.codebook_depth)?;
    let target = target(args)?;
    let image = stages.time(Stage::ReadImage, || {
        image_file::read_rgb(&args.image, &global.limits())
    })?;
    let size = image.size;
    let prompt = prompt(args, size)?;
    let mut tokenizer = global.load(&files, &mut stages)?;
    if let Some(path) = &args.prompt_model {
        let base = base_checkpoint(path)?;
        stages.time(Stage::Load, || tokenizer.load_prompt_heads(&base))?;
    }
    let embedded = stages.time(Stage::ImageEncode, || tokenizer.embed_image(&image))?;
    drop(image);
    let mut candidates = stages.time(Stage::MaskDecode, || tokenizer.segment(&embedded, &prompt))?;
    candidates.retain(|candidate| !candidate.mask.is_empty());
    candidates.sort_by(|a, b| b.predicted_iou.total_cmp(&a.predicted_iou));
    if !args.all {
        candidates.truncate(1);
    }
    if candidates.is_empty() {
        bail!("no object was found there; move the point or the box, or give a point more");
    }
    let outputs: Vec<PathBuf> = match candidates.len() {
        1 if !args.all => vec![target],
        count => (1..=count)
            .map(|number| output_files::numbered(&target, number))
            .collect(),
    };
    for path in &outputs {
        args.overwriting.check(path)?;
    }
    let masks: Vec<&Mask> = candidates.iter().map(|candidate| &candidate.mask).collect();
    let tokenized = encode::tokenize(&tokenizer, &embedded, &masks, args.search, &mut stages)?;
    let (segments, failures) = write(outputs, candidates, tokenized);
    if global.json {
        let masks = segments.iter().map(segment_json).collect();
        let mut document = super::image_json(&args.image, size, &tokenizer, masks);
        document["timings_ms"] = stages.to_json();
        inputs::add_failures(&mut document, &failures);
        super::write_json(out, &document)?;
    } else {
        super::write_heading(out, &args.image, size, &tokenizer)?;
        let mut table = Table::new(["mask", "area", "box", "predicted iou", "words iou", "words"]);
        for segment in &segments {
            table.add([
                segment.file.display().to_string(),
                segment.mask.area().to_string(),
                super::bbox_text(segment.mask.bounding_box()),
                format!("{:.3}", segment.predicted_iou),
                format!("{:.3}", segment.tokenized.iou),
                segment.tokenized.words.clone(),
            ]);
        }
        table.write(out)?;
    }
    Ok(ExitCode::of(segments.len(), failures.len()))
}

/// The file to write, or the one whose numbered siblings to write.
fn target(args: &SegmentArgs) -> anyhow::Result<PathBuf> {
    let path = match &args.out {
        Some(path) => path.clone(),
        None => output_files::named_after(&args.image, ".segment.png").into(),
    };
    ensure!(
        path.extension()
            .is_some_and(|suffix| suffix.eq_ignore_ascii_case("png")),
        "masks are written as PNG; give --out a name that ends with .png: {}",
        path.display()
    );
    // With --all the names are only known once the candidates are.
    if !args.all {
        args.overwriting.check(&path)?;
    }
    Ok(path)
}

fn prompt(args: &SegmentArgs, size: ImageSize) -> anyhow::Result<Prompt> {
    let (width, height) = (size.width as f32, size.height as f32);
    for Click { at, .. } in &args.points {
        ensure!(
            (0.0..width).contains(&at.x) && (0.0..height).contains(&at.y),
            "the point {},{} lies outside the image of {size} pixels; give pixels of the upright image",
            at.x,
            at.y
        );
    }
    // Boxes of detectors often reach a little beyond the image.
    let rect = args.rect.map(|Corners(rect)| ImageRect {
        x0: rect.x0.max(0.0),
        y0: rect.y0.max(0.0),
        x1: rect.x1.min(width),
        y1: rect.y1.min(height),
    });
    if let Some(rect) = rect {
        ensure!(
            rect.x0 < rect.x1 && rect.y0 < rect.y1,
            "the box is empty or lies outside the image of {size} pixels; give the top-left corner, then the bottom-right one"
        );
    }
    ensure!(
        rect.is_some() || args.points.iter().any(|click| click.is_inside),
        "every point is beside the object; give at least one point on it, or a box"
    );
    let mut prompt = Prompt {
        points: args
            .points
            .iter()
            .map(|click| (click.at, click.is_inside))
            .collect(),
        rect,
        ..Prompt::default()
    };
    prompt.multimask = args.all || prompt.is_ambiguous();
    Ok(prompt)
}

/// The checkpoint at `path`, a weights file or a folder with one.
fn base_checkpoint(path: &Path) -> anyhow::Result<Checkpoint> {
    Ok(if path.is_dir() {
        ModelFiles::open(path)?.checkpoint
    } else {
        Checkpoint::open(path)?
    })
}

fn write(
    outputs: Vec<PathBuf>,
    candidates: Vec<DecodedMask>,
    tokenized: Vec<TokenizedMask>,
) -> (Vec<Segment>, Vec<Failure>) {
    let (mut segments, mut failures) = (Vec::new(), Vec::new());
    for ((file, candidate), tokenized) in outputs.into_iter().zip(candidates).zip(tokenized) {
        match image_file::write_mask_png(&file, &candidate.mask) {
            Ok(()) => segments.push(Segment {
                file,
                mask: candidate.mask,
                predicted_iou: candidate.predicted_iou,
                tokenized,
            }),
            Err(error) => failures.push(Failure::report(&file, &error.into())),
        }
    }
    (segments, failures)
}

fn segment_json(segment: &Segment) -> Value {
    json!({
        "file": segment.file.display().to_string(),
        "words": segment.tokenized.words,
        "codes": segment.tokenized.codes.as_slice(),
        "area": segment.mask.area(),
        "bbox": super::bbox_json(segment.mask.bounding_box()),
        "predicted_iou": super::rounded(segment.predicted_iou.into()),
        "iou": super::rounded(segment.tokenized.iou),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clicks_and_boxes_are_read() {
        let click = |x, y, is_inside| {
            Ok(Click {
                at: ImagePoint::new(x, y),
                is_inside,
            })
        };
        assert_eq!("3,4".parse(), click(3.0, 4.0, true));
        assert_eq!(" 3.5 , 4,-".parse(), click(3.5, 4.0, false));
        assert_eq!("-3,4,+".parse(), click(-3.0, 4.0, true));
        for bad in [
            "", "3", "3,4,5", "3,4,", "a,b", "3;4", "nan,1", "inf,1", "3,4,-,-",
        ] {
            assert!(bad.parse::<Click>().is_err(), "{bad}");
        }
        assert!("1,2,3,4".parse::<Corners>().is_ok());
        for bad in ["1,2,3", "1,2,3,4,5", "1,2,3,-"] {
            assert!(bad.parse::<Corners>().is_err(), "{bad}");
        }
    }
}
