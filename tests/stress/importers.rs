//! Damaged and hostile files for every importer: no panic, no memory beyond reason, nothing written anywhere else.
//!
//! Valid exports of every format are changed at random and imported; what came in is exported again, for the names in
//! a foreign file could come out there. `SAMTOK_FUZZ_SECONDS` says how long, `SAMTOK_FUZZ_SEED` where to begin; a case
//! that fails is named by its seed, with which it can be run alone, and `SAMTOK_FUZZ_FORMATS=coco,cvat` keeps to some.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use samtok::dataset::{
    Caption, Conversation, Document, ImageRef, MaskWords, Region, Role, Sidecar, Status, Task, Turn,
};
use samtok::geometry::{ImageSize, PixelRect};
use samtok::image_file::{RgbImage, write_rgb_png};
use samtok::interchange::training::{Container, TrainingOptions};
use samtok::interchange::{self, ExportOptions, Format, ImportOptions};
use samtok::mask::Mask;
use serde_json::{Value, json};

use super::Random;

/// Every image of the folder is so large.
const SIZE: ImageSize = ImageSize::new(48, 32);

/// More memory than any of the small files justifies.
const MAX_MIB: f64 = 1200.0;

/// Names and values that have done harm to somebody.
const HOSTILE: [&str; 22] = [
    "../../outside/secret.png",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/../../../outside/x",
    "C:\\Windows\\x.png",
    "..\\..\\outside\\x.png",
    "a.png\0.json",
    "\u{202e}gnp.a",
    "[[r1]]",
    "[[r99999999999]]",
    "-1",
    "1e308",
    "99999999999999999999",
    "4294967296",
    "2147483647",
    "NaN",
    "null",
    "<|mt_start|><|mt_9999|><|mt_end|>",
    "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'bbbb'>]>&b;",
    "]]>",
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    Interchange(Format),
    Training(Container),
}

impl Target {
    fn all() -> Vec<Self> {
        let formats = Format::ALL.into_iter().map(Self::Interchange);
        formats
            .chain(Container::ALL.into_iter().map(Self::Training))
            .collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Interchange(format) => format.name(),
            Self::Training(container) => container.name(),
        }
    }

    fn export(self, folder: &Path, out: &Path) {
        let mut watch = |_| ControlFlow::Continue(());
        let options = ExportOptions::default();
        // Whether it works is not the question: a sidecar may say what cannot be exported.
        match self {
            Self::Interchange(format) => {
                let _answer = interchange::export(folder, format, out, &options, &mut watch);
            }
            Self::Training(container) => {
                let training = TrainingOptions::new(container);
                let _answer =
                    interchange::export_training(folder, &training, None, out, &options, &mut watch);
            }
        }
    }

    fn import(self, source: &Path, into: &Path) {
        let mut watch = |_| ControlFlow::Continue(());
        let options = ImportOptions::default();
        match self {
            Self::Interchange(format) => {
                let _answer = interchange::import(format, source, into, &options, &mut watch);
            }
            Self::Training(container) => {
                let _answer = interchange::import_training(container, source, into, &options, &mut watch);
            }
        }
    }
}

