//! The conversation about an image: questions, answers as they are written, and the masks in them.

use std::collections::BTreeMap;

use crate::dataset::{Color, mention};
use crate::language::ChatRole;
use crate::language::tasks::EarlierTurn;
use crate::session::regions::PALETTE;
use crate::words::{FoundMask, MaskCodes, StreamEvent, StreamParser, WordFormat};

/// Masks of a chat that are drawn; nobody would look through more.
const MOST_MASKS: usize = 300;

/// What stands around phrases and answers without meaning anything to a person.
const TAGS: [&str; 5] = [
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|im_end|>",
    "<answer>",
    "</answer>",
];

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text.
    Text(String),
    /// A mask: its place in [`Chat::masks`].
    Mask(usize),
    /// Mask words that mean nothing; why.
    Refused(String),
}

/// How far an answer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnState {
    /// It waits for words of the regions it mentions, or for its turn.
    Waiting,
    /// The model looks at the question, or writes.
    Answering,
    /// It is done.
    Done,
    /// It reached its longest length.
    Cut,
    /// A person stopped it.
    Stopped,
    /// There is none, or no more of it; why.
    Failed(String),
}

/// A question with its answer.
#[derive(Debug)]
pub struct ChatTurn {
    pub(super) id: u64,
    /// What was asked; `[[r1]]` mentions a region and `[[m1]]` a mask of this chat.
    pub question: String,
    /// What was answered so far.
    pub pieces: Vec<Piece>,
    /// The same as the model wrote it.
    pub raw: String,
    /// How far it is.
    pub state: TurnState,
    /// What was wrong with it.
    pub problems: Vec<String>,
    parser: Option<StreamParser>,
}

/// A mask of the chat, which is no region yet.
#[derive(Clone, Debug)]
pub struct ChatMask {
    /// Its number among all masks of all chats.
    pub key: u64,
    /// Its codes.
    pub codes: MaskCodes,
    /// Its words.
    pub words: String,
    /// How texts mention it.
    pub name: String,
    /// What the answer calls it; may be empty.
    pub label: String,
    /// The colour it is drawn in.
    pub color: Color,
    /// What was mended in its words.
    pub repairs: Vec<String>,
    /// The region that it became.
    pub became: Option<String>,
}

/// The conversation about one image.
#[derive(Debug, Default)]
pub struct Chat {
    /// Questions and answers.
    pub turns: Vec<ChatTurn>,
    /// The masks of the answers, each once.
    pub masks: Vec<ChatMask>,
    /// The question that is being written.
    pub draft: String,
    /// Words of the regions that were mentioned, by id.
    pub(super) words: BTreeMap<String, String>,
    /// Turns that are in the document already.
    pub(super) added: usize,
}

impl ChatTurn {
    pub(super) fn new(id: u64, question: String, format: WordFormat) -> Self {
        Self {
            id,
            question,
            pieces: Vec::new(),
            raw: String::new(),
            state: TurnState::Waiting,
            problems: Vec::new(),
            parser: Some(StreamParser::new(format)),
        }
    }

    /// Whether the answer is on its way.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, TurnState::Waiting | TurnState::Answering)
    }

    /// Whether there is an answer to go on from.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        matches!(self.state, TurnState::Done | TurnState::Cut | TurnState::Stopped)
            && !self.raw.trim().is_empty()
    }

    fn push_text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(Piece::Text(text.to_owned())),
        }
    }

    /// The phrase between tags right before the end of what was written so far.
    fn phrase(&self) -> String {
        let Some(Piece::Text(before)) = self.pieces.last() else {
            return String::new();
        };
        let tagged = before
            .rsplit_once(TAGS[0])
            .and_then(|(_, tagged)| tagged.split_once(TAGS[1]));
        tagged.map_or_else(String::new, |(phrase, _)| {
            phrase.trim().chars().take(60).collect()
        })
    }
}

