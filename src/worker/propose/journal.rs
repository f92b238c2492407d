//! Which images of a folder are done, so that a run that was cut off goes on where it was.
//!
//! One file in `.samtok` for every model, task and text, and every part of the folder; a line is written once an image
//! is saved. It is only there to save time: what was proposed is in the sidecars, and a line that is missing or torn
//! makes an image be looked at again, not asked again.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::{ProposeError, ProposeOptions};
use crate::dataset::folder::Folder;
use crate::language::proposals::Vocabulary;

const STATE_FOLDER: &str = ".samtok";
/// A journal of ten million images is smaller.
const MOST_BYTES: u64 = 1 << 30;

/// The images that are done.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Mutex<File>,
    done: HashSet<String>,
}

impl Journal {
    /// Opens the journal of what is asked, and reads those of the other parts.
    pub(super) fn open(
        folder: &Folder,
        model: &str,
        vocabulary: &Vocabulary,
        options: &ProposeOptions,
    ) -> Result<Self, ProposeError> {
        let state = folder.path().join(STATE_FOLDER);
        let asked = json!([
            model,
            vocabulary.fingerprint,
            options.task.name(),
            options.texts,
            format!("{:?}", options.prompts),
            options.zooms_in,
        ]);
        let hash = blake3::hash(asked.to_string().as_bytes()).to_hex().to_string();
        let name = format!("propose-{}", hash.get(..16).unwrap_or(&hash));
        // Parts write files of their own, since several machines may do one each.
        let part = blake3::hash(format!("{:?}", options.shard).as_bytes())
            .to_hex()
            .to_string();
        let path = state.join(format!("{name}-{}.jsonl", part.get(..8).unwrap_or(&part)));
        let failed = |source| ProposeError::Journal {
            source,
            path: path.clone(),
        };
        make_folder(&state).map_err(failed)?;
        let mut done = HashSet::new();
        for entry in fs::read_dir(&state).map_err(failed)? {
            let other = entry.map_err(failed)?;
            let is_ours = other
                .file_name()
                .to_str()
                .is_some_and(|other| other.starts_with(&name));
            if is_ours && other.file_type().map_err(failed)?.is_file() {
                read(&other.path(), &mut done).map_err(failed)?;
            }
        }
        let file = append(&path).map_err(failed)?;
        Ok(Self {
            file: Mutex::new(file),
            path,
            done,
        })
    }

    /// Whether the image was done before this run.
    pub(super) fn has(&self, name: &str) -> bool {
        self.done.contains(name)
    }

    /// Writes down that an image is done.
    pub(super) fn add(&self, name: &str) -> Result<(), ProposeError> {
        let line = format!("{}\n", json!({"image": name}));
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes())
            .map_err(|source| ProposeError::Journal {
                source,
                path: self.path.clone(),
            })
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        // A link could lead what is written there anywhere.
        _ if fs::symlink_metadata(path)?.is_dir() => Ok(()),
        _ => Err(io::Error::other("there is something else of this name")),
    }
}

/// The file to append to; a line that was torn is ended first.
fn append(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("there is something else of this name"));
    }
    let is_torn = fs::read(path).is_ok_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n'));
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    if is_torn {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

fn read(path: &Path, done: &mut HashSet<String>) -> io::Result<()> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let lines = bytes.split(|byte| *byte == b'\n');
    done.extend(lines.filter_map(|line| {
        let line: Value = serde_json::from_slice(line).ok()?;
        line["image"].as_str().map(str::to_owned)
    }));
    Ok(())
}
