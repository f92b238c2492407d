//! Indexes that are damaged, locked, of another kind, in the way, or made to do harm.

use super::*;

/// Bytes that look like nothing.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// A folder with enough in it that its index has many pages, and what its index says.
pub(super) fn large_sample() -> (Sample, Vec<String>) {
    let names: Vec<String> = (0..120)
        .map(|number| format!("sub{}/{number}.png", number % 7))
        .collect();
    let sample = Sample::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in names.iter().step_by(2) {
        sample.annotate(
            name,
            &document(
                Status::Done,
                &[("dent", 0.9), (name, 0.5)],
                &format!("deep {name}"),
            ),
        );
    }
    let contents = contents(&mut sample.index());
    (sample, contents)
}

#[test]
fn a_damaged_index_is_made_anew() {
    let (sample, expected) = large_sample();
    let path = sample.index_file();
    let intact = fs::read(&path).unwrap();
    assert!(intact.len() > 40_000, "{}", intact.len());
    let mut damaged: Vec<(String, Vec<u8>)> = vec![
        ("empty".to_owned(), Vec::new()),
        ("text".to_owned(), b"not a database at all".to_vec()),
        ("noise".to_owned(), noise(1, 50_000)),
    ];
    for length in [
        1,
        99,
        100,
        512,
        4096,
        5000,
        8192,
        intact.len() / 2,
        intact.len() - 4096,
        intact.len() - 1,
    ] {
        damaged.push((format!("truncated to {length}"), intact[..length].to_vec()));
    }
    for seed in 0..40 {
        let mut bytes = intact.clone();
        let start = (seed as usize * 7919) % (bytes.len() - 600);
        bytes[start..start + 600].copy_from_slice(&noise(seed, 600));
        damaged.push((format!("600 random bytes at {start}"), bytes));
    }
    for (what, bytes) in damaged {
        fs::write(&path, &bytes).unwrap();
        let mut index = Index::open(&sample.folder(), None).unwrap();
        // Whatever the first page says before the indexer has been through, it says it without an error.
        let selection = index.select(&Filter::parse("deep").unwrap()).unwrap();
        index.page(&selection, 0..50).unwrap();
        let mut indexer = Indexer::new(&sample.folder());
        run(&mut index, &mut indexer);
        // Bytes within a text are not noticed as damage, but no image is missing or invented.
        assert_eq!(names(&mut index, &Filter::default()).len(), 120, "{what}");
        assert!(index.file().is_some(), "{what}");
        if !what.starts_with("600") {
            assert_same(&contents(&mut index), &expected, &what);
        }
    }
}

#[test]
fn an_index_of_another_kind_is_made_anew() {
    let (sample, expected) = large_sample();
    let changes: [&str; 6] = [
        "PRAGMA user_version = 0",
        "PRAGMA user_version = 999",
        "PRAGMA application_id = 1",
        "DROP TABLE image_labels",
        "DROP TABLE counters; CREATE TABLE counters (x)",
        "CREATE VIEW v AS SELECT 1; CREATE TRIGGER t AFTER INSERT ON images BEGIN DELETE FROM images; END",
    ];
    for change in changes {
        let path = sample.index_file();
        let connection = Connection::open(&path).unwrap();
        connection
            .create_collation("natural_order", crate::dataset::natural_order::compare)
            .unwrap();
        connection.execute_batch(change).unwrap();
        drop(connection);
        let mut index = sample.index();
        assert_same(&contents(&mut index), &expected, change);
        assert!(index.file().is_some(), "{change}");
    }
}

