//! Pictures whose values are numbers of regions: PNG samples as they are in the file, never as colours to look at.

use super::shape::set_runs;
use super::{InterchangeError, OutputFolder, Result};
use crate::geometry::ImageSize;
use crate::mask::Rle;
use png::{BitDepth, ColorType, Transformations};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

/// The number of pixels that belong to no region.
pub(super) const BACKGROUND: u32 = 0;

/// Most bytes that a row may take beside the picture itself while a PNG is read.
const MAX_DECODER_BYTES: usize = 256 << 20;

/// One number per pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IdMap {
    size: ImageSize,
    /// Row by row.
    ids: Vec<u32>,
}

/// What the numbers of a file were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Samples {
    /// Indices of a palette.
    Palette,
    /// Grey values of up to 8 bits.
    Grey8,
    /// Grey values of 16 bits.
    Grey16,
    /// Colours, as red + 256 green + 65536 blue; black where they are transparent.
    Color,
}

/// An encoding for PNG files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PngKind {
    /// 16-bit grey; numbers above 65535 do not fit.
    Grey16,
    /// 8-bit RGB: red + 256 green + 65536 blue, as COCO panoptic has it.
    Rgb8,
}

impl IdMap {
    /// A map without regions.
    pub(super) fn new(size: ImageSize) -> Self {
        Self {
            size,
            ids: vec![BACKGROUND; size.width as usize * size.height as usize],
        }
    }

    /// Gives the pixels of `region` the number `id`, whatever they had before.
    ///
    /// A region of another size is left out.
    pub(super) fn paint(&mut self, region: &Rle, id: u32) {
        if region.size() != self.size {
            return;
        }
        let (width, height) = (self.size.width as usize, self.size.height);
        for run in set_runs(region) {
            for position in run {
                let (x, y) = ((position / height) as usize, (position % height) as usize);
                if let Some(slot) = self.ids.get_mut(y * width + x) {
                    *slot = id;
                }
            }
        }
    }

    /// The regions by their numbers, without the background.
    ///
    /// # Errors
    /// If there are more than `most` of them.
    pub(super) fn regions(&self, most: usize) -> Result<BTreeMap<u32, Rle>, TooMany> {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        // For each number its counts so far and where they end.
        let mut regions: BTreeMap<u32, (Vec<u32>, u32)> = BTreeMap::new();
        let mut run = (BACKGROUND, 0_u32..0);
        for x in 0..width {
            let column = self
                .ids
                .get(x..)
                .unwrap_or_default()
                .iter()
                .step_by(width)
                .take(height);
            for &id in column {
                if id == run.0 {
                    run.1.end += 1;
                    continue;
                }
                let next = run.1.end;
                close(&mut regions, run);
                if regions.len() > most {
                    return Err(TooMany);
                }
                run = (id, next..next + 1);
            }
        }
        close(&mut regions, run);
        if regions.len() > most {
            return Err(TooMany);
        }
        let area = self.size.area() as u32;
        let rle = |(id, (mut counts, end)): (u32, (Vec<u32>, u32))| {
            counts.push(area - end);
            Some((id, Rle::from_counts(self.size, counts).ok()?))
        };
        Ok(regions.into_iter().filter_map(rle).collect())
    }

    /// Writes the map as a PNG of this relative name.
    pub(super) fn write(&self, out: &OutputFolder, name: &str, kind: PngKind) -> Result<()> {
        let path = out.place(name)?;
        let failed = || InterchangeError::io("write the picture", &path);
        out.write(name, &self.to_png(kind).map_err(failed())?)
    }

