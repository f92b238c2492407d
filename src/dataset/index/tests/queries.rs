//! What an index says, and what filters find.

use super::*;

#[test]
fn an_index_knows_what_sidecars_say() {
    let sample = Sample::new(&[
        "img10.png",
        "img2.png",
        "sub/a.jpg",
        "img1.PNG",
        "none.txt",
        ".hidden.png",
    ]);
    sample.annotate(
        "img2.png",
        &document(
            Status::Done,
            &[("dent", 0.9), ("dent", 0.7), ("rust", 0.8)],
            "Deep",
        ),
    );
    sample.annotate("sub/a.jpg", &document(Status::Approved, &[("rust", 1.0)], ""));
    sample.write("img1.PNG.samtok.json", b"{}");
    sample.write("missing.png.samtok.json", b"{}");
    let mut index = sample.index();
    assert_eq!(
        index.file(),
        Some(&*fs::canonicalize(sample.index_file()).unwrap())
    );
    let all = index.select(&Filter::default()).unwrap();
    let rows = index.page(&all, 0..100).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["img1.PNG", "img2.png", "img10.png", "sub/a.jpg"]);
    let (broken, two) = (&rows[0], &rows[1]);
    assert!(
        broken.problem.as_ref().unwrap().contains("samtok-annotation"),
        "{broken:?}"
    );
    assert_eq!(
        (two.status, two.regions, two.captions),
        (Some(Status::Done), 3, 3)
    );
    assert_eq!((two.conversations, two.image_bytes), (1, Some(5)));
    assert!((two.lowest_iou.unwrap() - 0.7).abs() < 1e-6);
    assert_eq!(
        (rows[2].has_sidecar, rows[2].is_read, rows[2].status),
        (false, true, None)
    );
    assert_eq!((all.position(rows[2].id), all.len()), (Some(2), 4));
    assert_eq!(index.page(&all, 3..50).unwrap().len(), 1);
    assert_eq!(index.image("sub/a.jpg").unwrap().as_ref(), Some(&rows[3]));
    assert_eq!(index.image("sub/b.jpg").unwrap(), None);

    let counts = index.status_counts().unwrap();
    assert_eq!(counts.by_status, [(Status::Done, 1), (Status::Approved, 1)]);
    assert_eq!(
        (counts.without, counts.unread, counts.unreadable, counts.total()),
        (1, 0, 1, 4)
    );
    let label = |label: &str, images, regions| LabelCount {
        label: label.to_owned(),
        images,
        regions,
    };
    assert_eq!(
        index.labels().unwrap(),
        [label("dent", 1, 2), label("rust", 2, 2)]
    );
    let code = |depth, code, regions| CodeCount {
        fingerprint: "abc".to_owned(),
        depth,
        code,
        regions,
    };
    assert_eq!(
        index.codes().unwrap(),
        [code(0, 7, 4), code(1, 0, 2), code(1, 1, 1), code(1, 2, 1)]
    );
}

