//! Times saving and exporting and prints JSON, so that figures and their growth can be quoted.
//!
//! `cargo bench --bench exchange` exports 1,000, 10,000 and 100,000 regions, 20 to an image, and saves a document of
//! 200. `-- [--to NAME,…] [--in FOLDER] COUNT…` does others. Each export runs in a process of its own, so that peak
//! memory is that of one. An export reads what it wrote again, to measure what was lost; that is part of its time.

use mimalloc::MiMalloc;
use samtok::dataset::{
    Caption, Conversation, Document, ImageRef, MaskWords, Region, Role, Sidecar, Task, Turn, format,
    sidecar_path,
};
use samtok::geometry::ImageSize;
use samtok::image_file::{RgbImage, write_rgb_png};
use samtok::interchange::training::{Container, TrainingOptions};
use samtok::interchange::{self, ExportOptions, Format};
use samtok::mask::{Mask, Rle};
use serde_json::{Value, json};
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const SIZE: ImageSize = ImageSize::new(640, 480);
const REGIONS_PER_IMAGE: usize = 20;
const IMAGES_PER_FOLDER: usize = 1000;
const SAVES: usize = 50;
const FORMATS: [&str; 6] = ["coco", "labelme", "yolo-seg", "llava", "jsonl", "rl-parquet"];

type AnyError = Box<dyn Error>;

fn main() -> Result<(), AnyError> {
    let mut counts = Vec::new();
    let mut formats: Vec<String> = FORMATS.map(str::to_owned).to_vec();
    let mut place = None;
    let mut child = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or("an option needs a value");
        match argument.as_str() {
            // Cargo passes it to every benchmark.
            "--bench" => {}
            "--to" => formats = value()?.split(',').map(str::to_owned).collect(),
            "--in" => place = Some(PathBuf::from(value()?)),
            "--child" => child = Some(PathBuf::from(value()?)),
            count => counts.push(
                count
                    .parse::<usize>()
                    .map_err(|error| format!("{count}: {error}"))?,
            ),
        }
    }
    let results = match child {
        Some(folder) => {
            let name = formats.first().ok_or("no format")?;
            export(&folder, name)?
        }
        None => {
            if counts.is_empty() {
                counts = vec![1000, 10_000, 100_000];
            }
            let mut exports = Vec::new();
            for count in counts {
                let temporary = match &place {
                    Some(place) => tempfile::tempdir_in(place)?,
                    None => tempfile::tempdir()?,
                };
                let folder = temporary.path().join("images");
                generate(&folder, count)?;
                for name in &formats {
                    let mut command = Command::new(std::env::current_exe()?);
                    command.args(["--to", name, "--child"]).arg(&folder);
                    let output = command.stderr(std::process::Stdio::inherit()).output()?;
                    if !output.status.success() {
                        return Err(format!("{name}, {count} regions: {}", output.status).into());
                    }
                    exports.push(serde_json::from_slice::<Value>(&output.stdout)?);
                }
            }
            json!({
                "load_average": fs::read_to_string("/proc/loadavg").ok().map(|text| text.trim().to_owned()),
                "save_200_regions_ms": save()?,
                "exports": exports,
            })
        }
    };
    writeln!(std::io::stdout(), "{results:#}")?;
    Ok(())
}

/// An ellipse with a hole, somewhere that depends on `number`.
fn mask(number: usize) -> Result<Rle, AnyError> {
    let (x, y) = (
        (number * 37 % 540) as f64 + 50.0,
        (number * 53 % 380) as f64 + 50.0,
    );
    let distance = |px: u32, py: u32, rx: f64, ry: f64| {
        ((f64::from(px) - x) / rx).powi(2) + ((f64::from(py) - y) / ry).powi(2)
    };
    let is_inside = |px, py| distance(px, py, 45.0, 30.0) <= 1.0 && distance(px, py, 9.0, 7.0) > 1.0;
    Ok(Mask::from_fn(SIZE, is_inside)?.to_rle())
}

