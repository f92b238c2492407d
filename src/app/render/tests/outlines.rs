//! Outlines where tiles end and on targets that are written in linear light.

use super::{Case, MIDDLE, SMALL, WINDOW, Window, differences, styled, varied};
use crate::app::render::display::Emphasis;
use crate::mask::Mask;

#[test]
fn outlines_need_no_tile_that_is_out_of_view() {
    // The right edge of the window lies just before texel 256 of the level, where a tile begins that is not drawn.
    for (scale, right) in [(1.0, 251.0), (1.0, 246.0), (2.0, 255.0), (0.45, 495.0)] {
        for width in [1.0, 3.0, 8.0] {
            let regions = vec![(Mask::full(MIDDLE).unwrap(), styled([220, 60, 40], |_| {}))];
            let center = [right - f64::from(WINDOW.width) / 2.0 / scale, 150.0];
            let mut case = Case::new(MIDDLE, regions, WINDOW).zoomed(scale, center);
            case.regions[0].1.emphasis = Emphasis::Selected;
            case.display.regions.outline_width = width;
            case.check(&format!("outline {width} at {scale}, right {right}"));
        }
    }
}

#[test]
fn broad_outlines_of_thin_and_holed_regions_are_exact() {
    for (scale, emphasis) in [
        (0.25, Emphasis::Selected),
        (1.0, Emphasis::Hovered),
        (3.7, Emphasis::Selected),
        (16.0, Emphasis::Hovered),
    ] {
        let mut case = Case::new(MIDDLE, varied(MIDDLE), WINDOW).zoomed(scale, [258.0, 150.0]);
        case.display.regions.outline_width = 2.0;
        for region in [1, 2, 4] {
            case.regions[region].1.emphasis = emphasis;
        }
        case.regions[5].1.is_hidden = true;
        case.regions[3].1.is_dimmed = true;
        case.check(&format!("{emphasis:?} at {scale}"));
    }
}

#[test]
fn a_target_in_linear_light_shows_the_same_picture() {
    let mut case = Case::new(SMALL, varied(SMALL), WINDOW).zoomed(3.7, [30.0, 20.0]);
    case.regions[1].1.emphasis = Emphasis::Selected;
    let mut window = Window::of_format(WINDOW, wgpu::TextureFormat::Rgba8UnormSrgb);
    let drawn = window.draw(&mut case.renderer(), &case.view, &case.display);
    assert_eq!(differences("linear", WINDOW, &drawn, &case.expected()), None);
}
