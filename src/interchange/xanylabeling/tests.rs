//! Files of X-AnyLabeling and edits made there.

use super::*;
use crate::dataset::{Conversation, Document, MaskWords, Role, Task, Turn};
use crate::interchange::tool_tests::{Workplace, XANYLABELING, losses, rows};
use std::fs;

const SIZE: ImageSize = ImageSize::new(6, 4);

fn file(shapes: Value, more: Value) -> String {
    let mut file = json!({"version": "3.0.0", "flags": {}, "checked": true, "shapes": shapes, "imagePath": "a.png",
                          "imageData": null, "imageHeight": 4, "imageWidth": 6, "description": "a street"});
    file.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    file.to_string()
}

fn shape(kind: &str, points: Value) -> Value {
    json!({"label": "a", "score": 0.5, "points": points, "group_id": null, "description": "", "difficult": true,
           "shape_type": kind, "flags": null, "attributes": {"colour": "red"}, "kie_linking": [[1, 2]]})
}

fn texts(document: &Document) -> Vec<Vec<(Role, &str)>> {
    document
        .conversations
        .iter()
        .map(|conversation| {
            conversation
                .turns
                .iter()
                .map(|turn| (turn.role, turn.text.as_str()))
                .collect()
        })
        .collect()
}

#[test]
fn foreign_files_are_read_and_come_back_the_same() {
    let place = Workplace::new(&[("a.png", SIZE)]);
    let shapes = json!([
        shape("rectangle", json!([[1, 1], [3, 1], [3, 3], [1, 3]])),
        shape("rotation", json!([[4, 0], [6, 0], [6, 4], [4, 4]])),
        shape(
            "cuboid",
            json!([[0, 0], [1, 0], [1, 1], [0, 1], [2, 2], [3, 2], [3, 3], [2, 3]])
        ),
        shape("linestrip", json!([[0, 0], [1, 0], [1, 1]])),
    ]);
    let more = json!({
        "tags": ["day"],
        "vqaData": {"question": "How many?", "answer": 3, "split": "train", "task": "region_qa"},
        "chat_history": [{"role": "user", "content": "<image> Who?", "image": "a.png"}, {"role": "assistant", "content": "Me.", "image": null}],
    });
    let mut notes = Notes::default();
    let arrived = place
        .read(&XANYLABELING, "a.json", &file(shapes, more), &mut notes)
        .unwrap();
    let document = &arrived[0].document;
    let masks: Vec<String> = document.regions.iter().map(rows).collect();
    assert_eq!(
        masks,
        [
            "...... .##... .##... ......",
            "....## ....## ....## ....##",
            "#..... ...... ...... ......"
        ]
    );
    assert_eq!(
        losses(&notes),
        ["points and lines, which have no area, were left out"]
    );
    assert_eq!(
        (document.status, document.notes.as_str()),
        (Status::Done, "a street")
    );
    assert_eq!(
        Value::Object(document.regions[0].attributes.clone()),
        json!({"colour": "red", "difficult": true})
    );
    let chat = vec![(Role::User, "Who?"), (Role::Assistant, "Me.")];
    assert_eq!(
        texts(document),
        [chat, vec![(Role::User, "How many?"), (Role::Assistant, "3")]]
    );
    assert_eq!(document.conversations[1].task, Task::RegionQa);

    let out = place.export(
        &XANYLABELING,
        &[place.annotated("a.png", document.clone())],
        &mut notes,
    );
    let written: Value = serde_json::from_slice(&fs::read(out.join("a.json")).unwrap()).unwrap();
    assert_eq!(written["tags"], json!(["day"]));
    assert_eq!(written["vqaData"]["split"], "train");
    assert_eq!(written["shapes"][0]["score"], 0.5);
    assert_eq!(written["shapes"][0]["kie_linking"], json!([[1, 2]]));
    assert_eq!(written["shapes"][0]["difficult"], true);
    assert_eq!(written["chat_history"][0]["content"], "<image>Who?");
    assert_eq!(
        place.import(&XANYLABELING, &out, &mut Notes::default()).unwrap()[0].document,
        *document
    );
}

/// A region of two parts with words, and two conversations about it.
fn document(place: &Workplace) -> Document {
    let mut document = place.document("a.png");
    let mask = Mask::from_fn(SIZE, |x, y| (x < 3 && !(x == 1 && y == 1)) || x == 5).unwrap();
    let mut region = Region::new("r1".to_owned(), mask.to_rle());
    region.label = "cat".to_owned();
    let tokenizer = document.tokenizer_id("nano", "f", 256, 2);
    region.words = Some(MaskWords::new(
        "<w>".to_owned(),
        vec![1, 2],
        tokenizer,
        None,
        &region.mask.rle,
    ));
    document.regions.push(region);
    for (id, turns) in [("c1", ["Is [[r1]] a cat?", "Yes."]), ("c2", ["And now?", "No."])] {
        let mut conversation = Conversation::new(id.to_owned(), Task::RegionQa);
        let [question, answer] = turns.map(str::to_owned);
        conversation.turns = vec![
            Turn::new(Role::User, question),
            Turn::new(Role::Assistant, answer),
        ];
        document.conversations.push(conversation);
    }
    document
}

