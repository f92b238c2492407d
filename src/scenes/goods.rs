//! Hand-sized things: vessels, fruit, cartons, devices, plants, and abstract bodies with parts.

use super::assembly::{Assembly, Maker};
use super::contour::{Affine, Shape};
use super::lighting::{Finish, Relief};
use super::noise::Wave;
use super::palette::{Substance, scale};
use super::texture::{Pattern, Texture};
use std::f32::consts::{FRAC_PI_2, PI, TAU};

/// Any hand-sized thing.
pub(super) fn any(maker: &mut Maker<'_>) -> Assembly {
    match maker.rng.weighted(&[3.0, 2.0, 2.0, 2.0, 1.5, 1.0, 3.0]) {
        0 => vessel(maker),
        1 => fruit(maker),
        2 => carton(maker),
        3 => device(maker),
        4 => pot_plant(maker),
        5 => flower(maker),
        _ => body_with_parts(maker),
    }
}

/// A turned thing: bottle, vase, cup, lamp, can.
pub(super) fn vessel(maker: &mut Maker<'_>) -> Assembly {
    let rng = &mut *maker.rng;
    let width = rng.range(0.12, 0.4);
    let wave = Wave::new(rng, 0.5, 3, 1.0);
    let (amount, neck) = (rng.range(0.0, 0.35), rng.chance(0.5));
    let (shoulder, neck_width) = (rng.range(0.5, 0.85), rng.range(0.2, 0.5));
    let radius = move |t: f32| {
        let body = width * (1.0 + amount * wave.at(t)).max(0.25);
        let taper = if neck {
            let s = ((t - shoulder) / 0.12).clamp(0.0, 1.0);
            1.0 + (neck_width - 1.0) * s * s * (3.0 - 2.0 * s)
        } else {
            1.0
        };
        let foot = (t / 0.04).min(1.0).sqrt() * 0.15 + 0.85;
        body * taper * foot
    };
    let profile = |from: f32, to: f32, grow: f32| {
        let at = |i: usize, sign: f32| {
            let t = from + (to - from) * i as f32 / 20.0;
            // The rim seen from slightly above bulges downwards at both ends.
            [sign * radius(t) * grow, -t]
        };
        let cap = |t: f32, start: f32| {
            let r = radius(t) * grow;
            (1..8).map(move |i| {
                let (sin, cos) = (start + PI * i as f32 / 8.0).sin_cos();
                [r * cos, -t + r * 0.16 * sin.abs()]
            })
        };
        let mut points: Vec<_> = (0..=20).map(|i| at(i, -1.0)).collect();
        points.extend(cap(to, PI));
        points.extend((0..=20).rev().map(|i| at(i, 1.0)));
        points.extend(cap(from, 0.0));
        Shape::outline(points)
    };
    let gloss = if maker.rng.chance(0.6) {
        maker.rng.range(0.2, 1.0)
    } else {
        0.0
    };
    let finish = Finish::glossy(Relief::Bar(FRAC_PI_2), gloss);
    let colour = maker.colour(Substance::Any);
    let texture = if maker.rng.chance(0.6) {
        maker.plain(colour)
    } else {
        maker.any(colour)
    };
    let mut thing = Assembly::default();
    if !neck && maker.rng.chance(0.4) {
        let (size, side) = (maker.rng.range(0.12, 0.25), maker.rng.sign());
        let place = Affine::place([side * width, -0.55], size, size * 1.2, 0.0);
        thing.add(
            2,
            Shape::ring(0.35, TAU).placed(&place),
            texture.clone(),
            Finish::glossy(Relief::Cushion(1.0), gloss),
        );
    }
    let glass = maker.rng.chance(0.12);
    if glass {
        thing.add_clear(
            1,
            profile(0.0, 1.0, 1.0),
            texture,
            finish,
            maker.rng.range(0.45, 0.7),
        );
    } else {
        thing.add(1, profile(0.0, 1.0, 1.0), texture, finish);
    }
    if maker.rng.chance(0.55) {
        let low = maker.rng.range(0.08, 0.35);
        let high = low + maker.rng.range(0.1, 0.35);
        let label = maker.colour(Substance::Any);
        let texture = maker.any(label);
        thing.add(3, profile(low, high, 1.005), texture, finish);
        if maker.rng.chance(0.6) {
            let mark = maker.colour(Substance::Any);
            let texture = maker.plain(mark);
            let shape = Shape::blob(maker.rng, 0.15, 3);
            let r = width * maker.rng.range(0.25, 0.5);
            let place = Affine::place(
                [0.0, -0.5 * (low + high) + 0.02],
                r,
                r.min((high - low) * 0.4),
                0.0,
            );
            thing.add(4, shape.placed(&place), texture, finish);
        }
    }
    if maker.rng.chance(0.55) {
        let cap = maker.colour(Substance::Any);
        let texture = maker.plain(cap);
        let from = maker.rng.range(0.85, 0.95);
        thing.add(5, profile(from, 1.02, 1.12), texture, finish);
    } else if !glass {
        let inside = scale(colour, 0.3);
        let texture = maker.plain(inside);
        let r = radius(1.0) * 0.88;
        thing.add(6, Shape::ellipse(0.0, -1.0, r, r * 0.16), texture, Finish::MATT);
    }
    thing
}

