//! The real window without a display, driven by its accessible names; only the network is scripted, but for one test.

mod language;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use eframe::egui::{self, Event, Key, Modifiers, PointerButton, Pos2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;

use super::{StartOptions, StudioApp};
use crate::command::Command;
use crate::dataset::{Sidecar, Status, sidecar_path};
use crate::geometry::{ImagePoint, ImageSize, PixelRect};
use crate::image_file::{RgbImage, write_rgb_png};
use crate::mask::Mask;
use crate::session::{ModelState, Session};
use crate::settings::{Language, Settings, Theme};
use crate::tools::ToolKind;
use crate::worker::network::{ModelChoice, load_tokenizer, scripted};

const SIZE: ImageSize = ImageSize::new(200, 160);

/// A window over a folder of images.
pub(super) struct Desk {
    folder: tempfile::TempDir,
    pub(super) harness: Harness<'static, StudioApp>,
}

impl Desk {
    pub(super) fn new(images: usize) -> Self {
        Self::with_model(images, "scripted")
    }

    fn with_model(images: usize, model: &str) -> Self {
        let choice = ModelChoice {
            path: Some(model.into()),
            ..ModelChoice::default()
        };
        Self::build(images, Some(choice), scripted::load)
    }

    fn build<M: crate::worker::network::MaskModel + 'static>(
        images: usize,
        model: Option<ModelChoice>,
        load: impl Fn(&ModelChoice) -> Result<M, String> + Send + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..images {
            let pixels = (0..SIZE.area())
                .flat_map(|place| {
                    let (x, y) = (place % u64::from(SIZE.width), place / u64::from(SIZE.width));
                    // A bright square on dark ground, for the wand.
                    let is_bright = (60..100).contains(&x) && (40..80).contains(&y);
                    [if is_bright { 220 } else { 30 }, 60, number as u8]
                })
                .collect();
            write_rgb_png(
                &folder.path().join(format!("{number}.png")),
                &RgbImage { size: SIZE, pixels },
            )
            .unwrap();
        }
        let settings = folder.path().join(".settings").join("settings.json");
        let seen = Settings {
            is_hint_seen: true,
            ..Settings::default()
        };
        seen.write(&settings).unwrap();
        let options = StartOptions {
            path: Some(folder.path().to_path_buf()),
            model,
            settings: Some(settings),
            cache: None,
        };
        let harness = Harness::builder()
            .with_size(egui::vec2(1280.0, 800.0))
            .with_max_steps(4)
            // The bundled fonts have no Chinese; those of the system do.
            .allow_missing_glyphs()
            .wgpu()
            .build_eframe(move |context| StudioApp::new(context, options, load).expect("the app starts"));
        let mut desk = Self { folder, harness };
        desk.until("the first image", |app| {
            app.session.open().is_some() && !matches!(app.session.model, ModelState::Loading)
        });
        desk.step(3);
        desk
    }

    pub(super) fn app(&self) -> &StudioApp {
        self.harness.state()
    }

    pub(super) fn step(&mut self, steps: usize) {
        for _ in 0..steps {
            self.harness.step();
        }
    }

