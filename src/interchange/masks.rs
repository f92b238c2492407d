//! Mask pictures: one PNG per image whose values are numbers of regions, or one PNG per region in a folder per image.
//!
//! We write 16-bit pictures and a `labels.json` that says what the numbers are; where regions overlap, the one drawn
//! last has the pixel. We read what there is: palettes, grey of 8 and 16 bits, and colours, with or without a list of
//! labels.

use super::carried::{Assembly, Carried, KEY};
use super::id_map::{IdMap, PngKind, Samples};
use super::json_stream;
use super::json_tree::read_file;
use super::source_files::below;
use super::{FoundImage, Images, Incoming, InterchangeError, Notes, Outgoing, OutputFolder, Result};
use crate::atomic_file::Existing;
use crate::geometry::ImageSize;
use crate::image_file::{Limits, read_mask};
use crate::mask::Rle;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};

const EXPECTED: &str = "a folder of mask pictures";

/// What the numbers of the pictures are.
const LABELS: &str = "labels.json";

/// The list in [`LABELS`], one item per image.
const LIST: &str = "images";

const PICTURES: &str = "masks";

const SOURCE: &str = "masks";

/// The largest number that a 16-bit picture can hold.
const MOST_REGIONS: usize = 65_535;

/// A picture of more colours than this is a photograph.
const MOST_COLORS: usize = 4096;

/// In palettes, the border around objects that counts as nothing.
const PALETTE_VOID: u32 = 255;

/// What people put behind the name of the image.
const ENDINGS: [&str; 12] = [
    "_mask",
    "_masks",
    "-mask",
    "_label",
    "_labels",
    "_seg",
    "_gt",
    "_instance",
    "_instances",
    "_labelIds",
    "_instanceIds",
    "_segmentation",
];

/// Writes one picture per image below `masks`, and `labels.json`.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    let path = out.place(LABELS)?;
    let failed = || InterchangeError::io("write the labels", &path);
    let mut labels = out.file(LABELS)?;
    write!(
        labels,
        "{{\"format\":\"samtok-masks\",\"version\":1,\"background\":0,\n\"{LIST}\":["
    )
    .map_err(failed())?;
    let mut used = HashSet::new();
    let mut separator = "\n";
    for item in items {
        let item = item?;
        let carried = Carried::of(&item)?;
        let size = item.document.image.size;
        let mut map = IdMap::new(size);
        for (region, number) in item.document.regions.iter().zip(1..).take(MOST_REGIONS) {
            map.paint(&region.mask.rle, number);
        }
        let visible = map.regions(MOST_REGIONS).unwrap_or_default();
        let mut regions = Vec::with_capacity(item.document.regions.len());
        for ((region, carried), number) in item.document.regions.iter().zip(carried.regions).zip(1..) {
            if visible.contains_key(&number) {
                regions.push(json!({"value": number, "label": region.label, KEY: carried}));
            } else {
                notes.lost(
                    "regions that have no pixel of their own were left out",
                    &item.name,
                    &region.id,
                );
            }
        }
        let picture = picture_name(&item.name, &mut used);
        map.write(out, &picture, PngKind::Grey16)?;
        let entry = json!({
            "image": item.name,
            "mask": picture,
            "width": size.width,
            "height": size.height,
            "regions": regions,
            KEY: carried.document,
        });
        write!(labels, "{separator}{entry}").map_err(failed())?;
        separator = ",\n";
    }
    writeln!(labels, "]}}").map_err(failed())?;
    labels.commit(Existing::Refuse).map_err(failed())
}

/// `masks/photo.png` for `photo.jpg`, and `masks/photo.tif.png` for a `photo.tif` beside it.
fn picture_name(image: &str, used: &mut HashSet<String>) -> String {
    let stem = Path::new(image)
        .with_extension("png")
        .to_string_lossy()
        .replace('\\', "/");
    let name = format!("{PICTURES}/{stem}");
    // Two names that differ in case only are one on some systems.
    if used.insert(name.to_lowercase()) {
        return name;
    }
    let name = format!("{PICTURES}/{image}.png");
    used.insert(name.to_lowercase());
    name
}

