//! The JSON of labelme and its descendants: one file beside each image, with a list of shapes.

use super::json_tree::read_file;
use super::{
    FoundImage, Images, InterchangeError, Notes, OutputFolder, Result, carried, outline, pieces, source_files,
};
use crate::geometry::{ImagePoint, ImageSize};
use crate::image_file::{Limits, decode_rgb};
use crate::mask::Mask;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::path::Path;

/// Keys that every file has; all others are somebody's own.
pub(super) const TOP_KEYS: [&str; 7] = [
    "version",
    "flags",
    "shapes",
    "imagePath",
    "imageData",
    "imageHeight",
    "imageWidth",
];

/// A file that was read, for an image that is there.
#[derive(Debug)]
pub(super) struct ShapeFile {
    pub(super) image: FoundImage,
    /// The top level without the shapes.
    pub(super) keys: Map<String, Value>,
    pub(super) shapes: Vec<Shape>,
}

/// A shape of whatever type.
#[derive(Debug)]
pub(super) struct Shape {
    /// The whole object without its points.
    pub(super) keys: Map<String, Value>,
    pub(super) label: String,
    pub(super) kind: String,
    pub(super) points: Vec<ImagePoint>,
    /// Shapes of one label and group are one thing.
    pub(super) group: Option<i64>,
}

/// Reads `source`, a file or a folder of them, and calls `take` with each one whose image is there.
///
/// A file that cannot be read stops the reading where it is the only one and is noted in a folder.
pub(super) fn read_each(
    source: &Path,
    images: &Images,
    expected: &'static str,
    notes: &mut Notes,
    take: &mut dyn FnMut(ShapeFile, &mut Notes) -> Result<()>,
) -> Result<()> {
    let is_folder = source.is_dir();
    for (path, name) in source_files::below(source, "json")? {
        match read_one(&path, &name, images, expected, notes) {
            Ok(Some(file)) => take(file, notes)?,
            Ok(None) => {}
            Err(error) if is_folder => notes.lost("a file could not be read and was left out", &name, error),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn read_one(
    path: &Path,
    name: &str,
    images: &Images,
    expected: &'static str,
    notes: &mut Notes,
) -> Result<Option<ShapeFile>> {
    let foreign = |reason: String| InterchangeError::foreign(expected, reason, path);
    let Value::Object(mut keys) = read_file(path, expected)? else {
        return Err(foreign("it is no JSON object".to_owned()));
    };
    let Some(Value::Array(shapes)) = keys.shift_remove("shapes") else {
        return Err(foreign("it has no list of \"shapes\"".to_owned()));
    };
    keys.shift_remove("imageData");
    let image_path = keys.get("imagePath").and_then(Value::as_str).unwrap_or_default();
    let Some(image) = find_image(images, name, image_path)? else {
        notes.lost("the image is not in the folder", image_path, name);
        return Ok(None);
    };
    let declared = |key: &str, actual: u32| keys.get(key).and_then(Value::as_f64).unwrap_or(actual.into());
    let (width, height) = (
        declared("imageWidth", image.size.width),
        declared("imageHeight", image.size.height),
    );
    if !carried::is_of_size(&image, width, height, notes) {
        return Ok(None);
    }
    let shape =
        |(index, value)| Shape::read(value).map_err(|reason| foreign(format!("shapes[{index}]: {reason}")));
    let shapes = shapes.into_iter().enumerate().map(shape).collect::<Result<_>>()?;
    Ok(Some(ShapeFile { image, keys, shapes }))
}

/// The image that the file `name` means by `image_path`, which counts from the folder of the file.
fn find_image(images: &Images, name: &str, image_path: &str) -> Result<Option<FoundImage>> {
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let path = image_path.replace('\\', "/");
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if path.is_empty() {
        return images.find_stem(name.trim_end_matches(".json"));
    }
    images.find(&parts.join("/"))
}

impl Shape {
    fn read(value: Value) -> Result<Self, String> {
        let Value::Object(mut keys) = value else {
            return Err("it is no object".to_owned());
        };
        let Some(Value::Array(points)) = keys.shift_remove("points") else {
            return Err("it has no list of \"points\"".to_owned());
        };
        let point = |value: &Value| {
            let coordinate = |index| value.get(index).and_then(Value::as_f64).map(|value| value as f32);
            let (x, y) = (coordinate(0)?, coordinate(1)?);
            (x.is_finite() && y.is_finite()).then(|| ImagePoint::new(x, y))
        };
        let points: Option<Vec<_>> = points.iter().map(point).collect();
        let text = |key: &str| keys.get(key).and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            label: text("label").ok_or("its \"label\" is no text")?,
            kind: text("shape_type").unwrap_or_else(|| "polygon".to_owned()),
            points: points.ok_or("its \"points\" are not all pairs of numbers")?,
            group: keys.get("group_id").and_then(Value::as_i64),
            keys,
        })
    }

    /// The region that we had written into the file, be it as labelme's or as X-AnyLabeling's.
    pub(super) fn carried(&self) -> Option<&Value> {
        let ours = self.keys.get(carried::KEY)?;
        ours.get("region").or_else(|| ours.get("id").and(Some(ours)))
    }

    /// The text under `description`; empty where there is none.
    pub(super) fn description(&self) -> &str {
        self.keys
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The pixels of the shape in an image of `size`, or why there are none, as a sentence for [`Notes`].
    pub(super) fn mask(&self, size: ImageSize) -> Result<Mask, &'static str> {
        let line = match (self.kind.as_str(), self.points.as_slice()) {
            ("mask", &[corner, _]) => {
                let placed = self.bitmap(size).and_then(|bitmap| {
                    let mut mask = Mask::empty(size).ok()?;
                    mask.paste(&bitmap, corner.x.round() as i32, corner.y.round() as i32);
                    Some(mask)
                });
                return placed.ok_or("masks that could not be decoded were left out");
            }
            ("rectangle", &[a, b]) => {
                let [left, right] = [a.x.min(b.x), a.x.max(b.x)].map(f64::from);
                let [top, bottom] = [a.y.min(b.y), a.y.max(b.y)].map(f64::from);
                outline::turned_box([left, top, right - left, bottom - top], 0.0, [left, top])
            }
            ("circle", &[centre, rim]) => {
                let radius = f64::from(centre.x - rim.x).hypot(f64::from(centre.y - rim.y));
                outline::ellipse([centre.x.into(), centre.y.into()], [radius, radius], 0.0)
            }
            ("polygon", points @ [_, _, _, ..])
            | ("rectangle" | "rotation" | "oriented_rectangle" | "quadrilateral", points @ [_, _, _, _]) => {
                points.to_vec()
            }
            // The corners of the front face come first.
            ("cuboid", [front @ .., _, _, _, _]) if front.len() == 4 => front.to_vec(),
            ("point" | "points" | "line" | "linestrip" | "polygon", _) => {
                return Err("points and lines, which have no area, were left out");
            }
            _ => return Err("shapes of an unknown type were left out"),
        };
        pieces::filled(size, line)
    }

    /// The picture in a mask shape: every pixel that is not black is set.
    fn bitmap(&self, size: ImageSize) -> Option<Mask> {
        let text = self.keys.get("mask")?.as_str()?;
        let bytes = STANDARD.decode(text.trim_ascii()).ok()?;
        let limits = Limits::with_max_pixels(size.area().saturating_mul(4).max(1 << 20));
        let picture = decode_rgb(&bytes, Path::new("mask"), &limits).ok()?;
        let (pixels, _) = picture.pixels.as_chunks::<3>();
        Mask::from_samples(picture.size, pixels, |pixel| *pixel != [0; 3]).ok()
    }
}

/// The shapes of one label and group together.
pub(super) fn grouped(shapes: &[Shape]) -> Vec<Vec<&Shape>> {
    pieces::grouped(shapes, |shape| {
        shape.group.map(|group| (shape.label.as_str(), group))
    })
}

/// The pixels of all `shapes` together; notes those that have none.
pub(super) fn joined_mask(image: &FoundImage, shapes: &[&Shape], notes: &mut Notes) -> Option<Mask> {
    let masks = shapes
        .iter()
        .map(|shape| (shape.label.as_str(), shape.mask(image.size)));
    pieces::joined(image, masks, notes)
}

/// The descriptions of `shapes`, each once, without empty ones.
pub(super) fn descriptions<'a>(shapes: &[&'a Shape]) -> Vec<&'a str> {
    let mut known = HashSet::from([""]);
    let texts = shapes.iter().map(|shape| shape.description());
    texts.filter(|text| known.insert(text)).collect()
}

