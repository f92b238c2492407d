//! The network's steps one by one, without resizing and files, so that they can be timed beside other programs.
//!
//! `benches/README.md` says from where to where each step goes.

use super::network::ImageView;
use super::sam2::mask_decoder::Candidates;
use super::{EmbeddedImage, MaskTokenizer, Result, preprocess};
use crate::geometry::ImageSize;
use crate::image_file::{RgbImage, resize};
use crate::mask::Mask;
use crate::words::MaskCodes;
use candle_core::Tensor;

/// One image and some of its masks, in the form in which the network takes them.
#[derive(Debug)]
pub struct Workload<'a> {
    tokenizer: &'a MaskTokenizer,
    size: ImageSize,
    /// Normalised pixels of the resized image, channels last.
    pixels: Vec<f32>,
    /// Every mask on the network's grid.
    prompts: Vec<Vec<f32>>,
    /// Their boxes in pixels of the network's input.
    boxes: Vec<[f32; 4]>,
}

impl<'a> Workload<'a> {
    /// Prepares `image` and `masks` of its size.
    ///
    /// # Errors
    /// If a mask is empty.
    pub fn new(tokenizer: &'a MaskTokenizer, image: &RgbImage, masks: &[&Mask]) -> Result<Self> {
        let config = &tokenizer.config;
        let side = config.logits_size();
        let boxes = masks
            .iter()
            .map(|mask| preprocess::mask_box(mask, config.image_size));
        Ok(Self {
            tokenizer,
            size: image.size,
            pixels: preprocess::normalised(&resized(tokenizer, image)),
            prompts: masks
                .iter()
                .map(|mask| preprocess::mask_prompt(mask, side))
                .collect(),
            boxes: boxes.collect::<Result<_>>()?,
        })
    }

    /// Normalised pixels to the features that both heads use.
    ///
    /// # Errors
    /// If the device fails.
    pub fn encode_image(&self) -> Result<EmbeddedImage> {
        let MaskTokenizer {
            config,
            device,
            network,
            ..
        } = self.tokenizer;
        let patches = preprocess::patches(&[&self.pixels], config.image_size, device)?;
        let levels = network.image_encoder.forward(&patches)?;
        let embedded = EmbeddedImage {
            size: self.size,
            model: self.tokenizer.fingerprint,
            features: network.head_features(&levels[2])?,
            high_resolution: network
                .heads
                .mask_decoder
                .high_resolution(&levels[0], &levels[1])?,
            prompt_high_resolution: None,
        };
        device.synchronize()?;
        Ok(embedded)
    }

    /// The first `count` masks and their boxes to codes, in one batch.
    ///
    /// # Errors
    /// If the device fails, or there are fewer masks.
    pub fn encode_masks(&self, image: &EmbeddedImage, count: usize) -> Result<Vec<MaskCodes>> {
        let MaskTokenizer {
            config,
            device,
            network,
            quantizer,
            format,
            ..
        } = self.tokenizer;
        let side = config.logits_size();
        let boxes: Vec<[f32; 4]> = self.boxes.iter().copied().take(count).collect();
        let prompts: Vec<f32> = self.prompts.iter().take(count).flatten().copied().collect();
        let prompts = Tensor::from_vec(prompts, (count, side, side), device)?;
        let view = ImageView {
            features: &image.features,
            high_resolution: &image.high_resolution,
        };
        let embeddings = network.encode_masks(view, &prompts, &boxes)?.to_vec2::<f32>()?;
        embeddings
            .iter()
            .map(|embedding| Ok(format.codes(&quantizer.encode(embedding))?))
            .collect()
    }

    /// Codes to the best logits of each on the network's grid, in one batch.
    ///
    /// # Errors
    /// If the device fails, or the codes are of another model.
    pub fn decode_masks(&self, image: &EmbeddedImage, codes: &[MaskCodes]) -> Result<Vec<f32>> {
        let embeddings = codes.iter().map(|codes| self.tokenizer.embed_codes(codes));
        let predictions = self.tokenizer.decode_batch(
            image,
            embeddings.collect::<Result<_>>()?,
            Candidates::BestOfThree,
        )?;
        Ok(predictions.logits.flatten_all()?.to_vec1::<f32>()?)
    }
}

/// The image at the size of the network's input.
#[must_use]
pub fn resized(tokenizer: &MaskTokenizer, image: &RgbImage) -> RgbImage {
    let side = tokenizer.config.image_size as u32;
    resize::bicubic_rgb(image, ImageSize::new(side, side))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::{ChosenDevice, ModelFiles};
    use std::path::Path;

    #[test]
    fn the_steps_are_those_of_the_tokenizer() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden_tiny");
        let tokenizer =
            MaskTokenizer::load(&ModelFiles::open(&folder).unwrap(), &ChosenDevice::cpu()).unwrap();
        let size = ImageSize::new(60, 40);
        let pixels = (0..size.area() * 3)
            .map(|index| (index * 7 % 251) as u8)
            .collect();
        let image = RgbImage { size, pixels };
        let mask = Mask::from_fn(size, |x, y| x > 20 && y > x / 2).unwrap();

        let workload = Workload::new(&tokenizer, &image, &[&mask]).unwrap();
        let embedded = workload.encode_image().unwrap();
        let codes = workload.encode_masks(&embedded, 1).unwrap();
        let logits = workload.decode_masks(&embedded, &codes).unwrap();

        let expected = tokenizer.embed_image(&image).unwrap();
        let encoded = tokenizer.encode(&expected, &[&mask]).unwrap();
        assert_eq!(codes, [encoded[0].codes.clone()]);
        let decoded = tokenizer.decode(&expected, &codes).unwrap();
        let clamped: Vec<f32> = logits.iter().map(|logit| logit.clamp(-32.0, 32.0)).collect();
        assert_eq!(clamped, decoded[0].logits);
    }
}
