//! How an index follows its folder: in steps, by every way to learn of a change, and with others at work.

use std::process::Command;

use proptest::prelude::*;

use super::damage::large_sample;
use super::*;

#[test]
fn the_list_is_there_before_sidecars_are_read() {
    let names: Vec<String> = (0..300).map(|number| format!("{number}.png")).collect();
    let sample = Sample::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        sample.annotate(name, &document(Status::Done, &[("dent", 1.0)], "deep"));
    }
    let mut index = Index::open(&sample.folder(), None).unwrap();
    let mut indexer = Indexer::new(&sample.folder());
    let mut has_unread_list = false;
    loop {
        let progress = indexer.step(&mut index, Duration::ZERO).unwrap();
        let counts = index.status_counts().unwrap();
        has_unread_list |= counts.total() == 300 && counts.unread > 200;
        assert!(
            progress.total.is_none_or(|total| progress.done <= total),
            "{progress:?}"
        );
        if progress.stage == Stage::Idle {
            break;
        }
    }
    assert!(has_unread_list);
    assert_eq!(index.status_counts().unwrap().by_status, [(Status::Done, 300)]);
    assert_eq!(find(&mut index, "is:empty"), [""; 0]);
}

/// The three ways to learn of a change.
fn catch_up(index: &mut Index, indexer: &mut Indexer, way: usize, noted: &[PathBuf]) -> bool {
    match way {
        0 => indexer.rescan(Rescan::Everything),
        1 => indexer.rescan(Rescan::ChangedFolders),
        _ => noted.iter().for_each(|path| indexer.note_changed(path)),
    }
    run(index, indexer)
}

#[test]
fn changes_are_found_in_every_way() {
    for way in 0..3 {
        let sample = Sample::new(&["a.png", "b.png", "c.png", "sub/deep/d.png", "sub/e.png"]);
        sample.annotate("a.png", &document(Status::Done, &[("dent", 0.9)], "deep"));
        sample.annotate("b.png", &document(Status::Done, &[("rust", 0.9)], "deep"));
        let (mut index, mut indexer) = sample.open();
        assert!(
            !catch_up(&mut index, &mut indexer, way, &[]),
            "nothing changed, way {way}"
        );

        sample.annotate("c.png", &document(Status::Approved, &[], ""));
        sample.annotate("a.png", &document(Status::Rejected, &[("hole", 0.9)], "划痕"));
        sample.remove("b.png.samtok.json");
        sample.rename("sub/e.png", "sub/f.png");
        sample.write("new/folder/g.png", b"image");
        fs::remove_dir_all(sample.path("sub/deep")).unwrap();
        sample.settle(&sample.path("sub"));
        let changed = [
            "c.png.samtok.json",
            "a.png.samtok.json",
            "b.png.samtok.json",
            "sub/e.png",
            "sub/f.png",
        ];
        let mut noted: Vec<PathBuf> = changed.iter().map(|name| sample.path(name)).collect();
        noted.extend([sample.path("new"), sample.path("sub/deep")]);
        assert!(catch_up(&mut index, &mut indexer, way, &noted), "way {way}");
        let expected = ["a.png", "b.png", "c.png", "new/folder/g.png", "sub/f.png"];
        assert_eq!(names(&mut index, &Filter::default()), expected, "way {way}");
        assert_eq!(
            contents(&mut index),
            fresh_contents(&sample.folder()),
            "way {way}"
        );
        assert_eq!(find(&mut index, "deep"), [""; 0], "way {way}");
        // New folders are watched too.
        sample.write("new/folder/h.png", b"image");
        assert!(
            catch_up(&mut index, &mut indexer, way, &[sample.path("new/folder/h.png")]),
            "way {way}"
        );
        assert_eq!(find(&mut index, "h.png"), ["new/folder/h.png"], "way {way}");
    }
}

