//! COCO instances: every region an annotation with run lengths, which keep holes and parts, and its label a category.
//!
//! What COCO has no field for is carried under a key of our own. On the way in, every form of `segmentation` that
//! real files have is read, and keys that we do not know come back out with the next export.

use super::carried::{Assembly, Carried, KEY, description, take_attributes, take_captions, take_description};
use super::coco_file::{self, Category, TOOL, Tables, UNLABELLED, Writer, id_text, is_set, object};
use super::json_stream::{List, read_lists};
use super::segmentation;
use super::shape_file::{add_others, keep_others, kept_others, others};
use super::{Images, Incoming, Notes, Outgoing, OutputFolder, Result};
use crate::dataset::Region;
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::{Mask, Rle};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::path::Path;

const EXPECTED: &str = "a COCO instances file";

/// Where CVAT, datumaro and FiftyOne look for it.
const FILE: &str = "annotations/instances_default.json";

/// What others say in annotations under these keys is said by other means.
pub(super) const ANNOTATION_KEYS: [&str; 13] = [
    "id",
    "image_id",
    "category_id",
    "segmentation",
    "area",
    "bbox",
    "iscrowd",
    "attributes",
    "caption",
    "captions",
    // Of the category.
    "supercategory",
    "isthing",
    "color",
];

/// An attribute of ours, because a crowd has its own evaluation.
const CROWD: &str = "iscrowd";

/// Regions wait for others of their image up to this many bytes.
const MAX_PENDING_BYTES: usize = 64 << 20;

/// Polygons of one region that are looked at one by one for holes.
const MAX_POLYGONS: usize = 256;

/// Writes `annotations/instances_default.json`.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, _: &mut Notes) -> Result<()> {
    let mut writer = Writer::create(out, FILE)?;
    let mut id = 0_u64;
    for item in items {
        let item = item?;
        let carried = Carried::of(&item)?;
        let image_id = writer.image(&item, carried.document)?;
        for (region, carried) in item.document.regions.iter().zip(carried.regions) {
            id += 1;
            let category_id = writer.category(&region.label, || category_keys(region));
            let mut keys = region_keys(region, carried);
            keys.insert("id".to_owned(), id.into());
            keys.insert("image_id".to_owned(), image_id.into());
            keys.insert("category_id".to_owned(), category_id.into());
            writer.annotation(&keys)?;
        }
    }
    writer.finish()
}

/// What the category of `region` says beside its name.
fn category_keys(region: &Region) -> Map<String, Value> {
    let known = kept_others(&region.unknown, TOOL).and_then(|keys| keys.get("supercategory")?.as_str());
    object(json!({"supercategory": known.unwrap_or_default()}))
}

fn region_keys(region: &Region, carried: Value) -> Map<String, Value> {
    let rle = &region.mask.rle;
    let ImageSize { width, height } = rle.size();
    let mut keys = object(json!({
        "id": 0,
        "image_id": 0,
        "category_id": 0,
        "segmentation": {"size": [height, width], "counts": rle.to_compressed()},
        "area": rle.area(),
        "bbox": bbox(rle.bounding_box()),
        "iscrowd": u8::from(is_set(region.attributes.get(CROWD))),
    }));
    add_words(&mut keys, region, carried);
    keys
}

/// The box as COCO has it.
pub(super) fn bbox(bounds: Option<PixelRect>) -> Value {
    let PixelRect { x, y, width, height } = bounds.unwrap_or(PixelRect::new(0, 0, 0, 0));
    json!([x, y, width, height])
}

/// Adds what is said of a region: attributes and captions as other tools have them, foreign keys, and what is
/// `carried`, less what stands beside it.
pub(super) fn add_words(keys: &mut Map<String, Value>, region: &Region, carried: Value) {
    if !region.attributes.is_empty() {
        keys.insert("attributes".to_owned(), Value::Object(region.attributes.clone()));
    }
    if !region.captions.is_empty() {
        keys.insert("caption".to_owned(), description(region).into());
    }
    add_others(keys, kept_others(&region.unknown, TOOL), &[&ANNOTATION_KEYS]);
    let mut carried = object(carried);
    carried.shift_remove("attributes");
    carried.shift_remove(TOOL);
    if !region.label.is_empty() {
        carried.shift_remove("label");
    }
    keys.insert(KEY.to_owned(), Value::Object(carried));
}

