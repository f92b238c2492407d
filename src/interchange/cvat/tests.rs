//! Files of CVAT, and what is no such file.

use super::*;
use crate::geometry::ImageSize;
use crate::interchange::tool_tests::{CVAT, Workplace, losses, rows};
use std::fs;

const SIZE: ImageSize = ImageSize::new(6, 4);

fn file(shapes: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations><version>1.1</version><meta><task><labels><label>\
         <name>cat</name><attributes><attribute><name>count</name><input_type>number</input_type></attribute>\
         <attribute><name>tame</name><input_type>checkbox</input_type></attribute></attributes></label></labels></task>\
         </meta><image id=\"0\" name=\"a.png\" width=\"6\" height=\"4\">{shapes}</image></annotations>"
    )
}

#[test]
fn shapes_of_every_type_are_read() {
    let cases = [
        (
            "<mask label='cat' rle='1, 2, 2, 1' left='2' top='1' width='3' height='2'/>",
            "...... ...##. ....#. ......",
        ),
        (
            "<mask label='cat' rle='0,6' left='0' top='0' width='3' height='2'></mask>",
            "###... ###... ...... ......",
        ),
        (
            "<box label='cat' xtl='1.00' ytl='1.00' xbr='3.00' ybr='3.00'/>",
            "...... .##... .##... ......",
        ),
        (
            "<box label='cat' xtl='1' ytl='1' xbr='5' ybr='3' rotation='90'/>",
            "..##.. ..##.. ..##.. ..##..",
        ),
        (
            "<polygon label='cat' points='0.00,0.00;3.00,0.00;3.00,1.00;0.00,1.00'/>",
            "###... ...... ...... ......",
        ),
        (
            "<ellipse label='cat' cx='3' cy='2' rx='3' ry='1'/>",
            "...... ###### ###### ......",
        ),
    ];
    for (shape, expected) in cases {
        let place = Workplace::new(&[("a.png", SIZE)]);
        let mut notes = Notes::default();
        let arrived = place.read(&CVAT, "a.xml", &file(shape), &mut notes).unwrap();
        let [region] = &arrived[0].document.regions[..] else {
            panic!("{shape}: {:?}", losses(&notes));
        };
        assert_eq!(
            (rows(region).as_str(), region.label.as_str()),
            (expected, "cat"),
            "{shape}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_noted() {
    let (bad_runs, no_numbers) = (
        "masks whose runs do not fill their box were left out",
        "shapes without proper coordinates were left out",
    );
    let cases = [
        (
            "<mask label='a' rle='7' left='0' top='0' width='3' height='2'/>",
            bad_runs,
        ),
        (
            "<mask label='a' rle='1, x' left='0' top='0' width='3' height='2'/>",
            bad_runs,
        ),
        (
            "<mask label='a' rle='0, 4294967295' left='0' top='0' width='1' height='4294967295'/>",
            bad_runs,
        ),
        (
            "<mask label='a' rle='0, 18446744073709551615, 1' left='0' top='0' width='3' height='2'/>",
            bad_runs,
        ),
        (
            "<mask label='a' rle='0, 4' left='4294967295' top='0' width='2' height='2'/>",
            bad_runs,
        ),
        (
            "<mask label='a' rle='6' left='0' top='0' width='3' height='2'/>",
            "shapes that cover no pixel of the image were left out",
        ),
        ("<mask label='a'/>", bad_runs),
        ("<box label='a' xtl='1' ytl='nan' xbr='3' ybr='3'/>", no_numbers),
        ("<polygon label='a' points='1,2;3'/>", no_numbers),
        (
            "<polygon label='a' points='1e99,2;3,1;2,2'/>",
            "shapes with coordinates beyond all measure were left out",
        ),
        (
            "<polyline label='a' points='1,2;3,3'/>",
            "points and lines, which have no area, were left out",
        ),
        (
            "<skeleton label='a'><points label='b' points='1,1'/></skeleton>",
            "cuboids and skeletons were left out",
        ),
        ("<cube label='a'/>", "shapes of an unknown type were left out"),
    ];
    for (shape, reason) in cases {
        let place = Workplace::new(&[("a.png", SIZE)]);
        let mut notes = Notes::default();
        let arrived = place.read(&CVAT, "a.xml", &file(shape), &mut notes).unwrap();
        assert_eq!(losses(&notes), [reason], "{shape}");
        assert!(arrived[0].document.regions.is_empty());
    }
}

#[test]
fn attributes_groups_tags_and_order_are_kept() {
    let shapes = "<box label='cat' source='auto' occluded='1' z_order='2' group_id='3' xtl='0' ytl='0' xbr='1' ybr='1'>\
        <attribute name='count'>2</attribute><attribute name='tame'>true</attribute><attribute name='name'>A &amp;\n&#66;</attribute>\
        <attribute name='caption'>A <![CDATA[<cat>]]></attribute></box>\
        <box label='cat' z_order='2' group_id='3' xtl='5' ytl='3' xbr='6' ybr='4'/>\
        <box label='dog' z_order='1' xtl='0' ytl='1' xbr='6' ybr='2'/>\
        <tag label='day' source='manual'><attribute name='count'>7</attribute></tag>";
    let place = Workplace::new(&[("a.png", SIZE)]);
    let mut notes = Notes::default();
    let arrived = place.read(&CVAT, "a.xml", &file(shapes), &mut notes).unwrap();
    let document = &arrived[0].document;
    let [dog, cat] = &document.regions[..] else {
        panic!("{document:?}")
    };
    assert_eq!(
        (dog.label.as_str(), rows(cat).as_str()),
        ("dog", "#..... ...... ...... .....#")
    );
    let attributes = json!({"count": 2, "tame": true, "name": "A &\nB", "occluded": true});
    assert_eq!(Value::Object(cat.attributes.clone()), attributes);
    assert_eq!(cat.captions[0].text, "A <cat>");

    let out = place.export(&CVAT, &[place.annotated("a.png", document.clone())], &mut notes);
    let text = fs::read_to_string(out.join("annotations.xml")).unwrap();
    assert!(
        text.contains("source=\"auto\" occluded=\"1\"") && text.contains("group_id=\"3\""),
        "{text}"
    );
    assert!(
        text.contains("<tag label=\"day\" source=\"manual\">\n      <attribute name=\"count\">7<"),
        "{text}"
    );
    let labels: Value = serde_json::from_slice(&fs::read(out.join("labels.json")).unwrap()).unwrap();
    assert_eq!(labels[0]["name"], "cat");
    assert_eq!(labels[0]["attributes"][0]["name"], "caption");
    assert_eq!(losses(&notes), Vec::<&str>::new());
    assert_eq!(
        place.import(&CVAT, &out, &mut notes).unwrap()[0].document,
        *document
    );
}

#[test]
fn runs_go_along_the_rows_of_the_box() {
    let cases = [
        ("#", "0, 1"),
        (".", "1"),
        ("..# ##.", "2, 3, 1"),
        ("### ###", "0, 6"),
        (".#. #.#", "1, 1, 1, 1, 1, 1"),
    ];
    for (rows, expected) in cases {
        let rows: Vec<&[u8]> = rows.split(' ').map(str::as_bytes).collect();
        let size = ImageSize::new(rows[0].len() as u32, rows.len() as u32);
        let mask = Mask::from_fn(size, |x, y| rows[y as usize][x as usize] == b'#').unwrap();
        assert_eq!(row_runs(&mask), expected);
    }
}

#[test]
fn files_that_are_no_proper_xml_are_errors() {
    let place = Workplace::new(&[("a.png", SIZE)]);
    let deep = format!("<annotations>{}", "<a>".repeat(100));
    let keys: String = (0..100).map(|number| format!(" k{number}=''")).collect();
    let wide = file(&format!("<box{keys}/>"));
    let cases = [
        (file("<box label='cat'"), "at byte"),
        (file("</box>"), "at byte"),
        (file("<box label='&nothing;'/>"), "at byte"),
        (
            file("<box label='cat'><attribute name='a'>&nothing;</attribute></box>"),
            "entity that is not defined",
        ),
        ("<!DOCTYPE annotations><annotations/>".to_owned(), "document type"),
        ("<annotations>".to_owned(), "ends too early"),
        ("<dataset/>".to_owned(), "outermost element is <dataset>"),
        (deep, "nested too deep"),
        (wide, "more than 64 keys"),
    ];
    for (text, reason) in cases {
        let error = place
            .read(&CVAT, "a.xml", &text, &mut Notes::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason) && error.ends_with("a.xml"), "{error}");
    }
    assert!(
        place
            .import(&CVAT, place.images.folder(), &mut Notes::default())
            .is_err(),
        "no file in the folder"
    );
    let empty = place
        .read(&CVAT, "a.xml", "<annotations/>", &mut Notes::default())
        .unwrap();
    assert_eq!(empty, []);
}
