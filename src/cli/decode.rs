//! `samtok decode`: the mask words of a text become mask files.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::{Value, json};

use super::inputs::{self, Failure};
use super::output_files::{self, OutputFolder, Overwriting};
use super::stages::Stage;
use super::table::Table;
use super::{ExitCode, GlobalArgs, diagnostics, words};
use crate::image_file;
use crate::tokenizer::{Config, DecodedMask};
use crate::words::{FoundMask, MaskCodes, Problem, Refused, WordFormat, parse};

/// Masks that are in work at once, so that memory does not grow with the number of masks.
const BATCH: usize = 16;

/// Turn the mask words of a text into mask files
///
/// Words are found anywhere in the text and mended where that needs no guessing; see `samtok words`.
#[derive(Debug, clap::Args)]
pub(super) struct DecodeArgs {
    /// The image that the words were made for
    image: PathBuf,
    /// A text with mask words, or - to read it from standard input
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    words: String,
    /// Folder for the mask files, IMAGE.mask1.png and so on
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    #[command(flatten)]
    overwriting: Overwriting,
}

/// A mask that was decoded and written.
struct WrittenMask<'a> {
    file: PathBuf,
    found: &'a FoundMask,
    decoded: DecodedMask,
}

pub(super) fn run(args: &DecodeArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut stages = global.stages();
    let files = global.model_files()?;
    let quantizer = files.config.quantizer;
    let format = WordFormat::new(quantizer.codebook_size as u32, quantizer.codebook_depth as u32)?;
    let text = words::text_argument(&args.words)?;
    let (found, refused) = usable(format, &text);
    if found.is_empty() && refused.is_empty() {
        bail!(
            "the text holds no mask words; give words such as {}",
            example(format)
        );
    }
    report(&text, &found, &refused, &files.config, format);
    let outputs: Vec<PathBuf> = (1..=found.len())
        .map(|number| output_files::named_after(&args.image, &format!(".mask{number}.png")))
        .map(|name| args.out.join(name))
        .collect();
    for path in &outputs {
        args.overwriting.check(path)?;
    }
    let image = stages.time(Stage::ReadImage, || {
        image_file::read_rgb(&args.image, &global.limits())
    })?;
    let size = image.size;
    if found.is_empty() && !global.json {
        return Ok(ExitCode::NothingDone);
    }
    let tokenizer = global.load(&files, &mut stages)?;
    let (mut written, mut failures) = (Vec::new(), Vec::new());
    if !found.is_empty() {
        let embedded = stages.time(Stage::ImageEncode, || tokenizer.embed_image(&image))?;
        drop(image);
        let _folder = OutputFolder::open(&args.out)?;
        for (found, paths) in found.chunks(BATCH).zip(outputs.chunks(BATCH)) {
            let codes: Vec<MaskCodes> = found.iter().map(|mask| mask.codes.clone()).collect();
            let decoded = stages.time(Stage::MaskDecode, || tokenizer.decode(&embedded, &codes))?;
            for ((found, file), decoded) in found.iter().zip(paths).zip(decoded) {
                match image_file::write_mask_png(file, &decoded.mask) {
                    Ok(()) => written.push(WrittenMask {
                        file: file.clone(),
                        found,
                        decoded,
                    }),
                    Err(error) => failures.push(Failure::report(file, &error.into())),
                }
            }
        }
    }
    if global.json {
        let masks = written.iter().map(|mask| mask_json(format, mask)).collect();
        let mut document = super::image_json(&args.image, size, &tokenizer, masks);
        document["refused"] = refused
            .iter()
            .map(|refused| words::refused_json(&text, refused))
            .collect();
        document["timings_ms"] = stages.to_json();
        inputs::add_failures(&mut document, &failures);
        super::write_json(out, &document)?;
    } else {
        super::write_heading(out, &args.image, size, &tokenizer)?;
        write_table(out, &written)?;
    }
    Ok(ExitCode::of(written.len(), refused.len() + failures.len()))
}

