//! SAMTok Studio's library: image regions to mask words and back.
//!
//! Reading order, lower layers first; `tests/architecture.rs` checks that none imports a higher one.

pub mod atomic_file;
pub mod geometry;

pub mod mask;
pub mod words;

pub mod image_file;

pub mod dataset;
pub mod picture;
pub mod scenes;
pub mod tokenizer;

pub mod audit;
pub mod evaluation;
pub mod interchange;
pub mod language;
pub mod scores;
pub mod training;

pub mod tools;

pub mod worker;

pub mod command;
pub mod settings;

pub mod locale;
pub mod session;

#[cfg(feature = "gui")]
pub mod app;
pub mod cli;