/// Three images in two folders with what every format has a place for.
fn seed_folder(folder: &Path, is_annotated: bool) {
    let picture = RgbImage {
        size: SIZE,
        pixels: vec![90; 48 * 32 * 3],
    };
    for (index, name) in ["a.png", "sub/b.png", "sub/ü 2.png"].into_iter().enumerate() {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_rgb_png(&path, &picture).unwrap();
        if !is_annotated {
            continue;
        }
        let mut document = Document::new(ImageRef::new(&path, SIZE, None));
        let tokenizer = document.tokenizer_id("test", &"ab".repeat(32), 256, 2);
        for number in 0..3_u32 {
            let mut mask = Mask::from_rects(SIZE, &[PixelRect::new(number * 14, 4, 12, 20)]).unwrap();
            mask.fill_rect(PixelRect::new(number * 14 + 3, 8, 4, 4), false);
            let mut region = Region::new(format!("r{}", number + 1), mask.to_rle());
            region.label = ["cup", "plate & <b>", ""][number as usize].to_owned();
            let text = format!("<|mt_start|><|mt_{number:04}|><|mt_0300|><|mt_end|>");
            let words = MaskWords::new(text, vec![number, 44], tokenizer.clone(), None, &region.mask.rle);
            region.words = Some(words);
            region.captions = vec![Caption::new(
                "A thing beside [[r2]].".to_owned(),
                Some("me".to_owned()),
            )];
            region.attributes.insert("n".to_owned(), json!(index));
            document.regions.push(region);
        }
        for (task, question, answer) in [
            (Task::RegionQa, "What is [[r1]] to [[r2]]?", "Left."),
            (Task::ReferringSegmentation, "cups", "[[r1]], [[r2]]"),
            (Task::GroundedCaption, "", "<p>A cup</p> [[r1]] on [[r2]]."),
            (Task::NoTarget, "the elephant", "No target."),
            (Task::Interactive, "Segment it.", "[[r3]]"),
        ] {
            let mut conversation = Conversation::new(document.next_conversation_id(), task);
            conversation.turns = vec![
                Turn::new(Role::User, question.to_owned()),
                Turn::new(Role::Assistant, answer.to_owned()),
            ];
            document.conversations.push(conversation);
        }
        document.status = Status::Done;
        let (mut sidecar, _) = Sidecar::load(&path, SIZE).unwrap();
        sidecar.save(&document).unwrap();
    }
}

/// Every file below `folder`, links not followed, by its path.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => waiting.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}

fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let content = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap_or_default();
        (path, bytes)
    };
    files(folder).into_iter().map(content).collect()
}

/// Any value in `tree`, which is changed.
fn change_value(tree: &mut Value, random: &mut Random) {
    let mut at = tree;
    for _ in 0..random.below(12) {
        if at.as_array().is_none_or(Vec::is_empty) && at.as_object().is_none_or(|keys| keys.is_empty()) {
            break;
        }
        let index = random.below(
            at.as_array()
                .map_or_else(|| at.as_object().unwrap().len(), Vec::len),
        );
        at = match at {
            Value::Array(items) => &mut items[index],
            Value::Object(keys) => keys.values_mut().nth(index).unwrap(),
            _ => return,
        };
    }
    match random.below(9) {
        0 => *at = HOSTILE[random.below(HOSTILE.len())].into(),
        1 => *at = json!(null),
        2 => *at = json!([1e308, -1.0, 4_294_967_296.0, 0.5, -0.0][random.below(5)]),
        3 => {
            for _ in 0..random.below(300) {
                *at = json!([at.take()]);
            }
        }
        4 => {
            let copy = at.clone();
            if let Value::Array(items) = at {
                for _ in 0..random.below(2000) {
                    let index = random.below(items.len().max(1));
                    if let Some(item) = items.get(index).cloned() {
                        items.push(item);
                    }
                }
            } else {
                *at = json!({"a": copy});
            }
        }
        5 => {
            if let Value::Object(keys) = at {
                let index = random.below(keys.len().max(1));
                if let Some(key) = keys.keys().nth(index).cloned() {
                    keys.remove(&key);
                }
            }
        }
        6 => *at = json!([[0, 0, 1e9, 0, 1e9, 1e9, -1e9, 5]]),
        7 => *at = json!({"size": [1_u64 << 31, 1_u64 << 31], "counts": "0".repeat(random.below(50))}),
        _ => *at = json!({"size": [32, 48], "counts": [0, 1536]}),
    }
}

