//! A language model's proposals for a whole folder: drafts beside what people wrote, never in its place.
//!
//! Several threads each take an image, ask about it and save it, so that a server is kept busy; masks are made by one at
//! a time, since they take the whole processor anyway. What is done is written down in a journal in `.samtok`
//! ([`journal`]) once it is saved, and a proposal is kept in the sidecar together with its question, so a run that was
//! cut off anywhere goes on where it was and asks nothing twice.

mod journal;
mod questions;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Sender, bounded};

use self::journal::Journal;
use self::questions::Question;
use super::tokenize::Shard;
use crate::dataset::folder::{Folder, ListedImage};
use crate::dataset::{DatasetError, Document, EditError, ImageRef, Region, Sidecar, Timestamp};
use crate::image_file::zoom::ZoomCut;
use crate::image_file::{self, ImageFileError, Limits, RgbImage};
use crate::language::proposals::{Proposal, Reader, Unreadable, Vocabulary};
use crate::language::tasks::{AskedRegion, Prompts, VisionTask, ZoomIn};
use crate::language::{Engine, Finish, LanguageError};
use crate::mask::{Mask, MaskError};
use crate::tokenizer::{EmbeddedImage, MaskTokenizer, TokenizerError};
use crate::words::MaskCodes;

/// Failures in a row that show that the server is gone, and not only one question too hard for it.
const FAILURES_IN_A_ROW: u32 = 3;

