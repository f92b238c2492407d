//! What there is to look at in a folder: images, sidecars, and what was left out of the list.

use std::path::{Path, PathBuf};

use crate::dataset::folder::{Folder, FolderError, FolderProblem, ListedImage};
use crate::dataset::natural_order;

/// An image, its sidecar, or both.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The image, whether or not it is there.
    pub(super) path: PathBuf,
    /// Its path below the folder, with `/` between the parts.
    pub(super) name: String,
    pub(super) has_image: bool,
    pub(super) has_sidecar: bool,
}

/// A folder with its sub-folders.
#[derive(Debug)]
pub(super) struct Listing {
    folder: Folder,
    /// In natural order.
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<FolderProblem>,
}

impl Listing {
    /// Lists what is below the folder at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, FolderError> {
        let folder = Folder::open(path)?;
        let listing = folder.list();
        let entry = |ListedImage { name, has_sidecar }, has_image: bool| {
            let path = folder.path_of(&name)?;
            Some(Entry {
                // A file with the suffix of no image is found by its sidecar.
                has_image: has_image || path.is_file(),
                path,
                name,
                has_sidecar,
            })
        };
        let images = listing.images.into_iter().filter_map(|image| entry(image, true));
        let alone = |name| ListedImage {
            name,
            has_sidecar: true,
        };
        let missing = listing.missing.into_iter().map(alone);
        let mut entries: Vec<Entry> = images
            .chain(missing.filter_map(|image| entry(image, false)))
            .collect();
        entries.sort_by(|a, b| natural_order::compare(&a.name, &b.name));
        Ok(Self {
            entries,
            problems: listing.problems,
            folder,
        })
    }

    /// The path below the folder as it is shown to people.
    pub(super) fn shown(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.folder.path()).unwrap_or(path);
        below.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn images_come_in_natural_order_with_those_that_are_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("b")).unwrap();
        for name in [
            "img10.jpg",
            "img9.jpg.samtok.json",
            "img2.jpg",
            "img2.jpg.samtok.json",
            "b/odd.jpg",
            "b/odd.jpg.samtok.json",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let listing = Listing::read(folder.path()).unwrap();
        let found: Vec<_> = listing
            .entries
            .iter()
            .map(|entry| (&*entry.name, entry.has_image, entry.has_sidecar))
            .collect();
        let expected = [
            ("b/odd.jpg", true, true),
            ("img2.jpg", true, true),
            ("img9.jpg", false, true),
            ("img10.jpg", true, false),
        ];
        assert_eq!(found, expected);
        assert_eq!(listing.shown(&folder.path().join("b")), "b");
    }
}
