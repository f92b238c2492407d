//! `samtok encode`: masks of an image become mask words.

use std::io::Write;
use std::path::PathBuf;

use anyhow::ensure;
use serde_json::{Value, json};

use super::inputs::{self, InputMask};
use super::stages::{Stage, Stages};
use super::table::Table;
use super::{ExitCode, GlobalArgs};
use crate::image_file;
use crate::mask::{Mask, metrics};
use crate::tokenizer::{DecodedMask, EmbeddedImage, EncodedMask, MaskTokenizer};
use crate::words::MaskCodes;

/// Masks that are in work at once, so that memory does not grow with the number of masks.
const BATCH: usize = 16;
/// More pairs than this take minutes per mask and gain nothing.
const MAX_CANDIDATES: usize = 1024;

/// Turn masks of an image into mask words
#[derive(Debug, clap::Args)]
pub(super) struct EncodeArgs {
    /// The image: JPEG, PNG, WebP, BMP or TIFF
    image: PathBuf,
    /// Mask files of the image's size, white on black
    #[arg(long = "mask", value_name = "PNG", required = true, num_args = 1..)]
    masks: Vec<PathBuf>,
    #[command(flatten)]
    search: SearchArgs,
}

/// How codes are chosen.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct SearchArgs {
    /// Try the K nearest codes at every depth and keep those whose decoded mask fits best [default: the nearest]
    #[arg(long, value_name = "K")]
    searched: Option<usize>,
}

impl SearchArgs {
    /// Rows tried at every depth, if codes are searched for.
    pub(super) fn width(self) -> Option<usize> {
        self.searched
    }

    /// Refuses a search that would not end.
    pub(super) fn check(self, codebook_depth: usize) -> anyhow::Result<()> {
        let Some(width) = self.searched else { return Ok(()) };
        let candidates = u32::try_from(codebook_depth)
            .ok()
            .and_then(|depth| width.checked_pow(depth));
        ensure!(
            width > 0 && candidates.is_some_and(|candidates| candidates <= MAX_CANDIDATES),
            "--searched {width} asks for {width}^{codebook_depth} decoded masks per mask, it must be 1 to {MAX_CANDIDATES}; \
             give a number such as 4"
        );
        Ok(())
    }
}

/// A mask in words, and how well the words give it back.
pub(super) struct TokenizedMask {
    pub(super) codes: MaskCodes,
    pub(super) words: String,
    pub(super) iou: f64,
}

/// Encodes masks and decodes them again to see what is left of them.
pub(super) fn tokenize(
    tokenizer: &MaskTokenizer,
    image: &EmbeddedImage,
    masks: &[&Mask],
    search: SearchArgs,
    stages: &mut Stages,
) -> anyhow::Result<Vec<TokenizedMask>> {
    let mut tokenized = Vec::with_capacity(masks.len());
    for masks in masks.chunks(BATCH) {
        let (encoded, decoded): (Vec<EncodedMask>, Vec<DecodedMask>) = match search.searched {
            Some(width) => stages
                .time(Stage::MaskEncode, || {
                    tokenizer.encode_searched(image, masks, width)
                })?
                .into_iter()
                .unzip(),
            None => {
                let encoded = stages.time(Stage::MaskEncode, || tokenizer.encode(image, masks))?;
                let codes: Vec<MaskCodes> = encoded.iter().map(|mask| mask.codes.clone()).collect();
                let decoded = stages.time(Stage::MaskDecode, || tokenizer.decode(image, &codes))?;
                (encoded, decoded)
            }
        };
        let ious = stages.time(Stage::MaskDecode, || {
            let pairs = masks.iter().zip(&decoded);
            pairs
                .map(|(mask, decoded)| metrics::iou(mask, &decoded.mask))
                .collect::<Result<Vec<_>, _>>()
        })?;
        tokenized.extend(encoded.into_iter().zip(ious).map(|(encoded, iou)| TokenizedMask {
            words: tokenizer.format().write(&encoded.codes),
            codes: encoded.codes,
            iou,
        }));
    }
    Ok(tokenized)
}

pub(super) fn run(args: &EncodeArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut stages = global.stages();
    let files = global.model_files()?;
    args.search.check(files.config.quantizer.codebook_depth)?;
    let image = stages.time(Stage::ReadImage, || {
        image_file::read_rgb(&args.image, &global.limits())
    })?;
    let size = image.size;
    let (masks, failures) = inputs::read_masks(&args.masks, size, &global.limits());
    let code = ExitCode::of(masks.len(), failures.len());
    if masks.is_empty() && !global.json {
        return Ok(code);
    }
    let tokenizer = global.load(&files, &mut stages)?;
    let tokenized = if masks.is_empty() {
        Vec::new()
    } else {
        let embedded = stages.time(Stage::ImageEncode, || tokenizer.embed_image(&image))?;
        drop(image);
        let masks: Vec<&Mask> = masks.iter().map(|input| &input.mask).collect();
        tokenize(&tokenizer, &embedded, &masks, args.search, &mut stages)?
    };
    if global.json {
        let masks = masks
            .iter()
            .zip(&tokenized)
            .map(|(input, mask)| mask_json(input, mask))
            .collect();
        let mut document = super::image_json(&args.image, size, &tokenizer, masks);
        document["timings_ms"] = stages.to_json();
        inputs::add_failures(&mut document, &failures);
        super::write_json(out, &document)?;
    } else {
        super::write_heading(out, &args.image, size, &tokenizer)?;
        let mut table = Table::new(["mask", "area", "box", "iou", "words"]);
        for (input, mask) in masks.iter().zip(&tokenized) {
            table.add([
                input.path.display().to_string(),
                input.mask.area().to_string(),
                super::bbox_text(input.mask.bounding_box()),
                format!("{:.3}", mask.iou),
                mask.words.clone(),
            ]);
        }
        table.write(out)?;
    }
    Ok(code)
}

fn mask_json(input: &InputMask, tokenized: &TokenizedMask) -> Value {
    json!({
        "file": input.path.display().to_string(),
        "words": tokenized.words,
        "codes": tokenized.codes.as_slice(),
        "area": input.mask.area(),
        "bbox": super::bbox_json(input.mask.bounding_box()),
        "iou": super::rounded(tokenized.iou),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_without_end_are_refused() {
        for (searched, depth, is_fine) in [
            (None, 32, true),
            (Some(32), 2, true),
            (Some(33), 2, false),
            (Some(0), 2, false),
            (Some(2), 32, false),
            (Some(usize::MAX), 32, false),
        ] {
            assert_eq!(
                SearchArgs { searched }.check(depth).is_ok(),
                is_fine,
                "{searched:?} {depth}"
            );
        }
    }
}
