//! Training data for multimodal language models, in the published forms, and back without loss.
//!
//! [`export`] turns documents into records ([`Kind`]) with the published wording ([`Templates`]), and records into
//! files ([`Container`]), split into training, validation and test ([`Split`]).
//! The published record cannot hold most of a document. Unless [`TrainingOptions::own_key`] is off, every record
//! therefore carries one more key, a string that trainers ignore: in an image's first record the whole document,
//! and in every record a hash of what it says. [`import`] takes the document from there, and takes a record whose
//! hash no longer fits as a conversation of its own. Records of others are read for what they say.

mod added_tokens;
mod error;
mod export;
mod import;
mod manifest;
mod record;
mod records;
mod rendering;
mod rl_parquet;
#[cfg(test)]
mod sample;
mod shards;
mod splitting;
mod templates;
#[cfg(test)]
mod tests;
mod zoom;

pub use self::error::TrainingError;
pub use self::export::{export, preview};
pub use self::import::import;
pub use self::manifest::Manifest;
pub use self::record::Kind;
pub use self::shards::WrittenFile;
pub use self::splitting::{Group, Part, Split};
pub use self::templates::Templates;
pub use self::zoom::ZoomTokenizer;

use crate::dataset::Status;
use std::path::PathBuf;

/// The shape of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// A JSON list of LLaVA records: `image`, `conversations`, `segmentation`.
    Llava,
    /// The same, one record per line.
    Jsonl,
    /// A JSON list of `conversations` and `images`, for LLaMA-Factory.
    ShareGpt,
    /// One record of `messages` and `images` per line, for ms-swift and LLaMA-Factory.
    Messages,
    /// Parquet rows for reinforcement learning: `images`, `problem`, `answer`, `masks`, `source`.
    RlParquet,
}

impl Container {
    /// All containers, in the order in which they are listed to people.
    pub const ALL: [Self; 5] = [
        Self::Llava,
        Self::Jsonl,
        Self::ShareGpt,
        Self::Messages,
        Self::RlParquet,
    ];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llava => "llava",
            Self::Jsonl => "jsonl",
            Self::ShareGpt => "sharegpt",
            Self::Messages => "messages",
            Self::RlParquet => "rl-parquet",
        }
    }

    /// What it is, in a few words.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Llava => "LLaVA records in JSON lists",
            Self::Jsonl => "LLaVA records line by line",
            Self::ShareGpt => "ShareGPT records, for LLaMA-Factory",
            Self::Messages => "records of messages, for ms-swift and LLaMA-Factory",
            Self::RlParquet => "parquet rows for reinforcement learning",
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Llava | Self::ShareGpt => "json",
            Self::Jsonl | Self::Messages => "jsonl",
            Self::RlParquet => "parquet",
        }
    }
}

/// How to make training data.
#[derive(Clone, Debug)]
pub struct TrainingOptions {
    /// The beginning of every file name.
    pub name: String,
    /// The shape of the files.
    pub container: Container,
    /// What to make records of.
    pub kinds: Vec<Kind>,
    /// How far work has to be to be used, by its own status or by that of its image; rejected work never is.
    pub min_status: Status,
    /// How images are split.
    pub split: Split,
    /// Another seed chooses other templates.
    pub seed: u64,
    /// The wording.
    pub templates: Templates,
    /// Most records per file.
    pub shard_records: u64,
    /// Name images by absolute paths instead of paths below the annotated folder.
    pub absolute_paths: bool,
    /// Whether copies of the images are in the output folder's `images`; paths of crops start there then, because
    /// that is where a trainer looks for images.
    pub copied_images: bool,
    /// Put the image files inside parquet files; without it, rows have paths alone.
    pub embed_images: bool,
    /// Carry what the published record cannot hold in a key of our own.
    pub own_key: bool,
    /// Put an empty thought, `<think>\n\n</think>\n\n`, before every answer, for models that think.
    pub empty_thought: bool,
    /// The id of the first new token: the length of the language model's tokenizer.
    pub first_token_id: u32,
    /// Where the output folder will be in the end, if it is made elsewhere; paths of crops lead there.
    pub destination: Option<PathBuf>,
}

impl TrainingOptions {
    /// Everything that is not rejected, for training, in the published wording.
    #[must_use]
    pub fn new(container: Container) -> Self {
        /// The length of Qwen3-VL's tokenizer, the base of the recommended published models.
        const QWEN3_VL: u32 = 151_669;
        Self {
            name: "samtok".to_owned(),
            container,
            kinds: Kind::ALL.to_vec(),
            min_status: Status::Draft,
            split: Split::default(),
            seed: 0,
            templates: Templates::default(),
            shard_records: 10_000,
            absolute_paths: false,
            copied_images: false,
            embed_images: true,
            own_key: true,
            empty_thought: false,
            first_token_id: QWEN3_VL,
            destination: None,
        }
    }
}
