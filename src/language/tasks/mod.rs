//! What a model is asked about an image: descriptions, answers and masks, in the words that it was trained on.
//!
//! A question's text may mention regions as `[[r1]]`; they are asked about in the words of their masks.

mod prompts;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

pub use self::prompts::Prompts;
use self::prompts::{Mentions, Prompt};
use super::{ChatRequest, ChatRole, LanguageError, Message, Part, Sampling};
use crate::dataset::mention;
use crate::image_file::RgbImage;

/// What a model can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VisionTask {
    /// Describe a region.
    Caption,
    /// Answer a question about regions.
    Ask,
    /// Describe the image and say where its parts are.
    Describe,
    /// Segment what a text names: one thing, several or nothing.
    Segment,
    /// Segment all things of some categories.
    Detect,
    /// Go on with a conversation.
    Refine,
}

impl VisionTask {
    /// All tasks.
    pub const ALL: [Self; 6] = [
        Self::Caption,
        Self::Ask,
        Self::Describe,
        Self::Segment,
        Self::Detect,
        Self::Refine,
    ];

    /// The name in commands and statistics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caption => "caption",
            Self::Ask => "ask",
            Self::Describe => "describe",
            Self::Segment => "segment",
            Self::Detect => "detect",
            Self::Refine => "refine",
        }
    }

    /// What its conversations train.
    #[must_use]
    pub const fn trains(self) -> crate::dataset::Task {
        use crate::dataset::Task;
        match self {
            Self::Caption => Task::DetailedCaption,
            Self::Ask => Task::RegionQa,
            Self::Describe => Task::GroundedCaption,
            Self::Segment => Task::ReferringSegmentation,
            Self::Detect => Task::Free,
            Self::Refine => Task::Interactive,
        }
    }
}

impl fmt::Display for VisionTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for VisionTask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|task| task.name() == text);
        found.ok_or_else(|| format!("choose one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// A region that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedRegion<'a> {
    /// How the question mentions it.
    pub id: &'a str,
    /// Its mask in words.
    pub words: &'a str,
}

/// An enlarged crop around a small region, see [`ZoomCut`](crate::image_file::zoom::ZoomCut).
#[derive(Clone, Debug)]
pub struct ZoomIn {
    /// The crop.
    pub image: Arc<RgbImage>,
    /// The region's mask on the crop, in words.
    pub words: String,
}

/// An earlier turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierTurn {
    /// Who spoke.
    pub role: ChatRole,
    /// What was said; `[[r1]]` mentions a region.
    pub text: String,
}

