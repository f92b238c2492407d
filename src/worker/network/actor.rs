//! The thread's own side: takes requests, runs the model step by step, and answers with events.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::embeddings::{DiskCache, Embeddings};
use super::model::MaskModel;
use super::queue::{Queue, Step};
use super::{
    DrawnMask, FolderJob, ImageKey, ModelChoice, NetworkEvent, NetworkImage, NetworkOptions, NetworkRequest,
    RegionWords, Switches, WordsJob,
};
use crate::dataset::MaskWords;
use crate::image_file::Limits;
use crate::mask::{Mask, metrics};
use crate::tokenizer::{DecodedMask, Prompt};
use crate::words::MaskCodes;
use crate::worker::Wake;
use crate::worker::tokenize::{TokenizeOptions, TokenizeProgress};

/// How often a held batch job looks whether it may go on.
const PAUSE: Duration = Duration::from_millis(50);

/// Where events go.
pub(super) struct Events {
    sender: Sender<NetworkEvent>,
    wake: Wake,
}

impl Events {
    pub(super) fn new(sender: Sender<NetworkEvent>, wake: Wake) -> Self {
        Self { sender, wake }
    }

    fn send(&self, event: NetworkEvent) {
        // A window that is gone needs no events.
        if self.sender.send(event).is_ok() {
            (self.wake)();
        }
    }
}

/// Everything the thread owns.
pub(super) struct Actor<M: MaskModel, L> {
    load: L,
    requests: Receiver<NetworkRequest>,
    events: Events,
    switches: Arc<Switches>,
    queue: Queue,
    choice: ModelChoice,
    model: Option<Rc<M>>,
    embeddings: Embeddings<M::Embedding>,
    disk: Option<DiskCache>,
    shown: Option<ImageKey>,
}

impl<M: MaskModel, L: Fn(&ModelChoice) -> Result<M, String>> Actor<M, L> {
    pub(super) fn new(
        options: NetworkOptions,
        load: L,
        requests: Receiver<NetworkRequest>,
        events: Events,
        switches: Arc<Switches>,
    ) -> Self {
        Self {
            embeddings: Embeddings::new(options.embedding_bytes),
            disk: options
                .cache
                .clone()
                .map(|folder| DiskCache::new(folder, options.cache_bytes)),
            load,
            requests,
            events,
            switches,
            queue: Queue::default(),
            choice: ModelChoice::default(),
            model: None,
            shown: None,
        }
    }

