//! `instances.json` of RefCOCO, in which COCO's objects stand without the images that nobody refers to.

use super::{Ids, NO_LABEL, Objects, kept};
use crate::atomic_file::{AtomicFile, Existing};
use crate::dataset::Region;
use crate::interchange::json_stream::{List, read_lists};
use crate::interchange::{Annotated, InterchangeError, Notes, OutputFolder, Result, segmentation};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const EXPECTED: &str = "an instances.json of RefCOCO";

/// Most bytes of annotations that are read; the published sets have some 120 MB.
const MAX_BYTES: usize = 2 << 30;

const LISTS: [&str; 3] = ["images", "annotations", "categories"];
const IMAGES: usize = 0;
const ANNOTATIONS: usize = 1;

/// By what the items of each list are found again.
const IDS: [&str; 3] = ["id", "image_id", "id"];

fn foreign(reason: impl ToString, path: &Path) -> InterchangeError {
    InterchangeError::foreign(EXPECTED, reason, path)
}

/// A whole number or text that names something, as the key of a map.
pub(super) fn key(value: &Value) -> Option<String> {
    match value {
        Value::Number(_) => value.as_i64().map(|id| id.to_string()),
        Value::String(id) => Some(id.clone()),
        _ => None,
    }
}

/// The whole file; annotations stay text until they are needed, which takes a tenth of the memory.
#[derive(Debug, Default)]
pub(super) struct Instances {
    images: Vec<(String, Value)>,
    annotations: HashMap<String, Vec<Box<str>>>,
    categories: HashMap<String, Value>,
}

impl Instances {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let mut instances = Self::default();
        let mut left = MAX_BYTES;
        let mut take = |list: usize, item: Value| {
            let id = item.get(IDS[list]).and_then(key);
            let id =
                id.ok_or_else(|| foreign(format!("an item of {} has no {}", LISTS[list], IDS[list]), path))?;
            match list {
                IMAGES => instances.images.push((id, item)),
                ANNOTATIONS => {
                    let text = item.to_string().into_boxed_str();
                    left = left
                        .checked_sub(text.len())
                        .ok_or_else(|| foreign("it is too large", path))?;
                    instances.annotations.entry(id).or_default().push(text);
                }
                _ => {
                    instances.categories.insert(id, item);
                }
            }
            Ok(())
        };
        read_lists(path, EXPECTED, &LISTS.map(List::whole), &mut take)?;
        Ok(instances)
    }

    /// The images by key, in the order of the file.
    pub(super) fn images(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.images.iter().map(|(key, image)| (key.as_str(), image))
    }

    /// The annotations of an image.
    pub(super) fn annotations(&self, image: &str) -> impl Iterator<Item = Map<String, Value>> {
        let texts = self.annotations.get(image).map_or(&[][..], Vec::as_slice);
        // These were written here, so they can be read.
        texts.iter().filter_map(|text| serde_json::from_str(text).ok())
    }

    pub(super) fn category(&self, key: &str) -> Option<&Value> {
        self.categories.get(key)
    }
}

/// The file being written: annotations as they come, images and categories after them.
#[derive(Debug)]
pub(super) struct Annotations {
    file: AtomicFile,
    path: PathBuf,
    count: u64,
    images: Vec<String>,
    categories: Categories,
    image_ids: Ids,
    annotation_ids: Ids,
}

