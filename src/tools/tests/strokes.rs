//! Brush and eraser against the distance of every pixel from the way of the tip.

use super::*;

/// The least of a function of 0..=1 that has no second valley.
fn least(function: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if function(left) <= function(right) {
            high = right;
        } else {
            low = left;
        }
    }
    function((low + high) / 2.0).min(function(0.0)).min(function(1.0))
}

/// Centre and radius of the tip.
type Tip = (f64, f64, f64);

/// The distance of (`x`, `y`) from the tip on its way through `tips`, negative inside.
fn from_way(tips: &[Tip], x: f64, y: f64, norm: impl Fn(f64, f64) -> f64) -> f64 {
    let from_leg = |&(from, to): &(Tip, Tip)| {
        least(|along| {
            let at = |from: f64, to: f64| from + (to - from) * along;
            norm(x - at(from.0, to.0), y - at(from.1, to.1)) - at(from.2, to.2)
        })
    };
    let ends = tips.iter().zip(tips.iter().skip(1).chain(tips.last()));
    let legs = ends.map(|(&from, &to)| (from, to));
    legs.map(|leg| from_leg(&leg)).fold(f64::INFINITY, f64::min)
}

fn points(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(f32, f32)>> {
    prop::collection::vec((-8.0..46.0_f32, -8.0..40.0_f32), count)
}

fn brush(kind: ToolKind, diameter_px: f32) -> Desk {
    let mut desk = Desk::new(kind, 38, 32);
    desk.toolbox.brush.size = BrushSize::from_diameter_px(diameter_px);
    desk.toolbox.eraser.size = BrushSize::from_diameter_px(diameter_px);
    desk
}

fn tips(points: &[(f32, f32)], radius: f64) -> Vec<Tip> {
    points
        .iter()
        .map(|&(x, y)| (x.into(), y.into(), radius))
        .collect()
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn round_strokes_are_a_distance(points in points(1..5), diameter in 4..24_u32) {
        let mut desk = brush(ToolKind::Brush, diameter as f32);
        let answer = desk.stroke(&points);
        let is_complete = matches!(answer, Response::Stroke { combine: Combine::Add, is_last: true, .. });
        prop_assert!(is_complete, "{answer:?}");
        let tips = tips(&points, f64::from(diameter) / 2.0);
        assert_follows(&desk.target, |x, y| from_way(&tips, x, y, f64::hypot), "round");
    }

    #[test]
    fn pressure_scales_the_tip_evenly(points in points(2..5), pressures in prop::array::uniform4(0.3..1.0_f32)) {
        let mut desk = brush(ToolKind::Brush, 20.0);
        let steps = points.iter().zip(pressures);
        let mut tips: Vec<Tip> = Vec::new();
        for (index, (&(x, y), pressure)) in steps.enumerate() {
            desk.pressure = pressure;
            drop(if index == 0 { desk.press(x, y) } else { desk.drag(x, y) });
            tips.push((x.into(), y.into(), f64::from(10.0 * pressure)));
        }
        // A pen has no pressure any more where it leaves the tablet.
        desk.pressure = 0.0;
        let &(x, y) = points.get(tips.len() - 1).unwrap();
        drop(desk.release(x, y));
        assert_follows(&desk.target, |x, y| from_way(&tips, x, y, f64::hypot), "pressure");
    }

    #[test]
    fn square_strokes_are_a_distance(points in points(1..5), diameter in 1..20_u32) {
        let mut desk = brush(ToolKind::Brush, diameter as f32);
        desk.toolbox.brush.tip = BrushTip::Square;
        drop(desk.stroke(&points));
        let snapped: Vec<(f32, f32)> = points
            .iter()
            .map(|&(x, y)| {
                if diameter % 2 == 1 { (x.floor() + 0.5, y.floor() + 0.5) } else { (x.round(), y.round()) }
            })
            .collect();
        let tips = tips(&snapped, f64::from(diameter) / 2.0);
        let chessboard = |dx: f64, dy: f64| dx.abs().max(dy.abs());
        assert_follows(&desk.target, |x, y| from_way(&tips, x, y, chessboard), "square");
    }

    #[test]
    fn erasing_is_the_complement_of_painting(points in points(1..5), diameter in 1..24_u32) {
        let mut painted = brush(ToolKind::Brush, diameter as f32);
        drop(painted.stroke(&points));
        for (kind, button, modifiers) in [
            (ToolKind::Eraser, PointerButton::Primary, Modifiers::default()),
            (ToolKind::Brush, PointerButton::Secondary, Modifiers::default()),
            (ToolKind::Brush, PointerButton::Primary, CTRL),
        ] {
            let mut erased = brush(kind, diameter as f32);
            erased.target.invert();
            (erased.button, erased.modifiers) = (button, modifiers);
            drop(erased.stroke(&points));
            prop_assert_eq!(&erased.target, &painted.target.complement());
        }
    }

    #[test]
    fn cancelling_takes_the_stroke_back(points in points(2..5), target in masks_of(ImageSize::new(38, 32))) {
        for kind in [ToolKind::Brush, ToolKind::Eraser] {
            let mut desk = Desk::on(kind, target.clone());
            let (&(x, y), rest) = points.split_first().unwrap();
            drop(desk.press(x, y));
            for &(x, y) in rest {
                drop(desk.drag(x, y));
            }
            prop_assert_eq!(desk.key(ToolKey::Cancel), Response::Cancelled);
            prop_assert_eq!(&desk.target, &target);
            prop_assert_eq!(desk.drag(1.0, 1.0), Response::Ignored);
            prop_assert_eq!(desk.release(1.0, 1.0), Response::Ignored);
            prop_assert_eq!(desk.key(ToolKey::Cancel), Response::Ignored);
            prop_assert_eq!(&desk.target, &target);
        }
    }
}

#[test]
fn small_tips_cover_as_many_pixels_as_their_size() {
    for (diameter, tip, area) in [
        (1, BrushTip::Round, 1),
        (2, BrushTip::Round, 4),
        (3, BrushTip::Round, 9),
        (1, BrushTip::Square, 1),
        (2, BrushTip::Square, 4),
        (5, BrushTip::Square, 25),
        (6, BrushTip::Square, 36),
    ] {
        for (x, y) in [(10.0, 10.0), (10.5, 10.5), (10.3, 10.9), (10.99, 10.01)] {
            let mut desk = brush(ToolKind::Brush, diameter as f32);
            desk.toolbox.brush.tip = tip;
            drop(desk.click(x, y));
            assert_eq!(desk.target.area(), area, "{tip:?} of {diameter} px at ({x}, {y})");
        }
    }
}

#[test]
fn shift_draws_a_line_from_the_last_end() {
    let mut desk = brush(ToolKind::Brush, 6.0);
    drop(desk.click(5.0, 6.0));
    desk.modifiers = SHIFT;
    drop(desk.pointer(PointerKind::Move, 30.0, 22.0));
    let preview = desk.toolbox.preview();
    assert!(matches!(preview.shapes.first(), Some(PreviewShape::Polyline(line)) if line.len() == 2));
    drop(desk.click(30.0, 22.0));
    drop(desk.click(33.0, 5.0));
    let tips = tips(&[(5.0, 6.0), (30.0, 22.0), (33.0, 5.0)], 3.0);
    assert_follows(
        &desk.target,
        |x, y| from_way(&tips, x, y, f64::hypot),
        "two lines",
    );

    // After undo or on another region the line would start from nowhere.
    desk.toolbox.target_changed();
    let before = desk.target.clone();
    drop(desk.click(5.0, 27.0));
    let dot = [(5.0, 27.0, 3.0)];
    let added = desk.target.difference(&before).unwrap();
    assert_follows(&added, |x, y| from_way(&dot, x, y, f64::hypot), "a dot");
}

#[test]
fn parts_join_without_gaps_and_only_the_last_ends_the_step() {
    let mut desk = brush(ToolKind::Brush, 1.0);
    let mut flags = Vec::new();
    let mut note = |response: Response| match response {
        Response::Stroke { is_last, .. } => flags.push(is_last),
        other => panic!("{other:?}"),
    };
    note(desk.press(2.5, 2.5));
    note(desk.drag(20.5, 2.5));
    note(desk.drag(20.5, 2.5));
    note(desk.drag(20.5, 12.5));
    note(desk.release(20.5, 12.5));
    assert_eq!(flags, [false, false, false, false, true]);
    let size = desk.target.size();
    let expected = boxed(size, 2, 2, 21, 3)
        .union(&boxed(size, 20, 2, 21, 13))
        .unwrap();
    assert_same(&desk.target, &expected, "two legs");
}

#[test]
fn another_button_does_not_disturb_a_stroke() {
    let mut desk = brush(ToolKind::Brush, 4.0);
    drop(desk.press(5.0, 5.0));
    let before = desk.target.clone();
    for button in [PointerButton::Secondary, PointerButton::Middle] {
        desk.button = button;
        assert_eq!(desk.press(20.0, 20.0), Response::Ignored);
        assert_eq!(desk.drag(25.0, 20.0), Response::Ignored);
        assert_eq!(desk.release(25.0, 20.0), Response::Ignored);
    }
    assert_eq!(desk.target, before);
    desk.button = PointerButton::Primary;
    assert!(matches!(
        desk.release(5.0, 5.0),
        Response::Stroke { is_last: true, .. }
    ));
}

#[test]
fn sizes_step_up_and_down() {
    for diameter in 1..=BrushSize::MAX_PX as u32 {
        let size = BrushSize::from_diameter_px(diameter as f32);
        assert_eq!(size.diameter_px(), diameter);
        assert!(
            diameter == 4096 || size.stepped(1.0).diameter_px() > diameter,
            "{diameter}"
        );
        let inside = size.stepped(1.0).diameter_px() < 4096;
        if inside {
            assert_eq!(size.stepped(1.0).stepped(-1.0).diameter_px(), diameter);
        }
    }
    for (diameter, kept) in [(f32::NAN, 1), (-3.0, 1), (f32::INFINITY, 4096), (1e30, 4096)] {
        assert_eq!(BrushSize::from_diameter_px(diameter).diameter_px(), kept);
    }
    let size = BrushSize::default();
    assert_eq!(size.diameter_px(), 24);
    for (steps, diameter) in [(f32::NAN, 24), (f32::INFINITY, 24), (1e30, 4096), (-1e30, 1)] {
        assert_eq!(size.stepped(steps).diameter_px(), diameter);
    }
    let mut desk = brush(ToolKind::Eraser, 10.0);
    assert_eq!(desk.key(ToolKey::Larger), Response::Redraw);
    assert_eq!(desk.toolbox.eraser.size.diameter_px(), 11);
    assert_eq!(desk.toolbox.brush.size.diameter_px(), 10);
    assert_eq!(desk.key(ToolKey::Smaller), Response::Redraw);
    assert_eq!(desk.key(ToolKey::Smaller), Response::Redraw);
    assert_eq!(desk.toolbox.resize(-0.4), Response::Redraw);
    assert_eq!(desk.toolbox.eraser.size.diameter_px(), 9);
}
