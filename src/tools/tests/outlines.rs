//! Shapes drawn by their outline: polygon, lasso, rectangle and ellipse.

use super::*;

const SIZE: ImageSize = ImageSize::new(40, 30);

/// A ring none of whose lines touches the centre of a pixel.
const RING: [(f32, f32); 5] = [(4.2, 3.1), (33.3, 6.7), (28.4, 24.9), (15.1, 12.3), (6.6, 26.2)];

fn desk(kind: ToolKind) -> Desk {
    Desk::new(kind, SIZE.width, SIZE.height)
}

fn expected(ring: &[(f32, f32)]) -> Mask {
    let ring: Vec<_> = ring.iter().map(|&(x, y)| (x.into(), y.into())).collect();
    ring_mask(SIZE, &ring)
}

/// Clicks every point.
fn place(desk: &mut Desk, points: &[(f32, f32)]) {
    for &(x, y) in points {
        assert_eq!(desk.click(x, y), Response::Redraw);
    }
}

fn vertices(desk: &Desk) -> Vec<(f32, f32)> {
    desk.toolbox
        .polygon
        .vertices()
        .iter()
        .map(|at| (at.x, at.y))
        .collect()
}

/// A way of finishing a polygon.
type Close = fn(&mut Desk) -> Response;

#[test]
fn polygons_close_in_three_ways() {
    let close_by: [(&str, Close); 3] = [
        ("Enter", |desk| desk.key(ToolKey::Accept)),
        ("first vertex", |desk| desk.click(RING[0].0 + 0.3, RING[0].1)),
        ("double click", |desk| {
            let (x, y) = RING[4];
            drop(desk.press(x + 0.2, y));
            let answer = desk.pointer(PointerKind::DoubleClick, x + 0.2, y);
            assert_eq!(desk.release(x + 0.2, y), Response::Ignored);
            answer
        }),
    ];
    for (name, close) in close_by {
        let mut desk = desk(ToolKind::Polygon);
        place(&mut desk, &RING);
        assert!(desk.toolbox.tool().is_busy());
        let answer = close(&mut desk);
        assert!(
            matches!(answer, Response::Commit(_, Combine::Add)),
            "{name}: {answer:?}"
        );
        assert_same(&desk.target, &expected(&RING), name);
        assert!(!desk.toolbox.tool().is_busy());
        assert!(desk.toolbox.preview().shapes.is_empty());
    }
}

#[test]
fn polygons_join_the_target_as_the_toolbar_says() {
    let before = boxed(SIZE, 0, 10, 40, 20);
    let shape = expected(&RING);
    for (combine, after) in [
        (Combine::Replace, shape.clone()),
        (Combine::Add, before.union(&shape).unwrap()),
        (Combine::Subtract, before.difference(&shape).unwrap()),
        (Combine::Intersect, before.intersection(&shape).unwrap()),
    ] {
        let mut desk = Desk::on(ToolKind::Polygon, before.clone());
        desk.combine = combine;
        place(&mut desk, &RING);
        drop(desk.key(ToolKey::Accept));
        assert_same(&desk.target, &after, &format!("{combine:?}"));
    }
}

#[test]
fn vertices_of_a_new_polygon_are_editable() {
    let mut desk = desk(ToolKind::Polygon);
    place(&mut desk, &[RING[0], RING[1], (30.0, 12.0), (2.0, 28.0), RING[4]]);
    assert_eq!(desk.key(ToolKey::RemoveLast), Response::Redraw);
    assert_eq!(vertices(&desk).len(), 4);
    // One is moved, one is pulled out of a line, one is removed.
    assert_eq!(
        desk.stroke(&[(2.0, 28.0), (4.0, 27.0), RING[4]]),
        Response::Redraw
    );
    assert_eq!(
        desk.stroke(&[(18.3, 19.1), (17.0, 15.0), RING[3]]),
        Response::Redraw
    );
    assert_eq!(
        vertices(&desk),
        [RING[0], RING[1], (30.0, 12.0), RING[3], RING[4]]
    );
    desk.modifiers = ALT;
    assert_eq!(desk.click(30.0, 12.0), Response::Redraw);
    desk.modifiers = Modifiers::default();
    assert_eq!(vertices(&desk), [RING[0], RING[1], RING[3], RING[4]]);
    drop(desk.key(ToolKey::Accept));
    assert_same(
        &desk.target,
        &expected(&[RING[0], RING[1], RING[3], RING[4]]),
        "edited",
    );
}

