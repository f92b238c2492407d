//! `export` and `import`: a folder into every format and back, and the options of training data.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use samtok::dataset::{Caption, Conversation, Document, ImageRef, Region, Role, Sidecar, Task, Turn};
use samtok::geometry::{ImageSize, PixelRect};
use samtok::mask::Mask;
use serde_json::{Value, json};

use super::{SIZE, Workspace, contents};

const FORMATS: [&str; 13] = [
    "coco",
    "coco-panoptic",
    "labelme",
    "xanylabeling",
    "yolo-seg",
    "voc",
    "masks",
    "cvat",
    "labelstudio",
    "refcoco",
    "grefcoco",
    "grandf",
    "osprey",
];

const CONTAINERS: [&str; 5] = ["llava", "jsonl", "sharegpt", "messages", "rl-parquet"];

/// `photos` with `count` copies of the photo in two folders, each with two captioned regions and four conversations.
fn annotated(workspace: &Workspace, count: u32) {
    for index in 0..count {
        let path = workspace.path(&format!("photos/{}/{index}.png", index % 2));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(workspace.path("photo.png"), &path).unwrap();
        let mut document = Document::new(ImageRef::new(&path, SIZE, None));
        for (id, label, rect) in [
            ("r1", "cup", PixelRect::new(20, 30 + index, 60, 50)),
            ("r2", "plate", PixelRect::new(100, 60, 20, 50)),
        ] {
            let mask = Mask::from_rects(SIZE, &[rect]).unwrap();
            let mut region = Region::new(id.to_owned(), mask.to_rle());
            region.label = label.to_owned();
            region.captions = vec![Caption::new(format!("A {label} near [[r1]]."), None)];
            document.regions.push(region);
        }
        for (id, task, question, answer) in [
            ("c1", Task::ReferringSegmentation, "the cup", "[[r1]]"),
            ("c2", Task::RegionQa, "What is [[r1]] to [[r2]]?", "Left of it."),
            ("c3", Task::NoTarget, "the elephant", "No target."),
            (
                "c4",
                Task::GroundedCaption,
                "Describe it.",
                "<|object_ref_start|> A cup <|object_ref_end|> [[r1]] on <|object_ref_start|> a plate <|object_ref_end|> [[r2]].",
            ),
        ] {
            let mut conversation = Conversation::new(id.to_owned(), task);
            conversation.turns = vec![
                Turn::new(Role::User, question.to_owned()),
                Turn::new(Role::Assistant, answer.to_owned()),
            ];
            document.conversations.push(conversation);
        }
        let (mut sidecar, _) = Sidecar::load(&path, SIZE).unwrap();
        sidecar.save(&document).unwrap();
    }
}

/// The images of `photos` in `bare`, without annotations.
fn bare(workspace: &Workspace, count: u32) {
    for index in 0..count {
        let name = format!("{}/{index}.png", index % 2);
        fs::create_dir_all(workspace.path(&format!("bare/{}", index % 2))).unwrap();
        fs::copy(
            workspace.path(&format!("photos/{name}")),
            workspace.path(&format!("bare/{name}")),
        )
        .unwrap();
    }
}

fn documents(workspace: &Workspace, folder: &str, count: u32) -> Vec<Document> {
    let load = |index: u32| {
        let path = workspace.path(&format!("{folder}/{}/{index}.png", index % 2));
        let mut document = Sidecar::load(&path, SIZE).unwrap().1.unwrap();
        document.image.blake3 = None;
        (document.modified, document.revision) = (None, 0);
        document
    };
    (0..count).map(load).collect()
}

#[test]
fn every_format_is_written_and_read_again() {
    let workspace = Workspace::new();
    annotated(&workspace, 2);
    for format in FORMATS {
        let report = workspace
            .run(&["export", "photos", "--to", format, "--out", format, "--json"])
            .json();
        assert_eq!(report["written"], true, "{format}");
        assert_eq!(report["format"], format);
        assert_eq!(report["regions"]["exact"], 4, "{format}: {report}");
        assert_eq!(report["regions"]["invented"], 0, "{format}: {report}");
        let into = format!("{format}-bare");
        for index in 0..2 {
            let name = format!("{into}/{index}");
            fs::create_dir_all(workspace.path(&name)).unwrap();
            fs::copy(
                workspace.path("photo.png"),
                workspace.path(&format!("{name}/{index}.png")),
            )
            .unwrap();
        }
        let report = workspace
            .run(&["import", "--from", format, format, "--into", &into, "--json"])
            .json();
        assert_eq!(report["sidecars"]["new"], 2, "{format}: {report}");
    }
    let nothing = workspace.run(&["export", "photos", "--to", "pascal", "--out", "x"]);
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("rl-parquet"), "{}", nothing.stderr);
}