/// Reads a folder of pictures, or one picture.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    let is_folder = source.is_dir();
    let mut pictures = below(source, "png")?;
    if !is_folder {
        let name = source.file_name().map(|name| name.to_string_lossy().into_owned());
        pictures = vec![(source.to_path_buf(), name.unwrap_or_default())];
    }
    // The images themselves may lie beside their masks.
    let is_mask = |name: &str| name.split_once('/').is_some_and(|(folder, _)| folder == PICTURES);
    if pictures.iter().any(|(_, name)| is_mask(name)) {
        pictures.retain(|(_, name)| is_mask(name));
    }
    let labels_path = source.join(LABELS);
    let mut labels = Labels::default();
    let mut explained = HashSet::new();
    if is_folder && labels_path.is_file() {
        let by_name: HashMap<String, PathBuf> = pictures
            .iter()
            .map(|(path, name)| (name.clone(), path.clone()))
            .collect();
        let mut explain = |_, entry: Value| explain(&entry, &by_name, images, &mut explained, take, notes);
        json_stream::read_lists(
            &labels_path,
            EXPECTED,
            &[json_stream::List::whole(LIST)],
            &mut explain,
        )?;
        if explained.is_empty() {
            labels = Labels::read(&labels_path)?;
        }
    }
    if pictures.is_empty() {
        return Err(InterchangeError::foreign(
            EXPECTED,
            "no .png file is in it",
            source,
        ));
    }
    let mut by_image: BTreeMap<String, Pictures> = BTreeMap::new();
    for (path, name) in pictures {
        if explained.contains(&name) {
            continue;
        }
        match meant(&name, images)? {
            Some((image, is_one_region)) => {
                let group = by_image.entry(image.name.clone()).or_insert_with(|| Pictures {
                    image,
                    files: Vec::new(),
                });
                group.files.push((path, name, is_one_region));
            }
            None => notes.lost("pictures of no image that is there were left out", &name, ""),
        }
    }
    for (_, pictures) in by_image {
        take_pictures(pictures, &labels, take, notes)?;
    }
    Ok(())
}

/// The pictures of one image.
struct Pictures {
    image: FoundImage,
    /// Each with its name and whether it shows one region.
    files: Vec<(PathBuf, String, bool)>,
}

/// The image that a picture of this name belongs to, and whether it shows only one of its regions.
fn meant(name: &str, images: &Images) -> Result<Option<(FoundImage, bool)>> {
    let stem = name
        .get(..name.len().saturating_sub(".png".len()))
        .unwrap_or(name);
    let stem = stem.strip_prefix("masks/").unwrap_or(stem);
    let whole = |stem: &str| -> Result<Option<FoundImage>> {
        match images.find_stem(stem)? {
            Some(image) => Ok(Some(image)),
            None => images.find(stem),
        }
    };
    let in_place = images.find_exact_stem(stem);
    if let Some(image) = in_place {
        return Ok(Some((image, false)));
    }
    // A folder that is named like an image holds its regions.
    if let Some((folder, _)) = stem.rsplit_once('/')
        && let Some(image) = whole(folder)?
    {
        return Ok(Some((image, true)));
    }
    let shorter = ENDINGS.iter().find_map(|ending| stem.strip_suffix(ending));
    for stem in [Some(stem), shorter].into_iter().flatten() {
        if let Some(image) = whole(stem)? {
            return Ok(Some((image, false)));
        }
    }
    Ok(None)
}

fn take_pictures(
    pictures: Pictures,
    labels: &Labels,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    let Pictures { image, files } = pictures;
    let (image_name, size) = (image.name.clone(), image.size);
    let mut assembly = Assembly::new(image, None, notes);
    for (path, name, is_one_region) in files {
        let read = if is_one_region {
            one_region(&path, size).map(|rle| vec![(0, rle)])
        } else {
            all_regions(&path, size, &image_name, &name, notes)
        };
        let regions = match read {
            Ok(regions) => regions,
            Err(reason) => {
                notes.lost(
                    "pictures that are no masks of their image were left out",
                    &image_name,
                    format!("{name}: {reason}"),
                );
                continue;
            }
        };
        for (value, rle) in regions {
            let mut region = assembly.region(None, SOURCE, rle, notes);
            region.label = if is_one_region {
                label_in_name(&name)
            } else {
                labels.by_value.get(&value).cloned().unwrap_or_default()
            };
            assembly.push(region);
        }
    }
    take(assembly.finish())
}

/// The one region of a picture, by the rules for mask files.
fn one_region(path: &Path, size: ImageSize) -> Result<Rle, String> {
    let file = read_mask(path, size, &Limits::default()).map_err(|error| error.to_string())?;
    Ok(file.mask.to_rle())
}

