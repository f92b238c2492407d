//! Exports as a whole; what single records say is tested beside the module of records.

mod reading;
mod round_trip;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::{Annotated, Arrived, Images, InterchangeError, Notes, OutputFolder};
use super::sample::{CUP, PLATE, SameWords, captioned, document, with};
use super::{
    Container, Group, Kind, Manifest, Part, Templates, TrainingError, TrainingOptions, export, import,
};
use crate::dataset::{Document, Status, Task};
use crate::geometry::ImageSize;
use crate::image_file::write_mask_png;
use crate::mask::Mask;

/// A folder with images, and one for results.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn images(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    /// The image of this name with these annotations; the file is made.
    fn annotated(&self, name: &str, document: Document) -> Annotated {
        let path = self.images().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if !path.exists() {
            write_mask_png(&path, &Mask::full(document.image.size).unwrap()).unwrap();
        }
        Annotated {
            path,
            name: name.to_owned(),
            document,
        }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn export(
        &self,
        items: &[Annotated],
        options: &TrainingOptions,
        out: &str,
    ) -> (Result<Manifest, InterchangeError>, Notes) {
        let out = OutputFolder::open(&self.out(out)).unwrap();
        let mut notes = Notes::default();
        let manifest = export(
            &mut items.iter().cloned().map(Ok),
            options,
            None,
            &out,
            &mut notes,
        );
        (manifest, notes)
    }

    fn import(&self, source: &Path) -> (Vec<Arrived>, Notes) {
        let images = Images::open(&self.images()).unwrap();
        let (mut arrived, mut notes) = (Vec::new(), Notes::default());
        let mut take = |item: Arrived| {
            arrived.push(item);
            Ok(())
        };
        import(source, &images, &mut take, &mut notes).unwrap();
        (arrived, notes)
    }
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn options(container: Container) -> TrainingOptions {
    TrainingOptions {
        own_key: false,
        templates: Templates::only("referring_segmentation", "v2"),
        ..TrainingOptions::new(container)
    }
}

fn counts(document: &Document, region: usize) -> String {
    document.regions[region].mask.rle.to_compressed()
}

#[test]
fn every_container_has_its_published_shape() {
    let place = Place::new();
    let turns = ["Please segment the cup in this image.", "[[r1]]"];
    let document = with(document(), Task::ReferringSegmentation, &turns);
    let item = place.annotated("x/a.png", document.clone());
    let question = "<image>\nPlease segment the cup in this image.";
    let answer = format!("```json\n[{{\"mask_2d\": \"{CUP}\", \"label\": \"the cup\"}}]\n```");
    let rle = json!({"size": [10, 20], "counts": counts(&document, 0)});
    let llava = json!({
        "image": "x/a.png",
        "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}],
        "segmentation": [rle],
    });
    let sharegpt = json!({
        "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}],
        "images": ["x/a.png"],
    });
    let messages = json!({
        "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}],
        "images": ["x/a.png"],
    });
    let cases = [
        (Container::Llava, "json", format!("[\n{llava}\n]\n")),
        (Container::Jsonl, "jsonl", format!("{llava}\n")),
        (Container::ShareGpt, "json", format!("[\n{sharegpt}\n]\n")),
        (Container::Messages, "jsonl", format!("{messages}\n")),
    ];
    for (container, suffix, expected) in cases {
        let (manifest, notes) =
            place.export(std::slice::from_ref(&item), &options(container), container.name());
        let manifest = manifest.unwrap();
        assert_eq!(notes, Notes::default());
        let path = format!("train/samtok_referring_segmentation-segment-00001.{suffix}");
        let bytes = fs::read(place.out(container.name()).join(&path)).unwrap();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        let [file] = manifest.files.as_slice() else {
            panic!("{manifest:?}")
        };
        assert_eq!(
            (&file.path, file.records, file.bytes),
            (&path, 1, bytes.len() as u64)
        );
        assert_eq!(file.blake3, blake3::hash(&bytes).to_hex().to_string());
    }
    let info = read_json(&place.out("messages").join("dataset_info.json"));
    let set = &info["train_samtok_referring_segmentation-segment-00001"];
    assert_eq!(
        set["file_name"],
        "train/samtok_referring_segmentation-segment-00001.jsonl"
    );
    assert_eq!(set["tags"]["assistant_tag"], "assistant");
}

#[test]
fn interactive_records_have_stand_ins_for_words() {
    let place = Place::new();
    let document = with(
        document(),
        Task::Interactive,
        &["Segment it.", "[[r2]]", "On [[r2]]?", "[[r1]]"],
    );
    place
        .export(
            &[place.annotated("a.png", document.clone())],
            &options(Container::Llava),
            "out",
        )
        .0
        .unwrap();
    let records = read_json(
        &place
            .out("out")
            .join("train/samtok_interactive-segment-00001.json"),
    );
    let (plate, cup) = (
        "00000000-0000-4000-8000-000000000000",
        "00000000-0000-4000-8000-000000000001",
    );
    let record = &records[0];
    assert_eq!(record["conversations"][2]["value"], format!("On {PLATE}?"));
    assert_eq!(
        record["raw_conversations"],
        json!([
            {"from": "human", "value": "<image>\nSegment it."},
            {"from": "gpt", "value": plate},
            {"from": "human", "value": format!("On {plate}?")},
            {"from": "gpt", "value": cup},
        ])
    );
    assert_eq!(
        record["segmentation"],
        json!({
            plate: {"size": [10, 20], "counts": counts(&document, 1)},
            cup: {"size": [10, 20], "counts": counts(&document, 0)},
        })
    );
}

#[test]
fn zoomed_records_have_crops() {
    /// 84 x 84, 28 times the region, less the corners, which bilinear enlarging rounds off.
    const SET_PIXELS: u64 = 6760;
    let place = Place::new();
    let document = captioned(document(), "r1", "A cup.");
    let item = place.annotated("x/a.png", document.clone());
    let out = OutputFolder::open(&place.out("out")).unwrap();
    let mut network = SameWords::new();
    let kinds = vec![Kind::ZoomIn];
    let options = TrainingOptions {
        kinds,
        ..options(Container::Llava)
    };
    let mut items = [Ok(item.clone())].into_iter();
    export(
        &mut items,
        &options,
        Some(&mut network),
        &out,
        &mut Notes::default(),
    )
    .unwrap();
    let records = read_json(&place.out("out").join("train/samtok_zoom_in-segment-00001.json"));
    let record = &records[0];
    let crop = record["image"][1].as_str().unwrap();
    // As a loader finds it: below the folder of the images.
    let size = crate::image_file::read_size(&place.images().join(crop)).unwrap();
    assert_eq!(
        (record["image"][0].as_str(), size),
        (Some("x/a.png"), ImageSize::new(560, 280))
    );
    assert_eq!(record["segmentation_image_indices"], json!([0, 1]));
    assert_eq!(record["segmentation"][1]["size"], json!([280, 560]));
    assert_eq!(network.asked, [(size, SET_PIXELS)]);
    assert_eq!(
        record["conversations"][0]["value"]
            .as_str()
            .unwrap()
            .matches("<image>")
            .count(),
        2
    );

    let out = OutputFolder::open(&place.out("other")).unwrap();
    network.fingerprint = "beef";
    let mut items = [Ok(item)].into_iter();
    let error = export(
        &mut items,
        &options,
        Some(&mut network),
        &out,
        &mut Notes::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("more than one tokenizer"), "{error}");
}

#[test]
fn words_of_two_tokenizers_are_refused_with_the_images() {
    let place = Place::new();
    let other = |fingerprint: &str| {
        let mut document = document();
        document.tokenizers[0].fingerprint = fingerprint.to_owned();
        document
    };
    let mut items = vec![
        place.annotated("a.png", document()),
        place.annotated("b.png", document()),
    ];
    items.extend((0..12).map(|index| place.annotated(&format!("c{index}.png"), other("beef"))));
    let (result, _) = place.export(&items, &options(Container::Llava), "out");
    let error = result.unwrap_err().to_string();
    assert!(
        error.contains("nano (f00d) in a.png, nano (beef) in c0.png, c1.png"),
        "{error}"
    );
    assert!(error.contains("c9.png and 2 more;"), "{error}");
    assert!(!place.out("out").join("manifest.json").exists());

    // Words that are out of date are not used, so they do not count.
    let mut stale = other("beef");
    for region in &mut stale.regions {
        region.words.as_mut().unwrap().mask_blake3.clear();
    }
    let items = [
        place.annotated("a.png", document()),
        place.annotated("d.png", stale),
    ];
    assert!(
        place
            .export(&items, &options(Container::Llava), "again")
            .0
            .is_ok()
    );
}

#[test]
fn records_are_sharded_split_and_counted() {
    let place = Place::new();
    let items: Vec<Annotated> = (0..30)
        .map(|index| {
            let document = with(document(), Task::Free, &["What?", "[[r1]]"]);
            place.annotated(
                &format!("f{}/{index}.png", index / 3),
                captioned(document, "r1", "A cup."),
            )
        })
        .collect();
    let mut options = options(Container::Jsonl);
    options.shard_records = 4;
    options.split.shares = [60.0, 20.0, 20.0];
    options.split.group = Group::Folder;
    options.name = "cups".to_owned();
    let (manifest, _) = place.export(&items, &options, "out");
    let manifest = manifest.unwrap();
    let written = read_json(&place.out("out").join("manifest.json"));
    let mut total = 0;
    for file in &manifest.files {
        let text = fs::read_to_string(place.out("out").join(&file.path)).unwrap();
        assert_eq!(text.lines().count() as u64, file.records);
        assert!(file.records <= 4);
        total += file.records;
    }
    assert_eq!(total, 60);
    assert_eq!(written["files"].as_array().unwrap().len(), manifest.files.len());
    assert!(
        manifest
            .files
            .iter()
            .any(|file| file.path == "train/cups_region_caption-segment-00002.jsonl")
    );
    assert_eq!(written["tokenizers"][0]["fingerprint"], "f00d");
    let of_part = |part: Part| manifest.images.get(&part).copied().unwrap_or(0);
    assert_eq!(Part::ALL.map(of_part).iter().sum::<u64>(), 30);
    assert!(
        Part::ALL.map(of_part).iter().all(|images| images % 3 == 0),
        "folders stay together"
    );
    assert_eq!(written["records"]["train"]["free"], json!(of_part(Part::Train)));

    // The same again is the same to the byte.
    let (again, _) = place.export(&items, &options, "again");
    assert_eq!(again.unwrap(), manifest);
    let bytes = |out: &str| fs::read(place.out(out).join("manifest.json")).unwrap();
    assert_eq!(bytes("out"), bytes("again"));
}

#[test]
fn only_work_that_is_far_enough_is_used() {
    let place = Place::new();
    let mut document = captioned(document(), "r1", "A cup.");
    document = captioned(document, "r2", "A plate.");
    document.regions[0].status = Status::Approved;
    let count = |document: &Document, min_status, out: &str| {
        let options = TrainingOptions {
            min_status,
            ..options(Container::Llava)
        };
        let (manifest, notes) = place.export(&[place.annotated("a.png", document.clone())], &options, out);
        assert_eq!(notes.losses().count(), 0);
        manifest.unwrap().records.values().sum::<u64>()
    };
    assert_eq!(count(&document, Status::Draft, "1"), 2);
    assert_eq!(count(&document, Status::Approved, "2"), 1);
    document.status = Status::Approved;
    assert_eq!(count(&document, Status::Approved, "3"), 2, "approved as a whole");
    document.regions[1].status = Status::Rejected;
    assert_eq!(count(&document, Status::Draft, "4"), 1);
}

#[test]
fn answers_begin_with_an_empty_thought_where_wanted() {
    let place = Place::new();
    let document = with(document(), Task::Free, &["What?", "[[r1]]."]);
    let options = TrainingOptions {
        empty_thought: true,
        ..options(Container::Messages)
    };
    place
        .export(&[place.annotated("a.png", document)], &options, "out")
        .0
        .unwrap();
    let path = place.out("out").join("train/samtok_free-segment-00001.jsonl");
    let answer = &read_json(&path)["messages"][1]["content"];
    assert_eq!(answer.as_str().unwrap(), format!("<think>\n\n</think>\n\n{CUP}."));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let place = Place::new();
    for (index, name) in ["", "../x", "a/b", ".x"].into_iter().enumerate() {
        let options = TrainingOptions {
            name: name.to_owned(),
            ..options(Container::Llava)
        };
        let (result, _) = place.export(&[], &options, &format!("out{index}"));
        assert!(
            matches!(
                result,
                Err(InterchangeError::Training(TrainingError::Name { .. }))
            ),
            "{name}"
        );
    }
}

#[test]
fn new_tokens_are_in_order() {
    let place = Place::new();
    place.export(&[], &options(Container::Llava), "out").0.unwrap();
    let tokens = read_json(&place.out("out").join("added_tokens.json"));
    let tokens: Vec<_> = tokens.as_object().unwrap().iter().collect();
    assert_eq!(tokens.len(), 514);
    assert!(
        tokens
            .iter()
            .zip(151_669_u64..)
            .all(|((_, id), expected)| **id == json!(expected))
    );
    let name = |index: usize| tokens[index].0.as_str();
    assert_eq!(
        [name(0), name(1), name(512), name(513)],
        ["<|mt_start|>", "<|mt_0000|>", "<|mt_0511|>", "<|mt_end|>"]
    );
}
