//! Answers: the prompt is run, then one token after another is chosen, shown and run.

use super::cache::KeysValues;
use super::error::{QwenError, Result};
use super::network::{Network, Segment};
use super::picture::{Preprocessor, grid_of, prepare};
use super::prompt::{self, Item};
use super::sampling::Sampler;
use super::vocabulary::{TextStream, Vocabulary};
use crate::image_file::RgbImage;
use crate::language::{Answer, ChatRequest, Finish, Usage, shown_end};
use candle_core::Tensor;
use std::sync::Arc;

/// What the last conversation left behind, so that one that begins the same goes on from there.
#[derive(Debug)]
pub(super) struct Memory {
    cache: KeysValues,
    /// The tokens in the cache, placeholders for images.
    tokens: Vec<u32>,
    images: Vec<Remembered>,
}

/// An image of the last conversation.
#[derive(Debug)]
struct Remembered {
    image: Arc<RgbImage>,
    segment: Segment,
    /// Its first token.
    start: usize,
}

impl Memory {
    pub(super) fn new(network: &Network) -> Self {
        Self {
            cache: network.text.cache(),
            tokens: Vec::new(),
            images: Vec::new(),
        }
    }

    fn segment_of(&self, image: &Arc<RgbImage>) -> Option<Segment> {
        let known = self.images.iter().find(|known| same(&known.image, image))?;
        Some(known.segment.clone())
    }

    /// Keeps what a new prompt begins with too, but for its last token, which has to be run for its scores.
    fn keep_common(&mut self, prompt: &Prompt) {
        let limit = prompt.tokens.len().saturating_sub(1);
        let pairs = self.tokens.iter().zip(&prompt.tokens);
        let mut common = pairs.take_while(|(old, new)| old == new).count().min(limit);
        // Equal placeholders may stand for different images.
        let starts = |images: &[Remembered], index: usize| images.get(index).map(|image| image.start);
        for index in 0..self.images.len().max(prompt.images.len()) {
            let is_same = match (self.images.get(index), prompt.images.get(index)) {
                (Some(old), Some(new)) => old.start == new.start && same(&old.image, &new.image),
                _ => false,
            };
            if !is_same {
                let first = [starts(&self.images, index), starts(&prompt.images, index)];
                common = first.into_iter().flatten().fold(common, usize::min);
                break;
            }
        }
        self.cache.truncate(common);
        self.tokens.truncate(self.cache.len());
    }
}

/// Whether two images show the same; nearly always they are one image in memory.
fn same(a: &Arc<RgbImage>, b: &Arc<RgbImage>) -> bool {
    Arc::ptr_eq(a, b) || a == b
}

/// A conversation as the network takes it.
struct Prompt {
    segments: Vec<Segment>,
    tokens: Vec<u32>,
    images: Vec<Remembered>,
}

/// What answers are made with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Generator<'a> {
    pub(super) network: &'a Network,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) preprocessor: &'a Preprocessor,
    pub(super) stop_tokens: &'a [u32],
    /// Most tokens of prompt and answer together.
    pub(super) context_tokens: usize,
}

