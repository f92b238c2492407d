//! Times the index of generated folders and prints JSON, so that figures and their growth can be quoted.
//!
//! `cargo bench --bench folders` makes folders of 1,000, 10,000 and 100,000 images, a third of them annotated, in
//! sub-folders of 1,000. `-- [--flat] [--in FOLDER] COUNT…` makes others: without sub-folders, on another disk, of
//! other sizes. Each is measured in a process of its own, so that peak memory is that of one folder.

use samtok::dataset::folder::Folder;
use samtok::dataset::index::{Annotations, Direction, Filter, Index, Indexer, Progress, Rescan, Stage};
use samtok::dataset::{
    Caption, Conversation, Document, ImageRef, MaskWords, Region, Role, Status, Task, Turn, format,
    sidecar_path,
};
use samtok::geometry::ImageSize;
use samtok::mask::{Mask, Rle};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Runs per query; the median is reported.
const REPEATS: usize = 9;

/// How long the indexer may keep its thread, in one step.
const BUDGET: Duration = Duration::from_millis(20);

/// Images on a page of the list.
const PAGE: usize = 100;

const IMAGES_PER_SUB_FOLDER: usize = 1000;

/// Size that the sidecars say.
const SIZE: ImageSize = ImageSize::new(640, 480);

/// Longer than the time for which time stamps are not trusted.
const SETTLE: Duration = Duration::from_secs(4);

