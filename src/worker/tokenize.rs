//! Words for every region of a folder that lacks them or has stale ones.
//!
//! Three stages run at the same time: one thread reads sidecars and images ahead, the caller's runs the network, and
//! one saves. Each image is embedded once, and what fails on one leaves the others alone. A document whose words are
//! up to date is not written, so an interrupted run simply starts again, and nothing depends on the time or the
//! number of runs: any split into shards gives the same bytes.

use crate::dataset::folder::Folder;
use crate::dataset::{DatasetError, Document, MaskWords, Region, Sidecar, remove_abandoned, sidecar_path};
use crate::image_file::{self, ImageFileError, Limits, RgbImage};
use crate::mask::{Mask, MaskError, metrics};
use crate::tokenizer::{DecodedMask, MaskTokenizer, TokenizerError};
use crate::words::MaskCodes;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

/// Images read ahead, and documents waiting to be saved.
const AHEAD: usize = 2;
/// Times a document is read again because somebody saved it meanwhile.
const RETRIES: usize = 5;

/// One part of the work when several processes share a folder: every `count`-th image, beginning with `number`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: NonZeroU32,
    count: NonZeroU32,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self {
        number: NonZeroU32::MIN,
        count: NonZeroU32::MIN,
    };

    /// Whether the image at this place of the list is in this part.
    #[must_use]
    pub fn has(self, place: usize) -> bool {
        place % self.count.get() as usize == self.number.get() as usize - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('/')
            .map(|(number, count)| (number.parse(), count.parse()));
        match parts {
            Some((Ok(number), Ok(count))) if number <= count => Ok(Self { number, count }),
            _ => Err("give a shard as K/N, such as 3/8: the third of eight parts".to_owned()),
        }
    }
}

/// How words are made, and for which images.
#[derive(Clone, Copy, Debug)]
pub struct TokenizeOptions {
    /// Codebook rows tried at every step; `None` takes the nearest.
    pub search_width: Option<usize>,
    /// The part of the folder.
    pub shard: Shard,
    /// Largest images that are read.
    pub limits: Limits,
}

/// How far the work is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenizeProgress {
    /// Annotated images of the shard.
    pub total: u64,
    /// Images that are done, failed ones among them.
    pub done: u64,
    /// Images whose words were up to date.
    pub up_to_date: u64,
    /// Images whose documents were saved.
    pub saved: u64,
    /// Regions that got words.
    pub regions: u64,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct TokenizeSummary {
    /// The last figures.
    pub progress: TokenizeProgress,
    /// Images that failed, and why.
    pub failures: Vec<(PathBuf, TokenizeError)>,
    /// Whether it was stopped before the end.
    pub is_cancelled: bool,
}

