//! Files that are broken, or made to do harm: each is a one-line error, or read without harm.

use std::fs;

use super::super::{Checkpoint, WeightsError};
use super::builder::*;

fn open(bytes: Vec<u8>) -> Result<Checkpoint, WeightsError> {
    Checkpoint::from_bytes(bytes)
}

/// The message, which must be one line that ends with the place.
fn refusal(bytes: Vec<u8>) -> String {
    let message = open(bytes).expect_err("must be refused").to_string();
    assert!(
        !message.contains(char::is_control) && message.ends_with(": (memory)"),
        "{message:?}"
    );
    assert!(message.chars().count() < 400, "{message}");
    message
}

fn torch_refusal(value: &[u8], storages: &[Vec<u8>]) -> String {
    refusal(torch_file(&pickle(value), storages))
}

#[test]
fn other_files_are_recognised() {
    for (bytes, expected) in [
        (&b""[..], "empty (0 bytes)"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "git lfs pull",
        ),
        (b"\n <!DOCTYPE html><title>404</title>", "web page"),
        (b"<html>", "web page"),
        (b"GGUF\x03\0\0\0", "GGUF"),
        (
            b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
            "torch.save it again",
        ),
        (b"\x1f\x8b\x08", "gzip"),
        (b"hello", "not a weights file"),
        (b"PK\x03\x04", "stopped early"),
        (b"\0", "not a weights file"),
    ] {
        let message = refusal(bytes.to_vec());
        assert!(message.contains(expected), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    let message = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains("this is a folder"), "{message}");
    let message = Checkpoint::open(&folder.path().join("none.pth"))
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("cannot open the weights file: ") && message.ends_with("none.pth"),
        "{message}"
    );
    assert!(refusal(zip(&[Entry::new("photo.jpg", "x")])).contains("without a PyTorch checkpoint"));
}

#[test]
fn nothing_is_called() {
    let shell = call("posix", "system", &[text("touch /tmp/owned")]);
    let state = dict(&[("x", vector("0", 1)), ("y", shell.clone())]);
    let built = [&shell[..], &state, b"b0"].concat();
    let checkpoint = open(torch_file(
        &pickle(&[&built[..], &state].concat()),
        &[f32_bytes(&[1.0])],
    ))
    .unwrap();
    assert_eq!(
        checkpoint.notices(),
        ["this file asks to call posix.system; ignored"]
    );
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["x"]);

    let message = torch_refusal(&shell, &[]);
    assert!(
        message.contains("posix.system") && message.contains("state_dict"),
        "{message}"
    );
    let many: Vec<u8> = (0..40)
        .flat_map(|n| [call("evil\r\x1b[2J", &format!("f{n}"), &[]), b"0".to_vec()].concat())
        .collect();
    let checkpoint = open(torch_file(
        &pickle(&[&many[..], &state].concat()),
        &[f32_bytes(&[1.0])],
    ))
    .unwrap();
    assert_eq!(checkpoint.notices().len(), 17);
    assert!(
        checkpoint
            .notices()
            .iter()
            .all(|notice| !notice.contains(char::is_control))
    );
}

#[test]
fn pickles_that_exhaust_a_reader() {
    let nested = [vec![b')'], vec![0x85; 1_000_000]].concat();
    assert!(torch_refusal(&nested, &[]).contains("no tensors by name"));
    let nested_lists = [vec![b']'; 500_000], vec![b'a'; 499_999]].concat();
    assert!(torch_refusal(&nested_lists, &[]).contains("no tensors by name"));
    let marks = vec![b'('; 8 << 20];
    assert!(torch_refusal(&marks, &[]).contains("too many values"));

    // Every step holds the last one twice: 2^1000 values if shared ones were copied.
    let doubling: Vec<u8> = std::iter::once(b')')
        .chain((0..1000).flat_map(|_| [b'2', 0x86]))
        .collect();
    assert!(torch_refusal(&doubling, &[]).contains("no tensors by name"));
    // The same with dictionaries, which are searched for tensors.
    let mut maze = b"}".to_vec();
    for _ in 0..50 {
        maze.extend([&b"q\0}("[..], &text("a"), b"h\0", &text("b"), b"h\0u"].concat());
    }
    assert!(torch_refusal(&maze, &[]).contains("no tensors by name"));
    let own_child = [b"}q\0", &text("model")[..], b"h\0s"].concat();
    assert!(torch_refusal(&own_child, &[]).contains("no tensors by name"));

    // One long list, copied by a short call again and again.
    let copies = [
        global("collections", "OrderedDict"),
        b"q\x01(](".to_vec(),
        b"(NNt2".repeat(2000),
        b"etq\x02".to_vec(),
        b"h\x01h\x02R0".repeat(5000),
    ];
    assert!(torch_refusal(&copies.concat(), &[]).contains("too many values"));
}

