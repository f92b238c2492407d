//! What a walk through folders found, and what it therefore did not.

use std::collections::{BTreeMap, HashSet};

use super::super::folder::{FolderContents, FolderProblem, ListedImage};
use super::records::Known;

/// What was found in some or all folders.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Whether all folders were to be listed.
    pub(super) is_everything: bool,
    pub(super) images: Vec<ListedImage>,
    /// The folders that were read to their end, and when each last changed.
    pub(super) folders: BTreeMap<String, Option<i64>>,
    /// The folders that are in these.
    pub(super) sub_folders: HashSet<String>,
}

impl Listed {
    /// Takes a folder in, and returns what was left out of it.
    pub(super) fn add(&mut self, contents: FolderContents) -> Vec<FolderProblem> {
        self.images.extend(contents.images);
        self.sub_folders.extend(contents.sub_folders);
        if contents.is_complete {
            self.folders.insert(contents.name, contents.modified_ns);
        }
        contents.problems
    }

    /// Whether the image or folder called `name` would have been listed if it were there.
    pub(super) fn should_have(&self, name: &str) -> bool {
        let mut inner = name;
        // The nearest folder that was read knows what is in it.
        while !inner.is_empty() {
            let outer = parent(inner);
            if self.folders.contains_key(outer) {
                return !self.sub_folders.contains(inner);
            }
            inner = outer;
        }
        false
    }

    /// Whether an image is to be looked at.
    pub(super) fn covers(&self, known: &Known) -> bool {
        self.is_everything || self.folders.contains_key(parent(&known.name))
    }
}

/// The name of the folder that an image or folder is in; empty for the opened folder.
pub(super) fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}
