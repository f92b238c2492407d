//! Sets as others write them, and what cannot be kept.

use super::super::sample::Sample;
use super::super::set_tests::{annotated, conversation, exported, imported, only, said};
use super::*;
use crate::dataset::{Role, Task};
use crate::mask::Mask;

/// `pickle.dumps(refs, 0)` of Python 2, where `u` strings and `str` mix, memo indices are decimal, and `file_name` of an
/// expression has the object's number behind the image's.
const PYTHON_2: &[u8] = b"(lp0\n(dp1\nS'sent_ids'\np2\n(lp3\nI0\naI1\nasS'file_name'\np4\nV\
COCO_train2014_000000000001_7.png\np5\nsS'ann_id'\np6\nI70\nsS'ref_id'\np7\nI0\nsS'image_id'\np8\nI1\n\
sS'split'\np9\nS'val'\np10\nsS'sentences'\np11\n(lp12\n(dp13\nS'tokens'\np14\n(lp15\nS'the'\np16\naS'lady'\np17\n\
asS'raw'\np18\nS'THE LADY!'\np19\nsS'sent_id'\np20\nI0\nsS'sent'\np21\nS'the lady'\np22\nsa(dp23\ng14\n(lp24\n\
g17\nasg18\nV lady\np25\nsg20\nI1\nsg21\ng17\nsasS'category_id'\np26\nI1\nsa.";

const INSTANCES: &str = r#"{"info": {"year": 2014}, "licenses": [],
"images": [{"license": 1, "file_name": "COCO_train2014_000000000001.png", "height": 4, "width": 6, "id": 1},
           {"file_name": "gone.png", "height": 4, "width": 6, "id": 2}],
"annotations": [
  {"segmentation": [[0.6, 0.4, 4.2, 0.4, 4.2, 2.6, 0.6, 2.6]], "area": 7.92, "iscrowd": 0, "image_id": 1,
   "bbox": [0.6, 0.4, 3.6, 2.2], "category_id": 1, "id": 70},
  {"segmentation": {"size": [4, 6], "counts": [20, 4]}, "area": 4, "iscrowd": 1, "image_id": 1,
   "bbox": [5, 0, 1, 4], "category_id": 3, "id": 71},
  {"segmentation": [], "area": 0, "iscrowd": 0, "image_id": 1, "bbox": [0, 0, 0, 0], "category_id": 3, "id": 72},
  {"segmentation": [[1, 2]], "image_id": 2, "category_id": 3, "id": 73}],
"categories": [{"supercategory": "person", "id": 1, "name": "person"}, {"supercategory": "x", "id": 3, "name": "car"}]}"#;

fn set(refs: &[u8], instances: &str) -> Sample {
    let sample = Sample::new();
    sample.image("images/COCO_train2014_000000000001.png", 6, 4);
    sample.write("set/refs(unc).p", refs);
    sample.write("set/instances.json", instances);
    sample
}

#[test]
fn a_set_of_python_2_becomes_regions_and_conversations_and_is_written_again() {
    let sample = set(PYTHON_2, INSTANCES);
    let (arrived, notes) = imported(import, &sample.path("set"), &sample).unwrap();
    assert_eq!(
        said(&notes),
        [
            "1 objects without a pixel were left out",
            "1 the image is not in the folder"
        ]
    );
    let document = only(arrived.clone());
    let labels: Vec<_> = document
        .regions
        .iter()
        .map(|region| region.label.as_str())
        .collect();
    assert_eq!(labels, ["person", "car"]);
    let area = document
        .regions
        .iter()
        .map(|region| region.mask.rle.area())
        .collect::<Vec<_>>();
    assert_eq!(area, [9, 4]);
    let texts: Vec<_> = document
        .conversations
        .iter()
        .flat_map(|one| &one.turns)
        .map(|turn| (turn.role, turn.text.as_str()))
        .collect();
    assert_eq!(
        texts,
        [
            (Role::User, "Please segment the lady in this image."),
            (Role::Assistant, "[[r1]]"),
            (Role::User, "Please segment lady in this image."),
            (Role::Assistant, "[[r1]]"),
        ]
    );

    let item = arrived.into_iter().map(|one| super::super::Annotated {
        path: one.image.path,
        name: one.image.name,
        document: one.document,
    });
    let (out, notes) = exported(export, item.collect(), &sample.path("out"));
    assert_eq!(said(&notes), [""; 0]);
    let refs = pickle::read(&fs::read(out.join("refs(unc).p")).unwrap()).unwrap();
    assert_eq!(refs, pickle::read(PYTHON_2).unwrap());
    let written: Value = serde_json::from_slice(&fs::read(out.join("instances.json")).unwrap()).unwrap();
    let before: Value = serde_json::from_str(INSTANCES).unwrap();
    assert_eq!(written["images"], json!([before["images"][0]]));
    assert_eq!(written["categories"], before["categories"]);
    assert_eq!(
        written["annotations"],
        json!([before["annotations"][0], before["annotations"][1]])
    );
}