    fn to_png(&self, kind: PngKind) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.size.width, self.size.height);
        let samples: Vec<u8> = match kind {
            PngKind::Grey16 => {
                encoder.set_color(ColorType::Grayscale);
                encoder.set_depth(BitDepth::Sixteen);
                let sample = |&id: &u32| u16::try_from(id).unwrap_or(u16::MAX).to_be_bytes();
                self.ids.iter().flat_map(sample).collect()
            }
            PngKind::Rgb8 => {
                encoder.set_color(ColorType::Rgb);
                encoder.set_depth(BitDepth::Eight);
                let sample = |id: &u32| {
                    let [red, green, blue, _] = id.to_le_bytes();
                    [red, green, blue]
                };
                self.ids.iter().flat_map(sample).collect()
            }
        };
        // Large areas of one value compress best as they are.
        encoder.set_filter(png::Filter::NoFilter);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&samples)?;
        writer.finish()?;
        Ok(bytes)
    }

    /// Reads the samples of the PNG at `path`, which must have `size`.
    ///
    /// # Errors
    /// Why it is no such PNG, as a sentence.
    pub(super) fn read(path: &Path, size: ImageSize) -> Result<(Self, Samples), String> {
        let file = File::open(path).map_err(|error| error.to_string())?;
        if !file.metadata().map_err(|error| error.to_string())?.is_file() {
            return Err("this is not an ordinary file".to_owned());
        }
        let limits = png::Limits {
            bytes: MAX_DECODER_BYTES,
        };
        let mut decoder = png::Decoder::new_with_limits(BufReader::new(file), limits);
        decoder.set_transformations(Transformations::IDENTITY);
        decoder.set_ignore_text_chunk(true);
        decoder.set_ignore_iccp_chunk(true);
        let header = decoder.read_header_info().map_err(|error| error.to_string())?;
        let found = ImageSize::new(header.width, header.height);
        if found != size {
            return Err(format!("it has {found} pixels and its image {size}"));
        }
        let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
        let length = reader.output_buffer_size().ok_or("it is too large")?;
        let mut bytes = vec![0; length];
        let frame = reader.next_frame(&mut bytes).map_err(|error| error.to_string())?;
        let rows = bytes
            .chunks_exact(frame.line_size.max(1))
            .take(size.height as usize);
        let width = size.width as usize;
        let mut ids = Vec::with_capacity(bytes.len().min(width * size.height as usize));
        let depth = frame.bit_depth as u8;
        for row in rows {
            match (frame.color_type, depth) {
                (ColorType::Grayscale | ColorType::Indexed, ..8) => {
                    ids.extend(packed(row, depth).take(width))
                }
                (ColorType::Grayscale | ColorType::Indexed, 8) => {
                    ids.extend(row.iter().map(|&id| u32::from(id)))
                }
                (ColorType::Grayscale, _) => {
                    let (samples, _) = row.as_chunks::<2>();
                    ids.extend(
                        samples
                            .iter()
                            .map(|&sample| u32::from(u16::from_be_bytes(sample))),
                    );
                }
                (color, _) => {
                    let bytes_per_sample = usize::from(depth / 8);
                    ids.extend(row.chunks_exact(color.samples() * bytes_per_sample).map(|pixel| {
                        // The high byte of every sample.
                        color_id(color, |channel| {
                            pixel.get(channel * bytes_per_sample).copied().unwrap_or(0)
                        })
                    }));
                }
            }
        }
        if ids.len() != width * size.height as usize {
            return Err("it ends too early".to_owned());
        }
        let samples = match (frame.color_type, depth) {
            (ColorType::Indexed, _) => Samples::Palette,
            (ColorType::Grayscale, 16) => Samples::Grey16,
            (ColorType::Grayscale, _) => Samples::Grey8,
            _ => Samples::Color,
        };
        Ok((Self { size, ids }, samples))
    }
}

/// There are more regions than anybody draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// Adds a finished run to the counts of its number.
fn close(regions: &mut BTreeMap<u32, (Vec<u32>, u32)>, (id, run): (u32, std::ops::Range<u32>)) {
    if id != BACKGROUND && !run.is_empty() {
        let (counts, end) = regions.entry(id).or_default();
        counts.extend([run.start - *end, run.len() as u32]);
        *end = run.end;
    }
}

/// The samples of less than 8 bits in `row`, the first in the highest bits.
fn packed(row: &[u8], depth: u8) -> impl Iterator<Item = u32> {
    let per_byte = 8 / depth;
    row.iter().flat_map(move |&byte| {
        (1..=per_byte).map(move |sample| {
            let shifted = u32::from(byte) >> (8 - sample * depth);
            shifted & ((1 << depth) - 1)
        })
    })
}

