//! Tests of undo and redo.

use proptest::prelude::*;

use super::*;
use crate::dataset::document::{Caption, ImageRef, Region};
use crate::dataset::edit::{MaskChange, RegionChange};
use crate::dataset::format;
use crate::dataset::sample::{Random, SIZE, cases};
use crate::geometry::PixelRect;
use crate::mask::Mask;

fn now() -> Timestamp {
    std::time::UNIX_EPOCH.into()
}

/// A document with two empty regions, and its history.
struct Editing {
    document: Document,
    history: History,
}

impl Editing {
    fn new() -> Self {
        let mut document = Document::new(ImageRef::new("a.png".as_ref(), SIZE, None));
        for id in ["r1", "r2"] {
            let mask = Mask::empty(SIZE).unwrap().to_rle();
            document.regions.push(Region::new(id.into(), mask));
        }
        Self {
            document,
            history: History::default(),
        }
    }

    fn apply(&mut self, edit: Edit) {
        self.history.apply(&mut self.document, edit, now()).unwrap();
    }

    fn change(&mut self, id: &str, change: RegionChange) {
        self.apply(Edit::Region {
            id: id.to_owned(),
            change,
        });
    }

    fn notes(&mut self, notes: &str) {
        self.apply(Edit::Notes(notes.to_owned()));
    }

    fn undo(&mut self) -> bool {
        self.history.undo(&mut self.document, now()).unwrap()
    }

    fn redo(&mut self) -> bool {
        self.history.redo(&mut self.document, now()).unwrap()
    }

    /// Paints a square at `x` into a region.
    fn dab(&mut self, id: &str, x: u32) {
        let before = self.document.region(id).unwrap().mask.rle.clone();
        let mut after = Mask::from_rle(&before);
        let dab = Mask::from_rects(SIZE, &[PixelRect::new(x, 5, 4, 4)]).unwrap();
        after.union_with(&dab).unwrap();
        let change = MaskChange::between(&before, &after.to_rle()).unwrap();
        self.change(id, RegionChange::Mask(change));
    }

    fn area(&self, id: &str) -> u64 {
        self.document.region(id).unwrap().mask.rle.area()
    }
}

#[test]
fn a_gesture_is_one_step() {
    let mut editing = Editing::new();
    editing.history.begin();
    for x in 0..10 {
        editing.dab("r1", x);
    }
    editing.change("r1", RegionChange::Label("cat".into()));
    editing.history.end();
    editing.dab("r1", 30);
    assert_eq!((editing.history.len(), editing.area("r1")), (2, 13 * 4 + 16));
    let Some(Edit::Region { .. }) = editing.history.next_undo() else {
        panic!("{:?}", editing.history.next_undo());
    };
    assert!(editing.undo());
    let Some(Edit::Several(edits)) = editing.history.next_undo() else {
        panic!("{:?}", editing.history.next_undo());
    };
    assert_eq!(edits.len(), 2, "the dabs are one change of the mask");
    assert!(editing.undo() && !editing.undo());
    assert_eq!(editing.area("r1"), 0);
    assert_eq!(editing.document.regions[0].label, "");
    assert!(editing.redo() && editing.redo() && !editing.redo());
    assert_eq!(editing.area("r1"), 13 * 4 + 16);

    editing.history.begin();
    editing.history.end();
    assert_eq!(editing.history.len(), 2, "an empty gesture is none");
}

#[test]
fn a_cancelled_gesture_leaves_no_trace() {
    let mut editing = Editing::new();
    editing.dab("r2", 3);
    editing.history.saved(editing.history.mark());
    let before = editing.document.regions.clone();
    editing.history.begin();
    editing.dab("r1", 3);
    editing.dab("r2", 20);
    assert!(editing.history.is_unsaved());
    assert!(editing.history.cancel(&mut editing.document, now()).unwrap());
    assert_eq!(editing.document.regions, before);
    assert_eq!((editing.history.len(), editing.history.is_unsaved()), (1, false));
    assert!(!editing.history.cancel(&mut editing.document, now()).unwrap());
}

#[test]
fn typing_is_one_step_until_something_else_happens() {
    let mut editing = Editing::new();
    for text in ["c", "ca", "cat", "cats"] {
        editing.notes(text);
    }
    assert_eq!(editing.history.len(), 1);
    editing.notes("cat");
    editing.notes("ca");
    assert_eq!(editing.history.len(), 2, "deleting is another step");
    editing.notes("ca\n");
    editing.notes("ca\nx");
    assert_eq!(editing.history.len(), 3, "a new line is");
    editing.history.end_typing();
    editing.notes("ca\nxy");
    assert_eq!(editing.history.len(), 4, "a pause is");
    editing.notes(&"pasted ".repeat(20));
    assert_eq!(editing.history.len(), 5, "a paste is");
    editing.change("r1", RegionChange::Label("a".into()));
    editing.change("r1", RegionChange::Label("ab".into()));
    editing.change("r2", RegionChange::Label("a".into()));
    assert_eq!(editing.history.len(), 7, "another text is");
    let mut seen = Vec::new();
    while editing.undo() {
        seen.push(editing.document.notes.clone());
    }
    assert_eq!(seen[2..], ["ca\nxy", "ca\nx", "ca", "cats", ""]);
    while editing.redo() {}
    assert_eq!(editing.document.regions[0].label, "ab");
}

