//! What the window works on, without the window: the folder, the open image, the workers, and everything a person does
//! to them.
//!
//! A session never waits: it sends requests to the workers and takes their events in [`Session::update`], which the
//! window calls before it draws and whenever a worker has something to say. All changes of annotations go through
//! [`OpenDocument::apply`], so that each can be taken back.

mod batch;
mod events;
pub mod language;
mod list;
mod navigation;
mod notice;
mod open_document;
mod preview;
mod proposal;
pub mod regions;
mod saving;
mod selection;
#[cfg(test)]
mod tests;
pub mod words;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

pub use self::batch::BatchState;
use self::language::LanguageDesk;
pub use self::list::ImageList;
use self::navigation::{Left, ReadAhead};
pub use self::notice::{Notice, Notices, Severity};
pub use self::open_document::{OpenDocument, Rebuilt, SaveState};
pub use self::preview::TrainingPreview;
pub use self::proposal::{FoundWords, SmartProposal};
use self::saving::{PendingSave, Unsaved};
use crate::command::Command;
use crate::dataset::index::Direction;
use crate::dataset::{Edit, Region, RegionChange, Status};
use crate::image_file::RgbImage;
use crate::worker::Wake;
use crate::worker::files::{FileOptions, FileRequest, FileWorker};
use crate::worker::language::{OpenEngine, open_engine};
use crate::worker::network::{
    MaskModel, ModelChoice, ModelInfo, NetworkOptions, NetworkRequest, NetworkWorker,
};

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
    /// The language model.
    pub language: LanguageDesk,
    next_request: u64,
    wake: WakeUp,
    /// Small pictures that arrived since they were last taken.
    thumbnails: Vec<(PathBuf, Option<RgbImage>)>,
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
        Self::start_with(options, load, Box::new(open_engine), wake)
    }

    /// Starts as [`Session::start`] does; `open` opens language models.
    ///
    /// # Errors
    /// If the system refuses threads.
    pub fn start_with<M: MaskModel + 'static>(
        options: SessionOptions,
        load: impl Fn(&ModelChoice) -> Result<M, String> + Send + 'static,
        open: Box<OpenEngine>,
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
            language: LanguageDesk::start(open, Arc::clone(&wake))?,
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
        self.update_language();
        self.update_batch();
        self.autosave();
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
        self.changed();
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
        self.changed();
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

    /// Called when a worker has an event; passed on to helpers that start threads.
    fn wake(&self) -> Wake {
        Arc::clone(&self.wake.0)
    }
}
