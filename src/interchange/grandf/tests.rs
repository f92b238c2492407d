//! Captions as GLaMM has them.

use super::super::sample::Sample;
use super::super::set_tests::{annotated, conversation, exported, imported, only, said};
use super::*;
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::Mask;
use std::fs;
use std::ops::Range;

/// The run lengths of these columns of an image of 6 x 4 pixels.
fn columns(columns: Range<u32>) -> Value {
    let rect = PixelRect::new(columns.start, 0, columns.end - columns.start, 4);
    segmentation::run_lengths(&Mask::from_rects(ImageSize::new(6, 4), &[rect]).unwrap().to_rle())
}

fn record(groundings: Value) -> Value {
    json!([{
        "file_name": "a.png", "height": 4, "width": 6, "image_id": 7,
        "caption": "\"Ä man holds two Äpfel and a man waves.\"",
        "groundings": groundings,
    }])
}

fn read(value: &Value) -> (Sample, Vec<Arrived>, Vec<String>) {
    let sample = Sample::new();
    sample.image("images/a.png", 6, 4);
    let path = sample.write("set/GranDf_HA_GCG_train.json", value.to_string());
    let (arrived, notes) = imported(import, &path, &sample).unwrap();
    (sample, arrived, said(&notes))
}

#[test]
fn phrases_are_tagged_and_followed_by_their_regions() {
    let groundings = json!({
        "two äpfel": {"token_positives": [12, 21], "rle_masks": [columns(1..2), columns(3..5)], "extra": 1},
        "ä man": {"token_positives": [0, 5], "rle_masks": [columns(0..6)]},
        "a man": {"token_positives": [26, 31], "rle_masks": [columns(0..6)]},
        "nobody": {"token_positives": [-1, -1], "rle_masks": [columns(1..2)]},
    });
    let set = record(groundings);
    let (sample, arrived, said) = read(&set);
    assert_eq!(
        said,
        ["1 phrases that are not in their caption, or overlap another, only label their regions"]
    );
    let document = only(arrived.clone());
    assert_eq!(
        document.conversations[0].turns[1].text,
        "<|object_ref_start|> Ä man <|object_ref_end|> [[r3]] holds <|object_ref_start|> two Äpfel \
         <|object_ref_end|> [[r1]] [[r2]] and <|object_ref_start|> a man <|object_ref_end|> [[r3]] waves."
    );
    let labels: Vec<_> = document
        .regions
        .iter()
        .map(|region| region.label.as_str())
        .collect();
    assert_eq!(
        labels,
        ["two äpfel", "two äpfel", "ä man", "nobody"],
        "one man, mentioned twice"
    );
    let items = arrived.into_iter().map(|one| Annotated {
        path: one.image.path,
        name: one.image.name,
        document: one.document,
    });
    let (out, notes) = exported(export, items.collect(), &sample.path("out"));
    assert_eq!(notes.losses().count(), 0);
    let written: Value = serde_json::from_slice(&fs::read(out.join(FILE_NAME)).unwrap()).unwrap();
    assert_eq!(written, set);
}

#[test]
fn odd_entries_are_told() {
    let (_, arrived, said) = read(&json!([
        {"file_name": "a.png"},
        {"file_name": "b.png", "caption": "x", "groundings": {}},
        {"file_name": "../a.png/..", "caption": "x", "groundings": {}},
        {"file_name": "a.png", "height": 6, "width": 4, "caption": "x", "groundings": {}},
        {"file_name": "a.png", "caption": "a b", "groundings": {
            "a": {"token_positives": [0, 1], "rle_masks": [{"size": [4, 6], "counts": "~"}, {"size": [6, 4], "counts": [24]}, columns(6..6)]},
            "b": {"token_positives": [9e99, -1], "rle_masks": [columns(0..1)]},
            "a b": {"token_positives": [0, 3], "rle_masks": [columns(0..6)]},
        }},
        7,
    ]));
    let document = only(arrived);
    assert_eq!(
        document.conversations[0].turns[1].text,
        "a <|object_ref_start|> b <|object_ref_end|> [[r1]]"
    );
    let expected = [
        "1 annotations that were made before the image's EXIF rotation was applied were left out",
        "2 entries without a caption and groundings were left out",
        "2 masks that cannot be read were left out",
        "1 masks without a pixel were left out",
        "2 the image is not in the folder",
        "1 phrases that are not in their caption, or overlap another, only label their regions",
    ];
    assert_eq!(said, expected);
}

#[test]
fn edited_captions_get_new_positions() {
    let sample = Sample::new();
    let mut item = annotated(&sample, "a.png", 12, 9);
    item.document.regions = vec![super::super::sample::region("r1", "x", 12, 9, 0)];
    let text = "Ö: <|object_ref_start|>x<|object_ref_end|>[[r1]], [[r1]] (<|object_ref_start|> X <|object_ref_end|> \
                [[r9]]) <|object_ref_start|> end";
    item.document.conversations = vec![
        conversation("c1", Task::GroundedCaption, "?", text),
        conversation("c2", Task::Free, "?", "!"),
    ];
    let (out, notes) = exported(export, vec![item], &sample.path("out"));
    assert_eq!(
        said(&notes),
        ["1 conversations that are no grounded captions were left out"]
    );
    let written: Value = serde_json::from_slice(&fs::read(out.join(FILE_NAME)).unwrap()).unwrap();
    assert_eq!(written[0]["caption"], "Ö: x (X [[r9]]) <|object_ref_start|> end");
    assert_eq!(written[0]["groundings"]["x"]["token_positives"], json!([3, 4]));
    assert_eq!(
        written[0]["groundings"]["x"]["rle_masks"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(written[0]["groundings"]["X"]["token_positives"], json!([6, 7]));
}