#[test]
fn training_data_is_written_whole_and_gives_every_annotation_back() {
    let workspace = Workspace::new();
    annotated(&workspace, 6);
    workspace.run(&["tokenize", "photos"]).expect(0);
    bare(&workspace, 6);
    for container in CONTAINERS {
        let report = workspace
            .run(&[
                "export", "photos", "--to", container, "--out", container, "--json",
            ])
            .json();
        assert_eq!(report["lossless"], true, "{container}: {report}");
        let records = &report["training"]["records"]["train"];
        assert_eq!(records["referring_segmentation"], 6, "{container}: {report}");
        assert_eq!(records["region_caption"], 12, "{container}: {report}");
        let out = workspace.path(container);
        let manifest: Value = serde_json::from_slice(&fs::read(out.join("manifest.json")).unwrap()).unwrap();
        for file in manifest["files"].as_array().unwrap() {
            let bytes = fs::read(out.join(file["path"].as_str().unwrap())).unwrap();
            assert_eq!(file["blake3"], blake3::hash(&bytes).to_hex().as_str());
        }
        let tokens: BTreeMap<String, u32> =
            serde_json::from_slice(&fs::read(out.join("added_tokens.json")).unwrap()).unwrap();
        assert!(tokens.values().min() == Some(&151_669) && tokens.contains_key("<|mt_start|>"));

        let before = documents(&workspace, "photos", 6);
        let report = workspace
            .run(&[
                "import", "--from", container, container, "--into", "bare", "--strict", "--json",
            ])
            .json();
        assert_eq!(report["sidecars"]["new"], 6, "{container}: {report}");
        assert_eq!(documents(&workspace, "bare", 6), before, "{container}");
        let again = workspace
            .run(&[
                "import", "--from", container, container, "--into", "bare", "--json",
            ])
            .json();
        assert_eq!(again["sidecars"], json!({"new": 0, "changed": 0}), "{container}");
        for index in 0..6 {
            fs::remove_file(workspace.path(&format!("bare/{}/{index}.png.samtok.json", index % 2))).unwrap();
        }
    }
}

#[test]
fn options_of_training_data_do_what_they_say() {
    let workspace = Workspace::new();
    annotated(&workspace, 8);
    workspace.run(&["tokenize", "photos"]).expect(0);
    let export = |out: &str, options: &[&str]| {
        let mut arguments = vec!["export", "photos", "--to", "jsonl", "--out", out];
        arguments.extend(options);
        workspace.run(&arguments)
    };
    let options = [
        "--split",
        "1,1,1",
        "--seed",
        "5",
        "--shard-records",
        "3",
        "--name",
        "cups",
    ];
    export("a", &options).expect(0);
    export("b", &options).expect(0);
    assert_eq!(
        names_and_hashes(&workspace.path("a")),
        names_and_hashes(&workspace.path("b")),
        "the same export gives the same bytes"
    );
    for part in ["train", "validation", "test"] {
        let files = fs::read_dir(workspace.path(&format!("a/{part}"))).unwrap();
        assert!(files.count() > 1, "{part}");
    }
    assert!(
        workspace
            .path("a/train/cups_region_caption-segment-00001.jsonl")
            .is_file()
    );
    export("c", &["--group", "folder", "--split", "1,1,0", "--seed", "3"]).expect(0);
    for part in ["train", "validation"] {
        let folder = workspace.path(&format!("c/{part}"));
        let mut folders: Vec<String> = lines(&folder)
            .iter()
            .map(|record| record["image"].as_str().unwrap()[..1].to_owned())
            .collect();
        folders.sort();
        folders.dedup();
        assert!(folders.len() <= 1, "{part}: {folders:?}");
    }

    export("d", &["--plain", "--kinds", "no_target,region_qa"]).expect(0);
    let records = lines(&workspace.path("d/train"));
    assert_eq!(records.len(), 16);
    assert!(records.iter().all(|record| record.get("samtok").is_none()));

    let templates = workspace.path("templates.json");
    let published = fs::read_to_string(workspace.path("a/prompt_templates.json")).unwrap();
    let mut edited: Value = serde_json::from_str(&published).unwrap();
    for form in edited["tasks"]["no_target"].as_array_mut().unwrap() {
        form["questions"] = json!(["Where is {class_name}?"]);
    }
    fs::write(&templates, edited.to_string()).unwrap();
    export("e", &["--kinds", "no_target", "--templates", "templates.json"]).expect(0);
    for record in lines(&workspace.path("e/train")) {
        let question = record["conversations"][0]["value"].as_str().unwrap();
        assert_eq!(question, "<image>\nWhere is the elephant?");
    }
    export("f", &["--min-status", "approved"]).expect(0);
    assert!(!workspace.path("f/train").exists());
}

