//! Editing vertices of existing outlines: only pixels between the old and the new lines may change.

use super::*;

const SIZE: ImageSize = ImageSize::new(48, 36);

fn desk(target: Mask) -> Desk {
    let mut desk = Desk::on(ToolKind::Vertices, target);
    drop(desk.pointer(PointerKind::Move, 0.0, 0.0));
    desk
}

/// The vertices of every ring.
fn rings(desk: &Desk) -> Vec<Vec<ImagePoint>> {
    let shapes = desk.toolbox.preview().shapes;
    let handles = shapes.into_iter().filter_map(|shape| match shape {
        PreviewShape::Handles(ring) => Some(ring.into_owned()),
        _ => None,
    });
    handles.collect()
}

/// While a vertex is dragged: the vertex before, the new place, the vertex after.
fn held(desk: &Desk) -> [ImagePoint; 3] {
    let shapes = desk.toolbox.preview().shapes;
    let line = shapes.iter().rev().find_map(|shape| match shape {
        PreviewShape::Polyline(line) => <[ImagePoint; 3]>::try_from(line.as_ref()).ok(),
        _ => None,
    });
    line.unwrap()
}

fn place() -> impl Strategy<Value = (f32, f32)> {
    // Lines through these rarely meet the centre of a pixel.
    (-60..540_i32, -60..420_i32).prop_map(|(x, y)| (x as f32 / 10.0 + 0.0371, y as f32 / 10.0 + 0.0413))
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn edits_stay_between_the_old_and_the_new_lines(
        mask in masks_of(SIZE),
        edits in prop::collection::vec((any::<prop::sample::Index>(), place()), 1..5),
        removes: bool,
    ) {
        let mut desk = desk(mask);
        for (vertex, (to_x, to_y)) in edits {
            let vertices = rings(&desk).concat();
            if vertices.is_empty() {
                break;
            }
            let at = *vertex.get(&vertices);
            let before = desk.target.clone();
            drop(desk.press(at.x, at.y));
            drop(desk.drag(to_x, to_y));
            if desk.toolbox.preview().shapes.is_empty() || (at.x - to_x).hypot(at.y - to_y) < 1.5 {
                break;
            }
            let [previous, to, next] = held(&desk);
            let corners = [previous, at, to, next];
            let (x, y) = (corners.map(|corner| corner.x), corners.map(|corner| corner.y));
            if removes {
                prop_assert_eq!(desk.key(ToolKey::Cancel), Response::Cancelled);
                prop_assert_eq!(&desk.target, &before);
                // A ring of three would vanish as a whole.
                if rings(&desk).iter().any(|ring| ring.len() <= 3 && ring.contains(&at)) {
                    continue;
                }
                desk.modifiers = ALT;
                drop(desk.press(at.x, at.y));
                desk.modifiers = Modifiers::default();
            } else {
                drop(desk.release(to_x, to_y));
            }
            // The pixels' own outline strays one pixel from the line between vertices.
            let inside = |all: [f32; 4], position: f64| {
                let (first, last) = (all.iter().copied().reduce(f32::min), all.iter().copied().reduce(f32::max));
                (f64::from(first.unwrap()) - 1.0..=f64::from(last.unwrap()) + 1.0).contains(&position)
            };
            let allowed = drawn(SIZE, |centre_x, centre_y| inside(x, centre_x) && inside(y, centre_y));
            let changed = desk.target.symmetric_difference(&before).unwrap();
            let strayed = changed.difference(&allowed).unwrap();
            prop_assert!(strayed.is_empty(), "{corners:?}:\n{}\n\n{}", shown(&before), shown(&desk.target));
        }
    }

    #[test]
    fn a_straight_outline_is_its_polygon(moves in prop::collection::vec((0..5_usize, place()), 1..9)) {
        let mut desk = desk(boxed(SIZE, 8, 6, 40, 29));
        // A fifth vertex on the lower side.
        prop_assert_eq!(desk.click(20.0, 29.3), Response::Redraw);
        let mut model = rings(&desk).concat();
        prop_assert_eq!(model.len(), 5);
        for (index, (x, y)) in moves {
            let at = model[index];
            let is_crowded = model.iter().filter(|other| (other.x - at.x).hypot(other.y - at.y) < 0.1).count() > 1;
            if is_crowded || (at.x - x).hypot(at.y - y) < 1.5 {
                continue;
            }
            drop(desk.stroke(&[(at.x, at.y), (x, y)]));
            model[index] = ImagePoint::new(x, y);
            prop_assert_eq!(&rings(&desk).concat(), &model);
            let ring: Vec<(f64, f64)> = model.iter().map(|at| (at.x.into(), at.y.into())).collect();
            let differing = desk.target.symmetric_difference(&ring_mask(SIZE, &ring)).unwrap().area();
            prop_assert!(differing <= 1, "{model:?}\n{}", shown(&desk.target));
        }
    }

    #[test]
    fn without_vertices_no_pixel_is_left(mask in masks_of(SIZE), picks in prop::collection::vec(any::<prop::sample::Index>(), 99)) {
        let mut desk = desk(mask);
        desk.modifiers.shift = true;
        for pick in picks.into_iter().cycle() {
            drop(desk.pointer(PointerKind::Move, 0.0, 0.0));
            let vertices = rings(&desk).concat();
            let Some(at) = vertices.get(pick.index(vertices.len().max(1))) else { break };
            drop(desk.click(at.x, at.y));
        }
        prop_assert!(desk.target.is_empty(), "slivers stayed\n{}", shown(&desk.target));
    }

    #[test]
    fn looking_and_adding_vertices_change_no_pixel(mask in masks_of(SIZE), clicks in prop::collection::vec(place(), 8)) {
        let mut desk = desk(mask.clone());
        for (x, y) in clicks {
            drop(desk.pointer(PointerKind::Move, x, y));
            let before: usize = rings(&desk).iter().map(Vec::len).sum();
            let answer = desk.click(x, y);
            let after: usize = rings(&desk).iter().map(Vec::len).sum();
            prop_assert!(after == before || after == before + 1);
            let is_harmless = matches!(answer, Response::Redraw | Response::Select { region: None, .. });
            prop_assert!(is_harmless, "{answer:?}");
        }
        prop_assert_eq!(desk.target, mask);
    }
}

