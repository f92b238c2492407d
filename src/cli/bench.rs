//! `samtok bench`: how fast the network runs here, as JSON that `benches/peers/compare.py` sets beside PyTorch.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Map, Value, json};

use super::stages::milliseconds;
use super::table::Table;
use super::{ExitCode, GlobalArgs};
use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::{self, RgbImage};
use crate::mask::Mask;
use crate::tokenizer::benchmark::{self, Workload};
use crate::tokenizer::{ChosenDevice, MaskTokenizer};
use crate::words::MaskCodes;

/// Size of the image that is made where none is given.
const IMAGE_SIZE: ImageSize = ImageSize::new(1800, 1200);
/// Masks of the largest quantity.
const MASKS: usize = 100;
/// Masks of one batch.
const BATCH: usize = 16;

/// Time the network's steps on this machine
///
/// Every time but that of loading is the smallest of some calls after one to warm up; the medians are printed too.
#[derive(Debug, clap::Args)]
pub(super) struct BenchArgs {
    /// An image to use in place of a generated one
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Timed calls of every quantity
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Quantities to time, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<Quantity>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Quantity {
    /// A weights file to a model ready to run
    Load,
    /// Normalised pixels to the features of the image
    ImageEncode,
    /// One mask to its codes
    #[value(name = "mask_encode_1")]
    MaskEncode1,
    /// A batch of 16 masks to their codes
    #[value(name = "mask_encode_16")]
    MaskEncode16,
    /// The codes of one mask to its logits
    #[value(name = "mask_decode_1")]
    MaskDecode1,
    /// The codes of a batch of 16 masks to their logits
    #[value(name = "mask_decode_16")]
    MaskDecode16,
    /// The image to the size of the network's input
    Resize,
    /// 100 masks to codes and back to masks of the image's size
    #[value(name = "masks_100")]
    Masks100,
}

impl Quantity {
    fn name(self) -> String {
        use clap::ValueEnum as _;
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

/// All times of every quantity, in the order in which they were taken.
struct Times {
    repeats: u32,
    only: Vec<Quantity>,
    taken: Vec<(Quantity, Vec<Duration>)>,
}

impl Times {
    fn is_wanted(&self, quantity: Quantity) -> bool {
        self.only.is_empty() || self.only.contains(&quantity)
    }

    /// Calls `work` once to warm up and then times it, if the quantity is wanted.
    fn take<T>(
        &mut self,
        quantity: Quantity,
        mut work: impl FnMut() -> anyhow::Result<T>,
    ) -> anyhow::Result<()> {
        if !self.is_wanted(quantity) {
            return Ok(());
        }
        work()?;
        let mut times = Vec::new();
        for _ in 0..self.repeats {
            let start = Instant::now();
            let result = work()?;
            times.push(start.elapsed());
            drop(result);
        }
        times.sort();
        tracing::info!("{}: {:.1} ms", quantity.name(), milliseconds(smallest(&times)));
        self.taken.push((quantity, times));
        Ok(())
    }

    fn to_json(&self, choose: impl Fn(&[Duration]) -> Duration) -> Value {
        let values = self
            .taken
            .iter()
            .map(|(quantity, times)| (quantity.name(), json!(milliseconds(choose(times)))));
        Value::Object(values.collect::<Map<_, _>>())
    }
}

/// The first of sorted times.
fn smallest(times: &[Duration]) -> Duration {
    times.first().copied().unwrap_or_default()
}

/// The middle of sorted times.
fn median(times: &[Duration]) -> Duration {
    let middle = times.len() / 2;
    match (times.get(middle), times.get(middle.wrapping_sub(1))) {
        (Some(&upper), Some(&lower)) if times.len().is_multiple_of(2) => (upper + lower) / 2,
        (Some(&time), _) => time,
        _ => Duration::ZERO,
    }
}

pub(super) fn run(args: &BenchArgs, global: &GlobalArgs, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    let mut times = Times {
        repeats: args.repeats,
        only: args.only.clone(),
        taken: Vec::new(),
    };
    let image = match &args.image {
        Some(path) => image_file::read_rgb(path, &global.limits())?,
        None => generated_image(),
    };
    let masks = generated_masks(image.size)?;
    let masks: Vec<&Mask> = masks.iter().collect();

    let device = ChosenDevice::open(global.device)?;
    let start = Instant::now();
    let tokenizer = MaskTokenizer::load(&global.model_files()?, &device)?;
    if times.is_wanted(Quantity::Load) {
        // Once only: the next time the file would come from memory and the allocator have room.
        times.taken.push((Quantity::Load, vec![start.elapsed()]));
    }

    // What one image and one mask need is the peak that programs are compared by.
    let batch = masks.get(..BATCH).unwrap_or(&masks);
    let workload = Workload::new(&tokenizer, &image, batch)?;
    let embedded = workload.encode_image()?;
    let first = workload.encode_masks(&embedded, 1)?;
    workload.decode_masks(&embedded, &first)?;
    let peak_memory_bytes = peak_memory_bytes();

    times.take(Quantity::ImageEncode, || Ok(workload.encode_image()?))?;
    times.take(Quantity::MaskEncode1, || Ok(workload.encode_masks(&embedded, 1)?))?;
    times.take(Quantity::MaskEncode16, || {
        Ok(workload.encode_masks(&embedded, BATCH)?)
    })?;
    times.take(Quantity::MaskDecode1, || {
        Ok(workload.decode_masks(&embedded, &first)?)
    })?;
    let codes = workload.encode_masks(&embedded, BATCH)?;
    times.take(Quantity::MaskDecode16, || {
        Ok(workload.decode_masks(&embedded, &codes)?)
    })?;
    times.take(Quantity::Resize, || Ok(benchmark::resized(&tokenizer, &image)))?;
    times.take(Quantity::Masks100, || {
        let encoded = tokenizer.encode(&embedded, &masks)?;
        let codes: Vec<MaskCodes> = encoded.into_iter().map(|mask| mask.codes).collect();
        Ok(tokenizer.decode(&embedded, &codes)?)
    })?;

    if global.json {
        let document = json!({
            "timings_ms": times.to_json(smallest),
            "medians_ms": times.to_json(median),
            "peak_memory_bytes": peak_memory_bytes,
            "threads": rayon::current_num_threads(),
            "device": device.to_string(),
            "model": super::model_json(&tokenizer),
        });
        super::write_json(out, &document)?;
    } else {
        writeln!(
            out,
            "model {} {}  {} threads  {device}",
            tokenizer.config().name,
            tokenizer.fingerprint().short(),
            rayon::current_num_threads()
        )?;
        let mut table = Table::new(["quantity", "smallest ms", "median ms"]);
        for (quantity, times) in &times.taken {
            let ms = |time| format!("{:.1}", milliseconds(time));
            table.add([quantity.name(), ms(smallest(times)), ms(median(times))]);
        }
        table.write(out)?;
        if let Some(bytes) = peak_memory_bytes {
            writeln!(
                out,
                "peak memory with one image and one mask: {:.2} GB",
                bytes as f64 / 1e9
            )?;
        }
    }
    Ok(ExitCode::AllWell)
}

/// An image with something to see at every scale.
fn generated_image() -> RgbImage {
    let (width, height) = (IMAGE_SIZE.width, IMAGE_SIZE.height);
    let pixel = |x: u32, y: u32| {
        let (fx, fy) = (x as f32 / width as f32, y as f32 / height as f32);
        let waves = ((fx * 40.0).sin() * (fy * 25.0).cos() + 1.0) * 60.0;
        [
            (fx * 120.0 + waves) as u8,
            (fy * 120.0 + waves) as u8,
            ((x ^ y) & 0xff) as u8,
        ]
    };
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y)));
    RgbImage {
        size: IMAGE_SIZE,
        pixels: pixels.collect(),
    }
}

