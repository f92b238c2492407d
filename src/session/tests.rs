//! The session as the window drives it, with real files and a scripted network.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::words::{WordsState, words_state};
use super::{ModelState, SaveState, Session, SessionOptions, Severity};
use crate::command::Command;
use crate::dataset::{Caption, Edit, RegionChange, Sidecar, Status, sidecar_path};
use crate::geometry::{ImagePoint, ImageSize, PixelRect};
use crate::image_file::{RgbImage, write_rgb_png};
use crate::interchange::training::Container;
use crate::mask::Mask;
use crate::tools::{Combine, Patch, PromptPoint, PromptRequest};
use crate::worker::batch::Exchange;
use crate::worker::language::OpenEngine;
use crate::worker::network::{ModelChoice, scripted};

pub(super) const SIZE: ImageSize = ImageSize::new(120, 80);

pub(super) struct Desk {
    folder: tempfile::TempDir,
    pub(super) session: Session,
}

impl Desk {
    fn new(images: usize) -> Self {
        Self::with_language(images, Box::new(|_, _, _| Err("there is none".to_owned())))
    }

    pub(super) fn with_language(images: usize, open: Box<OpenEngine>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..images {
            let pixels = (0..3 * SIZE.area())
                .map(|place| (place as usize * (number + 1) % 251) as u8)
                .collect();
            write_rgb_png(
                &folder.path().join(format!("{number}.png")),
                &RgbImage { size: SIZE, pixels },
            )
            .unwrap();
        }
        let session =
            Session::start_with(SessionOptions::default(), scripted::load, open, Arc::new(|| {})).unwrap();
        let mut desk = Self { folder, session };
        let path = desk.folder.path().to_path_buf();
        desk.session.open_path(&path);
        desk.until("the first image", |session| {
            session.open().is_some() && session.model_info().is_some()
        });
        desk
    }

