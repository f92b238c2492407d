//! Pascal VOC: boxes and attributes in `Annotations`, masks in `SegmentationObject` and their classes in
//! `SegmentationClass`, lists of images in `ImageSets`.
//!
//! A picture has one number per pixel, so of regions that overlap the one in front keeps the pixels. Boxes are those
//! of the PASCAL development kit, which counts pixels from 1 and has the last one inside.

mod element;
mod label_map;
mod object;
mod picture;

use self::element::Element;
use self::label_map::{LabelMap, VOID, plain};
use self::object::Objects;
use self::picture::{Numbered, Owners, Picture};
use super::carried::value_text;
use super::images::stem;
use super::{
    Annotated, Arrived, FoundImage, Images, Incoming, InterchangeError, Notes, Outgoing, OutputFolder,
    Result, carried, json_tree, source_files,
};
use crate::dataset::{Document, ImageRef, Region};
use crate::geometry::PixelRect;
use crate::mask::Rle;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

const EXPECTED: &str = "a VOC set";

/// Where elements that we have no field for are kept in sidecars.
const TOOL: &str = "voc";

/// The class of regions without a label.
const NO_LABEL: &str = "unlabelled";

/// Largest XML file.
const MAX_XML_BYTES: u64 = 64 << 20;

/// Most boxes of one file, since every mask is compared with all of them.
const MAX_BOXES: usize = 16_384;

/// Elements of a file and of an object that have a field of their own.
const FILE_KEYS: [&str; 3] = ["filename", "size", "object"];
const OBJECT_KEYS: [&str; 3] = ["name", "bndbox", "attributes"];

/// Writes `Annotations`, `SegmentationObject`, `SegmentationClass`, `ImageSets` and `labelmap.txt`.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    let mut labels = LabelMap::new();
    let mut names = String::new();
    // In small letters, as two names that differ in nothing else are one on some systems.
    let mut taken = HashSet::new();
    for item in items {
        let item = item?;
        let stem = stem(&item.name);
        if !taken.insert(stem.to_lowercase()) {
            notes.lost(
                "another image differs in the suffix only, and both would have one file",
                &item.name,
                "",
            );
            continue;
        }
        out.write(
            &format!("Annotations/{stem}.xml"),
            annotation(&item, notes).as_bytes(),
        )?;
        write_pictures(out, stem, &item, &mut labels, notes)?;
        names.push_str(stem);
        names.push('\n');
    }
    for set in ["Main", "Segmentation"] {
        out.write(&format!("ImageSets/{set}/train.txt"), names.as_bytes())?;
    }
    out.write("labelmap.txt", labels.to_text().as_bytes())
}

/// The class of a region as VOC has it.
fn class(region: &Region) -> String {
    let plain = plain(&region.label);
    if plain.is_empty() {
        NO_LABEL.to_owned()
    } else {
        plain
    }
}

fn write_pictures(
    out: &OutputFolder,
    stem: &str,
    item: &Annotated,
    labels: &mut LabelMap,
    notes: &mut Notes,
) -> Result<()> {
    let size = item.document.image.size;
    let (mut objects, mut classes) = (Picture::new(size), Picture::new(size));
    let mut number = 0;
    for region in item
        .document
        .regions
        .iter()
        .filter(|region| region.mask.rle.area() > 0)
    {
        // The void's number is left out, as if there were an object without a mask.
        number += if number + 1 == VOID { 2 } else { 1 };
        objects.paint(&region.mask.rle, number);
        classes.paint(&region.mask.rle, labels.number(&class(region)));
    }
    let has_colors = [("SegmentationObject", objects), ("SegmentationClass", classes)]
        .into_iter()
        .map(|(folder, picture)| picture.write(out, &format!("{folder}/{stem}.png")))
        .collect::<Result<Vec<bool>>>()?;
    if has_colors.contains(&false) {
        notes.remark(
            "more than 254 objects or classes need numbers of 16 bits, which few tools read",
            &item.name,
            "",
        );
    }
    Ok(())
}

/// The XML file of an image.
fn annotation(item: &Annotated, notes: &mut Notes) -> String {
    let document = &item.document;
    let before = document
        .unknown
        .get(TOOL)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let file_name = item.name.rsplit('/').next().unwrap_or(&item.name);
    let mut root = Element::branch("annotation", Vec::new());
    let mut others = Element::from_json(&before, 0);
    others.retain(|element| !FILE_KEYS.contains(&element.name.as_str()));
    if !before.contains_key("folder") {
        root.children.push(Element::leaf("folder", "JPEGImages"));
    }
    let depth = before
        .get("size")
        .and_then(|size| size.get("depth")?.as_str())
        .unwrap_or("3");
    root.children
        .extend(others.extract_if(.., |element| element.name == "folder"));
    root.children.push(Element::leaf("filename", file_name));
    root.children
        .extend(others.extract_if(.., |element| element.name == "source"));
    root.children.push(Element::branch(
        "size",
        vec![
            Element::leaf("width", document.image.size.width),
            Element::leaf("height", document.image.size.height),
            Element::leaf("depth", depth),
        ],
    ));
    root.children
        .extend(others.into_iter().filter(|element| element.name != "segmented"));
    root.children.push(Element::leaf("segmented", 1));
    for region in &document.regions {
        match region.mask.rle.bounding_box() {
            Some(bounds) => root.children.push(object(region, bounds)),
            None => notes.lost("regions without a pixel were left out", &item.name, &region.id),
        }
    }
    let mut xml = String::new();
    root.write(0, &mut xml);
    xml
}

