//! What goes to standard error: one line per warning and error, in one form, fit for a terminal.

use std::fmt;
use std::io::{self, Write as _};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Sends log events of `level` and above to standard error; `RUST_LOG` overrides the level.
pub fn start(level: Level) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level.as_str()));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .event_format(OneLine)
        .finish();
    // A second subscriber is refused, and then the first one goes on.
    let _started = tracing::subscriber::set_global_default(subscriber);
}

/// Prints `samtok: error: …` on one line.
pub fn report(error: &anyhow::Error) {
    report_text(&sentence(error));
}

/// Prints `samtok: error: …` for a message that is one already.
pub(super) fn report_text(message: &str) {
    // Nothing is left to be told if standard error is closed.
    let _written = writeln!(io::stderr(), "samtok: error: {}", Printable(message));
}

/// Whether the reader of our output has gone, as `head` does; that is no failure.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error and its causes as one sentence; a cause that the text names already is not repeated.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !sentence.contains(&cause) {
            if !sentence.is_empty() {
                sentence.push_str(": ");
            }
            sentence.push_str(&cause);
        }
    }
    sentence
}

/// Text with control characters escaped: file names may hold anything, and a message is one line.
pub(super) struct Printable<'a>(pub(super) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// `samtok: warning: message`, without time and place.
struct OneLine;

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        };
        let mut message = String::new();
        context.format_fields(Writer::new(&mut message), event)?;
        writeln!(writer, "samtok: {level}: {}", Printable(&message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context as _, anyhow};

    #[test]
    fn causes_are_named_once() {
        let error = anyhow!("disk full").context("cannot write: disk full: a.png");
        assert_eq!(sentence(&error), "cannot write: disk full: a.png");
        let error = anyhow!("disk full").context("cannot write a.png");
        assert_eq!(sentence(&error), "cannot write a.png: disk full");
    }

    #[test]
    fn messages_stay_on_one_line() {
        assert_eq!(Printable("a\nb\u{1b}[1m é").to_string(), "a\\nb\\u{1b}[1m é");
    }

    #[test]
    fn a_closed_pipe_is_found_below_its_context() {
        let error = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(
            &Err::<(), _>(error).context("cannot print").unwrap_err()
        ));
        assert!(!is_broken_pipe(&anyhow!("broken pipe")));
    }
}
