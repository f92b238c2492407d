//! Tests of the sidecar's JSON: what is kept, the order of keys, and errors that say where.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dataset::document::{Caption, ImageRef, MaskWords, Region, mask_blake3};
use crate::dataset::vocabulary::{Color, Role, Status, Task};
use crate::mask::Mask;

/// Every key that is known, in its order, with keys that are not known at every level.
const FULL: &str = r##"{
  "format": "samtok-annotation",
  "version": 1,
  "image": {
    "file_name": "photo.jpg",
    "width": 4,
    "height": 3,
    "blake3": "ab",
    "x-image": 1
  },
  "tokenizers": {
    "T2": {
      "name": "samtok-nano",
      "fingerprint": "fe",
      "codebook_size": 256,
      "codebook_depth": 2,
      "x-tokenizer": null
    },
    "T1": {
      "name": "",
      "fingerprint": "fd",
      "codebook_size": 32,
      "codebook_depth": 4
    }
  },
  "regions": [
    {
      "id": "r1",
      "label": "scratch",
      "color": "#e4572e",
      "mask": {
        "size": [
          3,
          4
        ],
        "counts": "421O3",
        "x-mask": [
          0.3333333333333333,
          1e-7,
          18446744073709551615
        ]
      },
      "bbox": [
        1,
        1,
        2,
        2
      ],
      "area": 3,
      "words": {
        "text": "<|mt_start|><|mt_0023|><|mt_0311|><|mt_end|>",
        "codes": [
          23,
          55
        ],
        "tokenizer": "T2",
        "iou": 0.87,
        "mask_blake3": "cd",
        "x-words": {}
      },
      "captions": [
        {
          "text": "A scratch, [[r1]], beside [[r9]].",
          "value": "A scratch, <|mt_start|><|mt_0023|><|mt_0311|><|mt_end|>, beside [[r9]].",
          "author": "human",
          "x-caption": "ü\u0001"
        }
      ],
      "attributes": {
        "severity": "minor",
        "a": [
          1,
          2.5
        ]
      },
      "source": "brush",
      "status": "done",
      "x-region": true
    },
    {
      "id": "r2",
      "label": "",
      "mask": {
        "size": [
          3,
          4
        ],
        "counts": "<"
      },
      "bbox": [
        0,
        0,
        0,
        0
      ],
      "area": 0,
      "captions": [
        {
          "text": "Nothing yet: [[r2]]."
        }
      ],
      "attributes": {},
      "source": "",
      "status": "draft"
    }
  ],
  "conversations": [
    {
      "id": "c1",
      "task": "region_qa",
      "turns": [
        {
          "role": "user",
          "text": "What is wrong with [[r1]]?",
          "value": "What is wrong with <|mt_start|><|mt_0023|><|mt_0311|><|mt_end|>?",
          "x-turn": "y"
        },
        {
          "role": "assistant",
          "text": "It is scratched.",
          "value": "It is scratched."
        }
      ],
      "status": "approved",
      "x-conversation": {
        "z": 1,
        "a": 2
      }
    }
  ],
  "status": "rejected",
  "notes": "two\nlines",
  "modified": "2026-01-31T12:00:00Z",
  "revision": 17,
  "x-document": "kept"
}
"##;

fn full() -> Value {
    serde_json::from_str(FULL).unwrap()
}

fn read_value(value: &Value) -> Result<Document, FormatError> {
    read(value.to_string().as_bytes())
}

#[test]
fn reading_and_writing_gives_the_same_bytes() {
    let document = read(FULL.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(write(&document).unwrap()).unwrap(), FULL);
}

