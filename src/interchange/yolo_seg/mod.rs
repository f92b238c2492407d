//! YOLO segmentation as Ultralytics reads it: a text file per image with one closed line per region, in shares of the
//! image's sides, and the classes in `data.yaml`.
//!
//! A line cannot have parts or holes, so it goes back and forth between them over bridges without width ([`chain`]).
//! Filled by the even-odd rule it gives the mask again; Ultralytics does that too, but sets the pixels under the line
//! itself as well.

mod chain;
mod classes;

use self::chain::chained;
use self::classes::Classes;
use super::images::stem;
use super::outline::one_line;
use super::{
    Annotated, Arrived, FoundImage, Images, Incoming, InterchangeError, Notes, Outgoing, OutputFolder,
    Result, json_tree, source_files,
};
use crate::dataset::{Document, ImageRef, Region};
use crate::geometry::{ImagePoint, ImageSize};
use crate::mask::{FillRule, Mask, MaskPolygon, Rle};
use serde_json::json;
use std::collections::HashSet;
use std::io::Read as _;
use std::path::Path;

const EXPECTED: &str = "a YOLO segmentation file";

/// Where numbers that we have no field for are kept in sidecars.
const TOOL: &str = "yolo_seg";

/// Largest label file.
const MAX_BYTES: u64 = 64 << 20;

/// How far beyond the image Ultralytics lets points lie, as a share of its side.
const TOLERANCE: f64 = 0.01;

/// Writes `labels/….txt` and `data.yaml`; an image without regions has an empty file, which says just that.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    let mut classes = Classes::default();
    // In small letters, as two names that differ in nothing else are one on some systems.
    let mut taken = HashSet::new();
    for item in items {
        let item = item?;
        let name = format!("labels/{}.txt", stem(&item.name));
        if !taken.insert(name.to_lowercase()) {
            notes.lost(
                "another image differs in the suffix only, and both would have one label file",
                &item.name,
                "",
            );
            continue;
        }
        let rows = rows(&item, &mut classes, notes);
        out.write(&name, rows.as_bytes())?;
    }
    out.write("data.yaml", classes.to_yaml().as_bytes())
}

fn rows(item: &Annotated, classes: &mut Classes, notes: &mut Notes) -> String {
    let mut rows = String::new();
    for region in &item.document.regions {
        if region.mask.rle.area() == 0 {
            notes.lost("regions without a pixel were left out", &item.name, &region.id);
            continue;
        }
        let mut row = classes.number(&region.label).to_string();
        for point in line(&region.mask.rle) {
            push_share(&mut row, point.x, region.mask.rle.size().width);
            push_share(&mut row, point.y, region.mask.rle.size().height);
        }
        rows.push_str(&row);
        rows.push('\n');
    }
    rows
}

/// A mask as one closed line.
fn line(rle: &Rle) -> Vec<ImagePoint> {
    let lines: Vec<_> = Mask::from_rle(rle).trace().iter().map(one_line).collect();
    let mut line = chained(&lines);
    // Ultralytics takes a row of two points for a box.
    while line.len() < 3 {
        let Some(&last) = line.last() else { break };
        line.push(last);
    }
    line
}

/// Adds a coordinate with as many digits as are needed to find its pixel again.
fn push_share(row: &mut String, coordinate: f32, side: u32) {
    let digits = if side < 20_000 { 6 } else { 9 };
    let share = format!("{:.digits$}", f64::from(coordinate) / f64::from(side));
    let share = share.trim_end_matches('0').trim_end_matches('.');
    row.push(' ');
    row.push_str(share);
}

/// Reads the label files of a folder, or one of them, with the classes of a `data.yaml` or `classes.txt`.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    let is_yaml = source
        .extension()
        .is_some_and(|suffix| suffix == "yaml" || suffix == "yml");
    let folder = if is_yaml {
        source.parent().unwrap_or(source)
    } else {
        source
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let classes = Classes::find(folder, source)?;
    let mut files = source_files::below(folder, "txt")?;
    for (path, name) in &mut files {
        if name.is_empty() {
            *name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
        }
    }
    files.retain(|(_, name)| !classes::is_list(name));
    // Where there is a folder of labels, other texts are none.
    let has_labels = files.iter().any(|(_, name)| below_labels(name).is_some());
    for (path, name) in files {
        let inner = match (below_labels(&name), has_labels) {
            (Some(inner), _) => inner,
            (None, false) => &name,
            (None, true) => continue,
        };
        let Some(image) = find_image(images, stem(inner))? else {
            notes.lost("the image is not in the folder", &name, "");
            continue;
        };
        let text = read(&path)?;
        let document = document(&image, &text, &classes, notes);
        take(Arrived { image, document })?;
    }
    Ok(())
}

