//! Foreign files into the sidecars of a folder of images.

use super::conversion::{Conversion, TrainingData};
use super::merging::{Added, Taken, merge};
use super::training::{Container, TrainingOptions};
use super::{Arrived, Failure, Format, Images, InterchangeError, Notes, Progress, Result, Stage, Watch};
use crate::dataset::folder::Folder;
use crate::dataset::{
    DatasetError, Document, ImageRef, Sidecar, Status, Timestamp, remove_abandoned, sidecar_path,
};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::Path;

/// How often a sidecar is read again because another program saved it in the meantime.
const ATTEMPTS: u32 = 5;

/// How to import.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions {
    /// Change nothing if anything would be lost; everything is read twice then.
    pub strict: bool,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImportReport {
    /// Where the annotations came from, by its name on the command line.
    pub format: &'static str,
    /// Whether sidecars were written; not so where something would be lost and that was not wanted.
    pub is_written: bool,
    /// Images that annotations arrived for.
    pub images: u64,
    /// Images that had no sidecar before.
    pub new_sidecars: u64,
    /// Images whose sidecar has something more now.
    pub changed_sidecars: u64,
    /// Regions that were added.
    pub regions: u64,
    /// Regions that were there already.
    pub known_regions: u64,
    /// Captions that were added.
    pub captions: u64,
    /// Attributes that were added.
    pub attributes: u64,
    /// Conversations that were added.
    pub conversations: u64,
    /// What could not be taken and how the rest was understood.
    pub notes: Notes,
    /// Files that could not be used.
    pub failures: Vec<Failure>,
}

impl ImportReport {
    /// Whether everything in the source was taken.
    #[must_use]
    pub fn is_lossless(&self) -> bool {
        self.failures.is_empty() && self.notes.losses().next().is_none()
    }

    /// The report as one JSON object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut report = json!({
            "format": self.format,
            "written": self.is_written,
            "lossless": self.is_lossless(),
            "images": self.images,
            "sidecars": {"new": self.new_sidecars, "changed": self.changed_sidecars},
            "added": {
                "regions": self.regions,
                "captions": self.captions,
                "attributes": self.attributes,
                "conversations": self.conversations,
            },
            "known_regions": self.known_regions,
        });
        self.notes.add_to(&mut report);
        Failure::add_to(&self.failures, &mut report);
        report
    }

    const fn add(&mut self, added: Added) {
        self.regions += added.regions;
        self.known_regions += added.known_regions;
        self.captions += added.captions;
        self.attributes += added.attributes;
        self.conversations += added.conversations;
    }
}

impl fmt::Display for ImportReport {
    /// A table, then the notes; every line ends with a line break.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in [
            ("images", self.images),
            ("new sidecars", self.new_sidecars),
            ("changed sidecars", self.changed_sidecars),
            ("regions added", self.regions),
            ("regions known", self.known_regions),
            ("captions", self.captions),
            ("attributes", self.attributes),
            ("conversations", self.conversations),
        ] {
            writeln!(f, "{name:<16} {count:>10}")?;
        }
        write!(f, "{}", self.notes)
    }
}

/// Reads `source`, a file or folder in `format`, and adds what it says to the sidecars of the images below `into`.
///
/// What is in a sidecar stays, and what it has already is not added again: importing twice changes nothing.
/// A sidecar that cannot be read or written is a failure in the report, and the rest is done.
///
/// # Errors
/// If the source cannot be understood, the folder cannot be listed, or `watch` says stop; sidecars that were written
/// until then stay.
pub fn import(
    format: Format,
    source: &Path,
    into: &Path,
    options: &ImportOptions,
    watch: &mut Watch<'_>,
) -> Result<ImportReport> {
    convert(&format, source, into, options, watch)
}

/// Reads training data, the file or folder `source`, and adds what it says to the sidecars of the images below
/// `into`, as [`import`] does.
///
/// Every container is recognised by itself; `container` is the name that the report has.
///
/// # Errors
/// As [`import`].
pub fn import_training(
    container: Container,
    source: &Path,
    into: &Path,
    options: &ImportOptions,
    watch: &mut Watch<'_>,
) -> Result<ImportReport> {
    let training = TrainingOptions::new(container);
    convert(&TrainingData::new(&training, None), source, into, options, watch)
}

