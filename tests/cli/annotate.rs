//! `annotate`: the sidecar grows, and nothing in it is lost.

use std::fs;

use serde_json::{Value, json};

use super::Workspace;

const SIDECAR: &str = "photo.png.samtok.json";

fn texts<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| item[key].as_str().unwrap())
        .collect()
}

#[test]
fn regions_captions_and_a_question_are_written() {
    let workspace = Workspace::new();
    let arguments = [
        "annotate",
        "photo.png",
        "--mask",
        "a.png",
        "b.png",
        "--label",
        "scratch",
        "--label",
        "dent",
        "--caption",
        "Left of [[+2]].",
        "--attribute",
        "severity=minor",
        "--attribute",
        "side=left",
        "--question",
        "What is [[+1]]?",
        "--answer",
        "A scratch beside [[r2]].",
        "--json",
    ];
    let document = workspace.run(&arguments).json();
    assert_eq!(document["sidecar"], SIDECAR);
    assert_eq!(texts(&document["regions"], "id"), ["r1", "r2"]);
    assert_eq!(document["conversations"], json!(["c1"]));

    let sidecar = workspace.read_json(SIDECAR);
    assert_eq!(
        (&sidecar["format"], &sidecar["version"]),
        (&json!("samtok-annotation"), &json!(1))
    );
    let image = blake3::hash(&fs::read(workspace.path("photo.png")).unwrap())
        .to_hex()
        .to_string();
    assert_eq!(
        sidecar["image"],
        json!({"file_name": "photo.png", "width": 160, "height": 120, "blake3": image})
    );
    assert_eq!(
        sidecar["tokenizers"]["T1"]["fingerprint"],
        document["model"]["fingerprint"]
    );
    assert_eq!(texts(&sidecar["regions"], "label"), ["scratch", "dent"]);
    let (first, second) = (&sidecar["regions"][0], &sidecar["regions"][1]);
    let words = |index: usize| document["regions"][index]["words"].as_str().unwrap();
    assert_eq!(
        (first["words"]["text"].as_str(), &first["area"]),
        (Some(words(0)), &json!(3000))
    );
    assert_eq!(first["words"]["iou"], document["regions"][0]["iou"]);
    assert_eq!(first["attributes"], json!({"severity": "minor", "side": "left"}));
    let caption =
        json!({"text": "Left of [[r2]].", "value": format!("Left of {}.", words(1)), "author": "human"});
    assert_eq!(first["captions"], json!([caption]));
    assert_eq!(second["captions"], json!([]));
    let conversation = &sidecar["conversations"][0];
    assert_eq!(conversation["task"], "region_qa");
    assert_eq!(texts(&conversation["turns"], "role"), ["user", "assistant"]);
    assert_eq!(
        conversation["turns"][0]["value"],
        format!("What is {}?", words(0))
    );
    assert_eq!(
        conversation["turns"][1]["value"],
        format!("A scratch beside {}.", words(1))
    );
    assert_eq!(sidecar["revision"], 1);
}

#[test]
fn what_is_there_stays() {
    let workspace = Workspace::new();
    workspace
        .run(&["annotate", "photo.png", "--mask", "a.png", "--label", "first"])
        .expect(0);
    let mut before = workspace.read_json(SIDECAR);
    before["x-project"] = json!({"deep": [1, null]});
    before["regions"][0]["x-mine"] = json!("kept");
    before["regions"][0]["status"] = json!("approved");
    before["notes"] = json!("do not lose me");
    workspace.write(SIDECAR, before.to_string());

    let answer = workspace.run(&[
        "annotate",
        "photo.png",
        "--mask",
        "a.png",
        "b.png",
        "--label",
        "second",
    ]);
    assert!(
        answer
            .stderr
            .contains("warning: region r1 has the same mask already: a.png"),
        "{}",
        answer.stderr
    );
    let table = answer.expect(0);
    assert!(
        table.ends_with("now 3 regions and 0 conversations in photo.png.samtok.json\n"),
        "{table}"
    );

    let mut after = workspace.read_json(SIDECAR);
    assert_eq!(texts(&after["regions"], "id"), ["r1", "r2", "r3"]);
    assert_eq!(texts(&after["regions"], "label"), ["first", "second", "second"]);
    assert_eq!(
        after["tokenizers"].as_object().unwrap().len(),
        1,
        "one model, one entry"
    );
    assert_eq!(after["revision"], 2);
    after["regions"].as_array_mut().unwrap().truncate(1);
    for key in ["modified", "revision"] {
        after[key] = before[key].clone();
    }
    assert_eq!(after, before, "all the rest is as it was");
}

#[test]
fn what_cannot_be_read_is_never_overwritten() {
    let workspace = Workspace::new();
    for sidecar in [
        "{".to_owned(),
        json!({"format": "samtok-annotation", "version": 2}).to_string(),
        json!({"format": "samtok-annotation", "version": 1, "image": {"file_name": "photo.png", "width": 9, "height": 9}})
            .to_string(),
    ] {
        workspace.write(SIDECAR, &sidecar);
        let before = workspace.contents();
        let error = workspace.run(&["annotate", "photo.png", "--mask", "a.png"]).expect_error();
        assert!(error.ends_with(SIDECAR), "{error}");
        assert_eq!(workspace.contents(), before);
    }
}

#[test]
fn a_bad_mask_keeps_all_from_being_added() {
    let workspace = Workspace::new();
    workspace.write_mask("empty.png", &[]);
    let before = workspace.contents();
    let answer = workspace.run(&[
        "annotate",
        "photo.png",
        "--mask",
        "a.png",
        "empty.png",
        "--label",
        "x",
    ]);
    assert_eq!(
        answer.stderr.lines().count(),
        2,
        "the mask, then the sum: {}",
        answer.stderr
    );
    assert!(
        answer
            .stderr
            .contains("1 of 2 masks cannot be used, so nothing was added"),
        "{}",
        answer.stderr
    );
    answer.expect(2);
    assert_eq!(workspace.contents(), before);
}
