//! Wand, select and smart select, and the toolbox that holds them.

use super::*;
use crate::geometry::ImageRect;

/// An image of few colours near each other, so that every tolerance makes other areas.
fn image(size: ImageSize, seed: u64) -> RgbImage {
    let mut random = Random(seed);
    let colours: [[u8; 3]; 4] =
        std::array::from_fn(|_| std::array::from_fn(|_| (random.unit() * 60.0) as u8));
    let pixels = (0..size.area()).flat_map(|_| colours[(random.unit().powi(2) * 4.0) as usize]);
    RgbImage {
        size,
        pixels: pixels.collect(),
    }
}

/// The pixels that the wand is to find from (`x`, `y`).
fn similar(image: &RgbImage, x: u32, y: u32, tolerance: u8, reach: Reach) -> Mask {
    let colour =
        |x: u32, y: u32| &image.pixels[3 * (y as usize * image.size.width as usize + x as usize)..][..3];
    let seed = colour(x, y);
    let is_similar = |x, y| {
        colour(x, y)
            .iter()
            .zip(seed)
            .all(|(a, b)| a.abs_diff(*b) <= tolerance)
    };
    if reach == Reach::Everywhere {
        return Mask::from_fn(image.size, is_similar).unwrap();
    }
    let mut found = Mask::empty(image.size).unwrap();
    let mut pending = vec![(x, y)];
    while let Some((x, y)) = pending.pop() {
        if x < image.size.width && y < image.size.height && !found.get(x, y) && is_similar(x, y) {
            found.set(x, y, true);
            let beside = [
                (x.wrapping_sub(1), y),
                (x + 1, y),
                (x, y.wrapping_sub(1)),
                (x, y + 1),
            ];
            pending.extend(beside);
        }
    }
    found
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn wands_find_what_a_plain_search_finds(
        size in prop_oneof![sizes(40), (1..=200_u32, 1..=6_u32).prop_map(|(width, height)| ImageSize::new(width, height))],
        seed: u64,
        place in any::<[prop::sample::Index; 2]>(),
        tolerances in any::<(u8, u8)>(),
        is_everywhere: bool,
    ) {
        let (first, last) = (tolerances.0 % 64, tolerances.1 % 64);
        let reach = if is_everywhere { Reach::Everywhere } else { Reach::Contiguous };
        let (x, y) = (place[0].index(size.width as usize) as u32, place[1].index(size.height as usize) as u32);
        let image = image(size, seed);
        let expected = [first, last].map(|tolerance| similar(&image, x, y, tolerance, reach));
        let mut desk = Desk::new(ToolKind::Wand, size.width, size.height);
        desk.image = Some(image);
        (desk.toolbox.wand.reach, desk.toolbox.wand.tolerance) = (reach, first);
        // Sizes below the screen's, so that the drag stays near the image.
        desk.image_px_per_screen_px = size.width as f32 / 512.0;
        let (start_x, start_y) = (x as f32 + 0.5, y as f32 + 0.5);
        prop_assert_eq!(desk.press(start_x, start_y), Response::Redraw);
        let shown_patch = match desk.toolbox.preview().shapes.first() {
            Some(PreviewShape::Pixels { patch, .. }) => patch.to_mask(size).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_same(&shown_patch, &expected[0], "on press");
        let levels = f32::from(last) - f32::from(first);
        let to_x = start_x + levels * 3.0 * desk.image_px_per_screen_px;
        drop(desk.drag(to_x, start_y));
        prop_assert_eq!(desk.toolbox.wand.tolerance, last);
        let answer = desk.release(to_x, start_y);
        let is_commit = matches!(answer, Response::Commit(_, Combine::Add));
        prop_assert!(is_commit, "{answer:?}");
        assert_same(&desk.target, &expected[1], "on release");
    }
}

#[test]
fn wands_want_the_image_of_the_mask() {
    let mut desk = Desk::new(ToolKind::Wand, 20, 10);
    assert_eq!(desk.press(5.0, 5.0), Response::Ignored);
    desk.image = Some(image(ImageSize::new(10, 5), 1));
    assert_eq!(desk.press(5.0, 5.0), Response::Ignored);
    desk.image = Some(image(desk.target.size(), 1));
    for (x, y) in [(-0.5, 5.0), (20.0, 5.0), (5.0, 10.0), (f32::NAN, 1.0)] {
        assert!(
            matches!(desk.click(x, y), Response::Idle | Response::Ignored),
            "({x}, {y})"
        );
    }
    assert!(desk.target.is_empty());
    // The pixels that are there are not all that the size says.
    desk.image.as_mut().unwrap().pixels.truncate(400);
    assert_eq!(desk.click(2.0, 2.0), Response::Idle);
}

#[test]
fn a_cancelled_wand_gives_its_tolerance_back() {
    let mut desk = Desk::new(ToolKind::Wand, 20, 10);
    desk.image = Some(image(desk.target.size(), 1));
    drop(desk.press(5.0, 5.0));
    assert_eq!(desk.drag(12.5, 5.0), Response::Redraw);
    assert_eq!(desk.toolbox.wand.tolerance, 34);
    assert_eq!(desk.drag(12.5, 5.0), Response::Idle);
    assert_eq!(desk.key(ToolKey::Cancel), Response::Cancelled);
    assert_eq!(desk.toolbox.wand.tolerance, 24);
    assert_eq!(desk.release(12.5, 5.0), Response::Ignored);
    assert!(desk.target.is_empty() && desk.toolbox.preview().shapes.is_empty());
    // Without the image the gesture is over, and what it showed is to vanish.
    drop(desk.press(5.0, 5.0));
    desk.image = None;
    assert_eq!(desk.drag(12.5, 5.0), Response::Cancelled);
    assert_eq!(desk.drag(12.5, 5.0), Response::Ignored);
}

/// Three boxes on top of each other, the first at the top; the target is the one at the bottom.
fn stack() -> Desk {
    let size = ImageSize::new(60, 40);
    let regions = vec![
        boxed(size, 20, 15, 30, 25),
        boxed(size, 15, 10, 35, 30),
        boxed(size, 10, 5, 40, 35),
    ];
    let mut desk = Desk::on(ToolKind::Select, regions[2].clone());
    desk.regions = regions;
    desk
}

fn selected(region: Option<usize>) -> Response {
    Response::Select {
        region,
        extends: false,
    }
}

#[test]
fn clicks_select_and_alt_goes_deeper() {
    let mut desk = stack();
    desk.target = Mask::empty(desk.target.size()).unwrap();
    assert_eq!(desk.click(25.0, 20.0), selected(Some(0)));
    assert_eq!(desk.click(25.0, 20.0), selected(Some(0)));
    desk.modifiers = ALT;
    for below in [1, 2, 0, 1] {
        assert_eq!(desk.click(25.3, 20.0), selected(Some(below)));
    }
    assert_eq!(
        desk.click(17.0, 20.0),
        selected(Some(1)),
        "another place starts at the top"
    );
    desk.modifiers = SHIFT;
    let extended = Response::Select {
        region: Some(2),
        extends: true,
    };
    assert_eq!(desk.click(11.0, 6.0), extended);
    desk.modifiers = Modifiers::default();
    assert_eq!(desk.click(55.0, 2.0), selected(None));
    desk.button = PointerButton::Secondary;
    assert_eq!(desk.click(25.0, 20.0), Response::Ignored);
}

#[test]
fn the_target_is_moved_even_from_under_others() {
    let mut desk = stack();
    let before = desk.target.clone();
    assert_eq!(desk.press(25.0, 20.0), Response::Idle);
    assert_eq!(desk.drag(25.4, 20.0), Response::Idle, "no drag yet");
    assert_eq!(desk.drag(32.2, 16.6), Response::Redraw);
    let moved = PreviewShape::MovedTarget { dx: 7, dy: -3 };
    assert_eq!(desk.toolbox.preview().shapes, [moved]);
    assert!(matches!(
        desk.release(32.2, 16.6),
        Response::Commit(_, Combine::Replace)
    ));
    assert_same(&desk.target, &before.translate(7, -3), "moved");
    // A click without a drag selects what lies on top.
    assert_eq!(desk.click(25.0, 20.0), selected(Some(0)));
}

#[test]
fn moves_cut_off_what_leaves_the_image() {
    for (x, y, dx, dy) in [(-29.0, 0.0, -29, 0), (45.4, -34.3, 45, -34), (12.0, 25.0, 12, 25)] {
        let mut desk = stack();
        let before = desk.target.clone();
        drop(desk.stroke(&[(25.0, 20.0), (25.0 + x, 20.0 + y)]));
        assert_same(&desk.target, &before.translate(dx, dy), "pushed over the edge");
    }
    let mut desk = stack();
    let before = desk.target.clone();
    assert_eq!(
        desk.stroke(&[(25.0, 20.0), (-30.0, 20.0)]),
        Response::Redraw,
        "nothing would be left"
    );
    assert_eq!(desk.target, before);
    desk.modifiers = SHIFT;
    drop(desk.press(50.0, 35.0));
    drop(desk.release(50.0, 35.0));
    desk.modifiers = Modifiers::default();
    drop(desk.press(25.0, 20.0));
    desk.modifiers = SHIFT;
    drop(desk.drag(35.0, 24.0));
    drop(desk.release(35.0, 24.0));
    assert_same(&desk.target, &before.translate(10, 0), "along an axis");
}

#[test]
fn arrows_nudge_the_target() {
    let mut desk = stack();
    let mut expected = desk.target.clone();
    let arrows = [
        (Direction::Right, 1, 0),
        (Direction::Left, -1, 0),
        (Direction::Up, 0, -1),
        (Direction::Down, 0, 1),
    ];
    for (modifiers, step) in [(Modifiers::default(), 1), (SHIFT, 10)] {
        for (direction, dx, dy) in arrows {
            desk.modifiers = modifiers;
            assert!(matches!(
                desk.key(ToolKey::Arrow(direction)),
                Response::Commit(_, Combine::Replace)
            ));
            expected = expected.translate(dx * step, dy * step);
            assert_same(&desk.target, &expected, &format!("{direction:?} by {step}"));
        }
    }
    // The last pixels stay.
    for _ in 0..10 {
        drop(desk.key(ToolKey::Arrow(Direction::Left)));
    }
    assert!(!desk.target.is_empty());
    desk.target = Mask::empty(desk.target.size()).unwrap();
    assert_eq!(desk.key(ToolKey::Arrow(Direction::Left)), Response::Ignored);
}

#[test]
fn a_cancelled_move_changes_nothing() {
    let mut desk = stack();
    let before = desk.target.clone();
    drop(desk.press(25.0, 20.0));
    drop(desk.drag(35.0, 24.0));
    assert_eq!(desk.key(ToolKey::Arrow(Direction::Up)), Response::Ignored);
    assert_eq!(desk.key(ToolKey::Cancel), Response::Cancelled);
    assert_eq!(desk.release(35.0, 24.0), Response::Ignored);
    assert_eq!(desk.target, before);
}

fn prompt(response: Response) -> PromptRequest {
    match response {
        Response::Prompt(request) => request,
        other => panic!("{other:?}"),
    }
}

fn point(x: f32, y: f32, is_positive: bool) -> PromptPoint {
    PromptPoint {
        at: ImagePoint::new(x, y),
        is_positive,
    }
}

#[test]
fn clicks_and_boxes_become_a_prompt() {
    let mut desk = Desk::new(ToolKind::SmartSelect, 60, 40);
    desk.combine = Combine::Subtract;
    let first = prompt(desk.click(10.0, 12.0));
    assert_eq!(
        (first.points, first.box_, first.keep_logits),
        (vec![point(10.0, 12.0, true)], None, false)
    );
    desk.modifiers = SHIFT;
    let second = prompt(desk.click(20.0, 12.0));
    let points = vec![point(10.0, 12.0, true), point(20.0, 12.0, false)];
    assert_eq!((&second.points, second.keep_logits), (&points, true));
    desk.modifiers = Modifiers::default();
    desk.button = PointerButton::Secondary;
    let third = prompt(desk.click(21.0, 30.0));
    assert_eq!(third.points.last(), Some(&point(21.0, 30.0, false)));
    desk.button = PointerButton::Primary;
    let boxed = prompt(desk.stroke(&[(70.0, 30.0), (50.0, 20.0), (5.0, 8.0)]));
    let rect = ImageRect {
        x0: 5.0,
        y0: 8.0,
        x1: 60.0,
        y1: 30.0,
    };
    assert_eq!(
        (boxed.box_, boxed.points.len(), boxed.keep_logits),
        (Some(rect), 3, false)
    );
    assert_eq!(desk.toolbox.smart_select.request(), boxed);
    // The combination chosen when the prompt began counts.
    desk.combine = Combine::Add;
    assert_eq!(desk.key(ToolKey::Accept), Response::Accept(Combine::Subtract));
    assert!(!desk.toolbox.tool().is_busy() && desk.toolbox.smart_select.request().is_empty());
    assert_eq!(desk.key(ToolKey::Accept), Response::Ignored);
}

#[test]
fn prompts_are_taken_back_part_by_part() {
    let mut desk = Desk::new(ToolKind::SmartSelect, 60, 40);
    drop(desk.click(10.0, 12.0));
    drop(desk.stroke(&[(5.0, 5.0), (30.0, 30.0)]));
    drop(desk.click(20.0, 22.0));
    desk.modifiers = ALT;
    assert_eq!(desk.click(40.0, 22.0), Response::Idle, "no point there");
    let reduced = prompt(desk.click(10.5, 12.5));
    assert_eq!((reduced.points.len(), reduced.keep_logits), (1, false));
    desk.modifiers = Modifiers::default();
    let reduced = prompt(desk.key(ToolKey::RemoveLast));
    assert!(reduced.points.is_empty() && reduced.box_.is_some());
    assert_eq!(desk.key(ToolKey::RemoveLast), Response::Cancelled);
    assert_eq!(desk.key(ToolKey::RemoveLast), Response::Ignored);
    drop(desk.click(10.0, 12.0));
    assert_eq!(desk.key(ToolKey::Cancel), Response::Cancelled);
    assert!(desk.toolbox.smart_select.request().is_empty());
    assert_eq!(desk.click(-3.0, 12.0), Response::Idle, "outside the image");
}

#[test]
fn scribbles_are_sampled_evenly() {
    let mut desk = Desk::new(ToolKind::SmartSelect, 60, 40);
    desk.modifiers = CTRL;
    let request = prompt(desk.stroke(&[(5.0, 10.0), (6.0, 10.0), (25.0, 10.0), (25.0, 15.0)]));
    let along: Vec<(f32, f32)> = request
        .points
        .iter()
        .map(|point| (point.at.x, point.at.y))
        .collect();
    assert_eq!(
        along,
        [
            (5.0, 10.0),
            (10.0, 10.0),
            (15.0, 10.0),
            (20.0, 10.0),
            (25.0, 10.0),
            (25.0, 15.0)
        ]
    );
    assert!(request.points.iter().all(|point| point.is_positive));
    desk.button = PointerButton::Secondary;
    let request = prompt(desk.stroke(&[(50.0, 30.0), (80.0, 30.0)]));
    let added = &request.points[6..];
    assert_eq!(
        added,
        [point(50.0, 30.0, false), point(56.0, 30.0, false)],
        "only what is inside"
    );
    let request = prompt(desk.key(ToolKey::RemoveLast));
    assert_eq!(request.points.len(), 6);
}

#[test]
fn changing_the_tool_gives_the_gesture_up() {
    for kind in ToolKind::ALL {
        let mut desk = Desk::on(kind, boxed(ImageSize::new(60, 40), 10, 5, 40, 35));
        desk.image = Some(image(desk.target.size(), 3));
        assert_eq!(desk.toolbox.active(), kind);
        assert_eq!(desk.toolbox.choose(kind), Response::Idle);
        let before = desk.target.clone();
        drop(desk.press(40.0, 35.0));
        drop(desk.drag(30.0, 30.0));
        let other = if kind == ToolKind::Lasso {
            ToolKind::Brush
        } else {
            ToolKind::Lasso
        };
        let is_busy = desk.toolbox.tool().is_busy();
        let answer = desk.toolbox.choose(other);
        assert_eq!(
            answer,
            if is_busy {
                Response::Cancelled
            } else {
                Response::Redraw
            },
            "{kind:?}"
        );
        desk.obey(&answer);
        assert_eq!(desk.target, before, "{kind:?}");
        drop(desk.toolbox.choose(kind));
        assert!(!desk.toolbox.tool().is_busy(), "{kind:?}");
    }
}
