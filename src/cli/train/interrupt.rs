//! Ctrl-C while training: the first ends it in order, the second at once.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

/// What shells expect of a program that was ended by Ctrl-C.
const ENDED_BY_INTERRUPT: i32 = 130;

/// Whether the user has asked to stop.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes over Ctrl-C, and the system's request to end where there is one.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&requested);
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                process::exit(ENDED_BY_INTERRUPT);
            }
        })
        .context("cannot listen for Ctrl-C")?;
        Ok(Self(requested))
    }

    pub(super) fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
