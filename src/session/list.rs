//! The list of images as far as it is known here: counts, and the rows around what is on screen.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::dataset::index::ImageRow;
use crate::worker::files::FolderState;

/// Rows that are asked for at once.
const PAGE: usize = 200;

/// Rows that are kept.
const KEPT: usize = 20 * PAGE;

/// The list of one folder.
#[derive(Debug, Default)]
pub struct ImageList {
    /// The folder.
    pub folder: PathBuf,
    /// What is known of it as a whole.
    pub state: FolderState,
    /// What is typed into the search field.
    pub filter: String,
    /// Why that makes no sense.
    pub filter_problem: Option<String>,
    rows: BTreeMap<usize, ImageRow>,
    /// Pages that were asked for and have not come, and the epoch in which they were.
    asked: BTreeSet<usize>,
    /// Whether rows are from an earlier state of the list; they are shown until the new ones come.
    is_stale: bool,
}

impl ImageList {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            ..Self::default()
        }
    }

    pub(super) fn listed(&mut self, state: FolderState) {
        if state.epoch != self.state.epoch {
            self.asked.clear();
            self.is_stale = true;
        }
        self.filter_problem = None;
        self.state = state;
    }

    pub(super) fn page(&mut self, epoch: u64, start: usize, rows: Vec<ImageRow>) {
        if epoch != self.state.epoch {
            return;
        }
        if std::mem::take(&mut self.is_stale) || self.rows.len() > KEPT {
            self.rows.clear();
            self.asked.clear();
        }
        self.rows.extend(
            rows.into_iter()
                .enumerate()
                .map(|(offset, row)| (start + offset, row)),
        );
    }

    /// The image at a place, if it is known.
    #[must_use]
    pub fn row(&self, place: usize) -> Option<&ImageRow> {
        self.rows.get(&place)
    }

    /// Where an image is in the list, if its row is known.
    #[must_use]
    pub fn place_of(&self, path: &Path) -> Option<usize> {
        let name = self.name_of(path)?;
        self.rows
            .iter()
            .find(|(_, row)| row.name == name)
            .map(|(place, _)| *place)
    }

    /// The name in the list of the image at `path`.
    #[must_use]
    pub fn name_of(&self, path: &Path) -> Option<String> {
        let inside = path.strip_prefix(&self.folder).ok()?;
        let parts: Option<Vec<&str>> = inside
            .components()
            .map(|part| part.as_os_str().to_str())
            .collect();
        Some(parts?.join("/"))
    }

    /// The path of a row.
    #[must_use]
    pub fn path_of(&self, row: &ImageRow) -> PathBuf {
        let mut path = self.folder.clone();
        path.extend(row.name.split('/'));
        path
    }

    /// The next page to ask for so that `places` are known, if any is missing.
    pub(super) fn missing(&mut self, places: Range<usize>) -> Option<Range<usize>> {
        let places = places.start..places.end.min(self.state.found);
        let is_missing = |place: &usize| self.is_stale || !self.rows.contains_key(place);
        let first = places.clone().find(is_missing)?;
        let start = first / PAGE * PAGE;
        if !self.asked.insert(start) {
            return None;
        }
        Some(start..(start + PAGE).min(self.state.found))
    }
}
