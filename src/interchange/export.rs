//! A folder of sidecars into foreign files, which are read again to see what was lost.

use super::comparison::Returned;
use super::conversion::{Conversion, TrainingData};
use super::folder::AnnotatedFolder;
use super::merging::{Taken, merge};
use super::report::LossReport;
use super::staging::Staging;
use super::training::{Manifest, TrainingOptions, ZoomTokenizer};
use super::{
    Annotated, Arrived, Failure, Format, InterchangeError, Notes, OutputFolder, Progress, Result, Stage,
    Watch,
};
use crate::dataset::Document;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

/// Images that wait to be compared while the next ones are read.
const COMPARED_LATER: usize = 16;

/// How to export.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExportOptions {
    /// Leave nothing behind if anything was lost, and stop at the first sidecar that cannot be read.
    pub strict: bool,
    /// Copy the images to where the format expects them.
    pub copy_images: bool,
}

/// Writes the annotations of all images below `folder` in `format` into `out`, a new or empty folder, and reports
/// what a reader of the written files gets back.
///
/// The files appear in `out` at the end; until then they are in a hidden folder inside it, and nothing stays if the
/// export fails, is stopped, or is strict and lost something.
/// A sidecar that cannot be read is a failure in the report, and the rest is done.
///
/// # Errors
/// If the folder cannot be listed, `out` has something in it or cannot be written to, or `watch` says stop.
pub fn export(
    folder: &Path,
    format: Format,
    out: &Path,
    options: &ExportOptions,
    watch: &mut Watch<'_>,
) -> Result<LossReport> {
    convert(folder, &mut { format }, out, options, watch)
}

/// Writes training data of all images below `folder` into `out`, a new or empty folder, as [`export`] does, and gives
/// the account that is in its manifest too.
///
/// `zoom` makes the words of enlarged crops; without it there are no zoom-in records.
///
/// # Errors
/// As [`export`], and [`TrainingError`](super::training::TrainingError).
pub fn export_training(
    folder: &Path,
    training: &TrainingOptions,
    zoom: Option<&mut dyn ZoomTokenizer>,
    out: &Path,
    options: &ExportOptions,
    watch: &mut Watch<'_>,
) -> Result<(LossReport, Option<Manifest>)> {
    let training = TrainingOptions {
        // Crops are named by where they will be, not by where they are made.
        destination: Some(out.to_path_buf()),
        copied_images: options.copy_images,
        ..training.clone()
    };
    let mut conversion = TrainingData::new(&training, zoom);
    let report = convert(folder, &mut conversion, out, options, watch)?;
    Ok((report, conversion.manifest))
}

fn convert(
    folder: &Path,
    format: &mut dyn Conversion,
    out: &Path,
    options: &ExportOptions,
    watch: &mut Watch<'_>,
) -> Result<LossReport> {
    let path = folder;
    let folder = AnnotatedFolder::open(path)?;
    let total = folder.images().annotated().count() as u64;
    if total == 0 {
        return Err(InterchangeError::NoAnnotations {
            path: path.to_path_buf(),
        });
    }
    let staging = Staging::open(out)?;
    let output = OutputFolder::open(staging.path())?;
    let mut report = LossReport {
        format: format.name(),
        failures: folder.problems().to_vec(),
        ..LossReport::default()
    };
    let mut notes = Notes::default();
    for name in folder.missing() {
        notes.lost("annotations of images that are not there were left out", name, "");
    }
    let mut exported = Vec::new();
    let mut departing = Departing {
        folder: &folder,
        output: &output,
        image_folder: format.image_folder(),
        options: *options,
        exported: &mut exported,
        failures: &mut report.failures,
        watch,
        total,
        handled: 0,
    };
    folder.with_documents(|documents| {
        let documents = documents.filter_map(|item| departing.check(item));
        format.export(&mut stopping_at_errors(documents), &output, &mut notes)
    })?;
    measure(format, &folder, &output, &exported, &mut report, watch)?;
    report.notes = notes;
    if !options.strict || report.is_lossless() {
        staging.publish()?;
        report.is_written = true;
    }
    Ok(report)
}