fn object(region: &Region, bounds: PixelRect) -> Element {
    let mut object = Element::branch("object", vec![Element::leaf("name", class(region))]);
    let before = region
        .unknown
        .get(TOOL)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for (name, default) in [("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")] {
        if !before.contains_key(name) {
            object.children.push(Element::leaf(name, default));
        }
    }
    let mut others = Element::from_json(&before, 0);
    others.retain(|element| !OBJECT_KEYS.contains(&element.name.as_str()));
    // What is longer than a flag comes after the box, as in the challenge's own files.
    object
        .children
        .extend(others.extract_if(.., |element| element.children.is_empty()));
    object.children.push(Element::branch(
        "bndbox",
        vec![
            Element::leaf("xmin", bounds.x + 1),
            Element::leaf("ymin", bounds.y + 1),
            Element::leaf("xmax", bounds.right()),
            Element::leaf("ymax", bounds.bottom()),
        ],
    ));
    object.children.extend(others);
    let attributes = region.attributes.iter().map(|(name, value)| {
        let children = vec![
            Element::leaf("name", name),
            Element::leaf("value", value_text(value)),
        ];
        Element::branch("attribute", children)
    });
    let attributes: Vec<Element> = attributes.collect();
    if !attributes.is_empty() {
        object.children.push(Element::branch("attributes", attributes));
    }
    object
}

/// Reads the folder of a set, such as `VOC2012`, one that holds it, or a single XML file.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    let set = Set::find(source)?;
    let labels = LabelMap::read(&set.folder)?;
    for stem in &set.stems {
        let root = set.xml(stem)?;
        let file_name = root.as_ref().and_then(|root| root.text_of("filename"));
        let mut image = images.find_exact_stem(stem);
        if image.is_none() {
            image = match file_name {
                Some(name) => images.find(name)?,
                None => None,
            };
        }
        if image.is_none() {
            image = images.find_stem(stem)?;
        }
        let Some(image) = image else {
            notes.lost("the image is not in the folder", file_name.unwrap_or(stem), "");
            continue;
        };
        let size = root.as_ref().and_then(|root| root.child("size"));
        let side = |key: &str| {
            size.and_then(|size| size.text_of(key)?.parse::<f64>().ok())
                .filter(|&side| side > 0.0)
        };
        if let Some((width, height)) = side("width").zip(side("height"))
            && !carried::is_of_size(&image, width, height, notes)
        {
            continue;
        }
        let mut document = Document::new(ImageRef::new(&image.path, image.size, None));
        let masks = set.masks(stem, &image, &labels, notes);
        let mut objects = root.as_ref().map(Objects::of).unwrap_or_default();
        if objects.0.len() > MAX_BOXES {
            notes.lost("objects beyond the first 16384 were left out", &image.name, "");
            objects.0.truncate(MAX_BOXES);
        }
        document.regions = regions(masks, objects, &image, notes);
        if let Some(root) = &root {
            let mut others = root.to_json(&FILE_KEYS);
            if let Some(depth) = size
                .and_then(|size| size.text_of("depth"))
                .filter(|&depth| depth != "3")
            {
                others.insert(
                    "size".to_owned(),
                    Map::from_iter([("depth".to_owned(), depth.into())]).into(),
                );
            }
            if !others.is_empty() {
                document.unknown.insert(TOOL.to_owned(), others.into());
            }
        }
        take(Arrived { image, document })?;
    }
    Ok(())
}

/// The files of a set.
#[derive(Debug)]
struct Set {
    folder: PathBuf,
    /// Paths below the folders without suffix.
    stems: BTreeSet<String>,
}

impl Set {
    const FOLDERS: [(&str, &str); 3] = [
        ("Annotations", "xml"),
        ("SegmentationObject", "png"),
        ("SegmentationClass", "png"),
    ];

