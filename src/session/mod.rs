//! What the window works on, without the window: the folder, the open image, the workers, and everything a person does
//! to them.
//!
//! A session never waits: it sends requests to the workers and takes their events in [`Session::update`], which the
//! window calls before it draws and whenever a worker has something to say. All changes of annotations go through
//! [`OpenDocument::apply`], so that each can be taken back.

mod batch;
mod list;
mod notice;
mod open_document;
mod preview;
mod proposal;
pub mod regions;
#[cfg(test)]
mod tests;
pub mod words;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::batch::BatchState;
pub use self::list::ImageList;
pub use self::notice::{Notice, Notices, Severity};
pub use self::open_document::{OpenDocument, Rebuilt, SaveState};
pub use self::proposal::{FoundWords, SmartProposal};
use crate::command::Command;
use crate::dataset::history::{History, Mark};
use crate::dataset::index::Direction;
use crate::dataset::{Document, Edit, Region, RegionChange, Saved, Status};
use crate::worker::Wake;
use crate::worker::files::{FileEvent, FileOptions, FileRequest, FileWorker, OpenedImage, sentences};
use crate::worker::network::{
    ImageKey, MaskModel, ModelChoice, ModelInfo, NetworkEvent, NetworkOptions, NetworkRequest, NetworkWorker,
};

/// How long a change waits for the next one before both are written, while typing.
const TYPING: Duration = Duration::from_millis(400);

/// Images read ahead on each side.
const AHEAD: usize = 2;

/// Most bytes of images that are read ahead.
const AHEAD_BYTES: usize = 1 << 30;

/// Images whose history is kept after they were left.
const LEFT: usize = 64;

/// The state of the network.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelState {
    /// It is being loaded.
    Loading,
    /// It answers.
    Ready(ModelInfo),
    /// There is none; why.
    Failed(String),
}

/// How far the network is with the image on screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EmbeddingState {
    /// It waits for its turn, or for a model.
    Queued,
    /// It is being embedded since then.
    Running(Instant),
    /// Clicks and words answer at once; how long it took in milliseconds.
    Ready(f64),
    /// It cannot be embedded.
    Failed,
}

/// An image that was read ahead.
#[derive(Debug)]
struct ReadAhead {
    path: PathBuf,
    image: Arc<OpenedImage>,
    document: Result<Option<Document>, String>,
}

/// Annotations of an image that was left, with their history.
#[derive(Debug)]
struct Left {
    path: PathBuf,
    document: Document,
    history: History,
}

/// Annotations of an image that was left and that could not be written.
#[derive(Debug)]
struct Unsaved {
    path: PathBuf,
    document: Arc<Document>,
}

/// A save on its way.
#[derive(Debug)]
struct PendingSave {
    path: PathBuf,
    number: u64,
}

/// The window's wish to be woken.
struct WakeUp(Wake);

impl std::fmt::Debug for WakeUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WakeUp")
    }
}

/// Everything the window works on.
#[derive(Debug)]
pub struct Session {
    files: FileWorker,
    network: NetworkWorker,
    /// The folder that is open.
    pub list: Option<ImageList>,
    /// Why the list still is empty, or the folder that is being opened.
    opening_folder: Option<PathBuf>,
    open: Option<OpenDocument>,
    opening: Option<PathBuf>,
    ahead: VecDeque<ReadAhead>,
    left: VecDeque<Left>,
    pending: Vec<PendingSave>,
    unsaved: Vec<Unsaved>,
    /// The network.
    pub model: ModelState,
    choice: ModelChoice,
    /// How far the network is with the image on screen.
    pub embedding: EmbeddingState,
    /// Whether the network works on something.
    pub is_network_busy: bool,
    /// Messages.
    pub notices: Notices,
    /// Copied regions.
    clipboard: Vec<Region>,
    /// The mask that smart select proposes.
    pub proposal: Option<SmartProposal>,
    /// Masks of words that were found in a text.
    pub found: Option<FoundWords>,
    /// Words of regions whose masks are being drawn.
    stored: Vec<proposal::StoredWords>,
    /// The batch job that runs, and the report of the last one.
    pub batch: BatchState,
    next_request: u64,
    wake: WakeUp,
    /// Small pictures that arrived since they were last taken.
    thumbnails: Vec<(PathBuf, Option<crate::image_file::RgbImage>)>,
    /// Counts the images that were put on screen.
    pub shown: u64,
}

