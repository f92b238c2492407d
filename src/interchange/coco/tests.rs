//! COCO instances: what we write comes back whole, and what others write is read in all its forms.

use super::super::sample::Sample;
use super::super::{Arrived, Format, InterchangeError};
use super::*;
use crate::dataset::Document;
use serde_json::Value;
use std::fs;

/// What a file gives for the image `a.png` of 6 x 4 pixels and `sub/b.png` of 3 x 2.
fn read(file: &Value) -> (Vec<Arrived>, Notes) {
    read_text(&file.to_string()).unwrap()
}

fn read_text(text: &str) -> Result<(Vec<Arrived>, Notes)> {
    let sample = Sample::new();
    sample.image("a.png", 6, 4);
    sample.image("sub/b.png", 3, 2);
    let path = sample.write("coco.json", text);
    let (mut arrived, mut notes) = (Vec::new(), Notes::default());
    let images = Images::open(sample.folder()).unwrap();
    let mut take = |one| {
        arrived.push(one);
        Ok(())
    };
    Format::Coco.import(&path, &images, &mut take, &mut notes)?;
    Ok((arrived, notes))
}

fn file(annotations: Value) -> Value {
    json!({
        "images": [{"id": 1, "file_name": "a.png", "width": 6, "height": 4}],
        "categories": [{"id": 7, "name": "cat", "supercategory": "animal"}],
        "annotations": annotations,
    })
}

/// The rows of a region, `#` where it is.
fn rows(region: &Region) -> String {
    let mask = Mask::from_rle(&region.mask.rle);
    let row = |y| {
        (0..mask.size().width)
            .map(|x| if mask.get(x, y) { '#' } else { '.' })
            .collect()
    };
    let rows: Vec<String> = (0..mask.size().height).map(row).collect();
    rows.join(" ")
}

fn losses(notes: &Notes) -> Vec<(String, u64)> {
    notes
        .losses()
        .map(|(what, count, _)| (what.to_owned(), count))
        .collect()
}

fn remarks(notes: &Notes) -> Vec<String> {
    notes.remarks().map(|(what, ..)| what.to_owned()).collect()
}

#[test]
fn every_form_of_segmentation_is_read() {
    let square = json!([[1, 1, 3, 1, 3, 3, 1, 3]]);
    let ring = json!([[0, 0, 5, 0, 5, 4, 0, 4], [1, 1, 4, 1, 4, 3, 1, 3]]);
    let hole_first = json!([[1, 1, 4, 1, 4, 3, 1, 3], [0, 0, 5, 0, 5, 4, 0, 4]]);
    let twice = json!([[0, 0, 2, 0, 2, 2, 0, 2], [0, 0, 2, 0, 2, 2, 0, 2]]);
    let apart = json!([[0.0, 0.0, 1.0, 0.0, 1.0, 2.0, 0.0, 2.0], [4, 2, 6, 2, 6, 4, 4, 4]]);
    let full_twice = json!([[0, 0, 6, 0, 6, 4, 0, 4], [0, 0, 6, 0, 6, 4, 0, 4]]);
    let overlapping = json!([[0, 0, 3, 0, 3, 2, 0, 2], [2, 1, 5, 1, 5, 4, 2, 4]]);
    for (segmentation, expected) in [
        (&square, "...... .##... .##... ......"),
        (&ring, "#####. #...#. #...#. #####."),
        (&hole_first, "#####. #...#. #...#. #####."),
        (&twice, "##.... ##.... ...... ......"),
        (&full_twice, "###### ###### ###### ######"),
        (&apart, "#..... #..... ....## ....##"),
        (&overlapping, "###... #####. ..###. ..###."),
        (&json!([1, 1, 3, 1, 3, 3, 1, 3]), "...... .##... .##... ......"),
        (
            &json!({"size": [4, 6], "counts": [5, 2, 2, 2, 13]}),
            "...... .##... .##... ......",
        ),
        (
            &json!({"size": [4, 6], "counts": "5220;"}),
            "...... .##... .##... ......",
        ),
    ] {
        let (arrived, notes) = read(&file(
            json!([{"id": 1, "image_id": 1, "category_id": 7, "segmentation": segmentation}]),
        ));
        assert_eq!(losses(&notes), [], "{segmentation}");
        assert_eq!(rows(&arrived[0].document.regions[0]), expected, "{segmentation}");
        let is_ring = *segmentation == ring || *segmentation == hole_first;
        assert_eq!(remarks(&notes).len(), usize::from(is_ring), "{segmentation}");
    }
}

