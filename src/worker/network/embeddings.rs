//! Embeddings that are kept: the most recently used within a budget of memory, and on disk between sessions.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use super::ImageKey;
use crate::atomic_file::{AtomicFile, Existing};

/// Suffix of a stored embedding.
const SUFFIX: &str = "embedding";

/// Embeddings in memory, the least recently used first.
#[derive(Debug)]
pub(super) struct Embeddings<E> {
    kept: VecDeque<(ImageKey, Rc<E>, usize)>,
    budget_bytes: usize,
}

impl<E> Embeddings<E> {
    pub(super) fn new(budget_bytes: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            budget_bytes,
        }
    }

    pub(super) fn get(&mut self, key: ImageKey) -> Option<Rc<E>> {
        let place = self.kept.iter().position(|(kept, ..)| *kept == key)?;
        let entry = self.kept.remove(place)?;
        let embedding = Rc::clone(&entry.1);
        self.kept.push_back(entry);
        Some(embedding)
    }

    pub(super) fn contains(&self, key: ImageKey) -> bool {
        self.kept.iter().any(|(kept, ..)| *kept == key)
    }

    /// Keeps an embedding and drops the oldest beyond the budget, but never this one or the one of `shown`.
    pub(super) fn insert(&mut self, key: ImageKey, embedding: Rc<E>, bytes: usize, shown: Option<ImageKey>) {
        self.kept.retain(|(kept, ..)| *kept != key);
        self.kept.push_back((key, embedding, bytes));
        let mut total: usize = self.kept.iter().map(|(.., bytes)| bytes).sum();
        let mut place = 0;
        while total > self.budget_bytes && place < self.kept.len() {
            let (oldest, _, bytes) = &self.kept[place];
            if *oldest == key || Some(*oldest) == shown {
                place += 1;
            } else {
                total -= bytes;
                self.kept.remove(place);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }
}

/// Embeddings on disk: `FOLDER/FINGERPRINT/HASH.embedding`.
///
/// It is a cache: what cannot be read or written there is computed again, and nobody is told.
#[derive(Debug)]
pub(super) struct DiskCache {
    folder: PathBuf,
    budget_bytes: u64,
    /// Bytes written since the folder was last looked through.
    written_bytes: u64,
}

impl DiskCache {
    pub(super) fn new(folder: PathBuf, budget_bytes: u64) -> Self {
        Self {
            folder,
            budget_bytes,
            // So that the first write looks at what earlier sessions left.
            written_bytes: u64::MAX,
        }
    }

    fn path(&self, fingerprint: &str, key: ImageKey) -> PathBuf {
        let hash = blake3::Hash::from_bytes(key.0).to_hex();
        self.folder.join(fingerprint).join(format!("{hash}.{SUFFIX}"))
    }

    pub(super) fn read(&self, fingerprint: &str, key: ImageKey) -> Option<Vec<u8>> {
        let path = self.path(fingerprint, key);
        let bytes = fs::read(&path).ok()?;
        // The time of last use decides what goes first.
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            let _touched = file.set_modified(SystemTime::now());
        }
        Some(bytes)
    }

    pub(super) fn write(&mut self, fingerprint: &str, key: ImageKey, bytes: &[u8]) {
        if bytes.len() as u64 > self.budget_bytes {
            return;
        }
        let path = self.path(fingerprint, key);
        let written = path
            .parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| AtomicFile::write(&path, bytes, Existing::Replace));
        if let Err(error) = written {
            tracing::debug!("cannot keep an embedding: {error}: {}", path.display());
            return;
        }
        self.written_bytes = self.written_bytes.saturating_add(bytes.len() as u64);
        if self.written_bytes > self.budget_bytes / 8 {
            self.prune();
            self.written_bytes = 0;
        }
    }

    /// Removes the files that were used least recently, until the rest fits.
    fn prune(&self) {
        let folders = entries(&self.folder);
        let mut files: Vec<(SystemTime, u64, PathBuf)> = folders
            .iter()
            .flat_map(|folder| entries(folder))
            .filter(|path| path.extension().is_some_and(|suffix| suffix == SUFFIX))
            .filter_map(|path| {
                let metadata = fs::metadata(&path).ok()?;
                Some((metadata.modified().ok()?, metadata.len(), path))
            })
            .collect();
        files.sort();
        let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in files {
            if total <= self.budget_bytes {
                break;
            }
            if fs::remove_file(&path).is_ok() {
                total -= bytes;
            }
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> ImageKey {
        ImageKey([number; 32])
    }

    #[test]
    fn the_least_recently_used_goes_first_but_never_the_shown_one() {
        let mut kept = Embeddings::new(30);
        for number in 0..3 {
            kept.insert(key(number), Rc::new(number), 10, Some(key(0)));
        }
        assert_eq!(kept.get(key(1)).as_deref(), Some(&1));
        kept.insert(key(3), Rc::new(3), 10, Some(key(0)));
        assert!(kept.contains(key(0)) && kept.contains(key(1)) && kept.contains(key(3)));
        assert!(!kept.contains(key(2)));
        kept.insert(key(4), Rc::new(4), 100, Some(key(0)));
        assert!(kept.contains(key(0)) && kept.contains(key(4)) && !kept.contains(key(1)));
    }

    #[test]
    fn the_folder_keeps_to_its_budget() {
        let folder = tempfile::tempdir().unwrap();
        let mut cache = DiskCache::new(folder.path().to_path_buf(), 1000);
        for number in 0..10 {
            cache.write("abc", key(number), &[number; 300]);
        }
        let left: Vec<u8> = (0..10)
            .filter(|number| cache.read("abc", key(*number)).is_some())
            .collect();
        assert!(left.len() <= 3, "{left:?}");
        assert_eq!(cache.read("abc", key(9)).as_deref(), Some(&[9; 300][..]));
        cache.write("abc", key(20), &[0; 2000]);
        assert!(cache.read("abc", key(20)).is_none());
    }
}
