//! Cars, vans and bicycles.

use super::assembly::{Assembly, Maker};
use super::contour::{Affine, Point, Shape};
use super::lighting::{Finish, Relief};
use super::noise::NoiseKind;
use super::palette::Substance;
use super::structures::glass;
use std::f32::consts::TAU;

const ROUND: Finish = Finish::matt(Relief::Cushion(1.0));

/// A car, van or truck, from the side.
pub(super) fn vehicle(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let colour = maker.colour(Substance::Any);
    let paint = maker.plain(colour).with_grain(NoiseKind::Fractal, 30.0, 0.05);
    let facing = maker.rng.sign();
    let half = maker.rng.range(1.0, 1.5);
    let boxy = maker.rng.chance(0.35);
    let belt = maker.rng.range(-0.62, -0.5);
    let (front, rear) = if boxy {
        (0.75, -0.97)
    } else {
        (maker.rng.range(0.25, 0.5), maker.rng.range(-0.9, -0.55))
    };
    let rake = if boxy { 0.1 } else { maker.rng.range(0.15, 0.35) };
    let point = |x: f32, y: f32| -> Point { [facing * x * half, y] };
    let nose = maker.rng.range(-0.5, -0.38);
    let hull = Shape::outline(vec![
        point(-1.0, -0.16),
        point(-1.0, belt + 0.05),
        point(rear - 0.02, belt),
        point(rear + rake * 0.5, -1.0),
        point(front - rake, -1.0),
        point(front, belt),
        point(0.95, nose),
        point(1.0, -0.3),
        point(0.98, -0.16),
    ]);
    let gloss = maker.rng.range(0.3, 0.9);
    thing.add(
        1,
        hull,
        paint,
        Finish {
            relief: Relief::Cushion(0.35),
            gloss,
            falloff: 0.3,
        },
    );
    let pane = glass(maker);
    let windows = if boxy { 1 } else { maker.rng.int(2, 3) };
    let (low, high) = (belt + 0.01, -0.93);
    let left = rear + 0.06;
    let span = (front - 0.05 - left) / windows as f32;
    for i in 0..windows {
        if boxy && maker.rng.chance(0.5) {
            let shape = Shape::outline(vec![
                point(0.4, low),
                point(0.7, low),
                point(0.62, high),
                point(0.4, high),
            ]);
            thing.add(2, shape, pane.clone(), Finish::glossy(Relief::Flat, 0.3));
            continue;
        }
        let (x0, x1) = (left + span * i as f32 + 0.02, left + span * (i + 1) as f32 - 0.02);
        let lean = |x: f32| {
            let (a, b) = (rear + rake * 0.5 + 0.05, front - rake - 0.03);
            x.clamp(a, b)
        };
        let shape = Shape::outline(vec![
            point(x0, low),
            point(x1, low),
            point(lean(x1), high),
            point(lean(x0), high),
        ]);
        thing.add(2, shape, pane.clone(), Finish::glossy(Relief::Flat, 0.3));
    }
    let lamp = maker.plain([0.8, 0.75, 0.6]);
    let tail = maker.plain([0.5, 0.02, 0.02]);
    let place = |x: f32, y: f32| Shape::ellipse(facing * x * half, y, 0.07, 0.05);
    thing.add(
        3,
        place(0.93, nose + 0.08),
        lamp,
        Finish::glossy(Relief::Ball, 0.8),
    );
    thing.add(
        4,
        place(-0.96, belt + 0.14),
        tail,
        Finish::glossy(Relief::Ball, 0.5),
    );
    let tyre = maker.plain([0.02, 0.02, 0.022]);
    let rim_colour = maker.colour(Substance::Metal);
    let rim = maker.plain(rim_colour);
    let radius = maker.rng.range(0.16, 0.23);
    let spokes = maker.rng.int(5, 9);
    for (wheel, x) in [(5, 0.62), (6, -0.62)] {
        let at = point(x, -radius);
        thing.add(
            wheel,
            Shape::ellipse(at[0], at[1], radius, radius),
            tyre.clone(),
            ROUND,
        );
        let hub = Shape::gear(spokes, 0.35, true).placed(&Affine::place(
            at,
            radius * 0.66,
            radius * 0.66,
            maker.rng.angle(),
        ));
        thing.add(wheel, hub, rim.clone(), Finish::glossy(Relief::Cushion(0.5), 0.6));
    }
    thing
}

/// A bicycle: thin rings and bars.
pub(super) fn bicycle(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let tyre = maker.plain([0.02, 0.02, 0.02]);
    let colour = maker.colour(Substance::Any);
    let paint = maker.plain(colour);
    let r = 0.33;
    let (rear, front, crank) = ([-0.5, -r], [0.5, -r], [-0.05, -0.3]);
    let (seat, head) = ([-0.2, -0.85], [0.36, -0.85]);
    for (part, at) in [(1, rear), (2, front)] {
        let place = Affine::place(at, r, r, 0.0);
        thing.add(part, Shape::ring(0.12, TAU).placed(&place), tyre.clone(), ROUND);
    }
    let bars = [
        (rear, crank),
        (rear, [-0.16, -0.75]),
        (crank, seat),
        (crank, head),
        ([-0.16, -0.75], head),
        (head, front),
    ];
    for (from, to) in bars {
        thing.add(
            3,
            Shape::limb(from, to, 0.05, 0.045),
            paint.clone(),
            Finish::glossy(Relief::Cushion(1.0), 0.5),
        );
    }
    thing.add(
        4,
        Shape::limb([-0.3, -0.87], [-0.1, -0.87], 0.07, 0.05),
        tyre.clone(),
        ROUND,
    );
    thing.add(
        5,
        Shape::limb(head, [0.32, -0.98], 0.04, 0.04),
        tyre.clone(),
        ROUND,
    );
    thing.add(
        5,
        Shape::limb([0.25, -0.98], [0.45, -0.95], 0.045, 0.045),
        tyre,
        ROUND,
    );
    thing
}