#[test]
fn ids_and_flags_of_any_type_are_understood() {
    let text = json!({
        "annotations": [
            {"id": 1, "image_id": "3", "category_id": 7.0, "bbox": [1, 1, 2, 2], "iscrowd": true, "score": 0.5,
             "attributes": {"occluded": false, "n": 2}, "caption": "a cat\n\nasleep"},
            {"id": "x", "image_id": 3.0, "category_id": true, "segmentation": [], "bbox": [0, 0, 1, 1], "iscrowd": 0,
             "captions": ["one", "two"]},
        ],
        "categories": [{"id": 7, "name": "cat", "supercategory": "animal"}, {"id": 1, "name": "dog"}],
        "images": [{"id": 3, "file_name": "data\\sub\\b.png", "license": 4}],
    });
    let (arrived, notes) = read(&text);
    assert_eq!(losses(&notes), []);
    assert_eq!(
        remarks(&notes),
        ["annotations of a box alone were taken as rectangles"]
    );
    assert_eq!(arrived.len(), 1);
    let Document { regions, unknown, .. } = &arrived[0].document;
    assert_eq!(arrived[0].image.name, "sub/b.png");
    assert_eq!(unknown["coco"], json!({"license": 4}));
    assert_eq!(
        (regions[0].label.as_str(), regions[1].label.as_str()),
        ("cat", "dog")
    );
    assert_eq!(
        Value::Object(regions[0].attributes.clone()),
        json!({"occluded": false, "n": 2, "iscrowd": true})
    );
    assert_eq!(
        regions[0].unknown["coco"],
        json!({"score": 0.5, "supercategory": "animal"})
    );
    assert_eq!(regions[0].captions[0].text, "a cat\n\nasleep");
    assert_eq!(regions[1].captions.len(), 2);
    assert_eq!((regions[0].id.as_str(), regions[1].id.as_str()), ("r1", "r2"));
    assert_eq!(rows(&regions[0]), "... .##");
}

#[test]
fn what_cannot_be_used_is_noted_and_the_rest_is_taken() {
    let good = json!([[0, 0, 2, 0, 2, 2, 0, 2]]);
    let mut text = file(json!([
        {"id": 1, "image_id": 1, "category_id": 7, "segmentation": good},
        {"id": 2, "image_id": 9, "category_id": 7, "segmentation": good},
        {"id": 3, "image_id": 2, "category_id": 7, "segmentation": good},
        {"id": 4, "image_id": 4, "category_id": 7, "segmentation": good},
        {"id": 5, "image_id": 1, "category_id": 8, "segmentation": good},
        {"id": 6, "image_id": 1, "category_id": 7, "segmentation": [[9, 9, 10, 9, 10, 10]]},
        {"id": 7, "image_id": 1, "category_id": 7, "segmentation": {"size": [6, 4], "counts": [24]}},
        {"id": 8, "image_id": 1, "category_id": 7, "segmentation": {"size": [4, 6], "counts": "~"}},
        {"id": 9, "image_id": 1, "caption": "a picture of a cat"},
        17,
    ]));
    text["images"].as_array_mut().unwrap().extend([
        json!({"id": 2, "file_name": "../a.png/../c.png", "width": 6, "height": 4}),
        json!({"id": 4, "file_name": "b.png", "width": 2, "height": 3}),
        json!({"id": 5}),
        json!({"file_name": "b.png"}),
    ]);
    let (arrived, notes) = read(&text);
    assert_eq!(arrived.len(), 1);
    let labels: Vec<&str> = arrived[0]
        .document
        .regions
        .iter()
        .map(|region| region.label.as_str())
        .collect();
    assert_eq!(labels, ["cat", ""]);
    let expected = [
        ("annotations of images that are not there were left out", 2),
        (
            "annotations of images that the file does not list were left out",
            2,
        ),
        ("annotations that cover no pixel were left out", 1),
        (
            "annotations that were made before the image's EXIF rotation was applied were left out",
            1,
        ),
        ("annotations with a broken segmentation were left out", 2),
        ("annotations without a region were left out", 1),
        ("entries without an id were left out", 1),
        ("images without a file name were left out", 1),
        (
            "labels of categories that the file does not list were left out",
            1,
        ),
    ];
    assert_eq!(
        losses(&notes),
        expected.map(|(what, count)| (what.to_owned(), count))
    );
}

