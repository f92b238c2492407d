//! A text field in which mentions of regions are coloured chips.

use std::collections::HashMap;
use std::sync::Arc;

use eframe::egui::{
    self, FontId, Galley, Id, TextBuffer, TextEdit, TextFormat, Ui,
    text::{CCursor, CCursorRange, LayoutJob},
};

use super::state::{MentionTarget, TextTarget, UiState};
use super::theme;
use crate::dataset::{Document, Region, mention};
use crate::locale::Locale;
use crate::session::regions::color_of;

/// Regions that are offered behind an `@`.
const OFFERED: usize = 12;

/// A text field in which regions can be mentioned.
#[derive(Debug)]
pub(super) struct MentionText<'a> {
    pub(super) document: &'a Document,
    pub(super) target: TextTarget,
    pub(super) text: &'a str,
    pub(super) hint: &'a str,
    /// The accessible name.
    pub(super) name: String,
    pub(super) rows: usize,
    /// What can be mentioned beside the regions.
    pub(super) more: &'a [Mentioned],
    /// Whether Enter ends the text, and Shift+Enter breaks the line.
    pub(super) is_sent_by_enter: bool,
    pub(super) locale: Locale,
}

/// Something that a text can mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mentioned {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) rgb: [u8; 3],
}

impl Mentioned {
    pub(super) fn region(region: &Region) -> Self {
        Self {
            id: region.id.clone(),
            label: region.label.clone(),
            rgb: color_of(region).rgb,
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The text, if it changed.
    pub(super) text: Option<String>,
    /// Whether the field lost the focus.
    pub(super) is_left: bool,
    /// Whether Enter was pressed to send the text.
    pub(super) is_sent: bool,
}

impl MentionText<'_> {
    /// Draws the field and notes where regions would go.
    pub(super) fn show(self, ui: &mut Ui, state: &mut UiState) -> Written {
        let id = Id::unique(("mention text", &self.target));
        let mut text = self.text.to_owned();
        let wants_focus = state.focus.take_if(|focus| focus.text == self.target);
        // A region that was clicked goes where the cursor was.
        let mut cursor = wants_focus.as_ref().map(|focus| focus.cursor);
        let mut is_changed = false;
        while let Some(place) = state
            .inserts
            .iter()
            .position(|(target, _)| target.text == self.target)
        {
            let (target, region) = state.inserts.remove(place);
            cursor = Some(insert_mention(&mut text, target.cursor, &region));
            is_changed = true;
        }
        // Keys that choose from the list must not reach the field.
        let is_focused = ui.memory(|memory| memory.has_focus(id));
        let completing = state
            .mention
            .as_ref()
            .filter(|mention| is_focused && mention.text == self.target);
        let start =
            completing.and_then(|mention| Some((start_of_at(&text, mention.cursor)?, mention.cursor)));
        let mut chosen = None;
        if let Some((start, cursor)) = start {
            let offered = self.offered(&text, start, cursor);
            chosen = choose_by_key(ui, id, &offered).map(|region| (start, cursor, region));
        }
        let is_sent = self.is_sent_by_enter
            && is_focused
            && chosen.is_none()
            && ui.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Enter));
        let colors = self.colors(&text);
        let mut layouter =
            |ui: &Ui, text: &dyn TextBuffer, width: f32| layout(ui, &colors, text.as_str(), width);
        let mut output = TextEdit::multiline(&mut text)
            .id(id)
            .hint_text(self.hint)
            .desired_rows(self.rows)
            .desired_width(f32::INFINITY)
            .layouter(&mut layouter)
            .show(ui);
        let response = output.response.response.clone();
        let name = self.name.clone();
        response.widget_info(|| crate::app::accessible::text_field(self.text, &text, &name));
        if let Some(cursor) = cursor {
            output
                .state
                .cursor
                .set_char_range(Some(CCursorRange::one(CCursor::new(cursor))));
            output.state.clone().store(ui.ctx(), id);
            response.request_focus();
        }
        is_changed |= response.changed();
        let at = output.cursor_range.map(|range| range.primary.index.0);
        if response.has_focus() || cursor.is_some() {
            let cursor = cursor.or(at).unwrap_or_else(|| text.chars().count());
            state.mention = Some(MentionTarget {
                text: self.target.clone(),
                cursor,
            });
        }
        self.hover_chips(ui, &output, &text, state);
        if let Some(cursor) = at.filter(|_| response.has_focus())
            && let Some(start) = start_of_at(&text, cursor)
            && chosen.is_none()
        {
            chosen = self
                .choose_by_pointer(ui, &response, &text, start, cursor)
                .map(|region| (start, cursor, region));
        }
        if let Some((start, cursor, region)) = chosen {
            // The chosen region takes the place of the @ and what was typed behind it.
            let mut characters: Vec<char> = text.chars().collect();
            characters.drain(start..cursor.min(characters.len()));
            text = characters.into_iter().collect();
            let cursor = insert_mention(&mut text, start, &region);
            state.focus = Some(MentionTarget {
                text: self.target.clone(),
                cursor,
            });
            is_changed = true;
        }
        Written {
            text: (is_changed && text != self.text).then_some(text),
            is_left: response.lost_focus(),
            is_sent,
        }
    }

    /// Notes the region whose chip the pointer is on.
    fn hover_chips(
        &self,
        ui: &Ui,
        output: &egui::text_edit::TextEditOutput,
        text: &str,
        state: &mut UiState,
    ) {
        let Some(pointer) = ui
            .ctx()
            .pointer_hover_pos()
            .filter(|at| output.response.response.rect.contains(*at))
        else {
            return;
        };
        let cursor = output.galley.cursor_from_pos(pointer - output.galley_pos);
        let at = byte_of(text, cursor.index.0);
        let hit = mention::candidates(text).find(|candidate| candidate.range.contains(&at));
        if let Some(region) = hit.and_then(|candidate| self.document.region(candidate.id)) {
            state.hovered = Some(region.id.clone());
        }
    }

    /// The thing with this id.
    fn find(&self, id: &str) -> Option<Mentioned> {
        let region = self.document.region(id).map(Mentioned::region);
        region.or_else(|| self.more.iter().find(|other| other.id == id).cloned())
    }

    /// The colours of what a text mentions.
    fn colors(&self, text: &str) -> HashMap<String, [u8; 3]> {
        let mut colors = HashMap::new();
        for candidate in mention::candidates(text) {
            if !colors.contains_key(candidate.id)
                && let Some(thing) = self.find(candidate.id)
            {
                colors.insert(thing.id, thing.rgb);
            }
        }
        colors
    }

    /// The regions that what is typed behind an `@` could mean.
    fn offered(&self, text: &str, start: usize, cursor: usize) -> Vec<String> {
        let typed: String = text.chars().skip(start + 1).take(cursor - start - 1).collect();
        let typed = typed.to_lowercase();
        let is_meant =
            |id: &str, label: &str| id.starts_with(&typed) || label.to_lowercase().contains(&typed);
        let regions = self.document.regions.iter();
        let regions = regions.map(|region| (&region.id, &region.label));
        let more = self.more.iter().map(|thing| (&thing.id, &thing.label));
        regions
            .chain(more)
            .filter(|(id, label)| is_meant(id, label))
            .take(OFFERED)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Shows the regions behind an `@`, and answers the one that was clicked.
    fn choose_by_pointer(
        &self,
        ui: &Ui,
        response: &egui::Response,
        text: &str,
        start: usize,
        cursor: usize,
    ) -> Option<String> {
        let offered = self.offered(text, start, cursor);
        let chosen = ui
            .data(|data| data.get_temp::<usize>(response.id.with("chosen")))
            .unwrap_or(0);
        let mut answer = None;
        let list = egui::Area::new(response.id.with("regions"))
            .order(egui::Order::Foreground)
            .fixed_pos(response.rect.left_bottom() + egui::vec2(0.0, 2.0));
        list.show(ui.ctx(), |ui| {
            egui::Frame::popup(ui.style()).show(ui, |ui| {
                ui.set_min_width(160.0);
                if offered.is_empty() {
                    ui.weak(self.locale.text("no region of this name"));
                }
                for (place, region) in offered.iter().filter_map(|id| self.find(id)).enumerate() {
                    let text = format!("{}  {}", region.id, region.label);
                    let color = region.rgb;
                    let label = egui::RichText::new(text.trim_end())
                        .background_color(theme::color(color))
                        .color(theme::text_on(color));
                    if ui.selectable_label(place == chosen, label).clicked() {
                        answer = Some(region.id.clone());
                    }
                }
            });
        });
        answer
    }
}

