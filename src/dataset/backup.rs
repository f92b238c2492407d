//! Earlier versions of sidecars, so that a mistake that was saved can be taken back.
//!
//! They lie in `.samtok/backup/photo.jpg/`, numbered. A save that replaces a file keeps it there as a second name of
//! the same bytes, so nothing is copied where the file system has hard links. Since every edit is saved, the last
//! few versions alone would reach back some seconds: what is kept is spread over time instead, the last version, the
//! oldest, and others ever farther apart between them.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::document::Document;
use super::lock::{self, STATE_FOLDER};
use super::store::{self, DatasetError};
use super::timestamp::Timestamp;
use crate::atomic_file::{AtomicFile, Existing};

/// How many earlier versions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupPolicy {
    /// Most versions per image; 0 keeps none.
    pub versions: usize,
    /// Most bytes of all versions per image.
    pub max_bytes: u64,
}

impl Default for BackupPolicy {
    /// Five versions, 64 MiB.
    fn default() -> Self {
        Self {
            versions: 5,
            max_bytes: 64 << 20,
        }
    }
}

/// An earlier version of a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Counts the versions of the image that were kept.
    pub number: u64,
    /// When this version was saved.
    pub saved: Timestamp,
    /// Size of the file.
    pub bytes: u64,
    /// Whether the file could not be read when it was set aside; such files are kept for good.
    pub is_damaged: bool,
    pub(super) path: PathBuf,
    saved_exactly: SystemTime,
}

impl Backup {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The document in it.
    ///
    /// # Errors
    /// [`DatasetError`] if it cannot be read.
    pub fn read(&self) -> Result<Document, DatasetError> {
        let bytes = store::read(&self.path)?;
        let bytes = bytes.ok_or_else(|| DatasetError::Vanished {
            path: self.path.clone(),
        })?;
        store::parse(&bytes, &self.path)
    }
}

/// The folder with the versions of the sidecar at `sidecar`, which is no link.
fn ring(sidecar: &Path) -> PathBuf {
    let folder = sidecar.parent().unwrap_or(Path::new("")).join(STATE_FOLDER);
    let name = sidecar.file_name().unwrap_or_default();
    // The image's name, which is short enough for a file name where the sidecar's is.
    let image = name.to_str().and_then(|name| name.strip_suffix(store::SUFFIX));
    let image = image.filter(|image| !image.is_empty());
    folder
        .join("backup")
        .join(image.map_or_else(|| name.to_owned(), Into::into))
}

/// The versions of the sidecar at `sidecar`, which is no link, newest first.
pub(super) fn list(sidecar: &Path) -> Result<Vec<Backup>, DatasetError> {
    list_folder(&ring(sidecar))
}

fn list_folder(folder: &Path) -> Result<Vec<Backup>, DatasetError> {
    let failed = |source| DatasetError::from_io("list the earlier versions of", source, folder);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut backups = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let (name, metadata) = (entry.file_name(), entry.metadata());
        let Some((number, kind)) = name.to_str().and_then(|name| name.split_once('.')) else {
            continue;
        };
        // Another program may have pruned meanwhile.
        let (Ok(number), Ok(metadata)) = (number.parse(), metadata) else {
            continue;
        };
        let is_damaged = kind == DAMAGED;
        if !metadata.is_file() || !(is_damaged || kind == WHOLE) {
            continue;
        }
        let saved_exactly = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        backups.push(Backup {
            number,
            saved: saved_exactly.into(),
            bytes: metadata.len(),
            is_damaged,
            path: entry.path(),
            saved_exactly,
        });
    }
    backups.sort_by_key(|backup| std::cmp::Reverse(backup.number));
    Ok(backups)
}

const WHOLE: &str = "json";
const DAMAGED: &str = "damaged.json";

