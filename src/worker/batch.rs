//! Work on a whole folder that needs no network: export, import, and the report of checks and statistics.
//!
//! One job runs at a time, on a thread of its own, so that saving and opening images goes on.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, bounded};

use super::{Wake, outcomes};
use crate::audit::check::{self, CheckOptions, Code, Finding, Selection};
use crate::audit::stats::{self, Stats, StatsOptions};
use crate::interchange::training::{Container, TrainingOptions};
use crate::interchange::{self, ExportOptions, Format, ImportOptions};
use crate::language::proposals::outcome::OutcomeTable;

/// Findings that a report lists; a folder with more has one thing wrong many times.
const FINDINGS: usize = 5_000;

/// A form in which annotations leave or come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// That of another program.
    Program(Format),
    /// Training data.
    Training(Container),
}

impl Exchange {
    /// All forms, training data first.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let training = Container::ALL.into_iter().map(Self::Training);
        training
            .chain(Format::ALL.into_iter().map(Self::Program))
            .collect()
    }

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Program(format) => format.name(),
            Self::Training(container) => container.name(),
        }
    }

    /// What it is, in English.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Program(format) => format.description(),
            Self::Training(Container::Llava) => "training data: LLaVA JSON",
            Self::Training(Container::Jsonl) => "training data: LLaVA records, one per line",
            Self::Training(Container::ShareGpt) => "training data: ShareGPT JSON for LLaMA-Factory",
            Self::Training(Container::Messages) => "training data: messages for ms-swift and LLaMA-Factory",
            Self::Training(Container::RlParquet) => "training data: parquet for reinforcement learning",
        }
    }
}

/// A job.
#[derive(Clone, Debug)]
pub enum BatchJob {
    /// Writes annotations in another form.
    Export {
        /// The annotated folder.
        folder: PathBuf,
        /// The form.
        to: Exchange,
        /// A new or empty folder.
        out: PathBuf,
        /// Whether the images are copied too.
        copies_images: bool,
    },
    /// Adds annotations of another form.
    Import {
        /// File or folder.
        source: PathBuf,
        /// The form.
        from: Exchange,
        /// The folder with the images.
        into: PathBuf,
    },
    /// What became of proposals.
    Outcomes {
        /// The annotated folder.
        folder: PathBuf,
    },
    /// Statistics and findings.
    Report {
        /// The annotated folder.
        folder: PathBuf,
        /// Words that give back a mask with a lower IoU are listed.
        min_words_iou: f64,
    },
}

/// What a report shows.
#[derive(Debug)]
pub struct Report {
    /// The folder.
    pub folder: PathBuf,
    /// The statistics.
    pub stats: Stats,
    /// What was found, the first thousands.
    pub findings: Vec<Finding>,
    /// How many findings there are.
    pub count: usize,
}

/// What a job says.
#[derive(Debug)]
pub enum BatchEvent {
    /// How far it is: images done and, once known, to do.
    Progress(u64, Option<u64>),
    /// It is done: the sentence, and lines that say more.
    Done {
        /// What came of it.
        text: String,
        /// What was lost or failed.
        details: Vec<String>,
        /// Whether sidecars of the folder changed.
        has_changed_sidecars: bool,
    },
    /// The report.
    Report(Box<Report>),
    /// What became of proposals, and the sidecars that could not be read.
    Outcomes(Box<OutcomeTable>, u64),
    /// It failed; why.
    Failed(String),
    /// It was stopped.
    Cancelled,
}

