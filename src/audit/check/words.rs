//! The words of the regions: readable, of their model's codebooks, of the present mask, and telling regions apart.

use std::collections::HashMap;

use super::CheckOptions;
use super::findings::{Code, Subject};
use super::recorder::Recorder;
use super::sidecar::ReadSidecar;
use crate::dataset::document::mask_blake3;
use crate::dataset::{MaskWords, Region};
use crate::words::{Problem, WordFormat, parse};

/// Checks the words of all regions.
pub(super) fn check(sidecar: &ReadSidecar, options: &CheckOptions, recorder: &mut Recorder<'_>) {
    let formats = formats(sidecar, recorder);
    let mut missing = 0_usize;
    for (region, at, _) in sidecar.regions() {
        let Some(words) = &region.words else {
            missing += 1;
            continue;
        };
        let subject = Subject::Region(region.id.clone());
        if let Some(&format) = formats.get(words.tokenizer.as_str()) {
            check_spelling(words, format, &format!("{at}.words"), &subject, recorder);
        }
        if recorder.wants(Code::WordsStale) && words.mask_blake3 != mask_blake3(&region.mask.rle) {
            let message = if words.mask_blake3.is_empty() {
                "the words do not say which mask they were made from"
            } else {
                "the mask changed after the words were made"
            };
            recorder.add(Code::WordsStale, &subject, message);
        }
        if let Some(iou) = words.iou.filter(|&iou| iou < options.min_words_iou) {
            let message = format!(
                "the words give back a mask with an IoU of {iou:.2}, below {}",
                options.min_words_iou
            );
            recorder.add(Code::LowIou, &subject, message);
        }
    }
    if missing > 0 {
        let all = sidecar.document.regions.len();
        let message = format!("{missing} of {all} regions have no words");
        recorder.add(Code::WordsMissing, &Subject::Image, message);
    }
    check_identical(&sidecar.document.regions, recorder);
}

/// How the words of each tokenizer are spelled; one with impossible codebooks is recorded and left out.
fn formats<'a>(sidecar: &'a ReadSidecar, recorder: &mut Recorder<'_>) -> HashMap<&'a str, WordFormat> {
    let mut formats = HashMap::new();
    for tokenizer in &sidecar.document.tokenizers {
        match WordFormat::new(tokenizer.codebook_size, tokenizer.codebook_depth) {
            Ok(format) => {
                formats.insert(tokenizer.id.as_str(), format);
            }
            Err(error) => {
                let at = format!("tokenizers.{}", tokenizer.id);
                recorder.add_at(Code::WordsOutsideCodebook, &Subject::Image, at, error.to_string());
            }
        }
    }
    formats
}

/// Whether text and codes are in the codebooks, well formed and say the same; at most one finding.
fn check_spelling(
    words: &MaskWords,
    format: WordFormat,
    at: &str,
    subject: &Subject,
    recorder: &mut Recorder<'_>,
) {
    let codes = match format.codes(&words.codes) {
        Ok(codes) => codes,
        Err(error) => {
            recorder.add_at(
                Code::WordsOutsideCodebook,
                subject,
                format!("{at}.codes"),
                error.to_string(),
            );
            return;
        }
    };
    if words.text == format.write(&codes) {
        return;
    }
    let at = format!("{at}.text");
    let parsed = parse(format, &words.text);
    let refused = parsed.refused.iter().map(|refused| &refused.problem);
    let repairs = parsed.found.iter().flat_map(|mask| &mask.problems);
    let problems: Vec<&Problem> = refused.chain(repairs.map(|repair| &repair.problem)).collect();
    // A word of another codebook explains that one of this codebook is missing, not the other way round.
    let is_outside = |problem: &&Problem| {
        matches!(
            problem,
            Problem::OutOfRange { .. } | Problem::FirstOutOfRange { .. }
        )
    };
    let problem = problems
        .iter()
        .copied()
        .find(|problem| is_outside(problem))
        .or(problems.first().copied());
    let (code, message) = match (problem, parsed.found.as_slice()) {
        (Some(problem), _) => {
            let code = if is_outside(&problem) {
                Code::WordsOutsideCodebook
            } else {
                Code::WordsMalformed
            };
            (code, what_is_wrong(problem))
        }
        (None, [mask]) if mask.codes != codes => {
            let said: Vec<u32> = mask.codes.iter().flatten().collect();
            let message = format!(
                "the text says the codes {said:?}, the list of codes {:?}",
                words.codes
            );
            (Code::WordsDisagree, message)
        }
        (None, [_]) => (
            Code::WordsMalformed,
            "there is something beside the words".to_owned(),
        ),
        (None, []) => (Code::WordsMalformed, "there are no words in the text".to_owned()),
        (None, masks) => (
            Code::WordsMalformed,
            format!("there are words of {} masks", masks.len()),
        ),
    };
    recorder.add_at(code, subject, at, message);
}

/// The first half of a problem's sentence; the second tells of a repair that nobody made.
pub(super) fn what_is_wrong(problem: &Problem) -> String {
    let sentence = problem.to_string();
    sentence.split("; ").next().unwrap_or_default().to_owned()
}

/// Regions with other pixels and the same words as an earlier one.
fn check_identical(regions: &[Region], recorder: &mut Recorder<'_>) {
    if !recorder.wants(Code::WordsIdentical) {
        return;
    }
    let mut first_with: HashMap<(&str, &[u32]), &Region> = HashMap::new();
    for region in regions {
        let Some(words) = region.words.as_ref().filter(|words| !words.codes.is_empty()) else {
            continue;
        };
        let first = *first_with
            .entry((&words.tokenizer, &words.codes))
            .or_insert(region);
        // The same pixels have the same words; that they are there twice is a finding of its own.
        if first.mask.rle != region.mask.rle {
            let message = format!("the region has the same words as {:?}", first.id);
            recorder.add(Code::WordsIdentical, &Subject::Region(region.id.clone()), message);
        }
    }
}