/// Documents on their way to the format, with what happens to each on the way.
struct Departing<'a, 'w> {
    folder: &'a AnnotatedFolder,
    output: &'a OutputFolder,
    /// Where copies of the images go.
    image_folder: &'static str,
    options: ExportOptions,
    /// Names of the images that left.
    exported: &'a mut Vec<String>,
    failures: &'a mut Vec<Failure>,
    watch: &'a mut Watch<'w>,
    total: u64,
    handled: u64,
}

impl Departing<'_, '_> {
    /// Lets a document pass; `None` for one that could not be read where the rest goes on.
    fn check(&mut self, item: Result<Annotated, Failure>) -> Option<Result<Annotated>> {
        let progress = Progress {
            stage: Stage::Writing,
            done: self.handled,
            total: Some(self.total),
        };
        self.handled += 1;
        if (self.watch)(progress).is_break() {
            return Some(Err(InterchangeError::Cancelled));
        }
        match item {
            Ok(annotated) => {
                if self.options.copy_images
                    && let Err(error) = self.copy_image(&annotated)
                {
                    return Some(Err(error));
                }
                self.exported.push(annotated.name.clone());
                Some(Ok(annotated))
            }
            Err(failure) if self.options.strict => Some(Err(InterchangeError::Unusable(failure))),
            Err(failure) => {
                self.failures.push(failure);
                None
            }
        }
    }

    fn copy_image(&self, annotated: &Annotated) -> Result<()> {
        let place = self
            .output
            .place(&format!("{}{}", self.image_folder, annotated.name))?;
        let source = self.folder.images().folder().join(&annotated.name);
        fs::copy(&source, &place).map_err(InterchangeError::io("copy the image", &source))?;
        Ok(())
    }
}

/// `items` up to the first error, which is the last item; a format that goes on after it gets no more.
fn stopping_at_errors<T>(mut items: impl Iterator<Item = Result<T>>) -> impl Iterator<Item = Result<T>> {
    let mut is_over = false;
    std::iter::from_fn(move || {
        if is_over {
            return None;
        }
        let item = items.next();
        is_over = matches!(item, None | Some(Err(_)));
        item
    })
}

/// Reads the written files again and counts in `report` what became of the images in `exported`.
fn measure(
    format: &dyn Conversion,
    folder: &AnnotatedFolder,
    output: &OutputFolder,
    exported: &[String],
    report: &mut LossReport,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let exported: HashSet<&str> = exported.iter().map(String::as_str).collect();
    let total = exported.len() as u64;
    let before = report.clone();
    let mut read = |is_scattered: &mut bool, report: &mut LossReport| {
        compared(folder, report, |compared| {
            let mut returning = Returning {
                repeats_regions: format.repeats_regions(),
                exported: &exported,
                outstanding: exported.clone(),
                current: None,
                is_scattered: *is_scattered,
                scattered: HashMap::new(),
                compared,
            };
            let mut take = |arrived: Arrived| {
                let progress = Progress {
                    stage: Stage::Checking,
                    done: total - returning.outstanding.len() as u64,
                    total: Some(total),
                };
                if watch(progress).is_break() {
                    return Err(InterchangeError::Cancelled);
                }
                returning.take(arrived)
            };
            let read = format.import(output.path(), folder.images(), &mut take, &mut Notes::default());
            *is_scattered = returning.is_scattered;
            read.and_then(|()| returning.finish())
        })
    };
    let mut is_scattered = false;
    let first = read(&mut is_scattered, report);
    if !is_scattered {
        return first;
    }
    // Images come more than once, so all has to be here before any can be compared.
    *report = before;
    read(&mut is_scattered, report)
}

/// What came back of the image of this name.
type Back = (String, Vec<Document>);

