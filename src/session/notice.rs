//! What a person is told: shown for a moment, kept in a list.

use std::time::Instant;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something went well, or is good to know.
    Info,
    /// Something was mended or left out.
    Warning,
    /// Something could not be done.
    Error,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// What happened, why, and what to do.
    pub text: String,
    /// Lines that say more.
    pub details: Vec<String>,
    /// When.
    pub at: Instant,
}

/// Messages, the latest last; the same one again moves to the end instead of filling the list.
#[derive(Debug, Default)]
pub struct Notices {
    kept: Vec<Notice>,
}

/// Messages that are kept.
const KEPT: usize = 500;

impl Notices {
    /// Adds a message.
    pub fn add(&mut self, severity: Severity, text: impl Into<String>, details: Vec<String>) {
        let text = text.into();
        match severity {
            Severity::Info => tracing::info!("{text}"),
            Severity::Warning => tracing::warn!("{text}"),
            Severity::Error => tracing::error!("{text}"),
        }
        self.kept.retain(|notice| notice.text != text);
        if self.kept.len() >= KEPT {
            self.kept.remove(0);
        }
        self.kept.push(Notice {
            severity,
            text,
            details,
            at: Instant::now(),
        });
    }

    /// Something good to know.
    pub fn info(&mut self, text: impl Into<String>) {
        self.add(Severity::Info, text, Vec::new());
    }

    /// Something mended or left out.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.add(Severity::Warning, text, Vec::new());
    }

    /// Something that could not be done.
    pub fn error(&mut self, text: impl Into<String>) {
        self.add(Severity::Error, text, Vec::new());
    }

    /// All messages, the latest last.
    #[must_use]
    pub fn all(&self) -> &[Notice] {
        &self.kept
    }

    /// Takes a message off the list.
    pub fn dismiss(&mut self, place: usize) {
        if place < self.kept.len() {
            self.kept.remove(place);
        }
    }
}
