//! What an export or import goes through: one of the formats of other programs, or training data.

use super::training::{self, Manifest, TrainingOptions, ZoomTokenizer};
use super::{Format, Images, Incoming, Notes, Outgoing, OutputFolder, Result};
use std::path::Path;

/// Records name images as the annotated folder does, so copies of them make a folder of their own.
const IMAGE_FOLDER: &str = "images/";

/// A way to write annotations into files and to read them again.
pub(super) trait Conversion {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// Writes `items` into `out`.
    fn export(&mut self, items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()>;

    /// Reads `source` and hands its documents to `take`.
    fn import(
        &self,
        source: &Path,
        images: &Images,
        take: &mut Incoming<'_>,
        notes: &mut Notes,
    ) -> Result<()>;

    /// The folder that images belong in, below that of an export, with `/` at the end.
    fn image_folder(&self) -> &'static str;

    /// Whether a file names a region again in every place that is about it, so that what looks the same is the same.
    fn repeats_regions(&self) -> bool {
        false
    }
}

impl Conversion for Format {
    fn name(&self) -> &'static str {
        Self::name(*self)
    }

    fn export(&mut self, items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
        Self::export(*self, items, out, notes)
    }

    fn import(
        &self,
        source: &Path,
        images: &Images,
        take: &mut Incoming<'_>,
        notes: &mut Notes,
    ) -> Result<()> {
        Self::import(*self, source, images, take, notes)
    }

    fn image_folder(&self) -> &'static str {
        Self::image_folder(*self)
    }

    fn repeats_regions(&self) -> bool {
        matches!(self, Self::Osprey)
    }
}

/// Training data as somebody wants it; it is read alike whatever container it is in.
pub(super) struct TrainingData<'a, 'z> {
    pub(super) options: &'a TrainingOptions,
    pub(super) zoom: Option<&'z mut dyn ZoomTokenizer>,
    /// The account of the export, once it was made.
    pub(super) manifest: Option<Manifest>,
}

impl<'a, 'z> TrainingData<'a, 'z> {
    pub(super) const fn new(options: &'a TrainingOptions, zoom: Option<&'z mut dyn ZoomTokenizer>) -> Self {
        Self {
            options,
            zoom,
            manifest: None,
        }
    }
}

impl Conversion for TrainingData<'_, '_> {
    fn name(&self) -> &'static str {
        self.options.container.name()
    }

    fn export(&mut self, items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
        #[expect(clippy::manual_map, reason = "a closure would tie the lifetimes together")]
        let zoom = match &mut self.zoom {
            Some(zoom) => Some(&mut **zoom as &mut dyn ZoomTokenizer),
            None => None,
        };
        self.manifest = Some(training::export(items, self.options, zoom, out, notes)?);
        Ok(())
    }

    fn import(
        &self,
        source: &Path,
        images: &Images,
        take: &mut Incoming<'_>,
        notes: &mut Notes,
    ) -> Result<()> {
        training::import(source, images, take, notes)
    }

    fn image_folder(&self) -> &'static str {
        IMAGE_FOLDER
    }
}
