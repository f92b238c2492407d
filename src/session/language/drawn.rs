//! Masks of codes that a language model wrote, drawn by the network and kept by image.

use std::collections::HashMap;

use crate::mask::Rle;
use crate::session::Session;
use crate::words::MaskCodes;
use crate::worker::network::{DrawnMask, ImageKey, NetworkImage, NetworkRequest};

/// Codes that the network draws in one go; clicks are answered in between.
const BATCH: usize = 8;

/// Images whose masks are kept.
const IMAGES: usize = 64;

/// What there is of a mask.
#[derive(Clone, Debug, PartialEq)]
pub enum Drawing {
    /// The network is at it, or will be.
    Asked,
    /// The mask.
    Done(Rle),
    /// It cannot be drawn; why.
    Failed(String),
}

/// Masks by image and codes.
#[derive(Debug, Default)]
pub(super) struct Drawn {
    by_image: HashMap<ImageKey, HashMap<MaskCodes, Drawing>>,
    requests: HashMap<u64, (ImageKey, Vec<MaskCodes>)>,
}

impl Drawn {
    pub(super) fn get(&self, image: ImageKey, codes: &MaskCodes) -> Option<&Drawing> {
        self.by_image.get(&image)?.get(codes)
    }

    /// Forgets everything, because another network draws other masks.
    pub(super) fn clear(&mut self) {
        self.by_image.clear();
        self.requests.clear();
    }

    /// Takes what was drawn; `false` if somebody else asked for it.
    pub(super) fn take(&mut self, id: u64, masks: &[DrawnMask]) -> bool {
        let Some((image, codes)) = self.requests.remove(&id) else {
            return false;
        };
        let drawn = self.by_image.entry(image).or_default();
        for (codes, mask) in codes.into_iter().zip(masks) {
            drawn.insert(codes, Drawing::Done(mask.mask.to_rle()));
        }
        true
    }

    /// Notes that what was asked of an image cannot be drawn; answers whether anything was.
    pub(super) fn fail(&mut self, image: ImageKey, reason: &str) -> bool {
        let before = self.requests.len();
        self.requests.retain(|_, (of, _)| *of != image);
        let waiting = self
            .by_image
            .get_mut(&image)
            .into_iter()
            .flat_map(HashMap::values_mut);
        for drawing in waiting.filter(|drawing| **drawing == Drawing::Asked) {
            *drawing = Drawing::Failed(reason.to_owned());
        }
        self.requests.len() < before
    }
}

impl Session {
    /// Asks the network for the masks of codes that it was not asked for yet.
    pub(super) fn want_drawn(&mut self, image: &NetworkImage, codes: impl IntoIterator<Item = MaskCodes>) {
        if self.model_info().is_none() {
            return;
        }
        let drawn = &mut self.language.drawn;
        if drawn.by_image.len() > IMAGES {
            drawn.by_image.retain(|key, _| *key == image.key);
        }
        let known = drawn.by_image.entry(image.key).or_default();
        let mut wanted = Vec::new();
        for codes in codes {
            if !known.contains_key(&codes) {
                known.insert(codes.clone(), Drawing::Asked);
                wanted.push(codes);
            }
        }
        for codes in wanted.chunks(BATCH) {
            let id = self.request_id();
            self.language
                .drawn
                .requests
                .insert(id, (image.key, codes.to_vec()));
            self.ask_network(NetworkRequest::Decode {
                image: image.clone(),
                id,
                codes: codes.to_vec(),
            });
        }
    }
}