#[test]
fn what_was_read_is_what_the_file_says() {
    let document = read(FULL.as_bytes()).unwrap();
    let region = &document.regions[0];
    assert_eq!(document.image.size, ImageSize::new(4, 3));
    assert_eq!(
        region.color,
        Some(Color {
            rgb: [0xe4, 0x57, 0x2e]
        })
    );
    assert_eq!(
        Mask::from_rle(&region.mask.rle).to_bytes(),
        [0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0]
    );
    assert_eq!(region.words.as_ref().unwrap().codes, [23, 55]);
    assert_eq!((region.status, document.status), (Status::Done, Status::Rejected));
    let conversation = &document.conversations[0];
    assert_eq!(
        (conversation.task, conversation.turns[1].role),
        (Task::RegionQa, Role::Assistant)
    );
    assert_eq!(
        (document.modified.unwrap().to_string().as_str(), document.revision),
        ("2026-01-31T12:00:00Z", 17)
    );
}

#[test]
fn keys_come_in_the_published_order_whatever_the_order_read() {
    /// `value` with the keys of its objects in reverse, the free attributes and unknown objects left alone.
    fn reversed(value: Value) -> Value {
        match value {
            Value::Object(keys) => {
                let keep = |key: &str| matches!(key, "attributes" | "tokenizers") || key.starts_with("x-");
                let mut keys: Vec<(String, Value)> = keys
                    .into_iter()
                    .map(|(key, value)| {
                        if keep(&key) {
                            (key, value)
                        } else {
                            (key, reversed(value))
                        }
                    })
                    .collect();
                keys.reverse();
                Value::Object(keys.into_iter().collect())
            }
            Value::Array(items) => items.into_iter().map(reversed).collect(),
            other => other,
        }
    }
    let document = read_value(&reversed(full())).unwrap();
    assert_eq!(String::from_utf8(write(&document).unwrap()).unwrap(), FULL);
}

#[test]
fn derived_values_are_not_trusted() {
    let mut wrong = full();
    wrong["regions"][0]["bbox"] = json!("nonsense");
    wrong["regions"][0]["area"] = json!(-1);
    wrong["regions"][0]["captions"][0]["value"] = json!(["old"]);
    wrong["conversations"][0]["turns"][0]
        .as_object_mut()
        .unwrap()
        .remove("value");
    let document = read_value(&wrong).unwrap();
    let written: Value = serde_json::from_slice(&write(&document).unwrap()).unwrap();
    assert_eq!(written, full());
}

#[test]
fn a_hand_written_minimum_is_enough() {
    let text = r#"{"format": "samtok-annotation", "version": 1,
        "image": {"file_name": "a.png", "width": 2.0, "height": 2e0},
        "regions": [{"id": "r1", "mask": {"size": [2, 2], "counts": "13"}, "words": null}]}"#;
    for bytes in [
        text.as_bytes().to_vec(),
        [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
    ] {
        let document = read(&bytes).unwrap();
        assert_eq!(document.regions[0].status, Status::Draft);
        assert_eq!((document.modified, document.revision), (None, 0));
        assert_eq!(read(&write(&document).unwrap()).unwrap(), document);
    }
}

