//! The language model at the annotator's desk: the chat about the image on screen, and proposals.
//!
//! A question goes through three hands: the network makes words of the regions that it mentions, the language model
//! answers, and the network draws the masks of the answer ([`asking`]). Nothing of it is waited for, and what fails is
//! told where it was asked.

mod asking;
pub mod chat;
mod drawn;
pub mod proposing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use self::asking::{Ask, Purpose, Stage};
use self::chat::{Chat, ChatMask, ChatTurn, TurnState};
pub use self::drawn::Drawing;
use self::drawn::Drawn;
use self::proposing::{FailedWish, codes_in, mask_of};
use super::Session;
use crate::language::opening::{EngineChoice, EngineInfo};
use crate::language::proposals::{Dialogue, OpenProposal, Reader, Vocabulary};
use crate::language::tasks::{AskedRegion, Prompts, VisionTask};
use crate::language::{Answer, ChatRequest, Finish, LanguageError};
use crate::mask::Rle;
use crate::words::{MaskCodes, WordFormat};
use crate::worker::Wake;
use crate::worker::language::{LanguageEvent, LanguageRequest, LanguageWorker, OpenEngine};
use crate::worker::network::{ImageKey, NetworkImage};

/// Images whose chats are kept.
const CHATS: usize = 256;

/// How the language model stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum EngineState {
    /// None is chosen.
    #[default]
    Off,
    /// One is chosen; it is opened with the first question.
    Resting,
    /// It is being opened: layers loaded and all layers, 0 where there are none to load.
    Opening(usize, usize),
    /// It answers.
    Ready,
    /// It cannot be opened; why.
    Failed(String),
}

/// The language model, what it was asked, and what came of it.
#[derive(Debug)]
pub struct LanguageDesk {
    worker: LanguageWorker,
    choice: Option<EngineChoice>,
    /// How the model stands.
    pub state: EngineState,
    /// What is known of the model once it answers.
    pub info: Option<EngineInfo>,
    /// The fingerprint of its mask tokenizer, as the user knows it.
    trained_with: Option<String>,
    prompts: Prompts,
    chats: HashMap<PathBuf, Chat>,
    asks: Vec<Ask>,
    drawn: Drawn,
    /// Counts the masks of all chats.
    mask_keys: u64,
    failures: Vec<FailedWish>,
    /// The proposal that is looked at.
    current: Option<OpenProposal>,
}

impl LanguageDesk {
    pub(super) fn start(open: Box<OpenEngine>, wake: Wake) -> io::Result<Self> {
        Ok(Self {
            worker: LanguageWorker::start(open, wake)?,
            choice: None,
            state: EngineState::Off,
            info: None,
            trained_with: None,
            prompts: Prompts::default(),
            chats: HashMap::new(),
            asks: Vec::new(),
            drawn: Drawn::default(),
            mask_keys: 0,
            failures: Vec::new(),
            current: None,
        })
    }

    /// The model that is asked.
    #[must_use]
    pub fn choice(&self) -> Option<&EngineChoice> {
        self.choice.as_ref()
    }

    /// Questions on their way for proposals: the one that is looked at, and all.
    #[must_use]
    pub fn proposing(&self) -> (Option<VisionTask>, usize) {
        let wishes = self.asks.iter().filter_map(|ask| match &ask.purpose {
            Purpose::Propose(wish) => Some((wish.task, ask.stage == Stage::Begun)),
            Purpose::Chat => None,
        });
        let (mut current, mut count) = (None, 0);
        for (task, has_begun) in wishes {
            count += 1;
            current = current.or(has_begun.then_some(task));
        }
        (current, count)
    }

    /// Whether anything is on its way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.asks.is_empty()
    }
}

impl Session {
    /// Asks this model from now on, or none. Nothing is opened or sent before the first question.
    pub fn choose_language_model(&mut self, choice: Option<EngineChoice>, trained_with: Option<String>) {
        self.stop_asking();
        self.language.state = if choice.is_some() {
            EngineState::Resting
        } else {
            EngineState::Off
        };
        self.language.info = None;
        self.language.trained_with = trained_with;
        self.language.choice.clone_from(&choice);
        self.ask_language(LanguageRequest::Choose(choice));
    }

