//! `propose`: over many images with a bad server, killed and started again; and every failure on one image.

use std::collections::HashSet;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use samtok::dataset::{Document, ImageRef, Region, Sidecar, Status};
use samtok::geometry::PixelRect;
use samtok::mask::Mask;
use serde_json::Value;

use super::fault_server::{FaultServer, Step, answer, piece, status, stream_head};
use super::{SIZE, said, samtok, sidecar, words, write_image};

const IMAGES: usize = 200;

fn document(image: &Path) -> Document {
    let (_, document) = Sidecar::open(&sidecar(image)).unwrap();
    document.unwrap_or_else(|| panic!("no sidecar: {}", image.display()))
}

/// A region that a person drew.
fn draw(image: &Path) -> Region {
    let (mut sidecar, _) = Sidecar::load(image, SIZE).unwrap();
    let mut document = Document::new(ImageRef::new(image, SIZE, None));
    let mask = Mask::from_rects(SIZE, &[PixelRect::new(1, 2, 20, 9)]).unwrap();
    let mut region = Region::new("r1".to_owned(), mask.to_rle());
    (region.label, region.status) = ("mine".to_owned(), Status::Done);
    document.regions.push(region.clone());
    document.notes = "Do not touch.".to_owned();
    sidecar.save(&document).unwrap();
    region
}

#[test]
fn a_run_that_is_killed_three_times_does_every_image_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize| folder.path().join(format!("{number:03}.png"));
    (0..IMAGES).for_each(|number| write_image(&path(number), number));
    let mine = draw(&path(7));

    // Which images were answered in full; an image is known by its bytes.
    let answered: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&answered);
    let server = FaultServer::start(move |number, request| match number % 40 {
        7 => status(503, &[], "loading"),
        17 => status(429, &["retry-after: 0"], "slow down"),
        27 => vec![stream_head(), piece("It is "), Step::Break],
        37 => vec![Step::Break],
        _ => {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            let image = body["messages"][0]["content"][0]["image_url"]["url"].to_string();
            seen.lock().unwrap().push(image);
            answer(&["It is ", &words(number % 1024), "."])
        }
    });
    let arguments = [
        "propose",
        ".",
        "--task",
        "segment",
        "--text",
        "cup",
        "--png",
        "--endpoint",
        &server.url,
    ];
    let arguments = [
        &arguments[..],
        &["--vlm-name", "tiny", "--json", "--threads", "1"],
    ]
    .concat();
    let done = || {
        (0..IMAGES)
            .filter(|number| sidecar(&path(*number)).exists())
            .count()
    };
    for most in [30, 80, 130] {
        let mut child = samtok(folder.path(), &arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while done() < most {
            assert!(
                Instant::now() < deadline && child.try_wait().unwrap().is_none(),
                "{} done",
                done()
            );
            thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (code, stdout, stderr) = said(samtok(folder.path(), &arguments).output().unwrap());
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&summary["images"], &summary["left"]),
        (&IMAGES.into(), &0.into())
    );

    for number in 0..IMAGES {
        let document = document(&path(number));
        let conversations = &document.conversations;
        assert_eq!(conversations.len(), 1, "{number}");
        assert_eq!(
            conversations[0].turns[0].text,
            "Please segment cup in this image."
        );
        assert!(conversations[0].turns[1].text.starts_with("It is"), "{number}");
        let drafts = document.regions.iter().filter(|region| region.source == "tiny");
        assert!(drafts.count() <= 1, "{number}");
    }
    let kept = document(&path(7));
    assert_eq!((&kept.regions[0], kept.notes.as_str()), (&mine, "Do not touch."));

    // Only what was under way when it was killed was asked again.
    let asked = answered.lock().unwrap().len();
    let distinct: HashSet<String> = answered.lock().unwrap().iter().cloned().collect();
    assert_eq!(distinct.len(), IMAGES);
    assert!(asked <= IMAGES + 3 * 4, "{asked} answers");

    let before = server.requests().len();
    let (code, stdout, _) = said(samtok(folder.path(), &arguments).output().unwrap());
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &summary["up_to_date"]), (Some(0), &IMAGES.into()));
    assert_eq!(server.requests().len(), before, "nothing is asked twice");
}