/// The entries of `keys` that are neither known nor ours nor empty.
pub(super) fn others(keys: &Map<String, Value>, known: &[&str]) -> Map<String, Value> {
    let is_empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(keys) => keys.is_empty(),
        _ => false,
    };
    keys.iter()
        .filter(|(key, value)| !known.contains(&key.as_str()) && *key != carried::KEY && !is_empty(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Keeps `others` under the name of their `tool`.
pub(super) fn keep_others(unknown: &mut Map<String, Value>, tool: &str, others: Map<String, Value>) {
    if others.is_empty() {
        unknown.shift_remove(tool);
    } else {
        unknown.insert(tool.to_owned(), Value::Object(others));
    }
}

/// What [`keep_others`] kept.
pub(super) fn kept_others<'a>(unknown: &'a Map<String, Value>, tool: &str) -> Option<&'a Map<String, Value>> {
    unknown.get(tool).and_then(Value::as_object)
}

/// Adds what [`keep_others`] kept, but for `known` keys.
pub(super) fn add_others(
    keys: &mut Map<String, Value>,
    others: Option<&Map<String, Value>>,
    known: &[&[&str]],
) {
    for (key, value) in others.into_iter().flatten() {
        if !known.iter().any(|known| known.contains(&key.as_str())) {
            keys.insert(key.clone(), value.clone());
        }
    }
}

/// Writes one file per image, named as the tools look for it.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// In small letters, as two names that differ in nothing else are one on some systems.
    names: HashSet<String>,
}

impl Writer {
    /// Writes the file of the image `image_name`: `photo.json` for `photo.jpg`, and `photo.png.json` for another
    /// image of that stem.
    pub(super) fn write(
        &mut self,
        out: &OutputFolder,
        image_name: &str,
        value: &Value,
        notes: &mut Notes,
    ) -> Result<()> {
        let stem = match image_name.rsplit_once('.') {
            Some((stem, suffix)) if !suffix.contains('/') => stem,
            _ => image_name,
        };
        let mut name = format!("{stem}.json");
        if !self.names.insert(name.to_lowercase()) {
            name = format!("{image_name}.json");
            self.names.insert(name.to_lowercase());
            let what = "another image has the same name but for the suffix, so the file is named after the whole name and has to be opened by hand";
            notes.remark(what, image_name, "");
        }
        out.write(&name, format!("{value:#}\n").as_bytes())
    }
}

/// The file name of an image without its folders.
pub(super) fn file_name(image_name: &str) -> &str {
    image_name.rsplit('/').next().unwrap_or(image_name)
}
