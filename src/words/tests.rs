//! Whole-module tests: one table of what models write, and properties of any text in any chunks.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::*;

const PUBLISHED: WordFormat = WordFormat::PUBLISHED;

/// The text that a short notation stands for: `s` start, `e` end, a number its word, `_` a space; anything else
/// stands for itself. Words are apart by one space in the notation and not at all in the text.
fn spelled(notation: &str) -> String {
    notation
        .split(' ')
        .map(|part| match part {
            "s" => START_WORD.to_owned(),
            "e" => END_WORD.to_owned(),
            number if number.trim_start_matches('-').parse::<u128>().is_ok() => format!("<|mt_{number}|>"),
            text if text.starts_with("<|mt") => text.to_owned(),
            text => text.replace('_', " "),
        })
        .collect()
}

/// What was found and refused, in order of position: `23,55 missing_end` or `! no_words`.
fn summary(parsed: &Parsed) -> Vec<String> {
    let found = parsed.found.iter().map(|mask| {
        let codes: Vec<_> = mask
            .codes
            .iter()
            .map(|code| code.map_or("-".to_owned(), |c| c.to_string()))
            .collect();
        let problems: String = mask
            .problems
            .iter()
            .map(|repair| format!(" {}", repair.problem.name()))
            .collect();
        (mask.range.start, format!("{}{problems}", codes.join(",")))
    });
    let refused = parsed
        .refused
        .iter()
        .map(|r| (r.range.start, format!("! {}", r.problem.name())));
    let mut all: Vec<_> = found.chain(refused).collect();
    all.sort();
    all.into_iter().map(|(_, line)| line).collect()
}

#[test]
fn published_masks_are_found_where_they_stand() {
    let text = "It is <|mt_start|><|mt_0023|><|mt_0311|><|mt_end|>, é.";
    let parsed = parse(PUBLISHED, text);
    let [mask] = parsed.found.as_slice() else {
        panic!("{parsed:?}")
    };
    assert_eq!(
        &text[mask.range.clone()],
        "<|mt_start|><|mt_0023|><|mt_0311|><|mt_end|>"
    );
    assert_eq!(mask.codes.as_slice(), [Some(23), Some(55)]);
    assert!(mask.problems.is_empty() && parsed.refused.is_empty());
}