#[test]
fn a_change_within_the_same_tick_is_found() {
    let sample = Sample::new(&["a.png"]);
    let sidecar = sample.path("a.png.samtok.json");
    let now = SystemTime::now();
    for status in [Status::Draft, Status::Done, Status::Draft] {
        let mut document = document(status, &[], "");
        document.notes = "x".repeat(10 - status.as_str().len());
        fs::write(&sidecar, format::write(&document).unwrap()).unwrap();
        File::options()
            .append(true)
            .open(&sidecar)
            .unwrap()
            .set_modified(now)
            .unwrap();
        let mut index = sample.index();
        assert_eq!(index.image("a.png").unwrap().unwrap().status, Some(status));
    }
    let (mut index, mut indexer) = sample.open();
    let bytes = format::write(&document(Status::Approved, &[], "")).unwrap();
    fs::write(&sidecar, bytes).unwrap();
    indexer.rescan(Rescan::ChangedFolders);
    run(&mut index, &mut indexer);
    assert_eq!(
        index.image("a.png").unwrap().unwrap().status,
        Some(Status::Approved),
        "written in place"
    );
}

#[test]
fn an_unreadable_sidecar_is_reported_until_it_is_mended() {
    let sample = Sample::new(&["a.png", "b.png"]);
    sample.annotate("a.png", &document(Status::Done, &[("dent", 0.9)], "deep"));
    fs::create_dir(sample.path("b.png.samtok.json")).unwrap();
    let (mut index, mut indexer) = sample.open();
    assert_eq!(find(&mut index, "is:unreadable"), ["b.png"]);
    sample.write("a.png.samtok.json", b"{\"format\":");
    indexer.rescan(Rescan::Everything);
    run(&mut index, &mut indexer);
    assert_eq!(find(&mut index, "is:unreadable"), ["a.png", "b.png"]);
    assert_eq!(find(&mut index, "deep"), [""; 0]);
    assert!(index.labels().unwrap().is_empty());
    sample.annotate("a.png", &document(Status::Done, &[("dent", 0.9)], "deep"));
    indexer.note_changed(&sample.path("a.png.samtok.json"));
    run(&mut index, &mut indexer);
    assert_eq!(find(&mut index, "deep"), ["a.png"]);
}

#[test]
fn a_drive_that_went_away_has_not_lost_its_images() {
    let sample = Sample::new(&["photos/a.png", "photos/b/c.png"]);
    let folder = Folder::open(&sample.path("photos")).unwrap();
    let mut index = Index::open(&folder, None).unwrap();
    let mut indexer = Indexer::new(&folder);
    run(&mut index, &mut indexer);
    sample.rename("photos", "elsewhere");
    indexer.rescan(Rescan::Everything);
    indexer.note_changed(&sample.path("photos/a.png"));
    run(&mut index, &mut indexer);
    assert!(indexer.problems().count() > 0);
    sample.rename("elsewhere", "photos");
    indexer.rescan(Rescan::Everything);
    run(&mut index, &mut indexer);
    assert_eq!(names(&mut index, &Filter::default()), ["a.png", "b/c.png"]);
    assert_eq!(indexer.problems().count(), 0);
}

/// What the other process of `two_processes_share_an_index` works on.
const SHARED_FOLDER: &str = "SAMTOK_TEST_SHARED_FOLDER";

#[test]
fn two_processes_share_an_index() {
    let work = |folder: &Folder| {
        for _ in 0..6 {
            let mut index = Index::open(folder, None).unwrap();
            let mut indexer = Indexer::new(folder);
            for number in 0..5 {
                indexer.note_changed(&folder.path().join(format!("sub1/{}.png", number * 7 + 1)));
                run(&mut index, &mut indexer);
                index.select(&Filter::parse("deep").unwrap()).unwrap();
            }
            assert!(index.file().is_some(), "it was given up");
            assert_eq!(index.generation, 0, "it was made anew");
        }
    };
    if let Some(path) = std::env::var_os(SHARED_FOLDER) {
        work(&Folder::open(Path::new(&path)).unwrap());
        return;
    }
    let (sample, expected) = large_sample();
    fs::remove_dir_all(sample.path(".samtok")).unwrap();
    let module = module_path!().split_once("::").unwrap().1;
    let mut others: Vec<std::process::Child> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &format!("{module}::two_processes_share_an_index")])
                .env(SHARED_FOLDER, sample.temporary.path())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    work(&sample.folder());
    for other in &mut others {
        assert!(other.wait().unwrap().success());
    }
    assert_same(&contents(&mut sample.index()), &expected, "made anew");
}

