//! Finding the image that a foreign file means among those that are there.

use super::Result;
use crate::dataset::folder::{Folder, Listing};
use crate::geometry::ImageSize;
use crate::image_file::read_size;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    /// The file.
    pub path: PathBuf,
    /// Its path below the folder, with `/` between the parts.
    pub name: String,
    /// Its upright size.
    pub size: ImageSize,
}

/// The images of a folder and its sub-folders, by name.
#[derive(Debug)]
pub struct Images {
    folder: PathBuf,
    /// In natural order, each with whether it is annotated.
    names: Vec<(String, bool)>,
    by_name: HashMap<String, u32>,
    /// By file name, without folders.
    by_file_name: HashMap<String, Only>,
    /// By path without the last suffix.
    by_stem: HashMap<String, Only>,
    /// By file name without its last suffix.
    by_file_stem: HashMap<String, Only>,
    looked_at: Mutex<LookedAt>,
}

/// The image of a name, unless there are several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Only {
    One(u32),
    Several,
}

/// What is known of the files that were opened.
#[derive(Debug, Default)]
struct LookedAt {
    sizes: HashMap<u32, ImageSize>,
    /// By name, what is wrong with the file.
    unreadable: BTreeMap<String, String>,
}

impl Images {
    /// Lists the images below `folder`; hidden files and folders are left out, and links to folders.
    ///
    /// # Errors
    /// If there is no folder that can be looked at.
    pub fn open(folder: &Path) -> Result<Self> {
        let folder = Folder::open(folder)?;
        Ok(Self::listed(&folder, &folder.list()))
    }

    /// The images of a folder that was listed already.
    #[must_use]
    pub fn listed(folder: &Folder, listing: &Listing) -> Self {
        let mut images = Self {
            folder: folder.path().to_path_buf(),
            names: Vec::with_capacity(listing.images.len()),
            by_name: HashMap::new(),
            by_file_name: HashMap::new(),
            by_stem: HashMap::new(),
            by_file_stem: HashMap::new(),
            looked_at: Mutex::default(),
        };
        for (number, image) in (0..).zip(&listing.images) {
            let file_name = file_name(&image.name);
            images.by_name.insert(image.name.clone(), number);
            for (map, key) in [
                (&mut images.by_file_name, file_name),
                (&mut images.by_stem, stem(&image.name)),
                (&mut images.by_file_stem, stem(file_name)),
            ] {
                map.entry(key.to_owned())
                    .and_modify(|only| *only = Only::Several)
                    .or_insert(Only::One(number));
            }
            images.names.push((image.name.clone(), image.has_sidecar));
        }
        images
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names of the images that have a sidecar, in natural order.
    pub fn annotated(&self) -> impl Iterator<Item = &str> {
        self.names
            .iter()
            .filter_map(|(name, is_annotated)| is_annotated.then_some(name.as_str()))
    }

    /// The image a foreign file calls `name`: the one at that relative path, or the only one whose file name is the
    /// last part of it; `None` where there is none, or more than one, or its file cannot be read
    /// ([`Images::unreadable`] has those).
    ///
    /// # Errors
    /// None at present.
    pub fn find(&self, name: &str) -> Result<Option<FoundImage>> {
        let name = name.replace('\\', "/");
        let name = name.trim_start_matches("./");
        if let Some(&number) = self.by_name.get(name) {
            return Ok(self.found(Only::One(number)));
        }
        let only = self.by_file_name.get(file_name(name));
        Ok(only.and_then(|&only| self.found(only)))
    }

    /// The only image whose file name without suffix is `stem`, for formats that do not say the suffix; a relative
    /// path without suffix is found first.
    ///
    /// # Errors
    /// As [`Images::find`].
    pub fn find_stem(&self, stem: &str) -> Result<Option<FoundImage>> {
        let stem = stem.replace('\\', "/");
        let stem = stem.trim_start_matches("./");
        let only = self
            .by_stem
            .get(stem)
            .or_else(|| self.by_file_stem.get(file_name(stem)));
        Ok(only.and_then(|&only| self.found(only)))
    }

    /// The image whose path below the folder without suffix is `stem`; unlike [`Images::find_stem`] never one that
    /// lies in another folder.
    pub(super) fn find_exact_stem(&self, stem: &str) -> Option<FoundImage> {
        self.by_stem.get(stem).and_then(|&only| self.found(only))
    }

    /// The images that were asked for and could not be read, each with what is wrong.
    #[must_use]
    pub fn unreadable(&self) -> BTreeMap<String, String> {
        self.looked_at().unreadable.clone()
    }

    fn looked_at(&self) -> MutexGuard<'_, LookedAt> {
        // Nothing that runs under the lock leaves it half changed.
        self.looked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, only: Only) -> Option<FoundImage> {
        let Only::One(number) = only else {
            return None;
        };
        let (name, _) = self.names.get(number as usize)?;
        let path = self.folder.join(name);
        let mut looked_at = self.looked_at();
        let size = match looked_at.sizes.get(&number) {
            Some(&size) => size,
            None if looked_at.unreadable.contains_key(name) => return None,
            None => match read_size(&path) {
                Ok(size) => {
                    looked_at.sizes.insert(number, size);
                    size
                }
                Err(error) => {
                    looked_at.unreadable.insert(name.clone(), error.to_string());
                    return None;
                }
            },
        };
        Some(FoundImage {
            path,
            name: name.clone(),
            size,
        })
    }
}

/// The last part of a path with `/` between the parts.
fn file_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// `name` without the last suffix of its last part.
pub(super) fn stem(name: &str) -> &str {
    match Path::new(file_name(name)).extension().and_then(OsStr::to_str) {
        Some(suffix) => name.get(..name.len() - suffix.len() - 1).unwrap_or(name),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_file::write_mask_png;
    use crate::mask::Mask;
    use std::fs;

    #[test]
    fn images_are_found_by_path_or_by_an_unambiguous_name() {
        let folder = tempfile::tempdir().unwrap();
        let mask = Mask::full(ImageSize::new(3, 2)).unwrap();
        for name in [
            "a.png",
            "x/a.png",
            "x/b.png",
            "x/c.png",
            "y/c.PNG",
            "y/.d.png",
            "e.tar.png",
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            write_mask_png(&path, &mask).unwrap();
        }
        fs::write(folder.path().join("f.jpg"), "no image").unwrap();
        let images = Images::open(folder.path()).unwrap();
        let find = |name: &str| images.find(name).unwrap().map(|found| found.name);
        let find_stem = |stem: &str| images.find_stem(stem).unwrap().map(|found| found.name);
        for (name, found) in [
            ("a.png", Some("a.png")),
            ("./x\\a.png", Some("x/a.png")),
            ("train/x/b.png", Some("x/b.png")),
            ("/data/c.png", Some("x/c.png")),
            ("../a.png", None),
            ("C.png", None),
            (".d.png", None),
            ("f.jpg", None),
            ("", None),
        ] {
            assert_eq!(find(name).as_deref(), found, "{name}");
        }
        for (stem, found) in [
            ("a", Some("a.png")),
            ("x/a", Some("x/a.png")),
            ("z/b", Some("x/b.png")),
            ("c", None),
            ("y/c", Some("y/c.PNG")),
            ("e.tar", Some("e.tar.png")),
            ("e", None),
        ] {
            assert_eq!(find_stem(stem).as_deref(), found, "{stem}");
        }
        assert_eq!(images.find("a.png").unwrap().unwrap().size, ImageSize::new(3, 2));
        assert_eq!(images.unreadable().keys().collect::<Vec<_>>(), ["f.jpg"]);
    }
}
