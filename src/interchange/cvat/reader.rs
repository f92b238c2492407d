//! Reading CVAT's XML image by image; no entity is ever expanded, and no element may be of any length.

use super::{CAPTION, EXPECTED, IMAGE_TAG, OCCLUDED, TOOL, caption_text, is_attribute, label_text};
use crate::geometry::{ImagePoint, ImageSize};
use crate::interchange::carried::{self, Assembly, KEY, take_attributes, take_description};
use crate::interchange::json_tree::{self, Tree};
use crate::interchange::{
    FoundImage, Images, Incoming, InterchangeError, Notes, Result, outline, pieces, source_files,
};
use crate::mask::Mask;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde_json::{Map, Number, Value, json};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Most bytes of one tag or text; the run lengths of a mask are one.
const MAX_EVENT_BYTES: u64 = 64 << 20;

/// Deepest nesting; real files have six levels.
const MAX_DEPTH: usize = 32;

/// Most keys of one element.
const MAX_KEYS: usize = 64;

/// Most bytes that the shapes of one image take.
const MAX_IMAGE_BYTES: usize = 512 << 20;

pub(super) fn import(
    source: &Path,
    images: &Images,
    take: &mut Incoming<'_>,
    notes: &mut Notes,
) -> Result<()> {
    for path in source_files::directly_in(source, "xml", EXPECTED)? {
        Reader::new(&path, images, take, notes)?.read()?;
    }
    Ok(())
}

/// A file of which each event may only take so many bytes.
struct Rationed {
    file: BufReader<File>,
    left: u64,
}

impl Read for Rationed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Rationed {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other(format!(
                "one element has more than {} MiB",
                MAX_EVENT_BYTES >> 20
            )));
        }
        self.file.fill_buf()
    }

    fn consume(&mut self, length: usize) {
        self.left = self.left.saturating_sub(length as u64);
        self.file.consume(length);
    }
}

/// A shape or tag as it is written.
#[derive(Debug, Default)]
struct Element {
    name: String,
    keys: HashMap<String, String>,
    /// CVAT's attributes, which are elements inside.
    attributes: Vec<(String, String)>,
}

/// An image being read.
struct Pending {
    /// `None` where its annotations are not taken.
    image: Option<FoundImage>,
    elements: Vec<Element>,
    /// What they take.
    bytes: usize,
}

struct Reader<'a, 't> {
    path: &'a Path,
    images: &'a Images,
    take: &'a mut Incoming<'t>,
    notes: &'a mut Notes,
    xml: quick_xml::Reader<Rationed>,
    /// Names of the open elements, outermost first.
    open: Vec<String>,
    /// Text of the innermost element so far.
    text: String,
    /// The kind of input of each attribute that the labels declare, by name.
    inputs: HashMap<String, String>,
    /// The attribute of which the kind of input comes next.
    declared: String,
    image: Option<Pending>,
    element: Option<Element>,
    attribute: String,
    /// Whether the outermost element was closed.
    is_whole: bool,
}

impl<'a, 't> Reader<'a, 't> {
    fn new(
        path: &'a Path,
        images: &'a Images,
        take: &'a mut Incoming<'t>,
        notes: &'a mut Notes,
    ) -> Result<Self> {
        let file = BufReader::new(json_tree::open(path)?);
        let mut xml = quick_xml::Reader::from_reader(Rationed {
            file,
            left: MAX_EVENT_BYTES,
        });
        xml.config_mut().expand_empty_elements = true;
        Ok(Self {
            path,
            images,
            take,
            notes,
            xml,
            open: Vec::new(),
            text: String::new(),
            inputs: HashMap::new(),
            declared: String::new(),
            image: None,
            element: None,
            attribute: String::new(),
            is_whole: false,
        })
    }

    fn foreign(&self, reason: impl ToString) -> InterchangeError {
        let reason = format!("{}, at byte {}", reason.to_string(), self.xml.buffer_position());
        InterchangeError::foreign(EXPECTED, reason, self.path)
    }

