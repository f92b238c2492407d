//! Images, masks and windows nobody meant: whatever comes in, a frame is made and nothing panics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use egui::{Rect, Vec2, pos2, vec2};

use super::{Window, rgb8};
use crate::app::render::display::{DisplaySettings, Emphasis, RegionStyle};
use crate::app::render::region_shape::RegionShape;
use crate::app::render::view_transform::ViewTransform;
use crate::app::render::{CanvasRenderer, FrameBudget, RegionLayer, RegionPixels};
use crate::geometry::{ImagePoint, ImageSize, PixelRect};
use crate::mask::{Mask, Rle};
use crate::picture::PicturePyramid;

const SCREEN: ImageSize = ImageSize::new(96, 64);

fn viewport() -> Rect {
    Rect::from_min_size(pos2(0.0, 0.0), vec2(SCREEN.width as f32, SCREEN.height as f32))
}

fn renderer(size: ImageSize) -> CanvasRenderer {
    let mut renderer = CanvasRenderer::new();
    renderer.set_budget(FrameBudget::UNLIMITED);
    let picture = PicturePyramid::new(size, rgb8(size)).map(Arc::new);
    renderer.set_image(1, size, picture);
    renderer
}

fn layer(key: u64, mask: &Mask) -> RegionLayer<'_> {
    let mut style = RegionStyle::new([key as u8, (key >> 8) as u8, 200]);
    style.emphasis = [Emphasis::None, Emphasis::Hovered, Emphasis::Selected][key as usize % 3];
    RegionLayer {
        key,
        revision: 1,
        pixels: RegionPixels::Mask(mask),
        style,
    }
}

/// Draws the image fitted, far in, far out, and at its corners.
fn draw_everywhere(renderer: &mut CanvasRenderer, size: ImageSize) {
    let mut window = Window::new(SCREEN);
    let display = DisplaySettings::default();
    let mut view = ViewTransform::fitted(size, viewport(), 1.0);
    let [width, height] = [size.width, size.height].map(f64::from);
    let wanted = [
        (view.center(), view.scale()),
        ([0.0, 0.0], 1e9),
        ([width, height], 1e9),
        ([width / 2.0, height], 1e-9),
        ([width, 0.0], 1.0),
        ([width / 3.0, height / 3.0], 2.7),
    ];
    for (center, scale) in wanted {
        view.restore(center, scale);
        window.draw(renderer, &view, &display);
        assert!(renderer.is_complete(), "{size} at {scale}");
    }
}

#[test]
fn images_of_any_shape_are_drawn() {
    for (width, height) in [
        (1, 1),
        (1, 20_000),
        (20_000, 1),
        (2, 3),
        (256, 256),
        (257, 1),
        (4096, 3),
    ] {
        let size = ImageSize::new(width, height);
        let mut renderer = renderer(size);
        let masks = [
            Mask::full(size).unwrap(),
            Mask::empty(size).unwrap(),
            Mask::from_rects(size, &[PixelRect::new(width - 1, height - 1, 1, 1)]).unwrap(),
        ];
        renderer.set_regions(&[layer(0, &masks[0]), layer(1, &masks[1]), layer(2, &masks[2])]);
        draw_everywhere(&mut renderer, size);
        assert_eq!(
            renderer.regions_at(width - 1, height - 1).collect::<Vec<_>>(),
            [2, 0]
        );
        assert_eq!(renderer.regions_at(width, height).count(), 0);
        assert_eq!(renderer.regions_at(u32::MAX, u32::MAX).count(), 0);
    }
}

#[test]
fn an_image_without_pixels_is_ground() {
    for size in [ImageSize::new(0, 0), ImageSize::new(0, 9), ImageSize::new(9, 0)] {
        let mut renderer = renderer(size);
        draw_everywhere(&mut renderer, size);
    }
}

