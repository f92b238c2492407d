//! What the workers say, and what follows from it.

use std::time::Instant;

use super::navigation::ReadAhead;
use super::saving::Unsaved;
use super::{EmbeddingState, ImageList, ModelState, Session, Severity};
use crate::worker::files::{FileEvent, FileRequest, sentences};
use crate::worker::network::{ImageKey, NetworkEvent};

impl Session {
    pub(super) fn on_file_event(&mut self, event: FileEvent) {
        match event {
            FileEvent::FolderOpened(folder) => {
                self.opening_folder = None;
                self.list = Some(ImageList::new(folder));
            }
            FileEvent::FolderFailed { reason } => {
                self.opening_folder = None;
                self.notices.error(reason);
            }
            FileEvent::Listed(state) => {
                if let Some(list) = &mut self.list {
                    let is_first = list.state.found == 0 && state.found > 0;
                    list.listed(state);
                    if is_first {
                        self.want_rows(0..1);
                    }
                }
            }
            FileEvent::FilterFailed { reason } => {
                if let Some(list) = &mut self.list {
                    list.filter_problem = Some(reason);
                }
            }
            FileEvent::Page { epoch, start, rows } => {
                let Some(list) = &mut self.list else { return };
                list.page(epoch, start, rows);
                // A folder opens with its first image.
                if self.open.is_none()
                    && self.opening.is_none()
                    && let Some(first) = list.row(0).map(|row| list.path_of(row))
                {
                    self.open_image(&first);
                }
            }
            FileEvent::Found(Some(path)) => self.open_image(&path),
            FileEvent::Found(None) => self.notices.info("there is no further image of this kind"),
            FileEvent::ImageOpened {
                path,
                image,
                document,
            } => self.on_image(ReadAhead {
                path,
                image,
                document,
            }),
            FileEvent::ImageFailed { path, reason } => {
                if self.opening.as_deref() == Some(path.as_path()) {
                    self.opening = None;
                    self.notices.error(reason);
                }
            }
            FileEvent::Saved {
                path,
                document,
                mark,
                number,
                saved,
            } => {
                // An earlier version that waited was replaced by this one.
                self.pending
                    .retain(|pending| pending.path != path || pending.number > number);
                self.on_saved(&path, &document, mark, &saved);
            }
            FileEvent::SaveFailed {
                path,
                document,
                reason,
            } => {
                self.pending.retain(|pending| pending.path != path);
                if let Some(open) = self.open.as_mut().filter(|open| open.path == path) {
                    open.save_failed(reason.clone());
                } else {
                    // The image was left meanwhile; its annotations are kept until they can be written.
                    self.unsaved.retain(|unsaved| unsaved.path != path);
                    self.unsaved.push(Unsaved { path, document });
                }
                self.notices.error(reason);
            }
            FileEvent::Refreshed {
                path,
                document,
                merged,
            } => {
                let Some(open) = self.open.as_mut().filter(|open| open.path == path) else {
                    return;
                };
                let mut details = sentences(&merged.conflicts);
                details.extend(open.merge(&document, &merged.document));
                self.tell_merged(&path, true, details);
                self.want_stale_words();
            }
            FileEvent::ChangedOutside(path) => {
                if self.open.as_ref().is_some_and(|open| open.path == path) {
                    self.refresh();
                } else {
                    self.ahead.retain(|ahead| ahead.path != path);
                }
            }
            FileEvent::RefreshFailed { reason, .. } => self.notices.error(reason),
            FileEvent::Thumbnail { path, picture } => self.thumbnails.push((path, picture)),
        }
    }

    pub(super) fn on_network_event(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::Loading(_) => self.model = ModelState::Loading,
            NetworkEvent::Ready(info) => {
                self.model = ModelState::Ready(info);
                if let Some(open) = &mut self.open {
                    open.rebuilt.clear();
                }
                self.want_stale_words();
                self.renew_language(true);
            }
            NetworkEvent::ModelFailed { reason, .. } => {
                self.embedding = EmbeddingState::Failed;
                self.notices.error(format!("there is no model: {reason}"));
                self.model = ModelState::Failed(reason);
            }
            NetworkEvent::Embedding(image) if self.is_shown(image) => {
                self.embedding = EmbeddingState::Running(Instant::now());
            }
            NetworkEvent::Embedded { image, ms, .. } if self.is_shown(image) => {
                self.embedding = EmbeddingState::Ready(ms);
                self.prefetch_embeddings();
            }
            NetworkEvent::Embedding(_) | NetworkEvent::Embedded { .. } => {}
            NetworkEvent::Words { image, regions } => {
                self.take_words_of_asks(image, &regions);
                if self.is_shown(image) {
                    self.on_words(regions);
                }
            }
            NetworkEvent::Decoded { image, id, masks } => {
                if !self.take_drawn(id, &masks) && self.is_shown(image) {
                    self.on_decoded(id, masks);
                }
            }
            NetworkEvent::Prompted { image, id, masks } if self.is_shown(image) => {
                self.on_prompted(id, masks)
            }
            NetworkEvent::Prompted { .. } => {}
            NetworkEvent::Failed { image, what, reason } => {
                if self.is_shown(image) && what == "embed the image" {
                    self.embedding = EmbeddingState::Failed;
                }
                self.network_failed(image, what, &reason);
                self.notices
                    .error(format!("the network could not {what}: {reason}"));
            }
            NetworkEvent::FolderProgress(progress) => self.batch.words_progress(&progress),
            NetworkEvent::FolderDone {
                progress,
                failures,
                is_cancelled,
            } => {
                let text = format!(
                    "words made for {} regions of {} images",
                    progress.regions, progress.saved
                );
                let details: Vec<String> = failures.into_iter().map(|(_, reason)| reason).collect();
                let severity = if details.is_empty() {
                    Severity::Info
                } else {
                    Severity::Warning
                };
                let text = if is_cancelled {
                    format!("{text}; stopped before the end")
                } else {
                    text
                };
                self.notices.add(severity, text, details);
                self.batch.end_words();
                self.ask_files(FileRequest::Rescan);
                self.refresh();
            }
            NetworkEvent::FolderFailed { reason } => {
                self.batch.end_words();
                self.notices
                    .error(format!("the words of the folder cannot be made: {reason}"));
            }
            NetworkEvent::Idle => self.is_network_busy = false,
        }
    }

    fn is_shown(&self, key: ImageKey) -> bool {
        self.open.as_ref().is_some_and(|open| open.image.key == key)
    }
}
