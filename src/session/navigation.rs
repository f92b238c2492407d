//! Which folder and which image are open: going from one to the next, and reading ahead so that this is instant.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{OpenDocument, Session};
use crate::dataset::Document;
use crate::dataset::history::History;
use crate::dataset::index::Direction;
use crate::image_file::RgbImage;
use crate::worker::files::{FileRequest, OpenedImage};
use crate::worker::network::NetworkRequest;

/// Images read ahead on each side.
const AHEAD: usize = 2;

/// Most bytes of images that are read ahead.
const AHEAD_BYTES: usize = 1 << 30;

/// Images whose history is kept after they were left.
const LEFT: usize = 64;

/// Most bytes of histories that are kept after their images were left.
const LEFT_BYTES: usize = 128 << 20;

/// An image that was read ahead.
#[derive(Debug)]
pub(super) struct ReadAhead {
    pub(super) path: PathBuf,
    pub(super) image: Arc<OpenedImage>,
    pub(super) document: Result<Option<Document>, String>,
}

/// Annotations of an image that was left, with their history.
#[derive(Debug)]
pub(super) struct Left {
    path: PathBuf,
    document: Document,
    history: History,
}

impl Session {
    /// Opens a folder, or an image and the folder it is in.
    pub fn open_path(&mut self, path: &Path) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        self.save();
        let is_folder = path.is_dir();
        let folder = if is_folder {
            path.clone()
        } else {
            path.parent().unwrap_or(&path).to_path_buf()
        };
        if self.list.as_ref().is_none_or(|list| list.folder != folder) {
            self.opening_folder = Some(folder);
            self.ask_files(FileRequest::OpenFolder(path.clone()));
        }
        if is_folder {
            self.leave();
        } else {
            self.open_image(&path);
        }
    }

    /// Makes the sample images in `folder` where they are missing, and opens it.
    pub fn open_samples(&mut self, folder: &Path) {
        self.save();
        self.opening_folder = Some(folder.to_path_buf());
        self.leave();
        self.ask_files(FileRequest::OpenSamples(folder.to_path_buf()));
    }

    /// Shows an image.
    pub fn open_image(&mut self, path: &Path) {
        if self.open.as_ref().is_some_and(|open| open.path == path) {
            self.opening = None;
            return;
        }
        self.save();
        if let Some(place) = self.ahead.iter().position(|ahead| ahead.path == path)
            && let Some(ahead) = self.ahead.remove(place)
        {
            self.show(ahead);
            // Others may have saved since it was read.
            self.refresh();
            return;
        }
        self.opening = Some(path.to_path_buf());
        self.ask_files(FileRequest::OpenImage {
            path: path.to_path_buf(),
            is_urgent: true,
        });
    }

    /// Goes to the image `by` places further in the list.
    pub fn step(&mut self, by: isize) {
        let Some(list) = &self.list else { return };
        let current = self
            .opening
            .as_deref()
            .or(self.open.as_ref().map(|open| open.path.as_path()));
        let Some(current) = current else { return };
        let place = list.place_of(current);
        let next = place.and_then(|place| place.checked_add_signed(by));
        let next = next.and_then(|next| list.row(next)).map(|row| list.path_of(row));
        match (next, place) {
            (Some(path), _) => self.open_image(&path),
            // The current image is no longer in the list, or its neighbours are not known yet.
            (None, None) => {
                let direction = if by < 0 {
                    Direction::Previous
                } else {
                    Direction::Next
                };
                let filter = list.filter.clone();
                self.find(direction, filter);
            }
            (None, Some(_)) => {}
        }
    }

    /// Goes to the next image that a search finds.
    pub fn find(&mut self, direction: Direction, filter: String) {
        let from = self
            .open
            .as_ref()
            .and_then(|open| self.list.as_ref()?.name_of(&open.path));
        self.ask_files(FileRequest::Find {
            from,
            direction,
            filter,
        });
    }

    /// Shows only what a search finds.
    pub fn set_filter(&mut self, filter: &str) {
        if let Some(list) = &mut self.list {
            filter.clone_into(&mut list.filter);
            self.ask_files(FileRequest::Filter(filter.to_owned()));
        }
    }

    /// Makes sure that the rows at these places come.
    pub fn want_rows(&mut self, places: std::ops::Range<usize>) {
        if let Some(page) = self.list.as_mut().and_then(|list| list.missing(places)) {
            self.ask_files(FileRequest::Page(page));
        }
    }

    /// Asks for a small picture; it comes with [`Session::take_thumbnails`].
    pub fn want_thumbnail(&mut self, path: &Path) {
        self.ask_files(FileRequest::Thumbnail(path.to_path_buf()));
    }

    /// The small pictures that arrived.
    pub fn take_thumbnails(&mut self) -> Vec<(PathBuf, Option<RgbImage>)> {
        std::mem::take(&mut self.thumbnails)
    }

    pub(super) fn on_image(&mut self, image: ReadAhead) {
        if self.opening.as_deref() == Some(image.path.as_path()) {
            self.show(image);
            return;
        }
        let is_open = self.open.as_ref().is_some_and(|open| open.path == image.path);
        if is_open {
            return;
        }
        self.ahead.retain(|ahead| ahead.path != image.path);
        self.ahead.push_back(image);
        let bytes =
            |ahead: &VecDeque<ReadAhead>| ahead.iter().map(|ahead| ahead.image.bytes()).sum::<usize>();
        while self.ahead.len() > 4 * AHEAD || (self.ahead.len() > 1 && bytes(&self.ahead) > AHEAD_BYTES) {
            let Some(dropped) = self.ahead.pop_front() else {
                break;
            };
            // What is yet to be written needs what it was read from.
            if self.unsaved.iter().all(|unsaved| unsaved.path != dropped.path) {
                self.ask_files(FileRequest::Close(dropped.path));
            }
        }
    }

    /// Puts the image that is open aside.
    fn leave(&mut self) {
        self.save();
        self.proposal = None;
        self.found = None;
        let Some(open) = self.open.take() else { return };
        // What a failed save left unsaved is tried once more; the person was told.
        let image = Arc::clone(&open.image);
        let is_read_only = open.is_read_only();
        let (path, document, history) = open.into_left();
        if is_read_only {
            return;
        }
        self.ahead.push_back(ReadAhead {
            path: path.clone(),
            image,
            document: Ok(Some(document.clone())),
        });
        self.left.retain(|left| left.path != path);
        self.left.push_back(Left {
            path,
            document,
            history,
        });
        let bytes = |left: &VecDeque<Left>| left.iter().map(|left| left.history.bytes()).sum::<usize>();
        while self.left.len() > LEFT || (self.left.len() > 1 && bytes(&self.left) > LEFT_BYTES) {
            self.left.pop_front();
        }
    }

    pub(super) fn show(&mut self, image: ReadAhead) {
        self.leave();
        self.opening = None;
        let ReadAhead {
            path,
            image,
            document,
        } = image;
        let history = self
            .left
            .iter()
            .position(|left| left.path == path)
            .and_then(|place| self.left.remove(place))
            .filter(|left| {
                document
                    .as_ref()
                    .is_ok_and(|document| document.as_ref() == Some(&left.document))
            })
            .map(|left| left.history);
        let unsaved = self.unsaved.iter().position(|unsaved| unsaved.path == path);
        let unsaved = unsaved.map(|place| self.unsaved.remove(place).document);
        let is_unsaved = unsaved.is_some();
        let document = unsaved.map_or(document, |document| Ok(Some((*document).clone())));
        let mut open = OpenDocument::new(path, image, document, history);
        if is_unsaved {
            open.save_failed("these annotations could not be written yet".to_owned());
        }
        let annotated = &open.document().image;
        if annotated
            .blake3
            .as_ref()
            .is_some_and(|hash| *hash != open.image.blake3())
        {
            self.notices.warn(format!(
                "the image was changed after it was annotated; look whether the masks still fit: {}",
                annotated.file_name
            ));
        }
        self.open = Some(open);
        self.is_read_only_told();
        self.shown += 1;
        self.show_to_network();
        self.want_stale_words();
        self.renew_language(false);
        self.read_ahead();
    }

    /// Reads the neighbours of the image on screen.
    pub(super) fn read_ahead(&mut self) {
        let Some((list, open)) = self.list.as_ref().zip(self.open.as_ref()) else {
            return;
        };
        let Some(place) = list.place_of(&open.path) else {
            return;
        };
        let offsets = (1..=AHEAD as isize).flat_map(|by| [by, -by]);
        let neighbours: Vec<PathBuf> = offsets
            .filter_map(|by| list.row(place.checked_add_signed(by)?))
            .map(|row| list.path_of(row))
            .filter(|path| self.ahead.iter().all(|ahead| ahead.path != *path))
            .collect();
        self.want_rows(place.saturating_sub(AHEAD)..place + AHEAD + 1);
        for path in neighbours {
            self.ask_files(FileRequest::OpenImage {
                path,
                is_urgent: false,
            });
        }
    }

    /// Asks the network to embed what was read ahead when it has nothing else to do.
    pub(super) fn prefetch_embeddings(&self) {
        let images = self
            .ahead
            .iter()
            .rev()
            .take(2 * AHEAD)
            .map(|ahead| ahead.image.for_network())
            .collect();
        if !self.network.send(NetworkRequest::Prefetch(images)) {
            tracing::debug!("the network has too much to do to look ahead");
        }
    }
}
