//! The folder that is open: its index, the list that a search finds in it, and what is shown of them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossbeam_channel::{Receiver, never};

use super::{FileEvent, FolderState};
use crate::dataset::folder::Folder;
use crate::dataset::index::{
    Direction, Filter, Index, IndexError, Indexer, Progress, Rescan, Selection, Stage,
};
use crate::dataset::remove_abandoned;
use crate::worker::watch::{Changes, FolderWatch};

/// How long the index works before requests are looked at again.
const STEP: Duration = Duration::from_millis(20);

/// An open folder.
#[derive(Debug)]
pub(super) struct OpenFolder {
    folder: Folder,
    index: Index,
    indexer: Indexer,
    filter: Filter,
    selection: Selection,
    state: FolderState,
    watch: Option<FolderWatch>,
}

impl OpenFolder {
    /// Opens a folder; the second answer says why changes of other programs are not noticed, where that is so.
    pub(super) fn open(path: &Path, cache: Option<&Path>) -> Result<(Self, Option<String>), String> {
        let folder = Folder::open(path).map_err(|error| error.to_string())?;
        let mut index = Index::open(&folder, cache).map_err(|error| error.to_string())?;
        let selection = index
            .select(&Filter::default())
            .map_err(|error| error.to_string())?;
        let (watch, told) = match FolderWatch::start(&folder, || {}) {
            Ok(watch) => (Some(watch), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let open = Self {
            indexer: Indexer::new(&folder),
            folder,
            index,
            filter: Filter::default(),
            selection,
            state: FolderState::default(),
            watch,
        };
        Ok((open, told))
    }

    /// Changes that other programs make; none where they are not noticed.
    pub(super) fn changes(&self) -> Receiver<Changes> {
        self.watch
            .as_ref()
            .map_or_else(never, |watch| watch.changes().clone())
    }

    pub(super) fn take_changes(&mut self, changes: &Changes) {
        changes.tell(&self.folder, &mut self.indexer);
    }

    pub(super) fn name_of(&self, path: &Path) -> Option<String> {
        self.folder.name_of(path)
    }

    /// Removes what killed programs left half-written beside the image called `name`.
    pub(super) fn sweep(&self, name: &str) {
        let removed = remove_abandoned(&self.folder, [name]);
        if removed > 0 {
            tracing::info!(
                "{removed} files of killed programs were removed: {}",
                self.folder.path().display()
            );
        }
    }

    pub(super) fn path_of(&self, name: &str) -> Option<PathBuf> {
        self.folder.path_of(name)
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Works on the index for a moment; answers whether there is more to do, and what changed.
    pub(super) fn step(&mut self) -> Result<(bool, Option<FileEvent>), IndexError> {
        let Progress {
            stage,
            done,
            total,
            has_changed,
        } = self.indexer.step(&mut self.index, STEP)?;
        let indexing = (stage != Stage::Idle).then_some((done, total));
        let event = if has_changed {
            Some(self.list(indexing)?)
        } else if self.state.indexing != indexing {
            self.state.indexing = indexing;
            Some(FileEvent::Listed(self.state.clone()))
        } else {
            None
        };
        Ok((stage != Stage::Idle, event))
    }

    /// Makes the list anew.
    pub(super) fn list(&mut self, indexing: Option<(usize, Option<usize>)>) -> Result<FileEvent, IndexError> {
        self.selection = self.index.select(&self.filter)?;
        self.state = FolderState {
            epoch: self.state.epoch + 1,
            found: self.selection.len(),
            counts: self.index.status_counts()?,
            labels: self.index.labels()?,
            indexing,
            problems: self.indexer.problems().map(ToString::to_string).collect(),
        };
        Ok(FileEvent::Listed(self.state.clone()))
    }

    pub(super) fn filter(&mut self, typed: &str) -> Result<FileEvent, IndexError> {
        match Filter::parse(typed) {
            Ok(filter) => {
                self.filter = filter;
                self.list(self.state.indexing)
            }
            Err(error) => Ok(FileEvent::FilterFailed {
                reason: error.to_string(),
            }),
        }
    }

    pub(super) fn page(&mut self, places: Range<usize>) -> Result<FileEvent, IndexError> {
        let rows = self.index.page(&self.selection, places.clone())?;
        Ok(FileEvent::Page {
            epoch: self.state.epoch,
            start: places.start,
            rows,
        })
    }

    pub(super) fn find(
        &mut self,
        from: Option<&str>,
        direction: Direction,
        typed: &str,
    ) -> Result<Option<PathBuf>, String> {
        let filter = Filter::parse(typed).map_err(|error| error.to_string())?;
        let found = self
            .index
            .neighbour(&filter, from.unwrap_or_default(), direction)
            .map_err(|error| error.to_string())?;
        Ok(found.and_then(|row| self.folder.path_of(&row.name)))
    }

    pub(super) fn rescan(&mut self) {
        self.indexer.rescan(Rescan::ChangedFolders);
    }

    pub(super) fn note_changed(&mut self, path: &Path) {
        self.indexer.note_changed(path);
    }
}