#[test]
fn what_models_write_is_mended_or_refused() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("No target.", &[]),
        ("a < b <|im_end|> <|", &[]),
        ("s 0023 0311 e", &["23,55"]),
        ("s 0023 0311 e , s 0024 0256 e", &["23,55", "24,0"]),
        // Too many words.
        ("s 0023 0311 0040 e", &["23,55 extra_words"]),
        ("s 0023 0311 0040 0300 0001 x", &["23,55 extra_words missing_end"]),
        // Too few words.
        ("s 0023 e", &["23,- missing_word"]),
        ("s 0023 x", &["23,- missing_word missing_end"]),
        ("s e", &["! no_words"]),
        ("s x", &["! no_words"]),
        ("s", &["! no_words"]),
        // Never across masks: totals are even here, and the published parser would pair them up.
        ("s 0023 e s 0024 e", &["23,- missing_word", "24,- missing_word"]),
        (
            "s 0023 e s 0024 0311 0312 e",
            &["23,- missing_word", "24,55 extra_words"],
        ),
        (
            "s 0023 s 0024 0311 e",
            &["23,- missing_word missing_end", "24,55"],
        ),
        (
            "s 0023 x 0311 e",
            &["23,- missing_word missing_end", "! stray_words"],
        ),
        ("0023 x 0311", &["! stray_words", "! stray_words"]),
        ("s 0023 e 0311 e", &["23,- missing_word", "! stray_words"]),
        // No end.
        ("s 0023 0311", &["23,55 missing_end"]),
        ("s 0023 0311 _and_ s 0024 0312 e", &["23,55 missing_end", "24,56"]),
        ("s 0023 0311 s 0024 0312 e", &["23,55 missing_end", "24,56"]),
        ("s s 0023 0311 e e", &["! no_words", "23,55", "! stray_end"]),
        // No start.
        ("0023 0311 e", &["23,55 missing_start"]),
        ("0023 0311", &["23,55 missing_start missing_end"]),
        ("x 0023 ,_ 0311 y", &["23,55 missing_start separated missing_end"]),
        (
            "0023 0311 0024 0312",
            &[
                "23,55 missing_start missing_end",
                "24,56 missing_start missing_end",
            ],
        ),
        (
            "0023 0311 e 0024 0312 e",
            &["23,55 missing_start", "24,56 missing_start"],
        ),
        (
            "0022 0023 0311 0312 0024",
            &[
                "! stray_words",
                "23,55 missing_start missing_end",
                "! stray_words",
                "! stray_words",
            ],
        ),
        ("0311 0023", &["! stray_words", "! stray_words"]),
        ("0023", &["! stray_words"]),
        ("0023 e", &["! stray_words"]),
        ("0023 s 0024 0312 e", &["! stray_words", "24,56"]),
        ("e", &["! stray_end"]),
        // Digits.
        ("s 23 311 e", &["23,55 digit_count digit_count"]),
        ("s 00000023 00311 e", &["23,55 digit_count digit_count"]),
        ("s 0023 000000311 e", &["23,- missing_word out_of_range"]),
        ("s 99999999999999999999 0311 e", &["! first_out_of_range"]),
        // Order.
        ("s 0311 0023 e", &["23,55 wrong_order"]),
        ("s 0311 0023 0024 e", &["! ambiguous_order"]),
        ("s 0311 e", &["! no_first_code"]),
        ("s 0311 0312 e", &["! no_first_code"]),
        ("s 0023 0024 e", &["23,- missing_word repeated_depth"]),
        (
            "s 0023 0023 0311 e",
            &["23,- missing_word repeated_depth extra_words"],
        ),
        // Out of range.
        ("s 0512 0311 e", &["! first_out_of_range"]),
        ("s 9999 0311 e", &["! first_out_of_range"]),
        ("s -1 0311 e", &["! first_out_of_range"]),
        ("s 0023 0512 e", &["23,- missing_word out_of_range"]),
        ("s 0023 -5 e", &["23,- missing_word out_of_range"]),
        ("s 0023 9999 e", &["23,- missing_word filler"]),
        ("s 0023 -1 e", &["23,- missing_word filler"]),
        ("s 0023 <|mt_Y|> e", &["23,- missing_word unreadable_word"]),
        ("s <|mt_X|> 0311 e", &["! first_unreadable"]),
        ("<|mt_X|>", &["! stray_unreadable"]),
        (
            "0023 <|mt_?|> 0311",
            &["! stray_words", "! stray_unreadable", "! stray_words"],
        ),
        // Separators.
        ("s _ 0023 ,_ 0311 \n\t e", &["23,55 separated"]),
        (
            "s 0023 0311 ,_ 0312 _x",
            &["23,55 separated extra_words missing_end"],
        ),
        // JSON, quoted and not.
        ("{\"mask_2d\":_ s 0023 0311 e ,_\"label\":_\"a\"}", &["23,55"]),
        (
            "{\"mask_2d\":_\" s 0023 e \",_\"label\":_\"a\"}",
            &["23,- missing_word"],
        ),
        // Cut off.
        ("x <|mt_st", &["! stray_cut_off"]),
        ("x <|mt", &["! stray_cut_off"]),
        ("s <|mt_00", &["! stray_cut_off"]),
        ("s 0023 <|mt_03", &["23,- missing_word cut_off missing_end"]),
        ("s 0023 0311 <|mt_end|", &["23,55 cut_off missing_end"]),
        ("s 0023 0311 <", &["23,55 cut_off missing_end"]),
        ("0023 0311 <|", &["23,55 missing_start cut_off missing_end"]),
        ("0023 <|mt_0311", &["! stray_words"]),
        ("s 0023 0311 e <", &["23,55"]),
    ];
    for (notation, expected) in cases {
        let text = spelled(notation);
        let parsed = parse(PUBLISHED, &text);
        assert_eq!(summary(&parsed), *expected, "{text}");
        check(PUBLISHED, &text, &[]);
    }
}

#[test]
fn a_gap_has_a_limit() {
    let gap = |length| format!("{}{}{}", spelled("s 0023"), " ".repeat(length), spelled("0311 e"));
    assert_eq!(summary(&parse(PUBLISHED, &gap(64))), ["23,55 separated"]);
    assert_eq!(
        summary(&parse(PUBLISHED, &gap(65))),
        ["23,- missing_word missing_end", "! stray_words"]
    );
}

