//! Tests of merging: by case, and that no edit of either side is lost in any document.

use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::dataset::document::{Caption, Conversation, MaskWords, Region, Turn};
use crate::dataset::edit::{Edit, Mentions};
use crate::dataset::format;
use crate::dataset::sample::{Random, SIZE, cases};
use crate::dataset::vocabulary::{Role, Status, Task};
use crate::geometry::PixelRect;
use crate::mask::{Mask, Rle};

fn mask(x: u32) -> Rle {
    let rect = PixelRect::new(x, 2, 5, 5);
    Mask::from_rects(SIZE, &[rect]).unwrap().to_rle()
}

fn turn(role: Role, text: &str) -> Turn {
    Turn::new(role, text.to_owned())
}

/// Regions r1 to r3, each with a caption, and a conversation of one question and answer.
fn base() -> Document {
    let mut document = Document::new(ImageRef::new("a.png".as_ref(), SIZE, None));
    for number in 1..=3 {
        let mut region = Region::new(format!("r{number}"), mask(number));
        region.captions = vec![Caption::new(format!("caption of [[r{number}]]"), None)];
        document.regions.push(region);
    }
    let mut conversation = Conversation::new("c1".into(), Task::RegionQa);
    conversation.turns = vec![
        turn(Role::User, "What is [[r1]]?"),
        turn(Role::Assistant, "A dent."),
    ];
    document.conversations.push(conversation);
    document.notes = "one\ntwo".into();
    document
}

/// Merges what the two functions make of [`base`]; answers with the document and the conflicts as they are shown.
fn merged(ours: impl Fn(&mut Document), theirs: impl Fn(&mut Document)) -> (Document, Vec<String>) {
    let base = base();
    let (mut a, mut b) = (base.clone(), base.clone());
    ours(&mut a);
    theirs(&mut b);
    let merged = merge(&base, &a, &b).unwrap();
    assert!(format::write(&merged.document).is_ok());
    let conflicts = merged.conflicts.iter().map(ToString::to_string).collect();
    (merged.document, conflicts)
}

fn ids(document: &Document) -> Vec<&str> {
    document.regions.iter().map(|region| region.id.as_str()).collect()
}

fn texts(region: &Region) -> Vec<&str> {
    region
        .captions
        .iter()
        .map(|caption| caption.text.as_str())
        .collect()
}

#[test]
fn changes_in_different_fields_come_together() {
    let (document, conflicts) = merged(
        |ours| {
            ours.regions[0].label = "cat".into();
            ours.regions[0].attributes.insert("a".into(), json!(1));
            ours.regions[1].captions.push(Caption::new("ours".into(), None));
            ours.notes = "zero\none\ntwo".into();
        },
        |theirs| {
            theirs.regions[0].status = Status::Done;
            theirs.regions[0].attributes.insert("b".into(), json!(2));
            theirs.regions[0].mask.rle = mask(20);
            theirs.regions[1].captions[0].text = "changed".into();
            theirs.regions.remove(2);
            theirs.notes = "one\nTWO".into();
            theirs.status = Status::Done;
        },
    );
    assert_eq!(conflicts, [""; 0]);
    let region = &document.regions[0];
    assert_eq!(
        (region.label.as_str(), region.status, &region.mask.rle),
        ("cat", Status::Done, &mask(20))
    );
    assert_eq!(Value::from(region.attributes.clone()), json!({"a": 1, "b": 2}));
    assert_eq!(texts(&document.regions[1]), ["changed", "ours"]);
    assert_eq!(ids(&document), ["r1", "r2"]);
    assert_eq!(
        (document.notes.as_str(), document.status),
        ("zero\none\nTWO", Status::Done)
    );
}

