//! Texts as they are searched: without case, line breaks and control characters, and with room for Chinese words.
//!
//! The index finds what has three characters or more. Most Chinese words have two, so every ideograph is followed by
//! a character that no text contains: two of them are four characters then. Both sides of a search are written so.

/// Stands behind every ideograph.
const AFTER_IDEOGRAPH: char = '\u{1}';

/// Stands between two texts of one image; no search term contains it, so none is found across them.
const BETWEEN_TEXTS: char = '\n';

/// How many characters of a term the index is asked for; all of it is compared with the texts that are found.
const LONGEST_LOOK_UP: usize = 32;

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
        if name.bytes().all(|byte| byte.is_ascii_graphic()) {
            // Most names; a list can have very many.
            buffer.push_str(name);
            buffer.make_ascii_lowercase();
        } else {
            fold_into(buffer, name);
        }
        buffer.contains(&self.text)
    }

    /// The expression that finds, by groups of three characters, all texts which contain the term, and perhaps some
    /// more; `None` if the term is too short for that.
    pub(super) fn look_up(&self) -> Option<String> {
        let characters: Vec<char> = self.text.chars().take(LONGEST_LOOK_UP).collect();
        let groups = characters.windows(3).map(|group| {
            // In quotes everything is literal but the quote, which is doubled.
            let quoted = group.iter().collect::<String>().replace('"', "\"\"");
            format!("\"{quoted}\"")
        });
        let groups: Vec<String> = groups.collect();
        (!groups.is_empty()).then(|| groups.join(" AND "))
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
    fn names_are_compared_like_texts() {
        let mut buffer = String::new();
        for name in ["IMG_1.png", "a b.PNG", "É  x", "划痕.png", "", "\u{7}a"] {
            let mut text = SearchText::default();
            text.add(name);
            for term in ["img_1", "b.png", "é x", "痕.P", "a"].map(|term| Term::new(term).unwrap()) {
                let expected = text.as_str().contains(term.as_str());
                assert_eq!(term.is_in_name(name, &mut buffer), expected, "{term:?} in {name}");
            }
        }
    }

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
        assert!(look_up(&"ab".repeat(10_000)).unwrap().len() < 500);
    }
}