/// Exports the document, changes the file, and reads it again.
fn edited(edit: impl FnOnce(&mut Value)) -> Document {
    let place = Workplace::new(&[("a.png", SIZE)]);
    let items = [place.annotated("a.png", document(&place))];
    let path = place
        .export(&XANYLABELING, &items, &mut Notes::default())
        .join("a.json");
    let mut file: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut file);
    fs::write(&path, file.to_string()).unwrap();
    place
        .import(&XANYLABELING, &path, &mut Notes::default())
        .unwrap()
        .remove(0)
        .document
}

#[test]
fn parts_are_polygons_of_one_group_and_holes_are_bridged() {
    let document = edited(|file| {
        let shapes = file["shapes"].as_array().unwrap();
        assert_eq!(shapes.len(), 2);
        assert!(
            shapes
                .iter()
                .all(|shape| shape["group_id"] == 1 && shape["shape_type"] == "polygon")
        );
        let points = json!([
            [0.0, 0.0],
            [3.0, 0.0],
            [3.0, 4.0],
            [0.0, 4.0],
            [0.0, 1.0],
            [1.0, 1.0],
            [1.0, 2.0],
            [2.0, 2.0],
            [2.0, 1.0],
            [1.0, 1.0],
            [0.0, 1.0]
        ]);
        assert_eq!(shapes[0]["points"], points);
        assert_eq!(file["chat_history"][0]["content"], "<image>Is <w> a cat?");
    });
    assert!(document.regions[0].has_fresh_words());
    assert_eq!(document.regions.len(), 1);
}

#[test]
fn edited_polygons_win_over_the_carried_mask() {
    let whole = "###..# #.#..# ###..# ###..#";
    type Case<'a> = (fn(&mut Value), &'a [&'a str]);
    let cases: [Case<'_>; 6] = [
        (|_| {}, &[whole]),
        (|file| file["shapes"][1]["points"][0][0] = json!(5.001), &[whole]),
        (
            |file| file["shapes"][1]["points"] = json!([[4, 0], [6, 0], [6, 1], [4, 1]]),
            &["###.## #.#... ###... ###..."],
        ),
        (
            |file| drop(file["shapes"].as_array_mut().unwrap().remove(1)),
            &["###... #.#... ###... ###..."],
        ),
        (
            |file| {
                let copy = file["shapes"][0].clone();
                file["shapes"].as_array_mut().unwrap().push(copy);
            },
            &[whole],
        ),
        (
            |file| file["shapes"][1]["label"] = "dog".into(),
            &["###... #.#... ###... ###...", ".....# .....# .....# .....#"],
        ),
    ];
    for (edit, expected) in cases {
        let masks: Vec<String> = edited(edit).regions.iter().map(rows).collect();
        assert_eq!(masks, expected);
    }
    let moved = edited(|file| file["shapes"][1]["points"] = json!([[3, 0], [4, 0], [4, 1], [3, 1]]));
    assert!(!moved.regions[0].has_fresh_words() && moved.regions[0].id == "r1");
}

#[test]
fn chats_are_matched_to_conversations() {
    let unchanged = edited(|_| {});
    assert_eq!(unchanged.conversations.len(), 2);
    assert!(
        unchanged.unknown.is_empty(),
        "the question was not kept twice: {:?}",
        unchanged.unknown
    );

    let answered = edited(|file| file["chat_history"][1]["content"] = "No, <w> is a dog.".into());
    assert_eq!(answered.conversations[0].turns[1].text, "No, [[r1]] is a dog.");
    assert_eq!(answered.conversations[0].task, Task::RegionQa);

    let overwritten = edited(|file| {
        file["chat_history"] =
            json!([{"role": "user", "content": "Describe <w>"}, {"role": "assistant", "content": "A cat."}]);
    });
    assert_eq!(overwritten.conversations.len(), 3, "nothing is removed");
    assert_eq!(overwritten.conversations[2].turns[0].text, "Describe [[r1]]");

    let continued = edited(|file| {
        let chat = file["chat_history"].as_array_mut().unwrap();
        chat.push(json!({"role": "user", "content": "Sure?"}));
        chat.push(json!({"role": "system", "content": "x"}));
    });
    assert_eq!(texts(&continued)[2], [(Role::User, "Sure?")]);

    let asked = edited(|file| file["vqaData"] = json!({"question": "Which <w>?", "answer": "This."}));
    assert_eq!(
        texts(&asked)[2],
        [(Role::User, "Which [[r1]]?"), (Role::Assistant, "This.")]
    );
    assert_eq!(
        edited(|file| drop(file.as_object_mut().unwrap().remove("chat_history")))
            .conversations
            .len(),
        2
    );
}

#[test]
fn damaged_keys_of_ours_are_left_out() {
    let cases: [fn(&mut Value); 4] = [
        |file| file[KEY] = json!({"version": 99}),
        |file| file["shapes"][0][KEY]["region"]["status"] = "great".into(),
        |file| file["shapes"][0][KEY]["counts"] = "###".into(),
        |file| file["shapes"][0][KEY] = json!([1, 2]),
    ];
    for edit in cases {
        let document = edited(edit);
        assert_eq!(rows(&document.regions[0]), "###..# #.#..# ###..# ###..#");
        assert_eq!(document.regions[0].label, "cat");
    }
}
