//! Whether the image is there, and still the one that was annotated.

use std::fs::File;
use std::io;
use std::path::Path;

use super::findings::{Code, Subject};
use super::recorder::Recorder;
use super::without_path;
use crate::dataset::ImageRef;
use crate::image_file;

/// Compares the image at `path` with what its sidecar says of it; its bytes are read only if that is asked for.
pub(super) fn check(path: &Path, recorded: &ImageRef, recorder: &mut Recorder<'_>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if recorded.file_name != name {
        let message = format!("the sidecar is about {:?}", recorded.file_name);
        let at = "image.file_name".to_owned();
        recorder.add_at(Code::ImageNameDiffers, &Subject::Image, at, message);
    }
    if recorder.wants(Code::ImageUnreadable) || recorder.wants(Code::ImageSizeDiffers) {
        match image_file::read_size(path) {
            Err(error) => {
                recorder.add(Code::ImageUnreadable, &Subject::Image, without_path(&error, path));
                return;
            }
            Ok(size) if size != recorded.size => {
                let message = format!(
                    "the image has {size} pixels, its annotations are for {}",
                    recorded.size
                );
                recorder.add(Code::ImageSizeDiffers, &Subject::Image, message);
            }
            Ok(_) => {}
        }
    }
    if let Some(expected) = &recorded.blake3
        && recorder.wants(Code::ImageChanged)
    {
        match blake3_of(path) {
            Err(error) => recorder.add(Code::ImageUnreadable, &Subject::Image, error.to_string()),
            Ok(found) if !found.eq_ignore_ascii_case(expected) => {
                let message = "the file is not the one that was annotated: its BLAKE3 differs";
                recorder.add(Code::ImageChanged, &Subject::Image, message);
            }
            Ok(_) => {}
        }
    }
}

/// BLAKE3 of the file's bytes in hexadecimal; the file is never in memory as a whole.
fn blake3_of(path: &Path) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}
