//! Keeps an index in step with its folder, a little at a time, so that lists can be used while it works.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rusqlite::{Connection, TransactionBehavior};

use super::super::folder::{self, Folder, FolderProblem, Walk};
use super::super::natural_order;
use super::listed::{Listed, parent};
use super::look::look_at;
use super::records::{self, Finding, Known};
use super::{Index, IndexError};

/// How many names are compared with the index in one piece of work.
const NAMES_PER_PIECE: usize = 4096;

/// How many images are looked at in one piece of work; it adapts to the time that this takes.
const IMAGES_PER_PIECE: std::ops::RangeInclusive<usize> = 16..=4096;

/// How many folders are looked at in one piece of work.
const FOLDERS_PER_PIECE: usize = 512;

/// Follows the changes of one folder.
///
/// It has no thread: whoever calls [`Indexer::step`] lends it one. A new one goes through the whole folder; names come
/// first, so that the list is there at once, and then sidecars, of which only changed ones are read. What a file system
/// reports is passed on with [`Indexer::note_changed`]; where it reports nothing, as network drives do,
/// [`Indexer::rescan`] looks for changes.
#[derive(Debug)]
pub struct Indexer {
    folder: Folder,
    job: Job,
    requested: Option<Rescan>,
    /// Names of images that somebody else says have changed.
    noted_images: BTreeSet<String>,
    /// Names of what may be folders that changed.
    noted_folders: BTreeSet<String>,
    /// Noted images that were looked at since the job began to list; they may not be in its list.
    looked_at: HashSet<String>,
    /// The folders, and when each last changed in nanoseconds since 1970, where that is certain.
    folders: BTreeMap<String, Option<i64>>,
    /// What each folder has that was left out.
    problems: BTreeMap<String, Vec<FolderProblem>>,
    images_per_piece: usize,
    /// The [`Index::generation`] that the job is for.
    generation: u64,
    /// Tells whether another process wrote to the index.
    data_version: Option<i64>,
}

/// How thoroughly to look for changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rescan {
    /// In folders that files were added to, removed from or replaced in. Nearly nothing where nothing happened.
    ChangedFolders,
    /// Everywhere; also finds files that were written in place.
    Everything,
}

/// How far an [`Indexer`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it does.
    pub stage: Stage,
    /// How many images were found, compared or looked at in this stage.
    pub done: usize,
    /// How many there are to do, where that is known.
    pub total: Option<usize>,
    /// Whether the index changed, so that lists are to be selected again.
    pub has_changed: bool,
}

/// What an [`Indexer`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It collects names.
    Listing,
    /// It looks which files changed, and reads sidecars.
    Reading,
    /// There is nothing to do.
    Idle,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Job {
    Idle,
    /// Looks which folders changed.
    Polling {
        waiting: Vec<String>,
        changed: Vec<String>,
    },
    Listing {
        walk: Walk,
        listed: Listed,
    },
    Comparing {
        listed: Listed,
        next: usize,
        after: String,
    },
    Looking {
        listed: Listed,
        after: String,
        done: usize,
        total: usize,
    },
}

impl Indexer {
    /// An indexer that begins with everything.
    #[must_use]
    pub fn new(folder: &Folder) -> Self {
        Self {
            folder: folder.clone(),
            job: Job::Idle,
            requested: Some(Rescan::Everything),
            noted_images: BTreeSet::new(),
            noted_folders: BTreeSet::new(),
            looked_at: HashSet::new(),
            folders: BTreeMap::new(),
            problems: BTreeMap::new(),
            images_per_piece: *IMAGES_PER_PIECE.start(),
            generation: 0,
            data_version: None,
        }
    }

    /// Looks for changes, once what is being done is done.
    pub fn rescan(&mut self, rescan: Rescan) {
        self.requested = self.requested.max(Some(rescan));
    }

    /// Takes note that the image, sidecar or folder at `path` was made, changed or deleted; other paths are ignored.
    ///
    /// It is looked at in the next step, before anything else.
    pub fn note_changed(&mut self, path: &Path) {
        let Some(name) = self.folder.name_of(path) else {
            return;
        };
        if let Some(image) = folder::image_of_sidecar(&name) {
            self.noted_images.insert(image.to_owned());
        } else if folder::is_image(&name) {
            self.noted_images.insert(name);
        } else {
            self.noted_folders.insert(name);
        }
    }

    /// What is left out of the list, as far as the folder was looked at.
    pub fn problems(&self) -> impl Iterator<Item = &FolderProblem> {
        self.problems.values().flatten()
    }