/// Why an image has no new words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizeError {
    /// Its image.
    #[error(transparent)]
    Image(#[from] ImageFileError),
    /// Its sidecar.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The network.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A mask.
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// Regions without a pixel.
    #[error("{ids} {have} no pixels and so no words; draw or delete {them}", have = if *.count == 1 { "has" } else { "have" }, them = if *.count == 1 { "it" } else { "them" })]
    Empty {
        /// The regions' ids.
        ids: String,
        /// How many they are.
        count: usize,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// An image that needs words.
struct Job {
    path: PathBuf,
    sidecar: Sidecar,
    document: Document,
    image: RgbImage,
    /// Regions without a pixel, which stay without words.
    empty: Vec<String>,
    /// Regions that got words.
    tokenized: u64,
}

/// What the reader found.
enum Read {
    UpToDate,
    Stale(Box<Job>),
    Failed(PathBuf, TokenizeError),
}

/// A saved image: how many regions have new words, and why others have none.
type Saved = (PathBuf, Result<u64, TokenizeError>, Option<TokenizeError>);

/// Gives every region of `folder` words of `tokenizer` that has none or stale ones; stops when `report` answers false.
///
/// # Errors
/// [`TokenizeError::Thread`]; what fails on single images is in the summary.
pub fn tokenize(
    folder: &Folder,
    tokenizer: &MaskTokenizer,
    options: &TokenizeOptions,
    mut report: impl FnMut(&TokenizeProgress) -> bool,
) -> Result<TokenizeSummary, TokenizeError> {
    let listed = folder.list().images;
    remove_abandoned(folder, listed.iter().map(|image| image.name.as_str()));
    let annotated = listed.into_iter().filter(|image| image.has_sidecar);
    let paths: Vec<PathBuf> = annotated
        .enumerate()
        .filter(|(place, _)| options.shard.has(*place))
        .filter_map(|(_, image)| folder.path_of(&image.name))
        .collect();
    let mut summary = TokenizeSummary::default();
    summary.progress.total = paths.len() as u64;
    let fingerprint = tokenizer.fingerprint().to_string();
    thread::scope(|scope| {
        let (read, jobs) = bounded(AHEAD);
        let (computed, to_save) = bounded(AHEAD);
        // Room for everything that can be on its way, so that the saver never waits for the network's thread.
        let (saved, results) = bounded(2 * AHEAD + 2);
        let start = |name: &str| thread::Builder::new().name(name.to_owned());
        let (paths, fingerprint, limits) = (&paths, &fingerprint, &options.limits);
        start("samtok-read")
            .spawn_scoped(scope, move || read_ahead(paths, fingerprint, limits, &read))
            .map_err(TokenizeError::Thread)?;
        start("samtok-save")
            .spawn_scoped(scope, move || save_all(&to_save, &saved))
            .map_err(TokenizeError::Thread)?;
        for job in &jobs {
            results.try_iter().for_each(|result| summary.take(result));
            match job {
                Read::UpToDate => {
                    summary.progress.done += 1;
                    summary.progress.up_to_date += 1;
                }
                Read::Failed(path, error) => summary.fail(path, error),
                Read::Stale(job) => match compute(*job, tokenizer, options.search_width) {
                    Ok(job) => {
                        if computed.send(job).is_err() {
                            break;
                        }
                    }
                    Err((path, error)) => summary.fail(path, error),
                },
            }
            if !report(&summary.progress) {
                summary.is_cancelled = true;
                break;
            }
        }
        // The reader ends when nobody takes its jobs, the saver when it has saved what is left.
        drop((jobs, computed));
        for result in &results {
            summary.take(result);
            report(&summary.progress);
        }
        Ok::<_, TokenizeError>(())
    })?;
    Ok(summary)
}

impl TokenizeSummary {
    fn fail(&mut self, path: PathBuf, error: TokenizeError) {
        self.progress.done += 1;
        self.failures.push((path, error));
    }

    fn take(&mut self, (path, saved, partly): Saved) {
        match saved {
            Ok(regions) => {
                self.progress.done += 1;
                self.progress.saved += u64::from(regions > 0);
                self.progress.regions += regions;
                self.failures.extend(partly.map(|error| (path, error)));
            }
            Err(error) => self.fail(path, error),
        }
    }
}

/// Reads documents and, of those with stale words, images, until all are read or nobody wants more.
fn read_ahead(paths: &[PathBuf], fingerprint: &str, limits: &Limits, jobs: &Sender<Read>) {
    for path in paths {
        let read =
            read_one(path, fingerprint, limits).unwrap_or_else(|error| Read::Failed(path.clone(), error));
        if jobs.send(read).is_err() {
            return;
        }
    }
}

fn read_one(path: &Path, fingerprint: &str, limits: &Limits) -> Result<Read, TokenizeError> {
    let (sidecar, document) = Sidecar::load(path, image_file::read_size(path)?)?;
    let Some(document) = document else {
        return Ok(Read::UpToDate);
    };
    let stale = stale_regions(&document, fingerprint);
    if stale.is_empty() {
        return Ok(Read::UpToDate);
    }
    let is_empty = |index: &usize| document.regions[*index].mask.rle.area() == 0;
    let empty: Vec<String> = stale
        .iter()
        .filter(|index| is_empty(index))
        .map(|index| document.regions[*index].id.clone())
        .collect();
    if empty.len() == stale.len() {
        return Ok(Read::Failed(path.to_path_buf(), without_pixels(&empty)));
    }
    Ok(Read::Stale(Box::new(Job {
        image: image_file::read_rgb(path, limits)?,
        path: path.to_path_buf(),
        sidecar,
        document,
        empty,
        tokenized: 0,
    })))
}

fn without_pixels(ids: &[String]) -> TokenizeError {
    TokenizeError::Empty {
        ids: ids.join(", "),
        count: ids.len(),
    }
}

/// Places of the regions whose words are missing, of another mask, or of another model.
fn stale_regions(document: &Document, fingerprint: &str) -> Vec<usize> {
    let own: HashSet<&str> = document
        .tokenizers
        .iter()
        .filter(|tokenizer| tokenizer.fingerprint == fingerprint)
        .map(|tokenizer| tokenizer.id.as_str())
        .collect();
    let is_stale = |region: &Region| match &region.words {
        Some(words) => !own.contains(words.tokenizer.as_str()) || !region.has_fresh_words(),
        None => true,
    };
    let regions = document.regions.iter().enumerate();
    regions
        .filter(|(_, region)| is_stale(region))
        .map(|(index, _)| index)
        .collect()
}

/// Words for the stale regions of one image, in its document.
fn compute(
    mut job: Job,
    tokenizer: &MaskTokenizer,
    search_width: Option<usize>,
) -> Result<Job, (PathBuf, TokenizeError)> {
    match add_words(&mut job, tokenizer, search_width) {
        Ok(()) => Ok(job),
        Err(error) => Err((job.path, error)),
    }
}

fn add_words(
    job: &mut Job,
    tokenizer: &MaskTokenizer,
    search_width: Option<usize>,
) -> Result<(), TokenizeError> {
    let document = &mut job.document;
    let stale: Vec<usize> = stale_regions(document, &tokenizer.fingerprint().to_string())
        .into_iter()
        .filter(|index| document.regions[*index].mask.rle.area() > 0)
        .collect();
    let masks: Vec<Mask> = stale
        .iter()
        .map(|index| Mask::from_rle(&document.regions[*index].mask.rle))
        .collect();
    let masks: Vec<&Mask> = masks.iter().collect();
    job.tokenized = masks.len() as u64;
    let image = tokenizer.embed_image(&job.image)?;
    let (codes, decoded): (Vec<MaskCodes>, Vec<DecodedMask>) = match search_width {
        Some(width) => tokenizer
            .encode_searched(&image, &masks, width)?
            .into_iter()
            .map(|(encoded, decoded)| (encoded.codes, decoded))
            .unzip(),
        None => {
            let encoded = tokenizer.encode(&image, &masks)?;
            let codes: Vec<MaskCodes> = encoded.into_iter().map(|encoded| encoded.codes).collect();
            let decoded = tokenizer.decode(&image, &codes)?;
            (codes, decoded)
        }
    };
    let format = tokenizer.format();
    let id = document.tokenizer_id(
        &tokenizer.config().name,
        &tokenizer.fingerprint().to_string(),
        format.codebook_size(),
        format.codebook_depth(),
    );
    for (((index, mask), codes), decoded) in stale.iter().zip(&masks).zip(codes).zip(decoded) {
        let iou = metrics::iou(mask, &decoded.mask)? as f32;
        let region = &mut document.regions[*index];
        let mut words = MaskWords::new(
            format.write(&codes),
            codes.complete().unwrap_or_default(),
            id.clone(),
            Some(iou),
            &region.mask.rle,
        );
        if let Some(old) = region.words.take() {
            words.unknown = old.unknown;
        }
        region.words = Some(words);
    }
    // A model whose last words were replaced is no longer part of the document.
    let used: HashSet<String> = document
        .regions
        .iter()
        .filter_map(|region| region.words.as_ref().map(|words| words.tokenizer.clone()))
        .collect();
    document
        .tokenizers
        .retain(|tokenizer| used.contains(&tokenizer.id));
    Ok(())
}

/// Saves documents until no more come.
fn save_all(jobs: &Receiver<Job>, saved: &Sender<Saved>) {
    for mut job in jobs {
        let result = save(&mut job);
        let partly = (!job.empty.is_empty()).then(|| without_pixels(&job.empty));
        if saved.send((job.path, result, partly)).is_err() {
            return;
        }
    }
}

/// Saves one document; where somebody saved it meanwhile, the new words go into theirs. Counts the regions that got
/// words.
fn save(job: &mut Job) -> Result<u64, TokenizeError> {
    for _ in 0..RETRIES {
        match job.sidecar.save(&job.document) {
            Err(DatasetError::ChangedOnDisk { .. }) => {
                let (sidecar, theirs) = Sidecar::open(&sidecar_path(&job.path))?;
                let Some(theirs) = theirs else { return Ok(0) };
                job.document = with_words_of(theirs, &job.document);
                job.sidecar = sidecar;
            }
            result => {
                result?;
                return Ok(job.tokenized);
            }
        }
    }
    Err(DatasetError::ChangedOnDisk {
        path: job.sidecar.path().to_path_buf(),
    }
    .into())
}

/// The document with the words that another one has for the same masks of the same regions.
fn with_words_of(mut document: Document, other: &Document) -> Document {
    for index in 0..document.regions.len() {
        let region = &document.regions[index];
        let words = other
            .region(&region.id)
            .filter(|twin| twin.mask.rle == region.mask.rle)
            .and_then(|twin| twin.words.clone());
        let made_by = |words: &MaskWords| other.tokenizers.iter().find(|t| t.id == words.tokenizer);
        let Some((mut words, made_by)) = words.and_then(|words| Some((words.clone(), made_by(&words)?)))
        else {
            continue;
        };
        words.tokenizer = document.tokenizer_id(
            &made_by.name,
            &made_by.fingerprint,
            made_by.codebook_size,
            made_by.codebook_depth,
        );
        document.regions[index].words = Some(words);
    }
    document
}