#[test]
fn what_is_no_coco_file_is_an_error() {
    for text in [
        "",
        "{}",
        "[]",
        "{\"images\": []}",
        "{\"images\": 3}",
        "\u{0}",
        "{\"images\": [{}]}",
    ] {
        assert!(
            matches!(read_text(text), Err(InterchangeError::Foreign { .. })),
            "{text}"
        );
    }
}

#[test]
fn everything_comes_back_even_through_a_tool_that_changed_some_of_it() {
    let sample = Sample::rich();
    sample.annotate("a.png", |document| {
        let mut keys = object(json!({"score": 0.25, "supercategory": "animal"}));
        document.regions[1]
            .unknown
            .insert("coco".to_owned(), Value::Object(keys.clone()));
        keys.shift_remove("supercategory");
        document.unknown.insert("coco".to_owned(), Value::Object(keys));
        document.regions[2]
            .attributes
            .insert("iscrowd".to_owned(), true.into());
    });
    let out = sample.path(".out");
    let mut watch = |_| std::ops::ControlFlow::Continue(());
    let options = super::super::ExportOptions {
        strict: true,
        copy_images: false,
    };
    let report = super::super::export(sample.folder(), Format::Coco, &out, &options, &mut watch).unwrap();
    assert!(report.is_lossless(), "{report}");
    let path = out.join(FILE);
    let text = fs::read_to_string(&path).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = written["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["cat", "dog", "object", "sky \"1\""]);
    assert_eq!(written["annotations"][1]["score"], 0.25);
    assert_eq!(written["categories"][1]["supercategory"], "animal");
    assert_eq!(written["annotations"][2]["iscrowd"], 1);
    assert_eq!(written["images"][2]["file_name"], "b/ä 2.png");

    let mut edited = written;
    edited["annotations"][0]["category_id"] = 2.into();
    edited["annotations"][0]["attributes"] = json!({"count": 4});
    edited["annotations"][0]["caption"] = "Another cat".into();
    edited["annotations"][2]["category_id"] = 1.into();
    edited["annotations"][3]["samtok"]["id"] = "r1".into();
    edited["annotations"][4]["samtok"]["status"] = "lost".into();
    fs::write(&path, edited.to_string()).unwrap();
    let (mut arrived, mut notes) = (Vec::new(), Notes::default());
    let images = Images::open(sample.folder()).unwrap();
    let mut take = |one: Arrived| {
        arrived.push(one.document);
        Ok(())
    };
    import(&out, &images, &mut take, &mut notes).unwrap();
    let regions = &arrived[0].regions;
    assert_eq!(
        (regions[0].label.as_str(), regions[2].label.as_str()),
        ("dog", "cat")
    );
    assert_eq!(Value::Object(regions[0].attributes.clone()), json!({"count": 4}));
    let captions: Vec<&str> = regions[0]
        .captions
        .iter()
        .map(|caption| caption.text.as_str())
        .collect();
    assert_eq!(captions, ["Another cat"]);
    assert_eq!(regions[0].words, sample.document("a.png").regions[0].words);
    let ids: Vec<&str> = regions.iter().map(|region| region.id.as_str()).collect();
    assert_eq!(
        ids,
        ["r1", "r2", "r3", "r5"],
        "a copied annotation is another region"
    );
    assert_eq!(losses(&notes).len(), 1, "damage is noted: {notes}");
}

#[test]
fn images_whose_annotations_are_scattered_are_gathered() {
    let annotation = |id: u32, image: u32, x: u32| json!({"id": id, "image_id": image, "category_id": 7, "segmentation": [[x, 0, x + 1, 0, x + 1, 1, x, 1]]});
    let mut text = file(json!([
        annotation(1, 1, 0),
        annotation(2, 2, 0),
        annotation(3, 1, 1)
    ]));
    text["images"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": 2, "file_name": "b.png"}));
    let (arrived, _) = read(&text);
    let regions: Vec<usize> = arrived.iter().map(|one| one.document.regions.len()).collect();
    assert_eq!(regions, [1, 2], "an image leaves with its last annotation");
}