/// Compares with the sidecars of `folder`, on a thread of its own, what `read` puts into the channel.
fn compared(
    folder: &AnnotatedFolder,
    report: &mut LossReport,
    read: impl FnOnce(SyncSender<Back>) -> Result<()>,
) -> Result<()> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel::<Back>(COMPARED_LATER);
        let comparing = scope.spawn(move || {
            receiver
                .into_iter()
                .try_for_each(|(name, documents)| compare(folder, &name, &documents, report))
        });
        let read = read(sender);
        match comparing.join() {
            // Where comparing failed, that is why reading stopped.
            Ok(compared) => compared.and(read),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn compare(
    folder: &AnnotatedFolder,
    name: &str,
    documents: &[Document],
    report: &mut LossReport,
) -> Result<()> {
    let source = folder.document(name).map_err(InterchangeError::Unusable)?;
    let returned = Returned::new(documents);
    match source {
        Some(source) => returned.compare(name, &source.document, report),
        // The format took another image for the one that was meant.
        None => returned.count_invented(report),
    }
    Ok(())
}

/// Documents that come back, on their way to be compared one image after the other.
struct Returning<'a> {
    /// Whether a region that comes again is the one that came before.
    repeats_regions: bool,
    exported: &'a HashSet<&'a str>,
    /// Images that did not come back yet.
    outstanding: HashSet<&'a str>,
    current: Option<Back>,
    /// Whether an image came again after others.
    is_scattered: bool,
    /// Everything, in the second reading of files in which images come more than once.
    scattered: HashMap<String, Vec<Document>>,
    compared: SyncSender<Back>,
}

