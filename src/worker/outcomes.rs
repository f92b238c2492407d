//! What became of the proposals of a whole folder, read from its sidecars.

use std::ops::ControlFlow;
use std::path::Path;

use crate::dataset::folder::{Folder, FolderError};
use crate::dataset::{Sidecar, sidecar_path};
use crate::language::proposals::outcome::OutcomeTable;

/// Counts the proposals of all images; `progress` is told how far it is and answers whether to go on.
///
/// Sidecars that cannot be read are left out and counted.
///
/// # Errors
/// [`FolderError`] if the folder cannot be read.
pub(super) fn outcomes(
    folder: &Path,
    progress: &mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>,
) -> Result<(OutcomeTable, u64), FolderError> {
    let folder = Folder::open(folder)?;
    let images = folder.list().images;
    let total = images.len() as u64;
    let (mut table, mut unreadable) = (OutcomeTable::default(), 0);
    for (done, image) in images.iter().enumerate() {
        if done % 64 == 0 && progress(done as u64, Some(total)).is_break() {
            break;
        }
        let Some(path) = folder.path_of(&image.name) else {
            continue;
        };
        match Sidecar::open(&sidecar_path(&path)) {
            Ok((_, Some(document))) => table.add(&document),
            Ok((_, None)) => {}
            Err(_) => unreadable += 1,
        }
    }
    Ok((table, unreadable))
}
