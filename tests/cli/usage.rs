//! Help, wrong usage, and who reads the output.

use std::fs::File;
use std::process::{Command, Stdio};

use super::{Workspace, answer};

#[test]
fn wrong_usage_is_code_2_and_help_is_code_0() {
    let workspace = Workspace::new();
    for arguments in [
        &["nonsense"][..],
        &["encode", "photo.png"],
        &["segment", "photo.png"],
        &["segment", "photo.png", "--point", "a,b"],
        &["annotate", "photo.png", "--mask", "a.png", "--question", "why?"],
        &["encode", "photo.png", "--mask", "a.png", "--device", "abacus"],
        &["encode", "photo.png", "--mask", "a.png", "--max-megapixels", "0"],
        &["encode", "photo.png", "--mask", "a.png", "-q", "-v"],
    ] {
        let answer = workspace.run(arguments);
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(!answer.stderr.is_empty());
    }
    let mut bare = Command::new(env!("CARGO_BIN_EXE_samtok"));
    bare.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    let bare = answer(bare);
    assert!(
        bare.code == Some(2) && bare.stderr.contains("samtok --help"),
        "{}",
        bare.stderr
    );
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["encode", "--help"],
        &["model", "convert", "--help"],
    ] {
        assert!(!workspace.run(arguments).expect(0).is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let workspace = Workspace::new();
    let mut command = workspace.command(&["model", "info", "-v"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}

#[test]
fn logging_goes_to_standard_error_only() {
    let workspace = Workspace::new();
    let answer = workspace.run(&["encode", "photo.png", "--mask", "a.png", "--json", "-v"]);
    assert!(
        answer.stderr.contains("samtok: info: encoding the image took"),
        "{}",
        answer.stderr
    );
    answer.json();
    workspace.write_mask("all.png", &[samtok::geometry::PixelRect::covering(super::SIZE)]);
    let loud = workspace.run(&["encode", "photo.png", "--mask", "all.png"]);
    assert!(
        loud.stderr
            .starts_with("samtok: warning: every pixel has the same value"),
        "{}",
        loud.stderr
    );
    assert_eq!(
        workspace
            .run(&["encode", "photo.png", "--mask", "all.png", "-q"])
            .stderr,
        ""
    );
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_is_an_error() {
    let workspace = Workspace::new();
    for arguments in [
        &["words", "<|mt_end|>"][..],
        &["words", "<|mt_end|>", "--json"],
        &["model", "info"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = workspace
            .command(arguments)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.starts_with("samtok: error: cannot write to standard output"),
            "{stderr}"
        );
    }
}
