//! Rewards that compare the words of an answer with those of the reference, without decoding a mask.

use std::collections::{BTreeMap, BTreeSet};

use crate::words::{END_WORD, START_WORD, WordFormat};

/// What every mask word begins with, whatever follows.
const ANY_WORD: &str = "<|mt_";
/// More of one mask than this is a repeat.
const MOST_REPEATS: usize = 3;
/// More of the same three words in a row than this is a repeat.
const MOST_REPEATED_WORDS: usize = 2;

/// A mask that is spelled exactly as it should be: its text, and the numbers in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spelled<'t> {
    text: &'t str,
    first: &'t str,
}

/// The masks of `text` that have a start word, one word per depth and an end word with nothing between.
///
/// The published rewards count these and no others; numbers outside the codebooks count, mended masks do not.
fn spelled(format: WordFormat, text: &str) -> Vec<Spelled<'_>> {
    let starts = text.match_indices(START_WORD);
    starts
        .filter_map(|(start, _)| spelled_at(format, text.get(start..)?))
        .collect()
}

fn spelled_at(format: WordFormat, text: &str) -> Option<Spelled<'_>> {
    let mut rest = text.strip_prefix(START_WORD)?;
    let mut first = None;
    for _ in 0..format.codebook_depth() {
        let number = rest.strip_prefix(ANY_WORD)?;
        let (digits, after) = number.split_at_checked(format.digits())?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        rest = after.strip_prefix("|>")?;
        first.get_or_insert(digits);
    }
    let rest = rest.strip_prefix(END_WORD)?;
    Some(Spelled {
        text: text.get(..text.len() - rest.len())?,
        first: first?,
    })
}

/// The paper's answer matching: correct masks over the larger of the numbers of predicted and of expected masks.
///
/// A mask counts as correct once, but every repetition as predicted, so that repeating costs. Without masks on either
/// side it is 1, as in the code.
#[must_use]
pub fn answer_matching(format: WordFormat, answer: &str, reference: &str) -> f64 {
    let (predicted, expected) = (spelled(format, answer), spelled(format, reference));
    let hits = |of: &BTreeSet<&str>| {
        of.iter()
            .filter(|mask| expected.iter().any(|other| other.text == **mask))
            .count()
    };
    let distinct: BTreeSet<&str> = predicted.iter().map(|mask| mask.text).collect();
    share(hits(&distinct) as f64, predicted.len().max(expected.len()))
}

/// The code's graded matching: 1 for a mask of the reference, 0.4 for one that shares its first word with any.
///
/// As in the code, two predicted masks may match the same mask of the reference. Its grade of 0.8, for all words but
/// the last, needs a mask without an end word and is never given.
#[must_use]
pub fn graded_matching(format: WordFormat, answer: &str, reference: &str) -> f64 {
    const SAME_FIRST: f64 = 0.4;
    let (predicted, expected) = (spelled(format, answer), spelled(format, reference));
    let distinct: BTreeSet<&Spelled<'_>> = predicted.iter().collect();
    let grade = |mask: &&Spelled<'_>| {
        if expected.iter().any(|other| other.text == mask.text) {
            1.0
        } else if expected.iter().any(|other| other.first == mask.first) {
            SAME_FIRST
        } else {
            0.0
        }
    };
    share(
        distinct.iter().map(grade).sum(),
        predicted.len().max(expected.len()),
    )
}

/// The reward of saying that nothing fits: 1 for the words of the reference, 0.2 for others, 0 with any mask word.
#[must_use]
pub fn no_target(answer: &str, reference: &str) -> f64 {
    if answer.contains(ANY_WORD) {
        0.0
    } else if answer.contains(reference.trim()) {
        1.0
    } else {
        0.2
    }
}

/// 1 for `<think>…</think><answer>…</answer>` and nothing around it, else 0.
#[must_use]
pub fn thinking_format(response: &str) -> f64 {
    let inside = response
        .strip_prefix("<think>")
        .and_then(|rest| rest.strip_suffix("</answer>"));
    let is_turned = inside.is_some_and(|inside| {
        let mut ends = inside.match_indices("</think>");
        ends.any(|(at, end)| {
            inside
                .get(at + end.len()..)
                .is_some_and(|rest| rest.trim_start().starts_with("<answer>"))
        })
    });
    f64::from(u8::from(is_turned))
}

/// 1 if there is at least one mask spelled as it should be, else 0.
#[must_use]
pub fn word_format(format: WordFormat, answer: &str) -> f64 {
    f64::from(u8::from(!spelled(format, answer).is_empty()))
}

/// 0 if any mask occurs more than three times, else 1.
#[must_use]
pub fn mask_repeats(format: WordFormat, answer: &str) -> f64 {
    let masks = spelled(format, answer);
    no_more_than(masks.iter().map(|mask| mask.text), MOST_REPEATS)
}

/// 0 if any three words in a row occur more than twice, else 1.
#[must_use]
pub fn word_repeats(answer: &str) -> f64 {
    let words: Vec<&str> = answer.split_whitespace().collect();
    no_more_than(words.windows(3), MOST_REPEATED_WORDS)
}

/// What stands between `<answer>` and `</answer>`; `None` where it does not.
#[must_use]
pub fn answer_part(response: &str) -> Option<&str> {
    let (_, rest) = response.split_once("<answer>")?;
    rest.split_once("</answer>").map(|(answer, _)| answer.trim())
}

