//! The thread of the language model with a scripted one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::scripted::{Line, Script};
use super::{LanguageEvent, LanguageRequest, LanguageWorker};
use crate::language::opening::EngineChoice;
use crate::language::served::Endpoint;
use crate::language::{ChatRequest, Finish};

fn worker(script: &Script, opens: bool) -> LanguageWorker {
    let script = script.clone();
    let open = move |_: &EngineChoice, progress: &mut dyn FnMut(usize, usize), _: &dyn Fn() -> bool| {
        progress(1, 2);
        if opens {
            Ok(script.opened())
        } else {
            Err("the folder is empty".to_owned())
        }
    };
    let worker = LanguageWorker::start(Box::new(open), Arc::new(|| {})).unwrap();
    let choice = EngineChoice::Served(Box::new(Endpoint::new("http://localhost:1", "m").unwrap()));
    assert!(worker.send(LanguageRequest::Choose(Some(choice))));
    worker
}

fn ask(worker: &LanguageWorker, id: u64) {
    let request = ChatRequest::default();
    assert!(worker.send(LanguageRequest::Ask { id, request }));
}

/// Events up to the end of a question; `see` is told each.
fn until_end(worker: &LanguageWorker, of: u64, mut see: impl FnMut(&LanguageEvent)) -> LanguageEvent {
    let start = Instant::now();
    loop {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "no end of question {of}"
        );
        let Some(event) = worker.try_event() else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        see(&event);
        if let LanguageEvent::Answered { id, .. } | LanguageEvent::Failed { id, .. } = &event
            && *id == of
        {
            return event;
        }
    }
}

#[test]
fn pieces_arrive_before_the_whole() {
    let worker = worker(&Script::saying(&["one two three"]), true);
    ask(&worker, 7);
    let mut pieces = String::new();
    let end = until_end(&worker, 7, |event| {
        if let LanguageEvent::Text { text, .. } = event {
            pieces.push_str(text);
        }
    });
    assert_eq!(pieces, "one two three");
    assert!(matches!(end, LanguageEvent::Answered { answer, .. } if answer.text == pieces));
}

#[test]
fn a_question_is_taken_back_while_it_is_answered_and_while_it_waits() {
    let worker = worker(&Script::new([Line::Hang("so".to_owned())]), true);
    ask(&worker, 1);
    ask(&worker, 2);
    worker.cancel(2);
    let end = until_end(&worker, 1, |event| {
        if matches!(event, LanguageEvent::Text { .. }) {
            worker.cancel(1);
        }
    });
    let LanguageEvent::Answered { answer, .. } = end else {
        panic!("{end:?}")
    };
    assert_eq!((answer.text.as_str(), answer.finish), ("so", Finish::Cancelled));
    let end = until_end(&worker, 2, |_| {});
    assert!(matches!(end, LanguageEvent::Answered { answer, .. } if answer.text.is_empty()));
}

#[test]
fn failures_cost_one_answer() {
    let script = Script::new([
        Line::Break("half".to_owned()),
        Line::Panic,
        Line::Say(vec!["fine".to_owned()]),
    ]);
    let worker = worker(&script, true);
    for id in 1..=3 {
        ask(&worker, id);
    }
    let end = until_end(&worker, 1, |_| {});
    assert!(
        matches!(&end, LanguageEvent::Failed { partial, .. } if partial == "half"),
        "{end:?}"
    );
    let end = until_end(&worker, 2, |_| {});
    assert!(
        matches!(&end, LanguageEvent::Failed { reason, .. } if reason.contains("unexpectedly")),
        "{end:?}"
    );
    let end = until_end(&worker, 3, |_| {});
    assert!(
        matches!(&end, LanguageEvent::Answered { answer, .. } if answer.text == "fine"),
        "{end:?}"
    );
}

#[test]
fn a_model_that_does_not_open_is_told_with_the_question() {
    let worker = worker(&Script::default(), false);
    ask(&worker, 1);
    let mut told = 0;
    let end = until_end(&worker, 1, |event| {
        told += u32::from(matches!(event, LanguageEvent::OpenFailed(_)))
    });
    assert!(matches!(&end, LanguageEvent::Failed { reason, .. } if reason == "the folder is empty"));
    assert_eq!(told, 1);
}

#[test]
fn leaving_ends_an_answer() {
    let worker = worker(&Script::new([Line::Hang("so".to_owned())]), true);
    ask(&worker, 1);
    let start = Instant::now();
    drop(worker);
    // It would hang for good; a busy machine may take its time.
    assert!(start.elapsed() < Duration::from_secs(15));
}
