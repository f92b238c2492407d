//! Every published template and answer form that has a task, written out.

use std::collections::BTreeSet;

use super::super::record::Kind;
use super::super::sample::{SameWords, Studio, captioned, document, spelled, spoken, with};
use super::super::templates::Templates;
use crate::dataset::{Document, MaskWords, Role, Status, Task, Turn};

/// Enough that each of sixteen wordings is met.
const SEEDS: u64 = 200;

/// All questions and all answers of the only record of `document` in a form, over many seeds.
fn wordings(document: &Document, task: &str, form: &str) -> (Kind, BTreeSet<String>, BTreeSet<String>) {
    let templates = Templates::only(task, form);
    let studio = Studio::new();
    let (mut kinds, mut questions, mut answers) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for seed in 0..SEEDS {
        let (records, notes) = studio.spoken(document, &templates, seed, false, Some(&mut SameWords::new()));
        let of_kind: Vec<_> = match task {
            "zoom_in" => records
                .into_iter()
                .filter(|(kind, _)| *kind == Kind::ZoomIn)
                .collect(),
            _ => records
                .into_iter()
                .filter(|(kind, _)| *kind != Kind::ZoomIn)
                .collect(),
        };
        let [(kind, turns)] = of_kind.as_slice() else {
            panic!("{task} {form}: {of_kind:?} {notes:?}")
        };
        let [.., question, answer] = turns.as_slice() else {
            panic!("{turns:?}")
        };
        kinds.push(*kind);
        questions.insert(question.clone());
        answers.insert(answer.clone());
    }
    kinds.dedup();
    assert_eq!(kinds.len(), 1);
    (kinds[0], questions, answers)
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| spelled(text)).collect()
}

const DAM: [&str; 9] = [
    "<image>\nGiven a detailed description of this region CUP.",
    "<image>\nProvide a thorough description of this region CUP.",
    "<image>\nDescribe the region CUP in detail.",
    "<image>\nProvide detailed information about this region CUP.",
    "<image>\nProvide a detailed caption of this region CUP.",
    "<image>\nCUP\nGive a detailed description of the masked region.",
    "<image>\nCUP\nProvide a detailed description of the masked region.",
    "<image>\nCUP\nDescribe the masked area comprehensively.",
    "<image>\nCUP\nWhat are the details of the masked area?",
];

#[test]
fn region_captions() {
    let document = captioned(document(), "r1", "A white cup on [[r2]].");
    let (kind, questions, answers) = wordings(&document, "region_caption", "dam");
    assert_eq!((kind, questions), (Kind::RegionCaption, set(&DAM)));
    assert_eq!(answers, set(&["A white cup on PLATE."]));
    let asked = with(
        self::document(),
        Task::DetailedCaption,
        &["[[r1]]", "A white cup."],
    );
    let (kind, questions, _) = wordings(&asked, "region_caption", "dam");
    assert_eq!((kind, questions), (Kind::DetailedCaption, set(&DAM)));
}

#[test]
fn zoom_in() {
    let document = captioned(document(), "r1", "A white cup.");
    let (kind, questions, answers) = wordings(&document, "zoom_in", "dam_zoom_in");
    let expected: BTreeSet<String> = DAM
        .iter()
        .map(|question| {
            spelled(&format!(
                "{question} Zoom in with the perspective as <image>, ZOOM."
            ))
        })
        .collect();
    assert_eq!((kind, questions), (Kind::ZoomIn, expected));
    assert_eq!(answers, set(&["A white cup."]));
    let large = captioned(self::document(), "r3", "A man.");
    let (records, notes) = spoken(
        &large,
        &Templates::default(),
        0,
        false,
        Some(&mut SameWords::new()),
    );
    assert_eq!(records.len(), 1, "the man is too large for a crop");
    assert_eq!(notes.losses().count(), 0);
}

#[test]
fn captions_of_several_regions() {
    let cases = [
        ("[[r1]], [[r2]]", "CUP and PLATE"),
        ("[[r1]], [[r2]] and [[r3]].", "CUP, PLATE, and MAN"),
    ];
    for (question, masks) in cases {
        let document = with(document(), Task::DetailedCaption, &[question, "[[r1]] is a cup."]);
        let (kind, questions, answers) = wordings(&document, "regions_caption", "multi_region");
        let expected = format!(
            "<image>\nCould you please give me a detailed description of the following regions? {masks}. Please \
             respond with interleaved segmentation masks for the corresponding parts of the answer."
        );
        assert_eq!((kind, questions), (Kind::DetailedCaption, set(&[&expected])));
        assert_eq!(answers, set(&["CUP is a cup."]));
    }
}

