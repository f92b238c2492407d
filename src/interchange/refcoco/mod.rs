//! RefCOCO, RefCOCO+, RefCOCOg and RefCLEF as the REFER tools read them: expressions in a pickle, `refs(unc).p`, and
//! the objects that they mean in `instances.json`.
//!
//! Every object becomes a region and every sentence a conversation. What the files say beyond that is kept in
//! sidecars under [`TOOL`], so that an export gives the same files again. gRefCOCO differs in little and shares all of
//! this ([`Dialect`]).

mod expression;
mod instances;

use self::expression::Expressions;
use self::instances::{Annotations, Instances};
use super::pickle::{self, ListWriter};
use super::{
    Arrived, Images, Incoming, InterchangeError, Notes, Outgoing, OutputFolder, Result, carried, json_tree,
};
use crate::atomic_file::{AtomicFile, Existing};
use crate::dataset::{Document, ImageRef, Region};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Where what these files say beyond our fields is kept in sidecars.
pub(super) const TOOL: &str = "refcoco";

/// The class of regions without a label, since every object must have one.
const NO_LABEL: &str = "unlabelled";

/// Largest file of expressions that is read.
const MAX_REFS_BYTES: u64 = 512 << 20;

/// Which of the two forms a set has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Every expression means one object; the expressions are a pickle.
    RefCoco,
    /// An expression means any number of objects, or none; the expressions are JSON.
    GRefCoco,
}

impl Dialect {
    const fn expected(self) -> &'static str {
        match self {
            Self::RefCoco => "a RefCOCO set",
            Self::GRefCoco => "a gRefCOCO set",
        }
    }

    /// How the names of files with expressions begin.
    const fn prefix(self) -> &'static str {
        match self {
            Self::RefCoco => "refs(",
            Self::GRefCoco => "grefs(",
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::RefCoco => ").p",
            Self::GRefCoco => ").json",
        }
    }

    /// Whether a file is named as this set's expressions are; some hand gRefCOCO on as a pickle.
    fn names(self, file_name: &str) -> bool {
        file_name.starts_with(self.prefix()) && (file_name.ends_with(").p") || file_name.ends_with(").json"))
    }
}

/// Writes `instances.json` and `refs(unc).p`.
pub(super) fn export(items: &mut Outgoing<'_>, out: &OutputFolder, notes: &mut Notes) -> Result<()> {
    export_as(Dialect::RefCoco, items, out, notes)
}

/// Reads a pickle of expressions, or the one in a folder, and the `instances.json` beside it.
pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    import_as(Dialect::RefCoco, source, images, take, notes)
}

/// [`export`] in either form.
pub(super) fn export_as(
    dialect: Dialect,
    items: &mut Outgoing<'_>,
    out: &OutputFolder,
    notes: &mut Notes,
) -> Result<()> {
    let mut annotations = Annotations::create(out)?;
    let mut expressions = Expressions::new(dialect);
    let mut refs = Vec::new();
    let mut refs_name = None;
    for item in items {
        let item = item?;
        let kept = kept(&item.document.unknown);
        let name = kept.and_then(|kept| kept.get("refs")).and_then(Value::as_str);
        refs_name = refs_name.or_else(|| {
            name.filter(|name| is_plain_name(dialect, name))
                .map(str::to_owned)
        });
        let objects = annotations.push(&item, notes)?;
        refs.extend(expressions.of(&item, &objects, notes));
    }
    annotations.finish()?;
    let name = refs_name.unwrap_or_else(|| format!("{}unc{}", dialect.prefix(), dialect.suffix()));
    let (mut file, path) = (out.file(&name)?, out.place(&name)?);
    write_refs(dialect, &refs, &mut file)
        .and_then(|()| file.commit(Existing::Refuse))
        .map_err(InterchangeError::io("write", &path))
}

