//! The thread that owns the language model: opens it when it is first asked, and answers one question after the other.
//!
//! Choosing a model opens and sends nothing; that happens with the first question, or when a person tries it out. A
//! server that is down, slow or mad, and a model that panics, cost one answer and never the thread.

mod actor;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::Wake;
use crate::language::opening::{EngineChoice, EngineInfo, OpenedEngine};
use crate::language::{Answer, ChatRequest};

/// Questions that may wait.
const WAITING: usize = 1024;

/// How long closing waits for a model that looks up only between two layers.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What the thread is asked.
#[derive(Clone, Debug)]
pub enum LanguageRequest {
    /// Ask this model from now on, or none; nothing is opened or sent yet.
    Choose(Option<EngineChoice>),
    /// Open the model, to see whether it answers.
    Open,
    /// A question.
    Ask {
        /// Returned with the answer.
        id: u64,
        /// The conversation.
        request: ChatRequest,
    },
}

/// What the thread says.
#[derive(Clone, Debug)]
pub enum LanguageEvent {
    /// The model is being opened: layers loaded and all layers, 0 where there are none to load.
    Opening(usize, usize),
    /// The model answers.
    Opened(EngineInfo),
    /// The model cannot be opened; why.
    OpenFailed(String),
    /// The model looks at a question.
    Begun(u64),
    /// A further piece of an answer.
    Text {
        /// The question.
        id: u64,
        /// The piece.
        text: String,
    },
    /// An answer is done, or was stopped.
    Answered {
        /// The question.
        id: u64,
        /// All of it.
        answer: Answer,
    },
    /// There is no answer, or no more of it.
    Failed {
        /// The question.
        id: u64,
        /// Why.
        reason: String,
        /// What was said before.
        partial: String,
    },
}

/// Opens a model; the functions are told how many layers are loaded, and asked whether to give up.
pub type OpenEngine = dyn Fn(&EngineChoice, &mut dyn FnMut(usize, usize), &dyn Fn() -> bool) -> Result<OpenedEngine, String>
    + Send;

/// Opens a model as the program does.
///
/// # Errors
/// A sentence that says why, and what to do.
pub fn open_engine(
    choice: &EngineChoice,
    progress: &mut dyn FnMut(usize, usize),
    cancelled: &dyn Fn() -> bool,
) -> Result<OpenedEngine, String> {
    choice
        .open(progress, cancelled)
        .map_err(|error| error.to_string())
}

/// Switches that act while the thread works.
#[derive(Debug, Default)]
struct Switches {
    stop: AtomicBool,
    /// Questions that were taken back.
    cancelled: Mutex<HashSet<u64>>,
}

impl Switches {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn is_cancelled(&self, id: u64) -> bool {
        let cancelled = self.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_stopped() || cancelled.contains(&id)
    }

    fn forget(&self, id: u64) {
        let mut cancelled = self.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
        cancelled.remove(&id);
    }
}

/// The handle; dropping it takes all questions back.
#[derive(Debug)]
pub struct LanguageWorker {
    // Dropped before the thread is waited for, so that it sees the end.
    requests: Option<Sender<LanguageRequest>>,
    events: Receiver<LanguageEvent>,
    switches: Arc<Switches>,
    thread: Option<JoinHandle<()>>,
}

impl LanguageWorker {
    /// Starts the thread; `open` opens models on it.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(open: Box<OpenEngine>, wake: Wake) -> io::Result<Self> {
        let (requests, received) = bounded(WAITING);
        let (sent, events) = bounded(4 * WAITING);
        let switches = Arc::new(Switches::default());
        let seen = Arc::clone(&switches);
        let thread = thread::Builder::new()
            .name("samtok-language".to_owned())
            .spawn(move || actor::Actor::new(open, received, sent, wake, seen).run())?;
        Ok(Self {
            requests: Some(requests),
            events,
            switches,
            thread: Some(thread),
        })
    }

    /// Hands over a request; `false` if too many wait, or the thread is gone.
    #[must_use]
    pub fn send(&self, request: LanguageRequest) -> bool {
        let Some(requests) = &self.requests else {
            return false;
        };
        match requests.try_send(request) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// The next event, without waiting.
    #[must_use]
    pub fn try_event(&self) -> Option<LanguageEvent> {
        self.events.try_recv().ok()
    }

    /// Takes a question back, whether it waits or is being answered; the answer ends with what there is of it.
    pub fn cancel(&self, id: u64) {
        let mut cancelled = self
            .switches
            .cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        cancelled.insert(id);
    }
}

impl Drop for LanguageWorker {
    fn drop(&mut self) {
        self.switches.stop.store(true, Ordering::Relaxed);
        self.requests = None;
        let Some(thread) = self.thread.take() else { return };
        // Loading a large folder cannot be interrupted; the process ends without it.
        let start = Instant::now();
        while !thread.is_finished() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            // A panic of the thread was reported when it happened.
            let _ended = thread.join();
        }
    }
}
