//! The network's thread: what comes first, what replaces what, what is kept, and what a failing model costs.

use std::sync::Arc;
use std::time::Duration;

use super::scripted::{self, HALF_PX};
use super::{
    ImageKey, ModelChoice, NetworkEvent, NetworkImage, NetworkOptions, NetworkRequest, NetworkWorker,
    WordsJob,
};
use crate::geometry::{ImagePoint, ImageSize, PixelRect};
use crate::image_file::RgbImage;
use crate::mask::Mask;
use crate::tokenizer::Prompt;
use crate::words::WordFormat;
use crate::worker::network::FolderJob;
use crate::worker::tokenize::Shard;

const SIZE: ImageSize = ImageSize::new(96, 64);

fn worker(options: NetworkOptions, model: &str) -> NetworkWorker {
    let worker = NetworkWorker::start(options, scripted::load, Arc::new(|| {})).unwrap();
    assert!(worker.send(NetworkRequest::Load(choice(model))));
    worker
}

fn choice(model: &str) -> ModelChoice {
    ModelChoice {
        path: Some(model.into()),
        ..ModelChoice::default()
    }
}

fn image(number: u8) -> NetworkImage {
    let rgb = RgbImage {
        size: SIZE,
        pixels: vec![number; 3 * SIZE.area() as usize],
    };
    NetworkImage {
        key: ImageKey([number; 32]),
        rgb: Arc::new(rgb),
    }
}

fn prompt(x: f32) -> Prompt {
    Prompt {
        points: vec![(ImagePoint::new(x, 30.0), true)],
        ..Prompt::default()
    }
}

/// Events until one is `wanted`, which comes last.
fn events_until(worker: &NetworkWorker, wanted: impl Fn(&NetworkEvent) -> bool) -> Vec<NetworkEvent> {
    let mut events = Vec::new();
    loop {
        let event = worker
            .events()
            .recv_timeout(Duration::from_secs(20))
            .expect("the worker answers");
        let is_wanted = wanted(&event);
        events.push(event);
        if is_wanted {
            return events;
        }
    }
}

#[test]
fn a_click_is_answered_and_only_the_latest_counts() {
    let worker = worker(NetworkOptions::default(), "slow");
    assert!(worker.send(NetworkRequest::Show(image(1))));
    for (id, x) in [(1, 20.0), (2, 40.0), (3, 60.0)] {
        assert!(worker.send(NetworkRequest::Prompt {
            image: image(1),
            id,
            prompt: prompt(x)
        }));
    }
    let events = events_until(&worker, |event| {
        matches!(event, NetworkEvent::Prompted { id: 3, .. })
    });
    let answered: Vec<u64> = events
        .iter()
        .filter_map(|event| {
            if let NetworkEvent::Prompted { id, .. } = event {
                Some(*id)
            } else {
                None
            }
        })
        .collect();
    // The first may have been begun before the others came.
    assert!(answered == [3] || answered == [1, 3], "{answered:?}");
    let Some(NetworkEvent::Prompted { masks, .. }) = events.last() else {
        unreachable!()
    };
    assert_eq!(
        masks[0].mask.bounding_box(),
        Some(PixelRect::new(60 - HALF_PX, 30 - HALF_PX, 20, 20))
    );
}

#[test]
fn words_come_with_the_mask_that_they_give_back() {
    let worker = worker(NetworkOptions::default(), "scripted");
    let mask = Mask::from_rects(SIZE, &[PixelRect::new(30, 20, 20, 20)])
        .unwrap()
        .to_rle();
    let job = |region: &str| WordsJob {
        region: region.to_owned(),
        mask: mask.clone(),
    };
    let request = NetworkRequest::Words {
        image: image(1),
        jobs: vec![job("r1"), job("r2")],
        search_width: None,
    };
    assert!(worker.send(request));
    let events = events_until(&worker, |event| matches!(event, NetworkEvent::Words { .. }));
    let Some(NetworkEvent::Words { regions, .. }) = events.last() else {
        unreachable!()
    };
    assert_eq!(
        regions
            .iter()
            .map(|region| region.region.as_str())
            .collect::<Vec<_>>(),
        ["r1", "r2"]
    );
    assert_eq!(regions[0].words.codes, [2, 1]);
    assert_eq!(
        regions[0].words.text,
        WordFormat::default().write(&WordFormat::default().codes(&[2, 1]).unwrap())
    );
    // A square of 20 around (40, 24) against one around (40, 30).
    assert_eq!(
        regions[0].rebuilt.bounding_box(),
        Some(PixelRect::new(30, 14, 20, 20))
    );
    assert!(
        regions[0]
            .words
            .iou
            .is_some_and(|iou| (iou - 14.0 / 26.0).abs() < 1e-3)
    );
}

