//! The regions of the image, frontmost first, with their words as chips.

use eframe::egui::{self, Align, Color32, Layout, Rect, RichText, ScrollArea, Sense, Ui, pos2, vec2};

use crate::app::state::{Dialog, UiState};
use crate::app::{StudioApp, theme};
use crate::command::Command;
use crate::dataset::Region;
use crate::session::OpenDocument;
use crate::session::regions::color_of;
use crate::session::words::{WordsState, chip_text, words_state};
use crate::worker::network::ModelInfo;

/// Height of a row in points.
const ROW: f32 = 46.0;

/// What a click on a row means.
enum Clicked {
    Select { id: String, extends: bool },
    Hide(String),
    Edit,
    Mention(String),
}

impl StudioApp {
    pub(in crate::app) fn region_list_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let model = self.session.model_info().cloned();
        let Some(open) = self.session.open() else {
            ui.weak(locale.text("no image is open"));
            return;
        };
        let count = open.document().regions.len();
        let mut clicks_solo = false;
        ui.horizontal(|ui| {
            ui.strong(locale.text("Regions"));
            ui.weak(count.to_string());
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                let mut is_solo = open.is_solo();
                let solo = ui.toggle_value(&mut is_solo, locale.text("Solo"));
                clicks_solo = self.with_tip(solo, Command::Solo).clicked();
            });
        });
        if clicks_solo {
            self.queue.push(Command::Solo);
        }
        if count == 0 {
            ui.weak(locale.text("Mark a region: Q and click on an object, B paints, P draws a polygon."));
            return;
        }
        let mut clicked = None;
        let state = &mut self.state;
        ScrollArea::vertical()
            .auto_shrink([false, false])
            .id_salt("regions")
            .show_rows(ui, ROW, count, |ui, rows| {
                for row in rows {
                    // Frontmost first.
                    let Some(region) = open.document().regions.get(count - 1 - row) else {
                        continue;
                    };
                    region_row_ui(ui, open, region, model.as_ref(), state, locale, &mut clicked);
                }
            });
        let Some(open) = self.session.open_mut() else {
            return;
        };
        match clicked {
            Some(Clicked::Select { id, extends: true }) => open.toggle_selected(&id),
            Some(Clicked::Select { id, extends: false }) => open.select([id]),
            Some(Clicked::Hide(id)) => {
                let is_hidden = open.is_hidden(&id);
                open.set_hidden([id], !is_hidden);
            }
            Some(Clicked::Edit) => self.open_label_dialog(),
            Some(Clicked::Mention(id)) => {
                if let Some(target) = self.state.mention.clone() {
                    self.state.inserts.push((target, id));
                }
            }
            None => return,
        }
        self.tools.target_changed();
    }

    /// Asks for the label of the selected regions.
    pub(in crate::app) fn open_label_dialog(&mut self) {
        if let Some(region) = self.session.open().and_then(OpenDocument::active) {
            let typed = region.label.clone();
            self.state.open_dialog(Dialog::Label { typed });
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "a row draws from everything and changes nothing"
)]
fn region_row_ui(
    ui: &mut Ui,
    open: &OpenDocument,
    region: &Region,
    model: Option<&ModelInfo>,
    state: &mut UiState,
    locale: crate::locale::Locale,
    clicked: &mut Option<Clicked>,
) {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    let is_selected = open.is_selected(&region.id);
    let name = if region.label.is_empty() {
        &region.id
    } else {
        &region.label
    };
    response.widget_info(|| {
        let text = format!("Region {} {}", region.id, region.label);
        egui::WidgetInfo::selected(egui::Role::Button, true, is_selected, text.trim())
    });
    if is_selected || state.was_hovered.as_deref() == Some(&region.id) {
        let fill = if is_selected {
            ui.visuals().selection.bg_fill
        } else {
            ui.visuals().faint_bg_color
        };
        ui.painter().rect_filled(rect, 4.0, fill);
    }
    if response.hovered() {
        state.hovered = Some(region.id.clone());
    }
    let is_hidden = open.is_hidden(&region.id);
    let swatch = Rect::from_min_size(pos2(rect.left() + 4.0, rect.top() + 6.0), vec2(8.0, ROW - 12.0));
    let color = theme::color(color_of(region).rgb);
    ui.painter().rect_filled(
        swatch,
        2.0,
        if is_hidden {
            color.gamma_multiply(0.35)
        } else {
            color
        },
    );
    let inner = Rect::from_min_max(
        pos2(swatch.right() + 8.0, rect.top() + 3.0),
        rect.right_bottom() - vec2(4.0, 3.0),
    );
    let mut child = ui.new_child(
        egui::UiBuilder::new()
            .max_rect(inner)
            .layout(Layout::top_down(Align::Min)),
    );
    child.spacing_mut().item_spacing.y = 1.0;
    child.horizontal(|ui| {
        let text = if is_hidden {
            RichText::new(name).weak()
        } else {
            RichText::new(name)
        };
        ui.add(egui::Label::new(text).truncate().selectable(false));
        if !region.label.is_empty() {
            ui.add(egui::Label::new(RichText::new(&region.id).small().weak()).selectable(false));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let eye = theme::dot(ui, ui.visuals().text_color(), !is_hidden);
            let (hide, show) = (locale.text("hide this region"), locale.text("show this region"));
            let tip = if is_hidden { show } else { hide };
            eye.widget_info(|| {
                egui::WidgetInfo::labeled(egui::Role::Button, true, format!("{tip} {}", region.id))
            });
            if eye.on_hover_text(tip).clicked() {
                *clicked = Some(Clicked::Hide(region.id.clone()));
            }
            if !region.captions.is_empty() {
                ui.add(
                    egui::Label::new(
                        RichText::new(locale.format("{count} texts", &[("count", &region.captions.len())]))
                            .small()
                            .weak(),
                    )
                    .selectable(false),
                );
            }
        });
    });
    child.horizontal(|ui| words_chip_ui(ui, open, region, model, locale));
    if response.clicked() && clicked.is_none() {
        let extends = ui.input(|input| input.modifiers.shift || input.modifiers.command);
        *clicked = Some(if state.mention.is_some() && !extends {
            Clicked::Mention(region.id.clone())
        } else {
            Clicked::Select {
                id: region.id.clone(),
                extends,
            }
        });
    }
    if response.double_clicked() {
        *clicked = Some(Clicked::Edit);
    }
}

