//! The files that an import reads.

use super::{InterchangeError, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// `source` itself where it is no folder, with an empty name; else the files of that suffix below it with their
/// names, `/` between the parts, sorted. Hidden files and folders, links and our sidecars are left out.
pub(super) fn below(source: &Path, suffix: &str) -> Result<Vec<(PathBuf, String)>> {
    if !source.is_dir() {
        return Ok(vec![(source.to_path_buf(), String::new())]);
    }
    let mut files = Vec::new();
    let mut pending = vec![(source.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = pending.pop() {
        let failed = || InterchangeError::io("list the annotations", &folder);
        for entry in fs::read_dir(&folder).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let kind = entry.file_type().map_err(failed())?;
            let Ok(file_name) = entry.file_name().into_string() else {
                continue;
            };
            let path = entry.path();
            let name = format!("{prefix}{file_name}");
            let has_suffix = || {
                path.extension()
                    .is_some_and(|other| other.eq_ignore_ascii_case(suffix))
            };
            if file_name.starts_with('.') || file_name.ends_with(".samtok.json") {
                continue;
            } else if kind.is_dir() {
                pending.push((path, format!("{name}/")));
            } else if kind.is_file() && has_suffix() {
                files.push((path, name));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// As [`below`], without the files of sub-folders.
///
/// # Errors
/// Also where there is none.
pub(super) fn directly_in(source: &Path, suffix: &str, expected: &'static str) -> Result<Vec<PathBuf>> {
    let files = below(source, suffix)?.into_iter();
    let files: Vec<_> = files
        .filter(|(_, name)| !name.contains('/'))
        .map(|(path, _)| path)
        .collect();
    if files.is_empty() {
        let reason = format!("no .{suffix} file is in the folder");
        return Err(InterchangeError::foreign(expected, reason, source));
    }
    Ok(files)
}