#[test]
fn changed_masks_and_texts_are_written_as_they_are_now() {
    let sample = set(PYTHON_2, INSTANCES);
    let (arrived, _) = imported(import, &sample.path("set"), &sample).unwrap();
    let one = arrived.into_iter().next().unwrap();
    let mut document = one.document;
    document.regions[0].mask.rle = document.regions[1].mask.rle.clone();
    document.regions[0].label = "bus".to_owned();
    document.conversations[0].turns[0].text = "Please segment the BUS; here in this image.".to_owned();
    let item = super::super::Annotated {
        path: one.image.path,
        name: one.image.name,
        document,
    };
    let (out, _) = exported(export, vec![item], &sample.path("out"));
    let written: Value = serde_json::from_slice(&fs::read(out.join("instances.json")).unwrap()).unwrap();
    let annotation = &written["annotations"][0];
    assert_eq!(annotation["segmentation"], json!([[5, 0, 6, 0, 6, 4, 5, 4]]));
    assert_eq!(
        (&annotation["bbox"], &annotation["area"]),
        (&json!([5, 0, 1, 4]), &json!(4))
    );
    let class = written["categories"]
        .as_array()
        .unwrap()
        .iter()
        .find(|class| class["name"] == "bus")
        .unwrap();
    assert_eq!(class["id"], annotation["category_id"]);
    let refs = pickle::read(&fs::read(out.join("refs(unc).p")).unwrap()).unwrap();
    let sentences = &refs[0]["sentences"];
    assert_eq!(sentences[0]["sent"], "the bus here");
    assert_eq!(sentences[0]["raw"], "the BUS; here");
    assert_eq!(sentences[1]["raw"], " lady");
}

#[test]
fn what_a_pickle_must_not_have_is_refused_by_name() {
    let sample = set(b"cos\nsystem\n(S'true'\ntR.", INSTANCES);
    let error = imported(import, &sample.path("set"), &sample)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("call something in Python") && error.ends_with("refs(unc).p"),
        "{error}"
    );
}

#[test]
fn refs_that_fit_nothing_are_told() {
    let refs = json!([
        {"ref_id": 1, "image_id": 1, "ann_id": 99, "sentences": [{"sent": "x"}]},
        {"ref_id": 2, "image_id": 9, "ann_id": 70, "sentences": [{"sent": "x"}]},
        {"ref_id": 3, "image_id": 1, "ann_id": 70},
        {"ref_id": 4, "image_id": 1, "ann_id": 70, "sentences": [{"sent": " "}, {"raw": "by raw"}, 7]},
        {"ref_id": 5},
        6,
    ]);
    let sample = set(refs.to_string().as_bytes(), INSTANCES);
    let (arrived, notes) = imported(import, &sample.path("set/refs(unc).p"), &sample).unwrap();
    assert_eq!(only(arrived).conversations.len(), 1);
    let expected = [
        "1 expressions about images that instances.json does not list were left out",
        "1 expressions that mean an object which is not there were left out",
        "2 expressions that name no image were left out",
        "1 expressions without sentences were left out",
        "1 objects without a pixel were left out",
        "2 sentences without words were left out",
        "1 the image is not in the folder",
    ];
    assert_eq!(said(&notes), expected);
}

