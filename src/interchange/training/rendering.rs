//! A record as every container writes it: paths, texts with words, masks, and what only this program reads.

use std::fs;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use serde_json::{Map, Value, json};

use super::super::Annotated;
use super::record::{Kind, Record, Scene};
use super::{Container, TrainingOptions};
use crate::dataset::Role;
use crate::geometry::ImageSize;

/// The key of records and the column of rows that trainers ignore; its value is JSON in a string, because loaders
/// want one type per key however different the documents are.
pub(super) const OWN_KEY: &str = "samtok";

/// A mask of one of the record's images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RenderedMask {
    pub(super) size: ImageSize,
    /// COCO's compressed run lengths.
    pub(super) counts: String,
    /// Which of the record's images it belongs to.
    image: usize,
}

impl RenderedMask {
    /// `{"size": [height, width], "counts": "…"}`
    fn rle(&self) -> Value {
        json!({"size": [self.size.height, self.size.width], "counts": self.counts})
    }
}

/// A record with everything spelled out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rendered {
    pub(super) kind: Kind,
    pub(super) images: Vec<String>,
    pub(super) turns: Vec<(Role, String)>,
    /// The masks whose words are said, in the order of their first mention, and behind them those of crops.
    pub(super) masks: Vec<RenderedMask>,
    /// For each turn, the masks it says, as places in `masks`.
    pub(super) said: Vec<Vec<usize>>,
    /// Only of interactive records.
    raw: Option<Raw>,
}

/// The turns with stand-ins for the words.
#[derive(Clone, Debug, PartialEq)]
struct Raw {
    turns: Vec<(Role, String)>,
    /// The stand-in of each mask.
    stand_ins: Vec<String>,
}

impl Rendered {
    /// `record` of `scene`, whose images have the paths `images`.
    pub(super) fn new(scene: &Scene<'_>, record: &Record, images: Vec<String>) -> Self {
        let regions = record.regions();
        let size = scene.document.image.size;
        let of_regions = regions.iter().map(|region| RenderedMask {
            size,
            counts: scene
                .shown(*region)
                .map_or_else(|_| String::new(), |shown| shown.counts.clone()),
            image: 0,
        });
        let of_crops = record.crops.iter().enumerate().map(|(index, crop)| RenderedMask {
            size: crop.mask.size(),
            counts: crop.mask.to_compressed(),
            image: index + 1,
        });
        let place = |region: usize| regions.iter().position(|known| *known == region);
        let spoken = |spell: &dyn Fn(usize) -> Option<String>| {
            let turns = record.turns.iter();
            turns
                .map(|turn| (turn.role, scene.spoken(&turn.speech, &record.crops, spell)))
                .collect::<Vec<_>>()
        };
        let raw = (record.kind == Kind::Interactive).then(|| {
            let stand_ins: Vec<String> = (0..regions.len()).map(stand_in).collect();
            let turns = spoken(&|region| stand_ins.get(place(region)?).cloned());
            Raw { turns, stand_ins }
        });
        Self {
            kind: record.kind,
            images,
            turns: spoken(&|_| None),
            masks: of_regions.chain(of_crops).collect(),
            said: record
                .turns
                .iter()
                .map(|turn| turn.speech.regions().filter_map(place).collect())
                .collect(),
            raw,
        }
    }

    /// The record in the shape of `container`, which is not the one for rows.
    pub(super) fn value(&self, container: Container, own: Option<String>) -> Value {
        let mut value = Map::new();
        let mut put = |key: &str, item: Value| value.insert(key.to_owned(), item);
        let with_masks = own.is_some() || matches!(container, Container::Llava | Container::Jsonl);
        match container {
            Container::Llava | Container::Jsonl | Container::RlParquet => {
                match self.images.as_slice() {
                    [image] => put("image", json!(image)),
                    images => put("image", json!(images)),
                };
                put("conversations", from_value(&self.turns));
            }
            Container::ShareGpt => {
                put("conversations", from_value(&self.turns));
                put("images", json!(self.images));
            }
            Container::Messages => {
                let message = |(role, text): &(Role, String)| json!({"role": role.as_str(), "content": text});
                put("messages", self.turns.iter().map(message).collect());
                put("images", json!(self.images));
            }
        }
        if with_masks && !self.masks.is_empty() {
            match &self.raw {
                Some(Raw { turns, stand_ins }) => {
                    put("raw_conversations", from_value(turns));
                    let masks = stand_ins.iter().zip(&self.masks);
                    let masks: Map<String, Value> = masks
                        .map(|(stand_in, mask)| (stand_in.clone(), mask.rle()))
                        .collect();
                    put("segmentation", masks.into());
                }
                None => {
                    put("segmentation", self.masks.iter().map(RenderedMask::rle).collect());
                    if self.images.len() > 1 {
                        let images: Vec<usize> = self.masks.iter().map(|mask| mask.image).collect();
                        put("segmentation_image_indices", json!(images));
                    }
                }
            }
        }
        if let Some(own) = own {
            put(OWN_KEY, own.into());
        }
        value.into()
    }
}

/// The turns in LLaVA's words.
fn from_value(turns: &[(Role, String)]) -> Value {
    let turn = |(role, text): &(Role, String)| {
        let from = match role {
            Role::User => "human",
            Role::Assistant => "gpt",
        };
        json!({"from": from, "value": text})
    };
    turns.iter().map(turn).collect()
}

