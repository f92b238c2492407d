//! Small XML files as trees, and as JSON for sidecars: what VOC annotations need of XML, which is elements with text.

use crate::interchange::xml_text::escaped;
use quick_xml::events::Event;
use serde_json::{Map, Value};

/// Depth to which elements may lie in each other.
const MAX_DEPTH: usize = 32;

/// Most elements of a file.
const MAX_ELEMENTS: usize = 1 << 20;

/// An element without attributes, which VOC does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    /// Its own text, without space around it.
    pub(super) text: String,
    pub(super) children: Vec<Self>,
}

impl Element {
    /// An element with only text in it.
    pub(super) fn leaf(name: &str, text: impl ToString) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_string(),
            children: Vec::new(),
        }
    }

    /// An element with only elements in it.
    pub(super) fn branch(name: &str, children: Vec<Self>) -> Self {
        Self {
            name: name.to_owned(),
            text: String::new(),
            children,
        }
    }

    /// The outermost element of an XML file.
    ///
    /// # Errors
    /// What is wrong with the file. A document type is refused, as entities could be defined in it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = quick_xml::Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut open: Vec<Self> = Vec::new();
        let mut count = 0;
        loop {
            let event = reader.read_event().map_err(|error| error.to_string())?;
            let at = reader.buffer_position();
            match event {
                Event::Start(tag) => {
                    count += 1;
                    if count > MAX_ELEMENTS || open.len() == MAX_DEPTH {
                        return Err(format!(
                            "it has too many elements, or nested too deep, at byte {at}"
                        ));
                    }
                    let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
                    open.push(Self::leaf(&name, ""));
                }
                Event::End(_) => {
                    let mut closed = open.pop().ok_or("it closes more elements than it opens")?;
                    closed.text = closed.text.trim().to_owned();
                    match open.last_mut() {
                        Some(parent) => parent.children.push(closed),
                        None => return Ok(closed),
                    }
                }
                Event::Text(text) => push(&mut open, &text.decode().map_err(|error| error.to_string())?),
                Event::CData(text) => push(&mut open, &text.decode().map_err(|error| error.to_string())?),
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                        Some(character) => character,
                        None => match &reference[..] {
                            b"lt" => '<',
                            b"gt" => '>',
                            b"amp" => '&',
                            b"quot" => '"',
                            b"apos" => '\'',
                            _ => {
                                return Err(format!(
                                    "it uses an entity that XML does not define, at byte {at}"
                                ));
                            }
                        },
                    };
                    push(&mut open, character.encode_utf8(&mut [0; 4]));
                }
                Event::DocType(_) => {
                    return Err("it has a document type, which VOC files have not; remove it".to_owned());
                }
                Event::Eof => return Err("it ends too early".to_owned()),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }

    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of this name.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// Writes the element with its children indented by `depth` steps.
    pub(super) fn write(&self, depth: usize, xml: &mut String) {
        let indent = "  ".repeat(depth);
        let name = &self.name;
        if self.children.is_empty() {
            xml.push_str(&format!("{indent}<{name}>{}</{name}>\n", escaped(&self.text)));
            return;
        }
        xml.push_str(&format!("{indent}<{name}>\n"));
        for child in &self.children {
            child.write(depth + 1, xml);
        }
        xml.push_str(&format!("{indent}</{name}>\n"));
    }

    /// The children by name as JSON, less those called `known`: a text, or an object; several of one name are a list.
    pub(super) fn to_json(&self, known: &[&str]) -> Map<String, Value> {
        let mut map: Map<String, Value> = Map::new();
        for child in self
            .children
            .iter()
            .filter(|child| !known.contains(&child.name.as_str()))
        {
            let value = if child.children.is_empty() {
                Value::from(child.text.as_str())
            } else {
                Value::Object(child.to_json(&[]))
            };
            match map.get_mut(&child.name) {
                Some(Value::Array(values)) => values.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
                None => {
                    map.insert(child.name.clone(), value);
                }
            }
        }
        map
    }

    /// The elements that [`Element::to_json`] made an object of; what cannot be one is left out.
    pub(super) fn from_json(map: &Map<String, Value>, depth: usize) -> Vec<Self> {
        let mut elements = Vec::new();
        for (name, value) in map.iter().filter(|(name, _)| is_name(name) && depth < MAX_DEPTH) {
            let values = match value {
                Value::Array(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            elements.extend(values.iter().filter_map(|value| match value {
                Value::String(text) => Some(Self::leaf(name, text)),
                Value::Object(map) => Some(Self::branch(name, Self::from_json(map, depth + 1))),
                Value::Null | Value::Array(_) => None,
                number => Some(Self::leaf(name, number)),
            }));
        }
        elements
    }
}

fn push(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// Whether an element may have this name.
fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_')
        && characters.all(|character| character.is_alphanumeric() || matches!(character, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_come_back_from_xml_and_json() {
        let xml = "<?xml version=\"1.0\"?>\n<!-- x --><a>\n  <b> 1 &lt; &#228; <![CDATA[<&>]]></b>\n  <c/>\n\
                   <d><e>1</e><e>2</e><f><g>x</g></f></d></a>";
        let element = Element::parse(xml).unwrap();
        assert_eq!(element.text_of("b"), Some("1 < ä <&>"));
        let mut written = String::new();
        element.write(0, &mut written);
        assert_eq!(Element::parse(&written).unwrap(), element);
        let json = element.to_json(&["c"]);
        assert_eq!(
            Value::Object(json.clone()),
            json!({"b": "1 < ä <&>", "d": {"e": ["1", "2"], "f": {"g": "x"}}})
        );
        let back = Element::branch("a", Element::from_json(&json, 0));
        assert_eq!(
            back.children,
            [element.children[0].clone(), element.children[2].clone()]
        );
        let odd = json!({"<x>": "a", "": "b", "n": 1.5, "l": [[], null], "1": ""});
        let odd = Element::from_json(odd.as_object().unwrap(), 0);
        assert_eq!(odd, [Element::leaf("n", "1.5")]);
    }

    #[test]
    fn hostile_xml_is_refused() {
        let bomb = "<!DOCTYPE a [<!ENTITY b \"bb\"><!ENTITY c \"&b;&b;\">]><a>&c;</a>";
        for (xml, reason) in [
            ("", "too early"),
            ("<a><b></a>", "b"),
            ("<a>", "too early"),
            ("text", "too early"),
            ("</a>", "a"),
            (bomb, "document type"),
            ("<a>&b;</a>", "entity"),
            ("<a>&#x110000;</a>", ""),
            (&"<a>".repeat(100_000), "too deep"),
        ] {
            let error = Element::parse(xml).unwrap_err();
            assert!(error.contains(reason), "{xml:.40}: {error}");
        }
    }
}
