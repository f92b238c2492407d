//! Text to tokens and back, with the special words of the chat and the mask words.

use super::error::{QwenError, Result};
use crate::words::{END_WORD, START_WORD};
use std::path::Path;
use tokenizers::Tokenizer;

/// Tokens that may be needed to spell one character.
const MAX_PENDING: usize = 4;

/// A text tokenizer that knows Qwen3-VL's special words and mask words.
#[derive(Debug)]
pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    pub(super) specials: Specials,
    /// Mask words `<|mt_0000|>` and on, without gaps.
    pub(super) mask_words: u32,
    /// One past the largest token.
    pub(super) tokens: usize,
}

/// Tokens that shape a conversation; text that a person writes never becomes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Specials {
    pub(super) turn_start: u32,
    pub(super) turn_end: u32,
    pub(super) vision_start: u32,
    pub(super) vision_end: u32,
    pub(super) image: u32,
    /// Ends a text of any kind.
    pub(super) text_end: Option<u32>,
}

impl Vocabulary {
    /// Reads `tokenizer.json`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut tokenizer = Tokenizer::from_file(path).map_err(|error| QwenError::TextTokenizer {
            reason: error.to_string(),
            path: path.to_path_buf(),
        })?;
        // Written `<|im_end|>` is text, not the end of a turn; mask words are no special words and still found.
        tokenizer.set_encode_special_tokens(true);
        let special = |word: &'static str| {
            tokenizer
                .token_to_id(word)
                .ok_or_else(|| QwenError::MissingSpecial {
                    word,
                    path: path.to_path_buf(),
                })
        };
        let specials = Specials {
            turn_start: special("<|im_start|>")?,
            turn_end: special("<|im_end|>")?,
            vision_start: special("<|vision_start|>")?,
            vision_end: special("<|vision_end|>")?,
            image: special("<|image_pad|>")?,
            text_end: tokenizer.token_to_id("<|endoftext|>"),
        };
        let mut mask_words = 0;
        while tokenizer.token_to_id(&mask_word(mask_words)).is_some() {
            mask_words += 1;
        }
        let missing = [START_WORD, END_WORD]
            .into_iter()
            .find(|word| tokenizer.token_to_id(word).is_none())
            .map(str::to_owned)
            .or_else(|| (mask_words == 0).then(|| mask_word(0)));
        if let Some(word) = missing {
            return Err(QwenError::NoMaskWords {
                word,
                path: path.to_path_buf(),
            });
        }
        let tokens = tokenizer
            .get_vocab(true)
            .values()
            .max()
            .map_or(0, |largest| *largest as usize + 1);
        Ok(Self {
            tokenizer,
            specials,
            mask_words,
            tokens,
        })
    }

    /// The tokens of a text.
    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self.tokenizer.encode(text, false) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(error) => {
                Err(candle_core::Error::Msg(format!("the text cannot be cut into tokens: {error}")).into())
            }
        }
    }

    fn decode(&self, tokens: &[u32]) -> String {
        // Fails only for tokens that are not there, which say nothing.
        self.tokenizer.decode(tokens, true).unwrap_or_default()
    }
}

fn mask_word(number: u32) -> String {
    format!("<|mt_{number:04}|>")
}

/// Turns tokens into text as they come, whole characters only.
#[derive(Debug)]
pub(super) struct TextStream<'a> {
    vocabulary: &'a Vocabulary,
    pending: Vec<u32>,
}

impl<'a> TextStream<'a> {
    pub(super) fn new(vocabulary: &'a Vocabulary) -> Self {
        Self {
            vocabulary,
            pending: Vec::with_capacity(MAX_PENDING),
        }
    }

    /// What can be read now that `token` has come; nothing while a character is half spelled.
    pub(super) fn push(&mut self, token: u32) -> String {
        self.pending.push(token);
        let text = self.vocabulary.decode(&self.pending);
        if text.ends_with('\u{fffd}') && self.pending.len() < MAX_PENDING {
            return String::new();
        }
        self.pending.clear();
        text
    }

    /// What is left when no more tokens come; half a character shows as U+FFFD.
    pub(super) fn finish(self) -> String {
        self.vocabulary.decode(&self.pending)
    }
}
