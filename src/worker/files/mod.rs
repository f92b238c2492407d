//! The thread that owns the files: lists folders, opens images with their annotations, and saves.
//!
//! Saving comes before everything else, then what a person waits for, then images that may be shown next, thumbnails,
//! and, when nothing waits, the index of the folder.

mod actor;
mod folder;
mod opened;
mod samples;
mod thumbnail;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

pub use self::opened::OpenedImage;
use super::Wake;
use crate::dataset::history::Mark;
use crate::dataset::index::{Direction, ImageRow, LabelCount, StatusCounts};
use crate::dataset::{Conflict, Document, Merged, Saved};
use crate::image_file::{Limits, RgbImage};

/// Requests that may wait.
const WAITING: usize = 4096;

/// Longest side of a thumbnail in pixels.
pub const THUMBNAIL_PX: u32 = 96;

/// What the files are asked.
#[derive(Debug)]
pub enum FileRequest {
    /// Work on this folder, or on the folder of this image.
    OpenFolder(PathBuf),
    /// Make the sample images in this folder where they are missing, and work on it.
    OpenSamples(PathBuf),
    /// Show only what this search finds, see [`crate::dataset::index::Filter::parse`].
    Filter(String),
    /// What is known of the images at these places of the list.
    Page(Range<usize>),
    /// The next image in one direction that a search finds.
    Find {
        /// Name of the image from which to look; `None` for the beginning.
        from: Option<String>,
        /// Which way.
        direction: Direction,
        /// The search.
        filter: String,
    },
    /// Read an image with its annotations.
    OpenImage {
        /// The image.
        path: PathBuf,
        /// Whether a person waits for it.
        is_urgent: bool,
    },
    /// Write annotations, together with what others wrote meanwhile.
    Save {
        /// The image.
        path: PathBuf,
        /// What is written.
        document: Arc<Document>,
        /// Returned with the answer.
        mark: Mark,
        /// Counts the saves; returned with the answer.
        number: u64,
    },
    /// Look whether others changed the annotations of an open image.
    Refresh {
        /// The image.
        path: PathBuf,
        /// What is on screen.
        document: Arc<Document>,
    },
    /// The image is no longer open.
    Close(PathBuf),
    /// A small picture for the list.
    Thumbnail(PathBuf),
    /// Look through the folder for changes.
    Rescan,
    /// Somebody else changed this file.
    Changed(PathBuf),
}

/// What is shown of the folder as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FolderState {
    /// Counts the states of the list; pages of another epoch are out of date.
    pub epoch: u64,
    /// Images that the search finds.
    pub found: usize,
    /// All images.
    pub counts: StatusCounts,
    /// Labels in use, with how often.
    pub labels: Vec<LabelCount>,
    /// How far the index is, where it works: images done and, once known, to do.
    pub indexing: Option<(usize, Option<usize>)>,
    /// Why parts of the folder are missing.
    pub problems: Vec<String>,
}

/// What the files answer.
#[derive(Debug)]
pub enum FileEvent {
    /// A folder is open; its list follows.
    FolderOpened(PathBuf),
    /// It cannot be opened; the one before stays.
    FolderFailed {
        /// Why, with the path.
        reason: String,
    },
    /// The list changed.
    Listed(FolderState),
    /// The search makes no sense; the one before stays.
    FilterFailed {
        /// What is wrong.
        reason: String,
    },
    /// A part of the list.
    Page {
        /// [`FolderState::epoch`] of the list.
        epoch: u64,
        /// Place of the first row.
        start: usize,
        /// The rows.
        rows: Vec<ImageRow>,
    },
    /// Answer to [`FileRequest::Find`]: the image's path.
    Found(Option<PathBuf>),
    /// An image is read.
    ImageOpened {
        /// The image.
        path: PathBuf,
        /// Its pixels.
        image: Arc<OpenedImage>,
        /// Its annotations; `Ok(None)` where there are none yet, and a sentence where they cannot be read, so that
        /// they must not be written either.
        document: Result<Option<Document>, String>,
    },
    /// An image cannot be read.
    ImageFailed {
        /// The image.
        path: PathBuf,
        /// Why, with the path.
        reason: String,
    },
    /// Annotations were written.
    Saved {
        /// The image.
        path: PathBuf,
        /// What was to be written.
        document: Arc<Document>,
        /// The mark of the request.
        mark: Mark,
        /// The number of the request; earlier ones of this image are done with too.
        number: u64,
        /// What others had changed.
        saved: Saved,
    },
    /// Annotations could not be written; nothing changed on disk.
    SaveFailed {
        /// The image.
        path: PathBuf,
        /// What was to be written.
        document: Arc<Document>,
        /// Why.
        reason: String,
    },
    /// Others changed the annotations of an open image.
    Refreshed {
        /// The image.
        path: PathBuf,
        /// What was on screen when it was asked.
        document: Arc<Document>,
        /// Both versions together.
        merged: Merged,
    },
    /// An image that is open, or was read ahead, or its annotations may have been changed by another program.
    ChangedOutside(PathBuf),
    /// Others changed the annotations of an open image so that they cannot be read or merged.
    RefreshFailed {
        /// The image.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A small picture, or none for an image that cannot be read.
    Thumbnail {
        /// The image.
        path: PathBuf,
        /// The picture.
        picture: Option<RgbImage>,
    },
}

/// Conflicts in sentences.
#[must_use]
pub fn sentences(conflicts: &[Conflict]) -> Vec<String> {
    conflicts.iter().map(ToString::to_string).collect()
}

/// How the files are read and where lists are kept.
#[derive(Clone, Debug, Default)]
pub struct FileOptions {
    /// Largest images that are read.
    pub limits: Limits,
    /// Where the index of a folder that cannot be written is kept.
    pub cache: Option<PathBuf>,
}

/// The handle; dropping it waits until what was asked to be saved is on disk.
#[derive(Debug)]
pub struct FileWorker {
    // Dropped before the thread is joined, so that it sees the end.
    requests: Option<Sender<FileRequest>>,
    events: Receiver<FileEvent>,
    thread: Option<JoinHandle<()>>,
}

impl FileWorker {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(options: FileOptions, wake: Wake) -> io::Result<Self> {
        let (requests, received) = bounded(WAITING);
        let (sent, events) = bounded(2 * WAITING);
        let actor = actor::Actor::new(options, received, sent, wake);
        let thread = thread::Builder::new()
            .name("samtok-files".to_owned())
            .spawn(move || actor.run())?;
        Ok(Self {
            requests: Some(requests),
            events,
            thread: Some(thread),
        })
    }

    /// Hands over a request; `false` if too many wait, or the thread is gone.
    #[must_use]
    pub fn send(&self, request: FileRequest) -> bool {
        self.requests
            .as_ref()
            .is_some_and(|requests| requests.try_send(request).is_ok())
    }

    /// The next event, without waiting.
    #[must_use]
    pub fn try_event(&self) -> Option<FileEvent> {
        self.events.try_recv().ok()
    }

    /// The events, for a caller that may wait.
    #[must_use]
    pub fn events(&self) -> &Receiver<FileEvent> {
        &self.events
    }
}

impl Drop for FileWorker {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ended = thread.join();
        }
    }
}