/// The number of a colour.
fn color_id(color: ColorType, channel: impl Fn(usize) -> u8) -> u32 {
    let rgb = match color {
        ColorType::Rgb | ColorType::Rgba => [channel(0), channel(1), channel(2)],
        _ => [channel(0); 3],
    };
    let alpha = match color {
        ColorType::Rgba => channel(3),
        ColorType::GrayscaleAlpha => channel(1),
        _ => u8::MAX,
    };
    if alpha == 0 {
        return BACKGROUND;
    }
    let [red, green, blue] = rgb;
    u32::from_le_bytes([red, green, blue, 0])
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Sample, region};
    use super::*;

    fn encoded(color: ColorType, depth: BitDepth, width: u32, height: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![7; 3 * 16]);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    #[test]
    fn samples_are_read_as_they_are_in_the_file() {
        use BitDepth::{Eight, Four, One, Sixteen, Two};
        use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
        let sample = Sample::new();
        for (color, depth, data, ids, samples) in [
            (Grayscale, One, &[0b0110_0000][..], [0, 1, 1], Samples::Grey8),
            (Grayscale, Two, &[0b0110_1100], [1, 2, 3], Samples::Grey8),
            (Grayscale, Eight, &[0, 255, 7], [0, 255, 7], Samples::Grey8),
            (
                Grayscale,
                Sixteen,
                &[0, 1, 1, 0, 255, 255],
                [1, 256, 65535],
                Samples::Grey16,
            ),
            (Indexed, Four, &[0x0f, 0x20], [0, 15, 2], Samples::Palette),
            (Indexed, Eight, &[1, 0, 15], [1, 0, 15], Samples::Palette),
            (
                Rgb,
                Eight,
                &[1, 2, 3, 0, 0, 0, 255, 0, 0],
                [0x03_0201, 0, 255],
                Samples::Color,
            ),
            (
                Rgba,
                Eight,
                &[1, 0, 0, 255, 9, 9, 9, 0, 0, 0, 1, 1],
                [1, 0, 0x01_0000],
                Samples::Color,
            ),
            (
                GrayscaleAlpha,
                Eight,
                &[5, 255, 5, 0, 0, 255],
                [0x05_0505, 0, 0],
                Samples::Color,
            ),
        ] {
            let path = sample.write("a.png", encoded(color, depth, 3, 1, data));
            let (map, kind) = IdMap::read(&path, ImageSize::new(3, 1)).unwrap();
            assert_eq!(
                (map.ids.as_slice(), kind),
                (&ids[..], samples),
                "{color:?} {depth:?}"
            );
        }
    }

    #[test]
    fn what_is_painted_comes_back_from_both_kinds() {
        let sample = Sample::new();
        let size = ImageSize::new(9, 7);
        let mut map = IdMap::new(size);
        let shapes: Vec<Rle> = (0..4).map(|kind| region("r", "", 9, 7, kind).mask.rle).collect();
        for (shape, id) in shapes.iter().zip([1, 300, 65535, 4]) {
            map.paint(shape, id);
        }
        map.paint(&region("r", "", 7, 9, 0).mask.rle, 5);
        let regions = map.regions(4).unwrap();
        assert_eq!(regions.keys().copied().collect::<Vec<_>>(), [1, 4, 300, 65535]);
        assert_eq!(regions[&4], shapes[3], "the last one covers the others");
        assert_eq!(map.regions(3), Err(TooMany));
        let out = OutputFolder::open(&sample.path("out")).unwrap();
        for (kind, name) in [(PngKind::Grey16, "grey/a.png"), (PngKind::Rgb8, "rgb/a.png")] {
            map.write(&out, name, kind).unwrap();
            assert_eq!(IdMap::read(&out.path().join(name), size).unwrap().0, map);
        }
    }

    #[test]
    fn damaged_files_are_refused() {
        let sample = Sample::new();
        let size = ImageSize::new(3, 1);
        let good = encoded(ColorType::Indexed, BitDepth::Eight, 3, 1, &[1, 0, 15]);
        let path = sample.write("a.png", &good);
        assert!(
            IdMap::read(&path, ImageSize::new(1, 3))
                .unwrap_err()
                .contains("3 x 1")
        );
        for length in 0..good.len() - 12 {
            let path = sample.write("b.png", &good[..length]);
            assert!(IdMap::read(&path, size).is_err(), "{length} bytes");
        }
        for at in 8..good.len() {
            let mut damaged = good.clone();
            damaged[at] ^= 0x15;
            let path = sample.write("b.png", damaged);
            let _read = IdMap::read(&path, size);
        }
        assert!(IdMap::read(sample.folder(), size).is_err());
    }
}
