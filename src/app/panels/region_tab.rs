//! The selected region: its label, words, rebuilt mask, attributes and shape.

use eframe::egui::{
    self, Align2, Color32, FontId, Grid, Rect, RichText, Sense, StrokeKind, TextEdit, TextureHandle, Ui,
    Vec2, pos2, vec2,
};

use super::region_list::words_chip_ui;
use crate::app::mask_pictures::MaskPicture;
use crate::app::{StudioApp, theme};
use crate::command::Command;
use crate::dataset::{Edit, Region, RegionChange};
use crate::session::regions::color_of;
use crate::session::words::{WordsState, words_state};

/// Side of the small picture of a mask in points.
const PICTURE: f32 = 116.0;

impl StudioApp {
    pub(in crate::app) fn region_tab_ui(&mut self, ui: &mut Ui) {
        let locale = self.locale;
        let selected = self.session.open().map_or(0, |open| open.selected().len());
        let Some(region) = self.session.open().and_then(|open| open.active()).cloned() else {
            ui.weak(locale.text("Select a region to see its words and its rebuilt mask."));
            return;
        };
        if selected > 1 {
            ui.label(locale.format(
                "{count} regions are selected; what you change here changes the last one.",
                &[("count", &selected)],
            ));
        }
        self.label_field_ui(ui, &region);
        ui.separator();
        self.words_ui(ui, &region);
        ui.separator();
        self.shape_ui(ui, &region);
        ui.separator();
        self.attributes_ui(ui, &region);
    }

    fn label_field_ui(&mut self, ui: &mut Ui, region: &Region) {
        let locale = self.locale;
        ui.horizontal(|ui| {
            let mut rgb = color_of(region).rgb;
            let color = ui.color_edit_button_srgb(&mut rgb);
            color.widget_info(|| {
                egui::WidgetInfo::labeled(egui::Role::ColorWell, true, locale.text("Colour of the region"))
            });
            if color.changed() {
                let change = RegionChange::Color(Some(crate::dataset::Color { rgb }));
                self.session.apply(vec![Edit::Region {
                    id: region.id.clone(),
                    change,
                }]);
            }
            let mut label = region.label.clone();
            let field = ui.add(
                TextEdit::singleline(&mut label)
                    .hint_text(locale.text("label"))
                    .desired_width(ui.available_width() - 60.0),
            );
            field.widget_info(|| {
                crate::app::accessible::text_field(&region.label, &label, locale.text("Label of the region"))
            });
            if field.changed() {
                self.session.apply(vec![Edit::Region {
                    id: region.id.clone(),
                    change: RegionChange::Label(label),
                }]);
            }
            if field.lost_focus()
                && let Some(open) = self.session.open_mut()
            {
                open.end_typing();
            }
            ui.weak(&region.id);
        });
        let labels: Vec<String> = self.digit_labels();
        if !labels.is_empty() {
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing = vec2(4.0, 3.0);
                for (place, label) in labels.iter().enumerate().take(10) {
                    let text = RichText::new(format!("{} {label}", (place + 1) % 10)).small();
                    if ui.selectable_label(region.label == *label, text).clicked() {
                        self.session.set_label(label);
                    }
                }
            });
        }
    }

    fn words_ui(&mut self, ui: &mut Ui, region: &Region) {
        let locale = self.locale;
        let model = self.session.model_info().cloned();
        let Some(open) = self.session.open() else { return };
        ui.horizontal(|ui| {
            ui.strong(locale.text("Words"));
            words_chip_ui(ui, open, region, model.as_ref(), locale);
        });
        if let Some(words) = &region.words {
            ui.add(egui::Label::new(RichText::new(&words.text).monospace().small()).wrap());
        }
        let state = words_state(open.document(), region, model.as_ref());
        let rebuilt = open
            .rebuilt
            .get(&region.id)
            .filter(|rebuilt| rebuilt.of == region.mask.rle);
        if let Some(bounds) = region
            .mask
            .rle
            .bounding_box()
            .filter(|_| region.mask.rle.area() > 0)
        {
            let shown = rebuilt
                .and_then(|rebuilt| rebuilt.mask.bounding_box())
                .map_or(bounds, |other| bounds.union(other));
            ui.horizontal(|ui| {
                let mut picture = MaskPicture {
                    drawn: &region.mask.rle,
                    rebuilt: None,
                    bounds: shown,
                };
                let texture = self.pictures.get(ui.ctx(), &picture);
                mask_picture(ui, &texture, locale.text("drawn"));
                match rebuilt {
                    Some(rebuilt) => {
                        picture.rebuilt = Some(&rebuilt.mask);
                        let texture = self.pictures.get(ui.ctx(), &picture);
                        mask_picture(ui, &texture, locale.text("rebuilt from the words"));
                    }
                    None => {
                        let (rect, _) = ui.allocate_exact_size(Vec2::splat(PICTURE), Sense::hover());
                        ui.painter().rect_stroke(
                            rect,
                            3.0,
                            ui.visuals().widgets.noninteractive.bg_stroke,
                            StrokeKind::Inside,
                        );
                        if matches!(state, WordsState::Fresh | WordsState::Stale | WordsState::Missing)
                            && model.is_some()
                        {
                            ui.put(
                                Rect::from_center_size(rect.center(), Vec2::splat(20.0)),
                                egui::Spinner::new(),
                            );
                        }
                    }
                }
            });
            if rebuilt.is_some() {
                ui.horizontal(|ui| {
                    legend(ui, theme::BOTH, locale.text("both"));
                    legend(ui, theme::ONLY_DRAWN, locale.text("only drawn"));
                    legend(ui, theme::ONLY_REBUILT, locale.text("only rebuilt"));
                });
            }
        }
        ui.horizontal_wrapped(|ui| {
            for command in [Command::ShowRebuilt, Command::CopyWords, Command::SearchWords] {
                let is_on = self.is_on(command) == Some(true);
                let button = ui.selectable_label(is_on, self.locale.text(command.text()));
                if self.with_tip(button, command).clicked() {
                    self.queue.push(command);
                }
            }
            if state == WordsState::OtherModel || state == WordsState::Missing {
                let button = ui.button(self.locale.text(Command::RefreshWords.text()));
                if self.with_tip(button, Command::RefreshWords).clicked() {
                    self.queue.push(Command::RefreshWords);
                }
            }
        });
    }

    fn shape_ui(&mut self, ui: &mut Ui, region: &Region) {
        let locale = self.locale;
        Grid::new("shape")
            .num_columns(2)
            .spacing([12.0, 3.0])
            .show(ui, |ui| {
                ui.weak(locale.text("Area"));
                ui.label(format!(
                    "{} px",
                    super::image_list::grouped(region.mask.rle.area() as usize)
                ));
                ui.end_row();
                if let Some(bounds) = region.mask.rle.bounding_box() {
                    ui.weak(locale.text("Box"));
                    ui.label(format!(
                        "{} × {}  @ {}, {}",
                        bounds.width, bounds.height, bounds.x, bounds.y
                    ));
                    ui.end_row();
                }
                if !region.source.is_empty() {
                    ui.weak(locale.text("Made with"));
                    ui.label(&region.source);
                    ui.end_row();
                }
            });
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(4.0, 4.0);
            for command in [
                Command::FillHoles,
                Command::DropSpecks,
                Command::Grow,
                Command::Shrink,
                Command::Smooth,
                Command::Split,
                Command::Merge,
                Command::RemoveUnderlying,
            ] {
                let button = ui.add_enabled(
                    self.is_enabled(command),
                    egui::Button::new(RichText::new(locale.text(command.text())).small()),
                );
                if self.with_tip(button, command).clicked() {
                    self.queue.push(command);
                }
            }
        });
    }

    fn attributes_ui(&mut self, ui: &mut Ui, region: &Region) {
        let locale = self.locale;
        ui.strong(locale.text("Attributes"));
        let mut attributes = region.attributes.clone();
        let mut is_changed = false;
        let mut removed = None;
        Grid::new("attributes")
            .num_columns(3)
            .spacing([6.0, 3.0])
            .show(ui, |ui| {
                for (key, value) in &mut attributes {
                    ui.label(key);
                    match value {
                        serde_json::Value::Bool(is_set) => is_changed |= ui.checkbox(is_set, "").changed(),
                        _ => {
                            let mut text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                            let field = ui.add(TextEdit::singleline(&mut text).desired_width(140.0));
                            let name = locale.format("Value of {key}", &[("key", key)]);
                            field.widget_info(|| crate::app::accessible::text_field("", &text, &name));
                            if field.changed() {
                                *value = parsed(&text);
                                is_changed = true;
                            }
                        }
                    }
                    if ui
                        .small_button("×")
                        .on_hover_text(locale.text("remove this attribute"))
                        .clicked()
                    {
                        removed = Some(key.clone());
                    }
                    ui.end_row();
                }
            });
        if let Some(key) = removed {
            attributes.shift_remove(&key);
            is_changed = true;
        }
        ui.horizontal(|ui| {
            let field = ui.add(
                TextEdit::singleline(&mut self.state.new_attribute)
                    .hint_text(locale.text("name or name=value"))
                    .desired_width(160.0),
            );
            field.widget_info(|| crate::app::accessible::text_field("", "", locale.text("New attribute")));
            let is_entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            if ui.button(locale.text("Add")).clicked() || is_entered {
                let (key, value) = self
                    .state
                    .new_attribute
                    .split_once('=')
                    .unwrap_or((&self.state.new_attribute, "true"));
                let key = key.trim();
                if !key.is_empty() {
                    attributes.insert(key.to_owned(), parsed(value.trim()));
                    is_changed = true;
                }
                self.state.new_attribute.clear();
            }
        });
        if is_changed {
            self.session.apply(vec![Edit::Region {
                id: region.id.clone(),
                change: RegionChange::Attributes(attributes),
            }]);
        }
    }
}

