//! What the XML file of an image says about its objects, and which mask each of them is.

use super::element::Element;
use super::{NO_LABEL, OBJECT_KEYS, TOOL};
use crate::dataset::Region;
use crate::geometry::PixelRect;
use crate::interchange::FoundImage;
use crate::mask::{Mask, Rle};
use serde_json::{Map, Value};

/// How much an object's box must share with that of a mask to be the mask's, as IoU.
const SAME_BOX: f64 = 0.5;

/// An object of an XML file.
#[derive(Debug)]
pub(super) struct Object {
    /// Its position among the objects, from 1 on; the number of its pixels in the challenge's own pictures.
    pub(super) number: u32,
    class: String,
    /// Left, top, right, bottom in continuous pixels.
    edges: Option<[f64; 4]>,
    attributes: Map<String, Value>,
    others: Map<String, Value>,
}

/// The objects of an XML file.
#[derive(Debug, Default)]
pub(super) struct Objects(pub(super) Vec<Object>);

impl Objects {
    pub(super) fn of(root: &Element) -> Self {
        let elements = root.children.iter().filter(|child| child.name == "object");
        let mut objects: Vec<Object> = (1..)
            .zip(elements)
            .map(|(number, element)| Object::of(number, element))
            .collect();
        // The development kit counts pixels from 1; a box that starts at 0 shows that the file counts from there.
        let boxes = || objects.iter().filter_map(|object| object.edges);
        let counts_from_one = boxes().all(|[left, top, ..]| left >= 1.0 && top >= 1.0);
        for edges in objects.iter_mut().filter_map(|object| object.edges.as_mut()) {
            if counts_from_one {
                edges[0] -= 1.0;
                edges[1] -= 1.0;
            }
        }
        Self(objects)
    }

    /// Takes the object that a mask of this number and class is: the one of its number if the boxes agree, else the
    /// one with the box most like the mask's.
    pub(super) fn take(&mut self, number: u32, class: &str, rle: &Rle) -> Option<Object> {
        let bounds = rle.bounding_box()?;
        let likeness = |object: &Object| {
            let edges = object.edges.unwrap_or_default();
            let same_class = object.class == class || class.is_empty();
            (same_class, box_iou(bounds, edges), object.number == number)
        };
        let is_like = |object: &Object| likeness(object).1 >= SAME_BOX;
        let by_number = self
            .0
            .iter()
            .position(|object| object.number == number && is_like(object));
        let best = || {
            let candidates = self.0.iter().enumerate().filter(|(_, object)| is_like(object));
            let order = |a: &Object, b: &Object| {
                let (a, b) = (likeness(a), likeness(b));
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
            };
            candidates
                .max_by(|(_, a), (_, b)| order(a, b))
                .map(|(index, _)| index)
        };
        let index = by_number.or_else(best)?;
        Some(self.0.remove(index))
    }
}

fn box_iou(bounds: PixelRect, [left, top, right, bottom]: [f64; 4]) -> f64 {
    let (x0, y0) = (f64::from(bounds.x), f64::from(bounds.y));
    let (x1, y1) = (f64::from(bounds.right()), f64::from(bounds.bottom()));
    let shared = (right.min(x1) - left.max(x0)).max(0.0) * (bottom.min(y1) - top.max(y0)).max(0.0);
    let area = (right - left).max(0.0) * (bottom - top).max(0.0) + bounds.area() as f64 - shared;
    if area > 0.0 { shared / area } else { 0.0 }
}

impl Object {
    fn of(number: u32, element: &Element) -> Self {
        let edge = |name: &str| {
            let text = element.child("bndbox")?.text_of(name)?;
            text.parse::<f64>().ok().filter(|edge| edge.is_finite())
        };
        let edges = || Some([edge("xmin")?, edge("ymin")?, edge("xmax")?, edge("ymax")?]);
        let mut attributes = Map::new();
        for attribute in element.child("attributes").map_or(&[][..], |all| &all.children) {
            if let (Some(name), Some(value)) = (attribute.text_of("name"), attribute.text_of("value")) {
                attributes.insert(name.to_owned(), scalar(value));
            }
        }
        let class = element.text_of("name").unwrap_or_default();
        Self {
            number,
            class: if class == NO_LABEL {
                String::new()
            } else {
                class.to_owned()
            },
            edges: edges(),
            attributes,
            others: element.to_json(&OBJECT_KEYS),
        }
    }

    /// Puts what the object says into the region that it is.
    pub(super) fn fill(self, region: &mut Region) {
        if !self.class.is_empty() {
            region.label = self.class;
        }
        region.attributes = self.attributes;
        if !self.others.is_empty() {
            region.unknown.insert(TOOL.to_owned(), self.others.into());
        }
    }

    /// The pixels of the box; `None` if it has none in an image of this size.
    pub(super) fn rectangle(&self, image: &FoundImage) -> Option<Rle> {
        let [left, top, right, bottom] = self.edges?;
        // Rounding a float to a whole number keeps it within the bounds of that.
        let edge = |value: f64| value.round() as u32;
        let (x, y) = (edge(left), edge(top));
        let rect = PixelRect::new(
            x,
            y,
            edge(right).saturating_sub(x),
            edge(bottom).saturating_sub(y),
        );
        let rect = rect.intersection(PixelRect::covering(image.size))?;
        Mask::from_rects(image.size, &[rect])
            .ok()
            .map(|mask| mask.to_rle())
    }
}

/// A number or truth value where `text` is exactly one, else the text.
fn scalar(text: &str) -> Value {
    let value: Option<Value> = serde_json::from_str(text).ok();
    let value =
        value.filter(|value| (value.is_number() || value.is_boolean()) && value.to_string().as_str() == text);
    value.unwrap_or_else(|| text.into())
}
