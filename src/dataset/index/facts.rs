//! What the index keeps of one sidecar: all of it can be derived again.

use std::collections::BTreeMap;
use std::fs::Metadata;

use super::super::document::Document;
use super::super::folder;
use super::super::vocabulary::Status;
use super::text::SearchText;

/// What lists show of a document and filter by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    pub(super) status: Status,
    pub(super) regions: u32,
    pub(super) captions: u32,
    pub(super) conversations: u32,
    /// The lowest round-trip IoU of a region; `None` where no region has one.
    pub(super) lowest_iou: Option<f64>,
    /// How many regions have each label.
    pub(super) labels: BTreeMap<String, u32>,
    /// How many regions use each code.
    pub(super) codes: BTreeMap<Code, u32>,
    pub(super) text: SearchText,
}

/// One code of a tokenizer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Code {
    /// The tokenizer.
    pub(super) fingerprint: String,
    /// Which of the words of a mask, from 0.
    pub(super) depth: u32,
    /// The code in the codebook of that depth.
    pub(super) code: u32,
}

impl Facts {
    pub(super) fn of(document: &Document) -> Self {
        let mut facts = Self {
            status: document.status,
            regions: count(document.regions.len()),
            captions: 0,
            conversations: count(document.conversations.len()),
            lowest_iou: None,
            labels: BTreeMap::new(),
            codes: BTreeMap::new(),
            text: SearchText::default(),
        };
        for region in &document.regions {
            if !region.label.is_empty() {
                *facts.labels.entry(region.label.clone()).or_default() += 1;
            }
            facts.captions = facts.captions.saturating_add(count(region.captions.len()));
            for caption in &region.captions {
                facts.text.add(&caption.text);
            }
            let Some(words) = &region.words else {
                continue;
            };
            if let Some(iou) = words.iou {
                facts.lowest_iou = Some(facts.lowest_iou.map_or(iou, |lowest| lowest.min(iou)));
            }
            let tokenizer = document
                .tokenizers
                .iter()
                .find(|tokenizer| tokenizer.id == words.tokenizer);
            let Some(tokenizer) = tokenizer else {
                continue;
            };
            for (depth, &code) in (0..).zip(&words.codes) {
                let fingerprint = tokenizer.fingerprint.clone();
                *facts
                    .codes
                    .entry(Code {
                        fingerprint,
                        depth,
                        code,
                    })
                    .or_default() += 1;
            }
        }
        for label in facts.labels.keys() {
            facts.text.add(label);
        }
        for turn in document
            .conversations
            .iter()
            .flat_map(|conversation| &conversation.turns)
        {
            facts.text.add(&turn.text);
        }
        facts.text.add(&document.notes);
        facts
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// By what a changed file is recognised without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) bytes: i64,
    /// Nanoseconds since 1970; `None` if the file must be read again whatever its time stamp is, because it changed
    /// so shortly before it was read that another change could have left the same one.
    pub(super) modified_ns: Option<i64>,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            bytes: bytes(metadata),
            modified_ns: folder::settled_ns(metadata),
        }
    }

    /// Whether the file is as it was.
    pub(super) fn still_holds(self, metadata: &Metadata) -> bool {
        self.bytes == bytes(metadata) && self.modified_ns == Some(folder::modified_ns(metadata))
    }
}

fn bytes(metadata: &Metadata) -> i64 {
    i64::try_from(metadata.len()).unwrap_or(i64::MAX)
}
