//! Rooms, tables and shelves, with what stands and hangs in them.

use super::RegionKind;
use super::assembly::{Setting, ShadowKind};
use super::contour::{Affine, Shape, wandering_path};
use super::lighting::{Finish, Relief};
use super::outdoors::ground_texture;
use super::palette::Substance;
use super::stage::Stage;
use super::texture::Texture;
use super::{beings, furniture, goods};

/// Wall, floor, pictures, windows, furniture and what stands on it.
pub(super) fn room(stage: &mut Stage) {
    let (w, h) = stage.extent();
    let edge = h * stage.rng.range(0.5, 0.8);
    let wall = stage.node(None, RegionKind::Stuff);
    let colour = stage.palette.colour(
        &mut stage.rng,
        if w > h { Substance::Stone } else { Substance::Any },
    );
    let paper = if stage.rng.chance(0.3) {
        stage.any_texture(100.0)
    } else {
        Texture::mineral(&mut stage.rng, &stage.palette, colour)
    };
    stage.backdrop(
        wall,
        paper.clone(),
        Finish {
            relief: Relief::Flat,
            gloss: 0.0,
            falloff: 0.3,
        },
    );
    let corner = if stage.rng.chance(0.4) {
        w * stage.rng.range(0.1, 0.4)
    } else {
        0.0
    };
    if corner > 0.0 {
        let side = stage.node(None, RegionKind::Stuff);
        let shape = Shape::outline(vec![
            [-2.0, -2.0],
            [corner, -2.0],
            [corner, edge],
            [-2.0, edge + corner * 0.5],
        ]);
        stage.solid(side, shape, paper, Finish::matt(Relief::Facet([0.7, 0.0, 0.6])));
    }
    let floor = stage.node(None, RegionKind::Stuff);
    let substance = stage
        .rng
        .pick(&[Substance::Wood, Substance::Wood, Substance::Stone, Substance::Any]);
    let texture = ground_texture(stage, edge - 0.5 * h, substance);
    let shape = Shape::outline(vec![
        [-2.0, edge + corner * 0.5],
        [corner, edge],
        [w + 2.0, edge],
        [w + 2.0, h + 2.0],
        [-2.0, h + 2.0],
    ]);
    stage.solid(
        floor,
        shape,
        texture,
        Finish {
            relief: Relief::Flat,
            gloss: 0.05,
            falloff: 0.0,
        },
    );
    if stage.rng.chance(0.5) {
        let board = stage.node(None, RegionKind::Object);
        let texture = Texture::plain(&mut stage.rng, [0.7, 0.69, 0.66]);
        stage.solid(
            board,
            Shape::rectangle(corner, edge - h * 0.03, w + 2.0, edge),
            texture,
            Finish::MATT,
        );
    }
    for _ in 0..stage.rng.int(0, 4) {
        picture(stage, edge);
    }
    if stage.rng.chance(0.4) {
        let rug = stage.node(None, RegionKind::Object);
        let at = [
            w * stage.rng.range(0.2, 0.8),
            edge + (h - edge) * stage.rng.range(0.3, 0.8),
        ];
        let (a, b) = (
            w * stage.rng.range(0.15, 0.4),
            (h - edge) * stage.rng.range(0.15, 0.35),
        );
        let shape = if stage.rng.chance(0.5) {
            Shape::ellipse(at[0], at[1], a, b)
        } else {
            let k = 0.75;
            Shape::outline(vec![
                [at[0] - a * k, at[1] - b],
                [at[0] + a * k, at[1] - b],
                [at[0] + a, at[1] + b],
                [at[0] - a, at[1] + b],
            ])
        };
        let texture = stage.any_texture(a);
        stage.solid(rug, shape, texture, Finish::MATT);
    }
    let count = stage.rng.int(3, 8);
    let mut bases: Vec<f32> = (0..count).map(|_| stage.rng.unit()).collect();
    bases.sort_by(f32::total_cmp);
    for t in bases {
        let base = edge + (h - edge) * (0.04 + t);
        let metre = h * (0.28 + 0.3 * t);
        let mut maker = stage.maker(metre);
        let (built, metres) = match maker.rng.weighted(&[5.0, 1.5, 1.0, 2.0, 0.7]) {
            0 => (furniture::furniture(&mut maker), maker.rng.range(0.5, 1.5)),
            1 => (beings::person(&mut maker), 1.7),
            2 => (beings::quadruped(&mut maker), 0.5),
            3 => (goods::any(&mut maker), maker.rng.range(0.3, 0.9)),
            _ => (goods::pot_plant(&mut maker), maker.rng.range(0.6, 1.4)),
        };
        let size = metres * metre;
        let x = w * stage.rng.range(0.0, 1.0);
        let bounds = built.silhouette().bounds();
        let affine = Affine::place([x, base], size * stage.rng.sign(), size, 0.0);
        built.put(
            stage,
            Setting {
                affine,
                parent: None,
                haze: None,
                shadow: ShadowKind::Ground,
                softness: 0.0,
            },
        );
        if let Some([x0, top, x1, _]) = bounds.filter(|_| stage.rng.chance(0.5)) {
            for _ in 0..stage.rng.int(1, 3) {
                let small = metre * stage.rng.range(0.12, 0.35);
                let item = goods::any(&mut stage.maker(small));
                let at = [
                    x + size * stage.rng.range(x0, x1) * 0.7,
                    base + size * top + small * 0.06,
                ];
                let affine = Affine::place(at, small, small, 0.0);
                item.put(
                    stage,
                    Setting {
                        affine,
                        parent: None,
                        haze: None,
                        shadow: ShadowKind::Ground,
                        softness: 0.0,
                    },
                );
            }
        }
    }
}

