//! X-AnyLabeling JSON, which knows no masks: every part of a region is a polygon, its holes reached over bridges.
//!
//! Parts of one region share a group, which that program takes for one thing too. The exact mask is carried beside
//! the polygons with a hash of each, so that it comes back while nobody edited them, and the edited polygons where
//! somebody did. Captions, attributes, review state, notes and conversations have fields of their own.

mod chat;

use super::carried::{
    Assembly, Carried, KEY, description, take_attributes, take_captions, take_description, value_text,
};
use super::shape_file::{self, Shape, ShapeFile, TOP_KEYS, Writer};
use super::{Annotated, Images, Incoming, Notes, Outgoing, OutputFolder, Result, outline};
use crate::dataset::{Region, Status};
use crate::geometry::{ImagePoint, ImageSize};
use crate::mask::{Mask, Rle};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::path::Path;

const EXPECTED: &str = "an X-AnyLabeling file";

/// Where keys of other programs are kept in a sidecar.
const TOOL: &str = "xanylabeling";

/// The version whose reader the files are made for.
const VERSION: &str = "4.0.2";

/// Keys of the top level that are made from the document; others are kept as they are.
const DOCUMENT_KEYS: [&str; 3] = ["checked", "description", "chat_history"];

/// Keys of a shape that are made from the region or belong to its geometry.
const SHAPE_KEYS: [&str; 9] = [
    "label",
    "points",
    "group_id",
    "description",
    "difficult",
    "shape_type",
    "attributes",
    "direction",
    "cuboid3d",
];

/// Other keys of a shape that the reader takes in one form only.
const CHECKED_KEYS: [&str; 3] = ["score", "flags", "kie_linking"];

/// The attribute that has a field of its own.
const DIFFICULT: &str = "difficult";

/// Writes one JSON file per image, to be put beside the image.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    let mut writer = Writer::default();
    for item in items {
        let item = item?;
        let carried = Carried::of(&item)?;
        let shapes = shapes(&item, carried.regions, notes);
        let document = &item.document;
        let size = document.image.size;
        let others = shape_file::kept_others(&document.unknown, TOOL);
        let image_path = shape_file::file_name(&item.name);
        let mut keys = Map::from_iter([
            ("version".to_owned(), VERSION.into()),
            (
                "flags".to_owned(),
                others
                    .and_then(|keys| keys.get("flags"))
                    .cloned()
                    .unwrap_or_else(|| json!({})),
            ),
            ("checked".to_owned(), is_checked(document.status).into()),
            ("shapes".to_owned(), shapes.into()),
            ("imagePath".to_owned(), image_path.into()),
            ("imageData".to_owned(), Value::Null),
            ("imageHeight".to_owned(), size.height.into()),
            ("imageWidth".to_owned(), size.width.into()),
            ("description".to_owned(), document.notes.as_str().into()),
        ]);
        let history = chat::history(document, image_path);
        if !history.is_empty() {
            keys.insert("chat_history".to_owned(), history.into());
        }
        shape_file::add_others(&mut keys, others, &[&TOP_KEYS, &DOCUMENT_KEYS]);
        chat::write_vqa(document, &mut keys);
        keys.insert(KEY.to_owned(), carried.document);
        writer.write(out, &item.name, &Value::Object(keys), notes)?;
    }
    Ok(())
}

const fn is_checked(status: Status) -> bool {
    matches!(status, Status::Done | Status::Approved)
}

