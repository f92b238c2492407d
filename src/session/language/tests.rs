//! The chat and proposals as the window drives them, with a scripted language model and a scripted network.

use super::chat::{Piece, TurnState};
use super::proposing::Verdict;
use super::{Drawing, EngineState};
use crate::command::Command;
use crate::dataset::{Document, Status};
use crate::geometry::PixelRect;
use crate::language::opening::{EngineChoice, OpenedEngine};
use crate::language::proposals::OpenProposal;
use crate::language::proposals::outcome::{OutcomeFigures, OutcomeTable};
use crate::language::served::Endpoint;
use crate::language::tasks::VisionTask;
use crate::session::Session;
use crate::session::tests::Desk;
use crate::words::WordFormat;
use crate::worker::language::scripted::{Line, Script};

/// The words of a square around the middle of this cell of 16 pixels.
fn word(column: u32, row: u32) -> String {
    let format = WordFormat::default();
    format.write(&format.codes(&[column, row]).unwrap())
}

fn desk(images: usize, script: &Script) -> Desk {
    let script = script.clone();
    desk_with(images, move || script.opened())
}

fn desk_with(images: usize, opened: impl Fn() -> OpenedEngine + Send + 'static) -> Desk {
    let mut desk = Desk::with_language(images, Box::new(move |_, _, _| Ok(opened())));
    let endpoint = Endpoint::new("http://localhost:1", "m").unwrap();
    let choice = EngineChoice::Served(Box::new(endpoint));
    desk.session.choose_language_model(Some(choice), None);
    assert_eq!(desk.session.language.state, EngineState::Resting);
    desk
}

fn document(desk: &Desk) -> &Document {
    desk.session.open().unwrap().document()
}

fn is_idle(session: &Session) -> bool {
    !session.language.is_busy()
}

fn drawn(session: &Session) -> usize {
    session.chat_masks().count()
}

/// What the annotations on disk say about the proposals.
fn figures(desk: &mut Desk) -> OutcomeFigures {
    desk.saved();
    let mut table = OutcomeTable::default();
    table.add(&desk.on_disk(0));
    table.all()
}

#[test]
fn masks_are_drawn_while_the_answer_is_written_and_stopping_keeps_it() {
    let said = format!("A <|object_ref_start|>cup<|object_ref_end|> {} and", word(2, 1));
    let mut desk = desk(1, &Script::new([Line::Hang(said)]));
    assert!(desk.session.ask_in_chat("What is here?"));
    desk.until("a mask of the unfinished answer", |session| drawn(session) == 1);
    let chat = desk.session.chat().unwrap();
    assert!(chat.is_busy() && !chat.can_be_added());
    assert_eq!(
        (chat.masks[0].name.as_str(), chat.masks[0].label.as_str()),
        ("m1", "cup")
    );
    assert!(!desk.session.ask_in_chat("More?"), "one question at a time");
    desk.session.execute(Command::StopAnswer);
    desk.session.stop_asking();
    desk.until("the end", is_idle);
    let turn = &desk.session.chat().unwrap().turns[0];
    assert_eq!(turn.state, TurnState::Stopped);
    assert!(turn.pieces.contains(&Piece::Mask(0)) && turn.is_answered());
    let (_, mask) = desk.session.chat_masks().next().unwrap();
    assert_eq!(mask.area(), 400);
}

#[test]
fn a_chat_goes_on_from_what_was_said_and_becomes_a_conversation() {
    let script = Script::saying(&[
        &format!("It is {} .", word(5, 3)),
        &format!("Again {} and {}", word(5, 3), word(1, 1)),
    ]);
    let mut desk = desk(1, &script);
    desk.add(PixelRect::new(30, 14, 20, 20));
    // The words of the region are waited for.
    assert!(desk.session.ask_in_chat("What is beside [[r1]]?"));
    desk.until("the first answer", is_idle);
    assert_eq!(script.last(), [format!("What is beside {}?", word(2, 1))]);
    assert!(desk.session.ask_in_chat("And what is in [[m1]]?"));
    desk.until("the second answer", |session| {
        is_idle(session) && drawn(session) == 2
    });
    let last = script.last();
    assert_eq!(last.len(), 3, "{last:?}");
    assert!(last[1] == format!("It is {} .", word(5, 3)), "{last:?}");
    let before = document(&desk).clone();
    desk.session.add_chat();
    let added = document(&desk);
    // The second mask is the region that a person drew already; it is a draft beside it until somebody decides.
    assert_eq!(added.regions.len(), 3);
    assert_eq!(added.conversations.len(), 1);
    let texts: Vec<&str> = added.conversations[0]
        .turns
        .iter()
        .map(|turn| turn.text.as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "What is beside [[r1]]?",
            "It is [[r2]] .",
            "And what is in [[r2]]?",
            "Again [[r2]] and [[r3]]"
        ]
    );
    assert_eq!(desk.session.open_proposals().len(), 3);
    assert_eq!(drawn(&desk.session), 0, "they are regions now");
    assert!(!desk.session.chat().unwrap().can_be_added());
    desk.session.execute(Command::Undo);
    assert_eq!(document(&desk).regions.len(), before.regions.len());
    assert!(document(&desk).conversations.is_empty());
}

