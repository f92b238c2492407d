//! Times the real window without a display and prints JSON: `cargo bench --bench studio`.
//!
//! An image with many regions is opened in the application itself, and the pointer pans, zooms and paints. A frame's
//! CPU time is that of the whole pass (input, panels, tessellation, tiles); drawing by the software adapter is reported
//! apart. Without arguments: 2,000 regions on 8,000 x 8,000 pixels, then 10 to 10,000 regions, then 1 to 400 megapixels.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use eframe::egui::{
    Event, Key, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, TouchPhase, pos2, vec2,
};
use egui_kittest::Harness;
use samtok::app::{StartOptions, StudioApp};
use samtok::dataset::{Document, ImageRef, Region, Sidecar};
use samtok::geometry::{ImageSize, PixelRect};
use samtok::image_file::{RgbImage, write_rgb_png};
use samtok::mask::Mask;
use samtok::worker::network::load_tokenizer;
use serde_json::{Value, json};

type AnyError = Box<dyn Error>;

/// Frames of each gesture.
const FRAMES: usize = 60;

fn main() -> Result<(), AnyError> {
    // Words of thousands of regions would be made meanwhile; the figures are about the window.
    let regions: &[(u32, usize)] = &[
        (8000, 2000),
        (8000, 10),
        (8000, 100),
        (8000, 10_000),
        (1000, 500),
        (2000, 500),
        (4000, 500),
        (20_000, 500),
    ];
    let wanted: Option<usize> = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok());
    let mut rows = Vec::new();
    for (side, count) in regions.iter().take(wanted.unwrap_or(regions.len())) {
        let row = measure(*side, *count)?;
        writeln!(std::io::stderr(), "{row}")?;
        rows.push(row);
    }
    let results = json!({"frames": FRAMES, "cases": rows});
    writeln!(std::io::stdout(), "{results:#}")?;
    Ok(())
}

