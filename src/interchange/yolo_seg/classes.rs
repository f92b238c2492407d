//! The classes of a YOLO set: `names` of `data.yaml`, or one name per line in `classes.txt` or `obj.names`.
//!
//! Of YAML only what such files use is read: a list or a map of plain or quoted names, in a line or in a block.

use super::{EXPECTED, json_tree};
use crate::interchange::{InterchangeError, Result};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The class of regions without a label, since every row has one.
const NO_LABEL: &str = "unlabelled";

/// Largest list of classes.
const MAX_BYTES: u64 = 4 << 20;

/// Names of text files that are no labels.
const LISTS: [&str; 6] = [
    "classes.txt",
    "obj.names",
    "labels.txt",
    "train.txt",
    "val.txt",
    "test.txt",
];

/// Whether a file of this name lists classes or images.
pub(super) fn is_list(name: &str) -> bool {
    let file_name = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    LISTS.contains(&file_name.as_str()) || file_name.starts_with("readme")
}

/// The classes by number.
#[derive(Debug, Default)]
pub(super) struct Classes {
    names: BTreeMap<u32, String>,
    numbers: HashMap<String, u32>,
}

impl Classes {
    /// The number of the class called `label`; a new one if there is none.
    pub(super) fn number(&mut self, label: &str) -> u32 {
        let label = if label.is_empty() { NO_LABEL } else { label };
        if let Some(&number) = self.numbers.get(label) {
            return number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(label.to_owned(), number);
        self.names.insert(number, label.to_owned());
        number
    }

    /// The label of the class with this number; a class without a name is called as Ultralytics calls it.
    pub(super) fn label(&self, number: u32) -> String {
        match self.names.get(&number) {
            Some(name) if name == NO_LABEL => String::new(),
            Some(name) => name.clone(),
            None => format!("class_{number}"),
        }
    }

    /// `data.yaml`, which names the folders where Ultralytics looks for the images.
    pub(super) fn to_yaml(&self) -> String {
        let mut yaml = String::from("train: images\nval: images\nnames:\n");
        for (number, name) in &self.names {
            // A text of JSON is one of YAML too.
            yaml.push_str(&format!(
                "  {number}: {}\n",
                serde_json::Value::from(name.as_str())
            ));
        }
        if self.names.is_empty() {
            yaml.push_str("  {}\n");
        }
        yaml
    }

    /// The classes that `source` names, or that are in `folder` or above it; none where there is no such file.
    pub(super) fn find(folder: &Path, source: &Path) -> Result<Self> {
        let mut candidates: Vec<PathBuf> = Vec::new();
        if source.is_file() && folder != source {
            candidates.push(source.to_path_buf());
        }
        let folder = if folder.is_dir() {
            folder
        } else {
            folder.parent().unwrap_or(folder)
        };
        for folder in [
            folder.to_path_buf(),
            folder.join("labels"),
            folder.join(".."),
            folder.join("../.."),
        ] {
            for name in [
                "data.yaml",
                "data.yml",
                "dataset.yaml",
                "classes.txt",
                "obj.names",
            ] {
                candidates.push(folder.join(name));
            }
        }
        let only_yaml = || -> Option<PathBuf> {
            let mut yaml = fs::read_dir(folder)
                .ok()?
                .filter_map(Result::ok)
                .map(|entry| entry.path());
            let is_yaml = |path: &PathBuf| {
                path.extension()
                    .is_some_and(|suffix| suffix == "yaml" || suffix == "yml")
            };
            let first = yaml.find(is_yaml)?;
            yaml.find(is_yaml).is_none().then_some(first)
        };
        match candidates
            .into_iter()
            .find(|path| path.is_file())
            .or_else(only_yaml)
        {
            Some(path) => Self::read(&path),
            None => Ok(Self::default()),
        }
    }

    fn read(path: &Path) -> Result<Self> {
        let foreign = |reason: &str| InterchangeError::foreign(EXPECTED, reason, path);
        let mut bytes = Vec::new();
        json_tree::open(path)?
            .take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(InterchangeError::io("read the classes", path))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(foreign("it is too large for a list of classes"));
        }
        let text = String::from_utf8(bytes)
            .ok()
            .ok_or_else(|| foreign("it is no text in UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let is_yaml = path
            .extension()
            .is_some_and(|suffix| suffix == "yaml" || suffix == "yml");
        let names = if is_yaml {
            yaml_names(text)
                .ok_or_else(|| foreign("its names are neither a list nor a map of numbers to names"))?
        } else {
            (0..)
                .zip(text.lines().map(|line| line.trim().to_owned()))
                .filter(|(_, name)| !name.is_empty())
                .collect()
        };
        Ok(Self {
            names,
            numbers: HashMap::new(),
        })
    }
}

/// The value of the key `names` at the top of a YAML file; empty where there is none.
fn yaml_names(text: &str) -> Option<BTreeMap<u32, String>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("names:"));
    let Some(first) = lines.next() else {
        return Some(BTreeMap::new());
    };
    let inline = without_comment(first.strip_prefix("names:")?).trim();
    if !inline.is_empty() {
        // A flow list or map may go on over several lines.
        let rest = lines.map(without_comment).take_while(|line| !is_key(line));
        let flow: String = std::iter::once(inline).chain(rest).collect::<Vec<_>>().join(" ");
        return flow_names(flow.trim());
    }
    let mut names = BTreeMap::new();
    for line in lines {
        let line = without_comment(line);
        if line.trim().is_empty() {
            continue;
        }
        if names.is_empty() && line.trim_start().starts_with(['{', '[']) {
            return flow_names(line.trim());
        }
        let (number, name) = if let Some(name) = line.trim_start().strip_prefix("- ") {
            (names.len() as u32, scalar(name)?)
        } else if line.starts_with(' ') {
            let (number, name) = line.split_once(':')?;
            (
                number.trim().trim_matches(['"', '\'']).parse().ok()?,
                scalar(name)?,
            )
        } else {
            break;
        };
        names.insert(number, name);
    }
    Some(names)
}

