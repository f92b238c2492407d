//! Runs the real program in a folder of its own, on a small picture and the small golden model.

mod annotate;
mod bad_input;
mod conversion;
mod full_disk;
mod masks;
mod models;
mod tokenize;
mod train;
mod usage;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use samtok::geometry::{ImageSize, PixelRect};
use samtok::image_file::write_mask_png;
use samtok::mask::Mask;
use serde_json::Value;
use tempfile::TempDir;

/// Size of `photo.png`.
const SIZE: ImageSize = ImageSize::new(160, 120);

/// What the program printed, and its exit code.
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Answer {
    /// Standard output of a run that went well.
    fn expect(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "standard error: {}", self.stderr);
        self.stdout
    }

    /// The one error line of a run that could do nothing.
    fn expect_error(self) -> String {
        assert_eq!(self.code, Some(2), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "", "nothing was done");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "one line, not {}", self.stderr);
        let message = lines[0].strip_prefix("samtok: error: ");
        message.unwrap_or_else(|| panic!("{}", self.stderr)).to_owned()
    }

    fn json(self) -> Value {
        serde_json::from_str(&self.expect(0)).unwrap()
    }
}

/// A folder with `photo.png` and the masks `a.png` and `b.png`, removed at the end.
struct Workspace {
    folder: TempDir,
}

impl Workspace {
    fn new() -> Self {
        let workspace = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let photo = image::RgbImage::from_fn(SIZE.width, SIZE.height, |x, y| {
            image::Rgb([(x * 3 / 2) as u8, (y * 2) as u8, (x * y % 256) as u8])
        });
        photo.save(workspace.path("photo.png")).unwrap();
        workspace.write_mask("a.png", &[PixelRect::new(20, 30, 60, 50)]);
        workspace.write_mask(
            "b.png",
            &[PixelRect::new(90, 10, 50, 40), PixelRect::new(100, 60, 20, 50)],
        );
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn write_mask(&self, name: &str, rects: &[PixelRect]) {
        write_mask_png(&self.path(name), &Mask::from_rects(SIZE, rects).unwrap()).unwrap();
    }

    fn read_json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// Every file of the folder with a hash of its bytes.
    fn contents(&self) -> BTreeMap<PathBuf, String> {
        contents(self.folder.path())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_samtok"));
        command
            .args(arguments)
            .args(["--threads", "1"])
            .current_dir(self.folder.path())
            .env("SAMTOK_MODEL", golden())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        answer(self.command(arguments))
    }
}

fn answer(mut command: Command) -> Answer {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut contents = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            contents.insert(path.clone(), String::new());
            contents.extend(self::contents(&path));
        } else {
            let hash = blake3::hash(&fs::read(&path).unwrap());
            contents.insert(path, hash.to_hex().to_string());
        }
    }
    contents
}

/// The model folder of the golden data.
fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden_tiny")
}