#[expect(
    clippy::expect_used,
    reason = "the harness asks for an app, and without one there is nothing to time"
)]
fn measure(side: u32, count: usize) -> Result<Value, AnyError> {
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("image.png");
    write_image(&image, side)?;
    write_regions(&image, side, count)?;
    let options = StartOptions {
        path: Some(image.clone()),
        ..StartOptions::default()
    };
    let start = Instant::now();
    let mut harness: Harness<'static, StudioApp> = Harness::builder()
        .with_size(vec2(1440.0, 900.0))
        .with_max_steps(2)
        .allow_missing_glyphs()
        .wgpu()
        .build_eframe(move |context| {
            StudioApp::new(context, options, load_tokenizer).expect("the app starts")
        });
    let first_frame_ms = ms(start.elapsed());
    let mut longest_frame_ms = 0.0_f64;
    while harness.state().session().open().is_none() {
        let frame = Instant::now();
        harness.step();
        longest_frame_ms = longest_frame_ms.max(ms(frame.elapsed()));
        std::thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..3 {
        let frame = Instant::now();
        harness.step();
        longest_frame_ms = longest_frame_ms.max(ms(frame.elapsed()));
    }
    let opened_ms = ms(start.elapsed());
    // Tiles of the first view are made over several frames.
    for _ in 0..400 {
        harness.step();
    }
    let start_rest = Instant::now();
    while harness.state().session().is_network_busy && start_rest.elapsed() < Duration::from_secs(120) {
        harness.step();
        std::thread::sleep(Duration::from_millis(20));
    }
    let middle = pos2(700.0, 480.0);
    harness.event(Event::PointerMoved(middle));
    let pan = gesture(&mut harness, |frame| pan_events(middle, frame));
    let zoom = gesture(&mut harness, |frame| zoom_events(middle, frame));
    harness.key_press(Key::B);
    harness.step();
    let brush = gesture(&mut harness, |frame| brush_events(middle, frame));
    let rest = gesture(&mut harness, |_| Vec::new());
    Ok(json!({
        "megapixels": f64::from(side) * f64::from(side) / 1e6,
        "regions": count,
        "first_frame_ms": first_frame_ms,
        "opened_ms": opened_ms,
        "longest_frame_while_opening_ms": longest_frame_ms,
        "pan": pan, "zoom": zoom, "brush": brush, "rest": rest,
        "peak_memory_mb": peak_memory_mb(),
    }))
}

/// CPU and drawing time of the frames of a gesture, in milliseconds.
fn gesture(harness: &mut Harness<'static, StudioApp>, events: impl Fn(usize) -> Vec<Event>) -> Value {
    let (mut cpu, mut draw) = (Vec::new(), Vec::new());
    for frame in 0..FRAMES {
        for event in events(frame) {
            harness.event(event);
        }
        let start = Instant::now();
        harness.step();
        cpu.push(ms(start.elapsed()));
        if frame % 10 == 0 {
            let start = Instant::now();
            let drawn = harness.render();
            assert!(drawn.is_ok(), "the frame is drawn");
            draw.push(ms(start.elapsed()));
        }
    }
    json!({"cpu_median_ms": median(&mut cpu), "cpu_p95_ms": cpu[cpu.len() * 95 / 100], "draw_median_ms": median(&mut draw)})
}

fn pan_events(middle: Pos2, frame: usize) -> Vec<Event> {
    let at = middle + vec2(((frame % 30) as f32 - 15.0) * 8.0, 0.0);
    let mut events = vec![Event::PointerMoved(at)];
    let button = |pressed| Event::PointerButton {
        pos: at,
        button: PointerButton::Middle,
        pressed,
        modifiers: Modifiers::NONE,
    };
    if frame == 0 {
        events.push(button(true));
    } else if frame == FRAMES - 1 {
        events.push(button(false));
    }
    events
}

fn zoom_events(middle: Pos2, frame: usize) -> Vec<Event> {
    let direction = if frame < FRAMES / 2 { 0.5 } else { -0.5 };
    vec![
        Event::PointerMoved(middle),
        Event::MouseWheel {
            unit: MouseWheelUnit::Line,
            delta: vec2(0.0, direction),
            phase: TouchPhase::Move,
            modifiers: Modifiers::NONE,
            source: MouseWheelSource::Wheel,
        },
    ]
}

fn brush_events(middle: Pos2, frame: usize) -> Vec<Event> {
    let angle = frame as f32 * 0.2;
    let at = middle + vec2(angle.cos(), angle.sin()) * 120.0;
    let button = |pressed| Event::PointerButton {
        pos: at,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    let mut events = vec![Event::PointerMoved(at)];
    if frame == 0 {
        events.push(button(true));
    } else if frame == FRAMES - 1 {
        events.push(button(false));
    }
    events
}

fn write_image(path: &Path, side: u32) -> Result<(), AnyError> {
    let row: Vec<u8> = (0..side)
        .flat_map(|x| [(x / 16 % 256) as u8, (x / 64 % 256) as u8, 90])
        .collect();
    let pixels = row.repeat(side as usize);
    write_rgb_png(
        path,
        &RgbImage {
            size: ImageSize::new(side, side),
            pixels,
        },
    )?;
    Ok(())
}

/// Ellipses that overlap their neighbours.
fn write_regions(image: &Path, side: u32, count: usize) -> Result<(), AnyError> {
    let size = ImageSize::new(side, side);
    let mut document = Document::new(ImageRef::new(image, size, None));
    let columns = (count as f64).sqrt().ceil() as u32;
    let cell = side / columns.max(1);
    for number in 0..count as u32 {
        let (left, top) = (number % columns * cell, number / columns * cell);
        let radius = f64::from(cell) * 0.62;
        let (cx, cy) = (
            f64::from(left) + f64::from(cell) / 2.0,
            f64::from(top) + f64::from(cell) / 2.0,
        );
        let rows = (0..(2.0 * radius) as u32).filter_map(|row| {
            let y = cy - radius + f64::from(row);
            let half = (radius * radius - (y - cy) * (y - cy)).max(0.0).sqrt();
            let (from, to) = (
                (cx - half).max(0.0) as u32,
                (cx + half).min(f64::from(side)) as u32,
            );
            (y >= 0.0 && y < f64::from(side) && to > from)
                .then(|| PixelRect::new(from, y as u32, to - from, 1))
        });
        let rects: Vec<PixelRect> = rows.collect();
        let mask = Mask::from_rects(size, &rects)?;
        let mut region = Region::new(format!("r{}", number + 1), mask.to_rle());
        region.label = format!("class {}", number % 7);
        document.regions.push(region);
    }
    let (mut sidecar, _) = Sidecar::load(image, size)?;
    sidecar.save(&document)?;
    Ok(())
}

fn ms(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 1e2
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn peak_memory_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1000)
}
