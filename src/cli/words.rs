//! `samtok words`: shows what mask words a text holds, what had to be mended and what makes no mask.

use std::borrow::Cow;
use std::io::{self, Read as _, Write};

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};

use super::ExitCode;
use crate::words::{FoundMask, Parsed, Problem, Refused, Repair, WordFormat, repaired};

/// More than any answer or dataset shard, less than what would exhaust a small machine.
const MAX_INPUT_BYTES: u64 = 256 << 20;
/// Refused text is cut to this many characters in the table.
const EXCERPT_CHARS: usize = 60;

/// Find, repair and check the mask words in a text
///
/// Exit code 0: every mask was found clean or repaired; 1: some words make no mask; 2: no mask words at all.
#[derive(Debug, clap::Args)]
pub(super) struct WordsArgs {
    /// The text, or - to read it from standard input
    text: String,
    /// Codes per codebook of the tokenizer that made the words
    #[arg(long, value_name = "N", default_value_t = WordFormat::PUBLISHED.codebook_size())]
    codebook_size: u32,
    /// Codebooks of that tokenizer, which is the number of words per mask
    #[arg(long, value_name = "D", default_value_t = WordFormat::PUBLISHED.codebook_depth())]
    codebook_depth: u32,
}

/// Writes the report on the text of `args` to `out`, as one JSON document or as a table.
pub(super) fn run(args: &WordsArgs, json: bool, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let format = WordFormat::new(args.codebook_size, args.codebook_depth)?;
    let text = text_argument(&args.text)?;
    let (mended, parsed) = repaired(format, &text);
    if json {
        super::write_json(out, &document(format, &text, &mended, &parsed))?;
    } else {
        write_table(format, &text, &mended, &parsed, out)?;
    }
    Ok(match (parsed.is_empty(), parsed.refused.is_empty()) {
        (true, _) => ExitCode::NothingDone,
        (false, true) => ExitCode::AllWell,
        (false, false) => ExitCode::SomeFailed,
    })
}

/// The text given on the command line, or standard input where that is `-`.
pub(super) fn text_argument(text: &str) -> anyhow::Result<Cow<'_, str>> {
    Ok(if text == "-" {
        Cow::Owned(read_text(io::stdin().lock())?)
    } else {
        Cow::Borrowed(text)
    })
}

fn read_text(input: impl io::Read) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    input
        .take(MAX_INPUT_BYTES + 1)
        .read_to_end(&mut bytes)
        .context("could not read standard input")?;
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        bail!(
            "standard input has more than {} MiB; split it into smaller texts",
            MAX_INPUT_BYTES >> 20
        );
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        anyhow!("standard input is not UTF-8 text from byte {offset} on; convert it to UTF-8 first")
    })
}

fn document(format: WordFormat, text: &str, mended: &str, parsed: &Parsed) -> Value {
    let mask = |FoundMask {
                    range,
                    codes,
                    problems,
                }: &FoundMask| {
        json!({
            "range": [range.start, range.end],
            "text": format.write(codes),
            "codes": codes.as_slice(),
            "problems": problems.iter().map(repair_json).collect::<Vec<_>>(),
        })
    };
    let refused = |refused: &Refused| refused_json(text, refused);
    json!({
        "masks": parsed.found.iter().map(mask).collect::<Vec<_>>(),
        "refused": parsed.refused.iter().map(refused).collect::<Vec<_>>(),
        "repaired_text": mended,
    })
}

pub(super) fn repair_json(Repair { range, problem }: &Repair) -> Value {
    json!({
        "range": [range.start, range.end],
        "problem": problem.name(),
        "message": problem.to_string(),
    })
}

pub(super) fn refused_json(text: &str, Refused { range, problem }: &Refused) -> Value {
    json!({
        "range": [range.start, range.end],
        "text": text.get(range.clone()),
        "problem": problem.name(),
        "message": refused_because(problem),
    })
}

/// The problem's sentence, which may tell of a repair, as the reason of a refusal.
fn refused_because(problem: &Problem) -> String {
    let sentence = problem.to_string();
    let reason = sentence.split("; ").next().unwrap_or_default();
    format!("{reason}; refused")
}

