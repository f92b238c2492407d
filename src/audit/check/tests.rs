//! A folder for every kind of finding, each asserting exactly what is found; and properties of any folder.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::dataset::{
    Caption, Conversation, Document, ImageRef, MaskWords, Region, Role, Status, Task, Turn, format,
};
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::Mask;
use crate::words::WordFormat;

const SIZE: ImageSize = ImageSize::new(40, 30);

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..if std::env::var_os("PROPTEST_CASES").is_some() {
            ProptestConfig::default()
        } else {
            ProptestConfig::with_cases(48)
        }
    }
}

fn rect(x: u32, y: u32, width: u32, height: u32) -> Mask {
    Mask::from_rects(SIZE, &[PixelRect::new(x, y, width, height)]).unwrap()
}

fn words(mask: &Mask, codes: [u32; 2], iou: f32) -> MaskWords {
    let format = WordFormat::PUBLISHED;
    let text = format.write(&format.codes(&codes).unwrap());
    MaskWords::new(text, codes.into(), "T1".to_owned(), Some(iou), &mask.to_rle())
}

/// Writes an image of [`SIZE`] and says its hash.
fn write_image(path: &Path) -> String {
    image_file::write_mask_png(path, &rect(0, 0, 9, 9)).unwrap();
    blake3::hash(&fs::read(path).unwrap()).to_hex().to_string()
}

/// A folder with `a.png` and a sidecar that nothing is wrong with.
struct Sample {
    folder: TempDir,
    document: Document,
}

impl Sample {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let hash = write_image(&path);
        let mut document = Document::new(ImageRef::new(&path, SIZE, Some(hash)));
        document.tokenizer_id("nano", "fedcba9876543210", 256, 2);
        let masks = [rect(2, 2, 10, 8), rect(20, 4, 12, 20)];
        for ((mask, id), codes) in masks.iter().zip(["r1", "r2"]).zip([[23, 55], [23, 56]]) {
            let mut region = Region::new(id.to_owned(), mask.to_rle());
            region.words = Some(words(mask, codes, 0.9));
            document.regions.push(region);
        }
        let caption = Caption::new("left of [[r2]]".to_owned(), Some("human".to_owned()));
        document.regions[0].captions.push(caption);
        let mut conversation = Conversation::new("c1".to_owned(), Task::RegionQa);
        conversation.turns = vec![
            Turn::new(Role::User, "What is [[r1]]?".to_owned()),
            Turn::new(Role::Assistant, "A box, not an [array[0]].".to_owned()),
        ];
        document.conversations.push(conversation);
        Self { folder, document }
    }

    fn sidecar(&self) -> Value {
        serde_json::from_slice(&format::write(&self.document).unwrap()).unwrap()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn findings(&self, options: &CheckOptions) -> Vec<Finding> {
        findings(self.folder.path(), options)
    }
}

