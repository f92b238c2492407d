//! Times the mask layer on one large mask and prints JSON, so that figures can be quoted and compared.
//!
//! `cargo bench --bench masks` makes a mask of 4000 x 3000 pixels with 300 random blobs.
//! `cargo bench --bench masks -- WIDTH HEIGHT A.raw [B.raw]` times masks made by someone else instead, one byte
//! per pixel, row by row; `benches/peers/pycocotools_masks.py` runs both sides that way.

use samtok::geometry::{ImagePoint, ImageSize};
use samtok::mask::{Border, Connectivity, FillRule, Mask, Rle, metrics};
use serde_json::Map;
use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

/// Runs per operation; the fastest is reported, because everything else is other programs' time.
const REPEATS: usize = 15;

const BLOB_COUNT: usize = 300;

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    // Cargo passes `--bench` to every benchmark.
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let (a, b) = match arguments.as_slice() {
        [] => {
            let size = ImageSize::new(4000, 3000);
            (blobs(size, 1)?, blobs(size, 2)?)
        }
        [width, height, a, rest @ ..] => {
            let size = ImageSize::new(width.parse()?, height.parse()?);
            let read = |path: &String| -> Result<Mask, AnyError> {
                Ok(Mask::from_bytes(size, &std::fs::read(path)?)?)
            };
            let a = read(a)?;
            let b = rest.first().map_or_else(|| Ok(a.translate(7, 5)), read)?;
            (a, b)
        }
        _ => return Err("usage: masks [WIDTH HEIGHT A.raw [B.raw]]".into()),
    };

    let size = a.size();
    let bytes = a.to_bytes();
    let rle = a.to_rle();
    let text = rle.to_compressed();
    let polygons = a.trace();
    let compressed = |mask: &Mask| mask.to_rle().to_compressed();
    let decompressed = || Rle::from_compressed(size, &text).map(|rle| Mask::from_rle(&rle));

    if decompressed()? != a || Mask::from_polygons(size, &polygons, FillRule::EvenOdd)? != a {
        return Err("the mask did not survive a round trip, so its timings mean nothing".into());
    }

    let timings_ms = [
        ("from_bytes", fastest_ms(|| Mask::from_bytes(size, &bytes))),
        ("to_bytes", fastest_ms(|| a.to_bytes())),
        ("rle_encode", fastest_ms(|| a.to_rle())),
        ("rle_decode", fastest_ms(|| Mask::from_rle(&rle))),
        ("string_write", fastest_ms(|| rle.to_compressed())),
        ("string_read", fastest_ms(|| Rle::from_compressed(size, &text))),
        ("rle_encode_and_string", fastest_ms(|| compressed(&a))),
        ("string_and_rle_decode", fastest_ms(decompressed)),
        (
            "bytes_to_string",
            fastest_ms(|| Mask::from_bytes(size, &bytes).map(|mask| compressed(&mask))),
        ),
        (
            "string_to_bytes",
            fastest_ms(|| decompressed().map(|mask| mask.to_bytes())),
        ),
        ("rle_area", fastest_ms(|| rle.area())),
        ("rle_bounding_box", fastest_ms(|| rle.bounding_box())),
        ("area", fastest_ms(|| a.area())),
        ("bounding_box", fastest_ms(|| a.bounding_box())),
        ("union", fastest_ms(|| a.union(&b))),
        ("iou", fastest_ms(|| metrics::iou(&a, &b))),
        (
            "boundary_iou",
            fastest_ms(|| metrics::boundary_iou(&a, &b, metrics::DEFAULT_DILATION_RATIO)),
        ),
        ("trace", fastest_ms(|| a.trace())),
        (
            "fill",
            fastest_ms(|| Mask::from_polygons(size, &polygons, FillRule::EvenOdd)),
        ),
        (
            "simplify_1px",
            fastest_ms(|| {
                polygons
                    .iter()
                    .map(|part| part.simplified(1.0))
                    .collect::<Vec<_>>()
            }),
        ),
        ("components", fastest_ms(|| a.components(Connectivity::Eight))),
        ("fill_holes", fastest_ms(|| a.fill_holes())),
        ("dilate_10px", fastest_ms(|| a.dilate(10.0))),
        ("erode_10px", fastest_ms(|| a.erode(10.0, Border::Background))),
        (
            "resize_nearest_1024",
            fastest_ms(|| a.resize_nearest(ImageSize::new(1024, 1024))),
        ),
    ];
    let results = serde_json::json!({
        "width": size.width,
        "height": size.height,
        "area": a.area(),
        "rle_counts": rle.counts().len(),
        "string_bytes": text.len(),
        "polygons": polygons.len(),
        "vertices": polygons.iter().flat_map(|part| part.rings()).map(<[ImagePoint]>::len).sum::<usize>(),
        "iou": metrics::iou(&a, &b)?,
        "rle": text,
        "timings_ms": timings_ms.map(|(name, ms)| (name.to_owned(), ms)).into_iter().collect::<Map<_, _>>(),
    });
    writeln!(std::io::stdout(), "{results:#}")?;
    Ok(())
}

/// The fastest of [`REPEATS`] runs in milliseconds, rounded to microseconds.
fn fastest_ms<T>(mut operation: impl FnMut() -> T) -> serde_json::Value {
    let fastest = (0..REPEATS).map(|_| {
        let start = Instant::now();
        black_box(operation());
        start.elapsed()
    });
    let micros = fastest.min().unwrap_or_default().as_nanos() as f64 / 1e3;
    (micros.round() / 1e3).into()
}

/// A mask of [`BLOB_COUNT`] wavy blobs, every fifth of them cut out again.
fn blobs(size: ImageSize, seed: u64) -> Result<Mask, AnyError> {
    let mut state = seed;
    let mut random = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let mut mask = Mask::empty(size)?;
    for index in 0..BLOB_COUNT {
        let centre = ImagePoint::new(random() * size.width as f32, random() * size.height as f32);
        let radius = (0.01 + 0.03 * random()) * size.height as f32;
        let (waves, depth) = ((2.0 + 7.0 * random()).floor(), 0.3 * random());
        let outline: Vec<ImagePoint> = (0..180)
            .map(|step| {
                let angle = step as f32 * std::f32::consts::TAU / 180.0;
                let reach = radius * (1.0 + depth * (waves * angle).sin());
                ImagePoint::new(centre.x + reach * angle.cos(), centre.y + reach * angle.sin())
            })
            .collect();
        mask.fill_rings(&[outline], FillRule::NonZero, index % 5 != 4)?;
    }
    Ok(mask)
}