/// Takes what [`add_words`] wrote, or what another tool says in its place; `region` has what was carried.
pub(super) fn take_words(
    region: &mut Region,
    keys: &Map<String, Value>,
    category: Option<&Category>,
    known: &[&str],
) {
    let name = category.map_or("", |category| category.name.as_str());
    let was_unlabelled = keys.get(KEY).and_then(|carried| carried.get("label")).is_some();
    if !(was_unlabelled && name == UNLABELLED) {
        name.clone_into(&mut region.label);
    }
    let mut attributes: Vec<(String, Value)> = match keys.get("attributes") {
        Some(Value::Object(attributes)) => attributes.clone().into_iter().collect(),
        _ => Vec::new(),
    };
    if is_set(keys.get(CROWD)) && !attributes.iter().any(|(key, _)| key == CROWD) {
        attributes.push((CROWD.to_owned(), true.into()));
    }
    take_attributes(region, &attributes, |_, _| true);
    match (keys.get("caption"), keys.get("captions")) {
        (Some(Value::String(text)), _) => take_description(region, text),
        (_, Some(Value::Array(texts))) => {
            let texts: Vec<&str> = texts.iter().filter_map(Value::as_str).collect();
            take_captions(region, &texts);
        }
        _ => {}
    }
    let mut others = others(keys, known);
    if let Some(category) = category {
        others.extend(category.others.clone());
    }
    keep_others(&mut region.unknown, TOOL, others);
}

/// Reads an instances file, or all in a folder.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    for path in coco_file::files(source, "instances", EXPECTED)? {
        let tables = Tables::read(&path, EXPECTED, notes)?;
        let mut reader = Reader {
            tables,
            images,
            pending: HashMap::new(),
            pending_bytes: 0,
            started: 0,
        };
        let mut read = |_, annotation: Value| reader.take(&object(annotation), take, notes);
        read_lists(&path, EXPECTED, &[List::whole("annotations")], &mut read)?;
        reader.finish(take, notes)?;
    }
    Ok(())
}

/// Annotations on their way to documents.
///
/// Files list annotations in any order, so the regions of an image are gathered until its last one has come; once too
/// many are waiting, all but the image at hand leave, and an image may come again.
struct Reader<'a> {
    tables: Tables,
    images: &'a Images,
    /// By the id of the image.
    pending: HashMap<String, Pending>,
    pending_bytes: usize,
    /// Images that began to wait.
    started: u64,
}

/// An image of which annotations may still come.
#[derive(Debug)]
struct Pending {
    /// Its place among the images that wait.
    number: u64,
    assembly: Assembly,
    bytes: usize,
}

impl Reader<'_> {
    /// Takes an annotation, and hands its image over if it was the last.
    fn take(&mut self, keys: &Map<String, Value>, take: &mut Incoming<'_>, notes: &mut Notes) -> Result<()> {
        let image_id = keys.get("image_id").and_then(id_text).unwrap_or_default();
        self.add(&image_id, keys, notes)?;
        if let Some(entry) = self.tables.images.get_mut(&image_id) {
            entry.annotations = entry.annotations.saturating_sub(1);
            if entry.annotations == 0
                && let Some(pending) = self.pending.remove(&image_id)
            {
                self.hand_over(&image_id, pending, take)?;
            }
        }
        if self.pending_bytes > MAX_PENDING_BYTES {
            let current = self.pending.remove(&image_id);
            self.release(take)?;
            self.pending.extend(current.map(|current| (image_id, current)));
        }
        Ok(())
    }

    fn add(&mut self, image_id: &str, keys: &Map<String, Value>, notes: &mut Notes) -> Result<()> {
        let id = keys.get("id").and_then(id_text).unwrap_or_default();
        let Some(entry) = self.tables.images.get_mut(image_id) else {
            notes.lost(
                "annotations of images that the file does not list were left out",
                "",
                id,
            );
            return Ok(());
        };
        if !self.pending.contains_key(image_id) {
            let Some(image) = entry.find(self.images, notes)? else {
                notes.lost(
                    "annotations of images that are not there were left out",
                    &entry.file_name,
                    id,
                );
                return Ok(());
            };
            let assembly = entry.assembly(image, &mut self.tables.shelf, notes)?;
            self.started += 1;
            let pending = Pending {
                number: self.started,
                assembly,
                bytes: 0,
            };
            self.pending.insert(image_id.to_owned(), pending);
        }
        let Some(Pending { assembly, bytes, .. }) = self.pending.get_mut(image_id) else {
            return Ok(());
        };
        let name = assembly.image().name.clone();
        let category_id = keys.get("category_id").filter(|id| !id.is_null());
        let category = category_id
            .and_then(id_text)
            .and_then(|id| self.tables.categories.get(&id));
        if category_id.is_some() && category.is_none() {
            notes.lost(
                "labels of categories that the file does not list were left out",
                &name,
                &id,
            );
        }
        let carried = keys.get(KEY);
        let mask = match mask(keys, assembly.image().size, &name, &id, notes) {
            Some(mask) if mask.area() == 0 && carried.is_none() => {
                notes.lost("annotations that cover no pixel were left out", &name, &id);
                return Ok(());
            }
            Some(mask) => mask,
            None => return Ok(()),
        };
        let weight = size_of::<Region>() + size_of_val(mask.counts()) + size_of_words(keys);
        *bytes += weight;
        self.pending_bytes += weight;
        let mut region = assembly.region(carried, TOOL, mask, notes);
        take_words(&mut region, keys, category, &ANNOTATION_KEYS);
        assembly.push(region);
        Ok(())
    }

    /// Hands over everything that waits, in the order in which it began to.
    fn release(&mut self, take: &mut Incoming<'_>) -> Result<()> {
        let mut waiting: Vec<_> = self.pending.drain().collect();
        waiting.sort_unstable_by_key(|(_, pending)| pending.number);
        for (id, pending) in waiting {
            self.hand_over(&id, pending, take)?;
        }
        Ok(())
    }

    fn hand_over(&mut self, id: &str, pending: Pending, take: &mut Incoming<'_>) -> Result<()> {
        self.pending_bytes -= pending.bytes;
        // What is said of the image itself is handed over with it.
        if let Some(entry) = self.tables.images.get_mut(id) {
            entry.finish();
        }
        take(pending.assembly.finish())
    }

    /// Hands over the rest, and the images of which only something else than regions is known.
    fn finish(mut self, take: &mut Incoming<'_>, notes: &mut Notes) -> Result<()> {
        self.release(take)?;
        for id in std::mem::take(&mut self.tables.order) {
            let Some(entry) = self.tables.images.get_mut(&id) else {
                continue;
            };
            if entry.is_done || !entry.has_carried() {
                continue;
            }
            match entry.find(self.images, notes)? {
                Some(image) => take(entry.assembly(image, &mut self.tables.shelf, notes)?.finish())?,
                None => notes.lost("images that are not there were left out", &entry.file_name, ""),
            }
        }
        Ok(())
    }
}

