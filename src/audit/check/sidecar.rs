//! Reads a sidecar for checking: strictly, and where that fails, all of it that can be read by itself.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::findings::{Code, Subject};
use super::recorder::Recorder;
use crate::dataset::format::{self, FormatError};
use crate::dataset::{Conversation, Document, Region};

/// What could be read of a sidecar, beside the values as the file has them.
#[derive(Debug)]
pub(super) struct ReadSidecar {
    /// The document; regions and conversations that could not be read are left out.
    pub(super) document: Document,
    /// The file, for the keys that a document derives and so does not keep.
    raw: Value,
    /// Where in the file the regions of the document are.
    region_indices: Vec<usize>,
    conversation_indices: Vec<usize>,
    /// Ids of regions that were left out.
    pub(super) unread_ids: HashSet<String>,
}

impl ReadSidecar {
    /// Reads the bytes of a sidecar and records what is wrong with them; `None` where nothing can be made of them.
    pub(super) fn read(bytes: &[u8], recorder: &mut Recorder<'_>) -> Option<Self> {
        let raw = || {
            let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            serde_json::from_slice::<Value>(bytes).ok()
        };
        match format::read(bytes) {
            Ok(document) => Some(Self {
                raw: raw()?,
                region_indices: (0..document.regions.len()).collect(),
                conversation_indices: (0..document.conversations.len()).collect(),
                unread_ids: HashSet::new(),
                document,
            }),
            Err(error @ (FormatError::Invalid { .. } | FormatError::MaskSize { .. })) => {
                Self::salvage(raw()?, &error, recorder)
            }
            Err(error) => {
                recorder.add(Code::SidecarUnreadable, &Subject::Image, error.to_string());
                None
            }
        }
    }

    /// Reads the head of the document, then every region and conversation by itself.
    fn salvage(raw: Value, error: &FormatError, recorder: &mut Recorder<'_>) -> Option<Self> {
        let mut head = raw.as_object()?.clone();
        let [regions, conversations] = ["regions", "conversations"].map(|key| take_list(&mut head, key));
        let document = match read_value(Value::Object(head)) {
            Ok(document) => document,
            Err(error) => {
                add_error(&error, &Subject::Image, "", "", recorder);
                return None;
            }
        };
        let mut sidecar = Self {
            document,
            raw,
            region_indices: Vec::new(),
            conversation_indices: Vec::new(),
            unread_ids: HashSet::new(),
        };
        let mut errors = 0;
        for (index, value) in regions.into_iter().enumerate() {
            let id = id_of(&value);
            let subject = id.clone().map_or(Subject::Image, Subject::Region);
            match sidecar.read_region(value) {
                Ok(Some(region)) if sidecar.document.region(&region.id).is_some() => {
                    errors += 1;
                    add_duplicate(
                        "region",
                        &region.id,
                        format!("regions[{index}].id"),
                        &subject,
                        recorder,
                    );
                }
                Ok(Some(region)) => {
                    sidecar.document.regions.push(region);
                    sidecar.region_indices.push(index);
                }
                Ok(None) => {}
                Err(error) => {
                    errors += 1;
                    sidecar.unread_ids.extend(id);
                    add_error(
                        &error,
                        &subject,
                        "regions[0]",
                        &format!("regions[{index}]"),
                        recorder,
                    );
                }
            }
        }
        let mut ids = HashSet::new();
        for (index, value) in conversations.into_iter().enumerate() {
            let subject = id_of(&value).map_or(Subject::Image, Subject::Conversation);
            match sidecar.read_conversation(value) {
                Ok(Some(conversation)) if !ids.insert(conversation.id.clone()) => {
                    errors += 1;
                    let at = format!("conversations[{index}].id");
                    add_duplicate("conversation", &conversation.id, at, &subject, recorder);
                }
                Ok(Some(conversation)) => {
                    sidecar.document.conversations.push(conversation);
                    sidecar.conversation_indices.push(index);
                }
                Ok(None) => {}
                Err(error) => {
                    errors += 1;
                    let at = format!("conversations[{index}]");
                    add_error(&error, &subject, "conversations[0]", &at, recorder);
                }
            }
        }
        if errors == 0 {
            // Every part can be read and the whole cannot, so the reason is one that no part shows.
            add_error(error, &Subject::Image, "", "", recorder);
        }
        Some(sidecar)
    }