    /// Lets the workers work until something is so.
    pub(super) fn until(&mut self, what: &str, is_so: impl Fn(&Session) -> bool) {
        let start = Instant::now();
        loop {
            self.session.update();
            if is_so(&self.session) {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "still waiting for {what}: {:?}",
                self.session.notices.all()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(super) fn path(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("{number}.png"))
    }

    pub(super) fn show(&mut self, number: usize) {
        let path = self.path(number);
        self.session.open_image(&path);
        self.until("an image", |session| {
            session.open().is_some_and(|open| open.path == path)
        });
    }

    pub(super) fn add(&mut self, rect: PixelRect) {
        let patch = Patch::around(&Mask::from_rects(SIZE, &[rect]).unwrap()).unwrap();
        self.session.commit(&patch, Combine::Replace, "rectangle");
    }

    pub(super) fn saved(&mut self) {
        self.until("saving", Session::is_saved);
    }

    pub(super) fn on_disk(&self, number: usize) -> crate::dataset::Document {
        Sidecar::open(&sidecar_path(&self.path(number)))
            .unwrap()
            .1
            .expect("a sidecar")
    }
}

#[test]
fn a_new_region_gets_words_and_everything_is_saved_by_itself() {
    let mut desk = Desk::new(1);
    desk.add(PixelRect::new(30, 20, 20, 20));
    desk.until("words", |session| {
        session.open().unwrap().document().regions[0].words.is_some()
    });
    desk.saved();
    let document = desk.on_disk(0);
    let words = document.regions[0].words.as_ref().unwrap();
    assert_eq!(
        (words.codes.as_slice(), words.tokenizer.as_str()),
        (&[2, 1][..], "T1")
    );
    assert!(document.regions[0].has_fresh_words());
    assert_eq!(
        document.image.blake3.as_deref(),
        Some(desk.session.open().unwrap().image.blake3().as_str())
    );
    // An edit of the mask makes the words anew.
    desk.session.execute(Command::Grow);
    desk.until("other words", |session| {
        let open = session.open().unwrap();
        words_state(open.document(), &open.document().regions[0], session.model_info()) == WordsState::Fresh
            && open.document().regions[0].mask.rle.area() > 400
    });
}

#[test]
fn strokes_paint_a_new_region_and_then_the_selected_one() {
    let mut desk = Desk::new(1);
    let dab =
        |x: u32| Patch::around(&Mask::from_rects(SIZE, &[PixelRect::new(x, 10, 5, 5)]).unwrap()).unwrap();
    let open = desk.session.open_mut().unwrap();
    for x in [10, 14, 18] {
        assert_eq!(
            open.stroke(Some(&dab(x)), Combine::Add, false).unwrap(),
            Some(PixelRect::new(x, 10, 5, 5))
        );
    }
    assert!(open.document().regions.is_empty() && open.live_mask().is_some());
    open.end_stroke(|document, mask| crate::dataset::Region::new(document.next_region_id(), mask))
        .unwrap();
    assert_eq!(
        (open.document().regions[0].mask.rle.area(), open.selected()),
        (65, &["r1".to_owned()][..])
    );
    open.stroke(Some(&dab(40)), Combine::Add, false).unwrap();
    open.cancel_stroke();
    assert_eq!(open.document().regions[0].mask.rle.area(), 65);
    open.stroke(Some(&dab(10)), Combine::Subtract, false).unwrap();
    open.end_stroke(|_, _| unreachable!()).unwrap();
    assert_eq!(open.document().regions[0].mask.rle.area(), 40);
    desk.session.execute(Command::Undo);
    assert_eq!(
        desk.session.open().unwrap().document().regions[0].mask.rle.area(),
        65
    );
    desk.session.execute(Command::Undo);
    assert!(desk.session.open().unwrap().document().regions.is_empty());
    desk.session.execute(Command::Redo);
    desk.session.execute(Command::Redo);
    assert_eq!(
        desk.session.open().unwrap().document().regions[0].mask.rle.area(),
        40
    );
}

#[test]
fn undo_is_per_image_and_survives_leaving_it() {
    let mut desk = Desk::new(3);
    desk.add(PixelRect::new(10, 10, 20, 20));
    desk.show(1);
    desk.add(PixelRect::new(50, 30, 10, 10));
    desk.session.execute(Command::Undo);
    assert!(desk.session.open().unwrap().document().regions.is_empty());
    desk.session.execute(Command::Undo);
    desk.show(0);
    assert_eq!(desk.session.open().unwrap().document().regions.len(), 1);
    desk.session.execute(Command::Undo);
    assert!(desk.session.open().unwrap().document().regions.is_empty());
    desk.session.execute(Command::Redo);
    assert_eq!(desk.session.open().unwrap().document().regions.len(), 1);
}

#[test]
fn the_work_of_others_is_taken_over_and_conflicts_are_told() {
    let mut desk = Desk::new(1);
    desk.add(PixelRect::new(10, 10, 20, 20));
    desk.until("words", |session| {
        session.open().unwrap().document().regions[0].words.is_some()
    });
    desk.saved();
    let (mut other, document) = Sidecar::open(&sidecar_path(&desk.path(0))).unwrap();
    let mut document = document.unwrap();
    document.regions[0].label = "theirs".to_owned();
    document.notes = "from elsewhere".to_owned();
    document.touch(crate::dataset::Timestamp::now());
    other.save(&document).unwrap();
    desk.session.set_label("ours");
    desk.until("the merge", |session| {
        session.open().unwrap().document().notes == "from elsewhere"
    });
    assert_eq!(desk.session.open().unwrap().document().regions[0].label, "ours");
    assert!(
        desk.session
            .notices
            .all()
            .iter()
            .any(|notice| notice.severity == Severity::Warning && !notice.details.is_empty())
    );
    desk.saved();
    assert_eq!(
        (
            desk.on_disk(0).regions[0].label.as_str(),
            desk.on_disk(0).notes.as_str()
        ),
        ("ours", "from elsewhere")
    );
}

#[test]
fn what_cannot_be_read_is_never_overwritten() {
    let mut desk = Desk::new(2);
    let path = sidecar_path(&desk.path(1));
    fs::write(&path, "{ this is no sidecar").unwrap();
    let image = desk.path(1);
    // Another session, since this one may have read the image ahead before it was damaged.
    desk.session = Session::start(SessionOptions::default(), scripted::load, Arc::new(|| {})).unwrap();
    desk.session.open_path(&image);
    desk.until("the image", |session| {
        session.open().is_some_and(|open| open.path == image)
    });
    assert!(matches!(
        desk.session.open().unwrap().save_state(),
        SaveState::ReadOnly(_)
    ));
    desk.add(PixelRect::new(10, 10, 20, 20));
    assert!(desk.session.open().unwrap().document().regions.is_empty());
    desk.show(0);
    drop(desk.session);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{ this is no sidecar");
}

#[test]
fn smart_select_proposes_and_accepts() {
    let mut desk = Desk::new(1);
    let click = PromptPoint {
        at: ImagePoint::new(60.0, 40.0),
        is_positive: true,
    };
    desk.session.prompt(PromptRequest {
        points: vec![click],
        ..PromptRequest::default()
    });
    assert!(desk.session.proposal.as_ref().unwrap().is_waiting());
    desk.until("the answer", |session| {
        session
            .proposal
            .as_ref()
            .is_some_and(|proposal| !proposal.is_waiting())
    });
    let mask = desk.session.take_proposal().unwrap();
    assert_eq!(mask.bounding_box(), Some(PixelRect::new(50, 30, 20, 20)));
    assert!(desk.session.proposal.is_none());
}

#[test]
fn words_in_a_text_become_masks_and_regions() {
    let mut desk = Desk::new(1);
    let text = "Look at <|mt_start|><|mt_0002|><|mt_0257|><|mt_end|> and <|mt_start|><|mt_0004|> alone";
    assert!(desk.session.find_words(text));
    desk.until("the masks", |session| {
        session
            .found
            .as_ref()
            .is_some_and(|found| found.masks.iter().all(|mask| mask.mask.is_some()))
    });
    desk.session.accept_found(0);
    desk.session.accept_found(0);
    let open = desk.session.open().unwrap();
    assert_eq!(open.document().regions.len(), 1);
    assert_eq!(open.document().regions[0].source, "words");
    assert!(!desk.session.find_words("no words here"));
}

#[test]
fn the_words_of_another_model_stay_until_they_are_to_be_made_anew() {
    let mut desk = Desk::new(1);
    desk.add(PixelRect::new(30, 20, 20, 20));
    desk.until("words", |session| {
        session.open().unwrap().document().regions[0].words.is_some()
    });
    let before = desk.session.open().unwrap().document().regions[0].words.clone();
    desk.session.load_model(ModelChoice {
        path: Some("another one".into()),
        ..ModelChoice::default()
    });
    desk.until("the model", |session| {
        session
            .model_info()
            .is_some_and(|model| model.name == "another one")
            && !session.is_network_busy
    });
    let state = |session: &Session| {
        let open = session.open().unwrap();
        words_state(open.document(), &open.document().regions[0], session.model_info())
    };
    assert_eq!(state(&desk.session), WordsState::OtherModel);
    assert_eq!(desk.session.open().unwrap().document().regions[0].words, before);
    desk.session.execute(Command::RefreshWords);
    desk.until("new words", |session| state(session) == WordsState::Fresh);
    assert_eq!(desk.session.open().unwrap().document().tokenizers.len(), 2);
}

#[test]
fn a_failing_model_is_told_and_another_one_helps() {
    let mut desk = Desk::new(1);
    desk.session.load_model(ModelChoice {
        path: Some("broken".into()),
        ..ModelChoice::default()
    });
    desk.until("the failure", |session| {
        matches!(session.model, ModelState::Failed(_))
    });
    desk.add(PixelRect::new(30, 20, 20, 20));
    desk.saved();
    assert_eq!(desk.on_disk(0).regions.len(), 1);
    desk.session.load_model(ModelChoice::default());
    desk.until("words", |session| {
        session.open().unwrap().document().regions[0].words.is_some()
    });
}

#[test]
fn regions_are_copied_merged_split_and_ordered() {
    let mut desk = Desk::new(2);
    desk.add(PixelRect::new(10, 10, 10, 10));
    desk.session.set_label("nut");
    desk.add(PixelRect::new(40, 10, 10, 10));
    desk.session.execute(Command::SelectAll);
    desk.session.execute(Command::Merge);
    let regions = |desk: &Desk| desk.session.open().unwrap().document().regions.clone();
    assert_eq!(
        (regions(&desk).len(), regions(&desk)[0].mask.rle.area()),
        (1, 200)
    );
    desk.session.execute(Command::Split);
    assert_eq!(
        regions(&desk)
            .iter()
            .map(|region| region.label.as_str())
            .collect::<Vec<_>>(),
        ["nut", "nut"]
    );
    desk.session.execute(Command::Copy);
    desk.show(1);
    desk.session.paste_regions();
    assert_eq!(
        regions(&desk)
            .iter()
            .map(|region| region.mask.rle.area())
            .collect::<Vec<_>>(),
        [100, 100]
    );
    desk.session.open_mut().unwrap().select(["r2".to_owned()]);
    desk.session.execute(Command::ToBack);
    assert_eq!(regions(&desk)[0].id, "r2");
    desk.session.execute(Command::Duplicate);
    assert_eq!(regions(&desk).len(), 3);
    desk.session.execute(Command::Delete);
    assert_eq!(regions(&desk).len(), 2);
    desk.session.execute(Command::Undo);
    assert_eq!(regions(&desk).len(), 3);
}

#[test]
fn a_deleted_region_leaves_its_name_in_texts() {
    let mut desk = Desk::new(1);
    desk.add(PixelRect::new(10, 10, 10, 10));
    desk.session.set_label("nut");
    desk.add(PixelRect::new(40, 10, 10, 10));
    let caption = Caption::new("beside [[r1]]".to_owned(), None);
    let change = RegionChange::AddCaption { index: 0, caption };
    desk.session.apply(vec![Edit::Region {
        id: "r2".to_owned(),
        change,
    }]);
    desk.session.open_mut().unwrap().select(["r1".to_owned()]);
    desk.session.execute(Command::Delete);
    assert_eq!(
        desk.session.open().unwrap().document().regions[0].captions[0].text,
        "beside nut"
    );
    desk.session.execute(Command::Undo);
    assert_eq!(
        desk.session.open().unwrap().document().regions[1].captions[0].text,
        "beside [[r1]]"
    );
}

#[test]
fn review_goes_from_image_to_image() {
    let mut desk = Desk::new(3);
    for number in 0..2 {
        desk.show(number);
        desk.session.set_status(Status::Done);
        desk.saved();
    }
    desk.show(0);
    let second = desk.path(1);
    desk.until("the index", |session| {
        session
            .list
            .as_ref()
            .unwrap()
            .state
            .counts
            .by_status
            .iter()
            .any(|(status, count)| *status == Status::Done && *count == 2)
    });
    desk.session.execute(Command::Approve);
    desk.until("the next one", |session| {
        session.open().is_some_and(|open| open.path == second)
    });
    desk.session.reject("the edge is ragged");
    desk.saved();
    let document = desk.on_disk(1);
    assert_eq!(
        (document.status, document.notes.as_str()),
        (Status::Rejected, "the edge is ragged")
    );
}

#[test]
fn a_search_narrows_the_list() {
    let mut desk = Desk::new(12);
    desk.session.want_rows(0..12);
    desk.until("the rows", |session| {
        session.list.as_ref().unwrap().row(11).is_some()
    });
    assert_eq!(desk.session.list.as_ref().unwrap().row(2).unwrap().name, "2.png");
    desk.session.set_filter("<^1>");
    desk.until("the search", |session| {
        session.list.as_ref().unwrap().state.found == 3
    });
    desk.session.set_filter("<(>");
    desk.until("the complaint", |session| {
        session.list.as_ref().unwrap().filter_problem.is_some()
    });
    assert_eq!(desk.session.list.as_ref().unwrap().state.found, 3);
}

#[test]
fn neighbours_are_read_ahead_so_that_the_next_image_is_there_at_once() {
    let mut desk = Desk::new(3);
    let next = desk.path(1);
    desk.session.want_rows(0..3);
    desk.until("the rows", |session| {
        session.list.as_ref().unwrap().row(2).is_some()
    });
    desk.show(0);
    desk.session.read_ahead();
    desk.until("reading ahead", |session| {
        session.ahead.iter().any(|ahead| ahead.path == next)
    });
    desk.session.execute(Command::NextImage);
    assert_eq!(desk.session.open().unwrap().path, next);
}

#[test]
fn a_single_image_opens_with_its_folder() {
    let mut desk = Desk::new(3);
    let path: &Path = &desk.path(2);
    let session = Session::start(SessionOptions::default(), scripted::load, Arc::new(|| {})).unwrap();
    desk.session = session;
    desk.session.open_path(path);
    let wanted = path.to_path_buf();
    desk.until("the image", |session| {
        session.open().is_some_and(|open| open.path == wanted)
            && session.list.as_ref().is_some_and(|list| list.state.found == 3)
    });
}

#[test]
fn the_preview_shows_what_an_export_writes() {
    let mut desk = Desk::new(1);
    desk.add(PixelRect::new(30, 20, 20, 20));
    desk.add(PixelRect::new(60, 30, 30, 10));
    let caption = Caption::new("Left of [[r2]].".to_owned(), None);
    desk.session.apply(vec![Edit::Region {
        id: "r1".to_owned(),
        change: RegionChange::AddCaption { index: 0, caption },
    }]);
    let without_words = desk.session.training_preview(Container::Messages).unwrap();
    desk.until("words", |session| {
        let regions = &session.open().unwrap().document().regions;
        regions.iter().all(|region| region.words.is_some())
    });
    desk.saved();
    let preview = desk.session.training_preview(Container::Messages).unwrap();
    assert!(preview.left_out.is_empty(), "{:?}", preview.left_out);
    assert!(without_words.records.len() < preview.records.len() || without_words == preview);
    let elsewhere = tempfile::tempdir().unwrap();
    let out = elsewhere.path().join("out");
    let to = Exchange::Training(Container::Messages);
    desk.session.start_export(to, out.clone(), false);
    desk.until("the export", |session| session.batch.title.is_none());
    let parts = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let files = parts
        .filter(|part| part.is_dir())
        .flat_map(|part| fs::read_dir(part).unwrap().map(|entry| entry.unwrap().path()));
    let mut written: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "jsonl"))
        .flat_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|line| {
            let mut record: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&line).unwrap();
            // What trainers ignore, and the masks for our own way back, are not shown.
            record.retain(|key, _| matches!(key.as_str(), "messages" | "images"));
            format!("{:#}", serde_json::Value::Object(record))
        })
        .collect();
    let mut shown = preview.records;
    written.sort();
    shown.sort();
    assert!(!shown.is_empty());
    assert_eq!(shown, written, "{:?}", desk.session.notices.all());
}
