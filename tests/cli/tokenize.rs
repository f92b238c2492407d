//! `tokenize`: words for a whole folder, in one run or in parts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use samtok::dataset::{Document, ImageRef, Region, Sidecar};
use samtok::geometry::ImageSize;
use samtok::image_file::write_rgb_png;
use samtok::scenes::{SceneConfig, generate};
use serde_json::json;

use super::Workspace;

/// Images of generated scenes with their regions, some in a sub-folder; one has no sidecar.
fn annotated_folder(folder: &Path, images: u64) {
    fs::create_dir_all(folder.join("more")).unwrap();
    let config = SceneConfig::new(ImageSize::new(96, 64)).unwrap();
    for index in 0..=images {
        let scene = generate(&config, index);
        let sub_folder = if index % 3 == 0 { "more/" } else { "" };
        let path = folder.join(format!("{sub_folder}{index}.png"));
        write_rgb_png(&path, &scene.image).unwrap();
        if index == images {
            continue;
        }
        let mut document = Document::new(ImageRef::new(&path, scene.image.size, None));
        for region in scene.regions.iter().take(4) {
            let id = document.next_region_id();
            document.regions.push(Region::new(id, region.mask.to_rle()));
        }
        let (mut sidecar, _) = Sidecar::load(&path, scene.image.size).unwrap();
        sidecar.save(&document).unwrap();
    }
}

/// Every sidecar's bytes by its path below the folder.
fn sidecars(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for sub_folder in ["", "more"] {
        for entry in fs::read_dir(folder.join(sub_folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with(".samtok.json") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn eight_parts_give_what_one_run_gives() {
    let workspace = Workspace::new();
    let (whole, parts) = (workspace.path("whole"), workspace.path("parts"));
    annotated_folder(&whole, 11);
    annotated_folder(&parts, 11);
    let before = sidecars(&whole);
    let done = workspace.run(&["tokenize", "whole", "--json"]).json();
    assert_eq!((&done["images"], &done["saved"]), (&json!(11), &json!(11)));
    let after = sidecars(&whole);
    assert!(before.iter().all(|(name, bytes)| after[name] != *bytes));
    for part in 1..=8 {
        let part = format!("{part}/8");
        workspace
            .run(&["tokenize", "parts", "--shard", &part, "--json"])
            .json();
    }
    assert_eq!(sidecars(&parts), after);

    let again = workspace.run(&["tokenize", "whole", "--json"]).json();
    assert_eq!((&again["saved"], &again["up_to_date"]), (&json!(0), &json!(11)));
    assert_eq!(sidecars(&whole), after, "what is up to date is not written");
}

#[test]
fn only_stale_words_are_made_anew_and_one_bad_image_does_not_stop_the_rest() {
    let workspace = Workspace::new();
    let folder = workspace.path("photos");
    annotated_folder(&folder, 4);
    workspace.run(&["tokenize", "photos", "--json"]).json();

    let path = folder.join("1.png");
    let (mut sidecar, document) = Sidecar::load(&path, ImageSize::new(96, 64)).unwrap();
    let mut document = document.unwrap();
    document.regions[1].mask.rle = document.regions[0].mask.rle.clone();
    sidecar.save(&document).unwrap();
    fs::write(folder.join("2.png"), b"no image").unwrap();
    let answer = workspace.run(&["tokenize", "photos", "--json"]).expect(1);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["saved"], &answer["regions"]), (&json!(1), &json!(1)));
    let failed = answer["failures"].as_array().unwrap();
    assert_eq!(failed.len(), 1);
    assert!(failed[0]["image"].as_str().unwrap().ends_with("2.png"));

    let (_, document) = Sidecar::load(&path, ImageSize::new(96, 64)).unwrap();
    let document = document.unwrap();
    assert!(document.regions.iter().all(Region::has_fresh_words));
    assert_eq!(
        document.regions[0].words.as_ref().unwrap().codes,
        document.regions[1].words.as_ref().unwrap().codes,
        "the same mask gets the same words"
    );
}