    /// Draws frames until something is so.
    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&StudioApp) -> bool) {
        let start = Instant::now();
        while !is_so(self.app()) {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "still waiting for {what}: {:?}",
                self.app().session.notices.all()
            );
            self.step(1);
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Waits until the window asks for no more frames, however long thumbnails and fading take.
    pub(super) fn rests(&mut self) {
        let start = Instant::now();
        let mut quiet_frames = 0;
        while quiet_frames < 20 {
            self.step(1);
            std::thread::sleep(Duration::from_millis(10));
            let wishes = self.harness.ctx.has_requested_repaint();
            quiet_frames = if wishes { 0 } else { quiet_frames + 1 };
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "the window asks for frames while it rests: {:?}",
                self.harness.ctx.repaint_causes()
            );
        }
    }

    pub(super) fn press(&mut self, key: Key) {
        self.press_with(Modifiers::NONE, key);
    }

    pub(super) fn press_with(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.step(2);
    }

    pub(super) fn type_text(&mut self, text: &str) {
        self.harness.event(Event::Text(text.to_owned()));
        self.step(2);
    }

    /// Where a pixel of the image is in the window.
    fn at(&self, x: f32, y: f32) -> Pos2 {
        self.app()
            .canvas
            .view()
            .expect("an image is shown")
            .ui_from_image(ImagePoint::new(x, y))
    }

    pub(super) fn button(&mut self, at: Pos2, button: PointerButton, pressed: bool, modifiers: Modifiers) {
        self.harness.event(Event::PointerButton {
            pos: at,
            button,
            pressed,
            modifiers,
        });
        self.step(1);
    }

    pub(super) fn move_to(&mut self, at: Pos2) {
        self.harness.event(Event::PointerMoved(at));
        self.step(1);
    }

    pub(super) fn drag(&mut self, points: &[(f32, f32)]) {
        self.drag_with(points, PointerButton::Primary, Modifiers::NONE);
    }

    pub(super) fn drag_with(&mut self, points: &[(f32, f32)], button: PointerButton, modifiers: Modifiers) {
        let points: Vec<Pos2> = points.iter().map(|(x, y)| self.at(*x, *y)).collect();
        self.move_to(points[0]);
        self.button(points[0], button, true, modifiers);
        for at in &points[1..] {
            self.move_to(*at);
        }
        self.button(points[points.len() - 1], button, false, modifiers);
        self.step(1);
    }

    fn click(&mut self, x: f32, y: f32) {
        self.drag(&[(x, y)]);
    }

    fn click_label(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.step(3);
    }

    pub(super) fn areas(&self) -> Vec<u64> {
        let open = self.app().session.open().unwrap();
        open.document()
            .regions
            .iter()
            .map(|region| region.mask.rle.area())
            .collect()
    }

    fn mask(&self, place: usize) -> Mask {
        Mask::from_rle(
            &self.app().session.open().unwrap().document().regions[place]
                .mask
                .rle,
        )
    }

    pub(super) fn saved(&mut self) {
        self.until("saving", |app| app.session.is_saved());
    }

    pub(super) fn path(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("{number}.png"))
    }
}

#[test]
fn every_tool_makes_a_region() {
    let mut desk = Desk::new(1);
    desk.press(Key::R);
    desk.drag(&[(10.0, 10.0), (20.0, 20.0), (30.0, 40.0)]);
    assert_eq!(desk.areas(), [600]);
    assert_eq!(desk.mask(0).bounding_box(), Some(PixelRect::new(10, 10, 20, 30)));
    desk.press(Key::O);
    desk.drag(&[(50.0, 10.0), (60.0, 20.0), (90.0, 50.0)]);
    let ellipse = desk.areas()[1] as f64;
    assert!(
        (ellipse - 20.0 * 20.0 * std::f64::consts::PI).abs() < 40.0,
        "{ellipse}"
    );
    desk.press(Key::L);
    desk.drag(&[
        (100.0, 10.0),
        (140.0, 10.0),
        (140.0, 50.0),
        (100.0, 50.0),
        (100.0, 12.0),
    ]);
    assert!((desk.areas()[2] as i64 - 1600).abs() < 60, "{:?}", desk.areas());
    desk.press(Key::P);
    for (x, y) in [(150.0, 100.0), (190.0, 100.0), (190.0, 140.0)] {
        desk.click(x, y);
    }
    desk.press(Key::Enter);
    assert!((desk.areas()[3] as i64 - 800).abs() < 40, "{:?}", desk.areas());
    desk.press_with(Modifiers::SHIFT, Key::W);
    desk.click(80.0, 60.0);
    assert_eq!(desk.mask(4).bounding_box(), Some(PixelRect::new(60, 40, 40, 40)));
    desk.press(Key::Escape);
    desk.press(Key::B);
    desk.drag(&[(20.0, 120.0), (40.0, 120.0), (60.0, 120.0)]);
    let painted = desk.areas()[5];
    assert!(painted > 24 * 40 && painted < 24 * 40 + 24 * 24, "{painted}");
    // The region is selected now: the eraser and the other button take from it.
    desk.press(Key::E);
    desk.drag(&[(40.0, 120.0)]);
    assert!(desk.areas()[5] < painted - 300);
    desk.press(Key::Q);
    desk.press(Key::Escape);
    desk.click(150.0, 60.0);
    desk.until("the proposal", |app| {
        app.session
            .proposal
            .as_ref()
            .is_some_and(|proposal| proposal.mask().is_some())
    });
    desk.press(Key::Enter);
    assert_eq!(desk.mask(6).bounding_box(), Some(PixelRect::new(140, 50, 20, 20)));
    desk.until("words of all regions", |app| {
        app.session
            .open()
            .unwrap()
            .document()
            .regions
            .iter()
            .all(|region| region.words.is_some())
    });
    for _ in 0..8 {
        desk.press_with(Modifiers::COMMAND, Key::Z);
    }
    assert!(desk.areas().is_empty());
    for _ in 0..8 {
        desk.press_with(Modifiers::COMMAND | Modifiers::SHIFT, Key::Z);
    }
    assert_eq!(desk.areas().len(), 7);
}

