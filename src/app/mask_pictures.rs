//! Small pictures of masks for the inspector, kept so that they are not made in every frame.

use eframe::egui::{Color32, ColorImage, Context, TextureHandle, TextureOptions};

use super::theme;
use crate::geometry::PixelRect;
use crate::mask::{Mask, Rle};

/// Pictures that are kept.
const KEPT: usize = 6;

/// Longest side of a picture in texels: enough for its place on a fine screen.
const LONGEST: u32 = 256;

/// What a picture shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MaskPicture<'a> {
    /// The mask that was drawn.
    pub(super) drawn: &'a Rle,
    /// The mask that the words give back, to show how they differ.
    pub(super) rebuilt: Option<&'a Rle>,
    /// The part of the image that is shown.
    pub(super) bounds: PixelRect,
}

struct Kept {
    drawn: Rle,
    rebuilt: Option<Rle>,
    bounds: PixelRect,
    texture: TextureHandle,
}

/// The pictures that were drawn last.
#[derive(Default)]
pub(super) struct MaskPictures {
    kept: Vec<Kept>,
}

impl MaskPictures {
    /// The picture as a texture.
    pub(super) fn get(&mut self, ctx: &Context, picture: &MaskPicture<'_>) -> TextureHandle {
        let is_it = |kept: &&Kept| {
            kept.drawn == *picture.drawn
                && kept.rebuilt.as_ref() == picture.rebuilt
                && kept.bounds == picture.bounds
        };
        if let Some(kept) = self.kept.iter().find(is_it) {
            return kept.texture.clone();
        }
        if self.kept.len() >= KEPT {
            self.kept.remove(0);
        }
        let texture = ctx.load_texture("mask picture", drawn_image(picture), TextureOptions::NEAREST);
        self.kept.push(Kept {
            drawn: picture.drawn.clone(),
            rebuilt: picture.rebuilt.cloned(),
            bounds: picture.bounds,
            texture: texture.clone(),
        });
        texture
    }
}

impl std::fmt::Debug for MaskPictures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MaskPictures")
            .field("kept", &self.kept.len())
            .finish()
    }
}

fn drawn_image(picture: &MaskPicture<'_>) -> ColorImage {
    let drawn = Mask::from_rle(picture.drawn);
    let rebuilt = picture.rebuilt.map(Mask::from_rle);
    let PixelRect { x, y, width, height } = picture.bounds;
    let longest = width.max(height).max(1);
    let texels =
        |px: u32| (u64::from(px) * u64::from(LONGEST.min(longest)) / u64::from(longest)).max(1) as u32;
    let (columns, rows) = (texels(width), texels(height));
    let color = |column: u32, row: u32| {
        let at = (x + (column * width) / columns, y + (row * height) / rows);
        let is_drawn = drawn.get(at.0, at.1);
        match rebuilt.as_ref().map(|rebuilt| rebuilt.get(at.0, at.1)) {
            None if is_drawn => Color32::from_gray(0xe0),
            Some(true) if is_drawn => theme::color(theme::BOTH),
            Some(true) => theme::color(theme::ONLY_REBUILT),
            Some(false) if is_drawn => theme::color(theme::ONLY_DRAWN),
            None | Some(false) => Color32::TRANSPARENT,
        }
    };
    let pixels = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (column, row)))
        .map(|(c, r)| color(c, r));
    ColorImage::new([columns as usize, rows as usize], pixels.collect())
}