/// Keeps the sidecar at `sidecar`, which is no link and exists, as the newest version. Needs the folder's lock.
pub(super) fn keep(sidecar: &Path, is_damaged: bool) -> Result<(), DatasetError> {
    let folder = ring(sidecar);
    if let Some(backup) = folder.parent() {
        lock::make_folder(backup)?;
    }
    lock::make_folder(&folder)?;
    let newest = list_folder(&folder)?.first().map_or(0, |backup| backup.number);
    let kind = if is_damaged { DAMAGED } else { WHOLE };
    let path = folder.join(format!("{:06}.{kind}", newest.saturating_add(1)));
    if fs::hard_link(sidecar, &path).is_ok() {
        return Ok(());
    }
    // No hard links here, or not to a file of somebody else's.
    copy(sidecar, &path).map_err(|source| DatasetError::from_io("back up", source, &path))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut target = AtomicFile::create(to)?;
    io::copy(&mut source, &mut target)?;
    target.commit(Existing::Refuse)?;
    // The age of the version decides what is thrown away; an unknown one is only judged younger than it is.
    let _dated = source
        .metadata()
        .and_then(|metadata| metadata.modified())
        .and_then(|saved| File::options().write(true).open(to)?.set_modified(saved));
    Ok(())
}

/// Throws away what `policy` does not keep of the versions of `sidecar`. Needs the folder's lock.
pub(super) fn prune(sidecar: &Path, policy: BackupPolicy) -> Result<(), DatasetError> {
    let mut backups = list(sidecar)?;
    backups.retain(|backup| !backup.is_damaged);
    let now = SystemTime::now();
    let too_many = |backups: &[Backup]| {
        let bytes: u64 = backups.iter().map(|backup| backup.bytes).sum();
        backups.len() > policy.versions || bytes > policy.max_bytes
    };
    while !backups.is_empty() && too_many(&backups) {
        let ages: Vec<Duration> = backups
            .iter()
            .map(|backup| now.duration_since(backup.saved_exactly).unwrap_or_default())
            .collect();
        let backup = backups.remove(least_missed(&ages));
        match fs::remove_file(&backup.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(DatasetError::from_io("remove a backup of", error, &backup.path)),
        }
    }
    Ok(())
}

/// Which of the versions of these ages, newest first, leaves the smallest gap for its age; neither the newest nor,
/// while there is another, the oldest.
fn least_missed(ages: &[Duration]) -> usize {
    let gap = |index: usize| {
        let age = |index: usize| ages.get(index).map_or(0.0, Duration::as_secs_f64);
        (age(index + 1) - age(index - 1)) / age(index).max(1e-3)
    };
    let inner = 1..ages.len().saturating_sub(1);
    inner
        .min_by(|&a, &b| gap(a).total_cmp(&gap(b)))
        .unwrap_or(ages.len().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_kept_ever_farther_apart() {
        // A day of saving every ten seconds.
        let mut saved: Vec<u64> = Vec::new();
        for now in (0..86_400).step_by(10) {
            saved.insert(0, now);
            if saved.len() > 5 {
                let ages: Vec<Duration> = saved
                    .iter()
                    .map(|&saved| Duration::from_secs(now + 10 - saved))
                    .collect();
                saved.remove(least_missed(&ages));
            }
        }
        let ages: Vec<u64> = saved.iter().map(|saved| 86_400 - saved).collect();
        assert_eq!(ages.len(), 5);
        assert_eq!(
            (ages[0], ages[4]),
            (10, 86_400),
            "the last and the first: {ages:?}"
        );
        assert!(ages.windows(2).all(|pair| pair[1] >= 2 * pair[0]), "{ages:?}");
    }

    #[test]
    fn the_newest_goes_last() {
        let ages = |count: u64| -> Vec<Duration> { (1..=count).map(Duration::from_secs).collect() };
        assert_eq!(least_missed(&ages(1)), 0);
        assert_eq!(least_missed(&ages(2)), 1);
        assert_eq!(least_missed(&ages(3)), 1);
        assert_eq!(least_missed(&[Duration::ZERO; 4]), 1, "a clock that stands still");
    }
}
