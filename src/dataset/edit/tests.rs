//! Tests of edits: each has an inverse, and one that does not fit changes nothing.

use proptest::prelude::*;

use super::*;
use crate::dataset::document::Caption;
use crate::dataset::format;
use crate::dataset::sample::{Random, SIZE, cases};
use crate::geometry::ImageSize;
use crate::mask::{Mask, Rle};

fn region(id: &str) -> Box<Region> {
    Box::new(Region::new(id.to_owned(), Mask::full(SIZE).unwrap().to_rle()))
}

fn document() -> Document {
    let mut document = Document::new(ImageRef::new("a.png".as_ref(), SIZE, None));
    document.regions = vec![*region("r1"), *region("r2")];
    document.regions[0].captions = vec![Caption::new("of [[r2]] and [[r1]]".into(), None)];
    let mut conversation = Conversation::new("c1".into(), Task::Free);
    conversation.turns = vec![Turn::new(super::super::Role::User, "[[r2]]? [[r2]]!".into())];
    document.conversations.push(conversation);
    document.tokenizer_id("nano", "fe", 256, 2);
    document
}

#[test]
fn an_edit_that_does_not_fit_changes_nothing() {
    let other_size = Region::new("r3".into(), Mask::full(ImageSize::new(2, 2)).unwrap().to_rle());
    let words = |tokenizer: &str| {
        let mask = Mask::full(SIZE).unwrap().to_rle();
        super::super::MaskWords::new("w".into(), vec![1], tokenizer.into(), None, &mask)
    };
    let in_region = |id: &str, change| Edit::Region {
        id: id.to_owned(),
        change,
    };
    let in_conversation = |id: &str, change| Edit::Conversation {
        id: id.to_owned(),
        change,
    };
    let tokenizer = |document: &Document| Box::new(document.tokenizers[0].clone());
    let mut used = document();
    used.regions[1].words = Some(words("T1"));
    let add = |region: Box<Region>| Edit::AddRegion { index: 0, region };
    let small = Mask::full(ImageSize::new(2, 2)).unwrap().to_rle();
    let cases: Vec<(Edit, &str)> = vec![
        (add(region("r1")), "the id \"r1\" is in use"),
        (add(region("")), "no id"),
        (add(region("a]b")), "no id"),
        (
            add(Box::new(other_size)),
            "the mask has 2 x 2 pixels and the image 40 x 30",
        ),
        (
            Edit::RemoveRegion { id: "r9".into() },
            "there is no region \"r9\" any more",
        ),
        (
            Edit::MoveRegion {
                id: "r9".into(),
                index: 0,
            },
            "no region",
        ),
        (Edit::rename_region(&used, "r1", "r2"), "the id \"r2\" is in use"),
        (Edit::rename_region(&used, "r9", "r3"), "no region \"r9\""),
        (in_region("r9", RegionChange::Label("x".into())), "no region"),
        (
            in_region(
                "r1",
                RegionChange::Mask(MaskChange::between(&small, &small).unwrap()),
            ),
            "the mask has 2 x 2",
        ),
        (
            in_region("r1", RegionChange::RemoveCaption { index: 1 }),
            "no caption number 2",
        ),
        (
            in_region("r1", RegionChange::MoveCaption { from: 1, to: 0 }),
            "no caption",
        ),
        (
            in_region("r1", RegionChange::Words(Some(Box::new(words("T7"))))),
            "tokenizer \"T7\" is not listed",
        ),
        (Edit::RemoveTokenizer { id: "T1".into() }, "made words of regions"),
        (Edit::RemoveTokenizer { id: "T7".into() }, "not listed"),
        (
            Edit::AddTokenizer {
                index: 0,
                tokenizer: tokenizer(&used),
            },
            "the id \"T1\" is in use",
        ),
        (
            Edit::RemoveConversation { id: "c9".into() },
            "no conversation \"c9\"",
        ),
        (
            Edit::AddConversation {
                index: 0,
                conversation: Box::new(used.conversations[0].clone()),
            },
            "the id \"c1\" is in use",
        ),
        (
            in_conversation("c1", ConversationChange::RemoveTurn { index: 1 }),
            "\"c1\" has no turn number 2",
        ),
        (
            Edit::Image(Box::new(ImageRef::new(
                "b.png".as_ref(),
                ImageSize::new(1, 1),
                None,
            ))),
            "for 40 x 30 pixels and the image has 1 x 1",
        ),
        (
            Edit::Several(vec![
                Edit::Notes("changed".into()),
                in_region("r1", RegionChange::Label("changed".into())),
                Edit::RemoveRegion { id: "r2".into() },
                Edit::RemoveRegion { id: "r2".into() },
            ]),
            "no region \"r2\"",
        ),
    ];
    for (edit, part) in cases {
        let mut document = used.clone();
        let error = edit.clone().apply(&mut document).unwrap_err().to_string();
        assert!(error.contains(part) && !error.ends_with('.'), "{edit:?}: {error}");
        assert_eq!(document, used, "{edit:?}");
    }
}