/// What is proposed, and for which images.
#[derive(Clone, Debug)]
pub struct ProposeOptions {
    /// What the model is asked to do.
    pub task: VisionTask,
    /// What is asked: a question, phrases to segment, or categories to detect.
    pub texts: Vec<String>,
    /// How it is worded.
    pub prompts: Prompts,
    /// Whether descriptions of small regions are given a closer look.
    pub zooms_in: bool,
    /// From this IoU on a proposed mask counts as a region that is there already.
    pub twin_iou: f64,
    /// The part of the folder.
    pub shard: Shard,
    /// Largest images that are read.
    pub limits: Limits,
    /// Whether images are looked at that the journal has as done.
    pub again: bool,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProposeProgress {
    /// Images of the shard.
    pub total: u64,
    /// Images that are done, failed ones among them.
    pub done: u64,
    /// Images of which nothing was left to ask.
    pub up_to_date: u64,
    /// Images whose documents were saved.
    pub saved: u64,
    /// Questions that were answered.
    pub answers: u64,
    /// Regions that were proposed and are new.
    pub regions: u64,
    /// Proposed masks that are regions already.
    pub linked: u64,
    /// Things in answers that were mended or left out.
    pub problems: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct ProposeSummary {
    /// The last figures.
    pub progress: ProposeProgress,
    /// Images that failed, and why.
    pub failures: Vec<(PathBuf, ProposeError)>,
    /// Whether it was stopped before the end.
    pub is_cancelled: bool,
    /// Whether it stopped because every further question would have failed too.
    pub is_given_up: bool,
}

/// Why an image has no proposals.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// Its image.
    #[error(transparent)]
    Image(#[from] ImageFileError),
    /// Its sidecar.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The network that makes masks.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A mask.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// The model.
    #[error(transparent)]
    Language(#[from] LanguageError),
    /// The answer.
    #[error(transparent)]
    Answer(#[from] Unreadable),
    /// The document.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The task needs something to ask.
    #[error("the task {task} needs something to ask; give it with --text")]
    NoText {
        /// The task.
        task: VisionTask,
    },
    /// The task is a conversation.
    #[error("the task {task} is a conversation about one image and cannot be done for a folder")]
    NotForFolders {
        /// The task.
        task: VisionTask,
    },
    /// The journal.
    #[error("cannot keep the journal of what is done: {source}: {}", path.display())]
    Journal {
        /// What the operating system said.
        source: std::io::Error,
        /// The journal.
        path: PathBuf,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl ProposeError {
    /// Whether every other image would fail as well.
    const fn concerns_all(&self) -> bool {
        matches!(self, Self::Journal { .. }) || matches!(self, Self::Language(error) if error.concerns_all())
    }

    const fn may_pass(&self) -> bool {
        matches!(self, Self::Language(error) if error.is_transient())
    }
}

/// What one image came to.
#[derive(Debug, Default)]
struct Done {
    answers: u64,
    regions: u64,
    linked: u64,
    problems: u64,
    is_saved: bool,
    is_cancelled: bool,
}

/// What all threads share.
struct Work<'a> {
    folder: &'a Folder,
    images: Vec<ListedImage>,
    tokenizer: &'a MaskTokenizer,
    vocabulary: Vocabulary,
    options: &'a ProposeOptions,
    journal: Journal,
    /// Held by the one that uses the network.
    network: Mutex<()>,
    next: AtomicUsize,
    stop: AtomicBool,
    given_up: AtomicBool,
    failures_in_a_row: AtomicU32,
}

/// Asks the engines, each on a thread of its own, about the images of `folder`; stops when `report` answers false.
///
/// # Errors
/// [`ProposeError`] where nothing can be done; what fails on single images is in the summary.
pub fn propose(
    folder: &Folder,
    tokenizer: &MaskTokenizer,
    engines: Vec<Box<dyn Engine>>,
    options: &ProposeOptions,
    mut report: impl FnMut(&ProposeProgress) -> bool,
) -> Result<ProposeSummary, ProposeError> {
    questions::check(options)?;
    let vocabulary = Vocabulary::of(tokenizer);
    let model = engines.first().map_or("", |engine| engine.name()).to_owned();
    let journal = Journal::open(folder, &model, &vocabulary, options)?;
    let listed = folder.list().images.into_iter().enumerate();
    let images: Vec<ListedImage> = listed
        .filter(|(place, _)| options.shard.has(*place))
        .map(|(_, image)| image)
        .collect();
    let mut summary = ProposeSummary::default();
    summary.progress.total = images.len() as u64;
    let work = Work {
        folder,
        images,
        tokenizer,
        vocabulary,
        options,
        journal,
        network: Mutex::new(()),
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        given_up: AtomicBool::new(false),
        failures_in_a_row: AtomicU32::new(0),
    };
    thread::scope(|scope| {
        let (sender, results) = bounded(engines.len() * 2 + 1);
        for mut engine in engines {
            let (work, sender) = (&work, sender.clone());
            thread::Builder::new()
                .name("samtok-propose".to_owned())
                .spawn_scoped(scope, move || work.run(engine.as_mut(), &sender))
                .map_err(ProposeError::Thread)?;
        }
        drop(sender);
        // What is under way is waited for, but its questions are taken back.
        for (path, result) in &results {
            summary.take(path, result);
            if !report(&summary.progress) {
                work.stop.store(true, Ordering::Relaxed);
            }
        }
        Ok::<_, ProposeError>(())
    })?;
    summary.is_given_up = work.given_up.load(Ordering::Relaxed);
    summary.is_cancelled |= work.stop.load(Ordering::Relaxed) && !summary.is_given_up;
    Ok(summary)
}

impl ProposeSummary {
    fn take(&mut self, path: PathBuf, result: Result<Done, ProposeError>) {
        let done = match result {
            Ok(done) if done.is_cancelled => {
                self.is_cancelled = true;
                done
            }
            Ok(done) => {
                self.progress.done += 1;
                self.progress.up_to_date += u64::from(!done.is_saved && done.answers == 0);
                done
            }
            Err(error) => {
                self.progress.done += 1;
                self.failures.push((path, error));
                return;
            }
        };
        let progress = &mut self.progress;
        progress.saved += u64::from(done.is_saved);
        progress.answers += done.answers;
        progress.regions += done.regions;
        progress.linked += done.linked;
        progress.problems += done.problems;
    }
}

impl Work<'_> {
    /// Does one image after the other until none is left or it is told to stop.
    fn run(&self, engine: &mut dyn Engine, results: &Sender<(PathBuf, Result<Done, ProposeError>)>) {
        while !self.stop.load(Ordering::Relaxed) {
            let Some(image) = self.images.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            let Some(path) = self.folder.path_of(&image.name) else {
                continue;
            };
            let result = self.one(engine, &image.name, &path);
            match &result {
                Err(error) if error.concerns_all() => {
                    let in_a_row = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                    if !error.may_pass() || in_a_row >= FAILURES_IN_A_ROW {
                        self.given_up.store(true, Ordering::Relaxed);
                        self.stop.store(true, Ordering::Relaxed);
                    }
                }
                _ => self.failures_in_a_row.store(0, Ordering::Relaxed),
            }
            if results.send((path, result)).is_err() {
                return;
            }
        }
    }

    /// Asks about one image, saves what came of it, and writes down that it is done.
    fn one(&self, engine: &mut dyn Engine, name: &str, path: &Path) -> Result<Done, ProposeError> {
        if !self.options.again && self.journal.has(name) {
            return Ok(Done::default());
        }
        let size = image_file::read_size(path)?;
        let (mut sidecar, document) = Sidecar::load(path, size)?;
        let mut done = Done::default();
        let questions = match &document {
            Some(document) => questions::about(document, self.options),
            None => questions::about(&Document::new(ImageRef::new(path, size, None)), self.options),
        };
        if questions.is_empty() {
            // Nothing is written down, since there may be regions to ask about the next time.
            return Ok(done);
        }
        let bytes = image_file::read_bytes(path, &self.options.limits)?;
        let pixels = Arc::new(image_file::decode_rgb(&bytes, path, &self.options.limits)?);
        let mut document = document.unwrap_or_else(|| {
            let hash = blake3::hash(&bytes).to_hex().to_string();
            Document::new(ImageRef::new(path, size, Some(hash)))
        });
        let mut image = WorkedImage {
            work: self,
            pixels,
            embedded: None,
        };
        let mut failure = None;
        for question in questions {
            match self.ask(engine, &mut image, &mut document, &question, &mut done) {
                Ok(()) if done.is_cancelled => break,
                Ok(()) => {}
                // Other regions may do better, but not if the server is gone; what was answered is kept either way.
                Err(error) => {
                    let is_hopeless = error.concerns_all();
                    failure.get_or_insert(error);
                    if is_hopeless {
                        break;
                    }
                }
            }
        }
        if done.is_saved {
            document.touch(Timestamp::now());
            for conflict in sidecar.save_merging(&document)?.conflicts {
                tracing::warn!("{conflict:?}: {}", path.display());
            }
        }
        match failure {
            Some(error) => Err(error),
            None => {
                if !done.is_cancelled {
                    self.journal.add(name)?;
                }
                Ok(done)
            }
        }
    }

    /// Asks one question and puts what is proposed into the document.
    fn ask(
        &self,
        engine: &mut dyn Engine,
        image: &mut WorkedImage<'_>,
        document: &mut Document,
        question: &Question,
        done: &mut Done,
    ) -> Result<(), ProposeError> {
        let options = self.options;
        let target = question.region.as_deref();
        let pixels = Arc::clone(&image.pixels);
        let prompts = &options.prompts;
        let asked = question.mentioned(document);
        let mut words = Vec::with_capacity(asked.len());
        for region in &asked {
            words.push(image.words_of(document, region)?);
        }
        let regions: Vec<AskedRegion<'_>> = asked
            .iter()
            .zip(&words)
            .map(|(region, words)| AskedRegion {
                id: &region.id,
                words,
            })
            .collect();
        let request = match options.task {
            VisionTask::Caption => {
                let zoom = match asked.first().filter(|_| options.zooms_in) {
                    Some(region) => image.zoom_in(region)?,
                    None => None,
                };
                let own = words.first().map_or("", String::as_str);
                prompts.caption_region(&pixels, own, zoom.as_ref())?
            }
            VisionTask::Ask => prompts.ask(&pixels, &question.text, &regions)?,
            VisionTask::Describe => prompts.describe(&pixels, question.text == questions::BRIEFLY)?,
            VisionTask::Segment => prompts.segment(&pixels, &question.text)?,
            VisionTask::Detect => {
                let categories: Vec<&str> = question.text.split(',').collect();
                prompts.detect(&pixels, &categories)?
            }
            task @ VisionTask::Refine => return Err(ProposeError::NotForFolders { task }),
        };
        // What is kept as the question: with mentions where it has some, else as it was worded.
        let kept = match options.task {
            VisionTask::Ask => question.with_mentions(),
            _ => request
                .messages
                .last()
                .map(crate::language::Message::said)
                .unwrap_or_default(),
        };
        let model = engine.name().to_owned();
        if Proposal::is_known(&model, options.task, target, &kept, document) {
            return Ok(());
        }
        let stop = || self.stop.load(Ordering::Relaxed);
        let answer = engine.chat(&request, &mut |_| {}, &stop)?;
        if answer.finish == Finish::Cancelled {
            done.is_cancelled = true;
            return Ok(());
        }
        if answer.finish == Finish::Length {
            tracing::info!(
                "the answer reached its longest length: {}",
                document.image.file_name
            );
        }
        let label = if options.task == VisionTask::Segment {
            question.text.trim()
        } else {
            ""
        };
        let reader = Reader {
            model: &model,
            task: options.task,
            vocabulary: &self.vocabulary,
            question: &kept,
            target,
            label,
            twin_iou: options.twin_iou,
        };
        let mut proposal = reader.read(document, &answer.text, &mut |codes| image.decode(codes))?;
        proposal.made = Some(Timestamp::now());
        done.answers += 1;
        done.problems += proposal.problems.len() as u64;
        for problem in &proposal.problems {
            tracing::info!("{}: {}", problem.message, document.image.file_name);
        }
        if let Some(edit) = proposal.edit(document, &proposal.accept_all()) {
            edit.apply(document)?;
            let linked = proposal
                .regions
                .iter()
                .filter(|region| region.twin.is_some())
                .count();
            done.linked += linked as u64;
            done.regions += (proposal.regions.len() - linked) as u64;
            done.is_saved = true;
        }
        Ok(())
    }
}

/// The image that is asked about; embedded when the first mask is wanted.
struct WorkedImage<'a> {
    work: &'a Work<'a>,
    pixels: Arc<RgbImage>,
    embedded: Option<EmbeddedImage>,
}

impl WorkedImage<'_> {
    /// Runs the network, one thread at a time.
    fn with_network<T>(
        &mut self,
        run: impl FnOnce(&MaskTokenizer, &EmbeddedImage) -> Result<T, TokenizerError>,
    ) -> Result<T, TokenizerError> {
        let _network = self.work.network.lock().unwrap_or_else(PoisonError::into_inner);
        let tokenizer = self.work.tokenizer;
        let embedded = match self.embedded.take() {
            Some(embedded) => embedded,
            None => tokenizer.embed_image(&self.pixels)?,
        };
        run(tokenizer, self.embedded.insert(embedded))
    }

    fn decode(&mut self, codes: &[MaskCodes]) -> Result<Vec<Mask>, String> {
        let decoded = self.with_network(|tokenizer, image| tokenizer.decode(image, codes));
        let decoded = decoded.map_err(|error| error.to_string())?;
        Ok(decoded.into_iter().map(|decoded| decoded.mask).collect())
    }

    /// The region in words: those it has, if they are of this model and its present mask, or new ones.
    fn words_of(&mut self, document: &Document, region: &Region) -> Result<String, ProposeError> {
        let vocabulary = &self.work.vocabulary;
        if let Some(words) = vocabulary.words_of(document, region) {
            return Ok(words.to_owned());
        }
        let mask = Mask::from_rle(&region.mask.rle);
        let encoded = self.with_network(|tokenizer, image| tokenizer.encode(image, &[&mask]))?;
        let words = encoded
            .first()
            .map(|encoded| self.work.vocabulary.format.write(&encoded.codes));
        Ok(words.unwrap_or_default())
    }

    /// A closer look at a small region.
    fn zoom_in(&self, region: &Region) -> Result<Option<ZoomIn>, ProposeError> {
        let bounds = region.mask.rle.bounding_box();
        let cut = bounds.and_then(|bounds| ZoomCut::around(bounds, self.pixels.size));
        let Some(cut) = cut else { return Ok(None) };
        let mask = cut.mask(&Mask::from_rle(&region.mask.rle))?;
        if mask.is_empty() {
            return Ok(None);
        }
        let mut crop = WorkedImage {
            work: self.work,
            pixels: Arc::new(cut.image(&self.pixels)),
            embedded: None,
        };
        let encoded = crop.with_network(|tokenizer, image| tokenizer.encode(image, &[&mask]))?;
        let words = encoded
            .first()
            .map(|encoded| self.work.vocabulary.format.write(&encoded.codes));
        Ok(words.map(|words| ZoomIn {
            image: crop.pixels,
            words,
        }))
    }
}

/// How many questions are asked at once unless the user says otherwise.
#[must_use]
pub const fn usual_concurrency() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(3)
}
