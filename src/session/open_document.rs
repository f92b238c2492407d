//! The image on screen with its annotations, their history, what is selected, and what is not saved yet.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::selection::Selection;
use crate::dataset::history::{History, Mark};
use crate::dataset::{Document, Edit, EditError, ImageRef, MaskChange, Region, RegionChange, Timestamp};
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::{Mask, MaskError, Rle};
use crate::tools::{Combine, Patch};
use crate::worker::files::OpenedImage;

/// How far the work on an image is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveState {
    /// Everything is on disk.
    Saved,
    /// There are changes that are about to be written.
    Unsaved,
    /// They are being written.
    Saving,
    /// They could not be written; the reason.
    Failed(String),
    /// Nothing can be written, because what is there cannot be read; the reason.
    ReadOnly(String),
}

/// The mask that a region's words give back.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// The mask.
    pub mask: Rle,
    /// The mask of the region that the words were made of.
    pub of: Rle,
}

/// A mask that a stroke is changing.
#[derive(Debug)]
struct LiveMask {
    /// The region; `None` for one that is being made.
    region: Option<String>,
    mask: Mask,
    before: Option<Rle>,
    has_changed: bool,
}

/// A mask in pixels, kept for as long as the region has it.
#[derive(Debug)]
struct Raster {
    of: Rle,
    mask: Arc<Mask>,
}

/// The image on screen.
#[derive(Debug)]
pub struct OpenDocument {
    /// The image file.
    pub path: PathBuf,
    /// Its pixels.
    pub image: Arc<OpenedImage>,
    pub(super) selection: Selection,
    /// Masks that the words give back, by region.
    pub rebuilt: HashMap<String, Rebuilt>,
    /// Masks whose words were asked for and have not come, by region.
    pub(super) asked_words: HashMap<String, Rle>,
    /// Regions whose words are to be replaced whatever made them.
    pub(super) replaces_words: HashSet<String>,
    document: Document,
    history: History,
    save: SaveState,
    /// Whether anything changed since it was last handed over to be written.
    has_changes: bool,
    /// When the earliest unsaved change was made.
    unsaved_since: Option<Instant>,
    live: Option<LiveMask>,
    raster: Option<Raster>,
    /// Another number whenever the document is another one.
    revision: u64,
}

impl OpenDocument {
    pub(super) fn new(
        path: PathBuf,
        image: Arc<OpenedImage>,
        document: Result<Option<Document>, String>,
        history: Option<History>,
    ) -> Self {
        let fresh = || Document::new(ImageRef::new(&path, image.size(), Some(image.blake3())));
        let (document, save) = match document {
            Ok(document) => (document.unwrap_or_else(fresh), SaveState::Saved),
            Err(reason) => (fresh(), SaveState::ReadOnly(reason)),
        };
        Self {
            path,
            image,
            selection: Selection::default(),
            rebuilt: HashMap::new(),
            asked_words: HashMap::new(),
            replaces_words: HashSet::new(),
            document,
            history: history.unwrap_or_default(),
            save,
            has_changes: false,
            unsaved_since: None,
            live: None,
            raster: None,
            revision: 0,
        }
    }

    /// The annotations.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// What can be taken back.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Another number whenever the annotations changed.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Width and height of the image.
    #[must_use]
    pub fn size(&self) -> ImageSize {
        self.image.size()
    }

    /// How far the work is written.
    #[must_use]
    pub fn save_state(&self) -> &SaveState {
        &self.save
    }

