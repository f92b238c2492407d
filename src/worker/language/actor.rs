//! The thread's own side: takes requests in their order, and answers with events.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError};

use super::{LanguageEvent, LanguageRequest, OpenEngine, Switches};
use crate::language::opening::{EngineChoice, OpenedEngine};
use crate::language::{Answer, ChatRequest, Finish, Usage};
use crate::worker::Wake;

/// How often a full channel is looked at again.
const LOOK: Duration = Duration::from_millis(50);

/// Where events go.
struct Events {
    sender: Sender<LanguageEvent>,
    wake: Wake,
    switches: Arc<Switches>,
}

impl Events {
    /// Sends an event that must arrive; gives up only when the window is gone.
    fn send(&self, event: LanguageEvent) {
        let mut event = event;
        loop {
            match self.sender.send_timeout(event, LOOK) {
                Ok(()) => break (self.wake)(),
                Err(SendTimeoutError::Timeout(back)) if !self.switches.is_stopped() => event = back,
                Err(_) => break,
            }
        }
    }

    /// Sends a piece of text, together with those that found no room before; a hidden window takes none for a while.
    fn send_text(&self, id: u64, waiting: &mut String) {
        if waiting.is_empty() {
            return;
        }
        let text = std::mem::take(waiting);
        match self.sender.try_send(LanguageEvent::Text { id, text }) {
            Ok(()) => (self.wake)(),
            Err(TrySendError::Full(LanguageEvent::Text { text, .. })) => *waiting = text,
            Err(_) => {}
        }
    }
}

/// Everything the thread owns.
pub(super) struct Actor {
    open: Box<OpenEngine>,
    requests: Receiver<LanguageRequest>,
    events: Events,
    choice: Option<EngineChoice>,
    opened: Option<OpenedEngine>,
}

impl Actor {
    pub(super) fn new(
        open: Box<OpenEngine>,
        requests: Receiver<LanguageRequest>,
        sender: Sender<LanguageEvent>,
        wake: Wake,
        switches: Arc<Switches>,
    ) -> Self {
        Self {
            open,
            requests,
            events: Events {
                sender,
                wake,
                switches,
            },
            choice: None,
            opened: None,
        }
    }

    /// Works until the handle is gone.
    pub(super) fn run(mut self) {
        while let Ok(request) = self.requests.recv() {
            if self.events.switches.is_stopped() {
                return;
            }
            match request {
                LanguageRequest::Choose(choice) => {
                    // The old model goes first: two large ones may not fit.
                    self.opened = None;
                    self.choice = choice;
                }
                LanguageRequest::Open => {
                    let switches = Arc::clone(&self.events.switches);
                    if let Err(reason) = self.open(&|| switches.is_stopped()) {
                        self.events.send(LanguageEvent::OpenFailed(reason));
                    }
                }
                LanguageRequest::Ask { id, request } => {
                    let event = self.ask(id, &request);
                    self.events.switches.forget(id);
                    self.events.send(event);
                }
            }
        }
    }

    /// Opens the chosen model unless it is open.
    fn open(&mut self, cancelled: &dyn Fn() -> bool) -> Result<(), String> {
        if let Some(opened) = &self.opened {
            self.events.send(LanguageEvent::Opened(opened.info.clone()));
            return Ok(());
        }
        let Some(choice) = &self.choice else {
            return Err("no language model is chosen".to_owned());
        };
        self.events.send(LanguageEvent::Opening(0, 0));
        let (open, events) = (&self.open, &self.events);
        let mut progress = |done, all| {
            // Progress that finds no room is no loss.
            if events.sender.try_send(LanguageEvent::Opening(done, all)).is_ok() {
                (events.wake)();
            }
        };
        let opened = panic::catch_unwind(AssertUnwindSafe(|| open(choice, &mut progress, cancelled)));
        let opened = opened
            .unwrap_or_else(|_| Err("the model made the program stumble; choose another one".to_owned()))?;
        self.events.send(LanguageEvent::Opened(opened.info.clone()));
        self.opened = Some(opened);
        Ok(())
    }

    /// Answers a question; a panic costs the model, not the thread.
    fn ask(&mut self, id: u64, request: &ChatRequest) -> LanguageEvent {
        let switches = Arc::clone(&self.events.switches);
        let cancelled = || switches.is_cancelled(id);
        let unsaid = || LanguageEvent::Answered {
            id,
            answer: Answer {
                text: String::new(),
                finish: Finish::Cancelled,
                usage: Usage::default(),
            },
        };
        if cancelled() {
            return unsaid();
        }
        self.events.send(LanguageEvent::Begun(id));
        if self.opened.is_none()
            && let Err(reason) = self.open(&cancelled)
        {
            if cancelled() {
                return unsaid();
            }
            self.events.send(LanguageEvent::OpenFailed(reason.clone()));
            return LanguageEvent::Failed {
                id,
                reason,
                partial: String::new(),
            };
        }
        let Some(opened) = &mut self.opened else {
            return unsaid();
        };
        let mut waiting = String::new();
        let events = &self.events;
        let asked = panic::catch_unwind(AssertUnwindSafe(|| {
            let mut on_text = |text: &str| {
                waiting.push_str(text);
                events.send_text(id, &mut waiting);
            };
            opened.engine.chat(request, &mut on_text, &cancelled)
        }));
        if !waiting.is_empty() {
            self.events.send(LanguageEvent::Text { id, text: waiting });
        }
        match asked {
            Ok(Ok(answer)) => LanguageEvent::Answered { id, answer },
            Ok(Err(error)) => LanguageEvent::Failed {
                id,
                partial: error.partial().to_owned(),
                reason: error.to_string(),
            },
            Err(_panic) => {
                self.opened = None;
                LanguageEvent::Failed {
                    id,
                    reason: "the language model stopped unexpectedly; ask again, or choose another one"
                        .to_owned(),
                    partial: String::new(),
                }
            }
        }
    }
}
