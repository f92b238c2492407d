//! Events that no hand makes: nothing may panic, hang, or reach outside the image.

use super::*;
use crate::geometry::PixelRect;

fn positions() -> impl Strategy<Value = f32> {
    prop_oneof![
        12 => -10.0..50.0_f32,
        2 => (0..50_i32).prop_map(|position| position as f32),
        1 => prop::sample::select(vec![
            f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::MIN_POSITIVE, -0.0, 1e9, -1e20,
        ]),
    ]
}

fn scales() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => 0.02..4.0_f32,
        1 => prop::sample::select(vec![
            0.0, -1.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, 1e-40, 1e38, f32::MAX,
        ]),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Pointer(PointerEvent),
    Key(ToolKey, Modifiers),
    Resize(f32),
    TargetChanged,
    ImageGone(bool),
}

fn steps() -> impl Strategy<Value = Step> {
    let kinds = vec![
        PointerKind::Press,
        PointerKind::Press,
        PointerKind::Drag,
        PointerKind::Drag,
        PointerKind::Drag,
        PointerKind::Release,
        PointerKind::Release,
        PointerKind::Move,
        PointerKind::DoubleClick,
        PointerKind::Leave,
    ];
    let buttons = vec![
        PointerButton::Primary,
        PointerButton::Primary,
        PointerButton::Primary,
        PointerButton::Primary,
        PointerButton::Secondary,
        PointerButton::Middle,
    ];
    let modifiers = || {
        let held = || prop::bool::weighted(0.15);
        (held(), held(), held()).prop_map(|(shift, ctrl, alt)| Modifiers { shift, ctrl, alt })
    };
    let keys = vec![
        ToolKey::Accept,
        ToolKey::Cancel,
        ToolKey::RemoveLast,
        ToolKey::Larger,
        ToolKey::Smaller,
        ToolKey::Arrow(Direction::Left),
        ToolKey::Arrow(Direction::Down),
    ];
    let pointer = (
        prop::sample::select(kinds),
        prop::sample::select(buttons),
        positions(),
        positions(),
        modifiers(),
        prop_oneof![3 => Just(1.0), 1 => positions()],
    );
    let pointer = pointer.prop_map(|(kind, button, x, y, modifiers, pressure)| PointerEvent {
        kind,
        button,
        at: ImagePoint::new(x, y),
        modifiers,
        pressure,
    });
    prop_oneof![
        20 => pointer.prop_map(Step::Pointer),
        3 => (prop::sample::select(keys), modifiers()).prop_map(|(key, modifiers)| Step::Key(key, modifiers)),
        1 => positions().prop_map(Step::Resize),
        1 => Just(Step::TargetChanged),
        1 => any::<bool>().prop_map(Step::ImageGone),
    ]
}

/// Whether what the tool wants to be done can be done.
fn is_sane(response: &Response, size: ImageSize) -> bool {
    let is_inside = |patch: &Patch| {
        let rect = patch.rect();
        PixelRect::covering(size).intersection(rect) == Some(rect)
    };
    let is_point_inside = |at: ImagePoint| {
        at.x >= 0.0 && at.y >= 0.0 && at.x <= size.width as f32 && at.y <= size.height as f32
    };
    match response {
        Response::Stroke { part, .. } => part.as_ref().is_none_or(is_inside),
        Response::Commit(patch, _) => is_inside(patch),
        Response::Prompt(request) => {
            let corners = request
                .box_
                .iter()
                .flat_map(|rect| [(rect.x0, rect.y0), (rect.x1, rect.y1)]);
            let mut corners = corners.map(|(x, y)| ImagePoint::new(x, y));
            !request.is_empty()
                && corners.all(is_point_inside)
                && request.points.iter().all(|point| is_point_inside(point.at))
        }
        _ => true,
    }
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn hostile_events_are_survived(
        target in masks(40),
        scale in scales(),
        script in prop::collection::vec(steps(), 1..30),
        goes_through_toolbox: bool,
    ) {
        let size = target.size();
        let image = RgbImage { size, pixels: (0..3 * size.area()).map(|byte| (byte / 40) as u8).collect() };
        for kind in ToolKind::ALL {
            let mut desk = Desk::on(kind, target.clone());
            desk.regions = vec![target.clone(), target.complement()];
            desk.image_px_per_screen_px = scale;
            for step in script.clone() {
                let response = match step {
                    Step::Pointer(event) if goes_through_toolbox => {
                        desk.ask(|toolbox, context| toolbox.pointer(&event, context))
                    }
                    Step::Pointer(event) => {
                        desk.ask(|toolbox, context| toolbox.tool_mut().pointer(&event, context))
                    }
                    Step::Key(key, modifiers) => {
                        desk.modifiers = modifiers;
                        desk.key(key)
                    }
                    Step::Resize(steps) => desk.toolbox.resize(steps),
                    Step::TargetChanged => {
                        desk.toolbox.target_changed();
                        Response::Idle
                    }
                    Step::ImageGone(is_gone) => {
                        desk.image = (!is_gone).then(|| image.clone());
                        Response::Idle
                    }
                };
                prop_assert!(is_sane(&response, size), "{kind:?}: {response:?}");
                drop(desk.toolbox.preview());
            }
            // Whatever happened, giving up leads back to rest.
            desk.toolbox.tool_mut().cancel();
            prop_assert!(!desk.toolbox.tool().is_busy(), "{kind:?}");
        }
    }
}

#[test]
fn positions_that_are_no_numbers_are_ignored() {
    for kind in ToolKind::ALL {
        let mut desk = Desk::new(kind, 30, 20);
        for (x, y) in [
            (f32::NAN, 3.0),
            (3.0, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NAN),
        ] {
            assert_eq!(desk.press(x, y), Response::Ignored, "{kind:?}");
        }
        assert!(!desk.toolbox.tool().is_busy(), "{kind:?}");
    }
}

#[test]
fn a_stroke_from_far_away_stays_near() {
    let mut desk = Desk::new(ToolKind::Brush, 30, 20);
    desk.toolbox.brush.size = BrushSize::from_diameter_px(1.0);
    drop(desk.stroke(&[(-1e30, 10.5), (1e30, 10.5)]));
    assert_same(&desk.target, &boxed(desk.target.size(), 0, 10, 30, 11), "a row");
}