/// A framed picture, mirror or window on the wall.
fn picture(stage: &mut Stage, edge: f32) {
    let (w, _) = stage.extent();
    let (a, b) = (w * stage.rng.range(0.05, 0.18), edge * stage.rng.range(0.08, 0.3));
    let at = [w * stage.rng.unit(), edge * stage.rng.range(0.2, 0.6)];
    let frame_colour = stage.palette.colour(&mut stage.rng, Substance::Wood);
    let frame = Texture::wood(&mut stage.rng, &stage.palette, frame_colour, 0.0);
    let object = stage.node(None, RegionKind::Object);
    let outer = Shape::rectangle(at[0] - a, at[1] - b, at[0] + a, at[1] + b);
    stage.drop_shadow(&outer, 3.0);
    stage.solid(object, outer, frame.clone(), Finish::matt(Relief::Cushion(0.2)));
    let rim = a.min(b) * stage.rng.range(0.08, 0.25);
    let inner = stage.node(Some(object), RegionKind::Part);
    let bright = stage.rng.chance(0.4);
    let texture = if bright {
        Texture::plain(&mut stage.rng, [0.85, 0.9, 0.97])
    } else {
        stage.any_texture(a * 2.0)
    };
    let pane = Shape::rectangle(at[0] - a + rim, at[1] - b + rim, at[0] + a - rim, at[1] + b - rim);
    stage.solid(inner, pane, texture, Finish::glossy(Relief::Flat, 0.1));
    if bright {
        let bar = rim * 0.5;
        stage.solid(
            object,
            Shape::rectangle(at[0] - bar, at[1] - b, at[0] + bar, at[1] + b),
            frame.clone(),
            Finish::MATT,
        );
        stage.solid(
            object,
            Shape::rectangle(at[0] - a, at[1] - bar, at[0] + a, at[1] + bar),
            frame,
            Finish::MATT,
        );
    }
}

