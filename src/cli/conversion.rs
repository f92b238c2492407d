//! What `samtok export` and `samtok import` share: names of formats, a progress bar, and how they end.

use std::io::IsTerminal as _;
use std::ops::ControlFlow;
use std::str::FromStr;

use indicatif::{ProgressBar, ProgressStyle};

use super::{ExitCode, GlobalArgs, diagnostics};
use crate::interchange::training::Container;
use crate::interchange::{Failure, Format, Progress, Stage};

/// Everything that annotations can be converted to and from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Another program's annotations.
    Interchange(Format),
    /// Training data for language models.
    Training(Container),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Interchange(format) => format.name(),
            Self::Training(container) => container.name(),
        }
    }

    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Interchange(format) => format.description(),
            Self::Training(container) => container.description(),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let formats = Format::ALL.into_iter().map(Self::Interchange);
        formats.chain(Container::ALL.into_iter().map(Self::Training))
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::all().find(|kind| kind.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::all().map(Self::name).collect();
            format!("no format is called {name:?}; choose one of {}", names.join(", "))
        })
    }
}

/// All formats with what they are, for the help.
pub(super) fn format_list() -> String {
    let width = Kind::all().map(|kind| kind.name().len()).max().unwrap_or(0);
    let list = |is_listed: fn(&Kind) -> bool| -> String {
        let listed = Kind::all().filter(is_listed);
        listed
            .map(|kind| format!("  {:<width$}  {}\n", kind.name(), kind.description()))
            .collect()
    };
    format!(
        "Formats of other programs:\n{}\nTraining data for language models:\n{}",
        list(|kind| matches!(kind, Kind::Interchange(_))),
        list(|kind| matches!(kind, Kind::Training(_))),
    )
}

/// Shows on a terminal how far a conversion is.
#[derive(Debug)]
pub(super) struct Bar {
    bar: ProgressBar,
    stage: Option<Stage>,
}

impl Bar {
    pub(super) fn new(global: &GlobalArgs) -> Self {
        let is_shown = !global.quiet && std::io::stderr().is_terminal();
        let bar = if is_shown {
            ProgressBar::no_length()
        } else {
            ProgressBar::hidden()
        };
        Self { bar, stage: None }
    }

    /// Takes note of `progress`; nobody stops a conversion here but by ending the program.
    pub(super) fn show(&mut self, progress: Progress) -> ControlFlow<()> {
        if self.stage != Some(progress.stage) {
            self.stage = Some(progress.stage);
            let (activity, template) = match progress.stage {
                Stage::Reading => ("reading", "{msg} {pos} images, {elapsed}"),
                Stage::Writing => ("writing", "{msg} {bar:24} {pos}/{len} left {eta}"),
                Stage::Checking => ("reading again", "{msg} {bar:24} {pos}/{len} left {eta}"),
            };
            let style = ProgressStyle::with_template(template);
            self.bar
                .set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar.set_message(activity);
        }
        if let Some(total) = progress.total {
            self.bar.set_length(total);
        }
        self.bar.set_position(progress.done);
        ControlFlow::Continue(())
    }

    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Reports what failed, and answers how a conversion of `done` images ended that was written or not.
pub(super) fn ending(failures: &[Failure], done: u64, is_written: bool) -> ExitCode {
    for failure in failures {
        diagnostics::report_text(&with_path(failure));
    }
    if !is_written {
        diagnostics::report_text(
            "something would be lost, so nothing was written; leave out --strict to accept that",
        );
        return ExitCode::NothingDone;
    }
    ExitCode::of(usize::try_from(done).unwrap_or(usize::MAX), failures.len())
}

/// The sentence of a failure with its path at the end, where it is not there already.
fn with_path(failure: &Failure) -> String {
    let path = failure.path.display().to_string();
    if failure.error.contains(&path) {
        failure.error.clone()
    } else {
        format!("{}: {path}", failure.error)
    }
}