/// A grey pixel.
const IMAGE: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cch\0\0\0\x82\0\x81w\xcdr\xb6\0\0\0\0IEND\xaeB`\x82";

type AnyError = Box<dyn Error>;

fn main() -> Result<(), AnyError> {
    let mut counts = Vec::new();
    let mut is_flat = false;
    let mut place = None;
    let mut is_child = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // Cargo passes it to every benchmark.
            "--bench" => {}
            "--flat" => is_flat = true,
            "--child" => is_child = true,
            "--in" => place = Some(PathBuf::from(arguments.next().ok_or("--in needs a folder")?)),
            count => counts.push(
                count
                    .parse::<usize>()
                    .map_err(|error| format!("{count}: {error}"))?,
            ),
        }
    }
    if counts.is_empty() {
        counts = vec![1000, 10_000, 100_000];
    }
    let results = if is_child {
        let count = *counts.first().unwrap_or(&0);
        measure(count, is_flat, place.as_deref())?
    } else {
        let mut results = Vec::new();
        for count in counts {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("--child").arg(count.to_string());
            command.args(is_flat.then_some("--flat"));
            command.args(place.iter().flat_map(|place| [Path::new("--in"), place]));
            let output = command.stderr(std::process::Stdio::inherit()).output()?;
            if !output.status.success() {
                return Err(format!("{count} images: {}", output.status).into());
            }
            results.push(serde_json::from_slice::<Value>(&output.stdout)?);
        }
        json!({ "growth": growth(&results), "folders": results })
    };
    writeln!(std::io::stdout(), "{results:#}")?;
    Ok(())
}

/// All figures of one folder.
fn measure(count: usize, is_flat: bool, place: Option<&Path>) -> Result<Value, AnyError> {
    let temporary = match place {
        Some(place) => tempfile::tempdir_in(place)?,
        None => tempfile::tempdir()?,
    };
    let path = temporary.path();
    let (generated, generate_ms) = timed(|| generate(path, count, is_flat));
    generated?;
    std::thread::sleep(SETTLE);
    let folder = Folder::open(path)?;
    let (listing, list_ms) = timed(|| folder.list());
    if listing.images.len() != count {
        return Err(format!("{} of {count} images were listed", listing.images.len()).into());
    }
    drop(listing);
    let memory_before = peak_memory_mib();

    let (cold, _) = open(&folder, count)?;
    std::thread::sleep(SETTLE);
    let (warm, (mut index, mut indexer)) = open(&folder, count)?;
    let memory = peak_memory_mib();

    let queries = queries(&mut index, count)?;
    let rescans = rescans(&folder, &mut index, &mut indexer)?;
    let index_bytes = index.file().and_then(|file| Some(fs::metadata(file).ok()?.len()));
    Ok(json!({
        "images": count,
        "is_flat": is_flat,
        "load_average": fs::read_to_string("/proc/loadavg").ok().map(|text| text.trim().to_owned()),
        "generate_ms": generate_ms,
        "list_ms": list_ms,
        "cold": cold,
        "warm": warm,
        "queries_ms": queries,
        "rescans_ms": rescans,
        "index_mib": index_bytes.map(|bytes| mib(bytes as f64)),
        "peak_memory_mib": { "before": memory_before, "after": memory },
    }))
}

/// Opens a folder as the program does, and follows the indexer to its end.
fn open(folder: &Folder, count: usize) -> Result<(Value, (Index, Indexer)), AnyError> {
    let start = Instant::now();
    let cpu_before = cpu_ms();
    let mut index = Index::open(folder, None)?;
    let mut indexer = Indexer::new(folder);
    let mut first_page_ms = None;
    let mut all_names_ms = None;
    let mut longest_step_ms = 0_f64;
    loop {
        if all_names_ms.is_none() {
            let selection = index.select(&Filter::default())?;
            if first_page_ms.is_none() && !index.page(&selection, 0..PAGE)?.is_empty() {
                first_page_ms = Some(ms(start));
            }
            if selection.len() == count {
                all_names_ms = Some(ms(start));
            }
        }
        let step = Instant::now();
        let progress = indexer.step(&mut index, BUDGET)?;
        longest_step_ms = longest_step_ms.max(ms(step));
        if progress.stage == Stage::Idle {
            break;
        }
    }
    let done_ms = ms(start);
    let cpu_ms = cpu_before.and_then(|before| Some(cpu_ms()? - before));
    let counts = index.status_counts()?;
    if (counts.total(), counts.unread, counts.unreadable) != (count, 0, 0)
        || indexer.problems().next().is_some()
    {
        return Err(format!("the index is wrong: {counts:?}").into());
    }
    let times = json!({
        "first_page_ms": first_page_ms,
        "all_names_ms": all_names_ms,
        "done_ms": done_ms,
        "longest_step_ms": longest_step_ms,
        "done_cpu_ms": cpu_ms,
    });
    Ok((times, (index, indexer)))
}

fn queries(index: &mut Index, count: usize) -> Result<Value, AnyError> {
    let parse = |text: &str| Filter::parse(text);
    let cases = [
        ("all", Filter::default()),
        ("status", parse("status:done")?),
        ("label", parse("label:scratch")?),
        ("rare_label", parse("label:rare3")?),
        ("without_annotations", parse("is:empty")?),
        ("iou_below", parse("iou:0.6")?),
        ("text_common", parse("shallow")?),
        ("text_rare", parse("\"number 1234 \"")?),
        ("text_two_letters", parse("ow")?),
        ("text_chinese_word", parse("划痕")?),
        ("text_in_name", parse("img77")?),
        ("text_nowhere", parse("zebra")?),
        ("two_texts_and_status", parse("shallow 划痕 status:draft")?),
        ("name_pattern", parse("<7[0-9]*7\\.png$>")?),
        ("number", parse(&format!("#{count}"))?),
    ];
    let mut times = Map::new();
    for (name, filter) in &cases {
        let time = median_ms(|| index.select(filter).map(|selection| selection.len()));
        let found = index.select(filter)?.len();
        times.insert((*name).to_owned(), json!({ "ms": time, "images": found }));
    }
    let all = index.select(&Filter::default())?;
    let last = count.saturating_sub(PAGE);
    let middle = index.page(&all, count / 2..count / 2 + 1)?;
    let middle = middle.first().ok_or("there is no page in the middle")?;
    let empty = Filter {
        annotations: Annotations::None,
        ..Filter::default()
    };
    let nowhere = parse("zebra")?;
    let others = [
        (
            "last_page",
            median_ms(|| index.page(&all, last..count).map(|rows| rows.len())),
        ),
        (
            "position",
            median_ms(|| Ok::<_, AnyError>(all.position(middle.id))),
        ),
        (
            "next_without_annotations",
            median_ms(|| index.neighbour(&empty, &middle.name, Direction::Next)),
        ),
        (
            "previous_nowhere",
            median_ms(|| index.neighbour(&nowhere, &middle.name, Direction::Previous)),
        ),
        ("status_counts", median_ms(|| index.status_counts())),
        ("labels", median_ms(|| index.labels())),
        ("codes", median_ms(|| index.codes())),
    ];
    times.extend(others.map(|(name, time)| (name.to_owned(), time)));
    Ok(times.into())
}

fn rescans(folder: &Folder, index: &mut Index, indexer: &mut Indexer) -> Result<Value, AnyError> {
    let all = index.select(&Filter::default())?;
    let rows = index.page(&all, 0..1)?;
    let image = rows
        .first()
        .and_then(|row| folder.path_of(&row.name))
        .ok_or("there is no image")?;
    let sidecar = sidecar_path(&image);
    let changed = format::write(&document(&image, 999_999, &masks()?)?)?;
    let mut times = Map::new();
    let mut time = |name: &str, indexer: &mut Indexer| -> Result<(), AnyError> {
        let start = Instant::now();
        while run(index, indexer)?.stage != Stage::Idle {}
        times.insert(name.to_owned(), ms(start).into());
        Ok(())
    };
    indexer.rescan(Rescan::ChangedFolders);
    time("nothing_changed", indexer)?;
    indexer.rescan(Rescan::Everything);
    time("everything", indexer)?;
    let temporary = sidecar.with_extension("tmp");
    fs::write(&temporary, &changed)?;
    fs::rename(&temporary, &sidecar)?;
    indexer.rescan(Rescan::ChangedFolders);
    time("one_sidecar_replaced", indexer)?;
    fs::write(&sidecar, changed)?;
    indexer.note_changed(&sidecar);
    time("one_sidecar_noted", indexer)?;
    Ok(times.into())
}

fn run(index: &mut Index, indexer: &mut Indexer) -> Result<Progress, AnyError> {
    Ok(indexer.step(index, BUDGET)?)
}

/// Makes a folder with `count` images, every third with a sidecar.
fn generate(path: &Path, count: usize, is_flat: bool) -> Result<(), AnyError> {
    let masks = masks()?;
    for number in 0..count {
        let mut folder = path.to_path_buf();
        if !is_flat {
            folder.push(format!("part{}", number / IMAGES_PER_SUB_FOLDER));
            if number.is_multiple_of(IMAGES_PER_SUB_FOLDER) {
                fs::create_dir(&folder)?;
            }
        }
        let image = folder.join(format!("img{number}.png"));
        fs::write(&image, IMAGE)?;
        if number.is_multiple_of(3) {
            fs::write(
                sidecar_path(&image),
                format::write(&document(&image, number, &masks)?)?,
            )?;
        }
    }
    Ok(())
}

/// Slanted bars.
fn masks() -> Result<Vec<Rle>, AnyError> {
    let bar = |left: u32| {
        let mask = Mask::from_fn(SIZE, |x, y| {
            (left..left + 90).contains(&x) && (y + x / 3) % 300 < 80
        });
        Ok(mask?.to_rle())
    };
    (0..10).map(|number| bar(number * 55)).collect()
}

/// A document as people make them: one to four regions with words and captions, and a conversation.
fn document(image: &Path, number: usize, masks: &[Rle]) -> Result<Document, AnyError> {
    let mut document = Document::new(ImageRef::new(image, SIZE, None));
    document.status = *Status::ALL.get(number / 3 % 4).unwrap_or(&Status::Draft);
    let tokenizer = document.tokenizer_id("bench", "0123456789abcdef", 256, 2);
    for place in 0..=number / 3 % 4 {
        let id = document.next_region_id();
        let rle = masks
            .get((number + place) % masks.len().max(1))
            .ok_or("there is no mask")?;
        let mut region = Region::new(id, rle.clone());
        region.label = match place {
            0 => "scratch".to_owned(),
            1 => "划痕".to_owned(),
            _ => format!("rare{}", number % 97),
        };
        let codes = vec![
            (number * 31 % 256) as u32,
            (number * 17 % 256) as u32 + place as u32 % 2,
        ];
        let text = format!(
            "<|mt_start|><|mt_{:04}|><|mt_{:04}|><|mt_end|>",
            codes[0],
            codes[1] + 256
        );
        let iou = 0.5 + (number % 100) as f32 / 200.0;
        region.words = Some(MaskWords::new(text, codes, tokenizer.clone(), Some(iou), rle));
        region.captions.push(Caption::new(
            format!("A shallow scratch, number {number} of this series, beside [[r1]] on the painted door"),
            Some("human".to_owned()),
        ));
        document.regions.push(region);
    }
    let mut conversation = Conversation::new("c1".to_owned(), Task::RegionQa);
    conversation.turns = vec![
        Turn::new(
            Role::User,
            format!("What is wrong with [[r1]] in picture {number}? 左边的划痕有多深？"),
        ),
        Turn::new(
            Role::Assistant,
            "The coat of paint is broken down to the metal and has begun to rust.".to_owned(),
        ),
    ];
    document.conversations.push(conversation);
    Ok(document)
}

/// How many times longer, or larger, each figure is in the last folder than in the first.
fn growth(results: &[Value]) -> Value {
    fn ratios(first: &Value, last: &Value) -> Value {
        match (first, last) {
            (Value::Object(first), Value::Object(last)) => {
                let pairs = first
                    .iter()
                    .filter_map(|(key, first)| Some((key.clone(), ratios(first, last.get(key)?))));
                pairs.collect::<Map<_, _>>().into()
            }
            (Value::Number(first), Value::Number(last)) => {
                let ratio = last
                    .as_f64()
                    .zip(first.as_f64())
                    .map(|(last, first)| last / first.max(1e-3));
                ratio.map_or(Value::Null, |ratio| rounded(ratio).into())
            }
            _ => Value::Null,
        }
    }
    match results {
        [first, .., last] => ratios(first, last),
        _ => Value::Null,
    }
}

fn timed<T>(operation: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let value = operation();
    (value, ms(start))
}

/// The median of [`REPEATS`] runs in milliseconds; `null` if one failed.
fn median_ms<T, E>(mut operation: impl FnMut() -> Result<T, E>) -> Value {
    let runs: Result<Vec<f64>, E> = (0..REPEATS)
        .map(|_| {
            let (result, ms) = timed(&mut operation);
            result.map(|_| ms)
        })
        .collect();
    let Ok(mut runs) = runs else {
        return Value::Null;
    };
    runs.sort_by(f64::total_cmp);
    runs.get(REPEATS / 2).copied().into()
}

fn ms(start: Instant) -> f64 {
    rounded(start.elapsed().as_secs_f64() * 1e3)
}

fn mib(bytes: f64) -> f64 {
    rounded(bytes / f64::from(1 << 20))
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// The processor time of this process on all cores, where the system says so, in the steps in which it counts.
fn cpu_ms() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may contain spaces: user and system time are the 12th and 13th, in hundredths.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) * 10.0)
}

/// The most memory this process ever had, where the system says so.
fn peak_memory_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(mib(kib * 1024.0))
}
