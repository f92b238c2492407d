//! What a folder of annotations is worth: [`check()`] finds what is wrong with it, [`stats()`] counts what is in it.
//!
//! Both walk the folder once, several images at a time, and keep nothing of an image but its findings or its numbers,
//! so memory does not grow with the size of the annotations. Neither changes a file, needs a model or trusts what it
//! reads: a sidecar that cannot be read whole is a finding, and what is readable of it is checked all the same.

pub mod check;
mod listing;
pub mod stats;

use std::ops::ControlFlow;

use rayon::prelude::*;

pub use self::check::{CheckOptions, CheckSummary, Code, Finding, Selection, Severity, Subject, check};
pub use self::stats::{Stats, StatsOptions, stats};

use self::listing::Entry;

/// Images that are read between two reports of progress.
const BATCH: usize = 128;

/// How far a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Images that are done, those without annotations included.
    pub done: usize,
    /// Images in all.
    pub total: usize,
}

/// Told now and then how far the walk is; answers whether to go on.
pub type OnProgress<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Does `work` on the entries in parallel and hands the results on in order; whether it came to the end.
fn in_order<T: Send>(
    entries: &[Entry],
    work: impl Fn(&Entry) -> T + Sync,
    mut take: impl FnMut(T),
    progress: &mut OnProgress<'_>,
) -> bool {
    let total = entries.len();
    let mut done = 0;
    for batch in entries.chunks(BATCH) {
        if progress(Progress { done, total }).is_break() {
            return false;
        }
        let results: Vec<T> = batch.par_iter().map(&work).collect();
        results.into_iter().for_each(&mut take);
        done += batch.len();
    }
    progress(Progress { done, total }).is_continue()
}
