//! CVAT for images 1.1: one XML file for all images, every region a `mask`, which is exact.
//!
//! Captions and attributes become CVAT attributes of text, and `labels.json` declares them in the form that CVAT's
//! task page takes, as CVAT drops attributes that its task does not know. What is left goes into one more attribute;
//! of the image itself into a tag that carries it.

mod reader;

use super::carried::{Carried, KEY, description, value_text};
use super::xml_text::{escaped, sayable};
use super::{Annotated, Images, Incoming, InterchangeError, Notes, Outgoing, OutputFolder, Result};
use crate::atomic_file::Existing;
use crate::dataset::Region;
use crate::mask::Mask;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Seek as _, Write as _};
use std::path::Path;

const EXPECTED: &str = "a CVAT for images 1.1 file";

/// The attribute that holds the captions.
const CAPTION: &str = "caption";

/// The attribute that has a field of its own.
const OCCLUDED: &str = "occluded";

/// The label of regions that have none, since CVAT knows no empty ones.
const NO_LABEL: &str = "unlabelled";

/// The label of the tag that carries what is said about the whole image.
const IMAGE_TAG: &str = "samtok-image";

/// Where keys of CVAT are kept in a sidecar.
const TOOL: &str = "cvat";

/// Writes `annotations.xml` and `labels.json`.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    let failed = || InterchangeError::io("write", out.path());
    // The labels stand in front of the images and are known after them.
    let mut images = BufWriter::new(out.spool()?);
    let mut labels = Labels::default();
    let mut count = 0_u64;
    for item in items {
        let element = image_element(count, &item?, &mut labels, notes)?;
        images.write_all(element.as_bytes()).map_err(failed())?;
        count += 1;
    }
    let mut images = images
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .map_err(failed())?;
    images.rewind().map_err(failed())?;
    let mut file = out.file("annotations.xml")?;
    file.write_all(labels.head(count).as_bytes()).map_err(failed())?;
    io::copy(&mut images, &mut file).map_err(failed())?;
    file.write_all(b"</annotations>\n").map_err(failed())?;
    file.commit(Existing::Refuse).map_err(failed())?;
    out.write("labels.json", format!("{:#}\n", labels.constructor()).as_bytes())
}

/// Reads a CVAT XML file, or all of a folder.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    reader::import(source, images, take, notes)
}

/// The labels that occur with their attributes.
#[derive(Debug, Default)]
struct Labels(BTreeMap<String, BTreeSet<String>>);

impl Labels {
    fn add<'a>(&mut self, label: &str, attributes: impl Iterator<Item = &'a str>) {
        let known = self.0.entry(label.to_owned()).or_default();
        for name in attributes {
            if !known.contains(name) {
                known.insert(name.to_owned());
            }
        }
    }

    /// The file up to the first image.
    fn head(&self, images: u64) -> String {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>\n      \
             <name>samtok</name>\n      <size>{images}</size>\n      <mode>annotation</mode>\n      <labels>\n"
        );
        for (label, attributes) in &self.0 {
            text += &format!(
                "        <label>\n          <name>{}</name>\n          <type>any</type>\n          <attributes>\n",
                escaped(label)
            );
            for name in attributes {
                text += &format!(
                    "            <attribute>\n              <name>{}</name>\n              <mutable>False</mutable>\n              \
                     <input_type>text</input_type>\n              <default_value></default_value>\n              \
                     <values></values>\n            </attribute>\n",
                    escaped(name)
                );
            }
            text += "          </attributes>\n        </label>\n";
        }
        text + "      </labels>\n    </task>\n  </meta>\n"
    }

    /// The labels as CVAT's task page takes them.
    fn constructor(&self) -> Value {
        let attribute = |name: &String| json!({"name": name, "mutable": false, "input_type": "text", "default_value": "", "values": [""]});
        self.0
            .iter()
            .map(|(label, attributes)| {
                let attributes: Vec<Value> = attributes.iter().map(attribute).collect();
                json!({"name": label, "type": "any", "attributes": attributes})
            })
            .collect()
    }
}

fn image_element(number: u64, item: &Annotated, labels: &mut Labels, notes: &mut Notes) -> Result<String> {
    let carried = Carried::of(item)?;
    let size = item.document.image.size;
    let mut text = format!(
        "  <image id=\"{number}\" name=\"{}\" width=\"{}\" height=\"{}\">\n",
        escaped(&item.name),
        size.width,
        size.height
    );
    for (z_order, (region, carried)) in item.document.regions.iter().zip(&carried.regions).enumerate() {
        if !push_mask(&mut text, z_order, region, carried, labels)? {
            notes.lost("regions without a pixel were left out", &item.name, &region.id);
        }
    }
    for tag in kept_tags(item) {
        let label = tag.get("label").and_then(Value::as_str).unwrap_or_default();
        let attributes = tag.get("attributes").and_then(Value::as_object);
        let attributes: Vec<(&str, String)> = attributes
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value_text(value)))
            .collect();
        push_tag(&mut text, label, &attributes, labels);
    }
    push_tag(
        &mut text,
        IMAGE_TAG,
        &[(KEY, json_text(&carried.document))],
        labels,
    );
    Ok(text + "  </image>\n")
}