#[test]
fn region_questions() {
    let turns = ["What is on [[r2]]?", "A cup.", "And [[r2]] itself?", "A plate."];
    let one = with(document(), Task::RegionQa, &turns[..2]);
    let (records, _) = spoken(&one, &Templates::default(), 0, false, None);
    let expected = ["<image>\nWhat is on PLATE?", "A cup."].map(spelled).to_vec();
    assert_eq!(records, [(Kind::RegionQa, expected)]);

    let several = [
        "What is [[r1]] to [[r2]]?",
        "[[r1]] stands on [[r2]], near [[r3]].",
        "Is [[r1]] full?",
        "Yes.",
    ];
    let several = with(document(), Task::RegionQa, &several);
    let (records, _) = spoken(
        &several,
        &Templates::default(),
        0,
        false,
        Some(&mut SameWords::new()),
    );
    let answers = [
        "<Prompt0> stands on <Prompt1>, near MAN.",
        "Is <Prompt0> full?",
        "Yes.",
    ];
    let plain = ["<image>\nWhat is <Prompt0>CUP to <Prompt1>PLATE?"];
    let zoomed = ["<image>\nWhat is <Prompt0>CUP to <Prompt1>PLATE? Zoom in <Prompt0>: <image>, ZOOM."];
    let expected = |question: [&str; 1]| {
        question
            .iter()
            .chain(&answers)
            .map(|text| spelled(text))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        records,
        [
            (Kind::RegionQa, expected(plain)),
            (Kind::RegionQaZoomIn, expected(zoomed))
        ]
    );
}

const BRIEF: [&str; 6] = [
    "<image>\nCould you please give me a brief description of the image? Please respond with interleaved segmentation masks for the corresponding parts of the answer.",
    "<image>\nCan you provide a brief description of the this image? Please output with interleaved segmentation masks for the corresponding phrases.",
    "<image>\nPlease briefly describe the contents of the image. Please respond with interleaved segmentation masks for the corresponding parts of the answer.",
    "<image>\nCould you give a brief explanation of what can be found within this picture? Please output with interleaved segmentation masks for the corresponding phrases.",
    "<image>\nCould you give me an brief explanation of this picture? Please respond with interleaved segmentation masks for the corresponding phrases.",
    "<image>\nCould you provide me with a briefly analysis of this photo? Please output with interleaved segmentation masks for the corresponding parts of the answer.",
];

fn varied(change: impl Fn(&str) -> String) -> BTreeSet<String> {
    BRIEF.iter().map(|question| change(question)).collect()
}

#[test]
fn grounded_captions() {
    const TASK: &str = "grounded_caption";
    let text = "<p>A man</p> [[r3]] looks at <p> a cup and a plate </p> [[r1]], [[r2]].";
    let document = with(document(), Task::GroundedCaption, &["", text]);
    let (kind, questions, answers) = wordings(&document, TASK, "gcg_brief");
    assert_eq!((kind, questions), (Kind::GroundedCaption, set(&BRIEF)));
    let tagged = "<|object_ref_start|> A man <|object_ref_end|> MAN looks at <|object_ref_start|> a cup and a plate \
                  <|object_ref_end|> CUP PLATE.";
    assert_eq!(answers, set(&[tagged]));
    let (_, questions, answers) = wordings(&document, TASK, "png");
    assert_eq!(
        questions,
        set(&[
            "<image>\nDo panoptic narrative grounding for this image.",
            "<image>\nDescribe this image and provide corresponding masks for mentioned nouns.",
        ])
    );
    assert_eq!(
        answers,
        set(&["A man (MAN) looks at a cup and a plate (CUP, PLATE)."])
    );

    let detail = with(
        self::document(),
        Task::GroundedCaption,
        &["", "[[r1]] is white. The plate [[r2]] is too."],
    );
    let (_, questions, answers) = wordings(&detail, TASK, "gcg_detail");
    assert_eq!(questions, varied(|question| question.replace("brief", "detail")));
    let by_labels = "<|object_ref_start|> cup <|object_ref_end|> CUP is white. <|object_ref_start|> The plate \
                     <|object_ref_end|> PLATE is too.";
    assert_eq!(answers, set(&[by_labels]));

    let mut nameless = detail;
    nameless.regions[0].label.clear();
    let (_, questions, answers) = wordings(&nameless, TASK, "dense_detail");
    let no_tags = " Do not use \"<|object_ref_start|>...<|object_ref_end|>\" tags.";
    assert_eq!(
        questions,
        varied(|question| question.replace("brief", "detail") + no_tags)
    );
    assert_eq!(answers, set(&["CUP is white. The plate PLATE is too."]));
    let mut nameless = document;
    for region in &mut nameless.regions {
        region.label.clear();
    }
    nameless.conversations[0].turns[1].text = "[[r1]] on [[r2]]".to_owned();
    let (_, questions, answers) = wordings(&nameless, TASK, "dense_brief");
    assert_eq!(questions, varied(|question| question.to_owned() + no_tags));
    assert_eq!(answers, set(&["CUP on PLATE"]));
}