    fn find(source: &Path) -> Result<Self> {
        if source.is_file() {
            let stem = source.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let folder = source.parent().and_then(Path::parent).unwrap_or(Path::new(".."));
            return Ok(Self {
                folder: folder.to_path_buf(),
                stems: stem.into_iter().collect(),
            });
        }
        let is_set = |folder: &Path| Self::FOLDERS.iter().any(|(name, _)| folder.join(name).is_dir());
        let mut folder = source.to_path_buf();
        // `VOCdevkit/VOC2012` is often named by one of the folders above.
        for _ in 0..3 {
            if is_set(&folder) {
                break;
            }
            let mut inner: Vec<PathBuf> = fs::read_dir(&folder)
                .map_err(InterchangeError::io("list the annotations", &folder))?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .filter(|path| path.is_dir() && !path.is_symlink())
                .collect();
            inner.sort();
            match inner.iter().find(|path| is_set(path)).or(inner.first()) {
                Some(inner) => folder.clone_from(inner),
                None => break,
            }
        }
        if !is_set(&folder) {
            let reason = "it has no folder Annotations, SegmentationObject or SegmentationClass";
            return Err(InterchangeError::foreign(EXPECTED, reason, source));
        }
        let mut stems = BTreeSet::new();
        for (name, suffix) in Self::FOLDERS {
            let inner = folder.join(name);
            if inner.is_dir() {
                stems.extend(
                    source_files::below(&inner, suffix)?
                        .iter()
                        .map(|(_, name)| stem(name).to_owned()),
                );
            }
        }
        Ok(Self { folder, stems })
    }

    /// The XML file of an image, if there is one.
    fn xml(&self, stem: &str) -> Result<Option<Element>> {
        let path = self.folder.join("Annotations").join(format!("{stem}.xml"));
        if !path.is_file() {
            return Ok(None);
        }
        let text = read_text(&path, MAX_XML_BYTES, "a VOC annotation")?;
        let root = Element::parse(&text)
            .and_then(|root| match root.name.as_str() {
                "annotation" => Ok(root),
                other => Err(format!("its outermost element is <{other}> and not <annotation>")),
            })
            .map_err(|reason| InterchangeError::foreign("a VOC annotation", reason, &path))?;
        Ok(Some(root))
    }

    /// The masks of an image with the numbers of their objects and the names of their classes.
    fn masks(
        &self,
        stem: &str,
        image: &FoundImage,
        labels: &LabelMap,
        notes: &mut Notes,
    ) -> Vec<(u32, String, Rle)> {
        let mut read = |folder: &str| -> Option<Numbered> {
            let path = self.folder.join(folder).join(format!("{stem}.png"));
            let read = path.is_file().then(|| Numbered::read(&path, image))?;
            read.map_err(|reason| {
                notes.lost(
                    "pictures that cannot be read were left out",
                    &image.name,
                    format!("{folder}: {reason}"),
                );
            })
            .ok()
        };
        let (objects, classes) = (read("SegmentationObject"), read("SegmentationClass"));
        match (objects, classes) {
            (Some(objects), classes) => {
                let owners = classes.as_ref().map(Owners::of);
                let class_of = |rle: &Rle| {
                    let number = owners.as_ref()?.most(rle)?;
                    Some(classes.as_ref()?.name(number, labels))
                };
                let shapes = objects.shapes.into_iter();
                shapes
                    .map(|(number, rle)| (number, class_of(&rle).unwrap_or_default(), rle))
                    .collect()
            }
            (None, Some(classes)) => {
                notes.remark(
                    "without SegmentationObject, all of a class became one region",
                    &image.name,
                    "",
                );
                let named = classes
                    .shapes
                    .iter()
                    .map(|(&number, rle)| (0, classes.name(number, labels), rle.clone()));
                named.collect()
            }
            (None, None) => Vec::new(),
        }
    }
}

/// The regions of an image: its masks with what the XML file says about them, and rectangles for other boxes.
fn regions(
    masks: Vec<(u32, String, Rle)>,
    objects: Objects,
    image: &FoundImage,
    notes: &mut Notes,
) -> Vec<Region> {
    let mut objects = objects;
    let mut regions = Vec::new();
    for (number, class, rle) in masks {
        let class = if class == NO_LABEL { String::new() } else { class };
        let object = objects.take(number, &class, &rle);
        let mut region = Region::new(format!("r{}", regions.len() + 1), rle);
        region.label = class;
        TOOL.clone_into(&mut region.source);
        if let Some(object) = object {
            object.fill(&mut region);
        }
        regions.push(region);
    }
    for object in objects.0 {
        let Some(rle) = object.rectangle(image) else {
            notes.lost(
                "objects without a mask or a box in the image were left out",
                &image.name,
                format!("object {}", object.number),
            );
            continue;
        };
        let mut region = Region::new(format!("r{}", regions.len() + 1), rle);
        notes.remark("boxes without a mask became rectangles", &image.name, &region.id);
        TOOL.clone_into(&mut region.source);
        object.fill(&mut region);
        regions.push(region);
    }
    regions
}

/// The text of a file that has at most `max_bytes`.
fn read_text(path: &Path, max_bytes: u64, expected: &'static str) -> Result<String> {
    let mut bytes = Vec::new();
    json_tree::open(path)?
        .take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(InterchangeError::io("read the annotations", path))?;
    let foreign = |reason: &str| InterchangeError::foreign(expected, reason, path);
    if bytes.len() as u64 > max_bytes {
        return Err(foreign("it is too large"));
    }
    let text = String::from_utf8(bytes)
        .ok()
        .ok_or_else(|| foreign("it is no text in UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests;