fn convert(
    format: &dyn Conversion,
    source: &Path,
    into: &Path,
    options: &ImportOptions,
    watch: &mut Watch<'_>,
) -> Result<ImportReport> {
    let folder = Folder::open(into)?;
    let listing = folder.list();
    let images = Images::listed(&folder, &listing);
    if options.strict {
        let rehearsal = run(format, source, &images, false, watch)?;
        if !rehearsal.is_lossless() {
            return Ok(rehearsal);
        }
    }
    remove_abandoned(&folder, listing.images.iter().map(|image| image.name.as_str()));
    run(format, source, &images, true, watch)
}

fn run(
    format: &dyn Conversion,
    source: &Path,
    images: &Images,
    is_written: bool,
    watch: &mut Watch<'_>,
) -> Result<ImportReport> {
    let mut intake = Intake {
        is_written,
        repeats_regions: format.repeats_regions(),
        now: Timestamp::now(),
        waiting: Vec::new(),
        taken: HashMap::new(),
        report: ImportReport {
            format: format.name(),
            is_written,
            ..ImportReport::default()
        },
    };
    let mut notes = Notes::default();
    let mut take = |arrived: Arrived| {
        let progress = Progress {
            stage: Stage::Reading,
            done: intake.report.images + u64::from(!intake.waiting.is_empty()),
            total: None,
        };
        if watch(progress).is_break() {
            return Err(InterchangeError::Cancelled);
        }
        intake.take(arrived)
    };
    let read = format.import(source, images, &mut take, &mut notes);
    // What came before something went wrong is not lost.
    let saved = intake.finish();
    read.and(saved)?;
    let mut report = intake.report;
    report.notes.append(notes);
    let unreadable = images.unreadable().into_iter();
    report.failures.extend(unreadable.map(|(name, error)| Failure {
        path: images.folder().join(name),
        error,
    }));
    Ok(report)
}

/// Takes documents into sidecars.
#[derive(Debug)]
struct Intake {
    is_written: bool,
    /// Whether a region that comes again is the one that came before.
    repeats_regions: bool,
    now: Timestamp,
    /// What arrived and was not saved yet, all of one image.
    waiting: Vec<Arrived>,
    /// By image, what came with this import.
    taken: HashMap<String, Taken>,
    report: ImportReport,
}

impl Intake {
    /// Takes what arrived; that of one image is saved together once another image comes.
    fn take(&mut self, arrived: Arrived) -> Result<()> {
        let is_other = |waiting: &Arrived| waiting.image.name != arrived.image.name;
        let saved = if self.waiting.first().is_some_and(is_other) {
            self.finish()
        } else {
            Ok(())
        };
        self.waiting.push(arrived);
        saved
    }

    /// Saves what waits.
    fn finish(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.len() > 1 && self.add_patiently(&waiting)?.is_ok() {
            return Ok(());
        }
        // Alone, what cannot be saved does not take the rest with it.
        for arrived in waiting.chunks(1) {
            let failure = self.add_patiently(arrived)?.err();
            self.report.failures.extend(failure);
        }
        Ok(())
    }

    /// [`Intake::add`], again while another program saves in between.
    fn add_patiently(&mut self, waiting: &[Arrived]) -> Result<Result<(), Failure>> {
        let Some(path) = waiting.first().map(|arrived| arrived.image.path.clone()) else {
            return Ok(Ok(()));
        };
        let mut attempt = 1;
        loop {
            match self.add(waiting) {
                Err(InterchangeError::Dataset(DatasetError::ChangedOnDisk { .. })) if attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Err(InterchangeError::Dataset(error)) => {
                    return Ok(Err(Failure::new(&sidecar_path(&path), &error)));
                }
                Err(error @ InterchangeError::Io { .. }) => return Ok(Err(Failure::new(&path, &error))),
                result => return result.map(Ok),
            }
        }
    }

