//! The batch job that runs, how far it is, and the report of the last one.

use std::path::PathBuf;

use super::{Session, Severity};
use crate::language::proposals::outcome::OutcomeTable;
use crate::worker::batch::{BatchEvent, BatchJob, Exchange, Report, RunningBatch};
use crate::worker::files::FileRequest;
use crate::worker::network::{FolderJob, NetworkRequest};
use crate::worker::tokenize::{Shard, TokenizeProgress};

/// Words that give back a mask with a lower IoU are listed in the report.
const MIN_WORDS_IOU: f64 = 0.5;

/// What runs over the folder.
#[derive(Debug, Default)]
pub struct BatchState {
    running: Option<RunningBatch>,
    /// What runs, in English; `None` if nothing does.
    pub title: Option<&'static str>,
    /// Images done, and to do where that is known.
    pub progress: (u64, Option<u64>),
    /// Whether the words of the folder are being made.
    pub makes_words: bool,
    /// Whether that is held.
    pub is_paused: bool,
    /// The last report.
    pub report: Option<Box<Report>>,
    /// Counts the reports.
    pub reports: u64,
    /// What became of the folder's proposals when that was last counted, and the sidecars that could not be read.
    pub outcomes: Option<(Box<OutcomeTable>, u64)>,
    /// Whether they are to be counted as soon as everything is saved.
    wants_outcomes: bool,
}

impl BatchState {
    pub(super) fn words_progress(&mut self, progress: &TokenizeProgress) {
        self.progress = (progress.done, Some(progress.total));
    }

    pub(super) fn end_words(&mut self) {
        self.makes_words = false;
        self.is_paused = false;
        self.title = None;
    }
}

impl Session {
    /// Writes training data or another program's form of the folder's annotations.
    pub fn start_export(&mut self, to: Exchange, out: PathBuf, copies_images: bool) {
        if let Some(folder) = self.folder() {
            self.start_batch(
                "Exporting",
                BatchJob::Export {
                    folder,
                    to,
                    out,
                    copies_images,
                },
            );
        }
    }

    /// Brings annotations into the folder.
    pub fn start_import(&mut self, from: Exchange, source: PathBuf) {
        if let Some(into) = self.folder() {
            self.start_batch("Importing", BatchJob::Import { source, from, into });
        }
    }

    /// Makes the report of the folder.
    pub fn start_report(&mut self) {
        if let Some(folder) = self.folder() {
            self.start_batch(
                "Checking",
                BatchJob::Report {
                    folder,
                    min_words_iou: MIN_WORDS_IOU,
                },
            );
        }
    }

    /// Counts what became of the folder's proposals, those on screen included.
    pub fn start_outcomes(&mut self) {
        if self.folder().is_some() && !self.is_batch_running() {
            self.batch.wants_outcomes = true;
            self.batch.outcomes = None;
        }
    }

    /// Begins to count once the last decisions are on disk.
    fn begin_outcomes(&mut self) {
        if self.batch.wants_outcomes && self.batch.title.is_none() && (self.is_saved() || self.is_failing()) {
            self.batch.wants_outcomes = false;
            if let Some(folder) = self.list.as_ref().map(|list| list.folder.clone()) {
                self.start_batch("Counting proposals", BatchJob::Outcomes { folder });
            }
        }
    }

    /// Makes the words of all regions of the folder that lack them.
    pub(super) fn start_words(&mut self) {
        let Some(folder) = self.folder() else { return };
        if self.is_batch_running() {
            return;
        }
        if self.model_info().is_none() {
            self.notices
                .warn("there is no model yet; wait until it is loaded, or choose one");
            return;
        }
        self.batch.makes_words = true;
        self.batch.title = Some("Making words");
        self.batch.progress = (0, None);
        self.network.pause_folder(false);
        self.ask_network(NetworkRequest::Folder(FolderJob {
            folder,
            search_width: None,
            shard: Shard::WHOLE,
        }));
    }

    fn folder(&mut self) -> Option<PathBuf> {
        self.save();
        let folder = self.list.as_ref().map(|list| list.folder.clone());
        if folder.is_none() {
            self.notices.info("open a folder first");
        }
        folder
    }

    fn is_batch_running(&mut self) -> bool {
        let is_running = self.batch.title.is_some();
        if is_running {
            self.notices
                .info("something else runs over the folder; wait until it is done, or stop it");
        }
        is_running
    }

    fn start_batch(&mut self, title: &'static str, job: BatchJob) {
        if self.is_batch_running() {
            return;
        }
        match RunningBatch::start(job, self.wake()) {
            Ok(running) => {
                self.batch.running = Some(running);
                self.batch.title = Some(title);
                self.batch.progress = (0, None);
            }
            Err(error) => self
                .notices
                .error(format!("the system refuses another thread: {error}")),
        }
    }

    /// Stops what runs over the folder.
    pub fn cancel_batch(&mut self) {
        if self.batch.makes_words {
            self.network.cancel_folder();
        }
        if let Some(running) = &self.batch.running {
            running.cancel();
        }
    }

    /// Holds the words of the folder, or lets them go on.
    pub fn pause_batch(&mut self, is_paused: bool) {
        if self.batch.makes_words {
            self.batch.is_paused = is_paused;
            self.network.pause_folder(is_paused);
        }
    }

    pub(super) fn update_batch(&mut self) {
        self.begin_outcomes();
        while let Some(event) = self.batch.running.as_ref().and_then(RunningBatch::try_event) {
            if let BatchEvent::Progress(done, total) = event {
                self.batch.progress = (done, total);
                continue;
            }
            self.batch.running = None;
            self.batch.title = None;
            match event {
                BatchEvent::Progress(..) => {}
                BatchEvent::Done {
                    text,
                    details,
                    has_changed_sidecars,
                } => {
                    self.notices.add(Severity::Info, text, details);
                    if has_changed_sidecars {
                        self.ask_files(FileRequest::Rescan);
                        self.refresh();
                    }
                }
                BatchEvent::Report(report) => {
                    self.batch.report = Some(report);
                    self.batch.reports += 1;
                }
                BatchEvent::Outcomes(table, unreadable) => self.batch.outcomes = Some((table, unreadable)),
                BatchEvent::Failed(reason) => self.notices.error(reason),
                BatchEvent::Cancelled => self.notices.info("stopped; nothing is left half done"),
            }
        }
    }
}