#[test]
fn other_sizes_follow_the_same_rules() -> Result<(), WordsError> {
    let deep = WordFormat::new(1024, 4)?;
    for (notation, expected) in [
        ("s 0001 1026 2051 3076 e", "1,2,3,4"),
        ("s 0001 2051 e", "1,-,3,- missing_word missing_word"),
        ("s 1026 3076 0001 e", "1,2,-,4 wrong_order missing_word"),
        ("s 0001 1026 1027 3076 e", "1,2,-,4 missing_word repeated_depth"),
        ("s 0001 3076 3077 1026 e", "! ambiguous_order"),
        ("0001 1026 2051 3076", "1,2,3,4 missing_start missing_end"),
        ("0001 1026 2051", "! stray_words"),
        (
            "s 1026 9999 0001 e",
            "1,2,-,- wrong_order missing_word missing_word filler",
        ),
    ] {
        assert_eq!(
            summary(&parse(deep, &spelled(notation))),
            [expected],
            "{notation}"
        );
        check(deep, &spelled(notation), &[]);
    }
    let flat = WordFormat::new(65_536, 1)?;
    assert_eq!(
        summary(&parse(flat, &spelled("s 09999 e"))),
        ["9999"],
        "no filler where 9999 is a code"
    );
    assert_eq!(
        summary(&parse(flat, &spelled("65535"))),
        ["65535 missing_start missing_end"]
    );
    Ok(())
}

#[test]
fn repairs_point_at_what_they_mend() {
    let text = format!("x{}", spelled("s 23 _ 0700 0001 y"));
    let parsed = parse(PUBLISHED, &text);
    let [mask] = parsed.found.as_slice() else {
        panic!("{parsed:?}")
    };
    let spots: Vec<_> = mask
        .problems
        .iter()
        .map(|repair| (repair.problem.name(), &text[repair.range.clone()]))
        .collect();
    let whole = text.trim_matches(['x', 'y']);
    let expected = [
        ("missing_word", whole),
        ("digit_count", "<|mt_23|>"),
        ("separated", " "),
        ("out_of_range", "<|mt_0700|>"),
        ("extra_words", "<|mt_0001|>"),
        ("missing_end", ""),
    ];
    assert_eq!(spots, expected);
    let sentences: Vec<_> = mask
        .problems
        .iter()
        .map(|repair| repair.problem.to_string())
        .collect();
    assert_eq!(
        sentences[0],
        "there is no word for depth 2; decoding skips that depth"
    );
    assert_eq!(
        sentences[3],
        "the number 700 is outside the codebooks; the word was left out"
    );
}

#[test]
fn repairing_leaves_everything_else_alone() {
    let text = spelled("a\t s 23 0311 ,_b_ e _ 0024 0312 _é <|mt_");
    let (mended, _) = repaired(PUBLISHED, &text);
    assert_eq!(
        mended,
        spelled("a\t s 0023 0311 e ,_b_ e _ s 0024 0312 e _é <|mt_")
    );
}

#[test]
fn hostile_text_takes_linear_time() {
    let size = 1_000_000;
    for unit in [
        "<|mt_start|>",
        "<|mt_end|>",
        "<|mt_0001|>",
        "<|mt_0300|>",
        "<|mt_0001|> <|mt_0300|>,",
        "<|mt_start|><|mt_0001|>",
        "<|<|<|",
        "<|mt_",
        "<|mt_9",
        "<",
        "9",
        " ",
        "é",
        "{\"mask_2d\": \"",
        "{a:\"}",
        "{a:\"x}{b:'x}",
        "{\"label\":\"x\\",
        "{[",
        "{mask_2d:[\"\" ",
        "\"",
    ] {
        for prefix in [
            "",
            "<|mt_start|><|mt_0001|>",
            "<|mt_start|><|mt_",
            "{\"label\": \"",
            "{label:'",
        ] {
            let text = format!("{prefix}{}", unit.repeat((size - prefix.len()) / unit.len()));
            let started = Instant::now();
            let parsed = parse(PUBLISHED, &text);
            let list = parse_mask_list(PUBLISHED, &text);
            let elapsed = started.elapsed();
            assert!(elapsed < Duration::from_secs(1), "{prefix}{unit}: {elapsed:?}");
            drop((parsed, list));
        }
    }
}

