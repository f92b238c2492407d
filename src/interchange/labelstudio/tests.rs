//! Exports of Label Studio as its editor writes them.

use super::*;
use crate::dataset::Status;
use crate::geometry::ImageSize;
use crate::interchange::tool_tests::{LABEL_STUDIO, Workplace, losses, rows};
use std::fs;

const SIZE: ImageSize = ImageSize::new(6, 4);

fn item(id: &str, from_name: &str, kind: &str, value: Value) -> Value {
    json!({"id": id, "from_name": from_name, "to_name": "img", "type": kind, "origin": "manual", "original_width": 6,
           "original_height": 4, "image_rotation": 0, "value": value})
}

fn task(image: &str, results: Value) -> Value {
    json!([{"id": 1, "data": {"image": image, "site": "north"}, "meta": {}, "predictions": [],
            "annotations": [{"id": 3, "was_cancelled": false, "result": results}]}])
}

#[test]
fn shapes_of_every_type_are_read() {
    let stroke: Vec<u8> = brush::encode(&Mask::from_fn(SIZE, |x, y| x == y).unwrap()).unwrap();
    let cases = [
        (
            "brushlabels",
            json!({"format": "rle", "rle": stroke, "brushlabels": ["cat"]}),
            "#..... .#.... ..#... ...#..",
        ),
        (
            "rectanglelabels",
            json!({"x": 50, "y": 25, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["cat"]}),
            "...... ...### ...### ......",
        ),
        (
            "rectanglelabels",
            json!({"x": 50, "y": 0, "width": 50, "height": 50, "rotation": 90, "rectanglelabels": ["cat"]}),
            ".##... .##... .##... ......",
        ),
        (
            "polygonlabels",
            json!({"points": [[0, 0], [50, 0], [50, 50], [0, 50]], "closed": true, "polygonlabels": ["cat"]}),
            "###... ###... ...... ......",
        ),
        (
            "ellipselabels",
            json!({"x": 50, "y": 50, "radiusX": 50, "radiusY": 25, "rotation": 0, "ellipselabels": ["cat"]}),
            "...... ###### ###### ......",
        ),
    ];
    for (kind, value, expected) in cases {
        let place = Workplace::new(&[("a.png", SIZE)]);
        let mut notes = Notes::default();
        let text = task("a.png", json!([item("x_1-Y", "tag", kind, value)])).to_string();
        let arrived = place
            .read(&LABEL_STUDIO, "tasks.json", &text, &mut notes)
            .unwrap();
        let document = &arrived[0].document;
        let [region] = &document.regions[..] else {
            panic!("{kind}: {:?}", losses(&notes));
        };
        assert_eq!(
            (rows(region).as_str(), region.label.as_str()),
            (expected, "cat"),
            "{kind}"
        );
        assert_eq!(document.status, Status::Done);

        let out = place.export(
            &LABEL_STUDIO,
            &[place.annotated("a.png", document.clone())],
            &mut notes,
        );
        let tasks: Value = serde_json::from_slice(&fs::read(out.join("tasks.json")).unwrap()).unwrap();
        assert_eq!(tasks[0]["annotations"][0]["result"][0]["id"], "x_1-Y");
        assert_eq!(tasks[0]["data"]["site"], "north");
        assert_eq!(
            place.import(&LABEL_STUDIO, &out, &mut notes).unwrap()[0].document,
            *document
        );
        assert_eq!(losses(&notes), Vec::<&str>::new());
    }
}

#[test]
fn results_of_one_id_are_one_region() {
    let polygon = json!({"points": [[0, 0], [50, 0], [50, 50], [0, 50]]});
    let said = |mut value: Value, key: &str, said: Value| {
        value[key] = said;
        value
    };
    let results = json!([
        item("a", "shape", "polygon", polygon.clone()),
        item("a", "kind", "labels", said(polygon.clone(), "labels", json!(["cat", "animal"]))),
        item("a", "caption", "textarea", said(polygon.clone(), "text", json!(["One.", "Two."]))),
        item("a", "state", "choices", said(polygon.clone(), "choices", json!(["ill"]))),
        item("a", "age", "number", said(polygon.clone(), "number", json!(3.5))),
        item("b", "quality", "choices", json!({"choices": ["good"]})),
        item("c", "dot", "keypointlabels", json!({"x": 1, "y": 2, "width": 0.3, "keypointlabels": ["eye"]})),
        {"type": "relation", "from_id": "a", "to_id": "c", "direction": "right"},
    ]);
    let place = Workplace::new(&[("a.png", SIZE)]);
    let mut notes = Notes::default();
    let text = task("a.png", results).to_string();
    let arrived = place
        .read(&LABEL_STUDIO, "tasks.json", &text, &mut notes)
        .unwrap();
    let [region] = &arrived[0].document.regions[..] else {
        panic!("{arrived:?}")
    };
    assert_eq!(region.label, "cat");
    let captions: Vec<&str> = region
        .captions
        .iter()
        .map(|caption| caption.text.as_str())
        .collect();
    assert_eq!(captions, ["One.", "Two."]);
    assert_eq!(
        Value::Object(region.attributes.clone()),
        json!({"state": "ill", "age": 3.5})
    );
    assert_eq!(
        losses(&notes),
        [
            "of several labels of one region only the first was taken",
            "points and lines, which have no area, were left out",
            "what was said about a whole image or in an unknown way was left out",
        ]
    );
}

