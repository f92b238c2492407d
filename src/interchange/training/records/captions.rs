//! Descriptions of regions and of the image.

use super::super::record::{Kind, Record, Skipped, Speech, distinct};
use super::super::templates::{Count, Wanted};
use super::{Making, Round, with_image};

impl Making<'_, '_> {
    pub(super) fn region_caption(
        &self,
        region: usize,
        caption: &str,
        origin: &str,
    ) -> Result<Vec<Record>, Skipped> {
        let question = self.region_question("region_caption", &[region], &[], origin)?;
        let rounds = [(with_image(&question), self.said(caption)?)];
        Ok(vec![Record::new(Kind::RegionCaption, origin.to_owned(), rounds)])
    }

    /// Nothing where the region is not small.
    pub(super) fn zoom_in(
        &mut self,
        region: usize,
        caption: &str,
        origin: &str,
    ) -> Result<Vec<Record>, Skipped> {
        let Some(zoomer) = &mut self.zoomer else {
            return Ok(Vec::new());
        };
        let Some(crop) = zoomer.crop(region)? else {
            return Ok(Vec::new());
        };
        let mut crop_words = Speech::default();
        crop_words.crop(0);
        let question = self.region_question("zoom_in", &[region], &[("ZOOM_IN_SEG", &crop_words)], origin)?;
        let rounds = [(with_image(&question), self.said(caption)?)];
        let mut record = Record::new(Kind::ZoomIn, origin.to_owned(), rounds);
        record.crops.push(crop);
        Ok(vec![record])
    }

    pub(super) fn caption(&self, rounds: &[Round], origin: &str) -> Result<Record, Skipped> {
        let question = |question: &str| match question {
            "" => self.templated("caption", origin),
            question => self.said(question),
        };
        self.all(Kind::Caption, rounds, origin, question)
    }

    /// A question that only names regions is asked in the template for one or for several.
    pub(super) fn detailed_caption(&self, rounds: &[Round], origin: &str) -> Result<Record, Skipped> {
        let question = |question: &str| {
            let speech = self.asked(question)?;
            let regions = distinct(speech.regions());
            if regions.is_empty() || !self.only_names_regions(question) {
                return Ok(speech);
            }
            let task = if regions.len() == 1 {
                "region_caption"
            } else {
                "regions_caption"
            };
            self.region_question(task, &regions, &[], origin)
        };
        self.all(Kind::DetailedCaption, rounds, origin, question)
    }

    /// A record of all rounds with answers as they are and questions made by `question`.
    pub(super) fn all(
        &self,
        kind: Kind,
        rounds: &[Round],
        origin: &str,
        question: impl Fn(&str) -> Result<Speech, Skipped>,
    ) -> Result<Record, Skipped> {
        let mut said = Vec::with_capacity(rounds.len());
        for (index, round) in rounds.iter().enumerate() {
            let question = question(&round.question)?;
            let question = if index == 0 {
                with_image(&question)
            } else {
                question
            };
            said.push((question, self.said(&round.answer)?));
        }
        Ok(Record::new(kind, origin.to_owned(), said))
    }

    /// Whether nothing but mentions, commas and "and" is left of `text`.
    pub(super) fn only_names_regions(&self, text: &str) -> bool {
        let mut rest = String::with_capacity(text.len());
        let mut from = 0;
        for (mention, _) in self.scene.mentions(text) {
            rest.push_str(text.get(from..mention.range.start).unwrap_or_default());
            rest.push(' ');
            from = mention.range.end;
        }
        rest.push_str(text.get(from..).unwrap_or_default());
        let words = rest.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '.'));
        from > 0 && words.filter(|word| !word.is_empty()).all(|word| word == "and")
    }

    /// A question of `task` without anything to fill in.
    fn templated(&self, task: &str, origin: &str) -> Result<Speech, Skipped> {
        let chosen = self.templates.choose(task, Wanted::default(), self.draw(origin));
        let question = chosen.and_then(|chosen| chosen.question);
        Ok(Speech::of(&question.ok_or(NO_TEMPLATE)?))
    }

    /// A question of `task` about `regions`.
    fn region_question(
        &self,
        task: &str,
        regions: &[usize],
        slots: &[(&str, &Speech)],
        origin: &str,
    ) -> Result<Speech, Skipped> {
        let wanted = Wanted {
            regions: Some(if regions.len() > 1 {
                Count::Several
            } else {
                Count::One
            }),
            ..Wanted::default()
        };
        let chosen = self
            .templates
            .choose(task, wanted, self.draw(origin))
            .ok_or(NO_TEMPLATE)?;
        let masks = chosen.form.list.masks(regions);
        let question = chosen.question.ok_or(NO_TEMPLATE)?;
        let slots: Vec<_> = slots.iter().copied().chain([("SEG", &masks)]).collect();
        Ok(Speech::filled(&question, &slots))
    }
}

/// The template file has nothing that fits.
pub(super) const NO_TEMPLATE: Skipped =
    Skipped::Because("left out because the template file has no question that fits");