/// What was typed, as a truth value or number where it is one.
fn parsed(text: &str) -> serde_json::Value {
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => text
            .parse::<i64>()
            .map(serde_json::Value::from)
            .or_else(|_| text.parse::<f64>().map(serde_json::Value::from))
            .unwrap_or_else(|_| text.into()),
    }
}

fn legend(ui: &mut Ui, rgb: [u8; 3], text: &str) {
    let (rect, _) = ui.allocate_exact_size(Vec2::splat(9.0), Sense::hover());
    ui.painter().rect_filled(rect, 2.0, theme::color(rgb));
    ui.label(RichText::new(text).small());
}

/// Draws the picture of a mask with its caption.
fn mask_picture(ui: &mut Ui, texture: &TextureHandle, caption: &str) {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(PICTURE), Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, caption));
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, 3.0, Color32::from_gray(0x10));
    let size = texture.size_vec2();
    let scale = (PICTURE - 6.0) / size.max_elem().max(1.0);
    let uv = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
    painter.image(
        texture.id(),
        Rect::from_center_size(rect.center(), size * scale),
        uv,
        Color32::WHITE,
    );
    let font = FontId::proportional(10.5);
    let galley = painter.layout_no_wrap(caption.to_owned(), font, Color32::WHITE);
    let place = Align2::LEFT_BOTTOM.anchor_size(rect.left_bottom() + vec2(4.0, -3.0), galley.size());
    painter.rect_filled(place.expand(2.0), 2.0, Color32::from_black_alpha(170));
    painter.galley(place.min, galley, Color32::WHITE);
}
