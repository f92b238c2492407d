//! Files as real tools write them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::{bf16, f16};

use super::super::{Checkpoint, CheckpointKind, Dtype, Format, WeightsError, check_finite, generate};
use super::builder::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/golden_tiny")
        .join(name)
}

#[derive(serde::Deserialize)]
struct Keys {
    keys: BTreeMap<String, Vec<usize>>,
}

/// The published layout, with weights that the generator can make again.
#[test]
fn published_checkpoint_loads_as_it_is() {
    let keys: Keys = serde_json::from_slice(&std::fs::read(golden("keys.json")).unwrap()).unwrap();
    let checkpoint = Checkpoint::open(&golden("mask_tokenizer_32x2_tiny.pth")).unwrap();
    assert_eq!(checkpoint.format(), Format::Torch);
    assert_eq!(checkpoint.kind_hint(), CheckpointKind::Samtok);
    assert_eq!(checkpoint.notices(), [""; 0]);
    assert!(checkpoint.names().eq(keys.keys.keys().map(String::as_str)));
    for (name, shape) in &keys.keys {
        let info = checkpoint.get(name).unwrap();
        assert_eq!((&info.shape, info.dtype), (shape, Dtype::F32), "{name}");
        let values = checkpoint.read_f32(name).unwrap();
        check_finite(name, &values).unwrap();
        if !name.contains("codebooks") {
            assert!(
                values == generate::tensor(name, shape),
                "{name} differs from the generator"
            );
        }
    }
}

fn read(pickle_value: &[u8], storages: &[Vec<u8>]) -> Result<Checkpoint, WeightsError> {
    Checkpoint::from_bytes(torch_file(&pickle(pickle_value), storages))
}

#[test]
fn state_dicts_are_found_where_trainers_put_them() {
    let storages = [f32_bytes(&[1.0, 2.0])];
    let state = |prefix: &str| dict(&[(&format!("{prefix}quantizer.codebooks.0.weight"), vector("0", 2))]);
    let optimizer = dict(&[("exp_avg", vector("0", 2)), ("exp_avg_sq", vector("0", 2))]);
    for value in [
        state(""),
        dict(&[("model", state(""))]),
        dict(&[
            ("optimizer", optimizer.clone()),
            ("epoch", int(3)),
            ("state_dict", state("hf_model.")),
        ]),
        dict(&[("state_dict", dict(&[("model", state("module.hf_model."))]))]),
        dict(&[("weights_of_mine", dict(&[("inner", state(""))]))]),
    ] {
        let checkpoint = read(&value, &storages).unwrap();
        assert_eq!(
            checkpoint.names().collect::<Vec<_>>(),
            ["quantizer.codebooks.0.weight"]
        );
        assert_eq!(
            checkpoint.read_f32("quantizer.codebooks.0.weight").unwrap(),
            [1.0, 2.0]
        );
    }
}

#[test]
fn base_sam2_names_get_their_place() {
    let value = dict(&[(
        "model",
        dict(&[
            ("image_encoder.trunk.pos_embed", vector("0", 1)),
            ("no_mem_embed", vector("0", 1)),
        ]),
    )]);
    let checkpoint = read(&value, &[f32_bytes(&[4.0])]).unwrap();
    assert_eq!(checkpoint.kind_hint(), CheckpointKind::Sam2);
    assert_eq!(
        checkpoint.read_f32("model.sam2_model.no_mem_embed").unwrap(),
        [4.0]
    );
}