impl Annotations {
    pub(super) fn create(out: &OutputFolder) -> Result<Self> {
        const NAME: &str = "instances.json";
        let mut annotations = Self {
            file: out.file(NAME)?,
            path: out.place(NAME)?,
            count: 0,
            images: Vec::new(),
            categories: Categories::default(),
            image_ids: Ids::default(),
            annotation_ids: Ids::default(),
        };
        annotations.write(r#"{"annotations": ["#)?;
        Ok(annotations)
    }

    /// Adds an image with its regions.
    pub(super) fn push(&mut self, item: &Annotated, notes: &mut Notes) -> Result<Objects> {
        let document = &item.document;
        let before = kept(&document.unknown).and_then(|kept| kept.get("image")?.as_object());
        let mut image = before.cloned().unwrap_or_default();
        // Sub-folders differ from one installation of COCO to the next, so the name of the file is what counts.
        let last = |name: &str| name.rsplit('/').next().map(str::to_owned);
        let file_name = image.get("file_name").and_then(Value::as_str);
        let file_name = file_name
            .filter(|name| last(name) == last(&item.name))
            .unwrap_or(&item.name)
            .to_owned();
        let id = self.image_ids.take(image.get("id").and_then(Value::as_i64));
        image.insert("id".to_owned(), id.into());
        image.insert("file_name".to_owned(), file_name.as_str().into());
        image.insert("height".to_owned(), document.image.size.height.into());
        image.insert("width".to_owned(), document.image.size.width.into());
        self.images.push(Value::Object(image).to_string());
        let mut objects = Objects {
            image_id: id,
            file_name,
            ..Objects::default()
        };
        for region in &document.regions {
            if region.mask.rle.area() == 0 {
                notes.lost("regions without a pixel were left out", &item.name, &region.id);
                continue;
            }
            let (annotation, ids) = self.annotation(region, id);
            let separator = if self.count == 0 { "\n" } else { ",\n" };
            self.count += 1;
            self.write(&format!("{separator}{annotation}"))?;
            objects.by_region.insert(region.id.clone(), ids);
        }
        Ok(objects)
    }

    /// `region` as an annotation, with the ids of that and of its category.
    fn annotation(&mut self, region: &Region, image_id: i64) -> (Value, (i64, i64)) {
        let before = kept(&region.unknown);
        let part = |name: &str| before.and_then(|kept| kept.get(name));
        let mut annotation = part("annotation")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let id = self
            .annotation_ids
            .take(annotation.get("id").and_then(Value::as_i64));
        let category_id = self.categories.id(&region.label, part("category"));
        let rle = &region.mask.rle;
        // REFER takes polygons, or a list with run lengths.
        segmentation::renew(&mut annotation, rle, |run_lengths| json!([run_lengths]));
        annotation.entry("iscrowd").or_insert_with(|| 0.into());
        annotation.insert("image_id".to_owned(), image_id.into());
        annotation.insert("category_id".to_owned(), category_id.into());
        annotation.insert("id".to_owned(), id.into());
        (Value::Object(annotation), (id, category_id))
    }

    /// Writes the rest and puts the file in place.
    pub(super) fn finish(mut self) -> Result<()> {
        let images = self.images.join(",\n");
        let categories = Value::Array(self.categories.by_id.values().cloned().collect());
        self.write(&format!(
            "\n], \"images\": [\n{images}\n], \"categories\": {categories}}}\n"
        ))?;
        self.file
            .commit(Existing::Refuse)
            .map_err(InterchangeError::io("write", &self.path))
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let written: io::Result<()> = self.file.write_all(text.as_bytes());
        written.map_err(InterchangeError::io("write", &self.path))
    }
}

/// The classes, with the numbers that they came with where they came with any.
#[derive(Debug, Default)]
struct Categories {
    ids: Ids,
    by_label: HashMap<String, i64>,
    by_id: BTreeMap<i64, Value>,
}

impl Categories {
    /// The number of the class called `label`, which once was the category `before`.
    fn id(&mut self, label: &str, before: Option<&Value>) -> i64 {
        let label = if label.is_empty() { NO_LABEL } else { label };
        if let Some(&id) = self.by_label.get(label) {
            return id;
        }
        let before = before.filter(|before| before.get("name").and_then(Value::as_str) == Some(label));
        let wanted = before.and_then(|before| before.get("id")?.as_i64());
        let id = self.ids.take(wanted);
        let mut category = before.and_then(Value::as_object).cloned().unwrap_or_default();
        category.insert("id".to_owned(), id.into());
        category.insert("name".to_owned(), label.into());
        self.by_label.insert(label.to_owned(), id);
        self.by_id.insert(id, Value::Object(category));
        id
    }
}
