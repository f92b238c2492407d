//! labelme JSON as its strictest reader, that of version 7.1, takes it: every region is a `mask` shape.
//!
//! The masks are exact. Labels, captions and attributes that are true or false have fields of their own (`label`,
//! `description`, `flags`); labelme keeps keys it does not know, so all the rest is carried under one of ours.

use super::carried::{Assembly, Carried, KEY, description, take_attributes, take_captions, take_description};
use super::shape_file::{self, ShapeFile, TOP_KEYS, Writer};
use super::{Images, Incoming, InterchangeError, Notes, Outgoing, OutputFolder, Result};
use crate::dataset::Region;
use crate::image_file::encode_mask_png;
use crate::mask::Mask;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::path::Path;

const EXPECTED: &str = "a labelme file";

/// Where keys of other programs are kept in a sidecar.
const TOOL: &str = "labelme";

/// The version whose reader the files are made for.
const VERSION: &str = "7.1.0";

const SHAPE_KEYS: [&str; 7] = [
    "label",
    "points",
    "shape_type",
    "flags",
    "description",
    "mask",
    "group_id",
];

/// Writes one JSON file per image, to be put beside the image.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    let mut writer = Writer::default();
    for item in items {
        let item = item?;
        let carried = Carried::of(&item)?;
        let mut shapes = Vec::new();
        for (region, carried) in item.document.regions.iter().zip(carried.regions) {
            match shape(region, carried)? {
                Some(shape) => shapes.push(shape),
                None => notes.lost("regions without a pixel were left out", &item.name, &region.id),
            }
        }
        let size = item.document.image.size;
        let others = shape_file::kept_others(&item.document.unknown, TOOL);
        let mut keys = Map::from_iter([
            ("version".to_owned(), VERSION.into()),
            (
                "flags".to_owned(),
                flags(others.and_then(|keys| keys.get("flags"))),
            ),
            ("shapes".to_owned(), shapes.into()),
            ("imagePath".to_owned(), shape_file::file_name(&item.name).into()),
            ("imageData".to_owned(), Value::Null),
            ("imageHeight".to_owned(), size.height.into()),
            ("imageWidth".to_owned(), size.width.into()),
        ]);
        shape_file::add_others(&mut keys, others, &[&TOP_KEYS]);
        keys.insert(KEY.to_owned(), carried.document);
        writer.write(out, &item.name, &Value::Object(keys), notes)?;
    }
    Ok(())
}

/// `region` as a shape; `None` where it has no pixel.
fn shape(region: &Region, carried: Value) -> Result<Option<Value>> {
    let Some(bounds) = region.mask.rle.bounding_box() else {
        return Ok(None);
    };
    let crop = Mask::from_rle(&region.mask.rle).crop(bounds)?;
    let png = encode_mask_png(&crop).map_err(InterchangeError::io("encode a mask", Path::new("")))?;
    let others = shape_file::kept_others(&region.unknown, TOOL);
    let flags: Map<String, Value> = region
        .attributes
        .iter()
        .filter(|(_, value)| value.is_boolean())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    // The last pixel belongs to the box.
    let corners = [[bounds.x, bounds.y], [bounds.right() - 1, bounds.bottom() - 1]];
    let mut keys = Map::from_iter([
        ("label".to_owned(), region.label.as_str().into()),
        (
            "points".to_owned(),
            json!(corners.map(|corner| corner.map(f64::from))),
        ),
        (
            "group_id".to_owned(),
            others.and_then(|keys| keys.get("group_id")?.as_i64()).into(),
        ),
        ("description".to_owned(), description(region).into()),
        ("shape_type".to_owned(), "mask".into()),
        ("flags".to_owned(), flags.into()),
        ("mask".to_owned(), STANDARD.encode(png).into()),
    ]);
    shape_file::add_others(&mut keys, others, &[&SHAPE_KEYS]);
    keys.insert(KEY.to_owned(), carried);
    Ok(Some(Value::Object(keys)))
}

/// Flags as the strict reader wants them.
fn flags(kept: Option<&Value>) -> Value {
    let is_flags = |value: &&Value| {
        value
            .as_object()
            .is_some_and(|flags| flags.values().all(Value::is_boolean))
    };
    kept.filter(is_flags).cloned().unwrap_or_else(|| json!({}))
}

