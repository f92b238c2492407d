//! Enough of a Rust reader to list the imports of a file: words and symbols without comments and literals.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// A source file by its path below `src`.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    tokens: Vec<Token>,
    /// Whether all of it is compiled for tests only.
    is_test: bool,
}

struct Token {
    text: String,
    line: usize,
}

/// A path that leaves the module that it stands in.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) root: Root,
    pub(crate) line: usize,
    /// Whether it is compiled for tests only.
    pub(crate) is_test: bool,
}

#[derive(Debug)]
pub(crate) enum Root {
    /// A top-level module of this package.
    Module(String),
    /// Another crate, or `std::` and a module of it.
    Outside(String),
}

impl SourceFile {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            tokens: tokens(text),
            is_test: false,
        }
    }

    /// All files below `folder` but `lib.rs`, which only declares the modules.
    pub(crate) fn read_all(folder: &Path) -> Vec<Self> {
        let mut files = Vec::new();
        read_folder(folder, "", &mut files);
        let test_modules: HashSet<String> = files.iter().flat_map(Self::test_modules).collect();
        for file in &mut files {
            let module = file.module_path().join("/");
            file.is_test = test_modules.iter().any(|test| module.starts_with(test.as_str()));
        }
        files
    }

    /// The top-level module that the file belongs to.
    pub(crate) fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    fn module_path(&self) -> Vec<String> {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        path.strip_suffix("/mod")
            .unwrap_or(path)
            .split('/')
            .map(str::to_owned)
            .collect()
    }

    /// Modules in other files that this one declares for tests.
    fn test_modules(&self) -> Vec<String> {
        let declarations = self.tokens.windows(TEST_MARK.len() + 3).filter(|window| {
            is_test_mark(window)
                && window[TEST_MARK.len()].text == "mod"
                && window[TEST_MARK.len() + 2].text == ";"
        });
        declarations
            .map(|window| {
                format!(
                    "{}/{}",
                    self.module_path().join("/"),
                    window[TEST_MARK.len() + 1].text
                )
            })
            .collect()
    }

    pub(crate) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        let mut module_path = self.module_path();
        // The brace depths at which inline modules began, and whether they are for tests.
        let (mut depth, mut inline): (usize, Vec<(usize, bool)>) = (0, Vec::new());
        for (index, token) in self.tokens.iter().enumerate() {
            let before = |count: usize| index.checked_sub(count).map_or("", |index| self.text(index));
            match token.text.as_str() {
                "{" => {
                    if before(2) == "mod" {
                        let start = index.saturating_sub(2 + TEST_MARK.len());
                        inline.push((depth, is_test_mark(&self.tokens[start..])));
                        module_path.push(before(1).to_owned());
                    }
                    depth += 1;
                }
                "}" => {
                    depth = depth.saturating_sub(1);
                    if inline.last().is_some_and(|(start, _)| *start == depth) {
                        inline.pop();
                        module_path.pop();
                    }
                }
                word if is_word(word) && !matches!(before(1), "::" | ".") && self.text(index + 1) == "::" => {
                    let is_test = self.is_test || inline.iter().any(|(_, is_test)| *is_test);
                    let roots = self.roots(index, &module_path);
                    let line = token.line;
                    imports.extend(roots.into_iter().map(|root| Import { root, line, is_test }));
                }
                _ => {}
            }
        }
        imports
    }

    /// Where the path or paths that start at `index` lead to, if they leave the module.
    fn roots(&self, mut index: usize, module_path: &[String]) -> Vec<Root> {
        let first = self.text(index).to_owned();
        let mut depth = match first.as_str() {
            "crate" | "samtok" => 0,
            "self" | "super" => module_path.len(),
            "std" => {
                let parts = self.heads(index + 2);
                return parts
                    .into_iter()
                    .map(|part| Root::Outside(format!("std::{part}")))
                    .collect();
            }
            _ => return vec![Root::Outside(first)],
        };
        while matches!(self.text(index), "self" | "super") {
            if self.text(index) == "super" {
                depth = depth.saturating_sub(1);
            }
            index += 2;
        }
        if matches!(self.text(index), "crate" | "samtok") {
            index += 2;
        }
        if depth > 0 {
            return Vec::new();
        }
        self.heads(index).into_iter().map(Root::Module).collect()
    }

    /// The first words of the paths at `index`: one word, or those of a group in braces.
    fn heads(&self, index: usize) -> Vec<String> {
        if self.text(index) != "{" {
            let head = self.text(index);
            return if is_word(head) {
                vec![head.to_owned()]
            } else {
                Vec::new()
            };
        }
        let (mut heads, mut depth) = (Vec::new(), 0);
        for index in index.. {
            match self.text(index) {
                "{" => depth += 1,
                "}" => depth -= 1,
                word if depth == 1 && is_word(word) && matches!(self.text(index - 1), "{" | ",") => {
                    heads.push(word.to_owned());
                }
                _ => {}
            }
            if depth == 0 || index >= self.tokens.len() {
                break;
            }
        }
        heads
    }

    fn text(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &token.text)
    }
}