/// The shapes of all regions, in their order.
fn shapes(item: &Annotated, carried: Vec<Value>, notes: &mut Notes) -> Vec<Value> {
    let regions = &item.document.regions;
    let kept = |region: &Region| {
        shape_file::kept_others(&region.unknown, TOOL).and_then(|keys| keys.get("group_id")?.as_i64())
    };
    let highest = regions.iter().filter_map(kept).max().unwrap_or(0).max(0);
    let mut unused = highest.saturating_add(1)..;
    let mut groups = HashSet::new();
    let mut shapes = Vec::new();
    for (region, carried) in regions.iter().zip(carried) {
        let parts = Mask::from_rle(&region.mask.rle).trace();
        if parts.is_empty() {
            notes.lost("regions without a pixel were left out", &item.name, &region.id);
        }
        // Two regions of one group would come back as one.
        let own = kept(region).filter(|&group| groups.insert((region.label.as_str(), group)));
        let group = own.or_else(|| if parts.len() > 1 { unused.next() } else { None });
        for (index, part) in parts.iter().enumerate() {
            let line = outline::one_line(part);
            let mut ours = json!({"part": index, "parts": parts.len(), "geometry": geometry_hash(&line)});
            if let (0, Value::Object(ours)) = (index, &mut ours) {
                ours.insert("counts".to_owned(), region.mask.rle.to_compressed().into());
                ours.insert("region".to_owned(), carried.clone());
            }
            shapes.push(shape(region, &line, group, index == 0, ours));
        }
    }
    shapes
}

fn shape(region: &Region, line: &[ImagePoint], group: Option<i64>, is_first: bool, ours: Value) -> Value {
    let points: Vec<Value> = line.iter().map(|point| json!([point.x, point.y])).collect();
    let others = shape_file::kept_others(&region.unknown, TOOL);
    let kept = |key: &str| others.and_then(|keys| keys.get(key)).cloned();
    let attributes: Map<String, Value> = region
        .attributes
        .iter()
        .filter(|(name, value)| is_first && !(*name == DIFFICULT && value.is_boolean()))
        .map(|(name, value)| (name.clone(), value_text(value).into()))
        .collect();
    let mut keys = Map::from_iter([
        ("label".to_owned(), region.label.as_str().into()),
        (
            "score".to_owned(),
            kept("score").filter(Value::is_number).unwrap_or(Value::Null),
        ),
        ("points".to_owned(), points.into()),
        ("group_id".to_owned(), group.into()),
        (
            "description".to_owned(),
            if is_first {
                description(region)
            } else {
                String::new()
            }
            .into(),
        ),
        (
            DIFFICULT.to_owned(),
            (region.attributes.get(DIFFICULT) == Some(&Value::Bool(true))).into(),
        ),
        ("shape_type".to_owned(), "polygon".into()),
        (
            "flags".to_owned(),
            kept("flags")
                .filter(Value::is_object)
                .unwrap_or_else(|| json!({})),
        ),
        ("attributes".to_owned(), attributes.into()),
        (
            "kie_linking".to_owned(),
            kept("kie_linking")
                .filter(is_linking)
                .unwrap_or_else(|| json!([])),
        ),
    ]);
    shape_file::add_others(&mut keys, others, &[&SHAPE_KEYS, &CHECKED_KEYS]);
    keys.insert(KEY.to_owned(), ours);
    Value::Object(keys)
}

/// Whether the reader takes it: anything but pairs of whole numbers makes it refuse the file.
fn is_linking(value: &Value) -> bool {
    let is_pair =
        |pair: &Value| matches!(pair.as_array().map(Vec::as_slice), Some([a, b]) if a.is_i64() && b.is_i64());
    value.as_array().is_some_and(|pairs| pairs.iter().all(is_pair))
}

/// Tells whether a polygon was edited; to a hundredth of a pixel, as some programs write no more.
fn geometry_hash(points: &[ImagePoint]) -> String {
    let mut hash = blake3::Hasher::new();
    for point in points {
        let hundredths = |coordinate: f32| ((f64::from(coordinate) * 100.0).round() as i64).to_le_bytes();
        hash.update(&hundredths(point.x)).update(&hundredths(point.y));
    }
    hash.finalize().to_hex().chars().take(32).collect()
}

