//! Questions about regions, dialogues over several rounds, and what has no form of its own.

use super::super::record::{Kind, Piece, Record, Skipped, Speech, distinct};
use super::super::templates::{Count, Mentions, Wanted};
use super::captions::NO_TEMPLATE;
use super::{Making, Round};

impl Making<'_, '_> {
    /// Everything as it was written; a later turn mentions an earlier mask by the same words.
    pub(super) fn dialogue(&self, kind: Kind, rounds: &[Round], origin: &str) -> Result<Record, Skipped> {
        self.all(kind, rounds, origin, |question| self.asked(question))
    }

    pub(super) fn region_qa(&self, rounds: &[Round], origin: &str) -> Result<Record, Skipped> {
        let mut record = self.dialogue(Kind::RegionQa, rounds, origin)?;
        let several = questioned(&record).len() > 1;
        let wanted = Wanted {
            regions: Some(if several { Count::Several } else { Count::One }),
            ..Wanted::default()
        };
        let chosen = self.templates.choose("region_qa", wanted, self.draw(origin));
        if chosen.is_some_and(|chosen| chosen.form.mentions == Mentions::Prompts) {
            tag_prompts(&mut record);
        }
        Ok(record)
    }

    /// The same with an enlarged crop of every small region of the first question; nothing where none is small.
    pub(super) fn region_qa_zoom_in(
        &mut self,
        rounds: &[Round],
        origin: &str,
    ) -> Result<Option<Record>, Skipped> {
        if self.zoomer.is_none() {
            return Ok(None);
        }
        let mut record = self.dialogue(Kind::RegionQaZoomIn, rounds, origin)?;
        let first: Vec<usize> = record
            .turns
            .iter()
            .take(1)
            .flat_map(|turn| turn.speech.regions())
            .collect();
        let first = distinct(first.into_iter());
        let mut zoomed = Vec::new();
        if let Some(zoomer) = &mut self.zoomer {
            for (number, &region) in first.iter().enumerate() {
                if let Some(crop) = zoomer.crop(region)? {
                    zoomed.push(number);
                    record.crops.push(crop);
                }
            }
        }
        if zoomed.is_empty() {
            return Ok(None);
        }
        let chosen = self
            .templates
            .choose("region_qa_zoom_in", Wanted::default(), self.draw(origin));
        let form = chosen.ok_or(NO_TEMPLATE)?.form;
        if form.mentions == Mentions::Prompts {
            tag_prompts(&mut record);
        }
        if let Some(question) = record.turns.first_mut() {
            for (crop, number) in zoomed.into_iter().enumerate() {
                let mut words = Speech::default();
                words.crop(crop);
                let prompt = Speech::of(&prompt(number));
                let slots = [("PROMPT", &prompt), ("ZOOM_IN_SEG", &words)];
                question.speech.say(&Speech::filled(&form.suffix, &slots));
            }
        }
        Ok(Some(record))
    }
}

/// The regions that the questions mention.
fn questioned(record: &Record) -> Vec<usize> {
    let questions = record.turns.iter().step_by(2);
    distinct(questions.flat_map(|turn| turn.speech.regions()))
}

fn prompt(number: usize) -> String {
    format!("<Prompt{number}>")
}

/// Numbers the regions in the order of their mention: the first mention is the tag and the words, later ones the tag.
///
/// A region that only answers mention keeps its words there: nobody has named it by a tag before.
fn tag_prompts(record: &mut Record) {
    let numbered = questioned(record);
    let mut introduced = Vec::new();
    for turn in &mut record.turns {
        let mut speech = Speech::default();
        for piece in turn.speech.pieces() {
            match piece {
                Piece::Text(text) => speech.text(text),
                Piece::Crop(crop) => speech.crop(*crop),
                Piece::Mask(region) => match numbered.iter().position(|numbered| numbered == region) {
                    None => speech.mask(*region),
                    Some(number) => {
                        speech.text(&prompt(number));
                        if !introduced.contains(region) {
                            introduced.push(*region);
                            speech.mask(*region);
                        }
                    }
                },
            }
        }
        turn.speech = speech;
    }
}
