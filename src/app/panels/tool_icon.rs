//! Icons of the tools, drawn as lines so that they are crisp at any size.

use eframe::egui::{
    self, Color32, Painter, Pos2, Rect, Response, Sense, Shape, Stroke, StrokeKind, Ui, epaint::EllipseShape,
    pos2, vec2,
};

use crate::app::theme;
use crate::tools::{Combine, ToolKind};

/// Side of a button in points.
const SIDE: f32 = 30.0;

/// A square button with an icon.
pub(in crate::app) fn icon_button(
    ui: &mut Ui,
    name: &str,
    is_on: bool,
    draw: impl FnOnce(&Painter, Rect, Color32),
) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(SIDE, SIDE), Sense::click());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Button, ui.is_enabled(), is_on, name));
    let visuals = ui.style().interact_selectable(&response, is_on);
    if is_on || response.hovered() || response.has_focus() {
        let fill = if is_on {
            ui.visuals().selection.bg_fill
        } else {
            visuals.weak_bg_fill
        };
        ui.painter().rect(
            rect.shrink(1.0),
            5.0,
            fill,
            if response.has_focus() {
                visuals.bg_stroke
            } else {
                Stroke::NONE
            },
            StrokeKind::Inside,
        );
    }
    let color = if ui.is_enabled() {
        visuals.text_color()
    } else {
        ui.visuals().weak_text_color()
    };
    draw(ui.painter(), rect.shrink(7.0), color);
    response
}

/// Draws the icon of a tool into `rect`.
pub(in crate::app) fn tool(painter: &Painter, rect: Rect, color: Color32, kind: ToolKind) {
    let stroke = Stroke::new(1.6, color);
    let at = |x: f32, y: f32| rect.min + vec2(x * rect.width(), y * rect.height());
    let line = |points: &[(f32, f32)]| {
        painter.add(Shape::line(
            points.iter().map(|(x, y)| at(*x, *y)).collect(),
            stroke,
        ));
    };
    let closed = |points: &[(f32, f32)]| {
        painter.add(Shape::closed_line(
            points.iter().map(|(x, y)| at(*x, *y)).collect(),
            stroke,
        ));
    };
    match kind {
        ToolKind::Select => {
            closed(&[
                (0.2, 0.0),
                (0.2, 0.85),
                (0.42, 0.65),
                (0.58, 1.0),
                (0.72, 0.93),
                (0.57, 0.6),
                (0.85, 0.58),
            ]);
        }
        ToolKind::Brush => {
            line(&[(0.95, 0.05), (0.45, 0.55)]);
            line(&[(0.8, 0.0), (1.0, 0.2)]);
            painter.circle_filled(at(0.28, 0.75), rect.width() * 0.24, color);
        }
        ToolKind::Eraser => {
            closed(&[(0.55, 0.05), (1.0, 0.45), (0.5, 0.95), (0.2, 0.95), (0.0, 0.72)]);
            line(&[(0.28, 0.38), (0.72, 0.78)]);
            line(&[(0.5, 0.95), (1.0, 0.95)]);
        }
        ToolKind::Polygon => {
            let points = [(0.5, 0.0), (1.0, 0.4), (0.8, 1.0), (0.2, 1.0), (0.0, 0.4)];
            closed(&points);
            dots(painter, &points, at, color);
        }
        ToolKind::Vertices => {
            let points = [(0.05, 0.8), (0.4, 0.15), (0.95, 0.5)];
            line(&points);
            dots(painter, &points, at, color);
        }
        ToolKind::Lasso => {
            painter.add(EllipseShape::stroke(
                at(0.5, 0.38),
                vec2(rect.width() * 0.5, rect.height() * 0.36),
                stroke,
            ));
            line(&[(0.3, 0.7), (0.22, 0.9), (0.38, 1.0), (0.5, 0.95)]);
        }
        ToolKind::Rectangle => closed(&[(0.0, 0.12), (1.0, 0.12), (1.0, 0.88), (0.0, 0.88)]),
        ToolKind::Ellipse => {
            painter.add(EllipseShape::stroke(
                rect.center(),
                vec2(rect.width() * 0.5, rect.height() * 0.38),
                stroke,
            ));
        }
        ToolKind::Wand => {
            line(&[(0.0, 1.0), (0.6, 0.4)]);
            for (from, to) in [
                ((0.72, 0.0), (0.72, 0.18)),
                ((0.72, 0.38), (0.72, 0.56)),
                ((0.44, 0.28), (0.62, 0.28)),
                ((0.84, 0.28), (1.0, 0.28)),
            ] {
                line(&[from, to]);
            }
        }
        ToolKind::SmartSelect => {
            let dash = [
                ((0.0, 0.25), (0.0, 0.0)),
                ((0.0, 0.0), (0.25, 0.0)),
                ((0.75, 0.0), (1.0, 0.0)),
                ((1.0, 0.0), (1.0, 0.25)),
                ((1.0, 0.75), (1.0, 1.0)),
                ((1.0, 1.0), (0.75, 1.0)),
                ((0.25, 1.0), (0.0, 1.0)),
                ((0.0, 1.0), (0.0, 0.75)),
            ];
            for (from, to) in dash {
                line(&[from, to]);
            }
            star(painter, rect.center(), rect.width() * 0.32, color);
        }
    }
}