/// Reads an X-AnyLabeling file or a folder of them.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    shape_file::read_each(source, images, EXPECTED, notes, &mut |file, notes| {
        let ShapeFile { image, keys, shapes } = file;
        let mut assembly = Assembly::new(image, keys.get(KEY), notes);
        let document = &mut assembly.document;
        // In a file of ours the question may be there only because a conversation has it.
        let is_written = keys.contains_key(KEY) && !chat::keeps_question(document);
        let known: Vec<&str> = TOP_KEYS
            .into_iter()
            .filter(|&key| key != "flags")
            .chain(DOCUMENT_KEYS)
            .collect();
        shape_file::keep_others(&mut document.unknown, TOOL, shape_file::others(&keys, &known));
        let checked = keys.get("checked").and_then(Value::as_bool).unwrap_or(false);
        if checked != is_checked(document.status) {
            document.status = if checked { Status::Done } else { Status::Draft };
        }
        if let Some(text) = keys.get("description").and_then(Value::as_str) {
            text.clone_into(&mut document.notes);
        }
        for group in shape_file::grouped(&shapes) {
            if let Some(region) = region(&assembly, &group, notes) {
                assembly.push(region);
            }
        }
        let mut arrived = assembly.finish();
        let history = keys.get("chat_history").and_then(Value::as_array);
        chat::take_history(
            &mut arrived.document,
            history.map_or(&[][..], Vec::as_slice),
            &arrived.image.name,
            notes,
        );
        chat::take_vqa(&mut arrived.document, keys.get(chat::VQA), is_written);
        take(arrived)
    })
}

fn region(assembly: &Assembly, shapes: &[&Shape], notes: &mut Notes) -> Option<Region> {
    let image = assembly.image();
    if shapes.iter().any(|shape| shape.kind == "cuboid") {
        notes.remark("of cuboids the front face was taken", &image.name, "");
    }
    let rle = match unedited(image.size, shapes) {
        Some(rle) => rle,
        None => shape_file::joined_mask(image, shapes, notes)?.to_rle(),
    };
    let carried = shapes.iter().find_map(|shape| shape.carried());
    let mut region = assembly.region(carried, TOOL, rle, notes);
    if let Some(shape) = shapes.first() {
        region.label.clone_from(&shape.label);
        let mut others = shape_file::others(&shape.keys, &SHAPE_KEYS);
        if let Some(group) = shape.group.filter(|_| carried.is_none() || had_group(&region)) {
            others.insert("group_id".to_owned(), group.into());
        }
        shape_file::keep_others(&mut region.unknown, TOOL, others);
    }
    match shape_file::descriptions(shapes)[..] {
        [] => take_description(&mut region, ""),
        [text] => take_description(&mut region, text),
        ref texts => take_captions(&mut region, texts),
    }
    let mut attributes: Vec<(String, Value)> = shapes
        .iter()
        .filter_map(|shape| shape.keys.get("attributes")?.as_object())
        .flatten()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if shapes
        .iter()
        .any(|shape| shape.keys.get(DIFFICULT) == Some(&Value::Bool(true)))
    {
        attributes.push((DIFFICULT.to_owned(), true.into()));
    }
    let holds = |name: &str, value: &Value| name != DIFFICULT || *value != Value::Bool(false);
    take_attributes(&mut region, &attributes, holds);
    Some(region)
}

/// Whether the group of the region was somebody's, not one that only holds its parts together.
fn had_group(region: &Region) -> bool {
    shape_file::kept_others(&region.unknown, TOOL).is_some_and(|keys| keys.contains_key("group_id"))
}

/// The exact mask that was written beside `shapes`, where all of them are still there and as they were.
fn unedited(size: ImageSize, shapes: &[&Shape]) -> Option<Rle> {
    let ours: Vec<&Value> = shapes.iter().filter_map(|shape| shape.keys.get(KEY)).collect();
    let number = |value: &Value, key: &str| usize::try_from(value.get(key)?.as_u64()?).ok();
    let parts: HashSet<usize> = ours.iter().filter_map(|value| number(value, "part")).collect();
    let is_whole = ours.len() == shapes.len()
        && parts.len() == shapes.len()
        && ours
            .iter()
            .all(|value| number(value, "parts") == Some(shapes.len()))
        && shapes.iter().zip(&ours).all(|(shape, ours)| {
            shape.kind == "polygon"
                && ours.get("geometry").and_then(Value::as_str) == Some(&geometry_hash(&shape.points))
        });
    let counts = ours.iter().find_map(|value| value.get("counts")?.as_str())?;
    Rle::from_compressed(size, counts)
        .ok()
        .filter(|rle| is_whole && rle.area() > 0)
}

#[cfg(test)]
mod tests;
