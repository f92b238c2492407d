//! The safetensors header: eight bytes of length, a JSON table of tensors, then their bytes.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use super::blob::Blob;
use super::dtype::Dtype;
use super::error::{WeightsError, printable};
use super::source::Source;
use super::tensor::Tensor;

/// Larger headers are refused; one of a thousand tensors has 0.1 MB.
const MAX_HEADER_BYTES: u64 = 32 << 20;
const METADATA: &str = "__metadata__";

/// Length of the header if `start`, the first bytes of a file, look like those of a safetensors file.
pub(super) fn header_len(start: &[u8]) -> Option<u64> {
    let (len, rest) = start.split_first_chunk::<8>()?;
    (rest.first() == Some(&b'{')).then(|| u64::from_le_bytes(*len))
}

/// What a safetensors file holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: BTreeMap<String, String>,
    pub notices: Vec<String>,
}

/// Reads the table of a file whose header has `header_len` bytes.
pub(super) fn read(source: &Source, header_len: u64) -> Result<Contents, WeightsError> {
    let data_start = header_len.checked_add(8).filter(|&start| start <= source.len());
    let data_start = data_start.ok_or_else(|| source.damaged("its header is longer than the file"))?;
    if header_len > MAX_HEADER_BYTES {
        return Err(source.damaged("its header is larger than any model needs"));
    }
    let header = source
        .read_vec(8, header_len)
        .map_err(|error| source.read_error(error))?;
    let header: Header = serde_json::from_slice(&header)
        .map_err(|error| source.damaged(format!("its header is no table: {error}")))?;
    let data = Blob::plain(data_start, source.len() - data_start);
    check_ranges(source, &header, data.len)?;

    let mut contents = Contents {
        metadata: header.metadata,
        ..Contents::default()
    };
    for (name, entry) in header.entries {
        let damaged = |reason: &str| source.damaged(format!("tensor {} {reason}", printable(&name)));
        let Some(dtype) = Dtype::from_safetensors(&entry.dtype) else {
            let (name, dtype) = (printable(&name), printable(&entry.dtype));
            contents.notices.push(format!(
                "tensor {name} has the type {dtype}, which is not supported; ignored"
            ));
            continue;
        };
        let (begin, end) = entry.data_offsets;
        let blob = Blob::plain(data_start + begin, end - begin);
        let tensor = Tensor::new(dtype, entry.shape, blob, 0, None).map_err(damaged)?;
        if tensor.info.numel() as u64 * dtype.bytes() as u64 != blob.len {
            return Err(damaged("has more or fewer bytes than its shape says"));
        }
        contents.tensors.insert(name, tensor);
    }
    Ok(contents)
}

/// The ranges must follow each other without overlap or gap and end with the file, as the format demands.
fn check_ranges(source: &Source, header: &Header, data_len: u64) -> Result<(), WeightsError> {
    let mut ranges: Vec<(u64, u64)> = header.entries.values().map(|entry| entry.data_offsets).collect();
    ranges.sort_unstable();
    let mut expected = 0;
    for (begin, end) in ranges {
        if begin != expected || end < begin {
            return Err(source.damaged("its tensors overlap or leave gaps"));
        }
        expected = end;
    }
    if expected > data_len {
        let missing = expected - data_len;
        return Err(source.damaged(format!(
            "the last {missing} bytes are missing, as after a download that stopped early"
        )));
    }
    if expected < data_len {
        return Err(source.damaged("it goes on after its last tensor"));
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

#[derive(Default)]
struct Header {
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// Written out because a derived map silently keeps the last of two equal names.
struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                header.metadata = map.next_value()?;
            } else if header.entries.insert(name, map.next_value()?).is_some() {
                return Err(A::Error::custom("two tensors have one name"));
            }
        }
        Ok(header)
    }
}
