//! Faults on surfaces: scratches, cracks, dents, stains, chips, holes, corrosion and foreign fibres.

use super::RegionKind;
use super::contour::{Affine, Shape, wandering_path};
use super::lighting::{Finish, Relief};
use super::palette::{Colour, Substance, mix, scale};
use super::stage::{Paint, Stage};
use super::texture::Texture;

/// What defects need to know of the surface they are on.
#[derive(Debug)]
pub(super) struct Surface {
    /// The surface's own colour.
    pub(super) colour: Colour,
    /// The surface itself, for faults that keep it.
    pub(super) texture: Texture,
    /// What shows where the surface is broken.
    pub(super) beneath: Colour,
}

/// One defect: scratch, crack, dent, stain, chip, hole, spot cluster, or foreign fibre.
pub(super) fn defect(stage: &mut Stage, surface: &Surface) {
    let (w, h) = stage.extent();
    let side = stage.side();
    let at = [w * stage.rng.range(0.05, 0.95), h * stage.rng.range(0.05, 0.95)];
    let node = stage.node(None, RegionKind::Defect);
    let size = side * stage.rng.power_law(0.02, 0.22, 1.5);
    let fade = stage.rng.range(0.35, 0.95);
    let lay =
        |stage: &mut Stage, shape: Shape, colour: Colour, opacity: f32, softness: f32, relief: Relief| {
            let texture = Texture::plain(&mut stage.rng, colour);
            stage.paint(Paint {
                shape,
                texture,
                finish: Finish::matt(relief),
                node: Some(node),
                opacity,
                softness,
            });
        };
    match stage.rng.weighted(&[3.0, 2.0, 1.5, 2.5, 1.5, 1.5, 1.5, 1.0]) {
        0 => {
            let heading = stage.rng.angle();
            let bright = stage.rng.chance(0.6);
            let colour = if bright {
                mix(surface.colour, [0.9; 3], 0.6)
            } else {
                scale(surface.colour, 0.35)
            };
            let curl = stage.rng.range(0.0, 0.5);
            let half = stage.rng.range(0.7, 0.4 + side * 0.006);
            for lane in 0..stage.rng.int(1, 3) {
                let start = [at[0] + lane as f32 * 3.0 * half, at[1] + stage.rng.normal() * 4.0];
                let path = wandering_path(&mut stage.rng, start, heading, (size * 2.5).max(12.0), curl);
                let shape = Shape::stroke(&path, |t| half * (1.15 - (2.0 * t - 1.0).powi(2)));
                lay(stage, shape, colour, fade, 0.0, Relief::Flat);
            }
        }
        1 => {
            let heading = stage.rng.angle();
            let dark = scale(surface.beneath, 0.2);
            let half = stage.rng.range(0.7, 0.4 + side * 0.008);
            let trunk = wandering_path(&mut stage.rng, at, heading, (size * 3.0).max(16.0), 1.0);
            let mut shape =
                Shape::stroke(&trunk, |t| half * (1.2 - t)).roughen(&mut stage.rng, half * 0.5, 5.0);
            for _ in 0..stage.rng.int(0, 3) {
                let from = trunk[stage.rng.int(0, trunk.len() - 1)];
                let turn = heading + stage.rng.sign() * stage.rng.range(0.4, 1.2);
                let branch = wandering_path(&mut stage.rng, from, turn, size.max(8.0), 1.0);
                shape.merge(Shape::stroke(&branch, |t| (half * 0.8 * (1.1 - t)).max(0.3)));
            }
            lay(stage, shape, dark, fade.max(0.7), 0.0, Relief::Flat);
        }
        2 => {
            // A dent keeps the colour and bends the light: bright on the far rim, dark on the near one.
            let [lx, ly, _] = stage.light.direction;
            let blob = Shape::blob(&mut stage.rng, 0.1, 3);
            let place = |dx: f32, r: f32| {
                Affine::place([at[0] - lx * dx, at[1] - ly * dx], size * r, size * r * 0.85, 0.0)
            };
            let texture = surface.texture.clone();
            let rim = Finish::MATT;
            for (dx, r, factor) in [
                (size * 0.1, 1.0, 1.3),
                (-size * 0.08, 0.9, 0.55),
                (0.0, 0.75, 0.9),
            ] {
                let shape = blob.placed(&place(dx, r * 0.6));
                let texture = texture.clone().recoloured(|c| scale(c, factor));
                let softness = (size * 0.06).clamp(0.0, 5.0);
                stage.paint(Paint {
                    shape,
                    texture,
                    finish: rim,
                    node: Some(node),
                    opacity: 0.75,
                    softness,
                });
            }
        }
        3 => {
            let (wobble, terms) = (stage.rng.range(0.15, 0.5), stage.rng.int(4, 9));
            let blob = Shape::blob(&mut stage.rng, wobble, terms);
            let tint = stage
                .rng
                .pick(&[Substance::Earth, Substance::Earth, Substance::Any]);
            let colour = stage.palette.colour(&mut stage.rng, tint);
            let stretch = stage.rng.log_range(0.5, 2.0);
            let place = Affine::place(at, size * stretch, size / stretch, stage.rng.angle());
            let softness = stage.rng.int(0, 2) as f32;
            lay(
                stage,
                blob.placed(&place),
                scale(colour, 0.7),
                fade * 0.8,
                softness,
                Relief::Flat,
            );
        }
        4 => {
            let corners = stage.rng.int(5, 11);
            let chip = Shape::polygon(&mut stage.rng, corners, 1.0, 0.15);
            let shape = chip.placed(&Affine::place(at, size * 0.6, size * 0.5, stage.rng.angle()));
            let shape = shape.roughen(&mut stage.rng, size * 0.03, size * 0.3);
            lay(stage, shape, surface.beneath, 1.0, 0.0, Relief::Cushion(0.5));
        }
        5 => {
            let blob = Shape::blob(&mut stage.rng, 0.25, 5);
            let shape = blob.placed(&Affine::place(at, size * 0.5, size * 0.5, 0.0));
            lay(
                stage,
                shape,
                scale(surface.beneath, 0.1),
                1.0,
                0.0,
                Relief::Cushion(0.3),
            );
        }
        6 => {
            // Corrosion, pores, spatter: many spots, one defect.
            let mut spots = Shape::default();
            for _ in 0..stage.rng.int(5, 20) {
                let (x, y) = (
                    at[0] + stage.rng.normal() * size * 0.7,
                    at[1] + stage.rng.normal() * size * 0.7,
                );
                let r = stage.rng.power_law(1.0, (size * 0.25).max(2.0), 1.8);
                let spot = Shape::blob(&mut stage.rng, 0.2, 3);
                spots.merge(spot.placed(&Affine::place([x, y], r, r, 0.0)));
            }
            let colour = stage.palette.jitter(&mut stage.rng, surface.beneath, 0.4);
            lay(stage, spots, colour, fade, 0.0, Relief::Flat);
        }
        _ => {
            let heading = stage.rng.angle();
            let path = wandering_path(&mut stage.rng, at, heading, (size * 4.0).max(20.0), 2.5);
            let half = stage.rng.range(0.6, 1.6);
            let shape = Shape::stroke(&path, |_| half);
            let colour = stage.palette.colour(&mut stage.rng, Substance::Any);
            stage.drop_shadow(&shape, 1.5);
            lay(stage, shape, colour, 1.0, 0.0, Relief::Cushion(1.0));
        }
    }
}