#[test]
fn undoing_to_what_was_saved_leaves_nothing_unsaved() {
    let mut editing = Editing::new();
    assert!(!editing.history.is_unsaved());
    editing.notes("one");
    let mark = editing.history.mark();
    editing.dab("r1", 1);
    assert!(editing.history.is_unsaved());
    editing.history.saved(mark);
    assert!(editing.history.is_unsaved(), "the save was of an earlier state");
    editing.undo();
    assert!(!editing.history.is_unsaved());
    editing.undo();
    assert!(editing.history.is_unsaved());
    editing.redo();
    assert!(!editing.history.is_unsaved());
    editing.undo();
    editing.notes("one");
    assert!(
        editing.history.is_unsaved(),
        "another way to the same text is another state"
    );
    assert!(!editing.redo(), "an edit ends the way forward");
    assert_eq!(editing.document.revision, 7, "every change counts");
}

#[test]
fn memory_is_bounded_and_hundreds_of_strokes_fit() {
    let mut editing = Editing::new();
    for step in 0..1000 {
        editing.dab(if step % 2 == 0 { "r1" } else { "r2" }, step % 36);
    }
    assert_eq!(editing.history.len(), 1000);
    assert!(editing.history.bytes() < 600_000, "{}", editing.history.bytes());

    editing.history = History::new(20_000);
    for step in 0..1000 {
        editing.notes(&format!("{step} {}", "x".repeat(100)));
        assert!(editing.history.bytes() <= 20_000);
    }
    let kept = editing.history.len();
    assert!((30..100).contains(&kept), "{kept}");
    while editing.undo() {
        assert!(editing.history.bytes() <= 21_000, "{}", editing.history.bytes());
    }
    assert!(
        editing.document.notes.starts_with(&(999 - kept).to_string()),
        "the oldest went first"
    );
    editing.history = History::new(10);
    editing.notes("a");
    editing.dab("r1", 1);
    assert_eq!(editing.history.len(), 1, "the last step stays");
}

#[test]
fn an_edit_that_does_not_fit_leaves_the_history_alone() {
    let mut editing = Editing::new();
    editing.notes("x");
    editing.undo();
    let edit = Edit::RemoveRegion { id: "r9".into() };
    editing
        .history
        .apply(&mut editing.document, edit, now())
        .unwrap_err();
    assert!(!editing.history.is_unsaved());
    assert!(editing.redo());
    assert_eq!(editing.document.notes, "x");
}

#[test]
fn the_work_of_others_is_not_undone() {
    let mut editing = Editing::new();
    let caption = |text: &str| RegionChange::AddCaption {
        index: 0,
        caption: Caption::new(text.into(), None),
    };
    editing.change("r1", caption("first"));
    editing.change("r2", caption("mine"));
    editing.apply(Edit::Several(vec![
        Edit::Region {
            id: "r2".into(),
            change: caption("both"),
        },
        Edit::Notes("mine".into()),
    ]));
    editing.dab("r1", 3);
    editing.change("r2", RegionChange::Label("undone".into()));
    editing.undo();
    let before = editing.document.clone();
    editing.document.notes = "theirs".into();
    editing.history.merged(&before, &editing.document);
    // The step that touches the notes is forgotten, and with it those on the same region.
    assert_eq!(editing.history.len(), 2);
    assert!(editing.redo(), "going forward builds on what is there");
    assert_eq!(editing.document.regions[1].label, "undone");
    while editing.undo() {}
    assert_eq!(editing.document.notes, "theirs");
    assert_eq!(editing.document.regions[1].captions.len(), 2);
    assert_eq!(
        (editing.document.regions[0].captions.len(), editing.area("r1")),
        (0, 0)
    );

    let before = editing.document.clone();
    let state = editing.history.mark();
    editing.history.merged(&before, &before.clone());
    assert_eq!(editing.history.mark(), state, "nothing came, nothing changed");
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn any_walk_comes_back(seed in any::<u64>()) {
        let mut random = Random(seed);
        let mut document = random.document();
        let content = |document: &Document| {
            let mut document = document.clone();
            document.revision = 0;
            document.modified = None;
            format::write(&document).unwrap()
        };
        let mut history = History::default();
        let start = content(&document);
        // The contents by state, which the marks must tell apart.
        let mut states = vec![(history.mark(), start.clone())];
        for _ in 0..60 {
            match random.below(10) {
                0 | 1 => { history.undo(&mut document, now()).unwrap(); }
                2 => { history.redo(&mut document, now()).unwrap(); }
                3 => history.begin(),
                4 => history.end(),
                5 => { history.cancel(&mut document, now()).unwrap(); }
                _ => {
                    let edit = random.edit(&document);
                    history.apply(&mut document, edit, now()).unwrap();
                }
            }
            let content = content(&document);
            if let Some((_, known)) = states.iter().find(|(mark, _)| *mark == history.mark()) {
                prop_assert_eq!(known, &content);
            } else {
                states.push((history.mark(), content));
            }
        }
        while history.undo(&mut document, now()).unwrap() {}
        prop_assert_eq!(content(&document), start);
    }
}
