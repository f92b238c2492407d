//! Whatever is wrong with an input: one line that says what to do, the right exit code, and nothing left behind.

use std::fs;

use samtok::geometry::{ImageSize, PixelRect};
use samtok::image_file::write_mask_png;
use samtok::mask::Mask;
use serde_json::json;

use super::{SIZE, Workspace, golden};

/// Checks that the command fails with one line that contains `expected`, and leaves every file as it was.
fn refused(workspace: &Workspace, arguments: &[&str], expected: &str) {
    let before = workspace.contents();
    let error = workspace.run(arguments).expect_error();
    assert!(
        error.contains(expected),
        "{arguments:?}: {error:?} does not say {expected:?}"
    );
    assert_eq!(workspace.contents(), before, "{arguments:?}");
}

#[test]
fn images() {
    let workspace = Workspace::new();
    workspace.write("zero.jpg", b"");
    workspace.write("text.jpg", b"hello");
    let photo = fs::read(workspace.path("photo.png")).unwrap();
    workspace.write("cut.png", &photo[..photo.len() / 2]);
    let mut huge = photo.clone();
    huge[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
    huge[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&huge[12..29]);
    huge[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    workspace.write("huge.png", &huge);
    workspace.write("header.png", &huge[..33]);
    fs::create_dir(workspace.path("folder")).unwrap();
    for (image, expected) in [
        ("nothing.png", "there is no such file"),
        ("zero.jpg", "the file has 0 bytes"),
        ("text.jpg", "JPEG, PNG, WebP, BMP or TIFF is needed"),
        ("cut.png", "damaged or incomplete"),
        ("huge.png", "60000 x 60000 pixels are more than the limit"),
        ("header.png", ""),
        ("folder", "this is a folder"),
    ] {
        for arguments in [
            &["encode", image, "--mask", "a.png"][..],
            &[
                "decode",
                image,
                "--words",
                "<|mt_start|><|mt_0001|><|mt_0033|><|mt_end|>",
                "--out",
                "new",
            ],
            &["segment", image, "--point", "5,5"],
            &["annotate", image, "--mask", "a.png"],
        ] {
            refused(&workspace, arguments, expected);
        }
    }
    refused(
        &workspace,
        &["encode", "photo\n.png", "--mask", "a.png"],
        "photo\\n.png",
    );
}

#[test]
fn masks() {
    let workspace = Workspace::new();
    workspace.write_mask("empty.png", &[]);
    let turned = ImageSize::new(SIZE.height, SIZE.width);
    write_mask_png(&workspace.path("turned.png"), &Mask::full(turned).unwrap()).unwrap();
    let grey = |name: &str, step: u32| {
        let image = image::GrayImage::from_fn(SIZE.width, SIZE.height, |x, _| {
            image::Luma([(x % 5 * step) as u8])
        });
        image.save(workspace.path(name)).unwrap();
    };
    grey("dark.png", 20);
    grey("grey.png", 60);
    fs::create_dir(workspace.path("folder")).unwrap();
    for (mask, expected) in [
        ("empty.png", "the mask is empty"),
        (
            "turned.png",
            "the mask has 120 x 160 pixels and its image 160 x 120",
        ),
        (
            "dark.png",
            "no pixel reaches 128 of 255 (5 grey levels, the brightest 80)",
        ),
        ("photo.png", "looks like a photograph, not a mask"),
        ("nothing.png", "there is no such file"),
        ("folder", "this is a folder"),
    ] {
        refused(&workspace, &["encode", "photo.png", "--mask", mask], expected);
        refused(&workspace, &["annotate", "photo.png", "--mask", mask], expected);
    }
    let answer = workspace.run(&["encode", "photo.png", "--mask", "grey.png"]);
    let warning = "samtok: warning: 5 grey levels; 128 of 255 and above was taken as the mask: grey.png\n";
    assert_eq!(answer.stderr, warning);
    answer.expect(0);
}

#[test]
fn words() {
    let workspace = Workspace::new();
    for (words, expected) in [
        ("", "holds no mask words"),
        ("a cat", "holds no mask words"),
        (
            "<|mt_start|><|mt_0003|><|mt_0311|><|mt_end|>",
            "the number 311 is outside the codebooks; refused; model tiny has 2 codebooks of 32 codes",
        ),
        (
            "<|mt_start|><|mt_0230|><|mt_0311|><|mt_end|>",
            "2 codebooks of 32 codes",
        ),
        ("<|mt_start|><|mt_0040|><|mt_end|>", "no word for depth 1"),
        (
            "<|mt_start|><|mt_99999999999999999999|><|mt_0033|><|mt_end|>",
            "2 codebooks of 32 codes",
        ),
    ] {
        refused(
            &workspace,
            &["decode", "photo.png", "--words", words, "--out", "new"],
            expected,
        );
    }
    workspace.write("file", b"");
    let good = "<|mt_start|><|mt_0003|><|mt_0033|><|mt_end|>";
    refused(
        &workspace,
        &["decode", "photo.png", "--words", good, "--out", "file"],
        "not a folder",
    );
}

#[test]
fn prompts() {
    let workspace = Workspace::new();
    for (arguments, expected) in [
        (&["--point", "160,5"][..], "outside the image of 160 x 120 pixels"),
        (&["--point", "-1,5"], "outside the image"),
        (&["--point", "5,5,-"], "at least one point on it"),
        (&["--box", "9,9,5,20"], "the box is empty"),
        (&["--box", "200,9,300,20"], "lies outside the image"),
        (&["--point", "5,5", "--out", "mask.jpg"], "ends with .png"),
        (&["--point", "5,5", "--out", "a.png"], "--force"),
        (
            &["--point", "5,5", "--prompt-model", "nothing.pt"],
            "cannot open the weights file",
        ),
        (&["--point", "5,5", "--searched", "33"], "33^2 decoded masks"),
    ] {
        refused(
            &workspace,
            &[&["segment", "photo.png"], arguments].concat(),
            expected,
        );
    }
}

#[test]
fn models() {
    let workspace = Workspace::new();
    let weights = fs::read(golden().join("mask_tokenizer_32x2_tiny.pth")).unwrap();
    let config = fs::read(golden().join("config.json")).unwrap();
    let folder = |name: &str, file: &str, weights: &[u8], config: &[u8]| {
        fs::create_dir(workspace.path(name)).unwrap();
        workspace.write(&format!("{name}/{file}"), weights);
        workspace.write(&format!("{name}/config.json"), config);
    };
    folder("cut", "x.pth", &weights[..weights.len() / 2], &config);
    folder("hostile", "x.pth", &hostile_checkpoint(), &config);
    folder("empty", "x.pth", b"", &config);
    folder("text", "x.pth", b"<!DOCTYPE html>", &config);
    folder("bad_config", "x.pth", &weights, b"{");
    let resized = |key: &str, value: serde_json::Value| {
        let mut json: serde_json::Value = serde_json::from_slice(&config).unwrap();
        *json.pointer_mut(key).unwrap() = value;
        json.to_string().into_bytes()
    };
    folder(
        "misshapen",
        "x.pth",
        &weights,
        &resized("/quantizer/codebook_size", json!(64)),
    );
    folder(
        "missing",
        "x.pth",
        &weights,
        &resized("/trunk/stages", json!([1, 2, 4, 1])),
    );
    folder("two", "x.pth", &weights, &config);
    workspace.write("two/y.pth", b"");
    fs::create_dir(workspace.path("none")).unwrap();
    workspace
        .run(&["model", "convert", golden().to_str().unwrap(), "--out", "nan"])
        .expect(0);
    let mut bytes = fs::read(workspace.path("nan/model.safetensors")).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    workspace.write("nan/model.safetensors", bytes);

    for (model, expected) in [
        ("nothing", "cannot open the weights file"),
        ("none", "holds no weights"),
        ("two", "holds 2 weights files"),
        ("cut", "damaged"),
        ("hostile", ""),
        ("empty", "empty (0 bytes)"),
        ("text", "web page"),
        ("bad_config", "configuration cannot be used"),
        ("misshapen", "0 tensors missing, 2 of another shape"),
        ("missing", "do not fit this network"),
        ("nan", "holds NaN"),
        ("photo.png", "not a weights file"),
    ] {
        refused(
            &workspace,
            &["encode", "photo.png", "--mask", "a.png", "--model", model],
            expected,
        );
        let arguments = ["model", "convert", model, "--out", "converted"];
        refused(&workspace, &arguments, expected);
    }
    assert!(
        !workspace.path("pwned").exists(),
        "a pickle must not run anything"
    );
    // Without --model, the message says where the model was named.
    let mut command = workspace.command(&["encode", "photo.png", "--mask", "a.png"]);
    command.env("SAMTOK_MODEL", "nothing");
    let error = super::answer(command).expect_error();
    assert!(error.starts_with("the model of SAMTOK_MODEL: "), "{error}");
}

#[test]
fn annotations() {
    let workspace = Workspace::new();
    for (arguments, expected) in [
        (&["--label", "x", "--label", "y"][..], "2 labels and 1 masks"),
        (&["--caption", "x", "--caption", "y"], "2 captions and 1 masks"),
    ] {
        refused(
            &workspace,
            &[&["annotate", "photo.png", "--mask", "a.png"], arguments].concat(),
            expected,
        );
    }
    workspace.write_mask("b.png", &[PixelRect::new(0, 0, 1, 1)]);
    fs::create_dir(workspace.path("photo.png.samtok.json")).unwrap();
    refused(
        &workspace,
        &["annotate", "photo.png", "--mask", "b.png"],
        "not an ordinary file",
    );
}

/// A zip archive as `torch.save` writes it, with a pickle that calls `os.system("touch pwned")`.
fn hostile_checkpoint() -> Vec<u8> {
    let name = b"archive/data.pkl";
    let pickle = b"\x80\x02cos\nsystem\nX\x0b\x00\x00\x00touch pwned\x85R.";
    let mut crc = flate2::Crc::new();
    crc.update(pickle);
    let mut sizes = crc.sum().to_le_bytes().to_vec();
    sizes.extend((pickle.len() as u32).to_le_bytes().repeat(2));
    sizes.extend((name.len() as u16).to_le_bytes());
    let mut zip = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".to_vec();
    zip.extend(&sizes);
    zip.extend([0; 2]);
    zip.extend(name);
    zip.extend(pickle);
    let directory = zip.len() as u32;
    zip.extend(b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0");
    zip.extend(&sizes);
    zip.extend([0; 16]);
    zip.extend(name);
    let length = zip.len() as u32 - directory;
    zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    zip.extend(length.to_le_bytes());
    zip.extend(directory.to_le_bytes());
    zip.extend([0; 2]);
    zip
}