#[test]
fn shapes_add_to_and_subtract_from_the_selected_region() {
    let mut desk = Desk::new(1);
    desk.press(Key::R);
    desk.drag(&[(10.0, 10.0), (50.0, 50.0)]);
    desk.press_with(Modifiers::ALT, Key::Num2);
    desk.drag(&[(50.0, 10.0), (70.0, 50.0)]);
    assert_eq!(desk.areas(), [2400]);
    desk.press_with(Modifiers::ALT, Key::Num3);
    desk.drag(&[(20.0, 20.0), (30.0, 30.0)]);
    assert_eq!(desk.areas(), [2300]);
    desk.press_with(Modifiers::ALT, Key::Num4);
    desk.drag(&[(0.0, 0.0), (40.0, 40.0)]);
    assert_eq!(desk.areas(), [800]);
    // A gesture that is given up changes nothing.
    let at = desk.at(60.0, 60.0);
    desk.move_to(at);
    desk.button(at, PointerButton::Primary, true, Modifiers::NONE);
    let to = desk.at(90.0, 90.0);
    desk.move_to(to);
    desk.press(Key::Escape);
    desk.button(to, PointerButton::Primary, false, Modifiers::NONE);
    assert_eq!(desk.areas(), [800]);
}

#[test]
fn selecting_moving_and_deleting() {
    let mut desk = Desk::new(1);
    desk.press(Key::R);
    desk.drag(&[(10.0, 10.0), (50.0, 50.0)]);
    desk.drag(&[(100.0, 100.0), (140.0, 140.0)]);
    desk.press(Key::V);
    desk.click(30.0, 30.0);
    assert_eq!(desk.app().session.open().unwrap().selected(), ["r1"]);
    desk.drag(&[(30.0, 30.0), (40.0, 30.0), (50.0, 40.0)]);
    assert_eq!(desk.mask(0).bounding_box(), Some(PixelRect::new(30, 20, 40, 40)));
    desk.press(Key::ArrowLeft);
    assert_eq!(desk.mask(0).bounding_box(), Some(PixelRect::new(29, 20, 40, 40)));
    desk.press(Key::J);
    assert_eq!(desk.app().session.open().unwrap().selected(), ["r2"]);
    desk.press(Key::Delete);
    assert_eq!(desk.areas(), [1600]);
    desk.click_label("Region r1");
    assert_eq!(desk.app().session.open().unwrap().selected(), ["r1"]);
}