/// A fruit or vegetable, perhaps with stem and leaf.
pub(super) fn fruit(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let colour = maker.colour(Substance::Fruit);
    let second = maker.near(colour, 0.4);
    let pattern = Pattern::Warped {
        kind: super::noise::NoiseKind::Fractal,
        wavelength: maker.size * 0.3,
        warp: 0.4,
        contrast: maker.rng.range(0.3, 1.5),
    };
    let texture = Texture::new(maker.rng, pattern, &[colour, colour, second]);
    let wobble = maker.rng.range(0.0, 0.12);
    let aspect = if maker.rng.chance(0.3) {
        maker.rng.log_range(0.4, 2.5)
    } else {
        maker.rng.range(0.85, 1.2)
    };
    let shape = Shape::blob(maker.rng, wobble, 4);
    let (rx, ry) = (0.5 * aspect.min(1.5), 0.5 / aspect.max(1.0));
    let gloss = maker.rng.range(0.0, 0.7);
    let relief = if wobble < 0.06 {
        Relief::Ball
    } else {
        Relief::Cushion(1.0)
    };
    thing.add(
        1,
        shape.placed(&Affine::place([0.0, -ry], rx, ry, 0.0)),
        texture,
        Finish::glossy(relief, gloss),
    );
    if maker.rng.chance(0.4) {
        let (tip, wood) = (maker.rng.range(-0.1, 0.1), maker.colour(Substance::Wood));
        let texture = maker.plain(wood);
        let stem = Shape::limb([0.0, -2.0 * ry + 0.05], [tip, -2.0 * ry - 0.12], 0.05, 0.04);
        thing.add(2, stem, texture, Finish::matt(Relief::Cushion(1.0)));
        if maker.rng.chance(0.5) {
            let green = maker.colour(Substance::Foliage);
            let texture = maker.plain(green);
            let leaf = Shape::leaf(0.5, 0.15, 0.8);
            let place = Affine::place(
                [0.0, -2.0 * ry - 0.05],
                0.35,
                0.35,
                maker.rng.sign() * maker.rng.range(0.7, 1.5),
            );
            thing.add(
                3,
                leaf.placed(&place),
                texture,
                Finish::matt(Relief::Cushion(1.0)),
            );
        }
    }
    thing
}

