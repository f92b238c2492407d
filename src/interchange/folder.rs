//! An annotated folder as a stream of documents: read one by one in natural order, so that memory only grows with
//! the number of names.

use super::{Annotated, Failure, Images, Result};
use crate::dataset::folder::Folder;
use crate::dataset::{Sidecar, sidecar_path};
use rayon::prelude::*;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

/// Sidecars that are read side by side.
const READ_AHEAD: usize = 32;

/// A folder of images of which some have sidecars.
#[derive(Debug)]
pub struct AnnotatedFolder {
    images: Images,
    problems: Vec<Failure>,
    missing: Vec<String>,
}

impl AnnotatedFolder {
    /// Lists the folder at `path` and its sub-folders, without opening a single file in them.
    ///
    /// # Errors
    /// If there is no folder that can be looked at.
    pub fn open(path: &Path) -> Result<Self> {
        let folder = Folder::open(path)?;
        let listing = folder.list();
        let problem = |error: &dyn std::error::Error| Failure::new(folder.path(), error);
        Ok(Self {
            images: Images::listed(&folder, &listing),
            problems: listing.problems.iter().map(|error| problem(error)).collect(),
            missing: listing.missing,
        })
    }

    /// All images of the folder, annotated or not.
    #[must_use]
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// What could not be listed.
    #[must_use]
    pub fn problems(&self) -> &[Failure] {
        &self.problems
    }

    /// The names of images that are gone, though their annotations are there.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Gives `take` the annotated images one by one; one that cannot be read is an error, after which the next ones
    /// follow.
    ///
    /// Some are read ahead, side by side and while `take` works.
    pub fn with_documents<R>(
        &self,
        take: impl FnOnce(&mut dyn Iterator<Item = Result<Annotated, Failure>>) -> R,
    ) -> R {
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel(READ_AHEAD);
            scope.spawn(move || {
                let mut names = self.images.annotated();
                loop {
                    let next: Vec<&str> = names.by_ref().take(READ_AHEAD).collect();
                    let documents = next.par_iter().filter_map(|name| self.document(name).transpose());
                    let documents: Vec<_> = documents.collect();
                    let are_wanted = documents.into_iter().all(|item| sender.send(item).is_ok());
                    if next.is_empty() || !are_wanted {
                        return;
                    }
                }
            });
            take(&mut receiver.into_iter())
        })
    }

    /// The annotations of the image called `name`; `None` if it has none.
    ///
    /// # Errors
    /// If the image or its sidecar cannot be read, or they have different sizes.
    pub fn document(&self, name: &str) -> Result<Option<Annotated>, Failure> {
        let path = self.images.folder().join(name);
        let size = match self.images.find(name) {
            Ok(Some(image)) => image.size,
            Ok(None) => {
                let error = self.images.unreadable().remove(name);
                let error = error.unwrap_or_else(|| "the image has gone".to_owned());
                return Err(Failure { path, error });
            }
            Err(error) => return Err(Failure::new(&path, &error)),
        };
        let (_, document) =
            Sidecar::load(&path, size).map_err(|error| Failure::new(&sidecar_path(&path), &error))?;
        let name = name.to_owned();
        Ok(document.map(|document| Annotated { path, name, document }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::Sample;
    use super::*;
    use std::fs;

    #[test]
    fn annotated_images_come_in_natural_order_and_the_others_do_not_come() {
        let sample = Sample::new();
        for name in ["b/img10.png", "b/img2.png", "a.png", "c.png", "d.png"] {
            sample.image(name, 6, 4);
        }
        for name in ["a.png", "b/img10.png", "b/img2.png", "c.png"] {
            sample.annotate(name, |_| {});
        }
        sample.write("c.png.samtok.json", "{");
        fs::remove_file(sample.path("a.png")).unwrap();
        let folder = AnnotatedFolder::open(sample.folder()).unwrap();
        let documents: Vec<_> = folder.with_documents(|documents| documents.collect());
        let (read, failed): (Vec<_>, Vec<_>) = documents.into_iter().partition(|item| item.is_ok());
        let names: Vec<String> = read.into_iter().map(|item| item.unwrap().name).collect();
        assert_eq!(names, ["b/img2.png", "b/img10.png"]);
        let failed: Vec<Failure> = failed.into_iter().map(|item| item.unwrap_err()).collect();
        assert!(
            failed.len() == 1 && failed[0].path == sample.path("c.png.samtok.json"),
            "{failed:?}"
        );
        assert_eq!(folder.missing(), ["a.png"]);
        assert!(folder.document("d.png").unwrap().is_none());
        let first = folder
            .with_documents(|documents| documents.next())
            .unwrap()
            .unwrap();
        assert_eq!(first.name, "b/img2.png", "and nobody waits for the rest");
    }
}
