//! Lines and handles of the tools over the image, of constant width on the screen.

use eframe::egui::{
    Align2, Color32, FontId, Painter, Pos2, Rect, Shape, Stroke, StrokeKind, epaint::EllipseShape, pos2, vec2,
};

use super::super::render::ViewTransform;
use super::super::state::UiState;
use super::super::theme;
use crate::geometry::{ImagePoint, ImageRect};
use crate::tools::{Preview, PreviewShape};

/// Half the side of a handle in points.
const HANDLE_POINTS: f32 = 4.0;

/// Draws what the tool in use shows.
pub(super) fn draw(painter: &Painter, view: &ViewTransform, preview: &Preview<'_>, state: &UiState) {
    let at = |point: &ImagePoint| view.ui_from_image(*point);
    for shape in &preview.shapes {
        match shape {
            PreviewShape::Polyline(points) => lines(painter, points.iter().map(at).collect(), false),
            PreviewShape::Polygon(points) => lines(painter, points.iter().map(at).collect(), true),
            PreviewShape::Handles(points) => {
                for point in points.iter() {
                    handle(painter, at(point), false);
                }
            }
            PreviewShape::ActiveHandle(point) => handle(painter, at(point), true),
            PreviewShape::Rect(rect) => {
                for stroke in strokes() {
                    painter.rect_stroke(view.ui_rect_from_image(*rect), 0.0, stroke, StrokeKind::Middle);
                }
            }
            PreviewShape::Ellipse(rect) => ellipse(painter, view, *rect),
            PreviewShape::RoundCursor {
                at: center,
                radius_px,
            } => {
                let radius = radius_px * view.zoom();
                for stroke in strokes() {
                    painter.circle_stroke(at(center), radius.max(1.0), stroke);
                }
                cross(painter, at(center));
            }
            PreviewShape::SquareCursor {
                at: center,
                radius_px,
            } => {
                let half = radius_px * view.zoom();
                let rect = Rect::from_center_size(at(center), vec2(2.0 * half, 2.0 * half));
                for stroke in strokes() {
                    painter.rect_stroke(rect, 0.0, stroke, StrokeKind::Middle);
                }
                cross(painter, at(center));
            }
            PreviewShape::PromptPoints(points) => {
                for point in points.iter() {
                    prompt_point(painter, at(&point.at), point.is_positive);
                }
            }
            PreviewShape::Value { at: place, value } => {
                let place = at(place) + vec2(14.0, -14.0);
                label(painter, place, &value.to_string());
            }
            // These are masks, which the renderer draws.
            PreviewShape::Pixels { .. } | PreviewShape::MovedTarget { .. } => {}
        }
    }
    if state.mention.is_some() {
        let rect = painter.clip_rect();
        painter.rect_stroke(
            rect.shrink(1.0),
            0.0,
            Stroke::new(2.0, theme::ACCENT),
            StrokeKind::Inside,
        );
    }
}

/// A dark line under a light one is seen on every image.
fn strokes() -> [Stroke; 2] {
    [
        Stroke::new(3.0, Color32::from_black_alpha(150)),
        Stroke::new(1.25, Color32::WHITE),
    ]
}

fn lines(painter: &Painter, points: Vec<Pos2>, is_closed: bool) {
    if is_closed && points.len() > 2 {
        for stroke in strokes() {
            painter.add(Shape::closed_line(points.clone(), stroke));
        }
    } else {
        for stroke in strokes() {
            painter.add(Shape::line(points.clone(), stroke));
        }
    }
}

fn ellipse(painter: &Painter, view: &ViewTransform, rect: ImageRect) {
    let rect = view.ui_rect_from_image(rect);
    for stroke in strokes() {
        painter.add(EllipseShape::stroke(rect.center(), rect.size() / 2.0, stroke));
    }
}

fn handle(painter: &Painter, at: Pos2, is_active: bool) {
    let half = if is_active {
        HANDLE_POINTS + 1.5
    } else {
        HANDLE_POINTS
    };
    let rect = Rect::from_center_size(at, vec2(2.0 * half, 2.0 * half));
    let fill = if is_active { theme::ACCENT } else { Color32::WHITE };
    painter.rect(
        rect,
        1.0,
        fill,
        Stroke::new(1.0, Color32::BLACK),
        StrokeKind::Middle,
    );
}

fn cross(painter: &Painter, at: Pos2) {
    for stroke in strokes() {
        painter.line_segment([pos2(at.x - 3.0, at.y), pos2(at.x + 3.0, at.y)], stroke);
        painter.line_segment([pos2(at.x, at.y - 3.0), pos2(at.x, at.y + 3.0)], stroke);
    }
}

fn prompt_point(painter: &Painter, at: Pos2, is_positive: bool) {
    let fill = if is_positive {
        theme::color(theme::BOTH)
    } else {
        theme::color(theme::ONLY_DRAWN)
    };
    painter.circle(at, 7.0, fill, Stroke::new(1.5, Color32::WHITE));
    let stroke = Stroke::new(2.0, Color32::WHITE);
    painter.line_segment([pos2(at.x - 3.5, at.y), pos2(at.x + 3.5, at.y)], stroke);
    if is_positive {
        painter.line_segment([pos2(at.x, at.y - 3.5), pos2(at.x, at.y + 3.5)], stroke);
    }
}

fn label(painter: &Painter, at: Pos2, text: &str) {
    let galley = painter.layout_no_wrap(text.to_owned(), FontId::monospace(12.0), Color32::WHITE);
    let rect = Align2::LEFT_BOTTOM
        .anchor_size(at, galley.size())
        .expand2(vec2(5.0, 2.0));
    painter.rect_filled(rect, 3.0, Color32::from_black_alpha(190));
    painter.galley(rect.min + vec2(5.0, 2.0), galley, Color32::WHITE);
}
