//! Dialogs of the system that ask for a path, on a thread of their own so that the window goes on drawing.

use std::io;
use std::path::PathBuf;
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use eframe::egui;

use super::state::PathWish;

/// Suffixes of images that can be read.
const IMAGES: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "jfif"];

/// A dialog that is open.
#[derive(Debug)]
pub(super) struct NativeDialog {
    pub(super) wish: PathWish,
    answer: Receiver<Option<PathBuf>>,
}

impl NativeDialog {
    /// Opens a dialog with this title.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(super) fn open(
        ctx: &egui::Context,
        wish: PathWish,
        title: &str,
        folder: Option<PathBuf>,
    ) -> io::Result<Self> {
        let mut dialog = rfd::AsyncFileDialog::new().set_title(title);
        if let Some(folder) = folder {
            dialog = dialog.set_directory(folder);
        }
        let (sender, answer) = bounded(1);
        let ctx = ctx.clone();
        let run = move |path: Option<rfd::FileHandle>| {
            // A window that is gone needs no answer.
            let _sent = sender.send(path.map(|path| path.path().to_path_buf()));
            ctx.request_repaint();
        };
        // The dialog is made here, as some systems demand, and waited for elsewhere.
        let named = thread::Builder::new().name("samtok-dialog".to_owned());
        match wish {
            PathWish::Folder
            | PathWish::ModelFolder
            | PathWish::LanguageFolder
            | PathWish::ExportFolder
            | PathWish::ImportFolder => {
                let chosen = dialog.pick_folder();
                named.spawn(move || run(pollster::block_on(chosen)))?;
            }
            PathWish::Image => {
                let chosen = dialog.add_filter("Images", &IMAGES).pick_file();
                named.spawn(move || run(pollster::block_on(chosen)))?;
            }
            PathWish::ModelFile => {
                let chosen = dialog
                    .add_filter("Weights", &["safetensors", "pth", "pt"])
                    .pick_file();
                named.spawn(move || run(pollster::block_on(chosen)))?;
            }
            PathWish::ImportFile => {
                let chosen = dialog.pick_file();
                named.spawn(move || run(pollster::block_on(chosen)))?;
            }
        }
        Ok(Self { wish, answer })
    }

    /// The answer, once it is there: `Some(None)` if the person chose nothing.
    pub(super) fn try_answer(&self) -> Option<Option<PathBuf>> {
        self.answer.try_recv().ok()
    }
}
