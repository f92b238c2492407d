//! The classes of VOC with their numbers and colours: the colour map that every tool shares, and `labelmap.txt`.

use crate::interchange::Result;
use std::collections::HashMap;
use std::path::Path;

/// The number of pixels that belong to nobody: borders of objects, and what nobody could tell.
pub(super) const VOID: u32 = 255;

/// The name of the class 0.
const BACKGROUND: &str = "background";

/// Largest `labelmap.txt`.
const MAX_BYTES: u64 = 4 << 20;

/// The classes of the PASCAL challenges, from number 1 on.
const PASCAL: [&str; 20] = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];

/// The colour of a number: its bits in turn in red, green and blue, highest first.
pub(super) fn color(number: u32) -> [u8; 3] {
    let bit = |at: u32| (number >> at & 1) as u8;
    let mut color = [0; 3];
    for level in 0..8 {
        for (channel, value) in (0..).zip(&mut color) {
            *value |= bit(3 * level + channel) << (7 - level);
        }
    }
    color
}

/// The classes by number and colour.
#[derive(Debug)]
pub(super) struct LabelMap {
    /// From number 1 on.
    names: Vec<String>,
    by_color: HashMap<[u8; 3], String>,
    numbers: HashMap<String, u32>,
}

impl LabelMap {
    /// No classes yet.
    pub(super) fn new() -> Self {
        Self {
            names: Vec::new(),
            by_color: HashMap::new(),
            numbers: HashMap::new(),
        }
    }

    /// The classes of `labelmap.txt` in `folder`; without such a file those of PASCAL.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("labelmap.txt");
        let mut map = Self::new();
        if !path.is_file() {
            for name in PASCAL {
                map.number(name);
            }
            return Ok(map);
        }
        let text = super::read_text(&path, MAX_BYTES, "a VOC label map")?;
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            // `name:red,green,blue:parts:actions`, of which the name may hold colons.
            let mut fields = line.rsplitn(4, ':').collect::<Vec<_>>().into_iter().rev();
            let (Some(name), rgb) = (fields.next(), fields.next()) else {
                continue;
            };
            let rgb: Vec<u8> = rgb
                .unwrap_or_default()
                .split(',')
                .filter_map(|part| part.trim().parse().ok())
                .collect();
            let is_background = name == BACKGROUND;
            let number = if is_background { 0 } else { map.number(name) };
            if let (&[red, green, blue], false) = (rgb.as_slice(), is_background) {
                map.by_color.remove(&color(number));
                map.by_color.insert([red, green, blue], name.to_owned());
            }
        }
        Ok(map)
    }

    /// The number of the class called `name`; a new one if there is none.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let mut number = self.names.len() as u32 + 1;
        if number == VOID {
            self.names.push(String::new());
            number += 1;
        }
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        self.by_color
            .entry(color(number))
            .or_insert_with(|| name.to_owned());
        number
    }

    /// The class with this number.
    pub(super) fn name(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number.checked_sub(1)?).ok()?;
        self.names
            .get(index)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    }

    /// The class with this colour.
    pub(super) fn name_of_color(&self, rgb: [u8; 3]) -> Option<&str> {
        self.by_color.get(&rgb).map(String::as_str)
    }

    /// `labelmap.txt`.
    pub(super) fn to_text(&self) -> String {
        let mut text = String::from("# label:color_rgb:parts:actions\n");
        let names = std::iter::once(BACKGROUND).chain(self.names.iter().map(String::as_str));
        for (number, name) in (0..).zip(names).filter(|(_, name)| !name.is_empty()) {
            let [red, green, blue] = color(number);
            text.push_str(&format!("{name}:{red},{green},{blue}::\n"));
        }
        text
    }
}

/// A class name that `labelmap.txt` can hold.
pub(super) fn plain(name: &str) -> String {
    name.replace([':', '\n', '\r'], " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_challenge() {
        let colors = [
            (0, [0, 0, 0]),
            (1, [128, 0, 0]),
            (2, [0, 128, 0]),
            (15, [192, 128, 128]),
            (20, [0, 64, 128]),
            (255, [224, 224, 192]),
        ];
        for (number, rgb) in colors {
            assert_eq!(color(number), rgb, "{number}");
        }
    }

    #[test]
    fn the_label_map_is_read_as_written_and_skips_the_void() {
        let folder = tempfile::tempdir().unwrap();
        let mut map = LabelMap::new();
        for number in 1..=300 {
            map.number(&format!("class {number}"));
        }
        assert_eq!((map.number("class 254"), map.number("class 255")), (254, 256));
        std::fs::write(folder.path().join("labelmap.txt"), map.to_text()).unwrap();
        let read = LabelMap::read(folder.path()).unwrap();
        assert_eq!((read.name(VOID), read.name(256)), (None, Some("class 255")));
        assert_eq!(read.to_text(), map.to_text());
        assert_eq!(read.name_of_color(color(7)), Some("class 7"));
        std::fs::write(
            folder.path().join("labelmap.txt"),
            "# x\nbackground:0,0,0::\nred cat:255,0,0::\n:::\nbad\n",
        )
        .unwrap();
        let read = LabelMap::read(folder.path()).unwrap();
        assert_eq!(
            (read.name_of_color([255, 0, 0]), read.name(1)),
            (Some("red cat"), Some("red cat"))
        );
        std::fs::remove_file(folder.path().join("labelmap.txt")).unwrap();
        assert_eq!(LabelMap::read(folder.path()).unwrap().name(8), Some("cat"));
    }
}
