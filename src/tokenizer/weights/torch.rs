//! Finds the tensors of a torch checkpoint: which pickled calls make tensors, and where their bytes lie.
//!
//! Only the calls that `torch.save` writes for tensors are understood. Every other function or class a file names
//! stays inert data; calls are listed in the notices.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::archive::Archive;
use super::blob::Blob;
use super::dtype::Dtype;
use super::error::{WeightsError, printable};
use super::pickle::{Id, Pickle, Value};
use super::source::Source;
use super::tensor::Tensor;

/// Larger pickles are refused; that of a billion parameters has a megabyte, since weights lie outside of it.
const MAX_PICKLE_BYTES: u64 = 64 << 20;
/// How deep a state dict may be nested in other dictionaries.
const MAX_NESTING: usize = 8;
/// Calls inside calls that lead to one tensor: a parameter of a subclass of a tensor.
const MAX_CALLS: usize = 8;
/// Where trainers keep the state dict, preferred to other dictionaries with tensors (optimizer states).
const STATE_DICT_KEYS: [&str; 3] = ["state_dict", "model", "module"];
/// Calls that are expected in checkpoints and carry no weights; not worth a notice.
const HARMLESS: [(&str, &str); 8] = [
    ("torch", "Size"),
    ("torch", "device"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
];

/// The tensors of a torch zip archive under the names of its state dict, and what was ignored.
pub(super) fn read(source: &Source) -> Result<(BTreeMap<String, Tensor>, Vec<String>), WeightsError> {
    let archive = Archive::open(source)?;
    let root = archive.root().ok_or_else(|| {
        source.unsupported(
            "this is a zip archive without a PyTorch checkpoint in it",
            "give a .safetensors or .pth file",
        )
    })?;
    check_byte_order(source, &archive, &root)?;
    let name = format!("{root}data.pkl");
    let blob = archive
        .blob(source, &name)?
        .ok_or_else(|| source.damaged("it has no data.pkl"))?;
    if blob.len > MAX_PICKLE_BYTES {
        return Err(source.damaged("its data.pkl is larger than any checkpoint needs"));
    }
    let bytes = blob
        .read_whole(source)
        .map_err(|error| source.read_error(error))?;
    let pickle = Pickle::parse(bytes).map_err(|error| source.damaged(error.to_string()))?;
    let state = StateDict {
        source,
        archive: &archive,
        root: &root,
        pickle: &pickle,
    };
    let (tensors, unsupported) = state.tensors()?;
    Ok((tensors, calls(&pickle).chain(unsupported).collect()))
}

fn check_byte_order(source: &Source, archive: &Archive, root: &str) -> Result<(), WeightsError> {
    let Some(blob) = archive
        .blob(source, &format!("{root}byteorder"))?
        .filter(|blob| blob.len < 16)
    else {
        return Ok(());
    };
    let order = blob
        .read_whole(source)
        .map_err(|error| source.read_error(error))?;
    if order == b"little" {
        return Ok(());
    }
    Err(source.unsupported(
        "the weights were saved on a big-endian machine",
        "load and save them with PyTorch on an ordinary machine",
    ))
}

/// A notice for each function that the file asks to call, other than for its tensors.
fn calls(pickle: &Pickle) -> impl Iterator<Item = String> {
    let functions: BTreeSet<(&str, &str)> = pickle
        .values()
        .filter_map(|value| match value {
            Value::Call { function, .. } => pickle.global(*function),
            _ => None,
        })
        .filter(|function| !HARMLESS.contains(function) && TensorCall::named(*function).is_none())
        .collect();
    functions.into_iter().map(|(module, name)| {
        let function = printable(&format!("{module}.{name}"));
        format!("this file asks to call {function}; ignored")
    })
}

/// The functions whose result is a tensor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TensorCall {
    /// (storage, offset, sizes, strides, …)
    Rebuild,
    /// The same with the element type as the seventh argument, for types without a storage class.
    RebuildWithDtype,
    /// (tensor, …)
    Parameter,
    /// (function, class, arguments, attributes)
    FromType,
}

