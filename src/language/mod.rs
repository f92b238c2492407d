//! Chat with a vision-language model: one seam, so that the rest need not know where the model runs.
//!
//! An [`Engine`] answers a [`ChatRequest`], piece by piece, until it is done or told to stop. [`served`] is one that
//! asks a server; a local one runs the network itself.
//! Above the seam, [`tasks`] asks the published questions and [`proposals`] makes of an answer's mask words what an
//! annotator can accept, mend or reject.

mod error;
pub mod opening;
pub mod proposals;
pub mod qwen3_vl;
pub mod served;
pub mod tasks;

use std::sync::Arc;

pub use self::error::LanguageError;
use crate::image_file::RgbImage;

/// What is asked: the conversation so far, and how to choose the words of the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The conversation, ending with what is to be answered.
    pub messages: Vec<Message>,
    /// How to choose the words of the answer.
    pub sampling: Sampling,
}

/// One utterance.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: ChatRole,
    /// What is said and shown, in order.
    pub parts: Vec<Part>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChatRole {
    /// Whoever set up the conversation.
    System,
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

/// A part of an utterance.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text, with mask words in it where regions are meant.
    Text(String),
    /// An image.
    Image(Arc<RgbImage>),
}

/// How the words of an answer are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The longest answer, in tokens.
    pub max_new_tokens: usize,
    /// How much chance there is; 0 takes the likeliest token every time.
    pub temperature: f32,
    /// Tokens are drawn from the likeliest that together have this probability, 0 to 1.
    pub top_p: f32,
    /// Tokens are drawn from so many of the likeliest; 0 means from all.
    pub top_k: usize,
    /// Divides the score of tokens that were used already; 1 does nothing.
    pub repetition_penalty: f32,
    /// Makes chance repeatable.
    pub seed: u64,
    /// Texts that end the answer; they are no part of it.
    pub stop: Vec<String>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// All of its text.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// What it took.
    pub usage: Usage,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// The model was done.
    Stop,
    /// It reached the longest length.
    Length,
    /// It was told to stop.
    Cancelled,
}

/// Tokens of a question and its answer; 0 where they are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Usage {
    /// Tokens of the conversation, images included.
    pub prompt_tokens: usize,
    /// Tokens of the answer.
    pub completion_tokens: usize,
}

/// A model that answers.
pub trait Engine: Send {
    /// The name of the model, as the annotations keep it.
    fn name(&self) -> &str;

    /// Answers `request`.
    ///
    /// Streams the answer piece by piece through `on_text`, and asks `cancelled` between tokens or chunks; where that
    /// says so, the answer is what there is of it by then.
    ///
    /// # Errors
    /// [`LanguageError`]; [`LanguageError::partial`] has what was said before.
    fn chat(
        &mut self,
        request: &ChatRequest,
        on_text: &mut dyn FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Answer, LanguageError>;
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            max_new_tokens: 1024,
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            repetition_penalty: 1.0,
            seed: 0,
            stop: Vec::new(),
        }
    }
}

impl Message {
    /// What `role` says in `text` alone.
    #[must_use]
    pub fn text(role: ChatRole, text: impl Into<String>) -> Self {
        Self {
            role,
            parts: vec![Part::Text(text.into())],
        }
    }

    /// All of its text, without its images.
    #[must_use]
    pub fn said(&self) -> String {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Image(_) => None,
        });
        texts.collect()
    }
}

impl ChatRole {
    /// The name in requests and chat templates.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// A byte past the whole of `text` that can be shown while `stop` texts may still be on their way, and whether one has
/// come, which then begins there.
fn shown_end(text: &str, stop: &[String]) -> (usize, bool) {
    let stops = stop.iter().filter(|stop| !stop.is_empty());
    if let Some(end) = stops.clone().filter_map(|stop| text.find(stop.as_str())).min() {
        return (end, true);
    }
    // The longest end of the text that begins one of them.
    let held = stops.filter_map(|stop| {
        let lengths = stop.char_indices().map(|(length, _)| length);
        lengths
            .rev()
            .find(|length| *length > 0 && text.ends_with(&stop[..*length]))
    });
    (text.len() - held.max().unwrap_or(0), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_become_a_stop_text_is_held_back() {
        let stop = ["</answer>".to_owned(), "é!".to_owned(), String::new()];
        for (text, expected) in [
            ("", (0, false)),
            ("abc", (3, false)),
            ("abc<", (3, false)),
            ("abc</ans", (3, false)),
            ("abc</answer>", (3, true)),
            ("abc</answer> and é!", (3, true)),
            ("aé", (1, false)),
            ("aé!b</answer>", (1, true)),
            ("é é", (3, false)),
        ] {
            assert_eq!(shown_end(text, &stop), expected, "{text}");
        }
    }

    #[test]
    fn greedy_is_the_default() {
        let sampling = Sampling::default();
        assert_eq!((sampling.max_new_tokens, sampling.temperature), (1024, 0.0));
        assert_eq!(Message::text(ChatRole::User, "a").said(), "a");
    }
}