/// Draws how shapes join a region.
pub(in crate::app) fn combine(painter: &Painter, rect: Rect, color: Color32, combine: Combine) {
    let side = rect.width() * 0.62;
    let first = Rect::from_min_size(rect.min, vec2(side, side));
    let second = Rect::from_max(rect.max, side);
    let (faint, full) = (color.gamma_multiply(0.25), theme::ACCENT);
    let stroke = Stroke::new(1.3, color);
    match combine {
        Combine::Replace | Combine::Overwrite => {
            painter.rect_filled(rect.shrink(1.0), 1.0, full.gamma_multiply(0.8));
            painter.rect_stroke(rect.shrink(1.0), 1.0, stroke, StrokeKind::Middle);
            return;
        }
        Combine::Add => {
            painter.rect_filled(first, 0.0, full);
            painter.rect_filled(second, 0.0, full);
        }
        Combine::Subtract => {
            painter.rect_filled(first, 0.0, full);
            painter.rect_filled(
                first.intersect(second),
                0.0,
                painter.ctx().style_of(painter.ctx().theme()).visuals.panel_fill,
            );
        }
        Combine::Intersect => {
            painter.rect_filled(first, 0.0, faint);
            painter.rect_filled(second, 0.0, faint);
            painter.rect_filled(first.intersect(second), 0.0, full);
        }
    }
    painter.rect_stroke(first, 0.0, stroke, StrokeKind::Middle);
    painter.rect_stroke(second, 0.0, stroke, StrokeKind::Middle);
}

trait FromMax {
    fn from_max(max: Pos2, side: f32) -> Self;
}

impl FromMax for Rect {
    fn from_max(max: Pos2, side: f32) -> Self {
        Self::from_min_max(pos2(max.x - side, max.y - side), max)
    }
}

fn dots(painter: &Painter, points: &[(f32, f32)], at: impl Fn(f32, f32) -> Pos2, color: Color32) {
    for (x, y) in points {
        painter.rect_filled(Rect::from_center_size(at(*x, *y), vec2(4.0, 4.0)), 0.0, color);
    }
}

fn star(painter: &Painter, center: Pos2, radius: f32, color: Color32) {
    let points = (0..8)
        .map(|corner| {
            let angle = std::f32::consts::FRAC_PI_4 * corner as f32;
            let radius = if corner % 2 == 0 { radius } else { radius * 0.4 };
            center + vec2(angle.cos(), angle.sin()) * radius
        })
        .collect();
    painter.add(Shape::Path(egui::epaint::PathShape::convex_polygon(
        points,
        color,
        Stroke::NONE,
    )));
}
