//! Keeps the words of the open image up to date, without ever replacing those of another model unasked.

use super::{Session, Severity};
use crate::dataset::{Document, Edit, EditError, MaskWords, Region, RegionChange};
use crate::session::Rebuilt;
use crate::worker::network::{ModelInfo, NetworkRequest, RegionWords, WordsJob};

/// Codebook rows tried at every step when better words are searched.
pub(super) const SEARCH_WIDTH: usize = 4;

/// How a region's words stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordsState {
    /// They were made of the present mask, with the model in use.
    Fresh,
    /// There are none yet.
    Missing,
    /// The mask changed since.
    Stale,
    /// They were made with another model.
    OtherModel,
}

/// How the words of `region` stand towards `model`.
#[must_use]
pub fn words_state(document: &Document, region: &Region, model: Option<&ModelInfo>) -> WordsState {
    let Some(words) = &region.words else {
        return WordsState::Missing;
    };
    let tokenizer = document
        .tokenizers
        .iter()
        .find(|tokenizer| tokenizer.id == words.tokenizer);
    let is_other = tokenizer
        .zip(model)
        .is_some_and(|(tokenizer, model)| tokenizer.fingerprint != model.fingerprint);
    if is_other {
        WordsState::OtherModel
    } else if region.has_fresh_words() {
        WordsState::Fresh
    } else {
        WordsState::Stale
    }
}

impl Session {
    /// Asks for words of all regions that have none, or outdated ones of this model; those of another model stay.
    pub(super) fn want_stale_words(&mut self) {
        let Some((model, open)) = self.model_info().zip(self.open()) else {
            return;
        };
        if open.is_read_only() || open.live_mask().is_some() {
            return;
        }
        let document = open.document();
        // A document that speaks another model's words keeps to them until a person decides otherwise.
        let is_foreign = document
            .tokenizers
            .iter()
            .any(|tokenizer| tokenizer.fingerprint != model.fingerprint);
        let wants_words = |region: &&Region| match words_state(document, region, Some(model)) {
            WordsState::Stale => true,
            WordsState::Missing => !is_foreign,
            WordsState::Fresh | WordsState::OtherModel => false,
        };
        let regions = document
            .regions
            .iter()
            .filter(|region| region.mask.rle.area() > 0);
        let jobs: Vec<WordsJob> = regions
            .filter(wants_words)
            .filter(|region| open.asked_words.get(&region.id) != Some(&region.mask.rle))
            .map(|region| WordsJob {
                region: region.id.clone(),
                mask: region.mask.rle.clone(),
            })
            .collect();
        self.ask_words(jobs, None);
    }

    /// Asks for the mask that the words of the selected regions give back, where it is not known.
    pub fn want_rebuilt(&mut self) {
        let Some((model, open)) = self.model_info().zip(self.open()) else {
            return;
        };
        let document = open.document();
        let jobs: Vec<WordsJob> = open
            .selected()
            .iter()
            .filter_map(|id| document.region(id))
            .filter(|region| region.mask.rle.area() > 0)
            .filter(|region| words_state(document, region, Some(model)) == WordsState::Fresh)
            .filter(|region| {
                open.rebuilt
                    .get(&region.id)
                    .is_none_or(|rebuilt| rebuilt.of != region.mask.rle)
            })
            .filter(|region| open.asked_words.get(&region.id) != Some(&region.mask.rle))
            .map(|region| WordsJob {
                region: region.id.clone(),
                mask: region.mask.rle.clone(),
            })
            .collect();
        self.ask_words(jobs, None);
    }

    /// Makes the words of the selected regions, or of all, with this model, whatever made those that are there.
    pub(super) fn refresh_words(&mut self, search_width: Option<usize>) {
        let Some(open) = self.open() else { return };
        let is_meant = |region: &&Region| open.selected().is_empty() || open.is_selected(&region.id);
        let jobs: Vec<WordsJob> = open
            .document()
            .regions
            .iter()
            .filter(is_meant)
            .filter(|region| region.mask.rle.area() > 0)
            .map(|region| WordsJob {
                region: region.id.clone(),
                mask: region.mask.rle.clone(),
            })
            .collect();
        if self.model_info().is_none() {
            self.notices
                .warn("there is no model yet; wait until it is loaded, or choose one");
            return;
        }
        if let Some(open) = self.open_mut() {
            open.replaces_words
                .extend(jobs.iter().map(|job| job.region.clone()));
        }
        self.ask_words(jobs, search_width);
    }