/// About how much memory what is said in an annotation takes.
fn size_of_words(keys: &Map<String, Value>) -> usize {
    let words = keys.iter().filter(|(key, _)| *key != "segmentation");
    words.map(|(key, value)| key.len() + size_of_value(value)).sum()
}

fn size_of_value(value: &Value) -> usize {
    let inside = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(size_of_value).sum(),
        Value::Object(keys) => keys
            .iter()
            .map(|(key, value)| key.len() + size_of_value(value))
            .sum(),
        _ => 0,
    };
    size_of::<(String, Value)>() + inside
}

/// The pixels of an annotation; `None` where it has none that can be understood, which is noted.
fn mask(keys: &Map<String, Value>, size: ImageSize, name: &str, id: &str, notes: &mut Notes) -> Option<Rle> {
    let is_empty = |value: &&Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let read = match keys.get("segmentation").filter(|value| !is_empty(value)) {
        Some(Value::Array(polygons)) if polygons.len() > 1 && polygons.iter().all(Value::is_array) => {
            polygons_mask(polygons, size, || {
                notes.remark("polygons inside of others were taken as holes", name, id);
            })
            .map(|mask| mask.to_rle())
        }
        Some(segmentation) => segmentation::read_runs(segmentation, size),
        None => match keys.get("bbox").and_then(box_polygon) {
            Some(polygon) => {
                notes.remark("annotations of a box alone were taken as rectangles", name, id);
                segmentation::read_runs(&json!([polygon]), size)
            }
            None => {
                notes.lost("annotations without a region were left out", name, id);
                return None;
            }
        },
    };
    match read {
        Ok(mask) => Some(mask),
        Err(reason) => {
            notes.lost(
                "annotations with a broken segmentation were left out",
                name,
                format!("{id}: {reason}"),
            );
            None
        }
    }
}

/// The union of the polygons, less those that lie wholly inside of what came before.
///
/// By COCO's rule such a polygon would change nothing, so nobody draws one but to say that a hole is there.
fn polygons_mask(polygons: &[Value], size: ImageSize, note_hole: impl FnOnce()) -> Result<Mask, String> {
    if polygons.len() > MAX_POLYGONS {
        return segmentation::read(&Value::Array(polygons.to_vec()), size);
    }
    let mut parts = Vec::with_capacity(polygons.len());
    for polygon in polygons {
        parts.push(segmentation::read(&json!([polygon]), size)?);
    }
    // Outlines before their holes, whatever the order of the file.
    parts.sort_by_key(|part| std::cmp::Reverse(part.area()));
    let mut parts = parts.into_iter();
    let mut mask = parts.next().ok_or("it is an empty list")?;
    let mut has_hole = false;
    for part in parts {
        // Tools that draw a part twice never leave a rim all around, and a hole has one.
        let joined = part.dilate(1.0);
        let has_rim = mask
            .count_and(&joined)
            .is_ok_and(|shared| shared == joined.area());
        let is_inside = !part.is_empty() && part.area() < mask.area() && has_rim;
        has_hole |= is_inside;
        let done = if is_inside {
            mask.subtract(&part)
        } else {
            mask.union_with(&part)
        };
        done.map_err(|error| error.to_string())?;
    }
    if has_hole {
        note_hole();
    }
    Ok(mask)
}

/// The corners of a `bbox`.
fn box_polygon(bbox: &Value) -> Option<Value> {
    let numbers: Vec<f64> = bbox.as_array()?.iter().filter_map(Value::as_f64).collect();
    let [x, y, width, height] = numbers[..] else {
        return None;
    };
    let (right, bottom) = (x + width, y + height);
    (width > 0.0 && height > 0.0).then(|| json!([x, y, right, y, right, bottom, x, bottom]))
}

#[cfg(test)]
mod tests;