    /// Opens the model, to see whether it answers.
    pub fn open_language_model(&mut self) {
        self.ask_language(LanguageRequest::Open);
    }

    fn ask_language(&mut self, request: LanguageRequest) {
        if !self.language.worker.send(request) {
            self.notices.error(
                "the language model does not answer; wait a moment, and choose it again if it stays so",
            );
        }
    }

    /// The words that the network draws.
    #[must_use]
    pub fn vocabulary(&self) -> Option<Vocabulary> {
        let info = self.model_info()?;
        Some(Vocabulary {
            name: info.name.clone(),
            fingerprint: info.fingerprint.clone(),
            format: info.format,
        })
    }

    /// Why the masks of the language model would be wrong, if that is known.
    #[must_use]
    pub fn vocabulary_problem(&self) -> Option<String> {
        let info = self.language.info.as_ref()?;
        let mut trained = info.trained.clone();
        if self.language.trained_with.is_some() {
            trained.fingerprint.clone_from(&self.language.trained_with);
        }
        let checked = self.vocabulary()?.check(&info.name, &trained);
        checked.err().map(|error| error.to_string())
    }

    /// Whether nobody said with which tokenizer the language model was trained.
    #[must_use]
    pub fn is_vocabulary_unknown(&self) -> bool {
        self.language.trained_with.is_none()
    }

    fn format(&self) -> WordFormat {
        self.model_info()
            .map_or_else(WordFormat::default, |info| info.format)
    }

    /// Whether a question can be asked, which is told otherwise.
    fn can_ask_told(&mut self) -> bool {
        if self.language.choice.is_none() {
            self.notices
                .info("choose a language model first: a server or a folder");
            return false;
        }
        if let Some(problem) = self.vocabulary_problem() {
            self.notices.error(problem);
            return false;
        }
        true
    }

    // ---- the chat

    /// The chat about the image on screen.
    #[must_use]
    pub fn chat(&self) -> Option<&Chat> {
        self.language.chats.get(&self.open.as_ref()?.path)
    }

    fn chat_mut(&mut self) -> Option<&mut Chat> {
        let path = self.open.as_ref()?.path.clone();
        let chats = &mut self.language.chats;
        if chats.len() >= CHATS && !chats.contains_key(&path) {
            // Only what was never answered or was left long ago goes; a chat is no annotation.
            let idle = chats
                .iter()
                .find(|(_, chat)| !chat.is_busy())
                .map(|(path, _)| path.clone());
            idle.and_then(|idle| chats.remove(&idle));
        }
        Some(chats.entry(path).or_default())
    }

    /// Notes what is being written as the next question.
    pub fn set_chat_draft(&mut self, text: String) {
        if let Some(chat) = self.chat_mut() {
            chat.draft = text;
        }
    }

    /// The masks of the chat that are drawn, with what they are.
    pub fn chat_masks(&self) -> impl Iterator<Item = (&ChatMask, &Rle)> {
        let key = self.open.as_ref().map(|open| open.image.key);
        let masks = self.chat().map(|chat| chat.masks.as_slice()).unwrap_or_default();
        masks
            .iter()
            .filter(|mask| mask.became.is_none())
            .filter_map(move |mask| match self.language.drawn.get(key?, &mask.codes) {
                Some(Drawing::Done(drawn)) => Some((mask, drawn)),
                _ => None,
            })
    }

    /// How far a mask of the chat is drawn.
    #[must_use]
    pub fn chat_drawing(&self, mask: &ChatMask) -> Option<&Drawing> {
        self.language
            .drawn
            .get(self.open.as_ref()?.image.key, &mask.codes)
    }

