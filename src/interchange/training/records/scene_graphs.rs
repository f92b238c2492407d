//! Regions and their relations.
//!
//! An annotator writes one relation per line, `[[r1]] riding [[r2]]`; the answer is the published list of triplets.
//! An answer of any other form is kept as it is.

use super::super::record::{Kind, Record, Skipped, Speech};
use super::super::templates::{Chosen, Wanted};
use super::captions::NO_TEMPLATE;
use super::{Making, Round, with_image};

const TASK: &str = "scene_graph";

/// Subject, predicate, object.
struct Triplet<'t> {
    subject: usize,
    predicate: &'t str,
    object: usize,
}

impl Making<'_, '_> {
    pub(super) fn scene_graph(&self, rounds: &[Round], origin: &str) -> Result<Record, Skipped> {
        let wanted = Wanted {
            unlisted: !rounds.iter().all(|round| self.triplets(&round.answer).is_some()),
            ..Wanted::default()
        };
        let chosen = self
            .templates
            .choose(TASK, wanted, self.draw(origin))
            .ok_or(NO_TEMPLATE)?;
        let mut said = Vec::with_capacity(rounds.len() + 1);
        for round in rounds {
            let triplets = self.triplets(&round.answer);
            let answer = match &triplets {
                Some(triplets) => self.triplet_list(triplets)?,
                None => self.said(&round.answer)?,
            };
            let is_own_question =
                !round.question.is_empty() && !self.templates.is_question(TASK, &round.question);
            let question = match &chosen.question {
                Some(_) if is_own_question => self.said(&round.question)?,
                None => self.asked(&round.question)?,
                Some(question) => {
                    let triplets = triplets.as_deref().unwrap_or_default();
                    if let Some(first) = &chosen.form.first {
                        said.push(self.detection(first)?);
                    }
                    self.listed(question, &chosen, triplets)?
                }
            };
            said.push((question, answer));
        }
        if let Some((question, _)) = said.first_mut() {
            *question = with_image(question);
        }
        Ok(Record::new(Kind::SceneGraph, origin.to_owned(), said))
    }

    /// The relations of an answer in which every line is one.
    fn triplets<'t>(&self, answer: &'t str) -> Option<Vec<Triplet<'t>>> {
        let lines = answer.lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .map(|line| self.triplet(line))
            .collect::<Option<Vec<_>>>()
            .filter(|triplets| !triplets.is_empty())
    }

    fn triplet<'t>(&self, line: &'t str) -> Option<Triplet<'t>> {
        let line = line
            .trim_start_matches(['-', '*', ' '])
            .trim_end_matches(['.', ';', ',', ' ']);
        let mut mentions = self.scene.mentions(line);
        let ((subject, subject_region), (object, object_region)) = (mentions.next()?, mentions.next()?);
        let predicate = line.get(subject.range.end..object.range.start)?.trim();
        let is_whole =
            subject.range.start == 0 && object.range.end == line.len() && mentions.next().is_none();
        (is_whole && !predicate.is_empty()).then_some(Triplet {
            subject: subject_region,
            predicate,
            object: object_region,
        })
    }

    fn triplet_list(&self, triplets: &[Triplet<'_>]) -> Result<Speech, Skipped> {
        let mut speech = Speech::of("```json\n[");
        for (index, triplet) in triplets.iter().enumerate() {
            speech.text(if index == 0 {
                "{\"subject\": "
            } else {
                ",\n{\"subject\": "
            });
            self.item(triplet.subject, &mut speech)?;
            speech.text(", \"predicate\": ");
            speech.text(&json_string(triplet.predicate));
            speech.text(", \"object\": ");
            self.item(triplet.object, &mut speech)?;
            speech.text("}");
        }
        speech.text("]\n```");
        Ok(speech)
    }

    fn item(&self, region: usize, speech: &mut Speech) -> Result<(), Skipped> {
        self.scene.shown(region)?;
        speech.text("{\"mask_2d\": \"");
        speech.mask(region);
        speech.text("\", \"label\": ");
        speech.text(&json_string(self.scene.label(region)));
        speech.text("}");
        Ok(())
    }

    /// The round before the question in which all labelled regions are detected.
    fn detection(&self, question: &str) -> Result<(Speech, Speech), Skipped> {
        let labelled = self
            .scene
            .regions()
            .filter(|(index, _, shown)| shown.is_ok() && !self.scene.label(*index).is_empty());
        let regions: Vec<usize> = labelled.map(|(index, ..)| index).collect();
        let categories = Speech::of(&self.categories());
        let question = Speech::filled(question, &[("CATEGORIES", &categories)]);
        Ok((question, self.mask_list(&regions, None)?))
    }

    fn listed(
        &self,
        question: &str,
        chosen: &Chosen<'_>,
        triplets: &[Triplet<'_>],
    ) -> Result<Speech, Skipped> {
        let usable = self.scene.regions().filter(|(_, _, shown)| shown.is_ok());
        let regions: Vec<usize> = usable.map(|(index, ..)| index).collect();
        let masks = chosen.form.list.masks(&regions);
        let vocabulary = &self.templates.scene_graph().predicates;
        let used = triplets.iter().map(|triplet| triplet.predicate);
        let predicates = Speech::of(&braced(vocabulary, used));
        let categories = Speech::of(&self.categories());
        let slots = [
            ("CATEGORIES", &categories),
            ("PREDICATES", &predicates),
            ("SEG", &masks),
        ];
        Ok(Speech::filled(question, &slots))
    }

    fn categories(&self) -> String {
        let usable = self.scene.regions().filter(|(_, _, shown)| shown.is_ok());
        let labels = usable
            .map(|(index, ..)| self.scene.label(index))
            .filter(|label| !label.is_empty());
        braced(&self.templates.scene_graph().categories, labels)
    }
}

/// `{a, b}` of the vocabulary, or where it is empty of what is `used`, each once.
fn braced<'x>(vocabulary: &'x [String], used: impl Iterator<Item = &'x str>) -> String {
    let mut names: Vec<&str> = vocabulary.iter().map(String::as_str).collect();
    if names.is_empty() {
        for name in used {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    format!("{{{}}}", names.join(", "))
}

fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
