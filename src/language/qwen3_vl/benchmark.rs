//! How fast a model reads and writes, measured without a conversation around it.

use super::network::Segment;
use super::{Qwen3Vl, QwenError};
use candle_core::Tensor;
use std::time::{Duration, Instant};

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Time until the first token of the answer.
    pub prefill: Duration,
    /// Tokens of the answer that were run.
    pub answer_tokens: usize,
    /// Time for them.
    pub decode: Duration,
}

impl Speed {
    /// Tokens of the prompt read per second.
    #[must_use]
    pub fn prefill_rate(&self) -> f64 {
        self.prompt_tokens as f64 / self.prefill.as_secs_f64()
    }

    /// Tokens of the answer written per second.
    #[must_use]
    pub fn decode_rate(&self) -> f64 {
        self.answer_tokens as f64 / self.decode.as_secs_f64()
    }
}

impl Qwen3Vl {
    /// Reads a prompt of `prompt_tokens` arbitrary words and writes `answer_tokens`, the likeliest each time.
    ///
    /// # Errors
    /// [`QwenError`] if the device fails.
    pub fn measure(&self, prompt_tokens: usize, answer_tokens: usize) -> Result<Speed, QwenError> {
        let words = self.vocabulary.tokens.clamp(1, 300);
        let prompt: Vec<u32> = (0..prompt_tokens.max(1))
            .map(|index| (index * 7919 % words) as u32)
            .collect();
        let mut cache = self.network.text.cache();
        let best = |hidden: &Tensor| -> Result<u32, QwenError> {
            let scores = self.network.text.scores(hidden)?;
            Ok(scores.flatten_all()?.argmax(0)?.to_scalar()?)
        };
        let start = Instant::now();
        let ran = self
            .network
            .run_prompt(&[Segment::Text(prompt)], 1, &mut cache, &|| false)?;
        let Some((hidden, mut position)) = ran else {
            return Err(QwenError::NotFinite);
        };
        let mut token = best(&hidden)?;
        let prefill = start.elapsed();
        let start = Instant::now();
        for _ in 0..answer_tokens {
            if let Some(hidden) = self.network.run_token(token, position, &mut cache, &|| false)? {
                token = best(&hidden)?;
            }
            position += 1;
        }
        Ok(Speed {
            prompt_tokens: prompt_tokens.max(1),
            prefill,
            answer_tokens,
            decode: start.elapsed(),
        })
    }
}
