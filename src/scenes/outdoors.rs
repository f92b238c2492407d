//! Streets and landscapes: sky, hills, ground, and things standing at their distances.

use super::RegionKind;
use super::assembly::{Assembly, Maker, Setting, ShadowKind};
use super::contour::{Affine, Shape};
use super::layout;
use super::lighting::{Finish, Relief};
use super::noise::{NoiseKind, Wave};
use super::palette::{Colour, Substance, from_hsv, mix, scale};
use super::random::Rng;
use super::stage::Stage;
use super::texture::{Pattern, Texture};
use super::{beings, goods, structures, vehicles};

/// A ground surface that recedes to `horizon`.
pub(super) fn ground_texture(stage: &mut Stage, horizon: f32, substance: Substance) -> Texture {
    let (w, _) = stage.extent();
    let colour = stage.palette.colour(&mut stage.rng, substance);
    let mut texture = match substance {
        Substance::Foliage => Texture::foliage(&mut stage.rng, &stage.palette, scale(colour, 0.8), 120.0),
        Substance::Wood => {
            let pattern = Pattern::Bricks {
                width: 160.0,
                height: stage.rng.range(12.0, 30.0),
                mortar: 0.06,
            };
            Texture::new(
                &mut stage.rng,
                pattern,
                &[scale(colour, 0.3), scale(colour, 0.75), colour],
            )
            .with_grain(NoiseKind::Streaks, 14.0, 0.2)
        }
        Substance::Any => Texture::random(&mut stage.rng, &stage.palette, colour, 150.0),
        _ => Texture::mineral(&mut stage.rng, &stage.palette, colour),
    };
    let depth = stage.rng.range(0.35, 1.1) * w;
    texture.recede(&mut stage.rng, horizon, w * 0.5, depth);
    texture
}

fn ridge(rng: &mut Rng, w: f32, h: f32, base: f32, height: f32) -> Shape {
    let lowest = rng.range(0.6, 2.0);
    let decay = rng.range(0.8, 1.3);
    let wave = Wave::new(rng, lowest, 6, decay);
    let mut points: Vec<_> = (0..=64)
        .map(|i| {
            let t = i as f32 / 64.0;
            [-2.0 + t * (w + 4.0), base - height * (0.6 + 0.4 * wave.at(t))]
        })
        .collect();
    points.extend([[w + 2.0, h + 2.0], [-2.0, h + 2.0]]);
    Shape::outline(points)
}