    /// The region in `value`, read as the only one of its document.
    fn read_region(&self, value: Value) -> Result<Option<Region>, FormatError> {
        let tokenizer = value.pointer("/words/tokenizer").and_then(Value::as_str);
        let is_listed = |id: &&str| self.document.tokenizers.iter().any(|known| known.id == **id);
        let mut document = self.empty_document();
        if let Some(id) = tokenizer.filter(is_listed) {
            let stand_in = json!({"fingerprint": "", "codebook_size": 1, "codebook_depth": 1});
            document.insert("tokenizers".to_owned(), json!({id: stand_in}));
        }
        document.insert("regions".to_owned(), Value::Array(vec![value]));
        Ok(read_value(Value::Object(document))?.regions.pop())
    }

    fn read_conversation(&self, value: Value) -> Result<Option<Conversation>, FormatError> {
        let mut document = self.empty_document();
        document.insert("conversations".to_owned(), Value::Array(vec![value]));
        Ok(read_value(Value::Object(document))?.conversations.pop())
    }

    /// A document about the same image and nothing else.
    fn empty_document(&self) -> Map<String, Value> {
        let mut document = Map::new();
        for key in ["format", "version", "image"] {
            document.insert(key.to_owned(), self.raw.get(key).cloned().unwrap_or_default());
        }
        document
    }

    /// The regions, each with its JSON path and the object in the file.
    pub(super) fn regions(&self) -> impl Iterator<Item = (&Region, String, &Value)> {
        placed("regions", &self.document.regions, &self.region_indices, &self.raw)
    }

    /// The conversations, likewise.
    pub(super) fn conversations(&self) -> impl Iterator<Item = (&Conversation, String, &Value)> {
        let conversations = &self.document.conversations;
        placed(
            "conversations",
            conversations,
            &self.conversation_indices,
            &self.raw,
        )
    }
}

fn placed<'a, T>(
    key: &'static str,
    items: &'a [T],
    indices: &'a [usize],
    raw: &'a Value,
) -> impl Iterator<Item = (&'a T, String, &'a Value)> {
    items.iter().zip(indices).map(move |(item, &index)| {
        let value = raw.get(key).and_then(|list| list.get(index));
        (item, format!("{key}[{index}]"), value.unwrap_or(&Value::Null))
    })
}

/// Takes the list out; what is no list stays, for the reader to say so.
fn take_list(object: &mut Map<String, Value>, key: &str) -> Vec<Value> {
    match object.get_mut(key) {
        Some(Value::Array(items)) => std::mem::take(items),
        _ => Vec::new(),
    }
}

fn id_of(value: &Value) -> Option<String> {
    let id = value.get("id")?.as_str()?;
    (!id.is_empty()).then(|| id.to_owned())
}

fn read_value(value: Value) -> Result<Document, FormatError> {
    format::read(value.to_string().as_bytes())
}

fn add_duplicate(what: &str, id: &str, at: String, subject: &Subject, recorder: &mut Recorder<'_>) {
    let message = format!("{id:?} is the id of another {what} too; only the first one was checked");
    recorder.add_at(Code::DuplicateId, subject, at, message);
}

/// Records an error of the reader; its path begins with `place` where it read `stand_in`.
fn add_error(
    error: &FormatError,
    subject: &Subject,
    stand_in: &str,
    place: &str,
    recorder: &mut Recorder<'_>,
) {
    let placed = |at: &str| {
        at.strip_prefix(stand_in)
            .map_or(at.to_owned(), |rest| format!("{place}{rest}"))
    };
    match error {
        FormatError::Invalid { at, reason } => {
            let is_mask = at.ends_with(".mask.counts");
            let code = if is_mask {
                Code::MaskInvalid
            } else {
                Code::ValueInvalid
            };
            recorder.add_at(code, subject, placed(at), reason.as_str());
        }
        FormatError::MaskSize { at, found, expected } => {
            let message = format!("the mask has {found} pixels and the image {expected}");
            recorder.add_at(Code::MaskSizeDiffers, subject, placed(at), message);
        }
        other => recorder.add(Code::SidecarUnreadable, subject, other.to_string()),
    }
}
