//! A look at one image and its sidecar on disk: what is new since the last one.

use std::fs;
use std::io;

use super::super::folder::Folder;
use super::super::store::{Sidecar, sidecar_path};
use super::facts::{Facts, Stamp};
use super::records::{Finding, Known};

/// What is new about an image; `None` if nothing is, or it cannot be told now.
///
/// The sidecar is looked for only where `expects_sidecar` says so, because on a network drive that takes its time.
pub(super) fn look_at(folder: &Folder, known: &Known, expects_sidecar: bool) -> Option<Finding> {
    let Some(path) = folder.path_of(&known.name) else {
        return Some(Finding::Gone);
    };
    let image = match fs::metadata(&path) {
        Ok(image) if image.is_file() => image,
        Ok(_) => return Some(Finding::Gone),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Some(Finding::Gone),
        Err(_) => return None,
    };
    let stamp = Stamp::of(&image);
    let is_same_image = known.image.is_some_and(|known| known.still_holds(&image));
    let image_finding = || (!is_same_image).then_some(Finding::Image(stamp));
    let no_sidecar = || match known.has_sidecar {
        true => Some(Finding::NoSidecar(stamp)),
        false => image_finding(),
    };
    if !expects_sidecar {
        return no_sidecar();
    }
    let sidecar_path = sidecar_path(&path);
    let sidecar = match fs::metadata(&sidecar_path) {
        Ok(sidecar) => sidecar,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return no_sidecar(),
        Err(_) => return None,
    };
    if known.sidecar.is_some_and(|known| known.still_holds(&sidecar)) {
        return image_finding();
    }
    let sidecar = Stamp::of(&sidecar);
    match Sidecar::open(&sidecar_path) {
        Ok((_, Some(document))) => Some(Finding::Read(stamp, sidecar, Box::new(Facts::of(&document)))),
        Ok((_, None)) => no_sidecar(),
        Err(error) => Some(Finding::Unreadable(stamp, error.to_string())),
    }
}