    fn read(mut self) -> Result<()> {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            self.xml.get_mut().left = MAX_EVENT_BYTES;
            let event = match self.xml.read_event_into(&mut buffer) {
                Ok(event) => event,
                Err(error) => return Err(self.foreign(error)),
            };
            match event {
                Event::Start(tag) => self.start(&tag)?,
                Event::End(_) => self.end()?,
                Event::Text(text) => {
                    let text = text.decode().map_err(|error| self.foreign(error))?;
                    self.push_text(&text);
                }
                Event::CData(text) => {
                    let text = text.decode().map_err(|error| self.foreign(error))?;
                    self.push_text(&text);
                }
                Event::GeneralRef(reference) => {
                    let character = self.resolved(&reference)?;
                    self.push_text(character.encode_utf8(&mut [0; 4]));
                }
                Event::DocType(_) => {
                    return Err(self.foreign("it has a document type, which CVAT does not write; remove it"));
                }
                Event::Eof if self.is_whole => return Ok(()),
                Event::Eof => return Err(self.foreign("it ends too early")),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    fn push_text(&mut self, text: &str) {
        // Only these elements say anything by their text.
        let is_wanted = matches!(
            self.open.last().map(String::as_str),
            Some("attribute" | "name" | "input_type")
        );
        if is_wanted && (self.text.len() + text.len()) as u64 <= MAX_EVENT_BYTES {
            self.text.push_str(text);
        }
    }

    fn resolved(&self, reference: &BytesRef<'_>) -> Result<char> {
        if let Some(character) = reference
            .resolve_char_ref()
            .map_err(|error| self.foreign(error))?
        {
            return Ok(character);
        }
        match &reference[..] {
            b"lt" => Ok('<'),
            b"gt" => Ok('>'),
            b"amp" => Ok('&'),
            b"quot" => Ok('"'),
            b"apos" => Ok('\''),
            _ => Err(self.foreign("it uses an entity that is not defined in XML")),
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<()> {
        let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
        if self.open.is_empty() && name != "annotations" {
            return Err(self.foreign(format_args!(
                "its outermost element is <{name}> and not <annotations>"
            )));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(self.foreign("its elements are nested too deep"));
        }
        self.text.clear();
        match (self.open.len(), name.as_str()) {
            (1, "image") => {
                let keys = self.keys(tag)?;
                self.image = Some(self.pending(&keys)?);
            }
            (1, "track") => {
                self.notes.lost(
                    "tracks of videos were left out",
                    "",
                    self.keys(tag)?.get("id").map_or("", |id| id),
                );
            }
            (2, _) if self.image.is_some() => {
                let keys = self.keys(tag)?;
                self.keep_bytes(keys.iter().map(|(key, value)| key.len() + value.len()).sum())?;
                self.element = Some(Element {
                    name: name.clone(),
                    keys,
                    attributes: Vec::new(),
                });
            }
            (3, "attribute") => {
                self.attribute = self.keys(tag)?.remove("name").unwrap_or_default();
            }
            _ => {}
        }
        self.open.push(name);
        Ok(())
    }

    fn keys(&self, tag: &BytesStart<'_>) -> Result<HashMap<String, String>> {
        let mut keys = HashMap::new();
        // The check for keys that come twice takes quadratic time.
        for attribute in tag.attributes().with_checks(false) {
            if keys.len() == MAX_KEYS {
                return Err(self.foreign(format_args!("an element has more than {MAX_KEYS} keys")));
            }
            let attribute = attribute.map_err(|error| self.foreign(error))?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            let value = value.map_err(|error| self.foreign(error))?;
            keys.insert(
                String::from_utf8_lossy(attribute.key.as_ref()).into_owned(),
                value.into_owned(),
            );
        }
        Ok(keys)
    }

    fn pending(&mut self, keys: &HashMap<String, String>) -> Result<Pending> {
        let name = keys.get("name").map_or("", String::as_str);
        let image = self.images.find(name)?;
        let image = match image {
            Some(image) => {
                let side = |key: &str, actual: u32| {
                    keys.get(key)
                        .and_then(|text| text.parse().ok())
                        .unwrap_or(actual.into())
                };
                let (width, height) = (side("width", image.size.width), side("height", image.size.height));
                carried::is_of_size(&image, width, height, self.notes).then_some(image)
            }
            None => {
                self.notes.lost("the image is not in the folder", name, "");
                None
            }
        };
        Ok(Pending {
            image,
            elements: Vec::new(),
            bytes: 0,
        })
    }

    /// Counts what is kept of the present image, with what the collections take besides the texts.
    fn keep_bytes(&mut self, bytes: usize) -> Result<()> {
        const BESIDES: usize = 256;
        let Some(pending) = &mut self.image else {
            return Ok(());
        };
        pending.bytes = pending.bytes.saturating_add(bytes).saturating_add(BESIDES);
        if pending.bytes <= MAX_IMAGE_BYTES {
            return Ok(());
        }
        let most = MAX_IMAGE_BYTES >> 20;
        Err(self.foreign(format_args!("the shapes of one image take more than {most} MiB")))
    }

    fn end(&mut self) -> Result<()> {
        let name = self.open.pop().unwrap_or_default();
        let parent = self.open.last().map_or("", String::as_str);
        match (self.open.len(), name.as_str()) {
            (0, _) => self.is_whole = true,
            (1, "image") => {
                if let Some(Pending {
                    image: Some(image),
                    elements,
                    ..
                }) = self.image.take()
                {
                    let arrived = assembled(image, &elements, &self.inputs, self.notes)?;
                    (self.take)(arrived.finish())?;
                }
            }
            (2, _) if self.image.is_some() => {
                let (Some(pending), Some(element)) = (&mut self.image, self.element.take()) else {
                    return Ok(());
                };
                if pending.image.is_some() {
                    pending.elements.push(element);
                }
            }
            (3, "attribute") => {
                let text = std::mem::take(&mut self.text);
                self.keep_bytes(self.attribute.len() + text.len())?;
                if let Some(element) = &mut self.element {
                    element
                        .attributes
                        .push((std::mem::take(&mut self.attribute), text));
                }
            }
            (_, "name") if parent == "attribute" => self.declared = std::mem::take(&mut self.text),
            (_, "input_type") if parent == "attribute" => {
                let name = std::mem::take(&mut self.declared);
                self.inputs.insert(name, std::mem::take(&mut self.text));
            }
            _ => {}
        }
        self.text.clear();
        Ok(())
    }
}

/// The annotations of `image` in `elements`.
fn assembled(
    image: FoundImage,
    elements: &[Element],
    inputs: &HashMap<String, String>,
    notes: &mut Notes,
) -> Result<Assembly> {
    let (tags, shapes): (Vec<_>, Vec<_>) = elements.iter().partition(|element| element.name == "tag");
    let (ours, tags): (Vec<_>, Vec<_>) = tags.into_iter().partition(|tag| tag.key("label") == IMAGE_TAG);
    let carried = ours.first().and_then(|tag| tag.carried());
    let mut assembly = Assembly::new(image, carried.as_ref(), notes);
    let tags: Vec<Value> = tags.into_iter().map(Element::as_tag).collect();
    if tags.is_empty() {
        assembly.document.unknown.shift_remove(TOOL);
    } else {
        assembly
            .document
            .unknown
            .insert(TOOL.to_owned(), json!({"tags": tags}));
    }
    let mut shapes = shapes;
    shapes.sort_by_key(|shape| shape.key("z_order").parse::<i64>().unwrap_or(0));
    let thing = |shape: &'_ &Element| shape.group().map(|group| (shape.key("label").to_owned(), group));
    for group in pieces::grouped(&shapes, thing) {
        let size = assembly.image().size;
        let masks = group.iter().map(|shape| (shape.key("label"), shape.mask(size)));
        let (Some(mask), Some(first)) = (pieces::joined(assembly.image(), masks, notes), group.first())
        else {
            continue;
        };
        let carried = group.iter().find_map(|shape| shape.carried());
        let mut region = assembly.region(carried.as_ref(), TOOL, mask.to_rle(), notes);
        if first.key("label") != label_text(&region.label) {
            first.key("label").clone_into(&mut region.label);
        }
        let attribute = |name: &str| first.attributes.iter().find(|(other, _)| other == name);
        if let Some((_, caption)) = attribute(CAPTION)
            && *caption != caption_text(&region)
        {
            take_description(&mut region, caption);
        }
        let mut attributes = first.attributes(inputs);
        if first.key(OCCLUDED) == "1" {
            attributes.push((OCCLUDED.to_owned(), true.into()));
        }
        let is_occlusion = |name: &str, value: &Value| name == OCCLUDED && *value == Value::Bool(true);
        take_attributes(&mut region, &attributes, |name, value| {
            is_attribute(name, value) || is_occlusion(name, value)
        });
        let mut kept = Map::new();
        if let Some(group) = first.group() {
            kept.insert("group_id".to_owned(), group.into());
        }
        if !matches!(first.key("source"), "" | "manual") {
            kept.insert("source".to_owned(), first.key("source").into());
        }
        if kept.is_empty() {
            region.unknown.shift_remove(TOOL);
        } else {
            region.unknown.insert(TOOL.to_owned(), Value::Object(kept));
        }
        assembly.push(region);
    }
    Ok(assembly)
}

impl Element {
    fn key(&self, name: &str) -> &str {
        self.keys.get(name).map_or("", String::as_str)
    }

    /// Zero stands for none.
    fn group(&self) -> Option<u64> {
        self.key("group_id").parse().ok().filter(|&group| group > 0)
    }

    /// What the file carries of ours; `null` where it is damaged, which nothing can be read from either.
    fn carried(&self) -> Option<Value> {
        let (_, text) = self.attributes.iter().find(|(name, _)| name == KEY)?;
        Some(serde_json::from_str::<Tree>(text).map_or(Value::Bool(false), |tree| tree.0))
    }

    /// The attributes that are not ours, in the types that the labels declare.
    fn attributes(&self, inputs: &HashMap<String, String>) -> Vec<(String, Value)> {
        let typed = |name: &str, text: &str| match inputs.get(name).map(String::as_str) {
            Some("checkbox") => text.parse().map_or_else(|_| text.into(), Value::Bool),
            Some("number") => number(text).map_or_else(|| text.into(), Value::Number),
            _ => Value::from(text),
        };
        self.attributes
            .iter()
            .filter(|(name, _)| name != CAPTION && name != KEY)
            .map(|(name, text)| (name.clone(), typed(name, text)))
            .collect()
    }

    /// With the texts as they stand, since their types are lost where the labels are.
    fn as_tag(&self) -> Value {
        let attributes: Map<String, Value> = self
            .attributes
            .iter()
            .map(|(name, text)| (name.clone(), text.as_str().into()))
            .collect();
        json!({"label": self.key("label"), "attributes": attributes})
    }

    fn number(&self, name: &str) -> Result<f64, &'static str> {
        let number = self
            .key(name)
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite());
        number.ok_or("shapes without proper coordinates were left out")
    }

    /// The pixels of the shape, or why there are none, as a sentence for [`Notes`].
    fn mask(&self, size: ImageSize) -> Result<Mask, &'static str> {
        let turn = if self.keys.contains_key("rotation") {
            self.number("rotation")?
        } else {
            0.0
        };
        let line = match self.name.as_str() {
            "mask" => {
                return self
                    .run_mask(size)
                    .ok_or("masks whose runs do not fill their box were left out");
            }
            "box" => {
                let [left, top, right, bottom] = [
                    self.number("xtl")?,
                    self.number("ytl")?,
                    self.number("xbr")?,
                    self.number("ybr")?,
                ];
                let centre = [(left + right) / 2.0, (top + bottom) / 2.0];
                outline::turned_box([left, top, right - left, bottom - top], turn, centre)
            }
            "ellipse" => {
                let centre = [self.number("cx")?, self.number("cy")?];
                outline::ellipse(centre, [self.number("rx")?, self.number("ry")?], turn)
            }
            "polygon" => {
                points(self.key("points")).ok_or("shapes without proper coordinates were left out")?
            }
            "points" | "polyline" => return Err("points and lines, which have no area, were left out"),
            "cuboid" | "skeleton" => return Err("cuboids and skeletons were left out"),
            _ => return Err("shapes of an unknown type were left out"),
        };
        pieces::filled(size, line)
    }

    /// The mask of runs, which go along the rows of its box; `None` where they do not fill it exactly or it does not lie
    /// in the image.
    fn run_mask(&self, size: ImageSize) -> Option<Mask> {
        let whole = |name: &str| self.key(name).trim().parse::<u32>().ok();
        let (left, top, width, height) = (whole("left")?, whole("top")?, whole("width")?, whole("height")?);
        let is_inside = left.checked_add(width)? <= size.width && top.checked_add(height)? <= size.height;
        let area = u64::from(width) * u64::from(height);
        if !is_inside || area == 0 {
            return None;
        }
        let mut mask = Mask::empty(size).ok()?;
        let (mut position, mut is_set) = (0_u64, false);
        for count in self.key("rle").split(',') {
            let end = position
                .checked_add(count.trim().parse().ok()?)
                .filter(|&end| end <= area)?;
            while is_set && position < end {
                // Inside the box, so both fit.
                let (y, x) = (
                    (position / u64::from(width)) as u32,
                    (position % u64::from(width)) as u32,
                );
                let pixels = u64::from(width - x).min(end - position);
                mask.fill_run(top + y, left + x..left + x + pixels as u32, true);
                position += pixels;
            }
            position = end;
            is_set = !is_set;
        }
        (position == area).then_some(mask)
    }
}

fn points(text: &str) -> Option<Vec<ImagePoint>> {
    let point = |pair: &str| {
        let (x, y) = pair.split_once(',')?;
        Some(ImagePoint::new(x.trim().parse().ok()?, y.trim().parse().ok()?))
    };
    text.split(';').map(point).collect()
}

fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    text.parse::<i64>()
        .ok()
        .map(Number::from)
        .or_else(|| Number::from_f64(text.parse().ok()?))
}
