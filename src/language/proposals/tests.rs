//! Answers as models write them, read, accepted and looked back on.

use std::path::Path;

use serde_json::json;

use super::outcome::{Decision, OutcomeTable, outcomes, text_distance};
use super::*;
use crate::dataset::{Document, Edit, History, ImageRef, Region, Status, Task, format};
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::Mask;
use crate::words::WordFormat;

const SIZE: ImageSize = ImageSize::new(100, 80);

fn vocabulary() -> Vocabulary {
    Vocabulary {
        name: "tiny".to_owned(),
        fingerprint: "f".repeat(64),
        format: WordFormat::PUBLISHED,
    }
}

/// A square whose place is the first code and whose side is the second; none for code 0 0.
fn square(first: u32, second: u32) -> Mask {
    Mask::from_rects(
        SIZE,
        &[PixelRect::new(first % 100, 10, second.min(60), second.min(60))],
    )
    .unwrap()
}

fn word(first: u32, second: u32) -> String {
    WordFormat::PUBLISHED.write(&WordFormat::PUBLISHED.codes(&[first, second]).unwrap())
}

fn decode(codes: &[MaskCodes]) -> Result<Vec<Mask>, String> {
    let mask = |codes: &MaskCodes| square(codes.get(0).unwrap_or(0), codes.get(1).unwrap_or(5));
    Ok(codes.iter().map(mask).collect())
}

fn document(masks: &[(u32, u32)]) -> Document {
    let mut document = Document::new(ImageRef::new(Path::new("a.png"), SIZE, None));
    for (index, (first, second)) in masks.iter().enumerate() {
        let mut region = Region::new(format!("r{}", index + 1), square(*first, *second).to_rle());
        region.label = format!("mine {}", index + 1);
        document.regions.push(region);
    }
    document
}

fn read(task: VisionTask, document: &Document, answer: &str) -> Result<Proposal, Unreadable> {
    let vocabulary = vocabulary();
    let reader = Reader {
        model: "Qwen",
        task,
        vocabulary: &vocabulary,
        question: "What is beside [[r1]] and [[r77]]?",
        target: Some("r1"),
        label: "",
        twin_iou: Reader::TWIN_IOU,
    };
    reader.read(document, answer, &mut decode)
}

/// The document with all of the proposal accepted, and back.
fn accepted(document: &Document, proposal: &Proposal, choices: &[Choice]) -> Document {
    let mut changed = document.clone();
    let edit = proposal.edit(document, choices).unwrap();
    let inverse = edit.apply(&mut changed).unwrap();
    let mut back = changed.clone();
    inverse.apply(&mut back).unwrap();
    assert_eq!(back, *document, "what was accepted can be undone");
    let bytes = format::write(&changed).unwrap();
    assert_eq!(format::read(&bytes).unwrap(), changed, "it survives the file");
    changed
}

#[test]
fn a_grounded_caption_becomes_regions_and_a_turn() {
    let document = document(&[(10, 30)]);
    let answer = format!(
        "A <|object_ref_start|> red cup <|object_ref_end|> {} beside <|object_ref_start|> two spoons <|object_ref_end|> {}{}, and [[r1]].",
        word(10, 30),
        word(50, 20),
        word(75, 20),
    );
    let proposal = read(VisionTask::Describe, &document, &answer).unwrap();
    assert_eq!(
        proposal.answer,
        "A red cup [[+1]] beside two spoons [[+2]][[+3]], and [r1]."
    );
    let labels: Vec<&str> = proposal
        .regions
        .iter()
        .map(|region| region.label.as_str())
        .collect();
    assert_eq!(labels, ["red cup", "two spoons", "two spoons"]);
    assert_eq!(proposal.regions[0].twin.as_ref().unwrap().id, "r1");
    assert!(proposal.problems.is_empty() && proposal.regions[1].twin.is_none());

    let changed = accepted(&document, &proposal, &proposal.accept_all());
    assert_eq!(changed.regions.len(), 3, "the twin is linked");
    assert_eq!(
        changed.regions[0], document.regions[0],
        "what a person drew is as it was"
    );
    let region = &changed.regions[1];
    assert_eq!(
        (region.id.as_str(), region.source.as_str(), region.status),
        ("r2", "Qwen", Status::Draft)
    );
    assert_eq!(region.words.as_ref().unwrap().text, word(50, 20));
    assert!(region.has_fresh_words());
    let turns = &changed.conversations[0].turns;
    assert_eq!(turns[0].text, "What is beside [[r1]] and r77?");
    assert_eq!(
        turns[1].text,
        "A red cup [[r1]] beside two spoons [[r2]][[r3]], and [r1]."
    );
    assert_eq!(changed.conversations[0].task, Task::GroundedCaption);
    assert_eq!(changed.tokenizers[0].fingerprint, "f".repeat(64));

    let question = turns[0].text.clone();
    assert!(Proposal::is_known(
        "Qwen",
        VisionTask::Describe,
        None,
        &question,
        &changed
    ));
    assert!(!Proposal::is_known(
        "Other",
        VisionTask::Describe,
        None,
        &question,
        &changed
    ));
}

