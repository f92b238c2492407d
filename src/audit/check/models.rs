//! Whose words a folder has: those of one model, or of several that were never meant to be read together.

use std::collections::BTreeMap;

use super::findings::{Code, Finding, Subject};
use super::recorder::Selection;
use crate::dataset::Document;

/// Models that are told apart; only a folder made to do harm has more.
const MAX_MODELS: usize = 1000;

/// What makes words comparable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Model {
    fingerprint: String,
    codebook_size: u32,
    codebook_depth: u32,
}

impl Model {
    const fn codebooks(&self) -> (u32, u32) {
        (self.codebook_depth, self.codebook_size)
    }
}

/// How much of an image, or of a folder, has words of one model.
#[derive(Clone, Debug)]
struct Use {
    name: String,
    regions: u64,
    images: u64,
    /// The first image with such words.
    first_image: String,
}

/// The models whose words were seen, and how much of the folder has them.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    uses: BTreeMap<Model, Use>,
}

impl Models {
    /// The models of one image.
    pub(super) fn of(image: &str, document: &Document) -> Self {
        let mut models = Self::default();
        for tokenizer in &document.tokenizers {
            let words = document.regions.iter().filter_map(|region| region.words.as_ref());
            let regions = words.filter(|words| words.tokenizer == tokenizer.id).count() as u64;
            // A tokenizer that made no words mixes nothing.
            if regions > 0 {
                let model = Model {
                    fingerprint: tokenizer.fingerprint.clone(),
                    codebook_size: tokenizer.codebook_size,
                    codebook_depth: tokenizer.codebook_depth,
                };
                models.add_use(
                    model,
                    Use {
                        name: tokenizer.name.clone(),
                        regions,
                        images: 1,
                        first_image: image.to_owned(),
                    },
                );
            }
        }
        models
    }

    /// Adds those of the next image.
    pub(super) fn add(&mut self, image: Self) {
        for (model, used) in image.uses {
            self.add_use(model, used);
        }
    }

    fn add_use(&mut self, model: Model, used: Use) {
        if let Some(known) = self.uses.get_mut(&model) {
            known.regions += used.regions;
            known.images += used.images;
        } else if self.uses.len() < MAX_MODELS {
            self.uses.insert(model, used);
        }
    }

    /// A finding for every model but the one with most regions, at the first image that has its words.
    pub(super) fn findings(&self, selection: &Selection) -> Vec<Finding> {
        let Some((main, main_use)) = self.uses.iter().max_by_key(|(_, used)| used.regions) else {
            return Vec::new();
        };
        let others = self.uses.iter().filter(|(model, _)| *model != main);
        let finding = |(model, used): (&Model, &Use)| {
            let (code, difference) = if model.codebooks() == main.codebooks() {
                (Code::MixedModels, String::new())
            } else {
                let [own, others] =
                    [model, main].map(|m| format!("{} x {}", m.codebook_depth, m.codebook_size));
                (
                    Code::MixedCodebooks,
                    format!(" with {own} codes instead of {others}"),
                )
            };
            let message = format!(
                "{} regions in {} images, first in this one, have words of {}{difference}; most of the folder, {} regions, of {}",
                used.regions,
                used.images,
                shown(model, used),
                main_use.regions,
                shown(main, main_use),
            );
            selection.contains(code).then(|| Finding {
                code,
                image: used.first_image.clone(),
                subject: Subject::Image,
                at: None,
                message,
            })
        };
        others.filter_map(finding).collect()
    }
}

/// The model's name with the start of its fingerprint.
fn shown(model: &Model, used: &Use) -> String {
    let short: String = model.fingerprint.chars().take(12).collect();
    format!("{:?} ({})", used.name, short.escape_debug())
}
