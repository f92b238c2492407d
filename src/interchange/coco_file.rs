//! What all COCO files have in common: lists of images, annotations and categories that refer to each other by number.

use super::carried::{self, Assembly, KEY};
use super::json_stream::{List, read_lists};
use super::shape_file::{add_others, keep_others, kept_others, others};
use super::shelf::{Place, Shelf};
use super::source_files::below;
use super::{Annotated, FoundImage, Images, InterchangeError, Notes, OutputFolder, Result};
use crate::atomic_file::{AtomicFile, Existing};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::{Path, PathBuf};

/// Where keys of other programs are kept in a sidecar.
pub(super) const TOOL: &str = "coco";

/// The category of regions without a label, because no reader expects an empty name.
pub(super) const UNLABELLED: &str = "object";

const IMAGE_KEYS: [&str; 4] = ["id", "file_name", "width", "height"];

/// A COCO file being written. Annotations are kept aside on disk until all images are written, so that both lists
/// can grow at the same time and memory only grows with the number of categories.
#[derive(Debug)]
pub(super) struct Writer {
    file: AtomicFile,
    annotations: BufWriter<File>,
    path: PathBuf,
    images: u64,
    annotation_count: u64,
    categories: Vec<Value>,
    category_ids: HashMap<String, u64>,
}

impl Writer {
    /// Starts the file of this relative name.
    pub(super) fn create(out: &OutputFolder, name: &str) -> Result<Self> {
        let mut writer = Self {
            file: out.file(name)?,
            annotations: BufWriter::with_capacity(1 << 16, out.spool()?),
            path: out.place(name)?,
            images: 0,
            annotation_count: 0,
            categories: Vec::new(),
            category_ids: HashMap::new(),
        };
        let info = json!({"description": "exported by SAMTok Studio", "version": "1.0"});
        writer.write(|file, _| write!(file, "{{\"info\":{info},\n\"licenses\":[],\n\"images\":["))?;
        Ok(writer)
    }

    /// Adds the image of `item` with what is `carried` for it, and answers its id.
    pub(super) fn image(&mut self, item: &Annotated, mut carried: Value) -> Result<u64> {
        self.images += 1;
        let size = item.document.image.size;
        let mut keys = object(json!({
            "id": self.images,
            "file_name": item.name,
            "width": size.width,
            "height": size.height,
        }));
        add_others(
            &mut keys,
            kept_others(&item.document.unknown, TOOL),
            &[&IMAGE_KEYS],
        );
        if let Value::Object(carried) = &mut carried {
            carried.shift_remove(TOOL);
        }
        keys.insert(KEY.to_owned(), carried);
        let is_first = self.images == 1;
        self.write(|file, _| item_of_list(file, is_first, &keys))?;
        Ok(self.images)
    }

    /// Adds an annotation, which knows its own ids.
    pub(super) fn annotation(&mut self, keys: &Map<String, Value>) -> Result<()> {
        self.annotation_count += 1;
        let is_first = self.annotation_count == 1;
        self.write(|_, annotations| item_of_list(annotations, is_first, keys))
    }

    /// The id of the category of this `name`, numbered from 1 as they come; `rest` is what else is said of a new one.
    pub(super) fn category(&mut self, name: &str, rest: impl FnOnce() -> Map<String, Value>) -> u64 {
        let name = if name.is_empty() { UNLABELLED } else { name };
        if let Some(&id) = self.category_ids.get(name) {
            return id;
        }
        let id = self.categories.len() as u64 + 1;
        let mut keys = object(json!({"id": id, "name": name}));
        keys.extend(rest());
        self.categories.push(Value::Object(keys));
        self.category_ids.insert(name.to_owned(), id);
        id
    }

