//! How many threads to use when nobody says: one per physical core, since two on one core share its vector units.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::{fs, thread};

use anyhow::Context as _;

/// Starts the threads that everything shares: `count`, or one per physical core.
///
/// # Errors
/// If the system refuses to start them.
pub fn start(count: Option<usize>) -> anyhow::Result<()> {
    let count = count.unwrap_or_else(physical_cores);
    rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .thread_name(|index| format!("samtok-{index}"))
        .build_global()
        .with_context(|| format!("cannot start {count} threads; give a smaller number with --threads"))
}

/// Physical cores that this process may use.
fn physical_cores() -> usize {
    let logical = thread::available_parallelism().map_or(1, NonZero::get);
    cores_in_sysfs().map_or(logical, |cores| cores.min(logical))
}

/// Cores of the machine on Linux: threads of one core list the same siblings.
fn cores_in_sysfs() -> Option<usize> {
    let processors = fs::read_dir("/sys/devices/system/cpu").ok()?;
    let siblings: BTreeSet<String> = processors
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("topology/thread_siblings_list")).ok())
        .collect();
    (!siblings.is_empty()).then_some(siblings.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_core() {
        let cores = physical_cores();
        assert!((1..=thread::available_parallelism().map_or(1, NonZero::get)).contains(&cores));
    }
}
