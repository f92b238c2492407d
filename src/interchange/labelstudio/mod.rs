//! Label Studio tasks: one JSON file for all images, every region a brush stroke, which is exact.
//!
//! Captions and attributes become texts of the region, tied to it by its id; `label_config.xml` is the labeling
//! interface that shows them. The rest is carried in `meta`, which Label Studio keeps for every region, and in the
//! task's data for the image.

mod brush;
mod reader;

use super::carried::{Carried, KEY, value_text};
use super::xml_text::escaped;
use super::{Annotated, Images, Incoming, InterchangeError, Notes, Outgoing, OutputFolder, Result};
use crate::atomic_file::Existing;
use crate::dataset::Region;
use crate::mask::Mask;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};
use std::io::Write as _;
use std::path::Path;

const EXPECTED: &str = "a Label Studio JSON export";

/// The tool's name in sidecars.
const TOOL: &str = "label-studio";

/// The text of a region that holds its captions.
const CAPTION: &str = "caption";

/// The label of regions that have none, since every stroke has one.
const NO_LABEL: &str = "unlabelled";

/// How Label Studio serves files of its own disk; the path below its document root follows.
const LOCAL_FILES: &str = "/data/local-files/?d=";

/// Names in the labeling interface.
const IMAGE: &str = "image";
const BRUSH: &str = "label";

/// Writes `tasks.json` and `label_config.xml`.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    let failed = || InterchangeError::io("write", out.path());
    let mut file = out.file("tasks.json")?;
    let mut config = Config::default();
    let mut separator = "[\n";
    for item in items {
        let task = task(&item?, &mut config, notes)?;
        file.write_all(separator.as_bytes()).map_err(failed())?;
        serde_json::to_writer(&mut file, &task).map_err(|error| failed()(error.into()))?;
        separator = ",\n";
    }
    let end = if separator == "[\n" { "[]\n" } else { "\n]\n" };
    file.write_all(end.as_bytes()).map_err(failed())?;
    file.commit(Existing::Refuse).map_err(failed())?;
    out.write("label_config.xml", config.xml().as_bytes())
}

/// Reads an export of Label Studio in its JSON format.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    reader::import(source, images, take, notes)
}

/// What the labeling interface must have.
#[derive(Debug, Default)]
struct Config {
    labels: BTreeSet<String>,
    texts: BTreeSet<String>,
}

impl Config {
    fn xml(&self) -> String {
        let mut xml = format!(
            "<View>\n  <Image name=\"{IMAGE}\" value=\"${IMAGE}\" zoom=\"true\" zoomControl=\"true\"/>\n  \
             <BrushLabels name=\"{BRUSH}\" toName=\"{IMAGE}\">\n"
        );
        for label in &self.labels {
            xml += &format!("    <Label value=\"{}\"/>\n", escaped(label));
        }
        xml += "  </BrushLabels>\n";
        for text in std::iter::once(CAPTION).chain(self.texts.iter().map(String::as_str)) {
            let name = escaped(text);
            xml += &format!(
                "  <TextArea name=\"{name}\" toName=\"{IMAGE}\" perRegion=\"true\" editable=\"true\" placeholder=\"{name}\"/>\n"
            );
        }
        xml + "</View>\n"
    }
}

fn task(item: &Annotated, config: &mut Config, notes: &mut Notes) -> Result<Value> {
    let carried = Carried::of(item)?;
    let ids = result_ids(&item.document.regions);
    let mut results = Vec::new();
    for ((region, carried), id) in item.document.regions.iter().zip(carried.regions).zip(ids) {
        let Some(result) = brush_result(region, &id, carried) else {
            notes.lost("regions without a pixel were left out", &item.name, &region.id);
            continue;
        };
        results.push(result);
        results.extend(text_results(region, &id, config));
        config.labels.insert(label_text(&region.label).to_owned());
    }
    let mut data = json!({IMAGE: format!("{LOCAL_FILES}{}", percent_encoded(&item.name))});
    if let Value::Object(data) = &mut data {
        let kept = item.document.unknown.get(TOOL).and_then(Value::as_object);
        for (key, value) in kept
            .into_iter()
            .flatten()
            .filter(|(key, _)| !matches!(key.as_str(), IMAGE | KEY))
        {
            data.insert(key.clone(), value.clone());
        }
        data.insert(KEY.to_owned(), carried.document);
    }
    Ok(json!({"data": data, "annotations": [{"result": results}]}))
}

/// An id for each of `regions` that Label Studio takes: its own where that has letters, digits, `_` and `-` only.
fn result_ids(regions: &[Region]) -> Vec<String> {
    let mut used = HashSet::new();
    let is_id = |id: &str| {
        !id.is_empty()
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let known = |region: &Region| -> Option<String> {
        let kept = region.unknown.get(TOOL).and_then(|keys| keys.get("id")?.as_str());
        [kept, Some(region.id.as_str())]
            .into_iter()
            .flatten()
            .find(|id| is_id(id))
            .map(str::to_owned)
    };
    let known: Vec<Option<String>> = regions
        .iter()
        .map(|region| known(region).filter(|id| used.insert(id.clone())))
        .collect();
    let mut unused = (1_u64..)
        .map(|number| format!("region-{number}"))
        .filter(|id| !used.contains(id));
    known
        .into_iter()
        .map(|id| id.or_else(|| unused.next()).unwrap_or_default())
        .collect()
}

/// The stroke of `region`; `None` where it has no pixel.
fn brush_result(region: &Region, id: &str, carried: Value) -> Option<Value> {
    let mask = Mask::from_rle(&region.mask.rle);
    if mask.is_empty() {
        return None;
    }
    let value = json!({
        "format": "rle",
        "rle": brush::encode(&mask)?,
        "brushlabels": [label_text(&region.label)],
    });
    let mut result = result(region, id, "brushlabels", BRUSH, value);
    if let Value::Object(result) = &mut result {
        result.insert("meta".to_owned(), json!({KEY: carried}));
    }
    Some(result)
}

fn label_text(label: &str) -> &str {
    if label.is_empty() { NO_LABEL } else { label }
}

fn result(region: &Region, id: &str, kind: &str, from_name: &str, value: Value) -> Value {
    let size = region.mask.rle.size();
    json!({
        "id": id,
        "type": kind,
        "from_name": from_name,
        "to_name": IMAGE,
        "origin": "manual",
        "original_width": size.width,
        "original_height": size.height,
        "image_rotation": 0,
        "value": value,
    })
}

/// Captions and attributes of `region`.
fn text_results(region: &Region, id: &str, config: &mut Config) -> Vec<Value> {
    let captions: Vec<&str> = region
        .captions
        .iter()
        .map(|caption| caption.text.as_str())
        .collect();
    let mut results = Vec::new();
    if !captions.is_empty() {
        results.push(result(region, id, "textarea", CAPTION, json!({"text": captions})));
    }
    for (name, value) in region.attributes.iter().filter(|(name, _)| is_attribute(name)) {
        config.texts.insert(name.clone());
        results.push(result(
            region,
            id,
            "textarea",
            name,
            json!({"text": [value_text(value)]}),
        ));
    }
    results
}

/// Whether an attribute is written as a text of its own; names that others have in the interface are only carried.
fn is_attribute(name: &str) -> bool {
    !matches!(name, CAPTION | IMAGE | BRUSH | "")
}

/// `path` for a URL, with its slashes.
fn percent_encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(byte.into());
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