#[test]
fn images_are_found_by_the_many_names_they_have() {
    let place = Workplace::new(&[("x y/ä 1.png", SIZE), ("b.png", SIZE)]);
    let cases = [
        ("/data/local-files/?d=x%20y/%C3%A4%201.png", Some("x y/ä 1.png")),
        ("/data/upload/2/0a1b2c3d-b.png", Some("b.png")),
        ("s3://bucket/some/b.png", Some("b.png")),
        ("https://example.org/b.png?token=1#x", Some("b.png")),
        ("..\\..\\b.png", Some("b.png")),
        ("/data/local-files/?d=../../etc/passwd", None),
        ("%zz%", None),
        ("", None),
    ];
    for (url, expected) in cases {
        let mut notes = Notes::default();
        let text = task(url, json!([])).to_string();
        let arrived = place
            .read(&LABEL_STUDIO, "tasks.json", &text, &mut notes)
            .unwrap();
        assert_eq!(
            arrived.first().map(|item| item.image.name.as_str()),
            expected,
            "{url}"
        );
    }
}

#[test]
fn the_right_annotation_is_taken() {
    let place = Workplace::new(&[("a.png", SIZE)]);
    let drawn = |label: &str| json!({"result": [item("a", "l", "rectanglelabels", json!({"x": 0, "y": 0, "width": 50, "height": 50, "rectanglelabels": [label]}))]});
    let cancelled = json!({"was_cancelled": true, "result": null});
    let several = "of several annotations of one image only the last was taken";
    let cases = [
        (json!([drawn("one")]), Some("one"), None),
        (json!([drawn("one"), drawn("two")]), Some("two"), Some(several)),
        (json!([drawn("one"), cancelled]), Some("one"), None),
        (json!([cancelled]), Some("guess"), None),
        (json!([]), Some("guess"), None),
    ];
    for (annotations, label, loss) in cases {
        let text = json!([{"data": {"image": "a.png"}, "annotations": annotations, "predictions": [drawn("guess")]}]);
        let mut notes = Notes::default();
        let arrived = place
            .read(&LABEL_STUDIO, "tasks.json", &text.to_string(), &mut notes)
            .unwrap();
        let regions = &arrived[0].document.regions;
        assert_eq!(
            regions.first().map(|region| region.label.as_str()),
            label,
            "{text}"
        );
        assert_eq!(losses(&notes).first().copied(), loss);
    }
}

#[test]
fn what_does_not_fit_is_noted_or_refused() {
    let place = Workplace::new(&[("a.png", SIZE)]);
    let polygon = json!({"points": [[0, 0], [50, 0], [50, 50]]});
    let mut large = item("a", "l", "polygon", polygon.clone());
    large["original_width"] = 600.into();
    let mut turned = item("a", "l", "polygon", polygon);
    turned["image_rotation"] = 90.into();
    let cases = [
        (large, "annotations of an image of another size were left out"),
        (turned, "regions drawn while the image was turned were left out"),
        (
            item(
                "a",
                "l",
                "brush",
                json!({"format": "rle", "rle": [255, 255, 255, 255, 57, 27]}),
            ),
            "damaged brush strokes were left out",
        ),
        (
            item("a", "l", "brush", json!({"format": "rle", "rle": []})),
            "damaged brush strokes were left out",
        ),
        (
            item(
                "a",
                "l",
                "polygon",
                json!({"points": [[1e300, 0], [0, 1], [1, 1]]}),
            ),
            "shapes with coordinates beyond all measure were left out",
        ),
        (
            item("a", "l", "polygon", json!({"points": []})),
            "shapes that cover no pixel of the image were left out",
        ),
    ];
    for (item, reason) in cases {
        let mut notes = Notes::default();
        let text = task("a.png", json!([item])).to_string();
        assert!(
            place
                .read(&LABEL_STUDIO, "tasks.json", &text, &mut notes)
                .unwrap()[0]
                .document
                .regions
                .is_empty()
        );
        assert_eq!(losses(&notes), [reason]);
    }
    for (text, reason) in [
        (r#"[{"image": "a.png", "label": []}]"#, "not as JSON-MIN"),
        (
            r#"[{"data": {}, "annotations": [{"result": [{"value": {"rle": [256]}}]}]}]"#,
            "256",
        ),
        (r#"[{"data": {}, "annotations": 3}]"#, "sequence"),
    ] {
        let error = place
            .read(&LABEL_STUDIO, "tasks.json", text, &mut Notes::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason) && error.ends_with("tasks.json"), "{error}");
    }
    let one = task("a.png", json!([]))[0].to_string();
    assert_eq!(
        place
            .read(&LABEL_STUDIO, "tasks.json", &one, &mut Notes::default())
            .unwrap()
            .len(),
        1,
        "a task alone"
    );
}