    /// Works for about `budget`, or until there is nothing to do.
    ///
    /// # Errors
    /// [`IndexError`] only where no index can be made at all; what cannot be read in the folder is no error.
    pub fn step(&mut self, index: &mut Index, budget: Duration) -> Result<Progress, IndexError> {
        let deadline = Instant::now() + budget;
        let mut has_changed = false;
        loop {
            if self.generation != index.generation {
                // The index is empty again.
                self.generation = index.generation;
                self.job = Job::Idle;
                self.requested = Some(Rescan::Everything);
                has_changed = true;
            }
            if !self.noted_images.is_empty() {
                has_changed |= self.look_at_noted(index)?;
            } else if !self.advance(index, deadline, budget, &mut has_changed)? {
                break;
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        has_changed |= self.is_changed_elsewhere(index)?;
        Ok(self.progress(has_changed))
    }

    fn progress(&self, has_changed: bool) -> Progress {
        let (stage, done, total) = match &self.job {
            Job::Idle if self.has_work() => (Stage::Listing, 0, None),
            Job::Idle => (Stage::Idle, 0, None),
            Job::Polling { .. } => (Stage::Listing, 0, None),
            Job::Listing { walk, listed } => {
                (Stage::Listing, listed.images.len() + walk.found_so_far(), None)
            }
            Job::Comparing { listed, next, .. } => (Stage::Listing, *next, Some(listed.images.len())),
            Job::Looking { done, total, .. } => (Stage::Reading, *done, Some(*total)),
        };
        Progress {
            stage,
            done,
            total,
            has_changed,
        }
    }

    fn has_work(&self) -> bool {
        self.requested.is_some() || !self.noted_images.is_empty() || !self.noted_folders.is_empty()
    }

    fn is_changed_elsewhere(&mut self, index: &mut Index) -> Result<bool, IndexError> {
        let version = index.run(|connection| {
            connection
                .prepare_cached("PRAGMA data_version")?
                .query_row([], |row| row.get::<_, i64>(0))
        })?;
        let previous = self.data_version.replace(version);
        Ok(previous.is_some_and(|previous| previous != version))
    }

    /// Does one piece of the job, or begins the next; `false` if there is none.
    fn advance(
        &mut self,
        index: &mut Index,
        deadline: Instant,
        budget: Duration,
        has_changed: &mut bool,
    ) -> Result<bool, IndexError> {
        self.job = match std::mem::replace(&mut self.job, Job::Idle) {
            Job::Idle => match self.next_job() {
                Some(job) => job,
                None => return Ok(false),
            },
            Job::Polling { waiting, changed } => self.poll(index, waiting, changed)?,
            Job::Listing { mut walk, mut listed } => {
                if let Some(contents) = walk.step(Some(deadline)) {
                    let name = contents.name.clone();
                    let problems = listed.add(contents);
                    if problems.is_empty() {
                        self.problems.remove(&name);
                    } else {
                        self.problems.insert(name, problems);
                    }
                }
                if walk.is_done() {
                    listed
                        .images
                        .par_sort_unstable_by(|a, b| natural_order::compare(&a.name, &b.name));
                    // A folder that was noted, and is in another one, was walked through twice.
                    listed.images.dedup_by(|a, b| a.name == b.name);
                    Job::Comparing {
                        listed,
                        next: 0,
                        after: String::new(),
                    }
                } else {
                    Job::Listing { walk, listed }
                }
            }
            Job::Comparing { listed, next, after } => {
                self.compare(index, listed, next, &after, has_changed)?
            }
            Job::Looking {
                listed,
                after,
                done,
                total,
            } => {
                let started = Instant::now();
                let job = self.look(index, listed, &after, (done, total), has_changed)?;
                self.adapt(started.elapsed(), budget);
                job
            }
        };
        Ok(true)
    }

    fn next_job(&mut self) -> Option<Job> {
        self.looked_at.clear();
        match self.requested.take() {
            Some(Rescan::Everything) => {
                self.noted_folders.clear();
                let listed = Listed {
                    is_everything: true,
                    ..Listed::default()
                };
                return Some(Job::Listing {
                    walk: self.folder.walk(),
                    listed,
                });
            }
            Some(Rescan::ChangedFolders) => {
                let waiting = self.folders.keys().cloned().collect();
                return Some(Job::Polling {
                    waiting,
                    changed: Vec::new(),
                });
            }
            None => {}
        }
        let noted = std::mem::take(&mut self.noted_folders).into_iter();
        let start: BTreeSet<String> = noted.filter_map(|name| self.folder_to_list(name)).collect();
        (!start.is_empty()).then(|| Job::Listing {
            walk: self.folder.walk_from(start.into_iter().collect(), HashSet::new()),
            listed: Listed::default(),
        })
    }

    /// Which folder to list after `name` was said to have changed.
    fn folder_to_list(&self, name: String) -> Option<String> {
        let metadata = match name.as_str() {
            "" => fs::metadata(self.folder.path()),
            name => fs::symlink_metadata(self.folder.path_of(name)?),
        };
        match metadata {
            Ok(metadata) => metadata.is_dir().then_some(name),
            // The folder that it was in shows what is left.
            Err(_) => self.folders.contains_key(&name).then(|| parent(&name).to_owned()),
        }
    }

    fn poll(
        &mut self,
        index: &mut Index,
        mut waiting: Vec<String>,
        mut changed: Vec<String>,
    ) -> Result<Job, IndexError> {
        let piece = waiting.split_off(waiting.len().saturating_sub(FOLDERS_PER_PIECE));
        let is_changed = |name: &String| {
            let path = match name.as_str() {
                "" => Some(self.folder.path().to_path_buf()),
                name => self.folder.path_of(name),
            };
            let found = path.and_then(|path| fs::metadata(path).ok());
            found.is_none_or(|found| {
                self.folders.get(name).copied().flatten() != Some(folder::modified_ns(&found))
            })
        };
        changed.par_extend(piece.into_par_iter().filter(is_changed));
        if !waiting.is_empty() {
            return Ok(Job::Polling { waiting, changed });
        }
        // What was read so soon after a change that another would not have shown.
        self.noted_images
            .extend(index.run(|connection| records::unsettled(connection))?);
        if changed.is_empty() {
            return Ok(Job::Idle);
        }
        let known = self.folders.keys().cloned().collect();
        let walk = self.folder.walk_from(changed, known);
        Ok(Job::Listing {
            walk,
            listed: Listed::default(),
        })
    }

    /// Adds and removes images of the index so that it has those that are listed: one piece behind `after`.
    fn compare(
        &self,
        index: &mut Index,
        listed: Listed,
        next: usize,
        after: &str,
        has_changed: &mut bool,
    ) -> Result<Job, IndexError> {
        let images = listed.images.get(next..).unwrap_or_default();
        let piece = images.get(..NAMES_PER_PIECE).unwrap_or(images);
        let (taken, end, changed) = index.run(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let known = Known::behind(&transaction, after, NAMES_PER_PIECE)?;
            // Up to where both sides are complete; without an end, up to the last.
            let ends = [
                known
                    .last()
                    .filter(|_| known.len() == NAMES_PER_PIECE)
                    .map(|known| &known.name),
                piece
                    .last()
                    .filter(|_| piece.len() < images.len())
                    .map(|image| &image.name),
            ];
            let end = ends
                .into_iter()
                .flatten()
                .min_by(|a, b| natural_order::compare(a, b));
            let is_before_end = |name: &str| end.is_none_or(|end| natural_order::compare(name, end).is_le());
            let mut known = known
                .iter()
                .take_while(|known| is_before_end(&known.name))
                .peekable();
            let mut taken = 0;
            let mut changed = false;
            for image in piece.iter().take_while(|image| is_before_end(&image.name)) {
                taken += 1;
                let is_before = |known: &&Known| natural_order::compare(&known.name, &image.name).is_lt();
                while let Some(known) = known.next_if(is_before) {
                    changed |= self.remove_if_gone(&transaction, &listed, &known.name)?;
                }
                match known.next_if(|known| known.name == image.name) {
                    None => changed |= records::add_image(&transaction, &image.name, image.has_sidecar)?,
                    Some(known) if known.has_sidecar != image.has_sidecar => {
                        records::mark_sidecar(&transaction, &image.name, image.has_sidecar)?;
                        changed = true;
                    }
                    Some(_) => {}
                }
            }
            for known in known {
                changed |= self.remove_if_gone(&transaction, &listed, &known.name)?;
            }
            let end = end.cloned();
            transaction.commit()?;
            Ok((taken, end, changed))
        })?;
        *has_changed |= changed;
        if let Some(after) = end {
            return Ok(Job::Comparing {
                listed,
                next: next + taken,
                after,
            });
        }
        let total = index.run(|connection| records::count_images(connection))?;
        Ok(Job::Looking {
            listed,
            after: String::new(),
            done: 0,
            total,
        })
    }

    /// Removes an image that was not listed, unless its folder was not read, or it was made after that.
    fn remove_if_gone(&self, connection: &Connection, listed: &Listed, name: &str) -> rusqlite::Result<bool> {
        if listed.should_have(name) && !self.looked_at.contains(name) {
            records::remove_image(connection, name)
        } else {
            Ok(false)
        }
    }

    /// Looks at the images behind `after`, and reads sidecars that changed: one piece.
    fn look(
        &mut self,
        index: &mut Index,
        listed: Listed,
        after: &str,
        (done, total): (usize, usize),
        has_changed: &mut bool,
    ) -> Result<Job, IndexError> {
        let limit = self.images_per_piece;
        let known = index.run(|connection| Known::behind(connection, after, limit))?;
        let Some(last) = known.last() else {
            self.finish(listed);
            return Ok(Job::Idle);
        };
        let findings: Vec<(&str, Finding)> = known
            .par_iter()
            .filter(|known| listed.covers(known))
            .filter_map(|known| {
                Some((
                    known.name.as_str(),
                    look_at(&self.folder, known, known.has_sidecar)?,
                ))
            })
            .collect();
        *has_changed |= self.write(index, &findings)?;
        let after = last.name.clone();
        Ok(Job::Looking {
            listed,
            after,
            done: done + known.len(),
            total,
        })
    }

    fn look_at_noted(&mut self, index: &mut Index) -> Result<bool, IndexError> {
        let mut names = std::mem::take(&mut self.noted_images);
        if let Some(first_left) = names.iter().nth(self.images_per_piece).cloned() {
            self.noted_images = names.split_off(&first_left);
        }
        let found = index.run(|connection| {
            let found = names.iter().map(|name| Known::find(connection, name));
            found.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let mut known = Vec::with_capacity(names.len());
        for (name, found) in names.into_iter().zip(found) {
            if found.is_some() || self.folders.contains_key(parent(&name)) {
                known.push(found.unwrap_or_else(|| Known::nothing(name)));
            } else {
                // A walk tells whether this is a folder to look into.
                self.noted_folders
                    .insert(self.outermost_new_folder(&name).to_owned());
            }
        }
        let findings: Vec<(&str, Finding)> = known
            .par_iter()
            .filter_map(|known| Some((known.name.as_str(), look_at(&self.folder, known, true)?)))
            .collect();
        if !matches!(self.job, Job::Idle) {
            self.looked_at
                .extend(findings.iter().map(|(name, _)| (*name).to_owned()));
        }
        self.write(index, &findings)
    }

    /// Of the folders around an image, the first one that is not known; empty for the opened folder.
    fn outermost_new_folder<'a>(&self, image: &'a str) -> &'a str {
        let mut folder = parent(image);
        while !parent(folder).is_empty() && !self.folders.contains_key(parent(folder)) {
            folder = parent(folder);
        }
        folder
    }

    fn write(&self, index: &mut Index, findings: &[(&str, Finding)]) -> Result<bool, IndexError> {
        let gone = findings
            .iter()
            .any(|(_, finding)| matches!(finding, Finding::Gone));
        // A drive that went away has not lost its images.
        if findings.is_empty() || (gone && fs::metadata(self.folder.path()).is_err()) {
            return Ok(false);
        }
        index.run(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut changed = false;
            for (name, finding) in findings {
                if !matches!(finding, Finding::Gone) {
                    records::add_image(&transaction, name, false)?;
                }
                changed |= records::write(&transaction, name, finding)?;
            }
            transaction.commit()?;
            Ok(changed)
        })
    }

    /// Remembers the folders that were listed, now that all that is in them is in the index.
    fn finish(&mut self, listed: Listed) {
        if listed.is_everything {
            self.folders.clear();
        }
        self.folders.retain(|name, _| !listed.should_have(name));
        self.problems.retain(|name, _| !listed.should_have(name));
        for name in listed.sub_folders {
            // One that could not be read is tried again each time.
            self.folders.entry(name).or_insert(None);
        }
        self.folders.extend(listed.folders);
    }

    /// Chooses how many images to look at in one piece, so that it takes about half of `budget`.
    fn adapt(&mut self, elapsed: Duration, budget: Duration) {
        let (least, most) = (*IMAGES_PER_PIECE.start(), *IMAGES_PER_PIECE.end());
        if elapsed < budget / 4 {
            self.images_per_piece = (self.images_per_piece * 2).min(most);
        } else if elapsed > budget / 2 {
            self.images_per_piece = (self.images_per_piece / 2).max(least);
        }
    }
}
