//! What is built and grows along streets: buildings, trees, signs and fences.

use super::assembly::{Assembly, Maker};
use super::contour::{Affine, Shape};
use super::goods;
use super::lighting::{Finish, Relief};
use super::noise::NoiseKind;
use super::palette::{Substance, mix, scale};
use super::texture::{Pattern, Texture};
use std::f32::consts::{FRAC_PI_2, TAU};

const ROUND: Finish = Finish::matt(Relief::Cushion(1.0));

/// Glass as seen from outside: dark with a reflected sky.
pub(super) fn glass(maker: &mut Maker<'_>) -> Texture {
    let tint = maker.colour(Substance::Any);
    let dark = mix([0.03, 0.04, 0.05], tint, 0.08);
    let pattern = Pattern::Noise {
        kind: NoiseKind::Fractal,
        wavelength: 40.0,
        stretch: 1.0,
        contrast: 1.4,
    };
    Texture::new(maker.rng, pattern, &[dark, scale(dark, 2.5), [0.35, 0.42, 0.5]])
}

/// A facade with windows, a roof and a door.
pub(super) fn building(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let half = maker.rng.log_range(0.15, 0.8);
    let roof_height = if maker.rng.chance(0.5) {
        maker.rng.range(0.12, 0.35)
    } else {
        0.0
    };
    let top = -1.0 + roof_height;
    let substance = maker.rng.pick(&[Substance::Stone, Substance::Any]);
    let colour = maker.colour(substance);
    let wall = if maker.rng.chance(0.4) {
        let height = (maker.size * 0.02).clamp(2.5, 9.0);
        let pattern = Pattern::Bricks {
            width: height * 2.4,
            height,
            mortar: 0.15,
        };
        let mut texture = Texture::new(
            maker.rng,
            pattern,
            &[[0.5, 0.48, 0.45], scale(colour, 0.8), colour],
        );
        texture.turn(maker.rng, 0.0, 1.0);
        texture
    } else {
        Texture::mineral(maker.rng, maker.palette, colour)
    };
    let depth = maker.rng.range(-0.4, 0.4) * half;
    if depth.abs() > 0.08 {
        let (edge, far) = (half * depth.signum(), half * depth.signum() + depth);
        let side = Shape::outline(vec![[edge, 0.0], [far, -0.03], [far, top + 0.05], [edge, top]]);
        let facet = Finish::matt(Relief::Facet([depth.signum() * 0.8, 0.0, 0.5]));
        thing.add(2, side, wall.clone(), facet);
    }
    thing.add(
        1,
        Shape::rectangle(-half, top, half, 0.0),
        wall,
        Finish {
            falloff: 0.25,
            ..Finish::MATT
        },
    );
    if roof_height > 0.0 {
        let colour = maker.colour(Substance::Earth);
        let tile = (maker.size * 0.025).clamp(3.0, 8.0);
        let pattern = Pattern::Bricks {
            width: tile * 1.3,
            height: tile,
            mortar: 0.2,
        };
        let mut texture = Texture::new(maker.rng, pattern, &[scale(colour, 0.4), colour]);
        texture.turn(maker.rng, 0.0, 1.0);
        let (eave, ridge) = (half * 1.08, half * maker.rng.range(0.0, 0.9));
        let shape = Shape::outline(vec![[-eave, top], [eave, top], [ridge, -1.0], [-ridge, -1.0]]);
        thing.add(3, shape, texture, Finish::matt(Relief::Facet([0.0, -0.5, 0.8])));
    }
    let (columns, rows) = (maker.rng.int(1, 5), maker.rng.int(1, 6));
    let (cell_w, cell_h) = (2.0 * half / columns as f32, -top * 0.9 / rows as f32);
    let (w, h) = (
        cell_w * maker.rng.range(0.2, 0.4),
        cell_h * maker.rng.range(0.2, 0.4),
    );
    let pane = glass(maker);
    let frame_colour = maker.colour(Substance::Stone);
    let frame = maker.plain(frame_colour);
    let door_column = maker.rng.int(0, columns - 1);
    for i in 0..columns * rows {
        let (column, row) = (i % columns, i / columns);
        let (cx, cy) = (
            -half + cell_w * (column as f32 + 0.5),
            top * 0.97 + cell_h * (row as f32 + 0.5),
        );
        if row + 1 == rows && column == door_column {
            let colour = maker.colour(Substance::Wood);
            let texture = maker.plain(colour);
            thing.add(
                4,
                Shape::rectangle(cx - 0.8 * w, cy - h, cx + 0.8 * w, 0.0),
                texture,
                Finish::MATT,
            );
            continue;
        }
        let ledge = 0.15 * w.min(h);
        thing.add(
            10 + i,
            Shape::rectangle(cx - w - ledge, cy - h - ledge, cx + w + ledge, cy + h + ledge),
            frame.clone(),
            Finish::MATT,
        );
        thing.add(
            10 + i,
            Shape::rectangle(cx - w, cy - h, cx + w, cy + h),
            pane.clone(),
            Finish::glossy(Relief::Flat, 0.1),
        );
    }
    thing
}

