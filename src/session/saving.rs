//! Writing what has changed without being asked, and taking over what others changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{OpenDocument, SaveState, Session, Severity};
use crate::dataset::history::{History, Mark};
use crate::dataset::{ConversationChange, Document, Edit, RegionChange, Saved};
use crate::worker::files::{FileRequest, sentences};

/// How long a change waits for the next one before both are written, while typing.
const TYPING: Duration = Duration::from_millis(400);

/// Annotations of an image that was left and that could not be written.
#[derive(Debug)]
pub(super) struct Unsaved {
    pub(super) path: PathBuf,
    pub(super) document: Arc<Document>,
}

/// A save on its way.
#[derive(Debug)]
pub(super) struct PendingSave {
    pub(super) path: PathBuf,
    pub(super) number: u64,
}

impl Session {
    /// Writes what has changed, and tries again what could not be written.
    pub fn save(&mut self) {
        for Unsaved { path, document } in std::mem::take(&mut self.unsaved) {
            // Its history is gone or put aside; the mark only has to be one.
            let mark = History::default().mark();
            self.send_save(path, document, mark);
        }
        if let Some(open) = &mut self.open {
            open.end_typing();
        }
        self.send_unsaved();
    }

    /// Sends what has changed on screen to be written.
    fn send_unsaved(&mut self) {
        if let Some(open) = &mut self.open
            && let Some((document, mark)) = open.take_unsaved()
        {
            let path = open.path.clone();
            self.send_save(path, document, mark);
        }
    }

    fn send_save(&mut self, path: PathBuf, document: Arc<Document>, mark: Mark) {
        let number = self.request_id();
        self.pending.push(PendingSave {
            path: path.clone(),
            number,
        });
        self.ask_files(FileRequest::Save {
            path,
            document,
            mark,
            number,
        });
    }

    /// Whether everything is on disk, so that the program may end.
    #[must_use]
    pub fn is_saved(&self) -> bool {
        let is_open_saved = self
            .open
            .as_ref()
            .is_none_or(|open| matches!(open.save_state(), SaveState::Saved | SaveState::ReadOnly(_)));
        self.pending.is_empty() && self.unsaved.is_empty() && is_open_saved
    }

    /// Whether changes could not be written.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        let is_open_failing = |open: &OpenDocument| matches!(open.save_state(), SaveState::Failed(_));
        !self.unsaved.is_empty() || self.open.as_ref().is_some_and(is_open_failing)
    }

    /// Writes changes whose time has come; a typed text waits for the next letter.
    pub(super) fn autosave(&mut self) {
        let Some(open) = &self.open else { return };
        let is_writing = self.pending.iter().any(|pending| pending.path == open.path);
        let is_typing = open.history().next_undo().is_some_and(is_text);
        let is_due = open
            .unsaved_since()
            .is_some_and(|since| !is_typing || since.elapsed() >= TYPING);
        if !is_writing && is_due && open.live_mask().is_none() {
            self.send_unsaved();
        }
    }

    /// When [`Session::update`] has something to do even if no worker says anything.
    #[must_use]
    pub fn next_update(&self) -> Option<Duration> {
        let since = self.open.as_ref()?.unsaved_since()?;
        Some(
            TYPING
                .saturating_sub(since.elapsed())
                .max(Duration::from_millis(20)),
        )
    }

    /// Looks whether others changed the annotations on screen.
    pub fn refresh(&mut self) {
        if let Some(open) = self.open.as_ref().filter(|open| !open.is_read_only()) {
            let (path, document) = (open.path.clone(), Arc::new(open.document().clone()));
            self.ask_files(FileRequest::Refresh { path, document });
        }
    }

    /// Passes on that somebody else changed a file.
    pub fn note_changed(&mut self, path: &Path) {
        self.ask_files(FileRequest::Changed(path.to_path_buf()));
        let is_shown = self
            .open
            .as_ref()
            .is_some_and(|open| crate::dataset::sidecar_path(&open.path) == path);
        if is_shown {
            self.refresh();
        }
    }

    pub(super) fn on_saved(&mut self, path: &Path, document: &Document, mark: Mark, saved: &Saved) {
        let is_last = self.pending.iter().all(|pending| pending.path != path);
        let mut details = sentences(&saved.conflicts);
        if let Some(open) = self.open.as_mut().filter(|open| open.path == path) {
            open.saved(mark, is_last);
            if let Some(theirs) = &saved.merged {
                details.extend(open.merge(document, theirs));
            }
        } else if saved.merged.is_some() {
            // What was put aside is no longer what is on disk.
            self.ahead.retain(|ahead| ahead.path != path);
        }
        self.tell_merged(path, saved.merged.is_some(), details);
    }

    pub(super) fn tell_merged(&mut self, path: &Path, is_merged: bool, mut details: Vec<String>) {
        details.dedup();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !details.is_empty() {
            let text = format!(
                "{name} was changed here and elsewhere; both versions are kept, look at what differs"
            );
            self.notices.add(Severity::Warning, text, details);
        } else if is_merged {
            self.notices.info(format!(
                "changes that were made elsewhere were taken over: {name}"
            ));
        }
    }

    /// Looks which words no longer fit, and saves; called after annotations were changed.
    pub fn changed(&mut self) {
        self.want_stale_words();
        self.autosave();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The file thread writes what it was given before it ends.
        self.save();
    }
}

/// Whether an edit is typing in a text.
fn is_text(edit: &Edit) -> bool {
    matches!(
        edit,
        Edit::Notes(_)
            | Edit::Region {
                change: RegionChange::Caption { .. } | RegionChange::Label(_),
                ..
            }
            | Edit::Conversation {
                change: ConversationChange::Turn { .. },
                ..
            }
    )
}
