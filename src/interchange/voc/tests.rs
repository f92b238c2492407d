//! Sets as the development kit and other tools write them.

use super::super::sample::Sample;
use super::super::set_tests::{annotated, exported, imported, only, said};
use super::label_map::color;
use super::*;
use crate::geometry::ImageSize;
use crate::mask::Mask;
use serde_json::json;

const XML: &str = "<annotation>\n\t<folder>VOC2007</folder>\n\t<filename>a.png</filename>\n\t<source>\n\t\t<database>The VOC2007 \
Database</database>\n\t</source>\n\t<size>\n\t\t<width>8</width>\n\t\t<height>6</height>\n\t\t<depth>3</depth>\n\t</size>\n\
\t<segmented>1</segmented>\n\t<object>\n\t\t<name>person</name>\n\t\t<pose>Left</pose>\n\t\t<truncated>1</truncated>\n\
\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>1</xmin>\n\t\t\t<ymin>1</ymin>\n\t\t\t<xmax>3</xmax>\n\t\t\t<ymax>4</ymax>\n\
\t\t</bndbox>\n\t\t<part>\n\t\t\t<name>head</name>\n\t\t\t<bndbox>\n\t\t\t\t<xmin>1</xmin>\n\t\t\t\t<ymin>1</ymin>\n\t\t\t\t<xmax>2</xmax>\n\
\t\t\t\t<ymax>2</ymax>\n\t\t\t</bndbox>\n\t\t</part>\n\t</object>\n\t<object>\n\t\t<name>dog</name>\n\t\t<bndbox>\n\t\t\t<xmin>5</xmin>\n\
\t\t\t<ymin>2.4</ymin>\n\t\t\t<xmax>8</xmax>\n\t\t\t<ymax>6</ymax>\n\t\t</bndbox>\n\t</object>\n</annotation>\n";

/// Rows of digits as an 8-bit palette PNG in the colours of VOC; `v` is the void.
fn picture(rows: &str) -> Vec<u8> {
    let rows: Vec<&str> = rows.split(' ').collect();
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, rows[0].len() as u32, rows.len() as u32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette((0..256).flat_map(color).collect::<Vec<u8>>());
    let pixel = |byte: u8| if byte == b'v' { 255 } else { byte - b'0' };
    let data: Vec<u8> = rows.iter().flat_map(|row| row.bytes().map(pixel)).collect();
    encoder.write_header().unwrap().write_image_data(&data).unwrap();
    bytes
}

const OBJECTS: &str = "11v00000 11v02222 11v02222 vvv02222 00002222 00002222";

fn set(with_pictures: bool) -> Sample {
    let sample = Sample::new();
    sample.image("images/a.png", 8, 6);
    sample.write("set/VOC2007/Annotations/a.xml", XML);
    if with_pictures {
        sample.write("set/VOC2007/SegmentationObject/a.png", picture(OBJECTS));
        // Person and dog are the classes 15 and 12.
        let classes = OBJECTS.replace('1', "?").replace('2', "<");
        sample.write("set/VOC2007/SegmentationClass/a.png", picture(&classes));
    }
    sample
}

#[test]
fn masks_and_objects_are_put_together() {
    let sample = set(true);
    for source in ["set", "set/VOC2007", "set/VOC2007/Annotations/a.xml"] {
        let (arrived, notes) = imported(import, &sample.path(source), &sample).unwrap();
        assert_eq!(said(&notes), [""; 0], "{source}");
        let document = only(arrived);
        let regions: Vec<_> = document
            .regions
            .iter()
            .map(|region| (region.label.as_str(), region.mask.rle.area()))
            .collect();
        assert_eq!(regions, [("person", 6), ("dog", 20)], "{source}");
        let kept = &document.regions[0].unknown[TOOL];
        assert_eq!(
            (&kept["pose"], &kept["part"]["name"]),
            (&json!("Left"), &json!("head"))
        );
        assert_eq!(
            document.unknown[TOOL]["source"]["database"],
            "The VOC2007 Database"
        );
    }
}