    /// Whether annotations can be changed at all.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(self.save, SaveState::ReadOnly(_))
    }

    // ---- changes

    /// Makes a change, as one step or as a part of the running gesture.
    ///
    /// # Errors
    /// [`EditError`] where the edit does not fit; nothing changed then.
    pub fn apply(&mut self, edit: Edit) -> Result<(), EditError> {
        self.history.apply(&mut self.document, edit, Timestamp::now())?;
        self.changed();
        Ok(())
    }

    /// Makes several changes as one step; none for an empty list.
    ///
    /// # Errors
    /// [`EditError`] where one of them does not fit; nothing changed then.
    pub fn apply_all(&mut self, mut edits: Vec<Edit>) -> Result<(), EditError> {
        match edits.len() {
            0 => Ok(()),
            1 => edits.pop().map_or(Ok(()), |edit| self.apply(edit)),
            _ => self.apply(Edit::Several(edits)),
        }
    }

    /// Makes a change of derived data, which no step has to take back.
    pub(super) fn apply_derived(&mut self, edit: Edit) -> Result<(), EditError> {
        edit.apply(&mut self.document)?;
        self.document.touch(Timestamp::now());
        self.changed();
        Ok(())
    }

    /// Ends the typing that is one step.
    pub fn end_typing(&mut self) {
        self.history.end_typing();
    }

    /// Takes the last step back, or makes it again; answers whether there was one.
    ///
    /// # Errors
    /// [`EditError`] if others changed what it was about; the step is forgotten.
    pub(super) fn step(&mut self, is_undo: bool) -> Result<bool, EditError> {
        self.cancel_stroke();
        let now = Timestamp::now();
        let stepped = if is_undo {
            self.history.undo(&mut self.document, now)
        } else {
            self.history.redo(&mut self.document, now)
        };
        self.changed();
        self.retain_selected();
        stepped
    }

    /// Forgets the selection of regions that are gone.
    pub(super) fn retain_selected(&mut self) {
        self.selection.retain(&self.document);
    }

    fn changed(&mut self) {
        self.revision += 1;
        if self.is_read_only() {
            return;
        }
        self.has_changes = true;
        self.unsaved_since.get_or_insert_with(Instant::now);
        if self.save == SaveState::Saved {
            self.save = SaveState::Unsaved;
        }
    }

    // ---- masks

    /// The mask of the active region in pixels, with the stroke that is being made.
    pub fn active_mask(&mut self) -> Option<Arc<Mask>> {
        let region = self.document.region(self.selected().last()?)?;
        if self
            .raster
            .as_ref()
            .is_none_or(|raster| raster.of != region.mask.rle)
        {
            let of = region.mask.rle.clone();
            let mask = Arc::new(Mask::from_rle(&of));
            self.raster = Some(Raster { of, mask });
        }
        self.raster.as_ref().map(|raster| Arc::clone(&raster.mask))
    }

    /// The mask that a stroke is changing: the region, `None` for a new one, and its pixels.
    #[must_use]
    pub fn live_mask(&self) -> Option<(Option<&str>, &Mask)> {
        self.live
            .as_ref()
            .map(|live| (live.region.as_deref(), &live.mask))
    }

    /// Applies a part of a stroke to the active region, or to a new one where none is selected; answers what changed.
    ///
    /// # Errors
    /// [`MaskError`] if the image is too large for a mask.
    pub fn stroke(
        &mut self,
        part: Option<&Patch>,
        combine: Combine,
        makes_new: bool,
    ) -> Result<Option<PixelRect>, MaskError> {
        if self.live.is_none() {
            let region = if makes_new {
                None
            } else {
                self.active().map(|region| region.id.clone())
            };
            let rle = region
                .as_ref()
                .and_then(|id| self.document.region(id))
                .map(|region| region.mask.rle.clone());
            let mask = match (&region, self.active_mask()) {
                (Some(_), Some(mask)) => (*mask).clone(),
                _ => Mask::empty(self.size())?,
            };
            self.live = Some(LiveMask {
                region,
                mask,
                before: rle,
                has_changed: false,
            });
        }
        let Some((live, part)) = self.live.as_mut().zip(part) else {
            return Ok(None);
        };
        live.has_changed = true;
        Ok(part.apply(&mut live.mask, combine))
    }

    /// Ends the stroke as one step; `new` makes a region of a mask where the stroke made a new one.
    ///
    /// # Errors
    /// [`EditError`] if the region was changed elsewhere meanwhile.
    pub fn end_stroke(&mut self, new: impl FnOnce(&Document, Rle) -> Region) -> Result<(), EditError> {
        let Some(live) = self.live.take() else {
            return Ok(());
        };
        if !live.has_changed {
            return Ok(());
        }
        let after = live.mask.to_rle();
        match (live.region, live.before) {
            (Some(id), Some(before)) => {
                if before == after {
                    return Ok(());
                }
                let sizes = EditError::MaskSize {
                    mask: after.size(),
                    image: before.size(),
                };
                let change = MaskChange::between(&before, &after).map_err(|_other_size| sizes)?;
                let change = RegionChange::Mask(change);
                // The raster stays valid, so that the next stroke starts at once.
                self.raster = Some(Raster {
                    of: after,
                    mask: Arc::new(live.mask),
                });
                self.apply(Edit::Region { id, change })
            }
            _ => {
                if after.area() == 0 {
                    return Ok(());
                }
                let region = new(&self.document, after.clone());
                let id = region.id.clone();
                self.raster = Some(Raster {
                    of: after,
                    mask: Arc::new(live.mask),
                });
                self.apply(Edit::AddRegion {
                    index: self.document.regions.len(),
                    region: Box::new(region),
                })?;
                self.select([id]);
                Ok(())
            }
        }
    }

    /// Takes the stroke that is being made back.
    pub fn cancel_stroke(&mut self) {
        if self.live.take().is_some() {
            self.revision += 1;
        }
    }

    // ---- saving

    /// What has to be written, if anything; the document counts as being written from now on.
    pub(super) fn take_unsaved(&mut self) -> Option<(Arc<Document>, Mark)> {
        let is_failed = matches!(self.save, SaveState::Failed(_));
        if self.is_read_only() || !(self.has_changes || is_failed) {
            return None;
        }
        self.has_changes = false;
        self.unsaved_since = None;
        self.save = SaveState::Saving;
        Some((Arc::new(self.document.clone()), self.history.mark()))
    }

    /// When the earliest unsaved change was made.
    pub(super) fn unsaved_since(&self) -> Option<Instant> {
        self.unsaved_since
    }

    /// Notes that a version is on disk; `is_last` if no other one is being written.
    pub(super) fn saved(&mut self, mark: Mark, is_last: bool) {
        self.history.saved(mark);
        if self.has_changes {
            self.save = SaveState::Unsaved;
        } else if is_last {
            self.save = SaveState::Saved;
        }
    }

    /// Notes that a version could not be written.
    pub(super) fn save_failed(&mut self, reason: String) {
        self.save = SaveState::Failed(reason);
    }

    /// Takes over what others did: `base` is the version that both sides know, `theirs` the one that is on disk now.
    ///
    /// Answers what a person should look at.
    pub(super) fn merge(&mut self, base: &Document, theirs: &Document) -> Vec<String> {
        let merged = match crate::dataset::merge::merge(base, &self.document, theirs) {
            Ok(merged) => merged,
            Err(error) => return vec![error.to_string()],
        };
        let before = std::mem::replace(&mut self.document, merged.document);
        self.history.merged(&before, &self.document);
        self.retain_selected();
        self.revision += 1;
        if self.document != *theirs {
            self.changed();
        }
        merged.conflicts.iter().map(ToString::to_string).collect()
    }

    /// What is left behind when another image is shown, to go on with on return.
    pub(super) fn into_left(mut self) -> (PathBuf, Document, History) {
        self.history.end();
        self.history.end_typing();
        (self.path, self.document, self.history)
    }
}
