//! That nothing of a document is lost on the way through any container.

use proptest::prelude::*;
use serde_json::Value;

use super::super::super::{Annotated, Notes};
use super::super::sample::CUP;
use super::super::{Container, TrainingOptions};
use super::Place;
use crate::dataset::{
    Caption, Color, Conversation, Document, ImageRef, MaskWords, Region, Role, Status, Task, Timestamp, Turn,
};
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::Mask;
use crate::words::WordFormat;

/// JSON that a document may have under keys of others.
pub(super) fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9_f64).prop_map(Value::from),
        texts().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"]{1,4}", inner, 0..3)
                .prop_map(|keys| Value::Object(keys.into_iter().collect())),
        ]
    })
}

/// Keys of others; none is one of ours.
fn keys() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    let value = values().prop_filter("null is absent", |value| !value.is_null());
    prop::collection::btree_map("x_[a-zé ]{0,3}", value, 0..2).prop_map(|keys| keys.into_iter().collect())
}

fn texts() -> impl Strategy<Value = String> {
    let pieces = vec![
        "[[r1]]",
        "[[r2]]",
        "[[r9]]",
        " ",
        ".",
        "the cup",
        "\n",
        "\"",
        "\\",
        "é",
        "😀",
        "<image>",
        "No target.",
        "<p> a </p>",
        "{SEG}",
        CUP,
        "\u{1}",
        "?",
        "```json\n[",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..8).prop_map(|pieces| pieces.concat())
}

fn statuses() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL)
}

fn regions() -> impl Strategy<Value = Region> {
    let mask = (0..4_u32, 0..3_u32, 0..5_u32, 0..4_u32);
    let words = prop::option::of((
        0..256_u32,
        0..256_u32,
        any::<bool>(),
        prop::option::of(0.0..1.0_f64),
    ));
    let captions = prop::collection::vec((texts(), prop::option::of(texts()), keys()), 0..3);
    let colour = prop::option::of(any::<[u8; 3]>());
    (
        mask,
        words,
        captions,
        colour,
        (texts(), texts()),
        statuses(),
        (keys(), keys(), keys()),
    )
        .prop_map(
            |(
                (x, y, width, height),
                words,
                captions,
                colour,
                (label, source),
                status,
                (attributes, unknown, of_mask),
            )| {
                let rect = PixelRect::new(x, y, width, height);
                let mask = Mask::from_rects(ImageSize::new(8, 6), &[rect]).unwrap().to_rle();
                let mut region = Region::new(String::new(), mask);
                region.words = words.map(|(first, second, is_fresh, iou)| {
                    let format = WordFormat::PUBLISHED;
                    let text = format.write(&format.codes(&[first, second]).unwrap());
                    let mut words =
                        MaskWords::new(text, vec![first, second], "T1".to_owned(), None, &region.mask.rle);
                    words.iou = iou;
                    if !is_fresh {
                        words.mask_blake3 = "stale".to_owned();
                    }
                    words
                });
                for (text, author, unknown) in captions {
                    let mut caption = Caption::new(text, author);
                    caption.unknown = unknown;
                    region.captions.push(caption);
                }
                region.color = colour.map(|rgb| Color { rgb });
                (region.label, region.source, region.status) = (label, source, status);
                (region.attributes, region.unknown, region.mask.unknown) = (attributes, unknown, of_mask);
                region
            },
        )
}

fn conversations() -> impl Strategy<Value = Conversation> {
    let turn = (prop::sample::select(Role::ALL), texts(), keys());
    let turns = prop::collection::vec(turn, 0..5);
    (prop::sample::select(Task::ALL), turns, statuses(), keys()).prop_map(|(task, turns, status, unknown)| {
        let mut conversation = Conversation::new(String::new(), task);
        for (role, text, unknown) in turns {
            let mut turn = Turn::new(role, text);
            turn.unknown = unknown;
            conversation.turns.push(turn);
        }
        (conversation.status, conversation.unknown) = (status, unknown);
        conversation
    })
}

fn documents() -> impl Strategy<Value = Document> {
    let regions = prop::collection::vec(regions(), 0..4);
    let conversations = prop::collection::vec(conversations(), 0..4);
    (
        regions,
        conversations,
        statuses(),
        texts(),
        any::<u64>(),
        keys(),
        keys(),
    )
        .prop_map(
            |(regions, conversations, status, notes, revision, unknown, of_image)| {
                let mut image = ImageRef::new("a.png".as_ref(), ImageSize::new(8, 6), Some("ab".repeat(32)));
                image.unknown = of_image;
                let mut document = Document::new(image);
                document.tokenizer_id("nano", "f00d", 256, 2);
                document.regions = regions;
                for (index, region) in document.regions.iter_mut().enumerate() {
                    region.id = format!("r{}", index + 1);
                }
                document.conversations = conversations;
                for (index, conversation) in document.conversations.iter_mut().enumerate() {
                    conversation.id = format!("c{}", index + 1);
                }
                document.modified = "2026-01-31T12:00:00Z".parse::<Timestamp>().ok();
                (document.status, document.notes, document.revision) = (status, notes, revision);
                document.unknown = unknown;
                document
            },
        )
}

pub(super) fn cases(default: u32) -> ProptestConfig {
    ProptestConfig {
        cases: std::env::var("PROPTEST_CASES")
            .ok()
            .and_then(|cases| cases.parse().ok())
            .unwrap_or(default),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_round_trip_through_any_container_keeps_every_field(
        documents in prop::collection::vec(documents(), 1..4),
        container in prop::sample::select(Container::ALL.to_vec()),
        seed in any::<u64>(),
    ) {
        let place = Place::new();
        let items: Vec<Annotated> = documents
            .into_iter()
            .enumerate()
            .map(|(index, document)| place.annotated(&format!("f/{index} 'é.png"), document))
            .collect();
        let mut options = TrainingOptions::new(container);
        options.seed = seed;
        options.shard_records = 3;
        options.split.shares = [1.0, 1.0, 1.0];
        options.split.seed = seed;
        let (manifest, _) = place.export(&items, &options, "out");
        manifest.unwrap();
        let (mut arrived, notes) = place.import(&place.out("out"));
        prop_assert_eq!(notes, Notes::default());
        arrived.sort_by(|a, b| a.image.name.cmp(&b.image.name));
        prop_assert_eq!(arrived.len(), items.len());
        for (arrived, item) in arrived.iter().zip(&items) {
            prop_assert_eq!(&arrived.image.name, &item.name);
            prop_assert_eq!(&arrived.document, &item.document);
        }
    }
}
