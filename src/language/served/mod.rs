//! Asking a server: any that speaks OpenAI's chat completions, such as vLLM, SGLang and llama.cpp.
//!
//! This is the only place that touches a network, and it asks nobody but the [`Endpoint`] that the user set.
//! A question is asked on a thread of its own ([`connection`]), so that giving up takes milliseconds whatever the server
//! does. A failure that may pass is waited out and the question asked again ([`retry`]), but never after text was shown.

mod address;
mod chunk;
mod connection;
mod events;
mod key;
mod limiter;
mod reading;
mod request;
mod retry;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

pub use self::address::Address;
use self::connection::{Arrival, Call, Connection, Head, Stopped};
pub use self::key::ApiKey;
use self::limiter::Limiter;
use self::reading::{AnswerReader, Read};
pub use self::retry::RetryPolicy;
use super::{Answer, ChatRequest, Engine, Finish, LanguageError};

/// Which server is asked, and how.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// The model that is asked for.
    pub model: String,
    /// The key, if it wants one.
    pub key: Option<ApiKey>,
    /// How images are sent.
    pub images: SentImages,
    /// How long is waited.
    pub time_limits: TimeLimits,
    /// When a question is asked again.
    pub retries: RetryPolicy,
    /// The most bytes of text that an answer may have.
    pub max_answer_bytes: usize,
    /// Questions that are on their way at once, of all clones of an engine.
    pub concurrency: NonZeroUsize,
    /// Further keys of every request, such as `skip_special_tokens` for vLLM.
    pub extra: Map<String, Value>,
}

/// How images are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentImages {
    /// As PNG instead of JPEG.
    pub lossless: bool,
    /// An image with more pixels is made smaller; models make it smaller anyway.
    pub max_pixels: u64,
}

/// How long is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    /// For a connection.
    pub connect: Duration,
    /// For the first and every further sign of life.
    pub silence: Duration,
    /// For the whole answer.
    pub answer: Duration,
}

impl Endpoint {
    /// The model called `model` at an address in any of the usual forms, without a key and with the usual limits.
    ///
    /// # Errors
    /// [`LanguageError::Address`].
    pub fn new(address: &str, model: &str) -> Result<Self, LanguageError> {
        Ok(Self {
            address: Address::parse(address)?,
            model: model.to_owned(),
            key: None,
            images: SentImages::default(),
            time_limits: TimeLimits::default(),
            retries: RetryPolicy::default(),
            max_answer_bytes: 1 << 20,
            concurrency: NonZeroUsize::MIN,
            extra: Map::new(),
        })
    }

    /// What a question sends and where to, in one sentence without a full stop.
    #[must_use]
    pub fn describe(&self) -> String {
        let kind = if self.images.lossless { "PNG" } else { "JPEG" };
        let place = if self.address.is_this_computer() {
            "on this computer"
        } else if self.address.is_encrypted() {
            "encrypted"
        } else {
            "unencrypted, so that others on the network can read it"
        };
        let model = if self.model.is_empty() {
            "the only model".to_owned()
        } else {
            format!("the model {:?}", self.model)
        };
        let key = self
            .key
            .as_ref()
            .map_or("without a key".to_owned(), |key| format!("with {}", key.origin()));
        format!(
            "Sends the conversation and its images (as {kind} of at most {:.1} megapixels, without file names) to \
             {model} at {}, {place}, {key}",
            self.images.max_pixels as f64 / 1e6,
            self.address
        )
    }
}

impl Default for SentImages {
    /// JPEG with as many pixels as the published models look at, and some to spare.
    fn default() -> Self {
        Self {
            lossless: false,
            max_pixels: 2_400_000,
        }
    }
}

impl Default for TimeLimits {
    /// 10 s, 120 s and 15 minutes.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(120),
            answer: Duration::from_secs(900),
        }
    }
}

/// A model on a server. Clones share the limit on questions at once.
#[derive(Clone, Debug)]
pub struct ServedEngine {
    endpoint: Endpoint,
    limiter: Limiter,
    /// Keys of requests that the server does not want.
    refused_keys: BTreeSet<String>,
}