    fn ask_words(&mut self, jobs: Vec<WordsJob>, search_width: Option<usize>) {
        let Some(open) = self.open_mut().filter(|_| !jobs.is_empty()) else {
            return;
        };
        open.asked_words
            .extend(jobs.iter().map(|job| (job.region.clone(), job.mask.clone())));
        let image = open.image.for_network();
        self.ask_network(NetworkRequest::Words {
            image,
            jobs,
            search_width,
        });
    }

    /// Takes the words that came, where the region still has the mask that they were made of.
    pub(super) fn on_words(&mut self, regions: Vec<RegionWords>) {
        let Some(model) = self.model_info().cloned() else {
            return;
        };
        let Some(open) = self.open_mut() else { return };
        let (mut failed, mut stored) = (None, Vec::new());
        for RegionWords {
            region: id,
            words,
            rebuilt,
        } in regions
        {
            let asked = open.asked_words.remove(&id);
            let replaces = open.replaces_words.remove(&id);
            let Some(region) = open.document().region(&id) else {
                continue;
            };
            if asked.as_ref() != Some(&region.mask.rle) {
                continue;
            }
            let mask = region.mask.rle.clone();
            let state = words_state(open.document(), region, Some(&model));
            let is_better = replaces || matches!(state, WordsState::Missing | WordsState::Stale);
            if !is_better && region.words.as_ref().is_some_and(|old| old.codes != words.codes) {
                // The stored words were searched: it is their mask that is to be shown, not that of the plain ones.
                let codes = region
                    .words
                    .as_ref()
                    .map(|old| old.codes.clone())
                    .unwrap_or_default();
                if let Ok(codes) = model.format.codes(&codes) {
                    stored.push((id, mask, codes));
                }
                continue;
            }
            if is_better && let Err(error) = open.set_words(&id, words, &model) {
                failed = Some(error);
            }
            open.rebuilt.insert(
                id,
                Rebuilt {
                    mask: rebuilt,
                    of: mask,
                },
            );
        }
        for (region, of, codes) in stored {
            self.want_stored(region, of, codes);
        }
        if let Some(error) = failed {
            self.notices.add(
                Severity::Warning,
                format!("words could not be noted: {error}"),
                Vec::new(),
            );
        }
        self.autosave();
    }

    /// Words of the selected regions, or of all, for the clipboard; `None` if there are none.
    #[must_use]
    pub fn words_text(&self) -> Option<String> {
        let open = self.open()?;
        let is_meant = |region: &&Region| open.selected().is_empty() || open.is_selected(&region.id);
        let words: Vec<&str> = open
            .document()
            .regions
            .iter()
            .filter(is_meant)
            .filter_map(|region| Some(region.words.as_ref()?.text.as_str()))
            .collect();
        (!words.is_empty()).then(|| words.join(" "))
    }
}

impl super::OpenDocument {
    /// Notes words of a region, listing their tokenizer first where it is new.
    fn set_words(&mut self, id: &str, mut words: MaskWords, model: &ModelInfo) -> Result<(), EditError> {
        let mut listed = Document::new(self.document().image.clone());
        listed.tokenizers.clone_from(&self.document().tokenizers);
        words.tokenizer = listed.tokenizer_id(
            &model.name,
            &model.fingerprint,
            model.format.codebook_size(),
            model.format.codebook_depth(),
        );
        if listed.tokenizers.len() > self.document().tokenizers.len()
            && let Some(tokenizer) = listed.tokenizers.pop()
        {
            self.apply_derived(Edit::AddTokenizer {
                index: usize::MAX,
                tokenizer: Box::new(tokenizer),
            })?;
        }
        if let Some(old) = self
            .document()
            .region(id)
            .and_then(|region| region.words.as_ref())
        {
            words.unknown = old.unknown.clone();
        }
        let change = RegionChange::Words(Some(Box::new(words)));
        self.apply_derived(Edit::Region {
            id: id.to_owned(),
            change,
        })
    }
}

/// Codes as the numbers in their words, for a chip: `0023 · 0311`.
#[must_use]
pub fn chip_text(codes: &[u32], codebook_size: u32) -> String {
    let numbers = codes
        .iter()
        .zip(0_u64..)
        .map(|(code, depth)| format!("{:04}", u64::from(codebook_size) * depth + u64::from(*code)));
    numbers.collect::<Vec<_>>().join(" · ")
}