fn findings(folder: &Path, options: &CheckOptions) -> Vec<Finding> {
    let mut found = Vec::new();
    let summary = check(folder, options, &mut |finding| found.push(finding), &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(summary.is_complete);
    found
}

/// `code`, `code@region`: what is compared with the expectation of a case.
fn in_short(finding: &Finding) -> String {
    let code = finding.code;
    match &finding.subject {
        Subject::Image => code.to_string(),
        Subject::Region(id) | Subject::Conversation(id) => format!("{code}@{id}"),
    }
}

/// What is done to the sidecar, and what is found then, in order, each with its JSON path or nothing.
type Case = (fn(&mut Value), &'static [(&'static str, &'static str)]);

/// Changes of the sidecar; its other parts are as they should be.
const CASES: &[Case] = &[
    (|_| {}, &[]),
    // The image.
    (
        |s| s["image"]["file_name"] = json!("b.png"),
        &[("image-name-differs", "image.file_name")],
    ),
    (|s| s["image"]["blake3"] = json!("00"), &[("image-changed", "")]),
    (
        |s| s["image"]["blake3"] = json!(s["image"]["blake3"].as_str().unwrap().to_uppercase()),
        &[],
    ),
    (
        |s| drop(s["image"].as_object_mut().unwrap().remove("blake3")),
        &[],
    ),
    // What cannot be read.
    (|s| s["format"] = json!("other"), &[("sidecar-unreadable", "")]),
    (|s| s["version"] = json!(2), &[("sidecar-unreadable", "")]),
    (|s| s["version"] = json!("1"), &[("value-invalid", "version")]),
    (
        |s| s["image"]["width"] = json!(-1),
        &[("value-invalid", "image.width")],
    ),
    (|s| s["regions"] = json!({}), &[("value-invalid", "regions")]),
    (
        |s| s["regions"][1] = json!(7),
        &[
            ("value-invalid", "regions[1]"),
            ("missing-region-mention@r1", "regions[0].captions[0].text"),
            ("value-differs@r1", "regions[0].captions[0].value"),
        ],
    ),
    // A region that cannot be read is still there to be mentioned, and the others are still checked.
    (
        |s| {
            s["regions"][1]["label"] = json!(7);
            s["regions"][0]["area"] = json!(1);
        },
        &[
            ("value-invalid@r2", "regions[1].label"),
            ("area-differs@r1", "regions[0].area"),
        ],
    ),
    (
        |s| s["regions"][1]["words"]["iou"] = json!(1.5),
        &[("value-invalid@r2", "regions[1].words.iou")],
    ),
    (
        |s| s["regions"][1]["words"]["tokenizer"] = json!("T9"),
        &[("value-invalid@r2", "regions[1].words.tokenizer")],
    ),
    (
        |s| s["conversations"][0]["turns"][1]["role"] = json!("system"),
        &[("value-invalid@c1", "conversations[0].turns[1].role")],
    ),
    // Masks.
    (
        |s| s["regions"][1]["mask"]["counts"] = json!("~"),
        &[("mask-invalid@r2", "regions[1].mask.counts")],
    ),
    (
        |s| s["regions"][1]["mask"]["counts"] = json!("12"),
        &[("mask-invalid@r2", "regions[1].mask.counts")],
    ),
    (
        |s| {
            let mask = Mask::full(ImageSize::new(30, 40)).unwrap().to_rle();
            s["regions"][1]["mask"] = json!({"size": [40, 30], "counts": mask.to_compressed()});
        },
        &[("mask-size-differs@r2", "regions[1].mask.size")],
    ),
    (
        |s| set_mask(s, 1, &rect(0, 0, 0, 0)),
        &[("empty-region@r2", ""), ("words-stale@r2", "")],
    ),
    (
        |s| set_mask(s, 1, &rect(0, 0, 3, 5)),
        &[("tiny-region@r2", ""), ("words-stale@r2", "")],
    ),
    (|s| set_mask(s, 1, &rect(0, 0, 4, 4)), &[("words-stale@r2", "")]),
    (
        |s| set_mask(s, 1, &rect(2, 2, 10, 8)),
        &[("duplicate-region@r2", ""), ("words-stale@r2", "")],
    ),
    (
        |s| set_mask(s, 1, &rect(2, 2, 11, 8)),
        &[("near-duplicate-region@r2", ""), ("words-stale@r2", "")],
    ),
    (|s| set_mask(s, 1, &rect(2, 2, 12, 8)), &[("words-stale@r2", "")]),
    // Ids.
    (
        |s| s["regions"][1]["id"] = json!("r1"),
        &[
            ("duplicate-id@r1", "regions[1].id"),
            ("missing-region-mention@r1", "regions[0].captions[0].text"),
            ("value-differs@r1", "regions[0].captions[0].value"),
        ],
    ),
    (
        |s| {
            let again = s["conversations"][0].clone();
            s["conversations"].as_array_mut().unwrap().push(again);
        },
        &[("duplicate-id@c1", "conversations[1].id")],
    ),
    // What is derived.
    (|s| s["regions"][0]["bbox"] = json!([2.0, 2.0, 10.0, 8.0]), &[]),
    (
        |s| s["regions"][0]["bbox"] = json!([2, 2, 12, 10]),
        &[("bbox-differs@r1", "regions[0].bbox")],
    ),
    (
        |s| s["regions"][0]["bbox"] = json!("2 2 10 8"),
        &[("bbox-differs@r1", "regions[0].bbox")],
    ),
    (|s| s["regions"][0]["bbox"] = json!(null), &[]),
    (|s| s["regions"][0]["area"] = json!(80.0), &[]),
    (
        |s| s["regions"][0]["area"] = json!(79.5),
        &[("area-differs@r1", "regions[0].area")],
    ),
    (
        |s| s["regions"][0]["captions"][0]["value"] = json!("left of [[r2]]"),
        &[("value-differs@r1", "regions[0].captions[0].value")],
    ),
    (
        |s| s["conversations"][0]["turns"][0]["value"] = json!("What is it?"),
        &[("value-differs@c1", "conversations[0].turns[0].value")],
    ),
    // Words.
    (
        |s| s["regions"][1]["words"] = json!(null),
        &[
            ("words-missing", ""),
            ("value-differs@r1", "regions[0].captions[0].value"),
        ],
    ),
    (
        |s| set_words(s, "<|mt_start|><|mt_0023|><|mt_0312|>", &[23, 56]),
        &[("words-malformed@r2", "regions[1].words.text")],
    ),
    (
        |s| set_words(s, "a cat", &[23, 56]),
        &[("words-malformed@r2", "regions[1].words.text")],
    ),
    (
        |s| set_words(s, " <|mt_start|><|mt_0023|><|mt_0312|><|mt_end|>", &[23, 56]),
        &[("words-malformed@r2", "regions[1].words.text")],
    ),
    (
        |s| {
            set_words(
                s,
                &"<|mt_start|><|mt_0023|><|mt_0312|><|mt_end|>".repeat(2),
                &[23, 56],
            )
        },
        &[("words-malformed@r2", "regions[1].words.text")],
    ),
    (
        |s| set_words(s, "<|mt_start|><|mt_0023|><|mt_0312|><|mt_end|>", &[23, 57]),
        &[("words-disagree@r2", "regions[1].words.text")],
    ),
    (
        |s| set_words(s, "<|mt_start|><|mt_0023|><|mt_0612|><|mt_end|>", &[23, 56]),
        &[("words-outside-codebook@r2", "regions[1].words.text")],
    ),
    (
        |s| set_words(s, "<|mt_start|><|mt_0023|><|mt_0312|><|mt_end|>", &[23, 256]),
        &[("words-outside-codebook@r2", "regions[1].words.codes")],
    ),
    (
        |s| set_words(s, "<|mt_start|><|mt_0023|><|mt_0312|><|mt_end|>", &[23]),
        &[("words-outside-codebook@r2", "regions[1].words.codes")],
    ),
    (
        |s| s["tokenizers"]["T1"]["codebook_depth"] = json!(0),
        &[("words-outside-codebook", "tokenizers.T1")],
    ),
    (
        |s| s["regions"][1]["words"]["mask_blake3"] = json!("00"),
        &[("words-stale@r2", "")],
    ),
    (
        |s| s["regions"][1]["words"]["iou"] = json!(0.49),
        &[("low-iou@r2", "")],
    ),
    (
        |s| set_words(s, "<|mt_start|><|mt_0023|><|mt_0311|><|mt_end|>", &[23, 55]),
        &[("words-identical@r2", "")],
    ),
    // Words of another model in the same folder; the first one has the most regions.
    (
        |s| {
            s["tokenizers"]["T2"] = s["tokenizers"]["T1"].clone();
            s["tokenizers"]["T2"]["fingerprint"] = json!("other");
            s["regions"][1]["words"]["tokenizer"] = json!("T2");
            let mut third = s["regions"][0].clone();
            third["id"] = json!("r3");
            s["regions"].as_array_mut().unwrap().push(third);
            set_mask(s, 2, &rect(0, 20, 5, 5));
            s["regions"][2]["words"]["mask_blake3"] = json!(hash_of(&rect(0, 20, 5, 5)));
            s["regions"][2]["words"]["text"] = json!("<|mt_start|><|mt_0001|><|mt_0311|><|mt_end|>");
            s["regions"][2]["words"]["codes"] = json!([1, 55]);
        },
        &[("mixed-models", "")],
    ),
    (
        |s| {
            s["tokenizers"]["T2"] = json!({"fingerprint": "x", "codebook_size": 1024, "codebook_depth": 1});
            s["regions"][1]["words"]["tokenizer"] = json!("T2");
            set_words(s, "<|mt_start|><|mt_0312|><|mt_end|>", &[312]);
        },
        &[("mixed-codebooks", "")],
    ),
    // A model that made no words mixes nothing.
    (
        |s| s["tokenizers"]["T2"] = json!({"fingerprint": "x", "codebook_size": 1024, "codebook_depth": 1}),
        &[],
    ),
    // Texts.
    (
        |s| set_caption(s, "[[r9]], [[r9]], [[r10]]"),
        &[
            ("missing-region-mention@r1", "regions[0].captions[0].text"),
            ("missing-region-mention@r1", "regions[0].captions[0].text"),
        ],
    ),
    (
        |s| set_caption(s, "[[a list]]"),
        &[("plain-brackets@r1", "regions[0].captions[0].text")],
    ),
    (
        |s| set_caption(s, " \n"),
        &[("empty-caption@r1", "regions[0].captions[0]")],
    ),
    (
        |s| set_caption(s, "see <|mt_start|><|mt_end|>"),
        &[("words-malformed@r1", "regions[0].captions[0].text")],
    ),
    (
        |s| set_caption(s, "see <|mt_start|><|mt_0023|><|mt_0312|><|mt_end|>"),
        &[],
    ),
    (
        |s| s["conversations"][0]["turns"][1] = json!({"role": "assistant", "text": ""}),
        &[("empty-turn@c1", "conversations[0].turns[1]")],
    ),
    (
        |s| drop(s["conversations"][0]["turns"].as_array_mut().unwrap().pop()),
        &[("conversation-without-answer@c1", "")],
    ),
    (
        |s| s["conversations"][0]["turns"] = json!([]),
        &[("conversation-without-answer@c1", "")],
    ),
];

/// Gives a region another mask, with its box and area, and the words it had.
fn set_mask(sidecar: &mut Value, index: usize, mask: &Mask) {
    let region = &mut sidecar["regions"][index];
    region["mask"]["counts"] = json!(mask.to_rle().to_compressed());
    let bounds = mask.bounding_box().unwrap_or(PixelRect::new(0, 0, 0, 0));
    region["bbox"] = json!([bounds.x, bounds.y, bounds.width, bounds.height]);
    region["area"] = json!(mask.area());
}

fn hash_of(mask: &Mask) -> String {
    crate::dataset::document::mask_blake3(&mask.to_rle())
}

/// Gives the second region other words, also where they are mentioned.
fn set_words(sidecar: &mut Value, text: &str, codes: &[u32]) {
    sidecar["regions"][1]["words"]["text"] = json!(text);
    sidecar["regions"][1]["words"]["codes"] = json!(codes);
    sidecar["regions"][0]["captions"][0]["value"] = json!(format!("left of {text}"));
}

fn set_caption(sidecar: &mut Value, text: &str) {
    sidecar["regions"][0]["captions"] = json!([{"text": text}]);
}

#[test]
fn every_change_of_a_sidecar_is_found_and_nothing_else() {
    let sample = Sample::new();
    for (number, (change, expected)) in CASES.iter().enumerate() {
        let mut sidecar = sample.sidecar();
        change(&mut sidecar);
        sample.write("a.png.samtok.json", sidecar.to_string());
        let found = sample.findings(&CheckOptions::default());
        let short: Vec<(String, &str)> = found
            .iter()
            .map(|finding| (in_short(finding), finding.at.as_deref().unwrap_or_default()))
            .collect();
        let expected: Vec<(String, &str)> =
            expected.iter().map(|&(code, at)| (code.to_owned(), at)).collect();
        assert_eq!(short, expected, "case {number}: {found:#?}");
        for finding in found {
            assert!(
                !finding.message.ends_with('.') && !finding.message.is_empty(),
                "{finding:?}"
            );
            assert_eq!(finding.image, "a.png");
        }
    }
}

#[test]
fn files_that_are_not_as_they_should_be_are_found() {
    let sample = Sample::new();
    let folder = sample.folder.path();
    let sidecar = sample.sidecar().to_string();
    sample.write("a.png.samtok.json", &sidecar);
    sample.write("bare.png", "");
    sample.write("gone.png.samtok.json", sidecar.replace("a.png", "gone.png"));
    sample.write("sub/broken.png", "no image");
    sample.write(
        "sub/broken.png.samtok.json",
        sidecar.replace("a.png", "broken.png"),
    );
    write_image(&folder.join("sub/cut.png"));
    sample.write("sub/cut.png.samtok.json", &sidecar[..200]);
    write_image(&folder.join("sub/empty.png"));
    sample.write("sub/empty.png.samtok.json", "");
    write_image(&folder.join("sub/folder.png"));
    fs::create_dir_all(folder.join("sub/folder.png.samtok.json")).unwrap();
    image_file::write_mask_png(
        &folder.join("turned.png"),
        &Mask::full(ImageSize::new(30, 40)).unwrap(),
    )
    .unwrap();
    sample.write("turned.png.samtok.json", sidecar.replace("a.png", "turned.png"));
    let found = sample.findings(&CheckOptions::default());
    let short: Vec<String> = found
        .iter()
        .map(|finding| format!("{}: {}", finding.image, in_short(finding)))
        .collect();
    assert_eq!(
        short,
        [
            "bare.png: image-not-annotated",
            "gone.png: image-missing",
            "sub/broken.png: image-unreadable",
            "sub/cut.png: sidecar-unreadable",
            "sub/empty.png: sidecar-unreadable",
            "sub/folder.png: sidecar-unreadable",
            "turned.png: image-size-differs",
            "turned.png: image-changed",
        ],
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .all(|finding| !finding.message.contains(folder.to_str().unwrap())),
        "{found:#?}"
    );
    let error = check(
        &folder.join("nothing"),
        &CheckOptions::default(),
        &mut |_| {},
        &mut |_| ControlFlow::Continue(()),
    );
    assert!(error.is_err());
}

#[cfg(unix)]
#[test]
fn what_is_left_out_of_the_list_is_found() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let sample = Sample::new();
    sample.write("a.png.samtok.json", sample.sidecar().to_string());
    std::os::unix::fs::symlink(sample.folder.path(), sample.folder.path().join("loop")).unwrap();
    fs::write(sample.folder.path().join(OsStr::from_bytes(b"\xff.png")), "x").unwrap();
    let mut found: Vec<String> = sample
        .findings(&CheckOptions::default())
        .iter()
        .map(in_short)
        .collect();
    found.sort();
    assert_eq!(found, ["folder-linked", "name-not-unicode"]);
}

#[test]
fn every_code_has_a_case() {
    let mut tested: BTreeSet<&str> = CASES
        .iter()
        .flat_map(|(_, expected)| *expected)
        .map(|(code, _)| code.split('@').next().unwrap())
        .collect();
    // Tested with files; a folder that cannot be listed needs a user who is not the administrator.
    tested.extend([
        "image-missing",
        "image-unreadable",
        "image-size-differs",
        "image-not-annotated",
    ]);
    tested.extend(["folder-linked", "name-not-unicode", "folder-unreadable"]);
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(tested, all);
}

#[test]
fn only_what_is_asked_for_is_found() {
    let sample = Sample::new();
    let mut sidecar = sample.sidecar();
    sidecar["image"]["blake3"] = json!("00");
    sidecar["regions"][1]["words"]["iou"] = json!(0.8);
    sidecar["regions"][0]["area"] = json!(1);
    sample.write("a.png.samtok.json", sidecar.to_string());
    let with = |only: &[Code], ignore: &[Code]| CheckOptions {
        min_words_iou: 0.85,
        selection: Selection {
            only: only.to_vec(),
            ignore: ignore.to_vec(),
        },
        ..CheckOptions::default()
    };
    let cases: [(CheckOptions, &[&str]); 5] = [
        (
            with(&[], &[]),
            &["image-changed", "area-differs@r1", "low-iou@r2"],
        ),
        (with(&[Code::LowIou], &[]), &["low-iou@r2"]),
        (with(&[], &[Code::LowIou, Code::AreaDiffers]), &["image-changed"]),
        (with(&[Code::LowIou], &[Code::LowIou]), &[]),
        (
            CheckOptions {
                min_area_px: 81,
                near_duplicate_iou: 0.01,
                ..CheckOptions::default()
            },
            &["image-changed", "tiny-region@r1", "area-differs@r1"],
        ),
    ];
    for (options, expected) in cases {
        let found: Vec<String> = sample.findings(&options).iter().map(in_short).collect();
        assert_eq!(found, expected, "{options:?}");
    }
}

#[test]
fn a_check_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..300 {
        fs::write(folder.path().join(format!("{number}.png")), "x").unwrap();
    }
    let (mut found, mut reports) = (Vec::new(), Vec::new());
    let mut progress = |progress: super::super::Progress| {
        reports.push((progress.done, progress.total));
        if reports.len() < 2 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    let options = CheckOptions::default();
    let summary = check(
        folder.path(),
        &options,
        &mut |finding| found.push(finding.image),
        &mut progress,
    )
    .unwrap();
    assert_eq!(
        (summary.is_complete, summary.images, reports),
        (false, 128, vec![(0, 300), (128, 300)])
    );
    assert!(
        found.len() == 128 && found[9] == "9.png" && found[10] == "10.png",
        "{found:?}"
    );
}

/// Documents as this program writes them, with words that fit their masks.
fn documents() -> impl Strategy<Value = Document> {
    let text = prop_oneof![
        "\\PC{0,12}",
        "[\\[\\]r12 ]{0,9}",
        Just("[[r1]] und [[r2]]: 猫".to_owned())
    ];
    let side = 0..25_u32;
    let region = (
        (side.clone(), side.clone(), side.clone(), side),
        prop::option::of((0..256_u32, 0..256_u32, 0.0..=1.0_f32)),
        prop::collection::vec((text.clone(), prop::option::of("\\PC{0,8}")), 0..3),
        prop::collection::btree_map(
            "\\PC{0,5}",
            prop_oneof![Just(json!(null)), Just(json!(1.5)), Just(json!("x"))],
            0..3,
        ),
        (text.clone(), prop::sample::select(Status::ALL)),
    );
    let turn = (prop::sample::select(Role::ALL), text.clone());
    let conversation = (prop::collection::vec(turn, 0..4), prop::sample::select(Task::ALL));
    let documents = (
        prop::collection::vec(region, 0..6),
        prop::collection::vec(conversation, 0..3),
        text,
    );
    documents.prop_map(|(regions, conversations, notes)| {
        let mut document = Document::new(ImageRef::new(Path::new("a.png"), SIZE, None));
        document.notes = notes;
        document.touch(crate::dataset::Timestamp::now());
        document.tokenizer_id("nano", "f0", 256, 2);
        for (index, ((x, y, width, height), codes, captions, attributes, (label, status))) in
            regions.into_iter().enumerate()
        {
            let mask = rect(x, y, width, height);
            let mut region = Region::new(format!("r{}", index + 1), mask.to_rle());
            region.words = codes.map(|(first, second, iou)| words(&mask, [first, second], iou));
            region.captions = captions
                .into_iter()
                .map(|(text, author)| Caption::new(text, author))
                .collect();
            region.attributes = attributes.into_iter().collect();
            (region.label, region.status) = (label, status);
            document.regions.push(region);
        }
        for (index, (turns, task)) in conversations.into_iter().enumerate() {
            let mut conversation = Conversation::new(format!("c{}", index + 1), task);
            conversation.turns = turns
                .into_iter()
                .map(|(role, text)| Turn::new(role, text))
                .collect();
            document.conversations.push(conversation);
        }
        document
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_this_program_writes_has_no_errors(document in documents()) {
        let sample = Sample::new();
        sample.write("a.png.samtok.json", format::write(&document).unwrap());
        let found = sample.findings(&CheckOptions::default());
        // A random text may mention a region that is not there, which is an error of its writer.
        let wrong: Vec<&Finding> = found
            .iter()
            .filter(|finding| finding.severity() == Severity::Error && finding.code != Code::MissingRegionMention)
            .collect();
        prop_assert!(wrong.is_empty(), "{wrong:#?}");
        let derived = [Code::AreaDiffers, Code::BboxDiffers, Code::ValueDiffers, Code::WordsStale];
        let derived: Vec<&Finding> = found.iter().filter(|finding| derived.contains(&finding.code)).collect();
        prop_assert!(derived.is_empty(), "{derived:#?}");
    }

    #[test]
    fn a_damaged_sidecar_is_an_error_if_it_cannot_be_read(
        document in documents(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        let sample = Sample::new();
        let mut bytes = format::write(&document).unwrap();
        for (place, byte, kind) in edits {
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, b'0' + byte % 75),
                _ => drop(bytes.remove(place)),
            }
        }
        sample.write("a.png.samtok.json", &bytes);
        let found = sample.findings(&CheckOptions::default());
        if let Err(error) = format::read(&bytes) {
            let is_error = |finding: &Finding| finding.severity() == Severity::Error;
            prop_assert!(found.iter().any(is_error), "{error}: {found:#?}");
        }
    }
}