/// Changes bytes as they come.
fn change_bytes(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..1 + random.below(4) {
        let length = bytes.len();
        let at = random.below(length.max(1)).min(length);
        let end = (at + random.below(40)).min(length);
        match random.below(8) {
            0 if length > 0 => bytes[at.min(length - 1)] ^= 1 << random.below(8),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.truncate(at),
            3 => {
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len().max(1)).min(bytes.len());
                bytes.splice(to..to, piece);
            }
            4 => {
                let text = HOSTILE[random.below(HOSTILE.len())];
                bytes.splice(at..end, text.bytes());
            }
            5 => {
                let piece = bytes[at..end].repeat(1 + random.below(3000));
                bytes.splice(at..at, piece);
            }
            // Numbers are what sizes and counts are made of.
            6 => {
                let digits: Vec<usize> = (0..length).filter(|&at| bytes[at].is_ascii_digit()).collect();
                if !digits.is_empty() {
                    let at = digits[random.below(digits.len())];
                    let many = "9".repeat(1 + random.below(12));
                    bytes.splice(at..=at, many.bytes());
                }
            }
            _ => {
                let value = random.next().to_le_bytes();
                let take = 1 + random.below(8);
                let end = (at + take).min(length);
                bytes.splice(at..end, value.into_iter().take(take));
            }
        }
    }
}

/// Changes one of the files, or its name, or puts a link in its place.
fn damage(source: &Path, outside: &Path, random: &mut Random) {
    // Writing through a link that was put there before would do the harm here.
    let is_plain = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    let files: Vec<PathBuf> = files(source).into_iter().filter(is_plain).collect();
    if files.is_empty() {
        return;
    }
    let path = &files[random.below(files.len())];
    match random.below(20) {
        0 => {
            let target = [
                outside.join("secret.txt"),
                outside.to_path_buf(),
                source.to_path_buf(),
                path.clone(),
            ];
            fs::remove_file(path).unwrap();
            #[cfg(unix)]
            std::os::unix::fs::symlink(&target[random.below(4)], path).unwrap();
        }
        1 => {
            let name = ["x.json", "..json", "a.xml", "b.p", "é.txt", "z.parquet", "q.png"][random.below(7)];
            fs::rename(path, path.with_file_name(name)).unwrap();
        }
        2 => {
            let other = &files[random.below(files.len())];
            fs::write(path, fs::read(other).unwrap_or_default()).unwrap();
        }
        3..10 => {
            let bytes = fs::read(path).unwrap_or_default();
            if let Ok(mut tree) = serde_json::from_slice::<Value>(&bytes) {
                for _ in 0..1 + random.below(3) {
                    change_value(&mut tree, random);
                }
                fs::write(path, tree.to_string()).unwrap();
            }
        }
        _ => {
            let mut bytes = fs::read(path).unwrap_or_default();
            change_bytes(&mut bytes, random);
            fs::write(path, bytes).unwrap();
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let place = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(path, place).unwrap();
    }
}

/// The most memory this process had since the last call, where the system says so.
fn peak_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    // Without the right to do so, the peak is that of the whole run.
    let _is_reset = fs::write("/proc/self/clear_refs", "5").is_ok();
    Some(kib / 1024.0)
}

/// Names the case if it panics.
struct Case(u64, &'static str);

impl Drop for Case {
    #[expect(clippy::print_stderr, reason = "whoever sees the test fail needs the seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SAMTOK_FUZZ_SEED={} SAMTOK_FUZZ_FORMATS={}", self.0, self.1);
        }
    }
}

