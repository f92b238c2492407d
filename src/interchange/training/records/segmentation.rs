//! From words to masks: referring expressions, expressions without a target, and implied descriptions.

use super::super::record::{Kind, Record, Skipped, Speech, distinct};
use super::super::templates::{Chosen, Count, SUBJECTS, Subject, Wanted};
use super::captions::NO_TEMPLATE;
use super::{Making, Round, with_image};
use crate::dataset::Task;
use crate::words::{NO_TARGET, is_no_target, write_mask_list};

/// What a user asks for: a question in full, or the words that a template is to be filled with.
struct Asked<'x> {
    /// The words that name the target, where they are known.
    subject: Option<&'x str>,
    /// Whether the question is complete as it stands.
    is_complete: bool,
}

impl Making<'_, '_> {
    /// One record per question, as the published sets have it.
    pub(super) fn referring(
        &self,
        task: Task,
        rounds: &[Round],
        origin: &str,
    ) -> Result<Vec<Record>, Skipped> {
        let records = rounds.iter().enumerate().map(|(index, round)| {
            let origin = if rounds.len() == 1 {
                origin.to_owned()
            } else {
                format!("{origin}/{index}")
            };
            self.referring_round(task, round, origin)
        });
        records.collect()
    }

    fn referring_round(&self, task: Task, round: &Round, origin: String) -> Result<Record, Skipped> {
        const TASK: &str = "referring_segmentation";
        let regions = distinct(self.scene.mentions(&round.answer).map(|(_, region)| region));
        let has_no_target = task == Task::NoTarget || is_no_target(&round.answer);
        if regions.is_empty() && has_no_target {
            let asked = self.asked_for("no_target", &round.question);
            let wanted = Wanted::default();
            let chosen = self
                .templates
                .choose("no_target", wanted, self.draw(&origin))
                .ok_or(NO_TEMPLATE)?;
            let question = self.question(&asked, &round.question, &chosen)?;
            let answer = Speech::of(chosen.answer.unwrap_or(NO_TARGET));
            return Ok(Record::new(
                Kind::NoTarget,
                origin,
                [(with_image(&question), answer)],
            ));
        }
        let asked = self.asked_for(TASK, &round.question);
        let wanted = Wanted {
            regions: Some(count(&regions)),
            ..Wanted::default()
        };
        let chosen = self
            .templates
            .choose(TASK, wanted, self.draw(&origin))
            .ok_or(NO_TEMPLATE)?;
        let question = self.question(&asked, &round.question, &chosen)?;
        let answer = match chosen.answer.filter(|_| self.is_bare(TASK, &round.answer)) {
            None => self.said(&round.answer)?,
            Some(answer) => {
                let masks = chosen.form.list.masks(&regions);
                let list = if answer.contains("{LIST}") {
                    self.mask_list(&regions, asked.subject)?
                } else {
                    for region in &regions {
                        self.scene.shown(*region)?;
                    }
                    Speech::default()
                };
                Speech::filled(answer, &[("LIST", &list), ("SEG", &masks)])
            }
        };
        Ok(Record::new(
            Kind::ReferringSegmentation,
            origin,
            [(with_image(&question), answer)],
        ))
    }

    pub(super) fn reasoning(&self, rounds: &[Round], origin: &str) -> Result<Record, Skipped> {
        const TASK: &str = "reasoning_segmentation";
        let mut said = Vec::with_capacity(rounds.len());
        for (index, round) in rounds.iter().enumerate() {
            let regions = distinct(self.scene.mentions(&round.answer).map(|(_, region)| region));
            let mut asked = self.asked_for(TASK, &round.question);
            // A sentence that asks for a mask in its own words needs no template to do so.
            let question = round.question.to_lowercase();
            let is_sentence = asked
                .subject
                .is_none_or(|subject| Subject::of(subject) == Subject::Sentence);
            asked.is_complete |= is_sentence && (question.contains("mask") || question.contains("segment"));
            if !asked.is_complete && asked.subject.is_none() {
                asked.subject = Some(&round.question);
            }
            let wanted = Wanted {
                subject: asked.subject.map(Subject::of),
                regions: Some(count(&regions)),
                ..Wanted::default()
            };
            let chosen = self
                .templates
                .choose(TASK, wanted, self.draw(origin))
                .ok_or(NO_TEMPLATE)?;
            let question = self.question(&asked, &round.question, &chosen)?;
            let answer = match chosen.answer.filter(|_| self.is_bare(TASK, &round.answer)) {
                None => self.said(&round.answer)?,
                Some(answer) => {
                    for region in &regions {
                        self.scene.shown(*region)?;
                    }
                    let labels: Vec<&str> = regions.iter().map(|region| self.scene.label(*region)).collect();
                    let is_nameless = labels.iter().any(|label| label.is_empty());
                    let answer = if answer.contains("{class_name}") && is_nameless {
                        "{SEG}."
                    } else {
                        answer
                    };
                    let labels = Speech::of(&labels.join(", ").to_lowercase());
                    let masks = chosen.form.list.masks(&regions);
                    Speech::filled(answer, &[("SEG", &masks), ("class_name", &labels)])
                }
            };
            let question = if index == 0 {
                with_image(&question)
            } else {
                question
            };
            said.push((question, answer));
        }
        Ok(Record::new(Kind::ReasoningSegmentation, origin.to_owned(), said))
    }

