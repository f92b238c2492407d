//! What waits for the network, sorted by who waits: a person's click before words, words before batch work.

use std::collections::VecDeque;

use super::{FolderJob, ImageKey, ModelChoice, NetworkImage, NetworkRequest, WordsJob};
use crate::tokenizer::Prompt;
use crate::words::MaskCodes;

/// Regions whose words are made in one go; clicks are answered in between.
const WORDS_BATCH: usize = 16;

/// The next thing to do.
#[derive(Debug)]
pub(super) enum Step {
    Load(ModelChoice),
    Prompt {
        image: NetworkImage,
        id: u64,
        prompt: Prompt,
    },
    Decode {
        image: NetworkImage,
        id: u64,
        codes: Vec<MaskCodes>,
    },
    Embed(NetworkImage),
    Words {
        image: NetworkImage,
        jobs: Vec<WordsJob>,
        search_width: Option<usize>,
    },
    Prefetch(NetworkImage),
    Folder(FolderJob),
}

/// Requests that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    load: Option<ModelChoice>,
    prompt: Option<(NetworkImage, u64, Prompt)>,
    decode: VecDeque<(NetworkImage, u64, Vec<MaskCodes>)>,
    show: Option<NetworkImage>,
    words: VecDeque<(NetworkImage, WordsJob, Option<usize>)>,
    prefetch: VecDeque<NetworkImage>,
    folder: VecDeque<FolderJob>,
}

impl Queue {
    /// Puts a request in its place, and drops what it replaces.
    pub(super) fn push(&mut self, request: NetworkRequest) {
        match request {
            NetworkRequest::Load(choice) => self.load = Some(choice),
            NetworkRequest::Show(image) => {
                // Whoever left an image no longer waits for clicks or words on it; words are asked again on return.
                self.words.retain(|(waiting, ..)| waiting.key == image.key);
                self.prompt = self
                    .prompt
                    .take()
                    .filter(|(waiting, ..)| waiting.key == image.key);
                self.show = Some(image);
            }
            NetworkRequest::Prefetch(images) => self.prefetch = images.into(),
            NetworkRequest::Words {
                image,
                jobs,
                search_width,
            } => {
                for job in jobs {
                    self.words
                        .retain(|(waiting, old, _)| waiting.key != image.key || old.region != job.region);
                    self.words.push_back((image.clone(), job, search_width));
                }
            }
            NetworkRequest::Decode { image, id, codes } => self.decode.push_back((image, id, codes)),
            NetworkRequest::Prompt { image, id, prompt } => self.prompt = Some((image, id, prompt)),
            NetworkRequest::Folder(job) => self.folder.push_back(job),
        }
    }

    /// Takes what a person waits for.
    pub(super) fn pop_interactive(&mut self) -> Option<Step> {
        if let Some(choice) = self.load.take() {
            return Some(Step::Load(choice));
        }
        if let Some((image, id, prompt)) = self.prompt.take() {
            return Some(Step::Prompt { image, id, prompt });
        }
        if let Some((image, id, codes)) = self.decode.pop_front() {
            return Some(Step::Decode { image, id, codes });
        }
        if let Some(image) = self.show.take() {
            return Some(Step::Embed(image));
        }
        self.pop_words()
    }

    /// Takes the next thing of all.
    pub(super) fn pop(&mut self) -> Option<Step> {
        self.pop_interactive()
            .or_else(|| self.prefetch.pop_front().map(Step::Prefetch))
            .or_else(|| self.folder.pop_front().map(Step::Folder))
    }

    /// Takes jobs of one image and one way of searching, up to a batch; a search tries many candidates, so it goes
    /// region by region.
    fn pop_words(&mut self) -> Option<Step> {
        let (image, job, search_width) = self.words.pop_front()?;
        let mut jobs = vec![job];
        let most = if search_width.is_some() { 1 } else { WORDS_BATCH };
        while jobs.len() < most
            && self
                .words
                .front()
                .is_some_and(|(next, _, width)| next.key == image.key && *width == search_width)
        {
            jobs.extend(self.words.pop_front().map(|(_, job, _)| job));
        }
        Some(Step::Words {
            image,
            jobs,
            search_width,
        })
    }

    /// Whether a load waits, before which it is of no use to run anything.
    pub(super) fn is_loading(&self) -> bool {
        self.load.is_some()
    }

    /// Forgets the words that wait for an image.
    pub(super) fn forget_words(&mut self, key: ImageKey) {
        self.words.retain(|(image, ..)| image.key != key);
    }
}