#[test]
fn what_both_added_gets_ids_of_its_own() {
    let add = |label: &str| {
        let label = label.to_owned();
        move |document: &mut Document| {
            let mut region = Region::new("r4".into(), mask(9));
            region.label.clone_from(&label);
            region.captions = vec![Caption::new(format!("{label} [[r4]] on [[r1]]"), None)];
            document.regions.push(region);
            let mut conversation = Conversation::new("c2".into(), Task::Free);
            conversation.turns = vec![turn(Role::User, &format!("Is [[r4]] a {label}?"))];
            document.conversations.push(conversation);
            document.regions[1].captions[0].text = format!("{label}: [[r4]]");
        }
    };
    let (document, conflicts) = merged(add("cat"), add("dog"));
    assert_eq!(ids(&document), ["r1", "r2", "r3", "r4", "r5"]);
    assert_eq!(texts(&document.regions[3]), ["cat [[r4]] on [[r1]]"]);
    assert_eq!(texts(&document.regions[4]), ["dog [[r5]] on [[r1]]"]);
    assert_eq!(texts(&document.regions[1]), ["cat: [[r4]]", "dog: [[r5]]"]);
    let said: Vec<_> = document.conversations[1..]
        .iter()
        .map(|conversation| (conversation.id.as_str(), conversation.turns[0].text.as_str()))
        .collect();
    assert_eq!(said, [("c2", "Is [[r4]] a cat?"), ("c3", "Is [[r5]] a dog?")]);
    assert_eq!(
        conflicts,
        ["region r2: both versions changed a caption; the other one follows it"]
    );

    let (document, conflicts) = merged(add("cat"), add("cat"));
    assert_eq!(
        (ids(&document).len(), conflicts.len()),
        (4, 0),
        "the same twice is the same"
    );
}

#[test]
fn words_keep_their_tokenizer() {
    let tokenize = |fingerprint: &str, codes: Vec<u32>, index: usize| {
        let fingerprint = fingerprint.to_owned();
        move |document: &mut Document| {
            let tokenizer = document.tokenizer_id("nano", &fingerprint, 256, 2);
            let mask = document.regions[index].mask.rle.clone();
            let words = MaskWords::new("w".into(), codes.clone(), tokenizer, Some(0.5), &mask);
            document.regions[index].words = Some(words);
        }
    };
    let (document, conflicts) = merged(tokenize("aa", vec![1], 0), tokenize("bb", vec![2], 1));
    let fingerprint = |index: usize| {
        let id = &document.regions[index].words.as_ref().unwrap().tokenizer;
        let mut tokenizers = document.tokenizers.iter();
        &tokenizers
            .find(|tokenizer| tokenizer.id == *id)
            .unwrap()
            .fingerprint
    };
    assert_eq!((fingerprint(0).as_str(), fingerprint(1).as_str()), ("aa", "bb"));
    assert_eq!(conflicts, [""; 0]);

    // Of words for two masks, those for the mask that stays are kept.
    let (document, conflicts) = merged(
        |ours| tokenize("aa", vec![1], 0)(ours),
        |theirs| {
            theirs.regions[0].mask.rle = mask(20);
            tokenize("aa", vec![2], 0)(theirs);
        },
    );
    assert_eq!(document.regions[0].words.as_ref().unwrap().codes, [2]);
    assert!(
        document.regions[0].has_fresh_words() && conflicts.is_empty(),
        "{conflicts:?}"
    );
}

#[test]
fn conflicts_are_kept_both_ways_and_told() {
    let (document, conflicts) = merged(
        |ours| {
            ours.regions[0].label = "cat".into();
            ours.regions[0].mask.rle = mask(20);
            ours.regions[1].captions[0].text = "ours".into();
            ours.conversations[0].turns[1].text = "A scratch.".into();
            ours.notes = "ours\ntwo".into();
            ours.regions[2].attributes.insert("x".into(), json!("ours"));
        },
        |theirs| {
            theirs.regions[0].label = "dog".into();
            theirs.regions[0].mask.rle = mask(30);
            theirs.regions[0].status = Status::Done;
            theirs.regions[1].captions[0].text = "theirs".into();
            theirs.conversations[0].turns[1].text = "A hole.".into();
            theirs.notes = "theirs\ntwo".into();
            theirs.regions[2].attributes.insert("x".into(), json!("theirs"));
        },
    );
    assert_eq!(
        conflicts,
        [
            "region r1: both versions changed the mask; the other one is region r4",
            "region r1: label is \"cat\" here and \"dog\" in the other version; kept the first and noted the \
             second under \"merge_conflicts\"",
            "region r2: both versions changed a caption; the other one follows it",
            "region r3: attributes.x is \"ours\" here and \"theirs\" in the other version; kept the first and \
             noted the second under \"merge_conflicts\"",
            "conversation c1: both versions changed what is said; the other one is conversation c2",
            "image: both versions changed a line of the notes; both lines are there",
        ]
    );
    assert_eq!(ids(&document), ["r1", "r4", "r2", "r3"]);
    let (first, other) = (&document.regions[0], &document.regions[1]);
    assert_eq!((&first.mask.rle, first.label.as_str()), (&mask(20), "cat"));
    assert_eq!((&other.mask.rle, other.label.as_str()), (&mask(30), "dog"));
    assert_eq!((other.status, other.captions.len()), (Status::Draft, 0));
    assert_eq!(other.unknown[CONFLICT_WITH_KEY], json!("r1"));
    assert_eq!(texts(&document.regions[2]), ["ours", "theirs"]);
    assert_eq!(document.conversations[1].turns[1].text, "A hole.");
    assert_eq!(document.conversations[1].unknown[CONFLICT_WITH_KEY], json!("c1"));
    assert_eq!(document.notes, "ours\ntheirs\ntwo");
    let records = json!([
        {"at": "region r1", "field": "label", "other": "dog"},
        {"at": "region r3", "field": "attributes.x", "other": "theirs"},
    ]);
    assert_eq!(document.unknown[CONFLICTS_KEY], records);
}