impl Returning<'_> {
    fn take(&mut self, arrived: Arrived) -> Result<()> {
        let (name, document) = (arrived.image.name, arrived.document);
        if self.is_scattered {
            let documents = self.scattered.entry(name).or_default();
            put(documents, document, self.repeats_regions);
            return Ok(());
        }
        match &mut self.current {
            Some((current, documents)) if *current == name => {
                put(documents, document, self.repeats_regions);
            }
            _ => {
                self.compare_current()?;
                if !self.outstanding.contains(name.as_str()) && self.exported.contains(name.as_str()) {
                    self.is_scattered = true;
                    return Err(InterchangeError::Cancelled);
                }
                self.current = Some((name, vec![document]));
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.compare_current()?;
        for (name, documents) in std::mem::take(&mut self.scattered) {
            self.compare(name, documents)?;
        }
        for name in std::mem::take(&mut self.outstanding) {
            self.compare(name.to_owned(), Vec::new())?;
        }
        Ok(())
    }

    fn compare_current(&mut self) -> Result<()> {
        match self.current.take() {
            Some((name, documents)) => self.compare(name, documents),
            None => Ok(()),
        }
    }

    fn compare(&mut self, name: String, documents: Vec<Document>) -> Result<()> {
        self.outstanding.remove(name.as_str());
        // Nobody takes it where comparing failed, which is told by what that says.
        self.compared
            .send((name, documents))
            .map_err(|_unsent| InterchangeError::Cancelled)
    }
}

/// Puts `document` beside those that came back for its image before, or into them as an import would.
fn put(documents: &mut Vec<Document>, document: Document, repeats_regions: bool) {
    match documents.first_mut() {
        Some(first) if repeats_regions => {
            let mut taken = Taken::all_of(first);
            taken.forget_regions();
            merge(first, document, &mut taken, "", &mut Notes::default());
        }
        _ => documents.push(document),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Sample, region};
    use super::*;
    use std::ops::ControlFlow;

    fn run(sample: &Sample, format: Format, options: ExportOptions) -> Result<LossReport> {
        let mut watch = |_| ControlFlow::Continue(());
        export(
            sample.folder(),
            format,
            &sample.path(".out"),
            &options,
            &mut watch,
        )
    }

    #[test]
    fn every_format_is_read_again_and_measured() {
        for format in Format::ALL {
            let sample = Sample::rich();
            let options = ExportOptions {
                copy_images: true,
                ..ExportOptions::default()
            };
            let report = run(&sample, format, options).unwrap();
            assert!(report.is_written, "{}", format.name());
            assert_eq!(report.images.before, 3, "{}", format.name());
            assert_eq!(report.regions.before, 6, "{}", format.name());
            assert_eq!(report.labels.before, 6, "{}", format.name());
            assert!(
                sample
                    .path(".out")
                    .join(format.image_folder())
                    .join("a.png")
                    .is_file(),
                "{}",
                format.name()
            );
            let is_exact = report.iou.exact == 6 && report.regions.kept == 6;
            let overlaps_are_lost = matches!(format, Format::CocoPanoptic | Format::Masks | Format::Voc);
            // Those say only what conversations and captions mention.
            let is_partial = matches!(format, Format::GranDf | Format::Osprey);
            assert!(
                is_exact || overlaps_are_lost || is_partial,
                "{}:\n{report}",
                format.name()
            );
            assert!(report.invented == 0, "{}:\n{report}", format.name());
        }
    }

    #[test]
    fn strict_leaves_nothing_behind_where_something_is_lost() {
        let sample = Sample::rich();
        let strict = ExportOptions {
            strict: true,
            ..ExportOptions::default()
        };
        let report = run(&sample, Format::Masks, strict).unwrap();
        assert!(!report.is_written && !report.is_lossless());
        assert!(!sample.path(".out").exists());
        sample.write("b/10.png.samtok.json", "{}");
        assert!(matches!(
            run(&sample, Format::Coco, strict),
            Err(InterchangeError::Unusable(_))
        ));
        assert!(!sample.path(".out").exists());
    }

    #[test]
    fn what_cannot_be_read_is_told_and_the_rest_is_written() {
        let sample = Sample::rich();
        sample.write("b/10.png.samtok.json", "{}");
        sample.image("gone.png", 3, 3);
        sample.annotate("gone.png", |document| document.notes = "x".to_owned());
        fs::remove_file(sample.path("gone.png")).unwrap();
        let report = run(&sample, Format::Coco, ExportOptions::default()).unwrap();
        assert_eq!((report.failures.len(), report.images.before), (1, 2));
        assert_eq!(
            report
                .notes
                .losses()
                .map(|(_, count, _)| count)
                .collect::<Vec<_>>(),
            [1]
        );
        assert!(report.is_written && !report.is_lossless());
        assert_eq!(report.iou.exact, 6);
    }

    #[test]
    fn it_can_be_stopped_in_every_stage_and_there_must_be_something() {
        for stop in [Stage::Writing, Stage::Checking] {
            let sample = Sample::rich();
            let mut watch = |progress: Progress| match progress {
                Progress { stage, done: 1, .. } if stage == stop => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            };
            let options = ExportOptions::default();
            let stopped = export(
                sample.folder(),
                Format::Coco,
                &sample.path(".out"),
                &options,
                &mut watch,
            );
            assert!(matches!(stopped, Err(InterchangeError::Cancelled)), "{stop:?}");
            assert!(!sample.path(".out").exists());
        }
        let nothing = run(&Sample::new(), Format::Coco, ExportOptions::default());
        assert!(matches!(nothing, Err(InterchangeError::NoAnnotations { .. })));
    }

    #[test]
    fn images_that_come_in_pieces_are_put_together() {
        let sample = Sample::new();
        for name in ["a.png", "b.png"] {
            sample.image(name, 8, 6);
            sample.annotate(name, |document| {
                document.regions = (0..2)
                    .map(|kind| region(&format!("r{kind}"), "x", 8, 6, kind))
                    .collect();
            });
        }
        let folder = AnnotatedFolder::open(sample.folder()).unwrap();
        let exported: HashSet<&str> = HashSet::from(["a.png", "b.png"]);
        let (sender, receiver) = mpsc::sync_channel(4);
        let mut returning = Returning {
            repeats_regions: false,
            outstanding: exported.clone(),
            exported: &exported,
            current: None,
            is_scattered: false,
            scattered: HashMap::new(),
            compared: sender,
        };
        let piece = |name: &str, index: usize| {
            let mut document = sample.document(name);
            document.regions = vec![document.regions[index].clone()];
            let image = folder.images().find(name).unwrap().unwrap();
            Arrived { image, document }
        };
        let pieces = || {
            [
                piece("a.png", 0),
                piece("b.png", 0),
                piece("b.png", 1),
                piece("a.png", 1),
            ]
        };
        let results: Vec<bool> = pieces()
            .into_iter()
            .map(|piece| returning.take(piece).is_ok())
            .collect();
        assert_eq!(
            (results, returning.is_scattered),
            (vec![true, true, true, false], true)
        );
        returning.outstanding = returning.exported.clone();
        returning.current = None;
        drop(receiver);
        let mut report = LossReport::default();
        compared(&folder, &mut report, |compared| {
            returning.compared = compared;
            for piece in pieces() {
                returning.take(piece)?;
            }
            returning.finish()?;
            drop(returning);
            Ok(())
        })
        .unwrap();
        assert!(report.is_lossless(), "{report}");
        assert_eq!((report.iou.exact, report.images.before), (4, 2));
    }
}
