//! Reading Label Studio's tasks one by one: brush strokes, polygons, boxes and ellipses with their texts.

use super::{CAPTION, EXPECTED, IMAGE, LOCAL_FILES, TOOL, brush, is_attribute, label_text};
use crate::dataset::Status;
use crate::geometry::{ImagePoint, ImageSize};
use crate::interchange::carried::{self, Assembly, KEY, take_attributes, take_captions};
use crate::interchange::json_tree::{Part, count, read_items};
use crate::interchange::{
    Arrived, FoundImage, Images, Incoming, InterchangeError, Notes, Result, outline, pieces, source_files,
};
use crate::mask::Mask;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;

/// What an object read here takes, in values of a [`Part`].
const VALUES_PER_OBJECT: u32 = 16;

/// A task, of which only what is needed is read.
#[derive(Debug, Deserialize)]
struct Task {
    #[serde(default)]
    data: Part,
    annotations: Option<Vec<Annotation>>,
    predictions: Option<Vec<Annotation>>,
    /// The name of an uploaded file.
    file_upload: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Annotation {
    #[serde(default, deserialize_with = "counted")]
    result: Vec<Item>,
    #[serde(default, deserialize_with = "or_default")]
    was_cancelled: bool,
}

/// One thing that was said about a region or the image.
#[derive(Debug, Deserialize)]
struct Item {
    #[serde(default, deserialize_with = "or_default")]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    from_name: String,
    #[serde(rename = "type", deserialize_with = "counted")]
    kind: String,
    original_width: Option<f64>,
    original_height: Option<f64>,
    image_rotation: Option<f64>,
    #[serde(default, deserialize_with = "or_default")]
    value: Contents,
    #[serde(default)]
    meta: Part,
}

#[derive(Debug, Default, Deserialize)]
struct Contents {
    /// Of a brush stroke.
    rle: Option<Vec<u8>>,
    /// Of a polygon, in percent of the image's sides; so are the following.
    points: Option<Vec<[f64; 2]>>,
    x: Option<f64>,
    y: Option<f64>,
    width: Option<f64>,
    height: Option<f64>,
    #[serde(rename = "radiusX")]
    radius_x: Option<f64>,
    #[serde(rename = "radiusY")]
    radius_y: Option<f64>,
    /// In degrees, clockwise.
    rotation: Option<f64>,
    /// Of the region, one of these.
    brushlabels: Option<Part>,
    polygonlabels: Option<Part>,
    rectanglelabels: Option<Part>,
    ellipselabels: Option<Part>,
    labels: Option<Part>,
    /// Of what is said about it, one of these.
    text: Option<Part>,
    choices: Option<Part>,
    number: Option<Part>,
    rating: Option<Part>,
    taxonomy: Option<Part>,
    datetime: Option<Part>,
}

/// [`or_default`] for a key that an object must have, so that there are never too many of them.
fn counted<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    count(VALUES_PER_OBJECT)?;
    or_default(deserializer)
}

/// What a `null` means as well.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    for path in source_files::directly_in(source, "json", EXPECTED)? {
        read_items(
            &path,
            EXPECTED,
            &mut |task: Task| match arrived(task, &path, images, notes)? {
                Some(arrived) => take(arrived),
                None => Ok(()),
            },
        )?;
    }
    Ok(())
}

