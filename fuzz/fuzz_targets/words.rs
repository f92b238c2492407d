//! Feeds arbitrary text to the mask word parser and checks what its documentation promises for any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samtok::words::{
    Parsed, Problem, StreamEvent, StreamParser, WordFormat, parse, parse_mask_list, repaired, write_mask_list,
};

fuzz_target!(|data: &[u8]| {
    let [size, depth, chunk_size, text @ ..] = data else {
        return;
    };
    let format = match size {
        0 => WordFormat::PUBLISHED,
        _ => {
            WordFormat::new(u32::from(*size) * 7, u32::from(*depth % 8) + 1).expect("a small format is valid")
        }
    };
    let text = &String::from_utf8_lossy(text);

    let parsed = parse(format, text);
    let mut ranges: Vec<_> = parsed.found.iter().map(|mask| mask.range.clone()).collect();
    ranges.extend(parsed.refused.iter().map(|refused| refused.range.clone()));
    ranges.sort_by_key(|range| range.start);
    assert!(
        ranges
            .iter()
            .all(|range| !range.is_empty() && text.get(range.clone()).is_some())
    );
    assert!(ranges.is_sorted_by(|first, second| first.end <= second.start));
    for mask in &parsed.found {
        assert_eq!(
            format.partial_codes(mask.codes.as_slice()).as_ref(),
            Ok(&mask.codes)
        );
    }

    let (mended, _) = repaired(format, text);
    let (again, reparsed) = repaired(format, &mended);
    assert_eq!(again, mended);
    assert!(
        reparsed
            .found
            .iter()
            .map(|mask| &mask.codes)
            .eq(parsed.found.iter().map(|mask| &mask.codes))
    );
    let left = reparsed.found.iter().flat_map(|mask| &mask.problems);
    assert!(
        left.into_iter()
            .all(|repair| matches!(repair.problem, Problem::MissingWord { .. }))
    );

    assert_eq!(streamed(format, text, usize::from(*chunk_size) + 1), parsed);

    if let Some(items) = parse_mask_list(format, text) {
        let written = write_mask_list(
            format,
            items.iter().map(|item| (&item.codes, item.label.as_deref())),
        );
        let read = parse_mask_list(format, &written).expect("a written list is a list");
        assert!(
            read.iter()
                .map(|item| (&item.codes, &item.label))
                .eq(items.iter().map(|item| (&item.codes, &item.label)))
        );
    }
});

/// What a stream of chunks of about `chunk_size` bytes finds.
fn streamed(format: WordFormat, text: &str, chunk_size: usize) -> Parsed {
    let mut parser = StreamParser::new(format);
    let mut events = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (chunk, left) = rest.split_at(rest.ceil_char_boundary(chunk_size));
        events.extend(parser.push(chunk));
        rest = left;
    }
    events.extend(parser.finish());

    let mut parsed = Parsed::default();
    let mut position = 0;
    for event in events {
        match event {
            StreamEvent::Text(part) => {
                assert!(text[position..].starts_with(&part));
                position += part.len();
            }
            StreamEvent::Mask(mask) => {
                assert_eq!(mask.range.start, position);
                position = mask.range.end;
                parsed.found.push(mask);
            }
            StreamEvent::Refused(refused) => {
                assert_eq!(refused.range.start, position);
                position = refused.range.end;
                parsed.refused.push(refused);
            }
        }
    }
    assert_eq!(position, text.len());
    parsed
}