#[test]
fn a_caption_mentions_a_region_by_key_and_by_click() {
    let mut desk = Desk::new(1);
    desk.press(Key::R);
    desk.drag(&[(10.0, 10.0), (50.0, 50.0)]);
    desk.press(Key::F2);
    desk.type_text("nut");
    desk.press(Key::Enter);
    desk.drag(&[(100.0, 100.0), (140.0, 140.0)]);
    desk.press(Key::V);
    desk.press(Key::I);
    desk.step(3);
    desk.type_text("beside @nu");
    desk.press(Key::Enter);
    desk.step(2);
    let caption = |desk: &Desk| {
        desk.app().session.open().unwrap().document().regions[1].captions[0]
            .text
            .clone()
    };
    assert_eq!(caption(&desk), "beside [[r1]]");
    desk.type_text(" and ");
    desk.click(120.0, 120.0);
    desk.step(3);
    assert_eq!(caption(&desk), "beside [[r1]] and [[r2]]");
    assert_eq!(desk.app().session.open().unwrap().selected(), ["r2"]);
    desk.saved();
    let document = Sidecar::open(&sidecar_path(&desk.path(0))).unwrap().1.unwrap();
    assert_eq!(document.regions[1].captions[0].text, "beside [[r1]] and [[r2]]");
}

#[test]
fn a_conversation_of_two_rounds() {
    let mut desk = Desk::new(1);
    desk.press(Key::R);
    desk.drag(&[(10.0, 10.0), (50.0, 50.0)]);
    desk.press(Key::V);
    desk.press(Key::C);
    desk.step(3);
    desk.type_text(" What is this?");
    desk.press(Key::Escape);
    desk.click_label("Add a question and an answer");
    desk.step(3);
    desk.type_text("Why?");
    let turns = |desk: &Desk| -> Vec<String> {
        desk.app().session.open().unwrap().document().conversations[0]
            .turns
            .iter()
            .map(|turn| turn.text.clone())
            .collect()
    };
    assert_eq!(turns(&desk), ["[[r1]] What is this?", "", "Why?", ""]);
    desk.press(Key::Escape);
    desk.press_with(Modifiers::COMMAND, Key::Z);
    assert_eq!(turns(&desk)[2], "");
}

#[test]
fn review_by_keyboard() {
    let mut desk = Desk::new(3);
    let first = desk.path(0);
    desk.press_with(Modifiers::COMMAND, Key::Enter);
    desk.until("the next image", |app| {
        app.session.open().is_some_and(|open| open.path != first)
    });
    desk.press(Key::A);
    desk.until("the image before", |app| {
        app.session.open().is_some_and(|open| open.path == first)
    });
    assert_eq!(desk.app().session.open().unwrap().document().status, Status::Done);
    desk.press_with(Modifiers::COMMAND | Modifiers::SHIFT, Key::R);
    desk.type_text("ragged");
    desk.press_with(Modifiers::COMMAND, Key::Enter);
    desk.saved();
    let document = Sidecar::open(&sidecar_path(&first)).unwrap().1.unwrap();
    assert_eq!(
        (document.status, document.notes.as_str()),
        (Status::Rejected, "ragged")
    );
}

#[test]
fn changes_of_others_appear() {
    let mut desk = Desk::new(1);
    desk.press(Key::R);
    desk.drag(&[(10.0, 10.0), (50.0, 50.0)]);
    desk.until("words", |app| {
        app.session.open().unwrap().document().regions[0].words.is_some()
    });
    desk.saved();
    let (mut sidecar, document) = Sidecar::open(&sidecar_path(&desk.path(0))).unwrap();
    let mut document = document.unwrap();
    document.regions[0].label = "from elsewhere".to_owned();
    sidecar.save(&document).unwrap();
    desk.press(Key::F5);
    desk.until("the merge", |app| {
        app.session.open().unwrap().document().regions[0].label == "from elsewhere"
    });
    desk.step(2);
    desk.harness.get_by_label("Region r1 from elsewhere");
}

#[test]
fn a_broken_model_leaves_the_window_working() {
    let mut desk = Desk::with_model(1, "broken");
    desk.harness.get_by_label("no model");
    desk.press(Key::R);
    desk.drag(&[(10.0, 10.0), (50.0, 50.0)]);
    desk.saved();
    desk.click_label("no model");
    desk.click_label("Built-in model");
    desk.until("the model", |app| app.session.model_info().is_some());
    desk.until("words", |app| {
        app.session.open().unwrap().document().regions[0].words.is_some()
    });
}

#[test]
fn a_model_that_panics_is_told() {
    let mut desk = Desk::with_model(1, "panics");
    desk.until("the failure", |app| {
        matches!(app.session.model, ModelState::Failed(_))
    });
    desk.press(Key::R);
    desk.drag(&[(10.0, 10.0), (50.0, 50.0)]);
    desk.saved();
    assert_eq!(desk.areas(), [1600]);
}

