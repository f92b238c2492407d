//! `samtok train` as a program: killed, interrupted, resumed, on a user's data, and its preview.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::Workspace;

/// A network that takes a moment per step.
pub(crate) fn small_config() -> String {
    json!({
        "name": "small", "image_size": 64,
        "trunk": {
            "embed_dim": 8, "num_heads": 1, "stages": [1, 1, 2, 1], "global_att_blocks": [2],
            "window_pos_embed_bkg_spatial_size": [7, 7], "window_spec": [8, 4, 4, 2]
        },
        "neck": {"d_model": 16, "backbone_channel_list": [64, 32, 16, 8], "fpn_top_down_levels": [2, 3]},
        "quantizer": {"codebook_size": 8, "codebook_depth": 2, "shared_codebook": false, "latent_dim": 16},
        "heads": {"depth": 2, "num_heads": 2, "mlp_dim": 32, "iou_head_hidden_dim": 16}
    })
    .to_string()
}

fn workspace() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("small.json", small_config());
    workspace
}

/// The arguments of a run of `steps` into `out`.
fn arguments<'a>(out: &'a str, steps: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let common = [
        "train",
        "--config",
        "small.json",
        "--images",
        "1",
        "--masks",
        "2",
        "--codebook-start",
        "4",
        "--checkpoint-steps",
        "1",
        "--out",
        out,
        "--steps",
        steps,
    ];
    [&common, more].concat()
}

fn spawn(workspace: &Workspace, arguments: &[&str]) -> Child {
    let mut command = workspace.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn a_killed_run_resumes_to_the_same_weights() {
    let workspace = workspace();
    let started = Instant::now();
    workspace.run(&arguments("whole", "44", &[])).expect(0);
    let whole = started.elapsed();
    let nanos = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    for kill in 0..3 {
        let share = 0.1 + 0.4 * f64::from(nanos.rotate_left(7 * kill) % 1000) / 1000.0;
        let delay = whole.mul_f64(share);
        let resume = workspace.path("killed/checkpoint.safetensors").exists();
        let more: &[&str] = if resume { &["--resume"] } else { &[] };
        let mut child = spawn(&workspace, &arguments("killed", "44", more));
        std::thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
        eprintln!("killed after {delay:?} of {whole:?}, resumed: {resume}");
    }
    let resume = workspace.path("killed/checkpoint.safetensors").exists();
    let more: &[&str] = if resume { &["--resume"] } else { &[] };
    workspace.run(&arguments("killed", "44", more)).expect(0);
    for file in ["model.safetensors", "checkpoint.safetensors"] {
        let read = |folder: &str| fs::read(workspace.path(folder).join(file)).unwrap();
        assert!(read("whole") == read("killed"), "{file} differs");
    }
    let metrics = fs::read_to_string(workspace.path("killed/metrics.jsonl")).unwrap();
    let steps: Vec<Value> = metrics
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].take())
        .collect();
    assert_eq!(steps, [20, 40], "every window once");
    assert!(workspace.path("killed/curve.svg").exists());
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let workspace = workspace();
    let child = spawn(&workspace, &arguments("run", "1000000", &[]));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !workspace.path("run/checkpoint.safetensors").exists() {
        assert!(Instant::now() < deadline, "no checkpoint after a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        said.contains("stopped and saved after step") && said.contains("--resume"),
        "{said}"
    );
    let refused = workspace.run(&arguments("run", "1000000", &[])).expect_error();
    assert!(
        refused.contains("--resume"),
        "a run is never overwritten: {refused}"
    );
    let other_seed = workspace
        .run(&arguments("run", "9", &["--resume", "--seed", "7"]))
        .expect_error();
    assert!(other_seed.contains("--seed 1"), "{other_seed}");
}

#[test]
fn data_of_the_user_is_trained_on() {
    let workspace = workspace();
    fs::create_dir(workspace.path("data")).unwrap();
    fs::copy(workspace.path("photo.png"), workspace.path("data/photo.png")).unwrap();
    let data = ["--data", "data", "--data-share", "1"];
    let refused = workspace.run(&arguments("run", "2", &data)).expect_error();
    assert!(refused.contains("no image with masks"), "{refused}");
    assert!(
        !workspace.path("run").exists(),
        "nothing stays of a run that never began"
    );
    for (index, mask) in ["a.png", "b.png"].iter().enumerate() {
        let name = format!("data/photo.mask{index}.png");
        fs::copy(workspace.path(mask), workspace.path(&name)).unwrap();
    }
    workspace.write("data/broken.png", b"nothing");
    let answer = workspace.run(&arguments("run", "6", &data));
    assert!(answer.stderr.contains("left out"), "{}", answer.stderr);
    answer.expect(0);
    let tuned = [
        "train",
        "--init",
        "run",
        "--freeze-trunk",
        "--steps",
        "2",
        "--images",
        "1",
        "--masks",
        "2",
    ];
    for objective in ["generated", "published"] {
        let more = [
            "--objective",
            objective,
            "--out",
            objective,
            "--data",
            "data",
            "-q",
        ];
        workspace.run(&[&tuned[..], &more].concat()).expect(0);
        workspace
            .run(&["encode", "photo.png", "--mask", "a.png", "--model", objective])
            .expect(0);
    }
    let refused = workspace
        .run(&["train", "--config", "small.json", "--freeze-trunk", "--out", "x"])
        .expect_error();
    assert!(refused.contains("--init"), "{refused}");
}

#[test]
fn a_preview_shows_scenes() {
    let workspace = workspace();
    let arguments = [
        "train",
        "--config",
        "small.json",
        "--preview",
        "5",
        "--out",
        "look",
        "--json",
    ];
    let answer = workspace.run(&arguments).json();
    assert_eq!(answer["scenes"], 5);
    assert_eq!(
        image::image_dimensions(workspace.path("look/preview.png")).unwrap(),
        (256, 128)
    );
}