/// A tree: trunk, branches, and a crown of lumps or a cone.
pub(super) fn tree(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let bark = maker.colour(Substance::Wood);
    let trunk = Texture::mineral(maker.rng, maker.palette, scale(bark, 0.5));
    let width = maker.rng.range(0.03, 0.1);
    let fork = -maker.rng.range(0.25, 0.5);
    let lean = maker.rng.normal() * 0.05;
    let mut wood = Shape::limb([0.0, 0.0], [lean, fork], width * 1.3, width * 0.8);
    for _ in 0..maker.rng.int(1, 4) {
        let tip = [
            lean + maker.rng.normal() * 0.2,
            fork - maker.rng.range(0.15, 0.45),
        ];
        wood.merge(Shape::limb([lean, fork + 0.03], tip, width * 0.6, width * 0.25));
    }
    thing.add(1, wood, trunk, Finish::matt(Relief::Bar(FRAC_PI_2)));
    if maker.rng.chance(0.1) {
        return thing;
    }
    let green = maker.colour(Substance::Foliage);
    if maker.rng.chance(0.25) {
        let texture = Texture::foliage(maker.rng, maker.palette, scale(green, 0.6), maker.size);
        let (half, steps) = (maker.rng.range(0.18, 0.35), maker.rng.int(3, 7));
        for step in 0..steps {
            let t = step as f32 / steps as f32;
            let (y, w) = (-0.12 - 0.75 * t, half * (1.05 - t));
            let tier = Shape::outline(vec![[-w, y], [0.0, y + 0.03], [w, y], [0.0, y - 0.3]]);
            thing.add(
                2,
                tier.roughen(maker.rng, 0.012, 0.05),
                texture.clone(),
                Finish {
                    falloff: 0.5,
                    ..ROUND
                },
            );
        }
        return thing;
    }
    let lumps = maker.rng.int(4, 12);
    let (spread, rough) = (maker.rng.range(0.15, 0.32), maker.rng.range(0.01, 0.035));
    for _ in 0..lumps {
        let colour = maker.near(green, 0.15);
        let texture = Texture::foliage(maker.rng, maker.palette, colour, maker.size);
        let (angle, r) = (maker.rng.angle(), maker.rng.unit().sqrt());
        let at = [lean + spread * r * angle.cos(), -0.68 + 0.2 * r * angle.sin()];
        let size = maker.rng.range(0.1, 0.2);
        let lump = Shape::blob(maker.rng, 0.2, 5).placed(&Affine::place(at, size, size, 0.0));
        thing.add(
            2,
            lump.roughen(maker.rng, rough, 0.06),
            texture,
            Finish {
                falloff: 0.4,
                ..ROUND
            },
        );
    }
    thing
}

/// A plate with a mark on a pole.
pub(super) fn sign(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let metal = maker.colour(Substance::Metal);
    let pole = maker.plain(metal);
    let width = maker.rng.range(0.02, 0.05);
    thing.add(
        1,
        Shape::limb([0.0, -0.95], [0.0, -0.01], width, width),
        pole,
        Finish::glossy(Relief::Bar(FRAC_PI_2), 0.4),
    );
    let (r, at) = (maker.rng.range(0.12, 0.25), [0.0, -0.8]);
    let corners = maker.rng.pick(&[3, 4, 8, 40]);
    let plate = |grow: f32| {
        let points = (0..corners)
            .map(|i| {
                let t = TAU * (i as f32 + 0.5) / corners as f32 + FRAC_PI_2;
                [at[0] + r * grow * t.cos(), at[1] + r * grow * t.sin()]
            })
            .collect();
        Shape::outline(points)
    };
    let (rim, face) = (maker.colour(Substance::Any), maker.colour(Substance::Any));
    let (rim, face) = (maker.plain(rim), maker.plain(face));
    thing.add(2, plate(1.0), rim.clone(), Finish::MATT);
    thing.add(2, plate(0.85), face, Finish::MATT);
    let mark = goods::random_outline(maker);
    let turn = maker.rng.angle();
    thing.add(
        3,
        mark.placed(&Affine::place(at, r * 0.45, r * 0.4, turn)),
        rim,
        Finish::MATT,
    );
    thing
}

/// A fence, railing, ladder or window grille: one shape full of holes.
pub(super) fn fence(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let colour = if maker.rng.chance(0.5) {
        maker.colour(Substance::Wood)
    } else {
        maker.colour(Substance::Metal)
    };
    let texture = maker.plain(colour);
    let (count, half) = (maker.rng.int(4, 14), maker.rng.range(0.6, 2.0));
    let step = 2.0 * half / count as f32;
    let width = step * maker.rng.range(0.12, 0.6);
    for y in [-0.75, -0.25] {
        thing.add(
            1,
            Shape::rectangle(-half, y - 0.04, half, y + 0.04),
            texture.clone(),
            Finish::MATT,
        );
    }
    let pointed = maker.rng.range(0.0, 0.1);
    for i in 0..=count {
        let x = -half + step * i as f32;
        let w = 0.5 * width;
        let post = vec![
            [x - w, 0.0],
            [x - w, -1.0 + pointed],
            [x, -1.0],
            [x + w, -1.0 + pointed],
            [x + w, 0.0],
        ];
        thing.add(
            1,
            Shape::outline(post),
            texture.clone(),
            Finish::matt(Relief::Bar(FRAC_PI_2)),
        );
    }
    thing
}
