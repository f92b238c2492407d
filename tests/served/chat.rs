//! `chat`: questions in, streamed answers and their masks out. And `score`, which reads such answers.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use super::fault_server::{FaultServer, answer, status};
use super::{said, samtok, words, write_image};

#[test]
fn a_conversation_is_streamed_and_its_masks_are_regions() {
    let folder = tempfile::tempdir().unwrap();
    write_image(&folder.path().join("a.png"), 1);
    let server = FaultServer::start(|number, request| match number {
        0 => status(
            200,
            &["content-type: application/json"],
            r#"{"data": [{"id": "only"}]}"#,
        ),
        1 => answer(&["It is ", &words(3), "."]),
        _ => {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(
                body["messages"].as_array().unwrap().len(),
                3,
                "it knows what was said"
            );
            answer(&["Yes."])
        }
    });
    let arguments = [
        "chat",
        "a.png",
        "--endpoint",
        &server.url,
        "--json",
        "--threads",
        "1",
    ];
    let arguments = [&arguments[..], &["--text", "Where is it?", "--text", "Sure?"]].concat();
    let (code, stdout, stderr) = said(samtok(folder.path(), &arguments).output().unwrap());
    assert_eq!(code, Some(0), "{stderr}");
    let answered: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answered["language_model"], "only");
    assert_eq!(answered["turns"][0]["answer"], format!("It is {}.", words(3)));
    assert_eq!(answered["turns"][1]["text"], "Yes.");
    assert_eq!(answered["turns"][1]["completion_tokens"], 3);
}

#[test]
fn questions_come_from_standard_input_and_failures_end_nothing() {
    let folder = tempfile::tempdir().unwrap();
    write_image(&folder.path().join("a.png"), 1);
    let server = FaultServer::start(|number, _| match number {
        0 => status(500, &[], "not now"),
        _ => answer(&["Hello ", "there."]),
    });
    let arguments = [
        "chat",
        "a.png",
        "--endpoint",
        &server.url,
        "--vlm-name",
        "m",
        "--retries",
        "0",
    ];
    let mut child = samtok(folder.path(), &arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"One?\n\nTwo?\n").unwrap();
    let (code, stdout, stderr) = said(child.wait_with_output().unwrap());
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        stdout.contains("Hello there.\n") && stderr.contains("not now"),
        "{stdout}{stderr}"
    );
}

#[test]
fn a_training_loop_gets_an_answer_for_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let line = |response: &str| json!({"id": response, "response": response, "answer": words(3)}).to_string();
    let input = format!("{}\n{{\n{}\n", line(&words(3)), line("No target."));
    let mut child = samtok(folder.path(), &["score", "--metric", "words", "--each"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let (code, stdout, stderr) = said(child.wait_with_output().unwrap());
    assert_eq!(code, Some(1), "{stderr}");
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        (&lines[0]["answer_matching"], &lines[2]["answer_matching"]),
        (&json!(1.0), &json!(0.0))
    );
    assert_eq!(lines[1]["line"], 2);

    std::fs::write(folder.path().join("all.json"), format!("[{}]", line(&words(3)))).unwrap();
    let (code, stdout, _) = said(
        samtok(
            folder.path(),
            &["score", "--metric", "words", "all.json", "--json"],
        )
        .output()
        .unwrap(),
    );
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (code, &summary["samples"], &summary["graded"]),
        (Some(0), &json!(1), &json!(1.0))
    );
}