/// A box seen from a corner, with its faces as parts, perhaps with printing.
pub(super) fn carton(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let (front, side, lift) = (
        maker.rng.range(0.25, 0.8),
        maker.rng.range(0.0, 0.5),
        maker.rng.range(0.05, 0.3),
    );
    let flip = maker.rng.sign();
    let height = 1.0 - lift;
    let colour = if maker.rng.chance(0.3) {
        maker.colour(Substance::Wood)
    } else {
        maker.colour(Substance::Any)
    };
    let surface = maker.any(colour);
    let half = 0.5 * (front + side);
    let quad = |points: [[f32; 2]; 4]| Shape::outline(points.map(|[x, y]| [flip * (x - half), y]).to_vec());
    let rise = lift * 0.5;
    thing.add(
        1,
        quad([[0.0, 0.0], [front, 0.0], [front, -height], [0.0, -height]]),
        surface.clone(),
        Finish::MATT,
    );
    thing.add(
        2,
        quad([
            [front, 0.0],
            [front + side, -rise],
            [front + side, -height - rise],
            [front, -height],
        ]),
        surface.clone(),
        Finish::matt(Relief::Facet([flip * 0.8, 0.0, 0.6])),
    );
    thing.add(
        3,
        quad([
            [0.0, -height],
            [front, -height],
            [front + side, -height - rise],
            [side, -height - rise],
        ]),
        surface,
        Finish::matt(Relief::Facet([0.0, -0.8, 0.6])),
    );
    for mark in 0..maker.rng.int(0, 3) {
        let ink = maker.colour(Substance::Any);
        let texture = maker.any(ink);
        let (w, h) = (
            front * maker.rng.range(0.2, 0.8),
            height * maker.rng.range(0.1, 0.5),
        );
        let (x, y) = (
            maker.rng.range(0.0, front - w),
            -height + maker.rng.range(0.0, height - h),
        );
        let shape = quad([[x, y], [x + w, y], [x + w, y + h], [x, y + h]]);
        thing.add(4 + mark, shape, texture, Finish::MATT);
    }
    thing
}

/// A device: rounded case with screen, keys, dials.
pub(super) fn device(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let width = maker.rng.log_range(0.4, 1.8);
    let radius = maker.rng.range(0.01, 0.2);
    let colour = maker.colour(Substance::Any);
    let case = maker.plain(colour);
    let gloss = maker.rng.range(0.0, 0.6);
    let (x0, x1) = (-0.5 * width, 0.5 * width);
    let body = Shape::rounded_rectangle(x0, -1.0, x1, 0.0, radius);
    thing.add(1, body, case, Finish::glossy(Relief::Cushion(0.12), gloss));
    let rim = maker.rng.range(0.03, 0.12);
    let split = if maker.rng.chance(0.5) {
        -rim
    } else {
        -maker.rng.range(0.2, 0.6)
    };
    let screen = maker.colour(Substance::Any);
    let texture = if maker.rng.chance(0.5) {
        maker.plain(scale(screen, 0.15))
    } else {
        maker.any(screen)
    };
    let shape = Shape::rounded_rectangle(x0 + rim, -1.0 + rim, x1 - rim, split, rim * 0.5);
    thing.add(2, shape, texture, Finish::glossy(Relief::Flat, gloss));
    if split < -0.15 {
        let (columns, rows) = (maker.rng.int(1, 4), maker.rng.int(1, 3));
        let round = maker.rng.chance(0.5);
        let key = maker.near(colour, 0.5);
        let texture = maker.plain(key);
        let (cell_w, cell_h) = ((width - 2.0 * rim) / columns as f32, (-split - rim) / rows as f32);
        for i in 0..columns * rows {
            let cx = x0 + rim + cell_w * ((i % columns) as f32 + 0.5);
            let cy = split + cell_h * ((i / columns) as f32 + 0.6);
            let r = 0.36 * cell_w.min(cell_h);
            let shape = if round {
                Shape::ellipse(cx, cy, r, r)
            } else {
                Shape::rounded_rectangle(cx - 0.4 * cell_w, cy - r, cx + 0.4 * cell_w, cy + r, 0.2 * r)
            };
            thing.add(
                3 + i,
                shape,
                texture.clone(),
                Finish::glossy(Relief::Cushion(0.6), gloss),
            );
        }
    }
    thing
}