#[test]
fn grounded_captions_for_rewards_highlight_phrases() {
    let document = with(document(), Task::GroundedCaption, &["", "A man [[r3]]."]);
    let expected =
        varied(|question| question.strip_suffix('.').unwrap().to_owned() + " and highlight the phrases.");
    let mut questions = BTreeSet::new();
    let studio = Studio::new();
    for seed in 0..SEEDS {
        let (records, _) = studio.spoken(&document, &Templates::default(), seed, true, None);
        questions.insert(records[0].1[0].clone());
        assert_eq!(
            records[0].1[1],
            spelled("<|object_ref_start|> A man <|object_ref_end|> MAN.")
        );
    }
    assert_eq!(questions, expected);
}

const RES: [&str; 16] = [
    "<image>\nCan you segment the red cup in this image?",
    "<image>\nPlease segment red cup in this image.",
    "<image>\nWhat is red cup in this image? Please respond with segmentation mask.",
    "<image>\nWhat is red cup in this image? Please output segmentation mask.",
    "<image>\nCould you provide a segmentation mask for the red cup in this image?",
    "<image>\nPlease identify and segment the red cup in this image.",
    "<image>\nWhere is the red cup in this picture? Please respond with a segmentation mask.",
    "<image>\nCan you highlight the red cup in this image with a segmentation mask?",
    "<image>\nCan you segment the red cup in this image",
    "<image>\nPlease segment red cup in this image",
    "<image>\nWhat is red cup in this image? Please respond with segmentation mask",
    "<image>\nWhat is red cup in this image? Please output segmentation mask",
    "<image>\nCould you provide a segmentation mask for the red cup in this image",
    "<image>\nPlease identify and segment the red cup in this image",
    "<image>\nWhere is the red cup in this picture? Please respond with a segmentation mask",
    "<image>\nCan you highlight the red cup in this image with a segmentation mask",
];

/// The published sentences around one mask.
const V1: [&str; 5] = [
    "It is CUP.",
    "Sure, CUP.",
    "Sure, it is CUP.",
    "Sure, the segmentation result is CUP.",
    "CUP.",
];

#[test]
fn referring_expressions() {
    const TASK: &str = "referring_segmentation";
    let document = with(document(), Task::ReferringSegmentation, &["red cup", "[[r1]]"]);
    let (kind, questions, answers) = wordings(&document, TASK, "v2");
    assert_eq!((kind, questions), (Kind::ReferringSegmentation, set(&RES)));
    assert_eq!(
        answers,
        set(&["```json\n[{\"mask_2d\": \"CUP\", \"label\": \"red cup\"}]\n```"])
    );
    let (_, questions, answers) = wordings(&document, TASK, "v1");
    assert_eq!((questions, answers), (set(&RES), set(&V1)));
    let (_, questions, answers) = wordings(&document, TASK, "denseworld");
    assert_eq!(
        questions,
        set(&[
            "<image>\nLocate the object described as: red cup. Return its segmentation mask.",
            "<image>\nFind \"red cup\" in the image and output the pixel mask.",
            "<image>\nSegment the region corresponding to \"red cup\". Provide the mask only.",
            "<image>\nFrom the image, extract the mask for \"red cup\".",
        ])
    );
    assert_eq!(answers, set(&V1));
}