    /// How the question `text` is to be understood.
    fn asked_for<'x>(&self, task: &str, text: &'x str) -> Asked<'x> {
        if let Some(subject) = self.templates.subject_in(task, text) {
            return Asked {
                subject: Some(subject),
                is_complete: true,
            };
        }
        match Subject::of(text) {
            Subject::Phrase => Asked {
                subject: Some(text).filter(|text| !text.is_empty()),
                is_complete: false,
            },
            Subject::Sentence => Asked {
                subject: None,
                is_complete: task != "reasoning_segmentation",
            },
        }
    }

    fn question(&self, asked: &Asked<'_>, text: &str, chosen: &Chosen<'_>) -> Result<Speech, Skipped> {
        match (&chosen.question, asked.subject) {
            _ if asked.is_complete => self.said(text),
            (None, _) => self.asked(text),
            (Some(_), None) => Err(Skipped::Because("left out because nothing says what to look for")),
            (Some(template), Some(subject)) => {
                let subject = self.said(subject)?;
                Ok(Speech::filled(template, &SUBJECTS.map(|name| (name, &subject))))
            }
        }
    }

    /// Whether an answer only says which regions, in one of the task's sentences or in none.
    fn is_bare(&self, task: &str, answer: &str) -> bool {
        if self.only_names_regions(answer) {
            return true;
        }
        let mut mentions = self.scene.mentions(answer).map(|(mention, _)| mention.range);
        let Some(first) = mentions.next() else {
            return false;
        };
        let last = mentions.last().unwrap_or_else(|| first.clone());
        let part = |range| answer.get(range).unwrap_or_default();
        let sentence = format!("{}{{SEG}}{}", part(0..first.start), part(last.end..answer.len()));
        self.only_names_regions(part(first.start..last.end)) && self.templates.is_answer(task, &sentence)
    }

    /// The fenced list, sorted as published; several targets of one phrase are each "one of the" phrase.
    pub(super) fn mask_list(&self, regions: &[usize], phrase: Option<&str>) -> Result<Speech, Skipped> {
        for region in regions {
            self.scene.shown(*region)?;
        }
        let regions = self.scene.left_to_right(regions.to_vec());
        let phrase = phrase.map(|phrase| match regions.len() {
            1 => phrase.to_owned(),
            _ => {
                let bare = phrase
                    .strip_prefix("the ")
                    .or_else(|| phrase.strip_prefix("The "))
                    .unwrap_or(phrase);
                format!("one of the {bare}")
            }
        });
        let mut items = Vec::with_capacity(regions.len());
        for region in &regions {
            let shown = self.scene.shown(*region)?;
            let label = phrase.as_deref().unwrap_or(self.scene.label(*region));
            items.push((shown, Some(label).filter(|label| !label.is_empty())));
        }
        let format = items.first().map(|(shown, _)| shown.format).unwrap_or_default();
        let text = write_mask_list(format, items.iter().map(|(shown, label)| (&shown.codes, *label)));
        let mut speech = Speech::default();
        let mut rest = text.as_str();
        for (region, (shown, _)) in regions.iter().zip(&items) {
            if let Some((before, after)) = rest.split_once(shown.text.as_str()) {
                speech.text(before);
                speech.mask(*region);
                rest = after;
            }
        }
        speech.text(rest);
        Ok(speech)
    }
}

const fn count(regions: &[usize]) -> Count {
    if regions.len() > 1 {
        Count::Several
    } else {
        Count::One
    }
}