/// A closed line, each point with whether it is a vertex.
type ModelRing = Vec<(ImagePoint, bool)>;

/// The rings of every part with all of their points.
fn model(desk: &Desk) -> Vec<Vec<ModelRing>> {
    let handles = rings(desk);
    let mut handles = handles.iter();
    let mut with_vertices = |ring: &[ImagePoint]| {
        let vertices = handles.next().unwrap();
        ring.iter()
            .map(|point| (*point, vertices.contains(point)))
            .collect()
    };
    let parts = desk.target.trace();
    parts
        .iter()
        .map(|part| part.rings().map(&mut with_vertices).collect())
        .collect()
}

fn model_mask(parts: &[Vec<ModelRing>]) -> Mask {
    let parts: Vec<Vec<Vec<(f64, f64)>>> = parts
        .iter()
        .map(|part| {
            let plain = |ring: &ModelRing| ring.iter().map(|(at, _)| (at.x.into(), at.y.into())).collect();
            part.iter().map(plain).collect()
        })
        .collect();
    drawn(SIZE, |x, y| {
        let covers = |part: &Vec<Vec<(f64, f64)>>| {
            goes_round(&part[0], x, y) && !part[1..].iter().any(|hole| goes_round(hole, x, y))
        };
        parts.iter().any(covers)
    })
}

/// Moves a vertex; the points between it and its neighbours go.
fn move_in_model(ring: &mut ModelRing, index: usize, to: ImagePoint) {
    ring.rotate_left(index);
    let next = ring
        .iter()
        .skip(1)
        .position(|point| point.1)
        .map_or(ring.len(), |steps| steps + 1);
    let previous = ring.iter().rposition(|point| point.1).unwrap_or(0);
    let kept = if previous == 0 {
        Vec::new()
    } else {
        ring[next..=previous].to_vec()
    };
    *ring = vec![(to, true)];
    ring.extend(kept);
}

proptest! {
    #![proptest_config(cases(120))]

    #[test]
    fn outlines_keep_every_point_that_no_edit_is_about(
        mask in masks_of(SIZE),
        edits in prop::collection::vec((any::<[prop::sample::Index; 3]>(), any::<bool>(), place()), 1..7),
    ) {
        let mut desk = desk(mask);
        // So far zoomed in that the pointer only grabs what it is on.
        desk.image_px_per_screen_px = 1e-3;
        let mut model = model(&desk);
        for ([part, ring, point], inserts, (x, y)) in edits {
            if model.is_empty() {
                break;
            }
            let part = part.index(model.len());
            let ring = ring.index(model[part].len());
            let points = &mut model[part][ring];
            let index = point.index(points.len());
            let (at, is_vertex) = points[index];
            if inserts {
                let to = points[(index + 1) % points.len()].0;
                if (at.x - to.x).hypot(at.y - to.y) < 0.5 {
                    continue;
                }
                let middle = ImagePoint::new(at.x + 0.37 * (to.x - at.x), at.y + 0.37 * (to.y - at.y));
                prop_assert_eq!(desk.click(middle.x, middle.y), Response::Redraw);
                points.insert(index + 1, (middle, true));
            } else {
                let same = |other: &(ImagePoint, bool)| (other.0.x - at.x).hypot(other.0.y - at.y) < 0.02;
                if !is_vertex || model.iter().flatten().flatten().filter(|other| same(other)).count() > 1 {
                    continue;
                }
                drop(desk.stroke(&[(at.x, at.y), (x, y)]));
                move_in_model(&mut model[part][ring], index, ImagePoint::new(x, y));
            }
            let expected = model_mask(&model);
            let differing = desk.target.symmetric_difference(&expected).unwrap().area();
            prop_assert!(differing <= 1, "{}\n\n{}", shown(&desk.target), shown(&expected));
        }
    }
}