#[test]
fn referring_answers_as_they_are_written() {
    let list = |items: &[(&str, &str)]| {
        let items: Vec<String> = items
            .iter()
            .map(|(mask, label)| format!("{{\"mask_2d\": \"{mask}\", \"label\": \"{label}\"}}"))
            .collect();
        format!("```json\n[{}]\n```", items.join(",\n"))
    };
    let cases = [
        // Several targets are sorted by the centres of their boxes, x then y.
        (
            "Please segment the things in this image.",
            "[[r3]], [[r1]] and [[r2]]",
            "Please segment the things in this image.",
            list(&[
                ("PLATE", "one of the things"),
                ("CUP", "one of the things"),
                ("MAN", "one of the things"),
            ]),
        ),
        (
            "Can you segment the cup in this image?",
            "Sure, it is [[r1]].",
            "Can you segment the cup in this image?",
            list(&[("CUP", "cup")]),
        ),
        // A question of one's own says nothing that could be a label, so the regions' labels are taken.
        (
            "What can I drink from?",
            "[[r1]]",
            "What can I drink from?",
            list(&[("CUP", "cup")]),
        ),
        // An answer that says more is kept.
        (
            "Which is the cup?",
            "It is [[r1]], right of [[r2]].",
            "Which is the cup?",
            "It is CUP, right of PLATE.".to_owned(),
        ),
        // A list that was imported is kept, quoted or not.
        (
            "Which is the cup?",
            "```json\n[{\"mask_2d\": [[r1]], \"label\": \"cup\"}]\n```",
            "Which is the cup?",
            "```json\n[{\"mask_2d\": CUP, \"label\": \"cup\"}]\n```".to_owned(),
        ),
    ];
    for (question, answer, expected_question, expected_answer) in cases {
        let document = with(document(), Task::ReferringSegmentation, &[question, answer]);
        let (records, notes) = spoken(&document, &Templates::default(), 3, false, None);
        let expected = vec![format!("<image>\n{expected_question}"), spelled(&expected_answer)];
        assert_eq!(records, [(Kind::ReferringSegmentation, expected)], "{notes:?}");
    }
    let turns = ["cup", "[[r1]]", "the fork", "No target.", "plate", "[[r2]]"];
    let several = with(document(), Task::ReferringSegmentation, &turns);
    let (records, _) = spoken(
        &several,
        &Templates::only("referring_segmentation", "v2"),
        0,
        false,
        None,
    );
    let kinds: Vec<Kind> = records.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::ReferringSegmentation,
            Kind::NoTarget,
            Kind::ReferringSegmentation
        ]
    );
    assert!(
        records
            .iter()
            .all(|(_, turns)| turns.len() == 2 && turns[0].starts_with("<image>\n"))
    );
}

#[test]
fn expressions_without_a_target() {
    for answer in [
        &["red cup"][..],
        &["red cup", "no target"],
        &["red cup", "There is none."],
    ] {
        let document = with(document(), Task::NoTarget, answer);
        let (records, _) = spoken(&document, &Templates::default(), 0, false, None);
        if answer.last() == Some(&"There is none.") {
            assert_eq!(records[0].1[1], "No target.");
            continue;
        }
        let (kind, questions, answers) = wordings(&document, "no_target", "gres");
        assert_eq!(
            (kind, questions, answers),
            (Kind::NoTarget, set(&RES), set(&["No target."]))
        );
    }
}

