//! The directory of a zip archive, as far as torch checkpoints need it: stored or deflated entries, zip64.
//!
//! Every size is checked against the file before anything is allocated or read.

use std::collections::HashMap;

use super::blob::Blob;
use super::error::{WeightsError, printable};
use super::source::Source;

/// Directories above this size (about half a million entries) are refused.
const MAX_DIRECTORY_BYTES: u64 = 64 << 20;
/// A deflated entry may grow by this factor beyond [`INFLATION_FLOOR`]; weights hardly shrink at all.
const MAX_INFLATION: u64 = 64;
const INFLATION_FLOOR: u64 = 16 << 20;

const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";
const DIRECTORY_END: &[u8] = b"PK\x05\x06";
const DIRECTORY_END_64: &[u8] = b"PK\x06\x06";
const DIRECTORY_END_64_LOCATOR: &[u8] = b"PK\x06\x07";

const END_BYTES: usize = 22;
const ENTRY_BYTES: usize = 46;

#[derive(Clone, Copy, Debug)]
struct Entry {
    header_start: u64,
    packed_len: u64,
    len: u64,
    method: u16,
    flags: u16,
    crc: u32,
}

/// The entries of a zip archive by name.
#[derive(Debug)]
pub(super) struct Archive {
    entries: HashMap<Box<[u8]>, Entry>,
}

impl Archive {
    pub(super) fn open(source: &Source) -> Result<Self, WeightsError> {
        let (start, len, count) = find_directory(source)?;
        let directory = source
            .read_vec(start, len)
            .map_err(|error| source.read_error(error))?;
        let mut fields = Fields(&directory);
        let mut entries = HashMap::new();
        let mut packed_total: u64 = 0;
        for _ in 0..count {
            let (name, entry) = read_entry(&mut fields)
                .ok_or_else(|| source.damaged("its zip directory is cut or garbled"))?;
            packed_total = packed_total.saturating_add(entry.packed_len);
            if entries.insert(Box::from(name), entry).is_some() {
                let name = printable(&String::from_utf8_lossy(name));
                return Err(source.damaged(format!("it holds two entries named {name}")));
            }
        }
        // Entries that overlap would let a small file claim any amount of data.
        if packed_total > source.len() {
            return Err(source.damaged("its entries are larger than the file"));
        }
        Ok(Self { entries })
    }

    /// The folder that holds `data.pkl`, with its trailing slash (empty at the top), the outermost if several do.
    pub(super) fn root(&self) -> Option<String> {
        let folder_of_pickle = |name: &[u8]| {
            let folder = name.strip_suffix(b"data.pkl")?;
            let folder = std::str::from_utf8(folder).ok()?;
            (folder.is_empty() || folder.ends_with('/')).then(|| folder.to_owned())
        };
        self.entries
            .keys()
            .filter_map(|name| folder_of_pickle(name))
            .min_by_key(|folder| (folder.matches('/').count(), folder.clone()))
    }

    /// Finds the bytes of an entry; `None` if no entry has this name.
    pub(super) fn blob(&self, source: &Source, name: &str) -> Result<Option<Blob>, WeightsError> {
        let Some(entry) = self.entries.get(name.as_bytes()) else {
            return Ok(None);
        };
        let damaged = |reason: &str| source.damaged(format!("its entry {} {reason}", printable(name)));
        if entry.flags & 1 != 0 {
            return Err(source.unsupported("the archive is encrypted", "decrypt it first"));
        }
        let deflated = match entry.method {
            0 => false,
            8 => true,
            _ => {
                return Err(source.unsupported(
                    "the archive is packed by a method other than deflate",
                    "unpack it and save it again with torch.save",
                ));
            }
        };
        if !deflated && entry.len != entry.packed_len {
            return Err(damaged("has two different sizes"));
        }
        if deflated
            && entry.len
                > entry
                    .packed_len
                    .saturating_mul(MAX_INFLATION)
                    .saturating_add(INFLATION_FLOOR)
        {
            return Err(damaged("claims to unpack to far more than it holds"));
        }
        let mut header = [0; 30];
        source
            .read_exact_at(entry.header_start, &mut header)
            .map_err(|error| source.read_error(error))?;
        let mut fields = Fields(&header);
        let lens = (|| {
            fields.expect(LOCAL_HEADER)?;
            fields.skip(22)?;
            Some((fields.u16()?, fields.u16()?))
        })();
        let Some((name_len, extra_len)) = lens else {
            return Err(damaged("is not where the directory says"));
        };
        let start = entry.header_start + 30 + u64::from(name_len) + u64::from(extra_len);
        if start
            .checked_add(entry.packed_len)
            .is_none_or(|end| end > source.len())
        {
            return Err(damaged("reaches beyond the end of the file"));
        }
        // PyTorch writes a checksum of zero where it was told not to compute any.
        let crc = Some(entry.crc).filter(|&crc| crc != 0);
        Ok(Some(Blob {
            start,
            packed_len: entry.packed_len,
            len: entry.len,
            deflated,
            crc,
        }))
    }
}