fn sky(stage: &mut Stage, horizon: f32) -> Colour {
    let (w, _) = stage.extent();
    let rng = &mut stage.rng;
    let mood = rng.weighted(&[4.0, 2.0, 1.5, 0.8]);
    let (zenith, low) = match mood {
        0 => (
            from_hsv(rng.range(0.55, 0.62), rng.range(0.4, 0.8), rng.range(0.55, 0.9)),
            from_hsv(0.56, 0.15, 0.95),
        ),
        1 => (
            from_hsv(0.6, 0.08, rng.range(0.55, 0.85)),
            from_hsv(0.1, 0.05, 0.9),
        ),
        2 => (
            from_hsv(rng.range(0.58, 0.75), 0.5, 0.55),
            from_hsv(rng.range(0.02, 0.1), 0.6, 1.0),
        ),
        _ => (from_hsv(0.64, 0.6, 0.16), from_hsv(0.62, 0.4, 0.35)),
    };
    let cloud = mix(low, [0.95, 0.95, 0.97], if mood == 3 { 0.05 } else { 0.6 });
    let node = stage.node(None, RegionKind::Stuff);
    let air = Texture::gradient(
        &mut stage.rng,
        0.0,
        horizon,
        &[zenith, mix(zenith, low, 0.4), low],
    );
    let air = air
        .with_grain(NoiseKind::Fractal, 30.0, 0.02)
        .with_mottle(120.0, 0.05);
    stage.backdrop(node, air, Finish::MATT);
    if stage.rng.chance(0.6) {
        let pattern = Pattern::Warped {
            kind: NoiseKind::Fractal,
            wavelength: w * stage.rng.range(0.12, 0.4),
            warp: stage.rng.range(0.1, 0.5),
            contrast: stage.rng.range(1.2, 2.6),
        };
        let clouds = Texture::new(
            &mut stage.rng,
            pattern,
            &[mix(zenith, low, 0.4), cloud, [0.97, 0.97, 0.98]],
        );
        let shape = Shape::rectangle(-2.0, -2.0, w + 2.0, horizon);
        let opacity = stage.rng.range(0.2, 0.75);
        stage.paint(super::stage::Paint {
            shape,
            texture: clouds,
            finish: Finish::MATT,
            node: Some(node),
            opacity,
            softness: 0.0,
        });
    }
    for _ in 0..stage.rng.int(0, 2) {
        if mood == 3 {
            break;
        }
        // A cloud with an outline of its own.
        let at = [w * stage.rng.unit(), horizon * stage.rng.range(0.1, 0.7)];
        let size = w * stage.rng.range(0.06, 0.16);
        let mut shape = Shape::default();
        for _ in 0..stage.rng.int(4, 8) {
            let puff = [
                at[0] + stage.rng.normal() * size,
                at[1] - stage.rng.unit() * size * 0.4,
            ];
            let r = size * stage.rng.range(0.3, 0.6);
            shape.merge(Shape::ellipse(puff[0], puff[1], r, r * 0.7));
        }
        let shape = shape.roughen(&mut stage.rng, size * 0.04, size * 0.3);
        let texture = Texture::plain(&mut stage.rng, [0.88, 0.89, 0.92]).with_mottle(size * 0.5, 0.12);
        let owner = stage.node(None, RegionKind::Object);
        let finish = Finish {
            relief: Relief::Cushion(1.0),
            gloss: 0.0,
            falloff: 0.15,
        };
        stage.paint(super::stage::Paint {
            shape,
            texture,
            finish,
            node: Some(owner),
            opacity: 0.95,
            softness: 2.0,
        });
    }
    low
}

fn street_thing(maker: &mut Maker<'_>) -> (Assembly, f32) {
    match maker.rng.weighted(&[4.0, 3.0, 3.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.5]) {
        0 => (beings::person(maker), 1.7),
        1 => (vehicles::vehicle(maker), 1.7),
        2 => (structures::tree(maker), maker.rng.range(3.0, 8.0)),
        3 => (beings::quadruped(maker), maker.rng.range(0.8, 2.0)),
        4 => (structures::sign(maker), 2.8),
        5 => (vehicles::bicycle(maker), 1.1),
        6 => (structures::fence(maker), 1.2),
        7 => (goods::any(maker), maker.rng.range(0.6, 1.6)),
        _ => (structures::building(maker), maker.rng.range(4.0, 12.0)),
    }
}