#[test]
fn reasoning() {
    const TASK: &str = "reasoning_segmentation";
    let sentence = with(
        document(),
        Task::ReasoningSegmentation,
        &["What holds coffee?", "[[r1]]"],
    );
    let (kind, questions, answers) = wordings(&sentence, TASK, "reasonseg_sentence");
    let asked = [
        "Please respond with segmentation mask.",
        "Please output segmentation mask.",
    ];
    let expected = |suffixes: &[&str]| -> BTreeSet<String> {
        suffixes
            .iter()
            .map(|suffix| format!("<image>\nWhat holds coffee? {suffix}"))
            .collect()
    };
    assert_eq!((kind, questions), (Kind::ReasoningSegmentation, expected(&asked)));
    assert_eq!(answers, set(&V1));

    let phrase = with(
        document(),
        Task::ReasoningSegmentation,
        &["coffee holders", "[[r1]], [[r2]]"],
    );
    let (_, questions, answers) = wordings(&phrase, TASK, "reasonseg_phrase");
    assert_eq!(
        questions,
        set(&[
            "<image>\nCan you segment the coffee holders in this image?",
            "<image>\nPlease segment the coffee holders in this image.",
            "<image>\nWhat is coffee holders in this image? Please respond with segmentation mask.",
            "<image>\nWhat is coffee holders in this image? Please output segmentation mask.",
        ])
    );
    assert_eq!(
        answers,
        V1.iter()
            .map(|answer| spelled(&answer.replace("CUP", "CUP, PLATE")))
            .collect()
    );

    let several = with(
        document(),
        Task::ReasoningSegmentation,
        &["What holds coffee?", "[[r1]], [[r2]], [[r3]]"],
    );
    let (_, questions, answers) = wordings(&several, TASK, "muse");
    let seven = [
        asked[0],
        asked[1],
        "Provide the segmentation mask.",
        "Output the segmentation mask.",
        "Please show the segmentation mask.",
        "I'd appreciate segmentation masks.",
        "Please highlight the segmentation mask.",
    ];
    assert_eq!(questions, expected(&seven));
    assert_eq!(
        answers,
        set(&[
            "cup, plate, man are CUP, PLATE and MAN, separately.",
            "Sure, the segmentation result of cup, plate, man are CUP, PLATE and MAN.",
        ])
    );
    let (_, questions, answers) = wordings(&several, TASK, "lisa_plus");
    assert_eq!(
        (questions, answers),
        (set(&["<image>\nWhat holds coffee?"]), set(&["CUP, PLATE, MAN"]))
    );
    let (_, questions, answers) = wordings(&sentence, TASK, "visual7w");
    assert_eq!((questions, answers), (expected(&asked[..1]), set(&["CUP"])));

    // Chains of thought and answers in the annotator's own words have their mentions replaced and nothing else.
    let thought = "<think> Coffee needs [[r1]]. </think><answer> [[r1]] on [[r2]] </answer>";
    let own = with(
        document(),
        Task::ReasoningSegmentation,
        &["Which mask shows what holds coffee?", thought],
    );
    let (records, _) = spoken(&own, &Templates::default(), 0, false, None);
    let expected = [
        "<image>\nWhich mask shows what holds coffee?",
        "<think> Coffee needs CUP. </think><answer> CUP on PLATE </answer>",
    ];
    assert_eq!(records[0].1, expected.map(spelled));
}

#[test]
fn interactive_and_free_dialogues_repeat_the_words() {
    for (task, kind) in [(Task::Interactive, Kind::Interactive), (Task::Free, Kind::Free)] {
        let turns = ["Segment the cup.", "[[r1]]", "What is under [[r1]]?", "[[r2]]"];
        let (records, _) = spoken(
            &with(document(), task, &turns),
            &Templates::default(),
            0,
            false,
            None,
        );
        let expected = ["<image>\nSegment the cup.", "CUP", "What is under CUP?", "PLATE"];
        assert_eq!(records, [(kind, expected.map(spelled).to_vec())]);
    }
}

const PSG: [&str; 6] = [
    "Generate a scene graph for this image. Identify the main objects and describe their relationships to each other.",
    "Create a scene graph by identifying triplets of <subject, predicate, object>. Focus on the most prominent interactions.",
    "What objects are in this image and how are they interacting? List them as a scene graph.",
    "Generate a structured scene graph for the provided image.",
    "Your task is to generate a scene graph for the image.",
    "Generate a scene graph for this image and format the output as a list of JSON objects.",
];

#[test]
fn scene_graphs() {
    const TASK: &str = "scene_graph";
    let relations = "[[r1]] on [[r2]]\n- [[r3]] looking at [[r1]].";
    let document = with(document(), Task::SceneGraph, &["", relations]);
    let graph = "```json\n[{\"subject\": {\"mask_2d\": \"CUP\", \"label\": \"cup\"}, \"predicate\": \"on\", \"object\": \
                 {\"mask_2d\": \"PLATE\", \"label\": \"plate\"}},\n{\"subject\": {\"mask_2d\": \"MAN\", \"label\": \"man\"}, \
                 \"predicate\": \"looking at\", \"object\": {\"mask_2d\": \"CUP\", \"label\": \"cup\"}}]\n```";
    let categories = "CANDIDATE CATEGORIES: \n{cup, plate, man}\n";
    let predicates = "CANDIDATE PREDICATES: \n{on, looking at}\n";
    let prefixes = [
        ("v1", "<image>\n".to_owned()),
        ("v2", format!("<image>\n{categories}{predicates}")),
        (
            "v3",
            format!("<image>\n{categories}{predicates}Given masks: CUP, PLATE, MAN\n"),
        ),
        ("v4", predicates.to_owned()),
    ];
    for (form, prefix) in prefixes {
        let (kind, questions, answers) = wordings(&document, TASK, form);
        let expected = PSG
            .iter()
            .map(|question| spelled(&format!("{prefix}{question}")))
            .collect();
        assert_eq!(
            (kind, questions, answers),
            (Kind::SceneGraph, expected, set(&[graph])),
            "{form}"
        );
    }
    let (records, _) = spoken(&document, &Templates::only(TASK, "v4"), 0, false, None);
    let detected = "```json\n[{\"mask_2d\": \"PLATE\", \"label\": \"plate\"},\n{\"mask_2d\": \"CUP\", \"label\": \"cup\"},\n\
                    {\"mask_2d\": \"MAN\", \"label\": \"man\"}]\n```";
    let first =
        "<image>\nPlease carefully check the image and detect the following objects: {cup, plate, man}";
    assert_eq!(records[0].1[..2], [first.to_owned(), spelled(detected)]);

    let own = with(
        self::document(),
        Task::SceneGraph,
        &["Who looks at what?", "The man [[r3]] at [[r1]]."],
    );
    let (records, _) = spoken(&own, &Templates::default(), 0, false, None);
    assert_eq!(
        records[0].1,
        ["<image>\nWho looks at what?", "The man MAN at CUP."].map(spelled)
    );
}

