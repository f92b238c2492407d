//! Every way in which a server can fail, each with a server that does so.

use std::cell::Cell;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::language::{ChatRole, Message, Sampling, Usage};

#[path = "../../../tests/served/fault_server.rs"]
pub(crate) mod fault_server;

use fault_server::{FaultServer, Step, answer, piece, status, stream_head};

const FAST: RetryPolicy = RetryPolicy {
    retries: 2,
    first_wait: Duration::from_millis(4),
    longest_wait: Duration::from_secs(2),
    after_text: false,
};

fn engine(url: &str) -> ServedEngine {
    let mut endpoint = Endpoint::new(url, "tiny").unwrap();
    endpoint.retries = FAST;
    endpoint.time_limits = TimeLimits {
        connect: Duration::from_secs(2),
        silence: Duration::from_millis(400),
        answer: Duration::from_secs(5),
    };
    ServedEngine::new(endpoint)
}

fn question() -> ChatRequest {
    ChatRequest {
        messages: vec![Message::text(ChatRole::User, "What?")],
        sampling: Sampling::default(),
    }
}

/// Asks, and gives the answer with what was shown of it.
fn ask(engine: &mut ServedEngine) -> (Result<Answer, LanguageError>, String) {
    let mut shown = String::new();
    let answer = engine.chat(&question(), &mut |text| shown.push_str(text), &|| false);
    (answer, shown)
}

#[test]
fn an_answer_is_streamed_in_pieces_and_whole() {
    let server = FaultServer::always(answer(&["It is ", "<|mt_start|>", "<|mt_0001|>é"]));
    let mut engine = engine(&server.url);
    engine.endpoint.key = Some(ApiKey::new("sk-secret").unwrap());
    let mut pieces = 0;
    let count = &mut |_: &str| pieces += 1;
    let answer = engine.chat(&question(), count, &|| false).unwrap();
    assert_eq!(answer.text, "It is <|mt_start|><|mt_0001|>é");
    assert_eq!(
        (answer.finish, answer.usage),
        (
            Finish::Stop,
            Usage {
                prompt_tokens: 7,
                completion_tokens: 3
            }
        )
    );
    assert!(pieces >= 1);
    let request = &server.requests()[0];
    assert_eq!(request.line, "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer sk-secret"));
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!((&body["model"], &body["stream"]), (&"tiny".into(), &true.into()));
    assert!(!format!("{engine:?}").contains("secret"));
}

#[test]
fn answers_in_unusual_forms_are_read() {
    let whole = r#"{"choices":[{"message":{"content":"whole"},"finish_reason":"length"}]}"#;
    let no_done = vec![
        stream_head(),
        piece("no done"),
        Step::Send(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_vec()),
    ];
    let untyped = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n\n: hi\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"untyped\"}}]}\r\n\r\ndata: [DONE]";
    let mut chunked =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n".to_owned();
    for part in [
        "data:",
        " {\"choices\":[{\"delta\":{\"content\":\"chunked\"}}",
        "]}\n\ndata: [DO",
        "NE]\n",
        "",
    ] {
        chunked += &format!("{:x}\r\n{part}\r\n", part.len());
    }
    for (steps, text, finish) in [
        (
            status(200, &["content-type: application/json"], whole),
            "whole",
            Finish::Length,
        ),
        (no_done, "no done", Finish::Stop),
        (vec![Step::Send(untyped.to_vec())], "untyped", Finish::Stop),
        (vec![Step::Send(chunked.into_bytes())], "chunked", Finish::Stop),
    ] {
        let server = FaultServer::always(steps);
        let (answer, shown) = ask(&mut engine(&server.url));
        let answer = answer.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((answer.text.as_str(), answer.finish), (text, finish));
        assert_eq!(shown, text);
    }
}

#[test]
fn stop_texts_end_an_answer_even_where_the_server_goes_on() {
    let server = FaultServer::always(answer(&["one</an", "swer> two"]));
    let mut engine = engine(&server.url);
    let mut request = question();
    request.sampling.stop = vec!["</answer>".to_owned()];
    let mut shown = String::new();
    let answer = engine
        .chat(&request, &mut |text| shown.push_str(text), &|| false)
        .unwrap();
    assert_eq!((answer.text.as_str(), shown.as_str()), ("one", "one"));
}