/// Takes the arrow keys and Enter for the list of regions; the region that was chosen.
fn choose_by_key(ui: &Ui, id: Id, offered: &[String]) -> Option<String> {
    let key = id.with("chosen");
    let last = offered.len().saturating_sub(1);
    let mut chosen = ui.data(|data| data.get_temp::<usize>(key)).unwrap_or(0).min(last);
    let is_taken = ui.input_mut(|input| {
        if input.consume_key(egui::Modifiers::NONE, egui::Key::ArrowDown) {
            chosen = (chosen + 1).min(last);
        }
        if input.consume_key(egui::Modifiers::NONE, egui::Key::ArrowUp) {
            chosen = chosen.saturating_sub(1);
        }
        !offered.is_empty()
            && (input.consume_key(egui::Modifiers::NONE, egui::Key::Enter)
                || input.consume_key(egui::Modifiers::NONE, egui::Key::Tab))
    });
    ui.data_mut(|data| data.insert_temp(key, if is_taken { 0 } else { chosen }));
    offered.get(chosen).filter(|_| is_taken).cloned()
}

/// The character at which an `@` that is being completed stands, before `cursor`.
fn start_of_at(text: &str, cursor: usize) -> Option<usize> {
    let before: Vec<char> = text.chars().take(cursor).collect();
    let start = before.iter().rposition(|c| *c == '@')?;
    let is_word = before[start + 1..]
        .iter()
        .all(|c| c.is_alphanumeric() || *c == '_' || *c == '-');
    // An address such as a@b is no mention.
    let is_free = start == 0 || !before[start - 1].is_alphanumeric();
    (is_word && is_free && before.len() - start <= 24).then_some(start)
}