/// Sky, hills, ground, and things standing on it at their distances.
pub(super) fn outdoors(stage: &mut Stage) {
    let (w, h) = stage.extent();
    let horizon = h * stage.rng.range(0.18, 0.68);
    let haze_colour = sky(stage, horizon + h * 0.05);
    let haze = if stage.rng.chance(0.5) {
        stage.rng.range(0.1, 0.8)
    } else {
        0.1
    };
    let layers = stage.rng.int(0, 3);
    for layer in 0..layers {
        let near = (layer + 1) as f32 / layers as f32;
        let height = h * stage.rng.range(0.03, 0.22) * (1.3 - near * 0.7);
        let shape = ridge(&mut stage.rng, w, h, horizon + 2.0, height);
        let substance = stage
            .rng
            .pick(&[Substance::Foliage, Substance::Stone, Substance::Foliage]);
        let colour = stage.palette.colour(&mut stage.rng, substance);
        let texture = Texture::foliage(&mut stage.rng, &stage.palette, scale(colour, 0.7), 40.0);
        let fade = (0.85 - 0.5 * near).max(haze * (1.0 - near));
        let node = stage.node(None, RegionKind::Stuff);
        stage.solid(
            node,
            shape,
            texture.recoloured(|c| mix(c, haze_colour, fade)),
            Finish::MATT,
        );
    }
    let ground = stage.node(None, RegionKind::Stuff);
    let substance = stage.rng.pick(&[
        Substance::Foliage,
        Substance::Foliage,
        Substance::Earth,
        Substance::Stone,
        Substance::Stone,
    ]);
    let texture = ground_texture(stage, horizon - 6.0, substance);
    stage.solid(
        ground,
        Shape::rectangle(-2.0, horizon, w + 2.0, h + 2.0),
        texture,
        Finish::MATT,
    );
    if stage.rng.chance(0.5) {
        road(stage, horizon);
    }
    // Pixels per metre at the lower edge; sizes fall to nothing at the horizon.
    let scale_low = h * stage.rng.log_range(0.12, 0.5);
    let count = stage.rng.int(6, 20);
    let mut depths: Vec<f32> = (0..count)
        .map(|_| stage.rng.unit().powf(1.6) * 0.95 + 0.02)
        .collect();
    depths.sort_by(f32::total_cmp);
    for depth in depths {
        let base = horizon + (h - horizon) * depth * 1.08;
        let metre = scale_low * depth + 0.02 * h * (1.0 - depth);
        let far = ((1.0 - depth * 3.0).max(0.0) * haze).min(0.8);
        if stage.rng.chance(0.3) {
            undergrowth(stage, base, metre);
            continue;
        }
        let mut maker = stage.maker(metre * 3.0);
        let (built, metres) = street_thing(&mut maker);
        let size = metres * metre;
        if size < 8.0 || size > 2.5 * h {
            continue;
        }
        let setting = |stage: &mut Stage, x: f32, y: f32, size: f32, parent| Setting {
            affine: Affine::place([x, y], size * stage.rng.sign(), size, stage.rng.normal() * 0.02),
            parent,
            haze: (far > 0.05).then_some((haze_colour, far)),
            shadow: ShadowKind::Ground,
            softness: 0.0,
        };
        let x = w * stage.rng.range(-0.05, 1.05);
        if stage.rng.chance(0.25) {
            let group = stage.node(None, RegionKind::Group);
            let step = size * stage.rng.range(0.5, 1.6) * stage.rng.sign();
            let rise = stage.rng.range(0.0, 0.06) * size;
            let members = stage.rng.int(2, 6);
            for i in 0..members {
                let twin = built.twin(&mut stage.rng, &stage.palette, 0.25);
                let wander = stage.rng.normal() * 0.1 * size;
                let here = setting(
                    stage,
                    x + step * i as f32 + wander,
                    base + rise * i as f32,
                    size * (1.0 + 0.02 * i as f32),
                    Some(group),
                );
                twin.put(stage, here);
            }
        } else {
            let here = setting(stage, x, base, size, None);
            built.put(stage, here);
        }
    }
    for _ in 0..stage.rng.int(0, 3) {
        if stage.rng.chance(0.4) {
            wire(stage, horizon);
        }
    }
    if stage.rng.chance(0.15) {
        layout::strand(stage, h * 0.8);
    }
}

