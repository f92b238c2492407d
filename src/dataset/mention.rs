//! `[[r1]]` in a text mentions a region; training texts have mask words in its place.

use std::collections::HashMap;
use std::ops::Range;

use super::document::Region;

const OPEN: &str = "[[";
const CLOSE: &str = "]]";

/// `[[id]]` in a text, whether or not a region has the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The bytes from the first bracket to behind the last.
    pub range: Range<usize>,
    /// What stands between the brackets; not empty, without brackets.
    pub id: &'a str,
}

/// Everything in `text` that has the form of a mention, from the start on.
pub fn candidates(text: &str) -> impl Iterator<Item = Candidate<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while let Some(found) = text[from..].find(OPEN) {
            let open = from + found;
            let id_start = open + OPEN.len();
            let id_end = id_start + text[id_start..].find(['[', ']'])?;
            let id = &text[id_start..id_end];
            if !id.is_empty() && text[id_end..].starts_with(CLOSE) {
                from = id_end + CLOSE.len();
                return Some(Candidate {
                    range: open..from,
                    id,
                });
            }
            // In `[[[r1]]` the mention starts one bracket later.
            from = if id.is_empty() { open + 1 } else { id_end };
        }
        None
    })
}

/// `text` with other ids in its mentions; what `new_id` does not know stays.
pub fn renamed<'n>(text: &str, new_id: impl Fn(&str) -> Option<&'n str>) -> String {
    let mut renamed = String::with_capacity(text.len());
    let mut from = 0;
    for candidate in candidates(text) {
        if let Some(id) = new_id(candidate.id) {
            renamed.push_str(&text[from..candidate.range.start + OPEN.len()]);
            renamed.push_str(id);
            from = candidate.range.end - CLOSE.len();
        }
    }
    renamed.push_str(&text[from..]);
    renamed
}

/// The regions of a document by id, to look mentions up in many texts.
#[derive(Debug)]
pub struct RegionWords<'a> {
    words_by_id: HashMap<&'a str, Option<&'a str>>,
}

impl<'a> RegionWords<'a> {
    /// The words of `regions`.
    #[must_use]
    pub fn new(regions: &'a [Region]) -> Self {
        let words = |region: &'a Region| region.words.as_ref().map(|words| words.text.as_str());
        Self {
            words_by_id: regions
                .iter()
                .map(|region| (region.id.as_str(), words(region)))
                .collect(),
        }
    }

    /// The mentions of regions in `text`; `[[`…`]]` around anything that is no region's id is plain text.
    pub fn mentions<'t>(&self, text: &'t str) -> impl Iterator<Item = Candidate<'t>> {
        candidates(text).filter(|candidate| self.words_by_id.contains_key(candidate.id))
    }

    /// `text` with the words of the region in place of every mention; `None` while a mentioned region has no words.
    #[must_use]
    pub fn value(&self, text: &str) -> Option<String> {
        let mut value = String::with_capacity(text.len());
        let mut from = 0;
        for mention in self.mentions(text) {
            let words = self.words_by_id.get(mention.id).copied().flatten()?;
            value.push_str(&text[from..mention.range.start]);
            value.push_str(words);
            from = mention.range.end;
        }
        value.push_str(&text[from..]);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::MaskWords;
    use crate::geometry::ImageSize;
    use crate::mask::Mask;

    /// Regions with their id in angle brackets as words, or without words.
    fn regions(ids: &[(&str, bool)]) -> Vec<Region> {
        let mask = Mask::full(ImageSize::new(2, 2)).unwrap().to_rle();
        let region = |&(id, has_words): &(&str, bool)| {
            let mut region = Region::new(id.to_owned(), mask.clone());
            let words = || MaskWords::new(format!("<{id}>"), vec![0], "T1".to_owned(), None, &mask);
            region.words = has_words.then(words);
            region
        };
        ids.iter().map(region).collect()
    }

    #[test]
    fn mentions_are_renamed_and_the_rest_stays() {
        let new_id = |id: &str| match id {
            "r1" => Some("r12"),
            "r2" => Some("r1"),
            _ => None,
        };
        for (text, expected) in [
            ("", ""),
            ("[[r1]] and [[r2]]", "[[r12]] and [[r1]]"),
            ("[[r3]] [r1] [[[r1]]]", "[[r3]] [r1] [[[r12]]]"),
            ("é[[r2]][[x[[r1]]é", "é[[r1]][[x[[r12]]é"),
        ] {
            assert_eq!(renamed(text, new_id), expected);
        }
    }

    #[test]
    fn mentions_become_words_and_the_rest_stays() {
        let regions = regions(&[("r1", true), ("r2", true), ("the cat", true), ("bare", false)]);
        let words = RegionWords::new(&regions);
        let cases = [
            ("", Some("")),
            ("no mention", Some("no mention")),
            ("[[r1]]", Some("<r1>")),
            ("What is [[r1]] to [[r2]]?", Some("What is <r1> to <r2>?")),
            ("[[r1]][[r1]]", Some("<r1><r1>")),
            ("[[the cat]] sits", Some("<the cat> sits")),
            ("[[r3]] and [[ r1]]", Some("[[r3]] and [[ r1]]")),
            (
                "[[R1]] [r1] [[r1] [r1]] [[]]",
                Some("[[R1]] [r1] [[r1] [r1]] [[]]"),
            ),
            ("[[[r1]]]", Some("[<r1>]")),
            ("[[[[r1]]]]", Some("[[<r1>]]")),
            ("[[x[[r1]]", Some("[[x<r1>")),
            ("[[r1 and [[r2]]", Some("[[r1 and <r2>")),
            ("[[r1", Some("[[r1")),
            ("naïve [[r1]] — ü", Some("naïve <r1> — ü")),
            ("[[bare]]", None),
            ("[[bare", Some("[[bare")),
        ];
        for (text, expected) in cases {
            assert_eq!(words.value(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_of_known_pieces_is_replaced_piece_by_piece(
            pieces in prop::collection::vec(prop::sample::select(vec![
                ("[[r1]]", "<r1>"), ("[[r2]]", "<r2>"), ("[[r9]]", "[[r9]]"), (" ", " "), ("é", "é"), ("r1", "r1"), ("] ", "] "),
            ]), 0..30)
        ) {
            let regions = regions(&[("r1", true), ("r2", true)]);
            let (texts, values): (Vec<&str>, Vec<&str>) = pieces.into_iter().unzip();
            prop_assert_eq!(RegionWords::new(&regions).value(&texts.concat()), Some(values.concat()));
        }

        #[test]
        fn any_text_has_ordered_candidates_in_range(text in "[\\[\\]r12é ]{0,60}") {
            let regions = regions(&[("r1", true)]);
            let mut end = 0;
            for candidate in candidates(&text) {
                prop_assert!(candidate.range.start >= end);
                end = candidate.range.end;
                prop_assert_eq!(&text[candidate.range], format!("[[{}]]", candidate.id));
            }
            let value = RegionWords::new(&regions).value(&text).unwrap();
            prop_assert_eq!(value.replace("<r1>", "[[r1]]"), text);
        }
    }
}