/// Leaves in a pot.
pub(super) fn pot_plant(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let green = maker.colour(Substance::Foliage);
    let pot_height = maker.rng.range(0.2, 0.45);
    let (count, width, reach) = (
        maker.rng.int(5, 16),
        maker.rng.range(0.15, 0.6),
        maker.rng.range(0.4, 1.1),
    );
    let belly = maker.rng.range(0.6, 1.3);
    for leaf in 0..count {
        let colour = maker.near(green, 0.25);
        let texture = maker.plain(colour);
        let bend = maker.rng.normal() * 0.3;
        let length = (1.0 - pot_height) * maker.rng.range(0.6, 1.05);
        let angle = reach * maker.rng.range(-1.2, 1.2);
        let place = Affine::place(
            [maker.rng.normal() * 0.04, -pot_height + 0.02],
            length,
            length,
            angle,
        );
        let shape = Shape::leaf(width, bend, belly).placed(&place);
        // The larger leaves of a plant are parts of their own, the rest is foliage.
        let part = if leaf >= count.saturating_sub(3) {
            10 + leaf
        } else {
            1
        };
        thing.add(part, shape, texture, Finish::glossy(Relief::Cushion(0.8), 0.2));
    }
    let clay = if maker.rng.chance(0.5) {
        maker.colour(Substance::Earth)
    } else {
        maker.colour(Substance::Any)
    };
    let texture = maker.plain(clay);
    let (top, bottom) = (maker.rng.range(0.15, 0.25), maker.rng.range(0.1, 0.2));
    let pot = Shape::outline(vec![
        [-top, -pot_height],
        [top, -pot_height],
        [bottom, 0.0],
        [-bottom, 0.0],
    ]);
    thing.add(
        2,
        pot,
        texture.clone(),
        Finish::glossy(Relief::Bar(FRAC_PI_2), 0.2),
    );
    let rim = Shape::rounded_rectangle(
        -top * 1.1,
        -pot_height - 0.03,
        top * 1.1,
        -pot_height + 0.04,
        0.02,
    );
    thing.add(2, rim, texture, Finish::matt(Relief::Bar(FRAC_PI_2)));
    thing
}

/// A flower on its stem.
pub(super) fn flower(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let green = maker.colour(Substance::Foliage);
    let texture = maker.plain(green);
    let lean = maker.rng.normal() * 0.12;
    thing.add(
        1,
        Shape::limb([0.0, 0.0], [lean, -0.7], 0.04, 0.03),
        texture.clone(),
        Finish::matt(Relief::Cushion(1.0)),
    );
    for side in [-1.0f32, 1.0] {
        let place = Affine::place([lean * 0.3, -0.2], 0.35, 0.4, side * maker.rng.range(0.5, 1.3));
        thing.add(
            1,
            Shape::leaf(0.4, 0.1, 1.0).placed(&place),
            texture.clone(),
            Finish::matt(Relief::Cushion(1.0)),
        );
    }
    let petal = maker.colour(Substance::Fruit);
    let (count, width) = (maker.rng.int(5, 14), maker.rng.range(0.35, 0.9));
    let squash = maker.rng.range(0.5, 1.0);
    for i in 0..count {
        let colour = maker.near(petal, 0.12);
        let texture = maker.plain(colour);
        let turn = Affine::place([0.0, 0.0], 0.3, 0.3, TAU * i as f32 / count as f32);
        let tilt = Affine::place([lean, -0.7], 1.0, squash, 0.0);
        thing.add(
            2,
            Shape::leaf(width, 0.0, 0.7).placed(&tilt.after(&turn)),
            texture,
            Finish::matt(Relief::Cushion(1.0)),
        );
    }
    let heart = maker.colour(Substance::Fruit);
    let texture = maker.any(heart);
    let r = maker.rng.range(0.06, 0.13);
    thing.add(
        3,
        Shape::ellipse(lean, -0.7, r, r * squash),
        texture,
        Finish::matt(Relief::Ball),
    );
    thing
}

