//! The images of the folder: search, filters, and a list that draws only what is in view.

use eframe::egui::{
    self, Align, Align2, Color32, FontId, Layout, Rect, RichText, ScrollArea, Sense, TextEdit, Ui, pos2, vec2,
};

use crate::app::{StudioApp, theme};
use crate::dataset::Status;
use crate::dataset::index::ImageRow;
use crate::locale::Locale;

/// Height of a row in points.
const ROW: f32 = 50.0;

/// What a click on a filter types.
const FILTERS: [(&str, &str); 7] = [
    ("All", ""),
    ("Empty", "is:empty"),
    ("Draft", "status:draft"),
    ("Done", "status:done"),
    ("Approved", "status:approved"),
    ("Rejected", "status:rejected"),
    ("Poor words", "iou:0.5"),
];

impl StudioApp {
    pub(in crate::app) fn image_list_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        ui.add_space(4.0);
        self.search_ui(ui);
        let Some(list) = &self.session.list else {
            ui.add_space(12.0);
            ui.vertical_centered(|ui| {
                if self.session.is_opening_folder() {
                    ui.spinner();
                } else {
                    ui.weak(locale.text("no folder is open"));
                }
            });
            return;
        };
        let (found, total) = (list.state.found, list.state.counts.total());
        let current = self.session.open().map(|open| open.path.clone());
        let place = current.as_ref().and_then(|path| list.place_of(path));
        let indexing = list.state.indexing;
        let problems = list.state.problems.clone();
        ui.horizontal(|ui| {
            let place = place.map_or_else(|| "–".to_owned(), |place| grouped(place + 1));
            ui.strong(format!("{place} / {}", grouped(found)));
            if found != total {
                ui.weak(locale.format("of {total}", &[("total", &grouped(total))]));
            }
            if let Some((done, to_do)) = indexing {
                ui.spinner();
                let text = to_do.map_or_else(
                    || grouped(done),
                    |to_do| format!("{} / {}", grouped(done), grouped(to_do)),
                );
                ui.weak(text).on_hover_text(
                    locale.text("looking through the folder; everything can be used meanwhile"),
                );
            }
            if !problems.is_empty() {
                theme::warning(ui, theme::severity_color(crate::session::Severity::Warning))
                    .on_hover_text(problems.join("\n"));
            }
        });
        let mut area = ScrollArea::vertical()
            .auto_shrink([false, false])
            .id_salt("images");
        if let Some(place) = place.filter(|_| self.state.scrolled_for != self.session.shown) {
            // Keeps the shown image in view when it is left by key, without moving it under the pointer on a click.
            self.state.scrolled_for = self.session.shown;
            let height = ui.available_height();
            let top = place as f32 * (ROW + ui.spacing().item_spacing.y);
            let offset = self.state.list_offset;
            if top < offset || top + ROW > offset + height {
                area = area.vertical_scroll_offset((top - height / 2.0).max(0.0));
            }
        }
        let output = area.show_rows(ui, ROW, found, |ui, rows| {
            self.session.want_rows(rows.clone());
            for place in rows {
                self.image_row_ui(ui, place, current.as_deref());
            }
        });
        self.state.list_offset = output.state.unclamped_offset().y;
    }

    fn search_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let typed = self.state.search.clone();
        let response = ui.add(
            TextEdit::singleline(&mut self.state.search)
                .hint_text(locale.text("Search: name, label, text, #37, <regex>"))
                .desired_width(f32::INFINITY),
        );
        response
            .widget_info(|| crate::app::accessible::text_field(&typed, &typed, locale.text("Search images")));
        let response = response.on_hover_text(locale.text(
            "scratch · \"deep scratch\" · label:scratch · status:done · iou:0.8 (below) · is:empty · #37 · <cam[12]>",
        ));
        if std::mem::take(&mut self.state.focuses_search) {
            response.request_focus();
        }
        let mut search = response.changed().then(|| self.state.search.clone());
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(3.0, 3.0);
            for (name, filter) in FILTERS {
                let is_on = self.state.search == filter;
                let text = RichText::new(locale.text(name)).small();
                if ui.selectable_label(is_on, text).clicked() {
                    self.state.search = filter.to_owned();
                    search = Some(filter.to_owned());
                }
            }
            let labels = self
                .session
                .list
                .as_ref()
                .map(|list| list.state.labels.clone())
                .unwrap_or_default();
            if !labels.is_empty() {
                ui.menu_button(RichText::new(locale.text("Label")).small(), |ui| {
                    ScrollArea::vertical().max_height(400.0).show(ui, |ui| {
                        for label in labels {
                            let text = format!("{}  ({})", label.label, label.images);
                            if ui.button(text).clicked() {
                                let filter = format!("label:\"{}\"", label.label);
                                self.state.search.clone_from(&filter);
                                search = Some(filter);
                                ui.close();
                            }
                        }
                    });
                });
            }
        });
        if let Some(search) = search {
            self.session.set_filter(&search);
        }
        if let Some(problem) = self
            .session
            .list
            .as_ref()
            .and_then(|list| list.filter_problem.as_ref())
        {
            ui.colored_label(theme::severity_color(crate::session::Severity::Warning), problem);
        }
    }

    fn image_row_ui(&mut self, ui: &mut Ui, place: usize, current: Option<&std::path::Path>) {
        let width = ui.available_width();
        let (rect, response) = ui.allocate_exact_size(vec2(width, ROW), Sense::click());
        let Some((row, path)) = self
            .session
            .list
            .as_ref()
            .and_then(|list| list.row(place).map(|row| (row.clone(), list.path_of(row))))
        else {
            ui.painter().text(
                rect.left_center() + vec2(8.0, 0.0),
                Align2::LEFT_CENTER,
                "…",
                FontId::proportional(13.0),
                ui.visuals().weak_text_color(),
            );
            return;
        };
        let is_current = current == Some(path.as_path());
        let locale = self.locale;
        response.widget_info(|| {
            egui::WidgetInfo::selected(
                egui::Role::Button,
                true,
                is_current,
                format!("Image {}", row.name),
            )
        });
        if is_current || response.hovered() {
            let fill = if is_current {
                ui.visuals().selection.bg_fill
            } else {
                ui.visuals().faint_bg_color
            };
            ui.painter().rect_filled(rect, 4.0, fill);
        }
        let side = ROW - 6.0;
        let frame = Rect::from_min_size(rect.min + vec2(3.0, 3.0), vec2(side, side));
        ui.painter()
            .rect_filled(frame, 3.0, ui.visuals().extreme_bg_color);
        if let Some(texture) = self.thumbnails.get(&path, &mut self.session) {
            let size = texture.size_vec2();
            let scale = (side / size.x).min(side / size.y);
            let picture = Rect::from_center_size(frame.center(), size * scale);
            let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
            ui.painter().image(texture.id(), picture, uv, Color32::WHITE);
        }
        let inner = Rect::from_min_max(
            pos2(frame.right() + 8.0, rect.top() + 4.0),
            rect.right_bottom() - vec2(6.0, 4.0),
        );
        let mut child = ui.new_child(
            egui::UiBuilder::new()
                .max_rect(inner)
                .layout(Layout::top_down(Align::Min)),
        );
        child.spacing_mut().item_spacing.y = 2.0;
        child.add(egui::Label::new(&row.name).truncate().selectable(false));
        child.horizontal(|ui| row_facts(ui, &row, locale));
        if response.clicked() {
            self.session.open_image(&path);
        }
        if let Some(problem) = &row.problem {
            response.on_hover_text(problem);
        } else if row.name.len() > 24 {
            response.on_hover_text(&row.name);
        }
    }
}