impl ServedEngine {
    /// An engine that asks `endpoint`; nothing is sent yet.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            limiter: Limiter::new(endpoint.concurrency),
            endpoint,
            refused_keys: BTreeSet::new(),
        }
    }

    /// Which server it asks, and how.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The names of the models that the server has, which shows too that it is well.
    ///
    /// # Errors
    /// [`LanguageError`]; it is asked once.
    pub fn models(&self, cancelled: &dyn Fn() -> bool) -> Result<Vec<String>, LanguageError> {
        let connection = Connection::start(&self.endpoint, Call::Models)?;
        let reader = AnswerReader::new(&self.endpoint);
        let head = match connection.next(cancelled) {
            Ok(Arrival::Head(head)) => head,
            Ok(Arrival::Failed(failure)) => return Err(reader.failed(failure)),
            Ok(_) | Err(Stopped::Cancelled) => return Ok(Vec::new()),
            Err(Stopped::TooSlow) => return Err(reader.too_slow()),
        };
        let body = connection.rest(cancelled);
        if head.status != 200 {
            return Err(self.refusal(&head, &body));
        }
        let listed = serde_json::from_slice::<Value>(&body).ok();
        let listed = listed.as_ref().and_then(|list| list["data"].as_array());
        let Some(listed) = listed else {
            return Err(reader.not_an_answer(&chunk::explanation(&body)));
        };
        let names = listed.iter().filter_map(|model| model["id"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Asks once. Tells in `shown` whether any text was handed out.
    fn ask(
        &mut self,
        request: &ChatRequest,
        on_text: &mut dyn FnMut(&str),
        cancelled: &dyn Fn() -> bool,
        shown: &mut bool,
    ) -> Result<Answer, LanguageError> {
        let body = request::body(&self.endpoint, request, &self.refused_keys)?;
        let bytes = Value::Object(body.clone()).to_string().into_bytes();
        let connection = Connection::start(&self.endpoint, Call::Chat(bytes))?;
        let mut reader = AnswerReader::new(&self.endpoint).with_stop(&request.sampling.stop);
        loop {
            let arrival = match connection.next(cancelled) {
                Ok(arrival) => arrival,
                Err(Stopped::Cancelled) => return Ok(reader.cancelled()),
                Err(Stopped::TooSlow) => return Err(reader.too_slow()),
            };
            let read = match arrival {
                Arrival::Head(head) if head.status == 200 => {
                    reader.begin(&head.content_type);
                    continue;
                }
                Arrival::Head(head) => {
                    let explanation = connection.rest(cancelled);
                    if matches!(head.status, 400 | 422) {
                        let text = String::from_utf8_lossy(&explanation);
                        let refused = request::refused_keys(&body, &text);
                        if !refused.is_empty() {
                            tracing::info!("the server refuses {}; asking without", refused.join(", "));
                            self.refused_keys.extend(refused);
                            return self.ask(request, on_text, cancelled, shown);
                        }
                    }
                    return Err(self.refusal(&head, &explanation));
                }
                Arrival::Bytes(bytes) => reader.take(&bytes),
                Arrival::End => reader.end(),
                Arrival::Failed(failure) => Err(reader.failed(failure)),
            };
            // What came before a failure is shown too.
            let new_text = reader.new_text();
            if !new_text.is_empty() {
                *shown = true;
                on_text(new_text);
            }
            if let Read::Done(answer) = read? {
                return Ok(answer);
            }
        }
    }

    /// What a status other than 200 means.
    fn refusal(&self, head: &Head, body: &[u8]) -> LanguageError {
        let address = self.endpoint.address.to_string();
        let key = self.endpoint.key.as_ref();
        let explanation = chunk::explanation(body);
        let message = key.map_or_else(|| explanation.clone(), |key| key.blotted(&explanation));
        match head.status {
            status @ (401 | 403) => LanguageError::Unauthorized {
                status,
                key: key.map_or("a question without a key", ApiKey::origin).to_owned(),
                advice: match (key.is_some(), status) {
                    (false, _) => "give it the key of your account",
                    (true, 401) => "see that the key is right and still valid",
                    (true, _) => "see that the key may use this model",
                },
                message,
                address,
            },
            404 | 405 => LanguageError::NotFound {
                model: self.endpoint.model.clone(),
                message,
                address,
            },
            429 => LanguageError::Busy {
                message,
                retry_after: head.retry_after.as_deref().and_then(retry::retry_after),
                address,
            },
            status @ 500.. => LanguageError::ServerFailed {
                message: format!("{status}: {message}"),
                status,
                partial: String::new(),
                address,
            },
            status => LanguageError::Refused {
                status,
                message,
                address,
            },
        }
    }
}

impl Engine for ServedEngine {
    fn name(&self) -> &str {
        &self.endpoint.model
    }

    fn chat(
        &mut self,
        request: &ChatRequest,
        on_text: &mut dyn FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Answer, LanguageError> {
        let policy = self.endpoint.retries;
        let limiter = self.limiter.clone();
        let Some(_permit) = limiter.acquire(cancelled) else {
            return Ok(Answer::unsaid());
        };
        let mut failures = 0;
        loop {
            let mut shown = false;
            let error = match self.ask(request, on_text, cancelled, &mut shown) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            let asked_for = match &error {
                LanguageError::Busy { retry_after, .. } => *retry_after,
                _ => None,
            };
            let may_ask_again = error.is_transient() && (!shown || policy.after_text);
            let Some(wait) = policy.wait(failures, asked_for).filter(|_| may_ask_again) else {
                return Err(error);
            };
            tracing::info!("{error}; asking again in {:.1} s", wait.as_secs_f64());
            if !sleep(wait, cancelled) {
                return Ok(Answer::unsaid());
            }
        }
    }
}

impl Answer {
    /// The answer to a question that was taken back.
    fn unsaid() -> Self {
        Self {
            text: String::new(),
            finish: Finish::Cancelled,
            usage: super::Usage::default(),
        }
    }
}

/// Waits; false where `cancelled` says not to.
fn sleep(duration: Duration, cancelled: &dyn Fn() -> bool) -> bool {
    const LOOK: Duration = Duration::from_millis(20);
    let end = Instant::now() + duration;
    loop {
        if cancelled() {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(LOOK));
    }
}
