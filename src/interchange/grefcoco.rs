//! gRefCOCO: RefCOCO with expressions that mean several objects or none, in `grefs(unc).json`.

use super::refcoco::{Dialect, export_as, import_as};
use super::{Images, Incoming, Notes, Outgoing, OutputFolder, Result};
use std::path::Path;

/// Writes `instances.json` and `grefs(unc).json`.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    export_as(Dialect::GRefCoco, items, out, notes)
}

/// Reads a file of expressions, or the one in a folder, and the `instances.json` beside it.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    import_as(Dialect::GRefCoco, source, images, take, notes)
}