/// How a session starts.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// How files are read.
    pub files: FileOptions,
    /// What the network keeps.
    pub network: NetworkOptions,
    /// The model to load.
    pub model: ModelChoice,
}

impl Session {
    /// Starts the workers, and loading the model.
    ///
    /// # Errors
    /// If the system refuses threads.
    pub fn start<M: MaskModel + 'static>(
        options: SessionOptions,
        load: impl Fn(&ModelChoice) -> Result<M, String> + Send + 'static,
        wake: Wake,
    ) -> io::Result<Self> {
        let mut session = Self {
            files: FileWorker::start(options.files, Arc::clone(&wake))?,
            network: NetworkWorker::start(options.network, load, Arc::clone(&wake))?,
            list: None,
            opening_folder: None,
            open: None,
            opening: None,
            ahead: VecDeque::new(),
            left: VecDeque::new(),
            pending: Vec::new(),
            unsaved: Vec::new(),
            model: ModelState::Loading,
            choice: options.model.clone(),
            embedding: EmbeddingState::Queued,
            is_network_busy: true,
            notices: Notices::default(),
            clipboard: Vec::new(),
            proposal: None,
            found: None,
            stored: Vec::new(),
            batch: BatchState::default(),
            next_request: 0,
            wake: WakeUp(wake),
            thumbnails: Vec::new(),
            shown: 0,
        };
        session.load_model(options.model);
        Ok(session)
    }

    // ---- what is open

    /// The image on screen.
    #[must_use]
    pub fn open(&self) -> Option<&OpenDocument> {
        self.open.as_ref()
    }

    /// The image on screen, to be changed.
    pub fn open_mut(&mut self) -> Option<&mut OpenDocument> {
        self.open.as_mut()
    }

    /// The image that is being read to be shown.
    #[must_use]
    pub fn opening(&self) -> Option<&Path> {
        self.opening.as_deref()
    }

    /// Whether a folder is being opened.
    #[must_use]
    pub fn is_opening_folder(&self) -> bool {
        self.opening_folder.is_some()
    }

    /// The model that was asked for.
    #[must_use]
    pub fn model_choice(&self) -> &ModelChoice {
        &self.choice
    }

    /// The model, if it is ready.
    #[must_use]
    pub fn model_info(&self) -> Option<&ModelInfo> {
        match &self.model {
            ModelState::Ready(info) => Some(info),
            ModelState::Loading | ModelState::Failed(_) => None,
        }
    }

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
    pub fn take_thumbnails(&mut self) -> Vec<(PathBuf, Option<crate::image_file::RgbImage>)> {
        std::mem::take(&mut self.thumbnails)
    }

    // ---- model

    /// Loads another model; the one before goes away.
    pub fn load_model(&mut self, choice: ModelChoice) {
        self.choice = choice.clone();
        self.model = ModelState::Loading;
        self.embedding = EmbeddingState::Queued;
        self.ask_network(NetworkRequest::Load(choice));
        self.show_to_network();
    }

    fn show_to_network(&mut self) {
        if let Some(open) = &self.open {
            let image = open.image.for_network();
            self.embedding = EmbeddingState::Queued;
            self.ask_network(NetworkRequest::Show(image));
        }
    }

    // ---- saving

    /// Writes what has changed, and tries again what could not be written.
    pub fn save(&mut self) {
        for Unsaved { path, document } in std::mem::take(&mut self.unsaved) {
            // Its history is gone or put aside; the mark only has to be one.
            let mark = History::default().mark();
            self.send_save(path, document, mark);
        }
        let Some(open) = &mut self.open else { return };
        open.end_typing();
        if let Some((document, mark)) = open.take_unsaved() {
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
    fn autosave(&mut self) {
        let Some(open) = &self.open else { return };
        let is_writing = self.pending.iter().any(|pending| pending.path == open.path);
        let is_typing = open.history().next_undo().is_some_and(is_text);
        let is_due = open
            .unsaved_since()
            .is_some_and(|since| !is_typing || since.elapsed() >= TYPING);
        if !is_writing && is_due && open.live_mask().is_none() {
            let Some(open) = &mut self.open else { return };
            if let Some((document, mark)) = open.take_unsaved() {
                let path = open.path.clone();
                self.send_save(path, document, mark);
            }
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

    // ---- workers

    fn ask_files(&mut self, request: FileRequest) {
        if !self.files.send(request) {
            self.notices
                .error("the files do not answer; wait a moment, and restart the program if it stays so");
        }
    }

    fn ask_network(&mut self, request: NetworkRequest) {
        self.is_network_busy = true;
        if !self.network.send(request) {
            self.notices
                .error("the network does not answer; wait a moment, and load the model again if it stays so");
        }
    }

    /// Takes what the workers have to say, and does what is due.
    pub fn update(&mut self) {
        while let Some(event) = self.files.try_event() {
            self.on_file_event(event);
        }
        while let Some(event) = self.network.try_event() {
            self.on_network_event(event);
        }
        self.update_batch();
        self.autosave();
    }

    fn on_file_event(&mut self, event: FileEvent) {
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

    fn on_saved(&mut self, path: &Path, document: &Document, mark: Mark, saved: &Saved) {
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

    fn tell_merged(&mut self, path: &Path, is_merged: bool, mut details: Vec<String>) {
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

    fn on_image(&mut self, image: ReadAhead) {
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
        if self.left.len() > LEFT {
            self.left.pop_front();
        }
    }

    fn show(&mut self, image: ReadAhead) {
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
        if let SaveState::ReadOnly(reason) = open.save_state() {
            self.notices.error(format!(
                "the annotations cannot be read, so nothing can be changed: {reason}"
            ));
        } else if open
            .document()
            .image
            .blake3
            .as_ref()
            .is_some_and(|hash| *hash != open.image.blake3())
        {
            let name = open.document().image.file_name.clone();
            self.notices.warn(format!(
                "the image was changed after it was annotated; look whether the masks still fit: {name}"
            ));
        }
        self.open = Some(open);
        self.shown += 1;
        self.show_to_network();
        self.want_stale_words();
        self.read_ahead();
    }

    /// Reads the neighbours of the image on screen.
    fn read_ahead(&mut self) {
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

    fn prefetch_embeddings(&self) {
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

    fn is_shown(&self, key: ImageKey) -> bool {
        self.open.as_ref().is_some_and(|open| open.image.key == key)
    }

    fn on_network_event(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::Loading(_) => self.model = ModelState::Loading,
            NetworkEvent::Ready(info) => {
                self.model = ModelState::Ready(info);
                if let Some(open) = &mut self.open {
                    open.rebuilt.clear();
                }
                self.want_stale_words();
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
            NetworkEvent::Words { image, regions } if self.is_shown(image) => self.on_words(regions),
            NetworkEvent::Words { .. } => {}
            NetworkEvent::Decoded { image, id, masks } if self.is_shown(image) => self.on_decoded(id, masks),
            NetworkEvent::Decoded { .. } => {}
            NetworkEvent::Prompted { image, id, masks } if self.is_shown(image) => {
                self.on_prompted(id, masks)
            }
            NetworkEvent::Prompted { .. } => {}
            NetworkEvent::Failed { image, what, reason } => {
                if self.is_shown(image) && what == "embed the image" {
                    self.embedding = EmbeddingState::Failed;
                }
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

    fn request_id(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    // ---- commands

    /// Runs a command that is about the data; `false` for one that is about the window.
    pub fn execute(&mut self, command: Command) -> bool {
        match command {
            Command::Save => self.save(),
            Command::Rescan => {
                self.ask_files(FileRequest::Rescan);
                self.refresh();
            }
            Command::Undo => self.undo(true),
            Command::Redo => self.undo(false),
            Command::NextImage => self.step(1),
            Command::PreviousImage => self.step(-1),
            Command::NextToReview => self.find(Direction::Next, "status:done".to_owned()),
            Command::NextEmpty => self.find(Direction::Next, "is:empty".to_owned()),
            Command::NextUnanswered => self.find(Direction::Next, "status:draft".to_owned()),
            Command::MarkDone => {
                self.set_status(Status::Done);
                self.step(1);
            }
            Command::Approve => {
                self.set_status(Status::Approved);
                self.find(Direction::Next, "status:done".to_owned());
            }
            Command::MarkDraft => self.set_status(Status::Draft),
            Command::RefreshWords => self.refresh_words(None),
            Command::SearchWords => self.refresh_words(Some(words::SEARCH_WIDTH)),
            Command::FolderWords => self.start_words(),
            _ => return self.execute_on_regions(command),
        }
        true
    }

    fn undo(&mut self, is_undo: bool) {
        let Some(open) = &mut self.open else { return };
        if let Err(error) = open.step(is_undo) {
            self.notices
                .warn(format!("this step no longer fits and is forgotten: {error}"));
        }
        self.after_change();
    }

    /// Sets the status of the image.
    pub fn set_status(&mut self, status: Status) {
        self.apply(vec![Edit::Status(status)]);
    }

    /// Sends the image back with a comment, which goes into the notes.
    pub fn reject(&mut self, comment: &str) {
        let Some(open) = &self.open else { return };
        let mut edits = vec![Edit::Status(Status::Rejected)];
        let comment = comment.trim();
        if !comment.is_empty() {
            let notes = &open.document().notes;
            let separator = if notes.is_empty() || notes.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            edits.push(Edit::Notes(format!("{notes}{separator}{comment}")));
        }
        self.apply(edits);
    }

    /// Makes changes as one step, and tells why if they do not fit.
    pub fn apply(&mut self, edits: Vec<Edit>) {
        if self.is_read_only_told() {
            return;
        }
        let Some(open) = &mut self.open else { return };
        if let Err(error) = open.apply_all(edits) {
            self.notices.warn(format!("this cannot be done: {error}"));
        }
        self.after_change();
    }

    /// Changes one thing in each selected region.
    pub fn change_selected(&mut self, change: impl Fn(&Region) -> Option<RegionChange>) {
        let Some(open) = &self.open else { return };
        let regions = open.selected().iter().filter_map(|id| open.document().region(id));
        let edits = regions
            .filter_map(|region| {
                Some(Edit::Region {
                    id: region.id.clone(),
                    change: change(region)?,
                })
            })
            .collect();
        self.apply(edits);
    }

    /// Whether nothing can be changed here, which is told then.
    pub fn is_read_only_told(&mut self) -> bool {
        let reason = match self.open.as_ref().map(OpenDocument::save_state) {
            Some(SaveState::ReadOnly(reason)) => reason.clone(),
            _ => return false,
        };
        self.notices.error(format!(
            "the annotations cannot be read, so nothing can be changed: {reason}"
        ));
        true
    }

    /// Called after annotations were changed through [`Session::open_mut`].
    pub fn changed(&mut self) {
        self.after_change();
    }

    /// Looks which words no longer fit.
    fn after_change(&mut self) {
        self.want_stale_words();
        self.autosave();
    }

    /// Called when a worker has an event; passed on to helpers that start threads.
    fn wake(&self) -> Wake {
        Arc::clone(&self.wake.0)
    }
}

/// Whether an edit is typing in a text.
fn is_text(edit: &Edit) -> bool {
    use crate::dataset::ConversationChange;
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

impl Drop for Session {
    fn drop(&mut self) {
        // The file thread writes what it was given before it ends.
        self.save();
    }
}