#[test]
fn malformed_pickles() {
    for (value, expected) in [
        (&b"R"[..], "takes a value that is not there"),
        (b"h\x07", "takes a value that is not there"),
        (b"(0t", "takes a value that is not there"),
        (b"N(\x86", "takes a value that is not there"),
        (b"u", "takes a value that is not there"),
        (b"X\xff\xff\xff\xffabc", "ends too early"),
        (b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff", "ends too early"),
        (b"\x8b\xff\xff\xff\x7f", "ends too early"),
        (b"cno newline", "ends too early"),
        (b"\x97", "unknown instruction 0x97"),
        (b"\x80\x06", "protocol 6"),
        (b"N", "no tensors by name"),
        (b"\x82\x01\x83\x01\x02\x84\x01\x02\x03\x04", "no tensors by name"),
        (b"U\x02\xff\xfe", "no tensors by name"),
    ] {
        let message = torch_refusal(value, &[]);
        assert!(message.contains(expected), "{value:?}: {message}");
    }
    assert!(refusal(torch_file(b"\x80\x02N", &[])).contains("ends too early"));
}

#[test]
fn tensors_that_do_not_fit_their_storage() {
    let floats = |len| storage(("torch", "FloatStorage"), "0", len);
    let rebuild = |arguments: &[Vec<u8>]| call("torch._utils", "_rebuild_tensor_v2", arguments);
    let storages = [f32_bytes(&[0.0; 4])];
    for (value, expected) in [
        (
            tensor(floats(4), 0, &[1 << 40, 1 << 40], &[1, 1]),
            "impossible shape",
        ),
        (tensor(floats(4), 0, &[1 << 50], &[1]), "reaches beyond"),
        (tensor(floats(4), 0, &[1 << 50], &[0]), "repeats its data"),
        (tensor(floats(4), 1, &[4], &[1]), "reaches beyond"),
        (tensor(floats(4), i64::MAX, &[1], &[1]), "reaches beyond"),
        (tensor(floats(4), -1, &[1], &[1]), "impossible offset"),
        (tensor(floats(4), 0, &[-2], &[1]), "impossible shape"),
        (tensor(floats(4), 0, &[2], &[-1]), "impossible strides"),
        (
            tensor(floats(4), 0, &[3, 3], &[i64::MAX, 1]),
            "impossible strides",
        ),
        (tensor(floats(4), 0, &[2, 2], &[1]), "number of strides"),
        (tensor(floats(4), 0, &[1; 65], &[1; 65]), "impossible shape"),
        (tensor(floats(5), 0, &[4], &[1]), "cut short"),
        (tensor(floats(-1), 0, &[4], &[1]), "cut short"),
        (tensor(floats(i64::MAX), 0, &[4], &[1]), "cut short"),
        (
            tensor(storage(("torch", "FloatStorage"), "9", 4), 0, &[4], &[1]),
            "storage that is missing",
        ),
        (
            tensor(
                storage(("torch", "FloatStorage"), "../data.pkl", 1),
                0,
                &[1],
                &[1],
            ),
            "storage that is missing",
        ),
        (
            tensor(storage(("posix", "system"), "0", 2), 0, &[2], &[1]),
            "unknown kind of storage",
        ),
        (tensor(b"N".to_vec(), 0, &[2], &[1]), "refers to no storage"),
        (rebuild(&[]), "lacks some of its description"),
        (rebuild(&[floats(4), int(0)]), "lacks some of its description"),
        (
            rebuild(&[text("a"), text("b"), text("c"), text("d")]),
            "refers to no storage",
        ),
    ] {
        let message = torch_refusal(&dict(&[("x.weight", value)]), &storages);
        assert!(
            message.contains("tensor x.weight ") && message.contains(expected),
            "{message}"
        );
    }
}

#[test]
fn archives_that_lie() {
    let value = pickle(&dict(&[("x", vector("0", 1000))]));
    let storages = [f32_bytes(&[1.5; 1000])];
    let with = |index: usize, change: &dyn Fn(&mut Entry)| {
        let mut entries = torch_entries(&value, &storages);
        change(&mut entries[index]);
        zip(&entries)
    };
    assert!(open(with(0, &|_| ())).is_ok());
    for (index, change, expected) in [
        (
            0,
            &(|entry: &mut Entry| entry.claimed_crc = Some(1)) as &dyn Fn(&mut Entry),
            "checksum",
        ),
        (
            0,
            &|entry| entry.claimed_len = Some(u32::MAX - 1),
            "two different sizes",
        ),
        (
            0,
            &|entry| entry.claimed_packed_len = Some(u32::MAX - 1),
            "larger than the file",
        ),
        (
            2,
            &|entry| entry.claimed_packed_len = Some(u32::MAX),
            "larger than the file",
        ),
        (
            2,
            &|entry| entry.claimed_start = Some(7),
            "not where the directory says",
        ),
        (2, &|entry| entry.claimed_start = Some(u32::MAX), "ends too early"),
        (1, &|entry| entry.data = b"big".to_vec(), "big-endian"),
        (
            1,
            &|entry| entry.name = "net/data.pkl".into(),
            "two entries named net/data.pkl",
        ),
        (
            2,
            &|entry| {
                entry.deflated = true;
                entry.claimed_len = Some(u32::MAX - 1);
            },
            "far more than it holds",
        ),
        (
            0,
            &|entry| {
                entry.deflated = true;
                entry.claimed_len = Some(5000);
            },
            "ends too early",
        ),
    ] {
        let message = refusal(with(index, change));
        assert!(message.contains(expected), "{message}");
    }
    let damaged = open(with(2, &|entry| entry.claimed_crc = Some(1))).unwrap();
    assert!(
        damaged
            .read_f32("x")
            .unwrap_err()
            .to_string()
            .contains("checksum")
    );
    // Many entries over the same bytes.
    let mut entries = torch_entries(&value, &storages);
    entries.extend((0..100).map(|n| Entry {
        claimed_packed_len: Some(4000),
        claimed_len: Some(4000),
        claimed_start: Some(0),
        ..Entry::new(&format!("net/data/{}", n + 1), "")
    }));
    assert!(refusal(zip(&entries)).contains("larger than the file"));
}

#[test]
fn truncated_files_are_refused_at_every_length() {
    let value = pickle(&dict(&[("x", vector("0", 5))]));
    let torch = torch_file(&value, &[f32_bytes(&[1.0; 5])]);
    let header = r#"{"x":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}}"#;
    for whole in [torch, safetensors(header, &[0; 20])] {
        assert!(open(whole.clone()).is_ok());
        for len in 0..whole.len() {
            refusal(whole[..len].to_vec());
        }
        refusal([&whole[..], b"?"].concat());
    }
}

/// A file that shrinks after it was opened is an error, not a crash.
#[cfg(unix)]
#[test]
fn shrinking_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let header = r#"{"x":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}}"#;
    fs::write(&path, safetensors(header, &[0; 20])).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(64)
        .unwrap();
    assert!(
        checkpoint
            .read_f32("x")
            .unwrap_err()
            .to_string()
            .contains("ends too early")
    );
}