impl Generator<'_> {
    /// Answers a conversation.
    pub(super) fn answer(
        &self,
        request: &ChatRequest,
        memory: &mut Memory,
        on_text: &mut dyn FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Answer> {
        let items = prompt::write(request, self.vocabulary)?;
        let prompt_tokens = self.count(&items)?;
        if prompt_tokens >= self.context_tokens {
            return Err(QwenError::TooLong {
                tokens: prompt_tokens,
                limit: self.context_tokens.saturating_sub(1),
            });
        }
        let mut answer = Answer {
            text: String::new(),
            finish: Finish::Cancelled,
            usage: Usage {
                prompt_tokens,
                completion_tokens: 0,
            },
        };
        let Some(prompt) = self.look(items, memory, cancelled)? else {
            return Ok(answer);
        };
        let mut sampler = Sampler::new(&request.sampling, prompt.tokens.iter().copied())?;
        memory.keep_common(&prompt);
        memory.images = prompt.images;
        let ran = self
            .network
            .run_prompt(&prompt.segments, 1, &mut memory.cache, cancelled)?;
        memory.tokens = prompt.tokens;
        // Where it was cut off, only a part of the prompt is in the cache.
        memory.tokens.truncate(memory.cache.len());
        let Some((mut hidden, mut position)) = ran else {
            return Ok(answer);
        };

        let most = request
            .sampling
            .max_new_tokens
            .min(self.context_tokens - prompt_tokens);
        let mut stream = TextStream::new(self.vocabulary);
        let mut shown = Shown {
            stop: &request.sampling.stop,
            end: 0,
            on_text,
        };
        answer.finish = loop {
            if answer.usage.completion_tokens == most {
                break Finish::Length;
            }
            if cancelled() {
                break Finish::Cancelled;
            }
            let token = self.choose(&hidden, &mut sampler)?;
            if self.stop_tokens.contains(&token) {
                break Finish::Stop;
            }
            answer.usage.completion_tokens += 1;
            answer.text.push_str(&stream.push(token));
            if shown.grown(&mut answer.text) {
                return Ok(Answer {
                    finish: Finish::Stop,
                    ..answer
                });
            }
            if answer.usage.completion_tokens == most {
                break Finish::Length;
            }
            let ran = self
                .network
                .run_token(token, position, &mut memory.cache, cancelled)?;
            let Some(next) = ran else {
                break Finish::Cancelled;
            };
            memory.tokens.push(token);
            hidden = next;
            position += 1;
        };
        answer.text.push_str(&stream.finish());
        shown.finish(&mut answer);
        Ok(answer)
    }

    fn choose(&self, hidden: &Tensor, sampler: &mut Sampler) -> Result<u32> {
        let scores = self.network.text.scores(hidden)?;
        let mut scores = scores.flatten_all()?.to_vec1::<f32>()?;
        // Rows of the table that no word uses were never trained.
        scores.truncate(self.vocabulary.tokens);
        sampler.choose(&mut scores)
    }

    /// Tokens of a prompt, its images' included, without looking at them.
    fn count(&self, items: &[Item]) -> Result<usize> {
        let vision = &self.network.config.vision;
        items.iter().try_fold(0, |sum, item| {
            Ok(sum
                + match item {
                    Item::Tokens(tokens) => tokens.len(),
                    Item::Image(image) => {
                        grid_of(image.size, vision, self.preprocessor)?.tokens(vision.merge)
                    }
                })
        })
    }

    /// Looks at the images of a prompt, but for those seen before; `None` when cancelled.
    fn look(
        &self,
        items: Vec<Item>,
        memory: &Memory,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<Prompt>> {
        let vision = &self.network.config.vision;
        let mut prompt = Prompt {
            segments: Vec::with_capacity(items.len()),
            tokens: Vec::new(),
            images: Vec::new(),
        };
        for item in items {
            match item {
                Item::Tokens(tokens) => {
                    prompt.tokens.extend_from_slice(&tokens);
                    prompt.segments.push(Segment::Text(tokens));
                }
                Item::Image(image) => {
                    let seen_here = prompt.images.iter().find(|known| same(&known.image, &image));
                    let known = seen_here
                        .map(|known| known.segment.clone())
                        .or_else(|| memory.segment_of(&image));
                    let segment = match known {
                        Some(segment) => segment,
                        None => {
                            let picture = prepare(&image, vision, self.preprocessor)?;
                            match self.network.see(picture, cancelled)? {
                                Some(segment) => segment,
                                None => return Ok(None),
                            }
                        }
                    };
                    let start = prompt.tokens.len();
                    let tokens = grid_of(image.size, vision, self.preprocessor)?.tokens(vision.merge);
                    prompt
                        .tokens
                        .resize(start + tokens, self.network.config.image_token);
                    prompt.images.push(Remembered {
                        image,
                        segment: segment.clone(),
                        start,
                    });
                    prompt.segments.push(segment);
                }
            }
        }
        Ok(Some(prompt))
    }
}

/// How much of an answer has been shown; what may be the beginning of a stop text is held back.
struct Shown<'a> {
    stop: &'a [String],
    end: usize,
    on_text: &'a mut dyn FnMut(&str),
}

impl Shown<'_> {
    /// Shows what can be shown; true if a stop text has come, which is then taken off.
    fn grown(&mut self, text: &mut String) -> bool {
        let (end, stopped) = shown_end(text, self.stop);
        self.show(text, end);
        if stopped {
            text.truncate(end);
        }
        stopped
    }

    fn show(&mut self, text: &str, end: usize) {
        if let Some(piece) = text.get(self.end..end)
            && !piece.is_empty()
        {
            (self.on_text)(piece);
            self.end = end;
        }
    }

    /// Shows the rest.
    fn finish(&mut self, answer: &mut Answer) {
        if self.grown(&mut answer.text) {
            answer.finish = Finish::Stop;
        }
        self.show(&answer.text, answer.text.len());
    }
}
