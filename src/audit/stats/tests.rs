//! The numbers of a small folder, and that every form of them holds what users wrote without harm.

use std::fs;
use std::ops::ControlFlow;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::dataset::{Caption, Conversation, ImageRef, MaskWords, Region, Turn, format};
use crate::geometry::{ImageSize, PixelRect};
use crate::mask::Mask;

const SIZE: ImageSize = ImageSize::new(200, 150);
/// What must not become markup, a second field or a second row.
const NASTY: &str = "</style><script>alert(\"1\")</script>,\r\n'\u{7}";

fn region(id: &str, label: &str, mask: PixelRect, codes: Option<[u32; 2]>) -> Region {
    let mask = Mask::from_rects(SIZE, &[mask]).unwrap().to_rle();
    let mut region = Region::new(id.to_owned(), mask);
    region.label = label.to_owned();
    region.words = codes.map(|codes| {
        MaskWords::new(
            String::new(),
            codes.into(),
            "T1".to_owned(),
            Some(0.75),
            &region.mask.rle,
        )
    });
    region
}

fn write(folder: &TempDir, name: &str, document: &Document) {
    fs::write(folder.path().join(name), "x").unwrap();
    fs::write(
        folder.path().join(format!("{name}.samtok.json")),
        format::write(document).unwrap(),
    )
    .unwrap();
}

/// Three annotated images, one of them empty, one without annotations, one with a broken sidecar.
fn sample() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let document = |name: &str| {
        let mut document = Document::new(ImageRef::new(Path::new(name), SIZE, None));
        document.tokenizer_id(NASTY, "f0f1f2f3f4f5f6f7", 256, 2);
        document
    };
    let mut first = document("a.png");
    first.modified = "2026-01-31T23:59:59Z".parse().ok();
    first.status = Status::Done;
    first.regions = vec![
        region("r1", "cat", PixelRect::new(0, 0, 100, 100), Some([7, 1])),
        region("r2", "cat", PixelRect::new(0, 0, 100, 2), Some([7, 2])),
        region("r3", NASTY, PixelRect::new(9, 9, 32, 32), Some([8, 300])),
    ];
    first.regions[0].captions = vec![
        Caption::new("a big cat".to_owned(), Some("human".to_owned())),
        Caption::new(NASTY.to_owned(), None),
    ];
    first.regions[0].attributes.insert(NASTY.to_owned(), json!(NASTY));
    first.regions[1].attributes.insert("age".to_owned(), json!(3));
    first.regions[1].source = "brush".to_owned();
    first.regions[1]
        .unknown
        .insert("reviewer".to_owned(), json!("Ada"));
    first.regions[1].words.as_mut().unwrap().mask_blake3 = String::new();
    write(&folder, "a.png", &first);
    let mut second = document("b.png");
    second.modified = "2026-02-01T00:00:00Z".parse().ok();
    second.regions = vec![
        region("r1", "cat", PixelRect::new(0, 0, 0, 0), None),
        region("r2", "", PixelRect::new(5, 5, 1, 1), None),
    ];
    let mut conversation = Conversation::new("c1".to_owned(), Task::NoTarget);
    conversation.turns = vec![
        Turn::new(Role::User, "Where is the dog?".to_owned()),
        Turn::new(Role::Assistant, "No target.".to_owned()),
    ];
    second.conversations.push(conversation);
    write(&folder, "b.png", &second);
    write(&folder, "c.png", &document("c.png"));
    fs::write(folder.path().join("d.png"), "x").unwrap();
    fs::write(folder.path().join("e.png.samtok.json"), "{").unwrap();
    folder
}

fn counted(folder: &Path) -> Stats {
    stats(
        folder,
        StatsOptions::default(),
        &mut |_| ControlFlow::Continue(()),
    )
    .unwrap()
}

#[test]
fn a_folder_is_counted() {
    let folder = sample();
    let stats = counted(folder.path());
    let json = stats.to_json();
    let expect =
        |pointer: &str, expected: Value| assert_eq!(json.pointer(pointer), Some(&expected), "{pointer}");
    expect("/is_complete", json!(true));
    expect(
        "/images",
        json!({"total": 5, "annotated": 3, "not_annotated": 1, "unreadable_sidecars": 1, "missing_images": 1}),
    );
    expect("/regions", json!(5));
    expect("/captions", json!(2));
    expect("/conversations", json!(1));
    expect(
        "/regions_per_image",
        json!({"count": 3, "min": 0, "median": 2, "mean": 1.6667, "p90": 3, "max": 3, "counts": [[0, 1], [2, 1], [3, 1]]}),
    );
    expect(
        "/classes/0",
        json!({"label": "cat", "regions": 3, "images": 2, "area_px": 10200, "mean_area_px": 3400.0,
            "sizes": {"empty": 1, "small": 1, "medium": 0, "large": 1}}),
    );
    expect("/classes/1/label", json!(""));
    expect("/classes/2/label", json!(NASTY));
    expect("/sizes", json!({"empty": 1, "small": 2, "medium": 1, "large": 1}));
    expect("/areas_log2", json!([[0, 1], [7, 1], [10, 1], [13, 1]]));
    expect("/thinness/0", json!({"from": 1, "regions": 3}));
    expect("/thinness/5", json!({"from": 32, "regions": 1}));
    expect("/words/fresh", json!(2));
    expect("/words/stale", json!(1));
    expect("/words/missing", json!(2));
    let model = &json["words"]["models"][0];
    assert_eq!((&model["regions"], &model["unfit"]), (&json!(3), &json!(1)));
    assert_eq!(model["depths"][0]["counts"], json!([[7, 2]]));
    assert_eq!(model["depths"][1]["rare_codes"], json!([1, 2]));
    assert_eq!(
        (&model["depths"][1]["unused"], &model["depths"][1]["perplexity"]),
        (&json!(254), &json!(2.0))
    );
    expect("/iou/median", json!(0.75));
    expect("/iou/bins_of_0.05/15", json!(3));
    expect("/texts/user_turn/words/counts", json!([[4, 1]]));
    expect("/texts/assistant_turn/characters/counts", json!([[10, 1]]));
    expect("/tasks/no_target", json!(1));
    expect(
        "/statuses/images",
        json!({"draft": 2, "done": 1, "approved": 0, "rejected": 0}),
    );
    expect("/statuses/regions/draft", json!(5));
    expect(
        "/authors/names",
        json!([{"name": "", "count": 1}, {"name": "human", "count": 1}]),
    );
    expect("/reviewers/names", json!([{"name": "Ada", "count": 1}]));
    expect(
        "/sources/names",
        json!([{"name": "", "count": 4}, {"name": "brush", "count": 1}]),
    );
    expect("/attributes/age/names", json!([{"name": "3", "count": 1}]));
    expect("/days", json!({"2026-01-31": 1, "2026-02-01": 1}));
}