/// The tags of the image that a CVAT file had.
fn kept_tags(item: &Annotated) -> impl Iterator<Item = &Map<String, Value>> {
    let tags = item
        .document
        .unknown
        .get(TOOL)
        .and_then(|keys| keys.get("tags")?.as_array());
    tags.into_iter().flatten().filter_map(Value::as_object)
}

fn push_tag(text: &mut String, label: &str, attributes: &[(&str, String)], labels: &mut Labels) {
    labels.add(label, attributes.iter().map(|(name, _)| *name));
    *text += &format!("    <tag label=\"{}\" source=\"manual\">\n", escaped(label));
    for (name, value) in attributes {
        push_attribute(text, name, value);
    }
    *text += "    </tag>\n";
}

fn push_attribute(text: &mut String, name: &str, value: &str) {
    *text += &format!(
        "      <attribute name=\"{}\">{}</attribute>\n",
        escaped(name),
        escaped(value)
    );
}

/// Adds `region`; answers false where it has no pixel.
fn push_mask(
    text: &mut String,
    z_order: usize,
    region: &Region,
    carried: &Value,
    labels: &mut Labels,
) -> Result<bool> {
    let Some(bounds) = region.mask.rle.bounding_box() else {
        return Ok(false);
    };
    let label = &*label_text(&region.label);
    let mut attributes = vec![(CAPTION, caption_text(region))];
    let own = region
        .attributes
        .iter()
        .filter(|(name, value)| is_attribute(name, value));
    attributes.extend(own.map(|(name, value)| (name.as_str(), value_text(value))));
    attributes.push((KEY, json_text(carried)));
    labels.add(label, attributes.iter().map(|(name, _)| *name));

    let kept = |key: &str| region.unknown.get(TOOL).and_then(|keys| keys.get(key));
    let source = kept("source").and_then(Value::as_str).unwrap_or("manual");
    let occluded = u8::from(region.attributes.get(OCCLUDED) == Some(&Value::Bool(true)));
    *text += &format!(
        "    <mask label=\"{}\" source=\"{}\" occluded=\"{occluded}\" rle=\"",
        escaped(label),
        escaped(source)
    );
    *text += &row_runs(&Mask::from_rle(&region.mask.rle).crop(bounds)?);
    *text += &format!(
        "\" left=\"{}\" top=\"{}\" width=\"{}\" height=\"{}\" z_order=\"{z_order}\"",
        bounds.x, bounds.y, bounds.width, bounds.height
    );
    if let Some(group) = kept("group_id").and_then(Value::as_u64) {
        *text += &format!(" group_id=\"{group}\"");
    }
    *text += ">\n";
    for (name, value) in &attributes {
        push_attribute(text, name, value);
    }
    *text += "    </mask>\n";
    Ok(true)
}

/// `value` with escapes for the two characters that JSON can say as they are and XML not at all.
fn json_text(value: &Value) -> String {
    value
        .to_string()
        .replace('\u{fffe}', "\\ufffe")
        .replace('\u{ffff}', "\\uffff")
}

fn label_text(label: &str) -> Cow<'_, str> {
    if label.is_empty() {
        NO_LABEL.into()
    } else {
        sayable(label)
    }
}

/// The captions of `region` as they are written.
fn caption_text(region: &Region) -> String {
    sayable(&description(region)).into_owned()
}

/// Whether an attribute of a region is written as one of CVAT; the others are only carried.
fn is_attribute(name: &str, value: &Value) -> bool {
    let is_taken = name == CAPTION || name == KEY || name == OCCLUDED && value.is_boolean();
    !is_taken && sayable(name) == name && sayable(&value_text(value)) == value_text(value)
}

/// The runs of `crop` along its rows, background first.
fn row_runs(crop: &Mask) -> String {
    let width = u64::from(crop.size().width);
    // Where the value changes; a run to the end of a row may go on in the next.
    let mut changes: Vec<u64> = Vec::new();
    for y in 0..crop.size().height {
        for run in crop.runs(y) {
            let [start, end] = [run.start, run.end].map(|x| u64::from(y) * width + u64::from(x));
            if changes.last() == Some(&start) {
                changes.pop();
            } else {
                changes.push(start);
            }
            changes.push(end);
        }
    }
    let area = crop.size().area();
    changes.push(area);
    if changes.ends_with(&[area, area]) {
        changes.pop();
    }
    let starts = std::iter::once(&0).chain(&changes);
    let counts = changes
        .iter()
        .zip(starts)
        .map(|(change, start)| (change - start).to_string());
    counts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
