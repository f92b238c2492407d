//! Goes through folders one by one, so that a long list can be made in short steps.

use std::collections::HashSet;
use std::fs::{self, DirEntry, ReadDir};
use std::time::Instant;

use super::{Folder, FolderProblem, ListedImage, image_of_sidecar, is_image, is_left_out, settled_ns};

/// How many entries of a folder are read between two looks at the clock.
const ENTRIES_PER_LOOK: usize = 256;

/// What one folder has in it, without its sub-folders.
#[derive(Debug)]
pub struct FolderContents {
    /// Its name; empty for the opened folder.
    pub name: String,
    /// Whether all of it was read; if not, `problems` says why, and something may be missing from the rest.
    pub is_complete: bool,
    /// When it last changed, in nanoseconds since 1970; `None` if that was too short ago to tell a later change.
    pub modified_ns: Option<i64>,
    /// The images in it, in the order of the file system.
    pub images: Vec<ListedImage>,
    /// Names of images that are missing, though their sidecars are there.
    pub missing: Vec<String>,
    /// Names of the folders in it.
    pub sub_folders: Vec<String>,
    /// What was left out.
    pub problems: Vec<FolderProblem>,
}

/// Lists folders one by one, in small steps.
#[derive(Debug)]
pub struct Walk {
    folder: Folder,
    waiting: Vec<String>,
    known: HashSet<String>,
    current: Option<(ReadDir, FolderContents, HashSet<String>)>,
}

impl Walk {
    pub(super) fn new(folder: Folder, waiting: Vec<String>, known: HashSet<String>) -> Self {
        Self {
            folder,
            waiting,
            known,
            current: None,
        }
    }

    /// Whether everything was listed.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.current.is_none() && self.waiting.is_empty()
    }

    /// How many images were found in the folder that is being read.
    #[must_use]
    pub fn found_so_far(&self) -> usize {
        self.current
            .as_ref()
            .map_or(0, |(_, contents, _)| contents.images.len())
    }

    /// The next folder; `None` once all are done, or if `deadline` passes before the folder is read to its end.
    pub fn step(&mut self, deadline: Option<Instant>) -> Option<FolderContents> {
        if self.current.is_none() {
            let contents = FolderContents::new(self.waiting.pop()?);
            match self.open(contents) {
                Ok(opened) => self.current = Some(opened),
                Err(unreadable) => return Some(unreadable),
            }
        }
        let (entries, contents, sidecars) = self.current.as_mut()?;
        for count in 1_usize.. {
            match entries.next() {
                None => break,
                Some(Ok(entry)) => contents.add(&entry, sidecars),
                Some(Err(source)) => {
                    let path = self.folder.path.join(&contents.name);
                    contents.problems.push(FolderProblem::Unreadable { source, path });
                    contents.is_complete = false;
                    break;
                }
            }
            if count.is_multiple_of(ENTRIES_PER_LOOK)
                && deadline.is_some_and(|deadline| Instant::now() >= deadline)
            {
                return None;
            }
        }
        self.finish()
    }

    #[expect(
        clippy::result_large_err,
        reason = "the other case is as large and far more common"
    )]
    fn open(
        &self,
        mut contents: FolderContents,
    ) -> Result<(ReadDir, FolderContents, HashSet<String>), FolderContents> {
        let is_root = contents.name.is_empty();
        let path = match is_root {
            true => Some(self.folder.path.clone()),
            false => self.folder.path_of(&contents.name),
        };
        let Some(path) = path else {
            return Err(contents);
        };
        if !is_root && path.is_symlink() {
            contents.problems.push(FolderProblem::LinkedFolder { path });
            return Err(contents);
        }
        // Looked at before the entries are read, so that a change in between shows at the next look.
        let opened = fs::metadata(&path).and_then(|metadata| Ok((metadata, fs::read_dir(&path)?)));
        match opened {
            Ok((metadata, entries)) => {
                contents.modified_ns = settled_ns(&metadata);
                contents.is_complete = true;
                Ok((entries, contents, HashSet::new()))
            }
            Err(source) => {
                contents.problems.push(FolderProblem::Unreadable { source, path });
                Err(contents)
            }
        }
    }

    fn finish(&mut self) -> Option<FolderContents> {
        let (_, mut contents, mut sidecars) = self.current.take()?;
        for image in &mut contents.images {
            image.has_sidecar = sidecars.remove(&image.name);
        }
        contents.missing = sidecars.into_iter().collect();
        let unknown = contents
            .sub_folders
            .iter()
            .filter(|name| !self.known.contains(*name));
        self.waiting.extend(unknown.cloned());
        Some(contents)
    }
}

impl FolderContents {
    fn new(name: String) -> Self {
        Self {
            name,
            is_complete: false,
            modified_ns: None,
            images: Vec::new(),
            missing: Vec::new(),
            sub_folders: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Takes an entry in, if it is one that counts.
    fn add(&mut self, entry: &DirEntry, sidecars: &mut HashSet<String>) {
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str() else {
            let lossy = file_name.to_string_lossy();
            if !is_left_out(&lossy) && (is_image(&lossy) || entry.path().is_dir()) {
                self.problems
                    .push(FolderProblem::NotUnicode { path: entry.path() });
            }
            return;
        };
        if is_left_out(file_name) {
            return;
        }
        let kind = match entry.file_type() {
            Ok(kind) if kind.is_symlink() => {
                // Behind a broken link is nothing that could be listed.
                let Ok(target) = fs::metadata(entry.path()) else {
                    return;
                };
                if target.is_dir() {
                    self.problems
                        .push(FolderProblem::LinkedFolder { path: entry.path() });
                    return;
                }
                target.file_type()
            }
            Ok(kind) => kind,
            // It has just been deleted.
            Err(_) => return,
        };
        let name = if self.name.is_empty() {
            file_name.to_owned()
        } else {
            format!("{}/{file_name}", self.name)
        };
        if let Some(image) = image_of_sidecar(&name) {
            sidecars.insert(image.to_owned());
        } else if kind.is_dir() {
            self.sub_folders.push(name);
        } else if kind.is_file() && is_image(file_name) {
            self.images.push(ListedImage {
                name,
                has_sidecar: false,
            });
        }
    }
}
