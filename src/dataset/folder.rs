//! The images of a folder and its sub-folders by name, found without opening a single file.

#[cfg(test)]
mod tests;
mod walk;

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::natural_order;

pub use self::walk::{FolderContents, Walk};

/// Suffixes of files that are images.
pub const IMAGE_SUFFIXES: [&str; 7] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"];

/// What a sidecar has behind the name of its image.
pub(super) const SIDECAR_SUFFIX: &str = ".samtok.json";

/// Folders that systems and network drives keep for themselves, with thumbnails and deleted images in them.
const FOREIGN_FOLDERS: [&str; 6] = [
    "@eaDir",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "__MACOSX",
    "lost+found",
];

/// A time stamp this young may stand for two states of a file; the coarsest file systems count in 2 seconds.
const YOUNG: Duration = Duration::from_secs(3);

/// Why a folder cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// It is a file.
    #[error("this is not a folder; name the folder that the images are in: {}", path.display())]
    NotAFolder {
        /// What was to be opened.
        path: PathBuf,
    },
    /// It is not there, or may not be read.
    #[error("cannot open the folder: {source}: {}", path.display())]
    Io {
        /// What the operating system said.
        source: io::Error,
        /// What was to be opened.
        path: PathBuf,
    },
}

/// Something in a folder that was left out of the list; everything else is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderProblem {
    /// A folder could not be read, so the images in it are missing.
    #[error("cannot list the images of this folder: {source}: {}", path.display())]
    Unreadable {
        /// What the operating system said.
        source: io::Error,
        /// The folder.
        path: PathBuf,
    },
    /// A link to a folder; following it could run in circles, and would save annotations outside of the opened folder.
    #[error("a link to a folder is not followed; to work on the images in it, open it by itself: {}", path.display())]
    LinkedFolder {
        /// The link.
        path: PathBuf,
    },
    /// An image or folder has a name that cannot be written down.
    #[error("this name is not valid Unicode; rename it: {}", path.display())]
    NotUnicode {
        /// The image or folder.
        path: PathBuf,
    },
}

/// A folder of images.
///
/// Its images have *names*: their paths below the folder, with `/` between the parts on every system.
/// Left out are hidden files and folders, such as `.samtok`, and links to folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
    /// The same without links, as systems report changes.
    canonical: PathBuf,
}

/// An image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedImage {
    /// Its name in the folder.
    pub name: String,
    /// Whether it has a sidecar.
    pub has_sidecar: bool,
}

/// All images of a folder.
#[derive(Debug)]
pub struct Listing {
    /// The images in natural order.
    pub images: Vec<ListedImage>,
    /// Names of images that are missing, though their sidecars are there.
    pub missing: Vec<String>,
    /// What was left out.
    pub problems: Vec<FolderProblem>,
}

impl Folder {
    /// The folder at `path`.
    ///
    /// # Errors
    /// [`FolderError`] if there is no folder that can be looked at.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Io {
            source,
            path: path.to_path_buf(),
        };
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            return Err(FolderError::NotAFolder {
                path: path.to_path_buf(),
            });
        }
        Ok(Self {
            canonical: fs::canonicalize(path).map_err(failed)?,
            path: std::path::absolute(path).map_err(failed)?,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the image or sub-folder called `name` is; `None` if no name of this folder looks like this, so that
    /// a name from elsewhere never leads out of it.
    #[must_use]
    pub fn path_of(&self, name: &str) -> Option<PathBuf> {
        Self::is_name(name).then(|| {
            let mut path = self.path.clone();
            path.extend(name.split('/'));
            path
        })
    }

    /// Whether an image or sub-folder of some folder could have this name.
    pub(super) fn is_name(name: &str) -> bool {
        name.split('/').all(|part| {
            let mut components = Path::new(part).components();
            let is_plain = matches!(components.next(), Some(Component::Normal(only)) if only == part);
            is_plain && components.next().is_none() && !is_left_out(part)
        })
    }

    /// Where it is once all links are followed.
    pub(super) fn canonical(&self) -> &Path {
        &self.canonical
    }

    /// The name of what is at `path`; `None` if it lies outside or is left out of lists; empty for the folder itself.
    #[must_use]
    pub fn name_of(&self, path: &Path) -> Option<String> {
        let mut name = String::new();
        let inside = path
            .strip_prefix(&self.path)
            .or_else(|_| path.strip_prefix(&self.canonical));
        for component in inside.ok()?.components() {
            let Component::Normal(part) = component else {
                return None;
            };
            let part = part.to_str().filter(|part| !is_left_out(part))?;
            if !name.is_empty() {
                name.push('/');
            }
            name.push_str(part);
        }
        Some(name)
    }

    /// The name of the image that is at `path`, or whose sidecar is; `None` for everything else.
    #[must_use]
    pub fn image_at(&self, path: &Path) -> Option<String> {
        let mut name = self.name_of(path)?;
        if let Some(image) = image_of_sidecar(&name) {
            name.truncate(image.len());
            return Some(name);
        }
        is_image(&name).then_some(name)
    }

    /// Lists all images at once.
    #[must_use]
    pub fn list(&self) -> Listing {
        let mut listing = Listing {
            images: Vec::new(),
            missing: Vec::new(),
            problems: Vec::new(),
        };
        let mut walk = self.walk();
        while let Some(contents) = walk.step(None) {
            listing.images.extend(contents.images);
            listing.missing.extend(contents.missing);
            listing.problems.extend(contents.problems);
        }
        listing
            .images
            .sort_by(|a, b| natural_order::compare(&a.name, &b.name));
        listing.missing.sort_by(|a, b| natural_order::compare(a, b));
        listing
    }

    /// Starts to list the folder and its sub-folders one by one.
    #[must_use]
    pub fn walk(&self) -> Walk {
        self.walk_from(vec![String::new()], HashSet::new())
    }

    /// Starts to list the sub-folders called `start`, and what is below them, except for what is called `known`.
    pub(super) fn walk_from(&self, start: Vec<String>, known: HashSet<String>) -> Walk {
        Walk::new(self.clone(), start, known)
    }
}

/// Whether a file of this name is an image.
#[must_use]
pub fn is_image(file_name: &str) -> bool {
    let suffix = file_name.rsplit_once('.').map(|(_, suffix)| suffix);
    suffix.is_some_and(|suffix| {
        IMAGE_SUFFIXES
            .iter()
            .any(|image| image.eq_ignore_ascii_case(suffix))
    })
}

/// The image whose sidecar is called `name`.
pub(super) fn image_of_sidecar(name: &str) -> Option<&str> {
    name.strip_suffix(SIDECAR_SUFFIX).filter(|image| is_image(image))
}

/// Whether no list has a file or folder of this name.
fn is_left_out(file_name: &str) -> bool {
    file_name.starts_with('.') || FOREIGN_FOLDERS.contains(&file_name)
}

/// The time stamp of a file in nanoseconds since 1970; 0 where the file system keeps none.
pub(super) fn modified_ns(metadata: &Metadata) -> i64 {
    let time = metadata.modified().unwrap_or(UNIX_EPOCH);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// The time stamp if it is old enough to change with the next change of the file.
pub(super) fn settled_ns(metadata: &Metadata) -> Option<i64> {
    let modified = metadata.modified().ok()?;
    let age = SystemTime::now().duration_since(modified).ok()?;
    (age >= YOUNG).then(|| modified_ns(metadata))
}