impl TensorCall {
    fn named(function: (&str, &str)) -> Option<Self> {
        match function {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Some(Self::Rebuild),
            ("torch._utils", "_rebuild_tensor_v3") => Some(Self::RebuildWithDtype),
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Some(Self::Parameter),
            ("torch._tensor", "_rebuild_from_type_v2") => Some(Self::FromType),
            _ => None,
        }
    }
}

/// A pickled checkpoint with the archive its tensors lie in.
struct StateDict<'a> {
    source: &'a Source,
    archive: &'a Archive,
    root: &'a str,
    pickle: &'a Pickle,
}

impl StateDict<'_> {
    /// The tensors by name, and a notice for each that has an unsupported element type.
    fn tensors(&self) -> Result<(BTreeMap<String, Tensor>, Vec<String>), WeightsError> {
        let root = self.pickle.root();
        let Some((dict, _)) = self.find(root, 0, &mut HashSet::new()) else {
            return Err(self.no_state_dict(root));
        };
        let mut tensors = BTreeMap::new();
        let mut unsupported = Vec::new();
        for &(key, value) in self.pickle.dict(dict).unwrap_or_default() {
            let Some(name) = self.pickle.text(key) else {
                continue;
            };
            let Some((call, arguments)) = self.tensor_call(value) else {
                continue;
            };
            match self.tensor(call, arguments) {
                Ok(tensor) => drop(tensors.insert(name.to_owned(), tensor)),
                Err(Fault::ElementType) => {
                    let name = printable(name);
                    unsupported.push(format!(
                        "tensor {name} has an element type that is not supported; ignored"
                    ));
                }
                Err(Fault::Damaged(reason)) => {
                    return Err(self
                        .source
                        .damaged(format!("tensor {} {reason}", printable(name))));
                }
                Err(Fault::Other(error)) => return Err(error),
            }
        }
        Ok((tensors, unsupported))
    }

    /// The state dict in `id` and its number of tensors: below the usual keys, else `id` itself,
    /// else the largest one below any other key.
    fn find(&self, id: Id, depth: usize, seen: &mut HashSet<Id>) -> Option<(Id, usize)> {
        let entries = self.pickle.dict(id)?;
        // A dictionary may hold itself, or be held a thousand times.
        if depth > MAX_NESTING || !seen.insert(id) {
            return None;
        }
        for usual in STATE_DICT_KEYS {
            let below = entries
                .iter()
                .rev()
                .find(|entry| self.pickle.text(entry.0) == Some(usual));
            if let Some(found) = below.and_then(|entry| self.find(entry.1, depth + 1, seen)) {
                return Some(found);
            }
        }
        let is_tensor = |entry: &&(Id, Id)| {
            matches!(self.pickle.value(entry.0), Value::Text(_)) && self.tensor_call(entry.1).is_some()
        };
        match entries.iter().filter(is_tensor).count() {
            0 => entries
                .iter()
                .filter_map(|entry| self.find(entry.1, depth + 1, seen))
                .max_by_key(|(_, tensors)| *tensors),
            tensors => Some((id, tensors)),
        }
    }

    fn no_state_dict(&self, root: Id) -> WeightsError {
        match self.pickle.value(root) {
            Value::Call { function, .. } if self.tensor_call(root).is_none() => {
                let (module, name) = self.pickle.global(*function).unwrap_or(("an unknown", "object"));
                self.source.unsupported(
                    format!("the file holds a whole Python object ({module}.{name}), not tensors by name"),
                    "save model.state_dict() with torch.save instead",
                )
            }
            _ => self.source.unsupported(
                "the file holds no tensors by name",
                "give a checkpoint saved from a state dict",
            ),
        }
    }

    /// The call that makes a tensor, with its arguments, seen through parameters and subclasses.
    fn tensor_call(&self, mut id: Id) -> Option<(TensorCall, &[Id])> {
        for _ in 0..MAX_CALLS {
            let Value::Call { function, arguments } = self.pickle.value(id) else {
                return None;
            };
            let mut function = *function;
            let mut arguments = self.pickle.items(*arguments)?;
            if TensorCall::named(self.pickle.global(function)?)? == TensorCall::FromType {
                let &[inner, _, inner_arguments, ..] = arguments else {
                    return None;
                };
                function = inner;
                arguments = self.pickle.items(inner_arguments)?;
            }
            match TensorCall::named(self.pickle.global(function)?)? {
                TensorCall::Parameter => id = *arguments.first()?,
                TensorCall::FromType => return None,
                call => return Some((call, arguments)),
            }
        }
        None
    }

    fn tensor(&self, call: TensorCall, arguments: &[Id]) -> Result<Tensor, Fault> {
        let &[storage, offset, sizes, strides, ..] = arguments else {
            return Err(Fault::Damaged("lacks some of its description"));
        };
        let (mut dtype, blob) = self.storage(storage)?;
        if call == TensorCall::RebuildWithDtype {
            let named = arguments.get(6).and_then(|&id| self.pickle.global(id));
            dtype = named
                .filter(|name| name.0 == "torch")
                .and_then(|name| Dtype::from_torch(name.1));
        }
        let dtype = dtype.ok_or(Fault::ElementType)?;
        let offset = self
            .size(offset)
            .ok_or(Fault::Damaged("has an impossible offset"))?;
        let sizes = self
            .sizes(sizes)
            .ok_or(Fault::Damaged("has an impossible shape"))?;
        let strides = self
            .sizes(strides)
            .ok_or(Fault::Damaged("has impossible strides"))?;
        Tensor::new(dtype, sizes, blob, offset, Some(strides)).map_err(Fault::Damaged)
    }

    /// Element type (none if untyped) and bytes of the persistent reference `("storage", class, key, place, length)`.
    fn storage(&self, id: Id) -> Result<(Option<Dtype>, Blob), Fault> {
        let reference = match self.pickle.value(id) {
            Value::Persistent(reference) => self.pickle.items(*reference),
            _ => None,
        };
        let Some(&[kind, class, key, _, len, ..]) = reference else {
            return Err(Fault::Damaged("refers to no storage"));
        };
        let class = match self.pickle.global(class) {
            Some(("torch" | "torch.storage" | "torch.cuda", class))
                if self.pickle.text(kind) == Some("storage") =>
            {
                class
            }
            _ => return Err(Fault::Damaged("refers to an unknown kind of storage")),
        };
        let dtype = Dtype::from_torch_storage(class);
        if dtype.is_none() && class != "UntypedStorage" {
            return Err(Fault::ElementType);
        }
        let key = self
            .pickle
            .text(key)
            .ok_or(Fault::Damaged("refers to an unnamed storage"))?;
        let blob = self
            .archive
            .blob(self.source, &format!("{}data/{key}", self.root))
            .map_err(Fault::Other)?;
        let blob = blob.ok_or(Fault::Damaged("lies in a storage that is missing"))?;
        let declared = self
            .size(len)
            .and_then(|len| len.checked_mul(dtype.map_or(1, Dtype::bytes)));
        if declared.is_none_or(|declared| declared as u64 > blob.len) {
            return Err(Fault::Damaged("lies in a storage that is cut short"));
        }
        Ok((dtype, blob))
    }

    fn size(&self, id: Id) -> Option<usize> {
        usize::try_from(self.pickle.int(id)?).ok()
    }

    /// A tuple of sizes, also as `torch.Size`.
    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let id = match self.pickle.value(id) {
            Value::Call { function, arguments }
                if self.pickle.global(*function) == Some(("torch", "Size")) =>
            {
                *self.pickle.items(*arguments)?.first()?
            }
            _ => id,
        };
        let items = self.pickle.items(id)?;
        // Checked again with the shape, but one tuple may be shared by every tensor of the file.
        if items.len() > 64 {
            return None;
        }
        items.iter().map(|&item| self.size(item)).collect()
    }
}

/// Why one tensor cannot be used.
enum Fault {
    /// It contradicts itself or the archive.
    Damaged(&'static str),
    /// Its elements are complex numbers, 8-bit floats or the like.
    ElementType,
    Other(WeightsError),
}