/// What the program says about one image, and the folder's document afterwards.
fn propose_one(server: &str, more: &[&str]) -> (Option<i32>, String, Document) {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("a.png");
    write_image(&image, 0);
    draw(&image);
    let arguments = [
        "propose",
        ".",
        "--endpoint",
        server,
        "--vlm-name",
        "tiny",
        "--retries",
        "0",
        "--timeout",
        "1",
    ];
    let arguments = [&arguments[..], &["--concurrency", "1", "--threads", "1"], more].concat();
    let (code, stdout, stderr) = said(samtok(folder.path(), &arguments).output().unwrap());
    assert!(!stderr.contains("panicked"), "{stderr}");
    (code, format!("{stdout}{stderr}"), document(&image))
}

#[test]
fn every_bad_answer_is_said_and_loses_nothing() {
    let text = |text: &str| answer(&[text]);
    let Step::Send(event) = piece(&"word ".repeat(2000)) else {
        panic!()
    };
    let thousand: String = (0..1000).map(words).collect();
    let cases = [
        (status(401, &[], "no"), "give it the key of your account", 2),
        (status(429, &["retry-after: 60"], "no"), "the server is busy", 2),
        (status(500, &[], "no"), "the server failed (500: no)", 2),
        (status(200, &[], "<html><title>Hi</title>"), "a web page (Hi)", 2),
        (vec![stream_head(), piece("It is"), Step::Break], "broke off", 2),
        (
            vec![Step::Wait(Duration::from_secs(5))],
            "sent nothing for 1 s",
            2,
        ),
        (
            vec![stream_head(), Step::Endless(event)],
            "longer than 1048576 bytes",
            2,
        ),
        (text(""), "the answer is empty", 2),
        (
            text("<|mt_start|><|mt_0200|><|mt_0400|><|mt_end|>"),
            "trained with another tokenizer",
            2,
        ),
        (text(&thousand), "1 answer", 0),
        (text("No target."), "1 answer", 0),
    ];
    for (steps, expected, exit_code) in cases {
        let server = FaultServer::always(steps);
        let (code, said, document) = propose_one(&server.url, &["--task", "segment", "--text", "cup"]);
        assert_eq!(code, Some(exit_code), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
        assert_eq!(
            (document.regions[0].label.as_str(), document.notes.as_str()),
            ("mine", "Do not touch.")
        );
        assert_eq!(
            document.conversations.len(),
            usize::from(exit_code == 0),
            "{said}"
        );
    }
    let (code, said, _) = propose_one("http://127.0.0.1:9", &["--task", "describe"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("cannot reach the server"), "{said}");
}

#[test]
fn captions_and_answers_are_about_regions() {
    let server = FaultServer::always(answer(&["A small thing."]));
    let (code, said, document) = propose_one(&server.url, &["--task", "caption"]);
    assert_eq!(code, Some(0), "{said}");
    let caption = &document.regions[0].captions[0];
    assert_eq!(
        (caption.text.as_str(), caption.author.as_deref()),
        ("A small thing.", Some("tiny"))
    );
    let body = &server.requests()[0].body;
    assert!(
        body.contains("Zoom in with the perspective as") && body.contains("<|mt_start|>"),
        "{body}"
    );

    let (code, said, document) = propose_one(&server.url, &["--task", "ask", "--text", "What is it?"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(document.conversations[0].turns[0].text, "[[r1]]\nWhat is it?");

    for (more, expected) in [
        (&["--task", "segment"][..], "needs something to ask"),
        (&["--task", "refine"], "cannot be done for a folder"),
        (&["--task", "paint"], "choose one of caption"),
        (&["--task", "describe", "--vlm", "x"], "cannot be used with"),
    ] {
        let (code, said, _) = propose_one(&server.url, more);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