#[test]
fn what_one_removed_and_the_other_changed_stays() {
    let remove = |document: &mut Document| {
        let edit = Edit::remove_region(document, "r1", &Mentions::Replace("it".into()));
        edit.apply(document).unwrap();
    };
    for (change, stays) in [
        (
            Box::new(|document: &mut Document| document.regions[0].label = "cat".into())
                as Box<dyn Fn(&mut Document)>,
            true,
        ),
        (
            Box::new(|document: &mut Document| document.regions[1].captions[0].text = "by [[r1]]".into()),
            true,
        ),
        (
            Box::new(|document: &mut Document| document.regions[0].words = None),
            false,
        ),
        (
            Box::new(|document: &mut Document| document.notes = "x".into()),
            false,
        ),
    ] {
        for (ours_removes, by) in [(true, "removed here"), (false, "removed in the other version")] {
            let (document, conflicts) = if ours_removes {
                merged(remove, &change)
            } else {
                merged(&change, remove)
            };
            assert_eq!(document.region("r1").is_some(), stays);
            assert_eq!(conflicts.len(), usize::from(stays));
            assert!(
                conflicts
                    .iter()
                    .all(|conflict| conflict.starts_with(&format!("region r1: was {by}"))),
                "{conflicts:?}"
            );
            assert_eq!(document.conversations[0].turns[0].text, "What is it?");
        }
    }
    let (document, conflicts) = merged(
        |ours| ours.conversations.clear(),
        |theirs| theirs.conversations[0].turns.clear(),
    );
    assert_eq!((document.conversations.len(), conflicts.len()), (1, 1));
    let (document, conflicts) = merged(
        |ours| ours.regions[0].captions.clear(),
        |theirs| theirs.regions[0].captions[0].author = Some("me".into()),
    );
    assert_eq!((document.regions[0].captions.len(), conflicts.len()), (1, 1));
}

#[test]
fn turns_that_would_be_no_dialogue_stay_apart() {
    let ask = |question: &'static str| {
        move |document: &mut Document| {
            let more = [turn(Role::User, question), turn(Role::Assistant, "Yes.")];
            document.conversations[0].turns.extend(more);
        }
    };
    let (document, conflicts) = merged(ask("Old?"), ask("New?"));
    let said: Vec<&str> = document.conversations[0]
        .turns
        .iter()
        .map(|turn| turn.text.as_str())
        .collect();
    assert_eq!(said[2..], ["Old?", "Yes.", "New?", "Yes."]);
    assert_eq!(conflicts, [""; 0]);

    let answer = |answer: &'static str| {
        move |document: &mut Document| {
            document.conversations[0]
                .turns
                .push(turn(Role::Assistant, answer))
        }
    };
    let (document, conflicts) = merged(ask("Old?"), answer("And a scratch."));
    assert_eq!((document.conversations.len(), conflicts.len()), (2, 1));
    assert_eq!(document.conversations[1].turns[2].text, "And a scratch.");
}