/// What is put in for one of the names in braces.
enum Filling<'a> {
    Text(&'a str),
    Image(&'a Arc<RgbImage>),
}

impl Prompts {
    /// Asks for a description of a region; of a small one, with a closer look.
    ///
    /// # Errors
    /// [`LanguageError::Question`] for a prompt that is missing.
    pub fn caption_region(
        &self,
        image: &Arc<RgbImage>,
        words: &str,
        zoom: Option<&ZoomIn>,
    ) -> Result<ChatRequest, LanguageError> {
        let Some(zoom) = zoom else {
            let prompt = self.get("caption_region")?;
            return Ok(prompt.request(image, &[("{SEG}", Filling::Text(words))]));
        };
        let prompt = self.get("caption_region_zoomed")?;
        let fillings = [
            ("{SEG}", Filling::Text(words)),
            ("{ZOOM_IN_SEG}", Filling::Text(&zoom.words)),
            ("<image>", Filling::Image(&zoom.image)),
        ];
        Ok(prompt.request(image, &fillings))
    }

    /// Asks for one description of several regions.
    ///
    /// # Errors
    /// [`LanguageError::Question`] without a region.
    pub fn caption_regions(
        &self,
        image: &Arc<RgbImage>,
        words: &[&str],
    ) -> Result<ChatRequest, LanguageError> {
        let listed = match words {
            [] => return Err(no_region()),
            [only] => (*only).to_owned(),
            [first, second] => format!("{first} and {second}"),
            [others @ .., last] => format!("{}, and {last}", others.join(", ")),
        };
        let prompt = self.get("caption_regions")?;
        Ok(prompt.request(image, &[("{SEG}", Filling::Text(&listed))]))
    }

    /// Asks a question about regions; those that it does not mention stand before it.
    ///
    /// # Errors
    /// [`LanguageError::Question`] for an empty question or one that mentions a region that is not among `regions`.
    pub fn ask(
        &self,
        image: &Arc<RgbImage>,
        question: &str,
        regions: &[AskedRegion<'_>],
    ) -> Result<ChatRequest, LanguageError> {
        let is_mentioned =
            |region: &AskedRegion<'_>| mention::candidates(question).any(|found| found.id == region.id);
        let unmentioned = regions.iter().filter(|region| !is_mentioned(region));
        let mut whole: String = unmentioned.map(|region| format!("[[{}]]\n", region.id)).collect();
        whole.push_str(checked(question)?);
        let prompt = self.get(if regions.len() > 1 {
            "ask_regions"
        } else {
            "ask_region"
        })?;
        let spoken = in_words(&whole, regions, prompt.mentions, &mut Vec::new())?;
        Ok(prompt.request(image, &[("{QUESTION}", Filling::Text(&spoken))]))
    }

    /// Asks for a description of the image that says where its parts are.
    ///
    /// # Errors
    /// [`LanguageError::Question`] for a prompt that is missing.
    pub fn describe(&self, image: &Arc<RgbImage>, briefly: bool) -> Result<ChatRequest, LanguageError> {
        let prompt = self.get(if briefly { "describe_briefly" } else { "describe" })?;
        Ok(prompt.request(image, &[]))
    }

    /// Asks for the masks of what `text` names, a phrase, or describes, a sentence; there may be one, several or none.
    ///
    /// # Errors
    /// [`LanguageError::Question`] for an empty text.
    pub fn segment(&self, image: &Arc<RgbImage>, text: &str) -> Result<ChatRequest, LanguageError> {
        let text = checked(text)?;
        let is_sentence = text.ends_with(['.', '?', '!', '。', '？', '！', ':']) || text.contains('\n');
        let (name, place) = if is_sentence {
            ("segment_described", "{sent}")
        } else {
            ("segment", "{class_name}")
        };
        Ok(self.get(name)?.request(image, &[(place, Filling::Text(text))]))
    }

    /// Asks for the masks of all things of some categories.
    ///
    /// # Errors
    /// [`LanguageError::Question`] without a category.
    pub fn detect(&self, image: &Arc<RgbImage>, categories: &[&str]) -> Result<ChatRequest, LanguageError> {
        let named: Vec<&str> = categories
            .iter()
            .map(|name| name.trim())
            .filter(|name| !name.is_empty())
            .collect();
        let listed = named.join(", ");
        let listed = checked(&listed)?;
        Ok(self
            .get("detect")?
            .request(image, &[("{CATEGORIES}", Filling::Text(listed))]))
    }

    /// Goes on with a conversation; earlier masks are meant by the same words, as models are trained on it.
    ///
    /// # Errors
    /// [`LanguageError::Question`] for an empty question, or a mention of a region that is not among `regions`.
    pub fn refine(
        &self,
        image: &Arc<RgbImage>,
        earlier: &[EarlierTurn],
        question: &str,
        regions: &[AskedRegion<'_>],
    ) -> Result<ChatRequest, LanguageError> {
        let prompt = self.get("refine")?;
        let mut known = Vec::new();
        let mut messages = Vec::with_capacity(earlier.len() + 1);
        for turn in earlier {
            let spoken = in_words(&turn.text, regions, prompt.mentions, &mut known)?;
            messages.push(Message::text(turn.role, spoken));
        }
        let spoken = in_words(checked(question)?, regions, prompt.mentions, &mut known)?;
        let mut request = prompt.request(image, &[("{QUESTION}", Filling::Text(&spoken))]);
        // The image stands at the beginning of the first question.
        let first = messages.iter_mut().find(|message| message.role == ChatRole::User);
        if let Some(first) = first {
            first.parts.insert(0, Part::Image(Arc::clone(image)));
            for message in &mut request.messages {
                message.parts.retain(|part| matches!(part, Part::Text(_)));
            }
        }
        messages.append(&mut request.messages);
        request.messages = messages;
        Ok(request)
    }
}

impl Prompt {
    /// The question with its image before it and its names in braces filled in.
    fn request(&self, image: &Arc<RgbImage>, fillings: &[(&str, Filling<'_>)]) -> ChatRequest {
        let mut parts = vec![Part::Image(Arc::clone(image))];
        let mut text = String::new();
        let mut rest = self.question.as_str();
        // The template is read once from the front, so that what is filled in is never read as a template.
        while !rest.is_empty() {
            let next = fillings
                .iter()
                .filter_map(|(place, filling)| Some((rest.find(place)?, place, filling)))
                .min_by_key(|(at, ..)| *at);
            let Some((at, place, filling)) = next else { break };
            text.push_str(rest.get(..at).unwrap_or_default());
            rest = rest.get(at + place.len()..).unwrap_or_default();
            match filling {
                Filling::Text(filling) => text.push_str(filling),
                Filling::Image(image) => {
                    // As in the training data, where texts around images have no space at their ends.
                    parts.push(Part::Text(text.trim().to_owned()));
                    parts.push(Part::Image(Arc::clone(image)));
                    text.clear();
                }
            }
        }
        text.push_str(rest);
        parts.push(Part::Text(text.trim().to_owned()));
        let message = Message {
            role: ChatRole::User,
            parts,
        };
        ChatRequest {
            messages: vec![message],
            sampling: Sampling {
                max_new_tokens: self.max_new_tokens,
                ..Sampling::default()
            },
        }
    }
}

fn no_region() -> LanguageError {
    LanguageError::Question("no region is chosen; choose one or more".to_owned())
}

fn checked(text: &str) -> Result<&str, LanguageError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(LanguageError::Question(
            "the question is empty; write what to look for".to_owned(),
        ));
    }
    Ok(text)
}

/// `text` with the regions that it mentions in words; `known` are those that have a tag already.
fn in_words<'r>(
    text: &str,
    regions: &[AskedRegion<'r>],
    mentions: Mentions,
    known: &mut Vec<&'r str>,
) -> Result<String, LanguageError> {
    let mut spoken = String::with_capacity(text.len());
    let mut from = 0;
    for candidate in mention::candidates(text) {
        let Some(region) = regions.iter().find(|region| region.id == candidate.id) else {
            return Err(LanguageError::Question(format!(
                "the region {:?} is mentioned but has no words for this model; make its words anew, or leave it out",
                candidate.id
            )));
        };
        spoken.push_str(text.get(from..candidate.range.start).unwrap_or_default());
        from = candidate.range.end;
        let place = known.iter().position(|id| *id == region.id);
        match mentions {
            Mentions::Plain => spoken.push_str(region.words),
            Mentions::Prompts => {
                let number = place.unwrap_or(known.len());
                spoken.push_str(&format!("<Prompt{number}>"));
                if place.is_none() {
                    spoken.push_str(region.words);
                    known.push(region.id);
                }
            }
        }
    }
    spoken.push_str(text.get(from..).unwrap_or_default());
    Ok(spoken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::ImageSize;

    fn image() -> Arc<RgbImage> {
        Arc::new(RgbImage {
            size: ImageSize::new(1, 1),
            pixels: vec![0; 3],
        })
    }

    /// The messages, images as `▣`.
    fn shown(request: Result<ChatRequest, LanguageError>) -> Vec<String> {
        let shown = |message: &Message| {
            let parts = message.parts.iter().map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Image(_) => "▣",
            });
            parts.collect::<Vec<_>>().join("|")
        };
        request.unwrap().messages.iter().map(shown).collect()
    }

    const A: AskedRegion<'static> = AskedRegion {
        id: "r1",
        words: "<a>",
    };
    const B: AskedRegion<'static> = AskedRegion {
        id: "r2",
        words: "<b>",
    };

    #[test]
    fn questions_are_those_of_the_training_data() {
        let (prompts, image) = (Prompts::default(), image());
        let zoom = ZoomIn {
            image: Arc::clone(&image),
            words: "<z>".to_owned(),
        };
        let cases = [
            (
                prompts.caption_region(&image, "<a>", None),
                "▣|Describe the region <a> in detail.",
            ),
            (
                prompts.caption_region(&image, "<a>", Some(&zoom)),
                "▣|Describe the region <a> in detail. Zoom in with the perspective as|▣|, <z>.",
            ),
            (
                prompts.caption_regions(&image, &["<a>", "<b>", "<c>"]),
                "▣|Could you please give me a detailed description of the following regions? <a>, <b>, and <c>. Please \
                 respond with interleaved segmentation masks for the corresponding parts of the answer.",
            ),
            (
                prompts.segment(&image, " the red cup "),
                "▣|Please segment the red cup in this image.",
            ),
            (
                prompts.segment(&image, "What can I drink from?"),
                "▣|What can I drink from? Please respond with segmentation mask.",
            ),
            (
                prompts.segment(&image, "{class_name}<image>"),
                "▣|Please segment {class_name}<image> in this image.",
            ),
            (
                prompts.detect(&image, &["cup", " ", "spoon "]),
                "▣|Segment every instance that belongs to the following categories: cup, spoon",
            ),
            (prompts.ask(&image, "What is [[r1]]?", &[A]), "▣|What is <a>?"),
            (prompts.ask(&image, "What is this?", &[A]), "▣|<a>\nWhat is this?"),
            (
                prompts.ask(&image, "Is [[r2]] on [[r1]], or [[r1]] on [[r2]]?", &[A, B]),
                "▣|Is <Prompt0><b> on <Prompt1><a>, or <Prompt1> on <Prompt0>?",
            ),
        ];
        for (request, expected) in cases {
            assert_eq!(shown(request), [expected]);
        }
        let brief = shown(prompts.describe(&image, true));
        assert!(
            brief[0].contains("a brief description of the image?"),
            "{brief:?}"
        );
        assert_eq!(prompts.segment(&image, "a").unwrap().sampling.max_new_tokens, 512);
    }

    #[test]
    fn a_conversation_goes_on_with_the_image_at_its_start() {
        let turn = |role, text: &str| EarlierTurn {
            role,
            text: text.to_owned(),
        };
        let earlier = [
            turn(ChatRole::User, "Segment the cup."),
            turn(ChatRole::Assistant, "It is [[r1]]."),
        ];
        let (prompts, image) = (Prompts::default(), image());
        let messages = shown(prompts.refine(&image, &earlier, "And what stands on [[r1]]?", &[A]));
        assert_eq!(
            messages,
            ["▣|Segment the cup.", "It is <a>.", "And what stands on <a>?"]
        );
        assert_eq!(shown(prompts.refine(&image, &[], "Hello", &[])), ["▣|Hello"]);
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        let (prompts, image) = (Prompts::default(), image());
        for (request, expected) in [
            (prompts.segment(&image, " "), "empty"),
            (prompts.detect(&image, &["", " "]), "empty"),
            (prompts.caption_regions(&image, &[]), "no region"),
            (prompts.ask(&image, "[[r9]]?", &[A]), "\"r9\" is mentioned"),
        ] {
            let message = request.unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        for task in VisionTask::ALL {
            assert_eq!(task.name().parse(), Ok(task));
        }
        assert!(
            "captoin"
                .parse::<VisionTask>()
                .unwrap_err()
                .contains("caption, ask")
        );
    }
}