/// The regions of a picture by their values.
fn all_regions(
    path: &Path,
    size: ImageSize,
    image: &str,
    name: &str,
    notes: &mut Notes,
) -> Result<Vec<(u32, Rle)>, String> {
    let (map, samples) = IdMap::read(path, size)?;
    let most = if samples == Samples::Color {
        MOST_COLORS
    } else {
        MOST_REGIONS
    };
    let regions = map
        .regions(most)
        .map_err(|_too_many| "it looks like a photograph".to_owned())?;
    let mut regions: Vec<(u32, Rle)> = regions.into_iter().collect();
    if samples == Samples::Palette && regions.len() > 1 {
        let before = regions.len();
        regions.retain(|&(value, _)| value != PALETTE_VOID);
        if regions.len() < before {
            notes.remark(
                "the value 255 of palettes was taken as the border around objects",
                image,
                name,
            );
        }
    }
    if regions.is_empty() {
        notes.remark("pictures without a region", image, name);
    }
    Ok(regions)
}

/// The label in the name of a picture of one region: `a/cat_1.png` shows a cat, and `a/0001.png` nothing of a name.
fn label_in_name(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let label = stem.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '_' | '-' | ' '));
    if matches!(
        label.to_lowercase().as_str(),
        "mask" | "instance" | "segment" | "object" | "region"
    ) {
        return String::new();
    }
    label.to_owned()
}

/// Labels for the values of all pictures, as people write them: `{"1": "cat"}` or `{"cat": 1}`.
#[derive(Debug, Default)]
struct Labels {
    by_value: HashMap<u32, String>,
}

impl Labels {
    fn read(path: &Path) -> Result<Self> {
        let mut labels = Self::default();
        for (key, value) in read_file(path, EXPECTED)?.as_object().into_iter().flatten() {
            let pair = match value {
                Value::String(label) => key.parse().ok().map(|value| (value, label.clone())),
                Value::Number(number) => {
                    let value = number.as_u64().and_then(|value| u32::try_from(value).ok());
                    value.map(|value| (value, key.clone()))
                }
                _ => None,
            };
            labels.by_value.extend(pair);
        }
        Ok(labels)
    }
}

/// Takes an entry of our own `labels.json`.
fn explain(
    entry: &Value,
    pictures: &HashMap<String, PathBuf>,
    images: &Images,
    explained: &mut HashSet<String>,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    let (image_name, picture) = (text("image"), text("mask"));
    explained.insert(picture.to_owned());
    let Some(path) = pictures.get(picture) else {
        notes.lost(
            "pictures that are listed but not there were left out",
            image_name,
            picture,
        );
        return Ok(());
    };
    let Some(image) = images.find(image_name)? else {
        notes.lost(
            "pictures of no image that is there were left out",
            picture,
            image_name,
        );
        return Ok(());
    };
    let read = IdMap::read(path, image.size).and_then(|(map, _)| {
        let regions = map.regions(MOST_REGIONS);
        regions.map_err(|_too_many| "it has too many values".to_owned())
    });
    let mut regions = match read {
        Ok(regions) => regions,
        Err(reason) => {
            let which = format!("{picture}: {reason}");
            notes.lost(
                "pictures that are no masks of their image were left out",
                &image.name,
                which,
            );
            return Ok(());
        }
    };
    let name = image.name.clone();
    let mut assembly = Assembly::new(image, entry.get(KEY), notes);
    let listed = entry.get("regions").and_then(Value::as_array);
    for keys in listed.into_iter().flatten().filter_map(Value::as_object) {
        let value = keys.get("value").and_then(Value::as_u64);
        let Some(rle) = value.and_then(|value| regions.remove(&u32::try_from(value).ok()?)) else {
            notes.lost(
                "values that the picture does not have were left out",
                &name,
                value.unwrap_or(0),
            );
            continue;
        };
        assembly.push(listed_region(&assembly, keys, rle, notes));
    }
    for (value, rle) in regions {
        notes.remark(
            "values that the list does not explain became regions without a label",
            &name,
            value,
        );
        assembly.push(assembly.region(None, SOURCE, rle, notes));
    }
    take(assembly.finish())
}

fn listed_region(
    assembly: &Assembly,
    keys: &Map<String, Value>,
    rle: Rle,
    notes: &mut Notes,
) -> crate::dataset::Region {
    let mut region = assembly.region(keys.get(KEY), SOURCE, rle, notes);
    if let Some(label) = keys.get("label").and_then(Value::as_str) {
        label.clone_into(&mut region.label);
    }
    region
}

#[cfg(test)]
mod tests;