#[test]
fn proposals_are_accepted_mended_and_rejected_and_the_count_survives() {
    let said = [(1, 1), (3, 3), (6, 1)].map(|(x, y)| word(x, y)).join(", ");
    let mut desk = desk(1, &Script::saying(&[&said]));
    desk.session.propose(VisionTask::Segment, "the cups");
    desk.until("proposals", |session| session.open_proposals().len() == 4);
    assert_eq!(document(&desk).regions[0].label, "the cups");
    assert_eq!(document(&desk).regions[0].source, "scripted-vlm");
    assert!(desk.session.current_proposal().is_some());
    desk.session.step_proposal(1);
    desk.session.step_proposal(-1);
    assert_eq!(desk.session.open().unwrap().selected(), ["r1"]);
    desk.session.decide(Verdict::Accept);
    assert_eq!(document(&desk).regions[0].status, Status::Done);
    assert_eq!(desk.session.open().unwrap().selected(), ["r2"]);
    desk.session.execute(Command::Grow);
    desk.session.decide(Verdict::Accept);
    desk.session.decide(Verdict::Reject);
    assert_eq!(document(&desk).regions.len(), 2);
    let answer = &document(&desk).conversations[0].turns[1].text;
    assert_eq!(answer, "[[r1]], [[r2]], the cups");
    desk.session.decide(Verdict::Accept);
    assert!(desk.session.open_proposals().is_empty());
    let all = figures(&mut desk);
    assert_eq!((all.accepted, all.mended, all.rejected, all.open), (1, 2, 1, 0));
    assert_eq!(all.accept_rate(), Some(0.75));
    assert!(all.mean_iou().unwrap() < 1.0);
    // Each decision is a step that can be taken back.
    desk.session.execute(Command::Undo);
    desk.session.execute(Command::Undo);
    assert_eq!(document(&desk).regions.len(), 3);
    let all = figures(&mut desk);
    assert_eq!((all.rejected, all.open), (0, 2));
}

#[test]
fn a_region_that_is_there_is_linked_unless_a_person_wants_both() {
    let mut desk = desk(1, &Script::saying(&[&word(2, 1), &word(2, 1)]));
    desk.add(PixelRect::new(30, 14, 20, 20));
    for _ in 0..2 {
        desk.session.propose(VisionTask::Segment, "it");
        desk.until("proposals", |session| {
            session.open_proposals().len() == 2 && is_idle(session)
        });
        let current = desk.session.open_proposals()[0].clone();
        desk.session.look_at_proposal(current.clone());
        assert_eq!(
            current.twin(document(&desk)).map(|(twin, _)| twin.id.as_str()),
            Some("r1")
        );
        if document(&desk).conversations.len() == 1 {
            desk.session.decide(Verdict::Accept);
            assert_eq!(document(&desk).regions.len(), 1);
            assert_eq!(document(&desk).conversations[0].turns[1].text, "[[r1]]");
        } else {
            desk.session.decide(Verdict::KeepBoth);
            assert_eq!(document(&desk).regions.len(), 2);
        }
        desk.session.decide(Verdict::Accept);
    }
    let all = figures(&mut desk);
    assert_eq!(
        (all.accepted, all.mended, all.open),
        (4, 0, 0),
        "a link is no edit"
    );
}

#[test]
fn captions_of_small_regions_get_a_closer_look_and_are_decided_on_their_own() {
    let script = Script::saying(&["A blue cup.", "A red cup."]);
    let mut desk = desk(1, &script);
    desk.add(PixelRect::new(30, 14, 20, 20));
    desk.add(PixelRect::new(80, 40, 20, 20));
    desk.session.execute(Command::SelectAll);
    desk.session.propose(VisionTask::Caption, "");
    desk.until("captions", |session| session.open_proposals().len() == 2);
    assert!(script.last()[0].contains("Zoom in"), "{:?}", script.last());
    let first = OpenProposal::Caption {
        region: "r1".to_owned(),
        index: 0,
    };
    desk.session.look_at_proposal(first);
    desk.session.decide(Verdict::Accept);
    desk.session.decide(Verdict::Reject);
    let captions: Vec<usize> = document(&desk)
        .regions
        .iter()
        .map(|region| region.captions.len())
        .collect();
    assert_eq!(captions, [1, 0]);
    let all = figures(&mut desk);
    assert_eq!((all.accepted, all.rejected, all.open), (1, 1, 0));
}

