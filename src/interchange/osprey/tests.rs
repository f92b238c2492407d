//! Entries as Osprey-724K has them.

use super::super::sample::Sample;
use super::super::set_tests::{annotated, conversation, exported, imported, only, said};
use super::*;
use std::fs;
use std::path::PathBuf;

fn entries() -> Value {
    json!([{
        "id": 9, "file_name": "COCO_train2014_000000000001.png", "height": 4, "width": 6,
        "annotation": [
            {"segmentation": [[0.6, 0.4, 4.2, 0.4, 4.2, 2.6, 0.6, 2.6]], "bbox": [0.6, 0.4, 3.6, 2.2], "category": "cat", "area": 7.92},
            {"segmentation": {"size": [4, 6], "counts": "d04"}, "bbox": [5, 0, 1, 4], "area": 4},
        ],
        "conversations": [
            {"from": "human", "value": "What is <region1> doing to <region3>?\n"},
            {"from": "gpt", "value": "It looks at <region2> and region2."},
        ],
    }])
}

fn sample() -> Sample {
    let sample = Sample::new();
    sample.image("images/000000000001.png", 6, 4);
    sample
}

fn write_again(arrived: Vec<Arrived>, sample: &Sample) -> PathBuf {
    let items = arrived.into_iter().map(|one| Annotated {
        path: one.image.path,
        name: one.image.name,
        document: one.document,
    });
    let (out, notes) = exported(export, items.collect(), &sample.path("out"));
    assert_eq!(said(&notes), [""; 0]);
    out
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn conversations_mention_their_regions_and_are_written_again() {
    let sample = sample();
    let path = sample.write("set/osprey_short_form.json", entries().to_string());
    let (arrived, notes) = imported(import, &path, &sample).unwrap();
    assert_eq!(said(&notes), [""; 0]);
    let document = only(arrived.clone());
    let texts: Vec<_> = document.conversations[0]
        .turns
        .iter()
        .map(|turn| turn.text.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "What is [[r1]] doing to <region3>?\n",
            "It looks at [[r2]] and region2."
        ]
    );
    let regions: Vec<_> = document
        .regions
        .iter()
        .map(|region| (region.label.as_str(), region.mask.rle.area()))
        .collect();
    assert_eq!(regions, [("cat", 9), ("", 4)]);
    let out = write_again(arrived, &sample);
    assert_eq!(json_file(&out.join("osprey_short_form.json")), entries());
    for name in ["osprey_conversation.json", "osprey_detail_description.json"] {
        assert_eq!(json_file(&out.join(name)), json!([]), "{name}");
    }
}

#[test]
fn descriptions_become_captions_and_are_written_again() {
    let sample = sample();
    let mut entries = entries();
    let entry = entries[0].as_object_mut().unwrap();
    entry.shift_remove("conversations");
    entry.insert(
        "description".into(),
        json!(["<region1>: A cat: it <sits> by <region2>.", "<region2>: A dog."]),
    );
    let path = sample.write("set/osprey_detail_description.json", entries.to_string());
    let (arrived, notes) = imported(import, &path, &sample).unwrap();
    assert_eq!(said(&notes), [""; 0]);
    let captions: Vec<_> = only(arrived.clone())
        .regions
        .into_iter()
        .flat_map(|region| region.captions)
        .map(|caption| caption.text)
        .collect();
    assert_eq!(captions, ["A cat: it <sits> by [[r2]].", "A dog."]);
    let out = write_again(arrived, &sample);
    assert_eq!(json_file(&out.join("osprey_detail_description.json")), entries);
}

#[test]
fn documents_of_our_own_become_entries() {
    let sample = Sample::new();
    let mut item = annotated(&sample, "a.png", 12, 9);
    item.document.regions = (0..3)
        .map(|kind| super::super::sample::region(&format!("r{kind}"), "x", 12, 9, kind))
        .collect();
    item.document.regions[0].captions = vec![
        Caption::new("one".into(), None),
        Caption::new("two, by [[r2]]".into(), None),
    ];
    item.document.regions[1].captions = vec![Caption::new("three".into(), None)];
    item.document.conversations = vec![
        conversation(
            "c1",
            Task::RegionQa,
            "What is [[r2]]?",
            "[[r2]] is left of [[r0]], [[r9]].",
        ),
        conversation("c2", Task::NoTarget, "?", "No target."),
        conversation("c3", Task::Free, "Hi?", "Ho."),
    ];
    let (out, notes) = exported(export, vec![item], &sample.path("out"));
    let expected = [
        "1 conversations that are answered with regions were left out",
        "1 conversations that mention no region are not read by Osprey",
    ];
    assert_eq!(said(&notes), expected);
    let asked = json_file(&out.join("osprey_conversation.json"));
    assert_eq!(
        asked[0]["conversations"][1],
        json!({"from": "gpt", "value": "<region2> is left of <region1>, [[r9]]."})
    );
    assert_eq!(asked[0]["annotation"].as_array().unwrap().len(), 2);
    assert_eq!(
        asked[0]["annotation"][0]["segmentation"],
        json!([[0, 0, 6, 0, 6, 4, 0, 4]])
    );
    let described = json_file(&out.join("osprey_detail_description.json"));
    assert_eq!(
        described[0]["description"],
        json!(["<region1>: one", "<region2>: three"])
    );
    assert_eq!(
        described[1]["description"],
        json!(["<region1>: two, by <region2>"])
    );
    assert_eq!(described[1]["annotation"].as_array().unwrap().len(), 2);
}

#[test]
fn odd_entries_are_told() {
    let sample = sample();
    let name = "000000000001.png";
    let path = sample.write("set/a.json", json!([
        7,
        {"file_name": "gone.png"},
        {"file_name": name, "height": -4, "width": 6},
        {"file_name": name, "annotation": [{}, {"segmentation": []}, {"segmentation": [[0, 0, 6, 0, 6, 4, 0, 4]]}],
         "description": ["<region1>: a", 7, "no number <region3>", "<region4>: d"],
         "conversations": [{"from": "human"}, {"value": "x"}, 3, {"from": "human", "value": "<region0><region99999999999999999999><region"}]},
    ]).to_string());
    let (arrived, notes) = imported(import, &path, &sample).unwrap();
    let document = only(arrived);
    assert_eq!(document.regions[0].captions[0].text, "no number [[r3]]");
    assert_eq!(
        document.conversations[0].turns[0].text,
        "<region0><region99999999999999999999><region"
    );
    let expected = [
        "1 annotations of an image of another size were left out",
        "3 descriptions without a region were left out",
        "1 entries that are no objects were left out",
        "2 regions with a segmentation that cannot be read were left out",
        "1 the image is not in the folder",
    ];
    assert_eq!(said(&notes), expected);
}