#[test]
fn a_click_on_a_line_goes_on_from_the_last_vertex() {
    let mut desk = desk(ToolKind::Polygon);
    place(&mut desk, &[(5.0, 5.0), (35.0, 5.0), (35.0, 25.0)]);
    place(&mut desk, &[(20.0, 5.5)]);
    assert_eq!(
        vertices(&desk),
        [(5.0, 5.0), (35.0, 5.0), (35.0, 25.0), (20.0, 5.5)]
    );
}

#[test]
fn unfinished_polygons_change_nothing() {
    let mut desk = desk(ToolKind::Polygon);
    assert_eq!(desk.key(ToolKey::Accept), Response::Ignored);
    place(&mut desk, &RING[..2]);
    assert_eq!(desk.key(ToolKey::Accept), Response::Idle);
    assert_eq!(desk.key(ToolKey::RemoveLast), Response::Redraw);
    assert_eq!(desk.key(ToolKey::RemoveLast), Response::Cancelled);
    assert_eq!(desk.key(ToolKey::RemoveLast), Response::Ignored);
    place(&mut desk, &RING);
    assert_eq!(desk.key(ToolKey::Cancel), Response::Cancelled);
    assert_eq!(desk.key(ToolKey::Cancel), Response::Ignored);
    assert!(vertices(&desk).is_empty() && desk.target.is_empty());
    // Wholly outside the image.
    place(&mut desk, &[(-20.0, -5.0), (-10.0, -5.0), (-15.0, -20.0)]);
    assert_eq!(desk.key(ToolKey::Accept), Response::Cancelled);
    assert!(desk.target.is_empty());
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn lassos_enclose_what_they_go_round(
        points in prop::collection::vec((-60..460_i32, -60..360_i32), 3..12),
        is_secondary in any::<bool>(),
    ) {
        // Off the centres of pixels by a share that no tenth has.
        let points: Vec<(f32, f32)> =
            points.iter().map(|&(x, y)| (x as f32 / 10.0 + 0.037, y as f32 / 10.0 + 0.041)).collect();
        let mut desk = desk(ToolKind::Lasso);
        let mut inside = expected(&points);
        if is_secondary {
            desk.button = PointerButton::Secondary;
            desk.target.invert();
            inside.invert();
        }
        drop(desk.stroke(&points));
        // A line through a centre is either way; so rarely that a few pixels say it.
        let differing = desk.target.symmetric_difference(&inside).unwrap().area();
        prop_assert!(differing <= 1, "{differing} pixels:\n{}\n\n{}", shown(&desk.target), shown(&inside));
    }

    #[test]
    fn rectangles_cover_whole_pixels(
        (x, y) in (0..160_i32, 0..120_i32), (dx, dy) in (-100..100_i32, -100..100_i32), shift: bool, alt: bool,
    ) {
        let quarter = |quarters: i32| quarters as f32 / 4.0;
        let mut desk = desk(ToolKind::Rectangle);
        desk.modifiers = Modifiers { shift, alt, ctrl: false };
        drop(desk.press(quarter(x), quarter(y)));
        drop(desk.drag(quarter(x + dx), quarter(y + dy)));
        let preview = match desk.toolbox.preview().shapes.as_slice() {
            [PreviewShape::Rect(rect)] => *rect,
            other => panic!("{other:?}"),
        };
        drop(desk.release(quarter(x + dx), quarter(y + dy)));
        let inside = |x: f64, y: f64| {
            let columns = f64::from(preview.x0)..f64::from(preview.x1);
            let rows = f64::from(preview.y0)..f64::from(preview.y1);
            columns.contains(&x) && rows.contains(&y)
        };
        assert_same(&desk.target, &drawn(SIZE, inside), "the preview is the result");
        let (width, height) = (preview.x1 - preview.x0, preview.y1 - preview.y0);
        let side = quarter(dx.abs().max(dy.abs()));
        let share = if alt { 2.0 } else { 1.0 };
        let wanted = if shift { (side, side) } else { (quarter(dx.abs()), quarter(dy.abs())) };
        prop_assert_eq!((width, height), ((wanted.0 * share).round(), (wanted.1 * share).round()));
        if alt {
            let centre = ((preview.x0 + preview.x1) / 2.0, (preview.y0 + preview.y1) / 2.0);
            prop_assert!((centre.0 - quarter(x)).abs() <= 1.0 && (centre.1 - quarter(y)).abs() <= 1.0);
        }
    }
}