/// Whether `name` may name the file of expressions: what came from a sidecar is no more trusted than any other file.
fn is_plain_name(dialect: Dialect, name: &str) -> bool {
    let inner = name
        .strip_prefix(dialect.prefix())
        .and_then(|rest| rest.strip_suffix(dialect.suffix()));
    inner.is_some_and(|inner| {
        (1..=32).contains(&inner.len()) && inner.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn write_refs(dialect: Dialect, refs: &[Value], file: &mut AtomicFile) -> io::Result<()> {
    match dialect {
        Dialect::RefCoco => {
            let mut list = ListWriter::new(file)?;
            refs.iter().try_for_each(|one| list.push(one))?;
            list.finish().map(|_| ())
        }
        Dialect::GRefCoco => Ok(serde_json::to_writer(file, refs)?),
    }
}

/// [`import`] in either form.
pub(super) fn import_as(
    dialect: Dialect,
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    let files = Files::find(dialect, source)?;
    let mut refs_of: HashMap<String, Vec<Value>> = HashMap::new();
    for one in read_refs(dialect, &files.refs)? {
        match one.get("image_id").and_then(instances::key) {
            Some(image) => refs_of.entry(image).or_default().push(one),
            None => notes.lost("expressions that name no image were left out", "", ref_name(&one)),
        }
    }
    let instances = Instances::read(&files.instances)?;
    let refs_name = files.refs.file_name().and_then(OsStr::to_str).unwrap_or_default();
    for (key, entry) in instances.images() {
        let refs = refs_of.remove(key).unwrap_or_default();
        let name = entry.get("file_name").and_then(Value::as_str).unwrap_or_default();
        let Some(image) = images.find(name)? else {
            notes.lost("the image is not in the folder", name, "");
            continue;
        };
        let side = |key: &str| entry.get(key).and_then(Value::as_f64);
        if let Some((width, height)) = side("width").zip(side("height"))
            && !carried::is_of_size(&image, width, height, notes)
        {
            continue;
        }
        let mut document = Document::new(ImageRef::new(&image.path, image.size, None));
        document
            .unknown
            .insert(TOOL.to_owned(), json!({"refs": refs_name, "image": entry}));
        let objects = add_regions(&mut document, key, &instances, &image.name, notes);
        for one in refs {
            expression::add(&mut document, one, &objects, &image.name, notes);
        }
        take(Arrived { image, document })?;
    }
    for one in refs_of.into_values().flatten() {
        let name = one.get("file_name").and_then(Value::as_str).unwrap_or_default();
        notes.lost(
            "expressions about images that instances.json does not list were left out",
            name,
            ref_name(&one),
        );
    }
    Ok(())
}

/// How notes call an expression.
fn ref_name(one: &Value) -> String {
    format!("ref {}", one.get("ref_id").unwrap_or(&Value::Null))
}

/// What a sidecar keeps of these files.
fn kept(unknown: &Map<String, Value>) -> Option<&Map<String, Value>> {
    unknown.get(TOOL)?.as_object()
}

/// Adds a region for every object of the image; returns the ids of the regions by those of the objects.
fn add_regions(
    document: &mut Document,
    image_key: &str,
    instances: &Instances,
    name: &str,
    notes: &mut Notes,
) -> HashMap<String, String> {
    let mut objects = HashMap::new();
    for annotation in instances.annotations(image_key) {
        let key = annotation.get("id").and_then(instances::key).unwrap_or_default();
        let label = format!("object {key}");
        let segmentation = annotation.get("segmentation").unwrap_or(&Value::Null);
        let mask = match super::segmentation::read(segmentation, document.image.size) {
            Ok(mask) if mask.is_empty() => {
                notes.lost("objects without a pixel were left out", name, label);
                continue;
            }
            Ok(mask) => mask,
            Err(reason) => {
                notes.lost(
                    "objects with a segmentation that cannot be read were left out",
                    name,
                    format!("{label}: {reason}"),
                );
                continue;
            }
        };
        let mut region = Region::new(format!("r{}", document.regions.len() + 1), mask.to_rle());
        let category = annotation.get("category_id").and_then(instances::key);
        let category = category.and_then(|key| instances.category(&key));
        let class = category
            .and_then(|category| category.get("name"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        if class != NO_LABEL {
            class.clone_into(&mut region.label);
        }
        let kept = json!({"annotation": annotation, "category": category});
        region.unknown.insert(TOOL.to_owned(), kept);
        TOOL.clone_into(&mut region.source);
        objects.insert(key, region.id.clone());
        document.regions.push(region);
    }
    objects
}

/// The files of a set.
#[derive(Debug)]
struct Files {
    refs: PathBuf,
    instances: PathBuf,
}

impl Files {
    /// The files in the folder `source`, or beside the file of expressions `source`.
    fn find(dialect: Dialect, source: &Path) -> Result<Self> {
        let is_file = source.is_file();
        let folder = if is_file {
            source.parent().unwrap_or(Path::new("."))
        } else {
            source
        };
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let failed = || InterchangeError::io("list the files of the set", folder);
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed())? {
            names.extend(entry.map_err(failed())?.file_name().into_string());
        }
        names.sort();
        let only = |what: &str, is_wanted: &dyn Fn(&str) -> bool| {
            let found: Vec<&String> = names.iter().filter(|name| is_wanted(name)).collect();
            match found[..] {
                [name] => Ok(folder.join(name)),
                [] => Err(format!("there is no {what} in the folder")),
                [..] => Err(format!(
                    "there is more than one {what} in the folder; give the path of one of them"
                )),
            }
        };
        let named_refs = is_file && source.file_name() != Some(OsStr::new("instances.json"));
        let refs = if named_refs {
            Ok(source.to_path_buf())
        } else {
            let what = format!("{}…{}", dialect.prefix(), dialect.suffix());
            only(&what, &|name| dialect.names(name))
        };
        let instances = only("instances.json", &|name| name == "instances.json").or_else(|_| {
            only("instances.json", &|name| {
                name.starts_with("instances") && name.ends_with(".json")
            })
        });
        match (refs, instances) {
            (Ok(refs), Ok(instances)) => Ok(Self { refs, instances }),
            (Err(reason), _) | (_, Err(reason)) => {
                Err(InterchangeError::foreign(dialect.expected(), reason, source))
            }
        }
    }
}

/// The list of expressions in a pickle or a JSON file; the content decides which.
fn read_refs(dialect: Dialect, path: &Path) -> Result<Vec<Value>> {
    let foreign = |reason: String| InterchangeError::foreign(dialect.expected(), reason, path);
    let mut bytes = Vec::new();
    json_tree::open(path)?
        .take(MAX_REFS_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(InterchangeError::io("read the expressions", path))?;
    if bytes.len() as u64 > MAX_REFS_BYTES {
        return Err(foreign(format!("it has more than {} MiB", MAX_REFS_BYTES >> 20)));
    }
    let is_json = bytes.trim_ascii_start().first() == Some(&b'[');
    let list = if is_json {
        json_tree::read_file(path, dialect.expected())?
    } else {
        pickle::read(&bytes).map_err(|error| foreign(error.to_string()))?
    };
    match list {
        Value::Array(refs) => Ok(refs),
        _ => Err(foreign("it is no list of expressions".to_owned())),
    }
}

/// The objects of an exported image: by region, the ids of the annotation and its category.
#[derive(Debug, Default)]
pub(super) struct Objects {
    image_id: i64,
    file_name: String,
    by_region: HashMap<String, (i64, i64)>,
}

/// Whole numbers that name things, each given once.
#[derive(Debug, Default)]
struct Ids {
    used: HashSet<i64>,
    highest: i64,
}

impl Ids {
    /// `wanted`, where it is still free, or the next one.
    fn take(&mut self, wanted: Option<i64>) -> i64 {
        let free = wanted.filter(|id| (0..i64::MAX).contains(id) && !self.used.contains(id));
        let id = free.unwrap_or_else(|| self.highest.saturating_add(1));
        self.used.insert(id);
        self.highest = self.highest.max(id);
        id
    }
}

#[cfg(test)]
mod tests;