fn arrived(task: Task, path: &Path, images: &Images, notes: &mut Notes) -> Result<Option<Arrived>> {
    let Task {
        data: Part(data),
        annotations,
        predictions,
        file_upload,
    } = task;
    if annotations.is_none() && predictions.is_none() {
        let reason = "a task has neither annotations nor predictions; export as JSON, not as JSON-MIN";
        return Err(InterchangeError::foreign(EXPECTED, reason, path));
    }
    let Some((key, image)) = find_image(images, &data, file_upload.as_deref())? else {
        let name = data
            .get(IMAGE)
            .and_then(Value::as_str)
            .or(file_upload.as_deref())
            .unwrap_or_default();
        notes.lost("the image is not in the folder", name, "");
        return Ok(None);
    };
    let mut annotations = annotations.unwrap_or_default();
    annotations.retain(|annotation| !annotation.was_cancelled);
    let mut source = annotations;
    let is_annotated = !source.is_empty();
    if source.is_empty() {
        source = predictions.unwrap_or_default();
        if !source.is_empty() {
            notes.remark(
                "predictions were taken, as nobody has annotated the image",
                &image.name,
                "",
            );
        }
    }
    if source.len() > 1 {
        notes.lost(
            "of several annotations of one image only the last was taken",
            &image.name,
            source.len(),
        );
    }
    let items = source
        .pop()
        .map(|annotation| annotation.result)
        .unwrap_or_default();
    let mut assembly = Assembly::new(image, data.get(KEY), notes);
    if data.get(KEY).is_none() && is_annotated {
        assembly.document.status = Status::Done;
    }
    let mut kept = data.as_object().cloned().unwrap_or_default();
    kept.retain(|name, _| name != KEY && *name != key);
    keep(&mut assembly.document.unknown, kept);
    for (id, items) in by_region(items) {
        add_region(&mut assembly, &id, &items, notes);
    }
    Ok(Some(assembly.finish()))
}

fn keep(unknown: &mut Map<String, Value>, kept: Map<String, Value>) {
    if kept.is_empty() {
        unknown.shift_remove(TOOL);
    } else {
        unknown.insert(TOOL.to_owned(), Value::Object(kept));
    }
}

/// What belongs to one region, in the order of the regions.
fn by_region(items: Vec<Item>) -> Vec<(String, Vec<Item>)> {
    let mut regions: Vec<(String, Vec<Item>)> = Vec::new();
    let mut by_id = HashMap::new();
    for item in items {
        let index = *by_id.entry(item.id.clone()).or_insert(regions.len());
        match regions.get_mut(index) {
            Some((_, items)) => items.push(item),
            None => regions.push((item.id.clone(), vec![item])),
        }
    }
    regions
}

/// The image that a task is about, and the key of its data that names it.
fn find_image(
    images: &Images,
    data: &Value,
    file_upload: Option<&str>,
) -> Result<Option<(String, FoundImage)>> {
    let texts = data
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key, value.as_str()?)));
    // The usual key first.
    let (usual, other): (Vec<_>, Vec<_>) = texts.partition(|(key, _)| *key == IMAGE);
    for (key, text) in usual.into_iter().chain(other) {
        for name in names(text) {
            if let Some(image) = images.find(&name)? {
                return Ok(Some((key.clone(), image)));
            }
        }
    }
    for name in file_upload.into_iter().flat_map(names) {
        if let Some(image) = images.find(&name)? {
            return Ok(Some((IMAGE.to_owned(), image)));
        }
    }
    Ok(None)
}

