//! What an export consists of, for people and for checks years later.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::record::Kind;
use super::shards::WrittenFile;
use super::splitting::{Group, Part};
use super::{Container, TrainingOptions};
use crate::dataset::Tokenizer;

/// The file.
pub(super) const FILE: &str = "manifest.json";

/// The account of an export; also written into its folder as `manifest.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The shape of the files.
    pub container: Container,
    /// The files, by path.
    pub files: Vec<WrittenFile>,
    /// Records by part and kind.
    pub records: BTreeMap<(Part, Kind), u64>,
    /// Images with a record, by part.
    pub images: BTreeMap<Part, u64>,
    /// Images without any record.
    pub images_without_records: u64,
    /// Regions of all images.
    pub regions: u64,
    /// The tokenizer of all mask words, if there were any.
    pub tokenizer: Option<Tokenizer>,
}

impl Manifest {
    /// The manifest's file, which is the same for the same export.
    pub(super) fn value(&self, options: &TrainingOptions) -> Value {
        let mut records = Map::new();
        for ((part, kind), count) in &self.records {
            let of_part = records.entry(part.name()).or_insert_with(|| json!({}));
            if let Some(of_part) = of_part.as_object_mut() {
                of_part.insert(kind.name().to_owned(), json!(count));
            }
        }
        let images: Map<String, Value> = self
            .images
            .iter()
            .map(|(part, count)| (part.name().to_owned(), json!(count)))
            .collect();
        let tokenizers: Vec<Value> = self.tokenizer.iter().map(tokenizer).collect();
        let [train, validation, test] = options.split.shares;
        let group = match &options.split.group {
            Group::Image => "image".to_owned(),
            Group::Folder => "folder".to_owned(),
            Group::Attribute(key) => format!("attribute:{key}"),
        };
        json!({
            "format": "samtok-training-data",
            "version": 1,
            "name": options.name,
            "container": self.container.name(),
            "tokenizers": tokenizers,
            "seed": options.seed,
            "templates_blake3": options.templates.blake3(),
            "min_status": options.min_status.as_str(),
            "split": {
                "shares": {"train": train, "validation": validation, "test": test},
                "group": group,
                "seed": options.split.seed,
            },
            "regions": self.regions,
            "images": images,
            "images_without_records": self.images_without_records,
            "records": records,
            "files": self.files.iter().map(WrittenFile::value).collect::<Vec<_>>(),
        })
    }

    /// What LLaMA-Factory has to know about each file; `None` for containers that it does not read.
    pub(super) fn dataset_info(&self) -> Option<Value> {
        let format = match self.container {
            Container::ShareGpt => json!({
                "formatting": "sharegpt",
                "columns": {"messages": "conversations", "images": "images"},
            }),
            Container::Messages => json!({
                "formatting": "sharegpt",
                "columns": {"messages": "messages", "images": "images"},
                "tags": {
                    "role_tag": "role",
                    "content_tag": "content",
                    "user_tag": "user",
                    "assistant_tag": "assistant",
                },
            }),
            Container::Llava | Container::Jsonl | Container::RlParquet => return None,
        };
        let mut datasets = Map::new();
        for file in &self.files {
            let (Some(part), Some(stem)) = (file.part, file.path.rsplit('/').next()) else {
                continue;
            };
            let stem = stem.split('.').next().unwrap_or(stem);
            let mut dataset = json!({"file_name": file.path});
            if let (Some(dataset), Some(format)) = (dataset.as_object_mut(), format.as_object()) {
                dataset.extend(format.clone());
            }
            datasets.insert(format!("{}_{stem}", part.name()), dataset);
        }
        Some(datasets.into())
    }
}

fn tokenizer(tokenizer: &Tokenizer) -> Value {
    json!({
        "name": tokenizer.name,
        "fingerprint": tokenizer.fingerprint,
        "codebook_size": tokenizer.codebook_size,
        "codebook_depth": tokenizer.codebook_depth,
    })
}