#[test]
fn every_failure_says_what_it_was_and_keeps_what_came() {
    let page = "<!doctype html><html><head><title>Sign in</title></head></html>";
    let json = r#"{"error":{"message":"the key sk-secret is wrong"}}"#;
    let in_stream = vec![
        stream_head(),
        piece("half"),
        Step::Send(b"data: {\"error\":{\"message\":\"out of memory\"}}\n\n".to_vec()),
    ];
    let nonsense = vec![
        stream_head(),
        piece("half"),
        Step::Send(b"data: {\"hello\":1}\n\n".to_vec()),
    ];
    let endless_line = vec![stream_head(), piece("half"), Step::Endless(vec![b'x'; 4096])];
    let endless_comments = vec![stream_head(), Step::Endless(b": ping\n\n".repeat(1000))];
    let cases: Vec<(Vec<Step>, &str, &str, usize)> = vec![
        (
            status(401, &[], json),
            "the server refuses the key (401: the key … is wrong)",
            "",
            1,
        ),
        (status(403, &[], "no"), "may use this model", "", 1),
        (status(404, &[], json), "knows no model \"tiny\"", "", 1),
        (
            status(400, &[], "context too long"),
            "refuses the request (400: context too long)",
            "",
            1,
        ),
        (
            status(302, &["location: http://example.com/"], ""),
            "refuses the request (302",
            "",
            1,
        ),
        (
            status(429, &["retry-after: 0"], "slow down"),
            "the server is busy (slow down)",
            "",
            3,
        ),
        (
            status(429, &["retry-after: 99"], "slow down"),
            "wants no question for 99 s",
            "",
            1,
        ),
        (
            status(500, &[], "Internal Server Error"),
            "failed (500: Internal Server Error)",
            "",
            3,
        ),
        (
            status(502, &[], page),
            "failed (502: a web page (Sign in))",
            "",
            3,
        ),
        (
            status(200, &["content-type: text/html"], page),
            "sent a web page (Sign in) instead",
            "",
            1,
        ),
        (status(200, &[], page), "sent a web page (Sign in) instead", "", 1),
        (status(200, &[], "{\"a\": 1}"), "instead of an answer", "", 1),
        (status(200, &[], "{\"choices\": [{\"mess"), "broke off", "", 3),
        (vec![Step::Break], "broke off", "", 3),
        (vec![stream_head()], "broke off", "", 3),
        (vec![stream_head(), piece("half")], "broke off", "half", 1),
        (
            vec![stream_head(), piece("half"), Step::Break],
            "broke off",
            "half",
            1,
        ),
        (in_stream, "failed (out of memory)", "half", 1),
        (nonsense, "instead of an answer", "half", 1),
        (
            vec![Step::Wait(Duration::from_secs(9))],
            "sent nothing for 0.4 s",
            "",
            1,
        ),
        (
            vec![stream_head(), piece("half"), Step::Wait(Duration::from_secs(9))],
            "sent nothing",
            "half",
            1,
        ),
        (endless_line, "longer than", "half", 1),
        (endless_comments, "longer than", "", 1),
    ];
    for (steps, expected, partial, asked) in cases {
        let server = FaultServer::always(steps);
        let mut engine = engine(&server.url);
        engine.endpoint.key = Some(ApiKey::new("sk-secret").unwrap());
        engine.endpoint.max_answer_bytes = 1000;
        let (answer, shown) = ask(&mut engine);
        let error = answer.expect_err(expected);
        let message = error.to_string();
        assert!(message.contains(expected), "{expected}: {message}");
        assert!(
            message.ends_with(&format!("{}/v1", server.url)),
            "the path is last: {message}"
        );
        assert!(!message.contains("sk-secret"), "{message}");
        assert_eq!((error.partial(), shown.as_str()), (partial, partial), "{message}");
        assert_eq!(server.requests().len(), asked, "{message}");
    }
}