/// The rows of an RFC 4180 file.
fn parsed(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {
                assert_eq!(chars.next(), Some('\n'));
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            c => field.push(c),
        }
    }
    assert!(
        !quoted && row.is_empty() && field.is_empty(),
        "{text:?} ends with a line"
    );
    rows
}

#[test]
fn tables_are_read_back_whole() {
    let folder = sample();
    let files = counted(folder.path()).to_csv();
    let names: Vec<&str> = files.iter().map(|file| file.name).collect();
    assert_eq!(names, CsvFile::NAMES);
    for file in &files {
        let rows = parsed(&file.text);
        assert!(rows.len() > 1, "{} has nothing in it", file.name);
        assert!(
            rows.iter().all(|row| row.len() == rows[0].len()),
            "{}: {rows:?}",
            file.name
        );
    }
    let rows = |name: &str| parsed(&files.iter().find(|file| file.name == name).unwrap().text);
    assert_eq!(
        rows("classes.csv")[1],
        ["cat", "3", "2", "10200", "1", "1", "0", "1"]
    );
    assert_eq!(rows("classes.csv")[3][0], NASTY);
    assert_eq!(rows("attributes.csv")[1], [NASTY, NASTY, "1"]);
    assert_eq!(rows("codes.csv")[1], ["f0f1f2f3f4f5f6f7", "0", "7", "2"]);
    assert_eq!(rows("iou.csv"), [["iou", "regions"], ["0.7500", "3"]]);
}

#[test]
fn the_page_stands_alone_and_nothing_of_the_user_is_markup() {
    let folder = sample();
    let page = counted(folder.path()).to_html("<My> folder & more");
    assert!(
        page.contains("<title>&lt;My&gt; folder &amp; more"),
        "the title is escaped"
    );
    assert!(
        page.contains("&lt;script&gt;alert(&quot;1&quot;)"),
        "the label is there"
    );
    for foreign in [
        "<script", "http:", "https:", "url(", "@import", "<link", "<img", "\u{7}", "NaN", "inf\"",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    // Every element that is opened is closed, in order.
    let mut open = Vec::new();
    let body = &page[page.find("<body>").unwrap()..];
    for tag in body.split('<').skip(1) {
        let name: String = tag
            .chars()
            .take_while(|c| !c.is_whitespace() && *c != '>')
            .collect();
        let whole = &tag[..tag.find('>').expect("every tag ends")];
        if let Some(name) = name.strip_prefix('/') {
            if name != "html" {
                assert_eq!(open.pop().as_deref(), Some(name), "before {tag}");
            }
        } else if !whole.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn an_empty_folder_has_a_page_too() {
    let folder = tempfile::tempdir().unwrap();
    let stats = counted(folder.path());
    let page = stats.to_html("empty");
    assert!(
        page.contains("No round trip was recorded") && !page.contains("NaN"),
        "{page}"
    );
    assert_eq!(stats.to_json()["regions"], json!(0));
    assert!(stats.to_csv().iter().all(|file| !file.text.is_empty()));
}

#[test]
fn huge_claims_cost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut document = Document::new(ImageRef::new(Path::new("a.png"), SIZE, None));
    document.tokenizer_id("big", "f0", u32::MAX, u32::MAX);
    document.tokenizer_id("wide", "f1", 50_000_000, 2);
    document.regions = vec![
        region("r1", "", PixelRect::new(0, 0, 9, 9), Some([1, 2])),
        region("r2", "", PixelRect::new(0, 0, 9, 8), Some([49_999_999, 0])),
    ];
    document.regions[1].words.as_mut().unwrap().tokenizer = "T2".to_owned();
    write(&folder, "a.png", &document);
    let stats = counted(folder.path());
    let json = stats.to_json();
    assert_eq!(json.pointer("/words/models/0/unfit"), Some(&json!(1)));
    assert_eq!(
        json.pointer("/words/models/1/depths/0/unused"),
        Some(&json!(49_999_999))
    );
    assert!(stats.to_html("x").len() < 1 << 20);
}
