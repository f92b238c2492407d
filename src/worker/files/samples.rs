//! The sample images: a photograph that ships with the program and generated scenes, to try things on.

use std::fs;
use std::io;
use std::path::Path;

use crate::atomic_file::{AtomicFile, Existing};
use crate::geometry::ImageSize;
use crate::image_file;
use crate::scenes::{self, SceneConfig};

/// A photograph in the public domain; `assets/example/README.md` names its source.
const PHOTOGRAPH: &[u8] = include_bytes!("../../../assets/example/coffee.jpg");

/// Names and seeds of the generated scenes, chosen to show different things.
const SCENES: [(&str, u64, u32, u32); 5] = [
    ("scene-1.png", 11, 960, 720),
    ("scene-2.png", 23, 960, 720),
    ("scene-3.png", 35, 720, 960),
    ("scene-4.png", 47, 960, 720),
    ("scene-5.png", 59, 800, 800),
];

/// Writes the samples that are missing into `folder`; what is there stays.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let photograph = folder.join("coffee.jpg");
    if !photograph.exists() {
        AtomicFile::write(&photograph, PHOTOGRAPH, Existing::Refuse)?;
    }
    for (name, seed, width, height) in SCENES {
        let path = folder.join(name);
        if path.exists() {
            continue;
        }
        let config = SceneConfig::new(ImageSize::new(width, height)).map_err(io::Error::other)?;
        let scene = scenes::generate(&config, seed);
        image_file::write_rgb_png(&path, &scene.image).map_err(io::Error::other)?;
    }
    Ok(())
}