/// The words of a region as a chip, and how well they describe it.
pub(in crate::app) fn words_chip_ui(
    ui: &mut Ui,
    open: &OpenDocument,
    region: &Region,
    model: Option<&ModelInfo>,
    locale: crate::locale::Locale,
) {
    ui.spacing_mut().item_spacing.x = 5.0;
    let state = words_state(open.document(), region, model);
    let Some(words) = region.words.as_ref().filter(|_| state != WordsState::Missing) else {
        let text = if region.mask.rle.area() == 0 {
            locale.text("no pixels, no words")
        } else {
            locale.text("no words yet")
        };
        ui.add(egui::Label::new(RichText::new(text).small().weak()).selectable(false));
        return;
    };
    let size = open
        .document()
        .tokenizers
        .iter()
        .find(|tokenizer| tokenizer.id == words.tokenizer)
        .map_or(256, |tokenizer| tokenizer.codebook_size);
    let chip = RichText::new(format!(" {} ", chip_text(&words.codes, size)))
        .monospace()
        .size(11.0);
    let chip = match state {
        WordsState::Fresh => chip.background_color(ui.visuals().widgets.inactive.bg_fill),
        _ => chip
            .background_color(ui.visuals().widgets.inactive.bg_fill)
            .strikethrough(),
    };
    ui.add(egui::Label::new(chip).selectable(false))
        .on_hover_text(&words.text);
    match state {
        WordsState::Stale => {
            ui.spinner();
        }
        WordsState::OtherModel => {
            let mark = RichText::new(locale.text("other model"))
                .small()
                .color(Color32::from_rgb(0xe6, 0x9f, 0x00));
            ui.add(egui::Label::new(mark).selectable(false)).on_hover_text(
                locale.text("These words were made with another model; this one reads them as other masks."),
            );
        }
        WordsState::Fresh | WordsState::Missing => {
            if let Some(iou) = words.iou {
                let text = RichText::new(format!("IoU {iou:.2}"))
                    .small()
                    .color(theme::iou_color(iou));
                ui.add(egui::Label::new(text).selectable(false));
                if iou < 0.5 {
                    theme::warning(ui, theme::iou_color(iou)).on_hover_text(
                        locale.text("The words do not describe this region well; T shows where they differ."),
                    );
                }
            }
        }
    }
}