    /// Adds what `waiting`, all of one image, says to its sidecar; counts only if that worked.
    fn add(&mut self, waiting: &[Arrived]) -> Result<()> {
        let Some(Arrived { image, .. }) = waiting.first() else {
            return Ok(());
        };
        let (mut sidecar, mut document) = Sidecar::load(&image.path, image.size)?;
        let is_new = document.is_none();
        let mut taken = self.taken.get(&image.name).cloned().unwrap_or_default();
        let mut added = Added::default();
        let mut notes = Notes::default();
        for arrived in waiting {
            match &mut document {
                Some(known) => {
                    if self.repeats_regions {
                        taken.forget_regions();
                    }
                    let incoming = arrived.document.clone();
                    added += merge(known, incoming, &mut taken, &image.name, &mut notes);
                }
                None => {
                    let new = started(arrived, &mut notes)?;
                    taken = Taken::all_of(&new);
                    added += Added::all_of(&new);
                    document = Some(new).filter(|new| !is_blank(new));
                }
            }
        }
        let is_changed = is_new || !added.is_nothing();
        let changed = document.filter(|_| is_changed);
        let report = &mut self.report;
        if let Some(mut document) = changed {
            if self.is_written {
                document.touch(self.now);
                sidecar.save(&document)?;
            }
            report.new_sidecars += u64::from(is_new);
            report.changed_sidecars += u64::from(!is_new);
        }
        report.images += u64::from(!self.taken.contains_key(&image.name));
        report.add(added);
        report.notes.append(notes);
        self.taken.insert(image.name.clone(), taken);
        Ok(())
    }
}

/// The document of a new sidecar.
fn started(arrived: &Arrived, notes: &mut Notes) -> Result<Document> {
    let Arrived { image, document } = arrived;
    let mut document = document.clone();
    let blake3 = file_blake3(&image.path)?;
    if document
        .image
        .blake3
        .as_ref()
        .is_some_and(|known| *known != blake3)
    {
        let what = "the image is not the file that was annotated, though it has its size";
        notes.remark(what, &image.name, "");
    }
    let unknown = std::mem::take(&mut document.image.unknown);
    document.image = ImageRef {
        unknown,
        ..ImageRef::new(&image.path, image.size, Some(blake3))
    };
    Ok(document)
}

