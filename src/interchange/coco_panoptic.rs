//! COCO panoptic: one PNG per image whose colours are numbers of segments, and a JSON file that says what they are.
//!
//! A pixel has one segment, so where regions overlap the one drawn last has it, as on the screen; what that takes
//! from the others is measured like every loss.

use super::carried::{Assembly, Carried, KEY};
use super::coco::{ANNOTATION_KEYS, add_words, bbox, take_words};
use super::coco_file::{self, TOOL, Tables, Writer, id_text, is_set, object};
use super::id_map::{IdMap, PngKind};
use super::json_stream::{List, read_lists};
use super::shape_file::kept_others;
use super::{Images, Incoming, Notes, Outgoing, OutputFolder, Result};
use crate::dataset::Region;
use crate::mask::Rle;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

const EXPECTED: &str = "a COCO panoptic file";

const FILE: &str = "annotations/panoptic_default.json";

/// The pictures are in a folder named like the file, where every reader looks for them.
const PICTURES: &str = "annotations/panoptic_default";

/// Colours that name a segment.
const MOST_SEGMENTS: usize = (1 << 24) - 1;

/// Writes `annotations/panoptic_default.json` and the pictures beside it.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    let mut writer = Writer::create(out, FILE)?;
    let mut picture_names = HashSet::new();
    for item in items {
        let item = item?;
        let carried = Carried::of(&item)?;
        let image_id = writer.image(&item, carried.document)?;
        let mut map = IdMap::new(item.document.image.size);
        for (region, id) in item.document.regions.iter().zip(1..) {
            map.paint(&region.mask.rle, id);
        }
        let visible = map.regions(MOST_SEGMENTS).unwrap_or_default();
        let mut segments = Vec::with_capacity(item.document.regions.len());
        for ((region, carried), id) in item.document.regions.iter().zip(carried.regions).zip(1..) {
            match visible.get(&id) {
                Some(rle) => {
                    let category_id = writer.category(&region.label, || category_keys(region));
                    segments.push(segment(region, carried, rle, (id, category_id)));
                }
                None => {
                    let what = "regions that have no pixel of their own were left out";
                    notes.lost(what, &item.name, &region.id);
                }
            }
        }
        let picture = picture_name(&item.name, &mut picture_names);
        map.write(out, &format!("{PICTURES}/{picture}"), PngKind::Rgb8)?;
        writer.annotation(&object(json!({
            "image_id": image_id,
            "file_name": picture,
            "segments_info": segments,
        })))?;
    }
    writer.finish()
}

/// A PNG of the image's name, with its suffix kept where another image has the same name without.
fn picture_name(image: &str, used: &mut HashSet<String>) -> String {
    let stem = Path::new(image)
        .with_extension("png")
        .to_string_lossy()
        .replace('\\', "/");
    // Two names that differ in case only are one on some systems.
    if used.insert(stem.to_lowercase()) {
        return stem;
    }
    let whole = format!("{image}.png");
    used.insert(whole.to_lowercase());
    whole
}

fn category_keys(region: &Region) -> Map<String, Value> {
    let known = |key: &str| kept_others(&region.unknown, TOOL).and_then(|keys| keys.get(key));
    let mut keys = object(json!({
        "supercategory": known("supercategory").and_then(Value::as_str).unwrap_or_default(),
        "isthing": known("isthing").map_or(1, |is_thing| u8::from(is_set(Some(is_thing)))),
    }));
    if let Some(color) = known("color") {
        keys.insert("color".to_owned(), color.clone());
    }
    keys
}

/// `region`, of which `rle` is visible, as a segment with these ids of itself and its category.
fn segment(region: &Region, carried: Value, rle: &Rle, (id, category_id): (u32, u64)) -> Value {
    let mut keys = object(json!({
        "id": id,
        "category_id": category_id,
        "area": rle.area(),
        "bbox": bbox(rle.bounding_box()),
        "iscrowd": u8::from(is_set(region.attributes.get("iscrowd"))),
    }));
    add_words(&mut keys, region, carried);
    Value::Object(keys)
}

