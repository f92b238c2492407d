//! Texts that wait on disk until they are asked for, so that memory does not grow with them.

use super::{InterchangeError, Result};
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};

/// Texts in a file without a name, which vanishes with this.
#[derive(Debug)]
pub(super) struct Shelf {
    file: BufWriter<File>,
    length: u64,
}

/// Where a text is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    start: u64,
    length: usize,
}

impl Shelf {
    pub(super) fn new() -> Result<Self> {
        let file = tempfile::tempfile().map_err(failed)?;
        Ok(Self {
            file: BufWriter::with_capacity(1 << 16, file),
            length: 0,
        })
    }

    /// Puts a text away.
    pub(super) fn put(&mut self, text: &str) -> Result<Place> {
        let place = Place {
            start: self.length,
            length: text.len(),
        };
        self.file.write_all(text.as_bytes()).map_err(failed)?;
        self.length += text.len() as u64;
        Ok(place)
    }

    /// A text that was put away; to be asked for when all texts have been.
    pub(super) fn get(&mut self, place: Place) -> Result<Vec<u8>> {
        let mut text = vec![0; place.length];
        self.file
            .seek(SeekFrom::Start(place.start))
            .and_then(|_| self.file.get_mut().read_exact(&mut text))
            .map_err(failed)?;
        Ok(text)
    }
}

fn failed(source: io::Error) -> InterchangeError {
    InterchangeError::Io {
        action: "keep annotations in the folder for temporary files",
        source,
        path: tempfile::env::temp_dir(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_in_any_order() {
        let mut shelf = Shelf::new().unwrap();
        let texts = ["", "a", "ä\n", &"x".repeat(100_000), "b"];
        let places: Vec<Place> = texts.iter().map(|text| shelf.put(text).unwrap()).collect();
        for index in [4, 0, 2, 3, 1, 3] {
            assert_eq!(shelf.get(places[index]).unwrap(), texts[index].as_bytes());
        }
    }
}
