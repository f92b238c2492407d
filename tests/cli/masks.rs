//! `encode`, `decode`, `segment` and `words`: from masks to words and back.

use std::io::Write as _;
use std::process::Stdio;

use samtok::image_file::{Limits, read_mask};
use samtok::mask::metrics;
use serde_json::{Value, json};

use super::{SIZE, Workspace};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn masks_become_words_and_words_become_masks() {
    let workspace = Workspace::new();
    let encoded = workspace
        .run(&["encode", "photo.png", "--mask", "a.png", "b.png", "--json"])
        .json();
    assert_eq!(
        keys(&encoded),
        ["image", "width", "height", "model", "masks", "timings_ms"]
    );
    let stages = [
        "load",
        "read_image",
        "image_encode",
        "mask_encode",
        "mask_decode",
        "total",
    ];
    assert_eq!(keys(&encoded["timings_ms"]), stages);
    assert_eq!(
        (&encoded["width"], &encoded["height"]),
        (&json!(160), &json!(120))
    );
    assert_eq!(encoded["model"]["name"], "tiny");
    let mask = &encoded["masks"][0];
    assert_eq!(keys(mask), ["file", "words", "codes", "area", "bbox", "iou"]);
    assert_eq!(mask["file"], "a.png");
    assert_eq!(mask["area"], 3000);
    assert_eq!(mask["bbox"], json!([20, 30, 60, 50]));
    assert_eq!(encoded["masks"][1]["bbox"], json!([90, 10, 50, 100]));

    let words = format!(
        "Here {} and there {}.",
        mask["words"].as_str().unwrap(),
        encoded["masks"][1]["words"].as_str().unwrap()
    );
    let decoded = workspace
        .run(&[
            "decode",
            "photo.png",
            "--words",
            &words,
            "--out",
            "new/masks",
            "--json",
        ])
        .json();
    assert_eq!(
        keys(&decoded),
        [
            "image",
            "width",
            "height",
            "model",
            "masks",
            "refused",
            "timings_ms"
        ]
    );
    assert_eq!(decoded["model"], encoded["model"]);
    assert_eq!(decoded["refused"], json!([]));
    for (index, input) in ["a.png", "b.png"].into_iter().enumerate() {
        let (before, after) = (&encoded["masks"][index], &decoded["masks"][index]);
        assert_eq!(
            keys(after),
            [
                "file",
                "words",
                "codes",
                "area",
                "bbox",
                "predicted_iou",
                "problems"
            ]
        );
        assert_eq!(
            (&before["words"], &before["codes"]),
            (&after["words"], &after["codes"])
        );
        assert_eq!(after["file"], format!("new/masks/photo.mask{}.png", index + 1));
        let read = |name: &str| {
            read_mask(&workspace.path(name), SIZE, &Limits::default())
                .unwrap()
                .mask
        };
        let (mask, rebuilt) = (read(input), read(after["file"].as_str().unwrap()));
        assert_eq!(after["area"], rebuilt.area());
        let iou = metrics::iou(&mask, &rebuilt).unwrap();
        assert!(
            (iou - before["iou"].as_f64().unwrap()).abs() < 1e-4,
            "{iou} is not {}",
            before["iou"]
        );
    }
}

#[test]
fn a_search_is_never_worse_than_the_nearest_codes() {
    let workspace = Workspace::new();
    let iou = |arguments: &[&str]| {
        let mut all = vec!["encode", "photo.png", "--mask", "a.png", "--json"];
        all.extend(arguments);
        let document = workspace.run(&all).json();
        assert_eq!(keys(&document["timings_ms"]).len(), 6, "the same keys");
        document["masks"][0]["iou"].as_f64().unwrap()
    };
    assert!(iou(&["--searched", "3"]) >= iou(&[]));
}

#[test]
fn one_bad_mask_does_not_keep_the_others() {
    let workspace = Workspace::new();
    workspace.write_mask("empty.png", &[]);
    let arguments = [
        "encode",
        "photo.png",
        "--mask",
        "a.png",
        "--mask",
        "empty.png",
        "b.png",
    ];
    let answer = workspace.run(&arguments);
    assert_eq!(answer.stderr.lines().count(), 1, "{}", answer.stderr);
    assert!(
        answer.stderr.starts_with("samtok: error: the mask is empty"),
        "{}",
        answer.stderr
    );
    let table = answer.expect(1);
    let files: Vec<&str> = table
        .lines()
        .skip(2)
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(files, ["a.png", "b.png"]);
    assert!(
        table.lines().skip(2).all(|line| line.ends_with("<|mt_end|>")),
        "{table}"
    );

    let document: Value =
        serde_json::from_str(&workspace.run(&[&arguments[..], &["--json"]].concat()).expect(1)).unwrap();
    assert_eq!(document["masks"].as_array().unwrap().len(), 2);
    assert_eq!(document["failed"][0]["file"], "empty.png");

    let document: Value = serde_json::from_str(
        &workspace
            .run(&["encode", "photo.png", "--mask", "empty.png", "--json"])
            .expect(2),
    )
    .unwrap();
    assert_eq!(document["masks"], json!([]));
    assert_eq!(document["failed"].as_array().unwrap().len(), 1);
}

