//! What a conversion has to say about single images and annotations: left out, clipped, or understood in a certain way.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// Notes of one kind that are kept in full; beyond that they are only counted.
const KEPT: usize = 100;

/// One thing a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The image as the file names it; empty where it concerns none.
    pub image: String,
    /// The annotation, as the file identifies it; empty where it concerns a whole image.
    pub annotation: String,
}

/// Notes by what they say, such as "points without an area were left out".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    lost: BTreeMap<String, (u64, Vec<Note>)>,
    remarks: BTreeMap<String, (u64, Vec<Note>)>,
}

impl Notes {
    /// Something was not carried over; `what` is the same sentence for all of its kind.
    pub fn lost(&mut self, what: &str, image: &str, annotation: impl ToString) {
        Self::add(&mut self.lost, what, image, annotation.to_string());
    }

    /// Something was carried over in a way that a person may want to know.
    pub fn remark(&mut self, what: &str, image: &str, annotation: impl ToString) {
        Self::add(&mut self.remarks, what, image, annotation.to_string());
    }

    fn add(kinds: &mut BTreeMap<String, (u64, Vec<Note>)>, what: &str, image: &str, annotation: String) {
        let (count, notes) = kinds.entry(what.to_owned()).or_default();
        *count += 1;
        if notes.len() < KEPT {
            notes.push(Note {
                image: image.to_owned(),
                annotation,
            });
        }
    }

    /// Adds all notes of `other`.
    pub(super) fn append(&mut self, other: Self) {
        for (kinds, others) in [(&mut self.lost, other.lost), (&mut self.remarks, other.remarks)] {
            for (what, (more, notes)) in others {
                let (count, kept) = kinds.entry(what).or_default();
                *count += more;
                let room = KEPT - kept.len();
                kept.extend(notes.into_iter().take(room));
            }
        }
    }

    /// What was lost: the sentence, how often, and the first of them.
    pub fn losses(&self) -> impl Iterator<Item = (&str, u64, &[Note])> {
        self.lost
            .iter()
            .map(|(what, (count, notes))| (what.as_str(), *count, notes.as_slice()))
    }

    /// The other remarks, likewise.
    pub fn remarks(&self) -> impl Iterator<Item = (&str, u64, &[Note])> {
        self.remarks
            .iter()
            .map(|(what, (count, notes))| (what.as_str(), *count, notes.as_slice()))
    }

    /// Adds `lost` and `remarks` to a report.
    pub(super) fn add_to(&self, report: &mut Value) {
        for (key, kinds) in [("lost", &self.lost), ("remarks", &self.remarks)] {
            let note = |note: &Note| json!({"image": note.image, "annotation": note.annotation});
            let kind = |(what, (count, notes)): (&String, &(u64, Vec<Note>))| json!({"what": what, "count": count, "first": notes.iter().map(note).collect::<Vec<_>>()});
            if let Some(keys) = report.as_object_mut() {
                keys.insert(key.to_owned(), kinds.iter().map(kind).collect());
            }
        }
    }
}

impl fmt::Display for Notes {
    /// One line for each kind, with the first example.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (heading, kinds) in [("lost", &self.lost), ("note", &self.remarks)] {
            for (what, (count, notes)) in kinds {
                write!(f, "{heading:<16} {what} ({count})")?;
                if let Some(first) = notes.first().filter(|first| !first.image.is_empty()) {
                    let which = [first.annotation.as_str(), first.image.as_str()];
                    let which: Vec<&str> = which.into_iter().filter(|part| !part.is_empty()).collect();
                    write!(f, ", first {}", which.join(" of "))?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