const TEST_MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];

fn is_test_mark(tokens: &[Token]) -> bool {
    tokens.len() >= TEST_MARK.len()
        && tokens
            .iter()
            .zip(TEST_MARK)
            .all(|(token, mark)| token.text == mark)
}

fn read_folder(folder: &Path, prefix: &str, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let below = format!("{prefix}{name}");
        if path.is_dir() {
            read_folder(&path, &format!("{below}/"), files);
        } else if name.ends_with(".rs") && below != "lib.rs" {
            files.push(SourceFile::new(&below, &fs::read_to_string(&path).unwrap()));
        }
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words and symbols, with `::` as one symbol; comments, strings, characters and lifetimes are left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(c) = rest.chars().next() {
        let word = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let (length, is_token) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), false)
        } else if rest.starts_with("/*") {
            (block_comment(rest), false)
        } else if let Some(length) = string(rest) {
            (length, false)
        } else if c == '\'' {
            (character_or_lifetime(rest), false)
        } else if word > 0 {
            (word, true)
        } else if rest.starts_with("::") {
            (2, true)
        } else {
            (c.len_utf8(), !c.is_whitespace())
        };
        let (token, after) = rest.split_at(length);
        if is_token {
            tokens.push(Token {
                text: token.to_owned(),
                line,
            });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

/// Length of a comment that may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        match bytes.get(index..index + 2) {
            Some(b"/*") => depth += 1,
            Some(b"*/") => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            break;
        }
    }
    index
}

/// Length of a string literal at the start of the text, if there is one.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "r", "b", "c", ""].into_iter().find(|prefix| {
        let rest = text.strip_prefix(prefix).map(|rest| rest.trim_start_matches('#'));
        let is_raw = prefix.ends_with('r');
        rest.is_some_and(|rest| rest.starts_with('"')) && (is_raw || text[prefix.len()..].starts_with('"'))
    })?;
    let rest = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let start = prefix.len() + hashes + 1;
        return Some(
            text[start..]
                .find(&end)
                .map_or(text.len(), |length| start + length + end.len()),
        );
    }
    let mut is_escaped = false;
    let closing = rest.char_indices().skip(1).find(|&(_, c)| {
        let closes = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        closes
    });
    Some(closing.map_or(text.len(), |(index, _)| prefix.len() + index + 1))
}

/// Length of `'x'`, `'\n'` or `'a` at the start of the text.
fn character_or_lifetime(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next().unwrap_or((0, ' '));
    if first == '\\' {
        // The escaped character may be a quote itself.
        let closing = chars.skip(1).find(|&(_, c)| c == '\'');
        return closing.map_or(text.len(), |(index, _)| index + 1);
    }
    match chars.next() {
        Some((index, '\'')) => index + 1,
        _ => {
            1 + text[1..]
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(text.len() - 1)
        }
    }
}