#[test]
fn every_element_type_is_converted() {
    let half = |value: f32| f16::from_f32(value).to_le_bytes().to_vec();
    let brain = |value: f32| bf16::from_f32(value).to_le_bytes().to_vec();
    for (class, dtype, bytes, expected) in [
        (
            "DoubleStorage",
            Dtype::F64,
            (-1.5_f64).to_le_bytes().to_vec(),
            -1.5,
        ),
        ("FloatStorage", Dtype::F32, 0.1_f32.to_le_bytes().to_vec(), 0.1),
        ("HalfStorage", Dtype::F16, half(-0.25), -0.25),
        ("BFloat16Storage", Dtype::BF16, brain(3.0), 3.0),
        ("LongStorage", Dtype::I64, (-7_i64).to_le_bytes().to_vec(), -7.0),
        ("IntStorage", Dtype::I32, (-8_i32).to_le_bytes().to_vec(), -8.0),
        ("ShortStorage", Dtype::I16, (-9_i16).to_le_bytes().to_vec(), -9.0),
        ("CharStorage", Dtype::I8, vec![0xff], -1.0),
        ("ByteStorage", Dtype::U8, vec![0xff], 255.0),
        ("BoolStorage", Dtype::Bool, vec![1], 1.0),
    ] {
        let value = dict(&[("x", tensor(storage(("torch", class), "0", 1), 0, &[], &[]))]);
        let checkpoint = read(&value, std::slice::from_ref(&bytes)).unwrap();
        assert_eq!(checkpoint.get("x").unwrap().dtype, dtype);
        assert_eq!(checkpoint.read_f32("x").unwrap(), [expected], "{class}");

        let header = format!(
            r#"{{"x":{{"dtype":"{dtype}","shape":[],"data_offsets":[0,{}]}}}}"#,
            bytes.len()
        );
        let checkpoint = Checkpoint::from_bytes(safetensors(&header, &bytes)).unwrap();
        assert_eq!(checkpoint.read_f32("x").unwrap(), [expected], "{dtype}");
    }
    // Types without a storage class of their own.
    let arguments = [
        storage(("torch.storage", "UntypedStorage"), "0", 4),
        int(1),
        ints(&[1]),
        ints(&[1]),
        b"\x89".to_vec(),
        b"N".to_vec(),
        global("torch", "uint16"),
    ];
    let value = dict(&[("x", call("torch._utils", "_rebuild_tensor_v3", &arguments))]);
    assert_eq!(
        read(&value, &[vec![1, 2, 3, 4]]).unwrap().read_f32("x").unwrap(),
        [f32::from(0x0403_u16)]
    );
}

#[test]
fn parameters_subclasses_and_shared_storages() {
    let storages = [f32_bytes(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])];
    let floats = || storage(("torch", "FloatStorage"), "0", 6);
    let plain = tensor(floats(), 0, &[2, 3], &[3, 1]);
    let parameter = call(
        "torch._utils",
        "_rebuild_parameter",
        &[plain.clone(), b"\x88".to_vec(), b"N".to_vec()],
    );
    let subclass = call(
        "torch._tensor",
        "_rebuild_from_type_v2",
        &[
            global("torch._utils", "_rebuild_tensor_v2"),
            global("torch.nn.parameter", "Buffer"),
            tuple(&[floats(), int(2), call("torch", "Size", &[ints(&[3])]), ints(&[1])]),
            b"}".to_vec(),
        ],
    );
    let value = dict(&[
        ("plain", plain),
        ("parameter", parameter),
        ("subclass", subclass),
        ("transposed", tensor(floats(), 0, &[3, 2], &[1, 3])),
        ("expanded", tensor(floats(), 5, &[3], &[0])),
    ]);
    let checkpoint = read(&value, &storages).unwrap();
    for (name, expected) in [
        ("plain", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0][..]),
        ("parameter", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ("subclass", &[2.0, 3.0, 4.0]),
        ("transposed", &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
        ("expanded", &[5.0; 3]),
    ] {
        assert_eq!(checkpoint.read_f32(name).unwrap(), expected, "{name}");
        let mut values = vec![0.0; expected.len()];
        checkpoint.read_into(name, &mut values).unwrap();
        assert_eq!(values, expected, "{name}");
    }
    assert!(checkpoint.notices().is_empty());
    let count = checkpoint.read_into("plain", &mut [0.0; 5]).unwrap_err();
    assert_eq!(count.to_string(), "tensor plain has 6 values, but 5 were given");
    assert!(
        checkpoint
            .read_f32("other")
            .unwrap_err()
            .to_string()
            .contains("no tensor other")
    );
}

