//! Writes safetensors files, one tensor in memory at a time, and never leaves half a file behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::path::Path;

use half::f16;

use super::error::WeightsError;
use crate::atomic_file::{AtomicFile, Existing};

/// Header and data start at multiples of this, so that a reader may map whole cache lines.
const ALIGNMENT: usize = 64;
/// Values converted at a time.
const BLOCK: usize = 1 << 14;

/// Element type to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point: values are kept exactly.
    #[default]
    F32,
    /// 16-bit floating point: half the size, about three decimal digits, at most ±65504.
    F16,
}

impl Precision {
    const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

type Values<'a> = Box<dyn FnOnce() -> Result<Vec<f32>, WeightsError> + 'a>;

/// A tensor to write; its values are asked for when their turn comes.
pub struct NamedTensor<'a> {
    name: String,
    shape: Vec<usize>,
    values: Values<'a>,
}

impl<'a> NamedTensor<'a> {
    /// A tensor whose values, in row-major order, come from `values`.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        shape: impl Into<Vec<usize>>,
        values: impl FnOnce() -> Result<Vec<f32>, WeightsError> + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            values: Box::new(values),
        }
    }

    /// A tensor whose values are there already.
    #[must_use]
    pub fn from_values(name: impl Into<String>, shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        Self::new(name, shape, move || Ok(values))
    }

    fn numel(&self) -> usize {
        self.shape.iter().product()
    }
}

impl fmt::Debug for NamedTensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedTensor")
            .field("name", &self.name)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

/// Writes `tensors`, sorted by name, and `metadata` to `path`. The file appears whole or not at all: it is written
/// beside `path` under another name, forced to disk, and then renamed.
///
/// # Errors
/// [`WeightsError::Io`]; [`WeightsError::F16Overflow`] where a finite value would become infinite;
/// [`WeightsError::ValueCount`] where values and shape disagree; [`WeightsError::DuplicateName`];
/// and whatever a tensor's own closure returns.
pub fn safetensors<'a>(
    path: &Path,
    tensors: impl IntoIterator<Item = NamedTensor<'a>>,
    precision: Precision,
    metadata: &BTreeMap<String, String>,
) -> Result<(), WeightsError> {
    let write_error = || WeightsError::io("write", path);
    let mut file = AtomicFile::create(path).map_err(write_error())?;
    write_to(&mut file, tensors, precision, metadata, path)?;
    file.commit(Existing::Replace).map_err(write_error())
}

fn write_to<'a>(
    out: &mut impl Write,
    tensors: impl IntoIterator<Item = NamedTensor<'a>>,
    precision: Precision,
    metadata: &BTreeMap<String, String>,
    path: &Path,
) -> Result<(), WeightsError> {
    let write_error = || WeightsError::io("write", path);
    let mut tensors: Vec<NamedTensor<'_>> = tensors.into_iter().collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    let header = header(&tensors, precision, metadata)?;
    out.write_all(&(header.len() as u64).to_le_bytes())
        .map_err(write_error())?;
    out.write_all(&header).map_err(write_error())?;
    for NamedTensor { name, shape, values } in tensors {
        let values = values()?;
        let expected = shape.iter().product();
        if values.len() != expected {
            return Err(WeightsError::ValueCount {
                name,
                expected,
                given: values.len(),
            });
        }
        write_values(out, &name, &values, precision, path)?;
    }
    Ok(())
}

fn header(
    tensors: &[NamedTensor<'_>],
    precision: Precision,
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, WeightsError> {
    let mut names = BTreeSet::new();
    let mut table = serde_json::Map::new();
    if !metadata.is_empty() {
        table.insert("__metadata__".into(), serde_json::json!(metadata));
    }
    let mut begin = 0;
    for tensor in tensors {
        if !names.insert(tensor.name.as_str()) {
            return Err(WeightsError::DuplicateName {
                name: tensor.name.clone(),
            });
        }
        let end = begin + tensor.numel() * precision.bytes();
        let entry = serde_json::json!({
            "dtype": precision.name(), "shape": tensor.shape, "data_offsets": [begin, end]
        });
        table.insert(tensor.name.clone(), entry);
        begin = end;
    }
    let mut header = serde_json::Value::Object(table).to_string().into_bytes();
    // The format allows spaces after the table; the eight bytes of length come before it.
    let padded = (header.len() + 8).next_multiple_of(ALIGNMENT) - 8;
    header.resize(padded, b' ');
    Ok(header)
}

fn write_values(
    out: &mut impl Write,
    name: &str,
    values: &[f32],
    precision: Precision,
    path: &Path,
) -> Result<(), WeightsError> {
    let mut bytes = Vec::with_capacity(BLOCK * precision.bytes());
    for block in values.chunks(BLOCK) {
        bytes.clear();
        match precision {
            Precision::F32 => bytes.extend(block.iter().flat_map(|value| value.to_le_bytes())),
            Precision::F16 => {
                for &value in block {
                    let half = f16::from_f32(value);
                    if half.is_infinite() && value.is_finite() {
                        return Err(WeightsError::F16Overflow {
                            name: name.to_owned(),
                            value,
                        });
                    }
                    bytes.extend_from_slice(&half.to_le_bytes());
                }
            }
        }
        out.write_all(&bytes).map_err(WeightsError::io("write", path))?;
    }
    Ok(())
}
