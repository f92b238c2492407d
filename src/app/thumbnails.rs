//! Small pictures of the list as textures, as many as are worth keeping.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};

use eframe::egui::{ColorImage, Context, TextureHandle, TextureOptions};

use crate::session::Session;

/// Pictures that are kept.
const KEPT: usize = 600;

/// Pictures that are asked for at once.
const ASKED: usize = 24;

/// The pictures.
#[derive(Default)]
pub(super) struct Thumbnails {
    kept: HashMap<PathBuf, Option<TextureHandle>>,
    order: VecDeque<PathBuf>,
    asked: HashSet<PathBuf>,
}

impl Thumbnails {
    /// Takes the pictures that arrived.
    pub(super) fn update(&mut self, ctx: &Context, session: &mut Session) {
        for (path, picture) in session.take_thumbnails() {
            self.asked.remove(&path);
            let texture = picture.map(|picture| {
                let size = [picture.size.width as usize, picture.size.height as usize];
                let image = ColorImage::from_rgb(size, &picture.pixels);
                ctx.load_texture(path.display().to_string(), image, TextureOptions::LINEAR)
            });
            if self.kept.insert(path.clone(), texture).is_none() {
                self.order.push_back(path);
            }
            if self.order.len() > KEPT
                && let Some(oldest) = self.order.pop_front()
            {
                self.kept.remove(&oldest);
            }
        }
    }

    /// The picture of an image; asks for it where it is not there.
    pub(super) fn get(&mut self, path: &Path, session: &mut Session) -> Option<TextureHandle> {
        if let Some(texture) = self.kept.get(path) {
            return texture.clone();
        }
        if self.asked.len() < ASKED && self.asked.insert(path.to_path_buf()) {
            session.want_thumbnail(path);
        }
        None
    }

    /// Forgets everything, for another folder.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl std::fmt::Debug for Thumbnails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thumbnails")
            .field("kept", &self.kept.len())
            .finish_non_exhaustive()
    }
}