#[test]
fn damaged_files_do_no_harm() {
    let variable = |name: &str| std::env::var(name).ok();
    let seconds: Option<u64> = variable("SAMTOK_FUZZ_SECONDS").map(|text| text.parse().unwrap());
    let first: u64 = variable("SAMTOK_FUZZ_SEED").map_or(0, |text| text.parse().unwrap());
    let only = variable("SAMTOK_FUZZ_FORMATS");
    let is_meant = |target: &Target| {
        only.as_deref()
            .is_none_or(|only| only.split(',').any(|name| name == target.name()))
    };
    let targets: Vec<Target> = Target::all().into_iter().filter(is_meant).collect();
    let place = tempfile::tempdir().unwrap();
    let (outside, exports) = (place.path().join("outside"), place.path().join("exports"));
    let (source, into) = (place.path().join("work/source"), place.path().join("work/into"));
    let again = place.path().join("work/again");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret.txt"), "secret").unwrap();
    let annotated = place.path().join("annotated");
    seed_folder(&annotated, true);
    for target in &targets {
        target.export(&annotated, &exports.join(target.name()));
        assert!(
            !files(&exports.join(target.name())).is_empty(),
            "{}",
            target.name()
        );
    }
    let untouched = (snapshot(&outside), snapshot(&exports));
    let bare = place.path().join("bare");
    seed_folder(&bare, false);
    let images = files(&bare).len();

    let start = Instant::now();
    let limit = seconds.map_or(Duration::from_secs(2), Duration::from_secs);
    let mut cases = BTreeMap::new();
    let (mut most_mib, mut slowest) = (0.0_f64, (Duration::ZERO, 0, ""));
    for seed in first.. {
        if start.elapsed() > limit && seed > first {
            break;
        }
        let random = &mut Random(seed);
        let target = targets[random.below(targets.len())];
        let _case = Case(seed, target.name());
        fs::remove_dir_all(place.path().join("work")).unwrap_or_default();
        copy(&exports.join(target.name()), &source);
        // What lies there already is to be taken into as well as what does not.
        copy(if random.below(3) == 0 { &annotated } else { &bare }, &into);
        for _ in 0..1 + random.below(3) {
            damage(&source, &outside, random);
        }
        let before = snapshot(&source);
        let pictures = |folder: &Path| -> Vec<(PathBuf, Vec<u8>)> {
            let is_picture = |path: &Path| path.extension().is_some_and(|suffix| suffix == "png");
            snapshot(folder)
                .into_iter()
                .filter(|(path, _)| is_picture(path))
                .collect()
        };
        let pictures_before = pictures(&into);
        let case_start = Instant::now();
        peak_mib();
        target.import(&source, &into);
        let took = case_start.elapsed();
        if took > slowest.0 {
            slowest = (took, seed, target.name());
        }
        assert_eq!(snapshot(&source), before, "the source was changed");
        assert_eq!(pictures(&into), pictures_before, "an image was changed");
        assert_eq!(pictures_before.len(), images);
        for path in files(&into) {
            let name = path.strip_prefix(&into).unwrap().to_str().unwrap();
            let is_ours =
                name.ends_with(".png") || name.ends_with(".samtok.json") || name.contains(".samtok/");
            assert!(is_ours, "{name} was written");
        }
        if random.below(4) == 0 {
            let other = targets[random.below(targets.len())];
            target.export(&into, &again.join("same"));
            other.export(&into, &again.join("other"));
        }
        if let Some(mib) = peak_mib() {
            most_mib = most_mib.max(mib);
            // Other tests run beside a short one.
            assert!(seconds.is_none() || mib < MAX_MIB, "{mib} MiB");
        }
        assert_eq!(snapshot(&outside), untouched.0, "something outside was written");
        *cases.entry(target.name()).or_insert(0) += 1;
        if seed % 200 == 0 {
            assert_eq!(snapshot(&exports), untouched.1);
            let mut names: Vec<_> = fs::read_dir(place.path()).unwrap().flatten().collect();
            names.retain(|entry| {
                let known = ["outside", "exports", "annotated", "bare", "work"];
                !known.iter().any(|name| entry.file_name() == *name)
            });
            assert!(names.is_empty(), "{names:?}");
        }
    }
    if seconds.is_some() {
        let count: u32 = cases.values().sum();
        eprintln!("{count} cases, at most {most_mib:.0} MiB, slowest {slowest:?}: {cases:?}");
    }
}