    /// Asks the next question of the chat; `false` if it cannot be asked now, and stays written then.
    pub fn ask_in_chat(&mut self, question: &str) -> bool {
        let question = question.trim().to_owned();
        if question.is_empty() || self.chat().is_some_and(Chat::is_busy) || !self.can_ask_told() {
            return false;
        }
        let (id, format) = (self.request_id(), self.format());
        let Some(chat) = self.chat_mut() else { return false };
        let mentioned: Vec<String> = chat.mentioned(&question).map(str::to_owned).collect();
        chat.turns.push(ChatTurn::new(id, question, format));
        chat.draft.clear();
        let document = self.open.as_ref().map(|open| open.document());
        let is_there = |id: &String| document.is_some_and(|document| document.region(id).is_some());
        let mut ids: Vec<String> = mentioned.into_iter().filter(is_there).collect();
        ids.sort_unstable();
        ids.dedup();
        self.begin_ask(id, Purpose::Chat, &ids);
        true
    }

    /// Asks the last question of the chat again, if its answer failed.
    pub fn ask_in_chat_again(&mut self) {
        let Some(chat) = self.chat_mut() else { return };
        let is_failed = chat
            .turns
            .last()
            .is_some_and(|turn| matches!(turn.state, TurnState::Failed(_)));
        if let Some(turn) = is_failed.then(|| chat.turns.pop()).flatten()
            && !self.ask_in_chat(&turn.question)
            && let Some(chat) = self.chat_mut()
        {
            chat.turns.push(turn);
        }
    }

    /// Takes all questions back; what was answered so far stays.
    pub fn stop_asking(&mut self) {
        for ask in std::mem::take(&mut self.language.asks) {
            self.language.worker.cancel(ask.id);
            match ask.stage {
                // It is done but for its masks.
                Stage::Answered { .. } => self.language.asks.push(ask),
                _ if matches!(ask.purpose, Purpose::Chat) => self.end_chat_turn(&ask, TurnState::Stopped),
                _ => {}
            }
        }
    }

    /// Forgets the chat about the image on screen.
    pub fn clear_chat(&mut self) {
        let Some(path) = self.open.as_ref().map(|open| open.path.clone()) else {
            return;
        };
        let is_of = |ask: &&Ask| ask.path == path && matches!(ask.purpose, Purpose::Chat);
        if let Some(ask) = self.language.asks.iter().find(is_of) {
            let id = ask.id;
            self.language.worker.cancel(id);
            self.language.asks.retain(|ask| ask.id != id);
        }
        self.language.chats.remove(&path);
    }

