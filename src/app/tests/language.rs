//! The chat and proposals in the real window, with a server of our own that also has bad days.

use std::time::Duration;

use eframe::egui::{Key, Modifiers, Role};
use egui_kittest::kittest::Queryable as _;

use super::Desk;
use crate::app::StudioApp;
use crate::dataset::{Sidecar, sidecar_path};
use crate::language::proposals::outcome::OutcomeTable;
use crate::language::served::tests::fault_server::{
    FaultServer, Step, answer, ending, piece, status, stream_head,
};
use crate::session::language::chat::{Chat, TurnState};
use crate::settings::Settings;
use crate::words::WordFormat;

/// The words of a square around the middle of this cell of 16 pixels.
fn word(column: u32, row: u32) -> String {
    let format = WordFormat::default();
    format.write(&format.codes(&[column, row]).unwrap())
}

impl Desk {
    /// Chooses a server by keyboard and names, as a person does.
    fn use_server(&mut self, url: &str) {
        self.press_with(Modifiers::COMMAND | Modifiers::SHIFT, Key::L);
        self.step(2);
        self.click_label("A server");
        self.click_field("Address");
        self.type_text(url);
        self.click_field("Model on the server");
        self.type_text("teacher");
        self.click_label("Use this");
        self.press(Key::Escape);
        assert!(self.app().state.dialog.is_none());
    }

    fn click_field(&mut self, name: &str) {
        self.harness.get_by_role_and_label(Role::TextInput, name).click();
        self.step(3);
    }

    /// Asks in the chat by keyboard.
    fn ask(&mut self, question: &str) {
        self.press(Key::Slash);
        self.step(3);
        self.type_text(question);
        self.press(Key::Enter);
        self.step(2);
    }

    fn chat(&self) -> &Chat {
        self.app().session.chat().expect("a chat")
    }

    fn answered(&mut self) {
        self.until("the answer", |app| !app.session.language.is_busy());
        self.step(3);
        self.press(Key::Escape);
    }

    /// Asks for what a text names by keyboard.
    fn propose_named(&mut self, text: &str) {
        self.press_with(Modifiers::SHIFT, Key::S);
        self.step(3);
        self.type_text(text);
        self.press(Key::Enter);
        self.until("proposals", |app| !app.session.language.is_busy());
        self.step(3);
    }
}

fn chat_is_busy(app: &StudioApp) -> bool {
    app.session.chat().is_some_and(Chat::is_busy)
}

