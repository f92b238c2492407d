//! `model info`, `convert` and `generate`, and `bench`.

use std::collections::BTreeMap;
use std::fs;

use samtok::tokenizer::weights::write::{NamedTensor, Precision, safetensors};
use serde_json::{Value, json};

use super::{Workspace, golden};

fn info(workspace: &Workspace, path: &str) -> Value {
    workspace.run(&["model", "info", path, "--json"]).json()
}

#[test]
fn a_converted_model_keeps_its_fingerprint() {
    let workspace = Workspace::new();
    let golden = golden();
    let golden = golden.to_str().unwrap();
    let original = info(&workspace, golden);
    assert_eq!(
        (&original["kind"], &original["format"]),
        (&json!("samtok"), &json!("PyTorch checkpoint"))
    );
    assert_eq!(original["network"]["missing"], json!([]));
    assert_eq!(original["network"]["unused"].as_array().unwrap().len(), 112);
    let encoded = workspace
        .run(&["encode", "photo.png", "--mask", "a.png", "--json"])
        .json();
    assert_eq!(
        original["network"]["fingerprint"],
        encoded["model"]["fingerprint"]
    );

    let lean = workspace
        .run(&["model", "convert", golden, "--out", "lean", "--json"])
        .json();
    assert_eq!(lean["network"]["fingerprint"], original["network"]["fingerprint"]);
    assert_eq!(
        (&lean["format"], &lean["network"]["unused"]),
        (&json!("safetensors"), &json!([]))
    );
    let all = workspace
        .run(&[
            "model",
            "convert",
            golden,
            "--out",
            "all/all.safetensors",
            "--everything",
            "--json",
        ])
        .json();
    assert_eq!(all["network"]["fingerprint"], original["network"]["fingerprint"]);
    assert_eq!(all["tensors"], original["tensors"]);
    let half = workspace
        .run(&["model", "convert", "lean", "--out", "half", "--f16", "--json"])
        .json();
    assert_ne!(
        half["network"]["fingerprint"], original["network"]["fingerprint"],
        "rounded weights are another model"
    );
    assert_eq!(half["precision"], json!({"F16": lean["tensors"]}));
    let bytes = |name: &str| fs::metadata(workspace.path(name)).unwrap().len();
    assert!(bytes("half/model.safetensors") * 19 < bytes("lean/model.safetensors") * 10);

    let again = workspace
        .run(&[
            "encode",
            "photo.png",
            "--mask",
            "a.png",
            "--json",
            "--model",
            "lean",
        ])
        .json();
    assert_eq!(again["masks"], encoded["masks"]);
    let error = workspace
        .run(&["model", "convert", golden, "--out", "lean"])
        .expect_error();
    assert!(error.contains("--force"), "{error}");
    let error = workspace
        .run(&["model", "convert", "lean", "--out", "all"])
        .expect_error();
    assert!(error.contains("other weights"), "{error}");
    workspace
        .run(&["model", "convert", golden, "--out", "lean", "--force"])
        .expect(0);
}

#[test]
fn generated_weights_are_reproducible_and_run() {
    let workspace = Workspace::new();
    let golden = golden();
    let (config, keys) = (golden.join("config.json"), golden.join("keys.json"));
    let (config, keys) = (config.to_str().unwrap(), keys.to_str().unwrap());
    let lean = workspace
        .run(&["model", "generate", "--config", config, "--out", "lean", "--json"])
        .json();
    let all = workspace
        .run(&[
            "model", "generate", "--config", config, "--out", "all", "--keys", keys, "--json",
        ])
        .json();
    assert_eq!(lean["metadata"], json!({"samtok.weights": "generated"}));
    assert_eq!(lean["network"]["fingerprint"], all["network"]["fingerprint"]);
    assert_eq!((&lean["tensors"], &all["tensors"]), (&json!(336), &json!(448)));
    let human = workspace.run(&["model", "info", "all"]).expect(0);
    assert!(
        human.contains("… and 107 more") && human.contains("codebooks    2 of 32 codes"),
        "{human}"
    );
    workspace
        .run(&["encode", "photo.png", "--mask", "a.png", "--model", "lean"])
        .expect(0);

    workspace.write(
        "keys.json",
        json!({"model.sam2_model.no_mem_embed": [2]}).to_string(),
    );
    let error = workspace
        .run(&[
            "model",
            "generate",
            "--config",
            config,
            "--out",
            "bad",
            "--keys",
            "keys.json",
        ])
        .expect_error();
    assert!(error.contains("no_mem_embed is [2]"), "{error}");
    workspace.write("keys.json", json!({"huge": [u64::MAX, 3]}).to_string());
    workspace
        .run(&[
            "model",
            "generate",
            "--config",
            config,
            "--out",
            "bad",
            "--keys",
            "keys.json",
        ])
        .expect_error();
    assert!(!workspace.path("bad").exists());
}

