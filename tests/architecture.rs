//! Holds the layers apart: what is not listed here, no module may import.
//!
//! Reads the paths in `src/**/*.rs`: `crate::…` and `super::…` that lead to another top-level module, and the names
//! of outside crates. A module or a dependency that is missing from the tables fails the test.

mod source;

use source::{Import, Root, SourceFile};
use std::fs;
use std::path::Path;

/// The modules, lower layers first; a module may import those of lower layers.
const LAYERS: &[&[&str]] = &[
    &["atomic_file", "geometry"],
    &["mask", "words"],
    &["image_file", "scores"],
    &["tokenizer", "dataset", "picture", "scenes", "tools"],
    &["audit", "evaluation", "interchange", "language", "training"],
    &["worker"],
    &["command"],
    &["settings"],
    &["locale", "session"],
    &["app", "cli"],
    &["main"],
];

const EVERYWHERE: &[&str] = &[""];

/// Which parts of the source, outside of tests, may name which crate or part of the standard library.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("anyhow", &["app", "cli", "main.rs"]),
    ("base64", &["interchange", "language/served"]),
    (
        "blake3",
        &[
            "audit",
            "cli",
            "dataset",
            "interchange",
            "session",
            "tokenizer",
            "training",
            "worker",
        ],
    ),
    ("bytemuck", &["app/render"]),
    (
        "candle_core",
        &["language/qwen3_vl", "tokenizer", "training", "worker"],
    ),
    ("candle_nn", &["language/qwen3_vl", "tokenizer", "training"]),
    ("clap", &["cli"]),
    (
        "crossbeam_channel",
        &["app/native_dialog.rs", "language", "training", "worker"],
    ),
    ("ctrlc", &["cli/train"]),
    ("directories", &["settings.rs"]),
    ("eframe", &["app"]),
    ("egui", &["app"]),
    ("egui_wgpu", &["app/render"]),
    ("flate2", &["tokenizer/weights"]),
    ("gemm", &["tokenizer/ops"]),
    ("half", &["language/qwen3_vl", "tokenizer"]),
    ("image", &["image_file"]),
    ("indicatif", &["cli"]),
    ("libmimalloc_sys", &["main.rs"]),
    ("mimalloc", &["main.rs"]),
    ("notify", &["worker/watch.rs"]),
    ("parquet", &["interchange/training"]),
    ("png", &["interchange"]),
    ("pollster", &["app/native_dialog.rs"]),
    ("pulp", &["language/qwen3_vl", "tokenizer/ops"]),
    ("quick_xml", &["interchange"]),
    (
        "rayon",
        &[
            "audit",
            "cli",
            "dataset/index",
            "evaluation",
            "image_file",
            "interchange/folder.rs",
            "interchange/training/import",
            "language/qwen3_vl",
            "picture",
            "scenes",
            "tokenizer",
            "training",
        ],
    ),
    ("regex", &["dataset/index"]),
    ("rfd", &["app/native_dialog.rs"]),
    ("rusqlite", &["dataset/index"]),
    (
        "serde",
        &[
            "dataset/format/node.rs",
            "interchange",
            "language",
            "settings",
            "tokenizer/config.rs",
            "tokenizer/weights",
        ],
    ),
    (
        "serde_json",
        &[
            "app/panels",
            "audit",
            "cli",
            "dataset",
            "interchange",
            "language",
            "locale.rs",
            "scores",
            "settings",
            "tokenizer/config.rs",
            "tokenizer/weights",
            "training/state.rs",
            "worker/propose",
        ],
    ),
    ("sysinfo", &["language/qwen3_vl"]),
    (
        "tempfile",
        &[
            "atomic_file.rs",
            "cli",
            "interchange/output.rs",
            "interchange/shelf.rs",
            "interchange/staging.rs",
            "settings",
        ],
    ),
    ("thiserror", EVERYWHERE),
    ("tiff", &["image_file"]),
    ("tokenizers", &["language/qwen3_vl"]),
    ("tracing", EVERYWHERE),
    ("tracing_subscriber", &["cli/diagnostics.rs"]),
    ("ureq", &["language/served"]),
    ("wgpu", &["app/render"]),
    // Threads of our own, as against those of rayon.
    (
        "std::thread",
        &[
            "app/native_dialog.rs",
            "cli",
            "dataset/lock.rs",
            "interchange/export.rs",
            "interchange/folder.rs",
            "language/served",
            "training",
            "worker",
        ],
    ),
];

