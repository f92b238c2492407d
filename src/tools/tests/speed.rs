//! How long a gesture may take; measured only if `SAMTOK_TIMED` is set, with the optimiser on.

use super::*;
use std::time::{Duration, Instant};

fn is_timed() -> bool {
    std::env::var_os("SAMTOK_TIMED").is_some()
}

/// The median time of some runs, told and compared with a limit.
fn assert_fast(what: &str, limit: Duration, mut run: impl FnMut(u32)) {
    let mut times: Vec<Duration> = (0..15)
        .map(|index| {
            let start = Instant::now();
            run(index);
            start.elapsed()
        })
        .collect();
    times.sort();
    let median = times[times.len() / 2];
    eprintln!("{what}: {median:?}, at most {:?}", times.last().unwrap());
    assert!(median < limit, "{what} took {median:?}");
}

#[test]
fn a_brush_sample_on_400_megapixels_takes_less_than_a_millisecond() {
    if !is_timed() {
        return;
    }
    for (diameter, step) in [(24.0, 30.0), (200.0, 80.0), (1000.0, 200.0)] {
        let mut desk = Desk::new(ToolKind::Brush, 20_000, 20_000);
        desk.toolbox.brush.size = BrushSize::from_diameter_px(diameter);
        drop(desk.press(9000.0, 9000.0));
        assert_fast(
            &format!("brush of {diameter} px"),
            Duration::from_millis(1),
            |index| {
                let along = index as f32 * step;
                drop(desk.drag(9000.0 + along, 9000.0 + along / 2.0));
            },
        );
    }
}

#[test]
fn a_wand_on_24_megapixels_keeps_up_with_the_hand() {
    if !is_timed() {
        return;
    }
    let size = ImageSize::new(6000, 4000);
    let mut random = Random(7);
    let pixels = (0..size.area()).flat_map(|index| {
        let (x, y) = ((index % 6000) as f64, (index / 6000) as f64);
        let grey = 120.0 + 60.0 * (x / 700.0).sin() * (y / 500.0).cos() + 12.0 * random.unit();
        [grey as u8; 3]
    });
    let pixels = pixels.collect();
    for reach in [Reach::Contiguous, Reach::Everywhere] {
        let mut desk = Desk::new(ToolKind::Wand, size.width, size.height);
        desk.image = Some(RgbImage {
            size,
            pixels: Vec::clone(&pixels),
        });
        desk.image_px_per_screen_px = 1.0;
        desk.toolbox.wand.reach = reach;
        drop(desk.press(3000.0, 2000.0));
        assert_fast(&format!("wand, {reach:?}"), Duration::from_millis(100), |index| {
            let levels = 3.0 * (index % 8 + 1) as f32;
            assert_eq!(desk.drag(3000.0 + 3.0 * levels, 2000.0), Response::Redraw);
        });
        drop(desk.release(3000.0, 2000.0));
        eprintln!("{} of {} pixels", desk.target.area(), size.area());
    }
}
