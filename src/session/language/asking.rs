//! Questions on their way: words of what they mention first, then the model, then the masks of the answer.

use std::path::PathBuf;
use std::sync::Arc;

use super::chat::TurnState;
use super::drawn::Drawing;
use super::proposing::Wish;
use crate::dataset::{Document, mask_blake3, mention};
use crate::image_file::zoom::ZoomCut;
use crate::language::tasks::{AskedRegion, VisionTask, ZoomIn};
use crate::language::{ChatRequest, LanguageError};
use crate::mask::{Mask, Rle};
use crate::session::Session;
use crate::words::MaskCodes;
use crate::worker::language::LanguageRequest;
use crate::worker::network::{ImageKey, NetworkImage, NetworkRequest, RegionWords, WordsJob};

/// What a question is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// A turn of the chat.
    Chat,
    /// Proposals.
    Propose(Wish),
}

/// A region that a question mentions.
#[derive(Clone, Debug)]
pub(super) struct AskedMask {
    pub(super) id: String,
    mask: Rle,
    words: Option<String>,
}

/// The closer look at a small region.
#[derive(Clone, Debug)]
struct CloserLook {
    image: NetworkImage,
    mask: Rle,
    words: Option<String>,
}

/// How far a question is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    /// Words of regions are being made.
    Words,
    /// The model has it.
    Asked,
    /// The model looks at it.
    Begun,
    /// It is answered; the masks are being drawn, or its image is not on screen.
    Answered { answer: String, codes: Vec<MaskCodes> },
}

/// A question.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) id: u64,
    /// The image's file.
    pub(super) path: PathBuf,
    pub(super) image: NetworkImage,
    pub(super) purpose: Purpose,
    pub(super) regions: Vec<AskedMask>,
    look: Option<CloserLook>,
    pub(super) stage: Stage,
    /// The question as it is kept.
    pub(super) kept: String,
}

impl Session {
    /// Begins to ask about the image on screen; `ids` are the regions that are meant.
    pub(super) fn begin_ask(&mut self, id: u64, purpose: Purpose, ids: &[String]) {
        let vocabulary = self.vocabulary();
        let Some(open) = &self.open else { return };
        let document = open.document();
        let image = open.image.for_network();
        let asked = |id: &String| {
            let region = document.region(id)?;
            let words = vocabulary
                .as_ref()
                .and_then(|vocabulary| vocabulary.words_of(document, region));
            Some(AskedMask {
                id: id.clone(),
                mask: region.mask.rle.clone(),
                words: words.map(str::to_owned),
            })
        };
        let regions: Vec<AskedMask> = ids.iter().filter_map(asked).collect();
        let is_caption = matches!(&purpose, Purpose::Propose(wish) if wish.task == VisionTask::Caption);
        let look = regions.first().filter(|_| is_caption);
        let look = look.and_then(|region| CloserLook::at(&region.mask, &image));
        self.language.asks.push(Ask {
            id,
            path: open.path.clone(),
            image,
            purpose,
            regions,
            look,
            stage: Stage::Words,
            kept: String::new(),
        });
        self.want_words_of_asks();
        self.advance_asks();
    }

    /// Asks for the words that questions wait for; also again after another image or model came.
    pub(in crate::session) fn want_words_of_asks(&mut self) {
        let mut wanted = Vec::new();
        for ask in self.language.asks.iter().filter(|ask| ask.stage == Stage::Words) {
            let jobs: Vec<WordsJob> = ask.missing().collect();
            if !jobs.is_empty() {
                wanted.push((ask.image.clone(), jobs));
            }
            if let Some(look) = ask.look.as_ref().filter(|look| look.words.is_none()) {
                let region = String::new();
                let mask = look.mask.clone();
                wanted.push((look.image.clone(), vec![WordsJob { region, mask }]));
            }
        }
        for (image, jobs) in wanted {
            self.ask_network(NetworkRequest::Words {
                image,
                jobs,
                search_width: None,
            });
        }
    }

    /// Takes words that questions wait for.
    pub(in crate::session) fn take_words_of_asks(&mut self, image: ImageKey, made: &[RegionWords]) {
        for ask in &mut self.language.asks {
            if let Some(look) = ask.look.as_mut().filter(|look| look.image.key == image)
                && let Some(made) = made.iter().find(|made| is_of(made, &look.mask))
            {
                look.words = Some(made.words.text.clone());
            }
            if ask.image.key != image {
                continue;
            }
            for region in ask.regions.iter_mut().filter(|region| region.words.is_none()) {
                let made = made.iter().find(|made| is_of(made, &region.mask));
                region.words = made.map(|made| made.words.text.clone());
            }
        }
    }

    /// Notes that an image's words cannot be made.
    pub(in crate::session) fn fail_words_of_asks(&mut self, image: ImageKey, reason: &str) {
        let waits = |ask: &&Ask| {
            let looks = ask.look.as_ref().is_some_and(|look| look.image.key == image);
            ask.stage == Stage::Words && (looks || ask.image.key == image)
        };
        let failed: Vec<u64> = self
            .language
            .asks
            .iter()
            .filter(waits)
            .map(|ask| ask.id)
            .collect();
        for id in failed {
            self.fail_ask(id, format!("the words of the regions cannot be made: {reason}"));
        }
    }