#[test]
fn an_index_that_goes_wrong_while_it_is_open_is_made_anew() {
    let (sample, expected) = large_sample();
    let damages: [fn(&Sample); 3] = [
        |sample| fs::remove_dir_all(sample.path(".samtok")).unwrap(),
        |sample| fs::remove_file(sample.index_file()).unwrap(),
        |sample| fs::write(sample.index_file(), noise(3, 60_000)).unwrap(),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let (mut index, mut indexer) = sample.open();
        // Nothing is left in memory to answer from.
        index.connection.pragma_update(None, "cache_size", 0).unwrap();
        index.connection.execute_batch("PRAGMA shrink_memory").unwrap();
        damage(&sample);
        names(&mut index, &Filter::parse("deep").unwrap());
        indexer.rescan(Rescan::Everything);
        run(&mut index, &mut indexer);
        assert_same(&contents(&mut index), &expected, &format!("damage {number}"));
        drop(index);
        assert_eq!(
            contents(&mut sample.index()),
            expected,
            "opened after damage {number}"
        );
    }
}

#[test]
fn a_locked_index_is_done_without() {
    let (sample, expected) = large_sample();
    let other = Connection::open(sample.index_file()).unwrap();
    other.pragma_update(None, "locking_mode", "exclusive").unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut index = Index::open(&sample.folder(), None).unwrap();
    assert_eq!(index.file(), None);
    run(&mut index, &mut Indexer::new(&sample.folder()));
    assert_same(&contents(&mut index), &expected, "made anew");
    other.execute_batch("COMMIT").unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_indexed_elsewhere() {
    let (sample, expected) = large_sample();
    fs::remove_dir_all(sample.path(".samtok")).unwrap();
    // Not even the system's administrator can make a folder in place of a file.
    sample.write(".samtok", b"in the way");
    assert_same(&contents(&mut sample.index()), &expected, "in memory");
    let cache = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut index = Index::open(&sample.folder(), Some(&cache.path().join("samtok/folders"))).unwrap();
        assert!(
            index
                .file()
                .unwrap()
                .starts_with(fs::canonicalize(cache.path()).unwrap())
        );
        run(&mut index, &mut Indexer::new(&sample.folder()));
        assert_same(&contents(&mut index), &expected, "made anew");
    }
    assert_eq!(fs::read(sample.path(".samtok")).unwrap(), b"in the way");
}

#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link() {
    let (sample, expected) = large_sample();
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim.sqlite");
    Connection::open(&victim)
        .unwrap()
        .execute_batch("CREATE TABLE precious (x)")
        .unwrap();
    let before = fs::read(&victim).unwrap();

    fs::remove_file(sample.index_file()).unwrap();
    std::os::unix::fs::symlink(&victim, sample.index_file()).unwrap();
    assert_same(&contents(&mut sample.index()), &expected, "made anew");
    assert_eq!(fs::read(&victim).unwrap(), before, "the file behind a link");

    fs::remove_dir_all(sample.path(".samtok")).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), sample.path(".samtok")).unwrap();
    assert_same(&contents(&mut sample.index()), &expected, "made anew");
    assert_eq!(
        fs::read_dir(elsewhere.path()).unwrap().count(),
        1,
        "a folder behind a link"
    );
}

#[test]
fn names_in_an_index_never_lead_out_of_the_folder() {
    let sample = Sample::new(&["a.png"]);
    drop(sample.index());
    for name in [
        "../b.png",
        "/etc/b.png",
        "x/../../b.png",
        ".samtok/b.png",
        "",
        "./b.png",
        "x//b.png",
    ] {
        let connection = Connection::open(sample.index_file()).unwrap();
        connection
            .create_collation("natural_order", crate::dataset::natural_order::compare)
            .unwrap();
        let insert = "INSERT OR REPLACE INTO images (name, id, has_sidecar) VALUES (?1, 0, 0)";
        connection.execute(insert, [name]).unwrap();
        drop(connection);
        let mut index = Index::open(&sample.folder(), None).unwrap();
        let found = names(&mut index, &Filter::default());
        assert!(!found.iter().any(|found| found == name), "{found:?}");
        run(&mut index, &mut Indexer::new(&sample.folder()));
        assert_eq!(names(&mut index, &Filter::default()), ["a.png"], "{name}");
    }
}
