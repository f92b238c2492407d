//! A language model that says what a test wrote down, so that everything around it can be driven without one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::language::opening::OpenedEngine;
use crate::language::{Answer, ChatRequest, Engine, Finish, LanguageError, Usage};

/// What the scripted model does with a question.
#[derive(Clone, Debug)]
pub(crate) enum Line {
    /// Says these pieces.
    Say(Vec<String>),
    /// Says a piece, and then nothing until it is told to stop.
    Hang(String),
    /// Says a piece, and then the connection breaks off.
    Break(String),
    /// Panics.
    Panic,
}

/// The lines of a scripted model, and what it was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) lines: Arc<Mutex<Vec<Line>>>,
    pub(crate) asked: Arc<Mutex<Vec<ChatRequest>>>,
}

impl Script {
    pub(crate) fn new(lines: impl IntoIterator<Item = Line>) -> Self {
        let script = Self::default();
        script.lines.lock().unwrap().extend(lines);
        script
    }

    /// A model that says these texts, one after the other, word by word.
    pub(crate) fn saying(texts: &[&str]) -> Self {
        let pieces = |text: &&str| text.split_inclusive([' ', '|']).map(str::to_owned).collect();
        Self::new(texts.iter().map(|text| Line::Say(pieces(text))))
    }

    pub(crate) fn opened(&self) -> OpenedEngine {
        OpenedEngine::new(Box::new(ScriptedEngine(self.clone())), None)
    }

    /// What was asked last, as text.
    pub(crate) fn last(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.last().map_or_else(Vec::new, |request| {
            request
                .messages
                .iter()
                .map(crate::language::Message::said)
                .collect()
        })
    }
}

struct ScriptedEngine(Script);

impl Engine for ScriptedEngine {
    fn name(&self) -> &str {
        "scripted-vlm"
    }

    fn chat(
        &mut self,
        request: &ChatRequest,
        on_text: &mut dyn FnMut(&str),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Answer, LanguageError> {
        self.0.asked.lock().unwrap().push(request.clone());
        let line = {
            let mut lines = self.0.lines.lock().unwrap();
            if lines.is_empty() {
                Line::Say(vec!["I have nothing to say.".to_owned()])
            } else {
                lines.remove(0)
            }
        };
        let answer = |text: String, finish| Answer {
            text,
            finish,
            usage: Usage::default(),
        };
        match line {
            Line::Say(pieces) => {
                for piece in &pieces {
                    on_text(piece);
                }
                Ok(answer(pieces.concat(), Finish::Stop))
            }
            Line::Hang(piece) => {
                on_text(&piece);
                while !cancelled() {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(answer(piece, Finish::Cancelled))
            }
            Line::Break(piece) => {
                on_text(&piece);
                Err(LanguageError::BrokenOff {
                    reason: "the script says so".to_owned(),
                    partial: piece,
                    address: "http://nowhere/v1".to_owned(),
                })
            }
            Line::Panic => panic!("the scripted language model was told to panic"),
        }
    }
}
