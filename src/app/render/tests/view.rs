//! The view by itself: fitting, limits, zoom at a point, and both ways between screen and image.

use egui::{Rect, pos2, vec2};

use crate::app::render::view_transform::ViewTransform;
use crate::geometry::{ImagePoint, ImageRect, ImageSize, PixelRect};

const VIEWPORT: Rect = Rect {
    min: pos2(200.0, 50.0),
    max: pos2(1000.0, 650.0),
};

fn fitted(width: u32, height: u32) -> ViewTransform {
    ViewTransform::fitted(ImageSize::new(width, height), VIEWPORT, 1.0)
}

fn whole(view: &ViewTransform) -> Rect {
    let size = view.image_size();
    view.ui_rect_from_image(ImageRect {
        x0: 0.0,
        y0: 0.0,
        x1: size.width as f32,
        y1: size.height as f32,
    })
}

#[test]
fn a_fitted_image_fills_the_viewport_but_for_a_margin() {
    for (width, height) in [(1, 1), (800, 600), (4000, 300), (30, 20_000), (20_000, 20_000)] {
        for density in [1.0, 1.5, 2.0] {
            let mut view = ViewTransform::fitted(ImageSize::new(width, height), VIEWPORT, density);
            let shown = whole(&view);
            assert!(VIEWPORT.contains_rect(shown), "{width} x {height}: {shown:?}");
            let rest = VIEWPORT.size() - shown.size();
            assert!(
                (rest.x.min(rest.y) - 16.0).abs() < 0.1,
                "{width} x {height}: {rest:?}"
            );
            assert!((shown.center() - VIEWPORT.center()).length() <= 1.5);
            // It stays fitted in a window of another size, until somebody moves it.
            let other = Rect::from_min_size(pos2(0.0, 0.0), vec2(333.0, 222.0));
            view.set_viewport(other, density);
            assert!(view.is_fitted() && other.contains_rect(whole(&view)));
            view.pan_by(vec2(1.0, 0.0));
            assert!(!view.is_fitted());
        }
    }
}

#[test]
fn the_pixel_under_the_pointer_stays_while_zooming() {
    let mut view = fitted(8000, 6000);
    let anchor = pos2(431.0, 287.0);
    let before = view.image_from_ui(anchor);
    // A hundred small steps in and out drift no farther than one rounding to physical pixels.
    for step in 0..100 {
        let factor: f32 = if step < 50 { 1.1 } else { 1.0 / 1.1 };
        view.zoom_by(factor, anchor);
        let after = view.image_from_ui(anchor);
        let off = f64::from((after.x - before.x).abs().max((after.y - before.y).abs()));
        assert!(
            off * view.scale() <= 0.6 + view.scale() * 0.01,
            "step {step}: {off} pixels at {}",
            view.scale()
        );
    }
}

#[test]
fn scales_have_limits_and_the_image_stays_in_reach() {
    for (width, height) in [(1, 1), (50, 40), (800, 600), (20_000, 20_000), (1, 20_000)] {
        let mut view = fitted(width, height);
        let fit = view.scale();
        view.zoom_to(1e12, VIEWPORT.center());
        assert_eq!(view.scale(), fit.max(128.0));
        view.zoom_to(1e-12, VIEWPORT.center());
        assert_eq!(view.scale(), (fit / 2.0).min(1.0));
        for delta in [vec2(1e6, 1e6), vec2(-1e6, 0.0), vec2(0.0, -1e6)] {
            view.pan_by(delta);
            assert!(view.visible_pixels().is_some(), "{width} x {height} by {delta:?}");
        }
    }
}

#[test]
fn the_middle_stays_when_the_window_changes() {
    let mut view = fitted(4000, 3000);
    view.restore([1234.5, 987.0], 3.0);
    let zoom = view.zoom();
    view.set_viewport(Rect::from_min_size(pos2(0.0, 0.0), vec2(500.0, 900.0)), 2.0);
    assert_eq!(view.center(), [1234.5, 987.0]);
    assert_eq!(view.zoom(), zoom);
    assert_eq!(view.scale(), 6.0);
}

#[test]
fn a_box_can_be_brought_into_view() {
    let mut view = fitted(4000, 3000);
    let rect = PixelRect::new(1000, 2000, 200, 100);
    view.fit_rect(rect, 0.25);
    assert_eq!(view.center(), [1100.0, 2050.0]);
    assert!((view.scale() - 800.0 / 300.0).abs() < 1e-9);
    let seen = view.visible_pixels().unwrap();
    assert_eq!(seen.intersection(rect), Some(rect));
}

#[test]
fn every_pixel_is_found_where_it_is_drawn() {
    for (scale, density) in [(0.5, 1.0), (1.0, 1.0), (3.7, 1.25), (16.0, 2.0), (128.0, 1.5)] {
        let mut view = ViewTransform::fitted(ImageSize::new(19_000, 17_000), VIEWPORT, density);
        view.restore([15_000.25, 12_000.5], scale);
        for (x, y) in [(15_000, 12_000), (15_001, 11_999), (14_999, 12_001)] {
            let at = view.ui_from_image(ImagePoint::new(x as f32 + 0.5, y as f32 + 0.5));
            if scale >= 1.0 {
                assert_eq!(view.pixel_from_ui(at), Some((x, y)), "at {scale}");
            }
            let back = view.image_from_ui(at);
            assert!((back.x - x as f32 - 0.5).abs() < 0.02, "{back:?} at {scale}");
        }
        // The view moves by whole physical pixels, so the corner of the image lies on one.
        let origin = view.ui_from_image(ImagePoint::new(0.0, 0.0)) * density;
        assert!((origin.x - origin.x.round()).abs() < 0.2, "{origin:?}");
    }
    let view = fitted(100, 100);
    assert_eq!(view.pixel_from_ui(whole(&view).min - vec2(1.0, 1.0)), None);
    assert_eq!(view.pixel_from_ui(whole(&view).max + vec2(1.0, 1.0)), None);
}