/// Refused words as a sentence, long ones cut short.
pub(super) fn refusal(text: &str, Refused { range, problem }: &Refused) -> String {
    let refused = text.get(range.clone()).unwrap_or_default();
    let mut excerpt: String = refused.chars().take(EXCERPT_CHARS).collect();
    if excerpt.len() < refused.len() {
        excerpt.push('…');
    }
    format!(
        "bytes {}..{} {excerpt:?}: {}",
        range.start,
        range.end,
        refused_because(problem)
    )
}

fn write_table(
    format: WordFormat,
    text: &str,
    mended: &str,
    parsed: &Parsed,
    out: &mut dyn Write,
) -> io::Result<()> {
    if parsed.is_empty() {
        return writeln!(out, "No mask words.");
    }
    if !parsed.found.is_empty() {
        writeln!(out, "{:<5} {:<15} {:<12} words", "mask", "bytes", "codes")?;
    }
    for (
        index,
        FoundMask {
            range,
            codes,
            problems,
        },
    ) in parsed.found.iter().enumerate()
    {
        let bytes = format!("{}..{}", range.start, range.end);
        let shown = super::codes_text(codes);
        writeln!(
            out,
            "{:<5} {bytes:<15} {shown:<12} {}",
            index + 1,
            format.write(codes)
        )?;
        for repair in problems {
            writeln!(out, "      problem: {}", repair.problem)?;
        }
    }
    for refused in &parsed.refused {
        writeln!(out, "refused {}", refusal(text, refused))?;
    }
    if mended != text {
        writeln!(out, "\nrepaired text:\n{mended}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str, json: bool) -> anyhow::Result<(ExitCode, String)> {
        let args = WordsArgs {
            text: text.to_owned(),
            codebook_size: 256,
            codebook_depth: 2,
        };
        let mut out = Vec::new();
        let code = run(&args, json, &mut out)?;
        Ok((code, String::from_utf8(out)?))
    }

    #[test]
    fn json_tells_masks_repairs_and_refusals() -> anyhow::Result<()> {
        let (code, out) = report("a <|mt_start|><|mt_0023|><|mt_end|> <|mt_end|>", true)?;
        assert_eq!(code, ExitCode::SomeFailed);
        let expected = json!({
            "masks": [{
                "range": [2, 35],
                "text": "<|mt_start|><|mt_0023|><|mt_end|>",
                "codes": [23, null],
                "problems": [{
                    "range": [2, 35],
                    "problem": "missing_word",
                    "message": "there is no word for depth 2; decoding skips that depth",
                }],
            }],
            "refused": [{
                "range": [36, 46],
                "text": "<|mt_end|>",
                "problem": "stray_end",
                "message": "an end word without a mask before it; refused",
            }],
            "repaired_text": "a <|mt_start|><|mt_0023|><|mt_end|> <|mt_end|>",
        });
        assert_eq!(serde_json::from_str::<Value>(&out)?, expected);
        Ok(())
    }

    #[test]
    fn the_table_and_the_exit_code_follow_the_text() -> anyhow::Result<()> {
        let (code, out) = report("<|mt_0023|><|mt_0311|>", false)?;
        assert_eq!(code, ExitCode::AllWell);
        assert!(
            out.contains("problem: the start word was missing; it was added"),
            "{out}"
        );
        assert!(
            out.ends_with("repaired text:\n<|mt_start|><|mt_0023|><|mt_0311|><|mt_end|>\n"),
            "{out}"
        );
        let (code, out) = report("No target.", false)?;
        assert_eq!((code, out.as_str()), (ExitCode::NothingDone, "No mask words.\n"));
        Ok(())
    }

    #[test]
    fn input_that_is_no_text_is_an_error() {
        let error = read_text(&b"ab\xff"[..]).err().map(|error| error.to_string());
        let expected = "standard input is not UTF-8 text from byte 2 on; convert it to UTF-8 first";
        assert_eq!(error.as_deref(), Some(expected));
    }
}