#[test]
fn embeddings_are_made_once_and_found_again_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let options = NetworkOptions {
        cache: Some(folder.path().to_path_buf()),
        ..NetworkOptions::default()
    };
    let embedded = |worker: &NetworkWorker| {
        events_until(worker, |event| matches!(event, NetworkEvent::Idle))
            .iter()
            .filter_map(|event| {
                if let NetworkEvent::Embedded { from_disk, .. } = event {
                    Some(*from_disk)
                } else {
                    None
                }
            })
            .collect::<Vec<bool>>()
    };
    for from_disk in [false, true] {
        let worker = worker(options.clone(), "scripted");
        events_until(&worker, |event| matches!(event, NetworkEvent::Idle));
        assert!(worker.send(NetworkRequest::Show(image(7))));
        assert_eq!(embedded(&worker), [from_disk]);
        assert!(worker.send(NetworkRequest::Show(image(7))));
        assert!(embedded(&worker).is_empty());
    }
}

#[test]
fn a_model_that_fails_or_panics_leaves_the_thread_alive() {
    let worker = worker(NetworkOptions::default(), "broken");
    let events = events_until(&worker, |event| matches!(event, NetworkEvent::ModelFailed { .. }));
    let Some(NetworkEvent::ModelFailed { reason, .. }) = events.last() else {
        unreachable!()
    };
    assert!(reason.contains("broken"));
    assert!(worker.send(NetworkRequest::Load(choice("panics"))));
    assert!(worker.send(NetworkRequest::Show(image(1))));
    events_until(&worker, |event| matches!(event, NetworkEvent::ModelFailed { .. }));
    // What was asked meanwhile waits for a model that works.
    assert!(worker.send(NetworkRequest::Prompt {
        image: image(1),
        id: 9,
        prompt: prompt(20.0)
    }));
    assert!(worker.send(NetworkRequest::Load(choice("scripted"))));
    events_until(&worker, |event| {
        matches!(event, NetworkEvent::Prompted { id: 9, .. })
    });
}

#[test]
fn clicks_are_answered_while_a_folder_is_worked_on_and_it_can_be_stopped() {
    let worker = worker(NetworkOptions::default(), "scripted");
    let job = FolderJob {
        folder: "anywhere".into(),
        search_width: None,
        shard: Shard::WHOLE,
    };
    assert!(worker.send(NetworkRequest::Folder(job)));
    events_until(&worker, |event| matches!(event, NetworkEvent::FolderProgress(_)));
    assert!(worker.send(NetworkRequest::Prompt {
        image: image(1),
        id: 4,
        prompt: prompt(20.0)
    }));
    let events = events_until(&worker, |event| {
        matches!(event, NetworkEvent::Prompted { id: 4, .. })
    });
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, NetworkEvent::FolderDone { .. }))
    );
    worker.cancel_folder();
    let events = events_until(&worker, |event| matches!(event, NetworkEvent::FolderDone { .. }));
    assert!(matches!(
        events.last(),
        Some(NetworkEvent::FolderDone {
            is_cancelled: true,
            ..
        })
    ));
}

#[test]
fn dropping_the_handle_ends_the_thread() {
    let worker = worker(NetworkOptions::default(), "slow");
    for number in 0..50 {
        assert!(worker.send(NetworkRequest::Prefetch(vec![image(number)])));
    }
    let events = worker.events().clone();
    drop(worker);
    assert!(events.iter().count() < 200, "the channel is closed");
}