/// Bushes, stones or tufts scattered along a row of the ground.
fn undergrowth(stage: &mut Stage, base: f32, metre: f32) {
    let (w, _) = stage.extent();
    let substance = stage
        .rng
        .pick(&[Substance::Foliage, Substance::Foliage, Substance::Stone]);
    let colour = stage.palette.colour(&mut stage.rng, substance);
    let size = metre * stage.rng.log_range(0.15, 0.8);
    let tuft = substance == Substance::Foliage && stage.rng.chance(0.4);
    let x = w * stage.rng.unit();
    let group = stage.node(None, RegionKind::Group);
    for _ in 0..stage.rng.int(2, 7) {
        let at = [
            x + stage.rng.normal() * size * 2.5,
            base + stage.rng.normal() * size * 0.15,
        ];
        let size = size * stage.rng.range(0.6, 1.4);
        if size < 3.0 {
            continue;
        }
        let tone = stage.palette.jitter(&mut stage.rng, colour, 0.12);
        let mut shape = Shape::default();
        let texture = match substance {
            Substance::Foliage if tuft => {
                for _ in 0..7 {
                    let turn = stage.rng.normal() * 0.5;
                    let blade = Shape::leaf(0.22, turn * 0.3, 1.0);
                    shape.merge(blade.placed(&Affine::place(at, size, size, turn)));
                }
                Texture::plain(&mut stage.rng, tone)
            }
            Substance::Foliage => Texture::foliage(&mut stage.rng, &stage.palette, tone, size),
            _ => Texture::mineral(&mut stage.rng, &stage.palette, tone),
        };
        if shape.contours.is_empty() {
            let blob =
                Shape::blob(&mut stage.rng, 0.2, 5).placed(&Affine::place(at, size * 0.7, size * 0.5, 0.0));
            let rough = if substance == Substance::Foliage {
                size * 0.06
            } else {
                size * 0.01
            };
            shape = blob.roughen(&mut stage.rng, rough, size * 0.3);
        }
        let node = stage.node(Some(group), RegionKind::Object);
        stage.shadow(
            Shape::ellipse(at[0], at[1] + size * 0.35, size * 0.8, size * 0.15),
            (size * 0.1).max(1.0),
            0.7,
        );
        let finish = Finish {
            relief: Relief::Cushion(1.0),
            gloss: 0.0,
            falloff: 0.4,
        };
        stage.solid(node, shape, texture, finish);
    }
}

/// A road, path or river that narrows towards the horizon.
fn road(stage: &mut Stage, horizon: f32) {
    let (w, h) = stage.extent();
    let (target, at) = (w * stage.rng.range(0.2, 0.8), w * stage.rng.range(-0.2, 1.2));
    let half = w * stage.rng.range(0.12, 0.5);
    let bend = stage.rng.normal() * w * 0.12;
    let curve = |t: f32, side: f32| {
        let x = target + (at - target) * t + bend * (std::f32::consts::PI * t.sqrt()).sin() + side * half * t;
        [x, horizon + (h + 2.0 - horizon) * t]
    };
    let strip = |from: f32, to: f32| {
        let left = (0..=16).map(|i| curve(i as f32 / 16.0, from));
        Shape::outline(
            left.chain((0..=16).rev().map(|i| curve(i as f32 / 16.0, to)))
                .collect(),
        )
    };
    let node = stage.node(None, RegionKind::Stuff);
    let substance = stage
        .rng
        .pick(&[Substance::Stone, Substance::Earth, Substance::Any]);
    let texture = ground_texture(stage, horizon - 6.0, substance);
    stage.solid(node, strip(-1.0, 1.0), texture, Finish::MATT);
    if stage.rng.chance(0.5) {
        let paint = Texture::plain(&mut stage.rng, [0.75, 0.74, 0.7]);
        let lines = stage.node(None, RegionKind::Object);
        for side in [-0.9, -0.02, 0.86] {
            stage.solid(lines, strip(side, side + 0.04), paint.clone(), Finish::MATT);
        }
    }
}

/// A sagging wire across the sky.
fn wire(stage: &mut Stage, horizon: f32) {
    let (w, _) = stage.extent();
    let (a, b) = (
        horizon * stage.rng.range(0.0, 0.7),
        horizon * stage.rng.range(0.0, 0.7),
    );
    let sag = horizon * stage.rng.range(0.02, 0.2);
    let path: Vec<_> = (0..=24)
        .map(|i| {
            let t = i as f32 / 24.0;
            [-3.0 + (w + 6.0) * t, a + (b - a) * t + 4.0 * sag * t * (1.0 - t)]
        })
        .collect();
    let half = stage.rng.range(0.6, 1.6);
    let texture = Texture::plain(&mut stage.rng, [0.03, 0.03, 0.035]);
    let node = stage.node(None, RegionKind::Object);
    stage.solid(node, Shape::stroke(&path, |_| half), texture, Finish::MATT);
}