/// Reads a labelme file or a folder of them; shapes of one label and group become one region.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    shape_file::read_each(source, images, EXPECTED, notes, &mut |file, notes| {
        let ShapeFile { image, keys, shapes } = file;
        let mut assembly = Assembly::new(image, keys.get(KEY), notes);
        // Flags of the image have no place of their own.
        let known: Vec<&str> = TOP_KEYS.into_iter().filter(|&key| key != "flags").collect();
        shape_file::keep_others(
            &mut assembly.document.unknown,
            TOOL,
            shape_file::others(&keys, &known),
        );
        for group in shape_file::grouped(&shapes) {
            let Some(mask) = shape_file::joined_mask(assembly.image(), &group, notes) else {
                continue;
            };
            let carried = group.iter().find_map(|shape| shape.carried());
            let mut region = assembly.region(carried, TOOL, mask.to_rle(), notes);
            if let Some(shape) = group.first() {
                region.label.clone_from(&shape.label);
                let known: Vec<&str> = SHAPE_KEYS.into_iter().filter(|&key| key != "group_id").collect();
                shape_file::keep_others(&mut region.unknown, TOOL, shape_file::others(&shape.keys, &known));
            }
            match shape_file::descriptions(&group)[..] {
                [] => take_description(&mut region, ""),
                [text] => take_description(&mut region, text),
                ref texts => take_captions(&mut region, texts),
            }
            let flags: Vec<(String, Value)> = group
                .iter()
                .filter_map(|shape| shape.keys.get("flags")?.as_object())
                .flatten()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            take_attributes(&mut region, &flags, |_, value| value.is_boolean());
            assembly.push(region);
        }
        take(assembly.finish())
    })
}

#[cfg(test)]
mod tests {
    use super::super::tool_tests::{LABELME, Workplace, losses, rows};
    use super::*;
    use crate::geometry::ImageSize;

    const SIZE: ImageSize = ImageSize::new(6, 4);

    fn file(image_path: &str, shapes: Value) -> String {
        json!({"version": "5.0.1", "flags": {"night": true}, "shapes": shapes, "imagePath": image_path, "imageData": "eA==",
               "imageHeight": 4, "imageWidth": 6, "lineColor": [0, 255, 0]})
        .to_string()
    }

    fn shape(kind: &str, points: Value) -> Value {
        json!({"label": "a", "points": points, "shape_type": kind, "group_id": null, "flags": {}, "description": null})
    }

    #[test]
    fn shapes_of_every_type_are_read() {
        // A PNG of 2 x 2 pixels that are set but for the last one.
        let crop = Mask::from_fn(ImageSize::new(2, 2), |x, y| x + y < 2).unwrap();
        let png = STANDARD.encode(encode_mask_png(&crop).unwrap());
        let mut mask = shape("mask", json!([[4.0, 3.0], [5.0, 4.0]]));
        mask["mask"] = png.into();
        let cases = [
            (
                shape("polygon", json!([[0, 0], [3, 0], [3, 2], [0, 2]])),
                "###... ###... ...... ......",
            ),
            (
                shape("rectangle", json!([[5.0, 3.0], [1.0, 1.0]])),
                "...... .####. .####. ......",
            ),
            (
                shape("oriented_rectangle", json!([[1, 0], [2, 0], [2, 4], [1, 4]])),
                ".#.... .#.... .#.... .#....",
            ),
            (
                shape("circle", json!([[2.0, 2.0], [2.0, 3.5]])),
                "...... .##... .##... ......",
            ),
            (
                shape("polygon", json!([[-9, -9], [99, -9], [99, 1], [-9, 1]])),
                "###### ...... ...... ......",
            ),
            (mask, "...... ...... ...... ....##"),
        ];
        for (shape, expected) in cases {
            let place = Workplace::new(&[("a.png", SIZE)]);
            let mut notes = Notes::default();
            let text = file("a.png", json!([shape]));
            let arrived = place.read(&LABELME, "a.json", &text, &mut notes).unwrap();
            let [region] = &arrived[0].document.regions[..] else {
                panic!("{shape}: {:?}", losses(&notes));
            };
            assert_eq!(rows(region), expected, "{shape}");
            assert_eq!((region.id.as_str(), region.source.as_str()), ("r1", "labelme"));
            assert_eq!(losses(&notes), Vec::<&str>::new());
        }
    }

    #[test]
    fn shapes_of_one_group_are_one_region_and_keys_survive() {
        let place = Workplace::new(&[("a.png", SIZE)]);
        let mut first = shape("rectangle", json!([[0, 0], [1, 1]]));
        first["group_id"] = 7.into();
        first["description"] = "one".into();
        first["flags"] = json!({"occluded": true});
        let mut second = shape("rectangle", json!([[4, 3], [6, 4]]));
        second["group_id"] = 7.into();
        second["description"] = "two".into();
        second["other"] = 1.into();
        let line = shape("line", json!([[0, 0], [1, 1]]));
        let mut notes = Notes::default();
        let text = file(
            "a.png",
            json!([first, line, second, shape("point", json!([[9, 9]]))]),
        );
        let arrived = place.read(&LABELME, "a.json", &text, &mut notes).unwrap();
        let document = &arrived[0].document;
        assert_eq!(rows(&document.regions[0]), "#..... ...... ...... ....##");
        assert_eq!(document.regions[0].captions.len(), 2);
        assert_eq!(document.regions[0].attributes.get("occluded"), Some(&true.into()));
        assert_eq!(
            losses(&notes),
            ["points and lines, which have no area, were left out"]
        );

        let item = place.annotated("a.png", document.clone());
        let out = place.export(&LABELME, &[item], &mut notes);
        let written: Value = serde_json::from_slice(&std::fs::read(out.join("a.json")).unwrap()).unwrap();
        assert_eq!(written["flags"], json!({"night": true}));
        assert_eq!(written["lineColor"], json!([0, 255, 0]));
        assert_eq!(written["shapes"][0]["group_id"], 7);
        assert_eq!(written["shapes"][0]["points"], json!([[0.0, 0.0], [5.0, 3.0]]));
        assert_eq!(
            place.import(&LABELME, &out, &mut notes).unwrap()[0].document,
            *document
        );
    }

