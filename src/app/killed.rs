//! The window is killed while somebody draws: what was drawn before the stroke in progress is on disk.
//!
//! `SAMTOK_STRESS=1` kills it more often.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use eframe::egui::Key;

use super::tests::Desk;
use crate::dataset::{Sidecar, sidecar_path};
use crate::scenes::random::Rng;

/// Tells the process that is killed from an ordinary run of this test.
const CHILD: &str = "SAMTOK_KILLED_WINDOW";

/// Draws rectangles until it is killed; each line on its output says how many the window calls saved.
fn draw() {
    let mut desk = Desk::new(1);
    eprintln!("folder {}", desk.path(0).display());
    desk.press(Key::R);
    for stroke in 0..200_u8 {
        let (x, y) = (f32::from(stroke % 16) * 12.0, f32::from(stroke / 16) * 12.0);
        desk.drag(&[(x, y), (x + 4.0, y + 4.0), (x + 8.0, y + 8.0)]);
        desk.saved();
        eprintln!("saved {}", desk.areas().len());
    }
}

#[test]
fn a_killed_window_loses_at_most_the_stroke_in_progress() {
    if std::env::var_os(CHILD).is_some() {
        return draw();
    }
    let rounds = if std::env::var_os("SAMTOK_STRESS").is_some() {
        40
    } else {
        2
    };
    let mut random = Rng::new(7);
    let mut most = 0;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "app::killed::a_killed_window_loses_at_most_the_stroke_in_progress",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let folder = lines.find_map(|line| line.strip_prefix("folder ").map(PathBuf::from));
        let image = folder.expect("the window names its image");
        let last = random.int(1, 12);
        // The pipe stays open, or the window would notice before it is killed.
        let saved = lines
            .by_ref()
            .filter_map(|line| line.strip_prefix("saved ")?.parse::<usize>().ok())
            .find(|saved| *saved == last)
            .expect("the window draws");
        std::thread::sleep(Duration::from_millis(random.int(0, 120) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let on_disk = Sidecar::open(&sidecar_path(&image)).unwrap().1;
        let regions = on_disk.map_or(0, |document| document.regions.len());
        assert!(
            regions >= saved,
            "round {round}: {saved} strokes were saved, {regions} are on disk"
        );
        most = most.max(regions);
        std::fs::remove_dir_all(image.parent().unwrap()).unwrap();
    }
    assert!(most > 0, "nothing was ever drawn");
}