/// What follows the innermost folder `labels` in a path.
fn below_labels(name: &str) -> Option<&str> {
    name.rfind("/labels/")
        .map(|at| at + "/labels/".len())
        .and_then(|at| name.get(at..))
        .or_else(|| name.strip_prefix("labels/"))
}

/// The image of a label file: at the same path, or without the folders in front, which name splits.
fn find_image(images: &Images, stem: &str) -> Result<Option<FoundImage>> {
    let mut rest = stem;
    while let Some((_, behind)) = rest.split_once('/') {
        if let Some(image) = images.find_exact_stem(rest) {
            return Ok(Some(image));
        }
        rest = behind;
    }
    images.find_stem(rest)
}

fn read(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    json_tree::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(InterchangeError::io("read the labels", path))?;
    let foreign = |reason: &str| InterchangeError::foreign(EXPECTED, reason, path);
    if bytes.len() as u64 > MAX_BYTES {
        return Err(foreign("it is too large"));
    }
    String::from_utf8(bytes)
        .ok()
        .ok_or_else(|| foreign("it is no text in UTF-8"))
}

fn document(image: &FoundImage, text: &str, classes: &Classes, notes: &mut Notes) -> Document {
    let mut document = Document::new(ImageRef::new(&image.path, image.size, None));
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let mut lost = |what: &str| notes.lost(what, &image.name, format!("line {}", index + 1));
        let row = match Row::read(row) {
            Ok(row) => row,
            Err(what) => {
                lost(what);
                continue;
            }
        };
        let mask = match row.mask(image.size) {
            Ok(mask) if mask.is_empty() => {
                lost("rows that cover no pixel were left out");
                continue;
            }
            Ok(mask) => mask,
            Err(_) => {
                lost("rows with points beyond all measure were left out");
                continue;
            }
        };
        let mut region = Region::new(format!("r{}", document.regions.len() + 1), mask.to_rle());
        region.label = classes.label(row.class);
        TOOL.clone_into(&mut region.source);
        if let Some(number) = row.extra {
            region.unknown.insert(TOOL.to_owned(), json!({"extra": number}));
        }
        if row.is_box {
            notes.remark("boxes became rectangles", &image.name, &region.id);
        }
        document.regions.push(region);
    }
    document
}

/// One row of a label file.
#[derive(Debug, PartialEq)]
struct Row {
    class: u32,
    /// Shares of width and height.
    points: Vec<[f64; 2]>,
    /// A track or a confidence behind the points.
    extra: Option<f64>,
    is_box: bool,
}

impl Row {
    /// What is wrong is a sentence for notes.
    fn read(row: &str) -> Result<Self, &'static str> {
        let mut numbers = row.split_ascii_whitespace().map(str::parse::<f64>);
        let class = numbers
            .next()
            .and_then(Result::ok)
            .filter(|class| class.fract() == 0.0 && (0.0..1e6).contains(class));
        let class = class.ok_or("rows that do not start with the number of a class were left out")? as u32;
        let numbers: Result<Vec<f64>, _> = numbers.collect();
        let numbers = numbers
            .ok()
            .filter(|numbers| numbers.iter().all(|number| number.is_finite()));
        let numbers = numbers.ok_or("rows with something that is not a number were left out")?;
        let (pairs, rest) = numbers.as_chunks::<2>();
        let allowed = -TOLERANCE..=1.0 + TOLERANCE;
        if pairs.iter().flatten().any(|number| !allowed.contains(number)) {
            return Err(
                "rows with points outside of the image were left out, as Ultralytics does; coordinates are shares of the image from 0 to 1",
            );
        }
        let (points, is_box) = match *pairs {
            [[x, y], [width, height]] => {
                let (left, right) = (x - width / 2.0, x + width / 2.0);
                let (top, bottom) = (y - height / 2.0, y + height / 2.0);
                (
                    vec![[left, top], [right, top], [right, bottom], [left, bottom]],
                    true,
                )
            }
            [] | [_] => return Err("rows without three points were left out"),
            _ => (pairs.to_vec(), false),
        };
        Ok(Self {
            class,
            points,
            extra: rest.first().copied(),
            is_box,
        })
    }

    fn mask(&self, size: ImageSize) -> Result<Mask, crate::mask::MaskError> {
        let point = |&[x, y]: &[f64; 2]| {
            ImagePoint::new(
                (x * f64::from(size.width)) as f32,
                (y * f64::from(size.height)) as f32,
            )
        };
        let outer = self.points.iter().map(point).collect();
        let polygon = MaskPolygon {
            outer,
            holes: Vec::new(),
        };
        Mask::from_polygons(size, &[polygon], FillRule::EvenOdd)
    }
}

#[cfg(test)]
mod tests;