#[test]
fn answers_wait_for_their_image() {
    let mut desk = desk(2, &Script::saying(&[&word(2, 1)]));
    desk.session.propose(VisionTask::Segment, "it");
    desk.show(1);
    for _ in 0..50 {
        desk.session.update();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    assert!(document(&desk).regions.is_empty(), "it is about another image");
    assert!(desk.session.is_asking_elsewhere());
    desk.show(0);
    desk.until("proposals", |session| session.open_proposals().len() == 2);
}

#[test]
fn failures_are_told_in_place_and_can_be_asked_again() {
    let script = Script::new([
        Line::Break("A half".to_owned()),
        Line::Say(vec!["Whole.".to_owned()]),
        Line::Break(String::new()),
        Line::Say(vec![word(2, 1)]),
    ]);
    let mut desk = desk(1, &script);
    assert!(desk.session.ask_in_chat("What?"));
    desk.until("the failure", is_idle);
    let turn = &desk.session.chat().unwrap().turns[0];
    assert!(matches!(&turn.state, TurnState::Failed(reason) if reason.contains("broke off")));
    assert_eq!((turn.question.as_str(), turn.raw.as_str()), ("What?", "A half"));
    desk.session.ask_in_chat_again();
    desk.until("the answer", is_idle);
    let chat = desk.session.chat().unwrap();
    assert_eq!((chat.turns.len(), &chat.turns[0].state), (1, &TurnState::Done));
    desk.session.propose(VisionTask::Segment, "it");
    desk.until("the failure", is_idle);
    assert_eq!(desk.session.failed_wishes().count(), 1);
    desk.session.propose_again(0);
    desk.until("proposals", |session| session.open_proposals().len() == 2);
    assert_eq!(desk.session.failed_wishes().count(), 0);
}

#[test]
fn a_model_that_speaks_other_words_is_refused_in_plain_words() {
    let script = Script::saying(&[&word(2, 1)]);
    let mut desk = desk_with(1, move || {
        let mut opened = script.opened();
        opened.info.trained.word_count = Some(64);
        opened
    });
    assert!(desk.session.ask_in_chat("What is here?"));
    desk.until("the failure", is_idle);
    let told = |session: &Session| match &session.chat().unwrap().turns[0].state {
        TurnState::Failed(reason) => reason.clone(),
        state => format!("{state:?}"),
    };
    assert!(
        told(&desk.session).contains("64 mask words"),
        "{}",
        told(&desk.session)
    );
    assert!(!desk.session.ask_in_chat("Again?"), "and not asked in vain");
    assert_eq!(drawn(&desk.session), 0);
}

#[test]
fn words_outside_the_codebook_and_a_thousand_masks_are_told() {
    let outside = "<|mt_start|><|mt_0700|><|mt_0900|><|mt_end|>".to_owned();
    let many: String = (0..1000).map(|n| word(n % 200, n / 200)).collect();
    let script = Script::new([
        Line::Say(vec![outside.clone()]),
        Line::Say(vec![many]),
        Line::Say(vec![outside]),
    ]);
    let mut desk = desk(1, &script);
    assert!(desk.session.ask_in_chat("What is here?"));
    desk.until("the answer", is_idle);
    let problems = &desk.session.chat().unwrap().turns[0].problems;
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("another tokenizer")),
        "{problems:?}"
    );
    assert!(desk.session.ask_in_chat("All of it?"));
    desk.until("the answer", |session| is_idle(session) && drawn(session) == 300);
    let chat = desk.session.chat().unwrap();
    assert!(
        chat.turns[1]
            .problems
            .iter()
            .any(|problem| problem.contains("more than 300"))
    );
    assert!(matches!(
        desk.session.chat_drawing(&chat.masks[0]),
        Some(Drawing::Done(_))
    ));
    desk.session.propose(VisionTask::Segment, "it");
    desk.until("the failure", |session| session.failed_wishes().count() == 1);
    assert!(desk.session.open_proposals().is_empty());
}