    /// Puts the file in place.
    pub(super) fn finish(mut self) -> Result<()> {
        let categories = Value::Array(std::mem::take(&mut self.categories));
        self.write(|file, annotations| {
            file.write_all(b"],\n\"annotations\":[")?;
            annotations.flush()?;
            annotations.rewind()?;
            io::copy(annotations.get_mut(), file)?;
            writeln!(file, "],\n\"categories\":{categories}}}")
        })?;
        let failed = InterchangeError::io("write the annotations", &self.path);
        self.file.commit(Existing::Refuse).map_err(failed)
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut AtomicFile, &mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<()> {
        write(&mut self.file, &mut self.annotations)
            .map_err(InterchangeError::io("write the annotations", &self.path))
    }
}

/// One item on a line of its own.
fn item_of_list(to: &mut impl Write, is_first: bool, item: &Map<String, Value>) -> io::Result<()> {
    to.write_all(if is_first { b"\n" } else { b",\n" })?;
    // In one piece, since handing over every token by itself takes longer than making the text.
    to.write_all(&serde_json::to_vec(item).map_err(io::Error::from)?)
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(keys) => keys,
        _ => Map::new(),
    }
}

/// The images and categories of a COCO file, by their ids.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) images: HashMap<String, ImageEntry>,
    /// The ids of the images in the order of the file.
    pub(super) order: Vec<String>,
    pub(super) categories: HashMap<String, Category>,
    /// What the file says of the images themselves.
    pub(super) shelf: Shelf,
}

/// An image of a COCO file.
#[derive(Debug)]
pub(super) struct ImageEntry {
    /// As the file has it.
    pub(super) file_name: String,
    size: Option<(f64, f64)>,
    /// What SAMTok Studio had written.
    carried: Option<Place>,
    /// Whether that was handed over, but for what further regions need.
    is_carried: bool,
    /// What else the file says.
    others: Option<Place>,
    found: Option<Option<FoundImage>>,
    /// How many annotations the file has of it.
    pub(super) annotations: u64,
    /// Whether what the file says of the image itself was handed over.
    pub(super) is_done: bool,
}

/// A category of a COCO file.
#[derive(Clone, Debug)]
pub(super) struct Category {
    pub(super) name: String,
    /// What else the file says.
    pub(super) others: Map<String, Value>,
}

impl Tables {
    /// Reads everything but the annotations of the file at `path`, which are counted.
    pub(super) fn read(path: &Path, expected: &'static str, notes: &mut Notes) -> Result<Self> {
        let mut tables = Self {
            images: HashMap::new(),
            order: Vec::new(),
            categories: HashMap::new(),
            shelf: Shelf::new()?,
        };
        // Of images that are listed behind their annotations.
        let mut early: HashMap<String, u64> = HashMap::new();
        let mut take = |list, item: Value| {
            if list == 2 {
                let id = item.get("image_id").and_then(id_text).unwrap_or_default();
                match tables.images.get_mut(&id) {
                    Some(image) => image.annotations += 1,
                    None => *early.entry(id).or_default() += 1,
                }
                return Ok(());
            }
            let Some(id) = item.get("id").and_then(id_text) else {
                notes.lost("entries without an id were left out", "", item);
                return Ok(());
            };
            if list == 0 {
                tables.add_image(id, &item, notes)?;
            } else {
                tables.categories.insert(id, category(&item));
            }
            Ok(())
        };
        let lists = [
            List::whole("images"),
            List::whole("categories"),
            List::only("annotations", &["image_id"]),
        ];
        read_lists(path, expected, &lists, &mut take)?;
        for (id, count) in early {
            if let Some(image) = tables.images.get_mut(&id) {
                image.annotations += count;
            }
        }
        if tables.images.is_empty() {
            return Err(InterchangeError::foreign(expected, "it lists no images", path));
        }
        Ok(tables)
    }

    fn add_image(&mut self, id: String, item: &Value, notes: &mut Notes) -> Result<()> {
        let keys = item.as_object().cloned().unwrap_or_default();
        let Some(file_name) = item.get("file_name").and_then(Value::as_str) else {
            notes.lost("images without a file name were left out", "", id);
            return Ok(());
        };
        let side = |key: &str| item.get(key).and_then(Value::as_f64);
        let others = others(&keys, &IMAGE_KEYS);
        let mut put = |value: Option<&Value>| {
            let text = value.map(Value::to_string);
            text.map(|text| self.shelf.put(&text)).transpose()
        };
        let entry = ImageEntry {
            file_name: file_name.to_owned(),
            size: side("width").zip(side("height")),
            carried: put(keys.get(KEY))?,
            is_carried: false,
            others: put((!others.is_empty()).then_some(&Value::Object(others)))?,
            found: None,
            annotations: 0,
            is_done: false,
        };
        if self.images.insert(id.clone(), entry).is_some() {
            notes.lost("images whose id another one has were left out", file_name, id);
        } else {
            self.order.push(id);
        }
        Ok(())
    }
}