#[test]
fn errors_name_the_place() {
    let cases: &[(&str, Value, &str)] = &[
        ("/format", json!("labelme"), "not a SAMTok annotation"),
        ("/version", json!(2), "version 2, made by a newer version"),
        ("/version", json!(0), "at version: expected 1, found 0"),
        ("/version", json!("1"), "at version: expected 1, found a text"),
        ("/version", json!(null), "at version: this key is missing"),
        ("/image", json!(null), "at image: this key is missing"),
        (
            "/image",
            json!([1]),
            "at image: expected an object, found a list of 1",
        ),
        (
            "/image/width",
            json!(-4),
            "at image.width: expected a whole number",
        ),
        (
            "/image/width",
            json!(4.5),
            "at image.width: expected a whole number",
        ),
        (
            "/image/width",
            json!(5),
            "at regions[0].mask.size: the mask has 4 x 3 pixels and the image 5 x 3",
        ),
        (
            "/tokenizers/T2/fingerprint",
            json!(7),
            "at tokenizers.T2.fingerprint: expected a text, found 7",
        ),
        (
            "/regions",
            json!({}),
            "at regions: expected a list, found an object",
        ),
        (
            "/regions/1",
            json!(3),
            "at regions[1]: expected an object, found 3",
        ),
        (
            "/regions/1/id",
            json!("r1"),
            "at regions[1].id: \"r1\" is the id of another region too",
        ),
        (
            "/regions/1/id",
            json!(""),
            "at regions[1].id: an id has at least one character",
        ),
        (
            "/regions/1/id",
            json!("a]"),
            "at regions[1].id: an id has at least one character",
        ),
        (
            "/regions/0/color",
            json!("red"),
            "at regions[0].color: expected a colour such as #e4572e, found \"red\"",
        ),
        (
            "/regions/0/mask/size",
            json!([3]),
            "at regions[0].mask.size: expected [height, width]",
        ),
        (
            "/regions/0/mask/counts",
            json!("42"),
            "at regions[0].mask.counts: ",
        ),
        (
            "/regions/0/mask/counts",
            json!([1, 2]),
            "at regions[0].mask.counts: expected a text, found a list of 2",
        ),
        (
            "/regions/0/words/codes/1",
            json!("x"),
            "at regions[0].words.codes[1]: expected a whole number",
        ),
        (
            "/regions/0/words/iou",
            json!(1.5),
            "at regions[0].words.iou: expected a number from 0 to 1, found 1.5",
        ),
        (
            "/regions/0/words/tokenizer",
            json!("T9"),
            "at regions[0].words.tokenizer: \"T9\" is not listed",
        ),
        (
            "/regions/0/captions/0/text",
            json!(null),
            "at regions[0].captions[0].text: this key is missing",
        ),
        (
            "/regions/0/attributes",
            json!("x"),
            "at regions[0].attributes: expected an object",
        ),
        (
            "/regions/0/status",
            json!("ok"),
            "expected one of draft, done, approved, rejected, found \"ok\"",
        ),
        (
            "/conversations/0/turns/1/role",
            json!("bot"),
            "at conversations[0].turns[1].role: expected one of user",
        ),
        (
            "/conversations/0/task",
            json!("chat"),
            "at conversations[0].task: expected one of caption, detailed_",
        ),
        (
            "/modified",
            json!("yesterday"),
            "at modified: expected a date and time such as 2026-01-31T12:00:00Z",
        ),
        (
            "/revision",
            json!(-1),
            "at revision: expected a whole number of at least 0, found -1",
        ),
    ];
    for (pointer, value, part) in cases {
        let mut document = full();
        *document.pointer_mut(pointer).unwrap() = value.clone();
        let message = read_value(&document).unwrap_err().to_string();
        assert!(
            message.contains(part) && !message.contains('\n'),
            "{pointer} = {value}: {message}"
        );
    }
    let mut twice = full();
    let conversation = twice["conversations"][0].clone();
    twice["conversations"].as_array_mut().unwrap().push(conversation);
    assert!(
        read_value(&twice)
            .unwrap_err()
            .to_string()
            .contains("at conversations[1].id: \"c1\"")
    );
    assert!(
        read(b"[]")
            .unwrap_err()
            .to_string()
            .contains("at the top of the document: expected an object")
    );
}

