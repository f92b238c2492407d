//! Pickles as every version of Python writes them, and those that mean harm.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn written(items: &[Value]) -> Vec<u8> {
    let mut writer = ListWriter::new(Vec::new()).unwrap();
    items.iter().for_each(|item| writer.push(item).unwrap());
    writer.finish().unwrap()
}

/// `pickle.dumps([{'a': (1, -2, 3000000000, 2**63), 'é': [True, None, 1.5], 'b': b'x'}, 'é'], protocol)`; protocols
/// 0 to 2 without `'b'`, which would call a function there.
#[test]
fn every_protocol_of_python_is_read() {
    let plain = json!([{"a": [1, -2, 3_000_000_000_u64, 1_u64 << 63], "é": [true, null, 1.5]}, "é"]);
    let mut with_bytes = plain.clone();
    with_bytes[0]["b"] = "x".into();
    let cases: [(&[u8], &Value); 6] = [
        (
            b"(lp0\n(dp1\nVa\np2\n(I1\nI-2\nL3000000000L\nL9223372036854775808L\ntp3\nsV\xe9\np4\n(lp5\nI01\naNaF1.5\nasag4\na.",
            &plain,
        ),
        (
            b"]q\x00(}q\x01(X\x01\x00\x00\x00aq\x02(K\x01J\xfe\xff\xff\xffL3000000000L\nL9223372036854775808L\ntq\x03X\x02\x00\x00\x00\xc3\xa9q\x04]q\x05(I01\nNG?\xf8\x00\x00\x00\x00\x00\x00euh\x04e.",
            &plain,
        ),
        (
            b"\x80\x02]q\x00(}q\x01(X\x01\x00\x00\x00aq\x02(K\x01J\xfe\xff\xff\xff\x8a\x05\x00^\xd0\xb2\x00\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00tq\x03X\x02\x00\x00\x00\xc3\xa9q\x04]q\x05(\x88NG?\xf8\x00\x00\x00\x00\x00\x00euh\x04e.",
            &plain,
        ),
        (
            b"\x80\x03]q\x00(}q\x01(X\x01\x00\x00\x00aq\x02(K\x01J\xfe\xff\xff\xff\x8a\x05\x00^\xd0\xb2\x00\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00tq\x03X\x02\x00\x00\x00\xc3\xa9q\x04]q\x05(\x88NG?\xf8\x00\x00\x00\x00\x00\x00eX\x01\x00\x00\x00bq\x06C\x01xq\x07uh\x04e.",
            &with_bytes,
        ),
        (
            b"\x80\x04\x95G\x00\x00\x00\x00\x00\x00\x00]\x94(}\x94(\x8c\x01a\x94(K\x01J\xfe\xff\xff\xff\x8a\x05\x00^\xd0\xb2\x00\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00t\x94\x8c\x02\xc3\xa9\x94]\x94(\x88NG?\xf8\x00\x00\x00\x00\x00\x00e\x8c\x01b\x94C\x01x\x94uh\x04e.",
            &with_bytes,
        ),
        (
            b"(lp0\n(dp1\nS'a'\np2\n(I1\nI-2\nL3000000000L\nL9223372036854775808L\ntp3\nsS'\\xc3\\xa9'\np4\n(lp5\nI01\naNaF1.5\nasag4\na.",
            &plain,
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(
            read(bytes).as_ref(),
            Ok(expected),
            "{}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn whatever_would_call_something_is_refused() {
    let calls: [&[u8]; 9] = [
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"(S'true'\nios\nsystem\n.",
        b"(cos\nsystem\nS'true'\no.",
        b"]N}b.",
        b"P12\n.",
        b"K\x01Q.",
        b"]\x82\x01.",
        b"K\x01)\x81.",
    ];
    for bytes in calls {
        assert!(
            matches!(read(bytes), Err(PickleError::Call { .. })),
            "{bytes:?}: {:?}",
            read(bytes)
        );
    }
}

#[test]
fn damage_is_told_and_bombs_do_not_go_off() {
    let mut unfolding = b"\x80\x02]q\x00.".to_vec();
    unfolding.pop();
    for level in 0..40_u8 {
        // A list of two of the list before.
        unfolding.extend([b']', b'q', level + 1, b'(', b'h', level, b'h', level, b'e']);
    }
    unfolding.push(b'.');
    let mut long_text = b"X\x00\x00\x02\x00".to_vec();
    long_text.resize(5 + (2 << 16), b'x');
    long_text.extend(b"q\x000](");
    long_text.extend(b"h\x00".repeat(100_000));
    long_text.extend(b"e.");
    let deep = [b"]".repeat(1000), b"a".repeat(999), b".".to_vec()].concat();
    let cases: [(&[u8], PickleError); 14] = [
        (b"", PickleError::UnexpectedEnd),
        (b"]", PickleError::UnexpectedEnd),
        (b".", PickleError::Stack { position: 1 }),
        (b"]q\x00h\x00a.", PickleError::TooDeep),
        (b"}q\x00X\x01\x00\x00\x00ah\x00s.", PickleError::TooDeep),
        (&deep, PickleError::TooDeep),
        (&unfolding, PickleError::TooLarge),
        (&long_text, PickleError::TooLarge),
        (b"X\xff\xff\xff\xffabc.", PickleError::UnexpectedEnd),
        (
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc.",
            PickleError::UnexpectedEnd,
        ),
        (b"}K\x01K\x02s.", PickleError::Key),
        (b"\x80\x09N.", PickleError::UnknownProtocol(9)),
        (
            b"\x8f.",
            PickleError::UnknownOpcode {
                opcode: 0x8f,
                position: 0,
            },
        ),
        (
            b"C\x01\xff.",
            PickleError::Malformed {
                expected: "a text in UTF-8",
                position: 3,
            },
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(read(bytes), Err(expected), "{} bytes", bytes.len());
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i16>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| Value::from(number)),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(items in prop::collection::vec(values(), 0..5)) {
        prop_assert_eq!(read(&written(&items)), Ok(Value::Array(items)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        items in prop::collection::vec(values(), 0..5),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        junk in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut bytes = written(&items);
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        for bytes in [bytes, junk] {
            // That this returns at all is the point.
            let _result = read(&bytes);
        }
    }
}
