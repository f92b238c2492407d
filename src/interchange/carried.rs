//! What other programs have no field for, carried through their files under a key of our own.
//!
//! [`Carried`] is a document as its sidecar has it, less the pixels. Written into a foreign file under [`KEY`], it
//! comes back through every program that keeps keys it does not know. What such a program does know may have been
//! changed there, so on the way back its own fields win wherever they differ from what was written.

use super::{Annotated, Arrived, FoundImage, Notes, Result};
use crate::dataset::{Caption, DatasetError, Document, ImageRef, Region, format};
use crate::geometry::ImageSize;
use crate::mask::Rle;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

/// The key of our own in foreign files.
pub(super) const KEY: &str = "samtok";

/// Stands between captions in a field that holds one text.
const CAPTION_BREAK: &str = "\n\n";

/// A document in the words of its sidecar, without pixels.
#[derive(Debug)]
pub(super) struct Carried {
    /// Everything but the regions.
    pub(super) document: Value,
    /// One object per region, in the order of the document.
    pub(super) regions: Vec<Value>,
}

impl Carried {
    /// What of `item` goes beyond pixels.
    ///
    /// # Errors
    /// If the document could not be written as a sidecar either.
    pub(super) fn of(item: &Annotated) -> Result<Self> {
        let mut document = item.document.clone();
        let blank = blank(document.image.size)?;
        for region in &mut document.regions {
            if region.mask.rle.size() == blank.size() {
                region.mask.rle = blank.clone();
            }
        }
        let failed = |source| DatasetError::Format {
            source,
            path: item.path.clone(),
        };
        let mut document = format::to_json(&document).map_err(failed)?;
        let regions = match document
            .as_object_mut()
            .and_then(|keys| keys.shift_remove("regions"))
        {
            Some(Value::Array(regions)) => regions.into_iter().map(without_pixels).collect(),
            _ => Vec::new(),
        };
        Ok(Self { document, regions })
    }
}

fn without_pixels(mut region: Value) -> Value {
    if let Value::Object(keys) = &mut region {
        keys.shift_remove("bbox");
        keys.shift_remove("area");
        if let Some(Value::Object(mask)) = keys.get_mut("mask") {
            mask.shift_remove("size");
            mask.shift_remove("counts");
            if mask.is_empty() {
                keys.shift_remove("mask");
            }
        }
    }
    region
}

/// A mask of `size` without a pixel, of which no raster is ever made.
fn blank(size: ImageSize) -> Result<Rle> {
    let area = u32::try_from(size.area()).unwrap_or(u32::MAX);
    Ok(Rle::from_counts(size, vec![area])?)
}

/// The annotations of one image being put together from a foreign file.
#[derive(Debug)]
pub(super) struct Assembly {
    image: FoundImage,
    /// The tokenizers as the file has them, by id.
    tokenizers: Map<String, Value>,
    /// The document, without regions until the end.
    pub(super) document: Document,
    regions: Vec<Region>,
}

impl Assembly {
    /// Starts with what the file carries of our own, if it does.
    pub(super) fn new(image: FoundImage, carried: Option<&Value>, notes: &mut Notes) -> Self {
        let carried = carried.filter(|value| !value.is_null());
        let fresh = || Document::new(ImageRef::new(&image.path, image.size, None));
        let (tokenizers, document) = match carried.map(|value| Self::read(&image, value)) {
            Some(Some(read)) => read,
            Some(None) => {
                notes.lost(UNREADABLE, &image.name, "");
                (Map::new(), fresh())
            }
            None => (Map::new(), fresh()),
        };
        Self {
            image,
            tokenizers,
            document,
            regions: Vec::new(),
        }
    }

    fn read(image: &FoundImage, carried: &Value) -> Option<(Map<String, Value>, Document)> {
        let mut sidecar = carried.as_object()?.clone();
        sidecar.shift_remove("regions");
        let keys = match sidecar.shift_remove("image") {
            Some(Value::Object(keys)) => keys,
            _ => Map::new(),
        };
        sidecar.insert("image".to_owned(), image_keys(image, keys));
        let tokenizers = match sidecar.get("tokenizers") {
            Some(Value::Object(tokenizers)) => tokenizers.clone(),
            _ => Map::new(),
        };
        let document = format::from_json(Value::Object(sidecar)).ok()?;
        Some((tokenizers, document))
    }

    /// The image.
    pub(super) fn image(&self) -> &FoundImage {
        &self.image
    }

    /// The region that a file `carried`, or a new one from `source`, with `mask`; without an id where it is new.
    pub(super) fn region(
        &self,
        carried: Option<&Value>,
        source: &str,
        mask: Rle,
        notes: &mut Notes,
    ) -> Region {
        let carried = carried.filter(|value| !value.is_null());
        match carried.map(|value| self.carried_region(value)) {
            Some(Some(mut region)) => {
                region.mask.rle = mask;
                return region;
            }
            Some(None) => notes.lost(UNREADABLE, &self.image.name, ""),
            None => {}
        }
        let mut region = Region::new(String::new(), mask);
        source.clone_into(&mut region.source);
        region
    }