#[test]
fn small_regions_are_enlarged_by_the_model_that_made_their_words() {
    let workspace = Workspace::new();
    annotated(&workspace, 2);
    workspace.run(&["tokenize", "photos"]).expect(0);
    let arguments = [
        "export",
        "photos",
        "--to",
        "llava",
        "--out",
        "out",
        "--zoom-in",
        "--json",
    ];
    let report = workspace.run(&arguments).json();
    assert!(
        report["training"]["records"]["train"]["zoom_in"]
            .as_u64()
            .unwrap()
            > 0,
        "{report}"
    );
    let file = fs::read(workspace.path("out/train/samtok_zoom_in-segment-00001.json")).unwrap();
    let records: Value = serde_json::from_slice(&file).unwrap();
    let crop = records[0]["image"][1].as_str().unwrap();
    assert!(crop.starts_with("../out/crops/"), "{crop}");
    assert!(workspace.path("photos").join(crop).is_file());
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_written() {
    let workspace = Workspace::new();
    annotated(&workspace, 1);
    let before = contents(&workspace.path("."));
    for (arguments, expected) in [
        (&["--to", "coco", "--seed", "1"][..], "coco is none"),
        (&["--to", "llava", "--split", "0,0,0"][..], "three numbers"),
        (&["--to", "llava", "--name", "../x"][..], "file name"),
        (
            &["--to", "llava", "--templates", "photo.png"][..],
            "no prompt templates",
        ),
        (&["--to", "llava", "--group", "colour"][..], "attribute:KEY"),
        (&["--to", "llava", "--kinds", "x"][..], "region_caption"),
    ] {
        let mut command = vec!["export", "photos", "--out", "out"];
        command.extend(arguments);
        let answer = workspace.run(&command);
        assert_eq!(answer.code, Some(2), "{arguments:?}");
        assert!(
            answer.stderr.contains(expected),
            "{arguments:?}: {}",
            answer.stderr
        );
        assert_eq!(contents(&workspace.path(".")), before, "{arguments:?}");
    }
}

#[test]
fn records_of_others_become_conversations() {
    let workspace = Workspace::new();
    annotated(&workspace, 1);
    bare(&workspace, 1);
    let mask = Mask::from_rects(ImageSize::new(160, 120), &[PixelRect::new(5, 6, 7, 8)]).unwrap();
    let words = "<|mt_start|><|mt_0001|><|mt_0300|><|mt_end|>";
    let record = json!({
        "image": "0/0.png",
        "conversations": [
            {"from": "human", "value": format!("<image>\nWhat is {words}?")},
            {"from": "gpt", "value": "A spoon."},
        ],
        "segmentation": [{"size": [120, 160], "counts": mask.to_rle().to_compressed()}],
    });
    fs::write(workspace.path("theirs.jsonl"), format!("{record}\n")).unwrap();
    let report = workspace
        .run(&[
            "import",
            "--from",
            "jsonl",
            "theirs.jsonl",
            "--into",
            "bare",
            "--json",
        ])
        .json();
    assert_eq!(report["added"]["regions"], 1, "{report}");
    let [document] = &documents(&workspace, "bare", 1)[..] else {
        panic!()
    };
    assert_eq!(document.conversations[0].turns[0].text, "What is [[r1]]?");
    assert_eq!(document.regions[0].mask.rle, mask.to_rle());
}

/// Every file below `folder` with its hash.
fn names_and_hashes(folder: &Path) -> Vec<(String, String)> {
    let hashes = contents(folder).into_iter();
    hashes
        .map(|(path, hash)| (path.strip_prefix(folder).unwrap().display().to_string(), hash))
        .collect()
}

/// The records in all JSONL files of `folder`.
fn lines(folder: &Path) -> Vec<Value> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        records.extend(text.lines().map(|line| serde_json::from_str(line).unwrap()));
    }
    records
}
