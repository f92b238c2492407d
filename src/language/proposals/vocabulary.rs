//! Whose words a model speaks, because words of another tokenizer decode to masks that are wrong but plausible.

use crate::dataset::{Document, Tokenizer};
use crate::tokenizer::MaskTokenizer;
use crate::words::WordFormat;

/// The words of one tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    /// The tokenizer's name.
    pub name: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// How its words are spelled.
    pub format: WordFormat,
}

/// What is known of the words that a language model was trained with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrainedWith {
    /// The fingerprint of the tokenizer; `None` if nobody said.
    pub fingerprint: Option<String>,
    /// How many mask words the model's own vocabulary has; `None` if it cannot be asked.
    pub word_count: Option<u32>,
}

/// A language model and a tokenizer that do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// Their codebooks differ in size.
    #[error(
        "{model:?} was trained with {trained} mask words and the tokenizer {tokenizer:?} has {found}, so its answers cannot be \
         turned into masks; use the tokenizer that it was trained with"
    )]
    WordCount {
        /// The language model.
        model: String,
        /// Its mask words.
        trained: u32,
        /// The tokenizer.
        tokenizer: String,
        /// Its words.
        found: u32,
    },
    /// They are of different tokenizers.
    #[error(
        "{model:?} was trained with the words of the tokenizer {}, and {tokenizer:?} ({}) spells other masks with the same words, \
         so that its masks would be wrong though they may look right; use the tokenizer that it was trained with",
        short(.trained), short(.found)
    )]
    Fingerprint {
        /// The language model.
        model: String,
        /// The fingerprint of its tokenizer.
        trained: String,
        /// The tokenizer.
        tokenizer: String,
        /// Its fingerprint.
        found: String,
    },
}

impl Vocabulary {
    /// The words of a tokenizer.
    #[must_use]
    pub fn of(tokenizer: &MaskTokenizer) -> Self {
        Self {
            name: tokenizer.config().name.clone(),
            fingerprint: tokenizer.fingerprint().to_string(),
            format: tokenizer.format(),
        }
    }

    /// Refuses a tokenizer that is known not to be the one that `model` was trained with.
    ///
    /// # Errors
    /// [`VocabularyError`].
    pub fn check(&self, model: &str, trained: &TrainedWith) -> Result<(), VocabularyError> {
        let found = self.format.word_count();
        if let Some(trained) = trained.word_count.filter(|trained| *trained != found) {
            return Err(VocabularyError::WordCount {
                model: model.to_owned(),
                trained,
                tokenizer: self.name.clone(),
                found,
            });
        }
        match &trained.fingerprint {
            Some(trained) if *trained != self.fingerprint => Err(VocabularyError::Fingerprint {
                model: model.to_owned(),
                trained: trained.clone(),
                tokenizer: self.name.clone(),
                found: self.fingerprint.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// The tokenizer in a document's list, if it is there.
    #[must_use]
    pub fn listed<'d>(&self, document: &'d Document) -> Option<&'d Tokenizer> {
        document.tokenizers.iter().find(|tokenizer| {
            tokenizer.fingerprint == self.fingerprint
                && tokenizer.codebook_size == self.format.codebook_size()
                && tokenizer.codebook_depth == self.format.codebook_depth()
        })
    }

    /// The words of a region that this tokenizer made of its present mask.
    #[must_use]
    pub fn words_of<'r>(&self, document: &Document, region: &'r crate::dataset::Region) -> Option<&'r str> {
        let id = &self.listed(document)?.id;
        let words = region.words.as_ref().filter(|words| words.tokenizer == *id)?;
        region.has_fresh_words().then_some(words.text.as_str())
    }
}

fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_belong_together_is_said_in_plain_words() {
        let vocabulary = Vocabulary {
            name: "nano".to_owned(),
            fingerprint: "0123456789abcdef".to_owned(),
            format: WordFormat::PUBLISHED,
        };
        let check = |fingerprint: Option<&str>, word_count| {
            let fingerprint = fingerprint.map(str::to_owned);
            vocabulary
                .check(
                    "Qwen",
                    &TrainedWith {
                        fingerprint,
                        word_count,
                    },
                )
                .map_err(|error| error.to_string())
        };
        assert_eq!(check(None, None), Ok(()));
        assert_eq!(check(Some("0123456789abcdef"), Some(512)), Ok(()));
        let message = check(Some("ffff"), Some(512)).unwrap_err();
        assert!(
            message.contains("ffff") && message.contains("(0123456789ab)"),
            "{message}"
        );
        let message = check(None, Some(64)).unwrap_err();
        assert!(
            message.contains("64 mask words") && message.contains("\"nano\" has 512"),
            "{message}"
        );
    }
}