/// A table or shelves with rows, heaps and single goods.
pub(super) fn table(stage: &mut Stage) {
    let (w, h) = stage.extent();
    let back = stage.node(None, RegionKind::Stuff);
    let texture = stage.any_texture(w);
    stage.backdrop(
        back,
        texture,
        Finish {
            relief: Relief::Flat,
            gloss: 0.0,
            falloff: 0.3,
        },
    );
    let shelves = if stage.rng.chance(0.5) {
        stage.rng.int(2, 4)
    } else {
        1
    };
    if shelves == 1 && stage.rng.chance(0.6) {
        let radius = (stage.side() * 0.012).clamp(1.0, 8.0);
        stage.defocus(radius);
    }
    for shelf in 0..shelves {
        let (top, base, thick) = if shelves == 1 {
            (h * stage.rng.range(0.2, 0.55), h * stage.rng.range(0.7, 0.9), 0.0)
        } else {
            let step = h / shelves as f32;
            (step * shelf as f32, step * (shelf as f32 + 0.93), step * 0.08)
        };
        let board = stage.node(None, RegionKind::Stuff);
        if shelves == 1 {
            let substance = stage
                .rng
                .pick(&[Substance::Wood, Substance::Stone, Substance::Any]);
            let texture = ground_texture(stage, top - 0.4 * h, substance);
            stage.solid(
                board,
                Shape::rectangle(-2.0, top, w + 2.0, h + 2.0),
                texture,
                Finish {
                    relief: Relief::Flat,
                    gloss: 0.08,
                    falloff: 0.0,
                },
            );
        } else {
            let colour = stage.palette.colour(&mut stage.rng, Substance::Wood);
            let texture = Texture::wood(&mut stage.rng, &stage.palette, colour, 0.0);
            stage.solid(
                board,
                Shape::rectangle(-2.0, base - 0.2 * thick, w + 2.0, base + thick),
                texture,
                Finish::matt(Relief::Cushion(0.5)),
            );
        }
        let room = if shelves == 1 { h * 0.45 } else { base - top };
        for _ in 0..stage.rng.int(1, if shelves == 1 { 4 } else { 3 }) {
            let size = room * stage.rng.range(0.3, 0.92);
            goods_row(stage, base, size, if shelves == 1 { top } else { base });
        }
    }
    if stage.rng.chance(0.2) {
        let start = [0.0, h * 0.9];
        let path = wandering_path(&mut stage.rng, start, 0.0, w * 1.2, 0.6);
        let half = stage.rng.range(1.0, 3.5);
        let texture = stage.any_texture(20.0);
        let node = stage.node(None, RegionKind::Object);
        let shape = Shape::stroke(&path, |_| half);
        stage.drop_shadow(&shape, half);
        stage.solid(node, shape, texture, Finish::glossy(Relief::Cushion(1.0), 0.3));
    }
}

/// A row or heap of one kind, or mixed goods, standing between the rows `far` and `base`.
fn goods_row(stage: &mut Stage, base: f32, size: f32, far: f32) {
    let (w, _) = stage.extent();
    let kind = stage.rng.weighted(&[3.0, 2.0, 2.0, 2.0]);
    let model = {
        let mut maker = stage.maker(size);
        match kind {
            0 => goods::vessel(&mut maker),
            1 => goods::fruit(&mut maker),
            2 => goods::carton(&mut maker),
            _ => goods::any(&mut maker),
        }
    };
    let same = stage.rng.chance(0.65);
    let group = same.then(|| stage.node(None, RegionKind::Group));
    let size = if kind == 1 { size * 0.45 } else { size };
    let count = if same {
        stage.rng.int(3, 9)
    } else {
        stage.rng.int(1, 5)
    };
    let x = w * stage.rng.range(-0.1, 0.8);
    let step = size * stage.rng.range(0.4, 0.9);
    let depth_spread = stage.rng.unit() * (base - far) * 0.6;
    let mut spots: Vec<(f32, f32)> = (0..count)
        .map(|i| {
            (
                x + step * i as f32 + stage.rng.normal() * 0.1 * step,
                base - depth_spread * stage.rng.unit(),
            )
        })
        .collect();
    if kind == 1 {
        for layer in 1..3 {
            for i in 0..count.saturating_sub(layer) {
                spots.push((
                    x + step * (i as f32 + 0.5 * layer as f32),
                    base - size * 0.7 * layer as f32,
                ));
            }
        }
    } else {
        spots.sort_by(|a, b| a.1.total_cmp(&b.1));
    }
    for (x, y) in spots {
        let built = if same {
            model.twin(&mut stage.rng, &stage.palette, 0.15)
        } else {
            goods::any(&mut stage.maker(size))
        };
        let size = size * (stage.rng.normal() * if same { 0.04 } else { 0.25 }).exp();
        let affine = Affine::place([x, y], size, size, stage.rng.normal() * 0.04);
        built.put(
            stage,
            Setting {
                affine,
                parent: group,
                haze: None,
                shadow: ShadowKind::Ground,
                softness: 0.0,
            },
        );
    }
}