#[test]
fn rectangles_and_ellipses_by_their_corners() {
    // Press, release, modifiers, and the box in the image.
    let cases = [
        ((5.2, 6.4), (20.4, 16.6), Modifiers::default(), (5, 6, 20, 16)),
        ((20.0, 16.0), (5.0, 6.0), Modifiers::default(), (5, 6, 20, 16)),
        ((5.0, 6.0), (20.0, 12.0), SHIFT, (5, 6, 20, 21)),
        ((20.0, 20.0), (12.0, 17.0), SHIFT, (12, 12, 20, 20)),
        ((20.0, 15.0), (26.0, 11.0), ALT, (14, 11, 26, 19)),
        (
            (20.0, 15.0),
            (26.0, 11.0),
            Modifiers { alt: true, ..SHIFT },
            (14, 9, 26, 21),
        ),
    ];
    for ((x, y), (to_x, to_y), modifiers, (x0, y0, x1, y1)) in cases {
        let mut desk = desk(ToolKind::Rectangle);
        desk.modifiers = modifiers;
        drop(desk.stroke(&[(x, y), (to_x, to_y)]));
        assert_same(&desk.target, &boxed(SIZE, x0, y0, x1, y1), "rectangle");

        let mut desk = self::desk(ToolKind::Ellipse);
        desk.modifiers = modifiers;
        drop(desk.stroke(&[(x, y), (to_x, to_y)]));
        let [x0, y0, x1, y1] = [x0, y0, x1, y1].map(f64::from);
        let from_edge = |x: f64, y: f64| {
            let (across, down) = ((2.0 * x - x0 - x1) / (x1 - x0), (2.0 * y - y0 - y1) / (y1 - y0));
            across.hypot(down) - 1.0
        };
        assert_follows(&desk.target, from_edge, "ellipse");
    }
}

#[test]
fn shapes_are_cut_at_the_edge_and_taken_away_by_the_secondary_button() {
    for kind in [ToolKind::Rectangle, ToolKind::Ellipse, ToolKind::Lasso] {
        let mut desk = desk(kind);
        desk.target.invert();
        desk.button = PointerButton::Secondary;
        let path = [(-30.0, -40.0), (80.0, -40.0), (80.0, 70.0), (-30.0, 70.0)];
        let path = if kind == ToolKind::Lasso {
            &path[..]
        } else {
            &[(-30.0, -25.0), (70.0, 55.0)]
        };
        assert!(matches!(
            desk.stroke(path),
            Response::Commit(_, Combine::Subtract)
        ));
        assert!(desk.target.is_empty(), "{kind:?}\n{}", shown(&desk.target));

        // Nothing inside the image, or nothing at all.
        assert_eq!(
            desk.stroke(&[(50.0, 5.0), (60.0, 7.0), (55.0, 20.0)]),
            Response::Cancelled
        );
        assert_eq!(desk.click(5.0, 5.0), Response::Cancelled);
        assert!(!desk.toolbox.tool().is_busy());
    }
}

#[test]
fn cancelling_a_shape_changes_nothing() {
    for kind in [ToolKind::Rectangle, ToolKind::Ellipse, ToolKind::Lasso] {
        let mut desk = desk(kind);
        drop(desk.press(5.0, 5.0));
        drop(desk.drag(20.0, 9.0));
        drop(desk.drag(20.0, 20.0));
        assert_eq!(desk.key(ToolKey::Cancel), Response::Cancelled);
        assert_eq!(desk.release(20.0, 20.0), Response::Ignored);
        assert!(desk.target.is_empty() && desk.toolbox.preview().shapes.is_empty());
    }
}