/// What is known of an image in one line.
fn row_facts(ui: &mut Ui, row: &ImageRow, locale: Locale) {
    ui.spacing_mut().item_spacing.x = 5.0;
    if row.problem.is_some() {
        let text = RichText::new(locale.text("cannot be read")).small();
        ui.label(text.color(theme::severity_color(crate::session::Severity::Error)));
        return;
    }
    match row.status {
        Some(status) => {
            ui.add(
                egui::Label::new(
                    RichText::new(status_text(status, locale))
                        .small()
                        .color(theme::status_color(status)),
                )
                .selectable(false),
            );
        }
        None if row.has_sidecar => {
            ui.weak("…");
        }
        None => {
            ui.add(egui::Label::new(RichText::new(locale.text("new")).small().weak()).selectable(false));
        }
    }
    let mut facts = Vec::new();
    if row.regions > 0 {
        facts.push(if row.regions == 1 {
            locale.text("1 region").to_owned()
        } else {
            locale.format("{count} regions", &[("count", &row.regions)])
        });
    }
    if row.captions + row.conversations > 0 {
        let texts = row.captions + row.conversations;
        facts.push(if texts == 1 {
            locale.text("1 text").to_owned()
        } else {
            locale.format("{count} texts", &[("count", &texts)])
        });
    }
    if !facts.is_empty() {
        ui.add(egui::Label::new(RichText::new(facts.join(" · ")).small().weak()).selectable(false));
    }
    if let Some(iou) = row.lowest_iou.filter(|iou| *iou < 0.5) {
        ui.add(
            egui::Label::new(
                RichText::new(format!("{iou:.2}"))
                    .small()
                    .color(theme::iou_color(iou)),
            )
            .selectable(false),
        );
    }
}

/// A status in words.
pub(in crate::app) fn status_text(status: Status, locale: Locale) -> &'static str {
    match status {
        Status::Draft => locale.text("draft"),
        Status::Done => locale.text("done"),
        Status::Approved => locale.text("approved"),
        Status::Rejected => locale.text("rejected"),
    }
}

/// A number with thin spaces between thousands.
pub(in crate::app) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_apart() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