#[test]
fn boxes_without_masks_become_rectangles() {
    let sample = set(false);
    let (arrived, notes) = imported(import, &sample.path("set"), &sample).unwrap();
    assert_eq!(said(&notes), ["2 boxes without a mask became rectangles"]);
    let boxes = |document: &Document| {
        document
            .regions
            .iter()
            .map(|region| region.mask.rle.bounding_box().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        boxes(&only(arrived)),
        [PixelRect::new(0, 0, 3, 4), PixelRect::new(4, 1, 4, 5)]
    );
    // A box at 0 shows that a file counts from there.
    sample.write(
        "set/VOC2007/Annotations/a.xml",
        XML.replacen("<xmin>1", "<xmin>0", 1),
    );
    let (arrived, _) = imported(import, &sample.path("set"), &sample).unwrap();
    assert_eq!(
        boxes(&only(arrived)),
        [PixelRect::new(0, 1, 3, 3), PixelRect::new(5, 2, 3, 4)]
    );
    for (from, to, count) in [
        ("<xmax>8", "<xmax>nan", 1),
        ("<xmax>8", "<xmax>-8", 1),
        ("<xmax>8", "<xmax>1e300", 2),
        ("<xmax>3", "<other>3", 1),
        ("<width>8", "<width>9", 0),
        ("<width>8", "<width>0", 2),
    ] {
        let xml = XML
            .replace(from, to)
            .replace("<other>3</xmax>", "<other>3</other>");
        sample.write("set/VOC2007/Annotations/a.xml", xml);
        let (arrived, notes) = imported(import, &sample.path("set"), &sample).unwrap();
        let found: usize = arrived.iter().map(|one| one.document.regions.len()).sum();
        assert_eq!(found, count, "{to}: {:?}", said(&notes));
    }
}

#[test]
fn pictures_in_colours_and_classes_alone_are_read() {
    let sample = Sample::new();
    sample.image("images/a.png", 3, 1);
    let rgb = |pixels: &[[u8; 3]]| {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 3, 1);
        encoder.set_color(png::ColorType::Rgb);
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&pixels.concat())
            .unwrap();
        bytes
    };
    sample.write(
        "set/labelmap.txt",
        "background:0,0,0::\nroad:10,20,30::\ncar:128,0,0::\n",
    );
    sample.write(
        "set/SegmentationClass/a.png",
        rgb(&[[10, 20, 30], [128, 0, 0], [224, 224, 192]]),
    );
    let (arrived, notes) = imported(import, &sample.path("set"), &sample).unwrap();
    assert_eq!(
        said(&notes),
        ["1 without SegmentationObject, all of a class became one region"]
    );
    let labels = |document: &Document| {
        document
            .regions
            .iter()
            .map(|region| region.label.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(labels(&only(arrived)), ["car", "road"]);
    sample.write(
        "set/SegmentationObject/a.png",
        rgb(&[[128, 0, 0], [0, 128, 0], [224, 224, 192]]),
    );
    let (arrived, notes) = imported(import, &sample.path("set"), &sample).unwrap();
    assert_eq!(said(&notes), [""; 0]);
    assert_eq!(labels(&only(arrived)), ["road", "car"]);
    sample.write("set/SegmentationObject/a.png", picture("11"));
    let (_, notes) = imported(import, &sample.path("set"), &sample).unwrap();
    assert!(
        said(&notes)[0].contains("pictures that cannot be read"),
        "{:?}",
        said(&notes)
    );
}

#[test]
fn the_region_in_front_keeps_the_pixels_and_boxes_are_those_of_the_kit() {
    let sample = Sample::new();
    let mut item = annotated(&sample, "a.jpg.png", 6, 4);
    let size = ImageSize::new(6, 4);
    let rects = [
        PixelRect::new(0, 0, 4, 2),
        PixelRect::new(2, 1, 3, 3),
        PixelRect::new(0, 0, 0, 0),
    ];
    let region = |(index, rect): (usize, &PixelRect)| {
        let mask = Mask::from_rects(size, &[*rect]).unwrap();
        Region::new(format!("r{}", index + 1), mask.to_rle())
    };
    item.document.regions = rects.iter().enumerate().map(region).collect();
    item.document.regions[0].label = "a:b\n".to_owned();
    item.document.regions[0]
        .attributes
        .insert("n".to_owned(), 3.into());
    item.document.regions[0]
        .attributes
        .insert("t".to_owned(), "03".into());
    let (out, notes) = exported(export, vec![item.clone()], &sample.path("out"));
    assert_eq!(said(&notes), ["1 regions without a pixel were left out"]);
    let xml = fs::read_to_string(out.join("Annotations/a.jpg.xml")).unwrap();
    for text in [
        "<xmin>1</xmin>",
        "<xmax>4</xmax>",
        "<ymax>2</ymax>",
        "<xmin>3</xmin>",
        "<ymax>4</ymax>",
        "<name>a b</name>",
    ] {
        assert!(xml.contains(text), "{text} in {xml}");
    }
    assert_eq!(
        fs::read_to_string(out.join("ImageSets/Segmentation/train.txt")).unwrap(),
        "a.jpg\n"
    );
    let document = only(imported(import, &out, &sample).unwrap().0);
    let areas: Vec<u64> = document
        .regions
        .iter()
        .map(|region| region.mask.rle.area())
        .collect();
    assert_eq!(areas, [6, 9]);
    assert_eq!(
        document.regions[0].attributes,
        item.document.regions[0].attributes
    );
}

#[test]
fn many_objects_need_wide_numbers() {
    let sample = Sample::new();
    let mut item = annotated(&sample, "a.png", 300, 2);
    let region = |x: u32| {
        let mask = Mask::from_rects(ImageSize::new(300, 2), &[PixelRect::new(x, 0, 1, 2)]).unwrap();
        let mut region = Region::new(format!("r{x}"), mask.to_rle());
        region.label = format!("class {x}");
        region
    };
    item.document.regions = (0..300).map(region).collect();
    let (out, notes) = exported(export, vec![item.clone()], &sample.path("out"));
    assert_eq!(
        said(&notes),
        ["1 more than 254 objects or classes need numbers of 16 bits, which few tools read"]
    );
    let document = only(imported(import, &out, &sample).unwrap().0);
    assert_eq!(document.regions.len(), 300);
    for (before, after) in item.document.regions.iter().zip(&document.regions) {
        assert_eq!((&before.label, &before.mask), (&after.label, &after.mask));
    }
}
