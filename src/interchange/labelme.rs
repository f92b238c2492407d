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