#[test]
fn captions_of_the_image() {
    let asked = with(document(), Task::Caption, &["Describe it.", "A table."]);
    let (records, _) = spoken(&asked, &Templates::default(), 0, false, None);
    assert_eq!(
        records,
        [(
            Kind::Caption,
            vec!["<image>\nDescribe it.".to_owned(), "A table.".to_owned()]
        )]
    );
    let unasked = with(document(), Task::Caption, &["", "A table."]);
    let (records, _) = spoken(&unasked, &Templates::default(), 0, false, None);
    assert_eq!(
        records[0].1[0],
        "<image>\nCould you please give me a brief description of the image?"
    );
}

#[test]
fn what_cannot_be_used_is_left_out_and_said() {
    let change = |change: &dyn Fn(&mut Document)| {
        let mut document = with(document(), Task::Free, &["What is [[r1]]?", "A cup."]);
        change(&mut document);
        let (records, notes) = spoken(&document, &Templates::default(), 0, false, None);
        let notes: Vec<String> = notes.losses().map(|(what, ..)| what.to_owned()).collect();
        (records.len(), notes.join("; "))
    };
    type Case<'a> = (&'a dyn Fn(&mut Document), usize, &'a str);
    let cases: [Case<'_>; 11] = [
        (&|_| {}, 1, ""),
        (&|document| document.regions[0].words = None, 0, "no mask words"),
        (
            &|document| document.regions[0].words.as_mut().unwrap().mask_blake3.clear(),
            0,
            "changed after",
        ),
        (
            &|document| document.regions[0].words.as_mut().unwrap().codes[1] = 7,
            0,
            "not what its codes spell",
        ),
        (
            &|document| document.regions[0].words.as_mut().unwrap().codes[1] = 256,
            0,
            "not what its codes spell",
        ),
        (
            &|document| {
                let mask = crate::mask::Mask::empty(document.image.size).unwrap().to_rle();
                let region = &mut document.regions[0];
                region.words = region
                    .words
                    .take()
                    .map(|words| MaskWords::new(words.text, words.codes, words.tokenizer, None, &mask));
                region.mask.rle = mask;
            },
            0,
            "empty",
        ),
        (
            &|document| document.regions[0].status = Status::Rejected,
            0,
            "rejected",
        ),
        (
            &|document| document.conversations[0].status = Status::Rejected,
            0,
            "",
        ),
        (&|document| document.status = Status::Rejected, 0, ""),
        (&|document| document.conversations[0].turns.truncate(1), 0, ""),
        (
            &|document| document.conversations[0].turns.remove(0).text.clear(),
            0,
            "does not begin with a question",
        ),
    ];
    for (index, (edit, records, note)) in cases.into_iter().enumerate() {
        let (found, notes) = change(edit);
        assert!(
            found == records && notes.contains(note) && notes.is_empty() == note.is_empty(),
            "{index}: {found} {notes}"
        );
    }
}

#[test]
fn placeholders_and_turns_of_one_side_do_no_harm() {
    let mut document = with(document(), Task::Free, &["An <image>?", "Yes, <image>."]);
    let turns = &mut document.conversations[0].turns;
    turns.insert(1, Turn::new(Role::User, "Really?".to_owned()));
    turns.push(Turn::new(Role::User, "Unanswered".to_owned()));
    let (records, _) = spoken(&document, &Templates::default(), 0, false, None);
    assert_eq!(records[0].1, ["<image>\nAn < image>?\nReally?", "Yes, < image>."]);
}
