//! Assembles weights files byte by byte, so that tests can also make those that no tool would write.

use std::io::Write as _;

use flate2::Crc;
use flate2::write::DeflateEncoder;

/// An entry of a zip archive; the options say what its directory claims.
#[derive(Clone, Default)]
pub(super) struct Entry {
    pub name: String,
    pub data: Vec<u8>,
    pub deflated: bool,
    pub claimed_crc: Option<u32>,
    pub claimed_len: Option<u32>,
    pub claimed_packed_len: Option<u32>,
    pub claimed_start: Option<u32>,
    /// Whether sizes and place go to a zip64 field.
    pub zip64: bool,
}

impl Entry {
    pub(super) fn new(name: &str, data: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            data: data.into(),
            ..Self::default()
        }
    }

    pub(super) fn deflated(self) -> Self {
        Self {
            deflated: true,
            ..self
        }
    }
}

pub(super) fn zip(entries: &[Entry]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let start = file.len() as u32;
        let mut crc = Crc::new();
        crc.update(&entry.data);
        let mut packed = entry.data.clone();
        if entry.deflated {
            let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(&entry.data).unwrap();
            packed = encoder.finish().unwrap();
        }
        let method: u16 = if entry.deflated { 8 } else { 0 };
        let name = entry.name.as_bytes();
        // As PyTorch does: sizes follow the data, and only the directory can be relied on.
        file.extend(b"PK\x03\x04\0\0\x08\x08");
        file.extend(method.to_le_bytes());
        file.extend([0; 16]);
        file.extend((name.len() as u16).to_le_bytes());
        file.extend(4_u16.to_le_bytes());
        file.extend(name);
        file.extend(b"FB\0\0");
        file.extend(&packed);
        directory.extend(b"PK\x01\x02\0\0\0\0\x08\x08");
        directory.extend(method.to_le_bytes());
        directory.extend([0; 4]);
        directory.extend(entry.claimed_crc.unwrap_or(crc.sum()).to_le_bytes());
        directory.extend(
            entry
                .claimed_packed_len
                .unwrap_or(packed.len() as u32)
                .to_le_bytes(),
        );
        directory.extend(entry.claimed_len.unwrap_or(entry.data.len() as u32).to_le_bytes());
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend([0; 12]);
        directory.extend(entry.claimed_start.unwrap_or(start).to_le_bytes());
        directory.extend(name);
    }
    let start = file.len() as u32;
    let count = (entries.len() as u16).to_le_bytes();
    file.extend(&directory);
    if entries.iter().any(|entry| entry.zip64) {
        let record_start = file.len() as u64;
        file.extend(b"PK\x06\x06");
        file.extend([0; 28]);
        file.extend((entries.len() as u64).to_le_bytes());
        file.extend((directory.len() as u64).to_le_bytes());
        file.extend(u64::from(start).to_le_bytes());
        file.extend(b"PK\x06\x07\0\0\0\0");
        file.extend(record_start.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend(b"PK\x05\x06\0\0\0\0");
        file.extend([0xff; 12]);
        file.extend([0; 2]);
        return file;
    }
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend(count);
    file.extend(count);
    file.extend((directory.len() as u32).to_le_bytes());
    file.extend(start.to_le_bytes());
    file.extend([0; 2]);
    file
}

/// A torch archive of one pickle and its storages, named 0, 1, ….
pub(super) fn torch_file(pickle: &[u8], storages: &[Vec<u8>]) -> Vec<u8> {
    zip(&torch_entries(pickle, storages))
}

pub(super) fn torch_entries(pickle: &[u8], storages: &[Vec<u8>]) -> Vec<Entry> {
    let mut entries = vec![
        Entry::new("net/data.pkl", pickle),
        Entry::new("net/byteorder", *b"little"),
    ];
    entries.extend(
        storages
            .iter()
            .enumerate()
            .map(|(key, data)| Entry::new(&format!("net/data/{key}"), data.clone())),
    );
    entries
}

pub(super) fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

// Pickles: each function gives the instructions that push one value.

pub(super) fn pickle(value: &[u8]) -> Vec<u8> {
    [b"\x80\x02", value, b"."].concat()
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

pub(super) fn int(value: i64) -> Vec<u8> {
    [b"\x8a\x08", &value.to_le_bytes()[..]].concat()
}

pub(super) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

pub(super) fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

pub(super) fn ints(values: &[i64]) -> Vec<u8> {
    tuple(&values.iter().map(|&value| int(value)).collect::<Vec<_>>())
}

pub(super) fn call(module: &str, name: &str, arguments: &[Vec<u8>]) -> Vec<u8> {
    [&global(module, name)[..], &tuple(arguments), b"R"].concat()
}

pub(super) fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> = entries
        .iter()
        .flat_map(|(key, value)| [text(key), value.clone()].concat())
        .collect();
    [b"}(", &entries[..], b"u"].concat()
}

/// A reference to storage `key`, of class `module.class` with `len` elements.
pub(super) fn storage(class: (&str, &str), key: &str, len: i64) -> Vec<u8> {
    let reference = tuple(&[
        text("storage"),
        global(class.0, class.1),
        text(key),
        text("cpu"),
        int(len),
    ]);
    [&reference[..], b"Q"].concat()
}

/// A tensor as `torch.save` writes it.
pub(super) fn tensor(storage: Vec<u8>, offset: i64, sizes: &[i64], strides: &[i64]) -> Vec<u8> {
    let hooks = call("collections", "OrderedDict", &[]);
    let arguments = [
        storage,
        int(offset),
        ints(sizes),
        ints(strides),
        b"\x89".to_vec(),
        hooks,
    ];
    call("torch._utils", "_rebuild_tensor_v2", &arguments)
}

/// A row-major f32 vector over storage `key`.
pub(super) fn vector(key: &str, len: i64) -> Vec<u8> {
    tensor(storage(("torch", "FloatStorage"), key, len), 0, &[len], &[1])
}

/// A safetensors file with the given header and data.
pub(super) fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}
