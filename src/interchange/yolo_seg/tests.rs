//! Label files as others write them.

use super::super::sample::Sample;
use super::super::set_tests::{annotated, exported, imported, only, said};
use super::*;

#[test]
fn rows_are_read_as_ultralytics_reads_them() {
    let text = "\u{feff}0 0 0 0.5 0 0.5 1 0 1\r\n\n  1  0.5  0.25  1.004 0.25 1.004 0.75  0.5 0.75 42\n\
                2 0.5 0.5 1 0.5\nx 0 0 1 0 1 1\n-1 0 0 1 0 1 1\n0.5 0 0 1 0 1 1\n0 0 0 1 nan 1 1\n0 0 0 2 0 1 1\n0 0 0 1 0.5\n0 1\n\
                0 0.1 0.1 0.1 0.1 0.1 0.1\n1e5 0 0 1 0 1 1\n";
    let sample = Sample::new();
    sample.image("images/a.png", 8, 4);
    sample.write("set/labels/val/a.txt", text);
    sample.write("set/classes.txt", "cat\ndog \n");
    let (arrived, notes) = imported(import, &sample.path("set"), &sample).unwrap();
    let document = only(arrived);
    let regions: Vec<_> = document
        .regions
        .iter()
        .map(|region| {
            (
                region.label.as_str(),
                region.mask.rle.area(),
                region.mask.rle.bounding_box().unwrap(),
            )
        })
        .collect();
    use crate::geometry::PixelRect;
    assert_eq!(
        regions[..3],
        [
            ("cat", 16, PixelRect::new(0, 0, 4, 4)),
            ("dog", 8, PixelRect::new(4, 1, 4, 2)),
            ("class_2", 16, PixelRect::new(0, 1, 8, 2)),
        ]
    );
    assert_eq!(document.regions[1].unknown[TOOL], json!({"extra": 42.0}));
    assert_eq!(
        regions[3..].iter().map(|region| region.0).collect::<Vec<_>>(),
        ["cat", "class_100000"]
    );
    let expected = [
        "1 rows that cover no pixel were left out",
        "3 rows that do not start with the number of a class were left out",
        "1 rows with points outside of the image were left out, as Ultralytics does; coordinates are shares of the image from 0 to 1",
        "1 rows with something that is not a number were left out",
        "1 rows without three points were left out",
        "2 boxes became rectangles",
    ];
    assert_eq!(said(&notes), expected);
}

#[test]
fn label_files_are_found_in_the_usual_layouts() {
    let row = "0 0 0 1 0 1 1 0 1\n";
    for (label, image) in [
        ("labels/a.txt", "a.png"),
        ("labels/train/a.txt", "a.png"),
        ("train/labels/a.txt", "a.png"),
        ("a.txt", "a.png"),
        ("labels/val/x/a.txt", "x/a.png"),
        ("labels/a.b.txt", "a.b.png"),
    ] {
        let sample = Sample::new();
        sample.image(&format!("images/{image}"), 4, 3);
        sample.image("images/z/a.png", 4, 3);
        sample.write(&format!("set/{label}"), row);
        sample.write("set/data.yaml", "names: [cat]\n");
        sample.write("set/README.dataset.txt", "Exported");
        sample.write("set/train.txt", "./images/a.png");
        if image == "a.png" || image.contains('/') || image.contains("a.b") {
            let (arrived, notes) = imported(import, &sample.path("set"), &sample).unwrap();
            assert_eq!(
                arrived
                    .iter()
                    .map(|one| one.image.name.as_str())
                    .collect::<Vec<_>>(),
                [image],
                "{label}: {:?}",
                said(&notes)
            );
            assert_eq!(arrived[0].document.regions[0].label, "cat", "{label}");
        }
        let (arrived, _) = imported(import, &sample.path("set/data.yaml"), &sample).unwrap();
        assert_eq!(arrived.len(), 1, "{label}");
    }
}

#[test]
fn images_that_differ_in_the_suffix_cannot_both_have_labels() {
    let sample = Sample::new();
    let items = vec![
        annotated(&sample, "a.png", 4, 3),
        annotated(&sample, "A.PNG", 4, 3),
        annotated(&sample, "b/a.png", 4, 3),
    ];
    let (out, notes) = exported(export, items, &sample.path("out"));
    assert_eq!(
        said(&notes),
        ["1 another image differs in the suffix only, and both would have one label file"]
    );
    assert!(out.join("labels/a.txt").exists() && out.join("labels/b/a.txt").exists());
}

#[test]
fn coordinates_have_the_digits_they_need() {
    let mut row = String::new();
    for (coordinate, side) in [(0.0, 7), (7.0, 7), (1.0, 3), (1.0, 2), (99_999.0, 100_000)] {
        push_share(&mut row, coordinate, side);
    }
    assert_eq!(row, " 0 1 0.333333 0.5 0.99999");
}