#[test]
fn empty_masks_can_be_drawn_updated_and_filled() {
    let size = ImageSize::new(700, 300);
    let mut renderer = renderer(size);
    let mut mask = Mask::empty(size).unwrap();
    renderer.set_regions(&[layer(0, &mask)]);
    renderer.set_preview(Some((RegionPixels::Mask(&mask), RegionStyle::new([1; 3]))));
    draw_everywhere(&mut renderer, size);
    for rect in [
        PixelRect::new(0, 0, 0, 0),
        PixelRect::new(5, 5, 0, 3),
        PixelRect::new(699, 299, 1, 1),
        PixelRect::new(700, 300, 5, 5),
        PixelRect::new(u32::MAX, u32::MAX, u32::MAX, u32::MAX),
        PixelRect::new(0, 0, u32::MAX, u32::MAX),
    ] {
        assert!(renderer.update_region(0, 2, &mask, rect));
        assert!(renderer.update_preview(&mask, rect));
        assert!(!renderer.update_region(1, 2, &mask, rect));
        draw_everywhere(&mut renderer, size);
    }
    mask.set(699, 299, true);
    assert!(renderer.update_region(0, 3, &mask, PixelRect::new(699, 299, 1, 1)));
    assert_eq!(renderer.regions_at(699, 299).collect::<Vec<_>>(), [0]);
    draw_everywhere(&mut renderer, size);
}

#[test]
fn masks_of_another_size_are_drawn_where_they_fit() {
    let size = ImageSize::new(300, 300);
    let mut renderer = renderer(size);
    let masks = [(900, 900), (3, 3), (1, 3000)].map(|(w, h)| Mask::full(ImageSize::new(w, h)).unwrap());
    renderer.set_regions(&[layer(0, &masks[0]), layer(1, &masks[1]), layer(2, &masks[2])]);
    assert!(!renderer.update_region(0, 2, &masks[0], PixelRect::new(0, 0, 9, 9)));
    draw_everywhere(&mut renderer, size);
}

#[test]
fn one_key_for_two_regions_draws_both() {
    let size = ImageSize::new(40, 30);
    let mut renderer = renderer(size);
    let masks = [0, 20].map(|x| Mask::from_rects(size, &[PixelRect::new(x, 0, 9, 9)]).unwrap());
    for _ in 0..2 {
        renderer.set_regions(&[layer(4, &masks[0]), layer(4, &masks[1])]);
        assert_eq!(
            renderer.regions_at(21, 1).count() + renderer.regions_at(1, 1).count(),
            2
        );
        draw_everywhere(&mut renderer, size);
    }
    renderer.set_regions(&[]);
    assert_eq!(renderer.regions_at(21, 1).count(), 0);
}