#[test]
fn filters_find_what_they_say() {
    let sample = Sample::new(&["a1.png", "a2.png", "a10.png", "b/宽划痕.png", "b/c.png"]);
    sample.annotate(
        "a1.png",
        &document(Status::Done, &[("dent", 0.9)], "A DEEP  scratch"),
    );
    sample.annotate(
        "a2.png",
        &document(Status::Draft, &[("Dent", 0.5)], "左边的划痕有多深"),
    );
    sample.annotate("b/c.png", &document(Status::Done, &[], ""));
    sample.write("a10.png.samtok.json", b"broken");
    let mut index = sample.index();
    let (chinese, empty) = ("b/宽划痕.png", Vec::new());
    let cases: [(&str, Vec<&str>); 31] = [
        ("", vec!["a1.png", "a2.png", "a10.png", "b/c.png", chinese]),
        ("status:done", vec!["a1.png", "b/c.png"]),
        ("status:done status:draft", vec!["a1.png", "a2.png", "b/c.png"]),
        ("status:rejected", empty.clone()),
        ("label:dent", vec!["a1.png"]),
        ("label:nothing", empty.clone()),
        ("is:empty", vec!["b/c.png", chinese]),
        ("is:annotated", vec!["a1.png", "a2.png"]),
        ("is:unreadable", vec!["a10.png"]),
        ("iou:0.6", vec!["a2.png"]),
        ("iou:0.5", empty.clone()),
        ("deep", vec!["a1.png"]),
        ("\"deep scratch\"", vec!["a1.png"]),
        ("scratch deep", vec!["a1.png"]),
        ("\"scratch deep\"", empty.clone()),
        // The end of one text and the beginning of the next.
        ("\"scratch dent\"", empty.clone()),
        ("DENT", vec!["a1.png", "a2.png"]),
        ("ep", vec!["a1.png"]),
        ("划痕", vec!["a2.png", chinese]),
        ("痕有", vec!["a2.png"]),
        ("痕", vec!["a2.png", chinese]),
        ("痕划", empty.clone()),
        ("note status:done", vec!["a1.png", "b/c.png"]),
        ("b/", vec!["b/c.png", chinese]),
        ("a1", vec!["a1.png", "a10.png"]),
        ("<A1.*png$>", vec!["a1.png", "a10.png"]),
        ("<a1.*png$> is:annotated", vec!["a1.png"]),
        ("#3", vec!["a10.png"]),
        ("#0", empty.clone()),
        ("#6", empty.clone()),
        ("% \" * ' [", empty),
    ];
    for (typed, expected) in cases {
        assert_eq!(find(&mut index, typed), expected, "{typed}");
    }
}

#[test]
fn neighbours_are_found_from_anywhere() {
    let sample = Sample::new(&["1.png", "2.png", "3.png", "10.png"]);
    sample.annotate("2.png", &document(Status::Done, &[], ""));
    sample.annotate("10.png", &document(Status::Done, &[], ""));
    let mut index = sample.index();
    let done = Filter::parse("status:done").unwrap();
    let mut neighbour = |filter: &Filter, name: &str, direction| {
        index
            .neighbour(filter, name, direction)
            .unwrap()
            .map(|row| row.name)
    };
    use Direction::{Next, Previous};
    assert_eq!(neighbour(&done, "1.png", Next).unwrap(), "2.png");
    assert_eq!(neighbour(&done, "2.png", Next).unwrap(), "10.png");
    assert_eq!(neighbour(&done, "3.png", Previous).unwrap(), "2.png");
    assert_eq!(neighbour(&done, "10.png", Next), None);
    assert_eq!(
        neighbour(&Filter::default(), "2a, not there.png", Next).unwrap(),
        "3.png"
    );
    assert_eq!(
        neighbour(&Filter::parse("<3>").unwrap(), "10.png", Previous).unwrap(),
        "3.png"
    );
}

#[test]
fn any_name_is_indexed() {
    let long = format!("{}.png", "长".repeat(83));
    let path = [
        "a".repeat(200),
        "b".repeat(200),
        "c".repeat(200),
        "d.png".to_owned(),
    ]
    .join("/");
    let odd = [
        "naïve é.png",
        "e\u{301}.png",
        "🦀.jpg",
        "%_'\"[*].png",
        "a\u{202e}b.png",
        " .png",
        "x.tar.PNG",
    ];
    let mut all: Vec<&str> = odd.to_vec();
    all.extend([long.as_str(), path.as_str()]);
    let sample = Sample::new(&all);
    for name in odd {
        sample.annotate(name, &document(Status::Done, &[(name, 0.9)], name));
    }
    let mut index = sample.index();
    assert_eq!(
        index.status_counts().unwrap().by_status,
        [(Status::Done, odd.len())]
    );
    for name in all {
        let filter = Filter {
            texts: vec![name.to_owned()],
            ..Filter::default()
        };
        assert!(
            names(&mut index, &filter).iter().any(|found| found == name),
            "{name}"
        );
    }
}
