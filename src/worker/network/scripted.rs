//! A network with simple rules instead of weights, so that tests of everything around it know what to expect.

use std::path::Path;
use std::time::Duration;

use super::{MaskModel, ModelChoice, ModelInfo};
use crate::geometry::{ImageSize, PixelRect};
use crate::image_file::RgbImage;
use crate::mask::Mask;
use crate::tokenizer::{DecodedMask, Prompt};
use crate::words::{MaskCodes, WordFormat};
use crate::worker::tokenize::{TokenizeOptions, TokenizeProgress, TokenizeSummary};

/// The scripted network.
///
/// A mask's words are a sixteenth of the columns and rows of its box's middle, and give back a square around it.
/// A click is answered by a square around the first point, or by the box. The name of the choice's file says what goes
/// wrong: `broken` does not load, `panics` panics when it embeds, `slow` takes a while for each image.
#[derive(Debug)]
pub(crate) struct ScriptedModel {
    info: ModelInfo,
    panics: bool,
    delay: Duration,
}

/// Half the side of the squares.
pub(crate) const HALF_PX: u32 = 10;

pub(crate) fn load(choice: &ModelChoice) -> Result<ScriptedModel, String> {
    let name = choice
        .path
        .as_deref()
        .map_or("scripted", |path| path.to_str().unwrap_or_default());
    if name == "broken" {
        return Err("the file is broken: broken".to_owned());
    }
    Ok(ScriptedModel {
        info: ModelInfo {
            name: name.to_owned(),
            fingerprint: format!("{:0>64}", name.len()),
            format: WordFormat::default(),
            device: "CPU".to_owned(),
            device_reason: "it is scripted".to_owned(),
            location: "a test".to_owned(),
            input_px: 64,
        },
        panics: name == "panics",
        delay: if name == "slow" {
            Duration::from_millis(150)
        } else {
            Duration::ZERO
        },
    })
}

fn square(size: ImageSize, x: u32, y: u32) -> DecodedMask {
    let mut mask = Mask::empty(size).unwrap();
    let (left, top) = (x.saturating_sub(HALF_PX), y.saturating_sub(HALF_PX));
    let rect = PixelRect::new(left, top, 2 * HALF_PX, 2 * HALF_PX);
    mask.fill_rect(rect.intersection(PixelRect::covering(size)).unwrap(), true);
    DecodedMask {
        mask,
        predicted_iou: 0.9,
        object_score: 1.0,
        logits: vec![x as f32, y as f32],
    }
}

impl MaskModel for ScriptedModel {
    type Embedding = ImageSize;

    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn embed(&self, image: &RgbImage) -> Result<ImageSize, String> {
        assert!(!self.panics, "the scripted network was told to panic");
        std::thread::sleep(self.delay);
        Ok(image.size)
    }

    fn embedding_bytes(&self, _: &ImageSize) -> usize {
        1000
    }

    fn store(&self, embedding: &ImageSize) -> Option<Vec<u8>> {
        Some([embedding.width.to_le_bytes(), embedding.height.to_le_bytes()].concat())
    }

    fn restore(&self, bytes: &[u8]) -> Option<ImageSize> {
        let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
        Some(ImageSize::new(number(bytes.get(..4)?)?, number(bytes.get(4..)?)?))
    }

    fn encode(
        &self,
        image: &ImageSize,
        masks: &[&Mask],
        _: Option<usize>,
    ) -> Result<Vec<(MaskCodes, DecodedMask)>, String> {
        masks
            .iter()
            .map(|mask| {
                let bounds = mask.bounding_box().ok_or("the mask is empty")?;
                let codes = [
                    (bounds.x + bounds.width / 2) / 16,
                    (bounds.y + bounds.height / 2) / 16,
                ];
                let codes = self
                    .info
                    .format
                    .codes(&codes)
                    .map_err(|error| error.to_string())?;
                let decoded = self.decode(image, std::slice::from_ref(&codes))?.remove(0);
                Ok((codes, decoded))
            })
            .collect()
    }

    fn decode(&self, image: &ImageSize, codes: &[MaskCodes]) -> Result<Vec<DecodedMask>, String> {
        let at = |code: Option<u32>, most: u32| (code.unwrap_or(0) * 16 + 8).min(most - 1);
        Ok(codes
            .iter()
            .map(|codes| {
                square(
                    *image,
                    at(codes.get(0), image.width),
                    at(codes.get(1), image.height),
                )
            })
            .collect())
    }

    fn segment(&self, image: &ImageSize, prompt: &Prompt) -> Result<Vec<DecodedMask>, String> {
        let at = prompt.points.first().map(|(at, _)| (at.x, at.y));
        let middle = prompt
            .rect
            .map(|rect| ((rect.x0 + rect.x1) / 2.0, (rect.y0 + rect.y1) / 2.0));
        let (x, y) = at.or(middle).ok_or("nothing was clicked")?;
        Ok(vec![square(*image, x as u32, y as u32)])
    }

    fn tokenize_folder(
        &self,
        _: &Path,
        _: &TokenizeOptions,
        report: &mut dyn FnMut(&TokenizeProgress) -> bool,
    ) -> Result<TokenizeSummary, String> {
        let mut summary = TokenizeSummary::default();
        // A slow one goes on until it is stopped.
        let total = if self.delay.is_zero() { 600 } else { 20_000 };
        for done in 0..total {
            summary.progress = TokenizeProgress {
                total,
                done,
                ..TokenizeProgress::default()
            };
            if !report(&summary.progress) {
                summary.is_cancelled = true;
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(summary)
    }
}
