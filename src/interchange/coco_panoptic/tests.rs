//! COCO panoptic: exact where nothing overlaps, measured where something does.

use super::super::sample::{Sample, region};
use super::super::{Arrived, ExportOptions, Format, LossReport, export};
use super::*;
use std::fs;
use std::ops::ControlFlow;

fn exported(sample: &Sample, out: &str) -> LossReport {
    let mut watch = |_| ControlFlow::Continue(());
    let options = ExportOptions::default();
    export(
        sample.folder(),
        Format::CocoPanoptic,
        &sample.path(out),
        &options,
        &mut watch,
    )
    .unwrap()
}

fn imported(source: &Path, sample: &Sample) -> (Vec<Arrived>, Notes) {
    let (mut arrived, mut notes) = (Vec::new(), Notes::default());
    let images = Images::open(sample.folder()).unwrap();
    let mut take = |one| {
        arrived.push(one);
        Ok(())
    };
    import(source, &images, &mut take, &mut notes).unwrap();
    (arrived, notes)
}

#[test]
fn regions_that_do_not_overlap_come_back_whole() {
    let sample = Sample::rich();
    sample.annotate("a.png", |document| document.regions.truncate(1));
    sample.annotate("b/ä 2.png", |document| {
        document.regions[1]
            .unknown
            .insert("coco".to_owned(), json!({"isthing": 0, "color": [1, 2, 3]}));
        let rle = document.regions[0].mask.rle.clone();
        let other = crate::mask::Mask::from_rle(&rle).complement();
        document.regions[1].mask.rle = other.to_rle();
    });
    let report = exported(&sample, ".out");
    assert!(report.is_lossless(), "{report}");
    let text = fs::read_to_string(sample.path(".out").join(FILE)).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let things: Vec<&Value> = written["categories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["isthing"])
        .collect();
    assert_eq!(things, [1, 1, 0]);
    assert_eq!(written["annotations"][1]["file_name"], "b/10.png");
}

#[test]
fn overlaps_go_to_the_region_in_front_and_are_measured() {
    let sample = Sample::new();
    sample.image("a.png", 8, 6);
    sample.annotate("a.png", |document| {
        document.regions = vec![
            region("r1", "back", 8, 6, 0),
            region("r2", "hidden", 8, 6, 3),
            region("r3", "front", 8, 6, 3),
            region("r4", "corner", 8, 6, 1),
        ];
    });
    let report = exported(&sample, ".out");
    assert!(!report.is_lossless());
    assert_eq!(
        (report.regions.before, report.regions.kept, report.invented),
        (4, 3, 0),
        "{report}"
    );
    assert_eq!(report.iou.exact, 1, "only the front is whole: {report}");
    assert!(report.iou.min < 1.0 && report.iou.min > 0.0);
    assert_eq!(report.labels.kept, 3);
    let hidden = report.changed.1.iter().find(|one| one.iou.is_none()).unwrap();
    assert_eq!(hidden.id, "r2");
    assert_eq!(report.notes.losses().count(), 1);
}

#[test]
fn pictures_that_disagree_with_the_list_are_noted_and_lead_nowhere_else() {
    let sample = Sample::new();
    sample.image("a.png", 8, 6);
    sample.image("b.png", 8, 6);
    sample.annotate("a.png", |document| {
        document.regions = vec![region("r1", "", 8, 6, 0), region("r2", "x", 8, 6, 2)]
    });
    exported(&sample, ".out");
    let path = sample.path(".out").join(FILE);
    let mut written: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    written["images"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": 2, "file_name": "b.png"}));
    written["annotations"][0]["segments_info"][0]["id"] = 77.into();
    for name in [
        "../../a.png",
        "/etc/passwd",
        "",
        "c.png",
        sample.path("a.png").to_str().unwrap(),
    ] {
        let other = json!({"image_id": 2, "file_name": name, "segments_info": []});
        written["annotations"].as_array_mut().unwrap().push(other);
    }
    fs::write(&path, written.to_string()).unwrap();
    let (arrived, notes) = imported(&path, &sample);
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].document.regions.len(), 1);
    let counts: Vec<u64> = notes.losses().map(|(_, count, _)| count).collect();
    assert_eq!(counts, [5, 1, 1], "{notes}");
}