/// Puts a mention at a character of a text, with spaces around it where words would touch; answers the cursor behind it.
pub(super) fn insert_mention(text: &mut String, cursor: usize, region: &str) -> usize {
    let at = byte_of(text, cursor);
    let needs_space = text[..at].chars().next_back().is_some_and(char::is_alphanumeric);
    let mention = format!("{}[[{region}]]", if needs_space { " " } else { "" });
    text.insert_str(at, &mention);
    text[..at].chars().count() + mention.chars().count()
}

fn byte_of(text: &str, character: usize) -> usize {
    text.char_indices()
        .nth(character)
        .map_or(text.len(), |(at, _)| at)
}

/// The text with every mention of a region in that region's colour.
fn layout(ui: &Ui, colors: &HashMap<String, [u8; 3]>, text: &str, width: f32) -> Arc<Galley> {
    let font = FontId::proportional(14.0);
    let plain = TextFormat {
        font_id: font.clone(),
        color: ui.visuals().text_color(),
        line_height: Some(20.0),
        ..TextFormat::default()
    };
    let mut job = LayoutJob::default();
    job.wrap.max_width = width;
    let mut end = 0;
    for candidate in mention::candidates(text) {
        let Some(rgb) = colors.get(candidate.id).copied() else {
            continue;
        };
        job.append(&text[end..candidate.range.start], 0.0, plain.clone());
        let chip = TextFormat {
            background: theme::color(rgb),
            color: theme::text_on(rgb),
            ..plain.clone()
        };
        job.append(&text[candidate.range.clone()], 0.0, chip);
        end = candidate.range.end;
    }
    job.append(&text[end..], 0.0, plain);
    ui.fonts_mut(|fonts| fonts.layout_job(job))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_at_sign_begins_a_mention_but_not_in_an_address() {
        assert_eq!(start_of_at("see @", 5), Some(4));
        assert_eq!(start_of_at("see @cu", 7), Some(4));
        assert_eq!(start_of_at("mail a@b", 8), None);
        assert_eq!(start_of_at("@cup on", 7), None);
        assert_eq!(start_of_at("杯子 @杯", 5), Some(3));
    }

    #[test]
    fn mentions_go_where_the_cursor_is() {
        let mut text = "the cup".to_owned();
        assert_eq!(insert_mention(&mut text, 3, "r1"), 10);
        assert_eq!(text, "the [[r1]] cup");
        let mut text = "杯子".to_owned();
        assert_eq!(insert_mention(&mut text, 99, "r12"), 10);
        assert_eq!(text, "杯子 [[r12]]");
    }
}
