//! Colours and spacing of the window, in one place: dark and light.

use eframe::egui::{self, Color32, CornerRadius, FontFamily, FontId, Stroke, TextStyle, Visuals, vec2};

use super::render::Rgb;
use crate::dataset::Status;
use crate::session::Severity;
use crate::settings::Theme;

/// What marks the active thing.
pub(super) const ACCENT: Color32 = Color32::from_rgb(0x3d, 0x8b, 0xfd);

/// Pixels that only the drawn mask has.
pub(super) const ONLY_DRAWN: Rgb = [0xd5, 0x5e, 0x00];
/// Pixels that only the rebuilt mask has.
pub(super) const ONLY_REBUILT: Rgb = [0x00, 0x72, 0xb2];
/// Pixels that both have.
pub(super) const BOTH: Rgb = [0x00, 0x9e, 0x73];
/// What the network proposes.
pub(super) const PROPOSAL: Rgb = [0x3d, 0x8b, 0xfd];

/// Sets fonts, spacing and colours.
pub(super) fn apply(ctx: &egui::Context, theme: Theme, scale: f32) {
    let is_dark = theme == Theme::Dark;
    ctx.set_theme(if is_dark {
        egui::Theme::Dark
    } else {
        egui::Theme::Light
    });
    let mut visuals = if is_dark {
        Visuals::dark()
    } else {
        Visuals::light()
    };
    visuals.selection.bg_fill = if is_dark {
        Color32::from_rgb(0x1f, 0x4b, 0x87)
    } else {
        Color32::from_rgb(0xb5, 0xd3, 0xff)
    };
    visuals.selection.stroke = Stroke::new(1.0, if is_dark { Color32::WHITE } else { Color32::BLACK });
    visuals.hyperlink_color = ACCENT;
    visuals.panel_fill = if is_dark {
        Color32::from_gray(0x1e)
    } else {
        Color32::from_gray(0xf6)
    };
    visuals.window_fill = if is_dark {
        Color32::from_gray(0x26)
    } else {
        Color32::WHITE
    };
    visuals.extreme_bg_color = if is_dark {
        Color32::from_gray(0x14)
    } else {
        Color32::WHITE
    };
    visuals.faint_bg_color = if is_dark {
        Color32::from_gray(0x24)
    } else {
        Color32::from_gray(0xec)
    };
    for widget in [
        &mut visuals.widgets.noninteractive,
        &mut visuals.widgets.inactive,
        &mut visuals.widgets.hovered,
        &mut visuals.widgets.active,
        &mut visuals.widgets.open,
    ] {
        widget.corner_radius = CornerRadius::same(4);
    }
    let text = if is_dark {
        Color32::from_gray(0xd8)
    } else {
        Color32::from_gray(0x22)
    };
    visuals.widgets.noninteractive.fg_stroke.color = text;
    visuals.widgets.inactive.fg_stroke.color = text;
    ctx.set_visuals_of(
        if is_dark {
            egui::Theme::Dark
        } else {
            egui::Theme::Light
        },
        visuals,
    );
    ctx.all_styles_mut(|style| {
        style.spacing.item_spacing = vec2(6.0, 5.0);
        style.spacing.button_padding = vec2(7.0, 3.0);
        style.spacing.interact_size.y = 22.0;
        style.text_styles = [
            (TextStyle::Small, FontId::new(11.0, FontFamily::Proportional)),
            (TextStyle::Body, FontId::new(13.5, FontFamily::Proportional)),
            (TextStyle::Button, FontId::new(13.5, FontFamily::Proportional)),
            (TextStyle::Heading, FontId::new(18.0, FontFamily::Proportional)),
            (TextStyle::Monospace, FontId::new(12.5, FontFamily::Monospace)),
        ]
        .into();
    });
    ctx.set_zoom_factor(scale);
}

/// The ground around the image.
pub(super) const fn backdrop(theme: Theme) -> [Rgb; 2] {
    match theme {
        Theme::Dark => [[0x16, 0x16, 0x18], [0x1a, 0x1a, 0x1c]],
        Theme::Light => [[0xd8, 0xd8, 0xdb], [0xd0, 0xd0, 0xd3]],
    }
}

/// A colour of the data as one of the window.
pub(super) const fn color(rgb: Rgb) -> Color32 {
    let [red, green, blue] = rgb;
    Color32::from_rgb(red, green, blue)
}

/// A small round mark, filled or empty; drawn, because not every font has one.
pub(super) fn dot(ui: &mut egui::Ui, color: Color32, is_filled: bool) -> egui::Response {
    let (rect, response) = ui.allocate_exact_size(vec2(11.0, 11.0), egui::Sense::click());
    if is_filled {
        ui.painter().circle_filled(rect.center(), 4.5, color);
    } else {
        ui.painter()
            .circle_stroke(rect.center(), 4.0, Stroke::new(1.2, color));
    }
    response
}

/// A triangle with an exclamation mark.
pub(super) fn warning(ui: &mut egui::Ui, color: Color32) -> egui::Response {
    let (rect, response) = ui.allocate_exact_size(vec2(13.0, 12.0), egui::Sense::hover());
    let corners = vec![rect.center_top(), rect.right_bottom(), rect.left_bottom()];
    ui.painter()
        .add(egui::Shape::convex_polygon(corners, color, Stroke::NONE));
    let middle = rect.center_top() + vec2(0.0, 3.8);
    let dark = Color32::from_black_alpha(220);
    ui.painter()
        .line_segment([middle, middle + vec2(0.0, 3.6)], Stroke::new(1.6, dark));
    ui.painter().circle_filled(middle + vec2(0.0, 6.0), 0.9, dark);
    response
}

/// Black or white, whichever is read better on `rgb`.
pub(super) fn text_on(rgb: Rgb) -> Color32 {
    let [red, green, blue] = rgb.map(f32::from);
    if 0.299 * red + 0.587 * green + 0.114 * blue > 140.0 {
        Color32::BLACK
    } else {
        Color32::WHITE
    }
}

/// The colour of a message.
pub(super) fn severity_color(severity: Severity) -> Color32 {
    match severity {
        Severity::Info => Color32::from_rgb(0x3d, 0x8b, 0xfd),
        Severity::Warning => Color32::from_rgb(0xe6, 0x9f, 0x00),
        Severity::Error => Color32::from_rgb(0xe0, 0x4f, 0x3f),
    }
}

/// The colour of a status.
pub(super) const fn status_color(status: Status) -> Color32 {
    match status {
        Status::Draft => Color32::from_rgb(0x8a, 0x8f, 0x98),
        Status::Done => Color32::from_rgb(0x56, 0xb4, 0xe9),
        Status::Approved => Color32::from_rgb(0x00, 0x9e, 0x73),
        Status::Rejected => Color32::from_rgb(0xd5, 0x5e, 0x00),
    }
}

/// How well words describe a mask, as a colour: good, fair, poor.
pub(super) fn iou_color(iou: f64) -> Color32 {
    if iou >= 0.8 {
        Color32::from_rgb(0x00, 0x9e, 0x73)
    } else if iou >= 0.5 {
        Color32::from_rgb(0xe6, 0x9f, 0x00)
    } else {
        Color32::from_rgb(0xd5, 0x5e, 0x00)
    }
}