#[test]
fn decoding_replaces_nothing_unless_forced() {
    let workspace = Workspace::new();
    let words = "<|mt_start|><|mt_0003|><|mt_0040|><|mt_end|>";
    workspace.write("photo.mask1.png", "mine");
    let before = workspace.contents();
    let error = workspace
        .run(&["decode", "photo.png", "--words", words])
        .expect_error();
    assert!(error.contains("--force"), "{error}");
    assert_eq!(workspace.contents(), before);
    let table = workspace
        .run(&["decode", "photo.png", "--words", words, "--force"])
        .expect(0);
    assert!(
        table.lines().last().unwrap().ends_with(" photo.mask1.png"),
        "{table}"
    );
    assert_ne!(workspace.contents(), before);
}

#[test]
fn words_come_from_standard_input_and_are_mended() {
    let workspace = Workspace::new();
    let mut command = workspace.command(&["decode", "photo.png", "--words", "-", "--json"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"<|mt_start|><|mt_0003|><|mt_end|> is beside <|mt_0004|><|mt_0041|>; <|mt_end|>")
        .unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "one part was refused");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let masks = document["masks"].as_array().unwrap();
    assert_eq!(
        masks.iter().map(|mask| &mask["codes"]).collect::<Vec<_>>(),
        [&json!([3, null]), &json!([4, 9])]
    );
    assert_eq!(masks[0]["problems"][0]["problem"], "missing_word");
    assert_eq!(masks[1]["problems"][0]["problem"], "missing_start");
    assert_eq!(document["refused"][0]["problem"], "stray_end");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("samtok: warning: mask 1: there is no word for depth 2"),
        "{stderr}"
    );
}

#[test]
fn clicks_become_masks_and_words() {
    let workspace = Workspace::new();
    let one = workspace
        .run(&["segment", "photo.png", "--point", "50,50", "--json"])
        .json();
    assert_eq!(
        one["masks"].as_array().unwrap().len(),
        1,
        "the best candidate only"
    );
    let mask = &one["masks"][0];
    assert_eq!(
        keys(mask),
        ["file", "words", "codes", "area", "bbox", "predicted_iou", "iou"]
    );
    assert_eq!(mask["file"], "photo.segment.png");
    let read = |name: &str| {
        read_mask(&workspace.path(name), SIZE, &Limits::default())
            .unwrap()
            .mask
    };
    assert_eq!(mask["area"], read("photo.segment.png").area());

    let all = workspace
        .run(&[
            "segment",
            "photo.png",
            "--point",
            "50,50",
            "--all",
            "--out",
            "c.png",
            "--json",
        ])
        .json();
    let ious: Vec<f64> = all["masks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["predicted_iou"].as_f64().unwrap())
        .collect();
    assert!(ious.is_sorted_by(|a, b| a >= b) && ious.len() > 1, "{ious:?}");
    assert_eq!(all["masks"][0]["file"], "c1.png");
    assert_eq!(all["masks"][0]["codes"], mask["codes"]);
    assert_eq!(read("c1.png"), read("photo.segment.png"));

    let encoded = workspace
        .run(&["encode", "photo.png", "--mask", "c1.png", "--json"])
        .json();
    assert_eq!(
        encoded["masks"][0]["words"], mask["words"],
        "the words are those of the file that was written"
    );

    // The golden checkpoint has all that a base network has.
    let base = super::golden().join("mask_tokenizer_32x2_tiny.pth");
    let arguments = [
        "segment",
        "photo.png",
        "--box",
        "10,20,400,80",
        "--point",
        "30,30",
        "--point",
        "1,1,-",
    ];
    let flags = [
        "--prompt-model",
        base.to_str().unwrap(),
        "--out",
        "box.png",
        "--json",
    ];
    let boxed = workspace.run(&[&arguments[..], &flags].concat()).json();
    assert_eq!(boxed["masks"].as_array().unwrap().len(), 1);
    assert!(workspace.path("box.png").exists());
}

#[test]
fn words_are_found_repaired_and_refused() {
    let workspace = Workspace::new();
    let document = workspace
        .run(&["words", "a <|mt_0023|><|mt_0311|>", "--json"])
        .json();
    assert_eq!(document["masks"][0]["codes"], json!([23, 55]));
    assert_eq!(
        document["repaired_text"],
        "a <|mt_start|><|mt_0023|><|mt_0311|><|mt_end|>"
    );
    let refused = workspace.run(&["words", "<|mt_end|>"]).expect(1);
    assert!(refused.starts_with("refused bytes 0..10"), "{refused}");
    assert_eq!(
        workspace.run(&["words", "No target."]).expect(2),
        "No mask words.\n"
    );
}
