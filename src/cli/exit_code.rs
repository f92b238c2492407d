//! What the program tells the shell: all well, some inputs failed, or nothing could be done.

use std::process;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitCode {
    /// 0: everything that was asked for was done.
    AllWell,
    /// 1: some inputs failed; the rest was done.
    SomeFailed,
    /// 2: wrong usage, or nothing could be done.
    NothingDone,
}

impl ExitCode {
    /// The code for `done` inputs that were dealt with and `failed` ones that were not.
    pub(super) const fn of(done: usize, failed: usize) -> Self {
        match (done, failed) {
            (_, 0) => Self::AllWell,
            (0, _) => Self::NothingDone,
            _ => Self::SomeFailed,
        }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_tells_all_from_some_from_none() {
        for (done, failed, expected) in [
            (0, 0, ExitCode::AllWell),
            (3, 0, ExitCode::AllWell),
            (2, 1, ExitCode::SomeFailed),
            (0, 1, ExitCode::NothingDone),
        ] {
            assert_eq!(
                ExitCode::of(done, failed),
                expected,
                "{done} done, {failed} failed"
            );
        }
        assert_eq!(ExitCode::NothingDone as u8, 2);
    }
}
