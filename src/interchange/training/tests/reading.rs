//! Imports: records of others, our own after somebody changed them, and anything at all.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::super::{Images, Notes};
use super::super::sample::{CUP, MAN, PLATE, captioned, document, spelled, with};
use super::super::{Container, TrainingOptions, import};
use super::round_trip::{cases, values};
use super::{Place, counts};
use crate::dataset::{Region, Task, format};

#[test]
fn what_others_wrote_is_read() {
    let place = Place::new();
    place.annotated("x/a.png", document());
    let rle = |region: usize| json!({"size": [10, 20], "counts": counts(&document(), region)});
    let broken = "<|mt_start|><|mt_0001|><|mt_0257|>";
    let list = format!(
        "```json\n[{{\"mask_2d\": {CUP}, \"label\": \"one of the cups\"}},\n{{\"mask_2d\": \"{PLATE}\", \"label\": \"one of the cups\"}}]\n```"
    );
    let uuid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
    let llava = json!([
        {
            "id": 7,
            "image": "data/x/a.png",
            "conversations": [
                {"from": "human", "value": "<image>\nPlease segment cups in this image."},
                {"from": "gpt", "value": list, "bbox_2d": [1, 2, 3, 4]},
            ],
            "segmentation": [rle(0), rle(1)],
        },
        {
            "image": "x/a.png",
            "conversations": [
                {"from": "human", "value": format!("What is {broken}?\n<image>")},
                {"from": "gpt", "value": "A cup."},
            ],
        },
        {
            "image": ["x/a.png", "crop.png"],
            "conversations": [{"from": "human", "value": "<image>\nAnd <image>?"}, {"from": "gpt", "value": "No target."}],
            "segmentation": null,
        },
        {"image": "gone.png", "conversations": []},
        {"text": "no record"},
        {
            "image": "x/a.png",
            "conversations": [
                {"from": "human", "value": "<image>\nSegment the man."},
                {"from": "gpt", "value": MAN},
                {"from": "human", "value": format!("Left of {MAN}?")},
                {"from": "gpt", "value": CUP},
            ],
            "raw_conversations": [
                {"from": "human", "value": "<image>\nSegment the man."},
                {"from": "gpt", "value": uuid},
                {"from": "human", "value": format!("Left of {uuid}?")},
                {"from": "gpt", "value": "other"},
            ],
            "segmentation": {uuid: rle(2), "other": rle(0)},
        },
    ]);
    let source = place.out("theirs.json");
    fs::write(&source, llava.to_string()).unwrap();
    let (arrived, notes) = place.import(&source);
    let losses: Vec<&str> = notes.losses().map(|(what, ..)| what).collect();
    assert_eq!(
        losses,
        [
            "items that are no training records were left out",
            "records of images that are not there were left out"
        ]
    );
    let [arrived] = arrived.as_slice() else {
        panic!("{arrived:?}")
    };
    assert_eq!(arrived.image.name, "x/a.png");
    let document = &arrived.document;
    let regions: Vec<_> = document
        .regions
        .iter()
        .map(|region| {
            (
                region.id.as_str(),
                region.label.as_str(),
                region.words.as_ref().unwrap().text.as_str(),
            )
        })
        .collect();
    assert_eq!(
        regions,
        [("r1", "cups", CUP), ("r2", "cups", PLATE), ("r3", "", MAN)]
    );
    assert!(document.regions.iter().all(Region::has_fresh_words));
    let said: Vec<(Task, Vec<&str>)> = document
        .conversations
        .iter()
        .map(|conversation| {
            (
                conversation.task,
                conversation.turns.iter().map(|turn| turn.text.as_str()).collect(),
            )
        })
        .collect();
    let list = "```json\n[{\"mask_2d\": [[r1]], \"label\": \"one of the cups\"},\n{\"mask_2d\": \"[[r2]]\", \"label\": \"one of the cups\"}]\n```";
    let bare = format!("What is {CUP}?");
    let expected: [(Task, Vec<&str>); 4] = [
        (
            Task::ReferringSegmentation,
            vec!["Please segment cups in this image.", list],
        ),
        (Task::RegionQa, vec![&bare, "A cup."]),
        (Task::NoTarget, vec!["And <image>?", "No target."]),
        (
            Task::Interactive,
            vec!["Segment the man.", "[[r3]]", "Left of [[r3]]?", "[[r1]]"],
        ),
    ];
    assert_eq!(said, expected);
    assert_eq!(document.conversations[0].unknown["record"], json!({"id": 7}));
    assert_eq!(
        document.conversations[0].turns[1].unknown["bbox_2d"],
        json!([1, 2, 3, 4])
    );
    format::write(document).unwrap();

    let messages = json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is this?"}]},
            {"role": "assistant", "content": "A table."},
        ],
        "images": [{"path": "x/a.png"}],
    });
    let source = place.out("theirs.jsonl");
    fs::write(&source, format!("\u{feff}{messages}\n\n{messages}\n")).unwrap();
    let (arrived, _) = place.import(&source);
    let turns: Vec<&str> = arrived[0].document.conversations[1]
        .turns
        .iter()
        .map(|turn| turn.text.as_str())
        .collect();
    assert_eq!(turns, ["What is this?", "A table."]);
}