/// The masks of `text` that may be decoded, and everything that may not.
///
/// A word from outside the codebooks is a sign of another model, whose masks would come out wrong but plausible; so
/// such a mask is refused here, though `samtok words` keeps what is left of it.
fn usable(format: WordFormat, text: &str) -> (Vec<FoundMask>, Vec<Refused>) {
    let parsed = parse(format, text);
    let (mut found, mut refused) = (Vec::new(), parsed.refused);
    for mask in parsed.found {
        let is_foreign = |problem: &Problem| matches!(problem, Problem::OutOfRange { .. });
        match mask.problems.iter().find(|repair| is_foreign(&repair.problem)) {
            Some(repair) => refused.push(Refused {
                range: mask.range,
                problem: repair.problem.clone(),
            }),
            None => found.push(mask),
        }
    }
    refused.sort_by_key(|refused| refused.range.start);
    (found, refused)
}

/// Tells what was mended and what was refused, and in which codebooks the words should have been.
fn report(text: &str, found: &[FoundMask], refused: &[Refused], config: &Config, format: WordFormat) {
    for (index, mask) in found.iter().enumerate() {
        for repair in &mask.problems {
            tracing::warn!("mask {}: {}", index + 1, repair.problem);
        }
    }
    for refused in refused {
        let is_foreign = matches!(
            refused.problem,
            Problem::OutOfRange { .. } | Problem::FirstOutOfRange { .. } | Problem::NoFirstCode
        );
        let advice = if is_foreign {
            format!(
                "; model {} has {} codebooks of {} codes (words like {}), so give the model that made the words with --model",
                config.name,
                format.codebook_depth(),
                format.codebook_size(),
                example(format)
            )
        } else {
            String::new()
        };
        diagnostics::report_text(&format!("{}{advice}", words::refusal(text, refused)));
    }
}

/// The last mask of the codebooks, which shows how far the numbers go.
fn example(format: WordFormat) -> String {
    let last = vec![Some(format.codebook_size() - 1); format.codebook_depth() as usize];
    format
        .partial_codes(last)
        .map(|codes| format.write(&codes))
        .unwrap_or_default()
}

fn mask_json(format: WordFormat, WrittenMask { file, found, decoded }: &WrittenMask<'_>) -> Value {
    json!({
        "file": file.display().to_string(),
        "words": format.write(&found.codes),
        "codes": found.codes.as_slice(),
        "area": decoded.mask.area(),
        "bbox": super::bbox_json(decoded.mask.bounding_box()),
        "predicted_iou": super::rounded(decoded.predicted_iou.into()),
        "problems": found.problems.iter().map(words::repair_json).collect::<Vec<_>>(),
    })
}

fn write_table(out: &mut dyn Write, written: &[WrittenMask<'_>]) -> std::io::Result<()> {
    let mut table = Table::new(["codes", "area", "box", "predicted iou", "mask"]);
    for WrittenMask { file, found, decoded } in written {
        table.add([
            super::codes_text(&found.codes),
            decoded.mask.area().to_string(),
            super::bbox_text(decoded.mask.bounding_box()),
            format!("{:.3}", decoded.predicted_iou),
            shown(file),
        ]);
    }
    table.write(out)
}

/// The path without the folder that everything is relative to anyway.
fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_codebooks_are_refused() {
        let format = WordFormat::new(32, 2).unwrap();
        let count = |text: &str| {
            let (found, refused) = usable(format, text);
            (found.len(), refused.len())
        };
        assert_eq!(count("<|mt_start|><|mt_0031|><|mt_0063|><|mt_end|>"), (1, 0));
        assert_eq!(
            count("<|mt_start|><|mt_0031|><|mt_9999|><|mt_end|>"),
            (1, 0),
            "the filler means no code"
        );
        assert_eq!(
            count("<|mt_start|><|mt_0031|><|mt_0311|><|mt_end|>"),
            (0, 1),
            "second code of 256"
        );
        assert_eq!(
            count("<|mt_start|><|mt_0200|><|mt_0311|><|mt_end|>"),
            (0, 1),
            "both codes of 256"
        );
        assert_eq!(example(format), "<|mt_start|><|mt_0031|><|mt_0063|><|mt_end|>");
    }
}
