//! The thread that owns the network: embeds images, turns masks into words and back, and answers clicks.
//!
//! The shown image is embedded first and its neighbours when there is nothing else to do; embeddings stay within a
//! budget of memory and, where a cache folder is given, on disk by content hash and model fingerprint. A model that
//! fails or panics is reported and dropped; the thread goes on and can load another.

mod actor;
mod embeddings;
mod model;
mod queue;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

pub use self::model::{MaskModel, ModelChoice, ModelInfo, load_tokenizer};
use super::Wake;
use super::tokenize::{Shard, TokenizeProgress};
use crate::dataset::MaskWords;
use crate::image_file::RgbImage;
use crate::mask::{Mask, Rle};
use crate::tokenizer::Prompt;
use crate::words::MaskCodes;

/// Requests that may wait; far more than a person causes in the time of one image encode.
const WAITING: usize = 1024;

/// Identity of an image's content: the BLAKE3 of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageKey(pub [u8; 32]);

/// An image as the network wants it.
#[derive(Clone, Debug)]
pub struct NetworkImage {
    /// Its content.
    pub key: ImageKey,
    /// Its pixels.
    pub rgb: Arc<RgbImage>,
}

/// How much the worker keeps, and where.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// Most bytes of embeddings in memory; the shown image's is kept whatever its size.
    pub embedding_bytes: usize,
    /// Folder in which embeddings outlive the program; `None` for nowhere.
    pub cache: Option<PathBuf>,
    /// Most bytes in that folder.
    pub cache_bytes: u64,
}

impl Default for NetworkOptions {
    /// 512 MiB in memory, nothing on disk, 2 GiB if there is a folder.
    fn default() -> Self {
        Self {
            embedding_bytes: 512 << 20,
            cache: None,
            cache_bytes: 2 << 30,
        }
    }
}

/// A region whose words are wanted.
#[derive(Clone, Debug)]
pub struct WordsJob {
    /// The region's id.
    pub region: String,
    /// Its mask, not empty.
    pub mask: Rle,
}

/// Words for all regions of a folder.
#[derive(Clone, Debug)]
pub struct FolderJob {
    /// The folder.
    pub folder: PathBuf,
    /// Codebook rows tried at every step; `None` takes the nearest.
    pub search_width: Option<usize>,
    /// The part of the folder.
    pub shard: Shard,
}

/// What the network is asked.
#[derive(Clone, Debug)]
pub enum NetworkRequest {
    /// Use this model from now on.
    Load(ModelChoice),
    /// This image is on screen: embed it before anything else, and keep it.
    Show(NetworkImage),
    /// These images may be shown next; they replace earlier ones that were not begun.
    Prefetch(Vec<NetworkImage>),
    /// Words for regions, with the mask that the words give back.
    Words {
        /// The image.
        image: NetworkImage,
        /// The regions; a later job for the same region replaces this one.
        jobs: Vec<WordsJob>,
        /// Codebook rows tried at every step; `None` takes the nearest.
        search_width: Option<usize>,
    },
    /// Masks for codes found in a text.
    Decode {
        /// The image.
        image: NetworkImage,
        /// Returned with the answer.
        id: u64,
        /// The codes.
        codes: Vec<MaskCodes>,
    },
    /// A mask for clicks and boxes; the latest replaces all before it.
    Prompt {
        /// The image.
        image: NetworkImage,
        /// Returned with the answer.
        id: u64,
        /// What was clicked.
        prompt: Prompt,
    },
    /// Words for all regions of a folder, in between everything else.
    Folder(FolderJob),
}

/// A region's words and the mask they give back.
#[derive(Clone, Debug, PartialEq)]
pub struct RegionWords {
    /// The region's id.
    pub region: String,
    /// The words; [`MaskWords::tokenizer`] is empty, for only the document knows its tokenizers' ids.
    pub words: MaskWords,
    /// The mask that the words give back.
    pub rebuilt: Rle,
}

/// A mask that the network drew.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnMask {
    /// The mask at the image's size.
    pub mask: Mask,
    /// IoU that the network predicts for it.
    pub predicted_iou: f32,
    /// Logits on the network's grid, to refine the answer with more clicks.
    pub logits: Vec<f32>,
}

