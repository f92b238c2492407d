//! What can go wrong between a question and its answer, in words that say what to do about it.

use std::io;
use std::time::Duration;

/// Why there is no answer, or only a part of one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LanguageError {
    /// The address of the server is none.
    #[error("this is no address of a server: {reason}; give one such as http://localhost:8000: {address}")]
    Address {
        /// What is wrong with it.
        reason: &'static str,
        /// What was given, without user name and password.
        address: String,
    },
    /// The environment has no key under the given name.
    #[error("the environment variable {variable} has no key in it; set it, or choose no key")]
    NoKey {
        /// The variable's name.
        variable: String,
    },
    /// The key holds characters that no header may have.
    #[error("the key has line breaks or other characters that cannot be sent; copy it again")]
    BadKey,
    /// Nobody answers at the address.
    #[error("cannot reach the server ({reason}); see that it runs and that the address is right: {address}")]
    Unreachable {
        /// What the network said.
        reason: String,
        /// The server's address.
        address: String,
    },
    /// The server took too long.
    #[error(
        "the server sent nothing for {} s; it may be busy or stuck, so try later or allow it more time: {address}",
        waited.as_secs_f64()
    )]
    Silent {
        /// How long nothing came.
        waited: Duration,
        /// What it had said before.
        partial: String,
        /// The server's address.
        address: String,
    },
    /// The whole answer took too long.
    #[error(
        "the answer was not done after {} s; ask for a shorter one or allow it more time: {address}",
        limit.as_secs_f64()
    )]
    TooSlow {
        /// The longest time for an answer.
        limit: Duration,
        /// What it had said by then.
        partial: String,
        /// The server's address.
        address: String,
    },
    /// The server wants another key, or one at all.
    #[error("the server refuses {key} ({status}: {message}); {advice}: {address}")]
    Unauthorized {
        /// 401 or 403.
        status: u16,
        /// Which key was sent, never the key itself.
        key: String,
        /// What to do.
        advice: &'static str,
        /// What the server said.
        message: String,
        /// The server's address.
        address: String,
    },
    /// The server has no such model, or is not one of this kind.
    #[error(
        "the server knows no model {model:?}, or its address has another ending ({message}); see which models it has: {address}"
    )]
    NotFound {
        /// The model that was asked for.
        model: String,
        /// What the server said.
        message: String,
        /// The server's address.
        address: String,
    },
    /// The server has too much to do.
    #[error("the server is busy ({message}){}; ask less at once or later: {address}", after_text(*.retry_after))]
    Busy {
        /// What the server said.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
        /// The server's address.
        address: String,
    },
    /// The server refuses the request.
    #[error("the server refuses the request ({status}: {message}): {address}")]
    Refused {
        /// 400 to 499, or 300 to 399 where it sends us elsewhere.
        status: u16,
        /// What the server said.
        message: String,
        /// The server's address.
        address: String,
    },
    /// The server failed.
    #[error("the server failed ({message}); its log says more: {address}")]
    ServerFailed {
        /// The status, or 200 where it failed during the answer.
        status: u16,
        /// What the server said.
        message: String,
        /// What it had said of the answer.
        partial: String,
        /// The server's address.
        address: String,
    },
    /// The connection broke off.
    #[error("the connection broke off before the answer was done ({reason}); ask again: {address}")]
    BrokenOff {
        /// What the network said.
        reason: String,
        /// What had come of the answer.
        partial: String,
        /// The server's address.
        address: String,
    },
    /// The answer does not end.
    #[error(
        "the answer is longer than {limit_bytes} bytes and was stopped; the model may be repeating itself, so allow \
         fewer tokens: {address}"
    )]
    TooLong {
        /// The most bytes that are taken.
        limit_bytes: usize,
        /// The answer up to there.
        partial: String,
        /// The server's address.
        address: String,
    },
    /// What came is no answer of a language model.
    #[error(
        "the server sent {found} instead of an answer; its address may be that of something else: {address}"
    )]
    NotAnAnswer {
        /// What came.
        found: String,
        /// What had come of the answer.
        partial: String,
        /// The server's address.
        address: String,
    },
    /// An image cannot be sent.
    #[error("the image cannot be sent: {0}")]
    Image(String),
    /// A question cannot be asked.
    #[error("{0}")]
    Question(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The local engine failed.
    #[error("{0}")]
    Local(String),
}

impl LanguageError {
    /// What had come of the answer, so that nothing is lost.
    #[must_use]
    pub fn partial(&self) -> &str {
        match self {
            Self::Silent { partial, .. }
            | Self::TooSlow { partial, .. }
            | Self::ServerFailed { partial, .. }
            | Self::BrokenOff { partial, .. }
            | Self::TooLong { partial, .. }
            | Self::NotAnAnswer { partial, .. } => partial,
            _ => "",
        }
    }

    /// Whether asking the same again may help, after a while.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Busy { .. } | Self::ServerFailed { .. } | Self::BrokenOff { .. }
        )
    }

    /// Whether it is about the server or its settings, so that any other question would fail as well.
    #[must_use]
    pub const fn concerns_all(&self) -> bool {
        matches!(
            self,
            Self::Address { .. }
                | Self::NoKey { .. }
                | Self::BadKey
                | Self::Unreachable { .. }
                | Self::Unauthorized { .. }
                | Self::NotFound { .. }
        )
    }
}

fn after_text(after: Option<Duration>) -> String {
    after.map_or(String::new(), |after| {
        format!(" and wants no question for {} s", after.as_secs())
    })
}