#[test]
fn files_are_found_by_name_or_asked_for() {
    let sample = set(PYTHON_2, INSTANCES);
    for source in ["set", "set/refs(unc).p", "set/instances.json"] {
        assert_eq!(
            imported(import, &sample.path(source), &sample).unwrap().0.len(),
            1,
            "{source}"
        );
    }
    sample.write("set/refs(google).p", PYTHON_2);
    let error = imported(import, &sample.path("set"), &sample)
        .unwrap_err()
        .to_string();
    assert!(error.contains("more than one refs(…).p"), "{error}");
    assert_eq!(
        imported(import, &sample.path("set/refs(google).p"), &sample)
            .unwrap()
            .0
            .len(),
        1
    );
    let error = imported(super::super::grefcoco::import, &sample.path("set"), &sample)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no grefs(…).json"), "{error}");
}

#[test]
fn each_dialect_has_its_own_expressions() {
    let sample = Sample::new();
    let mut item = annotated(&sample, "a.png", 12, 9);
    item.document.regions = (0..3)
        .map(|kind| super::super::sample::region(&format!("r{kind}"), "x", 12, 9, kind))
        .collect();
    item.document.regions[2].mask.rle = Mask::empty(item.document.image.size).unwrap().to_rle();
    let ask = |id: &str, task, answer: &str| {
        conversation(
            id,
            task,
            "Where is the x in this picture? Please respond with a segmentation mask.",
            answer,
        )
    };
    item.document.conversations = vec![
        ask("c1", Task::ReferringSegmentation, "[[r0]]"),
        ask("c2", Task::ReferringSegmentation, "[[r0]] [[r1]] [[r0]]"),
        ask("c3", Task::NoTarget, "No target."),
        ask("c4", Task::ReferringSegmentation, "nothing"),
        ask("c5", Task::ReferringSegmentation, "[[r2]]"),
        ask("c6", Task::RegionQa, "[[r0]]"),
        ask("c7", Task::ReferringSegmentation, "It is [[r0]]."),
    ];
    let (out, notes) = exported(export, vec![item.clone()], &sample.path("one"));
    assert_eq!(
        said(&notes),
        [
            "1 conversations that refer to nothing were left out",
            "1 expressions that mean a region without a pixel were left out",
            "1 expressions that mean nothing in the image were left out; gRefCOCO has them",
            "1 expressions that mean several regions were left out; gRefCOCO has them",
            "1 expressions whose answer mentions no region were left out",
            "1 regions without a pixel were left out",
        ]
    );
    let refs = pickle::read(&fs::read(out.join("refs(unc).p")).unwrap()).unwrap();
    assert_eq!(
        refs.as_array().unwrap().len(),
        1,
        "sentences about one object are one expression"
    );
    assert_eq!(
        (&refs[0]["sentences"][1]["sent"], &refs[0]["split"]),
        (&json!("x"), &json!("train"))
    );
    let (out, _) = exported(
        super::super::grefcoco::export,
        vec![item],
        &sample.path("several"),
    );
    let refs: Value = serde_json::from_slice(&fs::read(out.join("grefs(unc).json")).unwrap()).unwrap();
    let ids: Vec<_> = refs
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["ann_id"], &one["category_id"]))
        .collect();
    let (one, both, none, class) = (json!([1]), json!([1, 2]), json!([-1]), json!([1, 1]));
    assert_eq!(ids, [(&one, &one), (&both, &class), (&none, &none), (&one, &one)]);
}

#[test]
fn numbers_that_are_taken_are_given_anew() {
    let mut ids = Ids::default();
    let given =
        [Some(5), Some(5), None, Some(-3), Some(i64::MAX), Some(2), Some(6)].map(|wanted| ids.take(wanted));
    assert_eq!(given, [5, 6, 7, 8, 9, 2, 10]);
}