#[test]
fn bytes_that_break_off_are_no_document() {
    for kept in 0..FULL.len() - 2 {
        let error = read(&FULL.as_bytes()[..kept]).unwrap_err();
        assert!(
            matches!(error, FormatError::NotJson { .. }),
            "{kept} bytes: {error}"
        );
    }
    let deep = "[".repeat(1_000_000);
    assert!(matches!(
        read(deep.as_bytes()).unwrap_err(),
        FormatError::NotJson { .. }
    ));
    assert!(matches!(
        read(b"\xff\xfe{}").unwrap_err(),
        FormatError::NotJson { .. }
    ));
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let size = ImageSize::new(2, 2);
    let mut document = Document::new(ImageRef::new("a.png".as_ref(), size, None));
    let mask = Mask::full(size).unwrap().to_rle();
    document.regions.push(Region::new("r1".into(), mask.clone()));
    assert!(write(&document).is_ok());
    document.regions.push(Region::new("r1".into(), mask.clone()));
    assert!(
        write(&document)
            .unwrap_err()
            .to_string()
            .contains("at regions[1].id")
    );
    document.regions[1] = Region::new("r2".into(), Mask::full(ImageSize::new(3, 2)).unwrap().to_rle());
    assert!(matches!(
        write(&document).unwrap_err(),
        FormatError::MaskSize { .. }
    ));
    document.regions[1] = Region::new("r2".into(), mask.clone());
    document.regions[1].words = Some(MaskWords::new(
        "w".into(),
        vec![1],
        "T1".into(),
        Some(f32::NAN),
        &mask,
    ));
    assert!(
        write(&document)
            .unwrap_err()
            .to_string()
            .contains("regions[1].words.tokenizer")
    );
    assert_eq!(document.tokenizer_id("nano", "fe", 256, 1), "T1");
    let again = read(&write(&document).unwrap()).unwrap();
    assert_eq!(again, document);
    assert_eq!(
        again.regions[1].words.as_ref().unwrap().mask_blake3,
        mask_blake3(&mask)
    );
}

#[test]
fn unknown_keys_never_replace_known_ones() {
    let mut document = read(FULL.as_bytes()).unwrap();
    document.unknown.insert("revision".into(), json!("forged"));
    document.regions[0].unknown.insert("id".into(), json!("forged"));
    let written = write(&document).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), full());
}

/// Any JSON of a few levels.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..4)
                .prop_map(|keys| Value::Object(keys.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_document_survives_with_any_unknown_keys_and_texts(
        unknown in prop::collection::vec(("x[a-z\\[\"é]{0,5}", any_json()), 0..5),
        text in ".{0,40}",
        pixels in prop::collection::vec(any::<bool>(), 12),
        time in any::<u32>(),
    ) {
        let mut document = read(FULL.as_bytes()).unwrap();
        document.unknown = unknown.iter().cloned().collect();
        document.regions[1].attributes = unknown.into_iter().collect();
        document.regions[1].mask.rle =
            Mask::from_fn(ImageSize::new(4, 3), |x, y| pixels[(y * 4 + x) as usize]).unwrap().to_rle();
        document.regions[1].captions = vec![Caption::new(text.clone(), Some(text.clone()))];
        document.notes = text;
        document.touch((std::time::UNIX_EPOCH + std::time::Duration::from_secs(time.into())).into());
        let bytes = write(&document).unwrap();
        let again = read(&bytes).unwrap();
        prop_assert_eq!(&again, &document);
        prop_assert_eq!(write(&again).unwrap(), bytes);
    }

    #[test]
    fn a_changed_file_is_read_or_refused(pointer_index in any::<prop::sample::Index>(), value in any_json()) {
        let mut document = full();
        let pointers = pointers(&document);
        let pointer = &pointers[pointer_index.index(pointers.len())];
        *document.pointer_mut(pointer).unwrap() = value;
        if let Ok(read) = read_value(&document) {
            prop_assert!(write(&read).is_ok());
        }
    }
}

/// The JSON pointers of everything in `value`.
fn pointers(value: &Value) -> Vec<String> {
    let below = |key: &str, value: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        pointers(value)
            .into_iter()
            .map(move |pointer| format!("/{key}{pointer}"))
            .collect::<Vec<_>>()
    };
    let mut all = vec![String::new()];
    match value {
        Value::Object(keys) => all.extend(keys.iter().flat_map(|(key, value)| below(key, value))),
        Value::Array(items) => {
            all.extend(
                items
                    .iter()
                    .enumerate()
                    .flat_map(|(index, item)| below(&index.to_string(), item)),
            );
        }
        _ => {}
    }
    all
}
