//! Files that this program writes.

use std::collections::BTreeMap;
use std::fs;

use super::super::write::{self, NamedTensor, Precision};
use super::super::{Checkpoint, Dtype, WeightsError, generate};

fn sample<'a>() -> Vec<NamedTensor<'a>> {
    vec![
        NamedTensor::new("b.weight", [2, 3], || {
            Ok(vec![1.0, -2.0, 0.5, 65504.0, 1e-3, 0.1])
        }),
        NamedTensor::from_values("a", [], vec![3.0]),
        NamedTensor::from_values("empty", [0, 4], vec![]),
    ]
}

#[test]
fn files_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let metadata = BTreeMap::from([("made".to_owned(), "here".to_owned())]);
    for (precision, dtype, tenth) in [
        (Precision::F32, Dtype::F32, 0.1),
        (Precision::F16, Dtype::F16, half::f16::from_f32(0.1).to_f32()),
    ] {
        write::safetensors(&path, sample(), precision, &metadata).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b.weight", "empty"]);
        assert_eq!(checkpoint.metadata(), &metadata);
        let info = checkpoint.get("b.weight").unwrap();
        assert_eq!((info.dtype, &info.shape[..]), (dtype, &[2, 3][..]));
        let values = checkpoint.read_f32("b.weight").unwrap();
        assert_eq!((values[3], values[5]), (65504.0, tenth));
        let bytes = fs::read(&path).unwrap();
        assert_eq!((u64::from_le_bytes(*bytes.first_chunk().unwrap()) + 8) % 64, 0);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// A failure at any point leaves the old file as it was and nothing beside it.
#[test]
fn failures_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, "old").unwrap();
    let failing = || WeightsError::DuplicateName {
        name: "closure".into(),
    };
    for (tensors, precision, expected) in [
        (
            vec![NamedTensor::from_values("x", [2], vec![0.0, -65520.0])],
            Precision::F16,
            "tensor x holds -65520, beyond the ±65504",
        ),
        (
            vec![NamedTensor::from_values("x", [2], vec![0.0])],
            Precision::F32,
            "tensor x has 2 values, but 1 were",
        ),
        (
            vec![NamedTensor::new("x", [2], || Err(failing()))],
            Precision::F32,
            "two tensors are named closure",
        ),
        (
            vec![
                NamedTensor::from_values("x", [0], vec![]),
                NamedTensor::from_values("x", [0], vec![]),
            ],
            Precision::F32,
            "two tensors are named x",
        ),
    ] {
        let error = write::safetensors(&path, tensors, precision, &BTreeMap::new())
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    let nowhere = folder.path().join("missing/model.safetensors");
    let error = write::safetensors(&nowhere, sample(), Precision::F32, &BTreeMap::new())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot write the weights file: ") && error.ends_with("model.safetensors"),
        "{error}"
    );
}

#[test]
fn infinity_itself_may_be_written_as_f16() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let tensors = [NamedTensor::from_values("x", [1], vec![f32::INFINITY])];
    write::safetensors(&path, tensors, Precision::F16, &BTreeMap::new()).unwrap();
    assert_eq!(
        Checkpoint::open(&path).unwrap().read_f32("x").unwrap(),
        [f32::INFINITY]
    );
}

#[test]
fn generated_files_hold_generated_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let shapes = BTreeMap::from([
        ("x.weight".to_owned(), vec![5, 7]),
        ("x.bias".to_owned(), vec![5]),
    ]);
    generate::write(&path, &shapes, Precision::F32).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    for (name, shape) in &shapes {
        assert_eq!(checkpoint.read_f32(name).unwrap(), generate::tensor(name, shape));
    }
}
