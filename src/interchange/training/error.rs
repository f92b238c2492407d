//! Why a training export had to stop.

use std::path::PathBuf;

/// A training export that cannot be made as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// The template file is none.
    #[error("these are no prompt templates: {reason}; start from a copy of the published file: {}", path.display())]
    Templates {
        /// What is wrong, with the place where it is known.
        reason: String,
        /// The file.
        path: PathBuf,
    },
    /// Words of two models would end up in one data set.
    #[error(
        "the mask words come from more than one tokenizer: {first} in {first_image}, {other} in {}; run `samtok tokenize` on the folder with one model first",
        listed(other_images, *more_images)
    )]
    MixedTokenizers {
        /// The tokenizer met first.
        first: String,
        /// The image it was met in.
        first_image: String,
        /// The next one.
        other: String,
        /// The first images with words of another tokenizer than the first.
        other_images: Vec<String>,
        /// How many more there are.
        more_images: usize,
    },
    /// Shares that make no split.
    #[error(
        "the shares {train}, {validation} and {test} make no split; use numbers of at least 0 that are not all 0"
    )]
    Shares {
        /// For training.
        train: f64,
        /// For validation.
        validation: f64,
        /// For testing.
        test: f64,
    },
    /// A data set name that is no file name.
    #[error("{name:?} cannot be part of a file name; use letters, digits, `-`, `_` and `.`")]
    Name {
        /// The name.
        name: String,
    },
}

fn listed(images: &[String], more: usize) -> String {
    let images = images.join(", ");
    match more {
        0 => images,
        more => format!("{images} and {more} more"),
    }
}
