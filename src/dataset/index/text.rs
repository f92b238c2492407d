//! Texts as they are searched: without case, line breaks and control characters, and with room for Chinese words.
//!
//! The index finds what has three characters or more. Most Chinese words have two, so every ideograph is followed by
//! a character that no text contains: two of them are four characters then. Both sides of a search are written so.

/// Stands behind every ideograph.
const AFTER_IDEOGRAPH: char = '\u{1}';

/// Stands between two texts of one image; no search term contains it, so none is found across them.
const BETWEEN_TEXTS: char = '\n';

/// All texts of one image in the form that is searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SearchText {
    text: String,
}

impl SearchText {
    /// Adds a text; one without anything to find adds nothing.
    pub(super) fn add(&mut self, text: &str) {
        let before = self.text.len();
        if before > 0 {
            self.text.push(BETWEEN_TEXTS);
        }
        let start = self.text.len();
        fold_into(&mut self.text, text);
        if self.text.len() == start {
            self.text.truncate(before);
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }
}

/// What is looked for in texts and names; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    text: String,
}

impl Term {
    /// The term `text`; `None` if there is nothing in it to look for.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut folded = String::new();
        fold_into(&mut folded, text);
        (!folded.is_empty()).then_some(Self { text: folded })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `name` contains it; `buffer` saves an allocation for each of many names.
    pub(super) fn is_in_name(&self, name: &str, buffer: &mut String) -> bool {
        buffer.clear();
        fold_into(buffer, name);
        buffer.contains(&self.text)
    }

    /// The expression that finds, by groups of three characters, all texts which contain the term, and perhaps some
    /// more; `None` if the term is too short for that.
    ///
    /// A few groups from all parts of the term will do: each takes as long as it is common, and the texts that have
    /// them are compared with the term anyway.
    pub(super) fn look_up(&self) -> Option<String> {
        let characters: Vec<char> = self.text.chars().collect();
        let groups: Vec<&[char]> = characters.windows(3).collect();
        let last = groups.len().checked_sub(1)?;
        let mut places = vec![0, last / 2, last];
        places.dedup();
        let quoted = places
            .into_iter()
            .filter_map(|place| groups.get(place))
            .map(|group| {
                // In quotes everything is literal but the quote, which is doubled.
                let quoted: String = group.iter().collect::<String>().replace('"', "\"\"");
                format!("\"{quoted}\"")
            });
        Some(quoted.collect::<Vec<_>>().join(" AND "))
    }
}

/// Appends `text` in the form that is searched: words with single spaces between them.
fn fold_into(folded: &mut String, text: &str) {
    let start = folded.len();
    let mut at_space = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            at_space = true;
            continue;
        }
        if at_space && folded.len() > start {
            folded.push(' ');
        }
        at_space = false;
        if c.is_ascii() {
            folded.push(c.to_ascii_lowercase());
        } else {
            folded.extend(c.to_lowercase());
            if is_ideograph(c) {
                folded.push(AFTER_IDEOGRAPH);
            }
        }
    }
}

/// Whether words are written with a few of these and without spaces: Chinese, Japanese and Korean.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_spaces_and_line_breaks_do_not_count() {
        let mut text = SearchText::default();
        for part in ["  Deep\n\tSCRATCH ", "", " \u{0}", "Ärger"] {
            text.add(part);
        }
        assert_eq!(text.as_str(), "deep scratch\närger");
        assert_eq!(
            Term::new("deep  Scratch"),
            Some(Term {
                text: "deep scratch".into()
            })
        );
        assert_eq!(Term::new(" \n\u{7}"), None);
    }

    #[test]
    fn two_ideographs_can_be_looked_up() {
        let look_up = |text| Term::new(text).unwrap().look_up();
        assert_eq!(look_up("ab"), None);
        assert_eq!(look_up("划"), None);
        assert_eq!(look_up("划痕").unwrap(), "\"划\u{1}痕\" AND \"\u{1}痕\u{1}\"");
        assert_eq!(look_up("a\"b").unwrap(), "\"a\"\"b\"");
        assert_eq!(look_up("shallow").unwrap(), "\"sha\" AND \"all\" AND \"low\"");
        assert!(look_up(&"ab".repeat(10_000)).unwrap().len() < 50);
    }
}