/// A job that runs; dropping it stops the job and waits for it.
#[derive(Debug)]
pub struct RunningBatch {
    events: Receiver<BatchEvent>,
    is_cancelled: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RunningBatch {
    /// Starts a job.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(job: BatchJob, wake: Wake) -> io::Result<Self> {
        // Progress that nobody takes is dropped, so the job never waits for a window that does not draw.
        let (sender, events) = bounded(64);
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let cancelled = Arc::clone(&is_cancelled);
        let thread = thread::Builder::new()
            .name("samtok-batch".to_owned())
            .spawn(move || {
                let mut progress = |done, total| {
                    if sender.try_send(BatchEvent::Progress(done, total)).is_ok() {
                        wake();
                    }
                    if cancelled.load(Ordering::Relaxed) {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                };
                let mut event = run(job, &mut progress);
                if cancelled.load(Ordering::Relaxed) {
                    event = BatchEvent::Cancelled;
                }
                // A window that is gone needs no answer.
                if sender.send(event).is_ok() {
                    wake();
                }
            })?;
        Ok(Self {
            events,
            is_cancelled,
            thread: Some(thread),
        })
    }

    /// The next event, without waiting.
    #[must_use]
    pub fn try_event(&self) -> Option<BatchEvent> {
        self.events.try_recv().ok()
    }

    /// Stops the job as soon as it looks.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }
}

impl Drop for RunningBatch {
    fn drop(&mut self) {
        self.cancel();
        // Room for the last event, so that the thread can end.
        while self.events.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ended = thread.join();
        }
    }
}

fn run(job: BatchJob, progress: &mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>) -> BatchEvent {
    match job {
        BatchJob::Export {
            folder,
            to,
            out,
            copies_images,
        } => {
            let options = ExportOptions {
                strict: false,
                copy_images: copies_images,
            };
            let mut watch = |now: interchange::Progress| progress(now.done, now.total);
            let report = match to {
                Exchange::Program(format) => interchange::export(&folder, format, &out, &options, &mut watch),
                Exchange::Training(container) => {
                    let training = TrainingOptions::new(container);
                    interchange::export_training(&folder, &training, None, &out, &options, &mut watch)
                        .map(|(report, _)| report)
                }
            };
            match report {
                Ok(report) => BatchEvent::Done {
                    text: format!("exported to {}", out.display()),
                    details: report.to_string().lines().map(str::to_owned).collect(),
                    has_changed_sidecars: false,
                },
                Err(error) => BatchEvent::Failed(error.to_string()),
            }
        }
        BatchJob::Import { source, from, into } => {
            let options = ImportOptions { strict: false };
            let mut watch = |now: interchange::Progress| progress(now.done, now.total);
            let report = match from {
                Exchange::Program(format) => {
                    interchange::import(format, &source, &into, &options, &mut watch)
                }
                Exchange::Training(container) => {
                    interchange::import_training(container, &source, &into, &options, &mut watch)
                }
            };
            match report {
                Ok(report) => BatchEvent::Done {
                    text: format!(
                        "{} regions for {} images were imported",
                        report.regions, report.images
                    ),
                    details: report.to_string().lines().map(str::to_owned).collect(),
                    has_changed_sidecars: report.changed_sidecars + report.new_sidecars > 0,
                },
                Err(error) => BatchEvent::Failed(error.to_string()),
            }
        }
        BatchJob::Outcomes { folder } => match outcomes::outcomes(&folder, progress) {
            Ok((table, unreadable)) => BatchEvent::Outcomes(Box::new(table), unreadable),
            Err(error) => BatchEvent::Failed(error.to_string()),
        },
        BatchJob::Report {
            folder,
            min_words_iou,
        } => report(folder, min_words_iou, progress),
    }
}

fn report(
    folder: PathBuf,
    min_words_iou: f64,
    progress: &mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>,
) -> BatchEvent {
    let mut walk = |now: crate::audit::Progress| progress(now.done as u64, Some(now.total as u64));
    let stats = match stats::stats(&folder, StatsOptions::default(), &mut walk) {
        Ok(stats) => stats,
        Err(error) => return BatchEvent::Failed(error.to_string()),
    };
    // Hashing every image takes minutes on a large folder; the command line does that.
    let options = CheckOptions {
        min_words_iou,
        selection: Selection {
            ignore: vec![Code::ImageChanged],
            ..Selection::default()
        },
        ..CheckOptions::default()
    };
    let (mut findings, mut count) = (Vec::new(), 0);
    let mut keep = |finding: Finding| {
        count += 1;
        if findings.len() < FINDINGS {
            findings.push(finding);
        }
    };
    match check::check(&folder, &options, &mut keep, &mut walk) {
        Ok(_) => BatchEvent::Report(Box::new(Report {
            folder,
            stats,
            findings,
            count,
        })),
        Err(error) => BatchEvent::Failed(error.to_string()),
    }
}