#[test]
fn endless_text_is_cut_at_a_character() {
    let Step::Send(event) = piece(&"é".repeat(50)) else {
        panic!()
    };
    let server = FaultServer::always(vec![stream_head(), Step::Endless(event)]);
    let mut engine = engine(&server.url);
    engine.endpoint.max_answer_bytes = 1001;
    let started = Instant::now();
    let (answer, shown) = ask(&mut engine);
    let error = answer.unwrap_err();
    assert!(
        matches!(
            error,
            LanguageError::TooLong {
                limit_bytes: 1001,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.partial(), "é".repeat(500));
    assert!(error.partial().starts_with(&shown));
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_slow_answer_has_a_limit_too() {
    let mut steps = vec![stream_head()];
    for _ in 0..100 {
        steps.extend([piece("a"), Step::Wait(Duration::from_millis(60))]);
    }
    let server = FaultServer::always(steps);
    let mut engine = engine(&server.url);
    engine.endpoint.time_limits.answer = Duration::from_millis(300);
    let (answer, shown) = ask(&mut engine);
    let error = answer.unwrap_err();
    assert!(matches!(error, LanguageError::TooSlow { .. }), "{error}");
    assert!(!shown.is_empty() && error.partial() == shown);
}

#[test]
fn a_server_that_is_down_is_said_to_be() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let mut engine = engine(&format!("http://{address}"));
    let (answer, _) = ask(&mut engine);
    let message = answer.unwrap_err().to_string();
    assert!(message.contains("nothing listens there"), "{message}");
    let message = engine.models(&|| false).unwrap_err().to_string();
    assert!(message.contains("cannot reach the server"), "{message}");
    let mut nowhere = ServedEngine::new(Endpoint {
        retries: RetryPolicy::NEVER,
        ..Endpoint::new("http://no-such-host.invalid:1", "m").unwrap()
    });
    let message = ask(&mut nowhere).0.unwrap_err().to_string();
    assert!(message.contains("cannot reach the server"), "{message}");
}

#[test]
fn what_may_pass_is_tried_again_before_text_but_not_after() {
    let server = FaultServer::start(|number, _| match number {
        0 => status(503, &[], "loading the model"),
        1 => vec![Step::Break],
        _ => answer(&["well"]),
    });
    let (answer_after, shown) = ask(&mut engine(&server.url));
    assert_eq!(
        (answer_after.unwrap().text.as_str(), shown.as_str()),
        ("well", "well")
    );

    let breaks_once = || {
        FaultServer::start(|number, _| match number {
            0 => vec![stream_head(), piece("ha"), Step::Break],
            _ => answer(&["half"]),
        })
    };
    let server = breaks_once();
    let (failed, shown) = ask(&mut engine(&server.url));
    assert_eq!((failed.unwrap_err().partial(), shown.as_str()), ("ha", "ha"));
    let server = breaks_once();
    let mut engine = engine(&server.url);
    engine.endpoint.retries.after_text = true;
    assert_eq!(ask(&mut engine).0.unwrap().text, "half");
}

#[test]
fn keys_that_a_server_refuses_are_left_out() {
    let server = FaultServer::start(|_, request| {
        for key in ["stream_options", "seed"] {
            if request.body.contains(key) {
                return status(
                    422,
                    &[],
                    &format!("{{\"detail\": \"Unexpected keys: {{'{key}'}}\"}}"),
                );
            }
        }
        answer(&["fine"])
    });
    let mut engine = engine(&server.url);
    let mut request = question();
    request.sampling.temperature = 0.5;
    let answer = engine.chat(&request, &mut |_| {}, &|| false).unwrap();
    assert_eq!((answer.text.as_str(), server.requests().len()), ("fine", 3));
    assert!(engine.chat(&request, &mut |_| {}, &|| false).is_ok());
    assert_eq!(server.requests().len(), 4, "it is remembered");
}

#[test]
fn giving_up_takes_milliseconds_wherever_it_is() {
    let cases = [
        (vec![Step::Wait(Duration::from_secs(9))], ""),
        (
            vec![stream_head(), piece("half"), Step::Wait(Duration::from_secs(9))],
            "half",
        ),
        (status(503, &[], "wait"), ""),
    ];
    for (steps, text) in cases {
        let server = FaultServer::always(steps);
        let mut engine = engine(&server.url);
        engine.endpoint.time_limits.silence = Duration::from_secs(30);
        engine.endpoint.retries.first_wait = Duration::from_secs(30);
        engine.endpoint.retries.longest_wait = Duration::from_secs(60);
        let started = Instant::now();
        let when = Duration::from_millis(250);
        let answer = engine
            .chat(&question(), &mut |_| {}, &|| started.elapsed() > when)
            .unwrap();
        let late = started.elapsed() - when;
        assert_eq!((answer.text.as_str(), answer.finish), (text, Finish::Cancelled));
        assert!(late < Duration::from_millis(100), "{late:?}");
        if !text.is_empty() {
            // The server is told, so that it stops working.
            let deadline = Instant::now() + Duration::from_secs(2);
            while server.hung_up().is_empty() {
                assert!(Instant::now() < deadline, "the connection is closed");
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

#[test]
fn giving_up_in_the_middle_of_endless_text_works() {
    let Step::Send(event) = piece("word ") else {
        panic!()
    };
    let server = FaultServer::always(vec![stream_head(), Step::Endless(event)]);
    let mut engine = engine(&server.url);
    engine.endpoint.max_answer_bytes = usize::MAX;
    let shown = Cell::new(0);
    let answer = engine.chat(
        &question(),
        &mut |text| shown.set(shown.get() + text.len()),
        &|| shown.get() > 10_000,
    );
    let answer = answer.unwrap();
    assert_eq!(answer.finish, Finish::Cancelled);
    assert!(answer.text.len() >= shown.get() && shown.get() > 10_000);
}

#[test]
fn models_are_listed() {
    let list = r#"{"object":"list","data":[{"id":"a"},{"id":"b/c"}]}"#;
    let server = FaultServer::always(status(200, &["content-type: application/json"], list));
    assert_eq!(engine(&server.url).models(&|| false).unwrap(), ["a", "b/c"]);
    assert_eq!(server.requests()[0].line, "GET /v1/models HTTP/1.1");
    let server = FaultServer::always(status(200, &[], "<html>"));
    let message = engine(&server.url).models(&|| false).unwrap_err().to_string();
    assert!(message.contains("a web page"), "{message}");
    let server = FaultServer::always(status(401, &[], "{}"));
    let message = engine(&server.url).models(&|| false).unwrap_err().to_string();
    assert!(message.contains("give it the key"), "{message}");
}

#[test]
fn clones_share_the_limit_on_questions_at_once() {
    static BUSY: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let server = FaultServer::start(|_, _| {
        let busy = BUSY.fetch_add(1, Ordering::SeqCst) + 1;
        MOST.fetch_max(busy, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(30));
        BUSY.fetch_sub(1, Ordering::SeqCst);
        answer(&["a"])
    });
    let mut endpoint = engine(&server.url).endpoint;
    endpoint.concurrency = NonZeroUsize::new(2).unwrap();
    let engine = ServedEngine::new(endpoint);
    thread::scope(|scope| {
        for _ in 0..6 {
            let mut engine = engine.clone();
            scope.spawn(move || ask(&mut engine).0.unwrap());
        }
    });
    assert_eq!((server.requests().len(), MOST.load(Ordering::SeqCst)), (6, 2));
}

#[test]
fn what_is_sent_is_said_in_a_sentence() {
    let mut endpoint = Endpoint::new("http://gpu7:8000", "m").unwrap();
    let text = endpoint.describe();
    assert!(
        text.contains("at http://gpu7:8000/v1, unencrypted") && text.ends_with("without a key"),
        "{text}"
    );
    endpoint.key = Some(ApiKey::new("sk-1").unwrap());
    endpoint.address = Address::parse("localhost:1").unwrap();
    let text = endpoint.describe();
    assert!(
        text.contains("on this computer") && text.ends_with("with the key"),
        "{text}"
    );
    assert!(!text.contains("sk-1"));
}
