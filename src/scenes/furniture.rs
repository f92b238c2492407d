//! Tables, chairs, cupboards, sofas and lamps.

use super::assembly::{Assembly, Maker};
use super::contour::{Affine, Shape};
use super::lighting::{Finish, Relief};
use super::palette::{Substance, mix, scale};
use super::texture::Texture;
use std::f32::consts::FRAC_PI_2;

const ROUND: Finish = Finish::matt(Relief::Cushion(1.0));

/// A chair, table, shelf unit, bed-like block or lamp.
pub(super) fn furniture(maker: &mut Maker<'_>) -> Assembly {
    let mut thing = Assembly::default();
    let colour = if maker.rng.chance(0.6) {
        maker.colour(Substance::Wood)
    } else {
        maker.colour(Substance::Any)
    };
    let wood = if maker.rng.chance(0.6) {
        Texture::wood(maker.rng, maker.palette, colour, 0.0)
    } else {
        maker.plain(colour)
    };
    let dark = wood.clone().recoloured(|c| scale(c, 0.6));
    let half = maker.rng.range(0.3, 0.9);
    match maker.rng.int(0, 4) {
        0 => {
            let (skew, top, thick) = (maker.rng.normal() * 0.15, maker.rng.range(0.1, 0.25), 0.06);
            for x in [-half * 0.85 + skew, half * 0.85 + skew] {
                thing.add(
                    1,
                    Shape::limb([x, -1.0 + top], [x, -0.12], 0.05, 0.045),
                    dark.clone(),
                    ROUND,
                );
            }
            for x in [-half * 0.95, half * 0.95] {
                thing.add(
                    1,
                    Shape::limb([x, -1.0 + top], [x, -0.02], 0.06, 0.05),
                    wood.clone(),
                    ROUND,
                );
            }
            let face = vec![
                [-half, -1.0 + top],
                [half, -1.0 + top],
                [half * 0.9 + skew, -1.0],
                [-half * 0.9 + skew, -1.0],
            ];
            thing.add(
                2,
                Shape::outline(face),
                wood.clone(),
                Finish::glossy(Relief::Facet([0.0, -0.7, 0.7]), 0.1),
            );
            thing.add(
                3,
                Shape::rectangle(-half, -1.0 + top, half, -1.0 + top + thick),
                dark,
                Finish::MATT,
            );
        }
        1 => {
            let half = half.min(0.4);
            let seat = -maker.rng.range(0.4, 0.5);
            let cushion_colour = maker.colour(Substance::Any);
            let cushion = maker.any(cushion_colour);
            for x in [-half, half] {
                thing.add(
                    1,
                    Shape::limb([x * 0.85, seat], [x * 0.85, -0.08], 0.05, 0.04),
                    dark.clone(),
                    ROUND,
                );
                thing.add(
                    1,
                    Shape::limb([x, -1.0], [x, -0.02], 0.055, 0.05),
                    wood.clone(),
                    ROUND,
                );
            }
            let mut back = Shape::rounded_rectangle(-half, -1.0, half, seat - 0.12, 0.05);
            if maker.rng.chance(0.5) {
                let slots = maker.rng.int(2, 4);
                for i in 0..slots {
                    let w = 2.0 * half / slots as f32;
                    let x = -half + w * i as f32;
                    back.cut_shape(Shape::rectangle(x + 0.2 * w, -0.92, x + 0.8 * w, seat - 0.18));
                }
            }
            thing.add(2, back, wood, Finish::matt(Relief::Cushion(0.3)));
            thing.add(
                3,
                Shape::rounded_rectangle(-half * 1.05, seat - 0.08, half * 1.05, seat + 0.04, 0.05),
                cushion,
                ROUND,
            );
        }
        2 => {
            let (columns, rows) = (maker.rng.int(1, 3), maker.rng.int(2, 5));
            thing.add(
                1,
                Shape::rectangle(-half, -1.0, half, 0.0),
                wood,
                Finish::matt(Relief::Cushion(0.05)),
            );
            let (w, h) = (2.0 * half / columns as f32, 1.0 / rows as f32);
            let open = maker.rng.chance(0.5);
            let front = if open {
                dark.recoloured(|c| scale(c, 0.35))
            } else {
                dark
            };
            let knob = maker.colour(Substance::Metal);
            let knob = maker.plain(knob);
            for i in 0..columns * rows {
                let (x, y) = (-half + w * (i % columns) as f32, -1.0 + h * (i / columns) as f32);
                let shape = Shape::rectangle(x + 0.06 * w, y + 0.08 * h, x + 0.94 * w, y + 0.92 * h);
                thing.add(
                    10 + i,
                    shape,
                    front.clone(),
                    Finish {
                        falloff: 0.3,
                        ..Finish::MATT
                    },
                );
                if !open {
                    let r = 0.12 * h.min(w);
                    thing.add(
                        2,
                        Shape::ellipse(x + 0.5 * w, y + 0.5 * h, r, r * 0.7),
                        knob.clone(),
                        Finish::glossy(Relief::Ball, 0.8),
                    );
                }
            }
        }
        3 => {
            let cloth_colour = maker.colour(Substance::Any);
            let cloth = maker.any(cloth_colour);
            let half = half.max(0.7);
            thing.add(
                1,
                Shape::rounded_rectangle(-half, -1.0, half, -0.3, 0.15),
                cloth.clone(),
                Finish::matt(Relief::Cushion(0.3)),
            );
            thing.add(
                2,
                Shape::rounded_rectangle(-half * 0.95, -0.5, half * 0.95, -0.12, 0.1),
                cloth.clone(),
                Finish::matt(Relief::Cushion(0.4)),
            );
            for side in [-1.0, 1.0] {
                let arm = Shape::rounded_rectangle(side * half - 0.12, -0.7, side * half + 0.12, -0.03, 0.1);
                thing.add(3, arm, cloth.clone(), ROUND);
            }
            for i in 0..maker.rng.int(0, 3) {
                let colour = maker.colour(Substance::Any);
                let texture = maker.any(colour);
                let at = [maker.rng.range(-0.7, 0.7) * half, -0.62];
                let turn = maker.rng.normal() * 0.3;
                let pillow =
                    Shape::superellipse(0.0, 0.0, 0.22, 0.2, 3.5).placed(&Affine::place(at, 1.0, 1.0, turn));
                thing.add(10 + i, pillow, texture, ROUND);
            }
        }
        _ => {
            let metal = maker.colour(Substance::Metal);
            let texture = maker.plain(metal);
            thing.add(
                1,
                Shape::limb([0.0, -0.7], [0.0, -0.03], 0.03, 0.03),
                texture.clone(),
                Finish::glossy(Relief::Bar(FRAC_PI_2), 0.6),
            );
            thing.add(
                1,
                Shape::ellipse(0.0, -0.03, 0.15, 0.04),
                texture,
                Finish::glossy(Relief::Cushion(1.0), 0.6),
            );
            let (top, bottom) = (maker.rng.range(0.05, 0.15), maker.rng.range(0.15, 0.28));
            let shade = maker.colour(Substance::Any);
            let bright = mix(shade, [1.0, 0.85, 0.6], 0.5).map(|c| c * 1.5);
            let texture = maker.plain(bright);
            let shape = Shape::outline(vec![[-top, -1.0], [top, -1.0], [bottom, -0.65], [-bottom, -0.65]]);
            thing.add(2, shape, texture, Finish::matt(Relief::Bar(FRAC_PI_2)));
        }
    }
    thing
}
