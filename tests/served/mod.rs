//! What the program does when the server of its language model misbehaves.

mod chat;
#[expect(dead_code, reason = "the unit tests of the engine use more of it")]
mod fault_server;
mod propose;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use samtok::geometry::ImageSize;
use samtok::image_file::{RgbImage, write_rgb_png};

/// The size of every image here.
const SIZE: ImageSize = ImageSize::new(48, 32);

/// Words of the small golden model, which has 32 codes per depth; `n` is below 1024.
fn words(n: usize) -> String {
    format!(
        "<|mt_start|><|mt_{:04}|><|mt_{:04}|><|mt_end|>",
        n % 32,
        32 + n / 32 % 32
    )
}

/// Writes an image that differs from all with another number.
fn write_image(path: &Path, number: usize) {
    let pixels = (0..SIZE.area() as usize * 3).map(|byte| (byte * 7 + number * 31 % 251) as u8);
    let image = RgbImage {
        size: SIZE,
        pixels: pixels.collect(),
    };
    write_rgb_png(path, &image).unwrap();
}

/// The program with the small golden model, in a folder.
fn samtok(folder: &Path, arguments: &[&str]) -> Command {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden_tiny");
    let mut command = Command::new(env!("CARGO_BIN_EXE_samtok"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("SAMTOK_MODEL", model)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null());
    command
}

/// Exit code, standard output and standard error.
fn said(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The sidecar of an image.
fn sidecar(image: &Path) -> PathBuf {
    samtok::dataset::sidecar_path(image)
}
