//! A seeded monkey at the keyboard and the mouse of the real window; `SAMTOK_MONKEY_SECONDS=3600` lets it play longer.

use std::time::{Duration, Instant};

use eframe::egui::{self, Event, Key, Modifiers, PointerButton, Pos2};

use super::tests::Desk;
use crate::command::Command;
use crate::dataset::{Edit, Sidecar, sidecar_path};
use crate::scenes::random::Rng;

/// How long it plays in an ordinary test run.
const USUAL: Duration = Duration::from_secs(4);

/// Commands that leave the window: dialogs of the system, other folders, the end.
const LEFT_OUT: [Command; 6] = [
    Command::OpenFolder,
    Command::OpenImage,
    Command::OpenSamples,
    Command::Quit,
    // These write files whose content other tests look at.
    Command::Export,
    Command::Import,
];

const TEXTS: [&str; 8] = [
    "a",
    "scratch ",
    "@",
    "[[r1]]",
    "杯子",
    "<|mt_start|><|mt_0003|><|mt_0260|><|mt_end|>",
    "\n",
    "status:draft",
];

#[test]
fn a_monkey_breaks_nothing_and_loses_nothing() {
    let seconds = std::env::var("SAMTOK_MONKEY_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let length = seconds.map_or(USUAL, Duration::from_secs);
    let seed = std::env::var("SAMTOK_MONKEY_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let mut random = Rng::new(seed);
    let mut desk = Desk::new(4);
    let start = Instant::now();
    let (mut actions, mut memory_at_half) = (0_u64, None);
    while start.elapsed() < length {
        act(&mut desk, &mut random);
        actions += 1;
        if memory_at_half.is_none() && start.elapsed() > length / 2 {
            memory_at_half = resident_mb();
        }
        if actions.is_multiple_of(50) {
            look_at_disk(&mut desk);
            tidy(&mut desk);
            desk.harness.render().expect("the frame is drawn");
        }
    }
    look_at_disk(&mut desk);
    let (half, end) = (memory_at_half.unwrap_or(0), resident_mb().unwrap_or(0));
    eprintln!("seed {seed}: {actions} actions in {length:?}, {half} MB at half time and {end} MB at the end");
    if length > Duration::from_secs(60) {
        assert!(
            end < half + half / 4 + 50,
            "memory grows: {half} MB at half time, {end} MB at the end"
        );
    }
}

fn act(desk: &mut Desk, random: &mut Rng) {
    match below(random, 10) {
        0 | 1 => {
            let command = Command::ALL[below(random, Command::ALL.len())];
            if !LEFT_OUT.contains(&command) {
                desk.harness.state_mut().queue.push(command);
                desk.step(2);
            }
        }
        2 => {
            let keys = [
                Key::Escape,
                Key::Enter,
                Key::Backspace,
                Key::Delete,
                Key::Tab,
                Key::ArrowLeft,
                Key::Space,
                Key::Num1,
                Key::B,
                Key::V,
                Key::R,
            ];
            let key = keys[below(random, keys.len())];
            let modifiers = [
                Modifiers::NONE,
                Modifiers::SHIFT,
                Modifiers::COMMAND,
                Modifiers::ALT,
            ][below(random, 4)];
            if !(key == Key::Q && modifiers.command) {
                desk.press_with(modifiers, key);
            }
        }
        3 => desk.type_text(TEXTS[below(random, TEXTS.len())]),
        4 | 5 => {
            // Anywhere in the window, but not on the menus that open dialogs of the system.
            let at = Pos2::new(below(random, 1280) as f32, 30.0 + below(random, 740) as f32);
            let button = if below(random, 4) == 0 {
                PointerButton::Secondary
            } else {
                PointerButton::Primary
            };
            desk.move_to(at);
            desk.button(at, button, true, Modifiers::NONE);
            desk.button(at, button, false, Modifiers::NONE);
        }
        6 => {
            desk.harness.event(Event::MouseWheel {
                unit: egui::MouseWheelUnit::Line,
                delta: egui::vec2(0.0, below(random, 5) as f32 - 2.0),
                phase: egui::TouchPhase::Move,
                modifiers: if below(random, 3) == 0 {
                    Modifiers::COMMAND
                } else {
                    Modifiers::NONE
                },
                source: egui::MouseWheelSource::Wheel,
            });
            desk.step(1);
        }
        7 => {
            desk.harness
                .event(Event::Paste(TEXTS[below(random, TEXTS.len())].to_owned()));
            desk.step(1);
        }
        _ => {
            if desk.app().canvas.view().is_none() {
                return desk.step(1);
            }
            let point =
                |random: &mut Rng| (below(random, 240) as f32 - 20.0, below(random, 200) as f32 - 20.0);
            let points: Vec<(f32, f32)> = (0..1 + below(random, 6)).map(|_| point(random)).collect();
            let button = [
                PointerButton::Primary,
                PointerButton::Primary,
                PointerButton::Secondary,
                PointerButton::Middle,
            ][below(random, 4)];
            let modifiers = [
                Modifiers::NONE,
                Modifiers::NONE,
                Modifiers::SHIFT,
                Modifiers::ALT,
                Modifiers::COMMAND,
            ][below(random, 5)];
            desk.drag_with(&points, button, modifiers);
        }
    }
    // A dialog of the system would wait for a person who is not there.
    desk.harness.state_mut().native = None;
}

/// A number below `count`.
fn below(random: &mut Rng, count: usize) -> usize {
    random.int(0, count - 1)
}

/// What is on screen must be what is on disk, once it is saved.
fn look_at_disk(desk: &mut Desk) {
    desk.press(Key::Escape);
    if desk.app().session.open().is_none() {
        return;
    }
    desk.until("saving", |app| {
        app.session.is_saved() && app.session.open().is_some_and(|open| open.live_mask().is_none())
    });
    let open = desk.app().session.open().unwrap();
    let on_disk = Sidecar::open(&sidecar_path(&open.path)).unwrap().1;
    match on_disk {
        Some(on_disk) => assert_eq!(on_disk.regions, open.document().regions),
        None => assert!(open.document().regions.is_empty()),
    }
}

/// Throws away what became too much to look at, so that growing memory is a leak and not more and more data.
fn tidy(desk: &mut Desk) {
    const MOST_REGIONS: usize = 100;
    const MOST_TEXT: usize = 20_000;
    let Some(open) = desk.app().session.open() else {
        return;
    };
    let document = open.document();
    let turns = document
        .conversations
        .iter()
        .flat_map(|conversation| &conversation.turns);
    let text = turns.map(|turn| turn.text.len()).sum::<usize>() + document.notes.len();
    let mut edits = Vec::new();
    if text > MOST_TEXT {
        let conversations = document.conversations.iter();
        edits.extend(conversations.map(|conversation| Edit::RemoveConversation {
            id: conversation.id.clone(),
        }));
        edits.push(Edit::Notes(String::new()));
    }
    let captions = document.regions.iter().flat_map(|region| &region.captions);
    let captions = captions.map(|caption| caption.text.len()).sum::<usize>();
    let has_too_much = document.regions.len() > MOST_REGIONS || captions > MOST_TEXT;
    desk.harness.state_mut().session.apply(edits);
    if has_too_much {
        let queue = &mut desk.harness.state_mut().queue;
        queue.extend([Command::SelectAll, Command::Delete]);
        desk.step(2);
    }
}

fn resident_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1000)
}