#[test]
fn a_broken_tokenizer_is_described_and_refused() {
    let workspace = Workspace::new();
    let config = golden().join("config.json");
    workspace
        .run(&[
            "model",
            "generate",
            "--config",
            config.to_str().unwrap(),
            "--out",
            "model",
        ])
        .expect(0);
    let mut json = workspace.read_json("model/config.json");
    json["trunk"]["stages"] = json!([1, 2, 4, 1]);
    workspace.write("model/config.json", json.to_string());
    let document: Value =
        serde_json::from_str(&workspace.run(&["model", "info", "model", "--json"]).expect(1)).unwrap();
    let network = &document["network"];
    assert!(!network["missing"].as_array().unwrap().is_empty());
    assert_eq!(network["fingerprint"], Value::Null);
    assert!(
        network["problem"]
            .as_str()
            .unwrap()
            .contains("do not fit this network"),
        "{network}"
    );
    let error = workspace
        .run(&["model", "convert", "model", "--out", "copy"])
        .expect_error();
    assert!(error.contains("do not fit this network"), "{error}");
    assert!(!workspace.path("copy").exists());
}

#[test]
fn other_networks_are_named_and_converted_whole() {
    let workspace = Workspace::new();
    let tensors = ["lm_head.weight", "model.norm.weight"]
        .map(|name| NamedTensor::from_values(name, [2], vec![1.0, 2.0]));
    fs::create_dir(workspace.path("language")).unwrap();
    workspace.write("language/config.json", "{}");
    let path = workspace.path("language/model.safetensors");
    safetensors(&path, tensors, Precision::F32, &BTreeMap::new()).unwrap();
    let weights = "language/model.safetensors";
    let document = info(&workspace, weights);
    assert_eq!(
        (&document["kind"], &document["tensors"]),
        (&json!("other"), &json!(2))
    );
    let error = workspace
        .run(&["model", "convert", weights, "--out", "copy"])
        .expect_error();
    assert!(error.contains("--everything"), "{error}");
    let copy = workspace
        .run(&[
            "model",
            "convert",
            weights,
            "--out",
            "copy",
            "--everything",
            "--json",
        ])
        .json();
    assert_eq!((&copy["kind"], &copy["tensors"]), (&json!("other"), &json!(2)));
    assert!(
        !workspace.path("copy/config.json").exists(),
        "its shape is not known"
    );
}

#[test]
fn the_benchmark_reports_what_the_comparison_reads() {
    let workspace = Workspace::new();
    let only = "load,image_encode,mask_encode_1,mask_decode_16,resize";
    let document = workspace
        .run(&[
            "bench",
            "--image",
            "photo.png",
            "--repeats",
            "1",
            "--only",
            only,
            "--json",
        ])
        .json();
    let names: Vec<&String> = document["timings_ms"].as_object().unwrap().keys().collect();
    assert_eq!(
        names
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(","),
        only
    );
    assert!(
        names
            .iter()
            .all(|name| document["timings_ms"][name.as_str()].as_f64().unwrap() > 0.0)
    );
    assert_eq!(document["threads"], 1);
    if cfg!(target_os = "linux") {
        assert!(document["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
    }
}