    /// Works until the handle is gone.
    pub(super) fn run(mut self) {
        loop {
            self.take_requests();
            if self.is_stopped() {
                return;
            }
            // Without a model nothing but loading one makes sense; the rest waits for it.
            let step = if self.model.is_some() || self.queue.is_loading() {
                self.queue.pop()
            } else {
                None
            };
            if let Some(step) = step {
                self.run_step(step);
                continue;
            }
            self.events.send(NetworkEvent::Idle);
            match self.requests.recv() {
                Ok(request) => self.queue.push(request),
                Err(_) => return,
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.switches.stop.load(Ordering::Relaxed)
    }

    fn take_requests(&mut self) {
        while let Ok(request) = self.requests.try_recv() {
            self.queue.push(request);
        }
    }

    /// Runs one step; a panic costs the model, not the thread.
    fn run_step(&mut self, step: Step) {
        let is_load = matches!(step, Step::Load(_));
        let caught = panic::catch_unwind(AssertUnwindSafe(|| self.run_unguarded(step)));
        if caught.is_err() {
            self.model = None;
            self.embeddings.clear();
            let reason = if is_load {
                "the model file made the program stumble; choose another one".to_owned()
            } else {
                "the network stopped unexpectedly; load the model again, or choose another one".to_owned()
            };
            self.events.send(NetworkEvent::ModelFailed {
                choice: self.choice.clone(),
                reason,
            });
        }
    }

    fn run_unguarded(&mut self, step: Step) {
        match step {
            Step::Load(choice) => self.load(choice),
            Step::Embed(image) => {
                self.shown = Some(image.key);
                self.with_embedding(&image, "embed the image", |_, _| Ok(()));
            }
            Step::Prefetch(image) => {
                if !self.embeddings.contains(image.key) {
                    self.with_embedding(&image, "embed the image", |_, _| Ok(()));
                }
            }
            Step::Prompt { image, id, prompt } => self.prompt(&image, id, &prompt),
            Step::Decode { image, id, codes } => self.decode(&image, id, &codes),
            Step::Words {
                image,
                jobs,
                search_width,
            } => self.words(&image, &jobs, search_width),
            Step::Folder(job) => self.folder(&job),
        }
    }

    fn load(&mut self, choice: ModelChoice) {
        self.events.send(NetworkEvent::Loading(choice.clone()));
        self.choice = choice.clone();
        // The old model goes first: two large ones may not fit.
        self.model = None;
        self.embeddings.clear();
        match (self.load)(&choice) {
            Ok(model) => {
                self.events.send(NetworkEvent::Ready(model.info().clone()));
                self.model = Some(Rc::new(model));
            }
            Err(reason) => self.events.send(NetworkEvent::ModelFailed { choice, reason }),
        }
    }

    /// Runs `work` on the image's embedding, which is made where it is missing.
    fn with_embedding<T>(
        &mut self,
        image: &NetworkImage,
        what: &'static str,
        work: impl FnOnce(&M, &M::Embedding) -> Result<T, String>,
    ) -> Option<T> {
        let model = self.model.clone()?;
        let result = self
            .embedding(&model, image)
            .and_then(|embedding| work(&model, &embedding));
        match result {
            Ok(value) => Some(value),
            Err(reason) => {
                self.events.send(NetworkEvent::Failed {
                    image: image.key,
                    what,
                    reason,
                });
                None
            }
        }
    }

    fn embedding(&mut self, model: &M, image: &NetworkImage) -> Result<Rc<M::Embedding>, String> {
        if let Some(embedding) = self.embeddings.get(image.key) {
            return Ok(embedding);
        }
        self.events.send(NetworkEvent::Embedding(image.key));
        let start = Instant::now();
        let fingerprint = &model.info().fingerprint;
        let stored = self
            .disk
            .as_ref()
            .and_then(|disk| disk.read(fingerprint, image.key));
        let restored = stored.and_then(|bytes| model.restore(&bytes));
        let from_disk = restored.is_some();
        let embedding = match restored {
            Some(embedding) => embedding,
            None => model.embed(&image.rgb)?,
        };
        let ms = start.elapsed().as_secs_f64() * 1e3;
        let embedding = Rc::new(embedding);
        let bytes = model.embedding_bytes(&embedding);
        self.embeddings
            .insert(image.key, Rc::clone(&embedding), bytes, self.shown);
        self.events.send(NetworkEvent::Embedded {
            image: image.key,
            ms,
            from_disk,
        });
        if let Some(disk) = self.disk.as_mut().filter(|_| !from_disk)
            && let Some(bytes) = model.store(&embedding)
        {
            disk.write(fingerprint, image.key, &bytes);
        }
        Ok(embedding)
    }

    fn prompt(&mut self, image: &NetworkImage, id: u64, prompt: &Prompt) {
        let answer = self.with_embedding(image, "answer the click", |model, embedding| {
            let mut masks = model.segment(embedding, prompt)?;
            masks.sort_by(|a, b| b.predicted_iou.total_cmp(&a.predicted_iou));
            Ok(masks.into_iter().map(DrawnMask::from).collect())
        });
        if let Some(masks) = answer {
            self.events.send(NetworkEvent::Prompted {
                image: image.key,
                id,
                masks,
            });
        }
    }

    fn decode(&mut self, image: &NetworkImage, id: u64, codes: &[MaskCodes]) {
        let answer = self.with_embedding(image, "draw the words", |model, embedding| {
            let masks = model.decode(embedding, codes)?;
            Ok(masks.into_iter().map(DrawnMask::from).collect())
        });
        if let Some(masks) = answer {
            self.events.send(NetworkEvent::Decoded {
                image: image.key,
                id,
                masks,
            });
        }
    }

    fn words(&mut self, image: &NetworkImage, jobs: &[WordsJob], search_width: Option<usize>) {
        let answer = self.with_embedding(image, "make words", |model, embedding| {
            let masks: Vec<Mask> = jobs.iter().map(|job| Mask::from_rle(&job.mask)).collect();
            let encoded = model.encode(embedding, &masks.iter().collect::<Vec<_>>(), search_width)?;
            let regions = jobs.iter().zip(&masks).zip(encoded);
            regions
                .map(|((job, mask), (codes, rebuilt))| {
                    let iou = metrics::iou(mask, &rebuilt.mask).map_err(|error| error.to_string())?;
                    let words = MaskWords::new(
                        model.info().format.write(&codes),
                        codes.complete().unwrap_or_default(),
                        String::new(),
                        Some(iou as f32),
                        &job.mask,
                    );
                    Ok(RegionWords {
                        region: job.region.clone(),
                        words,
                        rebuilt: rebuilt.mask.to_rle(),
                    })
                })
                .collect()
        });
        match answer {
            Some(regions) => self.events.send(NetworkEvent::Words {
                image: image.key,
                regions,
            }),
            // One error is enough: the others of this image would fail in the same way.
            None => self.queue.forget_words(image.key),
        }
    }

    /// Makes the words of a folder; between two images it answers whatever a person asked meanwhile.
    fn folder(&mut self, job: &FolderJob) {
        let Some(model) = self.model.clone() else { return };
        let options = TokenizeOptions {
            search_width: job.search_width,
            shard: job.shard,
            limits: Limits::default(),
        };
        let fingerprint = model.info().fingerprint.clone();
        let this = RefCell::new(&mut *self);
        let result = model.tokenize_folder(&job.folder, &options, &mut |progress: &TokenizeProgress| {
            let mut this = this.borrow_mut();
            this.events.send(NetworkEvent::FolderProgress(*progress));
            this.serve_between(&fingerprint)
        });
        let event = match result {
            Ok(summary) => NetworkEvent::FolderDone {
                progress: summary.progress,
                is_cancelled: summary.is_cancelled,
                failures: summary
                    .failures
                    .into_iter()
                    .map(|(path, error)| (path, error.to_string()))
                    .collect(),
            },
            Err(reason) => NetworkEvent::FolderFailed { reason },
        };
        self.events.send(event);
    }

    /// Runs what a person waits for, and waits while the batch job is held; answers whether the job goes on.
    fn serve_between(&mut self, fingerprint: &str) -> bool {
        loop {
            self.take_requests();
            while let Some(step) = self.queue.pop_interactive() {
                self.run_step(step);
                self.take_requests();
            }
            // The words would be of two models if another one was loaded meanwhile.
            let is_same = self
                .model
                .as_ref()
                .is_some_and(|model| model.info().fingerprint == fingerprint);
            if self.is_stopped() || !is_same || self.switches.cancel_folder.load(Ordering::Relaxed) {
                return false;
            }
            if !self.switches.pause_folder.load(Ordering::Relaxed) {
                return true;
            }
            match self.requests.recv_timeout(PAUSE) {
                Ok(request) => self.queue.push(request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}

impl From<DecodedMask> for DrawnMask {
    fn from(decoded: DecodedMask) -> Self {
        Self {
            mask: decoded.mask,
            predicted_iou: decoded.predicted_iou,
            logits: decoded.logits,
        }
    }
}
