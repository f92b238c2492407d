//! Mask pictures of every kind that people have, and our own.

use super::super::sample::{Sample, region};
use super::super::{Arrived, ExportOptions, Format, export};
use super::*;
use crate::image_file::write_mask_png;
use crate::mask::Mask;
use std::fs;
use std::ops::ControlFlow;

fn imported(source: &Path, sample: &Sample) -> (Vec<Arrived>, Notes) {
    let (mut arrived, mut notes) = (Vec::new(), Notes::default());
    let images = Images::open(sample.folder()).unwrap();
    let mut take = |one| {
        arrived.push(one);
        Ok(())
    };
    import(source, &images, &mut take, &mut notes).unwrap();
    (arrived, notes)
}

/// The labels of what arrived, by image.
fn labels(arrived: &[Arrived]) -> Vec<(&str, Vec<&str>)> {
    let mut labels = Vec::new();
    for Arrived { image, document } in arrived {
        let regions = document.regions.iter();
        labels.push((
            image.name.as_str(),
            regions.map(|region| region.label.as_str()).collect(),
        ));
    }
    labels
}

/// A grey PNG of 4 x 1 pixels.
fn grey(sample: &Sample, name: &str, values: [u8; 4]) {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 1);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&values).unwrap();
    sample.write(name, bytes);
}

#[test]
fn our_own_come_back_whole_where_nothing_overlaps() {
    let sample = Sample::rich();
    sample.image("a.tif.png", 4, 3);
    fs::rename(sample.path("a.tif.png"), sample.path("a.bmp")).unwrap();
    sample.annotate("a.png", |document| document.regions.truncate(1));
    sample.annotate("a.bmp", |document| {
        document.regions = vec![region("r1", "x", 4, 3, 0)]
    });
    sample.annotate("b/ä 2.png", |document| document.regions.truncate(1));
    let mut watch = |_| ControlFlow::Continue(());
    let options = ExportOptions {
        strict: true,
        copy_images: true,
    };
    let out = sample.path(".out");
    let report = export(sample.folder(), Format::Masks, &out, &options, &mut watch).unwrap();
    assert!(report.is_lossless(), "{report}");
    for name in [
        "masks/a.png",
        "masks/a.png.png",
        "masks/b/10.png",
        "images/a.bmp",
        "images/b/ä 2.png",
    ] {
        assert!(out.join(name).is_file(), "{name}");
    }
}

#[test]
fn pictures_find_their_images_and_values_become_regions() {
    let sample = Sample::new();
    for name in ["a.png", "sub/b.png", "c.png", "d.png", "e.png"] {
        sample.image(name, 4, 1);
    }
    grey(&sample, ".in/a.png", [0, 1, 2, 1]);
    grey(&sample, ".in/sub/b_mask.png", [0, 255, 255, 0]);
    grey(&sample, ".in/c.png.png", [0, 7, 0, 0]);
    grey(&sample, ".in/nowhere.png", [0, 7, 0, 0]);
    sample.write(".in/d.png", "no picture");
    sample.write(
        ".in/labels.json",
        r#"{"1": "cat", "dog": 2, "7": "cup", "x": [1]}"#,
    );
    let size = ImageSize::new(4, 1);
    for name in ["e/cat_1.png", "e/0002.png", "e/mask_3.png"] {
        let path = sample.write(&format!(".in/{name}"), "");
        write_mask_png(&path, &Mask::from_fn(size, |x, _| x > 1).unwrap()).unwrap();
    }
    let (arrived, notes) = imported(&sample.path(".in"), &sample);
    let mut found = labels(&arrived);
    found.sort();
    let expected: [(&str, Vec<&str>); 5] = [
        ("a.png", vec!["cat", "dog"]),
        ("c.png", vec!["cup"]),
        ("d.png", vec![]),
        ("e.png", vec!["", "cat", ""]),
        ("sub/b.png", vec![""]),
    ];
    assert_eq!(found, expected);
    let a = arrived.iter().find(|one| one.image.name == "a.png").unwrap();
    assert_eq!(a.document.regions[0].mask.rle.counts(), [1, 1, 1, 1]);
    let counts: Vec<u64> = notes.losses().map(|(_, count, _)| count).collect();
    assert_eq!(counts, [1, 1], "{notes}");
}

#[test]
fn a_list_that_lies_is_noted() {
    let sample = Sample::new();
    sample.image("a.png", 4, 1);
    grey(&sample, ".in/masks/a.png", [0, 1, 2, 1]);
    let list = json!({"images": [
        {"image": "a.png", "mask": "masks/a.png", "regions": [{"value": 1, "label": "x"}, {"value": 9}, {"value": -1}, 3]},
        {"image": "a.png", "mask": "../../a.png", "regions": []},
        {"image": "z.png", "mask": "masks/a.png"},
        {},
    ]});
    sample.write(".in/labels.json", list.to_string());
    let (arrived, notes) = imported(&sample.path(".in"), &sample);
    assert_eq!(labels(&arrived), [("a.png", vec!["x", ""])]);
    let counts: Vec<u64> = notes.losses().map(|(_, count, _)| count).collect();
    assert_eq!(counts, [1, 2, 2], "{notes}");
}

#[test]
fn a_folder_without_pictures_is_an_error() {
    let sample = Sample::new();
    let images = Images::open(sample.folder()).unwrap();
    let result = import(sample.folder(), &images, &mut |_| Ok(()), &mut Notes::default());
    assert!(matches!(result, Err(InterchangeError::Foreign { .. })));
}