/// What the network answers.
#[derive(Clone, Debug)]
pub enum NetworkEvent {
    /// A model is being loaded.
    Loading(ModelChoice),
    /// A model is ready; words of another one are stale now.
    Ready(ModelInfo),
    /// A model could not be loaded, or failed while it ran; there is none now.
    ModelFailed {
        /// Which one.
        choice: ModelChoice,
        /// Why.
        reason: String,
    },
    /// An image is being embedded.
    Embedding(ImageKey),
    /// An image is embedded: words and clicks answer at once.
    Embedded {
        /// The image.
        image: ImageKey,
        /// How long it took, in milliseconds.
        ms: f64,
        /// Whether it was found on disk.
        from_disk: bool,
    },
    /// Words of regions.
    Words {
        /// The image.
        image: ImageKey,
        /// The regions.
        regions: Vec<RegionWords>,
    },
    /// Masks of codes, in their order.
    Decoded {
        /// The image.
        image: ImageKey,
        /// The request.
        id: u64,
        /// The masks.
        masks: Vec<DrawnMask>,
    },
    /// The answer to clicks: the best mask first, then, where one click could mean several things, the others.
    Prompted {
        /// The image.
        image: ImageKey,
        /// The request.
        id: u64,
        /// The masks.
        masks: Vec<DrawnMask>,
    },
    /// A request failed; the model goes on.
    Failed {
        /// The image.
        image: ImageKey,
        /// What was asked, for the message.
        what: &'static str,
        /// Why it failed.
        reason: String,
    },
    /// How far the words of a folder are.
    FolderProgress(TokenizeProgress),
    /// The words of a folder are done, or as far as they came.
    FolderDone {
        /// The last figures.
        progress: TokenizeProgress,
        /// What failed: the image and why.
        failures: Vec<(PathBuf, String)>,
        /// Whether it was stopped.
        is_cancelled: bool,
    },
    /// The words of a folder cannot be made at all.
    FolderFailed {
        /// Why.
        reason: String,
    },
    /// There is nothing left to do.
    Idle,
}

/// Switches that act while a job runs.
#[derive(Debug, Default)]
struct Switches {
    stop: AtomicBool,
    cancel_folder: AtomicBool,
    pause_folder: AtomicBool,
}

/// The handle; dropping it stops the thread after the step that runs.
#[derive(Debug)]
pub struct NetworkWorker {
    // Dropped before the thread is joined, so that it sees the end.
    requests: Option<Sender<NetworkRequest>>,
    events: Receiver<NetworkEvent>,
    switches: Arc<Switches>,
    thread: Option<JoinHandle<()>>,
}

impl NetworkWorker {
    /// Starts the thread; `load` opens models on it.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start<M: MaskModel + 'static>(
        options: NetworkOptions,
        load: impl Fn(&ModelChoice) -> Result<M, String> + Send + 'static,
        wake: Wake,
    ) -> io::Result<Self> {
        let (requests, received) = bounded(WAITING);
        // The thread must never wait for a window that does not draw; what is on its way is bounded by the requests.
        let (sent, events) = bounded(4 * WAITING);
        let switches = Arc::new(Switches::default());
        let seen = Arc::clone(&switches);
        // The model never leaves its thread, so it is made there.
        let thread = thread::Builder::new()
            .name("samtok-network".to_owned())
            .spawn(move || {
                actor::Actor::new(options, load, received, actor::Events::new(sent, wake), seen).run()
            })?;
        Ok(Self {
            requests: Some(requests),
            events,
            switches,
            thread: Some(thread),
        })
    }

    /// Hands over a request; `false` if too many wait, or the thread is gone.
    #[must_use]
    pub fn send(&self, request: NetworkRequest) -> bool {
        let Some(requests) = &self.requests else {
            return false;
        };
        if matches!(request, NetworkRequest::Folder(_)) {
            // Here and not where the job starts, so that it can be cancelled while it waits for its turn.
            self.cancel_or_pause(false, false);
        }
        match requests.try_send(request) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// The next event, without waiting.
    #[must_use]
    pub fn try_event(&self) -> Option<NetworkEvent> {
        self.events.try_recv().ok()
    }

    /// The events, for a caller that may wait.
    #[must_use]
    pub fn events(&self) -> &Receiver<NetworkEvent> {
        &self.events
    }

    /// Stops the words of a folder after the image that runs.
    pub fn cancel_folder(&self) {
        self.cancel_or_pause(true, false);
    }

    /// Holds the words of a folder, or lets them go on.
    pub fn pause_folder(&self, is_paused: bool) {
        self.switches.pause_folder.store(is_paused, Ordering::Relaxed);
    }

    fn cancel_or_pause(&self, is_cancelled: bool, is_paused: bool) {
        self.switches.cancel_folder.store(is_cancelled, Ordering::Relaxed);
        self.switches.pause_folder.store(is_paused, Ordering::Relaxed);
    }
}

impl Drop for NetworkWorker {
    fn drop(&mut self) {
        self.switches.stop.store(true, Ordering::Relaxed);
        self.switches.cancel_folder.store(true, Ordering::Relaxed);
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ended = thread.join();
        }
    }
}