#[test]
fn a_record_that_somebody_changed_comes_as_a_conversation() {
    let place = Place::new();
    let document = with(document(), Task::Free, &["What?", "[[r1]]."]);
    let document = captioned(document, "r2", "A plate.");
    let item = place.annotated("a.png", document.clone());
    let options = TrainingOptions::new(Container::Jsonl);
    place.export(&[item], &options, "out").0.unwrap();
    let free = place.out("out").join("train/samtok_free-segment-00001.jsonl");
    let (arrived, notes) = place.import(&place.out("out"));
    assert_eq!(arrived.len(), 1);
    assert_eq!((&arrived[0].document, notes), (&document, Notes::default()));

    let text = fs::read_to_string(&free).unwrap();
    fs::write(&free, text.replace("What?", "What is that?")).unwrap();
    let (arrived, notes) = place.import(&place.out("out"));
    let [whole, changed] = arrived.as_slice() else {
        panic!("{arrived:?}")
    };
    assert_eq!(whole.document, document);
    assert_eq!(changed.document.conversations[0].turns[0].text, "What is that?");
    assert_eq!(changed.document.conversations[0].turns[1].text, "[[r1]].");
    assert_eq!(notes.remarks().count(), 1);

    // Alone, the file has records without their document.
    fs::write(&free, text).unwrap();
    let (arrived, notes) = place.import(&free);
    assert_eq!(arrived[0].document.conversations.len(), 1);
    assert_eq!(arrived[0].document.regions[0].mask, document.regions[0].mask);
    assert_eq!(notes.remarks().count(), 1);
}

#[test]
fn damaged_files_are_errors_that_name_the_place() {
    let place = Place::new();
    place.annotated("a.png", document());
    let images = Images::open(&place.images()).unwrap();
    for (name, bytes) in [
        ("a.json", &b"[{\"image\": \"a.png\", \"conversations\": ["[..]),
        ("a.jsonl", b"{}\n{\"image\""),
        ("a.parquet", b"PAR1abcdefghPAR1"),
        ("b.parquet", b""),
    ] {
        let path = place.out(name);
        fs::write(&path, bytes).unwrap();
        let error = import(&path, &images, &mut |_| Ok(()), &mut Notes::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(name), "{error}");
    }
    let error = import(&place.images(), &images, &mut |_| Ok(()), &mut Notes::default()).unwrap_err();
    assert!(
        error.to_string().contains("no .json, .jsonl or .parquet"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn any_record_is_imported_without_harm(values in prop::collection::vec(hostile(), 0..6)) {
        let place = Place::new();
        place.annotated("a.png", document());
        let source = place.out("x.jsonl");
        let lines: Vec<String> = values.iter().map(Value::to_string).collect();
        fs::write(&source, lines.join("\n")).unwrap();
        let (arrived, _) = place.import(&source);
        for arrived in arrived {
            prop_assert!(format::write(&arrived.document).is_ok());
        }
    }
}

/// Records with every known key holding anything.
fn hostile() -> impl Strategy<Value = Value> {
    let names = vec![
        "image",
        "images",
        "conversations",
        "messages",
        "segmentation",
        "segmentation_image_indices",
        "raw_conversations",
        "samtok",
        "id",
    ];
    let rle = json!({"size": [10, 20], "counts": "0h6"});
    let turns = json!([{"from": "human", "value": format!("<image>{CUP}")}, {"from": "gpt", "value": spelled("PLATE <|mt_start|>")}]);
    let own = json!("{\"image\":\"a.png\",\"origin\":\"x\",\"blake3\":\"\",\"document\":{}}");
    let value = prop_oneof![
        values(),
        Just(json!("a.png")),
        Just(json!(["a.png", "b.png"])),
        Just(turns),
        Just(json!([rle, null])),
        Just(json!({"a": rle})),
        Just(own),
    ];
    prop::collection::vec((prop::sample::select(names), value), 0..7).prop_map(|keys| {
        Value::Object(
            keys.into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    })
}