    /// Moves every question on that can go on.
    pub(in crate::session) fn advance_asks(&mut self) {
        let ready: Vec<u64> = self
            .language
            .asks
            .iter()
            .filter(|ask| match &ask.stage {
                Stage::Words => ask.has_words(),
                Stage::Answered { codes, .. } => {
                    let is_shown = self.open.as_ref().is_some_and(|open| open.path == ask.path);
                    let drawn = &self.language.drawn;
                    is_shown
                        && codes.iter().all(|codes| {
                            !matches!(drawn.get(ask.image.key, codes), None | Some(Drawing::Asked))
                        })
                }
                Stage::Asked | Stage::Begun => false,
            })
            .map(|ask| ask.id)
            .collect();
        for id in ready {
            let Some(place) = self.language.asks.iter().position(|ask| ask.id == id) else {
                continue;
            };
            if self.language.asks[place].stage == Stage::Words {
                self.send_ask(place);
            } else {
                let ask = self.language.asks.remove(place);
                self.take_proposals(&ask);
            }
        }
    }

    /// Hands a question to the model.
    fn send_ask(&mut self, place: usize) {
        let ask = &self.language.asks[place];
        let id = ask.id;
        let request = match self.request_of(ask) {
            Ok((request, kept)) => {
                self.language.asks[place].kept = kept;
                request
            }
            Err(error) => return self.fail_ask(id, error.to_string()),
        };
        self.language.asks[place].stage = Stage::Asked;
        if !self.language.worker.send(LanguageRequest::Ask { id, request }) {
            self.fail_ask(
                id,
                "too many questions wait; ask again when they are answered".to_owned(),
            );
        }
    }

    /// The question in the words that models are trained on, and as it is kept.
    fn request_of(&self, ask: &Ask) -> Result<(ChatRequest, String), LanguageError> {
        let image = &ask.image.rgb;
        let prompts = &self.language.prompts;
        let regions: Vec<AskedRegion<'_>> = ask.regions.iter().filter_map(AskedMask::as_asked).collect();
        let wish = match &ask.purpose {
            Purpose::Chat => {
                return self
                    .chat_request(ask, &regions)
                    .map(|request| (request, String::new()));
            }
            Purpose::Propose(wish) => wish,
        };
        let request = match wish.task {
            VisionTask::Caption => {
                let own = regions.first().map_or("", |region| region.words);
                prompts.caption_region(
                    image,
                    own,
                    ask.look.as_ref().and_then(CloserLook::zoom_in).as_ref(),
                )?
            }
            VisionTask::Ask => prompts.ask(image, &wish.text, &regions)?,
            VisionTask::Describe => prompts.describe(image, false)?,
            VisionTask::Segment => prompts.segment(image, &wish.text)?,
            VisionTask::Detect => {
                prompts.detect(image, &wish.text.split([',', '，', '、']).collect::<Vec<_>>())?
            }
            VisionTask::Refine => prompts.refine(image, &[], &wish.text, &regions)?,
        };
        let kept = match wish.task {
            VisionTask::Ask => wish.with_mentions(),
            _ => request
                .messages
                .last()
                .map(crate::language::Message::said)
                .unwrap_or_default(),
        };
        Ok((request, kept))
    }

    /// Gives a question up and says why, where it was asked.
    pub(super) fn fail_ask(&mut self, id: u64, reason: String) {
        let Some(place) = self.language.asks.iter().position(|ask| ask.id == id) else {
            return;
        };
        let ask = self.language.asks.remove(place);
        self.language.worker.cancel(id);
        match ask.purpose {
            Purpose::Chat => self.end_chat_turn(&ask, TurnState::Failed(reason)),
            Purpose::Propose(wish) => {
                self.notices.error(format!("no proposals: {reason}"));
                self.language.failed(&ask.path, wish, reason);
            }
        }
    }
}

impl Ask {
    fn missing(&self) -> impl Iterator<Item = WordsJob> {
        let missing = self.regions.iter().filter(|region| region.words.is_none());
        missing.map(|region| WordsJob {
            region: region.id.clone(),
            mask: region.mask.clone(),
        })
    }

    fn has_words(&self) -> bool {
        self.regions.iter().all(|region| region.words.is_some())
            && self.look.as_ref().is_none_or(|look| look.words.is_some())
    }
}

impl AskedMask {
    /// A mask of the chat, whose words are known.
    pub(super) fn as_asked(&self) -> Option<AskedRegion<'_>> {
        Some(AskedRegion {
            id: &self.id,
            words: self.words.as_deref()?,
        })
    }
}

impl CloserLook {
    /// The crop around a small region; `None` where it is large enough to be seen.
    fn at(mask: &Rle, image: &NetworkImage) -> Option<Self> {
        let cut = ZoomCut::around(mask.bounding_box()?, image.rgb.size)?;
        let mask = cut
            .mask(&Mask::from_rle(mask))
            .ok()
            .filter(|mask| !mask.is_empty())?;
        let rgb = Arc::new(cut.image(&image.rgb));
        // The crop is another image to the network; its name must not be that of one on disk.
        let mut hasher = blake3::Hasher::new();
        hasher.update(&image.key.0).update(&rgb.pixels);
        Some(Self {
            image: NetworkImage {
                key: ImageKey(*hasher.finalize().as_bytes()),
                rgb,
            },
            mask: mask.to_rle(),
            words: None,
        })
    }

    fn zoom_in(&self) -> Option<ZoomIn> {
        Some(ZoomIn {
            image: Arc::clone(&self.image.rgb),
            words: self.words.clone()?,
        })
    }
}

/// Whether words were made of this mask.
fn is_of(made: &RegionWords, mask: &Rle) -> bool {
    made.words.mask_blake3 == mask_blake3(mask)
}

/// The regions of the document that a text mentions, each once.
pub(super) fn mentioned_regions(document: &Document, text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for candidate in mention::candidates(text) {
        if document.region(candidate.id).is_some() && !found.iter().any(|id| id == candidate.id) {
            found.push(candidate.id.to_owned());
        }
    }
    found
}