#[test]
fn words_for_the_folder_can_be_stopped() {
    let mut desk = Desk::with_model(2, "slow");
    desk.press_with(Modifiers::COMMAND, Key::K);
    desk.type_text("make words for the folder");
    desk.press(Key::Enter);
    desk.until("the job", |app| app.session.batch.title.is_some());
    desk.step(2);
    desk.click_label("Stop");
    desk.until("the end", |app| app.session.batch.title.is_none());
    assert!(
        desk.app()
            .session
            .notices
            .all()
            .iter()
            .any(|notice| notice.text.contains("stopped before the end"))
    );
}

#[test]
fn the_palette_and_the_key_sheet_change_the_window() {
    let mut desk = Desk::new(1);
    desk.press_with(Modifiers::COMMAND, Key::K);
    desk.type_text("dark or light");
    desk.press(Key::Enter);
    assert_eq!(desk.app().settings.theme, Theme::Light);
    desk.press_with(Modifiers::COMMAND, Key::K);
    desk.type_text("english");
    desk.press(Key::Enter);
    assert_eq!(desk.app().settings.language, Language::Chinese);
    desk.step(2);
    desk.harness.get_by_label("文件");
    desk.press(Key::F1);
    desk.step(2);
    desk.click_label("搜索快捷键");
    desk.type_text("画笔");
    desk.click_label("画笔: B");
    desk.press(Key::F9);
    assert_eq!(
        desk.app().settings.keys_of(Command::ToolBrush),
        ["F9".parse().unwrap()]
    );
    desk.press(Key::Escape);
    desk.press(Key::F9);
    assert_eq!(desk.app().tools.active(), ToolKind::Brush);
}

#[test]
fn zooming_stays_at_the_pointer_and_panning_works_during_any_tool() {
    let mut desk = Desk::new(1);
    desk.press(Key::B);
    let at = desk.at(60.0, 40.0);
    desk.move_to(at);
    let wheel = Event::MouseWheel {
        unit: egui::MouseWheelUnit::Line,
        delta: egui::vec2(0.0, 3.0),
        modifiers: Modifiers::NONE,
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Wheel,
    };
    let before = desk.app().canvas.view().unwrap().zoom();
    desk.harness.event(wheel);
    desk.step(2);
    assert!(desk.app().canvas.view().unwrap().zoom() > 1.5 * before);
    assert!(desk.at(60.0, 40.0).distance(at) < 1.0);
    let to = at + egui::vec2(50.0, 30.0);
    desk.button(at, PointerButton::Middle, true, Modifiers::NONE);
    desk.move_to(to);
    desk.button(to, PointerButton::Middle, false, Modifiers::NONE);
    assert!(
        desk.at(60.0, 40.0).distance(to) < 2.0,
        "{:?} {to:?}",
        desk.at(60.0, 40.0)
    );
    assert!(desk.areas().is_empty());
}

#[test]
fn the_default_model_answers_in_the_real_window() {
    let mut desk = Desk::build(1, None, load_tokenizer);
    desk.press(Key::R);
    desk.drag(&[(60.0, 40.0), (100.0, 80.0)]);
    desk.until("words", |app| {
        app.session
            .open()
            .unwrap()
            .document()
            .regions
            .first()
            .is_some_and(|region| region.words.as_ref().is_some_and(|words| words.iou.is_some()))
    });
    desk.until("the rebuilt mask", |app| {
        !app.session.open().unwrap().rebuilt.is_empty()
    });
    desk.press(Key::T);
    desk.step(2);
    desk.harness.get_by_label("rebuilt from the words");
    let _: &Session = &desk.app().session;
    assert_eq!(desk.app().session.model_info().unwrap().name, "samtok-nano");
}

#[test]
fn nothing_is_drawn_when_nothing_happens() {
    let mut desk = Desk::new(2);
    desk.until("rest", |app| {
        !app.session.is_network_busy && app.session.is_saved()
    });
    desk.rests();
}