#[test]
fn what_another_process_changed_is_told() {
    let sample = Sample::new(&["a.png"]);
    let (mut index, mut indexer) = sample.open();
    sample.annotate("a.png", &document(Status::Done, &[], ""));
    drop(sample.index());
    assert!(run(&mut index, &mut indexer));
    assert_eq!(find(&mut index, "status:done"), ["a.png"]);
    assert!(!run(&mut index, &mut indexer));
}

/// A change of a folder.
#[derive(Clone, Debug)]
enum Change {
    Image(usize),
    Annotate(usize, usize),
    Break(usize),
    Remove(usize),
    RemoveSidecar(usize),
    Rename(usize, usize),
}

const NAMES: [&str; 6] = ["a.png", "a1.png", "a10.png", "s/a.png", "s/t/b.png", "z/划痕.png"];

fn change() -> impl Strategy<Value = Change> {
    let name = 0..NAMES.len();
    prop_oneof![
        name.clone().prop_map(Change::Image),
        (name.clone(), 0..4_usize).prop_map(|(name, kind)| Change::Annotate(name, kind)),
        name.clone().prop_map(Change::Break),
        name.clone().prop_map(Change::Remove),
        name.clone().prop_map(Change::RemoveSidecar),
        (name.clone(), name).prop_map(|(from, to)| Change::Rename(from, to)),
    ]
}

impl Change {
    /// Makes the change, where it is possible, and says which files changed.
    fn make(&self, sample: &Sample) -> Vec<PathBuf> {
        let sidecar = |name: usize| format!("{}.samtok.json", NAMES[name]);
        let changed = match *self {
            Self::Image(name) => {
                sample.write(NAMES[name], b"another image");
                vec![NAMES[name].to_owned()]
            }
            Self::Annotate(name, kind) => {
                let labels = [("dent", 0.9), ("rust", 0.2), ("划痕", 1.0), ("", 0.5)];
                let text = ["deep", "", "左边的划痕", "a"][kind];
                sample.annotate(NAMES[name], &document(Status::ALL[kind], &labels[..kind], text));
                vec![sidecar(name)]
            }
            Self::Break(name) => {
                sample.write(&sidecar(name), b"{");
                vec![sidecar(name)]
            }
            Self::Remove(name) if sample.path(NAMES[name]).exists() => {
                sample.remove(NAMES[name]);
                vec![NAMES[name].to_owned()]
            }
            Self::RemoveSidecar(name) if sample.path(&sidecar(name)).exists() => {
                sample.remove(&sidecar(name));
                vec![sidecar(name)]
            }
            Self::Rename(from, to) if sample.path(NAMES[from]).exists() && from != to => {
                fs::create_dir_all(sample.path(NAMES[to]).parent().unwrap()).unwrap();
                sample.settle(sample.path(NAMES[to]).parent().unwrap());
                sample.rename(NAMES[from], NAMES[to]);
                vec![NAMES[from].to_owned(), NAMES[to].to_owned()]
            }
            _ => Vec::new(),
        };
        changed.iter().map(|name| sample.path(name)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: proptest_cases(), ..ProptestConfig::default() })]

    #[test]
    fn an_index_that_followed_is_as_one_made_anew(
        rounds in proptest::collection::vec((proptest::collection::vec(change(), 0..5), 0..3_usize), 1..4),
    ) {
        let sample = Sample::new(&["a.png", "s/a.png"]);
        let (mut index, mut indexer) = sample.open();
        for (changes, way) in rounds {
            let noted: Vec<PathBuf> = changes.iter().flat_map(|change| change.make(&sample)).collect();
            catch_up(&mut index, &mut indexer, way, &noted);
            prop_assert_eq!(contents(&mut index), fresh_contents(&sample.folder()), "way {}", way);
        }
        drop(index);
        prop_assert_eq!(contents(&mut sample.index()), fresh_contents(&sample.folder()));
    }
}

/// Few cases, because each makes files; `PROPTEST_CASES` asks for more.
fn proptest_cases() -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok();
    asked.and_then(|cases| cases.parse().ok()).unwrap_or(24)
}