#[test]
fn a_corner_follows_the_pointer() {
    let other = Mask::from_fn(SIZE, |x, y| x < 6 && (x * 7 + y * 3) % 4 == 0).unwrap();
    let mut desk = desk(boxed(SIZE, 10, 8, 30, 24).union(&other).unwrap());
    assert_eq!(desk.press(30.4, 24.3), Response::Redraw);
    assert_eq!(desk.drag(30.6, 24.3), Response::Idle, "a click yet");
    assert_eq!(desk.drag(43.3, 33.7), Response::Redraw);
    assert!(matches!(
        desk.release(43.3, 33.7),
        Response::Commit(_, Combine::Overwrite)
    ));
    let corners = [(10.0, 8.0), (30.0, 8.0), (43.3, 33.7), (10.0, 24.0)];
    assert_same(
        &desk.target,
        &ring_mask(SIZE, &corners).union(&other).unwrap(),
        "corner",
    );
}

#[test]
fn holes_have_vertices_too() {
    let hole = boxed(SIZE, 16, 12, 27, 19);
    let solid = boxed(SIZE, 8, 6, 40, 29);
    let mut desk = desk(solid.difference(&hole).unwrap());
    assert_eq!(rings(&desk).len(), 2);
    drop(desk.stroke(&[(27.0, 19.0), (33.3, 25.7)]));
    let corners = [(16.0, 12.0), (27.0, 12.0), (33.3, 25.7), (16.0, 19.0)];
    assert_same(
        &desk.target,
        &solid.difference(&ring_mask(SIZE, &corners)).unwrap(),
        "hole",
    );
    // With Backspace the vertex just touched goes, and with the third one the hole.
    assert!(matches!(desk.key(ToolKey::RemoveLast), Response::Commit(..)));
    assert_eq!(desk.key(ToolKey::RemoveLast), Response::Ignored);
    assert_eq!(rings(&desk)[1].len(), 3);
    desk.modifiers = SHIFT;
    assert!(matches!(desk.press(16.0, 12.0), Response::Commit(..)));
    assert_same(&desk.target, &solid, "filled");
    assert_eq!(rings(&desk).len(), 1);
}

#[test]
fn a_part_vanishes_with_its_holes_and_no_other_part() {
    let other = boxed(SIZE, 1, 1, 4, 30);
    let part = boxed(SIZE, 8, 6, 40, 29)
        .difference(&boxed(SIZE, 30, 8, 33, 11))
        .unwrap();
    let mut desk = desk(part.union(&other).unwrap());
    desk.modifiers = ALT;
    assert!(matches!(desk.press(8.0, 29.0), Response::Commit(..)));
    assert!(desk.target.get(38, 8) && !desk.target.get(31, 9));
    assert!(matches!(desk.press(40.0, 29.0), Response::Commit(..)));
    assert_same(&desk.target, &other, "one part is left");
    assert_eq!(rings(&desk).len(), 1);
}

#[test]
fn clicks_elsewhere_choose_another_region() {
    let mut desk = desk(boxed(SIZE, 10, 8, 30, 24));
    desk.regions = vec![boxed(SIZE, 35, 0, 48, 36)];
    let select = |region| Response::Select {
        region,
        extends: false,
    };
    assert_eq!(desk.click(40.0, 20.0), select(Some(0)));
    assert_eq!(desk.click(20.0, 16.0), select(None));
    // The outline is made anew for the region that was chosen.
    desk.target = boxed(SIZE, 35, 0, 48, 36);
    desk.toolbox.target_changed();
    assert!(desk.toolbox.preview().shapes.is_empty());
    drop(desk.pointer(PointerKind::Move, 40.0, 20.0));
    assert_eq!(rings(&desk).concat().len(), 4);
}

#[test]
fn a_cancelled_drag_leaves_the_outline() {
    let mut desk = desk(boxed(SIZE, 10, 8, 30, 24));
    let (mask, outline) = (desk.target.clone(), rings(&desk));
    drop(desk.press(30.0, 24.0));
    drop(desk.drag(40.0, 30.0));
    assert_eq!(desk.key(ToolKey::RemoveLast), Response::Ignored);
    assert_eq!(desk.key(ToolKey::Cancel), Response::Cancelled);
    assert_eq!(desk.release(40.0, 30.0), Response::Ignored);
    assert_eq!((desk.target.clone(), rings(&desk)), (mask, outline));
}