/// Start, length in bytes and number of entries of the directory.
fn find_directory(source: &Source) -> Result<(u64, u64, u64), WeightsError> {
    let incomplete =
        || source.damaged("the end of the archive is missing, as after a download that stopped early");
    let tail_len = source.len().min((END_BYTES + usize::from(u16::MAX)) as u64);
    let tail_start = source.len() - tail_len;
    let tail = source
        .read_vec(tail_start, tail_len)
        .map_err(|error| source.read_error(error))?;
    let (end_start, mut fields) = (0..(tail.len() + 1).saturating_sub(END_BYTES))
        .rev()
        .find_map(|position| {
            let mut fields = Fields(tail.get(position..)?);
            fields.expect(DIRECTORY_END)?;
            let comment_len = Fields(tail.get(position + END_BYTES - 2..)?).u16()?;
            // The comment must end the file, or the signature is part of something else.
            let ends_file = position + END_BYTES + usize::from(comment_len) == tail.len();
            ends_file.then_some((tail_start + position as u64, fields))
        })
        .ok_or_else(incomplete)?;
    let end = (|| {
        let (disk, directory_disk) = (fields.u16()?, fields.u16()?);
        fields.skip(2)?;
        let count = u64::from(fields.u16()?);
        let len = u64::from(fields.u32()?);
        let start = u64::from(fields.u32()?);
        Some((disk.min(directory_disk), start, len, count))
    })();
    let Some((disk, mut start, mut len, mut count)) = end else {
        return Err(incomplete());
    };
    if let Some(end_64) = find_directory_64(source, end_start) {
        (start, len, count) = end_64;
    } else if disk != 0 {
        return Err(source.unsupported("this is one part of a split archive", "join the parts first"));
    }
    if len > MAX_DIRECTORY_BYTES
        || count > len / ENTRY_BYTES as u64
        || start.checked_add(len).is_none_or(|end| end > end_start)
    {
        return Err(source.damaged("its zip directory does not fit the file"));
    }
    Ok((start, len, count))
}

/// The same from the zip64 end record, if there is one before the plain record at `end_start`.
fn find_directory_64(source: &Source, end_start: u64) -> Option<(u64, u64, u64)> {
    let locator = source.read_vec(end_start.checked_sub(20)?, 20).ok()?;
    let mut fields = Fields(&locator);
    fields.expect(DIRECTORY_END_64_LOCATOR)?;
    fields.skip(4)?;
    let record = source.read_vec(fields.u64()?, 56).ok()?;
    let mut fields = Fields(&record);
    fields.expect(DIRECTORY_END_64)?;
    fields.skip(28)?;
    let count = fields.u64()?;
    let len = fields.u64()?;
    let start = fields.u64()?;
    Some((start, len, count))
}

fn read_entry<'a>(fields: &mut Fields<'a>) -> Option<(&'a [u8], Entry)> {
    fields.expect(DIRECTORY_ENTRY)?;
    fields.skip(4)?;
    let flags = fields.u16()?;
    let method = fields.u16()?;
    fields.skip(4)?;
    let crc = fields.u32()?;
    let mut packed_len = u64::from(fields.u32()?);
    let mut len = u64::from(fields.u32()?);
    let name_len = fields.u16()?;
    let extra_len = fields.u16()?;
    let comment_len = fields.u16()?;
    fields.skip(8)?;
    let mut header_start = u64::from(fields.u32()?);
    let name = fields.take(usize::from(name_len))?;
    let mut extra = Fields(fields.take(usize::from(extra_len))?);
    fields.skip(usize::from(comment_len))?;
    while let (Some(id), Some(extra_field_len)) = (extra.u16(), extra.u16()) {
        let mut field = Fields(extra.take(usize::from(extra_field_len))?);
        if id == 1 {
            // Zip64: only the values that did not fit 32 bits, in this order.
            for value in [&mut len, &mut packed_len, &mut header_start] {
                if *value == u64::from(u32::MAX) {
                    *value = field.u64()?;
                }
            }
        }
    }
    Some((
        name,
        Entry {
            header_start,
            packed_len,
            len,
            method,
            flags,
            crc,
        },
    ))
}

/// Little-endian fields taken one by one from a slice.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn skip(&mut self, len: usize) -> Option<()> {
        self.take(len).map(|_| ())
    }

    fn expect(&mut self, signature: &[u8]) -> Option<()> {
        (self.take(signature.len())? == signature).then_some(())
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