/// A UUID that stands for the mask number `index` of its record.
///
/// The same few in every record: they are keys of an object, and loaders that want one type for all records make a
/// column of every key there is.
fn stand_in(index: usize) -> String {
    format!("00000000-0000-4000-8000-{index:012x}")
}

/// A hash of what a record says and shows, which tells on the way back whether somebody changed it.
pub(super) fn content_blake3<'a>(
    turns: impl IntoIterator<Item = (Role, &'a str)>,
    masks: impl IntoIterator<Item = (ImageSize, &'a str)>,
) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut part = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for (role, text) in turns {
        part(role.as_str());
        part(text);
    }
    part("masks");
    for (size, counts) in masks {
        part(&size.to_string());
        part(counts);
    }
    let hash = hasher.finalize().to_hex();
    hash.get(..32).unwrap_or_default().to_owned()
}

/// What [`OWN_KEY`] holds: which record of which image this is, the hash of what it says, and in an image's first
/// record the whole document.
pub(super) fn own_text(image: &str, origin: &str, blake3: &str, document: Option<&str>) -> String {
    let quoted = |text: &str| Value::from(text).to_string();
    let mut text = format!(
        "{{\"image\":{},\"origin\":{},\"blake3\":\"{blake3}\"",
        quoted(image),
        quoted(origin)
    );
    if let Some(document) = document {
        text.push_str(",\"document\":");
        text.push_str(document);
    }
    text.push('}');
    text
}

/// The paths under which records name the images.
#[derive(Debug)]
pub(super) struct ImageNames {
    is_absolute: bool,
    /// Where the crops' folder will be.
    out: PathBuf,
    /// From the annotated folder to the output folder, with `/` between the parts and at the end; known with the
    /// first image.
    crops: Option<String>,
}

impl ImageNames {
    pub(super) fn new(options: &TrainingOptions, out: &Path) -> Self {
        Self {
            is_absolute: options.absolute_paths,
            out: options.destination.clone().unwrap_or_else(|| out.to_path_buf()),
            crops: (options.copied_images && !options.absolute_paths).then(|| "../".to_owned()),
        }
    }

    /// The images of `record`: that of the document, and its crops.
    pub(super) fn of(&mut self, item: &Annotated, record: &Record) -> Vec<String> {
        let first = if self.is_absolute {
            absolute(&item.path)
        } else {
            item.name.clone()
        };
        let mut images = vec![first];
        if !record.crops.is_empty() {
            let (is_absolute, out) = (self.is_absolute, &self.out);
            let crops = self.crops.get_or_insert_with(|| {
                let relative = if is_absolute {
                    None
                } else {
                    way(&item.path, &item.name, out)
                };
                relative.unwrap_or_else(|| format!("{}/", absolute(out)))
            });
            images.extend(record.crops.iter().map(|crop| format!("{crops}{}", crop.file)));
        }
        images
    }
}

fn absolute(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    slashed(&path)
}

fn slashed(path: &Path) -> String {
    let text = path.to_string_lossy();
    if MAIN_SEPARATOR == '/' {
        text.into_owned()
    } else {
        text.replace(MAIN_SEPARATOR, "/")
    }
}

/// The way from the folder in which the image at `path` is called `name` to `out`; `None` where there is none, as
/// between two drives.
fn way(path: &Path, name: &str, out: &Path) -> Option<String> {
    let folder = path.ancestors().nth(name.split('/').count())?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let (folder, out) = (fs::canonicalize(folder).ok()?, fs::canonicalize(out).ok()?);
    let common = folder
        .components()
        .zip(out.components())
        .take_while(|(a, b)| a == b)
        .count();
    if common == 0 {
        return None;
    }
    let up = folder.components().skip(common).map(|_| "..".to_owned());
    let down = out
        .components()
        .skip(common)
        .map(|part| slashed(part.as_os_str().as_ref()));
    Some(up.chain(down).map(|part| part + "/").collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Document, format};

    #[test]
    fn crops_are_named_from_the_annotated_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (images, out) = (folder.path().join("photos/a"), folder.path().join("out"));
        fs::create_dir_all(&images).unwrap();
        fs::create_dir_all(&out).unwrap();
        assert_eq!(way(&images.join("x.jpg"), "a/x.jpg", &out).unwrap(), "../out/");
        assert_eq!(way(&images.join("x.jpg"), "x.jpg", &out).unwrap(), "../../out/");
        assert_eq!(
            way(&images.join("x.jpg"), "a/x.jpg", &folder.path().join("photos")).unwrap(),
            ""
        );
    }

    #[test]
    fn own_text_is_json_and_keeps_spaces_within_strings() {
        let image = crate::dataset::ImageRef::new("a b.jpg".as_ref(), ImageSize::new(2, 2), None);
        let mut document = Document::new(image);
        document.notes = "a \"b\\\" \n  c\\".to_owned();
        let text = format::write_line(&document).unwrap();
        assert!(!text.contains('\n') && !text.contains("\": "), "{text}");
        assert_eq!(format::read(text.as_bytes()).unwrap(), document);
        let own: Value = serde_json::from_str(&own_text("x/\"y\".jpg", "o", "0f", Some(&text))).unwrap();
        assert_eq!(own["image"], "x/\"y\".jpg");
        assert_eq!(
            format::read(own["document"].to_string().as_bytes()).unwrap(),
            document
        );
    }
}