/// Everything that must hold for any text, cut at any places (taken modulo the length).
fn check(format: WordFormat, text: &str, cuts: &[usize]) {
    let parsed = parse(format, text);

    let mut ranges: Vec<_> = parsed.found.iter().map(|mask| mask.range.clone()).collect();
    assert!(ranges.is_sorted_by_key(|range| range.start), "found out of order");
    assert!(
        parsed.refused.is_sorted_by_key(|refused| refused.range.start),
        "refused out of order"
    );
    ranges.extend(parsed.refused.iter().map(|refused| refused.range.clone()));
    ranges.sort_by_key(|range| range.start);
    let mut end = 0;
    for range in &ranges {
        assert!(
            end <= range.start && range.start < range.end,
            "{range:?} after {end}"
        );
        assert!(
            text.get(range.clone()).is_some(),
            "{range:?} is not on character boundaries"
        );
        end = range.end;
    }

    for mask in &parsed.found {
        assert_eq!(
            format.partial_codes(mask.codes.as_slice()),
            Ok(mask.codes.clone())
        );
        let is_canonical = text.get(mask.range.clone()) == Some(format.write(&mask.codes).as_str());
        let is_clean = mask
            .problems
            .iter()
            .all(|repair| matches!(repair.problem, Problem::MissingWord { .. }));
        assert_eq!(is_clean, is_canonical, "{mask:?}");
        assert_eq!(
            mask.problems.is_empty(),
            is_canonical && mask.codes.is_complete(),
            "{mask:?}"
        );
        for Repair { range, .. } in &mask.problems {
            assert!(
                mask.range.start <= range.start && range.end <= mask.range.end,
                "{range:?} in {mask:?}"
            );
        }
    }

    let (mended, same) = repaired(format, text);
    assert_eq!(same, parsed);
    let (again, reparsed) = repaired(format, &mended);
    assert_eq!(again, mended, "repairing twice");
    let codes = |parsed: &Parsed| {
        parsed
            .found
            .iter()
            .map(|mask| mask.codes.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(codes(&reparsed), codes(&parsed), "codes after repairing");
    assert_eq!(
        reparsed.refused.len(),
        parsed.refused.len(),
        "refused after repairing"
    );

    let mut cuts: Vec<_> = cuts
        .iter()
        .map(|cut| cut % (text.len() + 1))
        .filter(|cut| text.is_char_boundary(*cut))
        .collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    let mut parser = StreamParser::new(format);
    let mut events: Vec<_> = cuts
        .windows(2)
        .flat_map(|cut| parser.push(&text[cut[0]..cut[1]]))
        .collect();
    events.extend(parser.finish());
    let mut streamed = Parsed::default();
    let mut position = 0;
    for event in events {
        match event {
            StreamEvent::Text(part) => {
                assert_eq!(
                    text.get(position..position + part.len()),
                    Some(part.as_str()),
                    "text at {position}"
                );
                position += part.len();
            }
            StreamEvent::Mask(mask) => {
                assert_eq!(mask.range.start, position, "mask after its text");
                position = mask.range.end;
                streamed.found.push(mask);
            }
            StreamEvent::Refused(refused) => {
                assert_eq!(refused.range.start, position, "refused after its text");
                position = refused.range.end;
                streamed.refused.push(refused);
            }
        }
    }
    assert_eq!(position, text.len(), "the stream's end");
    assert_eq!(streamed, parsed, "in chunks");

    if let Some(items) = parse_mask_list(format, text) {
        for item in &items {
            assert!(
                parsed
                    .found
                    .iter()
                    .any(|mask| mask.range == item.range && mask.codes == item.codes),
                "{item:?}"
            );
        }
        let written = write_mask_list(
            format,
            items.iter().map(|item| (&item.codes, item.label.as_deref())),
        );
        let read = parse_mask_list(format, &written).unwrap_or_default();
        let content = |items: &[ListedMask]| {
            items
                .iter()
                .map(|item| (item.codes.clone(), item.label.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(content(&read), content(&items), "{written}");
    }
}

fn formats() -> impl Strategy<Value = WordFormat> {
    prop_oneof![Just((256, 2)), (1_u32..6, 1_u32..6), (1_u32..100_000, 1_u32..33),]
        .prop_map(|(size, depth)| WordFormat::new(size, depth).unwrap_or(PUBLISHED))
}

/// Codes of a mask, some missing.
fn masks(format: WordFormat) -> impl Strategy<Value = MaskCodes> {
    let code = 0..format.codebook_size();
    let rest = proptest::collection::vec(
        proptest::option::weighted(0.9, code.clone()),
        format.codebook_depth() as usize - 1,
    );
    (code, rest).prop_map(move |(first, rest)| {
        let codes: Vec<_> = std::iter::once(Some(first)).chain(rest).collect();
        format
            .partial_codes(codes)
            .unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Bits of text that word texts are made of and go wrong with.
fn fragments() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => proptest::sample::select(vec![
            START_WORD, START_WORD, END_WORD, END_WORD, "<|mt_0000|>", "<|mt_0001|>", "<|mt_0256|>", "<|mt_0511|>",
            "<|mt_0512|>", "<|mt_9999|>", "<|mt_-1|>", "<|mt_7|>", "<|mt_123456789|>", "<|mt_|>", "<|mt_", "<|mt",
            "<|", "<", "|>", "<|im_end|>", " ", ", ", "\n", "x", "é", "😀", "0", "-", "```json\n[", "{\"mask_2d\": \"",
            "{\"mask_2d\": ", "\", \"label\": \"", ", \"label\": ", "\"}", "},\n", "]", "[", "{", "'", "\"", "\\", "\\u12",
            "label:",
        ]).prop_map(str::to_owned),
        2 => (0_u32..600).prop_map(|number| format!("<|mt_{number:04}|>")),
        1 => any::<String>(),
        1 => "[ ,\n]{0,80}",
    ]
}

fn soup() -> impl Strategy<Value = String> {
    proptest::collection::vec(fragments(), 0..24).prop_map(|parts| parts.concat())
}

/// How a mask's text may go wrong without its words becoming another mask's.
fn mangled(text: &str, how: u8) -> String {
    match how % 6 {
        0 => text.replace(END_WORD, ""),
        1 => text.replace("|><|mt_0", "|>, <|mt_0"),
        2 => text.replace(END_WORD, "<|mt_0999|><|mt_end|>"),
        3 => text.replace("<|mt_02", "<|mt_08").replace("<|mt_03", "<|mt_08"),
        4 => text.replace("<|mt_0", "<|mt_"),
        _ => text.to_owned(),
    }
}

fn config() -> Config {
    Config {
        failure_persistence: None,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn written_masks_read_back(
        (format, codes) in formats().prop_flat_map(|format| (Just(format), masks(format))),
        before in "[^<]{0,8}",
        after in "[^<]{0,8}",
    ) {
        let text = format!("{before}{}{after}", format.write(&codes));
        let parsed = parse(format, &text);
        prop_assert_eq!(parsed.found.len(), 1);
        prop_assert_eq!(&parsed.found[0].codes, &codes);
        prop_assert_eq!(parsed.found[0].problems.is_empty(), codes.is_complete());
        prop_assert!(parsed.refused.is_empty());
    }

    /// Mask number i uses the codes (2i, 2i + 1) and (i or nothing else), so any pair that mixes masks shows.
    #[test]
    fn words_of_two_masks_never_meet(
        hows in proptest::collection::vec((any::<u8>(), "( and |, |\n|x|)"), 1..40),
    ) {
        let text: String = hows
            .iter()
            .enumerate()
            .map(|(index, (how, separator))| {
                let code = index as u32 * 5 + 1;
                let codes = PUBLISHED.codes(&[code, code]).unwrap_or_else(|error| panic!("{error}"));
                mangled(&PUBLISHED.write(&codes), *how) + separator
            })
            .collect();
        let parsed = parse(PUBLISHED, &text);
        prop_assert_eq!(parsed.found.len(), hows.len(), "{}", text);
        for (index, mask) in parsed.found.iter().enumerate() {
            let code = index as u32 * 5 + 1;
            prop_assert_eq!(mask.codes.get(0), Some(code));
            prop_assert!(mask.codes.get(1).is_none_or(|second| second == code), "{:?}", mask);
        }
    }

    #[test]
    fn any_soup_of_words_keeps_the_promises(
        format in formats(),
        text in soup(),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        check(format, &text, &cuts);
        check(PUBLISHED, &text, &cuts);
    }

    #[test]
    fn any_bytes_keep_the_promises(
        bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"<|mt_>059 ,-\"{}[]".to_vec())], 0..200),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        check(PUBLISHED, &String::from_utf8_lossy(&bytes), &cuts);
    }

    #[test]
    fn mutated_words_keep_the_promises(
        count in 1_u32..6,
        mutations in proptest::collection::vec((any::<usize>(), any::<u8>(), 0_u8..3), 1..8),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let masks: Vec<_> = (0..count).filter_map(|code| PUBLISHED.codes(&[code, 255 - code]).ok()).collect();
        let mut bytes = write_mask_list(PUBLISHED, masks.iter().map(|mask| (mask, Some("a b")))).into_bytes();
        for (place, byte, kind) in mutations {
            let place = place % bytes.len().max(1);
            match kind {
                0 if place < bytes.len() => bytes[place] = byte,
                1 if place < bytes.len() => { bytes.remove(place); }
                _ => bytes.insert(place, byte),
            }
        }
        check(PUBLISHED, &String::from_utf8_lossy(&bytes), &cuts);
    }
}