    fn carried_region(&self, carried: &Value) -> Option<Region> {
        let mut region = carried.as_object()?.clone();
        let mut mask = match region.shift_remove("mask") {
            Some(Value::Object(mask)) => mask,
            _ => Map::new(),
        };
        let size = self.image.size;
        mask.insert("size".to_owned(), json!([size.height, size.width]));
        mask.insert("counts".to_owned(), blank(size).ok()?.to_compressed().into());
        region.insert("mask".to_owned(), Value::Object(mask));
        let mut tokenizers = Map::new();
        let words = region
            .get("words")
            .and_then(|words| words.get("tokenizer")?.as_str());
        match words.and_then(|id| Some((id.to_owned(), self.tokenizers.get(id)?.clone()))) {
            Some(tokenizer) => {
                tokenizers.extend([tokenizer]);
            }
            // A shape that was copied from another image may name one that is not listed here.
            None => {
                region.shift_remove("words");
            }
        }
        let sidecar = json!({
            "format": "samtok-annotation",
            "version": 1,
            "image": image_keys(&self.image, Map::new()),
            "tokenizers": tokenizers,
            "regions": [region],
        });
        format::from_json(sidecar).ok()?.regions.pop()
    }

    /// Adds a region; one without an id, or with that of another, gets one at the end.
    pub(super) fn push(&mut self, region: Region) {
        self.regions.push(region);
    }

    /// The document with its regions.
    pub(super) fn finish(mut self) -> Arrived {
        let mut ids = HashSet::new();
        for region in &mut self.regions {
            if !region.id.is_empty() && !ids.insert(region.id.clone()) {
                region.id.clear();
            }
        }
        self.document.regions = self.regions;
        let first = self.document.next_region_id();
        let first: u64 = first
            .strip_prefix('r')
            .and_then(|number| number.parse().ok())
            .unwrap_or(1);
        let mut unused = (first..)
            .map(|number| format!("r{number}"))
            .filter(|id| !ids.contains(id));
        for region in self
            .document
            .regions
            .iter_mut()
            .filter(|region| region.id.is_empty())
        {
            region.id = unused.next().unwrap_or_default();
        }
        drop(unused);
        Arrived {
            image: self.image,
            document: self.document,
        }
    }
}

const UNREADABLE: &str = "what SAMTok Studio had written into the file was damaged and was left out";

/// `image` as a sidecar says it, with the other `keys` that were carried.
fn image_keys(image: &FoundImage, mut keys: Map<String, Value>) -> Value {
    let file_name = ImageRef::new(&image.path, image.size, None).file_name;
    keys.insert("file_name".to_owned(), file_name.into());
    keys.insert("width".to_owned(), image.size.width.into());
    keys.insert("height".to_owned(), image.size.height.into());
    Value::Object(keys)
}

/// All captions of `region` in one text.
pub(super) fn description(region: &Region) -> String {
    let texts: Vec<&str> = region
        .captions
        .iter()
        .map(|caption| caption.text.as_str())
        .collect();
    texts.join(CAPTION_BREAK)
}

/// Takes the one text for all captions, as [`description`] wrote it or as somebody changed it.
pub(super) fn take_description(region: &mut Region, text: &str) {
    if text == description(region) {
        return;
    }
    let texts: Vec<&str> = match region.captions.len() {
        _ if text.trim().is_empty() => Vec::new(),
        0 | 1 => vec![text],
        _ => text.split(CAPTION_BREAK).collect(),
    };
    take_captions(region, &texts);
}

/// Replaces the captions by `texts`; those that were there before keep their author.
pub(super) fn take_captions(region: &mut Region, texts: &[&str]) {
    let mut before: HashMap<String, Vec<Caption>> = HashMap::new();
    for caption in region.captions.drain(..).rev() {
        before.entry(caption.text.clone()).or_default().push(caption);
    }
    for &text in texts {
        let same = before.get_mut(text).and_then(Vec::pop);
        region
            .captions
            .push(same.unwrap_or_else(|| Caption::new(text.to_owned(), None)));
    }
}

/// An attribute's value as a text, for formats that know only texts.
pub(super) fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Takes the attributes that a format had a field for (`holds` says which of ours it would have held): those that
/// read as ours do stay as they are, the others are taken over, and ours that are gone there are removed.
pub(super) fn take_attributes(
    region: &mut Region,
    attributes: &[(String, Value)],
    holds: impl Fn(&str, &Value) -> bool,
) {
    let names: HashSet<&String> = attributes.iter().map(|(name, _)| name).collect();
    region
        .attributes
        .retain(|name, value| !holds(name, value) || names.contains(name));
    for (name, value) in attributes {
        let same = region
            .attributes
            .get(name)
            .is_some_and(|ours| value_text(ours) == value_text(value));
        if !same {
            region.attributes.insert(name.clone(), value.clone());
        }
    }
}

/// [`is_of_size`] for the `width` and `height` that `value` finds; without both, any size will do.
pub(super) fn fits<'v>(
    image: &FoundImage,
    value: impl Fn(&str) -> Option<&'v Value>,
    notes: &mut Notes,
) -> bool {
    let side = |key: &str| value(key).and_then(Value::as_f64);
    side("width")
        .zip(side("height"))
        .is_none_or(|(width, height)| is_of_size(image, width, height, notes))
}

/// Whether the annotations of an image that a file says is `width` x `height` pixels are for `image`; otherwise notes
/// that they are lost.
pub(super) fn is_of_size(image: &FoundImage, width: f64, height: f64, notes: &mut Notes) -> bool {
    let ImageSize {
        width: ours_wide,
        height: ours_high,
    } = image.size;
    if (width, height) == (f64::from(ours_wide), f64::from(ours_high)) {
        return true;
    }
    let what = if (height, width) == (f64::from(ours_wide), f64::from(ours_high)) {
        "annotations that were made before the image's EXIF rotation was applied were left out"
    } else {
        "annotations of an image of another size were left out"
    };
    notes.lost(what, &image.name, format!("{width} x {height}"));
    false
}