    #[test]
    fn what_was_changed_in_the_tool_wins() {
        let place = Workplace::new(&[("a.png", SIZE)]);
        let mut document = place.document("a.png");
        let mask = Mask::full(SIZE).unwrap().to_rle();
        let mut region = Region::new("r4".to_owned(), mask);
        region.captions = ["one", "two"]
            .map(|text| crate::dataset::Caption::new(text.to_owned(), Some("me".to_owned())))
            .into();
        region.attributes = json!({"a": true, "b": false, "c": "kept"})
            .as_object()
            .unwrap()
            .clone();
        document.regions = vec![region];
        let out = place.export(
            &LABELME,
            &[place.annotated("a.png", document)],
            &mut Notes::default(),
        );
        let path = out.join("a.json");
        let mut file: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let mut copy = file["shapes"][0].clone();
        copy["points"] = json!([[2.0, 1.0], [7.0, 4.0]]);
        let shapes = file["shapes"].as_array_mut().unwrap();
        shapes[0]["label"] = "dog".into();
        shapes[0]["description"] = "one\n\nthree".into();
        shapes[0]["flags"] = json!({"b": true, "d": true});
        shapes.push(copy);
        std::fs::write(&path, file.to_string()).unwrap();
        let arrived = place.import(&LABELME, &path, &mut Notes::default()).unwrap();
        let [region, copy] = &arrived[0].document.regions[..] else {
            panic!()
        };
        assert_eq!((region.id.as_str(), region.label.as_str()), ("r4", "dog"));
        let captions: Vec<_> = region
            .captions
            .iter()
            .map(|caption| (caption.text.as_str(), caption.author.as_deref()))
            .collect();
        assert_eq!(captions, [("one", Some("me")), ("three", None)]);
        assert_eq!(
            Value::Object(region.attributes.clone()),
            json!({"b": true, "c": "kept", "d": true})
        );
        assert_eq!(
            (copy.id.as_str(), rows(copy).as_str()),
            ("r5", "...... ..#### ..#### ..####")
        );
    }

    #[test]
    fn images_are_looked_up_and_never_named() {
        let images = [
            ("a.png", SIZE),
            ("x/a.png", SIZE),
            ("x/b.png", SIZE),
            ("t.png", ImageSize::new(4, 6)),
        ];
        let place = Workplace::new(&images);
        let folder = place.folder.path().join("theirs");
        std::fs::create_dir_all(folder.join("x")).unwrap();
        let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
        write("x/1.json", file("a.png", json!([])));
        write("2.json", file("..\\..\\x/../a.png", json!([])));
        write("3.json", file("b.png", json!([])));
        write("4.json", file("../../../etc/passwd", json!([])));
        write("5.json", file("t.png", json!([])));
        write("6.json", "{".to_owned());
        write("b.samtok.json", "{".to_owned());
        let mut notes = Notes::default();
        let arrived = place.import(&LABELME, &folder, &mut notes).unwrap();
        let names: Vec<&str> = arrived.iter().map(|item| item.image.name.as_str()).collect();
        assert_eq!(names, ["a.png", "x/b.png", "x/a.png"]);
        assert_eq!(
            losses(&notes),
            [
                "a file could not be read and was left out",
                "annotations that were made before the image's EXIF rotation was applied were left out",
                "the image is not in the folder",
            ]
        );
    }

    #[test]
    fn images_of_one_stem_get_files_of_their_own() {
        let place = Workplace::new(&[("a.png", SIZE), ("a.webp", SIZE), ("A.jpg", SIZE)]);
        let items = ["a.png", "a.webp", "A.jpg"].map(|name| place.annotated(name, place.document(name)));
        let mut notes = Notes::default();
        let out = place.export(&LABELME, &items, &mut notes);
        let mut names: Vec<_> = std::fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["A.jpg.json", "a.json", "a.webp.json"]);
        let arrived = place.import(&LABELME, &out, &mut notes).unwrap();
        assert_eq!(arrived.len(), 3);
    }
}