fn no_more_than<T: Ord>(items: impl Iterator<Item = T>, most: usize) -> f64 {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_insert(0_usize) += 1;
    }
    f64::from(u8::from(counts.values().all(|count| *count <= most)))
}

/// A sum over a count, 1 where there is nothing to count.
fn share(sum: f64, count: usize) -> f64 {
    if count == 0 { 1.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const F: WordFormat = WordFormat::PUBLISHED;

    /// Masks written `12/300`, everything else as it is.
    fn text(short: &str) -> String {
        let words = short.split(' ').map(|word| match word.split_once('/') {
            Some((a, b)) => format!("<|mt_start|><|mt_{a:0>4}|><|mt_{b:0>4}|><|mt_end|>"),
            None => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Answer, reference, the paper's reward and the code's, computed by hand.
    #[test]
    fn answers_are_matched_as_published() {
        let cases = [
            ("", "", 1.0, 1.0),
            ("nothing", "No target.", 1.0, 1.0),
            ("", "1/256", 0.0, 0.0),
            ("1/256", "", 0.0, 0.0),
            ("1/256", "1/256", 1.0, 1.0),
            ("1/257", "1/256", 0.0, 0.4),
            ("2/256", "1/256", 0.0, 0.0),
            ("1/256 2/257", "1/256", 0.5, 0.5),
            ("1/256", "1/256 2/257", 0.5, 0.5),
            ("2/257 1/256", "1/256 2/257", 1.0, 1.0),
            // A repetition counts once as correct and twice as predicted.
            ("1/256 1/256", "1/256", 0.5, 0.5),
            ("1/256 1/256", "1/256 1/256", 0.5, 0.5),
            ("1/256 1/256 1/256 1/256", "1/256 2/257", 0.25, 0.25),
            // Two predictions with the same first word as one mask of the reference.
            ("1/300 1/301", "1/256", 0.0, 0.4),
            ("1/256 1/301", "1/256 9/400", 0.5, 0.7),
            // The best grade counts, not the first.
            ("1/256", "1/300 1/256", 0.5, 0.5),
            // Outside the codebooks is still spelled as it should be.
            ("1/256 600/9999", "1/256", 0.5, 0.5),
            ("It is 1/256 .", "a 3/300 b 1/256", 0.5, 0.5),
        ];
        for (answer, reference, paper, code) in cases {
            let (answer, reference) = (text(answer), text(reference));
            assert_eq!(
                answer_matching(F, &answer, &reference),
                paper,
                "{answer} for {reference}"
            );
            assert_eq!(
                graded_matching(F, &answer, &reference),
                code,
                "{answer} for {reference}"
            );
        }
    }

    #[test]
    fn only_what_is_spelled_exactly_counts() {
        let good = text("1/256");
        for bad in [
            "<|mt_start|><|mt_0001|><|mt_end|>",
            "<|mt_start|><|mt_0001|><|mt_0256|>",
            "<|mt_start|> <|mt_0001|><|mt_0256|><|mt_end|>",
            "<|mt_start|><|mt_1|><|mt_256|><|mt_end|>",
            "<|mt_start|><|mt_00é|><|mt_0256|><|mt_end|>",
            "<|mt_0001|><|mt_0256|>",
        ] {
            assert_eq!(spelled(F, bad), [], "{bad}");
            assert_eq!(answer_matching(F, &format!("{bad}{good}"), &good), 1.0, "{bad}");
            assert_eq!(word_format(F, bad), 0.0);
        }
        let nested = format!("<|mt_start|>{good}");
        assert_eq!(spelled(F, &nested).len(), 1);
        assert_eq!(word_format(F, &good), 1.0);
    }

    #[test]
    fn the_other_rewards_are_as_published() {
        for (answer, expected) in [
            ("No target.", 1.0),
            ("I see it: No target.", 1.0),
            ("There is none.", 0.2),
            ("", 0.2),
            ("No target. <|mt_0001|>", 0.0),
            ("<|mt_start|>", 0.0),
        ] {
            assert_eq!(no_target(answer, "No target."), expected, "{answer}");
        }
        for (response, expected) in [
            ("<think>a</think><answer>b</answer>", 1.0),
            ("<think>a</think> \n<answer>b</answer>", 1.0),
            ("<think></think> x </think><answer></answer>", 1.0),
            ("<think>a</think>b<answer>c</answer>", 0.0),
            ("a<think>a</think><answer>b</answer>", 0.0),
            ("<think>a</think><answer>b", 0.0),
            ("", 0.0),
        ] {
            assert_eq!(thinking_format(response), expected, "{response}");
        }
        assert_eq!(mask_repeats(F, &text("1/256 1/256 1/256")), 1.0);
        assert_eq!(mask_repeats(F, &text("1/256 1/256 1/256 2/256 1/256")), 0.0);
        assert_eq!(word_repeats("a b c a b c a b"), 1.0);
        assert_eq!(word_repeats("a b c a b c a b c"), 0.0);
        assert_eq!(answer_part("<think>x</think><answer> 7 </answer>!"), Some("7"));
        assert_eq!(answer_part("<answer>7"), None);
    }
}