/// Reads a panoptic file, or all in a folder; the pictures are in the folder that the file is named like, or beside it.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    for path in coco_file::files(source, "panoptic", EXPECTED)? {
        let mut tables = Tables::read(&path, EXPECTED, notes)?;
        let mut read = |_, annotation: Value| {
            let keys = object(annotation);
            let image_id = keys.get("image_id").and_then(id_text).unwrap_or_default();
            let file_name = keys.get("file_name").and_then(Value::as_str).unwrap_or_default();
            match assembled(&path, &mut tables, &image_id, file_name, &keys, (images, notes))? {
                Some(assembly) => take(assembly.finish()),
                None => Ok(()),
            }
        };
        read_lists(&path, EXPECTED, &[List::whole("annotations")], &mut read)?;
    }
    Ok(())
}

/// One image's segments; `None` where they cannot be used, which is noted.
fn assembled(
    path: &Path,
    tables: &mut Tables,
    image_id: &str,
    file_name: &str,
    keys: &Map<String, Value>,
    (images, notes): (&Images, &mut Notes),
) -> Result<Option<Assembly>> {
    let Some(entry) = tables.images.get_mut(image_id) else {
        notes.lost(
            "annotations of images that the file does not list were left out",
            file_name,
            image_id,
        );
        return Ok(None);
    };
    let Some(image) = entry.find(images, notes)? else {
        notes.lost(
            "annotations of images that are not there were left out",
            &entry.file_name,
            file_name,
        );
        return Ok(None);
    };
    let Some(picture) = picture_path(path, file_name) else {
        notes.lost(
            "annotations whose picture is not there were left out",
            &image.name,
            file_name,
        );
        return Ok(None);
    };
    let read = IdMap::read(&picture, image.size).and_then(|(map, _)| {
        let regions = map.regions(MOST_PICTURE_REGIONS);
        regions.map_err(|_too_many| "it has too many segments".to_owned())
    });
    let mut regions = match read {
        Ok(regions) => regions,
        Err(reason) => {
            let which = format!("{file_name}: {reason}");
            notes.lost(
                "annotations with a broken picture were left out",
                &image.name,
                which,
            );
            return Ok(None);
        }
    };
    let mut assembly = entry.assembly(image, &mut tables.shelf, notes)?;
    let name = assembly.image().name.clone();
    let segments = keys.get("segments_info").and_then(Value::as_array);
    for segment in segments.into_iter().flatten().filter_map(Value::as_object) {
        let id = segment.get("id").and_then(id_text).unwrap_or_default();
        let Some(rle) = id.parse().ok().and_then(|id: u32| regions.remove(&id)) else {
            notes.lost("segments that the picture does not have were left out", &name, id);
            continue;
        };
        let category = segment.get("category_id").and_then(id_text);
        let category = category.and_then(|id| tables.categories.get(&id));
        if category.is_none() {
            notes.lost(
                "labels of categories that the file does not list were left out",
                &name,
                id,
            );
        }
        let mut region = assembly.region(segment.get(KEY), TOOL, rle, notes);
        take_words(&mut region, segment, category, &ANNOTATION_KEYS);
        assembly.push(region);
    }
    for id in regions.keys() {
        notes.lost(
            "segments of the picture that the file does not explain were left out",
            &name,
            id,
        );
    }
    Ok(Some(assembly))
}

/// More segments than this are no segments but a photograph.
const MOST_PICTURE_REGIONS: usize = 65_536;

/// The picture of this name that belongs to the file at `path`.
fn picture_path(path: &Path, name: &str) -> Option<PathBuf> {
    let name = Path::new(name);
    // A name from a file must not lead anywhere else.
    let is_inside = name
        .components()
        .all(|part| matches!(part, std::path::Component::Normal(_)));
    if !is_inside || name.as_os_str().is_empty() {
        return None;
    }
    let folders = [path.with_extension(""), path.parent()?.to_path_buf()];
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|picture| picture.is_file())
}

#[cfg(test)]
mod tests;
