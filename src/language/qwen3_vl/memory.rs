//! How much memory there is, asked before a model is loaded: running out halfway would take other programs down too.

use super::error::{QwenError, Result};
use super::precision::Precision;
use std::path::Path;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Bytes that can be used without pushing anything out, within the limits set for this process; `None` if nobody knows.
pub(super) fn available() -> Option<u64> {
    let memory = MemoryRefreshKind::nothing().with_ram();
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(memory));
    let free = system.available_memory();
    let allowed = system.cgroup_limits().map(|limits| limits.free_memory);
    let least = allowed.map_or(free, |allowed| allowed.min(free));
    (least > 0).then_some(least)
}

/// Refuses a model that needs more than there is.
pub(super) fn check(needed: u64, available: Option<u64>, precision: Precision, folder: &Path) -> Result<()> {
    match available {
        Some(available) if needed > available => Err(QwenError::Memory {
            precision: precision.name(),
            needed,
            available,
            folder: folder.to_path_buf(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_there_is_is_refused_with_both_figures() {
        let folder = Path::new("/models/big");
        assert!(check(5, Some(5), Precision::F32, folder).is_ok());
        assert!(check(5, None, Precision::F32, folder).is_ok());
        let error = check(17_200_000_000, Some(6_000_000_000), Precision::Bf16, folder).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("17.2 GB of memory as bf16 and 6.0 GB are free"),
            "{text}"
        );
    }

    #[test]
    fn this_machine_knows_its_memory() {
        assert!(available().is_none_or(|bytes| bytes > 1 << 20));
    }
}
