//! The folder that is open: its index, the list that a search finds in it, and what is shown of them.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{FileEvent, FolderState};
use crate::dataset::folder::Folder;
use crate::dataset::index::{Direction, Filter, Index, IndexError, Indexer, Progress, Rescan, Selection, Stage};

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
}

impl OpenFolder {
    pub(super) fn open(path: &Path, cache: Option<&Path>) -> Result<Self, String> {
        let folder = Folder::open(path).map_err(|error| error.to_string())?;
        let mut index = Index::open(&folder, cache).map_err(|error| error.to_string())?;
        let selection = index.select(&Filter::default()).map_err(|error| error.to_string())?;
        Ok(Self {
            indexer: Indexer::new(&folder),
            folder,
            index,
            filter: Filter::default(),
            selection,
            state: FolderState::default(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Works on the index for a moment; answers whether there is more to do, and what changed.
    pub(super) fn step(&mut self) -> Result<(bool, Option<FileEvent>), IndexError> {
        let Progress { stage, done, total, has_changed } = self.indexer.step(&mut self.index, STEP)?;
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
            Err(error) => Ok(FileEvent::FilterFailed { reason: error.to_string() }),
        }
    }

    pub(super) fn page(&mut self, places: Range<usize>) -> Result<FileEvent, IndexError> {
        let rows = self.index.page(&self.selection, places.clone())?;
        Ok(FileEvent::Page { epoch: self.state.epoch, start: places.start, rows })
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