    /// The question of a chat with all that was said before.
    fn chat_request(&self, ask: &Ask, regions: &[AskedRegion<'_>]) -> Result<ChatRequest, LanguageError> {
        let chat = self.language.chats.get(&ask.path);
        let turn = chat.and_then(|chat| Some((chat, chat.turns.iter().find(|turn| turn.id == ask.id)?)));
        let Some((chat, turn)) = turn else {
            return Err(LanguageError::Question(
                "the question is gone; ask it again".to_owned(),
            ));
        };
        let mut known: Vec<AskedRegion<'_>> = regions.to_vec();
        let masks = chat
            .masks
            .iter()
            .map(|mask| (mask.name.as_str(), mask.words.as_str()));
        let before = chat.words.iter().map(|(id, words)| (id.as_str(), words.as_str()));
        for (id, words) in masks.chain(before) {
            if known.iter().all(|region| region.id != id) {
                known.push(AskedRegion { id, words });
            }
        }
        self.language
            .prompts
            .refine(&ask.image.rgb, &chat.earlier(), &turn.question, &known)
    }

    fn end_chat_turn(&mut self, ask: &Ask, state: TurnState) {
        let format = self.format();
        let desk = &mut self.language;
        let Some(chat) = desk.chats.get_mut(&ask.path) else {
            return;
        };
        for region in ask.regions.iter().filter_map(asking::AskedMask::as_asked) {
            chat.words.insert(region.id.to_owned(), region.words.to_owned());
        }
        let codes = chat.end(ask.id, state, format, &mut desk.mask_keys);
        self.want_drawn(&ask.image, codes);
        self.note_chat_problems(ask);
    }

    /// Notes what is wrong with a finished answer as a whole.
    fn note_chat_problems(&mut self, ask: &Ask) {
        let Some(vocabulary) = self.vocabulary() else {
            return;
        };
        let Some(turn) = self
            .language
            .chats
            .get_mut(&ask.path)
            .and_then(|chat| chat.turn_mut(ask.id))
        else {
            return;
        };
        let reader = Reader {
            model: "",
            task: VisionTask::Refine,
            vocabulary: &vocabulary,
            question: "",
            target: None,
            label: "",
            twin_iou: Reader::TWIN_IOU,
        };
        if let Err(error) = reader.check(&turn.raw)
            && turn.is_answered()
        {
            turn.problems.push(error.to_string());
        }
    }

    /// Writes what was asked and answered into the document: a conversation, with drafts of regions for its masks.
    pub fn add_chat(&mut self) {
        if self.is_read_only_told() {
            return;
        }
        let Some((chat, open)) = self.chat().zip(self.open()) else {
            return;
        };
        let Some(vocabulary) = self.vocabulary().filter(|_| chat.can_be_added()) else {
            return;
        };
        let model = self
            .language
            .info
            .as_ref()
            .map_or("language model", |info| info.name.as_str())
            .to_owned();
        let (document, key) = (open.document(), open.image.key);
        let is_waiting =
            |mask: &ChatMask| matches!(self.language.drawn.get(key, &mask.codes), Some(Drawing::Asked));
        if chat.masks.iter().any(is_waiting) {
            self.notices
                .info("the masks are still being drawn; add the chat when they are there");
            return;
        }
        let mut dialogue = Dialogue::default();
        let mut problems = Vec::new();
        // Masks that earlier additions made regions go by their ids.
        let became = |name: &str| {
            let mask = chat.masks.iter().find(|mask| mask.name == name)?;
            mask.became.as_deref()
        };
        for turn in chat
            .turns
            .iter()
            .skip(chat.added)
            .filter(|turn| turn.is_answered())
        {
            let question = crate::dataset::mention::renamed(&turn.question, became);
            let reader = Reader {
                model: &model,
                task: VisionTask::Refine,
                vocabulary: &vocabulary,
                question: &question,
                target: None,
                label: "",
                twin_iou: Reader::TWIN_IOU,
            };
            let drawn = &self.language.drawn;
            let read = reader.read(document, &turn.raw, &mut |codes| {
                codes.iter().map(|codes| mask_of(drawn.get(key, codes))).collect()
            });
            match read {
                Ok(mut proposal) => {
                    proposal.made = Some(crate::dataset::Timestamp::now());
                    let name = |codes: &MaskCodes| {
                        let mask = chat.masks.iter().find(|mask| mask.codes == *codes);
                        mask.map_or_else(String::new, |mask| mask.name.clone())
                    };
                    let names = proposal
                        .regions
                        .iter()
                        .map(|region| name(&region.codes))
                        .collect();
                    dialogue.add(proposal, names);
                }
                Err(error) => problems.push(error.to_string()),
            }
        }
        let edit = dialogue.edit(document);
        for problem in problems {
            self.notices.warn(format!("an answer was left out: {problem}"));
        }
        let Some((edit, became)) = edit else { return };
        self.apply(vec![edit]);
        let Some(chat) = self.chat_mut() else { return };
        chat.added = chat.turns.len();
        for (name, region) in became {
            if let Some(mask) = chat.masks.iter_mut().find(|mask| mask.name == name) {
                mask.became = Some(region);
            }
        }
        self.notices
            .info("the chat was added to the conversations, its masks as drafts");
    }

    // ---- events

    pub(super) fn update_language(&mut self) {
        while let Some(event) = self.language.worker.try_event() {
            self.on_language_event(event);
        }
        self.advance_asks();
    }

    fn on_language_event(&mut self, event: LanguageEvent) {
        match event {
            LanguageEvent::Opening(done, all) => self.language.state = EngineState::Opening(done, all),
            LanguageEvent::Opened(info) => {
                self.language.state = EngineState::Ready;
                self.language.info = Some(info);
                if let Some(problem) = self.vocabulary_problem() {
                    let waiting: Vec<u64> = self.language.asks.iter().map(|ask| ask.id).collect();
                    for id in waiting {
                        self.fail_ask(id, problem.clone());
                    }
                }
            }
            LanguageEvent::OpenFailed(reason) => self.language.state = EngineState::Failed(reason),
            LanguageEvent::Begun(id) => {
                if let Some(ask) = self.ask_mut(id) {
                    ask.stage = Stage::Begun;
                    let path = ask.path.clone();
                    let turn = self
                        .language
                        .chats
                        .get_mut(&path)
                        .and_then(|chat| chat.turn_mut(id));
                    if let Some(turn) = turn {
                        turn.state = TurnState::Answering;
                    }
                }
            }
            LanguageEvent::Text { id, text } => self.on_language_text(id, &text),
            LanguageEvent::Answered { id, answer } => self.on_answered(id, answer),
            LanguageEvent::Failed { id, reason, .. } => self.fail_ask(id, reason),
        }
    }

    fn ask_mut(&mut self, id: u64) -> Option<&mut Ask> {
        self.language.asks.iter_mut().find(|ask| ask.id == id)
    }

    fn on_language_text(&mut self, id: u64, text: &str) {
        let format = self.format();
        let Some((path, image)) = self.ask_mut(id).map(|ask| (ask.path.clone(), ask.image.clone())) else {
            return;
        };
        let desk = &mut self.language;
        let Some(chat) = desk.chats.get_mut(&path) else {
            return;
        };
        let codes = chat.take_text(id, text, format, &mut desk.mask_keys);
        self.want_drawn(&image, codes);
    }

    fn on_answered(&mut self, id: u64, answer: Answer) {
        let Some(place) = self.language.asks.iter().position(|ask| ask.id == id) else {
            return;
        };
        match &self.language.asks[place].purpose {
            Purpose::Chat => {
                let ask = self.language.asks.remove(place);
                let state = match answer.finish {
                    Finish::Stop => TurnState::Done,
                    Finish::Length => TurnState::Cut,
                    Finish::Cancelled => TurnState::Stopped,
                };
                self.end_chat_turn(&ask, state);
            }
            Purpose::Propose(_) if answer.finish == Finish::Cancelled => {
                self.language.asks.remove(place);
            }
            Purpose::Propose(_) => {
                let codes = codes_in(self.format(), &answer.text);
                let image = self.language.asks[place].image.clone();
                self.want_drawn(&image, codes.clone());
                self.language.asks[place].stage = Stage::Answered {
                    answer: answer.text,
                    codes,
                };
            }
        }
    }

    /// Takes masks that the network drew for answers; `false` if they are for somebody else.
    pub(super) fn take_drawn(&mut self, id: u64, masks: &[crate::worker::network::DrawnMask]) -> bool {
        self.language.drawn.take(id, masks)
    }

    /// Notes what the network could not do for an image.
    pub(super) fn network_failed(&mut self, image: ImageKey, what: &str, reason: &str) {
        self.language.drawn.fail(image, reason);
        if what != "draw the words" {
            self.fail_words_of_asks(image, reason);
        }
    }

    /// Draws and spells anew what another network drew or will spell, or what waits since the image was left.
    pub(super) fn renew_language(&mut self, is_other_model: bool) {
        if is_other_model {
            self.language.drawn.clear();
            let waiting: Vec<(NetworkImage, Vec<MaskCodes>)> = self
                .language
                .asks
                .iter()
                .filter_map(|ask| match &ask.stage {
                    Stage::Answered { codes, .. } => Some((ask.image.clone(), codes.clone())),
                    _ => None,
                })
                .collect();
            for (image, codes) in waiting {
                self.want_drawn(&image, codes);
            }
        }
        let Some(open) = &self.open else { return };
        let image = open.image.for_network();
        let codes: Vec<MaskCodes> = self
            .chat()
            .map(|chat| chat.masks.iter().map(|mask| mask.codes.clone()).collect())
            .unwrap_or_default();
        self.want_drawn(&image, codes);
        self.want_words_of_asks();
    }

    /// Whether the chat about another image is being answered.
    #[must_use]
    pub fn is_asking_elsewhere(&self) -> bool {
        let shown: Option<&Path> = self.open.as_ref().map(|open| open.path.as_path());
        self.language
            .asks
            .iter()
            .any(|ask| Some(ask.path.as_path()) != shown)
    }
}