/// A random single outline of unit size around the origin, for abstract leaves of a layout.
pub(super) fn random_outline(maker: &mut Maker<'_>) -> Shape {
    let rng = &mut *maker.rng;
    match rng.weighted(&[4.0, 6.0, 2.5, 2.5, 2.0, 1.2, 1.2, 1.0, 1.5, 1.0]) {
        0 => Shape::superellipse(0.0, 0.0, 1.0, 1.0, rng.pick(&[0.8, 1.0, 2.0, 2.0, 2.5, 4.0, 8.0])),
        1 => {
            let (wobble, terms) = (rng.range(0.05, 0.55), rng.int(2, 9));
            Shape::blob(rng, wobble, terms)
        }
        2 => {
            let corners = rng.int(3, 7);
            Shape::polygon(rng, corners, 0.8, 0.0)
        }
        3 => {
            let (corners, spike) = (2 * rng.int(3, 8), rng.range(0.15, 0.65));
            let irregularity = rng.unit();
            Shape::polygon(rng, corners, irregularity, spike)
        }
        4 => Shape::rounded_rectangle(-1.0, -1.0, 1.0, 1.0, rng.range(0.0, 0.6)),
        5 => Shape::ring(rng.range(0.1, 0.6), TAU),
        6 => Shape::ring(rng.range(0.1, 0.6), rng.range(1.0, 5.5)),
        7 => Shape::gear(rng.int(4, 16), rng.range(0.1, 0.6), rng.chance(0.5)),
        8 => Shape::leaf(rng.range(0.3, 1.0), rng.normal() * 0.3, rng.range(0.6, 1.3))
            .map(|p| [2.0 * p[0], 2.0 * p[1] + 1.0]),
        _ => {
            let (wobble, holes) = (rng.range(0.05, 0.3), rng.int(1, 4));
            let mut shape = Shape::blob(rng, wobble, 4);
            for _ in 0..holes {
                let (angle, r) = (rng.angle(), rng.range(0.1, 0.28));
                let hole = Shape::blob(rng, 0.15, 3);
                shape.cut_shape(hole.placed(&Affine::place(
                    [0.5 * angle.cos(), 0.5 * angle.sin()],
                    r,
                    r,
                    0.0,
                )));
            }
            shape
        }
    }
}

/// A relief and gloss that any outline may have.
pub(super) fn random_finish(maker: &mut Maker<'_>) -> Finish {
    let rng = &mut *maker.rng;
    let relief = match rng.weighted(&[2.0, 4.0, 1.0, 1.0]) {
        0 => Relief::Flat,
        1 => Relief::Cushion(rng.range(0.1, 1.0)),
        2 => Relief::Ball,
        _ => Relief::Facet([rng.normal() * 0.4, rng.normal() * 0.4, 1.0]),
    };
    let gloss = if rng.chance(0.3) { rng.range(0.1, 0.9) } else { 0.0 };
    Finish {
        relief,
        gloss,
        falloff: rng.range(0.0, 0.4),
    }
}

/// An unnamed body with a few attached parts in related colours, often mirrored: objects in general.
pub(super) fn body_with_parts(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let colour = maker.colour(Substance::Any);
    let aspect = maker.rng.log_range(0.5, 1.6);
    let centre = Affine::place([0.0, -0.5], 0.32 * aspect, 0.32, 0.0);
    let mirrored = maker.rng.chance(0.6);
    let (before, after) = (maker.rng.int(0, 3), maker.rng.int(1, 4));
    let mut part = 1;
    for index in 0..=before + after {
        if index == before {
            let (texture, finish) = (maker.any(colour), random_finish(maker));
            let body = random_outline(maker).placed(&centre);
            thing.add(0, body, texture, finish);
            continue;
        }
        let behind = index < before;
        let near = if maker.rng.chance(0.6) {
            maker.near(colour, 0.35)
        } else {
            maker.colour(Substance::Any)
        };
        let (texture, finish) = (maker.any(near), random_finish(maker));
        let size = maker.rng.log_range(0.08, if behind { 0.35 } else { 0.2 });
        let (angle, distance) = (
            maker.rng.angle(),
            if behind { 0.42 } else { maker.rng.range(0.0, 0.3) },
        );
        let outline = if behind && maker.rng.chance(0.5) {
            Shape::leaf(0.5, maker.rng.normal() * 0.2, 0.8).placed(&Affine::place(
                [0.0, 0.0],
                1.5,
                1.5,
                angle + FRAC_PI_2,
            ))
        } else {
            random_outline(maker)
        };
        let at = [distance * aspect * angle.cos(), -0.5 + distance * angle.sin()];
        let stretch = maker.rng.log_range(0.6, 1.7);
        let turn = maker.rng.angle();
        let shape = outline.placed(&Affine::place(at, size * stretch, size / stretch, turn));
        if mirrored {
            thing.add(part + 1, shape.map(|p| [-p[0], p[1]]), texture.clone(), finish);
        }
        thing.add(part, shape, texture, finish);
        part += 2;
    }
    thing
}
