//! What holds for every format of data sets: nothing is lost that the format can say, what was read is written as it
//! was, and damaged files do no harm.

use super::sample::{Sample, region};
use super::{
    Annotated, Arrived, Images, Incoming, InterchangeError, Notes, Outgoing, OutputFolder, Result, grandf,
    grefcoco, osprey, refcoco, voc, yolo_seg,
};
use crate::dataset::{Caption, Conversation, Document, Role, Task, Turn};
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) type Export = fn(&mut Outgoing<'_>, &OutputFolder, &mut Notes) -> Result<()>;
pub(super) type Import = fn(&Path, &Images, &mut Incoming<'_>, &mut Notes) -> Result<()>;

const SETS: [(&str, Export, Import); 6] = [
    ("yolo-seg", yolo_seg::export, yolo_seg::import),
    ("voc", voc::export, voc::import),
    ("refcoco", refcoco::export, refcoco::import),
    ("grefcoco", grefcoco::export, grefcoco::import),
    ("grandf", grandf::export, grandf::import),
    ("osprey", osprey::export, osprey::import),
];

/// Writes documents into a new folder of `sample`.
pub(super) fn exported(export: Export, documents: Vec<Annotated>, folder: &Path) -> (PathBuf, Notes) {
    let (out, mut notes) = (OutputFolder::open(folder).unwrap(), Notes::default());
    export(&mut documents.into_iter().map(Ok), &out, &mut notes).unwrap();
    (folder.to_path_buf(), notes)
}

/// Reads a foreign file or folder about the images of `sample`.
pub(super) fn imported(import: Import, source: &Path, sample: &Sample) -> Result<(Vec<Arrived>, Notes)> {
    let (mut arrived, mut notes) = (Vec::new(), Notes::default());
    let images = Images::open(&sample.path("images"))?;
    let mut take = |one| {
        arrived.push(one);
        Ok(())
    };
    import(source, &images, &mut take, &mut notes)?;
    Ok((arrived, notes))
}

/// One line per kind of loss and remark.
pub(super) fn said(notes: &Notes) -> Vec<String> {
    let lost = notes.losses().map(|(what, count, _)| format!("{count} {what}"));
    lost.chain(notes.remarks().map(|(what, count, _)| format!("{count} {what}")))
        .collect()
}

pub(super) fn conversation(id: &str, task: Task, asked: &str, answered: &str) -> Conversation {
    let mut conversation = Conversation::new(id.to_owned(), task);
    conversation.turns = vec![
        Turn::new(Role::User, asked.to_owned()),
        Turn::new(Role::Assistant, answered.to_owned()),
    ];
    conversation
}

/// A document of an image of `sample`, which is made.
pub(super) fn annotated(sample: &Sample, name: &str, width: u32, height: u32) -> Annotated {
    let path = format!("images/{name}");
    sample.image(&path, width, height);
    let mut document = super::sample::document(width, height);
    name.rsplit('/')
        .next()
        .unwrap()
        .clone_into(&mut document.image.file_name);
    Annotated {
        path: sample.path(&path),
        name: name.to_owned(),
        document,
    }
}

/// Two images with regions of every shape that do not overlap, and conversations of every kind that some set has.
fn talkative(sample: &Sample) -> Vec<Annotated> {
    let mut first = annotated(sample, "a.png", 40, 30);
    let document = &mut first.document;
    let ring = region("r1", "cat", 40, 30, 1);
    let mut parts = region("r2", "", 40, 30, 3);
    let mut mask = crate::mask::Mask::from_rle(&parts.mask.rle);
    mask.subtract(&crate::mask::Mask::from_rle(&ring.mask.rle))
        .unwrap();
    mask.fill_rect(crate::geometry::PixelRect::new(18, 10, 4, 8), false);
    parts.mask.rle = mask.to_rle();
    document.regions = vec![ring, parts];
    document.regions[0].captions = vec![
        Caption::new("A cat left of [[r2]].".into(), None),
        Caption::new("A cat".into(), Some("human".into())),
    ];
    document.regions[0].attributes.insert("count".into(), 3.into());
    document.conversations = vec![
        conversation("c1", Task::RegionQa, "What is [[r1]]?", "A cat, near [[r2]]."),
        conversation(
            "c2",
            Task::ReferringSegmentation,
            "Please segment the Cat, left! in this image.",
            "[[r1]]",
        ),
        conversation(
            "c3",
            Task::ReferringSegmentation,
            "Can you segment the both in this image?",
            "[[r1]], [[r2]]",
        ),
        conversation(
            "c4",
            Task::NoTarget,
            "Please segment the dog in this image",
            "No target.",
        ),
        conversation(
            "c5",
            Task::GroundedCaption,
            "Describe it.",
            "Ä <|object_ref_start|> cat <|object_ref_end|> [[r1]] and <|object_ref_start|> two \
             things <|object_ref_end|> [[r1]] [[r2]].",
        ),
        conversation("c6", Task::ReferringSegmentation, "the thing", "It is [[r2]]."),
    ];
    let mut second = annotated(sample, "b/ä 2.png", 65, 7);
    second.document.regions = vec![region("r5", "sky \"1\" & <b>", 65, 7, 2)];
    vec![first, second, annotated(sample, "c.png", 5, 9)]
}

fn returned(arrived: Vec<Arrived>) -> Vec<Annotated> {
    let item = |one: Arrived| Annotated {
        path: one.image.path,
        name: one.image.name,
        document: one.document,
    };
    arrived.into_iter().map(item).collect()
}

/// The files of a folder with their bytes.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut pending = vec![folder.to_path_buf()];
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            files.push((name, fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

#[test]
fn regions_come_back_with_their_labels() {
    let sample = Sample::new();
    let documents = talkative(&sample);
    for (name, export, import) in SETS {
        let (out, _) = exported(export, documents.clone(), &sample.path(name));
        let (arrived, notes) = imported(import, &out, &sample).unwrap();
        assert_eq!(notes.losses().count(), 0, "{name}: {:?}", said(&notes));
        for before in &documents {
            let after = arrived
                .iter()
                .filter(|one| one.image.name == before.name)
                .flat_map(|one| &one.document.regions);
            let after: Vec<_> = after
                .map(|region| (region.label.as_str(), &region.mask.rle))
                .collect();
            for region in &before.document.regions {
                // GranDf calls regions by their phrases, and knows none without.
                let is_there = |(label, rle): &(&str, _)| {
                    *rle == &region.mask.rle && (*label == region.label || name == "grandf")
                };
                let is_unknown = matches!(name, "grandf" | "osprey") && region.id == "r5";
                assert!(
                    after.iter().any(is_there) != is_unknown,
                    "{name}: {} of {}",
                    region.id,
                    before.name
                );
            }
        }
    }
}

#[test]
fn what_was_read_is_written_as_it_was() {
    let sample = Sample::new();
    let documents = talkative(&sample);
    for (name, export, import) in SETS {
        let (first, _) = exported(export, documents.clone(), &sample.path(&format!("{name} 1")));
        let (arrived, _) = imported(import, &first, &sample).unwrap();
        let (second, notes) = exported(export, returned(arrived), &sample.path(&format!("{name} 2")));
        assert_eq!(notes.losses().count(), 0, "{name}: {:?}", said(&notes));
        let (first, second) = (files(&first), files(&second));
        assert!(
            first.len() >= 2 || name == "grandf",
            "{name}: {} files",
            first.len()
        );
        for (before, after) in first.iter().zip(&second) {
            assert_eq!(before.0, after.0, "{name}");
            assert_eq!(
                String::from_utf8_lossy(&before.1),
                String::from_utf8_lossy(&after.1),
                "{name}: {}",
                before.0
            );
        }
        assert_eq!(first.len(), second.len(), "{name}");
    }
}

#[test]
fn an_error_among_the_documents_stops_the_export() {
    let sample = Sample::new();
    for (name, export, _) in SETS {
        let out = OutputFolder::open(&sample.path(name)).unwrap();
        let first = annotated(&sample, "a.png", 4, 3);
        let mut items = [Ok(first), Err(InterchangeError::Cancelled)].into_iter();
        let result = export(&mut items, &out, &mut Notes::default());
        assert!(matches!(result, Err(InterchangeError::Cancelled)), "{name}");
    }
}

#[test]
fn what_is_no_such_set_is_an_error_or_nothing() {
    let sample = Sample::new();
    sample.image("images/a.png", 4, 3);
    let empty = sample.path("empty");
    fs::create_dir(&empty).unwrap();
    let junk = sample.write("junk.json", b"\xff\0{[<");
    for (name, _, import) in SETS {
        for source in [&empty, &junk, &sample.path("nothing")] {
            if let Ok((arrived, _)) = imported(import, source, &sample) {
                assert!(arrived.is_empty(), "{name}: {}", source.display());
            }
        }
    }
}

fn damage(bytes: &mut Vec<u8>, kind: u8, at: prop::sample::Index, with: u8) {
    if bytes.is_empty() {
        return;
    }
    let at = at.index(bytes.len());
    // Digits and signs do more harm than other bytes in places where numbers are.
    let sly = b"0919-.e\"<>&[]{},: \n/;!N"[usize::from(with) % 23];
    match kind {
        0 => bytes[at] = with,
        1 => bytes[at] = sly,
        2 => bytes.insert(at, sly),
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(at..(at + usize::from(with)).min(bytes.len()))),
        _ => {
            let piece = bytes[at..(at + usize::from(with)).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_sets_are_read_or_refused(
        damages in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..6, any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        DAMAGED.with(|(sample, sets)| {
            for (folder, files, import) in sets {
                let mut damaged = files.clone();
                for &(file, kind, at, with) in &damages {
                    let index = file.index(damaged.len());
                    damage(&mut damaged[index].1, kind, at, with);
                }
                for ((name, bytes), (_, before)) in damaged.iter().zip(files) {
                    if bytes != before {
                        fs::write(folder.join(name), bytes).unwrap();
                    }
                }
                // Whatever came in must be a document that a sidecar can hold.
                if let Ok((arrived, _)) = imported(*import, folder, sample) {
                    for one in arrived {
                        crate::dataset::format::write(&one.document).unwrap();
                        assert!(one.document.regions.iter().all(|region| region.mask.rle.size() == one.image.size));
                    }
                }
                for ((name, bytes), (_, before)) in damaged.iter().zip(files) {
                    if bytes != before {
                        fs::write(folder.join(name), before).unwrap();
                    }
                }
            }
        });
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(64)
}

type Whole = (PathBuf, Vec<(String, Vec<u8>)>, Import);

thread_local! {
    /// A whole set of every format, made once for all cases.
    static DAMAGED: (Sample, Vec<Whole>) = {
        let sample = Sample::new();
        let documents = talkative(&sample);
        let whole = |(name, export, import): (&str, Export, Import)| {
            let (folder, _) = exported(export, documents.clone(), &sample.path(name));
            let files = files(&folder);
            (folder, files, import)
        };
        let sets = SETS.into_iter().map(whole).collect();
        (sample, sets)
    };
}

/// The document of the only image that arrived.
pub(super) fn only(arrived: Vec<Arrived>) -> Document {
    assert_eq!(arrived.len(), 1);
    arrived.into_iter().next().unwrap().document
}