/// What protocols 4 and 5 write differently: frames, memoised short texts, globals from the stack.
#[test]
fn newer_pickle_protocols() {
    let short = |text: &str| [&[0x8c, text.len() as u8][..], text.as_bytes(), b"\x94"].concat();
    let global = |module: &str, name: &str| [short(module), short(name), b"\x93\x94".to_vec()].concat();
    let storage = [
        b"(".to_vec(),
        short("storage"),
        global("torch", "FloatStorage"),
        short("0"),
        short("cpu"),
        b"K\x03t\x94Q".to_vec(),
    ];
    let value = [
        b"\x80\x05\x95\xff\0\0\0\0\0\0\0}\x94(".to_vec(),
        short("x"),
        global("torch._utils", "_rebuild_tensor_v2"),
        b"(".to_vec(),
        storage.concat(),
        b"K\x00K\x03\x85\x94K\x01\x85\x94\x89".to_vec(),
        global("collections", "OrderedDict"),
        b")R\x94t\x94R\x94".to_vec(),
        short("y"),
        b"h\x05)\x81u.".to_vec(),
    ];
    let checkpoint =
        Checkpoint::from_bytes(torch_file(&value.concat(), &[f32_bytes(&[7.0, 8.0, 9.0])])).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["x"]);
    assert_eq!(checkpoint.read_f32("x").unwrap(), [7.0, 8.0, 9.0]);
}

/// A checkpoint that somebody unpacked and packed again.
#[test]
fn deflated_archives() {
    let ramp: Vec<f32> = (0..100_000).map(|index| index as f32).collect();
    let value = dict(&[
        ("whole", vector("0", 100_000)),
        (
            "part",
            tensor(
                storage(("torch", "FloatStorage"), "0", 100_000),
                70_000,
                &[2],
                &[1],
            ),
        ),
    ]);
    let entries: Vec<Entry> = torch_entries(&pickle(&value), &[f32_bytes(&ramp)])
        .into_iter()
        .map(Entry::deflated)
        .collect();
    let checkpoint = Checkpoint::from_bytes(zip(&entries)).unwrap();
    assert!(checkpoint.read_f32("whole").unwrap() == ramp);
    assert_eq!(checkpoint.read_f32("part").unwrap(), [70_000.0, 70_001.0]);
}

/// Archives above 4 GB, and those written without checksums.
#[test]
fn zip64_and_missing_checksums() {
    let value = dict(&[("x", vector("0", 2))]);
    for zip64 in [false, true] {
        let entries = torch_entries(&pickle(&value), &[f32_bytes(&[1.0, 2.0])]);
        let entries: Vec<Entry> = entries
            .into_iter()
            .map(|entry| Entry {
                zip64,
                claimed_crc: Some(0),
                ..entry
            })
            .collect();
        assert_eq!(
            Checkpoint::from_bytes(zip(&entries))
                .unwrap()
                .read_f32("x")
                .unwrap(),
            [1.0, 2.0]
        );
    }
}

#[test]
fn unsupported_element_types_are_left_out() {
    let complex = tensor(storage(("torch", "ComplexFloatStorage"), "0", 1), 0, &[1], &[1]);
    let value = dict(&[("complex", complex), ("x", vector("0", 2))]);
    let checkpoint = read(&value, &[f32_bytes(&[1.0, 2.0])]).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["x"]);
    assert_eq!(
        checkpoint.notices(),
        ["tensor complex has an element type that is not supported; ignored"]
    );
}

#[test]
fn safetensors_with_metadata_and_unknown_types() {
    let header = r#"{"__metadata__":{"made":"here"},
        "b":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[8,12]},
        "module.a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}  "#;
    let data = [f32_bytes(&[1.0, 2.0]), vec![0; 4]].concat();
    let checkpoint = Checkpoint::from_bytes(safetensors(header, &data)).unwrap();
    assert_eq!(checkpoint.format(), Format::Safetensors);
    assert_eq!(checkpoint.metadata()["made"], "here");
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a"]);
    assert_eq!(checkpoint.get("a").unwrap().shape, [1, 2]);
    assert_eq!(checkpoint.read_f32("a").unwrap(), [1.0, 2.0]);
    assert!(checkpoint.notices()[0].contains("F8_E4M3"));
}

#[test]
fn nan_and_infinity_are_named() {
    assert!(check_finite("x", &[0.0, f32::MAX, f32::MIN]).is_ok());
    for (value, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let error = check_finite("x", &[1.0, value]).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("tensor x holds {shown} (element 1)")),
            "{error}"
        );
    }
}