#[test]
fn choices_decide_what_is_added() {
    let document = document(&[(10, 30)]);
    let answer = format!(
        "a cup {}, a spoon {}, a plate {}",
        word(10, 30),
        word(50, 20),
        word(75, 20)
    );
    let mut proposal = read(VisionTask::Segment, &document, &answer).unwrap();
    for (region, label) in proposal.regions.iter_mut().zip(["cup", "spoon", "dish"]) {
        region.label = label.to_owned();
    }
    let mended = square(52, 20).to_rle();
    let choices = [
        Choice::AddAnyway,
        Choice::Mend {
            mask: mended.clone(),
            label: Some("fork".to_owned()),
        },
    ];
    let changed = accepted(&document, &proposal, &choices);
    let labels: Vec<&str> = changed
        .regions
        .iter()
        .map(|region| region.label.as_str())
        .collect();
    assert_eq!(labels, ["mine 1", "cup", "fork"]);
    assert_eq!(changed.regions[2].mask.rle, mended);
    assert!(
        changed.regions[2].words.is_none(),
        "words of another mask are none"
    );
    assert_eq!(
        changed.conversations[0].turns[1].text,
        "a cup [[r2]], a spoon [[r3]], a plate dish"
    );
    assert_eq!(proposal.edit(&document, &[]), None, "nothing is left of it");
}

#[test]
fn a_caption_goes_to_its_region_and_stays_beside_others() {
    let document = document(&[(10, 30)]);
    let proposal = read(VisionTask::Caption, &document, "A red cup.<|im_end|>").unwrap();
    let changed = accepted(&document, &proposal, &[]);
    let caption = &changed.regions[0].captions[0];
    assert_eq!(
        (caption.text.as_str(), caption.author.as_deref()),
        ("A red cup.", Some("Qwen"))
    );
    assert!(Proposal::is_known(
        "Qwen",
        VisionTask::Caption,
        Some("r1"),
        "",
        &changed
    ));
    assert!(!Proposal::is_known(
        "Qwen",
        VisionTask::Caption,
        Some("r1"),
        "",
        &document
    ));
    let mut gone = document.clone();
    gone.regions.clear();
    assert_eq!(proposal.edit(&gone, &[]), None);
}

#[test]
fn a_list_with_labels_and_no_target_are_understood() {
    let empty = document(&[]);
    let list = format!(
        "```json\n[{{\"mask_2d\": \"{}\", \"label\": \"cup\"}},\n{{\"mask_2d\": {}, \"label\": \"spoon\"}}]\n```",
        word(1, 30),
        word(50, 30)
    );
    let proposal = read(VisionTask::Detect, &empty, &list).unwrap();
    let labels: Vec<&str> = proposal
        .regions
        .iter()
        .map(|region| region.label.as_str())
        .collect();
    assert_eq!(labels, ["cup", "spoon"]);
    assert!(
        proposal.answer.contains("\"mask_2d\": \"[[+1]]\""),
        "{}",
        proposal.answer
    );
    let proposal = read(VisionTask::Segment, &empty, &list).unwrap();
    assert_eq!(proposal.answer, "[[+1]], [[+2]]");
    let proposal = read(VisionTask::Segment, &empty, "No target.").unwrap();
    assert!(proposal.is_no_target);
    let changed = accepted(&empty, &proposal, &[]);
    assert_eq!(changed.conversations[0].task, Task::NoTarget);
}

#[test]
fn what_is_wrong_with_an_answer_is_shown_and_the_rest_is_used() {
    let document = document(&[]);
    let answer = format!(
        "It is <|mt_start|><|mt_0010|><|mt_end|>, {} twice {} and {} nothing, <|mt_start|><|mt_end|>.",
        word(40, 30),
        word(40, 30),
        word(7, 0),
    );
    let proposal = read(VisionTask::Segment, &document, &answer).unwrap();
    assert_eq!(proposal.regions.len(), 2);
    assert_eq!(
        proposal.answer,
        "It is [[+1]], [[+2]] twice [[+2]] and  nothing, ."
    );
    let messages: Vec<&str> = proposal
        .problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages[0].contains("no word for depth 2"), "{messages:?}");
    assert!(messages[1].contains("no pixels"), "{messages:?}");
    assert!(messages[2].contains("without code words"), "{messages:?}");
    let changed = accepted(&document, &proposal, &proposal.accept_all());
    assert!(
        changed.regions[0].words.is_none(),
        "words that lack one are not kept as words"
    );
}