#[test]
fn mentions_follow_their_region() {
    let texts = |document: &Document| {
        let caption = document
            .regions
            .first()
            .and_then(|region| region.captions.first());
        let caption = caption.map(|caption| caption.text.clone()).unwrap_or_default();
        (caption, document.conversations[0].turns[0].text.clone())
    };
    let mut changed = document();
    let inverse = Edit::rename_region(&changed, "r2", "cat")
        .apply(&mut changed)
        .unwrap();
    assert_eq!(
        texts(&changed),
        ("of [[cat]] and [[r1]]".into(), "[[cat]]? [[cat]]!".into())
    );
    assert!(changed.region("cat").is_some());
    inverse.apply(&mut changed).unwrap();
    assert_eq!(changed, document());

    let replace = Mentions::Replace("the dent".into());
    let inverse = Edit::remove_region(&changed, "r2", &replace)
        .apply(&mut changed)
        .unwrap();
    assert_eq!(
        texts(&changed),
        ("of the dent and [[r1]]".into(), "the dent? the dent!".into())
    );
    inverse.apply(&mut changed).unwrap();
    assert_eq!(changed, document());

    Edit::remove_region(&changed, "r1", &replace)
        .apply(&mut changed)
        .unwrap();
    assert_eq!(texts(&changed), (String::new(), "[[r2]]? [[r2]]!".into()));
    let mut kept = document();
    Edit::remove_region(&kept, "r2", &Mentions::Keep)
        .apply(&mut kept)
        .unwrap();
    assert_eq!(texts(&kept), texts(&document()));
}

#[test]
fn a_brush_stroke_is_small() {
    // A disc of a large photograph, and a dab of the brush on its edge.
    let size = ImageSize::new(4000, 3000);
    let disc = |x: u32, y: u32, centre: (i64, i64), radius: i64| {
        let (dx, dy) = (i64::from(x) - centre.0, i64::from(y) - centre.1);
        dx * dx + dy * dy <= radius * radius
    };
    let before = Mask::from_fn(size, |x, y| disc(x, y, (2000, 1500), 1400)).unwrap();
    let dab = Mask::from_fn(size, |x, y| disc(x, y, (3380, 1500), 40)).unwrap();
    let after = before.union(&dab).unwrap().to_rle();
    let change = MaskChange::between(&before.to_rle(), &after).unwrap();
    let edit = Edit::Region {
        id: "r1".into(),
        change: RegionChange::Mask(change),
    };
    let whole = Edit::AddRegion {
        index: 0,
        region: Box::new(Region::new("r1".into(), after)),
    };
    assert!(edit.bytes() < 2_000, "{}", edit.bytes());
    assert!(whole.bytes() > 20_000, "{}", whole.bytes());
}

fn rle(seed: u64) -> Rle {
    let mut random = Random(seed);
    match random.below(6) {
        0 => Mask::empty(SIZE).unwrap().to_rle(),
        1 => Mask::full(SIZE).unwrap().to_rle(),
        2 => Mask::from_fn(SIZE, |_, _| random.chance(50)).unwrap().to_rle(),
        _ => random.mask(),
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn what_an_inverse_takes_back_is_taken_back_exactly(seed in any::<u64>()) {
        let mut random = Random(seed);
        let mut document = random.document();
        let mut trail = Vec::new();
        for _ in 0..20 {
            let edit = if random.chance(20) {
                let mut scratch = document.clone();
                let edits = (0..3).map(|_| {
                    let edit = random.edit(&scratch);
                    edit.clone().apply(&mut scratch).unwrap();
                    edit
                });
                Edit::Several(edits.collect())
            } else {
                random.edit(&document)
            };
            let before = document.clone();
            let inverse = edit.clone().apply(&mut document).unwrap();
            prop_assert!(format::write(&document).is_ok(), "{:?}", edit);
            trail.push((before, document.clone(), inverse));
        }
        for (before, after, inverse) in trail.into_iter().rev() {
            let again = inverse.apply(&mut document).unwrap();
            prop_assert_eq!(format::write(&document).unwrap(), format::write(&before).unwrap());
            let mut forward = document.clone();
            again.apply(&mut forward).unwrap();
            prop_assert_eq!(format::write(&forward).unwrap(), format::write(&after).unwrap());
        }
    }

    #[test]
    fn masks_change_as_their_pixels_do(a in any::<u64>(), b in any::<u64>(), c in any::<u64>()) {
        let [a, b, c] = [a, b, c].map(rle);
        let change = MaskChange::between(&a, &b).unwrap();
        let raster = Mask::from_rle(&a).symmetric_difference(&Mask::from_rle(&b)).unwrap();
        prop_assert_eq!(change.difference(), &raster.to_rle());
        prop_assert_eq!(change.then(&MaskChange::between(&b, &c).unwrap()).unwrap(), MaskChange::between(&a, &c).unwrap());
    }
}
