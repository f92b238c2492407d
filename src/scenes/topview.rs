//! Views straight down: land from the air, and cells or grains under a microscope.

use super::RegionKind;
use super::contour::{Affine, Shape, wandering_path};
use super::lighting::{Finish, Relief};
use super::noise::NoiseKind;
use super::palette::{Substance, mix, scale};
use super::stage::{Paint, Stage};
use super::texture::{Pattern, Texture};

/// Fields, roads, roofs, trees and cars from above.
pub(super) fn aerial(stage: &mut Stage) {
    let (w, h) = stage.extent();
    let side = stage.side();
    let land = stage.node(None, RegionKind::Stuff);
    let colour = stage.palette.colour(&mut stage.rng, Substance::Earth);
    let texture = Texture::mineral(&mut stage.rng, &stage.palette, colour);
    stage.backdrop(land, texture, Finish::MATT);
    let turn = stage.rng.angle();
    let fields = stage.rng.int(2, 9);
    for _ in 0..fields {
        let at = [w * stage.rng.unit(), h * stage.rng.unit()];
        let substance = stage
            .rng
            .pick(&[Substance::Foliage, Substance::Foliage, Substance::Earth]);
        let colour = stage.palette.colour(&mut stage.rng, substance);
        let mut texture = if stage.rng.chance(0.4) {
            let pattern = Pattern::Stripes {
                wavelength: stage.rng.range(3.0, 12.0),
                duty: 0.5,
            };
            Texture::new(&mut stage.rng, pattern, &[scale(colour, 0.7), colour])
        } else {
            Texture::foliage(&mut stage.rng, &stage.palette, colour, 60.0)
        };
        let lie = turn + if stage.rng.chance(0.5) { 1.57 } else { 0.0 };
        texture.turn(&mut stage.rng, lie, 1.0);
        let (a, b) = (
            side * stage.rng.range(0.15, 0.5),
            side * stage.rng.range(0.1, 0.4),
        );
        let corners = stage.rng.int(4, 6);
        let outline = if stage.rng.chance(0.5) {
            Shape::rectangle(-1.0, -1.0, 1.0, 1.0)
        } else {
            Shape::polygon(&mut stage.rng, corners, 0.6, 0.0)
        };
        let node = stage.node(None, RegionKind::Object);
        stage.solid(
            node,
            outline.placed(&Affine::place(at, a, b, turn)),
            texture,
            Finish::MATT,
        );
    }
    if stage.rng.chance(0.3) {
        let blob = Shape::blob(&mut stage.rng, 0.4, 6);
        let at = [w * stage.rng.unit(), h * stage.rng.unit()];
        let size = side * stage.rng.range(0.15, 0.4);
        let water =
            Texture::plain(&mut stage.rng, [0.03, 0.07, 0.1]).with_grain(NoiseKind::Fractal, 8.0, 0.1);
        let node = stage.node(None, RegionKind::Object);
        stage.solid(
            node,
            blob.placed(&Affine::place(at, size, size * 0.7, turn)),
            water,
            Finish::MATT,
        );
    }
    let roads = stage.rng.int(0, 3);
    let tar = stage.palette.colour(&mut stage.rng, Substance::Stone);
    let network = stage.node(None, RegionKind::Stuff);
    for road in 0..roads {
        let start = [w * stage.rng.unit(), h * stage.rng.unit()];
        let heading = turn + road as f32 * 1.57;
        let begin = [start[0] - heading.cos() * w, start[1] - heading.sin() * w];
        let path = wandering_path(&mut stage.rng, begin, heading, w * 2.4, 0.12);
        let half = side * stage.rng.range(0.012, 0.045);
        let texture = Texture::mineral(&mut stage.rng, &stage.palette, scale(tar, 0.5));
        stage.solid(network, Shape::stroke(&path, |_| half), texture, Finish::MATT);
        let car = half * 0.42;
        for _ in 0..stage.rng.int(0, 6) {
            let i = stage.rng.int(0, path.len() - 2);
            let (a, b) = (path[i], path[i + 1]);
            let angle = (b[1] - a[1]).atan2(b[0] - a[0]);
            let place = Affine::place(a, car, car, angle).after(&Affine::place(
                [0.0, stage.rng.sign() * 1.1],
                1.0,
                1.0,
                0.0,
            ));
            car_from_above(stage, &place);
        }
    }
    let roofs = stage.rng.int(0, 12);
    let (roof_size, roof_substance) = (
        side * stage.rng.range(0.03, 0.12),
        stage
            .rng
            .pick(&[Substance::Earth, Substance::Stone, Substance::Any]),
    );
    for _ in 0..roofs {
        let at = [w * stage.rng.unit(), h * stage.rng.unit()];
        let size = roof_size * stage.rng.range(0.7, 1.4);
        let place = Affine::place(at, size, size * stage.rng.range(0.5, 1.0), turn);
        let house = stage.node(None, RegionKind::Object);
        let colour = stage.palette.colour(&mut stage.rng, roof_substance);
        let texture = Texture::plain(&mut stage.rng, colour);
        let outline = Shape::rectangle(-1.0, -1.0, 1.0, 1.0).placed(&place);
        stage.drop_shadow(&outline, size * 0.5);
        for (y0, y1, lean) in [(-1.0, 0.0, -0.6), (0.0, 1.0, 0.6)] {
            let half = stage.node(Some(house), RegionKind::Part);
            let shape = Shape::rectangle(-1.0, y0, 1.0, y1).placed(&place);
            let (sin, cos) = turn.sin_cos();
            let facet = Finish::matt(Relief::Facet([-sin * lean, cos * lean, 0.8]));
            stage.solid(half, shape, texture.clone(), facet);
        }
    }
    let green = stage.palette.colour(&mut stage.rng, Substance::Foliage);
    let wood = stage.node(None, RegionKind::Group);
    let grove = [w * stage.rng.unit(), h * stage.rng.unit()];
    for _ in 0..stage.rng.int(2, 16) {
        let spread = side * 0.25;
        let at = [
            grove[0] + stage.rng.normal() * spread,
            grove[1] + stage.rng.normal() * spread,
        ];
        let size = side * stage.rng.range(0.02, 0.07);
        let tone = stage.palette.jitter(&mut stage.rng, green, 0.15);
        let texture = Texture::foliage(&mut stage.rng, &stage.palette, tone, size * 2.0);
        let crown = Shape::blob(&mut stage.rng, 0.2, 6).placed(&Affine::place(at, size, size, 0.0));
        let crown = crown.roughen(&mut stage.rng, size * 0.08, size * 0.4);
        stage.drop_shadow(&crown, size * 0.6);
        let node = stage.node(Some(wood), RegionKind::Object);
        stage.solid(node, crown, texture, Finish::matt(Relief::Ball));
    }
}

