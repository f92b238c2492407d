//! Undo and redo: one step per gesture, within a budget of memory, and never over the work of somebody else.

mod join;
mod reach;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;

use self::join::Typing;
use self::reach::Changes;
use super::document::Document;
use super::edit::{Edit, EditError};
use super::timestamp::Timestamp;

/// What the steps of a [`History`] may hold unless it is told otherwise: thousands of brush strokes.
pub const DEFAULT_BUDGET_BYTES: usize = 32 << 20;

/// The steps that led to a document, and those that were taken back.
///
/// Every change of the document goes through here, so that the steps fit when they are taken back. Edits between
/// [`History::begin`] and [`History::end`] are one step; so is typing in one text, until
/// [`History::end_typing`], a new line, or anything but typing on.
#[derive(Debug)]
pub struct History {
    done: VecDeque<Step>,
    undone: Vec<Step>,
    gesture: Option<Gesture>,
    /// What the last step is if the next edit may go on with it.
    typing: Option<Typing>,
    budget_bytes: usize,
    /// The bytes of all steps, done and undone.
    bytes: usize,
    /// Numbers the state that the document is in; a state that is reached again by undoing has its number again.
    state: u64,
    /// The number of the next new state.
    next_state: u64,
    saved: Mark,
}

/// A state of the document, to say later that it was the one saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    state: u64,
}

/// An edit that leads to another state.
#[derive(Debug)]
struct Step {
    edit: Edit,
    state: u64,
    bytes: usize,
}

/// A gesture that goes on.
#[derive(Debug)]
struct Gesture {
    /// What takes its edits back, in the order in which they were made.
    inverses: Vec<Edit>,
    /// The state before it.
    state: u64,
}

impl Default for History {
    fn default() -> Self {
        Self::new(DEFAULT_BUDGET_BYTES)
    }
}

impl History {
    /// The history of a document that was just read or saved; steps beyond `budget_bytes` are forgotten, oldest
    /// first, but never the last one.
    #[must_use]
    pub fn new(budget_bytes: usize) -> Self {
        Self {
            done: VecDeque::new(),
            undone: Vec::new(),
            gesture: None,
            typing: None,
            budget_bytes,
            bytes: 0,
            state: 0,
            next_state: 1,
            saved: Mark { state: 0 },
        }
    }

    /// Makes a change at `now`, as a step of its own, as a part of the running gesture, or as more of the typing
    /// before it.
    ///
    /// # Errors
    /// [`EditError`] where the edit does not fit; document and history are as they were then.
    pub fn apply(&mut self, document: &mut Document, edit: Edit, now: Timestamp) -> Result<(), EditError> {
        let typed = join::text(&edit).map(str::to_owned);
        let inverse = edit.apply(document)?;
        document.touch(now);
        self.forget_undone();
        let before = self.state;
        self.state = self.new_state();
        if let Some(gesture) = &mut self.gesture {
            let last = gesture.inverses.last_mut();
            if !last.is_some_and(|last| join::absorb(last, &inverse)) {
                gesture.inverses.push(inverse);
            }
            return Ok(());
        }
        let old = join::text(&inverse);
        let typing = typed.zip(old).and_then(|(new, old)| Typing::between(old, &new));
        let goes_on = typing.is_some_and(|typing| self.typing.is_some_and(|last| typing.goes_on(last)));
        let last = self.done.back().filter(|_| goes_on);
        if last.is_none_or(|last| !join::is_same_field(&last.edit, &inverse)) {
            self.push(inverse, before);
        }
        self.typing = typing;
        Ok(())
    }

    /// Starts a gesture, such as a brush stroke; one that runs already ends.
    pub fn begin(&mut self) {
        self.end();
        self.typing = None;
        self.gesture = Some(Gesture {
            inverses: Vec::new(),
            state: self.state,
        });
    }

    /// Ends the running gesture; what was done in it is one step.
    pub fn end(&mut self) {
        let Some(Gesture { mut inverses, state }) = self.gesture.take() else {
            return;
        };
        inverses.reverse();
        let edit = if inverses.len() > 1 {
            Edit::Several(inverses)
        } else {
            let Some(edit) = inverses.pop() else { return };
            edit
        };
        self.push(edit, state);
    }

    /// Takes the running gesture back, as the escape key does; answers whether there was something to take back.
    ///
    /// # Errors
    /// [`EditError`] if the document was changed elsewhere meanwhile; it is as it was then.
    pub fn cancel(&mut self, document: &mut Document, now: Timestamp) -> Result<bool, EditError> {
        let Some(Gesture { mut inverses, state }) = self.gesture.take() else {
            return Ok(false);
        };
        if inverses.is_empty() {
            return Ok(false);
        }
        inverses.reverse();
        Edit::Several(inverses).apply(document)?;
        document.touch(now);
        self.state = state;
        Ok(true)
    }

