//! The tokens that a language model has to learn before it can read any of this.

use serde_json::{Map, Value};

use super::super::{OutputFolder, Result};
use crate::words::WordFormat;

/// The file; `transformers` knows it by this name.
pub(super) const FILE: &str = "added_tokens.json";

/// Writes the words of `format` in the published order as `{token: id}`, the form of `transformers`, with ids from
/// `first_id` on.
///
/// In Python: `tokenizer.add_tokens([AddedToken(token, normalized=False) for token in json.load(file)])`; the ids
/// are then those of the file if `first_id` is the length of the tokenizer.
pub(super) fn write(out: &OutputFolder, format: WordFormat, first_id: u32) -> Result<()> {
    let tokens: Map<String, Value> = format
        .new_tokens()
        .zip(u64::from(first_id)..)
        .map(|(token, id)| (token, id.into()))
        .collect();
    out.write(FILE, format!("{:#}\n", Value::from(tokens)).as_bytes())
}