fn file_blake3(path: &Path) -> Result<String> {
    let failed = || InterchangeError::io("read the image", path);
    let file = File::open(path).map_err(failed())?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(failed())?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Whether a document says nothing, so that no sidecar need be made for it.
fn is_blank(document: &Document) -> bool {
    document.regions.is_empty()
        && document.conversations.is_empty()
        && document.notes.is_empty()
        && document.unknown.is_empty()
        && document.status == Status::Draft
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Sample, region};
    use super::super::{ExportOptions, export};
    use super::*;
    use std::fs;
    use std::ops::ControlFlow;

    fn import_coco(source: &Path, into: &Path, strict: bool) -> ImportReport {
        let mut watch = |_| ControlFlow::Continue(());
        import(Format::Coco, source, into, &ImportOptions { strict }, &mut watch).unwrap()
    }

    /// A COCO file of the rich sample, and a copy of its images without annotations.
    fn exported() -> (Sample, Sample) {
        let sample = Sample::rich();
        let out = sample.path(".out");
        let mut watch = |_| ControlFlow::Continue(());
        export(
            sample.folder(),
            Format::Coco,
            &out,
            &ExportOptions::default(),
            &mut watch,
        )
        .unwrap();
        let bare = Sample::new();
        for name in ["a.png", "b/ä 2.png", "b/10.png"] {
            bare.write(name, fs::read(sample.path(name)).unwrap());
        }
        (sample, bare)
    }

    #[test]
    fn a_bare_folder_becomes_the_same_and_twice_changes_nothing() {
        let (sample, bare) = exported();
        let report = import_coco(&sample.path(".out"), bare.folder(), true);
        assert!(report.is_lossless() && report.is_written, "{report}");
        assert_eq!((report.images, report.new_sidecars, report.regions), (3, 3, 6));
        for name in ["a.png", "b/ä 2.png", "b/10.png"] {
            let (mut document, source) = (bare.document(name), sample.document(name));
            assert!(document.image.blake3.is_some() && document.modified.is_some());
            document.image.blake3 = None;
            (document.modified, document.revision) = (source.modified, source.revision);
            assert_eq!(document, source, "{name}");
        }
        let before = fs::read(bare.path("a.png.samtok.json")).unwrap();
        let report = import_coco(&sample.path(".out"), bare.folder(), false);
        assert_eq!(
            (report.new_sidecars, report.changed_sidecars, report.regions),
            (0, 0, 0)
        );
        assert_eq!(report.known_regions, 6);
        assert_eq!(fs::read(bare.path("a.png.samtok.json")).unwrap(), before);
    }

    #[test]
    fn what_is_there_stays_and_what_cannot_be_read_is_left_alone() {
        let (sample, bare) = exported();
        bare.annotate("a.png", |document| {
            document.regions = vec![region("r1", "mine", 40, 30, 0), region("r2", "dog", 40, 30, 1)];
        });
        bare.write("b/10.png.samtok.json", "{ half");
        let report = import_coco(&sample.path(".out"), bare.folder(), false);
        assert_eq!(
            (report.changed_sidecars, report.regions, report.known_regions),
            (1, 5, 1)
        );
        assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
        assert_eq!(fs::read(bare.path("b/10.png.samtok.json")).unwrap(), b"{ half");
        let document = bare.document("a.png");
        assert_eq!(document.regions[0].label, "mine");
        assert_eq!(document.regions.len(), 5);
        let caption = &document.regions[2].captions[0].text;
        assert_eq!(
            caption, "A cat beside [[r2]]",
            "the dog is the one that was there"
        );
    }

    #[test]
    fn tasks_of_one_image_are_saved_together_and_outlive_a_broken_file() {
        let task = |image: &str, width: u32| {
            let value = json!({"x": 0, "y": 0, "width": width, "height": 50, "rectanglelabels": ["cat"]});
            let result = json!({
                "id": format!("x{width}"),
                "from_name": "label",
                "type": "rectanglelabels",
                "original_width": 40,
                "original_height": 30,
                "value": value,
            });
            json!({"data": {"image": image}, "annotations": [{"result": [result]}]}).to_string()
        };
        let tasks: Vec<String> = [
            ("a.png", 20),
            ("a.png", 40),
            ("b.png", 60),
            ("a.png", 60),
            ("a.png", 80),
        ]
        .map(|(image, width)| task(image, width))
        .to_vec();
        for (end, is_whole) in [("]", true), (", 5", false)] {
            let sample = Sample::new();
            sample.image("a.png", 40, 30);
            sample.image("b.png", 40, 30);
            let source = sample.write("tasks.json", format!("[{}{end}", tasks.join(",")));
            let mut watch = |_| ControlFlow::Continue(());
            let options = ImportOptions::default();
            let result = import(
                Format::LabelStudio,
                &source,
                sample.folder(),
                &options,
                &mut watch,
            );
            assert_eq!(result.is_ok(), is_whole, "{result:?}");
            let (a, b) = (sample.document("a.png"), sample.document("b.png"));
            assert_eq!((a.regions.len(), b.regions.len()), (4, 1));
            assert_eq!(
                (a.revision, b.revision),
                (2, 1),
                "one save each time the image changes"
            );
            if let Ok(report) = result {
                assert_eq!((report.images, report.regions, report.new_sidecars), (2, 5, 2));
            }
        }
    }

    #[test]
    fn a_strict_import_with_losses_writes_nothing_and_a_stopped_one_is_an_error() {
        let (sample, bare) = exported();
        fs::remove_file(bare.path("b/ä 2.png")).unwrap();
        let report = import_coco(&sample.path(".out"), bare.folder(), true);
        assert!(!report.is_written && !report.is_lossless(), "{report}");
        assert!(!bare.path("a.png.samtok.json").exists());
        let mut stop = |_| ControlFlow::Break(());
        let options = ImportOptions::default();
        let stopped = import(
            Format::Coco,
            &sample.path(".out"),
            bare.folder(),
            &options,
            &mut stop,
        );
        assert!(matches!(stopped, Err(InterchangeError::Cancelled)));
        let report = import_coco(&sample.path(".out"), bare.folder(), false);
        assert_eq!((report.images, report.regions), (2, 4), "the rest is done");
    }
}