#[test]
fn nothing_is_sent_until_a_server_is_chosen_and_no_key_is_kept() {
    let server = FaultServer::always(answer(&["Hello."]));
    let mut desk = Desk::new(1);
    desk.press(Key::Slash);
    desk.step(3);
    desk.harness
        .get_by_label("None is chosen, so nothing is asked and nothing is sent anywhere.");
    desk.use_server(&server.url);
    assert!(server.requests().is_empty(), "choosing sends nothing");
    let settings = std::fs::read_to_string(desk.folder.path().join(".settings/settings.json")).unwrap();
    assert!(
        settings.contains("\"address\"") && !settings.contains("secret"),
        "{settings}"
    );
    let (read, told) = Settings::read(&desk.folder.path().join(".settings/settings.json"));
    assert_eq!(
        (read.language_model.address.as_str(), told.len()),
        (server.url.as_str(), 0)
    );
    desk.ask("Hello?");
    desk.answered();
    assert_eq!(desk.chat().turns[0].raw, "Hello.");
    desk.harness.get_by_label("Hello.");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_conversation_lights_masks_up_while_it_is_written() {
    let words = word(5, 4);
    let (first, second) = words.split_at(20);
    let mut steps = vec![
        stream_head(),
        piece("A cup "),
        piece(first),
        piece(second),
        piece(" here"),
    ];
    steps.push(Step::Wait(Duration::from_secs(4)));
    steps.extend([piece(" and there."), ending()]);
    let again = answer(&["It is ", &words, "."]);
    let server = FaultServer::start(move |number, _| if number == 0 { steps.clone() } else { again.clone() });
    let mut desk = Desk::new(1);
    desk.press(Key::R);
    desk.drag(&[(10.0, 10.0), (50.0, 50.0)]);
    desk.press(Key::V);
    desk.use_server(&server.url);
    desk.ask("What is beside @r1");
    // The first Enter took the region from the list, the second asks.
    assert_eq!(desk.chat().draft, "What is beside [[r1]]");
    desk.press(Key::Enter);
    desk.until("a mask of the unfinished answer", |app| {
        app.session.chat_masks().count() == 1
    });
    assert!(chat_is_busy(desk.app()), "the answer goes on");
    desk.step(3);
    desk.harness.get_by_label("Mask m1");
    desk.harness.get_by_label("Stop the language model");
    desk.answered();
    let sent = server.requests()[0].body.clone();
    assert!(
        sent.contains("image_url") && sent.contains("<|mt_0001|>"),
        "the region goes in words"
    );
    // A chip that is clicked is mentioned in the next question.
    desk.click_label("Mask m1");
    desk.type_text("?");
    desk.press(Key::Enter);
    desk.answered();
    assert_eq!(desk.chat().turns[1].question, "[[m1]]?");
    desk.press_with(Modifiers::COMMAND | Modifiers::SHIFT, Key::M);
    desk.step(2);
    let document = desk.app().session.open().unwrap().document();
    assert_eq!(
        (document.regions.len(), document.conversations[0].turns.len()),
        (2, 4)
    );
    assert_eq!(document.conversations[0].turns[3].text, "It is [[r2]].");
    desk.press_with(Modifiers::COMMAND, Key::Z);
    assert_eq!(desk.areas(), [1600]);
}

#[test]
fn proposals_are_accepted_edited_and_rejected_by_keyboard_and_counted() {
    let three = [word(2, 2), word(6, 2), word(10, 2)].join(" ");
    let server = FaultServer::start(move |_, _| answer(&[&three]));
    let mut desk = Desk::new(1);
    desk.use_server(&server.url);
    desk.propose_named("nut");
    assert_eq!(desk.areas(), [400, 400, 400]);
    desk.press(Key::N);
    assert_eq!(desk.app().session.open().unwrap().selected(), ["r2"]);
    desk.press_with(Modifiers::SHIFT, Key::N);
    assert_eq!(desk.app().session.open().unwrap().selected(), ["r1"]);
    desk.step(2);
    desk.harness.get_by_label("Accept  S");
    desk.press(Key::S);
    assert_eq!(desk.app().session.open().unwrap().selected(), ["r2"]);
    // U takes the brush, which paints on what is proposed.
    desk.press(Key::U);
    desk.drag(&[(100.0, 40.0), (106.0, 40.0)]);
    assert!(desk.areas()[1] > 400, "{:?}", desk.areas());
    desk.press(Key::S);
    assert_eq!(desk.app().session.open().unwrap().selected(), ["r3"]);
    desk.press(Key::X);
    assert_eq!(desk.areas().len(), 2);
    assert!(
        desk.app().session.open_proposals().len() == 1,
        "the conversation is left"
    );
    desk.press(Key::S);
    assert!(desk.app().session.open_proposals().is_empty());
    desk.press_with(Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
    desk.until("the count", |app| app.session.batch.outcomes.is_some());
    desk.step(3);
    for label in ["By model", "By task", "By label"] {
        desk.click_label(label);
    }
    desk.click_label("By model");
    desk.harness.get_by_label("teacher");
    desk.harness.get_by_label_contains("75 %");
    // The count lives in the annotations, so it survives the program.
    let document = Sidecar::open(&sidecar_path(&desk.path(0))).unwrap().1.unwrap();
    let mut table = OutcomeTable::default();
    table.add(&document);
    let all = table.all();
    assert_eq!((all.accepted, all.mended, all.rejected, all.open), (1, 2, 1, 0));
}

#[test]
fn a_region_that_is_there_is_linked_by_keyboard() {
    let server = FaultServer::always(answer(&[&word(2, 2)]));
    let mut desk = Desk::new(1);
    desk.use_server(&server.url);
    desk.press(Key::R);
    desk.drag(&[(30.0, 30.0), (50.0, 50.0)]);
    desk.press(Key::Escape);
    desk.propose_named("nut");
    desk.press_with(Modifiers::SHIFT, Key::N);
    desk.press(Key::N);
    desk.step(2);
    desk.harness.get_by_label("Link  S");
    desk.harness.get_by_label("Keep both  Shift+K");
    desk.press(Key::S);
    assert_eq!(desk.areas(), [400]);
    let turns = &desk.app().session.open().unwrap().document().conversations[0].turns;
    assert_eq!(turns[1].text, "[[r1]]");
}

#[test]
fn what_goes_wrong_is_shown_in_place_and_nothing_is_lost() {
    let refused = status(
        401,
        &["content-type: application/json"],
        r#"{"error": {"message": "bad key"}}"#,
    );
    let broken = vec![stream_head(), piece("Half an ans"), Step::Break];
    let hanging = vec![
        stream_head(),
        piece("It goes on"),
        Step::Wait(Duration::from_secs(60)),
    ];
    let fine = answer(&["Whole."]);
    let script = [refused, broken, fine, hanging];
    let server = FaultServer::start(move |number, _| script[number.min(3)].clone());
    let mut desk = Desk::new(1);
    desk.use_server(&server.url);
    desk.ask("What is this?");
    desk.answered();
    let told = |desk: &Desk| match &desk.chat().turns.last().unwrap().state {
        TurnState::Failed(reason) => reason.clone(),
        state => format!("{state:?}"),
    };
    assert!(
        told(&desk).contains("401") && told(&desk).contains("bad key"),
        "{}",
        told(&desk)
    );
    let shown = told(&desk);
    desk.harness.get_by_label(&shown);
    desk.click_label("Ask again");
    desk.answered();
    assert!(told(&desk).contains("broke off"), "{}", told(&desk));
    desk.harness.get_by_label("Half an ans");
    desk.harness.get_by_label("What is this?");
    desk.click_label("Ask again");
    desk.answered();
    assert_eq!(
        (desk.chat().turns.len(), desk.chat().turns[0].raw.as_str()),
        (1, "Whole.")
    );
    desk.ask("And this?");
    desk.until("a part", |app| {
        app.session.chat().unwrap().turns[1].raw == "It goes on"
    });
    desk.press_with(Modifiers::COMMAND, Key::Period);
    desk.answered();
    assert_eq!(desk.chat().turns[1].state, TurnState::Stopped);
    desk.harness.get_by_label("It goes on");
    // A server that is gone.
    drop(server);
    desk.ask("And now?");
    desk.answered();
    assert!(told(&desk).contains("cannot reach the server"), "{}", told(&desk));
    desk.press_with(Modifiers::SHIFT, Key::S);
    desk.step(3);
    desk.type_text("nut");
    desk.press(Key::Enter);
    desk.until("the failure", |app| app.session.failed_wishes().count() == 1);
    desk.step(3);
    assert_eq!(desk.harness.query_all_by_label("Ask again").count(), 2);
    assert!(desk.areas().is_empty());
}

#[test]
fn the_window_stays_quiet_beside_a_finished_chat() {
    let server = FaultServer::always(answer(&["Hello ", &word(5, 4)]));
    let mut desk = Desk::new(1);
    desk.use_server(&server.url);
    desk.ask("Hello?");
    desk.answered();
    desk.until("rest", |app| {
        !app.session.is_network_busy && app.session.is_saved() && app.session.chat_masks().count() == 1
    });
    desk.rests();
}