    /// Ends the typing, when the text loses the focus or nothing was typed for a while; what is typed next is
    /// another step.
    pub fn end_typing(&mut self) {
        self.typing = None;
    }

    /// Takes the last step back; `false` if there is none. A running gesture ends first.
    ///
    /// # Errors
    /// [`EditError`] if the document was changed elsewhere meanwhile; it is as it was, and the step is forgotten.
    pub fn undo(&mut self, document: &mut Document, now: Timestamp) -> Result<bool, EditError> {
        self.end();
        let Some(step) = self.done.pop_back() else {
            return Ok(false);
        };
        let step = self.take(step, document, now)?;
        self.undone.push(step);
        Ok(true)
    }

    /// Makes the last step that was taken back again; `false` if there is none.
    ///
    /// # Errors
    /// As [`History::undo`].
    pub fn redo(&mut self, document: &mut Document, now: Timestamp) -> Result<bool, EditError> {
        self.end();
        let Some(step) = self.undone.pop() else {
            return Ok(false);
        };
        let step = self.take(step, document, now)?;
        self.done.push_back(step);
        Ok(true)
    }

    /// What [`History::undo`] would do, to name it in a menu.
    #[must_use]
    pub fn next_undo(&self) -> Option<&Edit> {
        let running = self.gesture.as_ref().and_then(|gesture| gesture.inverses.last());
        running.or_else(|| self.done.back().map(|step| &step.edit))
    }

    /// What [`History::redo`] would do.
    #[must_use]
    pub fn next_redo(&self) -> Option<&Edit> {
        self.undone.last().map(|step| &step.edit)
    }

    /// Number of steps that can be taken back.
    #[must_use]
    pub fn len(&self) -> usize {
        self.done.len()
            + usize::from(
                self.gesture
                    .as_ref()
                    .is_some_and(|gesture| !gesture.inverses.is_empty()),
            )
    }

    /// Whether nothing can be taken back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes that the steps hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The present state, to be noted when a save of it begins.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { state: self.state }
    }

    /// Notes that the state of `mark` is on disk, while the document may have gone on.
    pub fn saved(&mut self, mark: Mark) {
        self.saved = mark;
    }

    /// Whether the document is not in the state that was last saved.
    #[must_use]
    pub fn is_unsaved(&self) -> bool {
        self.saved.state != self.state
    }

    /// Notes that the document `before` became `after` by the work of somebody else, and forgets the steps that
    /// would undo or disturb it.
    pub fn merged(&mut self, before: &Document, after: &Document) {
        self.end();
        self.typing = None;
        let changes = Changes::between(before, after);
        if changes.is_empty() {
            return;
        }
        // From the present outwards, in both directions.
        let mut reached = changes.clone();
        let mut kept: VecDeque<Step> = VecDeque::with_capacity(self.done.len());
        while let Some(step) = self.done.pop_back() {
            if !reached.reach(&step.edit) {
                kept.push_front(step);
            }
        }
        self.done = kept;
        let mut reached = changes;
        self.undone.reverse();
        self.undone.retain(|step| !reached.reach(&step.edit));
        self.undone.reverse();
        self.bytes = self.done.iter().chain(&self.undone).map(|step| step.bytes).sum();
        self.state = self.new_state();
    }

    fn new_state(&mut self) -> u64 {
        let state = self.next_state;
        self.next_state += 1;
        state
    }

    fn push(&mut self, edit: Edit, state: u64) {
        let step = Step::new(edit, state);
        self.bytes += step.bytes;
        self.done.push_back(step);
        while self.bytes > self.budget_bytes && self.done.len() > 1 {
            let oldest = self.done.pop_front();
            self.bytes -= oldest.map_or(0, |step| step.bytes);
        }
    }

    /// Takes `step` and answers with the one that leads back.
    fn take(&mut self, step: Step, document: &mut Document, now: Timestamp) -> Result<Step, EditError> {
        self.typing = None;
        self.bytes -= step.bytes;
        let inverse = step.edit.apply(document)?;
        document.touch(now);
        let back = Step::new(inverse, mem::replace(&mut self.state, step.state));
        self.bytes += back.bytes;
        Ok(back)
    }

    fn forget_undone(&mut self) {
        for step in self.undone.drain(..) {
            self.bytes -= step.bytes;
        }
    }
}

impl Step {
    fn new(edit: Edit, state: u64) -> Self {
        let bytes = size_of::<Self>() + edit.bytes();
        Self { edit, state, bytes }
    }
}