/// Whether a line starts another key at the top.
fn is_key(line: &str) -> bool {
    line.starts_with(|first: char| first.is_ascii_alphabetic()) && line.contains(':')
}

/// `line` without a comment, which starts with `#` at the start or behind a space, outside of quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut previous = ' ';
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (None, '#') if previous.is_whitespace() => return line.get(..at).unwrap_or(line),
            (None, '"' | '\'') if !previous.is_alphanumeric() => quote = Some(character),
            (Some(open), _) if open == character && previous != '\\' => quote = None,
            _ => {}
        }
        previous = character;
    }
    line
}

/// `[a, "b"]` or `{0: a, 1: b}`.
fn flow_names(flow: &str) -> Option<BTreeMap<u32, String>> {
    let bracketed =
        |open: char, close: char| flow.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    if let Some(items) = bracketed('[', ']') {
        let names: Option<Vec<String>> = split(items).into_iter().map(scalar).collect();
        return Some((0..).zip(names?).collect());
    }
    let entry = |entry: &str| {
        let (number, name) = entry.split_once(':')?;
        Some((
            number.trim().trim_matches(['"', '\'']).parse().ok()?,
            scalar(name)?,
        ))
    };
    split(bracketed('{', '}')?).into_iter().map(entry).collect()
}

/// The items between commas outside of quotes.
fn split(items: &str) -> Vec<&str> {
    let mut quote = None;
    let mut previous = ' ';
    let is_separator = |character: char| {
        let is_separator = match (quote, character) {
            (None, ',') => true,
            (None, '"' | '\'') if !previous.is_alphanumeric() => {
                quote = Some(character);
                false
            }
            (Some(open), _) if open == character && previous != '\\' => {
                quote = None;
                false
            }
            _ => false,
        };
        previous = character;
        is_separator
    };
    items
        .split(is_separator)
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect()
}

/// A plain or quoted name.
fn scalar(text: &str) -> Option<String> {
    let text = text.trim();
    if text.starts_with('"') {
        return serde_json::from_str(text).ok();
    }
    if let Some(inside) = text.strip_prefix('\'') {
        return Some(inside.strip_suffix('\'')?.replace("''", "'"));
    }
    // Tags, anchors and aliases are more than these files need.
    (!text.starts_with(['&', '*', '!', '|', '>', '%', '@', '`'])).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_usual_form() {
        let expected = |names: &[&str]| -> Option<BTreeMap<u32, String>> {
            Some((0..).zip(names.iter().map(|&name| name.to_owned())).collect())
        };
        let cases: [(&str, &[&str]); 11] = [
            (
                "path: x\nnames: [cat, 'my dog', \"a, b\"]\nnc: 3\n",
                &["cat", "my dog", "a, b"],
            ),
            (
                "names:\n- cat\n- dog # the second\n\n# end\nnc: 2\n",
                &["cat", "dog"],
            ),
            ("names:\n  - cat\n  - 'it''s'\nnc: 2\n", &["cat", "it's"]),
            (
                "names:\n  0: cat\n  1: \"d\\u00e4g\"\ntrain: a\n",
                &["cat", "däg"],
            ),
            ("names: {0: cat, 1: 'a: b'}\n", &["cat", "a: b"]),
            ("names: [\n  cat,\n  dog\n]\nnc: 2\n", &["cat", "dog"]),
            ("names: [\"#1\", b#c]  # numbers\n", &["#1", "b#c"]),
            ("train: a\n", &[]),
            ("names:\n  {}\n", &[]),
            ("names: []\n", &[]),
            ("", &[]),
        ];
        for (yaml, names) in cases {
            assert_eq!(yaml_names(yaml), expected(names), "{yaml}");
        }
        for yaml in [
            "names: cat\n",
            "names:\n  a: b\n",
            "names: [*x]\n",
            "names: {0 cat}\n",
            "names: &a [b]\n",
            "names: [\"x]\n",
        ] {
            assert_eq!(yaml_names(yaml), None, "{yaml}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut classes = Classes::default();
        let labels = ["cat", "", "a: \"b\" #c\n", "ä'"];
        let numbers: Vec<u32> = labels.iter().map(|label| classes.number(label)).collect();
        assert_eq!(
            (numbers.as_slice(), classes.number("cat")),
            (&[0, 1, 2, 3][..], 0)
        );
        let names = yaml_names(&classes.to_yaml()).unwrap();
        let read = Classes {
            names,
            numbers: HashMap::new(),
        };
        let back: Vec<String> = numbers.iter().map(|&number| read.label(number)).collect();
        assert_eq!(back, labels);
        assert_eq!(read.label(9), "class_9");
        assert_eq!(yaml_names(&Classes::default().to_yaml()), Some(BTreeMap::new()));
    }
}