/// What a file may be called that is served as `url`, the likeliest first.
fn names(url: &str) -> Vec<String> {
    let path = match url.split_once("?d=") {
        Some((_, path)) => path.split('&').next().unwrap_or(path),
        None if url.starts_with(LOCAL_FILES) => "",
        None => url.split(['?', '#']).next().unwrap_or(url),
    };
    let decoded = percent_decoded(path);
    let mut names = vec![decoded.clone()];
    // Uploaded files have eight hexadecimal digits in front.
    let file_name = decoded.rsplit('/').next().unwrap_or(&decoded);
    if let Some((digits, name)) = file_name.split_once('-')
        && digits.len() == 8
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        names.push(name.to_owned());
    }
    if !names.iter().any(|name| name == url) {
        names.push(url.to_owned());
    }
    names.retain(|name| !name.is_empty());
    names
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = digits
            .filter(|digits| byte == b'%' && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(byte));
        rest = match decoded {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn add_region(assembly: &mut Assembly, id: &str, items: &[Item], notes: &mut Notes) {
    let image = assembly.image().clone();
    let Some(drawn) = items.iter().find(|item| item.value.is_drawn()) else {
        let what = "what was said about a whole image or in an unknown way was left out";
        for item in items {
            notes.lost(what, &image.name, format!("{} {}", item.from_name, item.kind));
        }
        return;
    };
    let side = |given: Option<f64>, actual: u32| given.unwrap_or(actual.into());
    let (width, height) = (
        side(drawn.original_width, image.size.width),
        side(drawn.original_height, image.size.height),
    );
    if !carried::is_of_size(&image, width, height, notes) {
        return;
    }
    if drawn.image_rotation.is_some_and(|degrees| degrees != 0.0) {
        notes.lost(
            "regions drawn while the image was turned were left out",
            &image.name,
            id,
        );
        return;
    }
    let masks = std::iter::once((id, drawn.value.mask(image.size)));
    let Some(mask) = pieces::joined(&image, masks, notes) else {
        return;
    };
    let carried = items.iter().find_map(|item| item.meta.0.get(KEY));
    let mut region = assembly.region(carried, TOOL, mask.to_rle(), notes);
    let labels: Vec<&str> = items.iter().flat_map(|item| item.value.labels()).collect();
    let label = labels.first().copied().unwrap_or_default();
    if label != label_text(&region.label) {
        label.clone_into(&mut region.label);
    }
    if labels.iter().any(|label| Some(label) != labels.first()) {
        notes.lost(
            "of several labels of one region only the first was taken",
            &image.name,
            id,
        );
    }
    let captions: Vec<&str> = items
        .iter()
        .filter(|item| item.from_name == CAPTION)
        .flat_map(|item| item.value.text.iter())
        .flat_map(|text| texts(&text.0))
        .collect();
    let before: Vec<&str> = region
        .captions
        .iter()
        .map(|caption| caption.text.as_str())
        .collect();
    if captions != before {
        take_captions(&mut region, &captions);
    }
    let attributes: Vec<(String, Value)> = items
        .iter()
        .filter(|item| item.from_name != CAPTION)
        .filter_map(|item| Some((item.from_name.clone(), item.value.answer()?)))
        .collect();
    take_attributes(&mut region, &attributes, |name, _| is_attribute(name));
    let mut kept = Map::new();
    let had_id = region
        .unknown
        .get(TOOL)
        .is_some_and(|keys| keys.get("id").is_some());
    if !id.is_empty() && (carried.is_none() || had_id) {
        kept.insert("id".to_owned(), id.into());
    }
    keep(&mut region.unknown, kept);
    assembly.push(region);
}

/// A text, or a list of them.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

impl Contents {
    fn is_drawn(&self) -> bool {
        self.rle.is_some() || self.points.is_some() || self.x.is_some()
    }

    fn labels(&self) -> impl Iterator<Item = &str> {
        let lists = [
            &self.brushlabels,
            &self.polygonlabels,
            &self.rectanglelabels,
            &self.ellipselabels,
            &self.labels,
        ];
        lists.into_iter().flatten().flat_map(|list| texts(&list.0))
    }

    /// What was answered about the region; a list of one counts as that one.
    fn answer(&self) -> Option<Value> {
        let answers = [
            &self.text,
            &self.choices,
            &self.number,
            &self.rating,
            &self.taxonomy,
            &self.datetime,
        ];
        let answer = answers
            .into_iter()
            .flatten()
            .map(|tree| &tree.0)
            .find(|value| !value.is_null())?;
        match answer.as_array().map(Vec::as_slice) {
            Some([only]) => Some(only.clone()),
            _ => Some(answer.clone()),
        }
    }

    /// The pixels in an image of `size`, or why there are none, as a sentence for [`Notes`].
    fn mask(&self, size: ImageSize) -> Result<Mask, &'static str> {
        if let Some(rle) = &self.rle {
            return brush::decode(rle, size).ok_or("damaged brush strokes were left out");
        }
        let [wide, high] = [size.width, size.height].map(|side| f64::from(side) / 100.0);
        let turn = self.rotation.unwrap_or(0.0);
        let line = match self {
            Self {
                points: Some(points), ..
            } => points
                .iter()
                .map(|[x, y]| ImagePoint::new((x * wide) as f32, (y * high) as f32))
                .collect(),
            Self {
                x: Some(x),
                y: Some(y),
                width: Some(width),
                height: Some(height),
                ..
            } => {
                let corner = [x * wide, y * high];
                outline::turned_box([corner[0], corner[1], width * wide, height * high], turn, corner)
            }
            Self {
                x: Some(x),
                y: Some(y),
                radius_x: Some(radius_x),
                radius_y: Some(radius_y),
                ..
            } => outline::ellipse([x * wide, y * high], [radius_x * wide, radius_y * high], turn),
            _ => return Err("points and lines, which have no area, were left out"),
        };
        pieces::filled(size, line)
    }
}