/// Every import of `file` that the tables do not allow, as a sentence.
fn violations(file: &SourceFile) -> Vec<String> {
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let own = file.module();
    let Some(own_layer) = layer(own) else {
        return vec![format!("src/{}: module {own} is in no layer", file.path)];
    };
    let mut violations = Vec::new();
    let mut refuse = |import: &Import, what: String| {
        violations.push(format!(
            "src/{}:{}: {own} must not import {what}",
            file.path, import.line
        ));
    };
    for import in file.imports() {
        match &import.root {
            Root::Module(module) if module == own => {}
            Root::Module(module) => {
                if layer(module).is_none_or(|layer| layer >= own_layer) {
                    refuse(&import, format!("crate::{module}"));
                }
            }
            Root::Outside(name) => {
                let rows = OUTSIDE.iter().filter(|(outside, _)| outside == name);
                for (_, places) in rows {
                    if !import.is_test && !places.iter().any(|place| is_in(&file.path, place)) {
                        refuse(&import, name.clone());
                    }
                }
            }
        }
    }
    violations
}

/// Whether a file is `place`, or in the folder or module of that name.
fn is_in(path: &str, place: &str) -> bool {
    let Some(rest) = path.strip_prefix(place) else {
        return false;
    };
    place.is_empty() || rest.is_empty() || rest == ".rs" || rest.starts_with('/')
}

fn manifest_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn no_module_imports_a_higher_one() {
    let files = SourceFile::read_all(&manifest_folder().join("src"));
    let violations: Vec<String> = files.iter().flat_map(violations).collect();
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
    let imports = files.iter().map(|file| file.imports().len()).sum::<usize>();
    assert!(
        files.len() > 50 && imports > 300,
        "only {} files and {imports} imports were read",
        files.len()
    );
}

#[test]
fn every_dependency_has_its_places() {
    let manifest = fs::read_to_string(manifest_folder().join("Cargo.toml")).unwrap();
    let dependencies = manifest
        .split("\n[")
        .filter(|section| section.starts_with("dependencies]"))
        .flat_map(|section| section.lines().skip(1))
        .filter_map(|line| Some(line.split_once('=')?.0.trim().replace('-', "_")))
        .filter(|name| !name.starts_with('#'));
    let unlisted: Vec<String> = dependencies
        .filter(|name| !OUTSIDE.iter().any(|(outside, _)| outside == name))
        .collect();
    assert!(unlisted.is_empty(), "say who may use {unlisted:?}");
}

#[test]
fn forbidden_imports_are_found() {
    let cases = [
        ("mask/mod.rs", "use crate::geometry::ImageSize;", 0),
        ("mask/mod.rs", "use crate::words::parse;", 1),
        (
            "mask/mod.rs",
            "use crate::{geometry::A, words::{b}, tokenizer};",
            2,
        ),
        ("mask/mod.rs", "fn f() { crate::dataset::g() }", 1),
        ("mask/mod.rs", "use super::words::parse;", 1),
        ("mask/rle.rs", "use super::Mask;", 0),
        ("mask/rle.rs", "use super::super::words;", 1),
        ("geometry.rs", "mod tests { use super::*; }", 0),
        ("geometry.rs", "mod tests { use super::super::mask::Mask; }", 1),
        (
            "mask/mod.rs",
            "// use crate::words;\n/* crate::words /* x */ */ const A: &str = \"crate::words\";",
            0,
        ),
        (
            "mask/mod.rs",
            "const A: char = '\"'; use crate::words; const B: char = '\"';",
            1,
        ),
        (
            "mask/mod.rs",
            "const A: &str = r#\" \" crate::words \"#; fn f<'a>(a: &'a str) { crate::words::f(a) }",
            1,
        ),
        ("mask/mod.rs", "use candle_core::Tensor;", 1),
        ("mask/mod.rs", "#[derive(serde::Serialize)] struct A;", 1),
        ("mask/mod.rs", "use std::{fs, thread};", 1),
        ("mask/mod.rs", "use std::{fs, fmt}; std::fmt::f()", 0),
        ("mask/mod.rs", "mod tests { use rayon::prelude::*; }", 1),
        (
            "mask/mod.rs",
            "#[cfg(test)] mod tests { use rayon::prelude::*; } fn f() { image::f() }",
            1,
        ),
        ("mask/mod.rs", "x.image::<u8>(); self.rayon::<u8>()", 0),
        ("tokenizer/config.rs", "use serde_json::Value;", 0),
        ("tokenizer/model.rs", "use serde_json::Value;", 1),
        ("cli/mod.rs", "use crate::app::App; use clap::Parser as _;", 1),
        ("main.rs", "use samtok::cli::Cli; use mimalloc::MiMalloc;", 0),
        ("widgets.rs", "", 1),
    ];
    for (path, text, expected) in cases {
        let found = violations(&SourceFile::new(path, text));
        assert_eq!(found.len(), expected, "{path}: {text}\n{found:?}");
    }
}
