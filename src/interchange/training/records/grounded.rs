//! Captions whose phrases have masks.
//!
//! A phrase is tagged as `<p> phrase </p> [[r1]]`, or with the published tags. Where an answer has no tags, the
//! region's label says what the phrase is: the words before the mention if they end with it, or else the label
//! itself, which takes the mention's place. Where a region has no label either, the answer is dense: masks, no tags.

use super::super::record::{Kind, Record, Scene, Skipped, Speech};
use super::super::templates::{Length, Mentions, Wanted};
use super::captions::NO_TEMPLATE;
use super::{Making, Round, with_image, without_placeholders};

const TAGS: [(&str, &str); 2] = [("<p>", "</p>"), ("<|object_ref_start|>", "<|object_ref_end|>")];
/// Only in questions that want no tags.
const NO_TAGS: &str = "Do not use \"<|object_ref_start|>";
const ARTICLES: [&str; 3] = ["a", "an", "the"];

/// A stretch of a grounded caption.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment<'t> {
    Text(&'t str),
    /// A phrase and the regions that stand behind it.
    Phrase(&'t str, Vec<usize>),
    /// Regions without a tagged phrase.
    Masks(Vec<usize>),
}

impl Making<'_, '_> {
    pub(super) fn grounded_caption(&self, rounds: &[Round], origin: &str) -> Result<Record, Skipped> {
        let mut said = Vec::with_capacity(rounds.len());
        let mut has_masks = false;
        for (index, round) in rounds.iter().enumerate() {
            let answer = without_placeholders(&round.answer);
            let segments = segments(self.scene, &answer);
            has_masks |= segments
                .iter()
                .any(|segment| !matches!(segment, Segment::Text(_)));
            let named = named(self.scene, &segments);
            let (question, style) = self.grounded_question(round, named.is_none(), origin)?;
            let segments = match (style, named) {
                (Mentions::Tags, Some(named)) => named,
                _ => segments,
            };
            let question = if index == 0 {
                with_image(&question)
            } else {
                question
            };
            said.push((question, self.styled(&segments, style)?));
        }
        if !has_masks {
            return Err(Skipped::Because(
                "left out because no phrase of a grounded caption has a region",
            ));
        }
        Ok(Record::new(Kind::GroundedCaption, origin.to_owned(), said))
    }

    /// The question, and how masks stand in its answer.
    fn grounded_question(
        &self,
        round: &Round,
        is_nameless: bool,
        origin: &str,
    ) -> Result<(Speech, Mentions), Skipped> {
        if !round.question.is_empty() {
            let wants_tags = !is_nameless && !round.question.contains(NO_TAGS);
            let style = if wants_tags {
                Mentions::Tags
            } else {
                Mentions::Dense
            };
            return Ok((self.said(&round.question)?, style));
        }
        let wanted = Wanted {
            length: Some(length(&round.answer)),
            dense: is_nameless,
            ..Wanted::default()
        };
        let chosen = self
            .templates
            .choose("grounded_caption", wanted, self.draw(origin))
            .ok_or(NO_TEMPLATE)?;
        let mut question = chosen.question.ok_or(NO_TEMPLATE)?;
        if let (true, Some(ending)) = (self.for_rl, &chosen.form.rl_ending)
            && question.ends_with('.')
        {
            question.pop();
            question.push_str(ending);
        }
        Ok((Speech::of(&question), chosen.form.mentions))
    }

    fn styled(&self, segments: &[Segment<'_>], style: Mentions) -> Result<Speech, Skipped> {
        let mut speech = Speech::default();
        for segment in segments {
            let (phrase, regions) = match segment {
                Segment::Text(text) => {
                    speech.text(text);
                    continue;
                }
                Segment::Phrase(phrase, regions) => (Some(*phrase), regions),
                Segment::Masks(regions) => (None, regions),
            };
            for region in regions {
                self.scene.shown(*region)?;
            }
            if let Some(phrase) = phrase {
                let phrase = self.said(phrase)?;
                let (before, after) = match style {
                    Mentions::Tags => ("<|object_ref_start|> ", " <|object_ref_end|> "),
                    _ => ("", " "),
                };
                speech.text(before);
                speech.say(&phrase);
                speech.text(after);
            }
            if style == Mentions::Parentheses {
                speech.text("(");
                speech.say(&Speech::masks(regions, ", ", ", "));
                speech.text(")");
            } else {
                speech.say(&Speech::masks(regions, " ", " "));
            }
        }
        Ok(speech)
    }
}

/// Several sentences are a detailed description.
fn length(answer: &str) -> Length {
    let ends = |(index, c): (usize, char)| {
        let rest = answer.get(index + c.len_utf8()..).unwrap_or_default();
        matches!(c, '.' | '!' | '?') && rest.starts_with(char::is_whitespace)
    };
    if answer.trim_end().char_indices().any(ends) {
        Length::Detail
    } else {
        Length::Brief
    }
}

fn segments<'t>(scene: &Scene<'_>, text: &'t str) -> Vec<Segment<'t>> {
    let mentions: Vec<_> = scene
        .mentions(text)
        .map(|(mention, region)| (mention.range, region))
        .collect();
    let mut segments = Vec::new();
    let mut rest_of_mentions = mentions.as_slice();
    let (mut copied, mut position) = (0, 0);
    loop {
        while let Some((first, rest)) = rest_of_mentions.split_first()
            && first.0.start < position
        {
            rest_of_mentions = rest;
        }
        let rest = text.get(position..).unwrap_or_default();
        let tag = TAGS
            .iter()
            .filter_map(|tags| Some((position + rest.find(tags.0)?, tags)))
            .min_by_key(|tag| tag.0);
        let mention = rest_of_mentions.first().map(|(range, _)| range.start);
        let (start, phrase) = match (tag, mention) {
            (Some((start, tags)), mention) if mention.is_none_or(|mention| start < mention) => {
                let inside = start + tags.0.len();
                let Some(length) = text.get(inside..).and_then(|inside| inside.find(tags.1)) else {
                    // A tag that is never closed is plain text.
                    position = inside;
                    continue;
                };
                position = inside + length + tags.1.len();
                (start, text.get(inside..inside + length).map(str::trim))
            }
            (_, Some(start)) => {
                position = start;
                (start, None)
            }
            (_, None) => break,
        };
        while let Some((first, rest)) = rest_of_mentions.split_first()
            && first.0.start < position
        {
            rest_of_mentions = rest;
        }
        let mut regions = Vec::new();
        while let Some(((range, region), rest)) = rest_of_mentions.split_first()
            && text
                .get(position..range.start)
                .is_some_and(|gap| gap.chars().all(|c| c.is_whitespace() || c == ','))
        {
            regions.push(*region);
            position = range.end;
            rest_of_mentions = rest;
        }
        let segment = match phrase {
            // Tags around nothing that has a region stay as they are.
            Some(_) if regions.is_empty() => continue,
            Some(phrase) => Segment::Phrase(phrase, regions),
            None => Segment::Masks(regions),
        };
        if let Some(before) = text.get(copied..start).filter(|before| !before.is_empty()) {
            segments.push(Segment::Text(before));
        }
        segments.push(segment);
        copied = position;
    }
    if let Some(rest) = text.get(copied..).filter(|rest| !rest.is_empty()) {
        segments.push(Segment::Text(rest));
    }
    segments
}

/// The segments with a phrase for all regions; `None` where a region has neither phrase nor label.
fn named<'t>(scene: &Scene<'t>, segments: &[Segment<'t>]) -> Option<Vec<Segment<'t>>> {
    let mut named = Vec::with_capacity(segments.len());
    for segment in segments {
        let Segment::Masks(regions) = segment else {
            named.push(segment.clone());
            continue;
        };
        let label = scene.label(*regions.first()?);
        if label.is_empty() {
            return None;
        }
        let before = match named.last() {
            Some(Segment::Text(before)) => *before,
            _ => "",
        };
        match phrase_start(before, label).and_then(|start| before.split_at_checked(start)) {
            Some((before, phrase)) => {
                named.pop();
                if !before.is_empty() {
                    named.push(Segment::Text(before));
                }
                named.push(Segment::Phrase(phrase.trim_end(), regions.clone()));
            }
            None => named.push(Segment::Phrase(label, regions.clone())),
        }
    }
    Some(named)
}

/// Where in `before` the phrase begins that ends it with `label`, its article included.
fn phrase_start(before: &str, label: &str) -> Option<usize> {
    let text = before.trim_end();
    let start = text.len().checked_sub(label.len())?;
    let is_word_start = |start: usize| {
        text.get(..start)
            .is_some_and(|before| !before.ends_with(char::is_alphanumeric))
    };
    let found = text.get(start..)?;
    if !found.eq_ignore_ascii_case(label) || !is_word_start(start) {
        return None;
    }
    let ahead = text.get(..start)?.trim_end();
    let article = ARTICLES.iter().find_map(|article| {
        let start = ahead.len().checked_sub(article.len())?;
        (ahead.get(start..)?.eq_ignore_ascii_case(article) && is_word_start(start)).then_some(start)
    });
    Some(article.unwrap_or(start))
}