impl Chat {
    /// Whether an answer is on its way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.turns.iter().any(ChatTurn::is_open)
    }

    /// Whether there is something that is not in the document yet.
    #[must_use]
    pub fn can_be_added(&self) -> bool {
        !self.is_busy() && self.turns.iter().skip(self.added).any(ChatTurn::is_answered)
    }

    pub(super) fn turn_mut(&mut self, id: u64) -> Option<&mut ChatTurn> {
        self.turns.iter_mut().find(|turn| turn.id == id)
    }

    /// Takes a piece of an answer; the codes of masks that it completed.
    pub(super) fn take_text(
        &mut self,
        id: u64,
        text: &str,
        format: WordFormat,
        keys: &mut u64,
    ) -> Vec<MaskCodes> {
        let Some(place) = self.turns.iter().position(|turn| turn.id == id) else {
            return Vec::new();
        };
        let turn = &mut self.turns[place];
        turn.raw.push_str(text);
        let events = turn
            .parser
            .as_mut()
            .map(|parser| parser.push(text))
            .unwrap_or_default();
        self.take_events(place, events, format, keys)
    }

    /// Ends an answer; the codes of masks that it completed.
    pub(super) fn end(
        &mut self,
        id: u64,
        state: TurnState,
        format: WordFormat,
        keys: &mut u64,
    ) -> Vec<MaskCodes> {
        let Some(place) = self.turns.iter().position(|turn| turn.id == id) else {
            return Vec::new();
        };
        let turn = &mut self.turns[place];
        turn.state = state;
        let events = turn.parser.take().map(StreamParser::finish).unwrap_or_default();
        self.take_events(place, events, format, keys)
    }

    fn take_events(
        &mut self,
        place: usize,
        events: Vec<StreamEvent>,
        format: WordFormat,
        keys: &mut u64,
    ) -> Vec<MaskCodes> {
        let mut wanted = Vec::new();
        for event in events {
            match event {
                StreamEvent::Text(text) => self.turns[place].push_text(&text),
                StreamEvent::Refused(refused) => {
                    self.turns[place]
                        .pieces
                        .push(Piece::Refused(refused.problem.to_string()));
                }
                StreamEvent::Mask(found) => {
                    let known = self.masks.iter().position(|mask| mask.codes == found.codes);
                    let mask = known.or_else(|| {
                        (self.masks.len() < MOST_MASKS).then(|| {
                            *keys += 1;
                            let label = self.turns[place].phrase();
                            wanted.push(found.codes.clone());
                            self.masks
                                .push(ChatMask::new(*keys, self.masks.len(), found, label, format));
                            self.masks.len() - 1
                        })
                    });
                    match mask {
                        Some(mask) => self.turns[place].pieces.push(Piece::Mask(mask)),
                        None => self.note_limit(place),
                    }
                }
            }
        }
        wanted
    }

    fn note_limit(&mut self, place: usize) {
        let problem = format!("there are more than {MOST_MASKS} masks; the others were left out");
        let problems = &mut self.turns[place].problems;
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }

    /// The conversation so far, with mentions in place of masks.
    pub(super) fn earlier(&self) -> Vec<EarlierTurn> {
        let mut earlier = Vec::new();
        for turn in self.turns.iter().filter(|turn| turn.is_answered()) {
            earlier.push(EarlierTurn {
                role: ChatRole::User,
                text: turn.question.clone(),
            });
            let mut text = String::new();
            for piece in &turn.pieces {
                match piece {
                    Piece::Text(said) => text.push_str(&without_mentions(&without_tags(said))),
                    Piece::Mask(place) => {
                        let id = self.masks.get(*place).map_or("", |mask| mask.name.as_str());
                        text.push_str(&format!("[[{id}]]"));
                    }
                    Piece::Refused(_) => {}
                }
            }
            earlier.push(EarlierTurn {
                role: ChatRole::Assistant,
                text: text.trim().to_owned(),
            });
        }
        earlier
    }

    /// Regions and masks that a question mentions, or an earlier one did.
    pub(super) fn mentioned<'t>(&'t self, question: &'t str) -> impl Iterator<Item = &'t str> {
        let earlier = self.turns.iter().filter(|turn| turn.is_answered());
        let texts = earlier.map(|turn| turn.question.as_str()).chain([question]);
        texts.flat_map(mention::candidates).map(|candidate| candidate.id)
    }
}

impl ChatMask {
    fn new(key: u64, place: usize, found: FoundMask, label: String, format: WordFormat) -> Self {
        Self {
            key,
            words: format.write(&found.codes),
            codes: found.codes,
            name: format!("m{}", place + 1),
            label,
            color: Color {
                rgb: PALETTE[place % PALETTE.len()],
            },
            repairs: found
                .problems
                .iter()
                .map(|repair| repair.problem.to_string())
                .collect(),
            became: None,
        }
    }
}

/// `text` without the tags that only models need.
#[must_use]
pub fn without_tags(text: &str) -> String {
    TAGS.iter()
        .fold(text.to_owned(), |text, tag| text.replace(tag, ""))
}

/// `text` in which nothing looks like a mention.
fn without_mentions(text: &str) -> String {
    text.replace("[[", "[ [")
}