fn document(path: &Path, regions: usize, masks: &[Rle]) -> Document {
    let mut document = Document::new(ImageRef::new(path, SIZE, None));
    let tokenizer = document.tokenizer_id("bench", &"ab".repeat(32), 256, 2);
    for (index, mask) in masks.iter().cycle().take(regions).enumerate() {
        let mut region = Region::new(format!("r{}", index + 1), mask.clone());
        region.label = ["cup", "plate", "spoon"][index % 3].to_owned();
        region.captions = vec![Caption::new(
            format!("Thing number {index} of this image, quite plain."),
            None,
        )];
        let codes = vec![index as u32 % 256, index as u32 * 7 % 256];
        let text = format!(
            "<|mt_start|><|mt_{:04}|><|mt_{:04}|><|mt_end|>",
            codes[0],
            codes[1] + 256
        );
        region.words = Some(MaskWords::new(text, codes, tokenizer.clone(), None, mask));
        document.regions.push(region);
    }
    let mut conversation = Conversation::new("c1".to_owned(), Task::RegionQa);
    conversation.turns = vec![
        Turn::new(Role::User, "What is [[r1]] to [[r2]]?".to_owned()),
        Turn::new(Role::Assistant, "Left of it.".to_owned()),
    ];
    document.conversations.push(conversation);
    document
}

/// A folder with images of 20 regions, `count` regions in all.
fn generate(folder: &Path, count: usize) -> Result<(), AnyError> {
    fs::create_dir_all(folder)?;
    let picture = folder.join("picture.png");
    let pixels = vec![120; SIZE.width as usize * SIZE.height as usize * 3];
    write_rgb_png(&picture, &RgbImage { size: SIZE, pixels })?;
    let masks: Vec<Rle> = (0..400).map(mask).collect::<Result<_, _>>()?;
    for image in 0..count.div_ceil(REGIONS_PER_IMAGE) {
        let path = folder.join(format!("{:03}/{image:06}.png", image / IMAGES_PER_FOLDER));
        if image % IMAGES_PER_FOLDER == 0 {
            fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        }
        fs::hard_link(&picture, &path)?;
        let first = image * REGIONS_PER_IMAGE % masks.len();
        let regions = REGIONS_PER_IMAGE.min(count - image * REGIONS_PER_IMAGE);
        let document = document(&path, regions, masks.get(first..).unwrap_or(&masks));
        fs::write(sidecar_path(&path), format::write(&document)?)?;
    }
    fs::remove_file(picture)?;
    Ok(())
}

/// Exports a folder into another beside it, which is removed again.
fn export(folder: &Path, name: &str) -> Result<Value, AnyError> {
    let out = folder.with_file_name(format!("out-{name}"));
    let mut watch = |_| ControlFlow::Continue(());
    let options = ExportOptions::default();
    let start = Instant::now();
    let format = Format::ALL.into_iter().find(|format| format.name() == name);
    let report = match format {
        Some(format) => interchange::export(folder, format, &out, &options, &mut watch)?,
        None => {
            let container = Container::ALL
                .into_iter()
                .find(|container| container.name() == name);
            let training = TrainingOptions::new(container.ok_or("no such format")?);
            interchange::export_training(folder, &training, None, &out, &options, &mut watch)?.0
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    fs::remove_dir_all(&out)?;
    Ok(json!({
        "to": name,
        "regions": report.regions.before,
        "exact": report.iou.exact,
        "seconds": rounded(seconds),
        "cpu_seconds": cpu_seconds().map(rounded),
        "regions_per_second": (report.regions.before as f64 / seconds).round(),
        "peak_memory_mib": peak_memory_mib().map(f64::round),
    }))
}

/// The median time of saving a document with 200 regions, on the disk of temporary files, flushing included.
fn save() -> Result<Value, AnyError> {
    let temporary = tempfile::tempdir()?;
    let path = temporary.path().join("a.png");
    let masks: Vec<Rle> = (0..200).map(mask).collect::<Result<_, _>>()?;
    let mut document = document(&path, 200, &masks);
    let (mut sidecar, _) = Sidecar::load(&path, SIZE)?;
    let (mut saves, mut writings) = (Vec::new(), Vec::new());
    for number in 0..SAVES {
        document.notes = format!("save {number}");
        let start = Instant::now();
        let bytes = format::write(&document)?;
        writings.push(start.elapsed().as_secs_f64() * 1e3);
        drop(bytes);
        let start = Instant::now();
        sidecar.save_merging(&document)?;
        saves.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(json!({"with_fsync": median(saves), "text_alone": median(writings)}))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    rounded(times.get(times.len() / 2).copied().unwrap_or(0.0))
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The processor time of this process on all cores, where the system says so.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may contain spaces: user and system time are the 12th and 13th, in hundredths.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / 100.0)
}

/// The most memory this process ever had, where the system says so.
fn peak_memory_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