#[test]
fn orders_are_merged() {
    let cases = [
        ("a b", "a b x", "a b y", "a b x y", false),
        ("a b", "x a b", "y a b", "x y a b", false),
        ("a b", "a b x", "b a y", "b x a y", false),
        ("a b", "b a", "a y b", "b a y", false),
        ("a b c", "b a c", "a c b", "b a c", true),
        ("a b c", "c b a", "c b a", "c b a", false),
        ("a b c", "a c", "a b y c", "a b y c", false),
        ("", "x", "y", "x y", false),
        ("a", "", "a y", "a y", false),
    ];
    for (base, ours, theirs, expected, is_conflict) in cases {
        let [base, ours, theirs] = [base, ours, theirs].map(|ids| ids.split_whitespace().collect::<Vec<_>>());
        let (order, is_told) = lists::order(&base, &ours, &theirs);
        assert_eq!(
            (order.join(" ").as_str(), is_told),
            (expected, is_conflict),
            "{base:?} {ours:?} {theirs:?}"
        );
    }
    let (document, conflicts) = merged(|ours| ours.regions.swap(0, 1), |theirs| theirs.regions.swap(1, 2));
    assert_eq!(ids(&document), ["r2", "r1", "r3"]);
    assert_eq!(
        conflicts,
        ["image: both versions changed the order of the regions; kept the one here"]
    );
}

#[test]
fn a_resolved_conflict_stays_resolved() {
    let record = |what: &str| json!({"at": "region r1", "field": "label", "other": what});
    let mut base = base();
    base.unknown
        .insert(CONFLICTS_KEY.into(), json!([record("a"), record("b")]));
    let (mut ours, mut theirs) = (base.clone(), base.clone());
    ours.unknown
        .insert(CONFLICTS_KEY.into(), json!([record("b"), record("c")]));
    theirs
        .unknown
        .insert(CONFLICTS_KEY.into(), json!([record("a"), record("d")]));
    let merged = merge(&base, &ours, &theirs).unwrap();
    assert_eq!(
        merged.document.unknown[CONFLICTS_KEY],
        json!([record("c"), record("d")])
    );
    assert_eq!(merged.conflicts, []);
    ours.unknown.clear();
    theirs.unknown.clear();
    theirs.notes.clear();
    let merged = merge(&base, &ours, &theirs).unwrap();
    assert_eq!(merged.document.unknown, Map::new());
}

#[test]
fn images_of_two_sizes_are_refused() {
    let (ours, mut theirs) = (base(), base());
    theirs.image.size = ImageSize::new(30, 40);
    let error = merge(&base(), &ours, &theirs).unwrap_err().to_string();
    assert!(
        error.contains("for 40 x 30 pixels and the other for 30 x 40"),
        "{error}"
    );
}

/// Everything somebody wrote, drew or chose: texts, masks and values, without ids and what is derived.
fn content(document: &Document) -> Vec<String> {
    let mut content = Vec::new();
    for region in &document.regions {
        content.extend([
            region.label.clone(),
            region.source.clone(),
            region.mask.rle.to_compressed(),
        ]);
        content.extend(region.color.map(|color| color.to_string()));
        content.extend(texts(region).into_iter().map(unmentioned));
        content.extend(
            region
                .attributes
                .iter()
                .map(|(key, value)| format!("{key}={value}")),
        );
    }
    for conversation in &document.conversations {
        content.extend(conversation.turns.iter().map(|turn| unmentioned(&turn.text)));
        content.push(conversation.task.as_str().to_owned());
    }
    content.extend(document.notes.split('\n').map(str::to_owned));
    content.extend(document.image.blake3.clone());
    content.retain(|item| !item.is_empty());
    content
}

/// `text` up to its mentions, which merging may rename.
fn unmentioned(text: &str) -> String {
    text.split("[[").next().unwrap_or_default().to_owned()
}

/// What is in `after` and not in `before`, as often as it is there more.
fn gained(before: &[String], after: &[String]) -> Vec<String> {
    let mut before = before.to_vec();
    let mut gained = Vec::new();
    for item in after {
        match before.iter().position(|other| other == item) {
            Some(index) => drop(before.swap_remove(index)),
            None => gained.push(item.clone()),
        }
    }
    gained
}

fn edited(random: &mut Random, base: &Document) -> Document {
    let mut document = base.clone();
    for _ in 0..1 + random.below(6) {
        random.edit(&document).apply(&mut document).unwrap();
    }
    document.revision += 1;
    document
}