impl ImageEntry {
    /// The image that is meant, if it is there and has the size that the file says.
    pub(super) fn find(&mut self, images: &Images, notes: &mut Notes) -> Result<Option<FoundImage>> {
        if let Some(found) = &self.found {
            return Ok(found.clone());
        }
        let mut found = images.find(&self.file_name)?;
        if let (Some(image), Some((width, height))) = (&found, self.size)
            && !carried::is_of_size(image, width, height, notes)
        {
            found = None;
        }
        self.found = Some(found.clone());
        Ok(found)
    }

    /// Notes that what the file says of the image itself was handed over, so that little need be remembered of it.
    pub(super) fn finish(&mut self) {
        self.is_done = true;
        self.found = None;
    }

    /// Whether the file says something of the image itself that we wrote.
    pub(super) fn has_carried(&self) -> bool {
        self.carried.is_some()
    }

    /// A document of the image with what was carried for it, all of it the first time and then only what regions need,
    /// and with what else the file says; `shelf` is that of the file.
    pub(super) fn assembly(
        &mut self,
        image: FoundImage,
        shelf: &mut Shelf,
        notes: &mut Notes,
    ) -> Result<Assembly> {
        let mut read = |place: Option<Place>| -> Result<Option<Value>> {
            let text = place.map(|place| shelf.get(place)).transpose()?;
            Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
        };
        let mut carried = read(self.carried)?;
        if let Some(Value::Object(keys)) = &mut carried
            && self.is_carried
        {
            keys.retain(|key, _| ["format", "version", "tokenizers"].contains(&key.as_str()));
        }
        self.is_carried = true;
        let others = read(self.others)?.map(object).unwrap_or_default();
        let mut assembly = Assembly::new(image, carried.as_ref(), notes);
        keep_others(&mut assembly.document.unknown, TOOL, others);
        Ok(assembly)
    }
}

fn category(item: &Value) -> Category {
    let keys = item.as_object().cloned().unwrap_or_default();
    let mut others = others(&keys, &["id", "name"]);
    others.retain(|_, value| *value != "");
    // Zero says that a category is stuff, and must not be taken for nothing.
    if let Some(is_thing) = keys.get("isthing") {
        others.insert("isthing".to_owned(), is_thing.clone());
    }
    Category {
        name: item
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        others,
    }
}

/// An id as text, however it was written.
pub(super) fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Bool(value) => Some(u8::from(*value).to_string()),
        Value::Number(number) => {
            let float = number
                .as_f64()
                .filter(|float| float.fract() == 0.0 && float.abs() < 9e15);
            Some(float.map_or_else(|| number.to_string(), |float| (float as i64).to_string()))
        }
        _ => None,
    }
}

/// Whether a flag is set, however it was written.
pub(super) fn is_set(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number != 0.0),
        Some(Value::String(text)) => matches!(text.trim(), "1" | "true" | "True"),
        _ => false,
    }
}

/// The files to read: `source` itself, or those in the folder whose names begin with `prefix`, or else all.
pub(super) fn files(source: &Path, prefix: &str, expected: &'static str) -> Result<Vec<PathBuf>> {
    let files = below(source, "json")?;
    let file_name = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let (named, rest): (Vec<_>, Vec<_>) = files
        .into_iter()
        .partition(|(_, name)| file_name(name).starts_with(prefix));
    let files = if named.is_empty() { rest } else { named };
    if files.is_empty() {
        return Err(InterchangeError::foreign(
            expected,
            "no .json file is in the folder",
            source,
        ));
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}
