//! Conversations as Qwen3-VL was trained on them: turns between special words, images between theirs.

use super::error::{QwenError, Result};
use super::vocabulary::Vocabulary;
use crate::image_file::RgbImage;
use crate::language::{ChatRequest, ChatRole, Part};
use std::sync::Arc;

/// A part of a conversation in the order in which the network reads it.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// Tokens of text and special words.
    Tokens(Vec<u32>),
    /// An image, whose placeholders are still to come.
    Image(Arc<RgbImage>),
}

/// Collects tokens; text between special words is cut into tokens as one piece, as in training.
struct Writer<'a> {
    vocabulary: &'a Vocabulary,
    text: String,
    items: Vec<Item>,
}

impl Writer<'_> {
    fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn flush(&mut self) -> Result<()> {
        if !self.text.is_empty() {
            let tokens = self.vocabulary.encode(&std::mem::take(&mut self.text))?;
            self.tokens(&tokens);
        }
        Ok(())
    }

    fn tokens(&mut self, more: &[u32]) {
        match self.items.last_mut() {
            Some(Item::Tokens(tokens)) => tokens.extend_from_slice(more),
            _ => self.items.push(Item::Tokens(more.to_vec())),
        }
    }

    fn special(&mut self, token: u32) -> Result<()> {
        self.flush()?;
        self.tokens(&[token]);
        Ok(())
    }

    fn image(&mut self, image: &Arc<RgbImage>) -> Result<()> {
        let specials = self.vocabulary.specials;
        self.special(specials.vision_start)?;
        self.items.push(Item::Image(Arc::clone(image)));
        self.special(specials.vision_end)
    }
}

/// Writes a conversation up to where the assistant begins to speak.
///
/// A conversation that ends with words of the assistant is continued from there.
pub(super) fn write(request: &ChatRequest, vocabulary: &Vocabulary) -> Result<Vec<Item>> {
    let Some((last, _)) = request.messages.split_last() else {
        return Err(QwenError::Request {
            reason: "the conversation is empty",
        });
    };
    let specials = vocabulary.specials;
    let mut writer = Writer {
        vocabulary,
        text: String::new(),
        items: Vec::new(),
    };
    for (index, message) in request.messages.iter().enumerate() {
        writer.special(specials.turn_start)?;
        writer.text(message.role.as_str());
        writer.text("\n");
        for part in &message.parts {
            match part {
                Part::Text(text) => writer.text(text),
                Part::Image(image) if message.role == ChatRole::User => writer.image(image)?,
                Part::Image(_) => {
                    return Err(QwenError::Request {
                        reason: "only the user can show images",
                    });
                }
            }
        }
        let goes_on = last.role == ChatRole::Assistant && index + 1 == request.messages.len();
        if !goes_on {
            writer.special(specials.turn_end)?;
            writer.text("\n");
        }
    }
    if last.role != ChatRole::Assistant {
        writer.special(specials.turn_start)?;
        writer.text("assistant\n");
    }
    writer.flush()?;
    Ok(writer.items)
}