/// Boxes of all sizes all over an image, with a corner cut out.
fn generated_masks(size: ImageSize) -> anyhow::Result<Vec<Mask>> {
    let (width, height) = (size.width, size.height);
    ensure!(
        width >= 16 && height >= 16,
        "the image of {size} pixels is too small to time anything; give a larger one"
    );
    (0..MASKS as u32)
        .map(|index| {
            let (column, row) = (index * 7 % 10, index * 3 % 10);
            let rect = PixelRect::new(
                column * width / 12,
                row * height / 12,
                (width / 16 * (1 + index % 5)).max(2),
                (height / 16 * (1 + index % 3)).max(2),
            );
            let mut mask = Mask::from_rects(size, &[rect])?;
            mask.fill_rect(
                PixelRect::new(rect.x, rect.y, rect.width / 2, rect.height / 2),
                false,
            );
            Ok(mask)
        })
        .collect()
}

/// The most memory this process has had, where the system tells.
fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_in_the_middle() {
        let ms = |times: &[u64]| {
            times
                .iter()
                .map(|&ms| Duration::from_millis(ms))
                .collect::<Vec<_>>()
        };
        for (times, expected) in [(&[][..], 0), (&[4], 4), (&[2, 4], 3), (&[1, 2, 9], 2)] {
            assert_eq!(median(&ms(times)), Duration::from_millis(expected), "{times:?}");
        }
    }

    #[test]
    fn all_masks_have_pixels() {
        for size in [IMAGE_SIZE, ImageSize::new(16, 16)] {
            let masks = generated_masks(size).unwrap();
            assert_eq!(masks.len(), MASKS);
            assert!(masks.iter().all(|mask| !mask.is_empty()), "{size}");
        }
        assert!(generated_masks(ImageSize::new(15, 100)).is_err());
    }

    #[test]
    fn names_are_those_of_the_comparison() {
        use clap::ValueEnum as _;
        let names: Vec<String> = Quantity::value_variants()
            .iter()
            .map(|quantity| quantity.name())
            .collect();
        let expected =
            "load image_encode mask_encode_1 mask_encode_16 mask_decode_1 mask_decode_16 resize masks_100";
        assert_eq!(names.join(" "), expected);
    }
}