#[test]
fn twenty_thousand_regions_are_drawn() {
    let size = ImageSize::new(8000, 8000);
    let mut renderer = CanvasRenderer::new();
    renderer.set_budget(FrameBudget::UNLIMITED);
    renderer.set_image(1, size, None);
    let shapes: Vec<Arc<RegionShape>> = (0..20_000)
        .map(|index: u32| {
            let (x, y) = (index % 160 * 50, index / 160 * 64);
            Arc::new(RegionShape::from_rle(&cell(size, PixelRect::new(x, y, 58, 40))))
        })
        .collect();
    let layers: Vec<RegionLayer<'_>> = (0..)
        .zip(&shapes)
        .map(|(key, shape)| RegionLayer {
            key,
            revision: 1,
            pixels: RegionPixels::Shape(shape),
            style: RegionStyle::new([key as u8, 90, 200]),
        })
        .collect();
    renderer.set_regions(&layers);
    draw_everywhere(&mut renderer, size);
    let begun = Instant::now();
    renderer.set_regions(&layers);
    assert!(
        begun.elapsed() < Duration::from_millis(200),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(renderer.regions_at(55, 20).collect::<Vec<_>>(), [1, 0]);
}

/// The run lengths of a box, without a raster of the image.
fn cell(size: ImageSize, rect: PixelRect) -> Rle {
    let right = rect.right().min(size.width);
    let height = rect.height.min(size.height - rect.y);
    let mut counts = vec![rect.x * size.height + rect.y];
    for _ in rect.x + 1..right {
        counts.extend([height, size.height - height]);
    }
    let covered: u32 = counts.iter().sum::<u32>() + height;
    counts.extend([height, size.area() as u32 - covered]);
    Rle::from_counts(size, counts).unwrap()
}

#[test]
fn regions_piled_up_at_every_pixel_are_drawn() {
    // Every column of texels lies in another number of regions: the most distinct, longest sets there are.
    let size = ImageSize::new(512, 256);
    let mut renderer = renderer(size);
    let shapes: Vec<Arc<RegionShape>> = (0..1200_u32)
        .map(|index| {
            let rect = PixelRect::new(0, 0, 1 + index % 512, 1 + index * 7 % 256);
            Arc::new(RegionShape::from_mask(&Mask::from_rects(size, &[rect]).unwrap()))
        })
        .collect();
    let layers: Vec<RegionLayer<'_>> = (0..)
        .zip(&shapes)
        .map(|(key, shape)| RegionLayer {
            key,
            revision: 1,
            pixels: RegionPixels::Shape(shape),
            style: RegionStyle::new([key as u8, 90, 200]),
        })
        .collect();
    renderer.set_regions(&layers);
    let view = ViewTransform::fitted(size, viewport(), 1.0);
    let mut window = Window::new(SCREEN);
    for _ in 0..2 {
        window.draw(&mut renderer, &view, &DisplaySettings::default());
    }
    assert_eq!(renderer.regions_at(0, 0).count(), 1200);
}

#[test]
fn viewports_without_size_or_sense_do_no_harm() {
    let size = ImageSize::new(300, 200);
    let mut renderer = renderer(size);
    renderer.set_regions(&[layer(2, &Mask::full(size).unwrap())]);
    let display = DisplaySettings::default();
    let usual = viewport();
    let odd = [
        Rect::from_min_size(pos2(10.0, 10.0), Vec2::ZERO),
        Rect::from_min_size(pos2(10.0, 10.0), vec2(0.0, 50.0)),
        Rect::from_min_size(pos2(10.0, 10.0), vec2(-5.0, -5.0)),
        Rect::NOTHING,
        Rect::EVERYTHING,
        Rect::NAN,
        Rect::from_min_size(pos2(0.0, 0.0), vec2(1e9, 1e9)),
    ];
    for viewport in odd {
        for density in [1.0, 0.0, -1.0, f32::NAN, f32::INFINITY, 1e-20] {
            let mut fitted = ViewTransform::fitted(size, viewport, density);
            let mut moved = ViewTransform::fitted(size, usual, 1.0);
            moved.zoom_to(2.0, usual.center());
            moved.set_viewport(viewport, density);
            for view in [&mut fitted, &mut moved] {
                view.zoom_by(1.5, pos2(20.0, 20.0));
                view.pan_by(vec2(3.0, 4.0));
                view.fit_rect(PixelRect::new(0, 0, 0, 0), f32::NAN);
                renderer.next_frame(view, &display);
                // Back in a window of sense the image is there again.
                view.set_viewport(usual, 1.0);
                view.center_on(ImagePoint::new(150.0, 100.0));
                view.zoom_to(1.0, usual.center());
                assert!(
                    view.visible_pixels().is_some(),
                    "{viewport:?} {density}: {view:?}"
                );
            }
        }
    }
    Window::new(SCREEN).draw(&mut renderer, &ViewTransform::fitted(size, usual, 1.0), &display);
}

#[test]
fn numbers_of_no_sense_move_nothing_out_of_reach() {
    let size = ImageSize::new(300, 200);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 0.0] {
        let moves: [fn(&mut ViewTransform, f32); 7] = [
            |view, bad| view.pan_by(vec2(bad, 1.0)),
            |view, bad| view.zoom_by(bad, pos2(5.0, 5.0)),
            |view, bad| view.zoom_by(2.0, pos2(bad, 5.0)),
            |view, bad| view.zoom_to(f64::from(bad), pos2(5.0, 5.0)),
            |view, bad| view.center_on(ImagePoint::new(bad, bad)),
            |view, bad| view.restore([f64::from(bad), 0.0], f64::from(bad)),
            |view, bad| view.fit_rect(PixelRect::new(u32::MAX, 0, u32::MAX, 9), bad),
        ];
        for (index, change) in moves.into_iter().enumerate() {
            let mut view = ViewTransform::fitted(size, viewport(), 1.0);
            change(&mut view, bad);
            let is_finite = view.center().iter().all(|value| value.is_finite()) && view.scale().is_finite();
            assert!(is_finite, "{index} by {bad}: {view:?}");
            assert!(view.visible_pixels().is_some(), "{index} by {bad}: {view:?}");
        }
    }
}

#[test]
fn settings_of_no_sense_do_no_harm() {
    let size = ImageSize::new(50, 40);
    let mut renderer = renderer(size);
    renderer.set_regions(&[layer(2, &Mask::full(size).unwrap())]);
    let view = ViewTransform::fitted(size, viewport(), 1.0);
    let mut window = Window::new(SCREEN);
    for bad in [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e30] {
        let mut display = DisplaySettings::default();
        display.tone.window = [bad, 0.5];
        display.tone.gamma = bad;
        display.tone.contrast = bad;
        display.regions.outline_width = bad;
        display.regions.fill_opacity = bad;
        window.draw(&mut renderer, &view, &display);
    }
}
