//! Pictures that have the number of an object or class at every pixel, in the colours of VOC.

use super::label_map::{LabelMap, VOID, color};
use crate::geometry::ImageSize;
use crate::interchange::id_map::{IdMap, PngKind, Samples};
use crate::interchange::shape::set_runs;
use crate::interchange::{FoundImage, InterchangeError, OutputFolder, Result};
use crate::mask::Rle;
use png::{BitDepth, ColorType};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::ops::Range;
use std::path::Path;

/// Most objects in one picture.
const MAX_OBJECTS: usize = 65_535;

/// A picture being made, every number in its colour; with numbers above 254 a grey one of 16 bits.
#[derive(Debug)]
pub(super) struct Picture {
    size: ImageSize,
    shapes: Vec<(Rle, u32)>,
}

impl Picture {
    pub(super) fn new(size: ImageSize) -> Self {
        Self {
            size,
            shapes: Vec::new(),
        }
    }

    /// Paints `shape`, which may cover others.
    pub(super) fn paint(&mut self, shape: &Rle, number: u32) {
        self.shapes.push((shape.clone(), number));
    }

    /// Writes the picture; whether it has colours.
    pub(super) fn write(&self, out: &OutputFolder, name: &str) -> Result<bool> {
        if self.shapes.iter().any(|&(_, number)| number >= VOID) {
            let mut map = IdMap::new(self.size);
            self.shapes
                .iter()
                .for_each(|(shape, number)| map.paint(shape, *number));
            return map.write(out, name, PngKind::Grey16).map(|()| false);
        }
        let (width, height) = (self.size.width as usize, self.size.height);
        let mut pixels = vec![0_u8; width * height as usize];
        for (shape, number) in self.shapes.iter().filter(|(shape, _)| shape.size() == self.size) {
            for position in set_runs(shape).flatten() {
                let at = (position % height) as usize * width + (position / height) as usize;
                if let Some(pixel) = pixels.get_mut(at) {
                    *pixel = *number as u8;
                }
            }
        }
        let path = out.place(name)?;
        let failed = || InterchangeError::io("write the picture", &path);
        out.write(name, &encode(self.size, &pixels).map_err(failed())?)?;
        Ok(true)
    }
}

fn encode(size: ImageSize, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.width, size.height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette((0..=VOID).flat_map(color).collect::<Vec<u8>>());
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

/// The colours of the palette of the PNG at `path`; none where it has no palette.
fn palette(path: &Path) -> Vec<[u8; 3]> {
    let palette = || {
        let reader = png::Decoder::new(BufReader::new(File::open(path).ok()?))
            .read_info()
            .ok()?;
        Some(reader.info().palette.as_ref()?.as_chunks::<3>().0.to_vec())
    };
    palette().unwrap_or_default()
}

/// A picture that was read: where each number is.
#[derive(Debug)]
pub(super) struct Numbered {
    pub(super) shapes: BTreeMap<u32, Rle>,
    samples: Samples,
    palette: Vec<[u8; 3]>,
}

impl Numbered {
    pub(super) fn read(path: &Path, image: &FoundImage) -> Result<Self, String> {
        let (map, samples) = IdMap::read(path, image.size)?;
        let shapes = map
            .regions(MAX_OBJECTS)
            .ok()
            .ok_or("it has too many colours for a picture of objects")?;
        let palette = if samples == Samples::Palette {
            palette(path)
        } else {
            Vec::new()
        };
        // Colours come as numbers of their own; those of the shared map are turned back into theirs.
        let numbers: BTreeMap<u32, u32> = match samples {
            Samples::Color => (1..=VOID).map(|number| (packed(color(number)), number)).collect(),
            _ => BTreeMap::new(),
        };
        let own = |number: u32| numbers.get(&number).copied().unwrap_or(number);
        let is_void = |number: u32| number == VOID && samples != Samples::Grey16;
        let shapes = shapes
            .into_iter()
            .map(|(number, rle)| (own(number), rle))
            .filter(|&(number, _)| !is_void(number));
        Ok(Self {
            shapes: shapes.collect(),
            samples,
            palette,
        })
    }

    /// The name of the class with this number.
    pub(super) fn name(&self, number: u32, labels: &LabelMap) -> String {
        let rgb = match self.samples {
            Samples::Palette => self.palette.get(number as usize).copied(),
            Samples::Color if number > VOID => {
                let [red, green, blue, _] = number.to_le_bytes();
                Some([red, green, blue])
            }
            Samples::Color => Some(color(number)),
            Samples::Grey8 | Samples::Grey16 => None,
        };
        let by_color = rgb.and_then(|rgb| labels.name_of_color(rgb));
        by_color
            .or_else(|| labels.name(number))
            .map_or_else(|| format!("class {number}"), str::to_owned)
    }
}

/// A colour as [`IdMap`] has it.
fn packed([red, green, blue]: [u8; 3]) -> u32 {
    u32::from_le_bytes([red, green, blue, 0])
}

/// The classes by where their pixels are.
#[derive(Debug)]
pub(super) struct Owners {
    /// Runs of pixels, counted down the columns, with the number of their class; apart and in order.
    runs: Vec<(Range<u32>, u32)>,
}

impl Owners {
    pub(super) fn of(classes: &Numbered) -> Self {
        let runs = classes
            .shapes
            .iter()
            .flat_map(|(&number, rle)| set_runs(rle).map(move |run| (run, number)));
        let mut runs: Vec<_> = runs.collect();
        runs.sort_unstable_by_key(|(run, _)| run.start);
        Self { runs }
    }

    /// The class that has most pixels of `rle`.
    pub(super) fn most(&self, rle: &Rle) -> Option<u32> {
        let mut shares: BTreeMap<u32, usize> = BTreeMap::new();
        for run in set_runs(rle) {
            let first = self.runs.partition_point(|(other, _)| other.end <= run.start);
            let others = self.runs.get(first..).unwrap_or_default();
            for (other, number) in others.iter().take_while(|(other, _)| other.start < run.end) {
                let shared = run.start.max(other.start)..run.end.min(other.end);
                *shares.entry(*number).or_default() += shared.len();
            }
        }
        shares
            .into_iter()
            .max_by_key(|&(_, share)| share)
            .map(|(number, _)| number)
    }
}