#[test]
fn words_of_another_codebook_are_refused_in_plain_words() {
    let document = document(&[]);
    for answer in [
        "<|mt_start|><|mt_0700|><|mt_1700|><|mt_end|>",
        "<|mt_start|><|mt_0100|><|mt_1100|><|mt_end|> and <|mt_start|><|mt_0900|><|mt_1900|><|mt_end|>",
    ] {
        let message = read(VisionTask::Segment, &document, answer)
            .unwrap_err()
            .to_string();
        assert!(message.contains("trained with another tokenizer"), "{message}");
    }
    let slip = format!(
        "{} {} <|mt_start|><|mt_0001|><|mt_0700|><|mt_end|>",
        word(1, 30),
        word(40, 30)
    );
    assert!(read(VisionTask::Segment, &document, &slip).is_ok());
    assert_eq!(
        read(VisionTask::Segment, &document, " \n"),
        Err(Unreadable::Empty)
    );
}

#[test]
fn a_thousand_masks_end_at_a_limit() {
    let document = document(&[]);
    let answer: String = (0..1000).map(|n| format!("{} ", word(n % 256, n / 4))).collect();
    let mut batches = 0;
    let vocabulary = vocabulary();
    let reader = Reader {
        model: "Qwen",
        task: VisionTask::Detect,
        vocabulary: &vocabulary,
        question: "all",
        target: None,
        label: "thing",
        twin_iou: 1.1,
    };
    let proposal = reader.read(&document, &answer, &mut |codes| {
        batches += 1;
        assert!(codes.len() <= 32);
        decode(codes)
    });
    let proposal = proposal.unwrap();
    assert!(proposal.regions.len() <= 300 && batches <= 10);
    assert!(
        proposal
            .problems
            .iter()
            .any(|problem| problem.message.contains("more than 300"))
    );
    assert!(proposal.edit(&document, &proposal.accept_all()).is_some());
    let failed = reader.read(&document, &answer, &mut |_| Err("no room".to_owned()));
    assert_eq!(failed, Err(Unreadable::Decode("no room".to_owned())));
    let foreign = reader.read(&document, &answer, &mut |_| Ok(Vec::new()));
    assert!(matches!(foreign, Err(Unreadable::Decode(_))));
}

#[test]
fn masks_that_are_nearly_the_same_are_one() {
    let document = document(&[]);
    let answer = format!("{} {}", word(10, 40), word(11, 40));
    let proposal = read(VisionTask::Segment, &document, &answer).unwrap();
    assert_eq!(
        (proposal.regions.len(), proposal.answer.as_str()),
        (1, "[[+1]] [[+1]]")
    );
}

#[test]
fn what_became_of_proposals_is_told_by_model_task_and_label() {
    let document = document(&[]);
    let answer = format!(
        "```json\n[{}]\n```",
        [(1, 30), (50, 30), (20, 8), (35, 8)]
            .map(|(a, b)| format!("{{\"mask_2d\": \"{}\", \"label\": \"cup\"}}", word(a, b)))
            .join(",\n")
    );
    let proposal = read(VisionTask::Detect, &document, &answer).unwrap();
    let mut changed = accepted(&document, &proposal, &proposal.accept_all());
    assert!(
        outcomes(&changed)
            .iter()
            .all(|outcome| outcome.decision == Decision::Open)
    );
    changed.regions[0].status = Status::Done;
    changed.regions[1].status = Status::Approved;
    changed.regions[1].mask.rle = square(50, 15).to_rle();
    changed.regions[2].status = Status::Rejected;
    changed.conversations[0].status = Status::Done;
    let mut table = OutcomeTable::default();
    table.add(&changed);
    let rows: Vec<_> = table.rows().collect();
    let (model, task, label, figures) = rows[1];
    assert_eq!((model, task, label), ("Qwen", "detect", "cup"));
    assert_eq!(
        (figures.accepted, figures.mended, figures.rejected, figures.open),
        (1, 1, 1, 1)
    );
    assert_eq!(figures.accept_rate(), Some(2.0 / 3.0));
    assert_eq!(figures.mean_iou(), Some((1.0 + 0.25) / 2.0));
    assert_eq!(rows[0].3.mean_text_distance(), Some(0.0));
    assert_eq!(figures.to_json()["mean_text_distance"], json!(null));
    for (before, after, distance) in [
        ("", "", 0.0),
        ("abc", "abc", 0.0),
        ("abc", "", 1.0),
        ("kitten", "sitting", 3.0 / 7.0),
        ("ab", "ba", 1.0),
    ] {
        assert!(
            (text_distance(before, after) - distance).abs() < 1e-12,
            "{before} {after}"
        );
    }
    let long = "word ".repeat(3000);
    assert!(text_distance(&long, &format!("{long} more")) < 0.001);
}

#[test]
fn an_accepted_proposal_is_one_step_of_the_history() {
    let mut document = document(&[]);
    let proposal = read(VisionTask::Segment, &document, &word(1, 30)).unwrap();
    let mut history = History::default();
    let edit = proposal.edit(&document, &proposal.accept_all()).unwrap();
    assert!(matches!(edit, Edit::Several(_)));
    let now = "2026-01-31T12:00:00Z".parse().unwrap();
    history.apply(&mut document, edit, now).unwrap();
    assert_eq!((document.regions.len(), document.conversations.len()), (1, 1));
    history.undo(&mut document, now).unwrap();
    assert_eq!((document.regions.len(), document.conversations.len()), (0, 0));
}
