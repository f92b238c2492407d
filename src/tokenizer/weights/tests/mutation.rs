//! Random damage to valid files: no panic, and no tensor larger than the file justifies.
//!
//! `PROPTEST_CASES=1000000` makes this a long run.

use proptest::prelude::*;

use super::super::Checkpoint;
use super::builder::*;

fn sample_pickle() -> Vec<u8> {
    let floats = |len| storage(("torch", "FloatStorage"), "0", len);
    pickle(&dict(&[
        ("epoch", int(3)),
        (
            "state_dict",
            dict(&[
                ("hf_model.a.weight", tensor(floats(12), 0, &[3, 4], &[4, 1])),
                ("hf_model.b.weight", tensor(floats(12), 1, &[2, 2], &[1, 3])),
                (
                    "hf_model.c",
                    tensor(storage(("torch", "HalfStorage"), "1", 4), 0, &[4], &[1]),
                ),
                (
                    "d",
                    call(
                        "torch._utils",
                        "_rebuild_parameter",
                        &[vector("0", 12), b"\x88".to_vec()],
                    ),
                ),
                ("e", call("posix", "system", &[text("true")])),
            ]),
        ),
    ]))
}

fn sample_torch(pickle: &[u8]) -> Vec<u8> {
    let mut entries = torch_entries(pickle, &[f32_bytes(&[0.5; 12]), vec![0; 8]]);
    entries[3].deflated = true;
    zip(&entries)
}

fn sample_safetensors() -> Vec<u8> {
    let header = r#"{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]}}"#;
    safetensors(header, &[1; 32])
}

/// Opens a file and reads all of it, which may fail in any orderly way.
fn exercise(bytes: Vec<u8>) {
    let justified = (bytes.len() * 4).max(1 << 20) + (17 << 20);
    let Ok(checkpoint) = Checkpoint::from_bytes(bytes) else {
        return;
    };
    let _ = (
        checkpoint.kind_hint(),
        checkpoint.notices(),
        checkpoint.metadata(),
    );
    for name in checkpoint.names() {
        let numel = checkpoint.get(name).unwrap().numel();
        assert!(numel <= justified, "{name} has {numel} values");
        if let Ok(values) = checkpoint.read_f32(name) {
            assert_eq!(values.len(), numel);
        }
    }
}

#[derive(Clone, Debug)]
enum Damage {
    Set(usize, u8),
    Flip(usize, u8),
    /// Overwrites eight bytes with an integer that is likely to matter.
    Number(usize, u64),
    Insert(usize, u8),
    Remove(usize, usize),
    Copy(usize, usize, usize),
    Truncate(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = || any::<usize>();
    let number = prop_oneof![
        Just(0),
        Just(u64::MAX),
        Just(1_u64 << 60),
        Just(0xffff_ffff),
        Just(0x7fff_ffff_7fff_ffff),
        (0..100_u64),
        any::<u64>()
    ];
    prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        4 => (place(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (place(), number).prop_map(|(at, number)| Damage::Number(at, number)),
        1 => (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => (place(), 1..40_usize).prop_map(|(at, len)| Damage::Remove(at, len)),
        1 => (place(), place(), 1..40_usize).prop_map(|(from, to, len)| Damage::Copy(from, to, len)),
        1 => place().prop_map(Damage::Truncate),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let len = bytes.len().max(1);
    if bytes.is_empty() {
        return;
    }
    match *damage {
        Damage::Set(at, byte) => bytes[at % len] = byte,
        Damage::Flip(at, bit) => bytes[at % len] ^= 1 << bit,
        Damage::Number(at, number) => {
            bytes
                .iter_mut()
                .skip(at % len)
                .zip(number.to_le_bytes())
                .for_each(|(byte, new)| *byte = new);
        }
        Damage::Insert(at, byte) => bytes.insert(at % len, byte),
        Damage::Remove(at, count) => drop(bytes.drain(at % len..(at % len + count).min(len))),
        Damage::Copy(from, to, count) => {
            let part = bytes[from % len..(from % len + count).min(len)].to_vec();
            bytes.splice(to % len..to % len, part);
        }
        Damage::Truncate(at) => bytes.truncate(at % len),
    }
}

fn damaged(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(damage(), 1..6).prop_map(move |all| {
        let mut bytes = bytes.clone();
        all.iter().for_each(|damage| apply(&mut bytes, damage));
        bytes
    })
}

#[test]
fn samples_are_valid() {
    for (bytes, names) in [
        (
            sample_torch(&sample_pickle()),
            &["a.weight", "b.weight", "c", "d"][..],
        ),
        (sample_safetensors(), &["a", "b"]),
    ] {
        let checkpoint = Checkpoint::from_bytes(bytes).unwrap();
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), names);
        for name in names {
            checkpoint.read_f32(name).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_archives(bytes in damaged(sample_torch(&sample_pickle()))) {
        exercise(bytes);
    }

    /// The archive is made after the damage, so that its checksum does not hide the pickle reader.
    #[test]
    fn damaged_pickles(bytes in damaged(sample_pickle())) {
        exercise(sample_torch(&bytes));
    }

    #[test]
    fn damaged_safetensors(bytes in damaged(sample_safetensors())) {
        exercise(bytes);
    }
}
