//! A run of bytes that tensors lie in: the data part of a safetensors file, or one entry of a torch archive.

use std::io::{self, Read};

use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::source::Source;

/// Bytes handed over at a time; a multiple of every element size, and small beside any tensor that matters.
const CHUNK_BYTES: usize = 1 << 18;

/// Where a blob lies in its [`Source`] and how it is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blob {
    /// Position of the first packed byte.
    pub start: u64,
    /// Bytes in the source.
    pub packed_len: u64,
    /// Bytes when unpacked.
    pub len: u64,
    /// Whether the bytes are a raw deflate stream; otherwise they are stored as they are.
    pub deflated: bool,
    /// CRC-32 of the unpacked bytes, if known.
    pub crc: Option<u32>,
}

impl Blob {
    /// Bytes that are stored as they are.
    pub(super) const fn plain(start: u64, len: u64) -> Self {
        Self {
            start,
            packed_len: len,
            len,
            deflated: false,
            crc: None,
        }
    }

    /// Hands the unpacked bytes `offset .. offset + len` to `sink` in order, in chunks of a multiple of eight bytes
    /// (but the last). The checksum is verified where the whole blob is read.
    ///
    /// # Errors
    /// `UnexpectedEof` where the blob is shorter, `InvalidData` for a bad deflate stream or checksum.
    pub(super) fn read(
        &self,
        source: &Source,
        offset: u64,
        len: u64,
        mut sink: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let crc = self.crc.filter(|_| len == self.len);
        if self.deflated {
            let packed = source.reader(self.start, self.packed_len);
            let mut unpacked = DeflateDecoder::new(io::BufReader::with_capacity(CHUNK_BYTES, packed));
            io::copy(&mut unpacked.by_ref().take(offset), &mut io::sink())?;
            stream(unpacked, len, crc, &mut sink)
        } else {
            stream(source.reader(self.start + offset, len), len, crc, &mut sink)
        }
    }

    /// All unpacked bytes; the caller has checked that `len` is acceptable.
    pub(super) fn read_whole(&self, source: &Source) -> io::Result<Vec<u8>> {
        // Grown while reading, so that a false length costs nothing.
        let mut bytes = Vec::new();
        self.read(source, 0, self.len, |chunk| bytes.extend_from_slice(chunk))?;
        Ok(bytes)
    }
}

fn stream(
    mut reader: impl Read,
    len: u64,
    expected_crc: Option<u32>,
    sink: &mut impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut chunk = vec![0; usize::try_from(len).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)];
    let mut left = len;
    let mut crc = Crc::new();
    while left > 0 {
        let count = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let Some(part) = chunk.get_mut(..count) else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        reader.read_exact(part)?;
        if expected_crc.is_some() {
            crc.update(part);
        }
        sink(part);
        left -= count as u64;
    }
    if expected_crc.is_some_and(|expected| expected != crc.sum()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the checksum of an archive entry is wrong",
        ));
    }
    Ok(())
}
