//! Which regions are selected, hidden or alone on show; none of it is data.

use std::collections::HashSet;

use super::OpenDocument;
use crate::dataset::{Document, Region};

/// Selected and hidden regions of the image on screen.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// In the order of selection; the last one is the active one.
    order: Vec<String>,
    selected: HashSet<String>,
    hidden: HashSet<String>,
    is_solo: bool,
    changes: u64,
}

impl Selection {
    /// Forgets regions that are gone.
    pub(super) fn retain(&mut self, document: &Document) {
        let kept: HashSet<&str> = document.regions.iter().map(|region| region.id.as_str()).collect();
        self.order.retain(|id| kept.contains(id.as_str()));
        self.selected.retain(|id| kept.contains(id.as_str()));
        self.changes += 1;
    }
}

impl OpenDocument {
    /// Ids of the selected regions in the order of selection.
    #[must_use]
    pub fn selected(&self) -> &[String] {
        &self.selection.order
    }

    /// Whether a region is selected.
    #[must_use]
    pub fn is_selected(&self, id: &str) -> bool {
        self.selection.selected.contains(id)
    }

    /// The region that was selected last.
    #[must_use]
    pub fn active(&self) -> Option<&Region> {
        self.document().region(self.selection.order.last()?)
    }

    /// Selects these regions and nothing else; ids of regions that are not there are left out.
    pub fn select(&mut self, ids: impl IntoIterator<Item = String>) {
        let selection = &mut self.selection;
        selection.order.clear();
        selection.selected.clear();
        for id in ids {
            if selection.selected.insert(id.clone()) {
                selection.order.push(id);
            }
        }
        self.retain_selected();
    }

    /// Adds a region to the selection, or takes it out.
    pub fn toggle_selected(&mut self, id: &str) {
        let selection = &mut self.selection;
        if selection.selected.remove(id) {
            selection.order.retain(|selected| selected != id);
        } else {
            selection.selected.insert(id.to_owned());
            selection.order.push(id.to_owned());
        }
        self.retain_selected();
    }

    /// Whether a region is hidden by the person.
    #[must_use]
    pub fn is_hidden(&self, id: &str) -> bool {
        self.selection.hidden.contains(id)
    }

    /// Hides regions, or shows them again.
    pub fn set_hidden(&mut self, ids: impl IntoIterator<Item = String>, is_hidden: bool) {
        for id in ids {
            if is_hidden {
                self.selection.hidden.insert(id);
            } else {
                self.selection.hidden.remove(&id);
            }
        }
        self.selection.changes += 1;
    }

    /// Whether only the selected regions are shown.
    #[must_use]
    pub fn is_solo(&self) -> bool {
        self.selection.is_solo
    }

    /// Shows only the selected regions, or all.
    pub fn set_solo(&mut self, is_solo: bool) {
        self.selection.is_solo = is_solo;
        self.selection.changes += 1;
    }

    /// Whether a region is drawn.
    #[must_use]
    pub fn is_visible(&self, id: &str) -> bool {
        if self.is_solo() && !self.selected().is_empty() {
            return self.is_selected(id);
        }
        !self.is_hidden(id)
    }

    /// Another number whenever other regions are selected or hidden.
    #[must_use]
    pub fn selection_changes(&self) -> u64 {
        self.selection.changes
    }
}