fn car_from_above(stage: &mut Stage, place: &Affine) {
    let colour = stage.palette.colour(&mut stage.rng, Substance::Any);
    let paint = Texture::plain(&mut stage.rng, colour);
    let glass = Texture::plain(&mut stage.rng, [0.02, 0.025, 0.03]);
    let object = stage.node(None, RegionKind::Object);
    let body = Shape::rounded_rectangle(-1.6, -0.7, 1.6, 0.7, 0.4).placed(place);
    stage.drop_shadow(&body, 1.5);
    stage.solid(
        object,
        body,
        paint.clone(),
        Finish::glossy(Relief::Cushion(0.4), 0.5),
    );
    stage.solid(
        object,
        Shape::rounded_rectangle(-1.0, -0.6, 0.8, 0.6, 0.3).placed(place),
        glass,
        Finish::MATT,
    );
    stage.solid(
        object,
        Shape::rounded_rectangle(-0.7, -0.55, 0.4, 0.55, 0.2).placed(place),
        paint,
        Finish::MATT,
    );
}

/// Cells, grains or bubbles on a slide.
pub(super) fn microscope(stage: &mut Stage) {
    let (w, h) = stage.extent();
    let side = stage.side();
    if stage.rng.chance(0.5) {
        stage.palette.make_monochrome();
    }
    let dark_field = stage.rng.chance(0.35);
    let medium = if dark_field {
        [0.01, 0.012, 0.015]
    } else {
        stage.palette.colour(&mut stage.rng, Substance::Stone)
    };
    let slide = stage.node(None, RegionKind::Stuff);
    let texture = Texture::plain(&mut stage.rng, medium).with_mottle(side * 0.5, 0.25);
    stage.backdrop(slide, texture, Finish::MATT);
    let stain = stage.palette.colour(&mut stage.rng, Substance::Any);
    let size = side * stage.rng.log_range(0.03, 0.16);
    let (wobble, terms) = (stage.rng.range(0.02, 0.35), stage.rng.int(3, 8));
    let variation = stage.rng.range(0.05, 0.6);
    let nucleus = stage.rng.chance(0.6);
    let clear = stage.rng.range(0.5, 1.0);
    let count = (0.55 * w * h / (std::f32::consts::PI * size * size) * stage.rng.range(0.3, 1.0))
        .clamp(4.0, 70.0) as usize;
    let colony = stage.node(None, RegionKind::Group);
    let membrane = stage.rng.chance(0.4);
    let relief = stage
        .rng
        .pick(&[Relief::Flat, Relief::Cushion(0.5), Relief::Ball]);
    for _ in 0..count {
        let at = [w * stage.rng.range(-0.03, 1.03), h * stage.rng.range(-0.03, 1.03)];
        let size = size * (stage.rng.normal() * variation).exp();
        let tone = stage
            .palette
            .jitter(&mut stage.rng, mix(medium, stain, 0.6), 0.15);
        let body = Texture::plain(&mut stage.rng, tone).with_grain(NoiseKind::Rough, size * 0.3, 0.25);
        let stretch = stage.rng.log_range(0.7, 1.4);
        let place = Affine::place(at, size * stretch, size / stretch, stage.rng.angle());
        let outline = Shape::blob(&mut stage.rng, wobble, terms);
        let cell = stage.node(Some(colony), RegionKind::Object);
        let softness = if stage.rng.chance(0.15) { 2.0 } else { 0.0 };
        let mut lay = |shape: Shape, texture: Texture, node, opacity| {
            stage.paint(Paint {
                shape,
                texture,
                finish: Finish::matt(relief),
                node: Some(node),
                opacity,
                softness,
            });
        };
        if membrane {
            lay(
                outline.placed(&place),
                body.clone().recoloured(|c| scale(c, 0.55)),
                cell,
                1.0,
            );
            lay(
                outline.map(|p| [p[0] * 0.88, p[1] * 0.88]).placed(&place),
                body.clone(),
                cell,
                1.0,
            );
        } else {
            lay(outline.placed(&place), body.clone(), cell, clear);
        }
        if nucleus {
            let node = stage.node(Some(cell), RegionKind::Part);
            let (x, y, r) = (
                stage.rng.normal() * 0.15,
                stage.rng.normal() * 0.15,
                stage.rng.range(0.25, 0.5),
            );
            let shape =
                Shape::blob(&mut stage.rng, 0.1, 3).placed(&place.after(&Affine::place([x, y], r, r, 0.0)));
            let texture = body.recoloured(|c| mix(scale(c, 0.4), stain, 0.3));
            stage.paint(Paint {
                shape,
                texture,
                finish: Finish::MATT,
                node: Some(node),
                opacity: 0.9,
                softness,
            });
        }
    }
}