/// Documents in an order of regions and conversations that does not depend on the side.
fn canonical(document: &Document) -> Vec<u8> {
    let mut document = document.clone();
    document.regions.sort_by(|a, b| a.id.cmp(&b.id));
    document.conversations.sort_by(|a, b| a.id.cmp(&b.id));
    document.tokenizers.sort_by(|a, b| a.id.cmp(&b.id));
    format::write(&document).unwrap()
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn what_one_side_did_alone_is_done(seed in any::<u64>()) {
        let mut random = Random(seed);
        let base = random.document();
        let changed = edited(&mut random, &base);
        // Not even the revision differs, or it does on the other side: two ways through the code.
        let mut touched = base.clone();
        touched.revision += 1;
        for still in [&base, &touched] {
            for (ours, theirs) in [(still, &changed), (&changed, still)] {
                let mut merged = merge(&base, ours, theirs).unwrap();
                prop_assert_eq!(&merged.conflicts, &[]);
                merged.document.revision = changed.revision;
                prop_assert_eq!(format::write(&merged.document).unwrap(), format::write(&changed).unwrap());
            }
        }
    }

    #[test]
    fn no_edit_is_lost(seed in any::<u64>()) {
        let mut random = Random(seed);
        let base = random.document();
        let (ours, theirs) = (edited(&mut random, &base), edited(&mut random, &base));
        let merged = merge(&base, &ours, &theirs).unwrap();
        let bytes = format::write(&merged.document).unwrap();
        prop_assert_eq!(&bytes, &format::write(&merge(&base, &ours, &theirs).unwrap().document).unwrap());
        prop_assert_eq!(&format::read(&bytes).unwrap(), &merged.document);

        // Everything that either side brought is in the document or among its conflicts.
        let records = merged.document.unknown.get(CONFLICTS_KEY).map(ToString::to_string).unwrap_or_default();
        let all = content(&merged.document);
        let before = content(&base);
        for side in [&ours, &theirs] {
            for item in gained(&before, &content(side)) {
                let value = item.split_once('=').map_or_else(|| format!("{item:?}"), |(_, value)| value.to_owned());
                let is_recorded = records.contains(&format!("\"other\":{value}"));
                prop_assert!(all.contains(&item) || is_recorded, "{} is lost", item);
            }
        }
        // What neither brought, and what one side alone removed, is not there.
        for item in gained(&before, &all) {
            prop_assert!(content(&ours).contains(&item) || content(&theirs).contains(&item), "{} came from nowhere", item);
        }
        let is_kept = |id: &str| merged.conflicts.iter().any(|conflict| conflict.place == Place::Region(id.to_owned()));
        for region in &base.regions {
            for (side, other) in [(&ours, &theirs), (&theirs, &ours)] {
                if side.region(&region.id).is_none() && other.region(&region.id) == Some(region) && !is_kept(&region.id) {
                    prop_assert!(merged.document.region(&region.id).is_none(), "{} is there again", region.id);
                }
            }
        }
    }

    #[test]
    fn sides_are_equal(seed in any::<u64>()) {
        let mut random = Random(seed);
        let base = random.document();
        let (ours, theirs) = (edited(&mut random, &base), edited(&mut random, &base));
        let (one, other) = (merge(&base, &ours, &theirs).unwrap(), merge(&base, &theirs, &ours).unwrap());
        // Whether two additions make a dialogue may depend on which comes first.
        let told = |merged: &Merged| {
            let kinds = merged.conflicts.iter().map(|conflict| &conflict.kind);
            kinds.filter(|kind| !matches!(kind, ConflictKind::Turns { .. })).count()
        };
        prop_assert_eq!(told(&one), told(&other));
        let sorted = |merged: &Merged| {
            let mut content = content(&merged.document);
            content.sort();
            content
        };
        if one.conflicts.is_empty() && other.conflicts.is_empty() {
            prop_assert_eq!(sorted(&one), sorted(&other));
        }
    }

    #[test]
    fn merging_again_changes_nothing(seed in any::<u64>()) {
        let mut random = Random(seed);
        let base = random.document();
        let (ours, theirs) = (edited(&mut random, &base), edited(&mut random, &base));
        let merged = merge(&base, &ours, &theirs).unwrap();
        // They read what we saved, having done nothing since.
        let theirs_then = merge(&theirs, &theirs, &merged.document).unwrap();
        prop_assert_eq!(canonical(&theirs_then.document), canonical(&merged.document));
        prop_assert_eq!(&theirs_then.conflicts, &[]);
    }
}