#[test]
fn safetensors_headers_that_lie() {
    let entry = |dtype: &str, shape: &str, begin: u64, end: u64| {
        format!(r#"{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
    };
    let one = |dtype: &str, shape: &str, begin: u64, end: u64| {
        format!(r#"{{"x":{}}}"#, entry(dtype, shape, begin, end))
    };
    let good = entry("F32", "[2]", 0, 8);
    for (header, expected) in [
        ("{".to_owned(), "no table"),
        ("{}".to_owned(), "goes on after"),
        (
            format!(r#"{{"x":{good},"x":{good}}}"#),
            "two tensors have one name",
        ),
        (format!(r#"{{"x":{good},"y":{good}}}"#), "overlap"),
        (
            format!(r#"{{"x":{good},"module.x":{}}}"#, entry("F32", "[0]", 8, 8)),
            "two tensors named x",
        ),
        (one("F32", "[2]", 4, 12), "overlap or leave gaps"),
        (one("F32", "[4]", 0, 16), "8 bytes are missing"),
        (one("F32", "[1]", 0, 4), "goes on after"),
        (one("F32", "[2]", 8, 0), "overlap or leave gaps"),
        (one("F32", "[2]", 0, u64::MAX), "are missing"),
        (one("F32", "[3]", 0, 8), "reaches beyond"),
        (one("F32", "[1]", 0, 8), "more or fewer bytes"),
        (one("F16", "[2]", 0, 8), "more or fewer bytes"),
        (one("F32", "[4611686018427387904,4]", 0, 8), "impossible shape"),
        (one("F32", "[-2]", 0, 8), "no table"),
        (one("F32", "[1e30]", 0, 8), "no table"),
        (format!(r#"{{"x":{good},"__metadata__":{{"a":1}}}}"#), "no table"),
        (
            format!("{{\"x\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000)),
            "no table",
        ),
    ] {
        let message = refusal(safetensors(&header, &[0; 8]));
        assert!(message.contains(expected), "{header:.80}: {message}");
    }
    assert!(refusal(safetensors("[]", b"")).contains("not a weights file"));
    let endless = [&(1_u64 << 60).to_le_bytes()[..], b"{}"].concat();
    assert!(refusal(endless).contains("longer than the file"));
    // Elements need not lie at multiples of their size.
    let header = format!(
        r#"{{"a":{},"x":{}}}"#,
        entry("U8", "[3]", 0, 3),
        entry("F32", "[2]", 3, 11)
    );
    let data = [vec![1, 2, 3], f32_bytes(&[0.5, -0.5])].concat();
    assert_eq!(
        open(safetensors(&header, &data)).unwrap().read_f32("x").unwrap(),
        [0.5, -0.5]
    );
}
